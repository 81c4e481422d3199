/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA windows: which client addresses the device may touch, and through what.
 *
 * A client maps windows at start and seldom afterwards; the device looks one up
 * on every transfer, from any of its threads (libserver/sgl.c). So lookups take no
 * lock and write nothing that others read; what they need of a window is in one
 * cache line. There may be a million windows, at 92 bytes each.
 *
 * One thread changes windows: the one that runs the context. A window that goes
 * away leaves the table first, so lookups that end later do not find it; its
 * memory stays a window until the context ends (libserver/slab.h), with another
 * generation, by which entries that outlived it are told from good ones. The
 * library's own copies and marks pin a window meanwhile, and its removal waits
 * until they are done. Pointers that the device got from vfu_sgl_get() are no
 * pins: the device lets go of them when it is asked to quiesce, or told that the
 * window goes.
 */
#ifndef VUS_DMA_H
#define VUS_DMA_H

#include "libvfio-user.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libserver/mapping.h"
#include "libserver/slab.h"
#include "libserver/table.h"
#include "wire/channel.h"

struct vus_reply;
struct vus_bitmap;

/* The largest window in bytes: existing clients and tests expect this bound. */
#define VUS_MAX_WINDOW ((uint64_t)8 << 40)

/* 64 bytes at a multiple of that. Fields of info that lookups need are stored
 * atomically, see info_set() in dma.c: an outdated entry may lead there meanwhile. */
struct vus_window {
    vfu_dma_info_t info;            /* the device keeps pointers to it */
    _Atomic uint32_t generation;    /* grows when the window goes */
    _Atomic uint32_t pins;          /* and VUS_WINDOW_AWAITED */
};

#define VUS_WINDOW_AWAITED 0x80000000u  /* the remover sleeps until pins are 0 */

/* 16 KiB less what an allocator may want to put between two of them. Side arrays
 * keep off the windows' cache lines what lookups do not need. */
#define VUS_WINDOW_SLAB_LOG 14u
#define VUS_SLAB_WINDOWS    224u
#define VUS_SLAB_PLACES_LOG 8u

struct vus_window_slab {
    /* One per window; owned, NULL: no window of the slab has had one. */
    _Atomic(struct vus_bitmap *) *_Atomic bitmaps;
    uint32_t index;         /* of the slab */
    _Alignas(64) struct vus_window windows[VUS_SLAB_WINDOWS];
    union {
        struct vus_mapping *mapping;    /* one use of it, or NULL; while in use */
        struct vus_window *free;        /* while not: next in vus_dma.free */
    } side[VUS_SLAB_WINDOWS];
};

struct vus_dma {
    /* What every lookup reads, kept away from what changes with every message. */
    char ahead[64];
    bool enabled;           /* vfu_setup_device_dma() was called */
    struct vus_table table; /* from first addresses to numbers of windows */
    struct vus_slabs slabs; /* of windows; number = slab << 8 | place */
    char behind[64];

    size_t n;               /* windows there are */
    size_t max;             /* windows that the device allows */
    vfu_dma_register_cb_t *on_register;
    vfu_dma_unregister_cb_t *on_unregister;
    struct vus_window *free;
    uint32_t n_made;        /* places of the last slab that were in use once */
    struct vus_mappings mappings;
};

/* A piece of one window, as users see its layout (40 bytes). */
struct dma_sg {
    vfu_dma_addr_t dma_addr;    /* of the window, not of the piece */
    uintptr_t region;           /* the window's address | 1, since users test the low
                                 * 32 bits; 0: not a valid entry */
    uint64_t length;
    uint64_t offset;            /* of the piece in the window */
    bool writeable;
    uint32_t generation;        /* of the window, when the entry was made */
};

void vus_dma_init(struct vus_dma *dma);
/* Free the empty table. */
void vus_dma_done(struct vus_dma *dma);
/* Unregister and release every window, lowest address first. */
void vus_dma_drop_all(struct vfu_ctx *ctx);

/* ---------------------------------------- any thread: one window's parts -- */

/* Loads of info that may be outdated: the caller checks. */
static inline uint64_t vus_window_first(const struct vus_window *w)
{
    return (uintptr_t)__atomic_load_n(&w->info.iova.iov_base, __ATOMIC_ACQUIRE);
}

static inline uint64_t vus_window_length(const struct vus_window *w)
{
    return __atomic_load_n(&w->info.iova.iov_len, __ATOMIC_ACQUIRE);
}

/* Included: a window may end at the last address there is. */
static inline uint64_t vus_window_last(const struct vus_window *w)
{
    return vus_window_first(w) + (vus_window_length(w) - 1);
}

static inline uint32_t vus_window_generation(const struct vus_window *w)
{
    return atomic_load_explicit(&w->generation, memory_order_acquire);
}

static inline struct vus_window_slab *vus_window_slab(const struct vus_window *w)
{
    return (struct vus_window_slab *)((uintptr_t)w &
                                      ~(((uintptr_t)1 << VUS_WINDOW_SLAB_LOG) - 1));
}

static inline size_t vus_window_place(const struct vus_window *w)
{
    return (size_t)(w - vus_window_slab(w)->windows);
}

/* By its number, which came out of the table. */
static inline struct vus_window *vus_window_at(void **slabs, uint32_t number)
{
    struct vus_window_slab *slab = slabs[number >> VUS_SLAB_PLACES_LOG];

    return &slab->windows[number & ((1u << VUS_SLAB_PLACES_LOG) - 1)];
}

/* Of an entry, perhaps an outdated one. NULL: this is no entry. */
static inline struct vus_window *vus_sg_window(const dma_sg_t *sg)
{
    return (struct vus_window *)(sg->region & ~(uintptr_t)1);
}

/* For those who have pinned the window, or removed it. */
static inline struct vus_mapping *vus_window_mapping(const struct vus_window *w)
{
    return vus_window_slab(w)->side[vus_window_place(w)].mapping;
}

/* NULL: none. It stays while the window is pinned. */
static inline struct vus_bitmap *vus_window_bitmap(const struct vus_window *w)
{
    struct vus_window_slab *slab = vus_window_slab(w);
    _Atomic(struct vus_bitmap *) *bitmaps =
        atomic_load_explicit(&slab->bitmaps, memory_order_acquire);

    return bitmaps == NULL ? NULL : atomic_load_explicit(&bitmaps[vus_window_place(w)],
                                                         memory_order_acquire);
}

/* ------------------------------------------------------ any thread: pins -- */

/*
 * Keep an entry's window with its memory, file and bitmap until vus_window_unpin().
 * For the library's own work alone, never across the device's code: the client's
 * DMA_UNMAP waits. NULL with *err: -EINVAL, not an entry; -EFAULT, its window is gone.
 */
struct vus_window *vus_window_pin(const dma_sg_t *sg, int *err);
void vus_window_unpin(struct vus_window *w);
/* Nobody has it pinned; who pins it from now on sees all that the caller did before. */
bool vus_window_idle(struct vus_window *w);

/* ------------------------------- only the thread that runs the context -- */

/* The first window that ends at or behind addr, the one behind a window; NULL: none. */
struct vus_window *vus_dma_from(const struct vus_dma *dma, uint64_t addr);
struct vus_window *vus_dma_next(const struct vus_dma *dma, const struct vus_window *w);

/* b: lent, or NULL for none. 0 or -ENOMEM; never fails for NULL, nor when the window
 * has had one. */
int vus_window_set_bitmap(struct vus_dma *dma, struct vus_window *w,
                          struct vus_bitmap *b);

/* Handlers of commands, see libserver/dispatch.h. */
int vus_on_dma_map(struct vfu_ctx *ctx, struct vu_message *m, struct vus_reply *reply);
int vus_on_dma_unmap(struct vfu_ctx *ctx, struct vu_message *m, struct vus_reply *reply);
bool vus_dma_quiesces(const struct vfu_ctx *ctx, const struct vu_message *m);

#endif
