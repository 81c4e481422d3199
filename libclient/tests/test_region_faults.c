/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that runs out in every place of a session with regions and interrupts,
 * reconnect included: each call tells, and nothing is left open or mapped. The server
 * is a process of device_doorbells.c.
 */
#include <sys/eventfd.h>

#include "libclient/tests/moving.h"
#include "wire/tests/calls.h"

enum {
    INFO, MAP, IO_FDS, ENABLE, ASSIGN, NOTIFY, SOME, WRITES, POSTED, RECONNECT, TRIGGER,
    STEPS
};

static struct moving device;

static int start_device(void **state)
{
    (void)state;
    if (moving_prepare(&device) < 0)
        return -1;
    moving_start(&device, NULL);
    return 0;
}

static int stop_device(void **state)
{
    (void)state;
    return moving_clean_up(&device);
}

/* Mappings of this process that are files' of the device. */
static int count_maps(void)
{
    FILE *f = fopen("/proc/self/maps", "r");
    char line[512];
    int n = 0;

    assert_non_null(f);
    while (fgets(line, sizeof(line), f) != NULL)
        n += strstr(line, "device_doorbells") != NULL && strstr(line, "memfd:") != NULL;
    fclose(f);
    return n;
}

static void run_steps(struct vfuc_client *c, int lent, int *result)
{
    const struct vfuc_write writes[2] = {
        { .offset = 0x100, .len = 1 }, { .offset = 0x101, .len = 1 },
    };
    const uint8_t chosen[8] = { 1 };
    const int fds[3] = { lent, -1, lent };
    const struct vfuc_region *region;
    const struct vfuc_io_fd *entries;
    void *addr;
    int n;

    result[INFO] = vfuc_region_info(c, VFUC_PCI_BAR2, &region);
    result[MAP] = vfuc_region_map(c, VFUC_PCI_BAR2, 0x1000, 0x1000, VFUC_MAP_READ, &addr);
    n = vfuc_region_io_fds(c, VFUC_PCI_BAR0, &entries);
    result[IO_FDS] = n == 3 ? 0 : n;
    result[ENABLE] = vfuc_irq_enable(c, VFUC_PCI_MSIX, 0, 8);
    result[ASSIGN] = vfuc_irq_assign(c, VFUC_PCI_MSIX, 8, fds, 3);
    result[NOTIFY] = vfuc_irq_notify(c, VFUC_PCI_INTX, VFUC_IRQ_UNMASK, 0, fds, 1);
    result[SOME] = vfuc_irq_some(c, VFUC_PCI_MSIX, VFUC_IRQ_MASK, 0, chosen, 8);
    result[WRITES] = vfuc_region_write_multi(c, writes, 2, NULL);
    result[POSTED] = vfuc_region_write_multi_posted(c, writes, 2);
    result[RECONNECT] = vfuc_reconnect(c);
    result[TRIGGER] = vfuc_irq_trigger(c, VFUC_PCI_MSIX, 1, 1);
}

/* One session. Returns false when it was over before the fault's turn came. */
static bool play(const struct calls *fault, int *result)
{
    struct vfuc_client *c = NULL;
    int lent = eventfd(0, EFD_CLOEXEC);
    bool reached;

    assert_true(lent >= 0);
    assert_int_equal(moving_connect(&device, NULL, &c), 0);
    calls = *fault;
    run_steps(c, lent, result);
    reached = calls.malloc >= calls.malloc_fails_at;
    calls_reset();
    vfuc_close(c);
    close(lent);
    return reached;
}

static void without_a_fault_all_goes_well(void **state)
{
    const struct calls none = { .malloc_fails_at = 0 };
    int result[STEPS];

    (void)state;
    assert_true(play(&none, result));
    for (int i = 0; i < STEPS; i++)
        if (result[i] != 0)
            fail_msg("step %d: %d", i, result[i]);
}

/* The fault at every place in turn. Returns how many places there are. */
static unsigned play_all(struct calls fault)
{
    int fds = vu_test_open_fds(), maps = count_maps();
    int result[STEPS];

    for (fault.malloc_fails_at = 1; play(&fault, result); fault.malloc_fails_at++) {
        bool told = false;

        for (int i = 0; i < STEPS; i++) {
            if (result[i] != 0 && result[i] != -ENOMEM && result[i] != -ENOTCONN)
                fail_msg("allocation %u, step %d: %d", fault.malloc_fails_at, i,
                         result[i]);
            told = told || result[i] == -ENOMEM;
        }
        assert_true(told);
        assert_int_equal(vu_test_open_fds(), fds);
        assert_int_equal(count_maps(), maps);
    }
    return fault.malloc_fails_at - 1;
}

static void one_allocation_fails(void **state)
{
    const struct calls fault = { .malloc_fails_once = true };

    (void)state;
    assert_in_range(play_all(fault), 15, 200);
}

static void from_one_allocation_on_all_fail(void **state)
{
    const struct calls fault = { .malloc_fails_once = false };

    (void)state;
    assert_in_range(play_all(fault), 15, 200);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(without_a_fault_all_goes_well),
    VU_FD_TEST(one_allocation_fails),
    VU_FD_TEST(from_one_allocation_on_all_fail),
};

int main(void)
{
    return cmocka_run_group_tests_name(__FILE__, tests, start_device, stop_device) != 0;
}
