/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A recording as a list that can be walked back and forth: each command knows its reply.
 */
#ifndef TOOL_STEPS_H
#define TOOL_STEPS_H

#include "tools/recording.h"

#define TOOL_NO_STEP SIZE_MAX

/* A record, without room for descriptors that it does not have. */
struct tool_step {
    enum tool_record_kind kind;
    enum vu_direction direction;
    bool twin, cut;
    bool copied;    /* bytes are owned */
    bool command, reply;    /* a message of that type, with a whole header */
    uint16_t flags;
    uint32_t session;
    uint64_t time_ns;
    uint64_t values[3];
    struct vu_header h;     /* of messages */
    struct vu_bytes bytes;
    size_t n_fds;
    struct tool_record_fd *fds; /* owned */
    size_t partner;             /* the other of command and reply, or TOOL_NO_STEP */
};

struct tool_steps {
    size_t n, room;
    struct tool_step *steps; /* owned */
};

/* Load a recording, whose bytes must live as long as the list. 0; -EBADMSG: damaged, with
 * what came before the damage in the list; -ENOMEM. why receives a sentence. */
int tool_steps_load(struct tool_steps *s, const void *data, size_t len, char *why,
                    size_t why_len);
void tool_steps_done(struct tool_steps *s);

/* What follows the header of a message. */
struct vu_bytes tool_step_body(const struct tool_step *step);

/* The step as a record again: for tool_show_text() and its like. */
void tool_step_record(const struct tool_step *step, struct tool_record *record);

#endif
