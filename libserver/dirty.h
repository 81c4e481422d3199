/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dirty log: which pages of guest memory the device has written since the client
 * last asked. DMA logging START, STOP and REPORT, and DMA_UNMAP with bitmap.
 *
 * Each window that the device can write without the client's help has a bitmap
 * while logging is on, one bit a granule. Granules count from the start of the
 * window; they have the page size that the client chose with START, or a larger
 * one where the bitmaps would take too much memory together (VUS_DIRTY_MEMORY).
 * Reports may have any page size, position and length: what they cannot tell
 * apart they give as dirty, and a granule that they cover only partly stays dirty.
 *
 * Must be fast: marking a page, which the device's threads do at every write, and
 * reports with the page size and alignment of the bitmaps.
 *
 * Threads: vus_dirty_mark() and vus_dirty_on() any, everything else the one that
 * runs the context. Whoever marks holds a pin on the window (libserver/dma.h); a
 * bitmap in which somebody might be marking is kept until the window goes, so
 * nobody ever waits here.
 */
#ifndef VUS_DIRTY_H
#define VUS_DIRTY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/messages.h"

struct vfu_ctx;
struct vus_reply;
struct vus_window;

/* Granules that a client can choose, as powers of two: 4 KiB to 1 GiB. */
#define VUS_DIRTY_MIN_SHIFT 12u
#define VUS_DIRTY_MAX_SHIFT 30u
#define VUS_DIRTY_RANGES    4096u   /* at most, in one START */
/* Bytes of all bitmaps together, beyond 8 for each window. A window gets at most
 * half of what is left: 4 TiB in pages of 4 KiB are exact. */
#define VUS_DIRTY_MEMORY    ((size_t)256 << 20)

struct vus_bitmap {
    struct vus_bitmap *older;   /* owned; too small for the present granule, but in
                                 * use when it was replaced */
    size_t n_words;
    _Atomic uint32_t shift;     /* of a granule's size; changes when logging starts */
    _Atomic uint64_t words[];
};

struct vus_dirty_range {
    uint64_t first;             /* guest addresses, both included */
    uint64_t last;
};

/* In struct vfu_ctx; all zero: off. */
struct vus_dirty {
    atomic_bool on;             /* see vus_dirty_on() in libserver/context.h */
    uint32_t shift;             /* of the page size that START agreed to */
    struct vus_dirty_range *ranges;     /* owned; sorted, apart from each other */
    size_t n_ranges;            /* 0: everything is logged */
    size_t words;               /* of all bitmaps, the older ones included */
};

/* Bytes at offset of the window, inside it, were written. Any thread that has the
 * window pinned; the bytes must have been written before. */
void vus_dirty_mark(struct vus_window *w, uint64_t offset, uint64_t length);

/* The window has its memory: a bitmap if it is to be logged. Best before others
 * can look it up. 0 or -ENOMEM. */
int vus_dirty_window_added(struct vfu_ctx *ctx, struct vus_window *w);
/* Nobody marks in it any more, and nobody will: free its bitmaps. */
void vus_dirty_window_gone(struct vfu_ctx *ctx, struct vus_window *w);

/*
 * DEVICE_FEATURE DMA_LOGGING_START and STOP (SET) and REPORT (GET), of the type
 * vus_feature_handler. That the device has DMA and migration has been checked.
 */
int vus_dirty_start(struct vfu_ctx *ctx, const struct vu_feature *f,
                    struct vus_reply *reply);
int vus_dirty_stop_cmd(struct vfu_ctx *ctx, const struct vu_feature *f,
                       struct vus_reply *reply);
int vus_dirty_report(struct vfu_ctx *ctx, const struct vu_feature *f,
                     struct vus_reply *reply);

/*
 * DMA_UNMAP with GET_DIRTY_BITMAP, for the window that req names: append the
 * reply's whole body, with what is dirty so far. On failure nothing changed and
 * the window is to stay.
 */
int vus_dirty_unmap_report(struct vfu_ctx *ctx, struct vus_window *w,
                           const struct vu_dma_unmap *req, struct vus_reply *reply);
/* Then, when the device has let go of the window and before
 * vus_dirty_window_gone(): add what became dirty meanwhile, for instance in the
 * unregister callback, to that reply, which is the last thing in its buffer. */
void vus_dirty_unmap_rest(struct vfu_ctx *ctx, struct vus_window *w,
                          const struct vu_dma_unmap *req, struct vus_reply *reply);

/* Logging off: by STOP, and at the end of a session. */
void vus_dirty_stop(struct vfu_ctx *ctx);

#endif
