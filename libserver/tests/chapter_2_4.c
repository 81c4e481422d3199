/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contract, chapter 2.4: what a device sets up besides regions.
 */
#include "libserver/tests/chapter.h"

static const vfu_migration_callbacks_t migration = {
    .version = VFU_MIGR_CALLBACKS_VERS,
    .transition = on_transition,
    .read_data = on_read_data,
    .write_data = on_write_data,
};

TEST(c2_4_the_reset_callback_can_be_set_and_taken_away)
{
    struct device *d = device_up();

    assert_int_equal(vfu_setup_device_reset_cb(d->ctx, NULL), 0);
    assert_int_equal(ask(d, VFIO_USER_DEVICE_RESET, NULL, 0), 0);
    assert_events(d, "");
    assert_int_equal(vfu_setup_device_reset_cb(d->ctx, on_reset), 0);
    assert_int_equal(ask(d, VFIO_USER_DEVICE_RESET, NULL, 0), 0);
    assert_events(d, "reset:device");
    device_down(d);
}

TEST(c2_4_the_quiesce_callback_can_be_swapped_while_a_client_is_attached)
{
    struct device *d = device_up();

    assert_int_equal(ask(d, VFIO_USER_DEVICE_RESET, NULL, 0), 0);
    vfu_setup_device_quiesce_cb(d->ctx, on_quiesce);
    assert_int_equal(ask(d, VFIO_USER_DEVICE_RESET, NULL, 0), 0);
    vfu_setup_device_quiesce_cb(d->ctx, NULL);
    assert_int_equal(ask(d, VFIO_USER_DEVICE_RESET, NULL, 0), 0);
    assert_events(d, "reset:device quiesce reset:device reset:device");
    device_down(d);
}

TEST(c2_4_there_are_five_interrupt_types)
{
    struct device *d = device_new(NB);

    assert_int_equal(vfu_setup_device_nr_irqs(d->ctx, VFU_DEV_REQ_IRQ, 1), 0);
    assert_int_equal(vfu_setup_device_nr_irqs(d->ctx, VFU_DEV_NUM_IRQS, 1), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(vfu_setup_device_nr_irqs(d->ctx, (enum vfu_dev_irq_type)-1, 1), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(vfu_setup_irq_state_callback(d->ctx, VFU_DEV_REQ_IRQ, on_irq_state),
                     0);
    assert_int_equal(vfu_setup_irq_state_callback(d->ctx, VFU_DEV_NUM_IRQS, on_irq_state),
                     -1);
    assert_int_equal(errno, EINVAL);
    device_down(d);
}

TEST(c2_4_the_state_callback_sees_start_and_count_of_mask_and_unmask)
{
    struct device *d = device_up();

    assert_int_equal(vfu_setup_irq_state_callback(d->ctx, VFU_DEV_MSIX_IRQ, on_irq_state),
                     0);
    assert_int_equal(set_irqs(d, VFIO_IRQ_SET_ACTION_MASK | VFIO_IRQ_SET_DATA_NONE,
                              VFU_DEV_MSIX_IRQ, 2, 3, NULL, 0), 0);
    assert_int_equal(set_irqs(d, VFIO_IRQ_SET_ACTION_UNMASK | VFIO_IRQ_SET_DATA_NONE,
                              VFU_DEV_MSIX_IRQ, 3, 1, NULL, 0), 0);
    assert_events(d, "mask:2+3 unmask:3+1");
    device_down(d);
}

/* The original ignores the bytes. */
TEST(c2_4_the_state_callback_sees_only_vectors_that_bool_selects)
{
    struct device *d = device_up();

    assert_int_equal(vfu_setup_irq_state_callback(d->ctx, VFU_DEV_MSIX_IRQ, on_irq_state),
                     0);
    assert_int_equal(set_irqs_bool(d, VFIO_IRQ_SET_ACTION_MASK, VFU_DEV_MSIX_IRQ, 1,
                                   (const uint8_t[]){ 1, 1, 0, 2 }, 4), 0);
    assert_events(d, "mask:1+2 mask:4+1");
    device_down(d);
}

TEST(c2_4_both_dma_callbacks_are_optional)
{
    struct device *d = device_up();

    assert_int_equal(vfu_setup_device_dma(d->ctx, 16, NULL, NULL), 0);
    assert_int_equal(dma_map(d, 0x10000, PAGE, -1), 0);
    assert_int_equal(dma_unmap(d, 0x10000, PAGE, 0), 0);
    assert_events(d, "");
    device_down(d);
}

TEST(c2_4_without_dma_set_up_windows_are_accepted_and_nothing_happens)
{
    struct device *d = device_new(NB);
    int memory = new_memory(PAGE);
    int before;

    device_realize(d);
    device_attach(d);
    before = vu_test_open_fds();
    assert_int_equal(dma_map(d, 0x10000, PAGE, memory), 0);
    assert_int_equal(dma_map(d, 0x10000, PAGE, memory), 0);
    assert_int_equal(vu_test_open_fds(), before);
    assert_int_equal(dma_unmap(d, 0x77000, PAGE, 0), 0);
    close(memory);
    device_down(d);
}

TEST(c2_4_the_three_argument_form_allows_a_million_windows)
{
    struct device *d = device_new(NB);

    assert_int_equal(vfu_setup_device_dma(d->ctx, on_register, on_unregister), 0);
    device_realize(d);
    device_attach(d);
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(dma_map(d, i * 2 * PAGE, PAGE, -1), 0);
    device_down(d);
}

TEST(c2_4_migration_needs_version_2_and_all_three_callbacks)
{
    struct device *d = device_new(NB);
    vfu_migration_callbacks_t bad[5] = {
        migration, migration, migration, migration, migration,
    };

    bad[0].version = 1;
    bad[1].version = 3;
    bad[2].transition = NULL;
    bad[3].read_data = NULL;
    bad[4].write_data = NULL;
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(vfu_setup_device_migration_callbacks(d->ctx, &bad[i]), -1);
        assert_int_equal(errno, EINVAL);
    }
    assert_int_equal(vfu_setup_device_migration_callbacks(d->ctx, &migration), 0);
    device_down(d);
}

TEST(c2_4_migration_can_be_set_up_while_a_client_is_attached)
{
    struct device *d = device_up();

    assert_int_not_equal(migrate(d, VFIO_USER_DEVICE_STATE_STOP), 0);
    assert_int_equal(vfu_setup_device_migration_callbacks(d->ctx, &migration), 0);
    assert_int_equal(migration_state(d), VFIO_USER_DEVICE_STATE_RUNNING);
    assert_int_equal(migrate(d, VFIO_USER_DEVICE_STATE_STOP), 0);
    assert_events(d, "state:0");
    device_down(d);
}

TEST(c2_4_the_migration_callbacks_are_copied)
{
    vfu_migration_callbacks_t callbacks = migration;
    struct device *d = device_up();

    assert_int_equal(vfu_setup_device_migration_callbacks(d->ctx, &callbacks), 0);
    memset(&callbacks, 0xff, sizeof(callbacks));
    assert_int_equal(migrate(d, VFIO_USER_DEVICE_STATE_STOP), 0);
    assert_events(d, "state:0");
    device_down(d);
}

TEST(c2_4_setting_migration_up_again_restarts_at_running)
{
    struct device *d = device_up();

    assert_int_equal(vfu_setup_device_migration_callbacks(d->ctx, &migration), 0);
    assert_int_equal(migrate(d, VFIO_USER_DEVICE_STATE_STOP), 0);
    assert_int_equal(vfu_setup_device_migration_callbacks(d->ctx, &migration), 0);
    assert_int_equal(migration_state(d), VFIO_USER_DEVICE_STATE_RUNNING);
    assert_events(d, "state:0");
    device_down(d);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(c2_4_the_reset_callback_can_be_set_and_taken_away),
    VU_FD_TEST(c2_4_the_quiesce_callback_can_be_swapped_while_a_client_is_attached),
    VU_FD_TEST(c2_4_there_are_five_interrupt_types),
    VU_FD_TEST(c2_4_the_state_callback_sees_start_and_count_of_mask_and_unmask),
    VU_FD_TEST(c2_4_the_state_callback_sees_only_vectors_that_bool_selects),
    VU_FD_TEST(c2_4_both_dma_callbacks_are_optional),
    VU_FD_TEST(c2_4_without_dma_set_up_windows_are_accepted_and_nothing_happens),
    VU_FD_TEST(c2_4_the_three_argument_form_allows_a_million_windows),
    VU_FD_TEST(c2_4_migration_needs_version_2_and_all_three_callbacks),
    VU_FD_TEST(c2_4_migration_can_be_set_up_while_a_client_is_attached),
    VU_FD_TEST(c2_4_the_migration_callbacks_are_copied),
    VU_FD_TEST(c2_4_setting_migration_up_again_restarts_at_running),
};

VU_TEST_MAIN(tests)
