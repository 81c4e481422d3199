/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contract, chapter 3.3: the commands and the bodies of their replies. Those of DMA,
 * DEVICE_FEATURE and SET_IRQS have chapters of their own.
 */
#include "libserver/tests/chapter.h"

#define CFG VFU_PCI_DEV_CFG_REGION_IDX
#define MEM (VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM)

/* -------------------------------------------------------------- GET_INFO -- */

TEST(c3_3_get_info_says_pci_reset_9_regions_5_irqs)
{
    struct vfio_user_device_info info = { .argsz = sizeof(info) };
    struct device *d = device_up();

    for (info.argsz = 16; info.argsz <= 4064; info.argsz += 2024) {
        struct vfio_user_device_info got;

        assert_int_equal(ask(d, VFIO_USER_DEVICE_GET_INFO, &info, sizeof(info)), 0);
        assert_int_equal(d->reply.len, sizeof(got));
        memcpy(&got, d->reply.body, sizeof(got));
        assert_int_equal(got.argsz, 16);
        assert_int_equal(got.flags, VFIO_DEVICE_FLAGS_RESET | VFIO_DEVICE_FLAGS_PCI);
        assert_int_equal(got.num_regions, 9);
        assert_int_equal(got.num_irqs, 5);
    }
    device_down(d);
}

/* Every shorter length, and argsz below the reply. */
static void assert_needs(uint16_t cmd, size_t size, uint32_t least_argsz)
{
    struct device *d = device_up();
    uint8_t body[64] = { 0 };

    for (size_t len = 0; len < size; len++) {
        memset(body, 0, sizeof(body));
        body[0] = 64;
        assert_int_equal(ask(d, cmd, body, len), EINVAL);
    }
    for (uint32_t argsz = 0; argsz < least_argsz; argsz++) {
        memset(body, 0, sizeof(body));
        body[0] = (uint8_t)argsz;
        assert_int_equal(ask(d, cmd, body, size), EINVAL);
    }
    body[0] = (uint8_t)least_argsz;
    assert_int_equal(ask(d, cmd, body, size), 0);
    device_down(d);
}

TEST(c3_3_get_info_refuses_short_bodies_and_small_argsz)
{
    assert_needs(VFIO_USER_DEVICE_GET_INFO, 16, 16);
}

/* -------------------------------------------------------- GET_REGION_INFO -- */

TEST(c3_3_get_region_info_refuses_short_bodies_and_small_argsz)
{
    assert_needs(VFIO_USER_DEVICE_GET_REGION_INFO, 32, 32);
}

TEST(c3_3_get_region_info_refuses_index_9_and_answers_all_below)
{
    struct vfio_region_info info = { .argsz = 32, .index = 9 };
    struct device *d = device_up();

    assert_int_equal(ask(d, VFIO_USER_DEVICE_GET_REGION_INFO, &info, sizeof(info)),
                     EINVAL);
    info.index = UINT32_MAX;
    assert_int_equal(ask(d, VFIO_USER_DEVICE_GET_REGION_INFO, &info, sizeof(info)),
                     EINVAL);
    for (uint32_t i = 0; i < 9; i++) {
        info = region_info(d, i, 32);
        assert_int_equal(info.index, i);
        assert_int_equal(info.argsz, 32);
        assert_int_equal(info.cap_offset, 0);
        assert_int_equal(d->reply.len, 32);
        if (i != 0 && i != CFG) {
            assert_int_equal(info.size, 0);
            assert_int_equal(info.flags, 0);
        }
    }
    device_down(d);
}

TEST(c3_3_get_region_info_takes_padded_requests)
{
    uint8_t body[4064] = { 0xe0, 0x0f };    /* argsz 4064, as SPDK's host sends */
    struct device *d = device_up();

    assert_int_equal(ask(d, VFIO_USER_DEVICE_GET_REGION_INFO, body, sizeof(body)), 0);
    assert_int_equal(d->reply.len, 32);
    device_down(d);
}

static void setup_two_areas(struct device *d, int memory)
{
    struct iovec areas[2] = { { (void *)0x1000, 0x1000 }, { (void *)0x3000, 0x1000 } };

    assert_int_equal(vfu_setup_region(d->ctx, 2, 0x4000, NULL, MEM, areas, 2, memory,
                                      0x2000), 0);
}

TEST(c3_3_get_region_info_tells_areas_when_they_fit)
{
    const uint32_t all = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE |
                         VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS;
    struct device *d = device_up();
    struct vfio_region_info info;
    int memory = new_memory(0x6000);

    setup_two_areas(d, memory);
    info = region_info(d, 2, 80);
    assert_int_equal(info.argsz, 80);
    assert_int_equal(info.flags, all);
    assert_int_equal(info.cap_offset, 32);
    assert_int_equal(info.offset, 0x2000);
    assert_int_equal(d->reply.len, 80);
    assert_int_equal(d->reply.n_fds, 1);
    close(memory);
    device_down(d);
}

/* The original sends zero bytes in place of the areas, and no descriptor. */
TEST(c3_3_get_region_info_without_room_is_32_bytes_with_the_descriptor)
{
    struct device *d = device_up();
    int memory = new_memory(0x6000);

    setup_two_areas(d, memory);
    for (uint32_t argsz = 32; argsz < 80; argsz++) {
        struct vfio_region_info info = region_info(d, 2, argsz);

        assert_int_equal(info.argsz, 80);
        assert_int_equal(info.flags, VFIO_REGION_INFO_FLAG_READ |
                         VFIO_REGION_INFO_FLAG_WRITE | VFIO_REGION_INFO_FLAG_MMAP);
        assert_int_equal(info.cap_offset, 0);
        assert_int_equal(d->reply.len, 32);
        assert_int_equal(d->reply.n_fds, 1);
    }
    close(memory);
    device_down(d);
}

/* ----------------------------------------------------- GET_REGION_IO_FDS -- */

static int io_fds(struct device *d, uint32_t argsz, uint32_t flags, uint32_t index,
                  uint32_t count)
{
    vfio_user_region_io_fds_request_t m = { argsz, flags, index, count };

    return ask(d, VFIO_USER_DEVICE_GET_REGION_IO_FDS, &m, sizeof(m));
}

static vfio_user_region_io_fds_request_t io_fds_head(const struct device *d)
{
    vfio_user_region_io_fds_request_t m;

    assert_true(d->reply.len >= sizeof(m));
    memcpy(&m, d->reply.body, sizeof(m));
    return m;
}

TEST(c3_3_io_fds_refuses_bad_requests)
{
    struct device *d = device_up();

    assert_int_equal(io_fds(d, 16, 1, 0, 0), EINVAL);
    assert_int_equal(io_fds(d, 16, 0, 0, 1), EINVAL);
    assert_int_equal(io_fds(d, 16, 0, 9, 0), EINVAL);
    assert_int_equal(io_fds(d, 15, 0, 0, 0), EINVAL);
    assert_int_equal(io_fds(d, (1u << 20) + 1, 0, 0, 0), EINVAL);
    assert_int_equal(io_fds(d, 16, 0, 5, 0), EINVAL);       /* was never set up */
    assert_int_equal(ask(d, VFIO_USER_DEVICE_GET_REGION_IO_FDS, "\20", 1), EINVAL);
    device_down(d);
}

TEST(c3_3_io_fds_of_a_region_without_any_is_an_empty_list)
{
    struct device *d = device_up();

    assert_int_equal(io_fds(d, 4096, 0, 0, 0), 0);
    assert_int_equal(d->reply.len, 16);
    assert_int_equal(io_fds_head(d).argsz, 16);
    assert_int_equal(io_fds_head(d).count, 0);
    assert_int_equal(d->reply.n_fds, 0);
    device_down(d);
}

TEST(c3_3_io_fds_without_room_says_how_much_is_needed)
{
    struct device *d = device_up();
    int event = new_eventfd();

    for (int i = 0; i < 3; i++)
        assert_int_equal(
            vfu_create_ioeventfd(d->ctx, 0, event, 8 * (size_t)i, 4, 0, 0, -1, 0), 0);
    assert_int_equal(io_fds(d, 16 + 3 * 40 - 1, 0, 0, 0), 0);
    assert_int_equal(d->reply.len, 16);
    assert_int_equal(io_fds_head(d).argsz, 16 + 3 * 40);
    assert_int_equal(d->reply.n_fds, 0);
    assert_int_equal(io_fds(d, 16 + 3 * 40, 0, 0, 0), 0);
    assert_int_equal(d->reply.len, 16 + 3 * 40);
    assert_int_equal(io_fds_head(d).count, 3);
    assert_int_equal(d->reply.n_fds, 1);
    close(event);
    device_down(d);
}

TEST(c3_3_io_fds_are_sent_once_each)
{
    struct device *d = device_new(NB);
    int events[2] = { new_eventfd(), new_eventfd() };
    uint32_t index;

    setup_usual(d);
    for (int i = 0; i < 4; i++)
        assert_int_equal(vfu_create_ioeventfd(d->ctx, 0, events[i % 2], 8 * (size_t)i, 4,
                                              0, 0, -1, 0), 0);
    device_realize(d);
    device_attach_with(d, "{\"capabilities\":{\"max_msg_fds\":8}}");
    assert_int_equal(io_fds(d, 4096, 0, 0, 0), 0);
    assert_int_equal(io_fds_head(d).count, 4);
    assert_int_equal(d->reply.n_fds, 2);
    for (uint32_t i = 0; i < 4; i++) {      /* newest first: events 1, 0, 1, 0 */
        memcpy(&index, d->reply.body + 16 + 40 * i + 16, sizeof(index));
        assert_int_equal(index, i % 2);
    }
    close(events[0]);
    close(events[1]);
    device_down(d);
}

/* ---------------------------------------------------------- GET_IRQ_INFO -- */

TEST(c3_3_get_irq_info_tells_flags_and_counts)
{
    static const uint32_t counts[] = { 1, 4, 8, 1, 1 };
    struct device *d = device_up();

    for (uint32_t i = 0; i < 5; i++) {
        struct vfio_irq_info info = { .argsz = 16, .index = i };

        assert_int_equal(ask(d, VFIO_USER_DEVICE_GET_IRQ_INFO, &info, 16), 0);
        assert_int_equal(d->reply.len, 16);
        memcpy(&info, d->reply.body, 16);
        assert_int_equal(info.argsz, 16);
        assert_int_equal(info.index, i);
        assert_int_equal(info.count, counts[i]);
        assert_true((info.flags & VFIO_IRQ_INFO_EVENTFD) != 0);
        assert_int_equal((info.flags & VFIO_IRQ_INFO_MASKABLE) != 0,
                         i <= VFU_DEV_MSIX_IRQ);
    }
    device_down(d);
}

TEST(c3_3_get_irq_info_refuses_index_5_short_bodies_and_small_argsz)
{
    struct vfio_irq_info info = { .argsz = 16, .index = 5 };
    struct device *d = device_up();

    assert_int_equal(ask(d, VFIO_USER_DEVICE_GET_IRQ_INFO, &info, 16), EINVAL);
    device_down(d);
    assert_needs(VFIO_USER_DEVICE_GET_IRQ_INFO, 16, 16);
}

/* ---------------------------------------------------------- region access -- */

TEST(c3_3_region_read_and_write_answer_with_their_structure)
{
    struct device *d = device_up();

    assert_int_equal(region_write(d, 0, 0x20, "12345678", 8), 0);
    assert_int_equal(region_read(d, 0, 0x20, 8), 0);
    assert_memory_equal(d->reply.body + 16, "12345678", 8);
    device_down(d);
}

TEST(c3_3_region_access_refuses_what_is_out_of_bounds)
{
    static const struct {
        uint32_t region;
        uint64_t offset;
        uint32_t count;
    } bad[] = {
        { 9, 0, 4 }, { UINT32_MAX, 0, 4 }, { 0, BAR0_SIZE, 1 }, { 0, BAR0_SIZE - 3, 4 },
        { 0, UINT64_MAX, 1 }, { 0, UINT64_MAX - 3, 4 }, { 0, 0, BAR0_SIZE + 1 },
        { 0, 0, (1u << 20) + 1 }, { 0, 0, UINT32_MAX }, { 1, 0, 4 },
    };
    struct device *d = device_up();

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct vfio_user_region_access a = {
            .offset = bad[i].offset, .region = bad[i].region, .count = bad[i].count,
        };

        assert_int_equal(ask(d, VFIO_USER_REGION_READ, &a, sizeof(a)), EINVAL);
        if (bad[i].count <= BAR0_SIZE)
            assert_int_equal(region_write(d, a.region, a.offset, d->bar0, a.count),
                             EINVAL);
    }
    assert_events(d, "");
    device_down(d);
}

TEST(c3_3_region_write_has_exactly_its_data)
{
    struct vfio_user_region_access a = { .count = 4 };
    uint8_t body[sizeof(a) + 8] = { 0 };
    struct device *d = device_up();

    memcpy(body, &a, sizeof(a));
    for (size_t len = 0; len <= sizeof(body); len++)
        assert_int_equal(ask(d, VFIO_USER_REGION_WRITE, body, len),
                         len == sizeof(a) + 4 ? 0 : EINVAL);
    assert_events(d, "write:0+4");
    device_down(d);
}

TEST(c3_3_region_read_ignores_trailing_bytes)
{
    struct vfio_user_region_access a = { .count = 4 };
    uint8_t body[sizeof(a) + 8] = { 0 };
    struct device *d = device_up();

    memcpy(body, &a, sizeof(a));
    assert_int_equal(ask(d, VFIO_USER_REGION_READ, body, sizeof(body)), 0);
    assert_int_equal(d->reply.len, sizeof(a) + 4);
    device_down(d);
}

/* The original answers without the structure. */
TEST(c3_3_region_access_of_0_bytes_succeeds_without_a_callback)
{
    struct device *d = device_up();

    assert_int_equal(region_read(d, 0, 8, 0), 0);
    assert_int_equal(region_write(d, 0, 8, NULL, 0), 0);
    assert_int_equal(region_read(d, 0, BAR0_SIZE, 0), 0);
    assert_int_equal(region_read(d, 0, BAR0_SIZE + 1, 0), EINVAL);
    assert_events(d, "");
    device_down(d);
}

/* ------------------------------------------------------------------ others -- */

TEST(c3_3_device_reset_tolerates_a_body)
{
    struct device *d = device_up();

    assert_int_equal(ask(d, VFIO_USER_DEVICE_RESET, "0123456789", 10), 0);
    assert_int_equal(d->reply.len, 0);
    assert_events(d, "reset:device");
    device_down(d);
}

TEST(c3_3_unknown_and_misdirected_commands_are_einval)
{
    static const uint16_t bad[] = {
        0, VFIO_USER_VERSION, VFIO_USER_DMA_READ, VFIO_USER_DMA_WRITE, 14,
        VFIO_USER_REGION_WRITE_MULTI, 19, 20, 255, 0xffff,
    };
    struct device *d = device_up();
    uint8_t body[64] = { 0 };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(ask(d, bad[i], body, sizeof(body)), EINVAL);
    assert_int_equal(region_read(d, 0, 0, 4), 0);
    device_down(d);
}

/* The specification forbids nothing in these states; the original nearly everything. */
TEST(c3_3_commands_are_served_in_stop_and_stop_copy)
{
    static const uint32_t states[] = {
        VFIO_USER_DEVICE_STATE_STOP, VFIO_USER_DEVICE_STATE_STOP_COPY,
    };
    struct vfio_user_device_info info = { .argsz = sizeof(info) };
    struct vfio_irq_info irq = { .argsz = sizeof(irq) };

    for (size_t i = 0; i < 2; i++) {
        struct device *d = device_up_migrating();

        assert_int_equal(migrate(d, states[i]), 0);
        assert_int_equal(ask(d, VFIO_USER_DEVICE_GET_INFO, &info, sizeof(info)), 0);
        assert_int_equal(ask(d, VFIO_USER_DEVICE_GET_IRQ_INFO, &irq, sizeof(irq)), 0);
        region_info(d, 0, 32);
        assert_int_equal(region_read(d, 0, 0, 4), 0);
        assert_int_equal(region_write(d, 0, 0, "abcd", 4), 0);
        assert_int_equal(dma_map(d, 0x10000, PAGE, -1), 0);
        assert_int_equal(dma_unmap(d, 0x10000, PAGE, 0), 0);
        assert_int_equal(set_irqs(d, TRIGGER_NONE, VFU_DEV_MSIX_IRQ, 0, 0, NULL, 0), 0);
        assert_int_equal(migration_state(d), states[i]);
        assert_int_equal(ask(d, VFIO_USER_DEVICE_RESET, NULL, 0), 0);
        assert_int_equal(migration_state(d), VFIO_USER_DEVICE_STATE_RUNNING);
        device_down(d);
    }
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(c3_3_get_info_says_pci_reset_9_regions_5_irqs),
    VU_FD_TEST(c3_3_get_info_refuses_short_bodies_and_small_argsz),
    VU_FD_TEST(c3_3_get_region_info_refuses_short_bodies_and_small_argsz),
    VU_FD_TEST(c3_3_get_region_info_refuses_index_9_and_answers_all_below),
    VU_FD_TEST(c3_3_get_region_info_takes_padded_requests),
    VU_FD_TEST(c3_3_get_region_info_tells_areas_when_they_fit),
    VU_FD_TEST(c3_3_get_region_info_without_room_is_32_bytes_with_the_descriptor),
    VU_FD_TEST(c3_3_io_fds_refuses_bad_requests),
    VU_FD_TEST(c3_3_io_fds_of_a_region_without_any_is_an_empty_list),
    VU_FD_TEST(c3_3_io_fds_without_room_says_how_much_is_needed),
    VU_FD_TEST(c3_3_io_fds_are_sent_once_each),
    VU_FD_TEST(c3_3_get_irq_info_tells_flags_and_counts),
    VU_FD_TEST(c3_3_get_irq_info_refuses_index_5_short_bodies_and_small_argsz),
    VU_FD_TEST(c3_3_region_read_and_write_answer_with_their_structure),
    VU_FD_TEST(c3_3_region_access_refuses_what_is_out_of_bounds),
    VU_FD_TEST(c3_3_region_write_has_exactly_its_data),
    VU_FD_TEST(c3_3_region_read_ignores_trailing_bytes),
    VU_FD_TEST(c3_3_region_access_of_0_bytes_succeeds_without_a_callback),
    VU_FD_TEST(c3_3_device_reset_tolerates_a_body),
    VU_FD_TEST(c3_3_unknown_and_misdirected_commands_are_einval),
    VU_FD_TEST(c3_3_commands_are_served_in_stop_and_stop_copy),
};

VU_TEST_MAIN(tests)
