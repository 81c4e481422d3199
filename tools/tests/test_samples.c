/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The statistics of `vfu bench`, and its echo.
 */
#include <errno.h>

#include "tools/bench.h"
#include "wire/tests/support.h"

static struct tool_samples s;

static void with(const uint64_t *ns, size_t n)
{
    assert_int_equal(tool_samples_init(&s, n), 0);
    for (size_t i = 0; i < n; i++)
        tool_samples_add(&s, ns[i]);
}

static void percentiles_are_those_of_the_sorted_samples(void **state)
{
    const uint64_t ns[] = { 50, 10, 40, 20, 30, 100, 90, 60, 80, 70 };

    (void)state;
    with(ns, 10);
    tool_samples_sort(&s);
    assert_int_equal(tool_samples_at(&s, 0), 10);
    assert_int_equal(tool_samples_at(&s, 0.5), 60);
    assert_int_equal(tool_samples_at(&s, 0.9), 100);
    assert_int_equal(tool_samples_at(&s, 1), 100);
    tool_samples_done(&s);
}

static void no_samples_have_no_percentile(void **state)
{
    (void)state;
    with(NULL, 0);
    assert_int_equal(tool_samples_at(&s, 0.5), 0);
    tool_samples_done(&s);
}

static void samples_beyond_the_room_are_dropped(void **state)
{
    const uint64_t ns[] = { 1, 2, 3 };

    (void)state;
    with(ns, 3);
    tool_samples_add(&s, 4);
    assert_int_equal(s.n, 3);
    tool_samples_done(&s);
}

/* A drift that both share cancels out of the ratio. */
static void ratios_are_taken_round_by_round(void **state)
{
    struct tool_samples a, b;
    double q[3];

    (void)state;
    assert_int_equal(tool_samples_init(&a, 300), 0);
    assert_int_equal(tool_samples_init(&b, 300), 0);
    for (uint64_t round = 1; round <= 31; round++) {
        for (int i = 0; i < 3; i++) {
            tool_samples_add(&a, 2000 * round);
            tool_samples_add(&b, 1000 * round);
        }
        tool_samples_end_round(&a);
        tool_samples_end_round(&b);
    }
    assert_true(tool_samples_ratio(&a, &b, q));
    assert_true(q[0] == 2 && q[1] == 2 && q[2] == 2);
    tool_samples_done(&a);
    tool_samples_done(&b);
}

static void without_rounds_there_is_no_ratio(void **state)
{
    struct tool_samples a = { .n_rounds = 0 }, b = { .n_rounds = 0 };
    double q[3];

    (void)state;
    assert_false(tool_samples_ratio(&a, &b, q));
}

static void echo_gives_as_many_bytes_as_were_asked(void **state)
{
    static const size_t sizes[][2] = {
        { 8, 1 }, { 32, 36 }, { 1000, 16 }, { 8, TOOL_ECHO_MAX }, { TOOL_ECHO_MAX, 8 },
        { TOOL_ECHO_MAX, TOOL_ECHO_MAX }, { 32, 32 },
    };
    struct tool_echo echo;

    (void)state;
    assert_int_equal(tool_echo_start(&echo), 0);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
        assert_int_equal(tool_echo_turn(&echo, sizes[i][0], sizes[i][1]), 0);
    assert_int_equal(tool_echo_turn(&echo, 7, 8), -EINVAL);
    assert_int_equal(tool_echo_turn(&echo, 8, TOOL_ECHO_MAX + 1), -EINVAL);
    tool_echo_stop(&echo);
    tool_echo_stop(&echo);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(percentiles_are_those_of_the_sorted_samples),
    cmocka_unit_test(no_samples_have_no_percentile),
    cmocka_unit_test(samples_beyond_the_room_are_dropped),
    cmocka_unit_test(ratios_are_taken_round_by_round),
    cmocka_unit_test(without_rounds_there_is_no_ratio),
    VU_FD_TEST(echo_gives_as_many_bytes_as_were_asked),
};

VU_TEST_MAIN(tests)
