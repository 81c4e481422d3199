/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The core of the server: a message in, a reply out. No socket is known here,
 * so the run loop, unit tests and a fuzzer call the same function.
 *
 *   struct vus_reply reply;
 *
 *   reply.out = &buffer;
 *   outcome = vus_process(ctx, &m, &reply);
 *   while (outcome == VUS_PENDING) {
 *       ... the device calls vfu_device_quiesced(), or in a test ...
 *       outcome = vus_resume(ctx, &m, &reply, 0);
 *   }
 *   vu_message_done(&m);
 *   if (vus_reply_len(&reply) != 0)
 *       send(reply.out->data + reply.start, reply.fds, reply.n_fds);
 *   vus_resumed(ctx);       only after vus_resume()
 */
#ifndef VUS_DISPATCH_H
#define VUS_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/channel.h"

struct vfu_ctx;

/* One reply under construction at the end of a buffer that may hold others. */
struct vus_reply {
    struct vu_buffer *out;      /* lent */
    size_t start;               /* where in out the reply's header is */
    size_t n_fds;
    int fds[VU_MAX_MSG_FDS];    /* lent by the device, to be sent along */
};

enum vus_outcome {
    VUS_SERVED,     /* the command was carried out or refused */
    VUS_REFUSED,    /* it did not get as far as its handler's checks: not a command,
                     * or the device refused to quiesce */
    VUS_PENDING,    /* the device quiesces first: keep the message for vus_resume() */
    VUS_FATAL,      /* send the reply, if any, then drop the connection */
};

enum vus_outcome vus_process(struct vfu_ctx *ctx, struct vu_message *m,
                             struct vus_reply *reply);

/* Finish a command that was pending: carry it out, or refuse it when err (a
 * negative errno) is not 0. The device counts as quiesced until vus_resumed(). */
enum vus_outcome vus_resume(struct vfu_ctx *ctx, struct vu_message *m,
                            struct vus_reply *reply, int err);
void vus_resumed(struct vfu_ctx *ctx);

/* Whether vus_process() would ask the device to quiesce, which may take long:
 * what is ready to be sent should leave before. */
bool vus_may_wait(const struct vfu_ctx *ctx, const struct vu_message *m);

/* Whether any thread may pass it to vus_process(), while another thread or an outer
 * call serves a command: it calls nothing but the log function. */
bool vus_may_cross(const struct vfu_ctx *ctx, const struct vu_message *m);

/* The reply to a header that cannot be trusted (m->h as it came). */
void vus_refuse_framing(struct vfu_ctx *ctx, struct vu_message *m,
                        struct vus_reply *reply);

/* Bytes of the reply; 0: nothing is to be sent. */
static inline size_t vus_reply_len(const struct vus_reply *reply)
{
    return reply->out->len - reply->start;
}

/* For handlers: append room for len bytes of body. The writer fails by itself
 * when there is no room. */
struct vu_writer vus_reply_body(struct vus_reply *reply, size_t len);

/*
 * A command's handler. The message is a command, its body has the minimum
 * length, and its descriptors are at most as many as it can use. It writes the
 * reply's body and returns 0, or returns the negative errno to send instead.
 * Descriptors that it wants to keep it takes out of the message.
 */
typedef int vus_handler(struct vfu_ctx *ctx, struct vu_message *m,
                        struct vus_reply *reply);

#endif
