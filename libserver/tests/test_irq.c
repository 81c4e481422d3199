/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SET_IRQS in all its forms, and what arrives on the eventfds.
 */
#include "libserver/tests/irq_support.h"

#include <sys/socket.h>

/* ------------------------------------------------------------------ info -- */

static void irq_info_tells_counts_and_what_works(void **state)
{
    static const uint32_t counts[VFU_DEV_NUM_IRQS] = { 1, N_MSI, N_MSIX, 1, 1 };
    struct core c;

    (void)state;
    core_begin(&c);
    for (uint32_t i = 0; i < VFU_DEV_NUM_IRQS; i++) {
        struct vu_irq_info m = { .argsz = 64, .index = i, .flags = 0xff, .count = 99 };
        uint8_t body[VU_IRQ_INFO_SIZE];
        struct answer a;

        ENCODE(irq_info, &m, body);
        a = core_send(&c, VU_DEVICE_GET_IRQ_INFO, body, sizeof(body));
        assert_answer_ok(&a, VU_IRQ_INFO_SIZE);
        DECODE(irq_info, &a, &m);
        assert_int_equal(m.argsz, 16);
        assert_int_equal(m.index, i);
        assert_int_equal(m.count, counts[i]);
        assert_int_equal(m.flags, i <= VFU_DEV_MSIX_IRQ ? VU_IRQ_EVENTFD | VU_IRQ_MASKABLE
                                                        : VU_IRQ_EVENTFD);
    }
    core_end(&c);
}

static void irq_info_refuses_bad_index_and_argsz(void **state)
{
    struct vu_irq_info m = { .argsz = 16, .index = 5 };
    uint8_t body[VU_IRQ_INFO_SIZE];
    struct core c;

    (void)state;
    core_begin(&c);
    ENCODE(irq_info, &m, body);
    einval(core_send(&c, VU_DEVICE_GET_IRQ_INFO, body, sizeof(body)));
    m = (struct vu_irq_info){ .argsz = 15 };
    ENCODE(irq_info, &m, body);
    einval(core_send(&c, VU_DEVICE_GET_IRQ_INFO, body, sizeof(body)));
    core_end(&c);
}

/* ------------------------------------------------------------------ form -- */

static void exactly_one_data_and_one_action_bit(void **state)
{
    struct core c;

    (void)state;
    core_begin(&c);
    for (uint32_t flags = 0; flags < 0x80; flags++) {
        uint32_t data = flags & VU_IRQ_SET_DATA_MASK;
        uint32_t action = flags & VU_IRQ_SET_ACTIONS;
        bool good = (data == NONE || data == BOOL || data == EVENTFD) &&
                    (action == MASK || action == UNMASK || action == TRIGGER) &&
                    flags < 0x40 && flags != (EVENTFD | MASK);
        struct answer a = core_set_irqs(&c, range(flags, VFU_DEV_MSI_IRQ, 0, 1),
                                        (const uint8_t *)"", (flags & BOOL) != 0 ? 1 : 0,
                                        NULL, 0);

        if (good)
            assert_answer_ok(&a, 0);
        else
            assert_answer_error(&a, EINVAL);
    }
    einval(send_set(&c, 0x80000000 | NONE | TRIGGER, VFU_DEV_MSI_IRQ, 0, 1, NULL, 0));
    core_end(&c);
}

static void ranges_stay_inside_the_index(void **state)
{
    static const struct { uint32_t index, start, count; } bad[] = {
        { VFU_DEV_MSIX_IRQ, 0, N_MSIX + 1 }, { VFU_DEV_MSIX_IRQ, N_MSIX, 1 },
        { VFU_DEV_MSIX_IRQ, 1, UINT32_MAX }, { VFU_DEV_MSIX_IRQ, UINT32_MAX, 1 },
        { VFU_DEV_MSIX_IRQ, UINT32_MAX, UINT32_MAX }, { VFU_DEV_INTX_IRQ, 0, 2 },
        { VFU_DEV_NUM_IRQS, 0, 1 }, { UINT32_MAX, 0, 1 }, { VFU_DEV_NUM_IRQS, 0, 0 },
        { VFU_DEV_MSIX_IRQ, 1, 0 }, { VFU_DEV_MSIX_IRQ, N_MSIX, 0 },
    };
    struct core c;

    (void)state;
    core_begin(&c);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        einval(send_set(&c, NONE | TRIGGER, bad[i].index, bad[i].start, bad[i].count,
                        NULL, 0));
        einval(send_set(&c, EVENTFD | TRIGGER, bad[i].index, bad[i].start, bad[i].count,
                        NULL, 0));
        einval(send_set(&c, NONE | MASK, bad[i].index, bad[i].start, bad[i].count, NULL,
                        0));
    }
    core_end(&c);
}

static void count_zero_means_disable_and_nothing_else(void **state)
{
    struct core c;

    (void)state;
    core_begin(&c);
    einval(send_set(&c, NONE | MASK, VFU_DEV_MSIX_IRQ, 0, 0, NULL, 0));
    einval(send_set(&c, BOOL | TRIGGER, VFU_DEV_MSIX_IRQ, 0, 0, NULL, 0));
    einval(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_MSIX_IRQ, 0, 0, NULL, 0));
    for (uint32_t i = 0; i < VFU_DEV_NUM_IRQS; i++)
        ok(send_set(&c, NONE | TRIGGER, i, 0, 0, NULL, 0));
    core_end(&c);
}

static void an_index_without_vectors_can_be_disabled(void **state)
{
    struct core c;

    (void)state;
    core_begin(&c);
    assert_int_equal(vfu_setup_device_nr_irqs(c.ctx, VFU_DEV_MSI_IRQ, 0), 0);
    ok(send_set(&c, NONE | TRIGGER, VFU_DEV_MSI_IRQ, 0, 0, NULL, 0));
    einval(send_set(&c, NONE | TRIGGER, VFU_DEV_MSI_IRQ, 0, 1, NULL, 0));
    core_end(&c);
}

static void length_and_count_of_bools_agree(void **state)
{
    static const uint8_t bytes[8] = { 0 };
    struct core c;

    (void)state;
    core_begin(&c);
    for (size_t n = 0; n <= 8; n++) {
        struct answer a = core_set_irqs(&c, range(BOOL | TRIGGER, VFU_DEV_MSIX_IRQ, 0, 4),
                                        bytes, n, NULL, 0);

        if (n == 4)
            assert_answer_ok(&a, 0);
        else
            assert_answer_error(&a, EINVAL);
    }
    core_end(&c);
}

static void small_argsz_is_refused(void **state)
{
    struct vu_irq_set m = range(NONE | TRIGGER, VFU_DEV_MSIX_IRQ, 0, 1);
    struct core c;

    (void)state;
    core_begin(&c);
    m.argsz = 19;
    einval(core_set_irqs(&c, m, NULL, 0, NULL, 0));
    m.argsz = 4711;
    ok(core_set_irqs(&c, m, NULL, 0, NULL, 0));
    core_end(&c);
}

static void descriptors_match_the_vectors(void **state)
{
    struct events e = make_events(EFD_NONBLOCK);
    struct core c;

    (void)state;
    core_begin(&c);
    einval(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_MSIX_IRQ, 0, 4, e.fd, 3));
    einval(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_MSIX_IRQ, 0, 4, e.fd, 5));
    einval(send_set(&c, NONE | TRIGGER, VFU_DEV_MSIX_IRQ, 0, 1, e.fd, 1));
    einval(send_set(&c, NONE | TRIGGER, VFU_DEV_MSIX_IRQ, 0, 0, e.fd, 1));
    einval(core_set_irqs(&c, range(BOOL | TRIGGER, VFU_DEV_MSIX_IRQ, 0, 1),
                         (const uint8_t *)"\1", 1, e.fd, 1));
    core_end(&c);
    close_events(&e);
}

static void descriptors_other_than_eventfds_are_refused(void **state)
{
    struct core c;
    int pipe_fds[2], sockets[2];
    int fds[2];

    (void)state;
    core_begin(&c);
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    fds[0] = eventfd(0, EFD_CLOEXEC);
    fds[1] = pipe_fds[1];
    einval(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_MSIX_IRQ, 0, 2, fds, 2));
    einval(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_MSIX_IRQ, 0, 1, &sockets[0], 1));
    einval(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_MSIX_IRQ, 0, 1, &c.memory, 1));
    assert_int_equal(vfu_irq_trigger(c.ctx, 0), -1);
    assert_int_equal(errno, ENOENT);
    close(fds[0]);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    close(sockets[0]);
    close(sockets[1]);
    core_end(&c);
}

/* --------------------------------------------------------------- trigger -- */

static void a_trigger_adds_one_to_its_vector_alone(void **state)
{
    struct events e;
    struct core c;

    (void)state;
    begin_assigned(&c, &e);
    for (uint32_t i = 0; i < N_MSIX; i++) {
        for (uint32_t n = 0; n <= i; n++)
            assert_int_equal(vfu_irq_trigger(c.ctx, i), 0);
    }
    for (uint32_t i = 0; i < N_MSIX; i++)
        assert_int_equal(taken(e.fd[i]), i + 1);
    end_assigned(&c, &e);
}

static void triggers_without_a_vector_or_eventfd_fail(void **state)
{
    struct core c;

    (void)state;
    core_begin(&c);
    assert_int_equal(vfu_irq_trigger(c.ctx, N_MSIX - 1), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(vfu_irq_trigger(c.ctx, N_MSIX), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(vfu_irq_trigger(c.ctx, UINT32_MAX), -1);
    assert_int_equal(errno, EINVAL);
    core_end(&c);
}

static void the_client_can_fire_vectors(void **state)
{
    struct events e;
    struct core c;

    (void)state;
    begin_assigned(&c, &e);
    ok(send_set(&c, NONE | TRIGGER, VFU_DEV_MSIX_IRQ, 2, 3, NULL, 0));
    for (uint32_t i = 0; i < N_MSIX; i++)
        assert_int_equal(taken(e.fd[i]), i >= 2 && i < 5);
    ok(send_bools(&c, TRIGGER, VFU_DEV_MSIX_IRQ, 1, 4, "\x00\x01\xff\x00"));
    for (uint32_t i = 0; i < N_MSIX; i++)
        assert_int_equal(taken(e.fd[i]), i == 2 || i == 3);
    ok(send_set(&c, NONE | TRIGGER, VFU_DEV_MSI_IRQ, 0, N_MSI, NULL, 0));   /* unset */
    end_assigned(&c, &e);
}

/* The kernel's own signal counts one further than a write can. */
static void a_full_counter_is_no_error_and_never_waits(void **state)
{
    const uint64_t full = UINT64_MAX - 1;
    struct core c;
    int fds[2] = { eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };

    (void)state;
    core_begin(&c);
    ok(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_MSIX_IRQ, 0, 2, fds, 2));
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(write(fds[i], &full, sizeof(full)), sizeof(full));
        assert_int_equal(vfu_irq_trigger(c.ctx, i), 0);
        assert_true(taken(fds[i]) >= full);
        assert_int_equal(vfu_irq_trigger(c.ctx, i), 0);
        assert_int_equal(taken(fds[i]), 1);
    }
    close(fds[0]);
    close(fds[1]);
    core_end(&c);
}

static void assign_and_fire_often(struct core *c, int fd)
{
    ok(send_set(c, EVENTFD | TRIGGER, VFU_DEV_MSIX_IRQ, 0, 1, &fd, 1));
    for (int i = 0; i < 1000; i++)
        assert_int_equal(vfu_irq_trigger(c->ctx, 0), 0);
    assert_int_equal(taken(fd), 1000);
}

/* Every signal counts, with asynchronous I/O and where the kernel gives none. */
static void no_signal_is_lost_among_many(void **state)
{
    struct core c;
    int fd = eventfd(0, EFD_CLOEXEC);

    (void)state;
    core_begin(&c);
    c.ctx->irqs.signal.plain = true;
    assign_and_fire_often(&c, fd);
    assert_int_equal(c.ctx->irqs.signal.aio, 0);
    c.ctx->irqs.signal.plain = false;
    assign_and_fire_often(&c, fd);
    close(fd);
    core_end(&c);
}

/* The kernel's signal takes a counter to its last value, which a write cannot: so it
 * was never a write, although the kernel keeps some hundred completions at most. */
static void no_signal_ever_needs_a_write_that_could_wait(void **state)
{
    const uint64_t full = UINT64_MAX - 1;
    struct core c;
    int fd = eventfd(0, EFD_CLOEXEC);
    bool async;

    (void)state;
    core_begin(&c);
    ok(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_MSIX_IRQ, 0, 1, &fd, 1));
    async = c.ctx->irqs.signal.aio != 0;
    for (int i = 0; async && i < 1000; i++) {
        assert_int_equal(write(fd, &full, sizeof(full)), sizeof(full));
        assert_int_equal(vfu_irq_trigger(c.ctx, 0), 0);
        assert_true(taken(fd) == UINT64_MAX);
    }
    close(fd);
    core_end(&c);
    if (!async)
        skip();     /* the kernel gives no asynchronous I/O here */
}

/* ------------------------------------------------------------ assignment -- */

static void parts_can_be_assigned_and_taken_away(void **state)
{
    struct events e;
    struct core c;

    (void)state;
    begin_assigned(&c, &e);
    ok(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_MSIX_IRQ, 2, 3, NULL, 0));
    for (uint32_t i = 0; i < N_MSIX; i++) {
        bool gone = i >= 2 && i < 5;

        assert_int_equal(vfu_irq_trigger(c.ctx, i), gone ? -1 : 0);
        assert_int_equal(taken(e.fd[i]), !gone);
    }
    ok(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_MSIX_IRQ, 2, 3, NULL, 0));   /* again */
    ok(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_MSIX_IRQ, 3, 1, e.fd, 1));
    assert_int_equal(vfu_irq_trigger(c.ctx, 3), 0);
    assert_int_equal(taken(e.fd[0]), 1);
    end_assigned(&c, &e);
}

static void descriptors_are_closed_when_replaced_or_disabled(void **state)
{
    struct events e;
    struct core c;
    int before;

    (void)state;
    begin_assigned(&c, &e);
    before = vu_test_open_fds();
    ok(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_MSIX_IRQ, 0, N_MSIX, e.fd, N_MSIX));
    assert_int_equal(vu_test_open_fds(), before);
    ok(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_MSIX_IRQ, 1, 2, NULL, 0));
    assert_int_equal(vu_test_open_fds(), before - 2);
    ok(send_set(&c, NONE | TRIGGER, VFU_DEV_MSIX_IRQ, 0, 0, NULL, 0));
    assert_int_equal(vu_test_open_fds(), before - (int)N_MSIX);
    assert_int_equal(vfu_irq_trigger(c.ctx, 0), -1);
    assert_int_equal(errno, ENOENT);
    end_assigned(&c, &e);
}

static void a_failed_request_leaves_the_old_eventfds(void **state)
{
    struct events e;
    struct core c;
    int fds[2];
    int before;

    (void)state;
    begin_assigned(&c, &e);
    before = vu_test_open_fds();
    fds[0] = e.fd[7];
    fds[1] = c.memory;
    einval(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_MSIX_IRQ, 0, 2, fds, 2));
    einval(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_MSIX_IRQ, 7, 2, fds, 2));
    einval(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_MSIX_IRQ, 0, 3, fds, 2));
    assert_int_equal(vu_test_open_fds(), before);
    for (uint32_t i = 0; i < N_MSIX; i++) {
        assert_int_equal(vfu_irq_trigger(c.ctx, i), 0);
        assert_int_equal(taken(e.fd[i]), 1);
    }
    end_assigned(&c, &e);
}

static void types_have_eventfds_of_their_own(void **state)
{
    struct events e;
    struct core c;
    int intx = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int msi = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    (void)state;
    begin_assigned(&c, &e);
    ok(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_INTX_IRQ, 0, 1, &intx, 1));
    ok(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_MSI_IRQ, 0, 1, &msi, 1));
    assert_int_equal(vfu_irq_trigger(c.ctx, 0), 0);         /* MSI-X is in use */
    assert_int_equal(taken(e.fd[0]), 1);
    ok(send_set(&c, NONE | TRIGGER, VFU_DEV_INTX_IRQ, 0, 0, NULL, 0));
    assert_int_equal(vfu_irq_trigger(c.ctx, 0), 0);
    assert_int_equal(taken(e.fd[0]), 1);
    ok(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_INTX_IRQ, 0, 1, &intx, 1));
    ok(send_set(&c, NONE | TRIGGER, VFU_DEV_MSIX_IRQ, 0, 0, NULL, 0));
    assert_int_equal(vfu_irq_trigger(c.ctx, 0), 0);         /* now MSI */
    assert_int_equal(taken(msi), 1);
    ok(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_MSI_IRQ, 0, 1, NULL, 0));
    assert_int_equal(vfu_irq_trigger(c.ctx, 0), 0);         /* now INTx */
    assert_int_equal(taken(intx), 1);
    assert_int_equal(taken(msi), 0);
    close(intx);
    close(msi);
    end_assigned(&c, &e);
}

static void err_and_req_fire_but_cannot_be_masked(void **state)
{
    struct core c;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    (void)state;
    core_begin(&c);
    for (uint32_t i = VFU_DEV_ERR_IRQ; i <= VFU_DEV_REQ_IRQ; i++) {
        ok(send_set(&c, EVENTFD | TRIGGER, i, 0, 1, &fd, 1));
        ok(send_set(&c, NONE | TRIGGER, i, 0, 1, NULL, 0));
        assert_int_equal(taken(fd), 1);
        einval(send_set(&c, NONE | MASK, i, 0, 1, NULL, 0));
        einval(send_set(&c, NONE | UNMASK, i, 0, 1, NULL, 0));
    }
    assert_int_equal(vfu_irq_trigger(c.ctx, 0), -1);    /* not the device's to raise */
    assert_int_equal(errno, ENOENT);
    close(fd);
    core_end(&c);
}

static void changing_the_number_of_vectors_keeps_those_that_stay(void **state)
{
    struct events e;
    struct core c;
    int before;

    (void)state;
    begin_assigned(&c, &e);
    before = vu_test_open_fds();
    assert_int_equal(vfu_setup_device_nr_irqs(c.ctx, VFU_DEV_MSIX_IRQ, 16), 0);
    assert_int_equal(vfu_irq_trigger(c.ctx, 7), 0);
    assert_int_equal(taken(e.fd[7]), 1);
    assert_int_equal(vfu_irq_trigger(c.ctx, 15), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(vfu_setup_device_nr_irqs(c.ctx, VFU_DEV_MSIX_IRQ, 2), 0);
    assert_int_equal(vu_test_open_fds(), before - 6);
    assert_int_equal(vfu_irq_trigger(c.ctx, 7), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(vfu_setup_device_nr_irqs(c.ctx, VFU_DEV_NUM_IRQS, 1), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(vfu_setup_device_nr_irqs(c.ctx, VFU_DEV_MSIX_IRQ, UINT32_MAX), -1);
    assert_int_equal(vfu_setup_irq_state_callback(c.ctx, VFU_DEV_NUM_IRQS, NULL), -1);
    end_assigned(&c, &e);
}

/* --------------------------------------------------------------- masking -- */

static void a_masked_vector_signals_once_when_unmasked(void **state)
{
    struct events e;
    struct core c;

    (void)state;
    begin_assigned(&c, &e);
    ok(send_set(&c, NONE | MASK, VFU_DEV_MSIX_IRQ, 1, 2, NULL, 0));
    for (int n = 0; n < 3; n++) {
        assert_int_equal(vfu_irq_trigger(c.ctx, 1), 0);
        assert_int_equal(vfu_irq_trigger(c.ctx, 3), 0);
    }
    ok(send_set(&c, NONE | TRIGGER, VFU_DEV_MSIX_IRQ, 1, 1, NULL, 0));
    assert_int_equal(taken(e.fd[1]), 0);
    assert_int_equal(taken(e.fd[3]), 3);
    ok(send_set(&c, NONE | UNMASK, VFU_DEV_MSIX_IRQ, 1, 2, NULL, 0));
    assert_int_equal(taken(e.fd[1]), 1);
    assert_int_equal(taken(e.fd[2]), 0);
    ok(send_set(&c, NONE | UNMASK, VFU_DEV_MSIX_IRQ, 1, 2, NULL, 0));
    assert_int_equal(taken(e.fd[1]), 0);
    end_assigned(&c, &e);
}

static void bools_select_what_is_masked(void **state)
{
    struct events e;
    struct core c;

    (void)state;
    begin_assigned(&c, &e);
    ok(send_bools(&c, MASK, VFU_DEV_MSIX_IRQ, 0, 4, "\x01\x00\x80\x00"));
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(vfu_irq_trigger(c.ctx, i), 0);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(taken(e.fd[i]), i % 2);
    ok(send_bools(&c, UNMASK, VFU_DEV_MSIX_IRQ, 0, 4, "\x00\x01\x01\x01"));
    assert_int_equal(taken(e.fd[0]), 0);
    assert_int_equal(taken(e.fd[2]), 1);
    end_assigned(&c, &e);
}

static void disabling_forgets_masks_and_what_is_pending(void **state)
{
    struct events e;
    struct core c;

    (void)state;
    begin_assigned(&c, &e);
    ok(send_set(&c, NONE | MASK, VFU_DEV_MSIX_IRQ, 0, N_MSIX, NULL, 0));
    assert_int_equal(vfu_irq_trigger(c.ctx, 0), 0);
    ok(send_set(&c, NONE | TRIGGER, VFU_DEV_MSIX_IRQ, 0, 0, NULL, 0));
    ok(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_MSIX_IRQ, 0, N_MSIX, e.fd, N_MSIX));
    assert_int_equal(taken(e.fd[0]), 0);
    assert_int_equal(vfu_irq_trigger(c.ctx, 0), 0);
    assert_int_equal(taken(e.fd[0]), 1);
    end_assigned(&c, &e);
}

static void taking_an_eventfd_away_forgets_what_is_pending(void **state)
{
    struct events e;
    struct core c;

    (void)state;
    begin_assigned(&c, &e);
    ok(send_set(&c, NONE | MASK, VFU_DEV_MSIX_IRQ, 0, 1, NULL, 0));
    assert_int_equal(vfu_irq_trigger(c.ctx, 0), 0);
    ok(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_MSIX_IRQ, 0, 1, NULL, 0));
    ok(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_MSIX_IRQ, 0, 1, e.fd, 1));
    ok(send_set(&c, NONE | UNMASK, VFU_DEV_MSIX_IRQ, 0, 1, NULL, 0));
    assert_int_equal(taken(e.fd[0]), 0);
    end_assigned(&c, &e);
}

static void the_device_is_told_which_vectors_were_masked(void **state)
{
    struct core c;

    (void)state;
    core_begin(&c);
    n_told = 0;
    assert_int_equal(vfu_setup_irq_state_callback(c.ctx, VFU_DEV_MSIX_IRQ, keep_state),
                     0);
    ok(send_set(&c, NONE | MASK, VFU_DEV_MSIX_IRQ, 2, 5, NULL, 0));
    assert_int_equal(n_told, 1);
    assert_int_equal(told[0].start, 2);
    assert_int_equal(told[0].count, 5);
    assert_true(told[0].mask);
    ok(send_bools(&c, UNMASK, VFU_DEV_MSIX_IRQ, 1, 6, "\x01\x01\x00\x00\x01\x01"));
    assert_int_equal(n_told, 3);
    assert_int_equal(told[1].start, 1);
    assert_int_equal(told[1].count, 2);
    assert_false(told[1].mask);
    assert_int_equal(told[2].start, 5);
    assert_int_equal(told[2].count, 2);
    ok(send_set(&c, NONE | MASK, VFU_DEV_MSI_IRQ, 0, 1, NULL, 0));
    einval(send_set(&c, NONE | MASK, VFU_DEV_MSIX_IRQ, 0, 99, NULL, 0));
    assert_int_equal(n_told, 3);
    core_end(&c);
}

static void eventfds_for_unmasking_are_taken_for_masking_refused(void **state)
{
    struct core c;
    int fd = eventfd(0, EFD_CLOEXEC);

    (void)state;
    core_begin(&c);
    ok(send_set(&c, EVENTFD | UNMASK, VFU_DEV_INTX_IRQ, 0, 1, &fd, 1));
    ok(send_set(&c, EVENTFD | UNMASK, VFU_DEV_INTX_IRQ, 0, 1, NULL, 0));
    einval(send_set(&c, EVENTFD | MASK, VFU_DEV_INTX_IRQ, 0, 1, &fd, 1));
    close(fd);
    core_end(&c);
}

static void reset_keeps_eventfds(void **state)
{
    struct events e;
    struct core c;
    struct answer a;

    (void)state;
    begin_assigned(&c, &e);
    a = core_send(&c, VU_DEVICE_RESET, NULL, 0);
    assert_answer_ok(&a, 0);
    assert_int_equal(taken(e.fd[0]), 0);
    assert_int_equal(vfu_irq_trigger(c.ctx, 0), 0);
    assert_int_equal(taken(e.fd[0]), 1);
    end_assigned(&c, &e);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(irq_info_tells_counts_and_what_works),
    VU_FD_TEST(irq_info_refuses_bad_index_and_argsz),
    VU_FD_TEST(exactly_one_data_and_one_action_bit),
    VU_FD_TEST(ranges_stay_inside_the_index),
    VU_FD_TEST(count_zero_means_disable_and_nothing_else),
    VU_FD_TEST(an_index_without_vectors_can_be_disabled),
    VU_FD_TEST(length_and_count_of_bools_agree),
    VU_FD_TEST(small_argsz_is_refused),
    VU_FD_TEST(descriptors_match_the_vectors),
    VU_FD_TEST(descriptors_other_than_eventfds_are_refused),
    VU_FD_TEST(a_trigger_adds_one_to_its_vector_alone),
    VU_FD_TEST(triggers_without_a_vector_or_eventfd_fail),
    VU_FD_TEST(the_client_can_fire_vectors),
    VU_FD_TEST(a_full_counter_is_no_error_and_never_waits),
    VU_FD_TEST(no_signal_is_lost_among_many),
    VU_FD_TEST(no_signal_ever_needs_a_write_that_could_wait),
    VU_FD_TEST(parts_can_be_assigned_and_taken_away),
    VU_FD_TEST(descriptors_are_closed_when_replaced_or_disabled),
    VU_FD_TEST(a_failed_request_leaves_the_old_eventfds),
    VU_FD_TEST(types_have_eventfds_of_their_own),
    VU_FD_TEST(err_and_req_fire_but_cannot_be_masked),
    VU_FD_TEST(changing_the_number_of_vectors_keeps_those_that_stay),
    VU_FD_TEST(a_masked_vector_signals_once_when_unmasked),
    VU_FD_TEST(bools_select_what_is_masked),
    VU_FD_TEST(disabling_forgets_masks_and_what_is_pending),
    VU_FD_TEST(taking_an_eventfd_away_forgets_what_is_pending),
    VU_FD_TEST(the_device_is_told_which_vectors_were_masked),
    VU_FD_TEST(eventfds_for_unmasking_are_taken_for_masking_refused),
    VU_FD_TEST(reset_keeps_eventfds),
};

VU_TEST_MAIN(tests)
