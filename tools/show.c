/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Records for people and for scripts: see tools/show.h.
 */
#include "tools/show.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "tools/message.h"
#include "tools/tool.h"
#include "wire/text.h"

#define FD_RUNS 8u /* of like descriptors that a line shows */

struct line {
    char *buf;
    size_t room, len;
};

static void add(struct line *l, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add(struct line *l, const char *format, ...)
{
    va_list ap;
    int n;

    va_start(ap, format);
    /* clang-tidy 14 overlooks va_start(). NOLINTNEXTLINE(clang-analyzer-valist.*) */
    n = vsnprintf(l->buf + l->len, l->room - l->len, format, ap);
    va_end(ap);
    if (n > 0)
        l->len += (size_t)n < l->room - l->len ? (size_t)n : l->room - l->len - 1;
}

/* Text from a file: control characters must not get through. */
static void add_plain(struct line *l, struct vu_bytes text)
{
    for (size_t i = 0; i < text.len && l->len + 1 < l->room; i++)
        add(l, "%c", text.data[i] >= 0x20 && text.data[i] < 0x7f ? text.data[i] : '?');
}

/* ------------------------------------------------------------ descriptors -- */

static const char *const kind_names[TOOL_FD_KINDS] = {
    [TOOL_FD_OTHER] = "other",   [TOOL_FD_MEMFD] = "memfd",   [TOOL_FD_FILE] = "file",
    [TOOL_FD_EVENTFD] = "eventfd", [TOOL_FD_SOCKET] = "socket", [TOOL_FD_PIPE] = "pipe",
};

const char *tool_fd_kind_name(uint8_t kind)
{
    return kind_names[kind < TOOL_FD_KINDS ? kind : TOOL_FD_OTHER];
}

static bool has_size(const struct tool_record_fd *fd)
{
    return fd->kind == TOOL_FD_MEMFD || fd->kind == TOOL_FD_FILE;
}

/* Neighbours of one kind without a size are counted, as vu_text() does. */
static void add_fds(struct line *l, const struct tool_record *record)
{
    size_t runs = 0, i = 0;

    add(l, " fds=[");
    while (i < record->n_fds && runs++ < FD_RUNS) {
        const struct tool_record_fd *fd = &record->fds[i];
        size_t from = i;

        add(l, "%s%s", i == 0 ? "" : " ", tool_fd_kind_name(fd->kind));
        if (has_size(fd))
            add(l, ":%" PRIu64, fd->size);
        do {
            i++;
        } while (i < record->n_fds && !has_size(fd) && record->fds[i].kind == fd->kind);
        if (i - from > 1)
            add(l, "*%zu", i - from);
    }
    if (i < record->n_fds)
        add(l, " +%zu", record->n_fds - i);
    add(l, "]");
}

/* ------------------------------------------------------------------- text -- */

static void add_message(struct line *l, const struct tool_record *record)
{
    struct vu_bytes body = tool_record_body(record);
    char text[VU_TEXT_MAX];
    struct vu_header h;

    if (tool_record_header(record, &h))
        add(l, "%s", vu_text(text, sizeof(text), &h, body.data, body.len, NULL, 0));
    else
        add(l, "%zu bytes of a message", record->bytes.len);
    if (record->n_fds != 0)
        add_fds(l, record);
    if ((record->flags & TOOL_RECORD_FDS_LOST) != 0)
        add(l, " fds-lost");
}

static void add_raw(struct line *l, const struct tool_record *record)
{
    static const char *const reasons[] = {
        "bytes that are no message",
        "a header that announces less than 16 bytes",
        "a header that announces more than is taken",
        "part of a message, then the end",
    };
    size_t reason = record->raw.reason <= TOOL_RAW_PARTIAL ? record->raw.reason : 0;

    add(l, "%s: %zu bytes:", reasons[reason], record->bytes.len);
    for (size_t i = 0; i < record->bytes.len && i < 32; i++)
        add(l, "%s%02x", i % 4 == 0 ? " " : "", record->bytes.data[i]);
    if (record->bytes.len > 32)
        add(l, " ...");
    if (record->n_fds != 0)
        add_fds(l, record);
}

static const char *side(enum vu_direction direction)
{
    return direction == VU_TO_SERVER ? "client" : "server";
}

static void add_close(struct line *l, const struct tool_record *record)
{
    char name[32];

    add(l, "the %s closed %s", side(record->direction),
        record->close.half != 0 ? "its sending direction"
        : record->twin          ? "the twin socket"
                                : "the connection");
    if (record->close.error != 0)
        add(l, " (%s)",
            vu_errno_name((int)(record->close.error & INT32_MAX), name, sizeof(name)));
}

const char *tool_event_name(char *buf, size_t len, const struct tool_record *record)
{
    static const char *const names[] = { "INTx", "MSI", "MSI-X", "ERR", "REQ" };
    uint64_t index = record->event.index;
    char irq[32];

    if (index < sizeof(names) / sizeof(names[0]))
        snprintf(irq, sizeof(irq), "%s", names[index]);
    else
        snprintf(irq, sizeof(irq), "irq %" PRIu64, index);
    snprintf(buf, len, "%s vector %" PRIu64, irq, record->event.vector);
    return buf;
}

static void add_event(struct line *l, const struct tool_record *record)
{
    char name[64];

    add(l, "%s %s", record->direction == VU_TO_CLIENT ? "interrupt" : "unmask",
        tool_event_name(name, sizeof(name), record));
    if (record->event.count != 1)
        add(l, " (%" PRIu64 " times)", record->event.count);
}

static void add_memory(struct line *l, const struct tool_record *record)
{
    add(l, "memory of file %" PRIu64 ", 0x%" PRIx64 "+0x%zx, set by the %s:",
        record->memory.file, record->memory.offset, record->bytes.len,
        side(record->direction));
    for (size_t i = 0; i < record->bytes.len && i < 16; i++)
        add(l, "%s%02x", i % 4 == 0 ? " " : "", record->bytes.data[i]);
    if (record->bytes.len > 16)
        add(l, " ...");
}

static void add_record(struct line *l, const struct tool_record *record)
{
    switch (record->kind) {
    case TOOL_RECORD_MESSAGE:
        add_message(l, record);
        break;
    case TOOL_RECORD_RAW:
        add_raw(l, record);
        break;
    case TOOL_RECORD_CONNECT:
        add(l, "a client connected");
        break;
    case TOOL_RECORD_CLOSE:
        add_close(l, record);
        break;
    case TOOL_RECORD_EVENT:
        add_event(l, record);
        break;
    case TOOL_RECORD_MEMORY:
        add_memory(l, record);
        break;
    case TOOL_RECORD_NOTE:
        add(l, "note: ");
        add_plain(l, record->bytes);
        break;
    default:
        add(l, "a record of kind %d", (int)record->kind);
    }
}

static const char *arrow(const struct tool_record *record)
{
    bool traffic = record->kind == TOOL_RECORD_MESSAGE ||
                   record->kind == TOOL_RECORD_RAW || record->kind == TOOL_RECORD_EVENT;

    if (!traffic)
        return "--";
    if (record->twin)
        return record->direction == VU_TO_SERVER ? "=>" : "<=";
    return record->direction == VU_TO_SERVER ? "->" : "<-";
}

/* Clocks go back now and then: earlier than the start counts as the start. */
static uint64_t since(uint64_t time_ns, uint64_t start_ns)
{
    return time_ns > start_ns ? time_ns - start_ns : 0;
}

const char *tool_show_message(char *buf, size_t len, const struct tool_record *record)
{
    struct line l = { .buf = buf, .room = len };

    *buf = '\0';
    add_record(&l, record);
    return buf;
}

const char *tool_show_text(char *buf, size_t len, const struct tool_record *record,
                           uint64_t start_ns)
{
    uint64_t ns = since(record->time_ns, start_ns);
    struct line l = { .buf = buf, .room = len };

    *buf = '\0';
    add(&l, "#%-2" PRIu32 " %5" PRIu64 ".%06" PRIu64 " %s ", record->session,
        ns / 1000000000u, ns % 1000000000u / 1000u, arrow(record));
    add_record(&l, record);
    return buf;
}

/* ------------------------------------------------------------------- JSON -- */

static void add_number(struct json_object *to, const char *name, uint64_t value)
{
    tool_json_add(to, name, tool_json_number(value));
}

static void add_string(struct json_object *to, const char *name, const char *value)
{
    tool_json_add(to, name, tool_json_string(value));
}

static struct json_object *fds_json(const struct tool_record *record)
{
    struct json_object *list = tool_json_array();

    for (size_t i = 0; i < record->n_fds; i++) {
        const struct tool_record_fd *fd = &record->fds[i];
        struct json_object *o = tool_json_object();

        add_string(o, "kind", tool_fd_kind_name(fd->kind));
        if (has_size(fd))
            add_number(o, "size", fd->size);
        if (fd->file != 0)
            add_number(o, "file", fd->file);
        tool_json_append(list, o);
    }
    return list;
}

static void message_members(struct json_object *o, const struct tool_record *record)
{
    struct vu_header h;

    if (!tool_record_header(record, &h)) {
        tool_json_add(o, "bytes", tool_hex_json(record->bytes));
        return;
    }
    tool_json_add(o, "message", tool_message_json(&h, tool_record_body(record)));
    tool_json_add(o, "fds", fds_json(record));
    if ((record->flags & TOOL_RECORD_FDS_LOST) != 0)
        tool_json_add(o, "fds_lost", tool_json_boolean(true));
}

/* The members that only this kind has. */
static void own_members(struct json_object *o, const struct tool_record *record)
{
    char text[TOOL_SHOW_MAX];
    struct line l = { .buf = text, .room = sizeof(text) };

    *text = '\0';
    switch (record->kind) {
    case TOOL_RECORD_MESSAGE:
        message_members(o, record);
        break;
    case TOOL_RECORD_RAW:
        tool_json_add(o, "bytes", tool_hex_json(record->bytes));
        add_number(o, "reason", record->raw.reason);
        break;
    case TOOL_RECORD_CLOSE:
        add_string(o, "by", side(record->direction));
        add_number(o, "error", record->close.error);
        tool_json_add(o, "half",
                      tool_json_boolean(record->close.half != 0));
        break;
    case TOOL_RECORD_EVENT:
        add_number(o, "index", record->event.index);
        add_number(o, "vector", record->event.vector);
        add_number(o, "count", record->event.count);
        break;
    case TOOL_RECORD_MEMORY:
        add_string(o, "by", side(record->direction));
        add_number(o, "file", record->memory.file);
        add_number(o, "offset", record->memory.offset);
        tool_json_add(o, "bytes", tool_hex_json(record->bytes));
        break;
    case TOOL_RECORD_NOTE:
        add_plain(&l, record->bytes);
        add_string(o, "text", text);
        break;
    default:
        break;
    }
}

static const char *kind_name(enum tool_record_kind kind)
{
    static const char *const names[] = {
        [TOOL_RECORD_MESSAGE] = "message", [TOOL_RECORD_RAW] = "raw",
        [TOOL_RECORD_CONNECT] = "connect", [TOOL_RECORD_CLOSE] = "close",
        [TOOL_RECORD_EVENT] = "event",     [TOOL_RECORD_MEMORY] = "memory",
        [TOOL_RECORD_NOTE] = "note",
    };

    return (unsigned)kind <= TOOL_RECORD_NOTE && names[kind] ? names[kind] : "unknown";
}

struct json_object *tool_show_json(const struct tool_record *record, uint64_t start_ns)
{
    struct json_object *o = tool_json_object();

    add_number(o, "session", record->session);
    add_number(o, "time_ns", since(record->time_ns, start_ns));
    add_string(o, "kind", kind_name(record->kind));
    if (record->kind == TOOL_RECORD_MESSAGE || record->kind == TOOL_RECORD_RAW ||
        record->kind == TOOL_RECORD_EVENT)
        add_string(o, "to", record->direction == VU_TO_SERVER ? "server" : "client");
    add_string(o, "socket", record->twin ? "twin" : "main");
    own_members(o, record);
    return o;
}
