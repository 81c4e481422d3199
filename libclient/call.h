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
    uint16_t id;            /* set by who sends it */
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
 * Send the request and await its reply, dealing with what else comes. On success the
 * reply has the right id and command, is no error, and has a body of reply_min to
 * reply_max bytes; the caller ends it with vu_message_done() before the next call. On
 * failure it is void.
 *
 * 0, -EREMOTEIO, -EPROTO, -ETIMEDOUT, -ENOTCONN, -ENOMEM; -EBUSY: a callback is the
 * caller; -EBADF: the descriptors cannot be passed. After the last two nothing was sent.
 */
int vuc_call(struct vfuc_client *client, struct vuc_request *req,
             struct vu_message *reply);

/* As vuc_call(), for a reply that says nothing but yes. */
int vuc_call_plain(struct vfuc_client *client, struct vuc_request *req);

/* Send only: it has left when this returns 0. The request must have VU_F_NO_REPLY. */
int vuc_post(struct vfuc_client *client, struct vuc_request *req);

/* As vuc_post(), but it only joins what is gathered, and leaves with whatever is sent
 * next. Without descriptors. */
int vuc_gather(struct vfuc_client *client, struct vuc_request *req);

/* ------------------------------------------------------- without waiting -- */

#define VUC_STATE_MAX 64    /* bytes that a submitted command can keep */

/*
 * What becomes of a submitted command; called once.
 *
 * err 0: the reply passed the checks of vuc_call(); the function checks what is in it,
 * uses it and ends it (vu_message_done(), or vuc_broken_reply(), whose value it returns).
 * err below 0: refused, lost, late; reply is NULL. Returns the completion's result, and
 * may set *bytes. It must not make calls.
 */
typedef int vuc_finish_fn(struct vfuc_client *client, void *state, int err,
                          struct vu_message *reply, size_t *bytes);

/*
 * Gather the request; with descriptors it leaves at once, behind what was gathered.
 * `state` is copied, at most VUC_STATE_MAX bytes.
 *
 * 0; -EAGAIN: too many are on their way, or there is no room to gather; -EBUSY; -EBADF;
 * -ENOTCONN; -ENOMEM. finish is called if this gives 0, and only then.
 */
int vuc_submit(struct vfuc_client *client, struct vuc_request *req, vuc_finish_fn *finish,
               const void *state, size_t state_len, uint64_t tag);

/* A vuc_finish_fn for a reply that says nothing but yes. No state. */
int vuc_finish_plain(struct vfuc_client *client, void *state, int err,
                     struct vu_message *reply, size_t *bytes);

/* ------------------------------------------------------ for both of them -- */

/* The message: one or two pieces in iov. Returns how many. */
int vuc_request_pieces(struct vuc_request *req, struct iovec *iov);

/* The port's error blames the request's descriptors: nothing has left. */
bool vuc_request_fds_at_fault(const struct vuc_request *req, int err);

/* "the reply to ... is broken: <what>": close, and end the reply. Returns -EPROTO. */
int vuc_broken_reply(struct vfuc_client *client, struct vu_message *reply,
                     const char *what);

#endif
