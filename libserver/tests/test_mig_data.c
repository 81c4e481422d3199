/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The data stream of migration: MIG_DATA_READ and MIG_DATA_WRITE.
 */
#include "libserver/tests/life.h"
#include "libserver/tests/migrate.h"

#include <limits.h>
#include <stdio.h>

#include "libserver/migration.h"

/* Reads are for the states that save, writes for RESUMING. */
static void data_flow_in_their_states_alone(void **state)
{
    struct core c;

    (void)state;
    for (uint32_t s = 1; s < VU_MIG_STATES; s++) {
        bool saves = s == VU_MIG_STOP_COPY || s == VU_MIG_PRE_COPY ||
                     s == VU_MIG_PRE_COPY_P2P;
        struct answer a;

        begin_in(&c, ALL, s);
        mover.end = 4;
        print_message("data in state %u\n", s);
        a = core_mig_read(&c, 0, 4);
        if (saves)
            assert_answer_ok(&a, 12);
        else
            assert_answer_error(&a, EINVAL);
        assert_int_equal(mover.reads, saves);
        a = core_mig_write(&c, 0, 4, "abcd", 4);
        if (s == VU_MIG_RESUMING)
            assert_answer_ok(&a, 0);
        else
            assert_answer_error(&a, EINVAL);
        assert_int_equal(mover.writes, s == VU_MIG_RESUMING);
        assert_int_equal(core_state(&c), s);
        core_end(&c);
    }
}

static char last_line[256];

static void keep_line(vfu_ctx_t *ctx, int level, const char *msg)
{
    (void)ctx;
    (void)level;
    snprintf(last_line, sizeof(last_line), "%s", msg);
}

static void data_of_a_device_that_cannot_be_moved_are_refused(void **state)
{
    struct answer a;
    struct core c;

    (void)state;
    core_begin(&c);
    assert_int_equal(vfu_setup_log(c.ctx, keep_line, LOG_WARNING), 0);
    a = core_mig_read(&c, 0, 4);
    assert_answer_error(&a, EINVAL);
    assert_non_null(strstr(last_line, "cannot be moved"));
    last_line[0] = '\0';
    a = core_mig_write(&c, 0, 4, "abcd", 4);
    assert_answer_error(&a, EINVAL);
    assert_non_null(strstr(last_line, "cannot be moved"));
    core_end(&c);
}

/* size and argsz count what came, and nothing else is in the message. */
static void check_read(struct core *c, uint32_t wanted, const void *data, uint32_t len)
{
    struct answer a = core_mig_read(c, 0, wanted);
    struct vu_mig_data m;

    assert_answer_ok(&a, VU_MIG_DATA_SIZE + len);
    DECODE(mig_data, &a, &m);
    assert_int_equal(m.size, len);
    assert_int_equal(m.argsz, VU_MIG_DATA_SIZE + len);
    assert_memory_equal(m.data.data, data, len);
}

static void a_read_answers_exactly_what_the_device_gave(void **state)
{
    struct core c;

    (void)state;
    begin_in(&c, 0, VU_MIG_STOP_COPY);
    memcpy(mover.stream, "0123456789", 10);
    mover.end = 10;
    check_read(&c, 4, "0123", 4);
    check_read(&c, 1, "4", 1);
    check_read(&c, 5, "56789", 5);
    check_read(&c, 5, "", 0);
    mover.at = 7;
    check_read(&c, 4096, "789", 3);
    check_read(&c, 4096, "", 0);
    core_end(&c);
}

static void a_short_read_in_pre_copy_is_not_the_end(void **state)
{
    struct core c;

    (void)state;
    begin_in(&c, 0, VU_MIG_PRE_COPY);
    memcpy(mover.stream, "abcdef", 6);
    mover.end = 3;
    check_read(&c, 8, "abc", 3);
    check_read(&c, 8, "", 0);
    mover.end = 5;
    check_read(&c, 8, "de", 2);
    core_go(&c, VU_MIG_STOP_COPY);
    mover.end = 6;
    check_read(&c, 8, "f", 1);      /* the stream goes on */
    core_end(&c);
}

static void no_data_need_no_device(void **state)
{
    struct answer a;
    struct core c;

    (void)state;
    begin_in(&c, 0, VU_MIG_STOP_COPY);
    check_read(&c, 0, "", 0);
    core_go(&c, VU_MIG_RESUMING);
    a = core_mig_write(&c, 0, 0, NULL, 0);
    assert_answer_ok(&a, 0);
    assert_int_equal(mover.reads + mover.writes, 0);
    core_end(&c);
}

/* The lesser of both sides' limits holds for both directions. */
static void check_limit(const char *json, uint32_t limit)
{
    static uint8_t data[VUS_MAX_DATA_XFER + 1];
    struct answer a;
    struct core c;

    core_begin_with(&c, json);
    mover_set_up(c.ctx, 0);
    mover.end = STREAM_MAX / 2;
    core_go(&c, VU_MIG_STOP_COPY);
    a = core_mig_read(&c, 0, limit);
    assert_answer_ok(&a, VU_MIG_DATA_SIZE + limit);
    a = core_mig_read(&c, 0, limit + 1);
    assert_answer_error(&a, EINVAL);
    core_go(&c, VU_MIG_RESUMING);
    mover.end = 0;
    a = core_mig_write(&c, 0, limit, data, limit);
    assert_answer_ok(&a, 0);
    assert_int_equal(mover.end, limit);
    a = core_mig_write(&c, 0, limit + 1, data, limit + 1);
    assert_answer_error(&a, EINVAL);
    assert_int_equal(mover.end, limit);
    core_end(&c);
}

static void sizes_are_limited_by_both_sides(void **state)
{
    (void)state;
    check_limit(NULL, VUS_MAX_DATA_XFER);
    check_limit("{\"capabilities\":{\"max_data_xfer_size\":100}}", 100);
    check_limit("{\"capabilities\":{\"max_data_xfer_size\":16777216}}",
                VUS_MAX_DATA_XFER);
}

static void huge_sizes_are_refused_without_memory(void **state)
{
    static const uint32_t sizes[] = { VUS_MAX_DATA_XFER + 1, 0x7fffffff, 0xfffffff7,
                                      0xfffffff8, 0xffffffff };
    struct core c;

    (void)state;
    begin_in(&c, 0, VU_MIG_STOP_COPY);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct answer a = core_mig_read(&c, UINT32_MAX, sizes[i]);

        assert_answer_error(&a, EINVAL);
    }
    assert_int_equal(mover.reads, 0);
    assert_true(c.out.room < VUS_MAX_DATA_XFER);
    assert_int_equal(c.ctx->scratch.room, 0);
    core_end(&c);
}

static void argsz_must_hold_the_data(void **state)
{
    struct answer a;
    struct core c;

    (void)state;
    begin_in(&c, 0, VU_MIG_STOP_COPY);
    mover.end = 16;
    for (uint32_t argsz = 1; argsz < 24; argsz++) {
        a = core_mig_read(&c, argsz, 16);
        assert_answer_error(&a, EINVAL);
    }
    a = core_mig_read(&c, 24, 16);
    assert_answer_ok(&a, 24);
    mover.at = 0;
    a = core_mig_read(&c, UINT32_MAX, 16);
    assert_answer_ok(&a, 24);
    core_go(&c, VU_MIG_RESUMING);
    for (uint32_t argsz = 1; argsz < 12; argsz++) {
        a = core_mig_write(&c, argsz, 4, "abcd", 4);
        assert_answer_error(&a, EINVAL);
    }
    assert_int_equal(mover.writes, 0);
    a = core_mig_write(&c, UINT32_MAX, 4, "abcd", 4);
    assert_answer_ok(&a, 0);
    core_end(&c);
}

static void every_truncation_is_refused(void **state)
{
    static const uint8_t body[] = { 28, 0, 0, 0, 20, 0, 0, 0, 'd', 'a', 't', 'a' };
    struct answer a;
    struct core c;

    (void)state;
    begin_in(&c, 0, VU_MIG_RESUMING);
    for (size_t len = 0; len <= sizeof(body); len++) {
        a = core_send(&c, VU_MIG_DATA_WRITE, body, len);
        assert_answer_error(&a, EINVAL);
    }
    for (size_t len = 0; len < 100; len++) {
        a = core_mig_write(&c, 0, 100, mover.stream, len);
        assert_answer_error(&a, EINVAL);
    }
    assert_int_equal(mover.writes, 0);
    core_go(&c, VU_MIG_STOP_COPY);
    for (size_t len = 0; len < VU_MIG_DATA_SIZE; len++) {
        a = core_send(&c, VU_MIG_DATA_READ, body, len);
        assert_answer_error(&a, EINVAL);
    }
    assert_int_equal(mover.reads, 0);
    core_end(&c);
}

static void bytes_behind_the_data_are_ignored(void **state)
{
    struct answer a;
    struct core c;

    (void)state;
    begin_in(&c, 0, VU_MIG_RESUMING);
    a = core_mig_write(&c, 0, 4, "abcdefgh", 8);
    assert_answer_ok(&a, 0);
    assert_int_equal(mover.end, 4);
    assert_memory_equal(mover.stream, "abcd", 4);
    core_end(&c);
}

/* What a device may return that makes no sense, or fails. */
static void a_device_is_not_trusted(void **state)
{
    static const struct {
        ssize_t answer;
        int err, read_error, write_error;   /* 0: success */
    } rows[] = {
        { -1, EIO, EIO, EIO },
        { -1, 0, EINVAL, EINVAL },
        { -5, ENOSPC, ENOSPC, ENOSPC },
        { 17, 0, EINVAL, EINVAL },
        { SSIZE_MAX, 0, EINVAL, EINVAL },
        { (ssize_t)1 << 32, 0, EINVAL, EINVAL },
        { ((ssize_t)1 << 32) + 16, 0, EINVAL, EINVAL },
        { -SSIZE_MAX - 1, EPERM, EPERM, EPERM },
        { 0, 0, 0, EINVAL },
        { 15, 0, 0, EINVAL },
        { 16, 0, 0, 0 },
    };
    struct answer a;
    struct core c;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        begin_in(&c, 0, VU_MIG_STOP_COPY);
        mover.lies = true;
        mover.answer = rows[i].answer;
        mover.answer_errno = rows[i].err;
        a = core_mig_read(&c, 0, 16);
        if (rows[i].read_error != 0)
            assert_answer_error(&a, (uint32_t)rows[i].read_error);
        else
            assert_answer_ok(&a, VU_MIG_DATA_SIZE + (size_t)rows[i].answer);
        assert_int_equal(core_state(&c), VU_MIG_STOP_COPY);
        core_go(&c, VU_MIG_RESUMING);
        a = core_mig_write(&c, 0, 16, mover.stream, 16);
        if (rows[i].write_error != 0)
            assert_answer_error(&a, (uint32_t)rows[i].write_error);
        else
            assert_answer_ok(&a, 0);
        assert_int_equal(core_state(&c), VU_MIG_RESUMING);
        core_end(&c);
    }
}

/* The buffers are used again and again; what was in them must not leave. */
static void what_a_device_leaves_alone_is_zero(void **state)
{
    static uint8_t zeros[4096];
    struct core c;

    (void)state;
    begin_in(&c, 0, VU_MIG_STOP_COPY);
    memset(mover.stream, 0xa5, sizeof(zeros));
    mover.end = sizeof(zeros);
    check_read(&c, sizeof(zeros), mover.stream, sizeof(zeros));
    mover.lies = true;
    mover.answer = sizeof(zeros);
    check_read(&c, sizeof(zeros), zeros, sizeof(zeros));
    core_end(&c);
}

/* Behind other replies, and out of a batch, data lie at any address. */
static void the_device_gets_aligned_buffers(void **state)
{
    uint8_t *block = malloc(64);
    struct answer a;
    struct core c;

    (void)state;
    begin_in(&c, 0, VU_MIG_STOP_COPY);
    memcpy(mover.stream, "ABCDEFGH", 8);
    for (size_t at = 0; at < 16; at++) {
        struct vu_header h = { .command = VU_MIG_DATA_READ, .size = 24 };
        static const uint8_t body[] = { 16, 0, 0, 0, 8, 0, 0, 0 };

        mover.at = 0;
        mover.end = 8;
        memcpy(block, body, sizeof(body));
        vu_message_init(&c.m, &h, block, sizeof(body));
        vu_buffer_truncate(&c.out, 0);
        assert_non_null(vu_buffer_extend(&c.out, at));
        c.reply.out = &c.out;
        assert_int_equal(vus_process(c.ctx, &c.m, &c.reply), VUS_SERVED);
        a = core_answer(&c);
        assert_answer_ok(&a, 16);
        assert_memory_equal(a.body + 8, "ABCDEFGH", 8);
    }
    core_go(&c, VU_MIG_RESUMING);
    for (size_t at = 0; at < 16; at++) {
        struct vu_header h = { .command = VU_MIG_DATA_WRITE, .size = 32 };
        static const uint8_t body[] = { 16, 0, 0, 0, 8, 0, 0, 0,
                                        'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h' };

        mover.end = 0;
        memcpy(block + at, body, sizeof(body));
        vu_message_init(&c.m, &h, block + at, sizeof(body));
        vu_buffer_truncate(&c.out, 0);
        assert_int_equal(vus_process(c.ctx, &c.m, &c.reply), VUS_SERVED);
        a = core_answer(&c);
        assert_answer_ok(&a, 0);
        assert_memory_equal(mover.stream, "abcdefgh", 8);
    }
    assert_int_equal(mover.reads, 16);
    assert_int_equal(mover.writes, 16);
    assert_int_equal(mover.misaligned, 0);
    core_end(&c);
    free(block);
}

static void no_reply_carries_out_and_stays_silent(void **state)
{
    static const uint8_t read[] = { 12, 0, 0, 0, 4, 0, 0, 0 };
    static const uint8_t write[] = { 12, 0, 0, 0, 4, 0, 0, 0, 'w', 'x', 'y', 'z' };
    struct core c;

    (void)state;
    begin_in(&c, 0, VU_MIG_STOP_COPY);
    mover.end = 8;
    core_post(&c, VU_MIG_DATA_READ, read, sizeof(read));
    assert_int_equal(mover.at, 4);
    core_go(&c, VU_MIG_RESUMING);
    mover.end = 0;
    core_post(&c, VU_MIG_DATA_WRITE, write, sizeof(write));
    assert_memory_equal(mover.stream, "wxyz", 4);
    core_post(&c, VU_MIG_DATA_READ, read, sizeof(read));    /* an error is silent too */
    core_end(&c);
}

/* ---------------------------------------------------------------- faults -- */

static void without_room_for_the_reply_the_device_is_not_asked(void **state)
{
    struct answer a;
    struct core c;

    (void)state;
    begin_in(&c, 0, VU_MIG_STOP_COPY);
    mover.end = 64;
    c.out.limit = VU_HEADER_SIZE + 15;
    a = core_mig_read(&c, 0, 8);
    assert_int_equal(a.len, VU_HEADER_SIZE);
    assert_int_not_equal(a.h.error, 0);
    assert_int_equal(mover.reads, 0);
    a = core_set_state(&c, VU_MIG_STOP);
    assert_int_equal(a.len, VU_HEADER_SIZE);
    assert_int_not_equal(a.h.error, 0);
    assert_string_equal(mover.steps, "");
    c.out.limit = 4096;
    assert_int_equal(core_state(&c), VU_MIG_STOP_COPY);
    core_end(&c);
}

static void without_an_aligned_buffer_data_are_refused(void **state)
{
    static const uint8_t body[] = { 12, 0, 0, 0, 4, 0, 0, 0, 'w', 'x', 'y', 'z' };
    uint8_t *block = malloc(32);
    struct vu_header h = { .command = VU_MIG_DATA_WRITE, .size = 28 };
    struct answer a;
    struct core c;

    (void)state;
    begin_in(&c, 0, VU_MIG_RESUMING);
    vu_buffer_done(&c.ctx->scratch);
    c.ctx->scratch.limit = 0;
    memcpy(block + 1, body, sizeof(body));
    vu_message_init(&c.m, &h, block + 1, sizeof(body));
    vu_buffer_truncate(&c.out, 0);
    assert_int_equal(vus_process(c.ctx, &c.m, &c.reply), VUS_SERVED);
    a = core_answer(&c);
    assert_answer_error(&a, ENOMEM);
    assert_int_equal(mover.writes, 0);
    core_end(&c);
    free(block);
}

/* ---------------------------------------------------------------- socket -- */

/* In a non-blocking context, both directions, in chunks: what was saved is loaded. */
static void a_stream_passes_over_a_socket(void **state)
{
    static struct received m;
    static uint8_t saved[100000], bytes[40000];
    struct life l;
    size_t got = 0;
    int fd;

    (void)state;
    life_begin(&l, LIBVFIO_USER_FLAG_ATTACH_NB);
    mover_set_up(l.core.ctx, 0);
    for (size_t i = 0; i < sizeof(saved); i++)
        mover.stream[i] = (uint8_t)(i * 7 + i / 251);
    mover.end = sizeof(saved);
    fd = life_client(&l);
    socket_set_state(&l, fd, VU_MIG_STOP_COPY);
    do {
        /* 30000 bytes */
        static const uint8_t body[8] = { 0x38, 0x75, 0, 0, 0x30, 0x75, 0, 0 };

        put_message(bytes, 5, VU_MIG_DATA_READ, 0, body, sizeof(body));
        client_send(fd, bytes, VU_HEADER_SIZE + sizeof(body));
        assert_run(&l, 1, 0);
        client_receive(fd, &m);
        assert_int_equal(m.h.flags, VU_F_TYPE_REPLY);
        memcpy(saved + got, m.body + 8, m.body_len - 8);
        got += m.body_len - 8;
    } while (m.body_len == 8 + 30000);
    assert_int_equal(got, sizeof(saved));
    assert_memory_equal(saved, mover.stream, sizeof(saved));

    socket_set_state(&l, fd, VU_MIG_RESUMING);
    memset(mover.stream, 0, sizeof(saved));
    mover.end = 0;
    for (size_t at = 0; at < sizeof(saved); at += 20000) {
        static uint8_t body[8 + 20000] = { 0x28, 0x4e, 0, 0, 0x20, 0x4e, 0, 0 };

        memcpy(body + 8, saved + at, 20000);
        put_message(bytes, 6, VU_MIG_DATA_WRITE, 0, body, sizeof(body));
        client_send(fd, bytes, VU_HEADER_SIZE + sizeof(body));
        while (mover.end < at + 20000)
            assert_true(vfu_run_ctx(l.core.ctx) >= 0);
        assert_reply(fd, 6, 0);
    }
    assert_int_equal(mover.end, sizeof(saved));
    assert_memory_equal(saved, mover.stream, sizeof(saved));
    assert_int_equal(mover.misaligned, 0);
    close(fd);
    life_end(&l);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(data_flow_in_their_states_alone),
    VU_FD_TEST(data_of_a_device_that_cannot_be_moved_are_refused),
    VU_FD_TEST(a_read_answers_exactly_what_the_device_gave),
    VU_FD_TEST(a_short_read_in_pre_copy_is_not_the_end),
    VU_FD_TEST(no_data_need_no_device),
    VU_FD_TEST(sizes_are_limited_by_both_sides),
    VU_FD_TEST(huge_sizes_are_refused_without_memory),
    VU_FD_TEST(argsz_must_hold_the_data),
    VU_FD_TEST(every_truncation_is_refused),
    VU_FD_TEST(bytes_behind_the_data_are_ignored),
    VU_FD_TEST(a_device_is_not_trusted),
    VU_FD_TEST(what_a_device_leaves_alone_is_zero),
    VU_FD_TEST(the_device_gets_aligned_buffers),
    VU_FD_TEST(no_reply_carries_out_and_stays_silent),
    VU_FD_TEST(without_room_for_the_reply_the_device_is_not_asked),
    VU_FD_TEST(without_an_aligned_buffer_data_are_refused),
    VU_FD_TEST(a_stream_passes_over_a_socket),
};

VU_TEST_MAIN(tests)
