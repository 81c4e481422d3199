/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that somebody else writes: read again and again, and compared with a copy of
 * what it was, to find what has changed.
 *
 * It is read by pread(), never mapped: a file may be shrunk by anybody at any time.
 */
#ifndef TOOL_WATCHED_H
#define TOOL_WATCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A range that has changed, with its new bytes; good for the call. */
typedef void tool_changed_fn(void *opaque, uint64_t at, const void *data, size_t len);

struct tool_watched {
    int fd;             /* lent */
    uint64_t offset;    /* in fd */
    size_t size;
    uint8_t *copy;      /* owned, tool_zeros(): as it was seen last */
    tool_changed_fn *changed;
    void *opaque;
    bool open;          /* a range has begun: [start, end) */
    size_t start, end;
};

/* What is there now becomes the copy. 0, -ENOMEM, -ENODATA (the file is too short), or
 * what pread() reports. tool_watched_done() is due only after 0. */
int tool_watched_init(struct tool_watched *w, int fd, uint64_t offset, size_t size,
                      tool_changed_fn *changed, void *opaque);

/* Compare, tell of each range that differs, and remember the new bytes. Changes that lie
 * close together are one range. As above. */
int tool_watched_look(struct tool_watched *w);

void tool_watched_done(struct tool_watched *w);

/* Memory of any size that is zero, and costs nothing where it stays so, like a hole in a
 * file. NULL: there is none. Ended with tool_zeros_done(), for which NULL is fine. */
void *tool_zeros(size_t size);
void tool_zeros_done(void *memory, size_t size);

#endif
