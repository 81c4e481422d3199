/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Playing the client's part of a recording: see tools/replay.h.
 *
 * One loop, drive(), moves bytes in both directions while something is awaited, so that
 * a server which sends before it reads is no obstacle. What arrives waits in a list until
 * the step that expects it; commands of the server do not wait.
 */
#include "tools/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/replay_fds.h"
#include "wire/caps.h"

#define QUEUE_MAX   65536u      /* messages that nobody expects yet */
#define UNSENT_MAX  (1u << 20)  /* bytes; more are not added before some have left */
#define GLANCE_MS   10          /* between looks at memory and eventfds */

static const struct vu_channel_limits limits = {
    .max_message = TOOL_RECORDING_MAX_MESSAGE,
    .max_fds = VU_MAX_MSG_FDS,
    .batch = UINT32_MAX,
    .max_out = TOOL_RECORDING_MAX_MESSAGE + 2 * UNSENT_MAX,
    .stall_ms = -1,
};

enum { MAIN, TWIN, CHANNELS };

/* A message that came and was not expected yet. */
struct queued {
    struct queued *next;
    bool twin;
    struct tool_got got;
    int *fds;   /* owned, in the same allocation; -1: taken */
};

struct player {
    struct tool_replay *replay;
    uint32_t session;
    size_t first, last;             /* steps of this session lie in between */
    struct vu_channel *channels[CHANNELS]; /* owned; NULL: not there */
    bool closed[CHANNELS];          /* nothing more comes */
    bool spoilt;                    /* what came is no message */
    size_t n_queued;
    struct queued *queue, **tail;   /* owned */
    struct tool_replay_fds fds;
    bool *done;                     /* owned: steps that were dealt with ahead of time */
    size_t next_command;            /* the first of the server's that has not come */
    int64_t started;                /* ns of the monotonic clock */
    char *why;
    size_t why_len;
};

static const struct tool_step *step_at(const struct player *p, size_t i)
{
    return &p->replay->steps.steps[i];
}

static bool is_ours(const struct player *p, size_t i)
{
    return step_at(p, i)->session == p->session;
}

/* ------------------------------------------------------------- differences -- */

static void differ(struct player *p, size_t i, const struct tool_got *got,
                   const char *why)
{
    const struct tool_step *step = i == TOOL_NO_STEP ? NULL : step_at(p, i);
    struct tool_difference d = { .recorded = step, .got = got, .why = why };

    if (step != NULL) {
        d.number = i + 1;
        if (step->reply && step->partner != TOOL_NO_STEP)
            d.command = step_at(p, step->partner);
    }
    p->replay->differ++;
    p->replay->on_difference(p->replay->ctx, &d);
}

static int give_up(struct player *p, int err, const char *text)
{
    snprintf(p->why, p->why_len, "%s", text);
    return err;
}

/* ------------------------------------------------------------------- queue -- */

static void free_queued(struct queued *q)
{
    for (size_t i = 0; i < q->got.n_fds; i++) {
        if (q->fds[i] != -1)
            close(q->fds[i]);
    }
    free(q);
}

static int enqueue(struct player *p, bool twin, struct vu_message *m)
{
    size_t fds_size = m->n_fds * sizeof(int);
    struct queued *q = malloc(sizeof(*q) + fds_size + m->body_len);
    uint8_t *body;

    if (q == NULL || p->n_queued == QUEUE_MAX) {
        free(q);
        return -ENOMEM;
    }
    *q = (struct queued){ .twin = twin, .got = { .h = m->h, .n_fds = m->n_fds } };
    q->fds = (int *)(q + 1);
    for (size_t i = 0; i < m->n_fds; i++)
        q->fds[i] = vu_message_take_fd(m, i);
    body = (uint8_t *)q->fds + fds_size;
    if (m->body_len != 0)
        memcpy(body, m->body, m->body_len);
    q->got.body = (struct vu_bytes){ body, m->body_len };
    *p->tail = q;
    p->tail = &q->next;
    p->n_queued++;
    return 0;
}

static struct queued *unlink_queued(struct player *p, struct queued **at)
{
    struct queued *q = *at;

    *at = q->next;
    if (p->tail == &q->next)
        p->tail = at;
    p->n_queued--;
    return q;
}

/* The first reply that came with this id, or NULL. The caller frees it. */
static struct queued *take_reply(struct player *p, bool twin, uint16_t id)
{
    for (struct queued **at = &p->queue; *at != NULL; at = &(*at)->next) {
        if ((*at)->twin == twin && (*at)->got.h.msg_id == id)
            return unlink_queued(p, at);
    }
    return NULL;
}

/* -------------------------------------------------------- server's commands -- */

/* The first command of the server that was recorded and has not come, or TOOL_NO_STEP. */
static size_t next_server_command(struct player *p)
{
    for (; p->next_command < p->last; p->next_command++) {
        const struct tool_step *step = step_at(p, p->next_command);

        if (is_ours(p, p->next_command) && step->command &&
            step->direction == VU_TO_CLIENT && !p->done[p->next_command])
            return p->next_command;
    }
    return TOOL_NO_STEP;
}

/* Copy of a recorded message with another id, sent as soon as there is room. */
static int send_reply(struct vu_channel *ch, struct vu_header h, struct vu_bytes body)
{
    uint8_t header[VU_HEADER_SIZE];
    struct vu_writer w = vu_writer(header, sizeof(header));
    struct iovec iov[] = {
        { .iov_base = header, .iov_len = sizeof(header) },
        { .iov_base = (void *)(uintptr_t)body.data, .iov_len = body.len },
    };

    vu_encode_header(&w, &h);
    return vu_channel_offer(ch, iov, body.len != 0 ? 2 : 1, NULL, 0);
}

static int refuse_command(struct vu_channel *ch, const struct vu_header *command)
{
    struct vu_header h = {
        .msg_id = command->msg_id,
        .command = command->command,
        .size = VU_HEADER_SIZE,
        .flags = VU_F_TYPE_REPLY | VU_F_ERROR,
        .error = EINVAL,
    };

    return send_reply(ch, h, (struct vu_bytes){ NULL, 0 });
}

/* A command of the server is answered at once: it may be what a reply waits for. */
static int on_server_command(struct player *p, bool twin, const struct vu_message *m)
{
    struct tool_got got = { .h = m->h, .body = { m->body, m->body_len },
                            .n_fds = m->n_fds };
    struct vu_channel *ch = p->channels[twin ? TWIN : MAIN];
    size_t i = next_server_command(p);
    const struct tool_step *reply;
    struct vu_header h;
    char why[160];

    if (i == TOOL_NO_STEP) {
        differ(p, TOOL_NO_STEP, &got, "the server sends a command that was not recorded");
        return refuse_command(ch, &m->h);
    }
    p->done[i] = true;
    if (tool_differs(&p->replay->compare, step_at(p, i), &got, why, sizeof(why))) {
        differ(p, i, &got, why);
        return refuse_command(ch, &m->h);
    }
    p->replay->same++;
    p->replay->replies++;
    if (step_at(p, i)->partner == TOOL_NO_STEP)
        return 0;   /* the client did not answer either */
    p->done[step_at(p, i)->partner] = true;
    reply = step_at(p, step_at(p, i)->partner);
    h = reply->h;
    h.msg_id = m->h.msg_id;
    p->replay->messages++;
    return send_reply(ch, h, tool_step_body(reply));
}

/* ------------------------------------------------------------------ driving -- */

static int on_message(struct player *p, int which, struct vu_message *m)
{
    int err;

    if (vu_header_type(&m->h) == VU_F_TYPE_COMMAND)
        err = on_server_command(p, which == TWIN, m);
    else
        err = enqueue(p, which == TWIN, m);
    vu_message_done(m);
    /* That the server does not take an answer shows when something is read. */
    return err == -EPIPE || err == -ECONNRESET ? 0 : err;
}

/* Take in what is there. 0 or a failure of ours. */
static int take_input(struct player *p, int which)
{
    struct vu_channel *ch = p->channels[which];
    struct vu_message m;
    int64_t n = vu_channel_fill(ch, VU_DONT_WAIT);
    int got, err = 0;

    if (n == -ENOMEM)
        return -ENOMEM;
    if (n == 0 || (n < 0 && n != -EAGAIN && n != -EINTR && n != -ENOBUFS))
        p->closed[which] = true;
    while (err == 0 && (got = vu_channel_next(ch, &m)) != 0) {
        if (got < 0) {
            vu_message_done(&m);
            p->spoilt = p->closed[which] = true;
            return 0;
        }
        err = on_message(p, which, &m);
    }
    return err;
}

static bool is_open(const struct player *p, int which)
{
    return p->channels[which] != NULL && !p->closed[which];
}

/* Wait for something to happen, at most so long, and deal with it. 0, -EINTR to stop, or
 * a failure of ours. */
static int drive(struct player *p, vu_deadline deadline)
{
    struct pollfd polled[1 + CHANNELS] = {
        { .fd = p->replay->stop_fd, .events = POLLIN },
    };
    int err = 0;

    for (int i = 0; i < CHANNELS; i++) {
        struct pollfd *f = &polled[1 + i];

        f->fd = is_open(p, i) ? vu_channel_fd(p->channels[i]) : -1;
        f->events = POLLIN;
        if (is_open(p, i) && vu_channel_unsent(p->channels[i]) != 0)
            f->events |= POLLOUT;
    }
    if (poll(polled, 1 + CHANNELS, vu_deadline_left_ms(deadline)) == -1)
        return errno == EINTR ? 0 : -errno;
    if (polled[0].revents != 0)
        return -EINTR;
    for (int i = 0; i < CHANNELS && err == 0; i++) {
        if ((polled[1 + i].revents & POLLOUT) != 0)
            vu_channel_flush(p->channels[i], VU_DONT_WAIT);
        if ((polled[1 + i].revents & ~POLLOUT) != 0)
            err = take_input(p, i);
    }
    return err;
}

/* How long step i may take: as long as it took, and the timeout. */
static vu_deadline deadline_of(const struct player *p, size_t i)
{
    uint64_t now = step_at(p, i)->time_ns, before = now;

    if (p->replay->timeout_ms < 0)
        return VU_FOREVER;
    for (size_t at = i; at-- > p->first;) {
        if (is_ours(p, at)) {
            before = step_at(p, at)->time_ns;
            break;
        }
    }
    before = now > before && now - before < UINT64_C(3600000000000) ? now - before : 0;
    return vu_deadline_in_ms(p->replay->timeout_ms + (int64_t)(before / 1000000u));
}

static int lost(struct player *p, int which, const char *awaited)
{
    char text[160];

    snprintf(text, sizeof(text), "the server %s while %s was awaited",
             p->spoilt ? "sent bytes that are no message"
             : which == TWIN ? "closed the twin socket"
                             : "closed the connection",
             awaited);
    return give_up(p, p->spoilt ? -EPROTO : -ECONNRESET, text);
}

/* ----------------------------------------------------------------- sending -- */

static int connect_server(struct player *p)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char text[160];
    int err;

    if (fd == -1)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&p->replay->server,
                sizeof(p->replay->server)) == 0) {
        p->channels[MAIN] = vu_channel_new(fd, &limits);
        if (p->channels[MAIN] != NULL)
            return 0;
        close(fd);
        return -ENOMEM;
    }
    err = -errno;
    close(fd);
    snprintf(text, sizeof(text), "cannot connect to %s: %s", p->replay->server.sun_path,
             strerror(-err));
    give_up(p, err, text);
    return -ECONNREFUSED;
}

/* Wait until there is not too much on its way. */
static int make_way(struct player *p, struct vu_channel *ch, vu_deadline deadline)
{
    int err = 0;

    while (err == 0 && vu_channel_unsent(ch) > UNSENT_MAX && !p->closed[MAIN]) {
        if (vu_deadline_left_ms(deadline) == 0)
            return give_up(p, -ETIMEDOUT, "the server does not read what it is sent");
        err = drive(p, deadline);
    }
    return err;
}

/* Send bytes with descriptors, which stay the caller's. A server that has gone is noticed
 * by what is awaited next. */
static int send_bytes(struct player *p, struct vu_channel *ch, struct vu_bytes bytes,
                      const int *fds, size_t n_fds, vu_deadline deadline)
{
    int err = make_way(p, ch, deadline);

    while (err == 0) {
        struct iovec iov = { (void *)(uintptr_t)bytes.data, bytes.len };

        err = vu_channel_offer(ch, &iov, 1, fds, n_fds);
        if (err != -EAGAIN)
            break;
        if (vu_deadline_left_ms(deadline) == 0)
            return give_up(p, -ETIMEDOUT, "the server does not read what it is sent");
        err = drive(p, vu_deadline_in_ms(GLANCE_MS));
    }
    return err == -EPIPE || err == -ECONNRESET ? 0 : err;
}

static int send_step(struct player *p, size_t i)
{
    const struct tool_step *step = step_at(p, i);
    struct vu_channel *ch = p->channels[step->twin ? TWIN : MAIN];
    int fds[VU_MAX_MSG_FDS];
    int err;

    if (ch == NULL)
        return 0;
    err = tool_replay_fds_make(&p->fds, step, fds);
    if (err != 0)
        return err;
    p->replay->messages++;
    err = send_bytes(p, ch, step->bytes, fds, step->n_fds, deadline_of(p, i));
    for (size_t f = 0; f < step->n_fds; f++)
        close(fds[f]);
    return err;
}

/* -------------------------------------------------------------- expectations -- */

/* The twin socket of a VERSION reply becomes a channel, other files get their numbers. */
static int keep_fds(struct player *p, const struct tool_step *step, struct queued *q)
{
    struct vu_reader r = vu_reader(q->got.body.data, q->got.body.len);
    struct vu_version version;
    struct vu_caps caps;
    int err = 0;

    if (step->h.command == VU_VERSION) {
        if (p->channels[TWIN] != NULL || vu_decode_version(&r, &version) != 0 ||
            vu_caps_parse(&caps, version.data.data, version.data.len, NULL, 0) != 0 ||
            !caps.twin_socket || !caps.has_fd_index || caps.fd_index >= q->got.n_fds)
            return 0;
        p->channels[TWIN] = vu_channel_new(q->fds[caps.fd_index], &limits);
        if (p->channels[TWIN] == NULL)
            return -ENOMEM;
        q->fds[caps.fd_index] = -1;
        return 0;
    }
    for (size_t i = 0; i < q->got.n_fds && i < step->n_fds && err == 0; i++) {
        if (step->fds[i].file == 0)
            continue;
        err = tool_replay_file_set(&p->fds, step->fds[i].file, q->fds[i]);
        q->fds[i] = -1;
    }
    return err;
}

static int expect_reply(struct player *p, size_t i)
{
    const struct tool_step *step = step_at(p, i);
    int which = step->twin ? TWIN : MAIN;
    vu_deadline deadline = deadline_of(p, i);
    struct queued *q;
    char why[160];
    int err = 0;

    while ((q = take_reply(p, step->twin, step->h.msg_id)) == NULL && err == 0) {
        if (!is_open(p, which))
            return lost(p, which, "a reply");
        if (vu_deadline_left_ms(deadline) == 0) {
            differ(p, i, NULL, "there is no answer");
            return give_up(p, -ETIMEDOUT, "the server does not answer");
        }
        err = drive(p, deadline);
    }
    if (q == NULL)
        return err;
    p->replay->replies++;
    if (tool_differs(&p->replay->compare, step, &q->got, why, sizeof(why)))
        differ(p, i, &q->got, why);
    else
        p->replay->same++;
    err = keep_fds(p, step, q);
    free_queued(q);
    return err;
}

/* A command of the server that has not come yet. */
static int expect_command(struct player *p, size_t i)
{
    int which = step_at(p, i)->twin ? TWIN : MAIN;
    vu_deadline deadline = deadline_of(p, i);
    int err = 0;

    while (!p->done[i] && err == 0) {
        if (!is_open(p, which))
            return lost(p, which, "a command of its own");
        if (vu_deadline_left_ms(deadline) == 0) {
            differ(p, i, NULL, "the server does not send this command");
            p->done[i] = true;
            if (step_at(p, i)->partner != TOOL_NO_STEP)
                p->done[step_at(p, i)->partner] = true;
            return 0;
        }
        err = drive(p, deadline);
    }
    return err;
}

static int expect_event(struct player *p, size_t i)
{
    const struct tool_step *step = step_at(p, i);
    vu_deadline deadline = deadline_of(p, i);
    uint64_t came;
    char why[160];
    int err = 0;

    while (err == 0 && !tool_replay_signalled(&p->fds, step, &came)) {
        if (vu_deadline_left_ms(deadline) == 0 || !is_open(p, MAIN)) {
            snprintf(why, sizeof(why),
                     "the interrupt came %" PRIu64 " times, and not %" PRIu64, came,
                     step->values[2]);
            differ(p, i, NULL, why);
            return 0;
        }
        err = drive(p, vu_deadline_in_ms(GLANCE_MS));
    }
    if (err == 0) {
        p->replay->replies++;
        p->replay->same++;
    }
    return err;
}

/* Does the file hold these bytes? `at` receives where it does not. */
static bool holds(int fd, const struct tool_step *step, size_t *at, uint8_t *byte)
{
    uint8_t chunk[4096];

    for (*at = 0; *at < step->bytes.len;) {
        size_t len = step->bytes.len - *at < sizeof(chunk) ? step->bytes.len - *at
                                                           : sizeof(chunk);
        ssize_t n = pread(fd, chunk, len, (off_t)(step->values[1] + *at));

        *byte = 0;
        if (n <= 0)
            return false;
        for (size_t k = 0; k < (size_t)n; k++, (*at)++) {
            *byte = chunk[k];
            if (chunk[k] != step->bytes.data[*at])
                return false;
        }
    }
    return true;
}

/* The device wrote to memory; it does so in its own time. */
static int expect_memory(struct player *p, size_t i)
{
    const struct tool_step *step = step_at(p, i);
    int fd = tool_replay_file(&p->fds, step->values[0]);
    vu_deadline deadline = deadline_of(p, i);
    char why[160];
    uint8_t byte;
    size_t at;
    int err = 0;

    if (fd == -1 || p->replay->compare.loose)
        return 0;   /* the reply that should have brought it was told to differ */
    while (err == 0 && !holds(fd, step, &at, &byte)) {
        if (vu_deadline_left_ms(deadline) == 0 || !is_open(p, MAIN)) {
            snprintf(why, sizeof(why),
                     "byte 0x%" PRIx64 " of the file is 0x%02x, was 0x%02x",
                     step->values[1] + at, byte, step->bytes.data[at]);
            differ(p, i, NULL, why);
            return 0;
        }
        err = drive(p, vu_deadline_in_ms(GLANCE_MS));
    }
    return err;
}

static int write_memory(struct player *p, size_t i)
{
    const struct tool_step *step = step_at(p, i);
    int fd = tool_replay_file_make(&p->fds, step->values[0], step->values[2]);
    size_t at = 0;

    if (fd < 0)
        return fd;
    while (at < step->bytes.len) {
        ssize_t n = pwrite(fd, step->bytes.data + at, step->bytes.len - at,
                           (off_t)(step->values[1] + at));

        if (n <= 0) {
            differ(p, i, NULL, "the memory cannot be written");
            return 0;
        }
        at += (size_t)n;
    }
    return 0;
}

static int expect_close(struct player *p, size_t i)
{
    int which = step_at(p, i)->twin ? TWIN : MAIN;
    vu_deadline deadline = deadline_of(p, i);
    int err = 0;

    while (err == 0 && is_open(p, which)) {
        if (vu_deadline_left_ms(deadline) == 0) {
            differ(p, i, NULL, "the server does not close");
            return 0;
        }
        err = drive(p, deadline);
    }
    return err;
}

static void close_channel(struct player *p, int which)
{
    vu_channel_free(p->channels[which]);
    p->channels[which] = NULL;
}

/* ------------------------------------------------------------------- steps -- */

static int play_close(struct player *p, size_t i)
{
    const struct tool_step *step = step_at(p, i);
    int which = step->twin ? TWIN : MAIN;
    bool half = step->values[1] != 0;
    int err = 0;

    if (p->channels[which] == NULL)
        return 0;
    if (step->direction == VU_TO_CLIENT)
        return step->twin ? 0 : expect_close(p, i);
    while (err == 0 && is_open(p, which) && vu_channel_unsent(p->channels[which]) != 0 &&
           vu_deadline_left_ms(deadline_of(p, i)) != 0)
        err = drive(p, deadline_of(p, i));
    if (half)
        shutdown(vu_channel_fd(p->channels[which]), SHUT_WR);
    else
        close_channel(p, which);
    return err;
}

static int play_message(struct player *p, size_t i)
{
    const struct tool_step *step = step_at(p, i);

    if (p->done[i])
        return 0;
    if (step->direction == VU_TO_SERVER)
        return send_step(p, i);
    if (step->command)
        return expect_command(p, i);
    if (step->reply && step->partner != TOOL_NO_STEP)
        return expect_reply(p, i);
    return 0;   /* answers nothing: nobody knows what to wait for */
}

static int play_raw(struct player *p, size_t i)
{
    const struct tool_step *step = step_at(p, i);
    struct vu_channel *ch = p->channels[step->twin ? TWIN : MAIN];

    if (ch == NULL || step->direction == VU_TO_CLIENT)
        return 0;
    p->replay->messages++;
    return send_bytes(p, ch, step->bytes, NULL, 0, deadline_of(p, i));
}

static int play_step(struct player *p, size_t i)
{
    const struct tool_step *step = step_at(p, i);
    bool ours = step->direction == VU_TO_SERVER;

    switch (step->kind) {
    case TOOL_RECORD_MESSAGE:
        return play_message(p, i);
    case TOOL_RECORD_RAW:
        return play_raw(p, i);
    case TOOL_RECORD_CLOSE:
        return play_close(p, i);
    case TOOL_RECORD_EVENT:
        if (!ours)
            return expect_event(p, i);
        tool_replay_signal(&p->fds, step);
        return 0;
    case TOOL_RECORD_MEMORY:
        return ours ? write_memory(p, i) : expect_memory(p, i);
    default:
        return 0;
    }
}

/* With --speed recorded: no earlier than it was. */
static int wait_turn(struct player *p, size_t i)
{
    uint64_t since = step_at(p, i)->time_ns - step_at(p, p->first)->time_ns;
    int64_t ms;
    int err = 0;

    if (!p->replay->recorded_speed || step_at(p, i)->direction != VU_TO_SERVER ||
        step_at(p, i)->time_ns < step_at(p, p->first)->time_ns)
        return 0;
    while (err == 0 &&
           (ms = (p->started + (int64_t)since - vu_deadline_in_ms(0)) / 1000000) > 0)
        err = drive(p, vu_deadline_in_ms(ms < 1000 ? ms : 1000));
    return err;
}

/* What came and belongs to nothing that was recorded. */
static void check_leftovers(struct player *p)
{
    struct tool_replay_slot slot;
    char why[160];

    while (p->queue != NULL) {
        struct queued *q = unlink_queued(p, &p->queue);

        differ(p, TOOL_NO_STEP, &q->got,
               "the server sends a reply that was not recorded");
        free_queued(q);
    }
    while (tool_replay_surplus(&p->fds, &slot)) {
        snprintf(why, sizeof(why),
                 "vector %u of index %u was signalled %" PRIu64
                 " times more than recorded",
                 slot.vector, slot.index, slot.left);
        differ(p, TOOL_NO_STEP, NULL, why);
    }
}

/* ---------------------------------------------------------------- sessions -- */

static int play_steps(struct player *p)
{
    int err = 0;

    p->started = vu_deadline_in_ms(0);
    for (size_t i = p->first; i < p->last && err == 0; i++) {
        const struct tool_step *step = step_at(p, i);

        if (!is_ours(p, i))
            continue;
        if (step->kind == TOOL_RECORD_CLOSE && !step->twin && step->values[1] == 0)
            check_leftovers(p);
        err = wait_turn(p, i);
        if (err == 0)
            err = play_step(p, i);
    }
    if (err == 0)
        check_leftovers(p);
    return err;
}

static int play_session(struct tool_replay *replay, size_t first, char *why,
                        size_t why_len)
{
    struct player p = {
        .replay = replay,
        .session = replay->steps.steps[first].session,
        .first = first,
        .last = replay->steps.n,
        .next_command = first,
        .why = why,
        .why_len = why_len,
    };
    int err;

    p.tail = &p.queue;
    p.done = calloc(replay->steps.n, sizeof(*p.done));
    err = p.done == NULL ? -ENOMEM : connect_server(&p);
    if (err == 0)
        err = play_steps(&p);
    for (int i = 0; i < CHANNELS; i++)
        close_channel(&p, i);
    while (p.queue != NULL)
        free_queued(unlink_queued(&p, &p.queue));
    tool_replay_fds_done(&p.fds);
    free(p.done);
    return err;
}

int tool_replay(struct tool_replay *replay, char *why, size_t why_len)
{
    int err = 0;

    for (size_t i = 0; i < replay->steps.n && err == 0; i++) {
        const struct tool_step *step = &replay->steps.steps[i];

        if (step->kind == TOOL_RECORD_CONNECT &&
            (replay->session == 0 || step->session == replay->session))
            err = play_session(replay, i, why, why_len);
    }
    return err;
}
