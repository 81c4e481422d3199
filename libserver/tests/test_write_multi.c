/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * REGION_WRITE_MULTI: agreed on, in order, bounded, and stopped by the first failure.
 */
#include "libserver/tests/core.h"

#define AGREED "{\"capabilities\":{\"write_multiple\":true}}"
#define ENTRY  VU_WRITE_MULTI_ENTRY_SIZE
#define HEAD   VU_WRITE_MULTI_SIZE
#define CFG    VFU_PCI_DEV_CFG_REGION_IDX
#define MOST   200u     /* entries in the largest message of a known client */

typedef struct vu_write_multi_entry entry;

/* A body of n entries that says so, or says count. */
static size_t put(uint8_t *body, uint64_t count, const entry *e, size_t n)
{
    struct vu_writer w = vu_writer(body, HEAD + n * ENTRY);

    vu_put_u64(&w, count);
    for (size_t i = 0; i < n; i++)
        vu_encode_write_multi_entry(&w, &e[i]);
    assert_int_equal(vu_writer_ok(&w), 0);
    return w.len;
}

static struct answer send_counted(struct core *c, uint64_t count, const entry *e,
                                  size_t n)
{
    uint8_t body[HEAD + MOST * ENTRY];
    size_t len = put(body, count, e, n);

    return core_send(c, VU_REGION_WRITE_MULTI, body, len);
}

static struct answer send_entries(struct core *c, const entry *e, size_t n)
{
    return send_counted(c, n, e, n);
}

static void completed(struct answer a, uint64_t n)
{
    struct vu_write_multi m;
    struct vu_reader r;

    assert_answer_ok(&a, HEAD);
    r = vu_reader(a.body, a.body_len);
    assert_int_equal(vu_decode_write_multi_reply(&r, &m), 0);
    assert_int_equal(m.count, n);
}

static void refused(struct answer a, uint32_t error)
{
    assert_answer_error(&a, error);
}

static entry write_to(uint64_t offset, uint32_t count, uint8_t byte)
{
    entry e = { .offset = offset, .region = 0, .count = count };

    memset(e.data, byte, sizeof(e.data));
    return e;
}

static void without_agreement_it_is_refused(void **state)
{
    static const char *const without[] = {
        NULL, "{\"capabilities\":{\"write_multiple\":false}}",
        "{\"capabilities\":{\"max_msg_fds\":8}}",
    };
    entry e = write_to(0, 4, 0xaa);

    (void)state;
    for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++) {
        struct core c;

        core_begin_with(&c, without[i]);
        refused(send_entries(&c, &e, 1), EINVAL);
        assert_int_equal(c.seen.accesses, 0);
        core_end(&c);
    }
}

static void entries_are_written_in_order(void **state)
{
    entry e[4] = {
        write_to(8, 4, 1), write_to(8, 4, 2), write_to(16, 8, 9), write_to(8, 2, 3),
    };
    struct core c;

    (void)state;
    core_begin_with(&c, AGREED);
    completed(send_entries(&c, e, 4), 4);
    assert_int_equal(c.seen.accesses, 4);
    assert_int_equal(c.seen.misaligned, 0);
    assert_memory_equal(c.bar0 + 8, "\3\3\2\2\0\0\0\0\x9\x9\x9\x9\x9\x9\x9\x9\0", 17);
    core_end(&c);
}

static void each_size_up_to_eight_writes_that_many_bytes(void **state)
{
    struct core c;

    (void)state;
    core_begin_with(&c, AGREED);
    for (uint32_t n = 1; n <= 8; n++) {
        entry e = write_to(32 * n, n, 0xee);

        completed(send_entries(&c, &e, 1), 1);
        assert_int_equal(c.bar0[32 * n + n - 1], 0xee);
        assert_int_equal(c.bar0[32 * n + n], 0);
    }
    core_end(&c);
}

static void sizes_of_none_and_of_more_than_eight_fail(void **state)
{
    static const uint32_t bad[] = { 0, 9, 16, UINT32_MAX };
    struct core c;

    (void)state;
    core_begin_with(&c, AGREED);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        entry e = write_to(0, bad[i], 1);

        refused(send_entries(&c, &e, 1), EINVAL);
    }
    assert_int_equal(c.seen.accesses, 0);
    core_end(&c);
}

/* The second of three entries is bad: one is reported, the third not carried out. */
static void a_failing_entry_ends_the_message(void **state)
{
    const entry bad[] = {
        { .offset = 0, .region = 0, .count = 9 },
        { .offset = BAR0_SIZE - 3, .region = 0, .count = 4 },
        { .offset = UINT64_MAX, .region = 0, .count = 1 },
        { .offset = UINT64_MAX - 3, .region = 0, .count = 8 },
        { .offset = 0, .region = 1, .count = 4 },               /* not there */
        { .offset = 0, .region = 3, .count = 4 },               /* read only */
        { .offset = 0, .region = VFU_PCI_DEV_NUM_REGIONS, .count = 4 },
        { .offset = 0, .region = UINT32_MAX, .count = 4 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        entry e[3] = { write_to(0, 4, 1), bad[i], write_to(4, 4, 2) };
        struct core c;

        core_begin_with(&c, AGREED);
        completed(send_entries(&c, e, 3), 1);
        assert_int_equal(c.seen.accesses, 1);
        assert_memory_equal(c.bar0, "\1\1\1\1\0\0\0\0", 8);
        core_end(&c);
    }
}

static void a_first_entry_that_fails_gives_its_errno(void **state)
{
    entry e[2] = { write_to(0, 4, 1), write_to(4, 4, 2) };
    struct core c;

    (void)state;
    core_begin_with(&c, AGREED);
    c.how.access_errno = EIO;
    refused(send_entries(&c, e, 2), EIO);
    assert_int_equal(c.seen.accesses, 1);
    c.how.access_errno = 0;
    e[0].region = 3;
    refused(send_entries(&c, e, 2), EACCES);
    core_end(&c);
}

static void length_and_count_agree(void **state)
{
    static const struct { uint64_t count; size_t entries; } bad[] = {
        { 2, 1 }, { 1, 2 }, { 0, 1 }, { 1, 0 }, { 0x2000000000000001, 1 },
        { UINT64_C(1) << 61, 1 }, { UINT64_MAX, 1 }, { UINT64_MAX, 0 },
        { UINT64_MAX / 24 + 2, 1 },
    };
    entry e[2] = { write_to(0, 4, 1), write_to(4, 4, 2) };
    uint8_t body[HEAD + 2 * ENTRY];
    struct core c;

    (void)state;
    core_begin_with(&c, AGREED);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refused(send_counted(&c, bad[i].count, e, bad[i].entries), EINVAL);
    put(body, 2, e, 2);
    for (size_t len = 0; len < sizeof(body); len++)
        refused(core_send(&c, VU_REGION_WRITE_MULTI, body, len), EINVAL);
    assert_int_equal(c.seen.accesses, 0);
    completed(send_counted(&c, 0, e, 0), 0);
    core_end(&c);
}

static void the_largest_message_of_a_known_client_is_served(void **state)
{
    entry e[MOST];
    struct core c;

    (void)state;
    core_begin_with(&c, AGREED);
    for (size_t i = 0; i < MOST; i++)
        e[i] = write_to(8 * i, 8, (uint8_t)(i + 1));
    completed(send_entries(&c, e, MOST), MOST);
    for (size_t i = 0; i < MOST; i++)
        assert_int_equal(c.bar0[8 * i + 7], (uint8_t)(i + 1));
    core_end(&c);
}

static void with_no_reply_the_writes_happen_and_nothing_is_answered(void **state)
{
    entry e[2] = { write_to(0, 4, 1), write_to(4, 4, 2) };
    uint8_t body[HEAD + 2 * ENTRY];
    struct core c;

    (void)state;
    core_begin_with(&c, AGREED);
    core_post(&c, VU_REGION_WRITE_MULTI, body, put(body, 2, e, 2));
    assert_memory_equal(c.bar0, "\1\1\1\1\2\2\2\2", 8);
    core_post(&c, VU_REGION_WRITE_MULTI, body, put(body, 3, e, 2));
    core_end(&c);
}

/* A device whose Device Control is at 0x48. */
static void begin_express(struct core *c)
{
    static uint8_t px[64] = { PCI_CAP_ID_EXP, 0, 2, 0, 0, 0, 0, 0x10 };

    core_begin_with(c, AGREED);
    assert_int_equal(vfu_pci_add_capability(c->ctx, 0, 0, px), 0x40);
    vfu_setup_device_quiesce_cb(c->ctx, core_quiesce);
}

static void one_entry_that_may_reset_quiesces_the_whole_message_once(void **state)
{
    entry e[3] = {
        write_to(0, 4, 1),
        { .offset = 0x48, .region = CFG, .count = 2, .data = { 0x00, 0x80 } },
        write_to(4, 4, 2),
    };
    struct core c;

    (void)state;
    begin_express(&c);
    completed(send_entries(&c, e, 1), 1);
    assert_int_equal(c.seen.quiesces, 0);
    completed(send_entries(&c, e, 3), 3);
    assert_int_equal(c.seen.quiesces, 1);
    assert_int_equal(c.seen.resets, 1);
    assert_int_equal(c.seen.reset_type, VFU_RESET_PCI_FLR);
    e[1].offset = 0x44;         /* elsewhere in configuration space */
    completed(send_entries(&c, e, 3), 1);
    e[1].offset = 0x48;
    e[1].region = 0;
    completed(send_entries(&c, e, 3), 3);
    assert_int_equal(c.seen.quiesces, 1);
    core_end(&c);
}

static void a_device_that_does_not_quiesce_is_not_written(void **state)
{
    entry e[2] = {
        write_to(0, 4, 1),
        { .offset = 0x48, .region = CFG, .count = 2, .data = { 0x00, 0x80 } },
    };
    struct core c;

    (void)state;
    begin_express(&c);
    c.how.quiesce_errno = EPERM;
    refused(send_entries(&c, e, 2), EPERM);
    assert_int_equal(c.seen.accesses, 0);
    assert_int_equal(c.seen.resets, 0);
    c.how.quiesce_errno = EBUSY;
    assert_int_equal(send_entries(&c, e, 2).len, 0);
    assert_int_equal(c.outcome, VUS_PENDING);
    assert_int_equal(c.seen.accesses, 0);
    vu_buffer_truncate(&c.out, 0);
    assert_int_equal(vus_resume(c.ctx, &c.m, &c.reply, 0), VUS_SERVED);
    completed(core_answer(&c), 2);
    vu_message_done(&c.m);
    vus_resumed(c.ctx);
    assert_int_equal(c.seen.resets, 1);
    core_end(&c);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(without_agreement_it_is_refused),
    VU_FD_TEST(entries_are_written_in_order),
    VU_FD_TEST(each_size_up_to_eight_writes_that_many_bytes),
    VU_FD_TEST(sizes_of_none_and_of_more_than_eight_fail),
    VU_FD_TEST(a_failing_entry_ends_the_message),
    VU_FD_TEST(a_first_entry_that_fails_gives_its_errno),
    VU_FD_TEST(length_and_count_agree),
    VU_FD_TEST(the_largest_message_of_a_known_client_is_served),
    VU_FD_TEST(with_no_reply_the_writes_happen_and_nothing_is_answered),
    VU_FD_TEST(one_entry_that_may_reset_quiesces_the_whole_message_once),
    VU_FD_TEST(a_device_that_does_not_quiesce_is_not_written),
};

VU_TEST_MAIN(tests)
