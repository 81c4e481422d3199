/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Playing the client's part of a recording against a server.
 *
 * The client's messages are sent as they were, with new descriptors of the same kind and
 * size. Before each, everything that the recording has ahead of it must have come:
 * replies, signals, the device's changes to shared memory. Commands of the server are
 * answered with what the client answered, as soon as they come.
 */
#ifndef TOOL_REPLAY_H
#define TOOL_REPLAY_H

#include <sys/un.h>

#include "tools/replay_compare.h"

/* What was not as recorded. */
struct tool_difference {
    size_t number;                      /* of the record, from 1 */
    const struct tool_step *command;    /* that was answered, or NULL */
    const struct tool_step *recorded;   /* NULL: nothing was recorded */
    const struct tool_got *got;         /* NULL: nothing came */
    const char *why;                    /* a sentence */
};

struct tool_replay {
    /* Set by the caller. */
    struct sockaddr_un server;
    struct tool_steps steps;
    struct tool_compare compare;
    uint32_t session;       /* only this one; 0: all */
    bool recorded_speed;    /* else as fast as the server answers */
    int timeout_ms;         /* of each wait, beside the time that it took; -1: for ever */
    int stop_fd;            /* readable: end; lent */
    void (*on_difference)(void *ctx, const struct tool_difference *difference);
    void *ctx;

    /* Counted. */
    uint64_t messages, replies, same, differ;
};

/* 0: the recording was played to its end, whatever the differences; -ETIMEDOUT,
 * -ECONNRESET and what connect() says: the server does not go on, with a sentence in why;
 * -EINTR: stop_fd; -ENOMEM, -EMFILE, ...: a failure of ours. */
int tool_replay(struct tool_replay *replay, char *why, size_t why_len);

#endif
