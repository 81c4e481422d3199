/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contract, chapter 2.2: logging.
 */
#include "libserver/tests/chapter.h"

struct lines {
    int n;
    int level;
    size_t len;
    char last[BUFSIZ];
};

static void keep(vfu_ctx_t *ctx, int level, const char *msg)
{
    struct lines *l = ((struct device *)vfu_get_private(ctx))->aux;

    l->n++;
    l->level = level;
    l->len = strlen(msg);
    snprintf(l->last, sizeof(l->last), "%s", msg);
    errno = EXDEV;              /* what a callback may do */
}

static struct device *device_logging(struct lines *l, int level)
{
    struct device *d = device_new(NB);

    memset(l, 0, sizeof(*l));
    d->aux = l;
    assert_int_equal(vfu_setup_log(d->ctx, keep, level), 0);
    return d;
}

TEST(c2_2_lines_up_to_the_level_are_logged_without_a_newline)
{
    struct lines l;
    struct device *d = device_logging(&l, LOG_NOTICE);

    vfu_log(d->ctx, LOG_NOTICE, "%d %s", 7, "lives");
    assert_int_equal(l.n, 1);
    assert_int_equal(l.level, LOG_NOTICE);
    assert_string_equal(l.last, "7 lives");
    vfu_log(d->ctx, LOG_INFO, "less urgent");
    assert_int_equal(l.n, 1);
    vfu_log(d->ctx, LOG_EMERG, "more urgent");
    assert_int_equal(l.n, 2);
    device_down(d);
}

TEST(c2_2_long_lines_are_cut)
{
    char text[2 * BUFSIZ];
    struct lines l;
    struct device *d = device_logging(&l, LOG_DEBUG);

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    vfu_log(d->ctx, LOG_ERR, "%s", text);
    assert_int_equal(l.len, BUFSIZ - 1);
    device_down(d);
}

TEST(c2_2_logging_preserves_errno)
{
    struct lines l;
    struct device *d = device_logging(&l, LOG_DEBUG);

    errno = ENOSPC;
    vfu_log(d->ctx, LOG_ERR, "hello");
    assert_int_equal(errno, ENOSPC);
    device_down(d);
}

TEST(c2_2_levels_outside_of_syslogs_are_refused)
{
    struct device *d = device_new(NB);

    assert_int_equal(vfu_setup_log(d->ctx, keep, LOG_EMERG), 0);
    assert_int_equal(vfu_setup_log(d->ctx, NULL, LOG_DEBUG), 0);
    assert_int_equal(vfu_setup_log(d->ctx, keep, -1), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(vfu_setup_log(d->ctx, keep, 8), -1);
    assert_int_equal(errno, EINVAL);
    vfu_log(d->ctx, LOG_ERR, "to nobody");      /* the refused calls set nothing */
    device_down(d);
}

TEST(c2_2_without_a_function_nothing_is_logged_also_later)
{
    struct lines l;
    struct device *d = device_logging(&l, LOG_DEBUG);

    assert_int_equal(vfu_setup_log(d->ctx, NULL, LOG_DEBUG), 0);
    vfu_log(d->ctx, LOG_EMERG, "to nobody");
    device_realize(d);
    device_attach(d);
    assert_int_equal(ask(d, 99, NULL, 0), EINVAL);
    assert_int_equal(l.n, 0);
    device_down(d);
}

TEST(c2_2_a_refusal_says_what_the_client_did_wrong)
{
    struct vfio_user_device_info info = { .argsz = 3 };
    struct lines l;
    struct device *d = device_logging(&l, LOG_WARNING);

    device_realize(d);
    device_attach(d);
    assert_int_equal(ask(d, VFIO_USER_DEVICE_GET_INFO, &info, sizeof(info)), EINVAL);
    assert_int_equal(l.n, 1);
    assert_non_null(strstr(l.last, "argsz 3"));
    device_down(d);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(c2_2_lines_up_to_the_level_are_logged_without_a_newline),
    VU_FD_TEST(c2_2_long_lines_are_cut),
    VU_FD_TEST(c2_2_logging_preserves_errno),
    VU_FD_TEST(c2_2_levels_outside_of_syslogs_are_refused),
    VU_FD_TEST(c2_2_without_a_function_nothing_is_logged_also_later),
    VU_FD_TEST(c2_2_a_refusal_says_what_the_client_did_wrong),
};

VU_TEST_MAIN(tests)
