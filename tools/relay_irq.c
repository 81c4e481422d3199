/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Eventfds between client and server: see tools/relay_irq.h.
 *
 * The client's eventfd may be a blocking one, and its flags belong to the client. So each
 * read and write of it follows a poll(); should somebody be faster than us after that, a
 * timer's signal ends the wait.
 */
#include "tools/relay_irq.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

#define PATIENCE_US 100000 /* for one access to a client's eventfd */

bool tool_is_eventfd(int fd)
{
    char path[32], link[32];
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    n = readlink(path, link, sizeof(link) - 1);
    link[n < 0 ? 0 : n] = '\0';
    return strcmp(link, "anon_inode:[eventfd]") == 0;
}

static void close_line(const struct tool_line *line)
{
    close(line->from);
    close(line->to);
}

void tool_lines_done(struct tool_lines *l)
{
    for (size_t i = 0; i < l->n_lines; i++)
        close_line(&l->lines[i]);
    free(l->lines);
    free(l->polled);
    *l = (struct tool_lines){ 0 };
}

static int make_room(struct tool_lines *l)
{
    size_t room = l->room == 0 ? 32 : 2 * l->room;
    struct tool_line *lines;
    struct pollfd *polled;

    if (l->n_lines < l->room)
        return 0;
    if (l->n_lines >= TOOL_LINES_MAX)
        return -ENOSPC;
    lines = realloc(l->lines, room * sizeof(*lines));
    if (lines == NULL)
        return -ENOMEM;
    l->lines = lines;
    polled = realloc(l->polled, room * sizeof(*polled));
    if (polled == NULL)
        return -ENOMEM;
    l->polled = polled;
    l->room = room;
    return 0;
}

int tool_lines_add(struct tool_lines *l, const struct tool_line *what, int theirs)
{
    struct tool_line line = *what;
    int ours, given, err;

    if (!tool_is_eventfd(theirs))
        return -EINVAL;
    err = make_room(l);
    if (err != 0)
        return err;
    ours = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    given = ours == -1 ? -1 : fcntl(ours, F_DUPFD_CLOEXEC, 0);
    if (given == -1) {
        err = -errno;
        if (ours != -1)
            close(ours);
        return err;
    }
    line.from = line.unmask ? theirs : ours;
    line.to = line.unmask ? ours : theirs;
    l->lines[l->n_lines++] = line;
    return given;
}

/* Close line i; the last one takes its place. */
static void drop(struct tool_lines *l, size_t i)
{
    close_line(&l->lines[i]);
    l->lines[i] = l->lines[--l->n_lines];
}

/* Does an agreed line have a successor among those that `owner` proposes? */
static bool replaced(const struct tool_lines *l, const struct tool_line *old,
                     uint32_t owner)
{
    for (size_t i = 0; i < l->n_lines; i++) {
        const struct tool_line *new = &l->lines[i];

        if (new->owner == owner &&new->index == old->index &&new->vector ==
            old->vector &&new->unmask == old->unmask)
            return true;
    }
    return false;
}

void tool_lines_answered(struct tool_lines *l, uint32_t owner, bool agreed)
{
    for (size_t i = l->n_lines; i-- > 0;) {
        const struct tool_line *line = &l->lines[i];

        if (agreed ? line->owner == 0 && replaced(l, line, owner) : line->owner == owner)
            drop(l, i);
    }
    for (size_t i = 0; i < l->n_lines; i++) {
        if (l->lines[i].owner == owner)
            l->lines[i].owner = 0;
    }
}

void tool_lines_remove(struct tool_lines *l, uint32_t index, bool unmask, uint64_t start,
                       uint64_t count)
{
    for (size_t i = l->n_lines; i-- > 0;) {
        const struct tool_line *line = &l->lines[i];

        if (line->owner == 0 && line->index == index && line->unmask == unmask &&
            line->vector >= start && line->vector - start < count)
            drop(l, i);
    }
}

/* ---------------------------------------------------------------- signals -- */

static void on_alarm(int signal_number)
{
    (void)signal_number;    /* to end a read() or write() is all */
}

static void set_alarm(int us)
{
    struct itimerval when = { .it_value.tv_usec = us, .it_interval.tv_usec = us };

    setitimer(ITIMER_REAL, &when, NULL);
}

static bool is_ready(int fd, short events)
{
    struct pollfd p = { .fd = fd, .events = events };

    return poll(&p, 1, 0) == 1 && (p.revents & events) != 0;
}

/* Read or write the counter; false: not now. */
static bool access_counter(int fd, bool writing, uint64_t *count)
{
    struct sigaction action = { .sa_handler = on_alarm }, before;
    ssize_t n;

    if (!is_ready(fd, writing ? POLLOUT : POLLIN))
        return false;
    sigaction(SIGALRM, &action, &before);
    set_alarm(PATIENCE_US);
    n = writing ? write(fd, count, sizeof(*count)) : read(fd, count, sizeof(*count));
    set_alarm(0);
    sigaction(SIGALRM, &before, NULL);
    return n == sizeof(*count);
}

bool tool_lines_take(struct tool_lines *l, struct tool_signal *signal)
{
    if (l->n_lines == 0)
        return false;
    for (size_t i = 0; i < l->n_lines; i++)
        l->polled[i] = (struct pollfd){ .fd = l->lines[i].from, .events = POLLIN };
    if (poll(l->polled, l->n_lines, 0) <= 0)
        return false;
    for (size_t turn = 0; turn < l->n_lines; turn++) {
        size_t i = (l->next + turn) % l->n_lines;
        const struct tool_line *line = &l->lines[i];
        uint64_t count;

        if ((l->polled[i].revents & POLLIN) == 0 ||
            !access_counter(line->from, false, &count))
            continue;
        *signal = (struct tool_signal){ .index = line->index,
                                        .vector = line->vector,
                                        .unmask = line->unmask,
                                        .count = count,
                                        .line = i };
        l->next = i + 1;
        return true;
    }
    return false;
}

bool tool_lines_pass(struct tool_lines *l, const struct tool_signal *signal)
{
    uint64_t count = signal->count;

    return access_counter(l->lines[signal->line].to, true, &count);
}
