/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the server wrote by message, while it logs what the device writes itself.
 *
 * A bit for each page of 4 KiB, in blocks that exist where something was written; a block
 * never covers more than one window, so that reporting or unmapping a window that shares
 * a page with its neighbour leaves the neighbour's bit alone. What all blocks take is
 * bounded: a write that has no room for its bit must be refused.
 */
#ifndef VUC_WRITTEN_H
#define VUC_WRITTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libclient/dirty.h"
#include "libclient/interval.h"

#define VUC_WRITTEN_MAX ((size_t)64 << 20)  /* bytes of all blocks: for 2 TiB */

/* Ranges of addresses, ascending and apart. */
struct vuc_ranges {
    struct vuc_interval *at;    /* owned */
    size_t n;
};

struct vuc_written {
    bool on;
    bool everything;            /* `watched` does not count */
    struct vuc_ranges watched;
    void *blocks;               /* tree */
    size_t bytes;               /* of all blocks */
};

/* Ranges as callers give them, in any order, not empty: sorted and joined. 0, -ENOMEM. */
int vuc_ranges_of(const struct vfuc_range *ranges, uint32_t n, struct vuc_ranges *sorted);
void vuc_ranges_done(struct vuc_ranges *ranges);

/* Stop, and forget everything. Also the end of it. */
void vuc_written_stop(struct vuc_written *w);

/* [first, last], which lies in the window, is about to be written. 0 or -ENOMEM. */
int vuc_written_note(struct vuc_written *w, const struct vuc_interval *window,
                     uint64_t first, uint64_t last);

/* Mark what was noted of the report's range, and forget pages that lie in it wholly (or
 * as far as their window goes). */
void vuc_written_report(struct vuc_written *w, struct vfuc_dirty *dirty);

/* Forget a window. */
void vuc_written_forget(struct vuc_written *w, const struct vuc_interval *window);

#endif
