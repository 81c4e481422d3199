/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs one Lua function in a process of its own and records what came of it.
 */
#include "conformance/case.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Message handler: the text with file, line and a traceback, unless it is a verdict. */
static int explain(lua_State *L)
{
    if (ct_lua_child(L)->result->recorded != CT_NONE)
        return 1;
    ct_lua_relocate(L, luaL_tolstring(L, 1, NULL));
    luaL_traceback(L, L, lua_tostring(L, -1), 1);
    return 1;
}

static void run_task(lua_State *L, const struct ct_task *task)
{
    struct ct_result *r = ct_lua_child(L)->result;
    char where[sizeof(r->where)];

    lua_pushcfunction(L, explain);
    ct_lua_prelude(L, task->function);
    if (task->text != NULL)
        lua_pushstring(L, task->text);
    else
        lua_pushinteger(L, task->number);
    if (lua_pcall(L, 1, 0, -3) != LUA_OK)
        ct_record(r, CT_ERROR, ct_lua_where(L, where, sizeof(where)), "%s",
                  luaL_tolstring(L, -1, NULL));
}

static void become_case(lua_State *L, struct ct_child *env, const struct ct_task *task,
                        pid_t parent)
{
    sigset_t none;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    signal(SIGTERM, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);

    ct_lua_ctx(L)->child = env;
    run_task(L, task);
    lua_close(L); /* closes connections and descriptors */
    env->result->ended = true;
    exit(0);
}

pid_t ct_case_fork(lua_State *L, struct ct_child *env, const struct ct_task *task)
{
    pid_t parent = getpid();
    pid_t pid = fork();

    if (pid == 0)
        become_case(L, env, task, parent);
    return pid == -1 ? -errno : pid;
}
