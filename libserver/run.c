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
#include <sys/socket.h>

#include "libserver/context.h"
#include "libserver/dispatch.h"

#define BATCH    65536u     /* bytes of replies that are worth a sendmsg() of their own */
#define STALL_MS 1000       /* a client that takes nothing for so long is given up */
#define SLOW_MS  10000      /* and one that makes us wait so long between two reads */

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

int vus_conn_open(struct vus_conn *c, int fd)
{
    const struct vu_channel_limits limits = {
        .max_message = VUS_MAX_MESSAGE,
        .max_fds = VU_MAX_MSG_FDS,
        .no_sockets = true,
        .batch = BATCH,
        .max_out = BATCH + VUS_MAX_MESSAGE,
        .stall_ms = STALL_MS,
        .slow_ms = SLOW_MS,
    };

    c->ch = vu_channel_new(fd, &limits);
    if (c->ch == NULL)
        return -errno;
    vus_conn_event(c, VUS_AGREED);
    return 0;
}

void vus_conn_close(struct vus_conn *c)
{
    vu_message_done(&c->m);
    vu_channel_free(c->ch);
    c->ch = NULL;
    vus_conn_event(c, VUS_ENDED);
}

/* No more is read or written. The client sees the end of the stream at once; so
 * does the caller's poll, which makes it call again. */
static void break_off(struct vus_conn *c)
{
    shutdown(vu_channel_fd(c->ch), SHUT_RDWR);
    vus_conn_event(c, VUS_BROKE);
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

/* Post what the core made of a message, and close what nobody took of it. */
static int post(struct vus_conn *c, const struct vus_reply *reply)
{
    vu_message_done(&c->m);     /* before the client can see the reply */
    if (vus_reply_len(reply) == 0)
        return 0;
    return vu_channel_post(c->ch, reply->start, reply->fds, reply->n_fds);
}

/* Nothing that follows in the stream can be understood: the last reply, and the end. */
static void answer_and_break_off(struct vus_conn *c)
{
    vu_channel_flush(c->ch, VU_FOREVER);
    break_off(c);
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
        err = vu_channel_flush(c->ch, VU_FOREVER);
        if (err != 0)
            return err;
    }
    reply.out = vu_channel_out(c->ch);
    outcome = vus_process(ctx, &c->m, &reply);
    if (outcome == VUS_PENDING)
        return -EBUSY;
    *served += outcome == VUS_SERVED;
    err = post(c, &reply);
    if (err == 0 && outcome == VUS_FATAL)
        answer_and_break_off(c);
    return err;
}

/* The header at hand makes no sense. 0, or negative errno of sending. */
static int refuse_framing(struct vfu_ctx *ctx)
{
    struct vus_reply reply = { .out = vu_channel_out(ctx->conn.ch) };
    int err;

    vus_refuse_framing(ctx, &ctx->conn.m, &reply);
    err = post(&ctx->conn, &reply);
    answer_and_break_off(&ctx->conn);
    return err;
}

/* Serve every complete message that was read, and send the replies. Number
 * dispatched, or negative errno for vfu_run_ctx(). */
static int serve_all(struct vfu_ctx *ctx)
{
    struct vus_conn *c = &ctx->conn;
    int served = 0;
    int err = 0;

    while (err == 0 && c->state == VUS_ATTACHED) {
        int got = vu_channel_next(c->ch, &c->m);

        if (got == 0)
            break;
        err = got == 1 ? serve(ctx, &served) : refuse_framing(ctx);
    }
    if (err == -EBUSY)
        return err;
    if (err == 0)
        err = vu_channel_flush(c->ch, VU_FOREVER);
    return err != 0 ? lose_after(ctx, served) : served;
}

/* Read once and serve. Number dispatched, or negative errno for vfu_run_ctx(). */
static int step(struct vfu_ctx *ctx, vu_deadline deadline)
{
    struct vus_conn *c = &ctx->conn;
    int64_t n;

    if (!vus_conn_attached(c))
        return -ENOTCONN;
    if (c->state == VUS_BROKEN)
        return lose(ctx);
    n = vu_channel_fill(c->ch, deadline);
    if (n == -EAGAIN)
        return 0;
    if (n == -EINTR)
        return -EINTR;
    return n > 0 ? serve_all(ctx) : lose(ctx);
}

int vfu_run_ctx(vfu_ctx_t *ctx)
{
    vu_deadline deadline;
    int ret;

    assert(ctx != NULL);
    deadline = ctx->nonblocking ? VU_DONT_WAIT : VU_FOREVER;
    do {
        if (!ctx->realized)
            ret = -EINVAL;
        else if (vus_quiesce_pending(&ctx->quiesce))
            ret = -EBUSY;
        else
            ret = step(ctx, deadline);
    } while (ret >= 0 && !ctx->nonblocking);
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
    struct vus_reply reply = { .out = vu_channel_out(c->ch) };
    enum vus_outcome outcome = vus_resume(ctx, &c->m, &reply, err);

    err = post(c, &reply);
    if (err == 0 && outcome == VUS_FATAL)
        answer_and_break_off(c);
    return err != 0 ? err : vu_channel_flush(c->ch, VU_FOREVER);
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
    if (ctx->quiesce.state == VUS_COMMAND_WAITS)
        quiesced_for_command(ctx, err);
    else
        quiesced_for_reset(ctx, err);
    return 0;
}
