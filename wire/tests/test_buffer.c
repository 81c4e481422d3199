/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of wire/buffer.h. */
#include <errno.h>

#include "wire/buffer.h"
#include "wire/tests/support.h"

static void bytes_stay_while_the_buffer_grows(void **state)
{
    struct vu_buffer b;

    (void)state;
    vu_buffer_init(&b, 100000);
    for (size_t i = 0; i < 1000; i++) {
        uint8_t *at = vu_buffer_extend(&b, i % 100);

        assert_non_null(at);
        assert_ptr_equal(at + i % 100, b.data + b.len);
        memset(at, (int)(i & 0xff), i % 100);
    }
    for (size_t i = 0, pos = 0; i < 1000; pos += i++ % 100) {
        for (size_t j = 0; j < i % 100; j++)
            assert_int_equal(b.data[pos + j], i & 0xff);
    }
    vu_buffer_done(&b);
}

static void growing_is_geometric(void **state)
{
    struct vu_buffer b;
    size_t room = 0, changes = 0;

    (void)state;
    vu_buffer_init(&b, 1 << 20);
    for (size_t i = 0; i < 1 << 20; i++) {
        assert_non_null(vu_buffer_extend(&b, 1));
        changes += b.room != room;
        room = b.room;
    }
    assert_in_range(changes, 1, 21);
    vu_buffer_done(&b);
}

static void the_limit_is_exact(void **state)
{
    const size_t limits[] = { 0, 1, 255, 256, 257, 300, 511, 512, 513, 4095, 100003 };

    (void)state;
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        struct vu_buffer b;

        vu_buffer_init(&b, limits[i]);
        errno = 0;
        assert_null(vu_buffer_extend(&b, limits[i] + 1));
        assert_int_equal(errno, ENOBUFS);
        assert_null(vu_buffer_extend(&b, SIZE_MAX));
        assert_int_equal(b.len, 0);
        for (size_t n = 0; n < limits[i]; n++)
            assert_non_null(vu_buffer_extend(&b, 1));
        assert_null(vu_buffer_extend(&b, 1));
        assert_null(vu_buffer_extend(&b, SIZE_MAX));
        assert_int_equal(b.len, limits[i]);
        assert_true(b.room <= limits[i]);
        for (size_t n = 0; n < b.len; n++)
            b.data[n] = 0; /* all of it is there */
        vu_buffer_done(&b);
    }
}

static void one_large_step_is_as_good_as_many(void **state)
{
    struct vu_buffer b;

    (void)state;
    vu_buffer_init(&b, 1000);
    assert_non_null(vu_buffer_extend(&b, 1000));
    memset(b.data, 0, 1000);
    vu_buffer_done(&b);
}

static void no_more_than_twice_the_need_is_allocated(void **state)
{
    (void)state;
    for (size_t need = 256; need <= 1000000; need += 997) {
        struct vu_buffer b;

        vu_buffer_init(&b, 1000000);
        assert_non_null(vu_buffer_extend(&b, need));
        assert_in_range(b.room, need, 2 * need);
        vu_buffer_done(&b);
    }
}

static void no_bytes_have_a_place_too(void **state)
{
    struct vu_buffer b;

    (void)state;
    vu_buffer_init(&b, 0);
    assert_non_null(vu_buffer_extend(&b, 0));
    assert_int_equal(b.len, 0);
    vu_buffer_done(&b);
}

static void memory_that_is_not_there_changes_nothing(void **state)
{
    struct vu_buffer b;

    (void)state;
    vu_buffer_init(&b, SIZE_MAX / 4);
    memcpy(vu_buffer_extend(&b, 4), "abcd", 4);
    errno = 0;
    /* No allocator gives an eighth of the address space. */
    assert_null(vu_buffer_extend(&b, SIZE_MAX / 8));
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(b.len, 4);
    assert_memory_equal(b.data, "abcd", 4);
    vu_buffer_done(&b);
}

static void truncating_forgets_the_end_and_keeps_the_room(void **state)
{
    struct vu_buffer b;
    size_t room;

    (void)state;
    vu_buffer_init(&b, 1000);
    memset(vu_buffer_extend(&b, 600), 'x', 600);
    room = b.room;
    vu_buffer_truncate(&b, 700);
    assert_int_equal(b.len, 600);
    vu_buffer_truncate(&b, 10);
    assert_int_equal(b.len, 10);
    assert_ptr_equal(vu_buffer_extend(&b, 0), b.data + 10);
    assert_int_equal(b.data[9], 'x');
    assert_int_equal(b.room, room);
    vu_buffer_done(&b);
}

static void a_lowered_limit_holds(void **state)
{
    struct vu_buffer b;

    (void)state;
    vu_buffer_init(&b, 1000);
    assert_non_null(vu_buffer_extend(&b, 500));
    b.limit = 400;
    assert_null(vu_buffer_extend(&b, 0));
    vu_buffer_truncate(&b, 399);
    assert_non_null(vu_buffer_extend(&b, 1));
    assert_null(vu_buffer_extend(&b, 1));
    vu_buffer_done(&b);
}

static void a_done_buffer_can_be_used_again(void **state)
{
    struct vu_buffer b;

    (void)state;
    vu_buffer_init(&b, 10);
    assert_non_null(vu_buffer_extend(&b, 10));
    vu_buffer_done(&b);
    assert_null(b.data);
    assert_int_equal(b.len, 0);
    vu_buffer_done(&b);
    assert_non_null(vu_buffer_extend(&b, 10));
    assert_null(vu_buffer_extend(&b, 1));
    vu_buffer_done(&b);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(bytes_stay_while_the_buffer_grows),
    cmocka_unit_test(growing_is_geometric),
    cmocka_unit_test(the_limit_is_exact),
    cmocka_unit_test(one_large_step_is_as_good_as_many),
    cmocka_unit_test(no_more_than_twice_the_need_is_allocated),
    cmocka_unit_test(no_bytes_have_a_place_too),
    cmocka_unit_test(memory_that_is_not_there_changes_nothing),
    cmocka_unit_test(truncating_forgets_the_end_and_keeps_the_room),
    cmocka_unit_test(a_lowered_limit_holds),
    cmocka_unit_test(a_done_buffer_can_be_used_again),
};

VU_TEST_MAIN(tests)
