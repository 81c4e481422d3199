/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading and writing regions by message, with and without waiting.
 */
#include "libclient/tests/known.h"

static void read_asks_for_offset_region_and_count(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, NULL, SAY_REGION0);
    uint32_t value;

    (void)state;
    script_say(&s, "1000000000000000 00000000 04000000 78563412");
    assert_int_equal(vfuc_region_read(c, 0, 0x10, &value, 4), 0);
    assert_int_equal(value, 0x12345678);
    script_heard(&s, 3, "0300 0900 20000000 00000000 00000000"
                 "1000000000000000 00000000 04000000", 0);
    known_done(&s, c);
}

static void write_carries_its_data(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, NULL, SAY_REGION0);
    uint32_t value = 0x12345678;

    (void)state;
    script_say(&s, "1000000000000000 00000000 04000000");
    assert_int_equal(vfuc_region_write(c, 0, 0x10, &value, 4), 0);
    script_heard(&s, 3, "0300 0a00 24000000 00000000 00000000"
                 "1000000000000000 00000000 04000000 78563412", 0);
    known_done(&s, c);
}

static void posted_write_awaits_nothing(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, NULL, SAY_REGION0);
    uint8_t value = 0x5a;

    (void)state;
    assert_int_equal(vfuc_region_write_posted(c, 0, 0x1fff, &value, 1), 0);
    script_heard(&s, 3, "0300 0a00 21000000 10000000 00000000"
                 "ff1f000000000000 00000000 01000000 5a", 0);
    known_done(&s, c);
}

static void access_learns_what_it_must_know(void **state)
{
    struct script s;
    struct vfuc_client *c;
    uint8_t byte = 0;

    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    script_init(&s);
    c = script_client(&s, SAY_VERSION);
    script_say(&s, SAY_DEVICE);
    script_say(&s, SAY_REGION0);
    script_say(&s, "0000000000000000 00000000 01000000 5a");
    assert_int_equal(vfuc_region_read(c, 0, 0, &byte, 1), 0);
    assert_int_equal(byte, 0x5a);
    assert_int_equal(s.n_said, 4);
    known_done(&s, c);
}

static void long_access_is_split_at_the_limit_of_the_server(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, "\"max_data_xfer_size\":4", SAY_REGION0);
    uint8_t buf[10];

    (void)state;
    script_say(&s, "0001000000000000 00000000 04000000 00010203");
    script_say(&s, "0401000000000000 00000000 04000000 04050607");
    script_say(&s, "0801000000000000 00000000 02000000 0809");
    assert_int_equal(vfuc_region_read(c, 0, 0x100, buf, 10), 0);
    assert_memory_equal(buf, "\0\1\2\3\4\5\6\7\10\11", 10);
    script_heard(&s, 5, "0500 0900 20000000 00000000 00000000"
                 "0801000000000000 00000000 02000000", 0);
    script_say(&s, "0001000000000000 00000000 04000000");
    script_say(&s, "0401000000000000 00000000 01000000");
    assert_int_equal(vfuc_region_write(c, 0, 0x100, buf, 5), 0);
    script_heard(&s, 6, "0600 0a00 24000000 00000000 00000000"
                 "0001000000000000 00000000 04000000 00010203", 0);
    script_heard(&s, 7, "0700 0a00 21000000 00000000 00000000"
                 "0401000000000000 00000000 01000000 04", 0);
    assert_int_equal(vfuc_region_write_posted(c, 0, 0x100, buf, 5), 0);
    script_heard(&s, 9, "0900 0a00 21000000 10000000 00000000"
                 "0401000000000000 00000000 01000000 04", 0);
    known_done(&s, c);
}

/* A server with a larger limit than ours must not make us hold more than we wanted. */
static void long_access_is_split_at_our_own_limit(void **state)
{
    struct vfuc_options given = { .size = sizeof(given), .max_data_xfer_size = 2 };
    struct vfuc_options options;
    struct vfuc_client *c;
    struct script s;
    uint8_t buf[3];

    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    script_init(&s);
    assert_int_equal(vuc_options_read(&given, &options), 0);
    script_say(&s, SAY_VERSION);
    assert_int_equal(vuc_client_open(&script_port, &s, &options, &c), 0);
    assert_int_equal(vfuc_negotiated(c)->max_data_xfer_size, 1048576);
    script_say(&s, SAY_DEVICE);
    script_say(&s, SAY_REGION0);
    script_say(&s, "0000000000000000 00000000 02000000 aabb");
    script_say(&s, "0200000000000000 00000000 01000000 cc");
    assert_int_equal(vfuc_region_read(c, 0, 0, buf, 3), 0);
    assert_memory_equal(buf, "\xaa\xbb\xcc", 3);
    script_heard(&s, 3, "0300 0900 20000000 00000000 00000000"
                 "0000000000000000 00000000 02000000", 0);
    known_done(&s, c);
}

static void short_transfer_goes_on_where_it_stopped(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, NULL, SAY_REGION0);
    uint8_t buf[4];

    (void)state;
    script_say(&s, "1000000000000000 00000000 03000000 a1a2a3");
    script_say(&s, "1300000000000000 00000000 01000000 a4");
    assert_int_equal(vfuc_region_read(c, 0, 0x10, buf, 4), 0);
    assert_memory_equal(buf, "\xa1\xa2\xa3\xa4", 4);
    script_say(&s, "1000000000000000 00000000 01000000");
    script_say(&s, "1100000000000000 00000000 03000000");
    assert_int_equal(vfuc_region_write(c, 0, 0x10, buf, 4), 0);
    script_heard(&s, 6, "0600 0a00 23000000 00000000 00000000"
                 "1100000000000000 00000000 03000000 a2a3a4", 0);
    known_done(&s, c);
}

static void access_outside_the_region_is_not_sent(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, NULL, SAY_REGION0);
    uint8_t buf[8] = { 0 };

    (void)state;
    assert_int_equal(vfuc_region_read(c, 0, 0x2000, buf, 1), -ERANGE);
    assert_int_equal(vfuc_region_read(c, 0, 0x1ffd, buf, 4), -ERANGE);
    assert_int_equal(vfuc_region_write(c, 0, 0x1ffd, buf, 4), -ERANGE);
    assert_int_equal(vfuc_region_write_posted(c, 0, 0x1ffd, buf, 4), -ERANGE);
    assert_int_equal(vfuc_region_read(c, 0, UINT64_MAX, buf, 8), -ERANGE);
    assert_int_equal(vfuc_region_read(c, 0, 8, buf, SIZE_MAX), -ERANGE);
    assert_int_equal(vfuc_region_read(c, 9, 0, buf, 1), -ERANGE);
    assert_int_equal(vfuc_region_read(c, UINT32_MAX, 0, buf, 1), -ERANGE);
    assert_int_equal(vfuc_region_read(c, 0, 0, buf, 0), -EINVAL);
    assert_int_equal(vfuc_region_write(c, 0, 0, buf, 0), -EINVAL);
    assert_int_equal(s.n_said, 3);
    script_say(&s, "fc1f000000000000 00000000 04000000 01020304");
    assert_int_equal(vfuc_region_read(c, 0, 0x1ffc, buf, 4), 0);    /* the very end */
    known_done(&s, c);
}

static void access_against_the_flags_is_not_sent(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, NULL, "20000000 01000000 00000000 00000000"
                                        "0020000000000000 0000000000000000");
    const struct vfuc_region *r;
    uint8_t byte = 0;

    (void)state;
    script_say(&s, "20000000 02000000 01000000 00000000"
               "0020000000000000 0000000000000000");
    assert_int_equal(vfuc_region_info(c, 1, &r), 0);
    assert_int_equal(vfuc_region_write(c, 0, 0, &byte, 1), -EACCES);
    assert_int_equal(vfuc_region_write_posted(c, 0, 0, &byte, 1), -EACCES);
    assert_string_equal(vfuc_last_error(c), "region 0 is not writeable");
    assert_int_equal(vfuc_region_read(c, 1, 0, &byte, 1), -EACCES);
    assert_string_equal(vfuc_last_error(c), "region 1 is not readable");
    assert_int_equal(s.n_said, 4);
    known_done(&s, c);
}

static void refusal_in_the_middle_ends_a_long_access(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, "\"max_data_xfer_size\":4", SAY_REGION0);
    uint8_t buf[8];

    (void)state;
    script_say(&s, "0000000000000000 00000000 04000000 00010203");
    script_refuse(&s, 5);
    assert_int_equal(vfuc_region_read(c, 0, 0, buf, 8), -EREMOTEIO);
    assert_int_equal(vfuc_last_errno(c), 5);
    assert_string_equal(vfuc_last_error(c), "REGION_READ: the server refused (EIO)");
    known_done(&s, c);
}

/* -------------------------------------------------------- without waiting -- */

static void expect(struct vfuc_client *c, uint64_t tag, int result, int server_errno,
                   size_t bytes)
{
    struct vfuc_completion done;

    assert_int_equal(vfuc_complete(c, &done, 1), 1);
    assert_int_equal(done.tag, tag);
    assert_int_equal(done.result, result);
    assert_int_equal(done.server_errno, server_errno);
    assert_int_equal(done.bytes, bytes);
}

static void submitted_read_fills_the_lent_buffer(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, NULL, SAY_REGION0);
    uint32_t value = 0;

    (void)state;
    assert_int_equal(vfuc_submit_region_read(c, 0, 0x10, &value, 4, 77), 0);
    script_heard(&s, 3, "0300 0900 20000000 00000000 00000000"
                 "1000000000000000 00000000 04000000", 0);
    assert_int_equal(value, 0);
    script_say(&s, "1000000000000000 00000000 04000000 78563412");
    expect(c, 77, 0, 0, 4);
    assert_int_equal(value, 0x12345678);
    known_done(&s, c);
}

static void submitted_write_carries_a_copy_of_its_data(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, NULL, SAY_REGION0);
    uint32_t value = 0x12345678;

    (void)state;
    assert_int_equal(vfuc_submit_region_write(c, 0, 0x10, &value, 4, 78), 0);
    value = 0;
    script_heard(&s, 3, "0300 0a00 24000000 00000000 00000000"
                 "1000000000000000 00000000 04000000 78563412", 0);
    script_say(&s, "1000000000000000 00000000 04000000");
    expect(c, 78, 0, 0, 4);
    known_done(&s, c);
}

static void submitted_access_that_is_done_in_part_says_so(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, NULL, SAY_REGION0);
    uint8_t buf[4] = { 9, 9, 9, 9 };

    (void)state;
    script_refuse(&s, 22);      /* an errno that is not this one's */
    assert_int_equal(vfuc_reset(c), -EREMOTEIO);
    assert_int_equal(vfuc_submit_region_read(c, 0, 0x10, buf, 4, 1), 0);
    script_say(&s, "1000000000000000 00000000 03000000 a1a2a3");
    expect(c, 1, -EREMOTEIO, 0, 3);
    assert_memory_equal(buf, "\xa1\xa2\xa3\t", 4);
    assert_string_equal(vfuc_last_error(c), "the server transferred 3 of 4 bytes");
    assert_int_equal(vfuc_submit_region_write(c, 0, 0x10, buf, 4, 2), 0);
    script_say(&s, "1000000000000000 00000000 01000000");
    expect(c, 2, -EREMOTEIO, 0, 1);
    known_done(&s, c);
}

static void submitted_access_that_is_refused_leaves_the_buffer(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, NULL, SAY_REGION0);
    uint8_t buf[4] = { 9, 9, 9, 9 };

    (void)state;
    assert_int_equal(vfuc_submit_region_read(c, 0, 0x10, buf, 4, 1), 0);
    script_refuse(&s, 5);
    expect(c, 1, -EREMOTEIO, 5, 0);
    assert_memory_equal(buf, "\t\t\t\t", 4);
    assert_int_equal(vfuc_last_errno(c), 5);
    known_done(&s, c);
}

static void access_that_cannot_be_is_not_submitted(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, "\"max_data_xfer_size\":4",
                                         "20000000 01000000 00000000 00000000"
                                         "0020000000000000 0000000000000000");
    uint8_t buf[8] = { 0 };

    (void)state;
    assert_int_equal(vfuc_submit_region_read(c, 0, 0, buf, 0, 1), -EINVAL);
    assert_int_equal(vfuc_submit_region_read(c, 0, 0x1ffe, buf, 4, 1), -ERANGE);
    assert_int_equal(vfuc_submit_region_read(c, 9, 0, buf, 4, 1), -ERANGE);
    assert_int_equal(vfuc_submit_region_read(c, 0, 0, buf, 5, 1), -E2BIG);
    assert_int_equal(vfuc_submit_region_write(c, 0, 0, buf, 4, 1), -EACCES);
    assert_int_equal(vfuc_pending(c), 0);
    assert_int_equal(s.n_said, 3);
    assert_int_equal(vfuc_submit_region_read(c, 0, 0x1ffc, buf, 4, 1), 0);
    vuc_end(c, -ENOTCONN);
    expect(c, 1, -ENOTCONN, 0, 0);
    assert_int_equal(vfuc_submit_region_read(c, 0, 0, buf, 4, 1), -ENOTCONN);
    known_done(&s, c);
}

/* What a blocking call checks is checked here too. */
static void broken_reply_to_a_submitted_access_ends_the_connection(void **state)
{
    static const char *const broken[] = {
        "1100000000000000 00000000 04000000 a1a2a3a4",      /* another offset */
        "1000000000000000 01000000 04000000 a1a2a3a4",      /* another region */
        "1000000000000000 00000000 05000000 a1a2a3a4a5",    /* more than was asked for */
        "1000000000000000 00000000 04000000 a1a2a3",        /* count above its data */
        "1000000000000000 00000000 00000000",               /* nothing */
        "1000000000000000 00000000 0400",                   /* cut */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct script s;
        struct vfuc_client *c = known_region(&s, NULL, SAY_REGION0);
        uint8_t *buf = calloc(4, 1);    /* exactly, for a sanitizer */

        assert_non_null(buf);
        assert_int_equal(vfuc_submit_region_read(c, 0, 0x10, buf, 4, 1), 0);
        script_say(&s, broken[i])->n_fds = 1;
        expect(c, 1, -EPROTO, 0, 0);
        assert_memory_equal(buf, "\0\0\0\0", 4);
        assert_true(s.closed);
        free(buf);
        known_done(&s, c);
    }
}

static void broken_reply_to_a_submitted_write_ends_the_connection(void **state)
{
    static const char *const broken[] = {
        "1100000000000000 00000000 04000000",           /* another offset */
        "1000000000000000 02000000 04000000",           /* another region */
        "1000000000000000 00000000 05000000",           /* more than was sent */
        "1000000000000000 00000000 00000000",           /* nothing */
        "1000000000000000 00000000 04000000 01020304",  /* the data sent back */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct script s;
        struct vfuc_client *c = known_region(&s, NULL, SAY_REGION0);

        assert_int_equal(vfuc_submit_region_write(c, 0, 0x10, "\1\2\3\4", 4, 1), 0);
        script_say(&s, broken[i])->n_fds = 1;
        expect(c, 1, -EPROTO, 0, 0);
        assert_true(s.closed);
        known_done(&s, c);
    }
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(read_asks_for_offset_region_and_count),
    VU_FD_TEST(write_carries_its_data),
    VU_FD_TEST(posted_write_awaits_nothing),
    VU_FD_TEST(access_learns_what_it_must_know),
    VU_FD_TEST(long_access_is_split_at_the_limit_of_the_server),
    VU_FD_TEST(long_access_is_split_at_our_own_limit),
    VU_FD_TEST(short_transfer_goes_on_where_it_stopped),
    VU_FD_TEST(access_outside_the_region_is_not_sent),
    VU_FD_TEST(access_against_the_flags_is_not_sent),
    VU_FD_TEST(refusal_in_the_middle_ends_a_long_access),
    VU_FD_TEST(submitted_read_fills_the_lent_buffer),
    VU_FD_TEST(submitted_write_carries_a_copy_of_its_data),
    VU_FD_TEST(submitted_access_that_is_done_in_part_says_so),
    VU_FD_TEST(submitted_access_that_is_refused_leaves_the_buffer),
    VU_FD_TEST(access_that_cannot_be_is_not_submitted),
    VU_FD_TEST(broken_reply_to_a_submitted_access_ends_the_connection),
    VU_FD_TEST(broken_reply_to_a_submitted_write_ends_the_connection),
};

VU_TEST_MAIN(tests)
