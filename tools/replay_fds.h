/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The descriptors of a replayed session: those made in place of the client's, and those
 * that the server sent.
 */
#ifndef TOOL_REPLAY_FDS_H
#define TOOL_REPLAY_FDS_H

#include "tools/steps.h"

/* A file by its number in the recording. */
struct tool_replay_file {
    uint64_t number;
    int fd; /* owned */
};

/* An eventfd that was assigned, ours to wait for (or, unmasking, to signal). */
struct tool_replay_slot {
    uint32_t index, vector;
    bool unmask;
    uint64_t left;  /* signals that came and were not expected yet */
    int fd;         /* owned */
};

struct tool_replay_fds {
    size_t n_files, files_room, n_slots, slots_room, n_kept, kept_room;
    struct tool_replay_file *files; /* owned */
    struct tool_replay_slot *slots; /* owned */
    int *kept;                      /* owned: other ends of pipes and the like */
};

void tool_replay_fds_done(struct tool_replay_fds *f);

/* The file with that number, or -1. */
int tool_replay_file(const struct tool_replay_fds *f, uint64_t number);
/* The same, made with `size` bytes when it is not there. Negative errno. */
int tool_replay_file_make(struct tool_replay_fds *f, uint64_t number, uint64_t size);
/* A file that the server sent; fd is taken over. 0 or negative errno. */
int tool_replay_file_set(struct tool_replay_fds *f, uint64_t number, int fd);

/* Descriptors for a message of the client, `step->n_fds` of them, which the caller
 * closes. What is needed later is kept here. 0 or negative errno, with nothing made. */
int tool_replay_fds_make(struct tool_replay_fds *f, const struct tool_step *step,
                         int *fds);

/* Has the event's vector been signalled as often as recorded? If so those are taken;
 * *came tells how often it was. */
bool tool_replay_signalled(struct tool_replay_fds *f, const struct tool_step *event,
                           uint64_t *came);

/* Signal the eventfd for unmasking. False: none was assigned. */
bool tool_replay_signal(struct tool_replay_fds *f, const struct tool_step *event);

/* Signals that were not recorded: of the first such vector, into *slot. */
bool tool_replay_surplus(struct tool_replay_fds *f, struct tool_replay_slot *slot);

#endif
