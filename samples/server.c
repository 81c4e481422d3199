/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small PCI device in a process of its own, served over a UNIX socket.
 *
 *     server [-v] SOCKET
 *
 * It shows what a device model needs of libvfio-user.h: configuration space
 * with capabilities, registers behind a callback, memory that the client maps,
 * interrupts from other threads, copying in guest memory, resets, and a run
 * loop that serves one client after another until SIGTERM or SIGINT. Give the
 * socket to any vfio-user client, QEMU for example:
 *
 *     -device '{"driver": "vfio-user-pci", "socket": {"type": "unix", "path": SOCKET}}'
 *
 * To the client it is device 1234:5646 (a vendor id that nobody owns and that
 * emulators use), class ff0000, with INTx, MSI (1 vector), MSI-X (4 vectors),
 * power management and function level reset.
 *
 * BAR0, 4 KiB: registers, little endian. Reads may have any width. Writes have
 * 4 or 8 bytes and are aligned to their width; 8 bytes are two registers, the
 * lower first. What is not listed reads as 0 and ignores writes.
 *
 *     0x00  TIME         8 rw  seconds since the Epoch; when they have come,
 *                              vector 0 is raised and the register is 0 again.
 *                              0: off. Takes effect with its upper half.
 *     0x08  ID           4 r   0x56465553
 *     0x0c  SCRATCH      4 rw  nothing
 *     0x10  DMA_SOURCE   8 rw  guest address
 *     0x18  DMA_TARGET   8 rw  guest address
 *     0x20  DMA_LENGTH   4 rw  bytes, 1 to 0x100000
 *     0x24  DMA_START    4 w   1: copy; done when the write is
 *     0x28  DMA_STATUS   4 r   0 nothing was copied yet, 1 done, or why not: 2
 *                              length, 3 bus master is off, 4 source and 5
 *                              target is not (all) guest memory, 6 too many
 *                              pieces, 7 guest memory that cannot be mapped
 *     0x30  TIMER_VECTOR 4 rw  0 to 3
 *     0x34  TIMER_DELAY  4 rw  microseconds from now to raising that vector,
 *                              then the register is 0 again. 0: off.
 *
 * BAR1, 2 MiB: storage. 0x10000-0x7ffff and 0x100000-0x1fffff can be mapped;
 * all of it can be read and written by message, and both show the same bytes.
 * BAR2, 64 KiB, 64 bits, prefetchable: storage that can be mapped as a whole.
 * BAR4, 4 KiB: MSI-X table at 0, pending bits at 0x800; only stored, since
 * vectors reach the client as eventfds. ROM, 2 KiB: read-only text.
 *
 * Every kind of reset returns registers, timers, MSI-X table and configuration
 * space to their initial values. Storage is kept for as long as the process
 * runs: over resets, and from one client to the next.
 *
 * Threads: the main thread runs the device. Each of the two timers has a
 * thread, which waits on its own clock and calls vfu_irq_trigger().
 */
#include "libvfio-user.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#define VENDOR_ID       0x1234
#define DEVICE_ID       0x5646
#define ID_VALUE        0x56465553u

#define REGISTERS_SIZE  0x1000u
#define STORAGE_SIZE    0x200000u
#define BUFFER_SIZE     0x10000u
#define VECTORS_SIZE    0x1000u
#define PENDING_OFFSET  0x800u
#define ROM_SIZE        0x800u
#define N_VECTORS       4u

#define MAX_COPY        0x100000u
#define MAX_PIECES      64      /* of guest memory, for source and target each */

enum {                          /* offsets in BAR0 */
    TIME_LOW     = 0x00,
    TIME_HIGH    = 0x04,
    ID           = 0x08,
    SCRATCH      = 0x0c,
    SOURCE_LOW   = 0x10,
    SOURCE_HIGH  = 0x14,
    TARGET_LOW   = 0x18,
    TARGET_HIGH  = 0x1c,
    DMA_LENGTH   = 0x20,
    DMA_START    = 0x24,
    DMA_STATUS   = 0x28,
    TIMER_VECTOR = 0x30,
    TIMER_DELAY  = 0x34,
    REGISTERS_END = 0x38,
};

enum {                          /* values of DMA_STATUS */
    DMA_NOTHING,
    DMA_DONE,
    DMA_BAD_LENGTH,
    DMA_NOT_MASTER,
    DMA_BAD_SOURCE,
    DMA_BAD_TARGET,
    DMA_TOO_MANY_PIECES,
    DMA_NOT_MAPPED,
};

struct device;

/* Raises a vector at a time. All but the constants is under the device's lock. */
struct timer {
    struct device *device;      /* constant */
    const char *name;           /* constant */
    clockid_t clock;            /* constant */
    int low, high;              /* constant: registers cleared when it fires; or equal */
    pthread_t thread;
    pthread_cond_t wake;        /* armed, due or the device's quit changed */
    bool armed;
    struct timespec due;        /* on its clock */
    uint32_t vector;
};

/* Memory of the device that the client may map. */
struct storage {
    int fd;                     /* owned: open until the context is gone */
    uint8_t *bytes;
    size_t size;
};

struct device {
    vfu_ctx_t *ctx;
    bool verbose;
    struct storage storage;     /* BAR1 */
    struct storage buffer;      /* BAR2 */
    uint8_t vectors[VECTORS_SIZE];      /* BAR4 */
    uint8_t config[PCI_CFG_SPACE_EXP_SIZE];     /* as it was before the first client */
    dma_sg_t *pieces;           /* owned: room for MAX_PIECES */

    pthread_mutex_t lock;       /* registers and timers */
    uint32_t registers[REGISTERS_END / 4];
    struct timer alarm;         /* TIME: the clock on the wall */
    struct timer timer;         /* TIMER_DELAY: a clock that only goes forward */
    bool quit;
};

/* ---------------------------------------------------------------- output */

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Any thread: one line is one write to the stream. */
static void say(const char *fmt, ...)
{
    char line[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    fprintf(stderr, "server: %s\n", line);
}

#define tell(device, ...) \
    do { \
        if ((device)->verbose) \
            say(__VA_ARGS__); \
    } while (0)

static void on_log(vfu_ctx_t *ctx, int level, const char *msg)
{
    (void)ctx;
    (void)level;
    say("library: %s", msg);
}

/* ---------------------------------------------------------------- timers */

static bool reached(const struct timespec *due, clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return now.tv_sec != due->tv_sec ? now.tv_sec > due->tv_sec
                                     : now.tv_nsec >= due->tv_nsec;
}

/* With the lock held, so that nothing is raised after a reset has begun. */
static void fire(struct timer *t)
{
    struct device *d = t->device;

    t->armed = false;
    d->registers[t->low / 4] = 0;
    d->registers[t->high / 4] = 0;
    if (vfu_irq_trigger(d->ctx, t->vector) == 0)
        tell(d, "%s raises vector %u", t->name, t->vector);
    else
        tell(d, "%s cannot raise vector %u: %s", t->name, t->vector, strerror(errno));
}

static void *timer_thread(void *arg)
{
    struct timer *t = arg;
    struct device *d = t->device;

    pthread_mutex_lock(&d->lock);
    while (!d->quit) {
        if (!t->armed)
            pthread_cond_wait(&t->wake, &d->lock);
        else if (!reached(&t->due, t->clock))
            pthread_cond_timedwait(&t->wake, &d->lock, &t->due);
        else
            fire(t);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

/* With the lock held. */
static void arm(struct timer *t, const struct timespec *due, uint32_t vector)
{
    t->armed = true;
    t->due = *due;
    t->vector = vector;
    pthread_cond_signal(&t->wake);
}

/* With the lock held. */
static void disarm(struct timer *t)
{
    t->armed = false;
    pthread_cond_signal(&t->wake);
}

static void init_timer(struct device *d, struct timer *t, const char *name,
                       clockid_t clock)
{
    pthread_condattr_t attr;

    t->device = d;
    t->name = name;
    t->clock = clock;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, clock);
    pthread_cond_init(&t->wake, &attr);
    pthread_condattr_destroy(&attr);
}

static void init_timers(struct device *d)
{
    init_timer(d, &d->alarm, "alarm", CLOCK_REALTIME);
    d->alarm.low = TIME_LOW;
    d->alarm.high = TIME_HIGH;
    init_timer(d, &d->timer, "timer", CLOCK_MONOTONIC);
    d->timer.low = TIMER_DELAY;
    d->timer.high = TIMER_DELAY;
}

static void drop_timers(struct device *d)
{
    pthread_cond_destroy(&d->alarm.wake);
    pthread_cond_destroy(&d->timer.wake);
}

static void stop_timer(struct device *d, struct timer *t)
{
    pthread_mutex_lock(&d->lock);
    d->quit = true;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&d->lock);
    pthread_join(t->thread, NULL);
}

/* Both threads, or none. Signals are the main thread's. Return: 0 or an errno. */
static int start_timers(struct device *d)
{
    sigset_t all, before;
    int err;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    err = pthread_create(&d->alarm.thread, NULL, timer_thread, &d->alarm);
    if (err == 0) {
        err = pthread_create(&d->timer.thread, NULL, timer_thread, &d->timer);
        if (err != 0)
            stop_timer(d, &d->alarm);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}

/* -------------------------------------------------- copying guest memory */

/* Find guest memory. Return: the number of pieces in iov, or 0 with *status. */
static int guest_memory(struct device *d, uint64_t address, uint32_t len, int prot,
                        struct iovec *iov, uint32_t *status)
{
    int n = vfu_addr_to_sgl(d->ctx, (vfu_dma_addr_t)(uintptr_t)address, len, d->pieces,
                            MAX_PIECES, prot);

    if (n < -1) {
        *status = DMA_TOO_MANY_PIECES;
        return 0;
    }
    if (n < 1) {
        *status = prot == PROT_READ ? DMA_BAD_SOURCE : DMA_BAD_TARGET;
        return 0;
    }
    if (vfu_sgl_get(d->ctx, d->pieces, iov, n, 0) < 0) {
        *status = DMA_NOT_MAPPED;
        return 0;
    }
    return n;
}

/* Copy len bytes between lists of pieces that have at least as many. */
static void copy_pieces(struct iovec *from, struct iovec *to, size_t len)
{
    while (len > 0) {
        size_t n = from->iov_len < to->iov_len ? from->iov_len : to->iov_len;

        memmove(to->iov_base, from->iov_base, n);
        from->iov_base = (char *)from->iov_base + n;
        from->iov_len -= n;
        to->iov_base = (char *)to->iov_base + n;
        to->iov_len -= n;
        from += from->iov_len == 0;
        to += to->iov_len == 0;
        len -= n;
    }
}

/* Return: the new DMA_STATUS. Runs on the context's own thread, where windows
 * of guest memory do not change meanwhile. */
static uint32_t copy_guest_memory(struct device *d, uint64_t source, uint64_t target,
                                  uint32_t len)
{
    struct iovec from[MAX_PIECES], to[MAX_PIECES], copy[MAX_PIECES];
    uint32_t status;
    int n;

    if (len == 0 || len > MAX_COPY)
        return DMA_BAD_LENGTH;
    if (!vfu_pci_get_config_space(d->ctx)->hdr.cmd.bme)
        return DMA_NOT_MASTER;
    n = guest_memory(d, source, len, PROT_READ, from, &status);
    if (n == 0)
        return status;
    vfu_sgl_put(d->ctx, d->pieces, from, n);    /* read only: nothing to be marked */
    n = guest_memory(d, target, len, PROT_WRITE, to, &status);
    if (n == 0)
        return status;
    memcpy(copy, to, n * sizeof(copy[0]));
    copy_pieces(from, copy, len);
    vfu_sgl_put(d->ctx, d->pieces, to, n);      /* written now */
    return DMA_DONE;
}

/* ------------------------------------------------------------- registers */

static uint64_t wide(const struct device *d, int low)
{
    return d->registers[low / 4] | (uint64_t)d->registers[low / 4 + 1] << 32;
}

static void set_alarm(struct device *d)
{
    uint64_t seconds = wide(d, TIME_LOW);
    struct timespec due = {
        .tv_sec = seconds > INT64_MAX ? INT64_MAX : (time_t)seconds,
    };

    if (seconds == 0)
        disarm(&d->alarm);
    else
        arm(&d->alarm, &due, 0);
}

static void set_timer(struct device *d)
{
    uint32_t us = d->registers[TIMER_DELAY / 4];
    struct timespec due;

    if (us == 0) {
        disarm(&d->timer);
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &due);
    due.tv_sec += us / 1000000;
    due.tv_nsec += us % 1000000 * 1000;
    if (due.tv_nsec >= 1000000000) {
        due.tv_nsec -= 1000000000;
        due.tv_sec++;
    }
    arm(&d->timer, &due, d->registers[TIMER_VECTOR / 4]);
}

/* With the lock held. Return: 0, or -1 and errno for the client. */
static int write_register(struct device *d, int offset, uint32_t value)
{
    switch (offset) {
    case TIMER_VECTOR:
        if (value >= N_VECTORS) {
            errno = EINVAL;
            return -1;
        }
        break;
    case TIME_LOW:
    case TIME_HIGH:
    case SCRATCH:
    case SOURCE_LOW:
    case SOURCE_HIGH:
    case TARGET_LOW:
    case TARGET_HIGH:
    case DMA_LENGTH:
    case TIMER_DELAY:
        break;
    case DMA_START:
        if (value == 1) {
            d->registers[DMA_STATUS / 4] =
                copy_guest_memory(d, wide(d, SOURCE_LOW), wide(d, TARGET_LOW),
                                  d->registers[DMA_LENGTH / 4]);
            tell(d, "DMA status %u", d->registers[DMA_STATUS / 4]);
        }
        return 0;
    default:
        return 0;
    }
    d->registers[offset / 4] = value;
    if (offset == TIME_HIGH)
        set_alarm(d);
    if (offset == TIMER_DELAY)
        set_timer(d);
    return 0;
}

static int write_registers(struct device *d, const char *buf, size_t count, loff_t offset)
{
    if ((count != 4 && count != 8) || offset % count != 0) {
        errno = EINVAL;
        return -1;
    }
    for (size_t i = 0; i < count; i += 4) {
        uint32_t value;

        memcpy(&value, buf + i, sizeof(value));
        if (write_register(d, offset + i, value) < 0)
            return -1;
    }
    return 0;
}

/* buf comes zeroed. */
static void read_registers(const struct device *d, char *buf, size_t count, size_t offset)
{
    if (offset >= sizeof(d->registers))
        return;
    if (count > sizeof(d->registers) - offset)
        count = sizeof(d->registers) - offset;
    memcpy(buf, (const char *)d->registers + offset, count);
}

static void tell_access(const struct device *d, const char *where, const char *buf,
                        size_t count, loff_t offset, bool is_write)
{
    uint64_t value = 0;

    if (!d->verbose)
        return;
    memcpy(&value, buf, count < sizeof(value) ? count : sizeof(value));
    say("%s %s 0x%llx, %zu bytes: 0x%" PRIx64 "%s", is_write ? "write" : "read", where,
        (long long)offset, count, value, count > sizeof(value) ? "..." : "");
}

static ssize_t on_registers(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                            bool is_write)
{
    struct device *d = vfu_get_private(ctx);
    int result = 0;

    if (is_write)
        tell_access(d, "BAR0", buf, count, offset, true);
    pthread_mutex_lock(&d->lock);
    if (is_write)
        result = write_registers(d, buf, count, offset);
    else
        read_registers(d, buf, count, offset);
    pthread_mutex_unlock(&d->lock);
    if (!is_write)
        tell_access(d, "BAR0", buf, count, offset, false);
    return result < 0 ? -1 : (ssize_t)count;
}

/* --------------------------------------------------------------- storage */

static ssize_t access_bytes(const struct device *d, const char *where, uint8_t *bytes,
                            char *buf, size_t count, loff_t offset, bool is_write)
{
    if (is_write)
        memcpy(bytes + offset, buf, count);
    else
        memcpy(buf, bytes + offset, count);
    tell_access(d, where, buf, count, offset, is_write);
    return (ssize_t)count;
}

static ssize_t on_storage(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                          bool is_write)
{
    struct device *d = vfu_get_private(ctx);

    return access_bytes(d, "BAR1", d->storage.bytes, buf, count, offset, is_write);
}

static ssize_t on_buffer(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                         bool is_write)
{
    struct device *d = vfu_get_private(ctx);

    return access_bytes(d, "BAR2", d->buffer.bytes, buf, count, offset, is_write);
}

static ssize_t on_vectors(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                          bool is_write)
{
    struct device *d = vfu_get_private(ctx);

    return access_bytes(d, "BAR4", d->vectors, buf, count, offset, is_write);
}

static ssize_t on_rom(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                      bool is_write)
{
    static const char text[] = "vfio-user sample device: no code in here\n";

    if (is_write) {
        errno = EPERM;
        return -1;
    }
    for (size_t i = 0; i < count && offset + i < sizeof(text); i++)
        buf[i] = text[offset + i];
    tell_access(vfu_get_private(ctx), "ROM", buf, count, offset, false);
    return (ssize_t)count;
}

/* Sealed, so that no client can shrink it under our mapping. */
static int make_storage(struct storage *s, const char *name, size_t size)
{
    s->size = size;
    s->fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (s->fd < 0)
        return -1;
    if (ftruncate(s->fd, (off_t)size) < 0 ||
        fcntl(s->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return -1;
    s->bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    if (s->bytes == MAP_FAILED) {
        s->bytes = NULL;
        return -1;
    }
    return 0;
}

static void drop_storage(struct storage *s)
{
    if (s->bytes != NULL)
        munmap(s->bytes, s->size);
    if (s->fd >= 0)
        close(s->fd);
}

/* ----------------------------------------------------- life of a device */

static void reset_device(struct device *d)
{
    pthread_mutex_lock(&d->lock);
    disarm(&d->alarm);
    disarm(&d->timer);
    memset(d->registers, 0, sizeof(d->registers));
    d->registers[ID / 4] = ID_VALUE;
    pthread_mutex_unlock(&d->lock);
    memset(d->vectors, 0, sizeof(d->vectors));
    memcpy(vfu_pci_get_config_space(d->ctx), d->config, sizeof(d->config));
}

/* The attached client's socket, for signal handlers; the library's own. */
static volatile sig_atomic_t client_fd = -1;

static int on_reset(vfu_ctx_t *ctx, vfu_reset_type_t type)
{
    static const char *const why[] = {
        [VFU_RESET_DEVICE] = "asked by the client",
        [VFU_RESET_LOST_CONN] = "the client is gone",
        [VFU_RESET_PCI_FLR] = "function level reset",
    };
    struct device *d = vfu_get_private(ctx);

    if (type == VFU_RESET_LOST_CONN)
        client_fd = -1;     /* the library closes it after this callback */
    tell(d, "reset: %s", why[type]);
    reset_device(d);
    return 0;
}

static void on_dma_register(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    tell((struct device *)vfu_get_private(ctx), "guest memory %p, 0x%zx bytes, %s%s%s",
         info->iova.iov_base, info->iova.iov_len, info->prot & PROT_READ ? "r" : "-",
         info->prot & PROT_WRITE ? "w" : "-", info->vaddr != NULL ? ", mapped" : "");
}

static void on_dma_unregister(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    tell((struct device *)vfu_get_private(ctx), "guest memory %p goes",
         info->iova.iov_base);
}

static int add_capabilities(vfu_ctx_t *ctx)
{
    struct pmcap pm = {
        .hdr.id = PCI_CAP_ID_PM,
        .pc.vs = 3,
        .pmcs.nsfrst = 1,
    };
    struct pxcap px = {
        .hdr.id = PCI_CAP_ID_EXP,
        .pxcaps.ver = 2,
        .pxdcap = { .rer = 1, .flrc = 1 },
        .pxlcap.stuff = 0x11,   /* one lane at 2.5 GT/s */
        .pxls.stuff = 0x11,
    };
    struct msicap msi = {
        .hdr.id = PCI_CAP_ID_MSI,
        .mc = { .c64 = 1, .pvm = 1 },   /* 1 vector */
    };
    struct msixcap msix = {
        .hdr.id = PCI_CAP_ID_MSIX,
        .mxc.ts = N_VECTORS - 1,
        .mtab.tbir = 4,
        .mpba = { .pbir = 4, .pbao = PENDING_OFFSET >> 3 },
    };

    if (vfu_pci_add_capability(ctx, 0, 0, &pm) < 0 ||
        vfu_pci_add_capability(ctx, 0, 0, &px) < 0 ||
        vfu_pci_add_capability(ctx, 0, 0, &msi) < 0 ||
        vfu_pci_add_capability(ctx, 0, 0, &msix) < 0)
        return -1;
    return 0;
}

static int add_regions(struct device *d)
{
    vfu_ctx_t *ctx = d->ctx;
    const int memory = VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM;
    const int wide_memory = memory | VFU_REGION_FLAG_64_BITS | VFU_REGION_FLAG_PREFETCH;
    struct iovec areas[] = {
        { .iov_base = (void *)0x10000, .iov_len = 0x70000 },
        { .iov_base = (void *)0x100000, .iov_len = 0x100000 },
    };

    if (vfu_setup_region(ctx, VFU_PCI_DEV_BAR0_REGION_IDX, REGISTERS_SIZE, on_registers,
                         memory, NULL, 0, -1, 0) < 0 ||
        vfu_setup_region(ctx, VFU_PCI_DEV_BAR1_REGION_IDX, STORAGE_SIZE, on_storage,
                         memory, areas, 2, d->storage.fd, 0) < 0 ||
        vfu_setup_region(ctx, VFU_PCI_DEV_BAR2_REGION_IDX, BUFFER_SIZE, on_buffer,
                         wide_memory, NULL, 0, d->buffer.fd, 0) < 0 ||
        vfu_setup_region(ctx, VFU_PCI_DEV_BAR4_REGION_IDX, VECTORS_SIZE, on_vectors,
                         memory, NULL, 0, -1, 0) < 0 ||
        vfu_setup_region(ctx, VFU_PCI_DEV_ROM_REGION_IDX, ROM_SIZE, on_rom,
                         VFU_REGION_FLAG_READ, NULL, 0, -1, 0) < 0)
        return -1;
    return 0;
}

/* Tell the library what the device is. Return: 0, or -1 and errno. */
static int describe_device(struct device *d)
{
    if (vfu_setup_log(d->ctx, on_log, d->verbose ? LOG_DEBUG : LOG_ERR) < 0 ||
        vfu_pci_init(d->ctx, VFU_PCI_TYPE_EXPRESS, PCI_HEADER_TYPE_NORMAL, 1) < 0)
        return -1;
    vfu_pci_set_id(d->ctx, VENDOR_ID, DEVICE_ID, VENDOR_ID, DEVICE_ID);
    vfu_pci_set_class(d->ctx, 0xff, 0, 0);      /* fits no class */
    if (add_capabilities(d->ctx) < 0 || add_regions(d) < 0 ||
        vfu_setup_device_nr_irqs(d->ctx, VFU_DEV_INTX_IRQ, 1) < 0 ||
        vfu_setup_device_nr_irqs(d->ctx, VFU_DEV_MSI_IRQ, 1) < 0 ||
        vfu_setup_device_nr_irqs(d->ctx, VFU_DEV_MSIX_IRQ, N_VECTORS) < 0 ||
        vfu_setup_device_dma(d->ctx, on_dma_register, on_dma_unregister) < 0 ||
        vfu_realize_ctx(d->ctx) < 0)
        return -1;
    memcpy(d->config, vfu_pci_get_config_space(d->ctx), sizeof(d->config));
    reset_device(d);
    return vfu_setup_device_reset_cb(d->ctx, on_reset);
}

/* ---------------------------------------------------------- clean ending */

static volatile sig_atomic_t stopping;
static timer_t nudge;

/*
 * Also called by the timer. A client that keeps the library busy must not
 * keep it from returning: without its socket there is nothing more to serve.
 */
static void end_client(void)
{
    int fd = client_fd;

    if (fd != -1)
        shutdown(fd, SHUT_RDWR);
}

/*
 * A signal can arrive just after the loop looked at the flag and just before a
 * call that blocks. So the first one starts a timer whose signals go on
 * interrupting calls until the loop has looked again.
 */
static void on_stop(int signal_number)
{
    const struct itimerspec soon_and_often = {
        .it_value.tv_nsec = 10 * 1000 * 1000,
        .it_interval.tv_nsec = 10 * 1000 * 1000,
    };
    int saved = errno;

    (void)signal_number;
    stopping = 1;
    end_client();
    timer_settime(nudge, 0, &soon_and_often, NULL);
    errno = saved;
}

static void on_nudge(int signal_number)
{
    int saved = errno;

    (void)signal_number;
    end_client();
    errno = saved;
}

/* Return: 0, or -1 and errno. */
static int catch_signals(void)
{
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
    struct sigaction stop = { .sa_handler = on_stop };     /* no SA_RESTART: EINTR */
    struct sigaction wake = { .sa_handler = on_nudge };
    struct sigaction ignore = { .sa_handler = SIG_IGN };

    if (timer_create(CLOCK_MONOTONIC, &event, &nudge) < 0 ||
        sigaction(SIGALRM, &wake, NULL) < 0 || sigaction(SIGPIPE, &ignore, NULL) < 0 ||
        sigaction(SIGTERM, &stop, NULL) < 0 || sigaction(SIGINT, &stop, NULL) < 0)
        return -1;
    return 0;
}

/* ---------------------------------------------------------- the run loop */

/* Something that is not the client's fault: do not spin on it. */
static void pause_a_little(void)
{
    const struct timespec tenth = { .tv_nsec = 100 * 1000 * 1000 };

    nanosleep(&tenth, NULL);
}

/* Serve the client that is attached until it leaves. */
static void serve_client(struct device *d)
{
    client_fd = vfu_get_poll_fd(d->ctx);
    while (!stopping) {
        vfu_run_ctx(d->ctx);    /* returns only on errors */
        if (errno == ENOTCONN) {
            tell(d, "client has left");
            return;
        }
        if (errno != EINTR) {
            say("cannot serve the client: %s", strerror(errno));
            pause_a_little();
        }
    }
}

/* One client after another, until a signal. */
static void serve(struct device *d)
{
    while (!stopping) {
        if (vfu_attach_ctx(d->ctx) == 0) {
            tell(d, "client has come");
            serve_client(d);
        } else if (errno != EINTR) {
            tell(d, "no agreement with a client: %s", strerror(errno));
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
                pause_a_little();
        }
    }
}

/* ---------------------------------------------------------------- set-up */

/*
 * A server that was killed leaves its socket behind. Remove it, but nothing
 * else, and not that of a server that lives. Return: 0, or -1 after saying why.
 */
static int remove_stale_socket(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct stat st;
    int fd, err;

    if (strlen(path) >= sizeof(address.sun_path)) {
        say("%s: longer than %zu bytes", path, sizeof(address.sun_path) - 1);
        return -1;
    }
    if (lstat(path, &st) < 0)
        return 0;       /* not there; or the library will say what is wrong */
    if (!S_ISSOCK(st.st_mode)) {
        say("%s: exists and is not a socket", path);
        return -1;
    }
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        say("socket: %s", strerror(errno));
        return -1;
    }
    err = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
    close(fd);
    if (err != ECONNREFUSED) {
        say("%s: %s", path, err == 0 || err == EAGAIN ? "another server listens there"
                                                      : strerror(err));
        return -1;
    }
    if (unlink(path) < 0 && errno != ENOENT) {
        say("%s: cannot remove it: %s", path, strerror(errno));
        return -1;
    }
    return 0;
}

/* Return: the exit status. */
static int run(struct device *d, const char *path)
{
    int err;

    d->ctx = vfu_create_ctx(VFU_TRANS_SOCK, path, 0, d, VFU_DEV_TYPE_PCI);
    if (d->ctx == NULL) {
        say("%s: %s", path, strerror(errno));
        return 1;
    }
    if (describe_device(d) < 0) {
        say("cannot set up the device: %s", strerror(errno));
        vfu_destroy_ctx(d->ctx);
        return 1;
    }
    err = start_timers(d);
    if (err != 0) {
        say("cannot start a thread: %s", strerror(err));
        vfu_destroy_ctx(d->ctx);
        return 1;
    }
    tell(d, "listening on %s", path);
    serve(d);
    tell(d, "stopping");
    stop_timer(d, &d->alarm);
    stop_timer(d, &d->timer);
    vfu_destroy_ctx(d->ctx);    /* removes the socket */
    return 0;
}

static int make_and_run(const char *path, bool verbose)
{
    struct device d = {
        .verbose = verbose,
        .storage.fd = -1,
        .buffer.fd = -1,
        .lock = PTHREAD_MUTEX_INITIALIZER,
    };
    int status = 1;

    init_timers(&d);
    d.pieces = calloc(MAX_PIECES, dma_sg_size());
    if (d.pieces == NULL || catch_signals() < 0 ||
        make_storage(&d.storage, "storage", STORAGE_SIZE) < 0 ||
        make_storage(&d.buffer, "buffer", BUFFER_SIZE) < 0)
        say("cannot start: %s", strerror(errno));
    else if (remove_stale_socket(path) == 0)
        status = run(&d, path);
    drop_storage(&d.buffer);
    drop_storage(&d.storage);
    free(d.pieces);
    drop_timers(&d);
    pthread_mutex_destroy(&d.lock);
    return status;
}

static void usage(FILE *to)
{
    fputs("usage: server [-v] SOCKET\n"
          "       server [-v] --socket-path=PATH\n"
          "\n"
          "Serve a sample PCI device to vfio-user clients, one after another, until\n"
          "SIGTERM or SIGINT. The register table is at the top of samples/server.c.\n"
          "\n"
          "  -s, --socket-path=PATH  where clients connect\n"
          "  -v, --verbose           tell every access and event on standard error\n"
          "  -h, --help              show this text\n"
          "      --version           show the version\n",
          to);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "socket-path", required_argument, NULL, 's' },
        { "verbose",     no_argument,       NULL, 'v' },
        { "help",        no_argument,       NULL, 'h' },
        { "version",     no_argument,       NULL, 'V' },
        { NULL,          0,                 NULL, 0 },
    };
    const char *path = NULL;
    bool verbose = false;
    int option;

    while ((option = getopt_long(argc, argv, "s:vh", options, NULL)) != -1) {
        switch (option) {
        case 's':
            path = optarg;
            break;
        case 'v':
            verbose = true;
            break;
        case 'h':
            usage(stdout);
            return 0;
        case 'V':
            printf("server (libvfio-user API %d.%d)\n", LIB_VFIO_USER_MAJOR,
                   LIB_VFIO_USER_MINOR);
            return 0;
        default:
            usage(stderr);
            return 2;
        }
    }
    if (path == NULL && optind < argc)
        path = argv[optind++];
    if (path == NULL || path[0] == '\0' || optind != argc) {
        usage(stderr);
        return 2;
    }
    return make_and_run(path, verbose);
}
