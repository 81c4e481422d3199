/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DEVICE_FEATURE: one command for whatever can be read, set, or asked for.
 */
#ifndef VUS_FEATURE_H
#define VUS_FEATURE_H

#include <stdbool.h>

#include "libserver/dispatch.h"
#include "wire/messages.h"

/*
 * One method (GET or SET) of one feature, which the request names; for SET the client
 * has room for its own request. The handler decodes the data, writes the whole body of
 * the reply and returns 0, or returns the negative errno to send instead.
 */
typedef int vus_feature_handler(struct vfu_ctx *ctx, const struct vu_feature *request,
                                struct vus_reply *reply);

/* For GET: begin a reply with data_len bytes of data, for which the writer then has
 * room. -EINVAL: the client has none (argsz). -ENOBUFS: we have none. */
int vus_feature_answer(struct vfu_ctx *ctx, const struct vu_feature *request,
                       size_t data_len, struct vus_reply *reply, struct vu_writer *w);

/* For SET: the reply is the request. */
int vus_feature_echo(const struct vu_feature *request, struct vus_reply *reply);

/* The command, see libserver/dispatch.h. */
vus_handler vus_on_feature;
bool vus_feature_quiesces(const struct vfu_ctx *ctx, const struct vu_message *m);

#endif
