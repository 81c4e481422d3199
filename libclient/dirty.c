/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bitmaps of dirty pages: made from ranges and from what servers send, read as runs.
 */
#include "libclient/dirty.h"

#include <stdlib.h>

#define BITMAP_MAX (UINT64_C(1) << 36)  /* bytes: a bit for each 4 KiB of 2 PiB */

/* Where bits are looked for. */
struct bits {
    const uint64_t *words;
    uint64_t n;             /* bits */
};

/* The first bit from `from` on that is set (flip 0) or clear (flip ~0), or n. */
static uint64_t find(struct bits b, uint64_t from, uint64_t flip)
{
    while (from < b.n) {
        uint64_t word = (b.words[from / 64] ^ flip) >> (from % 64);

        if (word != 0) {
            from += (uint64_t)__builtin_ctzll(word);
            return from < b.n ? from : b.n;
        }
        from = (from / 64 + 1) * 64;
    }
    return b.n;
}

static void set(uint64_t *words, uint64_t first, uint64_t last)
{
    while (first / 64 < last / 64) {
        words[first / 64] |= ~UINT64_C(0) << (first % 64);
        first = (first / 64 + 1) * 64;
    }
    words[first / 64] |= (~UINT64_C(0) << (first % 64))
                         & (~UINT64_C(0) >> (63 - last % 64));
}

static struct bits bits_of(const struct vfuc_dirty *dirty)
{
    return (struct bits){ .words = dirty->words, .n = dirty->pages };
}

/* ----------------------------------------------------------------- making -- */

struct vfuc_dirty *vuc_dirty_new(uint64_t address, uint64_t size, uint64_t page_size)
{
    unsigned shift = (unsigned)__builtin_ctzll(page_size);
    uint64_t pages = ((size - 1) >> shift) + 1;
    uint64_t n_words = (pages - 1) / 64 + 1;
    struct vfuc_dirty *d;
    uint64_t most = PTRDIFF_MAX - sizeof(*d);   /* bytes; less where pointers are short */

    if (most > BITMAP_MAX)
        most = BITMAP_MAX;
    if (n_words > most / sizeof(d->words[0]))
        return NULL;
    d = calloc(1, sizeof(*d) + (size_t)n_words * sizeof(d->words[0]));
    if (d == NULL)
        return NULL;
    d->address = address;
    d->size = size;
    d->shift = shift;
    d->pages = pages;
    d->n_words = (size_t)n_words;
    return d;
}

void vuc_dirty_mark(struct vfuc_dirty *dirty, uint64_t first, uint64_t last)
{
    set(dirty->words, (first - dirty->address) >> dirty->shift,
        (last - dirty->address) >> dirty->shift);
}

/* Bits [from, to) of a server's, which begin at address first. */
static void mark_run(struct vfuc_dirty *dirty, uint64_t first, uint64_t size,
                     uint64_t from, uint64_t to)
{
    uint64_t end = (size - 1) >> dirty->shift < to ? size : to << dirty->shift;

    vuc_dirty_mark(dirty, first + (from << dirty->shift), first + (end - 1));
}

void vuc_dirty_merge(struct vfuc_dirty *dirty, uint64_t first, uint64_t size,
                     struct vu_bytes bitmap)
{
    uint64_t pages = ((size - 1) >> dirty->shift) + 1;
    struct vu_reader r = vu_reader(bitmap.data, bitmap.len);

    /* Word by word: the bytes may lie anywhere. */
    for (uint64_t base = 0; base < pages; base += 64) {
        uint64_t word = vu_get_u64(&r);
        struct bits b = { &word, pages - base < 64 ? pages - base : 64 };
        uint64_t from = find(b, 0, 0);

        while (from < b.n) {
            uint64_t to = find(b, from, ~UINT64_C(0));

            mark_run(dirty, first, size, base + from, base + to);
            from = find(b, to, 0);
        }
    }
}

/* ---------------------------------------------------------------- reading -- */

bool vfuc_dirty_next(struct vfuc_dirty *dirty, struct vfuc_range *run)
{
    uint64_t from = find(bits_of(dirty), dirty->next, 0);
    uint64_t to, end;

    dirty->next = from;
    if (from == dirty->pages)
        return false;
    to = find(bits_of(dirty), from, ~UINT64_C(0));
    end = to == dirty->pages ? dirty->size : to << dirty->shift;
    run->address = dirty->address + (from << dirty->shift);
    run->size = end - (from << dirty->shift);
    dirty->next = to;
    return true;
}

void vfuc_dirty_rewind(struct vfuc_dirty *dirty)
{
    dirty->next = 0;
}

uint64_t vfuc_dirty_count(const struct vfuc_dirty *dirty)
{
    uint64_t n = 0;

    for (size_t i = 0; i < dirty->n_words; i++)
        n += (uint64_t)__builtin_popcountll(dirty->words[i]);
    return n;
}

const uint64_t *vfuc_dirty_bitmap(const struct vfuc_dirty *dirty, size_t *words)
{
    *words = dirty->n_words;
    return dirty->words;
}

void vfuc_dirty_free(struct vfuc_dirty *dirty)
{
    free(dirty);
}
