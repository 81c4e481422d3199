/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfu replay: does a server still say what it said when it was recorded?
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "tools/recfile.h"
#include "tools/replay.h"
#include "tools/show.h"
#include "tools/tool.h"
#include "wire/text.h"

struct context {
    const struct tool_call *call;
    struct json_object *differences;    /* owned; with --json */
    struct tool_record record;          /* of the step that is being shown */
};

/* -------------------------------------------------------------- arguments -- */

/* "bar0:0x10-0x13": bytes that may be anything. "bar0:4" is one byte, "bar0" all. */
static int parse_ignored(const struct tool_call *call, char *text, struct tool_ignored *g)
{
    char *range = strchr(text, ':');
    char *last;

    *g = (struct tool_ignored){ .last = UINT64_MAX };
    if (range != NULL)
        *range++ = '\0';
    if (tool_region(text, &g->region) != 0)
        return TOOL_USAGE;
    if (range == NULL)
        return TOOL_OK;
    last = strchr(range, '-');
    if (last != NULL)
        *last++ = '\0';
    if (tool_number(range, "--ignore", UINT64_MAX, &g->first) != 0 ||
        tool_number(last ? last : range, "--ignore", UINT64_MAX, &g->last) != 0)
        return TOOL_USAGE;
    if (g->last < g->first)
        return tool_misuse(call, "--ignore: a range ends before it begins");
    return TOOL_OK;
}

static int parse_all_ignored(const struct tool_call *call, struct tool_compare *how)
{
    char *list, *at, *item;
    int code = TOOL_OK;

    if (!tool_given(call, 'i'))
        return TOOL_OK;
    list = at = strdup(tool_value(call, 'i'));
    if (list == NULL)
        return tool_fail(call, TOOL_FAILED, "no memory");
    while (code == TOOL_OK && (item = strsep(&at, ",")) != NULL) {
        if (how->n_ignored == TOOL_IGNORED_MAX)
            code =
                tool_misuse(call, "--ignore takes at most %u ranges", TOOL_IGNORED_MAX);
        else
            code = parse_ignored(call, item, &how->ignored[how->n_ignored++]);
    }
    free(list);
    return code;
}

static int parse(const struct tool_call *call, struct tool_replay *replay)
{
    const char *path = call->argv[0];
    uint64_t session = 0;

    if (strlen(path) == 0 || strlen(path) >= sizeof(replay->server.sun_path))
        return tool_misuse(call, "\"%s\" is no path that a socket can have", path);
    replay->server.sun_family = AF_UNIX;
    memcpy(replay->server.sun_path, path, strlen(path) + 1);
    if (tool_given(call, 's') &&
        tool_number(tool_value(call, 's'), "--session", UINT32_MAX, &session) != 0)
        return TOOL_USAGE;
    replay->session = (uint32_t)session;
    if (tool_given(call, 'r')) {
        replay->recorded_speed = strcmp(tool_value(call, 'r'), "recorded") == 0;
        if (!replay->recorded_speed && strcmp(tool_value(call, 'r'), "max") != 0)
            return tool_misuse(call, "--speed is \"recorded\" or \"max\"");
    }
    replay->timeout_ms = call->timeout_ms;
    replay->compare.loose = tool_given(call, 'l');
    replay->compare.strict = tool_given(call, 'S');
    if (replay->compare.loose && replay->compare.strict)
        return tool_misuse(call, "--loose and --strict exclude each other");
    return parse_all_ignored(call, &replay->compare);
}

/* ------------------------------------------------------------- differences -- */

static const char *step_text(struct context *c, const struct tool_step *step, char *line)
{
    tool_step_record(step, &c->record);
    return tool_show_message(line, TOOL_SHOW_MAX, &c->record);
}

static const char *got_text(const struct tool_got *got, char *line)
{
    size_t len;

    vu_text(line, TOOL_SHOW_MAX, &got->h, got->body.data, got->body.len, NULL, 0);
    len = strlen(line);
    if (got->n_fds != 0)
        snprintf(line + len, TOOL_SHOW_MAX - len, " (%zu descriptors)", got->n_fds);
    return line;
}

static void add_line(struct context *c, struct json_object *o, const char *name,
                     const char *text)
{
    if (o != NULL)
        tool_json_add(o, name, tool_json_string(text));
    else
        printf("  %-9s %s%s%s\n", name,
               strcmp(name, "got") == 0 ? tool_color(c->call, TOOL_RED) : "", text,
               strcmp(name, "got") == 0 ? tool_color(c->call, TOOL_PLAIN) : "");
}

static void on_difference(void *ctx, const struct tool_difference *d)
{
    struct context *c = ctx;
    struct json_object *o = c->call->json ? tool_json_object() : NULL;
    char line[TOOL_SHOW_MAX];

    if (o != NULL) {
        if (d->number != 0)
            tool_json_add(o, "record", tool_json_number(d->number));
        add_line(c, o, "why", d->why);
    } else if (d->number != 0) {
        printf("record %zu differs: %s\n", d->number, d->why);
    } else {
        printf("differs: %s\n", d->why);
    }
    if (d->command != NULL)
        add_line(c, o, "sent", step_text(c, d->command, line));
    if (d->recorded != NULL)
        add_line(c, o, "recorded", step_text(c, d->recorded, line));
    if (d->got != NULL)
        add_line(c, o, "got", got_text(d->got, line));
    if (o != NULL)
        tool_json_append(c->differences, o);
}

static int print_summary(struct context *c, const struct tool_replay *replay)
{
    struct json_object *o;

    if (!c->call->json) {
        printf("%" PRIu64 " messages, %" PRIu64 " replies as recorded, %" PRIu64
               " differ\n", replay->messages, replay->same, replay->differ);
        return tool_output_lost() ? TOOL_FAILED : TOOL_OK;
    }
    o = tool_json_object();
    tool_json_add(o, "messages", tool_json_number(replay->messages));
    tool_json_add(o, "as_recorded", tool_json_number(replay->same));
    tool_json_add(o, "differ", tool_json_number(replay->differ));
    tool_json_add(o, "differences", c->differences);
    c->differences = NULL;
    return tool_print_json(c->call, o);
}

/* -------------------------------------------------------------------- run -- */

static int play(struct context *c, struct tool_replay *replay)
{
    char why[200] = "";
    int err = tool_replay(replay, why, sizeof(why));
    int code = print_summary(c, replay);

    if (code != TOOL_OK)
        return code;
    if (err == -EINTR)
        return tool_fail(c->call, TOOL_FAILED, "ended before the end of the recording");
    if (err != 0)
        return tool_fail(c->call, *why != '\0' ? TOOL_LOST : TOOL_FAILED, "%s",
                         *why != '\0' ? why : strerror(-err));
    return replay->differ != 0 ? TOOL_REFUSED : TOOL_OK;
}

/* Load, and see that there is something to play. */
static int load(const struct tool_call *call, const struct tool_recfile *file,
                struct tool_replay *replay)
{
    char why[160] = "";
    int err = tool_steps_load(&replay->steps, file->data, file->len, why, sizeof(why));

    if (err != 0)
        return tool_fail(call, TOOL_FAILED, "%s: %s", call->argv[1], why);
    for (size_t i = 0; i < replay->steps.n; i++) {
        const struct tool_step *step = &replay->steps.steps[i];

        if (step->kind == TOOL_RECORD_CONNECT &&
            (replay->session == 0 || step->session == replay->session))
            return TOOL_OK;
    }
    return tool_fail(call, TOOL_FAILED, "%s: there is no %ssession to play",
                     call->argv[1], replay->session != 0 ? "such " : "");
}

/* A recorded client may have had many descriptors open. */
static void raise_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int run(struct tool_call *call)
{
    struct context c = { .call = call };
    struct tool_replay replay = { .on_difference = on_difference, .ctx = &c };
    struct tool_recfile file;
    int code = parse(call, &replay);

    if (code == TOOL_OK)
        code = tool_recfile_load(call, call->argv[1], &file);
    if (code != TOOL_OK)
        return code;
    code = load(call, &file, &replay);
    if (code == TOOL_OK) {
        raise_limit();
        replay.stop_fd = tool_stop_fd();
        if (call->json)
            c.differences = tool_json_array();
        code = play(&c, &replay);
    }
    json_object_put(c.differences);
    tool_steps_done(&replay.steps);
    tool_recfile_done(&file);
    return code;
}

static const struct tool_option options[] = {
    { 's', "session", "N", "only this session" },
    { 'l', "loose", NULL, "compare success or refusal, and lengths, alone" },
    { 'S', "strict", NULL, "refusals need the errno that was recorded" },
    { 'i', "ignore", "LIST", "what may read as anything: REGION[:FIRST[-LAST]],..." },
    { 'r', "speed", "HOW",
      "\"recorded\", or \"max\": as fast as the server answers [max]" },
    { 0 },
};

const struct tool_command tool_cmd_replay = {
    .name = "replay",
    .usage = "SOCKET RECORDING",
    .summary = "send a recorded client's messages and compare what comes",
    .about =
        "Plays the client of RECORDING (- is standard input) against the server at\n"
        "SOCKET: the same messages, with new descriptors of the same kind and size.\n"
        "Says what is not as recorded; the exit status is 1 then.",
    .options = options,
    .min_args = 2,
    .max_args = 2,
    .json = true,
    .run = run,
};
