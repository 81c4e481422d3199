/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The twin socket: agreed on by VERSION, for requests of ours and their answers alone.
 *
 * Linked with --wrap for socketpair() and recvmsg().
 */
#include "libserver/tests/guest.h"

#include "wire/caps.h"

#define NB   LIBVFIO_USER_FLAG_ATTACH_NB
#define BASE 0x10000u

static bool socketpair_fails;

int __real_socketpair(int domain, int type, int protocol, int fds[2]);
int __wrap_socketpair(int domain, int type, int protocol, int fds[2]);
int __wrap_socketpair(int domain, int type, int protocol, int fds[2])
{
    if (socketpair_fails) {
        errno = EMFILE;
        return -1;
    }
    return __real_socketpair(domain, type, protocol, fds);
}

static atomic_int receives;

ssize_t __real_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags)
{
    atomic_fetch_add(&receives, 1);
    return __real_recvmsg(fd, msg, flags);
}

/* Receive the VERSION reply with the descriptor that came with it; -1: none. */
static int receive_version(int client, struct vu_caps *caps)
{
    uint8_t bytes[1024];
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(8 * sizeof(int))];
    } control = { 0 };
    struct iovec iov = { .iov_base = bytes, .iov_len = sizeof(bytes) };
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1,
        .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes),
    };
    ssize_t n = recvmsg(client, &msg, MSG_CMSG_CLOEXEC);
    struct vu_reader r = vu_reader(bytes, n > 0 ? (size_t)n : 0);
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    struct vu_version v;
    struct vu_header h;
    int fd = -1;

    assert_true(n > 0);
    assert_int_equal(vu_decode_header(&r, &h), 0);
    assert_int_equal(h.size, n);
    assert_int_equal(h.flags, VU_F_TYPE_REPLY);
    assert_int_equal(vu_decode_version(&r, &v), 0);
    assert_int_equal(vu_caps_parse(caps, v.data.data, v.data.len, NULL, 0), 0);
    if (c != NULL) {
        assert_int_equal(c->cmsg_len, CMSG_LEN(sizeof(int)));
        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
    }
    return fd;
}

static int attach(struct life *l, const char *json, int *client, struct vu_caps *caps)
{
    uint8_t body[512] = { 0, 0, 1, 0 };
    uint8_t bytes[600], *at;

    strcpy((char *)body + 4, json);
    at = put_message(bytes, 1, VU_VERSION, 0, body, 4 + strlen(json) + 1);
    *client = client_connect(l);
    client_send(*client, bytes, (size_t)(at - bytes));
    assert_int_equal(vfu_attach_ctx(l->core.ctx), 0);
    return receive_version(*client, caps);
}

#define PROPOSAL "{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}"

/* Returns the client's end of the twin. */
static int begin(struct life *l, int *client)
{
    struct vu_caps caps;
    int twin;

    life_begin(l, NB);
    twin = attach(l, PROPOSAL, client, &caps);
    assert_true(twin >= 0);
    guest_map(l, *client, BASE, 0x10000);
    return twin;
}

static void end(struct life *l, int client, int twin)
{
    close(client);
    close(twin);
    life_end(l);
}

/* ------------------------------------------------------------- agreement -- */

static void it_comes_with_the_answer_to_version(void **state)
{
    struct vu_caps caps;
    struct life l;
    int client, twin;

    (void)state;
    life_begin(&l, NB);
    twin = attach(&l, PROPOSAL, &client, &caps);
    assert_true(twin >= 0);
    assert_true(caps.has_twin_socket && caps.twin_socket);
    assert_true(caps.has_fd_index && caps.fd_index == 0);
    end(&l, client, twin);
}

static void it_exists_only_for_clients_that_can_have_it(void **state)
{
    static const char *proposals[] = {
        "{}",
        "{\"capabilities\":{\"twin_socket\":{\"supported\":false}}}",
        "{\"capabilities\":{\"twin_socket\":{}}}",
        "{\"capabilities\":{\"max_msg_fds\":0,\"twin_socket\":{\"supported\":true}}}",
    };
    struct life l;

    (void)state;
    life_begin(&l, NB);
    for (size_t i = 0; i < sizeof(proposals) / sizeof(proposals[0]); i++) {
        struct vu_caps caps;
        int client;

        assert_int_equal(attach(&l, proposals[i], &client, &caps), -1);
        assert_false(caps.has_twin_socket);
        close(client);
        assert_run(&l, -1, ENOTCONN);
    }
    life_end(&l);
}

static void without_descriptors_there_is_one_socket(void **state)
{
    struct vu_caps caps;
    struct life l;
    int client;

    (void)state;
    life_begin(&l, NB);
    socketpair_fails = true;
    assert_int_equal(attach(&l, PROPOSAL, &client, &caps), -1);
    socketpair_fails = false;
    assert_false(caps.has_twin_socket);
    close(client);
    life_end(&l);
}

/* No client to hand it to: nothing is left open. */
static void it_is_closed_when_the_client_leaves_before(void **state)
{
    uint8_t body[512] = { 0, 0, 1, 0 };
    uint8_t bytes[600], *at;
    struct life l;
    int client;

    (void)state;
    life_begin(&l, NB);
    strcpy((char *)body + 4, PROPOSAL);
    at = put_message(bytes, 1, VU_VERSION, 0, body, 4 + sizeof(PROPOSAL));
    client = client_connect(&l);
    client_send(client, bytes, (size_t)(at - bytes));
    close(client);
    assert_int_equal(vfu_attach_ctx(l.core.ctx), -1);
    assert_int_equal(l.core.ctx->session.twin, -1);
    life_end(&l);
}

static void the_core_alone_makes_and_closes_it(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    core_new(&c);
    a = core_version(&c, 0, 1, PROPOSAL);
    assert_answer_ok(&a, a.body_len);
    assert_int_equal(a.n_fds, 1);
    core_end(&c);
}

/* --------------------------------------------------------------- transfers -- */

static void requests_travel_on_the_twin_alone(void **state)
{
    uint8_t bytes[64], *at;
    struct life l;
    int client, twin = begin(&l, &client);
    char got[5] = "";

    (void)state;
    at = put_answer(bytes, 0, VU_DMA_READ, BASE, "twin", 4);
    client_send(twin, bytes, (size_t)(at - bytes));
    assert_int_equal(guest_read(&l, BASE, got, 4, 0), 0);
    assert_string_equal(got, "twin");
    assert_silent(client);
    assert_request(twin, 0, VU_DMA_READ, BASE, 4);
    at = put_answer(bytes, 1, VU_DMA_WRITE, BASE, NULL, 4);
    client_send(twin, bytes, (size_t)(at - bytes));
    assert_int_equal(guest_write(&l, BASE, "WXYZ", 4, 0), 0);
    assert_request_data(twin, 1, VU_DMA_WRITE, BASE, 4, (uint8_t *)got);
    assert_string_equal(got, "WXYZ");
    assert_silent(client);
    end(&l, client, twin);
}

/* Neither side may stall on one socket while it waits for the other. */
static void commands_are_answered_while_we_wait_on_the_twin(void **state)
{
    uint8_t bytes[256], *at;
    struct life l;
    int client, twin = begin(&l, &client);
    char got[4];

    (void)state;
    assert_int_equal(vfu_setup_timeout(l.core.ctx, VFU_TIMEOUT_DMA, 50), 0);
    put_map(bytes, 3, 0x40000, 0x1000, RW);
    at = put_get_info(bytes + MAP_BYTES, 2);
    client_send(client, bytes, (size_t)(at - bytes));
    assert_fails(guest_read(&l, BASE, got, 4, 0), ETIMEDOUT);
    assert_reply(client, 2, 0);
    assert_silent(client);
    assert_run(&l, 1, 0);
    assert_reply(client, 3, 0);
    end(&l, client, twin);
}

/* An answer on the wrong socket answers nothing. */
static void answers_on_the_main_socket_do_not_count(void **state)
{
    uint8_t bytes[128], *at;
    struct life l;
    int client, twin = begin(&l, &client);
    char got[5] = "";

    (void)state;
    at = put_answer(bytes, 0, VU_DMA_READ, BASE, "main", 4);
    client_send(client, bytes, (size_t)(at - bytes));
    assert_int_equal(vfu_setup_timeout(l.core.ctx, VFU_TIMEOUT_DMA, 50), 0);
    assert_fails(guest_read(&l, BASE, got, 4, 0), ETIMEDOUT);
    at = put_answer(bytes, 0, VU_DMA_READ, BASE, "late", 4);
    at = put_answer(at, 1, VU_DMA_READ, BASE, "twin", 4);
    client_send(twin, bytes, (size_t)(at - bytes));
    assert_int_equal(guest_read(&l, BASE, got, 4, 0), 0);
    assert_string_equal(got, "twin");
    end(&l, client, twin);
}

static struct {
    int client;
    bool reply_was_there;
} looking;

static ssize_t transfer_and_look(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                                 bool is_write)
{
    struct pollfd p = { .fd = looking.client, .events = POLLIN };
    char got[4];

    (void)buf;
    (void)offset;
    if (is_write) {
        if (guest_transfer(ctx, BASE, got, 4, 0, false) == 0 || errno != ETIMEDOUT)
            return -1;
        looking.reply_was_there = poll(&p, 1, 0) == 1;
    }
    return (ssize_t)count;
}

/* The client may wait for one of them before it looks at the twin. */
static void replies_leave_before_a_request_on_the_twin(void **state)
{
    struct vu_region_access a = { .count = 1 };
    uint8_t body[VU_REGION_ACCESS_SIZE + 1] = { 0 };
    struct vu_writer w = vu_writer(body, VU_REGION_ACCESS_SIZE);
    uint8_t bytes[256], *at;
    struct life l;
    int client, twin = begin(&l, &client);

    (void)state;
    assert_int_equal(vfu_setup_timeout(l.core.ctx, VFU_TIMEOUT_DMA, 20), 0);
    assert_int_equal(vfu_setup_region(l.core.ctx, 0, BAR0_SIZE, transfer_and_look,
                                      VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM, NULL, 0,
                                      -1, 0), 0);
    looking.client = client;
    looking.reply_was_there = false;
    vu_encode_region_access(&w, &a);
    at = put_message(bytes, 1, VU_REGION_READ, 0, body, VU_REGION_ACCESS_SIZE);
    at = put_message(at, 2, VU_REGION_WRITE, 0, body, sizeof(body));
    client_send(client, bytes, (size_t)(at - bytes));
    assert_run(&l, 2, 0);
    assert_true(looking.reply_was_there);
    assert_reply(client, 1, 0);
    assert_reply(client, 2, 0);
    end(&l, client, twin);
}

/* The queue of commands may be full: answers do not pass through it. */
static void a_flood_does_not_keep_the_answer_away(void **state)
{
    const uint16_t n = 1000;
    uint8_t *bytes = malloc(n * 64u), *at = bytes;
    struct life l;
    int client, twin = begin(&l, &client);
    char got[4];

    (void)state;
    for (uint16_t i = 0; i < n; i++)
        at = put_message(at, i, VU_DEVICE_RESET, VU_F_NO_REPLY, NULL, 0);
    client_send(client, bytes, (size_t)(at - bytes));
    assert_int_equal(vfu_setup_timeout(l.core.ctx, VFU_TIMEOUT_DMA, 100), 0);
    assert_fails(guest_read(&l, BASE, got, 4, 0), ETIMEDOUT);
    assert_int_equal(l.core.ctx->conn.port.queue.n, VUS_QUEUE_COMMANDS + 1);
    at = put_answer(bytes, 1, VU_DMA_READ, BASE, "twin", 4);
    client_send(twin, bytes, (size_t)(at - bytes));
    assert_int_equal(guest_read(&l, BASE, got, 4, 0), 0);
    assert_run(&l, n, 0);
    free(bytes);
    end(&l, client, twin);
}

/* --------------------------------------------------------- what goes wrong -- */

static void commands_on_the_twin_are_refused(void **state)
{
    uint8_t bytes[256], *at;
    struct life l;
    int client, twin = begin(&l, &client);
    int before = vu_test_open_fds();
    char got[4];

    (void)state;
    put_get_info(bytes, 5);
    client_send_fds(twin, bytes, INFO_BYTES, &l.core.memory, 1);
    assert_run(&l, 0, 0);
    assert_reply(twin, 5, EINVAL);
    at = put_get_info(bytes, 6);
    at = put_message(at, 7, VU_DEVICE_RESET, VU_F_NO_REPLY, NULL, 0);
    at = put_answer(at, 0, VU_DMA_READ, BASE, "twin", 4);
    client_send(twin, bytes, (size_t)(at - bytes));
    assert_int_equal(guest_read(&l, BASE, got, 4, 0), 0);
    assert_request(twin, 0, VU_DMA_READ, BASE, 4);
    assert_reply(twin, 6, EINVAL);
    assert_silent(twin);
    assert_int_equal(l.core.seen.resets, 0);
    assert_silent(client);
    assert_int_equal(vu_test_open_fds(), before);
    end(&l, client, twin);
}

static void losing_the_twin_is_losing_the_client(void **state)
{
    struct life l;
    int client, twin = begin(&l, &client);
    int wake = vfu_get_wake_fd(l.core.ctx);
    struct pollfd p = { .fd = wake, .events = POLLIN };
    char got[4];

    (void)state;
    assert_int_equal(poll(&p, 1, 0), 0);
    close(twin);
    assert_int_equal(poll(&p, 1, 0), 1);
    assert_run(&l, 0, 0);
    assert_ended(client);
    assert_run(&l, -1, ENOTCONN);
    assert_int_equal(l.core.seen.unregisters, 1);
    close(client);
    assert_int_equal(poll(&p, 1, 0), 0);

    twin = attach(&l, PROPOSAL, &client, &(struct vu_caps){ 0 });
    guest_map(&l, client, BASE, 0x10000);
    close(twin);        /* noticed by a transfer this time */
    assert_fails(guest_read(&l, BASE, got, 4, 0), ENOTCONN);
    assert_ended(client);
    assert_run(&l, -1, ENOTCONN);
    close(client);
    life_end(&l);
}

static void losing_the_main_socket_ends_a_wait_on_the_twin(void **state)
{
    struct life l;
    int client, twin = begin(&l, &client);
    char got[4];

    (void)state;
    close(client);
    assert_fails(guest_read(&l, BASE, got, 4, 0), ENOTCONN);
    assert_run(&l, -1, ENOTCONN);
    assert_request(twin, 0, VU_DMA_READ, BASE, 4);
    assert_ended(twin);
    close(twin);
    life_end(&l);
}

static void a_header_without_sense_on_the_twin_ends_the_connection(void **state)
{
    uint8_t bytes[INFO_BYTES];
    struct life l;
    int client, twin = begin(&l, &client);

    (void)state;
    put_get_info(bytes, 5);
    memset(bytes + 4, 0xff, 4);
    client_send(twin, bytes, sizeof(bytes));
    assert_run(&l, 0, 0);
    assert_run(&l, -1, ENOTCONN);
    assert_ended(client);
    assert_ended(twin);
    end(&l, client, twin);
}

/* ---------------------------------------------------------------- threads -- */

struct runner {
    struct life *l;
    int last_errno;
};

static void *run(void *arg)
{
    struct runner *r = arg;

    vfu_run_ctx(r->l->core.ctx);
    r->last_errno = errno;
    return NULL;
}

/* A blocking server hears both sockets. */
static void a_blocking_run_serves_both_sockets(void **state)
{
    uint8_t bytes[600], body[512] = { 0, 0, 1, 0 }, *at;
    struct vu_caps caps;
    struct life l;
    struct runner r = { .l = &l };
    pthread_t thread;
    struct guest g;
    uint8_t got[1000];
    int client, twin;

    (void)state;
    life_begin(&l, 0);
    strcpy((char *)body + 4, PROPOSAL);
    at = put_message(bytes, 1, VU_VERSION, 0, body, 4 + sizeof(PROPOSAL));
    client = client_connect(&l);
    client_send(client, bytes, (size_t)(at - bytes));
    assert_int_equal(vfu_attach_ctx(l.core.ctx), 0);
    twin = receive_version(client, &caps);
    assert_int_equal(pthread_create(&thread, NULL, run, &r), 0);
    put_map(bytes, 2, BASE, 0x10000, RW);
    client_send(client, bytes, MAP_BYTES);
    assert_reply(client, 2, 0);
    guest_begin(&g, client, twin, BASE);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(guest_read(&l, BASE + 16, got, sizeof(got), 0), 0);
        assert_memory_equal(got, g.memory + 16, sizeof(got));
        put_get_info(bytes, 3);
        assert_true(guest_put(&g, client, bytes, INFO_BYTES));
    }
    assert_true(guest_has_replies(&g, 100));
    atomic_store(&receives, 0);
    usleep(20000);
    assert_in_range(atomic_load(&receives), 0, 10);     /* it sleeps */
    shutdown(twin, SHUT_RDWR);      /* the twin alone */
    pthread_join(thread, NULL);
    assert_int_equal(r.last_errno, ENOTCONN);
    guest_end(&g);
    end(&l, client, twin);
}

static int n_logged;

static void count_line(vfu_ctx_t *ctx, int level, const char *msg)
{
    (void)ctx;
    (void)level;
    (void)msg;
    n_logged++;
}

/* It does not read the refusals either: they are not waited for, nor all logged. */
static void who_floods_the_twin_with_commands_is_dropped(void **state)
{
    static uint8_t bytes[1000 * INFO_BYTES];
    uint8_t *at = bytes;
    int64_t begun = guest_now_ms();
    struct life l;
    int client, twin = begin(&l, &client);

    (void)state;
    assert_int_equal(vfu_setup_log(l.core.ctx, count_line, LOG_DEBUG - 1), 0);
    assert_int_equal(vfu_setup_timeout(l.core.ctx, VFU_TIMEOUT_STALL, PATIENCE_MS), 0);
    for (uint16_t i = 0; i < 1000; i++)
        at = put_get_info(at, i);
    n_logged = 0;
    while (!atomic_load(&l.core.ctx->conn.port.broken)) {
        client_send(twin, bytes, sizeof(bytes));
        assert_run(&l, 0, 0);
    }
    assert_in_range(n_logged, 1, 200);
    assert_in_range(guest_now_ms() - begun, 0, PATIENCE_MS / 2);
    assert_run(&l, -1, ENOTCONN);
    end(&l, client, twin);
}

/* A client may answer what was never asked, as often as it likes. */
static void answers_to_nothing_do_not_fill_the_log(void **state)
{
    static uint8_t bytes[1000 * VU_HEADER_SIZE];
    uint8_t *at = bytes;
    struct life l;
    int client, twin = begin(&l, &client);

    (void)state;
    assert_int_equal(vfu_setup_log(l.core.ctx, count_line, LOG_DEBUG - 1), 0);
    n_logged = 0;
    for (uint16_t i = 0; i < 1000; i++)
        at = put_message(at, i, VU_DMA_READ, VU_F_TYPE_REPLY, NULL, 0);
    client_send(client, bytes, sizeof(bytes));
    client_send(twin, bytes, sizeof(bytes));
    assert_run(&l, 0, 0);
    assert_in_range(n_logged, 1, 200);
    end(&l, client, twin);
}

struct transfer {
    struct life *l;
    int ret;
};

static void *transfer(void *arg)
{
    struct transfer *t = arg;
    char got[4];

    t->ret = guest_read(t->l, BASE, got, sizeof(got), 0);
    return NULL;
}

#define MANY 600u       /* more than twice what is kept */

/* The client answers our request when all of its own are answered. */
static void who_waits_on_the_twin_lets_more_commands_through_than_are_kept(void **state)
{
    static const uint8_t body[VU_REGION_ACCESS_SIZE] = { [12] = 4 };
    static uint8_t bytes[MANY * (VU_HEADER_SIZE + sizeof(body))], replies[MANY * 36];
    uint8_t *at = bytes, answer[64];
    struct life l;
    int client, twin = begin(&l, &client);
    struct transfer t = { .l = &l, .ret = -2 };
    struct pollfd p[2] = { { .fd = vfu_get_poll_fd(l.core.ctx), .events = POLLIN },
                           { .fd = vfu_get_wake_fd(l.core.ctx), .events = POLLIN } };
    pthread_t thread;
    size_t got = 0;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, transfer, &t), 0);
    assert_request(twin, 0, VU_DMA_READ, BASE, 4);
    for (uint16_t i = 0; i < MANY; i++)
        at = put_message(at, i, VU_REGION_READ, 0, body, sizeof(body));
    client_send(client, bytes, sizeof(bytes) / 2);      /* in two reads */
    client_send(client, bytes + sizeof(bytes) / 2, sizeof(bytes) / 2);
    while (got < sizeof(replies) && poll(p, 2, PATIENCE_MS) > 0) {
        ssize_t n;

        if (vfu_run_ctx(l.core.ctx) < 0)
            break;
        n = recv(client, replies + got, sizeof(replies) - got, MSG_DONTWAIT);
        got += n > 0 ? (size_t)n : 0;
    }
    at = put_answer(answer, 0, VU_DMA_READ, BASE, "abcd", 4);
    client_send(twin, answer, (size_t)(at - answer));
    pthread_join(thread, NULL);
    assert_int_equal(got, sizeof(replies));
    assert_int_equal(t.ret, 0);
    end(&l, client, twin);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(it_comes_with_the_answer_to_version),
    VU_FD_TEST(it_exists_only_for_clients_that_can_have_it),
    VU_FD_TEST(without_descriptors_there_is_one_socket),
    VU_FD_TEST(it_is_closed_when_the_client_leaves_before),
    VU_FD_TEST(the_core_alone_makes_and_closes_it),
    VU_FD_TEST(requests_travel_on_the_twin_alone),
    VU_FD_TEST(commands_are_answered_while_we_wait_on_the_twin),
    VU_FD_TEST(answers_on_the_main_socket_do_not_count),
    VU_FD_TEST(replies_leave_before_a_request_on_the_twin),
    VU_FD_TEST(a_flood_does_not_keep_the_answer_away),
    VU_FD_TEST(commands_on_the_twin_are_refused),
    VU_FD_TEST(who_floods_the_twin_with_commands_is_dropped),
    VU_FD_TEST(answers_to_nothing_do_not_fill_the_log),
    VU_FD_TEST(losing_the_twin_is_losing_the_client),
    VU_FD_TEST(losing_the_main_socket_ends_a_wait_on_the_twin),
    VU_FD_TEST(a_header_without_sense_on_the_twin_ends_the_connection),
    VU_FD_TEST(a_blocking_run_serves_both_sockets),
    VU_FD_TEST(who_waits_on_the_twin_lets_more_commands_through_than_are_kept),
};

VU_TEST_MAIN(tests)
