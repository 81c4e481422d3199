/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfu watch: reads registers again and again, and prints what has changed.
 *
 * The schedule is fixed from the start: a slow answer delays a round, not all later ones;
 * rounds that are missed are left out.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/access.h"
#include "tools/poke.h"

#define DEFAULT_WIDTH 4

struct watched {
    uint64_t offset;
    unsigned width;
    uint64_t value;
    bool known;
};

struct watch {
    struct tool_access access;
    struct watched *registers;  /* owned */
    int n_registers;
    int interval_ms;
    uint64_t max_changes;       /* UINT64_MAX: no end */
    uint64_t n_rounds, n_changes;
};

/* --------------------------------------------------------------- printing -- */

static void time_text(char *buf, size_t len, struct timespec now)
{
    struct tm tm;
    char day[32];

    localtime_r(&now.tv_sec, &tm);
    strftime(day, sizeof(day), "%H:%M:%S", &tm);
    snprintf(buf, len, "%s.%03ld", day, now.tv_nsec / 1000000);
}

static void print_text(const struct watch *w, const struct watched *r, uint64_t value,
                       struct timespec now)
{
    const struct tool_call *call = w->access.call;
    int digits = 2 * (int)r->width;
    char time[64];

    time_text(time, sizeof(time), now);
    printf("%s  %s+0x%" PRIx64, time, w->access.name, r->offset);
    if (r->known)
        printf("  0x%0*" PRIx64 " -> %s0x%0*" PRIx64 "%s\n", digits, r->value,
               tool_color(call, TOOL_YELLOW), digits, value,
               tool_color(call, TOOL_PLAIN));
    else
        printf("  0x%0*" PRIx64 "\n", digits, value);
}

static void print_json(const struct watch *w, const struct watched *r, uint64_t value,
                       struct timespec now)
{
    struct json_object *object = tool_json_object();
    double seconds = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
    char text[40];

    snprintf(text, sizeof(text), "%.3f", seconds);
    tool_json_add(object, "time", tool_json_double_as(seconds, text));
    tool_json_add(object, "region", tool_json_string(w->access.name));
    tool_json_add(object, "offset", tool_json_number(r->offset));
    tool_json_add(object, "width", tool_json_number(r->width));
    tool_json_add(object, "value", tool_json_number(value));
    if (r->known)
        tool_json_add(object, "previous", tool_json_number(r->value));
    (void)tool_print_json_line(w->access.call, object);     /* the loop notices */
}

static void print_summary(const struct watch *w, int64_t started_ms)
{
    double seconds = (double)(tool_now_ms() - started_ms) / 1000;

    if (w->access.call->json)
        return;
    printf("%" PRIu64 " change%s in %" PRIu64 " round%s, %.1f s\n", w->n_changes,
           w->n_changes == 1 ? "" : "s", w->n_rounds, w->n_rounds == 1 ? "" : "s",
           seconds);
}

/* ---------------------------------------------------------------- rounds -- */

static int read_register(struct watch *w, struct watched *r)
{
    uint8_t bytes[8];
    struct timespec now;
    uint64_t value;
    int status;

    w->access.width = r->width;
    status = tool_access_read(&w->access, r->offset, bytes, r->width);
    if (status != 0)
        return status;
    value = tool_get_le(bytes, r->width);
    if (r->known && value == r->value)
        return 0;
    clock_gettime(CLOCK_REALTIME, &now);
    if (w->access.call->json)
        print_json(w, r, value, now);
    else
        print_text(w, r, value, now);
    w->n_changes += r->known;
    r->value = value;
    r->known = true;
    return 0;
}

static int do_round(struct watch *w)
{
    int status = 0;

    for (int i = 0; status == 0 && i < w->n_registers; i++) {
        if (w->n_changes < w->max_changes)
            status = read_register(w, &w->registers[i]);
    }
    w->n_rounds++;
    return status;
}

/* What the server asks between rounds is answered; that it has left is noticed. */
static int serve(struct watch *w)
{
    int n;

    do
        n = vfuc_dispatch(w->access.dev);
    while (n > 0);
    return n == 0 ? 0 : tool_client_fail(w->access.call, w->access.dev, n, "waiting");
}

/* Until `due`, or a signal. What came with the reply to a read has been read, too, and
 * wakes no poll(): it is served first. */
static int wait_until(struct watch *w, int stop_fd, int64_t due_ms)
{
    struct pollfd fds[] = {
        { .fd = stop_fd, .events = POLLIN },
        { .fd = vfuc_fd(w->access.dev), .events = POLLIN },
        { .fd = STDOUT_FILENO },    /* a reader that leaves: tool_output_lost() */
    };
    int status = serve(w);

    while (status == 0 && !tool_stopped()) {
        int64_t left = due_ms - tool_now_ms();
        int n;

        if (left <= 0)
            break;
        n = poll(fds, 3, (int)left);
        if (n < 0 && errno != EINTR)
            return tool_fail(w->access.call, TOOL_FAILED, "poll: %s", strerror(errno));
        if (n > 0 && fds[1].revents != 0)
            status = serve(w);
        if (n > 0 && fds[2].revents != 0)
            break;
    }
    return status;
}

static int watch(struct watch *w)
{
    int64_t started_ms = tool_now_ms(), due_ms = started_ms;
    int stop_fd = tool_stop_fd(), status;

    if (stop_fd == -1)
        return tool_fail(w->access.call, TOOL_FAILED, "eventfd: %s", strerror(errno));
    do {
        int64_t now_ms;

        status = do_round(w);
        if (status != 0 || tool_output_lost() || w->n_changes >= w->max_changes)
            break;
        if (w->n_rounds == 1 && tool_given(w->access.call, TOOL_POKE_LETTER)) {
            status = tool_pokes_write(w->access.call, w->access.dev);
            continue;
        }
        now_ms = tool_now_ms();
        due_ms += w->interval_ms;
        if (due_ms < now_ms && w->interval_ms > 0)
            due_ms += (now_ms - due_ms) / w->interval_ms * w->interval_ms;
        status = wait_until(w, stop_fd, due_ms);
    } while (status == 0 && !tool_stopped() && !tool_output_lost());
    print_summary(w, started_ms);
    return status;
}

/* -------------------------------------------------------------- arguments -- */

/* "0x10" or "0x10:8" */
static int read_place(const struct watch *w, const char *text, struct watched *r)
{
    const struct tool_call *call = w->access.call;
    const char *colon = strchr(text, ':');
    char offset[32];

    r->width = DEFAULT_WIDTH;
    snprintf(offset, sizeof(offset), "%.*s", (int)strcspn(text, ":"), text);
    if (tool_number(offset, "OFFSET", UINT64_MAX, &r->offset) != 0)
        return TOOL_USAGE;
    if (colon != NULL && tool_width(call, colon + 1, &r->width) != 0)
        return TOOL_USAGE;
    return tool_access_check(&w->access, r->offset, r->width);
}

static int read_places(struct watch *w)
{
    const struct tool_call *call = w->access.call;
    int status = 0;

    w->n_registers = call->argc - 2;
    w->registers = calloc((size_t)w->n_registers, sizeof(*w->registers));
    if (w->registers == NULL)
        return tool_fail(call, TOOL_FAILED, "out of memory");
    for (int i = 0; status == 0 && i < w->n_registers; i++)
        status = read_place(w, call->argv[2 + i], &w->registers[i]);
    return status;
}

static int read_options(struct watch *w, const struct tool_call *call)
{
    const char *interval = tool_value(call, 'i'), *count = tool_value(call, 'n');
    int status = tool_pokes_check(call);

    if (status != 0)
        return status;
    if (interval != NULL && tool_seconds(interval, "--interval", &w->interval_ms) != 0)
        return TOOL_USAGE;
    if (w->interval_ms < 0)
        return tool_misuse(call,
                           "--interval: registers that are never read do not change");
    if (count != NULL && tool_number(count, "--count", UINT64_MAX, &w->max_changes) != 0)
        return TOOL_USAGE;
    if (w->max_changes == 0)
        return tool_misuse(call, "--count 0: there is nothing to wait for");
    return 0;
}

static int run(struct tool_call *call)
{
    struct watch w = { .interval_ms = 1000, .max_changes = UINT64_MAX };
    uint32_t index;
    int status = read_options(&w, call);

    if (status != 0)
        return status;
    if (tool_region(call->argv[1], &index) != 0)
        return TOOL_USAGE;
    status = tool_access_open(&w.access, call, index);
    if (status == 0)
        status = read_places(&w);
    if (status == 0)
        status = tool_pokes_fit(call, w.access.dev);
    if (status == 0)
        status = watch(&w);
    tool_access_done(&w.access);
    free(w.registers);
    return status;
}

static const struct tool_option options[] = {
    { 'i', "interval", "SECONDS", "time between two rounds [1]" },
    { 'n', "count", "N", "end after so many changes" },
    TOOL_POKE_OPTION,
    { 0 },
};

const struct tool_command tool_cmd_watch = {
    .name = "watch",
    .usage = "SOCKET REGION OFFSET[:WIDTH]...",
    .summary = "print registers as they change",
    .about =
        "Reads all of them in rounds, prints each change with the time, and ends after\n"
        "--count changes or on SIGINT (Ctrl-C). WIDTH is 1, 2, 4 (default) or 8 bytes.\n"
        "What --write says is written after the first round; a second follows at once.",
    .options = options,
    .min_args = 3,
    .max_args = -1,
    .json = true,
    .run = run,
};
