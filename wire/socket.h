/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The system calls below a channel: one sendmsg(), one recvmsg(), one wait.
 * Only channel.c includes this; vu_socket_send() and vu_socket_recv(), for
 * everybody, are declared in wire/channel.h.
 */
#ifndef VU_WIRE_SOCKET_H
#define VU_WIRE_SOCKET_H

#include "wire/channel.h"

int64_t vu_deadline_now(void);      /* ns of CLOCK_MONOTONIC */

/* As vu_socket_recv(), but waits as the socket does when `flags` lacks MSG_DONTWAIT. */
int64_t vu_socket_recv_flags(int fd, void *buf, size_t room, int flags, int *fds,
                             size_t *n_fds, bool *lost);

/* poll() for POLLIN or POLLOUT. 0: something happened, errors of the socket included;
 * -ETIMEDOUT; -EINTR; other errors of poll(). */
int vu_socket_wait(int fd, short events, vu_deadline deadline);

/* Bytes of kernel memory in which our output waits for the peer, or -1. It falls as the
 * peer reads, in steps of what the kernel keeps together (up to about 36 KB). */
int vu_socket_queued(int fd);

#endif
