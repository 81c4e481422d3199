/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What main.c and the files of the frame share: from the table of commands to a
 * tool_call, to help texts, and to what a shell completes. Commands use tool.h alone.
 */
#ifndef TOOL_FRAME_H
#define TOOL_FRAME_H

#include <stdio.h>

#include "tools/tool.h"

/* Options that every command has. Letters below ' ' have no short form. */
enum {
    TOOL_OPT_COLOR = 1,
    TOOL_OPT_HELP = 'h',
    TOOL_OPT_JSON = 'j',
    TOOL_OPT_TIMEOUT = 't',
    TOOL_OPT_VERSION = 'V',     /* before the command only */
};
extern const struct tool_option tool_common_options[];  /* ends with .letter 0 */

/* Is the common option one of this command's? (--json is not always.) */
bool tool_option_applies(const struct tool_command *command,
                         const struct tool_option *option);

const struct tool_command *tool_command_find(const char *name);

/*
 * Read the options that stand before the command. 0 with *next at the command's name or
 * at argc; or TOOL_USAGE after a sentence.
 */
int tool_options_before(struct tool_call *call, int argc, char **argv, int *next);

/*
 * Read a command's options and arguments; argv[0] is the command's name. Fills in all of
 * *call; reorders argv. `given` has tool_options_room() entries and must outlive the
 * call. 0, or TOOL_USAGE after a sentence; with --help the arguments are not counted.
 */
int tool_options_read(struct tool_call *call, const struct tool_command *command,
                      int argc, char **argv, struct tool_given_option *given);

/* How many options these words hold at most. */
size_t tool_options_room(int argc, char **argv);

/* `vfu --help`, and `vfu help CMD`. */
void tool_help_all(FILE *to);
void tool_help_command(FILE *to, const struct tool_command *command);

/* "'raed' is no command of vfu", with names that are near. Gives TOOL_USAGE. */
int tool_unknown_command(const char *name);

/* Is `name` near enough to what was typed to be meant? */
bool tool_is_near(const char *typed, const char *name);

/*
 * `vfu __complete INDEX WORD...`, for the shell: the words of a command line that begins
 * with "vfu", and the index of the one to be completed. Prints a candidate per line; the
 * line ":file" asks for names of files.
 */
int tool_complete(int argc, char **argv);

/* `vfu __options CMD`, for tests and scripts: a command's long options, a line each. */
int tool_list_options(int argc, char **argv);

/* Messages carry the name of this command from now on. */
void tool_error_command(const struct tool_command *command);

/* "vfu CMD: <sentence>" on stderr, for what has no tool_call at hand. */
void tool_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Unless this was made, which took memory: end the program with a sentence. */
void tool_json_check(bool made);

/* Write out stdout at the end: `code`, or TOOL_FAILED when what was printed is lost. */
int tool_output_done(int code);

#endif
