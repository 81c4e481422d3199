/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SET_IRQS, for irq.c and irq_fds.c.
 */
#ifndef VUC_IRQ_H
#define VUC_IRQ_H

#include "libclient/client.h"

/* Vectors of one index. */
struct vuc_vectors {
    uint32_t index;
    uint32_t start;
    uint32_t count;
};

/* Ask what an index is, whatever is known of it. 0, or as vuc_call(). */
int vuc_irq_ask(struct vfuc_client *client, uint32_t index, struct vfuc_irq *info);

/* Are there such vectors, at least one? Asks for the index the first time. 0, -EINVAL,
 * -ERANGE, or as vuc_call(). */
int vuc_irq_check(struct vfuc_client *client, const struct vuc_vectors *v);

/* One SET_IRQS. fds: v->count of them, lent, or NULL: none. As vuc_call(). */
int vuc_irq_set(struct vfuc_client *client, const struct vuc_vectors *v, uint32_t flags,
                const int *fds);

#endif
