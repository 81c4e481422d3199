/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Message Signaled Interrupts: the 64-bit layout with per-vector masking.
 *
 * Clients change enable, the number of vectors enabled (at most the number
 * capable), address, data and mask. The device polls them in the live
 * configuration space: no callback runs on a change.
 *
 * Source: PCI Local Bus 3.0, 6.8.1.
 */
#ifndef LIB_VFIO_USER_PCI_CAPS_MSI_H
#define LIB_VFIO_USER_PCI_CAPS_MSI_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

#define VFIO_USER_PCI_CAP_MSI_SIZEOF (0x18)

/** Message Control. Vector counts are powers of two: the field holds the exponent. */
struct mc {
    unsigned int msie:1;    /**< MSI enable */
    unsigned int mmc:3;     /**< multiple message capable, 0 to 5; read-only */
    unsigned int mme:3;     /**< multiple message enable, at most mmc */
    unsigned int c64:1;     /**< 64-bit addresses; read-only */
    unsigned int pvm:1;     /**< per-vector masking; read-only */
    unsigned int res1:7;
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct mc) == 2, "mc");

/** Message Address, dword aligned. */
struct ma {
    unsigned int res1:2;
    unsigned int addr:30;   /**< bits 2 to 31 of the address */
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct ma) == 4, "ma");

/** PCI_CAP_ID_MSI. */
struct msicap {
    struct cap_hdr hdr;
    struct mc mc;
    struct ma ma;
    uint32_t mua;       /**< bits 32 to 63 of the address */
    uint16_t md;        /**< message data */
    uint16_t padding;
    uint32_t mmask;     /**< one bit per vector: 1 is masked */
    uint32_t mpend;     /**< one bit per vector: 1 is pending; set by the device */
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct msicap) == VFIO_USER_PCI_CAP_MSI_SIZEOF, "msicap");
VFU_STATIC_ASSERT(offsetof(struct msicap, mc) == PCI_MSI_FLAGS, "msicap.mc");
VFU_STATIC_ASSERT(offsetof(struct msicap, ma) == PCI_MSI_ADDRESS_LO, "msicap.ma");
VFU_STATIC_ASSERT(offsetof(struct msicap, mua) == PCI_MSI_ADDRESS_HI, "msicap.mua");
VFU_STATIC_ASSERT(offsetof(struct msicap, md) == PCI_MSI_DATA_64, "msicap.md");
VFU_STATIC_ASSERT(offsetof(struct msicap, padding) == 14, "msicap.padding");
VFU_STATIC_ASSERT(offsetof(struct msicap, mmask) == PCI_MSI_MASK_64, "msicap.mmask");
VFU_STATIC_ASSERT(offsetof(struct msicap, mpend) == PCI_MSI_PENDING_64, "msicap.mpend");

#ifdef __cplusplus
}
#endif

#endif /* LIB_VFIO_USER_PCI_CAPS_MSI_H */
