/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * PCI Express capability, version 2: 60 bytes, all registers present.
 *
 * Clients change Device Control, Device Control 2 and Link Control 2; the
 * error bits of Device Status are cleared by writing 1. Setting the top bit
 * of Device Control resets the function if the device advertises it
 * (pxdcap.flrc): see vfu_setup_device_reset_cb().
 *
 * Source: PCI Express Base, 7.5.3.
 */
#ifndef LIB_VFIO_USER_PCI_CAPS_PX_H
#define LIB_VFIO_USER_PCI_CAPS_PX_H

#include "common.h"

/* Arrays without a size and members without a name: no choice of this header. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"

#ifdef __cplusplus
extern "C" {
#endif

#define VFIO_USER_PCI_CAP_EXP_SIZEOF (0x3c)

/** PCI Express Capabilities. */
struct pxcaps {
    uint16_t ver:4;     /**< capability version: 2 */
    uint16_t dpt:4;     /**< device/port type, 0 for an endpoint */
    uint16_t si:1;      /**< slot implemented */
    uint16_t imn:5;     /**< interrupt message number */
    uint16_t res1:2;
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct pxcaps) == 2, "pxcaps");

/** Device Capabilities. */
struct pxdcap {
    uint32_t mps:3;     /**< max payload size supported: 128 << n bytes */
    uint32_t pfs:2;     /**< phantom functions supported */
    uint32_t etfs:1;    /**< extended tag field supported */
    uint32_t l0sl:3;    /**< endpoint L0s acceptable latency */
    uint32_t l1l:3;     /**< endpoint L1 acceptable latency */
    uint32_t res1:3;
    uint32_t rer:1;     /**< role-based error reporting */
    uint32_t res2:2;
    uint32_t csplv:8;   /**< captured slot power limit value */
    uint32_t cspls:2;   /**< captured slot power limit scale */
    uint32_t flrc:1;    /**< function level reset capable */
    uint32_t res3:3;
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct pxdcap) == 4, "pxdcap");

/** Device Control. */
union pxdc {
    uint16_t raw;
    struct {
        uint16_t cere:1;    /**< correctable error reporting enable */
        uint16_t nfere:1;   /**< non-fatal error reporting enable */
        uint16_t fere:1;    /**< fatal error reporting enable */
        uint16_t urre:1;    /**< unsupported request reporting enable */
        uint16_t ero:1;     /**< enable relaxed ordering */
        uint16_t mps:3;     /**< max payload size */
        uint16_t ete:1;     /**< extended tag field enable */
        uint16_t pfe:1;     /**< phantom functions enable */
        uint16_t appme:1;   /**< auxiliary power PM enable */
        uint16_t ens:1;     /**< enable no snoop */
        uint16_t mrrs:3;    /**< max read request size */
        uint16_t iflr:1;    /**< initiate function level reset; reads as 0 */
    } __attribute__((packed));
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(union pxdc) == 2, "pxdc");

/** Device Status. */
struct pxds {
    uint16_t stuff:16;
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct pxds) == 2, "pxds");

/** Link Capabilities. */
struct pxlcap {
    uint32_t stuff:32;
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct pxlcap) == 4, "pxlcap");

/** Link Control. */
union pxlc {
    uint16_t raw;
    struct {
        uint16_t aspmc:2;       /**< ASPM control */
        uint16_t rsvdp1:1;
        uint16_t rcb:1;         /**< read completion boundary */
        uint16_t ld:1;          /**< link disable */
        uint16_t rl:1;          /**< retrain link */
        uint16_t ccc:1;         /**< common clock configuration */
        uint16_t es:1;          /**< extended synch */
        uint16_t clkreq_en:1;   /**< enable clock power management */
        uint16_t hawd:1;        /**< hardware autonomous width disable */
        uint16_t lbmie:1;       /**< link bandwidth management interrupt enable */
        uint16_t labie:1;       /**< link autonomous bandwidth interrupt enable */
        uint16_t rsvdp2:4;
    } __attribute__((packed));
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(union pxlc) == 2, "pxlc");

/** Link Status. */
struct pxls {
    uint16_t stuff:16;
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct pxls) == 2, "pxls");

/** Slot Capabilities. */
struct pxscap {
    uint32_t stuff:32;
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct pxscap) == 4, "pxscap");

/** Slot Control. */
struct pxsc {
    uint16_t stuff:16;
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct pxsc) == 2, "pxsc");

/** Slot Status. */
struct pxss {
    uint16_t stuff:16;
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct pxss) == 2, "pxss");

/** Root Control. */
struct pxrc {
    uint16_t stuff:16;
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct pxrc) == 2, "pxrc");

/** Root Capabilities. */
struct pxrcap {
    uint16_t stuff:16;
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct pxrcap) == 2, "pxrcap");

/** Root Status. */
struct pxrs {
    uint32_t stuff:32;
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct pxrs) == 4, "pxrs");

/** Device Capabilities 2. */
struct pxdcap2 {
    uint32_t ctrs:4;    /**< completion timeout ranges supported */
    uint32_t ctds:1;    /**< completion timeout disable supported */
    uint32_t arifs:1;   /**< ARI forwarding supported */
    uint32_t aors:1;    /**< AtomicOp routing supported */
    uint32_t aocs32:1;  /**< 32-bit AtomicOp completer supported */
    uint32_t aocs64:1;  /**< 64-bit AtomicOp completer supported */
    uint32_t ccs128:1;  /**< 128-bit CAS completer supported */
    uint32_t nprpr:1;   /**< no RO-enabled PR-PR passing */
    uint32_t ltrs:1;    /**< LTR mechanism supported */
    uint32_t tphcs:2;   /**< TPH completer supported */
    uint32_t ln:2;      /**< LN system CLS */
    uint32_t tcs:1;     /**< 10-bit tag completer supported */
    uint32_t trs:1;     /**< 10-bit tag requester supported */
    uint32_t obffs:2;   /**< OBFF supported */
    uint32_t effs:1;    /**< extended Fmt field supported */
    uint32_t eetps:1;   /**< end-end TLP prefix supported */
    uint32_t meetp:2;   /**< max end-end TLP prefixes */
    uint32_t eprs:2;    /**< emergency power reduction supported */
    uint32_t eprir:1;   /**< emergency power reduction initialization required */
    uint32_t res1:1;
    uint32_t dmwcs:1;   /**< DMWr completer supported */
    uint32_t dmwls:2;   /**< DMWr lengths supported */
    uint32_t frss:1;    /**< FRS supported */
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct pxdcap2) == 4, "pxdcap2");

/** Device Control 2. */
union pxdc2 {
    uint16_t raw;
    struct {
        uint32_t comp_timeout:4;                /**< completion timeout value */
        uint32_t comp_timout_dis:1;             /**< completion timeout disable */
        uint32_t ari:1;                         /**< ARI forwarding enable */
        uint32_t atomic_req:1;                  /**< AtomicOp requester enable */
        uint32_t atomic_egress_block:1;         /**< AtomicOp egress blocking */
        uint32_t ido_req_en:1;                  /**< IDO request enable */
        uint32_t ido_cmp_en:1;                  /**< IDO completion enable */
        uint32_t ltr_en:1;                      /**< LTR mechanism enable */
        uint32_t obff_en:2;                     /**< OBFF enable */
        uint32_t end_end_tlp_prefix_block:1;    /**< end-end TLP prefix blocking */
    } __attribute__((packed));
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(union pxdc2) == 2, "pxdc2");

/** Device Status 2. */
struct pxds2 {
    uint16_t stuff:16;
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct pxds2) == 2, "pxds2");

/** Link Capabilities 2. */
struct pxlcap2 {
    uint32_t stuff:32;
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct pxlcap2) == 4, "pxlcap2");

/** Link Control 2. */
struct pxlc2 {
    uint16_t stuff:16;
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct pxlc2) == 2, "pxlc2");

/** Link Status 2. */
struct pxls2 {
    uint16_t stuff:16;
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct pxls2) == 2, "pxls2");

/** Slot Capabilities 2. */
struct pxscap2 {
    uint32_t stuff:32;
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct pxscap2) == 4, "pxscap2");

/** Slot Control 2. */
struct pxsc2 {
    uint16_t stuff:16;
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct pxsc2) == 2, "pxsc2");

/** Slot Status 2. */
struct pxss2 {
    uint16_t stuff:16;
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct pxss2) == 2, "pxss2");

/** PCI_CAP_ID_EXP. Each member is called as its type. */
struct pxcap {
    struct cap_hdr hdr;
    struct pxcaps pxcaps;
    struct pxdcap pxdcap;
    union pxdc pxdc;
    struct pxds pxds;
    struct pxlcap pxlcap;
    union pxlc pxlc;
    struct pxls pxls;
    struct pxscap pxscap;
    struct pxsc pxsc;
    struct pxss pxss;
    struct pxrc pxrc;
    struct pxrcap pxrcap;
    struct pxrs pxrs;
    struct pxdcap2 pxdcap2;
    union pxdc2 pxdc2;
    struct pxds2 pxds2;
    struct pxlcap2 pxlcap2;
    struct pxlc2 pxlc2;
    struct pxls2 pxls2;
    struct pxscap2 pxscap2;
    struct pxsc2 pxsc2;
    struct pxss2 pxss2;
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct pxcap) == VFIO_USER_PCI_CAP_EXP_SIZEOF, "pxcap");
VFU_STATIC_ASSERT(offsetof(struct pxcap, pxcaps) == PCI_EXP_FLAGS, "pxcap.pxcaps");
VFU_STATIC_ASSERT(offsetof(struct pxcap, pxdcap) == PCI_EXP_DEVCAP, "pxcap.pxdcap");
VFU_STATIC_ASSERT(offsetof(struct pxcap, pxdc) == PCI_EXP_DEVCTL, "pxcap.pxdc");
VFU_STATIC_ASSERT(offsetof(struct pxcap, pxds) == PCI_EXP_DEVSTA, "pxcap.pxds");
VFU_STATIC_ASSERT(offsetof(struct pxcap, pxlcap) == PCI_EXP_LNKCAP, "pxcap.pxlcap");
VFU_STATIC_ASSERT(offsetof(struct pxcap, pxlc) == PCI_EXP_LNKCTL, "pxcap.pxlc");
VFU_STATIC_ASSERT(offsetof(struct pxcap, pxls) == PCI_EXP_LNKSTA, "pxcap.pxls");
VFU_STATIC_ASSERT(offsetof(struct pxcap, pxscap) == PCI_EXP_SLTCAP, "pxcap.pxscap");
VFU_STATIC_ASSERT(offsetof(struct pxcap, pxsc) == PCI_EXP_SLTCTL, "pxcap.pxsc");
VFU_STATIC_ASSERT(offsetof(struct pxcap, pxss) == PCI_EXP_SLTSTA, "pxcap.pxss");
VFU_STATIC_ASSERT(offsetof(struct pxcap, pxrc) == PCI_EXP_RTCTL, "pxcap.pxrc");
VFU_STATIC_ASSERT(offsetof(struct pxcap, pxrcap) == PCI_EXP_RTCAP, "pxcap.pxrcap");
VFU_STATIC_ASSERT(offsetof(struct pxcap, pxrs) == PCI_EXP_RTSTA, "pxcap.pxrs");
VFU_STATIC_ASSERT(offsetof(struct pxcap, pxdcap2) == PCI_EXP_DEVCAP2, "pxcap.pxdcap2");
VFU_STATIC_ASSERT(offsetof(struct pxcap, pxdc2) == PCI_EXP_DEVCTL2, "pxcap.pxdc2");
VFU_STATIC_ASSERT(offsetof(struct pxcap, pxds2) == PCI_EXP_DEVSTA2, "pxcap.pxds2");
VFU_STATIC_ASSERT(offsetof(struct pxcap, pxlcap2) == PCI_EXP_LNKCAP2, "pxcap.pxlcap2");
VFU_STATIC_ASSERT(offsetof(struct pxcap, pxlc2) == PCI_EXP_LNKCTL2, "pxcap.pxlc2");
VFU_STATIC_ASSERT(offsetof(struct pxcap, pxls2) == PCI_EXP_LNKSTA2, "pxcap.pxls2");
VFU_STATIC_ASSERT(offsetof(struct pxcap, pxscap2) == PCI_EXP_SLTCAP2, "pxcap.pxscap2");
VFU_STATIC_ASSERT(offsetof(struct pxcap, pxsc2) == PCI_EXP_SLTCTL2, "pxcap.pxsc2");
VFU_STATIC_ASSERT(offsetof(struct pxcap, pxss2) == PCI_EXP_SLTSTA2, "pxcap.pxss2");

#ifdef __cplusplus
}
#endif

#pragma GCC diagnostic pop

#endif /* LIB_VFIO_USER_PCI_CAPS_PX_H */
