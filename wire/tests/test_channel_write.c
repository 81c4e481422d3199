/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of writing through wire/channel.h, descriptors apart. */
#include "wire/tests/peer.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

#define MIB (1u << 20)

static struct vu_channel_limits stalling_after(int ms)
{
    struct vu_channel_limits limits = usual_limits;

    limits.stall_ms = ms;
    return limits;
}

/* --------------------------------------------------------------- batching -- */

static void posted_messages_leave_in_one_sendmsg(void **state)
{
    struct pair p = pair_open();

    (void)state;
    for (uint16_t i = 0; i < 64; i++)
        post_message(p.ch, i, 16 + i);
    assert_int_equal(calls.sendmsg, 0);
    peer_expect_nothing(&p);
    assert_int_equal(vu_channel_flush(p.ch, VU_DONT_WAIT), 0);
    assert_int_equal(calls.sendmsg, 1);
    for (uint16_t i = 0; i < 64; i++)
        peer_expect_message(&p, i, 16 + i);
    assert_int_equal(vu_channel_flush(p.ch, VU_DONT_WAIT), 0);
    assert_int_equal(calls.sendmsg, 1);
    pair_close(&p);
}

static void a_full_batch_leaves_by_itself(void **state)
{
    struct vu_channel_limits limits = usual_limits;
    struct pair p;

    (void)state;
    limits.batch = 100;
    p = pair_open_with(&limits);
    post_message(p.ch, 1, 60);
    assert_int_equal(calls.sendmsg, 0);
    post_message(p.ch, 2, 39);
    assert_int_equal(calls.sendmsg, 0);
    post_message(p.ch, 3, 16);
    assert_int_equal(calls.sendmsg, 1);
    peer_expect_message(&p, 1, 60);
    peer_expect_message(&p, 2, 39);
    peer_expect_message(&p, 3, 16);
    limits.batch = 0;
    vu_channel_set_limits(p.ch, &limits);
    post_message(p.ch, 4, 16);
    peer_expect_message(&p, 4, 16);
    pair_close(&p);
}

static void ping_pong_costs_two_system_calls_and_no_allocation(void **state)
{
    struct pair p = pair_open();

    (void)state;
    post_message(p.ch, 0, 48);      /* the output buffer gets its size */
    vu_channel_flush(p.ch, VU_FOREVER);
    peer_expect_message(&p, 0, 48);
    for (uint16_t i = 0; i < 100; i++) {
        peer_send_message(&p, i, 32, NULL, 0);
        calls_reset();
        assert_true(vu_channel_fill(p.ch, VU_FOREVER) > 0);
        expect_message(&p, i, 32);
        post_message(p.ch, i, 36);
        assert_int_equal(vu_channel_flush(p.ch, VU_FOREVER), 0);
        assert_int_equal(calls.recvmsg, 1);
        assert_int_equal(calls.sendmsg, 1);
        assert_int_equal(calls.poll + calls.setsockopt + calls.malloc, 0);
        peer_expect_message(&p, i, 36);
    }
    pair_close(&p);
}

static void output_has_a_bound(void **state)
{
    struct vu_channel_limits limits = usual_limits;
    struct pair p;

    (void)state;
    limits.max_out = 100;
    p = pair_open_with(&limits);
    post_message(p.ch, 1, 60);
    errno = 0;
    assert_null(vu_buffer_extend(vu_channel_out(p.ch), 41));
    assert_int_equal(errno, ENOBUFS);
    post_message(p.ch, 2, 40);
    assert_int_equal(vu_channel_flush(p.ch, VU_FOREVER), 0);
    post_message(p.ch, 3, 100);
    assert_int_equal(vu_channel_flush(p.ch, VU_FOREVER), 0);
    peer_expect_message(&p, 1, 60);
    peer_expect_message(&p, 2, 40);
    peer_expect_message(&p, 3, 100);
    pair_close(&p);
}

/* ------------------------------------------- a message that is being made -- */

static void flushing_leaves_a_message_in_the_making_alone(void **state)
{
    struct pair p = pair_open();
    uint8_t bytes[40];
    struct iovec iov = { .iov_base = bytes, .iov_len = make_message(bytes, 7, 40) };
    size_t start;
    uint8_t *at;

    (void)state;
    post_message(p.ch, 1, 60);
    start = append_message(p.ch, 2, 50);
    at = vu_channel_out(p.ch)->data + start;
    assert_int_equal(vu_channel_flush(p.ch, VU_FOREVER), 0);
    assert_int_equal(vu_channel_send(p.ch, &iov, 1, NULL, 0, VU_FOREVER), 0);
    assert_int_equal(vu_channel_flush(p.ch, VU_FOREVER), 0);
    assert_ptr_equal(vu_channel_out(p.ch)->data + start, at);
    assert_int_equal(vu_channel_post(p.ch, start, NULL, 0), 0);
    post_message(p.ch, 3, 30);
    assert_int_equal(vu_channel_flush(p.ch, VU_FOREVER), 0);
    peer_expect_message(&p, 1, 60);
    peer_expect_message(&p, 7, 40);
    peer_expect_message(&p, 2, 50);
    peer_expect_message(&p, 3, 30);
    peer_expect_nothing(&p);
    assert_int_equal(vu_channel_out(p.ch)->len, 0);
    pair_close(&p);
}

static void a_message_in_the_making_can_be_dropped(void **state)
{
    struct pair p = pair_open();
    size_t start;

    (void)state;
    post_message(p.ch, 1, 60);
    start = append_message(p.ch, 2, 50);
    vu_buffer_truncate(vu_channel_out(p.ch), start);
    post_message(p.ch, 3, 30);
    assert_int_equal(vu_channel_flush(p.ch, VU_FOREVER), 0);
    peer_expect_message(&p, 1, 60);
    peer_expect_message(&p, 3, 30);
    peer_expect_nothing(&p);
    pair_close(&p);
}

static void posting_nothing_or_from_elsewhere_is_refused(void **state)
{
    struct pair p = pair_open();

    (void)state;
    assert_int_equal(vu_channel_post(p.ch, 0, NULL, 0), -EINVAL);
    post_message(p.ch, 1, 60);
    assert_int_equal(vu_channel_post(p.ch, 60, NULL, 0), -EINVAL);
    append_message(p.ch, 2, 20);
    assert_int_equal(vu_channel_post(p.ch, 0, NULL, 0), -EINVAL);
    append_message(p.ch, 2, 20);
    assert_int_equal(vu_channel_post(p.ch, 61, NULL, 0), -EINVAL);
    post_message(p.ch, 3, 20);
    assert_int_equal(vu_channel_flush(p.ch, VU_FOREVER), 0);
    peer_expect_message(&p, 1, 60);
    peer_expect_message(&p, 3, 20);
    peer_expect_nothing(&p);
    pair_close(&p);
}

/* ------------------------------------------------------- a socket is full -- */

/* Post messages of 4000 bytes and flush without waiting until the socket is full. */
static uint16_t fill_socket(struct pair *p)
{
    uint16_t id = 0;
    int err = 0;

    while (err == 0) {
        post_message(p->ch, id++, 4000);
        err = vu_channel_flush(p->ch, VU_DONT_WAIT);
    }
    assert_int_equal(err, -EAGAIN);
    return id;
}

static void what_does_not_fit_stays_posted(void **state)
{
    struct pair p = pair_open();
    uint16_t n = fill_socket(&p), read = 0;

    (void)state;
    while (n < 500) {
        post_message(p.ch, n++, 4000);
        peer_expect_message(&p, read++, 4000);
        if (n % 7 == 0)
            assert_in_range(vu_channel_flush(p.ch, VU_DONT_WAIT) + EAGAIN, 0, EAGAIN);
    }
    while (read < n) {
        vu_channel_flush(p.ch, VU_DONT_WAIT);
        peer_expect_message(&p, read++, 4000);
    }
    assert_int_equal(vu_channel_flush(p.ch, VU_DONT_WAIT), 0);
    assert_int_equal(vu_channel_out(p.ch)->len, 0);
    peer_expect_nothing(&p);
    pair_close(&p);
}

/* max_out counts what is still to be sent, so a queue that moves along stays small. */
static void an_unfinished_flush_gives_room_back(void **state)
{
    struct vu_channel_limits limits = usual_limits;
    struct pair p;
    uint16_t posted = 0, read = 0;

    (void)state;
    limits.batch = UINT32_MAX;
    limits.max_out = 400000;
    p = pair_open_with(&limits);
    while (posted < 100)
        post_message(p.ch, posted++, 4000);
    assert_null(vu_buffer_extend(vu_channel_out(p.ch), 1));
    assert_int_equal(vu_channel_flush(p.ch, VU_DONT_WAIT), -EAGAIN);
    while (posted < 125)
        post_message(p.ch, posted++, 4000);
    while (read < posted) {
        peer_expect_message(&p, read++, 4000);
        vu_channel_flush(p.ch, VU_DONT_WAIT);
    }
    assert_int_equal(vu_channel_out(p.ch)->len, 0);
    peer_expect_nothing(&p);
    pair_close(&p);
}

struct reader {
    int fd;
    size_t at_once;     /* bytes to read each time */
    size_t total;
    uint8_t *bytes;     /* where they go, or NULL */
    unsigned times;     /* stop reading after so many; 0: never */
    unsigned done;
};

static int read_a_piece(struct pollfd *fds, void *arg)
{
    struct reader *r = arg;
    uint8_t piece[65536];
    ssize_t n;

    (void)fds;
    if (r->times != 0 && r->done == r->times)
        return 0;
    n = recv(r->fd, piece, r->at_once, MSG_DONTWAIT);
    if (n > 0 && r->bytes != NULL)
        memcpy(r->bytes + r->total, piece, (size_t)n);
    r->total += n > 0 ? (size_t)n : 0;
    r->done++;
    return 0;
}

static int read_all_there_is(struct pollfd *fds, void *arg)
{
    struct reader *r = arg;
    size_t before;

    do {
        before = r->total;
        read_a_piece(fds, r);
    } while (r->total > before);
    return 0;
}

static int read_and_fail(struct pollfd *fds, void *arg)
{
    return 1 + read_all_there_is(fds, arg);
}

static void read_rest(struct reader *r, size_t len)
{
    while (r->total < len) {
        size_t before = r->total;

        r->times = 0;
        read_a_piece(NULL, r);
        assert_true(r->total > before);
    }
}

static void a_megabyte_is_sent_through_a_default_socket(void **state)
{
    struct pair p = pair_open();
    uint8_t *want = malloc(MIB), *got = malloc(2 * (size_t)MIB);
    struct reader r = { .fd = p.peer, .at_once = 50000, .bytes = got };

    (void)state;
    make_message(want, 1, MIB);
    calls.on_poll = read_all_there_is;
    calls.on_poll_arg = &r;
    post_message(p.ch, 1, MIB);     /* more than a batch: sent at once */
    assert_int_equal(vu_channel_out(p.ch)->len, 0);
    read_rest(&r, MIB);
    assert_int_equal(r.total, MIB);
    assert_memory_equal(got, want, MIB);
    free(want);
    free(got);
    pair_close(&p);
}

static void a_message_in_pieces_is_sent_from_where_it_lies(void **state)
{
    struct pair p = pair_open();
    uint8_t *want = malloc(2 * (size_t)MIB), *got = malloc(2 * (size_t)MIB);
    struct reader r = { .fd = p.peer, .at_once = 33333, .bytes = got };
    struct iovec iov[5];
    size_t len;

    (void)state;
    post_message(p.ch, 1, 100);
    len = make_message(want, 1, 100);
    make_message(want + len, 2, MIB);
    iov[0] = (struct iovec){ want + len, 16 };
    iov[1] = (struct iovec){ want + len + 16, 300000 };
    iov[2] = (struct iovec){ NULL, 0 };
    iov[3] = (struct iovec){ want + len + 300016, 1 };
    iov[4] = (struct iovec){ want + len + 300017, MIB - 300017 };
    len += MIB;
    calls.on_poll = read_all_there_is;
    calls.on_poll_arg = &r;
    assert_int_equal(vu_channel_send(p.ch, iov, 5, NULL, 0, vu_deadline_in_ms(60000)), 0);
    read_rest(&r, len);
    assert_memory_equal(got, want, len);
    assert_int_equal(r.total, len);
    free(want);
    free(got);
    pair_close(&p);
}

static void a_send_that_may_not_wait_leaves_all_or_nothing(void **state)
{
    struct pair p = pair_open();
    uint16_t n = fill_socket(&p);
    uint8_t bytes[4000];
    struct iovec iov = { .iov_base = bytes, .iov_len = make_message(bytes, 999, 4000) };

    (void)state;
    assert_int_equal(vu_channel_send(p.ch, &iov, 1, NULL, 0, VU_DONT_WAIT), -EAGAIN);
    for (uint16_t i = 0; i < n; i++) {
        vu_channel_flush(p.ch, VU_DONT_WAIT);
        peer_expect_message(&p, i, 4000);
    }
    peer_expect_nothing(&p);
    assert_int_equal(vu_channel_send(p.ch, &iov, 1, NULL, 0, VU_DONT_WAIT), 0);
    peer_expect_message(&p, 999, 4000);
    pair_close(&p);
}

static void nothing_left_of_a_send_does_not_break_the_stream(void **state)
{
    struct pair p = pair_open();
    uint8_t bytes[4000];
    struct iovec iov;
    uint16_t sent = 0;
    int err;

    (void)state;
    do {    /* nothing posted, so the message itself meets the full socket */
        iov = (struct iovec){ bytes, make_message(bytes, sent, 4000) };
        err = vu_channel_send(p.ch, &iov, 1, NULL, 0, VU_DONT_WAIT);
    } while (err == 0 && ++sent < 1000);
    assert_int_equal(err, -EAGAIN);
    for (uint16_t i = 0; i < sent; i++)
        peer_expect_message(&p, i, 4000);
    peer_expect_nothing(&p);
    iov = (struct iovec){ bytes, make_message(bytes, 1, 4000) };
    assert_int_equal(vu_channel_send(p.ch, &iov, 1, NULL, 0, VU_DONT_WAIT), 0);
    pair_close(&p);
}

static void a_message_that_left_in_part_breaks_the_stream(void **state)
{
    struct pair p = pair_open();
    uint8_t *bytes = malloc(MIB);
    struct iovec iov = { .iov_base = bytes, .iov_len = make_message(bytes, 1, MIB) };

    (void)state;
    assert_int_equal(vu_channel_send(p.ch, &iov, 1, NULL, 0, VU_DONT_WAIT), -ETIMEDOUT);
    assert_int_equal(vu_channel_flush(p.ch, VU_DONT_WAIT), -ETIMEDOUT);
    append_message(p.ch, 1, 16);
    assert_int_equal(vu_channel_post(p.ch, 0, NULL, 0), -ETIMEDOUT);
    assert_int_equal(vu_channel_out(p.ch)->len, 0);
    free(bytes);
    pair_close(&p);
}

/* ---------------------------------------------------------------- waiting -- */

static void a_peer_that_stops_reading_is_given_up_in_time(void **state)
{
    struct vu_channel_limits limits = stalling_after(80);
    struct pair p = pair_open_with(&limits);
    double start = seconds_now(), took;

    (void)state;
    append_message(p.ch, 1, MIB);
    assert_int_equal(vu_channel_post(p.ch, 0, NULL, 0), -ETIMEDOUT);
    took = seconds_now() - start;
    assert_true(took >= 0.08);
    assert_true(took < 10);
    assert_true(calls.poll < 30);
    assert_int_equal(vu_channel_out(p.ch)->len, 0);     /* nothing is queued */
    assert_int_equal(vu_channel_flush(p.ch, VU_FOREVER), -ETIMEDOUT);
    peer_send_message(&p, 5, 40, NULL, 0);              /* reading goes on */
    assert_int_equal(vu_channel_fill(p.ch, VU_DONT_WAIT), 40);
    expect_message(&p, 5, 40);
    pair_close(&p);
}

static void a_stall_is_counted_from_the_last_progress(void **state)
{
    struct vu_channel_limits limits = stalling_after(100);
    double least = 1e9;

    (void)state;
    for (int i = 0; i < 20 && least > 0.16; i++) {
        struct pair p = pair_open_with(&limits);
        struct reader r = { .fd = p.peer, .at_once = 65536, .times = 3 };
        double start = seconds_now(), took;

        calls.on_poll = read_a_piece;
        calls.on_poll_arg = &r;
        append_message(p.ch, 1, MIB);
        assert_int_equal(vu_channel_post(p.ch, 0, NULL, 0), -ETIMEDOUT);
        assert_int_equal(r.done, 3);
        took = seconds_now() - start;
        assert_true(took >= 0.1);
        least = took < least ? took : least;
        pair_close(&p);
    }
    assert_true(least < 0.18);      /* three steps of 13 ms at most, then the stall */
}

/* The kernel calls a socket writable only when three quarters are free. A peer that
 * needs longer than the stall limit for these is slow, but not stalled. */
static void a_slow_reader_is_not_given_up(void **state)
{
    struct vu_channel_limits limits = stalling_after(100);
    struct pair p = pair_open_with(&limits);
    struct reader r = { .fd = p.peer, .at_once = 40000 };
    double start = seconds_now();

    (void)state;
    calls.on_poll = read_a_piece;
    calls.on_poll_arg = &r;
    append_message(p.ch, 1, MIB);
    assert_int_equal(vu_channel_post(p.ch, 0, NULL, 0), 0);
    assert_true(seconds_now() - start > 0.2);       /* else nothing was shown */
    pair_close(&p);
}

/* The same reader, when the time for all waits together is bounded. A read in between
 * grants it anew. */
static void a_slow_reader_is_given_up_when_its_time_is_used_up(void **state)
{
    struct vu_channel_limits limits = stalling_after(100);
    struct reader r = { .at_once = 40000 };
    struct pair p;
    double start;

    (void)state;
    limits.slow_ms = 150;
    p = pair_open_with(&limits);
    r.fd = p.peer;
    calls.on_poll = read_a_piece;
    calls.on_poll_arg = &r;
    start = seconds_now();
    append_message(p.ch, 1, MIB);
    assert_int_equal(vu_channel_post(p.ch, 0, NULL, 0), -ETIMEDOUT);
    assert_true(seconds_now() - start >= 0.15);
    assert_true(seconds_now() - start < 10);
    pair_close(&p);
}

static void time_for_slow_readers_is_granted_anew_by_each_read(void **state)
{
    struct vu_channel_limits limits = stalling_after(100);
    struct reader r = { .at_once = 60000 };
    struct pair p;
    int messages = 0;

    (void)state;
    limits.slow_ms = 600;
    p = pair_open_with(&limits);
    r.fd = p.peer;
    for (double start = seconds_now(); seconds_now() - start < 1.2; messages++) {
        peer_send_message(&p, 5, 40, NULL, 0);
        assert_int_equal(vu_channel_fill(p.ch, VU_DONT_WAIT), 40);
        expect_message(&p, 5, 40);
        calls.on_poll = read_a_piece;
        calls.on_poll_arg = &r;
        append_message(p.ch, 1, MIB);
        assert_int_equal(vu_channel_post(p.ch, 0, NULL, 0), 0);
    }
    assert_true(messages > 1);
    pair_close(&p);
}

static void a_deadline_ends_sending(void **state)
{
    struct vu_channel_limits limits = stalling_after(-1);
    double least = 1e9;

    (void)state;
    for (int i = 0; i < 20 && least > 0.105; i++) {
        struct pair p = pair_open_with(&limits);
        double start, took;

        limits.batch = UINT32_MAX;
        vu_channel_set_limits(p.ch, &limits);
        post_message(p.ch, 1, MIB);
        start = seconds_now();
        assert_int_equal(vu_channel_flush(p.ch, vu_deadline_in_ms(100)), -ETIMEDOUT);
        took = seconds_now() - start;
        assert_true(took >= 0.1);
        least = took < least ? took : least;
        assert_int_equal(vu_channel_flush(p.ch, VU_DONT_WAIT), -ETIMEDOUT);
        pair_close(&p);
    }
    assert_true(least < 0.12);
}

static void signals_do_not_end_sending(void **state)
{
    struct pair p = pair_open();
    uint8_t *want = malloc(MIB), *got = malloc(MIB);
    struct reader r = { .fd = p.peer, .at_once = 65536, .bytes = got };

    (void)state;
    make_message(want, 1, MIB);
    calls.on_poll = read_and_fail;  /* every poll() ends with EINTR */
    calls.on_poll_arg = &r;
    post_message(p.ch, 1, MIB);
    assert_true(calls.poll > 3);
    read_rest(&r, MIB);
    assert_memory_equal(got, want, MIB);
    free(want);
    free(got);
    pair_close(&p);
}

static int fail_only(struct pollfd *fds, void *arg)
{
    (void)fds;
    (void)arg;
    return 1;
}

static void signals_do_not_prolong_a_stall(void **state)
{
    struct vu_channel_limits limits = stalling_after(50);
    struct pair p = pair_open_with(&limits);

    (void)state;
    calls.on_poll = fail_only;
    append_message(p.ch, 1, MIB);
    assert_int_equal(vu_channel_post(p.ch, 0, NULL, 0), -ETIMEDOUT);
    pair_close(&p);
}

static void *read_all(void *arg)
{
    struct reader *r = arg;
    ssize_t n;

    while ((n = recv(r->fd, r->bytes + r->total, r->at_once, 0)) > 0)
        r->total += (size_t)n;
    return NULL;
}

static void a_peer_that_reads_at_the_same_time_gets_everything(void **state)
{
    struct pair p = pair_open();
    size_t len = 0, each = 30011, count = 150;
    uint8_t *want = malloc(count * each), *got = malloc(count * each + 10000);
    struct reader r = { .fd = p.peer, .at_once = 10000, .bytes = got };
    pthread_t thread;

    (void)state;
    pthread_create(&thread, NULL, read_all, &r);
    for (uint16_t i = 0; i < count; i++) {
        len += make_message(want + len, i, (uint32_t)each);
        post_message(p.ch, i, (uint32_t)each);
    }
    assert_int_equal(vu_channel_flush(p.ch, vu_deadline_in_ms(60000)), 0);
    assert_int_equal(shutdown(vu_channel_fd(p.ch), SHUT_WR), 0);
    pthread_join(thread, NULL);
    assert_int_equal(r.total, len);
    assert_memory_equal(got, want, len);
    free(want);
    free(got);
    pair_close(&p);
}

/* --------------------------------------------------------- a closed peer -- */

static void writing_to_a_closed_peer_fails_without_a_signal(void **state)
{
    struct pair p = pair_open();
    struct sigaction old;

    (void)state;
    assert_int_equal(sigaction(SIGPIPE, NULL, &old), 0);
    assert_true(old.sa_handler == SIG_DFL);
    for (uint16_t i = 1; i <= 3; i++)
        peer_send_message(&p, i, 40, NULL, 0);
    close(p.peer);
    p.peer = -1;
    calls_reset();
    post_message(p.ch, 9, 16);
    assert_int_equal(vu_channel_flush(p.ch, VU_FOREVER), -EPIPE);
    assert_int_equal(vu_channel_flush(p.ch, VU_FOREVER), -EPIPE);
    append_message(p.ch, 9, 16);
    assert_int_equal(vu_channel_post(p.ch, 0, NULL, 0), -EPIPE);
    assert_int_equal(calls.sendmsg, 1);
    /* What the peer sent before it went can still be read. */
    assert_int_equal(vu_channel_fill(p.ch, VU_FOREVER), 120);
    for (uint16_t i = 1; i <= 3; i++)
        expect_message(&p, i, 40);
    assert_int_equal(vu_channel_fill(p.ch, VU_FOREVER), 0);
    pair_close(&p);
}

static int close_peer(struct pollfd *fds, void *arg)
{
    struct pair *p = arg;

    (void)fds;
    if (p->peer != -1)
        close(p->peer);
    p->peer = -1;
    return 0;
}

static void a_peer_that_closes_during_a_wait_ends_it(void **state)
{
    struct pair p = pair_open();
    int err;

    (void)state;
    calls.on_poll = close_peer;
    calls.on_poll_arg = &p;
    append_message(p.ch, 1, MIB);
    err = vu_channel_post(p.ch, 0, NULL, 0);
    assert_true(err == -EPIPE || err == -ECONNRESET);
    pair_close(&p);
}

static void a_failure_drops_what_was_posted_and_spares_what_is_being_made(void **state)
{
    struct pair p = pair_open();
    size_t start;

    (void)state;
    post_message(p.ch, 1, 100);
    start = append_message(p.ch, 2, 50);
    close_peer(NULL, &p);
    assert_int_equal(vu_channel_flush(p.ch, VU_FOREVER), -EPIPE);
    assert_true(body_intact(2, vu_channel_out(p.ch)->data + start + 16, 34));
    assert_int_equal(vu_channel_post(p.ch, start, NULL, 0), -EPIPE);
    assert_int_equal(vu_channel_out(p.ch)->len, 0);
    pair_close(&p);
}

static void the_socket_stays_as_blocking_as_it_was(void **state)
{
    struct pair p = pair_open();
    int flags = fcntl(vu_channel_fd(p.ch), F_GETFL);

    (void)state;
    fill_socket(&p);
    vu_channel_fill(p.ch, VU_DONT_WAIT);
    assert_int_equal(fcntl(vu_channel_fd(p.ch), F_GETFL), flags);
    pair_close(&p);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(posted_messages_leave_in_one_sendmsg),
    VU_FD_TEST(a_full_batch_leaves_by_itself),
    VU_FD_TEST(ping_pong_costs_two_system_calls_and_no_allocation),
    VU_FD_TEST(output_has_a_bound),
    VU_FD_TEST(flushing_leaves_a_message_in_the_making_alone),
    VU_FD_TEST(a_message_in_the_making_can_be_dropped),
    VU_FD_TEST(posting_nothing_or_from_elsewhere_is_refused),
    VU_FD_TEST(what_does_not_fit_stays_posted),
    VU_FD_TEST(an_unfinished_flush_gives_room_back),
    VU_FD_TEST(a_megabyte_is_sent_through_a_default_socket),
    VU_FD_TEST(a_message_in_pieces_is_sent_from_where_it_lies),
    VU_FD_TEST(a_send_that_may_not_wait_leaves_all_or_nothing),
    VU_FD_TEST(nothing_left_of_a_send_does_not_break_the_stream),
    VU_FD_TEST(a_message_that_left_in_part_breaks_the_stream),
    VU_FD_TEST(a_peer_that_stops_reading_is_given_up_in_time),
    VU_FD_TEST(a_stall_is_counted_from_the_last_progress),
    VU_FD_TEST(a_slow_reader_is_not_given_up),
    VU_FD_TEST(a_slow_reader_is_given_up_when_its_time_is_used_up),
    VU_FD_TEST(time_for_slow_readers_is_granted_anew_by_each_read),
    VU_FD_TEST(a_deadline_ends_sending),
    VU_FD_TEST(signals_do_not_end_sending),
    VU_FD_TEST(signals_do_not_prolong_a_stall),
    VU_FD_TEST(a_peer_that_reads_at_the_same_time_gets_everything),
    VU_FD_TEST(writing_to_a_closed_peer_fails_without_a_signal),
    VU_FD_TEST(a_peer_that_closes_during_a_wait_ends_it),
    VU_FD_TEST(a_failure_drops_what_was_posted_and_spares_what_is_being_made),
    VU_FD_TEST(the_socket_stays_as_blocking_as_it_was),
};

VU_TEST_MAIN(tests)
