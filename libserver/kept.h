/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands that were read while something else was under way, with their
 * descriptors, in the order in which they came. Bounded: see vus_kept_full().
 */
#ifndef VUS_KEPT_H
#define VUS_KEPT_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/channel.h"

#define VUS_QUEUE_COMMANDS 256u
#define VUS_QUEUE_BYTES    (4u << 20)
#define VUS_QUEUE_FDS      1024u

struct vus_kept {
    struct vus_kept *next;
    struct vu_header h;
    size_t body_len, n_fds;
    bool fds_lost;
    int fds[];              /* owned; the body lies behind them */
};

/* All zero: empty. */
struct vus_queue {
    struct vus_kept *first, *last;  /* owned */
    size_t n, bytes, fds;
    size_t irqs;                    /* of SET_IRQS among them */
};

/* Append; the message gives up its descriptors. 0 or -ENOMEM. */
int vus_queue_put(struct vus_queue *q, struct vu_message *m);

/* Take the first out: *m becomes it, and owns its descriptors; what is returned owns its
 * bytes, free() ends them. NULL: there is none. */
struct vus_kept *vus_queue_take(struct vus_queue *q, struct vu_message *m);

/* More than the bounds: take some before the next one is put. (So one more than each
 * bound may be in it.) */
bool vus_queue_full(const struct vus_queue *q);

/* Close and free all. */
void vus_queue_done(struct vus_queue *q);

#endif
