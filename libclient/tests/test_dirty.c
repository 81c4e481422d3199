/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dirty pages: reports and their iterator, and what was written by message, both compared
 * with plain arrays that do the same byte by byte.
 */
#include "libclient/dirty.h"
#include "libclient/written.h"

#include "wire/tests/support.h"

#define PAGE UINT64_C(4096)

static unsigned seed = 1;

/* 0 to n - 1 */
static uint64_t any(uint64_t n)
{
    return (((uint64_t)(unsigned)rand_r(&seed) << 31) ^ (unsigned)rand_r(&seed)) % n;
}

static void assert_next(struct vfuc_dirty *d, uint64_t address, uint64_t size)
{
    struct vfuc_range run = { 0, 0 };

    assert_true(vfuc_dirty_next(d, &run));
    assert_int_equal(run.address, address);
    assert_int_equal(run.size, size);
}

static void assert_no_more(struct vfuc_dirty *d)
{
    struct vfuc_range run = { 1, 2 };

    assert_false(vfuc_dirty_next(d, &run));
    assert_int_equal(run.address, 1);
    assert_int_equal(run.size, 2);
}

/* ---------------------------------------------------------------- reports -- */

static void clean_report_has_no_runs(void **state)
{
    struct vfuc_dirty *d = vuc_dirty_new(0x10000, 3 * PAGE, PAGE);
    const uint64_t *words;
    size_t n = 0;

    (void)state;
    assert_non_null(d);
    assert_no_more(d);
    assert_int_equal(vfuc_dirty_count(d), 0);
    words = vfuc_dirty_bitmap(d, &n);
    assert_int_equal(n, 1);
    assert_int_equal(words[0], 0);
    vfuc_dirty_free(d);
    vfuc_dirty_free(NULL);
}

static void runs_are_joined_over_words_and_ascend(void **state)
{
    struct vfuc_dirty *d = vuc_dirty_new(0, 200 * PAGE, PAGE);

    (void)state;
    vuc_dirty_mark(d, 130 * PAGE, 131 * PAGE - 1);
    vuc_dirty_mark(d, 60 * PAGE + 5, 68 * PAGE + 5);
    vuc_dirty_mark(d, 199 * PAGE, 200 * PAGE - 1);
    vuc_dirty_mark(d, 0, 0);
    for (int i = 0; i < 2; i++) {
        assert_next(d, 0, PAGE);
        assert_next(d, 60 * PAGE, 9 * PAGE);
        assert_next(d, 130 * PAGE, PAGE);
        assert_next(d, 199 * PAGE, PAGE);
        assert_no_more(d);
        assert_no_more(d);
        vfuc_dirty_rewind(d);
    }
    assert_int_equal(vfuc_dirty_count(d), 12);
    vfuc_dirty_free(d);
}

static void last_run_is_cut_to_the_range(void **state)
{
    struct vfuc_dirty *d = vuc_dirty_new(0x1800, 2 * PAGE + 1, PAGE);

    (void)state;
    vuc_dirty_mark(d, 0x1800 + PAGE, 0x1800 + 2 * PAGE);
    assert_next(d, 0x1800 + PAGE, PAGE + 1);
    assert_no_more(d);
    assert_int_equal(vfuc_dirty_count(d), 2);
    vfuc_dirty_free(d);
}

static void range_may_end_at_the_end_of_all_addresses(void **state)
{
    uint64_t address = UINT64_MAX - (2 * PAGE - 1);
    struct vfuc_dirty *d = vuc_dirty_new(address, 2 * PAGE, PAGE);

    (void)state;
    vuc_dirty_mark(d, UINT64_MAX, UINT64_MAX);
    assert_next(d, address + PAGE, PAGE);
    assert_no_more(d);
    vfuc_dirty_free(d);
}

static void one_page_may_be_half_of_all_addresses(void **state)
{
    struct vfuc_dirty *d = vuc_dirty_new(0, UINT64_MAX, UINT64_C(1) << 63);

    (void)state;
    vuc_dirty_mark(d, UINT64_MAX - 1, UINT64_MAX - 1);
    assert_next(d, UINT64_C(1) << 63, (UINT64_C(1) << 63) - 1);
    assert_no_more(d);
    vfuc_dirty_free(d);
}

static void bitmap_that_no_memory_can_hold_is_none(void **state)
{
    (void)state;
    assert_null(vuc_dirty_new(0, UINT64_MAX, 1));
}

static void bits_of_a_server_behind_the_range_are_not_looked_at(void **state)
{
    uint8_t bytes[17];
    struct vfuc_dirty *d = vuc_dirty_new(0x5000, 70 * PAGE, PAGE);

    (void)state;
    memset(bytes, 0xff, sizeof(bytes));
    /* 66 pages of it, from an odd address of memory */
    vuc_dirty_merge(d, 0x5000 + 2 * PAGE, 66 * PAGE, (struct vu_bytes){ bytes + 1, 16 });
    assert_next(d, 0x5000 + 2 * PAGE, 66 * PAGE);
    assert_no_more(d);
    vfuc_dirty_free(d);
}

static void bits_of_a_server_count_from_its_own_address(void **state)
{
    uint8_t bytes[8] = { 0x02 };
    struct vfuc_dirty *d = vuc_dirty_new(0, 8 * PAGE, PAGE);

    (void)state;
    /* The second page behind 0x800 touches two of ours. */
    vuc_dirty_merge(d, 0x800, 2 * PAGE, (struct vu_bytes){ bytes, 8 });
    assert_next(d, PAGE, 2 * PAGE);
    assert_no_more(d);
    vfuc_dirty_free(d);
}

static void last_page_of_a_server_ends_with_its_range(void **state)
{
    uint8_t bytes[8] = { 0x02 };
    struct vfuc_dirty *d = vuc_dirty_new(0, 2 * PAGE, PAGE);

    (void)state;
    /* 0x1800 to 0x1bff; a whole page would go beyond ours */
    vuc_dirty_merge(d, 0x800, 0x1400, (struct vu_bytes){ bytes, 8 });
    assert_next(d, PAGE, PAGE);
    assert_no_more(d);
    assert_int_equal(vfuc_dirty_count(d), 1);
    vfuc_dirty_free(d);
}

/* Every page of d is dirty exactly where plain says so, whichever way it is read. */
static void assert_pages(struct vfuc_dirty *d, const bool *plain, uint64_t pages,
                         uint64_t address, uint64_t size, uint64_t page_size)
{
    size_t n_words;
    const uint64_t *words = vfuc_dirty_bitmap(d, &n_words);
    uint64_t at = 0, count = 0;
    struct vfuc_range run;

    assert_int_equal(n_words, (pages + 63) / 64);
    for (uint64_t p = 0; p < n_words * 64; p++) {
        bool set = (words[p / 64] >> (p % 64) & 1) != 0;

        assert_int_equal(set, p < pages && plain[p]);
        count += set;
    }
    assert_int_equal(vfuc_dirty_count(d), count);
    vfuc_dirty_rewind(d);
    while (vfuc_dirty_next(d, &run)) {
        uint64_t first = (run.address - address) / page_size;

        assert_int_equal((run.address - address) % page_size, 0);
        for (; at < first; at++)
            assert_false(plain[at]);
        for (; at < pages && at * page_size < run.address - address + run.size; at++)
            assert_true(plain[at]);
        assert_true(run.address - address + run.size
                    == (at == pages ? size : at * page_size));
    }
    for (; at < pages; at++)
        assert_false(plain[at]);
}

#define RANDOM_PAGES 300

static void random_marks_agree_with_a_plain_array(void **state)
{
    (void)state;
    for (int round = 0; round < 2000; round++) {
        uint64_t page_size = UINT64_C(1) << any(14);
        uint64_t size = 1 + any(RANDOM_PAGES * page_size);
        uint64_t pages = (size - 1) / page_size + 1;
        uint64_t address = any(2) == 0 ? any(1 << 20) : UINT64_MAX - (size - 1);
        struct vfuc_dirty *d = vuc_dirty_new(address, size, page_size);
        bool plain[RANDOM_PAGES] = { false };

        for (uint64_t i = any(12); i > 0; i--) {
            uint64_t first = any(size), last = first + any(size - first);

            vuc_dirty_mark(d, address + first, address + last);
            for (uint64_t p = first / page_size; p <= last / page_size; p++)
                plain[p] = true;
        }
        assert_pages(d, plain, pages, address, size, page_size);
        vfuc_dirty_free(d);
    }
}

static void random_bitmaps_agree_with_a_plain_array(void **state)
{
    (void)state;
    for (int round = 0; round < 2000; round++) {
        uint64_t pages = 1 + any(RANDOM_PAGES);
        uint64_t first = any(pages), n = 1 + any(pages - first);
        struct vfuc_dirty *d = vuc_dirty_new(0x1000, pages * 512, 512);
        bool plain[RANDOM_PAGES] = { false };
        uint8_t bytes[RANDOM_PAGES / 8 + 8];
        unsigned density = 1 + (unsigned)any(4);

        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = any(density) == 0 ? (uint8_t)any(256) : any(2) ? 0xff : 0;
        for (uint64_t p = 0; p < n; p++)
            plain[first + p] = (bytes[p / 8] >> (p % 8) & 1) != 0;
        vuc_dirty_merge(d, 0x1000 + first * 512, n * 512,
                        (struct vu_bytes){ bytes, (n + 63) / 64 * 8 });
        assert_pages(d, plain, pages, 0x1000, pages * 512, 512);
        vfuc_dirty_free(d);
    }
}

/* ----------------------------------------------------------------- written -- */

static struct vfuc_dirty *report(struct vuc_written *w, uint64_t address, uint64_t size,
                                 uint64_t page_size)
{
    struct vfuc_dirty *d = vuc_dirty_new(address, size, page_size);

    assert_non_null(d);
    vuc_written_report(w, d);
    return d;
}

static void assert_clean(struct vuc_written *w, uint64_t address, uint64_t size)
{
    struct vfuc_dirty *d = report(w, address, size, PAGE);

    assert_no_more(d);
    vfuc_dirty_free(d);
}

static void nothing_is_noted_while_logging_is_off(void **state)
{
    struct vuc_written w = { .everything = true };
    struct vuc_interval window = { 0, 0xffff };

    (void)state;
    assert_int_equal(vuc_written_note(&w, &window, 0, 0xffff), 0);
    assert_int_equal(w.bytes, 0);
    assert_clean(&w, 0, 0x10000);
    vuc_written_stop(&w);
}

static void what_was_reported_is_clean(void **state)
{
    struct vuc_written w = { .on = true, .everything = true };
    struct vuc_interval window = { 0x10000, 0x1ffff };
    struct vfuc_dirty *d;

    (void)state;
    assert_int_equal(vuc_written_note(&w, &window, 0x11ffe, 0x12001), 0);
    assert_int_equal(vuc_written_note(&w, &window, 0x1ffff, 0x1ffff), 0);
    d = report(&w, 0x10000, 0x10000, PAGE);
    assert_next(d, 0x11000, 2 * PAGE);
    assert_next(d, 0x1f000, PAGE);
    assert_no_more(d);
    vfuc_dirty_free(d);
    assert_clean(&w, 0x10000, 0x10000);
    assert_int_equal(w.bytes, 0);
    vuc_written_stop(&w);
}

static void page_that_is_reported_in_part_stays_dirty(void **state)
{
    struct vuc_written w = { .on = true, .everything = true };
    struct vuc_interval window = { 0, 0xffff };
    struct vfuc_dirty *d;

    (void)state;
    assert_int_equal(vuc_written_note(&w, &window, 0x3000, 0x3fff), 0);
    d = report(&w, 0, 0x3800, 0x800);
    assert_next(d, 0x3000, 0x800);
    assert_no_more(d);
    vfuc_dirty_free(d);
    d = report(&w, 0x3800, 0x800, 0x100);
    assert_next(d, 0x3800, 0x800);
    vfuc_dirty_free(d);
    d = report(&w, 0x3000, 0x1000, 0x400);
    assert_next(d, 0x3000, 0x1000);
    vfuc_dirty_free(d);
    assert_clean(&w, 0, 0x10000);
    vuc_written_stop(&w);
}

static void window_does_not_share_its_pages_with_a_neighbour(void **state)
{
    struct vuc_written w = { .on = true, .everything = true };
    struct vuc_interval low = { 0x1000, 0x17ff }, high = { 0x1800, 0x1fff };
    struct vfuc_dirty *d;

    (void)state;
    assert_int_equal(vuc_written_note(&w, &low, 0x1000, 0x1000), 0);
    assert_int_equal(vuc_written_note(&w, &high, 0x1fff, 0x1fff), 0);
    d = report(&w, 0x1000, 0x800, 0x100);
    assert_next(d, 0x1000, 0x800);
    vfuc_dirty_free(d);
    assert_clean(&w, 0x1000, 0x800);
    d = report(&w, 0x1800, 0x800, 0x100);
    assert_next(d, 0x1800, 0x800);
    vfuc_dirty_free(d);
    assert_int_equal(vuc_written_note(&w, &low, 0x1000, 0x1000), 0);
    assert_int_equal(vuc_written_note(&w, &high, 0x1fff, 0x1fff), 0);
    vuc_written_forget(&w, &low);
    assert_clean(&w, 0x1000, 0x800);
    d = report(&w, 0x1000, 0x1000, 0x800);
    assert_next(d, 0x1800, 0x800);
    assert_no_more(d);
    vfuc_dirty_free(d);
    vuc_written_stop(&w);
}

static void only_watched_ranges_are_noted(void **state)
{
    struct vfuc_range ranges[] = {
        { 0x8000, 0x1000 }, { 0x2000, 0x2000 }, { 0x3000, 0x2000 }, { 0xf000, 1 },
        { 0x2000, 0x10 },
    };
    struct vuc_written w = { .on = true };
    struct vuc_interval window = { 0, 0xffff };
    struct vfuc_dirty *d;

    (void)state;
    assert_int_equal(vuc_ranges_of(ranges, 5, &w.watched), 0);
    assert_int_equal(w.watched.n, 3);
    assert_int_equal(vuc_written_note(&w, &window, 0, 0xffff), 0);
    d = report(&w, 0, 0x10000, PAGE);
    assert_next(d, 0x2000, 0x3000);
    assert_next(d, 0x8000, 0x1000);
    assert_next(d, 0xf000, 0x1000);
    assert_no_more(d);
    vfuc_dirty_free(d);
    assert_int_equal(vuc_written_note(&w, &window, 0x5000, 0x7fff), 0);
    assert_int_equal(vuc_written_note(&w, &window, 0, 0x1fff), 0);
    assert_int_equal(vuc_written_note(&w, &window, 0xf001, 0xffff), 0);
    assert_clean(&w, 0, 0x10000);
    assert_int_equal(vuc_written_note(&w, &window, 0x1000, 0x2000), 0);
    d = report(&w, 0, 0x10000, PAGE);
    assert_next(d, 0x2000, 0x1000);
    assert_no_more(d);
    vfuc_dirty_free(d);
    vuc_written_stop(&w);
    assert_null(w.watched.at);
}

static void range_to_the_end_of_all_addresses_is_watched(void **state)
{
    struct vfuc_range range = { UINT64_MAX, 1 };
    struct vuc_written w = { .on = true };
    struct vuc_interval window = { UINT64_MAX - 0x1fff, UINT64_MAX };
    struct vfuc_dirty *d;

    (void)state;
    assert_int_equal(vuc_ranges_of(&range, 1, &w.watched), 0);
    assert_int_equal(vuc_written_note(&w, &window, UINT64_MAX - 0x1fff, UINT64_MAX), 0);
    d = report(&w, UINT64_MAX - 0x1fff, 0x2000, PAGE);
    assert_next(d, UINT64_MAX - 0xfff, PAGE);
    assert_no_more(d);
    vfuc_dirty_free(d);
    vuc_written_stop(&w);
}

/* One write into each corner of 2^63 bytes takes a block, not a bit for every page. */
static void enormous_windows_take_memory_where_they_are_written(void **state)
{
    struct vuc_written w = { .on = true, .everything = true };
    struct vuc_interval window = { 0, (UINT64_C(1) << 63) - 1 };
    struct vfuc_dirty *d;

    (void)state;
    for (unsigned bit = 30; bit < 63; bit++)
        assert_int_equal(vuc_written_note(&w, &window, UINT64_C(1) << bit,
                                          UINT64_C(1) << bit), 0);
    assert_true(w.bytes <= 33 * 5000);
    d = report(&w, 0, UINT64_C(1) << 63, UINT64_C(1) << 30);
    for (unsigned bit = 30; bit < 63; bit++) {
        struct vfuc_range run;

        if (bit == 31)      /* joined to the one before */
            continue;
        assert_true(vfuc_dirty_next(d, &run));
        assert_int_equal(run.address, UINT64_C(1) << bit);
        assert_int_equal(run.size, UINT64_C(1) << (bit == 30 ? 31 : 30));
    }
    assert_no_more(d);
    vfuc_dirty_free(d);
    assert_int_equal(w.bytes, 0);
    vuc_written_stop(&w);
}

static void all_blocks_together_are_bounded(void **state)
{
    struct vuc_written w = { .on = true, .everything = true };
    struct vuc_interval window = { 0, UINT64_MAX - 1 };
    uint64_t at = 0;
    int err = 0;

    (void)state;
    for (; err == 0; at += UINT64_C(1) << 27)
        err = vuc_written_note(&w, &window, at, at);
    assert_int_equal(err, -ENOMEM);
    assert_in_range(w.bytes, VUC_WRITTEN_MAX - 8192, VUC_WRITTEN_MAX);
    assert_int_equal(vuc_written_note(&w, &window, 0, 0xffff), 0);  /* it has a block */
    vuc_written_stop(&w);
    assert_int_equal(w.bytes, 0);
}

#define SPAN (64 * PAGE)
#define WINDOWS 8

/* Random windows, writes and reports, against a bool for each page of each window: dirty
 * until all of the page that lies in the window was reported. */
static void random_writes_and_reports_agree_with_a_plain_array(void **state)
{
    uint64_t base = (UINT64_C(1) << 27) - SPAN / 2;     /* over the edge of a block */

    (void)state;
    for (int round = 0; round < 300; round++) {
        struct vuc_written w = { .on = true, .everything = true };
        struct vuc_interval windows[WINDOWS];
        bool dirty[WINDOWS][64] = { { false } };    /* by page of the span */
        uint64_t at = base;
        int n = 0;

        while (n < WINDOWS && at < base + SPAN) {
            uint64_t len = 1 + any(SPAN / 5);

            if (len > base + SPAN - at)
                len = base + SPAN - at;
            windows[n++] = (struct vuc_interval){ at, at + len - 1 };
            at += len + (any(2) == 0 ? 0 : any(3 * PAGE));
        }
        for (int step = 0; step < 40; step++) {
            int k = (int)any((uint64_t)n);
            struct vuc_interval *win = &windows[k];

            if (any(3) != 0) {
                uint64_t first = win->first + any(win->last - win->first + 1);
                uint64_t last = first + any(win->last - first + 1);

                assert_int_equal(vuc_written_note(&w, win, first, last), 0);
                for (uint64_t p = first / PAGE; p <= last / PAGE; p++)
                    dirty[k][p - base / PAGE] = true;
            } else {
                uint64_t first = base + any(SPAN), size = 1 + any(base + SPAN - first);
                uint64_t page_size = UINT64_C(256) << any(8);
                uint64_t pages = (size - 1) / page_size + 1;
                bool *plain = calloc(pages, sizeof(*plain));
                struct vfuc_dirty *d = report(&w, first, size, page_size);

                for (int i = 0; i < n; i++) {
                    for (uint64_t p = 0; p < 64; p++) {
                        uint64_t from = base + p * PAGE, to = from + PAGE - 1;
                        bool covered;

                        from = from < windows[i].first ? windows[i].first : from;
                        to = to > windows[i].last ? windows[i].last : to;
                        if (!dirty[i][p] || to < first || from > first + size - 1)
                            continue;
                        covered = from >= first && to <= first + size - 1;
                        from = from < first ? first : from;
                        to = to > first + size - 1 ? first + size - 1 : to;
                        for (uint64_t q = (from - first) / page_size;
                             q <= (to - first) / page_size; q++)
                            plain[q] = true;
                        dirty[i][p] = !covered;
                    }
                }
                assert_pages(d, plain, pages, first, size, page_size);
                vfuc_dirty_free(d);
                free(plain);
            }
        }
        vuc_written_stop(&w);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(clean_report_has_no_runs),
    cmocka_unit_test(runs_are_joined_over_words_and_ascend),
    cmocka_unit_test(last_run_is_cut_to_the_range),
    cmocka_unit_test(range_may_end_at_the_end_of_all_addresses),
    cmocka_unit_test(one_page_may_be_half_of_all_addresses),
    cmocka_unit_test(bitmap_that_no_memory_can_hold_is_none),
    cmocka_unit_test(bits_of_a_server_behind_the_range_are_not_looked_at),
    cmocka_unit_test(bits_of_a_server_count_from_its_own_address),
    cmocka_unit_test(last_page_of_a_server_ends_with_its_range),
    cmocka_unit_test(random_marks_agree_with_a_plain_array),
    cmocka_unit_test(random_bitmaps_agree_with_a_plain_array),
    cmocka_unit_test(nothing_is_noted_while_logging_is_off),
    cmocka_unit_test(what_was_reported_is_clean),
    cmocka_unit_test(page_that_is_reported_in_part_stays_dirty),
    cmocka_unit_test(window_does_not_share_its_pages_with_a_neighbour),
    cmocka_unit_test(only_watched_ranges_are_noted),
    cmocka_unit_test(range_to_the_end_of_all_addresses_is_watched),
    cmocka_unit_test(enormous_windows_take_memory_where_they_are_written),
    cmocka_unit_test(all_blocks_together_are_bounded),
    cmocka_unit_test(random_writes_and_reports_agree_with_a_plain_array),
};

VU_TEST_MAIN(tests)
