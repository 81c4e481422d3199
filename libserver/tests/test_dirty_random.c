/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dirty log against an oracle that knows every byte, with threads that mark
 * while it is read, stopped and started, and with allocations that fail.
 */
#include "libserver/tests/dirty.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "wire/tests/calls.h"

/* -------------------------------------------------------------- oracle -- */

#define SPACE       (512 * KB)      /* bytes of guest addresses that the oracle knows */
#define MAX_WINDOWS 6
#define MAX_RANGES  5

struct window {
    uint64_t first, size;   /* offsets in the space; size 0: none */
    int kind;
};

/* What a window is; only the first two have dirty pages. */
enum { MAPPED, FILE_IO, MESSAGES, READ_ONLY };
static const int kinds[] = { MAPPED, MAPPED, MAPPED, FILE_IO, FILE_IO, FILE_IO, MESSAGES,
                             READ_ONLY };

struct oracle {
    struct core c;
    uint64_t seed;
    int step;
    unsigned compared;      /* bitmaps with at least one bit set */
    uint64_t rng;
    uint64_t base;          /* guest address of the space */
    struct window windows[MAX_WINDOWS];
    struct vu_dma_logging_range ranges[MAX_RANGES];
    uint32_t n_ranges;
    uint64_t granule;       /* 0: logging is off */
    int8_t owner[SPACE];    /* index of the byte's window, or -1 */
    bool dirty[SPACE];      /* the byte's granule is dirty */
    bool in_range[SPACE];   /* the byte's granule is touched by a range */
};

/* xorshift64*: from 0 to n - 1. */
static uint64_t pick(struct oracle *o, uint64_t n)
{
    o->rng ^= o->rng >> 12;
    o->rng ^= o->rng << 25;
    o->rng ^= o->rng >> 27;
    return (o->rng * 0x2545f4914f6cdd1d >> 16) % n;
}

/* A multiple of something: edges that coincide are the interesting ones. */
static uint64_t pick_offset(struct oracle *o)
{
    static const uint64_t grains[] = { 1, 64, 4096, 4096, 8192, 16384 };
    uint64_t grain = grains[pick(o, 6)];

    return pick(o, SPACE / grain) * grain;
}

/* Mostly one that has a window. */
static uint64_t pick_used(struct oracle *o)
{
    uint64_t at = pick_offset(o);

    for (int i = 0; i < 8 && o->owner[at] < 0; i++)
        at = pick_offset(o);
    return at;
}

static uint64_t pick_page(struct oracle *o, unsigned low, unsigned high)
{
    return (uint64_t)1 << (low + pick(o, high - low + 1));
}

/* The granule of a byte that has a window: offsets in the space, both included. */
static void granule_of(const struct oracle *o, uint64_t at, uint64_t *first,
                       uint64_t *last)
{
    const struct window *w = &o->windows[o->owner[at]];

    *first = at - (at - w->first) % o->granule;
    *last = *first + o->granule - 1;
    if (*last > w->first + w->size - 1)
        *last = w->first + w->size - 1;
}

static void find_ranges(struct oracle *o)
{
    memset(o->in_range, o->n_ranges == 0, sizeof(o->in_range));
    for (uint32_t i = 0; i < o->n_ranges; i++) {
        uint64_t from = o->ranges[i].iova - o->base;

        for (uint64_t at = from; at < from + o->ranges[i].length; at++) {
            uint64_t first, last;

            if (o->owner[at] < 0)
                continue;
            granule_of(o, at, &first, &last);
            memset(o->in_range + first, 1, last - first + 1);
            at = last;
        }
    }
}

static void forget(struct oracle *o, uint64_t first, uint64_t size)
{
    memset(o->dirty + first, 0, size);
}

/* The bitmap that a report of len bytes at offset from has; clears as it does. */
static void expect(struct oracle *o, uint64_t from, uint64_t len, uint64_t page,
                   uint8_t *bits)
{
    static bool clean[SPACE];

    memset(clean, 0, sizeof(clean));
    for (uint64_t at = from; at < from + len; at++) {
        uint64_t first, last;

        if (!o->dirty[at] || !o->in_range[at])
            continue;
        bits[(at - from) / page / 8] |= (uint8_t)(1u << ((at - from) / page % 8));
        granule_of(o, at, &first, &last);
        clean[at] = first >= from && last < from + len;
    }
    for (uint64_t at = from; at < from + len; at++)
        o->dirty[at] = o->dirty[at] && !clean[at];
}

static void assert_agree(struct oracle *o, const uint8_t *bits, const uint8_t *expected,
                         size_t size)
{
    bool any = false;

    for (size_t i = 0; i < size; i++) {
        any = any || expected[i] != 0;
        if (bits[i] != expected[i])
            fail_msg("seed %" PRIu64 ", step %d: byte %zu is %#x, not %#x", o->seed,
                     o->step, i, bits[i], expected[i]);
    }
    o->compared += any;
}

/* ------------------------------------------------------------- actions -- */

static void oracle_map(struct oracle *o)
{
    struct vu_dma_map m = { .flags = DATA_RW };
    uint64_t first = pick_offset(o);
    uint64_t size = 1 + pick_offset(o) / 2;
    struct answer a;
    size_t i = 0;
    int fd;

    while (i < MAX_WINDOWS && o->windows[i].size != 0)
        i++;
    if (i == MAX_WINDOWS || first + size > SPACE)
        return;
    for (uint64_t at = first; at < first + size; at++)
        if (o->owner[at] >= 0) {
            size = at - first;      /* up to the next window */
            break;
        }
    if (size == 0)
        return;
    o->windows[i] = (struct window){ first, size, kinds[pick(o, 8)] };
    memset(o->owner + first, (int)i, size);
    forget(o, first, size);
    m.address = o->base + first;
    m.size = size;
    if (o->windows[i].kind == FILE_IO)
        m.flags |= VU_DMA_FILE_IO;
    if (o->windows[i].kind == READ_ONLY)
        m.flags = VU_DMA_READABLE;
    fd = o->windows[i].kind == MESSAGES ? -1 : core_memory(size);
    a = core_dma_map(&o->c, m, fd);
    if (fd != -1)
        close(fd);
    assert_answer_ok(&a, 0);
    if (o->granule != 0)
        find_ranges(o);
}

static void oracle_unmap(struct oracle *o)
{
    struct window *w = &o->windows[pick(o, MAX_WINDOWS)];
    struct vu_dma_unmap m = { .address = o->base + w->first, .size = w->size };
    uint8_t bits[SPACE / 8 + 8] = { 0 };
    struct answer a;

    if (w->size == 0)
        return;
    if (o->granule == 0) {
        unmap_ram(&o->c, m.address, m.size);
    } else {
        m.pgsize = pick_page(o, 0, 18);
        m.bitmap_size = 8 * words_of(m.size, m.pgsize);
        a = unmap_with_bitmap(&o->c, m);
        assert_answer_ok(&a, 40 + m.bitmap_size);
        expect(o, w->first, w->size, m.pgsize, bits);
        assert_agree(o, a.body + 40, bits, m.bitmap_size);
    }
    memset(o->owner + w->first, -1, w->size);
    w->size = 0;
}

static void oracle_start(struct oracle *o)
{
    uint64_t granule = pick(o, 2) != 0 ? PAGE : pick_page(o, 12, 16);
    bool was_on = o->granule != 0;
    struct answer a;

    if (was_on) {
        a = try_start(&o->c, o->granule, o->ranges, o->n_ranges);
        assert_answer_ok(&a, a.body_len);
        return;
    }
    o->n_ranges = pick(o, 2) != 0 ? (uint32_t)pick(o, MAX_RANGES + 1) : 0;
    for (uint32_t i = 0; i < o->n_ranges; i++) {
        uint64_t first = pick_offset(o);

        o->ranges[i].iova = o->base + first;
        o->ranges[i].length = 1 + pick(o, pick(o, 2) != 0 ? SPACE - first : 16);
        if (first + o->ranges[i].length > SPACE)
            o->ranges[i].length = SPACE - first;
    }
    a = try_start(&o->c, granule, o->ranges, o->n_ranges);
    assert_int_equal(chosen(&a), granule);
    o->granule = granule;
    forget(o, 0, SPACE);
    find_ranges(o);
}

static void oracle_write(struct oracle *o)
{
    uint64_t from = pick_used(o);
    uint64_t len = 1 + (pick(o, 2) != 0 ? pick(o, 64) : pick_offset(o) / 4);

    for (uint64_t at = from; at < from + len; at++)
        if (at == SPACE || o->owner[at] < 0 ||
            o->windows[o->owner[at]].kind == READ_ONLY) {
            len = at - from;
            break;
        }
    if (len == 0)
        return;
    device_writes(&o->c, o->base + from, len);
    for (uint64_t at = from; at < from + len && o->granule != 0; at++) {
        uint64_t first, last;

        if (o->windows[o->owner[at]].kind == MESSAGES)
            continue;
        granule_of(o, at, &first, &last);
        memset(o->dirty + first, 1, last - first + 1);
        at = last;
    }
}

static bool all_mapped(const struct oracle *o, uint64_t from, uint64_t len)
{
    for (uint64_t at = from; at < from + len; at++)
        if (o->owner[at] < 0)
            return false;
    return true;
}

static void oracle_report(struct oracle *o)
{
    uint64_t from = pick_used(o);
    uint64_t len = 1 + (pick(o, 2) != 0 ? pick(o, SPACE) : pick_offset(o));
    uint64_t page = pick(o, 3) != 0 || o->granule == 0 ? pick_page(o, 0, 18) : o->granule;
    uint8_t bits[SPACE / 8 + 8] = { 0 };
    uint64_t mapped = 0;
    struct answer a;

    if (len > SPACE - from)
        len = SPACE - from;
    while (mapped < len && o->owner[from + mapped] >= 0)
        mapped++;
    if (pick(o, 4) != 0 && mapped != 0)     /* mostly what is mapped there */
        len = pick(o, 2) != 0 ? mapped : 1 + pick(o, mapped);
    a = try_report(&o->c, o->base + from, len, page);
    if (o->granule == 0) {
        assert_answer_error(&a, EINVAL);
    } else if (!all_mapped(o, from, len)) {
        assert_answer_error(&a, ENOENT);
    } else {
        assert_report(&a, o->base + from, len, page);
        expect(o, from, len, page, bits);
        assert_agree(o, a.body + 32, bits, 8 * words_of(len, page));
    }
}

static void oracle_act(struct oracle *o)
{
    uint64_t action = pick(o, 64);

    if (action < 8 || o->step < 3) {
        oracle_map(o);
    } else if (action < 9) {
        oracle_unmap(o);
    } else if (action < 14) {
        oracle_start(o);
    } else if (action < 15) {
        stop(&o->c);
        o->granule = 0;
    } else if (action < 40) {
        oracle_write(o);
    } else {
        oracle_report(o);
    }
}

static void logs_agree_with_an_oracle(void **state)
{
    struct oracle *o = malloc(sizeof(*o));
    unsigned compared = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        memset(o, 0, sizeof(*o));
        o->seed = seed;
        o->rng = seed * 0x9e3779b97f4a7c15;
        o->base = seed % 4 == 0 ? UINT64_MAX - (SPACE - 1) : pick_offset(o) * seed;
        memset(o->owner, -1, sizeof(o->owner));
        log_begin(&o->c);
        for (o->step = 0; o->step < 120; o->step++)
            oracle_act(o);
        core_end(&o->c);
        compared += o->compared;
    }
    assert_true(compared > 800);
    free(o);
}

/* ------------------------------------------------------------- threads -- */

#define MARKERS    4u
#define PER_MARKER 8192u
#define MARKED     (MARKERS * PER_MARKER)   /* pages, each marked once */
#define SHARE      (64u / MARKERS)          /* pages of one word for each thread */
#define ROUNDS     5000u

struct markers {
    struct core c;
    struct vus_window *window;
    atomic_uint ready;
    atomic_uint done;
    atomic_bool quit;
    uint32_t content[MARKED];       /* of the pages: written before they are marked */
    uint8_t reported[MARKED];       /* how often */
    atomic_uint seen[64];           /* how often, when all are in one word */
};

struct marker {
    struct markers *shared;
    uint32_t number;
    pthread_t thread;
};

/* Neighbours in a word belong to different threads. */
static void *mark_each_page_once(void *arg)
{
    struct marker *me = arg;
    struct markers *m = me->shared;

    atomic_fetch_add(&m->ready, 1);
    while (atomic_load(&m->ready) < MARKERS + 1)
        sched_yield();
    for (uint32_t i = 0; i < PER_MARKER; i++) {
        uint32_t page = i * MARKERS + me->number;

        m->content[page] = ~page;
        device_writes(&m->c, RAM + (uint64_t)page * PAGE, 1);
    }
    atomic_fetch_add(&m->done, 1);
    return NULL;
}

static void begin_markers(struct markers *m, struct marker *markers,
                          void *(*work)(void *))
{
    for (uint32_t i = 0; i < MARKERS; i++) {
        markers[i] = (struct marker){ .shared = m, .number = i };
        assert_int_equal(pthread_create(&markers[i].thread, NULL, work, &markers[i]), 0);
    }
}

static void end_markers(struct marker *markers)
{
    for (uint32_t i = 0; i < MARKERS; i++)
        pthread_join(markers[i].thread, NULL);
}

/* Counts pages from first to end - 1; of those that are dirty the content is there. */
static void count_reported(struct markers *m, uint32_t first, uint32_t end)
{
    struct answer a = report(&m->c, RAM + (uint64_t)first * PAGE,
                             (uint64_t)(end - first) * PAGE, PAGE);

    for (uint32_t page = first; page < end; page++) {
        if (!bit(a.body + 32, page - first))
            continue;
        assert_int_equal(m->content[page], ~page);
        m->reported[page]++;
    }
}

static void marks_during_reports_are_reported_once_each(void **state)
{
    struct markers *m = calloc(1, sizeof(*m));
    struct marker markers[MARKERS];
    uint32_t middle = 1;        /* mostly within a word */
    bool last;

    (void)state;
    log_begin(&m->c);
    map_ram(&m->c, RAM, (uint64_t)MARKED * PAGE);
    start(&m->c, PAGE);
    begin_markers(m, markers, mark_each_page_once);
    while (atomic_load(&m->ready) < MARKERS)
        sched_yield();
    atomic_fetch_add(&m->ready, 1);
    do {
        last = atomic_load(&m->done) == MARKERS;
        count_reported(m, 0, middle);
        count_reported(m, middle, MARKED);
        middle = (middle + 331) % (MARKED - 1) + 1;
    } while (!last);
    end_markers(markers);
    for (uint32_t page = 0; page < MARKED; page++)
        assert_int_equal(m->reported[page], 1);
    core_end(&m->c);
    free(m);
}

/* One bit after the other, and again when all of them were reported. */
static void *mark_one_word(void *arg)
{
    struct marker *me = arg;
    struct markers *m = me->shared;
    struct vus_window *w = m->window;

    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < SHARE; i++)
            vus_dirty_mark(w, (uint64_t)(i * MARKERS + me->number) * PAGE, 1);
        for (unsigned i = 0; i < SHARE; i++)
            while (atomic_load(&m->seen[i * MARKERS + me->number]) <= round) {
                if (atomic_load(&m->quit))
                    return NULL;
                sched_yield();
            }
    }
    return NULL;
}

/* Threads and reports meet in one word all the time. A mark that is lost is never
 * seen, and its thread waits for it: then nothing goes on. */
static void marks_in_one_word_are_not_lost(void **state)
{
    struct markers *m = calloc(1, sizeof(*m));
    struct marker markers[MARKERS];
    time_t progress = time(NULL);
    unsigned n = 0;

    (void)state;
    log_begin(&m->c);
    map_ram(&m->c, RAM, 64 * PAGE);
    start(&m->c, PAGE);
    m->window = vus_dma_from(&m->c.ctx->dma, RAM);
    begin_markers(m, markers, mark_one_word);
    while (n < 64 * ROUNDS && time(NULL) < progress + 30) {
        struct answer a = report(&m->c, RAM, 64 * PAGE, PAGE);
        unsigned before = n;

        for (unsigned i = 0; i < 64; i++)
            if (bit(a.body + 32, i)) {
                atomic_fetch_add(&m->seen[i], 1);
                n++;
            }
        if (n != before)
            progress = time(NULL);
        else
            sched_yield();
    }
    atomic_store(&m->quit, true);
    end_markers(markers);
    assert_int_equal(n, 64 * ROUNDS);
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(m->seen[i], ROUNDS);
    core_end(&m->c);
    free(m);
}

static void *mark_until_told(void *arg)
{
    struct marker *me = arg;
    struct markers *m = me->shared;
    uint32_t i = me->number;

    atomic_fetch_add(&m->ready, 1);
    while (!atomic_load(&m->quit)) {
        device_writes(&m->c, RAM + (uint64_t)(i % 4096) * PAGE, 1 + i % 9999);
        i += 17;
    }
    return NULL;
}

static void threads_may_mark_while_logging_stops_and_starts(void **state)
{
    static const uint64_t sizes[] = { 4096, 65536, 8192, GB, 4096, 16384 };
    struct markers *m = calloc(1, sizeof(*m));
    struct marker markers[MARKERS];

    (void)state;
    log_begin(&m->c);
    map_ram(&m->c, RAM, 4200 * PAGE);
    begin_markers(m, markers, mark_until_told);
    while (atomic_load(&m->ready) < MARKERS)
        sched_yield();
    for (int i = 0; i < 300; i++) {
        start(&m->c, sizes[i % 6]);
        map_ram(&m->c, 64 * MB, 64 * PAGE);
        report(&m->c, RAM, 4200 * PAGE, sizes[(i + 1) % 6]);
        assert_true(m->c.ctx->dirty.words <= 2 * 66 + 1);
        if (i % 2 != 0)
            unmap_ram(&m->c, 64 * MB, 64 * PAGE);
        stop(&m->c);
        if (i % 2 == 0)
            unmap_ram(&m->c, 64 * MB, 64 * PAGE);
    }
    atomic_store(&m->quit, true);
    end_markers(markers);
    start(&m->c, PAGE);
    stop(&m->c);
    assert_int_equal(m->c.ctx->dirty.words, 0);
    core_end(&m->c);
    free(m);
}

/* ------------------------------------------------- failing allocations -- */

/* Allocations that the test itself makes before the core sees its message. */
#define OURS_START 3u
#define OURS_MAP   1u

static void start_that_lacks_memory_leaves_logging_off(void **state)
{
    static const struct vu_dma_logging_range range = { RAM, 64 * PAGE };
    unsigned failed = 0;
    struct core c;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 16 * PAGE);
    map_ram(&c, RAM + 16 * PAGE, 16 * PAGE);
    map_ram(&c, RAM + 32 * PAGE, 32 * PAGE);
    for (unsigned at = OURS_START + 1; !vus_dirty_on(c.ctx); at++) {
        struct answer a;

        calls_reset();
        calls.malloc_fails_at = at;
        a = try_start(&c, PAGE, &range, 1);
        calls_reset();
        if (a.h.error == 0)
            break;
        failed++;
        assert_answer_error(&a, ENOMEM);
        assert_false(vus_dirty_on(c.ctx));
        assert_int_equal(c.ctx->dirty.words, 0);
        assert_null(c.ctx->dirty.ranges);
    }
    assert_true(failed >= 4);       /* the ranges, three bitmaps */
    device_writes(&c, RAM, 64 * PAGE);
    assert_int_equal(c.ctx->dirty.words, 3);
    core_end(&c);
}

static void map_that_lacks_memory_for_its_bitmap_fails(void **state)
{
    int fd = core_memory(64 * PAGE);
    unsigned failed = 0;
    struct core c;

    (void)state;
    log_begin(&c);
    map_ram(&c, 64 * MB, PAGE);     /* what the first window needs is there */
    unmap_ram(&c, 64 * MB, PAGE);
    start(&c, PAGE);
    for (unsigned at = OURS_MAP + 1; c.seen.registers == 1; at++) {
        struct vu_dma_map m = { .flags = DATA_RW, .address = RAM, .size = 64 * PAGE };
        struct answer a;

        calls_reset();
        calls.malloc_fails_at = at;
        a = core_dma_map(&c, m, fd);
        calls_reset();
        if (a.h.error == 0)
            break;
        failed++;
        assert_answer_error(&a, ENOMEM);
        assert_int_equal(c.seen.registers, 1);
        assert_int_equal(c.ctx->dirty.words, 0);
        a = try_report(&c, RAM, PAGE, PAGE);
        assert_answer_error(&a, ENOENT);
    }
    assert_true(failed >= 1);
    device_writes(&c, RAM + PAGE, 1);
    report(&c, RAM, 64 * PAGE, PAGE);
    close(fd);
    core_end(&c);
}

static void a_report_that_lacks_memory_clears_nothing(void **state)
{
    struct vu_dma_unmap m = { .address = RAM, .size = 64 * MB, .pgsize = 64,
                              .bitmap_size = 128 * KB };
    struct core c;
    struct answer a;

    (void)state;
    log_begin(&c);
    map_ram(&c, RAM, 64 * MB);
    start(&c, PAGE);
    device_writes(&c, RAM + 5 * PAGE, 1);
    c.out.limit = 64 * KB;
    a = try_report(&c, RAM, 64 * MB, 64);
    assert_int_equal(a.len, VU_HEADER_SIZE);
    assert_int_not_equal(a.h.error, 0);
    a = unmap_with_bitmap(&c, m);
    assert_int_equal(a.len, VU_HEADER_SIZE);
    assert_int_not_equal(a.h.error, 0);
    assert_int_equal(c.seen.unregisters, 0);
    a = report(&c, RAM, 64 * MB, PAGE);
    assert_pages(&a, PAGES(5));
    core_end(&c);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(logs_agree_with_an_oracle),
    VU_FD_TEST(marks_during_reports_are_reported_once_each),
    VU_FD_TEST(marks_in_one_word_are_not_lost),
    VU_FD_TEST(threads_may_mark_while_logging_stops_and_starts),
    VU_FD_TEST(start_that_lacks_memory_leaves_logging_off),
    VU_FD_TEST(map_that_lacks_memory_for_its_bitmap_fails),
    VU_FD_TEST(a_report_that_lacks_memory_clears_nothing),
};

VU_TEST_MAIN(tests)
