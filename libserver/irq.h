/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupts: one set of vectors for each type, each vector with its eventfd.
 *
 * vfu_irq_trigger() may run on any thread, while the context's own thread
 * assigns, masks or, after a disconnect, closes. One lock orders them, so that
 * a descriptor is never written after it was closed. A trigger is the hot path:
 * lock, look up, signal (libserver/signal.h), and nothing in it can wait.
 */
#ifndef VUS_IRQ_H
#define VUS_IRQ_H

#include "libvfio-user.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libserver/signal.h"
#include "wire/channel.h"

struct vus_reply;

struct vus_vector {
    int fd;         /* owned eventfd; -1: none */
    bool masked;
    bool pending;   /* triggered while masked */
};

struct vus_irq_set {
    struct vus_vector *vectors; /* owned */
    uint32_t count;
    uint32_t assigned;          /* vectors that have an eventfd */
    vfu_dev_irq_state_cb_t *on_state;   /* may be NULL; the device's */
};

struct vus_irqs {
    pthread_mutex_t lock;       /* for all below except on_state */
    struct vus_signal signal;
    struct vus_irq_set sets[VFU_DEV_NUM_IRQS];
};

/* The default of one ERR and one REQ vector. 0 or -ENOMEM. */
int vus_irqs_init(struct vus_irqs *irqs);
void vus_irqs_done(struct vus_irqs *irqs);
/* The client is gone: close every eventfd, forget every mask. */
void vus_irqs_disable_all(struct vus_irqs *irqs);

/* Handlers of commands, see libserver/dispatch.h. */
int vus_on_irq_info(struct vfu_ctx *ctx, struct vu_message *m, struct vus_reply *reply);
int vus_on_set_irqs(struct vfu_ctx *ctx, struct vu_message *m, struct vus_reply *reply);

#endif
