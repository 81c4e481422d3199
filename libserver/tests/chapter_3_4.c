/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contract, chapter 3.4: DMA_MAP and DMA_UNMAP.
 */
#include "libserver/tests/chapter.h"

#define MMAP    VFIO_USER_F_DMA_REGION_MMAP
#define FILE_IO VFIO_USER_F_DMA_REGION_FILE_IO
#define ALL     VFIO_DMA_UNMAP_FLAG_ALL

static int look_up(struct device *d, uint64_t addr)
{
    uint8_t sg[40];

    return vfu_addr_to_sgl(d->ctx, (void *)addr, 1, (dma_sg_t *)(void *)sg, 1, 0);
}

/* --------------------------------------------------------------- DMA_MAP -- */

TEST(c3_4_map_refuses_short_bodies_and_small_argsz)
{
    struct vfio_user_dma_map m = { .argsz = 31, .flags = RW, .size = PAGE };
    struct device *d = device_up();

    for (size_t len = 0; len < sizeof(m); len++)
        assert_int_equal(ask(d, VFIO_USER_DMA_MAP, &m, len), EINVAL);
    assert_int_equal(ask(d, VFIO_USER_DMA_MAP, &m, sizeof(m)), EINVAL);
    assert_events(d, "");
    device_down(d);
}

TEST(c3_4_map_refuses_flags_that_do_not_fit)
{
    struct device *d = device_up();
    int memory = new_memory(PAGE);

    assert_int_equal(dma_map_at(d, 0, PAGE, RW | MMAP, -1, 0), EINVAL);
    assert_int_equal(dma_map_at(d, 0, PAGE, RW | FILE_IO, -1, 0), EINVAL);
    assert_int_equal(dma_map_at(d, 0, PAGE, RW | MMAP | FILE_IO, memory, 0), EINVAL);
    for (int bit = 4; bit < 32; bit++)
        assert_int_equal(dma_map_at(d, 0, PAGE, RW | 1u << bit, memory, 0), EINVAL);
    assert_events(d, "");
    assert_int_equal(dma_map_at(d, 0, PAGE, RW | MMAP, memory, 0), 0);
    close(memory);
    device_down(d);
}

TEST(c3_4_map_refuses_windows_that_are_too_large)
{
    struct device *d = device_up();

    assert_int_equal(dma_map(d, 0, (8ULL << 40) + PAGE, -1), ENOSPC);
    assert_int_equal(dma_map(d, 0, 8ULL << 40, -1), 0);
    device_down(d);
}

TEST(c3_4_map_refuses_overlaps_with_eexist)
{
    static const uint64_t bad[][2] = {
        { 0x10000, 0x4000 }, { 0x11000, 0x1000 }, { 0xf000, 0x1001 }, { 0x13fff, 0x1000 },
        { 0xf000, 0x10000 }, { 0, 0x20000 }, { 0x12000, 1 },
    };
    struct device *d = device_up();

    assert_int_equal(dma_map(d, 0x10000, 0x4000, -1), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(dma_map(d, bad[i][0], bad[i][1], -1), EEXIST);
    assert_int_equal(dma_map(d, 0xf000, 0x1000, -1), 0);        /* neighbours are fine */
    assert_int_equal(dma_map(d, 0x14000, 0x1000, -1), 0);
    assert_events(d, "register:10000 register:f000 register:14000");
    device_down(d);
}

TEST(c3_4_map_refuses_more_windows_than_the_device_set_up)
{
    struct device *d = device_up();     /* 16 */

    for (uint64_t i = 0; i < 16; i++)
        assert_int_equal(dma_map(d, i * PAGE, PAGE, -1), 0);
    assert_int_equal(dma_map(d, 16 * PAGE, PAGE, -1), EINVAL);
    assert_int_equal(dma_unmap(d, 0, PAGE, 0), 0);
    assert_int_equal(dma_map(d, 16 * PAGE, PAGE, -1), 0);
    device_down(d);
}

TEST(c3_4_map_passes_the_errno_of_mmap_on)
{
    struct device *d = device_up();
    int memory = new_memory(PAGE);
    char path[64];
    int read_only, no_file;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", memory);
    read_only = open(path, O_RDONLY | O_CLOEXEC);
    no_file = new_eventfd();
    assert_true(read_only >= 0);
    assert_int_equal(dma_map(d, 0, PAGE, read_only), EACCES);
    assert_int_equal(dma_map(d, 0, PAGE, no_file), ENODEV);
    assert_events(d, "");
    assert_int_equal(dma_map_at(d, 0, PAGE, VFIO_USER_F_DMA_REGION_READ, read_only, 0),
                     0);
    close(read_only);
    close(no_file);
    close(memory);
    device_down(d);
}

TEST(c3_4_map_takes_one_descriptor_and_refuses_more)
{
    struct vfio_user_dma_map m = { .argsz = sizeof(m), .flags = RW, .size = PAGE };
    struct device *d = device_up();
    int fds[2] = { new_memory(PAGE), new_memory(PAGE) };

    assert_int_equal(ask_fds(d, VFIO_USER_DMA_MAP, &m, sizeof(m), fds, 2), EINVAL);
    assert_int_equal(look_up(d, 0), -1);
    assert_int_equal(ask_fds(d, VFIO_USER_DMA_MAP, &m, sizeof(m), fds, 1), 0);
    close(fds[0]);
    close(fds[1]);
    device_down(d);
}

TEST(c3_4_a_map_that_fails_leaves_nothing)
{
    struct device *d = device_up();
    int event = new_eventfd();
    int before = vu_test_open_fds();

    assert_int_equal(dma_map(d, 0, PAGE, event), ENODEV);
    assert_int_equal(vu_test_open_fds(), before);
    assert_int_equal(look_up(d, 0), -1);
    assert_int_equal(dma_map(d, 0, PAGE, -1), 0);
    close(event);
    device_down(d);
}

/* The original accepts both and cannot unmap them any more. */
TEST(c3_4_map_refuses_windows_of_0_bytes_and_beyond_the_address_space)
{
    struct device *d = device_up();
    int memory = new_memory(PAGE);

    assert_int_equal(dma_map(d, 0x10000, 0, -1), EINVAL);
    assert_int_equal(dma_map(d, 0x10000, 0, memory), EINVAL);
    assert_int_equal(dma_map(d, UINT64_MAX - PAGE + 2, PAGE, -1), EINVAL);
    assert_int_equal(dma_map(d, UINT64_MAX - PAGE + 1, PAGE, -1), 0);   /* just fits */
    assert_int_equal(look_up(d, UINT64_MAX), 1);
    assert_int_equal(dma_unmap(d, UINT64_MAX - PAGE + 1, PAGE, 0), 0);
    close(memory);
    device_down(d);
}

TEST(c3_4_map_refuses_what_the_file_does_not_have)
{
    struct device *d = device_up();
    int memory = new_memory(2 * PAGE);

    assert_int_equal(dma_map(d, 0, 2 * PAGE + 1, memory), EINVAL);
    assert_int_equal(dma_map_at(d, 0, 2 * PAGE, RW, memory, PAGE), EINVAL);
    assert_int_equal(dma_map_at(d, 0, PAGE, RW, memory, UINT64_MAX - PAGE + 1), EINVAL);
    assert_int_equal(dma_map_at(d, 0, PAGE, RW, memory, PAGE), 0);
    close(memory);
    device_down(d);
}

/* ------------------------------------------------------------- DMA_UNMAP -- */

TEST(c3_4_unmap_refuses_short_bodies_small_argsz_and_flags)
{
    static const uint32_t bad[] = { 3, 4, 8, 0x80000000 };
    struct vfio_user_dma_unmap m = { .argsz = 23, .addr = 0x10000, .size = PAGE };
    struct device *d = device_up();

    assert_int_equal(dma_map(d, 0x10000, PAGE, -1), 0);
    for (size_t len = 0; len < sizeof(m); len++)
        assert_int_equal(ask(d, VFIO_USER_DMA_UNMAP, &m, len), EINVAL);
    assert_int_equal(ask(d, VFIO_USER_DMA_UNMAP, &m, sizeof(m)), EINVAL);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(dma_unmap(d, 0x10000, PAGE, bad[i]), EINVAL);
    assert_events(d, "register:10000");
    device_down(d);
}

TEST(c3_4_unmap_all_comes_with_no_range)
{
    struct device *d = device_up();

    assert_int_equal(dma_map(d, 0x10000, PAGE, -1), 0);
    assert_int_equal(dma_unmap(d, 0x10000, 0, ALL), EINVAL);
    assert_int_equal(dma_unmap(d, 0, PAGE, ALL), EINVAL);
    assert_events(d, "register:10000");
    device_down(d);
}

TEST(c3_4_unmap_takes_one_window_exactly)
{
    static const uint64_t bad[][2] = {
        { 0x10000, 0x3000 }, { 0x11000, 0x3000 }, { 0xf000, 0x5000 }, { 0x10000, 0x5000 },
        { 0x10000, 0 }, { 0x50000, 0x4000 }, { 0x10000, UINT64_MAX }, { 0, UINT64_MAX },
    };
    struct device *d = device_up();

    assert_int_equal(dma_map(d, 0x10000, 0x4000, -1), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(dma_unmap(d, bad[i][0], bad[i][1], 0), ENOENT);
    assert_events(d, "register:10000");
    assert_int_equal(dma_unmap(d, 0x10000, 0x4000, 0), 0);
    assert_int_equal(look_up(d, 0x10000), -1);
    assert_int_equal(dma_unmap(d, 0x10000, 0x4000, 0), ENOENT);
    assert_int_equal(dma_map(d, 0x10000, 0x1000, -1), 0);
    device_down(d);
}

TEST(c3_4_unmap_all_removes_every_window_ascending)
{
    struct device *d = device_up();

    assert_int_equal(dma_unmap(d, 0, 0, ALL), 0);       /* none is fine too */
    assert_int_equal(dma_map(d, 0x30000, PAGE, -1), 0);
    assert_int_equal(dma_map(d, 0x10000, PAGE, -1), 0);
    assert_int_equal(dma_map(d, 0x20000, PAGE, -1), 0);
    d->events[0] = '\0';
    assert_int_equal(dma_unmap(d, 0, 0, ALL), 0);
    assert_events(d, "unregister:10000 unregister:20000 unregister:30000");
    for (uint64_t addr = 0x10000; addr < 0x40000; addr += 0x10000)
        assert_int_equal(look_up(d, addr), -1);
    device_down(d);
}

/* SPDK's host library sends one. */
TEST(c3_4_unmap_closes_a_descriptor_and_succeeds)
{
    struct vfio_user_dma_unmap m = { .argsz = sizeof(m), .addr = 0x10000, .size = PAGE };
    struct device *d = device_up();
    int memory = new_memory(PAGE);
    int before = vu_test_open_fds();

    assert_int_equal(dma_map(d, 0x10000, PAGE, memory), 0);
    assert_int_equal(ask_fds(d, VFIO_USER_DMA_UNMAP, &m, sizeof(m), &memory, 1), 0);
    assert_int_equal(d->reply.len, sizeof(m));
    assert_int_equal(vu_test_open_fds(), before);
    close(memory);
    device_down(d);
}

static void look_inside(struct device *d, const char *event, const vfu_dma_info_t *info)
{
    if (strncmp(event, "unregister", 10) == 0)
        *(int *)d->aux = look_up(d, (uintptr_t)info->iova.iov_base);
}

/* In the original that depends on what the thread looked up last. */
TEST(c3_4_a_window_is_found_until_its_unregister_callback_returned)
{
    struct device *d = device_up();
    int found = 0;

    assert_int_equal(dma_map(d, 0x10000, PAGE, -1), 0);
    d->aux = &found;
    d->in_callback = look_inside;
    assert_int_equal(dma_unmap(d, 0x10000, PAGE, 0), 0);
    assert_int_equal(found, 1);
    assert_int_equal(look_up(d, 0x10000), -1);
    device_down(d);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(c3_4_map_refuses_short_bodies_and_small_argsz),
    VU_FD_TEST(c3_4_map_refuses_flags_that_do_not_fit),
    VU_FD_TEST(c3_4_map_refuses_windows_that_are_too_large),
    VU_FD_TEST(c3_4_map_refuses_overlaps_with_eexist),
    VU_FD_TEST(c3_4_map_refuses_more_windows_than_the_device_set_up),
    VU_FD_TEST(c3_4_map_passes_the_errno_of_mmap_on),
    VU_FD_TEST(c3_4_map_takes_one_descriptor_and_refuses_more),
    VU_FD_TEST(c3_4_a_map_that_fails_leaves_nothing),
    VU_FD_TEST(c3_4_map_refuses_windows_of_0_bytes_and_beyond_the_address_space),
    VU_FD_TEST(c3_4_map_refuses_what_the_file_does_not_have),
    VU_FD_TEST(c3_4_unmap_refuses_short_bodies_small_argsz_and_flags),
    VU_FD_TEST(c3_4_unmap_all_comes_with_no_range),
    VU_FD_TEST(c3_4_unmap_takes_one_window_exactly),
    VU_FD_TEST(c3_4_unmap_all_removes_every_window_ascending),
    VU_FD_TEST(c3_4_unmap_closes_a_descriptor_and_succeeds),
    VU_FD_TEST(c3_4_a_window_is_found_until_its_unregister_callback_returned),
};

VU_TEST_MAIN(tests)
