/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VERSION: what the two sides agree on for the length of a connection.
 */
#ifndef VUS_NEGOTIATE_H
#define VUS_NEGOTIATE_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/channel.h"

struct vfu_ctx;
struct vus_reply;

#define VUS_VERSION_MINOR       2u
#define VUS_MAX_MSG_FDS         8u          /* advertised; QEMU takes no more than 16 */
#define VUS_MAX_DATA_XFER       1048576u    /* bytes in one region access */
#define VUS_MAX_MESSAGE         (2 * VU_HEADER_SIZE + VUS_MAX_DATA_XFER)
#define VUS_CLIENT_MAX_MSG_FDS  1024u       /* a client that claims more is refused */

/* What holds for the present client. */
struct vus_session {
    bool negotiated;
    uint16_t minor;
    uint64_t max_msg_fds;           /* descriptors that the client takes in a message */
    uint64_t max_data_xfer_size;    /* bytes that it takes in one DMA message */
    uint64_t max_dma_maps;          /* windows it may have: the lesser of both sides */
};

/* The state before VERSION. */
void vus_session_init(struct vus_session *s);

/* The first message: its reply's body is appended. 0, or the negative errno
 * with which the client is to be refused. */
int vus_on_version(struct vfu_ctx *ctx, struct vu_message *m, struct vus_reply *reply);

#endif
