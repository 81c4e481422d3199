/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * JSON text from a server as a Lua value, for cases that look into capabilities.
 *
 * Objects and lists become tables, whole numbers integers, null disappears. Strict
 * where json-c is lax in ways that matter to a reader of a server's answer.
 */
#include "conformance/lua_state.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#define MAX_DEPTH 16

/* The parsed tree belongs to a userdata: pushing it can raise. */
static int release(lua_State *L)
{
    struct json_object **root = lua_touserdata(L, 1);

    json_object_put(*root);
    *root = NULL;
    return 0;
}

static struct json_object **push_holder(lua_State *L)
{
    struct json_object **root = lua_newuserdatauv(L, sizeof(struct json_object *), 0);

    *root = NULL;
    if (luaL_newmetatable(L, "ct.json")) {
        lua_pushcfunction(L, release);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return root;
}

/* Depth is bounded by the parser. */
static void push_value(lua_State *L, struct json_object *v)
{
    luaL_checkstack(L, 4, "JSON");
    switch (json_object_get_type(v)) {
    case json_type_null:
        lua_pushnil(L);
        break;
    case json_type_boolean:
        lua_pushboolean(L, json_object_get_boolean(v));
        break;
    case json_type_double:
        lua_pushnumber(L, json_object_get_double(v));
        break;
    case json_type_int:
        lua_pushinteger(L, (lua_Integer)json_object_get_uint64(v));
        if (json_object_get_int64(v) < 0) {
            lua_pop(L, 1);
            lua_pushinteger(L, json_object_get_int64(v));
        }
        break;
    case json_type_string:
        lua_pushlstring(L, json_object_get_string(v),
                        (size_t)json_object_get_string_len(v));
        break;
    case json_type_array:
        lua_newtable(L);
        for (size_t i = 0; i < json_object_array_length(v); i++) {
            push_value(L, json_object_array_get_idx(v, i));
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        break;
    case json_type_object:
        lua_newtable(L);
        json_object_object_foreach(v, key, member)
        {
            push_value(L, member);
            lua_setfield(L, -2, key);
        }
        break;
    }
}

static bool parse(struct json_object **root, const char *text, size_t len, char *why,
                  size_t why_len)
{
    struct json_tokener *tok = json_tokener_new_ex(MAX_DEPTH);
    enum json_tokener_error err = json_tokener_error_size;

    if (tok != NULL) {
        json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        /* With the NUL, so that a number at the end is seen to end. */
        if (len < INT32_MAX)
            *root = json_tokener_parse_ex(tok, text, (int)len);
        err = json_tokener_get_error(tok);
        json_tokener_free(tok);
    }
    if (*root == NULL)
        snprintf(why, why_len, "no JSON: %s", json_tokener_error_desc(err));
    return *root != NULL;
}

bool ct_lua_push_json(lua_State *L, const char *text, size_t len, char *why,
                      size_t why_len)
{
    struct json_object **root = push_holder(L);

    if (!parse(root, text, len, why, why_len)) {
        lua_pop(L, 1);
        return false;
    }
    push_value(L, *root);
    lua_remove(L, -2);
    return true;
}
