/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of fields, and messages as JSON: see tools/message.h.
 */
#include "tools/message.h"

#include <stdlib.h>

#include "tools/tool.h"
#include "wire/command.h"

/* ----------------------------------------------------------------- shapes -- */

/* A member of a member is no expression. NOLINTNEXTLINE(bugprone-macro-parentheses) */
#define AT(type, member) offsetof(union tool_body, type.member)
#define WIDTH(type, member) sizeof(((union tool_body *)0)->type.member)
#define N(type, member) { #member, AT(type, member), WIDTH(type, member), false, false }
#define X(type, member) { #member, AT(type, member), WIDTH(type, member), true, false }
#define FREE(type, member) { #member, AT(type, member), WIDTH(type, member), false, true }
#define B(type, member) { #member, AT(type, member), 0, false, false }
#define END { NULL, 0, 0, false, false }

/* clang-format off */
static const struct tool_field version_fields[] = {
    N(version, major), N(version, minor), B(version, data), END
};
static const struct tool_field dma_map_fields[] = {
    N(dma_map, argsz), N(dma_map, flags), X(dma_map, offset), X(dma_map, address),
    X(dma_map, size), END
};
static const struct tool_field dma_unmap_fields[] = {
    FREE(dma_unmap, argsz), N(dma_unmap, flags), X(dma_unmap, address),
    X(dma_unmap, size), X(dma_unmap, pgsize), N(dma_unmap, bitmap_size),
    B(dma_unmap, bitmap), END
};
static const struct tool_field device_info_fields[] = {
    FREE(device_info, argsz), N(device_info, flags), N(device_info, num_regions),
    N(device_info, num_irqs), END
};
static const struct tool_field region_info_fields[] = {
    FREE(region_info, argsz), N(region_info, flags), N(region_info, index),
    FREE(region_info, cap_offset), X(region_info, size), X(region_info, offset), END
};
static const struct tool_field region_io_fds_fields[] = {
    FREE(region_io_fds, argsz), N(region_io_fds, flags), N(region_io_fds, index),
    N(region_io_fds, count), B(region_io_fds, entries), END
};
static const struct tool_field irq_info_fields[] = {
    FREE(irq_info, argsz), N(irq_info, flags), N(irq_info, index), N(irq_info, count), END
};
static const struct tool_field irq_set_fields[] = {
    N(irq_set, argsz), N(irq_set, flags), N(irq_set, index), N(irq_set, start),
    N(irq_set, count), B(irq_set, data), END
};
static const struct tool_field region_access_fields[] = {
    X(region_access, offset), N(region_access, region), N(region_access, count),
    B(region_access, data), END
};
static const struct tool_field region_echo_fields[] = {
    X(region_access, offset), N(region_access, region), N(region_access, count), END
};
static const struct tool_field write_multi_fields[] = {
    N(write_multi, count), B(write_multi, entries), END
};
static const struct tool_field write_multi_reply_fields[] = {
    N(write_multi, count), END
};
static const struct tool_field dma_access_fields[] = {
    X(dma_access, address), N(dma_access, count), B(dma_access, data), END
};
static const struct tool_field dma_echo_fields[] = {
    X(dma_access, address), N(dma_access, count), END
};
static const struct tool_field feature_fields[] = {
    FREE(feature, argsz), X(feature, flags), B(feature, data), END
};
static const struct tool_field mig_data_fields[] = {
    FREE(mig_data, argsz), N(mig_data, size), B(mig_data, data), END
};
static const struct tool_field mig_request_fields[] = {
    FREE(mig_data, argsz), N(mig_data, size), END
};
/* clang-format on */

/* A pair of wire's codecs for a member of the union. */
#define CODEC(name, member, decoder, encoder)                                      \
    static int decode_##name(struct vu_reader *r, union tool_body *body)           \
    {                                                                              \
        return decoder(r, &body->member);                                          \
    }                                                                              \
    static int encode_##name(struct vu_writer *w, const union tool_body *body)     \
    {                                                                              \
        return encoder(w, &body->member);                                          \
    }

CODEC(version, version, vu_decode_version, vu_encode_version)
CODEC(dma_map, dma_map, vu_decode_dma_map, vu_encode_dma_map)
CODEC(dma_unmap, dma_unmap, vu_decode_dma_unmap, vu_encode_dma_unmap)
CODEC(dma_unmapped, dma_unmap, vu_decode_dma_unmap_reply, vu_encode_dma_unmap)
CODEC(device_info, device_info, vu_decode_device_info, vu_encode_device_info)
CODEC(region_info, region_info, vu_decode_region_info, vu_encode_region_info)
CODEC(region_io_fds, region_io_fds, vu_decode_region_io_fds, vu_encode_region_io_fds)
CODEC(irq_info, irq_info, vu_decode_irq_info, vu_encode_irq_info)
CODEC(irq_set, irq_set, vu_decode_irq_set, vu_encode_irq_set)
CODEC(region_access, region_access, vu_decode_region_access, vu_encode_region_access)
CODEC(region_data, region_access, vu_decode_region_data, vu_encode_region_access)
CODEC(write_multi, write_multi, vu_decode_write_multi, vu_encode_write_multi)
CODEC(write_multi_reply, write_multi, vu_decode_write_multi_reply, vu_encode_write_multi)
CODEC(dma_access, dma_access, vu_decode_dma_access, vu_encode_dma_access)
CODEC(dma_data, dma_access, vu_decode_dma_data, vu_encode_dma_access)
CODEC(dma_written, dma_access, vu_decode_dma_write_reply, vu_encode_dma_access)
CODEC(feature, feature, vu_decode_feature, vu_encode_feature)
CODEC(mig_request, mig_data, vu_decode_mig_data_request, vu_encode_mig_data)
CODEC(mig_data, mig_data, vu_decode_mig_data, vu_encode_mig_data)

/* ---------------------------------------------------------- below fields -- */

static void add_number(struct json_object *to, const char *name, uint64_t value)
{
    tool_json_add(to, name, tool_json_number(value));
}

struct json_object *tool_hex_json(struct vu_bytes bytes)
{
    return tool_json_hex(bytes.data, bytes.len);
}

/* The JSON of VERSION as an object; as text when it is not acceptable JSON. */
static void version_json(struct json_object *to, const union tool_body *body,
                         struct vu_bytes bytes)
{
    const char *text = (const char *)body->version.data.data;
    size_t len = body->version.data.len;
    struct json_tokener *parser;
    struct json_object *object = NULL;

    (void)bytes;
    json_object_object_del(to, "data");
    if (len == 0)
        return;
    len -= text[len - 1] == '\0';
    parser = json_tokener_new_ex(16);
    if (parser != NULL && len <= INT32_MAX) {
        json_tokener_set_flags(parser, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        object = json_tokener_parse_ex(parser, text, (int)len);
        if (object == NULL || json_tokener_get_parse_end(parser) != len) {
            json_object_put(object);
            object = NULL;
        }
    }
    if (parser != NULL)
        json_tokener_free(parser);
    if (object != NULL)
        tool_json_add(to, "json", object);
    else
        tool_json_add(to, "data", tool_hex_json(body->version.data));
}

static struct json_object *area_json(uint64_t offset, uint64_t size)
{
    struct json_object *area = tool_json_object();

    add_number(area, "offset", offset);
    add_number(area, "size", size);
    return area;
}

static void add_areas(struct json_object *to, const struct vu_cap *cap)
{
    bool with_fds = cap->id == VU_CAP_SPARSE_MMAP_FDS;
    int64_t n = with_fds ? vu_sparse_fds_count(cap) : vu_sparse_count(cap);
    struct json_object *areas = tool_json_array();

    for (int64_t i = 0; i < n; i++) {
        struct vu_sparse_fd_area a = { .offset = 0 };
        struct json_object *area;

        if (with_fds) {
            a = vu_sparse_fd_area(cap, (uint32_t)i);
        } else {
            struct vu_sparse_area plain = vu_sparse_area(cap, (uint32_t)i);

            a.offset = plain.offset;
            a.size = plain.size;
        }
        area = area_json(a.offset, a.size);
        if (with_fds) {
            add_number(area, "fd_offset", a.fd_offset);
            add_number(area, "fd_index", a.fd_index);
        }
        tool_json_append(areas, area);
    }
    tool_json_add(to, "areas", areas);
}

static struct json_object *cap_json(const struct vu_cap *cap)
{
    struct json_object *o = tool_json_object();
    struct vu_type_cap type;

    add_number(o, "id", cap->id);
    add_number(o, "version", cap->version);
    if (cap->id == VU_CAP_SPARSE_MMAP || cap->id == VU_CAP_SPARSE_MMAP_FDS) {
        add_areas(o, cap);
    } else if (cap->id == VU_CAP_TYPE && vu_decode_type_cap(cap, &type) == 0) {
        add_number(o, "type", type.type);
        add_number(o, "subtype", type.subtype);
    } else {
        tool_json_add(o, "data", tool_hex_json(cap->data));
    }
    return o;
}

static void region_info_json(struct json_object *to, const union tool_body *body,
                             struct vu_bytes bytes)
{
    struct json_object *caps;
    struct vu_cap_walk walk;
    struct vu_cap cap;

    if ((body->region_info.flags & VU_REGION_CAPS) == 0)
        return;
    caps = tool_json_array();
    walk = vu_cap_walk(bytes.data, bytes.len, body->region_info.cap_offset);
    while (vu_cap_next(&walk, &cap) == 1)
        tool_json_append(caps, cap_json(&cap));
    tool_json_add(to, "caps", caps);
}

static void region_io_fds_json(struct json_object *to, const union tool_body *body,
                               struct vu_bytes bytes)
{
    struct json_object *list = tool_json_array();
    struct vu_io_fd_entry e;

    (void)bytes;
    for (uint32_t i = 0; vu_decode_io_fd_entry(&body->region_io_fds, i, &e) == 0; i++) {
        struct json_object *o = area_json(e.offset, e.size);

        add_number(o, "fd_index", e.fd_index);
        add_number(o, "type", e.type);
        add_number(o, "flags", e.flags);
        add_number(o, "datamatch", e.datamatch);
        tool_json_append(list, o);
    }
    tool_json_add(to, "entries", list);
}

static void write_multi_json(struct json_object *to, const union tool_body *body,
                             struct vu_bytes bytes)
{
    struct json_object *list = tool_json_array();
    struct vu_write_multi_entry e;

    (void)bytes;
    for (uint64_t i = 0; vu_decode_write_multi_entry(&body->write_multi, i, &e) == 0;
         i++) {
        struct vu_bytes data = { e.data,
                                 e.count < sizeof(e.data) ? e.count : sizeof(e.data) };
        struct json_object *o = tool_json_object();

        add_number(o, "region", e.region);
        add_number(o, "offset", e.offset);
        tool_json_add(o, "data", tool_hex_json(data));
        tool_json_append(list, o);
    }
    json_object_object_del(to, "entries");
    tool_json_add(to, "writes", list);
}

static const char *const feature_names[] = {
    [VU_FEATURE_MIGRATION] = "MIGRATION",
    [VU_FEATURE_MIG_DEVICE_STATE] = "MIG_DEVICE_STATE",
    [VU_FEATURE_DMA_LOGGING_START] = "DMA_LOGGING_START",
    [VU_FEATURE_DMA_LOGGING_STOP] = "DMA_LOGGING_STOP",
    [VU_FEATURE_DMA_LOGGING_REPORT] = "DMA_LOGGING_REPORT",
};

static void add_logging(struct json_object *to, struct vu_reader *r)
{
    struct json_object *list;
    struct vu_dma_logging m;
    struct vu_dma_logging_range range;

    if (vu_decode_dma_logging(r, &m) != 0)
        return;
    list = tool_json_array();
    add_number(to, "page_size", m.page_size);
    for (uint32_t i = 0; vu_decode_dma_logging_range(&m, i, &range) == 0; i++) {
        struct json_object *o = tool_json_object();

        add_number(o, "iova", range.iova);
        add_number(o, "length", range.length);
        tool_json_append(list, o);
    }
    tool_json_add(to, "ranges", list);
}

static void add_report(struct json_object *to, struct vu_reader *r)
{
    struct vu_dma_report m;

    if (vu_decode_dma_report(r, &m) != 0)
        return;
    add_number(to, "iova", m.iova);
    add_number(to, "length", m.length);
    add_number(to, "page_size", m.page_size);
    if (m.bitmap.len != 0)
        tool_json_add(to, "bitmap", tool_hex_json(m.bitmap));
}

/* The data of features that are known, by name, beside the bytes. */
static void feature_json(struct json_object *to, const union tool_body *body,
                         struct vu_bytes bytes)
{
    const struct vu_feature *m = &body->feature;
    uint32_t index = m->flags & VU_FEATURE_INDEX_MASK;
    struct vu_reader r = vu_reader(m->data.data, m->data.len);
    struct vu_feature_migration migration;
    struct vu_feature_mig_state state;

    (void)bytes;
    if (index < sizeof(feature_names) / sizeof(feature_names[0]) && feature_names[index])
        tool_json_add(to, "feature",
                      tool_json_string(feature_names[index]));
    if (index == VU_FEATURE_MIGRATION && vu_decode_feature_migration(&r, &migration) == 0)
        add_number(to, "migration", migration.flags);
    else if (index == VU_FEATURE_MIG_DEVICE_STATE &&
             vu_decode_feature_mig_state(&r, &state) == 0)
        add_number(to, "device_state", state.device_state);
    else if (index == VU_FEATURE_DMA_LOGGING_START)
        add_logging(to, &r);
    else if (index == VU_FEATURE_DMA_LOGGING_REPORT)
        add_report(to, &r);
}

/* ------------------------------------------------------------------ table -- */

#define SHAPE(fields, codec, json) { fields, decode_##codec, encode_##codec, json }
#define NONE { NULL, NULL, NULL, NULL }

/* clang-format off */
static const struct {
    struct tool_shape command, reply;   /* no fields: no body */
} shapes[VU_COMMAND_MAX] = {
    [VU_VERSION] = { SHAPE(version_fields, version, version_json),
                     SHAPE(version_fields, version, version_json) },
    [VU_DMA_MAP] = { SHAPE(dma_map_fields, dma_map, NULL), NONE },
    [VU_DMA_UNMAP] = { SHAPE(dma_unmap_fields, dma_unmap, NULL),
                       SHAPE(dma_unmap_fields, dma_unmapped, NULL) },
    [VU_DEVICE_GET_INFO] = { SHAPE(device_info_fields, device_info, NULL),
                             SHAPE(device_info_fields, device_info, NULL) },
    [VU_DEVICE_GET_REGION_INFO] = { SHAPE(region_info_fields, region_info, NULL),
                                    SHAPE(region_info_fields, region_info,
                                          region_info_json) },
    [VU_DEVICE_GET_REGION_IO_FDS] = { SHAPE(region_io_fds_fields, region_io_fds, NULL),
                                      SHAPE(region_io_fds_fields, region_io_fds,
                                            region_io_fds_json) },
    [VU_DEVICE_GET_IRQ_INFO] = { SHAPE(irq_info_fields, irq_info, NULL),
                                 SHAPE(irq_info_fields, irq_info, NULL) },
    [VU_DEVICE_SET_IRQS] = { SHAPE(irq_set_fields, irq_set, NULL), NONE },
    [VU_REGION_READ] = { SHAPE(region_echo_fields, region_access, NULL),
                         SHAPE(region_access_fields, region_data, NULL) },
    [VU_REGION_WRITE] = { SHAPE(region_access_fields, region_data, NULL),
                          SHAPE(region_echo_fields, region_access, NULL) },
    [VU_DMA_READ] = { SHAPE(dma_echo_fields, dma_access, NULL),
                      SHAPE(dma_access_fields, dma_data, NULL) },
    [VU_DMA_WRITE] = { SHAPE(dma_access_fields, dma_data, NULL),
                       SHAPE(dma_echo_fields, dma_written, NULL) },
    [VU_REGION_WRITE_MULTI] = { SHAPE(write_multi_fields, write_multi, write_multi_json),
                                SHAPE(write_multi_reply_fields, write_multi_reply,
                                      NULL) },
    [VU_DEVICE_FEATURE] = { SHAPE(feature_fields, feature, feature_json),
                            SHAPE(feature_fields, feature, feature_json) },
    [VU_MIG_DATA_READ] = { SHAPE(mig_request_fields, mig_request, NULL),
                           SHAPE(mig_data_fields, mig_data, NULL) },
    [VU_MIG_DATA_WRITE] = { SHAPE(mig_data_fields, mig_data, NULL), NONE },
};
/* clang-format on */

const struct tool_shape *tool_shape(uint16_t command, bool reply)
{
    const struct tool_shape *shape;

    if (command >= VU_COMMAND_MAX)
        return NULL;
    shape = reply ? &shapes[command].reply : &shapes[command].command;
    return shape->fields != NULL ? shape : NULL;
}

uint64_t tool_field_number(const struct tool_field *field, const union tool_body *body)
{
    const uint8_t *at = (const uint8_t *)body + field->at;
    uint64_t v64;
    uint32_t v32;
    uint16_t v16;

    switch (field->width) {
    case 8:
        memcpy(&v64, at, sizeof(v64));
        return v64;
    case 4:
        memcpy(&v32, at, sizeof(v32));
        return v32;
    default:
        memcpy(&v16, at, sizeof(v16));
        return v16;
    }
}

struct vu_bytes tool_field_bytes(const struct tool_field *field,
                                 const union tool_body *body)
{
    struct vu_bytes bytes;

    memcpy(&bytes, (const uint8_t *)body + field->at, sizeof(bytes));
    return bytes;
}

/* ------------------------------------------------------------------- JSON -- */

static struct json_object *body_json(const struct tool_shape *shape,
                                     struct vu_bytes bytes)
{
    struct vu_reader r = vu_reader(bytes.data, bytes.len);
    struct json_object *o = tool_json_object();
    union tool_body body;

    memset(&body, 0, sizeof(body));
    if (shape->decode(&r, &body) != 0) {
        tool_json_add(o, "malformed", tool_json_boolean(true));
        tool_json_add(o, "bytes", tool_hex_json(bytes));
        return o;
    }
    for (const struct tool_field *f = shape->fields; f->name != NULL; f++) {
        if (f->width != 0)
            add_number(o, f->name, tool_field_number(f, &body));
        else
            tool_json_add(o, f->name, tool_hex_json(tool_field_bytes(f, &body)));
    }
    if (shape->add_json != NULL)
        shape->add_json(o, &body, bytes);
    return o;
}

static const char *type_name(const struct vu_header *h)
{
    uint32_t type = vu_header_type(h);

    if (type == VU_F_TYPE_COMMAND)
        return "command";
    if (type != VU_F_TYPE_REPLY)
        return "unknown";
    return (h->flags & VU_F_ERROR) != 0 ? "error" : "reply";
}

struct json_object *tool_message_json(const struct vu_header *h, struct vu_bytes body)
{
    bool reply = vu_header_type(h) != VU_F_TYPE_COMMAND;
    const struct tool_shape *shape = tool_shape(h->command, reply);
    struct json_object *o = tool_json_object();
    char name[16];

    tool_json_add(o, "name",
                  tool_json_string(vu_command_name(h->command, name, sizeof(name))));
    tool_json_add(o, "type", tool_json_string(type_name(h)));
    add_number(o, "id", h->msg_id);
    add_number(o, "command", h->command);
    add_number(o, "size", h->size);
    add_number(o, "flags", h->flags);
    add_number(o, "error", h->error);
    if (shape != NULL && (h->flags & VU_F_ERROR) == 0)
        tool_json_add(o, "body", body_json(shape, body));
    else if (body.len != 0)
        tool_json_add(o, "bytes", tool_hex_json(body));
    return o;
}
