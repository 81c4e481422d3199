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

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libserver/attach.h"
#include "libserver/dirty.h"
#include "libserver/dma.h"
#include "libserver/guard.h"
#include "libserver/ioeventfd.h"
#include "libserver/irq.h"
#include "libserver/lock.h"
#include "libserver/migration.h"
#include "libserver/negotiate.h"
#include "libserver/pci.h"
#include "libserver/quiesce.h"
#include "libserver/region.h"
#include "libserver/reset.h"
#include "libserver/run.h"
#include "libserver/wake.h"

/* How many lines about the client's mistakes may still be logged: libserver/log.c. */
struct vus_refusals {
    vus_lock lock;          /* for all below */
    unsigned int spent;     /* lines logged and not made good by time yet */
    unsigned long hidden;   /* lines not logged since the last one that was */
    int64_t since_ns;       /* CLOCK_MONOTONIC: time before it has been counted */
};

struct vfu_ctx {
    /* The device, from set-up to destruction. */
    void *pvt;                      /* the device's own */
    bool nonblocking;               /* LIBVFIO_USER_FLAG_ATTACH_NB */
    bool realized;
    _Atomic(vfu_log_fn_t *) log;    /* NULL: silence */
    atomic_int log_level;
    struct vus_refusals refusals;
    struct vus_region regions[VFU_PCI_DEV_NUM_REGIONS];
    struct vus_pci pci;
    struct vus_irqs irqs;
    struct vus_ioeventfds ioeventfds;
    struct vus_dma dma;             /* windows: the client's */
    struct vus_dirty dirty;         /* which of their pages the device wrote */
    struct vus_guard guard;         /* against SIGBUS in device code */
    atomic_bool guard_hit;          /* the client is to be dropped: its memory has gone */
    struct vus_quiesce quiesce;
    struct vus_reset reset;
    struct vus_migration migration;
    vus_lock shape;                 /* for what a client may ask about at any time, on any
                                     * thread: regions, ioeventfds */
    atomic_int timeouts[VUS_TIMEOUTS];  /* ms */
    size_t output_queue;            /* vfu_setup_output_queue(); 0: none */
    struct vu_buffer scratch;       /* for payloads that lie unaligned in a message */

    /* The client. */
    struct vus_session session;
    struct vus_listener listener;
    struct vus_conn conn;
    struct vus_wake wake;
};

/* A context without a socket. NULL and errno on failure. vfu_destroy_ctx() ends it. */
struct vfu_ctx *vus_ctx_new(int flags, void *pvt);

/* The client is gone: give back all that came from it, tell the device. The
 * device is quiesced, or is not asked any more. */
void vus_ctx_reset(struct vfu_ctx *ctx);

/* Whether a message of that level would be seen: ask before costly formatting. */
static inline bool vus_logs(const struct vfu_ctx *ctx, int level)
{
    return atomic_load_explicit(&ctx->log, memory_order_relaxed) != NULL &&
           level <= atomic_load_explicit(&ctx->log_level, memory_order_relaxed);
}

/* Whether writes are to be marked: vus_dirty_mark(). Any thread. */
static inline bool vus_dirty_on(const struct vfu_ctx *ctx)
{
    return atomic_load_explicit(&ctx->dirty.on, memory_order_acquire);
}

/* Log what the client did wrong, unless it has done so too often lately. Returns err,
 * for `return vus_refuse(...)`. Any thread, no lock of a context's part held. */
int vus_refuse(struct vfu_ctx *ctx, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The negative errno of a device's callback that returned -1. */
int vus_callback_errno(void);

/* Devices access payloads as integers of any kind: whether that is possible here. */
static inline bool vus_aligned(const void *data)
{
    return (uintptr_t)data % alignof(max_align_t) == 0;
}

/* len aligned bytes that last until the next call; NULL: no memory. */
uint8_t *vus_scratch(struct vfu_ctx *ctx, size_t len);

#endif
