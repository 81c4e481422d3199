/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mutant-server [--fault NAME | --manner NAME] SOCKET: connections and headers.
 *
 * Nothing here blocks except poll(): a client that does not read its replies is
 * not read from either until there is room again.
 */
#include "conformance/mutants/server.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "conformance/mutants/faults.h"
#include "wire/command.h"

static const struct vu_channel_limits limits = {
    .max_message = 16 + 16 + CT_MAX_XFER,
    .max_fds = 64,
    .batch = 1u << 30, /* replies leave when the read they answer is used up */
    .max_out = 64u << 20,
    .stall_ms = 1000,
};

static const struct timespec slowness = { .tv_nsec = 20 * 1000 * 1000 };

/* ------------------------------------------------------------ replies -- */

static uint32_t reply_flags(const struct vu_header *req, int err)
{
    uint32_t flags = VU_F_TYPE_REPLY | (err != 0 ? VU_F_ERROR : 0);

    if (fault(reserved_set) && req->command != VU_VERSION)
        flags |= 0x40;
    if (req->command != VU_DEVICE_GET_IRQ_INFO)
        return flags;
    if (err != 0 && fault(error_without_type))
        return VU_F_ERROR;
    if (err == 0 && fault(type_0))
        return VU_F_TYPE_COMMAND;
    if (err == 0 && fault(success_with_error))
        flags |= VU_F_ERROR;
    return flags;
}

static uint32_t reply_error(const struct vu_header *req, int err)
{
    if (err == 0)
        return fault(success_errno) && req->command == VU_DEVICE_GET_IRQ_INFO ? EINVAL
                                                                              : 0;
    if (fault(negative_errno) && req->command == VU_DMA_UNMAP)
        return (uint32_t)err;
    return vu_wire_errno(err);
}

static bool refused_with_body(const struct vu_header *req)
{
    return (fault(error_with_body) && req->command == VU_DMA_UNMAP) ||
           (fault(refusal_with_data) && req->command == VU_REGION_READ);
}

static struct vu_header reply_header(const struct vu_header *req, int err,
                                     size_t body_len)
{
    struct vu_header h = {
        .msg_id = fault(id_cut) ? req->msg_id & 0x7fff : req->msg_id,
        .command = req->command,
        .size = (uint32_t)(VU_HEADER_SIZE + body_len),
        .flags = reply_flags(req, err),
        .error = reply_error(req, err),
    };

    if (fault(error_command) && err != 0 && req->command == VU_DEVICE_SET_IRQS)
        h.command = 0;
    if (fault(fields_swapped) && req->command == VU_DEVICE_GET_REGION_IO_FDS) {
        h.msg_id = req->command;
        h.command = req->msg_id;
    }
    if (fault(size_of_body) && err == 0 && req->command == VU_DEVICE_GET_IRQ_INFO)
        h.size -= VU_HEADER_SIZE;
    return h;
}

static void post(struct ct_client *c, const uint8_t *bytes, size_t len, const int *fds,
                 size_t n_fds)
{
    struct vu_buffer *out = vu_channel_out(c->ch);
    size_t start = out->len;
    uint8_t *at = vu_buffer_extend(out, len);

    if (at == NULL) {
        c->closing = true;
        return;
    }
    memcpy(at, bytes, len);
    if (vu_channel_post(c->ch, start, fds, n_fds) != 0)
        c->closing = true;
}

static void post_held(struct ct_client *c)
{
    size_t len = c->held_len;

    c->held_len = 0;
    if (len != 0)
        post(c, c->held, len, NULL, 0);
}

static void reply(struct ct_client *c, const struct vu_header *req, int err,
                  struct ct_reply *r)
{
    size_t body_len = err == 0 || refused_with_body(req) ? r->w.len : 0;
    struct vu_header h = reply_header(req, err, body_len);
    static uint8_t bytes[VU_HEADER_SIZE + CT_BODY_ROOM];
    struct vu_writer w = vu_writer(bytes, sizeof(bytes));

    if (fault(clients_mixed) && c->server->newest != NULL)
        c = c->server->newest;
    vu_encode_header(&w, &h);
    vu_put_bytes(&w, c->server->body, body_len);
    if (fault(order_swapped) && req->command == VU_DEVICE_GET_IRQ_INFO &&
        c->held_len == 0 && w.len <= sizeof(c->held)) {
        memcpy(c->held, bytes, w.len);
        c->held_len = w.len;
        return;
    }
    post(c, bytes, w.len, r->fds, err == 0 ? r->n_fds : 0);
    post_held(c);
}

/* ----------------------------------------------------------- requests -- */

static bool answers(const struct vu_header *h, int err)
{
    if (!(h->flags & VU_F_NO_REPLY))
        return true;
    if (h->command == VU_VERSION)
        return fault(version_no_reply);
    return err == 0 ? fault(no_reply_answered) : fault(no_reply_error);
}

static bool mute(struct ct_client *c, const struct vu_header *h)
{
    int last = c->last_id;

    c->last_id = h->msg_id;
    return (fault(reserved_mute) &&
            h->flags & ~(VU_F_TYPE_MASK | VU_F_NO_REPLY | VU_F_ERROR)) ||
           (fault(error_bit_mute) && (h->flags & VU_F_ERROR || h->error != 0)) ||
           (fault(no_reply_dropped) && h->flags & VU_F_NO_REPLY) ||
           (fault(same_id_dropped) && last == h->msg_id);
}

/* Keep a copy of the command for run_late(). */
static bool hold_back(struct ct_client *c, const struct vu_message *m)
{
    struct ct_late *late = &c->late[c->n_late];
    bool want = (fault(no_reply_late) && m->h.flags & VU_F_NO_REPLY &&
                 m->h.command == VU_DEVICE_SET_IRQS) ||
                (fault(writes_late) && m->h.command == VU_REGION_WRITE &&
                 m->body_len == VU_REGION_ACCESS_SIZE + 1 && m->body[0] == 0x3c);

    if (!want || c->n_late == sizeof(c->late) / sizeof(c->late[0]) ||
        m->body_len > sizeof(late->body))
        return false;
    late->h = m->h;
    late->body_len = m->body_len;
    memcpy(late->body, m->body, m->body_len);
    c->n_late++;
    return true;
}

static struct ct_reply new_reply(struct ct_client *c)
{
    return (struct ct_reply){ .w = vu_writer(c->server->body, CT_BODY_ROOM),
                              .close_fd = -1 };
}

static void run_late(struct ct_client *c)
{
    for (size_t i = 0; i < c->n_late; i++) {
        struct ct_reply r = new_reply(c);
        struct vu_message m;

        vu_message_init(&m, &c->late[i].h, c->late[i].body, c->late[i].body_len);
        ct_command(c, &m, &r);
    }
    c->n_late = 0;
}

static void serve(struct ct_client *c, struct vu_message *m);

/* What a server does that did not read the rest of a message. */
static void serve_undrained(struct ct_client *c, const struct vu_message *m)
{
    bool unknown = fault(unknown_not_drained) && m->h.command >= VU_COMMAND_MAX;
    bool surplus = fault(read_surplus_parsed) && m->h.command == VU_REGION_READ;
    size_t skip = surplus ? VU_REGION_ACCESS_SIZE : 0;
    struct vu_reader r;
    struct vu_header h;
    struct vu_message inner;

    if ((!unknown && !surplus) || m->body_len < skip + VU_HEADER_SIZE)
        return;
    r = vu_reader(m->body + skip, m->body_len - skip);
    vu_decode_header(&r, &h);
    if (h.size != m->body_len - skip)
        return;
    vu_message_init(&inner, &h, r.pos, r.left);
    serve(c, &inner);
}

/* Whether a message is a command to run; the others are answered here, or not. */
static bool is_command(struct ct_client *c, const struct vu_message *m)
{
    struct ct_reply r = new_reply(c);

    if (manner(closes) && vu_header_type(&m->h) != VU_F_TYPE_COMMAND)
        c->closing = true;
    switch (c->closing ? VU_F_TYPE_REPLY : vu_header_type(&m->h)) {
    case VU_F_TYPE_COMMAND:
        return true;
    case VU_F_TYPE_REPLY:
        if (fault(reply_answered))
            reply(c, &m->h, -EINVAL, &r);
        return false;
    default:
        if (fault(any_type_served))
            return true;
        reply(c, &m->h, -EINVAL, &r);
        return false;
    }
}

static void serve(struct ct_client *c, struct vu_message *m)
{
    struct ct_reply r = new_reply(c);
    int err;

    if (!is_command(c, m) || mute(c, &m->h))
        return;
    if (manner(slow))
        nanosleep(&slowness, NULL);
    if (hold_back(c, m)) {
        vu_put_bytes(&r.w, m->body, VU_REGION_ACCESS_SIZE);
        err = 0;
    } else {
        err = m->fds_lost ? -EMFILE : ct_command(c, m, &r);
    }
    if (manner(minimal) && err == -ENOSYS)
        c->closing = true;
    else if (manner(closes) && (err == -ENOSYS || m->h.command == VU_DMA_READ ||
                                m->h.command == VU_DMA_WRITE || r.close_client))
        c->closing = true;
    else if (answers(&m->h, err) && !(fault(unknown_mute) && err == -ENOSYS))
        reply(c, &m->h, err, &r);
    if (r.close_fd != -1)
        close(r.close_fd);
    if (r.close_client)
        c->closing = true;
    serve_undrained(c, m);
}

/* -------------------------------------------------------- connections -- */

static void client_free(struct ct_client *c)
{
    struct ct_server *s = c->server;

    if (c->leaked && s->n_kept < sizeof(s->kept) / sizeof(s->kept[0]))
        s->kept[s->n_kept++] = c->ch;
    else
        vu_channel_free(c->ch);
    c->ch = NULL;
    if (fault(dma_kept))
        ct_dma_move(&s->kept_dma, &c->dma);
    ct_dma_done(&c->dma);
    ct_dma_done(&s->shared_dma);
    if (!fault(irq_kept))
        ct_irqs_done(&c->irqs);
    if (c->twin != -1)
        close(c->twin);
    if (s->newest == c)
        s->newest = NULL;
}

static void client_new(struct ct_server *s, int fd)
{
    struct ct_client *c = NULL;

    for (size_t i = 0; i < CT_CLIENTS && c == NULL; i++)
        if (s->clients[i].ch == NULL)
            c = &s->clients[i];
    s->connections++;
    if (c == NULL) {
        close(fd);
        return;
    }
    *c = (struct ct_client){
        .server = s, .number = s->connections, .max_fds = 1, .twin = -1, .last_id = -1
    };
    ct_irqs_init(&c->irqs);
    c->ch = vu_channel_new(fd, &limits);
    if (c->ch == NULL)
        close(fd);
    s->newest = c;
}

/* Go on reading behind a header that was refused: a channel does not, so a new one. */
static void resume_after_oversize(struct ct_client *c)
{
    int fd = dup(vu_channel_fd(c->ch));

    vu_channel_free(c->ch);
    c->ch = vu_channel_new(fd, &limits);
}

/* Drop what comes of a refused message; then answer it. */
static void drain(struct ct_client *c)
{
    size_t room = c->drain < CT_BODY_ROOM ? (size_t)c->drain : CT_BODY_ROOM;
    struct ct_reply r = new_reply(c);
    size_t n_fds = 0;
    bool cut;
    int64_t n =
        vu_socket_recv(vu_channel_fd(c->ch), c->server->body, room, NULL, &n_fds, &cut);

    if (n <= 0) {
        c->closing = n != -EAGAIN;
        return;
    }
    c->drain -= (uint64_t)n;
    if (c->drain != 0)
        return;
    reply(c, &c->drained, -EMSGSIZE, &r);
    vu_channel_flush(c->ch, VU_DONT_WAIT);
}

static void bad_header(struct ct_client *c, const struct vu_message *m, int err)
{
    struct ct_reply r = new_reply(c);

    if (err == -EBADMSG && fault(tiny_size_ignored)) {
        c->deaf = true;
        return;
    }
    if (err == -EMSGSIZE && manner(patient)) {
        c->drained = m->h;
        c->drain = m->h.size - vu_channel_partial(c->ch);
        resume_after_oversize(c);
        return;
    }
    if (!manner(closes))
        reply(c, &m->h, -EINVAL, &r);
    vu_channel_flush(c->ch, VU_DONT_WAIT);
    if (err == -EMSGSIZE && fault(oversize_body_parsed))
        resume_after_oversize(c);
    else
        c->closing = true;
}

static void flush(struct ct_client *c)
{
    int err = vu_channel_flush(c->ch, VU_DONT_WAIT);

    c->blocked = err == -EAGAIN;
    if (fault(sigpipe) && (err == -EPIPE || err == -ECONNRESET)) {
        signal(SIGPIPE, SIG_DFL);
        raise(SIGPIPE);
    }
    if (err != 0 && err != -EAGAIN)
        c->closing = true;
}

/* Serve every message that has been read, or as many as their replies have room for. */
static void serve_read(struct ct_client *c)
{
    struct vu_message m;
    int got;

    while (!c->blocked && !c->closing && !c->deaf && c->drain == 0 &&
           (got = vu_channel_next(c->ch, &m)) != 0) {
        if (got < 0)
            bad_header(c, &m, got);
        else
            serve(c, &m);
        vu_message_done(&m);
        while (fault(one_per_read) && c->negotiated && vu_channel_next(c->ch, &m) == 1)
            vu_message_done(&m);
        if (vu_channel_out(c->ch)->len > 65536)
            flush(c);
    }
    if (fault(writes_late))
        run_late(c);
    post_held(c);
    if (!c->blocked)
        flush(c);
}

static void lost(struct ct_client *c)
{
    if (fault(half_message_crash) && vu_channel_partial(c->ch) != 0)
        abort();
    c->leaked = fault(half_message_fd_kept) && vu_channel_partial(c->ch) != 0;
    if (fault(half_close_ignored))
        c->deaf = true;
    else
        c->closing = true;
}

static void readable(struct ct_client *c)
{
    int64_t n;

    if (fault(no_reply_late))
        run_late(c);
    n = vu_channel_fill(c->ch, VU_DONT_WAIT);
    if (n == -EAGAIN || n == -EINTR)
        return;
    if (n <= 0) {
        lost(c);
        return;
    }
    serve_read(c);
    if (c->closing || c->blocked)
        return;
    if ((fault(fragments_lost) && c->negotiated && vu_channel_partial(c->ch) != 0) ||
        (fault(header_alone_refused) && vu_channel_partial(c->ch) == VU_HEADER_SIZE))
        c->closing = true;
}

static void client_event(struct ct_client *c, short events)
{
    if (c->drain != 0) {
        drain(c);
    } else if (c->deaf) {
        c->closing = events & (POLLHUP | POLLERR);
    } else if (c->blocked) {
        flush(c);
        if (!c->blocked && !c->closing)
            serve_read(c);
    } else {
        readable(c);
    }
    if (c->closing) {
        vu_channel_flush(c->ch, VU_DONT_WAIT);
        client_free(c);
    }
}

/* --------------------------------------------------------------- loop -- */

static short wanted(const struct ct_client *c)
{
    if (c->deaf)
        return 0;
    if (c->blocked)
        return fault(output_stuck) ? 0 : POLLOUT;
    return POLLIN;
}

/* By a fault: a connection without VERSION keeps everybody else waiting. */
static struct ct_client *only_silent(struct ct_server *s)
{
    for (size_t i = 0; fault(silent_blocks) && i < CT_CLIENTS; i++)
        if (s->clients[i].ch != NULL && !s->clients[i].negotiated)
            return &s->clients[i];
    return NULL;
}

static bool any_client(const struct ct_server *s)
{
    for (size_t i = 0; i < CT_CLIENTS; i++)
        if (s->clients[i].ch != NULL)
            return true;
    return false;
}

/* One round; false: it was the last, as SIGTERM came. */
static bool run_once(struct ct_server *s)
{
    struct ct_client *only = only_silent(s);
    struct ct_client *who[CT_CLIENTS];
    struct pollfd fds[2 + CT_CLIENTS];
    nfds_t n = 2;

    fds[0] = (struct pollfd){ .fd = only == NULL ? s->signals : -1, .events = POLLIN };
    fds[1] = (struct pollfd){ .fd = only == NULL ? s->listener : -1, .events = POLLIN };
    if (manner(one_client) && any_client(s))
        fds[1].fd = -1;
    for (size_t i = 0; i < CT_CLIENTS; i++) {
        struct ct_client *c = &s->clients[i];

        if (c->ch == NULL || (only != NULL && only != c))
            continue;
        who[n - 2] = c;
        fds[n++] = (struct pollfd){ .fd = vu_channel_fd(c->ch), .events = wanted(c) };
    }
    if (poll(fds, n, -1) < 0)
        return errno == EINTR;
    for (nfds_t i = 2; i < n; i++)
        if (fds[i].revents != 0)
            client_event(who[i - 2], fds[i].revents);
    if (manner(exits) && s->connections != 0 && !any_client(s))
        return false;
    if (fds[1].revents != 0) {
        int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);

        if (fd != -1)
            client_new(s, fd);
    }
    if (fds[0].revents != 0) {
        struct signalfd_siginfo info;

        return read(s->signals, &info, sizeof(info)) != sizeof(info) ||
               fault(sigterm_ignored);
    }
    return true;
}

static int listen_at(const char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd;

    if (strlen(path) >= sizeof(addr.sun_path))
        return -ENAMETOOLONG;
    memcpy(addr.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd == -1)
        return -errno;
    unlink(path);
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 || listen(fd, 64) != 0) {
        int err = errno;

        close(fd);
        return -err;
    }
    return fd;
}

static int server_init(struct ct_server *s)
{
    struct rlimit few = { .rlim_cur = 256, .rlim_max = 256 }; /* so that a leak shows */
    sigset_t term;
    int err;

    s->listener = s->signals = -1;
    err = ct_device_init(&s->device);
    if (err != 0)
        return err;
    s->body = malloc(CT_BODY_ROOM);
    if (s->body == NULL)
        return -ENOMEM;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigaddset(&term, SIGINT);
    if (setrlimit(RLIMIT_NOFILE, &few) != 0 || sigprocmask(SIG_BLOCK, &term, NULL) != 0)
        return -errno;
    s->signals = signalfd(-1, &term, SFD_CLOEXEC);
    if (s->signals == -1)
        return -errno;
    s->listener = listen_at(s->path);
    return s->listener < 0 ? s->listener : 0;
}

static void server_done(struct ct_server *s)
{
    for (size_t i = 0; i < CT_CLIENTS; i++)
        if (s->clients[i].ch != NULL)
            client_free(&s->clients[i]);
    ct_dma_done(&s->shared_dma);
    ct_device_done(&s->device);
    free(s->body);
    if (s->signals != -1)
        close(s->signals);
    if (s->listener >= 0) {
        close(s->listener);
        if (!fault(socket_left))
            unlink(s->path);
    }
}

static int usage(void)
{
    fprintf(stderr, "usage: mutant-server [--fault NAME | --manner NAME] SOCKET\n"
                    "       mutant-server --list | --list-manners\n");
    return 3;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "fault", required_argument, NULL, 'f' },
        { "manner", required_argument, NULL, 'm' },
        { "list", no_argument, NULL, 'l' },
        { "list-manners", no_argument, NULL, 'L' },
        { NULL, 0, NULL, 0 },
    };
    static struct ct_server server;
    int opt, err;

    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (opt == 'l' || opt == 'L') {
            opt == 'l' ? ct_fault_list() : ct_manner_list();
            return 0;
        }
        if (opt != 'f' && opt != 'm')
            return usage();
        if (!(opt == 'f' ? ct_fault_choose : ct_manner_choose)(optarg)) {
            fprintf(stderr, "mutant-server: there is no %s\n", optarg);
            return 3;
        }
    }
    if (optind != argc - 1)
        return usage();
    server.path = argv[optind];
    err = server_init(&server);
    if (err != 0)
        fprintf(stderr, "mutant-server: %s: %s\n", server.path, strerror(-err));
    while (err == 0 && run_once(&server))
        ;
    server_done(&server);
    return err != 0;
}
