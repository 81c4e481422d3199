/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shared memory of a recorded session: see tools/relay_memory.h.
 *
 * The file is read, not mapped: its owner may shorten it at any moment.
 */
#include "tools/relay_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK 65536u /* bytes read at once */
#define BLOCK 512u   /* bytes compared at once; runs end where a block is unchanged */

bool tool_memory_file(int fd)
{
    /* Seals exist in memory file systems alone, and asking for them waits for nobody. */
    return fcntl(fd, F_GET_SEALS) != -1;
}

static void free_track(struct tool_memory *m, struct tool_track *t)
{
    m->total -= t->size;
    close(t->fd);
    free(t->copy);
}

void tool_memory_done(struct tool_memory *m)
{
    for (size_t i = 0; i < m->n_tracks; i++)
        free_track(m, &m->tracks[i]);
    free(m->tracks);
    m->tracks = NULL;
    m->n_tracks = m->room = 0;
}

static int make_room(struct tool_memory *m)
{
    size_t room = m->room == 0 ? 16 : 2 * m->room;
    struct tool_track *tracks;

    if (m->n_tracks < m->room)
        return 0;
    if (m->n_tracks >= TOOL_TRACKS_MAX)
        return -ENOSPC;
    tracks = realloc(m->tracks, room * sizeof(*tracks));
    if (tracks == NULL)
        return -ENOMEM;
    m->tracks = tracks;
    m->room = room;
    return 0;
}

/* Report the run [from, to) of a track; `fresh` holds its bytes from `base` on. */
static int report(struct tool_memory *m, struct tool_track *t, const uint8_t *fresh,
                  uint64_t base, uint64_t from, uint64_t to)
{
    struct vu_bytes bytes = { fresh + (from - base), to - from };

    memcpy(t->copy + from, bytes.data, bytes.len);
    return m->changed(m->ctx, t, t->offset + from, bytes);
}

/* Compare a chunk with the copy, and report runs of blocks that differ, trimmed to the
 * bytes that do. */
static int compare(struct tool_memory *m, struct tool_track *t, const uint8_t *fresh,
                   uint64_t base, size_t len)
{
    uint64_t from = UINT64_MAX, to = 0; /* of the run so far */
    int err = 0;

    for (size_t at = 0; at < len && err == 0; at += BLOCK) {
        size_t n = len - at < BLOCK ? len - at : BLOCK;
        const uint8_t *old = t->copy + base + at, *new = fresh + at;

        if (memcmp(old, new, n) != 0) {
            size_t first = 0, last = n;

            while (old[first] == new[first])
                first++;
            while (old[last - 1] == new[last - 1])
                last--;
            if (from == UINT64_MAX)
                from = base + at + first;
            to = base + at + last;
        } else if (from != UINT64_MAX) {
            err = report(m, t, fresh, base, from, to);
            from = UINT64_MAX;
        }
    }
    if (err == 0 && from != UINT64_MAX)
        err = report(m, t, fresh, base, from, to);
    return err;
}

/* A file that is shorter than the track has nothing to say about the rest. */
static int look_at(struct tool_memory *m, struct tool_track *t)
{
    uint8_t chunk[CHUNK];
    uint64_t at = 0;
    int err = 0;

    while (at < t->size && err == 0) {
        size_t len = t->size - at < CHUNK ? (size_t)(t->size - at) : CHUNK;
        ssize_t n = pread(t->fd, chunk, len, (off_t)(t->offset + at));

        if (n <= 0)
            break;
        err = compare(m, t, chunk, at, (size_t)n);
        at += (size_t)n;
    }
    return err;
}

int tool_memory_add(struct tool_memory *m, const struct tool_track *what)
{
    struct tool_track t = *what;
    int err;

    if (!tool_memory_file(t.fd) || (fcntl(t.fd, F_GETFL) & O_ACCMODE) == O_WRONLY)
        return -EINVAL;
    if (t.size > m->max_each || t.size > m->max_all - m->total)
        return -EFBIG;
    if (t.offset > INT64_MAX - t.size)
        return -EINVAL;
    err = make_room(m);
    if (err != 0)
        return err;
    t.fd = fcntl(what->fd, F_DUPFD_CLOEXEC, 0);
    if (t.fd == -1)
        return -errno;
    t.copy = calloc(1, t.size != 0 ? t.size : 1);
    if (t.copy == NULL) {
        close(t.fd);
        return -ENOMEM;
    }
    m->total += t.size;
    m->tracks[m->n_tracks++] = t;
    return 0;
}

void tool_memory_drop(struct tool_memory *m,
                      bool (*drop)(const struct tool_track *track, const void *ctx),
                      const void *ctx)
{
    size_t kept = 0;

    for (size_t i = 0; i < m->n_tracks; i++) {
        if (drop(&m->tracks[i], ctx))
            free_track(m, &m->tracks[i]);
        else
            m->tracks[kept++] = m->tracks[i];
    }
    m->n_tracks = kept;
}

int tool_memory_look(struct tool_memory *m)
{
    int err = 0;

    for (size_t i = 0; i < m->n_tracks && err == 0; i++)
        err = look_at(m, &m->tracks[i]);
    return err;
}
