/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What each call sends, byte by byte, and what it makes of good replies and refusals.
 *
 * Messages are typed from the tables of the specification:
 *   header  id u16, command u16, size u32, flags u32, error u32
 */
#include "libclient/tests/script.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "wire/caps.h"

/* With a client that knows the device; messages 0 and 1 are spent. */
static struct vfuc_client *with_device(struct script *s)
{
    struct vfuc_client *c;

    SKIP_UNLESS_LITTLE_ENDIAN();
    script_init(s);
    c = script_client(s, SAY_VERSION);
    script_say(s, SAY_DEVICE);
    assert_int_equal(vfuc_region_count(c), 9);
    return c;
}

/* And region 0; message 2 is spent. */
static struct vfuc_client *with_region(struct script *s, const char *region0)
{
    struct vfuc_client *c = with_device(s);
    const struct vfuc_region *region;

    script_say(s, region0);
    assert_int_equal(vfuc_region_info(c, 0, &region), 0);
    return c;
}

static void finish(struct script *s, struct vfuc_client *c)
{
    assert_int_equal(s->next, s->n_lines);
    vfuc_close(c);
    assert_true(s->closed);
    script_done(s);
}

/* ------------------------------------------------------------ device, reset -- */

static void device_is_asked_for_once(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);
    const struct vfuc_device *d;

    (void)state;
    script_heard(&s, 1, "0100 0400 20000000 00000000 00000000"
                 "10000000 00000000 00000000 00000000", 0);
    assert_int_equal(vfuc_device_info(c, &d), 0);
    assert_int_equal(d->flags, VFUC_DEVICE_RESET | VFUC_DEVICE_PCI);
    assert_int_equal(d->num_regions, 9);
    assert_int_equal(d->num_irqs, 5);
    assert_int_equal(vfuc_irq_count(c), 5);
    assert_int_equal(s.n_said, 2);
    finish(&s, c);
}

static void device_without_anything_is_one(void **state)
{
    struct script s;
    struct vfuc_client *c;
    const struct vfuc_region *region;

    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    script_init(&s);
    c = script_client(&s, SAY_VERSION);
    script_say(&s, "10000000 00000000 00000000 00000000");
    assert_int_equal(vfuc_region_count(c), 0);
    assert_int_equal(vfuc_irq_count(c), 0);
    assert_int_equal(vfuc_region_info(c, 0, &region), -ERANGE);
    assert_int_equal(vfuc_irq_disable(c, 0), -ERANGE);
    finish(&s, c);
}

static void largest_device_is_taken(void **state)
{
    struct script s;
    struct vfuc_client *c;

    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    script_init(&s);
    c = script_client(&s, SAY_VERSION);
    script_say(&s, "20000000 03000000 00010000 00010000");
    assert_int_equal(vfuc_region_count(c), 256);
    assert_int_equal(vfuc_irq_count(c), 256);
    finish(&s, c);
}

static void reset_has_no_body(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    script_say(&s, "");
    assert_int_equal(vfuc_reset(c), 0);
    script_heard(&s, 2, "0200 0d00 10000000 00000000 00000000", 0);
    finish(&s, c);
}

/* ------------------------------------------------ what the server says -- */

/* DMA_READ and DMA_WRITE, with ids of the server's own: one is ours too. */
static void commands_of_the_server_are_answered_while_we_wait(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    script_type(&s, "0200 0b00 20000000 00000000 00000000"
                "0000010000000000 0400000000000000")->n_fds = 1;
    script_type(&s, "7777 0c00 24000000 00000000 00000000"
                "0000010000000000 0400000000000000 01020304");
    script_say(&s, "");
    assert_int_equal(vfuc_reset(c), 0);
    script_heard(&s, 2, "0200 0d00 10000000 00000000 00000000", 0);
    /* EINVAL because of the descriptor, EFAULT because of the address */
    script_heard(&s, 3, "0200 0b00 10000000 21000000 16000000", 0);
    script_heard(&s, 4, "7777 0c00 10000000 21000000 0e000000", 0);
    assert_int_equal(s.n_said, 5);
    finish(&s, c);
}

static void commands_that_want_no_reply_get_none(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    script_type(&s, "0500 0c00 24000000 10000000 00000000"
                "0000010000000000 0400000000000000 01020304");
    script_say(&s, "");
    assert_int_equal(vfuc_reset(c), 0);
    assert_int_equal(s.n_said, 3);
    finish(&s, c);
}

static void unknown_commands_are_refused(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    script_type(&s, "0100 0e00 10000000 00000000 00000000");
    script_type(&s, "0200 c800 10000000 00000000 00000000");
    script_type(&s, "0300 0d00 10000000 00000000 00000000");    /* the wrong direction */
    script_say(&s, "");
    assert_int_equal(vfuc_reset(c), 0);
    script_heard(&s, 3, "0100 0e00 10000000 21000000 5f000000", 0);
    script_heard(&s, 4, "0200 c800 10000000 21000000 5f000000", 0);
    script_heard(&s, 5, "0300 0d00 10000000 21000000 5f000000", 0);
    finish(&s, c);
}

/* A server that goes on for ever: each command is told once more, until time is up. */
static int chatter(void *at, struct vu_message *m, vu_deadline deadline)
{
    struct script *s = at;

    s->next = s->n_lines - 1;
    return script_port.receive(at, m, deadline);
}

static void commands_without_end_do_not_prolong_the_wait(void **state)
{
    struct vuc_port port = script_port;
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    port.receive = chatter;
    c->main.port = &port;
    vfuc_set_timeout_ms(c, 20);
    script_type(&s, "0100 0b00 10000000 10000000 00000000");
    assert_int_equal(vfuc_reset(c), -ETIMEDOUT);
    assert_true(s.closed);
    finish(&s, c);
}

static void dispatch_answers_what_is_there(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    assert_int_equal(vfuc_dispatch(c), 0);
    script_type(&s, "0100 0b00 20000000 00000000 00000000"
                "0000010000000000 0400000000000000");
    script_type(&s, "0200 0e00 10000000 00000000 00000000")->n_fds = 2;
    assert_int_equal(vfuc_dispatch(c), 2);
    script_heard(&s, 2, "0100 0b00 10000000 21000000 0e000000", 0);
    script_heard(&s, 3, "0200 0e00 10000000 21000000 5f000000", 0);
    assert_int_equal(vfuc_dispatch(c), 0);
    finish(&s, c);
}

static void dispatch_ends_although_commands_go_on(void **state)
{
    struct vuc_port port = script_port;
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    port.receive = chatter;
    c->main.port = &port;
    script_type(&s, "0100 0b00 10000000 10000000 00000000");
    assert_true(vfuc_dispatch(c) > 0);
    assert_false(s.closed);
    finish(&s, c);
}

static void reply_that_nobody_asked_for_ends_the_connection(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    script_type(&s, "0100 0d00 10000000 01000000 00000000")->n_fds = 1;
    assert_int_equal(vfuc_dispatch(c), -EPROTO);
    assert_true(s.closed);
    finish(&s, c);
}

static void dispatch_notices_that_the_server_left(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    script_fail(&s, 0);
    assert_int_equal(vfuc_dispatch(c), -ENOTCONN);
    assert_string_equal(vfuc_last_error(c),
                        "between calls: the server closed the connection");
    finish(&s, c);
}

/* Seen in the field: flags 0x20, Error without Type. */
static void error_reply_without_type_is_understood(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    script_refuse(&s, 22)->h.flags = 0x20;
    assert_int_equal(vfuc_reset(c), -EREMOTEIO);
    assert_int_equal(vfuc_last_errno(c), 22);
    assert_int_equal(s.n_said, 3);
    finish(&s, c);
}

/* Seen in the field: a payload comes with the error. */
static void error_reply_with_a_body_is_understood(void **state)
{
    struct script s;
    struct vfuc_client *c = with_region(&s, SAY_REGION0);
    uint8_t buf[4] = { 9, 9, 9, 9 };
    struct line *l = script_say(&s, "1000000000000000 00000000 04000000 a1a2a3a4");

    (void)state;
    l->h.flags = 0x21;
    l->h.error = 22;
    assert_int_equal(vfuc_region_read(c, 0, 0x10, buf, 4), -EREMOTEIO);
    assert_memory_equal(buf, "\11\11\11\11", 4);
    finish(&s, c);
}

static void errno_of_a_refusal_is_never_beyond_any_errno(void **state)
{
    static const struct {
        uint32_t sent;
        int told;
    } rows[] = { { 0, 0 }, { 1, 1 }, { 4095, 4095 }, { 4096, 0 }, { UINT32_MAX, 0 } };
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        script_refuse(&s, rows[i].sent);
        assert_int_equal(vfuc_reset(c), -EREMOTEIO);
        assert_int_equal(vfuc_last_errno(c), rows[i].told);
    }
    finish(&s, c);
}

static void reserved_flags_of_a_reply_are_ignored(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    script_say(&s, "")->h.flags = 0xffffffc1;
    assert_int_equal(vfuc_reset(c), 0);
    script_say(&s, "")->h.flags = 0x11;         /* No_reply means nothing in a reply */
    assert_int_equal(vfuc_reset(c), 0);
    script_say(&s, "")->h.error = 22;           /* nor does an error without its bit */
    assert_int_equal(vfuc_reset(c), 0);
    finish(&s, c);
}

static void ids_go_around(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    c->next_id = 0xffff;
    script_say(&s, "");
    script_say(&s, "");
    assert_int_equal(vfuc_reset(c), 0);
    assert_int_equal(vfuc_reset(c), 0);
    script_heard(&s, 2, "ffff 0d00 10000000 00000000 00000000", 0);
    script_heard(&s, 3, "0000 0d00 10000000 00000000 00000000", 0);
    finish(&s, c);
}

/* --------------------------------------------------------------- sending -- */

static void server_that_hangs_up_may_have_said_why(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    s.send_result = -EPIPE;
    s.latest.msg_id = 2;
    s.latest.command = 13;
    script_refuse(&s, 7);
    assert_int_equal(vfuc_reset(c), -EREMOTEIO);
    assert_int_equal(vfuc_last_errno(c), 7);
    script_fail(&s, -ECONNRESET);
    assert_int_equal(vfuc_reset(c), -ENOTCONN);
    assert_true(s.closed);
    finish(&s, c);
}

static void server_that_does_not_read_ends_in_a_timeout(void **state)
{
    struct script s;
    struct vfuc_client *c = with_region(&s, SAY_REGION0);
    uint8_t byte = 0;

    (void)state;
    s.send_result = -ETIMEDOUT;
    assert_int_equal(vfuc_region_write_posted(c, 0, 0, &byte, 1), -ETIMEDOUT);
    assert_true(s.closed);
    finish(&s, c);
}

static void descriptor_that_the_kernel_refuses_does_not_end_the_connection(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    s.send_result = -ETOOMANYREFS;
    assert_int_equal(vfuc_dma_map(c, 0, 0x1000, 3, 0, 0), -EBADF);
    assert_false(s.closed);
    s.send_result = -EINVAL;    /* no descriptor here to put the blame on */
    assert_int_equal(vfuc_reset(c), -ENOTCONN);
    assert_true(s.closed);
    finish(&s, c);
}

static void timeout_can_be_set(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    assert_int_equal(c->timeout_ms, 5000);
    vfuc_set_timeout_ms(c, 7);
    assert_int_equal(c->timeout_ms, 7);
    vfuc_set_timeout_ms(c, -1);
    assert_true(c->timeout_ms < 0);
    vfuc_set_timeout_ms(c, 0);
    assert_int_equal(c->timeout_ms, 5000);
    finish(&s, c);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(device_is_asked_for_once),
    VU_FD_TEST(device_without_anything_is_one),
    VU_FD_TEST(largest_device_is_taken),
    VU_FD_TEST(reset_has_no_body),
    VU_FD_TEST(commands_of_the_server_are_answered_while_we_wait),
    VU_FD_TEST(commands_that_want_no_reply_get_none),
    VU_FD_TEST(unknown_commands_are_refused),
    VU_FD_TEST(commands_without_end_do_not_prolong_the_wait),
    VU_FD_TEST(dispatch_answers_what_is_there),
    VU_FD_TEST(dispatch_ends_although_commands_go_on),
    VU_FD_TEST(reply_that_nobody_asked_for_ends_the_connection),
    VU_FD_TEST(dispatch_notices_that_the_server_left),
    VU_FD_TEST(error_reply_without_type_is_understood),
    VU_FD_TEST(error_reply_with_a_body_is_understood),
    VU_FD_TEST(errno_of_a_refusal_is_never_beyond_any_errno),
    VU_FD_TEST(reserved_flags_of_a_reply_are_ignored),
    VU_FD_TEST(ids_go_around),
    VU_FD_TEST(server_that_hangs_up_may_have_said_why),
    VU_FD_TEST(server_that_does_not_read_ends_in_a_timeout),
    VU_FD_TEST(descriptor_that_the_kernel_refuses_does_not_end_the_connection),
    VU_FD_TEST(timeout_can_be_set),
};

VU_TEST_MAIN(tests)
