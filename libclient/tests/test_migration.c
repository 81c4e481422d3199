/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Migration: the messages that lead from each state to each other, and the stream.
 *
 * States are written by their numbers: 1 STOP, 2 RUNNING, 3 STOP_COPY, 4 RESUMING,
 * 5 RUNNING_P2P, 6 PRE_COPY, 7 PRE_COPY_P2P.
 */
#include "libclient/tests/script.h"

#include <stdio.h>

#include "libclient/migration.h"

static struct vfuc_client *begin(struct script *s)
{
    SKIP_UNLESS_LITTLE_ENDIAN();
    script_init(s);
    return script_client(s, SAY_VERSION);
}

static void done(struct script *s, struct vfuc_client *c)
{
    assert_int_equal(s->next, s->n_lines);
    vfuc_close(c);
    script_done(s);
}

static struct line *say_flags(struct script *s, unsigned flags)
{
    char hex[64];

    snprintf(hex, sizeof(hex), "10000000 01000100 %02x00000000000000", flags);
    return script_say(s, hex);
}

/* The reply to a GET or SET. */
static struct line *say_state(struct script *s, const char *method, unsigned state)
{
    char hex[64];

    snprintf(hex, sizeof(hex), "10000000 0200%s %02x000000 00000000", method, state);
    return script_say(s, hex);
}

#define SAY_GET(s, state) say_state(s, "0100", state)
#define SAY_SET(s, state) say_state(s, "0200", state)

/* Message i was a SET of this state. */
static void heard_set(const struct script *s, size_t i, unsigned state)
{
    char hex[128];

    snprintf(hex, sizeof(hex), "%02zx00 1000 20000000 00000000 00000000"
             "10000000 02000200 %02x000000 00000000", i, state);
    script_heard(s, i, hex, 0);
}

/* -------------------------------------------------------------------- paths -- */

#define NO_WAY "-"

/* From (row) to (column): the states that are set one after another; "": none has to be;
 * NULL: no such state. First without the P2P states. */
static const char *const plain[8][8] = {
    [1] = { NULL, "",   "2",  "3",    "4",   NULL, "26",   NULL },
    [2] = { NULL, "1",  "",   "13",   "14",  NULL, "6",    NULL },
    [3] = { NULL, "1",  "12", "",     "14",  NULL, NO_WAY, NULL },
    [4] = { NULL, "1",  "12", "13",   "",    NULL, "126",  NULL },
    [6] = { NULL, "21", "2",  "3",    "214", NULL, "",     NULL },
};

static const char *const p2p[8][8] = {
    [1] = { NULL, "",    "52",  "3",   "4",    "5",  "526",  "57"   },
    [2] = { NULL, "51",  "",    "513", "514",  "5",  "6",    "57"   },
    [3] = { NULL, "1",   "152", "",    "14",   "15", NO_WAY, NO_WAY },
    [4] = { NULL, "1",   "152", "13",  "",     "15", "1526", "157"  },
    [5] = { NULL, "1",   "2",   "13",  "14",   "",   "26",   "7"    },
    [6] = { NULL, "251", "2",   "73",  "2514", "25", "",     "7"    },
    [7] = { NULL, "51",  "52",  "3",   "514",  "5",  "6",    ""     },
};

/* A device with these flags, in state `from`, is led to state `to`. */
static void leads(unsigned flags, unsigned from, unsigned to, const char *path)
{
    bool possible = path != NULL && strcmp(path, NO_WAY) != 0;
    struct script s;
    struct vfuc_client *c = begin(&s);
    int err;

    say_flags(&s, flags);
    SAY_GET(&s, from);
    for (const char *p = path; possible && *p != '\0'; p++)
        SAY_SET(&s, (unsigned)(*p - '0'));
    err = vfuc_migration_set_state(c, (enum vfuc_mig_state)to);
    if (err != (possible || from == to ? 0 : -EINVAL))
        fail_msg("flags %u: from %u to %u: %d (%s)", flags, from, to, err,
                 vfuc_last_error(c));
    script_heard(&s, 1, "0100 1000 18000000 00000000 00000000 10000000 01000100", 0);
    script_heard(&s, 2, "0200 1000 18000000 00000000 00000000 10000000 02000100", 0);
    for (size_t i = 0; possible && path[i] != '\0'; i++)
        heard_set(&s, 3 + i, (unsigned)(path[i] - '0'));
    assert_int_equal(s.n_said, 3 + (possible ? strlen(path) : 0));
    assert_false(s.closed);
    done(&s, c);
}

static void every_pair_is_led_by_the_shortest_way(void **state)
{
    (void)state;
    for (unsigned from = 0; from < 8; from++) {
        for (unsigned to = 1; to < 8; to++)
            leads(5, from, to, plain[from][to]);
    }
}

static void devices_with_p2p_states_go_through_them(void **state)
{
    (void)state;
    for (unsigned from = 0; from < 8; from++) {
        for (unsigned to = 1; to < 8; to++)
            leads(7, from, to, p2p[from][to]);
    }
}

static void states_that_a_device_lacks_are_no_goal(void **state)
{
    (void)state;
    for (unsigned from = 1; from < 8; from++) {
        for (unsigned to = 1; to < 8; to++) {
            bool known = from < 5 && to < 5;

            leads(1, from, to, known ? plain[from][to] : NULL);
            known = from < 6 && to < 6;
            leads(3, from, to, known ? p2p[from][to] : NULL);
        }
    }
}

/* Whatever a server says of its flags and state, the way ends. */
static void every_way_ends(void **state)
{
    (void)state;
    for (uint64_t flags = 0; flags < 16; flags++) {
        for (uint32_t from = 0; from < 10; from++) {
            for (uint32_t to = 0; to < 10; to++) {
                int now = (int)from;
                unsigned steps = 0;

                while (now >= 0 && (uint32_t)now != to && steps++ < 8)
                    now = vuc_migration_next(flags, (uint32_t)now, to);
                assert_true(steps < 8);
            }
        }
    }
    assert_int_equal(vuc_migration_next(7, UINT32_MAX, 1), -EINVAL);
    assert_int_equal(vuc_migration_next(7, 1, UINT32_MAX), -EINVAL);
}

/* ----------------------------------------------------------------- refusals -- */

static void refusal_in_the_middle_ends_the_way_there(void **state)
{
    struct script s;
    struct vfuc_client *c = begin(&s);
    enum vfuc_mig_state now;

    (void)state;
    say_flags(&s, 5);
    SAY_GET(&s, 4);
    SAY_SET(&s, 1);
    script_refuse(&s, 16);
    assert_int_equal(vfuc_migration_set_state(c, VFUC_MIG_PRE_COPY), -EREMOTEIO);
    assert_int_equal(vfuc_last_errno(c), 16);
    assert_string_equal(vfuc_last_error(c), "from STOP to RUNNING: DEVICE_FEATURE: the "
                                            "server refused (EBUSY)");
    heard_set(&s, 3, 1);
    heard_set(&s, 4, 2);
    assert_int_equal(s.n_said, 5);
    SAY_GET(&s, 1);
    assert_int_equal(vfuc_migration_state(c, &now), 0);
    assert_int_equal(now, VFUC_MIG_STOP);
    done(&s, c);
}

static void refusal_at_every_step_is_the_last_message(void **state)
{
    static const unsigned way[] = { 2, 5, 1, 4 };   /* from PRE_COPY to RESUMING */

    (void)state;
    for (size_t good = 0; good < 4; good++) {
        struct script s;
        struct vfuc_client *c = begin(&s);

        say_flags(&s, 7);
        SAY_GET(&s, 6);
        for (size_t i = 0; i < good; i++)
            SAY_SET(&s, way[i]);
        script_refuse(&s, 5);
        assert_int_equal(vfuc_migration_set_state(c, VFUC_MIG_RESUMING), -EREMOTEIO);
        assert_int_equal(s.n_said, 3 + good + 1);
        heard_set(&s, 3 + good, way[good]);
        done(&s, c);
    }
}

static void device_that_cannot_be_migrated_gets_no_state(void **state)
{
    struct script s;
    struct vfuc_client *c = begin(&s);

    (void)state;
    script_refuse(&s, 25);
    assert_int_equal(vfuc_migration_set_state(c, VFUC_MIG_STOP), -EREMOTEIO);
    assert_int_equal(s.n_said, 2);
    done(&s, c);
}

static void states_that_nobody_can_be_led_to_are_not_sent(void **state)
{
    static const uint32_t none[] = { 0, 8, 0xffffffff };
    struct script s;
    struct vfuc_client *c = begin(&s);

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        enum vfuc_mig_state to = (enum vfuc_mig_state)none[i];

        assert_int_equal(vfuc_migration_set_state(c, to), -EINVAL);
        assert_int_equal(vfuc_submit_migration_state(c, to, 0), -EINVAL);
    }
    assert_int_equal(s.n_said, 1);
    done(&s, c);
}

/* ------------------------------------------------------- replies to a SET -- */

struct bad {
    const char *name;
    const char *body;
    uint32_t flags;     /* of the header, if not 0, instead of 1 */
};

/* All are about a SET of STOP. */
static struct bad bad[] = {
    { "SET: another state", "10000000 02000200 02000000 00000000", 0 },
    { "SET: a state that does not exist", "10000000 02000200 08000000 00000000", 0 },
    { "SET: no state", "10000000 02000200", 0 },
    { "SET: half of a state", "10000000 02000200 01000000", 0 },
    { "SET: nothing", "", 0 },
    { "SET: the answer to a GET", "10000000 02000100 01000000 00000000", 0 },
    { "SET: another feature", "10000000 03000200 01000000 00000000", 0 },
    { "SET: argsz 0", "00000000 02000200 01000000 00000000", 0 },
    { "SET: a byte too many", "10000000 02000200 01000000 00000000 00", 0 },
    { "SET: a type that does not exist", "10000000 02000200 01000000 00000000", 2 },
};

#define N_BAD (sizeof(bad) / sizeof(bad[0]))

static void is_a_broken_protocol(void **state)
{
    const struct bad *b = *state;
    struct script s;
    struct vfuc_client *c = begin(&s);

    say_flags(&s, 5);
    SAY_GET(&s, 2);
    script_say(&s, b->body);
    if (b->flags != 0)
        s.lines[s.n_lines - 1].h.flags = b->flags;
    assert_int_equal(vfuc_migration_set_state(c, VFUC_MIG_STOP), -EPROTO);
    assert_true(s.closed);
    assert_int_equal(vfuc_fd(c), -1);
    assert_non_null(strstr(vfuc_last_error(c), "DEVICE_FEATURE"));
    done(&s, c);
}

/* The same, submitted. */
static void is_a_broken_protocol_when_it_was_submitted(void **state)
{
    const struct bad *b = *state;
    struct vfuc_completion got[2];
    struct script s;
    struct vfuc_client *c = begin(&s);

    assert_int_equal(vfuc_submit_migration_state(c, VFUC_MIG_STOP, 9), 0);
    script_say(&s, b->body);
    if (b->flags != 0)
        s.lines[s.n_lines - 1].h.flags = b->flags;
    assert_int_equal(vfuc_complete(c, got, 2), 1);
    assert_int_equal(got[0].tag, 9);
    assert_int_equal(got[0].result, -EPROTO);
    assert_true(s.closed);
    done(&s, c);
}

/* ------------------------------------------------------------- flags, names -- */

static void flags_are_asked_for_once(void **state)
{
    struct script s;
    struct vfuc_client *c = begin(&s);
    uint64_t flags = 0;

    (void)state;
    say_flags(&s, 0x25)->body[15] = 0x80;   /* bits that we do not know come through */
    assert_int_equal(vfuc_migration_flags(c, &flags), 0);
    assert_int_equal(flags, UINT64_C(0x8000000000000025));
    assert_int_equal(vfuc_migration_flags(c, &flags), 0);
    assert_int_equal(s.n_said, 2);
    done(&s, c);
}

static void refused_flags_are_asked_for_again(void **state)
{
    struct script s;
    struct vfuc_client *c = begin(&s);
    uint64_t flags = 77;

    (void)state;
    script_refuse(&s, 25);
    assert_int_equal(vfuc_migration_flags(c, &flags), -EREMOTEIO);
    assert_int_equal(flags, 77);
    say_flags(&s, 1);
    assert_int_equal(vfuc_migration_flags(c, &flags), 0);
    assert_int_equal(flags, 1);
    done(&s, c);
}

static void every_state_has_its_name(void **state)
{
    static const char *const names[] = { "ERROR", "STOP", "RUNNING", "STOP_COPY",
                                         "RESUMING", "RUNNING_P2P", "PRE_COPY",
                                         "PRE_COPY_P2P", "state ?" };

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_string_equal(vfuc_migration_state_name((enum vfuc_mig_state)i), names[i]);
    assert_string_equal(vfuc_migration_state_name((enum vfuc_mig_state)-1), "state ?");
}

/* -------------------------------------------------------------------- stream -- */

/* The server takes and gives 4 bytes in a message. */
static struct vfuc_client *with_small_chunks(struct script *s)
{
    SKIP_UNLESS_LITTLE_ENDIAN();
    script_init(s);     /* {"capabilities":{"max_data_xfer_size":4}} */
    return script_client(s, "0000 0100 7b226361706162696c6974696573223a7b226d61785f6461"
                            "74615f786665725f73697a65223a347d7d00");
}

static void chunk_is_what_both_sides_take(void **state)
{
    struct vfuc_options given = { .size = sizeof(given), .max_data_xfer_size = 100 };
    struct vfuc_options options;
    struct script s;
    struct vfuc_client *c = begin(&s);

    (void)state;
    assert_int_equal(vfuc_migration_chunk(c), 1048576);
    done(&s, c);
    c = with_small_chunks(&s);
    assert_int_equal(vfuc_migration_chunk(c), 4);
    done(&s, c);
    script_init(&s);
    script_say(&s, SAY_VERSION);
    assert_int_equal(vuc_options_read(&given, &options), 0);
    assert_int_equal(vuc_client_open(&script_port, &s, &options, &c), 0);
    assert_int_equal(vfuc_migration_chunk(c), 100);
    done(&s, c);
}

static void read_asks_for_what_fits_into_a_message(void **state)
{
    uint8_t buf[10] = { 0 };
    struct script s;
    struct vfuc_client *c = with_small_chunks(&s);
    size_t got;

    (void)state;
    script_say(&s, "0c000000 04000000 a1a2a3a4");
    assert_int_equal(vfuc_migration_read(c, buf, 10, &got), 0);
    script_heard(&s, 1, "0100 1100 18000000 00000000 00000000 0c000000 04000000", 0);
    assert_int_equal(got, 4);
    assert_memory_equal(buf, "\xa1\xa2\xa3\xa4\0", 5);
    script_say(&s, "0b000000 03000000 b1b2b3");
    assert_int_equal(vfuc_migration_read(c, buf, 3, &got), 0);
    script_heard(&s, 2, "0200 1100 18000000 00000000 00000000 0b000000 03000000", 0);
    assert_int_equal(got, 3);
    done(&s, c);
}

static void read_may_bring_less_or_nothing(void **state)
{
    uint8_t buf[8] = { 0 };
    struct script s;
    struct vfuc_client *c = begin(&s);
    size_t got;

    (void)state;
    script_say(&s, "0a000000 02000000 a1a2");
    assert_int_equal(vfuc_migration_read(c, buf, 8, &got), 0);
    assert_int_equal(got, 2);
    script_say(&s, "08000000 00000000");
    assert_int_equal(vfuc_migration_read(c, buf, 8, &got), 0);
    assert_int_equal(got, 0);
    done(&s, c);
}

/* One deployed server fills its reply up to what was asked for. */
static void padding_of_a_reply_is_no_data(void **state)
{
    uint8_t buf[8] = { 0 };
    struct script s;
    struct vfuc_client *c = begin(&s);
    size_t got;

    (void)state;
    script_say(&s, "0a000000 02000000 a1a2 eeeeeeeeeeee");
    assert_int_equal(vfuc_migration_read(c, buf, 8, &got), 0);
    assert_int_equal(got, 2);
    assert_memory_equal(buf, "\xa1\xa2\0\0\0\0\0\0", 8);
    done(&s, c);
}

static void write_takes_as_many_messages_as_it_needs(void **state)
{
    struct script s;
    struct vfuc_client *c = with_small_chunks(&s);

    (void)state;
    for (int i = 0; i < 3; i++)
        script_say(&s, "");
    assert_int_equal(vfuc_migration_write(c, "abcdefghij", 10), 0);
    script_heard(&s, 1, "0100 1200 1c000000 00000000 00000000 0c000000 04000000"
                 "61626364", 0);
    script_heard(&s, 2, "0200 1200 1c000000 00000000 00000000 0c000000 04000000"
                 "65666768", 0);
    script_heard(&s, 3, "0300 1200 1a000000 00000000 00000000 0a000000 02000000"
                 "696a", 0);
    assert_int_equal(s.n_said, 4);
    done(&s, c);
}

static void refused_write_ends_the_others(void **state)
{
    struct script s;
    struct vfuc_client *c = with_small_chunks(&s);

    (void)state;
    script_say(&s, "");
    script_refuse(&s, 28);
    assert_int_equal(vfuc_migration_write(c, "abcdefghij", 10), -EREMOTEIO);
    assert_int_equal(vfuc_last_errno(c), 28);
    assert_int_equal(s.n_said, 3);
    done(&s, c);
}

static void write_may_be_confirmed_with_its_header(void **state)
{
    struct script s;
    struct vfuc_client *c = begin(&s);

    (void)state;
    script_say(&s, "0a000000 02000000");
    assert_int_equal(vfuc_migration_write(c, "ab", 2), 0);
    done(&s, c);
}

static void nothing_is_neither_read_nor_written(void **state)
{
    struct script s;
    struct vfuc_client *c = with_small_chunks(&s);
    uint8_t buf[8];
    size_t got = 77;

    (void)state;
    assert_int_equal(vfuc_migration_read(c, buf, 0, &got), -EINVAL);
    assert_int_equal(got, 77);
    assert_int_equal(vfuc_migration_write(c, buf, 0), -EINVAL);
    assert_int_equal(vfuc_submit_migration_read(c, buf, 0, 0), -EINVAL);
    assert_int_equal(vfuc_submit_migration_write(c, buf, 0, 0), -EINVAL);
    assert_int_equal(vfuc_submit_migration_write(c, buf, 5, 0), -E2BIG);
    assert_int_equal(s.n_said, 1);
    done(&s, c);
}

/* ----------------------------------------------------------- without waiting -- */

static void submitted_steps_and_data_complete(void **state)
{
    struct vfuc_completion got[5];
    uint8_t buf[6] = { 0 };
    struct script s;
    struct vfuc_client *c = with_small_chunks(&s);

    (void)state;
    assert_int_equal(vfuc_submit_migration_state(c, VFUC_MIG_STOP_COPY, 1), 0);
    SAY_SET(&s, 3);
    assert_int_equal(vfuc_complete(c, got, 5), 1);
    heard_set(&s, 1, 3);
    assert_int_equal(got[0].tag, 1);
    assert_int_equal(got[0].result, 0);
    assert_int_equal(vfuc_submit_migration_read(c, buf, 6, 2), 0);
    script_say(&s, "0b000000 03000000 a1a2a3");
    assert_int_equal(vfuc_complete(c, got, 5), 1);
    script_heard(&s, 2, "0200 1100 18000000 00000000 00000000 0c000000 04000000", 0);
    assert_int_equal(got[0].tag, 2);
    assert_int_equal(got[0].result, 0);
    assert_int_equal(got[0].bytes, 3);
    assert_memory_equal(buf, "\xa1\xa2\xa3\0", 4);
    assert_int_equal(vfuc_submit_migration_write(c, "abcd", 4, 3), 0);
    script_say(&s, "");
    assert_int_equal(vfuc_complete(c, got, 5), 1);
    script_heard(&s, 3, "0300 1200 1c000000 00000000 00000000 0c000000 04000000"
                 "61626364", 0);
    assert_int_equal(got[0].tag, 3);
    assert_int_equal(got[0].result, 0);
    done(&s, c);
}

static void refusals_of_what_was_submitted_are_told(void **state)
{
    struct vfuc_completion got[2];
    uint8_t buf[6] = { 0 };
    struct script s;
    struct vfuc_client *c = begin(&s);

    (void)state;
    assert_int_equal(vfuc_submit_migration_state(c, VFUC_MIG_STOP, 1), 0);
    script_refuse(&s, 16);
    assert_int_equal(vfuc_complete(c, got, 2), 1);
    assert_int_equal(got[0].result, -EREMOTEIO);
    assert_int_equal(got[0].server_errno, 16);
    assert_int_equal(vfuc_submit_migration_read(c, buf, 6, 2), 0);
    script_refuse(&s, 22);
    assert_int_equal(vfuc_complete(c, got, 2), 1);
    assert_int_equal(got[0].result, -EREMOTEIO);
    assert_int_equal(got[0].server_errno, 22);
    assert_int_equal(got[0].bytes, 0);
    assert_int_equal(vfuc_submit_migration_write(c, buf, 6, 3), 0);
    script_refuse(&s, 28);
    assert_int_equal(vfuc_complete(c, got, 2), 1);
    assert_int_equal(got[0].result, -EREMOTEIO);
    assert_int_equal(got[0].server_errno, 28);
    done(&s, c);
}

static void bad_data_of_what_was_submitted_ends_the_connection(void **state)
{
    static const char *const bodies[] = {
        "0d000000 05000000 a1a2a3a4", "0c000000 04000000 a1a2a3",
        "00000000 04000000 a1a2a3a4", "0c000000",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct vfuc_completion got[2];
        uint8_t buf[4];
        struct script s;
        struct vfuc_client *c = begin(&s);

        assert_int_equal(vfuc_submit_migration_read(c, buf, 4, 1), 0);
        script_say(&s, bodies[i]);
        assert_int_equal(vfuc_complete(c, got, 2), 1);
        assert_int_equal(got[0].result, -EPROTO);
        assert_int_equal(got[0].bytes, 0);
        assert_true(s.closed);
        done(&s, c);
    }
}

/* ---------------------------------------------------------------------- main -- */

static const struct CMUnitTest named[] = {
    VU_FD_TEST(every_pair_is_led_by_the_shortest_way),
    VU_FD_TEST(devices_with_p2p_states_go_through_them),
    VU_FD_TEST(states_that_a_device_lacks_are_no_goal),
    VU_FD_TEST(every_way_ends),
    VU_FD_TEST(refusal_in_the_middle_ends_the_way_there),
    VU_FD_TEST(refusal_at_every_step_is_the_last_message),
    VU_FD_TEST(device_that_cannot_be_migrated_gets_no_state),
    VU_FD_TEST(states_that_nobody_can_be_led_to_are_not_sent),
    VU_FD_TEST(flags_are_asked_for_once),
    VU_FD_TEST(refused_flags_are_asked_for_again),
    VU_FD_TEST(every_state_has_its_name),
    VU_FD_TEST(chunk_is_what_both_sides_take),
    VU_FD_TEST(read_asks_for_what_fits_into_a_message),
    VU_FD_TEST(read_may_bring_less_or_nothing),
    VU_FD_TEST(padding_of_a_reply_is_no_data),
    VU_FD_TEST(write_takes_as_many_messages_as_it_needs),
    VU_FD_TEST(refused_write_ends_the_others),
    VU_FD_TEST(write_may_be_confirmed_with_its_header),
    VU_FD_TEST(nothing_is_neither_read_nor_written),
    VU_FD_TEST(submitted_steps_and_data_complete),
    VU_FD_TEST(refusals_of_what_was_submitted_are_told),
    VU_FD_TEST(bad_data_of_what_was_submitted_ends_the_connection),
};

#define N_NAMED (sizeof(named) / sizeof(named[0]))

int main(void)
{
    static char names[2 * N_BAD][100];
    static struct CMUnitTest tests[N_NAMED + 2 * N_BAD];

    memcpy(tests, named, sizeof(named));
    for (size_t i = 0; i < 2 * N_BAD; i++) {
        bool submitted = i >= N_BAD;
        struct bad *b = &bad[i % N_BAD];

        snprintf(names[i], sizeof(names[i]), "%s%s", b->name,
                 submitted ? ", submitted" : "");
        tests[N_NAMED + i] = (struct CMUnitTest){
            .name = names[i], .initial_state = b,
            .test_func = submitted ? is_a_broken_protocol_when_it_was_submitted
                                   : is_a_broken_protocol,
        };
    }
    return cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL) != 0;
}
