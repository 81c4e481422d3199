/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A client's only door to the outside: messages out, messages in, and never a wait for
 * output.
 *
 * vuc_channel_port leads to a socket through wire's channel. Unit tests and fuzzers put a
 * script in its place, so everything but that one file runs without a socket.
 *
 * What the socket does not take at once is kept and leaves with flush. How much may be
 * kept is bounded by who offers, see link.h.
 */
#ifndef VUC_PORT_H
#define VUC_PORT_H

#include "wire/channel.h"

struct vuc_port {
    /*
     * One whole message, behind all that is kept; iov is used up, fds are lent.
     *
     *   0         it has left or is kept
     *   -EAGAIN   with descriptors only: nothing of it has left; try again when the
     *             socket is writeable
     *   -EBADF, -EINVAL, -ETOOMANYREFS  with descriptors: they cannot be passed, and
     *             nothing has left
     *   other     nothing can be sent any more (never -ENOBUFS); after -EPIPE reading
     *             goes on until the end
     */
    int (*offer)(void *at, struct iovec *iov, int n_iov, const int *fds, size_t n_fds);
    /* As offer, without descriptors, but only kept. 0, -ENOMEM, or other. */
    int (*post)(void *at, const struct iovec *iov, int n_iov);
    /* 0: all is gone; -EAGAIN: the socket is full; other: as offer. */
    int (*flush)(void *at);
    size_t (*unsent)(const void *at);   /* bytes that are kept */
    /* As vu_channel_receive(): 1, 0 at the end of the stream, or a negative errno. */
    int (*receive)(void *at, struct vu_message *m, vu_deadline deadline);
    /* Whether receive would have something to say without looking at the socket. */
    bool (*ready)(const void *at);
    int (*fd)(const void *at);      /* stays owned by the port */
    void (*shutdown)(void *at);     /* both directions, for another thread to notice */
    void (*close)(void *at);        /* the end of `at` */
};

/* Over a socket; `at` is a struct vu_channel that posts any number of bytes. */
extern const struct vuc_port vuc_channel_port;

#endif
