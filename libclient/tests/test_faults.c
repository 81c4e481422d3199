/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every allocation and every system call around the sockets fails once, in a session that
 * goes through all that the core of the client does: nothing leaks, nothing hangs, every
 * command is completed, and what only interrupts is not noticed.
 *
 * The faults are those of the test's own thread; the server is another one.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "libclient/tests/talk.h"
#include "wire/tests/calls.h"

#define MIB     (1u << 20)
#define WINDOW  0x4000u
#define READS   5u
#define STEPS   16u

/* ----------------------------------------------------------------- server -- */

struct server {
    int main, twin;
    uint8_t *body;
};

static bool serve_info(struct server *s, const struct vu_header *h)
{
    static const uint32_t device[] = { 16, 3, 9, 5 };
    static const uint32_t region[] = { 32, 3, 0, 0, 4u << 20, 0, 0, 0 };

    if (h->command == VU_DEVICE_GET_INFO)
        return talk_reply(s->main, h, device, sizeof(device), NULL, 0);
    return talk_reply(s->main, h, region, sizeof(region), NULL, 0);
}

static bool serve_access(struct server *s, const struct vu_header *h)
{
    static const uint8_t data[4] = { 1, 2, 3, 4 };

    return talk_reply(s->main, h, s->body, VU_REGION_ACCESS_SIZE, data,
                      h->command == VU_REGION_READ ? 4 : 0);
}

/* Before it is reset the device reads and writes memory, and asks for what is none. */
static bool serve_reset(struct server *s, const struct vu_header *h)
{
    struct vu_header answer, unknown = { .msg_id = 9, .command = 200 };
    uint8_t data[WINDOW] = { 7 };

    return talk_dma(s->twin, 1, VU_DMA_READ, 0, WINDOW, NULL)
        && talk_dma(s->twin, 2, VU_DMA_WRITE, 0, WINDOW, data)
        && talk_dma(s->twin, 3, VU_DMA_READ, 0x100000, 4, NULL)
        && talk_receive(s->twin, &answer, s->body, TALK_BODY_MAX)
        && talk_receive(s->twin, &answer, s->body, TALK_BODY_MAX)
        && talk_receive(s->twin, &answer, s->body, TALK_BODY_MAX)
        && talk_send(s->main, unknown, NULL, 0, NULL, 0)
        && talk_receive(s->main, &answer, s->body, TALK_BODY_MAX)
        && talk_reply(s->main, h, NULL, 0, NULL, 0);
}

static bool serve_one(struct server *s, const struct vu_header *h)
{
    switch (h->command) {
    case VU_DEVICE_GET_INFO:
    case VU_DEVICE_GET_REGION_INFO:
        return serve_info(s, h);
    case VU_REGION_READ:
    case VU_REGION_WRITE:
        return (h->flags & VU_F_NO_REPLY) != 0 || serve_access(s, h);
    case VU_DEVICE_RESET:
        return serve_reset(s, h);
    default:
        return talk_reply(s->main, h, NULL, 0, NULL, 0);
    }
}

static void *serve(void *arg)
{
    struct server *s = arg;
    struct vu_header h;

    while (talk_receive(s->main, &h, s->body, TALK_BODY_MAX) && serve_one(s, &h))
        ;
    shutdown(s->main, SHUT_RDWR);
    shutdown(s->twin, SHUT_RDWR);
    return NULL;
}

/* ---------------------------------------------------------------- session -- */

/* What the client's calls gave; 0 for steps that were not reached. */
struct outcome {
    int result[STEPS];
    unsigned submitted, completed;
};

static void keep(struct outcome *o, unsigned *step, int result)
{
    assert_true(*step < STEPS);
    o->result[(*step)++] = result;
}

static void submit_reads(struct vfuc_client *c, struct outcome *o, unsigned *step)
{
    struct vfuc_completion done[READS];
    uint32_t values[READS];
    int n = 0, err;

    for (unsigned i = 0; i < READS; i++) {
        err = vfuc_submit_region_read(c, 0, 4 * i, &values[i], 4, i);
        o->submitted += err == 0;
        if (err < 0)
            keep(o, step, err);
    }
    while (vfuc_pending(c) > 0 && (n = vfuc_wait(c, done, READS, -1)) >= 0) {
        o->completed += (unsigned)n;
        for (int i = 0; i < n; i++) {
            if (done[i].result != 0)
                o->result[*step] = done[i].result;
        }
    }
    (*step)++;
    keep(o, step, n < 0 ? n : 0);
}

static void run_steps(struct vfuc_client *c, int memfd, struct outcome *o)
{
    static uint8_t data[MIB];
    const struct vfuc_region *region;
    unsigned step = 0;
    uint32_t value;

    keep(o, &step, vfuc_region_info(c, 0, &region));
    keep(o, &step, vfuc_region_read(c, 0, 0, &value, 4));
    keep(o, &step, vfuc_dma_map(c, 0, WINDOW, 3, memfd, 0));
    keep(o, &step, vfuc_reset(c));
    keep(o, &step, vfuc_region_write(c, 0, 0, data, sizeof(data)));
    keep(o, &step, vfuc_region_write_posted(c, 0, 0, data, sizeof(data)));
    submit_reads(c, o, &step);
}

/* One session. Returns false when it was over before the fault's turn came. */
static bool play(const struct calls *fault, struct outcome *o)
{
    struct vfuc_options options = { .size = sizeof(options),
                                    .twin_socket = VFUC_TWIN_INLINE };
    int memfd = memfd_create("window", MFD_CLOEXEC);
    struct server s = { .body = malloc(TALK_BODY_MAX) };
    struct vfuc_client *c;
    pthread_t thread;
    bool reached;

    assert_int_equal(ftruncate(memfd, WINDOW), 0);
    memset(o, 0, sizeof(*o));
    c = talk_connect(&options, &s.main, &s.twin);
    assert_int_equal(pthread_create(&thread, NULL, serve, &s), 0);
    calls = *fault;
    run_steps(c, memfd, o);
    reached = calls.malloc >= calls.malloc_fails_at
           && calls.system >= calls.system_fails_at;
    vfuc_close(c);
    calls_reset();
    pthread_join(thread, NULL);
    close(s.main);
    close(s.twin);
    close(memfd);
    free(s.body);
    return reached;
}

static void expect_told(const struct outcome *o)
{
    for (unsigned i = 0; i < STEPS; i++) {
        switch (o->result[i]) {
        case 0:
        case -ENOMEM:
        case -ENOTCONN:
            break;
        default:
            fail_msg("step %u: %d", i, o->result[i]);
        }
    }
    assert_int_equal(o->submitted, o->completed);
}

static void expect_unnoticed(const struct outcome *o)
{
    for (unsigned i = 0; i < STEPS; i++)
        assert_int_equal(o->result[i], 0);
    assert_int_equal(o->submitted, READS);
    assert_int_equal(o->completed, READS);
}

/* ------------------------------------------------------------------ faults -- */

/* The fault at every place in turn. Returns how many places there are. */
static unsigned play_all(struct calls fault, void (*expected)(const struct outcome *))
{
    int fds = vu_test_open_fds();
    struct outcome o;

    for (unsigned at = 1;; at++) {
        if (fault.system_errno != 0)
            fault.system_fails_at = at;
        else
            fault.malloc_fails_at = at;
        if (!play(&fault, &o))
            return at - 1;
        expected(&o);
        assert_int_equal(vu_test_open_fds(), fds);
    }
}

static void without_a_fault_all_goes_well(void **state)
{
    const struct calls none = { .system_fails_at = 0 };
    struct outcome o;

    (void)state;
    assert_true(play(&none, &o));
    expect_unnoticed(&o);
}

static void one_allocation_fails(void **state)
{
    const struct calls fault = { .malloc_fails_once = true };

    (void)state;
    assert_in_range(play_all(fault, expect_told), 8, 200);
}

static void from_one_allocation_on_all_fail(void **state)
{
    const struct calls fault = { .malloc_fails_once = false };

    (void)state;
    assert_in_range(play_all(fault, expect_told), 3, 200);
}

static void one_system_call_fails(void **state)
{
    static const int errors[] = { ENOMEM, ENOBUFS, EPERM };

    (void)state;
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        const struct calls fault = { .system_errno = errors[i] };

        assert_in_range(play_all(fault, expect_told), 20, 2000);
    }
}

static void an_interruption_is_not_noticed(void **state)
{
    const struct calls fault = { .system_errno = EINTR };

    (void)state;
    assert_in_range(play_all(fault, expect_unnoticed), 20, 2000);
}

static void a_socket_that_is_not_ready_after_all_is_not_noticed(void **state)
{
    const struct calls fault = { .system_errno = EAGAIN };

    (void)state;
    assert_in_range(play_all(fault, expect_unnoticed), 20, 2000);
}

/* -------------------------------------------------------------- connecting -- */

/* False when it was over before the fault's turn came. */
static bool connect_with(const struct calls *fault, int *result)
{
    struct vfuc_options options = { .size = sizeof(options), .timeout_ms = 2000,
                                    .capabilities = "{}", .max_data_xfer_size = MIB };
    struct vfuc_client *c = NULL;
    bool reached;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    talk_type(fds[1], "0000 0100 14000000 01000000 00000000 0000 0000");
    calls = *fault;
    *result = vfuc_connect_fd(fds[0], &options, &c);
    reached = calls.malloc >= calls.malloc_fails_at
           && calls.system >= calls.system_fails_at;
    calls_reset();
    assert_true((*result == 0) == (c != NULL));
    vfuc_close(c);
    close(fds[1]);
    return reached;
}

static void connecting_fails_as_a_whole(void **state)
{
    static const int errors[] = { 0, ENOMEM, ECONNRESET, EINTR };

    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        struct calls fault = { .system_errno = errors[i], .malloc_fails_once = true };
        unsigned at = 0, failures = 0;
        int fds = vu_test_open_fds(), result;

        do {
            at++;
            fault.malloc_fails_at = errors[i] == 0 ? at : 0;
            fault.system_fails_at = errors[i] == 0 ? 0 : at;
            failures += connect_with(&fault, &result) && result != 0;
            assert_int_equal(vu_test_open_fds(), fds);
        } while (at < 100);
        if (errors[i] == EINTR)
            assert_int_equal(failures, 0);
        else
            assert_in_range(failures, 1, 99);
    }
}

/* The kernel may say ECONNRESET once to who sends, where it says EPIPE otherwise. */
static void what_a_server_said_before_it_left_is_heard(void **state)
{
    struct vfuc_options options = { .size = sizeof(options) };
    int server;
    struct vfuc_client *c = talk_connect(&options, &server, NULL);

    (void)state;
    talk_type(server, "0100 0d00 10000000 21000000 07000000");
    calls_reset();
    calls.system_errno = ECONNRESET;
    calls.system_fails_at = 1;
    assert_int_equal(vfuc_reset(c), -EREMOTEIO);
    assert_int_equal(calls.sendmsg, 1);
    assert_int_equal(vfuc_last_errno(c), 7);
    calls_reset();
    vfuc_close(c);
    close(server);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(without_a_fault_all_goes_well),
    VU_FD_TEST(one_allocation_fails),
    VU_FD_TEST(from_one_allocation_on_all_fail),
    VU_FD_TEST(one_system_call_fails),
    VU_FD_TEST(an_interruption_is_not_noticed),
    VU_FD_TEST(a_socket_that_is_not_ready_after_all_is_not_noticed),
    VU_FD_TEST(connecting_fails_as_a_whole),
    VU_FD_TEST(what_a_server_said_before_it_left_is_heard),
};

VU_TEST_MAIN(tests)
