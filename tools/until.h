/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Running until it is over, for `vfu irq` and `vfu dma`: until a signal, --for SECONDS or
 * --count N, or until nobody reads the output. Meanwhile the server's requests are
 * served.
 */
#ifndef TOOL_UNTIL_H
#define TOOL_UNTIL_H

#include "tools/tool.h"

#define TOOL_UNTIL_COUNT_OPTION(what) { 'n', "count", "N", "end after so many " what }
#define TOOL_UNTIL_FOR_OPTION \
    { 'f', "for", "SECONDS", "end after this time, whatever has happened" }

struct tool_until {
    const struct tool_call *call;
    struct vfuc_client *dev;    /* lent */
    int stop_fd;                /* the frame's */
    int for_ms;                 /* -1: no end */
    uint64_t count, max_count;  /* of what --count counts; UINT64_MAX: no end */
    int64_t start_ns;
    bool more;                  /* the server sent more than was served so far */
};

/* Read the options. 0, or TOOL_USAGE after a sentence. */
int tool_until_options(struct tool_until *u, const struct tool_call *call);

/* Time begins, and signals no longer end the program. 0, or an exit code. */
int tool_until_start(struct tool_until *u, struct vfuc_client *dev);

bool tool_until_over(const struct tool_until *u);

/*
 * Wait until it is over, `fd` (-1: none) is readable, or `due_ms` of tool_now_ms() has
 * come (-1: never), whichever is first; serves the server. 0, or an exit code.
 */
int tool_until_wait(struct tool_until *u, int fd, int64_t due_ms);

/* At the end: `status`, or TOOL_REFUSED after a sentence when --count was not reached
 * though nobody ended it. what: "interrupts". */
int tool_until_verdict(const struct tool_until *u, int status, const char *what);

/* Since the start. */
double tool_until_seconds(const struct tool_until *u);

/* A line of JSON that begins with the kind of event and the time. */
struct json_object *tool_until_event(const struct tool_until *u, const char *event);

#endif
