/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Is what came what was recorded? See tools/replay_compare.h.
 */
#include "tools/replay_compare.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tools/message.h"
#include "wire/caps.h"
#include "wire/command.h"
#include "wire/text.h"

/* A comparison under way; once a difference is found the rest is not looked at. */
struct verdict {
    const struct tool_compare *how;
    char *why;
    size_t why_len;
    bool differs;
};

static void differ(struct verdict *v, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void differ(struct verdict *v, const char *format, ...)
{
    va_list ap;

    if (v->differs)
        return;
    v->differs = true;
    va_start(ap, format);
    /* clang-tidy 14 overlooks va_start(). NOLINTNEXTLINE(clang-analyzer-valist.*) */
    vsnprintf(v->why, v->why_len, format, ap);
    va_end(ap);
}

static void number(struct verdict *v, const char *name, uint64_t got, uint64_t was)
{
    if (got != was)
        differ(v, "%s is 0x%" PRIx64 ", was 0x%" PRIx64, name, got, was);
}

/* ------------------------------------------------------------------- bytes -- */

static bool is_ignored(const struct tool_compare *how, uint32_t region, uint64_t offset)
{
    for (size_t i = 0; i < how->n_ignored; i++) {
        const struct tool_ignored *g = &how->ignored[i];

        if (g->region == region && offset >= g->first && offset <= g->last)
            return true;
    }
    return false;
}

/* access: of a region, where bytes may be ignored; else NULL. */
static void bytes(struct verdict *v, const char *name, struct vu_bytes got,
                  struct vu_bytes was, const struct vu_region_access *access)
{
    if (got.len != was.len) {
        differ(v, "%s has %zu bytes, had %zu", name, got.len, was.len);
        return;
    }
    for (size_t i = 0; i < got.len && !v->differs; i++) {
        if (got.data[i] != was.data[i] &&
            (access == NULL || !is_ignored(v->how, access->region, access->offset + i)))
            differ(v, "%s: byte 0x%zx is 0x%02x, was 0x%02x", name, i, got.data[i],
                   was.data[i]);
    }
}

/* ---------------------------------------------------------- special bodies -- */

static void limit(struct verdict *v, const char *name, bool has, uint64_t value, bool had,
                  uint64_t was)
{
    if (has != had)
        differ(v, "%s is %s", name, has ? "there, and was not" : "not there, and was");
    else if (has)
        number(v, name, value, was);
}

#define LIMIT(member) limit(v, #member, got.has_##member, got.member, was.has_##member, \
                            was.member)

/* Limits and features that we know; unknown keys may be anything. */
static void version_data(struct verdict *v, struct vu_bytes got_data,
                         struct vu_bytes was_data)
{
    struct vu_caps got, was;
    int err = vu_caps_parse(&was, was_data.data, was_data.len, NULL, 0);

    if (err == 0)
        err = vu_caps_parse(&got, got_data.data, got_data.len, NULL, 0);
    if (err != 0) {
        bytes(v, "version data", got_data, was_data, NULL);
        return;
    }
    LIMIT(max_msg_fds);
    LIMIT(max_data_xfer_size);
    LIMIT(max_dma_maps);
    LIMIT(pgsizes);
    LIMIT(write_multiple);
    LIMIT(twin_socket);
    LIMIT(migration_pgsize);
    LIMIT(migration_max_bitmap_size);
}

static void sparse_cap(struct verdict *v, const struct vu_cap *got,
                       const struct vu_cap *was)
{
    int64_t n = vu_sparse_count(got);

    if (n < 0 || n != vu_sparse_count(was)) {
        differ(v, "the number of sparse areas is %" PRId64 ", was %" PRId64, n,
               vu_sparse_count(was));
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct vu_sparse_area a = vu_sparse_area(got, i), b = vu_sparse_area(was, i);

        number(v, "offset of a sparse area", a.offset, b.offset);
        number(v, "size of a sparse area", a.size, b.size);
    }
}

/* Capabilities in their order, wherever they lie. */
static void chain(struct verdict *v, struct vu_cap_walk got_walk,
                  struct vu_cap_walk was_walk)
{
    struct vu_cap got, was;
    int more;

    do {
        more = vu_cap_next(&got_walk, &got);
        if (more != vu_cap_next(&was_walk, &was)) {
            differ(v, "the capability chain has another length, or is broken");
            return;
        }
        if (more != 1)
            return;
        number(v, "id of a capability", got.id, was.id);
        if (!v->differs && got.id == VU_CAP_SPARSE_MMAP)
            sparse_cap(v, &got, &was);
        else if (!v->differs && got.data.len == was.data.len)
            bytes(v, "data of a capability", got.data, was.data, NULL);
    } while (!v->differs);
}

static struct vu_cap_walk walk_of(const struct vu_region_info *info, struct vu_bytes body)
{
    return vu_cap_walk(body.data, body.len,
                       (info->flags & VU_REGION_CAPS) != 0 ? info->cap_offset : 0);
}

/* ------------------------------------------------------------------ bodies -- */

static void field(struct verdict *v, uint16_t command, const struct tool_field *f,
                  const union tool_body *got, const union tool_body *was)
{
    const struct vu_region_access *access = NULL;

    if (f->width != 0) {
        if (!f->free)
            number(v, f->name, tool_field_number(f, got), tool_field_number(f, was));
        return;
    }
    if (command == VU_REGION_READ)
        access = &was->region_access;
    if (command == VU_VERSION)
        version_data(v, tool_field_bytes(f, got), tool_field_bytes(f, was));
    else
        bytes(v, f->name, tool_field_bytes(f, got), tool_field_bytes(f, was), access);
}

static void bodies(struct verdict *v, uint16_t command, bool reply, struct vu_bytes got,
                   struct vu_bytes was)
{
    const struct tool_shape *shape = tool_shape(command, reply);
    struct vu_reader got_r = vu_reader(got.data, got.len);
    struct vu_reader was_r = vu_reader(was.data, was.len);
    union tool_body got_body, was_body;

    memset(&got_body, 0, sizeof(got_body));
    memset(&was_body, 0, sizeof(was_body));
    if (shape == NULL || shape->decode(&was_r, &was_body) != 0) {
        bytes(v, "the body", got, was, NULL);
        return;
    }
    if (shape->decode(&got_r, &got_body) != 0) {
        differ(v, "the body has not the form of this command");
        return;
    }
    for (const struct tool_field *f = shape->fields; f->name != NULL && !v->differs; f++)
        field(v, command, f, &got_body, &was_body);
    if (!v->differs && reply && command == VU_DEVICE_GET_REGION_INFO)
        chain(v, walk_of(&got_body.region_info, got),
              walk_of(&was_body.region_info, was));
}

/* Replies whose length is the server's own choice. */
static bool has_free_length(const struct vu_header *h)
{
    return h->command == VU_VERSION || h->command == VU_DEVICE_GET_REGION_INFO ||
           h->command == VU_DEVICE_GET_REGION_IO_FDS;
}

static const char *outcome(const struct vu_header *h)
{
    return (h->flags & VU_F_ERROR) != 0 ? "a refusal" : "a success";
}

static void headers(struct verdict *v, const struct vu_header *got,
                    const struct vu_header *was)
{
    const uint32_t judged = VU_F_TYPE_MASK | VU_F_NO_REPLY | VU_F_ERROR;
    char got_name[32], was_name[32];

    number(v, "command", got->command, was->command);
    if (((got->flags ^ was->flags) & VU_F_ERROR) != 0)
        differ(v, "this is %s, and was %s", outcome(got), outcome(was));
    number(v, "flags of the header", got->flags & judged, was->flags & judged);
    if (v->how->strict && (was->flags & VU_F_ERROR) != 0 && got->error != was->error)
        differ(v, "errno is %s, was %s",
               vu_errno_name((int)(got->error & INT32_MAX), got_name, sizeof(got_name)),
               vu_errno_name((int)(was->error & INT32_MAX), was_name, sizeof(was_name)));
    if (!has_free_length(was))
        number(v, "size of the message", got->size, was->size);
}

bool tool_differs(const struct tool_compare *how, const struct tool_step *recorded,
                  const struct tool_got *got, char *why, size_t why_len)
{
    struct verdict v = { .how = how, .why = why, .why_len = why_len };

    headers(&v, &got->h, &recorded->h);
    if (!v.differs && got->n_fds != recorded->n_fds)
        differ(&v, "%zu descriptors came with it, there were %zu", got->n_fds,
               recorded->n_fds);
    if (!v.differs && !how->loose && !recorded->cut &&
        (recorded->h.flags & VU_F_ERROR) == 0)
        bodies(&v, recorded->h.command, recorded->reply, got->body,
               tool_step_body(recorded));
    return v.differs;
}
