/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Regions: what region.c knows of them and region_access.c and region_map.c use.
 */
#ifndef VUC_REGION_H
#define VUC_REGION_H

#include "libclient/client.h"

/* The region, asked for the first time. 0, -ERANGE, or as vuc_call(). */
int vuc_region_known(struct vfuc_client *client, uint32_t index,
                     const struct vuc_region **region);

/* Does [offset, offset + len) lie in the region? 0 or -ERANGE. */
int vuc_region_check(struct vfuc_client *client, const struct vuc_region *region,
                     uint64_t offset, uint64_t len);

/* End every mapping. */
void vuc_mappings_done(struct vfuc_client *client);

#endif
