/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupts: one set of vectors for each type, each vector with its eventfd.
 *
 * vfu_irq_trigger() may run on any thread, while the context's own thread
 * assigns, masks or, after a disconnect, closes. Each vector has a lock, under
 * which it is signalled and under which its descriptor is taken away, so that a
 * descriptor is never written after it was closed, and threads that trigger
 * different vectors do not meet. A trigger is the hot path: find the vector, lock,
 * signal (libserver/signal.h), and nothing in it can wait. What changes sets and
 * vectors has irqs.lock besides, taken first.
 *
 * Vectors never move while they are used: a table that has become too small is
 * kept until the context ends, its vectors marked as moved.
 */
#ifndef VUS_IRQ_H
#define VUS_IRQ_H

#include "libvfio-user.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libserver/lock.h"
#include "libserver/signal.h"
#include "wire/channel.h"

struct vus_reply;

/* Alone in its cache lines: each thread of a device may have a vector of its own. */
struct vus_vector {
    alignas(64) vus_lock lock;      /* for all below */
    int fd;                 /* owned eventfd; -1: none */
    int unmask_fd;          /* owned eventfd, signalled by the client; -1: none */
    bool direct;            /* a trigger need only signal fd; follows from the others */
    bool automask;          /* an interrupt masks it */
    bool masked;
    bool pending;           /* triggered while masked */
    bool moved;             /* lives in a newer table */
    struct vus_signal_request request;     /* signals fd */
};

struct vus_vectors {
    struct vus_vectors *older;  /* owned; what was in use before, or NULL */
    uint32_t capacity;
    struct vus_vector v[];
};

struct vus_irq_set {
    _Atomic(struct vus_vectors *) table;    /* owned; NULL: capacity 0 */
    _Atomic(uint32_t) count;    /* vectors that there are, at most the capacity */
    uint32_t assigned;          /* vectors that have an eventfd */
    uint32_t listening;         /* vectors that have an eventfd for unmasking */
    bool automask;              /* what new vectors have */
    _Atomic(vfu_dev_irq_state_cb_t *) on_state;     /* may be NULL; the device's; whoever
                                                     * serves a command may look */
};

struct vus_irqs {
    pthread_mutex_t lock;       /* for changes of all below except on_state */
    struct vus_signal signal;
    _Atomic(struct vus_irq_set *) in_use;   /* what vfu_irq_trigger() means, or NULL */
    struct vus_irq_set sets[VFU_DEV_NUM_IRQS];
};

/* The default of one ERR and one REQ vector. 0 or -ENOMEM. */
int vus_irqs_init(struct vus_irqs *irqs);
/* The client's eventfds are gone already. */
void vus_irqs_done(struct vus_irqs *irqs);
/* The client is gone: close every eventfd, forget every mask. */
void vus_irqs_disable_all(struct vfu_ctx *ctx);

/*
 * Look which vectors the client has unmasked by eventfd. On the context's thread,
 * when a descriptor given to vus_wake_add() is readable; runs the state callbacks.
 */
void vus_irqs_poll_unmask(struct vfu_ctx *ctx);

/* Handlers of commands, see libserver/dispatch.h. */
int vus_on_irq_info(struct vfu_ctx *ctx, struct vu_message *m, struct vus_reply *reply);
int vus_on_set_irqs(struct vfu_ctx *ctx, struct vu_message *m, struct vus_reply *reply);

#endif
