/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Several small writes: one REGION_WRITE_MULTI where that was agreed on, else a
 * REGION_WRITE for each; with replies and without.
 */
#include <sys/socket.h>

#include "libclient/tests/known.h"

#define AGREED "\"write_multiple\":true"

static const struct vfuc_write three[3] = {
    { .offset = 0x10, .index = 0, .len = 4, .data = { 1, 2, 3, 4, 9, 9, 9, 9 } },
    { .offset = 0x1ff8, .index = 0, .len = 8, .data = { 1, 2, 3, 4, 5, 6, 7, 8 } },
    { .offset = 0x01, .index = 0, .len = 1, .data = { 0x5a } },
};

#define THREE \
    "0300000000000000" \
    "1000000000000000 00000000 04000000 0102030400000000" \
    "f81f000000000000 00000000 08000000 0102030405060708" \
    "0100000000000000 00000000 01000000 5a00000000000000"

static void writes_are_one_message_if_agreed(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, AGREED, SAY_REGION0);
    size_t done = 99;

    (void)state;
    assert_true(vfuc_negotiated(c)->write_multiple);
    script_say(&s, "0300000000000000");
    assert_int_equal(vfuc_region_write_multi(c, three, 3, &done), 0);
    script_heard(&s, 3, "0300 0f00 60000000 00000000 00000000" THREE, 0);
    assert_int_equal(done, 3);
    script_say(&s, "0100000000000000");
    assert_int_equal(vfuc_region_write_multi(c, three, 1, NULL), 0);
    known_done(&s, c);
}

static void writes_are_a_message_each_if_not_agreed(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, NULL, SAY_REGION0);
    size_t done = 99;

    (void)state;
    assert_false(vfuc_negotiated(c)->write_multiple);
    script_say(&s, "1000000000000000 00000000 04000000");
    script_say(&s, "f81f000000000000 00000000 08000000");
    script_say(&s, "0100000000000000 00000000 01000000");
    assert_int_equal(vfuc_region_write_multi(c, three, 3, &done), 0);
    script_heard(&s, 3, "0300 0a00 24000000 00000000 00000000"
                 "1000000000000000 00000000 04000000 01020304", 0);
    script_heard(&s, 5, "0500 0a00 21000000 00000000 00000000"
                 "0100000000000000 00000000 01000000 5a", 0);
    assert_int_equal(done, 3);
    assert_int_equal(s.n_said, 6);
    known_done(&s, c);
}

/* n writes, byte i to offset i. */
static struct vfuc_write *many(size_t n)
{
    struct vfuc_write *w = calloc(n, sizeof(*w));

    assert_non_null(w);
    for (size_t i = 0; i < n; i++)
        w[i] = (struct vfuc_write){ .offset = i, .len = 1, .data = { (uint8_t)i } };
    return w;
}

/* Message i of the client has this many writes, the first of them to this offset. */
static void heard_writes(const struct script *s, size_t i, uint32_t flags, uint64_t n,
                         uint64_t first)
{
    const struct said *said = &s->said[i];
    struct vu_reader r;
    struct vu_header h;

    assert_true(i < s->n_said);
    assert_int_equal(said->len, 16 + 8 + 24 * n);
    r = vu_reader(said->bytes, said->len);
    assert_int_equal(vu_decode_header(&r, &h), 0);
    assert_int_equal(h.command, 15);
    assert_int_equal(h.flags, flags);
    assert_int_equal(vu_get_u64(&r), n);
    assert_int_equal(vu_get_u64(&r), first);
}

static void message_has_at_most_200_writes(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, AGREED, SAY_REGION0);
    struct vfuc_write *w = many(401);
    size_t done = 0;

    (void)state;
    script_say(&s, "c800000000000000");
    script_say(&s, "c800000000000000");
    script_say(&s, "0100000000000000");
    assert_int_equal(vfuc_region_write_multi(c, w, 401, &done), 0);
    assert_int_equal(done, 401);
    heard_writes(&s, 3, 0, 200, 0);
    heard_writes(&s, 4, 0, 200, 200);
    heard_writes(&s, 5, 0, 1, 400);
    free(w);
    known_done(&s, c);
}

/* A message is no larger than a REGION_WRITE that the server must take. */
static void message_stays_below_the_limit_of_the_server(void **state)
{
    static const struct {
        const char *caps;
        size_t fit;     /* writes in a message */
    } rows[] = {
        { AGREED ",\"max_data_xfer_size\":87", 3 },
        { AGREED ",\"max_data_xfer_size\":88", 4 },
        { AGREED ",\"max_data_xfer_size\":16", 1 },
    };
    struct vfuc_write *w = many(4);

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct script s;
        struct vfuc_client *c = known_region(&s, rows[i].caps, SAY_REGION0);

        for (size_t k = 0; k < 4; k += rows[i].fit)
            script_say(&s, "0000000000000000")->body[0] =
                (uint8_t)(rows[i].fit < 4 - k ? rows[i].fit : 4 - k);
        assert_int_equal(vfuc_region_write_multi(c, w, 4, NULL), 0);
        heard_writes(&s, 3, 0, rows[i].fit, 0);
        known_done(&s, c);
    }
    free(w);
}

static void limit_too_small_for_a_message_makes_single_writes(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, AGREED ",\"max_data_xfer_size\":3",
                                         SAY_REGION0);

    (void)state;
    script_say(&s, "1000000000000000 00000000 03000000");
    script_say(&s, "1300000000000000 00000000 01000000");
    assert_int_equal(vfuc_region_write_multi(c, three, 1, NULL), 0);
    script_heard(&s, 3, "0300 0a00 23000000 00000000 00000000"
                 "1000000000000000 00000000 03000000 010203", 0);
    script_heard(&s, 4, "0400 0a00 21000000 00000000 00000000"
                 "1300000000000000 00000000 01000000 04", 0);
    known_done(&s, c);
}

static void writes_that_cannot_be_are_not_sent(void **state)
{
    struct vfuc_write w[2] = { three[0], three[0] };
    struct script s;
    struct vfuc_client *c = known_region(&s, AGREED, SAY_REGION0);
    const struct vfuc_region *r;
    size_t done = 99;

    (void)state;
    script_say(&s, "20000000 01000000 01000000 00000000"
               "0020000000000000 0000000000000000");
    assert_int_equal(vfuc_region_info(c, 1, &r), 0);
    assert_int_equal(vfuc_region_write_multi(c, w, 0, &done), -EINVAL);
    w[1].len = 0;
    assert_int_equal(vfuc_region_write_multi(c, w, 2, &done), -EINVAL);
    w[1].len = 9;
    assert_int_equal(vfuc_region_write_multi(c, w, 2, &done), -EINVAL);
    assert_int_equal(vfuc_region_write_multi_posted(c, w, 2), -EINVAL);
    w[1] = three[0], w[1].offset = 0x1ffd;
    assert_int_equal(vfuc_region_write_multi(c, w, 2, &done), -ERANGE);
    w[1].offset = UINT64_MAX;
    assert_int_equal(vfuc_region_write_multi(c, w, 2, &done), -ERANGE);
    w[1] = three[0], w[1].index = 9;
    assert_int_equal(vfuc_region_write_multi(c, w, 2, &done), -ERANGE);
    w[1].index = 1;
    assert_int_equal(vfuc_region_write_multi(c, w, 2, &done), -EACCES);
    assert_int_equal(vfuc_region_write_multi_posted(c, w, 2), -EACCES);
    assert_int_equal(done, 99);
    assert_int_equal(s.n_said, 4);
    known_done(&s, c);
}

/* ----------------------------------------------------------------- refusals -- */

static void server_that_stops_tells_how_many_were_done(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, AGREED, SAY_REGION0);
    struct vfuc_write *w = many(300);
    size_t done = 99;

    (void)state;
    script_refuse(&s, 22);      /* an errno that is not this one's */
    assert_int_equal(vfuc_reset(c), -EREMOTEIO);
    script_say(&s, "0200000000000000");
    assert_int_equal(vfuc_region_write_multi(c, three, 3, &done), -EREMOTEIO);
    assert_int_equal(done, 2);
    assert_int_equal(vfuc_last_errno(c), 0);
    assert_string_equal(vfuc_last_error(c),
                        "REGION_WRITE_MULTI: the server stopped at write 2");
    script_say(&s, "0000000000000000");
    assert_int_equal(vfuc_region_write_multi(c, three, 3, &done), -EREMOTEIO);
    assert_int_equal(done, 0);
    script_say(&s, "c800000000000000");     /* in the second message of two */
    script_say(&s, "6300000000000000");
    assert_int_equal(vfuc_region_write_multi(c, w, 300, &done), -EREMOTEIO);
    assert_int_equal(done, 299);
    script_say(&s, "c700000000000000");     /* the first is not followed by another */
    assert_int_equal(vfuc_region_write_multi(c, w, 300, &done), -EREMOTEIO);
    assert_int_equal(done, 199);
    assert_int_equal(s.n_said, 9);
    assert_false(s.closed);
    free(w);
    known_done(&s, c);
}

static void refused_message_tells_what_was_done_before(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, AGREED, SAY_REGION0);
    struct vfuc_write *w = many(300);
    size_t done = 99;

    (void)state;
    script_say(&s, "c800000000000000");
    script_refuse(&s, 22);
    assert_int_equal(vfuc_region_write_multi(c, w, 300, &done), -EREMOTEIO);
    assert_int_equal(done, 200);
    assert_int_equal(vfuc_last_errno(c), 22);
    free(w);
    known_done(&s, c);
}

static void refused_single_write_tells_what_was_done_before(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, NULL, SAY_REGION0);
    size_t done = 99;

    (void)state;
    script_say(&s, "1000000000000000 00000000 04000000");
    script_refuse(&s, 5);
    assert_int_equal(vfuc_region_write_multi(c, three, 3, &done), -EREMOTEIO);
    assert_int_equal(done, 1);
    assert_int_equal(vfuc_last_errno(c), 5);
    assert_int_equal(s.n_said, 5);
    known_done(&s, c);
}

static void lost_connection_tells_nothing(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, AGREED, SAY_REGION0);
    size_t done = 99;

    (void)state;
    script_fail(&s, 0);
    assert_int_equal(vfuc_region_write_multi(c, three, 3, &done), -ENOTCONN);
    assert_int_equal(done, 99);
    assert_int_equal(vfuc_region_write_multi(c, three, 3, &done), -ENOTCONN);
    assert_int_equal(vfuc_region_write_multi_posted(c, three, 3), -ENOTCONN);
    known_done(&s, c);
}

/* ------------------------------------------------------------------- posted -- */

static void posted_writes_await_nothing(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, AGREED, SAY_REGION0);
    struct vfuc_write *w = many(250);

    (void)state;
    assert_int_equal(vfuc_region_write_multi_posted(c, three, 3), 0);
    script_heard(&s, 3, "0300 0f00 60000000 10000000 00000000" THREE, 0);
    assert_int_equal(vfuc_region_write_multi_posted(c, w, 250), 0);
    heard_writes(&s, 4, 0x10, 200, 0);
    heard_writes(&s, 5, 0x10, 50, 200);
    assert_int_equal(s.n_gathered, 0);
    free(w);
    known_done(&s, c);
}

static void posted_writes_are_a_message_each_if_not_agreed(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, NULL, SAY_REGION0);

    (void)state;
    assert_int_equal(vfuc_region_write_multi_posted(c, three, 3), 0);
    script_heard(&s, 3, "0300 0a00 24000000 10000000 00000000"
                 "1000000000000000 00000000 04000000 01020304", 0);
    script_heard(&s, 5, "0500 0a00 21000000 10000000 00000000"
                 "0100000000000000 00000000 01000000 5a", 0);
    assert_int_equal(s.n_said, 6);
    assert_int_equal(s.n_gathered, 0);
    known_done(&s, c);
}

/* Linked in place of libc's for our own objects. */
static unsigned n_sendmsg;

ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    n_sendmsg++;
    return __real_sendmsg(fd, msg, flags);
}

static void answer_ahead(int server, const char *hex)
{
    struct bytes b = bytes_of_hex(hex);

    assert_int_equal(send(server, b.data, b.len, 0), b.len);
}

static void posted_writes_leave_in_one_go(void **state)
{
    struct vfuc_write *w = many(450);
    const struct vfuc_region *r;
    struct vfuc_client *c;
    int fds[2];

    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    for (int agreed = 0; agreed < 2; agreed++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        answer_ahead(fds[1], "0000 0100 14000000 01000000 00000000 0000 0000");
        assert_int_equal(vfuc_connect_fd(fds[0], NULL, &c), 0);
        answer_ahead(fds[1], "0100 0400 20000000 01000000 00000000" SAY_DEVICE);
        answer_ahead(fds[1], "0200 0500 30000000 01000000 00000000" SAY_REGION0);
        assert_int_equal(vfuc_region_info(c, 0, &r), 0);
        c->limits.write_multiple = agreed != 0;
        n_sendmsg = 0;
        assert_int_equal(vfuc_region_write_multi_posted(c, w, 450), 0);
        assert_int_equal(n_sendmsg, 1);
        vfuc_close(c);
        close(fds[1]);
    }
    free(w);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(writes_are_one_message_if_agreed),
    VU_FD_TEST(writes_are_a_message_each_if_not_agreed),
    VU_FD_TEST(message_has_at_most_200_writes),
    VU_FD_TEST(message_stays_below_the_limit_of_the_server),
    VU_FD_TEST(limit_too_small_for_a_message_makes_single_writes),
    VU_FD_TEST(writes_that_cannot_be_are_not_sent),
    VU_FD_TEST(server_that_stops_tells_how_many_were_done),
    VU_FD_TEST(refused_message_tells_what_was_done_before),
    VU_FD_TEST(refused_single_write_tells_what_was_done_before),
    VU_FD_TEST(lost_connection_tells_nothing),
    VU_FD_TEST(posted_writes_await_nothing),
    VU_FD_TEST(posted_writes_are_a_message_each_if_not_agreed),
    VU_FD_TEST(posted_writes_leave_in_one_go),
};

VU_TEST_MAIN(tests)
