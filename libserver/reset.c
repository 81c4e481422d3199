/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The states of a reset as a table; libserver/reset.h draws them.
 */
#include "libserver/reset.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>

#include "libserver/context.h"

/* An event that has no meaning in a state leaves it as it is. */
static const uint8_t next_state[VUS_RESET_STATES][VUS_RESET_EVENTS] = {
    /* ASKED, LOST, RELEASED, RETURNED */
    [VUS_RESET_IDLE] =
        { VUS_RESET_AT_REQUEST, VUS_RESET_RELEASING,
          VUS_RESET_IDLE, VUS_RESET_IDLE },
    [VUS_RESET_AT_REQUEST] =
        { VUS_RESET_AT_REQUEST, VUS_RESET_AT_REQUEST,
          VUS_RESET_AT_REQUEST, VUS_RESET_IDLE },
    [VUS_RESET_RELEASING] =
        { VUS_RESET_RELEASING, VUS_RESET_RELEASING,
          VUS_RESET_AT_LOSS, VUS_RESET_RELEASING },
    [VUS_RESET_AT_LOSS] =
        { VUS_RESET_AT_LOSS, VUS_RESET_AT_LOSS,
          VUS_RESET_AT_LOSS, VUS_RESET_IDLE },
};

bool vus_reset_event(struct vus_reset *r, enum vus_reset_event event)
{
    enum vus_reset_state before = r->state;

    r->state = next_state[before][event];
    return r->state != before;
}

/* 0 or the negative errno of the device. */
static int call_device(struct vfu_ctx *ctx, vfu_reset_type_t type)
{
    int err = 0;

    errno = 0;
    if (ctx->reset.cb != NULL && ctx->reset.cb(ctx, type) < 0)
        err = vus_callback_errno();
    vus_reset_event(&ctx->reset, VUS_RESET_RETURNED);
    return err;
}

int vus_reset_asked(struct vfu_ctx *ctx, vfu_reset_type_t type)
{
    int err;

    if (!vus_reset_event(&ctx->reset, VUS_RESET_ASKED))
        return -EBUSY;
    err = call_device(ctx, type);
    if (err == 0)
        vus_migration_restart(ctx);
    return err;
}

int vus_reset_lost(struct vfu_ctx *ctx)
{
    if (!vus_reset_event(&ctx->reset, VUS_RESET_LOST))
        return -EBUSY;
    vus_dma_drop_all(ctx);
    vus_reset_event(&ctx->reset, VUS_RESET_RELEASED);
    call_device(ctx, VFU_RESET_LOST_CONN);
    /* The next client starts afresh, whatever the device said. */
    vus_dirty_stop(ctx);
    vus_migration_restart(ctx);
    return 0;
}

int vus_on_device_reset(struct vfu_ctx *ctx, struct vu_message *m,
                        struct vus_reply *reply)
{
    (void)m;
    (void)reply;
    return vus_reset_asked(ctx, VFU_RESET_DEVICE);
}

int vfu_setup_device_reset_cb(vfu_ctx_t *ctx, vfu_reset_cb_t *reset)
{
    assert(ctx != NULL);
    ctx->reset.cb = reset;
    return 0;
}
