/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The states of migration as a table, the walk along a path, and the data stream.
 * libserver/migration.h draws the states.
 *
 * Only the stream must be fast: a read goes from the device straight into the
 * reply, a write from the message straight to the device, as with regions. A short
 * answer of read_data() goes to the client as it is, which takes it in STOP_COPY as
 * the end of the stream.
 */
#include "libserver/migration.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "libserver/context.h"
#include "wire/messages.h"

#define DEFAULT_FLAGS (VU_MIGRATION_STOP_COPY | VU_MIGRATION_PRE_COPY)
#define ALL_FLAGS     (DEFAULT_FLAGS | VU_MIGRATION_P2P)

/* ---------------------------------------------------------------- states -- */

/* What the device calls a state, whether it exists, and whether data flow in it. */
struct state {
    uint64_t needs;         /* VU_MIGRATION_* flags; 0: none can be entered */
    vfu_migr_state_t device;
    bool reads, writes;     /* MIG_DATA_READ, MIG_DATA_WRITE */
};

/* clang-format off: tables */

/* Every device has those that need STOP_COPY alone. */
static const struct state states[VU_MIG_STATES] = {
    [VU_MIG_STOP] = {
        VU_MIGRATION_STOP_COPY, VFU_MIGR_STATE_STOP, false, false },
    [VU_MIG_RUNNING] = {
        VU_MIGRATION_STOP_COPY, VFU_MIGR_STATE_RUNNING, false, false },
    [VU_MIG_STOP_COPY] = {
        VU_MIGRATION_STOP_COPY, VFU_MIGR_STATE_STOP_AND_COPY, true, false },
    [VU_MIG_RESUMING] = {
        VU_MIGRATION_STOP_COPY, VFU_MIGR_STATE_RESUME, false, true },
    [VU_MIG_RUNNING_P2P] = {
        VU_MIGRATION_P2P, VFU_MIGR_STATE_RUNNING_P2P, false, false },
    [VU_MIG_PRE_COPY] = {
        VU_MIGRATION_PRE_COPY, VFU_MIGR_STATE_PRE_COPY, true, false },
    [VU_MIG_PRE_COPY_P2P] = {
        VU_MIGRATION_PRE_COPY | VU_MIGRATION_P2P, VFU_MIGR_STATE_PRE_COPY_P2P, true,
        false },
};

/* Short names for the table; NONE: there is no path. */
enum {
    NONE = VU_MIG_ERROR,
    STOP = VU_MIG_STOP,
    RUN = VU_MIG_RUNNING,
    COPY = VU_MIG_STOP_COPY,
    RESM = VU_MIG_RESUMING,
    RP2P = VU_MIG_RUNNING_P2P,
    PRE = VU_MIG_PRE_COPY,
    PP2P = VU_MIG_PRE_COPY_P2P,
};

/* The first step from a state (row) to another (column), with all optional states. */
static const uint8_t next_state[VU_MIG_STATES][VU_MIG_STATES] = {
    /*         ERROR STOP  RUN   COPY  RESM  RP2P  PRE   PP2P */
    [NONE] = { NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE },
    [STOP] = { NONE, STOP, RP2P, COPY, RESM, RP2P, RP2P, RP2P },
    [RUN]  = { NONE, RP2P, RUN,  RP2P, RP2P, RP2P, PRE,  RP2P },
    [COPY] = { NONE, STOP, STOP, COPY, STOP, STOP, NONE, NONE },
    [RESM] = { NONE, STOP, STOP, STOP, RESM, STOP, STOP, STOP },
    [RP2P] = { NONE, STOP, RUN,  STOP, STOP, RP2P, RUN,  PP2P },
    [PRE]  = { NONE, RUN,  RUN,  PP2P, RUN,  RUN,  PRE,  PP2P },
    [PP2P] = { NONE, RP2P, RP2P, COPY, RP2P, RP2P, PRE,  PP2P },
};

/* clang-format on */

static bool exists(uint64_t flags, enum vu_mig_state state)
{
    return states[state].needs != 0 && (states[state].needs & ~flags) == 0;
}

int vus_migration_next(uint64_t flags, enum vu_mig_state from, uint32_t to)
{
    enum vu_mig_state next = from;

    if (to >= VU_MIG_STATES || !exists(flags, (enum vu_mig_state)to))
        return -EINVAL;
    do {        /* ends: every step comes nearer to a state that exists */
        next = next_state[next][to];
    } while (next != VU_MIG_ERROR && !exists(flags, next));
    return next != VU_MIG_ERROR ? (int)next : -EINVAL;
}

void vus_migration_init(struct vus_migration *m)
{
    *m = (struct vus_migration){ .flags = DEFAULT_FLAGS, .state = VU_MIG_RUNNING };
}

void vus_migration_restart(struct vfu_ctx *ctx)
{
    ctx->migration.state = VU_MIG_RUNNING;
}

static int enter(struct vfu_ctx *ctx, enum vu_mig_state state)
{
    errno = 0;
    if (ctx->migration.cb.transition(ctx, states[state].device) != 0)
        return vus_callback_errno();
    ctx->migration.state = state;
    return 0;
}

/* Lead the device to a state. Where a step fails it stays. */
static int walk(struct vfu_ctx *ctx, uint32_t to)
{
    const struct vus_migration *m = &ctx->migration;

    for (;;) {
        int next = vus_migration_next(m->flags, m->state, to);
        int err;

        if (next < 0)
            return vus_refuse(ctx, next, "migration: no way from state %d to %u",
                              (int)m->state, to);
        if (next == (int)m->state)
            return 0;
        err = enter(ctx, (enum vu_mig_state)next);
        if (err != 0)
            return vus_refuse(ctx, err, "the device did not go from state %d to %d: "
                              "errno %d", (int)m->state, next, -err);
    }
}

/* -------------------------------------------------------------- features -- */

int vus_get_migration(struct vfu_ctx *ctx, const struct vu_feature *request,
                      struct vus_reply *reply)
{
    struct vu_feature_migration data = { .flags = ctx->migration.flags };
    struct vu_writer w;
    int err = vus_feature_answer(ctx, request, VU_FEATURE_MIGRATION_SIZE, reply, &w);

    return err != 0 ? err : vu_encode_feature_migration(&w, &data);
}

int vus_get_mig_state(struct vfu_ctx *ctx, const struct vu_feature *request,
                      struct vus_reply *reply)
{
    struct vu_feature_mig_state data = { .device_state = ctx->migration.state };
    struct vu_writer w;
    int err = vus_feature_answer(ctx, request, VU_FEATURE_MIG_STATE_SIZE, reply, &w);

    return err != 0 ? err : vu_encode_feature_mig_state(&w, &data);
}

int vus_set_mig_state(struct vfu_ctx *ctx, const struct vu_feature *request,
                      struct vus_reply *reply)
{
    struct vu_reader r = vu_reader(request->data.data, request->data.len);
    struct vu_feature_mig_state data;
    int err = vu_decode_feature_mig_state(&r, &data);

    if (err != 0)
        return vus_refuse(ctx, err, "MIG_DEVICE_STATE: %zu bytes of data are too few",
                          request->data.len);
    err = vus_feature_echo(request, reply);     /* first: after the walk is too late */
    return err != 0 ? err : walk(ctx, data.device_state);
}

/* ---------------------------------------------------------------- stream -- */

/* What both directions have in common. 0 or negative errno. */
static int check_data(struct vfu_ctx *ctx, const struct vu_mig_data *d, bool allowed,
                      const char *what)
{
    const struct vus_migration *m = &ctx->migration;
    uint64_t max = ctx->session.max_data_xfer_size;

    if (max > VUS_MAX_DATA_XFER)
        max = VUS_MAX_DATA_XFER;
    if (!vus_migratable(m))
        return vus_refuse(ctx, -EINVAL, "%s: the device cannot be moved", what);
    if (!allowed)
        return vus_refuse(ctx, -EINVAL, "%s: not in state %d", what, (int)m->state);
    if (d->size > max)
        return vus_refuse(ctx, -EINVAL, "%s: %u bytes are more than both sides agreed to",
                          what, d->size);
    if (d->argsz < VU_MIG_DATA_SIZE || d->argsz - VU_MIG_DATA_SIZE < d->size)
        return vus_refuse(ctx, -EINVAL, "%s: argsz %u is too small", what, d->argsz);
    return 0;
}

/* Let the device fill data. Bytes that it gave, at most len, or negative errno. */
static int64_t read_device(struct vfu_ctx *ctx, uint8_t *data, uint32_t len)
{
    uint8_t *buf = vus_aligned(data) ? data : vus_scratch(ctx, len);
    ssize_t n;

    if (buf == NULL)
        return -ENOMEM;
    memset(buf, 0, len);    /* what the device claims to have given must not leak */
    errno = 0;
    n = ctx->migration.cb.read_data(ctx, buf, len);
    if (n < 0)
        return vus_callback_errno();
    if (n > (ssize_t)len) {
        vfu_log(ctx, LOG_ERR, "read_data() gave %zd bytes instead of up to %u", n, len);
        return -EINVAL;
    }
    if (buf != data)
        memcpy(data, buf, (size_t)n);
    return n;
}

/* What the device gave becomes the reply. */
static int answer_read(struct vfu_ctx *ctx, uint32_t size, struct vus_reply *reply)
{
    size_t start = reply->out->len;
    struct vu_writer w = vus_reply_body(reply, VU_MIG_DATA_SIZE + size);
    int64_t n = 0;

    if (w.err != 0)
        return w.err;
    if (size != 0)
        n = read_device(ctx, reply->out->data + start + VU_MIG_DATA_SIZE, size);
    if (n < 0)
        return (int)n;
    vu_buffer_truncate(reply->out, start + VU_MIG_DATA_SIZE + (size_t)n);
    return vu_encode_mig_data(&w, &(struct vu_mig_data){
        .argsz = VU_MIG_DATA_SIZE + (uint32_t)n,
        .size = (uint32_t)n,
    });
}

int vus_on_mig_data_read(struct vfu_ctx *ctx, struct vu_message *m,
                         struct vus_reply *reply)
{
    struct vu_reader r = vu_reader(m->body, m->body_len);
    struct vu_mig_data d;
    int err = vu_decode_mig_data_request(&r, &d);

    if (err == 0)
        err = check_data(ctx, &d, states[ctx->migration.state].reads, "MIG_DATA_READ");
    return err != 0 ? err : answer_read(ctx, d.size, reply);
}

static int write_device(struct vfu_ctx *ctx, const struct vu_bytes *data)
{
    uint8_t *buf = (uint8_t *)(uintptr_t)data->data;    /* the message's, which is ours */
    ssize_t n;

    if (!vus_aligned(buf)) {
        buf = vus_scratch(ctx, data->len);
        if (buf == NULL)
            return -ENOMEM;
        memcpy(buf, data->data, data->len);
    }
    errno = 0;
    n = ctx->migration.cb.write_data(ctx, buf, data->len);
    if (n < 0)
        return vus_callback_errno();
    return (size_t)n == data->len ? 0 : -EINVAL;
}

int vus_on_mig_data_write(struct vfu_ctx *ctx, struct vu_message *m,
                          struct vus_reply *reply)
{
    struct vu_reader r = vu_reader(m->body, m->body_len);
    struct vu_mig_data d;
    int err = vu_decode_mig_data(&r, &d);

    (void)reply;
    if (err != 0)
        return vus_refuse(ctx, err, "MIG_DATA_WRITE: %zu bytes do not hold %u of data",
                          m->body_len, d.size);
    err = check_data(ctx, &d, states[ctx->migration.state].writes, "MIG_DATA_WRITE");
    if (err != 0 || d.size == 0)
        return err;
    return write_device(ctx, &d.data);
}

/* ---------------------------------------------------------------- set-up -- */

int vfu_setup_device_migration_callbacks(vfu_ctx_t *ctx,
                                         const vfu_migration_callbacks_t *callbacks)
{
    assert(ctx != NULL);
    if (callbacks == NULL || callbacks->version != VFU_MIGR_CALLBACKS_VERS ||
        callbacks->transition == NULL || callbacks->read_data == NULL ||
        callbacks->write_data == NULL) {
        errno = EINVAL;
        return -1;
    }
    ctx->migration.cb = *callbacks;
    vus_migration_restart(ctx);
    return 0;
}

int vfu_setup_migration_flags(vfu_ctx_t *ctx, uint64_t flags)
{
    assert(ctx != NULL);
    if (!vus_migratable(&ctx->migration) || (flags & ~(uint64_t)ALL_FLAGS) != 0 ||
        (flags & VU_MIGRATION_STOP_COPY) == 0) {
        errno = EINVAL;
        return -1;
    }
    ctx->migration.flags = flags;
    return 0;
}
