/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One end of a connection: see wire/channel.h.
 *
 * Input is one buffer in which unread bytes lie between head and tail:
 *
 *   0        floor          head            tail        room
 *   | held   | handed out   | unread        | free      |
 *
 * Reading appends at tail; handing out a message advances head. When all is read, both
 * go back to floor, so that a connection with small messages touches the same page
 * again and again. Unread bytes move to the floor only when the message they begin
 * would not fit behind them, and the buffer doubles only when it is full of a single
 * message. A hold raises the floor; when there is too little left above it, the unread
 * bytes move to a new buffer and the old one stays with its holds.
 *
 * Output is one buffer too: sent bytes (only after a flush that could not finish),
 * posted ones, and behind them the message that is being made.
 *
 * What must be fast is one small message: fill, next, post, flush make two system
 * calls, allocate nothing and copy no message.
 */
#include "wire/channel.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "wire/socket.h"

#define FIRST_ROOM 65536u   /* bytes of input buffer that a channel begins with */
#define MIN_READ   4096u    /* with less free, unread bytes move if that is cheap */
#define MAX_HOLDS  8u       /* far more than commands that wait for one another */
#define OUT_KEEP   (4u << 20)   /* a larger output buffer is given back once it is empty */

/* One read brings at most this many: all descriptors, and a mark that some were lost. */
#define READ_FDS   (VU_MAX_MSG_FDS + 1)

/* From here on a wait is left to SO_RCVTIMEO, which counts in ticks of up to 10 ms. */
#define LONG_WAIT_NS INT64_C(250000000)

#define CLOSED 1                /* in_end: the peer has closed */

/* A descriptor that came and was not handed out yet. */
struct pending {
    uint64_t last;      /* stream position of the last byte of the read that brought it */
    int fd;             /* owned; -1: some of that read were lost */
};

struct hold {
    uint8_t *bytes;     /* the buffer that was current; owned by its lowest hold from the
                         * moment when it no longer is */
    size_t floor;       /* before the hold */
};

struct vu_channel {
    int fd;             /* owned */
    struct vu_channel_limits limits;

    uint8_t *in;        /* owned, as are the buffers in holds */
    size_t room, floor, head, tail;
    uint64_t received;  /* bytes since the beginning: stream position of tail */
    int in_end;         /* 0, CLOSED, or the negative errno that ended reading */
    int bad_header;     /* 0, or what vu_channel_next() says for ever */
    int64_t recv_timeout_ns;    /* SO_RCVTIMEO as it was set here; 0: none */

    struct vu_buffer out;
    size_t sent, posted;        /* ends of the sent and of the posted bytes in out */
    _Atomic int64_t waited_ns;  /* for the peer to take output, since the last read;
                                 * the one member of both directions */
    int out_err;        /* 0, or the negative errno that ended sending */

    size_t n_holds, n_pending;
    struct hold holds[MAX_HOLDS];
    struct pending pending[2 * READ_FDS];   /* ascending by position */
};

/* --------------------------------------------------------------- messages -- */

void vu_message_init(struct vu_message *m, const struct vu_header *h, const void *body,
                     size_t body_len)
{
    m->h = *h;
    m->body = body;
    m->body_len = body_len;
    m->n_fds = 0;
    m->fds_lost = false;
}

int vu_message_take_fd(struct vu_message *m, size_t i)
{
    int fd;

    if (i >= m->n_fds || m->fds[i] == -1)
        return -EBADF;
    fd = m->fds[i];
    m->fds[i] = -1;
    return fd;
}

void vu_message_done(struct vu_message *m)
{
    for (size_t i = 0; i < m->n_fds; i++)
        if (m->fds[i] != -1)
            vu_socket_close(m->fds[i]);
    m->n_fds = 0;
}

/* ----------------------------------------------------------------- set-up -- */

void vu_channel_set_limits(struct vu_channel *ch, const struct vu_channel_limits *limits)
{
    ch->limits = *limits;
    if (ch->limits.max_fds > VU_MAX_MSG_FDS)
        ch->limits.max_fds = VU_MAX_MSG_FDS;
    if (ch->limits.max_message < VU_HEADER_SIZE)
        ch->limits.max_message = VU_HEADER_SIZE;
    ch->out.limit = limits->max_out;
}

struct vu_channel *vu_channel_new(int fd, const struct vu_channel_limits *limits)
{
    struct vu_channel *ch = malloc(sizeof(*ch));
    uint8_t *in = malloc(FIRST_ROOM);

    if (ch == NULL || in == NULL) {
        free(ch);
        free(in);
        errno = ENOMEM;
        return NULL;
    }
    /* The tables at the end stay untouched until they are used. */
    memset(ch, 0, offsetof(struct vu_channel, holds));
    ch->fd = fd;
    ch->in = in;
    ch->room = FIRST_ROOM;
    vu_buffer_init(&ch->out, limits->max_out);
    vu_channel_set_limits(ch, limits);
    return ch;
}

void vu_channel_free(struct vu_channel *ch)
{
    if (ch == NULL)
        return;
    while (ch->n_holds > 0)
        vu_channel_release(ch);
    for (size_t i = 0; i < ch->n_pending; i++)
        if (ch->pending[i].fd != -1)
            vu_socket_close(ch->pending[i].fd);
    vu_buffer_done(&ch->out);
    free(ch->in);
    close(ch->fd);
    free(ch);
}

int vu_channel_fd(const struct vu_channel *ch)
{
    return ch->fd;
}

/* ------------------------------------------------------------------ input -- */

static size_t unread(const struct vu_channel *ch)
{
    return ch->tail - ch->head;
}

/* 0, or the sticky error for a header that announces `size` bytes. */
static int judge_size(const struct vu_channel *ch, uint32_t size)
{
    if (size < VU_HEADER_SIZE)
        return -EBADMSG;
    return size > ch->limits.max_message ? -EMSGSIZE : 0;
}

/* Whether vu_channel_next() would find something to say. If not, *need is the size
 * of the message at the front as far as it is known. */
static bool front_ready(const struct vu_channel *ch, size_t *need)
{
    struct vu_reader r = vu_reader(ch->in + ch->head, unread(ch));
    uint32_t size;

    *need = VU_HEADER_SIZE;
    if (r.left < VU_HEADER_SIZE)
        return false;
    vu_get_bytes(&r, 4);    /* id and command */
    size = vu_get_u32(&r);
    if (judge_size(ch, size) != 0)
        return true;
    *need = size;
    return size <= unread(ch);
}

/* Put the unread bytes at the lowest place they may have. */
static void compact(struct vu_channel *ch)
{
    size_t len = unread(ch);

    memmove(ch->in + ch->floor, ch->in + ch->head, len);
    ch->head = ch->floor;
    ch->tail = ch->floor + len;
}

static bool buffer_held(const struct vu_channel *ch)
{
    return ch->n_holds > 0 && ch->holds[ch->n_holds - 1].bytes == ch->in;
}

/* The message at the front gets a larger buffer, or a fresh one when this one is held.
 * (Without holds it fills the buffer from its very beginning.) */
static int enlarge(struct vu_channel *ch)
{
    size_t limit = (size_t)ch->limits.max_message + FIRST_ROOM;
    size_t len = unread(ch);
    size_t room = len <= FIRST_ROOM / 2 ? FIRST_ROOM : 2 * len;
    bool held = buffer_held(ch);
    uint8_t *in;

    if (room > limit)
        room = limit;
    in = held ? malloc(room) : realloc(ch->in, room);
    if (in == NULL)
        return -ENOMEM;
    if (held) {
        memcpy(in, ch->in + ch->head, len);
        ch->floor = ch->head = 0;
        ch->tail = len;
    }
    ch->in = in;
    ch->room = room;
    return 0;
}

/* All pending descriptors belong to one incomplete message: close what it cannot have. */
static void trim_pending(struct vu_channel *ch)
{
    struct pending lost = { .fd = 0 };
    size_t kept = 0;

    for (size_t i = 0; i < ch->n_pending; i++) {
        struct pending p = ch->pending[i];

        if (p.fd != -1 && kept < ch->limits.max_fds) {
            ch->pending[kept++] = p;
            continue;
        }
        if (p.fd != -1)
            vu_socket_close(p.fd);
        lost = (struct pending){ .last = p.last, .fd = -1 };
    }
    if (lost.fd == -1)
        ch->pending[kept++] = lost;
    ch->n_pending = kept;
}

/* See to it that bytes and descriptors can be read, and that the message at the front
 * can be completed where it lies. */
static int make_room(struct vu_channel *ch)
{
    size_t span = ch->room - ch->floor;     /* what can be had by moving alone */
    size_t need;

    if (ch->head == ch->tail)
        ch->head = ch->tail = ch->floor;
    if (front_ready(ch, &need)) {
        if (unread(ch) == span || ch->n_pending > READ_FDS)
            return -ENOBUFS;
        need = unread(ch) + 1;
    } else if (ch->n_pending > READ_FDS) {
        trim_pending(ch);
    }
    if (unread(ch) == span || (buffer_held(ch) && (need > span || span < MIN_READ)))
        return enlarge(ch);
    if (need > span)
        need = span;
    /* In the second case what moves is less than what was read since the last move. */
    if (ch->room - ch->head < need ||
        (ch->room - ch->tail < MIN_READ && ch->head - ch->floor >= unread(ch)))
        compact(ch);
    return 0;
}

/* What one recvmsg() brings. */
struct haul {
    size_t n_fds;
    bool lost;
    int fds[VU_MAX_MSG_FDS];
};

static bool is_socket(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* Close the sockets among the descriptors of a read. */
static void drop_sockets(struct haul *c)
{
    size_t kept = 0;

    for (size_t i = 0; i < c->n_fds; i++) {
        if (!is_socket(c->fds[i])) {
            c->fds[kept++] = c->fds[i];
            continue;
        }
        vu_socket_close(c->fds[i]);
        c->lost = true;
    }
    c->n_fds = kept;
}

/* Keep what the read that has just ended brought. */
static void add_pending(struct vu_channel *ch, const int *fds, size_t n_fds, bool lost)
{
    uint64_t last = ch->received - 1;
    size_t need;

    for (size_t i = 0; i < n_fds; i++)
        ch->pending[ch->n_pending++] = (struct pending){ .last = last, .fd = fds[i] };
    if (lost)
        ch->pending[ch->n_pending++] = (struct pending){ .last = last, .fd = -1 };
    if (!front_ready(ch, &need))
        trim_pending(ch);
}

/* Move the descriptors of the message that ends at stream position `end` into it. */
static void give_pending(struct vu_channel *ch, struct vu_message *m, uint64_t end)
{
    size_t i;

    for (i = 0; i < ch->n_pending && ch->pending[i].last < end; i++) {
        int fd = ch->pending[i].fd;

        if (fd != -1 && m->n_fds < ch->limits.max_fds) {
            m->fds[m->n_fds++] = fd;
            continue;
        }
        m->fds_lost = true;
        if (fd != -1)
            vu_socket_close(fd);
    }
    ch->n_pending -= i;
    memmove(ch->pending, ch->pending + i, ch->n_pending * sizeof(ch->pending[0]));
}

int vu_channel_next(struct vu_channel *ch, struct vu_message *m)
{
    struct vu_reader r = vu_reader(ch->in + ch->head, unread(ch));
    struct vu_header h;

    if (r.left < VU_HEADER_SIZE)
        return 0;
    vu_decode_header(&r, &h);
    if (ch->bad_header == 0)
        ch->bad_header = judge_size(ch, h.size);
    if (ch->bad_header != 0) {
        vu_message_init(m, &h, NULL, 0);
        give_pending(ch, m, ch->received);
        return ch->bad_header;
    }
    if (unread(ch) < h.size)
        return 0;
    vu_message_init(m, &h, r.pos, h.size - VU_HEADER_SIZE);
    ch->head += h.size;
    if (ch->n_pending > 0)
        give_pending(ch, m, ch->received - unread(ch));
    return 1;
}

bool vu_channel_ready(const struct vu_channel *ch)
{
    size_t need;

    return front_ready(ch, &need);
}

size_t vu_channel_partial(const struct vu_channel *ch)
{
    size_t at = ch->head;

    while (ch->tail - at >= VU_HEADER_SIZE) {
        struct vu_reader r = vu_reader(ch->in + at, VU_HEADER_SIZE);
        struct vu_header h;

        vu_decode_header(&r, &h);
        if (judge_size(ch, h.size) != 0 || ch->tail - at < h.size)
            break;
        at += h.size;
    }
    return ch->tail - at;
}

struct vu_bytes vu_channel_unread(const struct vu_channel *ch)
{
    return (struct vu_bytes){ ch->in + ch->head, unread(ch) };
}

int vu_channel_hold(struct vu_channel *ch)
{
    if (ch->n_holds == MAX_HOLDS)
        return -ENOMEM;
    ch->holds[ch->n_holds++] = (struct hold){ .bytes = ch->in, .floor = ch->floor };
    ch->floor = ch->head;
    return 0;
}

void vu_channel_release(struct vu_channel *ch)
{
    struct hold h;

    if (ch->n_holds == 0)
        return;
    h = ch->holds[--ch->n_holds];
    if (h.bytes == ch->in)
        ch->floor = h.floor;
    else if (ch->n_holds == 0 || ch->holds[ch->n_holds - 1].bytes != h.bytes)
        free(h.bytes);
}

/* ---------------------------------------------------------------- reading -- */

static int64_t receive(struct vu_channel *ch, struct haul *c, int flags)
{
    c->n_fds = ch->limits.max_fds;
    return vu_socket_recv_flags(ch->fd, ch->in + ch->tail, ch->room - ch->tail, flags,
                                c->fds, &c->n_fds, &c->lost);
}

static int set_recv_timeout(struct vu_channel *ch, int64_t ns)
{
    struct timeval t = {
        .tv_sec = (time_t)(ns / 1000000000),
        .tv_usec = (suseconds_t)(ns % 1000000000 / 1000),
    };

    if (setsockopt(ch->fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) != 0)
        return -errno;
    ch->recv_timeout_ns = ns;
    return 0;
}

/* A blocking recvmsg(). A timeout of an earlier wait is taken away only when it has
 * struck, so that waits of both kinds can alternate without further calls. */
static int64_t receive_forever(struct vu_channel *ch, struct haul *c)
{
    for (;;) {
        int64_t n = receive(ch, c, 0);
        int err;

        if (n != -EAGAIN)
            return n;
        if (ch->recv_timeout_ns != 0)
            err = set_recv_timeout(ch, 0);
        else    /* somebody made the socket non-blocking */
            err = vu_socket_wait(ch->fd, POLLIN, VU_FOREVER);
        if (err != 0)
            return err;
    }
}

/* A blocking recvmsg() with SO_RCVTIMEO for most of the time that is left. The last part
 * is left to poll(), which is exact. -EAGAIN: nothing came, or no timeout can be set. */
static int64_t receive_long(struct vu_channel *ch, struct haul *c, int64_t left)
{
    if (ch->recv_timeout_ns > left / 16 * 15 || ch->recv_timeout_ns < left / 2)
        if (set_recv_timeout(ch, left / 8 * 7) != 0)
            return -EAGAIN;
    return receive(ch, c, 0);
}

static int64_t receive_until(struct vu_channel *ch, struct haul *c, vu_deadline deadline)
{
    int64_t left = deadline - vu_deadline_now();
    int64_t n = left >= LONG_WAIT_NS ? receive_long(ch, c, left) : -EAGAIN;

    while (n == -EAGAIN) {
        int err = vu_socket_wait(ch->fd, POLLIN, deadline);

        if (err != 0)
            return err;
        n = receive(ch, c, MSG_DONTWAIT);
    }
    return n;
}

static int64_t receive_once(struct vu_channel *ch, struct haul *c, vu_deadline deadline)
{
    if (deadline == VU_DONT_WAIT)
        return receive(ch, c, MSG_DONTWAIT);
    if (deadline == VU_FOREVER)
        return receive_forever(ch, c);
    return receive_until(ch, c, deadline);
}

/* Remember what ends reading for good. */
static int64_t end_input(struct vu_channel *ch, int64_t n)
{
    if (n == 0)
        ch->in_end = CLOSED;
    else if (n != -EAGAIN && n != -ETIMEDOUT && n != -EINTR)
        ch->in_end = (int)n;
    return n;
}

int64_t vu_channel_fill(struct vu_channel *ch, vu_deadline deadline)
{
    struct haul c;
    int64_t n;
    int err;

    c.n_fds = 0;        /* fds stay as they are: not worth clearing each time */
    c.lost = false;
    if (ch->bad_header != 0)
        return ch->bad_header;
    if (ch->in_end != 0)
        return ch->in_end == CLOSED ? 0 : ch->in_end;
    err = make_room(ch);
    if (err == -ENOBUFS)
        return err;
    if (err != 0)
        return end_input(ch, err);
    n = receive_once(ch, &c, deadline);
    if (n <= 0)
        return end_input(ch, n);
    ch->tail += (size_t)n;
    ch->received += (uint64_t)n;
    ch->waited_ns = 0;
    if (c.n_fds > 0 && ch->limits.no_sockets)
        drop_sockets(&c);
    if (c.n_fds > 0 || c.lost)
        add_pending(ch, c.fds, c.n_fds, c.lost);
    return n;
}

int vu_channel_receive(struct vu_channel *ch, struct vu_message *m, vu_deadline deadline)
{
    for (bool first = true;; first = false) {
        int found = vu_channel_next(ch, m);
        int64_t n;

        if (found != 0)
            return found;
        /* Who sends byte by byte does not prolong a deadline. */
        if (!first && deadline != VU_DONT_WAIT && vu_deadline_left_ms(deadline) == 0)
            return -ETIMEDOUT;
        n = vu_channel_fill(ch, deadline);
        if (n <= 0)
            return (int)n;
    }
}

/* ---------------------------------------------------------------- writing -- */

struct vu_buffer *vu_channel_out(struct vu_channel *ch)
{
    return &ch->out;
}

/* Forget the posted bytes. A message that is being made behind them stays where it is. */
static void drop_posted(struct vu_channel *ch)
{
    ch->sent = ch->posted;
    if (ch->out.len == ch->posted) {
        if (ch->out.room > OUT_KEEP)
            vu_buffer_done(&ch->out);
        vu_buffer_truncate(&ch->out, 0);
        ch->sent = ch->posted = 0;
    }
}

/* Give back the room of bytes that were sent, unless a message is being made. What moves
 * is little, or no more than what was sent since it moved last. */
static void drop_sent(struct vu_channel *ch)
{
    size_t left = ch->posted - ch->sent;

    if (ch->sent == 0 || ch->out.len != ch->posted ||
        (left > ch->sent && left > FIRST_ROOM))
        return;
    memmove(ch->out.data, ch->out.data + ch->sent, left);
    vu_buffer_truncate(&ch->out, left);
    ch->posted -= ch->sent;
    ch->sent = 0;
}

static int fail_output(struct vu_channel *ch, int err)
{
    ch->out_err = err;
    drop_posted(ch);
    return err;
}

/* When the peer has used up what limits.slow_ms gives it. */
static vu_deadline slow_deadline(const struct vu_channel *ch, int64_t now)
{
    if (ch->limits.slow_ms == 0)
        return VU_FOREVER;
    return now + (int64_t)ch->limits.slow_ms * 1000000 - ch->waited_ns;
}

/* Wait until sending is worth another try. POLLOUT comes only when three quarters of the
 * socket's room are free; that a slow reader goes on reading shows in what is queued. */
static int wait_for_progress(struct vu_channel *ch, vu_deadline deadline)
{
    int64_t stall_ms = ch->limits.stall_ms;
    vu_deadline stall = vu_deadline_in_ms(stall_ms);
    int before = vu_socket_queued(ch->fd);

    for (;;) {
        vu_deadline step = vu_deadline_in_ms(stall_ms < 0 ? -1 : stall_ms / 8 + 1);
        int err;

        if (step > stall)
            step = stall;
        err = vu_socket_wait(ch->fd, POLLOUT, step < deadline ? step : deadline);
        if (err != -ETIMEDOUT && err != -EINTR)
            return err;
        if (vu_deadline_left_ms(deadline) == 0)
            return -ETIMEDOUT;
        if (vu_socket_queued(ch->fd) < before)
            return 0;
        if (vu_deadline_left_ms(stall) == 0)
            return -ETIMEDOUT;
    }
}

static int wait_for_reader(struct vu_channel *ch, vu_deadline deadline)
{
    int64_t begin = vu_deadline_now();
    vu_deadline slow = slow_deadline(ch, begin);
    int err = wait_for_progress(ch, slow < deadline ? slow : deadline);

    ch->waited_ns += vu_deadline_now() - begin;
    return err;
}

/* Skip len bytes. True when nothing is left. */
static bool iov_advance(struct iovec **iov, int *n_iov, size_t len)
{
    while (*n_iov > 0 && len >= (*iov)->iov_len) {
        len -= (*iov)->iov_len;
        (*iov)++;
        (*n_iov)--;
    }
    if (*n_iov == 0)
        return true;
    (*iov)->iov_base = (uint8_t *)(*iov)->iov_base + len;
    (*iov)->iov_len -= len;
    return false;
}

/* Send all of *iov, descriptors with its first byte. *sent tells how far it got, also on
 * failure, and *iov what is left. -EAGAIN only with VU_DONT_WAIT. */
static int send_all(struct vu_channel *ch, struct iovec **iov, int *n_iov,
                    const int *fds, size_t n_fds, vu_deadline deadline, size_t *sent)
{
    *sent = 0;
    for (;;) {
        int64_t n = vu_socket_send(ch->fd, *iov, *n_iov, fds, n_fds);
        int err = n < 0 ? (int)n : 0;

        if (err == -EAGAIN && deadline != VU_DONT_WAIT)
            err = wait_for_reader(ch, deadline);
        if (err != 0 && err != -EINTR)
            return err;
        if (n < 0)
            continue;
        *sent += (size_t)n;
        n_fds = 0;
        if (iov_advance(iov, n_iov, (size_t)n))
            return 0;
    }
}

int vu_channel_flush(struct vu_channel *ch, vu_deadline deadline)
{
    struct iovec iov, *rest = &iov;
    int n_rest = 1;
    size_t sent;
    int err;

    if (ch->out_err != 0)
        return ch->out_err;
    if (ch->sent == ch->posted)
        return 0;
    iov.iov_base = ch->out.data + ch->sent;
    iov.iov_len = ch->posted - ch->sent;
    err = send_all(ch, &rest, &n_rest, NULL, 0, deadline, &sent);
    ch->sent += sent;
    if (err == 0)
        drop_posted(ch);
    else if (err == -EAGAIN)
        drop_sent(ch);
    else
        fail_output(ch, err);
    return err;
}

/* Errors of sendmsg() that blame the descriptors. */
static bool fds_at_fault(int err)
{
    return err == -EBADF || err == -ETOOMANYREFS || err == -EINVAL;
}

/* Send one message by itself. What left only in part breaks the stream. */
static int send_message(struct vu_channel *ch, struct iovec *iov, int n_iov,
                        const int *fds, size_t n_fds, vu_deadline deadline)
{
    size_t sent;
    int err = send_all(ch, &iov, &n_iov, fds, n_fds, deadline, &sent);

    if (err == 0)
        return 0;
    if (sent == 0 && (err == -EAGAIN || (n_fds > 0 && fds_at_fault(err))))
        return err;
    return fail_output(ch, err == -EAGAIN ? -ETIMEDOUT : err);
}

/* Send what lies behind the posted bytes, and forget it in any case. */
static int post_with_fds(struct vu_channel *ch, const int *fds, size_t n_fds)
{
    int err = vu_channel_flush(ch, VU_FOREVER);
    struct iovec iov = {
        .iov_base = ch->out.data + ch->posted,
        .iov_len = ch->out.len - ch->posted,
    };

    if (err == 0)
        err = send_message(ch, &iov, 1, fds, n_fds, VU_FOREVER);
    vu_buffer_truncate(&ch->out, ch->posted);
    drop_posted(ch);
    return err;
}

int vu_channel_post(struct vu_channel *ch, size_t start, const int *fds, size_t n_fds)
{
    if (ch->out_err != 0) {
        vu_buffer_truncate(&ch->out, 0);
        ch->sent = ch->posted = 0;
        return ch->out_err;
    }
    if (start != ch->posted || ch->out.len <= start) {
        vu_buffer_truncate(&ch->out, ch->posted);
        return -EINVAL;
    }
    if (n_fds > 0)
        return post_with_fds(ch, fds, n_fds);
    ch->posted = ch->out.len;
    if (ch->posted - ch->sent < ch->limits.batch)
        return 0;
    return vu_channel_flush(ch, VU_FOREVER);
}

int vu_channel_send(struct vu_channel *ch, struct iovec *iov, int n_iov, const int *fds,
                    size_t n_fds, vu_deadline deadline)
{
    int err = vu_channel_flush(ch, deadline);

    return err != 0 ? err : send_message(ch, iov, n_iov, fds, n_fds, deadline);
}

size_t vu_channel_unsent(const struct vu_channel *ch)
{
    return ch->posted - ch->sent;
}

/* Post the rest of a message, of which `sent` bytes have left already. */
static int keep_rest(struct vu_channel *ch, const struct iovec *rest, int n_rest,
                     size_t sent)
{
    size_t len = 0;
    uint8_t *at;

    for (int i = 0; i < n_rest; i++)
        len += rest[i].iov_len;
    at = vu_buffer_extend(&ch->out, len);
    if (at == NULL)
        return sent == 0 ? -errno : fail_output(ch, -errno);
    for (int i = 0; i < n_rest; i++) {
        if (rest[i].iov_len > 0)    /* memcpy refuses NULL even then */
            memcpy(at, rest[i].iov_base, rest[i].iov_len);
        at += rest[i].iov_len;
    }
    ch->posted = ch->out.len;
    return 0;
}

int vu_channel_offer(struct vu_channel *ch, struct iovec *iov, int n_iov, const int *fds,
                     size_t n_fds)
{
    size_t sent = 0;
    int err = vu_channel_flush(ch, VU_DONT_WAIT);

    if (err == 0)
        err = send_all(ch, &iov, &n_iov, fds, n_fds, VU_DONT_WAIT, &sent);
    if (err == 0)
        return 0;
    if (err == -EAGAIN && n_fds > 0 && sent == 0)
        return err;
    if (err != -EAGAIN)
        return sent == 0 && n_fds > 0 && fds_at_fault(err) ? err : fail_output(ch, err);
    return keep_rest(ch, iov, n_iov, sent);
}
