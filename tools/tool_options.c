/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a command line and a command's table of options to a tool_call, by getopt_long(),
 * which finds options before and after the arguments.
 */
#include "tools/frame.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Enough for the common options and those of any command; a test counts. */
#define MAX_OPTIONS 48

const struct tool_option tool_common_options[] = {
    { TOOL_OPT_JSON,    "json",    NULL,      "print JSON" },
    { TOOL_OPT_TIMEOUT, "timeout", "SECONDS",
      "wait so long for each answer, or \"never\" [5]" },
    { TOOL_OPT_COLOR,   "color",   "WHEN",    "auto, always or never [auto]" },
    { TOOL_OPT_HELP,    "help",    NULL,      "show this" },
    { 0 },
};

static const struct tool_option version_option[] = {
    { TOOL_OPT_VERSION, "version", NULL, "show the version" },
    { 0 },
};

/* What getopt_long() takes, made of our tables. */
struct parser {
    struct option longs[MAX_OPTIONS + 1];
    char shorts[2 + 2 * MAX_OPTIONS + 1];
    size_t n_longs, n_shorts;
};

const struct tool_command *tool_command_find(const char *name)
{
    for (size_t i = 0; tool_commands[i] != NULL; i++) {
        if (strcmp(tool_commands[i]->name, name) == 0)
            return tool_commands[i];
    }
    return NULL;
}

bool tool_option_applies(const struct tool_command *command,
                         const struct tool_option *option)
{
    return option->letter != TOOL_OPT_JSON || command == NULL || command->json;
}

static void add_option(struct parser *p, const struct tool_option *o)
{
    if (p->n_longs == MAX_OPTIONS)
        abort();    /* a table of ours is longer than that */
    p->longs[p->n_longs++] = (struct option){
        .name = o->name,
        .has_arg = o->arg != NULL ? required_argument : no_argument,
        .val = o->letter,
    };
    if (o->letter > ' ') {
        p->shorts[p->n_shorts++] = o->letter;
        if (o->arg != NULL)
            p->shorts[p->n_shorts++] = ':';
    }
}

/* mode: "+:" stops at the first argument, ":" does not. */
static void init_parser(struct parser *p, const char *mode,
                        const struct tool_command *command,
                        const struct tool_option *options)
{
    *p = (struct parser){ .n_shorts = strlen(mode) };
    memcpy(p->shorts, mode, p->n_shorts);
    for (const struct tool_option *o = tool_common_options; o->letter != 0; o++) {
        if (tool_option_applies(command, o))
            add_option(p, o);
    }
    for (const struct tool_option *o = options; o != NULL && o->letter != 0; o++)
        add_option(p, o);
}

static const char *near_option(const struct parser *p, const char *typed)
{
    for (size_t i = 0; i < p->n_longs; i++) {
        if (tool_is_near(typed, p->longs[i].name))
            return p->longs[i].name;
    }
    return NULL;
}

static unsigned n_that_begin_with(const struct parser *p, const char *typed)
{
    unsigned n = 0;

    for (size_t i = 0; i < p->n_longs; i++)
        n += strncmp(p->longs[i].name, typed, strlen(typed)) == 0;
    return n;
}

/* "--widht=4": what stands before the "=", without the dashes. */
static int unknown_long(const struct tool_call *call, const struct parser *p,
                        const char *word)
{
    char name[64];
    const char *near;

    snprintf(name, sizeof(name), "%.*s", (int)strcspn(word + 2, "="), word + 2);
    near = near_option(p, name);
    if (strcmp(name, "json") == 0 && call->command != NULL)
        return tool_misuse(call, "%s has no --json", call->command->name);
    if (n_that_begin_with(p, name) > 1)
        return tool_misuse(call, "more than one option begins with --%s", name);
    if (near != NULL)
        return tool_misuse(call, "there is no option --%s; --%s perhaps?", name, near);
    return tool_misuse(call, "there is no option --%s", name);
}

static int bad_option(const struct tool_call *call, const struct parser *p, int got,
                      const char *word)
{
    if (got == ':')
        return tool_misuse(call, "the option %s wants a value", word);
    if (strncmp(word, "--", 2) == 0 && optopt != 0)
        return tool_misuse(call, "the option %.*s takes no value",
                           (int)strcspn(word, "="), word);
    if (strncmp(word, "--", 2) == 0)
        return unknown_long(call, p, word);
    return tool_misuse(call, "there is no option -%c", optopt);
}

/* given: room for all options that `argc` words can hold, or NULL. */
static int read_all(struct tool_call *call, const struct parser *p, int argc, char **argv,
                    struct tool_given_option *given)
{
    int got;

    opterr = 0;
    optind = 0;     /* start afresh, as glibc has it */
    while ((got = getopt_long(argc, argv, p->shorts, p->longs, NULL)) != -1) {
        if (got == '?' || got == ':')
            return bad_option(call, p, got, argv[optind > 0 ? optind - 1 : 0]);
        call->values[(unsigned char)got] = optarg != NULL ? optarg : "";
        if (given != NULL)
            given[call->n_given++] = (struct tool_given_option){
                (char)got, call->values[(unsigned char)got]
            };
    }
    return 0;
}

const char *tool_next_value(const struct tool_call *call, char letter, size_t *position)
{
    while (*position < call->n_given) {
        const struct tool_given_option *given = &call->given[(*position)++];

        if (given->letter == letter)
            return given->value;
    }
    return NULL;
}

/* ----------------------------------------------------- the common options -- */

static int take_timeout(struct tool_call *call)
{
    const char *text = tool_value(call, TOOL_OPT_TIMEOUT);

    call->timeout_ms = VFUC_DEFAULT_TIMEOUT_MS;
    if (text == NULL)
        return 0;
    if (tool_seconds(text, "--timeout", &call->timeout_ms) != 0)
        return TOOL_USAGE;
    if (call->timeout_ms == 0)
        return tool_misuse(call, "--timeout: no answer comes in no time");
    return 0;
}

static bool terminal_has_colors(void)
{
    const char *none = getenv("NO_COLOR");
    const char *term = getenv("TERM");

    return isatty(STDOUT_FILENO) && (none == NULL || none[0] == '\0') &&
           (term == NULL || strcmp(term, "dumb") != 0);
}

static int take_color(struct tool_call *call)
{
    const char *when = tool_value(call, TOOL_OPT_COLOR);

    call->color = false;
    if (when == NULL || strcmp(when, "auto") == 0)
        call->color = terminal_has_colors();
    else if (strcmp(when, "always") == 0)
        call->color = true;
    else if (strcmp(when, "never") != 0)
        return tool_misuse(call, "--color is auto, always or never, not '%s'", when);
    return 0;
}

/* All forms of a command's usage on one line. */
static const char *usage_line(char *buf, size_t len, const char *usage)
{
    size_t used = 0;

    buf[0] = '\0';
    while (*usage != '\0' && used < len) {
        int n = (int)strcspn(usage, "\n");

        used += (size_t)snprintf(buf + used, len - used, "%s%.*s",
                                 used > 0 ? ", or " : "", n, usage);
        usage += n;
        usage += *usage == '\n';
    }
    return buf;
}

static int count_arguments(const struct tool_call *call)
{
    const struct tool_command *command = call->command;
    char usage[256];

    if (call->argc < command->min_args)
        return tool_misuse(call, call->argc == 0 ? "what is it about? (%s)"
                                                 : "something is missing: %s",
                           usage_line(usage, sizeof(usage), command->usage));
    if (command->max_args >= 0 && call->argc > command->max_args)
        return tool_misuse(call, "'%s' is one argument too many",
                           call->argv[command->max_args]);
    return 0;
}

/* ------------------------------------------------------------ both places -- */

int tool_options_before(struct tool_call *call, int argc, char **argv, int *next)
{
    struct parser p;
    int err;

    init_parser(&p, "+:", NULL, version_option);
    err = read_all(call, &p, argc, argv, NULL);
    *next = optind;
    return err;
}

size_t tool_options_room(int argc, char **argv)
{
    size_t room = 1;

    /* "-abc" may be three options: a letter each at most. */
    for (int i = 0; i < argc; i++)
        room += strlen(argv[i]);
    return room;
}

int tool_options_read(struct tool_call *call, const struct tool_command *command,
                      int argc, char **argv, struct tool_given_option *given)
{
    struct parser p;
    int err;

    call->command = command;
    if (tool_given(call, TOOL_OPT_JSON) && !command->json)
        return tool_misuse(call, "%s has no --json", command->name);
    init_parser(&p, ":", command, command->options);
    err = read_all(call, &p, argc, argv, given);
    if (err != 0)
        return err;
    call->given = given;
    call->argc = argc - optind;
    call->argv = argv + optind;
    call->json = tool_given(call, TOOL_OPT_JSON);
    if (tool_given(call, TOOL_OPT_HELP))
        return 0;
    err = take_timeout(call);
    if (err == 0)
        err = take_color(call);
    return err == 0 ? count_arguments(call) : err;
}

int tool_list_options(int argc, char **argv)
{
    const struct tool_command *command = argc == 2 ? tool_command_find(argv[1]) : NULL;
    struct parser p;

    if (command == NULL)
        return TOOL_USAGE;
    init_parser(&p, ":", command, command->options);
    for (size_t i = 0; i < p.n_longs; i++)
        printf("--%s%s\n", p.longs[i].name, p.longs[i].has_arg ? "=" : "");
    return TOOL_OK;
}
