/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Samples, their statistics, and the echo: see bench.h.
 */
#include "tools/bench.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---------------------------------------------------------------- samples -- */

int tool_samples_init(struct tool_samples *s, size_t room)
{
    memset(s, 0, sizeof(*s));
    s->ns = calloc(room, sizeof(*s->ns));
    s->room = room;
    return s->ns == NULL ? -ENOMEM : 0;
}

void tool_samples_done(struct tool_samples *s)
{
    free(s->ns);
    memset(s, 0, sizeof(*s));
}

void tool_samples_add(struct tool_samples *s, uint64_t ns)
{
    if (s->n < s->room)
        s->ns[s->n++] = ns;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static int by_double(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

void tool_samples_end_round(struct tool_samples *s)
{
    uint64_t *begin = s->ns + s->round_begin;
    size_t n = s->n - s->round_begin;

    if (n > 0 && s->n_rounds < TOOL_BENCH_ROUNDS) {
        uint64_t *middle = begin + n / 2;

        qsort(begin, n, sizeof(*begin), by_value);
        s->round_median[s->n_rounds++] = (double)*middle;
    }
    s->round_begin = s->n;
}

void tool_samples_sort(struct tool_samples *s)
{
    qsort(s->ns, s->n, sizeof(*s->ns), by_value);
}

uint64_t tool_samples_at(const struct tool_samples *s, double share)
{
    size_t i = (size_t)(share * (double)s->n);

    if (s->n == 0)
        return 0;
    return s->ns[i < s->n ? i : s->n - 1];
}

bool tool_samples_ratio(const struct tool_samples *a, const struct tool_samples *b,
                        double quartiles[3])
{
    double ratio[TOOL_BENCH_ROUNDS];
    size_t n = 0;

    for (size_t i = 0; i < a->n_rounds && i < b->n_rounds; i++) {
        if (b->round_median[i] > 0)
            ratio[n++] = a->round_median[i] / b->round_median[i];
    }
    if (n == 0)
        return false;
    qsort(ratio, n, sizeof(*ratio), by_double);
    quartiles[0] = ratio[n / 4];
    quartiles[1] = ratio[n / 2];
    quartiles[2] = ratio[n - 1 - n / 4];
    return true;
}

/* ------------------------------------------------------------------- echo -- */

static bool read_all(int fd, uint8_t *to, size_t len)
{
    while (len > 0) {
        ssize_t n = read(fd, to, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        to += n;
        len -= (size_t)n;
    }
    return true;
}

static bool write_all(int fd, const uint8_t *from, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, from, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        from += n;
        len -= (size_t)n;
    }
    return true;
}

/* A turn is `there` bytes of which the first 8 say how long both are. One read suffices
 * unless the message is larger than what the socket hands out at once. */
static void echo_loop(int fd, uint8_t *buf)
{
    for (;;) {
        ssize_t n = read(fd, buf, TOOL_ECHO_MAX);
        uint32_t size[2];

        if (n < 0 && errno == EINTR)
            continue;
        if (n < (ssize_t)sizeof(size))
            return;
        memcpy(size, buf, sizeof(size));
        if (size[0] > TOOL_ECHO_MAX || size[1] > TOOL_ECHO_MAX || size[0] < (size_t)n)
            return;
        if (!read_all(fd, buf + n, size[0] - (size_t)n) || !write_all(fd, buf, size[1]))
            return;
    }
}

int tool_echo_start(struct tool_echo *echo)
{
    int ends[2];

    *echo = (struct tool_echo){ .fd = -1, .pid = -1 };
    echo->buf = calloc(1, TOOL_ECHO_MAX);
    if (echo->buf == NULL)
        return -ENOMEM;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
        free(echo->buf);
        echo->buf = NULL;
        return -errno;
    }
    echo->pid = fork();
    if (echo->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ends[0]);
        echo_loop(ends[1], echo->buf);
        _exit(0);
    }
    close(ends[1]);
    echo->fd = ends[0];
    return echo->pid < 0 ? -EAGAIN : 0;
}

void tool_echo_stop(struct tool_echo *echo)
{
    if (echo->fd >= 0)
        close(echo->fd);
    if (echo->pid > 0) {
        kill(echo->pid, SIGKILL);
        waitpid(echo->pid, NULL, 0);
    }
    free(echo->buf);
    *echo = (struct tool_echo){ .fd = -1, .pid = -1 };
}

int tool_echo_turn(struct tool_echo *echo, size_t there, size_t back)
{
    uint32_t size[2] = { (uint32_t)there, (uint32_t)back };

    if (there < sizeof(size) || there > TOOL_ECHO_MAX || back > TOOL_ECHO_MAX)
        return -EINVAL;
    memcpy(echo->buf, size, sizeof(size));
    if (!write_all(echo->fd, echo->buf, there) || !read_all(echo->fd, echo->buf, back))
        return -EPIPE;
    return 0;
}
