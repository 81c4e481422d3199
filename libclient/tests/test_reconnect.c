/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reconnecting, message by message: what is put back, in which order, and what becomes of
 * the client when that fails at any place. The first connection is one script, each
 * further one another.
 */
#include "libclient/tests/script.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* A client that has set up everything, and what it was made of. */
struct world {
    struct script first;
    struct vfuc_client *c;
    int memory, event;      /* lent to the client, and closed since: it has copies */
    uint8_t lent[16];
};

static struct vfuc_client *begin(struct script *s)
{
    SKIP_UNLESS_LITTLE_ENDIAN();
    script_init(s);
    return script_client(s, "0000 0100 7b226361706162696c6974696573223a7b226d61785f6d7367"
                            "5f666473223a347d7d00");    /* max_msg_fds 4 */
}

static void set_up(struct world *w)
{
    const struct vfuc_region *region;
    const struct vfuc_irq *irq;
    int fds[3];

    w->c = begin(&w->first);
    w->memory = memfd_create("windows", MFD_CLOEXEC);
    w->event = eventfd(0, EFD_CLOEXEC);
    assert_true(w->memory >= 0 && w->event >= 0);
    assert_int_equal(ftruncate(w->memory, 0x3000), 0);
    script_say(&w->first, SAY_DEVICE);
    assert_int_equal(vfuc_region_count(w->c), 9);
    script_say(&w->first, SAY_REGION0);
    assert_int_equal(vfuc_region_info(w->c, 0, &region), 0);
    script_say(&w->first, SAY_MSIX);
    assert_int_equal(vfuc_irq_info(w->c, 2, &irq), 0);
    for (int i = 0; i < 4; i++)
        script_say(&w->first, "");
    assert_int_equal(vfuc_dma_map(w->c, 0x40000, 0x2000, VFUC_DMA_READ | VFUC_DMA_WRITE,
                                  w->memory, 0x1000), 0);
    assert_int_equal(vfuc_dma_map_memory(w->c, 0x1000, sizeof(w->lent), VFUC_DMA_READ,
                                         w->lent, -1, 0), 0);
    fds[0] = fds[2] = w->event;
    fds[1] = w->event;
    assert_int_equal(vfuc_irq_assign(w->c, 2, 1, fds, 3), 0);
    fds[0] = -1;
    assert_int_equal(vfuc_irq_assign(w->c, 2, 2, fds, 1), 0);
    close(w->memory);
    close(w->event);
}

static void tear_down(struct world *w)
{
    vfuc_close(w->c);
    script_done(&w->first);
}

#define STEPS 8     /* messages that put everything back */

/* What a server of the same device says to them. */
static const char *const good[STEPS] = {
    SAY_VERSION, "", "", SAY_DEVICE, SAY_REGION0, SAY_MSIX, "", "",
};

static int reconnect(struct world *w, struct script *s)
{
    return vuc_reconnect_over(w->c, &script_port, s);
}

static void good_until(struct script *s, int steps)
{
    script_init(s);
    for (int i = 0; i < steps; i++)
        script_say(s, good[i]);
}

/* After a failure, the client can be connected to a server that does as it should. */
static void recovers(struct world *w)
{
    struct script s;
    uint32_t value = 0;
    int err;

    assert_int_equal(vfuc_fd(w->c), -1);
    assert_int_equal(vfuc_reset(w->c), -ENOTCONN);
    good_until(&s, STEPS);
    s.poll_fd = -1;
    err = reconnect(w, &s);
    if (err != 0)
        fail_msg("recovery: %d (%s)", err, vfuc_last_error(w->c));
    assert_int_equal(s.n_said, STEPS);
    script_say(&s, "1000000000000000 00000000 04000000 a1a2a3a4");
    assert_int_equal(vfuc_region_read(w->c, 0, 0x10, &value, 4), 0);
    assert_int_equal(value, 0xa4a3a2a1);
    vuc_disconnect(w->c);
    assert_true(s.closed);
    script_done(&s);
}

/* ------------------------------------------------------------- putting back -- */

static void everything_is_put_back_in_the_order_of_attaching(void **state)
{
    struct world w;
    struct script s;

    (void)state;
    set_up(&w);
    good_until(&s, STEPS);
    assert_int_equal(reconnect(&w, &s), 0);
    assert_true(w.first.closed);
    assert_int_equal(s.n_said, STEPS);
    assert_int_equal(s.said[0].bytes[2], 1);        /* VERSION */
    assert_int_equal(s.said[0].len, w.first.said[0].len);
    assert_memory_equal(s.said[0].bytes + 2, w.first.said[0].bytes + 2,
                        s.said[0].len - 2);
    script_heard(&s, 1, "0900 0200 30000000 00000000 00000000 20000000 01000000"
                 "0000000000000000 0010000000000000 1000000000000000", 0);
    script_heard(&s, 2, "0a00 0200 30000000 00000000 00000000 20000000 03000000"
                 "0010000000000000 0000040000000000 0020000000000000", 1);
    script_heard(&s, 3, "0b00 0400 20000000 00000000 00000000"
                 "10000000 00000000 00000000 00000000", 0);
    script_heard(&s, 4, "0c00 0500 30000000 00000000 00000000 20000000 00000000"
                 "00000000 00000000 0000000000000000 0000000000000000", 0);
    script_heard(&s, 5, "0d00 0700 20000000 00000000 00000000"
                 "10000000 00000000 02000000 00000000", 0);
    script_heard(&s, 6, "0e00 0800 24000000 00000000 00000000"
                 "14000000 24000000 02000000 01000000 01000000", 1);
    script_heard(&s, 7, "0f00 0800 24000000 00000000 00000000"
                 "14000000 24000000 02000000 03000000 01000000", 1);
    vuc_disconnect(w.c);
    script_done(&s);
    tear_down(&w);
}

static void what_was_never_asked_for_is_not_asked_for_again(void **state)
{
    struct script a, b;
    struct vfuc_client *c = begin(&a);

    (void)state;
    script_init(&b);
    script_say(&b, SAY_VERSION);
    assert_int_equal(vuc_reconnect_over(c, &script_port, &b), 0);
    assert_int_equal(b.n_said, 1);
    vfuc_close(c);
    script_done(&a);
    script_done(&b);
}

static void windows_that_are_gone_are_not_put_back(void **state)
{
    struct world w;
    struct script s;

    (void)state;
    set_up(&w);
    script_say(&w.first, "18000000 00000000 0000040000000000 0020000000000000");
    assert_int_equal(vfuc_dma_unmap(w.c, 0x40000, 0x2000), 0);
    script_say(&w.first, "");
    assert_int_equal(vfuc_irq_disable(w.c, 2), 0);
    script_init(&s);
    for (int i = 0; i < 6; i++) {
        if (i != 2)
            script_say(&s, good[i]);
    }
    assert_int_equal(reconnect(&w, &s), 0);
    assert_int_equal(s.n_said, 5);
    vuc_disconnect(w.c);
    script_done(&s);
    tear_down(&w);
}

static void connection_that_ended_by_itself_is_put_back_too(void **state)
{
    struct world w;

    (void)state;
    set_up(&w);
    script_fail(&w.first, 0);
    assert_int_equal(vfuc_reset(w.c), -ENOTCONN);
    recovers(&w);
    recovers(&w);
    tear_down(&w);
}

static void new_server_has_limits_and_features_of_its_own(void **state)
{
    struct script a, b;
    struct vfuc_client *c = begin(&a);
    const struct vfuc_limits *limits = vfuc_negotiated(c);
    uint64_t flags = 0;

    (void)state;
    assert_int_equal(limits->max_msg_fds, 4);
    script_say(&a, "10000000 01000100 0100000000000000");
    assert_int_equal(vfuc_migration_flags(c, &flags), 0);
    script_init(&b);
    script_say(&b, SAY_VERSION);
    assert_int_equal(vuc_reconnect_over(c, &script_port, &b), 0);
    assert_ptr_equal(vfuc_negotiated(c), limits);
    assert_int_equal(limits->max_msg_fds, 1);
    assert_int_equal(limits->version_minor, 0);
    script_say(&b, "10000000 01000100 0500000000000000");
    assert_int_equal(vfuc_migration_flags(c, &flags), 0);
    assert_int_equal(flags, 5);
    vfuc_close(c);
    script_done(&a);
    script_done(&b);
}

static void options_are_proposed_again(void **state)
{
    char text[] = "{\"x\":1}";
    struct vfuc_options given = { .size = sizeof(given), .capabilities = text,
                                  .minor = VFUC_MINOR_0, .max_data_xfer_size = 2 << 20 };
    struct vfuc_options options;
    struct vfuc_client *c;
    struct script a, b;

    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    script_init(&a);
    script_say(&a, SAY_VERSION);
    assert_int_equal(vuc_options_read(&given, &options), 0);
    assert_int_equal(vuc_client_open(&script_port, &a, &options, &c), 0);
    memset(text, 'z', sizeof(text));
    script_init(&b);
    script_say(&b, SAY_VERSION);
    assert_int_equal(vuc_reconnect_over(c, &script_port, &b), 0);
    script_heard(&b, 0, "0100 0100 1c000000 00000000 00000000 0000 0000"
                 "7b22 78 223a317d00", 0);
    vfuc_close(c);
    script_done(&a);
    script_done(&b);
}

/* ------------------------------------------------------------------- failures -- */

static void server_may_leave_at_every_message(void **state)
{
    (void)state;
    for (int steps = 0; steps < STEPS; steps++) {
        struct world w;
        struct script s;

        set_up(&w);
        good_until(&s, steps);
        script_fail(&s, 0);
        assert_int_equal(reconnect(&w, &s), -ENOTCONN);
        assert_true(s.closed);
        assert_int_equal(s.n_said, steps + 1);
        script_done(&s);
        recovers(&w);
        tear_down(&w);
    }
}

static void server_may_be_silent_at_every_message(void **state)
{
    (void)state;
    for (int steps = 0; steps < STEPS; steps++) {
        struct world w;
        struct script s;

        set_up(&w);
        good_until(&s, steps);
        script_fail(&s, -ETIMEDOUT);
        assert_int_equal(reconnect(&w, &s), -ETIMEDOUT);
        assert_true(s.closed);
        script_done(&s);
        recovers(&w);
        tear_down(&w);
    }
}

static void refusal_of_every_message_ends_the_connection(void **state)
{
    (void)state;
    for (int steps = 0; steps < STEPS; steps++) {
        struct world w;
        struct script s;

        set_up(&w);
        good_until(&s, steps);
        script_refuse(&s, 12);
        assert_int_equal(reconnect(&w, &s), -EREMOTEIO);
        assert_int_equal(vfuc_last_errno(w.c), 12);
        assert_non_null(strstr(vfuc_last_error(w.c), "ENOMEM"));
        assert_true(s.closed);
        assert_int_equal(s.n_said, steps + 1);
        script_done(&s);
        recovers(&w);
        tear_down(&w);
    }
}

static void broken_reply_to_every_message_ends_the_connection(void **state)
{
    (void)state;
    for (int steps = 0; steps < STEPS; steps++) {
        struct world w;
        struct script s;

        set_up(&w);
        good_until(&s, steps);
        script_say(&s, good[steps])->id_off = 1;
        assert_int_equal(reconnect(&w, &s), -EPROTO);
        assert_true(s.closed);
        script_done(&s);
        recovers(&w);
        tear_down(&w);
    }
}

/* Another device: the step at which it shows, and what it says there. */
static const struct other {
    int step;
    const char *says;
    const char *why;
} others[] = {
    { 3, "10000000 02000000 09000000 05000000", "flags 0x2 instead of 0x3" },
    { 3, "10000000 03000000 08000000 05000000", "8 regions instead of 9" },
    { 3, "10000000 03000000 0a000000 05000000", "10 regions instead of 9" },
    { 3, "10000000 03000000 00000000 05000000", "0 regions instead of 9" },
    { 3, "10000000 03000000 09000000 02000000", "2 kinds of interrupts instead of 5" },
    { 3, "10000000 03000000 09000000 06000000", "6 kinds of interrupts instead of 5" },
    { 4, "20000000 03000000 00000000 00000000 0010000000000000 0000000000000000",
      "region 0" },
    { 4, "20000000 03000000 00000000 00000000 0030000000000000 0000000000000000",
      "region 0" },
    { 4, "20000000 01000000 00000000 00000000 0020000000000000 0000000000000000",
      "region 0" },
    { 5, "10000000 03000000 02000000 08000000", "interrupt index 2" },
    { 5, "10000000 03000000 02000000 20000000", "interrupt index 2" },
    { 5, "10000000 01000000 02000000 10000000", "interrupt index 2" },
};

static void another_device_is_not_taken_for_the_old_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        const struct vfuc_device *device;
        struct world w;
        struct script s;
        int err;

        set_up(&w);
        good_until(&s, others[i].step);
        script_say(&s, others[i].says);
        err = reconnect(&w, &s);
        if (err != -ESTALE || strstr(vfuc_last_error(w.c), others[i].why) == NULL)
            fail_msg("%s: %d (%s)", others[i].why, err, vfuc_last_error(w.c));
        assert_true(s.closed);
        script_done(&s);
        assert_int_equal(vfuc_device_info(w.c, &device), 0);    /* what was known stays */
        assert_int_equal(device->num_regions, 9);
        recovers(&w);
        tear_down(&w);
    }
}

/* Windows and eventfds cannot be put back without descriptors. */
static void server_that_takes_no_descriptors_any_more_is_another_one(void **state)
{
    struct world w;
    struct script s;

    (void)state;
    set_up(&w);
    script_init(&s);
    script_say(&s, "0000 0000 7b226361706162696c6974696573223a7b226d61785f6d7367"
                   "5f666473223a307d7d00");     /* max_msg_fds 0 */
    script_say(&s, "");
    assert_int_equal(reconnect(&w, &s), -ESTALE);
    assert_string_equal(vfuc_last_error(w.c), "the server takes no descriptors any more");
    assert_int_equal(s.n_said, 2);
    assert_true(s.closed);
    script_done(&s);
    recovers(&w);
    tear_down(&w);
}

/* ------------------------------------------------------------ what is pending -- */

static void commands_on_their_way_complete_as_lost(void **state)
{
    struct vfuc_completion got[8];
    uint8_t data[3][4];
    struct world w;
    struct script s;

    (void)state;
    set_up(&w);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(vfuc_submit_region_read(w.c, 0, 0x10, data[i], 4, i), 0);
    assert_int_equal(vfuc_submit_dma_map(w.c, 0x90000, 0x1000, VFUC_DMA_READ, -1, 0, 3),
                     0);
    good_until(&s, STEPS);
    assert_int_equal(reconnect(&w, &s), 0);     /* without the window of the last one */
    assert_int_equal(s.n_said, STEPS);
    assert_int_equal(vfuc_pending(w.c), 4);
    assert_int_equal(vfuc_complete(w.c, got, 8), 4);
    for (uint64_t i = 0; i < 4; i++) {
        assert_int_equal(got[i].tag, i);
        assert_int_equal(got[i].result, -ENOTCONN);
    }
    assert_int_equal(vfuc_submit_region_read(w.c, 0, 0x10, data[0], 4, 7), 0);
    script_say(&s, "1000000000000000 00000000 04000000 a1a2a3a4");
    assert_int_equal(vfuc_complete(w.c, got, 8), 1);
    assert_int_equal(got[0].tag, 7);
    assert_int_equal(got[0].result, 0);
    vuc_disconnect(w.c);
    script_done(&s);
    tear_down(&w);
}

/* --------------------------------------------------------------- who may call -- */

struct nosy {
    struct vfuc_client *c;
    struct script other;
    int err[3];
};

static int call_from_within(void *opaque, uint64_t address, void *data, size_t count)
{
    struct nosy *n = opaque;
    int ends[2];

    (void)address;
    memset(data, 0, count);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    n->err[0] = vfuc_reconnect(n->c);
    n->err[1] = vfuc_reconnect_fd(n->c, ends[0]);
    n->err[2] = vuc_reconnect_over(n->c, &script_port, &n->other);
    assert_int_equal(fcntl(ends[0], F_GETFD), -1);  /* taken over all the same */
    close(ends[1]);
    return 0;
}

static void callbacks_cannot_reconnect(void **state)
{
    struct nosy n = { .c = NULL };
    struct script s;

    (void)state;
    n.c = begin(&s);
    script_init(&n.other);
    script_say(&s, "");
    assert_int_equal(vfuc_dma_map(n.c, 0x1000, 0x1000, VFUC_DMA_READ, -1, 0), 0);
    vfuc_set_dma_handlers(n.c, call_from_within, NULL, &n);
    script_type(&s, "0500 0b00 20000000 00000000 00000000"
                "0010000000000000 0400000000000000");
    assert_int_equal(vfuc_dispatch(n.c), 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(n.err[i], -EBUSY);
    assert_true(n.other.closed);
    assert_false(s.closed);
    script_done(&n.other);
    vfuc_close(n.c);
    script_done(&s);
}

static void client_of_a_descriptor_knows_no_path(void **state)
{
    struct script s;
    struct vfuc_client *c = begin(&s);

    (void)state;
    assert_int_equal(vfuc_reconnect(c), -ENOTSUP);
    assert_false(s.closed);     /* nothing has happened */
    script_say(&s, "");
    assert_int_equal(vfuc_reset(c), 0);
    vfuc_close(c);
    script_done(&s);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(everything_is_put_back_in_the_order_of_attaching),
    VU_FD_TEST(what_was_never_asked_for_is_not_asked_for_again),
    VU_FD_TEST(windows_that_are_gone_are_not_put_back),
    VU_FD_TEST(connection_that_ended_by_itself_is_put_back_too),
    VU_FD_TEST(new_server_has_limits_and_features_of_its_own),
    VU_FD_TEST(options_are_proposed_again),
    VU_FD_TEST(server_may_leave_at_every_message),
    VU_FD_TEST(server_may_be_silent_at_every_message),
    VU_FD_TEST(refusal_of_every_message_ends_the_connection),
    VU_FD_TEST(broken_reply_to_every_message_ends_the_connection),
    VU_FD_TEST(another_device_is_not_taken_for_the_old_one),
    VU_FD_TEST(server_that_takes_no_descriptors_any_more_is_another_one),
    VU_FD_TEST(commands_on_their_way_complete_as_lost),
    VU_FD_TEST(callbacks_cannot_reconnect),
    VU_FD_TEST(client_of_a_descriptor_knows_no_path),
};

VU_TEST_MAIN(tests)
