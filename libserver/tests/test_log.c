/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfu_log(), vfu_setup_log(), and the limit of lines about what a client did wrong.
 */
#include "libserver/tests/core.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define BURST 64
#define SECOND INT64_C(1000000000)

static atomic_int n_lines;
static int last_level;
static char last_line[BUFSIZ + 1];
static char hidden_line[128];   /* the last one that told of lines left out */

static void keep(vfu_ctx_t *ctx, int level, const char *msg)
{
    (void)ctx;
    atomic_fetch_add(&n_lines, 1);
    last_level = level;
    snprintf(last_line, sizeof(last_line), "%s", msg);
    if (strstr(msg, "not logged") != NULL)
        snprintf(hidden_line, sizeof(hidden_line), "%s", msg);
    errno = EXDEV;
}

static void count(vfu_ctx_t *ctx, int level, const char *msg)
{
    (void)ctx;
    (void)level;
    (void)msg;
    atomic_fetch_add(&n_lines, 1);
}

static struct vfu_ctx *logging_ctx(vfu_log_fn_t *log, int level)
{
    struct vfu_ctx *ctx = vus_ctx_new(0, NULL);

    assert_non_null(ctx);
    assert_int_equal(vfu_setup_log(ctx, log, level), 0);
    n_lines = 0;
    last_line[0] = hidden_line[0] = 0;
    return ctx;
}

static void refuse(struct vfu_ctx *ctx, int times)
{
    for (int i = 0; i < times; i++)
        assert_int_equal(vus_refuse(ctx, -EIO, "refusal %d", i), -EIO);
}

/* As if so much time had passed. */
static void pass(struct vfu_ctx *ctx, int64_t ns)
{
    ctx->refusals.since_ns -= ns;
}

static void lines_above_the_level_are_not_seen(void **state)
{
    struct vfu_ctx *ctx = logging_ctx(keep, LOG_WARNING);

    (void)state;
    vfu_log(ctx, LOG_NOTICE, "no");
    assert_int_equal(n_lines, 0);
    vfu_log(ctx, LOG_WARNING, "%s %d", "yes", 7);
    assert_int_equal(n_lines, 1);
    assert_int_equal(last_level, LOG_WARNING);
    assert_string_equal(last_line, "yes 7");
    vfu_destroy_ctx(ctx);
}

static void levels_that_do_not_exist_are_refused(void **state)
{
    struct vfu_ctx *ctx = logging_ctx(keep, LOG_ERR);

    (void)state;
    assert_int_equal(vfu_setup_log(ctx, keep, LOG_DEBUG + 1), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(vfu_setup_log(ctx, keep, -1), -1);
    assert_int_equal(vfu_setup_log(ctx, NULL, LOG_DEBUG), 0);
    vfu_log(ctx, LOG_EMERG, "to nobody");
    assert_int_equal(n_lines, 0);
    vfu_destroy_ctx(ctx);
}

static void long_lines_are_cut_and_errno_survives(void **state)
{
    struct vfu_ctx *ctx = logging_ctx(keep, LOG_ERR);

    (void)state;
    errno = ENOTTY;
    vfu_log(ctx, LOG_ERR, "%*s", 3 * BUFSIZ, "end");
    assert_int_equal(errno, ENOTTY);
    assert_int_equal(strlen(last_line), BUFSIZ - 1);
    vfu_destroy_ctx(ctx);
}

static void the_device_s_own_lines_have_no_limit(void **state)
{
    struct vfu_ctx *ctx = logging_ctx(keep, LOG_WARNING);

    (void)state;
    for (int i = 0; i < 10 * BURST; i++)
        vfu_log(ctx, LOG_WARNING, "line");
    assert_int_equal(n_lines, 10 * BURST);
    vfu_destroy_ctx(ctx);
}

static void refusals_are_logged_until_the_burst_is_spent(void **state)
{
    struct vfu_ctx *ctx = logging_ctx(keep, LOG_WARNING);

    (void)state;
    refuse(ctx, 1);
    assert_int_equal(last_level, LOG_WARNING);
    refuse(ctx, BURST - 1);
    assert_int_equal(n_lines, BURST);
    refuse(ctx, 1000);
    assert_in_range(n_lines, BURST, BURST + 20);    /* a slow machine earns some */
    vfu_destroy_ctx(ctx);
}

static void what_was_left_out_is_counted_in_the_next_line(void **state)
{
    struct vfu_ctx *ctx = logging_ctx(keep, LOG_WARNING);
    int before;

    (void)state;
    refuse(ctx, BURST);
    ctx->refusals.since_ns += 3600 * SECOND;    /* no time passes for a while */
    refuse(ctx, 1000);
    assert_int_equal(n_lines, BURST);
    assert_string_equal(hidden_line, "");
    pass(ctx, 3601 * SECOND);
    before = n_lines;
    refuse(ctx, 1);
    assert_int_equal(n_lines, before + 2);
    assert_string_equal(hidden_line, "1000 more refusals were not logged");
    assert_string_equal(last_line, "refusal 0");
    refuse(ctx, 1);
    assert_int_equal(n_lines, before + 3);
    vfu_destroy_ctx(ctx);
}

/* Ten lines in a second, never more than the burst. */
static void time_makes_good_what_was_spent(void **state)
{
    struct vfu_ctx *ctx = logging_ctx(count, LOG_WARNING);
    int before;

    (void)state;
    refuse(ctx, 2 * BURST);
    for (int round = 0; round < 3; round++) {
        before = n_lines;
        pass(ctx, SECOND);
        refuse(ctx, 50);
        assert_in_range(n_lines - before, 11, 20);  /* and one that counts */
    }
    pass(ctx, 100000 * SECOND);
    before = n_lines;
    refuse(ctx, 10 * BURST);
    assert_in_range(n_lines - before, BURST + 1, BURST + 20);
    vfu_destroy_ctx(ctx);
}

static void contexts_have_limits_of_their_own(void **state)
{
    struct vfu_ctx *noisy = logging_ctx(keep, LOG_WARNING);
    struct vfu_ctx *other = logging_ctx(keep, LOG_WARNING);

    (void)state;
    refuse(noisy, 2 * BURST);
    n_lines = 0;
    refuse(other, BURST);
    assert_int_equal(n_lines, BURST);
    vfu_destroy_ctx(noisy);
    vfu_destroy_ctx(other);
}

static void lines_that_nobody_would_see_spend_nothing(void **state)
{
    struct vfu_ctx *ctx = logging_ctx(keep, LOG_ERR);

    (void)state;
    refuse(ctx, 10 * BURST);
    assert_int_equal(n_lines, 0);
    assert_int_equal(ctx->refusals.spent, 0);
    assert_int_equal(ctx->refusals.hidden, 0);
    vfu_destroy_ctx(ctx);
}

#define N_THREADS 4
#define EACH      5000

static void *refuse_often(void *ctx)
{
    for (int i = 0; i < EACH; i++) {
        vus_refuse(ctx, -EIO, "refusal");
        vfu_log(ctx, LOG_INFO, "below the level");
    }
    return NULL;
}

/* Every refusal is a line or one of those that were left out. */
static void threads_share_one_limit(void **state)
{
    struct vfu_ctx *ctx = logging_ctx(count, LOG_WARNING);
    pthread_t threads[N_THREADS];

    (void)state;
    ctx->refusals.since_ns = INT64_MAX / 2;     /* no time passes */
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, refuse_often, ctx), 0);
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(n_lines, BURST);
    assert_int_equal(ctx->refusals.hidden, N_THREADS * EACH - BURST);
    vfu_destroy_ctx(ctx);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(lines_above_the_level_are_not_seen),
    cmocka_unit_test(levels_that_do_not_exist_are_refused),
    cmocka_unit_test(long_lines_are_cut_and_errno_survives),
    cmocka_unit_test(the_device_s_own_lines_have_no_limit),
    cmocka_unit_test(refusals_are_logged_until_the_burst_is_spent),
    cmocka_unit_test(what_was_left_out_is_counted_in_the_next_line),
    cmocka_unit_test(time_makes_good_what_was_spent),
    cmocka_unit_test(contexts_have_limits_of_their_own),
    cmocka_unit_test(lines_that_nobody_would_see_spend_nothing),
    cmocka_unit_test(threads_share_one_limit),
};

VU_TEST_MAIN(tests)
