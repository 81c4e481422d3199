/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA windows: DMA_MAP and DMA_UNMAP by the client, look-up by the device.
 *
 * From the top: the table, one window's memory, the commands, the public
 * functions. Only the first part knows how windows are stored.
 */
#include "libserver/dma.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libserver/context.h"
#include "libserver/dispatch.h"

_Static_assert(sizeof(struct dma_sg) == 40, "users lay out arrays of it");

/* --------------------------------------------------------------- table -- */

#define FIRST_ROOM 16u      /* slots */

/* Slot i; only for tables that have memory. */
static struct vus_dma_slot *slot_at(const struct vus_dma *dma, size_t i)
{
    return &dma->array[dma->head + i];
}

/* Index of the first window that ends at or behind addr; n if there is none. */
static size_t find_from(const struct vus_dma *dma, uint64_t addr)
{
    size_t low = 0;
    size_t high = dma->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (slot_at(dma, mid)->last < addr)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Room for one more at the end. 0 or -ENOMEM. */
static int make_room(struct vus_dma *dma)
{
    struct vus_dma_slot *array;
    size_t room = dma->room == 0 ? FIRST_ROOM : 2 * dma->room;

    if (dma->head + dma->n < dma->room)
        return 0;
    if (dma->head > dma->room / 2) {
        memmove(dma->array, slot_at(dma, 0), dma->n * sizeof(*dma->array));
        dma->head = 0;
        return 0;
    }
    array = reallocarray(dma->array, room, sizeof(*array));
    if (array == NULL)
        return -ENOMEM;
    dma->array = array;
    dma->room = room;
    return 0;
}

static int table_insert(struct vus_dma *dma, const struct vus_dma_slot *slot)
{
    size_t i = find_from(dma, slot->first);
    int err = make_room(dma);

    if (err != 0)
        return err;
    memmove(slot_at(dma, i + 1), slot_at(dma, i), (dma->n - i) * sizeof(*slot));
    *slot_at(dma, i) = *slot;
    dma->n++;
    return 0;
}

static void table_remove(struct vus_dma *dma, size_t i)
{
    dma->n--;
    if (i == 0)
        dma->head++;
    else
        memmove(slot_at(dma, i), slot_at(dma, i + 1), (dma->n - i) * sizeof(*dma->array));
    if (dma->n == 0)
        dma->head = 0;
}

static bool table_overlaps(const struct vus_dma *dma, uint64_t first, uint64_t last)
{
    size_t i = find_from(dma, first);

    return i < dma->n && slot_at(dma, i)->first <= last;
}

void vus_dma_done(struct vus_dma *dma)
{
    assert(dma->n == 0);
    while (dma->stuck != NULL) {    /* their memory goes with the process */
        struct vus_window *w = dma->stuck;

        dma->stuck = w->next;
        free(w);
    }
    free(dma->array);
    *dma = (struct vus_dma){ 0 };
}

/* -------------------------------------------------------------- window -- */

static size_t system_page(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* Bytes of a page of the file: 2 MiB for 2 MiB huge pages. */
static size_t file_page(const struct stat *st)
{
    size_t page = st->st_blksize > 0 ? (size_t)st->st_blksize : 0;

    /* Some file systems report a preferred size that is no page size. */
    if (page < system_page() || (page & (page - 1)) != 0)
        return system_page();
    return page;
}

static uint32_t protection(uint32_t flags)
{
    return ((flags & VU_DMA_READABLE) != 0 ? PROT_READ : 0) |
           ((flags & VU_DMA_WRITEABLE) != 0 ? PROT_WRITE : 0);
}

/* Map the window's part of fd. The first page may start before the window. */
static int map_memory(struct vus_window *w, int fd, uint64_t offset)
{
    vfu_dma_info_t *info = &w->info;
    uint64_t before = offset & (info->page_size - 1);
    size_t len = (before + info->iova.iov_len + info->page_size - 1) &
                 ~(info->page_size - 1);
    void *at = mmap(NULL, len, (int)info->prot, MAP_SHARED, fd, (off_t)(offset - before));

    if (at == MAP_FAILED)
        return -errno;
    madvise(at, len, MADV_DONTDUMP);    /* a core dump is no place for guest memory */
    info->mapping = (struct iovec){ .iov_base = at, .iov_len = len };
    info->vaddr = (uint8_t *)at + before;
    return 0;
}

/* For a window that is read and written as a file. */
static int check_file_access(int fd, uint32_t prot)
{
    int mode = fcntl(fd, F_GETFL);

    if (mode < 0)
        return -errno;
    mode &= O_ACCMODE;
    if (((prot & PROT_READ) != 0 && mode == O_WRONLY) ||
        ((prot & PROT_WRITE) != 0 && mode == O_RDONLY))
        return -EACCES;
    return 0;
}

/* Give the window its memory. fd (taken over also on failure, -1: none) stays
 * open only where it is needed: not for a mapping. */
static int attach_memory(struct vus_window *w, const struct vu_dma_map *map, int fd)
{
    struct stat st;
    int err = 0;

    w->info.page_size = system_page();
    if (fd == -1)
        return 0;
    if (fstat(fd, &st) != 0)
        err = -errno;
    else if (S_ISREG(st.st_mode) && map->offset + map->size > (uint64_t)st.st_size)
        err = -EINVAL;      /* access behind the end would raise SIGBUS */
    if (err == 0)
        w->info.page_size = file_page(&st);
    /* Without access there is nothing to map: its pages would only fault. */
    if (err == 0 && w->info.prot != 0) {
        err = (map->flags & VU_DMA_FILE_IO) != 0 ? check_file_access(fd, w->info.prot)
                                                 : map_memory(w, fd, map->offset);
    }
    if (err == 0 && (map->flags & VU_DMA_FILE_IO) != 0)
        w->fd = fd;
    else
        close(fd);
    return err;
}

/* False: the kernel would have to split a mapping and has no room for another. */
static bool window_free(struct vus_window *w)
{
    if (w->fd != -1)
        close(w->fd);
    w->fd = -1;
    if (w->info.mapping.iov_base != NULL &&
        munmap(w->info.mapping.iov_base, w->info.mapping.iov_len) != 0)
        return false;
    free(w);
    return true;
}

/* Try again what could not be unmapped: there may be room now. */
static void free_stuck(struct vus_dma *dma)
{
    struct vus_window **at = &dma->stuck;

    while (*at != NULL) {
        struct vus_window *w = *at;
        struct vus_window *next = w->next;

        if (window_free(w))
            *at = next;
        else
            at = &w->next;
    }
}

/* Done with a window that is in no table. */
static void release(struct vus_dma *dma, struct vus_window *w)
{
    if (window_free(w)) {
        free_stuck(dma);
        return;
    }
    w->next = dma->stuck;
    dma->stuck = w;
}

/* fd is taken over. NULL with *err set on failure. */
static struct vus_window *window_new(const struct vu_dma_map *map, int fd, int *err)
{
    struct vus_window *w = calloc(1, sizeof(*w));

    if (w == NULL) {
        if (fd != -1)
            close(fd);
        *err = -ENOMEM;
        return NULL;
    }
    w->fd = -1;
    w->info.iova.iov_base = (void *)(uintptr_t)map->address;
    w->info.iova.iov_len = map->size;
    w->info.prot = protection(map->flags);
    *err = attach_memory(w, map, fd);
    if (*err != 0) {
        free(w);        /* it has got nothing */
        return NULL;
    }
    return w;
}

/* Tell the device, then let go. The window can be looked up until the device
 * has been told. */
static void drop_window(struct vfu_ctx *ctx, size_t i)
{
    struct vus_window *w = slot_at(&ctx->dma, i)->window;

    if (ctx->dma.on_unregister != NULL)
        ctx->dma.on_unregister(ctx, &w->info);
    table_remove(&ctx->dma, i);
    release(&ctx->dma, w);
}

void vus_dma_drop_all(struct vfu_ctx *ctx)
{
    while (ctx->dma.n != 0)
        drop_window(ctx, 0);
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

    if (table_overlaps(dma, map->address, map->address + (map->size - 1)))
        return vus_refuse(ctx, -EEXIST, "DMA_MAP: a window is at %#llx already",
                          (unsigned long long)map->address);
    if (dma->n >= dma->max || dma->n >= ctx->session.max_dma_maps)
        return vus_refuse(ctx, -EINVAL, "DMA_MAP: %zu windows are the limit", dma->n);
    return 0;
}

/* fd is taken over, -1: none. */
static int map_window(struct vfu_ctx *ctx, const struct vu_dma_map *map, int fd)
{
    struct vus_dma_slot slot = {
        .first = map->address,
        .last = map->address + (map->size - 1),
    };
    int err;

    slot.window = window_new(map, fd, &err);
    if (slot.window == NULL)
        return vus_refuse(ctx, err, "DMA_MAP: cannot map %#llx bytes of the file: %s",
                          (unsigned long long)map->size, strerrordesc_np(-err));
    err = table_insert(&ctx->dma, &slot);
    if (err != 0) {
        release(&ctx->dma, slot.window);
        return err;
    }
    if (ctx->dma.on_register != NULL)
        ctx->dma.on_register(ctx, &slot.window->info);
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
    if (unmap->flags != 0 && unmap->flags != VU_DMA_UNMAP_ALL)
        return vus_refuse(ctx, -EINVAL, "DMA_UNMAP: flags %#x", unmap->flags);
    if (unmap->flags == VU_DMA_UNMAP_ALL && (unmap->address != 0 || unmap->size != 0))
        return vus_refuse(ctx, -EINVAL, "DMA_UNMAP: a range together with ALL");
    return 0;
}

/* The window at i is that range, no more and no less. */
static bool is_window(const struct vus_dma *dma, size_t i, uint64_t address,
                      uint64_t size)
{
    return i < dma->n && slot_at(dma, i)->first == address && size != 0 &&
           slot_at(dma, i)->last - address == size - 1;
}

static int unmap_windows(struct vfu_ctx *ctx, const struct vu_dma_unmap *unmap)
{
    size_t i = find_from(&ctx->dma, unmap->address);

    if (unmap->flags == VU_DMA_UNMAP_ALL) {
        vus_dma_drop_all(ctx);
        return 0;
    }
    if (!is_window(&ctx->dma, i, unmap->address, unmap->size))
        return vus_refuse(ctx, -ENOENT, "DMA_UNMAP: no window of %#llx bytes at %#llx",
                          (unsigned long long)unmap->size,
                          (unsigned long long)unmap->address);
    drop_window(ctx, i);
    return 0;
}

int vus_on_dma_unmap(struct vfu_ctx *ctx, struct vu_message *m, struct vus_reply *reply)
{
    struct vu_reader r = vu_reader(m->body, m->body_len);
    struct vu_dma_unmap unmap;
    struct vu_writer w;
    int err = vu_decode_dma_unmap(&r, &unmap);

    if (err == 0)
        err = check_unmap(ctx, &unmap);
    if (err == 0 && ctx->dma.enabled)
        err = unmap_windows(ctx, &unmap);
    if (err != 0)
        return err;
    w = vus_reply_body(reply, VU_DMA_UNMAP_SIZE);
    return vu_encode_dma_unmap(&w, &unmap);
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

size_t dma_sg_size(void)
{
    return sizeof(struct dma_sg);
}

/* The part of [addr, last] that lies in the window. */
static void fill_sg(dma_sg_t *sg, const struct vus_dma_slot *slot, uint64_t addr,
                    uint64_t last, int prot)
{
    uint64_t end = last < slot->last ? last : slot->last;

    *sg = (dma_sg_t){
        .dma_addr = slot->window->info.iova.iov_base,
        .region = slot->window,
        .length = end - addr + 1,
        .offset = addr - slot->first,
        .writeable = (prot & PROT_WRITE) != 0,
    };
}

/* One entry per window crossed; no more than max are written. Number of
 * windows, or negative errno. */
static int64_t cross_windows(const struct vus_dma *dma, uint64_t addr, uint64_t last,
                             dma_sg_t *sgl, size_t max, int prot)
{
    size_t i = find_from(dma, addr);
    size_t n = 0;

    for (;; i++, n++) {
        const struct vus_dma_slot *slot;

        if (i == dma->n || slot_at(dma, i)->first > addr)
            return -ENOENT;
        slot = slot_at(dma, i);
        if (((uint32_t)prot & (PROT_READ | PROT_WRITE) & ~slot->window->info.prot) != 0)
            return -EACCES;
        if (n < max)
            fill_sg(&sgl[n], slot, addr, last, prot);
        if (slot->last >= last)
            return (int64_t)n + 1;
        addr = slot->last + 1;
    }
}

int vfu_addr_to_sgl(vfu_ctx_t *ctx, vfu_dma_addr_t dma_addr, size_t len, dma_sg_t *sgl,
                    size_t max_nr_sgs, int prot)
{
    uint64_t addr = (uintptr_t)dma_addr;
    int64_t n;

    assert(ctx != NULL);
    if (!ctx->dma.enabled) {
        errno = EINVAL;
        return -1;
    }
    if (len == 0) {
        errno = 0;
        return 0;
    }
    n = len - 1 > UINT64_MAX - addr
            ? -ENOENT
            : cross_windows(&ctx->dma, addr, addr + (len - 1), sgl, max_nr_sgs, prot);
    errno = n < 0 ? (int)-n : 0;
    if (n < 0)
        return -1;
    return (uint64_t)n <= max_nr_sgs ? (int)n : (int)(-n - 1);
}

int vfu_sgl_get(vfu_ctx_t *ctx, dma_sg_t *sgl, struct iovec *iov, size_t cnt, int flags)
{
    assert(ctx != NULL);
    (void)ctx;
    if (cnt == 0 || flags != 0) {
        errno = EINVAL;
        return -1;
    }
    for (size_t i = 0; i < cnt; i++) {
        const struct vus_window *w = sgl[i].region;

        if (w == NULL || w->info.vaddr == NULL) {
            errno = w == NULL ? EINVAL : EFAULT;
            return -1;
        }
        iov[i].iov_base = (uint8_t *)w->info.vaddr + sgl[i].offset;
        iov[i].iov_len = sgl[i].length;
    }
    return 0;
}

void vfu_sgl_put(vfu_ctx_t *ctx, dma_sg_t *sgl, struct iovec *iov, size_t cnt)
{
    /* No reference was taken: an entry lives as long as its window. */
    assert(ctx != NULL);
    (void)ctx;
    (void)sgl;
    (void)iov;
    (void)cnt;
}

bool vfu_sg_is_mappable(vfu_ctx_t *ctx, dma_sg_t *sg)
{
    assert(ctx != NULL);
    (void)ctx;
    return sg->region != NULL && sg->region->info.vaddr != NULL;
}
