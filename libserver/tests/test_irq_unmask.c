/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupts beyond SET_IRQS itself: triggers of a given type, interrupts that mask
 * themselves, unmasking by eventfd, numbers of vectors, and threads that trigger.
 */
#include "libserver/tests/irq_support.h"
#include "libserver/tests/life.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>

/* vus_wake_add() can be made to fail with ENOSPC at a call; what succeeded is counted. */
static int watch_fails_at, n_watched;

int __real_vus_wake_add(struct vfu_ctx *ctx, int fd);
int __wrap_vus_wake_add(struct vfu_ctx *ctx, int fd);
int __wrap_vus_wake_add(struct vfu_ctx *ctx, int fd)
{
    int err = watch_fails_at == n_watched + 1 ? -ENOSPC : __real_vus_wake_add(ctx, fd);

    n_watched += err == 0;
    return err;
}

void __real_vus_wake_del(struct vfu_ctx *ctx, int fd);
void __wrap_vus_wake_del(struct vfu_ctx *ctx, int fd);
void __wrap_vus_wake_del(struct vfu_ctx *ctx, int fd)
{
    n_watched--;
    __real_vus_wake_del(ctx, fd);
}

/* ------------------------------------------------------- triggers by type -- */

static void a_type_s_trigger_reaches_that_type_alone(void **state)
{
    int fd[VFU_DEV_NUM_IRQS];
    struct core c;

    (void)state;
    core_begin(&c);
    for (uint32_t i = 0; i < VFU_DEV_NUM_IRQS; i++) {
        assert_int_equal(vfu_irq_trigger_type(c.ctx, i, 0), -1);
        assert_int_equal(errno, ENOENT);
        fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        ok(send_set(&c, EVENTFD | TRIGGER, i, 0, 1, &fd[i], 1));
    }
    for (uint32_t i = 0; i < VFU_DEV_NUM_IRQS; i++) {
        assert_int_equal(vfu_irq_trigger_type(c.ctx, i, 0), 0);
        for (uint32_t k = 0; k < VFU_DEV_NUM_IRQS; k++)
            assert_int_equal(taken(fd[k]), k == i);
    }
    for (uint32_t i = 0; i < VFU_DEV_NUM_IRQS; i++)
        close(fd[i]);
    core_end(&c);
}

static void a_trigger_of_no_type_or_vector_is_the_device_s_mistake(void **state)
{
    static const uint32_t counts[VFU_DEV_NUM_IRQS] = { 1, N_MSI, N_MSIX, 1, 1 };
    struct core c;

    (void)state;
    core_begin(&c);
    for (uint32_t i = 0; i < VFU_DEV_NUM_IRQS; i++) {
        assert_int_equal(vfu_irq_trigger_type(c.ctx, i, counts[i]), -1);
        assert_int_equal(errno, EINVAL);
        assert_int_equal(vfu_irq_trigger_type(c.ctx, i, UINT32_MAX), -1);
        assert_int_equal(errno, EINVAL);
    }
    assert_int_equal(vfu_irq_trigger_type(c.ctx, VFU_DEV_NUM_IRQS, 0), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(vfu_irq_trigger_type(c.ctx, (enum vfu_dev_irq_type)-1, 0), -1);
    assert_int_equal(errno, EINVAL);
    core_end(&c);
}

/* --------------------------------------------------------------- automask -- */

/* An INTx that masks itself, with its eventfd. */
static int begin_automask(struct core *c)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    core_begin(c);
    assert_int_equal(vfu_setup_irq_automask(c->ctx, VFU_DEV_INTX_IRQ, true), 0);
    ok(send_set(c, EVENTFD | TRIGGER, VFU_DEV_INTX_IRQ, 0, 1, &fd, 1));
    return fd;
}

static uint32_t info_flags(struct core *c, uint32_t index)
{
    struct vu_irq_info m = { .argsz = 16, .index = index };
    uint8_t body[VU_IRQ_INFO_SIZE];
    struct answer a;

    ENCODE(irq_info, &m, body);
    a = core_send(c, VU_DEVICE_GET_IRQ_INFO, body, sizeof(body));
    assert_answer_ok(&a, VU_IRQ_INFO_SIZE);
    DECODE(irq_info, &a, &m);
    return m.flags;
}

static void automask_is_for_intx_and_the_client_is_told(void **state)
{
    struct core c;

    (void)state;
    core_begin(&c);
    for (uint32_t i = VFU_DEV_MSI_IRQ; i <= VFU_DEV_NUM_IRQS; i++) {
        assert_int_equal(vfu_setup_irq_automask(c.ctx, i, true), -1);
        assert_int_equal(errno, EINVAL);
    }
    assert_int_equal(vfu_setup_irq_automask(c.ctx, VFU_DEV_INTX_IRQ, true), 0);
    assert_int_equal(info_flags(&c, VFU_DEV_INTX_IRQ),
                     VU_IRQ_EVENTFD | VU_IRQ_MASKABLE | VU_IRQ_AUTOMASKED);
    assert_int_equal(info_flags(&c, VFU_DEV_MSIX_IRQ), VU_IRQ_EVENTFD | VU_IRQ_MASKABLE);
    assert_int_equal(vfu_setup_irq_automask(c.ctx, VFU_DEV_INTX_IRQ, false), 0);
    assert_int_equal(info_flags(&c, VFU_DEV_INTX_IRQ), VU_IRQ_EVENTFD | VU_IRQ_MASKABLE);
    core_end(&c);
}

static void an_interrupt_masks_itself_until_unmasked(void **state)
{
    struct core c;
    int fd = begin_automask(&c);

    (void)state;
    for (int round = 0; round < 3; round++) {
        assert_int_equal(vfu_irq_trigger(c.ctx, 0), 0);
        assert_int_equal(taken(fd), round == 0);
        ok(send_set(&c, NONE | TRIGGER, VFU_DEV_INTX_IRQ, 0, 1, NULL, 0));
        assert_int_equal(vfu_irq_trigger_type(c.ctx, VFU_DEV_INTX_IRQ, 0), 0);
        assert_int_equal(taken(fd), 0);
        ok(send_set(&c, NONE | UNMASK, VFU_DEV_INTX_IRQ, 0, 1, NULL, 0));
        assert_int_equal(taken(fd), 1);     /* the three were one, and masked again */
    }
    ok(send_set(&c, NONE | UNMASK, VFU_DEV_INTX_IRQ, 0, 1, NULL, 0));
    assert_int_equal(taken(fd), 0);
    assert_int_equal(vfu_irq_trigger(c.ctx, 0), 0);
    assert_int_equal(taken(fd), 1);
    close(fd);
    core_end(&c);
}

static void a_new_eventfd_is_not_masked_by_the_interrupt_of_an_old_one(void **state)
{
    struct core c;
    int fd = begin_automask(&c);

    (void)state;
    for (int round = 0; round < 2; round++) {
        assert_int_equal(vfu_irq_trigger(c.ctx, 0), 0);
        assert_int_equal(taken(fd), 1);
        if (round == 0)
            ok(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_INTX_IRQ, 0, 1, NULL, 0));
        else
            ok(send_set(&c, NONE | TRIGGER, VFU_DEV_INTX_IRQ, 0, 0, NULL, 0));
        ok(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_INTX_IRQ, 0, 1, &fd, 1));
    }
    assert_int_equal(vfu_irq_trigger(c.ctx, 0), 0);
    assert_int_equal(taken(fd), 1);
    close(fd);
    core_end(&c);
}

static void automask_switched_off_lets_every_trigger_through(void **state)
{
    struct core c;
    int fd = begin_automask(&c);

    (void)state;
    assert_int_equal(vfu_setup_irq_automask(c.ctx, VFU_DEV_INTX_IRQ, false), 0);
    assert_int_equal(vfu_irq_trigger(c.ctx, 0), 0);
    assert_int_equal(vfu_irq_trigger(c.ctx, 0), 0);
    assert_int_equal(taken(fd), 2);
    /* Vectors that come later are as the type was set. */
    assert_int_equal(vfu_setup_irq_automask(c.ctx, VFU_DEV_INTX_IRQ, true), 0);
    assert_int_equal(vfu_setup_device_nr_irqs(c.ctx, VFU_DEV_INTX_IRQ, 2), 0);
    ok(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_INTX_IRQ, 1, 1, &fd, 1));
    assert_int_equal(vfu_irq_trigger(c.ctx, 1), 0);
    assert_int_equal(vfu_irq_trigger(c.ctx, 1), 0);
    assert_int_equal(taken(fd), 1);
    close(fd);
    core_end(&c);
}

/* -------------------------------------------------------- unmask by eventfd -- */

static void signal_once(int fd)
{
    const uint64_t one = 1;

    assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static bool wakes(struct core *c)
{
    struct pollfd p = { .fd = vfu_get_wake_fd(c->ctx), .events = POLLIN };

    assert_true(p.fd >= 0);
    return poll(&p, 1, 0) == 1;
}

static void an_eventfd_unmasks_and_the_device_is_told(void **state)
{
    struct core c;
    int fd = begin_automask(&c);
    int unmask = eventfd(0, EFD_CLOEXEC);       /* a read could wait for ever */

    (void)state;
    n_told = 0;
    assert_int_equal(vfu_setup_irq_state_callback(c.ctx, VFU_DEV_INTX_IRQ, keep_state),
                     0);
    ok(send_set(&c, EVENTFD | UNMASK, VFU_DEV_INTX_IRQ, 0, 1, &unmask, 1));
    assert_false(wakes(&c));
    for (int n = 0; n < 2; n++)
        assert_int_equal(vfu_irq_trigger(c.ctx, 0), 0);
    assert_int_equal(taken(fd), 1);
    vus_irqs_poll_unmask(c.ctx);                /* nothing yet */
    assert_int_equal(taken(fd), 0);
    assert_int_equal(n_told, 0);
    signal_once(unmask);
    signal_once(unmask);
    assert_true(wakes(&c));
    vus_irqs_poll_unmask(c.ctx);
    assert_int_equal(taken(fd), 1);
    assert_int_equal(n_told, 1);
    assert_int_equal(told[0].start, 0);
    assert_int_equal(told[0].count, 1);
    assert_false(told[0].mask);
    assert_false(wakes(&c));
    assert_int_equal(vfu_irq_trigger(c.ctx, 0), 0);     /* it masked itself again */
    assert_int_equal(taken(fd), 0);
    close(unmask);
    close(fd);
    core_end(&c);
}

static void a_trigger_sees_for_itself_that_it_is_unmasked(void **state)
{
    struct core c;
    int fd = begin_automask(&c);
    int unmask = eventfd(0, EFD_CLOEXEC);

    (void)state;
    ok(send_set(&c, EVENTFD | UNMASK, VFU_DEV_INTX_IRQ, 0, 1, &unmask, 1));
    for (int n = 0; n < 3; n++) {
        assert_int_equal(vfu_irq_trigger(c.ctx, 0), 0);
        assert_int_equal(taken(fd), 1);
        signal_once(unmask);
    }
    close(unmask);
    close(fd);
    core_end(&c);
}

static void an_unmask_that_came_before_its_eventfd_counts(void **state)
{
    struct core c;
    int fd = begin_automask(&c);
    int unmask = eventfd(1, EFD_CLOEXEC);

    (void)state;
    assert_int_equal(vfu_irq_trigger(c.ctx, 0), 0);
    assert_int_equal(vfu_irq_trigger(c.ctx, 0), 0);
    assert_int_equal(taken(fd), 1);
    ok(send_set(&c, EVENTFD | UNMASK, VFU_DEV_INTX_IRQ, 0, 1, &unmask, 1));
    assert_int_equal(taken(fd), 1);
    close(unmask);
    close(fd);
    core_end(&c);
}

static void eventfds_for_unmasking_are_closed_with_all_else(void **state)
{
    struct events e = make_events(EFD_NONBLOCK);
    struct core c;
    int before;

    (void)state;
    core_begin(&c);
    assert_true(vfu_get_wake_fd(c.ctx) >= 0);
    before = vu_test_open_fds();
    ok(send_set(&c, EVENTFD | UNMASK, VFU_DEV_MSIX_IRQ, 0, N_MSIX, e.fd, N_MSIX));
    assert_int_equal(vu_test_open_fds(), before + (int)N_MSIX);
    ok(send_set(&c, EVENTFD | UNMASK, VFU_DEV_MSIX_IRQ, 0, N_MSIX, e.fd, N_MSIX));
    assert_int_equal(vu_test_open_fds(), before + (int)N_MSIX);
    ok(send_set(&c, EVENTFD | UNMASK, VFU_DEV_MSIX_IRQ, 2, 3, NULL, 0));
    assert_int_equal(vu_test_open_fds(), before + (int)N_MSIX - 3);
    assert_int_equal(vfu_setup_device_nr_irqs(c.ctx, VFU_DEV_MSIX_IRQ, 6), 0);
    assert_int_equal(vu_test_open_fds(), before + 3);
    ok(send_set(&c, NONE | TRIGGER, VFU_DEV_MSIX_IRQ, 0, 0, NULL, 0));
    assert_int_equal(vu_test_open_fds(), before);
    for (size_t i = 0; i < N_MSIX; i++)
        signal_once(e.fd[i]);
    assert_false(wakes(&c));        /* the client's copies are listened to no more */
    ok(send_set(&c, EVENTFD | UNMASK, VFU_DEV_INTX_IRQ, 0, 1, e.fd, 1));
    vus_ctx_reset(c.ctx);
    assert_int_equal(vu_test_open_fds(), before);
    signal_once(e.fd[0]);
    assert_false(wakes(&c));
    core_end(&c);
    close_events(&e);
}

static void a_vector_keeps_all_that_it_has_when_the_device_gets_more(void **state)
{
    struct core c;
    int fd = begin_automask(&c);
    int unmask = eventfd(0, EFD_CLOEXEC);
    struct vus_vectors *old = c.ctx->irqs.sets[VFU_DEV_INTX_IRQ].table;

    (void)state;
    ok(send_set(&c, EVENTFD | UNMASK, VFU_DEV_INTX_IRQ, 0, 1, &unmask, 1));
    for (int n = 0; n < 2; n++)
        assert_int_equal(vfu_irq_trigger(c.ctx, 0), 0);
    assert_int_equal(taken(fd), 1);
    assert_int_equal(vfu_setup_device_nr_irqs(c.ctx, VFU_DEV_INTX_IRQ, 9), 0);
    assert_ptr_equal(c.ctx->irqs.sets[VFU_DEV_INTX_IRQ].table->older, old);
    assert_true(old->v[0].moved && !old->v[0].direct);
    assert_int_equal(taken(fd), 0);
    signal_once(unmask);
    vus_irqs_poll_unmask(c.ctx);
    assert_int_equal(taken(fd), 1);
    close(unmask);
    close(fd);
    core_end(&c);
}

static void descriptors_that_cannot_unmask_are_refused(void **state)
{
    struct core c;
    int fds[3], pipe_fds[2], before;

    (void)state;
    core_begin(&c);
    assert_true(vfu_get_wake_fd(c.ctx) >= 0);
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    fds[0] = eventfd(0, EFD_CLOEXEC);
    fds[1] = eventfd(0, EFD_CLOEXEC);
    before = vu_test_open_fds();
    fds[2] = epoll_create1(EPOLL_CLOEXEC);
    einval(send_set(&c, EVENTFD | UNMASK, VFU_DEV_MSIX_IRQ, 0, 3, fds, 3));
    close(fds[2]);
    fds[2] = inotify_init1(IN_CLOEXEC);     /* reading it could wait */
    einval(send_set(&c, EVENTFD | UNMASK, VFU_DEV_MSIX_IRQ, 0, 3, fds, 3));
    close(fds[2]);
    fds[2] = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);  /* signals by itself */
    einval(send_set(&c, EVENTFD | UNMASK, VFU_DEV_MSIX_IRQ, 0, 3, fds, 3));
    einval(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_MSIX_IRQ, 0, 3, fds, 3));
    close(fds[2]);
    einval(send_set(&c, EVENTFD | UNMASK, VFU_DEV_MSIX_IRQ, 0, 1, pipe_fds, 1));
    einval(send_set(&c, EVENTFD | UNMASK, VFU_DEV_MSIX_IRQ, 0, 1, &c.memory, 1));
    einval(send_set(&c, EVENTFD | UNMASK, VFU_DEV_ERR_IRQ, 0, 1, fds, 1));
    assert_int_equal(vu_test_open_fds(), before);
    signal_once(fds[0]);
    assert_false(wakes(&c));
    close(fds[0]);
    close(fds[1]);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    core_end(&c);
}

/* Those watched before the one that fails must not stay so. */
static void eventfds_are_watched_all_or_none(void **state)
{
    struct core c;
    int fd = eventfd(0, EFD_CLOEXEC);
    int before;

    (void)state;
    core_begin(&c);
    assert_true(vfu_get_wake_fd(c.ctx) >= 0);
    before = vu_test_open_fds();
    n_watched = 0;
    watch_fails_at = 3;
    refused_with(send_set(&c, EVENTFD | UNMASK, VFU_DEV_MSIX_IRQ, 0, 3,
                          (int[]){ fd, fd, fd }, 3), ENOSPC);
    watch_fails_at = 0;
    assert_int_equal(n_watched, 0);
    assert_int_equal(vu_test_open_fds(), before);
    signal_once(fd);
    assert_false(wakes(&c));
    close(fd);
    core_end(&c);
}

static void a_descriptor_that_cannot_be_read_any_more_is_dropped(void **state)
{
    struct core c;
    int unmask = eventfd(0, EFD_CLOEXEC);
    int other = epoll_create1(EPOLL_CLOEXEC);
    int ours, before;

    (void)state;
    core_begin(&c);
    assert_true(vfu_get_wake_fd(c.ctx) >= 0);
    before = vu_test_open_fds();
    ok(send_set(&c, EVENTFD | UNMASK, VFU_DEV_INTX_IRQ, 0, 1, &unmask, 1));
    ours = c.ctx->irqs.sets[VFU_DEV_INTX_IRQ].table->v[0].unmask_fd;
    assert_int_equal(dup3(other, ours, O_CLOEXEC), ours);
    vus_irqs_poll_unmask(c.ctx);
    assert_int_equal(vu_test_open_fds(), before);
    assert_int_equal(c.ctx->irqs.sets[VFU_DEV_INTX_IRQ].listening, 0);
    close(unmask);
    close(other);
    core_end(&c);
}

/* ------------------------------------------------------------------ counts -- */

static int n_warnings;

static void count_warnings(vfu_ctx_t *ctx, int level, const char *msg)
{
    (void)ctx;
    (void)msg;
    n_warnings += level == LOG_WARNING;
}

static void counts_that_no_pci_device_has_are_taken_with_a_warning(void **state)
{
    static const struct { uint32_t type, count; bool usual; } counts[] = {
        { VFU_DEV_INTX_IRQ, 0, true }, { VFU_DEV_INTX_IRQ, 1, true },
        { VFU_DEV_INTX_IRQ, 2, false }, { VFU_DEV_MSI_IRQ, 0, true },
        { VFU_DEV_MSI_IRQ, 32, true }, { VFU_DEV_MSI_IRQ, 3, false },
        { VFU_DEV_MSI_IRQ, 64, false }, { VFU_DEV_MSIX_IRQ, 2048, true },
        { VFU_DEV_MSIX_IRQ, 3, true }, { VFU_DEV_MSIX_IRQ, 2049, false },
        { VFU_DEV_ERR_IRQ, 2, false }, { VFU_DEV_REQ_IRQ, 0, true },
    };
    struct core c;

    (void)state;
    core_begin(&c);
    assert_int_equal(vfu_setup_log(c.ctx, count_warnings, LOG_WARNING), 0);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        n_warnings = 0;
        assert_int_equal(vfu_setup_device_nr_irqs(c.ctx, counts[i].type, counts[i].count),
                         0);
        assert_int_equal(n_warnings, !counts[i].usual);
    }
    core_end(&c);
}

/* --------------------------------------------------------------- run loop -- */

static void client_set_irqs(struct life *l, int fd, uint32_t flags, int eventfd_)
{
    struct vu_irq_set m = range(flags, VFU_DEV_INTX_IRQ, 0, 1);
    uint8_t body[VU_IRQ_SET_SIZE], bytes[VU_HEADER_SIZE + VU_IRQ_SET_SIZE];

    m.argsz = VU_IRQ_SET_SIZE;
    ENCODE(irq_set, &m, body);
    put_message(bytes, 9, VU_DEVICE_SET_IRQS, 0, body, sizeof(body));
    client_send_fds(fd, bytes, sizeof(bytes), &eventfd_, 1);
    assert_run(l, 1, 0);
    assert_reply(fd, 9, 0);
}

static void the_run_loop_sees_an_unmask_by_eventfd(void **state)
{
    struct life l;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int unmask = eventfd(0, EFD_CLOEXEC);
    int client;

    (void)state;
    life_begin(&l, LIBVFIO_USER_FLAG_ATTACH_NB);
    assert_int_equal(vfu_setup_irq_automask(l.core.ctx, VFU_DEV_INTX_IRQ, true), 0);
    client = life_client(&l);
    client_set_irqs(&l, client, EVENTFD | TRIGGER, fd);
    client_set_irqs(&l, client, EVENTFD | UNMASK, unmask);
    for (int n = 0; n < 2; n++)
        assert_int_equal(vfu_irq_trigger(l.core.ctx, 0), 0);
    assert_int_equal(taken(fd), 1);
    assert_run(&l, 0, 0);
    assert_int_equal(taken(fd), 0);
    signal_once(unmask);
    assert_run(&l, 0, 0);
    assert_int_equal(taken(fd), 1);
    close(client);
    assert_run(&l, -1, ENOTCONN);
    assert_int_equal(l.core.ctx->irqs.sets[VFU_DEV_INTX_IRQ].listening, 0);
    life_end(&l);
    close(unmask);
    close(fd);
}

/* --------------------------------------------------------------- threads -- */

#define N_THREADS 4
#define N_ROUNDS  400

struct triggering {
    struct core *c;
    atomic_bool stop;
    atomic_uint signalled;
    atomic_uint unexpected;
};

static void *trigger_all(void *arg)
{
    struct triggering *t = arg;

    while (!atomic_load(&t->stop)) {
        for (uint32_t i = 0; i < N_MSIX; i++) {
            if (vfu_irq_trigger(t->c->ctx, i) == 0)
                atomic_fetch_add(&t->signalled, 1);
            else if (errno != ENOENT)
                atomic_fetch_add(&t->unexpected, 1);
        }
    }
    return NULL;
}

/*
 * Threads trigger while the client assigns, masks and disables. After each
 * disable the freed descriptor numbers are reused for pipes at once: a late
 * trigger would leave bytes there.
 */
static void triggers_never_hit_a_descriptor_that_was_closed(void **state)
{
    struct events e;
    struct core c;
    struct triggering t = { .c = &c };
    pthread_t threads[N_THREADS];
    uint64_t received = 0;

    (void)state;
    begin_assigned(&c, &e);
    for (size_t i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, trigger_all, &t), 0);
    for (int round = 0; round < N_ROUNDS; round++) {
        struct pollfd p = { .events = POLLIN };
        int pipe_fds[2];

        ok(send_set(&c, NONE | MASK, VFU_DEV_MSIX_IRQ, 0, 4, NULL, 0));
        ok(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_MSIX_IRQ, 2, 2, NULL, 0));
        ok(send_set(&c, NONE | UNMASK, VFU_DEV_MSIX_IRQ, 0, 4, NULL, 0));
        ok(send_set(&c, NONE | TRIGGER, VFU_DEV_MSIX_IRQ, 0, 0, NULL, 0));
        assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
        sched_yield();
        p.fd = pipe_fds[0];
        assert_int_equal(poll(&p, 1, 0), 0);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        ok(send_set(&c, EVENTFD | TRIGGER, VFU_DEV_MSIX_IRQ, 0, N_MSIX, e.fd, N_MSIX));
    }
    /* At least one must have got through before the threads are stopped. */
    while (atomic_load(&t.signalled) == 0)
        sched_yield();
    atomic_store(&t.stop, true);
    for (size_t i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < N_MSIX; i++)
        received += taken(e.fd[i]);
    assert_int_equal(atomic_load(&t.unexpected), 0);
    assert_true(received > 0);
    assert_true(received <= atomic_load(&t.signalled));
    end_assigned(&c, &e);
}

/* Not one signal is lost or doubled between threads. */
static void *trigger_many(void *arg)
{
    struct triggering *t = arg;

    for (int i = 0; i < 10000; i++) {
        if (vfu_irq_trigger(t->c->ctx, (uint32_t)i % N_MSIX) != 0)
            atomic_fetch_add(&t->unexpected, 1);
    }
    return NULL;
}

static void triggers_from_threads_all_arrive(void **state)
{
    struct events e;
    struct core c;
    struct triggering t = { .c = &c };
    pthread_t threads[N_THREADS];

    (void)state;
    begin_assigned(&c, &e);
    for (size_t i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, trigger_many, &t), 0);
    for (size_t i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&t.unexpected), 0);
    for (size_t i = 0; i < N_MSIX; i++)
        assert_int_equal(taken(e.fd[i]), N_THREADS * 10000 / N_MSIX);
    end_assigned(&c, &e);
}

/* Vectors move to ever larger tables while threads trigger them. */
static void no_trigger_is_lost_while_the_device_gets_more_vectors(void **state)
{
    struct events e;
    struct core c;
    struct triggering t = { .c = &c };
    pthread_t threads[N_THREADS];

    (void)state;
    begin_assigned(&c, &e);
    for (size_t i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, trigger_many, &t), 0);
    for (uint32_t n = N_MSIX; n <= 16384; n += n / 4)
        assert_int_equal(vfu_setup_device_nr_irqs(c.ctx, VFU_DEV_MSIX_IRQ, n), 0);
    for (size_t i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&t.unexpected), 0);
    for (size_t i = 0; i < N_MSIX; i++)
        assert_int_equal(taken(e.fd[i]), N_THREADS * 10000 / N_MSIX);
    end_assigned(&c, &e);
}

static void *trigger_once(void *arg)
{
    struct triggering *t = arg;

    atomic_store(&t->stop, true);
    if (vfu_irq_trigger(t->c->ctx, 0) == 0)
        atomic_fetch_add(&t->signalled, 1);
    return NULL;
}

static void set_moved(struct vus_vector *v, bool moved)
{
    vus_lock_take(&v->lock);
    v->moved = moved;
    v->direct = !moved;
    vus_lock_give(&v->lock);
}

/* The moment between a vector's leaving and the new table's being in its place. */
static void a_trigger_of_a_vector_that_moves_waits_for_its_new_place(void **state)
{
    struct events e;
    struct core c;
    struct triggering t = { .c = &c };
    struct vus_vector *v;
    pthread_t thread;

    (void)state;
    begin_assigned(&c, &e);
    v = &c.ctx->irqs.sets[VFU_DEV_MSIX_IRQ].table->v[0];
    pthread_mutex_lock(&c.ctx->irqs.lock);
    set_moved(v, true);
    assert_int_equal(pthread_create(&thread, NULL, trigger_once, &t), 0);
    while (!atomic_load(&t.stop))
        sched_yield();
    for (int i = 0; i < 1000; i++)
        sched_yield();
    assert_int_equal(taken(e.fd[0]), 0);
    set_moved(v, false);
    pthread_mutex_unlock(&c.ctx->irqs.lock);
    pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&t.signalled), 1);
    assert_int_equal(taken(e.fd[0]), 1);
    end_assigned(&c, &e);
}

static void *trigger_intx(void *arg)
{
    struct triggering *t = arg;

    while (!atomic_load(&t->stop)) {
        if (vfu_irq_trigger_type(t->c->ctx, VFU_DEV_INTX_IRQ, 0) == 0)
            atomic_fetch_add(&t->signalled, 1);
        else if (errno != ENOENT)
            atomic_fetch_add(&t->unexpected, 1);
    }
    return NULL;
}

/* Threads trigger while the client unmasks, by both ways, and disables. */
static void an_interrupt_that_masks_itself_comes_once_per_unmask(void **state)
{
    struct core c;
    int fd = begin_automask(&c);
    int unmask = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct triggering t = { .c = &c };
    pthread_t threads[N_THREADS];
    uint64_t received = 0;

    (void)state;
    ok(send_set(&c, EVENTFD | UNMASK, VFU_DEV_INTX_IRQ, 0, 1, &unmask, 1));
    for (size_t i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, trigger_intx, &t), 0);
    for (uint64_t round = 0; round < N_ROUNDS; round++) {
        while (taken(fd) == 0)      /* one is on its way */
            sched_yield();
        received++;
        assert_int_equal(taken(fd), 0);
        if (round % 3 == 0) {
            ok(send_set(&c, NONE | UNMASK, VFU_DEV_INTX_IRQ, 0, 1, NULL, 0));
        } else {
            signal_once(unmask);
            if (round % 3 == 1)
                vus_irqs_poll_unmask(c.ctx);
        }
    }
    ok(send_set(&c, NONE | TRIGGER, VFU_DEV_INTX_IRQ, 0, 0, NULL, 0));
    atomic_store(&t.stop, true);
    for (size_t i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&t.unexpected), 0);
    assert_int_equal(received, N_ROUNDS);
    close(unmask);
    close(fd);
    core_end(&c);
}

/* A semaphore gives one of its count to each reader: nearly 2^64 reads. */
static void a_counter_that_never_gets_empty_wakes_once_per_signal(void **state)
{
    const uint64_t most = UINT64_MAX - 3;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
    struct life l;
    int client;

    (void)state;
    assert_int_equal(write(fd, &most, sizeof(most)), sizeof(most));
    life_begin(&l, LIBVFIO_USER_FLAG_ATTACH_NB);
    assert_false(wakes(&l.core));
    client = life_client(&l);
    client_set_irqs(&l, client, EVENTFD | UNMASK, fd);
    for (int n = 0; n < 2; n++) {
        assert_true(wakes(&l.core));
        assert_run(&l, 0, 0);
        assert_false(wakes(&l.core));
        signal_once(fd);
    }
    close(client);
    assert_run(&l, -1, ENOTCONN);
    life_end(&l);
    close(fd);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(a_type_s_trigger_reaches_that_type_alone),
    VU_FD_TEST(a_trigger_of_no_type_or_vector_is_the_device_s_mistake),
    VU_FD_TEST(automask_is_for_intx_and_the_client_is_told),
    VU_FD_TEST(an_interrupt_masks_itself_until_unmasked),
    VU_FD_TEST(a_new_eventfd_is_not_masked_by_the_interrupt_of_an_old_one),
    VU_FD_TEST(automask_switched_off_lets_every_trigger_through),
    VU_FD_TEST(an_eventfd_unmasks_and_the_device_is_told),
    VU_FD_TEST(a_trigger_sees_for_itself_that_it_is_unmasked),
    VU_FD_TEST(an_unmask_that_came_before_its_eventfd_counts),
    VU_FD_TEST(eventfds_for_unmasking_are_closed_with_all_else),
    VU_FD_TEST(a_vector_keeps_all_that_it_has_when_the_device_gets_more),
    VU_FD_TEST(descriptors_that_cannot_unmask_are_refused),
    VU_FD_TEST(eventfds_are_watched_all_or_none),
    VU_FD_TEST(a_descriptor_that_cannot_be_read_any_more_is_dropped),
    VU_FD_TEST(counts_that_no_pci_device_has_are_taken_with_a_warning),
    VU_FD_TEST(the_run_loop_sees_an_unmask_by_eventfd),
    VU_FD_TEST(a_counter_that_never_gets_empty_wakes_once_per_signal),
    VU_FD_TEST(triggers_never_hit_a_descriptor_that_was_closed),
    VU_FD_TEST(triggers_from_threads_all_arrive),
    VU_FD_TEST(no_trigger_is_lost_while_the_device_gets_more_vectors),
    VU_FD_TEST(a_trigger_of_a_vector_that_moves_waits_for_its_new_place),
    VU_FD_TEST(an_interrupt_that_masks_itself_comes_once_per_unmask),
};

VU_TEST_MAIN(tests)
