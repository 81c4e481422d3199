/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contract, chapter 2.12: states of migration as the device sees them, and the
 * stream of its state.
 */
#include "libserver/tests/chapter.h"

#define STOP      VFIO_USER_DEVICE_STATE_STOP
#define RUNNING   VFIO_USER_DEVICE_STATE_RUNNING
#define STOP_COPY VFIO_USER_DEVICE_STATE_STOP_COPY
#define RESUMING  VFIO_USER_DEVICE_STATE_RESUMING
#define PRE_COPY  VFIO_USER_DEVICE_STATE_PRE_COPY

/* Lead a fresh device to a state, and forget how. */
static struct device *device_in(uint32_t state)
{
    struct device *d = device_up_migrating();

    if (state != RUNNING)
        assert_int_equal(migrate(d, state), 0);
    assert_int_equal(migration_state(d), state);
    d->events[0] = '\0';
    return d;
}

/* ----------------------------------------------------------------- states -- */

/* The table of the contract: callbacks by their own numbers (STOP 0, RUNNING 1,
 * STOP_AND_COPY 2, PRE_COPY 3, RESUME 4); NULL: EINVAL. */
static const struct {
    uint32_t from, to;
    const char *events;
} paths[] = {
    { STOP, STOP, "" },
    { STOP, RUNNING, "state:1" },
    { STOP, STOP_COPY, "state:2" },
    { STOP, RESUMING, "state:4" },
    { STOP, PRE_COPY, "state:1 state:3" },
    { RUNNING, STOP, "state:0" },
    { RUNNING, RUNNING, "" },
    { RUNNING, STOP_COPY, "state:0 state:2" },
    { RUNNING, RESUMING, "state:0 state:4" },
    { RUNNING, PRE_COPY, "state:3" },
    { STOP_COPY, STOP, "state:0" },
    { STOP_COPY, RUNNING, "state:0 state:1" },
    { STOP_COPY, STOP_COPY, "" },
    { STOP_COPY, RESUMING, "state:0 state:4" },
    { STOP_COPY, PRE_COPY, NULL },
    { RESUMING, STOP, "state:0" },
    { RESUMING, RUNNING, "state:0 state:1" },
    { RESUMING, STOP_COPY, "state:0 state:2" },
    { RESUMING, RESUMING, "" },
    { RESUMING, PRE_COPY, "state:0 state:1 state:3" },
    { PRE_COPY, STOP, "state:1 state:0" },
    { PRE_COPY, RUNNING, "state:1" },
    { PRE_COPY, STOP_COPY, "state:2" },
    { PRE_COPY, RESUMING, "state:1 state:0 state:4" },
    { PRE_COPY, PRE_COPY, "" },
};

TEST(c2_12_every_path_takes_the_steps_of_the_table)
{
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct device *d = device_in(paths[i].from);
        bool possible = paths[i].events != NULL;

        assert_int_equal(migrate(d, paths[i].to), possible ? 0 : EINVAL);
        assert_events(d, possible ? paths[i].events : "");
        assert_int_equal(migration_state(d), possible ? paths[i].to : paths[i].from);
        device_down(d);
    }
}

TEST(c2_12_states_that_a_client_cannot_ask_for_are_einval)
{
    static const uint32_t bad[] = {
        VFIO_USER_DEVICE_STATE_ERROR, VFIO_USER_DEVICE_STATE_RUNNING_P2P,
        VFIO_USER_DEVICE_STATE_PRE_COPY_P2P, 8, 9, UINT32_MAX,
    };
    struct device *d = device_in(RUNNING);

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(migrate(d, bad[i]), EINVAL);
    assert_events(d, "");
    assert_int_equal(migration_state(d), RUNNING);
    device_down(d);
}

TEST(c2_12_set_answers_with_the_request)
{
    static const uint8_t request[] = { 16, 0, 0, 0, 2, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0 };
    struct device *d = device_in(RUNNING);

    assert_int_equal(ask(d, VFIO_USER_DEVICE_FEATURE, request, sizeof(request)), 0);
    assert_int_equal(d->reply.len, sizeof(request));
    assert_memory_equal(d->reply.body, request, sizeof(request));
    device_down(d);
}

TEST(c2_12_a_step_that_fails_ends_the_walk_where_it_was)
{
    struct device *d = device_in(RESUMING);

    d->transition_errno = EIO;
    d->fails_at = VFU_MIGR_STATE_RUNNING;
    assert_int_equal(migrate(d, PRE_COPY), EIO);
    assert_events(d, "state:0 state:1");
    assert_int_equal(migration_state(d), STOP);
    d->transition_errno = 0;
    assert_int_equal(migrate(d, PRE_COPY), 0);
    device_down(d);
}

TEST(c2_12_a_first_step_that_fails_leaves_the_state)
{
    struct device *d = device_in(RUNNING);

    d->transition_errno = EBUSY;
    assert_int_equal(migrate(d, STOP), EBUSY);
    assert_int_equal(migration_state(d), RUNNING);
    device_down(d);
}

TEST(c2_12_no_callback_for_the_first_state_nor_when_the_client_leaves)
{
    struct device *d = device_up_migrating();

    assert_events(d, "");
    assert_int_equal(migrate(d, STOP), 0);
    device_detach(d);
    assert_events(d, "state:0 reset:lost");
    device_attach(d);
    assert_events(d, "");
    device_down(d);
}

/* The original keeps it and locks the next client out. */
TEST(c2_12_the_next_client_finds_the_device_running)
{
    struct vfio_user_device_info info = { .argsz = sizeof(info) };

    for (size_t i = 0; i < 4; i++) {
        static const uint32_t states[] = { STOP, STOP_COPY, RESUMING, PRE_COPY };
        struct device *d = device_in(states[i]);

        device_detach(d);
        device_attach(d);
        assert_int_equal(migration_state(d), RUNNING);
        assert_int_equal(ask(d, VFIO_USER_DEVICE_GET_INFO, &info, sizeof(info)), 0);
        device_down(d);
    }
}

TEST(c2_12_the_additions_p2p_and_no_pre_copy_change_the_paths)
{
    struct device *d = device_up_migrating();

    assert_int_equal(vfu_setup_migration_flags(d->ctx, VFIO_MIGRATION_STOP_COPY |
                                               VFIO_MIGRATION_P2P), 0);
    assert_int_equal(migrate(d, PRE_COPY), EINVAL);
    assert_int_equal(migrate(d, STOP), 0);
    assert_events(d, "state:5 state:0");
    assert_int_equal(migrate(d, VFIO_USER_DEVICE_STATE_RUNNING_P2P), 0);
    assert_events(d, "state:5");
    device_down(d);
}

/* ------------------------------------------------------------------ stream -- */

static int data_read(struct device *d, uint32_t argsz, uint32_t size)
{
    struct vfio_user_mig_data m = { argsz, size };

    return ask(d, VFIO_USER_MIG_DATA_READ, &m, sizeof(m));
}

/* A read that succeeds: bytes it gave, which are in the reply from byte 8. */
static uint32_t data_got(struct device *d, uint32_t size)
{
    struct vfio_user_mig_data m;

    assert_int_equal(data_read(d, 8 + size, size), 0);
    assert_true(d->reply.len >= sizeof(m));
    memcpy(&m, d->reply.body, sizeof(m));
    assert_int_equal(m.argsz, 8 + m.size);
    assert_int_equal(d->reply.len, 8 + m.size);     /* no padding */
    return m.size;
}

static int data_write(struct device *d, uint32_t argsz, uint32_t size, const void *data,
                      size_t len)
{
    struct vfio_user_mig_data m = { argsz, size };
    uint8_t body[4096];

    assert_true(sizeof(m) + len <= sizeof(body));
    memcpy(body, &m, sizeof(m));
    if (len != 0)
        memcpy(body + sizeof(m), data, len);
    return ask(d, VFIO_USER_MIG_DATA_WRITE, body, sizeof(m) + len);
}

TEST(c2_12_data_are_read_until_a_short_answer)
{
    uint8_t stream[] = "what the device remembers";
    struct device *d = device_in(STOP_COPY);

    d->stream = stream;
    d->stream_len = sizeof(stream);
    assert_int_equal(data_got(d, 20), 20);
    assert_memory_equal(d->reply.body + 8, "what the device reme", 20);
    assert_int_equal(data_got(d, 20), 6);
    assert_memory_equal(d->reply.body + 8, "mbers", 6);
    assert_int_equal(data_got(d, 20), 0);
    device_down(d);
}

TEST(c2_12_data_are_read_in_pre_copy_and_stop_copy_only)
{
    static const uint32_t bad[] = { RUNNING, STOP, RESUMING };
    struct device *d = device_in(PRE_COPY);

    assert_int_equal(data_got(d, 16), 0);
    device_down(d);
    for (size_t i = 0; i < 3; i++) {
        d = device_in(bad[i]);
        assert_int_equal(data_read(d, 24, 16), EINVAL);
        assert_events(d, "");
        device_down(d);
    }
}

TEST(c2_12_data_are_written_in_resuming_only_and_whole)
{
    static const uint32_t bad[] = { RUNNING, STOP, STOP_COPY, PRE_COPY };
    struct device *d = device_in(RESUMING);

    assert_int_equal(data_write(d, 8 + 5, 5, "state", 5), 0);
    assert_int_equal(d->reply.len, 0);
    assert_memory_equal(d->bar0, "state", 5);
    d->data_short = 1;
    assert_int_equal(data_write(d, 8 + 5, 5, "state", 5), EINVAL);
    device_down(d);
    for (size_t i = 0; i < 4; i++) {
        d = device_in(bad[i]);
        assert_int_equal(data_write(d, 8 + 5, 5, "state", 5), EINVAL);
        assert_events(d, "");
        device_down(d);
    }
}

TEST(c2_12_the_callbacks_errno_reaches_the_client)
{
    struct device *d = device_in(STOP_COPY);

    d->data_errno = EIO;
    assert_int_equal(data_read(d, 24, 16), EIO);
    assert_int_equal(migrate(d, RESUMING), 0);
    assert_int_equal(data_write(d, 8 + 5, 5, "state", 5), EIO);
    device_down(d);
}

TEST(c2_12_data_sizes_and_argsz_are_checked)
{
    struct device *d = device_in(STOP_COPY);

    assert_int_equal(data_read(d, 23, 16), EINVAL);
    assert_int_equal(data_read(d, 8 + (1u << 20) + 1, (1u << 20) + 1), EINVAL);
    assert_int_equal(data_read(d, UINT32_MAX, UINT32_MAX), EINVAL);
    assert_int_equal(migrate(d, RESUMING), 0);
    d->events[0] = '\0';
    assert_int_equal(data_write(d, 8 + 5, 5, "stat", 4), EINVAL);
    assert_int_equal(data_write(d, 8 + 4, 5, "state", 5), EINVAL);
    assert_int_equal(data_write(d, UINT32_MAX, UINT32_MAX, "state", 5), EINVAL);
    assert_events(d, "");
    device_down(d);
}

TEST(c2_12_data_keep_to_the_clients_limit)
{
    struct device *d = device_new(NB);

    setup_usual(d);
    setup_migration(d);
    device_realize(d);
    device_attach_with(d, "{\"capabilities\":{\"max_data_xfer_size\":1000}}");
    assert_int_equal(migrate(d, STOP_COPY), 0);
    assert_int_equal(data_read(d, 8 + 1001, 1001), EINVAL);
    assert_int_equal(data_got(d, 1000), 0);
    device_down(d);
}

TEST(c2_12_without_migration_data_commands_are_refused)
{
    struct device *d = device_up();

    assert_int_equal(data_read(d, 24, 16), EINVAL);
    assert_int_equal(data_write(d, 8 + 5, 5, "state", 5), EINVAL);
    device_down(d);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(c2_12_every_path_takes_the_steps_of_the_table),
    VU_FD_TEST(c2_12_states_that_a_client_cannot_ask_for_are_einval),
    VU_FD_TEST(c2_12_set_answers_with_the_request),
    VU_FD_TEST(c2_12_a_step_that_fails_ends_the_walk_where_it_was),
    VU_FD_TEST(c2_12_a_first_step_that_fails_leaves_the_state),
    VU_FD_TEST(c2_12_no_callback_for_the_first_state_nor_when_the_client_leaves),
    VU_FD_TEST(c2_12_the_next_client_finds_the_device_running),
    VU_FD_TEST(c2_12_the_additions_p2p_and_no_pre_copy_change_the_paths),
    VU_FD_TEST(c2_12_data_are_read_until_a_short_answer),
    VU_FD_TEST(c2_12_data_are_read_in_pre_copy_and_stop_copy_only),
    VU_FD_TEST(c2_12_data_are_written_in_resuming_only_and_whole),
    VU_FD_TEST(c2_12_the_callbacks_errno_reaches_the_client),
    VU_FD_TEST(c2_12_data_sizes_and_argsz_are_checked),
    VU_FD_TEST(c2_12_data_keep_to_the_clients_limit),
    VU_FD_TEST(c2_12_without_migration_data_commands_are_refused),
};

VU_TEST_MAIN(tests)
