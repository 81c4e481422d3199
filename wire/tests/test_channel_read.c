/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of reading through wire/channel.h, descriptors apart. */
#include "wire/tests/peer.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

#define MIB (1u << 20)

/* ---------------------------------------------------------------- framing -- */

static void many_messages_of_one_send_cost_one_recvmsg(void **state)
{
    struct pair p = pair_open();
    uint8_t bytes[64 * 48];
    size_t len = 0;

    (void)state;
    for (uint16_t i = 0; i < 64; i++)
        len += make_message(bytes + len, i, 16 + i % 33);
    peer_send(&p, bytes, len, NULL, 0);

    calls_reset();
    assert_int_equal(vu_channel_fill(p.ch, VU_DONT_WAIT), len);
    for (uint16_t i = 0; i < 64; i++)
        expect_message(&p, i, 16 + i % 33);
    expect_nothing(&p);
    assert_int_equal(calls.recvmsg, 1);
    assert_int_equal(calls.poll + calls.setsockopt + calls.malloc, 0);
    pair_close(&p);
}

static void reading_goes_on_behind_an_incomplete_message(void **state)
{
    struct pair p = pair_open();
    uint8_t bytes[400];
    size_t len = 0;

    (void)state;
    for (uint16_t i = 0; i < 4; i++)
        len += make_message(bytes + len, i, 100);
    peer_send(&p, bytes, 150, NULL, 0);
    assert_int_equal(vu_channel_fill(p.ch, VU_DONT_WAIT), 150);
    expect_message(&p, 0, 100);
    expect_nothing(&p);
    assert_int_equal(vu_channel_partial(p.ch), 50);

    peer_send(&p, bytes + 150, 250, NULL, 0);
    assert_int_equal(vu_channel_fill(p.ch, VU_DONT_WAIT), 250);
    for (uint16_t i = 1; i < 4; i++)
        expect_message(&p, i, 100);
    assert_int_equal(vu_channel_partial(p.ch), 0);
    pair_close(&p);
}

/* Behind whole messages: part of one, then that and a header that announces too little. */
static void unread_bytes_begin_where_no_message_is(void **state)
{
    struct pair p = pair_open();
    uint8_t bytes[300] = { 0 };
    struct vu_message m;

    (void)state;
    assert_int_equal(vu_channel_unread(p.ch).len, 0);
    make_message(bytes, 0, 100);
    make_message(bytes + 100, 1, 100);
    peer_send(&p, bytes, 130, NULL, 0);
    vu_channel_fill(p.ch, VU_DONT_WAIT);
    expect_message(&p, 0, 100);
    expect_nothing(&p);
    assert_int_equal(vu_channel_unread(p.ch).len, 30);
    assert_memory_equal(vu_channel_unread(p.ch).data, bytes + 100, 30);

    peer_send(&p, bytes + 130, 100, NULL, 0); /* then 30 zeros: a size of 0 */
    vu_channel_fill(p.ch, VU_DONT_WAIT);
    expect_message(&p, 1, 100);
    assert_int_equal(vu_channel_next(p.ch, &m), -EBADMSG);
    vu_message_done(&m);
    assert_int_equal(vu_channel_unread(p.ch).len, 30);
    assert_memory_equal(vu_channel_unread(p.ch).data, bytes + 200, 30);
    pair_close(&p);
}

static void partial_does_not_count_complete_messages(void **state)
{
    struct pair p = pair_open();
    uint8_t bytes[300];

    (void)state;
    for (uint16_t i = 0; i < 3; i++)
        make_message(bytes + i * 100, i, 100);
    peer_send(&p, bytes, 207, NULL, 0);
    assert_int_equal(vu_channel_partial(p.ch), 0);
    vu_channel_fill(p.ch, VU_DONT_WAIT);
    assert_int_equal(vu_channel_partial(p.ch), 7);
    expect_message(&p, 0, 100);
    assert_int_equal(vu_channel_partial(p.ch), 7);
    pair_close(&p);
}

static const uint32_t cut_sizes[] = { 16, 17, 48, 33, 16, 20 };
#define N_CUT (sizeof(cut_sizes) / sizeof(cut_sizes[0]))

static size_t cut_stream(uint8_t *bytes)
{
    size_t len = 0;

    for (uint16_t i = 0; i < N_CUT; i++)
        len += make_message(bytes + len, i, cut_sizes[i]);
    return len;
}

/* Send [from, to), fill, and take the messages that end there. */
static void feed_cut(struct pair *p, const uint8_t *bytes, size_t from, size_t to,
                     uint16_t *next, size_t *at)
{
    if (from == to)
        return;
    peer_send(p, bytes + from, to - from, NULL, 0);
    assert_int_equal(vu_channel_fill(p->ch, VU_DONT_WAIT), to - from);
    while (*next < N_CUT && *at + cut_sizes[*next] <= to) {
        *at += cut_sizes[*next];
        expect_message(p, *next, cut_sizes[*next]);
        (*next)++;
    }
    expect_nothing(p);
    assert_int_equal(vu_channel_partial(p->ch), to - *at);
}

static void a_stream_may_be_cut_at_any_two_places(void **state)
{
    struct pair p = pair_open();
    uint8_t bytes[256];
    size_t len = cut_stream(bytes);

    (void)state;
    for (size_t first = 0; first <= len; first++) {
        for (size_t second = first; second <= len; second++) {
            uint16_t next = 0;
            size_t at = 0;

            feed_cut(&p, bytes, 0, first, &next, &at);
            feed_cut(&p, bytes, first, second, &next, &at);
            feed_cut(&p, bytes, second, len, &next, &at);
            assert_int_equal(next, N_CUT);
        }
    }
    assert_int_equal(calls.malloc, 0);
    pair_close(&p);
}

static void a_stream_may_come_byte_by_byte(void **state)
{
    struct pair p = pair_open();
    uint8_t bytes[256];
    size_t len = cut_stream(bytes), at = 0;
    uint16_t next = 0;

    (void)state;
    for (size_t i = 0; i < len; i++)
        feed_cut(&p, bytes, i, i + 1, &next, &at);
    assert_int_equal(next, N_CUT);
    pair_close(&p);
}

/* A header of `size` bytes is refused with err, for ever, and sending goes on. */
static void check_bad_header(uint32_t size, int err)
{
    struct pair p = pair_open();
    struct vu_message m;
    uint8_t bytes[64];

    make_message(bytes, 1, 20);
    make_message(bytes + 20, 2, 16);
    memcpy(bytes + 24, &size, sizeof(size));
    make_message(bytes + 36, 3, 16);
    peer_send(&p, bytes, 52, NULL, 0);
    assert_int_equal(vu_channel_fill(p.ch, VU_DONT_WAIT), 52);
    expect_message(&p, 1, 20);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(vu_channel_next(p.ch, &m), err);
        assert_int_equal(m.h.msg_id, 2);
        assert_int_equal(m.h.command, VU_REGION_WRITE);
        assert_int_equal(m.h.size, size);
        assert_int_equal(m.body_len, 0);
        vu_message_done(&m);
        assert_int_equal(vu_channel_fill(p.ch, VU_DONT_WAIT), err);
        assert_int_equal(vu_channel_receive(p.ch, &m, VU_DONT_WAIT), err);
        vu_message_done(&m);
    }
    post_message(p.ch, 9, 16);
    assert_int_equal(vu_channel_flush(p.ch, VU_DONT_WAIT), 0);
    peer_expect_message(&p, 9, 16);
    pair_close(&p);
}

static void a_header_of_less_than_16_bytes_is_refused_for_good(void **state)
{
    (void)state;
    check_bad_header(0, -EBADMSG);
    check_bad_header(1, -EBADMSG);
    check_bad_header(15, -EBADMSG);
}

static void a_header_beyond_the_limit_is_refused_for_good(void **state)
{
    (void)state;
    check_bad_header(usual_limits.max_message + 1, -EMSGSIZE);
    check_bad_header(0x80000000u, -EMSGSIZE);
    check_bad_header(UINT32_MAX, -EMSGSIZE);
}

static void a_bad_header_stays_bad_under_new_limits(void **state)
{
    struct vu_channel_limits limits = usual_limits;
    struct pair p;
    struct vu_message m;

    (void)state;
    limits.max_message = 50;
    p = pair_open_with(&limits);
    peer_send_message(&p, 1, 51, NULL, 0);
    vu_channel_fill(p.ch, VU_DONT_WAIT);
    assert_int_equal(vu_channel_next(p.ch, &m), -EMSGSIZE);
    vu_channel_set_limits(p.ch, &usual_limits);
    assert_int_equal(vu_channel_next(p.ch, &m), -EMSGSIZE);
    pair_close(&p);
}

static void a_message_of_exactly_the_limit_is_taken(void **state)
{
    struct vu_channel_limits limits = usual_limits;
    struct pair p;

    (void)state;
    limits.max_message = 50;
    p = pair_open_with(&limits);
    peer_send_message(&p, 1, 50, NULL, 0);
    vu_channel_fill(p.ch, VU_DONT_WAIT);
    expect_message(&p, 1, 50);
    pair_close(&p);
}

static void limits_beyond_what_there_can_be_are_brought_back(void **state)
{
    struct vu_channel_limits limits = usual_limits;
    struct vu_message m;
    struct pair p;

    (void)state;
    limits.max_message = 3;     /* no message is as small as that */
    limits.max_fds = UINT32_MAX;
    p = pair_open_with(&limits);
    peer_send_message(&p, 1, 16, &p.peer, 1);
    vu_channel_fill(p.ch, VU_DONT_WAIT);
    assert_int_equal(vu_channel_next(p.ch, &m), 1);
    assert_int_equal(m.n_fds, 1);
    vu_message_done(&m);
    pair_close(&p);
}

static void buffered_messages_are_judged_by_new_limits(void **state)
{
    struct vu_channel_limits limits = usual_limits;
    struct pair p;
    struct vu_message m;

    (void)state;
    limits.max_message = 50;
    p = pair_open_with(&limits);
    peer_send_message(&p, 1, 50, NULL, 0);
    peer_send_message(&p, 2, 1000, NULL, 0);
    peer_send_message(&p, 3, 2000, NULL, 0);
    vu_channel_fill(p.ch, VU_DONT_WAIT);
    expect_message(&p, 1, 50);
    limits.max_message = 1000;
    vu_channel_set_limits(p.ch, &limits);
    expect_message(&p, 2, 1000);
    assert_int_equal(vu_channel_next(p.ch, &m), -EMSGSIZE);
    pair_close(&p);
}

/* ----------------------------------------------------------------- memory -- */

static void announcing_a_large_message_costs_no_memory(void **state)
{
    struct pair p = pair_open();
    uint8_t *bytes = malloc(MIB);

    (void)state;
    make_message(bytes, 1, MIB);
    peer_send(&p, bytes, 20, NULL, 0);
    calls_reset();
    assert_int_equal(vu_channel_fill(p.ch, VU_DONT_WAIT), 20);
    expect_nothing(&p);
    assert_int_equal(calls.malloc, 0);
    free(bytes);
    pair_close(&p);
}

static void memory_grows_as_bytes_arrive(void **state)
{
    struct pair p = pair_open();
    uint8_t *bytes = malloc(MIB);
    unsigned grown = 0;

    (void)state;
    make_message(bytes, 1, MIB);
    calls_reset();
    for (size_t sent = 0; sent < MIB; sent += 1024) {
        expect_nothing(&p);
        peer_send(&p, bytes + sent, 1024, NULL, 0);
        assert_int_equal(vu_channel_fill(p.ch, VU_DONT_WAIT), 1024);
        assert_true(calls.largest <= 2 * (sent + 1024));
        grown = calls.malloc;
    }
    assert_in_range(grown, 4, 6);
    expect_message(&p, 1, MIB);
    free(bytes);
    pair_close(&p);
}

static void without_memory_the_stream_is_broken_for_good(void **state)
{
    struct pair p = pair_open();
    uint8_t *bytes = malloc(MIB);
    size_t sent = 0;

    (void)state;
    make_message(bytes, 1, MIB);
    peer_send(&p, bytes, 65536, NULL, 0);
    while (sent < 65536)
        sent += (size_t)vu_channel_fill(p.ch, VU_DONT_WAIT);
    peer_send(&p, bytes + 65536, 100, NULL, 0);
    calls_reset();
    calls.malloc_fails_at = 1;
    assert_int_equal(vu_channel_fill(p.ch, VU_DONT_WAIT), -ENOMEM);
    calls_reset();
    assert_int_equal(vu_channel_fill(p.ch, VU_DONT_WAIT), -ENOMEM);
    free(bytes);
    pair_close(&p);
}

static void a_channel_without_memory_leaves_the_descriptor_alone(void **state)
{
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    for (unsigned i = 1; i <= 2; i++) {
        calls_reset();
        calls.malloc_fails_at = i;
        errno = 0;
        assert_null(vu_channel_new(fds[0], &usual_limits));
        assert_int_equal(errno, ENOMEM);
    }
    calls_reset();
    assert_int_equal(close(fds[0]), 0);
    close(fds[1]);
    vu_channel_free(NULL);
}

static void a_full_buffer_asks_to_take_a_message_first(void **state)
{
    struct pair p = pair_open();
    uint16_t sent = 0, taken = 0;
    int64_t n = 1;

    (void)state;
    while (n > 0) {
        for (int i = 0; i < 4; i++)
            peer_send_message(&p, sent++, 4000, NULL, 0);
        n = vu_channel_fill(p.ch, VU_DONT_WAIT);
    }
    assert_int_equal(n, -ENOBUFS);
    assert_true(sent < 40);
    assert_int_equal(calls.malloc, 0);
    while (taken < sent) {
        struct vu_message m;

        assert_int_equal(vu_channel_receive(p.ch, &m, VU_DONT_WAIT), 1);
        check_message(&m, taken++, 4000);
        vu_message_done(&m);
    }
    pair_close(&p);
}

static void taking_one_of_a_full_buffer_makes_room_again(void **state)
{
    struct pair p = pair_open();
    uint16_t sent = 0;

    (void)state;
    while (sent < 20)
        peer_send_message(&p, sent++, 4000, NULL, 0);
    while (vu_channel_fill(p.ch, VU_DONT_WAIT) > 0)
        continue;
    for (uint16_t i = 0; i < 3; i++) {
        assert_int_equal(vu_channel_fill(p.ch, VU_DONT_WAIT), -ENOBUFS);
        expect_message(&p, i, 4000);
        assert_true(vu_channel_fill(p.ch, VU_DONT_WAIT) > 0);
    }
    pair_close(&p);
}

/* ------------------------------------------------------- large and slow -- */

struct slow_writer {
    int fd;
    const uint8_t *bytes;
    size_t len;
};

static void *write_slowly(void *arg)
{
    struct slow_writer *w = arg;
    size_t sent = 0;
    unsigned seed = 5;

    while (sent < w->len) {
        size_t piece = (size_t)rand_r(&seed) % 9000 + 1;
        ssize_t n;

        if (piece > w->len - sent)
            piece = w->len - sent;
        n = send(w->fd, w->bytes + sent, piece, MSG_NOSIGNAL);
        if (n < 0)
            break;
        sent += (size_t)n;
    }
    return NULL;
}

static void megabyte_messages_come_through_a_default_socket(void **state)
{
    struct pair p = pair_open();
    uint8_t *bytes = malloc(3 * (size_t)MIB);
    struct slow_writer w = { .fd = p.peer, .bytes = bytes };
    pthread_t thread;
    struct vu_message m;

    (void)state;
    w.len = make_message(bytes, 1, usual_limits.max_message);
    w.len += make_message(bytes + w.len, 2, 24);
    w.len += make_message(bytes + w.len, 3, MIB);
    calls_reset();
    pthread_create(&thread, NULL, write_slowly, &w);
    for (uint16_t i = 1; i <= 3; i++) {
        int found = vu_channel_receive(p.ch, &m, vu_deadline_in_ms(60000));

        assert_int_equal(found, 1);
        check_message(&m, i, i == 1 ? usual_limits.max_message : i == 2 ? 24 : MIB);
        vu_message_done(&m);
    }
    pthread_join(thread, NULL);
    /* Besides the largest message, room to read ahead, and no doubling beyond. */
    assert_true(calls.largest <= usual_limits.max_message + 65536);
    free(bytes);
    pair_close(&p);
}

/* ------------------------------------------------------------ end of file -- */

static void after_the_peer_has_closed_all_it_sent_is_read(void **state)
{
    struct pair p = pair_open();
    struct vu_message m;

    (void)state;
    peer_send_message(&p, 1, 40, NULL, 0);
    peer_send_message(&p, 2, 40, NULL, 0);
    close(p.peer);
    p.peer = -1;
    assert_int_equal(vu_channel_receive(p.ch, &m, VU_FOREVER), 1);
    check_message(&m, 1, 40);
    assert_int_equal(vu_channel_receive(p.ch, &m, VU_FOREVER), 1);
    check_message(&m, 2, 40);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(vu_channel_receive(p.ch, &m, VU_FOREVER), 0);
        assert_int_equal(vu_channel_fill(p.ch, VU_DONT_WAIT), 0);
    }
    assert_int_equal(vu_channel_partial(p.ch), 0);
    pair_close(&p);
}

static void end_of_file_within_a_message_shows_how_much_came(void **state)
{
    uint8_t bytes[40];

    (void)state;
    make_message(bytes, 1, sizeof(bytes));
    for (size_t len = 1; len < sizeof(bytes); len++) {
        struct pair p = pair_open();
        struct vu_message m;

        peer_send(&p, bytes, len, NULL, 0);
        close(p.peer);
        p.peer = -1;
        assert_int_equal(vu_channel_receive(p.ch, &m, VU_FOREVER), 0);
        assert_int_equal(vu_channel_partial(p.ch), len);
        pair_close(&p);
    }
}

static void a_reset_connection_gives_its_messages_first(void **state)
{
    struct pair p = pair_open();
    struct vu_message m;

    (void)state;
    peer_send_message(&p, 1, 40, NULL, 0);
    post_message(p.ch, 9, 16);
    assert_int_equal(vu_channel_flush(p.ch, VU_DONT_WAIT), 0);
    close(p.peer);      /* has not read message 9: a reset */
    p.peer = -1;
    assert_int_equal(vu_channel_receive(p.ch, &m, VU_FOREVER), 1);
    check_message(&m, 1, 40);
    assert_int_equal(vu_channel_receive(p.ch, &m, VU_FOREVER), -ECONNRESET);
    assert_int_equal(vu_channel_receive(p.ch, &m, VU_FOREVER), -ECONNRESET);
    pair_close(&p);
}

/* ---------------------------------------------------------------- waiting -- */

static void without_waiting_an_empty_socket_says_so(void **state)
{
    struct pair p = pair_open();
    struct vu_message m;

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(vu_channel_fill(p.ch, VU_DONT_WAIT), -EAGAIN);
    assert_int_equal(calls.recvmsg, 3);
    assert_int_equal(calls.poll + calls.setsockopt, 0);
    assert_int_equal(vu_channel_receive(p.ch, &m, VU_DONT_WAIT), -EAGAIN);
    peer_send_message(&p, 1, 40, NULL, 0);
    assert_int_equal(vu_channel_receive(p.ch, &m, VU_DONT_WAIT), 1);
    pair_close(&p);
}

/* The smallest of some overshoots, as a fraction of the wait: other programs of the
 * machine may delay any single one. */
static double overshoot(struct pair *p, int ms)
{
    double least = 1e9;

    for (int i = 0; i < 20; i++) {
        double start = seconds_now(), over;

        assert_int_equal(vu_channel_fill(p->ch, vu_deadline_in_ms(ms)), -ETIMEDOUT);
        over = (seconds_now() - start) * 1000.0 / ms - 1;
        assert_true(over >= 0);
        if (over < least)
            least = over;
        if (least < 0.05)
            break;
    }
    return least;
}

static void deadlines_are_kept(void **state)
{
    static const int times_ms[] = { 20, 40, 100, 249, 255, 300, 290, 600, 400, 260 };
    struct pair p = pair_open();

    (void)state;
    for (size_t i = 0; i < sizeof(times_ms) / sizeof(times_ms[0]); i++)
        assert_true(overshoot(&p, times_ms[i]) < 0.1);
    pair_close(&p);
}

static void a_deadline_in_the_past_takes_what_is_there(void **state)
{
    struct pair p = pair_open();
    vu_deadline past = vu_deadline_in_ms(0) - 1000000;

    (void)state;
    assert_int_equal(vu_channel_fill(p.ch, past), -ETIMEDOUT);
    peer_send_message(&p, 1, 40, NULL, 0);
    assert_int_equal(vu_channel_fill(p.ch, past), 40);
    expect_message(&p, 1, 40);
    pair_close(&p);
}

static void repeated_waits_of_one_length_cost_one_recvmsg_each(void **state)
{
    struct pair p = pair_open();
    struct vu_message m;

    (void)state;
    for (uint16_t i = 0; i < 100; i++) {
        /* Every fourth is a wait without end, as between requests of a server. */
        vu_deadline d = i % 4 == 3 ? VU_FOREVER : vu_deadline_in_ms(5000);

        peer_send_message(&p, i, 40, NULL, 0);
        assert_int_equal(vu_channel_receive(p.ch, &m, d), 1);
        vu_message_done(&m);
    }
    assert_int_equal(calls.recvmsg, 100);
    assert_int_equal(calls.setsockopt, 1);
    assert_int_equal(calls.poll, 0);
    pair_close(&p);
}

static void a_changed_wait_is_honoured(void **state)
{
    struct pair p = pair_open();
    double start;

    (void)state;
    peer_send_message(&p, 1, 40, NULL, 0);
    assert_int_equal(vu_channel_fill(p.ch, vu_deadline_in_ms(60000)), 40);
    expect_message(&p, 1, 40);
    start = seconds_now();
    assert_int_equal(vu_channel_fill(p.ch, vu_deadline_in_ms(300)), -ETIMEDOUT);
    assert_true(seconds_now() - start < 30);
    pair_close(&p);
}

static int send_from_peer(struct pollfd *fds, void *arg)
{
    (void)fds;
    peer_send_message(arg, 7, 40, NULL, 0);
    calls.on_poll = NULL;
    return 0;
}

static void waiting_works_on_a_non_blocking_socket(void **state)
{
    struct pair p = pair_open();
    int flags = fcntl(vu_channel_fd(p.ch), F_GETFL);
    vu_deadline deadlines[] = { VU_FOREVER, vu_deadline_in_ms(60000), VU_FOREVER,
                                vu_deadline_in_ms(200) };

    (void)state;
    assert_int_equal(fcntl(vu_channel_fd(p.ch), F_SETFL, flags | O_NONBLOCK), 0);
    for (size_t i = 0; i < 4; i++) {
        calls.on_poll = send_from_peer;     /* so nothing is there before the wait */
        calls.on_poll_arg = &p;
        assert_int_equal(vu_channel_fill(p.ch, deadlines[i]), 40);
        expect_message(&p, 7, 40);
    }
    assert_int_equal(fcntl(vu_channel_fd(p.ch), F_GETFL), flags | O_NONBLOCK);
    pair_close(&p);
}

/* A wait without end goes on when a timeout left over from an earlier one strikes. */
static void waiting_for_ever_outlasts_an_old_timeout(void **state)
{
    struct pair p = pair_open();
    int flags = fcntl(vu_channel_fd(p.ch), F_GETFL);

    (void)state;
    assert_int_equal(vu_channel_fill(p.ch, vu_deadline_in_ms(260)), -ETIMEDOUT);
    assert_int_equal(calls.setsockopt, 1);
    /* Non-blocking, the first recvmsg() ends as if the old timeout had struck. */
    assert_int_equal(fcntl(vu_channel_fd(p.ch), F_SETFL, flags | O_NONBLOCK), 0);
    calls.on_poll = send_from_peer;
    calls.on_poll_arg = &p;
    assert_int_equal(vu_channel_fill(p.ch, VU_FOREVER), 40);
    assert_int_equal(calls.setsockopt, 2);
    pair_close(&p);
}

static void deadlines_are_kept_where_no_timeout_can_be_set(void **state)
{
    struct pair p = pair_open();

    (void)state;
    calls.setsockopt_fails = true;
    assert_true(overshoot(&p, 300) < 0.1);
    calls.on_poll = send_from_peer;
    calls.on_poll_arg = &p;
    assert_int_equal(vu_channel_fill(p.ch, vu_deadline_in_ms(60000)), 40);
    pair_close(&p);
}

static void ignore_signal(int sig)
{
    (void)sig;
}

/* A signal every 3 ms, so that one comes while waiting whenever the wait begins. */
static void signals_begin(int flags)
{
    struct sigaction action = { .sa_handler = ignore_signal, .sa_flags = flags };
    struct itimerval each = { .it_interval = { .tv_usec = 3000 },
                              .it_value = { .tv_usec = 3000 } };

    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &each, NULL), 0);
}

static void signals_end(void)
{
    struct itimerval never = { .it_value = { .tv_sec = 0 } };

    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    signal(SIGALRM, SIG_DFL);
}

static void a_signal_ends_every_kind_of_wait(void **state)
{
    struct pair p = pair_open();
    struct vu_message m;

    (void)state;
    signals_begin(0);
    assert_int_equal(vu_channel_fill(p.ch, VU_FOREVER), -EINTR);
    assert_int_equal(vu_channel_fill(p.ch, vu_deadline_in_ms(60000)), -EINTR);
    assert_int_equal(vu_channel_fill(p.ch, vu_deadline_in_ms(200)), -EINTR);
    assert_int_equal(vu_channel_receive(p.ch, &m, VU_FOREVER), -EINTR);
    signals_end();
    peer_send_message(&p, 1, 40, NULL, 0);      /* not sticky */
    assert_int_equal(vu_channel_receive(p.ch, &m, VU_FOREVER), 1);
    pair_close(&p);
}

struct dribble {
    struct pair *p;
    bool headed;
};

/* One byte more of a large message before every poll(). */
static int send_one_byte(struct pollfd *fds, void *arg)
{
    struct dribble *d = arg;
    uint8_t bytes[16];

    (void)fds;
    make_message(bytes, 1, 16);
    memcpy(bytes + 4, &(uint32_t){ MIB }, 4);
    peer_send(d->p, bytes, d->headed ? 1 : 16, NULL, 0);
    d->headed = true;
    return 0;
}

static void who_sends_byte_by_byte_does_not_prolong_a_deadline(void **state)
{
    struct pair p = pair_open();
    struct dribble d = { .p = &p };
    struct vu_message m;
    double start = seconds_now();

    (void)state;
    calls.on_poll = send_one_byte;
    calls.on_poll_arg = &d;
    assert_int_equal(vu_channel_receive(p.ch, &m, vu_deadline_in_ms(30)), -ETIMEDOUT);
    assert_true(calls.poll > 2);
    assert_true(vu_channel_partial(p.ch) < MIB);
    assert_true(seconds_now() - start < 10);
    pair_close(&p);
}

/* ------------------------------------------------------------------ holds -- */

/* Receive `n` messages of the given size, ids counting from *id. */
static void pump(struct pair *p, uint16_t *id, unsigned n, uint32_t size)
{
    for (unsigned i = 0; i < n; i++, (*id)++) {
        struct vu_message m;

        peer_send_message(p, *id, size, NULL, 0);
        assert_int_equal(vu_channel_receive(p->ch, &m, VU_DONT_WAIT), 1);
        check_message(&m, *id, size);
        vu_message_done(&m);
    }
}

static void take_and_hold(struct pair *p, struct vu_message *m, uint16_t id,
                          uint32_t size)
{
    peer_send_message(p, id, size, NULL, 0);
    assert_int_equal(vu_channel_receive(p->ch, m, VU_DONT_WAIT), 1);
    check_message(m, id, size);
    assert_int_equal(vu_channel_hold(p->ch), 0);
}

static void a_held_message_stays_while_others_are_read(void **state)
{
    struct pair p = pair_open();
    struct vu_message held;
    uint16_t id = 100;

    (void)state;
    take_and_hold(&p, &held, 1, 5000);
    pump(&p, &id, 100, 48);
    check_message(&held, 1, 5000);
    pump(&p, &id, 100, 7000);       /* ten buffers full */
    check_message(&held, 1, 5000);
    vu_message_done(&held);
    vu_channel_release(p.ch);
    pump(&p, &id, 100, 7000);
    pair_close(&p);
}

static void holding_a_small_message_allocates_nothing(void **state)
{
    struct pair p = pair_open();
    uint16_t id = 100;

    (void)state;
    for (uint16_t i = 0; i < 1000; i++) {
        struct vu_message held;

        take_and_hold(&p, &held, i, 48);
        pump(&p, &id, 1, 4096);
        check_message(&held, i, 48);
        vu_message_done(&held);
        vu_channel_release(p.ch);
    }
    assert_int_equal(calls.malloc, 0);
    pair_close(&p);
}

static void messages_read_before_a_hold_come_after_it(void **state)
{
    struct pair p = pair_open();
    struct vu_message held;
    uint16_t id = 10;

    (void)state;
    for (uint16_t i = 0; i < 10; i++)
        peer_send_message(&p, i, 6000, NULL, 0);
    assert_int_equal(vu_channel_fill(p.ch, VU_DONT_WAIT), 60000);
    assert_int_equal(vu_channel_next(p.ch, &held), 1);
    assert_int_equal(vu_channel_hold(p.ch), 0);
    for (uint16_t i = 1; i < 10; i++)
        expect_message(&p, i, 6000);
    pump(&p, &id, 40, 6000);
    check_message(&held, 0, 6000);
    vu_message_done(&held);
    vu_channel_release(p.ch);
    pump(&p, &id, 40, 6000);
    pair_close(&p);
}

static void a_megabyte_can_be_read_behind_a_held_message(void **state)
{
    struct pair p = pair_open();
    uint8_t *bytes = malloc(MIB);
    struct slow_writer w = { .fd = p.peer, .bytes = bytes, .len = MIB };
    struct vu_message held, m;
    pthread_t thread;

    (void)state;
    make_message(bytes, 2, MIB);
    take_and_hold(&p, &held, 1, 48);
    for (int i = 0; i < 2; i++) {
        pthread_create(&thread, NULL, write_slowly, &w);
        assert_int_equal(vu_channel_receive(p.ch, &m, vu_deadline_in_ms(60000)), 1);
        check_message(&m, 2, MIB);
        vu_message_done(&m);
        pthread_join(thread, NULL);
        check_message(&held, 1, 48);
    }
    vu_message_done(&held);
    vu_channel_release(p.ch);
    free(bytes);
    pair_close(&p);
}

static void holds_nest(void **state)
{
    struct pair p = pair_open();
    struct vu_message held[8];
    uint16_t id = 100;

    (void)state;
    for (int round = 0; round < 20; round++) {
        for (uint16_t i = 0; i < 8; i++) {
            take_and_hold(&p, &held[i], i, 3000 + i);
            pump(&p, &id, round % 5 * i, 7777);
            for (uint16_t j = 0; j <= i; j++)
                check_message(&held[j], j, 3000 + j);
        }
        assert_int_equal(vu_channel_hold(p.ch), -ENOMEM);
        for (uint16_t i = 8; i-- > 0;) {
            check_message(&held[i], i, 3000 + i);
            vu_message_done(&held[i]);
            vu_channel_release(p.ch);
            pump(&p, &id, round % 3, 7777);
            for (uint16_t j = 0; j < i; j++)
                check_message(&held[j], j, 3000 + j);
        }
    }
    pair_close(&p);
}

/* However long an outer message is held, inner holds give their memory back. */
static void inner_holds_use_bounded_memory(void **state)
{
    struct pair p = pair_open();
    struct vu_message outer;
    uint16_t id = 100;

    (void)state;
    take_and_hold(&p, &outer, 1, 48);
    for (uint16_t i = 0; i < 500; i++) {
        struct vu_message inner;

        take_and_hold(&p, &inner, i, 6000);
        pump(&p, &id, 2, 6000);
        check_message(&inner, i, 6000);
        vu_message_done(&inner);
        vu_channel_release(p.ch);
    }
    assert_int_equal(calls.malloc, 0);
    check_message(&outer, 1, 48);
    vu_message_done(&outer);
    vu_channel_release(p.ch);
    pair_close(&p);
}

static void a_channel_can_be_freed_with_holds(void **state)
{
    struct pair p = pair_open();
    struct vu_message held[3];
    uint16_t id = 100;

    (void)state;
    for (uint16_t i = 0; i < 3; i++) {
        take_and_hold(&p, &held[i], i, 5000);
        pump(&p, &id, 30, 7000);
        vu_message_done(&held[i]);
    }
    pair_close(&p);
}

static void a_release_without_hold_does_nothing(void **state)
{
    struct pair p = pair_open();
    uint16_t id = 1;

    (void)state;
    vu_channel_release(p.ch);
    pump(&p, &id, 3, 100);
    vu_channel_release(p.ch);
    pump(&p, &id, 3, 100);
    pair_close(&p);
}

/* ---------------------------------------------------------------- deadlines -- */

static void deadlines_are_counted_in_ms_and_do_not_wrap(void **state)
{
    (void)state;
    assert_int_equal(vu_deadline_in_ms(-1), VU_FOREVER);
    assert_int_equal(vu_deadline_in_ms(INT64_MAX), VU_FOREVER);
    assert_int_equal(vu_deadline_in_ms(INT64_MAX / 1000000), VU_FOREVER);
    assert_int_equal(vu_deadline_left_ms(VU_FOREVER), -1);
    assert_int_equal(vu_deadline_left_ms(VU_DONT_WAIT), 0);
    assert_int_equal(vu_deadline_left_ms(-5), 0);
    assert_int_equal(vu_deadline_left_ms(1), 0);
    assert_int_equal(vu_deadline_left_ms(vu_deadline_in_ms(0)), 0);
    assert_true(vu_deadline_in_ms(0) != VU_DONT_WAIT);
    assert_in_range(vu_deadline_left_ms(vu_deadline_in_ms(100000)), 90000, 100000);
    assert_int_equal(vu_deadline_left_ms(vu_deadline_in_ms(INT64_C(1) << 40)), INT32_MAX);
    /* Rounded up: half a millisecond is no reason to poll without waiting. */
    assert_in_range(vu_deadline_left_ms(vu_deadline_in_ms(100000) + 1), 90000, 100001);
    assert_true(vu_deadline_left_ms(vu_deadline_in_ms(0) + 100000000) > 0);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(many_messages_of_one_send_cost_one_recvmsg),
    VU_FD_TEST(reading_goes_on_behind_an_incomplete_message),
    VU_FD_TEST(partial_does_not_count_complete_messages),
    VU_FD_TEST(unread_bytes_begin_where_no_message_is),
    VU_FD_TEST(a_stream_may_be_cut_at_any_two_places),
    VU_FD_TEST(a_stream_may_come_byte_by_byte),
    VU_FD_TEST(a_header_of_less_than_16_bytes_is_refused_for_good),
    VU_FD_TEST(a_header_beyond_the_limit_is_refused_for_good),
    VU_FD_TEST(a_bad_header_stays_bad_under_new_limits),
    VU_FD_TEST(a_message_of_exactly_the_limit_is_taken),
    VU_FD_TEST(limits_beyond_what_there_can_be_are_brought_back),
    VU_FD_TEST(buffered_messages_are_judged_by_new_limits),
    VU_FD_TEST(announcing_a_large_message_costs_no_memory),
    VU_FD_TEST(memory_grows_as_bytes_arrive),
    VU_FD_TEST(without_memory_the_stream_is_broken_for_good),
    VU_FD_TEST(a_channel_without_memory_leaves_the_descriptor_alone),
    VU_FD_TEST(a_full_buffer_asks_to_take_a_message_first),
    VU_FD_TEST(taking_one_of_a_full_buffer_makes_room_again),
    VU_FD_TEST(megabyte_messages_come_through_a_default_socket),
    VU_FD_TEST(after_the_peer_has_closed_all_it_sent_is_read),
    VU_FD_TEST(end_of_file_within_a_message_shows_how_much_came),
    VU_FD_TEST(a_reset_connection_gives_its_messages_first),
    VU_FD_TEST(without_waiting_an_empty_socket_says_so),
    VU_FD_TEST(deadlines_are_kept),
    VU_FD_TEST(a_deadline_in_the_past_takes_what_is_there),
    VU_FD_TEST(repeated_waits_of_one_length_cost_one_recvmsg_each),
    VU_FD_TEST(a_changed_wait_is_honoured),
    VU_FD_TEST(waiting_works_on_a_non_blocking_socket),
    VU_FD_TEST(waiting_for_ever_outlasts_an_old_timeout),
    VU_FD_TEST(deadlines_are_kept_where_no_timeout_can_be_set),
    VU_FD_TEST(a_signal_ends_every_kind_of_wait),
    VU_FD_TEST(who_sends_byte_by_byte_does_not_prolong_a_deadline),
    VU_FD_TEST(a_held_message_stays_while_others_are_read),
    VU_FD_TEST(holding_a_small_message_allocates_nothing),
    VU_FD_TEST(messages_read_before_a_hold_come_after_it),
    VU_FD_TEST(a_megabyte_can_be_read_behind_a_held_message),
    VU_FD_TEST(holds_nest),
    VU_FD_TEST(inner_holds_use_bounded_memory),
    VU_FD_TEST(a_channel_can_be_freed_with_holds),
    VU_FD_TEST(a_release_without_hold_does_nothing),
    VU_FD_TEST(deadlines_are_counted_in_ms_and_do_not_wrap),
};

VU_TEST_MAIN(tests)
