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

#include <stdbool.h>

#include "wire/channel.h"

struct vfu_ctx;

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
    struct vu_channel *ch;  /* owned; in ATTACHED and BROKEN, else NULL */
    struct vu_message m;    /* being served, or kept while the device quiesces; its
                             * descriptors are owned */
};

void vus_conn_event(struct vus_conn *c, enum vus_conn_event event);

/* A client is attached, sound or broken. */
static inline bool vus_conn_attached(const struct vus_conn *c)
{
    return c->ch != NULL;
}

/* Take over fd, on which VERSION has been answered. 0, or -ENOMEM and fd stays
 * with the caller. */
int vus_conn_open(struct vus_conn *c, int fd);
/* Close the socket and every descriptor that came by it. */
void vus_conn_close(struct vus_conn *c);

#endif
