/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections as Lua objects: raw bytes out, whole messages in.
 *
 * Reading goes through wire's channel, so descriptors are matched to messages as
 * everywhere else. Messages that nobody asked for yet wait in a queue. Sending goes
 * past the channel: a case may send any bytes, cut anywhere. While sending waits for
 * room it reads, or two sides that both write would wait for each other for ever.
 *
 * Everything that is sent or received is written to the case's trace.
 */
#include "conformance/lua_state.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "wire/channel.h"
#include "wire/command.h"
#include "wire/text.h"

#define CONN_TYPE "ct.conn"

/* A received message that waits for somebody to take it. */
struct queued {
    struct queued *next;
    struct vu_header h;
    size_t n_fds;
    int *fds; /* owned, in the same allocation; -1: taken */
    bool fds_lost;
    size_t body_len;
    uint8_t *body; /* in the same allocation */
};

struct conn {
    struct vu_channel *ch;        /* owned; NULL: closed by us */
    struct queued *first, **last; /* owned */
    int number;                   /* for the trace */
    bool eof;                     /* nothing more will come */
    bool garbage;                 /* what came is no message */
    bool cannot_send;
    bool paused; /* leave what comes in the socket */
};

/* Replies of all that a case may ask for, and limits of servers that are generous. */
static const struct vu_channel_limits limits = {
    .max_message = 128u << 20,
    .max_fds = VU_MAX_MSG_FDS,
    .batch = 65536,
    .max_out = 65536,
    .stall_ms = 1000,
};

/* ------------------------------------------------------------------ trace -- */

static void trace(lua_State *L, const struct conn *c, const char *arrow, const char *text)
{
    struct ct_child *child = ct_lua_child(L);
    char line[VU_TEXT_MAX + 64];

    snprintf(line, sizeof(line), "c%d %s %s", c->number, arrow, text);
    ct_trace(child->result, line);
}

static void trace_bytes(lua_State *L, const struct conn *c, const char *what,
                        const uint8_t *bytes, size_t len, size_t n_fds)
{
    char text[256];

    snprintf(text, sizeof(text), "%zu bytes %s:", len, what);
    for (size_t i = 0; i < len && i < 48; i++)
        ct_append(text, sizeof(text), "%s%02x", i % 4 == 0 ? " " : "", bytes[i]);
    if (len > 48)
        ct_append(text, sizeof(text), " ...");
    if (n_fds != 0)
        ct_append(text, sizeof(text), " (%zu descriptors)", n_fds);
    trace(L, c, "->", text);
}

/* What was sent: each whole message as one, the rest as bytes. */
static void trace_sent(lua_State *L, const struct conn *c, const uint8_t *bytes,
                       size_t len, const int *fds, size_t n_fds)
{
    char text[VU_TEXT_MAX];
    struct vu_header h;

    while (len >= VU_HEADER_SIZE) {
        struct vu_reader r = vu_reader(bytes, len);

        vu_decode_header(&r, &h);
        if (h.size < VU_HEADER_SIZE || h.size > len || vu_command_info(h.command) == NULL)
            break;
        vu_text(text, sizeof(text), &h, bytes + VU_HEADER_SIZE, h.size - VU_HEADER_SIZE,
                fds, n_fds);
        trace(L, c, "->", text);
        bytes += h.size;
        len -= h.size;
        n_fds = 0;
    }
    if (len != 0)
        trace_bytes(L, c, "raw", bytes, len, n_fds);
}

static void trace_received(lua_State *L, const struct conn *c, const struct vu_message *m)
{
    char text[VU_TEXT_MAX];

    trace(L, c, "<-", vu_message_text(text, sizeof(text), m));
}

/* -------------------------------------------------------------- receiving -- */

static struct conn *check_conn(lua_State *L)
{
    return luaL_checkudata(L, 1, CONN_TYPE);
}

static void free_queued(struct queued *q)
{
    for (size_t i = 0; i < q->n_fds; i++) {
        if (q->fds[i] != -1)
            close(q->fds[i]);
    }
    free(q);
}

static int enqueue(struct conn *c, struct vu_message *m)
{
    size_t fds_size = m->n_fds * sizeof(int);
    struct queued *q = malloc(sizeof(*q) + fds_size + m->body_len);

    if (q == NULL)
        return -ENOMEM;
    *q = (struct queued){ .h = m->h, .n_fds = m->n_fds, .fds_lost = m->fds_lost };
    q->fds = (int *)(q + 1);
    q->body = (uint8_t *)q->fds + fds_size;
    q->body_len = m->body_len;
    for (size_t i = 0; i < m->n_fds; i++)
        q->fds[i] = vu_message_take_fd(m, i);
    if (m->body_len != 0)
        memcpy(q->body, m->body, m->body_len);
    *c->last = q;
    c->last = &q->next;
    return 0;
}

static void end_of_input(lua_State *L, struct conn *c, int err)
{
    struct ct_result *result = ct_lua_child(L)->result;
    size_t partial = vu_channel_partial(c->ch);
    char text[160];

    c->eof = true;
    result->closed = true;
    if (err == 0)
        snprintf(text, sizeof(text), "closed by the server");
    else
        snprintf(text, sizeof(text), "closed by the server (%s)", strerror(-err));
    if (partial != 0) {
        ct_append(text, sizeof(text), " within a message, after %zu bytes of it",
                  partial);
        result->lost = true;
    }
    trace(L, c, "<-", text);
}

static void lost_stream(lua_State *L, struct conn *c, struct vu_message *m)
{
    char text[VU_TEXT_MAX + 32];

    c->garbage = true;
    ct_lua_child(L)->result->lost = true;
    vu_message_done(m);
    snprintf(text, sizeof(text), "no message: header id=%u command=%u size=%u flags=0x%x",
             m->h.msg_id, m->h.command, m->h.size, m->h.flags);
    trace(L, c, "<-", text);
}

/* Move complete messages to the queue; true when there was one. */
static bool take_complete(lua_State *L, struct conn *c)
{
    struct vu_message m;
    int got = vu_channel_next(c->ch, &m);
    int err;

    if (got == 0)
        return false;
    if (got < 0) {
        lost_stream(L, c, &m);
        return false;
    }
    trace_received(L, c, &m);
    ct_lua_child(L)->result->heard = vu_deadline_in_ms(0);
    err = enqueue(c, &m);
    vu_message_done(&m);
    if (err != 0)
        luaL_error(L, "out of memory");
    return true;
}

/* Read until a message has come or the deadline has passed; true: a message has. */
static bool pump(lua_State *L, struct conn *c, vu_deadline deadline)
{
    int64_t n;

    while (!c->garbage && !take_complete(L, c)) {
        if (c->garbage || c->eof)
            return false;
        n = vu_channel_fill(c->ch, deadline);
        if (n > 0 || n == -EINTR)
            continue;
        if (n == -EAGAIN || n == -ETIMEDOUT)
            return false;
        end_of_input(L, c, (int)n);
    }
    return !c->garbage;
}

/* A server's own DMA commands have ids of their own, which may equal one of ours. */
static bool is_server_command(const struct vu_header *h)
{
    return vu_header_type(h) == VU_F_TYPE_COMMAND &&
           (h->command == VU_DMA_READ || h->command == VU_DMA_WRITE);
}

/* The link to the first message with that id (-1: any), or NULL. */
static struct queued **find(struct conn *c, lua_Integer id)
{
    for (struct queued **at = &c->first; *at != NULL; at = &(*at)->next) {
        if (id == -1 || ((*at)->h.msg_id == id && !is_server_command(&(*at)->h)))
            return at;
    }
    return NULL;
}

static void push_header(lua_State *L, const struct vu_header *h)
{
    lua_createtable(L, 0, 5);
    lua_pushinteger(L, h->msg_id);
    lua_setfield(L, -2, "id");
    lua_pushinteger(L, h->command);
    lua_setfield(L, -2, "command");
    lua_pushinteger(L, h->size);
    lua_setfield(L, -2, "size");
    lua_pushinteger(L, h->flags);
    lua_setfield(L, -2, "flags");
    lua_pushinteger(L, h->error);
    lua_setfield(L, -2, "error");
}

/* A table of the message; descriptors leave it one by one as their owner exists. */
static void push_message(lua_State *L, struct queued *q)
{
    lua_newtable(L);
    push_header(L, &q->h);
    lua_setfield(L, -2, "h");
    lua_pushlstring(L, (const char *)q->body, q->body_len);
    lua_setfield(L, -2, "body");
    lua_newtable(L);
    for (size_t i = 0; i < q->n_fds; i++) {
        ct_lua_push_fd(L, -1, "descriptor")->fd = q->fds[i];
        q->fds[i] = -1;
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "fds");
    lua_pushboolean(L, q->fds_lost);
    lua_setfield(L, -2, "fds_lost");
}

static void unlink_queued(struct conn *c, struct queued **at)
{
    struct queued *q = *at;

    *at = q->next;
    if (c->last == &q->next)
        c->last = at;
    free_queued(q);
}

/* Is there a reply in the queue, beyond the first `seen` messages, that no command of
 * ours can have caused? known is the table of ids at stack index 4. */
static struct queued *find_stray(lua_State *L, struct conn *c, size_t *seen)
{
    size_t i = 0;

    for (struct queued *q = c->first; q != NULL; q = q->next, i++) {
        if (i < *seen || is_server_command(&q->h))
            continue;
        if (lua_rawgeti(L, 4, q->h.msg_id) == LUA_TNIL)
            return q;
        lua_pop(L, 1);
    }
    *seen = i;
    return NULL;
}

/*
 * take(id, seconds[, known]): the next message with that id (nil: any), or nil and
 * "closed", "timeout", "garbage" or "stray". A stray reply is one whose id is not in
 * `known`: it stays in the queue, but waiting on would be in vain.
 */
static int conn_take(lua_State *L)
{
    struct conn *c = check_conn(L);
    lua_Integer id = luaL_optinteger(L, 2, -1);
    double seconds = luaL_checknumber(L, 3);
    vu_deadline deadline = seconds > 0 ? vu_deadline_in_ms((int64_t)(seconds * 1000))
                                       : VU_DONT_WAIT;
    struct ct_result *result = ct_lua_child(L)->result;
    struct queued **at;
    const char *why = NULL;
    size_t seen = 0;

    if (c->ch == NULL)
        return luaL_error(L, "this connection was closed by the case");
    lua_settop(L, 4);
    while ((at = find(c, id)) == NULL && why == NULL) {
        if (!lua_isnil(L, 4) && find_stray(L, c, &seen) != NULL) {
            why = "stray";
            break;
        }
        result->awaits_server = 1;
        if (!pump(L, c, deadline))
            why = c->garbage ? "garbage" : c->eof ? "closed" : "timeout";
        result->awaits_server = 0;
    }
    if (at == NULL && (at = find(c, id)) == NULL) {
        lua_pushnil(L);
        lua_pushstring(L, why);
        return 2;
    }
    push_message(L, *at);
    unlink_queued(c, at);
    return 1;
}

/* ---------------------------------------------------------------- sending -- */

/* The descriptors of the list at idx, lent. */
static size_t fd_list(lua_State *L, int idx, int *fds)
{
    lua_Integer n;

    if (lua_isnoneornil(L, idx))
        return 0;
    luaL_checktype(L, idx, LUA_TTABLE);
    n = luaL_len(L, idx);
    luaL_argcheck(L, n <= VU_MAX_MSG_FDS, idx, "more descriptors than one message takes");
    for (lua_Integer i = 0; i < n; i++) {
        lua_rawgeti(L, idx, i + 1);
        fds[i] = ct_lua_fd(L, -1, "fds");
        lua_pop(L, 1);
    }
    return (size_t)n;
}

/* Wait until there is room to send or the deadline has passed. */
static bool wait_for_room(lua_State *L, struct conn *c, vu_deadline deadline)
{
    struct pollfd p = { .fd = vu_channel_fd(c->ch), .events = POLLOUT };
    bool reads = !c->paused && !c->eof && !c->garbage;
    int n;

    if (reads)
        p.events |= POLLIN;
    n = poll(&p, 1, vu_deadline_left_ms(deadline));
    if (n == -1)
        return errno == EINTR;
    if (n > 0 && reads && (p.revents & (POLLIN | POLLHUP))) {
        while (pump(L, c, VU_DONT_WAIT))
            ;
    }
    return n > 0;
}

/* Bytes sent. *why stays NULL when all were. */
static size_t send_all(lua_State *L, struct conn *c, const uint8_t *bytes, size_t len,
                       const int *fds, size_t n_fds, vu_deadline deadline,
                       const char **why)
{
    size_t sent = 0;

    while (sent < len) {
        struct iovec iov = { .iov_base = (void *)(bytes + sent), .iov_len = len - sent };
        int64_t n =
            vu_socket_send(vu_channel_fd(c->ch), &iov, 1, fds, sent == 0 ? n_fds : 0);

        if (n > 0) {
            sent += (size_t)n;
        } else if (n == -EPIPE || n == -ECONNRESET || n == -ENOTCONN) {
            c->cannot_send = true;
            *why = "closed";
            break;
        } else if (n == -EAGAIN || n == -EINTR) {
            if (!wait_for_room(L, c, deadline)) {
                *why = "timeout";
                break;
            }
        } else {
            luaL_error(L, "sending: %s", strerror((int)-n));
        }
    }
    return sent;
}

/*
 * send(bytes, fds, seconds): in one sendmsg() where the socket has room, descriptors on
 * the first byte. Returns the bytes sent, and "closed" or "timeout" when not all were.
 */
static int conn_send(lua_State *L)
{
    struct conn *c = check_conn(L);
    size_t len, sent;
    const uint8_t *bytes = (const uint8_t *)luaL_checklstring(L, 2, &len);
    double seconds = luaL_checknumber(L, 4);
    struct ct_result *result = ct_lua_child(L)->result;
    const char *why = NULL;
    int fds[VU_MAX_MSG_FDS];
    size_t n_fds = fd_list(L, 3, fds);

    if (c->ch == NULL)
        return luaL_error(L, "this connection was closed by the case");
    trace_sent(L, c, bytes, len, fds, n_fds);
    if (c->cannot_send) {
        lua_pushinteger(L, 0);
        lua_pushstring(L, "closed");
        return 2;
    }
    result->awaits_server = 1;
    sent = send_all(L, c, bytes, len, fds, n_fds,
                    vu_deadline_in_ms((int64_t)(seconds * 1000)), &why);
    result->awaits_server = 0;
    if (why != NULL) {
        char text[80];

        snprintf(text, sizeof(text), "only %zu of %zu bytes were taken (%s)", sent, len,
                 why);
        trace(L, c, "->", text);
    }
    lua_pushinteger(L, (lua_Integer)sent);
    lua_pushstring(L, why);
    return 2;
}

/* ------------------------------------------------------------- life cycle -- */

static int conn_close(lua_State *L)
{
    struct conn *c = check_conn(L);

    while (c->first != NULL)
        unlink_queued(c, &c->first);
    if (c->ch != NULL && ct_lua_ctx(L)->child != NULL)
        trace(L, c, "--", "closed by the runner");
    vu_channel_free(c->ch);
    c->ch = NULL;
    return 0;
}

static int conn_shutdown(lua_State *L)
{
    struct conn *c = check_conn(L);

    if (c->ch != NULL) {
        shutdown(vu_channel_fd(c->ch), SHUT_WR);
        c->cannot_send = true;
        trace(L, c, "--", "sending direction shut down by the runner");
    }
    return 0;
}

static int conn_pause(lua_State *L)
{
    check_conn(L)->paused = lua_toboolean(L, 2);
    return 0;
}

/* queued(): how many messages wait that nobody took, without reading */
static int conn_queued(lua_State *L)
{
    struct conn *c = check_conn(L);
    lua_Integer n = 0;

    for (struct queued *q = c->first; q != NULL; q = q->next)
        n++;
    lua_pushinteger(L, n);
    return 1;
}

/* peer(): the process that made the listening socket */
static int conn_peer(lua_State *L)
{
    struct conn *c = check_conn(L);
    struct ucred cred;
    socklen_t len = sizeof(cred);

    if (c->ch == NULL ||
        getsockopt(vu_channel_fd(c->ch), SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1)
        return 0;
    lua_pushinteger(L, cred.pid);
    return 1;
}

/* is_open(), is_garbage(), can_send() in one: what is known without waiting */
static int conn_state(lua_State *L)
{
    struct conn *c = check_conn(L);

    lua_pushstring(L, c->ch == NULL ? "ours"
                      : c->garbage  ? "garbage"
                      : c->eof      ? "closed"
                                    : "open");
    return 1;
}

/* One attempt: a connected descriptor, or -errno. AF_UNIX connects at once or, with a full
 * backlog, says EAGAIN. */
static int try_connect(const char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int err;

    if (fd == -1)
        return -errno;
    memcpy(addr.sun_path, path, strnlen(path, sizeof(addr.sun_path) - 1));
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
        return fd;
    err = -errno;
    close(fd);
    return err;
}

static void sleep_ms(int ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

    nanosleep(&t, NULL);
}

/* Try until the server listens, is known to have ended, or the deadline has passed.
 * There is nothing to wait for but time: a socket file can appear before its listen(). */
static int connect_until(struct ct_child *child, vu_deadline deadline)
{
    int pause_ms = 1;
    int fd;

    while ((fd = try_connect(child->socket_path)) < 0) {
        if (*child->server_end != CT_SERVER_UP || vu_deadline_left_ms(deadline) == 0)
            return fd;
        sleep_ms(pause_ms);
        if (pause_ms < 20)
            pause_ms *= 2;
    }
    return fd;
}

/* connect(seconds, number): connection, or nil and why */
static int make_conn(lua_State *L)
{
    struct ct_child *child = ct_lua_child(L);
    vu_deadline deadline = vu_deadline_in_ms((int64_t)(luaL_checknumber(L, 1) * 1000));
    struct conn *c = lua_newuserdatauv(L, sizeof(*c), 0);
    int fd;

    *c = (struct conn){ .number = (int)luaL_checkinteger(L, 2) };
    c->last = &c->first;
    luaL_setmetatable(L, CONN_TYPE);
    child->result->awaits_server = 1;
    fd = connect_until(child, deadline);
    child->result->awaits_server = 0;
    if (fd < 0) {
        lua_pushnil(L);
        lua_pushstring(L, strerror(-fd));
        return 2;
    }
    c->ch = vu_channel_new(fd, &limits);
    if (c->ch == NULL) {
        close(fd);
        return luaL_error(L, "out of memory");
    }
    child->result->connected = true;
    trace(L, c, "--", "connected");
    return 1;
}

void ct_lua_open_conn(lua_State *L)
{
    static const luaL_Reg methods[] = {
        { "take", conn_take },         { "send", conn_send },   { "close", conn_close },
        { "shutdown", conn_shutdown }, { "pause", conn_pause }, { "queued", conn_queued },
        { "state", conn_state },       { "peer", conn_peer },   { NULL, NULL },
    };
    static const luaL_Reg functions[] = { { "connect", make_conn }, { NULL, NULL } };

    luaL_newmetatable(L, CONN_TYPE);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, conn_close);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_setfuncs(L, functions, 0);
}
