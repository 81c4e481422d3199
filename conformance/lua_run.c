/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the prelude asks of the engine while a case runs: verdicts, notes, needs, and
 * the worker's help.
 */
#include "conformance/lua_state.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "conformance/control.h"
#include "wire/channel.h"

/* record(verdict, text[, timed_out]) */
static int run_record(lua_State *L)
{
    static const char *const names[] = { "pass", "warn", "fail", "skip", "error", NULL };
    static const enum ct_verdict verdicts[] = { CT_PASS, CT_WARN, CT_FAIL, CT_SKIP,
                                                CT_ERROR };
    enum ct_verdict v = verdicts[luaL_checkoption(L, 1, NULL, names)];
    const char *text = luaL_checkstring(L, 2);
    struct ct_result *r = ct_lua_child(L)->result;
    char at[sizeof(r->where)];

    if (r->recorded == CT_NONE)
        r->timed_out = lua_toboolean(L, 3);
    ct_record(r, v, ct_lua_where(L, at, sizeof(at)), "%s", text);
    return 0;
}

/* note(text, is_warning) */
static int run_note(lua_State *L)
{
    const char *text = luaL_checkstring(L, 1);
    struct ct_result *r = ct_lua_child(L)->result;

    if (lua_toboolean(L, 2)) {
        r->warned = true;
        ct_append(r->notes, sizeof(r->notes), "warning: %s\n", text);
    } else {
        ct_append(r->notes, sizeof(r->notes), "note: %s\n", text);
    }
    return 0;
}

static int run_trace(lua_State *L)
{
    ct_trace(ct_lua_child(L)->result, luaL_checkstring(L, 1));
    return 0;
}

static int run_where(lua_State *L)
{
    char at[128];

    lua_pushstring(L, ct_lua_where(L, at, sizeof(at)));
    return 1;
}

/* known_id(id), known_need(name): for case(), while suites are being loaded */
static int run_known_id(lua_State *L)
{
    const char *id = luaL_checkstring(L, 1);

    lua_pushboolean(L, ct_catalogue_find(ct_lua_ctx(L)->catalogue, id) != NULL);
    return 1;
}

static int run_known_need(lua_State *L)
{
    lua_pushboolean(L, ct_need_find(luaL_checkstring(L, 1)) != -1);
    return 1;
}

/* need(name): index or 1 when it is there, nil when it is not or was not asked for */
static int run_need(lua_State *L)
{
    const struct ct_needs *needs = ct_lua_child(L)->needs;
    int i = ct_need_find(luaL_checkstring(L, 1));

    if (i == -1)
        return luaL_error(L, "there is no need called '%s'", lua_tostring(L, 1));
    if (needs->of[i].state != CT_NEED_THERE)
        return 0;
    lua_pushinteger(L, needs->of[i].value);
    return 1;
}

/* found(value): the answer of a probe */
static int run_found(lua_State *L)
{
    ct_lua_child(L)->result->need_value = luaL_checkinteger(L, 1);
    return 0;
}

/* started(): the case has what it starts from */
static int run_started(lua_State *L)
{
    ct_lua_child(L)->result->started = true;
    return 0;
}

/* unnoticed(): the server takes no notice of half a close */
static int run_unnoticed(lua_State *L)
{
    ct_lua_child(L)->result->unnoticed = true;
    return 0;
}

static int run_env(lua_State *L)
{
    const struct ct_child *c = ct_lua_child(L);

    lua_newtable(L);
    lua_pushstring(L, c->socket_path);
    lua_setfield(L, -2, "socket");
    lua_pushnumber(L, c->timeout);
    lua_setfield(L, -2, "timeout");
    lua_pushnumber(L, c->start_timeout);
    lua_setfield(L, -2, "start_timeout");
    lua_pushboolean(L, c->spawned);
    lua_setfield(L, -2, "spawned");
    lua_pushboolean(L, c->served);
    lua_setfield(L, -2, "served");
    lua_pushboolean(L, c->patient);
    lua_setfield(L, -2, "patient");
    lua_pushstring(L, c->case_name);
    lua_setfield(L, -2, "case_name");
    lua_pushinteger(L, (lua_Integer)c->seed);
    lua_setfield(L, -2, "seed");
    return 1;
}

/* server_end([seconds]): nil while the server runs, "exited" or "died" when it is known
 * to have ended; waits so long for that knowledge */
static int run_server_end(lua_State *L)
{
    static const char *const names[] = { NULL, "exited", "died" };
    const struct ct_child *c = ct_lua_child(L);
    vu_deadline deadline = vu_deadline_in_ms((int64_t)(luaL_optnumber(L, 1, 0) * 1000));
    struct timespec ms = { .tv_nsec = 1000000 };

    while (*c->server_end == CT_SERVER_UP && vu_deadline_left_ms(deadline) > 0)
        nanosleep(&ms, NULL);
    lua_pushstring(L, names[*c->server_end]);
    return 1;
}

static int run_sleep(lua_State *L)
{
    double seconds = luaL_checknumber(L, 1);
    struct timespec t = { .tv_sec = (time_t)seconds };

    t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
    nanosleep(&t, NULL);
    return 0;
}

/* terminate(seconds): did it end in time, how, and is its socket file still there? */
static int run_terminate(lua_State *L)
{
    struct ct_child *c = ct_lua_child(L);
    double seconds = luaL_checknumber(L, 1);
    struct ct_control_request request = { .ms = (int64_t)(seconds * 1000) };
    struct ct_control_answer answer;

    if (!c->spawned)
        return luaL_error(L, "terminate: the runner did not start this server "
                             "(needs = \"spawned\")");
    c->result->awaits_server = 1;
    if (send(c->control, &request, sizeof(request), MSG_NOSIGNAL) != sizeof(request) ||
        recv(c->control, &answer, sizeof(answer), 0) != sizeof(answer))
        return luaL_error(L, "terminate: %s", strerror(errno));
    c->result->awaits_server = 0;
    lua_pushboolean(L, answer.ended);
    lua_pushstring(L, answer.text);
    lua_pushboolean(L, access(c->socket_path, F_OK) == 0);
    return 3;
}

/* now(): seconds of a clock that never goes back */
static int run_now(lua_State *L)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    lua_pushnumber(L, (double)t.tv_sec + (double)t.tv_nsec / 1e9);
    return 1;
}

void ct_lua_open_run(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "record", run_record },     { "note", run_note },
        { "trace", run_trace },       { "where", run_where },
        { "known_id", run_known_id }, { "known_need", run_known_need },
        { "need", run_need },         { "found", run_found },
        { "started", run_started },   { "unnoticed", run_unnoticed },
        { "env", run_env },           { "server_end", run_server_end },
        { "sleep", run_sleep },       { "terminate", run_terminate },
        { "now", run_now },           { NULL, NULL },
    };

    luaL_setfuncs(L, functions, 0);
}
