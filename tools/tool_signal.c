/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ending on request, and the clock.
 *
 * The first SIGINT or SIGTERM makes a descriptor readable, and the command comes to its
 * end; a second one ends the program where it stands, which may be a wait without limit.
 */
#include "tools/tool.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static int stop_fd = -1;

static void on_stop(int signal_number)
{
    const uint64_t one = 1;
    int saved = errno;

    (void)signal_number;
    /* It cannot fail: nobody reads the counter, and two signals do not fill it. */
    if (write(stop_fd, &one, sizeof(one)) != sizeof(one))
        _exit(TOOL_FAILED);
    errno = saved;
}

int tool_stop_fd(void)
{
    struct sigaction action = { .sa_handler = on_stop, .sa_flags = SA_RESETHAND };

    if (stop_fd != -1)
        return stop_fd;
    stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (stop_fd == -1)
        return -1;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return stop_fd;
}

bool tool_stopped(void)
{
    struct pollfd p = { .fd = stop_fd, .events = POLLIN };

    return stop_fd != -1 && poll(&p, 1, 0) == 1;
}

int64_t tool_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t tool_now_ms(void)
{
    return tool_now_ns() / 1000000;
}
