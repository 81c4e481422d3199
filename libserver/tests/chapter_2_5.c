/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contract, chapter 2.5: which commands wait for the device to be quiet, what it
 * may answer, and vfu_device_quiesced().
 */
#include "libserver/tests/chapter.h"

/* A device whose PCI Express capability is at 0x40. */
static struct device *device_with_express(bool flr)
{
    struct device *d = device_new(NB);

    setup_usual(d);
    setup_express(d, flr);
    vfu_setup_device_quiesce_cb(d->ctx, on_quiesce);
    device_realize(d);
    device_attach(d);
    return d;
}

/* ----------------------------------------------------------- what triggers -- */

TEST(c2_5_dma_map_and_unmap_quiesce)
{
    struct device *d = device_up_quiescing();

    assert_int_equal(dma_map(d, 0x10000, PAGE, -1), 0);
    assert_events(d, "quiesce register:10000");
    assert_int_equal(dma_unmap(d, 0x10000, PAGE, 0), 0);
    assert_events(d, "quiesce unregister:10000");
    device_down(d);
}

TEST(c2_5_dma_commands_do_not_quiesce_without_dma_set_up)
{
    struct device *d = device_new(NB);

    vfu_setup_device_quiesce_cb(d->ctx, on_quiesce);
    device_realize(d);
    device_attach(d);
    assert_int_equal(dma_map(d, 0x10000, PAGE, -1), 0);
    assert_int_equal(dma_unmap(d, 0x10000, PAGE, 0), 0);
    assert_events(d, "");
    device_down(d);
}

TEST(c2_5_a_dma_command_with_bad_fields_quiesces_and_a_short_one_does_not)
{
    struct device *d = device_up_quiescing();

    assert_int_equal(dma_map_at(d, 0x10000, 0, RW, -1, 0), EINVAL);
    assert_events(d, "quiesce");
    assert_int_equal(ask(d, VFIO_USER_DMA_MAP, "", 1), EINVAL);
    assert_int_equal(ask(d, VFIO_USER_DMA_UNMAP, "", 1), EINVAL);
    assert_events(d, "");
    device_down(d);
}

TEST(c2_5_a_reset_quiesces)
{
    struct device *d = device_up_quiescing();

    assert_int_equal(ask(d, VFIO_USER_DEVICE_RESET, NULL, 0), 0);
    assert_events(d, "quiesce reset:device");
    device_down(d);
}

TEST(c2_5_a_write_at_device_control_quiesces_whatever_it_says)
{
    struct device *d = device_with_express(false);

    assert_int_equal(config_write(d, 0x48, 0, 2), 0);
    assert_events(d, "quiesce");
    assert_int_equal(config_write(d, 0x48, 0, 1), EINVAL);
    assert_events(d, "quiesce");
    assert_int_equal(config_write(d, 0x4a, 0, 2), 0);       /* Device Status */
    assert_int_equal(region_write(d, 0, 0x48, "\0\0", 2), 0);
    assert_events(d, "write:48+2");
    device_down(d);
}

TEST(c2_5_without_an_express_capability_no_config_write_quiesces)
{
    struct device *d = device_up_quiescing();

    for (uint64_t offset = 4; offset < 64; offset++)
        config_write(d, offset, 0, 1);
    assert_events(d, "");
    device_down(d);
}

TEST(c2_5_features_quiesce_when_they_set_or_are_about_the_state)
{
    struct vfio_user_device_feature_mig_state running = {
        .device_state = VFIO_USER_DEVICE_STATE_RUNNING,
    };
    struct device *d = device_up_migrating();

    vfu_setup_device_quiesce_cb(d->ctx, on_quiesce);
    assert_int_equal(migrate(d, VFIO_USER_DEVICE_STATE_RUNNING), 0);
    assert_events(d, "quiesce");
    assert_int_equal(migration_state(d), VFIO_USER_DEVICE_STATE_RUNNING);
    assert_events(d, "quiesce");
    assert_int_equal(feature(d, 16, FEATURE_GET(MIGRATION), NULL, 0), 0);
    assert_int_equal(feature(d, 16, FEATURE_SET(MIG_DEVICE_STATE) |
                             VFIO_DEVICE_FEATURE_PROBE, &running, sizeof(running)), 0);
    assert_int_equal(feature(d, 16, FEATURE_PROBE(MIGRATION), NULL, 0), 0);
    assert_events(d, "");
    device_down(d);
}

TEST(c2_5_a_dirty_report_does_not_quiesce_and_start_does)
{
    struct vfio_user_device_feature_dma_logging_control start = { .page_size = PAGE };
    struct vfio_user_device_feature_dma_logging_report report = {
        .iova = 0x10000, .length = PAGE, .page_size = PAGE,
    };
    struct device *d = device_up_migrating();
    int memory = new_memory(PAGE);

    assert_int_equal(dma_map(d, 0x10000, PAGE, memory), 0);
    d->events[0] = '\0';
    vfu_setup_device_quiesce_cb(d->ctx, on_quiesce);
    assert_int_equal(feature(d, 24, FEATURE_SET(DMA_LOGGING_START), &start,
                             sizeof(start)), 0);
    assert_events(d, "quiesce");
    assert_int_equal(feature(d, 64, FEATURE_GET(DMA_LOGGING_REPORT), &report,
                             sizeof(report)), 0);
    assert_events(d, "");
    close(memory);
    device_down(d);
}

TEST(c2_5_a_lost_connection_quiesces)
{
    struct device *d = device_up_quiescing();

    device_detach(d);
    assert_events(d, "quiesce reset:lost");
    device_down(d);
}

TEST(c2_5_set_irqs_does_not_quiesce)
{
    struct device *d = device_up_quiescing();

    assert_int_equal(set_irqs(d, TRIGGER_NONE, VFU_DEV_MSIX_IRQ, 0, 0, NULL, 0), 0);
    assert_events(d, "");
    device_down(d);
}

TEST(c2_5_migration_data_do_not_quiesce)
{
    struct vfio_user_mig_data m = { .argsz = 8 + 16, .size = 16 };
    struct device *d = device_up_migrating();

    assert_int_equal(migrate(d, VFIO_USER_DEVICE_STATE_PRE_COPY), 0);
    vfu_setup_device_quiesce_cb(d->ctx, on_quiesce);
    d->events[0] = '\0';
    assert_int_equal(ask(d, VFIO_USER_MIG_DATA_READ, &m, sizeof(m)), 0);
    assert_events(d, "read_data:10");
    device_down(d);
}

/* --------------------------------------------------------- what it answers -- */

TEST(c2_5_another_errno_is_replied_and_the_command_not_run)
{
    struct device *d = device_up_quiescing();

    d->quiesce_errno = ENODEV;
    assert_int_equal(dma_map(d, 0x10000, PAGE, -1), ENODEV);
    assert_int_equal(d->ran, 0);
    assert_int_equal(ask(d, VFIO_USER_DEVICE_RESET, NULL, 0), ENODEV);
    assert_events(d, "quiesce quiesce");
    d->quiesce_errno = 0;
    assert_int_equal(dma_unmap(d, 0x10000, PAGE, 0), ENOENT);   /* it is not there */
    device_down(d);
}

/* The original asks for ever and never lets go. */
TEST(c2_5_a_failing_quiesce_does_not_keep_a_lost_client_alive)
{
    struct device *d = device_up_quiescing();

    assert_int_equal(dma_map(d, 0x10000, PAGE, -1), 0);
    d->events[0] = '\0';
    d->quiesce_errno = ENODEV;
    device_detach(d);
    assert_events(d, "quiesce unregister:10000 reset:lost");
    d->quiesce_errno = 0;
    device_attach(d);
    device_down(d);
}

TEST(c2_5_ebusy_keeps_the_command_without_a_reply)
{
    struct device *d = device_up_quiescing();

    d->quiesce_errno = EBUSY;
    post(d, VFIO_USER_DEVICE_RESET, NULL, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(run(d), -EBUSY);
    assert_events(d, "quiesce");            /* asked once */
    assert_silent(d);
    device_down(d);
}

TEST(c2_5_ebusy_on_a_lost_connection_does_nothing_yet)
{
    struct device *d = device_up_quiescing();

    d->quiesce_errno = EBUSY;
    client_close(d);
    assert_int_equal(run(d), -EBUSY);
    assert_int_equal(run(d), -EBUSY);
    assert_events(d, "quiesce");
    assert_int_equal(vfu_device_quiesced(d->ctx, 0), 0);
    assert_events(d, "reset:lost");
    assert_int_equal(run(d), -ENOTCONN);
    assert_events(d, "");
    device_down(d);
}

TEST(c2_5_a_blocking_run_returns_ebusy_too)
{
    struct device *d = device_new(0);

    setup_usual(d);
    vfu_setup_device_quiesce_cb(d->ctx, on_quiesce);
    device_realize(d);
    device_attach(d);
    d->quiesce_errno = EBUSY;
    post(d, VFIO_USER_DEVICE_RESET, NULL, 0);
    assert_int_equal(run(d), -EBUSY);
    assert_int_equal(run(d), -EBUSY);
    device_down(d);
}

/* While the device gets quiet it finishes its DMA. */
TEST(c2_5_guest_memory_can_be_used_while_a_quiesce_is_pending)
{
    struct device *d = device_up_quiescing();
    int memory = new_memory(PAGE);
    uint8_t sg[40] = { 0 };
    struct iovec iov;

    assert_int_equal(dma_map(d, 0x10000, PAGE, memory), 0);
    d->quiesce_errno = EBUSY;
    post(d, VFIO_USER_DEVICE_RESET, NULL, 0);
    assert_int_equal(run(d), -EBUSY);
    assert_int_equal(vfu_addr_to_sgl(d->ctx, (void *)0x10010, 4, (dma_sg_t *)sg, 1,
                                     PROT_WRITE), 1);
    assert_int_equal(vfu_sgl_get(d->ctx, (dma_sg_t *)sg, &iov, 1, 0), 0);
    memcpy(iov.iov_base, "quit", 4);
    vfu_sgl_put(d->ctx, (dma_sg_t *)sg, &iov, 1);
    assert_int_equal(pread(memory, sg, 4, 0x10), 4);
    assert_memory_equal(sg, "quit", 4);
    close(memory);
    device_down(d);
}

/* ------------------------------------------------------ vfu_device_quiesced -- */

static void try_quiesced(struct device *d, const char *event, const vfu_dma_info_t *info)
{
    (void)info;
    if (strcmp(event, "quiesce") != 0)
        return;
    assert_int_equal(vfu_device_quiesced(d->ctx, 0), -1);
    assert_int_equal(errno, EINVAL);
}

TEST(c2_5_quiesced_with_nothing_pending_is_refused)
{
    struct device *d = device_up();

    assert_int_equal(vfu_device_quiesced(d->ctx, 0), -1);       /* no callback */
    assert_int_equal(errno, EINVAL);
    vfu_setup_device_quiesce_cb(d->ctx, on_quiesce);
    assert_int_equal(vfu_device_quiesced(d->ctx, 0), -1);
    assert_int_equal(errno, EINVAL);
    d->in_callback = try_quiesced;                  /* from inside the callback */
    assert_int_equal(ask(d, VFIO_USER_DEVICE_RESET, NULL, 0), 0);
    device_down(d);
}

TEST(c2_5_quiesced_runs_the_command_and_replies_inside_the_call)
{
    struct device *d = device_up_quiescing();
    struct vfio_user_dma_map m = { .argsz = sizeof(m), .flags = RW, .size = PAGE };

    d->quiesce_errno = EBUSY;
    post(d, VFIO_USER_DMA_MAP, &m, sizeof(m));
    assert_int_equal(run(d), -EBUSY);
    assert_int_equal(vfu_device_quiesced(d->ctx, 0), 0);
    assert_events(d, "quiesce register:0");
    assert_int_equal(receive_reply(d, d->id, VFIO_USER_DMA_MAP), 0);
    post(d, VFIO_USER_DEVICE_RESET, NULL, 0);       /* a new quiesce may follow at once */
    assert_int_equal(run(d), -EBUSY);
    assert_int_equal(vfu_device_quiesced(d->ctx, 0), 0);
    assert_int_equal(receive_reply(d, d->id, VFIO_USER_DEVICE_RESET), 0);
    device_down(d);
}

TEST(c2_5_quiesced_with_a_dead_peer_resets_without_asking_again)
{
    struct device *d = device_up_quiescing();
    struct vfio_user_dma_map m = { .argsz = sizeof(m), .flags = RW, .size = PAGE };

    d->quiesce_errno = EBUSY;
    post(d, VFIO_USER_DMA_MAP, &m, sizeof(m));
    assert_int_equal(run(d), -EBUSY);
    client_close(d);
    assert_int_equal(vfu_device_quiesced(d->ctx, 0), 0);
    assert_events(d, "quiesce register:0 unregister:0 reset:lost");
    assert_int_equal(run(d), -ENOTCONN);
    assert_events(d, "");
    device_down(d);
}

/* The original sends nothing, and the client waits for ever. */
TEST(c2_5_quiesced_with_an_errno_replies_it_and_does_not_run_the_command)
{
    struct device *d = device_up_quiescing();
    struct vfio_user_dma_map m = { .argsz = sizeof(m), .flags = RW, .size = PAGE };

    d->quiesce_errno = EBUSY;
    post(d, VFIO_USER_DMA_MAP, &m, sizeof(m));
    assert_int_equal(run(d), -EBUSY);
    assert_int_equal(vfu_device_quiesced(d->ctx, ENOTTY), 0);
    assert_int_equal(receive_reply(d, d->id, VFIO_USER_DMA_MAP), ENOTTY);
    assert_events(d, "quiesce");
    d->quiesce_errno = 0;
    assert_int_equal(dma_unmap(d, 0, PAGE, 0), ENOENT);
    device_down(d);
}

TEST(c2_5_quiesced_with_an_errno_for_a_reset_is_asked_again)
{
    struct device *d = device_up_quiescing();

    d->quiesce_errno = EBUSY;
    client_close(d);
    assert_int_equal(run(d), -EBUSY);
    assert_int_equal(vfu_device_quiesced(d->ctx, EIO), 0);
    assert_events(d, "quiesce");
    d->quiesce_errno = 0;
    assert_int_equal(run(d), -ENOTCONN);
    assert_events(d, "quiesce reset:lost");
    device_down(d);
}

/* Several commands in one read, the first of which waits. */
TEST(c2_5_quiesced_also_serves_what_was_read_behind_the_command)
{
    struct device *d = device_up_quiescing();
    struct vfio_user_region_access a = { .region = 0, .count = 4 };
    uint8_t bytes[64];
    size_t len = put_command(bytes, 100, VFIO_USER_DEVICE_RESET, 0, NULL, 0);

    len += put_command(bytes + len, 101, VFIO_USER_REGION_READ, 0, &a, sizeof(a));
    d->quiesce_errno = EBUSY;
    send_bytes(d, bytes, len);
    assert_int_equal(run(d), -EBUSY);
    assert_int_equal(vfu_device_quiesced(d->ctx, 0), 0);
    assert_non_null(strstr(d->events, "reset:device"));
    assert_non_null(strstr(d->events, "read:0+4"));
    assert_int_equal(receive_reply(d, 100, VFIO_USER_DEVICE_RESET), 0);
    assert_int_equal(receive_reply(d, 101, VFIO_USER_REGION_READ), 0);
    assert_int_equal(run(d), 0);
    device_down(d);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(c2_5_dma_map_and_unmap_quiesce),
    VU_FD_TEST(c2_5_dma_commands_do_not_quiesce_without_dma_set_up),
    VU_FD_TEST(c2_5_a_dma_command_with_bad_fields_quiesces_and_a_short_one_does_not),
    VU_FD_TEST(c2_5_a_reset_quiesces),
    VU_FD_TEST(c2_5_a_write_at_device_control_quiesces_whatever_it_says),
    VU_FD_TEST(c2_5_without_an_express_capability_no_config_write_quiesces),
    VU_FD_TEST(c2_5_features_quiesce_when_they_set_or_are_about_the_state),
    VU_FD_TEST(c2_5_a_dirty_report_does_not_quiesce_and_start_does),
    VU_FD_TEST(c2_5_a_lost_connection_quiesces),
    VU_FD_TEST(c2_5_set_irqs_does_not_quiesce),
    VU_FD_TEST(c2_5_migration_data_do_not_quiesce),
    VU_FD_TEST(c2_5_another_errno_is_replied_and_the_command_not_run),
    VU_FD_TEST(c2_5_a_failing_quiesce_does_not_keep_a_lost_client_alive),
    VU_FD_TEST(c2_5_ebusy_keeps_the_command_without_a_reply),
    VU_FD_TEST(c2_5_ebusy_on_a_lost_connection_does_nothing_yet),
    VU_FD_TEST(c2_5_a_blocking_run_returns_ebusy_too),
    VU_FD_TEST(c2_5_guest_memory_can_be_used_while_a_quiesce_is_pending),
    VU_FD_TEST(c2_5_quiesced_with_nothing_pending_is_refused),
    VU_FD_TEST(c2_5_quiesced_runs_the_command_and_replies_inside_the_call),
    VU_FD_TEST(c2_5_quiesced_with_a_dead_peer_resets_without_asking_again),
    VU_FD_TEST(c2_5_quiesced_with_an_errno_replies_it_and_does_not_run_the_command),
    VU_FD_TEST(c2_5_quiesced_with_an_errno_for_a_reset_is_asked_again),
    VU_FD_TEST(c2_5_quiesced_also_serves_what_was_read_behind_the_command),
};

VU_TEST_MAIN(tests)
