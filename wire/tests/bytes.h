/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Byte strings for the tests of codecs: typed in hexadecimal, and copied to
 * blocks of exactly their length, so that a sanitizer notices any access beyond.
 */
#ifndef VU_TESTS_BYTES_H
#define VU_TESTS_BYTES_H

#include <endian.h>

#include "wire/tests/support.h"

#define BYTES_MAX 512u

struct bytes {
    uint8_t data[BYTES_MAX];
    size_t len;
};

static inline int hex_digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = strchr(digits, c);

    if (c == '\0' || at == NULL)
        fail_msg("'%c' is no hexadecimal digit", c);
    return (int)(at - digits);
}

/* "20000000 01" and so on; blanks are for the eye. */
static inline struct bytes bytes_of_hex(const char *hex)
{
    struct bytes b = { .len = 0 };

    while (*hex != '\0') {
        if (*hex == ' ') {
            hex++;
            continue;
        }
        assert_true(b.len < BYTES_MAX);
        b.data[b.len++] = (uint8_t)(hex_digit(hex[0]) << 4 | hex_digit(hex[1]));
        hex += 2;
    }
    return b;
}

/* The first len bytes of data in a block of that size; the caller frees it. */
static inline uint8_t *exact_copy(const void *data, size_t len)
{
    uint8_t *copy = malloc(len);

    assert_non_null(copy);
    if (len != 0)
        memcpy(copy, data, len);
    return copy;
}

/* Typed bytes are little-endian, messages are in host order. */
#define SKIP_UNLESS_LITTLE_ENDIAN()      \
    do {                                 \
        if (BYTE_ORDER != LITTLE_ENDIAN) \
            skip();                      \
    } while (0)

#endif
