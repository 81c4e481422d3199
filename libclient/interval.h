/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Disjoint intervals of addresses, found by what they overlap.
 *
 * A tree of libc's (tsearch) in which intervals that overlap compare equal: that is a
 * consistent order for as long as those in the tree do not. Who keeps something there
 * begins its struct with the interval. Both ends are inclusive, so that 2^64 needs no
 * case of its own.
 */
#ifndef VUC_INTERVAL_H
#define VUC_INTERVAL_H

#include <stdbool.h>
#include <stdint.h>

struct vuc_interval {
    uint64_t first, last;
};

/* Does it hold [first, last]? */
static inline bool vuc_interval_holds(const struct vuc_interval *at, uint64_t first,
                                      uint64_t last)
{
    return at->first <= first && last <= at->last;
}

/* Put one in, lent until it is taken out. 0, -EEXIST (it overlaps another) or -ENOMEM. */
int vuc_interval_add(void **tree, struct vuc_interval *at);

/* Take it out; it must be there. */
void vuc_interval_remove(void **tree, struct vuc_interval *at);

/* One that overlaps [first, last], whichever is found first, or NULL. */
void *vuc_interval_any(void *const *tree, uint64_t first, uint64_t last);

/* The lowest one that overlaps [first, last], or NULL. */
void *vuc_interval_lowest(void *const *tree, uint64_t first, uint64_t last);

#endif
