/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contract, chapter 2.9: interrupts as the device raises them.
 */
#include "libserver/tests/chapter.h"

#include <pthread.h>
#include <stdatomic.h>

static void assert_trigger(struct device *d, uint32_t vector, int err)
{
    errno = 0;
    assert_int_equal(vfu_irq_trigger(d->ctx, vector), err != 0 ? -1 : 0);
    if (err != 0)
        assert_int_equal(errno, err);
}

static int assign(struct device *d, uint32_t type, uint32_t vector, int fd)
{
    return set_irqs(d, TRIGGER_EVENTFD, type, vector, 1, &fd, 1);
}

TEST(c2_9_a_vector_that_no_type_has_is_refused)
{
    struct device *d = device_up();     /* MSI-X has most: 8 */

    assert_trigger(d, 8, EINVAL);
    assert_trigger(d, UINT32_MAX, EINVAL);
    device_down(d);
}

TEST(c2_9_a_vector_without_an_eventfd_is_enoent)
{
    struct device *d = device_up();
    int event = new_eventfd();

    for (uint32_t i = 0; i < 8; i++)
        assert_trigger(d, i, ENOENT);
    assert_int_equal(assign(d, VFU_DEV_MSIX_IRQ, 3, event), 0);
    assert_trigger(d, 2, ENOENT);
    assert_trigger(d, 3, 0);
    close(event);
    device_down(d);
}

TEST(c2_9_a_trigger_adds_1_to_the_eventfd)
{
    struct device *d = device_up();
    int event = new_eventfd();

    assert_int_equal(assign(d, VFU_DEV_MSIX_IRQ, 7, event), 0);
    assert_trigger(d, 7, 0);
    assert_int_equal(signals(event), 1);
    assert_trigger(d, 7, 0);
    assert_trigger(d, 7, 0);
    assert_int_equal(signals(event), 2);
    close(event);
    device_down(d);
}

/* The client cannot learn more than the counter says; the original fails. */
TEST(c2_9_a_full_eventfd_is_no_error_and_no_wait)
{
    const uint64_t full = UINT64_MAX - 1;
    struct device *d = device_up();
    int event = eventfd(0, EFD_CLOEXEC);        /* writing to it would wait */

    assert_int_equal(assign(d, VFU_DEV_MSIX_IRQ, 0, event), 0);
    assert_int_equal(write(event, &full, sizeof(full)), sizeof(full));
    assert_trigger(d, 0, 0);
    assert_true(signals(event) >= full);
    close(event);
    device_down(d);
}

TEST(c2_9_each_type_has_eventfds_of_its_own)
{
    struct device *d = device_up();
    int intx = new_eventfd(), msix = new_eventfd();

    assert_int_equal(assign(d, VFU_DEV_MSIX_IRQ, 0, msix), 0);
    assert_int_equal(assign(d, VFU_DEV_INTX_IRQ, 0, intx), 0);
    assert_int_equal(set_irqs(d, TRIGGER_NONE, VFU_DEV_INTX_IRQ, 0, 0, NULL, 0), 0);
    assert_trigger(d, 0, 0);
    assert_int_equal(signals(msix), 1);
    assert_int_equal(signals(intx), 0);
    close(intx);
    close(msix);
    device_down(d);
}

TEST(c2_9_a_trigger_goes_to_msix_then_msi_then_intx)
{
    struct device *d = device_up();
    int events[3] = { new_eventfd(), new_eventfd(), new_eventfd() };

    for (int type = VFU_DEV_INTX_IRQ; type <= VFU_DEV_MSIX_IRQ; type++) {
        assert_int_equal(assign(d, (uint32_t)type, 0, events[type]), 0);
        assert_trigger(d, 0, 0);
        assert_int_equal(signals(events[type]), 1);
    }
    for (int type = VFU_DEV_MSIX_IRQ; type > VFU_DEV_INTX_IRQ; type--) {
        assert_int_equal(set_irqs(d, TRIGGER_NONE, (uint32_t)type, 0, 0, NULL, 0), 0);
        assert_trigger(d, 0, 0);
        assert_int_equal(signals(events[type - 1]), 1);
    }
    for (int i = 0; i < 3; i++)
        close(events[i]);
    device_down(d);
}

/* The original does not consult the mask. */
TEST(c2_9_a_masked_vector_is_signalled_when_unmasked)
{
    struct device *d = device_up();
    int event = new_eventfd();

    assert_int_equal(assign(d, VFU_DEV_MSIX_IRQ, 1, event), 0);
    assert_int_equal(set_irqs(d, VFIO_IRQ_SET_ACTION_MASK | VFIO_IRQ_SET_DATA_NONE,
                              VFU_DEV_MSIX_IRQ, 1, 1, NULL, 0), 0);
    assert_trigger(d, 1, 0);
    assert_trigger(d, 1, 0);
    assert_int_equal(signals(event), 0);
    assert_int_equal(set_irqs(d, VFIO_IRQ_SET_ACTION_UNMASK | VFIO_IRQ_SET_DATA_NONE,
                              VFU_DEV_MSIX_IRQ, 1, 1, NULL, 0), 0);
    assert_int_equal(signals(event), 1);
    close(event);
    device_down(d);
}

TEST(c2_9_err_and_req_can_be_raised_by_type)
{
    struct device *d = device_up();
    int err = new_eventfd(), req = new_eventfd();

    assert_int_equal(vfu_irq_trigger_type(d->ctx, VFU_DEV_ERR_IRQ, 0), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(assign(d, VFU_DEV_ERR_IRQ, 0, err), 0);
    assert_int_equal(assign(d, VFU_DEV_REQ_IRQ, 0, req), 0);
    assert_int_equal(vfu_irq_trigger_type(d->ctx, VFU_DEV_ERR_IRQ, 0), 0);
    assert_int_equal(signals(err), 1);
    assert_int_equal(vfu_irq_trigger_type(d->ctx, VFU_DEV_REQ_IRQ, 0), 0);
    assert_int_equal(signals(req), 1);
    assert_int_equal(vfu_irq_trigger_type(d->ctx, VFU_DEV_REQ_IRQ, 1), -1);
    assert_int_equal(errno, EINVAL);
    close(err);
    close(req);
    device_down(d);
}

TEST(c2_9_a_trigger_before_realize_and_without_a_client_is_only_an_error)
{
    struct device *d = device_new(NB);

    assert_trigger(d, 0, ENOENT);
    assert_int_equal(vfu_setup_device_nr_irqs(d->ctx, VFU_DEV_MSIX_IRQ, 4), 0);
    assert_trigger(d, 3, ENOENT);
    device_realize(d);
    assert_trigger(d, 3, ENOENT);
    assert_trigger(d, 4, EINVAL);
    device_down(d);
}

#define THREADS 4

struct storm {
    struct device *d;
    atomic_bool stop;
    atomic_ulong fired;
    atomic_int wrong;
};

static void *trigger_all_the_time(void *arg)
{
    struct storm *s = arg;

    while (!atomic_load(&s->stop)) {
        for (uint32_t i = 0; i < 8; i++) {
            if (vfu_irq_trigger(s->d->ctx, i) == 0)
                atomic_fetch_add(&s->fired, 1);
            else if (errno != ENOENT)
                atomic_fetch_add(&s->wrong, 1);
        }
    }
    return NULL;
}

/*
 * SPDK triggers from any thread while another serves the client, who sets and
 * disables eventfds and leaves. The number of a closed eventfd is taken at once by
 * an empty pipe, which must never see a byte.
 */
TEST(c2_9_any_thread_may_trigger_while_the_client_comes_and_goes)
{
    struct storm s = { .d = device_up() };
    pthread_t threads[THREADS];
    uint64_t total = 0;

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, trigger_all_the_time, &s), 0);
    for (int round = 0; round < 200 || atomic_load(&s.fired) == 0; round++) {
        int events[8], pipes[2];
        char byte;

        for (int i = 0; i < 8; i++)
            events[i] = new_eventfd();
        assert_int_equal(set_irqs(s.d, TRIGGER_EVENTFD, VFU_DEV_MSIX_IRQ, 0, 8, events,
                                  8), 0);
        if (round % 10 == 9) {
            device_detach(s.d);
            device_attach(s.d);
        } else {
            assert_int_equal(set_irqs(s.d, TRIGGER_NONE, VFU_DEV_MSIX_IRQ, 0, 0, NULL, 0),
                             0);
        }
        assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
        for (int i = 0; i < 8; i++) {
            total += signals(events[i]);
            close(events[i]);
        }
        assert_int_equal(read(pipes[0], &byte, 1), -1);
        close(pipes[0]);
        close(pipes[1]);
        s.d->events[0] = '\0';
    }
    atomic_store(&s.stop, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&s.wrong), 0);
    assert_int_equal(total, atomic_load(&s.fired));     /* not one got lost */
    device_down(s.d);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(c2_9_a_vector_that_no_type_has_is_refused),
    VU_FD_TEST(c2_9_a_vector_without_an_eventfd_is_enoent),
    VU_FD_TEST(c2_9_a_trigger_adds_1_to_the_eventfd),
    VU_FD_TEST(c2_9_a_full_eventfd_is_no_error_and_no_wait),
    VU_FD_TEST(c2_9_each_type_has_eventfds_of_its_own),
    VU_FD_TEST(c2_9_a_trigger_goes_to_msix_then_msi_then_intx),
    VU_FD_TEST(c2_9_a_masked_vector_is_signalled_when_unmasked),
    VU_FD_TEST(c2_9_err_and_req_can_be_raised_by_type),
    VU_FD_TEST(c2_9_a_trigger_before_realize_and_without_a_client_is_only_an_error),
    VU_FD_TEST(c2_9_any_thread_may_trigger_while_the_client_comes_and_goes),
};

VU_TEST_MAIN(tests)
