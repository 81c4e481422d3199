/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the device asks about guest memory: which windows a range lies in, pointers
 * to it, and that it was written. From any thread, on every transfer, so all of
 * this must be fast.
 *
 * An entry is the place of its window with the window's generation. Both are read
 * inside the table's protocol (libserver/table.h), so an entry never mixes two
 * windows. Later it is compared: an entry that outlived its window is refused
 * instead of leading to the next window in that place.
 */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#include "libserver/context.h"
#include "libserver/dirty.h"
#include "libserver/dma.h"

size_t dma_sg_size(void)
{
    return sizeof(struct dma_sg);
}

/* ------------------------------------------------------------- look-up -- */

/* What is asked for. */
struct range {
    uint64_t first;
    uint64_t last;          /* included */
    uint32_t prot;          /* PROT_READ, PROT_WRITE */
    size_t max;             /* entries that fit in sgl */
    dma_sg_t *sgl;
};

/* What a lookup needs of a window, read once. It is worth nothing when the table has
 * changed meanwhile. */
struct seen {
    const struct vus_window *window;
    uint64_t first;
    uint64_t length;
    uint32_t prot;
    uint32_t generation;
};

/* Compilers count lines and would call it; its results then go through memory. */
#define ALWAYS_INLINE inline __attribute__((always_inline))

/* The window at or before addr. False: there is none. */
static ALWAYS_INLINE bool see_window(const struct vus_dma *dma, uint64_t seq,
                                     uint64_t addr, struct seen *s)
{
    uint32_t number;

    if (!vus_table_floor(&dma->table, seq, addr, &number) ||
        !vus_table_same(&dma->table, seq))
        return false;
    s->window = vus_window_at(vus_slabs_list(&dma->slabs), number);
    s->first = vus_window_first(s->window);
    s->length = vus_window_length(s->window);
    s->prot = __atomic_load_n(&s->window->info.prot, __ATOMIC_ACQUIRE);
    s->generation = vus_window_generation(s->window);
    return true;
}

static inline void fill_sg(dma_sg_t *sg, const struct seen *s, uint64_t addr,
                           uint64_t length, uint32_t prot)
{
    *sg = (dma_sg_t){
        .dma_addr = (vfu_dma_addr_t)(uintptr_t)s->first,
        .region = (uintptr_t)s->window | 1,
        .length = length,
        .offset = addr - s->first,
        .writeable = (prot & PROT_WRITE) != 0,
        .generation = s->generation,
    };
}

/* One entry per window crossed; no more than max are written. Number of windows, or
 * negative errno. */
static int64_t cross_windows(const struct vus_dma *dma, uint64_t seq,
                             const struct range *r)
{
    uint64_t addr = r->first;

    for (size_t n = 0;; n++) {
        struct seen s;
        uint64_t end;

        if (!see_window(dma, seq, addr, &s) || addr - s.first >= s.length)
            return -ENOENT;
        if ((r->prot & ~s.prot) != 0)
            return -EACCES;
        end = s.first + (s.length - 1);
        if (n < r->max)
            fill_sg(&r->sgl[n], &s, addr, (end < r->last ? end : r->last) - addr + 1,
                    r->prot);
        if (end >= r->last)
            return (int64_t)n + 1;
        addr = end + 1;
    }
}

static int fail(int err)
{
    errno = err;
    return -1;
}

/* Any number of windows, whatever happens meanwhile. The same arguments as its
 * caller, which has them in registers. */
static __attribute__((noinline)) int look_up(vfu_ctx_t *ctx, vfu_dma_addr_t dma_addr,
                                             size_t len, dma_sg_t *sgl, size_t max,
                                             int prot)
{
    const struct vus_table *table = &ctx->dma.table;
    struct range r = {
        .first = (uintptr_t)dma_addr,
        .last = (uintptr_t)dma_addr + (len - 1),
        .prot = (uint32_t)prot & (PROT_READ | PROT_WRITE),
        .max = max,
        .sgl = sgl,
    };
    struct vus_try try = { .n = 0 };
    uint64_t seq;
    int64_t n;

    if (!ctx->dma.enabled)
        return fail(EINVAL);
    if (len == 0) {
        errno = 0;
        return 0;
    }
    if (r.last < r.first)
        return fail(ENOENT);
    do {        /* after some tries it holds the lock, see table.c */
        seq = vus_table_enter(table, &try);
        n = cross_windows(&ctx->dma, seq, &r);
    } while (!vus_table_leave(table, seq, &try));
    if (n < 0)
        return fail((int)-n);
    errno = 0;
    return (uint64_t)n <= max ? (int)n : (int)(-n - 1);
}

int vfu_addr_to_sgl(vfu_ctx_t *ctx, vfu_dma_addr_t dma_addr, size_t len, dma_sg_t *sgl,
                    size_t max_nr_sgs, int prot)
{
    uint32_t asked = (uint32_t)prot & (PROT_READ | PROT_WRITE);
    uint64_t addr = (uintptr_t)dma_addr;
    struct seen s;
    uint64_t seq;

    assert(ctx != NULL);
    seq = atomic_load_explicit(&ctx->dma.table.seq, memory_order_acquire);
    /* One window, at the first try: this is nearly always all. */
    if ((seq & 1) == 0 && see_window(&ctx->dma, seq, addr, &s) &&
        addr - s.first < s.length && len - 1 < s.length - (addr - s.first) &&
        (asked & ~s.prot) == 0 && max_nr_sgs != 0 &&
        vus_table_same(&ctx->dma.table, seq)) {
        fill_sg(sgl, &s, addr, len, asked);
        return 1;
    }
    return look_up(ctx, dma_addr, len, sgl, max_nr_sgs, prot);
}

/* ------------------------------------------------------------ pointers -- */

/* The first byte of the entry's window, or NULL: it is not mapped or, which is an
 * error of the device, it is gone. */
static inline uint8_t *window_memory(const dma_sg_t *sg)
{
    const struct vus_window *w = vus_sg_window(sg);
    void *at = __atomic_load_n(&w->info.vaddr, __ATOMIC_ACQUIRE);

    /* Afterwards: who saw the next window's address sees its generation too. */
    return vus_window_generation(w) == sg->generation ? at : NULL;
}

int vfu_sgl_get(vfu_ctx_t *ctx, dma_sg_t *sgl, struct iovec *iov, size_t cnt, int flags)
{
    assert(ctx != NULL);
    (void)ctx;
    if (cnt == 0 || flags != 0)
        return fail(EINVAL);
    for (size_t i = 0; i < cnt; i++) {
        uint8_t *at;

        if (sgl[i].region == 0)
            return fail(EINVAL);
        at = window_memory(&sgl[i]);
        if (at == NULL)
            return fail(EFAULT);
        iov[i].iov_base = at + sgl[i].offset;
        iov[i].iov_len = sgl[i].length;
    }
    return 0;
}

bool vfu_sg_is_mappable(vfu_ctx_t *ctx, dma_sg_t *sg)
{
    assert(ctx != NULL);
    (void)ctx;
    return sg->region != 0 && window_memory(sg) != NULL;
}

/* --------------------------------------------------------------- dirty -- */

static void mark(const dma_sg_t *sg)
{
    struct vus_window *w;
    int err;

    if (!sg->writeable)
        return;
    w = vus_window_pin(sg, &err);
    if (w == NULL)
        return;     /* its log went with it */
    vus_dirty_mark(w, sg->offset, sg->length);
    vus_window_unpin(w);
}

static inline void mark_all(vfu_ctx_t *ctx, const dma_sg_t *sgl, size_t cnt)
{
    if (!vus_dirty_on(ctx))
        return;
    for (size_t i = 0; i < cnt; i++)
        mark(&sgl[i]);
}

void vfu_sgl_mark_dirty(vfu_ctx_t *ctx, dma_sg_t *sgl, size_t cnt)
{
    assert(ctx != NULL);
    mark_all(ctx, sgl, cnt);
}

void vfu_sgl_put(vfu_ctx_t *ctx, dma_sg_t *sgl, struct iovec *iov, size_t cnt)
{
    assert(ctx != NULL);
    (void)iov;      /* no reference was taken: an entry lives as long as its window */
    mark_all(ctx, sgl, cnt);
}
