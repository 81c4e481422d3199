/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dirty log as a client and a device see it: START, STOP, ranges, limits. See
 * test_dirty_report.c for reports; test_dirty_random.c for the comparison with an
 * oracle, threads and failing allocations.
 */
#include "libserver/tests/dirty.h"

/* ------------------------------------------------------ START and STOP -- */

static void start_answers_with_the_request_and_the_page_size_chosen(void **state)
{
    static const struct { uint64_t asked, chosen; } sizes[] = {
        { 4096, 4096 }, { 8192, 8192 }, { 2 * MB, 2 * MB }, { GB, GB },
        { 1, 4096 }, { 3000, 4096 }, { 4097, 4096 }, { 12288, 8192 },
        { (uint64_t)1 << 63, GB }, { UINT64_MAX, GB },
    };
    struct core c;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 64 * PAGE);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct answer a = try_start(&c, sizes[i].asked, NULL, 0);

        assert_answer_ok(&a, VU_FEATURE_SIZE + VU_DMA_LOGGING_SIZE);
        assert_int_equal(chosen(&a), sizes[i].chosen);
        stop(&c);
    }
    core_end(&c);
}

static void start_refuses_page_size_0(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    a = try_start(&c, 0, NULL, 0);
    assert_answer_error(&a, EINVAL);
    a = try_report(&c, RAM, PAGE, PAGE);
    assert_answer_error(&a, EINVAL);
    core_end(&c);
}

static void start_again_with_the_same_page_size_keeps_the_log(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 64 * PAGE);
    start(&c, PAGE);
    device_writes(&c, RAM + 5 * PAGE, 1);
    start(&c, PAGE);
    a = report(&c, RAM, 64 * PAGE, PAGE);
    assert_pages(&a, PAGES(5));
    core_end(&c);
}

static void start_with_another_page_size_fails_and_keeps_the_log(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 64 * PAGE);
    start(&c, PAGE);
    device_writes(&c, RAM + 5 * PAGE, 1);
    a = try_start(&c, 2 * PAGE, NULL, 0);
    assert_answer_error(&a, EINVAL);
    a = report(&c, RAM, 64 * PAGE, PAGE);
    assert_pages(&a, PAGES(5));
    core_end(&c);
}

static void start_again_compares_ranges_as_sets_of_bytes(void **state)
{
    const struct vu_dma_logging_range two[] = { { RAM + PAGE, PAGE }, { RAM, PAGE } };
    const struct vu_dma_logging_range one[] = { { RAM, 2 * PAGE } };
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 64 * PAGE);
    start_ranges(&c, PAGE, two, 2);
    device_writes(&c, RAM, 1);
    start_ranges(&c, PAGE, one, 1);
    a = try_start(&c, PAGE, two, 1);
    assert_answer_error(&a, EINVAL);
    a = try_start(&c, PAGE, NULL, 0);
    assert_answer_error(&a, EINVAL);
    a = report(&c, RAM, 64 * PAGE, PAGE);
    assert_pages(&a, PAGES(0));
    core_end(&c);
}

/* The copy of the body ends where the message does, so ASan sees what is read behind. */
static void start_refuses_data_that_are_shorter_than_its_ranges(void **state)
{
    static const uint32_t counts[] = { 1, 1000, 0x10000000, 0xffffffff };
    uint8_t data[VU_DMA_LOGGING_SIZE + VU_DMA_LOGGING_RANGE_SIZE] = { 0 };
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    data[1] = PAGE >> 8;
    for (size_t len = 0; len < VU_DMA_LOGGING_SIZE; len++) {
        a = feature_set(&c, VU_FEATURE_DMA_LOGGING_START, data, len);
        assert_answer_error(&a, EINVAL);
    }
    for (size_t i = 0; i < 4; i++) {
        memcpy(data + 8, &counts[i], 4);
        a = feature_set(&c, VU_FEATURE_DMA_LOGGING_START, data, sizeof(data) - 1);
        assert_answer_error(&a, EINVAL);
    }
    a = try_report(&c, RAM, PAGE, PAGE);
    assert_answer_error(&a, EINVAL);
    core_end(&c);
}

static void start_refuses_ranges_that_are_empty_or_wrap(void **state)
{
    static const struct vu_dma_logging_range bad[] = {
        { RAM, 0 }, { 0, 0 }, { UINT64_MAX, 2 }, { UINT64_MAX - 4095, 8192 },
        { 2, UINT64_MAX },
    };
    struct vu_dma_logging_range ranges[2] = { { RAM, PAGE } };
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 64 * PAGE);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ranges[1] = bad[i];
        a = try_start(&c, PAGE, ranges, 2);
        assert_answer_error(&a, EINVAL);
        assert_false(vus_dirty_on(c.ctx));
    }
    ranges[1] = (struct vu_dma_logging_range){ 1, UINT64_MAX };
    start_ranges(&c, PAGE, ranges, 2);
    core_end(&c);
}

static void start_takes_at_most_4096_ranges(void **state)
{
    struct vu_dma_logging_range *ranges = calloc(4097, sizeof(*ranges));
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 64 * PAGE);
    for (uint64_t i = 0; i < 4097; i++)     /* none touches another */
        ranges[i] = (struct vu_dma_logging_range){ RAM + (4096 - i) * 2 * PAGE, 16 };
    a = try_start(&c, PAGE, ranges, 4097);
    assert_answer_error(&a, E2BIG);
    start_ranges(&c, PAGE, ranges, 4096);
    device_writes(&c, RAM, 64 * PAGE);
    a = report(&c, RAM, 4 * PAGE, PAGE);
    assert_pages(&a, PAGES(2));     /* the range at RAM was the one too many */
    free(ranges);
    core_end(&c);
}

static void set_refuses_argsz_below_the_request(void **state)
{
    const uint64_t data[2] = { PAGE, 0 };
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    a = feature(&c, VU_FEATURE_SET | VU_FEATURE_DMA_LOGGING_START, 23, data, 16);
    assert_answer_error(&a, EINVAL);
    assert_false(vus_dirty_on(c.ctx));
    start(&c, PAGE);
    a = feature(&c, VU_FEATURE_SET | VU_FEATURE_DMA_LOGGING_STOP, 7, NULL, 0);
    assert_answer_error(&a, EINVAL);
    assert_true(vus_dirty_on(c.ctx));
    core_end(&c);
}

/* Trailing bytes come back with the rest. */
static void start_and_stop_echo_all_of_the_request(void **state)
{
    uint64_t data[5] = { 5000, 0, 0x1122334455667788, 7, 9 };
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    a = feature_set(&c, VU_FEATURE_DMA_LOGGING_START, data, sizeof(data));
    assert_answer_ok(&a, VU_FEATURE_SIZE + sizeof(data));
    data[0] = PAGE;
    assert_memory_equal(a.body + VU_FEATURE_SIZE, data, sizeof(data));
    a = feature_set(&c, VU_FEATURE_DMA_LOGGING_STOP, data, sizeof(data));
    assert_answer_ok(&a, VU_FEATURE_SIZE + sizeof(data));
    assert_memory_equal(a.body + VU_FEATURE_SIZE, data, sizeof(data));
    core_end(&c);
}

static void stop_without_start_succeeds(void **state)
{
    struct core c;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, PAGE);
    stop(&c);
    stop(&c);
    core_end(&c);
}

static void report_needs_a_log(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, PAGE);
    a = try_report(&c, RAM, PAGE, PAGE);
    assert_answer_error(&a, EINVAL);
    start(&c, PAGE);
    report(&c, RAM, PAGE, PAGE);
    stop(&c);
    a = try_report(&c, RAM, PAGE, PAGE);
    assert_answer_error(&a, EINVAL);
    core_end(&c);
}

/* And gives back all memory. */
static void stop_forgets_what_was_dirty(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 64 * PAGE);
    device_writes(&c, RAM, 1);
    start(&c, PAGE);
    device_writes(&c, RAM + PAGE, 1);
    assert_int_equal(c.ctx->dirty.words, 1);
    stop(&c);
    assert_int_equal(c.ctx->dirty.words, 0);
    device_writes(&c, RAM + 2 * PAGE, 1);
    start(&c, PAGE);
    a = report(&c, RAM, 64 * PAGE, PAGE);
    assert_clean(&a);
    core_end(&c);
}

/* The next client is not held to the page size of the last one. */
static void logging_ends_with_the_client(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 64 * PAGE);
    start_ranges(&c, PAGE, (const struct vu_dma_logging_range[]){ { RAM, PAGE } }, 1);
    vus_ctx_reset(c.ctx);
    assert_false(vus_dirty_on(c.ctx));
    assert_int_equal(c.ctx->dirty.words, 0);
    assert_int_equal(c.ctx->dirty.n_ranges, 0);
    a = core_version(&c, 0, 1, NULL);
    assert_int_equal(a.h.flags, VU_F_TYPE_REPLY);
    map_ram(&c, RAM, 64 * PAGE);
    a = try_report(&c, RAM, PAGE, PAGE);
    assert_answer_error(&a, EINVAL);
    start(&c, 2 * PAGE);
    core_end(&c);
}

static void assert_no_logging(struct core *c)
{
    const uint64_t data[3] = { PAGE, 0, 0 };
    struct answer a;

    a = feature_set(c, VU_FEATURE_DMA_LOGGING_START, data, 16);
    assert_answer_error(&a, EINVAL);
    a = feature_set(c, VU_FEATURE_DMA_LOGGING_STOP, NULL, 0);
    assert_answer_error(&a, EINVAL);
    a = try_report(c, RAM, PAGE, PAGE);
    assert_answer_error(&a, EINVAL);
    for (uint32_t i = VU_FEATURE_DMA_LOGGING_START; i <= VU_FEATURE_DMA_LOGGING_REPORT;
         i++) {
        a = feature(c, VU_FEATURE_PROBE | i, 8, NULL, 0);
        assert_answer_error(&a, EINVAL);
    }
}

static void without_migration_there_is_no_logging(void **state)
{
    struct core c;

    (void)state;
    core_begin(&c);
    assert_no_logging(&c);
    core_end(&c);
}

/* A deployed library aborts here. */
static void without_dma_there_is_no_logging(void **state)
{
    struct core c;

    (void)state;
    log_begin(&c);
    c.ctx->dma.enabled = false;     /* as if vfu_setup_device_dma() had not been called */
    assert_no_logging(&c);
    c.ctx->dma.enabled = true;
    core_end(&c);
}

static void probe_finds_start_stop_and_report(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    a = feature(&c, VU_FEATURE_PROBE | VU_FEATURE_SET | 6, 8, NULL, 0);
    assert_answer_ok(&a, 8);
    a = feature(&c, VU_FEATURE_PROBE | VU_FEATURE_SET | 7, 8, NULL, 0);
    assert_answer_ok(&a, 8);
    a = feature(&c, VU_FEATURE_PROBE | VU_FEATURE_GET | 8, 8, NULL, 0);
    assert_answer_ok(&a, 8);
    a = feature(&c, VU_FEATURE_PROBE | VU_FEATURE_GET | 6, 8, NULL, 0);
    assert_answer_error(&a, EINVAL);
    assert_false(vus_dirty_on(c.ctx));
    core_end(&c);
}

/* -------------------------------------------------------------- ranges -- */

static void only_pages_in_the_ranges_are_reported(void **state)
{
    static const struct vu_dma_logging_range ranges[] = {
        { RAM + 60 * PAGE, 10 * PAGE }, { RAM + 2 * PAGE, PAGE },
        { RAM + 65 * PAGE, 10 * PAGE },     /* overlaps the first */
    };
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 64 * PAGE);
    map_ram(&c, RAM + 64 * PAGE, 64 * PAGE);
    start_ranges(&c, PAGE, ranges, 3);
    device_writes(&c, RAM, 128 * PAGE);
    a = report(&c, RAM, 128 * PAGE, PAGE);
    for (uint64_t i = 0; i < 128; i++)
        assert_int_equal(bit(a.body + 32, i), i == 2 || (i >= 60 && i < 75));
    a = report(&c, RAM, 128 * PAGE, PAGE);
    assert_clean(&a);
    core_end(&c);
}

static void ranges_of_16_bytes_log_the_pages_that_they_touch(void **state)
{
    static const struct vu_dma_logging_range ranges[] = {
        { RAM + 3 * PAGE + 100, 16 }, { RAM + 3 * PAGE + 500, 16 },
        { RAM + 6 * PAGE - 8, 16 },
    };
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 64 * PAGE);
    start_ranges(&c, PAGE, ranges, 3);
    device_writes(&c, RAM, 64 * PAGE);
    a = report(&c, RAM + 3 * PAGE + 300, 16, 1);    /* between the first two */
    for (uint64_t i = 0; i < 64; i++)
        assert_int_equal(bit(a.body + 32, i), i < 16);
    a = report(&c, RAM, 64 * PAGE, PAGE);
    assert_pages(&a, PAGES(3, 5, 6));
    core_end(&c);
}

static void windows_outside_the_ranges_take_no_memory(void **state)
{
    static const struct vu_dma_logging_range range = { RAM, PAGE };
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 64 * PAGE);
    map_ram(&c, RAM + 64 * PAGE, 1 * MB);
    start_ranges(&c, PAGE, &range, 1);
    map_ram(&c, RAM + 64 * PAGE + MB, 1 * MB);
    assert_int_equal(c.ctx->dirty.words, 1);
    device_writes(&c, RAM + 64 * PAGE, 2 * MB);
    a = report(&c, RAM + 64 * PAGE, 2 * MB, PAGE);
    assert_clean(&a);
    core_end(&c);
}

/* -------------------------------------------------------------- limits -- */

/* Sparse files of 8 TiB: the bitmaps of a few of these would be as large as a disk. */
static void bitmaps_of_huge_windows_become_coarser(void **state)
{
    const uint64_t size = (uint64_t)8 << 40;
    const size_t limit = VUS_DIRTY_MEMORY / 8;
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    for (uint64_t i = 0; i < MAX_MAPS - 1; i++) {
        a = try_map(&c, i * size, size, DATA_RW | VU_DMA_FILE_IO);
        assert_answer_ok(&a, 0);
    }
    start(&c, PAGE);
    map_ram(&c, (MAX_MAPS - 1) * size, PAGE);
    assert_in_range(c.ctx->dirty.words, limit / 2, limit + MAX_MAPS);
    for (uint64_t i = 0; i < MAX_MAPS - 1; i++) {
        device_writes(&c, i * size + 5 * GB + 123, 1);
        device_writes(&c, (i + 1) * size - 1, 1);
        a = report(&c, i * size, size, GB);
        assert_pages(&a, PAGES(5, 8191));
    }
    device_writes(&c, (MAX_MAPS - 1) * size, 1);
    a = report(&c, (MAX_MAPS - 1) * size, PAGE, PAGE);
    assert_pages(&a, PAGES(0));
    core_end(&c);
}

/* 1 TiB in pages of 4 KiB is the most; the reply is refused before it is made. */
static void a_bitmap_has_at_most_32_mib(void **state)
{
    const uint64_t size = (uint64_t)1 << 40;
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    a = try_map(&c, 0, 2 * size, DATA_RW | VU_DMA_FILE_IO);
    assert_answer_ok(&a, 0);
    start(&c, PAGE);
    device_writes(&c, size - 1, 2);
    a = try_report(&c, 0, size + 1, PAGE);
    assert_answer_error(&a, EINVAL);
    assert_true(c.out.room < 1 * MB);
    a = unmap_with_bitmap(&c, (struct vu_dma_unmap){ .size = 2 * size, .pgsize = PAGE,
                          .bitmap_size = 64 * MB });
    assert_answer_error(&a, EINVAL);
    a = report(&c, 0, size, PAGE);
    assert_true(bit(a.body + 32, size / PAGE - 1));
    a = report(&c, size, size, PAGE);
    assert_pages(&a, PAGES(0));
    core_end(&c);
}

/* Somebody marks while the log is stopped and started: nothing is freed under it. */
static void a_bitmap_in_use_is_kept_until_it_is_not(void **state)
{
    struct core c;
    struct vus_window *w;
    struct answer a;
    dma_sg_t sg;
    int err;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 1024 * PAGE);
    assert_int_equal(vfu_addr_to_sgl(c.ctx, (vfu_dma_addr_t)(uintptr_t)RAM, PAGE, &sg, 1,
                                     PROT_WRITE), 1);
    start(&c, 4 * PAGE);
    w = vus_window_pin(&sg, &err);
    assert_non_null(w);
    vus_dirty_mark(w, 0, 1);
    stop(&c);
    assert_int_equal(c.ctx->dirty.words, 4);        /* kept */
    start(&c, 8 * PAGE);
    assert_int_equal(c.ctx->dirty.words, 4);        /* used again */
    a = report(&c, RAM, 1024 * PAGE, 8 * PAGE);
    assert_clean(&a);
    vus_dirty_mark(w, 1023 * PAGE, 1);
    a = report(&c, RAM, 1024 * PAGE, 4 * PAGE);
    assert_pages(&a, PAGES(254, 255));
    stop(&c);
    start(&c, PAGE);
    assert_int_equal(c.ctx->dirty.words, 4 + 16);   /* too small, and kept */
    vus_dirty_mark(w, 1023 * PAGE, 1);
    a = report(&c, RAM, 1024 * PAGE, PAGE);
    assert_pages(&a, PAGES(1023));
    vus_window_unpin(w);
    stop(&c);
    assert_int_equal(c.ctx->dirty.words, 0);
    core_end(&c);
}

/* As does a piece that reaches beyond a bitmap whose granule has just changed. */
static void a_mark_never_leaves_the_bitmap(void **state)
{
    struct core c;
    struct vus_window *w;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 128 * PAGE);
    start(&c, PAGE);
    w = vus_dma_from(&c.ctx->dma, RAM);
    vus_dirty_mark(w, 128 * PAGE, 1);
    vus_dirty_mark(w, (uint64_t)1 << 40, MB);
    vus_dirty_mark(w, 0, 0);
    a = report(&c, RAM, 128 * PAGE, PAGE);
    assert_clean(&a);
    vus_dirty_mark(w, 127 * PAGE, (uint64_t)1 << 40);
    a = report(&c, RAM, 128 * PAGE, PAGE);
    assert_pages(&a, PAGES(127));
    core_end(&c);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(start_answers_with_the_request_and_the_page_size_chosen),
    VU_FD_TEST(start_refuses_page_size_0),
    VU_FD_TEST(start_again_with_the_same_page_size_keeps_the_log),
    VU_FD_TEST(start_with_another_page_size_fails_and_keeps_the_log),
    VU_FD_TEST(start_again_compares_ranges_as_sets_of_bytes),
    VU_FD_TEST(start_refuses_data_that_are_shorter_than_its_ranges),
    VU_FD_TEST(start_refuses_ranges_that_are_empty_or_wrap),
    VU_FD_TEST(start_takes_at_most_4096_ranges),
    VU_FD_TEST(set_refuses_argsz_below_the_request),
    VU_FD_TEST(start_and_stop_echo_all_of_the_request),
    VU_FD_TEST(stop_without_start_succeeds),
    VU_FD_TEST(report_needs_a_log),
    VU_FD_TEST(stop_forgets_what_was_dirty),
    VU_FD_TEST(logging_ends_with_the_client),
    VU_FD_TEST(without_migration_there_is_no_logging),
    VU_FD_TEST(without_dma_there_is_no_logging),
    VU_FD_TEST(probe_finds_start_stop_and_report),
    VU_FD_TEST(only_pages_in_the_ranges_are_reported),
    VU_FD_TEST(ranges_of_16_bytes_log_the_pages_that_they_touch),
    VU_FD_TEST(windows_outside_the_ranges_take_no_memory),
    VU_FD_TEST(bitmaps_of_huge_windows_become_coarser),
    VU_FD_TEST(a_bitmap_has_at_most_32_mib),
    VU_FD_TEST(a_bitmap_in_use_is_kept_until_it_is_not),
    VU_FD_TEST(a_mark_never_leaves_the_bitmap),
};

VU_TEST_MAIN(tests)
