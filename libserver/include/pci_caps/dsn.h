/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Device Serial Number, an extended capability of twelve bytes.
 *
 * Read-only for the client: its writes are refused with EPERM.
 *
 * Source: PCI Express Base, 7.9.3.
 */
#ifndef LIB_VFIO_USER_PCI_CAPS_DSN_H
#define LIB_VFIO_USER_PCI_CAPS_DSN_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/** PCI_EXT_CAP_ID_DSN: the serial number is an EUI-64. */
struct dsncap {
    struct pcie_ext_cap_hdr hdr;
    uint32_t sn_lo;     /**< bits 0 to 31 of the number */
    uint32_t sn_hi;     /**< bits 32 to 63 */
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct dsncap) == 12, "dsncap");
VFU_STATIC_ASSERT(offsetof(struct dsncap, sn_lo) == 4, "dsncap.sn_lo");
VFU_STATIC_ASSERT(offsetof(struct dsncap, sn_hi) == 8, "dsncap.sn_hi");

#ifdef __cplusplus
}
#endif

#endif /* LIB_VFIO_USER_PCI_CAPS_DSN_H */
