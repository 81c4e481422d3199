/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * MSI-X: where the vector table and the pending bits lie, and two switches.
 *
 * Clients change the function mask and the enable bit, nothing else. The
 * table and the pending bit array are in BARs of the device model: the
 * library neither reads nor writes them.
 *
 * Source: PCI Local Bus 3.0, 6.8.2.
 */
#ifndef LIB_VFIO_USER_PCI_CAPS_MSIX_H
#define LIB_VFIO_USER_PCI_CAPS_MSIX_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Message Control. */
struct mxc {
    uint16_t ts:11;         /**< table size: number of vectors minus 1; read-only */
    uint16_t reserved:3;
    uint16_t fm:1;          /**< function mask: 1 masks all vectors */
    uint16_t mxe:1;         /**< MSI-X enable */
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct mxc) == 2, "mxc");

/** Where the vector table is; read-only. */
struct mtab {
    uint32_t tbir:3;        /**< number of the BAR, 0 to 5 */
    uint32_t to:29;         /**< offset within it, in units of 8 bytes */
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct mtab) == 4, "mtab");

/** Where the pending bit array is; read-only. */
struct mpba {
    uint32_t pbir:3;        /**< number of the BAR, 0 to 5 */
    uint32_t pbao:29;       /**< offset within it, in units of 8 bytes */
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct mpba) == 4, "mpba");

/**
 * PCI_CAP_ID_MSIX. Aligned, so that a device thread may test mxc with one
 * load while the client writes it; place the capability at a multiple of 4.
 */
struct msixcap {
    struct cap_hdr hdr;
    struct mxc mxc;
    struct mtab mtab;
    struct mpba mpba;
} __attribute__((packed, aligned(4)));

VFU_STATIC_ASSERT(sizeof(struct msixcap) == PCI_CAP_MSIX_SIZEOF, "msixcap");
VFU_STATIC_ASSERT(offsetof(struct msixcap, mxc) == PCI_MSIX_FLAGS, "msixcap.mxc");
VFU_STATIC_ASSERT(offsetof(struct msixcap, mtab) == PCI_MSIX_TABLE, "msixcap.mtab");
VFU_STATIC_ASSERT(offsetof(struct msixcap, mpba) == PCI_MSIX_PBA, "msixcap.mpba");

#ifdef __cplusplus
}
#endif

#endif /* LIB_VFIO_USER_PCI_CAPS_MSIX_H */
