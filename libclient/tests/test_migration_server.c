/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device's state goes from one process to another, both of our server's library.
 */
#include "libclient/tests/moving.h"

static struct {
    struct moving process;
    struct vfuc_client *client;
} source, target;

static uint8_t stream[1 << 20];

/* -------------------------------------------------------------------- set-up -- */

static int start(void **state, const char *word)
{
    if (vu_test_fds_before(state) != 0 || moving_prepare(&source.process) != 0
        || moving_prepare(&target.process) != 0)
        return -1;
    moving_start(&source.process, word);
    moving_start(&target.process, word);
    return moving_connect(&source.process, NULL, &source.client) == 0
        && moving_connect(&target.process, NULL, &target.client) == 0 ? 0 : -1;
}

static int start_both(void **state)
{
    return start(state, NULL);
}

static int start_both_p2p(void **state)
{
    return start(state, "p2p");
}

static int end_both(void **state)
{
    int a, b;

    vfuc_close(source.client);
    vfuc_close(target.client);
    source.client = target.client = NULL;
    a = moving_clean_up(&source.process);
    b = moving_clean_up(&target.process);
    return vu_test_fds_after(state) == 0 && a == 0 && b == 0 ? 0 : -1;
}

static void go(struct vfuc_client *c, enum vfuc_mig_state to)
{
    int err = vfuc_migration_set_state(c, to);

    if (err != 0)
        fail_msg("to %s: %d (%s)", vfuc_migration_state_name(to), err,
                 vfuc_last_error(c));
}

static enum vfuc_mig_state state_of(struct vfuc_client *c)
{
    enum vfuc_mig_state state = VFUC_MIG_ERROR;

    assert_int_equal(vfuc_migration_state(c, &state), 0);
    return state;
}

/* All that the source has to say for now, `piece` bytes at a time, behind `len`. */
static size_t take(size_t len, size_t piece)
{
    size_t got;

    do {
        assert_true(len + piece <= sizeof(stream));
        assert_int_equal(vfuc_migration_read(source.client, stream + len, piece, &got),
                         0);
        len += got;
    } while (got == piece);
    return len;
}

static void give(size_t len, size_t piece)
{
    for (size_t at = 0; at < len; at += piece) {
        size_t n = len - at < piece ? len - at : piece;

        assert_int_equal(vfuc_migration_write(target.client, stream + at, n), 0);
    }
}

/* What the source has at `seed`, known by its pattern. */
static void fill_memory(unsigned seed)
{
    uint8_t block[4096];

    for (uint32_t at = 0; at < MOVING_MEMORY; at += sizeof(block)) {
        for (uint32_t i = 0; i < sizeof(block); i++)
            block[i] = (uint8_t)((at + i) * 7 + (at >> 8) + seed);
        assert_int_equal(vfuc_region_write(source.client, 1, at, block, sizeof(block)),
                         0);
    }
}

static void expect_same_device(void)
{
    uint8_t a[4096], b[4096];

    assert_int_equal(moving_get(target.client, MOVING_MARK),
                     moving_get(source.client, MOVING_MARK));
    assert_int_equal(moving_get(target.client, MOVING_TARGET),
                     moving_get(source.client, MOVING_TARGET));
    for (uint32_t at = 0; at < MOVING_MEMORY; at += sizeof(a)) {
        assert_int_equal(vfuc_region_read(source.client, 1, at, a, sizeof(a)), 0);
        assert_int_equal(vfuc_region_read(target.client, 1, at, b, sizeof(b)), 0);
        assert_memory_equal(a, b, sizeof(a));
    }
    assert_int_equal(moving_get(source.client, MOVING_PID), source.process.pid);
    assert_int_equal(moving_get(target.client, MOVING_PID), target.process.pid);
}

/* ------------------------------------------------------------------- moving -- */

static void move_standing(size_t piece, unsigned seed)
{
    size_t len;

    fill_memory(seed);
    moving_set(source.client, MOVING_MARK, 0x1122334455667788 + seed);
    moving_set(source.client, MOVING_TARGET, 0x99000 + seed);
    go(source.client, VFUC_MIG_STOP_COPY);
    len = take(0, piece);
    assert_true(len > MOVING_MEMORY);
    go(target.client, VFUC_MIG_RESUMING);
    give(len, piece);
    go(target.client, VFUC_MIG_RUNNING);
    assert_int_equal(state_of(target.client), VFUC_MIG_RUNNING);
    expect_same_device();
    go(source.client, VFUC_MIG_RUNNING);
}

static void standing_device_is_moved(void **state)
{
    (void)state;
    move_standing(vfuc_migration_chunk(source.client), 1);
}

static void stream_may_be_cut_anywhere(void **state)
{
    (void)state;
    move_standing(4096, 2);
    move_standing(1021, 3);
    move_standing(37, 4);
}

static void running_device_is_moved_after_a_first_copy(void **state)
{
    size_t first, len;

    (void)state;
    fill_memory(5);
    moving_set(source.client, MOVING_MARK, 1);
    go(source.client, VFUC_MIG_PRE_COPY);
    first = take(0, 8192);
    assert_true(first > MOVING_MEMORY);
    assert_int_equal(take(first, 8192), first);     /* nothing new */
    moving_set(source.client, MOVING_MARK, 2);
    fill_memory(6);
    go(source.client, VFUC_MIG_STOP_COPY);
    len = take(first, 8192);
    assert_true(len > first);
    go(target.client, VFUC_MIG_RESUMING);
    give(len, 8192);
    go(target.client, VFUC_MIG_RUNNING);
    expect_same_device();
    assert_int_equal(moving_get(target.client, MOVING_MARK), 2);
}

static void devices_with_p2p_states_are_moved(void **state)
{
    uint64_t flags = 0;

    (void)state;
    assert_int_equal(vfuc_migration_flags(source.client, &flags), 0);
    assert_true((flags & VFUC_MIGRATION_P2P) != 0);
    move_standing(4096, 7);
    go(source.client, VFUC_MIG_PRE_COPY_P2P);
    assert_int_equal(state_of(source.client), VFUC_MIG_PRE_COPY_P2P);
    go(source.client, VFUC_MIG_RUNNING_P2P);
    assert_int_equal(state_of(source.client), VFUC_MIG_RUNNING_P2P);
}

/* -------------------------------------------------------------------- states -- */

/* Every pair, on a real server: it is where it was led to, or nothing has changed. */
static void every_pair_that_has_a_way(bool p2p)
{
    for (unsigned from = 1; from < 8; from++) {
        for (unsigned to = 1; to < 8; to++) {
            bool is_p2p = from == 5 || from == 7 || to == 5 || to == 7;
            bool none = from == VFUC_MIG_STOP_COPY && (to == 6 || to == 7);
            int err;

            if (is_p2p && !p2p)
                continue;
            assert_int_equal(vfuc_reset(source.client), 0);
            go(source.client, VFUC_MIG_RUNNING);
            if (from == VFUC_MIG_RESUMING)
                continue;       /* it cannot be left without a stream */
            go(source.client, (enum vfuc_mig_state)from);
            err = vfuc_migration_set_state(source.client, (enum vfuc_mig_state)to);
            assert_int_equal(err, none ? -EINVAL : 0);
            assert_int_equal(state_of(source.client), none ? from : to);
        }
    }
}

static void server_follows_every_way(void **state)
{
    (void)state;
    every_pair_that_has_a_way(false);
}

static void server_with_p2p_states_follows_every_way(void **state)
{
    (void)state;
    every_pair_that_has_a_way(true);
}

static void device_stays_where_a_step_was_refused(void **state)
{
    (void)state;
    moving_set(source.client, MOVING_REFUSE, VFUC_MIG_STOP_COPY);
    assert_int_equal(vfuc_migration_set_state(source.client, VFUC_MIG_STOP_COPY),
                     -EREMOTEIO);
    assert_int_equal(vfuc_last_errno(source.client), EBUSY);
    assert_non_null(strstr(vfuc_last_error(source.client), "from STOP to STOP_COPY"));
    assert_int_equal(state_of(source.client), VFUC_MIG_STOP);
    go(source.client, VFUC_MIG_STOP_COPY);      /* the second time it goes */
}

static void stream_that_is_cut_short_is_refused(void **state)
{
    size_t len;

    (void)state;
    go(source.client, VFUC_MIG_STOP_COPY);
    len = take(0, 4096);
    go(target.client, VFUC_MIG_RESUMING);
    give(len - 1, 4096);
    assert_int_equal(vfuc_migration_set_state(target.client, VFUC_MIG_RUNNING),
                     -EREMOTEIO);
    assert_int_equal(vfuc_last_errno(target.client), EINVAL);
    assert_int_equal(state_of(target.client), VFUC_MIG_RESUMING);
    assert_int_equal(vfuc_reset(target.client), 0);
    assert_int_equal(state_of(target.client), VFUC_MIG_RUNNING);
}

static void data_flow_in_their_states_only(void **state)
{
    uint8_t byte = 0;
    size_t got;

    (void)state;
    assert_int_equal(vfuc_migration_read(source.client, &byte, 1, &got), -EREMOTEIO);
    assert_int_equal(vfuc_migration_write(source.client, &byte, 1), -EREMOTEIO);
    go(source.client, VFUC_MIG_RESUMING);
    assert_int_equal(vfuc_migration_read(source.client, &byte, 1, &got), -EREMOTEIO);
    assert_int_equal(vfuc_reset(source.client), 0);
}

static void features_are_probed(void **state)
{
    (void)state;
    assert_int_equal(vfuc_feature_probe(source.client, VFUC_FEATURE_MIGRATION,
                                        VFUC_FEATURE_GET), 0);
    assert_int_equal(vfuc_feature_probe(source.client, VFUC_FEATURE_MIGRATION,
                                        VFUC_FEATURE_SET), -EREMOTEIO);
    assert_int_equal(vfuc_feature_probe(source.client, VFUC_FEATURE_MIG_DEVICE_STATE,
                                        VFUC_FEATURE_GET | VFUC_FEATURE_SET), 0);
    assert_int_equal(vfuc_feature_probe(source.client, 60000, 0), -EREMOTEIO);
}

/* ----------------------------------------------------------- without waiting -- */

static void completes(struct vfuc_client *c, uint64_t tag, size_t bytes)
{
    struct vfuc_completion got;

    assert_int_equal(vfuc_wait(c, &got, 1, -1), 1);
    assert_int_equal(got.tag, tag);
    assert_int_equal(got.result, 0);
    assert_int_equal(got.bytes, bytes);
}

static void submitted_messages_move_a_device(void **state)
{
    enum { PIECE = 4096, N = 40 };  /* more than there is: the last reads bring nothing */
    size_t len = 0;

    (void)state;
    fill_memory(8);
    moving_set(source.client, MOVING_MARK, 0x88);
    assert_int_equal(vfuc_submit_migration_state(source.client, VFUC_MIG_STOP_COPY, 1),
                     0);
    assert_int_equal(vfuc_submit_migration_state(target.client, VFUC_MIG_RESUMING, 2),
                     0);
    completes(source.client, 1, 0);
    completes(target.client, 2, 0);
    for (uint64_t i = 0; i < N; i++)
        assert_int_equal(vfuc_submit_migration_read(source.client, stream + i * PIECE,
                                                    PIECE, i), 0);
    for (uint64_t i = 0; i < N; i++) {
        struct vfuc_completion got;

        assert_int_equal(vfuc_wait(source.client, &got, 1, -1), 1);
        assert_int_equal(got.tag, i);
        assert_int_equal(got.result, 0);
        len += got.bytes;
    }
    assert_true(len > MOVING_MEMORY);
    for (size_t at = 0; at < len; at += PIECE)
        assert_int_equal(vfuc_submit_migration_write(
            target.client, stream + at, len - at < PIECE ? len - at : PIECE, at), 0);
    assert_int_equal(vfuc_submit_migration_state(target.client, VFUC_MIG_RUNNING, 3), 0);
    for (size_t at = 0; at < len; at += PIECE)
        completes(target.client, at, 0);
    completes(target.client, 3, 0);
    expect_same_device();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start_both, end_both)
#define P2P_TEST(f) cmocka_unit_test_setup_teardown(f, start_both_p2p, end_both)

static const struct CMUnitTest tests[] = {
    TEST(standing_device_is_moved),
    TEST(stream_may_be_cut_anywhere),
    TEST(running_device_is_moved_after_a_first_copy),
    P2P_TEST(devices_with_p2p_states_are_moved),
    TEST(server_follows_every_way),
    P2P_TEST(server_with_p2p_states_follows_every_way),
    TEST(device_stays_where_a_step_was_refused),
    TEST(stream_that_is_cut_short_is_refused),
    TEST(data_flow_in_their_states_only),
    TEST(features_are_probed),
    TEST(submitted_messages_move_a_device),
};

VU_TEST_MAIN(tests)
