/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The queue of kept commands, one allocation for each.
 */
#include "libserver/kept.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint8_t *body_of(struct vus_kept *k)
{
    return (uint8_t *)(k->fds + k->n_fds);
}

int vus_queue_put(struct vus_queue *q, struct vu_message *m)
{
    size_t fds_size = m->n_fds * sizeof(m->fds[0]);
    struct vus_kept *k = malloc(sizeof(*k) + fds_size + m->body_len);

    if (k == NULL)
        return -ENOMEM;
    k->next = NULL;
    k->h = m->h;
    k->body_len = m->body_len;
    k->n_fds = m->n_fds;
    k->fds_lost = m->fds_lost;
    memcpy(k->fds, m->fds, fds_size);
    if (m->body_len != 0)
        memcpy(body_of(k), m->body, m->body_len);
    m->n_fds = 0;
    if (q->first == NULL)
        q->first = k;
    else
        q->last->next = k;
    q->last = k;
    q->n++;
    q->bytes += k->body_len;
    q->fds += k->n_fds;
    q->irqs += k->h.command == VU_DEVICE_SET_IRQS;
    return 0;
}

struct vus_kept *vus_queue_take(struct vus_queue *q, struct vu_message *m)
{
    struct vus_kept *k = q->first;

    if (k == NULL)
        return NULL;
    q->first = k->next;
    q->n--;
    q->bytes -= k->body_len;
    q->fds -= k->n_fds;
    q->irqs -= k->h.command == VU_DEVICE_SET_IRQS;
    vu_message_init(m, &k->h, body_of(k), k->body_len);
    memcpy(m->fds, k->fds, k->n_fds * sizeof(k->fds[0]));
    m->n_fds = k->n_fds;
    m->fds_lost = k->fds_lost;
    return k;
}

bool vus_queue_full(const struct vus_queue *q)
{
    return q->n > VUS_QUEUE_COMMANDS || q->bytes > VUS_QUEUE_BYTES ||
           q->fds > VUS_QUEUE_FDS;
}

void vus_queue_done(struct vus_queue *q)
{
    struct vu_message m;
    struct vus_kept *k;

    while ((k = vus_queue_take(q, &m)) != NULL) {
        vu_message_done(&m);
        free(k);
    }
}
