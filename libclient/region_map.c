/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mapping parts of regions into this process.
 *
 * A few mappings per device, made at start, so they hang in a list. They belong to the
 * client and outlive a broken connection, because the caller's pointers do: an access
 * then finds memory that nobody looks at, not a fault.
 */
#include "libclient/region.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* What one call of vfuc_region_map() is about. */
struct wish {
    uint32_t index;
    uint64_t offset;
    size_t len;
    unsigned prot;
};

static int check_form(struct vfuc_client *client, const struct wish *w)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

    if (w->len == 0 || w->offset % page != 0)
        return vuc_fail(client, -EINVAL, "a mapping starts at a page and is not empty");
    if (w->prot == 0 || (w->prot & ~(VFUC_MAP_READ | VFUC_MAP_WRITE)) != 0)
        return vuc_fail(client, -EINVAL, "unknown protection 0x%x", w->prot);
    return 0;
}

static bool in_an_area(const struct vfuc_region *region, const struct wish *w)
{
    for (uint32_t i = 0; i < region->num_areas; i++) {
        const struct vfuc_area *area = &region->areas[i];

        if (w->offset >= area->offset && w->offset - area->offset <= area->size
            && w->len <= area->size - (w->offset - area->offset))
            return true;
    }
    return false;
}

static int check_offer(struct vfuc_client *client, const struct vfuc_region *region,
                       const struct wish *w)
{
    /* VFUC_MAP_ and VU_REGION_ have the same bits for reading and writing. */
    if ((w->prot & ~region->flags) != 0)
        return vuc_fail(client, -EACCES, "region %u does not allow this protection",
                        region->index);
    if (!in_an_area(region, w))
        return vuc_fail(client, -EACCES, "this part of region %u is not mappable",
                        region->index);
    return 0;
}

/* Beyond the end of a file mmap() succeeds and every access raises SIGBUS. */
static int check_file(struct vfuc_client *client, const struct vfuc_region *region,
                      const struct wish *w)
{
    uint64_t end = region->fd_offset + w->offset + w->len;  /* no wrap: see read_mmap() */
    struct stat st;

    if (fstat(region->fd, &st) < 0)
        return vuc_fail(client, -ENODEV, "the descriptor of region %u is of no use",
                        region->index);
    if (S_ISREG(st.st_mode) && (uint64_t)st.st_size < end)
        return vuc_fail(client, -ENXIO, "the file behind region %u is too short",
                        region->index);
    return 0;
}

static int map(struct vfuc_client *client, const struct vfuc_region *region,
               const struct wish *w, void **addr)
{
    int prot = ((w->prot & VFUC_MAP_READ) != 0 ? PROT_READ : 0)
             | ((w->prot & VFUC_MAP_WRITE) != 0 ? PROT_WRITE : 0);
    void *at = mmap(NULL, w->len, prot, MAP_SHARED, region->fd,
                    (off_t)(region->fd_offset + w->offset));

    if (at != MAP_FAILED) {
        *addr = at;
        return 0;
    }
    if (errno == ENOMEM)
        return vuc_fail(client, -ENOMEM, "no room for a mapping of region %u",
                        region->index);
    return vuc_fail(client, -ENODEV, "the descriptor of region %u cannot be mapped",
                    region->index);
}

static int keep_mapping(struct vfuc_client *client, const struct vfuc_region *region,
                        const struct wish *w, void **addr)
{
    struct vuc_mapping *mapping = malloc(sizeof(*mapping));
    int err;

    if (mapping == NULL)
        return vuc_fail(client, -ENOMEM, "out of memory");
    err = map(client, region, w, &mapping->addr);
    if (err < 0) {
        free(mapping);
        return err;
    }
    mapping->len = w->len;
    mapping->next = client->mappings;
    client->mappings = mapping;
    *addr = mapping->addr;
    return 0;
}

int vfuc_region_map(struct vfuc_client *client, uint32_t index, uint64_t offset,
                    size_t len, unsigned prot, void **addr)
{
    struct wish w = { index, offset, len, prot };
    const struct vuc_region *region;
    int err = check_form(client, &w);

    if (err == 0)
        err = vuc_region_known(client, index, &region);
    if (err == 0)
        err = vuc_region_check(client, region, offset, len);
    if (err == 0)
        err = check_offer(client, &region->info, &w);
    if (err == 0)
        err = check_file(client, &region->info, &w);
    if (err == 0)
        err = keep_mapping(client, &region->info, &w, addr);
    return err;
}

static void end_mapping(struct vuc_mapping **link)
{
    struct vuc_mapping *mapping = *link;

    *link = mapping->next;
    munmap(mapping->addr, mapping->len);
    free(mapping);
}

int vfuc_region_unmap(struct vfuc_client *client, void *addr)
{
    struct vuc_mapping **link = &client->mappings;

    while (*link != NULL && (*link)->addr != addr)
        link = &(*link)->next;
    if (*link == NULL)
        return vuc_fail(client, -EINVAL, "there is no mapping at this address");
    end_mapping(link);
    return 0;
}

void vuc_mappings_done(struct vfuc_client *client)
{
    while (client->mappings != NULL)
        end_mapping(&client->mappings);
}
