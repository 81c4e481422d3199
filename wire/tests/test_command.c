/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of wire/command.h: the table against a second one, typed from the
 * specification, and against the codecs. */
#include <errno.h>
#include <stdio.h>

#include "wire/command.h"
#include "wire/messages.h"
#include "wire/tests/support.h"

#define S VU_TO_SERVER
#define C VU_TO_CLIENT

/* The specification's table of commands: number, name, direction, smallest
 * bodies. DMA_WRITE's reply counts as 12 where one revision prints 16. */
static const struct {
    uint16_t number;
    const char *name;
    enum vu_direction direction;
    uint32_t request, reply;
} listed[] = {
    { 1, "VERSION", S, 4, 4 },
    { 2, "DMA_MAP", S, 32, 0 },
    { 3, "DMA_UNMAP", S, 24, 24 },
    { 4, "DEVICE_GET_INFO", S, 16, 16 },
    { 5, "DEVICE_GET_REGION_INFO", S, 32, 32 },
    { 6, "DEVICE_GET_REGION_IO_FDS", S, 16, 16 },
    { 7, "DEVICE_GET_IRQ_INFO", S, 16, 16 },
    { 8, "DEVICE_SET_IRQS", S, 20, 0 },
    { 9, "REGION_READ", S, 16, 16 },
    { 10, "REGION_WRITE", S, 16, 16 },
    { 11, "DMA_READ", C, 16, 16 },
    { 12, "DMA_WRITE", C, 16, 12 },
    { 13, "DEVICE_RESET", S, 0, 0 },
    { 15, "REGION_WRITE_MULTI", S, 8, 8 },
    { 16, "DEVICE_FEATURE", S, 8, 8 },
    { 17, "MIG_DATA_READ", S, 8, 8 },
    { 18, "MIG_DATA_WRITE", S, 8, 0 },
};

#define N_LISTED (sizeof(listed) / sizeof(listed[0]))

static void the_table_agrees_with_the_specification(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_LISTED; i++) {
        const struct vu_command_info *info = vu_command_info(listed[i].number);

        assert_non_null(info);
        assert_string_equal(info->name, listed[i].name);
        assert_int_equal(info->direction, listed[i].direction);
        assert_int_equal(info->request_min, listed[i].request);
        assert_int_equal(info->reply_min, listed[i].reply);
        assert_true(info->request_min <= info->request_max);
        assert_true(info->reply_min <= info->reply_max);
    }
}

static void everything_else_is_unknown(void **state)
{
    size_t next = 0;

    (void)state;
    for (uint32_t number = 0; number <= UINT16_MAX; number++) {
        if (next < N_LISTED && listed[next].number == number)
            next++;
        else
            assert_null(vu_command_info((uint16_t)number));
    }
    assert_int_equal(next, N_LISTED);
}

/* { command, largest request, largest reply, descriptors of both, exact } */
static void bounds_say_what_can_vary(void **state)
{
    static const struct {
        uint16_t number;
        bool request_varies, reply_varies;
        uint16_t request_fds, reply_fds;
        bool exact;
    } rows[] = {
        { 1, true, true, 0, 1, false },    { 2, false, false, 1, 0, false },
        { 3, true, true, 0, 0, false },    { 4, false, false, 0, 0, false },
        { 5, false, true, 0, 253, false }, { 6, false, true, 0, 253, false },
        { 7, false, false, 0, 0, false },  { 8, true, false, 253, 0, false },
        { 9, false, true, 0, 0, false },   { 10, true, false, 0, 0, true },
        { 11, false, true, 0, 0, false },  { 12, true, true, 0, 0, false },
        { 13, false, false, 0, 0, false }, { 15, true, false, 0, 0, true },
        { 16, true, true, 0, 0, false },   { 17, false, true, 0, 0, false },
        { 18, true, false, 0, 0, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct vu_command_info *info = vu_command_info(rows[i].number);

        assert_int_equal(info->request_max > info->request_min, rows[i].request_varies);
        assert_int_equal(info->reply_max > info->reply_min, rows[i].reply_varies);
        assert_int_equal(info->request_fds, rows[i].request_fds);
        assert_int_equal(info->reply_fds, rows[i].reply_fds);
        assert_int_equal(info->exact, rows[i].exact);
    }
    assert_int_equal(vu_command_info(VU_DMA_UNMAP)->request_max, 40);
    assert_int_equal(vu_command_info(VU_DMA_WRITE)->reply_max, 16);
}

static void names_of_all_numbers_fit_in_16_bytes(void **state)
{
    char want[32], buf[16];

    (void)state;
    for (uint32_t number = 0; number <= UINT16_MAX; number++) {
        const struct vu_command_info *info = vu_command_info((uint16_t)number);

        snprintf(want, sizeof(want), "COMMAND_%u", number);
        assert_string_equal(vu_command_name((uint16_t)number, buf, sizeof(buf)),
                            info != NULL ? info->name : want);
    }
}

static void errnos_go_on_the_wire_as_positive_numbers(void **state)
{
    (void)state;
    assert_int_equal(vu_wire_errno(-EEXIST), 17);
    assert_int_equal(vu_wire_errno(-EPERM), 1);
    assert_int_equal(vu_wire_errno(-EOPNOTSUPP), 95);
    assert_int_equal(vu_wire_errno(-ENOTTY), 25);
    assert_int_equal(vu_wire_errno(-EHWPOISON), 133);
}

static void internal_errors_are_invalid_arguments_outside(void **state)
{
    (void)state;
    assert_int_equal(vu_wire_errno(-EBADMSG), EINVAL);
    assert_int_equal(vu_wire_errno(-ENOBUFS), EINVAL);
}

static void what_is_no_errno_becomes_eio(void **state)
{
    const int values[] = { 0,    1,    EINVAL, INT32_MAX, INT32_MIN, INT32_MIN + 1,
                           -134, -512, -4095,  -4096,     -41 };

    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        assert_int_equal(vu_wire_errno(values[i]), EIO);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_table_agrees_with_the_specification),
    cmocka_unit_test(everything_else_is_unknown),
    cmocka_unit_test(bounds_say_what_can_vary),
    cmocka_unit_test(names_of_all_numbers_fit_in_16_bytes),
    cmocka_unit_test(errnos_go_on_the_wire_as_positive_numbers),
    cmocka_unit_test(internal_errors_are_invalid_arguments_outside),
    cmocka_unit_test(what_is_no_errno_becomes_eio),
};

VU_TEST_MAIN(tests)
