/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A run: the chosen cases, worked off by one or more workers.
 *
 * The main process loads everything and forks the workers. A worker owns one server
 * and takes one case after the other; each case runs in a process forked from the
 * worker. What has to pass between them lies in struct ct_shared.
 */
#ifndef CT_RUN_H
#define CT_RUN_H

#include "conformance/options.h"
#include "conformance/suite.h"

/* How a server ended when all was done: leaks are reported only then. */
struct ct_farewell {
    enum ct_fate fate;
    char text[512];
    char log[8192];
};

/* In shared memory; results follow. */
struct ct_shared {
    _Atomic int next; /* position in the order, to be taken */
    struct ct_farewell farewell[CT_MAX_WORKERS];
    struct ct_result results[]; /* by position in the order */
};

struct ct_run {
    const struct ct_options *options;
    const struct ct_catalogue *catalogue;
    const struct ct_suite *suite;
    lua_State *L;
    size_t *order; /* owned: positions in suite->cases, as they are run */
    size_t count;
    struct ct_shared *shared; /* owned, of ct_run_all() */
    int notify;               /* workers write a position (u32) when it is done */
};

/* Runs in a process of its own and never returns. */
_Noreturn void ct_worker_main(const struct ct_run *run, int number);

/* Called in order, as results become known. */
typedef void ct_on_result(void *ctx, size_t position, const struct ct_case *c,
                          const struct ct_result *r);

/* Work off the run. 0; -errno when it cannot be done; a signal's number when one ended
 * it early. */
int ct_run_all(struct ct_run *run, ct_on_result *on_result, void *ctx);
/* Release order and results. */
void ct_run_done(struct ct_run *run);

static inline const struct ct_case *ct_run_case(const struct ct_run *run, size_t position)
{
    return &run->suite->cases[run->order[position]];
}

#endif
