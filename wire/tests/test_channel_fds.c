/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of descriptors in wire/channel.h: whose they are; that none is lost or left. */
#include "wire/tests/peer.h"

#include <fcntl.h>
#include <sys/resource.h>

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76     /* Linux 6.5 */
#endif

/* Lend n descriptors with tags from `tag` on, and close ours. */
static void peer_send_tagged(struct pair *p, const void *bytes, size_t len, int tag,
                             size_t n)
{
    int fds[VU_MAX_MSG_FDS] = { 0 };

    for (size_t i = 0; i < n; i++)
        fds[i] = tagged_fd(tag + (int)i);
    peer_send(p, bytes, len, fds, n);
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
}

static void peer_send_tagged_message(struct pair *p, uint16_t id, uint32_t size, int tag,
                                     size_t n)
{
    uint8_t bytes[8192];

    peer_send_tagged(p, bytes, make_message(bytes, id, size), tag, n);
}

/* The next message is `id`, with n descriptors from `tag` on. */
static void expect_tagged(struct pair *p, uint16_t id, uint32_t size, int tag, size_t n,
                          bool lost)
{
    struct vu_message m;

    assert_int_equal(vu_channel_next(p->ch, &m), 1);
    check_message(&m, id, size);
    assert_int_equal(m.n_fds, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(fd_tag(m.fds[i]), tag + (int)i);
    assert_int_equal(m.fds_lost, lost);
    vu_message_done(&m);
}

static void fill(struct pair *p)
{
    assert_true(vu_channel_fill(p->ch, VU_DONT_WAIT) > 0);
}

static void fill_all(struct pair *p)
{
    while (vu_channel_fill(p->ch, VU_DONT_WAIT) > 0)
        continue;
}

/* ------------------------------------------------------------- whose they are -- */

static void descriptors_come_with_their_message_wherever_it_stands(void **state)
{
    struct pair p = pair_open();

    (void)state;
    for (int with = 0; with < 5; with++) {
        for (uint16_t i = 0; i < 5; i++)
            peer_send_tagged_message(&p, i, 40, 100, i == with ? 2 : 0);
        fill_all(&p);
        for (uint16_t i = 0; i < 5; i++)
            expect_tagged(&p, i, 40, 100, i == with ? 2 : 0, false);
    }
    pair_close(&p);
}

static void every_message_may_carry_some(void **state)
{
    struct pair p = pair_open();

    (void)state;
    for (uint16_t i = 0; i < 10; i++)
        peer_send_tagged_message(&p, i, 40, 100 + 10 * i, i);
    fill_all(&p);
    for (uint16_t i = 0; i < 10; i++)
        expect_tagged(&p, i, 40, 100 + 10 * i, i, false);
    pair_close(&p);
}

/* Message 1 of three is cut at `cut`; its descriptors come with the first part, the
 * second, or both. */
static void check_cut(size_t cut, size_t first, size_t second, bool fill_between)
{
    struct pair p = pair_open();
    uint8_t bytes[48];

    make_message(bytes, 1, sizeof(bytes));
    peer_send_message(&p, 0, 40, NULL, 0);
    peer_send_tagged(&p, bytes, cut, 100, first);
    if (fill_between)
        fill_all(&p);
    peer_send_tagged(&p, bytes + cut, sizeof(bytes) - cut, 100 + (int)first, second);
    peer_send_message(&p, 2, 40, NULL, 0);
    fill_all(&p);
    expect_tagged(&p, 0, 40, 0, 0, false);
    expect_tagged(&p, 1, 48, 100, first + second, false);
    expect_tagged(&p, 2, 40, 0, 0, false);
    pair_close(&p);
}

static void a_message_collects_descriptors_from_all_its_pieces(void **state)
{
    (void)state;
    for (size_t cut = 1; cut < 48; cut++) {
        for (int between = 0; between < 2; between++) {
            check_cut(cut, 3, 0, between);
            check_cut(cut, 0, 2, between);
            check_cut(cut, 2, 3, between);
        }
    }
}

static void descriptors_come_on_any_byte(void **state)
{
    struct pair p = pair_open();
    uint8_t bytes[48];

    (void)state;
    make_message(bytes, 1, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        peer_send_tagged(&p, bytes + i, 1, 100 + (int)i, 1);
        fill(&p);
    }
    expect_tagged(&p, 1, 48, 100, 48, false);
    pair_close(&p);
}

/* Nobody can tell which of several messages in one sendmsg() is meant; ours is the one
 * with the last byte. */
static void descriptors_of_a_coalesced_send_go_to_its_last_message(void **state)
{
    struct pair p = pair_open();
    uint8_t bytes[400];
    size_t len = 0;

    (void)state;
    for (uint16_t i = 0; i < 4; i++)
        len += make_message(bytes + len, i, 100);
    peer_send_tagged(&p, bytes, 300, 100, 2);
    peer_send_tagged(&p, bytes + 300, 30, 200, 1);
    fill_all(&p);
    for (uint16_t i = 0; i < 3; i++)
        expect_tagged(&p, i, 100, 100, i == 2 ? 2 : 0, false);
    peer_send(&p, bytes + 330, 70, NULL, 0);
    fill_all(&p);
    expect_tagged(&p, 3, 100, 200, 1, false);
    pair_close(&p);
}

static void descriptors_of_one_and_a_half_messages_go_to_the_half(void **state)
{
    struct pair p = pair_open();
    uint8_t bytes[200];

    (void)state;
    for (size_t cut = 1; cut <= 100; cut++) {
        make_message(bytes, 0, 100);
        make_message(bytes + 100, 1, 100);
        peer_send_tagged(&p, bytes, 100 + cut, 100, 2);
        fill(&p);
        expect_tagged(&p, 0, 100, 0, 0, false);
        if (cut < 100)
            peer_send(&p, bytes + 100 + cut, 100 - cut, NULL, 0);
        fill_all(&p);
        expect_tagged(&p, 1, 100, 100, 2, false);
    }
    pair_close(&p);
}

/* ---------------------------------------------------------------- how many -- */

static void as_many_as_the_kernel_takes_come_through(void **state)
{
    struct pair p = pair_open();

    (void)state;
    peer_send_message(&p, 1, 40, NULL, 0);
    peer_send_tagged_message(&p, 2, 40, 1000, VU_MAX_MSG_FDS);
    peer_send_message(&p, 3, 40, NULL, 0);
    fill_all(&p);
    expect_tagged(&p, 1, 40, 0, 0, false);
    expect_tagged(&p, 2, 40, 1000, VU_MAX_MSG_FDS, false);
    expect_tagged(&p, 3, 40, 0, 0, false);
    pair_close(&p);
}

static void credentials_do_not_crowd_descriptors_out(void **state)
{
    struct pair p = pair_open();

    (void)state;
    assert_int_equal(setsockopt(vu_channel_fd(p.ch), SOL_SOCKET, SO_PASSCRED, &(int){ 1 },
                                sizeof(int)), 0);
    peer_send_tagged_message(&p, 2, 40, 1000, VU_MAX_MSG_FDS);
    fill_all(&p);
    expect_tagged(&p, 2, 40, 1000, VU_MAX_MSG_FDS, false);
    pair_close(&p);
}

/* With this option every read brings a pidfd of the sender, wanted or not. */
static void a_pidfd_that_comes_along_is_closed(void **state)
{
    struct pair p = pair_open();
    int before = vu_test_open_fds();

    (void)state;
    if (setsockopt(vu_channel_fd(p.ch), SOL_SOCKET, SO_PASSPIDFD, &(int){ 1 },
                   sizeof(int)) != 0) {
        pair_close(&p);
        skip();
    }
    peer_send_tagged_message(&p, 1, 40, 1000, VU_MAX_MSG_FDS);
    fill(&p);
    expect_tagged(&p, 1, 40, 1000, VU_MAX_MSG_FDS, false);
    peer_send_message(&p, 2, 40, NULL, 0);
    fill(&p);
    expect_tagged(&p, 2, 40, 0, 0, false);
    assert_int_equal(vu_test_open_fds(), before);
    pair_close(&p);
}

/* A peer that sends its own socket would never be seen to leave. */
static void sockets_are_closed_where_they_are_not_wanted(void **state)
{
    struct vu_channel_limits limits = usual_limits;
    struct vu_message m;
    struct pair p;
    int fds[3];

    (void)state;
    limits.no_sockets = true;
    p = pair_open_with(&limits);
    fds[0] = tagged_fd(7);
    fds[1] = p.peer;
    fds[2] = tagged_fd(8);
    peer_send_message(&p, 1, 40, fds, 3);
    fill(&p);
    assert_int_equal(vu_channel_next(p.ch, &m), 1);
    assert_int_equal(m.n_fds, 2);
    assert_int_equal(fd_tag(m.fds[0]), 7);
    assert_int_equal(fd_tag(m.fds[1]), 8);
    assert_true(m.fds_lost);
    vu_message_done(&m);

    peer_send(&p, "half", 4, &p.peer, 1);
    fill(&p);
    close(p.peer);
    assert_int_equal(vu_channel_fill(p.ch, VU_DONT_WAIT), 0);
    p.peer = fds[0];        /* for pair_close() to close */
    close(fds[2]);
    pair_close(&p);
}

static void a_surplus_is_closed_and_reported(void **state)
{
    struct vu_channel_limits limits = usual_limits;
    static const uint32_t bounds[] = { 0, 1, 2, 8, 252 };

    (void)state;
    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
        struct pair p;
        int before;

        limits.max_fds = bounds[i];
        p = pair_open_with(&limits);
        before = vu_test_open_fds();
        peer_send_tagged_message(&p, 1, 40, 1000, bounds[i]);
        peer_send_tagged_message(&p, 2, 40, 2000, bounds[i] + 1);
        peer_send_tagged_message(&p, 3, 40, 3000, bounds[i]);
        fill(&p);
        if (bounds[i] == 0)     /* else every message is a read of its own */
            assert_int_equal(vu_test_open_fds(), before);
        fill_all(&p);
        expect_tagged(&p, 1, 40, 1000, bounds[i], false);
        fill_all(&p);
        expect_tagged(&p, 2, 40, 2000, bounds[i], true);
        fill_all(&p);
        expect_tagged(&p, 3, 40, 3000, bounds[i], false);
        assert_int_equal(vu_test_open_fds(), before);
        pair_close(&p);
    }
}

/* Three pieces with three each, where five are allowed: the first five are kept. */
static void a_surplus_over_several_reads_is_closed_at_once(void **state)
{
    struct vu_channel_limits limits = usual_limits;
    struct pair p;
    uint8_t bytes[48];
    int before;

    (void)state;
    limits.max_fds = 5;
    p = pair_open_with(&limits);
    before = vu_test_open_fds();
    make_message(bytes, 1, sizeof(bytes));
    peer_send_tagged(&p, bytes, 16, 100, 3);
    fill(&p);
    assert_int_equal(vu_test_open_fds(), before + 3);
    peer_send_tagged(&p, bytes + 16, 16, 103, 3);
    fill(&p);
    assert_int_equal(vu_test_open_fds(), before + 5);
    peer_send_tagged(&p, bytes + 32, 16, 106, 3);
    fill(&p);
    expect_tagged(&p, 1, 48, 100, 5, true);
    peer_send_tagged_message(&p, 2, 40, 200, 5);
    fill(&p);
    expect_tagged(&p, 2, 40, 200, 5, false);
    pair_close(&p);
}

static void a_flood_on_one_message_holds_no_more_than_the_limit(void **state)
{
    struct vu_channel_limits limits = usual_limits;
    struct pair p;
    uint8_t bytes[4000];
    int before;

    (void)state;
    limits.max_fds = 20;
    p = pair_open_with(&limits);
    before = vu_test_open_fds();
    make_message(bytes, 1, sizeof(bytes));
    for (size_t i = 0; i < 199; i++) {
        peer_send_tagged(&p, bytes + 20 * i, 20, 1000 + 7 * (int)i, 7);
        fill(&p);
        assert_true(vu_test_open_fds() <= before + 20);
    }
    peer_send(&p, bytes + 199 * 20, 20, NULL, 0);
    fill(&p);
    expect_tagged(&p, 1, 4000, 1000, 20, true);
    assert_int_equal(vu_test_open_fds(), before);
    pair_close(&p);
}

static void unread_messages_hold_a_bounded_number(void **state)
{
    struct pair p = pair_open();
    int filled = 0;
    int64_t n;

    (void)state;
    for (uint16_t i = 0; i < 4; i++)
        peer_send_tagged_message(&p, i, 40, 1000 * (i + 1), VU_MAX_MSG_FDS);
    while ((n = vu_channel_fill(p.ch, VU_DONT_WAIT)) > 0)
        filled++;
    assert_int_equal(n, -ENOBUFS);
    assert_int_equal(filled, 2);
    for (uint16_t i = 0; i < 4; i++) {
        expect_tagged(&p, i, 40, 1000 * (i + 1), VU_MAX_MSG_FDS, false);
        fill_all(&p);
    }
    expect_nothing(&p);
    pair_close(&p);
}

/* One message that got 253 from two reads each while another stood before it. */
static void a_message_behind_others_is_cut_to_the_limit_too(void **state)
{
    struct pair p = pair_open();
    uint8_t bytes[64];

    (void)state;
    make_message(bytes, 1, 16);
    make_message(bytes + 16, 2, 48);
    peer_send_tagged(&p, bytes, 32, 1000, VU_MAX_MSG_FDS);
    fill(&p);
    peer_send_tagged(&p, bytes + 32, 16, 2000, VU_MAX_MSG_FDS);
    fill(&p);
    expect_tagged(&p, 1, 16, 0, 0, false);
    expect_nothing(&p);
    peer_send_tagged(&p, bytes + 48, 16, 3000, VU_MAX_MSG_FDS);
    fill(&p);
    expect_tagged(&p, 2, 48, 1000, VU_MAX_MSG_FDS, true);
    pair_close(&p);
}

/* ------------------------------------------------------- no room for them -- */

/* Leave room for n descriptors more; returns the old limit. */
static struct rlimit leave_room_for(int n)
{
    struct rlimit old, now;
    int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);

    assert_true(lowest >= 0);
    close(lowest);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    now = old;
    now.rlim_cur = (rlim_t)(lowest + n);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    return old;
}

/* Under valgrind the limit is one of valgrind's own, which the kernel knows nothing of. */
static bool kernel_knows_the_limit(void)
{
    struct pair p = pair_open();
    struct rlimit old;
    size_t n = 1;
    uint8_t byte;
    bool lost;
    int fd;

    peer_send(&p, "x", 1, &p.peer, 1);
    old = leave_room_for(0);
    assert_int_equal(vu_socket_recv(vu_channel_fd(p.ch), &byte, 1, &fd, &n, &lost), 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    if (n == 1)
        close(fd);
    pair_close(&p);
    return n == 0;
}

/* With room for `room` of 5: the message says that some were lost and has none; its
 * neighbours are untouched and nothing stays open. */
static void check_full_table(int room)
{
    struct pair p = pair_open();
    struct rlimit old;
    int before;

    peer_send_message(&p, 1, 40, NULL, 0);
    peer_send_tagged_message(&p, 2, 40, 100, 5);
    peer_send_message(&p, 3, 40, NULL, 0);
    before = vu_test_open_fds();
    old = leave_room_for(room);
    fill(&p);
    fill(&p);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(vu_test_open_fds(), before);
    expect_tagged(&p, 1, 40, 0, 0, false);
    expect_tagged(&p, 2, 40, 0, 0, true);
    expect_tagged(&p, 3, 40, 0, 0, false);
    peer_send_tagged_message(&p, 4, 40, 200, 5);
    fill(&p);
    expect_tagged(&p, 4, 40, 200, 5, false);
    pair_close(&p);
}

static void with_a_full_table_the_message_says_so(void **state)
{
    (void)state;
    if (!kernel_knows_the_limit())
        skip();
    for (int room = 0; room < 5; room++)
        check_full_table(room);
}

static void losses_in_every_read_of_a_message_need_no_room(void **state)
{
    struct pair p;
    uint8_t bytes[2000];
    struct rlimit old;

    (void)state;
    if (!kernel_knows_the_limit())
        skip();
    p = pair_open();
    make_message(bytes, 1, sizeof(bytes));
    peer_send_tagged(&p, bytes, 1, 100, 5);
    fill(&p);
    for (size_t i = 1; i < 1999; i++) {
        peer_send_tagged(&p, bytes + i, 1, 200, 1);
        old = leave_room_for(0);
        fill(&p);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    }
    peer_send(&p, bytes + 1999, 1, NULL, 0);
    fill(&p);
    expect_tagged(&p, 1, 2000, 100, 5, true);
    pair_close(&p);
}

/* --------------------------------------------------------------- ownership -- */

static void what_is_taken_stays_open_and_the_rest_is_closed(void **state)
{
    struct pair p = pair_open();
    int before = vu_test_open_fds(), fd;
    struct vu_message m;

    (void)state;
    peer_send_tagged_message(&p, 1, 40, 100, 3);
    fill(&p);
    assert_int_equal(vu_channel_next(p.ch, &m), 1);
    fd = vu_message_take_fd(&m, 1);
    assert_int_equal(fd_tag(fd), 101);
    assert_int_equal(vu_message_take_fd(&m, 1), -EBADF);
    assert_int_equal(vu_message_take_fd(&m, 3), -EBADF);
    assert_int_equal(vu_message_take_fd(&m, SIZE_MAX), -EBADF);
    vu_message_done(&m);
    assert_int_equal(vu_test_open_fds(), before + 1);
    assert_int_equal(fd_tag(fd), 101);
    close(fd);
    vu_message_done(&m);        /* twice is harmless */
    assert_int_equal(vu_message_take_fd(&m, 0), -EBADF);
    pair_close(&p);
}

static void what_nobody_received_is_closed_with_the_channel(void **state)
{
    struct pair p = pair_open();
    uint8_t bytes[40];

    (void)state;
    make_message(bytes, 3, sizeof(bytes));
    peer_send_tagged_message(&p, 1, 40, 100, 3);        /* complete, not taken */
    peer_send_tagged(&p, bytes, 20, 200, 4);            /* incomplete */
    fill_all(&p);
    peer_send_tagged(&p, bytes + 20, 20, 300, 5);       /* still in the socket */
    pair_close(&p);
}

static void a_message_with_a_bad_header_owns_what_came(void **state)
{
    struct pair p = pair_open();
    int before = vu_test_open_fds();
    struct vu_message m;
    uint8_t bytes[60];

    (void)state;
    make_message(bytes, 1, sizeof(bytes));
    memset(bytes + 4, 0xff, 4);
    peer_send_tagged(&p, bytes, 30, 100, 3);
    peer_send_tagged(&p, bytes + 30, 30, 103, 2);
    fill_all(&p);
    assert_int_equal(vu_channel_next(p.ch, &m), -EMSGSIZE);
    assert_int_equal(m.n_fds, 5);
    assert_int_equal(fd_tag(m.fds[4]), 104);
    vu_message_done(&m);
    assert_int_equal(vu_test_open_fds(), before);
    assert_int_equal(vu_channel_next(p.ch, &m), -EMSGSIZE);
    assert_int_equal(m.n_fds, 0);
    pair_close(&p);
}

static void received_descriptors_do_not_survive_exec(void **state)
{
    struct pair p = pair_open();
    struct vu_message m;
    int fd = dup(0);        /* without the flag */

    (void)state;
    peer_send_message(&p, 1, 40, &fd, 1);
    fill(&p);
    assert_int_equal(vu_channel_next(p.ch, &m), 1);
    assert_int_equal(fcntl(m.fds[0], F_GETFD), FD_CLOEXEC);
    vu_message_done(&m);
    close(fd);
    pair_close(&p);
}

/* ----------------------------------------------------------------- sending -- */

/* The peer reads once: so many bytes, so many descriptors. */
static void peer_expect_read(struct pair *p, size_t len, size_t n_fds)
{
    uint8_t bytes[8192];
    int fds[VU_MAX_MSG_FDS];
    size_t n = VU_MAX_MSG_FDS;
    bool lost;

    assert_int_equal(vu_socket_recv(p->peer, bytes, sizeof(bytes), fds, &n, &lost), len);
    assert_int_equal(n, n_fds);
    assert_false(lost);
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
}

static void a_message_with_descriptors_leaves_alone_and_in_order(void **state)
{
    struct pair p = pair_open();
    int fds[2] = { tagged_fd(1), tagged_fd(2) };
    size_t start;

    (void)state;
    post_message(p.ch, 1, 20);
    post_message(p.ch, 2, 30);
    start = append_message(p.ch, 3, 40);
    assert_int_equal(vu_channel_post(p.ch, start, fds, 2), 0);
    assert_int_equal(calls.sendmsg, 2);
    post_message(p.ch, 4, 50);
    assert_int_equal(calls.sendmsg, 2);
    assert_int_equal(vu_channel_flush(p.ch, VU_FOREVER), 0);
    assert_int_equal(calls.sendmsg, 3);
    /* A read ends with the piece that brings descriptors, so these came with message 3,
     * and message 4 was not in the same piece. */
    peer_expect_read(&p, 20 + 30 + 40, 2);
    peer_expect_read(&p, 50, 0);
    assert_int_equal(fd_tag(fds[0]), 1);    /* lent, still open */
    close(fds[0]);
    close(fds[1]);
    pair_close(&p);
}

static int peer_read_all(struct pollfd *polled, void *arg)
{
    struct pair *p = arg;
    static _Thread_local uint8_t bytes[65536];
    int fds[VU_MAX_MSG_FDS];
    size_t n;
    bool lost;

    (void)polled;
    do {
        n = VU_MAX_MSG_FDS;
        if (vu_socket_recv(p->peer, bytes, sizeof(bytes), fds, &n, &lost) <= 0)
            return 0;
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(fd_tag(fds[i]), 77);
            close(fds[i]);
        }
        calls.largest += n;     /* how many came in all */
    } while (true);
}

static void descriptors_are_sent_once_however_many_pieces(void **state)
{
    struct pair p = pair_open();
    int fd = tagged_fd(77);
    size_t start = append_message(p.ch, 3, 1u << 20);

    (void)state;
    calls_reset();
    calls.on_poll = peer_read_all;
    calls.on_poll_arg = &p;
    assert_int_equal(vu_channel_post(p.ch, start, &fd, 1), 0);
    assert_true(calls.sendmsg > 2);
    peer_read_all(NULL, &p);
    assert_int_equal(calls.largest, 1);
    close(fd);
    pair_close(&p);
}

static void the_most_descriptors_can_be_sent_and_no_more(void **state)
{
    struct pair p = pair_open();
    int fds[VU_MAX_MSG_FDS + 1];
    size_t start;

    (void)state;
    for (size_t i = 0; i <= VU_MAX_MSG_FDS; i++)
        fds[i] = p.peer;
    post_message(p.ch, 1, 20);
    start = append_message(p.ch, 2, 30);
    assert_int_equal(vu_channel_post(p.ch, start, fds, VU_MAX_MSG_FDS + 1), -EINVAL);
    start = append_message(p.ch, 3, 40);
    assert_int_equal(vu_channel_post(p.ch, start, fds, VU_MAX_MSG_FDS), 0);
    peer_expect_read(&p, 20 + 40, VU_MAX_MSG_FDS);
    pair_close(&p);
}

static void a_descriptor_that_is_not_open_costs_only_its_message(void **state)
{
    struct pair p = pair_open();
    int fds[2] = { p.peer, dup(p.peer) };
    uint8_t bytes[30];
    struct iovec iov = { .iov_base = bytes, .iov_len = make_message(bytes, 5, 30) };
    size_t start;

    (void)state;
    close(fds[1]);
    post_message(p.ch, 1, 20);
    start = append_message(p.ch, 2, 30);
    assert_int_equal(vu_channel_post(p.ch, start, fds, 2), -EBADF);
    assert_int_equal(vu_channel_send(p.ch, &iov, 1, fds, 2, VU_FOREVER), -EBADF);
    post_message(p.ch, 3, 40);
    assert_int_equal(vu_channel_flush(p.ch, VU_FOREVER), 0);
    peer_expect_message(&p, 1, 20);
    peer_expect_message(&p, 3, 40);
    peer_expect_nothing(&p);
    pair_close(&p);
}

static void a_message_in_pieces_carries_descriptors_on_its_first_byte(void **state)
{
    struct pair p = pair_open();
    uint8_t bytes[50];
    struct iovec iov[2] = { { bytes, 16 }, { bytes + 16, 34 } };

    (void)state;
    make_message(bytes, 2, 50);
    post_message(p.ch, 1, 20);
    assert_int_equal(vu_channel_send(p.ch, iov, 2, &p.peer, 1, VU_FOREVER), 0);
    peer_expect_read(&p, 20 + 50, 1);
    pair_close(&p);
}

/* -------------------------------------------------------------- bare socket -- */

static void a_bare_socket_closes_what_was_not_asked_for(void **state)
{
    struct pair p = pair_open();
    int before = vu_test_open_fds();
    int fd = vu_channel_fd(p.ch), fds[3];
    uint8_t byte;

    (void)state;
    for (size_t room = 0; room <= 3; room++) {
        size_t n = room;
        bool lost;

        peer_send_tagged(&p, "x", 1, 100, 2);
        assert_int_equal(vu_socket_recv(fd, &byte, 1, fds, &n, &lost), 1);
        assert_int_equal(n, room < 2 ? room : 2);
        assert_int_equal(lost, room < 2);
        assert_int_equal(vu_test_open_fds(), before + (int)n);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(fd_tag(fds[i]), 100 + (int)i);
            close(fds[i]);
        }
    }
    pair_close(&p);
}

static void a_bare_socket_neither_waits_nor_signals(void **state)
{
    struct pair p = pair_open();
    uint8_t byte = 0;
    struct iovec iov = { &byte, 1 };
    size_t n = 0;
    bool lost;

    (void)state;
    assert_int_equal(vu_socket_recv(p.peer, &byte, 1, NULL, &n, &lost), -EAGAIN);
    while (vu_socket_send(p.peer, &iov, 1, NULL, 0) == 1)
        continue;
    assert_int_equal(vu_socket_send(p.peer, &iov, 1, NULL, 0), -EAGAIN);
    vu_channel_free(p.ch);
    assert_int_equal(vu_socket_send(p.peer, &iov, 1, NULL, 0), -EPIPE);
    close(p.peer);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(descriptors_come_with_their_message_wherever_it_stands),
    VU_FD_TEST(every_message_may_carry_some),
    VU_FD_TEST(a_message_collects_descriptors_from_all_its_pieces),
    VU_FD_TEST(descriptors_come_on_any_byte),
    VU_FD_TEST(descriptors_of_a_coalesced_send_go_to_its_last_message),
    VU_FD_TEST(descriptors_of_one_and_a_half_messages_go_to_the_half),
    VU_FD_TEST(as_many_as_the_kernel_takes_come_through),
    VU_FD_TEST(credentials_do_not_crowd_descriptors_out),
    VU_FD_TEST(a_pidfd_that_comes_along_is_closed),
    VU_FD_TEST(sockets_are_closed_where_they_are_not_wanted),
    VU_FD_TEST(a_surplus_is_closed_and_reported),
    VU_FD_TEST(a_surplus_over_several_reads_is_closed_at_once),
    VU_FD_TEST(a_flood_on_one_message_holds_no_more_than_the_limit),
    VU_FD_TEST(unread_messages_hold_a_bounded_number),
    VU_FD_TEST(a_message_behind_others_is_cut_to_the_limit_too),
    VU_FD_TEST(with_a_full_table_the_message_says_so),
    VU_FD_TEST(losses_in_every_read_of_a_message_need_no_room),
    VU_FD_TEST(what_is_taken_stays_open_and_the_rest_is_closed),
    VU_FD_TEST(what_nobody_received_is_closed_with_the_channel),
    VU_FD_TEST(a_message_with_a_bad_header_owns_what_came),
    VU_FD_TEST(received_descriptors_do_not_survive_exec),
    VU_FD_TEST(a_message_with_descriptors_leaves_alone_and_in_order),
    VU_FD_TEST(descriptors_are_sent_once_however_many_pieces),
    VU_FD_TEST(the_most_descriptors_can_be_sent_and_no_more),
    VU_FD_TEST(a_descriptor_that_is_not_open_costs_only_its_message),
    VU_FD_TEST(a_message_in_pieces_carries_descriptors_on_its_first_byte),
    VU_FD_TEST(a_bare_socket_closes_what_was_not_asked_for),
    VU_FD_TEST(a_bare_socket_neither_waits_nor_signals),
};

VU_TEST_MAIN(tests)
