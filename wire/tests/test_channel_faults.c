/* SPDX-License-Identifier: BSD-3-Clause */
/* Failures that the other tests of wire/channel.h, and of wire/text.h, do not come by. */
#include "wire/tests/peer.h"

#include <fcntl.h>

#include "wire/text.h"

static int interrupt(struct pollfd *fds, void *arg)
{
    (void)fds;
    (void)arg;
    return 1;
}

static void a_blocking_read_of_a_nonblocking_socket_can_be_interrupted(void **state)
{
    struct pair p = pair_open();
    int flags = fcntl(vu_channel_fd(p.ch), F_GETFL);
    struct vu_message m;

    (void)state;
    assert_int_equal(fcntl(vu_channel_fd(p.ch), F_SETFL, flags | O_NONBLOCK), 0);
    calls.on_poll = interrupt;
    assert_int_equal(vu_channel_fill(p.ch, VU_FOREVER), -EINTR);
    calls.on_poll = NULL;
    peer_send_message(&p, 7, 32, NULL, 0);
    assert_int_equal(vu_channel_fill(p.ch, VU_FOREVER), 32);
    assert_int_equal(vu_channel_next(p.ch, &m), 1);
    assert_int_equal(m.h.msg_id, 7);
    vu_message_done(&m);
    pair_close(&p);
}

/* A message that finds neither room in the socket nor memory to wait in. */
static void an_offer_without_memory_can_be_repeated(void **state)
{
    static uint8_t chunk[65536];
    struct pair p = pair_open();
    uint8_t bytes[64] = { 9, 0, 4, 0, 64 };     /* id, command, size */
    struct iovec iov = { .iov_base = bytes, .iov_len = sizeof(bytes) };
    size_t sent = 0;

    (void)state;
    for (ssize_t n; (n = send(vu_channel_fd(p.ch), chunk, sizeof(chunk),
                              MSG_DONTWAIT)) > 0;)
        sent += (size_t)n;
    calls.malloc_fails_at = 1;
    calls.malloc = 0;
    assert_int_equal(vu_channel_offer(p.ch, &iov, 1, NULL, 0), -ENOMEM);
    calls.malloc_fails_at = 0;
    assert_int_equal(vu_channel_unsent(p.ch), 0);
    assert_int_equal(vu_channel_offer(p.ch, &iov, 1, NULL, 0), 0);
    assert_int_equal(vu_channel_unsent(p.ch), sizeof(bytes));
    while (sent != 0) {
        ssize_t n = recv(p.peer, chunk, sent < sizeof(chunk) ? sent : sizeof(chunk), 0);

        assert_true(n > 0);
        sent -= (size_t)n;
    }
    assert_int_equal(vu_channel_flush(p.ch, VU_DONT_WAIT), 0);
    peer_read(&p, chunk, sizeof(bytes));
    assert_memory_equal(chunk, bytes, sizeof(bytes));
    peer_expect_nothing(&p);
    pair_close(&p);
}

static void a_text_without_room_is_left_alone(void **state)
{
    struct vu_message m = { .h = { .size = VU_HEADER_SIZE } };
    char byte = 'x';

    (void)state;
    assert_ptr_equal(vu_message_text(&byte, 0, &m), &byte);
    assert_int_equal(byte, 'x');
    vu_message_text(&byte, 1, &m);
    assert_int_equal(byte, 0);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(a_blocking_read_of_a_nonblocking_socket_can_be_interrupted),
    VU_FD_TEST(an_offer_without_memory_can_be_repeated),
    VU_FD_TEST(a_text_without_room_is_left_alone),
};

VU_TEST_MAIN(tests)
