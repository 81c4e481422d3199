/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device's regions: what the client may access by message or map.
 *
 * Region 7 is configuration space, served by libserver/pci.h; the callback of
 * any other region serves every message for it, also inside mappable areas.
 * Accesses are the hot path: no allocation, no copy besides the reply itself.
 */
#ifndef VUS_REGION_H
#define VUS_REGION_H

#include "libvfio-user.h"

#include <stddef.h>
#include <stdint.h>

#include "wire/channel.h"

struct vus_reply;

struct vus_region {
    size_t size;            /* 0: the device has no such region */
    int flags;              /* VFU_REGION_FLAG_* */
    vfu_region_access_cb_t *cb;
    int fd;                 /* lent by the device; -1: nothing to map */
    uint64_t fd_offset;     /* where in fd the region starts */
    struct iovec *areas;    /* owned: mappable parts, iov_base counts in the region */
    uint32_t n_areas;
};

void vus_region_init(struct vus_region *r);
/* Frees what it holds; the descriptor stays with the device. */
void vus_region_done(struct vus_region *r);

/* Handlers of commands, see libserver/dispatch.h. */
int vus_on_region_info(struct vfu_ctx *ctx, struct vu_message *m,
                       struct vus_reply *reply);
int vus_on_region_read(struct vfu_ctx *ctx, struct vu_message *m,
                       struct vus_reply *reply);
int vus_on_region_write(struct vfu_ctx *ctx, struct vu_message *m,
                        struct vus_reply *reply);
bool vus_region_write_quiesces(const struct vfu_ctx *ctx, const struct vu_message *m);
int vus_on_write_multi(struct vfu_ctx *ctx, struct vu_message *m,
                       struct vus_reply *reply);
bool vus_write_multi_quiesces(const struct vfu_ctx *ctx, const struct vu_message *m);

/* One write of the client, checked: data is ours and has count bytes. 0 or negative
 * errno. */
int vus_region_write_one(struct vfu_ctx *ctx, const struct vu_region_access *a);

#endif
