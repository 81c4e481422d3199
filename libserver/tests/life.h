/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device of core.h behind a real socket, and a client of raw bytes.
 *
 *   struct life l;
 *   life_begin(&l, LIBVFIO_USER_FLAG_ATTACH_NB);
 *   int fd = life_client(&l);                       connected, VERSION done
 *   client_send(fd, bytes, len);
 *   assert_int_equal(vfu_run_ctx(l.core.ctx), 1);
 *   client_receive(fd, &got);                       one message, or the end
 *   life_end(&l);
 *
 * Waits have a deadline, so that a server that does not answer fails the test.
 */
#ifndef VUS_TESTS_LIFE_H
#define VUS_TESTS_LIFE_H

#include "libserver/tests/core.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#define PATIENCE_MS 20000   /* far beyond what a busy machine needs */

struct life {
    struct core core;
    char dir[32];
    char path[64];
};

static inline void life_begin(struct life *l, int flags)
{
    memset(l, 0, sizeof(*l));
    strcpy(l->dir, "/tmp/vfu-test-XXXXXX");
    assert_non_null(mkdtemp(l->dir));
    strcpy(l->path, l->dir);
    strcat(l->path, "/socket");
    l->core.memory = core_memory(0x8000);
    l->core.ctx = vfu_create_ctx(VFU_TRANS_SOCK, l->path, flags, &l->core,
                                 VFU_DEV_TYPE_PCI);
    assert_non_null(l->core.ctx);
    core_set_up_device(&l->core);
    assert_int_equal(vfu_realize_ctx(l->core.ctx), 0);
}

/* The context may have been destroyed before (ctx NULL). */
static inline void life_end(struct life *l)
{
    vfu_destroy_ctx(l->core.ctx);
    close(l->core.memory);
    assert_int_equal(access(l->path, F_OK), -1);
    assert_int_equal(rmdir(l->dir), 0);
}

/* --------------------------------------------------------------- client -- */

static inline int client_connect(const struct life *l)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    strcpy(address.sun_path, l->path);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* All bytes, descriptors with the first. */
static inline void client_send_fds(int fd, const void *bytes, size_t len, const int *fds,
                                   size_t n_fds)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(VU_MAX_MSG_FDS * sizeof(int))];
    } control = { 0 };
    struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = len };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (n_fds != 0) {
        struct cmsghdr *c = &control.align;

        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
    }
    assert_int_equal(sendmsg(fd, &msg, MSG_NOSIGNAL), len);
}

static inline void client_send(int fd, const void *bytes, size_t len)
{
    client_send_fds(fd, bytes, len, NULL, 0);
}

/* Bytes that came before len were there, the stream ended, or patience did. */
static inline size_t client_read(int fd, void *buf, size_t len)
{
    size_t got = 0;

    while (got < len) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        ssize_t n;

        if (poll(&p, 1, PATIENCE_MS) != 1)
            break;
        n = recv(fd, (uint8_t *)buf + got, len - got, 0);
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    return got;
}

/* The stream has ended, with nothing more in it. */
static inline void assert_ended(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    char byte;
    ssize_t n;

    assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
    n = recv(fd, &byte, 1, MSG_DONTWAIT);
    assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
}

/* Nothing is there to read, and the stream has not ended. */
static inline void assert_silent(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    assert_int_equal(poll(&p, 1, 0), 0);
}

struct received {
    struct vu_header h;
    size_t body_len;
    uint8_t body[65536];
};

static inline void client_receive(int fd, struct received *m)
{
    uint8_t header[VU_HEADER_SIZE] = { 0 };
    struct vu_reader r = vu_reader(header, sizeof(header));

    assert_int_equal(client_read(fd, header, sizeof(header)), sizeof(header));
    assert_int_equal(vu_decode_header(&r, &m->h), 0);
    assert_in_range(m->h.size, VU_HEADER_SIZE, VU_HEADER_SIZE + sizeof(m->body));
    m->body_len = m->h.size - VU_HEADER_SIZE;
    assert_int_equal(client_read(fd, m->body, m->body_len), m->body_len);
}

/* Append a message to buf; returns where the next one goes. */
static inline uint8_t *put_message(uint8_t *buf, uint16_t id, uint16_t command,
                                   uint32_t flags, const void *body, size_t len)
{
    struct vu_header h = {
        .msg_id = id,
        .command = command,
        .size = (uint32_t)(VU_HEADER_SIZE + len),
        .flags = flags,
    };
    struct vu_writer w = vu_writer(buf, VU_HEADER_SIZE + len);

    vu_encode_header(&w, &h);
    vu_put_bytes(&w, body, len);
    assert_int_equal(vu_writer_ok(&w), 0);
    return buf + VU_HEADER_SIZE + len;
}

#define VERSION_BYTES 20u

static inline void put_version(uint8_t buf[VERSION_BYTES])
{
    put_message(buf, 1, VU_VERSION, 0, "\0\0\1\0", VU_VERSION_SIZE);
}

#define INFO_BYTES 32u

static inline uint8_t *put_get_info(uint8_t *buf, uint16_t id)
{
    static const uint8_t body[VU_DEVICE_INFO_SIZE] = { 16 };

    return put_message(buf, id, VU_DEVICE_GET_INFO, 0, body, sizeof(body));
}

#define MAP_BYTES 48u

static inline uint8_t *put_dma_map(uint8_t *buf, uint16_t id, uint64_t address)
{
    struct vu_dma_map m = {
        .argsz = 32, .flags = VU_DMA_READABLE | VU_DMA_WRITEABLE,
        .address = address, .size = 0x1000,
    };
    uint8_t body[VU_DMA_MAP_SIZE];

    ENCODE(dma_map, &m, body);
    return put_message(buf, id, VU_DMA_MAP, 0, body, sizeof(body));
}

static inline void assert_reply(int fd, uint16_t id, uint32_t error)
{
    static struct received m;

    client_receive(fd, &m);
    assert_int_equal(m.h.msg_id, id);
    assert_int_equal(m.h.flags, error != 0 ? VU_F_TYPE_REPLY | VU_F_ERROR
                                           : VU_F_TYPE_REPLY);
    assert_int_equal(m.h.error, error);
}

/* Attach the client on fd to a server that does not wait. */
static inline void life_attach(struct life *l, int fd)
{
    uint8_t version[VERSION_BYTES];

    put_version(version);
    client_send(fd, version, sizeof(version));
    assert_int_equal(vfu_attach_ctx(l->core.ctx), 0);
    assert_reply(fd, 1, 0);
}

static inline int life_client(struct life *l)
{
    int fd = client_connect(l);

    life_attach(l, fd);
    return fd;
}

static inline void assert_run(struct life *l, int ret, int err)
{
    int got;

    errno = 0;
    got = vfu_run_ctx(l->core.ctx);
    assert_int_equal(got, ret);
    if (ret < 0)
        assert_int_equal(errno, err);
}

#endif
