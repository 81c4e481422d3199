/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A relay between one client and one server: see tools/relay.h.
 *
 * A link is a pair of connections, one to the client and one to the server: the main one,
 * and the twin socket when the server made one. Each link has a flow in each direction:
 *
 *   from  ->  [ channel's input | held: one message that could not leave ]  ->  to
 *
 * What passes is looked at on its way (tools/relay_watch.h): descriptors may be exchanged
 * for our own there.
 */
#include "tools/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tools/relay_watch.h"

#define READS_A_TURN   16   /* of one flow, before another has its turn */
#define SIGNALS_A_TURN 256
#define KEEP_BYTES     (1u << 20) /* a larger buffer is given back after use */

/* Input and output hold one largest message each. */
static const struct vu_channel_limits limits = {
    .max_message = TOOL_RECORDING_MAX_MESSAGE,
    .max_fds = VU_MAX_MSG_FDS,
    .batch = UINT32_MAX,
    .max_out = TOOL_RECORDING_MAX_MESSAGE + (1u << 20),
    .stall_ms = -1,
};

enum { CLIENT, SERVER, SIDES };
enum { MAIN, TWIN, LINKS };

struct end {
    struct vu_channel *ch; /* owned */
    bool hung;             /* the peer is gone, both ways */
};

struct flow {
    struct end *from, *to;
    bool ending, done;      /* nothing more will be read; all that was read has left */
    struct vu_buffer bytes; /* the message on its way, with its header */
    bool holding;           /* it could not leave yet */
    struct tool_passing passing; /* what goes with it */
};

struct link {
    bool open;
    struct end ends[SIDES];
    struct flow flows[SIDES]; /* by where they come from */
};

struct session {
    const struct tool_relay *relay;
    uint32_t number;
    struct link links[LINKS];
    struct tool_watch watch;
    struct tool_record record; /* the one that is being made */
    int err;                   /* ends the session */
    bool over;                 /* so does this, in order */
    vu_deadline end_by;        /* once a side has left */
};

uint64_t tool_relay_now(void)
{
    struct timespec real;

    clock_gettime(CLOCK_REALTIME, &real);
    return (uint64_t)real.tv_sec * 1000000000u + (uint64_t)real.tv_nsec;
}

/* ---------------------------------------------------------------- records -- */

static struct tool_record *new_record(struct session *s, enum tool_record_kind kind,
                                      enum vu_direction direction)
{
    s->record = (struct tool_record){
        .kind = kind,
        .direction = direction,
        .session = s->number,
        .time_ns = tool_relay_now(),
    };
    return &s->record;
}

static void emit(struct session *s)
{
    if (s->err == 0)
        s->err = s->relay->on_record(s->relay->ctx, &s->record);
}

static int on_note(void *ctx, const char *text)
{
    struct session *s = ctx;
    struct tool_record *r = new_record(s, TOOL_RECORD_NOTE, VU_TO_SERVER);

    r->bytes = (struct vu_bytes){ (const uint8_t *)text, strlen(text) };
    emit(s);
    return s->err;
}

static int on_memory(void *ctx, enum vu_direction by, const struct tool_track *track,
                     uint64_t offset, struct vu_bytes bytes)
{
    struct session *s = ctx;

    for (size_t at = 0; at < bytes.len && s->err == 0; at += TOOL_RECORDING_PIECE) {
        struct tool_record *r = new_record(s, TOOL_RECORD_MEMORY, by);
        size_t left = bytes.len - at;

        r->memory.file = track->file;
        r->memory.offset = offset + at;
        r->memory.size = track->file_size;
        r->bytes.data = bytes.data + at;
        r->bytes.len = left < TOOL_RECORDING_PIECE ? left : TOOL_RECORDING_PIECE;
        emit(s);
    }
    return s->err;
}

static enum vu_direction direction_of(const struct link *l, const struct flow *f)
{
    return f->from == &l->ends[CLIENT] ? VU_TO_SERVER : VU_TO_CLIENT;
}

static bool is_twin(const struct session *s, const struct link *l)
{
    return l == &s->links[TWIN];
}

/* ------------------------------------------------------------------ links -- */

/* Takes both descriptors over, whatever happens. */
static int open_link(struct link *l, int client_fd, int server_fd)
{
    const int fds[SIDES] = { [CLIENT] = client_fd, [SERVER] = server_fd };

    for (int i = 0; i < SIDES; i++) {
        l->ends[i].ch = vu_channel_new(fds[i], &limits);
        if (l->ends[i].ch == NULL)
            close(fds[i]);
        l->flows[i].from = &l->ends[i];
        l->flows[i].to = &l->ends[SIDES - 1 - i];
        vu_buffer_init(&l->flows[i].bytes, TOOL_RECORDING_MAX_MESSAGE);
    }
    l->open = true;
    return l->ends[CLIENT].ch != NULL && l->ends[SERVER].ch != NULL ? 0 : -ENOMEM;
}

static void close_link(struct link *l)
{
    if (!l->open)
        return;
    for (int i = 0; i < SIDES; i++) {
        if (l->flows[i].holding)
            tool_passing_done(&l->flows[i].passing);
        vu_buffer_done(&l->flows[i].bytes);
        vu_channel_free(l->ends[i].ch);
        l->ends[i].ch = NULL;
    }
    l->open = false;
}

/* --------------------------------------------------------------- messages -- */

/* Copy the message so that header and body lie together. */
static int take_bytes(struct flow *f, const struct vu_message *m)
{
    size_t len = VU_HEADER_SIZE + m->body_len;
    struct vu_writer w;
    uint8_t *at;

    vu_buffer_truncate(&f->bytes, 0);
    at = vu_buffer_extend(&f->bytes, len);
    if (at == NULL)
        return -errno;
    w = vu_writer(at, len);
    vu_encode_header(&w, &m->h);
    vu_put_bytes(&w, m->body, m->body_len);
    return vu_writer_ok(&w);
}

/* Send what the flow holds; false: it has to wait. */
static bool send_held(struct flow *f)
{
    struct iovec iov = { .iov_base = f->bytes.data, .iov_len = f->bytes.len };
    int err = vu_channel_offer(f->to->ch, &iov, 1, f->passing.fds, f->passing.n_fds);

    if (err == -EAGAIN)
        return false;
    /* A receiver that has gone is seen where it is read from. */
    tool_passing_done(&f->passing);
    f->holding = false;
    if (f->bytes.room > KEEP_BYTES)
        vu_buffer_done(&f->bytes);
    return true;
}

static void record_message(struct session *s, const struct link *l, const struct flow *f,
                           const struct vu_message *m)
{
    struct tool_record *r = new_record(s, TOOL_RECORD_MESSAGE, direction_of(l, f));

    r->twin = is_twin(s, l);
    r->flags = m->fds_lost ? TOOL_RECORD_FDS_LOST : 0;
    r->bytes = (struct vu_bytes){ f->bytes.data, f->bytes.len };
    tool_watch_describe(&s->watch, m, r);
    emit(s);
}

static void open_twin(struct session *s, struct flow *f)
{
    struct link *twin = &s->links[TWIN];

    if (f->passing.twin_client == -1)
        return;
    if (twin->open) {
        close(f->passing.twin_client);
        close(f->passing.twin_server);
    } else if (open_link(twin, f->passing.twin_client, f->passing.twin_server) != 0) {
        s->err = -ENOMEM;
    }
    f->passing.twin_client = f->passing.twin_server = -1;
}

static void pass_message(struct session *s, struct link *l, struct flow *f,
                         struct vu_message *m)
{
    enum vu_direction direction = direction_of(l, f);

    if (s->err == 0)
        s->err = take_bytes(f, m);
    if (s->err == 0)
        s->err = tool_watch_before(&s->watch, direction, !is_twin(s, l), m);
    record_message(s, l, f, m);
    f->passing = tool_watch_pass(&s->watch, direction, !is_twin(s, l), m);
    f->holding = true;
    vu_message_done(m);
    if (s->err == 0)
        s->err = tool_watch_after(&s->watch);
    open_twin(s, f);
    if (s->err == 0)
        send_held(f);
}

/* ------------------------------------------------------------ ends of flow -- */

/* Bytes that are no message go through as they are; nobody can tell what follows. */
static void pass_raw(struct session *s, struct link *l, struct flow *f,
                     enum tool_raw_reason reason, const int *fds, size_t n_fds)
{
    struct vu_bytes rest = vu_channel_unread(f->from->ch);
    struct iovec iov = { .iov_base = (void *)(uintptr_t)rest.data, .iov_len = rest.len };
    struct tool_record *r = new_record(s, TOOL_RECORD_RAW, direction_of(l, f));

    r->twin = is_twin(s, l);
    r->raw.reason = reason;
    r->bytes = rest;
    emit(s);
    if (rest.len != 0)
        vu_channel_send(f->to->ch, &iov, 1, fds, n_fds,
                        vu_deadline_in_ms(s->relay->linger_ms));
}

static void bad_header(struct session *s, struct link *l, struct flow *f,
                       struct vu_message *m, int err)
{
    pass_raw(s, l, f, err == -EBADMSG ? TOOL_RAW_SHORT : TOOL_RAW_LONG, m->fds, m->n_fds);
    vu_message_done(m);
    s->over = true;
}

static bool hung_up(int fd)
{
    struct pollfd p = { .fd = fd };

    return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

/* The sender of this flow has closed; err 0: in order. */
static void flow_ends(struct session *s, struct link *l, struct flow *f, int err)
{
    size_t partial = vu_channel_partial(f->from->ch);
    struct tool_record *r;

    f->ending = true;
    f->from->hung = err != 0 || hung_up(vu_channel_fd(f->from->ch));
    if (partial != 0) {
        pass_raw(s, l, f, TOOL_RAW_PARTIAL, NULL, 0);
        s->over = true;
    }
    if (s->err == 0 && !is_twin(s, l))
        s->err = tool_watch_look(&s->watch, direction_of(l, f)); /* its last words */
    r = new_record(s, TOOL_RECORD_CLOSE, direction_of(l, f));
    r->twin = is_twin(s, l);
    r->close.error = (uint64_t)-err;
    r->close.half = !f->from->hung;
    emit(s);
    if (f->from->hung && !r->twin && s->end_by == VU_FOREVER)
        s->end_by = vu_deadline_in_ms(s->relay->linger_ms);
}

/* All that was read has left: tell the receiver that nothing follows. */
static void finish_flow(struct session *s, struct link *l, struct flow *f)
{
    f->done = true;
    shutdown(vu_channel_fd(f->to->ch), SHUT_WR);
    if (is_twin(s, l)) {
        if (l->flows[CLIENT].done && l->flows[SERVER].done)
            close_link(l);
    } else if (f->from->hung || (l->flows[CLIENT].done && l->flows[SERVER].done)) {
        s->over = true;
    }
}

/* ------------------------------------------------------------------- flows -- */

/* Signals first: who signals before it sends is seen in that order. */
static void pass_signals(struct session *s)
{
    struct tool_signal signal;

    for (int i = 0; i < SIGNALS_A_TURN && s->err == 0; i++) {
        enum vu_direction direction;
        struct tool_record *r;

        if (!tool_lines_take(&s->watch.lines, &signal))
            return;
        direction = signal.unmask ? VU_TO_SERVER : VU_TO_CLIENT;
        s->err = tool_watch_look(&s->watch, direction);
        r = new_record(s, TOOL_RECORD_EVENT, direction);
        r->event.index = signal.index;
        r->event.vector = signal.vector;
        r->event.count = signal.count;
        emit(s);
        if (!tool_lines_pass(&s->watch.lines, &signal) && s->err == 0)
            on_note(s, "an eventfd is full: this signal did not reach its receiver");
    }
}

/* Has everything left that was taken in? */
static bool is_clear(struct flow *f)
{
    if (f->holding && !send_held(f))
        return false;
    return vu_channel_flush(f->to->ch, VU_DONT_WAIT) != -EAGAIN;
}

/* One message, or more input; false: nothing more at present. */
static bool step(struct session *s, struct link *l, struct flow *f)
{
    struct vu_message m;
    int got = vu_channel_next(f->from->ch, &m);
    int64_t n;

    if (got == 1) {
        pass_signals(s);
        pass_message(s, l, f, &m);
        return true;
    }
    if (got < 0) {
        bad_header(s, l, f, &m, got);
        return false;
    }
    n = vu_channel_fill(f->from->ch, VU_DONT_WAIT);
    if (n > 0 || n == -EINTR)
        return true;
    if (n == -ENOMEM)
        s->err = -ENOMEM;
    else if (n != -EAGAIN)
        flow_ends(s, l, f, (int)n);
    return n != -EAGAIN;
}

static bool session_goes_on(const struct session *s)
{
    return s->err == 0 && !s->over;
}

static void pump(struct session *s, struct link *l, struct flow *f)
{
    for (int i = 0; i < READS_A_TURN && session_goes_on(s) && l->open && !f->done; i++) {
        if (!is_clear(f))
            return;
        if (f->ending)
            finish_flow(s, l, f);
        else if (!step(s, l, f))
            return;
    }
}

static void pump_all(struct session *s)
{
    pass_signals(s);
    for (int i = 0; i < LINKS; i++) {
        struct link *l = &s->links[i];

        for (int side = 0; side < SIDES && l->open; side++)
            pump(s, l, &l->flows[side]);
    }
}

/* ------------------------------------------------------------------ waiting -- */

static bool is_blocked(const struct flow *f)
{
    return f->holding || vu_channel_unsent(f->to->ch) != 0;
}

/* What to wait for at one end: as the source of one flow and the target of the other. */
static struct pollfd interest(const struct link *l, int side)
{
    const struct end *e = &l->ends[side];
    const struct flow *in = &l->flows[side], *out = &l->flows[SIDES - 1 - side];
    struct pollfd p = { .fd = vu_channel_fd(e->ch) };

    if (!in->ending && !is_blocked(in))
        p.events |= POLLIN;
    if (!out->done && is_blocked(out))
        p.events |= POLLOUT;
    /* A peer that left for good says so without end. */
    if (p.events == 0 && e->hung)
        p.fd = -1;
    return p;
}

/* A flow that stopped in mid-work, because its turn was over. */
static bool has_work(const struct session *s)
{
    for (int i = 0; i < LINKS; i++) {
        for (int side = 0; side < SIDES && s->links[i].open; side++) {
            const struct flow *f = &s->links[i].flows[side];

            if (!f->done && !is_blocked(f) &&
                (f->ending || vu_channel_ready(f->from->ch)))
                return true;
        }
    }
    return false;
}

static int wait_for_something(struct session *s)
{
    size_t n_lines = s->watch.lines.n_lines, n = 0;
    size_t most = n_lines + 1 + LINKS * SIDES;
    struct pollfd *polled = calloc(most, sizeof(*polled));
    size_t first = 1;
    int got;

    if (polled == NULL)
        return -ENOMEM;
    polled[n++] = (struct pollfd){ .fd = s->relay->stop_fd, .events = POLLIN };
    for (int i = 0; i < LINKS; i++) {
        for (int side = 0; side < SIDES && s->links[i].open; side++)
            polled[n++] = interest(&s->links[i], side);
    }
    for (size_t i = 0; i < n_lines; i++)
        polled[n++] = (struct pollfd){ .fd = s->watch.lines.lines[i].from,
                                       .events = POLLIN };
    got = poll(polled, n, has_work(s) ? 0 : vu_deadline_left_ms(s->end_by));
    if (got > 0 && polled[0].revents != 0)
        s->err = -EINTR;
    for (int i = 0; i < LINKS; i++) {
        for (int side = 0; side < SIDES && s->links[i].open; side++, first++) {
            if ((polled[first].revents & (POLLHUP | POLLERR)) != 0)
                s->links[i].ends[side].hung = true;
        }
    }
    free(polled);
    return 0;
}

/* A side whose sending direction had ended is gone altogether. */
static void notice_departure(struct session *s)
{
    struct link *l = &s->links[MAIN];

    for (int side = 0; side < SIDES; side++) {
        if (l->flows[side].ending && l->ends[side].hung && s->end_by == VU_FOREVER)
            s->end_by = vu_deadline_in_ms(s->relay->linger_ms);
        if (l->flows[side].done && l->ends[side].hung)
            s->over = true;
    }
    if (s->end_by != VU_FOREVER && vu_deadline_left_ms(s->end_by) == 0)
        s->over = true;
}

static void run(struct session *s)
{
    while (session_goes_on(s)) {
        int err;

        pump_all(s);
        if (!session_goes_on(s))
            return;
        err = wait_for_something(s);
        if (s->err == 0)
            s->err = err;
        notice_departure(s);
    }
}

int tool_relay_session(const struct tool_relay *relay, uint32_t session, int client_fd,
                       int server_fd)
{
    struct session *s = calloc(1, sizeof(*s));
    int err;

    if (s == NULL) {
        close(client_fd);
        close(server_fd);
        return -ENOMEM;
    }
    s->relay = relay;
    s->number = session;
    s->end_by = VU_FOREVER;
    tool_watch_init(&s->watch, &(struct tool_watch_options){
        .direct = relay->direct,
        .memory_each = relay->memory_each,
        .memory_all = relay->memory_all,
        .on_memory = on_memory,
        .on_note = on_note,
        .ctx = s,
    });
    s->err = open_link(&s->links[MAIN], client_fd, server_fd);
    new_record(s, TOOL_RECORD_CONNECT, VU_TO_SERVER);
    emit(s);
    if (s->err == 0)
        run(s);
    for (int i = 0; i < LINKS; i++)
        close_link(&s->links[i]);
    tool_watch_done(&s->watch);
    err = s->err;
    free(s);
    return err;
}
