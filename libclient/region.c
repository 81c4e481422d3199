/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a region is: flags, size, mappable areas, and the descriptors behind them.
 *
 * Each region is asked for once, when something first needs it, and then looked up by
 * index on every access. The reply is the most intricate thing a server sends, so it is
 * taken apart into a struct vuc_region of its own and moved into the table only when
 * every part of it has been found sound.
 */
#include "libclient/region.h"

#include <stdlib.h>

#include "libclient/call.h"

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
    region->areas = areas;
    region->info.areas = areas;
    region->info.num_areas = n;
    return 0;
}

/* off_t is signed */
static bool in_a_file(uint64_t offset, uint64_t size)
{
    return offset <= INT64_MAX && size <= INT64_MAX - offset;
}

/* ------------------------------------------------------------------ chain -- */

/* A reply that is being taken apart. The functions below return 0, -ENOMEM, -EMFILE, or
 * -EPROTO with .why set. */
struct reading {
    struct vu_message *reply;
    const struct vu_region_info *m;
    struct vuc_region *region;  /* what came of it; released by the caller on failure */
    bool fd_per_area;           /* agreed on */
    bool has_fds;               /* every area has its descriptor */
    const char *why;
};

static int unsound(struct reading *in, const char *why)
{
    in->why = why;
    return -EPROTO;
}

static int sort_areas(struct reading *in)
{
    struct vuc_region *region = in->region;
    uint32_t n = region->info.num_areas;

    qsort(region->areas, n, sizeof(*region->areas), by_offset);
    in->why = unusable_areas(region->areas, n, region->info.size);
    return in->why == NULL ? 0 : -EPROTO;
}

static int read_sparse(struct reading *in, const struct vu_cap *cap)
{
    int64_t n = vu_sparse_count(cap);
    int err;

    if (n < 0)
        return unsound(in, "more areas than bytes for them");
    err = set_areas(in->region, (uint32_t)n);
    if (err < 0)
        return err;
    for (uint32_t i = 0; i < n; i++) {
        struct vu_sparse_area area = vu_sparse_area(cap, i);

        in->region->areas[i] = (struct vfuc_area){
            .offset = area.offset, .size = area.size, .fd = -1,
        };
    }
    return sort_areas(in);
}

static int read_area_with_fd(struct reading *in, const struct vu_sparse_fd_area *from,
                             struct vfuc_area *area)
{
    *area = (struct vfuc_area){
        .offset = from->offset, .size = from->size, .fd_offset = from->fd_offset,
    };
    if (!in_a_file(from->fd_offset, from->size))
        return unsound(in, "a mappable part that cannot be");
    in->why = "an area whose descriptor did not come";
    return vuc_fds_take(&in->region->fds, in->reply, from->fd_index, &area->fd);
}

static int read_sparse_fds(struct reading *in, const struct vu_cap *cap)
{
    int64_t n = vu_sparse_fds_count(cap);
    int err;

    if (n < 0)
        return unsound(in, "more areas than bytes for them");
    err = set_areas(in->region, (uint32_t)n);
    for (uint32_t i = 0; err == 0 && i < n; i++) {
        struct vu_sparse_fd_area area = vu_sparse_fd_area(cap, i);

        err = read_area_with_fd(in, &area, &in->region->areas[i]);
    }
    in->has_fds = true;
    return err < 0 ? err : sort_areas(in);
}

static int read_areas(struct reading *in, const struct vu_cap *cap)
{
    bool with_fds = cap->id == VU_CAP_SPARSE_MMAP_FDS;

    /* Areas of what is not mappable mean nothing. */
    if ((in->m->flags & VU_REGION_MMAP) == 0)
        return 0;
    if (in->region->areas != NULL)
        return unsound(in, "areas twice");
    /* What a later version of it means, or one that we did not agree on, nobody knows:
     * then nothing is mappable. */
    if (cap->version != 1 || (with_fds && !in->fd_per_area))
        return set_areas(in->region, 0);
    return with_fds ? read_sparse_fds(in, cap) : read_sparse(in, cap);
}

static int read_type(struct reading *in, const struct vu_cap *cap)
{
    struct vu_type_cap type;

    if (vu_decode_type_cap(cap, &type) < 0)
        return unsound(in, "a type capability that is too short");
    in->region->info.has_type = true;
    in->region->info.type = type.type;
    in->region->info.subtype = type.subtype;
    return 0;
}

static int read_cap(struct reading *in, const struct vu_cap *cap)
{
    switch (cap->id) {
    case VU_CAP_SPARSE_MMAP:
    case VU_CAP_SPARSE_MMAP_FDS:
        return read_areas(in, cap);
    case VU_CAP_TYPE:
        return read_type(in, cap);
    case VU_CAP_MSIX_MAPPABLE:
        in->region->info.msix_mappable = true;
        return 0;
    default:
        return 0;       /* unknown ones are the specification's way to grow */
    }
}

static int read_chain(struct reading *in)
{
    struct vu_cap_walk walk = vu_cap_walk(in->reply->body, in->reply->body_len,
                                          in->m->cap_offset);
    struct vu_cap cap;
    int err;

    while ((err = vu_cap_next(&walk, &cap)) == 1) {
        err = read_cap(in, &cap);
        if (err < 0)
            return err;
    }
    if (err < 0 || in->m->cap_offset == 0)
        return unsound(in, "a capability chain that leads nowhere");
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
        region->areas[0].size = region->info.size;
    return err;
}

/* One descriptor behind all areas. */
static int read_fd(struct reading *in)
{
    struct vfuc_region *info = &in->region->info;
    int err;

    if (!in_a_file(in->m->offset, info->size))
        return unsound(in, "a mappable part that cannot be");
    in->why = "mappable without a descriptor";
    err = vuc_fds_take(&in->region->fds, in->reply, 0, &info->fd);
    if (err < 0)
        return err;
    info->fd_offset = in->m->offset;
    err = whole_region(in->region);
    if (err < 0)
        return err;
    for (uint32_t i = 0; i < info->num_areas; i++) {
        in->region->areas[i].fd = info->fd;
        in->region->areas[i].fd_offset = info->fd_offset + in->region->areas[i].offset;
    }
    return 0;
}

static int read_mmap(struct reading *in)
{
    if (in->region->info.size == 0)
        return unsound(in, "a mappable part that cannot be");
    if (!in->has_fds)
        return read_fd(in);
    if (in->reply->n_fds == 0 && !in->reply->fds_lost)
        return unsound(in, "mappable without a descriptor");
    return 0;
}

static int read_region(struct reading *in)
{
    const struct vu_region_info *m = in->m;
    int err = 0;

    *in->region = (struct vuc_region){
        .known = true,
        .info = {
            .index = m->index,
            .flags = m->flags & (VU_REGION_READABLE | VU_REGION_WRITEABLE
                                 | VU_REGION_MMAP),
            .size = m->size,
            .fd = -1,
        },
    };
    if ((m->flags & VU_REGION_CAPS) != 0)
        err = read_chain(in);
    if (err == 0 && (m->flags & VU_REGION_MMAP) != 0)
        err = read_mmap(in);
    return err;
}

static void region_done(struct vuc_region *region)
{
    vuc_fds_close(&region->fds);
    vuc_io_fds_done(&region->io);
    free(region->areas);
}

/* Fill *region, and end the reply. On failure nothing is left of either. */
static int use_reply(struct vfuc_client *client, struct vu_message *reply,
                     const struct vu_region_info *m, struct vuc_region *region)
{
    struct reading in = {
        .reply = reply,
        .m = m,
        .region = region,
        .fd_per_area = client->limits.sparse_mmap_fds,
    };
    int err = read_region(&in);

    if (err < 0)
        region_done(region);
    if (err == -EPROTO)
        return vuc_broken_reply(client, reply, in.why);
    vu_message_done(reply);
    if (err == -EMFILE)
        vuc_note(client, "no room for the descriptors of region %u", m->index);
    if (err == -ENOMEM)
        vuc_note(client, "out of memory");
    return err;
}

/* --------------------------------------------------------------- question -- */

/* One question with room for *argsz bytes. 0: *region is filled. 1: more room is needed,
 * *argsz says how much. Negative: as vuc_call(). */
static int ask_region(struct vfuc_client *client, uint32_t index, uint32_t *argsz,
                      struct vuc_region *region)
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
        return use_reply(client, &reply, &m, region);
    if (m.argsz > VUC_REGION_INFO_MAX)
        return vuc_broken_reply(client, &reply, "more capabilities than any region has");
    vu_message_done(&reply);
    *argsz = m.argsz;
    return 1;
}

static int ask_until_it_fits(struct vfuc_client *client, uint32_t index,
                             struct vuc_region *region)
{
    uint32_t argsz = VU_REGION_INFO_SIZE;

    for (int i = 0; i < VUC_MAX_QUESTIONS; i++) {
        int err = ask_region(client, index, &argsz, region);

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
        struct vuc_region answer;

        err = ask_until_it_fits(client, index, &answer);
        if (err < 0)
            return err;
        client->regions[index] = answer;
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

/* --------------------------------------------------- end of a connection -- */

static void region_lost(struct vuc_region *region)
{
    vuc_fds_close(&region->fds);
    region->info.fd = -1;
    for (uint32_t i = 0; i < region->info.num_areas; i++)
        region->areas[i].fd = -1;
    vuc_io_fds_lost(&region->io);
}

void vuc_regions_lost(struct vfuc_client *client)
{
    vuc_mappings_lost(client);
    for (uint32_t i = 0; i < client->device.num_regions; i++) {
        if (client->regions[i].known)
            region_lost(&client->regions[i]);
    }
}

/* Where the areas lie in which descriptor is the server's business. */
static bool same_areas(const struct vfuc_region *a, const struct vfuc_region *b)
{
    if (a->num_areas != b->num_areas)
        return false;
    for (uint32_t i = 0; i < a->num_areas; i++) {
        if (a->areas[i].offset != b->areas[i].offset
            || a->areas[i].size != b->areas[i].size)
            return false;
    }
    return true;
}

static bool same_region(const struct vfuc_region *a, const struct vfuc_region *b)
{
    return a->size == b->size && a->flags == b->flags
        && a->msix_mappable == b->msix_mappable && a->has_type == b->has_type
        && a->type == b->type && a->subtype == b->subtype && same_areas(a, b);
}

/* The caller may hold pointers to the old one: it stays, with the new descriptors. */
static void adopt(struct vuc_region *old, struct vuc_region *fresh)
{
    old->fds = fresh->fds;
    fresh->fds = (struct vuc_fds){ 0 };
    old->info.fd = fresh->info.fd;
    old->info.fd_offset = fresh->info.fd_offset;
    for (uint32_t i = 0; i < fresh->info.num_areas; i++)
        old->areas[i] = fresh->areas[i];
}

static int restore_region(struct vfuc_client *client, uint32_t index)
{
    struct vuc_region *region = &client->regions[index];
    struct vuc_region fresh = { .known = false };
    int err = ask_until_it_fits(client, index, &fresh);

    if (err < 0)
        return err;
    if (same_region(&region->info, &fresh.info))
        adopt(region, &fresh);
    else
        err = vuc_fail(client, -ESTALE, "region %u is not what it was", index);
    region_done(&fresh);
    if (err == 0 && region->io.known)
        err = vuc_io_fds_restore(client, index);
    return err;
}

int vuc_regions_restore(struct vfuc_client *client)
{
    for (uint32_t i = 0; i < client->device.num_regions; i++) {
        int err = client->regions[i].known ? restore_region(client, i) : 0;

        if (err < 0)
            return err;
    }
    return vuc_mappings_restore(client);
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
