/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The loop's conditions, and its one wait.
 */
#include "tools/until.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Messages that are served before looking up: a server that never pauses must not keep us
 * from noticing a signal. */
#define SERVED_AT_ONCE 64

int tool_until_options(struct tool_until *u, const struct tool_call *call)
{
    const char *count = tool_value(call, 'n'), *time = tool_value(call, 'f');

    *u = (struct tool_until){ .call = call, .stop_fd = -1, .for_ms = -1,
                              .max_count = UINT64_MAX };
    if (count != NULL && tool_number(count, "--count", UINT64_MAX, &u->max_count) != 0)
        return TOOL_USAGE;
    if (u->max_count == 0)
        return tool_misuse(call, "--count 0: there is nothing to wait for");
    if (time != NULL && tool_seconds(time, "--for", &u->for_ms) != 0)
        return TOOL_USAGE;
    return 0;
}

int tool_until_start(struct tool_until *u, struct vfuc_client *dev)
{
    u->dev = dev;
    u->stop_fd = tool_stop_fd();
    if (u->stop_fd == -1)
        return tool_fail(u->call, TOOL_FAILED, "eventfd: %s", strerror(errno));
    u->start_ns = tool_now_ns();
    return 0;
}

/* Of tool_now_ms(), when --for ends; -1: never. */
static int64_t end_ms(const struct tool_until *u)
{
    return u->for_ms < 0 ? -1 : (u->start_ns + 999999) / 1000000 + u->for_ms;
}

bool tool_until_over(const struct tool_until *u)
{
    return tool_stopped() || u->count >= u->max_count ||
           (u->for_ms >= 0 && tool_now_ms() >= end_ms(u)) || tool_output_lost();
}

static int serve(struct tool_until *u)
{
    int n = 1;

    for (int i = 0; i < SERVED_AT_ONCE && n > 0; i++)
        n = vfuc_dispatch(u->dev);
    u->more = n > 0;
    return n >= 0 ? 0 : tool_client_fail(u->call, u->dev, n, "waiting");
}

/* Milliseconds for poll(). */
static int time_left(const struct tool_until *u, int64_t due_ms)
{
    int64_t end = end_ms(u), left;

    if (u->more)
        return 0;
    if (due_ms < 0 || (end >= 0 && end < due_ms))
        due_ms = end;
    if (due_ms < 0)
        return -1;
    left = due_ms - tool_now_ms();
    return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

/* What came with the reply to a call of ours has been read, and wakes no poll(): it is
 * served first. */
int tool_until_wait(struct tool_until *u, int fd, int64_t due_ms)
{
    struct pollfd fds[] = {
        { .fd = u->stop_fd, .events = POLLIN },
        { .fd = vfuc_fd(u->dev), .events = POLLIN },
        { .fd = fd, .events = POLLIN },
        { .fd = STDOUT_FILENO },    /* a reader that leaves: tool_output_lost() */
    };
    int status = serve(u);

    if (status != 0)
        return status;
    if (poll(fds, 4, time_left(u, due_ms)) < 0 && errno != EINTR)
        return tool_fail(u->call, TOOL_FAILED, "poll: %s", strerror(errno));
    return 0;
}

int tool_until_verdict(const struct tool_until *u, int status, const char *what)
{
    if (status != 0 || u->max_count == UINT64_MAX || u->count >= u->max_count ||
        tool_stopped() || tool_output_lost())
        return status;
    return tool_fail(u->call, TOOL_REFUSED, "%" PRIu64 " of %" PRIu64 " %s came",
                     u->count, u->max_count, what);
}

double tool_until_seconds(const struct tool_until *u)
{
    return (double)(tool_now_ns() - u->start_ns) / 1e9;
}

struct json_object *tool_until_event(const struct tool_until *u, const char *event)
{
    struct json_object *object = tool_json_object();
    double seconds = tool_until_seconds(u);
    char text[40];

    snprintf(text, sizeof(text), "%.6f", seconds);
    tool_json_add(object, "event", tool_json_string(event));
    tool_json_add(object, "time", tool_json_double_as(seconds, text));
    return object;
}
