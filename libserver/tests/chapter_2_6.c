/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contract, chapter 2.6: the three kinds of reset.
 */
#include "libserver/tests/chapter.h"

#define DEVICE_CONTROL 0x48     /* of the capability at 0x40 */
#define START_RESET    PCI_EXP_DEVCTL_BCR_FLR

static struct device *device_with_express(bool flr)
{
    struct device *d = device_new(NB);

    setup_usual(d);
    setup_express(d, flr);
    device_realize(d);
    device_attach(d);
    return d;
}

TEST(c2_6_device_reset_calls_back_and_passes_the_errno_on)
{
    struct device *d = device_up();

    assert_int_equal(ask(d, VFIO_USER_DEVICE_RESET, NULL, 0), 0);
    d->reset_errno = EIO;
    assert_int_equal(ask(d, VFIO_USER_DEVICE_RESET, NULL, 0), EIO);
    assert_events(d, "reset:device reset:device");
    device_down(d);
}

static int positive_reset(vfu_ctx_t *ctx, vfu_reset_type_t type)
{
    (void)ctx;
    (void)type;
    return 7;
}

TEST(c2_6_a_positive_answer_is_success)
{
    struct device *d = device_up();

    assert_int_equal(vfu_setup_device_reset_cb(d->ctx, positive_reset), 0);
    assert_int_equal(ask(d, VFIO_USER_DEVICE_RESET, NULL, 0), 0);
    device_down(d);
}

TEST(c2_6_function_level_reset_calls_back)
{
    struct device *d = device_with_express(true);

    assert_int_equal(config_write(d, DEVICE_CONTROL, START_RESET, 2), 0);
    assert_events(d, "reset:flr");
    assert_int_equal(config_read(d, DEVICE_CONTROL, 2), 0);     /* reads back 0 */
    d->reset_errno = EIO;
    assert_int_equal(config_write(d, DEVICE_CONTROL, START_RESET, 2), EIO);
    assert_events(d, "reset:flr");
    device_down(d);
}

TEST(c2_6_function_level_reset_needs_the_capability_bit)
{
    struct device *d = device_with_express(false);

    assert_int_equal(config_write(d, DEVICE_CONTROL, START_RESET, 2), EINVAL);
    assert_events(d, "");
    device_down(d);
}

TEST(c2_6_without_a_callback_resets_succeed)
{
    struct device *d = device_with_express(true);

    assert_int_equal(vfu_setup_device_reset_cb(d->ctx, NULL), 0);
    assert_int_equal(ask(d, VFIO_USER_DEVICE_RESET, NULL, 0), 0);
    assert_int_equal(config_write(d, DEVICE_CONTROL, START_RESET, 2), 0);
    device_detach(d);
    device_down(d);
}

TEST(c2_6_a_reset_leaves_windows_interrupts_and_config_space_alone)
{
    struct device *d = device_up();
    int event = new_eventfd();

    assert_int_equal(dma_map(d, 0x10000, PAGE, -1), 0);
    assert_int_equal(set_irqs(d, TRIGGER_EVENTFD, VFU_DEV_MSIX_IRQ, 0, 1, &event, 1), 0);
    assert_int_equal(config_write(d, PCI_COMMAND, PCI_COMMAND_MEMORY, 2), 0);
    assert_int_equal(config_write(d, PCI_BASE_ADDRESS_0, 0xfe000000, 4), 0);
    assert_int_equal(ask(d, VFIO_USER_DEVICE_RESET, NULL, 0), 0);
    assert_events(d, "register:10000 reset:device");
    assert_int_equal(vfu_irq_trigger(d->ctx, 0), 0);
    assert_int_equal(signals(event), 1);
    assert_int_equal(config_read(d, PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
    assert_int_equal(config_read(d, PCI_BASE_ADDRESS_0, 4), 0xfe000000);
    assert_int_equal(dma_unmap(d, 0x10000, PAGE, 0), 0);
    close(event);
    device_down(d);
}

/* Specification: a reset returns to the initial state, that of migration included. */
TEST(c2_6_a_reset_returns_migration_to_running_without_a_callback)
{
    struct device *d = device_up_migrating();

    assert_int_equal(migrate(d, VFIO_USER_DEVICE_STATE_STOP), 0);
    assert_int_equal(ask(d, VFIO_USER_DEVICE_RESET, NULL, 0), 0);
    assert_int_equal(migration_state(d), VFIO_USER_DEVICE_STATE_RUNNING);
    assert_events(d, "state:0 reset:device");
    device_down(d);
}

struct at_reset {
    int poll_fd_is_open;
    int trigger_works;
    int windows;
};

static void look_around(struct device *d, const char *event, const vfu_dma_info_t *info)
{
    struct at_reset *seen = d->aux;
    uint8_t sg[40];

    (void)info;
    if (strcmp(event, "reset:lost") != 0)
        return;
    seen->poll_fd_is_open = fcntl(vfu_get_poll_fd(d->ctx), F_GETFD) >= 0;
    seen->trigger_works = vfu_irq_trigger(d->ctx, 0) == 0;
    seen->windows = vfu_addr_to_sgl(d->ctx, (void *)0x10000, 1, (dma_sg_t *)sg, 1,
                                    PROT_READ);
}

/* SPDK takes the descriptor out of its epoll set there. */
TEST(c2_6_when_the_client_is_lost_windows_are_gone_and_descriptors_still_open)
{
    struct device *d = device_up();
    struct at_reset seen = { 0 };
    int event = new_eventfd();

    assert_int_equal(dma_map(d, 0x10000, PAGE, -1), 0);
    assert_int_equal(set_irqs(d, TRIGGER_EVENTFD, VFU_DEV_MSIX_IRQ, 0, 1, &event, 1), 0);
    d->aux = &seen;
    d->in_callback = look_around;
    device_detach(d);
    assert_events(d, "register:10000 unregister:10000 reset:lost");
    assert_true(seen.poll_fd_is_open);
    assert_true(seen.trigger_works);
    assert_int_equal(seen.windows, -1);
    assert_int_equal(signals(event), 1);
    d->in_callback = NULL;
    assert_int_equal(vfu_irq_trigger(d->ctx, 0), -1);   /* closed after it */
    assert_int_equal(errno, ENOENT);
    close(event);
    device_down(d);
}

TEST(c2_6_the_answer_for_a_lost_client_is_ignored)
{
    struct device *d = device_up();

    d->reset_errno = EIO;
    device_detach(d);
    assert_events(d, "reset:lost");
    device_attach(d);
    device_down(d);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(c2_6_device_reset_calls_back_and_passes_the_errno_on),
    VU_FD_TEST(c2_6_a_positive_answer_is_success),
    VU_FD_TEST(c2_6_function_level_reset_calls_back),
    VU_FD_TEST(c2_6_function_level_reset_needs_the_capability_bit),
    VU_FD_TEST(c2_6_without_a_callback_resets_succeed),
    VU_FD_TEST(c2_6_a_reset_leaves_windows_interrupts_and_config_space_alone),
    VU_FD_TEST(c2_6_a_reset_returns_migration_to_running_without_a_callback),
    VU_FD_TEST(c2_6_when_the_client_is_lost_windows_are_gone_and_descriptors_still_open),
    VU_FD_TEST(c2_6_the_answer_for_a_lost_client_is_ignored),
};

VU_TEST_MAIN(tests)
