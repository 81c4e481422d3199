/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The envelope of DEVICE_FEATURE: methods, probes, lengths, argsz, quiesce.
 */
#include "libserver/tests/core.h"
#include "libserver/tests/migrate.h"

#include "libserver/feature.h"

#define GET   VU_FEATURE_GET
#define SET   VU_FEATURE_SET
#define PROBE VU_FEATURE_PROBE

/* The device of core.h (it has DMA) with migration. */
static void begin(struct core *c)
{
    core_begin(c);
    mover_set_up(c->ctx, 0);
}

static void say(uint32_t flags)
{
    print_message("feature %u%s%s%s, flags %#x\n", flags & VU_FEATURE_INDEX_MASK,
                  (flags & GET) != 0 ? " GET" : "", (flags & SET) != 0 ? " SET" : "",
                  (flags & PROBE) != 0 ? " PROBE" : "", flags);
}

/* What each feature can do; all others are not there. */
static const struct {
    uint32_t index, methods;
} known[] = {
    { VU_FEATURE_MIGRATION, GET },
    { VU_FEATURE_MIG_DEVICE_STATE, GET | SET },
    { VU_FEATURE_DMA_LOGGING_START, SET },
    { VU_FEATURE_DMA_LOGGING_STOP, SET },
    { VU_FEATURE_DMA_LOGGING_REPORT, GET },
};

#define N_KNOWN (sizeof(known) / sizeof(known[0]))

static bool supports(uint32_t flags)
{
    for (size_t i = 0; i < N_KNOWN; i++)
        if (known[i].index == (flags & VU_FEATURE_INDEX_MASK))
            return ((flags & (GET | SET)) & ~known[i].methods) == 0;
    return false;
}

static bool is_logging(uint32_t flags)
{
    return (flags & VU_FEATURE_INDEX_MASK) >= VU_FEATURE_DMA_LOGGING_START;
}

/* Echoed byte by byte, with argsz as it came. */
static void assert_echo(const struct core *c, const struct answer *a)
{
    assert_answer_ok(a, c->m.h.size - VU_HEADER_SIZE);
    assert_memory_equal(a->body, c->body, a->body_len);
}

static const uint32_t indices[] = {
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 31, 32, 63, 64, 0x77, 0x123, 0x7fff, 0x8000,
    0xffff,
};

static void a_probe_succeeds_if_all_that_it_names_is_there(void **state)
{
    static const uint32_t methods[] = { 0, GET, SET, GET | SET };
    struct core c;

    (void)state;
    begin(&c);
    for (size_t i = 0; i < sizeof(indices) / sizeof(indices[0]); i++)
        for (size_t j = 0; j < 4; j++) {
            uint32_t flags = PROBE | methods[j] | indices[i];
            struct answer a;

            say(flags);
            a = core_feature(&c, 0, flags, NULL, 0);
            if (supports(flags))
                assert_echo(&c, &a);
            else
                assert_answer_error(&a, EINVAL);
        }
    core_end(&c);
}

static void a_probe_returns_the_request_and_changes_nothing(void **state)
{
    static const uint8_t stop[8] = { VU_MIG_STOP };
    struct answer a;
    struct core c;

    (void)state;
    begin(&c);
    vfu_setup_device_quiesce_cb(c.ctx, core_quiesce);
    for (uint32_t argsz = 16; argsz < 20; argsz++) {
        a = core_feature(&c, argsz, PROBE | SET | VU_FEATURE_MIG_DEVICE_STATE, stop, 8);
        assert_echo(&c, &a);
    }
    assert_int_equal(c.seen.quiesces, 0);
    assert_string_equal(mover.steps, "");
    assert_int_equal(core_state(&c), VU_MIG_RUNNING);
    core_end(&c);
}

/* Without PROBE exactly one method. */
static void a_request_names_one_method(void **state)
{
    static const uint32_t methods[] = { 0, GET | SET };
    struct answer a;
    struct core c;

    (void)state;
    begin(&c);
    for (size_t i = 0; i < sizeof(indices) / sizeof(indices[0]); i++)
        for (size_t j = 0; j < 2; j++) {
            static const uint8_t stop[8] = { VU_MIG_STOP };

            say(methods[j] | indices[i]);
            a = core_feature(&c, 0, methods[j] | indices[i], stop, 8);
            assert_answer_error(&a, EINVAL);
        }
    assert_string_equal(mover.steps, "");
    core_end(&c);
}

static void methods_that_a_feature_lacks_are_refused(void **state)
{
    static uint8_t data[64];
    struct answer a;
    struct core c;

    (void)state;
    begin(&c);
    for (size_t i = 0; i < sizeof(indices) / sizeof(indices[0]); i++)
        for (uint32_t method = GET; method <= SET; method <<= 1) {
            if (supports(method | indices[i]))
                continue;
            say(method | indices[i]);
            a = core_feature(&c, 0, method | indices[i], data, sizeof(data));
            assert_answer_error(&a, EINVAL);
        }
    core_end(&c);
}

static void undefined_flags_are_refused(void **state)
{
    struct core c;

    (void)state;
    begin(&c);
    for (unsigned int bit = 19; bit < 32; bit++) {
        static const uint32_t with[] = { GET, PROBE, PROBE | GET };

        for (size_t i = 0; i < 3; i++) {
            uint32_t flags = with[i] | VU_FEATURE_MIGRATION | (uint32_t)1 << bit;
            struct answer a = core_feature(&c, 0, flags, NULL, 0);

            say(flags);
            assert_answer_error(&a, EINVAL);
        }
    }
    core_end(&c);
}

static void every_truncation_is_refused(void **state)
{
    static const uint8_t body[16] = { 255, 0, 0, 0, 2, 0, 2, 0, VU_MIG_STOP };
    struct core c;

    (void)state;
    begin(&c);
    for (size_t len = 0; len < sizeof(body); len++) {
        struct answer a = core_send(&c, VU_DEVICE_FEATURE, body, len);

        assert_answer_error(&a, EINVAL);
    }
    assert_string_equal(mover.steps, "");
    core_end(&c);
}

/* GET needs room for what it returns, SET and PROBE for what they were given. */
static void argsz_must_hold_the_reply(void **state)
{
    static const struct {
        uint32_t flags;
        size_t len;         /* of the request's data */
        uint32_t least;
    } rows[] = {
        { GET | VU_FEATURE_MIGRATION, 0, 16 },
        { GET | VU_FEATURE_MIG_DEVICE_STATE, 0, 16 },
        { GET | VU_FEATURE_MIG_DEVICE_STATE, 8, 16 },
        { SET | VU_FEATURE_MIG_DEVICE_STATE, 8, 16 },
        { SET | VU_FEATURE_MIG_DEVICE_STATE, 40, 48 },
        { PROBE | VU_FEATURE_MIGRATION, 0, 8 },
        { PROBE | VU_FEATURE_MIG_DEVICE_STATE, 24, 32 },
    };
    static const uint8_t stop[64] = { VU_MIG_STOP };
    struct answer a;
    struct core c;

    (void)state;
    begin(&c);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t body[128];
        size_t n = put_feature(body, sizeof(body), 1, rows[i].flags, stop, rows[i].len);

        for (uint32_t argsz = 0; argsz <= rows[i].least + 8; argsz++) {
            memcpy(body, &argsz, sizeof(argsz));
            a = core_send(&c, VU_DEVICE_FEATURE, body, n);
            if (argsz >= rows[i].least) {
                assert_answer_ok(&a, rows[i].least);
                continue;
            }
            assert_answer_error(&a, EINVAL);
            assert_string_equal(mover.steps, "");
        }
        mover_forget();
        core_go(&c, VU_MIG_RUNNING);
    }
    core_end(&c);
}

static void the_largest_argsz_is_as_good_as_any(void **state)
{
    static const uint8_t stop[8] = { VU_MIG_STOP };
    struct answer a;
    struct core c;

    (void)state;
    begin(&c);
    a = core_feature(&c, UINT32_MAX, GET | VU_FEATURE_MIGRATION, NULL, 0);
    assert_answer_ok(&a, 16);
    assert_int_equal(a.body[0], 16);        /* argsz says what there was */
    a = core_feature(&c, UINT32_MAX, SET | VU_FEATURE_MIG_DEVICE_STATE, stop, 8);
    assert_echo(&c, &a);
    a = core_feature(&c, UINT32_MAX, PROBE | VU_FEATURE_MIGRATION, NULL, 0);
    assert_echo(&c, &a);
    core_end(&c);
}

/* data_fd is ignored, and so is what follows. */
static void set_returns_the_request(void **state)
{
    static const uint8_t data[20] = { VU_MIG_STOP, 0, 0, 0, 255, 255, 255, 255, 1, 2, 3 };
    struct answer a;
    struct core c;

    (void)state;
    begin(&c);
    a = core_feature(&c, 28, SET | VU_FEATURE_MIG_DEVICE_STATE, data, sizeof(data));
    assert_echo(&c, &a);
    assert_string_equal(mover.steps, "S");
    assert_int_equal(core_state(&c), VU_MIG_STOP);
    core_end(&c);
}

static void errors_are_a_header_alone(void **state)
{
    struct answer a;
    struct core c;

    (void)state;
    begin(&c);
    a = core_set_state(&c, VU_MIG_ERROR);
    assert_answer_error(&a, EINVAL);
    mover.fail_step = 1;
    mover.fail_errno = ENODEV;
    a = core_set_state(&c, VU_MIG_STOP);
    assert_answer_error(&a, ENODEV);
    core_end(&c);
}

static void no_reply_carries_out_and_stays_silent(void **state)
{
    static const uint8_t stop[16] = { 16, 0, 0, 0, 2, 0, 2, 0, VU_MIG_STOP };
    static const uint8_t bad[16] = { 16, 0, 0, 0, 2, 0, 2, 0, 0x77 };
    struct core c;

    (void)state;
    begin(&c);
    core_post(&c, VU_DEVICE_FEATURE, stop, sizeof(stop));
    assert_int_equal(core_state(&c), VU_MIG_STOP);
    core_post(&c, VU_DEVICE_FEATURE, bad, sizeof(bad));
    core_end(&c);
}

/* --------------------------------------------------------------- absence -- */

static void a_device_that_cannot_be_moved_has_no_features(void **state)
{
    static const uint32_t methods[] = { GET, SET, PROBE, PROBE | GET, PROBE | SET };
    static uint8_t data[64] = { VU_MIG_STOP };
    struct core c;

    (void)state;
    core_begin(&c);
    vfu_setup_device_quiesce_cb(c.ctx, core_quiesce);
    for (size_t i = 0; i < N_KNOWN; i++)
        for (size_t j = 0; j < 5; j++) {
            uint32_t flags = methods[j] | known[i].index;
            struct answer a = core_feature(&c, 0, flags, data, sizeof(data));

            say(flags);
            assert_answer_error(&a, EINVAL);
        }
    assert_int_equal(c.seen.quiesces, 0);
    core_end(&c);
}

/* The first message came; the device is one without vfu_setup_device_dma(). */
static void begin_without_dma(struct core *c)
{
    memset(c, 0, sizeof(*c));
    c->ctx = vus_ctx_new(LIBVFIO_USER_FLAG_ATTACH_NB, c);
    assert_non_null(c->ctx);
    vu_buffer_init(&c->out, 4096);
    c->memory = core_memory(4096);
    assert_int_equal(vfu_realize_ctx(c->ctx), 0);
    core_version(c, 0, 1, NULL);
    mover_set_up(c->ctx, 0);
}

static void a_device_without_dma_has_no_logging(void **state)
{
    static const uint32_t methods[] = { GET, SET, PROBE, PROBE | GET, PROBE | SET };
    static uint8_t data[64] = { 0, 16 };
    struct answer a;
    struct core c;

    (void)state;
    begin_without_dma(&c);
    for (size_t i = 0; i < N_KNOWN; i++)
        for (size_t j = 0; j < 5; j++) {
            uint32_t flags = methods[j] | known[i].index;

            if (!is_logging(flags))
                continue;
            say(flags);
            a = core_feature(&c, 0, flags, data, sizeof(data));
            assert_answer_error(&a, EINVAL);
        }
    a = core_feature(&c, 0, PROBE | VU_FEATURE_MIGRATION, NULL, 0);
    assert_echo(&c, &a);
    core_end(&c);
}

/* --------------------------------------------------------------- quiesce -- */

/* SET of anything, and whatever looks at the migration state, but no probe. */
static void some_requests_quiesce_the_device(void **state)
{
    static const uint32_t methods[] = { GET, SET, PROBE, PROBE | GET, PROBE | SET };
    static const uint8_t data[64] = { VU_MIG_RUNNING };
    struct core c;

    (void)state;
    begin(&c);
    vfu_setup_device_quiesce_cb(c.ctx, core_quiesce);
    for (size_t i = 0; i < sizeof(indices) / sizeof(indices[0]); i++)
        for (size_t j = 0; j < 5; j++) {
            bool quiesces = methods[j] == SET ||
                            (methods[j] == GET &&
                             indices[i] == VU_FEATURE_MIG_DEVICE_STATE);

            say(methods[j] | indices[i]);
            c.seen.quiesces = 0;
            core_feature(&c, 0, methods[j] | indices[i], data, sizeof(data));
            assert_int_equal(c.seen.quiesces, quiesces);
            assert_int_equal(c.ctx->quiesce.state, VUS_ACTIVE);
        }
    core_end(&c);
}

static void a_path_of_many_steps_quiesces_once(void **state)
{
    struct core c;

    (void)state;
    begin(&c);
    core_go(&c, VU_MIG_RESUMING);
    vfu_setup_device_quiesce_cb(c.ctx, core_quiesce);
    core_set_state(&c, VU_MIG_PRE_COPY);
    assert_string_equal(mover.steps, "SRP");
    assert_int_equal(c.seen.quiesces, 1);
    core_end(&c);
}

static void a_state_waits_for_the_device_to_be_quiet(void **state)
{
    struct answer a;
    struct core c;

    (void)state;
    begin(&c);
    vfu_setup_device_quiesce_cb(c.ctx, core_quiesce);
    c.how.quiesce_errno = EBUSY;
    core_set_state(&c, VU_MIG_STOP_COPY);
    assert_int_equal(c.outcome, VUS_PENDING);
    assert_string_equal(mover.steps, "");
    assert_int_equal(vus_resume(c.ctx, &c.m, &c.reply, 0), VUS_SERVED);
    vus_resumed(c.ctx);
    a = core_answer(&c);
    assert_echo(&c, &a);
    assert_string_equal(mover.steps, "SC");
    vu_message_done(&c.m);
    core_end(&c);
}

static void a_device_that_cannot_be_quiet_keeps_its_state(void **state)
{
    struct answer a;
    struct core c;

    (void)state;
    begin(&c);
    vfu_setup_device_quiesce_cb(c.ctx, core_quiesce);
    c.how.quiesce_errno = ENXIO;
    a = core_set_state(&c, VU_MIG_STOP);
    assert_answer_error(&a, ENXIO);
    assert_string_equal(mover.steps, "");
    c.how.quiesce_errno = EBUSY;
    core_set_state(&c, VU_MIG_STOP);
    assert_int_equal(vus_resume(c.ctx, &c.m, &c.reply, -EIO), VUS_SERVED);
    vus_resumed(c.ctx);
    a = core_answer(&c);
    assert_answer_error(&a, EIO);
    vu_message_done(&c.m);
    c.how.quiesce_errno = 0;
    assert_string_equal(mover.steps, "");
    assert_int_equal(core_state(&c), VU_MIG_RUNNING);
    core_end(&c);
}

/* ----------------------------------------------------------------- noise -- */

/* Any bytes: an answer of the right form, and the state one of those that exist. */
static void random_requests_do_no_harm(void **state)
{
    unsigned int seed = 42;
    struct core c;

    (void)state;
    begin(&c);
    for (int i = 0; i < 20000; i++) {
        uint8_t body[64];
        size_t len = (unsigned int)rand_r(&seed) % sizeof(body);
        struct answer a;

        for (size_t j = 0; j < len; j++)
            body[j] = (uint8_t)(rand_r(&seed) % 8 == 0 ? rand_r(&seed)
                                                       : rand_r(&seed) % 9);
        if (len > 7) {
            body[5] = 0;
            body[7] = 0;
        }
        mover_forget();
        mover.fail_step = rand_r(&seed) % 3;
        mover.fail_errno = EIO;
        a = core_send(&c, VU_DEVICE_FEATURE, body, len);
        if (a.h.error != 0)
            assert_int_equal(a.body_len, 0);
        assert_in_range(c.ctx->migration.state, VU_MIG_STOP, VU_MIG_PRE_COPY);
        assert_int_not_equal(c.ctx->migration.state, VU_MIG_RUNNING_P2P);
    }
    core_end(&c);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(a_probe_succeeds_if_all_that_it_names_is_there),
    VU_FD_TEST(a_probe_returns_the_request_and_changes_nothing),
    VU_FD_TEST(a_request_names_one_method),
    VU_FD_TEST(methods_that_a_feature_lacks_are_refused),
    VU_FD_TEST(undefined_flags_are_refused),
    VU_FD_TEST(every_truncation_is_refused),
    VU_FD_TEST(argsz_must_hold_the_reply),
    VU_FD_TEST(the_largest_argsz_is_as_good_as_any),
    VU_FD_TEST(set_returns_the_request),
    VU_FD_TEST(errors_are_a_header_alone),
    VU_FD_TEST(no_reply_carries_out_and_stays_silent),
    VU_FD_TEST(a_device_that_cannot_be_moved_has_no_features),
    VU_FD_TEST(a_device_without_dma_has_no_logging),
    VU_FD_TEST(some_requests_quiesce_the_device),
    VU_FD_TEST(a_path_of_many_steps_quiesces_once),
    VU_FD_TEST(a_state_waits_for_the_device_to_be_quiet),
    VU_FD_TEST(a_device_that_cannot_be_quiet_keeps_its_state),
    VU_FD_TEST(random_requests_do_no_harm),
};

VU_TEST_MAIN(tests)
