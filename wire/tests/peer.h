/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What tests of a channel share: a channel with a bare socket at its other end, messages
 * whose bytes follow from their id, and descriptors that can be told apart.
 */
#ifndef VU_TESTS_PEER_H
#define VU_TESTS_PEER_H

#include "wire/tests/support.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "wire/channel.h"
#include "wire/tests/calls.h"

static const struct vu_channel_limits usual_limits = {
    .max_message = (1u << 20) + 32,
    .max_fds = VU_MAX_MSG_FDS,
    .batch = 65536,
    .max_out = 4u << 20,
    .stall_ms = 10000,
};

struct pair {
    struct vu_channel *ch;
    int peer;
};

static inline struct pair pair_open_with(const struct vu_channel_limits *limits)
{
    int fds[2];
    struct pair p;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    p.ch = vu_channel_new(fds[0], limits);
    assert_non_null(p.ch);
    p.peer = fds[1];
    calls_reset();
    return p;
}

static inline struct pair pair_open(void)
{
    return pair_open_with(&usual_limits);
}

static inline void pair_close(struct pair *p)
{
    vu_channel_free(p->ch);
    if (p->peer != -1)
        close(p->peer);
    p->peer = -1;
}

/* Byte i of the body of message id. */
static inline uint8_t body_byte(uint16_t id, size_t i)
{
    return (uint8_t)(id * 31 + i + (i >> 8));
}

/* Write message id, of `size` bytes in all, to `at`. Returns size. */
static inline size_t make_message(uint8_t *at, uint16_t id, uint32_t size)
{
    struct vu_header h = { .msg_id = id, .command = VU_REGION_WRITE, .size = size };
    struct vu_writer w = vu_writer(at, VU_HEADER_SIZE);

    assert_int_equal(vu_encode_header(&w, &h), 0);
    for (size_t i = 0; i + VU_HEADER_SIZE < size; i++)
        at[VU_HEADER_SIZE + i] = body_byte(id, i);
    return size;
}

static inline bool body_intact(uint16_t id, const uint8_t *body, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (body[i] != body_byte(id, i))
            return false;
    return true;
}

static inline void check_message(const struct vu_message *m, uint16_t id, uint32_t size)
{
    assert_int_equal(m->h.msg_id, id);
    assert_int_equal(m->h.size, size);
    assert_int_equal(m->body_len, size - VU_HEADER_SIZE);
    assert_true(body_intact(id, m->body, m->body_len));
}

/* The peer sends all these bytes at once, descriptors with them. */
static inline void peer_send(struct pair *p, const void *bytes, size_t len,
                             const int *fds, size_t n_fds)
{
    struct iovec iov = { .iov_base = (void *)bytes, .iov_len = len };

    assert_int_equal(vu_socket_send(p->peer, &iov, 1, fds, n_fds), len);
}

static inline void peer_send_message(struct pair *p, uint16_t id, uint32_t size,
                                     const int *fds, size_t n_fds)
{
    uint8_t bytes[8192];

    assert_true(size <= sizeof(bytes));
    make_message(bytes, id, size);
    peer_send(p, bytes, size, fds, n_fds);
}

/* Take the next message, which must be there, and which brought no descriptors. */
static inline void expect_message(struct pair *p, uint16_t id, uint32_t size)
{
    struct vu_message m;

    assert_int_equal(vu_channel_next(p->ch, &m), 1);
    check_message(&m, id, size);
    assert_int_equal(m.n_fds, 0);
    assert_false(m.fds_lost);
    vu_message_done(&m);
}

static inline void expect_nothing(struct pair *p)
{
    struct vu_message m;

    assert_int_equal(vu_channel_next(p->ch, &m), 0);
}

/* Append message id to the output; returns where it starts. */
static inline size_t append_message(struct vu_channel *ch, uint16_t id, uint32_t size)
{
    struct vu_buffer *out = vu_channel_out(ch);
    size_t start = out->len;
    uint8_t *at = vu_buffer_extend(out, size);

    assert_non_null(at);
    make_message(at, id, size);
    return start;
}

static inline void post_message(struct vu_channel *ch, uint16_t id, uint32_t size)
{
    assert_int_equal(vu_channel_post(ch, append_message(ch, id, size), NULL, 0), 0);
}

/* The peer reads exactly len bytes, without descriptors, which must be there. */
static inline void peer_read(struct pair *p, uint8_t *bytes, size_t len)
{
    assert_int_equal(recv(p->peer, bytes, len, MSG_WAITALL | MSG_DONTWAIT), len);
}

static inline void peer_expect_message(struct pair *p, uint16_t id, uint32_t size)
{
    uint8_t bytes[8192], want[8192];

    assert_true(size <= sizeof(bytes));
    peer_read(p, bytes, size);
    make_message(want, id, size);
    assert_memory_equal(bytes, want, size);
}

static inline void peer_expect_nothing(struct pair *p)
{
    uint8_t byte;

    assert_int_equal(recv(p->peer, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

/* A descriptor that can be recognised after its journey: a file of `tag` bytes. */
static inline int tagged_fd(int tag)
{
    int fd = memfd_create("tag", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, tag), 0);
    return fd;
}

static inline int fd_tag(int fd)
{
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    return (int)st.st_size;
}

static inline double seconds_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

#endif
