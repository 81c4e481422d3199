/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A client that logs dirty pages, and a device that writes some, without a socket.
 *
 *   struct core c;
 *   log_begin(&c);
 *   map_ram(&c, 0x100000, 64 * PAGE);
 *   start(&c, PAGE);
 *   device_writes(&c, 0x101000, 1);
 *   struct answer a = report(&c, 0x100000, 64 * PAGE, PAGE);
 *   assert_pages(&a, 1, (const uint64_t[]){ 1 });
 *   core_end(&c);
 */
#ifndef VUS_TESTS_DIRTY_H
#define VUS_TESTS_DIRTY_H

#include "libserver/tests/core.h"

#include <inttypes.h>

#define PAGE 4096u
#define KB   ((uint64_t)1 << 10)
#define MB   ((uint64_t)1 << 20)
#define GB   ((uint64_t)1 << 30)
#define RAM  0x100000u      /* where most tests map theirs */

#define DATA_RW (VU_DMA_READABLE | VU_DMA_WRITEABLE)

static inline int no_transition(vfu_ctx_t *ctx, vfu_migr_state_t state)
{
    (void)ctx;
    (void)state;
    return 0;
}

static inline ssize_t no_data(vfu_ctx_t *ctx, void *buf, uint64_t count)
{
    (void)ctx;
    (void)buf;
    (void)count;
    return 0;
}

static inline void log_begin(struct core *c)
{
    const vfu_migration_callbacks_t migration = {
        .version = VFU_MIGR_CALLBACKS_VERS,
        .transition = no_transition,
        .read_data = no_data,
        .write_data = no_data,
    };

    core_begin(c);
    c->out.limit = VUS_MAX_REPLY;
    assert_int_equal(vfu_setup_device_migration_callbacks(c->ctx, &migration), 0);
}

/* ------------------------------------------------------------- windows -- */

static inline struct answer try_map(struct core *c, uint64_t address, uint64_t size,
                                    uint32_t flags)
{
    int fd = core_memory(size);
    struct answer a = core_dma_map(c, (struct vu_dma_map){ .flags = flags,
                                   .address = address, .size = size }, fd);

    close(fd);
    return a;
}

static inline void map_ram(struct core *c, uint64_t address, uint64_t size)
{
    struct answer a = try_map(c, address, size, DATA_RW);

    assert_answer_ok(&a, 0);
}

static inline void unmap_ram(struct core *c, uint64_t address, uint64_t size)
{
    struct answer a = core_dma_unmap(c, (struct vu_dma_unmap){ .address = address,
                                     .size = size });

    assert_answer_ok(&a, VU_DMA_UNMAP_SIZE);
}

/* argsz 0: as much as is needed. */
static inline struct answer unmap_with_bitmap(struct core *c, struct vu_dma_unmap m)
{
    uint8_t body[VU_DMA_UNMAP_BITMAP_SIZE];

    m.flags |= VU_DMA_UNMAP_GET_DIRTY_BITMAP;
    if (m.argsz == 0)
        m.argsz = (uint32_t)(VU_DMA_UNMAP_BITMAP_SIZE + m.bitmap_size);
    ENCODE(dma_unmap, &m, body);
    return core_send(c, VU_DMA_UNMAP, body, sizeof(body));
}

/* As a device does that accesses guest memory by pointers. prot: what for. */
static inline void device_uses(vfu_ctx_t *ctx, uint64_t address, uint64_t len, int prot)
{
    dma_sg_t sgl[16];
    int n = vfu_addr_to_sgl(ctx, (vfu_dma_addr_t)(uintptr_t)address, len, sgl, 16, prot);

    if (n < 1)
        abort();        /* no assertion: runs on any thread */
    vfu_sgl_put(ctx, sgl, NULL, (size_t)n);
}

static inline void device_writes(struct core *c, uint64_t address, uint64_t len)
{
    device_uses(c->ctx, address, len, PROT_WRITE);
}

/* ------------------------------------------------------------ features -- */

static inline struct answer feature(struct core *c, uint32_t flags, uint32_t argsz,
                                    const void *data, size_t len)
{
    struct vu_feature f = { .argsz = argsz, .flags = flags, .data = { data, len } };
    uint8_t *body = malloc(VU_FEATURE_SIZE + len);
    struct vu_writer w = vu_writer(body, VU_FEATURE_SIZE + len);
    struct answer a;

    assert_int_equal(vu_encode_feature(&w, &f), 0);
    a = core_send(c, VU_DEVICE_FEATURE, body, VU_FEATURE_SIZE + len);
    free(body);
    return a;
}

static inline struct answer feature_set(struct core *c, uint32_t index, const void *data,
                                        size_t len)
{
    return feature(c, VU_FEATURE_SET | index, (uint32_t)(VU_FEATURE_SIZE + len), data,
                   len);
}

static inline struct answer try_start(struct core *c, uint64_t page_size,
                                      const struct vu_dma_logging_range *ranges,
                                      uint32_t n)
{
    size_t len = VU_DMA_LOGGING_SIZE + (size_t)n * VU_DMA_LOGGING_RANGE_SIZE;
    struct vu_dma_logging m = { .page_size = page_size, .num_ranges = n };
    uint8_t *data = malloc(len);
    struct vu_writer w = vu_writer(data, len);
    struct answer a;

    assert_int_equal(vu_encode_dma_logging(&w, &m), 0);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(vu_encode_dma_logging_range(&w, &ranges[i]), 0);
    a = feature_set(c, VU_FEATURE_DMA_LOGGING_START, data, len);
    free(data);
    return a;
}

/* The page size of an answer to START. */
static inline uint64_t chosen(const struct answer *a)
{
    struct vu_dma_logging m;
    struct vu_feature f;
    struct vu_reader r;

    assert_answer_ok(a, a->body_len);
    DECODE(feature, a, &f);
    r = vu_reader(f.data.data, f.data.len);
    assert_int_equal(vu_decode_dma_logging(&r, &m), 0);
    return m.page_size;
}

static inline void start_ranges(struct core *c, uint64_t page_size,
                                const struct vu_dma_logging_range *ranges, uint32_t n)
{
    struct answer a = try_start(c, page_size, ranges, n);

    assert_answer_ok(&a, VU_FEATURE_SIZE + VU_DMA_LOGGING_SIZE +
                         n * VU_DMA_LOGGING_RANGE_SIZE);
}

static inline void start(struct core *c, uint64_t page_size)
{
    start_ranges(c, page_size, NULL, 0);
}

static inline void stop(struct core *c)
{
    struct answer a = feature_set(c, VU_FEATURE_DMA_LOGGING_STOP, NULL, 0);

    assert_answer_ok(&a, VU_FEATURE_SIZE);
}

static inline struct answer report_argsz(struct core *c, uint64_t iova, uint64_t length,
                                         uint64_t page_size, uint32_t argsz)
{
    struct vu_dma_report m = { .iova = iova, .length = length, .page_size = page_size };
    uint8_t data[VU_DMA_REPORT_SIZE];

    ENCODE(dma_report, &m, data);
    return feature(c, VU_FEATURE_GET | VU_FEATURE_DMA_LOGGING_REPORT, argsz, data,
                   sizeof(data));
}

/* With room for any answer. */
static inline struct answer try_report(struct core *c, uint64_t iova, uint64_t length,
                                       uint64_t page_size)
{
    return report_argsz(c, iova, length, page_size, UINT32_MAX);
}

static inline uint64_t words_of(uint64_t length, uint64_t page_size)
{
    uint64_t pages = length / page_size + (length % page_size != 0);

    return pages / 64 + (pages % 64 != 0);
}

/* The answer is one to such a report. Returns where its bitmap begins. */
static inline const uint8_t *assert_report(const struct answer *a, uint64_t iova,
                                           uint64_t length, uint64_t page_size)
{
    size_t size = VU_FEATURE_SIZE + VU_DMA_REPORT_SIZE + 8 * words_of(length, page_size);
    struct vu_dma_report m;
    struct vu_feature f;
    struct vu_reader r;

    assert_answer_ok(a, size);
    DECODE(feature, a, &f);
    assert_int_equal(f.argsz, size);
    assert_int_equal(f.flags, VU_FEATURE_GET | VU_FEATURE_DMA_LOGGING_REPORT);
    r = vu_reader(f.data.data, f.data.len);
    assert_int_equal(vu_decode_dma_report(&r, &m), 0);
    assert_true(m.iova == iova && m.length == length && m.page_size == page_size);
    return m.bitmap.data;
}

static inline struct answer report(struct core *c, uint64_t iova, uint64_t length,
                                   uint64_t page_size)
{
    struct answer a = try_report(c, iova, length, page_size);

    assert_report(&a, iova, length, page_size);
    return a;
}

/* -------------------------------------------------------------- bitmaps -- */

static inline bool bit(const uint8_t *bits, uint64_t i)
{
    uint64_t word;

    memcpy(&word, bits + i / 64 * 8, sizeof(word));
    return (word >> (i % 64) & 1) != 0;
}

/* Exactly these pages are dirty, in ascending order. fixed: bytes before the bitmap. */
static inline void assert_pages_at(const struct answer *a, size_t fixed, size_t n,
                                   const uint64_t *pages)
{
    const uint8_t *bits = a->body + fixed;
    size_t found = 0;

    for (uint64_t i = 0; i < (a->body_len - fixed) * 8; i++) {
        if (!bit(bits, i))
            continue;
        if (found == n || pages[found] != i)
            fail_msg("page %" PRIu64 " is not the %zu. of %zu expected", i, found, n);
        found++;
    }
    assert_int_equal(found, n);
}

static inline void assert_pages(const struct answer *a, size_t n, const uint64_t *pages)
{
    assert_pages_at(a, VU_FEATURE_SIZE + VU_DMA_REPORT_SIZE, n, pages);
}

static inline void assert_clean(const struct answer *a)
{
    assert_pages(a, 0, NULL);
}

#define PAGES(...) \
    (sizeof((const uint64_t[]){ __VA_ARGS__ }) / 8), ((const uint64_t[]){ __VA_ARGS__ })

#endif
