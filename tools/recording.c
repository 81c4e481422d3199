/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Recordings as bytes: see tools/recording.h and docs/recording.md.
 *
 * Blocks are read as the section's byte order says. What is inside a packet has an order
 * of its own: our header is little endian, messages are as they were sent.
 */
#include "tools/recording.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

/* Of pcapng. */
#define BLOCK_SECTION   0x0a0d0d0au
#define BLOCK_INTERFACE 0x00000001u
#define BLOCK_PACKET    0x00000006u
#define SECTION_ORDER      0x1a2b3c4du
#define SECTION_ORDER_ELSE 0x4d3c2b1au
#define BLOCK_AROUND    12u /* type, length, length again */
#define PACKET_FIXED    20u
#define OPTION_END      0u
#define OPTION_TSRESOL  9u
#define OPTION_NAME     2u
#define OPTION_PROGRAM  4u
#define MICROSECONDS    6u /* if_tsresol when there is none */
#define NANOSECONDS     9u

/* Of ours: the bytes before what was recorded. */
#define MAGIC      0x72756676u /* "vfur" in the file */
#define FIXED_SIZE 56u
#define FD_SIZE    16u
#define BIG_ENDIAN_MESSAGES 0x1u

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define OUR_ORDER BIG_ENDIAN_MESSAGES
#else
#define OUR_ORDER 0u
#endif

/* --------------------------------------------------------- little endian -- */

static void put_le(struct vu_writer *w, uint64_t v, size_t width)
{
    for (size_t i = 0; i < width; i++)
        vu_put_u8(w, (uint8_t)(v >> (8 * i)));
}

static uint64_t get_le(struct vu_reader *r, size_t width)
{
    uint64_t v = 0;

    for (size_t i = 0; i < width; i++)
        v |= (uint64_t)vu_get_u8(r) << (8 * i);
    return v;
}

/* --------------------------------------------------------------- writing -- */

static size_t padded(size_t len)
{
    return (len + 3) & ~(size_t)3;
}

static void put_padding(struct vu_writer *w, size_t len)
{
    vu_put_span(w, (struct vu_bytes){ NULL, padded(len) - len });
}

static void put_option(struct vu_writer *w, uint16_t code, const void *value,
                       uint16_t len)
{
    vu_put_u16(w, code);
    vu_put_u16(w, len);
    vu_put_bytes(w, value, len);
    put_padding(w, len);
}

int tool_recording_begin(struct vu_buffer *out)
{
    static const char program[] = "vfu record";
    static const char name[] = "vfio-user";
    const uint8_t resolution = NANOSECONDS;
    const uint32_t section_len = 28 + 4 + 12 + 4, interface_len = 20 + 4 + 12 + 8 + 4;
    uint8_t *at = vu_buffer_extend(out, section_len + interface_len);
    struct vu_writer w;

    if (at == NULL)
        return -errno;
    w = vu_writer(at, section_len + interface_len);
    vu_put_u32(&w, BLOCK_SECTION);
    vu_put_u32(&w, section_len);
    vu_put_u32(&w, SECTION_ORDER);
    vu_put_u16(&w, 1); /* version 1.0 */
    vu_put_u16(&w, 0);
    vu_put_u64(&w, UINT64_MAX); /* length of the section: not known */
    put_option(&w, OPTION_PROGRAM, program, sizeof(program) - 1);
    vu_put_u32(&w, OPTION_END);
    vu_put_u32(&w, section_len);

    vu_put_u32(&w, BLOCK_INTERFACE);
    vu_put_u32(&w, interface_len);
    vu_put_u16(&w, TOOL_RECORDING_LINK_TYPE);
    vu_put_u16(&w, 0);
    vu_put_u32(&w, 0); /* packets are not cut */
    put_option(&w, OPTION_NAME, name, sizeof(name) - 1);
    put_option(&w, OPTION_TSRESOL, &resolution, sizeof(resolution));
    vu_put_u32(&w, OPTION_END);
    vu_put_u32(&w, interface_len);
    return vu_writer_ok(&w);
}

static void put_fixed(struct vu_writer *w, const struct tool_record *record, size_t n_fds,
                      size_t at)
{
    put_le(w, MAGIC, 4);
    put_le(w, TOOL_RECORDING_VERSION, 1);
    put_le(w, record->kind, 1);
    put_le(w, record->direction == VU_TO_CLIENT, 1);
    put_le(w, record->twin, 1);
    put_le(w, (record->flags & ~BIG_ENDIAN_MESSAGES) | OUR_ORDER, 2);
    put_le(w, FIXED_SIZE + FD_SIZE * n_fds, 2);
    put_le(w, record->session, 4);
    put_le(w, record->bytes.len, 4);
    put_le(w, at, 4);
    for (size_t i = 0; i < 3; i++)
        put_le(w, record->values[i], 8);
    put_le(w, n_fds, 2);
    put_le(w, 0, 6);
}

static void put_fds(struct vu_writer *w, const struct tool_record *record, size_t n_fds)
{
    for (size_t i = 0; i < n_fds; i++) {
        const struct tool_record_fd *fd = &record->fds[i];

        put_le(w, fd->kind, 1);
        put_le(w, fd->access, 1);
        put_le(w, 0, 2);
        put_le(w, fd->file, 4);
        put_le(w, fd->size, 8);
    }
}

/* One packet with `piece` of the record's bytes, which starts at `at` of them. */
static int put_packet(struct vu_buffer *out, const struct tool_record *record, size_t at,
                      struct vu_bytes piece)
{
    size_t n_fds = at == 0 ? record->n_fds : 0;
    size_t data_len = FIXED_SIZE + FD_SIZE * n_fds + piece.len;
    size_t len = BLOCK_AROUND + PACKET_FIXED + padded(data_len);
    uint8_t *room = vu_buffer_extend(out, len);
    struct vu_writer w;

    if (room == NULL)
        return -errno;
    w = vu_writer(room, len);
    vu_put_u32(&w, BLOCK_PACKET);
    vu_put_u32(&w, (uint32_t)len);
    vu_put_u32(&w, 0); /* the only interface */
    vu_put_u32(&w, (uint32_t)(record->time_ns >> 32));
    vu_put_u32(&w, (uint32_t)record->time_ns);
    vu_put_u32(&w, (uint32_t)data_len);
    vu_put_u32(&w, (uint32_t)data_len);
    put_fixed(&w, record, n_fds, at);
    put_fds(&w, record, n_fds);
    vu_put_bytes(&w, piece.data, piece.len);
    put_padding(&w, data_len);
    vu_put_u32(&w, (uint32_t)len);
    return vu_writer_ok(&w);
}

int tool_recording_put(struct vu_buffer *out, const struct tool_record *record)
{
    size_t before = out->len, at = 0;
    int err;

    if (record->n_fds > VU_MAX_MSG_FDS || record->bytes.len > TOOL_RECORDING_MAX_MESSAGE)
        return -EINVAL;
    do {
        size_t left = record->bytes.len - at;
        struct vu_bytes piece = {
            .data = at == 0 ? record->bytes.data : record->bytes.data + at,
            .len = left < TOOL_RECORDING_PIECE ? left : TOOL_RECORDING_PIECE,
        };

        err = put_packet(out, record, at, piece);
        at += piece.len;
    } while (err == 0 && at < record->bytes.len);
    if (err != 0)
        vu_buffer_truncate(out, before);
    return err;
}

/* --------------------------------------------------------------- reading -- */

static int refuse(struct tool_recording *rec, int err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int refuse(struct tool_recording *rec, int err, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(rec->why, sizeof(rec->why), format, args);
    va_end(args);
    rec->err = err;
    return err;
}

void tool_recording_open(struct tool_recording *rec, const void *data, size_t len)
{
    *rec = (struct tool_recording){ .data = data, .len = len };
    vu_buffer_init(&rec->joined, TOOL_RECORDING_MAX_MESSAGE);
}

void tool_recording_done(struct tool_recording *rec)
{
    vu_buffer_done(&rec->joined);
}

static uint32_t section_u32(const struct tool_recording *rec, struct vu_reader *r)
{
    uint32_t v = vu_get_u32(r);

    return rec->swapped ? __builtin_bswap32(v) : v;
}

static uint16_t section_u16(const struct tool_recording *rec, struct vu_reader *r)
{
    uint16_t v = vu_get_u16(r);

    return rec->swapped ? __builtin_bswap16(v) : v;
}

/* One block: what is between its lengths. */
struct block {
    uint32_t type;
    size_t at; /* where it starts in the file, for sentences */
    struct vu_reader inside;
};

/* The byte order of a section is told by the word behind its length. */
static int section_order(struct tool_recording *rec, struct vu_reader r)
{
    uint32_t order;

    vu_get_u32(&r); /* length, in an order not known yet */
    order = vu_get_u32(&r);
    if (vu_reader_ok(&r) != 0)
        return refuse(rec, -EBADMSG, "the file ends within a block, at byte %zu",
                      rec->at);
    if (order != SECTION_ORDER && order != SECTION_ORDER_ELSE)
        return refuse(rec, -EBADMSG, "this is no pcapng file (byte order mark 0x%08x)",
                      order);
    rec->swapped = order == SECTION_ORDER_ELSE;
    rec->n_interfaces = 0;
    return 0;
}

/* 1, 0 at the end of the file, or an error. */
static int next_block(struct tool_recording *rec, struct block *b)
{
    struct vu_reader r = vu_reader(rec->data + rec->at, rec->len - rec->at);
    uint32_t len;

    if (r.left == 0 && rec->at != 0)
        return 0;
    *b = (struct block){ .at = rec->at, .type = section_u32(rec, &r) };
    if (rec->at == 0 && (vu_reader_ok(&r) != 0 || b->type != BLOCK_SECTION))
        return refuse(rec, -EBADMSG, "this is no pcapng file");
    if (b->type == BLOCK_SECTION && section_order(rec, r) != 0)
        return rec->err;
    len = section_u32(rec, &r);
    if (vu_reader_ok(&r) == 0 && (len < BLOCK_AROUND || len % 4 != 0))
        return refuse(rec, -EBADMSG, "the block at byte %zu has the length %u", b->at,
                      len);
    b->inside = r;
    b->inside.left = len - BLOCK_AROUND;
    vu_get_span(&r, b->inside.left);
    if (vu_reader_ok(&r) != 0 || r.left < 4)
        return refuse(rec, -EBADMSG, "the file ends within a block, at byte %zu", b->at);
    if (section_u32(rec, &r) != len)
        return refuse(rec, -EBADMSG, "the block at byte %zu has two different lengths",
                      b->at);
    rec->at += len;
    return 1;
}

/* if_tsresol among the options, or what absence means. */
static uint8_t resolution_option(const struct tool_recording *rec, struct vu_reader r)
{
    uint8_t resolution = MICROSECONDS;

    while (r.left >= 4) {
        uint16_t code = section_u16(rec, &r);
        uint16_t len = section_u16(rec, &r);
        struct vu_bytes value = vu_get_span(&r, len);

        if (code == OPTION_END || vu_reader_ok(&r) != 0)
            break;
        if (code == OPTION_TSRESOL && value.len == 1)
            resolution = value.data[0];
        vu_get_span(&r, padded(len) - len);
    }
    return resolution;
}

static int on_interface(struct tool_recording *rec, struct block *b)
{
    uint16_t link_type = section_u16(rec, &b->inside);

    section_u16(rec, &b->inside); /* reserved */
    section_u32(rec, &b->inside); /* longest packet */
    if (vu_reader_ok(&b->inside) != 0)
        return refuse(rec, -EBADMSG, "the interface block at byte %zu is too short",
                      b->at);
    if (rec->n_interfaces == TOOL_RECORDING_INTERFACES)
        return refuse(rec, -EBADMSG, "there are more than %u interfaces",
                      TOOL_RECORDING_INTERFACES);
    rec->interfaces[rec->n_interfaces].ours = link_type == TOOL_RECORDING_LINK_TYPE;
    rec->interfaces[rec->n_interfaces].resolution = resolution_option(rec, b->inside);
    rec->n_interfaces++;
    return 0;
}

/* A time in units of `resolution` as ns: powers of ten, or of two with the upper bit. */
static uint64_t in_ns(uint64_t t, uint8_t resolution)
{
    unsigned power = resolution & 0x7fu;

    if ((resolution & 0x80u) != 0) {
        unsigned __int128 ns = (unsigned __int128)t * 1000000000u;

        return power < 128 ? (uint64_t)(ns >> power) : 0;
    }
    for (; power < NANOSECONDS; power++)
        t *= 10;
    for (; power > NANOSECONDS && t != 0; power--)
        t /= 10;
    return t;
}

/* A packet: our header, then a piece of what was recorded. */
struct packet {
    struct tool_record *record; /* filled, but for bytes */
    uint32_t total, at;         /* bytes in all pieces; where this one starts */
    uint16_t order;
    struct vu_bytes piece;
};

static uint8_t fd_kind(uint64_t kind)
{
    return kind < TOOL_FD_KINDS ? (uint8_t)kind : TOOL_FD_OTHER;
}

static void get_fds(struct vu_reader *r, struct tool_record *record)
{
    for (size_t i = 0; i < record->n_fds; i++) {
        struct tool_record_fd *fd = &record->fds[i];

        fd->kind = fd_kind(get_le(r, 1));
        fd->access = (uint8_t)get_le(r, 1) & 3;
        get_le(r, 2);
        fd->file = (uint32_t)get_le(r, 4);
        fd->size = get_le(r, 8);
    }
}

/* The fixed part. The header may have grown at its end in a file of the same version. */
static int get_fixed(struct tool_recording *rec, const struct block *b,
                     struct vu_bytes data, struct packet *p)
{
    struct vu_reader r = vu_reader(data.data, data.len);
    struct tool_record *record = p->record;
    uint64_t magic = get_le(&r, 4), version = get_le(&r, 1);
    uint64_t header_len;

    if (vu_reader_ok(&r) != 0 || magic != MAGIC)
        return refuse(rec, -EBADMSG, "the packet at byte %zu is no record of vfio-user",
                      b->at);
    if (version != TOOL_RECORDING_VERSION)
        return refuse(rec, -EBADMSG,
                      "the recording has version %u of the format; this program knows %u",
                      (unsigned)version, TOOL_RECORDING_VERSION);
    record->kind = (enum tool_record_kind)get_le(&r, 1);
    record->direction = get_le(&r, 1) != 0 ? VU_TO_CLIENT : VU_TO_SERVER;
    record->twin = get_le(&r, 1) != 0;
    record->flags = (uint16_t)get_le(&r, 2);
    p->order = record->flags & BIG_ENDIAN_MESSAGES;
    record->flags &= ~BIG_ENDIAN_MESSAGES;
    header_len = get_le(&r, 2);
    record->session = (uint32_t)get_le(&r, 4);
    p->total = (uint32_t)get_le(&r, 4);
    p->at = (uint32_t)get_le(&r, 4);
    for (size_t i = 0; i < 3; i++)
        record->values[i] = get_le(&r, 8);
    record->n_fds = get_le(&r, 2);
    get_le(&r, 6);
    if (vu_reader_ok(&r) != 0 || record->n_fds > VU_MAX_MSG_FDS ||
        header_len < FIXED_SIZE + FD_SIZE * record->n_fds || header_len > data.len)
        return refuse(rec, -EBADMSG, "the record at byte %zu has a damaged header",
                      b->at);
    get_fds(&r, record);
    p->piece = (struct vu_bytes){ data.data + header_len, data.len - header_len };
    return 0;
}

/* 1: *p is a packet of ours, 0: of another interface, or an error. */
static int get_packet(struct tool_recording *rec, struct block *b, struct packet *p)
{
    uint32_t interface = section_u32(rec, &b->inside);
    uint64_t time = (uint64_t)section_u32(rec, &b->inside) << 32;
    uint32_t len, original;
    struct vu_bytes data;

    time |= section_u32(rec, &b->inside);
    len = section_u32(rec, &b->inside);
    original = section_u32(rec, &b->inside);
    data = vu_get_span(&b->inside, len);
    if (vu_reader_ok(&b->inside) != 0)
        return refuse(rec, -EBADMSG, "the packet at byte %zu is longer than its block",
                      b->at);
    if (interface >= rec->n_interfaces)
        return refuse(rec, -EBADMSG, "the packet at byte %zu has no interface", b->at);
    if (!rec->interfaces[interface].ours)
        return 0;
    if (get_fixed(rec, b, data, p) != 0)
        return rec->err;
    p->record->time_ns = in_ns(time, rec->interfaces[interface].resolution);
    p->record->cut = original > len;
    if (p->order != OUR_ORDER)
        return refuse(
            rec, -EBADMSG,
            "it was recorded on a machine with another byte order than this one");
    return 1;
}

/* The next packet of ours: 1, 0 at the end, or an error. */
static int next_packet(struct tool_recording *rec, struct packet *p)
{
    struct block b;
    int more;

    while ((more = next_block(rec, &b)) == 1) {
        int got = 0;

        if (b.type == BLOCK_INTERFACE)
            got = on_interface(rec, &b);
        else if (b.type == BLOCK_PACKET)
            got = get_packet(rec, &b, p);
        if (got != 0)
            return got;
    }
    return more;
}

static int add_piece(struct tool_recording *rec, struct vu_bytes piece)
{
    uint8_t *room = vu_buffer_extend(&rec->joined, piece.len);

    if (room == NULL)
        return refuse(rec, -ENOMEM, "there is no memory for a message");
    if (piece.len != 0)
        memcpy(room, piece.data, piece.len);
    return 0;
}

/* The other pieces of a record whose first one is in rec->joined. */
static int join(struct tool_recording *rec, const struct tool_record *record,
                uint32_t total)
{
    static const char *const wanted =
        "a piece of a long message is missing before byte %zu";
    struct tool_record other;
    struct packet p = { .record = &other };
    int more;

    while (rec->joined.len < total) {
        more = next_packet(rec, &p);
        if (more < 0)
            return more;
        if (more == 0 || p.at != rec->joined.len || p.total != total ||
            p.piece.len == 0 || p.piece.len > total - p.at ||
            other.session != record->session || other.kind != record->kind)
            return refuse(rec, -EBADMSG, wanted, rec->at);
        if (add_piece(rec, p.piece) != 0)
            return rec->err;
    }
    return 0;
}

int tool_recording_next(struct tool_recording *rec, struct tool_record *record)
{
    struct tool_record r;
    struct packet p = { .record = &r };
    int more;

    if (rec->err != 0)
        return rec->err;
    more = next_packet(rec, &p);
    if (more != 1)
        return more;
    if (p.total > TOOL_RECORDING_MAX_MESSAGE)
        return refuse(rec, -EBADMSG,
                      "the record before byte %zu says that it has %u bytes", rec->at,
                      p.total);
    if (p.at != 0)
        return refuse(rec, -EBADMSG,
                      "the beginning of the message before byte %zu is missing", rec->at);
    if (p.piece.len > p.total)
        p.piece.len = p.total;
    r.bytes = p.piece;
    if (p.piece.len < p.total && !r.cut) {
        vu_buffer_truncate(&rec->joined, 0);
        if (add_piece(rec, p.piece) != 0 || join(rec, &r, p.total) != 0)
            return rec->err;
        r.bytes = (struct vu_bytes){ rec->joined.data, rec->joined.len };
    }
    *record = r;
    return 1;
}

bool tool_record_header(const struct tool_record *record, struct vu_header *h)
{
    struct vu_reader r = vu_reader(record->bytes.data, record->bytes.len);

    return record->kind == TOOL_RECORD_MESSAGE && vu_decode_header(&r, h) == 0;
}

struct vu_bytes tool_record_body(const struct tool_record *record)
{
    struct vu_reader r = vu_reader(record->bytes.data, record->bytes.len);

    vu_get_span(&r, VU_HEADER_SIZE);
    return vu_get_rest(&r);
}
