/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writing Lua: see tools/scenario_lua.h.
 *
 * A command by name must become the very bytes that were recorded. So the fields are
 * encoded again, and when that gives other bytes the message is written as such.
 */
#include "tools/scenario_lua.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "wire/caps.h"
#include "wire/command.h"

#define ZEROS_SHOWN 32u /* a longer run of zeros is written as zeros(n) */
#define LINE_BYTES  32u

void tool_lua_print(struct tool_lua *lua, const char *format, ...)
{
    va_list ap;
    int n;

    va_start(ap, format);
    /* clang-tidy 14 overlooks va_start(). NOLINTNEXTLINE(clang-analyzer-valist.*) */
    n = vfprintf(lua->to, format, ap);
    va_end(ap);
    lua->written += n > 0 ? (uint64_t)n : 0;
}

#define print tool_lua_print

/* --------------------------------------------------------------- literals -- */

static size_t zeros_at(struct vu_bytes b, size_t at)
{
    size_t n = 0;

    while (at + n < b.len && b.data[at + n] == 0)
        n++;
    return n;
}

/* Bytes from `at` up to the next long run of zeros. */
static size_t run_at(struct vu_bytes b, size_t at)
{
    size_t end = at;

    while (end < b.len) {
        size_t zeros = zeros_at(b, end);

        if (zeros > ZEROS_SHOWN || (zeros != 0 && end == at && zeros == b.len))
            break;
        end += zeros != 0 ? zeros : 1;
    }
    return end - at;
}

static void print_digits(struct tool_lua *lua, struct vu_bytes b)
{
    bool lines = b.len > LINE_BYTES;

    print(lua, lines ? "x[[" : "x\"");
    for (size_t i = 0; i < b.len; i++) {
        if (lines && i % LINE_BYTES == 0)
            print(lua, "\n    ");
        print(lua, "%02x", b.data[i]);
    }
    print(lua, lines ? "]]" : "\"");
}

void tool_lua_bytes(struct tool_lua *lua, struct vu_bytes b)
{
    size_t first = run_at(b, 0);
    bool parts = b.len != 0 && first < b.len && zeros_at(b, 0) < b.len;

    if (b.len == 0) {
        print(lua, "\"\"");
        return;
    }
    if (parts)
        print(lua, "cat{ ");
    for (size_t at = 0; at < b.len;) {
        size_t len = run_at(b, at);

        if (at != 0)
            print(lua, ", ");
        if (len == 0) {
            len = zeros_at(b, at);
            print(lua, "zeros(%zu)", len);
        } else {
            print_digits(lua, (struct vu_bytes){ b.data + at, len });
        }
        at += len;
    }
    if (parts)
        print(lua, " }");
}

static void print_quoted(struct tool_lua *lua, const char *text, size_t len)
{
    print(lua, "'");
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c < 0x20 || c >= 0x7f || c == '\'' || c == '\\')
            print(lua, "\\x%02x", c);
        else
            print(lua, "%c", c);
    }
    print(lua, "'");
}

/* A bit of a flags field; a table ends with no name. */
struct word {
    uint32_t bit;
    const char *name;
};

static void print_words(struct tool_lua *lua, uint64_t value, const struct word *words)
{
    const char *bar = "";

    for (; words->name != NULL; words++) {
        if ((value & words->bit) == 0)
            continue;
        print(lua, "%s%s", bar, words->name);
        value &= ~(uint64_t)words->bit;
        bar = " | ";
    }
    if (value != 0 || *bar == '\0')
        print(lua, "%s0x%" PRIx64, bar, value);
}

void tool_lua_region(struct tool_lua *lua, uint64_t index)
{
    static const char *const names[VU_PCI_REGIONS] = {
        "BAR0", "BAR1", "BAR2", "BAR3", "BAR4", "BAR5", "ROM", "CONFIG", "VGA",
    };

    if (index < VU_PCI_REGIONS)
        print(lua, "PCI.%s", names[index]);
    else
        print(lua, "%" PRIu64, index);
}

void tool_lua_irq(struct tool_lua *lua, uint64_t index)
{
    static const char *const names[VU_PCI_IRQS] = { "INTX", "MSI", "MSIX", "ERR", "REQ" };

    if (index < VU_PCI_IRQS)
        print(lua, "PCI.%s", names[index]);
    else
        print(lua, "%" PRIu64, index);
}

static const struct word set_words[] = {
    { VU_IRQ_SET_DATA_NONE, "SET.NONE" },
    { VU_IRQ_SET_DATA_BOOL, "SET.BOOL" },
    { VU_IRQ_SET_DATA_EVENTFD, "SET.EVENTFD" },
    { VU_IRQ_SET_ACTION_MASK, "SET.MASK" },
    { VU_IRQ_SET_ACTION_UNMASK, "SET.UNMASK" },
    { VU_IRQ_SET_ACTION_TRIGGER, "SET.TRIGGER" },
    { 0, NULL },
};
static const struct word dma_words[] = {
    { VU_DMA_READABLE, "DMA.READ" }, { VU_DMA_WRITEABLE, "DMA.WRITE" },
    { VU_DMA_MMAP, "DMA.MMAP" },     { VU_DMA_FILE_IO, "DMA.FILE_IO" },
    { 0, NULL },
};
static const struct word unmap_words[] = {
    { VU_DMA_UNMAP_GET_DIRTY_BITMAP, "UNMAP.GET_DIRTY_BITMAP" },
    { VU_DMA_UNMAP_ALL, "UNMAP.ALL" },
    { 0, NULL },
};
static const struct word feature_words[] = {
    { VU_FEATURE_GET, "FEATURE.GET" },
    { VU_FEATURE_SET, "FEATURE.SET" },
    { VU_FEATURE_PROBE, "FEATURE.PROBE" },
    { 0, NULL },
};
static const struct word no_words[] = { { 0, NULL } };

static void print_feature_flags(struct tool_lua *lua, uint32_t flags)
{
    static const char *const names[] = {
        [VU_FEATURE_MIGRATION] = "MIGRATION",
        [VU_FEATURE_MIG_DEVICE_STATE] = "MIG_DEVICE_STATE",
        [VU_FEATURE_DMA_LOGGING_START] = "DMA_LOGGING_START",
        [VU_FEATURE_DMA_LOGGING_STOP] = "DMA_LOGGING_STOP",
        [VU_FEATURE_DMA_LOGGING_REPORT] = "DMA_LOGGING_REPORT",
    };
    uint32_t index = flags & VU_FEATURE_INDEX_MASK;

    print_words(lua, flags & ~VU_FEATURE_INDEX_MASK, feature_words);
    if (index < sizeof(names) / sizeof(names[0]) && names[index] != NULL)
        print(lua, " | FEATURE.%s", names[index]);
    else
        print(lua, " | %u", index);
}

/* ---------------------------------------------------------------- commands -- */

/* The function of a command, and what its fields are when they are left out. */
static const struct call {
    const char *name;
    uint32_t argsz;     /* beside what depends on the data */
} calls[VU_COMMAND_MAX] = {
    [VU_VERSION] = { "version", 0 },
    [VU_DMA_MAP] = { "dma_map", VU_DMA_MAP_SIZE },
    [VU_DMA_UNMAP] = { "dma_unmap", VU_DMA_UNMAP_SIZE },
    [VU_DEVICE_GET_INFO] = { "get_info", VU_DEVICE_INFO_SIZE },
    [VU_DEVICE_GET_REGION_INFO] = { "region_info", VU_REGION_INFO_SIZE },
    [VU_DEVICE_GET_REGION_IO_FDS] = { "region_io_fds", 4096 },
    [VU_DEVICE_GET_IRQ_INFO] = { "irq_info", VU_IRQ_INFO_SIZE },
    [VU_DEVICE_SET_IRQS] = { "set_irqs", VU_IRQ_SET_SIZE },
    [VU_REGION_READ] = { "region_read", 0 },
    [VU_REGION_WRITE] = { "region_write", 0 },
    [VU_DMA_READ] = { "dma_read", 0 },
    [VU_DMA_WRITE] = { "dma_write", 0 },
    [VU_DEVICE_RESET] = { "reset", 0 },
    [VU_REGION_WRITE_MULTI] = { "write_multi", 0 },
    [VU_DEVICE_FEATURE] = { "feature", VU_FEATURE_SIZE },
    [VU_MIG_DATA_READ] = { "mig_data_read", VU_MIG_DATA_SIZE },
    [VU_MIG_DATA_WRITE] = { "mig_data_write", VU_MIG_DATA_SIZE },
};

/* A body that the named call gives back byte by byte, and what pads it. */
struct named {
    const struct tool_shape *shape; /* NULL: there are no fields */
    union tool_body body;
    struct vu_bytes padding;
    struct vu_bytes data;           /* of the field that has bytes */
};

static struct vu_bytes data_of(const struct named *n)
{
    for (const struct tool_field *f = n->shape->fields; f->name != NULL; f++) {
        if (f->width == 0)
            return tool_field_bytes(f, &n->body);
    }
    return (struct vu_bytes){ NULL, 0 };
}

static bool encodes_to(const struct named *n, struct vu_bytes bytes, size_t *len)
{
    uint8_t *again = malloc(bytes.len + 1);
    struct vu_writer w = vu_writer(again, bytes.len);
    bool same = again != NULL && n->shape->encode(&w, &n->body) == 0 &&
                memcmp(again, bytes.data, w.len) == 0;

    *len = w.len;
    free(again);
    return same;
}

/* Can this be written as a call by name? */
static bool find_named(const struct tool_step *step, struct named *n)
{
    struct vu_bytes bytes = tool_step_body(step);
    struct vu_reader r = vu_reader(bytes.data, bytes.len);
    uint16_t command = step->h.command;
    size_t len = 0;

    memset(n, 0, sizeof(*n));
    if (step->cut || command >= VU_COMMAND_MAX || calls[command].name == NULL)
        return false;
    n->shape = tool_shape(command, false);
    if (n->shape != NULL) {
        if (n->shape->decode(&r, &n->body) != 0 || !encodes_to(n, bytes, &len))
            return false;
        n->data = data_of(n);
    }
    n->padding.len = bytes.len - len;
    n->padding.data = n->padding.len == 0 ? NULL : bytes.data + len;
    return true;
}

/* What the language puts in for a field that is left out. */
static uint64_t usual(uint16_t command, const char *field, const struct named *n)
{
    uint64_t argsz = calls[command].argsz;

    if (strcmp(field, "argsz") == 0) {
        if (command == VU_MIG_DATA_READ || command == VU_MIG_DATA_WRITE)
            return argsz + n->body.mig_data.size;
        return argsz + n->data.len;
    }
    if (command == VU_DMA_MAP && strcmp(field, "flags") == 0)
        return VU_DMA_READABLE | VU_DMA_WRITEABLE;
    if (command == VU_VERSION && strcmp(field, "minor") == 0)
        return 1;
    if (strcmp(field, "count") == 0 && command != VU_REGION_READ &&
        command != VU_DMA_READ)
        return command == VU_REGION_WRITE_MULTI ? n->body.write_multi.count : n->data.len;
    if (command == VU_MIG_DATA_WRITE && strcmp(field, "size") == 0)
        return n->data.len;
    return 0;
}

/* Fields that say what a command is about are always shown. */
static bool is_main(const char *field)
{
    static const char *const names[] = { "region", "offset", "address", "size", "index" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(field, names[i]) == 0)
            return true;
    }
    return false;
}

static bool is_shown(uint16_t command, const struct tool_field *f, const struct named *n)
{
    uint64_t value = tool_field_number(f, &n->body);

    if (command == VU_DEVICE_SET_IRQS && strcmp(f->name, "count") == 0)
        return value != 0;
    if (value != usual(command, f->name, n))
        return true;
    if (command == VU_DEVICE_GET_REGION_INFO || command == VU_DMA_MAP)
        return is_main(f->name) && (value != 0 || strcmp(f->name, "index") == 0 ||
                                    strcmp(f->name, "address") == 0);
    return is_main(f->name);
}

static void print_value(struct tool_lua *lua, uint16_t command,
                        const struct tool_field *f, uint64_t value)
{
    bool flags = strcmp(f->name, "flags") == 0;

    if (flags && command == VU_DEVICE_FEATURE)
        print_feature_flags(lua, (uint32_t)value);
    else if (flags)
        print_words(lua, value,
                    command == VU_DEVICE_SET_IRQS ? set_words
                    : command == VU_DMA_MAP       ? dma_words
                    : command == VU_DMA_UNMAP     ? unmap_words
                                                  : no_words);
    else if (strcmp(f->name, "region") == 0 ||
             (strcmp(f->name, "index") == 0 && (command == VU_DEVICE_GET_REGION_INFO ||
                                                command == VU_DEVICE_GET_REGION_IO_FDS)))
        tool_lua_region(lua, value);
    else if (strcmp(f->name, "index") == 0)
        tool_lua_irq(lua, value);
    else
        print(lua, f->address || value > INT64_MAX ? "0x%" PRIx64 : "%" PRIu64, value);
}

static void print_writes(struct tool_lua *lua, const struct named *n, const char **comma)
{
    struct vu_write_multi_entry e;

    print(lua, "%s writes = {", *comma);
    *comma = ",";
    for (uint64_t i = 0; vu_decode_write_multi_entry(&n->body.write_multi, i, &e) == 0;
         i++) {
        size_t used = e.count < sizeof(e.data) ? e.count : sizeof(e.data);
        struct vu_bytes data = { e.data, sizeof(e.data) };

        while (data.len > used && e.data[data.len - 1] == 0)
            data.len--;
        print(lua, "%s\n    { region = ", i == 0 ? "" : ",");
        tool_lua_region(lua, e.region);
        print(lua, ", offset = 0x%" PRIx64 ", data = ", e.offset);
        tool_lua_bytes(lua, data);
        if (data.len != e.count)
            print(lua, ", count = %u", e.count);
        print(lua, " }");
    }
    print(lua, " }");
}

/* The JSON, when it is text with one NUL at the end; false: bytes must do. */
static bool print_json(struct tool_lua *lua, struct vu_bytes data, const char *comma)
{
    if (data.len == 0) {
        print(lua, "%s json = false", comma);
        return true;
    }
    if (memchr(data.data, '\0', data.len) != data.data + data.len - 1)
        return false;
    print(lua, "%s json = ", comma);
    print_quoted(lua, (const char *)data.data, data.len - 1);
    return true;
}

static void print_data(struct tool_lua *lua, uint16_t command, const struct named *n,
                       const char *json, const char **comma)
{
    if (command == VU_REGION_WRITE_MULTI) {
        print_writes(lua, n, comma);
        return;
    }
    if (command == VU_VERSION) {
        struct vu_bytes data = n->data;

        if (json != NULL)
            data = (struct vu_bytes){ (const uint8_t *)json, strlen(json) + 1 };
        if (print_json(lua, data, *comma)) {
            *comma = ",";
            return;
        }
    }
    if (n->data.len == 0)
        return;
    print(lua, "%s data = ", *comma);
    tool_lua_bytes(lua, n->data);
    *comma = ",";
}

static void print_header_fields(struct tool_lua *lua, const struct tool_step *step,
                                const char **comma)
{
    if (step->h.flags == VU_F_NO_REPLY)
        print(lua, "%s no_reply = true", *comma);
    else if (step->h.flags != 0)
        print(lua, "%s hflags = 0x%x", *comma, step->h.flags);
    if (step->h.flags != 0)
        *comma = ",";
    if (step->h.error != 0) {
        print(lua, "%s error = %u", *comma, step->h.error);
        *comma = ",";
    }
}

static const char *print_named(struct tool_lua *lua, const struct tool_step *step,
                               const struct named *n, const char *json)
{
    uint16_t command = step->h.command;
    const char *comma = "";

    print(lua, "%s{", calls[command].name);
    for (const struct tool_field *f = n->shape ? n->shape->fields : NULL;
         f != NULL && f->name != NULL; f++) {
        if (f->width == 0 || !is_shown(command, f, n))
            continue;
        print(lua, "%s %s = ", comma, f->name);
        print_value(lua, command, f, tool_field_number(f, &n->body));
        comma = ",";
    }
    print_data(lua, command, n, json, &comma);
    if (n->padding.len != 0) {
        print(lua, "%s pad = ", comma);
        tool_lua_bytes(lua, n->padding);
        comma = ",";
    }
    print_header_fields(lua, step, &comma);
    return comma;
}

const char *tool_lua_command(struct tool_lua *lua, const struct tool_step *step,
                             const char *json, const char **end)
{
    const char *comma = "";
    struct named n;

    *end = " }";
    if (find_named(step, &n))
        return print_named(lua, step, &n, json);
    *end = " })";
    print(lua, "command(%u, ", step->h.command);
    tool_lua_bytes(lua, tool_step_body(step));
    print(lua, ", {");
    print_header_fields(lua, step, &comma);
    return comma;
}

/* ----------------------------------------------------------------- replies -- */

/* The table that is being written; it opens with its first member. */
struct members {
    struct tool_lua *lua;
    bool open;
};

static void member(struct members *m, const char *name)
{
    print(m->lua, "%s %s = ", m->open ? "," : "{", name);
    m->open = true;
}

/* Does the reply's field only repeat the command's? In replies that describe something,
 * the index alone does. */
static bool same_in_command(uint16_t number, const struct named *command,
                            const char *name, uint64_t value)
{
    bool describes = number == VU_DEVICE_GET_INFO ||
                     number == VU_DEVICE_GET_REGION_INFO ||
                     number == VU_DEVICE_GET_REGION_IO_FDS ||
                     number == VU_DEVICE_GET_IRQ_INFO || number == VU_VERSION;

    if (command->shape == NULL || (describes && strcmp(name, "index") != 0))
        return false;
    for (const struct tool_field *f = command->shape->fields; f->name != NULL; f++) {
        if (f->width != 0 && strcmp(f->name, name) == 0)
            return tool_field_number(f, &command->body) == value;
    }
    return false;
}

static void number_member(struct members *m, const char *name, bool has, uint64_t value)
{
    if (!has)
        return;
    member(m, name);
    print(m->lua, "%" PRIu64, value);
}

/* Known keys; what else a server says is its own business. */
static void caps_members(struct members *m, struct vu_bytes data, bool without_twin)
{
    struct members inner = { .lua = m->lua };
    struct vu_caps caps;

    if (vu_caps_parse(&caps, data.data, data.len, NULL, 0) != 0 || data.len == 0)
        return;
    member(m, "caps");
    number_member(&inner, "max_msg_fds", caps.has_max_msg_fds, caps.max_msg_fds);
    number_member(&inner, "max_data_xfer_size", caps.has_max_data_xfer_size,
                  caps.max_data_xfer_size);
    number_member(&inner, "max_dma_maps", caps.has_max_dma_maps, caps.max_dma_maps);
    number_member(&inner, "pgsizes", caps.has_pgsizes, caps.pgsizes);
    if (caps.has_write_multiple) {
        member(&inner, "write_multiple");
        print(m->lua, caps.write_multiple ? "true" : "false");
    }
    if (caps.has_twin_socket && !without_twin) {
        member(&inner, "twin_socket");
        print(m->lua, "{ supported = %s }", caps.twin_socket ? "true" : "false");
    }
    print(m->lua, inner.open ? " }" : "{}");
}

static void areas_member(struct members *m, const struct vu_cap *cap)
{
    int64_t n = vu_sparse_count(cap);

    member(m, "areas");
    print(m->lua, "{");
    for (int64_t i = 0; i < n; i++) {
        struct vu_sparse_area a = vu_sparse_area(cap, (uint32_t)i);

        print(m->lua, "%s { offset = 0x%" PRIx64 ", size = 0x%" PRIx64 " }",
              i == 0 ? "" : ",", a.offset, a.size);
    }
    print(m->lua, " }");
}

static void chain_member(struct members *m, struct vu_bytes bytes, uint32_t cap_offset)
{
    struct vu_cap_walk walk = vu_cap_walk(bytes.data, bytes.len, cap_offset);
    struct vu_cap cap;
    bool first = true;

    member(m, "chain");
    print(m->lua, "{");
    while (vu_cap_next(&walk, &cap) == 1) {
        struct members inner = { .lua = m->lua };

        print(m->lua, first ? " " : ", ");
        first = false;
        number_member(&inner, "id", true, cap.id);
        if (cap.id == VU_CAP_SPARSE_MMAP)
            areas_member(&inner, &cap);
        print(m->lua, " }");
    }
    print(m->lua, " }");
}

static void entries_member(struct members *m, const struct vu_region_io_fds *reply)
{
    struct vu_io_fd_entry e;

    member(m, "entries");
    print(m->lua, "{");
    for (uint32_t i = 0; vu_decode_io_fd_entry(reply, i, &e) == 0; i++)
        print(m->lua,
              "%s { offset = 0x%" PRIx64 ", size = %" PRIu64
              ", fd_index = %u, type = %u, "
              "datamatch = 0x%" PRIx64 " }",
              i == 0 ? "" : ",", e.offset, e.size, e.fd_index, e.type, e.datamatch);
    print(m->lua, " }");
}

static void bytes_member(struct members *m, uint16_t command, const struct tool_field *f,
                         const union tool_body *body, bool without_twin)
{
    struct vu_bytes bytes = tool_field_bytes(f, body);

    if (command == VU_VERSION) {
        caps_members(m, bytes, without_twin);
    } else if (command == VU_DEVICE_GET_REGION_IO_FDS) {
        entries_member(m, &body->region_io_fds);
    } else if (bytes.len != 0) {
        member(m, f->name);
        tool_lua_bytes(m->lua, bytes);
    }
}

/* Fields in the order of the layout; what only repeats the command is left out. */
static void body_members(struct members *m, const struct named *command,
                         const struct tool_step *reply, bool without_twin)
{
    const struct tool_shape *shape = tool_shape(reply->h.command, true);
    struct vu_bytes bytes = tool_step_body(reply);
    struct vu_reader r = vu_reader(bytes.data, bytes.len);
    union tool_body body;

    memset(&body, 0, sizeof(body));
    if (shape == NULL || shape->decode(&r, &body) != 0)
        return;
    for (const struct tool_field *f = shape->fields; f->name != NULL; f++) {
        if (f->width == 0) {
            bytes_member(m, reply->h.command, f, &body, without_twin);
        } else if (!f->free &&
                   !same_in_command(reply->h.command, command, f->name,
                                    tool_field_number(f, &body))) {
            member(m, f->name);
            print(m->lua, f->address ? "0x%" PRIx64 : "%" PRIu64,
                  tool_field_number(f, &body));
        }
    }
    if (reply->h.command == VU_DEVICE_GET_REGION_INFO &&
        (body.region_info.flags & VU_REGION_CAPS) != 0)
        chain_member(m, bytes, body.region_info.cap_offset);
}

bool tool_lua_expected(struct tool_lua *lua, const struct tool_step *command,
                       const struct tool_step *reply, bool without_twin)
{
    struct members m = { .lua = lua };
    struct named n;

    /* Not find_named(): a command of the server is compared, too. */
    if (!find_named(command, &n))
        memset(&n, 0, sizeof(n));
    body_members(&m, &n, reply, without_twin);
    if (reply->n_fds != 0 && !(without_twin && reply->h.command == VU_VERSION)) {
        member(&m, "fds");
        print(lua, "%zu", reply->n_fds);
    }
    if (m.open)
        print(lua, " }");
    return m.open;
}
