/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA windows: what the client may map, what the device then finds, and that
 * nothing of it is left behind.
 */
#include "libserver/tests/dirty.h"

#include <stdio.h>
#include <sys/stat.h>

static struct answer map(struct core *c, uint64_t address, uint64_t size, uint32_t flags,
                         int fd)
{
    struct vu_dma_map m = { .flags = flags, .address = address, .size = size };

    return core_dma_map(c, m, fd);
}

static struct answer unmap(struct core *c, uint64_t address, uint64_t size)
{
    struct vu_dma_unmap m = { .address = address, .size = size };

    return core_dma_unmap(c, m);
}

/* A window with memory of its own. */
static void add(struct core *c, uint64_t address, uint64_t size, uint32_t flags)
{
    int fd = core_memory(size);
    struct answer a = map(c, address, size, flags, fd);

    assert_answer_ok(&a, 0);
    close(fd);
}

#define READ  VU_DMA_READABLE
#define WRITE VU_DMA_WRITEABLE
#define BOTH  (READ | WRITE)

static int mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    int n = 0;

    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps) != NULL)
        n += strstr(line, "memfd:test") != NULL;
    fclose(maps);
    return n;
}

/* -------------------------------------------------------------- DMA_MAP -- */

static vfu_dma_info_t registered;

static void keep_info(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    (void)ctx;
    registered = *info;
}

static void a_window_with_a_descriptor_is_mapped(void **state)
{
    struct vu_dma_map m = {
        .flags = BOTH, .offset = PAGE, .address = 0x10000, .size = 2 * PAGE,
    };
    struct core c;
    struct answer a;
    int fd = core_memory(4 * PAGE);

    (void)state;
    core_begin(&c);
    assert_int_equal((vfu_setup_device_dma)(c.ctx, 4, keep_info, core_unregister), 0);
    assert_int_equal(pwrite(fd, "hello", 5, PAGE), 5);
    a = core_dma_map(&c, m, fd);
    assert_answer_ok(&a, 0);
    assert_ptr_equal(registered.iova.iov_base, (void *)0x10000);
    assert_int_equal(registered.iova.iov_len, 2 * PAGE);
    assert_ptr_equal(registered.vaddr, registered.mapping.iov_base);
    assert_int_equal(registered.mapping.iov_len, 2 * PAGE);
    assert_int_equal(registered.page_size, PAGE);
    assert_int_equal(registered.prot, PROT_READ | PROT_WRITE);
    assert_memory_equal(registered.vaddr, "hello", 5);
    assert_int_equal(mappings(), 1);
    close(fd);
    core_end(&c);
    assert_int_equal(mappings(), 0);
}

static void a_window_without_descriptor_is_not_mapped(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    core_begin(&c);
    assert_int_equal((vfu_setup_device_dma)(c.ctx, 4, keep_info, core_unregister), 0);
    a = map(&c, 0x10000, PAGE, READ, -1);
    assert_answer_ok(&a, 0);
    assert_null(registered.vaddr);
    assert_null(registered.mapping.iov_base);
    assert_int_equal(registered.mapping.iov_len, 0);
    assert_int_equal(registered.page_size, PAGE);
    assert_int_equal(registered.prot, PROT_READ);
    core_end(&c);
}

/* Unaligned in the file: the mapping starts at the page before, and reaches far
 * enough all the same. */
static void an_unaligned_window_is_exact(void **state)
{
    struct vu_dma_map m = {
        .flags = BOTH, .offset = PAGE - 1, .address = 0x12345, .size = PAGE + 2,
    };
    struct core c;
    struct answer a;
    int fd = core_memory(3 * PAGE);

    (void)state;
    core_begin(&c);
    assert_int_equal((vfu_setup_device_dma)(c.ctx, 4, keep_info, core_unregister), 0);
    assert_int_equal(pwrite(fd, "x", 1, 2 * PAGE), 1);
    a = core_dma_map(&c, m, fd);
    assert_answer_ok(&a, 0);
    assert_int_equal(registered.mapping.iov_len, 3 * PAGE);
    assert_ptr_equal(registered.vaddr, (uint8_t *)registered.mapping.iov_base + PAGE - 1);
    assert_int_equal(((uint8_t *)registered.vaddr)[PAGE + 1], 'x');
    close(fd);
    core_end(&c);
}

/* The kernel's list tells what the pages permit. NULL: there must be none. */
static void check_protection(struct core *c, uint32_t flags, const char *expected)
{
    FILE *maps;
    char line[512];
    int seen = 0;

    add(c, 0x10000, PAGE, flags);
    maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps) != NULL) {
        if (strstr(line, "memfd:test") == NULL)
            continue;
        assert_non_null(expected);
        assert_non_null(strstr(line, expected));
        seen++;
    }
    fclose(maps);
    assert_int_equal(seen, expected != NULL);
    unmap(c, 0x10000, PAGE);
}

static void pages_permit_exactly_what_the_client_did(void **state)
{
    struct core c;

    (void)state;
    core_begin(&c);
    check_protection(&c, 0, NULL);
    check_protection(&c, READ, " r--s ");
    check_protection(&c, WRITE, " -w-s ");
    check_protection(&c, BOTH, " rw-s ");
    core_end(&c);
}

static void overlaps_are_refused_with_eexist(void **state)
{
    static const struct { uint64_t address, size; } over[] = {
        { 0x10000, 0x4000 }, { 0x11000, 0x1000 }, { 0xf000, 0x8000 }, { 0xf000, 0x1001 },
        { 0x13fff, 0x1000 }, { 0x10000, 1 }, { 0x13fff, 1 }, { 0, 0x20000 },
    };
    struct core c;
    struct answer a;

    (void)state;
    core_begin(&c);
    add(&c, 0x10000, 0x4000, BOTH);
    for (size_t i = 0; i < sizeof(over) / sizeof(over[0]); i++) {
        a = map(&c, over[i].address, over[i].size, BOTH, -1);
        assert_answer_error(&a, EEXIST);
    }
    assert_int_equal(c.seen.registers, 1);
    a = map(&c, 0xf000, 0x1000, BOTH, -1);      /* adjacent is fine */
    assert_answer_ok(&a, 0);
    a = map(&c, 0x14000, 0x1000, BOTH, -1);
    assert_answer_ok(&a, 0);
    core_end(&c);
}

static void windows_may_end_at_the_last_address(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    core_begin(&c);
    a = map(&c, UINT64_MAX - 0xfff, 0x1000, BOTH, -1);
    assert_answer_ok(&a, 0);
    a = map(&c, UINT64_MAX, 1, BOTH, -1);
    assert_answer_error(&a, EEXIST);
    a = map(&c, UINT64_MAX - 0xfff, 0x1001, BOTH, -1);
    assert_answer_error(&a, EINVAL);
    a = unmap(&c, UINT64_MAX - 0xfff, 0x1000);
    assert_answer_ok(&a, VU_DMA_UNMAP_SIZE);
    core_end(&c);
}

static void malformed_windows_are_refused(void **state)
{
    static const struct { struct vu_dma_map m; uint32_t error; } bad[] = {
        { { .flags = BOTH, .address = 0x1000, .size = 0 }, EINVAL },
        { { .flags = BOTH, .address = 0, .size = 0 }, EINVAL },
        { { .flags = BOTH, .address = UINT64_MAX, .size = 2 }, EINVAL },
        { { .flags = BOTH, .address = 1, .size = UINT64_MAX }, ENOSPC },
        { { .flags = BOTH, .address = 2, .size = UINT64_MAX }, EINVAL },
        { { .flags = BOTH, .size = VUS_MAX_WINDOW + 1 }, ENOSPC },
        { { .flags = BOTH, .offset = UINT64_MAX, .size = 1 }, EINVAL },
        { { .flags = BOTH, .offset = UINT64_MAX - 0xffe, .size = 0x1000 }, EINVAL },
        { { .flags = 0x10, .size = 0x1000 }, EINVAL },
        { { .flags = 0x80000003, .size = 0x1000 }, EINVAL },
        { { .flags = BOTH | VU_DMA_MMAP, .size = 0x1000 }, EINVAL },
        { { .flags = BOTH | VU_DMA_FILE_IO, .size = 0x1000 }, EINVAL },
        { { .flags = BOTH | VU_DMA_FILE_IO | VU_DMA_MMAP, .size = 0x1000 }, EINVAL },
        { { .argsz = 31, .flags = BOTH, .size = 0x1000 }, EINVAL },
    };
    struct core c;

    (void)state;
    core_begin(&c);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct answer a = core_dma_map(&c, bad[i].m, -1);

        assert_answer_error(&a, bad[i].error);
    }
    assert_int_equal(c.seen.registers, 0);
    core_end(&c);
}

static void both_access_modes_at_once_are_refused(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    core_begin(&c);
    a = map(&c, 0, PAGE, BOTH | VU_DMA_FILE_IO | VU_DMA_MMAP, c.memory);
    assert_answer_error(&a, EINVAL);
    a = map(&c, 0, PAGE, BOTH | VU_DMA_MMAP, c.memory);
    assert_answer_ok(&a, 0);
    core_end(&c);
}

static void two_descriptors_are_refused(void **state)
{
    struct vu_dma_map m = { .argsz = 32, .flags = BOTH, .size = PAGE };
    uint8_t body[VU_DMA_MAP_SIZE];
    struct core c;
    struct answer a;
    int fds[2];

    (void)state;
    core_begin(&c);
    fds[0] = fds[1] = c.memory;
    ENCODE(dma_map, &m, body);
    a = core_send_fds(&c, VU_DMA_MAP, body, sizeof(body), fds, 2);
    assert_answer_error(&a, EINVAL);
    core_end(&c);
}

static void a_file_that_is_too_short_is_refused(void **state)
{
    struct vu_dma_map m = { .flags = BOTH, .offset = PAGE, .size = PAGE + 1 };
    struct core c;
    struct answer a;
    int fd = core_memory(2 * PAGE);

    (void)state;
    core_begin(&c);
    a = core_dma_map(&c, m, fd);
    assert_answer_error(&a, EINVAL);
    m.size = PAGE;
    a = core_dma_map(&c, m, fd);
    assert_answer_ok(&a, 0);
    close(fd);
    core_end(&c);
}

static void a_descriptor_that_cannot_be_mapped_is_refused(void **state)
{
    struct core c;
    struct answer a;
    int pipe_fds[2];
    int fd = eventfd(0, EFD_CLOEXEC);
    int read_only;
    char path[64];

    (void)state;
    core_begin(&c);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", c.memory);
    read_only = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(read_only >= 0);
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    a = map(&c, 0, PAGE, BOTH, fd);
    assert_answer_error(&a, ENODEV);
    a = map(&c, 0, PAGE, BOTH, pipe_fds[0]);
    assert_answer_error(&a, EACCES);
    a = map(&c, 0, PAGE, BOTH, read_only);
    assert_answer_error(&a, EACCES);
    a = map(&c, 0, PAGE, BOTH | VU_DMA_FILE_IO, read_only);
    assert_answer_error(&a, EACCES);
    a = map(&c, 0, PAGE, READ, read_only);
    assert_answer_ok(&a, 0);
    close(fd);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    close(read_only);
    core_end(&c);
}

static void the_number_of_windows_is_limited(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    core_begin(&c);
    for (uint64_t i = 0; i < MAX_MAPS; i++)
        add(&c, i * PAGE, PAGE, BOTH);
    a = map(&c, MAX_MAPS * PAGE, PAGE, BOTH, -1);
    assert_answer_error(&a, EINVAL);
    a = unmap(&c, 0, PAGE);
    assert_answer_ok(&a, VU_DMA_UNMAP_SIZE);
    a = map(&c, MAX_MAPS * PAGE, PAGE, BOTH, -1);
    assert_answer_ok(&a, 0);
    core_end(&c);
}

static void the_clients_own_limit_holds_too(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    core_begin_with(&c, "{\"capabilities\":{\"max_dma_maps\":2}}");
    add(&c, 0, PAGE, BOTH);
    add(&c, PAGE, PAGE, BOTH);
    a = map(&c, 2 * PAGE, PAGE, BOTH, -1);
    assert_answer_error(&a, EINVAL);
    core_end(&c);
}

/* A device may lower its limit after a client was told of it. */
static void the_devices_limit_holds_at_any_time(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    core_begin(&c);
    add(&c, 0, PAGE, BOTH);
    assert_int_equal(vfu_setup_device_dma(c.ctx, 1, core_register, core_unregister), 0);
    a = map(&c, PAGE, PAGE, BOTH, -1);
    assert_answer_error(&a, EINVAL);
    core_end(&c);
}

/* A mapping needs no descriptor, a window for file I/O keeps one. */
static void windows_hold_no_more_descriptors_than_needed(void **state)
{
    struct core c;
    struct answer a;
    int before;

    (void)state;
    core_begin(&c);
    before = vu_test_open_fds();
    add(&c, 0, PAGE, BOTH);
    assert_int_equal(vu_test_open_fds(), before);
    a = map(&c, PAGE, PAGE, BOTH | VU_DMA_FILE_IO, c.memory);
    assert_answer_ok(&a, 0);
    assert_int_equal(vu_test_open_fds(), before + 1);
    a = unmap(&c, PAGE, PAGE);
    assert_answer_ok(&a, VU_DMA_UNMAP_SIZE);
    assert_int_equal(vu_test_open_fds(), before);
    core_end(&c);
}

static void a_failed_map_leaves_nothing_behind(void **state)
{
    struct core c;
    struct answer a;
    int before_fds, before_maps;

    (void)state;
    core_begin(&c);
    add(&c, 0x10000, PAGE, BOTH);
    before_fds = vu_test_open_fds();
    before_maps = mappings();
    a = map(&c, 0x10000, PAGE, BOTH, c.memory);
    assert_answer_error(&a, EEXIST);
    a = map(&c, 0x20000, 0x100000, BOTH, c.memory);
    assert_answer_error(&a, EINVAL);
    a = map(&c, 0x20000, PAGE, 0x40, c.memory);
    assert_answer_error(&a, EINVAL);
    for (unsigned i = 0; i < 2 * VUS_SLAB_WINDOWS; i++) {
        a = map(&c, 0x20000, 0x100000, BOTH, c.memory);
        assert_answer_error(&a, EINVAL);
    }
    assert_int_equal(c.ctx->dma.slabs.n, 1);    /* memory for windows is used again */
    assert_int_equal(vu_test_open_fds(), before_fds);
    assert_int_equal(mappings(), before_maps);
    core_end(&c);
}

/* ------------------------------------------------------------ DMA_UNMAP -- */

static void unmap_takes_exact_windows_only(void **state)
{
    static const struct { uint64_t address, size;
    } bad[] = {
        { 0x10000, 0x3000 },     { 0x10000, 0x5000 },
        { 0x11000, 0x3000 },     { 0x10001, 0x3fff },
        { 0, 0x20000 },          { 0x20000, 0x1000 },
        { 0x10000, 0 },          { 0, 0 },
        { 0x10000, UINT64_MAX }, { UINT64_MAX, UINT64_MAX },
    };
    struct core c;
    struct answer a;
    struct vu_dma_unmap m;

    (void)state;
    core_begin(&c);
    add(&c, 0x10000, 0x4000, BOTH);
    add(&c, 0x14000, 0x1000, BOTH);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        a = unmap(&c, bad[i].address, bad[i].size);
        assert_answer_error(&a, ENOENT);
    }
    assert_int_equal(c.seen.unregisters, 0);
    a = unmap(&c, 0x10000, 0x4000);
    assert_answer_ok(&a, VU_DMA_UNMAP_SIZE);
    DECODE(dma_unmap, &a, &m);
    assert_int_equal(m.argsz, VU_DMA_UNMAP_SIZE);
    assert_int_equal(m.flags, 0);
    assert_int_equal(m.address, 0x10000);
    assert_int_equal(m.size, 0x4000);
    assert_int_equal(c.seen.unregisters, 1);
    assert_int_equal(mappings(), 1);
    a = unmap(&c, 0x10000, 0x4000);
    assert_answer_error(&a, ENOENT);
    add(&c, 0x10000, 0x4000, BOTH);     /* the place is free again */
    core_end(&c);
}

static void unmap_all_goes_up_in_address(void **state)
{
    static const uint64_t addresses[] = { 0x5000, 0x1000, 0x9000, 0x3000, 0x7000 };
    struct vu_dma_unmap all = { .flags = VU_DMA_UNMAP_ALL };
    struct core c;
    struct answer a;

    (void)state;
    core_begin(&c);
    for (size_t i = 0; i < 5; i++)
        add(&c, addresses[i], PAGE, BOTH);
    a = core_dma_unmap(&c, all);
    assert_answer_ok(&a, VU_DMA_UNMAP_SIZE);
    assert_int_equal(c.seen.unregisters, 5);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(c.seen.unregistered[i], 0x1000 + 0x2000 * i);
    assert_int_equal(mappings(), 0);
    a = core_dma_unmap(&c, all);        /* nothing left is fine */
    assert_answer_ok(&a, VU_DMA_UNMAP_SIZE);
    core_end(&c);
}

static void unmap_refuses_bad_requests(void **state)
{
    static const struct vu_dma_unmap bad[] = {
        { .argsz = 23, .address = 0x1000, .size = 0x1000 },
        { .flags = VU_DMA_UNMAP_ALL, .address = 0x1000 },
        { .flags = VU_DMA_UNMAP_ALL, .size = 0x1000 },
        { .flags = 4, .address = 0x1000, .size = 0x1000 },
        { .flags = 0x80000000, .address = 0x1000, .size = 0x1000 },
    };
    static const uint8_t with_bitmap[VU_DMA_UNMAP_BITMAP_SIZE] = { 64, 0, 0, 0, 1 };
    struct core c;
    struct answer a;

    (void)state;
    core_begin(&c);
    add(&c, 0x1000, 0x1000, BOTH);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        a = core_dma_unmap(&c, bad[i]);
        assert_answer_error(&a, EINVAL);
    }
    a = core_send(&c, VU_DMA_UNMAP, with_bitmap, sizeof(with_bitmap));
    assert_answer_error(&a, EINVAL);
    assert_int_equal(c.seen.unregisters, 0);
    core_end(&c);
}

static void without_dma_commands_succeed_and_do_nothing(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    core_begin(&c);
    c.ctx->dma.enabled = false;
    a = map(&c, 0x1000, PAGE, BOTH, c.memory);
    assert_answer_ok(&a, 0);
    a = unmap(&c, 0x1000, PAGE);
    assert_answer_ok(&a, VU_DMA_UNMAP_SIZE);
    assert_int_equal(vfu_addr_to_sgl(c.ctx, (void *)0x1000, 1, NULL, 0, PROT_READ), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(c.seen.registers + c.seen.unregisters, 0);
    core_end(&c);
}

/* ------------------------------------------------------------ callbacks -- */

/* In its unregister callback a window is still there, mapped and found. */
static int found_in_callback;

static void look_up_in_callback(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    dma_sg_t sg;
    struct iovec iov;

    found_in_callback = vfu_addr_to_sgl(ctx, info->iova.iov_base, info->iova.iov_len, &sg,
                                        1, PROT_READ);
    assert_int_equal(vfu_sgl_get(ctx, &sg, &iov, 1, 0), 0);
    memset(info->vaddr, 1, info->iova.iov_len);
}

static void a_window_is_usable_in_its_unregister_callback(void **state)
{
    struct core c;
    dma_sg_t sg;
    struct answer a;

    (void)state;
    core_begin(&c);
    assert_int_equal(vfu_setup_device_dma(c.ctx, 4, NULL, look_up_in_callback), 0);
    add(&c, 0x1000, 0x1000, BOTH);
    a = unmap(&c, 0x1000, 0x1000);
    assert_answer_ok(&a, VU_DMA_UNMAP_SIZE);
    assert_int_equal(found_in_callback, 1);
    assert_int_equal(vfu_addr_to_sgl(c.ctx, (void *)0x1000, 1, &sg, 1, PROT_READ), -1);
    found_in_callback = 0;
    add(&c, 0x1000, 0x1000, BOTH);
    core_end(&c);       /* destroys with a window left */
    assert_int_equal(found_in_callback, 1);
}

/* Found with its memory also in the register callback: the device may begin there. */
static void a_window_is_usable_in_its_register_callback(void **state)
{
    struct core c;

    (void)state;
    core_begin(&c);
    found_in_callback = 0;
    assert_int_equal(vfu_setup_device_dma(c.ctx, 4, look_up_in_callback, NULL), 0);
    add(&c, 0x1000, 0x1000, BOTH);
    assert_int_equal(found_in_callback, 1);
    core_end(&c);
}

static vfu_dma_info_t *info_seen;
static vfu_dma_info_t info_then;

static void see_info(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    (void)ctx;
    info_seen = info;
    info_then = *info;
}

static void compare_info(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    (void)ctx;
    assert_ptr_equal(info, info_seen);
    assert_ptr_equal(info->iova.iov_base, info_then.iova.iov_base);
    assert_int_equal(info->iova.iov_len, info_then.iova.iov_len);
    assert_ptr_equal(info->vaddr, info_then.vaddr);
    assert_ptr_equal(info->mapping.iov_base, info_then.mapping.iov_base);
    assert_int_equal(info->mapping.iov_len, info_then.mapping.iov_len);
    assert_int_equal(info->page_size, info_then.page_size);
    assert_int_equal(info->prot, info_then.prot);
    info_seen = NULL;
}

static void the_info_of_a_window_neither_moves_nor_changes(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    core_begin(&c);
    assert_int_equal(vfu_setup_device_dma(c.ctx, MAX_MAPS, see_info, compare_info), 0);
    add(&c, 0x10000, 0x2000, READ);
    (vfu_setup_device_dma)(c.ctx, MAX_MAPS, NULL, NULL);
    for (uint64_t i = 1; i < MAX_MAPS; i++)
        add(&c, i * 0x1000, 0x1000, BOTH);
    for (uint64_t i = 1; i < MAX_MAPS; i++)
        unmap(&c, i * 0x1000, 0x1000);
    assert_int_equal(vfu_setup_device_dma(c.ctx, MAX_MAPS, NULL, compare_info), 0);
    a = unmap(&c, 0x10000, 0x2000);
    assert_answer_ok(&a, VU_DMA_UNMAP_SIZE);
    assert_null(info_seen);
    core_end(&c);
}

/* When one of several is told to go, those below have gone and those above have not. */
static void count_others(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    struct core *c = vfu_get_private(ctx);
    uint64_t here = (uintptr_t)info->iova.iov_base;
    dma_sg_t sg;

    for (uint64_t addr = 0x1000; addr <= 0x9000; addr += 0x2000)
        assert_int_equal(vfu_addr_to_sgl(ctx, (void *)(uintptr_t)addr, 1, &sg, 1, 0),
                         addr >= here ? 1 : -1);
    c->seen.unregistered[c->seen.unregisters++] = here;
}

static void windows_go_one_after_another_in_ascending_order(void **state)
{
    static const uint64_t addresses[] = { 0x5000, 0x1000, 0x9000, 0x3000, 0x7000 };
    struct vu_dma_unmap all = { .flags = VU_DMA_UNMAP_ALL };
    struct core c;

    (void)state;
    core_begin(&c);
    assert_int_equal(vfu_setup_device_dma(c.ctx, MAX_MAPS, NULL, count_others), 0);
    for (int round = 0; round < 3; round++) {
        c.seen.unregisters = 0;
        for (size_t i = 0; i < 5; i++)
            add(&c, addresses[i], PAGE, BOTH);
        if (round == 0)
            core_dma_unmap(&c, all);
        else if (round == 1)
            vus_ctx_reset(c.ctx);       /* the client has left */
        else
            vus_dma_drop_all(c.ctx);
        assert_int_equal(c.seen.unregisters, 5);
        for (size_t i = 0; i < 5; i++)
            assert_int_equal(c.seen.unregistered[i], 0x1000 + 0x2000 * i);
        if (round == 1)
            core_version(&c, 0, 1, NULL);
    }
    core_end(&c);
}

/* As the dirty log does, on the context's thread. */
static void windows_are_walked_in_ascending_order(void **state)
{
    static const uint64_t first[] = { 0, 0x3000, 0x4000, 0x9000, UINT64_MAX - 0xfff };
    struct vus_window *w;
    struct core c;

    (void)state;
    core_begin(&c);
    assert_null(vus_dma_from(&c.ctx->dma, 0));
    for (size_t i = 5; i-- > 0;)
        map(&c, first[i], 0x1000, BOTH, -1);
    w = vus_dma_from(&c.ctx->dma, 0);
    for (size_t i = 0; i < 5; i++, w = vus_dma_next(&c.ctx->dma, w)) {
        assert_non_null(w);
        assert_true(vus_window_first(w) == first[i]);
        assert_true(vus_window_last(w) == first[i] + 0xfff);
    }
    assert_null(w);
    assert_true(vus_window_first(vus_dma_from(&c.ctx->dma, 0x3fff)) == 0x3000);
    assert_true(vus_window_first(vus_dma_from(&c.ctx->dma, 0x5000)) == 0x9000);
    assert_true(vus_window_first(vus_dma_from(&c.ctx->dma, UINT64_MAX)) == first[4]);
    unmap(&c, first[4], 0x1000);
    assert_null(vus_dma_from(&c.ctx->dma, 0xa000));
    core_end(&c);
}

/* A program may change its mind, also with windows in place. */
static void a_second_setup_replaces_the_first(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    core_begin(&c);
    add(&c, 0x10000, PAGE, BOTH);
    assert_int_equal(c.seen.registers, 1);
    assert_int_equal(vfu_setup_device_dma(c.ctx, NULL, core_unregister), 0);
    assert_int_equal(c.ctx->dma.max, LIBVFIO_USER_MAX_DMA_REGIONS);
    add(&c, 0x20000, PAGE, BOTH);
    assert_int_equal(c.seen.registers, 1);
    assert_int_equal(vfu_setup_device_dma(c.ctx, 0, core_register, NULL), 0);
    a = map(&c, 0x30000, PAGE, BOTH, -1);
    assert_answer_error(&a, EINVAL);
    a = unmap(&c, 0x10000, PAGE);
    assert_answer_ok(&a, VU_DMA_UNMAP_SIZE);
    assert_int_equal(c.seen.unregisters, 0);
    assert_int_equal(vfu_setup_device_dma(c.ctx, 8, core_register, core_unregister), 0);
    a = unmap(&c, 0x20000, PAGE);
    assert_answer_ok(&a, VU_DMA_UNMAP_SIZE);
    assert_int_equal(c.seen.unregisters, 1);
    core_end(&c);
}

/* --------------------------------------------------- DMA_UNMAP with bitmap -- */

static struct vu_dma_unmap with_bitmap(uint64_t address, uint64_t size)
{
    return (struct vu_dma_unmap){ .address = address, .size = size, .pgsize = PAGE,
                                  .bitmap_size = 8 * words_of(size, PAGE) };
}

static void unmap_with_bitmap_needs_a_window_and_a_log(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    add(&c, 0x10000, 4 * PAGE, BOTH);
    a = unmap_with_bitmap(&c, with_bitmap(0x10000, 4 * PAGE));
    assert_answer_error(&a, EINVAL);        /* logging is off */
    start(&c, PAGE);
    a = unmap_with_bitmap(&c, with_bitmap(0x10000, 3 * PAGE));
    assert_answer_error(&a, ENOENT);
    a = unmap_with_bitmap(&c, with_bitmap(0x20000, 4 * PAGE));
    assert_answer_error(&a, ENOENT);
    a = unmap_with_bitmap(&c, (struct vu_dma_unmap){ .flags = VU_DMA_UNMAP_ALL });
    assert_answer_error(&a, EINVAL);
    assert_int_equal(c.seen.unregisters, 0);
    a = unmap_with_bitmap(&c, with_bitmap(0x10000, 4 * PAGE));
    assert_answer_ok(&a, VU_DMA_UNMAP_BITMAP_SIZE + 8);
    assert_int_equal(c.seen.unregisters, 1);
    a = unmap_with_bitmap(&c, with_bitmap(0x10000, 4 * PAGE));
    assert_answer_error(&a, ENOENT);
    core_end(&c);
}

/* A device that finishes its writes only when it is told. */
static void write_last_page(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    device_uses(ctx, (uintptr_t)info->iova.iov_base + info->iova.iov_len - 1, 1,
                PROT_WRITE);
}

static void the_bitmap_has_what_the_unregister_callback_wrote(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    assert_int_equal(vfu_setup_device_dma(c.ctx, 8, NULL, write_last_page), 0);
    add(&c, 0x10000, 8 * PAGE, BOTH);
    start(&c, PAGE);
    device_writes(&c, 0x11000, 1);
    a = unmap_with_bitmap(&c, with_bitmap(0x10000, 8 * PAGE));
    assert_answer_ok(&a, VU_DMA_UNMAP_BITMAP_SIZE + 8);
    assert_pages_at(&a, VU_DMA_UNMAP_BITMAP_SIZE, 2, (const uint64_t[]){ 1, 7 });
    core_end(&c);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(a_window_with_a_descriptor_is_mapped),
    VU_FD_TEST(a_window_without_descriptor_is_not_mapped),
    VU_FD_TEST(an_unaligned_window_is_exact),
    VU_FD_TEST(pages_permit_exactly_what_the_client_did),
    VU_FD_TEST(overlaps_are_refused_with_eexist),
    VU_FD_TEST(windows_may_end_at_the_last_address),
    VU_FD_TEST(malformed_windows_are_refused),
    VU_FD_TEST(both_access_modes_at_once_are_refused),
    VU_FD_TEST(two_descriptors_are_refused),
    VU_FD_TEST(a_file_that_is_too_short_is_refused),
    VU_FD_TEST(a_descriptor_that_cannot_be_mapped_is_refused),
    VU_FD_TEST(the_number_of_windows_is_limited),
    VU_FD_TEST(the_clients_own_limit_holds_too),
    VU_FD_TEST(the_devices_limit_holds_at_any_time),
    VU_FD_TEST(windows_hold_no_more_descriptors_than_needed),
    VU_FD_TEST(a_failed_map_leaves_nothing_behind),
    VU_FD_TEST(unmap_takes_exact_windows_only),
    VU_FD_TEST(unmap_all_goes_up_in_address),
    VU_FD_TEST(unmap_refuses_bad_requests),
    VU_FD_TEST(without_dma_commands_succeed_and_do_nothing),
    VU_FD_TEST(a_window_is_usable_in_its_unregister_callback),
    VU_FD_TEST(a_window_is_usable_in_its_register_callback),
    VU_FD_TEST(the_info_of_a_window_neither_moves_nor_changes),
    VU_FD_TEST(windows_go_one_after_another_in_ascending_order),
    VU_FD_TEST(windows_are_walked_in_ascending_order),
    VU_FD_TEST(a_second_setup_replaces_the_first),
    VU_FD_TEST(unmap_with_bitmap_needs_a_window_and_a_log),
    VU_FD_TEST(the_bitmap_has_what_the_unregister_callback_wrote),
};

VU_TEST_MAIN(tests)
