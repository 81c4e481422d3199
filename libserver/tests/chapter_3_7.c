/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contract, chapter 3.7: the order of callbacks, and what outlives a client. An
 * event with '!' came after the reply could be read; see chapter.h.
 */
#include "libserver/tests/chapter.h"

static struct device *device_begin(void)
{
    struct device *d = device_new(NB);

    setup_usual(d);
    setup_express(d, true);
    setup_migration(d);
    vfu_setup_device_quiesce_cb(d->ctx, on_quiesce);
    device_realize(d);
    device_attach(d);
    return d;
}

static int look_up(struct device *d, uint64_t addr)
{
    uint8_t sg[40];

    return vfu_addr_to_sgl(d->ctx, (void *)addr, 1, (dma_sg_t *)(void *)sg, 1, 0);
}

struct inside {
    int found;                  /* by a look-up in the callback */
    char byte;                  /* read through vaddr there */
};

static void look_inside(struct device *d, const char *event, const vfu_dma_info_t *info)
{
    struct inside *seen = d->aux;

    (void)event;
    if (info == NULL)
        return;
    seen->found = look_up(d, (uintptr_t)info->iova.iov_base);
    if (info->vaddr != NULL)
        seen->byte = *(const char *)info->vaddr;
}

TEST(c3_7_map_quiesces_then_registers_what_is_usable_then_replies)
{
    struct device *d = device_begin();
    struct inside seen = { 0 };
    int memory = new_memory(PAGE);

    assert_int_equal(pwrite(memory, "x", 1, 0), 1);
    d->aux = &seen;
    d->in_callback = look_inside;
    assert_int_equal(dma_map(d, 0x10000, PAGE, memory), 0);
    assert_events(d, "quiesce register:10000");
    assert_int_equal(seen.found, 1);
    assert_int_equal(seen.byte, 'x');
    d->in_callback = NULL;
    close(memory);
    device_down(d);
}

TEST(c3_7_unmap_quiesces_then_unregisters_what_is_mapped_then_replies)
{
    struct device *d = device_begin();
    struct inside seen = { 0 };
    int memory = new_memory(PAGE);
    int before = vu_test_open_fds();

    assert_int_equal(pwrite(memory, "x", 1, 0), 1);
    assert_int_equal(dma_map(d, 0x10000, PAGE, memory), 0);
    d->events[0] = '\0';
    d->aux = &seen;
    d->in_callback = look_inside;
    assert_int_equal(dma_unmap(d, 0x10000, PAGE, 0), 0);
    assert_events(d, "quiesce unregister:10000");
    assert_int_equal(seen.byte, 'x');
    assert_int_equal(vu_test_open_fds(), before);   /* with the reply it is closed */
    close(memory);
    device_down(d);
}

TEST(c3_7_unmap_all_quiesces_once_and_unregisters_ascending)
{
    struct device *d = device_begin();

    assert_int_equal(dma_map(d, 0x30000, PAGE, -1), 0);
    assert_int_equal(dma_map(d, 0x10000, PAGE, -1), 0);
    assert_int_equal(dma_map(d, 0x20000, PAGE, -1), 0);
    d->events[0] = '\0';
    assert_int_equal(dma_unmap(d, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL), 0);
    assert_events(d, "quiesce unregister:10000 unregister:20000 unregister:30000");
    device_down(d);
}

TEST(c3_7_resets_quiesce_then_reset_then_reply)
{
    struct device *d = device_begin();

    assert_int_equal(ask(d, VFIO_USER_DEVICE_RESET, NULL, 0), 0);
    assert_events(d, "quiesce reset:device");
    assert_int_equal(config_write(d, 0x48, PCI_EXP_DEVCTL_BCR_FLR, 2), 0);
    assert_events(d, "quiesce reset:flr");
    device_down(d);
}

TEST(c3_7_a_migration_set_quiesces_once_for_all_steps)
{
    struct device *d = device_begin();

    assert_int_equal(migrate(d, VFIO_USER_DEVICE_STATE_STOP_COPY), 0);
    assert_events(d, "quiesce state:0 state:2");
    device_down(d);
}

TEST(c3_7_a_disconnect_quiesces_unregisters_ascending_resets_and_closes)
{
    struct device *d = device_begin();
    int before, event = new_eventfd();

    assert_int_equal(dma_map(d, 0x20000, PAGE, -1), 0);
    assert_int_equal(dma_map(d, 0x10000, PAGE, -1), 0);
    assert_int_equal(set_irqs(d, TRIGGER_EVENTFD, VFU_DEV_MSIX_IRQ, 0, 1, &event, 1), 0);
    before = vu_test_open_fds();
    d->events[0] = '\0';
    device_detach(d);
    assert_events(d, "quiesce unregister:10000 unregister:20000 reset:lost");
    assert_int_equal(vu_test_open_fds(), before - 3);   /* eventfd, both ends */
    close(event);
    device_down(d);
}

TEST(c3_7_a_reply_that_fails_is_a_disconnect_inside_the_same_call)
{
    struct device *d = device_begin();
    struct vfio_user_dma_map m = { .argsz = sizeof(m), .flags = RW, .size = PAGE };

    post(d, VFIO_USER_DMA_MAP, &m, sizeof(m));
    client_close(d);
    assert_int_equal(run(d), 1);
    assert_events(d, "quiesce register:0 quiesce unregister:0 reset:lost");
    assert_int_equal(run(d), -ENOTCONN);
    assert_events(d, "");
    device_down(d);
}

TEST(c3_7_destroy_unregisters_resets_and_never_quiesces)
{
    struct device *d = device_begin();

    assert_int_equal(dma_map(d, 0x10000, PAGE, -1), 0);
    d->events[0] = '\0';
    vfu_destroy_ctx(d->ctx);
    d->ctx = NULL;
    assert_events(d, "unregister:10000 reset:lost");
    device_down(d);
}

TEST(c3_7_regions_ioeventfds_and_config_space_outlive_the_client)
{
    struct device *d = device_begin();
    vfio_user_region_io_fds_request_t m = { .argsz = 4096 };
    int event = new_eventfd();

    assert_int_equal(vfu_create_ioeventfd(d->ctx, 0, event, 8, 4, 0, 0, -1, 0), 0);
    assert_int_equal(config_write(d, PCI_COMMAND, PCI_COMMAND_MEMORY, 2), 0);
    assert_int_equal(config_write(d, PCI_BASE_ADDRESS_0, 0xfe000000, 4), 0);
    device_detach(d);
    device_attach(d);
    assert_int_equal(config_read(d, PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
    assert_int_equal(config_read(d, PCI_BASE_ADDRESS_0, 4), 0xfe000000);
    assert_int_equal(region_info(d, 0, 32).size, BAR0_SIZE);
    assert_int_equal(ask(d, VFIO_USER_DEVICE_GET_REGION_IO_FDS, &m, sizeof(m)), 0);
    memcpy(&m, d->reply.body, sizeof(m));
    assert_int_equal(m.count, 1);
    close(event);
    device_down(d);
}

/* Those of the client do not; migration and dirty logging did in the original. */
TEST(c3_7_what_the_client_set_up_does_not_outlive_it)
{
    struct vfio_user_device_feature_dma_logging_control c = { .page_size = PAGE };
    struct vfio_user_device_feature_dma_logging_report r = { 0x10000, PAGE, PAGE };
    struct device *d = device_begin();
    int memory = new_memory(PAGE), event = new_eventfd();

    assert_int_equal(dma_map(d, 0x10000, PAGE, memory), 0);
    assert_int_equal(set_irqs(d, TRIGGER_EVENTFD, VFU_DEV_MSIX_IRQ, 0, 1, &event, 1), 0);
    assert_int_equal(set_irqs(d, VFIO_IRQ_SET_ACTION_MASK | VFIO_IRQ_SET_DATA_NONE,
                              VFU_DEV_MSIX_IRQ, 0, 1, NULL, 0), 0);
    assert_int_equal(feature(d, 24, FEATURE_SET(DMA_LOGGING_START), &c, sizeof(c)), 0);
    assert_int_equal(migrate(d, VFIO_USER_DEVICE_STATE_STOP), 0);
    device_detach(d);
    device_attach(d);
    assert_int_equal(look_up(d, 0x10000), -1);
    assert_int_equal(vfu_irq_trigger(d->ctx, 0), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(set_irqs(d, TRIGGER_EVENTFD, VFU_DEV_MSIX_IRQ, 0, 1, &event, 1), 0);
    assert_int_equal(vfu_irq_trigger(d->ctx, 0), 0);
    assert_int_equal(signals(event), 1);            /* it is not masked any more */
    assert_int_equal(migration_state(d), VFIO_USER_DEVICE_STATE_RUNNING);
    assert_int_equal(dma_map(d, 0x10000, PAGE, memory), 0);
    assert_int_equal(feature(d, 64, FEATURE_GET(DMA_LOGGING_REPORT), &r, sizeof(r)),
                     EINVAL);
    close(event);
    close(memory);
    device_down(d);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(c3_7_map_quiesces_then_registers_what_is_usable_then_replies),
    VU_FD_TEST(c3_7_unmap_quiesces_then_unregisters_what_is_mapped_then_replies),
    VU_FD_TEST(c3_7_unmap_all_quiesces_once_and_unregisters_ascending),
    VU_FD_TEST(c3_7_resets_quiesce_then_reset_then_reply),
    VU_FD_TEST(c3_7_a_migration_set_quiesces_once_for_all_steps),
    VU_FD_TEST(c3_7_a_disconnect_quiesces_unregisters_ascending_resets_and_closes),
    VU_FD_TEST(c3_7_a_reply_that_fails_is_a_disconnect_inside_the_same_call),
    VU_FD_TEST(c3_7_destroy_unregisters_resets_and_never_quiesces),
    VU_FD_TEST(c3_7_regions_ioeventfds_and_config_space_outlive_the_client),
    VU_FD_TEST(c3_7_what_the_client_set_up_does_not_outlive_it),
};

VU_TEST_MAIN(tests)
