/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shared memory of a recorded session: what it holds, and who changed it.
 *
 * A track is a part of a file that client and server share: a DMA window, or a part of a
 * region that the client may map. Of each there is a copy as it was when last looked at.
 * Looking again gives the bytes that differ. Only memory files (memfd, tmpfs, hugetlbfs)
 * are tracked: reading one can neither block nor fault.
 */
#ifndef TOOL_RELAY_MEMORY_H
#define TOOL_RELAY_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/cursor.h"

#define TOOL_TRACKS_MAX 4096u

struct tool_track {
    bool window;            /* of DMA; else of a region */
    uint32_t owner;         /* not 0: the command that asked for it is not answered yet */
    uint32_t file;          /* as in recordings */
    uint64_t file_size;
    uint64_t address;       /* of a window; of a region: its index */
    uint64_t offset, size;  /* in the file */
    int fd;                 /* owned */
    uint8_t *copy;          /* owned: size bytes */
};

/* Called for each run of bytes that differ. 0, or an error that ends the looking. */
typedef int tool_memory_fn(void *ctx, const struct tool_track *track, uint64_t offset,
                           struct vu_bytes bytes);

struct tool_memory {
    uint64_t max_each, max_all; /* bytes of a track, and of all */
    uint64_t total;
    size_t n_tracks, room;
    struct tool_track *tracks;  /* owned */
    tool_memory_fn *changed;
    void *ctx;
};

void tool_memory_done(struct tool_memory *m);

/*
 * Track a part of a file; all of it counts as changed that is not zero. fd is lent. 0;
 * -EFBIG: too large, -EINVAL: no memory file or not readable, -ENOSPC: too many; -ENOMEM
 * and what dup() says.
 */
int tool_memory_add(struct tool_memory *m, const struct tool_track *what);

/* Forget tracks for which `drop` is true. */
void tool_memory_drop(struct tool_memory *m,
                      bool (*drop)(const struct tool_track *track, const void *ctx),
                      const void *ctx);

/* Look at all tracks. 0, or what the callback said. */
int tool_memory_look(struct tool_memory *m);

/* Is this a file that may be tracked? Does not block. */
bool tool_memory_file(int fd);

#endif
