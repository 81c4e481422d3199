/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The attached connection: serving what it brings, and its end.
 */
#ifndef VUS_RUN_H
#define VUS_RUN_H

#include <stdbool.h>

#include "wire/channel.h"

struct vfu_ctx;

struct vus_conn {
    struct vu_channel *ch;  /* owned; NULL: nobody is attached */
    struct vu_message m;    /* being served, or kept while the device quiesces; its
                             * descriptors are owned */
    bool broken;            /* no more is read: the client is as good as gone */
};

/* Take over fd, on which VERSION has been answered. 0, or -ENOMEM and fd stays
 * with the caller. */
int vus_conn_open(struct vus_conn *c, int fd);
/* Close the socket and every descriptor that came by it. */
void vus_conn_close(struct vus_conn *c);

#endif
