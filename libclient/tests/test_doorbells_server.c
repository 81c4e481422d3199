/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupts, IO descriptors, areas and small writes against our own server: processes of
 * device_doorbells.c, which describes the registers.
 */
#include <dirent.h>
#include <sys/eventfd.h>

#include "libclient/tests/moving.h"

#define RAISE   0x000
#define RAISE_X 0x008
#define WRITES  0x010
#define RANG    0x018
#define LOG     0x100
#define REFUSED 0x200

/* Of the test that runs. One that fails leaves them behind. */
static struct moving device;
static struct vfuc_client *c;

static int before_test(void **state)
{
    if (vu_test_fds_before(state) < 0 || moving_prepare(&device) < 0)
        return -1;
    moving_start(&device, NULL);
    return moving_connect(&device, NULL, &c);
}

static int after_test(void **state)
{
    int status;

    vfuc_close(c);
    c = NULL;
    status = moving_clean_up(&device);
    return vu_test_fds_after(state) < 0 ? -1 : status;  /* ended well, for sanitizers */
}

/* Descriptors of the server, by its own account. */
static int server_fds(void)
{
    char path[64];
    DIR *dir;
    int n = 0;

    snprintf(path, sizeof(path), "/proc/%d/fd", (int)device.pid);
    dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

/* --------------------------------------------------------------- interrupts -- */

static void enabled_vectors_fire(void **state)
{
    uint64_t count = 0;

    (void)state;
    assert_int_equal(vfuc_irq_enable(c, VFUC_PCI_MSIX, 0, 64), 0);
    for (uint32_t v = 0; v < 64; v++) {
        moving_set(c, RAISE, v);
        moving_set(c, RAISE, v);
        assert_int_equal(vfuc_irq_wait(c, VFUC_PCI_MSIX, v, 5000, &count), 0);
        assert_int_equal(count, 2);
        assert_int_equal(vfuc_irq_wait(c, VFUC_PCI_MSIX, (v + 1) % 64, 0, NULL),
                         -ETIMEDOUT);
    }
}

/* The doorbell is posted: nothing is awaited but the interrupt itself. */
static void wait_ends_when_the_vector_fires(void **state)
{
    uint64_t v = 7, count = 0;

    (void)state;
    assert_int_equal(vfuc_irq_enable(c, VFUC_PCI_MSIX, 7, 1), 0);
    assert_int_equal(vfuc_region_write_posted(c, 0, RAISE, &v, sizeof(v)), 0);
    assert_int_equal(vfuc_irq_wait(c, VFUC_PCI_MSIX, 7, -1, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(vfuc_irq_wait(c, VFUC_PCI_MSIX, 7, 20, NULL), -ETIMEDOUT);
    assert_true(vfuc_fd(c) >= 0);
}

static void wait_ends_when_the_server_dies(void **state)
{
    (void)state;
    assert_int_equal(vfuc_irq_enable(c, VFUC_PCI_MSIX, 0, 1), 0);
    assert_int_equal(moving_end(&device, SIGKILL), SIGKILL);
    assert_int_equal(vfuc_irq_wait(c, VFUC_PCI_MSIX, 0, -1, NULL), -ENOTCONN);
}

static void chosen_vectors_are_masked_and_fire(void **state)
{
    uint8_t odd[64], four[4] = { 0, 0, 1, 1 };

    (void)state;
    for (int i = 0; i < 64; i++)
        odd[i] = i % 2 == 1 ? 0xff : 0;
    assert_int_equal(vfuc_irq_enable(c, VFUC_PCI_MSIX, 0, 64), 0);
    assert_int_equal(vfuc_irq_some(c, VFUC_PCI_MSIX, VFUC_IRQ_MASK, 0, odd, 64), 0);
    assert_int_equal(vfuc_irq_some(c, VFUC_PCI_MSIX, VFUC_IRQ_TRIGGER, 10, four, 4), 0);
    for (uint32_t v = 8; v < 16; v++)       /* 12 and 13 were chosen, 13 is masked */
        assert_int_equal(vfuc_irq_wait(c, VFUC_PCI_MSIX, v, 0, NULL),
                         v == 12 ? 0 : -ETIMEDOUT);
    assert_int_equal(vfuc_irq_some(c, VFUC_PCI_MSIX, VFUC_IRQ_UNMASK, 10, four, 4), 0);
    assert_int_equal(vfuc_irq_wait(c, VFUC_PCI_MSIX, 13, 0, NULL), 0);
}

/* INTx masks itself; the server unmasks it when we signal the eventfd for that. */
static void automasked_interrupt_is_unmasked_by_an_eventfd(void **state)
{
    int unmask = eventfd(0, EFD_CLOEXEC);
    const struct vfuc_irq *irq;
    uint64_t count = 0;

    (void)state;
    assert_true(unmask >= 0);
    assert_int_equal(vfuc_irq_info(c, VFUC_PCI_INTX, &irq), 0);
    assert_true((irq->flags & VFUC_IRQ_AUTOMASKED) != 0);
    assert_int_equal(vfuc_irq_enable(c, VFUC_PCI_INTX, 0, 1), 0);
    assert_int_equal(vfuc_irq_notify(c, VFUC_PCI_INTX, VFUC_IRQ_UNMASK, 0, &unmask, 1),
                     0);
    moving_set(c, RAISE_X, 1);
    moving_set(c, RAISE_X, 1);      /* held back */
    assert_int_equal(vfuc_irq_wait(c, VFUC_PCI_INTX, 0, 5000, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(vfuc_irq_wait(c, VFUC_PCI_INTX, 0, 0, NULL), -ETIMEDOUT);
    assert_int_equal(eventfd_write(unmask, 1), 0);
    moving_get(c, WRITES);          /* our server looks at it when it is run */
    assert_int_equal(vfuc_irq_wait(c, VFUC_PCI_INTX, 0, 5000, &count), 0);
    assert_int_equal(count, 1);
    close(unmask);
}

static void disabled_index_leaves_no_descriptor_on_either_side(void **state)
{
    int ours = vu_test_open_fds(), theirs;

    (void)state;
    assert_int_equal(vfuc_region_count(c), 9);      /* the server has attached */
    theirs = server_fds();
    assert_int_equal(vfuc_irq_enable(c, VFUC_PCI_MSIX, 0, 64), 0);
    assert_int_equal(vu_test_open_fds(), ours + 64);
    assert_int_equal(server_fds(), theirs + 64);
    assert_int_equal(vfuc_irq_disable(c, VFUC_PCI_MSIX), 0);
    assert_int_equal(vu_test_open_fds(), ours);
    assert_int_equal(server_fds(), theirs);
    assert_int_equal(vfuc_irq_fd(c, VFUC_PCI_MSIX, 0), -1);
}

/* ----------------------------------------------------------- IO descriptors -- */

static void doorbell_rings_without_a_message(void **state)
{
    const struct vfuc_io_fd *e;
    int before = vu_test_open_fds();

    (void)state;
    assert_int_equal(vfuc_region_io_fds(c, VFUC_PCI_BAR0, &e), 3);
    assert_int_equal(e[0].offset, 0x400);
    assert_int_equal(e[0].size, 8);
    assert_int_equal(e[0].type, VFUC_IO_FD_IOEVENTFD);
    assert_int_equal(e[0].flags, 1);
    assert_true(e[0].data == 0x1122334455667788);
    assert_int_equal(e[1].offset, 0x304);
    assert_int_equal(e[1].size, 4);
    assert_int_equal(e[1].fd, -1);
    assert_int_equal(e[2].offset, 0x300);
    assert_int_equal(e[2].size, 0);
    assert_int_equal(vu_test_open_fds(), before + 2);
    assert_int_equal(eventfd_write(e[0].fd, 3), 0);
    assert_int_equal(eventfd_write(e[2].fd, 1), 0);
    assert_true(moving_get(c, RANG) == (UINT64_C(3) << 32 | 1));
    assert_int_equal(vfuc_region_io_fds(c, VFUC_PCI_BAR2, &e), 0);
}

/* -------------------------------------------------------------- small writes -- */

static void small_writes(bool posted)
{
    struct vfuc_write w[255];
    uint8_t log[256];

    for (unsigned i = 0; i < 255; i++)      /* each overlaps the one before */
        w[i] = (struct vfuc_write){ .offset = LOG + i, .index = 0, .len = 2,
                                    .data = { (uint8_t)i, 0xee } };
    if (posted)
        assert_int_equal(vfuc_region_write_multi_posted(c, w, 255), 0);
    else
        assert_int_equal(vfuc_region_write_multi(c, w, 255, NULL), 0);
    assert_int_equal(moving_get(c, WRITES), 255);
    assert_int_equal(vfuc_region_read(c, 0, LOG, log, sizeof(log)), 0);
    for (unsigned i = 0; i < 255; i++)
        assert_int_equal(log[i], i);
    assert_int_equal(log[255], 0xee);
}

static void small_writes_are_done_in_order(void **state)
{
    (void)state;
    assert_true(vfuc_negotiated(c)->write_multiple);
    small_writes(false);
}

static void posted_small_writes_are_done_in_order(void **state)
{
    (void)state;
    small_writes(true);
}

static void small_writes_are_done_without_agreement_too(void **state)
{
    struct vfuc_options options = { .size = sizeof(options), .capabilities = "{}" };

    (void)state;
    vfuc_close(c);
    c = NULL;
    assert_int_equal(moving_connect(&device, &options, &c), 0);
    assert_false(vfuc_negotiated(c)->write_multiple);
    small_writes(false);
}

static void refused_small_write_ends_the_others(void **state)
{
    const struct vfuc_write w[3] = {
        { .offset = LOG, .len = 1, .data = { 1 } },
        { .offset = REFUSED, .len = 1, .data = { 2 } },
        { .offset = LOG + 1, .len = 1, .data = { 3 } },
    };
    uint8_t log[2];
    size_t done = 99;

    (void)state;
    assert_int_equal(vfuc_region_write_multi(c, w, 3, &done), -EREMOTEIO);
    assert_true(done <= 1);
    assert_int_equal(vfuc_region_read(c, 0, LOG, log, 2), 0);
    assert_int_equal(log[0], 1);
    assert_int_equal(log[1], 0);
}

/* -------------------------------------------------------------------- areas -- */

static void areas_are_mapped_and_come_back_with_the_server(void **state)
{
    const struct vfuc_io_fd *e;
    const struct vfuc_region *r;
    uint64_t count = 0;
    uint8_t *one, *three;
    void *addr;
    int fd;

    (void)state;
    assert_int_equal(vfuc_region_info(c, VFUC_PCI_BAR2, &r), 0);
    assert_int_equal(r->num_areas, 2);
    assert_int_equal(vfuc_region_map(c, VFUC_PCI_BAR2, 0, 0x1000, VFUC_MAP_READ, &addr),
                     -EACCES);
    assert_int_equal(vfuc_region_map(c, VFUC_PCI_BAR2, 0x1000, 0x1000,
                                     VFUC_MAP_READ | VFUC_MAP_WRITE, &addr), 0);
    one = addr;
    assert_int_equal(vfuc_region_map(c, VFUC_PCI_BAR2, 0x3000, 0x1000, VFUC_MAP_READ,
                                     &addr), 0);
    three = addr;
    assert_int_equal(one[0], 1);
    assert_int_equal(three[0], 3);
    one[8] = 0x5a;
    assert_int_equal(vfuc_region_read(c, VFUC_PCI_BAR2, 0x1008, &count, 1), 0);
    assert_int_equal(count, 0x5a);
    assert_int_equal(vfuc_region_io_fds(c, VFUC_PCI_BAR0, &e), 3);
    assert_int_equal(vfuc_irq_enable(c, VFUC_PCI_MSIX, 3, 1), 0);
    fd = vfuc_irq_fd(c, VFUC_PCI_MSIX, 3);

    assert_int_equal(moving_end(&device, SIGKILL), SIGKILL);
    assert_int_equal(vfuc_reset(c), -ENOTCONN);
    assert_int_equal(one[0], 0);
    assert_int_equal(three[0], 0);
    assert_int_equal(e[0].fd, -1);
    assert_int_equal(r->areas[0].fd, -1);

    moving_start(&device, NULL);
    assert_int_equal(vfuc_reconnect(c), 0);
    assert_int_equal(one[0], 1);
    assert_int_equal(one[8], 0);        /* another process's memory */
    assert_int_equal(three[0], 3);
    assert_int_equal(eventfd_write(e[2].fd, 1), 0);
    assert_int_equal(moving_get(c, RANG), 1);
    assert_int_equal(vfuc_irq_fd(c, VFUC_PCI_MSIX, 3), fd);
    moving_set(c, RAISE, 3);
    assert_int_equal(vfuc_irq_wait(c, VFUC_PCI_MSIX, 3, 5000, &count), 0);
}

#define DEVICE_TEST(f) cmocka_unit_test_setup_teardown(f, before_test, after_test)

static const struct CMUnitTest tests[] = {
    DEVICE_TEST(enabled_vectors_fire),
    DEVICE_TEST(wait_ends_when_the_vector_fires),
    DEVICE_TEST(wait_ends_when_the_server_dies),
    DEVICE_TEST(chosen_vectors_are_masked_and_fire),
    DEVICE_TEST(automasked_interrupt_is_unmasked_by_an_eventfd),
    DEVICE_TEST(disabled_index_leaves_no_descriptor_on_either_side),
    DEVICE_TEST(doorbell_rings_without_a_message),
    DEVICE_TEST(small_writes_are_done_in_order),
    DEVICE_TEST(posted_small_writes_are_done_in_order),
    DEVICE_TEST(small_writes_are_done_without_agreement_too),
    DEVICE_TEST(refused_small_write_ends_the_others),
    DEVICE_TEST(areas_are_mapped_and_come_back_with_the_server),
};

VU_TEST_MAIN(tests)
