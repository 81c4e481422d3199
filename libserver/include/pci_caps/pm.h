/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Power Management.
 *
 * Clients write the control/status register (PMCSR) as one word of two
 * bytes, which replaces all sixteen bits; no power state has an effect on
 * the library. The device reads it in the live configuration space.
 *
 * Source: PCI Bus Power Management Interface 1.2, 3.2.
 */
#ifndef LIB_VFIO_USER_PCI_CAPS_PM_H
#define LIB_VFIO_USER_PCI_CAPS_PM_H

#include "common.h"

/* Arrays without a size and members without a name: no choice of this header. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"

#ifdef __cplusplus
extern "C" {
#endif

/** Power Management Capabilities (PMC); read-only. */
struct pc {
    uint16_t vs:3;      /**< version, 3 for specification 1.2 */
    uint16_t pmec:1;    /**< PME clock */
    uint16_t res:1;
    uint16_t dsi:1;     /**< device specific initialization */
    uint16_t auxc:3;    /**< auxiliary current */
    uint16_t d1s:1;     /**< D1 supported */
    uint16_t d2s:1;     /**< D2 supported */
    uint16_t psup:5;    /**< PME support, one bit for each of D0 to D3cold */
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct pc) == 2, "pc");

/** Power Management Control/Status (PMCSR). */
struct pmcs {
    union {
        uint16_t raw;
        struct {
            uint16_t ps:2;      /**< power state, D0 to D3hot */
            uint16_t res1:1;
            uint16_t nsfrst:1;  /**< no soft reset on D3hot to D0 */
            uint16_t res2:4;
            uint16_t pmee:1;    /**< PME enable */
            uint16_t dse:4;     /**< data select */
            uint16_t dsc:2;     /**< data scale */
            uint16_t pmes:1;    /**< PME status */
        } __attribute__((packed));
    } __attribute__((packed));
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct pmcs) == 2, "pmcs");

/** PCI_CAP_ID_PM. */
struct pmcap {
    struct cap_hdr hdr;
    struct pc pc;
    struct pmcs pmcs;
    uint8_t pmcsr_bse;  /**< bridge extensions */
    uint8_t data;
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct pmcap) == PCI_PM_SIZEOF, "pmcap");
VFU_STATIC_ASSERT(offsetof(struct pmcap, pc) == PCI_PM_PMC, "pmcap.pc");
VFU_STATIC_ASSERT(offsetof(struct pmcap, pmcs) == PCI_PM_CTRL, "pmcap.pmcs");
VFU_STATIC_ASSERT(offsetof(struct pmcap, pmcsr_bse) == PCI_PM_PPB_EXTENSIONS,
                  "pmcap.pmcsr_bse");
VFU_STATIC_ASSERT(offsetof(struct pmcap, data) == PCI_PM_DATA_REGISTER, "pmcap.data");

#ifdef __cplusplus
}
#endif

#pragma GCC diagnostic pop

#endif /* LIB_VFIO_USER_PCI_CAPS_PM_H */
