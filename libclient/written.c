/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pages that were written by message: ranges that are watched, blocks of bits, reports.
 */
#include "libclient/written.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>

#define PAGE_SHIFT  12
#define BLOCK_SHIFT 27          /* 32768 pages, 4 KiB of bits */

/* The part of one window that lies in one aligned block of addresses. */
struct block {
    struct vuc_interval at;     /* first: it is in the tree */
    size_t n_words;
    uint64_t n_set;
    uint64_t words[];           /* bit 0: the page that holds at.first */
};

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* ----------------------------------------------------------------- ranges -- */

static int by_address(const void *a, const void *b)
{
    const struct vuc_interval *x = a, *y = b;

    return x->first < y->first ? -1 : x->first > y->first;
}

int vuc_ranges_of(const struct vfuc_range *ranges, uint32_t n, struct vuc_ranges *sorted)
{
    struct vuc_interval *at = n == 0 ? NULL : malloc(n * sizeof(*at));
    size_t top = 0;

    if (n > 0 && at == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        at[i].first = ranges[i].address;
        at[i].last = ranges[i].address + (ranges[i].size - 1);
    }
    if (n > 1)
        qsort(at, n, sizeof(*at), by_address);
    for (uint32_t i = 1; i < n; i++) {
        if (at[i].first <= at[top].last)
            at[top].last = max(at[top].last, at[i].last);
        else
            at[++top] = at[i];
    }
    *sorted = (struct vuc_ranges){ .at = at, .n = n == 0 ? 0 : top + 1 };
    return 0;
}

void vuc_ranges_done(struct vuc_ranges *ranges)
{
    free(ranges->at);
    *ranges = (struct vuc_ranges){ 0 };
}

/* Index of the first range that ends at `first` or behind it. */
static size_t find_range(const struct vuc_ranges *ranges, uint64_t first)
{
    size_t low = 0, high = ranges->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (ranges->at[mid].last < first)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* ----------------------------------------------------------------- blocks -- */

static size_t block_bytes(size_t n_words)
{
    return sizeof(struct block) + n_words * sizeof(uint64_t);
}

static struct block *make_block(struct vuc_written *w, struct vuc_interval at)
{
    uint64_t pages = (at.last >> PAGE_SHIFT) - (at.first >> PAGE_SHIFT) + 1;
    size_t n_words = (size_t)((pages - 1) / 64 + 1);
    struct block *b;

    if (block_bytes(n_words) > VUC_WRITTEN_MAX - w->bytes)
        return NULL;
    b = calloc(1, block_bytes(n_words));
    if (b == NULL)
        return NULL;
    b->at = at;
    b->n_words = n_words;
    if (vuc_interval_add(&w->blocks, &b->at) < 0) {
        free(b);
        return NULL;
    }
    w->bytes += block_bytes(n_words);
    return b;
}

static void drop_block(struct vuc_written *w, struct block *b)
{
    vuc_interval_remove(&w->blocks, &b->at);
    w->bytes -= block_bytes(b->n_words);
    free(b);
}

/* The block of the window that holds this address. */
static struct block *get_block(struct vuc_written *w, const struct vuc_interval *window,
                               uint64_t address)
{
    uint64_t base = address >> BLOCK_SHIFT << BLOCK_SHIFT;
    uint64_t end = base + ((UINT64_C(1) << BLOCK_SHIFT) - 1);
    struct block *b = vuc_interval_any(&w->blocks, address, address);

    if (b != NULL)
        return b;
    return make_block(w, (struct vuc_interval){ max(base, window->first),
                                                min(end, window->last) });
}

/* The page of bit `bit`, as far as it belongs to the window. */
static struct vuc_interval page_of(const struct block *b, uint64_t bit)
{
    uint64_t base = ((b->at.first >> PAGE_SHIFT) + bit) << PAGE_SHIFT;
    uint64_t end = base + ((UINT64_C(1) << PAGE_SHIFT) - 1);

    return (struct vuc_interval){ max(base, b->at.first), min(end, b->at.last) };
}

static void set_bits(struct block *b, uint64_t first, uint64_t last)
{
    uint64_t base = b->at.first >> PAGE_SHIFT;

    for (uint64_t bit = (first >> PAGE_SHIFT) - base;
         bit <= (last >> PAGE_SHIFT) - base; bit++) {
        uint64_t mask = UINT64_C(1) << (bit % 64);

        b->n_set += (b->words[bit / 64] & mask) == 0;
        b->words[bit / 64] |= mask;
    }
}

/* ------------------------------------------------------------------ noting -- */

static int note_all(struct vuc_written *w, const struct vuc_interval *window,
                    uint64_t first, uint64_t last)
{
    for (;;) {
        struct block *b = get_block(w, window, first);

        if (b == NULL)
            return -ENOMEM;
        set_bits(b, first, min(last, b->at.last));
        if (b->at.last >= last)
            return 0;
        first = b->at.last + 1;
    }
}

int vuc_written_note(struct vuc_written *w, const struct vuc_interval *window,
                     uint64_t first, uint64_t last)
{
    int err = 0;

    if (!w->on)
        return 0;
    if (w->everything)
        return note_all(w, window, first, last);
    for (size_t i = find_range(&w->watched, first);
         err == 0 && i < w->watched.n && w->watched.at[i].first <= last; i++)
        err = note_all(w, window, max(first, w->watched.at[i].first),
                       min(last, w->watched.at[i].last));
    return err;
}

/* ----------------------------------------------------------------- reports -- */

/* A page that was written: report what lies in the range. Is it clean then? */
static bool report_page(struct vfuc_dirty *dirty, const struct vuc_interval *range,
                        const struct vuc_interval *page)
{
    if (page->last < range->first || page->first > range->last)
        return false;
    vuc_dirty_mark(dirty, max(page->first, range->first), min(page->last, range->last));
    return vuc_interval_holds(range, page->first, page->last);
}

static void report_block(struct block *b, struct vfuc_dirty *dirty,
                         const struct vuc_interval *range)
{
    for (size_t i = 0; i < b->n_words; i++) {
        for (uint64_t left = b->words[i]; left != 0; left &= left - 1) {
            struct vuc_interval page =
                page_of(b, i * UINT64_C(64) + (uint64_t)__builtin_ctzll(left));

            if (report_page(dirty, range, &page)) {
                b->words[i] &= ~(left & -left);
                b->n_set--;
            }
        }
    }
}

void vuc_written_report(struct vuc_written *w, struct vfuc_dirty *dirty)
{
    struct vuc_interval range = { dirty->address,
                                  dirty->address + (dirty->size - 1) };
    uint64_t from = range.first;
    struct block *b;

    while ((b = vuc_interval_lowest(&w->blocks, from, range.last)) != NULL) {
        uint64_t end = b->at.last;

        report_block(b, dirty, &range);
        if (b->n_set == 0)
            drop_block(w, b);
        if (end >= range.last)
            break;
        from = end + 1;
    }
}

void vuc_written_forget(struct vuc_written *w, const struct vuc_interval *window)
{
    struct block *b;

    while ((b = vuc_interval_any(&w->blocks, window->first, window->last)) != NULL)
        drop_block(w, b);
}

void vuc_written_stop(struct vuc_written *w)
{
    tdestroy(w->blocks, free);
    vuc_ranges_done(&w->watched);
    *w = (struct vuc_written){ 0 };
}
