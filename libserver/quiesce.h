/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Quiesce: the device stands still while guest memory changes under it.
 *
 * A device with a quiesce callback is asked before DMA windows, a reset or the
 * loss of the client are carried out. It agrees at once, refuses, or says EBUSY
 * and calls vfu_device_quiesced() later. Meanwhile nothing is read from the
 * client.
 *
 *               granted                      finished
 *     ACTIVE ------------> QUIESCED --------------------------> ACTIVE
 *        |                    ^  ^
 *        | later (command)    |  | done
 *        +---> COMMAND_WAITS -+  |
 *        |        done           |
 *        | later (reset)         |
 *        +---> RESET_WAITS ------+
 *
 * From the two waiting states `dropped` leads back to ACTIVE: the device said
 * that it could not quiesce for a reset, or the context is being destroyed.
 */
#ifndef VUS_QUIESCE_H
#define VUS_QUIESCE_H

#include "libvfio-user.h"

#include <stdbool.h>

enum vus_quiesce_state {
    VUS_ACTIVE,
    VUS_QUIESCED,
    VUS_COMMAND_WAITS,
    VUS_RESET_WAITS,
    VUS_QUIESCE_STATES,
};

enum vus_quiesce_event {
    VUS_GRANTED,            /* the callback agreed */
    VUS_LATER_COMMAND,      /* the callback said EBUSY: a command waits */
    VUS_LATER_RESET,        /* the callback said EBUSY: the end of a connection waits */
    VUS_DONE,               /* vfu_device_quiesced() */
    VUS_FINISHED,           /* what needed it has been carried out */
    VUS_DROPPED,            /* it will not be carried out */
    VUS_QUIESCE_EVENTS,
};

struct vus_quiesce {
    vfu_device_quiesce_cb_t *cb;    /* NULL: the device need not be asked */
    enum vus_quiesce_state state;
};

/*
 * Ask the device on behalf of a command (VUS_LATER_COMMAND) or of a lost
 * connection (VUS_LATER_RESET).
 * 0: it is quiesced, until vus_quiesce_event(VUS_FINISHED). -EBUSY: later, the
 * state says so. Other negative errno: it refused.
 */
int vus_quiesce_ask(struct vfu_ctx *ctx, enum vus_quiesce_event later);

void vus_quiesce_event(struct vus_quiesce *q, enum vus_quiesce_event event);

/* A command or a reset waits for the device. */
bool vus_quiesce_pending(const struct vus_quiesce *q);

#endif
