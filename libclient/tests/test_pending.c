/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of commands on their way: limits, ids, and replies that belong to none of
 * them.
 */
#include "libclient/tests/submitting.h"

#include <stdio.h>

#include "libclient/call.h"

/* ----------------------------------------------------------------- limits -- */

static void too_many_are_refused_until_one_is_taken(void **state)
{
    struct script s;
    struct vfuc_client *c = with_pending(&s, 3);

    (void)state;
    submit(c, 1, 3);
    assert_int_equal(vfuc_submit_reset(c, 4), -EAGAIN);
    assert_int_equal(s.n_said, 4);
    script_type(&s, RESET_OK("0100"));
    assert_int_equal(vfuc_dispatch(c), 1);
    assert_int_equal(vfuc_submit_reset(c, 4), -EAGAIN);     /* not taken yet */
    expect(c, 1, 0);
    submit(c, 4, 1);
    assert_int_equal(vfuc_submit_reset(c, 5), -EAGAIN);
    finish(&s, c);
}

static void one_at_a_time_may_be_the_limit(void **state)
{
    struct script s;
    struct vfuc_client *c = with_pending(&s, 1);

    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        char reply[64];

        submit(c, i, 1);
        assert_int_equal(vfuc_submit_reset(c, 99), -EAGAIN);
        snprintf(reply, sizeof(reply), "%02x00 0d00 10000000 01000000 00000000", i + 1);
        script_type(&s, reply);
        expect(c, i, 0);
    }
    finish(&s, c);
}

/* With the socket full, requests gather up to a bound. */
static void no_room_to_gather_is_told(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);

    (void)state;
    s.stuck = c->main.room - 20;
    s.flush_result = -EAGAIN;
    submit(c, 1, 1);
    assert_int_equal(vfuc_submit_reset(c, 2), -EAGAIN);
    assert_int_equal(vfuc_pending(c), 1);
    s.flush_result = 0;
    submit(c, 2, 1);
    finish(&s, c);
}

/* ------------------------------------------------------------------- ids -- */

static void an_id_whose_slot_is_taken_is_passed_over(void **state)
{
    struct script s;
    struct vfuc_client *c = with_pending(&s, 4);

    (void)state;
    submit(c, 1, 1);            /* id 1; there are four slots */
    c->next_id = 5;
    submit(c, 2, 1);            /* 5 has the slot of 1 */
    assert_int_equal(s.latest.msg_id, 6);
    c->next_id = 5;
    script_say(&s, "");
    assert_int_equal(vfuc_reset(c), 0);     /* who waits needs no slot */
    assert_int_equal(s.latest.msg_id, 5);
    script_type(&s, RESET_OK("0100"));
    script_type(&s, RESET_OK("0600"));
    expect(c, 1, 0);
    expect(c, 2, 0);
    finish(&s, c);
}

static void an_old_command_keeps_its_id_when_ids_go_around(void **state)
{
    struct script s;
    struct vfuc_client *c = with_pending(&s, 4);

    (void)state;
    submit(c, 1, 1);            /* id 1 */
    c->next_id = 0xffff;
    script_say(&s, "");
    assert_int_equal(vfuc_reset(c), 0);
    assert_int_equal(s.latest.msg_id, 0xffff);
    script_say(&s, "");
    assert_int_equal(vfuc_reset(c), 0);
    assert_int_equal(s.latest.msg_id, 0);
    script_say(&s, "");
    assert_int_equal(vfuc_reset(c), 0);
    assert_int_equal(s.latest.msg_id, 2);   /* 1 is on its way still */
    c->next_id = 0xfffd;        /* the slot of 1 */
    submit(c, 2, 1);
    assert_int_equal(s.latest.msg_id, 0xfffe);
    script_type(&s, RESET_OK("0100"));
    expect(c, 1, 0);
    c->next_id = 1;
    submit(c, 3, 1);
    assert_int_equal(s.latest.msg_id, 1);
    finish(&s, c);
}

static void posted_messages_have_ids_of_their_own(void **state)
{
    struct script s;
    struct vfuc_client *c = with_pending(&s, 4);
    struct vuc_request req;

    (void)state;
    submit(c, 1, 1);
    vuc_request_init(&req, VU_REGION_WRITE);
    req.flags = VU_F_NO_REPLY;
    c->next_id = 1;
    assert_int_equal(vuc_gather(c, &req), 0);
    assert_int_equal(s.latest.msg_id, 2);
    assert_int_equal(s.n_flushes, 0);
    c->next_id = 1;
    assert_int_equal(vuc_post(c, &req), 0);
    assert_int_equal(s.latest.msg_id, 2);
    assert_int_equal(vfuc_pending(c), 1);
    finish(&s, c);
}

/* -------------------------------------------------------------- malformed -- */

/* Two resets are on their way, ids 1 and 2; the server says this instead of replies. */
static const struct row {
    const char *name;
    const char *says;
    int result;         /* instead of a message */
    size_t n_fds;
    bool taken;         /* id 1 is answered before, and its completion is not taken */
} rows[] = {
    { "a reply with an id that was never used", RESET_OK("0300"), 0, 0, false },
    { "a reply with the id of VERSION", RESET_OK("0000"), 0, 0, false },
    { "a reply with the largest id", RESET_OK("ffff"), 0, 0, false },
    { "a reply with an id in the slot of ours", RESET_OK("0101"), 0, 0, false },
    { "a reply twice", RESET_OK("0100"), 0, 0, true },
    { "a refusal of what was answered", RESET_NO("0100"), 0, 0, true },
    { "a reply to another command", "0200 0400 10000000 01000000 00000000", 0, 0, false },
    { "a reply to a command that does not exist",
      "0200 ffff 10000000 01000000 00000000", 0, 0, false },
    { "a refusal of another command", "0200 0400 10000000 21000000 16000000", 0, 0,
      false },
    { "a reply with a body that may not be", "0200 0d00 11000000 01000000 00000000 00", 0,
      0, false },
    { "a reply with a body and descriptors",
      "0200 0d00 11000000 01000000 00000000 00", 0, 3, false },
    { "a type that does not exist", "0200 0d00 10000000 02000000 00000000", 0, 0, false },
    { "the last type that does not exist", "0200 0d00 10000000 0f000000 00000000", 0, 1,
      false },
    { "a type that does not exist, and Error", "0200 0d00 10000000 22000000 16000000", 0,
      0, false },
    { "a message shorter than its header", COMMAND, -EBADMSG, 0, false },
    { "a message beyond our limit", COMMAND, -EMSGSIZE, 2, false },
};

static void ends_the_connection_for_all(void **state)
{
    const struct row *row = *state;
    int fds = vu_test_open_fds();
    struct script s;
    struct vfuc_client *c = usual(&s);
    struct line *line;

    if (row->taken) {
        script_type(&s, RESET_OK("0100"));
        submit(c, 1, 1);
        assert_int_equal(vfuc_dispatch(c), 1);
        submit(c, 2, 1);
    } else {
        submit(c, 1, 2);
    }
    line = script_type(&s, row->says);
    line->n_fds = row->n_fds;
    if (row->result != 0)
        line->result = row->result;
    assert_int_equal(vfuc_dispatch(c), -EPROTO);
    assert_true(s.closed);
    assert_int_equal(vu_test_open_fds(), fds + 1);  /* the script's own */
    expect(c, 1, row->taken ? 0 : -EPROTO);
    expect(c, 2, -EPROTO);
    expect_none(c, -ENOTCONN);
    assert_string_not_equal(vfuc_last_error(c), "");
    finish(&s, c);
    assert_int_equal(vu_test_open_fds(), fds);
}

/* And the same while a blocking call waits, whose id is 3. */
static void ends_the_call_and_all_else(void **state)
{
    const struct row *row = *state;
    struct script s;
    struct vfuc_client *c = usual(&s);
    struct line *line;

    submit(c, 1, 2);
    c->next_id = 4;
    if (row->taken)
        script_type(&s, RESET_OK("0100"));
    line = script_type(&s, row->says);
    line->n_fds = row->n_fds;
    if (row->result != 0)
        line->result = row->result;
    assert_int_equal(vfuc_reset(c), -EPROTO);
    expect(c, 1, row->taken ? 0 : -EPROTO);
    expect(c, 2, -EPROTO);
    expect_none(c, -ENOTCONN);
    finish(&s, c);
}

/* Not a reply to anything: a command like others. */
static void an_error_without_type_for_nobody_is_a_command(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);

    (void)state;
    submit(c, 1, 1);
    script_type(&s, "0900 0d00 10000000 20000000 16000000");
    assert_int_equal(vfuc_dispatch(c), 1);
    script_heard(&s, 2, "0900 0d00 10000000 21000000 5f000000", 0);
    assert_int_equal(vfuc_pending(c), 1);
    finish(&s, c);
}

static void stray_descriptors_are_closed(void **state)
{
    int fds = vu_test_open_fds();
    struct script s;
    struct vfuc_client *c = usual(&s);

    (void)state;
    submit(c, 1, 2);
    script_type(&s, RESET_OK("0100"))->n_fds = 3;
    script_type(&s, RESET_NO("0200"))->n_fds = 3;
    expect(c, 1, 0);
    expect(c, 2, -EREMOTEIO);
    finish(&s, c);
    assert_int_equal(vu_test_open_fds(), fds);
}

/* ------------------------------------------------------------------- main -- */

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct CMUnitTest fixed[] = {
    VU_FD_TEST(too_many_are_refused_until_one_is_taken),
    VU_FD_TEST(one_at_a_time_may_be_the_limit),
    VU_FD_TEST(no_room_to_gather_is_told),
    VU_FD_TEST(an_id_whose_slot_is_taken_is_passed_over),
    VU_FD_TEST(an_old_command_keeps_its_id_when_ids_go_around),
    VU_FD_TEST(posted_messages_have_ids_of_their_own),
    VU_FD_TEST(an_error_without_type_for_nobody_is_a_command),
    VU_FD_TEST(stray_descriptors_are_closed),
};

static struct CMUnitTest tests[COUNT(fixed) + 2 * COUNT(rows)];
static char names[2 * COUNT(rows)][96];

static void add_row(size_t at, const char *when, const struct row *row,
                    CMUnitTestFunction run)
{
    snprintf(names[at], sizeof(names[at]), "%s: %s", when, row->name);
    tests[COUNT(fixed) + at] = (struct CMUnitTest){
        .name = names[at], .test_func = run, .initial_state = (void *)(uintptr_t)row,
    };
}

int main(void)
{
    memcpy(tests, fixed, sizeof(fixed));
    for (size_t i = 0; i < COUNT(rows); i++) {
        add_row(2 * i, "between calls", &rows[i], ends_the_connection_for_all);
        add_row(2 * i + 1, "during a call", &rows[i], ends_the_call_and_all_else);
    }
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
