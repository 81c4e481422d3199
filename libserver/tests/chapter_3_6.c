/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contract, chapter 3.6: SET_IRQS.
 */
#include "libserver/tests/chapter.h"

#define MSIX    VFU_DEV_MSIX_IRQ
#define NONE    VFIO_IRQ_SET_DATA_NONE
#define BOOL    VFIO_IRQ_SET_DATA_BOOL
#define EVENTFD VFIO_IRQ_SET_DATA_EVENTFD
#define MASK    VFIO_IRQ_SET_ACTION_MASK
#define UNMASK  VFIO_IRQ_SET_ACTION_UNMASK
#define TRIGGER VFIO_IRQ_SET_ACTION_TRIGGER

/* Eventfds for vectors 0..n-1 of MSI-X. */
static void assign(struct device *d, int *events, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        events[i] = new_eventfd();
    assert_int_equal(set_irqs(d, TRIGGER | EVENTFD, MSIX, 0, n, events, n), 0);
}

static void close_all(const int *events, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        close(events[i]);
}

/* Which of the vectors are connected. */
static uint32_t connected(struct device *d, const int *events, uint32_t n)
{
    uint32_t bits = 0;

    for (uint32_t i = 0; i < n; i++) {
        vfu_irq_trigger(d->ctx, i);
        bits |= signals(events[i]) != 0 ? 1u << i : 0;
    }
    return bits;
}

/* ---------------------------------------------------------------- refusals -- */

TEST(c3_6_short_bodies_and_small_argsz_are_refused)
{
    struct vfio_irq_set s = { .argsz = 19, .flags = TRIGGER | NONE, .index = MSIX };
    struct device *d = device_up();

    for (size_t len = 0; len < sizeof(s); len++)
        assert_int_equal(ask(d, VFIO_USER_DEVICE_SET_IRQS, &s, len), EINVAL);
    assert_int_equal(ask(d, VFIO_USER_DEVICE_SET_IRQS, &s, sizeof(s)), EINVAL);
    s.argsz = 20;
    assert_int_equal(ask(d, VFIO_USER_DEVICE_SET_IRQS, &s, sizeof(s)), 0);
    device_down(d);
}

TEST(c3_6_bool_has_a_byte_for_each_vector)
{
    struct vfio_irq_set s = {
        .argsz = 24, .flags = TRIGGER | BOOL, .index = MSIX, .count = 4,
    };
    uint8_t body[sizeof(s) + 8] = { 0 };
    struct device *d = device_up();

    memcpy(body, &s, sizeof(s));
    for (size_t len = sizeof(s); len <= sizeof(body); len++)
        assert_int_equal(ask(d, VFIO_USER_DEVICE_SET_IRQS, body, len),
                         len == sizeof(s) + 4 ? 0 : EINVAL);
    device_down(d);
}

TEST(c3_6_exactly_one_action_and_one_data_type)
{
    struct device *d = device_up();

    for (uint32_t flags = 0; flags < 64; flags++) {
        uint32_t data = flags & 7, action = flags & 0x38;
        bool good = data == NONE && (action == MASK || action == UNMASK ||
                                     action == TRIGGER);

        if (data != BOOL && data != EVENTFD)    /* those have more rules */
            assert_int_equal(set_irqs(d, flags, MSIX, 0, 1, NULL, 0), good ? 0 : EINVAL);
    }
    assert_int_equal(set_irqs(d, TRIGGER | NONE | 0x40, MSIX, 0, 1, NULL, 0), EINVAL);
    device_down(d);
}

TEST(c3_6_vectors_that_are_not_there_are_refused)
{
    struct device *d = device_up();

    assert_int_equal(set_irqs(d, TRIGGER | NONE, 5, 0, 1, NULL, 0), EINVAL);
    assert_int_equal(set_irqs(d, TRIGGER | NONE, UINT32_MAX, 0, 1, NULL, 0), EINVAL);
    assert_int_equal(set_irqs(d, TRIGGER | NONE, MSIX, 8, 1, NULL, 0), EINVAL);
    assert_int_equal(set_irqs(d, TRIGGER | NONE, MSIX, 7, 2, NULL, 0), EINVAL);
    assert_int_equal(set_irqs(d, TRIGGER | NONE, MSIX, 1, UINT32_MAX, NULL, 0), EINVAL);
    assert_int_equal(set_irqs(d, TRIGGER | NONE, MSIX, UINT32_MAX, 1, NULL, 0), EINVAL);
    assert_int_equal(set_irqs(d, TRIGGER | NONE, MSIX, 7, 1, NULL, 0), 0);
    device_down(d);
}

TEST(c3_6_err_and_req_have_one_vector_and_no_mask)
{
    struct device *d = device_up();

    for (uint32_t type = VFU_DEV_ERR_IRQ; type <= VFU_DEV_REQ_IRQ; type++) {
        assert_int_equal(set_irqs(d, MASK | NONE, type, 0, 1, NULL, 0), EINVAL);
        assert_int_equal(set_irqs(d, UNMASK | NONE, type, 0, 1, NULL, 0), EINVAL);
        assert_int_equal(set_irqs(d, TRIGGER | NONE, type, 0, 2, NULL, 0), EINVAL);
        assert_int_equal(set_irqs(d, TRIGGER | NONE, type, 0, 1, NULL, 0), 0);
    }
    device_down(d);
}

TEST(c3_6_count_0_means_disable_and_nothing_else)
{
    struct device *d = device_up();

    assert_int_equal(set_irqs(d, TRIGGER | NONE, MSIX, 1, 0, NULL, 0), EINVAL);
    assert_int_equal(set_irqs(d, MASK | NONE, MSIX, 0, 0, NULL, 0), EINVAL);
    assert_int_equal(set_irqs(d, TRIGGER | EVENTFD, MSIX, 0, 0, NULL, 0), EINVAL);
    assert_int_equal(set_irqs(d, TRIGGER | BOOL, MSIX, 0, 0, NULL, 0), EINVAL);
    assert_int_equal(set_irqs(d, TRIGGER | NONE, MSIX, 0, 0, NULL, 0), 0);
    device_down(d);
}

TEST(c3_6_a_type_without_vectors_can_only_be_disabled)
{
    struct device *d = device_new(NB);

    device_realize(d);
    device_attach(d);
    assert_int_equal(set_irqs(d, TRIGGER | NONE, MSIX, 0, 0, NULL, 0), 0);
    assert_int_equal(set_irqs(d, TRIGGER | NONE, MSIX, 0, 1, NULL, 0), EINVAL);
    assert_int_equal(set_irqs(d, TRIGGER | EVENTFD, MSIX, 0, 1, NULL, 0), EINVAL);
    device_down(d);
}

TEST(c3_6_descriptors_come_with_eventfd_data_and_one_per_vector)
{
    struct device *d = device_up();
    int fds[3] = { new_eventfd(), new_eventfd(), new_eventfd() };

    assert_int_equal(set_irqs(d, TRIGGER | NONE, MSIX, 0, 1, fds, 1), EINVAL);
    assert_int_equal(set_irqs(d, MASK | NONE, MSIX, 0, 1, fds, 1), EINVAL);
    assert_int_equal(set_irqs(d, TRIGGER | NONE, MSIX, 0, 0, fds, 1), EINVAL);
    assert_int_equal(set_irqs(d, TRIGGER | EVENTFD, MSIX, 0, 2, fds, 1), EINVAL);
    assert_int_equal(set_irqs(d, TRIGGER | EVENTFD, MSIX, 0, 2, fds, 3), EINVAL);
    assert_int_equal(set_irqs(d, TRIGGER | EVENTFD, MSIX, 0, 3, fds, 3), 0);
    close_all(fds, 3);
    device_down(d);
}

TEST(c3_6_a_refused_request_leaves_the_old_eventfds)
{
    struct device *d = device_up();
    int events[2], file = new_memory(PAGE);

    assign(d, events, 2);
    assert_int_equal(set_irqs(d, TRIGGER | EVENTFD, MSIX, 0, 2,
                              (const int[]){ events[1], file }, 2), EINVAL);
    assert_int_equal(connected(d, events, 2), 3);
    close(file);
    close_all(events, 2);
    device_down(d);
}

/* ----------------------------------------------------------------- actions -- */

TEST(c3_6_mask_and_unmask_call_back_and_succeed_without_a_callback)
{
    struct device *d = device_up();

    assert_int_equal(set_irqs(d, MASK | NONE, VFU_DEV_INTX_IRQ, 0, 1, NULL, 0), 0);
    assert_int_equal(set_irqs(d, UNMASK | NONE, VFU_DEV_INTX_IRQ, 0, 1, NULL, 0), 0);
    assert_int_equal(vfu_setup_irq_state_callback(d->ctx, VFU_DEV_INTX_IRQ, on_irq_state),
                     0);
    assert_int_equal(set_irqs(d, MASK | NONE, VFU_DEV_INTX_IRQ, 0, 1, NULL, 0), 0);
    assert_int_equal(set_irqs(d, UNMASK | NONE, VFU_DEV_INTX_IRQ, 0, 1, NULL, 0), 0);
    assert_events(d, "mask:0+1 unmask:0+1");
    device_down(d);
}

TEST(c3_6_disable_closes_all_eventfds_of_the_type)
{
    struct device *d = device_up();
    int events[8], intx = new_eventfd();

    assert_int_equal(set_irqs(d, TRIGGER | EVENTFD, VFU_DEV_INTX_IRQ, 0, 1, &intx, 1), 0);
    assign(d, events, 8);
    assert_int_equal(connected(d, events, 8), 0xff);
    assert_int_equal(set_irqs(d, TRIGGER | NONE, MSIX, 0, 0, NULL, 0), 0);
    assert_int_equal(connected(d, events, 8), 0);
    assert_true(signals(intx) != 0);            /* INTx's own is still there */
    close(intx);
    close_all(events, 8);
    device_down(d);
}

TEST(c3_6_eventfd_without_descriptors_disconnects_exactly_the_range)
{
    struct device *d = device_up();
    int events[8];

    assign(d, events, 8);
    assert_int_equal(set_irqs(d, TRIGGER | EVENTFD, MSIX, 5, 2, NULL, 0), 0);
    assert_int_equal(connected(d, events, 8), 0x9f);
    assert_int_equal(set_irqs(d, TRIGGER | EVENTFD, MSIX, 0, 3, NULL, 0), 0);
    assert_int_equal(connected(d, events, 8), 0x98);
    assert_int_equal(set_irqs(d, TRIGGER | EVENTFD, MSIX, 0, 1, NULL, 0), 0);  /* again */
    close_all(events, 8);
    device_down(d);
}

TEST(c3_6_eventfds_replace_older_ones)
{
    struct device *d = device_up();
    int old[2], new = new_eventfd();

    assign(d, old, 2);
    assert_int_equal(set_irqs(d, TRIGGER | EVENTFD, MSIX, 1, 1, &new, 1), 0);
    assert_int_equal(connected(d, old, 2), 1);
    assert_int_equal(signals(new), 1);
    close(new);
    close_all(old, 2);
    device_down(d);
}

TEST(c3_6_trigger_none_signals_the_range_and_skips_unset_vectors)
{
    struct device *d = device_up();
    int events[4];

    assign(d, events, 4);
    assert_int_equal(set_irqs(d, TRIGGER | EVENTFD, MSIX, 2, 1, NULL, 0), 0);
    assert_int_equal(set_irqs(d, TRIGGER | NONE, MSIX, 1, 7, NULL, 0), 0);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(signals(events[i]), i == 1 || i == 3);
    close_all(events, 4);
    device_down(d);
}

TEST(c3_6_trigger_bool_signals_where_the_byte_is_not_0)
{
    struct device *d = device_up();
    int events[4];

    assign(d, events, 4);
    assert_int_equal(
        set_irqs_bool(d, TRIGGER, MSIX, 0, (const uint8_t[]){ 1, 0, 2, 0xff }, 4), 0);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(signals(events[i]), i != 1);
    close_all(events, 4);
    device_down(d);
}

/* cloud-hypervisor sends 16 whatever the server says. */
TEST(c3_6_sixteen_descriptors_at_once_are_accepted)
{
    struct device *d = device_new(NB);
    int events[16];

    assert_int_equal(vfu_setup_device_nr_irqs(d->ctx, MSIX, 16), 0);
    device_realize(d);
    device_attach(d);
    assign(d, events, 16);
    assert_int_equal(connected(d, events, 16), 0xffff);
    close_all(events, 16);
    device_down(d);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(c3_6_short_bodies_and_small_argsz_are_refused),
    VU_FD_TEST(c3_6_bool_has_a_byte_for_each_vector),
    VU_FD_TEST(c3_6_exactly_one_action_and_one_data_type),
    VU_FD_TEST(c3_6_vectors_that_are_not_there_are_refused),
    VU_FD_TEST(c3_6_err_and_req_have_one_vector_and_no_mask),
    VU_FD_TEST(c3_6_count_0_means_disable_and_nothing_else),
    VU_FD_TEST(c3_6_a_type_without_vectors_can_only_be_disabled),
    VU_FD_TEST(c3_6_descriptors_come_with_eventfd_data_and_one_per_vector),
    VU_FD_TEST(c3_6_a_refused_request_leaves_the_old_eventfds),
    VU_FD_TEST(c3_6_mask_and_unmask_call_back_and_succeed_without_a_callback),
    VU_FD_TEST(c3_6_disable_closes_all_eventfds_of_the_type),
    VU_FD_TEST(c3_6_eventfd_without_descriptors_disconnects_exactly_the_range),
    VU_FD_TEST(c3_6_eventfds_replace_older_ones),
    VU_FD_TEST(c3_6_trigger_none_signals_the_range_and_skips_unset_vectors),
    VU_FD_TEST(c3_6_trigger_bool_signals_where_the_byte_is_not_0),
    VU_FD_TEST(c3_6_sixteen_descriptors_at_once_are_accepted),
};

VU_TEST_MAIN(tests)
