/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DEVICE_FEATURE: what is sent, byte by byte, and what becomes of good replies. (Bad
 * ones: test_malformed.c.)
 */
#include "libclient/tests/script.h"

#include "libclient/feature.h"

/* A client; message 0 is spent. */
static struct vfuc_client *begin(struct script *s)
{
    SKIP_UNLESS_LITTLE_ENDIAN();
    script_init(s);
    return script_client(s, SAY_VERSION);
}

static void done(struct script *s, struct vfuc_client *c)
{
    assert_int_equal(s->next, s->n_lines);
    vfuc_close(c);
    script_done(s);
}

static void probe_asks_for_methods_without_data(void **state)
{
    struct script s;
    struct vfuc_client *c = begin(&s);

    (void)state;
    script_say(&s, "08000000 02000700");
    assert_int_equal(vfuc_feature_probe(c, VFUC_FEATURE_MIG_DEVICE_STATE,
                                        VFUC_FEATURE_GET | VFUC_FEATURE_SET), 0);
    script_heard(&s, 1, "0100 1000 18000000 00000000 00000000 08000000 02000700", 0);
    script_say(&s, "08000000 ffff0400");
    assert_int_equal(vfuc_feature_probe(c, 0xffff, 0), 0);
    script_heard(&s, 2, "0200 1000 18000000 00000000 00000000 08000000 ffff0400", 0);
    script_say(&s, "08000000 06000600");
    assert_int_equal(vfuc_feature_probe(c, VFUC_FEATURE_DMA_LOGGING_START,
                                        VFUC_FEATURE_SET), 0);
    script_heard(&s, 3, "0300 1000 18000000 00000000 00000000 08000000 06000600", 0);
    done(&s, c);
}

static void feature_that_is_not_there_is_a_refusal(void **state)
{
    struct script s;
    struct vfuc_client *c = begin(&s);
    size_t got = 77;

    (void)state;
    script_refuse(&s, 25);
    assert_int_equal(vfuc_feature_probe(c, 9, 0), -EREMOTEIO);
    assert_int_equal(vfuc_last_errno(c), 25);
    script_refuse(&s, 22);
    assert_int_equal(vfuc_feature_get(c, 9, NULL, 0, 0, &got), -EREMOTEIO);
    assert_int_equal(got, 77);
    script_refuse(&s, 95);
    assert_int_equal(vfuc_feature_set(c, 9, NULL, 0), -EREMOTEIO);
    assert_string_equal(vfuc_last_error(c),
                        "DEVICE_FEATURE: the server refused (EOPNOTSUPP)");
    assert_false(s.closed);
    done(&s, c);
}

static void get_sends_what_is_asked_and_brings_what_comes(void **state)
{
    uint8_t data[20] = { 1, 2, 3, 4 };
    struct script s;
    struct vfuc_client *c = begin(&s);
    size_t got;

    (void)state;
    script_say(&s, "12000000 34120100 01020304 a1a2a3a4a5a6");
    assert_int_equal(vfuc_feature_get(c, 0x1234, data, 4, 20, &got), 0);
    script_heard(&s, 1, "0100 1000 1c000000 00000000 00000000"
                 "1c000000 34120100 01020304", 0);
    assert_int_equal(got, 10);
    assert_memory_equal(data, "\1\2\3\4\xa1\xa2\xa3\xa4\xa5\xa6\0", 11);
    done(&s, c);
}

static void get_may_bring_nothing(void **state)
{
    struct script s;
    struct vfuc_client *c = begin(&s);
    size_t got;

    (void)state;
    script_say(&s, "08000000 07000100");
    assert_int_equal(vfuc_feature_get(c, 7, NULL, 0, 0, &got), 0);
    assert_int_equal(got, 0);
    script_heard(&s, 1, "0100 1000 18000000 00000000 00000000 08000000 07000100", 0);
    done(&s, c);
}

/* Whether argsz of a reply tells the room or the bytes is not settled. */
static void argsz_of_a_reply_may_be_larger_than_the_reply(void **state)
{
    uint8_t data[16];
    struct script s;
    struct vfuc_client *c = begin(&s);
    size_t got;

    (void)state;
    script_say(&s, "20000000 07000100 a1a2");
    assert_int_equal(vfuc_feature_get(c, 7, data, 0, 16, &got), 0);
    assert_int_equal(got, 2);
    done(&s, c);
}

static void set_sends_its_data(void **state)
{
    struct script s;
    struct vfuc_client *c = begin(&s);

    (void)state;
    script_say(&s, "0b000000 34120200 050607");
    assert_int_equal(vfuc_feature_set(c, 0x1234, "\5\6\7", 3), 0);
    script_heard(&s, 1, "0100 1000 1b000000 00000000 00000000"
                 "0b000000 34120200 050607", 0);
    script_say(&s, "08000000 07000200");
    assert_int_equal(vfuc_feature_set(c, VFUC_FEATURE_DMA_LOGGING_STOP, NULL, 0), 0);
    script_heard(&s, 2, "0200 1000 18000000 00000000 00000000 08000000 07000200", 0);
    done(&s, c);
}

static void what_makes_no_sense_is_not_sent(void **state)
{
    uint8_t data[8];
    struct script s;
    struct vfuc_client *c = begin(&s);
    size_t got, most = vuc_feature_room(c);

    (void)state;
    assert_int_equal(vfuc_feature_probe(c, 65536, 0), -EINVAL);
    assert_int_equal(vfuc_feature_probe(c, 1, 0x40000), -EINVAL);
    assert_int_equal(vfuc_feature_probe(c, 1, 0x80000000), -EINVAL);
    assert_int_equal(vfuc_feature_get(c, 65536, data, 0, 8, &got), -EINVAL);
    assert_int_equal(vfuc_feature_get(c, 1, data, 8, 7, &got), -EINVAL);
    assert_int_equal(vfuc_feature_get(c, 1, NULL, 0, 8, &got), -EINVAL);
    assert_int_equal(vfuc_feature_get(c, 1, data, 0, most + 1, &got), -E2BIG);
    assert_int_equal(vfuc_feature_get(c, 1, data, 0, SIZE_MAX, &got), -E2BIG);
    assert_int_equal(vfuc_feature_set(c, 65536, data, 8), -EINVAL);
    assert_int_equal(vfuc_feature_set(c, 1, NULL, 8), -EINVAL);
    assert_int_equal(vfuc_feature_set(c, 1, data, most + 1), -E2BIG);
    assert_int_equal(vfuc_feature_set(c, 1, data, SIZE_MAX), -E2BIG);
    assert_int_equal(s.n_said, 1);
    done(&s, c);
}

static void nothing_is_sent_on_a_closed_connection(void **state)
{
    struct script s;
    struct vfuc_client *c = begin(&s);
    enum vfuc_mig_state mig;
    uint64_t flags;
    size_t got;
    char byte = 0;

    (void)state;
    script_fail(&s, 0);
    assert_int_equal(vfuc_feature_probe(c, 1, 0), -ENOTCONN);
    assert_true(s.closed);
    assert_int_equal(vfuc_feature_probe(c, 1, 0), -ENOTCONN);
    assert_int_equal(vfuc_feature_get(c, 1, &byte, 0, 1, &got), -ENOTCONN);
    assert_int_equal(vfuc_feature_set(c, 1, &byte, 1), -ENOTCONN);
    assert_int_equal(vfuc_migration_flags(c, &flags), -ENOTCONN);
    assert_int_equal(vfuc_migration_state(c, &mig), -ENOTCONN);
    assert_int_equal(vfuc_migration_set_state(c, VFUC_MIG_STOP), -ENOTCONN);
    assert_int_equal(vfuc_migration_read(c, &byte, 1, &got), -ENOTCONN);
    assert_int_equal(vfuc_migration_write(c, &byte, 1), -ENOTCONN);
    assert_int_equal(vfuc_submit_migration_state(c, VFUC_MIG_STOP, 0), -ENOTCONN);
    assert_int_equal(vfuc_submit_migration_read(c, &byte, 1, 0), -ENOTCONN);
    assert_int_equal(vfuc_submit_migration_write(c, &byte, 1, 0), -ENOTCONN);
    assert_int_equal(s.n_said, 2);
    done(&s, c);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(probe_asks_for_methods_without_data),
    VU_FD_TEST(feature_that_is_not_there_is_a_refusal),
    VU_FD_TEST(get_sends_what_is_asked_and_brings_what_comes),
    VU_FD_TEST(get_may_bring_nothing),
    VU_FD_TEST(argsz_of_a_reply_may_be_larger_than_the_reply),
    VU_FD_TEST(set_sends_its_data),
    VU_FD_TEST(what_makes_no_sense_is_not_sent),
    VU_FD_TEST(nothing_is_sent_on_a_closed_connection),
};

VU_TEST_MAIN(tests)
