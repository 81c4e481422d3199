/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How replies leave, see libserver/output.h. A small reply costs a copy into the
 * channel's buffer, from which a whole batch leaves with one system call.
 */
#include "libserver/output.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "libserver/context.h"
#include "wire/socket.h"

#define BATCH      65536u   /* bytes of replies that are worth a sendmsg() of their own */
#define QUEUE_MAX  ((size_t)1 << 30)    /* of vfu_setup_output_queue() */
#define KEEP_ROOM  (4u << 20)   /* a larger buffer is given back after use */

void vus_output_limits(size_t queue_max, struct vu_channel_limits *limits)
{
    size_t queue = queue_max < QUEUE_MAX ? queue_max : QUEUE_MAX;

    limits->batch = queue != 0 ? UINT32_MAX : BATCH;
    /* Bytes that were sent stay for a while, and take as much again. */
    limits->max_out = queue != 0 ? (uint32_t)(2 * (queue + VUS_MAX_REPLY + BATCH))
                                 : 2 * BATCH;
}

void vus_output_init(struct vus_output *o)
{
    *o = (struct vus_output){ .ch = NULL };
    vu_buffer_init(&o->bytes, VUS_MAX_REPLY);
}

void vus_output_open(struct vus_output *o, struct vu_channel *ch, size_t queue_max,
                     int stall_ms)
{
    o->ch = ch;
    o->queue_max = queue_max;
    o->stall_ns = (int64_t)stall_ms * 1000000;
    o->full_since = 0;
}

void vus_output_close(struct vus_output *o)
{
    o->ch = NULL;
    free(o->aside);
    o->aside = NULL;
    vu_buffer_done(&o->bytes);
}

/* Post a copy. False: no memory for that. */
static bool post_copy(struct vu_channel *ch, const uint8_t *bytes, size_t len, int *err)
{
    struct vu_buffer *out = vu_channel_out(ch);
    size_t start = out->len;
    uint8_t *at = vu_buffer_extend(out, len);

    if (at == NULL)
        return false;
    memcpy(at, bytes, len);
    *err = vu_channel_post(ch, start, NULL, 0);
    return true;
}

int vus_output_put(struct vus_output *o, const struct vus_reply *reply)
{
    const uint8_t *bytes = reply->out->data + reply->start;
    size_t len = vus_reply_len(reply);
    struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = len };
    int err;

    if (reply->n_fds == 0 && len < BATCH && post_copy(o->ch, bytes, len, &err))
        return err;
    if (o->queue_max != 0)
        return vu_channel_offer(o->ch, &iov, 1, reply->fds, reply->n_fds);
    return vu_channel_send(o->ch, &iov, 1, reply->fds, reply->n_fds, VU_FOREVER);
}

static void recycle_bytes(struct vus_output *o)
{
    if (o->bytes.room > KEEP_ROOM)
        vu_buffer_done(&o->bytes);
    vu_buffer_truncate(&o->bytes, 0);
}

int vus_output_put_own(struct vus_output *o, const struct vus_reply *reply)
{
    int err = vus_reply_len(reply) != 0 ? vus_output_put(o, reply) : 0;

    if (err == -EAGAIN) {
        o->aside = malloc(sizeof(*o->aside));
        if (o->aside == NULL)
            return -ENOMEM;
        *o->aside = *reply;
        return 0;
    }
    recycle_bytes(o);
    return err;
}

static int put_aside(struct vus_output *o)
{
    int err = vus_output_put(o, o->aside);

    if (err != 0)
        return err;
    free(o->aside);
    o->aside = NULL;
    recycle_bytes(o);
    return 0;
}

/* The socket takes no more: since when? */
static int judge_stall(struct vus_output *o, size_t unsent_before)
{
    int queued = vu_socket_queued(vu_channel_fd(o->ch));
    int64_t now = vu_deadline_now();

    if (o->full_since == 0 || queued < o->full_bytes ||
        vu_channel_unsent(o->ch) < unsent_before)
        o->full_since = now;
    o->full_bytes = queued;
    return now - o->full_since < o->stall_ns ? 0 : -ETIMEDOUT;
}

int vus_output_flush(struct vus_output *o)
{
    size_t before = vu_channel_unsent(o->ch);
    int err;

    if (o->queue_max == 0)
        return vu_channel_flush(o->ch, VU_FOREVER);
    err = vu_channel_flush(o->ch, VU_DONT_WAIT);
    if (err == 0 && o->aside != NULL)
        err = put_aside(o);
    if (err == -EAGAIN)
        return judge_stall(o, before);
    o->full_since = 0;
    return err;
}

bool vus_output_choked(const struct vus_output *o)
{
    return o->queue_max != 0 && o->ch != NULL &&
           (o->aside != NULL || vu_channel_unsent(o->ch) >= o->queue_max);
}

int vus_output_events(const struct vus_output *o)
{
    if (o->ch == NULL || o->queue_max == 0)
        return POLLIN;
    if (vus_output_choked(o))
        return POLLOUT;     /* what came is left unread */
    return vu_channel_unsent(o->ch) != 0 ? POLLIN | POLLOUT : POLLIN;
}
