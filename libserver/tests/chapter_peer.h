/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client's other half: a thread that answers the DMA_READ and DMA_WRITE of the
 * device from memory of its own, or as a test wants it, while the test's thread is
 * inside vfu_sgl_read() or vfu_sgl_write().
 *
 *   struct peer p;
 *   peer_begin(&p, d->client, 2);           serves two messages, then ends
 *   assert_int_equal(vfu_sgl_read(...), 0);
 *   peer_end(&p);                           p.seen has what it was asked
 *
 * The thread asserts nothing: what went wrong shows in what it saw.
 */
#ifndef VUS_TESTS_CHAPTER_PEER_H
#define VUS_TESTS_CHAPTER_PEER_H

#include "libserver/tests/chapter.h"

#include <pthread.h>

#define PEER_BASE 0x10000u      /* guest address of its memory */
#define PEER_SIZE 0x10000u

struct asked {
    struct vfio_user_header h;
    struct vfio_user_dma_region_access a;
};

struct peer;
/* What to send for a request whose bytes are in p->in: fill p->out, return its length. */
typedef size_t peer_answer(struct peer *p, const struct asked *asked);

struct peer {
    int fd;                     /* the device's client, lent */
    pthread_t thread;
    size_t to_serve;
    peer_answer *answer;        /* NULL: obey */
    void *aux;
    size_t n_seen;
    struct asked seen[128];
    uint8_t memory[PEER_SIZE];
    uint8_t in[PEER_SIZE + 64];
    uint8_t out[PEER_SIZE + 256];
};

/* A reply: header, and body of the given length behind the 16 bytes of the access. */
static inline size_t peer_reply(struct peer *p, const struct asked *asked, uint32_t flags,
                                uint32_t err, const struct vfio_user_dma_region_access *a,
                                const void *data, size_t len)
{
    struct vfio_user_header h = asked->h;
    size_t body = a != NULL ? sizeof(*a) + len : 0;

    h.flags = flags;
    h.error_no = err;
    h.msg_size = (uint32_t)(sizeof(h) + body);
    memcpy(p->out, &h, sizeof(h));
    if (a != NULL)
        memcpy(p->out + sizeof(h), a, sizeof(*a));
    if (len != 0)
        memcpy(p->out + sizeof(h) + sizeof(*a), data, len);
    return h.msg_size;
}

static inline size_t peer_obey(struct peer *p, const struct asked *asked)
{
    const struct vfio_user_dma_region_access *a = &asked->a;
    uint64_t at = a->addr - PEER_BASE;

    if (at > PEER_SIZE || a->count > PEER_SIZE - at)
        return peer_reply(p, asked, VFIO_USER_F_TYPE_REPLY | VFIO_USER_F_ERROR, EFAULT,
                          NULL, NULL, 0);
    if (asked->h.cmd == VFIO_USER_DMA_READ)
        return peer_reply(p, asked, VFIO_USER_F_TYPE_REPLY, 0, a, p->memory + at,
                          a->count);
    memcpy(p->memory + at, p->in + sizeof(asked->h) + sizeof(*a), a->count);
    return peer_reply(p, asked, VFIO_USER_F_TYPE_REPLY, 0, a, NULL, 0);
}

static inline bool peer_read(int fd, void *buf, size_t len)
{
    for (size_t got = 0; got < len;) {
        struct pollfd pfd = { .fd = fd, .events = POLLIN };
        ssize_t n = -1;

        if (poll(&pfd, 1, PATIENCE_MS) == 1)
            n = recv(fd, (uint8_t *)buf + got, len - got, 0);
        if (n <= 0)
            return false;
        got += (size_t)n;
    }
    return true;
}

/* One request. False: there was none. */
static inline bool peer_serve(struct peer *p)
{
    struct asked *asked = &p->seen[p->n_seen];
    size_t len;

    if (!peer_read(p->fd, p->in, sizeof(asked->h)))
        return false;
    memcpy(&asked->h, p->in, sizeof(asked->h));
    if (asked->h.msg_size < sizeof(*asked) || asked->h.msg_size > sizeof(p->in) ||
        !peer_read(p->fd, p->in + sizeof(asked->h),
                   asked->h.msg_size - sizeof(asked->h)))
        return false;
    memcpy(&asked->a, p->in + sizeof(asked->h), sizeof(asked->a));
    p->n_seen++;
    len = p->answer != NULL ? p->answer(p, asked) : peer_obey(p, asked);
    return len == 0 || send(p->fd, p->out, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static inline void *peer_run(void *arg)
{
    struct peer *p = arg;

    while (p->n_seen < p->to_serve && p->n_seen < 128) {
        if (!peer_serve(p))
            break;
    }
    return NULL;
}

/* Its memory and answer() may have been set before; the rest is reset. */
static inline void peer_begin(struct peer *p, int fd, size_t to_serve)
{
    p->fd = fd;
    p->n_seen = 0;
    p->to_serve = to_serve;
    assert_int_equal(pthread_create(&p->thread, NULL, peer_run, p), 0);
}

/* All that it was to serve has come. */
static inline void peer_end(struct peer *p)
{
    pthread_join(p->thread, NULL);
    assert_int_equal(p->n_seen, p->to_serve);
}

#endif
