/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Channels against a model: long random streams, cut anywhere, with random descriptors,
 * taken and held at random, must come out as they went in. A failure prints the seed of
 * its run; SEED=n in the environment repeats that one alone.
 */
#include "wire/tests/peer.h"

#define MESSAGES  120
#define MAX_FDS   12u   /* descriptors that one message is sent with */
#define MAX_HOLDS 8

struct expected {
    uint32_t size;
    size_t start, end;          /* in the stream */
    size_t n_fds;
    int tags[MAX_FDS];
};

struct model {
    struct pair p;
    struct vu_channel_limits limits;
    unsigned seed;
    struct expected messages[MESSAGES];
    uint8_t *stream;
    size_t len, sent;
    unsigned sending;           /* index of the message that `sent` lies in */
    unsigned taken;             /* of the next to be handed out */
    int next_tag;
    struct vu_message held[MAX_HOLDS];
    unsigned held_index[MAX_HOLDS], n_held;
};

static uint32_t pick(struct model *m, uint32_t below)
{
    return (uint32_t)rand_r(&m->seed) % below;
}

static uint32_t pick_size(struct model *m)
{
    switch (pick(m, 12)) {
    case 0:
        return 16 + pick(m, 200000);
    case 1:
    case 2:
        return 16 + pick(m, 6000);
    default:
        return 16 + pick(m, 70);
    }
}

static void model_begin(struct model *m, unsigned seed)
{
    memset(m, 0, sizeof(*m));
    m->seed = seed;
    m->limits = usual_limits;
    m->limits.max_fds = pick(m, 3) == 0 ? pick(m, MAX_FDS) : VU_MAX_MSG_FDS;
    m->limits.batch = pick(m, 2) == 0 ? 65536 : pick(m, 3000);
    m->limits.max_message = 200016;
    m->p = pair_open_with(&m->limits);
    m->next_tag = 1;
    for (unsigned i = 0; i < MESSAGES; i++) {
        m->messages[i].size = pick_size(m);
        m->messages[i].start = m->len;
        m->len += m->messages[i].size;
        m->messages[i].end = m->len;
    }
    m->stream = malloc(m->len);
    for (unsigned i = 0; i < MESSAGES; i++)
        make_message(m->stream + m->messages[i].start, (uint16_t)i, m->messages[i].size);
}

static void model_end(struct model *m)
{
    assert_int_equal(m->taken, MESSAGES);
    free(m->stream);
    pair_close(&m->p);
}

/* m->messages[i] gets n descriptors more; fds receives them. */
static void add_fds(struct model *m, struct expected *e, int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        e->tags[e->n_fds++] = m->next_tag;
        fds[i] = tagged_fd(m->next_tag++);
    }
}

static void close_fds(const int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
}

/* Send a piece of the stream. One that carries descriptors ends within its message. */
static void send_piece(struct model *m)
{
    struct expected *e = &m->messages[m->sending];
    size_t len = 1 + pick(m, pick(m, 2) == 0 ? 60 : 9000);
    size_t n = pick(m, 3) == 0 ? pick(m, 5) : 0;
    int fds[MAX_FDS];
    struct iovec iov;
    int64_t done;

    if (e->n_fds + n > MAX_FDS)
        n = 0;
    if (len > m->len - m->sent)
        len = m->len - m->sent;
    if (n > 0 && len > e->end - m->sent)
        len = e->end - m->sent;
    iov = (struct iovec){ m->stream + m->sent, len };
    add_fds(m, e, fds, n);
    done = vu_socket_send(m->p.peer, &iov, 1, fds, n);
    close_fds(fds, n);
    if (done < 0) {
        assert_int_equal(done, -EAGAIN);
        e->n_fds -= n;
        return;
    }
    m->sent += (size_t)done;
    while (m->sending < MESSAGES - 1 && m->sent >= m->messages[m->sending].end)
        m->sending++;
}

static void check_taken(struct model *m, const struct vu_message *got, unsigned i)
{
    const struct expected *e = &m->messages[i];
    size_t n = e->n_fds < m->limits.max_fds ? e->n_fds : m->limits.max_fds;

    check_message(got, (uint16_t)i, e->size);
    assert_int_equal(got->n_fds, n);
    assert_int_equal(got->fds_lost, n < e->n_fds);
    for (size_t j = 0; j < n; j++)
        assert_int_equal(fd_tag(got->fds[j]), e->tags[j]);
}

static void release_one(struct model *m)
{
    struct vu_message *last = &m->held[--m->n_held];

    check_taken(m, last, m->held_index[m->n_held]);
    vu_message_done(last);
    vu_channel_release(m->p.ch);
}

/* Take a message, if there is one, and perhaps hold it. */
static bool take(struct model *m)
{
    struct vu_message *got = &m->held[m->n_held < MAX_HOLDS ? m->n_held : 0];
    struct vu_message spare;

    if (m->n_held == MAX_HOLDS)
        got = &spare;
    if (vu_channel_next(m->p.ch, got) != 1)
        return false;
    check_taken(m, got, m->taken++);
    if (m->n_held < MAX_HOLDS && pick(m, 8) == 0) {
        assert_int_equal(vu_channel_hold(m->p.ch), 0);
        m->held_index[m->n_held++] = m->taken - 1;
    } else {
        vu_message_done(got);
    }
    return true;
}

static void fill(struct model *m)
{
    int64_t n = vu_channel_fill(m->p.ch, VU_DONT_WAIT);

    if (n == -ENOBUFS)
        assert_true(take(m));
    else
        assert_true(n > 0 || n == -EAGAIN);
}

static void run_reading(unsigned seed)
{
    struct model m;

    model_begin(&m, seed);
    while (m.taken < MESSAGES) {
        switch (pick(&m, 8)) {
        case 0:
        case 1:
        case 2:
            if (m.sent < m.len)
                send_piece(&m);
            break;
        case 3:
        case 4:
            fill(&m);
            break;
        case 5:
            if (m.n_held > 0)
                release_one(&m);
            break;
        default:
            while (take(&m) && pick(&m, 10) != 0)
                continue;
        }
    }
    while (m.n_held > 0)
        release_one(&m);
    model_end(&m);
}

/* The reading side of a stream that a channel writes: takes all there is. */
static int take_all(struct pollfd *polled, void *arg)
{
    struct model *m = arg;

    (void)polled;
    for (;;) {
        int64_t n;

        while (take(m))
            continue;
        while (m->n_held > 0)
            release_one(m);
        n = vu_channel_fill(m->p.ch, VU_DONT_WAIT);
        if (n == -EAGAIN)
            return 0;
        assert_true(n > 0);
    }
}

static void write_one(struct model *m, struct vu_channel *out, unsigned i)
{
    struct expected *e = &m->messages[i];
    struct iovec iov[2] = {
        { m->stream + e->start, VU_HEADER_SIZE },
        { m->stream + e->start + VU_HEADER_SIZE, e->size - VU_HEADER_SIZE },
    };
    int fds[MAX_FDS];
    size_t n = pick(m, 4) == 0 ? pick(m, MAX_FDS) : 0;
    int err;

    add_fds(m, e, fds, n);
    if (pick(m, 4) == 0)
        err = vu_channel_send(out, iov, 2, fds, n, vu_deadline_in_ms(60000));
    else
        err = vu_channel_post(out, append_message(out, (uint16_t)i, e->size), fds, n);
    assert_int_equal(err, 0);
    close_fds(fds, n);
}

static void run_writing(unsigned seed)
{
    struct model m;
    struct vu_channel *out;

    model_begin(&m, seed);
    out = vu_channel_new(m.p.peer, &m.limits);
    assert_non_null(out);
    m.p.peer = -1;
    calls.on_poll = take_all;
    calls.on_poll_arg = &m;
    for (unsigned i = 0; i < MESSAGES; i++) {
        write_one(&m, out, i);
        if (pick(&m, 5) == 0) {
            int err = vu_channel_flush(out, VU_DONT_WAIT);

            assert_true(err == 0 || err == -EAGAIN);
        }
        if (pick(&m, 5) == 0)
            take_all(NULL, &m);
    }
    assert_int_equal(vu_channel_flush(out, VU_FOREVER), 0);
    take_all(NULL, &m);
    vu_channel_free(out);
    model_end(&m);
}

static unsigned running;     /* the seed, for the report of a failure; 0 after success */

static int print_seed(void **state)
{
    if (running != 0)
        print_message("seed %u\n", running);
    return vu_test_fds_after(state);
}

static void run(void (*test)(unsigned seed), unsigned seeds)
{
    const char *only = getenv("SEED");

    if (only != NULL) {
        running = (unsigned)strtoul(only, NULL, 10);
        test(running);
    } else {
        for (running = 1; running <= seeds; running++)
            test(running);
    }
    running = 0;
}

static void what_is_read_is_what_was_sent(void **state)
{
    (void)state;
    run(run_reading, 100);
}

static void what_is_written_is_what_arrives(void **state)
{
    (void)state;
    run(run_writing, 100);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(what_is_read_is_what_was_sent, vu_test_fds_before,
                                    print_seed),
    cmocka_unit_test_setup_teardown(what_is_written_is_what_arrives, vu_test_fds_before,
                                    print_seed),
};

VU_TEST_MAIN(tests)
