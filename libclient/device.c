/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device as a whole: what it has, and reset.
 *
 * What it has is asked once and kept. The numbers that a server gives size our tables, so
 * they are bounded before anything is allocated.
 */
#include "libclient/call.h"

#include <stdlib.h>

#include "libclient/irq_fds.h"
#include "libclient/region.h"

static int make_tables(struct vfuc_client *client, const struct vu_device_info *m)
{
    /* calloc(0) may give NULL, which would look like a failure */
    client->regions = calloc(m->num_regions + 1, sizeof(*client->regions));
    client->irqs = calloc(m->num_irqs + 1, sizeof(*client->irqs));
    if (client->regions == NULL || client->irqs == NULL) {
        free(client->regions);
        free(client->irqs);
        client->regions = NULL;
        client->irqs = NULL;
        return vuc_fail(client, -ENOMEM, "out of memory");
    }
    client->device = (struct vfuc_device){
        .flags = m->flags,
        .num_regions = m->num_regions,
        .num_irqs = m->num_irqs,
    };
    client->device_known = true;
    return 0;
}

static const char *unusable(const struct vu_device_info *m)
{
    if (m->argsz < VU_DEVICE_INFO_SIZE)
        return "argsz is smaller than the reply";
    if (m->num_regions > VFUC_MAX_REGIONS)
        return "more regions than any device has";
    if (m->num_irqs > VFUC_MAX_IRQS)
        return "more interrupt indices than any device has";
    return NULL;
}

static int ask_device(struct vfuc_client *client, struct vu_device_info *m)
{
    struct vuc_request req;
    struct vu_message reply;
    struct vu_reader r;
    const char *reason;
    int err;

    *m = (struct vu_device_info){ .argsz = VU_DEVICE_INFO_SIZE };
    vuc_request_init(&req, VU_DEVICE_GET_INFO);
    vu_encode_device_info(&req.body, m);
    req.reply_max = VU_DEVICE_INFO_SIZE;
    err = vuc_call(client, &req, &reply);
    if (err < 0)
        return err;
    r = vu_reader(reply.body, reply.body_len);
    vu_decode_device_info(&r, m);
    reason = unusable(m);
    if (reason != NULL)
        return vuc_broken_reply(client, &reply, reason);
    vu_message_done(&reply);
    return 0;
}

int vuc_device_known(struct vfuc_client *client)
{
    struct vu_device_info m;
    int err;

    if (client->device_known)
        return 0;
    err = ask_device(client, &m);
    return err < 0 ? err : make_tables(client, &m);
}

int vuc_device_restore(struct vfuc_client *client)
{
    const struct vfuc_device *old = &client->device;
    struct vu_device_info m;
    int err;

    if (!client->device_known)
        return 0;
    err = ask_device(client, &m);
    if (err < 0)
        return err;
    if (m.flags != old->flags)
        return vuc_fail(client, -ESTALE, "another device: flags 0x%x instead of 0x%x",
                        m.flags, old->flags);
    if (m.num_regions != old->num_regions)
        return vuc_fail(client, -ESTALE, "another device: %u regions instead of %u",
                        m.num_regions, old->num_regions);
    if (m.num_irqs != old->num_irqs)
        return vuc_fail(client, -ESTALE, "another device: %u kinds of interrupts instead "
                        "of %u", m.num_irqs, old->num_irqs);
    return 0;
}

int vfuc_device_info(struct vfuc_client *client, const struct vfuc_device **device)
{
    int err = vuc_device_known(client);

    if (err == 0)
        *device = &client->device;
    return err;
}

int vfuc_region_count(struct vfuc_client *client)
{
    int err = vuc_device_known(client);

    return err < 0 ? err : (int)client->device.num_regions;
}

int vfuc_irq_count(struct vfuc_client *client)
{
    int err = vuc_device_known(client);

    return err < 0 ? err : (int)client->device.num_irqs;
}

int vfuc_reset(struct vfuc_client *client)
{
    struct vuc_request req;

    vuc_request_init(&req, VU_DEVICE_RESET);
    return vuc_call_plain(client, &req);
}

int vfuc_submit_reset(struct vfuc_client *client, uint64_t tag)
{
    struct vuc_request req;

    vuc_request_init(&req, VU_DEVICE_RESET);
    return vuc_submit(client, &req, vuc_finish_plain, NULL, 0, tag);
}
