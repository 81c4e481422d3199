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
    if (vus_wake_init(&ctx->wake) != 0) {
        vus_irqs_done(&ctx->irqs);
        free(ctx);
        errno = ENOMEM;
        return NULL;
    }
    if (vus_port_init(&ctx->conn.port) != 0) {
        vus_wake_done(&ctx->wake);
        vus_irqs_done(&ctx->irqs);
        free(ctx);
        errno = ENOMEM;
        return NULL;
    }
    ctx->pvt = pvt;
    ctx->nonblocking = (flags & LIBVFIO_USER_FLAG_ATTACH_NB) != 0;
    ctx->log_level = LOG_ERR;
    for (size_t i = 0; i < VFU_PCI_DEV_NUM_REGIONS; i++)
        vus_region_init(&ctx->regions[i]);
    vus_dma_init(&ctx->dma);
    vus_guard_init(ctx);
    vu_buffer_init(&ctx->scratch, VUS_MAX_DATA_XFER);
    vus_migration_init(&ctx->migration);
    vus_session_init(&ctx->session);
    vus_listener_init(&ctx->listener);
    vus_timeouts_init(ctx);
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
    if (vus_reset_lost(ctx) != 0)
        return;
    vus_irqs_disable_all(ctx);
    /* Last: the device may ask the connection who it was in the callbacks above. */
    vus_guard_reset(ctx);
    vus_conn_close(ctx);
    vus_session_done(&ctx->session);
    if (ctx->listener.half == NULL)
        vus_listener_watch(&ctx->listener, true);
}

void vfu_destroy_ctx(vfu_ctx_t *ctx)
{
    if (ctx == NULL)
        return;
    vus_ctx_reset(ctx);
    vus_listener_done(&ctx->listener);
    vus_guard_done(ctx);
    vus_dma_done(&ctx->dma);
    vus_irqs_done(&ctx->irqs);
    vus_ioeventfds_done(&ctx->ioeventfds);
    vus_pci_done(&ctx->pci);
    for (size_t i = 0; i < VFU_PCI_DEV_NUM_REGIONS; i++)
        vus_region_done(&ctx->regions[i]);
    vu_buffer_done(&ctx->scratch);
    vus_port_done(&ctx->conn.port);
    vus_wake_done(&ctx->wake);
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
    return vus_conn_attached(&ctx->conn) ? vus_conn_fd(&ctx->conn) : ctx->listener.watch;
}

int vus_callback_errno(void)
{
    return errno > 0 ? -errno : -EINVAL;
}

uint8_t *vus_scratch(struct vfu_ctx *ctx, size_t len)
{
    vu_buffer_truncate(&ctx->scratch, 0);
    return vu_buffer_extend(&ctx->scratch, len);
}
