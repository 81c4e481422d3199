/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VERSION: what we propose and what of the server's answer we accept.
 *
 * Once per connection. Limits that are misread here make every later bound wrong, so an
 * answer that is not fully understood ends the connection.
 */
#include "libclient/call.h"

#include <inttypes.h>
#include <stdio.h>

#include "wire/caps.h"

/* The newest version that we speak; servers answer with what they have. */
#define OUR_MAJOR 0
#define OUR_MINOR 2

#define PROPOSAL_MAX 256u   /* bytes of our JSON */

/* Our limits; no features. Length with NUL, or negative errno. */
static int write_proposal(const struct vfuc_options *options, char *buf, size_t len)
{
    struct vu_caps caps = {
        .has_max_msg_fds = true, .max_msg_fds = options->max_msg_fds,
        .has_max_data_xfer_size = true, .max_data_xfer_size = options->max_data_xfer_size,
        .has_max_dma_maps = true, .max_dma_maps = options->max_dma_maps,
        .has_pgsizes = true, .pgsizes = options->pgsizes,
    };

    return vu_caps_print(&caps, buf, len);
}

/* Why these values cannot be worked with, or NULL. */
static const char *unusable(const struct vu_version *v, const struct vu_caps *caps)
{
    if (v->major != OUR_MAJOR)
        return "another major version";
    if (v->minor > OUR_MINOR)
        return "a newer minor version than we proposed";
    if (caps->max_data_xfer_size == 0)
        return "capabilities.max_data_xfer_size: 0 allows no transfer";
    if (caps->pgsizes == 0)
        return "capabilities.pgsizes: 0 allows no page size";
    if (caps->has_twin_socket && caps->twin_socket)
        return "capabilities.twin_socket: enabled, but we did not propose it";
    return NULL;
}

static void keep_limits(struct vfuc_client *client, const struct vfuc_options *options,
                        const struct vu_version *v, const struct vu_caps *caps)
{
    uint64_t fds = caps->max_msg_fds;
    uint64_t transfer = caps->max_data_xfer_size;

    client->limits = (struct vfuc_limits){
        .version_major = v->major,
        .version_minor = v->minor,
        .max_msg_fds = (uint32_t)(fds < VU_MAX_MSG_FDS ? fds : VU_MAX_MSG_FDS),
        .max_data_xfer_size = transfer,
        .max_dma_maps = caps->max_dma_maps,
        .pgsizes = caps->pgsizes,
    };
    /* What we proposed bounds our buffers, also for replies. */
    if (transfer > options->max_data_xfer_size)
        transfer = options->max_data_xfer_size;
    client->max_transfer = (uint32_t)transfer;
}

static int accept_answer(struct vfuc_client *client, const struct vfuc_options *options,
                         struct vu_message *reply)
{
    struct vu_reader r = vu_reader(reply->body, reply->body_len);
    struct vu_version v;
    struct vu_caps caps;
    const char *reason;
    char why[128];
    int err = vu_decode_version(&r, &v);

    if (err < 0)
        return vuc_broken_reply(client, reply, "it is too short");
    err = vu_caps_parse(&caps, v.data.data, v.data.len, why, sizeof(why));
    if (err == -ENOMEM) {
        vu_message_done(reply);
        vuc_disconnect(client);
        return vuc_fail(client, err, "VERSION: out of memory");
    }
    if (err < 0)
        return vuc_broken_reply(client, reply, why);
    vu_caps_default(&caps);
    reason = unusable(&v, &caps);
    if (reason != NULL)
        return vuc_broken_reply(client, reply, reason);
    keep_limits(client, options, &v, &caps);
    vu_message_done(reply);     /* no descriptor can belong to it: closed here */
    return 0;
}

int vuc_negotiate(struct vfuc_client *client, const struct vfuc_options *options)
{
    struct vu_version v = { .major = OUR_MAJOR, .minor = OUR_MINOR };
    struct vuc_request req;
    struct vu_message reply;
    char json[PROPOSAL_MAX];
    int len = write_proposal(options, json, sizeof(json));
    int err;

    if (len < 0)
        return vuc_fail(client, len, "VERSION: our own capabilities do not fit");
    vuc_request_init(&req, VU_VERSION);
    vu_encode_version(&req.body, &v);
    req.data = json;
    req.data_len = (size_t)len;
    req.reply_max = VU_VERSION_SIZE + VU_CAPS_MAX_BYTES;
    err = vuc_call(client, &req, &reply);
    return err < 0 ? err : accept_answer(client, options, &reply);
}
