/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files of the recording commands: read whole, written completely.
 */
#ifndef TOOL_RECFILE_H
#define TOOL_RECFILE_H

#include <stddef.h>
#include <stdint.h>

#include "tools/tool.h"

#define TOOL_RECFILE_MAX ((uint64_t)2 << 30)

struct tool_recfile {
    uint8_t *data; /* owned */
    size_t len;
};

/* Read a file, "-" being stdin. TOOL_OK, or an exit code after a sentence on stderr. */
int tool_recfile_load(const struct tool_call *call, const char *path,
                      struct tool_recfile *file);

/* The same from a descriptor, from its beginning; 0 or negative errno. */
int tool_recfile_load_fd(int fd, struct tool_recfile *file);

void tool_recfile_done(struct tool_recfile *file);

/* 0, or negative errno. */
int tool_write_all(int fd, const void *bytes, size_t len);

#endif
