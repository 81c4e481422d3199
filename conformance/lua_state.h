/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Lua state that cases live in.
 *
 * It is made once, the suites are loaded into it, and every case runs in a process
 * that was forked off with a copy of it: nothing that a case does reaches another.
 *
 * Only libraries that touch nothing outside are open, and memory is bounded. Errors
 * are longjmps, so C code below a Lua call owns nothing in local variables: what must
 * be released belongs to a userdata with __gc.
 */
#ifndef CT_LUA_STATE_H
#define CT_LUA_STATE_H

#include <lauxlib.h>
#include <lua.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "conformance/catalogue.h"
#include "conformance/needs.h"
#include "conformance/result.h"

/* What a running case, probe or liveness check knows of its surroundings. */
struct ct_child {
    struct ct_result *result;     /* shared, see result.h */
    const struct ct_needs *needs; /* of this server */
    const char *socket_path;
    double timeout;       /* seconds for one reply */
    double start_timeout; /* ... for a server that is coming up */
    const char *case_name;
    uint64_t seed;
    bool spawned;                  /* by the runner */
    bool served;                   /* the server took a connection before */
    bool patient;                  /* wait until the server has seen a client leave */
    int control;                   /* to the worker, see worker.h; -1: none */
    const _Atomic int *server_end; /* shared: enum ct_server_end */
};

enum ct_server_end { CT_SERVER_UP, CT_SERVER_EXITED, CT_SERVER_DIED };

struct ct_lua {
    const struct ct_catalogue *catalogue; /* not owned */
    struct ct_child *child;               /* NULL while suites are being loaded */
    int64_t load_until;                   /* vu_deadline, see ct_suite_limit() */
    size_t allocated;                     /* bytes in use by Lua */
};

/* A state with the prelude loaded. ctx must outlive it. NULL: why says it. */
lua_State *ct_lua_new(struct ct_lua *ctx, char *why, size_t why_len);

struct ct_lua *ct_lua_ctx(lua_State *L);
/* The same, or a Lua error: only a running case may do that. */
struct ct_child *ct_lua_child(lua_State *L);

/* Push member `name` of what the prelude returned. */
void ct_lua_prelude(lua_State *L, const char *name);

/* For messages: file:line in the case, and when that is a shared function's, ", from file:line"
 * of who called it. "" when there is none. */
const char *ct_lua_where(lua_State *L, char *buf, size_t len);

/* Push an error's text. One that names the prelude names the line of the case or suite
 * instead: for message handlers, while the stack still stands. */
void ct_lua_relocate(lua_State *L, const char *message);

/* The parts that open_core() puts together; each leaves its functions in the
 * table on top of the stack. */
void ct_lua_open_conn(lua_State *L);
void ct_lua_open_fd(lua_State *L);
void ct_lua_open_msg(lua_State *L);
void ct_lua_open_run(lua_State *L);

/* ------------------------------------------------ between those parts -- */

/* Push a descriptor object that owns fd from now on; -1 gives an empty one. On a Lua
 * error fd stays open: push an empty one first where that matters. */
struct ct_fd {
    int fd;           /* owned; -1: closed */
    const char *kind; /* static text */
};
struct ct_fd *ct_lua_push_fd(lua_State *L, int fd, const char *kind);
/* The descriptor of the object at idx; a Lua error when it is none or closed. */
int ct_lua_fd(lua_State *L, int idx, const char *what);

/* Field `name` of the table at idx: an integer, or text of one, of so many bits.
 * Floats, negative values and what does not fit are refused by name. */
uint64_t ct_lua_uint(lua_State *L, int idx, const char *name, int bits, uint64_t absent);

/* Push a Lua value for JSON text; false: nothing pushed, why says it. */
bool ct_lua_push_json(lua_State *L, const char *text, size_t len, char *why,
                      size_t why_len);

#endif
