/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading and writing a region for `vfu config`, `read`, `write` and `watch`: by message
 * or through a mapping, at any length or in accesses of one width.
 */
#ifndef TOOL_ACCESS_H
#define TOOL_ACCESS_H

#include "tools/tool.h"

struct tool_access {
    const struct tool_call *call;
    struct vfuc_client *dev;    /* owned */
    uint32_t index;
    const struct vfuc_region *region;
    char name[32];              /* of the region */
    unsigned width;             /* bytes of an access; 0: as they come */
    bool posted;                /* writes are not answered */
    bool progress;              /* long transfers show theirs */
    uint8_t *mapping;           /* the client's; NULL: by message */
    uint64_t mapped;            /* offset of its first byte in the region */
};

/* Connect to call->argv[0] and find out about a region. 0, or an exit code after a
 * sentence; tool_access_done() is due either way. */
int tool_access_open(struct tool_access *a, const struct tool_call *call, uint32_t index);
void tool_access_done(struct tool_access *a);

/* From now on through a mapping of this range, with VFUC_MAP_ protection. As above. */
int tool_access_map(struct tool_access *a, uint64_t offset, size_t len, unsigned prot);

/* Is the range inside of the region? As above. */
int tool_access_check(const struct tool_access *a, uint64_t offset, uint64_t len);

/* The bytes of a range, which is checked first. len: a multiple of the width. */
int tool_access_read(struct tool_access *a, uint64_t offset, void *buf, size_t len);
int tool_access_write(struct tool_access *a, uint64_t offset, const void *buf,
                      size_t len);

/* "1", "2", "4" or "8". 0, or TOOL_USAGE after a sentence. */
int tool_width(const struct tool_call *call, const char *text, unsigned *width);

/* A length; "end" is what the region has behind `offset`. As tool_width(). */
int tool_length(const struct tool_access *a, const char *text, uint64_t offset,
                uint64_t *length);

/* Little endian numbers of 1 to 8 bytes. */
uint64_t tool_get_le(const uint8_t *bytes, unsigned width);
void tool_put_le(uint8_t *bytes, unsigned width, uint64_t value);

#endif
