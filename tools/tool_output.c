/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Output: JSON, colours, hexdumps, sizes for humans, and the line of progress.
 */
#include "tools/frame.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BYTES_PER_LINE 16
#define PROGRESS_INTERVAL_MS 100

/* --------------------------------------------------------- standard output -- */

/* Of a pipe, socket or terminal; a file has none. */
static bool reader_has_left(void)
{
    struct pollfd p = { .fd = STDOUT_FILENO };

    return poll(&p, 1, 0) == 1 && (p.revents & (POLLERR | POLLHUP)) != 0;
}

bool tool_output_lost(void)
{
    return fflush(stdout) != 0 || ferror(stdout) || reader_has_left();
}

/* A reader that has left wants no more words: that alone is not complained about. */
int tool_output_done(int code)
{
    tool_progress(NULL, "%s", "");
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    if (errno != EPIPE && !reader_has_left())
        tool_complain("standard output: %s",
                      errno != 0 ? strerror(errno) : "not all of it could be written");
    return code == TOOL_OK ? TOOL_FAILED : code;
}

/* What cannot be written is said at the end, by tool_output_done(). */
static int print_json(struct json_object *object, int flags)
{
    const char *text =
        json_object_to_json_string_ext(object, flags | JSON_C_TO_STRING_NOSLASHESCAPE);
    bool printed;

    tool_json_check(text != NULL);
    printed = puts(text) >= 0 && fflush(stdout) == 0;
    json_object_put(object);
    return printed ? TOOL_OK : TOOL_FAILED;
}

int tool_print_json(const struct tool_call *call, struct json_object *object)
{
    (void)call;
    return print_json(object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED);
}

int tool_print_json_line(const struct tool_call *call, struct json_object *object)
{
    (void)call;
    return print_json(object, JSON_C_TO_STRING_SPACED);
}

const char *tool_color(const struct tool_call *call, enum tool_color color)
{
    static const char *const sequences[] = {
        [TOOL_PLAIN] = "\033[0m",   [TOOL_BOLD] = "\033[1m",    [TOOL_RED] = "\033[31m",
        [TOOL_GREEN] = "\033[32m",  [TOOL_YELLOW] = "\033[33m", [TOOL_BLUE] = "\033[34m",
    };

    return call->color ? sequences[color] : "";
}

/* --------------------------------------------------------------- hexdumps -- */

static void dump_line(const uint8_t *bytes, size_t n, uint64_t offset, int digits)
{
    printf("%0*" PRIx64 ":", digits, offset);
    for (size_t i = 0; i < BYTES_PER_LINE; i++) {
        const char *gap = i == BYTES_PER_LINE / 2 ? "  " : " ";

        if (i < n)
            printf("%s%02x", gap, bytes[i]);
        else
            printf("%s  ", gap);
    }
    fputs("  ", stdout);
    for (size_t i = 0; i < n; i++)
        putchar(bytes[i] >= ' ' && bytes[i] < 0x7f ? bytes[i] : '.');
    putchar('\n');
}

static int offset_digits(uint64_t last)
{
    int digits = 4;

    while (digits < 16 && last >> (4 * digits) != 0)
        digits++;
    return digits;
}

void tool_hexdump(const void *data, size_t len, uint64_t base)
{
    const uint8_t *bytes = data;
    int digits = offset_digits(base + len - (len > 0));
    bool folded = false;

    for (size_t at = 0; at < len; at += BYTES_PER_LINE) {
        size_t n = len - at < BYTES_PER_LINE ? len - at : BYTES_PER_LINE;
        bool last = len - at <= BYTES_PER_LINE;

        /* The last line is always there: it tells where the data ends. */
        if (at > 0 && !last &&
            memcmp(bytes + at, bytes + at - BYTES_PER_LINE, BYTES_PER_LINE) == 0) {
            if (!folded)
                puts("*");
            folded = true;
            continue;
        }
        folded = false;
        dump_line(bytes + at, n, base + at, digits);
    }
}

/* -------------------------------------------------------------- for humans -- */

const char *tool_size_text(uint64_t bytes, char *buf, size_t len)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    uint64_t whole = bytes;
    unsigned unit = 0, tenths;

    while (whole >= 1024) {
        whole >>= 10;
        unit++;
    }
    if (unit == 0) {
        snprintf(buf, len, "%" PRIu64 " B", bytes);
        return buf;
    }
    /* The rest in tenths, rounded: below 1024 * 1024, so that this cannot overflow. */
    tenths = (unsigned)((((bytes >> (10 * (unit - 1))) & 1023) * 10 + 512) >> 10);
    if (tenths == 10) {
        tenths = 0;
        whole++;
    }
    if (whole == 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        whole = 1;
        unit++;
    }
    if (tenths == 0)
        snprintf(buf, len, "%" PRIu64 " %s", whole, units[unit]);
    else
        snprintf(buf, len, "%" PRIu64 ".%u %s", whole, tenths, units[unit]);
    return buf;
}

void tool_progress(const struct tool_call *call, const char *format, ...)
{
    static bool shown;
    static int64_t shown_at;    /* ms */
    char text[160] = "";
    va_list ap;

    (void)call;
    if (format != NULL) {
        va_start(ap, format);
        vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
    }
    if (text[0] == '\0') {
        if (shown)
            fputs("\r\033[K", stderr);
        shown = false;
        return;
    }
    if (!isatty(STDERR_FILENO) ||
        (shown && tool_now_ms() - shown_at < PROGRESS_INTERVAL_MS))
        return;
    fprintf(stderr, "\r%s\033[K", text);
    shown = true;
    shown_at = tool_now_ms();
}
