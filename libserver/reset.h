/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reset: who asks for it, and what comes before and after the device's callback.
 *
 *           asked                 returned
 *     IDLE -------> AT_REQUEST ------------> IDLE
 *       |                                     ^
 *       | lost                                | returned
 *       +-----> RELEASING ------> AT_LOSS ----+
 *                      released
 *
 * AT_REQUEST: the callback runs for the client, by DEVICE_RESET or a function level
 * reset. When it succeeds the migration state is RUNNING again. Windows, eventfds
 * and logging stay; when it fails, all stays.
 *
 * RELEASING: the client is gone or the context is destroyed; the windows are
 * unregistered. AT_LOSS: the callback runs, while eventfds and sockets still exist;
 * its result does not matter.
 *
 * No other event moves a state: callbacks of resets neither nest nor repeat. When the
 * connection breaks while one runs (it may use guest memory by message) the run loop
 * learns of it afterwards and resets again, for the loss.
 */
#ifndef VUS_RESET_H
#define VUS_RESET_H

#include "libvfio-user.h"

#include <stdbool.h>

#include "libserver/dispatch.h"

enum vus_reset_state {
    VUS_RESET_IDLE,
    VUS_RESET_AT_REQUEST,
    VUS_RESET_RELEASING,
    VUS_RESET_AT_LOSS,
    VUS_RESET_STATES,
};

enum vus_reset_event {
    VUS_RESET_ASKED,        /* by the client: DEVICE_RESET, function level reset */
    VUS_RESET_LOST,         /* the client is gone, or the context is destroyed */
    VUS_RESET_RELEASED,     /* the client's windows are gone */
    VUS_RESET_RETURNED,     /* the device's callback has returned */
    VUS_RESET_EVENTS,
};

struct vus_reset {
    vfu_reset_cb_t *cb;     /* NULL: a reset succeeds */
    enum vus_reset_state state;
};

/* False: the event has no meaning in this state, which stays as it is. */
bool vus_reset_event(struct vus_reset *r, enum vus_reset_event event);

/* Reset the device because the client asked: VFU_RESET_DEVICE or VFU_RESET_PCI_FLR.
 * 0, the negative errno of the device, or -EBUSY inside a callback of a reset. */
int vus_reset_asked(struct vfu_ctx *ctx, vfu_reset_type_t type);

/* The client is gone, or the context is destroyed: take the windows away, tell the
 * device. -EBUSY: inside a callback of a reset; nothing happened. */
int vus_reset_lost(struct vfu_ctx *ctx);

/* Handler of DEVICE_RESET, see libserver/dispatch.h. */
vus_handler vus_on_device_reset;

#endif
