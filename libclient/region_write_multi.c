/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Several small writes with one message, REGION_WRITE_MULTI, where the server has
 * agreed to take it; elsewhere a REGION_WRITE for each.
 *
 * All entries are checked before the first message, so that a mistake of the caller's
 * does nothing at all. What a message holds is bounded by what the only other client in
 * the field sends and by the largest message that any server must take, a REGION_WRITE.
 */
#include "libclient/call.h"
#include "libclient/dispatch.h"
#include "libclient/region.h"

#define MAX_ENTRIES 200u

/* --------------------------------------------------------------- checking -- */

static struct vuc_access access_of(const struct vfuc_write *w)
{
    return (struct vuc_access){ w->index, w->offset, w->len };
}

static int check_write(struct vfuc_client *client, const struct vfuc_write *w)
{
    struct vuc_access a = access_of(w);

    if (w->len > sizeof(w->data))
        return vuc_fail(client, -EINVAL, "a small write of %u bytes", w->len);
    return vuc_access_check(client, &a, VU_REGION_WRITEABLE);
}

static int check_writes(struct vfuc_client *client, const struct vfuc_write *writes,
                        size_t count)
{
    int err = 0;

    if (count == 0)
        return vuc_fail(client, -EINVAL, "no writes");
    for (size_t i = 0; err == 0 && i < count; i++)
        err = check_write(client, &writes[i]);
    return err;
}

/* Entries in one message; 0: there is no such message. */
static size_t most_entries(const struct vfuc_client *client)
{
    uint64_t body = VU_REGION_ACCESS_SIZE + client->limits.max_data_xfer_size;
    uint64_t most;

    if (!client->limits.write_multiple)
        return 0;
    most = (body - VU_WRITE_MULTI_SIZE) / VU_WRITE_MULTI_ENTRY_SIZE;
    return most < MAX_ENTRIES ? (size_t)most : MAX_ENTRIES;
}

/* ---------------------------------------------------------------- message -- */

/* A message that is being made: the entries lie outside of the request. */
struct batch {
    struct vuc_request req;
    uint8_t entries[MAX_ENTRIES * VU_WRITE_MULTI_ENTRY_SIZE];
};

static void fill(struct batch *b, const struct vfuc_write *writes, size_t n,
                 uint32_t flags)
{
    struct vu_write_multi m = { .count = n };
    struct vu_writer w = vu_writer(b->entries, sizeof(b->entries));

    vuc_request_init(&b->req, VU_REGION_WRITE_MULTI);
    vu_encode_write_multi(&b->req.body, &m);
    for (size_t i = 0; i < n; i++) {
        struct vu_write_multi_entry e = {
            .offset = writes[i].offset, .region = writes[i].index,
            .count = writes[i].len,
        };

        memcpy(e.data, writes[i].data, writes[i].len);
        vu_encode_write_multi_entry(&w, &e);
    }
    b->req.flags = flags;
    b->req.data = b->entries;
    b->req.data_len = w.len;
}

/* One message. Writes that were done, all or fewer, or negative errno. */
static int64_t write_batch(struct vfuc_client *client, const struct vfuc_write *writes,
                           size_t n)
{
    struct batch b;
    struct vu_message reply;
    struct vu_write_multi got;
    struct vu_reader r;
    int err;

    fill(&b, writes, n, 0);
    err = vuc_call(client, &b.req, &reply);
    if (err < 0)
        return err;
    r = vu_reader(reply.body, reply.body_len);
    vu_decode_write_multi_reply(&r, &got);
    if (got.count > n)
        return vuc_broken_reply(client, &reply, "more writes than we sent");
    vu_message_done(&reply);
    return (int64_t)got.count;
}

/* ------------------------------------------------------------ with replies -- */

/* At least one of the writes. How many, 0: the server stopped before the first, or
 * negative errno. */
static int64_t write_some(struct vfuc_client *client, const struct vfuc_write *writes,
                          size_t count)
{
    size_t most = most_entries(client);
    struct vuc_access a = access_of(writes);
    int err;

    if (most > 0)
        return write_batch(client, writes, count < most ? count : most);
    err = vuc_region_write(client, &a, writes->data, VUC_ANSWERED);
    return err < 0 ? err : 1;
}

static int write_all(struct vfuc_client *client, const struct vfuc_write *writes,
                     size_t count, size_t *at)
{
    while (*at < count) {
        int64_t n = write_some(client, writes + *at, count - *at);
        size_t asked = count - *at;

        if (n < 0)
            return (int)n;
        *at += (size_t)n;
        if ((size_t)n < asked && (size_t)n < most_entries(client)) {
            client->last_errno = 0;
            return vuc_fail(client, -EREMOTEIO,
                            "REGION_WRITE_MULTI: the server stopped at write %zu", *at);
        }
    }
    return 0;
}

int vfuc_region_write_multi(struct vfuc_client *client, const struct vfuc_write *writes,
                            size_t count, size_t *done)
{
    size_t at = 0;
    int err = check_writes(client, writes, count);

    if (err < 0)
        return err;
    err = write_all(client, writes, count, &at);
    if (done != NULL && (err == 0 || err == -EREMOTEIO))
        *done = at;
    return err;
}

/* ---------------------------------------------------------------- posted -- */

/* Gather one message. Writes in it, or negative errno. */
static int64_t gather_some(struct vfuc_client *client, const struct vfuc_write *writes,
                         size_t count)
{
    size_t most = most_entries(client);
    size_t n = count < most ? count : most;
    struct vuc_access a = access_of(writes);
    struct batch b;
    int err;

    if (most == 0) {
        err = vuc_region_write(client, &a, writes->data, VUC_GATHERED);
        return err < 0 ? err : 1;
    }
    fill(&b, writes, n, VU_F_NO_REPLY);
    err = vuc_gather(client, &b.req);
    return err < 0 ? err : (int64_t)n;
}

int vfuc_region_write_multi_posted(struct vfuc_client *client,
                                   const struct vfuc_write *writes, size_t count)
{
    int err = check_writes(client, writes, count);
    int64_t n = 0;

    for (size_t at = 0; err == 0 && at < count; at += (size_t)n) {
        n = gather_some(client, writes + at, count - at);
        if (n < 0)
            return (int)n;
    }
    if (err == 0)
        err = vfuc_flush(client);
    if (err >= 0)
        err = vuc_drain(client, vu_deadline_in_ms(client->timeout_ms),
                        VU_REGION_WRITE_MULTI);
    return err;
}
