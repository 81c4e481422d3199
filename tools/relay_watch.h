/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a relay knows of the session that it passes on: which memory is shared, which
 * eventfds are assigned, which commands are still to be answered.
 *
 * Nothing here decides about the session: what cannot be understood, or is too much to
 * keep, goes through untouched.
 */
#ifndef TOOL_RELAY_WATCH_H
#define TOOL_RELAY_WATCH_H

#include "tools/recording.h"
#include "tools/relay_irq.h"
#include "tools/relay_memory.h"

#define TOOL_PENDING_MAX 1024u
#define TOOL_FILES_MAX   4096u

struct tool_watch_options {
    bool direct; /* leave eventfds alone */
    uint64_t memory_each, memory_all;
    /* Memory was changed by the side that speaks in that direction. */
    int (*on_memory)(void *ctx, enum vu_direction by, const struct tool_track *track,
                     uint64_t offset, struct vu_bytes bytes);
    int (*on_note)(void *ctx, const char *text);
    void *ctx;
};

/* A command whose answer will tell what became of it. */
struct tool_pending {
    uint32_t serial; /* never 0 */
    uint16_t id, command;
    union {
        struct {
            uint32_t flags;
            uint64_t address, size;
        } unmap;
        struct {
            uint32_t flags, index, start, count;
            size_t n_fds;
        } irqs;
    };
};

struct tool_file {
    uint64_t dev, ino;
};

struct tool_watch {
    struct tool_watch_options options;
    struct tool_memory memory;
    struct tool_lines lines;
    enum vu_direction by;   /* to whom memory changes go at present */
    bool fresh;             /* tracks were added that nobody looked at */
    bool noted_kind, noted_pending; /* said once */
    uint32_t last_serial;
    size_t n_pending, n_files;
    struct tool_pending pending[TOOL_PENDING_MAX];  /* in order of arrival */
    struct tool_file files[TOOL_FILES_MAX];         /* number i + 1 */
};

/* What goes on with a message. All descriptors are owned. */
struct tool_passing {
    size_t n_fds;
    int fds[VU_MAX_MSG_FDS];
    int twin_client, twin_server; /* our ends of a new twin link, or -1 */
};

void tool_passing_done(struct tool_passing *p);

void tool_watch_init(struct tool_watch *w, const struct tool_watch_options *options);
void tool_watch_done(struct tool_watch *w);

/* Look at all memory; what changed was changed by who speaks in `by`. */
int tool_watch_look(struct tool_watch *w, enum vu_direction by);

/* A message came, on the main socket or not: report what changed before it. */
int tool_watch_before(struct tool_watch *w, enum vu_direction direction, bool on_main,
                      const struct vu_message *m);

/* Fill the record's descriptors. */
void tool_watch_describe(struct tool_watch *w, const struct vu_message *m,
                         struct tool_record *record);

/* Take note of the message and its descriptors, which are taken out of it. */
struct tool_passing tool_watch_pass(struct tool_watch *w, enum vu_direction direction,
                                    bool on_main, struct vu_message *m);

/* Report the memory that the message brought. */
int tool_watch_after(struct tool_watch *w);

#endif
