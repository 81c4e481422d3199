/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands without waiting, against the scripted server: order, time, what waits to be
 * sent, and the end.
 */
#include "libclient/tests/submitting.h"

#include <poll.h>
#include <sys/eventfd.h>

#include "libclient/call.h"
#include "libclient/dispatch.h"

/* ---------------------------------------------------------------- sending -- */

static void commands_gather_until_they_are_flushed(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);

    (void)state;
    assert_int_equal(vfuc_poll_events(c), POLLIN);
    submit(c, 1, 3);
    assert_int_equal(s.n_said, 4);
    assert_int_equal(s.n_flushes, 0);
    assert_int_equal(vfuc_poll_events(c), POLLIN | POLLOUT);
    assert_int_equal(vfuc_flush(c), 0);
    assert_int_equal(s.n_flushes, 1);
    assert_int_equal(vfuc_poll_events(c), POLLIN);
    script_heard(&s, 1, "0100 0d00 10000000 00000000 00000000", 0);
    script_heard(&s, 2, "0200 0d00 10000000 00000000 00000000", 0);
    script_heard(&s, 3, "0300 0d00 10000000 00000000 00000000", 0);
    submit(c, 4, 1);
    expect_none(c, 0);      /* completing flushes, too */
    assert_int_equal(s.n_flushes, 2);
    assert_int_equal(vfuc_pending(c), 4);
    finish(&s, c);
}

static void what_the_socket_does_not_take_is_told(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);

    (void)state;
    submit(c, 1, 1);
    s.stuck = 100;
    s.flush_result = -EAGAIN;
    assert_int_equal(vfuc_flush(c), 1);
    assert_int_equal(vfuc_poll_events(c), POLLIN | POLLOUT);
    s.flush_result = 0;
    assert_int_equal(vfuc_flush(c), 0);
    finish(&s, c);
}

static void a_command_with_a_descriptor_leaves_at_once(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);

    (void)state;
    submit(c, 1, 1);
    assert_int_equal(vfuc_submit_dma_map(c, 0x10000, 0x1000, 3, s.poll_fd, 0, 2), 0);
    assert_int_equal(s.n_said, 3);
    assert_int_equal(s.said[2].n_fds, 1);
    assert_int_equal(s.n_gathered, 0);
    script_type(&s, "0200 0200 10000000 01000000 00000000");
    expect(c, 2, 0);
    finish(&s, c);
}

static void a_descriptor_that_the_kernel_refuses_costs_only_its_command(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);

    (void)state;
    submit(c, 1, 1);
    s.send_result = -ETOOMANYREFS;
    assert_int_equal(vfuc_submit_dma_map(c, 0, 0x1000, 3, s.poll_fd, 0, 2), -EBADF);
    s.send_result = -EAGAIN;
    assert_int_equal(vfuc_submit_dma_map(c, 0, 0x1000, 3, s.poll_fd, 0, 2), -EAGAIN);
    s.send_result = 0;
    assert_int_equal(vfuc_pending(c), 1);
    script_type(&s, RESET_OK("0100"));
    expect(c, 1, 0);
    finish(&s, c);
}

static void a_failure_to_send_completes_what_was_on_its_way(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);

    (void)state;
    submit(c, 1, 2);
    s.send_result = -ECONNRESET;
    assert_int_equal(vfuc_submit_reset(c, 3), -ENOTCONN);
    assert_true(s.closed);
    expect(c, 1, -ENOTCONN);
    expect(c, 2, -ENOTCONN);
    expect_none(c, -ENOTCONN);
    assert_int_equal(vfuc_submit_reset(c, 3), -ENOTCONN);
    finish(&s, c);
}

static void a_failure_to_flush_completes_what_was_on_its_way(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);

    (void)state;
    submit(c, 1, 1);
    s.flush_result = -ENOMEM;
    assert_int_equal(vfuc_flush(c), -ENOMEM);
    assert_true(s.closed);
    expect(c, 1, -ENOMEM);
    expect_none(c, -ENOTCONN);
    finish(&s, c);
}

/* Making room for a request shows that the socket is of no more use. */
static void a_failure_to_make_room_ends_the_connection(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);

    (void)state;
    submit(c, 1, 1);
    s.stuck = c->main.room;
    s.flush_result = -ENOTSOCK;
    assert_int_equal(vfuc_submit_reset(c, 2), -ENOTCONN);
    assert_true(s.closed);
    expect(c, 1, -ENOTCONN);
    expect_none(c, -ENOTCONN);
    finish(&s, c);
}

/* Nothing of it was kept, so nothing else is affected. */
static void no_memory_for_a_command_costs_only_this_one(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);

    (void)state;
    submit(c, 1, 1);
    s.send_result = -ENOMEM;
    assert_int_equal(vfuc_submit_reset(c, 2), -ENOMEM);
    s.send_result = 0;
    assert_int_equal(vfuc_pending(c), 1);
    script_type(&s, RESET_OK("0100"));
    expect(c, 1, 0);
    assert_false(s.closed);
    finish(&s, c);
}

static void a_gathered_message_that_meets_the_end_reads_on(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);
    struct vuc_request req;

    (void)state;
    submit(c, 1, 1);
    vuc_request_init(&req, VU_REGION_WRITE);
    req.flags = VU_F_NO_REPLY;
    s.send_result = s.flush_result = -EPIPE;
    script_type(&s, RESET_OK("0100"));
    script_fail(&s, 0);
    assert_int_equal(vuc_gather(c, &req), -ENOTCONN);
    expect(c, 1, 0);
    expect_none(c, -ENOTCONN);
    finish(&s, c);
}

/* It said something before it hung up. */
static void a_server_that_hangs_up_is_read_to_its_end(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);

    (void)state;
    submit(c, 1, 1);
    s.send_result = s.flush_result = -EPIPE;
    submit(c, 2, 1);
    script_type(&s, RESET_OK("0200"));
    script_type(&s, RESET_NO("0100"));
    script_fail(&s, 0);
    expect(c, 2, 0);
    expect(c, 1, -EREMOTEIO);
    expect_none(c, -ENOTCONN);
    assert_string_equal(vfuc_last_error(c),
                        "between calls: the server closed the connection");
    finish(&s, c);
}

/* ------------------------------------------------------------------ order -- */

static void replies_may_come_in_any_order(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);
    struct vfuc_completion done[8];

    (void)state;
    submit(c, 101, 4);
    script_type(&s, RESET_OK("0300"));
    script_type(&s, RESET_NO("0100"));
    script_type(&s, RESET_OK("0400"));
    s.read_ahead = true;        /* all in one piece */
    assert_int_equal(vfuc_complete(c, done, 8), 3);
    assert_int_equal(done[0].tag, 103);
    assert_int_equal(done[0].result, 0);
    assert_int_equal(done[0].server_errno, 0);
    assert_int_equal(done[1].tag, 101);
    assert_int_equal(done[1].result, -EREMOTEIO);
    assert_int_equal(done[1].server_errno, 16);
    assert_int_equal(done[2].tag, 104);
    assert_int_equal(vfuc_pending(c), 1);
    script_type(&s, RESET_OK("0200"));
    expect(c, 102, 0);
    assert_int_equal(vfuc_pending(c), 0);
    expect_none(c, 0);
    finish(&s, c);
}

static void a_refusal_without_type_is_understood(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);

    (void)state;
    submit(c, 1, 2);
    script_type(&s, "0200 0d00 10000000 20000000 16000000");
    expect(c, 2, -EREMOTEIO);
    assert_int_equal(vfuc_pending(c), 1);
    finish(&s, c);
}

static void a_blocking_call_may_come_in_the_midst(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);

    (void)state;
    submit(c, 1, 2);
    script_type(&s, RESET_OK("0200"));
    script_type(&s, COMMAND);
    script_type(&s, RESET_NO("0300"));
    assert_int_equal(vfuc_reset(c), -EREMOTEIO);
    assert_int_equal(vfuc_last_errno(c), 16);
    /* VERSION, two submitted ones, ours, and the answer to the server's */
    assert_int_equal(s.n_said, 5);
    script_heard(&s, 3, "0300 0d00 10000000 00000000 00000000", 0);
    script_heard(&s, 4, "7777 0e00 10000000 21000000 5f000000", 0);
    assert_int_equal(vfuc_poll_timeout_ms(c), 0);   /* there is one to be taken */
    expect(c, 2, 0);
    script_type(&s, RESET_OK("0100"));
    expect(c, 1, 0);
    finish(&s, c);
}

/* What came in the same read as a call's own reply. */
static void what_a_call_has_read_besides_is_not_forgotten(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);

    (void)state;
    submit(c, 1, 1);
    assert_int_equal(vfuc_flush(c), 0);
    assert_in_range(vfuc_poll_timeout_ms(c), 1, VFUC_DEFAULT_TIMEOUT_MS);
    s.read_ahead = true;
    script_type(&s, RESET_OK("0200"));
    script_type(&s, RESET_OK("0100"));
    assert_int_equal(vfuc_reset(c), 0);
    assert_int_equal(vfuc_poll_timeout_ms(c), 0);
    expect(c, 1, 0);
    assert_int_equal(vfuc_poll_timeout_ms(c), -1);
    finish(&s, c);
}

static void commands_of_the_server_are_answered_meanwhile(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);

    (void)state;
    submit(c, 1, 1);
    script_type(&s, COMMAND);
    script_type(&s, "0100 0b00 20000000 00000000 00000000"     /* DMA_READ, with our id */
                "0000010000000000 0400000000000000");
    script_type(&s, RESET_OK("0100"));
    s.read_ahead = true;
    expect(c, 1, 0);
    script_heard(&s, 2, "7777 0e00 10000000 21000000 5f000000", 0);
    script_heard(&s, 3, "0100 0b00 10000000 21000000 0e000000", 0);
    finish(&s, c);
}

static void dispatching_keeps_completions(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);

    (void)state;
    submit(c, 1, 1);
    script_type(&s, RESET_OK("0100"));
    assert_int_equal(vfuc_dispatch(c), 1);
    assert_int_equal(vfuc_pending(c), 1);
    expect(c, 1, 0);
    finish(&s, c);
}

/* ------------------------------------------------------------------- time -- */

static void a_command_that_is_late_ends_the_connection(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);
    struct vfuc_completion done[4];

    (void)state;
    submit(c, 1, 1);
    vfuc_set_timeout_ms(c, 20);
    submit(c, 2, 1);
    vfuc_set_timeout_ms(c, -1);
    submit(c, 3, 1);
    assert_in_range(vfuc_poll_timeout_ms(c), 0, 20);
    assert_int_equal(vfuc_flush(c), 0);
    /* The descriptor is writeable, but that is not asked for; so this waits. */
    assert_int_equal(vfuc_wait(c, done, 4, -1), 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(done[i].tag, 1 + i);
        assert_int_equal(done[i].result, -ETIMEDOUT);
    }
    assert_true(s.closed);
    assert_string_equal(vfuc_last_error(c),
                        "DEVICE_RESET: the server did not answer in time");
    expect_none(c, -ENOTCONN);
    assert_int_equal(vfuc_wait(c, done, 4, -1), -ENOTCONN);
    assert_int_equal(vfuc_poll_timeout_ms(c), -1);
    finish(&s, c);
}

static void an_answered_command_is_not_late(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);

    (void)state;
    vfuc_set_timeout_ms(c, 1);
    submit(c, 1, 1);
    vfuc_set_timeout_ms(c, 100000);
    submit(c, 2, 1);
    script_type(&s, RESET_OK("0100"));
    poll(NULL, 0, 5);           /* now it would be late; its reply is there */
    expect(c, 1, 0);
    expect_none(c, 0);
    assert_false(s.closed);
    assert_in_range(vfuc_poll_timeout_ms(c), 90000, 100000);
    finish(&s, c);
}

static void waiting_ends_when_the_caller_says_so(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);
    struct vfuc_completion done[4];

    (void)state;
    assert_int_equal(vfuc_wait(c, done, 4, -1), 0);     /* nothing is on its way */
    submit(c, 1, 1);
    assert_int_equal(vfuc_wait(c, done, 4, 0), 0);
    assert_int_equal(vfuc_wait(c, done, 4, 10), 0);
    assert_false(s.closed);
    script_type(&s, RESET_OK("0100"));
    assert_int_equal(vfuc_wait(c, done, 4, -1), 1);
    finish(&s, c);
}

/* The script's last line is told again and again. */
static int chatter(void *at, struct vu_message *m, vu_deadline deadline)
{
    struct script *s = at;

    s->next = s->n_lines - 1;
    return script_port.receive(at, m, deadline);
}

static void a_server_that_never_stops_talking_holds_nobody(void **state)
{
    struct vuc_port port = script_port;
    struct script s;
    struct vfuc_client *c = usual(&s);
    struct vfuc_completion done[4];

    (void)state;
    port.receive = chatter;
    c->main.port = &port;
    script_type(&s, SILENT_COMMAND);
    submit(c, 1, 1);
    expect_none(c, 0);
    script_poll(&s, true);
    assert_int_equal(vfuc_wait(c, done, 4, 10), 0);
    vfuc_set_timeout_ms(c, 10);
    submit(c, 2, 1);
    assert_int_equal(vfuc_wait(c, done, 4, -1), 2);
    assert_int_equal(done[0].result, -ETIMEDOUT);
    finish(&s, c);
}

static void waiting_for_an_event_serves_the_server(void **state)
{
    struct script s, event;
    struct vfuc_client *c = usual(&s);

    (void)state;
    script_init(&event);
    script_poll(&event, false);
    submit(c, 1, 1);
    script_type(&s, COMMAND);
    script_type(&s, RESET_OK("0100"));
    assert_int_equal(vuc_wait_any(c, event.poll_fd, VU_DONT_WAIT), -ETIMEDOUT);
    assert_int_equal(s.n_said, 3);
    assert_int_equal(vfuc_pending(c), 1);
    expect(c, 1, 0);
    assert_int_equal(vuc_wait_any(c, event.poll_fd, vu_deadline_in_ms(5)), -ETIMEDOUT);
    assert_false(s.closed);
    script_poll(&event, true);
    assert_int_equal(vuc_wait_any(c, event.poll_fd, VU_FOREVER), 0);
    script_fail(&s, 0);
    assert_int_equal(vuc_wait_any(c, event.poll_fd, VU_FOREVER), -ENOTCONN);
    assert_int_equal(vuc_wait_any(c, event.poll_fd, VU_FOREVER), -ENOTCONN);
    script_done(&event);
    finish(&s, c);
}

static void talk_does_not_prolong_the_wait_for_an_event(void **state)
{
    struct vuc_port port = script_port;
    struct script s, event;
    struct vfuc_client *c = usual(&s);

    (void)state;
    script_init(&event);
    script_poll(&event, false);
    port.receive = chatter;
    c->main.port = &port;
    script_type(&s, SILENT_COMMAND);
    script_poll(&s, true);
    assert_int_equal(vuc_wait_any(c, event.poll_fd, vu_deadline_in_ms(10)), -ETIMEDOUT);
    script_poll(&event, true);
    assert_int_equal(vuc_wait_any(c, event.poll_fd, VU_FOREVER), 0);
    script_done(&event);
    finish(&s, c);
}

/* ------------------------------------------------------- while output waits -- */

/* Refuses the second message once, and answers it when it has come. */
static int refuse_once(void *at, struct iovec *iov, int n_iov, const int *fds,
                       size_t n_fds)
{
    struct script *s = at;

    if (s->n_offers == 1) {
        s->n_offers++;
        return -EAGAIN;
    }
    script_say(s, "");
    return script_port.offer(at, iov, n_iov, fds, n_fds);
}

static void a_call_reads_while_its_request_waits(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);

    (void)state;
    s.stuck = 1000;             /* of earlier messages: never sent in this test */
    s.flush_result = -EAGAIN;
    script_poll(&s, true);
    script_type(&s, COMMAND);
    script_say(&s, "");
    assert_int_equal(vfuc_reset(c), 0);
    assert_int_equal(s.n_said, 3);
    assert_int_equal(s.stuck, 1000);
    finish(&s, c);
}

static void a_request_that_finds_no_room_waits_for_it(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);

    (void)state;
    s.stuck = c->main.room;
    s.flush_result = -EAGAIN;
    vfuc_set_timeout_ms(c, 10);
    assert_int_equal(vfuc_reset(c), -ETIMEDOUT);
    assert_int_equal(s.n_said, 1);
    assert_true(s.closed);
    finish(&s, c);
}

/* Nothing of ours waits, but the socket is full: a message with descriptors cannot be
 * kept for later. */
static void a_descriptor_waits_for_the_socket(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);

    (void)state;
    /* so much that the eventfd is not writeable */
    assert_int_equal(eventfd_write(s.poll_fd, UINT64_MAX - 1), 0);
    s.send_result = -EAGAIN;
    assert_int_equal(vfuc_submit_dma_map(c, 0, 0x1000, 3, s.poll_fd, 0, 2), -EAGAIN);
    assert_int_equal(vfuc_poll_events(c), POLLIN | POLLOUT);
    assert_int_equal(vfuc_flush(c), 0);
    assert_int_equal(vfuc_poll_events(c), POLLIN);
    s.flush_result = -EAGAIN;
    vfuc_set_timeout_ms(c, 20);
    assert_int_equal(vfuc_dma_map(c, 0, 0x1000, 3, s.poll_fd, 0), -ETIMEDOUT);
    assert_true(s.closed);
    finish(&s, c);
}

static void a_descriptor_leaves_when_the_socket_has_room(void **state)
{
    struct vuc_port port = script_port;
    struct script s;
    struct vfuc_client *c = usual(&s);

    (void)state;
    port.offer = refuse_once;
    c->main.port = &port;
    assert_int_equal(vfuc_dma_map(c, 0, 0x1000, 3, s.poll_fd, 0), 0);
    assert_int_equal(s.n_offers, 3);        /* VERSION and two */
    assert_int_equal(s.said[1].n_fds, 1);
    finish(&s, c);
}

static void a_posted_message_waits_until_it_is_gone(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);
    struct vuc_request req;

    (void)state;
    vuc_request_init(&req, VU_REGION_WRITE);
    req.flags = VU_F_NO_REPLY;
    s.stuck = 10;
    assert_int_equal(vuc_post(c, &req), 0);
    assert_int_equal(s.stuck, 0);
    s.stuck = 10;
    s.flush_result = -EAGAIN;
    vfuc_set_timeout_ms(c, 10);
    assert_int_equal(vuc_post(c, &req), -ETIMEDOUT);
    finish(&s, c);
}

static void talk_does_not_prolong_the_wait_for_output(void **state)
{
    struct vuc_port port = script_port;
    struct script s;
    struct vfuc_client *c = usual(&s);
    struct vuc_request req;

    (void)state;
    vuc_request_init(&req, VU_REGION_WRITE);
    req.flags = VU_F_NO_REPLY;
    port.receive = chatter;
    c->main.port = &port;
    script_type(&s, SILENT_COMMAND);
    script_poll(&s, true);
    s.stuck = 10;
    s.flush_result = -EAGAIN;
    vfuc_set_timeout_ms(c, 10);
    assert_int_equal(vuc_post(c, &req), -ETIMEDOUT);
    finish(&s, c);
}

/* Who takes nothing any more but talks on and on. */
static void talk_does_not_prolong_the_wait_for_the_end(void **state)
{
    struct vuc_port port = script_port;
    struct script s;
    struct vfuc_client *c = usual(&s);
    struct vuc_request req;

    (void)state;
    vuc_request_init(&req, VU_REGION_WRITE);
    req.flags = VU_F_NO_REPLY;
    port.receive = chatter;
    c->main.port = &port;
    script_type(&s, SILENT_COMMAND);
    s.flush_result = -EPIPE;
    vfuc_set_timeout_ms(c, 10);
    assert_int_equal(vuc_post(c, &req), -ETIMEDOUT);
    assert_true(s.closed);
    finish(&s, c);
}

static void talk_on_a_twin_does_not_prolong_a_call(void **state)
{
    struct vuc_port port = script_port;
    struct script s, twin;
    struct vfuc_client *c = usual(&s);

    (void)state;
    script_init(&twin);
    script_poll(&twin, true);
    script_type(&twin, SILENT_COMMAND);
    port.receive = chatter;
    vuc_link_init(&c->twin, &port, &twin, 4096);
    c->options.twin_socket = VFUC_TWIN_INLINE;
    vfuc_set_timeout_ms(c, 10);
    assert_int_equal(vfuc_reset(c), -ETIMEDOUT);
    assert_true(twin.closed);
    script_done(&twin);
    finish(&s, c);
}

/* Answers to a server that reads none of them are bounded: it is not read any more. */
static void a_server_that_reads_no_answers_is_not_read(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);
    struct vfuc_completion done[2];

    (void)state;
    submit(c, 1, 1);
    assert_int_equal(vfuc_flush(c), 0);
    s.stuck = c->main.room + 1;
    s.flush_result = -EAGAIN;
    script_type(&s, COMMAND);
    s.read_ahead = true;
    assert_int_equal(vfuc_poll_events(c), POLLOUT);
    assert_int_equal(vfuc_dispatch(c), 0);
    assert_int_equal(vfuc_poll_timeout_ms(c) > 0, 1);
    assert_int_equal(vfuc_wait(c, done, 2, 5), 0);
    assert_int_equal(s.next, 1);
    s.flush_result = 0;
    assert_int_equal(vfuc_dispatch(c), 1);
    assert_int_equal(vfuc_poll_events(c), POLLIN);
    finish(&s, c);
}

/* ------------------------------------------------------------------- end -- */

static void a_lost_connection_completes_each_command_once(void **state)
{
    struct vfuc_completion done[128];
    bool seen[100] = { false };
    struct script s;
    struct vfuc_client *c = usual(&s);

    (void)state;
    submit(c, 0, 100);
    script_type(&s, RESET_OK("0700"));
    script_type(&s, RESET_OK("3200"));
    script_fail(&s, -ECONNRESET);
    s.read_ahead = true;
    assert_int_equal(vfuc_dispatch(c), -ENOTCONN);
    assert_int_equal(vfuc_pending(c), 100);
    assert_int_equal(vfuc_poll_timeout_ms(c), 0);
    assert_int_equal(vfuc_complete(c, done, 30), 30);
    assert_int_equal(vfuc_complete(c, done + 30, 98), 70);
    for (unsigned i = 0; i < 100; i++) {
        assert_true(done[i].tag < 100);
        assert_false(seen[done[i].tag]);
        seen[done[i].tag] = true;
        assert_int_equal(done[i].result, i < 2 ? 0 : -ENOTCONN);
    }
    assert_int_equal(done[2].tag, 0);       /* the rest in the order of submission */
    assert_int_equal(done[99].tag, 99);
    expect_none(c, -ENOTCONN);
    assert_int_equal(vfuc_pending(c), 0);
    finish(&s, c);
}

static void a_blocking_call_that_fails_completes_the_others(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);

    (void)state;
    submit(c, 1, 1);
    script_fail(&s, -ETIMEDOUT);
    assert_int_equal(vfuc_reset(c), -ETIMEDOUT);
    expect(c, 1, -ETIMEDOUT);
    expect_none(c, -ENOTCONN);
    finish(&s, c);
}

static int count_calls(struct vfuc_client *client, void *state, int err,
                       struct vu_message *reply, size_t *bytes)
{
    unsigned *count;

    (void)client;
    *bytes = 7;
    memcpy(&count, state, sizeof(count));
    (*count)++;
    if (err == 0)
        vu_message_done(reply);
    return err;
}

static void closing_ends_what_is_on_its_way(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);
    unsigned count = 0, *at = &count;
    struct vuc_request req;

    (void)state;
    vuc_request_init(&req, VU_DEVICE_RESET);
    assert_int_equal(vuc_submit(c, &req, count_calls, &at, sizeof(at), 1), 0);
    assert_int_equal(vuc_submit(c, &req, count_calls, &at, sizeof(at), 2), 0);
    assert_int_equal(count, 0);
    finish(&s, c);
    assert_int_equal(count, 2);
}

static void what_a_command_keeps_reaches_its_function(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);
    unsigned count = 0, *at = &count;
    struct vfuc_completion done;
    struct vuc_request req;

    (void)state;
    vuc_request_init(&req, VU_DEVICE_RESET);
    assert_int_equal(vuc_submit(c, &req, count_calls, &at, sizeof(at), 1), 0);
    script_type(&s, RESET_OK("0100"));
    assert_int_equal(vfuc_complete(c, &done, 1), 1);
    assert_int_equal(count, 1);
    assert_int_equal(done.bytes, 7);
    finish(&s, c);
    assert_int_equal(count, 1);
}

/* One whose content turns out to be wrong ends the connection for all. */
static int find_fault(struct vfuc_client *client, void *state, int err,
                      struct vu_message *reply, size_t *bytes)
{
    (void)state;
    (void)bytes;
    return err < 0 ? err : vuc_broken_reply(client, reply, "a test says so");
}

static void a_reply_found_wrong_by_its_function_ends_the_connection(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);
    struct vuc_request req;

    (void)state;
    submit(c, 1, 1);
    vuc_request_init(&req, VU_DEVICE_RESET);
    assert_int_equal(vuc_submit(c, &req, find_fault, NULL, 0, 2), 0);
    submit(c, 3, 1);
    script_type(&s, RESET_OK("0200"))->n_fds = 2;
    expect(c, 2, -EPROTO);
    expect(c, 1, -EPROTO);
    expect(c, 3, -EPROTO);
    expect_none(c, -ENOTCONN);
    assert_string_equal(vfuc_last_error(c),
                        "the reply to DEVICE_RESET is broken: a test says so");
    finish(&s, c);
}

/* -------------------------------------------------------------- callbacks -- */

struct caller {
    struct vfuc_client *client;
    unsigned calls;
    bool all_busy;
};

static int call_back(void *opaque, uint64_t address, void *data, size_t count)
{
    struct caller *caller = opaque;
    struct vfuc_client *c = caller->client;
    const struct vfuc_device *device;
    struct vfuc_completion done;
    uint64_t flags;
    uint8_t byte = 0;

    (void)address;
    memset(data, 0x5a, count);
    caller->calls++;
    caller->all_busy = vfuc_reset(c) == -EBUSY
        && vfuc_device_info(c, &device) == -EBUSY
        && vfuc_region_read(c, 0, 0, &byte, 1) == -EBUSY
        && vfuc_region_write_posted(c, 0, 0, &byte, 1) == -EBUSY
        && vfuc_irq_disable(c, 0) == -EBUSY
        && vfuc_dma_map(c, 0x100000, 0x1000, 3, -1, 0) == -EBUSY
        && vfuc_dma_unmap(c, 0x10000, 0x1000) == -EBUSY
        && vfuc_dma_unmap_all(c) == -EBUSY
        && vfuc_feature_probe(c, 1, 0) == -EBUSY
        && vfuc_migration_flags(c, &flags) == -EBUSY
        && vfuc_submit_reset(c, 9) == -EBUSY
        && vfuc_submit_dma_unmap(c, 0x10000, 0x1000, 9) == -EBUSY
        && vfuc_dispatch(c) == -EBUSY
        && vfuc_flush(c) == -EBUSY
        && vfuc_complete(c, &done, 1) == -EBUSY
        && vfuc_wait(c, &done, 1, -1) == -EBUSY
        && vfuc_reconnect(c) == -EBUSY;
    return 0;
}

static void a_callback_cannot_call(void **state)
{
    struct script s;
    struct vfuc_client *c = usual(&s);
    struct caller caller = { .client = c };

    (void)state;
    vfuc_set_dma_handlers(c, call_back, NULL, &caller);
    script_say(&s, "");
    assert_int_equal(vfuc_dma_map(c, 0x10000, 0x1000, 3, -1, 0), 0);
    submit(c, 1, 1);
    script_type(&s, "0100 0b00 20000000 00000000 00000000"
                "0000010000000000 0400000000000000");
    script_type(&s, RESET_OK("0200"));
    s.read_ahead = true;
    expect(c, 1, 0);
    assert_int_equal(caller.calls, 1);
    assert_true(caller.all_busy);
    script_heard(&s, 3, "0100 0b00 24000000 01000000 00000000"
                 "0000010000000000 0400000000000000 5a5a5a5a", 0);
    script_say(&s, "");
    assert_int_equal(vfuc_reset(c), 0);     /* not any more */
    finish(&s, c);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(commands_gather_until_they_are_flushed),
    VU_FD_TEST(what_the_socket_does_not_take_is_told),
    VU_FD_TEST(a_command_with_a_descriptor_leaves_at_once),
    VU_FD_TEST(a_descriptor_that_the_kernel_refuses_costs_only_its_command),
    VU_FD_TEST(a_failure_to_send_completes_what_was_on_its_way),
    VU_FD_TEST(a_failure_to_flush_completes_what_was_on_its_way),
    VU_FD_TEST(a_failure_to_make_room_ends_the_connection),
    VU_FD_TEST(no_memory_for_a_command_costs_only_this_one),
    VU_FD_TEST(a_gathered_message_that_meets_the_end_reads_on),
    VU_FD_TEST(a_server_that_hangs_up_is_read_to_its_end),
    VU_FD_TEST(replies_may_come_in_any_order),
    VU_FD_TEST(a_refusal_without_type_is_understood),
    VU_FD_TEST(a_blocking_call_may_come_in_the_midst),
    VU_FD_TEST(what_a_call_has_read_besides_is_not_forgotten),
    VU_FD_TEST(commands_of_the_server_are_answered_meanwhile),
    VU_FD_TEST(dispatching_keeps_completions),
    VU_FD_TEST(a_command_that_is_late_ends_the_connection),
    VU_FD_TEST(an_answered_command_is_not_late),
    VU_FD_TEST(waiting_ends_when_the_caller_says_so),
    VU_FD_TEST(a_server_that_never_stops_talking_holds_nobody),
    VU_FD_TEST(waiting_for_an_event_serves_the_server),
    VU_FD_TEST(talk_does_not_prolong_the_wait_for_an_event),
    VU_FD_TEST(a_call_reads_while_its_request_waits),
    VU_FD_TEST(a_request_that_finds_no_room_waits_for_it),
    VU_FD_TEST(a_descriptor_waits_for_the_socket),
    VU_FD_TEST(a_descriptor_leaves_when_the_socket_has_room),
    VU_FD_TEST(a_posted_message_waits_until_it_is_gone),
    VU_FD_TEST(talk_does_not_prolong_the_wait_for_output),
    VU_FD_TEST(talk_does_not_prolong_the_wait_for_the_end),
    VU_FD_TEST(talk_on_a_twin_does_not_prolong_a_call),
    VU_FD_TEST(a_server_that_reads_no_answers_is_not_read),
    VU_FD_TEST(a_lost_connection_completes_each_command_once),
    VU_FD_TEST(a_blocking_call_that_fails_completes_the_others),
    VU_FD_TEST(closing_ends_what_is_on_its_way),
    VU_FD_TEST(what_a_command_keeps_reaches_its_function),
    VU_FD_TEST(a_reply_found_wrong_by_its_function_ends_the_connection),
    VU_FD_TEST(a_callback_cannot_call),
};

VU_TEST_MAIN(tests)
