/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Regions: what set-up takes, what the client is told, what it may access.
 */
#include "libserver/tests/core.h"

#define RW     VFU_REGION_FLAG_RW
#define MEM    VFU_REGION_FLAG_MEM
#define WIDE   VFU_REGION_FLAG_64_BITS

/* --------------------------------------------------------------- set-up -- */

static int set_up(struct core *c, int index, size_t size, int flags)
{
    errno = 0;
    return vfu_setup_region(c->ctx, index, size, core_access, flags, NULL, 0, -1, 0);
}

#define assert_einval(call)                     \
    do {                                        \
        assert_int_equal(call, -1);             \
        assert_int_equal(errno, EINVAL);        \
    } while (0)

static void set_up_refuses_bad_indices_and_flags(void **state)
{
    struct core c;

    (void)state;
    core_begin(&c);
    assert_einval(set_up(&c, -1, 4096, RW));
    assert_einval(set_up(&c, 9, 4096, RW));
    assert_einval(set_up(&c, 8, 4096, 0));
    assert_einval(set_up(&c, 8, 4096, MEM));
    assert_einval(set_up(&c, 8, 4096, RW | 0x40));
    assert_einval(vfu_setup_region(c.ctx, 8, 4096, NULL, RW | VFU_REGION_FLAG_ALWAYS_CB,
                                   NULL, 0, -1, 0));
    assert_einval(set_up(&c, VFU_PCI_DEV_CFG_REGION_IDX, 4096, VFU_REGION_FLAG_READ));
    assert_einval(set_up(&c, VFU_PCI_DEV_CFG_REGION_IDX, 4096, RW | MEM));
    assert_int_equal(set_up(&c, 8, 4096, RW), 0);
    core_end(&c);
}

static void set_up_refuses_bad_areas(void **state)
{
    struct iovec over = { (void *)0x1000, 0x1001 };
    struct iovec wraps = { (void *)UINTPTR_MAX, 0x1000 };
    struct iovec good = { (void *)0x1000, 0x1000 };
    struct core c;

    (void)state;
    core_begin(&c);
    assert_einval(vfu_setup_region(c.ctx, 8, 0x2000, NULL, RW, &over, 1, c.memory, 0));
    assert_einval(vfu_setup_region(c.ctx, 8, 0x2000, NULL, RW, &wraps, 1, c.memory, 0));
    assert_einval(vfu_setup_region(c.ctx, 8, 0x2000, NULL, RW, &good, 0, c.memory, 0));
    assert_einval(vfu_setup_region(c.ctx, 8, 0x2000, NULL, RW, NULL, 1, c.memory, 0));
    assert_einval(vfu_setup_region(c.ctx, 8, 0x2000, NULL, RW, &good, 1, -1, 0));
    assert_int_equal(vfu_setup_region(c.ctx, 8, 0x2000, NULL, RW, &good, 1, c.memory, 0),
                     0);
    core_end(&c);
}

static void bars_are_powers_of_two(void **state)
{
    struct core c;

    (void)state;
    core_begin(&c);
    assert_einval(set_up(&c, 0, 8, RW | MEM));
    assert_einval(set_up(&c, 0, 48, RW | MEM));
    assert_einval(set_up(&c, 0, 2, RW));
    assert_einval(set_up(&c, 0, 4097, RW));
    assert_int_equal(set_up(&c, 0, 16, RW | MEM), 0);
    assert_int_equal(set_up(&c, 0, 4, RW), 0);
    assert_int_equal(set_up(&c, 0, 0, RW), 0);
    core_end(&c);
}

static void wide_bars_take_two_slots(void **state)
{
    struct core c;

    (void)state;
    core_begin(&c);
    assert_einval(set_up(&c, 5, 4096, RW | MEM | WIDE));
    assert_einval(set_up(&c, 2, 4096, RW | MEM | WIDE));    /* BAR3 exists */
    assert_int_equal(set_up(&c, 4, 4096, RW | MEM | WIDE), 0);
    assert_einval(set_up(&c, 5, 4096, RW | MEM));
    assert_einval(set_up(&c, 5, 0, RW | MEM));
    assert_int_equal(set_up(&c, 4, 4096, RW | MEM), 0);
    assert_int_equal(set_up(&c, 5, 4096, RW | MEM), 0);
    core_end(&c);
}

/* ----------------------------------------------------------------- info -- */

static struct answer get_info(struct core *c, uint32_t index, uint32_t argsz)
{
    struct vu_region_info m = {
        .argsz = argsz, .index = index, .flags = 0xff, .size = 5, .offset = 6,
        .cap_offset = 7,
    };
    uint8_t body[VU_REGION_INFO_SIZE];

    ENCODE(region_info, &m, body);
    return core_send(c, VU_DEVICE_GET_REGION_INFO, body, sizeof(body));
}

static void info_of_plain_regions_has_no_descriptor(void **state)
{
    struct core c;
    struct answer a;
    struct vu_region_info info;

    (void)state;
    core_begin(&c);
    a = get_info(&c, 0, 4096);
    assert_answer_ok(&a, VU_REGION_INFO_SIZE);
    assert_int_equal(a.n_fds, 0);
    DECODE(region_info, &a, &info);
    assert_int_equal(info.argsz, 32);
    assert_int_equal(info.index, 0);
    assert_int_equal(info.flags, VU_REGION_READABLE | VU_REGION_WRITEABLE);
    assert_int_equal(info.cap_offset, 0);
    assert_int_equal(info.size, BAR0_SIZE);
    assert_int_equal(info.offset, 0);
    a = get_info(&c, 3, 32);
    DECODE(region_info, &a, &info);
    assert_int_equal(info.flags, VU_REGION_READABLE);
    a = get_info(&c, VFU_PCI_DEV_CFG_REGION_IDX, 32);
    DECODE(region_info, &a, &info);
    assert_int_equal(info.flags, VU_REGION_READABLE | VU_REGION_WRITEABLE);
    assert_int_equal(info.size, 4096);
    core_end(&c);
}

static void absent_regions_answer_zeros(void **state)
{
    static const uint32_t absent[] = { 1, 4, 5, 6, 8 };
    struct core c;

    (void)state;
    core_begin(&c);
    assert_int_equal(vfu_setup_region(c.ctx, 4, 0, core_access, RW | MEM, NULL, 0,
                                      c.memory, 0), 0);
    for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
        struct answer a = get_info(&c, absent[i], 4096);
        struct vu_region_info info;

        assert_answer_ok(&a, VU_REGION_INFO_SIZE);
        assert_int_equal(a.n_fds, 0);
        DECODE(region_info, &a, &info);
        assert_int_equal(info.argsz, 32);
        assert_int_equal(info.index, absent[i]);
        assert_int_equal(info.flags | info.cap_offset | info.size | info.offset, 0);
    }
    core_end(&c);
}

static void mappable_regions_come_with_areas_and_descriptor(void **state)
{
    struct core c;
    struct answer a;
    struct vu_region_info info;
    struct vu_cap_walk walk;
    struct vu_cap cap;

    (void)state;
    core_begin(&c);
    a = get_info(&c, 2, 80);
    assert_answer_ok(&a, 80);
    assert_int_equal(a.n_fds, 1);
    assert_int_equal(c.reply.fds[0], c.memory);
    DECODE(region_info, &a, &info);
    assert_int_equal(info.argsz, 80);
    assert_int_equal(info.flags, VU_REGION_READABLE | VU_REGION_WRITEABLE |
                                     VU_REGION_MMAP | VU_REGION_CAPS);
    assert_int_equal(info.cap_offset, 32);
    assert_int_equal(info.offset, 0x2000);
    walk = vu_cap_walk(a.body, a.body_len, info.cap_offset);
    assert_int_equal(vu_cap_next(&walk, &cap), 1);
    assert_int_equal(cap.id, VU_CAP_SPARSE_MMAP);
    assert_int_equal(cap.version, 1);
    assert_int_equal(vu_sparse_count(&cap), 2);
    assert_int_equal(vu_sparse_area(&cap, 0).offset, 0x1000);
    assert_int_equal(vu_sparse_area(&cap, 1).offset, 0x3000);
    assert_int_equal(vu_sparse_area(&cap, 1).size, 0x1000);
    assert_int_equal(vu_cap_next(&walk, &cap), 0);
    core_end(&c);
}

/* The descriptor comes all the same: the MMAP flag promises it. */
static void areas_that_do_not_fit_are_left_out(void **state)
{
    struct core c;

    (void)state;
    core_begin(&c);
    for (uint32_t argsz = 32; argsz < 80; argsz++) {
        struct answer a = get_info(&c, 2, argsz);
        struct vu_region_info info;

        assert_answer_ok(&a, VU_REGION_INFO_SIZE);
        assert_int_equal(a.n_fds, 1);
        DECODE(region_info, &a, &info);
        assert_int_equal(info.argsz, 80);
        assert_int_equal(info.cap_offset, 0);
        assert_int_equal(info.flags, VU_REGION_READABLE | VU_REGION_WRITEABLE |
                                         VU_REGION_MMAP);
    }
    core_end(&c);
}

static void a_client_without_descriptors_cannot_map(void **state)
{
    struct core c;
    struct answer a;
    struct vu_region_info info;

    (void)state;
    core_begin_with(&c, "{\"capabilities\":{\"max_msg_fds\":0}}");
    a = get_info(&c, 2, 4096);
    assert_answer_ok(&a, VU_REGION_INFO_SIZE);
    assert_int_equal(a.n_fds, 0);
    DECODE(region_info, &a, &info);
    assert_int_equal(info.argsz, 32);
    assert_int_equal(info.flags, VU_REGION_READABLE | VU_REGION_WRITEABLE);
    core_end(&c);
}

static void a_descriptor_without_areas_shows_the_whole_region(void **state)
{
    struct core c;
    struct answer a;
    struct vu_region_info info;
    struct vu_cap_walk walk;
    struct vu_cap cap;

    (void)state;
    core_begin(&c);
    assert_int_equal(vfu_setup_region(c.ctx, 2, BAR2_SIZE, NULL, RW | MEM, NULL, 0,
                                      c.memory, 0), 0);
    a = get_info(&c, 2, 4096);
    assert_answer_ok(&a, 64);
    DECODE(region_info, &a, &info);
    walk = vu_cap_walk(a.body, a.body_len, info.cap_offset);
    assert_int_equal(vu_cap_next(&walk, &cap), 1);
    assert_int_equal(vu_sparse_count(&cap), 1);
    assert_int_equal(vu_sparse_area(&cap, 0).offset, 0);
    assert_int_equal(vu_sparse_area(&cap, 0).size, BAR2_SIZE);
    core_end(&c);
}

static void setting_up_again_replaces_the_areas(void **state)
{
    struct core c;
    struct answer a;
    struct vu_region_info info;

    (void)state;
    core_begin(&c);
    assert_int_equal(set_up(&c, 2, BAR2_SIZE, RW | MEM), 0);
    a = get_info(&c, 2, 4096);
    assert_answer_ok(&a, VU_REGION_INFO_SIZE);
    assert_int_equal(a.n_fds, 0);
    DECODE(region_info, &a, &info);
    assert_int_equal(info.flags, VU_REGION_READABLE | VU_REGION_WRITEABLE);
    core_end(&c);
}

static void info_refuses_bad_index_and_argsz(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    core_begin(&c);
    a = get_info(&c, 9, 32);
    assert_answer_error(&a, EINVAL);
    a = get_info(&c, UINT32_MAX, 32);
    assert_answer_error(&a, EINVAL);
    a = get_info(&c, 0, 31);
    assert_answer_error(&a, EINVAL);
    a = get_info(&c, 0, UINT32_MAX);
    assert_answer_ok(&a, VU_REGION_INFO_SIZE);
    core_end(&c);
}

/* --------------------------------------------------------------- access -- */

static void writes_are_read_back_and_echoed(void **state)
{
    static const uint8_t data[5] = { 1, 2, 3, 4, 5 };
    struct core c;
    struct answer a;
    struct vu_region_access m;

    (void)state;
    core_begin(&c);
    a = core_region_write(&c, 0, 0x123, data, sizeof(data));
    assert_answer_ok(&a, VU_REGION_ACCESS_SIZE);
    DECODE(region_access, &a, &m);
    assert_int_equal(m.offset, 0x123);
    assert_int_equal(m.region, 0);
    assert_int_equal(m.count, sizeof(data));
    a = core_region_read(&c, 0, 0x122, 7);
    assert_answer_ok(&a, VU_REGION_ACCESS_SIZE + 7);
    DECODE(region_data, &a, &m);
    assert_int_equal(m.offset, 0x122);
    assert_int_equal(m.count, 7);
    assert_memory_equal(m.data.data, "\0\1\2\3\4\5\0", 7);
    core_end(&c);
}

static void accesses_stay_inside_the_region(void **state)
{
    static const struct { uint32_t region; uint64_t offset; uint32_t count; } bad[] = {
        { 0, BAR0_SIZE, 1 }, { 0, BAR0_SIZE - 3, 4 }, { 0, 0, BAR0_SIZE + 1 },
        { 0, UINT64_MAX, 1 }, { 0, UINT64_MAX - 3, 8 }, { 0, BAR0_SIZE + 1, 0 },
        { 0, (uint64_t)1 << 63, 4 }, { 1, 0, 1 }, { 1, 0, 0 }, { 8, 0, 4 }, { 9, 0, 4 },
        { UINT32_MAX, 0, 4 }, { 7, 4096, 4 }, { 7, 4093, 4 },
    };
    static const uint8_t data[BAR0_SIZE + 1];
    struct core c;

    (void)state;
    core_begin(&c);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct answer a =
            core_region_read(&c, bad[i].region, bad[i].offset, bad[i].count);

        assert_answer_error(&a, EINVAL);
        a = core_region_write(&c, bad[i].region, bad[i].offset, data, bad[i].count);
        assert_answer_error(&a, EINVAL);
    }
    assert_int_equal(c.seen.accesses, 0);
    core_end(&c);
}

static ssize_t any_access(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                          bool is_write)
{
    (void)ctx;
    (void)offset;
    if (!is_write)
        memset(buf, 0x5a, count);
    return (ssize_t)count;
}

static void the_largest_transfer_works_and_one_byte_more_does_not(void **state)
{
    struct core c;
    struct answer a;
    uint8_t *data = calloc(1, VUS_MAX_DATA_XFER + 1);

    (void)state;
    core_begin(&c);
    assert_int_equal(vfu_setup_region(c.ctx, 4, 2u << 20, any_access, RW | MEM, NULL, 0,
                                      -1, 0), 0);
    a = core_region_read(&c, 4, 1u << 20, VUS_MAX_DATA_XFER);
    assert_answer_ok(&a, VU_REGION_ACCESS_SIZE + VUS_MAX_DATA_XFER);
    assert_int_equal(a.body[VU_REGION_ACCESS_SIZE + VUS_MAX_DATA_XFER - 1], 0x5a);
    a = core_region_write(&c, 4, 0, data, VUS_MAX_DATA_XFER);
    assert_answer_ok(&a, VU_REGION_ACCESS_SIZE);
    a = core_region_read(&c, 4, 0, VUS_MAX_DATA_XFER + 1);
    assert_answer_error(&a, EINVAL);
    a = core_region_write(&c, 4, 0, data, VUS_MAX_DATA_XFER + 1);
    assert_answer_error(&a, EINVAL);
    a = core_region_read(&c, 4, 0, UINT32_MAX);
    assert_answer_error(&a, EINVAL);
    free(data);
    core_end(&c);
}

static void directions_are_enforced(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    core_begin(&c);
    a = core_region_write(&c, 3, 0, "abcd", 4);
    assert_answer_error(&a, EACCES);
    assert_int_equal(vfu_setup_region(c.ctx, 4, 64, core_access,
                                      VFU_REGION_FLAG_WRITE | MEM, NULL, 0, -1, 0), 0);
    a = core_region_read(&c, 4, 0, 4);
    assert_answer_error(&a, EACCES);
    assert_int_equal(c.seen.accesses, 0);
    a = core_region_write(&c, 4, 0, "abcd", 4);
    assert_answer_ok(&a, VU_REGION_ACCESS_SIZE);
    core_end(&c);
}

static void length_and_count_of_a_write_agree(void **state)
{
    struct vu_region_access m = { .count = 8 };
    uint8_t body[VU_REGION_ACCESS_SIZE + 32] = { 0 };
    struct vu_writer w = vu_writer(body, sizeof(body));
    struct core c;

    (void)state;
    core_begin(&c);
    assert_int_equal(vu_encode_region_access(&w, &m), 0);
    for (size_t extra = 0; extra <= 32; extra++) {
        struct answer a = core_send(&c, VU_REGION_WRITE, body,
                                    VU_REGION_ACCESS_SIZE + extra);

        if (extra == 8)
            assert_answer_ok(&a, VU_REGION_ACCESS_SIZE);
        else
            assert_answer_error(&a, EINVAL);
    }
    assert_int_equal(c.seen.accesses, 1);
    core_end(&c);
}

static void zero_length_succeeds_without_the_device(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    core_begin(&c);
    a = core_region_read(&c, 0, 16, 0);
    assert_answer_ok(&a, VU_REGION_ACCESS_SIZE);
    a = core_region_write(&c, 0, BAR0_SIZE, NULL, 0);
    assert_answer_ok(&a, VU_REGION_ACCESS_SIZE);
    assert_int_equal(c.seen.accesses, 0);
    core_end(&c);
}

static void a_failing_callback_gives_its_errno_and_no_data(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    core_begin(&c);
    c.how.access_errno = EIO;
    a = core_region_read(&c, 0, 0, 64);
    assert_answer_error(&a, EIO);
    a = core_region_write(&c, 0, 0, "abcd", 4);
    assert_answer_error(&a, EIO);
    core_end(&c);
}

static void a_short_callback_is_an_error(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    core_begin(&c);
    for (int i = -1; i <= 4; i++) {
        c.how.access_short = i;
        a = core_region_read(&c, 0, 0, 4);
        if (i == 0)
            assert_answer_ok(&a, VU_REGION_ACCESS_SIZE + 4);
        else
            assert_answer_error(&a, EINVAL);
    }
    core_end(&c);
}

static void a_region_without_callback_refuses_messages(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    core_begin(&c);
    a = core_region_read(&c, 2, 0, 4);
    assert_answer_error(&a, EINVAL);
    core_end(&c);
}

/* The reply's buffer held something else before. */
static void what_the_device_leaves_alone_reads_as_zero(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    core_begin(&c);
    memset(c.bar0, 0xee, sizeof(c.bar0));
    core_region_read(&c, 0, 0, 4096);
    c.how.lazy = true;
    a = core_region_read(&c, 0, 0, 4096);
    assert_answer_ok(&a, VU_REGION_ACCESS_SIZE + 4096);
    for (size_t i = 0; i < 4096; i++)
        assert_int_equal(a.body[VU_REGION_ACCESS_SIZE + i], 0);
    core_end(&c);
}

/* Process m with `before` bytes in the reply buffer, its body at any address. */
static void at_address(struct core *c, const struct vu_header *h, const uint8_t *body,
                       size_t len, size_t before)
{
    struct vu_message m;

    vu_buffer_truncate(&c->out, 0);
    assert_non_null(vu_buffer_extend(&c->out, before));
    vu_message_init(&m, h, body, len);
    assert_int_equal(vus_process(c->ctx, &m, &c->reply), VUS_SERVED);
    assert_int_equal(c->reply.start, before);
}

static void callbacks_get_aligned_buffers(void **state)
{
    struct vu_region_access m = { .region = 0, .offset = 8, .count = 24 };
    struct vu_header h = { .command = VU_REGION_WRITE };
    static uint8_t memory[128];
    struct core c;

    (void)state;
    core_begin(&c);
    for (size_t shift = 0; shift < 33; shift++) {
        struct vu_writer w = vu_writer(memory + shift, 64);

        assert_int_equal(vu_encode_region_access(&w, &m), 0);
        memset(memory + shift + 16, (int)shift + 1, m.count);
        h.command = VU_REGION_WRITE;
        at_address(&c, &h, memory + shift, 16 + m.count, shift);
        h.command = VU_REGION_READ;
        at_address(&c, &h, memory + shift, 16, shift);
        for (size_t i = 0; i < m.count; i++)
            assert_int_equal(c.out.data[shift + 32 + i], shift + 1);
    }
    assert_int_equal(c.seen.accesses, 66);
    assert_int_equal(c.seen.misaligned, 0);
    core_end(&c);
}

static void configuration_space_is_served_by_the_library(void **state)
{
    struct core c;
    struct answer a;
    struct vu_region_access m;

    (void)state;
    core_begin(&c);
    vfu_pci_set_id(c.ctx, 0x1234, 0x5678, 0, 0);
    a = core_region_read(&c, VFU_PCI_DEV_CFG_REGION_IDX, 0, 4);
    DECODE(region_data, &a, &m);
    assert_memory_equal(m.data.data, "\x34\x12\x78\x56", 4);
    a = core_region_write(&c, VFU_PCI_DEV_CFG_REGION_IDX, 0x800, "abcd", 4);
    assert_answer_error(&a, EINVAL);
    a = core_region_read(&c, VFU_PCI_DEV_CFG_REGION_IDX, 0, 4096);
    assert_answer_ok(&a, VU_REGION_ACCESS_SIZE + 4096);
    core_end(&c);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(set_up_refuses_bad_indices_and_flags),
    VU_FD_TEST(set_up_refuses_bad_areas),
    VU_FD_TEST(bars_are_powers_of_two),
    VU_FD_TEST(wide_bars_take_two_slots),
    VU_FD_TEST(info_of_plain_regions_has_no_descriptor),
    VU_FD_TEST(absent_regions_answer_zeros),
    VU_FD_TEST(mappable_regions_come_with_areas_and_descriptor),
    VU_FD_TEST(areas_that_do_not_fit_are_left_out),
    VU_FD_TEST(a_client_without_descriptors_cannot_map),
    VU_FD_TEST(a_descriptor_without_areas_shows_the_whole_region),
    VU_FD_TEST(setting_up_again_replaces_the_areas),
    VU_FD_TEST(info_refuses_bad_index_and_argsz),
    VU_FD_TEST(writes_are_read_back_and_echoed),
    VU_FD_TEST(accesses_stay_inside_the_region),
    VU_FD_TEST(the_largest_transfer_works_and_one_byte_more_does_not),
    VU_FD_TEST(directions_are_enforced),
    VU_FD_TEST(length_and_count_of_a_write_agree),
    VU_FD_TEST(zero_length_succeeds_without_the_device),
    VU_FD_TEST(a_failing_callback_gives_its_errno_and_no_data),
    VU_FD_TEST(a_short_callback_is_an_error),
    VU_FD_TEST(a_region_without_callback_refuses_messages),
    VU_FD_TEST(what_the_device_leaves_alone_reads_as_zero),
    VU_FD_TEST(callbacks_get_aligned_buffers),
    VU_FD_TEST(configuration_space_is_served_by_the_library),
};

VU_TEST_MAIN(tests)
