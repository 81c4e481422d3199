/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Failures that a session does not come by (test_faults_session.c), of the connection:
 * replies that cannot be kept or sent, answers that never fit, windows that go.
 */
#include "libserver/tests/guest.h"

#include <stdio.h>

#include "libserver/tests/faults.h"

#define NB    LIBVFIO_USER_FLAG_ATTACH_NB
#define BASE  0x10000u
#define CHUNK 65536u        /* bytes of a large reply's data */

static void assert_lost(struct life *l, int client)
{
    assert_run(l, -1, ENOTCONN);
    close(client);
    client = life_client(l);        /* as good as new */
    close(client);
    assert_run(l, -1, ENOTCONN);
}

/* --------------------------------------------------------------- the queue -- */

static ssize_t give_zeros(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                          bool is_write)
{
    (void)ctx;
    (void)offset;
    if (!is_write)
        memset(buf, 0, count);
    return (ssize_t)count;
}

static int begin_queue(struct life *l, size_t queue)
{
    life_begin(l, NB);
    assert_int_equal(vfu_setup_output_queue(l->core.ctx, queue), 0);
    assert_int_equal(vfu_setup_region(l->core.ctx, 4, 64u << 20, give_zeros,
                                      VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM, NULL, 0,
                                      -1, 0), 0);
    return life_client(l);
}

#define N_CHUNKS 8u

static void ask_for_chunks(int client)
{
    const struct vu_region_access a = { .region = 4, .count = CHUNK };
    uint8_t body[VU_REGION_ACCESS_SIZE], bytes[64], *at;

    ENCODE(region_access, &a, body);
    for (uint16_t i = 0; i < N_CHUNKS; i++) {
        at = put_message(bytes, i, VU_REGION_READ, 0, body, sizeof(body));
        client_send(client, bytes, (size_t)(at - bytes));
    }
}

/* Replies that fill the socket and wait in the queue. */
static void fill_queue(struct life *l, int client)
{
    ask_for_chunks(client);
    assert_run(l, N_CHUNKS, 0);
    assert_int_equal(vfu_get_poll_events(l->core.ctx), POLLIN | POLLOUT);
}

/* Read them, or until the server has something to say. */
static void take_chunks(struct life *l, int client)
{
    static uint8_t sink[N_CHUNKS * (VU_HEADER_SIZE + VU_REGION_ACCESS_SIZE + CHUNK)];

    for (size_t got = 0; got < sizeof(sink);) {
        ssize_t n = recv(client, sink, sizeof(sink) - got, MSG_DONTWAIT);

        if (n > 0) {
            got += (size_t)n;
            continue;
        }
        assert_int_equal(errno, EAGAIN);
        if (vfu_run_ctx(l->core.ctx) < 0)
            return;
    }
}

/* Its reply has a descriptor. */
static void send_region_info(int client)
{
    const struct vu_region_info m = { .argsz = 4096, .index = 2 };
    uint8_t body[VU_REGION_INFO_SIZE], bytes[64], *at;

    ENCODE(region_info, &m, body);
    at = put_message(bytes, 8, VU_DEVICE_GET_REGION_INFO, 0, body, sizeof(body));
    client_send(client, bytes, (size_t)(at - bytes));
}

static void a_reply_that_cannot_be_put_aside_drops_the_client(void **state)
{
    struct life l;
    int client = begin_queue(&l, 16u << 20);

    (void)state;
    fill_queue(&l, client);
    send_region_info(client);
    faults_arm_call("malloc", ALLOCATIONS, 1);
    assert_run(&l, 1, 0);       /* served; that the client is gone is the next news */
    faults_rest();
    assert_true(faults.hit);
    assert_lost(&l, client);
    life_end(&l);
}

static void a_reply_put_aside_that_cannot_be_sent_drops_the_client(void **state)
{
    struct life l;
    int client = begin_queue(&l, 16u << 20);

    (void)state;
    fill_queue(&l, client);
    send_region_info(client);
    assert_run(&l, 1, 0);
    assert_int_equal(vfu_get_poll_events(l.core.ctx), POLLOUT);     /* it is aside */
    while (vu_channel_unsent(l.core.ctx->conn.port.ch[VUS_MAIN]) != 0) {
        uint8_t sink[4096];

        assert_true(recv(client, sink, sizeof(sink), MSG_DONTWAIT) > 0);
        vu_channel_flush(l.core.ctx->conn.port.ch[VUS_MAIN], VU_DONT_WAIT);
    }
    faults_arm_call("sendmsg", SYSTEM_CALLS, 1);
    faults.as = ETOOMANYREFS;
    assert_run(&l, -1, ENOTCONN);
    faults_rest();
    assert_true(faults.hit);
    close(client);
    close(life_client(&l));
    life_end(&l);
}

static void a_device_may_quiesce_late_for_what_the_queue_held_up(void **state)
{
    uint8_t bytes[MAP_BYTES];
    struct life l;
    int client = begin_queue(&l, CHUNK);

    (void)state;
    vfu_setup_device_quiesce_cb(l.core.ctx, core_quiesce);
    l.core.how.quiesce_errno = EBUSY;
    ask_for_chunks(client);
    put_map(bytes, 9, BASE, 0x1000, RW);
    client_send(client, bytes, sizeof(bytes));
    assert_true(vfu_run_ctx(l.core.ctx) > 0);
    assert_int_equal(vfu_get_poll_events(l.core.ctx), POLLOUT);
    assert_int_equal(l.core.seen.quiesces, 0);
    take_chunks(&l, client);        /* until the device is asked */
    while (vfu_run_ctx(l.core.ctx) >= 0)
        ;
    assert_int_equal(errno, EBUSY);
    assert_int_equal(l.core.seen.quiesces, 1);
    assert_int_equal(vfu_device_quiesced(l.core.ctx, 0), 0);
    assert_int_equal(l.core.seen.registers, 1);
    l.core.how.quiesce_errno = 0;
    close(client);
    assert_run(&l, -1, ENOTCONN);
    life_end(&l);
}

/* -------------------------------------------------------------- attaching -- */

static void a_client_that_cannot_even_be_refused_is_dropped(void **state)
{
    uint8_t bytes[VU_HEADER_SIZE] = { 1, 0, 1, 0, 8 };      /* a message of 8 bytes */
    struct life l;
    int client;

    (void)state;
    life_begin(&l, NB);
    client = client_connect(&l);
    client_send(client, bytes, sizeof(bytes));
    faults_arm_call("realloc", ALLOCATIONS, 1);
    assert_fails(vfu_attach_ctx(l.core.ctx), EINVAL);
    faults_rest();
    assert_true(faults.hit);
    assert_ended(client);
    close(client);
    close(life_client(&l));
    life_end(&l);
}

/* ------------------------------------------------------ answers to requests -- */

static void a_client_that_answers_beside_the_point_for_ever_is_dropped(void **state)
{
    uint8_t bytes[64], data[8], *at;
    struct life l;
    int client;

    (void)state;
    life_begin(&l, NB);
    client = life_client(&l);
    guest_map(&l, client, BASE, 0x1000);
    for (int i = 0; i <= 64; i++) {
        at = put_answer(bytes, 0x7777, VU_DMA_READ, BASE, "12345678", 8);
        client_send(client, bytes, (size_t)(at - bytes));
        assert_fails(guest_read(&l, BASE, data, 8, 0), i < 64 ? EPROTO : ENOTCONN);
    }
    assert_lost(&l, client);
    life_end(&l);
}

static void a_crossing_reply_that_cannot_be_sent_drops_the_client(void **state)
{
    uint8_t bytes[INFO_BYTES], data[8];
    struct life l;
    int client;

    (void)state;
    life_begin(&l, NB);
    client = life_client(&l);
    guest_map(&l, client, BASE, 0x1000);
    put_get_info(bytes, 5);
    client_send(client, bytes, sizeof(bytes));
    faults_arm_call("sendmsg", SYSTEM_CALLS, 2);    /* after the request itself */
    assert_fails(guest_read(&l, BASE, data, 8, 0), ENOTCONN);
    faults_rest();
    assert_true(faults.hit);
    assert_lost(&l, client);
    life_end(&l);
}

/* One with a descriptor cannot stay in the queue. */
static void a_crossing_reply_with_descriptors_waits_for_room(void **state)
{
    uint8_t bytes[64], *at;
    char data[8] = { 0 };
    struct life l;
    int client = begin_queue(&l, 16u << 20);

    (void)state;
    guest_map(&l, client, BASE, 0x1000);
    send_region_info(client);
    at = put_answer(bytes, 0, VU_DMA_READ, BASE, "abcdefgh", 8);
    client_send(client, bytes, (size_t)(at - bytes));
    faults_arm_call("sendmsg", SYSTEM_CALLS, 2);    /* after the request itself */
    faults.as = EAGAIN;
    assert_int_equal(guest_read(&l, BASE, data, 8, 0), 0);
    faults_rest();
    assert_true(faults.hit);
    assert_memory_equal(data, "abcdefgh", 8);
    assert_request(client, 0, VU_DMA_READ, BASE, 8);
    assert_reply(client, 8, 0);
    close(client);
    assert_run(&l, -1, ENOTCONN);
    life_end(&l);
}

/* ------------------------------------------------------------- the twin -- */

/* The client's end of the twin. */
static int twin_client(struct life *l, int *client, uint32_t max_xfer)
{
    uint8_t body[256] = { 0, 0, 1, 0 }, bytes[600], *at;
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct iovec iov = { .iov_base = bytes, .iov_len = sizeof(bytes) };
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1,
        .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes),
    };
    char *json = (char *)body + 4;
    int n = snprintf(json, 200, "{\"capabilities\":{\"max_data_xfer_size\":%u,"
                     "\"twin_socket\":{\"supported\":true}}}", max_xfer);
    int fd = -1;

    *client = client_connect(l);
    at = put_message(bytes, 1, VU_VERSION, 0, body, 4 + (size_t)n + 1);
    client_send(*client, bytes, (size_t)(at - bytes));
    assert_int_equal(vfu_attach_ctx(l->core.ctx), 0);
    assert_true(recvmsg(*client, &msg, MSG_CMSG_CLOEXEC) > 0);
    assert_int_not_equal(msg.msg_controllen, 0);
    memcpy(&fd, CMSG_DATA(&control.align), sizeof(fd));
    return fd;
}

static void a_refusal_on_the_twin_that_cannot_be_sent_drops_the_client(void **state)
{
    uint8_t bytes[INFO_BYTES], data[8];
    int client, twin;
    struct life l;

    (void)state;
    life_begin(&l, NB);
    twin = twin_client(&l, &client, 65536);
    guest_map(&l, client, BASE, 0x1000);
    put_get_info(bytes, 5);
    client_send(twin, bytes, sizeof(bytes));
    faults_arm_call("sendmsg", SYSTEM_CALLS, 2);    /* after the request itself */
    assert_fails(guest_read(&l, BASE, data, 8, 0), ENOTCONN);
    faults_rest();
    assert_true(faults.hit);
    close(twin);
    assert_lost(&l, client);
    life_end(&l);
}

struct reader {
    struct life *l;
    char data[8];
    int ret, err;
};

static void *read_in_parts(void *arg)
{
    struct reader *r = arg;

    r->ret = guest_read(r->l, BASE, r->data, sizeof(r->data), 0);
    r->err = errno;
    return NULL;
}

static void a_window_that_goes_between_two_requests_ends_the_transfer(void **state)
{
    uint8_t bytes[64], *at;
    struct reader r = { 0 };
    pthread_t thread;
    struct life l;
    int client, twin;

    (void)state;
    life_begin(&l, NB);
    twin = twin_client(&l, &client, 4);
    guest_map(&l, client, BASE, 0x1000);
    r.l = &l;
    assert_int_equal(pthread_create(&thread, NULL, read_in_parts, &r), 0);
    assert_request(twin, 0, VU_DMA_READ, BASE, 4);
    at = put_unmap(bytes, 6, BASE, 0x1000);
    client_send(client, bytes, (size_t)(at - bytes));
    /* The thread may have read it, in which case it is handed to us. */
    for (int64_t end = guest_now_ms() + PATIENCE_MS; guest_now_ms() < end;) {
        int n = vfu_run_ctx(l.core.ctx);

        assert_true(n >= 0);
        if (n == 1)
            break;
    }
    assert_reply(client, 6, 0);
    at = put_answer(bytes, 0, VU_DMA_READ, BASE, "1234", 4);
    client_send(twin, bytes, (size_t)(at - bytes));
    pthread_join(thread, NULL);
    assert_int_equal(r.ret, -1);
    assert_int_equal(r.err, EFAULT);
    assert_silent(twin);
    close(twin);
    close(client);
    assert_run(&l, -1, ENOTCONN);
    life_end(&l);
}

/* ------------------------------------------------------------------ waking -- */

static bool readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return poll(&p, 1, 0) == 1;
}

static void a_wake_descriptor_survives_what_its_counter_refuses(void **state)
{
    struct vus_wake *w;
    struct life l;
    int fd;

    (void)state;
    life_begin(&l, NB);
    w = &l.core.ctx->wake;
    fd = vfu_get_wake_fd(l.core.ctx);
    assert_true(fd >= 0);
    faults_arm_call("write", SYSTEM_CALLS, 1);
    vus_wake_raise(w);
    faults_rest();
    assert_true(faults.hit);
    faults_arm_call("read", SYSTEM_CALLS, 1);
    vus_wake_clear(w);
    faults_rest();
    assert_true(faults.hit);
    assert_false(readable(fd));
    vus_wake_raise(w);
    assert_true(readable(fd));
    vus_wake_clear(w);
    assert_false(readable(fd));
    life_end(&l);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(a_reply_that_cannot_be_put_aside_drops_the_client),
    VU_FD_TEST(a_reply_put_aside_that_cannot_be_sent_drops_the_client),
    VU_FD_TEST(a_device_may_quiesce_late_for_what_the_queue_held_up),
    VU_FD_TEST(a_client_that_cannot_even_be_refused_is_dropped),
    VU_FD_TEST(a_client_that_answers_beside_the_point_for_ever_is_dropped),
    VU_FD_TEST(a_crossing_reply_that_cannot_be_sent_drops_the_client),
    VU_FD_TEST(a_crossing_reply_with_descriptors_waits_for_room),
    VU_FD_TEST(a_refusal_on_the_twin_that_cannot_be_sent_drops_the_client),
    VU_FD_TEST(a_window_that_goes_between_two_requests_ends_the_transfer),
    VU_FD_TEST(a_wake_descriptor_survives_what_its_counter_refuses),
};

VU_TEST_MAIN(tests)
