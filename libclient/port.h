/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client's only door to the outside: send one message, await one message.
 *
 * vuc_channel_port leads to a socket through wire's channel. Unit tests and fuzzers put a
 * script in its place, so everything but that one file runs without a socket.
 */
#ifndef VUC_PORT_H
#define VUC_PORT_H

#include "wire/channel.h"

struct vuc_port {
    /* One whole message. iov is used up, fds are lent. 0 or a negative errno; after a
     * failure that does not blame the descriptors nothing more can be sent. Signals do
     * not end the wait. */
    int (*send)(void *at, struct iovec *iov, int n_iov, const int *fds, size_t n_fds,
                vu_deadline deadline);
    /* As vu_channel_receive(): 1, 0 at the end of the stream, or a negative errno. */
    int (*receive)(void *at, struct vu_message *m, vu_deadline deadline);
    int (*fd)(const void *at);  /* stays owned by the port */
    void (*close)(void *at);    /* the end of `at` */
};

/* Over a socket; `at` is a struct vu_channel. */
extern const struct vuc_port vuc_channel_port;

#endif
