/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Adding 1 to a client's eventfd without ever waiting.
 *
 * A write() waits when the counter is full and the descriptor is blocking. Both
 * are in the client's hands at any moment, since the open file is shared with it,
 * so neither a look before the write nor O_NONBLOCK set by us is a safeguard. The
 * kernel's own signal does not wait: it comes with the completion of an
 * asynchronous read, here one of no bytes that the eventfd refuses at once, and
 * leaves a full counter full. That costs one system call, like the write.
 *
 * Where the kernel gives no asynchronous I/O (its number of contexts is limited,
 * a sandbox may forbid it, before Linux 5.10 eventfds did not have it), a write
 * follows a look whether there is room.
 *
 * Not thread-safe: under the lock of struct vus_irqs.
 */
#ifndef VUS_SIGNAL_H
#define VUS_SIGNAL_H

#include <linux/aio_abi.h>
#include <stdbool.h>

struct vus_signal {
    aio_context_t aio;      /* owned; 0: none */
    unsigned int unread;    /* completions that were not collected yet */
    bool plain;             /* never use asynchronous I/O: the kernel takes tens of ms
                             * to end it, too long for who makes many contexts */
};

/* Nothing is asked of the kernel before the first signal. */
void vus_signal_init(struct vus_signal *s);
void vus_signal_done(struct vus_signal *s);

/* Make ready for signals: called where a client assigns eventfds. */
void vus_signal_prepare(struct vus_signal *s);

/* 0, or negative errno. A full counter tells the client all that one more could: 0. */
int vus_signal_send(struct vus_signal *s, int fd);

#endif
