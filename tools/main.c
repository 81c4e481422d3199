/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfu: drives any vfio-user server from the command line.
 *
 *   vfu [options] COMMAND [arguments and options]
 *
 * Finds the command in the table, reads its options, runs it. A reader of our output that
 * leaves early must not end a command half-way, with a device left stopped or a socket
 * left behind: SIGPIPE is ignored, and lost output is noticed at the end.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/frame.h"

/*
 * A standard descriptor that we were started without would be the next one that is
 * opened, and what is printed would go to the server. Reading from its place, and writing
 * to it, fails as it should.
 */
static bool fill_standard_descriptors(void)
{
    for (;;) {
        int fd = open("/dev/null", O_RDONLY);

        if (fd == STDIN_FILENO) {
            close(fd);
            fd = open("/dev/null", O_WRONLY);
        }
        if (fd == -1 || fd > STDERR_FILENO)
            return fd != -1 && close(fd) == 0;
    }
}

static int help(int argc, char **argv)
{
    const struct tool_command *command;

    if (argc < 2 || strcmp(argv[1], "help") == 0 || argv[1][0] == '-') {
        tool_help_all(stdout);
        return TOOL_OK;
    }
    if (argc > 2) {
        tool_complain("help: one command at a time");
        return TOOL_USAGE;
    }
    command = tool_command_find(argv[1]);
    if (command == NULL)
        return tool_unknown_command(argv[1]);
    tool_help_command(stdout, command);
    return TOOL_OK;
}

static int run_command(struct tool_call *call, const struct tool_command *command,
                       int argc, char **argv, struct tool_given_option *given)
{
    int err = tool_options_read(call, command, argc, argv, given);

    if (err != 0)
        return err;
    if (tool_given(call, TOOL_OPT_HELP)) {
        tool_help_command(stdout, command);
        return TOOL_OK;
    }
    return command->run(call);
}

static int run(struct tool_call *call, int argc, char **argv)
{
    const struct tool_command *command = tool_command_find(argv[0]);
    struct tool_given_option *given;
    int status;

    if (command == NULL)
        return tool_unknown_command(argv[0]);
    tool_error_command(command);
    given = calloc(tool_options_room(argc, argv), sizeof(*given));
    if (given == NULL)
        return tool_fail(call, TOOL_FAILED, "out of memory");
    status = run_command(call, command, argc, argv, given);
    free(given);
    return status;
}

static int start(int argc, char **argv)
{
    struct tool_call call = { 0 };
    int next, err;

    err = tool_options_before(&call, argc, argv, &next);
    if (err != 0)
        return err;
    if (tool_given(&call, TOOL_OPT_VERSION)) {
        printf("vfu %s\n", VU_PROJECT_VERSION);
        return TOOL_OK;
    }
    if (next == argc) {
        bool asked = tool_given(&call, TOOL_OPT_HELP);

        tool_help_all(asked ? stdout : stderr);
        return asked ? TOOL_OK : TOOL_USAGE;
    }
    argc -= next;
    argv += next;
    if (strcmp(argv[0], "help") == 0)
        return help(argc, argv);
    if (strcmp(argv[0], "__complete") == 0)
        return tool_complete(argc, argv);
    if (strcmp(argv[0], "__options") == 0)
        return tool_list_options(argc, argv);
    return run(&call, argc, argv);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (!fill_standard_descriptors())
        return TOOL_FAILED;
    return tool_output_done(start(argc, argv));
}
