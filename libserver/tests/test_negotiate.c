/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VERSION: features are answered when they were proposed and the device has them.
 * The rules of the message itself are in test_dispatch.c.
 */
#include "libserver/tests/core.h"

#include <stdio.h>

#include "wire/caps.h"

#define QEMU \
    "{\"capabilities\":{\"migration\":{\"pgsize\":4096,\"max_bitmap_size\":268435456}," \
    "\"max_msg_fds\":16,\"max_data_xfer_size\":1048576,\"pgsizes\":4096," \
    "\"max_dma_maps\":65535,\"write_multiple\":true}}"

static int transition(vfu_ctx_t *ctx, vfu_migr_state_t state)
{
    (void)ctx;
    (void)state;
    return 0;
}

static ssize_t move_data(vfu_ctx_t *ctx, void *buf, uint64_t count)
{
    (void)ctx;
    (void)buf;
    return (ssize_t)count;
}

static void begin(struct core *c, bool migratable)
{
    const vfu_migration_callbacks_t cb = {
        VFU_MIGR_CALLBACKS_VERS, transition, move_data, move_data,
    };

    core_new(c);
    if (migratable)
        assert_int_equal(vfu_setup_device_migration_callbacks(c->ctx, &cb), 0);
}

/* What a device answers to a proposal. */
static struct vu_caps answered(bool migratable, const char *proposal)
{
    struct vu_version v;
    struct vu_caps caps;
    struct core c;
    struct answer a;

    begin(&c, migratable);
    a = core_version(&c, 0, 0, proposal);
    assert_int_equal(c.outcome, VUS_SERVED);
    assert_int_equal(a.h.flags, VU_F_TYPE_REPLY);
    DECODE(version, &a, &v);
    assert_int_equal(vu_caps_parse(&caps, v.data.data, v.data.len, NULL, 0), 0);
    core_end(&c);
    return caps;
}

static void write_multiple_is_answered_when_proposed(void **state)
{
    struct vu_caps caps = answered(false, "{\"capabilities\":{\"write_multiple\":true}}");

    (void)state;
    assert_true(caps.has_write_multiple && caps.write_multiple);
    caps = answered(false, "{\"capabilities\":{\"write_multiple\":false}}");
    assert_false(caps.has_write_multiple);
    caps = answered(false, "{}");
    assert_false(caps.has_write_multiple);
}

static void write_multiple_is_forgotten_with_its_client(void **state)
{
    struct core c;

    (void)state;
    core_begin_with(&c, "{\"capabilities\":{\"write_multiple\":true}}");
    assert_true(c.ctx->session.write_multiple);
    vus_ctx_reset(c.ctx);
    assert_false(c.ctx->session.write_multiple);
    core_end(&c);
}

static void migration_is_answered_when_proposed_and_there(void **state)
{
    static const char *const proposals[] = {
        "{\"capabilities\":{\"migration\":{}}}",
        "{\"capabilities\":{\"migration\":{\"pgsize\":0}}}",
        "{\"capabilities\":{\"migration\":{\"max_bitmap_size\":4096}}}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(proposals) / sizeof(proposals[0]); i++) {
        struct vu_caps caps = answered(true, proposals[i]);

        assert_true(caps.has_migration && caps.has_migration_pgsize);
        assert_int_equal(caps.migration_pgsize, sysconf(_SC_PAGESIZE));
        assert_false(answered(false, proposals[i]).has_migration);
    }
    assert_false(answered(true, "{}").has_migration);
    assert_false(answered(true, NULL).has_migration);
}

static enum vus_outcome propose_pgsize(bool migratable, unsigned long size)
{
    char json[128];
    struct core c;
    struct answer a;

    snprintf(json, sizeof(json), "{\"capabilities\":{\"migration\":{\"pgsize\":%lu}}}",
             size);
    begin(&c, migratable);
    a = core_version(&c, 0, 0, json);
    if (c.outcome != VUS_SERVED)
        assert_answer_error(&a, EINVAL);
    core_end(&c);
    return c.outcome;
}

static void a_page_size_not_the_system_s_is_refused_by_who_can_be_moved(void **state)
{
    unsigned long ours = (unsigned long)sysconf(_SC_PAGESIZE);

    (void)state;
    assert_int_equal(propose_pgsize(true, ours), VUS_SERVED);
    assert_int_equal(propose_pgsize(true, ours / 2), VUS_FATAL);
    assert_int_equal(propose_pgsize(true, ours + 1), VUS_FATAL);
    assert_int_equal(propose_pgsize(true, ours << 32), VUS_FATAL);
    assert_int_equal(propose_pgsize(false, ours / 2), VUS_SERVED);
}

/* It gives the reply as much room as its proposal took. */
static void the_reply_to_a_known_client_is_no_longer_than_its_proposal(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    begin(&c, true);
    a = core_version(&c, 0, 0, QEMU);
    assert_int_equal(a.h.flags, VU_F_TYPE_REPLY);
    assert_true(a.body_len <= VU_VERSION_SIZE + sizeof(QEMU));
    assert_non_null(strstr((const char *)a.body + VU_VERSION_SIZE, "\"migration\""));
    assert_non_null(strstr((const char *)a.body + VU_VERSION_SIZE, "write_multiple"));
    core_end(&c);
}

static void the_longest_reply_has_room(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    begin(&c, true);
    c.ctx->dma.max = UINT64_MAX;
    a = core_version(&c, 0, 0,
                     "{\"capabilities\":{\"max_dma_maps\":18446744073709551614,"
                     "\"migration\":{},\"write_multiple\":true}}");
    assert_int_equal(a.h.flags, VU_F_TYPE_REPLY);
    core_end(&c);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(write_multiple_is_answered_when_proposed),
    VU_FD_TEST(write_multiple_is_forgotten_with_its_client),
    VU_FD_TEST(migration_is_answered_when_proposed_and_there),
    VU_FD_TEST(a_page_size_not_the_system_s_is_refused_by_who_can_be_moved),
    VU_FD_TEST(the_reply_to_a_known_client_is_no_longer_than_its_proposal),
    VU_FD_TEST(the_longest_reply_has_room),
};

VU_TEST_MAIN(tests)
