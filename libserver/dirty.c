/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dirty log. From the top: bitmaps of windows, marking, the ranges of START, START
 * and STOP, turning bitmaps into reports, the commands that report.
 *
 * Marks are atomic OR, reports an atomic exchange a word, so a mark is in this
 * report or in the next one. A mark is a release and a report an acquire: whoever
 * sees the bit sees what was written. The bit is not tested before it is set, for
 * then a report in between could take the bit and not show the bytes.
 */
#include "libserver/dirty.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "libserver/context.h"
#include "libserver/dispatch.h"
#include "libserver/feature.h"

#define ALL_ONES UINT64_MAX

/* ------------------------------------------------------------- bitmaps -- */

static uint64_t window_size(const struct vus_window *w)
{
    return vus_window_last(w) - vus_window_first(w) + 1;
}

static size_t words_for(uint64_t size, uint32_t shift)
{
    return (size_t)((size - 1) >> shift >> 6) + 1;
}

/* The granule for a window of that many bytes when used words are taken. */
static uint32_t choose_granule(const struct vus_dirty *d, uint64_t size, size_t used)
{
    size_t limit = VUS_DIRTY_MEMORY / sizeof(uint64_t);
    size_t most = used < limit ? (limit - used) / 2 : 0;
    uint32_t shift = d->shift;

    while (words_for(size, shift) > 1 && words_for(size, shift) > most)
        shift++;
    return shift;
}

/* The first range that ends at or behind addr; n_ranges if there is none. */
static size_t range_from(const struct vus_dirty *d, uint64_t addr)
{
    size_t low = 0;
    size_t high = d->n_ranges;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (d->ranges[mid].last < addr)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Whether the window can have dirty pages that the client does not know of: what
 * is written by message it logs itself. */
static bool is_logged(const struct vus_dirty *d, const struct vus_window *w)
{
    size_t i;

    if (vus_window_mapping(w) == NULL || (w->info.prot & PROT_WRITE) == 0)
        return false;
    if (d->n_ranges == 0)
        return true;
    i = range_from(d, vus_window_first(w));
    return i < d->n_ranges && d->ranges[i].first <= vus_window_last(w);
}

static void free_bitmaps(struct vus_dirty *d, struct vus_bitmap *b)
{
    while (b != NULL) {
        struct vus_bitmap *older = b->older;

        d->words -= b->n_words;
        free(b);
        b = older;
    }
}

/* Use it again, empty, for a log that has not started. */
static void empty_bitmap(struct vus_bitmap *b, uint32_t shift)
{
    for (size_t i = 0; i < b->n_words; i++)
        if (atomic_load_explicit(&b->words[i], memory_order_relaxed) != 0)
            atomic_store_explicit(&b->words[i], 0, memory_order_relaxed);
    atomic_store_explicit(&b->shift, shift, memory_order_release);
}

/* An empty bitmap for the window if it is to be logged. 0 or -ENOMEM. */
static int give_bitmap(struct vfu_ctx *ctx, struct vus_window *w)
{
    struct vus_dirty *d = &ctx->dirty;
    struct vus_bitmap *old = vus_window_bitmap(w);
    struct vus_bitmap *b;
    size_t used = d->words - (old != NULL ? old->n_words : 0);
    uint32_t shift;
    size_t n;
    int err;

    if (!is_logged(d, w))
        return 0;
    shift = choose_granule(d, window_size(w), used);
    n = words_for(window_size(w), shift);
    if (old != NULL && n <= old->n_words) {
        empty_bitmap(old, shift);
        return 0;
    }
    b = calloc(1, sizeof(*b) + n * sizeof(b->words[0]));
    if (b == NULL)
        return -ENOMEM;
    b->older = old;
    b->n_words = n;
    atomic_store_explicit(&b->shift, shift, memory_order_relaxed);
    err = vus_window_set_bitmap(&ctx->dma, w, b);
    if (err != 0) {
        free(b);
        return err;
    }
    d->words += n;
    return 0;
}

/* Free the bitmap of a window that stays, unless somebody is marking: then it is
 * kept for the next log, or until the window goes. Who pins the window from now on
 * does not find it. */
static void drop_bitmap(struct vfu_ctx *ctx, struct vus_window *w)
{
    struct vus_bitmap *b = vus_window_bitmap(w);

    if (b == NULL)
        return;
    vus_window_set_bitmap(&ctx->dma, w, NULL);
    if (vus_window_idle(w))
        free_bitmaps(&ctx->dirty, b);
    else
        vus_window_set_bitmap(&ctx->dma, w, b);     /* there is room: it had one */
}

int vus_dirty_window_added(struct vfu_ctx *ctx, struct vus_window *w)
{
    return vus_dirty_on(ctx) ? give_bitmap(ctx, w) : 0;
}

void vus_dirty_window_gone(struct vfu_ctx *ctx, struct vus_window *w)
{
    struct vus_bitmap *b = vus_window_bitmap(w);

    if (b == NULL)
        return;
    vus_window_set_bitmap(&ctx->dma, w, NULL);
    free_bitmaps(&ctx->dirty, b);
}

/* ------------------------------------------------------------- marking -- */

/* Ones from bit first to bit last of a word, both included. */
static uint64_t ones(unsigned first, unsigned last)
{
    return (ALL_ONES << first) & (ALL_ONES >> (63 - last));
}

static void mark_granules(struct vus_bitmap *b, uint64_t first, uint64_t last)
{
    uint64_t i = first >> 6;
    uint64_t end = last >> 6;

    if (end >= b->n_words) {
        end = b->n_words - 1;
        last = ALL_ONES;
    }
    for (; i <= end; i++) {
        uint64_t set = ones(i == first >> 6 ? first & 63 : 0, i == end ? last & 63 : 63);

        atomic_fetch_or_explicit(&b->words[i], set, memory_order_release);
    }
}

void vus_dirty_mark(struct vus_window *w, uint64_t offset, uint64_t length)
{
    struct vus_bitmap *b = vus_window_bitmap(w);
    uint64_t first, last;
    uint32_t shift;

    if (b == NULL || length == 0)
        return;
    shift = atomic_load_explicit(&b->shift, memory_order_acquire);
    first = offset >> shift;
    last = (offset + length - 1) >> shift;
    /* The size is looked at because the granule may just have changed. */
    if (first == last && first >> 6 < b->n_words)
        atomic_fetch_or_explicit(&b->words[first >> 6], (uint64_t)1 << (first & 63),
                                 memory_order_release);
    else
        mark_granules(b, first, last);
}

/* -------------------------------------------------------------- ranges -- */

static int by_first(const void *a, const void *b)
{
    const struct vus_dirty_range *x = a;
    const struct vus_dirty_range *y = b;

    return (x->first > y->first) - (x->first < y->first);
}

/* Sort them and join those that overlap or touch. Returns how many are left. */
static size_t tidy_ranges(struct vus_dirty_range *ranges, size_t n)
{
    size_t kept = 0;

    qsort(ranges, n, sizeof(*ranges), by_first);
    for (size_t i = 1; i < n; i++) {
        struct vus_dirty_range *last = &ranges[kept];

        if (ranges[i].first > last->last && ranges[i].first - last->last > 1)
            ranges[++kept] = ranges[i];
        else if (ranges[i].last > last->last)
            last->last = ranges[i].last;
    }
    return kept + 1;
}

static int decode_range(struct vfu_ctx *ctx, const struct vu_dma_logging *m, uint32_t i,
                        struct vus_dirty_range *range)
{
    struct vu_dma_logging_range wire;
    int err = vu_decode_dma_logging_range(m, i, &wire);

    if (err != 0)
        return err;
    if (wire.length == 0 || wire.length - 1 > UINT64_MAX - wire.iova)
        return vus_refuse(ctx, -EINVAL,
                          "DMA_LOGGING_START: range %u has %#llx bytes at %#llx", i,
                          (unsigned long long)wire.length,
                          (unsigned long long)wire.iova);
    *range = (struct vus_dirty_range){ wire.iova, wire.iova + (wire.length - 1) };
    return 0;
}

/* The ranges of a START, the caller's to free; NULL and 0 for everything. */
static int decode_ranges(struct vfu_ctx *ctx, const struct vu_dma_logging *m,
                         struct vus_dirty_range **ranges, size_t *n_ranges)
{
    struct vus_dirty_range *array;
    int err = 0;

    *ranges = NULL;
    *n_ranges = 0;
    if (m->num_ranges == 0)
        return 0;
    if (m->num_ranges > VUS_DIRTY_RANGES)
        return vus_refuse(ctx, -E2BIG, "DMA_LOGGING_START: %u ranges, at most %u",
                          m->num_ranges, VUS_DIRTY_RANGES);
    array = calloc(m->num_ranges, sizeof(*array));
    if (array == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; err == 0 && i < m->num_ranges; i++)
        err = decode_range(ctx, m, i, &array[i]);
    if (err != 0) {
        free(array);
        return err;
    }
    *n_ranges = tidy_ranges(array, m->num_ranges);
    *ranges = array;
    return 0;
}

/* ------------------------------------------------------ START and STOP -- */

/* The page size is a hint: the next smaller one that we can do. */
static uint32_t shift_for(uint64_t page_size)
{
    uint32_t shift = 63u - (uint32_t)__builtin_clzll(page_size);

    if (shift < VUS_DIRTY_MIN_SHIFT)
        return VUS_DIRTY_MIN_SHIFT;
    return shift > VUS_DIRTY_MAX_SHIFT ? VUS_DIRTY_MAX_SHIFT : shift;
}

/* A log with d's page size and ranges. */
static int start_log(struct vfu_ctx *ctx)
{
    struct vus_dma *dma = &ctx->dma;
    struct vus_window *w = vus_dma_from(dma, 0);

    for (; w != NULL; w = vus_dma_next(dma, w)) {
        int err;

        drop_bitmap(ctx, w);
        err = give_bitmap(ctx, w);
        if (err != 0)
            return err;
    }
    atomic_store_explicit(&ctx->dirty.on, true, memory_order_release);
    return 0;
}

/* START while the log is on: nothing happens if it asks for what there is. */
static int start_again(struct vfu_ctx *ctx, uint32_t shift,
                       const struct vus_dirty_range *ranges, size_t n)
{
    const struct vus_dirty *d = &ctx->dirty;

    if (shift != d->shift)
        return vus_refuse(ctx, -EINVAL,
                          "DMA_LOGGING_START: on already, with pages of %#x bytes",
                          1u << d->shift);
    if (n != d->n_ranges ||
        (n != 0 && memcmp(ranges, d->ranges, n * sizeof(*ranges)) != 0))
        return vus_refuse(ctx, -EINVAL,
                          "DMA_LOGGING_START: on already, with other ranges");
    return 0;
}

/* ranges are taken over in every case. */
static int start(struct vfu_ctx *ctx, uint32_t shift, struct vus_dirty_range *ranges,
                 size_t n)
{
    struct vus_dirty *d = &ctx->dirty;
    int err;

    if (vus_dirty_on(ctx)) {
        err = start_again(ctx, shift, ranges, n);
        free(ranges);
        return err;
    }
    d->shift = shift;
    d->ranges = ranges;
    d->n_ranges = n;
    err = start_log(ctx);
    if (err != 0)
        vus_dirty_stop(ctx);
    return err;
}

int vus_dirty_start(struct vfu_ctx *ctx, const struct vu_feature *f,
                    struct vus_reply *reply)
{
    struct vu_reader r = vu_reader(f->data.data, f->data.len);
    struct vus_dirty_range *ranges;
    struct vu_dma_logging m;
    struct vu_writer chosen;
    size_t n;
    int err = vu_decode_dma_logging(&r, &m);

    if (err != 0)
        return vus_refuse(ctx, err, "DMA_LOGGING_START: %zu bytes of data for %u ranges",
                          f->data.len, m.num_ranges);
    if (m.page_size == 0)
        return vus_refuse(ctx, -EINVAL, "DMA_LOGGING_START: the page size is 0");
    err = vus_feature_echo(f, reply);       /* first: it may fail */
    if (err == 0)
        err = decode_ranges(ctx, &m, &ranges, &n);
    if (err == 0)
        err = start(ctx, shift_for(m.page_size), ranges, n);
    if (err != 0)
        return err;
    chosen = vu_writer(reply->out->data + reply->out->len - f->data.len, f->data.len);
    vu_put_u64(&chosen, (uint64_t)1 << ctx->dirty.shift);
    return vu_writer_ok(&chosen);
}

void vus_dirty_stop(struct vfu_ctx *ctx)
{
    struct vus_dirty *d = &ctx->dirty;
    struct vus_dma *dma = &ctx->dma;
    struct vus_window *w = NULL;

    atomic_store_explicit(&d->on, false, memory_order_release);
    if (d->words != 0)
        w = vus_dma_from(dma, 0);
    for (; w != NULL; w = vus_dma_next(dma, w))
        drop_bitmap(ctx, w);
    free(d->ranges);
    d->ranges = NULL;
    d->n_ranges = 0;
}

int vus_dirty_stop_cmd(struct vfu_ctx *ctx, const struct vu_feature *f,
                       struct vus_reply *reply)
{
    int err = vus_feature_echo(f, reply);

    if (err == 0)
        vus_dirty_stop(ctx);
    return err;
}

/* ------------------------------------------------- bitmaps into reports -- */

/* What a report is about. */
struct report {
    uint64_t first;         /* guest addresses, both included */
    uint64_t last;
    uint32_t shift;         /* of its page size */
    uint8_t *bits;          /* 64-bit words, not aligned; only ever added to */
};

/* The part of one window that a report is about. */
struct part {
    const struct report *report;
    struct vus_bitmap *b;
    uint64_t base;          /* guest address of the window */
    uint64_t first;         /* offsets in the window, both included */
    uint64_t last;
    uint64_t window_last;
    uint32_t shift;         /* of a granule */
    bool aligned;           /* granules are the report's pages, granule 0 being page */
    int64_t page;           /* this one */
};

static void add_word(uint8_t *bits, uint64_t i, uint64_t set)
{
    uint64_t word;

    memcpy(&word, bits + 8 * i, sizeof(word));
    word |= set;
    memcpy(bits + 8 * i, &word, sizeof(word));
}

static void add_pages(uint8_t *bits, uint64_t first, uint64_t last)
{
    for (uint64_t i = first >> 6; i <= last >> 6; i++)
        add_word(bits, i, ones(i == first >> 6 ? first & 63 : 0,
                               i == last >> 6 ? last & 63 : 63));
}

static uint64_t page_at(const struct part *p, uint64_t offset)
{
    return (p->base + offset - p->report->first) >> p->report->shift;
}

/* Offset of a granule's first byte, or the first of the part. */
static uint64_t granule_first(const struct part *p, uint64_t g)
{
    uint64_t first = g << p->shift;

    return first < p->first ? p->first : first;
}

static uint64_t granule_last(const struct part *p, uint64_t g)
{
    uint64_t last = ((g + 1) << p->shift) - 1;

    return last > p->last ? p->last : last;
}

/* Granules from 64 * i on, those that dirty names, as pages of another size or
 * position. */
static void add_unaligned(const struct part *p, uint64_t i, uint64_t dirty)
{
    uint64_t g = 64 * i;
    uint64_t low = (unsigned)__builtin_ctzll(dirty);
    uint64_t high = 63 - (unsigned)__builtin_clzll(dirty);
    uint64_t page = page_at(p, granule_first(p, g + low));

    if (page == page_at(p, granule_last(p, g + high))) {
        add_pages(p->report->bits, page, page);
        return;
    }
    while (dirty != 0) {    /* run by run */
        unsigned from = (unsigned)__builtin_ctzll(dirty);
        uint64_t clean = ~(dirty | (((uint64_t)1 << from) - 1));
        unsigned end = clean != 0 ? (unsigned)__builtin_ctzll(clean) : 64;

        add_pages(p->report->bits, page_at(p, granule_first(p, g + from)),
                  page_at(p, granule_last(p, g + end - 1)));
        dirty = end < 64 ? dirty & (ALL_ONES << end) : 0;
    }
}

/* The same where a granule is a page: a word is a word, maybe shifted. */
static void add_aligned(const struct part *p, uint64_t i, uint64_t dirty)
{
    int64_t page = p->page + (int64_t)(64 * i);
    unsigned shift;

    if (page < 0) {         /* the word begins before the report */
        dirty >>= -page;
        page = 0;
    }
    shift = (unsigned)page & 63;
    add_word(p->report->bits, (uint64_t)page >> 6, dirty << shift);
    if (shift != 0 && dirty >> (64 - shift) != 0)
        add_word(p->report->bits, ((uint64_t)page >> 6) + 1, dirty >> (64 - shift));
}

static void add(const struct part *p, uint64_t i, uint64_t dirty)
{
    if (dirty == 0)
        return;
    if (p->aligned)
        add_aligned(p, i, dirty);
    else
        add_unaligned(p, i, dirty);
}

/* Clear the bits and return those that were set. Most words are clean: those are
 * read only, so that pages of a bitmap that was never written stay without memory
 * and its cache lines with the threads that mark. */
static inline uint64_t take(_Atomic uint64_t *word, uint64_t bits)
{
    if ((atomic_load_explicit(word, memory_order_relaxed) & bits) == 0)
        return 0;
    if (bits == ALL_ONES)
        return atomic_exchange_explicit(word, 0, memory_order_acquire);
    return atomic_fetch_and_explicit(word, ~bits, memory_order_acquire) & bits;
}

static void collect_whole(const struct part *p, uint64_t first, uint64_t last)
{
    uint64_t end = last >> 6;

    for (uint64_t i = first >> 6; i <= end; i++) {
        uint64_t bits = ALL_ONES;

        if (i == first >> 6)
            bits = ALL_ONES << (first & 63);
        if (i == end)
            bits &= ALL_ONES >> (63 - (last & 63));
        add(p, i, take(&p->b->words[i], bits));
    }
}

/* Whether all bytes of the granule are in the report. */
static bool is_whole(const struct part *p, uint64_t g)
{
    uint64_t last = ((g + 1) << p->shift) - 1;

    if (last > p->window_last)
        last = p->window_last;
    return g << p->shift >= p->first && last <= p->last;
}

static void collect_partial(const struct part *p, uint64_t g)
{
    uint64_t word = atomic_load_explicit(&p->b->words[g >> 6], memory_order_acquire);

    add(p, g >> 6, word & (uint64_t)1 << (g & 63));
}

/* Granules, both included. Only the first and the last of a part can be partial. */
static void collect_granules(const struct part *p, uint64_t first, uint64_t last)
{
    bool head = !is_whole(p, first);
    bool tail = last != first && !is_whole(p, last);

    if (head)
        collect_partial(p, first);
    if (tail)
        collect_partial(p, last);
    first += head;
    last -= tail;
    if (first <= last)
        collect_whole(p, first, last);
}

/* Only granules that the ranges of START touch. Two ranges may share one. */
static void collect_in_ranges(const struct vus_dirty *d, const struct part *p)
{
    uint64_t next = p->first >> p->shift;
    uint64_t end = p->last >> p->shift;
    uint64_t end_last = ((end + 1) << p->shift) - 1;
    size_t i = range_from(d, p->base + (next << p->shift));

    if (end_last > p->window_last)
        end_last = p->window_last;
    for (; i < d->n_ranges && d->ranges[i].first <= p->base + end_last; i++) {
        uint64_t first = 0;
        uint64_t last = end;

        if (d->ranges[i].first > p->base)
            first = (d->ranges[i].first - p->base) >> p->shift;
        if (d->ranges[i].last < p->base + end_last)
            last = (d->ranges[i].last - p->base) >> p->shift;
        if (first < next)
            first = next;
        if (first <= last)
            collect_granules(p, first, last);
        next = last + 1;
    }
}

static void collect_window(const struct vus_dirty *d, const struct vus_window *w,
                           const struct report *r)
{
    uint64_t base = vus_window_first(w);
    struct part p = {
        .report = r,
        .b = vus_window_bitmap(w),
        .base = base,
        .first = r->first > base ? r->first - base : 0,
        .last = (r->last < vus_window_last(w) ? r->last : vus_window_last(w)) - base,
        .window_last = vus_window_last(w) - base,
    };

    if (p.b == NULL)
        return;
    p.shift = atomic_load_explicit(&p.b->shift, memory_order_relaxed);
    p.aligned = p.shift == r->shift &&
                ((base - r->first) & (((uint64_t)1 << p.shift) - 1)) == 0;
    p.page = base >= r->first ? (int64_t)((base - r->first) >> p.shift)
                              : -(int64_t)((r->first - base) >> p.shift);
    if (d->n_ranges == 0)
        collect_granules(&p, p.first >> p.shift, p.last >> p.shift);
    else
        collect_in_ranges(d, &p);
}

static void collect(struct vfu_ctx *ctx, const struct report *r)
{
    const struct vus_dma *dma = &ctx->dma;
    struct vus_window *w = vus_dma_from(dma, r->first);

    for (; w != NULL && vus_window_first(w) <= r->last; w = vus_dma_next(dma, w))
        collect_window(&ctx->dirty, w, r);
}

/* ------------------------------------------------- commands that report -- */

/* Bytes of bitmap for a report, or negative errno. name is the command's. */
static int64_t check_report(struct vfu_ctx *ctx, const char *name,
                            const struct vu_dma_report *m)
{
    int64_t size = vu_bitmap_size(m->length, m->page_size);

    if (!vus_dirty_on(ctx))
        return vus_refuse(ctx, -EINVAL, "%s: dirty pages are not being logged", name);
    if (size < 0)
        return vus_refuse(ctx, (int)size, "%s: %#llx bytes in pages of %#llx", name,
                          (unsigned long long)m->length,
                          (unsigned long long)m->page_size);
    if (m->length - 1 > UINT64_MAX - m->iova)
        return vus_refuse(ctx, -EINVAL, "%s: %#llx bytes at %#llx", name,
                          (unsigned long long)m->length, (unsigned long long)m->iova);
    if (size > (int64_t)VUS_MAX_BITMAP)
        return vus_refuse(ctx, -EINVAL, "%s: a bitmap of %lld bytes, at most %u", name,
                          (long long)size, VUS_MAX_BITMAP);
    return size;
}

static bool is_mapped(struct vfu_ctx *ctx, uint64_t first, uint64_t last)
{
    const struct vus_dma *dma = &ctx->dma;
    struct vus_window *w = vus_dma_from(dma, first);

    while (w != NULL && vus_window_first(w) <= first) {
        if (vus_window_last(w) >= last)
            return true;
        first = vus_window_last(w) + 1;
        w = vus_dma_next(dma, w);
    }
    return false;
}

static struct report make_report(const struct vu_dma_report *m, uint8_t *bits)
{
    return (struct report){
        .first = m->iova,
        .last = m->iova + (m->length - 1),
        .shift = (uint32_t)__builtin_ctzll(m->page_size),
        .bits = bits,
    };
}

int vus_dirty_report(struct vfu_ctx *ctx, const struct vu_feature *f,
                     struct vus_reply *reply)
{
    struct vu_reader in = vu_reader(f->data.data, f->data.len);
    struct vu_writer out;
    struct vu_dma_report m;
    struct report r;
    int64_t size;
    int err = vu_decode_dma_report(&in, &m);

    if (err != 0)
        return vus_refuse(ctx, err, "DMA_LOGGING_REPORT: %zu bytes of data", f->data.len);
    size = check_report(ctx, "DMA_LOGGING_REPORT", &m);
    if (size < 0)
        return (int)size;
    if (!is_mapped(ctx, m.iova, m.iova + (m.length - 1)))
        return vus_refuse(ctx, -ENOENT,
                          "DMA_LOGGING_REPORT: not all of %#llx bytes at %#llx is mapped",
                          (unsigned long long)m.length, (unsigned long long)m.iova);
    m.bitmap = (struct vu_bytes){ NULL, (size_t)size };     /* zeros */
    err = vus_feature_answer(ctx, f, VU_DMA_REPORT_SIZE + (size_t)size, reply, &out);
    if (err == 0)
        err = vu_encode_dma_report(&out, &m);
    if (err != 0)
        return err;
    r = make_report(&m, out.pos - size);
    collect(ctx, &r);
    return 0;
}

/* The whole window that is to be unmapped. */
static struct vu_dma_report unmap_request(const struct vu_dma_unmap *req)
{
    return (struct vu_dma_report){
        .iova = req->address,
        .length = req->size,
        .page_size = req->pgsize,
    };
}

static void collect_unmap(struct vfu_ctx *ctx, struct vus_window *w,
                          const struct vu_dma_unmap *req, struct vus_reply *reply)
{
    struct vu_dma_report m = unmap_request(req);
    uint8_t *end = reply->out->data + reply->out->len;
    struct report r = make_report(&m, end - req->bitmap_size);

    collect_window(&ctx->dirty, w, &r);
}

int vus_dirty_unmap_report(struct vfu_ctx *ctx, struct vus_window *w,
                           const struct vu_dma_unmap *req, struct vus_reply *reply)
{
    struct vu_dma_report m = unmap_request(req);
    struct vu_dma_unmap answer = *req;
    struct vu_writer out;
    int64_t size = check_report(ctx, "DMA_UNMAP", &m);
    int err;

    if (size < 0)
        return (int)size;
    if (req->argsz < VU_DMA_UNMAP_BITMAP_SIZE + (uint64_t)size)
        return vus_refuse(ctx, -EINVAL,
                          "DMA_UNMAP: argsz %u is too small for a bitmap of %lld bytes",
                          req->argsz, (long long)size);
    if ((uint64_t)size != req->bitmap_size)
        return vus_refuse(ctx, -EINVAL, "DMA_UNMAP: a bitmap of %llu bytes, it has %lld",
                          (unsigned long long)req->bitmap_size, (long long)size);
    answer.bitmap = (struct vu_bytes){ NULL, (size_t)size };
    out = vus_reply_body(reply, VU_DMA_UNMAP_BITMAP_SIZE + (size_t)size);
    err = vu_encode_dma_unmap(&out, &answer);
    if (err != 0)
        return err;
    collect_unmap(ctx, w, req, reply);
    return 0;
}

void vus_dirty_unmap_rest(struct vfu_ctx *ctx, struct vus_window *w,
                          const struct vu_dma_unmap *req, struct vus_reply *reply)
{
    collect_unmap(ctx, w, req, reply);
}
