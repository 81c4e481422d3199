/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The connection: its states, serving what it brings, and its end.
 *
 *               accepted              agreed               broke
 *     NOBODY ------------> HALF_OPEN ---------> ATTACHED ---------> BROKEN
 *        ^                     |                    |                 |
 *        |        ended        |       ended        |      ended      |
 *        +---------------------+--------------------+-----------------+
 *
 * HALF_OPEN: VERSION has not come yet, or not all of it (libserver/attach.c).
 * BROKEN: no more is read or written, the client is as good as gone; it stays so
 * until the device has quiesced and all that came from the client is released.
 */
#ifndef VUS_RUN_H
#define VUS_RUN_H

#include "libvfio-user.h"

#include <stdbool.h>

#include "libserver/port.h"
#include "wire/channel.h"

struct vfu_ctx;

#define VUS_TIMEOUTS (VFU_TIMEOUT_DMA + 1)

/* What holds unless vfu_setup_timeout() says otherwise. */
void vus_timeouts_init(struct vfu_ctx *ctx);

enum vus_conn_state {
    VUS_NOBODY,
    VUS_HALF_OPEN,
    VUS_ATTACHED,
    VUS_BROKEN,
    VUS_CONN_STATES,
};

enum vus_conn_event {
    VUS_ACCEPTED,           /* a client has connected */
    VUS_AGREED,             /* VERSION was answered with success */
    VUS_BROKE,              /* the stream makes no sense, or the client is gone */
    VUS_ENDED,              /* the socket is closed */
    VUS_CONN_EVENTS,
};

struct vus_conn {
    enum vus_conn_state state;
    struct vus_port port;   /* open in ATTACHED and BROKEN */
    struct vu_message m;    /* being served, or kept while the device quiesces; its
                             * descriptors are owned */
};

void vus_conn_event(struct vus_conn *c, enum vus_conn_event event);

/* A client is attached, sound or broken. */
static inline bool vus_conn_attached(const struct vus_conn *c)
{
    return c->port.ch[VUS_MAIN] != NULL;
}

/* The connected socket. */
static inline int vus_conn_fd(const struct vus_conn *c)
{
    return vu_channel_fd(c->port.ch[VUS_MAIN]);
}

/* Take over fd, on which VERSION has been answered, and the twin socket (-1: none),
 * in any case. 0 or -ENOMEM. */
int vus_conn_open(struct vfu_ctx *ctx, int fd, int twin);
/* Close the sockets and every descriptor that came by them. */
void vus_conn_close(struct vfu_ctx *ctx);

#endif
