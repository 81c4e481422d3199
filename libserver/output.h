/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Replies on their way to the client: posted into the channel's buffer while they are
 * small, sent from where they lie when they are large.
 *
 * Two ways to treat a client that does not take them. By default sending waits, within
 * the channel's bounds. With a queue (vfu_setup_output_queue()) nothing waits: what the
 * socket does not take is kept, and a reply with descriptors, which has to leave in one
 * piece, stays aside until all before it has left. Under the port's lock.
 */
#ifndef VUS_OUTPUT_H
#define VUS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libserver/dispatch.h"
#include "wire/channel.h"

struct vus_output {
    struct vu_channel *ch;      /* lent: the main socket's; NULL: none */
    size_t queue_max;           /* bytes; 0: wait for the client instead */
    struct vu_buffer bytes;     /* where the run thread makes replies; its own */
    struct vus_reply *aside;    /* owned copy; its bytes stay in `bytes`; or NULL */
    int64_t stall_ns;
    int64_t full_since;         /* the client has taken nothing since; 0: it has */
    int full_bytes;             /* in the kernel, when last looked at */
};

/* Limits for a channel whose output this will be. */
void vus_output_limits(size_t queue_max, struct vu_channel_limits *limits);

void vus_output_init(struct vus_output *o);
void vus_output_open(struct vus_output *o, struct vu_channel *ch, size_t queue_max,
                     int stall_ms);
/* Drop what has not left. */
void vus_output_close(struct vus_output *o);

/* Post or send. 0 or negative errno of sending; -EAGAIN: it has descriptors, and there
 * is a queue, in which something waits. */
int vus_output_put(struct vus_output *o, const struct vus_reply *reply);
/* The same for a reply that lies in `bytes`: it may be put aside, and `bytes` is free
 * for the next one unless vus_output_choked(). */
int vus_output_put_own(struct vus_output *o, const struct vus_reply *reply);

/* Send what can be sent, or all of it, as the case may be. 0, or negative errno: the
 * client is lost; -ETIMEDOUT: it has taken nothing for too long. */
int vus_output_flush(struct vus_output *o);

/* So much waits that no further command may be served. Never without a queue. */
bool vus_output_choked(const struct vus_output *o);
/* What to poll the socket for. */
int vus_output_events(const struct vus_output *o);

#endif
