/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mutant server's device info and region info, with what comes with the latter.
 */
#include "conformance/mutants/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "conformance/mutants/faults.h"

int ct_on_info(struct ct_client *c, struct vu_message *m, struct ct_reply *r)
{
    struct vu_reader body = ct_body_of(m);
    struct ct_device *d = &c->server->device;
    struct vu_device_info req, info = {
        .argsz = VU_DEVICE_INFO_SIZE,
        .flags = VU_DEVICE_RESETTABLE | VU_DEVICE_PCI,
        .num_regions = d->num_regions,
        .num_irqs = d->num_irqs,
    };
    int err = vu_decode_device_info(&body, &req);

    if (err != 0)
        return err;
    if (req.argsz < VU_DEVICE_INFO_SIZE && !fault(info_truncated))
        return -EINVAL;
    if (manner(careful) && (req.flags | req.num_regions | req.num_irqs) != 0)
        return -EINVAL;
    if (manner(bare) || manner(minimal))
        info.flags &= ~VU_DEVICE_RESETTABLE;
    c->infos++;
    if (fault(info_argsz) && req.argsz == VU_DEVICE_INFO_SIZE)
        info.argsz = 24;
    if (fault(info_argsz_echo) && req.argsz > VU_DEVICE_INFO_SIZE)
        info.argsz = req.argsz;
    if (fault(not_pci))
        info.flags &= ~VU_DEVICE_PCI;
    if (fault(info_flags))
        info.flags |= 0x100;
    if (fault(info_unstable) && c->infos >= 4)
        info.flags &= ~VU_DEVICE_RESETTABLE;
    if (fault(info_echo))
        info.flags |= req.flags;
    vu_encode_device_info(&r->w, &info);
    if (req.argsz < VU_DEVICE_INFO_SIZE)
        r->w.len = req.argsz;
    return 0;
}

static bool wants_sparse_fds(const struct ct_client *c, uint32_t index)
{
    return index == 2 && (c->sparse_fds || fault(sparse_fds_unasked));
}

static void put_sparse_fds(struct ct_client *c, struct ct_reply *r,
                           const struct ct_region *g)
{
    struct vu_sparse_fd_area areas[2];

    (void)c;
    for (uint32_t i = 0; i < g->n_areas; i++)
        areas[i] = (struct vu_sparse_fd_area){
            .offset = g->areas[i].offset,
            .fd_offset = g->areas[i].offset,
            .size = g->areas[i].size,
            .fd_index = fault(sparse_fds_index) ? 2 : i,
        };
    vu_encode_sparse_fds_cap(&r->w, areas, g->n_areas, 0);
}

static void put_sparse(struct ct_reply *r, const struct ct_region *g, uint32_t index,
                       uint32_t at, uint32_t next)
{
    struct vu_sparse_area areas[2] = { g->areas[0], g->areas[1] };
    uint32_t too_many = 1000;

    if (index != 2) {
        vu_encode_sparse_cap(&r->w, areas, g->n_areas, next);
        return;
    }
    if (fault(area_outside))
        areas[1].offset = g->size - CT_PAGE;
    if (fault(areas_overlap))
        areas[1].offset = areas[0].offset;
    if (fault(area_unaligned))
        areas[1].offset += 0x100;
    vu_encode_sparse_cap(&r->w, areas, g->n_areas, fault(chain_loops) ? at : next);
    if (fault(areas_beyond))
        memcpy(r->w.pos - VU_SPARSE_CAP_SIZE(g->n_areas) + 8, &too_many,
               sizeof(too_many));
}

/* The chain of a region behind what r holds; its length. */
static uint32_t put_chain(struct ct_client *c, struct ct_reply *r, uint32_t index,
                          bool mappable)
{
    const struct ct_region *g = &c->server->device.regions[index];
    struct vu_type_cap type = { .type = 0x80001234, .subtype = 1 };
    size_t start = r->w.len;
    uint32_t at = fault(cap_misaligned) && index == 2 ? 36 : 32;
    uint32_t behind = at + (uint32_t)VU_SPARSE_CAP_SIZE(g->n_areas);
    bool typed = g->typed && !fault(no_type);

    if (at == 36)
        vu_put_u32(&r->w, 0);
    if (mappable && wants_sparse_fds(c, index))
        put_sparse_fds(c, r, g);
    else if (mappable && g->n_areas != 0)
        put_sparse(r, g, index, at, typed ? behind : 0);
    if (typed)
        vu_encode_type_cap(&r->w, &type, 0);
    return (uint32_t)(r->w.len - start);
}

static bool region_mappable(const struct ct_client *c, uint32_t index)
{
    return c->server->device.regions[index].flags & VU_REGION_MMAP && c->max_fds > 0;
}

static void add_region_fds(struct ct_client *c, struct ct_reply *r, uint32_t index,
                           bool cut)
{
    const struct ct_region *g = &c->server->device.regions[index];

    if (index == 0 && fault(fd_without_mmap))
        r->fds[r->n_fds++] = c->server->device.regions[1].fd;
    if (!region_mappable(c, index) || (fault(mmap_without_fd) && index == 1) ||
        (fault(mmap_without_fd_cut) && cut))
        return;
    r->fds[r->n_fds++] = g->fd;
    if (wants_sparse_fds(c, index) || (fault(two_fds_unasked) && c->fds_unsaid) ||
        (fault(two_fds) && c->max_fds == 1))
        r->fds[r->n_fds++] = g->fd;
    if (fault(map_read_only) && index == 1) {
        char path[64];

        snprintf(path, sizeof(path), "/proc/self/fd/%d", g->fd);
        r->close_fd = r->fds[0] = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (fault(region_fd_leak) && index == 1 && c->region_infos > 1000)
        r->fds[0] = dup(g->fd);
    if (r->fds[0] == -1)
        r->n_fds = 0;
}

static uint32_t region_flags(const struct ct_client *c, uint32_t index)
{
    uint32_t flags = c->server->device.regions[index].flags;

    if (!region_mappable(c, index))
        flags &= ~VU_REGION_MMAP;
    if (fault(absent_flags) && c->server->device.regions[index].size == 0)
        flags |= VU_REGION_READABLE | VU_REGION_WRITEABLE;
    if (fault(region_flags) && index == 0)
        flags |= 0x10;
    return flags;
}

/* Faults in the fixed part. */
static void spoil_region(struct ct_client *c, struct vu_region_info *info,
                         const struct vu_region_info *req)
{
    const uint8_t *config = c->server->device.regions[VU_PCI_CONFIG].mem;

    if (fault(region_index) && req->argsz == VU_REGION_INFO_SIZE)
        info->index = 0;
    if (fault(map_past_end) && req->index == 1)
        info->offset = info->size;
    if (fault(caps_without_cap) && req->index == 0)
        info->flags |= VU_REGION_CAPS;
    if (fault(sparse_without_mmap) && req->index == 9)
        info->flags &= ~VU_REGION_MMAP;
    if (fault(region_unstable) && req->index == 0)
        info->offset = (uint64_t)c->number * CT_PAGE;
    if (fault(region_reset) && req->index == 0)
        info->offset = (uint64_t)c->server->device.resets * CT_PAGE;
    if (fault(region_enable) && req->index == 0 && !(config[4] & 2))
        info->size = 0;
    if (fault(region_echo) && req->index == 0)
        info->flags |= req->flags;
}

static int region_info_check(const struct ct_client *c, const struct vu_message *m,
                             const struct vu_region_info *req)
{
    const struct ct_device *d = &c->server->device;

    if (req->argsz < VU_REGION_INFO_SIZE && !fault(region_truncated))
        return -EINVAL;
    if (manner(careful) && (req->flags | req->cap_offset | req->size | req->offset) != 0)
        return -EINVAL;
    if (fault(padding_refused) && m->body_len > VU_REGION_INFO_SIZE)
        return -EINVAL;
    if (req->index >= d->num_regions)
        return fault(region_past_end) && req->index == d->num_regions ? 0 : -EINVAL;
    if (fault(absent_region_refused) && d->regions[req->index].size == 0 &&
        req->argsz == 32)
        return -EINVAL;
    return 0;
}

/* A body of 12 bytes and more, filled up with zeros. */
static int decode_short(const struct vu_message *m, struct vu_region_info *req)
{
    uint8_t whole[VU_REGION_INFO_SIZE] = { 0 };
    struct vu_reader r = vu_reader(whole, sizeof(whole));

    if (!fault(short_body_served) || m->body_len < 12 || m->body_len > sizeof(whole))
        return -EBADMSG;
    memcpy(whole, m->body, m->body_len);
    return vu_decode_region_info(&r, req);
}

int ct_on_region_info(struct ct_client *c, struct vu_message *m, struct ct_reply *r)
{
    struct vu_reader body = ct_body_of(m);
    struct vu_writer at_start = r->w;
    struct vu_region_info req, info = { 0 };
    uint32_t chain = 0;
    bool cut;
    int err = vu_decode_region_info(&body, &req);

    if (err != 0)
        err = decode_short(m, &req);
    if (err == 0)
        err = region_info_check(c, m, &req);
    if (err != 0)
        return err;
    c->region_infos++;
    vu_put_room(&r->w, VU_REGION_INFO_SIZE);
    info.index = req.index;
    if (req.index < c->server->device.num_regions) {
        chain = put_chain(c, r, req.index, region_mappable(c, req.index));
        info.flags = region_flags(c, req.index);
        info.size = ct_device_size(&c->server->device, req.index);
    }
    cut = chain != 0 && req.argsz < VU_REGION_INFO_SIZE + chain && !fault(argsz_ignored);
    info.argsz = VU_REGION_INFO_SIZE + (fault(region_argsz) ? 0 : chain);
    if (chain != 0 && !cut) {
        info.flags |= VU_REGION_CAPS;
        info.cap_offset = fault(cap_misaligned) && req.index == 2 ? 36 : 32;
    } else if (cut && fault(cap_offset_left)) {
        info.cap_offset = 32;
    }
    if (req.index < c->server->device.num_regions) {
        add_region_fds(c, r, req.index, cut);
        spoil_region(c, &info, &req);
    }
    if (!(info.flags & VU_REGION_MMAP) && fault(sparse_without_mmap))
        r->n_fds = 0;
    vu_encode_region_info(&at_start, &info);
    if (cut)
        r->w.len = VU_REGION_INFO_SIZE;
    if (cut && manner(padding)) {
        memset(c->server->body + VU_REGION_INFO_SIZE, 0, chain);
        r->w.len = req.argsz;
    }
    if (req.argsz < VU_REGION_INFO_SIZE)
        r->w.len = req.argsz;
    return 0;
}

int ct_on_region_io_fds(struct ct_client *c, struct vu_message *m, struct ct_reply *r)
{
    struct vu_reader body = ct_body_of(m);
    struct vu_region_io_fds req, ours = { .argsz = VU_REGION_IO_FDS_SIZE };
    struct vu_io_fd_entry doorbell = { .offset = 0x100, .size = 4 };
    int err = vu_decode_region_io_fds(&body, &req);

    if (err != 0 || manner(bare))
        return -EINVAL;
    if (req.argsz < VU_REGION_IO_FDS_SIZE || req.flags != 0 || req.count != 0 ||
        req.index >= c->server->device.num_regions)
        return -EINVAL;
    ours.index = req.index;
    if (req.index == 0 && c->max_fds > 0) {
        ours.argsz += VU_IO_FD_ENTRY_SIZE;
        ours.count = 1;
    }
    vu_encode_region_io_fds(&r->w, &ours);
    if (ours.count == 0 || req.argsz < ours.argsz)
        return 0;
    vu_encode_io_fd_entry(&r->w, &doorbell);
    r->fds[r->n_fds++] = c->server->device.io_fd;
    return 0;
}
