/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The eventfds of interrupts, as far as they outlive a call: what the server was given
 * is kept, to be given to it again after a reconnect. Masks are not: a device's state
 * is not.
 */
#ifndef VUC_IRQ_FDS_H
#define VUC_IRQ_FDS_H

#include "libclient/client.h"

/* What an eventfd goes with: a table for each. */
enum vuc_signal {
    VUC_SIGNAL_TRIGGER,
    VUC_SIGNAL_MASK,
    VUC_SIGNAL_UNMASK,
    VUC_SIGNALS
};

struct vuc_eventfd {
    int fd;         /* owned; -1: none */
    bool made;      /* by vfuc_irq_enable() for the caller; else a copy of the caller's */
};

/* One index. */
struct vuc_irq {
    bool known;                 /* the rest is valid */
    struct vfuc_irq info;
    struct vuc_eventfd *eventfds[VUC_SIGNALS];  /* owned, info.num_vectors each; NULL: no
                                                 * vector has ever had one */
};

/* The index is off: no eventfd of it is needed any more. */
void vuc_irq_fds_drop(struct vuc_irq *irq);

/* After a reconnect: indices that are known must be the same, and the server gets what it
 * had. 0, -ESTALE, or as vuc_call(). */
int vuc_irqs_restore(struct vfuc_client *client);

/* Close them all and free the tables. */
void vuc_irqs_done(struct vfuc_client *client);

#endif
