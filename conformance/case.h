/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The process in which a case runs, and likewise a probe or a liveness check.
 */
#ifndef CT_CASE_H
#define CT_CASE_H

#include <sys/types.h>

#include "conformance/lua_state.h"

/* What to run: a function of the prelude and its argument. */
struct ct_task {
    const char *function; /* "run", "probe", "visit", "liveness" */
    const char *text;     /* the argument, NULL: number is it */
    int number;
};

/* Fork the process. It records into env->result and mostly ends by itself; the caller
 * supervises it. Returns the pid, or -errno. */
pid_t ct_case_fork(lua_State *L, struct ct_child *env, const struct ct_task *task);

#endif
