/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupts: what the device has, and SET_IRQS in the forms without descriptors. Those
 * with descriptors are in irq_fds.c.
 */
#include "libclient/irq.h"

#include <stdlib.h>

#include "libclient/call.h"
#include "libclient/irq_fds.h"

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

int vuc_irq_ask(struct vfuc_client *client, uint32_t index, struct vfuc_irq *info)
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
    *info = (struct vfuc_irq){
        .index = index, .flags = m.flags, .num_vectors = m.count,
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

    if (err == 0 && !client->irqs[index].known) {
        err = vuc_irq_ask(client, index, &client->irqs[index].info);
        client->irqs[index].known = err == 0;
    }
    if (err == 0)
        *irq = &client->irqs[index].info;
    return err;
}

int vuc_irq_check(struct vfuc_client *client, const struct vuc_vectors *v)
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

/* --------------------------------------------------------------- SET_IRQS -- */

static void init_set(struct vuc_request *req, const struct vuc_vectors *v, uint32_t flags,
                     uint32_t data_len)
{
    struct vu_irq_set m = {
        .argsz = VU_IRQ_SET_SIZE + data_len,
        .flags = flags,
        .index = v->index,
        .start = v->start,
        .count = v->count,
    };

    vuc_request_init(req, VU_DEVICE_SET_IRQS);
    vu_encode_irq_set(&req->body, &m);
}

int vuc_irq_set(struct vfuc_client *client, const struct vuc_vectors *v, uint32_t flags,
                const int *fds)
{
    struct vuc_request req;

    init_set(&req, v, flags, 0);
    req.fds = fds;
    req.n_fds = fds == NULL ? 0 : v->count;
    return vuc_call_plain(client, &req);
}

static int act(struct vfuc_client *client, uint32_t action, uint32_t index,
               uint32_t start, uint32_t count)
{
    struct vuc_vectors v = { index, start, count };
    int err = vuc_irq_check(client, &v);

    return err < 0 ? err : vuc_irq_set(client, &v, VU_IRQ_SET_DATA_NONE | action, NULL);
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
    struct vuc_vectors all = { .index = index };    /* count 0: the whole index */
    int err = check_index(client, index);

    if (err == 0)
        err = vuc_irq_set(client, &all,
                          VU_IRQ_SET_DATA_NONE | VU_IRQ_SET_ACTION_TRIGGER, NULL);
    if (err == 0)
        vuc_irq_fds_drop(&client->irqs[index]);
    return err;
}

/* ------------------------------------------------------------ chosen ones -- */

/* A server may take no message that is larger than one of data; 4096 fits anywhere. */
static int check_some(struct vfuc_client *client, const struct vuc_vectors *v,
                      uint32_t action)
{
    uint64_t most = client->limits.max_data_xfer_size;

    if (action != VFUC_IRQ_MASK && action != VFUC_IRQ_UNMASK
        && action != VFUC_IRQ_TRIGGER)
        return vuc_fail(client, -EINVAL, "unknown action 0x%x", action);
    if (v->count > (most < 4096 ? 4096 : most))
        return vuc_fail(client, -E2BIG, "%u vectors do not fit into a message", v->count);
    return vuc_irq_check(client, v);
}

int vfuc_irq_some(struct vfuc_client *client, uint32_t index, uint32_t action,
                  uint32_t start, const uint8_t *chosen, uint32_t count)
{
    struct vuc_vectors v = { index, start, count };
    struct vuc_request req;
    uint8_t *bools;
    int err = check_some(client, &v, action);

    if (err < 0)
        return err;
    bools = malloc(count);
    if (bools == NULL)
        return vuc_fail(client, -ENOMEM, "out of memory");
    for (uint32_t i = 0; i < count; i++)
        bools[i] = chosen[i] != 0;      /* some servers take 1 alone for true */
    init_set(&req, &v, VU_IRQ_SET_DATA_BOOL | action, count);
    req.data = bools;
    req.data_len = count;
    err = vuc_call_plain(client, &req);
    free(bools);
    return err;
}
