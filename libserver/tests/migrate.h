/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device that can be moved, and the requests for it.
 *
 * The device notes every step that it is told to make and fails where the test wants
 * it to; its stream is a run of bytes. It is the only one in a test program, so its
 * notes are a variable here. Include after core.h or life.h.
 */
#ifndef VUS_TESTS_MIGRATE_H
#define VUS_TESTS_MIGRATE_H

#include "libserver/tests/core.h"

#define STREAM_MAX (2u << 20)

/* Optional states that a device has. */
#define BASIC VU_MIGRATION_STOP_COPY
#define PRE   (VU_MIGRATION_STOP_COPY | VU_MIGRATION_PRE_COPY)
#define P2P   (VU_MIGRATION_STOP_COPY | VU_MIGRATION_P2P)
#define ALL   (PRE | VU_MIGRATION_P2P)

static struct mover {
    /* What it saw. */
    char steps[64];         /* one letter each, see step_letter() */
    int reads, writes;
    uint64_t count;         /* of the last read or write */
    uintptr_t misaligned;

    /* How it answers. */
    int fail_step;          /* this one fails, from 1; 0: none */
    int fail_errno;
    bool lies;              /* data callbacks return `answer` and touch nothing */
    ssize_t answer;
    int answer_errno;

    size_t at, end;         /* of the stream: read so far, written so far */
    uint8_t stream[STREAM_MAX];
} mover;

/* Of a state of the device: STOP, RUNNING, STOP_AND_COPY, PRE_COPY, RESUME and the two
 * with P2P in lower case. */
static inline char step_letter(vfu_migr_state_t state)
{
    return (unsigned int)state < 7 ? "SRCPMrp"[state] : '?';
}

/* Of a state on the wire, in the same letters. */
static inline char state_letter(uint32_t state)
{
    return state < VU_MIG_STATES ? "-SRCMrPp"[state] : '?';
}

static inline int mover_transition(vfu_ctx_t *ctx, vfu_migr_state_t state)
{
    size_t n = strlen(mover.steps);

    (void)ctx;
    assert_true(n + 1 < sizeof(mover.steps));
    if (mover.fail_step != 0 && (size_t)mover.fail_step == n + 1) {
        mover.steps[n] = '!';
        errno = mover.fail_errno;
        return -1;
    }
    mover.steps[n] = step_letter(state);
    return 0;
}

static inline ssize_t mover_read(vfu_ctx_t *ctx, void *buf, uint64_t count)
{
    size_t n = mover.end - mover.at < count ? mover.end - mover.at : count;

    (void)ctx;
    mover.reads++;
    mover.count = count;
    mover.misaligned |= (uintptr_t)buf & 15;
    if (mover.lies) {
        errno = mover.answer_errno;
        return mover.answer;
    }
    memcpy(buf, mover.stream + mover.at, n);
    mover.at += n;
    return (ssize_t)n;
}

static inline ssize_t mover_write(vfu_ctx_t *ctx, void *buf, uint64_t count)
{
    (void)ctx;
    mover.writes++;
    mover.count = count;
    mover.misaligned |= (uintptr_t)buf & 15;
    if (mover.lies) {
        errno = mover.answer_errno;
        return mover.answer;
    }
    assert_true(count <= STREAM_MAX - mover.end);
    memcpy(mover.stream + mover.end, buf, count);
    mover.end += count;
    return (ssize_t)count;
}

static const vfu_migration_callbacks_t mover_callbacks = {
    .version = VFU_MIGR_CALLBACKS_VERS,
    .transition = mover_transition,
    .read_data = mover_read,
    .write_data = mover_write,
};

/* flags 0: the default ones. */
static inline void mover_set_up(vfu_ctx_t *ctx, uint64_t flags)
{
    memset(&mover, 0, offsetof(struct mover, stream));
    assert_int_equal(vfu_setup_device_migration_callbacks(ctx, &mover_callbacks), 0);
    if (flags != 0)
        assert_int_equal(vfu_setup_migration_flags(ctx, flags), 0);
}

/* Forget the steps, and let them succeed. */
static inline void mover_forget(void)
{
    memset(mover.steps, 0, sizeof(mover.steps));
    mover.fail_step = 0;
}

/* -------------------------------------------------------------- requests -- */

/* Body of a DEVICE_FEATURE; argsz 0: as large as it may be. Returns its length. */
static inline size_t put_feature(uint8_t *buf, size_t room, uint32_t argsz,
                                 uint32_t flags, const void *data, size_t len)
{
    struct vu_feature f = {
        .argsz = argsz != 0 ? argsz : UINT32_MAX,
        .flags = flags,
        .data = { data, len },
    };
    struct vu_writer w = vu_writer(buf, room);

    assert_int_equal(vu_encode_feature(&w, &f), 0);
    return VU_FEATURE_SIZE + len;
}

static inline struct answer core_feature(struct core *c, uint32_t argsz, uint32_t flags,
                                         const void *data, size_t len)
{
    uint8_t body[4096];
    size_t n = put_feature(body, sizeof(body), argsz, flags, data, len);

    return core_send(c, VU_DEVICE_FEATURE, body, n);
}

static inline struct answer core_set_state(struct core *c, uint32_t state)
{
    struct vu_feature_mig_state m = { .device_state = state };
    uint8_t data[VU_FEATURE_MIG_STATE_SIZE];

    ENCODE(feature_mig_state, &m, data);
    return core_feature(c, 0, VU_FEATURE_SET | VU_FEATURE_MIG_DEVICE_STATE, data,
                        sizeof(data));
}

/* As GET says. */
static inline uint32_t core_state(struct core *c)
{
    struct answer a = core_feature(c, 16, VU_FEATURE_GET | VU_FEATURE_MIG_DEVICE_STATE,
                                   NULL, 0);
    struct vu_feature_mig_state m;
    struct vu_feature f;
    struct vu_reader r;

    assert_answer_ok(&a, 16);
    DECODE(feature, &a, &f);
    assert_int_equal(f.argsz, 16);
    assert_int_equal(f.flags, VU_FEATURE_GET | VU_FEATURE_MIG_DEVICE_STATE);
    r = vu_reader(f.data.data, f.data.len);
    assert_int_equal(vu_decode_feature_mig_state(&r, &m), 0);
    assert_int_equal(m.data_fd, 0);
    return m.device_state;
}

/* There by whatever way: from the state of a new client. The steps are forgotten. */
static inline void core_go(struct core *c, uint32_t state)
{
    struct answer a = core_set_state(c, state);

    assert_answer_ok(&a, 16);
    assert_int_equal(core_state(c), state);
    mover_forget();
}

/* argsz 0: as large as the reply can be. */
static inline struct answer core_mig_read(struct core *c, uint32_t argsz, uint32_t size)
{
    struct vu_mig_data m = {
        .argsz = argsz != 0 ? argsz : VU_MIG_DATA_SIZE + size, .size = size,
    };
    uint8_t body[VU_MIG_DATA_SIZE];

    ENCODE(mig_data, &m, body);
    return core_send(c, VU_MIG_DATA_READ, body, sizeof(body));
}

/* len bytes of data, whatever size says. argsz 0: 8 + size. */
static inline struct answer core_mig_write(struct core *c, uint32_t argsz, uint32_t size,
                                           const void *data, size_t len)
{
    struct vu_mig_data m = {
        .argsz = argsz != 0 ? argsz : VU_MIG_DATA_SIZE + size, .size = size,
    };
    uint8_t *body = malloc(VU_MIG_DATA_SIZE + len);
    struct vu_writer w = vu_writer(body, VU_MIG_DATA_SIZE);
    struct answer a;

    assert_non_null(body);
    assert_int_equal(vu_encode_mig_data(&w, &m), 0);
    if (len != 0)
        memcpy(body + VU_MIG_DATA_SIZE, data, len);
    a = core_send(c, VU_MIG_DATA_WRITE, body, VU_MIG_DATA_SIZE + len);
    free(body);
    return a;
}

/* A device in a state, with its notes empty. */
static inline void begin_in(struct core *c, uint64_t flags, uint32_t state)
{
    core_begin(c);
    mover_set_up(c->ctx, flags);
    core_go(c, state);
}

/* The same over a socket, with life.h. */
#ifdef VUS_TESTS_LIFE_H
static inline void socket_set_state(struct life *l, int fd, uint8_t state)
{
    uint8_t bytes[64], body[16], data[8] = { state };

    put_feature(body, sizeof(body), 16, VU_FEATURE_SET | VU_FEATURE_MIG_DEVICE_STATE,
                data, sizeof(data));
    put_message(bytes, 2, VU_DEVICE_FEATURE, 0, body, sizeof(body));
    client_send(fd, bytes, VU_HEADER_SIZE + sizeof(body));
    assert_run(l, 1, 0);
    assert_reply(fd, 2, 0);
}
#endif

#endif
