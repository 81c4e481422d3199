/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Replies that the client does not take: waiting with a bound, or, for callers who ask
 * for it, the output queue. And what vfu_setup_timeout() changes.
 *
 * Linked with --wrap for sendmsg() and realloc().
 */
#include "libserver/tests/guest.h"

#include <sys/stat.h>

#define NB    LIBVFIO_USER_FLAG_ATTACH_NB
#define CHUNK 65536u        /* bytes of a large reply's data */

static int sends, realloc_fails;
static int sendmsg_fails;       /* 0, or the errno with which it does */
static int sendmsg_works;       /* so often before */

ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    sends++;
    if (sendmsg_fails != 0 && sendmsg_works-- <= 0) {
        errno = sendmsg_fails;
        return -1;
    }
    return __real_sendmsg(fd, msg, flags);
}

void *__real_realloc(void *at, size_t size);
void *__wrap_realloc(void *at, size_t size);
void *__wrap_realloc(void *at, size_t size)
{
    return realloc_fails != 0 ? NULL : __real_realloc(at, size);
}

static ssize_t on_access(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                         bool is_write)
{
    struct core *c = vfu_get_private(ctx);

    c->seen.accesses++;
    if (!is_write)
        memset(buf, (int)(offset / CHUNK), count);
    return (ssize_t)count;
}

static int begin(struct life *l, size_t queue)
{
    int client;

    life_begin(l, NB);
    assert_int_equal(vfu_setup_output_queue(l->core.ctx, queue), 0);
    assert_int_equal(vfu_setup_region(l->core.ctx, 4, 64u << 20, on_access,
                                      VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM, NULL, 0,
                                      -1, 0), 0);
    client = life_client(l);
    return client;
}

static void end(struct life *l, int client)
{
    close(client);
    life_end(l);
}

/* Ask for CHUNK bytes of value i. */
static void ask(int client, uint16_t i)
{
    struct vu_region_access a = { .region = 4, .offset = i * CHUNK, .count = CHUNK };
    uint8_t body[VU_REGION_ACCESS_SIZE], bytes[64], *at;

    ENCODE(region_access, &a, body);
    at = put_message(bytes, i, VU_REGION_READ, 0, body, sizeof(body));
    client_send(client, bytes, (size_t)(at - bytes));
}

/* Read that reply; the server runs whenever the client has nothing to read. */
static void pump(struct life *l, int client, uint8_t *buf, size_t len)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = recv(client, buf + got, len - got, MSG_DONTWAIT);
        struct pollfd p = { .fd = vfu_get_poll_fd(l->core.ctx) };

        if (n > 0) {
            got += (size_t)n;
            continue;
        }
        assert_true(n < 0 && errno == EAGAIN);
        p.events = (short)vfu_get_poll_events(l->core.ctx);
        assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
        assert_true(vfu_run_ctx(l->core.ctx) >= 0);
    }
}

static void pump_chunk(struct life *l, int client, uint16_t i)
{
    const size_t len = VU_HEADER_SIZE + VU_REGION_ACCESS_SIZE + CHUNK;
    uint8_t *bytes = calloc(1, len);
    struct vu_reader r = vu_reader(bytes, VU_HEADER_SIZE);
    struct vu_header h;

    pump(l, client, bytes, len);
    assert_int_equal(vu_decode_header(&r, &h), 0);
    assert_int_equal(h.msg_id, i);
    assert_int_equal(h.size, len);
    assert_int_equal(bytes[len - CHUNK], i);
    assert_int_equal(bytes[len - 1], i);
    free(bytes);
}

static int events(struct life *l)
{
    return vfu_get_poll_events(l->core.ctx);
}

/* -------------------------------------------------------------- the queue -- */

static void it_has_to_be_chosen_in_time(void **state)
{
    struct life l;
    int client;

    (void)state;
    life_begin(&l, NB);
    assert_int_equal(events(&l), POLLIN);
    client = life_client(&l);
    assert_fails(vfu_setup_output_queue(l.core.ctx, 4096), EINVAL);
    assert_int_equal(events(&l), POLLIN);
    close(client);
    assert_run(&l, -1, ENOTCONN);
    assert_int_equal(vfu_setup_output_queue(l.core.ctx, 4096), 0);
    assert_int_equal(vfu_setup_output_queue(l.core.ctx, 0), 0);
    life_end(&l);
    life_begin(&l, 0);
    assert_fails(vfu_setup_output_queue(l.core.ctx, 4096), EINVAL);
    life_end(&l);
}

static void a_ping_pong_still_takes_one_send(void **state)
{
    uint8_t bytes[64 * INFO_BYTES], *at = bytes;
    struct life l;
    int client = begin(&l, 1u << 20);

    (void)state;
    for (uint16_t i = 0; i < 64; i++)
        at = put_get_info(at, i);
    client_send(client, bytes, sizeof(bytes));
    sends = 0;
    assert_run(&l, 64, 0);
    assert_int_equal(sends, 1);
    for (uint16_t i = 0; i < 64; i++)
        assert_reply(client, i, 0);
    assert_int_equal(events(&l), POLLIN);
    end(&l, client);
}

static void replies_wait_and_the_server_does_not(void **state)
{
    struct life l;
    int client = begin(&l, 16u << 20);
    int64_t start = guest_now_ms();

    (void)state;
    for (uint16_t i = 0; i < 20; i++)
        ask(client, i);
    assert_run(&l, 20, 0);
    assert_run(&l, 0, 0);
    assert_true(guest_now_ms() - start < 900);      /* the stall of those who wait */
    assert_int_equal(events(&l), POLLIN | POLLOUT);
    for (uint16_t i = 0; i < 20; i++)
        pump_chunk(&l, client, i);
    assert_int_equal(events(&l), POLLIN);
    assert_silent(client);
    assert_run(&l, 0, 0);
    end(&l, client);
}

static void nothing_is_served_beyond_the_limit(void **state)
{
    struct life l;
    int client = begin(&l, 300000);

    (void)state;
    for (uint16_t i = 0; i < 100; i++)
        ask(client, i);
    for (int i = 0; i < 10; i++)
        assert_true(vfu_run_ctx(l.core.ctx) >= 0);
    /* What the socket holds, the limit, and one more. */
    assert_in_range(l.core.seen.accesses, 5, 12);
    assert_int_equal(events(&l), POLLOUT);
    assert_in_range(vu_channel_unsent(l.core.ctx->conn.port.ch[VUS_MAIN]), 300000,
                    300000 + CHUNK + 64);
    for (uint16_t i = 0; i < 100; i++)
        pump_chunk(&l, client, i);
    assert_int_equal(l.core.seen.accesses, 100);
    assert_int_equal(events(&l), POLLIN);
    end(&l, client);
}

static void a_limit_beyond_reason_is_no_promise(void **state)
{
    uint8_t bytes[INFO_BYTES];
    struct life l;
    int client = begin(&l, SIZE_MAX);

    (void)state;
    put_get_info(bytes, 1);
    client_send(client, bytes, sizeof(bytes));
    assert_run(&l, 1, 0);
    assert_reply(client, 1, 0);
    end(&l, client);
}

/* -------------------------------------------------------------- descriptors -- */

static uint8_t *put_region_info(uint8_t *at, uint16_t id)
{
    struct vu_region_info m = { .argsz = 4096, .index = 2 };
    uint8_t body[VU_REGION_INFO_SIZE];

    ENCODE(region_info, &m, body);
    return put_message(at, id, VU_DEVICE_GET_REGION_INFO, 0, body, sizeof(body));
}

static void a_reply_with_descriptors_waits_its_turn(void **state)
{
    uint8_t bytes[256], *at;
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(8 * sizeof(int))];
    } control = { 0 };
    struct iovec iov = { .iov_base = bytes, .iov_len = 96 };
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1,
        .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes),
    };
    struct life l;
    struct cmsghdr *c;
    struct stat ours, theirs;
    int client = begin(&l, 16u << 20);
    int fd;

    (void)state;
    for (uint16_t i = 0; i < 8; i++)
        ask(client, i);
    at = put_get_info(put_region_info(bytes, 8), 9);
    client_send(client, bytes, (size_t)(at - bytes));
    assert_run(&l, 9, 0);               /* and the last one not yet */
    assert_int_equal(events(&l), POLLOUT);
    assert_run(&l, 0, 0);
    for (uint16_t i = 0; i < 8; i++)
        pump_chunk(&l, client, i);
    assert_true(vfu_run_ctx(l.core.ctx) >= 0);
    assert_int_equal(recvmsg(client, &msg, MSG_CMSG_CLOEXEC), 96);
    assert_int_equal(bytes[0], 8);
    c = CMSG_FIRSTHDR(&msg);
    assert_non_null(c);
    memcpy(&fd, CMSG_DATA(c), sizeof(fd));
    assert_int_equal(fstat(fd, &theirs), 0);
    assert_int_equal(fstat(l.core.memory, &ours), 0);
    assert_int_equal(ours.st_ino, theirs.st_ino);
    close(fd);
    assert_reply(client, 9, 0);
    assert_int_equal(events(&l), POLLIN);
    end(&l, client);
}

static void a_client_may_leave_while_one_waits(void **state)
{
    uint8_t bytes[256], *at;
    struct life l;
    int client = begin(&l, 16u << 20);

    (void)state;
    for (uint16_t i = 0; i < 8; i++)
        ask(client, i);
    at = put_get_info(put_region_info(bytes, 8), 9);
    client_send(client, bytes, (size_t)(at - bytes));
    assert_run(&l, 9, 0);
    close(client);
    assert_run(&l, -1, ENOTCONN);
    close(life_client(&l));
    life_end(&l);
}

/* ----------------------------------------------------------------- stalls -- */

static void a_client_that_takes_nothing_is_dropped_in_time(void **state)
{
    struct life l;
    int client, runs = 0;
    int64_t start;

    (void)state;
    client = begin(&l, 16u << 20);
    close(client);
    assert_run(&l, -1, ENOTCONN);
    assert_int_equal(vfu_setup_timeout(l.core.ctx, VFU_TIMEOUT_STALL, 150), 0);
    client = life_client(&l);
    start = guest_now_ms();
    for (uint16_t i = 0; i < 20; i++)
        ask(client, i);
    while (vfu_run_ctx(l.core.ctx) >= 0 && guest_now_ms() - start < PATIENCE_MS) {
        runs++;
        usleep(1000);
    }
    assert_int_equal(errno, ENOTCONN);
    assert_in_range(guest_now_ms() - start, 145, PATIENCE_MS / 2);
    assert_true(runs > 3);
    assert_int_equal(l.core.seen.resets, 2);
    end(&l, client);
}

/* However slowly: it takes something. */
static void a_slow_client_is_not_dropped(void **state)
{
    static uint8_t sink[40000];
    struct life l;
    int client = begin(&l, 16u << 20);
    int64_t start;

    (void)state;
    close(client);
    assert_run(&l, -1, ENOTCONN);
    assert_int_equal(vfu_setup_timeout(l.core.ctx, VFU_TIMEOUT_STALL, 400), 0);
    client = life_client(&l);
    for (uint16_t i = 0; i < 40; i++)
        ask(client, i);
    start = guest_now_ms();
    while (guest_now_ms() - start < 1000) {
        assert_true(vfu_run_ctx(l.core.ctx) >= 0);
        assert_true(recv(client, sink, sizeof(sink), 0) > 0);
        usleep(50000);
    }
    end(&l, client);
}

static int say_busy(vfu_ctx_t *ctx)
{
    (void)ctx;
    errno = EBUSY;
    return -1;
}

static void replies_leave_while_a_quiesce_is_pending(void **state)
{
    const size_t len = 10 * (VU_HEADER_SIZE + VU_REGION_ACCESS_SIZE + CHUNK);
    uint8_t *bytes = malloc(len);
    uint8_t reset[VU_HEADER_SIZE];
    struct life l;
    int client = begin(&l, 16u << 20);
    size_t got = 0;

    (void)state;
    vfu_setup_device_quiesce_cb(l.core.ctx, say_busy);
    for (uint16_t i = 0; i < 10; i++)
        ask(client, i);
    put_message(reset, 10, VU_DEVICE_RESET, 0, NULL, 0);
    client_send(client, reset, sizeof(reset));
    assert_run(&l, -1, EBUSY);
    assert_true((events(&l) & POLLOUT) != 0);
    while (got < len) {
        ssize_t n = recv(client, bytes, len - got, MSG_DONTWAIT);

        if (n > 0)
            got += (size_t)n;
        else
            assert_run(&l, -1, EBUSY);
    }
    assert_int_equal(vfu_device_quiesced(l.core.ctx, 0), 0);
    assert_reply(client, 10, 0);
    vfu_setup_device_quiesce_cb(l.core.ctx, NULL);
    free(bytes);
    end(&l, client);
}

/* The smallest queue: each reply fills it, and leaves at once. Messages that are no
 * commands count for nothing, but are answered too. */
static void what_was_read_is_served_as_long_as_replies_leave(void **state)
{
    uint8_t bytes[8 * INFO_BYTES], *at = bytes;
    struct life l;
    int client = begin(&l, 1);

    (void)state;
    for (uint16_t i = 0; i < 4; i++)
        at = put_message(at, i, VU_DEVICE_GET_INFO, 2, NULL, 0);
    for (uint16_t i = 4; i < 8; i++)
        at = put_get_info(at, i);
    client_send(client, bytes, (size_t)(at - bytes));
    assert_run(&l, 4, 0);
    for (uint16_t i = 0; i < 8; i++)
        assert_reply(client, i, i < 4 ? EINVAL : 0);
    assert_int_equal(events(&l), POLLIN);
    end(&l, client);
}

/* A transfer returns data: it waits, and what is queued goes first. */
static void a_transfer_sends_what_is_queued(void **state)
{
    struct life l;
    struct guest g;
    int client = begin(&l, 16u << 20);
    char got[100];

    (void)state;
    guest_map(&l, client, 0, 0x10000);
    for (uint16_t i = 0; i < 20; i++)
        ask(client, i);
    assert_run(&l, 20, 0);
    guest_begin(&g, client, client, 0);
    assert_int_equal(guest_read(&l, 0, got, sizeof(got), 0), 0);
    assert_true(guest_has_replies(&g, 20));
    assert_int_equal(events(&l), POLLIN);
    guest_end(&g);
    end(&l, client);
}

/* A client cannot fill the queue by commands that are answered ahead of others. */
static void crossing_commands_respect_the_limit(void **state)
{
    uint8_t bytes[100 * INFO_BYTES], *at = bytes;
    struct life l;
    int client = begin(&l, 1);      /* any byte left is too much */
    char got[4];

    (void)state;
    guest_map(&l, client, 0, 0x10000);
    assert_int_equal(vfu_setup_timeout(l.core.ctx, VFU_TIMEOUT_DMA, 50), 0);
    for (uint16_t i = 0; i < 100; i++)
        at = put_get_info(at, i);
    client_send(client, bytes, sizeof(bytes));
    /* As if the socket were full: nothing leaves, so nothing more is answered. */
    l.core.ctx->conn.port.output.aside = calloc(1, sizeof(struct vus_reply));
    l.core.ctx->conn.port.output.aside->out = &l.core.ctx->conn.port.output.bytes;
    assert_fails(guest_read(&l, 0, got, 4, 0), ETIMEDOUT);
    assert_int_equal(l.core.ctx->conn.port.queue.n, 100);
    free(l.core.ctx->conn.port.output.aside);
    l.core.ctx->conn.port.output.aside = NULL;
    assert_run(&l, 100, 0);
    end(&l, client);
}

/* ----------------------------------------------------- without the queue -- */

static void timeouts_are_checked(void **state)
{
    struct life l;

    (void)state;
    life_begin(&l, NB);
    assert_fails(vfu_setup_timeout(l.core.ctx, VFU_TIMEOUT_STALL, 0), EINVAL);
    assert_fails(vfu_setup_timeout(l.core.ctx, VFU_TIMEOUT_DMA, -1), EINVAL);
    assert_fails(vfu_setup_timeout(l.core.ctx, (enum vfu_timeout)4, 1), EINVAL);
    assert_fails(vfu_setup_timeout(l.core.ctx, (enum vfu_timeout)-1, 1), EINVAL);
    for (int i = VFU_TIMEOUT_VERSION; i <= VFU_TIMEOUT_DMA; i++)
        assert_int_equal(vfu_setup_timeout(l.core.ctx, (enum vfu_timeout)i, 7), 0);
    assert_int_equal(l.core.ctx->listener.version_ms, 7);
    life_end(&l);
}

static void the_stall_is_the_applications_choice(void **state)
{
    struct life l;
    int client;
    int64_t start;

    (void)state;
    client = begin(&l, 0);
    close(client);
    assert_run(&l, -1, ENOTCONN);
    assert_int_equal(vfu_setup_timeout(l.core.ctx, VFU_TIMEOUT_STALL, 100), 0);
    client = life_client(&l);
    for (uint16_t i = 0; i < 10; i++)
        ask(client, i);
    start = guest_now_ms();
    assert_true(vfu_run_ctx(l.core.ctx) > 0);
    assert_in_range(guest_now_ms() - start, 95, 900);
    assert_run(&l, -1, ENOTCONN);
    end(&l, client);
}

struct reading {
    int fd;
    size_t len;
    bool same;
};

static void *read_all(void *arg)
{
    struct reading *r = arg;
    uint8_t *bytes = malloc(r->len);
    size_t got = client_read(r->fd, bytes, r->len);

    r->same = got == r->len;
    for (size_t i = 64; r->same && i < r->len; i++)
        r->same = bytes[i] == (uint8_t)(i >> 12);
    free(bytes);
    return NULL;
}

/* The largest reply there is, a dirty bitmap, in both ways of sending. */
static void a_large_reply_arrives_and_its_buffer_is_given_back(void **state)
{
    const size_t len = 32u << 20;

    (void)state;
    for (int queue = 0; queue < 2; queue++) {
        struct vus_reply reply;
        struct vu_message m = { .n_fds = 0 };
        pthread_t thread;
        struct life l;
        struct reading r = { .fd = begin(&l, queue != 0 ? 4096 : 0), .len = len };
        struct vus_port *p = &l.core.ctx->conn.port;
        uint8_t *at;

        vus_port_begin_reply(p, &reply);
        reply.start = 0;
        reply.n_fds = 0;
        at = vu_buffer_extend(reply.out, len);
        assert_non_null(at);
        for (size_t i = 0; i < len; i++)
            at[i] = (uint8_t)(i >> 12);
        if (queue == 0)
            assert_int_equal(pthread_create(&thread, NULL, read_all, &r), 0);
        assert_int_equal(vus_port_reply(l.core.ctx, &m, &reply), 0);
        assert_int_equal(p->output.bytes.room, 0);
        if (queue != 0) {
            assert_true(vu_channel_out(p->ch[VUS_MAIN])->room > len / 2);
            assert_int_equal(pthread_create(&thread, NULL, read_all, &r), 0);
            while (events(&l) != POLLIN)
                assert_true(vfu_run_ctx(l.core.ctx) >= 0);
        }
        pthread_join(thread, NULL);
        assert_true(r.same);
        assert_true(vu_channel_out(p->ch[VUS_MAIN])->room <= 4u << 20);
        end(&l, r.fd);
    }
}

/* ------------------------------------------------------------- out of luck -- */

static void a_queue_without_memory_loses_the_client(void **state)
{
    struct life l;
    int client = begin(&l, 16u << 20);

    (void)state;
    for (uint16_t i = 0; i < 20; i++)
        ask(client, i);
    ask(client, 0);
    assert_run(&l, 21, 0);
    ask(client, 1);
    realloc_fails = 1;
    assert_true(vfu_run_ctx(l.core.ctx) <= 1);
    realloc_fails = 0;
    end(&l, client);
}

/* The socket fails while commands are served that had to wait for room. */
static void an_error_behind_the_queue_loses_the_client(void **state)
{
    struct life l;
    int client = begin(&l, 100000);
    static uint8_t sink[2 * CHUNK];
    int lost = 0;

    (void)state;
    for (uint16_t i = 0; i < 40; i++)
        ask(client, i);
    assert_true(vfu_run_ctx(l.core.ctx) > 0);
    assert_int_equal(events(&l), POLLOUT);
    while (recv(client, sink, sizeof(sink), MSG_DONTWAIT) > 0)
        ;
    sendmsg_works = 2;
    sendmsg_fails = ENOMEM;
    for (int i = 0; i < 3 && !lost; i++)
        lost = vfu_run_ctx(l.core.ctx) < 0;
    sendmsg_fails = 0;
    assert_true(lost);
    assert_int_equal(errno, ENOTCONN);
    assert_int_equal(l.core.seen.resets, 1);
    end(&l, client);
}

static void an_error_of_the_socket_loses_the_client(void **state)
{
    uint8_t bytes[INFO_BYTES];

    (void)state;
    for (int queue = 0; queue < 2; queue++) {
        struct life l;
        int client = begin(&l, queue != 0 ? 4096 : 0);
        char got[4];

        guest_map(&l, client, 0, 0x1000);
        put_get_info(bytes, 1);
        client_send(client, bytes, sizeof(bytes));
        sendmsg_fails = ENOMEM;
        assert_run(&l, 1, 0);
        sendmsg_fails = 0;
        assert_run(&l, -1, ENOTCONN);
        assert_int_equal(l.core.seen.resets, 1);
        close(client);
        client = life_client(&l);
        guest_map(&l, client, 0, 0x1000);
        sendmsg_fails = ENOMEM;
        assert_fails(guest_read(&l, 0, got, 4, 0), ENOTCONN);
        sendmsg_fails = 0;
        assert_run(&l, -1, ENOTCONN);
        end(&l, client);
    }
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(it_has_to_be_chosen_in_time),
    VU_FD_TEST(a_ping_pong_still_takes_one_send),
    VU_FD_TEST(replies_wait_and_the_server_does_not),
    VU_FD_TEST(nothing_is_served_beyond_the_limit),
    VU_FD_TEST(a_limit_beyond_reason_is_no_promise),
    VU_FD_TEST(a_reply_with_descriptors_waits_its_turn),
    VU_FD_TEST(a_client_may_leave_while_one_waits),
    VU_FD_TEST(a_client_that_takes_nothing_is_dropped_in_time),
    VU_FD_TEST(a_slow_client_is_not_dropped),
    VU_FD_TEST(replies_leave_while_a_quiesce_is_pending),
    VU_FD_TEST(what_was_read_is_served_as_long_as_replies_leave),
    VU_FD_TEST(a_transfer_sends_what_is_queued),
    VU_FD_TEST(crossing_commands_respect_the_limit),
    VU_FD_TEST(timeouts_are_checked),
    VU_FD_TEST(the_stall_is_the_applications_choice),
    VU_FD_TEST(a_large_reply_arrives_and_its_buffer_is_given_back),
    VU_FD_TEST(a_queue_without_memory_loses_the_client),
    VU_FD_TEST(an_error_behind_the_queue_loses_the_client),
    VU_FD_TEST(an_error_of_the_socket_loses_the_client),
};

VU_TEST_MAIN(tests)
