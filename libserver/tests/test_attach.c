/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From vfu_create_ctx() to an attached client, and every way that ends earlier.
 */
#include "libserver/tests/life.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#define NB LIBVFIO_USER_FLAG_ATTACH_NB

static void assert_attach(struct life *l, int err)
{
    errno = 0;
    assert_int_equal(vfu_attach_ctx(l->core.ctx), err == 0 ? 0 : -1);
    if (err != 0)
        assert_int_equal(errno, err);
}

static bool readable(int fd, int timeout_ms)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return poll(&p, 1, timeout_ms) == 1;
}

/* --------------------------------------------------------------- create -- */

static void create_fails(int trans, const char *path, int flags, int type, int err)
{
    errno = 0;
    assert_null(vfu_create_ctx((vfu_trans_t)trans, path, flags, NULL,
                               (vfu_dev_type_t)type));
    assert_int_equal(errno, err);
}

static void create_refuses_what_it_cannot_do(void **state)
{
    char long_path[109];

    (void)state;
    memset(long_path, 'a', 108);
    long_path[108] = '\0';
    create_fails(VFU_TRANS_SOCK, "/tmp/x", 2, VFU_DEV_TYPE_PCI, EINVAL);
    create_fails(VFU_TRANS_PIPE, "/tmp/x", 0, VFU_DEV_TYPE_PCI, ENOTSUP);
    create_fails(VFU_TRANS_SOCK, "/tmp/x", 0, 1, ENOTSUP);
    create_fails(VFU_TRANS_SOCK, NULL, 0, VFU_DEV_TYPE_PCI, EINVAL);
    create_fails(VFU_TRANS_SOCK, long_path, 0, VFU_DEV_TYPE_PCI, ENAMETOOLONG);
    create_fails(VFU_TRANS_SOCK, "/nowhere/at/all", 0, VFU_DEV_TYPE_PCI, ENOENT);
}

static void a_path_of_107_bytes_works(void **state)
{
    struct life l;
    char path[108];
    vfu_ctx_t *ctx;

    (void)state;
    life_begin(&l, NB);
    memset(path, 'a', 107);
    path[107] = '\0';
    memcpy(path, l.dir, strlen(l.dir));
    path[strlen(l.dir)] = '/';
    ctx = vfu_create_ctx(VFU_TRANS_SOCK, path, 0, NULL, VFU_DEV_TYPE_PCI);
    assert_non_null(ctx);
    assert_int_equal(access(path, F_OK), 0);
    vfu_destroy_ctx(ctx);
    assert_int_equal(access(path, F_OK), -1);
    life_end(&l);
}

static void a_path_in_use_is_left_alone(void **state)
{
    struct life l;
    struct stat st;

    (void)state;
    life_begin(&l, NB);
    create_fails(VFU_TRANS_SOCK, l.path, 0, VFU_DEV_TYPE_PCI, EADDRINUSE);
    assert_int_equal(stat(l.path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    life_end(&l);
}

static void destroy_of_nothing_is_nothing(void **state)
{
    (void)state;
    vfu_destroy_ctx(NULL);
}

static void descriptors_are_closed_on_exec(void **state)
{
    bool ours[64];
    struct life l;
    int client;

    (void)state;
    for (int fd = 0; fd < 64; fd++)
        ours[fd] = fcntl(fd, F_GETFD) < 0;
    life_begin(&l, NB);
    client = life_client(&l);
    for (int fd = 0; fd < 64; fd++) {
        int flags = fcntl(fd, F_GETFD);

        assert_true(!ours[fd] || flags < 0 || (flags & FD_CLOEXEC) != 0);
    }
    close(client);
    life_end(&l);
}

/* --------------------------------------------------------------- attach -- */

static void attach_without_a_client_does_not_wait(void **state)
{
    struct life l;

    (void)state;
    life_begin(&l, NB);
    assert_attach(&l, EAGAIN);
    assert_run(&l, -1, ENOTCONN);
    life_end(&l);
}

static void attach_twice_is_an_error(void **state)
{
    struct life l;
    int client;

    (void)state;
    life_begin(&l, NB);
    client = life_client(&l);
    assert_attach(&l, EINVAL);
    close(client);
    life_end(&l);
}

static void run_needs_a_realized_context(void **state)
{
    struct life l;
    vfu_ctx_t *ctx;

    (void)state;
    life_begin(&l, NB);
    strcat(l.path, "2");
    ctx = vfu_create_ctx(VFU_TRANS_SOCK, l.path, NB, NULL, VFU_DEV_TYPE_PCI);
    assert_non_null(ctx);
    assert_int_equal(vfu_run_ctx(ctx), -1);
    assert_int_equal(errno, EINVAL);
    vfu_destroy_ctx(ctx);
    l.path[strlen(l.path) - 1] = '\0';
    assert_int_equal(vfu_realize_ctx(l.core.ctx), 0);
    life_end(&l);
}

static void realizing_again_changes_nothing(void **state)
{
    struct life l;
    vfu_pci_config_space_t *config;

    (void)state;
    life_begin(&l, NB);
    config = vfu_pci_get_config_space(l.core.ctx);
    assert_int_equal(config->hdr.intr.ipin, 1);
    config->hdr.intr.ipin = 3;      /* the device's own doing stays */
    assert_int_equal(vfu_realize_ctx(l.core.ctx), 0);
    assert_int_equal(config->hdr.intr.ipin, 3);
    life_end(&l);
}

/* A caller takes the poll descriptor once, before attaching, and attaches
 * whenever it is readable. */
static void the_early_poll_descriptor_wakes_for_each_step(void **state)
{
    uint8_t version[VERSION_BYTES];
    struct life l;
    int early, client;

    (void)state;
    life_begin(&l, NB);
    put_version(version);
    early = vfu_get_poll_fd(l.core.ctx);
    assert_false(readable(early, 0));
    client = client_connect(&l);
    assert_true(readable(early, 0));
    assert_attach(&l, EAGAIN);
    for (size_t i = 0; i < VERSION_BYTES; i++) {
        assert_int_equal(vfu_get_poll_fd(l.core.ctx), early);
        assert_false(readable(early, 0));
        client_send(client, version + i, 1);
        assert_true(readable(early, 0));
        assert_attach(&l, i + 1 < VERSION_BYTES ? EAGAIN : 0);
    }
    assert_reply(client, 1, 0);
    client_send(client, version, VERSION_BYTES);
    assert_false(readable(early, 0));
    close(client);
    life_end(&l);
}

static void the_poll_descriptor_is_the_connection_once_attached(void **state)
{
    struct life l;
    struct ucred peer;
    socklen_t len = sizeof(peer);
    uint8_t info[INFO_BYTES];
    int early, client;

    (void)state;
    life_begin(&l, NB);
    early = vfu_get_poll_fd(l.core.ctx);
    client = life_client(&l);
    assert_int_not_equal(vfu_get_poll_fd(l.core.ctx), early);
    assert_int_equal(getsockopt(vfu_get_poll_fd(l.core.ctx), SOL_SOCKET, SO_PEERCRED,
                                &peer, &len), 0);
    assert_int_equal(peer.pid, getpid());
    assert_false(readable(vfu_get_poll_fd(l.core.ctx), 0));
    put_get_info(info, 5);
    client_send(client, info, sizeof(info));
    assert_true(readable(vfu_get_poll_fd(l.core.ctx), 0));
    assert_false(readable(early, 0));
    close(client);
    assert_run(&l, 1, 0);
    assert_run(&l, -1, ENOTCONN);
    assert_int_equal(vfu_get_poll_fd(l.core.ctx), early);
    client = client_connect(&l);
    assert_true(readable(early, 0));
    close(client);
    life_end(&l);
}

/* What was sent behind VERSION without waiting makes the connection readable. */
static void commands_behind_version_are_not_lost(void **state)
{
    uint8_t bytes[VERSION_BYTES + 2 * INFO_BYTES];
    struct life l;
    int client;

    (void)state;
    life_begin(&l, NB);
    put_version(bytes);
    put_get_info(put_get_info(bytes + VERSION_BYTES, 2), 3);
    client = client_connect(&l);
    client_send(client, bytes, sizeof(bytes));
    assert_attach(&l, 0);
    assert_reply(client, 1, 0);
    assert_true(readable(vfu_get_poll_fd(l.core.ctx), 0));
    assert_run(&l, 2, 0);
    assert_reply(client, 2, 0);
    assert_reply(client, 3, 0);
    close(client);
    life_end(&l);
}

static void descriptors_with_version_are_closed(void **state)
{
    uint8_t version[VERSION_BYTES];
    struct life l;
    int client, before;
    int fds[2];

    (void)state;
    life_begin(&l, NB);
    put_version(version);
    fds[0] = fds[1] = l.core.memory;
    before = vu_test_open_fds();
    client = client_connect(&l);
    client_send_fds(client, version, VERSION_BYTES, fds, 2);
    assert_attach(&l, 0);
    assert_reply(client, 1, 0);
    assert_int_equal(vu_test_open_fds(), before + 2);   /* both ends of the connection */
    close(client);
    life_end(&l);
}

/* ------------------------------------------------------ failed negotiation -- */

static void a_client_that_leaves_early_is_an_error(void **state)
{
    uint8_t version[VERSION_BYTES];
    struct life l;

    (void)state;
    life_begin(&l, NB);
    put_version(version);
    for (size_t n = 0; n <= VERSION_BYTES; n++) {
        int client = client_connect(&l);
        int fds[2] = { l.core.memory, l.core.memory };

        if (n != 0)
            client_send_fds(client, version, n, fds, 2);
        if (n % 2 != 0)
            assert_attach(&l, EAGAIN);
        close(client);
        assert_attach(&l, n == 0 ? ENOMSG : ECONNRESET);
        assert_false(l.core.ctx->session.negotiated);
        assert_attach(&l, EAGAIN);
    }
    close(life_client(&l));
    life_end(&l);
}

static void refused(struct life *l, const uint8_t *bytes, size_t len, bool answered)
{
    int client = client_connect(l);

    client_send(client, bytes, len);
    assert_attach(l, EINVAL);
    if (answered)
        assert_reply(client, 0x77, EINVAL);
    assert_ended(client);
    close(client);
    assert_false(l->core.ctx->session.negotiated);
}

static void bad_first_messages_end_the_connection(void **state)
{
    uint8_t bytes[64];
    struct life l;

    (void)state;
    life_begin(&l, NB);
    put_message(bytes, 0x77, VU_VERSION, 0, "\1\0\0\0", 4);
    refused(&l, bytes, 20, true);
    put_message(bytes, 0x77, VU_VERSION, 0, "\0\0\0", 3);
    refused(&l, bytes, 19, true);
    put_message(bytes, 0x77, VU_VERSION, 0, "\0\0\0\0{}", 6);
    refused(&l, bytes, 22, true);
    put_get_info(bytes, 0x77);
    refused(&l, bytes, INFO_BYTES, true);
    put_message(bytes, 0x77, VU_DEVICE_RESET, 0, NULL, 0);
    refused(&l, bytes, 16, true);
    put_message(bytes, 0x77, VU_VERSION, VU_F_TYPE_REPLY, "\0\0\0\0", 4);
    refused(&l, bytes, 20, false);
    put_message(bytes, 0x77, VU_DEVICE_RESET, VU_F_NO_REPLY, NULL, 0);
    refused(&l, bytes, 16, false);
    close(life_client(&l));
    assert_int_equal(l.core.seen.resets, 0);
    life_end(&l);
}

static void impossible_first_headers_end_the_connection(void **state)
{
    static const uint32_t sizes[] = { 0, 15, 16384 + 21, 1u << 20, UINT32_MAX };
    struct life l;

    (void)state;
    life_begin(&l, NB);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint8_t bytes[VU_HEADER_SIZE];

        put_message(bytes, 0x77, VU_VERSION, 0, NULL, 0);
        memcpy(bytes + 4, &sizes[i], 4);
        refused(&l, bytes, sizeof(bytes), true);
    }
    life_end(&l);
}

static void a_silent_client_is_dropped(void **state)
{
    uint8_t version[VERSION_BYTES];
    struct life l;
    int silent, slow, next, early;

    (void)state;
    life_begin(&l, NB);
    l.core.ctx->listener.version_ms = 50;
    put_version(version);
    early = vfu_get_poll_fd(l.core.ctx);
    silent = client_connect(&l);
    assert_attach(&l, EAGAIN);
    assert_true(readable(early, PATIENCE_MS));      /* the deadline */
    assert_attach(&l, EAGAIN);
    assert_ended(silent);
    assert_false(readable(early, 0));
    close(silent);

    slow = client_connect(&l);
    client_send_fds(slow, version, VERSION_BYTES - 1, &l.core.memory, 1);
    assert_attach(&l, EAGAIN);
    next = client_connect(&l);      /* waits behind the slow one */
    client_send(next, version, VERSION_BYTES);
    assert_true(readable(early, PATIENCE_MS));
    assert_attach(&l, 0);
    assert_ended(slow);
    assert_reply(next, 1, 0);
    close(slow);
    close(next);
    life_end(&l);
}

/* A watcher is woken by the client it waits for, not by those in the queue. */
static void clients_in_the_queue_do_not_wake_a_waiting_server(void **state)
{
    struct life l;
    int early, first, second;

    (void)state;
    life_begin(&l, NB);
    early = vfu_get_poll_fd(l.core.ctx);
    first = client_connect(&l);
    assert_attach(&l, EAGAIN);
    second = client_connect(&l);
    assert_false(readable(early, 0));
    life_attach(&l, first);
    assert_false(readable(early, 0));
    close(first);
    assert_run(&l, -1, ENOTCONN);
    assert_true(readable(early, 0));
    life_attach(&l, second);
    close(second);
    life_end(&l);
}

static void destroy_works_with_a_half_open_connection(void **state)
{
    struct life l;
    uint8_t version[VERSION_BYTES];
    int client;

    (void)state;
    life_begin(&l, NB);
    put_version(version);
    client = client_connect(&l);
    client_send_fds(client, version, 10, &l.core.memory, 1);
    assert_attach(&l, EAGAIN);
    vfu_destroy_ctx(l.core.ctx);
    l.core.ctx = NULL;
    assert_ended(client);
    close(client);
    life_end(&l);
}

static void an_empty_path_is_an_abstract_name(void **state)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct vfu_ctx *ctx = vfu_create_ctx(VFU_TRANS_SOCK, "", NB, NULL, VFU_DEV_TYPE_PCI);
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    assert_non_null(ctx);
    create_fails(VFU_TRANS_SOCK, "", 0, VFU_DEV_TYPE_PCI, EADDRINUSE);
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
    close(client);
    vfu_destroy_ctx(ctx);
}

/* ------------------------------------------------------------- blocking -- */

static void on_signal(int number)
{
    (void)number;
}

struct attaching {
    struct life *l;
    int ret, err;
    int calls;      /* how often it took */
};

static void *attach_through_signals(void *arg)
{
    struct attaching *a = arg;

    do {
        errno = 0;
        a->ret = vfu_attach_ctx(a->l->core.ctx);
        a->err = errno;
        __atomic_add_fetch(&a->calls, 1, __ATOMIC_SEQ_CST);
    } while (a->ret != 0 && a->err == EINTR);
    return NULL;
}

static int calls(struct attaching *a)
{
    return __atomic_load_n(&a->calls, __ATOMIC_SEQ_CST);
}

/* Signal the thread until it returned from one more call. */
static void interrupt(struct attaching *a, pthread_t thread)
{
    int before = calls(a);

    while (calls(a) == before) {
        pthread_kill(thread, SIGUSR1);
        sched_yield();
    }
}

static void blocking_attach_waits_and_lets_signals_through(void **state)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    uint8_t version[VERSION_BYTES];
    struct life l;
    struct attaching a = { .l = &l };
    pthread_t thread;
    int client;

    (void)state;
    sigaction(SIGUSR1, &action, NULL);
    life_begin(&l, 0);
    put_version(version);
    assert_int_equal(pthread_create(&thread, NULL, attach_through_signals, &a), 0);
    interrupt(&a, thread);
    client = client_connect(&l);
    interrupt(&a, thread);          /* now it waits for VERSION */
    client_send(client, version, 7);
    interrupt(&a, thread);
    client_send(client, version + 7, VERSION_BYTES - 7);
    assert_reply(client, 1, 0);
    pthread_join(thread, NULL);
    assert_int_equal(a.ret, 0);
    close(client);
    life_end(&l);
}

static void blocking_attach_drops_a_silent_client_and_waits_on(void **state)
{
    struct life l;
    struct attaching a = { .l = &l };
    uint8_t version[VERSION_BYTES];
    pthread_t thread;
    int silent, client;

    (void)state;
    life_begin(&l, 0);
    l.core.ctx->listener.version_ms = 50;
    put_version(version);
    assert_int_equal(pthread_create(&thread, NULL, attach_through_signals, &a), 0);
    silent = client_connect(&l);
    assert_ended(silent);
    client = client_connect(&l);
    client_send(client, version, VERSION_BYTES);
    assert_reply(client, 1, 0);
    pthread_join(thread, NULL);
    assert_int_equal(a.ret, 0);
    assert_int_equal(a.calls, 1);
    close(silent);
    close(client);
    life_end(&l);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(create_refuses_what_it_cannot_do),
    VU_FD_TEST(a_path_of_107_bytes_works),
    VU_FD_TEST(a_path_in_use_is_left_alone),
    VU_FD_TEST(destroy_of_nothing_is_nothing),
    VU_FD_TEST(descriptors_are_closed_on_exec),
    VU_FD_TEST(attach_without_a_client_does_not_wait),
    VU_FD_TEST(attach_twice_is_an_error),
    VU_FD_TEST(run_needs_a_realized_context),
    VU_FD_TEST(realizing_again_changes_nothing),
    VU_FD_TEST(the_early_poll_descriptor_wakes_for_each_step),
    VU_FD_TEST(the_poll_descriptor_is_the_connection_once_attached),
    VU_FD_TEST(commands_behind_version_are_not_lost),
    VU_FD_TEST(descriptors_with_version_are_closed),
    VU_FD_TEST(a_client_that_leaves_early_is_an_error),
    VU_FD_TEST(bad_first_messages_end_the_connection),
    VU_FD_TEST(impossible_first_headers_end_the_connection),
    VU_FD_TEST(a_silent_client_is_dropped),
    VU_FD_TEST(clients_in_the_queue_do_not_wake_a_waiting_server),
    VU_FD_TEST(destroy_works_with_a_half_open_connection),
    VU_FD_TEST(an_empty_path_is_an_abstract_name),
    VU_FD_TEST(blocking_attach_waits_and_lets_signals_through),
    VU_FD_TEST(blocking_attach_drops_a_silent_client_and_waits_on),
};

VU_TEST_MAIN(tests)
