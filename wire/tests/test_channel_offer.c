/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vu_channel_offer(): output for who never waits.
 */
#include "wire/tests/peer.h"

#define LARGE 300000u       /* more than a socket holds */

static struct pair open_queue(uint32_t max_out)
{
    struct vu_channel_limits limits = usual_limits;

    limits.batch = UINT32_MAX;
    limits.max_out = max_out;
    return pair_open_with(&limits);
}

static int offer(struct pair *p, uint16_t id, uint32_t size, const int *fds, size_t n_fds)
{
    uint8_t *bytes = malloc(size);
    struct iovec iov = { .iov_base = bytes, .iov_len = size };
    int err;

    make_message(bytes, id, size);
    err = vu_channel_offer(p->ch, &iov, 1, fds, n_fds);
    free(bytes);
    return err;
}

/* The peer reads message id, flushing on our side as the socket takes more. */
static void read_large(struct pair *p, uint16_t id, uint32_t size)
{
    uint8_t *bytes = malloc(size), *want = malloc(size);

    for (size_t got = 0; got < size;) {
        ssize_t n = recv(p->peer, bytes + got, size - got, MSG_DONTWAIT);

        if (n > 0)
            got += (size_t)n;
        else
            assert_in_range(vu_channel_flush(p->ch, VU_DONT_WAIT) + EAGAIN, 0, EAGAIN);
    }
    make_message(want, id, size);
    assert_memory_equal(bytes, want, size);
    free(bytes);
    free(want);
}

static void what_fits_leaves_at_once_and_without_a_copy(void **state)
{
    struct pair p = open_queue(1u << 20);

    (void)state;
    assert_int_equal(offer(&p, 1, 5000, NULL, 0), 0);
    assert_int_equal(calls.sendmsg, 1);
    assert_int_equal(vu_channel_out(p.ch)->room, 0);
    assert_int_equal(vu_channel_unsent(p.ch), 0);
    peer_expect_message(&p, 1, 5000);
    pair_close(&p);
}

static void posted_messages_leave_before_it(void **state)
{
    struct pair p = open_queue(1u << 20);

    (void)state;
    post_message(p.ch, 1, 100);
    post_message(p.ch, 2, 100);
    assert_int_equal(calls.sendmsg, 0);
    assert_int_equal(vu_channel_unsent(p.ch), 200);
    assert_int_equal(offer(&p, 3, 100, NULL, 0), 0);
    for (uint16_t i = 1; i <= 3; i++)
        peer_expect_message(&p, i, 100);
    pair_close(&p);
}

static void the_rest_is_kept_and_leaves_in_order(void **state)
{
    struct pair p = open_queue(4u << 20);

    (void)state;
    assert_int_equal(offer(&p, 1, LARGE, NULL, 0), 0);
    assert_in_range(vu_channel_unsent(p.ch), 1, LARGE - 1);
    assert_int_equal(offer(&p, 2, LARGE, NULL, 0), 0);
    post_message(p.ch, 3, 100);
    assert_int_equal(offer(&p, 4, 100, NULL, 0), 0);
    read_large(&p, 1, LARGE);
    read_large(&p, 2, LARGE);
    read_large(&p, 3, 100);
    read_large(&p, 4, 100);
    assert_int_equal(vu_channel_unsent(p.ch), 0);
    assert_int_equal(calls.poll, 0);
    peer_expect_nothing(&p);
    pair_close(&p);
}

/* Wherever in its pieces the socket stops, an empty one among them. */
static void the_rest_may_lie_in_several_pieces(void **state)
{
    (void)state;
    for (size_t first = 16; first < LARGE; first += LARGE / 7) {
        struct pair p = open_queue(4u << 20);
        uint8_t *bytes = malloc(LARGE);
        struct iovec iov[4] = {
            { .iov_base = bytes, .iov_len = first },
            { .iov_base = NULL, .iov_len = 0 },
            { .iov_base = bytes + first, .iov_len = 1 },
            { .iov_base = bytes + first + 1, .iov_len = LARGE - first - 1 },
        };

        make_message(bytes, 1, LARGE);
        assert_int_equal(vu_channel_offer(p.ch, iov, 4, NULL, 0), 0);
        assert_true(vu_channel_unsent(p.ch) > 0);
        free(bytes);
        read_large(&p, 1, LARGE);
        peer_expect_nothing(&p);
        pair_close(&p);
    }
}

static void descriptors_wait_for_an_empty_queue(void **state)
{
    struct pair p = open_queue(4u << 20);
    int fd = tagged_fd(7);

    (void)state;
    assert_int_equal(offer(&p, 1, LARGE, NULL, 0), 0);
    assert_int_equal(offer(&p, 2, 100, &fd, 1), -EAGAIN);
    read_large(&p, 1, LARGE);
    assert_int_equal(vu_channel_flush(p.ch, VU_DONT_WAIT), 0);
    peer_expect_nothing(&p);            /* nothing of it was kept */
    assert_int_equal(offer(&p, 2, 100, &fd, 1), 0);
    peer_expect_message(&p, 2, 100);
    close(fd);
    pair_close(&p);
}

/* Its descriptors have left with its first byte; the rest are bytes like others. */
static void a_large_message_with_descriptors_is_kept_in_part(void **state)
{
    struct pair p = open_queue(4u << 20);
    int fd = tagged_fd(7), fds[4];
    size_t n_fds = 4;
    uint8_t *bytes = malloc(LARGE);
    bool lost;
    int64_t n;

    (void)state;
    assert_int_equal(offer(&p, 1, LARGE, &fd, 1), 0);
    assert_true(vu_channel_unsent(p.ch) > 0);
    n = vu_socket_recv(p.peer, bytes, 100, fds, &n_fds, &lost);
    assert_int_equal(n, 100);
    assert_int_equal(n_fds, 1);
    assert_int_equal(fd_tag(fds[0]), 7);
    close(fds[0]);
    for (size_t got = 100; got < LARGE; got += (size_t)(n > 0 ? n : 0)) {
        n = recv(p.peer, bytes + got, LARGE - got, MSG_DONTWAIT);
        if (n < 0)
            vu_channel_flush(p.ch, VU_DONT_WAIT);
    }
    assert_true(body_intact(1, bytes + VU_HEADER_SIZE, LARGE - VU_HEADER_SIZE));
    free(bytes);
    close(fd);
    pair_close(&p);
}

static void without_room_for_the_rest_the_stream_is_broken(void **state)
{
    struct pair p = open_queue(10000);

    (void)state;
    assert_int_equal(offer(&p, 1, LARGE, NULL, 0), -ENOBUFS);
    assert_int_equal(offer(&p, 2, 100, NULL, 0), -ENOBUFS);     /* for good */
    assert_int_equal(vu_channel_flush(p.ch, VU_DONT_WAIT), -ENOBUFS);
    pair_close(&p);
}

static void without_room_and_nothing_sent_it_can_be_offered_again(void **state)
{
    struct pair p = open_queue(400000);

    (void)state;
    assert_int_equal(offer(&p, 1, LARGE, NULL, 0), 0);
    assert_int_equal(offer(&p, 2, 380000, NULL, 0), -ENOBUFS);
    read_large(&p, 1, LARGE);
    assert_int_equal(offer(&p, 2, 380000, NULL, 0), 0);
    read_large(&p, 2, 380000);
    pair_close(&p);
}

static void descriptors_at_fault_spare_the_stream(void **state)
{
    struct pair p = open_queue(1u << 20);
    int bad = 12345;

    (void)state;
    assert_int_equal(offer(&p, 1, 100, &bad, 1), -EBADF);
    assert_int_equal(offer(&p, 2, 100, NULL, 0), 0);
    peer_expect_message(&p, 2, 100);
    pair_close(&p);
}

static void a_peer_that_left_is_an_error_for_good(void **state)
{
    struct pair p = open_queue(1u << 20);

    (void)state;
    close(p.peer);
    p.peer = -1;
    assert_int_equal(offer(&p, 1, 100, NULL, 0), -EPIPE);
    assert_int_equal(offer(&p, 1, 100, NULL, 0), -EPIPE);
    pair_close(&p);
}

/* Also when it grew large: the buffer is given back, and the move is in proportion. */
static void a_queue_that_grew_large_gives_its_memory_back(void **state)
{
    const uint32_t size = 16u << 20;
    struct pair p = open_queue(64u << 20);

    (void)state;
    assert_int_equal(offer(&p, 1, size, NULL, 0), 0);
    assert_true(vu_channel_out(p.ch)->room >= size - LARGE);
    read_large(&p, 1, size);
    assert_int_equal(vu_channel_flush(p.ch, VU_DONT_WAIT), 0);
    assert_int_equal(vu_channel_out(p.ch)->room, 0);
    pair_close(&p);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(what_fits_leaves_at_once_and_without_a_copy),
    VU_FD_TEST(posted_messages_leave_before_it),
    VU_FD_TEST(the_rest_is_kept_and_leaves_in_order),
    VU_FD_TEST(the_rest_may_lie_in_several_pieces),
    VU_FD_TEST(descriptors_wait_for_an_empty_queue),
    VU_FD_TEST(a_large_message_with_descriptors_is_kept_in_part),
    VU_FD_TEST(without_room_for_the_rest_the_stream_is_broken),
    VU_FD_TEST(without_room_and_nothing_sent_it_can_be_offered_again),
    VU_FD_TEST(descriptors_at_fault_spare_the_stream),
    VU_FD_TEST(a_peer_that_left_is_an_error_for_good),
    VU_FD_TEST(a_queue_that_grew_large_gives_its_memory_back),
};

VU_TEST_MAIN(tests)
