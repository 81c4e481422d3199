/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Regions: what region.c knows of them, and what the files about their parts share
 * (region_access.c, region_map.c, region_io_fds.c, region_write_multi.c).
 *
 * Structs that the caller may hold pointers to are changed in place and freed only at the
 * end: after a connection is lost the server's descriptors are gone from them, after a
 * reconnect there are new ones.
 */
#ifndef VUC_REGION_H
#define VUC_REGION_H

#include "libclient/client.h"
#include "libclient/fds.h"

/* How often a server may say that its answer needs more room. */
#define VUC_MAX_QUESTIONS 4

struct vuc_io_fds {
    bool known;                 /* the rest is valid */
    uint32_t n;
    struct vfuc_io_fd *entries; /* owned */
    struct vuc_fds fds;         /* owned; entries[].fd are among them */
};

struct vuc_region {
    bool known;                 /* the rest is valid, but for io */
    struct vfuc_region info;
    struct vfuc_area *areas;    /* owned; info.areas */
    struct vuc_fds fds;         /* owned; info.fd and areas[].fd are among them */
    struct vuc_io_fds io;
};

/* Made by vfuc_region_map(), a list. */
struct vuc_mapping {
    struct vuc_mapping *next;
    void *addr;
    uint32_t index;             /* region */
    uint64_t offset;            /* in the region */
    size_t len;
    unsigned prot;              /* VFUC_MAP_ */
};

/* The region, asked for the first time. 0, -ERANGE, or as vuc_call(). */
int vuc_region_known(struct vfuc_client *client, uint32_t index,
                     const struct vuc_region **region);

/* Does [offset, offset + len) lie in the region? 0 or -ERANGE. */
int vuc_region_check(struct vfuc_client *client, const struct vuc_region *region,
                     uint64_t offset, uint64_t len);

/* What an access is about. */
struct vuc_access {
    uint32_t index;
    uint64_t offset;
    size_t len;
};

/* May it be made? need: VU_REGION_READABLE or VU_REGION_WRITEABLE. Asks for the region
 * the first time. 0, -EINVAL, -ERANGE, -EACCES, or as vuc_call(). */
int vuc_access_check(struct vfuc_client *client, const struct vuc_access *a,
                     uint32_t need);

/* How a write is sent. */
enum vuc_how {
    VUC_ANSWERED,
    VUC_POSTED,     /* No_reply */
    VUC_GATHERED    /* No_reply, and it leaves with whatever is sent next */
};

/* Write what vuc_access_check() has allowed, in as many messages as it takes. */
int vuc_region_write(struct vfuc_client *client, const struct vuc_access *a,
                     const void *from, enum vuc_how how);

/* The connection has ended: the server's descriptors are closed, mappings become private
 * zeros in place. Harmless when it is done already. */
void vuc_regions_lost(struct vfuc_client *client);

/* After a reconnect: what was known is asked for again and must be the same; mappings
 * lead to the new descriptors. 0, -ESTALE, or as vuc_call(); what was restored before a
 * failure is undone by vuc_regions_lost(). */
int vuc_regions_restore(struct vfuc_client *client);

/* End all: mappings, descriptors, tables. */
void vuc_regions_done(struct vfuc_client *client);

/* The parts of the three that are region_map.c's ... */
void vuc_mappings_lost(struct vfuc_client *client);
int vuc_mappings_restore(struct vfuc_client *client);
void vuc_mappings_done(struct vfuc_client *client);

/* ... and region_io_fds.c's. */
void vuc_io_fds_lost(struct vuc_io_fds *io);
int vuc_io_fds_restore(struct vfuc_client *client, uint32_t index);
void vuc_io_fds_done(struct vuc_io_fds *io);

#endif
