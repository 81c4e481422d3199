/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many commands at a time over a real socket, with a server that reads and writes as it
 * likes: nobody gets stuck, nothing gets mixed up.
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "libclient/tests/talk.h"

#define MIB (1u << 20)

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

/* Region 0 is known: READ|WRITE, 4 MiB. The next id is 3. */
static struct vfuc_client *connect_with_region(unsigned max_pending, int *server)
{
    struct vfuc_options o = { .size = sizeof(o), .max_pending = max_pending };
    struct vfuc_client *c = talk_connect(&o, server, NULL);
    const struct vfuc_region *region;
    uint8_t sink[256];

    talk_type(*server, "0100 0400 20000000 01000000 00000000"
              "10000000 03000000 09000000 05000000"
              "0200 0500 30000000 01000000 00000000"
              "20000000 03000000 00000000 00000000 0000400000000000 0000000000000000");
    assert_int_equal(vfuc_region_info(c, 0, &region), 0);
    assert_true(recv(*server, sink, sizeof(sink), 0) > 0);
    return c;
}

/* ------------------------------------------------------------- out of order -- */

/* Reads `batch` requests, then answers them in another order; `n` in all. A register
 * holds its own offset, times 3. */
struct shuffler {
    int fd;
    unsigned n, batch;
    atomic_bool failed;
};

struct asked {
    struct vu_header h;
    struct vu_region_access a;
};

static bool read_batch(int fd, struct asked *asked, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint8_t body[VU_REGION_ACCESS_SIZE] = { 0 };
        struct vu_reader r = vu_reader(body, sizeof(body));

        if (!talk_receive(fd, &asked[i].h, body, sizeof(body)))
            return false;
        vu_decode_region_access(&r, &asked[i].a);
    }
    return true;
}

static bool answer_batch(int fd, const struct asked *asked, unsigned n, unsigned stride)
{
    for (unsigned i = 0; i < n; i++) {
        const struct asked *a = &asked[i * stride % n];
        uint32_t value = (uint32_t)a->a.offset * 3;
        uint8_t body[VU_REGION_ACCESS_SIZE];
        struct vu_writer w = vu_writer(body, sizeof(body));

        vu_encode_region_access(&w, &a->a);
        if (!talk_reply(fd, &a->h, body, sizeof(body), &value, sizeof(value)))
            return false;
    }
    return true;
}

static void *shuffle(void *arg)
{
    struct shuffler *s = arg;
    struct asked *asked = calloc(s->batch, sizeof(*asked));

    for (unsigned done = 0; asked != NULL && done < s->n; done += s->batch) {
        /* 7 is prime to every batch here, so each request gets one answer. */
        if (!read_batch(s->fd, asked, s->batch)
            || !answer_batch(s->fd, asked, s->batch, 7))
            s->failed = true;
        if (s->failed)
            break;
    }
    free(asked);
    return NULL;
}

/* Submits n reads, at most `window` at a time; each must bring what is its own. */
static void read_all(struct vfuc_client *c, unsigned n, unsigned window)
{
    uint32_t *values = calloc(n, sizeof(*values));
    struct vfuc_completion done[64];
    unsigned sent = 0, taken = 0;
    bool in_order = true;

    while (taken < n) {
        int got;

        for (; sent < n && sent - taken < window; sent++)
            assert_int_equal(vfuc_submit_region_read(c, 0, sent % 4096 * 4, &values[sent],
                                                     4, sent), 0);
        got = vfuc_wait(c, done, 64, -1);
        assert_true(got > 0);
        for (int i = 0; i < got; i++, taken++) {
            assert_int_equal(done[i].result, 0);
            in_order = in_order && done[i].tag == taken;
            assert_int_equal(values[done[i].tag], done[i].tag % 4096 * 4 * 3);
            values[done[i].tag] = 1;    /* so that a second completion would show */
        }
    }
    assert_false(in_order);
    assert_int_equal(vfuc_pending(c), 0);
    free(values);
}

static void a_thousand_replies_out_of_order_find_their_commands(void **state)
{
    struct shuffler s = { .n = 1000, .batch = 1000 };
    struct vfuc_client *c = connect_with_region(1000, &s.fd);
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, shuffle, &s), 0);
    read_all(c, 1000, 1000);
    pthread_join(thread, NULL);
    assert_false(s.failed);
    vfuc_close(c);
    close(s.fd);
}

static void ids_go_around_with_commands_on_their_way(void **state)
{
    struct shuffler s = { .n = 70000, .batch = 100 };
    struct vfuc_client *c = connect_with_region(100, &s.fd);
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, shuffle, &s), 0);
    read_all(c, 70000, 100);
    pthread_join(thread, NULL);
    assert_false(s.failed);
    vfuc_close(c);
    close(s.fd);
}

/* ------------------------------------------------------------ not reading -- */

static void a_server_that_does_not_read_is_given_up(void **state)
{
    static const uint8_t data[65536];
    struct vfuc_completion done[1024];
    int server, got, err, n = 0;
    struct vfuc_client *c = connect_with_region(1024, &server);
    int64_t start = now_ms(), took;

    (void)state;
    vfuc_set_timeout_ms(c, 60);
    do {
        err = vfuc_submit_region_write(c, 0, 0, data, sizeof(data), (uint64_t)n);
        n += err == 0;
    } while (err == 0);
    assert_int_equal(err, -EAGAIN);
    /* A message and a bit, and what the socket holds: not the 64 MiB of 1024 commands. */
    assert_in_range(n, 10, 40);
    assert_int_equal(vfuc_flush(c), 1);
    assert_int_equal(vfuc_poll_events(c), POLLIN | POLLOUT);
    got = vfuc_wait(c, done, 1024, -1);
    took = now_ms() - start;
    assert_int_equal(got, n);
    for (int i = 0; i < got; i++)
        assert_int_equal(done[i].result, -ETIMEDOUT);
    assert_in_range(took, 60, 2000);
    vfuc_close(c);
    close(server);
}

static void a_blocking_call_gives_it_up_too(void **state)
{
    static uint8_t data[MIB];
    int server;
    struct vfuc_client *c = connect_with_region(0, &server);
    int64_t start = now_ms(), took;

    (void)state;
    vfuc_set_timeout_ms(c, 60);
    assert_int_equal(vfuc_region_write(c, 0, 0, data, sizeof(data)), -ETIMEDOUT);
    took = now_ms() - start;
    assert_in_range(took, 60, 2000);
    vfuc_close(c);
    close(server);
}

/* Room comes back when the server reads on. */
static void what_was_refused_for_lack_of_room_goes_later(void **state)
{
    static uint8_t data[300000];
    int server, err, n = 0;
    struct vfuc_client *c = connect_with_region(64, &server);
    uint8_t *sink = malloc(MIB);
    size_t total = 0;

    (void)state;
    do {
        err = vfuc_submit_region_write(c, 0, 0, data, sizeof(data), (uint64_t)n);
        n += err == 0;
    } while (err == 0);
    assert_int_equal(err, -EAGAIN);
    while (vfuc_flush(c) == 1) {
        ssize_t got = recv(server, sink, MIB, MSG_DONTWAIT);

        total += got > 0 ? (size_t)got : 0;
    }
    while (total < (size_t)n * (sizeof(data) + 32)) {
        ssize_t got = recv(server, sink, MIB, 0);

        assert_true(got > 0);
        total += (size_t)got;
    }
    assert_int_equal(vfuc_submit_region_write(c, 0, 0, data, sizeof(data), 99), 0);
    free(sink);
    vfuc_close(c);
    close(server);
}

/* -------------------------------------------------- writing before reading -- */

/* First writes `n` DMA requests of a MiB each, and only then reads: the answers to them,
 * and the client's REGION_WRITE, which it answers. */
struct eager {
    int fd;
    unsigned n;
    enum vu_command command;
    const uint8_t *expected;    /* what every byte block must be */
    uint8_t *body;
    unsigned n_answers;
    bool wrote;                 /* the client's write came, intact */
    atomic_bool failed;
};

static bool take_answer(struct eager *e, const struct vu_header *h)
{
    size_t len = h->size - VU_HEADER_SIZE - VU_DMA_ACCESS_SIZE;

    if (h->msg_id != e->n_answers || (h->flags & VU_F_ERROR) != 0)
        return false;
    e->n_answers++;
    if (e->command == VU_DMA_WRITE)
        return len == 0;
    return len == MIB && memcmp(e->body + VU_DMA_ACCESS_SIZE, e->expected, MIB) == 0;
}

static bool take_write(struct eager *e, const struct vu_header *h)
{
    e->wrote = h->size == VU_HEADER_SIZE + VU_REGION_ACCESS_SIZE + MIB
        && memcmp(e->body + VU_REGION_ACCESS_SIZE, e->expected, MIB) == 0;
    return e->wrote
        && talk_reply(e->fd, h, e->body, VU_REGION_ACCESS_SIZE, NULL, 0);
}

static void *write_then_read(void *arg)
{
    struct eager *e = arg;
    struct vu_header h;

    for (unsigned i = 0; i < e->n; i++) {
        if (!talk_dma(e->fd, (uint16_t)i, e->command, 0x100000 * (uint64_t)i, MIB,
                      e->command == VU_DMA_WRITE ? e->expected : NULL))
            e->failed = true;
    }
    while (!e->failed && (e->n_answers < e->n || !e->wrote)) {
        if (!talk_receive(e->fd, &h, e->body, TALK_BODY_MAX)
            || !(vu_header_type(&h) == VU_F_TYPE_REPLY ? take_answer(e, &h)
                                                       : take_write(e, &h)))
            e->failed = true;
    }
    return NULL;
}

static void fill(uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i * 31 >> 4);
}

/* The client writes a MiB to a region, in a blocking call or not. */
static void meet_eager_server(enum vu_command command, unsigned n, bool blocking)
{
    struct eager e = { .n = n, .command = command, .body = malloc(TALK_BODY_MAX) };
    struct vfuc_client *c = connect_with_region(0, &e.fd);
    uint8_t *data = malloc(MIB), *memory = calloc(n, MIB);
    struct vfuc_completion done;
    pthread_t thread;
    uint8_t sink[64];

    fill(data, MIB);
    if (command == VU_DMA_READ) {
        for (unsigned i = 0; i < n; i++)
            memcpy(memory + (size_t)i * MIB, data, MIB);
    }
    e.expected = data;
    talk_type(e.fd, "0300 0200 10000000 01000000 00000000");
    assert_int_equal(vfuc_dma_map_memory(c, 0, (uint64_t)n * MIB, 3, memory, -1, 0), 0);
    assert_int_equal(recv(e.fd, sink, sizeof(sink), 0), 48);
    assert_int_equal(pthread_create(&thread, NULL, write_then_read, &e), 0);
    if (blocking) {
        assert_int_equal(vfuc_region_write(c, 0, 0, data, MIB), 0);
    } else {
        assert_int_equal(vfuc_submit_region_write(c, 0, 0, data, MIB, 5), 0);
        assert_int_equal(vfuc_wait(c, &done, 1, -1), 1);
        assert_int_equal(done.result, 0);
    }
    /* The last answers may not have left when our reply has come. */
    while (vfuc_flush(c) == 1) {
        struct pollfd p = { .fd = vfuc_fd(c), .events = POLLOUT };

        poll(&p, 1, 1000);
    }
    pthread_join(thread, NULL);
    assert_false(e.failed);
    assert_int_equal(e.n_answers, n);
    if (command == VU_DMA_WRITE) {
        for (unsigned i = 0; i < n; i++)
            assert_memory_equal(memory + (size_t)i * MIB, data, MIB);
    }
    vfuc_close(c);
    close(e.fd);
    free(e.body);
    free(data);
    free(memory);
}

static void a_server_that_writes_much_first_meets_a_blocking_write(void **state)
{
    (void)state;
    meet_eager_server(VU_DMA_WRITE, 4, true);
}

static void a_server_that_writes_much_first_meets_a_submitted_write(void **state)
{
    (void)state;
    meet_eager_server(VU_DMA_WRITE, 4, false);
}

static void a_server_that_asks_for_much_first_meets_a_blocking_write(void **state)
{
    (void)state;
    meet_eager_server(VU_DMA_READ, 8, true);
}

static void a_server_that_asks_for_much_first_meets_a_submitted_write(void **state)
{
    (void)state;
    meet_eager_server(VU_DMA_READ, 8, false);
}

/* ------------------------------------------------------------- hanging up -- */

/* Takes a part of a request, says why it does not want the rest, and goes. */
static void *refuse_and_go(void *arg)
{
    int *fd = arg;
    struct vu_header h = { .msg_id = 3, .command = VU_REGION_WRITE,
                           .flags = VU_F_TYPE_REPLY | VU_F_ERROR, .error = ENOSPC };
    uint8_t part[1000];

    if (talk_fully(*fd, part, sizeof(part)))
        talk_send(*fd, h, NULL, 0, NULL, 0);
    close(*fd);
    return NULL;
}

static void a_reason_given_in_the_midst_of_a_request_is_heard(void **state)
{
    static uint8_t data[MIB];
    pthread_t thread;
    int server;
    struct vfuc_client *c = connect_with_region(0, &server);

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, refuse_and_go, &server), 0);
    assert_int_equal(vfuc_region_write(c, 0, 0, data, sizeof(data)), -EREMOTEIO);
    assert_int_equal(vfuc_last_errno(c), ENOSPC);
    pthread_join(thread, NULL);
    assert_int_equal(vfuc_reset(c), -ENOTCONN);
    vfuc_close(c);
}

static void a_posted_write_to_one_that_left_is_told(void **state)
{
    int server;
    struct vfuc_client *c = connect_with_region(0, &server);
    struct vfuc_completion done[2];
    uint8_t byte = 0;

    (void)state;
    assert_int_equal(vfuc_submit_reset(c, 1), 0);
    assert_int_equal(vfuc_flush(c), 0);
    talk_type(server, "0300 0d00 10000000 01000000 00000000");
    close(server);
    assert_int_equal(vfuc_region_write_posted(c, 0, 0, &byte, 1), -ENOTCONN);
    assert_int_equal(vfuc_complete(c, done, 2), 1);     /* it was said before */
    assert_int_equal(done[0].result, 0);
    assert_int_equal(vfuc_complete(c, done, 2), -ENOTCONN);
    vfuc_close(c);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(a_thousand_replies_out_of_order_find_their_commands),
    VU_FD_TEST(ids_go_around_with_commands_on_their_way),
    VU_FD_TEST(a_server_that_does_not_read_is_given_up),
    VU_FD_TEST(a_blocking_call_gives_it_up_too),
    VU_FD_TEST(what_was_refused_for_lack_of_room_goes_later),
    VU_FD_TEST(a_server_that_writes_much_first_meets_a_blocking_write),
    VU_FD_TEST(a_server_that_writes_much_first_meets_a_submitted_write),
    VU_FD_TEST(a_server_that_asks_for_much_first_meets_a_blocking_write),
    VU_FD_TEST(a_server_that_asks_for_much_first_meets_a_submitted_write),
    VU_FD_TEST(a_reason_given_in_the_midst_of_a_request_is_heard),
    VU_FD_TEST(a_posted_write_to_one_that_left_is_told),
};

VU_TEST_MAIN(tests)
