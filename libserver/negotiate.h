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
#define VUS_MAX_BITMAP          (32u << 20) /* bytes of dirty bitmap in one reply */
/* The largest reply: DMA_UNMAP with bitmap. */
#define VUS_MAX_REPLY           (VU_HEADER_SIZE + VU_DMA_UNMAP_BITMAP_SIZE + VUS_MAX_BITMAP)
#define VUS_CLIENT_MAX_MSG_FDS  1024u       /* a client that claims more is refused */

/* What holds for the present client. */
struct vus_session {
    bool negotiated;
    uint16_t minor;
    uint64_t max_msg_fds;           /* descriptors that the client takes in a message */
    uint64_t max_data_xfer_size;    /* bytes that it takes in one DMA message */
    uint64_t max_dma_maps;          /* windows it may have: the lesser of both sides */
    bool write_multiple;            /* REGION_WRITE_MULTI was agreed on */
    uint64_t migration_pgsize;      /* bytes a page, as answered; 0: not agreed on */
    int twin;                       /* owned: our end of the twin socket; -1: none, or
                                     * taken */
    int twin_peer;                  /* owned: the client's end until VERSION's reply is
                                     * sent; -1 */
};

/* The state before VERSION. */
void vus_session_init(struct vus_session *s);
/* The same, after a session. */
void vus_session_done(struct vus_session *s);
/* VERSION's reply is on its way, with its descriptor. */
void vus_session_sent(struct vus_session *s);
/* The twin socket, which the caller closes now; -1: none was agreed on. */
int vus_session_take_twin(struct vus_session *s);

/* The first message: its reply's body is appended. 0, or the negative errno
 * with which the client is to be refused. */
int vus_on_version(struct vfu_ctx *ctx, struct vu_message *m, struct vus_reply *reply);

#endif
