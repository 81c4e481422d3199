/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA by message with our own server, a process of its own that VUC_DMA names: requests
 * in the midst of calls, and from a thread of the device at any time. Each test runs with
 * one socket, with a twin that the calls serve, and with a twin that a thread serves.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "libclient/include/vfio-user-client.h"
#include "wire/tests/support.h"

#define PAGE    0x1000u
#define LENT    UINT64_C(0x100000)
#define FILED   UINT64_C(0x400000)
#define HANDLED UINT64_C(0x800000)
#define SIZE    0x100000u

enum { ADDRESS, COUNT, DIRECT, GO, RESULT, ROUNDS, LEFT, DONE, FAILED, WRONG };

static struct {
    char dir[32];
    char path[64];
    pid_t pid;
} server;

static struct {
    struct vfuc_client *c;
    uint8_t *lent;
    uint8_t *filed;         /* our own mapping of it */
    uint8_t *handled;
    int fd;
    int fds_before;
    bool threaded;
    pthread_t thread;
    atomic_bool stop;
    atomic_int thread_error;
    atomic_uint served;     /* requests, by the thread */
} w;

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

/* ------------------------------------------------------------------ set-up -- */

static int start_server(void **state)
{
    const char *program = getenv("VUC_DMA");

    (void)state;
    strcpy(server.dir, "/tmp/vuc-test-XXXXXX");
    if (program == NULL || mkdtemp(server.dir) == NULL)
        return -1;
    snprintf(server.path, sizeof(server.path), "%s/sock", server.dir);
    server.pid = fork();
    if (server.pid == 0) {
        execl(program, program, server.path, (char *)NULL);
        _exit(127);
    }
    return server.pid > 0 ? 0 : -1;
}

static int stop_server(void **state)
{
    int status = -1;

    (void)state;
    kill(server.pid, SIGTERM);
    if (waitpid(server.pid, &status, 0) != server.pid)
        return -1;
    unlink(server.path);
    rmdir(server.dir);
    return status;      /* it ends well, also for a sanitizer */
}

/* The server is there once it accepts; until then its socket is missing or refuses. */
static int connect_client(const struct vfuc_options *options)
{
    int64_t end = now_ms() + 20000;
    int err;

    do {
        err = vfuc_connect(server.path, options, &w.c);
    } while ((err == -ENOENT || err == -ECONNREFUSED) && now_ms() < end
             && poll(NULL, 0, 5) == 0);
    return err;
}

static void *serve_twin(void *arg)
{
    (void)arg;
    while (!atomic_load(&w.stop)) {
        int n = vfuc_twin_dispatch(w.c, 10);

        if (n < 0) {
            atomic_store(&w.thread_error, n);
            break;
        }
        atomic_fetch_add(&w.served, (unsigned)n);
    }
    return NULL;
}

static int read_handler(void *opaque, uint64_t address, void *data, size_t count)
{
    memcpy(data, (uint8_t *)opaque + (address - HANDLED), count);
    return 0;
}

static int write_handler(void *opaque, uint64_t address, const void *data, size_t count)
{
    memcpy((uint8_t *)opaque + (address - HANDLED), data, count);
    return 0;
}

static int map_windows(void)
{
    int err;

    w.fd = memfd_create("dma_server", MFD_CLOEXEC);
    if (w.fd < 0 || ftruncate(w.fd, SIZE) < 0)
        return -1;
    w.filed = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, w.fd, 0);
    w.lent = calloc(1, SIZE);
    w.handled = calloc(1, SIZE);
    if (w.filed == MAP_FAILED || w.lent == NULL || w.handled == NULL)
        return -1;
    vfuc_set_dma_handlers(w.c, read_handler, write_handler, w.handled);
    err = vfuc_dma_map_memory(w.c, LENT, SIZE, 3, w.lent, -1, 0);
    if (err == 0)
        err = vfuc_dma_map(w.c, FILED, SIZE, 3, w.fd, 0);
    if (err == 0)
        err = vfuc_dma_map(w.c, HANDLED, SIZE, 3, -1, 0);
    return err;
}

static int begin(const struct vfuc_options *options)
{
    memset(&w, 0, sizeof(w));
    w.fds_before = vu_test_open_fds();
    if (connect_client(options) < 0 || map_windows() < 0)
        return -1;
    if (vfuc_negotiated(w.c)->twin_socket != (options->twin_socket != VFUC_TWIN_NONE))
        return -1;
    w.threaded = options->twin_socket == VFUC_TWIN_THREAD;
    return w.threaded ? -pthread_create(&w.thread, NULL, serve_twin, NULL) : 0;
}

static int before_test(void **state)
{
    struct vfuc_options options = {
        .size = sizeof(options), .twin_socket = *(const uint32_t *)*state,
        .timeout_ms = 20000,
    };

    return begin(&options);
}

static int before_small_test(void **state)
{
    struct vfuc_options options = {
        .size = sizeof(options), .twin_socket = *(const uint32_t *)*state,
        .timeout_ms = 20000, .max_data_xfer_size = 0x800,
    };

    return begin(&options);
}

static int after_test(void **state)
{
    int error;

    (void)state;
    atomic_store(&w.stop, true);
    if (w.threaded)
        pthread_join(w.thread, NULL);
    error = atomic_load(&w.thread_error);
    vfuc_close(w.c);
    munmap(w.filed, SIZE);
    close(w.fd);
    free(w.lent);
    free(w.handled);
    if (error != 0)
        print_error("the thread of the twin ended with %d\n", error);
    return error != 0 || vu_test_open_fds() != w.fds_before ? -1 : 0;
}

/* --------------------------------------------------------------- registers -- */

static void set(unsigned which, uint64_t value)
{
    assert_int_equal(vfuc_region_write(w.c, 0, which * 8, &value, 8), 0);
}

static uint64_t get(unsigned which)
{
    uint64_t value;

    assert_int_equal(vfuc_region_read(w.c, 0, which * 8, &value, 8), 0);
    return value;
}

/* Memory goes from our hands into those of the twin's thread, or back. It is the device
 * that sees to the order, a process that no sanitizer looks into; so show it one more,
 * the lock of the windows. */
static void hand_over(void)
{
    if (!w.threaded)
        return;
    assert_int_equal(vfuc_dma_map(w.c, 0, PAGE, 3, -1, 0), 0);
    assert_int_equal(vfuc_dma_unmap(w.c, 0, PAGE), 0);
}

/* What came of a transfer: 0 or an errno. */
static uint64_t go(uint64_t how, uint64_t address, uint64_t count)
{
    uint64_t result;

    hand_over();
    set(ADDRESS, address);
    set(COUNT, count);
    set(GO, how);
    result = get(RESULT);
    hand_over();
    return result;
}

static void fill(uint8_t *at, size_t len, unsigned seed)
{
    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)((i + seed) * 7 >> 3);
}

static void start_rounds(uint64_t address, uint64_t count, uint64_t rounds)
{
    set(ADDRESS, address);
    set(COUNT, count);
    set(ROUNDS, rounds);
}

/* ------------------------------------------------------------------- tests -- */

static void transfer_both_ways(uint64_t address, uint8_t *memory, size_t len)
{
    uint8_t *buffer = malloc(len);

    fill(memory, len, 1);
    assert_int_equal(go(1, address, len), 0);
    assert_int_equal(vfuc_region_read(w.c, 1, 0, buffer, len), 0);
    assert_memory_equal(buffer, memory, len);
    fill(buffer, len, 99);
    assert_int_equal(vfuc_region_write(w.c, 1, 0, buffer, len), 0);
    assert_int_equal(go(2, address, len), 0);
    assert_memory_equal(buffer, memory, len);
    free(buffer);
}

static void lent_memory_is_reached_in_the_midst_of_a_call(void **state)
{
    (void)state;
    transfer_both_ways(LENT, w.lent, SIZE);
    transfer_both_ways(LENT + 0x123, w.lent + 0x123, 0x777);
    transfer_both_ways(LENT + SIZE - 1, w.lent + SIZE - 1, 1);
}

static void file_is_reached_in_the_midst_of_a_call(void **state)
{
    (void)state;
    transfer_both_ways(FILED, w.filed, SIZE);
    transfer_both_ways(FILED + 0x123, w.filed + 0x123, 0x777);
}

static void handlers_are_reached_in_the_midst_of_a_call(void **state)
{
    (void)state;
    transfer_both_ways(HANDLED, w.handled, SIZE);
    transfer_both_ways(HANDLED + 0x123, w.handled + 0x123, 0x777);
}

static void small_messages_carry_large_transfers(void **state)
{
    (void)state;
    transfer_both_ways(LENT, w.lent, 0x10001);
    transfer_both_ways(FILED, w.filed, 0x10001);
    transfer_both_ways(HANDLED, w.handled, 0x10001);
}

static void refusal_of_the_client_reaches_the_device(void **state)
{
    (void)state;
    assert_int_equal(ftruncate(w.fd, PAGE), 0);
    assert_int_not_equal(go(1, FILED + PAGE, 8), 0);
    assert_int_not_equal(go(2, FILED + PAGE - 4, 8), 0);
    assert_int_equal(go(2, FILED + PAGE - 8, 8), 0);
    assert_int_equal(ftruncate(w.fd, SIZE), 0);
    assert_int_equal(go(1, FILED + PAGE, 8), 0);
}

/* The device writes and reads back what only it uses meanwhile. */
static void rounds_among_calls(uint64_t address, uint64_t count, uint64_t rounds)
{
    uint8_t byte[64], back[64];

    start_rounds(address, count, rounds);
    while (get(LEFT) > 0) {
        fill(byte, sizeof(byte), (unsigned)get(DONE));
        assert_int_equal(vfuc_region_write(w.c, 1, 100, byte, sizeof(byte)), 0);
        assert_int_equal(vfuc_region_read(w.c, 1, 100, back, sizeof(back)), 0);
        assert_memory_equal(byte, back, sizeof(byte));
    }
    assert_int_equal(get(FAILED), 0);
    assert_int_equal(get(WRONG), 0);
    assert_int_equal(get(DONE), rounds);
}

static void thread_of_the_device_and_our_calls_do_not_disturb_each_other(void **state)
{
    (void)state;
    rounds_among_calls(LENT + 5, 3000, 200);
    rounds_among_calls(FILED + 5, 3000, 200);
    rounds_among_calls(HANDLED + 5, 3000, 200);
    rounds_among_calls(LENT, 0x10000, 30);
}

static void thread_of_the_device_and_windows_that_come_and_go(void **state)
{
    uint8_t *more = calloc(1, PAGE);
    unsigned n = 0;

    (void)state;
    start_rounds(LENT, PAGE, 150);
    do {
        assert_int_equal(vfuc_dma_map_memory(w.c, 0x10000, PAGE, 3, more, -1, 0), 0);
        assert_int_equal(vfuc_dma_map(w.c, 0x20000, PAGE, 3, w.fd, PAGE), 0);
        assert_int_equal(vfuc_dma_unmap(w.c, 0x10000, PAGE), 0);
        assert_int_equal(vfuc_dma_unmap(w.c, 0x20000, PAGE), 0);
        n++;
    } while (get(LEFT) > 0);
    assert_true(n > 0);
    assert_int_equal(get(FAILED), 0);
    assert_int_equal(get(WRONG), 0);
    free(more);
}

/* The device is in the midst of using it, again and again, when it goes. */
static void window_that_was_unmapped_is_not_touched_any_more(void **state)
{
    uint8_t *memory = calloc(1, PAGE), expected[PAGE];

    (void)state;
    memset(expected, 0xa5, sizeof(expected));
    for (int i = 0; i < 20; i++) {
        assert_int_equal(vfuc_dma_map_memory(w.c, 0x10000, PAGE, 3, memory, -1, 0), 0);
        start_rounds(0x10000, PAGE, 1000000);
        while (get(DONE) < 2)
            continue;
        assert_int_equal(vfuc_dma_unmap(w.c, 0x10000, PAGE), 0);
        memset(memory, 0xa5, PAGE);
        while (get(FAILED) < 2)
            continue;
        assert_memory_equal(memory, expected, PAGE);
        set(ROUNDS, 0);
        assert_int_equal(get(WRONG), 0);
    }
    free(memory);
}

/* A window goes only when the device agrees: its requests are refused meanwhile. */
static void submitted_unmapping_lets_no_request_through(void **state)
{
    uint8_t *memory = calloc(1, PAGE), expected[PAGE];
    struct vfuc_completion done;

    (void)state;
    memset(expected, 0x5a, sizeof(expected));
    for (int i = 0; i < 20; i++) {
        assert_int_equal(vfuc_dma_map_memory(w.c, 0x10000, PAGE, 3, memory, -1, 0), 0);
        start_rounds(0x10000, PAGE, 1000000);
        while (get(DONE) < 2)
            continue;
        assert_int_equal(vfuc_submit_dma_unmap(w.c, 0x10000, PAGE, 7), 0);
        memset(memory, 0x5a, PAGE);
        assert_int_equal(vfuc_wait(w.c, &done, 1, 20000), 1);
        assert_int_equal(done.tag, 7);
        assert_int_equal(done.result, 0);
        assert_memory_equal(memory, expected, PAGE);
        set(ROUNDS, 0);
        assert_int_equal(get(WRONG), 0);
    }
    free(memory);
}

#define MANY 64

static void requests_come_among_submitted_commands(void **state)
{
    struct vfuc_completion done[MANY];
    uint64_t values[MANY];
    const struct vfuc_region *region;
    unsigned taken;

    (void)state;
    assert_int_equal(vfuc_region_info(w.c, 0, &region), 0);
    fill(w.lent, SIZE, 3);
    hand_over();
    for (unsigned round = 0; round < 20; round++) {
        start_rounds(FILED, 2000, 5);
        set(ADDRESS, LENT + round);
        set(COUNT, 0x400);
        for (unsigned i = 0; i < MANY; i++) {
            uint64_t how = 1 + i % 2;

            assert_int_equal(i % 4 == 0
                             ? vfuc_submit_region_write(w.c, 0, GO * 8, &how, 8, i)
                             : vfuc_submit_region_read(w.c, 0, RESULT * 8, &values[i], 8,
                                                       i), 0);
        }
        for (taken = 0; taken < MANY;) {
            int n = vfuc_wait(w.c, done, MANY, 20000);

            assert_true(n > 0);
            for (int i = 0; i < n; i++) {
                assert_int_equal(done[i].result, 0);
                assert_int_equal(done[i].tag, taken + (unsigned)i);
                if (done[i].tag % 4 != 0)
                    assert_int_equal(values[done[i].tag], 0);
            }
            taken += (unsigned)n;
        }
        set(ROUNDS, 0);
    }
}

/* ----------------------------------------------------------------- logging -- */

/* Bits of the first 64 pages. */
static uint64_t dirty_pages(struct vfuc_dirty *dirty)
{
    size_t n;
    uint64_t pages = vfuc_dirty_bitmap(dirty, &n)[0];

    vfuc_dirty_free(dirty);
    return pages;
}

static uint64_t report(uint64_t address)
{
    struct vfuc_dirty *dirty = NULL;

    assert_int_equal(vfuc_dma_logging_report(w.c, address, SIZE, PAGE, &dirty), 0);
    return dirty_pages(dirty);
}

static void reports_have_what_was_written_either_way(void **state)
{
    struct vfuc_dirty *dirty;
    uint64_t chosen = 0;

    (void)state;
    assert_int_equal(go(2, LENT, PAGE), 0);     /* before logging */
    assert_int_equal(vfuc_dma_logging_start(w.c, PAGE, NULL, 0, &chosen), 0);
    assert_int_equal(chosen, PAGE);
    assert_int_equal(report(LENT), 0);
    assert_int_equal(report(FILED), 0);

    assert_int_equal(go(2, LENT + 3 * PAGE, 2 * PAGE), 0);
    assert_int_equal(go(1, LENT + 7 * PAGE, PAGE), 0);
    assert_int_equal(go(2, HANDLED + 9 * PAGE, 1), 0);
    assert_int_equal(go(2, FILED + 5 * PAGE, 1), 0);
    set(DIRECT, 1);
    assert_int_equal(go(2, FILED + 8 * PAGE, PAGE), 0);
    set(DIRECT, 0);
    assert_int_equal(report(LENT), 3 << 3);
    assert_int_equal(report(HANDLED), 1 << 9);
    assert_int_equal(report(FILED), 1 << 5 | 1 << 8);
    assert_int_equal(report(LENT), 0);
    assert_int_equal(report(HANDLED), 0);
    assert_int_equal(report(FILED), 0);

    assert_int_equal(go(2, FILED + 2 * PAGE, PAGE), 0);
    set(DIRECT, 1);
    assert_int_equal(go(2, FILED + 6 * PAGE, PAGE), 0);
    set(DIRECT, 0);
    assert_int_equal(vfuc_dma_unmap_dirty(w.c, FILED, SIZE, PAGE, &dirty), 0);
    assert_int_equal(dirty_pages(dirty), 1 << 2 | 1 << 6);
    assert_int_equal(go(2, LENT + 2 * PAGE, PAGE), 0);
    assert_int_equal(vfuc_dma_unmap_dirty(w.c, LENT, SIZE, PAGE, &dirty), 0);
    assert_int_equal(dirty_pages(dirty), 1 << 2);
    assert_int_not_equal(go(2, LENT, PAGE), 0);
    assert_int_equal(vfuc_dma_logging_stop(w.c), 0);
}

static void nothing_that_the_thread_writes_is_missed(void **state)
{
    (void)state;
    start_rounds(LENT + PAGE, 2 * PAGE, 1000000);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(vfuc_dma_logging_start(w.c, PAGE, NULL, 0, NULL), 0);
        for (unsigned k = 0; k < 5; k++) {
            uint64_t done = get(DONE);

            /* The second round that ends from now on has begun after the last report. */
            while (get(DONE) < done + 2)
                continue;
            assert_int_equal(report(LENT), 6);
        }
        assert_int_equal(vfuc_dma_logging_stop(w.c), 0);
    }
    set(ROUNDS, 0);
    assert_int_equal(get(FAILED), 0);
}

/* The thread has answered what came over the twin, and nothing else has. */
static void twin_is_served_by_its_thread(void **state)
{
    (void)state;
    transfer_both_ways(LENT, w.lent, PAGE);
    assert_int_equal(get(RESULT), 0);
    if (!w.threaded)
        assert_int_equal(atomic_load(&w.served), 0);
    while (w.threaded && atomic_load(&w.served) < 2)
        assert_int_equal(atomic_load(&w.thread_error), 0);
}

static const uint32_t one_socket = VFUC_TWIN_NONE, inline_twin = VFUC_TWIN_INLINE,
                      threaded_twin = VFUC_TWIN_THREAD;

#define ONE(f, before, mode) \
    { #f ", " #mode, f, before, after_test, (void *)(uintptr_t)&mode }
#define ALL(f, before) \
    ONE(f, before, one_socket), ONE(f, before, inline_twin), ONE(f, before, threaded_twin)

static const struct CMUnitTest tests[] = {
    ALL(lent_memory_is_reached_in_the_midst_of_a_call, before_test),
    ALL(file_is_reached_in_the_midst_of_a_call, before_test),
    ALL(handlers_are_reached_in_the_midst_of_a_call, before_test),
    ALL(small_messages_carry_large_transfers, before_small_test),
    ALL(refusal_of_the_client_reaches_the_device, before_test),
    ALL(thread_of_the_device_and_our_calls_do_not_disturb_each_other, before_test),
    ALL(thread_of_the_device_and_windows_that_come_and_go, before_test),
    ALL(window_that_was_unmapped_is_not_touched_any_more, before_test),
    ALL(submitted_unmapping_lets_no_request_through, before_test),
    ALL(requests_come_among_submitted_commands, before_test),
    ALL(reports_have_what_was_written_either_way, before_test),
    ALL(nothing_that_the_thread_writes_is_missed, before_test),
    ALL(twin_is_served_by_its_thread, before_test),
};

int main(void)
{
    return cmocka_run_group_tests_name(__FILE__, tests, start_server, stop_server) != 0;
}
