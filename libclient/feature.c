/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Features: the envelope, and the calls for features that have none of their own.
 *
 * Migration and DMA logging are such features too; migration.c and logging.c stand on
 * vuc_feature(). All of it is rare, but for the state of a device that is being moved.
 */
#include "libclient/feature.h"

#define METHODS (VU_FEATURE_GET | VU_FEATURE_SET)

uint32_t vuc_feature_room(const struct vfuc_client *client)
{
    return client->max_transfer;
}

void vuc_feature_request(struct vuc_request *req, uint32_t flags, const void *data,
                         size_t len, uint32_t argsz)
{
    struct vu_feature m = { .argsz = argsz, .flags = flags };
    uint32_t sent = (uint32_t)(VU_FEATURE_SIZE + len);

    vuc_request_init(req, VU_DEVICE_FEATURE);
    vu_encode_feature(&req->body, &m);
    req->data = data;
    req->data_len = len;
    req->reply_max = argsz > sent ? argsz : sent;
}

int vuc_feature_reply(struct vfuc_client *client, uint32_t flags,
                      struct vu_message *reply, struct vu_feature *got)
{
    struct vu_reader r = vu_reader(reply->body, reply->body_len);

    vu_decode_feature(&r, got);
    if (got->flags != flags)
        return vuc_broken_reply(client, reply, "it is about another feature or method");
    /* Whether argsz counts what was asked or what came is disputed above that. */
    if (got->argsz < VU_FEATURE_SIZE)
        return vuc_broken_reply(client, reply, "argsz is smaller than any feature");
    return 0;
}

int vuc_feature(struct vfuc_client *client, uint32_t flags, const void *data, size_t len,
                uint32_t argsz, struct vu_message *reply, struct vu_feature *got)
{
    struct vuc_request req;
    int err;

    vuc_feature_request(&req, flags, data, len, argsz);
    err = vuc_call(client, &req, reply);
    return err < 0 ? err : vuc_feature_reply(client, flags, reply, got);
}

/* -------------------------------------------------------------- any feature -- */

static int check_feature(struct vfuc_client *client, uint32_t feature)
{
    if (feature <= VU_FEATURE_INDEX_MASK)
        return 0;
    return vuc_fail(client, -EINVAL, "no feature can have the number %u", feature);
}

static int check_len(struct vfuc_client *client, size_t len)
{
    if (len <= vuc_feature_room(client))
        return 0;
    return vuc_fail(client, -E2BIG, "a message carries %u bytes of a feature's data",
                    vuc_feature_room(client));
}

int vfuc_feature_probe(struct vfuc_client *client, uint32_t feature, uint32_t methods)
{
    struct vu_message reply;
    struct vu_feature got;
    int err = check_feature(client, feature);

    if (err < 0)
        return err;
    if ((methods & ~METHODS) != 0)
        return vuc_fail(client, -EINVAL, "unknown methods 0x%x", methods);
    err = vuc_feature(client, feature | methods | VU_FEATURE_PROBE, NULL, 0,
                      VU_FEATURE_SIZE, &reply, &got);
    if (err == 0)
        vu_message_done(&reply);
    return err;
}

int vfuc_feature_get(struct vfuc_client *client, uint32_t feature, void *data, size_t ask,
                     size_t room, size_t *got)
{
    struct vu_message reply;
    struct vu_feature m;
    int err = check_feature(client, feature);

    if (err < 0)
        return err;
    if (ask > room || (data == NULL && room > 0))
        return vuc_fail(client, -EINVAL, "a feature's data has no room");
    err = check_len(client, room);
    if (err < 0)
        return err;
    err = vuc_feature(client, feature | VU_FEATURE_GET, data, ask,
                      (uint32_t)(VU_FEATURE_SIZE + room), &reply, &m);
    if (err < 0)
        return err;
    if (m.data.len < ask)
        return vuc_broken_reply(client, &reply, "it does not repeat what was sent");
    if (room > 0 && m.data.len > 0)
        memcpy(data, m.data.data, m.data.len);
    *got = m.data.len;
    vu_message_done(&reply);
    return 0;
}

int vfuc_feature_set(struct vfuc_client *client, uint32_t feature, const void *data,
                     size_t len)
{
    struct vu_message reply;
    struct vu_feature got;
    int err = check_feature(client, feature);

    if (err == 0 && data == NULL && len > 0)
        err = vuc_fail(client, -EINVAL, "a feature's data is missing");
    if (err == 0)
        err = check_len(client, len);
    if (err < 0)
        return err;
    err = vuc_feature(client, feature | VU_FEATURE_SET, data, len,
                      (uint32_t)(VU_FEATURE_SIZE + len), &reply, &got);
    if (err < 0)
        return err;
    if (got.data.len < len)
        return vuc_broken_reply(client, &reply, "it does not repeat what was sent");
    vu_message_done(&reply);
    return 0;
}
