/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands that were submitted, and their completions: see pending.h.
 *
 * A command leaves the table before its function is called, and its completion has its
 * place in the queue by then, so that a function that ends the connection (and with it
 * everything else on its way) finds both in order.
 */
#include "libclient/pending.h"

#include <stdlib.h>

#include "libclient/dispatch.h"

#define NONE UINT16_MAX     /* no slot; ids go as far, slots do not */

struct slot {
    bool sent;              /* on its way; else the slot is free */
    uint16_t id, command;
    uint16_t before, after; /* in the chain */
    uint32_t reply_min, reply_max;
    vu_deadline deadline;
    uint64_t tag;
    vuc_finish_fn *finish;
    uint8_t state[VUC_STATE_MAX];
};

struct vuc_pending {
    struct slot *slots;             /* owned */
    struct vfuc_completion *done;   /* owned: a ring of `most` entries */
    unsigned n_slots;               /* a power of two */
    unsigned most;                  /* n_sent + n_done is never above */
    unsigned n_sent, n_done;
    unsigned first_done;            /* in the ring */
    uint16_t oldest, newest;        /* ends of the chain, or NONE */
    vu_deadline soonest;            /* no deadline is before it */
};

static struct slot *slot_of(const struct vuc_pending *p, uint16_t id)
{
    return &p->slots[id & (p->n_slots - 1)];
}

/* ------------------------------------------------------------- life cycle -- */

static struct vuc_pending *make(unsigned most)
{
    struct vuc_pending *p = calloc(1, sizeof(*p));
    unsigned n = 1;

    if (p == NULL)
        return NULL;
    while (n < most)
        n *= 2;
    p->slots = calloc(n, sizeof(*p->slots));
    p->done = calloc(most, sizeof(*p->done));
    p->n_slots = n;
    p->most = most;
    p->oldest = p->newest = NONE;
    p->soonest = VU_FOREVER;
    if (p->slots == NULL || p->done == NULL) {
        free(p->slots);
        free(p->done);
        free(p);
        return NULL;
    }
    return p;
}

void vuc_pending_free(struct vfuc_client *client)
{
    if (client->pending == NULL)
        return;
    free(client->pending->slots);
    free(client->pending->done);
    free(client->pending);
    client->pending = NULL;
}

int vuc_pending_room(struct vfuc_client *client)
{
    struct vuc_pending *p = client->pending;

    if (p == NULL) {
        client->pending = make(client->options.max_pending);
        return client->pending == NULL ? vuc_fail(client, -ENOMEM, "out of memory") : 0;
    }
    if (p->n_sent + p->n_done < p->most)
        return 0;
    return vuc_fail(client, -EAGAIN, "%u commands are on their way or wait to be taken",
                    p->most);
}

/* ------------------------------------------------------------------ table -- */

uint16_t vuc_pending_next_id(struct vfuc_client *client, bool submit)
{
    const struct vuc_pending *p = client->pending;

    if (p == NULL || p->n_sent == 0)
        return client->next_id++;
    for (;;) {
        uint16_t id = client->next_id++;
        const struct slot *slot = slot_of(p, id);

        if (!slot->sent || (!submit && slot->id != id))
            return id;
    }
}

static void chain(struct vuc_pending *p, struct slot *slot)
{
    uint16_t at = (uint16_t)(slot - p->slots);

    slot->before = p->newest;
    slot->after = NONE;
    if (p->newest != NONE)
        p->slots[p->newest].after = at;
    else
        p->oldest = at;
    p->newest = at;
}

static void unchain(struct vuc_pending *p, struct slot *slot)
{
    if (slot->before != NONE)
        p->slots[slot->before].after = slot->after;
    else
        p->oldest = slot->after;
    if (slot->after != NONE)
        p->slots[slot->after].before = slot->before;
    else
        p->newest = slot->before;
}

void vuc_pending_add(struct vfuc_client *client, const struct vuc_request *req,
                     vuc_finish_fn *finish, const void *state, size_t state_len,
                     uint64_t tag)
{
    struct vuc_pending *p = client->pending;
    struct slot *slot = slot_of(p, req->id);

    slot->sent = true;
    slot->id = req->id;
    slot->command = req->command;
    slot->reply_min = req->reply_min;
    slot->reply_max = req->reply_max;
    slot->deadline = vu_deadline_in_ms(client->timeout_ms);
    slot->tag = tag;
    slot->finish = finish;
    if (state_len > 0)
        memcpy(slot->state, state, state_len);
    chain(p, slot);
    p->n_sent++;
    if (slot->deadline < p->soonest)
        p->soonest = slot->deadline;
}

bool vuc_pending_has(const struct vfuc_client *client, const struct vu_header *h)
{
    const struct vuc_pending *p = client->pending;
    const struct slot *slot;

    if (p == NULL)
        return false;
    slot = slot_of(p, h->msg_id);
    return slot->sent && slot->id == h->msg_id && slot->command == h->command;
}

/* ------------------------------------------------------------- completion -- */

/* The command is not on its way any more. reply: NULL with an error. */
static int finish(struct vfuc_client *client, struct slot *slot, int err,
                  struct vu_message *reply)
{
    struct vuc_pending *p = client->pending;
    struct vfuc_completion *done = &p->done[(p->first_done + p->n_done) % p->most];
    struct slot s = *slot;

    slot->sent = false;
    unchain(p, slot);
    p->n_sent--;
    p->n_done++;
    if (p->n_sent == 0)
        p->soonest = VU_FOREVER;
    *done = (struct vfuc_completion){ .tag = s.tag };
    done->result = s.finish(client, s.state, err, reply, &done->bytes);
    if (done->result == -EREMOTEIO)
        done->server_errno = client->last_errno;
    /* A refusal or a local failure is the command's own affair. */
    return client->main.port == NULL ? done->result : 0;
}

int vuc_pending_reply(struct vfuc_client *client, struct vu_message *reply)
{
    struct vuc_pending *p = client->pending;
    struct slot *slot = p == NULL ? NULL : slot_of(p, reply->h.msg_id);
    int err;

    if (slot == NULL || !slot->sent || slot->id != reply->h.msg_id)
        return vuc_broken_reply(client, reply, "its id is that of no command of ours");
    if (slot->command != reply->h.command)
        return vuc_broken_reply(client, reply, "we sent another command");
    err = vuc_check_reply(client, slot->reply_min, slot->reply_max, reply);
    if (err == -EPROTO)
        return err;     /* completed with all others */
    return finish(client, slot, err, err < 0 ? NULL : reply);
}

void vuc_pending_end(struct vfuc_client *client, int reason)
{
    struct vuc_pending *p = client->pending;

    while (p != NULL && p->oldest != NONE)
        finish(client, &p->slots[p->oldest], reason, NULL);
}

unsigned vuc_pending_take(struct vfuc_client *client, struct vfuc_completion *done,
                          unsigned max)
{
    struct vuc_pending *p = client->pending;
    unsigned n = 0;

    for (; p != NULL && n < max && p->n_done > 0; n++) {
        done[n] = p->done[p->first_done];
        p->first_done = (p->first_done + 1) % p->most;
        p->n_done--;
    }
    return n;
}

unsigned vuc_pending_done(const struct vfuc_client *client)
{
    return client->pending == NULL ? 0 : client->pending->n_done;
}

unsigned vuc_pending_sent(const struct vfuc_client *client)
{
    return client->pending == NULL ? 0 : client->pending->n_sent;
}

/* ------------------------------------------------------------------- time -- */

vu_deadline vuc_pending_deadline(const struct vfuc_client *client)
{
    return client->pending == NULL ? VU_FOREVER : client->pending->soonest;
}

uint16_t vuc_pending_late(struct vfuc_client *client)
{
    struct vuc_pending *p = client->pending;
    const struct slot *soonest = NULL;

    if (p == NULL || vu_deadline_left_ms(p->soonest) != 0)
        return 0;
    p->soonest = VU_FOREVER;
    for (uint16_t at = p->oldest; at != NONE; at = p->slots[at].after) {
        if (p->slots[at].deadline < p->soonest) {
            soonest = &p->slots[at];
            p->soonest = soonest->deadline;
        }
    }
    if (soonest == NULL || vu_deadline_left_ms(soonest->deadline) != 0)
        return 0;
    return soonest->command;
}
