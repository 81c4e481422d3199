/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stream of a device's state: MIG_DATA_READ and MIG_DATA_WRITE.
 *
 * The stream is opaque and where it is cut means nothing, so only the size of a message
 * matters: what both sides accept as data. Bytes are copied once, from the reply to the
 * caller's buffer, and not at all on their way out.
 */
#include "libclient/call.h"

size_t vfuc_migration_chunk(const struct vfuc_client *client)
{
    return client->max_transfer;
}

/* ------------------------------------------------------------------ reading -- */

/* What a read was made for, until its reply is there. */
struct reading {
    void *buf;          /* lent by the caller */
    uint32_t asked;
};

static int start_reading(struct vfuc_client *client, void *buf, size_t len,
                         struct reading *reading, struct vuc_request *req)
{
    size_t most = vfuc_migration_chunk(client);
    struct vu_mig_data m;

    if (len == 0)
        return vuc_fail(client, -EINVAL, "a read of 0 bytes");
    reading->buf = buf;
    reading->asked = (uint32_t)(len < most ? len : most);
    m = (struct vu_mig_data){
        .argsz = VU_MIG_DATA_SIZE + reading->asked,
        .size = reading->asked,
    };
    vuc_request_init(req, VU_MIG_DATA_READ);
    vu_encode_mig_data(&req->body, &m);
    req->reply_max = VU_MIG_DATA_SIZE + reading->asked;
    return 0;
}

/* No reply is longer than one with all that was asked for. One deployed server sends as
 * many bytes, however few its size declares: what is behind those is no data. Ends the
 * reply. */
static int take_data(struct vfuc_client *client, const struct reading *reading,
                     struct vu_message *reply, size_t *got)
{
    struct vu_reader r = vu_reader(reply->body, reply->body_len);
    struct vu_mig_data m;

    if (vu_decode_mig_data(&r, &m) < 0)
        return vuc_broken_reply(client, reply, "it has less data than its size declares");
    if (m.argsz < VU_MIG_DATA_SIZE + m.size)
        return vuc_broken_reply(client, reply, "argsz is smaller than the reply");
    if (m.size > 0)
        memcpy(reading->buf, m.data.data, m.size);
    *got = m.size;
    vu_message_done(reply);
    return 0;
}

int vfuc_migration_read(struct vfuc_client *client, void *buf, size_t len, size_t *got)
{
    struct reading reading;
    struct vuc_request req;
    struct vu_message reply;
    int err = start_reading(client, buf, len, &reading, &req);

    if (err < 0)
        return err;
    err = vuc_call(client, &req, &reply);
    return err < 0 ? err : take_data(client, &reading, &reply, got);
}

/* ------------------------------------------------------------------ writing -- */

/* One message; len is at most what it carries. */
static void write_request(struct vuc_request *req, const void *buf, size_t len)
{
    struct vu_mig_data m = {
        .argsz = (uint32_t)(VU_MIG_DATA_SIZE + len),
        .size = (uint32_t)len,
    };

    vuc_request_init(req, VU_MIG_DATA_WRITE);
    vu_encode_mig_data(&req->body, &m);
    req->data = buf;
    req->data_len = len;
    req->reply_max = VU_MIG_DATA_SIZE;  /* some servers send this much, to no purpose */
}

/* Ends the reply. */
static int check_written(struct vfuc_client *client, struct vu_message *reply)
{
    if (reply->body_len != 0 && reply->body_len != VU_MIG_DATA_SIZE)
        return vuc_broken_reply(client, reply, "it is no confirmation");
    vu_message_done(reply);
    return 0;
}

int vfuc_migration_write(struct vfuc_client *client, const void *buf, size_t len)
{
    size_t most = vfuc_migration_chunk(client);
    const uint8_t *from = buf;

    if (len == 0)
        return vuc_fail(client, -EINVAL, "a write of 0 bytes");
    while (len > 0) {
        size_t n = len < most ? len : most;
        struct vuc_request req;
        struct vu_message reply;
        int err;

        write_request(&req, from, n);
        err = vuc_call(client, &req, &reply);
        if (err == 0)
            err = check_written(client, &reply);
        if (err < 0)
            return err;
        from += n;
        len -= n;
    }
    return 0;
}

/* ---------------------------------------------------------- without waiting -- */

static int finish_reading(struct vfuc_client *client, void *state, int err,
                          struct vu_message *reply, size_t *bytes)
{
    return err < 0 ? err : take_data(client, state, reply, bytes);
}

int vfuc_submit_migration_read(struct vfuc_client *client, void *buf, size_t len,
                               uint64_t tag)
{
    struct reading reading;
    struct vuc_request req;
    int err = start_reading(client, buf, len, &reading, &req);

    if (err < 0)
        return err;
    return vuc_submit(client, &req, finish_reading, &reading, sizeof(reading), tag);
}

static int finish_writing(struct vfuc_client *client, void *state, int err,
                          struct vu_message *reply, size_t *bytes)
{
    (void)state;
    (void)bytes;
    return err < 0 ? err : check_written(client, reply);
}

int vfuc_submit_migration_write(struct vfuc_client *client, const void *buf, size_t len,
                                uint64_t tag)
{
    struct vuc_request req;

    if (len == 0)
        return vuc_fail(client, -EINVAL, "a write of 0 bytes");
    if (len > vfuc_migration_chunk(client))
        return vuc_fail(client, -E2BIG, "a message carries %zu bytes",
                        vfuc_migration_chunk(client));
    write_request(&req, buf, len);
    return vuc_submit(client, &req, finish_writing, NULL, 0, tag);
}
