/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Eventfds between client and server: each of SET_IRQS becomes two, so that a signal can
 * be seen on its way.
 *
 * A line connects the eventfd that one side signals with the one that the other side
 * waits for. It is proposed with the command that brings it and counts once the server
 * has agreed; then it replaces the line that was there before.
 */
#ifndef TOOL_RELAY_IRQ_H
#define TOOL_RELAY_IRQ_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOOL_LINES_MAX 8192u

struct tool_line {
    uint32_t owner;         /* not 0: the command that brought it is not answered yet */
    uint32_t index, vector; /* of SET_IRQS */
    bool unmask;            /* signalled by the client */
    int from, to;           /* owned: is signalled; is told */
};

struct tool_lines {
    size_t n_lines, room;
    size_t next;                /* where to look first, so that each has its turn */
    struct tool_line *lines;    /* owned */
    struct pollfd *polled;      /* owned: as many, for tool_lines_take() */
};

/* A signal that came. */
struct tool_signal {
    uint32_t index, vector;
    bool unmask;
    uint64_t count;     /* what the eventfd held */
    size_t line;        /* for tool_lines_pass(); good until the lines change */
};

void tool_lines_done(struct tool_lines *l);

/*
 * Put a line between the client's eventfd `theirs` and the server. Returns the descriptor
 * to give to the server, which the caller closes; `theirs` is the line's then. -EINVAL:
 * it is no eventfd; -ENOSPC, -ENOMEM, -EMFILE: no more lines; it stays with the caller.
 */
int tool_lines_add(struct tool_lines *l, const struct tool_line *what, int theirs);

/* The server has answered the command `owner`: agreed, or not. */
void tool_lines_answered(struct tool_lines *l, uint32_t owner, bool agreed);

/* Vectors are de-assigned. */
void tool_lines_remove(struct tool_lines *l, uint32_t index, bool unmask, uint64_t start,
                       uint64_t count);

/* The next signal that has come, without waiting; false: none. */
bool tool_lines_take(struct tool_lines *l, struct tool_signal *signal);

/* Pass it on. False: who it is for does not take it (the counter is full). */
bool tool_lines_pass(struct tool_lines *l, const struct tool_signal *signal);

bool tool_is_eventfd(int fd);

#endif
