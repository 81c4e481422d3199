/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages as text.
 *
 * A formatter decodes the body with the decoder that everybody uses, and then
 * shows the fields in the order of the layout. Each shown field takes its width
 * from what is left of the body, so the line knows by itself which fields did
 * not come and how many bytes no field covered. Not on any fast path, but
 * called for hostile bytes: the output is bounded by the buffer, and so is
 * every loop.
 */
#include "wire/text.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/command.h"

#define DATA_SHOWN  16u  /* bytes of payload */
#define ITEMS_SHOWN 8u   /* areas, ranges, entries; runs of descriptors */
#define JSON_SHOWN  640u /* bytes of version data, to leave room for the rest */
#define FD_TEXT_MAX 48u  /* bytes for one descriptor */

/* ---------------------------------------------------------------- words -- */

/* A bit of a flags field and what the line calls it; a table ends with no name. */
struct word {
    uint32_t bit;
    const char *name;
};

/* clang-format off */
static const struct word header_words[] = {
    { VU_F_NO_REPLY, "NO_REPLY" }, { VU_F_ERROR, "ERROR" }, { 0, NULL }
};

static const struct word device_words[] = {
    { VU_DEVICE_RESETTABLE, "RESET" }, { VU_DEVICE_PCI, "PCI" }, { 0, NULL }
};

static const struct word dma_words[] = {
    { VU_DMA_READABLE, "READ" }, { VU_DMA_WRITEABLE, "WRITE" }, { VU_DMA_MMAP, "MMAP" },
    { VU_DMA_FILE_IO, "FILE_IO" }, { 0, NULL }
};

static const struct word unmap_words[] = {
    { VU_DMA_UNMAP_GET_DIRTY_BITMAP, "GET_DIRTY_BITMAP" }, { VU_DMA_UNMAP_ALL, "ALL" },
    { 0, NULL }
};

static const struct word region_words[] = {
    { VU_REGION_READABLE, "READ" }, { VU_REGION_WRITEABLE, "WRITE" },
    { VU_REGION_MMAP, "MMAP" }, { VU_REGION_CAPS, "CAPS" }, { 0, NULL }
};

static const struct word no_words[] = { { 0, NULL } };

static const struct word irq_words[] = {
    { VU_IRQ_EVENTFD, "EVENTFD" }, { VU_IRQ_MASKABLE, "MASKABLE" },
    { VU_IRQ_AUTOMASKED, "AUTOMASKED" }, { VU_IRQ_NORESIZE, "NORESIZE" }, { 0, NULL }
};

static const struct word irq_set_words[] = {
    { VU_IRQ_SET_DATA_NONE, "NONE" }, { VU_IRQ_SET_DATA_BOOL, "BOOL" },
    { VU_IRQ_SET_DATA_EVENTFD, "EVENTFD" }, { VU_IRQ_SET_ACTION_MASK, "MASK" },
    { VU_IRQ_SET_ACTION_UNMASK, "UNMASK" }, { VU_IRQ_SET_ACTION_TRIGGER, "TRIGGER" },
    { 0, NULL }
};

static const struct word migration_words[] = {
    { VU_MIGRATION_STOP_COPY, "STOP_COPY" }, { VU_MIGRATION_P2P, "P2P" },
    { VU_MIGRATION_PRE_COPY, "PRE_COPY" }, { 0, NULL }
};

static const struct word op_words[] = {
    { VU_FEATURE_GET, "GET" }, { VU_FEATURE_SET, "SET" }, { VU_FEATURE_PROBE, "PROBE" },
    { 0, NULL }
};
/* clang-format on */

/* ------------------------------------------------------------ the line -- */

struct line {
    char *buf;
    size_t room; /* bytes of buf, at least 1 */
    size_t len;  /* characters so far, without NUL */
    bool cut;    /* something did not fit */

    const uint8_t *at; /* first byte of the body that no field covered yet */
    size_t left;       /* bytes from there to the end of the body */
    bool is_short;     /* a field is not all there */
};

static void add(struct line *l, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add(struct line *l, const char *format, ...)
{
    size_t room = l->room - l->len;
    va_list args;
    int n;

    if (l->cut)
        return;
    va_start(args, format);
    n = vsnprintf(l->buf + l->len, room, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < room) {
        l->len += (size_t)n;
        return;
    }
    l->cut = true;
    l->len = strnlen(l->buf, l->room - 1);
}

/* Characters of text that came from outside: what does not print is escaped. */
static void add_escaped(struct line *l, const uint8_t *text, size_t len)
{
    for (size_t i = 0; i < len && !l->cut; i++) {
        if (text[i] >= 0x20 && text[i] < 0x7f)
            add(l, "%c", text[i]);
        else
            add(l, "\\x%02x", text[i]);
    }
}

/* Take len bytes of the body, or none and say so. */
static bool cover(struct line *l, size_t len)
{
    if (l->is_short || len > l->left) {
        l->is_short = true;
        return false;
    }
    if (len != 0)
        l->at += len;
    l->left -= len;
    return true;
}

/* -------------------------------------------------------------- fields -- */

static void dec_field(struct line *l, const char *name, uint64_t value, size_t width)
{
    if (cover(l, width))
        add(l, " %s=%llu", name, (unsigned long long)value);
}

static void hex_field(struct line *l, const char *name, uint64_t value, size_t width)
{
    if (cover(l, width))
        add(l, " %s=0x%llx", name, (unsigned long long)value);
}

/* Name, value and width of a struct's member, in decimal or hexadecimal. */
#define DEC(l, m, field) dec_field(l, #field, (m).field, sizeof((m).field))
#define HEX(l, m, field) hex_field(l, #field, (m).field, sizeof((m).field))

/* "READ|WRITE|0x40"; bits without a word in one hexadecimal rest. */
static void add_words(struct line *l, uint64_t value, const struct word *words)
{
    const char *bar = "";

    for (; words->name != NULL; words++) {
        if ((value & words->bit) == 0)
            continue;
        add(l, "%s%s", bar, words->name);
        value &= ~(uint64_t)words->bit;
        bar = "|";
    }
    if (value != 0)
        add(l, "%s0x%llx", bar, (unsigned long long)value);
    else if (*bar == '\0')
        add(l, "0");
}

static void words_field(struct line *l, uint64_t value, size_t width,
                        const struct word *words)
{
    if (!cover(l, width))
        return;
    add(l, " flags=");
    add_words(l, value, words);
}

#define FLAGS(l, m, words) words_field(l, (m).flags, sizeof((m).flags), words)

/* wanted bytes of payload: as many of them as there are, the first in hex. */
static void payload_field(struct line *l, const char *name, uint64_t wanted)
{
    const uint8_t *data = l->at;
    size_t len = wanted < l->left ? (size_t)wanted : l->left;

    if (l->is_short || (!cover(l, len)))
        return;
    l->is_short = len < wanted;
    if (len == 0)
        return;
    add(l, " %s=", name);
    for (size_t i = 0; i < len && i < DATA_SHOWN; i++)
        add(l, "%02x", data[i]);
    if (len > DATA_SHOWN)
        add(l, "...");
}

/* ----------------------------------------------------- VERSION, device -- */

static void show_version(struct line *l, struct vu_reader *r)
{
    struct vu_version m;
    size_t len;

    vu_decode_version(r, &m);
    DEC(l, m, major);
    DEC(l, m, minor);
    if (m.data.len == 0 || !cover(l, m.data.len))
        return;
    len = m.data.data[m.data.len - 1] == '\0' ? m.data.len - 1 : m.data.len;
    add(l, " json=");
    add_escaped(l, m.data.data, len < JSON_SHOWN ? len : JSON_SHOWN);
    if (len > JSON_SHOWN)
        add(l, "...");
    if (len == m.data.len)
        add(l, " (no NUL)");
}

static void show_device_info(struct line *l, struct vu_reader *r)
{
    struct vu_device_info m;

    vu_decode_device_info(r, &m);
    DEC(l, m, argsz);
    FLAGS(l, m, device_words);
    DEC(l, m, num_regions);
    DEC(l, m, num_irqs);
}

/* ----------------------------------------------------------------- DMA -- */

static void show_dma_map(struct line *l, struct vu_reader *r)
{
    struct vu_dma_map m;

    vu_decode_dma_map(r, &m);
    DEC(l, m, argsz);
    FLAGS(l, m, dma_words);
    HEX(l, m, offset);
    HEX(l, m, address);
    HEX(l, m, size);
}

static void dma_unmap_fields(struct line *l, const struct vu_dma_unmap *m)
{
    DEC(l, *m, argsz);
    FLAGS(l, *m, unmap_words);
    HEX(l, *m, address);
    HEX(l, *m, size);
    if ((m->flags & VU_DMA_UNMAP_GET_DIRTY_BITMAP) != 0) {
        HEX(l, *m, pgsize);
        DEC(l, *m, bitmap_size);
    }
}

static void show_dma_unmap(struct line *l, struct vu_reader *r)
{
    struct vu_dma_unmap m;

    vu_decode_dma_unmap(r, &m);
    dma_unmap_fields(l, &m);
}

static void show_dma_unmap_reply(struct line *l, struct vu_reader *r)
{
    struct vu_dma_unmap m;

    vu_decode_dma_unmap_reply(r, &m);
    dma_unmap_fields(l, &m);
    payload_field(l, "bitmap", m.bitmap_size);
}

static void show_dma_access(struct line *l, struct vu_reader *r)
{
    struct vu_dma_access m;

    vu_decode_dma_access(r, &m);
    HEX(l, m, address);
    DEC(l, m, count);
}

static void show_dma_data(struct line *l, struct vu_reader *r)
{
    struct vu_dma_access m;

    vu_decode_dma_data(r, &m);
    HEX(l, m, address);
    DEC(l, m, count);
    payload_field(l, "data", m.count);
}

static void show_dma_write_reply(struct line *l, struct vu_reader *r)
{
    struct vu_dma_access m;
    bool narrow = r->left == 12;

    vu_decode_dma_write_reply(r, &m);
    HEX(l, m, address);
    dec_field(l, "count", m.count, narrow ? 4 : 8);
}

/* -------------------------------------------------------------- region -- */

static void region_info_fields(struct line *l, const struct vu_region_info *m)
{
    DEC(l, *m, argsz);
    FLAGS(l, *m, region_words);
    DEC(l, *m, index);
    DEC(l, *m, cap_offset);
    HEX(l, *m, size);
    HEX(l, *m, offset);
}

static void show_region_info(struct line *l, struct vu_reader *r)
{
    struct vu_region_info m;

    vu_decode_region_info(r, &m);
    region_info_fields(l, &m);
}

static void add_sparse(struct line *l, const struct vu_cap *cap)
{
    int64_t n = vu_sparse_count(cap);

    add(l, n < 0 ? "(broken)" : "(");
    for (uint32_t i = 0; i < n && i < ITEMS_SHOWN; i++) {
        struct vu_sparse_area a = vu_sparse_area(cap, i);

        add(l, "%s0x%llx+0x%llx", i == 0 ? "" : ",", (unsigned long long)a.offset,
            (unsigned long long)a.size);
    }
    if (n >= 0)
        add(l, n > ITEMS_SHOWN ? ",...)" : ")");
}

static void add_sparse_fds(struct line *l, const struct vu_cap *cap)
{
    int64_t n = vu_sparse_fds_count(cap);

    add(l, n < 0 ? "(broken)" : "(");
    for (uint32_t i = 0; i < n && i < ITEMS_SHOWN; i++) {
        struct vu_sparse_fd_area a = vu_sparse_fd_area(cap, i);

        add(l, "%s0x%llx+0x%llx@fd%u:0x%llx", i == 0 ? "" : ",",
            (unsigned long long)a.offset, (unsigned long long)a.size, a.fd_index,
            (unsigned long long)a.fd_offset);
    }
    if (n >= 0)
        add(l, n > ITEMS_SHOWN ? ",...)" : ")");
}

static void add_type(struct line *l, const struct vu_cap *cap)
{
    struct vu_type_cap m;

    if (vu_decode_type_cap(cap, &m) == 0)
        add(l, "(0x%x,0x%x)", m.type, m.subtype);
    else
        add(l, "(broken)");
}

static void add_cap(struct line *l, const struct vu_cap *cap)
{
    switch (cap->id) {
    case VU_CAP_SPARSE_MMAP:
        add(l, "SPARSE_MMAP");
        add_sparse(l, cap);
        break;
    case VU_CAP_SPARSE_MMAP_FDS:
        add(l, "SPARSE_MMAP_FDS");
        add_sparse_fds(l, cap);
        break;
    case VU_CAP_TYPE:
        add(l, "TYPE");
        add_type(l, cap);
        break;
    case VU_CAP_MSIX_MAPPABLE:
        add(l, "MSIX_MAPPABLE");
        break;
    default:
        add(l, "CAP_0x%x", cap->id);
    }
    if (cap->version != 1)
        add(l, "v%u", cap->version);
}

/* 0, or -EBADMSG for a chain that is broken. */
static int add_chain(struct line *l, struct vu_cap_walk walk)
{
    const char *space = "";
    struct vu_cap cap;
    int more;

    while ((more = vu_cap_next(&walk, &cap)) == 1 && !l->cut) {
        add(l, "%s", space);
        add_cap(l, &cap);
        space = " ";
    }
    if (more < 0)
        add(l, "%sbroken", space);
    return more < 0 ? more : 0;
}

static void show_region_info_reply(struct line *l, struct vu_reader *r)
{
    const uint8_t *body = r->pos;
    size_t body_len = r->left;
    struct vu_region_info m;

    vu_decode_region_info(r, &m);
    region_info_fields(l, &m);
    if (l->is_short || (m.flags & VU_REGION_CAPS) == 0)
        return;
    add(l, " caps=[");
    if (add_chain(l, vu_cap_walk(body, body_len, m.cap_offset)) == 0)
        cover(l, l->left);
    add(l, "]");
}

static void region_io_fds_fields(struct line *l, const struct vu_region_io_fds *m)
{
    DEC(l, *m, argsz);
    FLAGS(l, *m, no_words);
    DEC(l, *m, index);
    DEC(l, *m, count);
}

static void show_region_io_fds(struct line *l, struct vu_reader *r)
{
    struct vu_region_io_fds m;

    vu_decode_region_io_fds(r, &m);
    region_io_fds_fields(l, &m);
}

static void add_io_fd(struct line *l, const struct vu_io_fd_entry *e)
{
    static const char *const types[] = { "ioeventfd", "ioregionfd", "shadow" };

    if (e->type < sizeof(types) / sizeof(types[0]))
        add(l, "%s", types[e->type]);
    else
        add(l, "type%u", e->type);
    add(l, "(0x%llx+0x%llx fd%u flags=0x%x datamatch=0x%llx)",
        (unsigned long long)e->offset, (unsigned long long)e->size, e->fd_index, e->flags,
        (unsigned long long)e->datamatch);
}

static void show_region_io_fds_reply(struct line *l, struct vu_reader *r)
{
    struct vu_region_io_fds m;
    struct vu_io_fd_entry e;
    uint32_t i, len;

    vu_decode_region_io_fds(r, &m);
    region_io_fds_fields(l, &m);
    if (vu_decode_io_fd_entry(&m, 0, &e) != 0)
        return; /* none, or nobody can tell where */
    len = m.argsz - VU_REGION_IO_FDS_SIZE;
    add(l, " entries=[");
    for (i = 0; i < ITEMS_SHOWN && vu_decode_io_fd_entry(&m, i, &e) == 0; i++) {
        add(l, "%s", i == 0 ? "" : " ");
        add_io_fd(l, &e);
    }
    add(l, "%s]", i == ITEMS_SHOWN && i < m.count ? " ..." : "");
    l->is_short = len > l->left;
    cover(l, len);
}

static void show_region_access(struct line *l, struct vu_reader *r)
{
    struct vu_region_access m;

    vu_decode_region_access(r, &m);
    HEX(l, m, offset);
    DEC(l, m, region);
    DEC(l, m, count);
}

static void show_region_data(struct line *l, struct vu_reader *r)
{
    struct vu_region_access m;

    vu_decode_region_data(r, &m);
    HEX(l, m, offset);
    DEC(l, m, region);
    DEC(l, m, count);
    payload_field(l, "data", m.count);
}

static void show_write_multi_reply(struct line *l, struct vu_reader *r)
{
    struct vu_write_multi m;

    vu_decode_write_multi_reply(r, &m);
    DEC(l, m, count);
}

static void add_write(struct line *l, const struct vu_write_multi_entry *e)
{
    add(l, "%u:0x%llx+%u=", e->region, (unsigned long long)e->offset, e->count);
    for (size_t i = 0; i < sizeof(e->data) && i < e->count; i++)
        add(l, "%02x", e->data[i]);
}

static void show_write_multi(struct line *l, struct vu_reader *r)
{
    struct vu_write_multi m;
    struct vu_write_multi_entry e;
    uint64_t i;

    vu_decode_write_multi(r, &m);
    DEC(l, m, count);
    if (l->is_short)
        return;
    add(l, " writes=[");
    for (i = 0; i < m.count && vu_decode_write_multi_entry(&m, i, &e) == 0; i++) {
        if (i < ITEMS_SHOWN) {
            add(l, "%s", i == 0 ? "" : " ");
            add_write(l, &e);
        }
        cover(l, VU_WRITE_MULTI_ENTRY_SIZE);
    }
    add(l, "%s]", i > ITEMS_SHOWN ? " ..." : "");
    l->is_short = i < m.count;
}

/* ---------------------------------------------------------- interrupts -- */

static void show_irq_info(struct line *l, struct vu_reader *r)
{
    struct vu_irq_info m;

    vu_decode_irq_info(r, &m);
    DEC(l, m, argsz);
    FLAGS(l, m, irq_words);
    DEC(l, m, index);
    DEC(l, m, count);
}

static void show_irq_set(struct line *l, struct vu_reader *r)
{
    struct vu_irq_set m;

    vu_decode_irq_set(r, &m);
    DEC(l, m, argsz);
    FLAGS(l, m, irq_set_words);
    DEC(l, m, index);
    DEC(l, m, start);
    DEC(l, m, count);
    if ((m.flags & VU_IRQ_SET_DATA_BOOL) != 0)
        payload_field(l, "data", m.count);
}

/* ---------------------------------------------- features and migration -- */

static void show_migration(struct line *l, struct vu_reader *r)
{
    struct vu_feature_migration m;

    vu_decode_feature_migration(r, &m);
    if (cover(l, sizeof(m.flags))) {
        add(l, " migration=");
        add_words(l, m.flags, migration_words);
    }
}

static void show_mig_state(struct line *l, struct vu_reader *r)
{
    static const char *const states[VU_MIG_STATES] = {
        [VU_MIG_ERROR] = "ERROR",       [VU_MIG_STOP] = "STOP",
        [VU_MIG_RUNNING] = "RUNNING",   [VU_MIG_STOP_COPY] = "STOP_COPY",
        [VU_MIG_RESUMING] = "RESUMING", [VU_MIG_RUNNING_P2P] = "RUNNING_P2P",
        [VU_MIG_PRE_COPY] = "PRE_COPY", [VU_MIG_PRE_COPY_P2P] = "PRE_COPY_P2P",
    };
    struct vu_feature_mig_state m;

    vu_decode_feature_mig_state(r, &m);
    if (m.device_state >= VU_MIG_STATES)
        DEC(l, m, device_state);
    else if (cover(l, sizeof(m.device_state)))
        add(l, " device_state=%s", states[m.device_state]);
    DEC(l, m, data_fd);
}

static void show_logging_start(struct line *l, struct vu_reader *r)
{
    struct vu_dma_logging m;
    struct vu_dma_logging_range range;
    uint32_t i;

    vu_decode_dma_logging(r, &m);
    HEX(l, m, page_size);
    DEC(l, m, num_ranges);
    if (!cover(l, 4) || m.num_ranges == 0) /* reserved */
        return;
    add(l, " ranges=[");
    for (i = 0; i < m.num_ranges && vu_decode_dma_logging_range(&m, i, &range) == 0;
         i++) {
        if (i < ITEMS_SHOWN)
            add(l, "%s0x%llx+0x%llx", i == 0 ? "" : " ", (unsigned long long)range.iova,
                (unsigned long long)range.length);
        cover(l, VU_DMA_LOGGING_RANGE_SIZE);
    }
    add(l, "%s]", i > ITEMS_SHOWN ? " ..." : "");
    l->is_short = i < m.num_ranges;
}

static void show_report(struct line *l, struct vu_reader *r)
{
    struct vu_dma_report m;

    vu_decode_dma_report(r, &m);
    HEX(l, m, iova);
    HEX(l, m, length);
    HEX(l, m, page_size);
}

static void show_report_reply(struct line *l, struct vu_reader *r)
{
    show_report(l, r);
    payload_field(l, "bitmap", l->left);
}

typedef void show_fn(struct line *l, struct vu_reader *r);

/* clang-format off */
/* What a feature's data look like, by what the message does with them. */
static const struct feature {
    const char *name;
    show_fn *set;       /* SET, both ways */
    show_fn *get;       /* GET command */
    show_fn *got;       /* GET reply */
} features[] = {
    [VU_FEATURE_MIGRATION] = { "MIGRATION", NULL, NULL, show_migration },
    [VU_FEATURE_MIG_DEVICE_STATE] = { "MIG_DEVICE_STATE", show_mig_state, NULL,
                                      show_mig_state },
    [VU_FEATURE_DMA_LOGGING_START] = { "DMA_LOGGING_START", show_logging_start, NULL,
                                       NULL },
    [VU_FEATURE_DMA_LOGGING_STOP] = { "DMA_LOGGING_STOP", NULL, NULL, NULL },
    [VU_FEATURE_DMA_LOGGING_REPORT] = { "DMA_LOGGING_REPORT", NULL, show_report,
                                        show_report_reply },
};
/* clang-format on */

static void show_feature_any(struct line *l, struct vu_reader *r, bool reply)
{
    static const struct feature unknown = { 0 };
    const struct feature *f = &unknown;
    struct vu_feature m;
    struct vu_reader data;
    show_fn *show;
    uint32_t index;

    vu_decode_feature(r, &m);
    index = m.flags & VU_FEATURE_INDEX_MASK;
    if (index < sizeof(features) / sizeof(features[0]))
        f = &features[index];
    DEC(l, m, argsz);
    if (!cover(l, sizeof(m.flags)))
        return;
    if (f->name != NULL)
        add(l, " feature=%s op=", f->name);
    else
        add(l, " feature=%u op=", index);
    add_words(l, m.flags & ~VU_FEATURE_INDEX_MASK, op_words);
    if ((m.flags & VU_FEATURE_PROBE) != 0)
        return; /* names methods, carries no data */
    show = (m.flags & VU_FEATURE_SET) != 0 ? f->set : reply ? f->got : f->get;
    data = vu_reader(m.data.data, m.data.len);
    if (show != NULL)
        show(l, &data);
}

static void show_feature(struct line *l, struct vu_reader *r)
{
    show_feature_any(l, r, false);
}

static void show_feature_reply(struct line *l, struct vu_reader *r)
{
    show_feature_any(l, r, true);
}

static void show_mig_request(struct line *l, struct vu_reader *r)
{
    struct vu_mig_data m;

    vu_decode_mig_data_request(r, &m);
    DEC(l, m, argsz);
    DEC(l, m, size);
}

static void show_mig_data(struct line *l, struct vu_reader *r)
{
    struct vu_mig_data m;

    vu_decode_mig_data(r, &m);
    DEC(l, m, argsz);
    DEC(l, m, size);
    payload_field(l, "data", m.size);
}

/* --------------------------------------------------------- descriptors -- */

static const char *fd_or_taken(char *buf, size_t len, int fd)
{
    if (fd != -1)
        return vu_fd_text(buf, len, fd);
    snprintf(buf, len, "taken");
    return buf;
}

/* "[eventfd*16 memfd:4096]": neighbours with the same text are counted. */
static void add_fds(struct line *l, const int *fds, size_t n)
{
    char text[FD_TEXT_MAX], next[FD_TEXT_MAX];
    size_t runs = 0, i = 0; /* i: first descriptor not yet shown */

    add(l, " fds=[");
    while (i < n && runs++ < ITEMS_SHOWN) {
        size_t from = i;

        fd_or_taken(text, sizeof(text), fds[i]);
        do {
            i++;
        } while (i < n && strcmp(text, fd_or_taken(next, sizeof(next), fds[i])) == 0);
        add(l, "%s%s", from == 0 ? "" : " ", text);
        if (i - from > 1)
            add(l, "*%zu", i - from);
    }
    if (i < n)
        add(l, " +%zu", n - i);
    add(l, "]");
}

/* ------------------------------------------------------------- message -- */

/* clang-format off */
static const struct {
    show_fn *command;
    show_fn *reply;     /* NULL, here and there: no body */
} formatters[VU_COMMAND_MAX] = {
    [VU_VERSION] =                  { show_version,       show_version },
    [VU_DMA_MAP] =                  { show_dma_map,       NULL },
    [VU_DMA_UNMAP] =                { show_dma_unmap,     show_dma_unmap_reply },
    [VU_DEVICE_GET_INFO] =          { show_device_info,   show_device_info },
    [VU_DEVICE_GET_REGION_INFO] =   { show_region_info,   show_region_info_reply },
    [VU_DEVICE_GET_REGION_IO_FDS] = { show_region_io_fds, show_region_io_fds_reply },
    [VU_DEVICE_GET_IRQ_INFO] =      { show_irq_info,      show_irq_info },
    [VU_DEVICE_SET_IRQS] =          { show_irq_set,       NULL },
    [VU_REGION_READ] =              { show_region_access, show_region_data },
    [VU_REGION_WRITE] =             { show_region_data,   show_region_access },
    [VU_DMA_READ] =                 { show_dma_access,    show_dma_data },
    [VU_DMA_WRITE] =                { show_dma_data,      show_dma_write_reply },
    [VU_DEVICE_RESET] =             { NULL,               NULL },
    [VU_REGION_WRITE_MULTI] =       { show_write_multi,   show_write_multi_reply },
    [VU_DEVICE_FEATURE] =           { show_feature,       show_feature_reply },
    [VU_MIG_DATA_READ] =            { show_mig_request,   show_mig_data },
    [VU_MIG_DATA_WRITE] =           { show_mig_data,      NULL },
};
/* clang-format on */

/* NULL for 0 and what is no errno. */
static const char *error_name(uint32_t err)
{
    return err > 0 && err <= 4095 ? strerrorname_np((int)err) : NULL;
}

/* The kind of message, and what of the header is unusual for that kind. */
static void add_header(struct line *l, const struct vu_header *h)
{
    char name[16];
    uint32_t type = vu_header_type(h);
    uint32_t rest = h->flags & ~VU_F_TYPE_MASK;
    bool error = type == VU_F_TYPE_REPLY && (h->flags & VU_F_ERROR) != 0;

    if (error)
        rest &= ~VU_F_ERROR;
    add(l, "%s", vu_command_name(h->command, name, sizeof(name)));
    if (type > VU_F_TYPE_REPLY)
        add(l, " type%u", type);
    else
        add(l, " %s", error ? "error" : type == VU_F_TYPE_REPLY ? "reply" : "cmd");
    add(l, " id=%u size=%u", h->msg_id, h->size);
    if (rest != 0) {
        add(l, " header=");
        add_words(l, rest, header_words);
    }
    if (error || h->error != 0)
        add(l, " errno=%u", h->error);
    if (error_name(h->error) != NULL)
        add(l, " (%s)", error_name(h->error));
}

static show_fn *formatter(const struct vu_header *h)
{
    uint32_t type = vu_header_type(h);

    if (h->command >= VU_COMMAND_MAX)
        return NULL;
    if (type == VU_F_TYPE_COMMAND)
        return formatters[h->command].command;
    if (type == VU_F_TYPE_REPLY && (h->flags & VU_F_ERROR) == 0)
        return formatters[h->command].reply;
    return NULL;
}

static void add_body(struct line *l, const struct vu_header *h)
{
    struct vu_reader r = vu_reader(l->at, l->left);
    show_fn *show = formatter(h);

    if (show != NULL)
        show(l, &r);
    if (l->left != 0)
        add(l, " +%zu bytes", l->left);
    if (l->is_short)
        add(l, " short");
}

/* A line over buf; room must not be 0. */
static struct line start(char *buf, size_t room)
{
    *buf = '\0';
    return (struct line){ .buf = buf, .room = room };
}

static void finish(struct line *l)
{
    size_t dots = l->len < 3 ? l->len : 3;

    if (l->cut)
        memset(l->buf + l->len - dots, '.', dots);
}

static void message_line(struct line *l, const struct vu_header *h, const void *body,
                         size_t body_len, const int *fds, size_t n_fds)
{
    l->at = body;
    l->left = body_len;
    add_header(l, h);
    add_body(l, h);
    if (h->size != body_len + VU_HEADER_SIZE)
        add(l, " body=%zu", body_len);
    if (fds != NULL && n_fds != 0)
        add_fds(l, fds, n_fds);
}

const char *vu_text(char *buf, size_t len, const struct vu_header *h, const void *body,
                    size_t body_len, const int *fds, size_t n_fds)
{
    struct line l;

    if (len == 0)
        return buf;
    l = start(buf, len);
    message_line(&l, h, body, body_len, fds, n_fds);
    finish(&l);
    return buf;
}

const char *vu_message_text(char *buf, size_t len, const struct vu_message *m)
{
    struct line l;

    if (len == 0)
        return buf;
    l = start(buf, len);
    message_line(&l, &m->h, m->body, m->body_len, m->fds, m->n_fds);
    if (m->fds_lost)
        add(&l, " fds-lost");
    finish(&l);
    return buf;
}

const char *vu_errno_name(int err, char *buf, size_t len)
{
    const char *name = error_name(err < 0 ? 0u - (uint32_t)err : (uint32_t)err);

    if (name != NULL)
        snprintf(buf, len, "%s", name);
    else
        snprintf(buf, len, "errno %d", err);
    return buf;
}
