/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Running tables of malformed replies: see malformed.h. Names of tests are "CALL: fault".
 */
#include "libclient/tests/malformed.h"

struct row {
    char name[128];
    const struct call *call;
    const struct fault *fault;
    const char *first;
};

/* The client learns what `known` says, from good replies. */
static void prepare(struct world *w, const struct call *call)
{
    SKIP_UNLESS_LITTLE_ENDIAN();
    w->client = NULL;
    switch (call->known) {
    case NOTHING:
        script_init(&w->script);
        break;
    case VERSION_ONLY:
        script_init(&w->script);
        w->client = script_client(&w->script, SAY_VERSION);
        break;
    case DEVICE:
        w->client = known_device(&w->script, call->caps);
        break;
    case REGION:
        w->client = known_region(&w->script, call->caps, SAY_REGION0);
        break;
    case IRQ:
        w->client = known_msix(&w->script, call->caps);
        break;
    }
}

static void finish(struct world *w)
{
    vfuc_close(w->client);
    assert_true(w->script.closed);
    script_done(&w->script);
}

/* What needs no knowledge of the body. */
static const struct fault any_reply[] = {
    { .name = "the id of another command", .id_off = 1 },
    { .name = "an id from the past", .id_off = 0xffff },
    { .name = "the number of another command", .command_off = 1 },
    { .name = "a command number far off", .command_off = 0x4000 },
    { .name = "a type that does not exist", .flags = 0x2 },
    { .name = "the last type that does not exist", .flags = 0xf },
    { .name = "a type that does not exist, and Error", .flags = 0x22 },
    { .name = "an error with the id of another command", .id_off = 1, .flags = 0x21 },
    { .name = "a message shorter than its header", .result = -EBADMSG },
    { .name = "a message beyond our limit", .result = -EMSGSIZE },
    { .name = "a message beyond our limit, with descriptors", .result = -EMSGSIZE,
      .n_fds = 3 },
    { .name = "a body that is a byte too short", .cut = true },
    { .name = "a body that is a byte too long", .more = true },
    { .name = "a body that is a byte too long, with descriptors", .more = true,
      .n_fds = 2 },
};

/* ---------------------------------------------------------------- running -- */

static void apply(struct line *l, const struct fault *f)
{
    if (f->result != 0)
        l->result = f->result;
    l->id_off = f->id_off;
    l->command_off = f->command_off;
    if (f->flags != 0)
        l->h.flags = f->flags;
    if (f->cut)
        l->body_len--;
    if (f->more) {
        l->body = realloc(l->body, l->body_len + 1);
        assert_non_null(l->body);
        l->body[l->body_len++] = 0x5a;
    }
    l->h.size = (uint32_t)(VU_HEADER_SIZE + l->body_len);
    l->n_fds = f->n_fds;
}

static void expect_closed(struct world *w)
{
    size_t n_said = w->script.n_said;

    assert_true(w->script.closed);
    if (w->client == NULL)
        return;
    assert_string_not_equal(vfuc_last_error(w->client), "");
    assert_int_equal(vfuc_fd(w->client), -1);
    assert_int_equal(vfuc_reset(w->client), -ENOTCONN);
    assert_int_equal(vfuc_dispatch(w->client), -ENOTCONN);
    assert_int_equal(w->script.n_said, n_said);
}

static void is_a_broken_protocol(void **state)
{
    const struct row *row = *state;
    int fds = vu_test_open_fds();
    const char *body = row->fault->body != NULL ? row->fault->body : row->call->good;
    struct world w;

    prepare(&w, row->call);
    if (row->first != NULL)
        script_say(&w.script, row->first)->n_fds = 1;
    apply(script_say(&w.script, body), row->fault);
    assert_int_equal(row->call->run(&w), -EPROTO);
    assert_int_equal(w.script.next, w.script.n_lines);
    expect_closed(&w);
    finish(&w);
    assert_int_equal(vu_test_open_fds(), fds);
}

static void good_reply_is_taken(void **state)
{
    const struct row *row = *state;
    int fds = vu_test_open_fds();
    struct world w;

    prepare(&w, row->call);
    script_say(&w.script, row->call->good);
    assert_int_equal(row->call->run(&w), 0);
    assert_false(w.script.closed);
    finish(&w);
    assert_int_equal(vu_test_open_fds(), fds);
}

/* How many descriptors more are open after a good reply that brings so many. */
static int left_open(const struct call *call, size_t n_fds)
{
    int fds = vu_test_open_fds(), left;
    struct world w;

    prepare(&w, call);
    script_say(&w.script, call->good)->n_fds = n_fds;
    assert_int_equal(call->run(&w), 0);
    left = vu_test_open_fds() - fds;
    finish(&w);
    return left;
}

/* Descriptors that belong to nothing are no fault, but they are closed. */
static void stray_descriptors_are_closed(void **state)
{
    const struct row *row = *state;

    assert_int_equal(left_open(row->call, 3), left_open(row->call, 0));
}

static void refusal_is_remote(void **state)
{
    const struct row *row = *state;
    int fds = vu_test_open_fds();
    struct world w;

    prepare(&w, row->call);
    script_refuse(&w.script, 16)->n_fds = 1;
    assert_int_equal(row->call->run(&w), -EREMOTEIO);
    if (w.client != NULL) {
        assert_false(w.script.closed);
        assert_int_equal(vfuc_last_errno(w.client), 16);
        assert_non_null(strstr(vfuc_last_error(w.client), "EBUSY"));
    }
    finish(&w);
    assert_int_equal(vu_test_open_fds(), fds);
}

static void end_of_file_is_a_lost_connection(void **state)
{
    const struct row *row = *state;
    struct world w;

    prepare(&w, row->call);
    script_fail(&w.script, 0);
    assert_int_equal(row->call->run(&w), -ENOTCONN);
    expect_closed(&w);
    finish(&w);
}

static void silence_ends_in_a_timeout(void **state)
{
    const struct row *row = *state;
    struct world w;

    prepare(&w, row->call);
    script_fail(&w.script, -EINTR);     /* a signal does not end the wait */
    script_fail(&w.script, -ETIMEDOUT);
    assert_int_equal(row->call->run(&w), -ETIMEDOUT);
    assert_int_equal(w.script.next, w.script.n_lines);
    expect_closed(&w);
    finish(&w);
}

/* ------------------------------------------------------------------- rows -- */

#define ROWS_MAX 1024

struct table {
    struct row rows[ROWS_MAX];
    struct CMUnitTest tests[ROWS_MAX];
    size_t n;
};

static void add_row(struct table *t, CMUnitTestFunction run, const struct call *call,
                    const char *name, const struct fault *fault, const char *first)
{
    struct row *row = &t->rows[t->n];

    if (t->n == ROWS_MAX)
        abort();
    *row = (struct row){ .call = call, .fault = fault, .first = first };
    snprintf(row->name, sizeof(row->name), "%s: %s", call->name, name);
    t->tests[t->n++] = (struct CMUnitTest){
        .name = row->name, .test_func = run, .initial_state = row,
    };
}

/* A body of any length may follow VERSION, and an empty one cannot be cut. */
static void add_any(struct table *t, const struct call *call)
{
    add_row(t, good_reply_is_taken, call, "a good reply is taken", NULL, NULL);
    add_row(t, stray_descriptors_are_closed, call, "stray descriptors are closed", NULL,
            NULL);
    add_row(t, refusal_is_remote, call, "a refusal is told as such", NULL, NULL);
    add_row(t, end_of_file_is_a_lost_connection, call, "the server leaves", NULL, NULL);
    add_row(t, silence_ends_in_a_timeout, call, "the server says nothing", NULL, NULL);
    for (size_t i = 0; i < COUNT(any_reply); i++) {
        const struct fault *f = &any_reply[i];

        if (!f->cut || call->good[0] != '\0')
            add_row(t, is_a_broken_protocol, call, f->name, f, NULL);
    }
}

int malformed_run(const char *file, const struct call *calls, size_t n_calls,
                  const struct faults *sets, size_t n_sets)
{
    struct table *t = calloc(1, sizeof(*t));
    int failed;

    if (t == NULL)
        abort();
    for (size_t i = 0; i < n_calls; i++)
        add_any(t, &calls[i]);
    for (size_t i = 0; i < n_sets; i++) {
        for (size_t k = 0; k < sets[i].n; k++) {
            const struct fault *f = &sets[i].faults[k];

            add_row(t, is_a_broken_protocol, &calls[f->call], f->name, f, sets[i].first);
        }
    }
    failed = _cmocka_run_group_tests(file, t->tests, t->n, NULL, NULL);
    free(t);
    return failed != 0;
}
