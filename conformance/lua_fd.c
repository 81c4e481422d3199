/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptors as Lua objects: what a case passes to a server and what it gets from
 * one. An object owns its descriptor and closes it at the latest when the case ends.
 */
#include "conformance/lua_state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "wire/channel.h"
#include "wire/text.h"

#define FD_TYPE      "ct.fd"
#define MAPPING_TYPE "ct.mapping"

/* A case may touch this much at once. */
#define TRANSFER_LIMIT (INT64_C(64) << 20)

struct ct_fd *ct_lua_push_fd(lua_State *L, int fd, const char *kind)
{
    struct ct_fd *o = lua_newuserdatauv(L, sizeof(*o), 0);

    o->fd = fd;
    o->kind = kind;
    luaL_setmetatable(L, FD_TYPE);
    return o;
}

static struct ct_fd *check_open(lua_State *L)
{
    struct ct_fd *o = luaL_checkudata(L, 1, FD_TYPE);

    if (o->fd == -1)
        luaL_error(L, "this %s is closed", o->kind);
    return o;
}

int ct_lua_fd(lua_State *L, int idx, const char *what)
{
    struct ct_fd *o = luaL_testudata(L, idx, FD_TYPE);

    if (o == NULL)
        return luaL_error(L, "%s: a descriptor object is wanted, not a %s", what,
                          luaL_typename(L, idx));
    if (o->fd == -1)
        return luaL_error(L, "%s: this %s is closed", what, o->kind);
    return o->fd;
}

static int raise_errno(lua_State *L, const char *what)
{
    return luaL_error(L, "%s: %s", what, strerror(errno));
}

/* ---------------------------------------------------------------- making -- */

/* memfd(size[, name]) */
static int make_memfd(lua_State *L)
{
    lua_Integer size = luaL_checkinteger(L, 1);
    struct ct_fd *o = ct_lua_push_fd(L, -1, "memory");

    o->fd = memfd_create("conformance", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (o->fd == -1 || ftruncate(o->fd, size) == -1)
        return raise_errno(L, "memory");
    return 1;
}

static int make_eventfd(lua_State *L)
{
    struct ct_fd *o = ct_lua_push_fd(L, -1, "eventfd");

    o->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (o->fd == -1)
        return raise_errno(L, "eventfd");
    return 1;
}

static int make_pipe(lua_State *L)
{
    struct ct_fd *r = ct_lua_push_fd(L, -1, "pipe");
    struct ct_fd *w = ct_lua_push_fd(L, -1, "pipe");
    int ends[2];

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) == -1)
        return raise_errno(L, "pipe");
    r->fd = ends[0];
    w->fd = ends[1];
    return 2;
}

static int make_socketpair(lua_State *L)
{
    struct ct_fd *a = ct_lua_push_fd(L, -1, "socket");
    struct ct_fd *b = ct_lua_push_fd(L, -1, "socket");
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == -1)
        return raise_errno(L, "socketpair");
    a->fd = ends[0];
    b->fd = ends[1];
    return 2;
}

/* ----------------------------------------------------------------- using -- */

static int fd_close(lua_State *L)
{
    struct ct_fd *o = luaL_checkudata(L, 1, FD_TYPE);

    if (o->fd != -1)
        close(o->fd);
    o->fd = -1;
    return 0;
}

static int fd_kind(lua_State *L)
{
    struct ct_fd *o = luaL_checkudata(L, 1, FD_TYPE);
    char text[128];

    lua_pushstring(L, o->fd == -1 ? "closed" : vu_fd_text(text, sizeof(text), o->fd));
    return 1;
}

/* read(offset, len): what is there; shorter at the end of the file */
static int fd_read(lua_State *L)
{
    struct ct_fd *o = check_open(L);
    lua_Integer offset = luaL_checkinteger(L, 2);
    lua_Integer len = luaL_checkinteger(L, 3);
    luaL_Buffer b;
    ssize_t n;

    luaL_argcheck(L, len >= 0 && len <= TRANSFER_LIMIT, 3, "length");
    n = pread(o->fd, luaL_buffinitsize(L, &b, (size_t)len), (size_t)len, offset);
    if (n == -1)
        return raise_errno(L, "read");
    luaL_pushresultsize(&b, (size_t)n);
    return 1;
}

static int fd_write(lua_State *L)
{
    struct ct_fd *o = check_open(L);
    lua_Integer offset = luaL_checkinteger(L, 2);
    size_t len;
    const char *bytes = luaL_checklstring(L, 3, &len);
    ssize_t n = pwrite(o->fd, bytes, len, offset);

    if (n == -1)
        return raise_errno(L, "write");
    if ((size_t)n != len)
        return luaL_error(L, "write: only %I of %I bytes", (lua_Integer)n,
                          (lua_Integer)len);
    return 0;
}

static int fd_resize(lua_State *L)
{
    struct ct_fd *o = check_open(L);

    if (ftruncate(o->fd, luaL_checkinteger(L, 2)) == -1)
        return raise_errno(L, "resize");
    return 0;
}

static int fd_size(lua_State *L)
{
    struct ct_fd *o = check_open(L);
    struct stat st;

    if (fstat(o->fd, &st) == -1)
        return raise_errno(L, "size");
    lua_pushinteger(L, st.st_size);
    return 1;
}

/* seal([write]): against shrinking and growing; with true against new writers too.
 * False: refused, as somebody has it mapped for writing. */
static int fd_seal(lua_State *L)
{
    struct ct_fd *o = check_open(L);
    int seals = lua_toboolean(L, 2) ? F_SEAL_WRITE : F_SEAL_SHRINK | F_SEAL_GROW;
    int err = fcntl(o->fd, F_ADD_SEALS, seals);

    if (err == -1 && errno != EBUSY)
        return raise_errno(L, "seal");
    lua_pushboolean(L, err == 0);
    return 1;
}

/* Waits for input, at most so many seconds; 1 when there is some (or the end). */
static int wait_input(lua_State *L, int fd, double seconds)
{
    struct ct_child *child = ct_lua_child(L);
    vu_deadline deadline = vu_deadline_in_ms((int64_t)(seconds * 1000));
    struct pollfd p = { .fd = fd, .events = POLLIN };
    int n;

    child->result->awaits_server = 1;
    do {
        n = poll(&p, 1, seconds > 0 ? vu_deadline_left_ms(deadline) : 0);
    } while (n == -1 && errno == EINTR);
    child->result->awaits_server = 0;
    return n;
}

/* count(): what an eventfd holds, which is cleared; 0 when it was not signalled */
static int fd_count(lua_State *L)
{
    struct ct_fd *o = check_open(L);
    uint64_t count = 0;
    ssize_t n = read(o->fd, &count, sizeof(count));

    if (n == -1 && errno != EAGAIN)
        return raise_errno(L, "count");
    lua_pushinteger(L, n == -1 ? 0 : (lua_Integer)count);
    return 1;
}

static int fd_wait(lua_State *L)
{
    struct ct_fd *o = check_open(L);

    lua_pushboolean(L, wait_input(L, o->fd, luaL_checknumber(L, 2)) > 0);
    return 1;
}

/* at_eof(seconds): have all other ends been closed in time? Drops what comes before. */
static int fd_at_eof(lua_State *L)
{
    struct ct_fd *o = check_open(L);
    double seconds = luaL_optnumber(L, 2, 0);
    vu_deadline deadline = vu_deadline_in_ms((int64_t)(seconds * 1000));
    char drop[4096];
    ssize_t n;

    for (;;) {
        int left = seconds > 0 ? vu_deadline_left_ms(deadline) : 0;

        if (wait_input(L, o->fd, left / 1000.0) <= 0) {
            lua_pushboolean(L, 0);
            return 1;
        }
        n = read(o->fd, drop, sizeof(drop));
        if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR)) {
            lua_pushboolean(L, 1);
            return 1;
        }
    }
}

/* connected_stream(): a stream socket that has a peer? */
static int fd_connected_stream(lua_State *L)
{
    struct ct_fd *o = check_open(L);
    struct sockaddr_storage peer;
    socklen_t peer_len = sizeof(peer);
    int type = 0;
    socklen_t type_len = sizeof(type);

    lua_pushboolean(L, getsockopt(o->fd, SOL_SOCKET, SO_TYPE, &type, &type_len) == 0 &&
                           type == SOCK_STREAM &&
                           getpeername(o->fd, (struct sockaddr *)&peer, &peer_len) == 0);
    return 1;
}

/* --------------------------------------------------------------- mapping -- */

struct mapping {
    void *at; /* owned; NULL: unmapped */
    size_t size;
    int prot;
};

/*
 * The page behind a mapping may be gone (the peer shortened the file), and to touch it
 * would raise SIGBUS. So the kernel does the copying, by way of a file of our own: it
 * says EFAULT instead.
 */
static bool copy_guarded(void *dst, const void *src, size_t len)
{
    int fd = memfd_create("copy", MFD_CLOEXEC);
    size_t written = 0, taken = 0;
    ssize_t n = 1;

    while (fd != -1 && written < len && n > 0) {
        n = pwrite(fd, (const char *)src + written, len - written, (off_t)written);
        written += n > 0 ? (size_t)n : 0;
    }
    while (written == len && taken < len && n > 0) {
        n = pread(fd, (char *)dst + taken, len - taken, (off_t)taken);
        taken += n > 0 ? (size_t)n : 0;
    }
    if (fd != -1)
        close(fd);
    return taken == len;
}

/* fd:map{ offset = 0, size = <all>, prot = "r" or "rw" ["rw"] }: mapping, or nil and why */
static int fd_map(lua_State *L)
{
    struct ct_fd *o = check_open(L);
    const char *prot = "rw";
    struct mapping *m;
    struct stat st;
    uint64_t offset, size;

    if (lua_isnoneornil(L, 2)) {
        lua_settop(L, 1);
        lua_newtable(L);
    }
    luaL_checktype(L, 2, LUA_TTABLE);
    if (fstat(o->fd, &st) == -1)
        return raise_errno(L, "map");
    offset = ct_lua_uint(L, 2, "offset", 64, 0);
    size = ct_lua_uint(L, 2, "size", 64, (uint64_t)st.st_size - offset);
    if (lua_getfield(L, 2, "prot") != LUA_TNIL)
        prot = luaL_checkstring(L, -1);

    m = lua_newuserdatauv(L, sizeof(*m), 0);
    m->at = NULL;
    luaL_setmetatable(L, MAPPING_TYPE);
    m->size = size;
    m->prot = (strchr(prot, 'r') ? PROT_READ : 0) | (strchr(prot, 'w') ? PROT_WRITE : 0);
    m->at = mmap(NULL, size, m->prot, MAP_SHARED, o->fd, (off_t)offset);
    if (m->at == MAP_FAILED) {
        m->at = NULL;
        lua_pushnil(L);
        lua_pushstring(L, strerror(errno));
        return 2;
    }
    return 1;
}

static struct mapping *check_mapping(lua_State *L, uint64_t offset, uint64_t len,
                                     int prot)
{
    struct mapping *m = luaL_checkudata(L, 1, MAPPING_TYPE);

    if (m->at == NULL)
        luaL_error(L, "this mapping is unmapped");
    if ((m->prot & prot) == 0)
        luaL_error(L, "the mapping is not made for that");
    if (offset > m->size || len > m->size - offset || len > TRANSFER_LIMIT)
        luaL_error(L, "outside of the mapping");
    return m;
}

static int map_fault(lua_State *L)
{
    char where[160];

    ct_lua_prelude(L, "fail");
    lua_pushfstring(
        L, "the memory behind a mapping is not there (its file is shorter), at %s",
        ct_lua_where(L, where, sizeof(where)));
    lua_call(L, 1, 0);
    return 0;
}

static int map_read(lua_State *L)
{
    uint64_t offset = (uint64_t)luaL_checkinteger(L, 2);
    uint64_t len = (uint64_t)luaL_checkinteger(L, 3);
    struct mapping *m = check_mapping(L, offset, len, PROT_READ);
    luaL_Buffer b;
    char *to = luaL_buffinitsize(L, &b, len);

    if (!copy_guarded(to, (char *)m->at + offset, len))
        return map_fault(L);
    luaL_pushresultsize(&b, len);
    return 1;
}

static int map_write(lua_State *L)
{
    uint64_t offset = (uint64_t)luaL_checkinteger(L, 2);
    size_t len;
    const char *bytes = luaL_checklstring(L, 3, &len);
    struct mapping *m = check_mapping(L, offset, len, PROT_WRITE);

    if (!copy_guarded((char *)m->at + offset, bytes, len))
        return map_fault(L);
    return 0;
}

static int map_unmap(lua_State *L)
{
    struct mapping *m = luaL_checkudata(L, 1, MAPPING_TYPE);

    if (m->at != NULL)
        munmap(m->at, m->size);
    m->at = NULL;
    return 0;
}

/* ---------------------------------------------------- who holds a file -- */

/* What tells a file from all others. */
struct identity {
    dev_t dev;
    ino_t ino;
    long eventfd; /* all eventfds share one inode, but have this; -1: it is none */
};

/* The eventfd-id of a descriptor's fdinfo, or -1. */
static long eventfd_id(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    char info[512];
    const char *line;
    ssize_t n;

    if (fd == -1)
        return -1;
    n = read(fd, info, sizeof(info) - 1);
    close(fd);
    info[n > 0 ? n : 0] = '\0';
    line = strstr(info, "eventfd-id:");
    return line != NULL ? strtol(line + strlen("eventfd-id:"), NULL, 10) : -1;
}

/* false: this descriptor cannot be told from others */
static bool identify(int fd, struct identity *id)
{
    char path[64], target[64];
    struct stat st;
    ssize_t n;

    if (fstat(fd, &st) == -1)
        return false;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    n = readlink(path, target, sizeof(target) - 1);
    target[n > 0 ? n : 0] = '\0';
    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    *id = (struct identity){ st.st_dev, st.st_ino, eventfd_id(AT_FDCWD, path) };
    return strncmp(target, "anon_inode:", 11) != 0 || id->eventfd != -1;
}

static bool is_same(int fds, int infos, const char *name, const struct identity *id)
{
    struct stat st;

    if (fstatat(fds, name, &st, 0) == -1 || st.st_dev != id->dev || st.st_ino != id->ino)
        return false;
    return id->eventfd == -1 || eventfd_id(infos, name) == id->eventfd;
}

/* Does process pid have the file open? 1, 0, or -1: not allowed to look. */
static int has_open(int pid, const struct identity *id)
{
    char path[64];
    struct dirent *d;
    int infos, found = 0;
    DIR *dir;

    snprintf(path, sizeof(path), "/proc/%d/fdinfo", pid);
    infos = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    dir = infos != -1 ? opendir(path) : NULL;
    if (dir != NULL) {
        while (!found && (d = readdir(dir)) != NULL)
            found = is_same(dirfd(dir), infos, d->d_name, id);
        closedir(dir);
    } else {
        found = -1;
    }
    if (infos != -1)
        close(infos);
    return found;
}

/* Device and inode of a line of /proc/PID/maps: "range perms offset major:minor inode". */
static bool maps_line_is(const char *line, const struct identity *id)
{
    unsigned long major, minor;
    char *end;

    for (int i = 0; i < 3; i++) {
        line += strcspn(line, " ");
        line += strspn(line, " ");
    }
    major = strtoul(line, &end, 16);
    if (*end != ':')
        return false;
    minor = strtoul(end + 1, &end, 16);
    return makedev(major, minor) == id->dev && strtoull(end, NULL, 10) == id->ino;
}

static int has_mapped(int pid, const struct identity *id)
{
    char path[64], line[512];
    FILE *maps;
    int found = 0;

    snprintf(path, sizeof(path), "/proc/%d/maps", pid);
    maps = fopen(path, "re");
    if (maps == NULL)
        return -1;
    while (!found && fgets(line, sizeof(line), maps) != NULL)
        found = maps_line_is(line, id);
    fclose(maps);
    return found;
}

/* fd:held_by(pid): does that process have this file open or mapped? nil: cannot be seen */
static int fd_held_by(lua_State *L)
{
    struct ct_fd *o = check_open(L);
    int pid = (int)luaL_checkinteger(L, 2);
    struct identity id;
    int open, mapped;

    if (!identify(o->fd, &id))
        return 0;
    open = has_open(pid, &id);
    mapped = id.eventfd == -1 ? has_mapped(pid, &id) : 0;
    if (open == 1 || mapped == 1)
        lua_pushboolean(L, 1);
    else if (open == -1 || mapped == -1)
        lua_pushnil(L);
    else
        lua_pushboolean(L, 0);
    return 1;
}

/* ---------------------------------------------------------- registration -- */

static void new_type(lua_State *L, const char *name, const luaL_Reg *methods,
                     lua_CFunction release)
{
    luaL_newmetatable(L, name);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, release);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, release);
    lua_setfield(L, -2, "__close");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable"); /* cases cannot call __gc */
    lua_pop(L, 1);
}

void ct_lua_open_fd(lua_State *L)
{
    static const luaL_Reg fd_methods[] = {
        { "close", fd_close },
        { "kind", fd_kind },
        { "read", fd_read },
        { "write", fd_write },
        { "resize", fd_resize },
        { "size", fd_size },
        { "seal", fd_seal },
        { "count", fd_count },
        { "wait", fd_wait },
        { "at_eof", fd_at_eof },
        { "map", fd_map },
        { "held_by", fd_held_by },
        { "connected_stream", fd_connected_stream },
        { NULL, NULL },
    };
    static const luaL_Reg map_methods[] = {
        { "read", map_read },
        { "write", map_write },
        { "unmap", map_unmap },
        { NULL, NULL },
    };
    static const luaL_Reg functions[] = {
        { "memfd", make_memfd }, { "eventfd", make_eventfd },
        { "pipe", make_pipe },   { "socketpair", make_socketpair },
        { NULL, NULL },
    };

    new_type(L, FD_TYPE, fd_methods, fd_close);
    new_type(L, MAPPING_TYPE, map_methods, map_unmap);
    luaL_setfuncs(L, functions, 0);
}
