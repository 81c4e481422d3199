/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Headers of PCI capabilities, as they lie in configuration space.
 *
 * A device model fills one of the structs of this folder and passes it to
 * vfu_pci_add_capability(), or casts a pointer into the live configuration
 * space to it. All are packed, little endian, with bit-fields that start at
 * the least significant bit (gcc and clang on little-endian Linux).
 *
 * Source: PCI Local Bus 3.0, 6.7 and appendix H; PCI Express Base, 7.9.
 */
#ifndef LIB_VFIO_USER_PCI_CAPS_COMMON_H
#define LIB_VFIO_USER_PCI_CAPS_COMMON_H

#include <linux/pci_regs.h>
#include <stddef.h>
#include <stdint.h>

/* C++ has no _Static_assert, C before C23 no static_assert of its own. */
#ifdef __cplusplus
#define VFU_STATIC_ASSERT(cond, text) __extension__ static_assert(cond, text)
#else
#define VFU_STATIC_ASSERT(cond, text) __extension__ _Static_assert(cond, text)
#endif

/* Arrays without a size and members without a name: no choice of this header. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"

#ifdef __cplusplus
extern "C" {
#endif

/** The two bytes that start every capability of the first 256 bytes. */
struct cap_hdr {
    uint8_t id;     /**< PCI_CAP_ID_* */
    uint8_t next;   /**< offset of the next capability, 0 at the end */
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct cap_hdr) == 2, "cap_hdr");
VFU_STATIC_ASSERT(offsetof(struct cap_hdr, id) == PCI_CAP_LIST_ID, "cap_hdr.id");
VFU_STATIC_ASSERT(offsetof(struct cap_hdr, next) == PCI_CAP_LIST_NEXT, "cap_hdr.next");

/** Vendor specific capability, PCI_CAP_ID_VNDR. */
struct vsc {
    struct cap_hdr hdr;
    uint8_t size;   /**< bytes of the whole capability, these three included */
    uint8_t data[];
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct vsc) == 3, "vsc");
VFU_STATIC_ASSERT(offsetof(struct vsc, size) == PCI_CAP_FLAGS, "vsc.size");
VFU_STATIC_ASSERT(offsetof(struct vsc, data) == 3, "vsc.data");

/** The four bytes that start every extended capability (offset 256 and up). */
struct pcie_ext_cap_hdr {
    uint32_t id:16;         /**< PCI_EXT_CAP_ID_* */
    uint32_t version:4;
    uint32_t next:12;       /**< offset of the next one, 0 at the end */
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct pcie_ext_cap_hdr) == 4, "pcie_ext_cap_hdr");

/** Vendor specific extended capability, PCI_EXT_CAP_ID_VNDR. */
struct pcie_ext_cap_vsc_hdr {
    struct pcie_ext_cap_hdr hdr;
    uint32_t id:16;         /**< the vendor's own id */
    uint32_t rev:4;
    uint32_t len:12;        /**< bytes of the whole capability, these eight included */
    uint8_t data[];
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct pcie_ext_cap_vsc_hdr) == 8, "pcie_ext_cap_vsc_hdr");
VFU_STATIC_ASSERT(offsetof(struct pcie_ext_cap_vsc_hdr, data) == 8,
                  "pcie_ext_cap_vsc_hdr.data");

#ifdef __cplusplus
}
#endif

#pragma GCC diagnostic pop

#endif /* LIB_VFIO_USER_PCI_CAPS_COMMON_H */
