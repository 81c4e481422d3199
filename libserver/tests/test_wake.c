/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The wake descriptor, and a kernel or an allocator that refuses what the shared
 * connection needs.
 *
 * Linked with --wrap for eventfd(), epoll_create1(), epoll_ctl(), malloc() and the
 * init functions of pthread.
 */
#include "libserver/tests/guest.h"

#include <sys/epoll.h>

#define NB   LIBVFIO_USER_FLAG_ATTACH_NB
#define BASE 0x10000u

/* Which call fails from now on, counted from 1; 0: none. */
static struct {
    int eventfd, epoll_create, epoll_ctl, malloc, mutex, cond;
} fails;

static bool strikes(int *countdown)
{
    return *countdown != 0 && --*countdown == 0;
}

int __real_eventfd(unsigned int count, int flags);
int __wrap_eventfd(unsigned int count, int flags);
int __wrap_eventfd(unsigned int count, int flags)
{
    if (strikes(&fails.eventfd)) {
        errno = EMFILE;
        return -1;
    }
    return __real_eventfd(count, flags);
}

int __real_epoll_create1(int flags);
int __wrap_epoll_create1(int flags);
int __wrap_epoll_create1(int flags)
{
    if (strikes(&fails.epoll_create)) {
        errno = EMFILE;
        return -1;
    }
    return __real_epoll_create1(flags);
}

int __real_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
    if (strikes(&fails.epoll_ctl)) {
        errno = ENOSPC;
        return -1;
    }
    return __real_epoll_ctl(epoll, op, fd, event);
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return strikes(&fails.malloc) ? NULL : __real_malloc(size);
}

int __real_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr);
int __wrap_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr);
int __wrap_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr)
{
    return strikes(&fails.mutex) ? ENOMEM : __real_pthread_mutex_init(m, attr);
}

int __real_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr);
int __wrap_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr);
int __wrap_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr)
{
    return strikes(&fails.cond) ? EAGAIN : __real_pthread_cond_init(c, attr);
}

static bool readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return poll(&p, 1, 0) == 1;
}

static int begin(struct life *l)
{
    int client;

    memset(&fails, 0, sizeof(fails));
    life_begin(l, NB);
    client = life_client(l);
    guest_map(l, client, BASE, 0x10000);
    return client;
}

static void end(struct life *l, int client)
{
    close(client);
    life_end(l);
}

/* -------------------------------------------------------------- descriptors -- */

static void input_of_what_was_added_wakes(void **state)
{
    struct life l;
    int client = begin(&l);
    int wake = vfu_get_wake_fd(l.core.ctx);
    int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    uint64_t one = 1;

    (void)state;
    assert_false(vus_wake_input(&l.core.ctx->wake));
    assert_int_equal(vus_wake_add(l.core.ctx, event), 0);
    assert_false(readable(wake));
    assert_false(vus_wake_input(&l.core.ctx->wake));
    assert_int_equal(write(event, &one, sizeof(one)), sizeof(one));
    assert_true(readable(wake));
    assert_true(vus_wake_input(&l.core.ctx->wake));
    vus_wake_del(l.core.ctx, event);
    assert_false(readable(wake));
    assert_false(vus_wake_input(&l.core.ctx->wake));
    vus_wake_raise(&l.core.ctx->wake);
    vus_wake_raise(&l.core.ctx->wake);
    assert_true(readable(wake));
    assert_false(vus_wake_input(&l.core.ctx->wake));
    vus_wake_clear(&l.core.ctx->wake);
    assert_false(readable(wake));
    vus_wake_clear(&l.core.ctx->wake);
    close(event);
    end(&l, client);
}

static void adding_opens_it(void **state)
{
    struct life l;
    int client = begin(&l);
    int event = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);

    (void)state;
    assert_int_equal(vus_wake_add(l.core.ctx, event), 0);
    assert_true(readable(vfu_get_wake_fd(l.core.ctx)));
    assert_int_equal(vus_wake_add(l.core.ctx, event), -EEXIST);
    vus_wake_del(l.core.ctx, event);
    vus_wake_del(l.core.ctx, event);
    assert_int_equal(atomic_load(&l.core.ctx->wake.added), 0);
    close(event);
    end(&l, client);
}

static void it_can_be_opened_later_when_it_could_not_at_first(void **state)
{
    struct life l;
    int client = begin(&l);

    (void)state;
    vus_wake_raise(&l.core.ctx->wake);
    fails.epoll_create = 1;
    assert_fails(vfu_get_wake_fd(l.core.ctx), EMFILE);
    fails.eventfd = 1;
    assert_fails(vfu_get_wake_fd(l.core.ctx), EMFILE);
    fails.epoll_ctl = 1;
    assert_fails(vfu_get_wake_fd(l.core.ctx), ENOSPC);
    assert_true(readable(vfu_get_wake_fd(l.core.ctx)));
    end(&l, client);
}

/* ------------------------------------------------------------------ refusals -- */

static void contexts_without_locks_are_not_made(void **state)
{
    int made = 0;

    (void)state;
    memset(&fails, 0, sizeof(fails));
    for (int i = 1; made == 0; i++) {
        vfu_ctx_t *ctx;

        fails.mutex = i;
        ctx = vus_ctx_new(NB, NULL);
        made = fails.mutex != 0;        /* more than there are */
        fails.mutex = 0;
        vfu_destroy_ctx(ctx);
        assert_in_range(i, 1, 20);
    }
    fails.cond = 1;
    errno = 0;
    assert_null(vus_ctx_new(NB, NULL));
    assert_int_equal(errno, ENOMEM);
}

/* A blocking context needs it, to wait for a worker and for signals at a time. */
static void a_transfer_in_a_blocking_context_needs_the_wake_descriptor(void **state)
{
    struct life l;
    int client = begin(&l);
    char got[4];

    (void)state;
    l.core.ctx->nonblocking = false;
    fails.eventfd = 1;
    assert_fails(guest_read(&l, BASE, got, 4, 0), EMFILE);
    l.core.ctx->nonblocking = true;
    end(&l, client);
}

/* And what was kept before is not served for it. */
static void a_command_that_cannot_be_kept_loses_the_client(void **state)
{
    uint8_t reset[2 * VU_HEADER_SIZE];
    struct life l;
    int client = begin(&l);
    char got[4];

    (void)state;
    put_message(put_message(reset, 1, VU_DEVICE_RESET, 0, NULL, 0), 2, VU_DEVICE_RESET, 0,
                NULL, 0);
    client_send_fds(client, reset, sizeof(reset), &l.core.memory, 1);
    fails.malloc = 2;
    assert_fails(guest_read(&l, BASE, got, 4, 0), ENOTCONN);
    assert_int_equal(fails.malloc, 0);
    assert_request(client, 0, VU_DMA_READ, BASE, 4);
    assert_ended(client);
    assert_run(&l, -1, ENOTCONN);
    assert_int_equal(l.core.seen.resets, 1);    /* for the loss alone */
    end(&l, client);
}

/* Whatever of it cannot be had: attaching fails, and nothing stays open. */
static void attaching_without_memory_fails_and_can_be_tried_again(void **state)
{
    static const char json[] =
        "{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}";
    uint8_t body[256] = { 0, 0, 1, 0 }, bytes[300], *at;
    struct life l;
    int before;

    (void)state;
    memset(&fails, 0, sizeof(fails));
    life_begin(&l, NB);
    strcpy((char *)body + 4, json);
    at = put_message(bytes, 1, VU_VERSION, 0, body, 4 + sizeof(json));
    before = vu_test_open_fds();
    for (int i = 1; i < 60; i++) {
        int client = client_connect(&l);
        bool attached;

        client_send(client, bytes, (size_t)(at - bytes));
        fails.malloc = i;
        attached = vfu_attach_ctx(l.core.ctx) == 0;
        fails.malloc = 0;
        close(client);
        if (attached)
            assert_run(&l, -1, ENOTCONN);
        else
            assert_int_equal(l.core.ctx->conn.state, VUS_NOBODY);
        assert_int_equal(vu_test_open_fds(), before);
    }
    life_end(&l);
}

/* Another thread keeps it after the run thread looked, and before that waits. */
static void a_wait_for_input_ends_when_a_command_was_kept(void **state)
{
    static const uint8_t body[VU_REGION_ACCESS_SIZE] = { [12] = 4 };
    uint8_t bytes[200], got[4], *at;
    int64_t begun = guest_now_ms();
    struct life l;
    int client;

    (void)state;
    life_begin(&l, NB);
    client = life_client(&l);
    guest_map(&l, client, BASE, 0x1000);
    at = put_message(bytes, 2, VU_REGION_READ, 0, body, sizeof(body));
    at = put_answer(at, 0, VU_DMA_READ, BASE, "abcd", 4);
    client_send(client, bytes, (size_t)(at - bytes));
    assert_int_equal(guest_read(&l, BASE, got, sizeof(got), 0), 0);
    assert_int_equal(vus_port_read(l.core.ctx, vu_deadline_in_ms(PATIENCE_MS)), -EAGAIN);
    assert_in_range(guest_now_ms() - begun, 0, PATIENCE_MS / 2);
    assert_run(&l, 1, 0);
    assert_request(client, 0, VU_DMA_READ, BASE, 4);
    assert_reply(client, 2, 0);
    close(client);
    assert_run(&l, -1, ENOTCONN);
    life_end(&l);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(input_of_what_was_added_wakes),
    VU_FD_TEST(adding_opens_it),
    VU_FD_TEST(it_can_be_opened_later_when_it_could_not_at_first),
    VU_FD_TEST(contexts_without_locks_are_not_made),
    VU_FD_TEST(a_transfer_in_a_blocking_context_needs_the_wake_descriptor),
    VU_FD_TEST(a_command_that_cannot_be_kept_loses_the_client),
    VU_FD_TEST(attaching_without_memory_fails_and_can_be_tried_again),
    VU_FD_TEST(a_wait_for_input_ends_when_a_command_was_kept),
};

VU_TEST_MAIN(tests)
