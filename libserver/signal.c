/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signals by asynchronous I/O: see libserver/signal.h.
 *
 * The kernel keeps the completions until somebody collects them, and refuses new
 * requests (EAGAIN) when it has no more room. So they are collected then, which is
 * every hundredth signal or so.
 */
#include "libserver/signal.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <time.h>

#define EVENTS 64u      /* completions that the kernel keeps for us, at least */
#define TRIES  4        /* other threads may take the room that we made */

void vus_signal_init(struct vus_signal *s)
{
    atomic_init(&s->aio, 0);
    s->plain = false;
}

void vus_signal_done(struct vus_signal *s)
{
    if (s->aio != 0)
        syscall(SYS_io_destroy, s->aio);
    vus_signal_init(s);
}

void vus_signal_prepare(struct vus_signal *s)
{
    aio_context_t aio = 0;

    if (s->aio != 0 || s->plain)
        return;
    if (syscall(SYS_io_setup, EVENTS, &aio) == 0)
        s->aio = aio;
}

void vus_signal_request_init(struct vus_signal_request *r, int fd)
{
    r->list[0] = &r->read;
    r->read = (struct iocb){
        .aio_lio_opcode = IOCB_CMD_PREAD,
        .aio_fildes = (uint32_t)fd,
        .aio_buf = (uintptr_t)r,    /* an address; nothing is read */
        .aio_nbytes = 0,
        .aio_flags = IOCB_FLAG_RESFD,
        .aio_resfd = (uint32_t)fd,
    };
}

/* The look and the write. What is left is a client that fills its own counter
 * in between. */
static int write_one(int fd)
{
    const uint64_t one = 1;
    struct pollfd p = { .fd = fd, .events = POLLOUT };

    if (poll(&p, 1, 0) != 1 || (p.revents & POLLOUT) == 0)
        return 0;
    if (write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        return -errno;
    return 0;
}

static void collect(aio_context_t aio)
{
    struct io_event events[EVENTS];
    struct timespec now = { 0 };

    syscall(SYS_io_getevents, aio, 0L, (long)EVENTS, events, &now);
}

int vus_signal_send(struct vus_signal *s, struct vus_signal_request *r)
{
    errno = 0;
    for (int i = 0; i < TRIES; i++) {
        if (vus_signal_try(s, r))
            return 0;
        if (errno != EAGAIN)
            break;
        collect(s->aio);
    }
    return write_one((int)r->read.aio_fildes);
}
