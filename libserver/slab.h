/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Type-stable memory: objects of one kind in slabs of one size, which are given
 * back all at once at the end.
 *
 * Who reads without a lock may hold on to an object that is gone. Here it still
 * is an object of that kind then, not somebody else's memory; a counter tells
 * the reader that it changed. A slab is known by its index, so that a reference
 * to an object fits in 32 bits. Turning an index into an address must be fast.
 *
 * One thread adds; any thread that got an index from it turns it into an address.
 */
#ifndef VUS_SLAB_H
#define VUS_SLAB_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct vus_slabs {
    void **_Atomic list;    /* owned, the slabs too. list[-1]: the list before it grew */
    uint32_t n;
    uint32_t room;          /* entries of list */
};

/* One more slab, whose index is s->n - 1 then: bytes at a multiple of align,
 * uninitialised. 0 or -ENOMEM, also for an index of limit. */
int vus_slabs_add(struct vus_slabs *s, size_t align, size_t bytes, uint32_t limit);

/* Free them all; empty afterwards. */
void vus_slabs_done(struct vus_slabs *s);

/* The list is never smaller than the thread that adds has told its readers. */
static inline void **vus_slabs_list(const struct vus_slabs *s)
{
    return atomic_load_explicit(&s->list, memory_order_acquire);
}

#endif
