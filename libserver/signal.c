/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signals by asynchronous I/O: see libserver/signal.h.
 */
#include "libserver/signal.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 64u      /* completions that the kernel keeps for us */

void vus_signal_init(struct vus_signal *s)
{
    *s = (struct vus_signal){ .aio = 0 };
}

void vus_signal_done(struct vus_signal *s)
{
    if (s->aio != 0)
        syscall(SYS_io_destroy, s->aio);
    vus_signal_init(s);
}

void vus_signal_prepare(struct vus_signal *s)
{
    if (s->aio != 0 || s->plain)
        return;
    if (syscall(SYS_io_setup, EVENTS, &s->aio) != 0)
        s->aio = 0;
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

static void collect(struct vus_signal *s)
{
    struct io_event events[EVENTS];
    struct timespec now = { 0 };

    syscall(SYS_io_getevents, s->aio, 0L, (long)EVENTS, events, &now);
    s->unread = 0;
}

int vus_signal_send(struct vus_signal *s, int fd)
{
    char nothing;
    struct iocb read = {
        .aio_lio_opcode = IOCB_CMD_PREAD,
        .aio_fildes = (uint32_t)fd,
        .aio_buf = (uintptr_t)&nothing,
        .aio_nbytes = 0,
        .aio_flags = IOCB_FLAG_RESFD,
        .aio_resfd = (uint32_t)fd,
    };
    struct iocb *list[] = { &read };

    if (s->aio == 0)
        return write_one(fd);
    if (++s->unread == EVENTS)
        collect(s);
    if (syscall(SYS_io_submit, s->aio, 1L, list) == 1)
        return 0;
    return write_one(fd);
}
