/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mapping parts of regions into this process.
 *
 * A few mappings per device, made at start, so they hang in a list. They belong to the
 * client and outlive a connection, because the caller's pointers do: when it ends, each
 * becomes private memory of zeros at its address, so that an access finds memory that
 * nobody looks at and not a fault; after a reconnect it is the region again.
 *
 * No file of the server's is safe to touch: it can be shrunk after it was mapped, and an
 * access raises SIGBUS then. The library itself never reads or writes a mapping.
 */
#include "libclient/region.h"

#include <linux/magic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* ----------------------------------------------------------------- checks -- */

static int check_form(struct vfuc_client *client, const struct vuc_mapping *m)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

    if (m->len == 0 || m->offset % page != 0)
        return vuc_fail(client, -EINVAL, "a mapping starts at a page and is not empty");
    if (m->prot == 0 || (m->prot & ~(VFUC_MAP_READ | VFUC_MAP_WRITE)) != 0)
        return vuc_fail(client, -EINVAL, "unknown protection 0x%x", m->prot);
    return 0;
}

/* The area that the whole mapping lies in, or NULL. */
static const struct vfuc_area *find_area(const struct vfuc_region *region,
                                         const struct vuc_mapping *m)
{
    for (uint32_t i = 0; i < region->num_areas; i++) {
        const struct vfuc_area *area = &region->areas[i];

        if (m->offset >= area->offset && m->offset - area->offset <= area->size
            && m->len <= area->size - (m->offset - area->offset))
            return area;
    }
    return NULL;
}

static int check_offer(struct vfuc_client *client, const struct vfuc_region *region,
                       const struct vuc_mapping *m, const struct vfuc_area **area)
{
    /* VFUC_MAP_ and VU_REGION_ have the same bits for reading and writing. */
    if ((m->prot & ~region->flags) != 0)
        return vuc_fail(client, -EACCES, "region %u does not allow this protection",
                        region->index);
    *area = find_area(region, m);
    if (*area == NULL)
        return vuc_fail(client, -EACCES, "this part of region %u is not mappable",
                        region->index);
    if ((*area)->fd < 0)
        return vuc_fail(client, -ENOTCONN, "the connection is closed");
    return 0;
}

/* In the descriptor; no wrap: region.c has checked the area. */
static uint64_t fd_offset(const struct vfuc_area *area, const struct vuc_mapping *m)
{
    return area->fd_offset + (m->offset - area->offset);
}

/* Of huge pages mmap() maps more than it was asked for, and munmap() takes nothing away
 * that is not whole: what was mapped would stay, whatever we do. */
static int check_pages(struct vfuc_client *client, const struct vfuc_area *area,
                       const struct vuc_mapping *m)
{
    struct statfs fs;

    if (fstatfs(area->fd, &fs) < 0 || fs.f_type != HUGETLBFS_MAGIC
        || m->len % (uint64_t)fs.f_bsize == 0)
        return 0;
    return vuc_fail(client, -ENODEV, "the memory of region %u has huge pages, of %lld "
                    "bytes", m->index, (long long)fs.f_bsize);
}

/* Beyond the end of a file mmap() succeeds and every access raises SIGBUS. */
static int check_file(struct vfuc_client *client, const struct vfuc_area *area,
                      const struct vuc_mapping *m)
{
    struct stat st;

    if (fstat(area->fd, &st) < 0)
        return vuc_fail(client, -ENODEV, "the descriptor of region %u is of no use",
                        m->index);
    if (S_ISREG(st.st_mode) && (uint64_t)st.st_size < fd_offset(area, m) + m->len)
        return vuc_fail(client, -ENXIO, "the file behind region %u is too short",
                        m->index);
    return check_pages(client, area, m);
}

/* ---------------------------------------------------------------- mapping -- */

static int protection(const struct vuc_mapping *m)
{
    return ((m->prot & VFUC_MAP_READ) != 0 ? PROT_READ : 0)
         | ((m->prot & VFUC_MAP_WRITE) != 0 ? PROT_WRITE : 0);
}

/*
 * Move a fresh mapping to where m is, in place of what is there, or keep it where it is
 * if m is nowhere yet. In two steps, as an mmap(MAP_FIXED) that fails may have unmapped
 * what was there, and others could come to lie at an address that the caller uses. 0 or
 * -ENOMEM.
 */
static int settle(struct vuc_mapping *m, void *fresh)
{
    if (m->addr != NULL
        && mremap(fresh, m->len, m->len, MREMAP_MAYMOVE | MREMAP_FIXED, m->addr)
           == MAP_FAILED) {
        munmap(fresh, m->len);
        return -ENOMEM;
    }
    if (m->addr == NULL)
        m->addr = fresh;
    return 0;
}

static int map(struct vfuc_client *client, const struct vfuc_area *area,
               struct vuc_mapping *m)
{
    void *fresh = mmap(NULL, m->len, protection(m), MAP_SHARED, area->fd,
                       (off_t)fd_offset(area, m));
    int err = fresh == MAP_FAILED ? -errno : settle(m, fresh);

    if (err == 0)
        return 0;
    if (err == -ENOMEM)
        return vuc_fail(client, err, "no room for a mapping of region %u", m->index);
    return vuc_fail(client, -ENODEV, "the descriptor of region %u cannot be mapped",
                    m->index);
}

/* Check what is wished for against what the region is now, and map it. */
static int map_checked(struct vfuc_client *client, const struct vuc_region *region,
                       struct vuc_mapping *m)
{
    const struct vfuc_area *area;
    int err = vuc_region_check(client, region, m->offset, m->len);

    if (err == 0)
        err = check_offer(client, &region->info, m, &area);
    if (err == 0)
        err = check_file(client, area, m);
    if (err == 0)
        err = map(client, area, m);
    return err;
}

static int keep_mapping(struct vfuc_client *client, const struct vuc_region *region,
                        const struct vuc_mapping *wish, void **addr)
{
    struct vuc_mapping *m = malloc(sizeof(*m));
    int err;

    if (m == NULL)
        return vuc_fail(client, -ENOMEM, "out of memory");
    *m = *wish;
    err = map_checked(client, region, m);
    if (err < 0) {
        free(m);
        return err;
    }
    m->next = client->mappings;
    client->mappings = m;
    *addr = m->addr;
    return 0;
}

int vfuc_region_map(struct vfuc_client *client, uint32_t index, uint64_t offset,
                    size_t len, unsigned prot, void **addr)
{
    struct vuc_mapping wish = { .index = index, .offset = offset, .len = len,
                                .prot = prot };
    const struct vuc_region *region;
    int err = vuc_usable(client);

    /* On a closed connection there is better to say. */
    if (err != -EBUSY)
        err = check_form(client, &wish);
    if (err == 0)
        err = vuc_region_known(client, index, &region);
    if (err == 0)
        err = keep_mapping(client, region, &wish, addr);
    return err;
}

static void end_mapping(struct vuc_mapping **link)
{
    struct vuc_mapping *m = *link;

    *link = m->next;
    munmap(m->addr, m->len);
    free(m);
}

int vfuc_region_unmap(struct vfuc_client *client, void *addr)
{
    struct vuc_mapping **link = &client->mappings;

    if (vuc_usable(client) == -EBUSY)
        return -EBUSY;
    while (*link != NULL && (*link)->addr != addr)
        link = &(*link)->next;
    if (*link == NULL)
        return vuc_fail(client, -EINVAL, "there is no mapping at this address");
    end_mapping(link);
    return 0;
}

/* ------------------------------------------------- end of a connection -- */

void vuc_mappings_lost(struct vfuc_client *client)
{
    for (struct vuc_mapping *m = client->mappings; m != NULL; m = m->next) {
        void *zeros = mmap(NULL, m->len, protection(m),
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        /* Without memory what was there stays: nothing is worse than a hole. */
        if (zeros != MAP_FAILED)
            settle(m, zeros);
    }
}

static int restore_mapping(struct vfuc_client *client, struct vuc_mapping *m)
{
    int err = map_checked(client, &client->regions[m->index], m);

    if (err == 0 || err == -ENOMEM)
        return err;
    return vuc_fail(client, -ESTALE, "what was mapped of region %u cannot be any more",
                    m->index);
}

int vuc_mappings_restore(struct vfuc_client *client)
{
    for (struct vuc_mapping *m = client->mappings; m != NULL; m = m->next) {
        int err = restore_mapping(client, m);

        if (err < 0)
            return err;
    }
    return 0;
}

void vuc_mappings_done(struct vfuc_client *client)
{
    while (client->mappings != NULL)
        end_mapping(&client->mappings);
}
