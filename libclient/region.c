/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a region is: flags, size, mappable areas, and the descriptor behind them.
 *
 * Each region is asked for once, when something first needs it, and then looked up by
 * index on every access. The reply is the most intricate thing a server sends, so it is
 * taken apart into a struct vuc_region of its own and moved into the table only when
 * every part of it has been found sound.
 */
#include "libclient/region.h"

#include <stdlib.h>
#include <unistd.h>

#include "libclient/call.h"

/* A server whose argsz grows with every answer gets this many questions. */
#define MAX_QUESTIONS 4

static void region_done(struct vuc_region *region)
{
    if (region->info.fd >= 0)
        close(region->info.fd);
    free(region->areas);
}

void vuc_regions_done(struct vfuc_client *client)
{
    vuc_mappings_done(client);
    for (uint32_t i = 0; i < client->device.num_regions; i++) {
        if (client->regions[i].known)
            region_done(&client->regions[i]);
    }
    free(client->regions);
    client->regions = NULL;
}

/* ------------------------------------------------------------------ areas -- */

static int by_offset(const void *a, const void *b)
{
    const struct vfuc_area *x = a, *y = b;

    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Why sorted areas cannot be those of a region of this size, or NULL. */
static const char *unusable_areas(const struct vfuc_area *areas, uint32_t n,
                                  uint64_t size)
{
    uint64_t end = 0;   /* of the area before */

    for (uint32_t i = 0; i < n; i++) {
        if (areas[i].size == 0)
            return "an empty area";
        if (areas[i].offset > size || areas[i].size > size - areas[i].offset)
            return "an area that leaves the region";
        if (areas[i].offset < end)
            return "areas that overlap";
        end = areas[i].offset + areas[i].size;
    }
    return NULL;
}

static int set_areas(struct vuc_region *region, uint32_t n)
{
    /* calloc(0) may give NULL, which would look like a failure */
    struct vfuc_area *areas = calloc((size_t)n + 1, sizeof(*areas));

    if (areas == NULL)
        return -ENOMEM;
    free(region->areas);
    region->areas = areas;
    region->info.areas = areas;
    region->info.num_areas = n;
    return 0;
}

/* ----------------------------------------------------------------- chain -- */

/* The parsers below return 0, -ENOMEM, or -EPROTO with *why set. */

static int read_sparse(struct vuc_region *region, const struct vu_cap *cap,
                       const char **why)
{
    int64_t n = vu_sparse_count(cap);
    int err;

    if (n < 0) {
        *why = "more areas than bytes for them";
        return -EPROTO;
    }
    err = set_areas(region, (uint32_t)n);
    if (err < 0)
        return err;
    for (uint32_t i = 0; i < n; i++) {
        struct vu_sparse_area area = vu_sparse_area(cap, i);

        region->areas[i] = (struct vfuc_area){ area.offset, area.size };
    }
    qsort(region->areas, (size_t)n, sizeof(*region->areas), by_offset);
    *why = unusable_areas(region->areas, (uint32_t)n, region->info.size);
    return *why == NULL ? 0 : -EPROTO;
}

static int read_type(struct vuc_region *region, const struct vu_cap *cap,
                     const char **why)
{
    struct vu_type_cap type;

    if (vu_decode_type_cap(cap, &type) < 0) {
        *why = "a type capability that is too short";
        return -EPROTO;
    }
    region->info.has_type = true;
    region->info.type = type.type;
    region->info.subtype = type.subtype;
    return 0;
}

static int read_cap(struct vuc_region *region, const struct vu_cap *cap, const char **why)
{
    switch (cap->id) {
    case VU_CAP_SPARSE_MMAP:
        if (region->areas != NULL) {
            *why = "areas twice";
            return -EPROTO;
        }
        /* What a later version of it means nobody knows: then nothing is mappable. */
        return cap->version == 1 ? read_sparse(region, cap, why) : set_areas(region, 0);
    case VU_CAP_TYPE:
        return read_type(region, cap, why);
    case VU_CAP_MSIX_MAPPABLE:
        region->info.msix_mappable = true;
        return 0;
    default:
        return 0;       /* unknown ones are the specification's way to grow */
    }
}

static int read_chain(struct vuc_region *region, const struct vu_message *reply,
                      uint32_t cap_offset, const char **why)
{
    struct vu_cap_walk walk = vu_cap_walk(reply->body, reply->body_len, cap_offset);
    struct vu_cap cap;
    int err;

    while ((err = vu_cap_next(&walk, &cap)) == 1) {
        err = read_cap(region, &cap, why);
        if (err < 0)
            return err;
    }
    if (err < 0 || cap_offset == 0) {
        *why = "a capability chain that leads nowhere";
        return -EPROTO;
    }
    return 0;
}

/* ------------------------------------------------------------------ reply -- */

/* Without a list of areas the whole region is one. */
static int whole_region(struct vuc_region *region)
{
    int err;

    if (region->areas != NULL)
        return 0;
    err = set_areas(region, 1);
    if (err == 0)
        region->areas[0] = (struct vfuc_area){ 0, region->info.size };
    return err;
}

static int read_mmap(struct vuc_region *region, struct vu_message *reply,
                     const struct vu_region_info *m, const char **why)
{
    int fd;

    /* off_t is signed */
    if (m->size == 0 || m->offset > INT64_MAX || m->size > INT64_MAX - m->offset) {
        *why = "a mappable part that cannot be";
        return -EPROTO;
    }
    fd = vu_message_take_fd(reply, 0);
    if (fd < 0) {
        *why = "mappable without a descriptor";
        return reply->fds_lost ? -EMFILE : -EPROTO;
    }
    region->info.fd = fd;
    region->info.fd_offset = m->offset;
    return whole_region(region);
}

/* Fill an empty region; whatever it got is released by the caller on failure too. */
static int read_region(struct vuc_region *region, struct vu_message *reply,
                       const struct vu_region_info *m, const char **why)
{
    int err = 0;

    region->known = true;
    region->info.index = m->index;
    region->info.size = m->size;
    region->info.flags = m->flags & (VU_REGION_READABLE | VU_REGION_WRITEABLE
                                     | VU_REGION_MMAP);
    if ((m->flags & VU_REGION_CAPS) != 0)
        err = read_chain(region, reply, m->cap_offset, why);
    if (err == 0 && (m->flags & VU_REGION_MMAP) != 0)
        return read_mmap(region, reply, m, why);
    /* Areas of what is not mappable mean nothing. */
    region->info.areas = NULL;
    region->info.num_areas = 0;
    return err;
}

static int keep_region(struct vfuc_client *client, struct vu_message *reply,
                       const struct vu_region_info *m)
{
    struct vuc_region region = { .info = { .fd = -1 } };
    const char *why = NULL;
    int err = read_region(&region, reply, m, &why);

    if (err == 0)
        client->regions[m->index] = region;
    else
        region_done(&region);
    if (err == -EPROTO)
        return vuc_broken_reply(client, reply, why);
    vu_message_done(reply);
    if (err == -EMFILE)
        vuc_note(client, "no room for the descriptor of region %u", m->index);
    if (err == -ENOMEM)
        vuc_note(client, "out of memory");
    return err;
}

/* --------------------------------------------------------------- question -- */

/* One question with room for *argsz bytes. 0: kept. 1: more room is needed, *argsz says
 * how much. Negative: as vuc_call(). */
static int ask_region(struct vfuc_client *client, uint32_t index, uint32_t *argsz)
{
    struct vu_region_info m = { .argsz = *argsz, .index = index };
    struct vuc_request req;
    struct vu_message reply;
    struct vu_reader r;
    int err;

    vuc_request_init(&req, VU_DEVICE_GET_REGION_INFO);
    vu_encode_region_info(&req.body, &m);
    req.reply_max = *argsz;
    err = vuc_call(client, &req, &reply);
    if (err < 0)
        return err;
    r = vu_reader(reply.body, reply.body_len);
    vu_decode_region_info(&r, &m);
    if (m.index != index)
        return vuc_broken_reply(client, &reply, "another region");
    if (m.argsz < VU_REGION_INFO_SIZE)
        return vuc_broken_reply(client, &reply, "argsz is smaller than the reply");
    if (m.argsz <= *argsz)
        return keep_region(client, &reply, &m);
    if (m.argsz > VUC_REGION_INFO_MAX)
        return vuc_broken_reply(client, &reply, "more capabilities than any region has");
    vu_message_done(&reply);
    *argsz = m.argsz;
    return 1;
}

static int ask_until_it_fits(struct vfuc_client *client, uint32_t index)
{
    uint32_t argsz = VU_REGION_INFO_SIZE;

    for (int i = 0; i < MAX_QUESTIONS; i++) {
        int err = ask_region(client, index, &argsz);

        if (err <= 0)
            return err;
    }
    return vuc_broken(client, "DEVICE_GET_REGION_INFO: argsz grows with every reply");
}

int vuc_region_known(struct vfuc_client *client, uint32_t index,
                     const struct vuc_region **region)
{
    int err = vuc_device_known(client);

    if (err < 0)
        return err;
    if (index >= client->device.num_regions)
        return vuc_fail(client, -ERANGE, "there is no region %u", index);
    if (!client->regions[index].known) {
        err = ask_until_it_fits(client, index);
        if (err < 0)
            return err;
    }
    *region = &client->regions[index];
    return 0;
}

int vuc_region_check(struct vfuc_client *client, const struct vuc_region *region,
                     uint64_t offset, uint64_t len)
{
    uint64_t size = region->info.size;

    if (offset <= size && len <= size - offset)
        return 0;
    return vuc_fail(client, -ERANGE, "region %u ends at 0x%llx", region->info.index,
                    (unsigned long long)size);
}

int vfuc_region_info(struct vfuc_client *client, uint32_t index,
                     const struct vfuc_region **region)
{
    const struct vuc_region *found;
    int err = vuc_region_known(client, index, &found);

    if (err == 0)
        *region = &found->info;
    return err;
}
