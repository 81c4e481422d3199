/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reports: TAP for people and harnesses while the run goes on, JUnit XML afterwards.
 */
#ifndef CT_REPORT_H
#define CT_REPORT_H

#include <stdio.h>

#include "conformance/run.h"

/* ------------------------------------------------------------------- TAP -- */

struct ct_tap {
    FILE *out;
    const struct ct_run *run;
    struct ct_tally tally;
    bool *covered; /* owned: by position in the catalogue, judged by some case */
};

/* Version, plan and what is tested. 0 or -ENOMEM. */
int ct_tap_begin(struct ct_tap *t, FILE *out, const struct ct_run *run);
/* A ct_on_result; ctx is the struct ct_tap. */
void ct_tap_result(void *ctx, size_t position, const struct ct_case *c,
                   const struct ct_result *r);
/* The table by group and the verdict in a sentence. Returns the exit status. */
enum ct_exit ct_tap_end(struct ct_tap *t);
void ct_tap_done(struct ct_tap *t);

/* ----------------------------------------------------------------- JUnit -- */

/* 0 or -errno of writing. */
int ct_junit_write(const char *path, const struct ct_run *run);

/* The same to a stream, for tests. */
void ct_junit_print(FILE *out, const struct ct_run *run);

#endif
