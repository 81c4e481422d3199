/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The run loop: read once, serve every complete message, send the replies.
 *
 * That is one recvmsg() and one sendmsg() for a request in ping-pong, and the
 * same for a whole batch of pipelined ones. When control returns to the caller
 * no complete message is left unserved in user space, since the caller polls
 * the socket and would not learn of it. The exception is a command that waits
 * for the device to quiesce: vfu_device_quiesced() finishes it and then serves
 * what was read behind it.
 *
 * Replies are sent before anything that may take long: a blocking read, and the
 * device's quiesce callback. Sending waits for a client that keeps reading.
 *
 * A connection ends in one place, lose(), whatever the reason was.
 */
#include "libserver/run.h"

#include <assert.h>
#include <errno.h>

#include "libserver/context.h"
#include "libserver/dispatch.h"

/* libserver/run.h draws them. An event without a meaning changes nothing. */
static const uint8_t next_state[VUS_CONN_STATES][VUS_CONN_EVENTS] = {
    /*                 ACCEPTED       AGREED         BROKE          ENDED */
    [VUS_NOBODY]    = { VUS_HALF_OPEN, VUS_NOBODY,    VUS_NOBODY,    VUS_NOBODY },
    [VUS_HALF_OPEN] = { VUS_HALF_OPEN, VUS_ATTACHED,  VUS_HALF_OPEN, VUS_NOBODY },
    [VUS_ATTACHED]  = { VUS_ATTACHED,  VUS_ATTACHED,  VUS_BROKEN,    VUS_NOBODY },
    [VUS_BROKEN]    = { VUS_BROKEN,    VUS_BROKEN,    VUS_BROKEN,    VUS_NOBODY },
};

void vus_conn_event(struct vus_conn *c, enum vus_conn_event event)
{
    c->state = next_state[c->state][event];
}

int vus_conn_open(struct vfu_ctx *ctx, int fd, int twin)
{
    const struct vus_port_options options = {
        .max_xfer = ctx->session.max_data_xfer_size,
        .queue_max = ctx->output_queue,
        .stall_ms = atomic_load(&ctx->timeouts[VFU_TIMEOUT_STALL]),
        .slow_ms = atomic_load(&ctx->timeouts[VFU_TIMEOUT_SLOW]),
    };
    int err = vus_port_open(ctx, fd, twin, &options);

    if (err != 0)
        return err;
    vus_guard_socket(ctx, fd);
    vus_conn_event(&ctx->conn, VUS_AGREED);
    return 0;
}

void vus_conn_close(struct vfu_ctx *ctx)
{
    vu_message_done(&ctx->conn.m);
    vus_port_close(ctx);
    vus_conn_event(&ctx->conn, VUS_ENDED);
}

/* No more is read or written. The client sees the end of the stream at once; so
 * does the caller's poll, which makes it call again. */
static void break_off(struct vus_conn *c)
{
    vus_port_break(&c->port);
    vus_conn_event(c, VUS_BROKE);
}

/* Whether the connection has been given up, by whomever. */
static bool broken(struct vfu_ctx *ctx)
{
    struct vus_conn *c = &ctx->conn;

    if (atomic_load(&c->port.broken))
        vus_conn_event(c, VUS_BROKE);
    return c->state == VUS_BROKEN;
}

/* The client is gone, or as good as. -ENOTCONN: all of it has been given back.
 * -EBUSY: it will be, once the device is quiesced. */
static int lose(struct vfu_ctx *ctx)
{
    int err;

    break_off(&ctx->conn);
    err = vus_quiesce_ask(ctx, VUS_LATER_RESET);
    if (err == -EBUSY)
        return err;
    if (err != 0)       /* unlike a command, this cannot be refused */
        vfu_log(ctx, LOG_ERR, "the device did not quiesce for a lost client: %d", -err);
    vus_ctx_reset(ctx);
    vus_quiesce_event(&ctx->quiesce, VUS_FINISHED);
    return -ENOTCONN;
}

/* A reply could not be sent. The messages served so far count; that the client
 * is gone is then the next call's news. */
static int lose_after(struct vfu_ctx *ctx, int served)
{
    int err = lose(ctx);

    return err == -ENOTCONN && served != 0 ? served : err;
}

/* Nothing that follows in the stream can be understood: the last reply, and the end. */
static void answer_and_break_off(struct vfu_ctx *ctx)
{
    vus_port_flush(ctx);
    break_off(&ctx->conn);
}

/* Send what the core made of the message in c->m, which is done with. 0, or negative
 * errno of sending. */
static int post(struct vfu_ctx *ctx, struct vus_reply *reply, enum vus_outcome outcome)
{
    int err = vus_port_reply(ctx, &ctx->conn.m, reply);

    if (err == 0 && outcome == VUS_FATAL)
        answer_and_break_off(ctx);
    return err;
}

/* Serve the message in c->m, and count it if it was dispatched. 0; -EBUSY: it
 * waits for the device; other negative errno: sending failed. */
static int serve(struct vfu_ctx *ctx, int *served)
{
    struct vus_conn *c = &ctx->conn;
    struct vus_reply reply;
    enum vus_outcome outcome;
    int err;

    if (vus_may_wait(ctx, &c->m)) {
        err = vus_port_flush(ctx);
        if (err != 0)
            return err;
    }
    vus_port_begin_reply(&c->port, &reply);
    outcome = vus_process(ctx, &c->m, &reply);
    if (outcome == VUS_PENDING)
        return -EBUSY;
    *served += outcome == VUS_SERVED;
    return post(ctx, &reply, outcome);
}

/* The header at hand makes no sense. 0, or negative errno of sending. */
static int refuse_framing(struct vfu_ctx *ctx)
{
    struct vus_reply reply;

    vus_port_begin_reply(&ctx->conn.port, &reply);
    vus_refuse_framing(ctx, &ctx->conn.m, &reply);
    return post(ctx, &reply, VUS_FATAL);
}

/* Whether one more reply can be kept. If not, what the socket takes now may help: the
 * caller polls for POLLOUT only when nothing does. *err as of sending. */
static bool has_room(struct vfu_ctx *ctx, int *err)
{
    struct vus_port *p = &ctx->conn.port;

    if (ctx->output_queue == 0 || !vus_port_choked(p))
        return true;
    *err = vus_port_flush(ctx);
    return *err == 0 && !vus_port_choked(p);
}

/* Serve every complete message that is at hand, as long as its reply can be kept, and
 * send the replies. Number dispatched, or negative errno for vfu_run_ctx(). */
static int serve_all(struct vfu_ctx *ctx)
{
    struct vus_conn *c = &ctx->conn;
    bool any = ctx->output_queue != 0;
    int served = 0;
    int err = 0;

    while (err == 0 && !broken(ctx) && has_room(ctx, &err)) {
        int got = vus_port_next(ctx, &c->m);

        if (got == 0)
            break;
        any = true;
        err = got == 1 ? serve(ctx, &served) : refuse_framing(ctx);
    }
    if (err == -EBUSY)
        return err;
    if (err == 0 && any)
        err = vus_port_flush(ctx);
    return err != 0 ? lose_after(ctx, served) : served;
}

/* Serve what is at hand, then read once and serve. Number dispatched, or negative
 * errno for vfu_run_ctx(). */
static int step(struct vfu_ctx *ctx, vu_deadline deadline)
{
    int before, after;
    int64_t n;

    if (!vus_conn_attached(&ctx->conn))
        return -ENOTCONN;
    if (atomic_load(&ctx->guard_hit))
        break_off(&ctx->conn);
    if (broken(ctx))
        return lose(ctx);
    if (vus_wake_input(&ctx->wake))
        vus_irqs_poll_unmask(ctx);
    if (ctx->output_queue != 0 || vus_port_at_hand(&ctx->conn.port))
        before = serve_all(ctx);
    else
        before = 0;
    if (before < 0 || !vus_conn_attached(&ctx->conn) || broken(ctx) ||
        (ctx->output_queue != 0 && vus_port_choked(&ctx->conn.port)))
        return before;
    n = vus_port_read(ctx, deadline);
    if (n == -EINTR && (before == 0 || !ctx->nonblocking))
        return -EINTR;
    if (n == -EAGAIN || n == -EINTR)
        return before;
    if (n <= 0)     /* that it has left is the next call's news */
        return before != 0 ? before : lose(ctx);
    after = serve_all(ctx);
    return after >= 0 ? before + after : after;
}

/* The device has not quiesced yet. Replies may leave meanwhile; for what was read behind
 * the command that waits, nobody need call again. */
static int pending(struct vfu_ctx *ctx)
{
    if (ctx->output_queue != 0 && !atomic_load(&ctx->conn.port.broken))
        vus_port_flush(ctx);    /* should it fail, the next one does so too */
    vus_wake_clear(&ctx->wake);
    return -EBUSY;
}

int vfu_run_ctx(vfu_ctx_t *ctx)
{
    vu_deadline deadline;
    int ret;

    assert(ctx != NULL);
    deadline = ctx->nonblocking ? VU_DONT_WAIT : VU_FOREVER;
    vus_port_run_begin(&ctx->conn.port);
    do {
        if (!ctx->realized)
            ret = -EINVAL;
        else if (vus_quiesce_pending(&ctx->quiesce))
            ret = pending(ctx);
        else
            ret = step(ctx, deadline);
    } while (ret >= 0 && !ctx->nonblocking);
    vus_port_run_end(&ctx->conn.port);
    if (ret >= 0)
        return ret;
    errno = -ret;
    return -1;
}

/* ---------------------------------------------------------- quiesced later -- */

/* The command that waited. 0, or negative errno of sending. */
static int finish_command(struct vfu_ctx *ctx, int err)
{
    struct vus_conn *c = &ctx->conn;
    struct vus_reply reply;
    enum vus_outcome outcome;

    vus_port_begin_reply(&c->port, &reply);
    outcome = vus_resume(ctx, &c->m, &reply, err);
    err = post(ctx, &reply, outcome);
    return err != 0 ? err : vus_port_flush(ctx);
}

static void quiesced_for_command(struct vfu_ctx *ctx, int err)
{
    if (finish_command(ctx, err) != 0) {
        lose(ctx);              /* asks again, if the device did not quiesce */
        return;
    }
    vus_resumed(ctx);
    serve_all(ctx);             /* what comes of it, the next vfu_run_ctx() sees */
}

static void quiesced_for_reset(struct vfu_ctx *ctx, int err)
{
    if (err != 0) {             /* the next vfu_run_ctx() asks again */
        vus_quiesce_event(&ctx->quiesce, VUS_DROPPED);
        return;
    }
    vus_quiesce_event(&ctx->quiesce, VUS_DONE);
    lose(ctx);
}

int vfu_device_quiesced(vfu_ctx_t *ctx, int quiesce_errno)
{
    int err = quiesce_errno > 0 ? -quiesce_errno : quiesce_errno;

    assert(ctx != NULL);
    if (!vus_quiesce_pending(&ctx->quiesce)) {
        errno = EINVAL;
        return -1;
    }
    vus_port_run_begin(&ctx->conn.port);
    if (ctx->quiesce.state == VUS_COMMAND_WAITS)
        quiesced_for_command(ctx, err);
    else
        quiesced_for_reset(ctx, err);
    vus_port_run_end(&ctx->conn.port);
    return 0;
}

/* ------------------------------------------------------------------ options -- */

void vus_timeouts_init(struct vfu_ctx *ctx)
{
    static const int defaults[VUS_TIMEOUTS] = {
        [VFU_TIMEOUT_VERSION] = 5000,
        [VFU_TIMEOUT_STALL] = 1000,
        [VFU_TIMEOUT_SLOW] = 10000,
        [VFU_TIMEOUT_DMA] = 5000,
    };

    for (size_t i = 0; i < VUS_TIMEOUTS; i++)
        atomic_init(&ctx->timeouts[i], defaults[i]);
    ctx->listener.version_ms = defaults[VFU_TIMEOUT_VERSION];
}

int vfu_setup_timeout(vfu_ctx_t *ctx, enum vfu_timeout which, int ms)
{
    assert(ctx != NULL);
    if ((unsigned int)which >= VUS_TIMEOUTS || ms < 1) {
        errno = EINVAL;
        return -1;
    }
    atomic_store(&ctx->timeouts[which], ms);
    if (which == VFU_TIMEOUT_VERSION)
        ctx->listener.version_ms = ms;
    return 0;
}

int vfu_setup_output_queue(vfu_ctx_t *ctx, size_t max_bytes)
{
    assert(ctx != NULL);
    if (!ctx->nonblocking || vus_conn_attached(&ctx->conn)) {
        errno = EINVAL;
        return -1;
    }
    ctx->output_queue = max_bytes;
    return 0;
}

int vfu_get_poll_events(vfu_ctx_t *ctx)
{
    assert(ctx != NULL);
    return vus_port_events(&ctx->conn.port);
}
