/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading and writing regions by message: the hot path.
 *
 * An access is cut to what the server takes in one message and to the bound of our
 * buffers. A server may do less than it was asked for, as long as it does something;
 * then we go on where it stopped. A submitted access is one message, and doing less is
 * a refusal.
 */
#include "libclient/call.h"
#include "libclient/region.h"

/* What vfuc_region_read() and its kin were asked for; moves on piece by piece. */
struct progress {
    struct vfuc_client *client;
    struct vuc_access a;
};

int vuc_access_check(struct vfuc_client *client, const struct vuc_access *a,
                     uint32_t need)
{
    const struct vuc_region *region;
    int err;

    if (a->len == 0)
        return vuc_fail(client, -EINVAL, "an access of 0 bytes");
    err = vuc_region_known(client, a->index, &region);
    if (err < 0)
        return err;
    if ((region->info.flags & need) == 0 && region->info.size > 0)
        return vuc_fail(client, -EACCES, "region %u is not %s", a->index,
                        need == VU_REGION_READABLE ? "readable" : "writeable");
    return vuc_region_check(client, region, a->offset, a->len);
}

static struct vu_region_access next_piece(const struct progress *p)
{
    size_t most = p->client->max_transfer;

    return (struct vu_region_access){
        .offset = p->a.offset,
        .region = p->a.index,
        .count = (uint32_t)(p->a.len < most ? p->a.len : most),
    };
}

static void move_on(struct progress *p, int64_t n)
{
    p->a.offset += (uint64_t)n;
    p->a.len -= (size_t)n;
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

/* ---------------------------------------------------------------- reading -- */

static void init_read(struct vuc_request *req, const struct vu_region_access *asked)
{
    vuc_request_init(req, VU_REGION_READ);
    vu_encode_region_access(&req->body, asked);
    req->reply_max = VU_REGION_ACCESS_SIZE + asked->count;
}

/* Take the bytes out of the reply, and end it. How many, or negative errno. */
static int64_t use_read(struct vfuc_client *client, const struct vu_region_access *asked,
                        struct vu_message *reply, uint8_t *to)
{
    struct vu_reader r = vu_reader(reply->body, reply->body_len);
    struct vu_region_access got;
    const char *reason;

    if (vu_decode_region_data(&r, &got) < 0)
        return vuc_broken_reply(client, reply, "its count is not that of its data");
    reason = unusable(asked, &got);
    if (reason != NULL)
        return vuc_broken_reply(client, reply, reason);
    memcpy(to, got.data.data, got.count);
    vu_message_done(reply);
    return got.count;
}

/* Bytes read, or negative errno. */
static int64_t read_piece(const struct progress *p, uint8_t *to)
{
    struct vu_region_access asked = next_piece(p);
    struct vuc_request req;
    struct vu_message reply;
    int err;

    init_read(&req, &asked);
    err = vuc_call(p->client, &req, &reply);
    return err < 0 ? err : use_read(p->client, &asked, &reply, to);
}

int vfuc_region_read(struct vfuc_client *client, uint32_t index, uint64_t offset,
                     void *buf, size_t len)
{
    struct progress p = { client, { index, offset, len } };
    uint8_t *to = buf;
    int err = vuc_access_check(client, &p.a, VU_REGION_READABLE);

    while (err == 0 && p.a.len > 0) {
        int64_t n = read_piece(&p, to);

        if (n < 0)
            return (int)n;
        to += n;
        move_on(&p, n);
    }
    return err;
}

/* ---------------------------------------------------------------- writing -- */

static void init_write(struct vuc_request *req, const struct vu_region_access *asked,
                       const void *from)
{
    vuc_request_init(req, VU_REGION_WRITE);
    vu_encode_region_access(&req->body, asked);
    req->data = from;
    req->data_len = asked->count;
}

/* See how much was written, and end the reply. How many bytes, or negative errno. */
static int64_t use_written(struct vfuc_client *client,
                           const struct vu_region_access *asked, struct vu_message *reply)
{
    struct vu_reader r = vu_reader(reply->body, reply->body_len);
    struct vu_region_access got;
    const char *reason;

    vu_decode_region_access(&r, &got);
    reason = unusable(asked, &got);
    if (reason != NULL)
        return vuc_broken_reply(client, reply, reason);
    vu_message_done(reply);
    return got.count;
}

/* Bytes written, or negative errno. */
static int64_t write_piece(const struct progress *p, const uint8_t *from,
                           enum vuc_how how)
{
    struct vu_region_access asked = next_piece(p);
    struct vuc_request req;
    struct vu_message reply;
    int err;

    init_write(&req, &asked, from);
    if (how != VUC_ANSWERED) {
        req.flags = VU_F_NO_REPLY;
        err = how == VUC_POSTED ? vuc_post(p->client, &req) : vuc_gather(p->client, &req);
        return err < 0 ? err : (int64_t)asked.count;
    }
    err = vuc_call(p->client, &req, &reply);
    return err < 0 ? err : use_written(p->client, &asked, &reply);
}

int vuc_region_write(struct vfuc_client *client, const struct vuc_access *a,
                     const void *from, enum vuc_how how)
{
    struct progress p = { client, *a };
    const uint8_t *at = from;

    while (p.a.len > 0) {
        int64_t n = write_piece(&p, at, how);

        if (n < 0)
            return (int)n;
        at += n;
        move_on(&p, n);
    }
    return 0;
}

int vfuc_region_write(struct vfuc_client *client, uint32_t index, uint64_t offset,
                      const void *buf, size_t len)
{
    struct vuc_access a = { index, offset, len };
    int err = vuc_access_check(client, &a, VU_REGION_WRITEABLE);

    return err < 0 ? err : vuc_region_write(client, &a, buf, VUC_ANSWERED);
}

int vfuc_region_write_posted(struct vfuc_client *client, uint32_t index, uint64_t offset,
                             const void *buf, size_t len)
{
    struct vuc_access a = { index, offset, len };
    int err = vuc_access_check(client, &a, VU_REGION_WRITEABLE);

    return err < 0 ? err : vuc_region_write(client, &a, buf, VUC_POSTED);
}

/* -------------------------------------------------------- without waiting -- */

/* An access that is on its way. */
struct submitted {
    struct vu_region_access asked;
    uint8_t *to;                /* lent; reads only */
};

static int check_submit(struct vfuc_client *client, const struct vuc_access *a,
                        uint32_t need, struct submitted *s)
{
    int err = vuc_access_check(client, a, need);

    if (err < 0)
        return err;
    if (a->len > client->max_transfer)
        return vuc_fail(client, -E2BIG, "a message carries %u bytes",
                        client->max_transfer);
    s->asked = (struct vu_region_access){
        .offset = a->offset, .region = a->index, .count = (uint32_t)a->len,
    };
    return 0;
}

/* n bytes were transferred, or negative errno. Nobody is there to ask for the rest. */
static int complete(struct vfuc_client *client, const struct submitted *s, int64_t n,
                    size_t *bytes)
{
    if (n < 0)
        return (int)n;
    *bytes = (size_t)n;
    if (n == s->asked.count)
        return 0;
    client->last_errno = 0;
    return vuc_fail(client, -EREMOTEIO, "the server transferred %u of %u bytes",
                    (unsigned)n, s->asked.count);
}

static int finish_read(struct vfuc_client *client, void *state, int err,
                       struct vu_message *reply, size_t *bytes)
{
    const struct submitted *s = state;
    int64_t n = err < 0 ? err : use_read(client, &s->asked, reply, s->to);

    return complete(client, s, n, bytes);
}

static int finish_write(struct vfuc_client *client, void *state, int err,
                        struct vu_message *reply, size_t *bytes)
{
    const struct submitted *s = state;
    int64_t n = err < 0 ? err : use_written(client, &s->asked, reply);

    return complete(client, s, n, bytes);
}

int vfuc_submit_region_read(struct vfuc_client *client, uint32_t index, uint64_t offset,
                            void *buf, size_t len, uint64_t tag)
{
    struct vuc_access a = { index, offset, len };
    struct submitted s = { .to = buf };
    struct vuc_request req;
    int err = check_submit(client, &a, VU_REGION_READABLE, &s);

    if (err < 0)
        return err;
    init_read(&req, &s.asked);
    return vuc_submit(client, &req, finish_read, &s, sizeof(s), tag);
}

int vfuc_submit_region_write(struct vfuc_client *client, uint32_t index, uint64_t offset,
                             const void *buf, size_t len, uint64_t tag)
{
    struct vuc_access a = { index, offset, len };
    struct submitted s = { .to = NULL };
    struct vuc_request req;
    int err = check_submit(client, &a, VU_REGION_WRITEABLE, &s);

    if (err < 0)
        return err;
    init_write(&req, &s.asked, buf);
    return vuc_submit(client, &req, finish_write, &s, sizeof(s), tag);
}
