/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reports of the dirty log: REPORT and DMA_UNMAP with bitmap, as a client sees them.
 */
#include "libserver/tests/dirty.h"

/* -------------------------------------------------------------- REPORT -- */

static void report_repeats_the_request_and_has_whole_words(void **state)
{
    static const uint64_t pages[] = { 1, 2, 63, 64, 65, 128, 129, 1000 };
    struct core c;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 1024 * PAGE);
    start(&c, PAGE);
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
        report(&c, RAM, pages[i] * PAGE, PAGE);     /* asserts all of it */
    report(&c, RAM, 64 * PAGE + 1, PAGE);
    core_end(&c);
}

static void report_has_a_bit_for_each_page_written(void **state)
{
    static const uint64_t pages[] = { 0, 1, 31, 32, 63, 64, 127, 128, 500, 1023 };
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 1024 * PAGE);
    start(&c, PAGE);
    for (size_t i = 0; i < 10; i++)
        device_writes(&c, RAM + pages[i] * PAGE + (i % 2 != 0 ? PAGE - 1 : 0), 1);
    a = report(&c, RAM, 1024 * PAGE, PAGE);
    assert_pages(&a, 10, pages);
    core_end(&c);
}

static void a_write_of_many_pages_marks_all_of_them(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 1024 * PAGE);
    start(&c, PAGE);
    device_writes(&c, RAM + 62 * PAGE + 4095, 2 + 131 * PAGE);  /* 62 to 194 */
    a = report(&c, RAM, 1024 * PAGE, PAGE);
    for (uint64_t i = 0; i < 1024; i++)
        assert_int_equal(bit(a.body + 32, i), i >= 62 && i <= 194);
    core_end(&c);
}

static void bits_behind_the_range_are_zero(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 1024 * PAGE);
    start(&c, PAGE);
    device_writes(&c, RAM, 1024 * PAGE);
    a = report(&c, RAM, 70 * PAGE, PAGE);
    for (uint64_t i = 0; i < 128; i++)
        assert_int_equal(bit(a.body + 32, i), i < 70);
    a = report(&c, RAM + 100 * PAGE, 3 * PAGE, PAGE);
    assert_pages(&a, PAGES(0, 1, 2));
    core_end(&c);
}

static void pages_that_are_only_read_are_not_reported(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 64 * PAGE);
    start(&c, PAGE);
    device_uses(c.ctx, RAM, 64 * PAGE, PROT_READ);
    a = report(&c, RAM, 64 * PAGE, PAGE);
    assert_clean(&a);
    core_end(&c);
}

static void report_clears_what_it_reports(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 256 * PAGE);
    start(&c, PAGE);
    device_writes(&c, RAM, 256 * PAGE);
    report(&c, RAM + 10 * PAGE, 230 * PAGE, PAGE);
    a = report(&c, RAM, 256 * PAGE, PAGE);
    for (uint64_t i = 0; i < 256; i++)
        assert_int_equal(bit(a.body + 32, i), i < 10 || i >= 240);
    a = report(&c, RAM, 256 * PAGE, PAGE);
    assert_clean(&a);
    device_writes(&c, RAM + 7 * PAGE, 1);
    a = report(&c, RAM, 256 * PAGE, PAGE);
    assert_pages(&a, PAGES(7));
    core_end(&c);
}

/* Two pages of the log, of which the report has one and a half. */
static void a_page_that_is_reported_in_part_stays_dirty(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 64 * PAGE);
    start(&c, PAGE);
    device_writes(&c, RAM, 2 * PAGE);
    a = report(&c, RAM, PAGE + PAGE / 2, PAGE);
    assert_pages(&a, PAGES(0, 1));
    a = report(&c, RAM + 1, PAGE, PAGE);
    assert_pages(&a, PAGES(0));     /* the part of page 1 that is in page 0 of this */
    a = report(&c, RAM + PAGE + 1, PAGE, PAGE / 2);
    assert_pages(&a, PAGES(0, 1));
    a = report(&c, RAM, 64 * PAGE, PAGE);
    assert_pages(&a, PAGES(1));
    a = report(&c, RAM, 64 * PAGE, PAGE);
    assert_clean(&a);
    core_end(&c);
}

static void report_refuses_what_has_no_bitmap(void **state)
{
    static const struct { uint64_t iova, length, page_size; } bad[] = {
        { RAM, 64 * PAGE, 0 }, { RAM, 64 * PAGE, 3 }, { RAM, 64 * PAGE, 4097 },
        { RAM, 64 * PAGE, UINT64_MAX }, { RAM, 0, PAGE },
        { UINT64_MAX - 4095, 8192, PAGE }, { RAM, UINT64_MAX, PAGE },
        { 2, UINT64_MAX, (uint64_t)1 << 63 },
        { 0, UINT64_MAX, 1 }, { 0, (uint64_t)1 << 63, 1 }, { 0, 256 * MB + 1, 1 },
    };
    uint8_t short_data[VU_DMA_REPORT_SIZE] = { 0 };
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 64 * PAGE);
    start(&c, PAGE);
    device_writes(&c, RAM, 1);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        a = try_report(&c, bad[i].iova, bad[i].length, bad[i].page_size);
        assert_answer_error(&a, EINVAL);
    }
    for (size_t len = 0; len < sizeof(short_data); len++) {
        a = feature(&c, VU_FEATURE_GET | VU_FEATURE_DMA_LOGGING_REPORT, 4096, short_data,
                    len);
        assert_answer_error(&a, EINVAL);
    }
    assert_true(c.out.room < 1 * MB);   /* nothing of that size was allocated */
    a = report(&c, RAM, 64 * PAGE, PAGE);
    assert_pages(&a, PAGES(0));
    core_end(&c);
}

/* Any power of two does, also one that is larger than all there is. */
static void report_takes_any_power_of_two(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 64 * PAGE);
    start(&c, PAGE);
    for (unsigned shift = 0; shift < 64; shift++) {
        uint64_t page = (uint64_t)1 << shift;
        uint64_t from = (uint64_t)3 * PAGE >> shift;
        uint64_t to = ((uint64_t)4 * PAGE - 1) >> shift;

        device_writes(&c, RAM + 3 * PAGE + 5, 1);
        a = report(&c, RAM, 64 * PAGE, page);
        for (uint64_t i = 0; i < words_of(64 * PAGE, page) * 64; i++)
            if (bit(a.body + 32, i) != (i >= from && i <= to))
                fail_msg("page size %" PRIu64 ", page %" PRIu64, page, i);
    }
    core_end(&c);
}

static void argsz_too_small_fails_and_loses_nothing(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 1000 * PAGE);
    start(&c, PAGE);
    device_writes(&c, RAM, 1);
    a = report_argsz(&c, RAM, 1000 * PAGE, PAGE, 32);
    assert_answer_error(&a, EINVAL);
    a = report_argsz(&c, RAM, 1000 * PAGE, PAGE, 32 + 127);
    assert_answer_error(&a, EINVAL);
    a = report_argsz(&c, RAM, 1000 * PAGE, PAGE, 32 + 128);
    assert_report(&a, RAM, 1000 * PAGE, PAGE);
    assert_pages(&a, PAGES(0));
    core_end(&c);
}

static void unmapped_bytes_fail_and_nothing_is_cleared(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 4 * PAGE);
    map_ram(&c, RAM + 5 * PAGE, 4 * PAGE);
    start(&c, PAGE);
    device_writes(&c, RAM, 4 * PAGE);
    a = try_report(&c, 0, PAGE, PAGE);
    assert_answer_error(&a, ENOENT);
    a = try_report(&c, RAM - 1, PAGE, PAGE);
    assert_answer_error(&a, ENOENT);
    a = try_report(&c, RAM, 4 * PAGE + 1, PAGE);
    assert_answer_error(&a, ENOENT);
    a = try_report(&c, RAM, 9 * PAGE, PAGE);
    assert_answer_error(&a, ENOENT);
    a = try_report(&c, RAM + 8 * PAGE, 2 * PAGE, PAGE);
    assert_answer_error(&a, ENOENT);
    a = try_report(&c, RAM + 9 * PAGE, 1, PAGE);
    assert_answer_error(&a, ENOENT);
    a = report(&c, RAM, 4 * PAGE, PAGE);
    assert_pages(&a, PAGES(0, 1, 2, 3));
    core_end(&c);
}

static void a_report_covers_several_windows(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 3 * PAGE);
    map_ram(&c, RAM + 3 * PAGE, 65 * PAGE);
    map_ram(&c, RAM + 68 * PAGE, PAGE);
    start(&c, PAGE);
    device_writes(&c, RAM + 2 * PAGE, 2 * PAGE);
    device_writes(&c, RAM + 66 * PAGE, 3 * PAGE);
    a = report(&c, RAM + PAGE, 68 * PAGE, PAGE);
    assert_pages(&a, PAGES(1, 2, 65, 66, 67));
    a = report(&c, RAM, 69 * PAGE, PAGE);
    assert_clean(&a);
    core_end(&c);
}

/* A deployed library loops forever from 256 pages up. */
static void finer_pages_repeat_the_bits_of_512_pages(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 2 * MB);
    start(&c, 2 * PAGE);
    device_writes(&c, RAM, 1);
    device_writes(&c, RAM + 301 * PAGE, 1);
    device_writes(&c, RAM + 511 * PAGE, 1);
    a = report(&c, RAM, 2 * MB, PAGE);
    assert_pages(&a, PAGES(0, 1, 300, 301, 510, 511));
    a = report(&c, RAM, 2 * MB, PAGE);
    assert_clean(&a);
    core_end(&c);
}

/* A deployed library reports bit 500 as 244. */
static void coarser_pages_join_the_bits_of_2048_pages(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 8 * MB);
    start(&c, PAGE);
    device_writes(&c, RAM + 1001 * PAGE, 1);
    a = report(&c, RAM, 8 * MB, 2 * PAGE);
    assert_pages(&a, PAGES(500));
    device_writes(&c, RAM + 1777 * PAGE, 1);
    a = report(&c, RAM, 8 * MB, 2 * PAGE);
    assert_pages(&a, PAGES(888));
    device_writes(&c, RAM + 1777 * PAGE, 2 * PAGE);
    a = report(&c, RAM, 8 * MB, 256 * KB);
    assert_pages(&a, PAGES(1777 / 64));
    core_end(&c);
}

/* Both windows lie across the report's pages. */
static void windows_that_share_a_page_of_the_report_share_its_bit(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, PAGE + 100);
    map_ram(&c, RAM + PAGE + 100, 2 * PAGE);
    start(&c, PAGE);
    device_writes(&c, RAM + PAGE + 99, 1);
    a = report(&c, RAM, 3 * PAGE + 100, PAGE);
    assert_pages(&a, PAGES(1));
    device_writes(&c, RAM + PAGE + 100, 1);     /* a page of the log, from there on */
    a = report(&c, RAM, 3 * PAGE + 100, PAGE);
    assert_pages(&a, PAGES(1, 2));
    core_end(&c);
}

static void windows_mapped_later_are_logged(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    start(&c, PAGE);
    map_ram(&c, RAM, 64 * PAGE);
    device_writes(&c, RAM + 9 * PAGE, 1);
    a = report(&c, RAM, 64 * PAGE, PAGE);
    assert_pages(&a, PAGES(9));
    device_writes(&c, RAM + 9 * PAGE, 1);
    unmap_ram(&c, RAM, 64 * PAGE);
    map_ram(&c, RAM, 64 * PAGE);
    a = report(&c, RAM, 64 * PAGE, PAGE);
    assert_clean(&a);       /* another window, other memory */
    core_end(&c);
}

/* What the client writes for the device it logs itself. */
static void windows_without_memory_are_clean(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    a = core_dma_map(&c, (struct vu_dma_map){ .flags = DATA_RW, .address = RAM,
                     .size = 64 * PAGE }, -1);
    assert_answer_ok(&a, 0);
    map_ram(&c, RAM + 64 * PAGE, 2 * PAGE);
    start(&c, PAGE);
    assert_int_equal(c.ctx->dirty.words, 1);
    device_writes(&c, RAM, 66 * PAGE);
    a = report(&c, RAM, 66 * PAGE, PAGE);
    assert_pages(&a, PAGES(64, 65));
    core_end(&c);
}

static void windows_that_cannot_be_written_are_clean(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    a = try_map(&c, RAM, 64 * PAGE, VU_DMA_READABLE);
    assert_answer_ok(&a, 0);
    start(&c, PAGE);
    assert_int_equal(c.ctx->dirty.words, 0);
    a = report(&c, RAM, 64 * PAGE, PAGE);
    assert_clean(&a);
    core_end(&c);
}

static void windows_for_file_io_are_logged(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    a = try_map(&c, RAM, 64 * PAGE, DATA_RW | VU_DMA_FILE_IO);
    assert_answer_ok(&a, 0);
    start(&c, PAGE);
    device_writes(&c, RAM + 3 * PAGE, PAGE);
    a = report(&c, RAM, 64 * PAGE, PAGE);
    assert_pages(&a, PAGES(3));
    core_end(&c);
}

/* Up to the last address there is. */
static void a_window_at_the_end_of_the_address_space_is_logged(void **state)
{
    const uint64_t base = UINT64_MAX - (64 * PAGE - 1);
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, base, 64 * PAGE);
    start(&c, PAGE);
    device_writes(&c, UINT64_MAX, 1);
    a = report(&c, base, 64 * PAGE, PAGE);
    assert_pages(&a, PAGES(63));
    device_writes(&c, UINT64_MAX, 1);
    a = report(&c, base + 62 * PAGE, 2 * PAGE, PAGE / 2);
    assert_pages(&a, PAGES(2, 3));
    core_end(&c);
}

/* --------------------------------------------------------------- unmap -- */

static void unmap_with_bitmap_returns_what_was_dirty(void **state)
{
    struct vu_dma_unmap m = { .address = RAM, .size = 100 * PAGE, .pgsize = PAGE,
                              .bitmap_size = 16 };
    struct vu_dma_unmap back;
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 100 * PAGE);
    start(&c, PAGE);
    device_writes(&c, RAM + 63 * PAGE, 2 * PAGE);
    a = unmap_with_bitmap(&c, m);
    assert_answer_ok(&a, 24 + 16 + 16);
    DECODE(dma_unmap_reply, &a, &back);
    assert_int_equal(back.argsz, 56);
    assert_int_equal(back.flags, VU_DMA_UNMAP_GET_DIRTY_BITMAP);
    assert_true(back.address == RAM && back.size == 100 * PAGE);
    assert_true(back.pgsize == PAGE && back.bitmap_size == 16);
    assert_pages_at(&a, 40, PAGES(63, 64));
    assert_int_equal(c.seen.unregisters, 1);
    a = try_report(&c, RAM, PAGE, PAGE);
    assert_answer_error(&a, ENOENT);
    assert_int_equal(c.ctx->dirty.words, 0);
    core_end(&c);
}

static void unmap_takes_other_page_sizes_too(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 100 * PAGE);
    map_ram(&c, 4 * RAM, 64 * PAGE);
    start(&c, PAGE);
    device_writes(&c, RAM + 99 * PAGE, 1);
    device_writes(&c, 4 * RAM + PAGE, 1);
    a = unmap_with_bitmap(&c, (struct vu_dma_unmap){ .address = RAM, .size = 100 * PAGE,
                          .pgsize = GB, .bitmap_size = 8 });
    assert_answer_ok(&a, 48);
    assert_pages_at(&a, 40, PAGES(0));
    a = unmap_with_bitmap(&c, (struct vu_dma_unmap){ .address = 4 * RAM,
                          .size = 64 * PAGE, .pgsize = 2048, .bitmap_size = 16 });
    assert_answer_ok(&a, 56);
    assert_pages_at(&a, 40, PAGES(2, 3));
    core_end(&c);
}

/* Gives its pointers back only when it is told that the window goes. */
static void late_unregister(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    device_uses(ctx, (uintptr_t)info->iova.iov_base + 70 * PAGE, 1, PROT_WRITE);
    core_unregister(ctx, info);
}

static void unmap_counts_what_is_written_until_the_window_goes(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    assert_int_equal(vfu_setup_device_dma(c.ctx, MAX_MAPS, core_register,
                                          late_unregister), 0);
    map_ram(&c, RAM, 100 * PAGE);
    start(&c, PAGE);
    device_writes(&c, RAM, 1);
    a = unmap_with_bitmap(&c, (struct vu_dma_unmap){ .address = RAM, .size = 100 * PAGE,
                          .pgsize = PAGE, .bitmap_size = 16 });
    assert_answer_ok(&a, 56);
    assert_pages_at(&a, 40, PAGES(0, 70));
    assert_int_equal(c.seen.unregisters, 1);
    core_end(&c);
}

static void unmap_with_bitmap_refused_keeps_window_and_log(void **state)
{
    static const struct vu_dma_unmap bad[] = {
        { .pgsize = 0, .bitmap_size = 16 }, { .pgsize = 3000, .bitmap_size = 16 },
        { .pgsize = PAGE, .bitmap_size = 8 }, { .pgsize = PAGE, .bitmap_size = 24 },
        { .pgsize = PAGE, .bitmap_size = 0 }, { .pgsize = PAGE, .bitmap_size = 13 },
        { .pgsize = PAGE, .bitmap_size = 16, .argsz = 55 },
        { .pgsize = PAGE, .bitmap_size = 16, .argsz = 24 },
        { .pgsize = PAGE, .bitmap_size = UINT64_MAX - 7, .argsz = UINT32_MAX },
    };
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 100 * PAGE);
    start(&c, PAGE);
    device_writes(&c, RAM, 1);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct vu_dma_unmap m = bad[i];

        m.address = RAM;
        m.size = 100 * PAGE;
        a = unmap_with_bitmap(&c, m);
        assert_answer_error(&a, EINVAL);
    }
    a = unmap_with_bitmap(&c, (struct vu_dma_unmap){ .address = RAM, .size = 99 * PAGE,
                          .pgsize = PAGE, .bitmap_size = 16 });
    assert_answer_error(&a, ENOENT);
    assert_int_equal(c.seen.unregisters, 0);
    a = report(&c, RAM, 100 * PAGE, PAGE);
    assert_pages(&a, PAGES(0));
    core_end(&c);
}

static void unmap_with_bitmap_needs_a_log(void **state)
{
    struct vu_dma_unmap m = { .address = RAM, .size = 100 * PAGE, .pgsize = PAGE,
                              .bitmap_size = 16 };
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 100 * PAGE);
    a = unmap_with_bitmap(&c, m);
    assert_answer_error(&a, EINVAL);
    assert_int_equal(c.seen.unregisters, 0);
    unmap_ram(&c, RAM, 100 * PAGE);
    core_end(&c);
}

static void unmap_of_a_window_without_memory_has_a_clean_bitmap(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    a = core_dma_map(&c, (struct vu_dma_map){ .flags = DATA_RW, .address = RAM,
                     .size = 100 * PAGE }, -1);
    assert_answer_ok(&a, 0);
    start(&c, PAGE);
    a = unmap_with_bitmap(&c, (struct vu_dma_unmap){ .address = RAM, .size = 100 * PAGE,
                          .pgsize = PAGE, .bitmap_size = 16 });
    assert_answer_ok(&a, 56);
    assert_pages_at(&a, 40, 0, NULL);
    core_end(&c);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(report_repeats_the_request_and_has_whole_words),
    VU_FD_TEST(report_has_a_bit_for_each_page_written),
    VU_FD_TEST(a_write_of_many_pages_marks_all_of_them),
    VU_FD_TEST(bits_behind_the_range_are_zero),
    VU_FD_TEST(pages_that_are_only_read_are_not_reported),
    VU_FD_TEST(report_clears_what_it_reports),
    VU_FD_TEST(a_page_that_is_reported_in_part_stays_dirty),
    VU_FD_TEST(report_refuses_what_has_no_bitmap),
    VU_FD_TEST(report_takes_any_power_of_two),
    VU_FD_TEST(argsz_too_small_fails_and_loses_nothing),
    VU_FD_TEST(unmapped_bytes_fail_and_nothing_is_cleared),
    VU_FD_TEST(a_report_covers_several_windows),
    VU_FD_TEST(finer_pages_repeat_the_bits_of_512_pages),
    VU_FD_TEST(coarser_pages_join_the_bits_of_2048_pages),
    VU_FD_TEST(windows_that_share_a_page_of_the_report_share_its_bit),
    VU_FD_TEST(windows_mapped_later_are_logged),
    VU_FD_TEST(windows_without_memory_are_clean),
    VU_FD_TEST(windows_that_cannot_be_written_are_clean),
    VU_FD_TEST(windows_for_file_io_are_logged),
    VU_FD_TEST(a_window_at_the_end_of_the_address_space_is_logged),
    VU_FD_TEST(unmap_with_bitmap_returns_what_was_dirty),
    VU_FD_TEST(unmap_takes_other_page_sizes_too),
    VU_FD_TEST(unmap_counts_what_is_written_until_the_window_goes),
    VU_FD_TEST(unmap_with_bitmap_refused_keeps_window_and_log),
    VU_FD_TEST(unmap_with_bitmap_needs_a_log),
    VU_FD_TEST(unmap_of_a_window_without_memory_has_a_clean_bitmap),
};

VU_TEST_MAIN(tests)
