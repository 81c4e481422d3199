/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contract, chapter 2.3: regions and ioeventfds.
 */
#include "libserver/tests/chapter.h"

#define MEM (VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM)
#define CFG VFU_PCI_DEV_CFG_REGION_IDX

/* A set-up without areas: 0, or the errno. */
static int setup(struct device *d, int index, size_t size, vfu_region_access_cb_t *cb,
                 int flags)
{
    errno = 0;
    return vfu_setup_region(d->ctx, index, size, cb, flags, NULL, 0, -1, 0) == 0 ? 0
                                                                                 : errno;
}

/* ------------------------------------------------------- vfu_setup_region -- */

TEST(c2_3_unknown_flags_and_neither_read_nor_write_are_refused)
{
    struct device *d = device_new(NB);

    assert_int_equal(setup(d, 0, 4096, on_access, MEM | 0x40), EINVAL);
    assert_int_equal(setup(d, 0, 4096, on_access, VFU_REGION_FLAG_MEM), EINVAL);
    assert_int_equal(setup(d, 0, 4096, on_access, 0), EINVAL);
    assert_int_equal(setup(d, 0, 4096, on_access, VFU_REGION_FLAG_READ), 0);
    assert_int_equal(setup(d, 0, 4096, on_access, VFU_REGION_FLAG_WRITE), 0);
    device_down(d);
}

TEST(c2_3_always_cb_needs_a_callback_for_any_region)
{
    struct device *d = device_new(NB);

    assert_int_equal(setup(d, 0, 4096, NULL, MEM | VFU_REGION_FLAG_ALWAYS_CB), EINVAL);
    assert_int_equal(setup(d, CFG, 256, NULL,
                           VFU_REGION_FLAG_RW | VFU_REGION_FLAG_ALWAYS_CB), EINVAL);
    assert_int_equal(setup(d, 0, 4096, on_access, MEM | VFU_REGION_FLAG_ALWAYS_CB), 0);
    device_down(d);
}

TEST(c2_3_areas_come_with_a_count_and_a_descriptor)
{
    struct iovec area = { .iov_base = NULL, .iov_len = PAGE };
    struct device *d = device_new(NB);
    int memory = new_memory(PAGE);

    assert_int_equal(vfu_setup_region(d->ctx, 0, PAGE, NULL, MEM, &area, 0, memory, 0),
                     -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(vfu_setup_region(d->ctx, 0, PAGE, NULL, MEM, NULL, 1, memory, 0),
                     -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(vfu_setup_region(d->ctx, 0, PAGE, NULL, MEM, &area, 1, -1, 0), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(vfu_setup_region(d->ctx, 0, PAGE, NULL, MEM, &area, 1, memory, 0),
                     0);
    close(memory);
    device_down(d);
}

TEST(c2_3_there_are_nine_regions)
{
    struct device *d = device_new(NB);

    assert_int_equal(setup(d, -1, 4096, on_access, MEM), EINVAL);
    assert_int_equal(setup(d, 9, 4096, on_access, MEM), EINVAL);
    assert_int_equal(setup(d, VFU_PCI_DEV_VGA_REGION_IDX, 4096, on_access, MEM), 0);
    device_down(d);
}

TEST(c2_3_a_bar_has_a_power_of_two_of_bytes)
{
    struct device *d = device_new(NB);

    assert_int_equal(setup(d, 0, 4097, on_access, MEM), EINVAL);
    assert_int_equal(setup(d, 0, 8, on_access, MEM), EINVAL);
    assert_int_equal(setup(d, 0, 16, on_access, MEM), 0);
    assert_int_equal(setup(d, 1, 2, on_access, VFU_REGION_FLAG_RW), EINVAL);
    assert_int_equal(setup(d, 1, 4, on_access, VFU_REGION_FLAG_RW), 0);
    assert_int_equal(setup(d, 1, 12, on_access, VFU_REGION_FLAG_RW), EINVAL);
    assert_int_equal(setup(d, VFU_PCI_DEV_ROM_REGION_IDX, 12345, on_access, MEM), 0);
    device_down(d);
}

TEST(c2_3_size_0_takes_a_bar_away)
{
    struct device *d = device_up();

    assert_int_equal(region_read(d, 0, 0, 4), 0);
    assert_int_equal(setup(d, 0, 0, NULL, MEM), 0);
    assert_int_equal(region_info(d, 0, 32).size, 0);
    assert_int_equal(region_read(d, 0, 0, 4), EINVAL);
    device_down(d);
}

TEST(c2_3_a_64_bit_bar_is_even_and_takes_two_slots)
{
    const int wide = MEM | VFU_REGION_FLAG_64_BITS;
    struct device *d = device_new(NB);

    assert_int_equal(setup(d, 1, 4096, on_access, wide), EINVAL);
    assert_int_equal(setup(d, 3, 4096, on_access, MEM), 0);
    assert_int_equal(setup(d, 2, 4096, on_access, wide), EINVAL);
    assert_int_equal(setup(d, 0, 4096, on_access, wide), 0);
    assert_int_equal(setup(d, 1, 4096, on_access, MEM), EINVAL);
    assert_int_equal(setup(d, 1, 0, NULL, MEM), EINVAL);
    assert_int_equal(setup(d, 0, 4096, on_access, MEM), 0);
    assert_int_equal(setup(d, 1, 4096, on_access, MEM), 0);
    device_down(d);
}

TEST(c2_3_the_config_region_is_read_and_write_and_no_memory)
{
    struct device *d = device_new(NB);

    assert_int_equal(setup(d, CFG, 256, on_access, VFU_REGION_FLAG_READ), EINVAL);
    assert_int_equal(setup(d, CFG, 256, on_access, VFU_REGION_FLAG_WRITE), EINVAL);
    assert_int_equal(setup(d, CFG, 256, on_access, MEM), EINVAL);
    assert_int_equal(setup(d, CFG, 256, on_access, VFU_REGION_FLAG_RW), 0);
    device_down(d);
}

TEST(c2_3_areas_outside_the_region_are_refused)
{
    struct iovec areas[][2] = {
        { { (void *)0, PAGE }, { (void *)0x2000, 1 } },
        { { (void *)0, PAGE }, { (void *)0x1000, 0x1001 } },
        { { (void *)0, PAGE }, { (void *)UINTPTR_MAX, 2 } },
        { { (void *)0, PAGE }, { (void *)2, SIZE_MAX } },
    };
    struct device *d = device_new(NB);
    int memory = new_memory(0x2000);

    for (size_t i = 0; i < sizeof(areas) / sizeof(areas[0]); i++) {
        assert_int_equal(vfu_setup_region(d->ctx, 0, 0x2000, NULL, MEM, areas[i], 2,
                                          memory, 0), -1);
        assert_int_equal(errno, EINVAL);
    }
    close(memory);
    device_down(d);
}

/* The sparse capability that follows the region info at byte 32. */
static uint32_t areas_told(struct device *d, uint32_t index,
                           struct vfio_region_sparse_mmap_area *areas, uint32_t max)
{
    struct vfio_region_info_cap_sparse_mmap cap;
    struct vfio_region_info info = region_info(d, index, 4096);

    assert_true((info.flags & VFIO_REGION_INFO_FLAG_CAPS) != 0);
    assert_int_equal(info.cap_offset, 32);
    memcpy(&cap, d->reply.body + 32, sizeof(cap));
    assert_int_equal(cap.header.id, VFIO_REGION_INFO_CAP_SPARSE_MMAP);
    assert_int_equal(cap.header.version, 1);
    assert_int_equal(cap.header.next, 0);
    assert_int_equal(info.argsz, 32 + sizeof(cap) + cap.nr_areas * sizeof(*areas));
    assert_int_equal(d->reply.len, info.argsz);
    assert_true(cap.nr_areas <= max);
    memcpy(areas, d->reply.body + 32 + sizeof(cap), cap.nr_areas * sizeof(*areas));
    return cap.nr_areas;
}

TEST(c2_3_areas_are_copied_and_told_to_the_client)
{
    struct iovec areas[2] = { { (void *)0x1000, 0x1000 }, { (void *)0x3000, 0x1000 } };
    struct vfio_region_sparse_mmap_area told[4];
    struct device *d = device_up();
    int memory = new_memory(0x6000);

    assert_int_equal(vfu_setup_region(d->ctx, 2, 0x4000, NULL, MEM, areas, 2, memory,
                                      0x2000), 0);
    memset(areas, 0xff, sizeof(areas));
    assert_int_equal(areas_told(d, 2, told, 4), 2);
    assert_int_equal(told[0].offset, 0x1000);
    assert_int_equal(told[0].size, 0x1000);
    assert_int_equal(told[1].offset, 0x3000);
    assert_int_equal(told[1].size, 0x1000);
    assert_int_equal(region_info(d, 2, 4096).offset, 0x2000);
    close(memory);
    device_down(d);
}

TEST(c2_3_a_descriptor_without_areas_is_one_area)
{
    struct vfio_region_sparse_mmap_area told[1];
    struct device *d = device_up();
    int memory = new_memory(0x4000);

    assert_int_equal(vfu_setup_region(d->ctx, 2, 0x4000, NULL, MEM, NULL, 0, memory, 0),
                     0);
    assert_int_equal(areas_told(d, 2, told, 1), 1);
    assert_int_equal(told[0].offset, 0);
    assert_int_equal(told[0].size, 0x4000);
    close(memory);
    device_down(d);
}

/* The client can share memory through the very descriptor that it gets. */
TEST(c2_3_the_descriptor_is_not_duplicated_but_lent_to_each_asker)
{
    struct device *d = device_up();
    int memory = new_memory(PAGE);
    int before = vu_test_open_fds();

    assert_int_equal(vfu_setup_region(d->ctx, 2, PAGE, NULL, MEM, NULL, 0, memory, 0), 0);
    assert_int_equal(vu_test_open_fds(), before);
    for (int i = 0; i < 2; i++) {
        char byte = 0;

        region_info(d, 2, 4096);
        assert_int_equal(d->reply.n_fds, 1);
        assert_int_equal(pwrite(d->reply.fds[0], "x", 1, 100 + i), 1);
        assert_int_equal(pread(memory, &byte, 1, 100 + i), 1);
        assert_int_equal(byte, 'x');
    }
    close(memory);
    device_down(d);
}

TEST(c2_3_a_region_can_be_changed_while_a_client_is_attached)
{
    struct device *d = device_up();

    assert_int_equal(setup(d, 0, 8192, on_access, MEM), 0);
    assert_int_equal(region_info(d, 0, 32).size, 8192);
    assert_int_equal(region_read(d, 0, 8188, 4), 0);
    device_down(d);
}

TEST(c2_3_a_config_size_beyond_the_space_reads_as_zero)
{
    struct device *d = device_new(NB);

    assert_int_equal(vfu_pci_init(d->ctx, VFU_PCI_TYPE_CONVENTIONAL, 0, 0), 0);
    assert_int_equal(setup(d, CFG, 4096, NULL, VFU_REGION_FLAG_RW), 0);
    device_realize(d);
    device_attach(d);
    assert_int_equal(region_info(d, CFG, 32).size, 4096);
    assert_int_equal(config_read(d, 4092, 4), 0);
    assert_int_equal(config_read(d, 254, 4), 0);
    device_down(d);
}

TEST(c2_3_spdk_gives_the_config_region_0x1000_bytes_and_a_callback)
{
    struct device *d = device_new(NB);

    assert_int_equal(vfu_pci_init(d->ctx, VFU_PCI_TYPE_EXPRESS, 0, 0), 0);
    vfu_pci_set_id(d->ctx, 0x4e58, 0x0001, 0, 0);
    assert_int_equal(setup(d, CFG, 0x1000, on_access, VFU_REGION_FLAG_RW), 0);
    device_realize(d);
    device_attach(d);
    assert_int_equal(region_info(d, CFG, 32).size, 0x1000);
    assert_int_equal(config_read(d, 0, 4), 0x14e58);
    assert_events(d, "");
    config_read(d, 0x100, 4);
    assert_events(d, "read:100+4");
    device_down(d);
}

TEST(c2_3_qemu_gets_every_config_access_by_always_cb)
{
    struct device *d = device_new(NB);

    assert_int_equal(vfu_pci_init(d->ctx, VFU_PCI_TYPE_CONVENTIONAL, 0, 0), 0);
    assert_int_equal(setup(d, CFG, 256, on_access,
                           VFU_REGION_FLAG_RW | VFU_REGION_FLAG_ALWAYS_CB), 0);
    device_realize(d);
    device_attach(d);
    assert_int_equal(config_write(d, 4, 0x1234, 2), 0);
    assert_int_equal(config_read(d, 4, 2), 0x1234);
    assert_events(d, "write:4+2 read:4+2");
    assert_int_equal(vfu_pci_get_config_space(d->ctx)->hdr.cmd.raw, 0);
    device_down(d);
}

TEST(c2_3_pci_init_after_setup_overwrites_size_and_flags_not_the_callback)
{
    struct device *d = device_new(NB);

    assert_int_equal(setup(d, CFG, 4096, on_access,
                           VFU_REGION_FLAG_RW | VFU_REGION_FLAG_ALWAYS_CB), 0);
    assert_int_equal(vfu_pci_init(d->ctx, VFU_PCI_TYPE_CONVENTIONAL, 0, 0), 0);
    device_realize(d);
    device_attach(d);
    assert_int_equal(region_info(d, CFG, 32).size, 256);
    config_read(d, 0, 4);
    assert_events(d, "");               /* ALWAYS_CB is gone */
    config_read(d, 0x80, 4);
    assert_events(d, "read:80+4");
    device_down(d);
}

TEST(c2_3_read_and_write_flags_are_told_and_enforced)
{
    struct device *d = device_up();

    assert_int_equal(setup(d, 2, 4096, on_access,
                           VFU_REGION_FLAG_READ | VFU_REGION_FLAG_MEM), 0);
    assert_int_equal(setup(d, 3, 4096, on_access,
                           VFU_REGION_FLAG_WRITE | VFU_REGION_FLAG_MEM), 0);
    assert_int_equal(region_info(d, 2, 32).flags, VFIO_REGION_INFO_FLAG_READ);
    assert_int_equal(region_info(d, 3, 32).flags, VFIO_REGION_INFO_FLAG_WRITE);
    assert_int_equal(region_write(d, 2, 0, "abcd", 4), EACCES);
    assert_int_equal(region_read(d, 3, 0, 4), EACCES);
    assert_events(d, "");
    device_down(d);
}

/* -------------------------------------------------------- region callback -- */

TEST(c2_3_the_callback_gets_every_access_also_in_mappable_areas)
{
    struct device *d = device_up();
    int memory = new_memory(PAGE);

    assert_int_equal(vfu_setup_region(d->ctx, 2, PAGE, on_access, MEM, NULL, 0, memory,
                                      0), 0);
    assert_int_equal(region_write(d, 2, 0x10, "abcd", 4), 0);
    assert_int_equal(region_read(d, 2, 0x10, 4), 0);
    assert_memory_equal(d->reply.body + 16, "abcd", 4);
    assert_events(d, "write:10+4 read:10+4");
    close(memory);
    device_down(d);
}

static ssize_t fill_nothing(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                            bool is_write)
{
    (void)ctx;
    (void)buf;
    (void)offset;
    (void)is_write;
    return (ssize_t)count;
}

TEST(c2_3_the_buffer_of_a_read_is_zeroed)
{
    static const uint8_t zeros[512];
    struct device *d = device_up();

    memset(d->bar0, 0xee, sizeof(d->bar0));
    assert_int_equal(region_read(d, 0, 0, 512), 0);     /* leaves bytes around */
    assert_int_equal(setup(d, 0, 4096, fill_nothing, MEM), 0);
    assert_int_equal(region_read(d, 0, 0, 512), 0);
    assert_memory_equal(d->reply.body + 16, zeros, sizeof(zeros));
    device_down(d);
}

TEST(c2_3_the_callbacks_errno_reaches_the_client)
{
    struct device *d = device_up();

    d->access_errno = ENXIO;
    assert_int_equal(region_read(d, 0, 0, 4), ENXIO);
    assert_int_equal(region_write(d, 0, 0, "abcd", 4), ENXIO);
    device_down(d);
}

TEST(c2_3_a_short_count_becomes_einval)
{
    struct device *d = device_up();

    for (d->access_short = 1; d->access_short <= 4; d->access_short++) {
        assert_int_equal(region_read(d, 0, 0, 4), EINVAL);
        assert_int_equal(region_write(d, 0, 0, "abcd", 4), EINVAL);
    }
    device_down(d);
}

TEST(c2_3_without_a_callback_an_access_is_einval)
{
    struct device *d = device_up();

    assert_int_equal(setup(d, 5, 4096, NULL, MEM), 0);
    assert_int_equal(region_read(d, 5, 0, 4), EINVAL);
    assert_int_equal(region_write(d, 5, 0, "abcd", 4), EINVAL);
    device_down(d);
}

TEST(c2_3_an_access_does_not_quiesce)
{
    struct device *d = device_up_quiescing();

    assert_int_equal(region_write(d, 0, 0, "abcd", 4), 0);
    assert_events(d, "write:0+4");
    device_down(d);
}

/* ---------------------------------------------------- vfu_create_ioeventfd -- */

#define ENTRY 40u       /* bytes on the wire */

static int add(struct device *d, uint32_t region, int fd, size_t offset, uint32_t size)
{
    errno = 0;
    return vfu_create_ioeventfd(d->ctx, region, fd, offset, size, 0, 0, -1, 0) == 0
               ? 0 : errno;
}

/* The reply's entries: their number; those are in d->reply from byte 16. */
static uint32_t io_fds(struct device *d, uint32_t region, uint32_t argsz)
{
    vfio_user_region_io_fds_request_t m = { .argsz = argsz, .index = region };

    assert_int_equal(ask(d, VFIO_USER_DEVICE_GET_REGION_IO_FDS, &m, sizeof(m)), 0);
    assert_true(d->reply.len >= sizeof(m));
    memcpy(&m, d->reply.body, sizeof(m));
    return m.count;
}

/* What of an entry is the same in every revision: offset, size, fd_index, type, flags. */
static vfio_user_sub_region_ioeventfd_t entry(const struct device *d, uint32_t i)
{
    vfio_user_sub_region_ioeventfd_t e = { 0 };

    memcpy(&e, d->reply.body + 16 + i * ENTRY, 28);
    memcpy(&e.datamatch, d->reply.body + 16 + i * ENTRY + 32, 8);
    return e;
}

TEST(c2_3_an_ioeventfd_needs_a_region_that_there_is)
{
    struct device *d = device_up();

    assert_int_equal(add(d, 9, -1, 0, 4), EINVAL);
    assert_int_equal(add(d, UINT32_MAX, -1, 0, 4), EINVAL);
    device_down(d);
}

TEST(c2_3_a_shadow_ioeventfd_needs_a_build_with_shadows)
{
    struct device *d = device_up();
    int memory = new_memory(PAGE);

#ifdef VFIO_USER_SHADOW_IOEVENTFD
    assert_int_equal(vfu_create_ioeventfd(d->ctx, 0, -1, 0, 4, 0, 0, memory, 0), 0);
#else
    assert_int_equal(vfu_create_ioeventfd(d->ctx, 0, -1, 0, 4, 0, 0, memory, 0), -1);
    assert_int_equal(errno, EINVAL);
#endif
    close(memory);
    device_down(d);
}

TEST(c2_3_an_ioeventfd_lies_inside_its_region)
{
    struct device *d = device_up();

    assert_int_equal(add(d, 0, -1, BAR0_SIZE - 4, 4), 0);
    assert_int_equal(add(d, 0, -1, BAR0_SIZE - 3, 4), EINVAL);
    assert_int_equal(add(d, 0, -1, BAR0_SIZE + 1, 0), EINVAL);
    assert_int_equal(add(d, 0, -1, SIZE_MAX, 2), EINVAL);   /* the sum would wrap */
    device_down(d);
}

TEST(c2_3_an_ioeventfd_without_a_descriptor_has_index_minus_1)
{
    struct device *d = device_up();

    assert_int_equal(add(d, 0, -1, 8, 4), 0);
    assert_int_equal(io_fds(d, 0, 4096), 1);
    assert_int_equal(entry(d, 0).fd_index, UINT32_MAX);
    assert_int_equal(d->reply.n_fds, 0);
    device_down(d);
}

TEST(c2_3_ioeventfds_are_told_newest_first)
{
    struct device *d = device_up();
    int event = new_eventfd();

    assert_int_equal(add(d, 0, event, 0x10, 1), 0);
    assert_int_equal(add(d, 0, event, 0x20, 2), 0); /* later than realize and attach */
    assert_int_equal(vfu_create_ioeventfd(d->ctx, 0, event, 0x30, 4, 1, 0xfeedULL << 40,
                                          -1, 0), 0);
    assert_int_equal(io_fds(d, 0, 4096), 3);
    assert_int_equal(d->reply.len, 16 + 3 * ENTRY);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(entry(d, i).gpa_offset, 0x30 - 0x10 * i);
        assert_int_equal(entry(d, i).size, 4 >> i);
        assert_int_equal(entry(d, i).type, VFIO_USER_IO_FD_TYPE_IOEVENTFD);
        assert_int_equal(entry(d, i).fd_index, 0);      /* the same descriptor */
    }
    assert_int_equal(entry(d, 0).flags, 1);
    assert_int_equal(entry(d, 0).datamatch, 0xfeedULL << 40);
    assert_int_equal(d->reply.n_fds, 1);
    assert_int_equal(write(d->reply.fds[0], "\1\0\0\0\0\0\0\0", 8), 8);
    assert_int_equal(signals(event), 1);
    close(event);
    device_down(d);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(c2_3_unknown_flags_and_neither_read_nor_write_are_refused),
    VU_FD_TEST(c2_3_always_cb_needs_a_callback_for_any_region),
    VU_FD_TEST(c2_3_areas_come_with_a_count_and_a_descriptor),
    VU_FD_TEST(c2_3_there_are_nine_regions),
    VU_FD_TEST(c2_3_a_bar_has_a_power_of_two_of_bytes),
    VU_FD_TEST(c2_3_size_0_takes_a_bar_away),
    VU_FD_TEST(c2_3_a_64_bit_bar_is_even_and_takes_two_slots),
    VU_FD_TEST(c2_3_the_config_region_is_read_and_write_and_no_memory),
    VU_FD_TEST(c2_3_areas_outside_the_region_are_refused),
    VU_FD_TEST(c2_3_areas_are_copied_and_told_to_the_client),
    VU_FD_TEST(c2_3_a_descriptor_without_areas_is_one_area),
    VU_FD_TEST(c2_3_the_descriptor_is_not_duplicated_but_lent_to_each_asker),
    VU_FD_TEST(c2_3_a_region_can_be_changed_while_a_client_is_attached),
    VU_FD_TEST(c2_3_a_config_size_beyond_the_space_reads_as_zero),
    VU_FD_TEST(c2_3_spdk_gives_the_config_region_0x1000_bytes_and_a_callback),
    VU_FD_TEST(c2_3_qemu_gets_every_config_access_by_always_cb),
    VU_FD_TEST(c2_3_pci_init_after_setup_overwrites_size_and_flags_not_the_callback),
    VU_FD_TEST(c2_3_read_and_write_flags_are_told_and_enforced),
    VU_FD_TEST(c2_3_the_callback_gets_every_access_also_in_mappable_areas),
    VU_FD_TEST(c2_3_the_buffer_of_a_read_is_zeroed),
    VU_FD_TEST(c2_3_the_callbacks_errno_reaches_the_client),
    VU_FD_TEST(c2_3_a_short_count_becomes_einval),
    VU_FD_TEST(c2_3_without_a_callback_an_access_is_einval),
    VU_FD_TEST(c2_3_an_access_does_not_quiesce),
    VU_FD_TEST(c2_3_an_ioeventfd_needs_a_region_that_there_is),
    VU_FD_TEST(c2_3_a_shadow_ioeventfd_needs_a_build_with_shadows),
    VU_FD_TEST(c2_3_an_ioeventfd_lies_inside_its_region),
    VU_FD_TEST(c2_3_an_ioeventfd_without_a_descriptor_has_index_minus_1),
    VU_FD_TEST(c2_3_ioeventfds_are_told_newest_first),
};

VU_TEST_MAIN(tests)
