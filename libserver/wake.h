/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What wakes the thread that runs a context when its sockets stay silent: a
 * command that another thread has read, an eventfd by which the client unmasks
 * an interrupt.
 *
 * It is an epoll descriptor over an eventfd of our own, the client's eventfds
 * and the end of the twin socket. Most contexts never need it, so it is opened
 * when it is first asked for, and stays for the life of the context. Any
 * thread; the lock is held for a few system calls that do not wait, and no other
 * lock is taken under it.
 */
#ifndef VUS_WAKE_H
#define VUS_WAKE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct vfu_ctx;

struct vus_wake {
    pthread_mutex_t lock;
    int epoll;          /* owned; -1: not opened yet */
    int event;          /* owned eventfd in it; -1 */
    int end;            /* lent: the twin socket, watched for its end; -1: none */
    atomic_bool raised; /* also when nothing is open yet; written under the lock */
    atomic_uint added;  /* descriptors of vus_wake_add() */
};

/* 0 or negative errno. */
int vus_wake_init(struct vus_wake *w);
void vus_wake_done(struct vus_wake *w);

/* The descriptor, opened now if need be; or negative errno. */
int vus_wake_open(struct vus_wake *w);
/* Make it readable, until it is cleared. */
void vus_wake_raise(struct vus_wake *w);
void vus_wake_clear(struct vus_wake *w);    /* costs nothing when it was not raised */
/* fd's end makes it readable, as long as fd is open; -1: no longer. */
void vus_wake_watch_end(struct vus_wake *w, int fd);

/* Each signal on fd makes it readable, until vus_wake_input(): for eventfds of the
 * client. fd stays the caller's, who takes it out before closing it. 0 or negative
 * errno. */
int vus_wake_add(struct vfu_ctx *ctx, int fd);
void vus_wake_del(struct vfu_ctx *ctx, int fd);
/* Whether one of those was signalled since this was asked last; the caller then looks
 * at all. Costs nothing when there are none. */
bool vus_wake_input(struct vus_wake *w);

#endif
