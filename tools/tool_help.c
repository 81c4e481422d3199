/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Help texts, made of the table of commands, and what a mistyped name may have meant.
 */
#include "tools/frame.h"

#include <ctype.h>
#include <string.h>

#define MAX_NAME 31     /* longer names are near to nothing */
#define COLUMNS 88      /* of a line of help, if its words allow that */

static const char exit_codes[] =
    "Exit status:\n"
    "  0  done\n"
    "  1  the server refused, the device cannot do it, or it is not as asked\n"
    "  2  no connection, connection lost, no answer in time, or a broken protocol\n"
    "  3  wrong arguments; nothing was done\n"
    "  4  a failure on this side: a file, memory\n";

/* ------------------------------------------------------------------ help -- */

/* "-w, --width N" */
static int option_text(char *buf, size_t len, const struct tool_option *o)
{
    char letter[8] = "    ";

    if (o->letter > ' ')
        snprintf(letter, sizeof(letter), "-%c, ", o->letter);
    return snprintf(buf, len, "%s--%s%s%s", letter, o->name, o->arg != NULL ? " " : "",
                    o->arg != NULL ? o->arg : "");
}

static int options_width(const struct tool_option *o, int width)
{
    char text[80];

    for (; o != NULL && o->letter != 0; o++) {
        int n = option_text(text, sizeof(text), o);

        if (n > width)
            width = n;
    }
    return width;
}

/* Words, broken into lines that begin at `indent`, where the first one is already. */
static void print_words(FILE *to, const char *text, int indent)
{
    int column = indent;

    while (*text != '\0') {
        int len = (int)strcspn(text, " ");

        if (column > indent && column + 1 + len > COLUMNS) {
            fprintf(to, "\n%*s", indent, "");
            column = indent;
        }
        column += fprintf(to, "%s%.*s", column > indent ? " " : "", len, text);
        text += len + (text[len] == ' ');
    }
    fputc('\n', to);
}

static void print_options(FILE *to, const struct tool_command *command,
                          const struct tool_option *o, int width)
{
    char text[80];

    for (; o != NULL && o->letter != 0; o++) {
        if (!tool_option_applies(command, o))
            continue;
        option_text(text, sizeof(text), o);
        fprintf(to, "  %-*s  ", width, text);
        print_words(to, o->help, width + 4);
    }
}

/* A usage may have several lines, one for each form of the command. */
static void print_usage(FILE *to, const struct tool_command *command)
{
    const char *form = command->usage, *label = "usage:";

    for (;;) {
        int len = (int)strcspn(form, "\n");

        fprintf(to, "%s vfu %s %.*s%s[options]\n", label, command->name, len, form,
                len > 0 ? " " : "");
        if (form[len] == '\0')
            break;
        form += len + 1;
        label = "      ";
    }
}

void tool_help_command(FILE *to, const struct tool_command *command)
{
    int width = options_width(command->options, options_width(tool_common_options, 0));

    print_usage(to, command);
    fprintf(to, "\n%c%s.\n", toupper((unsigned char)command->summary[0]),
            command->summary + 1);
    if (command->about != NULL)
        fprintf(to, "\n%s%s", command->about,
                command->about[strlen(command->about) - 1] == '\n' ? "" : "\n");
    fputs("\nOptions:\n", to);
    print_options(to, command, command->options, width);
    print_options(to, command, tool_common_options, width);
    fprintf(to, "\nMore in the manual: man vfu-%s\n", command->name);
}

void tool_help_all(FILE *to)
{
    fputs("usage: vfu COMMAND ARGUMENTS [options]\n"
          "\n"
          "Looks at and drives a vfio-user device, which another process serves at a\n"
          "UNIX socket.\n"
          "\n"
          "Commands:\n", to);
    for (size_t i = 0; tool_commands[i] != NULL; i++)
        fprintf(to, "  %-9s %s\n", tool_commands[i]->name, tool_commands[i]->summary);
    fprintf(to, "  %-9s %s\n", "help", "show how a command is used");
    fputs("\nOptions of every command:\n", to);
    print_options(to, NULL, tool_common_options, options_width(tool_common_options, 0));
    fprintf(to, "\n%s\nFor example:\n"
                "  vfu info /run/dev.sock\n"
                "  vfu read /run/dev.sock bar0 0x8\n"
                "  vfu help read\n", exit_codes);
}

/* ------------------------------------------------------------ near misses -- */

static int least(int a, int b, int c)
{
    int ab = a < b ? a : b;

    return ab < c ? ab : c;
}

/* How many letters to insert, drop, replace or swap with their neighbour. */
static int distance(const char *a, const char *b)
{
    int d[MAX_NAME + 1][MAX_NAME + 1];
    int n = (int)strlen(a), m = (int)strlen(b);

    for (int i = 0; i <= n; i++) {
        for (int j = 0; j <= m; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            d[i][j] = least(d[i - 1][j] + 1, d[i][j - 1] + 1,
                            d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = least(d[i][j], d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[n][m];
}

bool tool_is_near(const char *typed, const char *name)
{
    size_t len = strlen(typed), name_len = strlen(name);

    if (len == 0 || len > MAX_NAME || name_len > MAX_NAME)
        return false;
    if (len >= 2 && strncmp(typed, name, len) == 0)
        return true;    /* only begun */
    return distance(typed, name) <= (name_len < 5 ? 1 : 2);
}

int tool_unknown_command(const char *name)
{
    const char *separator = "; did you mean ";
    char near[256] = "";

    for (size_t i = 0; tool_commands[i] != NULL; i++) {
        size_t used = strlen(near);

        if (!tool_is_near(name, tool_commands[i]->name))
            continue;
        snprintf(near + used, sizeof(near) - used, "%s%s", separator,
                 tool_commands[i]->name);
        separator = " or ";
    }
    tool_complain("'%s' is no command%s%s", name, near,
                  near[0] != '\0' ? "?" : " (vfu --help lists them)");
    return TOOL_USAGE;
}
