/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contract, chapter 3.1: framing, and what is the same for all commands.
 */
#include "libserver/tests/chapter.h"

static const struct vfio_user_device_info info_body = { .argsz = sizeof(info_body) };

/* GET_INFO, with any id and flags. */
static size_t put_info(uint8_t *buf, uint16_t id, uint32_t flags)
{
    return put_command(buf, id, VFIO_USER_DEVICE_GET_INFO, flags, &info_body,
                       sizeof(info_body));
}

/* The connection is in step: a command is served and answered. */
static void assert_in_step(struct device *d)
{
    assert_int_equal(ask(d, VFIO_USER_DEVICE_GET_INFO, &info_body, sizeof(info_body)), 0);
    assert_int_equal(d->reply.len, sizeof(info_body));
}

TEST(c3_1_a_header_in_two_pieces_is_waited_for)
{
    struct device *d = device_up();
    uint8_t bytes[32];
    size_t len = put_info(bytes, 7, 0);

    for (size_t cut = 1; cut < len; cut++) {
        send_bytes(d, bytes, cut);
        assert_int_equal(run(d), 0);
        send_bytes(d, bytes + cut, len - cut);
        assert_int_equal(run(d), 1);
        assert_int_equal(receive_reply(d, 7, VFIO_USER_DEVICE_GET_INFO), 0);
    }
    device_down(d);
}

TEST(c3_1_a_body_of_bytes_one_by_one_is_served)
{
    struct device *d = device_up();
    uint8_t bytes[32];
    size_t len = put_info(bytes, 7, 0);

    for (size_t i = 0; i < len; i++) {
        assert_int_equal(run(d), 0);
        send_bytes(d, bytes + i, 1);
    }
    assert_int_equal(run(d), 1);
    assert_int_equal(receive_reply(d, 7, VFIO_USER_DEVICE_GET_INFO), 0);
    device_down(d);
}

TEST(c3_1_a_type_that_is_no_command_is_einval_and_its_body_consumed)
{
    struct device *d = device_up();
    uint8_t bytes[32];

    for (uint32_t type = 2; type < 16; type++) {
        send_bytes(d, bytes, put_info(bytes, 9, type));
        assert_int_equal(run(d), 0);
        assert_int_equal(receive_reply(d, 9, VFIO_USER_DEVICE_GET_INFO), EINVAL);
        assert_in_step(d);
    }
    device_down(d);
}

TEST(c3_1_a_message_of_type_reply_is_not_answered)
{
    struct device *d = device_up();
    uint8_t bytes[32];

    send_bytes(d, bytes, put_info(bytes, 9, VFIO_USER_F_TYPE_REPLY));
    assert_int_equal(run(d), 0);
    assert_silent(d);
    assert_in_step(d);
    device_down(d);
}

TEST(c3_1_a_size_below_the_header_is_einval_and_the_end)
{
    for (uint32_t size = 0; size < 16; size += 5) {
        struct vfio_user_header h = { 9, VFIO_USER_DEVICE_GET_INFO, size, 0, 0 };
        struct device *d = device_up();

        send_bytes(d, &h, sizeof(h));
        assert_int_equal(run(d), 0);
        assert_int_equal(receive_reply(d, 9, VFIO_USER_DEVICE_GET_INFO), EINVAL);
        assert_ended(d);
        assert_int_equal(run(d), -ENOTCONN);
        device_down(d);
    }
}

TEST(c3_1_a_size_above_the_limit_is_einval_and_the_end)
{
    static const uint32_t sizes[] = { 1048609, 1u << 30, UINT32_MAX };

    for (size_t i = 0; i < 3; i++) {
        struct vfio_user_header h = { 9, VFIO_USER_REGION_WRITE, sizes[i], 0, 0 };
        struct device *d = device_up();

        send_bytes(d, &h, sizeof(h));
        assert_int_equal(run(d), 0);
        assert_int_equal(receive_reply(d, 9, VFIO_USER_REGION_WRITE), EINVAL);
        assert_ended(d);
        assert_int_equal(run(d), -ENOTCONN);
        assert_events(d, "reset:lost");
        device_down(d);
    }
}

TEST(c3_1_the_largest_message_is_served)
{
    struct device *d = device_up();
    uint8_t *data = malloc(1 << 20);

    assert_int_equal(vfu_setup_region(d->ctx, 2, 1 << 20, on_access,
                                      VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM, NULL, 0,
                                      -1, 0), 0);
    memset(data, 0x5a, 1 << 20);
    assert_int_equal(region_write(d, 2, 0, data, 1 << 20), 0);
    assert_events(d, "write:0+100000");
    free(data);
    device_down(d);
}

TEST(c3_1_only_a_reset_has_no_body)
{
    struct device *d = device_up();

    for (uint16_t cmd = 0; cmd < 20; cmd++) {
        if (cmd != VFIO_USER_DEVICE_RESET)
            assert_int_not_equal(ask(d, cmd, NULL, 0), 0);
    }
    assert_int_equal(ask(d, VFIO_USER_DEVICE_RESET, NULL, 0), 0);
    assert_in_step(d);
    device_down(d);
}

TEST(c3_1_error_bit_error_field_and_upper_flags_of_a_command_are_ignored)
{
    struct device *d = device_up();
    uint8_t bytes[32];
    size_t len = put_info(bytes, 9, 0xffffffc0u | VFIO_USER_F_ERROR);

    memset(bytes + 12, 0xff, 4);
    send_bytes(d, bytes, len);
    assert_int_equal(run(d), 1);
    assert_int_equal(receive_reply(d, 9, VFIO_USER_DEVICE_GET_INFO), 0);
    device_down(d);
}

TEST(c3_1_no_reply_suppresses_success_and_error)
{
    struct device *d = device_up();

    post_fds(d, VFIO_USER_DEVICE_GET_INFO, VFIO_USER_F_NO_REPLY, &info_body,
             sizeof(info_body), NULL, 0);
    post_fds(d, 99, VFIO_USER_F_NO_REPLY, "", 1, NULL, 0);
    post_fds(d, VFIO_USER_DEVICE_RESET, VFIO_USER_F_NO_REPLY, NULL, 0, NULL, 0);
    while (run(d) > 0)
        ;
    assert_silent(d);
    assert_events(d, "reset:device");
    assert_in_step(d);
    device_down(d);
}

TEST(c3_1_a_reply_repeats_id_and_command)
{
    static const uint16_t ids[] = { 0, 1, 0xffff, 0x1234, 0x1234 };
    struct device *d = device_up();
    uint8_t bytes[32];

    for (size_t i = 0; i < 5; i++) {
        send_bytes(d, bytes, put_info(bytes, ids[i], 0));
        assert_int_equal(run(d), 1);
        assert_int_equal(receive_reply(d, ids[i], VFIO_USER_DEVICE_GET_INFO), 0);
    }
    device_down(d);
}

/* receive_reply() fails on a payload; these are where the original has one. */
TEST(c3_1_error_replies_are_header_only)
{
    struct device *d = device_up_migrating();

    d->access_errno = EIO;
    assert_int_equal(region_read(d, 0, 0, 64), EIO);
    assert_int_equal(region_write(d, 0, 0, "abcd", 4), EIO);
    assert_int_equal(region_read(d, 5, 0, 4), EINVAL);
    assert_int_equal(config_write(d, 0x80, 0, 4), EINVAL);
    assert_int_equal(migrate(d, 77), EINVAL);
    assert_in_step(d);
    device_down(d);
}

TEST(c3_1_replies_come_in_the_order_of_the_requests)
{
    struct device *d = device_up();
    uint8_t bytes[64 * 32];
    size_t len = 0;

    for (uint16_t i = 0; i < 64; i++)
        len += i % 3 == 0 ? put_command(bytes + len, i, 99, 0, "", 1)
                          : put_info(bytes + len, i, 0);
    send_bytes(d, bytes, len);
    assert_int_equal(run(d), 64);
    for (uint16_t i = 0; i < 64; i++)
        assert_int_equal(receive_reply(d, i, i % 3 == 0 ? 99 : VFIO_USER_DEVICE_GET_INFO),
                         i % 3 == 0 ? EINVAL : 0);
    device_down(d);
}

TEST(c3_1_a_client_that_leaves_inside_a_message_is_a_lost_client)
{
    struct device *d = device_up();
    uint8_t bytes[32];
    size_t len = put_info(bytes, 7, 0);

    for (size_t cut = 1; cut < len; cut++) {
        send_bytes(d, bytes, cut);
        assert_int_equal(run(d), 0);
        device_detach(d);
        assert_events(d, "reset:lost");
        device_attach(d);
        assert_in_step(d);
    }
    device_down(d);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(c3_1_a_header_in_two_pieces_is_waited_for),
    VU_FD_TEST(c3_1_a_body_of_bytes_one_by_one_is_served),
    VU_FD_TEST(c3_1_a_type_that_is_no_command_is_einval_and_its_body_consumed),
    VU_FD_TEST(c3_1_a_message_of_type_reply_is_not_answered),
    VU_FD_TEST(c3_1_a_size_below_the_header_is_einval_and_the_end),
    VU_FD_TEST(c3_1_a_size_above_the_limit_is_einval_and_the_end),
    VU_FD_TEST(c3_1_the_largest_message_is_served),
    VU_FD_TEST(c3_1_only_a_reset_has_no_body),
    VU_FD_TEST(c3_1_error_bit_error_field_and_upper_flags_of_a_command_are_ignored),
    VU_FD_TEST(c3_1_no_reply_suppresses_success_and_error),
    VU_FD_TEST(c3_1_a_reply_repeats_id_and_command),
    VU_FD_TEST(c3_1_error_replies_are_header_only),
    VU_FD_TEST(c3_1_replies_come_in_the_order_of_the_requests),
    VU_FD_TEST(c3_1_a_client_that_leaves_inside_a_message_is_a_lost_client),
};

VU_TEST_MAIN(tests)
