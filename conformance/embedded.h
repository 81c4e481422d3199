/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files that are compiled into the runner; embed.cmake writes the other side.
 */
#ifndef CT_EMBEDDED_H
#define CT_EMBEDDED_H

#include <stddef.h>

struct ct_embedded {
    const char *name; /* "hdr.lua" */
    const unsigned char *data;
    size_t len;
};

extern const struct ct_embedded ct_embedded_prelude;
extern const struct ct_embedded ct_embedded_catalogue;
extern const struct ct_embedded ct_embedded_suites[]; /* sorted by name */
extern const size_t ct_embedded_suite_count;

#endif
