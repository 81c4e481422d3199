/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client against our own server: a process of its own, built from samples/, whose
 * program is named by VUC_SERVER. Nothing here depends on which device it is: what is
 * tried is found by asking, and a device that has nothing to try it with fails the test.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "libclient/include/vfio-user-client.h"
#include "wire/tests/support.h"

#define CYCLES 100

static struct {
    char dir[32];
    char path[64];
    pid_t pid;
} server;

/* Of the test that runs. One that fails leaves it behind, and the server serves one. */
static struct vfuc_client *c;

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

/* The server is there once it accepts; until then its socket is missing or refuses. */
static int connect_client(void)
{
    int64_t end = now_ms() + 10000;
    int err;

    do {
        err = vfuc_connect(server.path, NULL, &c);
    } while ((err == -ENOENT || err == -ECONNREFUSED) && now_ms() < end
             && poll(NULL, 0, 5) == 0);
    return err;
}

static void close_client(void)
{
    vfuc_close(c);
    c = NULL;
}

static int before_test(void **state)
{
    int err = vu_test_fds_before(state);

    return err == 0 ? connect_client() : err;
}

static int after_test(void **state)
{
    close_client();
    return vu_test_fds_after(state);
}

static int start_server(void **state)
{
    const char *program = getenv("VUC_SERVER");

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

/* Descriptors of the server, by its own account. */
static int server_fds(void)
{
    char path[64];
    DIR *dir;
    int n = 0;

    snprintf(path, sizeof(path), "/proc/%d/fd", (int)server.pid);
    dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

static const struct vfuc_region *find_region(uint32_t flags)
{
    int n = vfuc_region_count(c);
    const struct vfuc_region *region;

    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        assert_int_equal(vfuc_region_info(c, (uint32_t)i, &region), 0);
        if (region->size > 0 && (region->flags & flags) == flags)
            return region;
    }
    fail_msg("the device has no region with flags 0x%x", flags);
    return NULL;
}

/* The index with the most vectors that can be assigned. */
static const struct vfuc_irq *find_irq(void)
{
    const struct vfuc_irq *irq, *best = NULL;
    int n = vfuc_irq_count(c);

    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        assert_int_equal(vfuc_irq_info(c, (uint32_t)i, &irq), 0);
        if ((irq->flags & VFUC_IRQ_EVENTFD) != 0
            && (best == NULL || irq->num_vectors > best->num_vectors))
            best = irq;
    }
    assert_non_null(best);
    assert_true(best->num_vectors > 1);
    return best;
}

/* ------------------------------------------------------------------ tests -- */

static void device_is_a_pci_device(void **state)
{
    const struct vfuc_device *device;
    const struct vfuc_region *config;
    uint8_t space[256];

    (void)state;
    assert_int_equal(vfuc_negotiated(c)->version_major, 0);
    assert_true(vfuc_negotiated(c)->version_minor <= 2);
    assert_int_equal(vfuc_device_info(c, &device), 0);
    assert_true((device->flags & VFUC_DEVICE_PCI) != 0);
    assert_true(device->num_regions >= 9);
    assert_int_equal(vfuc_region_info(c, VFUC_PCI_CONFIG, &config), 0);
    assert_true(config->size >= sizeof(space));
    assert_int_equal(vfuc_region_read(c, VFUC_PCI_CONFIG, 0, space, sizeof(space)), 0);
    assert_true(space[0] != 0xff || space[1] != 0xff);  /* somebody is there */
}

static void what_is_written_is_read(void **state)
{
    const struct vfuc_region *region = find_region(VFUC_REGION_READ | VFUC_REGION_WRITE
                                                   | VFUC_REGION_MMAP);
    uint64_t at = region->areas[0].offset;
    size_t len = region->areas[0].size;
    uint8_t *data = malloc(len), *back = malloc(len);
    void *addr;

    (void)state;
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i * 7 >> 2);
    assert_int_equal(vfuc_region_write(c, region->index, at, data, len), 0);
    assert_int_equal(vfuc_region_read(c, region->index, at, back, len), 0);
    assert_memory_equal(data, back, len);
    assert_int_equal(vfuc_region_map(c, region->index, at, len,
                                     VFUC_MAP_READ | VFUC_MAP_WRITE, &addr), 0);
    assert_memory_equal(data, addr, len);
    memset(addr, 0, len);
    assert_int_equal(vfuc_region_write_posted(c, region->index, at, "\1", 1), 0);
    assert_int_equal(vfuc_region_read(c, region->index, at, back, 2), 0);
    assert_memory_equal(back, "\1\0", 2);
    free(data);
    free(back);
}

static void access_beyond_the_region_is_refused_by_both_sides(void **state)
{
    const struct vfuc_region *region = find_region(VFUC_REGION_READ);
    uint8_t byte;

    (void)state;
    assert_int_equal(vfuc_region_read(c, region->index, region->size, &byte, 1), -ERANGE);
    assert_int_equal(vfuc_region_read(c, 9999, 0, &byte, 1), -ERANGE);
}

static void interrupts_come_to_their_eventfds(void **state)
{
    const struct vfuc_irq *irq = find_irq();
    uint32_t n = irq->num_vectors;
    int *fds = malloc(n * sizeof(*fds));
    uint64_t count;

    (void)state;
    for (uint32_t i = 0; i < n; i++) {
        fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        assert_true(fds[i] >= 0);
    }
    assert_int_equal(vfuc_irq_assign(c, irq->index, 0, fds, n), 0);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(vfuc_irq_trigger(c, irq->index, i, 1), 0);
        for (uint32_t k = 0; k < n; k++)
            assert_int_equal(eventfd_read(fds[k], &count), k == i ? 0 : -1);
    }
    assert_int_equal(vfuc_irq_disable(c, irq->index), 0);
    assert_int_equal(vfuc_irq_trigger(c, irq->index, 0, 1), 0);
    assert_int_equal(eventfd_read(fds[0], &count), -1);
    for (uint32_t i = 0; i < n; i++)
        close(fds[i]);
    free(fds);
}

static void masked_interrupt_comes_when_it_is_unmasked(void **state)
{
    const struct vfuc_irq *irq = find_irq();
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    uint64_t count;

    (void)state;
    assert_true((irq->flags & VFUC_IRQ_MASKABLE) != 0);
    assert_int_equal(vfuc_irq_assign(c, irq->index, 1, &fd, 1), 0);
    assert_int_equal(vfuc_irq_mask(c, irq->index, 1, 1), 0);
    assert_int_equal(vfuc_irq_trigger(c, irq->index, 1, 1), 0);
    assert_int_equal(eventfd_read(fd, &count), -1);
    assert_int_equal(vfuc_irq_unmask(c, irq->index, 1, 1), 0);
    assert_int_equal(eventfd_read(fd, &count), 0);
    close(fd);
}

static int memory(off_t size)
{
    int fd = memfd_create("guest", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, size), 0);
    return fd;
}

static void windows_are_mapped_and_unmapped(void **state)
{
    int fd = memory(0x10000);
    int before;

    (void)state;
    assert_int_equal(vfuc_region_count(c), 9);  /* an answer: the server has attached */
    before = server_fds();
    assert_int_equal(vfuc_dma_map(c, 0x100000, 0x8000, 3, fd, 0), 0);
    assert_int_equal(vfuc_dma_map(c, 0x200000, 0x8000, 1, fd, 0x8000), 0);
    assert_int_equal(vfuc_dma_map(c, 0x300000, 0x8000, 3, -1, 0), 0);
    assert_int_equal(vfuc_dma_map(c, 0x107000, 0x2000, 3, fd, 0), -EEXIST);
    assert_int_equal(vfuc_dma_unmap(c, 0x100000, 0x4000), -EREMOTEIO);
    assert_int_equal(vfuc_dma_unmap(c, 0x100000, 0x8000), 0);
    assert_int_equal(vfuc_dma_map(c, 0x100000, 0x8000, 3, fd, 0), 0);
    assert_int_equal(vfuc_dma_unmap_all(c), 0);
    assert_int_equal(server_fds(), before);
    assert_int_equal(vfuc_dma_map(c, 0x100000, 0x300000, 3, -1, 0), 0);    /* all free */
    close(fd);
}

static void reset_is_done(void **state)
{
    const struct vfuc_device *device;

    (void)state;
    assert_int_equal(vfuc_device_info(c, &device), 0);
    assert_true((device->flags & VFUC_DEVICE_RESET) != 0);
    assert_int_equal(vfuc_reset(c), 0);
    assert_int_equal(vfuc_dispatch(c), 0);
}

/* All that a driver does at start, without taking anything back. */
static void attach_fully(int fd)
{
    const struct vfuc_irq *irq = find_irq();
    const struct vfuc_region *region = find_region(VFUC_REGION_MMAP);
    int fds[2] = { eventfd(0, EFD_CLOEXEC), -1 };
    void *addr;

    assert_int_equal(vfuc_region_map(c, region->index, region->areas[0].offset, 1,
                                     VFUC_MAP_READ, &addr), 0);
    assert_int_equal(vfuc_dma_map(c, 0, 0x4000, 3, fd, 0), 0);
    assert_int_equal(vfuc_irq_assign(c, irq->index, 0, fds, 2), 0);
    close(fds[0]);
}

static void attaching_and_leaving_costs_no_descriptor(void **state)
{
    int fd = memory(0x4000), ours = 0, theirs = 0;

    (void)state;
    for (int i = 0; i < CYCLES; i++) {
        attach_fully(fd);
        if (i == 0) {
            ours = vu_test_open_fds();
            theirs = server_fds();
        }
        assert_int_equal(vu_test_open_fds(), ours);
        assert_int_equal(server_fds(), theirs);
        close_client();
        assert_int_equal(connect_client(), 0);
    }
    close(fd);
}

#define SERVER_TEST(f) cmocka_unit_test_setup_teardown(f, before_test, after_test)

static const struct CMUnitTest tests[] = {
    SERVER_TEST(device_is_a_pci_device),
    SERVER_TEST(what_is_written_is_read),
    SERVER_TEST(access_beyond_the_region_is_refused_by_both_sides),
    SERVER_TEST(interrupts_come_to_their_eventfds),
    SERVER_TEST(masked_interrupt_comes_when_it_is_unmasked),
    SERVER_TEST(windows_are_mapped_and_unmapped),
    SERVER_TEST(reset_is_done),
    SERVER_TEST(attaching_and_leaving_costs_no_descriptor),
};

int main(void)
{
    return cmocka_run_group_tests_name(__FILE__, tests, start_server, stop_server) != 0;
}
