/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA logging: which pages the device wrote.
 *
 * The server knows what it writes through its own mappings, we know what it has us write.
 * A report is both. Of windows without a descriptor the server knows nothing (and some
 * refuse to be asked), so a range is asked for without them.
 */
#include "libclient/feature.h"

#include <stdlib.h>

static bool power_of_two(uint64_t v)
{
    return v != 0 && (v & (v - 1)) == 0;
}

/* ------------------------------------------------------------ start and stop -- */

static int check_ranges(struct vfuc_client *client, const struct vfuc_range *ranges,
                        uint32_t count)
{
    if (ranges == NULL && count > 0)
        return vuc_fail(client, -EINVAL, "the ranges to be watched are missing");
    if (VU_DMA_LOGGING_SIZE + (uint64_t)count * VU_DMA_LOGGING_RANGE_SIZE
        > vuc_feature_room(client))
        return vuc_fail(client, -E2BIG, "a message cannot carry %u ranges", count);
    for (uint32_t i = 0; i < count; i++) {
        if (ranges[i].size == 0 || ranges[i].size - 1 > UINT64_MAX - ranges[i].address)
            return vuc_fail(client, -EINVAL, "range %u is empty or wraps around", i);
    }
    return 0;
}

static size_t encode_start(uint8_t *data, size_t room, uint64_t page_size,
                           const struct vfuc_range *ranges, uint32_t count)
{
    struct vu_writer w = vu_writer(data, room);
    struct vu_dma_logging m = { .page_size = page_size, .num_ranges = count };

    vu_encode_dma_logging(&w, &m);
    for (uint32_t i = 0; i < count; i++) {
        struct vu_dma_logging_range range = { ranges[i].address, ranges[i].size };

        vu_encode_dma_logging_range(&w, &range);
    }
    return w.len;
}

/* Send it; *chosen is the server's page size. */
static int start(struct vfuc_client *client, const void *data, size_t len,
                 uint64_t *chosen)
{
    struct vu_message reply;
    struct vu_feature got;
    struct vu_reader r;
    uint64_t page_size;
    int err = vuc_feature(client, VU_FEATURE_DMA_LOGGING_START | VU_FEATURE_SET, data,
                          len, (uint32_t)(VU_FEATURE_SIZE + len), &reply, &got);

    if (err < 0)
        return err;
    r = vu_reader(got.data.data, got.data.len);
    page_size = vu_get_u64(&r);
    if (got.data.len < VU_DMA_LOGGING_SIZE)
        return vuc_broken_reply(client, &reply, "it is too short for a page size");
    if (!power_of_two(page_size))
        return vuc_broken_reply(client, &reply, "its page size is no power of two");
    vu_message_done(&reply);
    *chosen = page_size;
    return 0;
}

static int encode_and_start(struct vfuc_client *client, uint64_t page_size,
                            const struct vfuc_range *ranges, uint32_t count,
                            uint64_t *chosen)
{
    size_t room = VU_DMA_LOGGING_SIZE + (size_t)count * VU_DMA_LOGGING_RANGE_SIZE;
    uint8_t *data = malloc(room);
    int err;

    if (data == NULL)
        return vuc_fail(client, -ENOMEM, "no memory for ranges");
    err = start(client, data, encode_start(data, room, page_size, ranges, count), chosen);
    free(data);
    return err;
}

/* Note everything: what matters is not settled until the server has answered. Returns how
 * it was. */
static struct vuc_written note_everything(struct vuc_windows *w)
{
    struct vuc_written before;

    pthread_mutex_lock(&w->lock);
    before = w->written;
    w->written.on = true;
    w->written.everything = true;
    pthread_mutex_unlock(&w->lock);
    return before;
}

/* From now on these ranges (none: everything); taken over. */
static void watch(struct vuc_windows *w, struct vuc_ranges *ranges)
{
    struct vuc_ranges before;

    pthread_mutex_lock(&w->lock);
    before = w->written.watched;
    w->written.watched = *ranges;
    w->written.everything = ranges->n == 0;
    pthread_mutex_unlock(&w->lock);
    *ranges = before;
}

/* The server did not start: go on as before. */
static void go_back(struct vuc_windows *w, const struct vuc_written *before)
{
    pthread_mutex_lock(&w->lock);
    if (before->on)
        w->written.everything = before->everything;
    else
        vuc_written_stop(&w->written);
    pthread_mutex_unlock(&w->lock);
}

int vfuc_dma_logging_start(struct vfuc_client *client, uint64_t page_size,
                           const struct vfuc_range *ranges, uint32_t count,
                           uint64_t *chosen)
{
    struct vuc_written before;
    struct vuc_ranges sorted;
    uint64_t got = 0;
    int err = vuc_usable(client);

    if (err == 0 && !power_of_two(page_size))
        err = vuc_fail(client, -EINVAL, "a page size is a power of two");
    if (err == 0)
        err = check_ranges(client, ranges, count);
    if (err < 0)
        return err;
    if (vuc_ranges_of(ranges, count, &sorted) < 0)
        return vuc_fail(client, -ENOMEM, "no memory for ranges");
    before = note_everything(&client->windows);
    err = encode_and_start(client, page_size, ranges, count, &got);
    if (err < 0)
        go_back(&client->windows, &before);
    else
        watch(&client->windows, &sorted);
    vuc_ranges_done(&sorted);
    if (err == 0 && chosen != NULL)
        *chosen = got;
    return err;
}

int vfuc_dma_logging_stop(struct vfuc_client *client)
{
    struct vu_message reply;
    struct vu_feature got;
    int err = vuc_feature(client, VU_FEATURE_DMA_LOGGING_STOP | VU_FEATURE_SET, NULL, 0,
                          VU_FEATURE_SIZE, &reply, &got);

    if (err < 0)
        return err;
    vu_message_done(&reply);
    vuc_windows_stop_logging(&client->windows);
    return 0;
}

/* ----------------------------------------------------------------- reports -- */

/* The reply's own words, and the bitmap behind them. */
static int take_bitmap(struct vfuc_client *client, const struct vu_dma_report *asked,
                       struct vfuc_dirty *dirty, struct vu_message *reply,
                       const struct vu_feature *got)
{
    struct vu_reader r = vu_reader(got->data.data, got->data.len);
    struct vu_dma_report m;

    if (vu_decode_dma_report(&r, &m) < 0)
        return vuc_broken_reply(client, reply, "it is too short for a report");
    if (m.iova != asked->iova || m.length != asked->length)
        return vuc_broken_reply(client, reply, "it is about another range");
    if (m.page_size != asked->page_size)
        return vuc_broken_reply(client, reply, "it is about other pages");
    if (m.bitmap.len != (size_t)vu_bitmap_size(m.length, m.page_size))
        return vuc_broken_reply(client, reply, "its bitmap is not as long as the range");
    vuc_dirty_merge(dirty, m.iova, m.length, m.bitmap);
    vu_message_done(reply);
    return 0;
}

/* One REPORT; its bitmap fits into a message. */
static int ask(struct vfuc_client *client, struct vfuc_dirty *dirty, uint64_t first,
               uint64_t size)
{
    struct vu_dma_report m = {
        .iova = first, .length = size, .page_size = UINT64_C(1) << dirty->shift,
    };
    uint8_t data[VU_DMA_REPORT_SIZE];
    struct vu_writer w = vu_writer(data, sizeof(data));
    uint64_t bitmap = (uint64_t)vu_bitmap_size(size, m.page_size);
    struct vu_message reply;
    struct vu_feature got;
    int err;

    vu_encode_dma_report(&w, &m);
    err = vuc_feature(client, VU_FEATURE_DMA_LOGGING_REPORT | VU_FEATURE_GET, data,
                      sizeof(data), (uint32_t)(VU_FEATURE_SIZE + sizeof(data) + bitmap),
                      &reply, &got);
    return err < 0 ? err : take_bitmap(client, &m, dirty, &reply, &got);
}

/* Pages whose bits one reply carries, whole words of them. */
static uint64_t pages_at_once(const struct vfuc_client *client)
{
    uint64_t room = vuc_feature_room(client);
    uint64_t words = room < VU_DMA_REPORT_SIZE ? 0 : (room - VU_DMA_REPORT_SIZE) / 8;

    return 64 * (words == 0 ? 1 : words);
}

static int ask_all(struct vfuc_client *client, struct vfuc_dirty *dirty,
                   const struct vuc_interval *range)
{
    uint64_t pages = pages_at_once(client), first = range->first;

    for (;;) {
        uint64_t left = range->last - first;    /* one less than there are */
        bool rest = left >> dirty->shift < pages;
        uint64_t size = rest ? left + 1 : pages << dirty->shift;
        int err = ask(client, dirty, first, size);

        if (err < 0 || rest)
            return err;
        first += size;
    }
}

/* The lowest window without a descriptor in [first, last], or NULL. */
static const struct vuc_window *lowest_of_ours(const struct vuc_windows *w,
                                               uint64_t first, uint64_t last)
{
    for (;;) {
        const struct vuc_window *window = vuc_interval_lowest(&w->tree, first, last);

        if (window == NULL || window->file == NULL)
            return window;
        if (window->at.last >= last)
            return NULL;
        first = window->at.last + 1;
    }
}

/* All of the range but our own windows. */
static int ask_around(struct vfuc_client *client, struct vfuc_dirty *dirty,
                      struct vuc_interval range)
{
    for (;;) {
        const struct vuc_window *ours =
            lowest_of_ours(&client->windows, range.first, range.last);
        uint64_t behind = ours == NULL ? 0 : ours->at.last;
        int err = 0;

        if (ours == NULL)
            return ask_all(client, dirty, &range);
        if (ours->at.first > range.first)
            err = ask_all(client, dirty, &(struct vuc_interval){ range.first,
                                                                 ours->at.first - 1 });
        if (err < 0 || behind >= range.last)
            return err;
        range.first = behind + 1;
    }
}

static int note_run(struct vuc_windows *w, const struct vfuc_range *run)
{
    uint64_t first = run->address, last = run->address + (run->size - 1);
    const struct vuc_window *window;
    int err = 0;

    while (err == 0 && (window = vuc_interval_lowest(&w->tree, first, last)) != NULL) {
        uint64_t from = first > window->at.first ? first : window->at.first;
        uint64_t to = last < window->at.last ? last : window->at.last;

        err = vuc_written_note(&w->written, &window->at, from, to);
        if (to == last)
            break;
        first = to + 1;
    }
    return err;
}

/* A report that failed half-way: the server counts as clean what it has told so far, so
 * that is noted as ours. */
static int keep(struct vuc_windows *w, struct vfuc_dirty *dirty)
{
    struct vfuc_range run;
    int err = 0;

    pthread_mutex_lock(&w->lock);
    while (err == 0 && vfuc_dirty_next(dirty, &run))
        err = note_run(w, &run);
    pthread_mutex_unlock(&w->lock);
    return err;
}

static int check_report(struct vfuc_client *client, uint64_t address, uint64_t size,
                        uint64_t page_size)
{
    int err = vuc_usable(client);

    if (err < 0)
        return err;
    if (!client->windows.written.on)
        return vuc_fail(client, -EINVAL, "DMA logging was not started");
    if (size == 0 || size - 1 > UINT64_MAX - address)
        return vuc_fail(client, -EINVAL, "the range is empty or wraps around");
    if (!power_of_two(page_size))
        return vuc_fail(client, -EINVAL, "a page size is a power of two");
    return 0;
}

int vfuc_dma_logging_report(struct vfuc_client *client, uint64_t address, uint64_t size,
                            uint64_t page_size, struct vfuc_dirty **dirty)
{
    struct vfuc_dirty *d;
    int err = check_report(client, address, size, page_size);

    if (err < 0)
        return err;
    d = vuc_dirty_new(address, size, page_size);
    if (d == NULL)
        return vuc_fail(client, -ENOMEM, "no memory for a bitmap");
    err = ask_around(client, d,
                     (struct vuc_interval){ address, address + (size - 1) });
    if (err == 0) {
        vuc_windows_report(&client->windows, d);
        *dirty = d;
        return 0;
    }
    if (keep(&client->windows, d) < 0) {
        err = vuc_fail(client, -ENOMEM, "no memory to keep a report that failed");
        vuc_disconnect(client);
    }
    vfuc_dirty_free(d);
    return err;
}
