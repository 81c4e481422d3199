/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules of the protocol that servers in the field break, L1 to L24 of the list of
 * deviations: one test or more for each, named after the rule that it keeps.
 */
#include "libserver/tests/chapter_peer.h"

#define MSIX    VFU_DEV_MSIX_IRQ
#define NONE    VFIO_IRQ_SET_DATA_NONE
#define EVENTFD VFIO_IRQ_SET_DATA_EVENTFD
#define MASK    VFIO_IRQ_SET_ACTION_MASK
#define UNMASK  VFIO_IRQ_SET_ACTION_UNMASK
#define TRIGGER VFIO_IRQ_SET_ACTION_TRIGGER
#define MEM     (VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM)

static const struct vfio_user_device_info info_body = { .argsz = sizeof(info_body) };

static void assert_in_step(struct device *d)
{
    assert_int_equal(ask(d, VFIO_USER_DEVICE_GET_INFO, &info_body, sizeof(info_body)), 0);
    assert_int_equal(d->reply.len, sizeof(info_body));
}

/* --------------------------------------------------------------- L1, L2 -- */

TEST(header_in_two_pieces_is_one_header_L1)
{
    struct device *d = device_up();
    uint8_t bytes[32];

    put_command(bytes, 5, VFIO_USER_DEVICE_GET_INFO, 0, &info_body, sizeof(info_body));
    send_bytes(d, bytes, 7);
    assert_int_equal(run(d), 0);
    send_bytes(d, bytes + 7, 25);
    assert_int_equal(run(d), 1);
    assert_int_equal(receive_reply(d, 5, VFIO_USER_DEVICE_GET_INFO), 0);
    device_down(d);
}

TEST(payload_in_two_pieces_is_one_message_L1)
{
    struct vfio_user_region_access a = { .offset = 0x10, .count = 8 };
    struct device *d = device_up();
    uint8_t body[sizeof(a) + 8], bytes[16 + sizeof(body)];

    memcpy(body, &a, sizeof(a));
    memcpy(body + sizeof(a), "two half", 8);
    put_command(bytes, 5, VFIO_USER_REGION_WRITE, 0, body, sizeof(body));
    send_bytes(d, bytes, 36);
    assert_int_equal(run(d), 0);
    assert_silent(d);
    assert_events(d, "");
    send_bytes(d, bytes + 36, 4);
    assert_int_equal(run(d), 1);
    assert_int_equal(receive_reply(d, 5, VFIO_USER_REGION_WRITE), 0);
    assert_memory_equal(d->bar0 + 0x10, "two half", 8);
    device_down(d);
}

TEST(error_replies_are_a_header_alone_L2)
{
    struct device *d = device_up_migrating();

    d->access_errno = EIO;
    assert_int_equal(region_read(d, 0, 0, 1024), EIO);
    assert_int_equal(d->reply.h.msg_size, 16);
    d->transition_errno = EIO;
    assert_int_equal(migrate(d, VFIO_USER_DEVICE_STATE_STOP), EIO);
    assert_int_equal(d->reply.h.msg_size, 16);
    assert_in_step(d);
    device_down(d);
}

/* ----------------------------------------------------------- L3, L4: windows -- */

TEST(windows_over_windows_are_eexist_L3)
{
    struct device *d = device_up();
    int memory = new_memory(4 * PAGE);

    assert_int_equal(dma_map(d, 0x10000, 4 * PAGE, memory), 0);
    assert_int_equal(dma_map(d, 0x10000, 4 * PAGE, memory), EEXIST);    /* the same */
    assert_int_equal(dma_map(d, 0x11000, PAGE, memory), EEXIST);        /* inside */
    assert_int_equal(dma_map(d, 0xf000, 8 * PAGE, -1), EEXIST);         /* around */
    assert_int_equal(dma_map(d, 0x13000, 2 * PAGE, memory), EEXIST);    /* across */
    assert_int_equal(dma_map(d, 0x14000, PAGE, memory), 0);             /* behind */
    assert_events(d, "register:10000 register:14000");
    close(memory);
    device_down(d);
}

TEST(windows_that_wrap_or_are_empty_or_pass_the_files_end_are_refused_L4)
{
    struct device *d = device_up();
    int memory = new_memory(PAGE);

    assert_int_not_equal(dma_map(d, UINT64_MAX, 2, -1), 0);
    assert_int_not_equal(dma_map(d, 0x10000, 0, -1), 0);
    assert_int_not_equal(dma_map(d, 0x10000, 2 * PAGE, memory), 0);
    assert_events(d, "");
    close(memory);
    device_down(d);
}

/* ----------------------------------------------------------- L5, L6: regions -- */

TEST(mmap_comes_with_a_descriptor_and_without_padding_L5)
{
    struct device *d = device_up();
    int memory = new_memory(4 * PAGE);
    struct iovec areas[2] = { { (void *)0, PAGE },
                              { (void *)(2 * (uintptr_t)PAGE), PAGE } };

    assert_int_equal(
        vfu_setup_region(d->ctx, 2, 4 * PAGE, NULL, MEM, areas, 2, memory, 0), 0);
    for (uint32_t argsz = 32; argsz <= 96; argsz += 16) {
        struct vfio_region_info info = region_info(d, 2, argsz);
        bool fits = argsz >= info.argsz;

        assert_true((info.flags & VFIO_REGION_INFO_FLAG_MMAP) != 0);
        assert_int_equal(d->reply.n_fds, 1);
        assert_int_equal((info.flags & VFIO_REGION_INFO_FLAG_CAPS) != 0, fits);
        assert_int_equal(d->reply.len, fits ? info.argsz : 32);
    }
    close(memory);
    device_down(d);
}

TEST(an_access_of_0_bytes_is_answered_with_its_structure_L6)
{
    struct device *d = device_up();

    assert_int_equal(region_read(d, 0, 0, 0), 0);       /* both look at the length */
    assert_int_equal(region_write(d, 0, 0, NULL, 0), 0);
    device_down(d);
}

/* -------------------------------------------------------- L7-L10: interrupts -- */

static void assign(struct device *d, uint32_t type, uint32_t start, const int *fds,
                   uint32_t n)
{
    assert_int_equal(set_irqs(d, TRIGGER | EVENTFD, type, start, n, fds, n), 0);
}

TEST(eventfd_without_descriptors_takes_away_the_range_from_start_L7)
{
    struct device *d = device_up();
    int fds[4] = { new_eventfd(), new_eventfd(), new_eventfd(), new_eventfd() };

    assign(d, MSIX, 0, fds, 4);
    assert_int_equal(set_irqs(d, TRIGGER | EVENTFD, MSIX, 2, 1, NULL, 0), 0);
    for (uint32_t i = 0; i < 4; i++) {
        vfu_irq_trigger(d->ctx, i);
        assert_int_equal(signals(fds[i]), i != 2);
        close(fds[i]);
    }
    device_down(d);
}

TEST(each_interrupt_type_has_eventfds_of_its_own_L8)
{
    struct device *d = device_up();
    int intx = new_eventfd(), msix = new_eventfd();

    assign(d, MSIX, 0, &msix, 1);
    assign(d, VFU_DEV_INTX_IRQ, 0, &intx, 1);
    assert_int_equal(set_irqs(d, TRIGGER | NONE, VFU_DEV_INTX_IRQ, 0, 0, NULL, 0), 0);
    assert_int_equal(set_irqs(d, TRIGGER | NONE, MSIX, 0, 1, NULL, 0), 0);
    assert_int_equal(signals(msix), 1);
    assert_int_equal(signals(intx), 0);
    close(intx);
    close(msix);
    device_down(d);
}

TEST(bool_bytes_are_true_when_not_0_and_mask_looks_at_them_L9)
{
    struct device *d = device_up();
    int fds[3] = { new_eventfd(), new_eventfd(), new_eventfd() };

    assign(d, MSIX, 0, fds, 3);
    assert_int_equal(set_irqs_bool(d, TRIGGER, MSIX, 0, (const uint8_t[]){ 0xff, 0, 2 },
                                   3), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(signals(fds[i]), i != 1);
    assert_int_equal(set_irqs_bool(d, MASK, MSIX, 0, (const uint8_t[]){ 0, 1, 0 }, 3), 0);
    assert_int_equal(set_irqs(d, TRIGGER | NONE, MSIX, 0, 3, NULL, 0), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(signals(fds[i]), i != 1);
    assert_int_equal(set_irqs_bool(d, UNMASK, MSIX, 0, (const uint8_t[]){ 0, 3, 0 }, 3),
                     0);
    assert_int_equal(signals(fds[1]), 1);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    device_down(d);
}

/* What a client signals, a hypervisor for instance, to unmask without a message. */
TEST(an_unmask_eventfd_is_listened_to_L9)
{
    struct device *d = device_up();
    int event = new_eventfd(), unmask = new_eventfd();

    assign(d, VFU_DEV_INTX_IRQ, 0, &event, 1);
    assert_int_equal(set_irqs(d, UNMASK | EVENTFD, VFU_DEV_INTX_IRQ, 0, 1, &unmask, 1),
                     0);
    assert_int_equal(set_irqs(d, MASK | NONE, VFU_DEV_INTX_IRQ, 0, 1, NULL, 0), 0);
    assert_int_equal(vfu_irq_trigger(d->ctx, 0), 0);
    assert_int_equal(signals(event), 0);
    assert_int_equal(write(unmask, &(uint64_t){ 1 }, 8), 8);
    assert_true(readable(vfu_get_wake_fd(d->ctx)));
    assert_int_equal(run(d), 0);
    assert_int_equal(signals(event), 1);
    close(event);
    close(unmask);
    device_down(d);
}

TEST(a_type_without_vectors_can_be_disabled_L10)
{
    struct device *d = device_new(NB);

    device_realize(d);
    device_attach(d);
    for (uint32_t type = 0; type < VFU_DEV_NUM_IRQS; type++)
        assert_int_equal(set_irqs(d, TRIGGER | NONE, type, 0, 0, NULL, 0), 0);
    device_down(d);
}

static uint32_t irq_flags(struct device *d, uint32_t type)
{
    struct vfio_irq_info info = { .argsz = sizeof(info), .index = type };

    assert_int_equal(ask(d, VFIO_USER_DEVICE_GET_IRQ_INFO, &info, sizeof(info)), 0);
    memcpy(&info, d->reply.body, sizeof(info));
    return info.flags;
}

TEST(a_type_says_maskable_exactly_if_mask_succeeds_L10)
{
    struct device *d = device_up();

    for (uint32_t type = 0; type < VFU_DEV_NUM_IRQS; type++)
        assert_int_equal((irq_flags(d, type) & VFIO_IRQ_INFO_MASKABLE) != 0,
                         set_irqs(d, MASK | NONE, type, 0, 1, NULL, 0) == 0);
    device_down(d);
}

TEST(a_type_says_automasked_exactly_if_an_interrupt_masks_it_L10)
{
    struct device *d = device_new(NB);
    int event = new_eventfd();

    setup_usual(d);
    assert_int_equal(vfu_setup_irq_automask(d->ctx, VFU_DEV_INTX_IRQ, true), 0);
    device_realize(d);
    device_attach(d);
    assert_true((irq_flags(d, VFU_DEV_INTX_IRQ) & VFIO_IRQ_INFO_AUTOMASKED) != 0);
    assert_true((irq_flags(d, MSIX) & VFIO_IRQ_INFO_AUTOMASKED) == 0);
    assign(d, VFU_DEV_INTX_IRQ, 0, &event, 1);
    assert_int_equal(vfu_irq_trigger(d->ctx, 0), 0);
    assert_int_equal(vfu_irq_trigger(d->ctx, 0), 0);
    assert_int_equal(signals(event), 1);
    assert_int_equal(set_irqs(d, UNMASK | NONE, VFU_DEV_INTX_IRQ, 0, 1, NULL, 0), 0);
    assert_int_equal(signals(event), 1);
    close(event);
    device_down(d);
}

/* ------------------------------------------------- L11-L13: framing, VERSION -- */

TEST(bytes_behind_an_oversized_header_are_no_headers_L11)
{
    struct vfio_user_header h = { 3, VFIO_USER_REGION_WRITE, 0x7fffffff, 0, 0 };
    struct device *d = device_up();
    uint8_t bytes[48];

    memcpy(bytes, &h, sizeof(h));
    put_command(bytes + 16, 4, VFIO_USER_DEVICE_GET_INFO, 0, &info_body,
                sizeof(info_body));
    send_bytes(d, bytes, sizeof(bytes));
    run(d);
    assert_int_equal(receive_reply(d, 3, VFIO_USER_REGION_WRITE), EINVAL);
    assert_ended(d);                        /* and no reply to what followed */
    assert_int_equal(run(d), -ENOTCONN);
    device_down(d);
}

TEST(a_reply_is_never_answered_L11)
{
    struct device *d = device_up();
    uint8_t bytes[16];

    put_command(bytes, 4, VFIO_USER_DEVICE_RESET, VFIO_USER_F_TYPE_REPLY, NULL, 0);
    send_bytes(d, bytes, sizeof(bytes));
    put_command(bytes, 4, VFIO_USER_DEVICE_RESET,
                VFIO_USER_F_TYPE_REPLY | VFIO_USER_F_ERROR, NULL, 0);
    send_bytes(d, bytes, sizeof(bytes));
    assert_int_equal(run(d), 0);
    assert_silent(d);
    assert_events(d, "");
    assert_in_step(d);
    device_down(d);
}

TEST(version_with_no_reply_is_not_answered_L12)
{
    struct device *d = device_new(NB);
    uint8_t bytes[20];

    setup_usual(d);
    device_realize(d);
    put_command(bytes, 1, VFIO_USER_VERSION, VFIO_USER_F_NO_REPLY, "\0\0\1\0", 4);
    d->client = client_connect(d);
    send_bytes(d, bytes, sizeof(bytes));
    assert_int_equal(vfu_attach_ctx(d->ctx), 0);
    assert_silent(d);
    assert_in_step(d);
    device_down(d);
}

TEST(descriptors_on_version_are_closed_and_the_client_answered_L12)
{
    struct device *d = device_new(NB);
    uint8_t version[VERSION_BYTES];
    int before, event = new_eventfd();

    setup_usual(d);
    device_realize(d);
    put_version(version);
    d->client = client_connect(d);
    before = vu_test_open_fds();
    assert_int_equal(send_some(d->client, version, sizeof(version), &event, 1),
                     sizeof(version));
    assert_int_equal(vfu_attach_ctx(d->ctx), 0);
    assert_int_equal(receive_reply(d, 1, VFIO_USER_VERSION), 0);
    assert_int_equal(vu_test_open_fds(), before + 1);       /* the connection */
    close(event);
    device_down(d);
}

TEST(features_are_answered_only_when_proposed_L12)
{
    struct device *d = device_new(NB);

    setup_usual(d);
    setup_migration(d);
    device_realize(d);
    device_attach_with(d, "{\"capabilities\":{\"max_msg_fds\":4}}");
    assert_null(strstr((const char *)d->reply.body + 4, "migration"));
    assert_null(strstr((const char *)d->reply.body + 4, "write_multiple"));
    assert_null(strstr((const char *)d->reply.body + 4, "twin_socket"));
    device_down(d);
}

TEST(transfer_sizes_of_0_and_below_are_refused_L13)
{
    struct device *d = device_new(NB);

    device_realize(d);
    assert_int_equal(negotiate(d, 0, 1, "{\"capabilities\":{\"max_data_xfer_size\":0}}"),
                     EINVAL);
    client_close(d);
    assert_int_equal(negotiate(d, 0, 1, "{\"capabilities\":{\"max_data_xfer_size\":-1}}"),
                     EINVAL);
    device_down(d);
}

static dma_sg_t *look_up(struct device *d, uint64_t addr, size_t len, void *entry)
{
    assert_int_equal(vfu_addr_to_sgl(d->ctx, (void *)addr, len, entry, 1, PROT_READ), 1);
    return entry;
}

TEST(a_transfer_size_of_2_to_the_32_is_not_0_L13)
{
    struct device *d = device_new(NB);
    struct peer *p = calloc(1, sizeof(*p));
    uint64_t entry[5];
    char data[4];

    setup_usual(d);
    device_realize(d);
    device_attach_with(d, "{\"capabilities\":{\"max_data_xfer_size\":4294967296}}");
    assert_int_equal(dma_map(d, PEER_BASE, PAGE, -1), 0);
    peer_begin(p, d->client, 1);
    assert_int_equal(vfu_sgl_read(d->ctx, look_up(d, PEER_BASE, 4, entry), 1, data, 0),
                     0);
    peer_end(p);
    free(p);
    device_down(d);
}

static size_t answer_with_a_bad_header(struct peer *p, const struct asked *asked)
{
    struct vfio_user_header h = asked->h;

    h.flags = VFIO_USER_F_TYPE_REPLY;
    h.msg_size = 8;
    memcpy(p->out, &h, sizeof(h));
    return sizeof(h);
}

TEST(an_answer_of_impossible_size_ends_the_connection_L11)
{
    struct device *d = device_up();
    struct peer *p = calloc(1, sizeof(*p));
    uint64_t entry[5];
    dma_sg_t *sg;
    char data[4];
    int ret;

    assert_int_equal(dma_map(d, PEER_BASE, PAGE, -1), 0);
    sg = look_up(d, PEER_BASE, 4, entry);
    p->answer = answer_with_a_bad_header;
    peer_begin(p, d->client, 1);
    assert_int_equal(vfu_sgl_read(d->ctx, sg, 1, data, 0), -1);
    assert_int_equal(errno, ENOTCONN);
    peer_end(p);
    assert_true(readable(vfu_get_poll_fd(d->ctx)));     /* an event loop calls again */
    do {
        ret = run(d);
    } while (ret == 0 && readable(vfu_get_poll_fd(d->ctx)));
    assert_int_equal(ret, -ENOTCONN);
    assert_ended(d);
    free(p);
    device_down(d);
}

/* ------------------------------------------------------ L14-L18: migration -- */

TEST(commands_are_served_while_stopped_L14)
{
    struct device *d = device_up_migrating();

    assert_int_equal(migrate(d, VFIO_USER_DEVICE_STATE_STOP_COPY), 0);
    assert_in_step(d);
    region_info(d, 0, 32);
    irq_flags(d, MSIX);
    assert_int_equal(dma_map(d, 0x10000, PAGE, -1), 0);
    assert_int_equal(dma_unmap(d, 0x10000, PAGE, 0), 0);
    assert_int_equal(set_irqs(d, TRIGGER | NONE, MSIX, 0, 0, NULL, 0), 0);
    device_down(d);
}

TEST(a_reset_and_a_new_client_find_the_device_running_L14)
{
    struct device *d = device_up_migrating();

    assert_int_equal(migrate(d, VFIO_USER_DEVICE_STATE_STOP), 0);
    assert_int_equal(ask(d, VFIO_USER_DEVICE_RESET, NULL, 0), 0);
    assert_int_equal(migration_state(d), VFIO_USER_DEVICE_STATE_RUNNING);
    assert_int_equal(migrate(d, VFIO_USER_DEVICE_STATE_STOP), 0);
    device_detach(d);
    device_attach(d);
    assert_int_equal(migration_state(d), VFIO_USER_DEVICE_STATE_RUNNING);
    device_down(d);
}

static int data_read(struct device *d, uint32_t size)
{
    struct vfio_user_mig_data m = { 8 + size, size };

    return ask(d, VFIO_USER_MIG_DATA_READ, &m, sizeof(m));
}

TEST(migration_data_have_the_length_that_they_say_L15)
{
    uint8_t stream[10] = "123456789";
    struct device *d = device_up_migrating();
    struct vfio_user_mig_data m;

    assert_int_equal(migrate(d, VFIO_USER_DEVICE_STATE_STOP_COPY), 0);
    d->stream = stream;
    d->stream_len = sizeof(stream);
    assert_int_equal(data_read(d, 4096), 0);
    memcpy(&m, d->reply.body, sizeof(m));
    assert_int_equal(m.size, 10);
    assert_int_equal(m.argsz, 18);
    assert_int_equal(d->reply.h.msg_size, 16 + 18);
    device_down(d);
}

#define PAGES 1024u

/* A window of 1024 pages at 0 with one dirty page, logged in pages of that size. */
static struct device *device_logging(uint64_t page_size, uint64_t dirty)
{
    struct vfio_user_device_feature_dma_logging_control c = { .page_size = page_size };
    struct device *d = device_up_migrating();
    int memory = new_memory(PAGES * PAGE);
    uint64_t entry[5];

    assert_int_equal(dma_map(d, 0, PAGES * PAGE, memory), 0);
    assert_int_equal(feature(d, 24, FEATURE_SET(DMA_LOGGING_START), &c, sizeof(c)), 0);
    assert_int_equal(vfu_addr_to_sgl(d->ctx, (void *)(dirty * PAGE), 1, (void *)entry, 1,
                                     PROT_WRITE), 1);
    vfu_sgl_mark_dirty(d->ctx, (void *)entry, 1);
    close(memory);
    return d;
}

/* The bit that is set in a report over everything, and how many are. */
static unsigned report_bit(struct device *d, uint64_t page_size, unsigned *n)
{
    struct vfio_user_device_feature_dma_logging_report r = { 0, PAGES * PAGE, page_size };
    unsigned first = 0;

    assert_int_equal(feature(d, 4096, FEATURE_GET(DMA_LOGGING_REPORT), &r, sizeof(r)), 0);
    *n = 0;
    for (unsigned i = 0; i < (d->reply.len - 32) * 8; i++) {
        if ((d->reply.body[32 + i / 8] >> i % 8 & 1) != 0 && (*n)++ == 0)
            first = i;
    }
    return first;
}

TEST(a_finer_report_ends_and_repeats_bits_L16)
{
    struct device *d = device_logging(4 * PAGE, 800);
    unsigned n;

    assert_int_equal(report_bit(d, PAGE, &n), 800);
    assert_int_equal(n, 4);
    device_down(d);
}

TEST(a_coarser_report_joins_the_right_bits_L16)
{
    struct device *d = device_logging(PAGE, 1000);
    unsigned n;

    assert_int_equal(report_bit(d, 2 * PAGE, &n), 500);
    assert_int_equal(n, 1);
    device_down(d);
}

TEST(logging_without_dma_is_an_error_L17)
{
    struct vfio_user_device_feature_dma_logging_control c = { .page_size = PAGE };
    struct device *d = device_new(NB);

    setup_migration(d);
    device_realize(d);
    device_attach(d);
    assert_int_not_equal(feature(d, 24, FEATURE_SET(DMA_LOGGING_START), &c, sizeof(c)),
                         0);
    assert_in_step(d);
    device_down(d);
}

TEST(features_with_too_little_data_are_errors_L17)
{
    struct device *d = device_up_migrating();

    assert_int_not_equal(feature(d, 64, FEATURE_SET(MIG_DEVICE_STATE), "\1", 1), 0);
    assert_int_not_equal(feature(d, 64, FEATURE_SET(DMA_LOGGING_START), "\0\20", 2), 0);
    assert_int_not_equal(feature(d, 64, FEATURE_GET(DMA_LOGGING_REPORT), NULL, 0), 0);
    assert_in_step(d);
    device_down(d);
}

TEST(logging_honours_ranges_and_checks_the_page_size_L18)
{
    static const struct vfio_user_device_feature_dma_logging_range ranges[] = {
        { 2 * PAGE, PAGE }, { 8 * PAGE, 2 * PAGE },
    };
    struct device *d = device_up_migrating();
    int memory = new_memory(PAGES * PAGE);
    unsigned n;

    assert_int_equal(dma_map(d, 0, PAGES * PAGE, memory), 0);
    assert_int_not_equal(start_logging(d, 0, ranges, 2), 0);
    assert_int_equal(start_logging(d, PAGE, ranges, 2), 0);
    for (uint64_t page = 0; page < 16; page++) {
        uint64_t entry[5];

        assert_int_equal(vfu_addr_to_sgl(d->ctx, (void *)(page * PAGE), 1, (void *)entry,
                                         1, PROT_WRITE), 1);
        vfu_sgl_mark_dirty(d->ctx, (void *)entry, 1);
    }
    assert_int_equal(report_bit(d, PAGE, &n), 2);
    assert_int_equal(n, 3);
    close(memory);
    device_down(d);
}

TEST(reports_may_be_about_a_part_of_a_window_L18)
{
    struct vfio_user_device_feature_dma_logging_report r = { 999 * PAGE, 3 * PAGE, PAGE };
    struct device *d = device_logging(PAGE, 1000);

    assert_int_equal(feature(d, 4096, FEATURE_GET(DMA_LOGGING_REPORT), &r, sizeof(r)), 0);
    assert_int_equal(d->reply.len, 32 + 8);
    assert_int_equal(d->reply.body[32], 2);
    device_down(d);
}

/* ---------------------------------------------------------- L19-L21: limits -- */

TEST(io_fd_entries_have_40_bytes_with_datamatch_at_32_L19)
{
    vfio_user_region_io_fds_request_t m = { .argsz = 4096 };
    struct device *d = device_up();
    uint64_t datamatch;

    assert_int_equal(vfu_create_ioeventfd(d->ctx, 0, -1, 8, 4, 1, 0x1122334455667788, -1,
                                          0), 0);
    assert_int_equal(ask(d, VFIO_USER_DEVICE_GET_REGION_IO_FDS, &m, sizeof(m)), 0);
    assert_int_equal(d->reply.len, 16 + 40);
    memcpy(&datamatch, d->reply.body + 16 + 32, sizeof(datamatch));
    assert_int_equal(datamatch, 0x1122334455667788);
    device_down(d);
}

TEST(replies_carry_no_more_descriptors_than_the_client_takes_L19)
{
    vfio_user_region_io_fds_request_t m = { .argsz = 4096 };
    struct device *d = device_new(NB);
    int events[3] = { new_eventfd(), new_eventfd(), new_eventfd() };
    int memory = new_memory(PAGE);

    setup_usual(d);
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            vfu_create_ioeventfd(d->ctx, 0, events[i], 8 * (size_t)i, 4, 0, 0, -1, 0), 0);
    assert_int_equal(vfu_setup_region(d->ctx, 2, PAGE, NULL, MEM, NULL, 0, memory, 0), 0);
    device_realize(d);
    for (unsigned max = 0; max < 4; max++) {
        char json[64];

        snprintf(json, sizeof(json), "{\"capabilities\":{\"max_msg_fds\":%u}}", max);
        device_attach_with(d, json);
        assert_int_equal(ask(d, VFIO_USER_DEVICE_GET_REGION_IO_FDS, &m, sizeof(m)), 0);
        assert_int_equal(d->reply.n_fds, max);
        assert_int_equal(
            (region_info(d, 2, 4096).flags & VFIO_REGION_INFO_FLAG_MMAP) != 0, max != 0);
        assert_int_equal(d->reply.n_fds, max != 0);
        device_detach(d);
    }
    for (int i = 0; i < 3; i++)
        close(events[i]);
    close(memory);
    device_down(d);
}

TEST(migration_data_keep_to_both_sides_limits_L20)
{
    static const struct {
        const char *json;
        uint32_t limit;
    } cases[] = {
        { "{\"capabilities\":{\"max_data_xfer_size\":4194304}}", 1u << 20 },
        { "{\"capabilities\":{\"max_data_xfer_size\":1000}}", 1000 },
    };

    for (size_t i = 0; i < 2; i++) {
        struct device *d = device_new(NB);

        setup_usual(d);
        setup_migration(d);
        device_realize(d);
        device_attach_with(d, cases[i].json);
        assert_int_equal(migrate(d, VFIO_USER_DEVICE_STATE_STOP_COPY), 0);
        assert_int_equal(data_read(d, cases[i].limit), 0);
        assert_int_not_equal(data_read(d, cases[i].limit + 1), 0);
        device_down(d);
    }
}

TEST(more_descriptors_than_advertised_do_no_harm_L21)
{
    struct device *d = device_new(NB);
    int events[16];

    setup_usual(d);
    assert_int_equal(vfu_setup_device_nr_irqs(d->ctx, MSIX, 16), 0);
    device_realize(d);
    device_attach(d);
    for (int i = 0; i < 16; i++)
        events[i] = new_eventfd();
    assign(d, MSIX, 0, events, 16);
    assert_int_equal(vfu_irq_trigger(d->ctx, 15), 0);
    assert_int_equal(signals(events[15]), 1);
    for (int i = 0; i < 16; i++)
        close(events[i]);
    device_down(d);
}

/* ------------------------------------------------------ L22-L24: availability -- */

TEST(a_silent_client_holds_nobody_up_and_is_dropped_L22)
{
    struct device *d = device_new(NB);
    struct pollfd p = { .events = POLLIN };
    int silent;

    setup_usual(d);
    assert_int_equal(vfu_setup_timeout(d->ctx, VFU_TIMEOUT_VERSION, 30), 0);
    device_realize(d);
    silent = client_connect(d);
    assert_int_equal(vfu_attach_ctx(d->ctx), -1);       /* returns at once */
    assert_int_equal(errno, EAGAIN);
    post_version(d, 0, 1, NULL);                        /* the next in the queue */
    p.fd = vfu_get_poll_fd(d->ctx);
    while (vfu_attach_ctx(d->ctx) != 0) {
        assert_int_equal(errno, EAGAIN);
        assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
    }
    assert_int_equal(receive_reply(d, d->id, VFIO_USER_VERSION), 0);
    assert_in_step(d);
    close(silent);
    device_down(d);
}

/* The client asks something itself, and only then answers. */
static size_t cross(struct peer *p, const struct asked *asked)
{
    size_t first = put_command(p->out, 0x7777, VFIO_USER_DEVICE_GET_INFO, 0, &info_body,
                               sizeof(info_body));
    struct vfio_user_header h = asked->h;

    h.flags = VFIO_USER_F_TYPE_REPLY;
    h.msg_size = (uint32_t)(sizeof(h) + sizeof(asked->a) + asked->a.count);
    memcpy(p->out + first, &h, sizeof(h));
    memcpy(p->out + first + sizeof(h), &asked->a, sizeof(asked->a));
    memcpy(p->out + first + sizeof(h) + sizeof(asked->a), p->memory, asked->a.count);
    return first + h.msg_size;
}

TEST(a_command_that_crosses_a_dma_read_is_no_answer_to_it_L23)
{
    struct device *d = device_up();
    struct peer *p = calloc(1, sizeof(*p));
    uint64_t entry[5];
    char data[8];

    assert_int_equal(dma_map(d, PEER_BASE, PAGE, -1), 0);
    memcpy(p->memory, "crossing", 8);
    p->answer = cross;
    peer_begin(p, d->client, 1);
    assert_int_equal(vfu_sgl_read(d->ctx, look_up(d, PEER_BASE, 8, entry), 1, data, 0),
                     0);
    peer_end(p);
    assert_memory_equal(data, "crossing", 8);
    run(d);         /* if it was not answered on the way */
    assert_int_equal(receive_reply(d, 0x7777, VFIO_USER_DEVICE_GET_INFO), 0);
    assert_int_equal(d->reply.len, sizeof(info_body));
    free(p);
    device_down(d);
}

TEST(unmap_answers_with_its_24_bytes_also_without_dma_L24)
{
    struct device *d = device_new(NB);

    device_realize(d);
    device_attach(d);
    assert_int_equal(dma_map(d, 0x10000, PAGE, -1), 0);
    assert_int_equal(dma_unmap(d, 0x10000, PAGE, 0), 0);    /* looks at the reply */
    assert_int_equal(d->reply.len, 24);
    device_down(d);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(header_in_two_pieces_is_one_header_L1),
    VU_FD_TEST(payload_in_two_pieces_is_one_message_L1),
    VU_FD_TEST(error_replies_are_a_header_alone_L2),
    VU_FD_TEST(windows_over_windows_are_eexist_L3),
    VU_FD_TEST(windows_that_wrap_or_are_empty_or_pass_the_files_end_are_refused_L4),
    VU_FD_TEST(mmap_comes_with_a_descriptor_and_without_padding_L5),
    VU_FD_TEST(an_access_of_0_bytes_is_answered_with_its_structure_L6),
    VU_FD_TEST(eventfd_without_descriptors_takes_away_the_range_from_start_L7),
    VU_FD_TEST(each_interrupt_type_has_eventfds_of_its_own_L8),
    VU_FD_TEST(bool_bytes_are_true_when_not_0_and_mask_looks_at_them_L9),
    VU_FD_TEST(an_unmask_eventfd_is_listened_to_L9),
    VU_FD_TEST(a_type_without_vectors_can_be_disabled_L10),
    VU_FD_TEST(a_type_says_maskable_exactly_if_mask_succeeds_L10),
    VU_FD_TEST(a_type_says_automasked_exactly_if_an_interrupt_masks_it_L10),
    VU_FD_TEST(bytes_behind_an_oversized_header_are_no_headers_L11),
    VU_FD_TEST(a_reply_is_never_answered_L11),
    VU_FD_TEST(an_answer_of_impossible_size_ends_the_connection_L11),
    VU_FD_TEST(version_with_no_reply_is_not_answered_L12),
    VU_FD_TEST(descriptors_on_version_are_closed_and_the_client_answered_L12),
    VU_FD_TEST(features_are_answered_only_when_proposed_L12),
    VU_FD_TEST(transfer_sizes_of_0_and_below_are_refused_L13),
    VU_FD_TEST(a_transfer_size_of_2_to_the_32_is_not_0_L13),
    VU_FD_TEST(commands_are_served_while_stopped_L14),
    VU_FD_TEST(a_reset_and_a_new_client_find_the_device_running_L14),
    VU_FD_TEST(migration_data_have_the_length_that_they_say_L15),
    VU_FD_TEST(a_finer_report_ends_and_repeats_bits_L16),
    VU_FD_TEST(a_coarser_report_joins_the_right_bits_L16),
    VU_FD_TEST(logging_without_dma_is_an_error_L17),
    VU_FD_TEST(features_with_too_little_data_are_errors_L17),
    VU_FD_TEST(logging_honours_ranges_and_checks_the_page_size_L18),
    VU_FD_TEST(reports_may_be_about_a_part_of_a_window_L18),
    VU_FD_TEST(io_fd_entries_have_40_bytes_with_datamatch_at_32_L19),
    VU_FD_TEST(replies_carry_no_more_descriptors_than_the_client_takes_L19),
    VU_FD_TEST(migration_data_keep_to_both_sides_limits_L20),
    VU_FD_TEST(more_descriptors_than_advertised_do_no_harm_L21),
    VU_FD_TEST(a_silent_client_holds_nobody_up_and_is_dropped_L22),
    VU_FD_TEST(a_command_that_crosses_a_dma_read_is_no_answer_to_it_L23),
    VU_FD_TEST(unmap_answers_with_its_24_bytes_also_without_dma_L24),
};

VU_TEST_MAIN(tests)
