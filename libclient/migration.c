/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Leading a device through the states of migration; migration.h draws them.
 *
 * A server would find the way itself, but then a refusal in the middle tells nobody where
 * the device stopped, and servers differ in the ways that they know. So we ask where it
 * is and send one SET for each direct arc.
 */
#include "libclient/migration.h"

#include <stdio.h>

#include "libclient/feature.h"

/* clang-format off: tables */

static const struct {
    const char *name;
    uint64_t needs;         /* VFUC_MIGRATION_ flags of a device that has the state */
} states[VU_MIG_STATES] = {
    [VFUC_MIG_ERROR]        = { "ERROR",        0 },
    [VFUC_MIG_STOP]         = { "STOP",         VFUC_MIGRATION_STOP_COPY },
    [VFUC_MIG_RUNNING]      = { "RUNNING",      VFUC_MIGRATION_STOP_COPY },
    [VFUC_MIG_STOP_COPY]    = { "STOP_COPY",    VFUC_MIGRATION_STOP_COPY },
    [VFUC_MIG_RESUMING]     = { "RESUMING",     VFUC_MIGRATION_STOP_COPY },
    [VFUC_MIG_RUNNING_P2P]  = { "RUNNING_P2P",  VFUC_MIGRATION_P2P },
    [VFUC_MIG_PRE_COPY]     = { "PRE_COPY",     VFUC_MIGRATION_PRE_COPY },
    [VFUC_MIG_PRE_COPY_P2P] = { "PRE_COPY_P2P", VFUC_MIGRATION_PRE_COPY
                                              | VFUC_MIGRATION_P2P },
};

/* Short names for the table. NO: no way. */
enum {
    NO = VFUC_MIG_ERROR,
    ST = VFUC_MIG_STOP,
    RU = VFUC_MIG_RUNNING,
    SC = VFUC_MIG_STOP_COPY,
    RE = VFUC_MIG_RESUMING,
    RP = VFUC_MIG_RUNNING_P2P,
    PC = VFUC_MIG_PRE_COPY,
    PP = VFUC_MIG_PRE_COPY_P2P,
};

/* Where the first arc leads on the way from a state (row) to another (column), if the
 * device has every state. One that it lacks is passed through in thought. */
static const uint8_t next_arc[VU_MIG_STATES][VU_MIG_STATES] = {
    /*                           NO  ST  RU  SC  RE  RP  PC  PP */
    [VFUC_MIG_ERROR]        = {  NO, NO, NO, NO, NO, NO, NO, NO },
    [VFUC_MIG_STOP]         = {  NO, ST, RP, SC, RE, RP, RP, RP },
    [VFUC_MIG_RUNNING]      = {  NO, RP, RU, RP, RP, RP, PC, RP },
    [VFUC_MIG_STOP_COPY]    = {  NO, ST, ST, SC, ST, ST, NO, NO },
    [VFUC_MIG_RESUMING]     = {  NO, ST, ST, ST, RE, ST, ST, ST },
    [VFUC_MIG_RUNNING_P2P]  = {  NO, ST, RU, ST, ST, RP, RU, PP },
    [VFUC_MIG_PRE_COPY]     = {  NO, RU, RU, PP, RU, RU, PC, PP },
    [VFUC_MIG_PRE_COPY_P2P] = {  NO, RP, RP, SC, RP, RP, PC, PP },
};

/* clang-format on */

static bool exists(uint64_t flags, uint32_t state)
{
    return state < VU_MIG_STATES && states[state].needs != 0
        && (states[state].needs & ~flags) == 0;
}

int vuc_migration_next(uint64_t flags, uint32_t from, uint32_t to)
{
    uint32_t next = from;

    if (!exists(flags, from) || !exists(flags, to))
        return -EINVAL;
    do      /* ends: whatever is missing, each step is one on a way without a circle */
        next = next_arc[next][to];
    while (next != VFUC_MIG_ERROR && !exists(flags, next));
    return next == VFUC_MIG_ERROR ? -EINVAL : (int)next;
}

const char *vfuc_migration_state_name(enum vfuc_mig_state state)
{
    return (uint32_t)state < VU_MIG_STATES ? states[state].name : "state ?";
}

/* -------------------------------------------------------------------- flags -- */

int vfuc_migration_flags(struct vfuc_client *client, uint64_t *flags)
{
    struct vu_feature_migration m;
    struct vu_message reply;
    struct vu_feature got;
    struct vu_reader r;
    int err;

    if (!client->migration_known) {
        err = vuc_feature(client, VU_FEATURE_MIGRATION | VU_FEATURE_GET, NULL, 0,
                          VU_FEATURE_SIZE + VU_FEATURE_MIGRATION_SIZE, &reply, &got);
        if (err < 0)
            return err;
        r = vu_reader(got.data.data, got.data.len);
        if (vu_decode_feature_migration(&r, &m) < 0)
            return vuc_broken_reply(client, &reply, "the flags of migration are missing");
        /* Without it no other state is of use; who has none refuses the feature. */
        if ((m.flags & VU_MIGRATION_STOP_COPY) == 0)
            return vuc_broken_reply(client, &reply, "migration without STOP_COPY");
        vu_message_done(&reply);
        client->migration_flags = m.flags;
        client->migration_known = true;
    }
    *flags = client->migration_flags;
    return 0;
}

/* -------------------------------------------------------------------- state -- */

/* The state in a reply, or -EPROTO with the reply ended. */
static int read_state(struct vfuc_client *client, struct vu_message *reply,
                      const struct vu_feature *got)
{
    struct vu_reader r = vu_reader(got->data.data, got->data.len);
    struct vu_feature_mig_state m;

    if (vu_decode_feature_mig_state(&r, &m) < 0)
        return vuc_broken_reply(client, reply, "the state of migration is missing");
    if (m.device_state >= VU_MIG_STATES)
        return vuc_broken_reply(client, reply, "there is no such state of migration");
    return (int)m.device_state;
}

int vfuc_migration_state(struct vfuc_client *client, enum vfuc_mig_state *state)
{
    struct vu_message reply;
    struct vu_feature got;
    int now, err;

    err = vuc_feature(client, VU_FEATURE_MIG_DEVICE_STATE | VU_FEATURE_GET, NULL, 0,
                      VU_FEATURE_SIZE + VU_FEATURE_MIG_STATE_SIZE, &reply, &got);
    if (err < 0)
        return err;
    now = read_state(client, &reply, &got);
    if (now < 0)
        return now;
    vu_message_done(&reply);
    *state = (enum vfuc_mig_state)now;
    return 0;
}

/* --------------------------------------------------------------- transition -- */

#define SET_FLAGS (VU_FEATURE_MIG_DEVICE_STATE | VU_FEATURE_SET)

/* The data of a SET, into VU_FEATURE_MIG_STATE_SIZE bytes. */
static void write_state(uint8_t *data, uint32_t state)
{
    struct vu_feature_mig_state m = { .device_state = state };
    struct vu_writer w = vu_writer(data, VU_FEATURE_MIG_STATE_SIZE);

    vu_encode_feature_mig_state(&w, &m);
}

static void set_request(struct vuc_request *req, const uint8_t *data)
{
    vuc_feature_request(req, SET_FLAGS, data, VU_FEATURE_MIG_STATE_SIZE,
                        VU_FEATURE_SIZE + VU_FEATURE_MIG_STATE_SIZE);
}

/* A reply that confirms something else confirms nothing. Ends the reply. */
static int check_set(struct vfuc_client *client, struct vu_message *reply, uint32_t state)
{
    struct vu_feature got;
    int err = vuc_feature_reply(client, SET_FLAGS, reply, &got);

    if (err == 0)
        err = read_state(client, reply, &got);
    if (err < 0)
        return err;
    if ((uint32_t)err != state)
        return vuc_broken_reply(client, reply, "another state of migration");
    vu_message_done(reply);
    return 0;
}

static int take_arc(struct vfuc_client *client, uint32_t from, uint32_t to)
{
    uint8_t data[VU_FEATURE_MIG_STATE_SIZE];
    struct vuc_request req;
    struct vu_message reply;
    int err;

    write_state(data, to);
    set_request(&req, data);
    err = vuc_call(client, &req, &reply);
    if (err == -EREMOTEIO) {
        char reason[VUC_ERROR_MAX];

        snprintf(reason, sizeof(reason), "%s", client->last_error);
        return vuc_fail(client, err, "from %s to %s: %s", states[from].name,
                        states[to].name, reason);
    }
    return err < 0 ? err : check_set(client, &reply, to);
}

int vfuc_migration_set_state(struct vfuc_client *client, enum vfuc_mig_state state)
{
    enum vfuc_mig_state now = VFUC_MIG_ERROR;
    uint64_t flags = 0;
    int err = 0;

    if ((uint32_t)state >= VU_MIG_STATES || state == VFUC_MIG_ERROR)
        err = vuc_fail(client, -EINVAL, "no device can be led to that state");
    if (err == 0)
        err = vfuc_migration_flags(client, &flags);
    if (err == 0)
        err = vfuc_migration_state(client, &now);
    while (err == 0 && now != state) {
        int next = vuc_migration_next(flags, now, state);

        if (next < 0)
            return vuc_fail(client, -EINVAL, "there is no way from %s to %s",
                            states[now].name, states[state].name);
        err = take_arc(client, now, (uint32_t)next);
        now = (enum vfuc_mig_state)next;
    }
    return err;
}

/* ---------------------------------------------------------- without waiting -- */

static int finish_state(struct vfuc_client *client, void *state, int err,
                        struct vu_message *reply, size_t *bytes)
{
    const uint32_t *wanted = state;

    (void)bytes;
    return err < 0 ? err : check_set(client, reply, *wanted);
}

int vfuc_submit_migration_state(struct vfuc_client *client, enum vfuc_mig_state state,
                                uint64_t tag)
{
    uint8_t data[VU_FEATURE_MIG_STATE_SIZE];
    uint32_t wanted = (uint32_t)state;
    struct vuc_request req;

    if (wanted >= VU_MIG_STATES || state == VFUC_MIG_ERROR)
        return vuc_fail(client, -EINVAL, "no device can be led to that state");
    write_state(data, wanted);
    set_request(&req, data);
    return vuc_submit(client, &req, finish_state, &wanted, sizeof(wanted), tag);
}
