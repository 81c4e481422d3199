/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cases: loaded from Lua files into one state, then listed here with what the
 * runner must know before running them. The functions stay in the state.
 */
#ifndef CT_SUITE_H
#define CT_SUITE_H

#include "conformance/lua_state.h"

struct ct_case {
    char *name; /* "HDR-02", "HDR-02.2" for a second one */
    char *title;
    const struct ct_requirement *req;   /* not owned */
    const struct ct_requirement **also; /* further ones that it proves */
    size_t n_also;
    uint32_t needs; /* bit i: enum ct_need i */
    double timeout; /* seconds for the case; 0: the runner's */
    bool stops_server;
    int ref; /* position in the prelude's list, from 1 */
};

struct ct_suite {
    struct ct_case *cases; /* in the order of loading */
    size_t count;
};

/* From now on Lua code gets an error when it runs for longer than so many seconds in all;
 * 0: no limit. For loading: a running case is ended by its worker. */
void ct_suite_limit(lua_State *L, int seconds);

/* Run one file; its cases are added to the prelude's list. name is for messages.
 * 0, or -EINVAL: why says file and line. */
int ct_suite_load(lua_State *L, const char *name, const char *text, size_t len, char *why,
                  size_t why_len);
/* All *.lua of a directory, by name. Also -errno of reading, with why. */
int ct_suite_load_dir(lua_State *L, const char *dir, char *why, size_t why_len);
/* Those that are compiled in. */
int ct_suite_load_embedded(lua_State *L, char *why, size_t why_len);

/* List what was loaded. 0 or -ENOMEM. */
int ct_suite_list(lua_State *L, struct ct_suite *s);
void ct_suite_free(struct ct_suite *s);

/* Does a pattern of --select take this case? It may name the case, an id that it proves
 * (both as a glob), or a group. */
bool ct_case_matches(const struct ct_case *c, const char *pattern);

#endif
