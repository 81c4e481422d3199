/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the commands of `vfu` share: the table of commands, options, output, errors.
 *
 * A command is one file that defines one struct tool_command; tools/commands.c lists
 * them. From that struct come the parsing of its options, `vfu help CMD`, the completion
 * for shells, and the test that its man page knows every option.
 */
#ifndef TOOL_H
#define TOOL_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vfio-user-client.h"

/* Exit codes, documented in vfu(1). */
enum tool_exit {
    TOOL_OK      = 0,
    TOOL_REFUSED = 1,   /* the server refused, or what was to be shown is not so */
    TOOL_LOST    = 2,   /* no connection, connection lost, no answer, broken protocol */
    TOOL_USAGE   = 3,   /* wrong arguments: nothing was done */
    TOOL_FAILED  = 4,   /* a failure of our own: a file, memory */
};

/* An option of a command beside the common ones. */
struct tool_option {
    char letter;        /* unique in the command; 1 is --color's; others below ' ' have no
                         * short form: { 2, "vs", "SOCKET", ... } */
    const char *name;   /* "--" is left out */
    const char *arg;    /* "BYTES", or NULL: takes none */
    const char *help;   /* one line, starts with a lower case letter */
};

struct tool_call;

struct tool_command {
    const char *name;           /* "read"; the main table is in order of help */
    const char *usage;          /* positional arguments: "SOCKET OFFSET [LENGTH]"; a line
                                 * for each form: "save SOCKET FILE\nSOURCE DESTINATION";
                                 * tool_complete.c knows the placeholders */
    const char *summary;        /* one line, starts with a lower case letter */
    const char *about;          /* some lines for `vfu help CMD`; may be NULL */
    const struct tool_option *options;  /* ends with .letter 0; may be NULL */
    int min_args, max_args;     /* positional ones; max -1: any number */
    bool json;                  /* takes --json */
    int (*run)(struct tool_call *call);     /* gives an exit code */
};

/*
 * One run of a command. Options that every command has: -h --help, -t --timeout SECONDS
 * (of each message; default 5), -j --json (commands that have it), --color WHEN
 * (auto, always, never).
 */
struct tool_call {
    const struct tool_command *command;
    int argc;                   /* positional arguments only */
    char **argv;
    bool json;
    bool color;                 /* stdout is a terminal, or --color=always */
    int timeout_ms;
    const char *values[128];    /* by letter, the last one; NULL: not given; "": a flag */
    const struct tool_given_option *given;  /* all, in order; for tool_next_value() */
    size_t n_given;
};

struct tool_given_option {
    char letter;
    const char *value;
};

static inline bool tool_given(const struct tool_call *call, char letter)
{
    return call->values[(unsigned char)letter] != NULL;
}

/* The option's argument, or NULL. */
static inline const char *tool_value(const struct tool_call *call, char letter)
{
    return call->values[(unsigned char)letter];
}

/* The arguments of an option that may be repeated, in order: *position begins as 0. NULL
 * after the last. */
const char *tool_next_value(const struct tool_call *call, char letter, size_t *position);

/* All commands, ends with NULL. */
extern const struct tool_command *const tool_commands[];

/* ------------------------------------------------------------- arguments -- */

/*
 * A number: decimal, 0x hexadecimal, with K, M, G, T for powers of 1024. At most `max`.
 * 0, or -EINVAL / -ERANGE with a sentence on stderr that names `what`.
 */
int tool_number(const char *text, const char *what, uint64_t max, uint64_t *value);

/* Seconds with decimals ("0.5") as ms; "never" is -1. As tool_number(). */
int tool_seconds(const char *text, const char *what, int *ms);

/* "bar0" ... "bar5", "rom", "config", "vga", or an index. As tool_number(). */
int tool_region(const char *text, uint32_t *index);

/* "intx", "msi", "msix", "err", "req", or an index. As tool_number(). */
int tool_irq(const char *text, uint32_t *index);

/* The names above for what has one, else "region 9", "irq 7". Returns buf. */
const char *tool_region_name(uint32_t index, char *buf, size_t len);
const char *tool_irq_name(uint32_t index, char *buf, size_t len);

/* ---------------------------------------------------------------- errors -- */

/* "vfu CMD: <sentence>" on stderr; gives `code`. */
int tool_fail(const struct tool_call *call, enum tool_exit code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As tool_fail() for wrong arguments: also points to `vfu help CMD`. Gives TOOL_USAGE. */
int tool_misuse(const struct tool_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What a call of the client library returned (`err`, negative), in words: what was being
 * done, vfuc_last_error(). Gives the exit code that goes with it. */
int tool_client_fail(const struct tool_call *call, struct vfuc_client *dev, int err,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));

/* ------------------------------------------------------------ connecting -- */

/*
 * Connect to call->argv[i]'s socket. options: what the command needs beside the common
 * ones (timeout_ms, error and error_len are filled in), or NULL. TOOL_OK with *dev owned
 * by the caller, or an exit code after a sentence on stderr.
 */
int tool_connect(const struct tool_call *call, const char *path,
                 const struct vfuc_options *options, struct vfuc_client **dev);

/* ---------------------------------------------------------------- output -- */

/* Print `object` to stdout and drop it. Gives TOOL_OK, or TOOL_FAILED when it cannot be
 * written. */
int tool_print_json(const struct tool_call *call, struct json_object *object);

/* The same on one line, for commands that print an object for each event. */
int tool_print_json_line(const struct tool_call *call, struct json_object *object);

/* Whatever was printed so far is written out. True: it cannot be, the reader has left or
 * the disk is full (SIGPIPE is ignored); a command that runs until ended ends then. While
 * it waits, it polls standard output for no events: POLLERR wakes it when a reader
 * leaves. */
bool tool_output_lost(void);

/*
 * Values of JSON, never NULL, and putting them into an object or at the end of an array,
 * which owns them then. Out of memory: the program ends with a sentence and TOOL_FAILED.
 */
struct json_object *tool_json_object(void);
struct json_object *tool_json_array(void);
struct json_object *tool_json_boolean(bool value);
struct json_object *tool_json_number(uint64_t value);
struct json_object *tool_json_double(double value);
/* text: the number as it is to be printed. */
struct json_object *tool_json_double_as(double value, const char *text);
struct json_object *tool_json_string(const char *text);
struct json_object *tool_json_string_len(const char *text, size_t len);
/* Bytes as a string of hexadecimal digits. */
struct json_object *tool_json_hex(const void *data, size_t len);
void tool_json_add(struct json_object *object, const char *key,
                   struct json_object *value);
void tool_json_append(struct json_object *array, struct json_object *value);

/* Start and end of a colour: "" when there are none. */
enum tool_color { TOOL_PLAIN, TOOL_BOLD, TOOL_RED, TOOL_GREEN, TOOL_YELLOW, TOOL_BLUE };
const char *tool_color(const struct tool_call *call, enum tool_color color);

/* Lines of "offset: bytes  text", 16 bytes each; the first is labelled `base`. Repeated
 * lines are folded into one "*". */
void tool_hexdump(const void *data, size_t len, uint64_t base);

/*
 * Rows of cells, printed in aligned columns. header: names of columns, separated by "|";
 * one that begins with ">" is aligned to the right. Running out of memory shows at the
 * end.
 */
struct tool_table;
struct tool_table *tool_table_new(const char *header);
/* The next cell of the row that is being filled; behind the last column a row begins. */
void tool_table_cell(struct tool_table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Print it, each line behind `indent` blanks, and drop it. TOOL_OK, or TOOL_FAILED after
 * a sentence. */
int tool_table_print(const struct tool_call *call, struct tool_table *table, int indent);
/* Drop it unprinted; NULL is fine. */
void tool_table_free(struct tool_table *table);

/* The line of progress on stderr, rewritten in place; nothing unless that is a terminal.
 * NULL ends it. */
void tool_progress(const struct tool_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* "4096" as "4 KiB", with at most one decimal. Returns buf. */
const char *tool_size_text(uint64_t bytes, char *buf, size_t len);

/* --------------------------------------------------------------- signals -- */

/* From now on the first SIGINT or SIGTERM does not end the program but makes the
 * descriptor that this returns readable for good (an eventfd, owned by the frame: poll
 * it, do not read it); a second one ends it. For commands that run until ended. -1: no
 * descriptor left. */
int tool_stop_fd(void);
/* Has one come? */
bool tool_stopped(void);

/* ms of CLOCK_MONOTONIC, ns of it. */
int64_t tool_now_ms(void);
int64_t tool_now_ns(void);

#endif
