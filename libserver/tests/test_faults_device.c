/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Failures that a session does not come by (test_faults_session.c), of what serves one
 * command: set-up, registers, interrupts, migration, VERSION, reset.
 */
#include "libserver/tests/irq_support.h"
#include "libserver/tests/migrate.h"

#include "libserver/tests/faults.h"

/* ------------------------------------------------------------------ set-up -- */

static void a_realize_without_memory_can_be_repeated(void **state)
{
    struct vfu_ctx *ctx = vus_ctx_new(0, NULL);

    (void)state;
    assert_non_null(ctx);
    faults_arm(ALLOCATIONS, 1);
    assert_int_equal(vfu_realize_ctx(ctx), -1);
    assert_int_equal(errno, ENOMEM);
    faults_rest();
    assert_true(faults.hit);
    assert_int_equal(vfu_realize_ctx(ctx), 0);
    vfu_destroy_ctx(ctx);
}

static void vectors_that_find_no_memory_stay_as_they_were(void **state)
{
    struct events e;
    struct core c;

    (void)state;
    begin_assigned(&c, &e);
    faults_arm(ALLOCATIONS, 1);
    assert_int_equal(vfu_setup_device_nr_irqs(c.ctx, VFU_DEV_MSIX_IRQ, 4 * N_MSIX), -1);
    assert_int_equal(errno, ENOMEM);
    faults_rest();
    assert_int_equal(vfu_irq_trigger(c.ctx, N_MSIX - 1), 0);
    assert_int_equal(taken(e.fd[N_MSIX - 1]), 1);
    assert_int_equal(vfu_irq_trigger(c.ctx, N_MSIX), -1);
    assert_int_equal(vfu_setup_device_nr_irqs(c.ctx, VFU_DEV_MSIX_IRQ, 4 * N_MSIX), 0);
    assert_int_equal(vfu_irq_trigger(c.ctx, N_MSIX - 1), 0);
    assert_int_equal(taken(e.fd[N_MSIX - 1]), 1);
    end_assigned(&c, &e);
}

static int n_lines;

static void count_line(vfu_ctx_t *ctx, int level, const char *line)
{
    (void)ctx;
    (void)level;
    (void)line;
    n_lines++;
}

static void a_log_can_be_taken_away(void **state)
{
    struct core c;

    (void)state;
    core_begin(&c);
    n_lines = 0;
    assert_int_equal(vfu_setup_log(c.ctx, count_line, LOG_DEBUG), 0);
    vfu_log(c.ctx, LOG_ERR, "one");
    assert_int_equal(n_lines, 1);
    assert_int_equal(vfu_setup_log(c.ctx, NULL, LOG_DEBUG), 0);
    errno = ERANGE;
    vfu_log(c.ctx, LOG_ERR, "two");
    assert_int_equal(errno, ERANGE);
    assert_int_equal(n_lines, 1);
    core_end(&c);
}

/* ------------------------------------------------ bytes at an odd address -- */

/* A command whose body, and whose reply, begin at odd addresses: the device is given
 * memory of the library's own. */
static struct answer process_odd(struct core *c, uint16_t command, const void *body,
                                 size_t len)
{
    struct vu_header h = {
        .msg_id = 3, .command = command, .size = (uint32_t)(VU_HEADER_SIZE + len),
    };

    free(c->body);
    c->body = malloc(len + 1);
    assert_non_null(c->body);
    memcpy(c->body + 1, body, len);
    vu_message_init(&c->m, &h, c->body + 1, len);
    vu_buffer_truncate(&c->out, 0);
    assert_non_null(vu_buffer_extend(&c->out, 1));
    c->reply.out = &c->out;
    faults_go_on();
    assert_int_equal(vus_process(c->ctx, &c->m, &c->reply), VUS_SERVED);
    faults_rest();
    return core_answer(c);
}

static void assert_odd_needs_memory(struct core *c, uint16_t command, const void *body,
                                    size_t len, size_t reply_len)
{
    struct answer a;

    faults_arm_call("realloc", ALLOCATIONS, 1);
    a = process_odd(c, command, body, len);
    assert_true(faults.hit);
    assert_answer_error(&a, ENOMEM);
    a = process_odd(c, command, body, len);
    assert_answer_ok(&a, reply_len);
}

static void room_for_replies(struct core *c)
{
    vu_buffer_truncate(&c->out, 0);
    assert_non_null(vu_buffer_extend(&c->out, 1u << 20));
    vu_buffer_done(&c->ctx->scratch);
}

static void a_register_access_that_needs_memory_says_so(void **state)
{
    struct vu_region_access m = { .offset = 8, .count = 6 };
    uint8_t body[VU_REGION_ACCESS_SIZE + 6];
    struct vu_writer w = vu_writer(body, VU_REGION_ACCESS_SIZE);
    struct core c;

    (void)state;
    core_begin(&c);
    vu_encode_region_access(&w, &m);
    memcpy(body + VU_REGION_ACCESS_SIZE, "abcdef", 6);
    room_for_replies(&c);
    assert_odd_needs_memory(&c, VU_REGION_WRITE, body, sizeof(body),
                            VU_REGION_ACCESS_SIZE);
    assert_memory_equal(c.bar0 + 8, "abcdef", 6);
    room_for_replies(&c);
    assert_odd_needs_memory(&c, VU_REGION_READ, body, VU_REGION_ACCESS_SIZE,
                            VU_REGION_ACCESS_SIZE + 6);
    assert_int_equal(c.seen.accesses, 2);       /* none without memory */
    assert_int_equal(c.seen.misaligned, 0);
    core_end(&c);
}

static void a_read_of_device_state_that_needs_memory_loses_none(void **state)
{
    const struct vu_mig_data m = { .argsz = VU_MIG_DATA_SIZE + 64, .size = 64 };
    uint8_t body[VU_MIG_DATA_SIZE];
    struct core c;

    (void)state;
    begin_in(&c, 0, VU_MIG_STOP_COPY);
    mover.end = 100;
    ENCODE(mig_data, &m, body);
    room_for_replies(&c);
    assert_odd_needs_memory(&c, VU_MIG_DATA_READ, body, sizeof(body),
                            VU_MIG_DATA_SIZE + 64);
    assert_int_equal(mover.reads, 1);
    assert_int_equal(mover.at, 64);
    core_end(&c);
}

/* -------------------------------------------------------------- interrupts -- */

/* The device takes its vectors away from another thread, that is: at any moment. */
static void take_vectors_away(void *arg)
{
    struct core *c = arg;

    faults_rest();
    assert_int_equal(vfu_setup_device_nr_irqs(c->ctx, VFU_DEV_MSIX_IRQ, 0), 0);
}

/* SET_IRQS in which the vectors go just before the given call. */
static struct answer set_while_they_go(struct core *c, const char *name, unsigned kind,
                                       uint32_t flags, int *fd)
{
    struct answer a;

    faults_arm_call(name, kind, 1);
    faults.instead = take_vectors_away;
    faults.arg = c;
    a = send_set(c, flags, VFU_DEV_MSIX_IRQ, 0, 1, fd, fd != NULL);
    faults_rest();
    assert_true(faults.hit);
    return a;
}

static void vectors_that_go_meanwhile_are_refused(void **state)
{
    static const uint32_t with_fd[] = { EVENTFD | TRIGGER, EVENTFD | UNMASK };
    static const uint32_t without[] = { NONE | TRIGGER, NONE | MASK };
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct core c;

    (void)state;
    core_begin(&c);
    for (size_t i = 0; i < 2; i++) {
        einval(set_while_they_go(&c, "fstat", SYSTEM_CALLS, with_fd[i], &fd));
        assert_int_equal(c.ctx->wake.added, 0);     /* the descriptor is not watched */
        assert_int_equal(vfu_setup_device_nr_irqs(c.ctx, VFU_DEV_MSIX_IRQ, N_MSIX), 0);
        einval(set_while_they_go(&c, "pthread_mutex_lock", LOCKS, without[i], NULL));
        assert_int_equal(vfu_setup_device_nr_irqs(c.ctx, VFU_DEV_MSIX_IRQ, N_MSIX), 0);
    }
    ok(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_MSIX_IRQ, 0, 1, &fd, 1));
    assert_int_equal(vfu_irq_trigger(c.ctx, 0), 0);
    assert_int_equal(taken(fd), 1);
    core_end(&c);
    close(fd);
}

/* A device whose kernel has no asynchronous I/O to give. */
static void begin_without_aio(struct core *c, int fd)
{
    core_begin(c);
    faults_arm_call("syscall", SYSTEM_CALLS, 1);
    ok(send_set(c, EVENTFD | TRIGGER, VFU_DEV_MSIX_IRQ, 0, 1, &fd, 1));
    faults_rest();
    assert_true(faults.hit);
}

static void a_full_counter_is_not_waited_for(void **state)
{
    const uint64_t most = UINT64_MAX - 1;
    int fd = eventfd(0, EFD_CLOEXEC);       /* blocking */
    struct core c;

    (void)state;
    begin_without_aio(&c, fd);
    assert_int_equal(write(fd, &most, sizeof(most)), sizeof(most));
    alarm(20);      /* a write() would wait for ever */
    assert_int_equal(vfu_irq_trigger(c.ctx, 0), 0);
    alarm(0);
    assert_true(taken(fd) == most);
    assert_int_equal(vfu_irq_trigger(c.ctx, 0), 0);
    assert_int_equal(taken(fd), 1);
    core_end(&c);
    close(fd);
}

static void a_signal_that_cannot_be_sent_is_reported(void **state)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct core c;

    (void)state;
    begin_without_aio(&c, fd);
    faults_arm_call("write", SYSTEM_CALLS, 1);
    assert_int_equal(vfu_irq_trigger(c.ctx, 0), -1);
    assert_int_equal(errno, EIO);
    faults_rest();
    assert_int_equal(taken(fd), 0);
    assert_int_equal(vfu_irq_trigger(c.ctx, 0), 0);
    assert_int_equal(taken(fd), 1);
    core_end(&c);
    close(fd);
}

/* --------------------------------------------------------- VERSION, quiesce -- */

static void a_version_whose_answer_has_no_room_agrees_on_nothing(void **state)
{
    static const char twin[] =
        "{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}";
    struct answer a;
    struct core c;
    int fds;

    (void)state;
    core_new(&c);
    fds = vu_test_open_fds();
    c.out.limit = VU_HEADER_SIZE + 8;
    a = core_version(&c, 0, 1, twin);
    assert_answer_error(&a, EINVAL);
    assert_int_equal(c.outcome, VUS_FATAL);
    assert_false(c.ctx->session.negotiated);
    assert_int_equal(vu_test_open_fds(), fds);
    c.out.limit = 4096;
    a = core_version(&c, 0, 1, NULL);
    assert_int_equal(c.outcome, VUS_SERVED);
    core_end(&c);
}

static void a_late_reply_that_finds_no_memory_ends_the_connection(void **state)
{
    struct core c;

    (void)state;
    core_begin(&c);
    vfu_setup_device_quiesce_cb(c.ctx, core_quiesce);
    c.how.quiesce_errno = EBUSY;
    core_send(&c, VU_DEVICE_RESET, NULL, 0);
    assert_int_equal(c.outcome, VUS_PENDING);
    vu_buffer_done(&c.out);
    faults_arm_call("realloc", ALLOCATIONS, 1);
    assert_int_equal(vus_resume(c.ctx, &c.m, &c.reply, 0), VUS_FATAL);
    faults_rest();
    vus_resumed(c.ctx);
    assert_int_equal(c.seen.resets, 0);
    assert_false(vus_quiesce_pending(&c.ctx->quiesce));
    c.how.quiesce_errno = 0;
    core_send(&c, VU_DEVICE_RESET, NULL, 0);
    assert_int_equal(c.outcome, VUS_SERVED);
    assert_int_equal(c.seen.resets, 1);
    core_end(&c);
}

static int reset_again(vfu_ctx_t *ctx, vfu_reset_type_t type)
{
    struct core *c = vfu_get_private(ctx);

    c->seen.resets++;
    c->seen.reset_type = type;
    if (c->seen.resets == 1)
        vus_ctx_reset(ctx);
    return 0;
}

static void a_client_that_is_lost_in_a_reset_is_not_reset_twice(void **state)
{
    struct answer a;
    struct core c;

    (void)state;
    core_begin(&c);
    assert_int_equal(vfu_setup_device_reset_cb(c.ctx, reset_again), 0);
    a = core_send(&c, VU_DEVICE_RESET, NULL, 0);
    assert_answer_ok(&a, 0);
    assert_int_equal(c.seen.resets, 1);
    assert_true(c.ctx->session.negotiated);
    vus_ctx_reset(c.ctx);
    assert_int_equal(c.seen.resets, 2);
    assert_int_equal(c.seen.reset_type, VFU_RESET_LOST_CONN);
    assert_false(c.ctx->session.negotiated);
    core_end(&c);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(a_realize_without_memory_can_be_repeated),
    VU_FD_TEST(vectors_that_find_no_memory_stay_as_they_were),
    VU_FD_TEST(a_log_can_be_taken_away),
    VU_FD_TEST(a_register_access_that_needs_memory_says_so),
    VU_FD_TEST(a_read_of_device_state_that_needs_memory_loses_none),
    VU_FD_TEST(vectors_that_go_meanwhile_are_refused),
    VU_FD_TEST(a_full_counter_is_not_waited_for),
    VU_FD_TEST(a_signal_that_cannot_be_sent_is_reported),
    VU_FD_TEST(a_version_whose_answer_has_no_room_agrees_on_nothing),
    VU_FD_TEST(a_late_reply_that_finds_no_memory_ends_the_connection),
    VU_FD_TEST(a_client_that_is_lost_in_a_reset_is_not_reset_twice),
};

VU_TEST_MAIN(tests)
