/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One device with its client: struct vfu_ctx, which users see as opaque.
 *
 * Each part is a struct of its own with its file pair; the context owns them
 * all and connects them. One thread runs a context. Exceptions: the look-up of
 * windows (libserver/dma.h) and vfu_irq_trigger() (libserver/irq.h).
 *
 * A context can exist without a socket: vus_ctx_new() makes one for tests and
 * fuzzers, which pass messages to vus_process() themselves.
 */
#ifndef VUS_CONTEXT_H
#define VUS_CONTEXT_H

#include "libvfio-user.h"

#include <stdbool.h>

#include "libserver/attach.h"
#include "libserver/dma.h"
#include "libserver/irq.h"
#include "libserver/negotiate.h"
#include "libserver/pci.h"
#include "libserver/quiesce.h"
#include "libserver/region.h"
#include "libserver/run.h"

struct vfu_ctx {
    /* The device, from set-up to destruction. */
    void *pvt;                      /* the device's own */
    bool nonblocking;               /* LIBVFIO_USER_FLAG_ATTACH_NB */
    bool realized;
    vfu_log_fn_t *log;
    int log_level;
    vfu_reset_cb_t *reset_cb;
    struct vus_region regions[VFU_PCI_DEV_NUM_REGIONS];
    struct vus_pci pci;
    struct vus_irqs irqs;
    struct vus_dma dma;             /* windows: the client's */
    struct vus_quiesce quiesce;
    struct vu_buffer scratch;       /* for payloads that lie unaligned in a message */

    /* The client. */
    struct vus_session session;
    struct vus_listener listener;
    struct vus_conn conn;
};

/* A context without a socket. NULL and errno on failure. vfu_destroy_ctx() ends it. */
struct vfu_ctx *vus_ctx_new(int flags, void *pvt);

/* The client is gone: give back all that came from it, tell the device. The
 * device is quiesced, or is not asked any more. */
void vus_ctx_reset(struct vfu_ctx *ctx);

/* Whether a message of that level would be seen: ask before costly formatting. */
static inline bool vus_logs(const struct vfu_ctx *ctx, int level)
{
    return ctx->log != NULL && level <= ctx->log_level;
}

/* Log what the client did wrong. Returns err, for `return vus_refuse(...)`. */
int vus_refuse(struct vfu_ctx *ctx, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The negative errno of a device's callback that returned -1. */
int vus_callback_errno(void);

#endif
