/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Verdicts follow from what was recorded, the level and the server's fate; the exit
 * status from all verdicts together. And the texts of a result stay within bounds.
 */
#include "wire/tests/support.h"

#include <stdio.h>

#include "conformance/result.h"

static enum ct_verdict judged(enum ct_verdict recorded, enum ct_level level,
                              enum ct_fate fate, bool timed_out, bool warned)
{
    static struct ct_result r;

    memset(&r, 0, sizeof(r));
    r.recorded = recorded;
    r.timed_out = timed_out;
    r.warned = warned;
    r.fate = fate;
    ct_judge(&r, level);
    return r.verdict;
}

static void a_case_that_ends_passes(void **state)
{
    (void)state;
    assert_int_equal(judged(CT_NONE, CT_MUST, CT_SURVIVED, false, false), CT_PASS);
    assert_int_equal(judged(CT_NONE, CT_MUST, CT_CLOSED, false, false), CT_PASS);
    assert_int_equal(judged(CT_NONE, CT_MUST, CT_EXITED, false, false), CT_PASS);
    assert_int_equal(judged(CT_NONE, CT_MUST, CT_STOPPED, false, false), CT_PASS);
    assert_int_equal(judged(CT_NONE, CT_MUST, CT_LOST, false, false), CT_PASS);
}

static void only_a_must_fails(void **state)
{
    (void)state;
    assert_int_equal(judged(CT_FAIL, CT_MUST, CT_SURVIVED, false, false), CT_FAIL);
    assert_int_equal(judged(CT_FAIL, CT_SHOULD, CT_SURVIVED, false, false), CT_WARN);
    assert_int_equal(judged(CT_FAIL, CT_MAY, CT_LOST, false, false), CT_WARN);
}

static void a_missing_answer_fails_at_any_level(void **state)
{
    (void)state;
    assert_int_equal(judged(CT_FAIL, CT_MAY, CT_SURVIVED, true, false), CT_FAIL);
}

static void a_warning_is_no_more_than_that(void **state)
{
    (void)state;
    assert_int_equal(judged(CT_NONE, CT_MUST, CT_SURVIVED, false, true), CT_WARN);
    assert_int_equal(judged(CT_FAIL, CT_MUST, CT_SURVIVED, false, true), CT_FAIL);
    assert_int_equal(judged(CT_SKIP, CT_MUST, CT_SURVIVED, false, true), CT_SKIP);
}

static void a_lost_server_is_a_failure_at_any_level(void **state)
{
    static const enum ct_fate lost[] = { CT_HUNG, CT_CRASHED, CT_SANITIZER, CT_GONE };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        assert_true(ct_fate_is_failure(lost[i]));
        assert_int_equal(judged(CT_NONE, CT_MAY, lost[i], false, false), CT_FAIL);
        assert_int_equal(judged(CT_FAIL, CT_SHOULD, lost[i], false, false), CT_FAIL);
        assert_int_equal(judged(CT_ERROR, CT_MUST, lost[i], false, false), CT_ERROR);
    }
    assert_int_equal(judged(CT_SKIP, CT_MUST, CT_CRASHED, false, false), CT_FAIL);
    /* Never run at all: */
    assert_int_equal(judged(CT_SKIP, CT_MUST, CT_GONE, false, false), CT_SKIP);
}

static enum ct_exit status_of(unsigned pass, unsigned warn, unsigned fail, unsigned skip,
                              unsigned error, bool lost, bool strict)
{
    struct ct_tally t = { .server_lost = lost };

    t.n[CT_PASS] = pass;
    t.n[CT_WARN] = warn;
    t.n[CT_FAIL] = fail;
    t.n[CT_SKIP] = skip;
    t.n[CT_ERROR] = error;
    return ct_exit_status(&t, strict);
}

static void the_worst_news_gives_the_exit_status(void **state)
{
    (void)state;
    assert_int_equal(status_of(1, 1, 0, 1, 0, false, false), CT_EXIT_OK);
    assert_int_equal(status_of(0, 1, 0, 0, 0, false, false), CT_EXIT_OK);
    assert_int_equal(status_of(1, 1, 0, 0, 0, false, true), CT_EXIT_FAILED);
    assert_int_equal(status_of(1, 1, 1, 1, 0, false, false), CT_EXIT_FAILED);
    assert_int_equal(status_of(1, 1, 1, 1, 0, true, false), CT_EXIT_SERVER);
    assert_int_equal(status_of(0, 0, 0, 3, 0, true, false), CT_EXIT_SERVER);
    assert_int_equal(status_of(1, 1, 1, 1, 1, true, true), CT_EXIT_INTERNAL);
    assert_int_equal(status_of(0, 0, 0, 3, 0, false, false), CT_EXIT_NOTHING);
    assert_int_equal(status_of(0, 0, 0, 0, 0, false, false), CT_EXIT_NOTHING);
}

static void results_are_counted(void **state)
{
    static struct ct_result r;
    struct ct_tally t = { 0 };

    (void)state;
    memset(&r, 0, sizeof(r));
    r.verdict = CT_FAIL;
    ct_tally_add(&t, &r);
    assert_false(t.server_lost);
    r.verdict = CT_PASS;
    r.fate = CT_CRASHED;
    ct_tally_add(&t, &r);
    assert_true(t.server_lost);
    assert_int_equal(t.n[CT_FAIL], 1);
    assert_int_equal(t.n[CT_PASS], 1);
}

static void the_first_verdict_stays(void **state)
{
    static struct ct_result r;

    (void)state;
    memset(&r, 0, sizeof(r));
    ct_record(&r, CT_FAIL, "a.lua:1", "first %d", 1);
    ct_record(&r, CT_ERROR, "b.lua:2", "second");
    assert_int_equal(r.recorded, CT_FAIL);
    assert_string_equal(r.message, "first 1");
    assert_string_equal(r.where, "a.lua:1");
}

static void long_messages_are_cut(void **state)
{
    static struct ct_result r;
    static char text[8192];

    (void)state;
    memset(&r, 0, sizeof(r));
    memset(text, 'x', sizeof(text) - 1);
    ct_record(&r, CT_FAIL, text, "%s", text);
    assert_int_equal(strlen(r.message), sizeof(r.message) - 1);
    assert_int_equal(strlen(r.where), sizeof(r.where) - 1);
    for (int i = 0; i < 3; i++)
        ct_append(r.notes, sizeof(r.notes), "%s", text);
    assert_int_equal(strlen(r.notes), sizeof(r.notes) - 1);
}

static void a_full_trace_loses_whole_lines_from_its_front(void **state)
{
    static struct ct_result r;
    char line[64];

    (void)state;
    memset(&r, 0, sizeof(r));
    for (int i = 0; i < 5000; i++) {
        snprintf(line, sizeof(line), "line %d", i);
        ct_trace(&r, line);
        assert_true(r.trace_len < sizeof(r.trace));
        assert_int_equal(strlen(r.trace), r.trace_len);
    }
    snprintf(line, sizeof(line), "line %u\n", r.trace_dropped);
    assert_memory_equal(r.trace, line, strlen(line));
    assert_string_equal(r.trace + r.trace_len - 10, "line 4999\n");
}

static void a_line_that_is_too_long_is_cut(void **state)
{
    static struct ct_result r;
    static char line[sizeof(r.trace) * 2];

    (void)state;
    memset(&r, 0, sizeof(r));
    memset(line, 'y', sizeof(line) - 1);
    for (int i = 0; i < 9; i++) {
        ct_trace(&r, line);
        assert_true(r.trace_len < sizeof(r.trace));
    }
    assert_int_equal(strlen(r.trace), r.trace_len);
    assert_int_equal(r.trace[r.trace_len - 1], '\n');
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_case_that_ends_passes),
    cmocka_unit_test(only_a_must_fails),
    cmocka_unit_test(a_missing_answer_fails_at_any_level),
    cmocka_unit_test(a_warning_is_no_more_than_that),
    cmocka_unit_test(a_lost_server_is_a_failure_at_any_level),
    cmocka_unit_test(the_worst_news_gives_the_exit_status),
    cmocka_unit_test(results_are_counted),
    cmocka_unit_test(the_first_verdict_stays),
    cmocka_unit_test(long_messages_are_cut),
    cmocka_unit_test(a_full_trace_loses_whole_lines_from_its_front),
    cmocka_unit_test(a_line_that_is_too_long_is_cut),
};

VU_TEST_MAIN(tests)
