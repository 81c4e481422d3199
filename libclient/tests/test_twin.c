/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The twin socket, served by the client's own calls or by a thread of its own.
 *
 * No thread here asserts, since that would leave by longjmp.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "libclient/tests/talk.h"

#define RESET_OK(id) id " 0d00 10000000 01000000 00000000"
#define BASE 0x10000u   /* of the window */
#define SIZE 0x4000u

/* A client with a twin socket, and the server's ends. */
struct world {
    struct vfuc_client *client;
    int server, twin;
    uint8_t memory[SIZE];       /* behind the window, when there is one */
};

static void start(struct world *w, unsigned how)
{
    struct vfuc_options o = { .size = sizeof(o), .twin_socket = how };

    memset(w->memory, 0, sizeof(w->memory));
    w->client = talk_connect(&o, &w->server, &w->twin);
    assert_true(vfuc_negotiated(w->client)->twin_socket);
    assert_true(vfuc_twin_fd(w->client) >= 0);
}

/* As start(), and a window is mapped; the next id is 2. */
static void start_mapped(struct world *w, unsigned how)
{
    uint8_t sink[64];

    start(w, how);
    talk_type(w->server, "0100 0200 10000000 01000000 00000000");
    assert_int_equal(vfuc_dma_map_memory(w->client, BASE, SIZE, 3, w->memory, -1, 0), 0);
    assert_int_equal(recv(w->server, sink, sizeof(sink), 0), 48);
}

static void hang_up(int *fd)
{
    close(*fd);
    *fd = -1;
}

static void finish(struct world *w)
{
    vfuc_close(w->client);
    if (w->server >= 0)
        close(w->server);
    if (w->twin >= 0)
        close(w->twin);
}

/* These bytes, and no more, have come to the server's end. */
static void expect_bytes(int fd, const char *hex)
{
    struct bytes want = bytes_of_hex(hex);
    uint8_t got[BYTES_MAX];

    assert_int_equal(recv(fd, got, sizeof(got), MSG_DONTWAIT), want.len);
    assert_memory_equal(got, want.data, want.len);
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

/* ----------------------------------------------------------------- inline -- */

#define READ_4 "0500 0b00 20000000 00000000 00000000 0800010000000000 0400000000000000"
#define READ_4_ANSWER \
    "0500 0b00 24000000 01000000 00000000 0800010000000000 0400000000000000 01020304"
#define WRITE_4 \
    "0600 0c00 24000000 00000000 00000000 1000010000000000 0400000000000000 0a0b0c0d"
#define WRITE_4_ANSWER \
    "0600 0c00 20000000 01000000 00000000 1000010000000000 0400000000000000"

static void a_call_serves_both_sockets(void **state)
{
    struct world w;

    (void)state;
    start_mapped(&w, VFUC_TWIN_INLINE);
    memcpy(w.memory + 8, "\1\2\3\4", 4);
    talk_type(w.twin, READ_4 WRITE_4);
    talk_type(w.server, "0700 0e00 10000000 00000000 00000000");
    /* The reply comes when the twin has been served. */
    assert_int_equal(vfuc_submit_reset(w.client, 1), 0);
    vfuc_set_timeout_ms(w.client, 20);
    assert_int_equal(vfuc_reset(w.client), -ETIMEDOUT);
    expect_bytes(w.twin, READ_4_ANSWER WRITE_4_ANSWER);
    assert_memory_equal(w.memory + 16, "\12\13\14\15", 4);
    expect_bytes(w.server, "0200 0d00 10000000 00000000 00000000"
                 "0300 0d00 10000000 00000000 00000000"
                 "0700 0e00 10000000 21000000 5f000000");
    finish(&w);
}

/* Answers the reset only when its DMA request has been answered. */
struct demanding {
    struct world *world;
    atomic_bool failed;
};

static void *dma_then_reply(void *arg)
{
    struct demanding *d = arg;
    struct vu_header h, answer;
    uint8_t body[64];

    if (!talk_receive(d->world->server, &h, body, sizeof(body))
        || !talk_dma(d->world->twin, 9, VU_DMA_READ, BASE, 4, NULL)
        || !talk_receive(d->world->twin, &answer, body, sizeof(body))
        || memcmp(body + VU_DMA_ACCESS_SIZE, d->world->memory, 4) != 0
        || !talk_reply(d->world->server, &h, NULL, 0, NULL, 0))
        d->failed = true;
    return NULL;
}

static void a_reply_may_depend_on_the_twin(void **state)
{
    struct world w;
    struct demanding d = { .world = &w };
    pthread_t thread;

    (void)state;
    start_mapped(&w, VFUC_TWIN_INLINE);
    memcpy(w.memory, "\7\10\11\12", 4);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(pthread_create(&thread, NULL, dma_then_reply, &d), 0);
        assert_int_equal(vfuc_reset(w.client), 0);
        pthread_join(thread, NULL);
        assert_false(d.failed);
    }
    finish(&w);
}

static void dispatching_serves_both_sockets(void **state)
{
    struct vfuc_completion done;
    struct world w;

    (void)state;
    start_mapped(&w, VFUC_TWIN_INLINE);
    memcpy(w.memory + 8, "\1\2\3\4", 4);
    assert_int_equal(vfuc_dispatch(w.client), 0);
    talk_type(w.twin, READ_4 WRITE_4);
    talk_type(w.server, "0700 0e00 10000000 00000000 00000000");
    assert_int_equal(vfuc_dispatch(w.client), 3);
    expect_bytes(w.twin, READ_4_ANSWER WRITE_4_ANSWER);
    talk_type(w.twin, READ_4);
    assert_int_equal(vfuc_complete(w.client, &done, 1), 0);
    expect_bytes(w.twin, READ_4_ANSWER);
    talk_type(w.twin, READ_4);
    assert_int_equal(vfuc_twin_dispatch(w.client, -1), 1);
    expect_bytes(w.twin, READ_4_ANSWER);
    assert_int_equal(vfuc_twin_dispatch(w.client, 0), 0);
    assert_int_equal(vfuc_twin_dispatch(w.client, 5), 0);
    finish(&w);
}

/* More requests than one call deals with, in one read. */
static void what_is_left_of_the_twin_is_not_forgotten(void **state)
{
    const struct vu_header h = { .command = 200, .flags = VU_F_NO_REPLY };
    struct world w;

    (void)state;
    start_mapped(&w, VFUC_TWIN_INLINE);
    for (int i = 0; i < 100; i++)
        assert_true(talk_send(w.twin, h, NULL, 0, NULL, 0));
    assert_int_equal(vfuc_poll_timeout_ms(w.client), -1);
    assert_int_equal(vfuc_dispatch(w.client), 64);
    assert_int_equal(vfuc_poll_timeout_ms(w.client), 0);
    assert_int_equal(vfuc_dispatch(w.client), 36);
    assert_int_equal(vfuc_poll_timeout_ms(w.client), -1);
    assert_int_equal(vfuc_dispatch(w.client), 0);
    finish(&w);
}

/* An answer that the socket does not hold; an event loop goes by the poll events. */
static void a_large_answer_leaves_as_it_is_read(void **state)
{
    const uint32_t len = 1u << 20;
    uint8_t *memory = calloc(1, len), *got = malloc(len);
    struct vu_header answer;
    struct world w;
    size_t n = 0;

    (void)state;
    start(&w, VFUC_TWIN_INLINE);
    for (uint32_t i = 0; i < len; i++)
        memory[i] = (uint8_t)(i * 31 >> 3);
    talk_type(w.server, "0100 0200 10000000 01000000 00000000");
    assert_int_equal(vfuc_dma_map_memory(w.client, 0, len, 3, memory, -1, 0), 0);
    assert_true(talk_dma(w.twin, 1, VU_DMA_READ, 0, len, NULL));
    assert_int_equal(vfuc_dispatch(w.client), 1);
    assert_int_equal(vfuc_twin_poll_events(w.client), POLLIN | POLLOUT);
    assert_true(talk_receive(w.twin, &answer, got, 0) || answer.size == len + 32);
    assert_true(talk_fully(w.twin, got, VU_DMA_ACCESS_SIZE));
    while (n < len) {
        struct pollfd p = { .fd = vfuc_twin_fd(w.client),
                            .events = vfuc_twin_poll_events(w.client) };
        ssize_t part = recv(w.twin, got + n, len - n, MSG_DONTWAIT);

        n += part > 0 ? (size_t)part : 0;
        if (n < len && poll(&p, 1, part > 0 ? 0 : 5000) > 0)
            assert_int_equal(vfuc_dispatch(w.client), 0);
    }
    assert_memory_equal(got, memory, len);
    assert_int_equal(vfuc_twin_poll_events(w.client), POLLIN);
    finish(&w);
    free(memory);
    free(got);
}

static void requests_of_the_twin_are_not_taken_on_the_main_socket(void **state)
{
    struct world w;

    (void)state;
    start_mapped(&w, VFUC_TWIN_INLINE);
    talk_type(w.server, READ_4);
    assert_int_equal(vfuc_dispatch(w.client), 1);
    expect_bytes(w.server, "0500 0b00 10000000 21000000 16000000");
    finish(&w);
}

static void other_commands_are_refused_on_the_twin(void **state)
{
    struct world w;

    (void)state;
    start_mapped(&w, VFUC_TWIN_INLINE);
    talk_type(w.twin, "0500 0d00 10000000 00000000 00000000"
              "0600 ffff 10000000 00000000 00000000"
              "0700 0e00 10000000 10000000 00000000");      /* wants no reply */
    assert_int_equal(vfuc_twin_dispatch(w.client, -1), 3);
    expect_bytes(w.twin, "0500 0d00 10000000 21000000 5f000000"
                 "0600 ffff 10000000 21000000 5f000000");
    finish(&w);
}

static void descriptors_on_the_twin_are_closed(void **state)
{
    struct bytes b = bytes_of_hex(READ_4);
    struct iovec iov = { .iov_base = b.data, .iov_len = b.len };
    struct world w;
    int fds[3], before;

    (void)state;
    start_mapped(&w, VFUC_TWIN_INLINE);
    before = vu_test_open_fds();
    for (int i = 0; i < 3; i++)
        fds[i] = w.twin;
    assert_int_equal(vu_socket_send(w.twin, &iov, 1, fds, 3), b.len);
    assert_int_equal(vfuc_twin_dispatch(w.client, -1), 1);
    expect_bytes(w.twin, "0500 0b00 10000000 21000000 16000000");
    assert_int_equal(vu_test_open_fds(), before);
    finish(&w);
}

static void no_twin_was_agreed_on(void **state)
{
    struct vfuc_options o = { .size = sizeof(o), .twin_socket = VFUC_TWIN_INLINE };
    struct vfuc_client *c;
    int server;

    (void)state;
    c = talk_connect(&o, &server, NULL);
    assert_false(vfuc_negotiated(c)->twin_socket);
    assert_int_equal(vfuc_twin_fd(c), -1);
    assert_int_equal(vfuc_twin_dispatch(c, -1), -EINVAL);
    assert_string_equal(vfuc_last_error(c), "no twin socket was agreed on");
    talk_type(server, RESET_OK("0100"));
    assert_int_equal(vfuc_reset(c), 0);
    vfuc_close(c);
    close(server);
}

/* -------------------------------------------------------------- malformed -- */

/* What ends the connection when it comes on the twin; "": the end of the stream. */
static const struct row {
    const char *name, *says;
    int result;
} rows[] = {
    { "a reply", RESET_OK("0200"), -EPROTO },
    { "a refusal", "0200 0d00 10000000 21000000 16000000", -EPROTO },
    { "a type that does not exist", "0200 0b00 10000000 02000000 00000000", -EPROTO },
    { "the last type that does not exist", "0200 0b00 10000000 0f000000 00000000",
      -EPROTO },
    { "a message shorter than its header", "0200 0b00 0f000000 00000000 00000000",
      -EPROTO },
    { "a message of size 0", "0200 0b00 00000000 00000000 00000000", -EPROTO },
    { "a message beyond our limit", "0200 0c00 ffffff7f 00000000 00000000", -EPROTO },
    { "the largest message", "0200 0c00 ffffffff 00000000 00000000", -EPROTO },
    { "the end", "", -ENOTCONN },
    { "the end in the midst of a header", "0200 0b", -ENOTCONN },
    { "the end in the midst of a message",
      "0200 0b00 20000000 00000000 00000000 0000010000000000", -ENOTCONN },
};

static void say_row(struct world *w, const struct row *row)
{
    talk_type(w->twin, row->says);
    if (row->result == -ENOTCONN)
        hang_up(&w->twin);
}

static void expect_end(struct world *w, const struct row *row)
{
    const char *sentence = vfuc_last_error(w->client);

    assert_int_equal(strncmp(sentence, "the twin socket: ", 17), 0);
    assert_int_equal(vfuc_fd(w->client), -1);
    assert_int_equal(vfuc_twin_fd(w->client), -1);
    assert_int_equal(vfuc_reset(w->client), -ENOTCONN);
    assert_int_equal(vfuc_twin_dispatch(w->client, -1), -ENOTCONN);
    (void)row;
}

static void during_a_call(void **state)
{
    const struct row *row = *state;
    struct vfuc_completion done;
    struct world w;

    start_mapped(&w, VFUC_TWIN_INLINE);
    assert_int_equal(vfuc_submit_reset(w.client, 1), 0);
    say_row(&w, row);
    assert_int_equal(vfuc_reset(w.client), row->result);
    assert_int_equal(vfuc_complete(w.client, &done, 1), 1);
    assert_int_equal(done.result, row->result);
    expect_end(&w, row);
    finish(&w);
}

static void in_dispatching(void **state)
{
    const struct row *row = *state;
    struct world w;

    start_mapped(&w, VFUC_TWIN_INLINE);
    say_row(&w, row);
    assert_int_equal(vfuc_dispatch(w.client), row->result);
    expect_end(&w, row);
    finish(&w);
}

static void in_dispatching_the_twin(void **state)
{
    const struct row *row = *state;
    struct world w;

    start_mapped(&w, VFUC_TWIN_INLINE);
    say_row(&w, row);
    assert_int_equal(vfuc_twin_dispatch(w.client, -1), row->result);
    expect_end(&w, row);
    finish(&w);
}

/* ------------------------------------------------------------------ thread -- */

/* The thread that serves the twin. */
struct servant {
    struct vfuc_client *client;
    pthread_t thread;
    atomic_uint served;
    int last;               /* what ended it; for who has joined it */
};

static void *serve_twin(void *arg)
{
    struct servant *s = arg;
    int n;

    while ((n = vfuc_twin_dispatch(s->client, -1)) >= 0)
        s->served += (unsigned)n;
    s->last = n;
    return NULL;
}

static void start_servant(struct servant *s, struct vfuc_client *client)
{
    s->client = client;
    s->served = 0;
    assert_int_equal(pthread_create(&s->thread, NULL, serve_twin, s), 0);
}

static void end_servant(struct servant *s)
{
    assert_int_equal(pthread_join(s->thread, NULL), 0);
}

static void only_the_thread_serves_the_twin(void **state)
{
    struct world w;
    struct servant s;
    uint8_t answer[36];

    (void)state;
    start_mapped(&w, VFUC_TWIN_THREAD);
    memcpy(w.memory + 8, "\1\2\3\4", 4);
    talk_type(w.twin, READ_4);
    assert_int_equal(vfuc_dispatch(w.client), 0);
    talk_type(w.server, RESET_OK("0200"));
    assert_int_equal(vfuc_reset(w.client), 0);
    assert_int_equal(recv(w.twin, answer, sizeof(answer), MSG_DONTWAIT), -1);
    start_servant(&s, w.client);
    assert_true(talk_fully(w.twin, answer, sizeof(answer)));
    assert_memory_equal(answer, bytes_of_hex(READ_4_ANSWER).data, sizeof(answer));
    hang_up(&w.server);
    hang_up(&w.twin);
    end_servant(&s);
    assert_int_equal(s.last, -ENOTCONN);
    assert_int_equal(s.served, 1);
    finish(&w);
}

/* The server's own thread: writes into the window and reads back, as fast as it can. */
struct hammer {
    int twin;
    pthread_t thread;
    atomic_uint done, refused;
    atomic_bool stop, failed;
};

static void *hammer(void *arg)
{
    struct hammer *h = arg;
    struct vu_header answer;
    uint8_t data[64], body[128];

    for (uint16_t id = 0; !h->stop; id++) {
        uint64_t address = BASE + 64u * (id % 16);

        memset(data, id, sizeof(data));
        if (!talk_dma(h->twin, id, id % 2 == 0 ? VU_DMA_WRITE : VU_DMA_READ, address,
                      sizeof(data), id % 2 == 0 ? data : NULL)
            || !talk_receive(h->twin, &answer, body, sizeof(body))
            || answer.msg_id != id) {
            h->failed = !h->stop;
            break;
        }
        h->refused += (answer.flags & VU_F_ERROR) != 0;
        h->done++;
    }
    return NULL;
}

/* Answers every command of the client: MAP and RESET with nothing, UNMAP with itself. */
static void *say_yes(void *arg)
{
    const int *fd = arg;
    struct vu_header h;
    uint8_t body[128];

    while (talk_receive(*fd, &h, body, sizeof(body))) {
        size_t len = h.command == VU_DMA_UNMAP ? VU_DMA_UNMAP_SIZE : 0;

        if (!talk_reply(*fd, &h, body, len, NULL, 0))
            break;
    }
    return NULL;
}

/* Until `more` requests have been served, or the other side has failed. */
static void let_it_serve(struct hammer *h, unsigned more)
{
    unsigned end = h->done + more;

    while (h->done < end && !h->failed)
        sched_yield();
}

static void calls_and_requests_go_on_side_by_side(void **state)
{
    struct world w;
    struct servant s;
    struct hammer h = { .stop = false };
    struct vfuc_completion done[16];
    pthread_t yes;

    (void)state;
    start(&w, VFUC_TWIN_THREAD);
    h.twin = w.twin;
    assert_int_equal(pthread_create(&yes, NULL, say_yes, &w.server), 0);
    assert_int_equal(pthread_create(&h.thread, NULL, hammer, &h), 0);
    start_servant(&s, w.client);
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(vfuc_dma_map_memory(w.client, BASE, SIZE, 3, w.memory, -1, 0),
                         0);
        assert_int_equal(vfuc_submit_reset(w.client, i), 0);
        assert_int_equal(vfuc_reset(w.client), 0);
        if (i % 20 == 0)
            let_it_serve(&h, 20);
        assert_int_equal(vfuc_dma_unmap(w.client, BASE, SIZE), 0);
        /* The memory is ours alone now: a sanitizer sees who still looks at it. */
        memset(w.memory, (int)i, sizeof(w.memory));
        assert_true(vfuc_wait(w.client, done, 16, -1) > 0);
    }
    assert_true(h.done > h.refused);
    h.stop = true;
    pthread_join(h.thread, NULL);
    assert_false(h.failed);
    shutdown(w.server, SHUT_RDWR);      /* the main socket alone */
    pthread_join(yes, NULL);
    assert_int_equal(vfuc_reset(w.client), -ENOTCONN);
    end_servant(&s);
    assert_int_equal(s.last, -ENOTCONN);
    assert_int_equal(vfuc_twin_fd(w.client), -1);
    finish(&w);
}

/* The connection ends in the client's own thread while the other one is at work. */
static void the_own_thread_ends_the_connection_under_the_other(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        struct world w;
        struct servant s;
        struct hammer h = { .stop = false };

        start_mapped(&w, VFUC_TWIN_THREAD);
        h.twin = w.twin;
        start_servant(&s, w.client);
        assert_int_equal(pthread_create(&h.thread, NULL, hammer, &h), 0);
        let_it_serve(&h, 10);
        h.stop = true;          /* from now on its failing is right */
        talk_type(w.server, "0900 0d00 10000000 01000000 00000000");
        assert_int_equal(vfuc_dispatch(w.client), -EPROTO);
        end_servant(&s);
        assert_int_equal(s.last, -ENOTCONN);
        pthread_join(h.thread, NULL);
        assert_false(h.failed);
        assert_string_equal(vfuc_last_error(w.client), "the reply to DEVICE_RESET is "
                            "broken: its id is that of no command of ours");
        finish(&w);
    }
}

/* Also when it waits, with all the time in the world, for a reply on the main socket. */
static void what_ends_the_thread_reaches_a_call_that_waits(void **state)
{
    const struct row *row = *state;
    struct world w;
    struct servant s;
    int64_t begin = now_ms();

    start_mapped(&w, VFUC_TWIN_THREAD);
    vfuc_set_timeout_ms(w.client, 60000);
    start_servant(&s, w.client);
    say_row(&w, row);
    assert_int_equal(vfuc_reset(w.client), row->result);
    end_servant(&s);
    assert_int_equal(s.last, row->result);
    expect_end(&w, row);
    assert_in_range(now_ms() - begin, 0, 30000);
    finish(&w);
}

/* What the server said on the main socket before counts. */
static void a_reply_that_came_before_the_twin_ended_is_taken(void **state)
{
    struct world w;
    struct servant s;

    (void)state;
    start_mapped(&w, VFUC_TWIN_THREAD);
    start_servant(&s, w.client);
    talk_type(w.server, RESET_OK("0200"));
    hang_up(&w.twin);
    end_servant(&s);
    assert_int_equal(vfuc_reset(w.client), 0);
    assert_int_equal(vfuc_reset(w.client), -ENOTCONN);
    finish(&w);
}

static void the_thread_may_wait_for_a_while_only(void **state)
{
    struct world w;
    int64_t begin = now_ms();

    (void)state;
    start_mapped(&w, VFUC_TWIN_THREAD);
    assert_int_equal(vfuc_twin_dispatch(w.client, 0), 0);
    assert_int_equal(vfuc_twin_dispatch(w.client, 30), 0);
    assert_in_range(now_ms() - begin, 30, 5000);
    talk_type(w.twin, READ_4 READ_4);
    assert_int_equal(vfuc_twin_dispatch(w.client, 0), 2);
    finish(&w);
}

/* The server made the socket: it may hold our end, too, and set a timeout of its own. */
static void a_server_that_shares_our_end_cannot_prolong_a_wait(void **state)
{
    struct timeval two_seconds = { .tv_sec = 2 };
    struct world w;
    int ours;
    int64_t begin;

    (void)state;
    start_mapped(&w, VFUC_TWIN_THREAD);
    ours = dup(vfuc_twin_fd(w.client));
    assert_int_equal(vfuc_twin_dispatch(w.client, 300), 0);
    assert_int_equal(setsockopt(ours, SOL_SOCKET, SO_RCVTIMEO, &two_seconds,
                                sizeof(two_seconds)), 0);
    begin = now_ms();
    assert_int_equal(vfuc_twin_dispatch(w.client, 300), 0);
    assert_in_range(now_ms() - begin, 300, 1800);
    close(ours);
    finish(&w);
}

/* ------------------------------------------------------------ not reading -- */

/* A server that asks for much and reads nothing gets a bounded amount of memory. */
static void answers_that_nobody_reads_are_bounded(unsigned how)
{
    const uint32_t len = 1u << 20;
    uint8_t *memory = calloc(1, len), *body = malloc(TALK_BODY_MAX);
    struct world w;
    unsigned served = 0, more = 0;
    int n;

    start(&w, how);
    talk_type(w.server, "0100 0200 10000000 01000000 00000000");
    assert_int_equal(vfuc_dma_map_memory(w.client, 0, len, 3, memory, -1, 0), 0);
    for (uint16_t i = 0; i < 64; i++)
        assert_true(talk_dma(w.twin, i, VU_DMA_READ, 0, len, NULL));
    assert_int_equal(vfuc_twin_poll_events(w.client), POLLIN);
    while ((n = vfuc_twin_dispatch(w.client, 5)) > 0)
        served += (unsigned)n;
    assert_int_equal(n, 0);
    assert_int_equal(vfuc_twin_poll_events(w.client), POLLOUT);
    assert_in_range(served, 1, 3);
    for (uint16_t i = 0; i < served; i++) {
        /* Room comes with reading; 219 KB fit into the socket. */
        for (size_t got = 0; got < len + 32;) {
            ssize_t part = recv(w.twin, body, len + 32 - got, MSG_DONTWAIT);

            got += part > 0 ? (size_t)part : 0;
            n = vfuc_twin_dispatch(w.client, 0);
            assert_true(n >= 0);
            more += (unsigned)n;
        }
    }
    assert_in_range(more, 1, served + 1);
    finish(&w);
    free(memory);
    free(body);
}

static void a_twin_that_is_not_read_is_not_served(void **state)
{
    (void)state;
    answers_that_nobody_reads_are_bounded(VFUC_TWIN_INLINE);
}

static void a_twin_that_is_not_read_is_not_served_by_the_thread(void **state)
{
    (void)state;
    answers_that_nobody_reads_are_bounded(VFUC_TWIN_THREAD);
}

/* --------------------------------------------------------------- reconnect -- */

/* What ended one connection is not blamed for the end of the next. */
static void a_new_connection_begins_afresh(void **state)
{
    struct world w;
    struct servant s;
    int fds[2];

    (void)state;
    start(&w, VFUC_TWIN_THREAD);
    start_servant(&s, w.client);
    hang_up(&w.twin);
    assert_int_equal(vfuc_reset(w.client), -ENOTCONN);
    end_servant(&s);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    talk_type(fds[1], "0200 0100 14000000 01000000 00000000 0000 0000");
    assert_int_equal(vfuc_reconnect_fd(w.client, fds[0]), 0);
    assert_int_equal(vfuc_twin_fd(w.client), -1);
    assert_int_equal(vfuc_twin_dispatch(w.client, -1), -EINVAL);
    close(fds[1]);
    assert_int_equal(vfuc_reset(w.client), -ENOTCONN);
    assert_int_equal(strncmp(vfuc_last_error(w.client), "DEVICE_RESET: ", 14), 0);
    finish(&w);
}

/* -------------------------------------------------------------- callbacks -- */

struct callback {
    struct vfuc_client *client;
    atomic_uint busy, other;
};

static int call_back(void *opaque, uint64_t address, void *data, size_t count)
{
    struct callback *cb = opaque;
    struct vfuc_completion done;

    (void)address;
    memset(data, 0x77, count);
    if (vfuc_reset(cb->client) == -EBUSY && vfuc_dispatch(cb->client) == -EBUSY
        && vfuc_complete(cb->client, &done, 1) == -EBUSY
        && vfuc_submit_reset(cb->client, 1) == -EBUSY
        && vfuc_dma_map(cb->client, 0, 0x1000, 3, -1, 0) == -EBUSY
        && vfuc_dma_unmap(cb->client, BASE, SIZE) == -EBUSY
        && vfuc_twin_dispatch(cb->client, 0) == -EBUSY)
        cb->busy++;
    else
        cb->other++;
    return 0;
}

/* Only the callback is told that it may not: the other thread goes on. */
static void a_callback_in_the_thread_cannot_call_but_others_can(void **state)
{
    struct world w;
    struct servant s;
    struct hammer h = { .stop = false };
    struct callback cb = { .busy = 0 };
    pthread_t yes;

    (void)state;
    start(&w, VFUC_TWIN_THREAD);
    cb.client = w.client;
    h.twin = w.twin;
    vfuc_set_dma_handlers(w.client, call_back, NULL, &cb);
    assert_int_equal(pthread_create(&yes, NULL, say_yes, &w.server), 0);
    assert_int_equal(vfuc_dma_map(w.client, BASE, SIZE, VFUC_DMA_READ, -1, 0), 0);
    start_servant(&s, w.client);
    assert_int_equal(pthread_create(&h.thread, NULL, hammer, &h), 0);
    for (int i = 0; i < 200; i++)
        assert_int_equal(vfuc_reset(w.client), 0);
    let_it_serve(&h, 10);
    h.stop = true;
    pthread_join(h.thread, NULL);
    assert_false(h.failed);
    assert_true(cb.busy > 0);
    assert_int_equal(cb.other, 0);
    shutdown(w.server, SHUT_RDWR);
    pthread_join(yes, NULL);
    assert_int_equal(vfuc_dispatch(w.client), -ENOTCONN);
    end_servant(&s);
    finish(&w);
}

static void a_callback_in_the_own_thread_cannot_call(void **state)
{
    struct world w;
    struct callback cb = { .busy = 0 };
    uint8_t sink[64];

    (void)state;
    start(&w, VFUC_TWIN_INLINE);
    cb.client = w.client;
    vfuc_set_dma_handlers(w.client, call_back, NULL, &cb);
    talk_type(w.server, "0100 0200 10000000 01000000 00000000");
    assert_int_equal(vfuc_dma_map(w.client, BASE, SIZE, VFUC_DMA_READ, -1, 0), 0);
    talk_type(w.twin, READ_4);
    assert_int_equal(vfuc_twin_dispatch(w.client, -1), 1);
    assert_int_equal(cb.busy, 1);
    assert_int_equal(recv(w.twin, sink, sizeof(sink), MSG_DONTWAIT), 36);
    finish(&w);
}

/* ------------------------------------------------------------------- main -- */

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct CMUnitTest fixed[] = {
    VU_FD_TEST(a_call_serves_both_sockets),
    VU_FD_TEST(a_reply_may_depend_on_the_twin),
    VU_FD_TEST(dispatching_serves_both_sockets),
    VU_FD_TEST(what_is_left_of_the_twin_is_not_forgotten),
    VU_FD_TEST(a_large_answer_leaves_as_it_is_read),
    VU_FD_TEST(requests_of_the_twin_are_not_taken_on_the_main_socket),
    VU_FD_TEST(other_commands_are_refused_on_the_twin),
    VU_FD_TEST(descriptors_on_the_twin_are_closed),
    VU_FD_TEST(no_twin_was_agreed_on),
    VU_FD_TEST(only_the_thread_serves_the_twin),
    VU_FD_TEST(calls_and_requests_go_on_side_by_side),
    VU_FD_TEST(the_own_thread_ends_the_connection_under_the_other),
    VU_FD_TEST(a_reply_that_came_before_the_twin_ended_is_taken),
    VU_FD_TEST(the_thread_may_wait_for_a_while_only),
    VU_FD_TEST(a_server_that_shares_our_end_cannot_prolong_a_wait),
    VU_FD_TEST(a_twin_that_is_not_read_is_not_served),
    VU_FD_TEST(a_twin_that_is_not_read_is_not_served_by_the_thread),
    VU_FD_TEST(a_new_connection_begins_afresh),
    VU_FD_TEST(a_callback_in_the_thread_cannot_call_but_others_can),
    VU_FD_TEST(a_callback_in_the_own_thread_cannot_call),
};

static const struct {
    const char *when;
    CMUnitTestFunction run;
} moments[] = {
    { "during a call", during_a_call },
    { "in dispatching", in_dispatching },
    { "in dispatching the twin", in_dispatching_the_twin },
    { "in the thread", what_ends_the_thread_reaches_a_call_that_waits },
};

static struct CMUnitTest tests[COUNT(fixed) + COUNT(moments) * COUNT(rows)];
static char names[COUNT(moments) * COUNT(rows)][96];

int main(void)
{
    size_t n = 0;

    memcpy(tests, fixed, sizeof(fixed));
    for (size_t i = 0; i < COUNT(moments); i++) {
        for (size_t j = 0; j < COUNT(rows); j++, n++) {
            snprintf(names[n], sizeof(names[n]), "%s: %s", moments[i].when, rows[j].name);
            tests[COUNT(fixed) + n] = (struct CMUnitTest){
                .name = names[n], .test_func = moments[i].run,
                .initial_state = (void *)(uintptr_t)&rows[j],
            };
        }
    }
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
