/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reconnecting to real servers: processes that are killed and started again.
 */
#include "libclient/tests/moving.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "wire/tests/calls.h"

#define CYCLES 100

static struct moving server;
static struct vfuc_client *c;

static int before_test(void **state)
{
    calls_reset();
    if (vu_test_fds_before(state) != 0 || moving_prepare(&server) != 0)
        return -1;
    moving_start(&server, NULL);
    return moving_connect(&server, NULL, &c);
}

static int after_test(void **state)
{
    int status;

    calls_reset();
    vfuc_close(c);
    c = NULL;
    status = moving_clean_up(&server);
    return vu_test_fds_after(state) == 0 && status == 0 ? 0 : -1;
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

/* Everything that a client can set up. */
struct setup {
    int file;               /* behind the window at 0x100000 */
    uint8_t *file_memory;
    uint64_t lent[512];     /* behind the window at 0x200000, by message */
    int event;              /* of vector 0; vector 1 has one of the library's */
    volatile uint64_t *region;  /* the first block of BAR1 */
};

static void set_up(struct setup *s)
{
    void *at;

    s->file = memfd_create("window", MFD_CLOEXEC);
    assert_true(s->file >= 0);
    assert_int_equal(ftruncate(s->file, 0x10000), 0);
    s->file_memory = mmap(NULL, 0x10000, PROT_READ | PROT_WRITE, MAP_SHARED, s->file, 0);
    assert_ptr_not_equal(s->file_memory, MAP_FAILED);
    s->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_true(s->event >= 0);
    memset(s->lent, 0, sizeof(s->lent));
    assert_int_equal(vfuc_dma_map(c, 0x100000, 0x10000, VFUC_DMA_READ | VFUC_DMA_WRITE,
                                  s->file, 0), 0);
    assert_int_equal(vfuc_dma_map_memory(c, 0x200000, sizeof(s->lent),
                                         VFUC_DMA_READ | VFUC_DMA_WRITE, s->lent, -1, 0),
                     0);
    assert_int_equal(vfuc_irq_assign(c, VFUC_PCI_MSIX, 0, &s->event, 1), 0);
    assert_int_equal(vfuc_irq_enable(c, VFUC_PCI_MSIX, 1, 1), 0);
    assert_int_equal(vfuc_region_map(c, 1, 0, MOVING_MEMORY,
                                     VFUC_MAP_READ | VFUC_MAP_WRITE, &at), 0);
    s->region = at;
}

static void tear_down(struct setup *s)
{
    munmap(s->file_memory, 0x10000);
    close(s->file);
    close(s->event);
}

/* Windows, eventfds and the mapping lead to the process that runs now. */
static void expect_all_works(struct setup *s)
{
    static uint64_t value = 0x5000;
    uint64_t in_file, count = 0;

    value++;
    moving_set(c, MOVING_TARGET, 0x100040);
    moving_set(c, MOVING_COPY, value);
    memcpy(&in_file, s->file_memory + 0x40, sizeof(in_file));
    assert_int_equal(in_file, value);
    moving_set(c, MOVING_TARGET, 0x200008);
    moving_set(c, MOVING_COPY, value + 1);
    assert_int_equal(s->lent[1], value + 1);
    moving_set(c, MOVING_RAISE, 0);
    assert_int_equal(eventfd_read(s->event, &count), 0);
    assert_int_equal(count, 1);
    moving_set(c, MOVING_RAISE, 1);
    assert_int_equal(vfuc_irq_wait(c, VFUC_PCI_MSIX, 1, 0, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(moving_get(c, MOVING_PID), server.pid);
    assert_int_equal(s->region[0], server.pid);
    s->region[1] = value;
    assert_int_equal(vfuc_region_read(c, 1, 8, &in_file, sizeof(in_file)), 0);
    assert_int_equal(in_file, value);
}

static void kill_server(void)
{
    int status = moving_end(&server, SIGKILL);

    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void reconnects(void)
{
    int err = vfuc_reconnect(c);

    if (err != 0)
        fail_msg("%d (%s)", err, vfuc_last_error(c));
}

/* ----------------------------------------------------------------- restarting -- */

static void restarted_server_gets_everything_back(void **state)
{
    struct setup s;
    volatile uint64_t *at;

    (void)state;
    set_up(&s);
    expect_all_works(&s);
    at = s.region;
    kill_server();
    assert_int_equal(vfuc_reset(c), -ENOTCONN);
    assert_int_equal(s.region[0], 0);       /* nobody's, but there */
    s.region[0] = 9;
    moving_start(&server, NULL);
    reconnects();
    assert_ptr_equal(s.region, at);
    expect_all_works(&s);
    tear_down(&s);
}

static void loss_need_not_have_been_noticed(void **state)
{
    struct setup s;

    (void)state;
    set_up(&s);
    kill_server();
    moving_start(&server, NULL);
    reconnects();
    expect_all_works(&s);
    tear_down(&s);
}

static void living_server_is_left_and_joined_again(void **state)
{
    struct setup s;

    (void)state;
    set_up(&s);
    moving_set(c, MOVING_MARK, 77);
    reconnects();
    expect_all_works(&s);
    assert_int_equal(moving_get(c, MOVING_MARK), 77);
    tear_down(&s);
}

static unsigned mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned n = 0;
    int ch;

    assert_non_null(maps);
    while ((ch = fgetc(maps)) != EOF)
        n += ch == '\n';
    fclose(maps);
    return n;
}

static void reconnecting_often_leaks_nothing(void **state)
{
    struct setup s;
    int fds;
    unsigned maps;

    (void)state;
    set_up(&s);
    expect_all_works(&s);
    fds = vu_test_open_fds();
    maps = mappings();
    for (int i = 0; i < CYCLES; i++) {
        if (i % 2 == 0) {
            kill_server();
            moving_start(&server, NULL);
        }
        reconnects();
        expect_all_works(&s);
        assert_int_equal(vu_test_open_fds(), fds);
        assert_in_range(mappings(), 0, maps + 1);   /* the heap may split */
    }
    tear_down(&s);
}

/* --------------------------------------------------------------------- finding -- */

static void server_that_starts_late_is_waited_for(void **state)
{
    const char *program = getenv("VUC_MOVING");
    struct setup s;
    int64_t start;

    (void)state;
    set_up(&s);
    kill_server();
    unlink(server.path);
    start = now_ms();
    server.pid = fork();
    if (server.pid == 0) {
        usleep(300000);
        execl(program, program, server.path, (char *)NULL);
        _exit(127);
    }
    reconnects();
    assert_true(now_ms() - start >= 290);
    expect_all_works(&s);
    tear_down(&s);
}

static void nobody_is_waited_for_no_longer_than_the_timeout(void **state)
{
    struct setup s;
    int64_t start;

    (void)state;
    set_up(&s);
    kill_server();
    vfuc_set_timeout_ms(c, 200);
    start = now_ms();
    assert_int_equal(vfuc_reconnect(c), -ECONNREFUSED);     /* a socket, but no server */
    assert_true(now_ms() - start >= 190);
    assert_string_equal(vfuc_last_error(c), "nobody accepts connections there");
    unlink(server.path);
    assert_int_equal(vfuc_reconnect(c), -ENOENT);
    assert_int_equal(vfuc_fd(c), -1);
    vfuc_set_timeout_ms(c, 0);
    moving_start(&server, NULL);
    reconnects();
    expect_all_works(&s);
    tear_down(&s);
}

/* Listens where the server was. */
static int listen_there(int backlog)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    unlink(server.path);
    strcpy(addr.sun_path, server.path);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

static void silent_server_costs_the_timeout(void **state)
{
    int fd;

    (void)state;
    kill_server();
    fd = listen_there(4);
    vfuc_set_timeout_ms(c, 100);
    assert_int_equal(vfuc_reconnect(c), -ETIMEDOUT);
    assert_int_equal(vfuc_fd(c), -1);
    close(fd);
    vfuc_set_timeout_ms(c, 0);
    moving_start(&server, NULL);
    reconnects();
}

/* Accepts three clients and hangs up on each, then makes room for a good server. */
static void *hang_up_thrice(void *arg)
{
    int *fd = arg;

    for (int i = 0; i < 3; i++) {
        int client = accept(*fd, NULL, NULL);

        if (client >= 0)
            close(client);
    }
    close(*fd);
    return NULL;
}

static void server_that_is_dying_is_tried_again(void **state)
{
    struct setup s;
    pthread_t thread;
    int fd;

    (void)state;
    set_up(&s);
    kill_server();
    fd = listen_there(0);
    assert_int_equal(pthread_create(&thread, NULL, hang_up_thrice, &fd), 0);
    vfuc_set_timeout_ms(c, 500);
    assert_int_equal(vfuc_reconnect(c), -ECONNREFUSED);     /* after the third */
    assert_int_equal(pthread_join(thread, NULL), 0);
    vfuc_set_timeout_ms(c, 0);
    moving_start(&server, NULL);
    reconnects();
    expect_all_works(&s);
    tear_down(&s);
}

/* ------------------------------------------------------------- another device -- */

static void other_device_is_refused_and_the_right_one_taken(void **state)
{
    static const char *const words[] = { "small", "few" };
    struct setup s;

    (void)state;
    set_up(&s);
    for (size_t i = 0; i < 2; i++) {
        kill_server();
        moving_start(&server, words[i]);
        assert_int_equal(vfuc_reconnect(c), -ESTALE);
        assert_int_equal(vfuc_fd(c), -1);
        assert_int_equal(s.region[0], 0);
        assert_int_equal(moving_end(&server, SIGTERM), 0);
        moving_start(&server, NULL);
        reconnects();
        expect_all_works(&s);
    }
    tear_down(&s);
}

/* -------------------------------------------------------- what was on its way -- */

static void commands_on_their_way_are_told_as_lost(void **state)
{
    struct vfuc_completion got[20];
    uint64_t data[10];
    struct setup s;

    (void)state;
    set_up(&s);
    assert_int_equal(moving_get(c, MOVING_PID), server.pid);
    kill(server.pid, SIGSTOP);
    for (uint64_t i = 0; i < 10; i++)
        assert_int_equal(vfuc_submit_region_read(c, 0, MOVING_PID, &data[i], 8, i), 0);
    assert_int_equal(vfuc_flush(c), 0);
    kill(server.pid, SIGKILL);
    waitpid(server.pid, NULL, 0);
    moving_start(&server, NULL);
    reconnects();
    assert_int_equal(vfuc_complete(c, got, 20), 10);
    for (uint64_t i = 0; i < 10; i++) {
        assert_int_equal(got[i].tag, i);
        assert_int_equal(got[i].result, -ENOTCONN);
    }
    expect_all_works(&s);
    tear_down(&s);
}

/* ------------------------------------------------------------------ descriptors -- */

static int connected_fd(void)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strcpy(addr.sun_path, server.path);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

static void client_of_a_descriptor_gets_another_one(void **state)
{
    struct setup s;

    (void)state;
    vfuc_close(c);
    c = NULL;
    assert_int_equal(vfuc_connect_fd(connected_fd(), NULL, &c), 0);
    set_up(&s);
    assert_int_equal(vfuc_reconnect(c), -ENOTSUP);
    expect_all_works(&s);
    assert_int_equal(vfuc_reconnect_fd(c, connected_fd()), 0);
    expect_all_works(&s);
    tear_down(&s);
}

static void client_of_a_path_takes_a_descriptor_too(void **state)
{
    struct setup s;

    (void)state;
    set_up(&s);
    assert_int_equal(vfuc_reconnect_fd(c, connected_fd()), 0);
    expect_all_works(&s);
    reconnects();
    expect_all_works(&s);
    tear_down(&s);
}

static void descriptor_that_leads_nowhere_is_closed(void **state)
{
    int ends[2], fds;

    (void)state;
    fds = vu_test_open_fds();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    close(ends[1]);
    assert_int_equal(vfuc_reconnect_fd(c, ends[0]), -ENOTCONN);
    assert_int_equal(vu_test_open_fds(), fds - 1);      /* the old socket is gone, too */
    assert_int_equal(fcntl(ends[0], F_GETFD), -1);
    reconnects();
    assert_int_equal(vu_test_open_fds(), fds);
}

/* ------------------------------------------------------------------ twin socket -- */

static void twin_socket_comes_back(uint32_t mode)
{
    struct vfuc_options options = { .size = sizeof(options), .twin_socket = mode };
    int fds;

    vfuc_close(c);
    c = NULL;
    assert_int_equal(moving_connect(&server, &options, &c), 0);
    assert_true(vfuc_twin_fd(c) >= 0);
    fds = vu_test_open_fds();
    for (int i = 0; i < 5; i++) {
        kill_server();
        moving_start(&server, NULL);
        reconnects();
        assert_true(vfuc_negotiated(c)->twin_socket);
        assert_true(vfuc_twin_fd(c) >= 0);
        assert_int_equal(vfuc_twin_dispatch(c, 0), 0);
        assert_int_equal(vu_test_open_fds(), fds);
    }
    kill_server();
    vfuc_set_timeout_ms(c, 50);
    assert_int_equal(vfuc_reconnect(c), -ECONNREFUSED);
    assert_int_equal(vfuc_twin_fd(c), -1);
    assert_int_equal(vu_test_open_fds(), fds - 2);
}

static void inline_twin_socket_comes_back(void **state)
{
    (void)state;
    twin_socket_comes_back(VFUC_TWIN_INLINE);
}

static void threaded_twin_socket_comes_back(void **state)
{
    (void)state;
    twin_socket_comes_back(VFUC_TWIN_THREAD);
}

static void windows_work_over_the_new_twin_socket(void **state)
{
    struct vfuc_options options = { .size = sizeof(options),
                                    .twin_socket = VFUC_TWIN_INLINE };
    struct setup s;

    (void)state;
    vfuc_close(c);
    c = NULL;
    assert_int_equal(moving_connect(&server, &options, &c), 0);
    set_up(&s);
    expect_all_works(&s);
    kill_server();
    moving_start(&server, NULL);
    reconnects();
    expect_all_works(&s);
    tear_down(&s);
}

/* ------------------------------------------------------------------ our failures -- */

/* Has the call number `at` of reconnecting fail; what became of that. */
static int reconnect_with_failure(unsigned at, bool memory, bool once, int system_errno)
{
    int err;

    calls_reset();
    calls.malloc_fails_at = memory ? at : 0;
    calls.malloc_fails_once = once;
    calls.system_fails_at = memory ? 0 : at;
    calls.system_errno = system_errno;
    err = vfuc_reconnect(c);
    if (err == 0 && (memory ? calls.malloc : calls.system) < at)
        err = 1;                /* there are no so many */
    calls_reset();
    return err;
}

static void lack_of_memory_is_survived(bool once)
{
    struct setup s;
    int fds, err = 0;
    unsigned failures = 0;

    set_up(&s);
    fds = vu_test_open_fds();
    for (unsigned at = 1; err != 1; at++) {
        err = reconnect_with_failure(at, true, once, 0);
        if (err < 0) {
            failures++;
            assert_int_equal(err, -ENOMEM);
            assert_int_equal(vfuc_fd(c), -1);
            assert_true(vu_test_open_fds() < fds);
        }
    }
    assert_true(failures > 0);
    assert_int_equal(vu_test_open_fds(), fds);
    expect_all_works(&s);
    tear_down(&s);
}

static void every_allocation_may_fail_once(void **state)
{
    (void)state;
    lack_of_memory_is_survived(true);
}

static void memory_may_run_out_at_every_allocation(void **state)
{
    (void)state;
    lack_of_memory_is_survived(false);
}

static void every_system_call_may_fail_once(void **state)
{
    static const int errnos[] = { EINTR, ENOBUFS, EIO, ENOMEM };
    struct setup s;
    int fds;

    (void)state;
    set_up(&s);
    fds = vu_test_open_fds();
    for (size_t i = 0; i < sizeof(errnos) / sizeof(errnos[0]); i++) {
        unsigned failures = 0;
        int err = 0;

        for (unsigned at = 1; err != 1; at++) {
            err = reconnect_with_failure(at, false, true, errnos[i]);
            if (err >= 0) {
                assert_int_equal(vu_test_open_fds(), fds);
                continue;
            }
            failures++;
            assert_string_not_equal(vfuc_last_error(c), "");
            assert_int_equal(vfuc_fd(c), -1);
            assert_true(vu_test_open_fds() < fds);
        }
        /* Signals interrupt no setsockopt(), of which connecting makes two. Closing what
         * the server sent makes more, that may fail; after a failure there is nothing to
         * close, so one of the two can be missed. */
        assert_true(errnos[i] == EINTR ? failures == 1 || failures == 2 : failures > 2);
        reconnects();
        expect_all_works(&s);
    }
    tear_down(&s);
}

static void full_descriptor_table_is_told_and_survived(void **state)
{
    struct rlimit limit, tight;
    struct setup s;
    int room[256], n;

    (void)state;
    set_up(&s);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    tight = limit;
    tight.rlim_cur = 200;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    for (n = 0; n < 256; n++) {
        room[n] = fcntl(0, F_DUPFD_CLOEXEC, 0);
        if (room[n] < 0)
            break;
    }
    assert_true(n < 256);
    /* The old socket and the descriptor of BAR1 leave room for the new ones. */
    assert_int_equal(vfuc_reconnect(c), 0);
    kill_server();
    assert_int_equal(vfuc_reset(c), -ENOTCONN);
    moving_start(&server, NULL);
    room[n++] = fcntl(0, F_DUPFD_CLOEXEC, 0);
    assert_int_equal(vfuc_reconnect(c), -EMFILE);
    assert_int_equal(vfuc_fd(c), -1);
    room[n++] = fcntl(0, F_DUPFD_CLOEXEC, 0);
    assert_int_equal(vfuc_reconnect(c), -EMFILE);
    assert_string_equal(vfuc_last_error(c), "no socket can be made");
    while (n > 0)
        close(room[--n]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    reconnects();
    expect_all_works(&s);
    tear_down(&s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, before_test, after_test)

static const struct CMUnitTest tests[] = {
    TEST(restarted_server_gets_everything_back),
    TEST(loss_need_not_have_been_noticed),
    TEST(living_server_is_left_and_joined_again),
    TEST(reconnecting_often_leaks_nothing),
    TEST(server_that_starts_late_is_waited_for),
    TEST(nobody_is_waited_for_no_longer_than_the_timeout),
    TEST(silent_server_costs_the_timeout),
    TEST(server_that_is_dying_is_tried_again),
    TEST(other_device_is_refused_and_the_right_one_taken),
    TEST(commands_on_their_way_are_told_as_lost),
    TEST(client_of_a_descriptor_gets_another_one),
    TEST(client_of_a_path_takes_a_descriptor_too),
    TEST(descriptor_that_leads_nowhere_is_closed),
    TEST(inline_twin_socket_comes_back),
    TEST(threaded_twin_socket_comes_back),
    TEST(windows_work_over_the_new_twin_socket),
    TEST(every_allocation_may_fail_once),
    TEST(memory_may_run_out_at_every_allocation),
    TEST(every_system_call_may_fail_once),
    TEST(full_descriptor_table_is_told_and_survived),
};

VU_TEST_MAIN(tests)
