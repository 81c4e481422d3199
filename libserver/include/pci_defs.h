/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The PCI configuration space, type 0 header, as structs.
 *
 * vfu_pci_get_config_space() returns a pointer to the live bytes in this
 * shape; a device model may read and write any field at any time on the
 * thread that runs its context. Little endian, packed, bit-fields from the
 * least significant bit (gcc and clang on little-endian Linux).
 *
 * Source: PCI Local Bus 3.0, 6.1 and 6.2.
 */
#ifndef LIB_VFIO_USER_PCI_DEFS_H
#define LIB_VFIO_USER_PCI_DEFS_H

#include <linux/pci_regs.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pci_caps/common.h"

/* Arrays without a size and members without a name: no choice of this header. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"

#ifdef __cplusplus
extern "C" {
#endif

/** Values of vfu_bar_t.mem.locatable: where the BAR may be placed. */
#define PCI_BASE_ADDRESS_MEM_TYPE_LOCATABLE_32 (PCI_BASE_ADDRESS_MEM_TYPE_32 >> 1)
#define PCI_BASE_ADDRESS_MEM_TYPE_LOCATABLE_1M (PCI_BASE_ADDRESS_MEM_TYPE_1M >> 1)
#define PCI_BASE_ADDRESS_MEM_TYPE_LOCATABLE_64 (PCI_BASE_ADDRESS_MEM_TYPE_64 >> 1)

/** Base address registers of a type 0 header. */
#define PCI_BARS_NR 6

/** Subsystem ids. */
typedef union {
    uint32_t raw;
    struct {
        uint16_t vid;
        uint16_t sid;
    } __attribute__((packed));
} __attribute__((packed)) vfu_pci_hdr_ss_t;

VFU_STATIC_ASSERT(sizeof(vfu_pci_hdr_ss_t) == 4, "vfu_pci_hdr_ss_t");

/** Built-in self test. */
typedef union {
    uint8_t raw;
} __attribute__((packed)) vfu_pci_hdr_bist_t;

VFU_STATIC_ASSERT(sizeof(vfu_pci_hdr_bist_t) == 1, "vfu_pci_hdr_bist_t");

/** One base address register. */
typedef union {
    uint32_t raw;
    union {
        struct {
            unsigned int region_type:1;     /**< 0: memory */
            unsigned int locatable:2;       /**< PCI_BASE_ADDRESS_MEM_TYPE_LOCATABLE_* */
            unsigned int prefetchable:1;
            unsigned int base_address:28;   /**< bits 4 to 31 of the address */
        } __attribute__((packed)) mem;
        struct {
            unsigned int region_type:1;     /**< 1: I/O ports */
            unsigned int reserved:1;
            unsigned int base_address:30;   /**< bits 2 to 31 of the address */
        } __attribute__((packed)) io;
    } __attribute__((packed));
} __attribute__((packed)) vfu_bar_t;

VFU_STATIC_ASSERT(sizeof(vfu_bar_t) == 4, "vfu_bar_t");

/** Header type: PCI_HEADER_TYPE_NORMAL, bit 7 for several functions. */
typedef union {
    uint8_t raw;
} __attribute__((packed)) vfu_pci_hdr_htype_t;

VFU_STATIC_ASSERT(sizeof(vfu_pci_hdr_htype_t) == 1, "vfu_pci_hdr_htype_t");

/** Class code. */
typedef union {
    uint8_t raw[3];
    struct {
        uint8_t pi;     /**< programming interface */
        uint8_t scc;    /**< sub-class */
        uint8_t bcc;    /**< base class */
    } __attribute__((packed));
} __attribute__((packed)) vfu_pci_hdr_cc_t;

VFU_STATIC_ASSERT(sizeof(vfu_pci_hdr_cc_t) == 3, "vfu_pci_hdr_cc_t");

/** Status. The client clears dpd, sta, rta, rma, sse and dpe by writing 1. */
typedef union {
    uint16_t raw;
    struct {
        unsigned int res1:3;
        unsigned int is:1;      /**< INTx asserted */
        unsigned int cl:1;      /**< there is a capability list */
        unsigned int c66:1;     /**< 66 MHz capable */
        unsigned int res2:1;
        unsigned int fbc:1;     /**< fast back-to-back capable */
        unsigned int dpd:1;     /**< master data parity error */
        unsigned int devt:2;    /**< DEVSEL timing */
        unsigned int sta:1;     /**< signaled target abort */
        unsigned int rta:1;     /**< received target abort */
        unsigned int rma:1;     /**< received master abort */
        unsigned int sse:1;     /**< signaled system error */
        unsigned int dpe:1;     /**< detected parity error */
    } __attribute__((packed));
} __attribute__((packed)) vfu_pci_hdr_sts_t;

VFU_STATIC_ASSERT(sizeof(vfu_pci_hdr_sts_t) == 2, "vfu_pci_hdr_sts_t");

/** Command. */
typedef union {
    uint16_t raw;
    struct {
        uint8_t iose:1;     /**< I/O space enable */
        uint8_t mse:1;      /**< memory space enable */
        uint8_t bme:1;      /**< bus master enable */
        uint8_t sce:1;      /**< special cycle enable */
        uint8_t mwie:1;     /**< memory write and invalidate enable */
        uint8_t vga:1;      /**< VGA palette snoop */
        uint8_t pee:1;      /**< parity error enable */
        uint8_t zero:1;
        uint8_t see:1;      /**< SERR# enable */
        uint8_t fbe:1;      /**< fast back-to-back enable */
        uint8_t id:1;       /**< INTx disable */
        uint8_t res1:5;
    } __attribute__((packed));
} __attribute__((packed)) vfu_pci_hdr_cmd_t;

VFU_STATIC_ASSERT(sizeof(vfu_pci_hdr_cmd_t) == 2, "vfu_pci_hdr_cmd_t");

/** Vendor and device id. */
typedef union {
    uint32_t raw;
    struct {
        uint16_t vid;
        uint16_t did;
    } __attribute__((packed));
} __attribute__((packed)) vfu_pci_hdr_id_t;

VFU_STATIC_ASSERT(sizeof(vfu_pci_hdr_id_t) == 4, "vfu_pci_hdr_id_t");

/** Interrupt line and pin. */
typedef union {
    uint16_t raw;
    struct {
        uint8_t iline;
        uint8_t ipin;   /**< 0: no INTx, 1: INTA# */
    } __attribute__((packed));
} __attribute__((packed)) vfu_pci_hdr_intr_t;

VFU_STATIC_ASSERT(sizeof(vfu_pci_hdr_intr_t) == 2, "vfu_pci_hdr_intr_t");

/** The type 0 header: the first 64 bytes. */
typedef union {
    uint8_t raw[PCI_STD_HEADER_SIZEOF];
    struct {
        vfu_pci_hdr_id_t id;
        vfu_pci_hdr_cmd_t cmd;
        vfu_pci_hdr_sts_t sts;
        uint8_t rid;                    /**< revision id */
        vfu_pci_hdr_cc_t cc;
        uint8_t cls;                    /**< cache line size */
        uint8_t mlt;                    /**< master latency timer */
        vfu_pci_hdr_htype_t htype;
        vfu_pci_hdr_bist_t bist;
        vfu_bar_t bars[PCI_BARS_NR];
        uint32_t ccptr;                 /**< CardBus CIS pointer */
        vfu_pci_hdr_ss_t ss;
        uint32_t erom;                  /**< expansion ROM base address */
        uint8_t cap;                    /**< offset of the first capability */
        uint8_t res1[7];
        vfu_pci_hdr_intr_t intr;
        uint8_t mgnt;                   /**< minimum grant */
        uint8_t mlat;                   /**< maximum latency */
    } __attribute__((packed));
} __attribute__((packed)) vfu_pci_hdr_t;

VFU_STATIC_ASSERT(sizeof(vfu_pci_hdr_t) == 64, "vfu_pci_hdr_t");
VFU_STATIC_ASSERT(offsetof(vfu_pci_hdr_t, id) == PCI_VENDOR_ID, "hdr.id");
VFU_STATIC_ASSERT(offsetof(vfu_pci_hdr_t, cmd) == PCI_COMMAND, "hdr.cmd");
VFU_STATIC_ASSERT(offsetof(vfu_pci_hdr_t, sts) == PCI_STATUS, "hdr.sts");
VFU_STATIC_ASSERT(offsetof(vfu_pci_hdr_t, rid) == PCI_REVISION_ID, "hdr.rid");
VFU_STATIC_ASSERT(offsetof(vfu_pci_hdr_t, cc) == PCI_CLASS_PROG, "hdr.cc");
VFU_STATIC_ASSERT(offsetof(vfu_pci_hdr_t, cls) == PCI_CACHE_LINE_SIZE, "hdr.cls");
VFU_STATIC_ASSERT(offsetof(vfu_pci_hdr_t, mlt) == PCI_LATENCY_TIMER, "hdr.mlt");
VFU_STATIC_ASSERT(offsetof(vfu_pci_hdr_t, htype) == PCI_HEADER_TYPE, "hdr.htype");
VFU_STATIC_ASSERT(offsetof(vfu_pci_hdr_t, bist) == PCI_BIST, "hdr.bist");
VFU_STATIC_ASSERT(offsetof(vfu_pci_hdr_t, bars) == PCI_BASE_ADDRESS_0, "hdr.bars");
VFU_STATIC_ASSERT(offsetof(vfu_pci_hdr_t, ccptr) == PCI_CARDBUS_CIS, "hdr.ccptr");
VFU_STATIC_ASSERT(offsetof(vfu_pci_hdr_t, ss) == PCI_SUBSYSTEM_VENDOR_ID, "hdr.ss");
VFU_STATIC_ASSERT(offsetof(vfu_pci_hdr_t, erom) == PCI_ROM_ADDRESS, "hdr.erom");
VFU_STATIC_ASSERT(offsetof(vfu_pci_hdr_t, cap) == PCI_CAPABILITY_LIST, "hdr.cap");
VFU_STATIC_ASSERT(offsetof(vfu_pci_hdr_t, res1) == 53, "hdr.res1");
VFU_STATIC_ASSERT(offsetof(vfu_pci_hdr_t, intr) == PCI_INTERRUPT_LINE, "hdr.intr");
VFU_STATIC_ASSERT(offsetof(vfu_pci_hdr_t, mgnt) == PCI_MIN_GNT, "hdr.mgnt");
VFU_STATIC_ASSERT(offsetof(vfu_pci_hdr_t, mlat) == PCI_MAX_LAT, "hdr.mlat");

/** Configuration space: 256 bytes, or 4096 with the extended part. */
typedef struct {
    union {
        uint8_t raw[PCI_CFG_SPACE_SIZE];
        vfu_pci_hdr_t hdr;
    } __attribute__((packed));
    uint8_t extended[];     /**< offsets 256 to 4095; PCI-X 2.0 and PCI Express only */
} __attribute__((packed)) vfu_pci_config_space_t;

VFU_STATIC_ASSERT(sizeof(vfu_pci_config_space_t) == 256, "vfu_pci_config_space_t");
VFU_STATIC_ASSERT(offsetof(vfu_pci_config_space_t, extended) == 256,
                  "vfu_pci_config_space_t.extended");

#ifdef __cplusplus
}
#endif

#pragma GCC diagnostic pop

#endif /* LIB_VFIO_USER_PCI_DEFS_H */
