/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Adding 1 to a client's eventfd without ever waiting.
 *
 * A write() waits when the counter is full and the descriptor is blocking. Both
 * are in the client's hands at any moment, since the open file is shared with it,
 * so neither a look before the write nor O_NONBLOCK set by us is a safeguard; and
 * eventfds know no pwritev2(RWF_NOWAIT). The kernel's own signal does not wait: it
 * comes with the completion of an asynchronous read, here one of no bytes that the
 * eventfd refuses at once, and leaves a full counter full. That costs one system
 * call, like the write.
 *
 * Where the kernel gives no asynchronous I/O (its number of contexts is limited,
 * a sandbox may forbid it, before Linux 5.10 eventfds did not have it), a write
 * follows a look whether there is room.
 *
 * Any thread may send, each with a request of its own.
 */
#ifndef VUS_SIGNAL_H
#define VUS_SIGNAL_H

#include <linux/aio_abi.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

struct vus_signal {
    _Atomic(aio_context_t) aio;     /* owned; 0: none */
    bool plain;             /* never use asynchronous I/O: the kernel takes tens of ms
                             * to end it, too long for who makes many contexts */
};

/* Nothing is asked of the kernel before the first signal. */
void vus_signal_init(struct vus_signal *s);
void vus_signal_done(struct vus_signal *s);

/* Make ready for signals: called where a client assigns eventfds, by one thread. */
void vus_signal_prepare(struct vus_signal *s);

/* What signals one descriptor. Not to be moved. */
struct vus_signal_request {
    struct iocb read;
    struct iocb *list[1];   /* &read, as the system call wants it */
};

/* fd is lent, for as long as the request is sent. */
void vus_signal_request_init(struct vus_signal_request *r, int fd);

/* 0, or negative errno. A full counter tells the client all that one more could: 0. */
int vus_signal_send(struct vus_signal *s, struct vus_signal_request *r);

/* The short way. False: there is no asynchronous I/O or its queue is full, and nothing
 * was sent. */
static inline bool vus_signal_try(struct vus_signal *s, struct vus_signal_request *r)
{
    aio_context_t aio = atomic_load_explicit(&s->aio, memory_order_relaxed);

    return aio != 0 && syscall(SYS_io_submit, aio, 1L, r->list) == 1;
}

#endif
