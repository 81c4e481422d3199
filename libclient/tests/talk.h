/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The server's end of a real socket, for tests in which it is a thread: whole messages,
 * one after the other, each call waiting as long as it takes.
 *
 * Nothing here asserts but what says so, since a thread may not leave by longjmp.
 */
#ifndef VUC_TESTS_TALK_H
#define VUC_TESTS_TALK_H

#include <sys/socket.h>

#include "libclient/include/vfio-user-client.h"
#include "wire/channel.h"
#include "wire/tests/bytes.h"

#define TALK_BODY_MAX ((1u << 20) + 64)

static inline bool talk_bytes(int fd, const void *data, size_t len)
{
    const uint8_t *at = data;

    while (len > 0) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

        if (n < 0 && errno != EINTR)
            return false;
        at += n < 0 ? 0 : n;
        len -= n < 0 ? 0 : (size_t)n;
    }
    return true;
}

/* A message with this header (its size is filled in) and a body of two parts. */
static inline bool talk_send(int fd, struct vu_header h, const void *a, size_t a_len,
                             const void *b, size_t b_len)
{
    uint8_t bytes[VU_HEADER_SIZE];
    struct vu_writer w = vu_writer(bytes, sizeof(bytes));

    h.size = (uint32_t)(VU_HEADER_SIZE + a_len + b_len);
    vu_encode_header(&w, &h);
    return talk_bytes(fd, bytes, sizeof(bytes)) && talk_bytes(fd, a, a_len)
        && talk_bytes(fd, b, b_len);
}

/* A good reply. */
static inline bool talk_reply(int fd, const struct vu_header *asked, const void *a,
                              size_t a_len, const void *b, size_t b_len)
{
    struct vu_header h = { .msg_id = asked->msg_id, .command = asked->command,
                           .flags = VU_F_TYPE_REPLY };

    return talk_send(fd, h, a, a_len, b, b_len);
}

/* A DMA request for [address, address + count); data: of a write. */
static inline bool talk_dma(int fd, uint16_t id, enum vu_command command,
                            uint64_t address, uint64_t count, const void *data)
{
    struct vu_header h = { .msg_id = id, .command = (uint16_t)command };
    struct vu_dma_access m = { .address = address, .count = count };
    uint8_t bytes[VU_DMA_ACCESS_SIZE];
    struct vu_writer w = vu_writer(bytes, sizeof(bytes));

    vu_encode_dma_access(&w, &m);
    return talk_send(fd, h, bytes, sizeof(bytes), data, data == NULL ? 0 : count);
}

static inline bool talk_fully(int fd, void *buf, size_t len)
{
    return len == 0 || recv(fd, buf, len, MSG_WAITALL) == (ssize_t)len;
}

/* The next message; false when the stream has ended or the body has no room. */
static inline bool talk_receive(int fd, struct vu_header *h, uint8_t *body, size_t room)
{
    uint8_t bytes[VU_HEADER_SIZE] = { 0 };
    struct vu_reader r = vu_reader(bytes, sizeof(bytes));

    if (!talk_fully(fd, bytes, sizeof(bytes)))
        return false;
    vu_decode_header(&r, h);
    if (h->size < VU_HEADER_SIZE || h->size - VU_HEADER_SIZE > room)
        return false;
    return talk_fully(fd, body, h->size - VU_HEADER_SIZE);
}

/* What to type ahead for a client that is about to ask. Asserts. */
static inline void talk_type(int fd, const char *hex)
{
    struct bytes b = bytes_of_hex(hex);

    assert_int_equal(send(fd, b.data, b.len, MSG_NOSIGNAL), b.len);
}

/* A client over a socket pair; the server's ends go to *server and, if it is not NULL and
 * the options ask for one, *twin. Asserts. The request for VERSION has been read. */
static inline struct vfuc_client *talk_connect(const struct vfuc_options *options,
                                               int *server, int *twin)
{
    static const char json[] =
        "{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":0}}}";
    uint8_t bytes[VU_HEADER_SIZE + VU_VERSION_SIZE + sizeof(json)] = { 0 };
    struct vu_writer w = vu_writer(bytes, sizeof(bytes));
    struct vu_version v = { .major = 0, .minor = 0 };
    struct iovec iov = { .iov_base = bytes };
    struct vfuc_client *c = NULL;
    struct vu_header h = { .flags = VU_F_TYPE_REPLY, .command = VU_VERSION };
    int fds[2], twins[2] = { -1, -1 };
    uint8_t sink[1024];

    SKIP_UNLESS_LITTLE_ENDIAN();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    if (twin != NULL) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, twins), 0);
        v.data = (struct vu_bytes){ (const uint8_t *)json, sizeof(json) };
    }
    h.size = (uint32_t)(VU_HEADER_SIZE + VU_VERSION_SIZE + v.data.len);
    vu_encode_header(&w, &h);
    assert_int_equal(vu_encode_version(&w, &v), 0);
    iov.iov_len = w.len;
    assert_int_equal(vu_socket_send(fds[1], &iov, 1, &twins[1], twin == NULL ? 0 : 1),
                     w.len);
    assert_int_equal(vfuc_connect_fd(fds[0], options, &c), 0);
    assert_true(recv(fds[1], sink, sizeof(sink), 0) > 0);
    if (twin != NULL) {
        close(twins[1]);
        *twin = twins[0];
    }
    *server = fds[1];
    return c;
}

#endif
