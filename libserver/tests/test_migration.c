/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The states of migration. Paths are checked three times: against the
 * specification's table as it is printed, against a search over the arcs of the
 * kernel's header, and by walking at random.
 */
#include "libserver/tests/life.h"
#include "libserver/tests/migrate.h"

#include "libserver/migration.h"

static const uint64_t flag_sets[] = { BASIC, PRE, P2P, ALL };

#define N_SETS (sizeof(flag_sets) / sizeof(flag_sets[0]))

/* What a client may ask for: all states, and numbers that are none. */
static const uint32_t wishes[] = {
    VU_MIG_ERROR, VU_MIG_STOP, VU_MIG_RUNNING, VU_MIG_STOP_COPY, VU_MIG_RESUMING,
    VU_MIG_RUNNING_P2P, VU_MIG_PRE_COPY, VU_MIG_PRE_COPY_P2P, 8, 9, 255, 256, 0xabcd,
    0x80000000, 0xffffffff,
};

#define N_WISHES (sizeof(wishes) / sizeof(wishes[0]))

/* ---------------------------------------------------------------- oracle -- */

/* The arcs that a driver implements, in the words of linux/vfio.h; P2P replaces some. */
struct arc {
    uint64_t needs, unless;
    uint8_t from, to;
};

static const struct arc arcs[] = {
    { BASIC, 0, VU_MIG_STOP, VU_MIG_STOP_COPY },
    { BASIC, 0, VU_MIG_STOP_COPY, VU_MIG_STOP },
    { BASIC, 0, VU_MIG_STOP, VU_MIG_RESUMING },
    { BASIC, 0, VU_MIG_RESUMING, VU_MIG_STOP },
    { BASIC, VU_MIGRATION_P2P, VU_MIG_RUNNING, VU_MIG_STOP },
    { BASIC, VU_MIGRATION_P2P, VU_MIG_STOP, VU_MIG_RUNNING },
    { P2P, 0, VU_MIG_RUNNING, VU_MIG_RUNNING_P2P },
    { P2P, 0, VU_MIG_RUNNING_P2P, VU_MIG_RUNNING },
    { P2P, 0, VU_MIG_RUNNING_P2P, VU_MIG_STOP },
    { P2P, 0, VU_MIG_STOP, VU_MIG_RUNNING_P2P },
    { PRE, 0, VU_MIG_RUNNING, VU_MIG_PRE_COPY },
    { PRE, 0, VU_MIG_PRE_COPY, VU_MIG_RUNNING },
    { PRE, VU_MIGRATION_P2P, VU_MIG_PRE_COPY, VU_MIG_STOP_COPY },
    { ALL, 0, VU_MIG_PRE_COPY, VU_MIG_PRE_COPY_P2P },
    { ALL, 0, VU_MIG_PRE_COPY_P2P, VU_MIG_PRE_COPY },
    { ALL, 0, VU_MIG_PRE_COPY_P2P, VU_MIG_RUNNING_P2P },
    { ALL, 0, VU_MIG_RUNNING_P2P, VU_MIG_PRE_COPY_P2P },
    { ALL, 0, VU_MIG_PRE_COPY_P2P, VU_MIG_STOP_COPY },
};

static bool arc_exists(uint64_t flags, const struct arc *a)
{
    return (a->needs & ~flags) == 0 && (a->unless & flags) == 0;
}

static bool saves(uint32_t state)
{
    return state == VU_MIG_STOP_COPY || state == VU_MIG_PRE_COPY ||
           state == VU_MIG_PRE_COPY_P2P;
}

/* Between two saving states the stream goes on; elsewhere none may begin and end. */
static bool may_pass(uint32_t via, uint32_t from, uint32_t to)
{
    return saves(via) == (saves(from) && saves(to));
}

struct paths {
    int n;                  /* shortest ones found */
    char steps[16];         /* of the last of them */
};

static void extend(uint64_t flags, uint32_t from, uint32_t to, char *steps, size_t left,
                   uint32_t at, struct paths *found)
{
    size_t n = strlen(steps);

    if (left == 0) {
        if (at == to) {
            found->n++;
            strcpy(found->steps, steps);
        }
        return;
    }
    for (size_t i = 0; i < sizeof(arcs) / sizeof(arcs[0]); i++) {
        if (arcs[i].from != at || !arc_exists(flags, &arcs[i]) ||
            (left > 1 && !may_pass(arcs[i].to, from, to)))
            continue;
        steps[n] = state_letter(arcs[i].to);
        extend(flags, from, to, steps, left - 1, arcs[i].to, found);
        steps[n] = '\0';
    }
}

/* Breadth first: all paths of 0 steps, of 1, ... A shortest one is the only one. */
static struct paths search(uint64_t flags, uint32_t from, uint32_t to)
{
    struct paths found = { 0 };

    for (size_t len = 0; len < VU_MIG_STATES && found.n == 0; len++) {
        char steps[16] = "";

        extend(flags, from, to, steps, len, from, &found);
    }
    assert_true(found.n <= 1);
    return found;
}

static bool has_state(uint64_t flags, uint32_t state)
{
    if (state == VU_MIG_RUNNING_P2P)
        return (flags & VU_MIGRATION_P2P) != 0;
    if (state == VU_MIG_PRE_COPY)
        return (flags & VU_MIGRATION_PRE_COPY) != 0;
    if (state == VU_MIG_PRE_COPY_P2P)
        return flags == ALL;
    return state != VU_MIG_ERROR && state < VU_MIG_STATES;
}

/* ----------------------------------------------------------------- paths -- */

static void say(const char *what, uint64_t flags, uint32_t from, uint32_t to)
{
    print_message("%s, flags %u: from %u (%c) to %u (%c)\n", what, (unsigned int)flags,
                  from, state_letter(from), to, state_letter(to));
}

/* Ask for a state: it is refused without a step (steps NULL), or reached by these. */
static bool walks(struct core *c, uint32_t to, const char *steps)
{
    uint32_t from = core_state(c);
    struct answer a;

    mover_forget();
    a = core_set_state(c, to);
    if (steps == NULL)
        return a.len == VU_HEADER_SIZE && a.h.error == EINVAL && core_state(c) == from &&
               mover.steps[0] == '\0';
    return a.body_len == 16 && a.h.flags == VU_F_TYPE_REPLY &&
           strcmp(mover.steps, steps) == 0 && core_state(c) == to;
}

/* As printed in the specification's table of composed paths. */
static void paths_are_those_of_the_specification(void **state)
{
    static const struct {
        uint8_t from, to;
        const char *steps;      /* NULL: forbidden */
    } rows[] = {
        { VU_MIG_STOP, VU_MIG_STOP, "" },
        { VU_MIG_STOP, VU_MIG_RUNNING, "R" },
        { VU_MIG_STOP, VU_MIG_STOP_COPY, "C" },
        { VU_MIG_STOP, VU_MIG_RESUMING, "M" },
        { VU_MIG_STOP, VU_MIG_PRE_COPY, "RP" },
        { VU_MIG_RUNNING, VU_MIG_STOP, "S" },
        { VU_MIG_RUNNING, VU_MIG_RUNNING, "" },
        { VU_MIG_RUNNING, VU_MIG_STOP_COPY, "SC" },
        { VU_MIG_RUNNING, VU_MIG_RESUMING, "SM" },
        { VU_MIG_RUNNING, VU_MIG_PRE_COPY, "P" },
        { VU_MIG_STOP_COPY, VU_MIG_STOP, "S" },
        { VU_MIG_STOP_COPY, VU_MIG_RUNNING, "SR" },
        { VU_MIG_STOP_COPY, VU_MIG_STOP_COPY, "" },
        { VU_MIG_STOP_COPY, VU_MIG_RESUMING, "SM" },
        { VU_MIG_STOP_COPY, VU_MIG_PRE_COPY, NULL },
        { VU_MIG_RESUMING, VU_MIG_STOP, "S" },
        { VU_MIG_RESUMING, VU_MIG_RUNNING, "SR" },
        { VU_MIG_RESUMING, VU_MIG_STOP_COPY, "SC" },
        { VU_MIG_RESUMING, VU_MIG_RESUMING, "" },
        { VU_MIG_RESUMING, VU_MIG_PRE_COPY, "SRP" },
        { VU_MIG_PRE_COPY, VU_MIG_STOP, "RS" },
        { VU_MIG_PRE_COPY, VU_MIG_RUNNING, "R" },
        { VU_MIG_PRE_COPY, VU_MIG_STOP_COPY, "C" },
        { VU_MIG_PRE_COPY, VU_MIG_RESUMING, "RSM" },
        { VU_MIG_PRE_COPY, VU_MIG_PRE_COPY, "" },
    };
    struct core c;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        begin_in(&c, 0, rows[i].from);
        if (!walks(&c, rows[i].to, rows[i].steps)) {
            say("path", PRE, rows[i].from, rows[i].to);
            fail_msg("expected %s, got %s", rows[i].steps, mover.steps);
        }
        core_end(&c);
    }
}

/* As linux/vfio.h draws them; a path goes through what lies between. */
static void paths_with_p2p_are_those_of_the_kernel(void **state)
{
    static const struct {
        uint8_t from, to;
        const char *steps;
    } rows[] = {
        { VU_MIG_RUNNING, VU_MIG_RUNNING_P2P, "r" },
        { VU_MIG_RUNNING, VU_MIG_STOP, "rS" },
        { VU_MIG_RUNNING, VU_MIG_STOP_COPY, "rSC" },
        { VU_MIG_RUNNING, VU_MIG_RESUMING, "rSM" },
        { VU_MIG_RUNNING, VU_MIG_PRE_COPY, "P" },
        { VU_MIG_RUNNING, VU_MIG_PRE_COPY_P2P, "rp" },
        { VU_MIG_RUNNING_P2P, VU_MIG_RUNNING, "R" },
        { VU_MIG_RUNNING_P2P, VU_MIG_STOP, "S" },
        { VU_MIG_RUNNING_P2P, VU_MIG_STOP_COPY, "SC" },
        { VU_MIG_RUNNING_P2P, VU_MIG_RESUMING, "SM" },
        { VU_MIG_RUNNING_P2P, VU_MIG_PRE_COPY, "RP" },
        { VU_MIG_RUNNING_P2P, VU_MIG_PRE_COPY_P2P, "p" },
        { VU_MIG_STOP, VU_MIG_RUNNING, "rR" },
        { VU_MIG_STOP, VU_MIG_RUNNING_P2P, "r" },
        { VU_MIG_STOP, VU_MIG_PRE_COPY, "rRP" },
        { VU_MIG_STOP, VU_MIG_PRE_COPY_P2P, "rp" },
        { VU_MIG_RESUMING, VU_MIG_RUNNING, "SrR" },
        { VU_MIG_RESUMING, VU_MIG_RUNNING_P2P, "Sr" },
        { VU_MIG_RESUMING, VU_MIG_PRE_COPY, "SrRP" },
        { VU_MIG_RESUMING, VU_MIG_PRE_COPY_P2P, "Srp" },
        { VU_MIG_STOP_COPY, VU_MIG_RUNNING, "SrR" },
        { VU_MIG_STOP_COPY, VU_MIG_RUNNING_P2P, "Sr" },
        { VU_MIG_STOP_COPY, VU_MIG_PRE_COPY, NULL },
        { VU_MIG_STOP_COPY, VU_MIG_PRE_COPY_P2P, NULL },
        { VU_MIG_PRE_COPY, VU_MIG_PRE_COPY_P2P, "p" },
        { VU_MIG_PRE_COPY, VU_MIG_STOP_COPY, "pC" },
        { VU_MIG_PRE_COPY, VU_MIG_RUNNING, "R" },
        { VU_MIG_PRE_COPY, VU_MIG_RUNNING_P2P, "Rr" },
        { VU_MIG_PRE_COPY, VU_MIG_STOP, "RrS" },
        { VU_MIG_PRE_COPY, VU_MIG_RESUMING, "RrSM" },
        { VU_MIG_PRE_COPY_P2P, VU_MIG_PRE_COPY, "P" },
        { VU_MIG_PRE_COPY_P2P, VU_MIG_STOP_COPY, "C" },
        { VU_MIG_PRE_COPY_P2P, VU_MIG_RUNNING_P2P, "r" },
        { VU_MIG_PRE_COPY_P2P, VU_MIG_RUNNING, "rR" },
        { VU_MIG_PRE_COPY_P2P, VU_MIG_STOP, "rS" },
        { VU_MIG_PRE_COPY_P2P, VU_MIG_RESUMING, "rSM" },
    };
    struct core c;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        begin_in(&c, ALL, rows[i].from);
        if (!walks(&c, rows[i].to, rows[i].steps)) {
            say("path", ALL, rows[i].from, rows[i].to);
            fail_msg("expected %s, got %s", rows[i].steps, mover.steps);
        }
        core_end(&c);
    }
}

/* What a search finds, or NULL where a client may not go. */
static const char *expected(uint64_t flags, uint32_t from, uint32_t to, struct paths *p)
{
    if (!has_state(flags, to))
        return NULL;
    *p = search(flags, from, to);
    return p->n != 0 ? p->steps : NULL;
}

static void every_pair_takes_the_shortest_legal_path(void **state)
{
    (void)state;
    for (size_t s = 0; s < N_SETS; s++)
        for (uint32_t from = 0; from < VU_MIG_STATES; from++)
            for (size_t i = 0; i < N_WISHES; i++) {
                struct paths p;
                const char *steps;
                struct core c;

                if (!has_state(flag_sets[s], from))
                    continue;
                begin_in(&c, flag_sets[s], from);
                steps = expected(flag_sets[s], from, wishes[i], &p);
                if (!walks(&c, wishes[i], steps)) {
                    say("path", flag_sets[s], from, wishes[i]);
                    fail_msg("expected %s, got %s", steps, mover.steps);
                }
                core_end(&c);
            }
}

/* The function alone, also in states that this device cannot be in. */
static void the_next_state_is_a_function_of_any_numbers(void **state)
{
    (void)state;
    for (uint64_t flags = 0; flags < 8; flags++)
        for (uint32_t from = 0; from < VU_MIG_STATES; from++)
            for (size_t i = 0; i < N_WISHES; i++) {
                int next = vus_migration_next(flags, (enum vu_mig_state)from, wishes[i]);

                if (next != -EINVAL && (next <= VU_MIG_ERROR || next >= VU_MIG_STATES)) {
                    say("next", flags, from, wishes[i]);
                    fail_msg("state %d", next);
                }
            }
    for (size_t i = 0; i < N_WISHES; i++)
        assert_int_equal(vus_migration_next(ALL, VU_MIG_ERROR, wishes[i]), -EINVAL);
}

/* Fail step `n` of a path: the device stays where the step before led, the client gets
 * the errno, and asking again completes the path. */
static void check_failing_step(uint64_t flags, uint32_t from, uint32_t to,
                               const char *steps, size_t n)
{
    char stays = n == 0 ? state_letter(from) : steps[n - 1];
    struct answer a;
    struct core c;

    begin_in(&c, flags, from);
    mover.fail_step = (int)n + 1;
    mover.fail_errno = ENODATA + (int)n;
    a = core_set_state(&c, to);
    assert_answer_error(&a, (uint32_t)mover.fail_errno);
    assert_int_equal(strlen(mover.steps), n + 1);
    assert_memory_equal(mover.steps, steps, n);
    if (state_letter(core_state(&c)) != stays) {
        say("failing step", flags, from, to);
        fail_msg("step %zu failed: in %c, not %c", n + 1, state_letter(core_state(&c)),
                 stays);
    }
    mover_forget();
    a = core_set_state(&c, to);
    assert_answer_ok(&a, 16);
    assert_string_equal(mover.steps, steps + n);
    assert_int_equal(core_state(&c), to);
    core_end(&c);
}

static void a_step_that_fails_leaves_the_state_of_the_step_before(void **state)
{
    size_t n = 0;

    (void)state;
    for (size_t s = 0; s < N_SETS; s++)
        for (uint32_t from = 1; from < VU_MIG_STATES; from++)
            for (uint32_t to = 1; to < VU_MIG_STATES; to++) {
                struct paths p = { 0 };

                if (!has_state(flag_sets[s], from) || !has_state(flag_sets[s], to))
                    continue;
                p = search(flag_sets[s], from, to);
                for (size_t i = 0; i < strlen(p.steps); i++, n++)
                    check_failing_step(flag_sets[s], from, to, p.steps, i);
            }
    assert_true(n > 100);
}

static int transition_without_errno(vfu_ctx_t *ctx, vfu_migr_state_t to)
{
    (void)ctx;
    (void)to;
    return 1;
}

static void a_step_that_fails_without_errno_is_einval(void **state)
{
    vfu_migration_callbacks_t callbacks = mover_callbacks;
    struct answer a;
    struct core c;

    (void)state;
    core_begin(&c);
    callbacks.transition = transition_without_errno;
    assert_int_equal(vfu_setup_device_migration_callbacks(c.ctx, &callbacks), 0);
    errno = EIO;            /* a stale one */
    a = core_set_state(&c, VU_MIG_STOP);
    assert_answer_error(&a, EINVAL);
    assert_int_equal(core_state(&c), VU_MIG_RUNNING);
    core_end(&c);
}

static int transition_after_a_stale_errno(vfu_ctx_t *ctx, vfu_migr_state_t to)
{
    (void)ctx;
    if (to == VFU_MIGR_STATE_STOP) {
        errno = EIO;        /* and success all the same */
        return 0;
    }
    return -1;
}

static void an_errno_of_an_earlier_step_does_not_count(void **state)
{
    vfu_migration_callbacks_t callbacks = mover_callbacks;
    struct answer a;
    struct core c;

    (void)state;
    core_begin(&c);
    callbacks.transition = transition_after_a_stale_errno;
    assert_int_equal(vfu_setup_device_migration_callbacks(c.ctx, &callbacks), 0);
    a = core_set_state(&c, VU_MIG_STOP_COPY);
    assert_answer_error(&a, EINVAL);
    assert_int_equal(core_state(&c), VU_MIG_STOP);
    core_end(&c);
}

static int transition_that_takes_pre_copy_away(vfu_ctx_t *ctx, vfu_migr_state_t to)
{
    (void)to;
    return vfu_setup_migration_flags(ctx, BASIC);
}

static void a_path_that_the_device_cuts_off_ends_where_it_is(void **state)
{
    vfu_migration_callbacks_t callbacks = mover_callbacks;
    struct answer a;
    struct core c;

    (void)state;
    begin_in(&c, 0, VU_MIG_STOP);
    callbacks.transition = transition_that_takes_pre_copy_away;
    c.ctx->migration.cb = callbacks;
    a = core_set_state(&c, VU_MIG_PRE_COPY);
    assert_answer_error(&a, EINVAL);
    assert_int_equal(core_state(&c), VU_MIG_RUNNING);
    core_end(&c);
}

/* One walk of many requests; some steps fail. The seed is printed if it goes wrong. */
static void walk_at_random(uint64_t flags, unsigned int seed)
{
    uint32_t at = VU_MIG_RUNNING;
    unsigned int random = seed;
    struct core c;

    core_begin(&c);
    mover_set_up(c.ctx, flags);
    for (int i = 0; i < 2000; i++) {
        uint32_t to = wishes[(unsigned int)rand_r(&random) % N_WISHES];
        int fail = rand_r(&random) % 4 == 0 ? rand_r(&random) % 3 + 1 : 0;
        struct paths p = { 0 };
        const char *steps = expected(flags, at, to, &p);
        struct answer a;

        mover_forget();
        mover.fail_step = fail;
        mover.fail_errno = EDOM;
        a = core_set_state(&c, to);
        if (steps == NULL) {
            assert_answer_error(&a, EINVAL);
        } else if (fail != 0 && (size_t)fail <= strlen(steps)) {
            assert_answer_error(&a, EDOM);
            p.steps[fail - 1] = '\0';
        } else {
            assert_answer_ok(&a, 16);
        }
        if (steps != NULL && p.steps[0] != '\0')
            for (uint32_t s = 1; s < VU_MIG_STATES; s++)
                if (state_letter(s) == p.steps[strlen(p.steps) - 1])
                    at = s;
        if (core_state(&c) != at) {
            say("random walk", flags, at, to);
            fail_msg("seed %u, step %d: in %u", seed, i, core_state(&c));
        }
    }
    core_end(&c);
}

static void a_random_walk_agrees_with_the_search(void **state)
{
    (void)state;
    for (unsigned int seed = 1; seed <= 20; seed++)
        walk_at_random(flag_sets[seed % N_SETS], seed);
}

/* ---------------------------------------------------------------- set-up -- */

static void the_first_state_is_running_without_a_callback(void **state)
{
    struct core c;

    (void)state;
    core_begin(&c);
    mover_set_up(c.ctx, 0);
    assert_int_equal(core_state(&c), VU_MIG_RUNNING);
    assert_string_equal(mover.steps, "");
    core_end(&c);
}

static void callbacks_must_be_complete_and_of_the_known_version(void **state)
{
    vfu_migration_callbacks_t bad[6];
    struct answer a;
    struct core c;

    (void)state;
    for (size_t i = 0; i < 6; i++)
        bad[i] = mover_callbacks;
    bad[0].version = 0;
    bad[1].version = 1;
    bad[2].version = 3;
    bad[3].transition = NULL;
    bad[4].read_data = NULL;
    bad[5].write_data = NULL;
    core_begin(&c);
    for (size_t i = 0; i < 6; i++) {
        errno = 0;
        assert_int_equal(vfu_setup_device_migration_callbacks(c.ctx, &bad[i]), -1);
        assert_int_equal(errno, EINVAL);
    }
    errno = 0;
    assert_int_equal(vfu_setup_device_migration_callbacks(c.ctx, NULL), -1);
    assert_int_equal(errno, EINVAL);
    a = core_set_state(&c, VU_MIG_STOP);
    assert_answer_error(&a, EINVAL);
    core_end(&c);
}

static void setting_callbacks_again_restarts_at_running(void **state)
{
    vfu_migration_callbacks_t callbacks = mover_callbacks;
    struct core c;

    (void)state;
    begin_in(&c, 0, VU_MIG_STOP_COPY);
    assert_int_equal(vfu_setup_device_migration_callbacks(c.ctx, &callbacks), 0);
    memset(&callbacks, 0, sizeof(callbacks));       /* they were copied */
    assert_int_equal(core_state(&c), VU_MIG_RUNNING);
    assert_string_equal(mover.steps, "");
    core_go(&c, VU_MIG_STOP);
    core_end(&c);
}

static void refused_callbacks_leave_the_earlier_ones(void **state)
{
    vfu_migration_callbacks_t bad = mover_callbacks;
    struct core c;

    (void)state;
    bad.read_data = NULL;
    begin_in(&c, 0, VU_MIG_STOP);
    assert_int_equal(vfu_setup_device_migration_callbacks(c.ctx, &bad), -1);
    assert_int_equal(core_state(&c), VU_MIG_STOP);
    core_go(&c, VU_MIG_RUNNING);
    core_end(&c);
}

static uint64_t told_flags(struct core *c)
{
    struct answer a = core_feature(c, 16, VU_FEATURE_GET | VU_FEATURE_MIGRATION, NULL, 0);
    struct vu_feature_migration m;
    struct vu_feature f;
    struct vu_reader r;

    assert_answer_ok(&a, 16);
    DECODE(feature, &a, &f);
    assert_int_equal(f.argsz, 16);
    r = vu_reader(f.data.data, f.data.len);
    assert_int_equal(vu_decode_feature_migration(&r, &m), 0);
    return m.flags;
}

static void flags_say_which_states_there_are(void **state)
{
    struct core c;

    (void)state;
    core_begin(&c);
    mover_set_up(c.ctx, 0);
    assert_int_equal(told_flags(&c), PRE);          /* 5, no P2P */
    for (uint64_t flags = 0; flags < 32; flags++) {
        bool good = (flags & BASIC) != 0 && flags <= ALL;

        errno = 0;
        assert_int_equal(vfu_setup_migration_flags(c.ctx, flags), good ? 0 : -1);
        assert_int_equal(errno, good ? 0 : EINVAL);
        if (good)
            assert_int_equal(told_flags(&c), flags);
    }
    assert_int_equal(vfu_setup_migration_flags(c.ctx, (uint64_t)1 << 32 | BASIC), -1);
    core_end(&c);
}

static void flags_need_callbacks(void **state)
{
    struct core c;

    (void)state;
    core_begin(&c);
    errno = 0;
    assert_int_equal(vfu_setup_migration_flags(c.ctx, PRE), -1);
    assert_int_equal(errno, EINVAL);
    core_end(&c);
}

/* -------------------------------------------------------- other commands -- */

/* Commands are served in every state alike. */
static void every_command_is_served_in_every_state(void **state)
{
    static const uint8_t region[32] = { 32, [8] = 2 };
    static const uint8_t info[16] = { 16 };
    struct core c;

    (void)state;
    for (uint32_t s = 1; s < VU_MIG_STATES; s++) {
        struct vu_irq_set disable = {
            .flags = VU_IRQ_SET_DATA_NONE | VU_IRQ_SET_ACTION_TRIGGER,
            .index = VFU_DEV_MSIX_IRQ,
        };
        struct answer a;

        begin_in(&c, ALL, s);
        say("commands", ALL, s, s);
        a = core_send(&c, VU_DEVICE_GET_INFO, info, sizeof(info));
        assert_answer_ok(&a, 16);
        a = core_send(&c, VU_DEVICE_GET_REGION_INFO, region, sizeof(region));
        assert_answer_ok(&a, 32);
        a = core_send(&c, VU_DEVICE_GET_IRQ_INFO, info, sizeof(info));
        assert_answer_ok(&a, 16);
        a = core_set_irqs(&c, disable, NULL, 0, NULL, 0);
        assert_answer_ok(&a, 0);
        a = core_region_write(&c, 0, 0, "\1\2\3\4", 4);
        assert_answer_ok(&a, 16);
        a = core_region_read(&c, 0, 0, 4);
        assert_answer_ok(&a, 20);
        a = core_dma_map(&c, (struct vu_dma_map){ .flags = 3, .address = 0x1000,
                                                  .size = 0x1000 }, -1);
        assert_answer_ok(&a, 0);
        a = core_dma_unmap(&c, (struct vu_dma_unmap){ .address = 0x1000,
                                                      .size = 0x1000 });
        assert_answer_ok(&a, 24);
        assert_int_equal(core_state(&c), s);
        a = core_send(&c, VU_DEVICE_RESET, NULL, 0);
        assert_answer_ok(&a, 0);
        assert_int_equal(core_state(&c), VU_MIG_RUNNING);
        assert_string_equal(mover.steps, "");
        core_end(&c);
    }
}

/* -------------------------------------------------------------- sessions -- */

/* The same over a socket: state by state, the client leaves and another one comes. */
static uint32_t socket_state(struct life *l, int fd)
{
    static struct received m;
    uint8_t bytes[64], body[16];
    size_t n = put_feature(body, sizeof(body), 16,
                           VU_FEATURE_GET | VU_FEATURE_MIG_DEVICE_STATE, NULL, 0);

    put_message(bytes, 3, VU_DEVICE_FEATURE, 0, body, n);
    client_send(fd, bytes, VU_HEADER_SIZE + n);
    assert_run(l, 1, 0);
    client_receive(fd, &m);
    assert_int_equal(m.h.flags, VU_F_TYPE_REPLY);
    assert_int_equal(m.body_len, 16);
    return m.body[8];
}

static void a_new_client_finds_the_device_running(void **state)
{
    struct life l;

    (void)state;
    life_begin(&l, LIBVFIO_USER_FLAG_ATTACH_NB);
    mover_set_up(l.core.ctx, ALL);
    for (uint8_t s = 1; s < VU_MIG_STATES; s++) {
        int fd = life_client(&l);

        say("client leaves", ALL, s, s);
        assert_int_equal(socket_state(&l, fd), VU_MIG_RUNNING);
        mover_forget();
        socket_set_state(&l, fd, s);
        assert_int_equal(socket_state(&l, fd), s);
        mover_forget();
        close(fd);
        assert_run(&l, -1, ENOTCONN);
        assert_string_equal(mover.steps, "");
        assert_int_equal(l.core.seen.resets, s);
        assert_int_equal(l.core.seen.reset_type, VFU_RESET_LOST_CONN);
    }
    life_end(&l);
}

/* The client leaves while its request waits for the device. */
static void a_client_that_leaves_while_a_state_is_pending_leaves_none(void **state)
{
    static const int answers[] = { 0, EIO };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        uint8_t bytes[64], body[16], data[8] = { VU_MIG_STOP_COPY };
        struct life l;
        int fd;

        life_begin(&l, LIBVFIO_USER_FLAG_ATTACH_NB);
        mover_set_up(l.core.ctx, 0);
        vfu_setup_device_quiesce_cb(l.core.ctx, core_quiesce);
        fd = life_client(&l);
        put_feature(body, sizeof(body), 16, VU_FEATURE_SET | VU_FEATURE_MIG_DEVICE_STATE,
                    data, sizeof(data));
        put_message(bytes, 2, VU_DEVICE_FEATURE, 0, body, sizeof(body));
        client_send(fd, bytes, VU_HEADER_SIZE + sizeof(body));
        l.core.how.quiesce_errno = EBUSY;
        assert_run(&l, -1, EBUSY);
        close(fd);
        l.core.how.quiesce_errno = 0;
        assert_int_equal(vfu_device_quiesced(l.core.ctx, answers[i]), 0);
        while (vfu_run_ctx(l.core.ctx) >= 0)
            ;
        assert_int_equal(errno, ENOTCONN);
        assert_string_equal(mover.steps, answers[i] == 0 ? "SC" : "");
        fd = life_client(&l);
        assert_int_equal(socket_state(&l, fd), VU_MIG_RUNNING);
        close(fd);
        life_end(&l);
    }
}

/* A reset callback that fails cannot keep the old client's state either. */
static void a_failing_reset_does_not_keep_the_state_for_the_next_client(void **state)
{
    struct life l;
    int fd;

    (void)state;
    life_begin(&l, LIBVFIO_USER_FLAG_ATTACH_NB);
    mover_set_up(l.core.ctx, 0);
    l.core.how.reset_errno = EIO;
    fd = life_client(&l);
    socket_set_state(&l, fd, VU_MIG_STOP_COPY);
    close(fd);
    assert_run(&l, -1, ENOTCONN);
    fd = life_client(&l);
    assert_int_equal(socket_state(&l, fd), VU_MIG_RUNNING);
    close(fd);
    life_end(&l);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(paths_are_those_of_the_specification),
    VU_FD_TEST(paths_with_p2p_are_those_of_the_kernel),
    VU_FD_TEST(every_pair_takes_the_shortest_legal_path),
    VU_FD_TEST(the_next_state_is_a_function_of_any_numbers),
    VU_FD_TEST(a_step_that_fails_leaves_the_state_of_the_step_before),
    VU_FD_TEST(a_step_that_fails_without_errno_is_einval),
    VU_FD_TEST(an_errno_of_an_earlier_step_does_not_count),
    VU_FD_TEST(a_path_that_the_device_cuts_off_ends_where_it_is),
    VU_FD_TEST(a_random_walk_agrees_with_the_search),
    VU_FD_TEST(the_first_state_is_running_without_a_callback),
    VU_FD_TEST(callbacks_must_be_complete_and_of_the_known_version),
    VU_FD_TEST(setting_callbacks_again_restarts_at_running),
    VU_FD_TEST(refused_callbacks_leave_the_earlier_ones),
    VU_FD_TEST(flags_say_which_states_there_are),
    VU_FD_TEST(flags_need_callbacks),
    VU_FD_TEST(every_command_is_served_in_every_state),
    VU_FD_TEST(a_new_client_finds_the_device_running),
    VU_FD_TEST(a_client_that_leaves_while_a_state_is_pending_leaves_none),
    VU_FD_TEST(a_failing_reset_does_not_keep_the_state_for_the_next_client),
};

VU_TEST_MAIN(tests)
