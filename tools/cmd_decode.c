/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfu decode: a recording as text, JSON, scenario, or a smaller recording.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "tools/recfile.h"
#include "tools/scenario.h"
#include "tools/show.h"
#include "tools/tool.h"

struct decoder {
    const struct tool_call *call;
    uint32_t session;       /* 0: all */
    bool by_command;
    uint16_t command;
    struct vu_buffer out;   /* with --pcapng */
    uint64_t start_ns;      /* 0: not known yet */
    bool found;             /* a record of the session */
};

/* A command by its name, whatever the case, or by its number. */
static int parse_command(const struct tool_call *call, const char *text,
                         uint16_t *command)
{
    uint64_t number;

    for (unsigned i = 1; i < VU_COMMAND_MAX; i++) {
        const struct vu_command_info *info = vu_command_info((uint16_t)i);

        if (info != NULL && strcasecmp(info->name, text) == 0) {
            *command = (uint16_t)i;
            return TOOL_OK;
        }
    }
    if (text[0] < '0' || text[0] > '9')
        return tool_misuse(call, "there is no command \"%s\"", text);
    if (tool_number(text, "--command", UINT16_MAX, &number) != 0)
        return TOOL_USAGE;
    *command = (uint16_t)number;
    return TOOL_OK;
}

static int parse(struct decoder *d)
{
    const struct tool_call *call = d->call;
    uint64_t session = 0;

    if (call->json + tool_given(call, 'l') + tool_given(call, 'p') > 1)
        return tool_misuse(call, "--json, --lua and --pcapng exclude each other");
    if (tool_given(call, 'S') && !tool_given(call, 'l'))
        return tool_misuse(call, "--strict goes with --lua");
    if (tool_given(call, 's') &&
        tool_number(tool_value(call, 's'), "--session", UINT32_MAX, &session) != 0)
        return TOOL_USAGE;
    d->session = (uint32_t)session;
    d->by_command = tool_given(call, 'c');
    if (d->by_command && tool_given(call, 'l'))
        return tool_misuse(call,
                           "--command does not go with --lua: a scenario needs all of "
                           "a session");
    if (!d->by_command)
        return TOOL_OK;
    return parse_command(call, tool_value(call, 'c'), &d->command);
}

static bool is_wanted(const struct decoder *d, const struct tool_record *record)
{
    struct vu_header h;

    if (d->session != 0 && record->session != d->session)
        return false;
    return !d->by_command || (tool_record_header(record, &h) && h.command == d->command);
}

/* ---------------------------------------------------------------- outputs -- */

static int write_record(struct decoder *d, const struct tool_record *record)
{
    int err = tool_recording_put(&d->out, record);

    if (err == 0)
        err = tool_write_all(STDOUT_FILENO, d->out.data, d->out.len);
    vu_buffer_truncate(&d->out, 0);
    return err == 0 ? TOOL_OK
                    : tool_fail(d->call, TOOL_FAILED, "cannot write: %s", strerror(-err));
}

static int show_record(struct decoder *d, const struct tool_record *record)
{
    char line[TOOL_SHOW_MAX];

    if (d->call->json)
        return tool_print_json_line(d->call, tool_show_json(record, d->start_ns));
    puts(tool_show_text(line, sizeof(line), record, d->start_ns));
    return ferror(stdout) ? TOOL_FAILED : TOOL_OK;
}

static int on_record(struct decoder *d, const struct tool_record *record)
{
    if (d->start_ns == 0)
        d->start_ns = record->time_ns;
    d->found |= d->session == 0 || record->session == d->session;
    if (!is_wanted(d, record))
        return TOOL_OK;
    return tool_given(d->call, 'p') ? write_record(d, record) : show_record(d, record);
}

static int decode_all(struct decoder *d, const struct tool_recfile *file)
{
    struct tool_recording rec;
    struct tool_record record;
    int code = TOOL_OK;
    int more = 0;

    if (tool_given(d->call, 'p') && tool_recording_begin(&d->out) != 0)
        return tool_fail(d->call, TOOL_FAILED, "no memory");
    tool_recording_open(&rec, file->data, file->len);
    while (code == TOOL_OK && (more = tool_recording_next(&rec, &record)) == 1)
        code = on_record(d, &record);
    if (code == TOOL_OK && tool_output_lost())
        code = TOOL_FAILED;
    if (code == TOOL_OK && more < 0)
        code = tool_fail(d->call, TOOL_FAILED, "%s: %s", d->call->argv[0], rec.why);
    if (code == TOOL_OK && d->session != 0 && !d->found)
        code = tool_fail(d->call, TOOL_FAILED, "%s: there is no session %" PRIu32,
                         d->call->argv[0], d->session);
    /* A recording without records still has a beginning. */
    if (code == TOOL_OK && d->out.len != 0 &&
        tool_write_all(STDOUT_FILENO, d->out.data, d->out.len) != 0)
        code = TOOL_FAILED;
    tool_recording_done(&rec);
    return code;
}

static void on_gap(void *ctx, const char *text)
{
    const struct tool_call *call = ctx;

    fprintf(stderr, "vfu %s: %s\n", call->command->name, text);
}

static int decode_to_lua(struct decoder *d, const struct tool_recfile *file)
{
    struct tool_scenario_options options = {
        .strict = tool_given(d->call, 'S'),
        .session = d->session,
        .on_gap = on_gap,
        .ctx = (void *)d->call,
    };
    char why[160] = "";
    int err =
        tool_scenario_write(stdout, file->data, file->len, &options, why, sizeof(why));

    if (err == 0 && !tool_output_lost())
        return TOOL_OK;
    if (err == 0 || ferror(stdout))
        return TOOL_FAILED;     /* which the frame explains */
    return tool_fail(d->call, TOOL_FAILED, "%s: %s", d->call->argv[0],
                     *why != '\0' ? why : strerror(-err));
}

static int run(struct tool_call *call)
{
    struct decoder d = { .call = call };
    struct tool_recfile file;
    int code = parse(&d);

    if (code == TOOL_OK)
        code = tool_recfile_load(call, call->argv[0], &file);
    if (code != TOOL_OK)
        return code;
    vu_buffer_init(&d.out, 2 * (size_t)TOOL_RECORDING_MAX_MESSAGE);
    code = tool_given(call, 'l') ? decode_to_lua(&d, &file) : decode_all(&d, &file);
    vu_buffer_done(&d.out);
    tool_recfile_done(&file);
    return code;
}

static const struct tool_option options[] = {
    { 'l', "lua", NULL, "as a scenario for vfio-user-conformance" },
    { 'p', "pcapng", NULL, "as a recording: what the filters leave of it" },
    { 's', "session", "N", "only this session" },
    { 'c', "command", "NAME", "only messages of this command" },
    { 'S', "strict", NULL, "with --lua: refusals need the errno that was recorded" },
    { 0 },
};

const struct tool_command tool_cmd_decode = {
    .name = "decode",
    .usage = "RECORDING",
    .summary = "show a recording as text, JSON or a scenario",
    .about =
        "RECORDING is a file that `vfu record` wrote; - is standard input. With --json,\n"
        "each line is an object.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .json = true,
    .run = run,
};
