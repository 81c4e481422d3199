/* SPDX-License-Identifier: BSD-3-Clause */
/* Capabilities in configuration space: what pci.c needs of pci_caps.c. */
#ifndef VUS_PCI_CAPS_H
#define VUS_PCI_CAPS_H

#include "libserver/pci.h"

/* The capability that holds the byte at offset, or NULL. Then *next is the
 * offset of the first one behind it, SIZE_MAX if there is none. */
const struct vus_pci_cap *vus_pci_cap_at(const struct vus_pci *pci, uint64_t offset,
                                         size_t *next);

/* The capability of an id, or NULL. */
const struct vus_pci_cap *vus_pci_cap_by_id(const struct vus_pci *pci, bool extended,
                                            unsigned int id);

/* Whether a standard capability was added. */
bool vus_pci_has_cap_list(const struct vus_pci *pci);

/*
 * A client writes count bytes, at least 1, at byte at of a capability; the
 * end is inside of it. Flags of the capability have been looked at by the
 * caller. May run the reset callback. Return: 0 or negative errno, and then
 * nothing has changed.
 */
int vus_pci_cap_write(struct vfu_ctx *ctx, const struct vus_pci_cap *cap,
                      const uint8_t *buf, size_t count, size_t at);

#endif
