/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The connection that threads share, see libserver/port.h.
 *
 * Functions marked "locked" are called with the lock held and return with it; some
 * let go of it meanwhile, where they wait or call the device's log function, and say
 * so. Requests live on the stacks of the threads that wait, so they are touched
 * under the lock only.
 */
#include "libserver/port.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "libserver/context.h"
#include "libserver/dispatch.h"
#include "wire/socket.h"

static struct vus_port *port_of(struct vfu_ctx *ctx)
{
    return &ctx->conn.port;
}

static void lock(struct vus_port *p)
{
    pthread_mutex_lock(&p->lock);
}

static void unlock(struct vus_port *p)
{
    pthread_mutex_unlock(&p->lock);
}

/* ------------------------------------------------------- set-up and the end -- */

int vus_port_init(struct vus_port *p)
{
    pthread_condattr_t attr;
    int err = pthread_mutex_init(&p->lock, NULL);

    if (err != 0)
        return -err;
    err = pthread_condattr_init(&attr);
    if (err == 0) {
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        err = pthread_cond_init(&p->changed, &attr);
        pthread_condattr_destroy(&attr);
    }
    if (err != 0) {
        pthread_mutex_destroy(&p->lock);
        return -err;
    }
    vus_output_init(&p->output);
    p->serving = -1;
    return 0;
}

void vus_port_done(struct vus_port *p)
{
    vus_output_close(&p->output);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
}

/* Takes over fd in any case; -1: none. */
static struct vu_channel *open_channel(int fd, const struct vu_channel_limits *limits)
{
    struct vu_channel *ch = fd != -1 ? vu_channel_new(fd, limits) : NULL;

    if (ch == NULL && fd != -1)
        close(fd);
    return ch;
}

int vus_port_open(struct vfu_ctx *ctx, int fd, int twin,
                  const struct vus_port_options *options)
{
    struct vus_port *p = port_of(ctx);
    struct vu_channel_limits limits = {
        .max_message = VUS_MAX_MESSAGE,
        .max_fds = VU_MAX_MSG_FDS,
        .no_sockets = true,
        .stall_ms = options->stall_ms,
        .slow_ms = options->slow_ms,
    };
    struct vu_channel *first, *second;

    vus_output_limits(options->queue_max, &limits);
    first = open_channel(fd, &limits);
    second = open_channel(twin, &limits);
    if (first == NULL || (twin != -1 && second == NULL)) {
        vu_channel_free(first);
        vu_channel_free(second);
        return -ENOMEM;
    }
    lock(p);
    p->ch[VUS_MAIN] = first;
    p->ch[VUS_TWIN] = second;
    p->lost = false;
    atomic_store(&p->broken, false);
    p->max_xfer = options->max_xfer < VUS_MAX_DATA_XFER ? options->max_xfer
                                                       : VUS_MAX_DATA_XFER;
    vus_output_open(&p->output, first, options->queue_max, options->stall_ms);
    unlock(p);
    vus_wake_watch_end(&ctx->wake, twin);
    return 0;
}

/* Locked. */
static void lose_requests(struct vus_port *p)
{
    p->lost = true;
    pthread_cond_broadcast(&p->changed);
}

/* Locked. */
static void break_off(struct vus_port *p)
{
    for (size_t i = 0; i < VUS_SOCKETS; i++)
        if (p->ch[i] != NULL)
            shutdown(vu_channel_fd(p->ch[i]), SHUT_RDWR);
    atomic_store(&p->broken, true);
    lose_requests(p);
}

void vus_port_break(struct vus_port *p)
{
    lock(p);
    break_off(p);
    unlock(p);
}

/* Locked. What the connection leaves behind besides its sockets. */
static void forget_all(struct vus_port *p)
{
    vus_queue_done(&p->queue);
    vus_output_close(&p->output);
    free(p->current);
    p->current = NULL;
    p->serving = -1;
    p->held = p->release = false;
    atomic_store(&p->at_hand, false);
    p->requests.n_abandoned = 0;
}

void vus_port_close(struct vfu_ctx *ctx)
{
    struct vus_port *p = port_of(ctx);
    struct vu_channel *ch[VUS_SOCKETS];

    lock(p);
    break_off(p);
    while (p->users != 0)
        pthread_cond_wait(&p->changed, &p->lock);
    memcpy(ch, p->ch, sizeof(ch));
    p->ch[VUS_MAIN] = p->ch[VUS_TWIN] = NULL;
    forget_all(p);
    unlock(p);
    vus_wake_watch_end(&ctx->wake, -1);
    vus_wake_clear(&ctx->wake);
    for (size_t i = 0; i < VUS_SOCKETS; i++)
        vu_channel_free(ch[i]);
}

void vus_port_run_begin(struct vus_port *p)
{
    /* Each thread looks for itself only, and knows what it wrote. */
    atomic_store_explicit(&p->runner, (unsigned long)pthread_self(),
                          memory_order_relaxed);
}

void vus_port_run_end(struct vus_port *p)
{
    atomic_store_explicit(&p->runner, 0, memory_order_relaxed);
}

static bool runs(struct vus_port *p)
{
    return atomic_load_explicit(&p->runner, memory_order_relaxed) ==
           (unsigned long)pthread_self();
}

/* ------------------------------------------------------------------ output -- */

/* Locked. Where requests of ours and their answers travel. */
static struct vu_channel *request_channel(const struct vus_port *p)
{
    return p->ch[p->ch[VUS_TWIN] != NULL ? VUS_TWIN : VUS_MAIN];
}

int vus_port_flush(struct vfu_ctx *ctx)
{
    struct vus_port *p = port_of(ctx);
    int err;

    lock(p);
    err = vus_output_flush(&p->output);
    unlock(p);
    return err;
}

bool vus_port_choked(struct vus_port *p)
{
    bool yes;

    lock(p);
    yes = vus_output_choked(&p->output);
    unlock(p);
    return yes;
}

int vus_port_events(struct vus_port *p)
{
    int events;

    lock(p);
    events = vus_output_events(&p->output);
    unlock(p);
    return events;
}

/* --------------------------------------------------------------- requests -- */

/* Locked, lets go: the log function is the application's. */
static void log_unlocked(struct vfu_ctx *ctx, int level, const char *text)
{
    struct vus_port *p = port_of(ctx);

    unlock(p);
    vfu_log(ctx, level, "%s", text);
    lock(p);
}

/* Locked, lets go. For what a client may do again and again. */
static void refuse_unlocked(struct vfu_ctx *ctx, const char *text)
{
    struct vus_port *p = port_of(ctx);

    unlock(p);
    vus_refuse(ctx, -EINVAL, "%s", text);
    lock(p);
}

/* Locked, may let go. */
static void break_saying(struct vfu_ctx *ctx, const char *why)
{
    break_off(port_of(ctx));
    log_unlocked(ctx, LOG_ERR, why);
}

/* Locked, may let go. */
static void deliver(struct vfu_ctx *ctx, enum vus_socket s, const struct vu_message *m)
{
    struct vus_port *p = port_of(ctx);
    enum vus_answer answer = VUS_UNASKED;

    if (p->ch[s] == request_channel(p))
        answer = vus_requests_answer(&p->requests, m);
    if (answer == VUS_ANSWERED || answer == VUS_STRAY)
        pthread_cond_broadcast(&p->changed);
    else if (answer == VUS_OWES)
        break_saying(ctx, "the client owes too many answers: dropped");
    else if (answer == VUS_UNASKED)
        refuse_unlocked(ctx, "a reply answers nothing: ignored");
}

/* ------------------------------------------------------ commands that cross -- */

/* Locked. There is something for the run thread: wake it, unless it is this one, which
 * will look anyway. */
static void tell_runner(struct vfu_ctx *ctx)
{
    atomic_store(&port_of(ctx)->at_hand, true);
    if (!runs(port_of(ctx)))
        vus_wake_raise(&ctx->wake);
}

/* Locked. Whether the command may be answered ahead of others. */
static bool may_cross(struct vfu_ctx *ctx, const struct vu_message *m)
{
    struct vus_port *p = port_of(ctx);

    if (vus_output_choked(&p->output) || !vus_may_cross(ctx, m))
        return false;
    return m->h.command != VU_DEVICE_SET_IRQS ||
           (p->queue.irqs == 0 && p->serving != VU_DEVICE_SET_IRQS);
}

/* Locked, lets go. */
static void answer_at_once(struct vfu_ctx *ctx, struct vu_message *m)
{
    struct vus_port *p = port_of(ctx);
    struct vu_buffer bytes;
    struct vus_reply reply = { .out = &bytes };
    int err = 0;

    unlock(p);
    vu_buffer_init(&bytes, VUS_MAX_MESSAGE);
    vus_lock_take(&ctx->shape);
    vus_process(ctx, m, &reply);
    vus_lock_give(&ctx->shape);
    vu_message_done(m);
    lock(p);
    if (vus_reply_len(&reply) != 0)
        err = vus_output_put(&p->output, &reply);
    if (err == -EAGAIN) {       /* we wait for this client anyway */
        struct iovec iov = { bytes.data + reply.start, vus_reply_len(&reply) };

        err = vu_channel_send(p->ch[VUS_MAIN], &iov, 1, reply.fds, reply.n_fds,
                              VU_FOREVER);
    }
    if (err == 0)
        err = vus_output_flush(&p->output);
    vu_buffer_done(&bytes);
    if (err != 0)
        break_saying(ctx, "a reply could not be sent: client dropped");
}

/* Locked, lets go. Commands belong on the main socket. Nobody waits for a client that
 * does not even read that. */
static void refuse_on_twin(struct vfu_ctx *ctx, const struct vu_message *m)
{
    struct vus_port *p = port_of(ctx);
    struct vu_header h = {
        .msg_id = m->h.msg_id,
        .command = m->h.command,
        .size = VU_HEADER_SIZE,
        .flags = VU_F_TYPE_REPLY | VU_F_ERROR,
        .error = EINVAL,
    };
    uint8_t bytes[VU_HEADER_SIZE];
    struct vu_writer w = vu_writer(bytes, sizeof(bytes));
    struct iovec iov = { .iov_base = bytes, .iov_len = sizeof(bytes) };
    int err = 0;

    vu_encode_header(&w, &h);
    if ((m->h.flags & VU_F_NO_REPLY) == 0)
        err = vu_channel_send(p->ch[VUS_TWIN], &iov, 1, NULL, 0, VU_DONT_WAIT);
    if (err != 0)
        break_off(p);
    refuse_unlocked(ctx, "a command on the twin socket: refused");
}

/* Locked, may let go; the reader. */
static void handle(struct vfu_ctx *ctx, enum vus_socket s, struct vu_message *m)
{
    if (vu_header_type(&m->h) == VU_F_TYPE_REPLY)
        deliver(ctx, s, m);
    else if (s == VUS_TWIN)
        refuse_on_twin(ctx, m);
    else if (may_cross(ctx, m))
        answer_at_once(ctx, m);
    else if (vus_queue_put(&port_of(ctx)->queue, m) == 0)
        tell_runner(ctx);
    else
        break_saying(ctx, "no memory for a command: client dropped");
    vu_message_done(m);
}

/* ------------------------------------------------------------------ reading -- */

/* Locked. */
static void give_role(struct vfu_ctx *ctx)
{
    struct vus_port *p = port_of(ctx);

    p->reading = false;
    if (p->release) {
        vu_channel_release(p->ch[VUS_MAIN]);
        p->release = false;
    }
    if (p->users != 0)
        pthread_cond_broadcast(&p->changed);
    if (p->runner_waits)
        vus_wake_raise(&ctx->wake);
}

/* Locked, may let go; the reader. A header makes no sense. On the main socket the run
 * thread will find it again, and answer. */
static void bad_stream(struct vfu_ctx *ctx, enum vus_socket s)
{
    struct vus_port *p = port_of(ctx);

    if (s == VUS_TWIN) {
        break_saying(ctx, "a header on the twin socket makes no sense: client dropped");
        return;
    }
    lose_requests(p);
    shutdown(vu_channel_fd(p->ch[s]), SHUT_RD);     /* polls see that */
    tell_runner(ctx);
}

/* Locked, may let go; the reader. Handle what was read on one socket. */
static void drain_socket(struct vfu_ctx *ctx, enum vus_socket s)
{
    struct vus_port *p = port_of(ctx);
    struct vu_message m;

    while (!atomic_load(&p->broken) && (s != VUS_MAIN || !vus_queue_full(&p->queue))) {
        int got = vu_channel_next(p->ch[s], &m);

        if (got == 0)
            return;
        if (got < 0) {
            vu_message_done(&m);
            bad_stream(ctx, s);
            return;
        }
        handle(ctx, s, &m);
    }
}

/* Locked, may let go; the reader. */
static void drain(struct vfu_ctx *ctx)
{
    if (port_of(ctx)->ch[VUS_TWIN] != NULL)
        drain_socket(ctx, VUS_TWIN);
    drain_socket(ctx, VUS_MAIN);    /* last: what is left must be known to be left */
}

/* Locked. What vu_channel_fill() on a socket means for those who wait for answers. */
static void judge_input(struct vus_port *p, enum vus_socket s, int64_t n)
{
    if (n > 0 || n == -EAGAIN || n == -EINTR || n == -ETIMEDOUT || n == -ENOBUFS)
        return;
    if (s == VUS_TWIN)
        break_off(p);       /* half a connection is none */
    else
        lose_requests(p);   /* what came before is served to its end */
}

/* Wait for input of any socket whose bit is set in `which`, and of the descriptor
 * `also` unless that is -1. 0, -ETIMEDOUT, -EINTR, or other errors of poll(). */
static int wait_for_any(const struct vus_port *p, unsigned int which, int also,
                        vu_deadline deadline)
{
    struct pollfd fds[VUS_SOCKETS + 1];
    nfds_t n = 0;
    int ready;

    for (size_t s = 0; s < VUS_SOCKETS; s++)
        if (p->ch[s] != NULL && (which & 1u << s) != 0)
            fds[n++] = (struct pollfd){ .fd = vu_channel_fd(p->ch[s]), .events = POLLIN };
    if (also != -1)
        fds[n++] = (struct pollfd){ .fd = also, .events = POLLIN };
    ready = poll(fds, n, vu_deadline_left_ms(deadline));
    if (ready < 0)
        return -errno;
    return ready > 0 ? 0 : -ETIMEDOUT;
}

#define FULL_QUEUE_MS 5     /* until the main socket is looked at again */

/* Locked, lets go; the reader waits for answers of the client. 0, or -ENOBUFS: the
 * answer may lie behind what the run thread has to serve first. */
static int fill_until(struct vfu_ctx *ctx, vu_deadline deadline)
{
    struct vus_port *p = port_of(ctx);
    bool twin = p->ch[VUS_TWIN] != NULL, full = vus_queue_full(&p->queue);
    unsigned int which = 1u << VUS_TWIN | (full ? 0 : 1u << VUS_MAIN);
    int64_t n[VUS_SOCKETS] = { -EAGAIN, -EAGAIN };

    if (!twin && full)
        return -ENOBUFS;
    if (full && !runs(p)) {     /* the run thread is making room, and cannot tell us */
        vu_deadline soon = vu_deadline_in_ms(FULL_QUEUE_MS);

        deadline = soon < deadline ? soon : deadline;
    }
    unlock(p);
    if (!twin) {
        n[VUS_MAIN] = vu_channel_fill(p->ch[VUS_MAIN], deadline);
    } else if (wait_for_any(p, which, -1, deadline) == 0) {
        n[VUS_TWIN] = vu_channel_fill(p->ch[VUS_TWIN], VU_DONT_WAIT);
        if ((which & 1u << VUS_MAIN) != 0)
            n[VUS_MAIN] = vu_channel_fill(p->ch[VUS_MAIN], VU_DONT_WAIT);
    }
    lock(p);
    for (size_t s = 0; s < VUS_SOCKETS; s++)
        judge_input(p, (enum vus_socket)s, n[s]);
    return 0;
}

/* Locked, lets go. Read until something happened, or the deadline has passed. */
static int read_for(struct vfu_ctx *ctx, const struct vus_dma_request *r,
                    vu_deadline deadline)
{
    struct vus_port *p = port_of(ctx);
    int err = 0;

    p->reading = true;
    drain(ctx);
    if (!r->done && !p->lost) {
        err = fill_until(ctx, deadline);
        drain(ctx);
    }
    give_role(ctx);
    return r->done ? 0 : err;
}

/* ------------------------------------------------------- requests, the calls -- */

int vus_port_enter(struct vfu_ctx *ctx)
{
    struct vus_port *p = port_of(ctx);
    int err = 0;

    /* So that the run thread can wait for us and for signals at the same time. */
    if (!ctx->nonblocking && !runs(p))
        err = vus_wake_open(&ctx->wake);
    if (err < 0)
        return err;
    lock(p);
    err = p->ch[VUS_MAIN] == NULL || p->lost ? -ENOTCONN : 0;
    if (err == 0)
        p->users++;
    unlock(p);
    return err;
}

void vus_port_leave(struct vfu_ctx *ctx)
{
    struct vus_port *p = port_of(ctx);

    lock(p);
    p->users--;
    pthread_cond_broadcast(&p->changed);
    unlock(p);
}

/* Locked. */
static void wait_changed(struct vus_port *p, vu_deadline deadline)
{
    struct timespec t = {
        .tv_sec = (time_t)(deadline / 1000000000),
        .tv_nsec = (long)(deadline % 1000000000),
    };

    pthread_cond_timedwait(&p->changed, &p->lock, &t);
}

/* Locked. The window is there, and the reply to its DMA_UNMAP not yet on its way. */
static int check_window(const struct vus_dma_request *r)
{
    int err;
    struct vus_window *w = vus_window_pin(r->sg, &err);

    if (w == NULL)
        return err;
    vus_window_unpin(w);
    return 0;
}

#define FULL_SOCKET_MS 5    /* until a socket that is full is looked at again */

/* Locked. Replies that are ready go first: the client may wait for one of them. 0: so
 * they did, and a request fits; -EAGAIN: not yet. */
static int try_way(struct vus_port *p)
{
    int err = vu_channel_flush(p->ch[VUS_MAIN], VU_DONT_WAIT);

    if (err != 0)
        return err;
    err = vu_socket_wait(vu_channel_fd(request_channel(p)), POLLOUT, VU_DONT_WAIT);
    return err == -ETIMEDOUT || err == -EINTR ? -EAGAIN : err;
}

/*
 * Locked, lets go. Wait for room without holding up anybody, and read meanwhile: a
 * client in the middle of a long command of its own reads nothing before we do. 0, or
 * why there will be none.
 */
static int make_way(struct vfu_ctx *ctx, const struct vus_dma_request *r,
                    vu_deadline deadline)
{
    struct vus_port *p = port_of(ctx);
    int err = p->lost ? -ENOTCONN : try_way(p);

    while (err == -EAGAIN) {
        vu_deadline soon = vu_deadline_in_ms(FULL_SOCKET_MS);

        if (vu_deadline_left_ms(deadline) == 0)
            return -ETIMEDOUT;
        soon = soon < deadline ? soon : deadline;
        if (p->reading)
            wait_changed(p, soon);
        else if (read_for(ctx, r, soon) == -ENOBUFS)
            return -ENOBUFS;
        err = p->lost ? -ENOTCONN : try_way(p);
    }
    if (err != 0 && err != -ENOTCONN) {
        break_saying(ctx, "a DMA request could not be sent: client dropped");
        err = -ENOTCONN;
    }
    return err;
}

/* Locked, lets go when it fails. There is way for it, so that it does not wait. */
static int send_request(struct vfu_ctx *ctx, const struct vus_dma_request *r,
                        vu_deadline deadline)
{
    struct vus_port *p = port_of(ctx);
    bool data = r->command == VU_DMA_WRITE;
    uint8_t head[VUS_REQUEST_HEAD];
    struct iovec iov[2] = { { head, sizeof(head) }, { r->data, r->len } };
    int err;

    vus_request_head(r, head);
    err = vu_channel_send(request_channel(p), iov, data ? 2 : 1, NULL, 0, deadline);
    if (err == 0)
        return 0;
    break_saying(ctx, "a DMA request could not be sent: client dropped");
    return vu_deadline_left_ms(deadline) == 0 ? -ETIMEDOUT : -ENOTCONN;
}

/* Locked, lets go. The request is finished, or why it will not be. */
static int await(struct vfu_ctx *ctx, const struct vus_dma_request *r,
                 vu_deadline deadline)
{
    struct vus_port *p = port_of(ctx);
    int err = 0;

    while (err == 0 && !r->done) {
        if (p->lost)
            err = -ENOTCONN;
        else if (vu_deadline_left_ms(deadline) == 0)
            err = -ETIMEDOUT;
        else if (p->reading)
            wait_changed(p, deadline);
        else
            err = read_for(ctx, r, deadline);
    }
    return r->done ? 0 : err;
}

int64_t vus_port_ask(struct vfu_ctx *ctx, struct vus_dma_request *r,
                     vu_deadline deadline)
{
    struct vus_port *p = port_of(ctx);
    int err;

    lock(p);
    err = make_way(ctx, r, deadline);
    if (err == 0)
        err = check_window(r);
    if (err == 0) {
        vus_requests_add(&p->requests, r);
        err = send_request(ctx, r, deadline);
        if (err == 0)
            err = await(ctx, r, deadline);
        if (!r->done && !vus_requests_give_up(&p->requests, r))
            break_saying(ctx, "the client owes too many answers: dropped");
    }
    unlock(p);
    return err != 0 ? err : r->result;
}

/* ----------------------------------------------------------- the run thread -- */

/* Locked, gives the lock back for good. Another thread reads. */
static int64_t wait_for_role(struct vfu_ctx *ctx, vu_deadline deadline)
{
    struct vus_port *p = port_of(ctx);
    int fd, err;

    p->runner_waits = deadline != VU_DONT_WAIT;
    unlock(p);
    if (deadline == VU_DONT_WAIT)
        return -EAGAIN;
    fd = vus_wake_open(&ctx->wake);
    err = fd >= 0 ? wait_for_any(p, 0, fd, deadline) : fd;
    lock(p);
    p->runner_waits = false;
    if (p->queue.first == NULL)
        vus_wake_clear(&ctx->wake);
    unlock(p);
    return err != 0 ? err : -EAGAIN;
}

/* Wait for more than the main socket. 0, or as vu_socket_wait(). */
static int wait_beside(struct vfu_ctx *ctx, vu_deadline deadline)
{
    struct vus_port *p = port_of(ctx);
    int wake = -1;

    if (atomic_load(&ctx->wake.added) != 0)
        wake = vus_wake_open(&ctx->wake);
    return wait_for_any(p, 1u << VUS_MAIN | 1u << VUS_TWIN, wake, deadline);
}

int64_t vus_port_read(struct vfu_ctx *ctx, vu_deadline deadline)
{
    struct vus_port *p = port_of(ctx);
    struct vu_channel *twin = p->ch[VUS_TWIN];
    int64_t n = 0, second = -EAGAIN;

    lock(p);
    if (p->reading)
        return wait_for_role(ctx, deadline);
    /* Kept by another thread since we looked: the client may wait for that reply. */
    if (deadline != VU_DONT_WAIT && vus_port_at_hand(p)) {
        unlock(p);
        return -EAGAIN;
    }
    p->reading = true;
    unlock(p);
    if (deadline == VU_FOREVER && (twin != NULL || atomic_load(&ctx->wake.added) != 0)) {
        n = wait_beside(ctx, deadline);
        deadline = VU_DONT_WAIT;
    }
    if (n == 0)
        n = vu_channel_fill(p->ch[VUS_MAIN], deadline);
    if (twin != NULL)
        second = vu_channel_fill(twin, VU_DONT_WAIT);
    lock(p);
    judge_input(p, VUS_MAIN, n);
    judge_input(p, VUS_TWIN, second);
    if (second > 0)
        drain_socket(ctx, VUS_TWIN);
    give_role(ctx);
    unlock(p);
    return n;
}

/* Locked, may let go. Nobody reads. */
static int next_read(struct vfu_ctx *ctx, struct vu_message *m)
{
    struct vus_port *p = port_of(ctx);

    while (!p->reading) {
        int got = vu_channel_next(p->ch[VUS_MAIN], m);

        if (got != 1)
            return got;
        if (vu_header_type(&m->h) != VU_F_TYPE_REPLY) {
            p->held = vu_channel_hold(p->ch[VUS_MAIN]) == 0;   /* the only one */
            return 1;
        }
        p->reading = true;      /* what is at hand must stay while we deliver it */
        deliver(ctx, VUS_MAIN, m);
        vu_message_done(m);
        give_role(ctx);
    }
    return 0;
}

/* Locked. Nothing was kept, and nothing that was read is left, unless another thread is
 * at it. */
static void all_served(struct vfu_ctx *ctx)
{
    struct vus_port *p = port_of(ctx);

    if (!p->reading)
        atomic_store(&p->at_hand, false);
    vus_wake_clear(&ctx->wake);
}

int vus_port_next(struct vfu_ctx *ctx, struct vu_message *m)
{
    struct vus_port *p = port_of(ctx);
    int got = 1;

    lock(p);
    p->current = vus_queue_take(&p->queue, m);
    if (p->current == NULL)
        got = next_read(ctx, m);
    if (got == 1)
        p->serving = m->h.command;
    else if (got == 0)
        all_served(ctx);
    unlock(p);
    return got;
}

void vus_port_begin_reply(struct vus_port *p, struct vus_reply *reply)
{
    vu_buffer_truncate(&p->output.bytes, 0);
    reply->out = &p->output.bytes;
}

/* Locked. The command's bytes are not needed any more. */
static void end_serving(struct vus_port *p)
{
    free(p->current);
    p->current = NULL;
    p->serving = -1;
    if (p->held && p->reading)
        p->release = true;
    else if (p->held)
        vu_channel_release(p->ch[VUS_MAIN]);
    p->held = false;
}

int vus_port_reply(struct vfu_ctx *ctx, struct vu_message *m, struct vus_reply *reply)
{
    struct vus_port *p = port_of(ctx);
    int err;

    vu_message_done(m);     /* before the client can see the reply */
    lock(p);
    end_serving(p);
    err = vus_output_put_own(&p->output, reply);
    unlock(p);
    return err;
}
