/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loads suites and lists their cases. The shape of a case is checked by the prelude's
 * case(), where file and line are known; what comes here is well-formed.
 */
#include "conformance/suite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conformance/embedded.h"
#include "wire/channel.h"

#define SUITE_MAX_BYTES (4 << 20)

/* Called every so many instructions of Lua. Once the time is over the next one fails too,
 * and so on, so that no pcall() keeps a loop alive. */
static void check_time(lua_State *L, lua_Debug *ar)
{
    char where[160];

    (void)ar;
    if (vu_deadline_left_ms(ct_lua_ctx(L)->load_until) > 0)
        return;
    lua_sethook(L, check_time, LUA_MASKCOUNT, 1);
    lua_pushfstring(L, "%s: this suite does not finish loading",
                    ct_lua_where(L, where, sizeof(where)));
    lua_error(L);
}

void ct_suite_limit(lua_State *L, int seconds)
{
    ct_lua_ctx(L)->load_until = vu_deadline_in_ms(seconds * 1000);
    if (seconds != 0)
        lua_sethook(L, check_time, LUA_MASKCOUNT, 10000);
    else
        lua_sethook(L, NULL, 0, 0);
}

static int locate_error(lua_State *L)
{
    ct_lua_relocate(L, luaL_tolstring(L, 1, NULL));
    return 1;
}

int ct_suite_load(lua_State *L, const char *name, const char *text, size_t len, char *why,
                  size_t why_len)
{
    char chunk[256];
    int err = 0;

    snprintf(chunk, sizeof(chunk), "@%s", name);
    lua_pushcfunction(L, locate_error);
    if (luaL_loadbufferx(L, text, len, chunk, "t") != LUA_OK ||
        lua_pcall(L, 0, 0, -2) != LUA_OK) {
        snprintf(why, why_len, "%s", luaL_tolstring(L, -1, NULL));
        lua_pop(L, 2);
        err = -EINVAL;
    }
    lua_pop(L, 1);
    return err;
}

int ct_suite_load_embedded(lua_State *L, char *why, size_t why_len)
{
    for (size_t i = 0; i < ct_embedded_suite_count; i++) {
        const struct ct_embedded *e = &ct_embedded_suites[i];
        int err = ct_suite_load(L, e->name, (const char *)e->data, e->len, why, why_len);

        if (err != 0)
            return err;
    }
    return 0;
}

/* -------------------------------------------------------------- directory -- */

/* The whole file, to be freed. NULL with errno. */
static char *read_file(int dir, const char *name, size_t *len)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    char *text = NULL;
    struct stat st;
    ssize_t n;

    if (fd == -1)
        return NULL;
    if (fstat(fd, &st) == 0 && st.st_size <= SUITE_MAX_BYTES) {
        text = malloc((size_t)st.st_size + 1);
        n = text != NULL ? read(fd, text, (size_t)st.st_size) : -1;
        if (n >= 0) {
            *len = (size_t)n;
        } else {
            free(text);
            text = NULL;
        }
    } else {
        errno = EFBIG;
    }
    close(fd);
    return text;
}

static int is_suite(const struct dirent *d)
{
    size_t len = strlen(d->d_name);

    return len > 4 && d->d_name[0] != '.' && strcmp(d->d_name + len - 4, ".lua") == 0;
}

static int load_file(lua_State *L, int dir, const char *name, char *why, size_t why_len)
{
    size_t len;
    char *text = read_file(dir, name, &len);
    int err;

    if (text == NULL) {
        err = -errno;
        snprintf(why, why_len, "%s: %s", name, strerror(-err));
        return err;
    }
    err = ct_suite_load(L, name, text, len, why, why_len);
    free(text);
    return err;
}

int ct_suite_load_dir(lua_State *L, const char *dir, char *why, size_t why_len)
{
    struct dirent **names;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int n = fd != -1 ? scandir(dir, &names, is_suite, alphasort) : -1;
    int err = 0;

    if (n == -1) {
        err = -errno;
        snprintf(why, why_len, "%s: %s", dir, strerror(-err));
    } else {
        for (int i = 0; i < n; i++) {
            if (err == 0)
                err = load_file(L, fd, names[i]->d_name, why, why_len);
            free(names[i]);
        }
        free(names);
        if (n == 0) {
            err = -ENOENT;
            snprintf(why, why_len, "%s: there is no .lua file", dir);
        }
    }
    if (fd != -1)
        close(fd);
    return err;
}

/* ---------------------------------------------------------------- listing -- */

static char *copy_field(lua_State *L, const char *name)
{
    char *copy;

    lua_getfield(L, -1, name);
    copy = strdup(lua_tostring(L, -1));
    lua_pop(L, 1);
    return copy;
}

static uint32_t read_needs(lua_State *L)
{
    uint32_t needs = 0;

    lua_getfield(L, -1, "needs");
    for (lua_Integer i = 1; i <= luaL_len(L, -1); i++) {
        lua_rawgeti(L, -1, i);
        needs |= UINT32_C(1) << ct_need_find(lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return needs;
}

static int read_also(lua_State *L, struct ct_case *c)
{
    const struct ct_catalogue *catalogue = ct_lua_ctx(L)->catalogue;
    lua_Integer n;

    lua_getfield(L, -1, "also");
    n = luaL_len(L, -1);
    if (n != 0 &&
        (c->also = calloc((size_t)n, sizeof(struct ct_requirement *))) == NULL) {
        lua_pop(L, 1);
        return -ENOMEM;
    }
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, -1, i);
        c->also[c->n_also++] = ct_catalogue_find(catalogue, lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return 0;
}

/* The case whose table is on top of the stack. */
static int read_case(lua_State *L, struct ct_case *c)
{
    c->name = copy_field(L, "name");
    c->title = copy_field(L, "title");
    lua_getfield(L, -1, "id");
    c->req = ct_catalogue_find(ct_lua_ctx(L)->catalogue, lua_tostring(L, -1));
    lua_getfield(L, -2, "timeout");
    c->timeout = lua_tonumber(L, -1);
    lua_getfield(L, -3, "stops_server");
    c->stops_server = lua_toboolean(L, -1);
    lua_pop(L, 3);
    c->needs = read_needs(L);
    if (c->name == NULL || c->title == NULL)
        return -ENOMEM;
    return read_also(L, c);
}

int ct_suite_list(lua_State *L, struct ct_suite *s)
{
    struct ct_suite new = { 0 };
    lua_Integer n;
    int err = 0;

    ct_lua_prelude(L, "cases");
    n = luaL_len(L, -1);
    new.cases = calloc(n != 0 ? (size_t)n : 1, sizeof(*new.cases));
    if (new.cases == NULL)
        err = -ENOMEM;
    for (lua_Integer i = 1; err == 0 && i <= n; i++) {
        lua_rawgeti(L, -1, i);
        new.cases[new.count].ref = (int)i;
        err = read_case(L, &new.cases[new.count++]);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    if (err != 0)
        ct_suite_free(&new);
    else
        *s = new;
    return err;
}

void ct_suite_free(struct ct_suite *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->cases[i].name);
        free(s->cases[i].title);
        free(s->cases[i].also);
    }
    free(s->cases);
    *s = (struct ct_suite){ 0 };
}

static bool id_matches(const char *id, const char *pattern)
{
    size_t group = ct_group_len(id);

    return fnmatch(pattern, id, 0) == 0 ||
           (strlen(pattern) == group && strncmp(pattern, id, group) == 0);
}

bool ct_case_matches(const struct ct_case *c, const char *pattern)
{
    if (fnmatch(pattern, c->name, 0) == 0 || id_matches(c->req->id, pattern))
        return true;
    for (size_t i = 0; i < c->n_also; i++) {
        if (id_matches(c->also[i]->id, pattern))
            return true;
    }
    return false;
}
