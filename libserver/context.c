/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Life of a context: made, realized, destroyed.
 *
 * A context owns all its parts, and each part knows how to end itself from any
 * state, so destruction is one list that fits half-built contexts too.
 */
#include "libserver/context.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* Returns 0 or positive, or -1 with errno: how the outermost layer reports. */
static int report(int ret)
{
    if (ret >= 0)
        return ret;
    errno = -ret;
    return -1;
}

struct vfu_ctx *vus_ctx_new(int flags, void *pvt)
{
    struct vfu_ctx *ctx;

    if ((flags & ~LIBVFIO_USER_FLAG_ATTACH_NB) != 0) {
        errno = EINVAL;
        return NULL;
    }
    ctx = calloc(1, sizeof(*ctx));
    if (ctx == NULL)
        return NULL;
    if (vus_irqs_init(&ctx->irqs) != 0) {
        free(ctx);
        errno = ENOMEM;
        return NULL;
    }
    ctx->pvt = pvt;
    ctx->nonblocking = (flags & LIBVFIO_USER_FLAG_ATTACH_NB) != 0;
    ctx->log_level = LOG_ERR;
    for (size_t i = 0; i < VFU_PCI_DEV_NUM_REGIONS; i++)
        vus_region_init(&ctx->regions[i]);
    vu_buffer_init(&ctx->scratch, VUS_MAX_DATA_XFER);
    vus_session_init(&ctx->session);
    vus_listener_init(&ctx->listener);
    return ctx;
}

vfu_ctx_t *vfu_create_ctx(vfu_trans_t trans, const char *path, int flags, void *pvt,
                          vfu_dev_type_t dev_type)
{
    struct vfu_ctx *ctx;
    int err;

    if (path == NULL) {
        errno = EINVAL;
        return NULL;
    }
    if (trans != VFU_TRANS_SOCK || dev_type != VFU_DEV_TYPE_PCI) {
        errno = ENOTSUP;
        return NULL;
    }
    ctx = vus_ctx_new(flags, pvt);
    if (ctx == NULL)
        return NULL;
    err = vus_listener_open(&ctx->listener, path);
    if (err != 0) {
        vfu_destroy_ctx(ctx);
        errno = -err;
        return NULL;
    }
    return ctx;
}

int vfu_realize_ctx(vfu_ctx_t *ctx)
{
    int err;

    assert(ctx != NULL);
    if (ctx->realized)
        return 0;
    err = vus_pci_realize(ctx, ctx->irqs.sets[VFU_DEV_INTX_IRQ].count != 0);
    if (err == 0)
        ctx->realized = true;
    return report(err);
}

void vus_ctx_reset(struct vfu_ctx *ctx)
{
    vus_dma_drop_all(ctx);
    if (ctx->reset_cb != NULL)
        ctx->reset_cb(ctx, VFU_RESET_LOST_CONN);
    vus_irqs_disable_all(&ctx->irqs);
    /* Last: the device may ask the connection who it was in the callbacks above. */
    vus_conn_close(&ctx->conn);
    vus_session_init(&ctx->session);
    if (ctx->listener.half == NULL)
        vus_listener_watch(&ctx->listener, true);
}

void vfu_destroy_ctx(vfu_ctx_t *ctx)
{
    if (ctx == NULL)
        return;
    vus_ctx_reset(ctx);
    vus_listener_done(&ctx->listener);
    vus_dma_done(&ctx->dma);
    vus_irqs_done(&ctx->irqs);
    vus_pci_done(&ctx->pci);
    for (size_t i = 0; i < VFU_PCI_DEV_NUM_REGIONS; i++)
        vus_region_done(&ctx->regions[i]);
    vu_buffer_done(&ctx->scratch);
    free(ctx);
}

void *vfu_get_private(vfu_ctx_t *ctx)
{
    assert(ctx != NULL);
    return ctx->pvt;
}

int vfu_get_poll_fd(vfu_ctx_t *ctx)
{
    assert(ctx != NULL);
    return vus_conn_attached(&ctx->conn) ? vu_channel_fd(ctx->conn.ch) : ctx->listener.watch;
}

int vfu_setup_device_reset_cb(vfu_ctx_t *ctx, vfu_reset_cb_t *reset)
{
    assert(ctx != NULL);
    ctx->reset_cb = reset;
    return 0;
}

int vus_callback_errno(void)
{
    return errno > 0 ? -errno : -EINVAL;
}
