/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading and writing regions by message: the hot path.
 *
 * An access is cut to what the server takes in one message and to the bound of our
 * buffers. A server may do less than it was asked for, as long as it does something; then
 * we go on where it stopped.
 */
#include "libclient/call.h"
#include "libclient/region.h"

/* What vfuc_region_read() and its kin were asked for; moves on piece by piece. */
struct access {
    struct vfuc_client *client;
    uint32_t index;
    uint64_t offset;
    size_t left;
};

static int check_access(const struct access *a, uint32_t need)
{
    const struct vuc_region *region;
    int err;

    if (a->left == 0)
        return vuc_fail(a->client, -EINVAL, "an access of 0 bytes");
    err = vuc_region_known(a->client, a->index, &region);
    if (err < 0)
        return err;
    if ((region->info.flags & need) == 0 && region->info.size > 0)
        return vuc_fail(a->client, -EACCES, "region %u is not %s", a->index,
                        need == VU_REGION_READABLE ? "readable" : "writeable");
    return vuc_region_check(a->client, region, a->offset, a->left);
}

static struct vu_region_access next_piece(const struct access *a)
{
    size_t most = a->client->max_transfer;

    return (struct vu_region_access){
        .offset = a->offset,
        .region = a->index,
        .count = (uint32_t)(a->left < most ? a->left : most),
    };
}

/* Why this is no answer to the access that we asked for, or NULL. */
static const char *unusable(const struct vu_region_access *asked,
                            const struct vu_region_access *got)
{
    if (got->offset != asked->offset || got->region != asked->region)
        return "it is about another place";
    if (got->count > asked->count)
        return "more bytes than we asked for";
    if (got->count == 0)
        return "no byte was transferred";
    return NULL;
}

/* Bytes read, or negative errno. */
static int64_t read_piece(const struct access *a, uint8_t *to)
{
    struct vu_region_access asked = next_piece(a), got;
    struct vuc_request req;
    struct vu_message reply;
    struct vu_reader r;
    const char *reason;
    int err;

    vuc_request_init(&req, VU_REGION_READ);
    vu_encode_region_access(&req.body, &asked);
    req.reply_max = VU_REGION_ACCESS_SIZE + asked.count;
    err = vuc_call(a->client, &req, &reply);
    if (err < 0)
        return err;
    r = vu_reader(reply.body, reply.body_len);
    if (vu_decode_region_data(&r, &got) < 0)
        return vuc_broken_reply(a->client, &reply, "its count is not that of its data");
    reason = unusable(&asked, &got);
    if (reason != NULL)
        return vuc_broken_reply(a->client, &reply, reason);
    memcpy(to, got.data.data, got.count);
    vu_message_done(&reply);
    return got.count;
}

int vfuc_region_read(struct vfuc_client *client, uint32_t index, uint64_t offset,
                     void *buf, size_t len)
{
    struct access a = { client, index, offset, len };
    uint8_t *to = buf;
    int err = check_access(&a, VU_REGION_READABLE);

    while (err == 0 && a.left > 0) {
        int64_t n = read_piece(&a, to);

        if (n < 0)
            return (int)n;
        to += n;
        a.offset += (uint64_t)n;
        a.left -= (size_t)n;
    }
    return err;
}

/* Bytes written, or negative errno. flags: VU_F_NO_REPLY, or 0. */
static int64_t write_piece(const struct access *a, const uint8_t *from, uint32_t flags)
{
    struct vu_region_access asked = next_piece(a), got;
    struct vuc_request req;
    struct vu_message reply;
    struct vu_reader r;
    const char *reason;
    int err;

    vuc_request_init(&req, VU_REGION_WRITE);
    vu_encode_region_access(&req.body, &asked);
    req.flags = flags;
    req.data = from;
    req.data_len = asked.count;
    if (flags != 0) {
        err = vuc_post(a->client, &req);
        return err < 0 ? err : (int64_t)asked.count;
    }
    err = vuc_call(a->client, &req, &reply);
    if (err < 0)
        return err;
    r = vu_reader(reply.body, reply.body_len);
    vu_decode_region_access(&r, &got);
    reason = unusable(&asked, &got);
    if (reason != NULL)
        return vuc_broken_reply(a->client, &reply, reason);
    vu_message_done(&reply);
    return got.count;
}

static int write_all(struct access *a, const uint8_t *from, uint32_t flags)
{
    int err = check_access(a, VU_REGION_WRITEABLE);

    while (err == 0 && a->left > 0) {
        int64_t n = write_piece(a, from, flags);

        if (n < 0)
            return (int)n;
        from += n;
        a->offset += (uint64_t)n;
        a->left -= (size_t)n;
    }
    return err;
}

int vfuc_region_write(struct vfuc_client *client, uint32_t index, uint64_t offset,
                      const void *buf, size_t len)
{
    struct access a = { client, index, offset, len };

    return write_all(&a, buf, 0);
}

int vfuc_region_write_posted(struct vfuc_client *client, uint32_t index, uint64_t offset,
                             const void *buf, size_t len)
{
    struct access a = { client, index, offset, len };

    return write_all(&a, buf, VU_F_NO_REPLY);
}
