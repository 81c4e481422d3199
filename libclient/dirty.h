/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A report of dirty pages: the bitmap that the public iterator walks.
 */
#ifndef VUC_DIRTY_H
#define VUC_DIRTY_H

#include <stddef.h>
#include <stdint.h>

#include "libclient/include/vfio-user-client.h"
#include "wire/cursor.h"

struct vfuc_dirty {
    uint64_t address;
    uint64_t size;
    unsigned shift;         /* log2 of the page size */
    uint64_t pages;         /* that the range has */
    uint64_t next;          /* page where vfuc_dirty_next() goes on */
    size_t n_words;
    uint64_t words[];       /* bits from `pages` on are clear */
};

/* A clean one; vfuc_dirty_free() ends it. The range must not be empty or wrap around, and
 * page_size be a power of two. NULL: out of memory, or a bitmap beyond all reason. */
struct vfuc_dirty *vuc_dirty_new(uint64_t address, uint64_t size, uint64_t page_size);

/* The pages that [first, last], which lies in the range, touches are dirty. */
void vuc_dirty_mark(struct vfuc_dirty *dirty, uint64_t first, uint64_t last);

/* A server's bitmap for [first, first + size), which lies in the range: as many bits as
 * that has pages of ours, counted from first; what is behind them is not looked at. */
void vuc_dirty_merge(struct vfuc_dirty *dirty, uint64_t first, uint64_t size,
                     struct vu_bytes bitmap);

#endif
