/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command line.
 */
#ifndef CT_OPTIONS_H
#define CT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "conformance/catalogue.h"

#define CT_MAX_WORKERS 64
#define CT_MAX_SUITES  16

struct ct_options {
    /* Pointers into argv, except select. */
    const char *socket_path; /* one of these two, unless listing */
    const char *spawn;
    const char *suites[CT_MAX_SUITES]; /* directories; none: the embedded ones */
    size_t n_suites;
    char **select; /* owned: patterns; none: everything */
    size_t n_select;
    const char *junit; /* file; NULL: none */

    enum ct_level level;  /* this one and stronger ones */
    double timeout;       /* seconds for a reply */
    double case_timeout;  /* seconds for a case */
    double start_timeout; /* seconds for a server to come up */
    unsigned jobs;
    bool shuffle; /* --seed was given */
    uint64_t seed;
    bool list, verbose, strict;
};

enum ct_parsed { CT_PARSED, CT_PARSED_EXIT, CT_PARSED_BAD };

/* CT_PARSED_EXIT: --help or --version was answered on out. CT_PARSED_BAD: why says it. */
enum ct_parsed ct_options_parse(struct ct_options *o, int argc, char **argv, FILE *out,
                                char *why, size_t why_len);
void ct_options_done(struct ct_options *o);

#endif
