/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device for the client's tests to run against: doorbells, by message and by eventfd,
 * memory in areas, and interrupts.
 *
 *     device_doorbells SOCKET
 *
 * It ends with SIGTERM, or with its parent.
 *
 * BAR0, 4 KiB, by message; accesses of 1 to 8 bytes.
 *     0x000  RAISE    w   fire this MSI-X vector
 *     0x008  RAISE_X  w   fire INTx
 *     0x010  WRITES   r   how many writes came to LOG
 *     0x018  RANG     r   what the eventfds of the doorbells have counted since the last
 *                         time: u32 of the first, u32 of the second
 *     0x100  LOG      rw  0x100 bytes of memory
 *     0x200  REFUSED  w   0x100 bytes; every write fails with EACCES
 * Doorbells, in the order in which they are listed: 0x400 of 8 bytes, the second
 * eventfd, matching 0x1122334455667788; 0x304 of 4 bytes, no eventfd; 0x300 of any
 * size, the first.
 * BAR2, 16 KiB: the pages 1 and 3 may be mapped; byte 0 of each page is its number.
 * INTx masks itself. MSI-X: 64 vectors.
 */
#include "libserver/include/libvfio-user.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define REGISTERS 0x1000u
#define LOG       0x100u
#define LOG_SIZE  0x100u
#define REFUSED   0x200u
#define MEMORY    0x4000u
#define PAGE      0x1000u

struct device {
    vfu_ctx_t *ctx;
    uint8_t log[LOG_SIZE];
    uint64_t writes;
    int bells[2];
    uint8_t *memory;
    int memory_fd;
};

/* ---------------------------------------------------------------- registers -- */

static uint64_t rang(struct device *d)
{
    uint64_t all = 0;

    for (int i = 0; i < 2; i++) {
        eventfd_t n;

        if (eventfd_read(d->bells[i], &n) == 0)
            all |= (n & UINT32_MAX) << (32 * i);
    }
    return all;
}

static int read_register(struct device *d, uint64_t offset, uint64_t *value)
{
    switch (offset) {
    case 0x010:
        *value = d->writes;
        return 0;
    case 0x018:
        *value = rang(d);
        return 0;
    default:
        errno = EINVAL;
        return -1;
    }
}

static int write_register(struct device *d, uint64_t offset, uint64_t value)
{
    switch (offset) {
    case 0x000:
        return vfu_irq_trigger_type(d->ctx, VFU_DEV_MSIX_IRQ, (uint32_t)value);
    case 0x008:
        return vfu_irq_trigger_type(d->ctx, VFU_DEV_INTX_IRQ, 0);
    default:
        errno = offset >= REFUSED && offset < LOG + 2 * LOG_SIZE ? EACCES : EINVAL;
        return -1;
    }
}

static ssize_t on_log(struct device *d, char *buf, size_t count, uint64_t offset,
                      bool is_write)
{
    uint8_t *at = d->log + (offset - LOG);

    if (is_write)
        memcpy(at, buf, count);
    else
        memcpy(buf, at, count);
    d->writes += is_write;
    return (ssize_t)count;
}

static ssize_t on_registers(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                            bool is_write)
{
    struct device *d = vfu_get_private(ctx);
    uint64_t at = (uint64_t)offset, value = 0;
    int err;

    if (at >= LOG && count <= LOG_SIZE && at + count <= LOG + LOG_SIZE)
        return on_log(d, buf, count, at, is_write);
    if (count > sizeof(value)) {
        errno = EINVAL;
        return -1;
    }
    memcpy(&value, buf, is_write ? count : 0);
    err = is_write ? write_register(d, at, value) : read_register(d, at, &value);
    if (err == 0 && !is_write)
        memcpy(buf, &value, count);
    return err < 0 ? -1 : (ssize_t)count;
}

static ssize_t on_memory(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                         bool is_write)
{
    struct device *d = vfu_get_private(ctx);

    if (is_write)
        memcpy(d->memory + offset, buf, count);
    else
        memcpy(buf, d->memory + offset, count);
    return (ssize_t)count;
}

/* ------------------------------------------------------------------- set-up -- */

static int make_parts(struct device *d)
{
    for (int i = 0; i < 2; i++) {
        d->bells[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (d->bells[i] < 0)
            return -1;
    }
    d->memory_fd = memfd_create("device_doorbells", MFD_CLOEXEC);
    if (d->memory_fd < 0 || ftruncate(d->memory_fd, MEMORY) < 0)
        return -1;
    d->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, d->memory_fd, 0);
    if (d->memory == MAP_FAILED)
        return -1;
    for (unsigned i = 0; i < MEMORY / PAGE; i++)
        d->memory[i * PAGE] = (uint8_t)i;
    return 0;
}

static int add_doorbells(struct device *d)
{
    if (vfu_create_ioeventfd(d->ctx, VFU_PCI_DEV_BAR0_REGION_IDX, d->bells[0], 0x300, 0,
                             0, 0, -1, 0) < 0
        || vfu_create_ioeventfd(d->ctx, VFU_PCI_DEV_BAR0_REGION_IDX, -1, 0x304, 4, 0, 0,
                                -1, 0) < 0)
        return -1;
    return vfu_create_ioeventfd(d->ctx, VFU_PCI_DEV_BAR0_REGION_IDX, d->bells[1], 0x400,
                                8, 1, 0x1122334455667788, -1, 0);
}

static int set_up(struct device *d)
{
    struct iovec areas[2] = { { (void *)(uintptr_t)PAGE, PAGE },
                              { (void *)(uintptr_t)(3 * PAGE), PAGE } };
    const int flags = VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM;

    if (vfu_pci_init(d->ctx, VFU_PCI_TYPE_CONVENTIONAL, PCI_HEADER_TYPE_NORMAL, 0) < 0
        || vfu_setup_region(d->ctx, VFU_PCI_DEV_BAR0_REGION_IDX, REGISTERS, on_registers,
                            flags, NULL, 0, -1, 0) < 0
        || vfu_setup_region(d->ctx, VFU_PCI_DEV_BAR2_REGION_IDX, MEMORY, on_memory, flags,
                            areas, 2, d->memory_fd, 0) < 0
        || add_doorbells(d) < 0
        || vfu_setup_device_nr_irqs(d->ctx, VFU_DEV_INTX_IRQ, 1) < 0
        || vfu_setup_irq_automask(d->ctx, VFU_DEV_INTX_IRQ, true) < 0
        || vfu_setup_device_nr_irqs(d->ctx, VFU_DEV_MSIX_IRQ, 64) < 0)
        return -1;
    return vfu_realize_ctx(d->ctx);
}

static volatile sig_atomic_t stopping;

static void on_stop(int signal_number)
{
    (void)signal_number;
    stopping = 1;
}

/* One client after another. The signal is let in only while nothing is served. */
static void serve(struct device *d, const sigset_t *waiting)
{
    bool attached = false;

    while (!stopping) {
        struct pollfd ready = { .fd = vfu_get_poll_fd(d->ctx), .events = POLLIN };

        if (ppoll(&ready, 1, NULL, waiting) < 0)
            continue;
        if (!attached)
            attached = vfu_attach_ctx(d->ctx) == 0;
        else if (vfu_run_ctx(d->ctx) < 0 && errno == ENOTCONN)
            attached = false;
    }
}

static int prepare_signals(sigset_t *waiting)
{
    struct sigaction stop = { .sa_handler = on_stop };
    sigset_t held;

    sigemptyset(&held);
    sigaddset(&held, SIGTERM);
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0
        || sigprocmask(SIG_BLOCK, &held, waiting) < 0
        || sigaction(SIGTERM, &stop, NULL) < 0)
        return -1;
    sigdelset(waiting, SIGTERM);
    return 0;
}

int main(int argc, char **argv)
{
    static struct device d;
    sigset_t waiting;

    if (argc != 2 || prepare_signals(&waiting) < 0 || make_parts(&d) < 0)
        return 1;
    unlink(argv[1]);        /* of one that was killed */
    d.ctx = vfu_create_ctx(VFU_TRANS_SOCK, argv[1], LIBVFIO_USER_FLAG_ATTACH_NB, &d,
                           VFU_DEV_TYPE_PCI);
    if (d.ctx == NULL || set_up(&d) < 0) {
        fprintf(stderr, "device_doorbells: %s\n", strerror(errno));
        return 1;
    }
    serve(&d, &waiting);
    vfu_destroy_ctx(d.ctx);
    munmap(d.memory, MEMORY);
    close(d.memory_fd);
    close(d.bells[0]);
    close(d.bells[1]);
    return 0;
}
