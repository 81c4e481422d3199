/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Moving the data of devices: see migrate.h.
 *
 * Reading from one server and writing to the other overlap: a piece is on its way to the
 * destination while the next one is read.
 */
#include "tools/migrate.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COMPARE_PIECE 65536u

int tool_set_state(const struct tool_call *call, struct vfuc_client *dev,
                   enum vfuc_mig_state state, const char *who)
{
    int err = vfuc_migration_set_state(dev, state);

    if (err == 0)
        return TOOL_OK;
    return tool_client_fail(call, dev, err, "%s: cannot be led to %s", who,
                            vfuc_migration_state_name(state));
}

int tool_identity(const struct tool_call *call, struct vfuc_client *dev,
                  struct tool_state_identity *identity)
{
    const struct vfuc_device *info;
    uint8_t space[64];
    int err = vfuc_device_info(dev, &info);

    *identity = (struct tool_state_identity){ 0 };
    if (err == 0 && (info->flags & VFUC_DEVICE_PCI) != 0
        && info->num_regions > VFUC_PCI_CONFIG) {
        err = vfuc_region_read(dev, VFUC_PCI_CONFIG, 0, space, sizeof(space));
        if (err == 0)
            *identity = (struct tool_state_identity){
                .vendor = (uint16_t)(space[0] | space[1] << 8),
                .device = (uint16_t)(space[2] | space[3] << 8),
                .subvendor = (uint16_t)(space[0x2c] | space[0x2d] << 8),
                .subsystem = (uint16_t)(space[0x2e] | space[0x2f] << 8),
                .class_revision = (uint32_t)space[8] | (uint32_t)space[9] << 8
                                | (uint32_t)space[10] << 16 | (uint32_t)space[11] << 24,
            };
    }
    if (err == 0)
        return TOOL_OK;
    return tool_client_fail(call, dev, err, "who the device is");
}

/* ------------------------------------------------------------------ pieces -- */

/* The piece that is on its way has arrived, or not. */
static int await_write(struct tool_move *m)
{
    struct vfuc_completion done;
    int n;

    if (!m->writing)
        return TOOL_OK;
    m->writing = false;
    n = vfuc_wait(m->to, &done, 1, -1);
    if (n == 1)
        n = done.result;
    if (n >= 0)
        return TOOL_OK;
    return tool_client_fail(m->call, m->to, n, "destination: the data were not taken");
}

static int send_piece(struct tool_move *m, size_t len)
{
    int code = await_write(m);
    int err;

    if (code != TOOL_OK)
        return code;
    err = vfuc_submit_migration_write(m->to, m->buf, len, 0);
    if (err == 0) {
        m->writing = true;
        err = vfuc_flush(m->to);
    }
    if (err >= 0)
        return TOOL_OK;
    return tool_client_fail(m->call, m->to, err, "destination: the data cannot be sent");
}

static int write_piece(struct tool_move *m, size_t len)
{
    uint8_t length[4];

    tool_state_chunk(length, (uint32_t)len);
    if (fwrite(length, sizeof(length), 1, m->file) == 1
        && fwrite(m->buf, len, 1, m->file) == 1)
        return TOOL_OK;
    return tool_fail(m->call, TOOL_FAILED, "%s: %s", m->file_name, strerror(errno));
}

static void show_progress(const struct tool_move *m, uint64_t bytes)
{
    char round[32], all[32], speed[32];
    int64_t ns = tool_now_ns() - m->began_ns;
    double per_second = ns > 0 ? (double)(m->total) * 1e9 / (double)ns : 0;

    tool_progress(m->call, "%s %zu: %s, %s in all, %s/s",
                  m->stopped_ns != 0 ? "stopped, after round" : "round",
                  json_object_array_length(m->rounds) + (m->stopped_ns == 0),
                  tool_size_text(bytes, round, sizeof(round)),
                  tool_size_text(m->total, all, sizeof(all)),
                  tool_size_text((uint64_t)per_second, speed, sizeof(speed)));
}

int tool_move_data(struct tool_move *m, uint64_t *bytes)
{
    size_t got = m->room;
    int code = TOOL_OK;

    *bytes = 0;
    while (code == TOOL_OK && got == m->room) {     /* less: there is no more */
        int err = vfuc_migration_read(m->from, m->buf, m->room, &got);

        if (err < 0)
            return tool_client_fail(m->call, m->from, err,
                                    "source: its data cannot be read");
        if (tool_stopped())
            return tool_fail(m->call, TOOL_FAILED, "interrupted");
        if (got == 0)
            break;
        m->crc = tool_crc32(m->crc, m->buf, got);
        m->total += got;
        *bytes += got;
        code = m->to != NULL ? send_piece(m, got) : write_piece(m, got);
        show_progress(m, *bytes);
    }
    return code == TOOL_OK ? await_write(m) : code;
}

/* ------------------------------------------------------------------ rounds -- */

static void note_round(struct tool_move *m, const char *kind, uint64_t bytes, int64_t ns)
{
    struct json_object *round = tool_json_object();
    char size[32];

    tool_json_add(round, "kind", tool_json_string(kind));
    tool_json_add(round, "bytes", tool_json_number(bytes));
    tool_json_add(round, "seconds", tool_json_double((double)ns / 1e9));
    tool_json_append(m->rounds, round);
    tool_progress(m->call, NULL);
    if (!m->call->json)
        fprintf(m->file == stdout ? stderr : stdout, "%s: %s in %.1f ms\n", kind,
                tool_size_text(bytes, size, sizeof(size)), (double)ns / 1e6);
}

static int one_round(struct tool_move *m, const char *kind, uint64_t *bytes, int64_t *ns)
{
    int64_t begin = tool_now_ns();
    int code = tool_move_data(m, bytes);

    *ns = tool_now_ns() - begin;
    if (code == TOOL_OK)
        note_round(m, kind, *bytes, *ns);
    return code;
}

/*
 * What changes during a round is sent in the next. When a round takes less than the
 * device may stand still, so will the last one, since the source changes no more then.
 */
static int pre_copy(struct tool_move *m)
{
    int code = tool_set_state(m->call, m->from, VFUC_MIG_PRE_COPY, "source");

    for (unsigned i = 0; code == TOOL_OK && i < m->max_rounds && !m->converged; i++) {
        uint64_t bytes;
        int64_t ns;

        code = one_round(m, "pre-copy", &bytes, &ns);
        if (code == TOOL_OK)
            m->converged = bytes == 0 || (i > 0 && ns <= m->budget_ns);
    }
    return code;
}

int tool_move_all(struct tool_move *m)
{
    uint64_t flags, bytes;
    int64_t ns;
    int code = TOOL_OK;
    int err = vfuc_migration_flags(m->from, &flags);

    if (err < 0)
        return tool_client_fail(m->call, m->from, err, "source: cannot be migrated");
    m->began_ns = tool_now_ns();
    if ((flags & VFUC_MIGRATION_PRE_COPY) != 0 && m->max_rounds > 0)
        code = pre_copy(m);
    if (code != TOOL_OK)
        return code;
    m->stopped_ns = tool_now_ns();
    code = tool_set_state(m->call, m->from, VFUC_MIG_STOP_COPY, "source");
    return code != TOOL_OK ? code : one_round(m, "stopped", &bytes, &ns);
}

/* -------------------------------------------------------------- comparing -- */

static int read_piece(const struct tool_move *m, struct vfuc_client *dev, const char *who,
                      uint32_t index, uint64_t offset, uint8_t *to, size_t len)
{
    int err = vfuc_region_read(dev, index, offset, to, len);

    if (err == 0)
        return TOOL_OK;
    return tool_client_fail(m->call, dev, err, "%s: region %" PRIu32 " at 0x%" PRIx64,
                            who, index, offset);
}

static int compare_region(const struct tool_move *m, const struct vfuc_region *region)
{
    uint8_t a[COMPARE_PIECE], b[COMPARE_PIECE];
    char name[32];

    for (uint64_t at = 0; at < region->size; at += COMPARE_PIECE) {
        uint64_t left = region->size - at;
        size_t len = left < COMPARE_PIECE ? (size_t)left : COMPARE_PIECE, same = 0;
        int code = read_piece(m, m->from, "source", region->index, at, a, len);

        if (code == TOOL_OK)
            code = read_piece(m, m->to, "destination", region->index, at, b, len);
        if (code != TOOL_OK)
            return code;
        while (same < len && a[same] == b[same])
            same++;
        if (same < len)
            return tool_fail(m->call, TOOL_REFUSED, "%s differs at 0x%" PRIx64
                             ": %02x before, %02x at the destination",
                             tool_region_name(region->index, name, sizeof(name)),
                             at + same, a[same], b[same]);
    }
    return TOOL_OK;
}

int tool_compare_regions(const struct tool_move *m)
{
    int n = vfuc_region_count(m->from);
    int code = TOOL_OK;

    for (int i = 0; code == TOOL_OK && i < n; i++) {
        const struct vfuc_region *a, *b;
        int err = vfuc_region_info(m->from, (uint32_t)i, &a);

        if (err < 0)
            return tool_client_fail(m->call, m->from, err, "source: region %d", i);
        if ((a->flags & VFUC_REGION_READ) == 0)
            continue;
        err = vfuc_region_info(m->to, (uint32_t)i, &b);
        if (err < 0)
            return tool_client_fail(m->call, m->to, err, "destination: region %d", i);
        if (a->size != b->size)
            return tool_fail(m->call, TOOL_REFUSED, "region %d has %" PRIu64
                             " bytes here and %" PRIu64 " there", i, a->size, b->size);
        code = compare_region(m, a);
    }
    return code;
}
