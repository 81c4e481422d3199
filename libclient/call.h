/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One command and its reply.
 *
 *   struct vuc_request req;
 *   struct vu_message reply;
 *
 *   vuc_request_init(&req, VU_DEVICE_RESET);
 *   vu_encode_...(&req.body, ...);
 *   err = vuc_call(client, &req, &reply);
 *   if (err < 0)
 *       return err;
 *   ... decode reply.body, take descriptors out ...
 *   vu_message_done(&reply);
 *
 * A register access is one such exchange, so nothing here allocates: the request's fixed
 * part is built in the request itself, larger data is sent from where it lies, and the
 * reply is read where it arrived.
 */
#ifndef VUC_CALL_H
#define VUC_CALL_H

#include "libclient/client.h"

/* The largest fixed request structure, DMA_UNMAP with its bitmap. */
#define VUC_REQUEST_MAX VU_DMA_UNMAP_BITMAP_SIZE

struct vuc_request {
    uint16_t command;
    uint16_t id;            /* set by vuc_call() */
    uint32_t flags;         /* VU_F_NO_REPLY or 0 */
    struct vu_writer body;  /* the fixed part goes in here */
    const void *data;       /* sent behind the fixed part; lent */
    size_t data_len;
    const int *fds;         /* lent */
    size_t n_fds;
    uint32_t reply_min;     /* bytes of body of a good reply; from the command table */
    uint32_t reply_max;     /*   at first, and to be narrowed by the caller */
    uint8_t bytes[VU_HEADER_SIZE + VUC_REQUEST_MAX];
};

void vuc_request_init(struct vuc_request *req, enum vu_command command);

/*
 * Send the request and await its reply. On success the reply has the right id and
 * command, is no error, and has a body of reply_min to reply_max bytes; the caller ends
 * it with vu_message_done() before the next call. On failure it is void.
 *
 * 0, -EREMOTEIO, -EPROTO, -ETIMEDOUT, -ENOTCONN, -ENOMEM; -EBADF when the descriptors
 * cannot be passed, in which case nothing was sent.
 */
int vuc_call(struct vfuc_client *client, struct vuc_request *req,
             struct vu_message *reply);

/* As vuc_call(), for a reply that says nothing but yes. */
int vuc_call_plain(struct vfuc_client *client, struct vuc_request *req);

/* Send only. The request must have VU_F_NO_REPLY. */
int vuc_post(struct vfuc_client *client, struct vuc_request *req);

/* "the reply to ... is broken: <what>": close, and end the reply. Returns -EPROTO. */
int vuc_broken_reply(struct vfuc_client *client, struct vu_message *reply,
                     const char *what);

#endif
