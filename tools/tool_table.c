/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tables for humans: cells are collected, then printed in columns as wide as their
 * widest.
 */
#include "tools/tool.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_COLUMNS 12

struct tool_table {
    size_t n_columns;
    bool right[MAX_COLUMNS];
    char **cells;               /* owned, and what they point to; the header first */
    size_t n_cells, room;
    bool failed;                /* out of memory */
};

/* Takes `text` over, which may be NULL: no memory. */
static void add_cell(struct tool_table *t, char *text)
{
    if (t->n_cells == t->room) {
        size_t room = t->room == 0 ? 64 : 2 * t->room;
        char **grown = reallocarray(t->cells, room, sizeof(*grown));

        if (grown != NULL) {
            t->cells = grown;
            t->room = room;
        }
    }
    if (text == NULL || t->n_cells == t->room) {
        t->failed = true;
        free(text);
        return;
    }
    t->cells[t->n_cells++] = text;
}

struct tool_table *tool_table_new(const char *header)
{
    struct tool_table *t = calloc(1, sizeof(*t));

    for (; t != NULL && t->n_columns < MAX_COLUMNS; t->n_columns++) {
        size_t len;

        t->right[t->n_columns] = *header == '>';
        header += *header == '>';
        len = strcspn(header, "|");
        add_cell(t, strndup(header, len));
        header += len;
        if (*header == '\0') {
            t->n_columns++;
            break;
        }
        header++;
    }
    return t;
}

void tool_table_cell(struct tool_table *t, const char *format, ...)
{
    char *text = NULL;
    va_list ap;

    if (t == NULL)
        return;
    va_start(ap, format);
    if (vasprintf(&text, format, ap) < 0)
        text = NULL;
    va_end(ap);
    add_cell(t, text);
}

static int column_width(const struct tool_table *t, size_t column)
{
    size_t width = 0;

    for (size_t i = column; i < t->n_cells; i += t->n_columns) {
        size_t len = strlen(t->cells[i]);

        if (len > width)
            width = len;
    }
    return (int)width;
}

static void print_row(const struct tool_table *t, size_t first, const int *widths,
                      int indent)
{
    size_t n = t->n_columns;

    while (n > 0 && (first + n > t->n_cells || t->cells[first + n - 1][0] == '\0'))
        n--;
    printf("%*s", indent, "");
    for (size_t c = 0; c < n; c++) {
        const char *gap = c == 0 ? "" : "  ";

        if (t->right[c])
            printf("%s%*s", gap, widths[c], t->cells[first + c]);
        else if (c + 1 == n)    /* no blanks at the end of a line */
            printf("%s%s", gap, t->cells[first + c]);
        else
            printf("%s%-*s", gap, widths[c], t->cells[first + c]);
    }
    putchar('\n');
}

void tool_table_free(struct tool_table *t)
{
    for (size_t i = 0; t != NULL && i < t->n_cells; i++)
        free(t->cells[i]);
    if (t != NULL)
        free(t->cells);
    free(t);
}

int tool_table_print(const struct tool_call *call, struct tool_table *t, int indent)
{
    bool failed = t == NULL || t->failed;
    int widths[MAX_COLUMNS];

    if (!failed) {
        for (size_t c = 0; c < t->n_columns; c++)
            widths[c] = column_width(t, c);
        fputs(tool_color(call, TOOL_BOLD), stdout);
        print_row(t, 0, widths, indent);
        fputs(tool_color(call, TOOL_PLAIN), stdout);
        for (size_t i = t->n_columns; i < t->n_cells; i += t->n_columns)
            print_row(t, i, widths, indent);
    }
    tool_table_free(t);
    return failed ? tool_fail(call, TOOL_FAILED, "out of memory") : TOOL_OK;
}
