/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * PCI configuration space: one array of bytes that the device and its client
 * share, and the rules for what a client's write may change in it.
 *
 * No socket and no message is known here. The context owns a struct vus_pci
 * and passes accesses to region 7 to vus_pci_access(); the public set-up
 * functions are in pci.c and pci_caps.c. A device polls its configuration
 * space, so nothing here is called often; but every offset, length and byte
 * comes from the client.
 *
 * Sources: PCI Local Bus 3.0, chapter 6; PCI Express Base, chapter 7.
 */
#ifndef VUS_PCI_H
#define VUS_PCI_H

#include "libvfio-user.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define VUS_PCI_MAX_CAPS 128    /* of each kind, standard and extended */

struct vus_pci_cap_kind;

/* A capability as it was added. If the device writes to its header in
 * configuration space later, lists change for clients, but not what is here. */
struct vus_pci_cap {
    const struct vus_pci_cap_kind *kind;
    uint16_t offset;
    uint16_t size;
    int flags;      /* VFU_CAP_FLAG_* */
    uint16_t control;   /* MSI: Message Control, which decides the layout */
};

struct vus_pci {
    uint8_t *space;     /* owned; never moves once allocated */
    size_t size;        /* of space: 256 to 4096 */
    vfu_pci_type_t type;
    bool realized;

    struct vus_pci_cap caps[2 * VUS_PCI_MAX_CAPS];  /* disjoint, in order of adding */
    size_t n_caps;
};

/*
 * Finish set-up: an empty space if vfu_pci_init() was not called, size and
 * flags of region 7, types of BARs, interrupt pin (if there is an INTx),
 * capability bit. Once per context. Return: 0 or -ENOMEM.
 */
int vus_pci_realize(struct vfu_ctx *ctx, bool has_intx);

/* Free all. Safe on a zeroed struct, and twice. */
void vus_pci_done(struct vus_pci *pci);

/*
 * Serve a client's access to region 7. It is cut at the ends of header and
 * capabilities; the first part refused ends it, with the parts before it
 * done. May run the callback of region 7 and the reset callback (function
 * level reset). Return: count, or negative errno.
 */
ssize_t vus_pci_access(struct vfu_ctx *ctx, uint8_t *buf, size_t count, uint64_t offset,
                       bool is_write);

/*
 * Whether a write has to wait until the device is quiet: it starts at Device
 * Control of a PCI Express capability, so it may reset the function.
 */
bool vus_pci_write_needs_quiesce(const struct vfu_ctx *ctx, uint64_t offset);

#endif
