/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupts: what the device has, and SET_IRQS in the forms that a driver needs.
 */
#include "libclient/call.h"

/* ------------------------------------------------------------------- info -- */

static const char *unusable(const struct vu_irq_info *m, uint32_t index)
{
    if (m->argsz < VU_IRQ_INFO_SIZE)
        return "argsz is smaller than the reply";
    if (m->index != index)
        return "another index";
    if (m->count > VFUC_MAX_VECTORS)
        return "more vectors than any device has";
    return NULL;
}

static int ask_irq(struct vfuc_client *client, uint32_t index)
{
    struct vu_irq_info m = { .argsz = VU_IRQ_INFO_SIZE, .index = index };
    struct vuc_request req;
    struct vu_message reply;
    struct vu_reader r;
    const char *reason;
    int err;

    vuc_request_init(&req, VU_DEVICE_GET_IRQ_INFO);
    vu_encode_irq_info(&req.body, &m);
    req.reply_max = VU_IRQ_INFO_SIZE;
    err = vuc_call(client, &req, &reply);
    if (err < 0)
        return err;
    r = vu_reader(reply.body, reply.body_len);
    vu_decode_irq_info(&r, &m);
    reason = unusable(&m, index);
    if (reason != NULL)
        return vuc_broken_reply(client, &reply, reason);
    vu_message_done(&reply);
    client->irqs[index] = (struct vuc_irq){
        .known = true,
        .info = { .index = index, .flags = m.flags, .num_vectors = m.count },
    };
    return 0;
}

static int check_index(struct vfuc_client *client, uint32_t index)
{
    int err = vuc_device_known(client);

    if (err == 0 && index >= client->device.num_irqs)
        return vuc_fail(client, -ERANGE, "there is no interrupt index %u", index);
    return err;
}

int vfuc_irq_info(struct vfuc_client *client, uint32_t index, const struct vfuc_irq **irq)
{
    int err = check_index(client, index);

    if (err == 0 && !client->irqs[index].known)
        err = ask_irq(client, index);
    if (err == 0)
        *irq = &client->irqs[index].info;
    return err;
}

/* --------------------------------------------------------------- SET_IRQS -- */

/* Vectors of one index. */
struct vectors {
    uint32_t index;
    uint32_t start;
    uint32_t count;
};

static int check_vectors(struct vfuc_client *client, const struct vectors *v)
{
    const struct vfuc_irq *irq;
    int err;

    if (v->count == 0)
        return vuc_fail(client, -EINVAL, "a range of 0 vectors");
    err = vfuc_irq_info(client, v->index, &irq);
    if (err != 0)
        return err;
    if (v->start > irq->num_vectors || v->count > irq->num_vectors - v->start)
        return vuc_fail(client, -ERANGE, "interrupt index %u has %u vectors", v->index,
                        irq->num_vectors);
    return 0;
}

/* fds: v->count of them, lent, or NULL for none. */
static int set_irqs(struct vfuc_client *client, const struct vectors *v, uint32_t flags,
                    const int *fds)
{
    struct vu_irq_set m = {
        .argsz = VU_IRQ_SET_SIZE,
        .flags = flags,
        .index = v->index,
        .start = v->start,
        .count = v->count,
    };
    struct vuc_request req;

    vuc_request_init(&req, VU_DEVICE_SET_IRQS);
    vu_encode_irq_set(&req.body, &m);
    req.fds = fds;
    req.n_fds = fds == NULL ? 0 : v->count;
    return vuc_call_plain(client, &req);
}

static int act(struct vfuc_client *client, uint32_t action, uint32_t index,
               uint32_t start, uint32_t count)
{
    struct vectors v = { index, start, count };
    int err = check_vectors(client, &v);

    return err < 0 ? err : set_irqs(client, &v, VU_IRQ_SET_DATA_NONE | action, NULL);
}

int vfuc_irq_mask(struct vfuc_client *client, uint32_t index, uint32_t start,
                  uint32_t count)
{
    return act(client, VU_IRQ_SET_ACTION_MASK, index, start, count);
}

int vfuc_irq_unmask(struct vfuc_client *client, uint32_t index, uint32_t start,
                    uint32_t count)
{
    return act(client, VU_IRQ_SET_ACTION_UNMASK, index, start, count);
}

int vfuc_irq_trigger(struct vfuc_client *client, uint32_t index, uint32_t start,
                     uint32_t count)
{
    return act(client, VU_IRQ_SET_ACTION_TRIGGER, index, start, count);
}

int vfuc_irq_disable(struct vfuc_client *client, uint32_t index)
{
    struct vectors all = { .index = index };    /* count 0 stands for the whole index */
    int err = check_index(client, index);

    if (err < 0)
        return err;
    return set_irqs(client, &all, VU_IRQ_SET_DATA_NONE | VU_IRQ_SET_ACTION_TRIGGER, NULL);
}

/* ----------------------------------------------------------------- assign -- */

/* A message says "descriptors for all of these vectors" or "none for any of them", and
 * holds max_msg_fds descriptors: the length of the first run that one can carry. */
static uint32_t first_run(const struct vfuc_client *client, const int *fds,
                          uint32_t count)
{
    uint32_t n = 1;

    while (n < count && (fds[n] < 0) == (fds[0] < 0)
           && (fds[0] < 0 || n < client->limits.max_msg_fds))
        n++;
    return n;
}

static int check_fds(struct vfuc_client *client, const int *fds, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        int err = fds[i] == -1 ? 0 : vuc_check_fd(client, fds[i]);

        if (err < 0)
            return err;
        if (fds[i] >= 0 && client->limits.max_msg_fds == 0)
            return vuc_fail(client, -ENOTSUP, "the server takes no descriptors");
    }
    return 0;
}

int vfuc_irq_assign(struct vfuc_client *client, uint32_t index, uint32_t start,
                    const int *fds, uint32_t count)
{
    struct vectors v = { index, start, count };
    int err = check_vectors(client, &v);

    if (err == 0)
        err = check_fds(client, fds, count);
    for (uint32_t at = 0; err == 0 && at < count; at += v.count) {
        v.start = start + at;
        v.count = first_run(client, fds + at, count - at);
        err = set_irqs(client, &v, VU_IRQ_SET_DATA_EVENTFD | VU_IRQ_SET_ACTION_TRIGGER,
                       fds[at] < 0 ? NULL : fds + at);
    }
    return err;
}
