/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One message, any bytes: the header, the decoder of every body, and the text.
 *
 * Input: a header (16 bytes), then the body. Beyond "no fault", the oracles are:
 * a body that a decoder takes is encoded to bytes that decode to the same again,
 * and the text is one line of printable characters.
 */
#include <stdio.h>
#include <stdlib.h>

#include "wire/channel.h"
#include "wire/command.h"
#include "wire/text.h"

#define REQUIRE(cond)                                                   \
    do {                                                                \
        if (!(cond)) {                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);  \
            abort();                                                    \
        }                                                               \
    } while (0)

/* decode, encode, decode, encode: the two encodings are the same. */
#define ROUND_TRIP(type, decode, encode)                                        \
    do {                                                                        \
        struct type m, again;                                                   \
        struct vu_reader r = vu_reader(body, len);                              \
        struct vu_writer w = vu_writer(once, len + VU_FEATURE_SIZE);            \
                                                                                \
        if (decode(&r, &m) != 0)                                                \
            break;                                                              \
        REQUIRE(encode(&w, &m) == 0);                                           \
        r = vu_reader(once, w.len);                                             \
        REQUIRE(decode(&r, &again) == 0);                                       \
        size_t first = w.len;                                                   \
        w = vu_writer(twice, len + VU_FEATURE_SIZE);                            \
        REQUIRE(encode(&w, &again) == 0);                                       \
        REQUIRE(w.len == first && memcmp(once, twice, first) == 0);             \
    } while (0)

static void bodies(const uint8_t *body, size_t len, uint8_t *once, uint8_t *twice)
{
    ROUND_TRIP(vu_version, vu_decode_version, vu_encode_version);
    ROUND_TRIP(vu_dma_map, vu_decode_dma_map, vu_encode_dma_map);
    ROUND_TRIP(vu_dma_unmap, vu_decode_dma_unmap, vu_encode_dma_unmap);
    ROUND_TRIP(vu_dma_unmap, vu_decode_dma_unmap_reply, vu_encode_dma_unmap);
    ROUND_TRIP(vu_device_info, vu_decode_device_info, vu_encode_device_info);
    ROUND_TRIP(vu_region_info, vu_decode_region_info, vu_encode_region_info);
    ROUND_TRIP(vu_irq_info, vu_decode_irq_info, vu_encode_irq_info);
    ROUND_TRIP(vu_irq_set, vu_decode_irq_set, vu_encode_irq_set);
    ROUND_TRIP(vu_region_access, vu_decode_region_access, vu_encode_region_access);
    ROUND_TRIP(vu_region_access, vu_decode_region_data, vu_encode_region_access);
    ROUND_TRIP(vu_write_multi, vu_decode_write_multi, vu_encode_write_multi);
    ROUND_TRIP(vu_dma_access, vu_decode_dma_access, vu_encode_dma_access);
    ROUND_TRIP(vu_dma_access, vu_decode_dma_data, vu_encode_dma_access);
    ROUND_TRIP(vu_dma_access, vu_decode_dma_write_reply, vu_encode_dma_access);
    ROUND_TRIP(vu_feature, vu_decode_feature, vu_encode_feature);
    ROUND_TRIP(vu_feature_migration, vu_decode_feature_migration,
               vu_encode_feature_migration);
    ROUND_TRIP(vu_feature_mig_state, vu_decode_feature_mig_state,
               vu_encode_feature_mig_state);
    ROUND_TRIP(vu_dma_logging, vu_decode_dma_logging, vu_encode_dma_logging);
    ROUND_TRIP(vu_dma_report, vu_decode_dma_report, vu_encode_dma_report);
    ROUND_TRIP(vu_mig_data, vu_decode_mig_data, vu_encode_mig_data);
}

/* Entries behind a fixed structure: every index that the count allows. */
static void entries(const uint8_t *body, size_t len)
{
    struct vu_reader r = vu_reader(body, len);
    struct vu_region_io_fds fds;
    struct vu_io_fd_entry fd;
    struct vu_write_multi multi;
    struct vu_write_multi_entry write;
    struct vu_dma_logging logging;
    struct vu_dma_logging_range range;

    if (vu_decode_region_io_fds(&r, &fds) == 0)
        for (uint32_t i = 0; i < 64; i++)
            (void)vu_decode_io_fd_entry(&fds, i, &fd);
    r = vu_reader(body, len);
    if (vu_decode_write_multi(&r, &multi) == 0)
        for (uint64_t i = 0; i < multi.count; i++)
            REQUIRE(vu_decode_write_multi_entry(&multi, i, &write) == 0);
    r = vu_reader(body, len);
    if (vu_decode_dma_logging(&r, &logging) == 0)
        for (uint32_t i = 0; i < logging.num_ranges; i++)
            REQUIRE(vu_decode_dma_logging_range(&logging, i, &range) == 0);
}

/* A capability chain wherever the info says it starts: it ends, and within bounds. */
static void chain(const uint8_t *body, size_t len)
{
    struct vu_reader r = vu_reader(body, len);
    struct vu_region_info info;
    struct vu_cap_walk walk;
    struct vu_cap cap;
    struct vu_type_cap type;
    size_t steps = 0;
    int64_t n;

    if (vu_decode_region_info(&r, &info) != 0)
        return;
    walk = vu_cap_walk(body, len, info.cap_offset);
    while (vu_cap_next(&walk, &cap) == 1) {
        REQUIRE(++steps <= len / VU_CAP_HEADER_SIZE);
        REQUIRE(cap.data.len <= len);
        n = vu_sparse_count(&cap);
        for (int64_t i = 0; i < n; i++)
            (void)vu_sparse_area(&cap, (uint32_t)i);
        n = vu_sparse_fds_count(&cap);
        for (int64_t i = 0; i < n; i++)
            (void)vu_sparse_fd_area(&cap, (uint32_t)i);
        (void)vu_decode_type_cap(&cap, &type);
    }
}

static void text(const struct vu_header *h, const uint8_t *body, size_t len)
{
    char line[VU_TEXT_MAX], small[40];

    vu_text(line, sizeof(line), h, body, len, NULL, 0);
    REQUIRE(memchr(line, '\0', sizeof(line)) != NULL);
    for (const char *c = line; *c != '\0'; c++)
        REQUIRE(*c >= ' ' && *c <= '~');
    vu_text(small, sizeof(small), h, body, len, NULL, 0);
    REQUIRE(memchr(small, '\0', sizeof(small)) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vu_reader r = vu_reader(data, size);
    struct vu_header h;
    const uint8_t *body;
    uint8_t *once, *twice;
    size_t len;

    if (size > 65536 || vu_decode_header(&r, &h) != 0)
        return 0;
    body = r.pos;
    len = r.left;
    once = calloc(1, len + VU_FEATURE_SIZE);
    twice = calloc(1, len + VU_FEATURE_SIZE);
    REQUIRE(once != NULL && twice != NULL);
    bodies(body, len, once, twice);
    entries(body, len);
    chain(body, len);
    text(&h, body, len);
    free(once);
    free(twice);
    return 0;
}
