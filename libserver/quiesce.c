/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The states of quiesce as a table; libserver/quiesce.h draws them.
 */
#include "libserver/context.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>

/* An event that has no meaning in a state leaves it as it is. */
static const uint8_t next_state[VUS_QUIESCE_STATES][VUS_QUIESCE_EVENTS] = {
    /* GRANTED, LATER_COMMAND, LATER_RESET, DONE, FINISHED, DROPPED */
    [VUS_ACTIVE] =
        { VUS_QUIESCED, VUS_COMMAND_WAITS, VUS_RESET_WAITS,
          VUS_ACTIVE, VUS_ACTIVE, VUS_ACTIVE },
    [VUS_QUIESCED] =
        { VUS_QUIESCED, VUS_QUIESCED, VUS_QUIESCED,
          VUS_QUIESCED, VUS_ACTIVE, VUS_ACTIVE },
    [VUS_COMMAND_WAITS] =
        { VUS_COMMAND_WAITS, VUS_COMMAND_WAITS, VUS_COMMAND_WAITS,
          VUS_QUIESCED, VUS_COMMAND_WAITS, VUS_ACTIVE },
    [VUS_RESET_WAITS] =
        { VUS_RESET_WAITS, VUS_RESET_WAITS, VUS_RESET_WAITS,
          VUS_QUIESCED, VUS_RESET_WAITS, VUS_ACTIVE },
};

void vus_quiesce_event(struct vus_quiesce *q, enum vus_quiesce_event event)
{
    q->state = next_state[q->state][event];
}

bool vus_quiesce_pending(const struct vus_quiesce *q)
{
    return q->state == VUS_COMMAND_WAITS || q->state == VUS_RESET_WAITS;
}

int vus_quiesce_ask(struct vfu_ctx *ctx, enum vus_quiesce_event later)
{
    struct vus_quiesce *q = &ctx->quiesce;
    int err;

    if (q->state == VUS_QUIESCED)
        return 0;
    errno = 0;
    if (q->cb != NULL && q->cb(ctx) != 0) {
        err = vus_callback_errno();
        if (err == -EBUSY)
            vus_quiesce_event(q, later);
        return err;
    }
    vus_quiesce_event(q, VUS_GRANTED);
    return 0;
}

void vfu_setup_device_quiesce_cb(vfu_ctx_t *ctx, vfu_device_quiesce_cb_t *quiesce_cb)
{
    assert(ctx != NULL);
    ctx->quiesce.cb = quiesce_cb;
}
