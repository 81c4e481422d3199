/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The JSON that goes with VERSION: see wire/caps.h.
 *
 * json-c reads the values, but takes more than JSON (NaN, "5.", control
 * characters, overlong UTF-8), keeps the last of equal keys without a word and
 * ends a key at an escaped NUL. So a scan over the bytes goes first, which refuses
 * all that and counts members; json-c then judges grammar, and a tree with fewer
 * members than the text had equal keys. Once per connection: clarity before speed.
 */
#include "wire/caps.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "wire/protocol.h"

/* From here on a double no longer tells neighbouring integers apart. */
#define MAX_EXACT_DOUBLE 9007199254740992.0     /* 2^53 */

enum object { CAPABILITIES, TWIN_SOCKET, MIGRATION, OBJECTS };
enum kind { NUMBER, FLAG };

static const struct {
    const char *name, *path;
} objects[OBJECTS] = {
    [CAPABILITIES] = { "capabilities", "capabilities" },
    [TWIN_SOCKET]  = { "twin_socket", "capabilities.twin_socket" },
    [MIGRATION]    = { "migration", "capabilities.migration" },
};

/* Every key with a value, in the order of printing; objects in one piece each. */
static const struct field {
    enum object in;
    enum kind kind;
    const char *key;
    size_t has, value;      /* offsets in struct vu_caps */
} fields[] = {
#define FIELD(in, kind, key, has, value) \
    { in, kind, key, offsetof(struct vu_caps, has), offsetof(struct vu_caps, value) }
    FIELD(CAPABILITIES, NUMBER, "max_msg_fds", has_max_msg_fds, max_msg_fds),
    FIELD(CAPABILITIES, NUMBER, "max_data_xfer_size", has_max_data_xfer_size,
          max_data_xfer_size),
    FIELD(CAPABILITIES, NUMBER, "max_dma_maps", has_max_dma_maps, max_dma_maps),
    FIELD(CAPABILITIES, NUMBER, "pgsizes", has_pgsizes, pgsizes),
    FIELD(CAPABILITIES, FLAG, "write_multiple", has_write_multiple, write_multiple),
    FIELD(CAPABILITIES, FLAG, "sparse_mmap_fds", has_sparse_mmap_fds, sparse_mmap_fds),
    FIELD(TWIN_SOCKET, FLAG, "supported", has_twin_socket, twin_socket),
    FIELD(TWIN_SOCKET, NUMBER, "fd_index", has_fd_index, fd_index),
    FIELD(MIGRATION, NUMBER, "pgsize", has_migration_pgsize, migration_pgsize),
    FIELD(MIGRATION, NUMBER, "max_bitmap_size", has_migration_max_bitmap_size,
          migration_max_bitmap_size),
#undef FIELD
};

#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

static bool *flag_at(struct vu_caps *caps, size_t offset)
{
    return (bool *)((char *)caps + offset);
}

static uint64_t *number_at(struct vu_caps *caps, size_t offset)
{
    return (uint64_t *)((char *)caps + offset);
}

void vu_caps_default(struct vu_caps *caps)
{
    if (!caps->has_max_msg_fds)
        caps->max_msg_fds = VU_DEFAULT_MAX_MSG_FDS;
    if (!caps->has_max_data_xfer_size)
        caps->max_data_xfer_size = VU_DEFAULT_MAX_DATA_XFER;
    if (!caps->has_max_dma_maps)
        caps->max_dma_maps = VU_DEFAULT_MAX_DMA_MAPS;
    if (!caps->has_pgsizes)
        caps->pgsizes = VU_DEFAULT_PGSIZES;
}

/* Where a refusal is explained. */
struct why {
    char *text;
    size_t len;
};

static int __attribute__((format(printf, 3, 4)))
refuse(struct why why, int err, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    if (why.text != NULL && why.len > 0)
        vsnprintf(why.text, why.len, format, ap);
    va_end(ap);
    return err;
}

/* --------------------------------------------------------------- the scan -- */

/* Length of the UTF-8 character that s begins with, or 0. The text ends in NUL, so
 * that a cut character is noticed before its end. RFC 3629, section 4. */
static size_t utf8_char(const uint8_t *s)
{
    uint8_t low = 0x80, high = 0xbf;
    size_t len;

    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (s[0] == 0xe0)
        low = 0xa0;         /* else overlong */
    else if (s[0] == 0xed)
        high = 0x9f;        /* else a surrogate */
    else if (s[0] == 0xf0)
        low = 0x90;         /* else overlong */
    else if (s[0] == 0xf4)
        high = 0x8f;        /* else above U+10FFFF */
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if (s[i] < 0x80 || s[i] > 0xbf)
            return 0;
    return len;
}

/* Skip a string whose opening quote is at *s. NULL, or what is wrong with it. */
static const char *scan_string(const uint8_t **s)
{
    const uint8_t *at = *s + 1;

    while (*at != '"') {
        size_t len = utf8_char(at);

        if (len == 0)
            return "not UTF-8";
        if (*at < 0x20)
            return *at == 0 ? "a string does not end" : "control character in a string";
        if (*at == '\\' && strncmp((const char *)at, "\\u0000", 6) == 0)
            return "NUL in a string";
        /* What follows a backslash is skipped with it, lest it be the closing quote. */
        if (*at == '\\' && at[1] != 0 && at[1] < 0x80)
            at++;
        at += len;
    }
    *s = at + 1;
    return NULL;
}

/* Refuse what json-c would not; count the members of all objects. */
static int scan(const uint8_t *s, size_t *members, struct why why)
{
    unsigned depth = 0;

    *members = 0;
    while (*s != 0) {
        const char *fault;

        if (*s == '"') {
            fault = scan_string(&s);
            if (fault != NULL)
                return refuse(why, -EBADMSG, "version data: %s", fault);
            continue;
        }
        if (strchr("{}[]:,+-.0123456789eE \t\r\n" "truefalsenull", *s) == NULL)
            return refuse(why, -EBADMSG, "version data: not JSON");
        if (*s == '.' && (s[1] < '0' || s[1] > '9'))
            return refuse(why, -EBADMSG, "version data: not JSON");
        if ((*s == '{' || *s == '[') && ++depth > VU_CAPS_MAX_DEPTH)
            return refuse(why, -E2BIG, "version data: nested too deep");
        if ((*s == '}' || *s == ']') && depth > 0)
            depth--;
        if (*s == ':')
            (*members)++;
        s++;
    }
    return 0;
}

/* ----------------------------------------------------------------- values -- */

/* Members of all objects in a tree as deep as VU_CAPS_MAX_DEPTH. */
static size_t count_members(json_object *tree)
{
    size_t n = 0;

    if (json_object_is_type(tree, json_type_object)) {
        json_object_object_foreach(tree, key, value) {
            (void)key;
            n += 1 + count_members(value);
        }
    } else if (json_object_is_type(tree, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(tree); i++)
            n += count_members(json_object_array_get_idx(tree, i));
    }
    return n;
}

/* Whether the text has "name" twice as a string, written plainly. */
static bool occurs_twice(const char *text, const char *name)
{
    char quoted[32];
    const char *first;

    snprintf(quoted, sizeof(quoted), "\"%s\"", name);
    first = strstr(text, quoted);
    return first != NULL && strstr(first + 1, quoted) != NULL;
}

static int refuse_equal_keys(const char *text, struct why why)
{
    for (size_t i = 0; i < N_FIELDS; i++)
        if (occurs_twice(text, fields[i].key))
            return refuse(why, -EBADMSG, "%s.%s: given twice",
                          objects[fields[i].in].path, fields[i].key);
    for (size_t i = 0; i < OBJECTS; i++)
        if (occurs_twice(text, objects[i].name))
            return refuse(why, -EBADMSG, "%s: given twice", objects[i].path);
    return refuse(why, -EBADMSG, "version data: a key is given twice");
}

/* NULL, or what is wrong. Integers from 2^64 on come out of json-c as UINT64_MAX, which
 * is refused with them. */
static const char *read_number(json_object *o, uint64_t *value)
{
    double d;

    if (json_object_is_type(o, json_type_int)) {
        if (json_object_get_int64(o) < 0)
            return "negative";
        if (json_object_get_uint64(o) == UINT64_MAX)
            return "too large";
        *value = json_object_get_uint64(o);
        return NULL;
    }
    if (!json_object_is_type(o, json_type_double))
        return "not a number";
    d = json_object_get_double(o);
    if (d < 0)
        return "negative";
    if (!(d < MAX_EXACT_DOUBLE))
        return "too large";
    if (d != (double)(uint64_t)d)
        return "not an integer";
    *value = (uint64_t)d;
    return NULL;
}

static const char *read_flag(json_object *o, bool *value)
{
    if (!json_object_is_type(o, json_type_boolean))
        return "not a boolean";
    *value = json_object_get_boolean(o);
    return NULL;
}

static int read_field(const struct field *f, json_object *object, struct vu_caps *caps,
                      struct why why)
{
    json_object *o;
    const char *fault;

    if (!json_object_object_get_ex(object, f->key, &o))
        return 0;
    if (f->kind == NUMBER)
        fault = read_number(o, number_at(caps, f->value));
    else
        fault = read_flag(o, flag_at(caps, f->value));
    if (fault != NULL)
        return refuse(why, -EBADMSG, "%s.%s: %s", objects[f->in].path, f->key, fault);
    *flag_at(caps, f->has) = true;
    return 0;
}

/* Member `which` of parent, an object if it is there; else *o is NULL. */
static int read_object(enum object which, json_object *parent, json_object **o,
                       struct why why)
{
    *o = NULL;
    if (!json_object_object_get_ex(parent, objects[which].name, o))
        return 0;
    if (!json_object_is_type(*o, json_type_object))
        return refuse(why, -EBADMSG, "%s: not an object", objects[which].path);
    return 0;
}

static int read_tree(json_object *root, struct vu_caps *caps, struct why why)
{
    json_object *o[OBJECTS] = { NULL };
    int err = read_object(CAPABILITIES, root, &o[CAPABILITIES], why);

    if (err != 0 || o[CAPABILITIES] == NULL)
        return err;
    for (enum object i = CAPABILITIES + 1; i < OBJECTS && err == 0; i++)
        err = read_object(i, o[CAPABILITIES], &o[i], why);
    caps->has_twin_socket = o[TWIN_SOCKET] != NULL;
    caps->has_migration = o[MIGRATION] != NULL;
    for (size_t i = 0; i < N_FIELDS && err == 0; i++)
        if (o[fields[i].in] != NULL)
            err = read_field(&fields[i], o[fields[i].in], caps, why);
    return err;
}

/* One JSON text, nothing behind it. NULL with *err set on failure. */
static json_object *parse_tree(const char *text, size_t len, struct why why, int *err)
{
    /* The scan has bounded the depth, so json-c's own limit never strikes. */
    json_tokener *t = json_tokener_new_ex(VU_CAPS_MAX_DEPTH + 2);
    json_object *root;

    if (t == NULL) {
        *err = refuse(why, -ENOMEM, "version data: out of memory");
        return NULL;
    }
    json_tokener_set_flags(t, JSON_TOKENER_STRICT);
    root = json_tokener_parse_ex(t, text, (int)len);
    if (json_tokener_get_error(t) != json_tokener_success) {
        *err = refuse(why, -EBADMSG, "version data: %s",
                      json_tokener_error_desc(json_tokener_get_error(t)));
        json_object_put(root);
        root = NULL;
    } else if (!json_object_is_type(root, json_type_object)) {
        *err = refuse(why, -EBADMSG, "version data: not an object");
        json_object_put(root);
        root = NULL;
    }
    json_tokener_free(t);
    return root;
}

static int parse_text(struct vu_caps *caps, const char *text, size_t len, struct why why)
{
    json_object *root;
    size_t members;
    int err = scan((const uint8_t *)text, &members, why);

    if (err != 0)
        return err;
    root = parse_tree(text, len, why, &err);
    if (root == NULL)
        return err;
    if (count_members(root) != members)
        err = refuse_equal_keys(text, why);
    else
        err = read_tree(root, caps, why);
    json_object_put(root);
    return err;
}

int vu_caps_parse(struct vu_caps *caps, const void *data, size_t data_len, char *why,
                  size_t why_len)
{
    struct why reason = { why, why_len };
    struct vu_caps parsed = { .twin_socket = false };
    const char *end;
    int err = 0;

    if (data_len > VU_CAPS_MAX_BYTES)
        return refuse(reason, -E2BIG, "version data: more than %u bytes",
                      VU_CAPS_MAX_BYTES);
    if (data_len > 0) {
        end = memchr(data, 0, data_len);
        if (end == NULL)
            return refuse(reason, -EBADMSG, "version data: no NUL at the end");
        if (end != (const char *)data + data_len - 1)
            return refuse(reason, -EBADMSG, "version data: NUL before the end");
        err = parse_text(&parsed, data, data_len, reason);
    }
    if (err == 0)
        *caps = parsed;
    return err;
}

/* --------------------------------------------------------------- printing -- */

struct out {
    char *buf;
    size_t len, room;
    bool full;
    const char *comma;      /* what separates the next member from the last */
};

static void __attribute__((format(printf, 2, 3)))
put(struct out *out, const char *format, ...)
{
    va_list ap;
    int n;

    if (out->full)
        return;
    va_start(ap, format);
    n = vsnprintf(out->buf + out->len, out->room - out->len, format, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= out->room - out->len)
        out->full = true;
    else
        out->len += (size_t)n;
}

static void open_object(struct out *out, enum object which)
{
    put(out, "%s\"%s\":{", out->comma, objects[which].name);
    out->comma = "";
}

static void close_object(struct out *out)
{
    put(out, "}");
    out->comma = ",";
}

static void put_fields(struct out *out, struct vu_caps *caps, enum object in)
{
    for (const struct field *f = fields; f < fields + N_FIELDS; f++) {
        if (f->in != in || !*flag_at(caps, f->has))
            continue;
        put(out, "%s\"%s\":", out->comma, f->key);
        if (f->kind == NUMBER)
            put(out, "%ju", (uintmax_t)*number_at(caps, f->value));
        else
            put(out, "%s", *flag_at(caps, f->value) ? "true" : "false");
        out->comma = ",";
    }
}

static bool anything_set(struct vu_caps *caps)
{
    bool any = caps->has_migration;

    for (size_t i = 0; i < N_FIELDS; i++)
        any = any || *flag_at(caps, fields[i].has);
    return any;
}

int vu_caps_print(const struct vu_caps *caps, char *buf, size_t len)
{
    struct out out = { .buf = buf, .room = len, .comma = "" };
    struct vu_caps c = *caps;

    put(&out, "{");
    if (anything_set(&c)) {
        open_object(&out, CAPABILITIES);
        put_fields(&out, &c, CAPABILITIES);
        if (c.has_twin_socket || c.has_fd_index) {
            open_object(&out, TWIN_SOCKET);
            put_fields(&out, &c, TWIN_SOCKET);
            close_object(&out);
        }
        if (c.has_migration || c.has_migration_pgsize ||
            c.has_migration_max_bitmap_size) {
            open_object(&out, MIGRATION);
            put_fields(&out, &c, MIGRATION);
            close_object(&out);
        }
        close_object(&out);
    }
    put(&out, "}");
    return out.full ? -ENOBUFS : (int)out.len + 1;
}
