/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lines of text and members of JSON objects, side by side.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "tools/pci_out.h"

#define WIDTH     96    /* lines of flags are broken before this column */
#define TAB_WIDTH 8

/* -------------------------------------------------------------- registers -- */

static uint32_t get(const struct tool_pci_out *out, size_t offset, size_t width)
{
    uint32_t value = 0;

    for (size_t i = 0; i < width; i++) {
        uint32_t byte = 0xff;

        if (offset + i < out->space->len)
            byte = out->space->bytes[offset + i];
        value |= byte << (8 * i);
    }
    return value;
}

uint32_t tool_pci_u8(const struct tool_pci_out *out, size_t offset)
{
    return get(out, offset, 1);
}

uint32_t tool_pci_u16(const struct tool_pci_out *out, size_t offset)
{
    return get(out, offset, 2);
}

uint32_t tool_pci_u32(const struct tool_pci_out *out, size_t offset)
{
    return get(out, offset, 4);
}

/* ------------------------------------------------------------------- text -- */

static void indent(const struct tool_pci_out *out)
{
    for (int i = 0; i < out->depth; i++)
        fputc('\t', out->text);
}

static void __attribute__((format(printf, 2, 0)))
print_line(struct tool_pci_out *out, const char *format, va_list ap)
{
    indent(out);
    vfprintf(out->text, format, ap);
    fputc('\n', out->text);
}

void tool_pci_line(struct tool_pci_out *out, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    print_line(out, format, ap);
    va_end(ap);
}

void tool_pci_detail(struct tool_pci_out *out, const char *format, ...)
{
    va_list ap;

    if (!out->options->verbose)
        return;
    va_start(ap, format);
    print_line(out, format, ap);
    va_end(ap);
}

void tool_pci_problem(struct tool_pci_out *out, const char *format, ...)
{
    struct json_object *sentence;
    char text[256];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    indent(out);
    fprintf(out->text, "%sProblem: %s%s\n", out->options->alarm, text,
            out->options->plain);
    out->n_problems++;
    sentence = json_object_new_string(text);
    if (sentence == NULL || json_object_array_add(out->problems, sentence) != 0) {
        json_object_put(sentence);
        out->failed = true;
    }
}

/* One more word, on a new line when it does not fit. *column is where the text stands. */
static void print_word(struct tool_pci_out *out, const char *word, size_t *column)
{
    if (*column + 1 + strlen(word) > WIDTH) {
        fputc('\n', out->text);
        indent(out);
        fputs("   ", out->text);
        *column = (size_t)out->depth * TAB_WIDTH + 3;
    }
    fprintf(out->text, " %s", word);
    *column += 1 + strlen(word);
}

static void print_flags(struct tool_pci_out *out, const char *title, uint32_t value,
                        const struct tool_pci_flag *flags, size_t n_flags, char *more)
{
    size_t column = (size_t)out->depth * TAB_WIDTH + strlen(title) + 1;
    char word[64];

    indent(out);
    fprintf(out->text, "%s:", title);
    for (size_t i = 0; i < n_flags; i++) {
        snprintf(word, sizeof(word), "%s%c", flags[i].label,
                 value & flags[i].mask ? '+' : '-');
        print_word(out, word, &column);
    }
    for (char *rest, *at = strtok_r(more, " ", &rest); at != NULL;
         at = strtok_r(NULL, " ", &rest))
        print_word(out, at, &column);
    fputc('\n', out->text);
}

struct json_object *tool_pci_flags_and(struct tool_pci_out *out, bool detail,
                                       const char *title, const char *key,
                                       uint32_t value, const struct tool_pci_flag *flags,
                                       size_t n_flags, const char *more, ...)
{
    struct json_object *outer;
    char text[512];
    va_list ap;

    va_start(ap, more);
    vsnprintf(text, sizeof(text), more, ap);
    va_end(ap);
    if (!detail || out->options->verbose)
        print_flags(out, title, value, flags, n_flags, text);
    outer = tool_pci_begin(out, key);
    for (size_t i = 0; i < n_flags; i++)
        tool_pci_put_bool(out, flags[i].key, (value & flags[i].mask) != 0);
    return outer;
}

struct json_object *tool_pci_flags(struct tool_pci_out *out, bool detail,
                                   const char *title, const char *key, uint32_t value,
                                   const struct tool_pci_flag *flags, size_t n_flags)
{
    return tool_pci_flags_and(out, detail, title, key, value, flags, n_flags, "%s", "");
}

/* ------------------------------------------------------------------- JSON -- */

void tool_pci_put(struct tool_pci_out *out, const char *key, struct json_object *value)
{
    if (value == NULL || json_object_object_add(out->object, key, value) != 0) {
        json_object_put(value);
        out->failed = true;
    }
}

void tool_pci_put_number(struct tool_pci_out *out, const char *key, uint64_t value)
{
    tool_pci_put(out, key, json_object_new_uint64(value));
}

void tool_pci_put_bool(struct tool_pci_out *out, const char *key, bool value)
{
    tool_pci_put(out, key, json_object_new_boolean(value));
}

void tool_pci_put_string(struct tool_pci_out *out, const char *key, const char *value)
{
    tool_pci_put(out, key, json_object_new_string(value));
}

struct json_object *tool_pci_begin(struct tool_pci_out *out, const char *key)
{
    struct json_object *outer = out->object, *inner = json_object_new_object();

    tool_pci_put(out, key, inner);
    if (!out->failed)
        out->object = inner;
    return outer;
}

struct json_object *tool_pci_begin_item(struct tool_pci_out *out,
                                        struct json_object *array)
{
    struct json_object *outer = out->object, *inner = json_object_new_object();

    if (inner == NULL || json_object_array_add(array, inner) != 0) {
        json_object_put(inner);
        out->failed = true;
    } else {
        out->object = inner;
    }
    return outer;
}

void tool_pci_end(struct tool_pci_out *out, struct json_object *outer)
{
    out->object = outer;
}
