/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Properties of every codec of wire/messages.h.
 *
 * The table `codecs` lists each struct with its fields, their places in the
 * body typed from the specification; the tests behind it hold for each row.
 * What depends on more than one field (payloads, chains, strides) follows in
 * tests of its own. Expected bytes of whole messages: test_golden.c.
 */
#include <stdbool.h>

#include "wire/messages.h"
#include "wire/tests/bytes.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ----------------------------------------------------------- the table -- */

struct field {
    const char *name;
    size_t at;              /* in the struct */
    size_t width;           /* bytes, in the struct and in the body */
    size_t offset;          /* in the body */
    uint64_t always, never; /* bits that choose another layout */
};

struct codec {
    const char *name;
    int (*encode)(struct vu_writer *w, const void *m);
    int (*decode)(struct vu_reader *r, void *m);
    size_t struct_size;
    size_t size;            /* of the fixed part of the body */
    struct field fields[8]; /* ends with width 0 */
};

/* clang-format off */

/* Functions of one type for the table, whatever struct they work on. */
#define CODEC(row, decode_fn, encode_fn, type)                                \
    static int encode_##row(struct vu_writer *w, const void *m)               \
    {                                                                         \
        return encode_fn(w, m);                                               \
    }                                                                         \
    static int decode_##row(struct vu_reader *r, void *m)                     \
    {                                                                         \
        return decode_fn(r, m);                                               \
    }                                                                         \
    typedef struct type row##_t

CODEC(header, vu_decode_header, vu_encode_header, vu_header);
CODEC(version, vu_decode_version, vu_encode_version, vu_version);
CODEC(dma_map, vu_decode_dma_map, vu_encode_dma_map, vu_dma_map);
CODEC(unmap, vu_decode_dma_unmap, vu_encode_dma_unmap, vu_dma_unmap);
CODEC(unmap_reply, vu_decode_dma_unmap_reply, vu_encode_dma_unmap, vu_dma_unmap);
CODEC(device_info, vu_decode_device_info, vu_encode_device_info, vu_device_info);
CODEC(region_info, vu_decode_region_info, vu_encode_region_info, vu_region_info);
CODEC(io_fds, vu_decode_region_io_fds, vu_encode_region_io_fds, vu_region_io_fds);
CODEC(irq_info, vu_decode_irq_info, vu_encode_irq_info, vu_irq_info);
CODEC(irq_set, vu_decode_irq_set, vu_encode_irq_set, vu_irq_set);
CODEC(access, vu_decode_region_access, vu_encode_region_access, vu_region_access);
CODEC(multi, vu_decode_write_multi_reply, vu_encode_write_multi, vu_write_multi);
CODEC(dma_access, vu_decode_dma_access, vu_encode_dma_access, vu_dma_access);
CODEC(dma_written, vu_decode_dma_write_reply, vu_encode_dma_access, vu_dma_access);
CODEC(feature, vu_decode_feature, vu_encode_feature, vu_feature);
CODEC(migration, vu_decode_feature_migration, vu_encode_feature_migration,
      vu_feature_migration);
CODEC(state, vu_decode_feature_mig_state, vu_encode_feature_mig_state,
      vu_feature_mig_state);
CODEC(report, vu_decode_dma_report, vu_encode_dma_report, vu_dma_report);
CODEC(mig_data, vu_decode_mig_data_request, vu_encode_mig_data, vu_mig_data);

#define ROW(row, size) #row, encode_##row, decode_##row, sizeof(row##_t), size
#define F(row, field, width, offset) \
    { #field, offsetof(row##_t, field), width, offset, 0, 0 }

static const struct codec codecs[] = {
    { ROW(header, 16),
      { F(header, msg_id, 2, 0), F(header, command, 2, 2), F(header, size, 4, 4),
        F(header, flags, 4, 8), F(header, error, 4, 12) } },
    { ROW(version, 4), { F(version, major, 2, 0), F(version, minor, 2, 2) } },
    { ROW(dma_map, 32),
      { F(dma_map, argsz, 4, 0), F(dma_map, flags, 4, 4), F(dma_map, offset, 8, 8),
        F(dma_map, address, 8, 16), F(dma_map, size, 8, 24) } },
    /* Bit 0 of flags: the description of a bitmap follows. */
    { ROW(unmap, 24),
      { F(unmap, argsz, 4, 0), { "flags", offsetof(unmap_t, flags), 4, 4, 0, 1 },
        F(unmap, address, 8, 8), F(unmap, size, 8, 16) } },
    { ROW(unmap, 40),
      { F(unmap, argsz, 4, 0), { "flags", offsetof(unmap_t, flags), 4, 4, 1, 0 },
        F(unmap, address, 8, 8), F(unmap, size, 8, 16), F(unmap, pgsize, 8, 24),
        F(unmap, bitmap_size, 8, 32) } },
    { ROW(unmap_reply, 24),
      { F(unmap_reply, argsz, 4, 0),
        { "flags", offsetof(unmap_reply_t, flags), 4, 4, 0, 1 },
        F(unmap_reply, address, 8, 8), F(unmap_reply, size, 8, 16) } },
    { ROW(device_info, 16),
      { F(device_info, argsz, 4, 0), F(device_info, flags, 4, 4),
        F(device_info, num_regions, 4, 8), F(device_info, num_irqs, 4, 12) } },
    { ROW(region_info, 32),
      { F(region_info, argsz, 4, 0), F(region_info, flags, 4, 4),
        F(region_info, index, 4, 8), F(region_info, cap_offset, 4, 12),
        F(region_info, size, 8, 16), F(region_info, offset, 8, 24) } },
    { ROW(io_fds, 16),
      { F(io_fds, argsz, 4, 0), F(io_fds, flags, 4, 4), F(io_fds, index, 4, 8),
        F(io_fds, count, 4, 12) } },
    { ROW(irq_info, 16),
      { F(irq_info, argsz, 4, 0), F(irq_info, flags, 4, 4), F(irq_info, index, 4, 8),
        F(irq_info, count, 4, 12) } },
    /* Bit 1 of flags: count bytes follow. */
    { ROW(irq_set, 20),
      { F(irq_set, argsz, 4, 0), { "flags", offsetof(irq_set_t, flags), 4, 4, 0, 2 },
        F(irq_set, index, 4, 8), F(irq_set, start, 4, 12), F(irq_set, count, 4, 16) } },
    { ROW(access, 16),
      { F(access, offset, 8, 0), F(access, region, 4, 8), F(access, count, 4, 12) } },
    { ROW(multi, 8), { F(multi, count, 8, 0) } },
    { ROW(dma_access, 16),
      { F(dma_access, address, 8, 0), F(dma_access, count, 8, 8) } },
    { ROW(dma_written, 16),
      { F(dma_written, address, 8, 0), F(dma_written, count, 8, 8) } },
    { ROW(feature, 8), { F(feature, argsz, 4, 0), F(feature, flags, 4, 4) } },
    { ROW(migration, 8), { F(migration, flags, 8, 0) } },
    { ROW(state, 8),
      { F(state, device_state, 4, 0), F(state, data_fd, 4, 4) } },
    { ROW(report, 24),
      { F(report, iova, 8, 0), F(report, length, 8, 8), F(report, page_size, 8, 16) } },
    { ROW(mig_data, 8), { F(mig_data, argsz, 4, 0), F(mig_data, size, 4, 4) } },
};

/* Room for any struct of the table. */
union any {
    uint64_t align;
    uint8_t bytes[128];
};

/* 0, the largest, and neighbours of what tends to be a boundary. */
static const uint64_t interesting[] = {
    0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 0x7e, 0x7f, 0x80, 0x81, 0xfe,
    0xff, 0x100, 0x101, 0xfff, 0x1000, 0x1001, 0x7ffe, 0x7fff, 0x8000, 0x8001, 0xfffe,
    0xffff, 0x10000, 0x10001, 0xfffff, 0x100000, 0x100001, 0x7ffffffe, 0x7fffffff,
    0x80000000, 0x80000001, 0xfffffffe, 0xffffffff, 0x100000000, 0x100000001,
    0x7ffffffffffffffe, 0x7fffffffffffffff, 0x8000000000000000, 0x8000000000000001,
    0xfffffffffffffffe, 0xffffffffffffffff,
};

/* clang-format on */

static uint64_t load(const void *at, size_t width)
{
    uint64_t v = 0;
    uint32_t v32;
    uint16_t v16;

    if (width == 2) {
        memcpy(&v16, at, 2);
        v = v16;
    } else if (width == 4) {
        memcpy(&v32, at, 4);
        v = v32;
    } else {
        memcpy(&v, at, 8);
    }
    return v;
}

/* Store v, cut to width, with the bits that the layout demands. */
static void store(void *at, const struct field *f, uint64_t v)
{
    uint32_t v32;
    uint16_t v16;

    v = (v | f->always) & ~f->never;
    v32 = (uint32_t)v;
    v16 = (uint16_t)v;
    memcpy(at,
           f->width == 2   ? (void *)&v16
           : f->width == 4 ? (void *)&v32
                           : (void *)&v,
           f->width);
}

/* A message with a different value in every field, all bytes different from 0. */
static void fill(const struct codec *c, union any *m)
{
    uint64_t v = 0x1112131415161718;

    memset(m, 0, sizeof(*m));
    for (const struct field *f = c->fields; f->width != 0; f++) {
        store(m->bytes + f->at, f, v);
        v += 0x1010101010101010;
    }
}

static void assert_same_fields(const struct codec *c, const union any *a,
                               const union any *b)
{
    for (const struct field *f = c->fields; f->width != 0; f++) {
        uint64_t x = load(a->bytes + f->at, f->width);
        uint64_t y = load(b->bytes + f->at, f->width);

        if (x != y)
            fail_msg("%s.%s: 0x%jx became 0x%jx", c->name, f->name, (uintmax_t)x,
                     (uintmax_t)y);
    }
}

/* Encode into exactly the room that the body needs, decode from a copy that is
 * one byte off any alignment. */
static void assert_round_trip(const struct codec *c, const union any *m)
{
    uint8_t *body = malloc(c->size);
    uint8_t *shifted = malloc(c->size + 1);
    struct vu_writer w = vu_writer(body, c->size);
    struct vu_reader r = vu_reader(shifted + 1, c->size);
    union any got;

    assert_int_equal(c->encode(&w, m), 0);
    assert_int_equal(w.len, c->size);
    memcpy(shifted + 1, body, c->size);
    memset(&got, 0xa5, sizeof(got));
    assert_int_equal(c->decode(&r, &got), 0);
    assert_int_equal(r.left, 0);
    assert_same_fields(c, m, &got);
    free(body);
    free(shifted);
}

/* ----------------------------------------------- true of every codec -- */

static void what_is_encoded_is_decoded(void **state)
{
    (void)state;
    for (const struct codec *c = codecs; c < codecs + COUNT(codecs); c++) {
        assert_true(c->struct_size <= sizeof(union any));
        for (const struct field *f = c->fields; f->width != 0; f++) {
            for (size_t i = 0; i < COUNT(interesting); i++) {
                union any m;

                fill(c, &m);
                store(m.bytes + f->at, f, interesting[i]);
                assert_round_trip(c, &m);
            }
        }
    }
}

static void every_field_lies_where_the_specification_puts_it(void **state)
{
    (void)state;
    for (const struct codec *c = codecs; c < codecs + COUNT(codecs); c++) {
        size_t end = 0;
        union any m;
        uint8_t body[64];
        struct vu_writer w = vu_writer(body, sizeof(body));

        fill(c, &m);
        assert_int_equal(c->encode(&w, &m), 0);
        for (const struct field *f = c->fields; f->width != 0; f++) {
            assert_true(load(body + f->offset, f->width) ==
                        load(m.bytes + f->at, f->width));
            assert_int_equal(f->offset, end); /* no gap: every byte has a name */
            end = f->offset + f->width;
        }
        assert_int_equal(end, c->size);
    }
}

static void every_shorter_body_is_refused(void **state)
{
    (void)state;
    for (const struct codec *c = codecs; c < codecs + COUNT(codecs); c++) {
        uint8_t body[64];
        struct vu_writer w = vu_writer(body, sizeof(body));
        union any m, got;

        fill(c, &m);
        c->encode(&w, &m);
        for (size_t len = 0; len < c->size; len++) {
            uint8_t *cut = exact_copy(body, len);
            struct vu_reader r = vu_reader(cut, len);
            int want = c->decode == decode_dma_written && len == 12 ? 0 : -EBADMSG;

            memset(&got, 0xa5, sizeof(got));
            if (c->decode(&r, &got) != want)
                fail_msg("%s of %zu bytes: not %d", c->name, len, want);
            for (const struct field *f = c->fields; f->width != 0; f++) {
                uint64_t v = load(m.bytes + f->at, f->width);

                if (want == 0)
                    continue; /* the short form: a test of its own */
                if (f->offset + f->width > len)
                    v = 0;
                assert_true(load(got.bytes + f->at, f->width) == v);
            }
            free(cut);
        }
    }
}

static void every_smaller_room_is_refused_and_not_left(void **state)
{
    (void)state;
    for (const struct codec *c = codecs; c < codecs + COUNT(codecs); c++) {
        union any m;

        fill(c, &m);
        for (size_t room = 0; room < c->size; room++) {
            uint8_t *buf = malloc(room);
            uint8_t guarded[64];
            struct vu_writer w = vu_writer(buf, room);
            struct vu_writer g = vu_writer(guarded, room);

            assert_int_equal(c->encode(&w, &m), -ENOBUFS);
            free(buf);
            memset(guarded, 0xa5, sizeof(guarded));
            assert_int_equal(c->encode(&g, &m), -ENOBUFS);
            for (size_t i = room; i < sizeof(guarded); i++)
                assert_int_equal(guarded[i], 0xa5);
        }
    }
}

static void padding_is_accepted(void **state)
{
    (void)state;
    for (const struct codec *c = codecs; c < codecs + COUNT(codecs); c++) {
        uint8_t body[4096];
        struct vu_writer w = vu_writer(body, sizeof(body));
        union any m, got;

        memset(body, 0xee, sizeof(body));
        fill(c, &m);
        c->encode(&w, &m);
        for (size_t len = c->size; len <= sizeof(body); len = len * 2 + 1) {
            struct vu_reader r = vu_reader(body, len);

            assert_int_equal(c->decode(&r, &got), 0);
            assert_same_fields(c, &m, &got);
        }
    }
}

/* ------------------------------------------------------------ payloads -- */

/* Fields behind which a payload lies: the same four tests for all of them. */
struct payload {
    const char *name;
    size_t size; /* bytes before the payload */
    size_t unit; /* bytes that the length field counts by */
    bool exact;  /* longer bodies are refused */
    bool rest;   /* the payload is the rest, there is no length field */
    bool wide;   /* the length field has 64 bits */
    /* Encode a message that says n units and carries `data`. */
    int (*encode)(struct vu_writer *w, uint64_t n, struct vu_bytes data);
    int (*decode)(struct vu_reader *r, struct vu_bytes *data);
};

/* clang-format off */

#define PAYLOAD(row, type, decode_fn, encode_fn, member, ...)                       \
    static int put_##row(struct vu_writer *w, uint64_t n, struct vu_bytes data)     \
    {                                                                               \
        (void)n;                                                                    \
        return encode_fn(w, &(struct type){ .member = data, __VA_ARGS__ });         \
    }                                                                               \
    static int get_##row(struct vu_reader *r, struct vu_bytes *data)                \
    {                                                                               \
        struct type m;                                                              \
        int ret = decode_fn(r, &m);                                                 \
                                                                                    \
        *data = m.member;                                                           \
        return ret;                                                                 \
    }                                                                               \
    typedef int row##_has_a_semicolon

PAYLOAD(version, vu_version, vu_decode_version, vu_encode_version, data, .major = 1);
PAYLOAD(unmap, vu_dma_unmap, vu_decode_dma_unmap_reply, vu_encode_dma_unmap, bitmap,
        .flags = 1, .bitmap_size = n);
PAYLOAD(io_fds, vu_region_io_fds, vu_decode_region_io_fds, vu_encode_region_io_fds,
        entries, .count = 1);
PAYLOAD(irq_set, vu_irq_set, vu_decode_irq_set, vu_encode_irq_set, data, .flags = 0x22,
        .count = (uint32_t)n);
PAYLOAD(region, vu_region_access, vu_decode_region_data, vu_encode_region_access, data,
        .count = (uint32_t)n);
PAYLOAD(multi, vu_write_multi, vu_decode_write_multi, vu_encode_write_multi, entries,
        .count = n);
PAYLOAD(dma, vu_dma_access, vu_decode_dma_data, vu_encode_dma_access, data, .count = n);
PAYLOAD(feature, vu_feature, vu_decode_feature, vu_encode_feature, data, .argsz = 8);
PAYLOAD(logging, vu_dma_logging, vu_decode_dma_logging, vu_encode_dma_logging, ranges,
        .num_ranges = (uint32_t)n);
PAYLOAD(report, vu_dma_report, vu_decode_dma_report, vu_encode_dma_report, bitmap,
        .iova = 1);
PAYLOAD(mig_data, vu_mig_data, vu_decode_mig_data, vu_encode_mig_data, data,
        .size = (uint32_t)n);

static const struct payload payloads[] = {
    /*           size unit exact  rest   wide */
    { "VERSION",    4,  1, false, true,  false, put_version,  get_version },
    { "DMA_UNMAP", 40,  1, false, false, true,  put_unmap,    get_unmap },
    { "IO_FDS",    16,  1, false, true,  false, put_io_fds,   get_io_fds },
    { "SET_IRQS",  20,  1, true,  false, false, put_irq_set,  get_irq_set },
    { "REGION",    16,  1, true,  false, false, put_region,   get_region },
    { "MULTI",      8, 24, true,  false, true,  put_multi,    get_multi },
    { "DMA",       16,  1, false, false, true,  put_dma,      get_dma },
    { "FEATURE",    8,  1, false, true,  false, put_feature,  get_feature },
    { "LOGGING",   16, 16, false, false, false, put_logging,  get_logging },
    { "REPORT",    24,  1, false, true,  false, put_report,   get_report },
    { "MIG_DATA",   8,  1, false, false, false, put_mig_data, get_mig_data },
};

#define EACH_PAYLOAD(p) \
    const struct payload *p = payloads; (p) < payloads + COUNT(payloads); (p)++

/* clang-format on */

/* A message of n units in buf; returns its length. */
static size_t build(const struct payload *p, uint64_t n, uint8_t *buf, size_t room)
{
    struct vu_writer w = vu_writer(buf, room);
    uint8_t data[24 * 16];

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i + 1);
    assert_int_equal(p->encode(&w, n, (struct vu_bytes){ data, n * p->unit }), 0);
    assert_int_equal(w.len, p->size + n * p->unit);
    return w.len;
}

static void payloads_lie_behind_the_fixed_part_and_are_not_copied(void **state)
{
    (void)state;
    for (EACH_PAYLOAD(p)) {
        for (uint64_t n = 0; n <= 16; n++) {
            uint8_t body[512];
            size_t len = build(p, n, body, sizeof(body));
            struct vu_reader r = vu_reader(body, len);
            struct vu_bytes got;

            assert_int_equal(p->decode(&r, &got), 0);
            assert_int_equal(got.len, n * p->unit);
            assert_int_equal(r.left, 0);
            if (n != 0)
                assert_ptr_equal(got.data, body + p->size);
            for (size_t i = 0; i < got.len; i++)
                assert_int_equal(got.data[i], (uint8_t)(i + 1));
        }
    }
}

static void every_shorter_payload_is_refused(void **state)
{
    (void)state;
    for (EACH_PAYLOAD(p)) {
        uint8_t body[512];
        size_t whole = build(p, 3, body, sizeof(body));

        for (size_t len = 0; len < whole; len++) {
            uint8_t *cut = exact_copy(body, len);
            struct vu_reader r = vu_reader(cut, len);
            int want = p->rest && len >= p->size ? 0 : -EBADMSG;
            struct vu_bytes got;

            if (p->decode(&r, &got) != want)
                fail_msg("%s of %zu bytes: not %d", p->name, len, want);
            if (want == 0)
                assert_int_equal(got.len, len - p->size);
            free(cut);
        }
    }
}

static void longer_payloads_are_refused_where_the_length_is_determined(void **state)
{
    (void)state;
    for (EACH_PAYLOAD(p)) {
        uint8_t body[512] = { 0 };
        size_t whole = build(p, 3, body, sizeof(body));

        for (size_t len = whole + 1; len <= whole + 100; len++) {
            struct vu_reader r = vu_reader(body, len);
            struct vu_bytes got;

            if (p->decode(&r, &got) != (p->exact ? -EBADMSG : 0))
                fail_msg("%s with %zu bytes too many", p->name, len - whole);
            if (!p->exact)
                assert_int_equal(got.len, p->rest ? len - p->size : 3 * p->unit);
        }
    }
}

/* 3 units follow, and the length field says something else. */
static void assert_a_lie_is_refused(const struct payload *p, uint64_t n)
{
    const uint8_t data[3 * 24] = { 0 };
    uint8_t body[512];
    struct vu_writer w = vu_writer(body, sizeof(body));
    struct vu_reader r;
    struct vu_bytes got;

    p->encode(&w, n, (struct vu_bytes){ data, 3 * p->unit });
    r = vu_reader(body, w.len);
    if (p->decode(&r, &got) != -EBADMSG)
        fail_msg("%s: 3 taken for 0x%jx", p->name, (uintmax_t)n);
}

static void lengths_that_a_peer_makes_up_do_not_wrap(void **state)
{
    static const uint32_t narrow[] = { 4,          0x10000003, 0x20000003,
                                       0x7fffffff, 0x80000003, 0xffffffff };
    static const uint64_t wide[] = { 0x100000003,        0x1000000000000003,
                                     0x2000000000000003, /* * 24 is 72, modulo 2^64 */
                                     0x7fffffffffffffff, 0x8000000000000003,
                                     0xfffffffffffffffd, 0xffffffffffffffff };

    (void)state;
    for (EACH_PAYLOAD(p)) {
        for (size_t i = 0; i < COUNT(narrow) && !p->rest; i++)
            assert_a_lie_is_refused(p, narrow[i]);
        for (size_t i = 0; i < COUNT(wide) && p->wide; i++)
            assert_a_lie_is_refused(p, wide[i]);
    }
}

static void room_for_a_payload_is_zeroed(void **state)
{
    (void)state;
    for (EACH_PAYLOAD(p)) {
        uint8_t body[512];
        struct vu_writer w = vu_writer(body, sizeof(body));

        memset(body, 0xa5, sizeof(body));
        assert_int_equal(p->encode(&w, 5, (struct vu_bytes){ NULL, 5 * p->unit }), 0);
        assert_int_equal(w.len, p->size + 5 * p->unit);
        for (size_t i = p->size; i < sizeof(body); i++)
            assert_int_equal(body[i], i < w.len ? 0 : 0xa5);
    }
}

static void payloads_need_their_room(void **state)
{
    const uint8_t data[24] = { 0 };

    (void)state;
    for (EACH_PAYLOAD(p)) {
        for (size_t room = p->size; room < p->size + p->unit; room++) {
            uint8_t *body = malloc(room);
            struct vu_writer w = vu_writer(body, room);
            struct vu_writer v = vu_writer(body, room);

            assert_int_equal(p->encode(&w, 1, (struct vu_bytes){ data, p->unit }),
                             -ENOBUFS);
            assert_int_equal(p->encode(&v, 1, (struct vu_bytes){ NULL, p->unit }),
                             -ENOBUFS);
            free(body);
        }
    }
}

static void without_a_payload_decoders_do_not_show_one(void **state)
{
    const uint8_t zeros[64] = { 0 };
    struct vu_reader r = vu_reader(zeros, sizeof(zeros));
    struct vu_dma_unmap unmap;
    struct vu_irq_set irq;
    struct vu_region_access access;
    struct vu_write_multi multi;
    struct vu_dma_access dma;
    struct vu_mig_data mig;

    (void)state;
    vu_decode_dma_unmap(&r, &unmap);
    assert_int_equal(unmap.bitmap.len, 0);
    r = vu_reader(zeros, sizeof(zeros));
    vu_decode_irq_set(&r, &irq);
    assert_int_equal(irq.data.len, 0);
    r = vu_reader(zeros, sizeof(zeros));
    vu_decode_region_access(&r, &access);
    assert_int_equal(access.data.len, 0);
    r = vu_reader(zeros, sizeof(zeros));
    vu_decode_write_multi_reply(&r, &multi);
    assert_int_equal(multi.entries.len, 0);
    r = vu_reader(zeros, sizeof(zeros));
    vu_decode_dma_access(&r, &dma);
    assert_int_equal(dma.data.len, 0);
    r = vu_reader(zeros, 12);
    dma.data.len = 1;
    vu_decode_dma_write_reply(&r, &dma);
    assert_int_equal(dma.data.len, 0);
    r = vu_reader(zeros, sizeof(zeros));
    vu_decode_mig_data_request(&r, &mig);
    assert_int_equal(mig.data.len, 0);
}

static void a_dma_write_reply_may_have_a_narrow_count(void **state)
{
    uint8_t body[12];
    struct vu_writer w = vu_writer(body, sizeof(body));
    struct vu_reader r = vu_reader(body, sizeof(body));
    struct vu_dma_access m;

    (void)state;
    vu_put_u64(&w, 0x1122334455667788);
    vu_put_u32(&w, 0x99aabbcc);
    assert_int_equal(vu_decode_dma_write_reply(&r, &m), 0);
    assert_true(m.address == 0x1122334455667788);
    assert_true(m.count == 0x99aabbcc);
    r = vu_reader(body, sizeof(body)); /* only there */
    assert_int_equal(vu_decode_dma_access(&r, &m), -EBADMSG);
}

/* ------------------------------------------------ entries and ranges -- */

static void writes_come_back_one_by_one(void **state)
{
    uint8_t body[8 + 3 * 24];
    struct vu_writer w = vu_writer(body, sizeof(body));
    struct vu_reader r = vu_reader(body, sizeof(body));
    struct vu_write_multi m = { .count = 3 };
    struct vu_write_multi_entry e;

    (void)state;
    assert_int_equal(vu_encode_write_multi(&w, &m), 0);
    for (uint32_t i = 0; i < 3; i++) {
        e = (struct vu_write_multi_entry){ UINT64_MAX - i, i + 7, 8 - i, "abcdefg" };
        e.data[7] = (uint8_t)i;
        assert_int_equal(vu_encode_write_multi_entry(&w, &e), 0);
    }
    assert_int_equal(vu_encode_write_multi_entry(&w, &e), -ENOBUFS);
    assert_int_equal(vu_decode_write_multi(&r, &m), 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(vu_decode_write_multi_entry(&m, i, &e), 0);
        assert_true(e.offset == UINT64_MAX - i);
        assert_int_equal(e.region, i + 7);
        assert_int_equal(e.count, 8 - i);
        assert_memory_equal(e.data, "abcdefg", 7);
        assert_int_equal(e.data[7], i);
    }
    assert_int_equal(vu_decode_write_multi_entry(&m, 3, &e), -EBADMSG);
    assert_int_equal(vu_decode_write_multi_entry(&m, UINT64_MAX, &e), -EBADMSG);
    /* Times 24 this wraps around to the second entry. */
    assert_int_equal(vu_decode_write_multi_entry(&m, 0x2000000000000001, &e), -EBADMSG);
}

static void logged_ranges_come_back_one_by_one(void **state)
{
    uint8_t body[16 + 2 * 16];
    struct vu_writer w = vu_writer(body, sizeof(body));
    struct vu_reader r = vu_reader(body, sizeof(body));
    struct vu_dma_logging m = { .page_size = 4096, .num_ranges = 2 };
    struct vu_dma_logging_range range;

    (void)state;
    assert_int_equal(vu_encode_dma_logging(&w, &m), 0);
    assert_int_equal(w.len, 16);
    for (uint64_t i = 0; i < 2; i++) {
        range = (struct vu_dma_logging_range){ UINT64_MAX - i, 0x8000000000000000 + i };
        assert_int_equal(vu_encode_dma_logging_range(&w, &range), 0);
    }
    assert_int_equal(vu_encode_dma_logging_range(&w, &range), -ENOBUFS);
    memset(&m, 0xa5, sizeof(m));
    assert_int_equal(vu_decode_dma_logging(&r, &m), 0);
    assert_true(m.page_size == 4096);
    assert_int_equal(m.num_ranges, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(vu_decode_dma_logging_range(&m, i, &range), 0);
        assert_true(range.iova == UINT64_MAX - i);
        assert_true(range.length == 0x8000000000000000 + i);
    }
    assert_int_equal(vu_decode_dma_logging_range(&m, 2, &range), -EBADMSG);
    assert_int_equal(vu_decode_dma_logging_range(&m, 0x10000001, &range), -EBADMSG);
    assert_int_equal(vu_decode_dma_logging_range(&m, UINT32_MAX, &range), -EBADMSG);
}

/* Entry n of `reply` is the one that starts `at` bytes behind the fixed part. */
static void assert_entry_at(const struct vu_region_io_fds *reply, uint32_t n, size_t at)
{
    struct vu_io_fd_entry e;

    assert_int_equal(vu_decode_io_fd_entry(reply, n, &e), 0);
    assert_true(e.offset == load(reply->entries.data + at, 8));
    assert_true(e.size == load(reply->entries.data + at + 8, 8));
    assert_int_equal(e.fd_index, load(reply->entries.data + at + 16, 4));
    assert_int_equal(e.type, load(reply->entries.data + at + 20, 4));
    assert_int_equal(e.flags, load(reply->entries.data + at + 24, 4));
    assert_int_equal(e.padding, load(reply->entries.data + at + 28, 4));
    assert_true(e.datamatch == load(reply->entries.data + at + 32, 8));
}

static void io_fd_entries_are_found_by_the_stride_of_the_reply(void **state)
{
    static const uint32_t strides[] = { 40, 41, 48, 64 };
    uint8_t *bytes = malloc(3 * 64);

    (void)state;
    for (size_t i = 0; i < 3 * 64; i++)
        bytes[i] = (uint8_t)(i * 7 + 1);
    for (size_t i = 0; i < COUNT(strides); i++) {
        struct vu_region_io_fds reply = { .argsz = 16 + 3 * strides[i],
                                          .count = 3,
                                          .entries = { bytes, 3 * strides[i] } };
        struct vu_io_fd_entry e;

        for (uint32_t n = 0; n < 3; n++)
            assert_entry_at(&reply, n, n * strides[i]);
        assert_int_equal(vu_decode_io_fd_entry(&reply, 3, &e), -EBADMSG);
        assert_int_equal(vu_decode_io_fd_entry(&reply, UINT32_MAX, &e), -EBADMSG);
        reply.argsz += 2; /* a remainder changes nothing */
        assert_entry_at(&reply, 2, 2 * strides[i]);
    }
    free(bytes);
}

static void io_fd_entries_outside_the_reply_are_refused(void **state)
{
    static const struct {
        uint32_t argsz, count, i;
        size_t len; /* of the entries */
    } bad[] = {
        { 16, 0, 0, 0 },  /* there is none */
        { 16, 1, 0, 40 }, /* stride 0 */
        { 0, 1, 0, 40 },  /* argsz below its own struct */
        { 15, 1, 0, 40 },
        { 16 + 39, 1, 0, 40 }, /* the stride is smaller than an entry */
        { 16 + 40, 2, 0, 40 },
        { 16 + 80, 2, 0, 0 },  /* left out, since they did not fit */
        { 16 + 40, 1, 0, 39 }, /* cut */
        { 16 + 80, 2, 1, 79 },
        { 16 + 80, 2, 1, 40 },
        { UINT32_MAX, 1, 0, 39 },
        { UINT32_MAX, 2, 1, 80 },
        { UINT32_MAX, 100000, 99999, 80 },
    };
    const uint8_t zeros[80] = { 0 };

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        uint8_t *entries = exact_copy(zeros, bad[i].len);
        struct vu_region_io_fds reply = { .argsz = bad[i].argsz,
                                          .count = bad[i].count,
                                          .entries = { entries, bad[i].len } };
        struct vu_io_fd_entry e;

        if (vu_decode_io_fd_entry(&reply, bad[i].i, &e) != -EBADMSG)
            fail_msg("row %zu is taken for an entry", i);
        free(entries);
    }
}

static void io_fd_entries_survive_a_round_trip(void **state)
{
    struct vu_io_fd_entry in = { UINT64_MAX, 0x0102030405060708, 0xf1f2f3f4, 2, 0x8,
                                 9,          0x8877665544332211 };
    struct vu_io_fd_entry out;
    uint8_t buf[40];
    struct vu_writer w = vu_writer(buf, sizeof(buf));
    struct vu_region_io_fds reply = { .argsz = 56, .count = 1, .entries = { buf, 40 } };

    (void)state;
    assert_int_equal(vu_encode_io_fd_entry(&w, &in), 0);
    assert_int_equal(w.len, VU_IO_FD_ENTRY_SIZE);
    assert_int_equal(vu_decode_io_fd_entry(&reply, 0, &out), 0);
    assert_memory_equal(&in, &out, sizeof(in)); /* the struct has no holes */
    for (size_t room = 0; room < 40; room++) {
        w = vu_writer(buf, room);
        assert_int_equal(vu_encode_io_fd_entry(&w, &in), -ENOBUFS);
    }
}

/* --------------------------------------------------- capability chains -- */

/* A body of 32 fixed bytes and a chain typed as { offset, id, next } at will. */
struct link {
    uint32_t at;
    uint16_t id;
    uint32_t next;
};

static void put_link(uint8_t *body, struct link l)
{
    uint16_t version = 1;

    memcpy(body + l.at, &l.id, 2);
    memcpy(body + l.at + 2, &version, 2);
    memcpy(body + l.at + 4, &l.next, 4);
}

static void a_chain_is_walked_in_its_order(void **state)
{
    uint8_t body[100] = { 0 };
    struct vu_cap_walk walk = vu_cap_walk(body, sizeof(body), 32);
    struct vu_cap cap;

    (void)state;
    put_link(body, (struct link){ 32, 3, 40 });
    put_link(body, (struct link){ 40, 2, 64 });
    put_link(body, (struct link){ 64, 0xffff, 0 });
    assert_int_equal(vu_cap_next(&walk, &cap), 1);
    assert_int_equal(cap.id, 3);
    assert_int_equal(cap.version, 1);
    assert_int_equal(cap.next, 40);
    assert_int_equal(cap.offset, 32);
    assert_int_equal(cap.data.len, 0);
    assert_int_equal(vu_cap_next(&walk, &cap), 1);
    assert_int_equal(cap.id, 2);
    assert_int_equal(cap.offset, 40);
    assert_ptr_equal(cap.data.data, body + 48);
    assert_int_equal(cap.data.len, 16); /* up to the next one */
    assert_int_equal(vu_cap_next(&walk, &cap), 1);
    assert_int_equal(cap.id, 0xffff);
    assert_int_equal(cap.next, 0);
    assert_ptr_equal(cap.data.data, body + 72);
    assert_int_equal(cap.data.len, 28); /* up to the end of the body */
    assert_int_equal(vu_cap_next(&walk, &cap), 0);
    assert_int_equal(vu_cap_next(&walk, &cap), 0);
}

static void no_chain_is_an_empty_chain(void **state)
{
    struct vu_cap_walk walk = vu_cap_walk(NULL, 0, 0);
    struct vu_cap cap;

    (void)state;
    assert_int_equal(vu_cap_next(&walk, &cap), 0);
}

/* Walk to the end: steps, or -EBADMSG. The error must last. */
static int steps_of(const uint8_t *body, size_t len, uint32_t cap_offset)
{
    struct vu_cap_walk walk = vu_cap_walk(body, len, cap_offset);
    struct vu_cap cap;
    int steps = 0, ret;

    while ((ret = vu_cap_next(&walk, &cap)) == 1) {
        assert_true(cap.offset + 8 + cap.data.len <= len);
        assert_in_range(++steps, 1, len / 8);
    }
    assert_int_equal(vu_cap_next(&walk, &cap), ret);
    return ret == 0 ? steps : ret;
}

static void chains_that_leave_the_body_or_go_back_are_refused(void **state)
{
    static const struct {
        uint32_t cap_offset;
        uint32_t next; /* of the capability there, if it fits */
        size_t len;
        int steps;
    } rows[] = {
        { 32, 0, 40, 1 }, /* just fits */
        { 32, 0, 39, -EBADMSG },
        { 32, 0, 32, -EBADMSG },
        { 33, 0, 41, 1 }, /* unaligned, but legible */
        { 33, 0, 40, -EBADMSG },
        { 31, 0, 80, -EBADMSG }, /* in the fixed part */
        { 1, 0, 80, -EBADMSG },
        { 32, 32, 80, -EBADMSG }, /* itself */
        { 32, 31, 80, -EBADMSG }, /* backwards */
        { 48, 32, 80, -EBADMSG },
        { 32, 1, 80, -EBADMSG },
        { 32, 33, 80, -EBADMSG }, /* inside its own header */
        { 32, 39, 80, -EBADMSG },
        { 32, 40, 80, 2 },
        { 32, 72, 80, 2 },
        { 32, 73, 80, -EBADMSG }, /* no room for a header there */
        { 32, 80, 80, -EBADMSG },
        { 32, 81, 80, -EBADMSG },
        { 32, UINT32_MAX, 80, -EBADMSG },
        { 80, 0, 80, -EBADMSG },
        { 81, 0, 80, -EBADMSG },
        { UINT32_MAX, 0, 80, -EBADMSG },
        { UINT32_MAX - 7, 0, 80, -EBADMSG }, /* + 8 wraps around */
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint8_t bytes[128] = { 0 };
        uint8_t *body;

        if (rows[i].cap_offset < sizeof(bytes) - 8)
            put_link(bytes, (struct link){ rows[i].cap_offset, 3, rows[i].next });
        body = exact_copy(bytes, rows[i].len);
        if (steps_of(body, rows[i].len, rows[i].cap_offset) != rows[i].steps)
            fail_msg("row %zu: not %d", i, rows[i].steps);
        free(body);
    }
}

static void a_refused_step_gives_nothing(void **state)
{
    uint8_t body[48] = { 0 };
    struct vu_cap_walk walk = vu_cap_walk(body, sizeof(body), 32);
    struct vu_cap cap = { .id = 77 };

    (void)state;
    put_link(body, (struct link){ 32, 3, 100 });
    assert_int_equal(vu_cap_next(&walk, &cap), -EBADMSG);
    assert_int_equal(cap.id, 77);
}

static void the_longest_chain_ends(void **state)
{
    uint8_t *body = calloc(1, 4096);

    (void)state;
    for (uint32_t at = 32; at < 4096; at += 8)
        put_link(body, (struct link){ at, 3, at + 8 < 4096 ? at + 8 : 0 });
    assert_int_equal(steps_of(body, 4096, 32), (4096 - 32) / 8);
    free(body);
}

static void chains_of_random_bytes_end(void **state)
{
    uint32_t seed = 1;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        size_t len = 32 + seed % 64;
        uint8_t *body = malloc(len);

        for (size_t i = 0; i < len; i++) {
            seed = seed * 1664525 + 1013904223;
            body[i] = seed >> 24 < 128 ? 0 : (uint8_t)(seed >> 16) % 96;
        }
        steps_of(body, len, 32 + seed % 16);
        free(body);
    }
}

/* The only capability of a body, which must be there. */
static struct vu_cap only_cap(const uint8_t *body, size_t len)
{
    struct vu_cap_walk walk = vu_cap_walk(body, len, 32);
    struct vu_cap cap;

    assert_int_equal(vu_cap_next(&walk, &cap), 1);
    return cap;
}

static void sparse_areas_survive_a_round_trip(void **state)
{
    const struct vu_sparse_area areas[3] = { { 0, 0x1000 },
                                             { 0x2000, UINT64_MAX },
                                             { UINT64_MAX - 1, 1 } };

    (void)state;
    for (uint32_t n = 0; n <= 3; n++) {
        size_t len = 32 + VU_SPARSE_CAP_SIZE(n);
        uint8_t *body = calloc(1, len);
        struct vu_writer w = vu_writer(body + 32, len - 32);
        struct vu_cap cap;

        assert_int_equal(vu_encode_sparse_cap(&w, areas, n, 0), 0);
        assert_int_equal(w.left, 0);
        cap = only_cap(body, len);
        assert_int_equal(cap.id, VU_CAP_SPARSE_MMAP);
        assert_int_equal(cap.version, 1);
        assert_int_equal(vu_sparse_count(&cap), n);
        for (uint32_t i = 0; i < n; i++) {
            struct vu_sparse_area a = vu_sparse_area(&cap, i);

            assert_memory_equal(&a, &areas[i], sizeof(a));
        }
        for (size_t room = 0; room < len - 32; room++) {
            uint8_t *small = malloc(room);

            w = vu_writer(small, room);
            assert_int_equal(vu_encode_sparse_cap(&w, areas, n, 0), -ENOBUFS);
            free(small);
        }
        free(body);
    }
}

static void sparse_fd_areas_survive_a_round_trip(void **state)
{
    const struct vu_sparse_fd_area areas[2] = {
        { .offset = 1, .fd_offset = UINT64_MAX, .size = 3, .fd_index = 4 },
        { .offset = UINT64_MAX - 5, .fd_offset = 6, .size = 7, .fd_index = UINT32_MAX },
    };

    (void)state;
    for (uint32_t n = 0; n <= 2; n++) {
        size_t len = 32 + VU_SPARSE_FDS_CAP_SIZE(n);
        uint8_t *body = calloc(1, len);
        struct vu_writer w = vu_writer(body + 32, len - 32);
        struct vu_cap cap;

        assert_int_equal(vu_encode_sparse_fds_cap(&w, areas, n, 0), 0);
        assert_int_equal(w.left, 0);
        cap = only_cap(body, len);
        assert_int_equal(cap.id, VU_CAP_SPARSE_MMAP_FDS);
        assert_int_equal(vu_sparse_fds_count(&cap), n);
        for (uint32_t i = 0; i < n; i++) {
            struct vu_sparse_fd_area a = vu_sparse_fd_area(&cap, i);

            assert_true(a.offset == areas[i].offset);
            assert_true(a.fd_offset == areas[i].fd_offset);
            assert_true(a.size == areas[i].size);
            assert_int_equal(a.fd_index, areas[i].fd_index);
        }
        for (size_t room = 0; room < len - 32; room++) {
            uint8_t *small = malloc(room);

            w = vu_writer(small, room);
            assert_int_equal(vu_encode_sparse_fds_cap(&w, areas, n, 0), -ENOBUFS);
            free(small);
        }
        free(body);
    }
}

/* nr_areas and the bytes behind it, against both kinds. */
static void area_counts_that_do_not_fit_are_refused(void **state)
{
    static const uint32_t counts[] = { 0,          1,          2,          3,
                                       4,          0x08000000, 0x10000000, 0x10000001,
                                       0x7fffffff, UINT32_MAX };

    (void)state;
    for (size_t i = 0; i < COUNT(counts); i++) {
        for (size_t len = 0; len <= 8 + 3 * 32; len++) {
            uint8_t *data = calloc(1, len + 1);
            struct vu_cap cap = { .data = { data + 1, len } };
            uint64_t n = counts[i];

            memcpy(data + 1, &counts[i], len < 4 ? len : 4);
            assert_int_equal(vu_sparse_count(&cap),
                             len >= 8 + 16 * n ? (int64_t)n : -EBADMSG);
            assert_int_equal(vu_sparse_fds_count(&cap),
                             len >= 8 + 32 * n ? (int64_t)n : -EBADMSG);
            free(data);
        }
    }
}

static void areas_that_are_not_there_read_as_zeros(void **state)
{
    uint8_t data[24];
    struct vu_cap cap = { .data = { data, sizeof(data) } };

    (void)state;
    memset(data, 0xff, sizeof(data));
    assert_true(vu_sparse_area(&cap, 0).size == UINT64_MAX);
    assert_true(vu_sparse_area(&cap, 1).offset == 0);
    assert_true(vu_sparse_area(&cap, UINT32_MAX).size == 0);
    /* Times 16 and 32 this wraps around to the first area. */
    assert_true(vu_sparse_area(&cap, 0x10000000).size == 0);
    assert_true(vu_sparse_fd_area(&cap, 0x08000000).offset == 0);
    assert_true(vu_sparse_fd_area(&cap, UINT32_MAX).size == 0);
}

static void type_and_msix_caps_survive_a_round_trip(void **state)
{
    const struct vu_type_cap in = { 0x80001234, UINT32_MAX };
    uint8_t body[32 + 16 + 8] = { 0 };
    struct vu_writer w = vu_writer(body + 32, sizeof(body) - 32);
    struct vu_cap_walk walk = vu_cap_walk(body, sizeof(body), 32);
    struct vu_type_cap out;
    struct vu_cap cap;

    (void)state;
    assert_int_equal(vu_encode_type_cap(&w, &in, 48), 0);
    assert_int_equal(w.len, VU_TYPE_CAP_SIZE);
    assert_int_equal(vu_encode_msix_cap(&w, 0), 0);
    assert_int_equal(w.left, 0);
    assert_int_equal(vu_encode_msix_cap(&w, 0), -ENOBUFS);
    assert_int_equal(vu_cap_next(&walk, &cap), 1);
    assert_int_equal(cap.id, VU_CAP_TYPE);
    assert_int_equal(vu_decode_type_cap(&cap, &out), 0);
    assert_memory_equal(&in, &out, sizeof(in));
    assert_int_equal(vu_cap_next(&walk, &cap), 1);
    assert_int_equal(cap.id, VU_CAP_MSIX_MAPPABLE);
    assert_int_equal(vu_cap_next(&walk, &cap), 0);
    for (size_t len = 0; len < 8; len++) {
        cap.data = (struct vu_bytes){ body, len };
        assert_int_equal(vu_decode_type_cap(&cap, &out), -EBADMSG);
    }
}

/* ---------------------------------------------------------- the others -- */

static void bitmaps_have_a_bit_for_each_page_in_whole_words(void **state)
{
    static const struct {
        uint64_t length, page_size;
        int64_t size;
    } rows[] = {
        { 1, 1, 8 },
        { 64, 1, 8 },
        { 65, 1, 16 },
        { 1, 4096, 8 },
        { 4096, 4096, 8 },
        { 4097, 4096, 8 },
        { 64 * 4096 - 1, 4096, 8 },
        { 64 * 4096, 4096, 8 },
        { 64 * 4096 + 1, 4096, 16 },
        { 1ull << 30, 4096, 32768 },
        { UINT64_MAX, 1ull << 63, 8 },
        { UINT64_MAX, 4096, 1LL << 49 },
        { UINT64_MAX, 1, 1LL << 61 },
        { 0, 4096, -EINVAL },
        { 4096, 0, -EINVAL },
        { 4096, 3, -EINVAL },
        { 4096, 4095, -EINVAL },
        { 4096, 4097, -EINVAL },
        { 4096, UINT64_MAX, -EINVAL },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_true(vu_bitmap_size(rows[i].length, rows[i].page_size) == rows[i].size);
}

static void the_type_of_a_header_is_its_low_four_bits(void **state)
{
    const struct vu_header h = { .flags = 0xfffffff7 };

    (void)state;
    assert_int_equal(vu_header_type(&h), 7);
}

static void sizes_are_those_of_the_specification(void **state)
{
    (void)state;
    assert_int_equal(VU_HEADER_SIZE, 16);
    assert_int_equal(VU_VERSION_SIZE, 4);
    assert_int_equal(VU_DMA_MAP_SIZE, 32);
    assert_int_equal(VU_DMA_UNMAP_SIZE, 24);
    assert_int_equal(VU_DMA_UNMAP_BITMAP_SIZE, 40);
    assert_int_equal(VU_DEVICE_INFO_SIZE, 16);
    assert_int_equal(VU_REGION_INFO_SIZE, 32);
    assert_int_equal(VU_REGION_IO_FDS_SIZE, 16);
    assert_int_equal(VU_IO_FD_ENTRY_SIZE, 40);
    assert_int_equal(VU_IRQ_INFO_SIZE, 16);
    assert_int_equal(VU_IRQ_SET_SIZE, 20);
    assert_int_equal(VU_REGION_ACCESS_SIZE, 16);
    assert_int_equal(VU_WRITE_MULTI_SIZE, 8);
    assert_int_equal(VU_WRITE_MULTI_ENTRY_SIZE, 24);
    assert_int_equal(VU_DMA_ACCESS_SIZE, 16);
    assert_int_equal(VU_FEATURE_SIZE, 8);
    assert_int_equal(VU_DMA_LOGGING_SIZE, 16);
    assert_int_equal(VU_DMA_LOGGING_RANGE_SIZE, 16);
    assert_int_equal(VU_DMA_REPORT_SIZE, 24);
    assert_int_equal(VU_MIG_DATA_SIZE, 8);
    assert_int_equal(VU_SPARSE_CAP_SIZE(3), 64);
    assert_int_equal(VU_SPARSE_FDS_CAP_SIZE(3), 112);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_is_encoded_is_decoded),
    cmocka_unit_test(every_field_lies_where_the_specification_puts_it),
    cmocka_unit_test(every_shorter_body_is_refused),
    cmocka_unit_test(every_smaller_room_is_refused_and_not_left),
    cmocka_unit_test(padding_is_accepted),
    cmocka_unit_test(payloads_lie_behind_the_fixed_part_and_are_not_copied),
    cmocka_unit_test(every_shorter_payload_is_refused),
    cmocka_unit_test(longer_payloads_are_refused_where_the_length_is_determined),
    cmocka_unit_test(lengths_that_a_peer_makes_up_do_not_wrap),
    cmocka_unit_test(room_for_a_payload_is_zeroed),
    cmocka_unit_test(payloads_need_their_room),
    cmocka_unit_test(without_a_payload_decoders_do_not_show_one),
    cmocka_unit_test(a_dma_write_reply_may_have_a_narrow_count),
    cmocka_unit_test(writes_come_back_one_by_one),
    cmocka_unit_test(logged_ranges_come_back_one_by_one),
    cmocka_unit_test(io_fd_entries_are_found_by_the_stride_of_the_reply),
    cmocka_unit_test(io_fd_entries_outside_the_reply_are_refused),
    cmocka_unit_test(io_fd_entries_survive_a_round_trip),
    cmocka_unit_test(a_chain_is_walked_in_its_order),
    cmocka_unit_test(no_chain_is_an_empty_chain),
    cmocka_unit_test(chains_that_leave_the_body_or_go_back_are_refused),
    cmocka_unit_test(a_refused_step_gives_nothing),
    cmocka_unit_test(the_longest_chain_ends),
    cmocka_unit_test(chains_of_random_bytes_end),
    cmocka_unit_test(sparse_areas_survive_a_round_trip),
    cmocka_unit_test(sparse_fd_areas_survive_a_round_trip),
    cmocka_unit_test(area_counts_that_do_not_fit_are_refused),
    cmocka_unit_test(areas_that_are_not_there_read_as_zeros),
    cmocka_unit_test(type_and_msix_caps_survive_a_round_trip),
    cmocka_unit_test(bitmaps_have_a_bit_for_each_page_in_whole_words),
    cmocka_unit_test(the_type_of_a_header_is_its_low_four_bits),
    cmocka_unit_test(sizes_are_those_of_the_specification),
};

VU_TEST_MAIN(tests)
