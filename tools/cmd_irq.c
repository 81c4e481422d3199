/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfu irq: assigns eventfds to the vectors of an interrupt index and prints what fires.
 *
 * An eventfd counts, and it is read when there is time to: a line may stand for several
 * interrupts, none is lost.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tools/poke.h"
#include "tools/until.h"

#define EVENTS_AT_ONCE 64
#define SECONDS_FOR_A_RATE 0.1      /* below, one would mean nothing */
#define SPARE_FDS      64       /* beside those for vectors */
#define LIBRARY_FDS    2        /* per vector, at most */

struct vector {
    uint64_t total, shown;      /* fired; at the last line of rates */
};

struct irq {
    const struct tool_call *call;
    struct vfuc_client *dev;    /* owned */
    struct tool_until until;    /* counts interrupts */
    const struct vfuc_irq *info;
    char name[32];              /* of the index */
    uint32_t first, count;      /* the vectors */
    struct vector *vectors;     /* owned */
    int epoll_fd;               /* owned: all of their eventfds */
    int interval_ms;            /* of rates; -1: none are shown */
    int64_t rates_ms;           /* when rates were shown last */
};

/* --------------------------------------------------------------- printing -- */

static void print_assigned(const struct irq *q)
{
    struct json_object *line;
    char last[32] = "";

    if (q->call->json) {
        line = tool_until_event(&q->until, "assigned");
        tool_json_add(line, "irq", tool_json_string(q->name));
        tool_json_add(line, "index", tool_json_number(q->info->index));
        tool_json_add(line, "first", tool_json_number(q->first));
        tool_json_add(line, "count", tool_json_number(q->count));
        (void)tool_print_json_line(q->call, line);
        return;
    }
    if (q->count > 1)
        snprintf(last, sizeof(last), " to %" PRIu32, q->first + q->count - 1);
    printf("%s: waiting for vector%s %" PRIu32 "%s of %" PRIu32 "\n", q->name,
           q->count > 1 ? "s" : "", q->first, last, q->info->num_vectors);
}

static void print_interrupt(const struct irq *q, uint32_t vector, uint64_t n)
{
    uint64_t total = q->vectors[vector - q->first].total;
    struct json_object *line;

    if (tool_given(q->call, 'q'))
        return;
    if (q->call->json) {
        line = tool_until_event(&q->until, "interrupt");
        tool_json_add(line, "irq", tool_json_string(q->name));
        tool_json_add(line, "index", tool_json_number(q->info->index));
        tool_json_add(line, "vector", tool_json_number(vector));
        tool_json_add(line, "count", tool_json_number(n));
        tool_json_add(line, "total", tool_json_number(total));
        (void)tool_print_json_line(q->call, line);
        return;
    }
    printf("%12.6f s  %s%s %" PRIu32 "%s  +%" PRIu64 "  total %" PRIu64 "\n",
           tool_until_seconds(&q->until), tool_color(q->call, TOOL_GREEN), q->name,
           vector, tool_color(q->call, TOOL_PLAIN), n, total);
}

static double rate(uint64_t n, double seconds)
{
    return seconds > 0 ? (double)n / seconds : 0;
}

/* One vector's part of a line of rates, or of the summary. */
static struct json_object *vector_json(uint32_t vector, uint64_t n, double seconds)
{
    struct json_object *object = tool_json_object();
    char text[48];

    snprintf(text, sizeof(text), "%.3f", rate(n, seconds));
    tool_json_add(object, "vector", tool_json_number(vector));
    tool_json_add(object, "count", tool_json_number(n));
    tool_json_add(object, "per_second",
                  tool_json_double_as(rate(n, seconds), text));
    return object;
}

static void print_rates(struct irq *q)
{
    double seconds = (double)(tool_now_ms() - q->rates_ms) / 1000;
    struct json_object *line = NULL, *array = NULL;
    bool any = false;

    if (q->call->json) {
        line = tool_until_event(&q->until, "rates");
        array = tool_json_array();
        tool_json_add(line, "vectors", array);
    }
    for (uint32_t i = 0; i < q->count; i++) {
        struct vector *v = &q->vectors[i];
        uint64_t n = v->total - v->shown;

        v->shown = v->total;
        if (n == 0)
            continue;
        if (line != NULL)
            tool_json_append(array, vector_json(q->first + i, n, seconds));
        else if (!any)
            printf("%12.6f s  rates:", tool_until_seconds(&q->until));
        if (line == NULL)
            printf("%s %s %" PRIu32 " %.1f/s", any ? "," : "", q->name, q->first + i,
                   rate(n, seconds));
        any = true;
    }
    if (line != NULL)
        (void)tool_print_json_line(q->call, line);
    else if (any)
        putchar('\n');
    q->rates_ms = tool_now_ms();
}

static void print_summary(const struct irq *q)
{
    double seconds = tool_until_seconds(&q->until);
    uint64_t total = q->until.count;
    struct json_object *line, *array;

    if (q->call->json) {
        line = tool_until_event(&q->until, "summary");
        array = tool_json_array();
        tool_json_add(line, "count", tool_json_number(total));
        tool_json_add(line, "vectors", array);
        for (uint32_t i = 0; i < q->count; i++)
            tool_json_append(array, vector_json(q->first + i, q->vectors[i].total,
                                                seconds));
        (void)tool_print_json_line(q->call, line);
        return;
    }
    printf("%s: %" PRIu64 " interrupt%s in %.1f s", q->name, total,
           total == 1 ? "" : "s", seconds);
    if (seconds >= SECONDS_FOR_A_RATE)
        printf(" (%.1f/s)", rate(total, seconds));
    putchar('\n');
    for (uint32_t i = 0; i < q->count; i++) {
        if (q->vectors[i].total != 0)
            printf("  vector %" PRIu32 ": %" PRIu64 "\n", q->first + i,
                   q->vectors[i].total);
    }
}

/* ------------------------------------------------------------- interrupts -- */

static int take(struct irq *q, uint32_t vector)
{
    uint64_t n;
    int err = vfuc_irq_wait(q->dev, q->info->index, vector, 0, &n);

    if (err == -ETIMEDOUT)
        return 0;   /* somebody else has read it; the connection stays */
    if (err != 0)
        return tool_client_fail(q->call, q->dev, err, "%s %" PRIu32, q->name, vector);
    q->vectors[vector - q->first].total += n;
    q->until.count += n;
    print_interrupt(q, vector, n);
    if ((q->info->flags & VFUC_IRQ_AUTOMASKED) == 0 || vfuc_fd(q->dev) == -1)
        return 0;
    err = vfuc_irq_unmask(q->dev, q->info->index, vector, 1);
    return err == 0 ? 0 : tool_client_fail(q->call, q->dev, err, "unmasking %s %" PRIu32,
                                           q->name, vector);
}

static int take_all(struct irq *q)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int status = 0, n = epoll_wait(q->epoll_fd, events, EVENTS_AT_ONCE, 0);

    if (n < 0 && errno != EINTR)
        return tool_fail(q->call, TOOL_FAILED, "epoll: %s", strerror(errno));
    for (int i = 0; status == 0 && i < n; i++)
        status = take(q, events[i].data.u32);
    return status;
}

static int wait_for_interrupts(struct irq *q)
{
    int status = 0, taken;

    q->rates_ms = tool_now_ms();
    while (status == 0 && !tool_until_over(&q->until)) {
        int64_t due_ms = q->interval_ms < 0 ? -1 : q->rates_ms + q->interval_ms;

        /* What fired before the server was lost counts, too. */
        status = tool_until_wait(&q->until, q->epoll_fd, due_ms);
        taken = take_all(q);
        if (status == 0)
            status = taken;
        if (due_ms >= 0 && tool_now_ms() >= due_ms)
            print_rates(q);
    }
    return status;
}

/* ----------------------------------------------------------------- set-up -- */

/* The soft limit on descriptors is often 1024, which has historical reasons only. */
static void raise_fd_limit(uint32_t vectors)
{
    rlim_t need = (rlim_t)vectors * LIBRARY_FDS + SPARE_FDS;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= need)
        return;
    limit.rlim_cur = limit.rlim_max < need ? limit.rlim_max : need;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* else the library says what is missing */
}

static int watch_vectors(struct irq *q)
{
    q->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (q->epoll_fd < 0)
        return tool_fail(q->call, TOOL_FAILED, "epoll: %s", strerror(errno));
    for (uint32_t i = 0; i < q->count; i++) {
        struct epoll_event event = { .events = EPOLLIN, .data.u32 = q->first + i };
        int fd = vfuc_irq_fd(q->dev, q->info->index, q->first + i);

        if (epoll_ctl(q->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
            return tool_fail(q->call, TOOL_FAILED, "epoll: %s", strerror(errno));
    }
    return 0;
}

static int assign(struct irq *q)
{
    int err;

    q->vectors = calloc(q->count, sizeof(*q->vectors));
    if (q->vectors == NULL)
        return tool_fail(q->call, TOOL_FAILED, "out of memory");
    raise_fd_limit(q->count);
    err = vfuc_irq_enable(q->dev, q->info->index, q->first, q->count);
    if (err != 0)
        return tool_client_fail(q->call, q->dev, err, "assigning eventfds to %s",
                                q->name);
    return watch_vectors(q);
}

/* What makes the device, or the server, fire. */
static int provoke(struct irq *q)
{
    int status = tool_pokes_write(q->call, q->dev), err;

    if (status != 0 || !tool_given(q->call, 'T'))
        return status;
    err = vfuc_irq_trigger(q->dev, q->info->index, q->first, q->count);
    return err == 0 ? 0
                    : tool_client_fail(q->call, q->dev, err, "triggering %s", q->name);
}

/* -------------------------------------------------------------- arguments -- */

/* The index that was asked for, or the best that the device has. */
static int find_index(struct irq *q)
{
    static const uint32_t best[] = { VFUC_PCI_MSIX, VFUC_PCI_MSI, VFUC_PCI_INTX };
    int n = vfuc_irq_count(q->dev), err = 0;
    uint32_t index;

    if (n < 0)
        return tool_client_fail(q->call, q->dev, n, "the device");
    if (q->call->argc > 1) {
        if (tool_irq(q->call->argv[1], &index) != 0)
            return TOOL_USAGE;
        err = vfuc_irq_info(q->dev, index, &q->info);
        return err == 0 ? 0 : tool_client_fail(q->call, q->dev, err, "%s",
                                               q->call->argv[1]);
    }
    for (size_t i = 0; i < sizeof(best) / sizeof(best[0]); i++) {
        if (best[i] >= (uint32_t)n)
            continue;
        err = vfuc_irq_info(q->dev, best[i], &q->info);
        if (err != 0)
            return tool_client_fail(q->call, q->dev, err, "the device's interrupts");
        if (q->info->num_vectors != 0)
            return 0;
    }
    return tool_fail(q->call, TOOL_REFUSED, "the device has neither MSI-X, MSI nor INTx");
}

/* "2" or "0-3" */
static int parse_vectors(const struct irq *q, const char *text, uint64_t *first,
                         uint64_t *last)
{
    size_t digits = strcspn(text, "-");
    char number[32];

    snprintf(number, sizeof(number), "%.*s", (int)digits, text);
    if (tool_number(number, "FIRST", UINT32_MAX, first) != 0)
        return TOOL_USAGE;
    *last = *first;
    if (text[digits] == '-' &&
        tool_number(text + digits + 1, "LAST", UINT32_MAX, last) != 0)
        return TOOL_USAGE;
    if (*last < *first)
        return tool_misuse(q->call, "vectors %s: the last one comes first", text);
    return 0;
}

static int find_vectors(struct irq *q)
{
    uint64_t first = 0, last;

    tool_irq_name(q->info->index, q->name, sizeof(q->name));
    if (q->info->num_vectors == 0)
        return tool_fail(q->call, TOOL_REFUSED, "the device has no %s", q->name);
    if ((q->info->flags & VFUC_IRQ_EVENTFD) == 0)
        return tool_fail(q->call, TOOL_REFUSED, "%s: the server signals no eventfds",
                         q->name);
    last = q->info->num_vectors - 1;
    if (q->call->argc > 2 &&
        parse_vectors(q, q->call->argv[2], &first, &last) != 0)
        return TOOL_USAGE;
    if (last >= q->info->num_vectors)
        return tool_misuse(
            q->call, "%s has no vector %" PRIu64 ": there %s %" PRIu32 ", from 0 on",
            q->name, last, q->info->num_vectors == 1 ? "is" : "are",
            q->info->num_vectors);
    q->first = (uint32_t)first;
    q->count = (uint32_t)(last - first + 1);
    return 0;
}

static int read_options(struct irq *q)
{
    const char *interval = tool_value(q->call, 'i');
    int status = tool_until_options(&q->until, q->call);

    if (status == 0)
        status = tool_pokes_check(q->call);
    if (status != 0)
        return status;
    q->interval_ms = tool_given(q->call, 'q') ? 1000 : -1;
    if (interval != NULL && tool_seconds(interval, "--interval", &q->interval_ms) != 0)
        return TOOL_USAGE;
    if (q->interval_ms == 0)
        return tool_misuse(q->call, "--interval 0: in no time there is no rate");
    return 0;
}

static int watch(struct irq *q)
{
    int status = find_index(q);

    if (status == 0)
        status = find_vectors(q);
    if (status == 0)
        status = tool_pokes_fit(q->call, q->dev);
    if (status == 0)
        status = assign(q);
    if (status == 0)
        status = tool_until_start(&q->until, q->dev);
    if (status != 0)
        return status;
    print_assigned(q);
    status = provoke(q);
    if (status == 0)
        status = wait_for_interrupts(q);
    print_summary(q);
    return tool_until_verdict(&q->until, status, "interrupts");
}

static int run(struct tool_call *call)
{
    struct irq q = { .call = call, .epoll_fd = -1 };
    int status = read_options(&q);

    if (status == 0)
        status = tool_connect(call, call->argv[0], NULL, &q.dev);
    if (status != 0)
        return status;
    status = watch(&q);
    if (q.epoll_fd != -1)
        close(q.epoll_fd);
    free(q.vectors);
    vfuc_close(q.dev);
    return status;
}

static const struct tool_option options[] = {
    TOOL_UNTIL_COUNT_OPTION("interrupts"),
    TOOL_UNTIL_FOR_OPTION,
    { 'i', "interval", "SECONDS", "print rates so often [1 with --quiet, else not]" },
    { 'q', "quiet", NULL, "print rates and summary, not each interrupt" },
    TOOL_POKE_OPTION,
    { 'T', "trigger", NULL, "then have the server fire all of the vectors once" },
    { 0 },
};

const struct tool_command tool_cmd_irq = {
    .name = "irq",
    .usage = "SOCKET [INDEX [FIRST[-LAST]]]",
    .summary = "assign eventfds to interrupts and print them as they fire",
    .about =
        "INDEX is intx, msi, msix, err, req or a number; by default the best that the\n"
        "device has: msix, msi, intx. All of its vectors are watched, or FIRST to\n"
        "LAST, until SIGINT (Ctrl-C), --for or --count. Interrupts that are masked\n"
        "when they fire (INTx) are unmasked again.",
    .options = options,
    .min_args = 1,
    .max_args = 3,
    .json = true,
    .run = run,
};
