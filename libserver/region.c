/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Regions: set-up by the device, queries and accesses by the client.
 *
 * A read goes from the device's callback straight into the reply, a write from
 * the received message straight to the callback. Only when the data lie there
 * unaligned (a batch may leave them so) they take one copy, since devices
 * access them as integers.
 */
#include "libserver/region.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libserver/context.h"
#include "libserver/dispatch.h"

#define MIN_MEM_BAR 16u     /* bytes, PCI: four type bits */
#define MIN_IO_BAR  4u      /* two type bits */

void vus_region_init(struct vus_region *r)
{
    *r = (struct vus_region){ .fd = -1 };
}

void vus_region_done(struct vus_region *r)
{
    free(r->areas);
    vus_region_init(r);
}

/* -------------------------------------------------------------- set-up -- */

static bool is_bar(int index)
{
    return index >= VFU_PCI_DEV_BAR0_REGION_IDX && index <= VFU_PCI_DEV_BAR5_REGION_IDX;
}

/* A BAR's size is a power of two; a 64-bit one takes the odd slot above it too. */
static bool bar_ok(const struct vfu_ctx *ctx, int index, size_t size, int flags)
{
    bool wide = (flags & VFU_REGION_FLAG_64_BITS) != 0;
    bool odd = index % 2 != 0;
    size_t min = (flags & VFU_REGION_FLAG_MEM) != 0 ? MIN_MEM_BAR : MIN_IO_BAR;

    if (size != 0 && (size < min || (size & (size - 1)) != 0))
        return false;
    if (odd)
        return !wide && (ctx->regions[index - 1].flags & VFU_REGION_FLAG_64_BITS) == 0;
    return !wide || ctx->regions[index + 1].size == 0;
}

static bool areas_ok(const struct iovec *areas, uint32_t n, size_t size)
{
    for (uint32_t i = 0; i < n; i++) {
        uintptr_t offset = (uintptr_t)areas[i].iov_base;

        if (offset > size || areas[i].iov_len > size - offset)
            return false;
    }
    return true;
}

static bool flags_ok(int index, vfu_region_access_cb_t *cb, int flags)
{
    if ((flags & ~VFU_REGION_FLAG_MASK) != 0 || (flags & VFU_REGION_FLAG_RW) == 0)
        return false;
    if ((flags & VFU_REGION_FLAG_ALWAYS_CB) != 0 && cb == NULL)
        return false;
    return index != VFU_PCI_DEV_CFG_REGION_IDX ||
           ((flags & VFU_REGION_FLAG_RW) == VFU_REGION_FLAG_RW &&
            (flags & VFU_REGION_FLAG_MEM) == 0);
}

/* A copy of the areas; without any, a descriptor shows the whole region. NULL: no
 * memory. */
static struct iovec *copy_areas(const struct iovec *areas, uint32_t n, size_t size)
{
    struct iovec whole = { .iov_base = NULL, .iov_len = size };
    struct iovec *copy = calloc(n != 0 ? n : 1, sizeof(*copy));

    if (copy == NULL)
        return NULL;
    if (n != 0)
        memcpy(copy, areas, n * sizeof(*copy));
    else
        *copy = whole;
    return copy;
}

int vfu_setup_region(vfu_ctx_t *ctx, int region_idx, size_t size,
                     vfu_region_access_cb_t *region_access, int flags,
                     struct iovec *mmap_areas, uint32_t nr_mmap_areas, int fd,
                     uint64_t offset)
{
    struct vus_region region = {
        .size = size,
        .flags = flags,
        .cb = region_access,
        .fd = fd,
        .fd_offset = offset,
    };

    assert(ctx != NULL);
    if (region_idx < 0 || region_idx >= VFU_PCI_DEV_NUM_REGIONS ||
        !flags_ok(region_idx, region_access, flags) ||
        (mmap_areas == NULL) != (nr_mmap_areas == 0) ||
        (mmap_areas != NULL && fd == -1) ||
        (is_bar(region_idx) && !bar_ok(ctx, region_idx, size, flags)) ||
        !areas_ok(mmap_areas, nr_mmap_areas, size)) {
        errno = EINVAL;
        return -1;
    }
    if (fd != -1) {
        region.areas = copy_areas(mmap_areas, nr_mmap_areas, size);
        if (region.areas == NULL) {
            errno = ENOMEM;
            return -1;
        }
        region.n_areas = nr_mmap_areas != 0 ? nr_mmap_areas : 1;
    }
    vus_lock_take(&ctx->shape);
    free(ctx->regions[region_idx].areas);
    ctx->regions[region_idx] = region;
    vus_lock_give(&ctx->shape);
    return 0;
}

/* ---------------------------------------------------------------- info -- */

/* The client can map it: there is a descriptor, and the client takes one. */
static bool mappable(const struct vfu_ctx *ctx, const struct vus_region *r)
{
    return r->size != 0 && r->fd != -1 && ctx->session.max_msg_fds != 0;
}

static uint32_t info_flags(const struct vfu_ctx *ctx, const struct vus_region *r)
{
    uint32_t flags = 0;

    if (r->size == 0)
        return 0;
    if ((r->flags & VFU_REGION_FLAG_READ) != 0)
        flags |= VU_REGION_READABLE;
    if ((r->flags & VFU_REGION_FLAG_WRITE) != 0)
        flags |= VU_REGION_WRITEABLE;
    if (mappable(ctx, r))
        flags |= VU_REGION_MMAP;
    return flags;
}

/* The one capability: the mappable areas. */
static int put_areas(struct vu_writer *w, const struct vus_region *r)
{
    struct vu_sparse_area *areas = calloc(r->n_areas, sizeof(*areas));
    int err;

    if (areas == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < r->n_areas; i++) {
        areas[i].offset = (uintptr_t)r->areas[i].iov_base;
        areas[i].size = r->areas[i].iov_len;
    }
    err = vu_encode_sparse_cap(w, areas, r->n_areas, 0);
    free(areas);
    return err;
}

static int put_info(const struct vfu_ctx *ctx, uint32_t index, uint32_t argsz,
                    struct vus_reply *reply)
{
    const struct vus_region *r = &ctx->regions[index];
    bool map = mappable(ctx, r);
    size_t need = VU_REGION_INFO_SIZE + (map ? VU_SPARSE_CAP_SIZE(r->n_areas) : 0);
    bool caps = map && argsz >= need;
    struct vu_region_info info = {
        .argsz = (uint32_t)need,
        .flags = info_flags(ctx, r) | (caps ? VU_REGION_CAPS : 0),
        .index = index,
        .cap_offset = caps ? VU_REGION_INFO_SIZE : 0,
        .size = r->size,
        .offset = map ? r->fd_offset : 0,
    };
    struct vu_writer w = vus_reply_body(reply, caps ? need : VU_REGION_INFO_SIZE);
    int err = vu_encode_region_info(&w, &info);

    if (err == 0 && caps)
        err = put_areas(&w, r);
    if (err == 0 && map)        /* also when the areas did not fit: MMAP says so */
        reply->fds[reply->n_fds++] = r->fd;
    return err;
}

int vus_on_region_info(struct vfu_ctx *ctx, struct vu_message *m, struct vus_reply *reply)
{
    struct vu_reader r = vu_reader(m->body, m->body_len);
    struct vu_region_info info;
    int err = vu_decode_region_info(&r, &info);

    if (err != 0)
        return err;
    if (info.argsz < VU_REGION_INFO_SIZE)
        return vus_refuse(ctx, -EINVAL, "GET_REGION_INFO: argsz %u is too small",
                          info.argsz);
    if (info.index >= VFU_PCI_DEV_NUM_REGIONS)
        return vus_refuse(ctx, -EINVAL, "GET_REGION_INFO: no region %u", info.index);
    return put_info(ctx, info.index, info.argsz, reply);
}

/* -------------------------------------------------------------- access -- */

static int check_access(struct vfu_ctx *ctx, const struct vu_region_access *a,
                        int needed_flag)
{
    const struct vus_region *r;

    if (a->count > VUS_MAX_DATA_XFER)
        return vus_refuse(ctx, -EINVAL, "access to region %u: %u bytes are too many",
                          a->region, a->count);
    if (a->region >= VFU_PCI_DEV_NUM_REGIONS || ctx->regions[a->region].size == 0)
        return vus_refuse(ctx, -EINVAL, "access to region %u, which is not there",
                          a->region);
    r = &ctx->regions[a->region];
    if (a->offset > r->size || a->count > r->size - a->offset)
        return vus_refuse(ctx, -EINVAL, "access to region %u beyond its end: %u at %#llx",
                          a->region, a->count, (unsigned long long)a->offset);
    if ((r->flags & needed_flag) == 0)
        return vus_refuse(ctx, -EACCES, "access to region %u in the wrong direction",
                          a->region);
    return 0;
}

/* Let the device do it. 0 or negative errno. */
static int call_device(struct vfu_ctx *ctx, const struct vu_region_access *a,
                       uint8_t *data, bool is_write)
{
    const struct vus_region *r = &ctx->regions[a->region];
    ssize_t done;

    if (a->count == 0)
        return 0;
    if (a->region == VFU_PCI_DEV_CFG_REGION_IDX) {
        done = vus_pci_access(ctx, data, a->count, a->offset, is_write);
    } else if (r->cb == NULL) {
        return vus_refuse(ctx, -EINVAL, "region %u has no callback", a->region);
    } else {
        errno = 0;
        done = r->cb(ctx, (char *)data, a->count, (loff_t)a->offset, is_write);
        if (done < 0)
            return vus_callback_errno();
    }
    if (done < 0)
        return (int)done;
    return (size_t)done == a->count ? 0 : -EINVAL;
}

static int read_device(struct vfu_ctx *ctx, const struct vu_region_access *a,
                       uint8_t *data)
{
    uint8_t *buf = vus_aligned(data) ? data : vus_scratch(ctx, a->count);
    int err;

    if (buf == NULL)
        return -ENOMEM;
    memset(buf, 0, a->count);   /* what the device leaves alone must not leak */
    err = call_device(ctx, a, buf, false);
    if (err == 0 && buf != data)
        memcpy(data, buf, a->count);
    return err;
}

static int write_device(struct vfu_ctx *ctx, const struct vu_region_access *a)
{
    uint8_t *buf = (uint8_t *)(uintptr_t)a->data.data;  /* the message's, which is ours */

    if (!vus_aligned(buf)) {
        buf = vus_scratch(ctx, a->count);
        if (buf == NULL)
            return -ENOMEM;
        memcpy(buf, a->data.data, a->count);
    }
    return call_device(ctx, a, buf, true);
}

int vus_region_write_one(struct vfu_ctx *ctx, const struct vu_region_access *a)
{
    int err = check_access(ctx, a, VFU_REGION_FLAG_WRITE);

    return err == 0 ? write_device(ctx, a) : err;
}

int vus_on_region_read(struct vfu_ctx *ctx, struct vu_message *m, struct vus_reply *reply)
{
    struct vu_reader r = vu_reader(m->body, m->body_len);
    struct vu_region_access a;
    struct vu_writer w;
    uint8_t *data;
    int err = vu_decode_region_access(&r, &a);

    if (err == 0)
        err = check_access(ctx, &a, VFU_REGION_FLAG_READ);
    if (err != 0)
        return err;
    w = vus_reply_body(reply, VU_REGION_ACCESS_SIZE + a.count);
    err = vu_encode_region_access(&w, &a);
    data = vu_put_room(&w, a.count);
    return err != 0 || data == NULL ? -ENOMEM : read_device(ctx, &a, data);
}

int vus_on_region_write(struct vfu_ctx *ctx, struct vu_message *m,
                        struct vus_reply *reply)
{
    struct vu_reader r = vu_reader(m->body, m->body_len);
    struct vu_region_access a;
    struct vu_writer w;
    int err = vu_decode_region_data(&r, &a);

    if (err != 0)
        return vus_refuse(ctx, err, "REGION_WRITE: length and count disagree");
    err = vus_region_write_one(ctx, &a);
    if (err != 0)
        return err;
    a.data = (struct vu_bytes){ 0 };
    w = vus_reply_body(reply, VU_REGION_ACCESS_SIZE);
    return vu_encode_region_access(&w, &a);
}

bool vus_region_write_quiesces(const struct vfu_ctx *ctx, const struct vu_message *m)
{
    struct vu_reader r = vu_reader(m->body, m->body_len);
    struct vu_region_access a;

    return vu_decode_region_access(&r, &a) == 0 &&
           a.region == VFU_PCI_DEV_CFG_REGION_IDX &&
           vus_pci_write_needs_quiesce(ctx, a.offset);
}
