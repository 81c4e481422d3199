/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A recording as a scenario: see tools/scenario.h.
 *
 * Each step of a session becomes a statement. A command whose reply is the next message
 * has its expectation on the same line; otherwise the reply to come is kept in `r` and
 * expected where it was recorded, so that what was pipelined stays so.
 */
#include "tools/scenario.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/scenario_lua.h"
#include "tools/show.h"
#include "wire/caps.h"
#include "wire/command.h"
#include "wire/text.h"

#define RUNNER_FILE_MAX (4u << 20) /* the runner takes no larger file */
#define FILES_MAX       65536u     /* numbers above are not kept apart */
#define LINE_MAX_CHARS  100u

/* What a generated file begins with, after its heading. */
static const char helpers[] =
    "-- Bytes of hexadecimal digits, zeros, and pieces put together.\n"
    "local function x(digits)\n"
    "  return (digits:gsub(\"%s+\", \"\"):gsub(\"%x%x\", function(b)\n"
    "    return string.char(tonumber(b, 16))\n"
    "  end))\n"
    "end\n"
    "local function zeros(n) return string.rep(\"\\0\", n) end\n"
    "local cat = table.concat\n"
    "\n"
    "local function same_bytes(got, want, what)\n"
    "  if got == want then return end\n"
    "  for i = 1, math.max(#got, #want) do\n"
    "    if got:byte(i) ~= want:byte(i) then\n"
    "      fail(\"%s: byte %d of %d is %s, was %s of %d\", what, i - 1, #got,\n"
    "           hex(got:byte(i)), hex(want:byte(i)), #want)\n"
    "    end\n"
    "  end\n"
    "end\n"
    "\n"
    "-- What came has what was recorded; other members may be anything. Returns it.\n"
    "local function same(got, want, what)\n"
    "  local names = {}\n"
    "  for name in pairs(want) do names[#names + 1] = name end\n"
    "  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)\n"
    "  for _, name in ipairs(names) do\n"
    "    local g, w = got[name], want[name]\n"
    "    local where = (what or \"reply\") .. \".\" .. tostring(name)\n"
    "    if name == \"fds\" then\n"
    "      check_eq(#g, w, \"number of descriptors\")\n"
    "    elseif type(w) == \"table\" then\n"
    "      check(type(g) == \"table\", \"%s is not there\", where)\n"
    "      if #w > 0 then check_eq(#g, #w, \"number of \" .. where) end\n"
    "      same(g, w, where)\n"
    "    elseif type(w) == \"string\" then\n"
    "      same_bytes(tostring(g), w, where)\n"
    "    else\n"
    "      check_eq(g, w, where)\n"
    "    end\n"
    "  end\n"
    "  return got\n"
    "end\n"
    "\n"
    "-- Eventfds for vectors, kept in e; earlier ones of a vector may still fire.\n"
    "local function eventfds(e, index, start, n)\n"
    "  local list = {}\n"
    "  for i = 1, n do\n"
    "    local key = index .. \":\" .. (start + i - 1)\n"
    "    list[i] = eventfd()\n"
    "    e[key] = e[key] or { left = 0 }\n"
    "    table.insert(e[key], list[i])\n"
    "  end\n"
    "  return list\n"
    "end\n"
    "\n"
    "-- The vector fires, as often as it did, while the server has time to answer.\n"
    "local function fired(e, index, vector, n)\n"
    "  local v = e[index .. \":\" .. vector]\n"
    "  check(v, \"vector %d of index %d has no eventfd\", vector, index)\n"
    "  local deadline = now() + server.timeout\n"
    "  while true do\n"
    "    for _, fd in ipairs(v) do v.left = v.left + fd:count() end\n"
    "    if v.left >= n then break end\n"
    "    check(now() < deadline, \"vector %d of index %d fired %d times, not %d\",\n"
    "          vector, index, v.left, n)\n"
    "    v[#v]:wait(math.max(deadline - now(), 0))\n"
    "  end\n"
    "  v.left = v.left - n\n"
    "end\n"
    "\n"
    "-- Nothing fired that did not when this was recorded.\n"
    "local function quiet(e)\n"
    "  for key, v in pairs(e) do\n"
    "    for _, fd in ipairs(v) do v.left = v.left + fd:count() end\n"
    "    check_eq(v.left, 0, \"further interrupts of \" .. key)\n"
    "  end\n"
    "end\n"
    "\n"
    "-- The device writes to memory in its own time.\n"
    "local function becomes(memory, offset, want, what)\n"
    "  local deadline, pause = now() + server.timeout, eventfd()\n"
    "  while memory:read(offset, #want) ~= want and now() < deadline do\n"
    "    pause:wait(0.01)\n"
    "  end\n"
    "  pause:close()\n"
    "  same_bytes(memory:read(offset, #want), want, what)\n"
    "end\n"
    "\n"
    "-- The next message is this command of the server.\n"
    "local function server_command(c, number, want)\n"
    "  local m, why = c:receive()\n"
    "  check(m, \"the server sends no command (%s)\", tostring(why))\n"
    "  check_eq(m.h.flags & F.TYPE, 0, \"type of the server's message\")\n"
    "  check_eq(m.h.command, number, \"the server's command\")\n"
    "  return same(m, want)\n"
    "end\n"
    "local function answer(c, m, body, flags, error)\n"
    "  c:command(m.h.command, body, { id = m.h.id, hflags = flags or F.REPLY,\n"
    "                                 error = error })\n"
    "end\n"
    "\n"
    "local session = {}\n";

struct writer {
    struct tool_lua lua;
    const struct tool_scenario_options *options;
    struct tool_steps steps;
    bool twin;                  /* this session had a twin socket */
    bool *made;                 /* owned: files that exist in this session, by number */
    bool *inlined;              /* owned: replies that are expected already, by step */
    bool said_twin, said_other; /* gaps that were told */
    bool no_memory;             /* something is missing in the file */
};

#define print(w, ...) tool_lua_print(&(w)->lua, __VA_ARGS__)

/* Said once in the file, and to who wants to know. */
static void gap(struct writer *w, bool *said, const char *text)
{
    print(w, "  -- %s.\n", text);
    if (!*said && w->options->on_gap != NULL)
        w->options->on_gap(w->options->ctx, text);
    *said = true;
}

static bool is_wanted(const struct writer *w, const struct tool_step *step)
{
    return w->options->session == 0 || step->session == w->options->session;
}

/* ------------------------------------------------------------- descriptors -- */

static bool has_file(const struct writer *w, uint64_t number)
{
    return number != 0 && number < FILES_MAX && w->made[number];
}

static void make_file(struct writer *w, uint64_t number, uint64_t size)
{
    if (number == 0 || number >= FILES_MAX || w->made[number])
        return;
    w->made[number] = true;
    print(w, "  f[%" PRIu64 "] = c:memory(0x%" PRIx64 ")\n", number,
          size > INT64_MAX ? (uint64_t)INT64_MAX : size);
}

static bool is_file(const struct tool_record_fd *fd)
{
    return fd->kind == TOOL_FD_MEMFD || fd->kind == TOOL_FD_FILE;
}

/* Files must exist before the command that passes them. */
static void make_files(struct writer *w, const struct tool_step *step)
{
    for (size_t i = 0; i < step->n_fds; i++) {
        if (is_file(&step->fds[i]))
            make_file(w, step->fds[i].file, step->fds[i].size);
        else if (step->fds[i].kind == TOOL_FD_OTHER)
            gap(w, &w->said_other,
                "a descriptor of another kind was recorded; an empty file stands for it");
    }
}

static void print_fd(struct writer *w, const struct tool_record_fd *fd)
{
    if (is_file(fd) && has_file(w, fd->file))
        print(w, "f[%" PRIu32 "]", fd->file);
    else if (fd->kind == TOOL_FD_EVENTFD)
        print(w, "eventfd()");
    else if (fd->kind == TOOL_FD_PIPE)
        print(w, fd->access == 0 ? "(pipe())" : "(select(2, pipe()))");
    else if (fd->kind == TOOL_FD_SOCKET)
        print(w, "(socketpair())");
    else
        print(w, "c:memory(0x%" PRIx64 ")", is_file(fd) ? fd->size : 0);
}

static void print_fd_list(struct writer *w, const struct tool_step *step, size_t from)
{
    print(w, "{ ");
    for (size_t i = from; i < step->n_fds; i++) {
        print(w, i == from ? "" : ", ");
        print_fd(w, &step->fds[i]);
    }
    print(w, " }");
}

static bool all_eventfds(const struct tool_step *step)
{
    for (size_t i = 0; i < step->n_fds; i++) {
        if (step->fds[i].kind != TOOL_FD_EVENTFD)
            return false;
    }
    return true;
}

/* The members of a command's table that pass descriptors. */
static void print_fds(struct writer *w, const struct tool_step *step, const char *comma)
{
    struct vu_bytes body = tool_step_body(step);
    struct vu_reader r = vu_reader(body.data, body.len);
    struct vu_irq_set set;
    size_t from = 0;

    if (step->n_fds == 0)
        return;
    if (step->h.command == VU_DEVICE_SET_IRQS && vu_decode_irq_set(&r, &set) == 0 &&
        (set.flags & VU_IRQ_SET_ACTION_TRIGGER) != 0 && all_eventfds(step)) {
        print(w, "%s fds = eventfds(e, ", comma);
        tool_lua_irq(&w->lua, set.index);
        print(w, ", %u, %zu)", set.start, step->n_fds);
        return;
    }
    if (step->h.command == VU_DMA_MAP && body.len == VU_DMA_MAP_SIZE) {
        print(w, "%s fd = ", comma);
        print_fd(w, &step->fds[0]);
        comma = ",";
        from = 1;
    }
    if (from == step->n_fds)
        return;
    print(w, "%s fds = ", comma);
    print_fd_list(w, step, from);
}

/* ---------------------------------------------------------------- commands -- */

/* What VERSION proposes without the twin socket; NULL: as it was. To be freed. */
static char *json_without_twin(struct writer *w, const struct tool_step *step)
{
    struct vu_bytes body = tool_step_body(step);
    struct vu_reader r = vu_reader(body.data, body.len);
    struct vu_version version;
    struct vu_caps caps;
    char *json;

    if (!w->twin || step->h.command != VU_VERSION ||
        vu_decode_version(&r, &version) != 0 ||
        vu_caps_parse(&caps, version.data.data, version.data.len, NULL, 0) != 0)
        return NULL;
    caps.has_twin_socket = caps.has_fd_index = false;
    json = malloc(VU_CAPS_MAX_BYTES);
    w->no_memory = w->no_memory || json == NULL;
    if (json != NULL && vu_caps_print(&caps, json, VU_CAPS_MAX_BYTES) < 0) {
        free(json);
        json = NULL;
    }
    return json;
}

/* The next message of the same session, if it is the reply to this command. */
static bool reply_is_next(const struct writer *w, size_t i)
{
    size_t reply = w->steps.steps[i].partner;

    if (reply == TOOL_NO_STEP)
        return false;
    for (size_t at = i + 1; at < reply; at++) {
        const struct tool_step *between = &w->steps.steps[at];

        if (between->session == w->steps.steps[i].session &&
            (between->kind == TOOL_RECORD_MESSAGE || between->kind == TOOL_RECORD_RAW ||
             between->kind == TOOL_RECORD_CLOSE))
            return false;
    }
    return true;
}

/* How the refusal is expected: with its errno where that is prescribed, or wanted. */
static void print_refused(struct writer *w, const struct tool_step *reply)
{
    char name[32];

    if (w->options->strict ||
        (reply->h.command == VU_DMA_MAP && reply->h.error == EEXIST))
        print(w, ":refused(%u)", reply->h.error);
    else
        print(w, ":refused()");
    print(w, "  -- %s",
          vu_errno_name((int)(reply->h.error & INT32_MAX), name, sizeof(name)));
}

static bool is_refusal(const struct tool_step *reply)
{
    return (reply->h.flags & VU_F_ERROR) != 0;
}

/* What is expected of a reply as text, to be freed; NULL: nothing. */
static char *expected_text(struct writer *w, const struct tool_step *command,
                           const struct tool_step *reply)
{
    struct tool_lua lua = { .to = NULL };
    char *text = NULL;
    size_t len = 0;
    bool wants;

    if (is_refusal(reply))
        return NULL;
    lua.to = open_memstream(&text, &len);
    if (lua.to == NULL) {
        w->no_memory = true;
        return NULL;
    }
    wants = tool_lua_expected(&lua, command, reply, w->twin);
    fclose(lua.to);
    if (!wants) {
        free(text);
        text = NULL;
    }
    return text;
}

/* Descriptors that came with a reply, where memory is recorded of them later. */
static bool keeps_fds(const struct writer *w, size_t i)
{
    const struct tool_step *reply = &w->steps.steps[i];

    if (reply->h.command == VU_VERSION)
        return false;
    for (size_t f = 0; f < reply->n_fds; f++) {
        if (is_file(&reply->fds[f]) && reply->fds[f].file < FILES_MAX)
            return true;
    }
    return false;
}

/* A statement that expects a reply: this, the reply to come, and finish_expectation(). */
struct expectation {
    const struct tool_step *reply;
    char *fields;   /* owned: what it must have, or NULL */
    bool keeps;     /* its descriptors are needed later */
    uint64_t start; /* where the statement begins in the file */
};

static struct expectation begin_expectation(struct writer *w, size_t command,
                                            size_t reply)
{
    struct expectation e = { .reply = &w->steps.steps[reply], .start = w->lua.written };

    e.fields = expected_text(w, &w->steps.steps[command], e.reply);
    e.keeps = !is_refusal(e.reply) && keeps_fds(w, reply);
    print(w, "  %s%s", e.keeps ? "m = " : "", e.fields != NULL ? "same(" : "");
    return e;
}

static void finish_expectation(struct writer *w, struct expectation *e)
{
    if (is_refusal(e->reply))
        print_refused(w, e->reply);
    else
        print(w, ":ok()");
    if (e->fields != NULL) {
        bool fits = w->lua.written - e->start + strlen(e->fields) < LINE_MAX_CHARS;

        print(w, ",%s%s)", fits ? " " : "\n       ", e->fields);
        free(e->fields);
    }
    print(w, "\n");
    for (size_t i = 0; e->keeps && i < e->reply->n_fds; i++) {
        const struct tool_record_fd *fd = &e->reply->fds[i];

        if (!is_file(fd) || fd->file == 0 || fd->file >= FILES_MAX)
            continue;
        w->made[fd->file] = true;
        print(w, "  f[%" PRIu32 "] = m.fds[%zu]\n", fd->file, i + 1);
    }
}

static void print_call(struct writer *w, const struct tool_step *step)
{
    char *json = json_without_twin(w, step);
    const char *comma, *end;

    print(w, "c:");
    comma = tool_lua_command(&w->lua, step, json, &end);
    print_fds(w, step, comma);
    print(w, "%s", end);
    if (step->cut)
        print(w, " --[[ the recording has only a part of it ]] ");
    free(json);
}

static void write_client_command(struct writer *w, size_t i)
{
    const struct tool_step *step = &w->steps.steps[i];
    size_t reply = step->partner;

    make_files(w, step);
    if (reply_is_next(w, i)) {
        struct expectation e = begin_expectation(w, i, reply);

        print_call(w, step);
        finish_expectation(w, &e);
        w->inlined[reply] = true;
        return;
    }
    print(w, "  ");
    if (reply != TOOL_NO_STEP)
        print(w, "r[%zu] = ", i);
    print_call(w, step);
    print(w, reply == TOOL_NO_STEP && (step->h.flags & VU_F_NO_REPLY) == 0
                 ? "  -- was not answered\n"
                 : "\n");
}

static void write_server_reply(struct writer *w, size_t i)
{
    const struct tool_step *step = &w->steps.steps[i];
    struct expectation e;

    if (w->inlined[i])
        return;
    if (step->partner == TOOL_NO_STEP) {
        print(w, "  -- A reply that answers nothing was recorded here (%s).\n",
              vu_command_info(step->h.command) ? vu_command_info(step->h.command)->name
                                               : "no known command");
        return;
    }
    e = begin_expectation(w, step->partner, i);
    print(w, "r[%zu]", step->partner);
    finish_expectation(w, &e);
}

/* ------------------------------------------------------- the server's own -- */

static void write_server_command(struct writer *w, size_t i)
{
    const struct tool_step *step = &w->steps.steps[i];
    const struct tool_shape *shape = tool_shape(step->h.command, false);
    struct vu_bytes bytes = tool_step_body(step);
    struct vu_reader r = vu_reader(bytes.data, bytes.len);
    union tool_body body;
    const char *comma = "";

    memset(&body, 0, sizeof(body));
    print(w, "  s[%zu] = server_command(c, %u, {", i, step->h.command);
    if (shape != NULL && shape->decode(&r, &body) == 0) {
        for (const struct tool_field *f = shape->fields; f->name != NULL; f++) {
            print(w, "%s %s = ", comma, f->name);
            if (f->width != 0)
                print(w, "0x%" PRIx64, tool_field_number(f, &body));
            else
                tool_lua_bytes(&w->lua, tool_field_bytes(f, &body));
            comma = ",";
        }
    }
    print(w, " })\n");
}

static void write_client_reply(struct writer *w, size_t i)
{
    const struct tool_step *step = &w->steps.steps[i];

    if (step->partner == TOOL_NO_STEP) {
        print(w, "  c:raw(");
        tool_lua_bytes(&w->lua, step->bytes);
        print(w, ")  -- answers nothing\n");
        return;
    }
    print(w, "  answer(c, s[%zu], ", step->partner);
    tool_lua_bytes(&w->lua, tool_step_body(step));
    if (step->h.flags != VU_F_TYPE_REPLY || step->h.error != 0)
        print(w, ", 0x%x, %u", step->h.flags, step->h.error);
    print(w, ")\n");
}

/* ------------------------------------------------------------------ others -- */

static void write_message(struct writer *w, size_t i)
{
    const struct tool_step *step = &w->steps.steps[i];
    bool to_server = step->direction == VU_TO_SERVER;

    if (step->command && to_server)
        write_client_command(w, i);
    else if (step->reply && !to_server)
        write_server_reply(w, i);
    else if (step->command)
        write_server_command(w, i);
    else if (step->reply)
        write_client_reply(w, i);
    else if (to_server) {
        print(w, "  c:raw(");
        tool_lua_bytes(&w->lua, step->bytes);
        print(w, ")\n");
    } else {
        print(w, "  -- A message of an unknown type was recorded here.\n");
    }
}

static void write_raw(struct writer *w, const struct tool_step *step)
{
    if (step->direction == VU_TO_CLIENT) {
        print(w, "  -- The server sent %zu bytes that are no message.\n",
              step->bytes.len);
        return;
    }
    print(w, "  c:raw(");
    tool_lua_bytes(&w->lua, step->bytes);
    print(w, ")  -- no message\n");
}

static void write_close(struct writer *w, const struct tool_step *step, bool *closed)
{
    if (step->twin || *closed)
        return;
    if (step->direction == VU_TO_CLIENT)
        print(w, "  check(c:wait_closed(), \"the server closed the connection here\")\n");
    else if (step->values[1] != 0)
        print(w, "  c:shutdown()\n");
    *closed = step->direction == VU_TO_CLIENT || step->values[1] == 0;
}

static void write_event(struct writer *w, const struct tool_step *step)
{
    if (step->direction == VU_TO_SERVER) {
        print(w, "  -- The client signalled its eventfd for unmasking.\n");
        return;
    }
    print(w, "  fired(e, ");
    tool_lua_irq(&w->lua, step->values[0]);
    print(w, ", %" PRIu64 ", %" PRIu64 ")\n", step->values[1], step->values[2]);
}

static void write_memory(struct writer *w, const struct tool_step *step)
{
    uint64_t file = step->values[0];

    if (step->direction == VU_TO_SERVER)
        make_file(w, file, step->values[2]);
    if (!has_file(w, file)) {
        print(w, "  -- Memory of file %" PRIu64 " changed, which is not here.\n", file);
        return;
    }
    if (step->direction == VU_TO_SERVER)
        print(w, "  f[%" PRIu64 "]:write(0x%" PRIx64 ", ", file, step->values[1]);
    else
        print(w, "  becomes(f[%" PRIu64 "], 0x%" PRIx64 ", ", file, step->values[1]);
    tool_lua_bytes(&w->lua, step->bytes);
    print(w, step->direction == VU_TO_SERVER ? ")\n" : ", \"memory\")\n");
}

static void write_note(struct writer *w, const struct tool_step *step)
{
    print(w, "  -- ");
    for (size_t i = 0; i < step->bytes.len; i++)
        print(w, "%c", step->bytes.data[i] >= 0x20 && step->bytes.data[i] < 0x7f
                           ? step->bytes.data[i] : '?');
    print(w, "\n");
}

static void write_step(struct writer *w, size_t i, bool *closed)
{
    const struct tool_step *step = &w->steps.steps[i];

    switch (step->kind) {
    case TOOL_RECORD_MESSAGE:
        write_message(w, i);
        break;
    case TOOL_RECORD_RAW:
        write_raw(w, step);
        break;
    case TOOL_RECORD_CLOSE:
        write_close(w, step, closed);
        break;
    case TOOL_RECORD_EVENT:
        write_event(w, step);
        break;
    case TOOL_RECORD_MEMORY:
        write_memory(w, step);
        break;
    case TOOL_RECORD_NOTE:
        write_note(w, step);
        break;
    default:
        break;
    }
}

/* ---------------------------------------------------------------- sessions -- */

/* Was a twin socket agreed on? No other descriptor comes with a reply to VERSION. */
static bool has_twin(const struct writer *w, uint32_t session)
{
    for (size_t i = 0; i < w->steps.n; i++) {
        const struct tool_step *step = &w->steps.steps[i];

        if (step->session == session && step->reply && step->h.command == VU_VERSION
            && step->n_fds > 0)
            return true;
    }
    return false;
}

/* Did a command of the server come over it? */
static bool uses_twin(const struct writer *w, uint32_t session)
{
    for (size_t i = 0; i < w->steps.n; i++) {
        const struct tool_step *step = &w->steps.steps[i];

        if (step->session == session && step->twin && step->command)
            return true;
    }
    return false;
}

static void write_session(struct writer *w, uint32_t session)
{
    bool closed = false;

    memset(w->made, 0, FILES_MAX * sizeof(*w->made));
    w->twin = has_twin(w, session);
    print(w, "\nsession[%" PRIu32 "] = function()\n", session);
    print(w, "  local c = connect{ negotiate = false }\n");
    print(w, "  local r, s, f, e, m = {}, {}, {}, {}, nil\n");
    if (uses_twin(w, session))
        gap(w, &w->said_twin,
            "the twin socket is not proposed here: the server's commands "
            "are expected on the main one");
    for (size_t i = 0; i < w->steps.n; i++) {
        if (w->steps.steps[i].session == session)
            write_step(w, i, &closed);
    }
    print(w, "  quiet(e)\n  c:close()\nend\n");
}

/* Is this step the first of its session? */
static bool begins_session(const struct writer *w, size_t i)
{
    return w->steps.steps[i].kind == TOOL_RECORD_CONNECT &&
           is_wanted(w, &w->steps.steps[i]);
}

static uint64_t duration_ns(const struct writer *w)
{
    uint64_t first = w->steps.n != 0 ? w->steps.steps[0].time_ns : 0;
    uint64_t last = w->steps.n != 0 ? w->steps.steps[w->steps.n - 1].time_ns : 0;

    return last > first ? last - first : 0;
}

static void write_case(struct writer *w)
{
    uint64_t seconds = 30 + 2 * (duration_ns(w) / 1000000000u);

    print(w, "\ncase \"CONN-01\" {\n");
    print(w, "  \"the recorded session is served as it was\", connect = \"none\", "
             "timeout = %" PRIu64 ",\n  function()\n",
          seconds < 86400 ? seconds : 86400);
    for (size_t i = 0; i < w->steps.n; i++) {
        if (begins_session(w, i))
            print(w, "    session[%" PRIu32 "]()\n", w->steps.steps[i].session);
    }
    print(w, "  end }\n");
}

static void write_heading(struct writer *w)
{
    size_t messages = 0;

    for (size_t i = 0; i < w->steps.n; i++)
        messages += w->steps.steps[i].kind == TOOL_RECORD_MESSAGE &&
                    is_wanted(w, &w->steps.steps[i]);
    print(w, "-- A recording of %zu messages as a scenario, made by vfu. Put it into a "
             "directory and run\n", messages);
    print(w,
          "--   vfio-user-conformance --spawn \"SERVER {socket}\" --suite DIRECTORY\n");
    print(w, "-- Ids of messages are the runner's own.\n\n%s", helpers);
}

static void write_all(struct writer *w)
{
    static const char large[] =
        "the scenario is larger than the 4 MiB that the runner takes";
    bool said = false;

    write_heading(w);
    for (size_t i = 0; i < w->steps.n; i++) {
        if (begins_session(w, i))
            write_session(w, w->steps.steps[i].session);
    }
    write_case(w);
    if (w->lua.written > RUNNER_FILE_MAX)
        gap(w, &said, large);
}

int tool_scenario_write(FILE *to, const void *recording, size_t len,
                        const struct tool_scenario_options *options, char *why,
                        size_t why_len)
{
    struct writer w = { .lua = { .to = to }, .options = options };
    int err = tool_steps_load(&w.steps, recording, len, why, why_len);

    w.made = calloc(FILES_MAX, sizeof(*w.made));
    w.inlined = calloc(w.steps.n + 1, sizeof(*w.inlined));
    if (w.made == NULL || w.inlined == NULL)
        err = -ENOMEM;
    if (err == 0 || err == -EBADMSG)
        write_all(&w);
    if (w.no_memory)
        err = -ENOMEM;
    if (err == 0 && (ferror(to) || fflush(to) != 0))
        err = -EIO;
    free(w.made);
    free(w.inlined);
    tool_steps_done(&w.steps);
    return err;
}
