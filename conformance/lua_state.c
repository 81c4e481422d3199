/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Making the Lua state: safe libraries, bounded memory, the prelude.
 */
#include "conformance/lua_state.h"

#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conformance/embedded.h"

/* For all that a case makes: a message of the largest size some hundred times over. */
#define MEMORY_LIMIT ((size_t)512 << 20)

static const char prelude_key; /* its address is the key in the registry */

static void *bounded_alloc(void *ud, void *ptr, size_t had, size_t wanted)
{
    struct ct_lua *ctx = ud;
    void *p;

    if (ptr == NULL)
        had = 0; /* then it is the kind of object, not a size */
    if (wanted == 0) {
        free(ptr);
        ctx->allocated -= had;
        return NULL;
    }
    if (wanted > had && wanted - had > MEMORY_LIMIT - ctx->allocated)
        return NULL;
    p = realloc(ptr, wanted);
    if (p != NULL)
        ctx->allocated += wanted - had;
    return p;
}

struct ct_lua *ct_lua_ctx(lua_State *L)
{
    return *(struct ct_lua **)lua_getextraspace(L);
}

struct ct_child *ct_lua_child(lua_State *L)
{
    struct ct_child *child = ct_lua_ctx(L)->child;

    if (child == NULL)
        luaL_error(L, "only a running case may do that");
    return child;
}

void ct_lua_prelude(lua_State *L, const char *name)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &prelude_key);
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
}

/* The line of a stack frame of a suite's file; the prelude is '=...'. */
static bool suite_line(lua_State *L, lua_Debug *ar)
{
    lua_getinfo(L, "Sl", ar);
    return ar->source[0] == '@' && ar->currentline > 0;
}

const char *ct_lua_where(lua_State *L, char *buf, size_t len)
{
    lua_Debug ar, inner = { 0 }, outer = { 0 };
    bool found = false;

    for (int level = 0; lua_getstack(L, level, &ar); level++) {
        if (!suite_line(L, &ar))
            continue;
        if (!found)
            inner = ar;
        outer = ar;
        found = true;
    }
    buf[0] = '\0';
    if (found)
        ct_append(buf, len, "%s:%d", inner.short_src, inner.currentline);
    if (found && outer.currentline != inner.currentline)
        ct_append(buf, len, ", from %s:%d", outer.short_src, outer.currentline);
    return buf;
}

void ct_lua_relocate(lua_State *L, const char *message)
{
    const char *rest = strncmp(message, "prelude:", 8) == 0 ? strstr(message, ": ")
                                                            : NULL;
    char where[160];

    ct_lua_where(L, where, sizeof(where));
    if (rest != NULL && where[0] != '\0')
        lua_pushfstring(L, "%s: %s", where, rest + 2);
    else
        lua_pushstring(L, message);
}

static void open_libraries(lua_State *L)
{
    static const luaL_Reg libraries[] = {
        { LUA_GNAME, luaopen_base },       { LUA_STRLIBNAME, luaopen_string },
        { LUA_TABLIBNAME, luaopen_table }, { LUA_MATHLIBNAME, luaopen_math },
        { LUA_UTF8LIBNAME, luaopen_utf8 }, { LUA_COLIBNAME, luaopen_coroutine },
    };
    static const char *const unsafe[] = { "dofile", "loadfile" };

    for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++) {
        luaL_requiref(L, libraries[i].name, libraries[i].func, 1);
        lua_pop(L, 1);
    }
    for (size_t i = 0; i < sizeof(unsafe) / sizeof(unsafe[0]); i++) {
        lua_pushnil(L);
        lua_setglobal(L, unsafe[i]);
    }
}

/* Runs protected: any of this can raise. */
static int open_all(lua_State *L)
{
    const struct ct_embedded *prelude = &ct_embedded_prelude;

    open_libraries(L);
    if (luaL_loadbufferx(L, (const char *)prelude->data, prelude->len, "=prelude", "t") !=
        LUA_OK)
        return lua_error(L);
    lua_newtable(L);
    ct_lua_open_conn(L);
    ct_lua_open_fd(L);
    ct_lua_open_msg(L);
    ct_lua_open_run(L);
    lua_call(L, 1, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &prelude_key);
    return 0;
}

lua_State *ct_lua_new(struct ct_lua *ctx, char *why, size_t why_len)
{
    lua_State *L;

    ctx->allocated = 0;
    L = lua_newstate(bounded_alloc, ctx);
    if (L == NULL) {
        snprintf(why, why_len, "out of memory");
        return NULL;
    }
    *(struct ct_lua **)lua_getextraspace(L) = ctx;
    lua_pushcfunction(L, open_all);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK) {
        snprintf(why, why_len, "%s", luaL_tolstring(L, -1, NULL));
        lua_close(L);
        return NULL;
    }
    return L;
}
