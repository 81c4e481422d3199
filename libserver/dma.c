/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA windows: what DMA_MAP and DMA_UNMAP do, see dma.h. How windows are looked up
 * is in sgl.c, how their memory comes about in mapping.c.
 *
 * From the top: memory of windows, pins, the life of one window, the commands,
 * the public function.
 */
#include "libserver/dma.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libserver/context.h"
#include "libserver/dirty.h"
#include "libserver/dispatch.h"

_Static_assert(sizeof(struct vus_window) == 64, "one cache line");
_Static_assert(sizeof(struct vus_window_slab) + 64 <= 1u << VUS_WINDOW_SLAB_LOG,
               "a slab begins at each multiple of that");
_Static_assert(sizeof(struct dma_sg) == 40, "users lay out arrays of it");
_Static_assert(offsetof(struct dma_sg, writeable) == 32, "as users see it");

/* ------------------------------------------------------ table and memory -- */

#define MAX_SLABS (1u << (32 - VUS_SLAB_PLACES_LOG))

void vus_dma_init(struct vus_dma *dma)
{
    *dma = (struct vus_dma){ .n_made = VUS_SLAB_WINDOWS };
    vus_table_init(&dma->table);
}

void vus_dma_done(struct vus_dma *dma)
{
    void **slabs = vus_slabs_list(&dma->slabs);

    assert(dma->n == 0);
    for (uint32_t i = 0; i < dma->slabs.n; i++) {
        struct vus_window_slab *slab = slabs[i];

        free(atomic_load_explicit(&slab->bitmaps, memory_order_relaxed));
    }
    vus_slabs_done(&dma->slabs);
    vus_table_done(&dma->table);
    vus_mappings_done(&dma->mappings);
}

/* Memory for one more window, or NULL. */
static struct vus_window *window_take(struct vus_dma *dma)
{
    struct vus_window_slab *slab;
    struct vus_window *w = dma->free;

    if (w != NULL) {
        dma->free = vus_window_slab(w)->side[vus_window_place(w)].free;
        return w;
    }
    if (dma->n_made == VUS_SLAB_WINDOWS) {
        if (vus_slabs_add(&dma->slabs, (size_t)1 << VUS_WINDOW_SLAB_LOG, sizeof(*slab),
                          MAX_SLABS) != 0)
            return NULL;
        slab = vus_slabs_list(&dma->slabs)[dma->slabs.n - 1];
        atomic_init(&slab->bitmaps, NULL);
        slab->index = dma->slabs.n - 1;
        dma->n_made = 0;
    }
    slab = vus_slabs_list(&dma->slabs)[dma->slabs.n - 1];
    w = &slab->windows[dma->n_made++];
    atomic_init(&w->generation, 0);
    atomic_init(&w->pins, 0);
    return w;
}

static void window_give_back(struct vus_dma *dma, struct vus_window *w)
{
    vus_window_slab(w)->side[vus_window_place(w)].free = dma->free;
    dma->free = w;
}

/* By which the table knows it. */
static uint32_t window_number(const struct vus_window *w)
{
    return vus_window_slab(w)->index << VUS_SLAB_PLACES_LOG |
           (uint32_t)vus_window_place(w);
}

/* The first window at or behind addr. */
static struct vus_window *window_behind(const struct vus_dma *dma, uint64_t addr)
{
    uint32_t number;

    if (!vus_table_ceiling(&dma->table, addr, &number))
        return NULL;
    return vus_window_at(vus_slabs_list(&dma->slabs), number);
}

struct vus_window *vus_dma_from(const struct vus_dma *dma, uint64_t addr)
{
    struct vus_try try = { .n = 0 };
    uint64_t seq = vus_table_enter(&dma->table, &try);
    struct vus_window *w = NULL;
    uint32_t number;

    if (vus_table_floor(&dma->table, seq, addr, &number))
        w = vus_window_at(vus_slabs_list(&dma->slabs), number);
    vus_table_leave(&dma->table, seq, &try);    /* nobody else changes it */
    return w != NULL && vus_window_last(w) >= addr ? w : window_behind(dma, addr);
}

struct vus_window *vus_dma_next(const struct vus_dma *dma, const struct vus_window *w)
{
    uint64_t last = vus_window_last(w);

    return last == UINT64_MAX ? NULL : window_behind(dma, last + 1);
}

int vus_window_set_bitmap(struct vus_dma *dma, struct vus_window *w,
                          struct vus_bitmap *b)
{
    struct vus_window_slab *slab = vus_window_slab(w);
    _Atomic(struct vus_bitmap *) *bitmaps =
        atomic_load_explicit(&slab->bitmaps, memory_order_relaxed);

    (void)dma;
    if (bitmaps == NULL && b == NULL)
        return 0;
    if (bitmaps == NULL) {
        bitmaps = calloc(VUS_SLAB_WINDOWS, sizeof(*bitmaps));
        if (bitmaps == NULL)
            return -ENOMEM;
        atomic_store_explicit(&slab->bitmaps, bitmaps, memory_order_release);
    }
    atomic_store_explicit(&bitmaps[vus_window_place(w)], b, memory_order_release);
    return 0;
}

/* ---------------------------------------------------------------- pins -- */

/* A pin counts before it looks at the generation, and the remover looks at pins
 * after it has changed the generation. Both modify pins to do so, and
 * modifications of one object have an order: either the remover finds the pin,
 * or the pin finds the window gone. */

static long futex(_Atomic uint32_t *at, int op, uint32_t value)
{
    return syscall(SYS_futex, at, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

struct vus_window *vus_window_pin(const dma_sg_t *sg, int *err)
{
    struct vus_window *w = vus_sg_window(sg);

    if (w == NULL) {
        *err = -EINVAL;
        return NULL;
    }
    if (vus_window_generation(w) == sg->generation) {   /* do not disturb a remover */
        atomic_fetch_add_explicit(&w->pins, 1, memory_order_acq_rel);
        if (vus_window_generation(w) == sg->generation)
            return w;
        vus_window_unpin(w);
    }
    *err = -EFAULT;
    return NULL;
}

void vus_window_unpin(struct vus_window *w)
{
    uint32_t before = atomic_fetch_sub_explicit(&w->pins, 1, memory_order_acq_rel);

    if (before == (VUS_WINDOW_AWAITED | 1))
        futex(&w->pins, FUTEX_WAKE, INT_MAX);
}

bool vus_window_idle(struct vus_window *w)
{
    return atomic_fetch_or_explicit(&w->pins, 0, memory_order_acq_rel) == 0;
}

/* Wait until nobody has it pinned. The library's own copies are all that it takes;
 * outdated entries pin for an instant at most. */
static void await_pins(struct vus_window *w)
{
    uint32_t now = atomic_fetch_or_explicit(&w->pins, VUS_WINDOW_AWAITED,
                                            memory_order_acq_rel) | VUS_WINDOW_AWAITED;

    while (now != VUS_WINDOW_AWAITED) {
        futex(&w->pins, FUTEX_WAIT, now);   /* returns at once if it has changed */
        now = atomic_load_explicit(&w->pins, memory_order_acquire);
    }
    atomic_fetch_and_explicit(&w->pins, ~VUS_WINDOW_AWAITED, memory_order_acq_rel);
}

/* -------------------------------------------------------------- window -- */

static uint32_t protection(uint32_t flags)
{
    return ((flags & VU_DMA_READABLE) != 0 ? PROT_READ : 0) |
           ((flags & VU_DMA_WRITEABLE) != 0 ? PROT_WRITE : 0);
}

/* Who follows an outdated entry may be reading. Each store releases: a reader that
 * sees one of them sees the table or the generation changed. */
static void info_set(vfu_dma_info_t *info, const struct vu_dma_map *map,
                     const struct vus_backing *b)
{
    __atomic_store_n(&info->iova.iov_base, (void *)(uintptr_t)map->address,
                     __ATOMIC_RELEASE);
    __atomic_store_n(&info->iova.iov_len, map->size, __ATOMIC_RELEASE);
    __atomic_store_n(&info->vaddr, b->vaddr, __ATOMIC_RELEASE);
    __atomic_store_n(&info->prot, protection(map->flags), __ATOMIC_RELEASE);
    info->mapping = b->pages;       /* only the device reads these */
    info->page_size = b->page_size;
}

/* A window that is in no table yet. fd is taken over, -1: none. NULL with *err set
 * on failure. */
static struct vus_window *window_new(struct vus_dma *dma, const struct vu_dma_map *map,
                                     int fd, int *err)
{
    struct vus_window *w = window_take(dma);
    struct vus_backing backing;

    if (w == NULL) {
        if (fd != -1)
            close(fd);
        *err = -ENOMEM;
        return NULL;
    }
    *err = vus_mapping_get(&dma->mappings, fd, map->offset, map->size,
                           (int)protection(map->flags),
                           (map->flags & VU_DMA_FILE_IO) != 0, &backing);
    if (*err != 0) {
        window_give_back(dma, w);
        return NULL;
    }
    info_set(&w->info, map, &backing);
    vus_window_slab(w)->side[vus_window_place(w)].mapping = backing.mapping;
    return w;
}

/* Done with a window that is in no table and that nobody has pinned. */
static void window_end(struct vfu_ctx *ctx, struct vus_window *w)
{
    struct vus_mapping *mapping = vus_window_mapping(w);

    vus_dirty_window_gone(ctx, w);
    window_give_back(&ctx->dma, w);
    vus_mapping_put(&ctx->dma.mappings, mapping);
}

/* Let others find the window. 0 or -ENOMEM. */
static int window_enter(struct vfu_ctx *ctx, struct vus_window *w)
{
    int err = vus_dirty_window_added(ctx, w);

    if (err == 0)
        err = vus_table_insert(&ctx->dma.table, vus_window_first(w), window_number(w));
    if (err == 0)
        ctx->dma.n++;
    return err;
}

/* Tell the device, which can look the window up until it has been told. Then nobody
 * finds it any more, or works on it. */
static void window_leave(struct vfu_ctx *ctx, struct vus_window *w)
{
    if (ctx->dma.on_unregister != NULL)
        ctx->dma.on_unregister(ctx, &w->info);
    vus_table_remove(&ctx->dma.table, vus_window_first(w));
    ctx->dma.n--;
    atomic_fetch_add_explicit(&w->generation, 1, memory_order_acq_rel);
    await_pins(w);
}

void vus_dma_drop_all(struct vfu_ctx *ctx)
{
    struct vus_window *w;

    while ((w = vus_dma_from(&ctx->dma, 0)) != NULL) {
        window_leave(ctx, w);
        window_end(ctx, w);
    }
}

/* ------------------------------------------------------------ commands -- */

bool vus_dma_quiesces(const struct vfu_ctx *ctx, const struct vu_message *m)
{
    (void)m;
    return ctx->dma.enabled;
}

#define ACCESS_MODES (VU_DMA_MMAP | VU_DMA_FILE_IO)
#define MAP_FLAGS    (VU_DMA_READABLE | VU_DMA_WRITEABLE | ACCESS_MODES)

/* What the message alone shows to be wrong. */
static int check_map(struct vfu_ctx *ctx, const struct vu_dma_map *map, bool has_fd)
{
    uint32_t mode = map->flags & ACCESS_MODES;

    if (map->argsz < VU_DMA_MAP_SIZE)
        return vus_refuse(ctx, -EINVAL, "DMA_MAP: argsz %u is too small", map->argsz);
    if ((map->flags & ~MAP_FLAGS) != 0 || mode == ACCESS_MODES)
        return vus_refuse(ctx, -EINVAL, "DMA_MAP: flags %#x", map->flags);
    if (mode != 0 && !has_fd)
        return vus_refuse(ctx, -EINVAL, "DMA_MAP: flags %#x without a descriptor",
                          map->flags);
    if (map->size == 0 || map->size - 1 > UINT64_MAX - map->address)
        return vus_refuse(ctx, -EINVAL, "DMA_MAP: %#llx bytes at %#llx",
                          (unsigned long long)map->size,
                          (unsigned long long)map->address);
    if (map->size > VUS_MAX_WINDOW)
        return vus_refuse(ctx, -ENOSPC, "DMA_MAP: %#llx bytes are too many",
                          (unsigned long long)map->size);
    if (map->size > UINT64_MAX - map->offset)
        return vus_refuse(ctx, -EINVAL, "DMA_MAP: offset %#llx is too large",
                          (unsigned long long)map->offset);
    return 0;
}

/* What is wrong given the windows there are. */
static int check_place(struct vfu_ctx *ctx, const struct vu_dma_map *map)
{
    const struct vus_dma *dma = &ctx->dma;
    const struct vus_window *w = vus_dma_from(dma, map->address);

    if (w != NULL && vus_window_first(w) <= map->address + (map->size - 1))
        return vus_refuse(ctx, -EEXIST, "DMA_MAP: a window is at %#llx already",
                          (unsigned long long)vus_window_first(w));
    if (dma->n >= dma->max || dma->n >= ctx->session.max_dma_maps)
        return vus_refuse(ctx, -EINVAL, "DMA_MAP: %zu windows are the limit", dma->n);
    return 0;
}

/* fd is taken over, -1: none. */
static int map_window(struct vfu_ctx *ctx, const struct vu_dma_map *map, int fd)
{
    struct vus_window *w;
    int err;

    w = window_new(&ctx->dma, map, fd, &err);
    if (w == NULL)
        return vus_refuse(ctx, err, "DMA_MAP: cannot map %#llx bytes of the file: %s",
                          (unsigned long long)map->size, strerrordesc_np(-err));
    err = window_enter(ctx, w);
    if (err != 0) {
        window_end(ctx, w);
        return err;
    }
    if (ctx->dma.on_register != NULL)
        ctx->dma.on_register(ctx, &w->info);
    return 0;
}

int vus_on_dma_map(struct vfu_ctx *ctx, struct vu_message *m, struct vus_reply *reply)
{
    struct vu_reader r = vu_reader(m->body, m->body_len);
    struct vu_dma_map map;
    int err = vu_decode_dma_map(&r, &map);

    (void)reply;    /* has no body */
    if (err == 0)
        err = check_map(ctx, &map, m->n_fds != 0);
    if (err != 0 || !ctx->dma.enabled)
        return err;
    err = check_place(ctx, &map);
    if (err != 0)
        return err;
    return map_window(ctx, &map, m->n_fds != 0 ? vu_message_take_fd(m, 0) : -1);
}

static int check_unmap(struct vfu_ctx *ctx, const struct vu_dma_unmap *unmap)
{
    if (unmap->argsz < VU_DMA_UNMAP_SIZE)
        return vus_refuse(ctx, -EINVAL, "DMA_UNMAP: argsz %u is too small", unmap->argsz);
    if (unmap->flags != 0 && unmap->flags != VU_DMA_UNMAP_ALL &&
        unmap->flags != VU_DMA_UNMAP_GET_DIRTY_BITMAP)
        return vus_refuse(ctx, -EINVAL, "DMA_UNMAP: flags %#x", unmap->flags);
    if (unmap->flags == VU_DMA_UNMAP_ALL && (unmap->address != 0 || unmap->size != 0))
        return vus_refuse(ctx, -EINVAL, "DMA_UNMAP: a range together with ALL");
    if (unmap->flags == VU_DMA_UNMAP_GET_DIRTY_BITMAP && !vus_dirty_on(ctx))
        return vus_refuse(ctx, -EINVAL, "DMA_UNMAP: a bitmap while nothing is logged");
    return 0;
}

/* The request, as its reply repeats it. */
static int unmap_answer(const struct vu_dma_unmap *unmap, struct vus_reply *reply)
{
    struct vu_writer w = vus_reply_body(reply, VU_DMA_UNMAP_SIZE);

    return vu_encode_dma_unmap(&w, unmap);
}

/* The window that is this range, no more and no less, or NULL. */
static struct vus_window *exact_window(const struct vus_dma *dma, uint64_t address,
                                       uint64_t size)
{
    struct vus_window *w = vus_dma_from(dma, address);

    return w != NULL && vus_window_first(w) == address && vus_window_length(w) == size
               ? w : NULL;
}

/* The answer comes first: when it cannot be given, the window stays. */
static int unmap_window(struct vfu_ctx *ctx, const struct vu_dma_unmap *unmap,
                        struct vus_reply *reply)
{
    struct vus_window *w = exact_window(&ctx->dma, unmap->address, unmap->size);
    bool bitmap = (unmap->flags & VU_DMA_UNMAP_GET_DIRTY_BITMAP) != 0;
    int err;

    if (w == NULL)
        return vus_refuse(ctx, -ENOENT, "DMA_UNMAP: no window of %#llx bytes at %#llx",
                          (unsigned long long)unmap->size,
                          (unsigned long long)unmap->address);
    err = bitmap ? vus_dirty_unmap_report(ctx, w, unmap, reply)
                 : unmap_answer(unmap, reply);
    if (err != 0)
        return err;
    window_leave(ctx, w);
    if (bitmap)
        vus_dirty_unmap_rest(ctx, w, unmap, reply);
    window_end(ctx, w);
    return 0;
}

int vus_on_dma_unmap(struct vfu_ctx *ctx, struct vu_message *m, struct vus_reply *reply)
{
    struct vu_reader r = vu_reader(m->body, m->body_len);
    struct vu_dma_unmap unmap;
    int err = vu_decode_dma_unmap(&r, &unmap);

    if (err == 0)
        err = check_unmap(ctx, &unmap);
    if (err != 0)
        return err;
    if (ctx->dma.enabled && unmap.flags != VU_DMA_UNMAP_ALL)
        return unmap_window(ctx, &unmap, reply);
    err = unmap_answer(&unmap, reply);
    if (err == 0)
        vus_dma_drop_all(ctx);  /* without DMA there are none */
    return err;
}

/* -------------------------------------------------------------- public -- */

#undef vfu_setup_device_dma     /* the header's macro serves callers */

int vfu_setup_device_dma(vfu_ctx_t *ctx, size_t max_regions,
                         vfu_dma_register_cb_t *dma_register,
                         vfu_dma_unregister_cb_t *dma_unregister)
{
    assert(ctx != NULL);
    ctx->dma.enabled = true;
    ctx->dma.max = max_regions;
    ctx->dma.on_register = dma_register;
    ctx->dma.on_unregister = dma_unregister;
    return 0;
}
