/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Arguments: numbers, times, names of regions and interrupts. What is wrong with one is
 * said in a sentence that names it.
 */
#include "tools/frame.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const region_names[] = { "bar0", "bar1", "bar2",   "bar3", "bar4",
                                            "bar5", "rom",  "config", "vga" };
static const char *const irq_names[] = { "intx", "msi", "msix", "err", "req" };

#define N_NAMES(names) (sizeof(names) / sizeof((names)[0]))

/* ---------------------------------------------------------------- numbers -- */

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

/* Digits of one base, at least one. Returns what follows them, or NULL; *over: they do
 * not fit. */
static const char *take_digits(const char *text, unsigned base, uint64_t *value,
                               bool *over)
{
    const char *at = text;
    uint64_t v = 0;

    for (; (unsigned)digit_value(*at) < base; at++) {
        unsigned digit = (unsigned)digit_value(*at);

        *over |= v > (UINT64_MAX - digit) / base;
        v = v * base + digit;
    }
    *value = v;
    return at == text ? NULL : at;
}

/* "K" is 10 bits, "M" 20 ...; 0 for none. */
static unsigned suffix_shift(char c)
{
    static const char suffixes[] = "KMGT";
    const char *at = c != '\0' ? strchr(suffixes, toupper((unsigned char)c)) : NULL;

    return at != NULL ? 10u * (unsigned)(at - suffixes + 1) : 0;
}

int tool_number(const char *text, const char *what, uint64_t max, uint64_t *value)
{
    bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X'), over = false;
    const char *end;
    unsigned shift;
    uint64_t v;

    end = take_digits(hex ? text + 2 : text, hex ? 16 : 10, &v, &over);
    shift = end != NULL ? suffix_shift(*end) : 0;
    if (end == NULL || end[shift != 0] != '\0') {
        tool_complain("%s: '%s' is no number (as 4096, 0x1000 or 4K)", what, text);
        return -EINVAL;
    }
    if (over || v > UINT64_MAX >> shift || v << shift > max) {
        tool_complain("%s: %s is too large, at most 0x%" PRIx64 " will do", what, text,
                      max);
        return -ERANGE;
    }
    *value = v << shift;
    return 0;
}

/* Up to three decimals count; more round up, so that a little is not nothing. */
static const char *take_thousandths(const char *text, unsigned *thousandths)
{
    const char *at = text;
    unsigned weight = 100, sum = 0;
    bool more = false;

    for (; *at >= '0' && *at <= '9'; at++) {
        sum += (unsigned)(*at - '0') * weight;
        more |= weight == 0 && *at != '0';
        weight /= 10;
    }
    *thousandths = sum + more;
    return at == text ? NULL : at;
}

int tool_seconds(const char *text, const char *what, int *ms)
{
    unsigned thousandths = 0;
    bool over = false;
    const char *end;
    uint64_t whole;

    if (strcmp(text, "never") == 0) {
        *ms = -1;
        return 0;
    }
    end = take_digits(text, 10, &whole, &over);
    if (end != NULL && *end == '.')
        end = take_thousandths(end + 1, &thousandths);
    if (end == NULL || *end != '\0') {
        tool_complain("%s: '%s' is no time in seconds (as 5, 0.5 or never)", what, text);
        return -EINVAL;
    }
    if (over || whole > INT_MAX / 1000 - 1) {
        tool_complain("%s: %s seconds are too many, at most %d will do", what, text,
                      INT_MAX / 1000 - 1);
        return -ERANGE;
    }
    *ms = (int)(whole * 1000 + thousandths);
    return 0;
}

/* ------------------------------------------------------------------ names -- */

/* The name's index, or an index as a number. */
static int find_name(const char *text, const char *const *names, size_t n,
                     const char *kind, uint32_t *index)
{
    uint64_t number;
    int err;

    for (size_t i = 0; i < n; i++) {
        if (strcasecmp(text, names[i]) == 0) {
            *index = (uint32_t)i;
            return 0;
        }
    }
    if (text[0] < '0' || text[0] > '9') {
        tool_complain("'%s' is no %s (%s to %s, or an index)", text, kind, names[0],
                      names[n - 1]);
        return -EINVAL;
    }
    err = tool_number(text, kind, UINT32_MAX, &number);
    if (err == 0)
        *index = (uint32_t)number;
    return err;
}

int tool_region(const char *text, uint32_t *index)
{
    return find_name(text, region_names, N_NAMES(region_names), "region", index);
}

int tool_irq(const char *text, uint32_t *index)
{
    return find_name(text, irq_names, N_NAMES(irq_names), "interrupt", index);
}

const char *tool_region_name(uint32_t index, char *buf, size_t len)
{
    if (index < N_NAMES(region_names))
        snprintf(buf, len, "%s", region_names[index]);
    else
        snprintf(buf, len, "region %" PRIu32, index);
    return buf;
}

const char *tool_irq_name(uint32_t index, char *buf, size_t len)
{
    if (index < N_NAMES(irq_names))
        snprintf(buf, len, "%s", irq_names[index]);
    else
        snprintf(buf, len, "irq %" PRIu32, index);
    return buf;
}
