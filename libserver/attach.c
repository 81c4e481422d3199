/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Attaching a client: accept, VERSION, then a connection for libserver/run.c.
 *
 * The listening socket alone would not do as the descriptor that callers poll
 * before a client is attached: it stays silent when VERSION arrives on a
 * connection that was accepted before. So they get an epoll descriptor. It
 * watches the listener, or, while a connection is half open, that connection
 * and a timer: a client that stays silent is dropped, and holds up nobody but
 * the clients behind it, for at most version_ms.
 *
 * VERSION is read with exactly its bytes, in two steps. What the client sends
 * behind it stays in the socket, so that the connection is readable once it is
 * what callers poll.
 */
#include "libserver/attach.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "libserver/context.h"
#include "libserver/dispatch.h"
#include "wire/caps.h"

#define VERSION_MAX (VU_HEADER_SIZE + VU_VERSION_SIZE + VU_CAPS_MAX_BYTES)
#define REPLY_MAX   4096u   /* bytes of the answer */

/* A client that has connected and not yet said which protocol it speaks. */
struct vus_half_open {
    int fd;                 /* owned */
    int timer;              /* owned; -1: the caller has not had to wait yet */
    vu_deadline deadline;
    size_t got;             /* bytes of the message read so far */
    size_t want;            /* the header, then the whole message */
    struct vu_message m;    /* its descriptors are owned */
    uint8_t bytes[VERSION_MAX];
};

/* ----------------------------------------------------------- listening -- */

void vus_listener_init(struct vus_listener *l)
{
    *l = (struct vus_listener){ .fd = -1, .watch = -1, .version_ms = l->version_ms };
}

static int watch_add(const struct vus_listener *l, int fd)
{
    struct epoll_event event = { .events = EPOLLIN };

    return epoll_ctl(l->watch, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

void vus_listener_watch(struct vus_listener *l, bool on)
{
    struct epoll_event event = { .events = on ? EPOLLIN : 0 };

    if (l->fd != -1)
        epoll_ctl(l->watch, EPOLL_CTL_MOD, l->fd, &event);
}

/* An empty path gives the abstract name of all zeros, which is taken in full. */
static int bind_path(struct vus_listener *l, const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    size_t len = strlen(path);

    if (len >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, len);
    if (bind(l->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        return -errno;
    if (path[0] == '\0')
        return 0;
    l->path = strdup(path);
    if (l->path == NULL) {
        unlink(path);
        return -ENOMEM;
    }
    return 0;
}

int vus_listener_open(struct vus_listener *l, const char *path)
{
    int err;

    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0)
        return -errno;
    err = bind_path(l, path);
    if (err != 0)
        return err;
    if (listen(l->fd, 0) != 0)      /* one client waits while another is served */
        return -errno;
    l->watch = epoll_create1(EPOLL_CLOEXEC);
    if (l->watch < 0)
        return -errno;
    return watch_add(l, l->fd);
}

/* Close fd, which may be watched, unless it is -1. */
static void watch_close(const struct vus_listener *l, int fd)
{
    if (fd == -1)
        return;
    epoll_ctl(l->watch, EPOLL_CTL_DEL, fd, NULL);
    close(fd);
}

static void drop_half_open(struct vus_listener *l)
{
    struct vus_half_open *h = l->half;

    if (h == NULL)
        return;
    vu_message_done(&h->m);
    watch_close(l, h->timer);
    watch_close(l, h->fd);
    free(h);
    l->half = NULL;
    vus_listener_watch(l, true);
}

void vus_listener_done(struct vus_listener *l)
{
    drop_half_open(l);
    if (l->path != NULL)
        unlink(l->path);
    free(l->path);
    if (l->watch != -1)
        close(l->watch);
    if (l->fd != -1)
        close(l->fd);
    vus_listener_init(l);
}

/* ----------------------------------------------------------- half open -- */

static int accept_client(struct vfu_ctx *ctx)
{
    struct vus_listener *l = &ctx->listener;
    struct vus_half_open *h;
    struct pollfd p = { .fd = l->fd, .events = POLLIN };

    /* The listener itself never blocks, so that one rule does for both modes. */
    if (poll(&p, 1, ctx->nonblocking ? 0 : -1) < 0)
        return -errno;
    if (p.revents == 0)
        return -EAGAIN;
    h = calloc(1, sizeof(*h));
    if (h == NULL)
        return -ENOMEM;
    h->fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
    if (h->fd < 0) {
        free(h);
        return -errno;
    }
    h->timer = -1;
    h->deadline = vu_deadline_in_ms(l->version_ms);
    h->want = VU_HEADER_SIZE;
    vus_listener_watch(l, false);
    l->half = h;
    vus_conn_event(&ctx->conn, VUS_ACCEPTED);
    return 0;
}

/* The header is there: how long will the message be? */
static int learn_size(struct vus_half_open *h)
{
    struct vu_reader r = vu_reader(h->bytes, VU_HEADER_SIZE);
    int err = vu_decode_header(&r, &h->m.h);

    if (err != 0 || h->m.h.size < VU_HEADER_SIZE)
        return -EBADMSG;
    if (h->m.h.size > VERSION_MAX)
        return -EMSGSIZE;
    h->want = h->m.h.size;
    h->m.body = h->bytes + VU_HEADER_SIZE;
    h->m.body_len = h->want - VU_HEADER_SIZE;
    return 0;
}

/* One read, without waiting. Bytes, or negative errno. */
static int64_t read_some(struct vus_half_open *h)
{
    size_t n_fds = VU_MAX_MSG_FDS - h->m.n_fds;
    bool lost = false;
    int64_t n = vu_socket_recv(h->fd, h->bytes + h->got, h->want - h->got,
                               h->m.fds + h->m.n_fds, &n_fds, &lost);

    if (n == 0)
        return h->got == 0 ? -ENOMSG : -ECONNRESET;
    if (n < 0)
        return n;
    h->got += (size_t)n;
    h->m.n_fds += n_fds;
    h->m.fds_lost |= lost;
    return n;
}

/* 0: the message is complete. -EAGAIN: not yet. Other errors end the attempt. */
static int read_version(struct vus_half_open *h)
{
    while (h->got < h->want) {
        int64_t n = read_some(h);
        int err = 0;

        if (n < 0)
            return (int)n;
        if (h->got == VU_HEADER_SIZE)
            err = learn_size(h);
        if (err != 0)
            return err;
    }
    return 0;
}

/* Make the caller's poll notice what happens on the connection, and its end. */
static int watch_half_open(const struct vus_listener *l)
{
    struct vus_half_open *h = l->half;
    int left = vu_deadline_left_ms(h->deadline);
    int ms = left > 0 ? left : 1;       /* 0 would never go off */
    struct itimerspec when = {
        .it_value = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L },
    };
    int err;

    if (h->timer != -1)
        return 0;
    h->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    if (h->timer < 0 || timerfd_settime(h->timer, 0, &when, NULL) != 0)
        return -errno;
    err = watch_add(l, h->timer);
    return err != 0 ? err : watch_add(l, h->fd);
}

/* Wait for more of VERSION as far as the mode allows. 0: try again. */
static int wait_version(struct vfu_ctx *ctx)
{
    struct vus_half_open *h = ctx->listener.half;
    struct pollfd p = { .fd = h->fd, .events = POLLIN };
    int ms = vu_deadline_left_ms(h->deadline);
    int err = -EAGAIN;
    int watch;

    if (ms == 0)
        return -ETIMEDOUT;
    if (!ctx->nonblocking) {
        int n = poll(&p, 1, ms);

        if (n >= 0)
            return n > 0 ? 0 : -ETIMEDOUT;
        err = -errno;
    }
    watch = watch_half_open(&ctx->listener);
    return watch != 0 ? watch : err;
}

/* ------------------------------------------------------------- finishing -- */

/* The socket is fresh and the reply short: it fits, or something is wrong. */
static int send_reply(int fd, const struct vus_reply *reply)
{
    struct iovec iov = { .iov_len = vus_reply_len(reply) };
    int64_t len = (int64_t)iov.iov_len;

    if (len == 0)
        return 0;
    iov.iov_base = reply->out->data + reply->start;
    return vu_socket_send(fd, &iov, 1, reply->fds, reply->n_fds) == len
               ? 0 : -ECONNRESET;
}

/* Answer the message, or the header that made no sense. 0 if that was VERSION. */
static int answer(struct vfu_ctx *ctx, bool framed)
{
    struct vus_half_open *h = ctx->listener.half;
    struct vu_buffer out;
    struct vus_reply reply = { .out = &out };
    int err = -EINVAL;
    int sent;

    vu_buffer_init(&out, REPLY_MAX);
    if (!framed)
        vus_refuse_framing(ctx, &h->m, &reply);
    else if (vus_process(ctx, &h->m, &reply) == VUS_SERVED)
        err = 0;
    vu_message_done(&h->m);
    sent = send_reply(h->fd, &reply);
    vus_session_sent(&ctx->session);
    vu_buffer_done(&out);
    return err != 0 ? err : sent;
}

/* The connection becomes the attached one. */
static int promote(struct vfu_ctx *ctx)
{
    struct vus_listener *l = &ctx->listener;
    int fd = l->half->fd;
    int err;

    epoll_ctl(l->watch, EPOLL_CTL_DEL, fd, NULL);
    l->half->fd = -1;
    err = vus_conn_open(ctx, fd, vus_session_take_twin(&ctx->session));
    if (err != 0)
        return err;
    drop_half_open(l);
    vus_listener_watch(l, false);
    return 0;
}

/* All of VERSION, or why not. -EAGAIN, -EINTR: to be continued. */
static int receive_version(struct vfu_ctx *ctx)
{
    int err;

    do {
        err = read_version(ctx->listener.half);
        if (err != -EAGAIN)
            return err;
        err = wait_version(ctx);
    } while (err == 0);
    return err;
}

/* VERSION from the client that is half open. 0: attached. */
static int negotiate(struct vfu_ctx *ctx)
{
    int err = receive_version(ctx);

    if (err == -EAGAIN || err == -EINTR)
        return err;
    if (err == 0 || err == -EBADMSG || err == -EMSGSIZE)
        err = answer(ctx, err == 0);
    if (err == 0)
        err = promote(ctx);
    if (err != 0) {
        vus_session_done(&ctx->session);
        drop_half_open(&ctx->listener);
        vus_conn_event(&ctx->conn, VUS_ENDED);
    }
    return err;
}

int vfu_attach_ctx(vfu_ctx_t *ctx)
{
    int err = -EINVAL;

    assert(ctx != NULL);
    while (!vus_conn_attached(&ctx->conn)) {
        if (ctx->conn.state == VUS_NOBODY)
            err = accept_client(ctx);
        if (ctx->conn.state == VUS_HALF_OPEN)
            err = negotiate(ctx);
        if (err != -ETIMEDOUT)
            break;
        vus_refuse(ctx, err, "a client said nothing: dropped");
    }
    if (err != 0)
        errno = -err;
    return err != 0 ? -1 : 0;
}
