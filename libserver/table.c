/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The writer's half of the table, see table.h: a B+-tree.
 *
 * Keys of inner nodes are exact: each is the smallest key below it. So the entry
 * at or before a key is found by one walk down. Nodes next to each other are
 * joined when half of a node's room is enough for both, so that windows which
 * went away do not leave many nodes with few entries.
 *
 * Every store of a change releases, so a reader that saw it sees that the counter
 * is odd, or has moved on.
 */
#include "libserver/table.h"

#include <assert.h>
#include <errno.h>

#define MAX_HEIGHT   12u        /* 2^32 entries, nodes a fifth full, are fewer */
#define MERGE_AT     48u        /* two nodes that fit in one with room to spare */
#define SLAB_NODES   (1u << VUS_SLAB_NODES_LOG)
#define MAX_SLABS    (1u << (32 - VUS_SLAB_NODES_LOG))
#define NOTHING      UINT64_MAX /* unused keys */

_Static_assert(sizeof(struct vus_node) == 768, "12 cache lines");
_Static_assert(VUS_NODE_STEP + VUS_NODE_STEP * (VUS_NODE_STEP + 1) == VUS_NODE_MAX,
               "each key has a place");

/* --------------------------------------------------------------- nodes -- */

static uint32_t height_of(const struct vus_table *t)
{
    return atomic_load_explicit(&t->height, memory_order_relaxed);
}

static struct vus_node *node_at(const struct vus_table *t, uint32_t ref)
{
    return vus_table_node(vus_slabs_list(&t->nodes), ref);
}

static uint32_t root_of(const struct vus_table *t)
{
    return t->root_ref;
}

/* A reader that sees height and root of two states sees a change before it follows
 * what it found in the root. */
static void set_root(struct vus_table *t, uint32_t height, uint32_t ref)
{
    t->root_ref = ref;
    atomic_store_explicit(&t->root, node_at(t, ref), memory_order_release);
    atomic_store_explicit(&t->height, height, memory_order_release);
}

static unsigned count(const struct vus_node *node)
{
    return atomic_load_explicit(&node->n, memory_order_relaxed);
}

static void set_count(struct vus_node *node, unsigned n)
{
    atomic_store_explicit(&node->n, n, memory_order_release);
}

static uint32_t get_ref(const struct vus_node *node, unsigned i)
{
    return atomic_load_explicit(&node->ref[i], memory_order_relaxed);
}

static void set_ref(struct vus_node *node, unsigned i, uint32_t ref)
{
    atomic_store_explicit(&node->ref[i], ref, memory_order_release);
}

/* Where key i is: every eighth is a sample. */
static size_t between(unsigned i)
{
    return i - i / (VUS_NODE_STEP + 1);
}

static bool is_sample(unsigned i)
{
    return i % (VUS_NODE_STEP + 1) == VUS_NODE_STEP;
}

static uint64_t get_key(const struct vus_node *node, unsigned i)
{
    const _Atomic uint64_t *at = is_sample(i) ? &node->sample[i / (VUS_NODE_STEP + 1)]
                                              : &node->between[between(i)];

    return atomic_load_explicit(at, memory_order_relaxed);
}

static void set_key(struct vus_node *node, unsigned i, uint64_t key)
{
    _Atomic uint64_t *at = is_sample(i) ? &node->sample[i / (VUS_NODE_STEP + 1)]
                                        : &node->between[between(i)];

    atomic_store_explicit(at, key, memory_order_release);
}

static void copy_entry(struct vus_node *to, unsigned i, const struct vus_node *from,
                       unsigned k)
{
    set_key(to, i, get_key(from, k));
    set_ref(to, i, get_ref(from, k));
}

/* Make room at i and fill it. The node is not full. */
static void node_add(struct vus_node *node, unsigned i, uint64_t key, uint32_t ref)
{
    unsigned n = count(node);

    for (unsigned k = n; k > i; k--)
        copy_entry(node, k, node, k - 1);
    set_key(node, i, key);
    set_ref(node, i, ref);
    set_count(node, n + 1);
}

static void node_take(struct vus_node *node, unsigned i)
{
    unsigned n = count(node);

    for (unsigned k = i; k + 1 < n; k++)
        copy_entry(node, k, node, k + 1);
    set_key(node, n - 1, NOTHING);
    set_count(node, n - 1);
}

/* Entries from i on go behind those of another node. */
static void node_move(struct vus_node *to, struct vus_node *from, unsigned i)
{
    unsigned n = count(from);
    unsigned end = count(to);

    for (unsigned k = i; k < n; k++) {
        copy_entry(to, end++, from, k);
        set_key(from, k, NOTHING);
    }
    set_count(to, end);
    set_count(from, i);
}

/* -------------------------------------------------------------- memory -- */

static void give_back(struct vus_table *t, uint32_t ref)
{
    set_ref(node_at(t, ref), 0, t->free);
    t->free = ref;
    t->n_free++;
}

/* Have n nodes ready, so that a change cannot fail half-way. 0 or -ENOMEM. */
static int reserve(struct vus_table *t, uint32_t n)
{
    while (t->n_free < n) {
        if (t->n_made == t->nodes.n * SLAB_NODES) {
            int err = vus_slabs_add(&t->nodes, _Alignof(struct vus_node),
                                    SLAB_NODES * sizeof(struct vus_node), MAX_SLABS);

            if (err != 0)
                return err;
        }
        give_back(t, t->n_made++);
    }
    return 0;
}

/* One of those, empty. */
static uint32_t take_node(struct vus_table *t)
{
    uint32_t ref = t->free;
    struct vus_node *node = node_at(t, ref);

    assert(t->n_free != 0);
    t->free = get_ref(node, 0);
    t->n_free--;
    for (unsigned i = 0; i < VUS_NODE_MAX; i++)
        set_key(node, i, NOTHING);
    set_count(node, 0);
    return ref;
}

/* The nodes from the root (level 0) to a leaf, and which entry of each. */
struct path {
    unsigned height;
    struct vus_node *node[MAX_HEIGHT];
    unsigned at[MAX_HEIGHT];
};

/* To the leaf where key belongs; there, at is the number of keys at or below it. */
static void walk(const struct vus_table *t, uint64_t key, struct path *p)
{
    uint32_t ref = root_of(t);

    p->height = height_of(t);
    for (unsigned level = 0; level < p->height; level++) {
        struct vus_node *node = node_at(t, ref);
        unsigned rank = vus_node_rank(node, key);
        bool leaf = level + 1 == p->height;

        p->node[level] = node;
        p->at[level] = leaf || rank == 0 ? rank : rank - 1;
        ref = get_ref(node, leaf ? 0 : p->at[level]);
    }
}

/* The node at level has a new smallest key: tell those above it. */
static void raise_key(struct path *p, unsigned level)
{
    uint64_t key = get_key(p->node[level], 0);

    while (level-- > 0) {
        set_key(p->node[level], p->at[level], key);
        if (p->at[level] != 0)
            break;
    }
}

/* ------------------------------------------------------------- changes -- */

static void change_begin(struct vus_table *t)
{
    pthread_mutex_lock(&t->lock);
    atomic_fetch_add_explicit(&t->seq, 1, memory_order_acq_rel);
}

static void change_end(struct vus_table *t)
{
    atomic_fetch_add_explicit(&t->seq, 1, memory_order_release);
    pthread_mutex_unlock(&t->lock);
}

/* A full node becomes two and gets its entry. Returns the new one, which is on the
 * right. Where entries come in order, up or down, full nodes are left behind. */
static uint32_t split(struct vus_table *t, struct vus_node *node, unsigned i,
                      uint64_t key, uint32_t ref)
{
    unsigned cut = i == VUS_NODE_MAX ? VUS_NODE_MAX : i <= 1 ? 1 : VUS_NODE_MAX / 2 + 1;
    uint32_t right = take_node(t);

    node_move(node_at(t, right), node, cut);
    if (i > cut || cut == VUS_NODE_MAX)
        node_add(node_at(t, right), i - cut, key, ref);
    else
        node_add(node, i, key, ref);
    return right;
}

/* The root was split. */
static void grow(struct vus_table *t, uint32_t right)
{
    uint32_t left = root_of(t);
    uint32_t root = take_node(t);

    node_add(node_at(t, root), 0, get_key(node_at(t, left), 0), left);
    node_add(node_at(t, root), 1, get_key(node_at(t, right), 0), right);
    set_root(t, height_of(t) + 1, root);
}

static void insert(struct vus_table *t, struct path *p, uint64_t key, uint32_t ref)
{
    for (unsigned level = p->height - 1;; level--) {
        struct vus_node *node = p->node[level];
        unsigned i = p->at[level] + (level + 1 != p->height);  /* above: on its right */
        bool full = count(node) == VUS_NODE_MAX;

        if (full)
            ref = split(t, node, i, key, ref);
        else
            node_add(node, i, key, ref);
        if (i == 0)
            raise_key(p, level);
        if (!full)
            return;
        if (level == 0) {
            grow(t, ref);
            return;
        }
        key = get_key(node_at(t, ref), 0);
    }
}

int vus_table_insert(struct vus_table *t, uint64_t key, uint32_t ref)
{
    struct path p;
    int err = reserve(t, height_of(t) + 1);

    if (err != 0)
        return err;
    assert(height_of(t) < MAX_HEIGHT);
    change_begin(t);
    if (height_of(t) == 0)
        set_root(t, 1, take_node(t));
    walk(t, key, &p);
    insert(t, &p, key, ref);
    change_end(t);
    return 0;
}

/* Join the node at level with one beside it, if both are small. Then the path names
 * the entry above that has to go. */
static bool merge(struct vus_table *t, struct path *p, unsigned level)
{
    struct vus_node *above = p->node[level - 1];
    unsigned n = count(p->node[level]);
    unsigned i = p->at[level - 1];

    for (unsigned right = i; right <= i + 1; right++) {     /* i is right of i - 1 */
        uint32_t gone;

        if (right == 0 || right == count(above))
            continue;
        if (n + count(node_at(t, get_ref(above, right == i ? i - 1 : right))) > MERGE_AT)
            continue;
        gone = get_ref(above, right);
        node_move(node_at(t, get_ref(above, right - 1)), node_at(t, gone), 0);
        give_back(t, gone);
        p->at[level - 1] = right;
        return true;
    }
    return false;
}

/* Take the path's entry out, and whatever has become superfluous by that. */
static void take(struct vus_table *t, struct path *p)
{
    for (unsigned level = p->height - 1;; level--) {
        struct vus_node *node = p->node[level];

        node_take(node, p->at[level]);
        if (count(node) == 0) {
            if (level == 0) {
                give_back(t, root_of(t));
                set_root(t, 0, 0);
                return;
            }
            give_back(t, get_ref(p->node[level - 1], p->at[level - 1]));
            continue;
        }
        if (p->at[level] == 0)
            raise_key(p, level);
        if (level == 0 || !merge(t, p, level))
            return;
    }
}

/* A root with a single node below it is not needed. */
static void shrink(struct vus_table *t)
{
    while (height_of(t) > 1 && count(node_at(t, root_of(t))) == 1) {
        uint32_t root = root_of(t);

        set_root(t, height_of(t) - 1, get_ref(node_at(t, root), 0));
        give_back(t, root);
    }
}

void vus_table_remove(struct vus_table *t, uint64_t key)
{
    struct path p;

    walk(t, key, &p);
    assert(p.height != 0 && p.at[p.height - 1] != 0);
    p.at[p.height - 1]--;
    assert(get_key(p.node[p.height - 1], p.at[p.height - 1]) == key);
    change_begin(t);
    take(t, &p);
    shrink(t);
    change_end(t);
}

bool vus_table_ceiling(const struct vus_table *t, uint64_t key, uint32_t *ref)
{
    struct path p;
    unsigned level;
    uint32_t at;

    walk(t, key, &p);
    if (p.height == 0)
        return false;
    level = p.height - 1;
    if (p.at[level] != 0 && get_key(p.node[level], p.at[level] - 1) == key)
        p.at[level]--;
    while (p.at[level] == count(p.node[level])) {   /* behind this node: the next one */
        if (level-- == 0)
            return false;
        p.at[level]++;
    }
    for (at = get_ref(p.node[level], p.at[level]); level + 1 < p.height; level++)
        at = get_ref(node_at(t, at), 0);
    *ref = at;
    return true;
}

/* ------------------------------------------------------------- readers -- */

#define TRIES 16u       /* then the lock; each may have met another change */
#define SPINS 64u       /* a change takes less than a microsecond */

uint64_t vus_table_enter_slowly(const struct vus_table *t, struct vus_try *try)
{
    uint64_t seq = 1;

    for (unsigned i = 0; try->n < TRIES && i < SPINS; i++) {
        seq = atomic_load_explicit(&t->seq, memory_order_acquire);
        if ((seq & 1) == 0)
            return seq;
    }
    /* The table is const for readers, its lock is not. */
    pthread_mutex_lock(&((struct vus_table *)(uintptr_t)t)->lock);
    try->locked = true;
    return atomic_load_explicit(&t->seq, memory_order_acquire);
}

bool vus_table_leave_slowly(const struct vus_table *t, bool same, struct vus_try *try)
{
    if (try->locked)
        pthread_mutex_unlock(&((struct vus_table *)(uintptr_t)t)->lock);
    try->locked = false;
    try->n++;
    return same;
}

/* ----------------------------------------------------------- lifecycle -- */

void vus_table_init(struct vus_table *t)
{
    *t = (struct vus_table){ .seq = 0 };
    pthread_mutex_init(&t->lock, NULL);     /* cannot fail without attributes */
}

void vus_table_done(struct vus_table *t)
{
    vus_slabs_done(&t->nodes);
    pthread_mutex_destroy(&t->lock);
}
