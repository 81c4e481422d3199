/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An ordered table from 64-bit keys to 32-bit references: a B+-tree that one
 * thread changes while any other looks things up, without a lock.
 *
 * A reader takes the sequence counter, walks, and asks whether the counter is
 * still the same. If not, what it saw may be a mixture: it starts again.
 *
 *   for (;;) {
 *       uint64_t seq = vus_table_enter(&t, &try);
 *       found = vus_table_floor(&t, seq, key, &ref);
 *       ... read what ref stands for, with loads that acquire ...
 *       if (vus_table_leave(&t, seq, &try))
 *           break;
 *   }
 *
 * A reference is followed only after the counter has shown that it is genuine,
 * and memory of nodes is type-stable, so a mixture can mislead a reader but not
 * lead it astray; it makes as many steps as the tree is high. Who finds changes
 * in its way again and again takes the lock of the writer, which is bounded.
 *
 * Order is by acquire and release on each access, not by fences: thread
 * sanitizers know the former only, and on most machines they cost nothing.
 *
 * What must be fast is vus_table_floor(). A node is searched in two steps of
 * seven comparisons that do not depend on each other: first among every eighth
 * key, which share a cache line, then among the seven keys in between.
 */
#ifndef VUS_TABLE_H
#define VUS_TABLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libserver/slab.h"

#define VUS_NODE_MAX  63u   /* entries */
#define VUS_NODE_STEP 7u

/* Sorted entries of a leaf, or of an inner node: there a key is the smallest one
 * below, a reference another node. Unused keys are UINT64_MAX. */
struct vus_node {
    _Alignas(64) _Atomic uint64_t sample[VUS_NODE_STEP];    /* keys 7, 15, ... 55 */
    _Atomic uint32_t n;
    uint32_t spare;
    _Atomic uint64_t between[VUS_NODE_STEP * (VUS_NODE_STEP + 1)];
    _Atomic uint32_t ref[VUS_NODE_MAX];
};

#define VUS_SLAB_NODES_LOG 5u   /* 32 nodes, 24 KiB */

struct vus_table {
    _Atomic uint64_t seq;       /* odd while it changes */
    struct vus_node *_Atomic root;
    _Atomic uint32_t height;    /* levels of nodes; 0: the table is empty */
    struct vus_slabs nodes;
    /* Of the writer. */
    uint32_t root_ref;
    uint32_t free;              /* a list by ref[0] */
    uint32_t n_free;
    uint32_t n_made;            /* nodes that exist */
    pthread_mutex_t lock;       /* held during a change */
};

void vus_table_init(struct vus_table *t);
void vus_table_done(struct vus_table *t);

/* ---------------------------------------------------- one thread only -- */

/* Add a key that is not there. 0 or -ENOMEM. */
int vus_table_insert(struct vus_table *t, uint64_t key, uint32_t ref);
/* Remove a key that is there. */
void vus_table_remove(struct vus_table *t, uint64_t key);
/* The first entry at or behind key. False: there is none. */
bool vus_table_ceiling(const struct vus_table *t, uint64_t key, uint32_t *ref);

/* --------------------------------------------------------- any thread -- */

/* How hard a reader has tried; begins with 0. */
struct vus_try {
    unsigned n;
    bool locked;
};

/* Wait a little, or for the lock: the slow half of vus_table_enter(). */
uint64_t vus_table_enter_slowly(const struct vus_table *t, struct vus_try *try);
bool vus_table_leave_slowly(const struct vus_table *t, bool same, struct vus_try *try);

static inline uint64_t vus_table_enter(const struct vus_table *t, struct vus_try *try)
{
    uint64_t seq = atomic_load_explicit(&t->seq, memory_order_acquire);

    if (__builtin_expect((seq & 1) != 0 || try->n != 0, 0))
        return vus_table_enter_slowly(t, try);
    return seq;
}

/* Whether nothing has changed since. */
static inline bool vus_table_same(const struct vus_table *t, uint64_t seq)
{
    uint64_t now = atomic_load_explicit(&t->seq, memory_order_acquire);

    return __builtin_expect(now == seq, 1);
}

/* False: what was read since vus_table_enter() is worth nothing. */
static inline bool vus_table_leave(const struct vus_table *t, uint64_t seq,
                                   struct vus_try *try)
{
    bool same = vus_table_same(t, seq);

    if (__builtin_expect(!same || try->locked, 0))
        return vus_table_leave_slowly(t, same, try);
    return true;
}

static inline struct vus_node *vus_table_node(void **list, uint32_t ref)
{
    struct vus_node *nodes = list[ref >> VUS_SLAB_NODES_LOG];

    return &nodes[ref & ((1u << VUS_SLAB_NODES_LOG) - 1)];
}

static inline unsigned vus_key_below(const _Atomic uint64_t *at, uint64_t key)
{
    return atomic_load_explicit(at, memory_order_acquire) <= key;
}

/* How many of seven keys are at or below key: written out, since compilers keep a
 * loop here, which takes twice as long. */
static inline unsigned vus_node_step(const _Atomic uint64_t *keys, uint64_t key)
{
    return vus_key_below(&keys[0], key) + vus_key_below(&keys[1], key) +
           vus_key_below(&keys[2], key) + vus_key_below(&keys[3], key) +
           vus_key_below(&keys[4], key) + vus_key_below(&keys[5], key) +
           vus_key_below(&keys[6], key);
}

/* How many of a node's keys are at or below key: at most VUS_NODE_MAX, whatever
 * the node looks like. */
static inline unsigned vus_node_rank(const struct vus_node *node, uint64_t key)
{
    unsigned n = atomic_load_explicit(&node->n, memory_order_acquire);
    unsigned step, rank;

    if (n == 1)     /* guests with one window are common */
        return vus_key_below(&node->between[0], key);
    step = n > VUS_NODE_STEP ? vus_node_step(node->sample, key) : 0;
    __builtin_prefetch(&node->ref[step * (VUS_NODE_STEP + 1)]);
    rank = step * (VUS_NODE_STEP + 1) +
           vus_node_step(&node->between[step * VUS_NODE_STEP], key);
    return rank < n ? rank : n;     /* UINT64_MAX is at or above unused keys */
}

/* The last entry at or before key. False: there is none, or there was a change,
 * which vus_table_leave() tells. Ask it before using *ref. */
static inline __attribute__((always_inline)) bool
vus_table_floor(const struct vus_table *t, uint64_t seq, uint64_t key, uint32_t *ref)
{
    uint32_t height = atomic_load_explicit(&t->height, memory_order_acquire);
    const struct vus_node *node = atomic_load_explicit(&t->root, memory_order_acquire);

    while (height-- != 0) {
        unsigned rank = vus_node_rank(node, key);
        uint32_t at;

        if (rank == 0)
            return false;
        at = atomic_load_explicit(&node->ref[rank - 1], memory_order_acquire);
        if (height == 0) {
            *ref = at;
            return true;
        }
        if (!vus_table_same(t, seq))
            return false;
        node = vus_table_node(vus_slabs_list(&t->nodes), at);
    }
    return false;
}

#endif
