/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading a chunk, comparing it piece by piece, gathering what differs into ranges.
 */
#include "tools/watched.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHUNK 65536
#define PIECE 4096      /* compared at once, since most have not changed */
#define GAP   16        /* unchanged bytes between two changes that still are one range */

/* 0, -ENODATA at the end of the file, or what pread() reports. */
static int read_all(int fd, uint8_t *buf, size_t len, uint64_t offset)
{
    while (len > 0) {
        ssize_t n = pread(fd, buf, len, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ENODATA;
        buf += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

static void end_range(struct tool_watched *w)
{
    if (w->open && w->changed != NULL)
        w->changed(w->opaque, w->start, w->copy + w->start, w->end - w->start);
    w->open = false;
}

/* Byte `at` has changed; the copy has it already. */
static void add_byte(struct tool_watched *w, size_t at)
{
    if (w->open && at - w->end >= GAP)
        end_range(w);
    if (!w->open)
        w->start = at;
    w->open = true;
    w->end = at + 1;
}

static void compare(struct tool_watched *w, size_t at, const uint8_t *now, size_t len)
{
    if (memcmp(w->copy + at, now, len) == 0)
        return;
    for (size_t i = 0; i < len; i++) {
        if (w->copy[at + i] == now[i])
            continue;
        w->copy[at + i] = now[i];
        add_byte(w, at + i);
    }
}

int tool_watched_look(struct tool_watched *w)
{
    uint8_t chunk[CHUNK];

    for (size_t at = 0; at < w->size; at += CHUNK) {
        size_t len = w->size - at < CHUNK ? w->size - at : CHUNK;
        int err = read_all(w->fd, chunk, len, w->offset + at);

        if (err != 0) {
            end_range(w);
            return err;
        }
        for (size_t i = 0; i < len; i += PIECE)
            compare(w, at + i, chunk + i, len - i < PIECE ? len - i : PIECE);
    }
    end_range(w);
    return 0;
}

void *tool_zeros(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                        -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

void tool_zeros_done(void *memory, size_t size)
{
    if (memory != NULL)
        munmap(memory, size);
}

int tool_watched_init(struct tool_watched *w, int fd, uint64_t offset, size_t size,
                      tool_changed_fn *changed, void *opaque)
{
    int err;

    *w = (struct tool_watched){ .fd = fd, .offset = offset, .size = size };
    w->copy = tool_zeros(size);
    if (w->copy == NULL)
        return -ENOMEM;
    err = tool_watched_look(w);
    if (err != 0) {
        tool_watched_done(w);
        return err;
    }
    w->changed = changed;
    w->opaque = opaque;
    return 0;
}

void tool_watched_done(struct tool_watched *w)
{
    tool_zeros_done(w->copy, w->size);
    w->copy = NULL;
}
