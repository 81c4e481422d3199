/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages between Lua tables and bytes, through wire's codecs.
 *
 * One function builds the body of each request, one decodes each reply; both list
 * the fields once, by the names of the specification. A body with unusual content is
 * no business of theirs: the prelude cuts, pads and relabels what comes from here.
 */
#include "conformance/lua_state.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/command.h"
#include "wire/messages.h"
#include "wire/text.h"

/* ----------------------------------------------------------------- fields -- */

/* Decimal or 0x text of an unsigned number. */
static bool parse_uint(const char *text, uint64_t *value)
{
    char *end;

    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    *value = strtoull(text, &end, text[1] == 'x' ? 16 : 10);
    return errno == 0 && *end == '\0';
}

uint64_t ct_lua_uint(lua_State *L, int idx, const char *name, int bits, uint64_t absent)
{
    uint64_t v = absent;

    switch (lua_getfield(L, idx, name)) {
    case LUA_TNIL:
        break;
    case LUA_TNUMBER:
        if (!lua_isinteger(L, -1))
            return luaL_error(L, "field '%s' is a float (%s); it takes an integer", name,
                              lua_tostring(L, -1));
        v = (uint64_t)lua_tointeger(L, -1);
        break;
    case LUA_TSTRING:
        if (!parse_uint(lua_tostring(L, -1), &v))
            return luaL_error(L, "field '%s': '%s' is no number below 2^64", name,
                              lua_tostring(L, -1));
        break;
    default:
        return luaL_error(L, "field '%s' is a %s; it takes an integer", name,
                          luaL_typename(L, -1));
    }
    lua_pop(L, 1);
    /* -1 is 0xffffffffffffffff in Lua, so it is right for 64 bits alone. */
    if (bits < 64 && v >> bits != 0)
        return luaL_error(L, "field '%s' does not fit into %d bits", name, bits);
    return v;
}

#define U16(name, absent) ((uint16_t)ct_lua_uint(L, 1, name, 16, absent))
#define U32(name, absent) ((uint32_t)ct_lua_uint(L, 1, name, 32, absent))
#define U64(name, absent) (ct_lua_uint(L, 1, name, 64, absent))

/* The bytes of a field. They live as long as the table does. */
static struct vu_bytes bytes_field(lua_State *L, const char *name)
{
    struct vu_bytes b = { NULL, 0 };

    if (lua_getfield(L, 1, name) != LUA_TNIL) {
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "field '%s' is a %s; it takes a string of bytes", name,
                       luaL_typename(L, -1));
        b.data = (const uint8_t *)lua_tolstring(L, -1, &b.len);
    }
    lua_pop(L, 1);
    return b;
}

/* --------------------------------------------------------------- requests -- */

typedef int build_fn(lua_State *L, struct vu_writer *w);

static int build_version(lua_State *L, struct vu_writer *w)
{
    struct vu_version m = {
        .major = U16("major", 0),
        .minor = U16("minor", 1),
        .data = bytes_field(L, "data"),
    };

    return vu_encode_version(w, &m);
}

static int build_dma_map(lua_State *L, struct vu_writer *w)
{
    struct vu_dma_map m = {
        .argsz = U32("argsz", VU_DMA_MAP_SIZE),
        .flags = U32("flags", VU_DMA_READABLE | VU_DMA_WRITEABLE),
        .offset = U64("offset", 0),
        .address = U64("address", 0),
        .size = U64("size", 0),
    };

    return vu_encode_dma_map(w, &m);
}

static int build_dma_unmap(lua_State *L, struct vu_writer *w)
{
    struct vu_dma_unmap m = {
        .argsz = U32("argsz", VU_DMA_UNMAP_SIZE),
        .flags = U32("flags", 0),
        .address = U64("address", 0),
        .size = U64("size", 0),
        .pgsize = U64("pgsize", 0),
        .bitmap_size = U64("bitmap_size", 0),
    };

    return vu_encode_dma_unmap(w, &m);
}

static int build_get_info(lua_State *L, struct vu_writer *w)
{
    struct vu_device_info m = {
        .argsz = U32("argsz", VU_DEVICE_INFO_SIZE),
        .flags = U32("flags", 0),
        .num_regions = U32("num_regions", 0),
        .num_irqs = U32("num_irqs", 0),
    };

    return vu_encode_device_info(w, &m);
}

static int build_region_info(lua_State *L, struct vu_writer *w)
{
    struct vu_region_info m = {
        .argsz = U32("argsz", VU_REGION_INFO_SIZE),
        .flags = U32("flags", 0),
        .index = U32("index", 0),
        .cap_offset = U32("cap_offset", 0),
        .size = U64("size", 0),
        .offset = U64("offset", 0),
    };

    return vu_encode_region_info(w, &m);
}

static int build_region_io_fds(lua_State *L, struct vu_writer *w)
{
    struct vu_region_io_fds m = {
        .argsz = U32("argsz", 4096),
        .flags = U32("flags", 0),
        .index = U32("index", 0),
        .count = U32("count", 0),
    };

    return vu_encode_region_io_fds(w, &m);
}

static int build_irq_info(lua_State *L, struct vu_writer *w)
{
    struct vu_irq_info m = {
        .argsz = U32("argsz", VU_IRQ_INFO_SIZE),
        .flags = U32("flags", 0),
        .index = U32("index", 0),
        .count = U32("count", 0),
    };

    return vu_encode_irq_info(w, &m);
}

static int build_set_irqs(lua_State *L, struct vu_writer *w)
{
    struct vu_bytes data = bytes_field(L, "data");
    struct vu_irq_set m = {
        .argsz = U32("argsz", VU_IRQ_SET_SIZE + data.len),
        .flags = U32("flags", 0),
        .index = U32("index", 0),
        .start = U32("start", 0),
        .count = U32("count", 0),
        .data = data,
    };

    return vu_encode_irq_set(w, &m);
}

static int build_region_access(lua_State *L, struct vu_writer *w)
{
    struct vu_bytes data = bytes_field(L, "data");
    struct vu_region_access m = {
        .offset = U64("offset", 0),
        .region = U32("region", 0),
        .count = U32("count", data.len),
        .data = data,
    };

    return vu_encode_region_access(w, &m);
}

static int build_dma_access(lua_State *L, struct vu_writer *w)
{
    struct vu_bytes data = bytes_field(L, "data");
    struct vu_dma_access m = {
        .address = U64("address", 0),
        .count = U64("count", data.len),
        .data = data,
    };

    return vu_encode_dma_access(w, &m);
}

static int build_reset(lua_State *L, struct vu_writer *w)
{
    (void)L;
    return vu_writer_ok(w);
}

/* The entries come packed from the prelude, in `data`. */
static int build_write_multi(lua_State *L, struct vu_writer *w)
{
    struct vu_bytes entries = bytes_field(L, "data");
    struct vu_write_multi m = {
        .count = U64("count", entries.len / VU_WRITE_MULTI_ENTRY_SIZE),
        .entries = entries,
    };

    return vu_encode_write_multi(w, &m);
}

static int build_feature(lua_State *L, struct vu_writer *w)
{
    struct vu_bytes data = bytes_field(L, "data");
    struct vu_feature m = {
        .argsz = U32("argsz", VU_FEATURE_SIZE + data.len),
        .flags = U32("flags", 0),
        .data = data,
    };

    return vu_encode_feature(w, &m);
}

static int build_mig_data(lua_State *L, struct vu_writer *w)
{
    struct vu_bytes data = bytes_field(L, "data");
    uint32_t size = U32("size", data.len);
    struct vu_mig_data m = {
        .argsz = U32("argsz", (uint64_t)VU_MIG_DATA_SIZE + size),
        .size = size,
        .data = data,
    };

    return vu_encode_mig_data(w, &m);
}

static build_fn *const builders[VU_COMMAND_MAX] = {
    [VU_VERSION] = build_version,
    [VU_DMA_MAP] = build_dma_map,
    [VU_DMA_UNMAP] = build_dma_unmap,
    [VU_DEVICE_GET_INFO] = build_get_info,
    [VU_DEVICE_GET_REGION_INFO] = build_region_info,
    [VU_DEVICE_GET_REGION_IO_FDS] = build_region_io_fds,
    [VU_DEVICE_GET_IRQ_INFO] = build_irq_info,
    [VU_DEVICE_SET_IRQS] = build_set_irqs,
    [VU_REGION_READ] = build_region_access,
    [VU_REGION_WRITE] = build_region_access,
    [VU_DMA_READ] = build_dma_access,
    [VU_DMA_WRITE] = build_dma_access,
    [VU_DEVICE_RESET] = build_reset,
    [VU_REGION_WRITE_MULTI] = build_write_multi,
    [VU_DEVICE_FEATURE] = build_feature,
    [VU_MIG_DATA_READ] = build_mig_data,
    [VU_MIG_DATA_WRITE] = build_mig_data,
};

/* body(fields, command): the bytes of a request's body */
static int msg_body(lua_State *L)
{
    lua_Integer command = luaL_checkinteger(L, 2);
    struct vu_writer w;
    luaL_Buffer b;
    size_t room;
    char *at;

    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argcheck(L, command > 0 && command < VU_COMMAND_MAX && builders[command], 2,
                  "no such command");
    room = bytes_field(L, "data").len + 128; /* the largest fixed part is below that */
    at = luaL_buffinitsize(L, &b, room);
    w = vu_writer(at, room);
    if (builders[command](L, &w) != 0)
        return luaL_error(L, "the message does not fit");
    luaL_pushresultsize(&b, w.len);
    return 1;
}

/* header{ id, command, size, flags, error }: 16 bytes */
static int msg_header(lua_State *L)
{
    uint8_t bytes[VU_HEADER_SIZE];
    struct vu_writer w = vu_writer(bytes, sizeof(bytes));
    struct vu_header h;

    luaL_checktype(L, 1, LUA_TTABLE);
    h = (struct vu_header){
        .msg_id = U16("id", 0),
        .command = U16("command", 0),
        .size = U32("size", 16),
        .flags = U32("flags", 0),
        .error = U32("error", 0),
    };
    vu_encode_header(&w, &h);
    lua_pushlstring(L, (const char *)bytes, sizeof(bytes));
    return 1;
}

/* ---------------------------------------------------------------- replies -- */

/* A decoder fills the table on top of the stack; 0 or -EBADMSG. */
typedef int decode_fn(lua_State *L, struct vu_reader *r);

static void put_uint(lua_State *L, const char *name, uint64_t v)
{
    lua_pushinteger(L, (lua_Integer)v);
    lua_setfield(L, -2, name);
}

static void put_bytes(lua_State *L, const char *name, struct vu_bytes b)
{
    lua_pushlstring(L, b.len != 0 ? (const char *)b.data : "", b.len);
    lua_setfield(L, -2, name);
}

static void put_version_data(lua_State *L, struct vu_bytes data)
{
    const char *text = (const char *)data.data;
    size_t len = data.len != 0 ? strnlen(text, data.len) : 0;
    char why[256];

    put_bytes(L, "data", data);
    if (data.len == 0)
        return;
    lua_pushboolean(L, len + 1 == data.len); /* one NUL, and it is the last byte */
    lua_setfield(L, -2, "terminated");
    put_bytes(L, "json", (struct vu_bytes){ data.data, len });
    if (ct_lua_push_json(L, text, len, why, sizeof(why))) {
        lua_setfield(L, -2, "object");
    } else {
        lua_pushstring(L, why);
        lua_setfield(L, -2, "json_error");
    }
}

static int decode_version(lua_State *L, struct vu_reader *r)
{
    struct vu_version m;
    int err = vu_decode_version(r, &m);

    put_uint(L, "major", m.major);
    put_uint(L, "minor", m.minor);
    if (err == 0)
        put_version_data(L, m.data);
    return err;
}

static int decode_dma_map(lua_State *L, struct vu_reader *r)
{
    struct vu_dma_map m;
    int err = vu_decode_dma_map(r, &m);

    put_uint(L, "argsz", m.argsz);
    put_uint(L, "flags", m.flags);
    put_uint(L, "offset", m.offset);
    put_uint(L, "address", m.address);
    put_uint(L, "size", m.size);
    return err;
}

static int decode_dma_unmap(lua_State *L, struct vu_reader *r)
{
    struct vu_dma_unmap m;
    int err = vu_decode_dma_unmap_reply(r, &m);

    put_uint(L, "argsz", m.argsz);
    put_uint(L, "flags", m.flags);
    put_uint(L, "address", m.address);
    put_uint(L, "size", m.size);
    put_uint(L, "pgsize", m.pgsize);
    put_uint(L, "bitmap_size", m.bitmap_size);
    put_bytes(L, "bitmap", m.bitmap);
    return err;
}

static int decode_get_info(lua_State *L, struct vu_reader *r)
{
    struct vu_device_info m;
    int err = vu_decode_device_info(r, &m);

    put_uint(L, "argsz", m.argsz);
    put_uint(L, "flags", m.flags);
    put_uint(L, "num_regions", m.num_regions);
    put_uint(L, "num_irqs", m.num_irqs);
    return err;
}

static int put_areas(lua_State *L, const struct vu_cap *cap)
{
    int64_t n = vu_sparse_count(cap);

    if (n < 0)
        return (int)n;
    lua_newtable(L);
    for (int64_t i = 0; i < n; i++) {
        struct vu_sparse_area area = vu_sparse_area(cap, (uint32_t)i);

        lua_newtable(L);
        put_uint(L, "offset", area.offset);
        put_uint(L, "size", area.size);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "areas");
    return 0;
}

static int put_fd_areas(lua_State *L, const struct vu_cap *cap)
{
    int64_t n = vu_sparse_fds_count(cap);

    if (n < 0)
        return (int)n;
    lua_newtable(L);
    for (int64_t i = 0; i < n; i++) {
        struct vu_sparse_fd_area area = vu_sparse_fd_area(cap, (uint32_t)i);

        lua_newtable(L);
        put_uint(L, "offset", area.offset);
        put_uint(L, "size", area.size);
        put_uint(L, "fd_offset", area.fd_offset);
        put_uint(L, "fd_index", area.fd_index);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "areas");
    return 0;
}

static int put_cap(lua_State *L, const struct vu_cap *cap)
{
    struct vu_type_cap type;

    put_uint(L, "id", cap->id);
    put_uint(L, "version", cap->version);
    put_uint(L, "next", cap->next);
    put_uint(L, "offset", cap->offset);
    put_bytes(L, "data", cap->data);
    if (cap->id == VU_CAP_SPARSE_MMAP)
        return put_areas(L, cap);
    if (cap->id == VU_CAP_SPARSE_MMAP_FDS)
        return put_fd_areas(L, cap);
    if (cap->id == VU_CAP_TYPE) {
        if (vu_decode_type_cap(cap, &type) != 0)
            return -EBADMSG;
        put_uint(L, "type", type.type);
        put_uint(L, "subtype", type.subtype);
    }
    return 0;
}

static void put_chain(lua_State *L, const uint8_t *body, size_t len, uint32_t cap_offset)
{
    struct vu_cap_walk walk = vu_cap_walk(body, len, cap_offset);
    const char *wrong = NULL;
    struct vu_cap cap;
    int err;

    lua_newtable(L);
    for (lua_Integer i = 1; (err = vu_cap_next(&walk, &cap)) == 1; i++) {
        lua_newtable(L);
        if (put_cap(L, &cap) != 0)
            wrong = "a capability does not hold what its id asks for";
        lua_rawseti(L, -2, i);
    }
    lua_setfield(L, -2, "chain");
    if (err != 0)
        wrong = "the chain leaves the reply, goes back or is misaligned";
    if (wrong != NULL) {
        lua_pushstring(L, wrong);
        lua_setfield(L, -2, "chain_error");
    }
}

static int decode_region_info(lua_State *L, struct vu_reader *r)
{
    const struct vu_reader whole = *r;
    struct vu_region_info m;
    int err = vu_decode_region_info(r, &m);

    put_uint(L, "argsz", m.argsz);
    put_uint(L, "flags", m.flags);
    put_uint(L, "index", m.index);
    put_uint(L, "cap_offset", m.cap_offset);
    put_uint(L, "size", m.size);
    put_uint(L, "offset", m.offset);
    if (err == 0)
        put_chain(L, whole.pos, whole.left,
                  (m.flags & VU_REGION_CAPS) ? m.cap_offset : 0);
    return err;
}

static void put_io_fds(lua_State *L, const struct vu_region_io_fds *m)
{
    struct vu_io_fd_entry e;

    lua_newtable(L);
    for (uint32_t i = 0; i < m->count && vu_decode_io_fd_entry(m, i, &e) == 0; i++) {
        lua_newtable(L);
        put_uint(L, "offset", e.offset);
        put_uint(L, "size", e.size);
        put_uint(L, "fd_index", e.fd_index);
        put_uint(L, "type", e.type);
        put_uint(L, "flags", e.flags);
        put_uint(L, "padding", e.padding);
        put_uint(L, "datamatch", e.datamatch);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "entries");
}

static int decode_region_io_fds(lua_State *L, struct vu_reader *r)
{
    struct vu_region_io_fds m;
    int err = vu_decode_region_io_fds(r, &m);

    put_uint(L, "argsz", m.argsz);
    put_uint(L, "flags", m.flags);
    put_uint(L, "index", m.index);
    put_uint(L, "count", m.count);
    if (err == 0)
        put_io_fds(L, &m);
    return err;
}

static int decode_irq_info(lua_State *L, struct vu_reader *r)
{
    struct vu_irq_info m;
    int err = vu_decode_irq_info(r, &m);

    put_uint(L, "argsz", m.argsz);
    put_uint(L, "flags", m.flags);
    put_uint(L, "index", m.index);
    put_uint(L, "count", m.count);
    return err;
}

static int put_access(lua_State *L, const struct vu_region_access *m, int err)
{
    put_uint(L, "offset", m->offset);
    put_uint(L, "region", m->region);
    put_uint(L, "count", m->count);
    put_bytes(L, "data", m->data);
    return err;
}

static int decode_region_read(lua_State *L, struct vu_reader *r)
{
    struct vu_region_access m;
    int err = vu_decode_region_data(r, &m);

    return put_access(L, &m, err);
}

static int decode_region_write(lua_State *L, struct vu_reader *r)
{
    struct vu_region_access m;
    int err = vu_decode_region_access(r, &m);

    return put_access(L, &m, err);
}

static int put_dma(lua_State *L, const struct vu_dma_access *m, int err)
{
    put_uint(L, "address", m->address);
    put_uint(L, "count", m->count);
    put_bytes(L, "data", m->data);
    return err;
}

static int decode_dma_data(lua_State *L, struct vu_reader *r)
{
    struct vu_dma_access m;
    int err = vu_decode_dma_data(r, &m);

    return put_dma(L, &m, err);
}

static int decode_dma_access(lua_State *L, struct vu_reader *r)
{
    struct vu_dma_access m;
    int err = vu_decode_dma_access(r, &m);

    return put_dma(L, &m, err);
}

static int decode_dma_written(lua_State *L, struct vu_reader *r)
{
    struct vu_dma_access m;
    int err = vu_decode_dma_write_reply(r, &m);

    return put_dma(L, &m, err);
}

static int decode_write_multi(lua_State *L, struct vu_reader *r)
{
    struct vu_write_multi m;
    int err = vu_decode_write_multi_reply(r, &m);

    put_uint(L, "count", m.count);
    return err;
}

static int decode_feature(lua_State *L, struct vu_reader *r)
{
    struct vu_feature m;
    int err = vu_decode_feature(r, &m);

    put_uint(L, "argsz", m.argsz);
    put_uint(L, "flags", m.flags);
    put_bytes(L, "data", m.data);
    return err;
}

static int decode_mig_data(lua_State *L, struct vu_reader *r)
{
    struct vu_mig_data m;
    int err = vu_decode_mig_data(r, &m);

    put_uint(L, "argsz", m.argsz);
    put_uint(L, "size", m.size);
    put_bytes(L, "data", m.data);
    return err;
}

/* Replies; the commands that servers send are decoded as requests. Absent: the reply
 * has no body. */
static decode_fn *const reply_decoders[VU_COMMAND_MAX] = {
    [VU_VERSION] = decode_version,
    [VU_DMA_UNMAP] = decode_dma_unmap,
    [VU_DEVICE_GET_INFO] = decode_get_info,
    [VU_DEVICE_GET_REGION_INFO] = decode_region_info,
    [VU_DEVICE_GET_REGION_IO_FDS] = decode_region_io_fds,
    [VU_DEVICE_GET_IRQ_INFO] = decode_irq_info,
    [VU_REGION_READ] = decode_region_read,
    [VU_REGION_WRITE] = decode_region_write,
    [VU_DMA_READ] = decode_dma_data,
    [VU_DMA_WRITE] = decode_dma_written,
    [VU_REGION_WRITE_MULTI] = decode_write_multi,
    [VU_DEVICE_FEATURE] = decode_feature,
    [VU_MIG_DATA_READ] = decode_mig_data,
};

static decode_fn *const request_decoders[VU_COMMAND_MAX] = {
    [VU_DMA_MAP] = decode_dma_map,
    [VU_DMA_READ] = decode_dma_access,
    [VU_DMA_WRITE] = decode_dma_data,
};

/* What keeps a body from having the form of its command's reply; NULL: nothing. */
static const char *wrong_form(uint16_t command, size_t len, int err)
{
    const struct vu_command_info *info = vu_command_info(command);

    if (info == NULL)
        return "no such command exists";
    if (info->reply_max == 0 && len != 0)
        return "the reply to this command has no body";
    if (len < info->reply_min)
        return "the body is too short";
    return err != 0 ? "the body's length does not go with its content" : NULL;
}

/* decode(into, command, body, is_reply): sets the fields of `into`; returns nothing when
 * the body has the form of its command, else what is wrong with it */
static int msg_decode(lua_State *L)
{
    uint16_t command = (uint16_t)luaL_checkinteger(L, 2);
    size_t len;
    const char *body = luaL_checklstring(L, 3, &len);
    bool reply = lua_toboolean(L, 4);
    struct vu_reader r = vu_reader(body, len);
    decode_fn *decode = NULL;
    const char *wrong;
    int err = 0;

    if (command < VU_COMMAND_MAX)
        decode = reply ? reply_decoders[command] : request_decoders[command];
    if (decode != NULL) {
        lua_pushvalue(L, 1);
        err = decode(L, &r);
        lua_pop(L, 1);
    }
    wrong = reply      ? wrong_form(command, len, err)
            : err != 0 ? "the body is malformed"
                       : NULL;
    lua_pushstring(L, wrong); /* nil for NULL */
    return 1;
}

/* ------------------------------------------------------------------- text -- */

/* text(message): a decoded message as one line */
static int msg_text(lua_State *L)
{
    struct vu_header h;
    char line[VU_TEXT_MAX];
    size_t len, n_fds = 0;
    const char *body;
    int fds[VU_MAX_MSG_FDS];

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_getfield(L, 1, "fds");
    for (lua_Integer i = 1; i <= luaL_len(L, 2) && n_fds < VU_MAX_MSG_FDS; i++) {
        struct ct_fd *o;

        lua_rawgeti(L, 2, i);
        o = luaL_testudata(L, -1, "ct.fd");
        fds[n_fds++] = o != NULL ? o->fd : -1;
        lua_pop(L, 1);
    }
    lua_getfield(L, 1, "body");
    body = luaL_checklstring(L, -1, &len);
    lua_getfield(L, 1, "h");
    lua_replace(L, 1);
    h = (struct vu_header){
        .msg_id = U16("id", 0),
        .command = U16("command", 0),
        .size = U32("size", 0),
        .flags = U32("flags", 0),
        .error = U32("error", 0),
    };
    lua_pushstring(L, vu_text(line, sizeof(line), &h, body, len, fds, n_fds));
    return 1;
}

static int command_name(lua_State *L)
{
    char name[32];

    lua_pushstring(
        L, vu_command_name((uint16_t)luaL_checkinteger(L, 1), name, sizeof(name)));
    return 1;
}

static int errno_name(lua_State *L)
{
    char name[32];

    lua_pushstring(L, vu_errno_name((int)luaL_checkinteger(L, 1), name, sizeof(name)));
    return 1;
}

void ct_lua_open_msg(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "body", msg_body },
        { "header", msg_header },
        { "decode", msg_decode },
        { "text", msg_text },
        { "command_name", command_name },
        { "errno_name", errno_name },
        { NULL, NULL },
    };

    luaL_setfuncs(L, functions, 0);
}
