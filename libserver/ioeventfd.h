/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ioeventfds: eventfds of the device that stand for writes to parts of a region.
 *
 * A client that asks for them (DEVICE_GET_REGION_IO_FDS) has its hypervisor signal
 * the eventfd in place of a REGION_WRITE. The library hands them out and does
 * nothing else with them: the device listens itself.
 *
 * Entries are only ever added, and live as long as the context, so the lists need
 * no lock: a thread of the device that answers for the client while it waits in
 * vfu_sgl_read() reads them beside the thread that adds.
 */
#ifndef VUS_IOEVENTFD_H
#define VUS_IOEVENTFD_H

#include "libvfio-user.h"

#include <stdatomic.h>
#include <stdint.h>

#include "wire/channel.h"

struct vus_reply;

struct vus_ioeventfd {
    struct vus_ioeventfd *next; /* owned; the one added before, or NULL */
    uint64_t offset;            /* in the region */
    uint64_t datamatch;
    uint64_t shadow_offset;
    uint32_t size;              /* bytes of an access; 0: any */
    uint32_t flags;             /* KVM_IOEVENTFD_FLAG_* */
    int fd;                     /* lent by the device; -1: none */
    int shadow_fd;              /* lent by the device; -1: not a shadow ioeventfd */
};

struct vus_ioeventfds {
    _Atomic(struct vus_ioeventfd *) newest[VFU_PCI_DEV_NUM_REGIONS];    /* owned */
};

/* Frees the lists; descriptors stay with the device. Fine when zeroed. */
void vus_ioeventfds_done(struct vus_ioeventfds *list);

/* Handler of a command, see libserver/dispatch.h. */
int vus_on_region_io_fds(struct vfu_ctx *ctx, struct vu_message *m,
                         struct vus_reply *reply);

#endif
