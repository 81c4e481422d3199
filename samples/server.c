/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small PCI device in a process of its own, served over a UNIX socket.
 *
 *     server [-v] SOCKET
 *
 * It shows what a device model needs of libvfio-user.h: configuration space
 * with capabilities, registers behind a callback, memory that the client maps,
 * interrupts from other threads, copying in guest memory, migration, resets,
 * and a run loop that serves one client after another until SIGTERM or SIGINT.
 * samples/client.c drives it; so does any vfio-user client, QEMU for example:
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
 *                              target is not (all) guest memory that may be
 *                              read or written, 6 too many pieces, 7 failed:
 *                              a file has ended, the client has refused
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
 * The device can be migrated, storage while it runs and the rest when it stands
 * still. Then it raises nothing and refuses to copy (EBUSY).
 *
 * In this file: regions, resets, set-up and the run loop. server_timers.c:
 * TIME and TIMER_DELAY. server_dma.c: copying. server_migration.c: migration,
 * and the format of the stream.
 *
 * Threads: the main thread runs the device. Each of the two timers has a
 * thread, which waits on its own clock and calls vfu_irq_trigger().
 */
#include "samples/server.h"

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

/* ---------------------------------------------------------------- output */

void say(const char *fmt, ...)
{
    char line[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    fprintf(stderr, "server: %s\n", line);
}

static void on_log(vfu_ctx_t *ctx, int level, const char *msg)
{
    (void)ctx;
    (void)level;
    say("library: %s", msg);
}

/* ------------------------------------------------------------- registers */

static uint64_t wide(const struct device *d, int low)
{
    return d->registers[low / 4] | (uint64_t)d->registers[low / 4 + 1] << 32;
}

static void set_alarm(struct device *d)
{
    uint64_t seconds = wide(d, TIME_LOW);

    if (seconds == 0)
        timer_cancel(&d->alarm);
    else
        timer_set_time(&d->alarm, seconds, 0);
}

static void set_timer(struct device *d)
{
    uint32_t us = d->registers[TIMER_DELAY / 4];

    if (us == 0)
        timer_cancel(&d->timer);
    else
        timer_set_delay(&d->timer, us * UINT64_C(1000), d->registers[TIMER_VECTOR / 4]);
}

static void start_copy(struct device *d)
{
    uint32_t status = dma_copy(d, wide(d, SOURCE_LOW), wide(d, TARGET_LOW),
                               d->registers[DMA_LENGTH / 4]);

    d->registers[DMA_STATUS / 4] = status;
    tell(d, "DMA status %u", status);
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
        if (value == 1 && d->still) {
            errno = EBUSY;
            return -1;
        }
        if (value == 1)
            start_copy(d);
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
    static const char text[] = ROM_TEXT;

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
    timer_cancel(&d->alarm);
    timer_cancel(&d->timer);
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
    migration_abandon(d);
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
        { .iov_base = (void *)AREA0_OFFSET, .iov_len = AREA0_SIZE },
        { .iov_base = (void *)AREA1_OFFSET, .iov_len = AREA1_SIZE },
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
        migration_init(d) < 0 || vfu_realize_ctx(d->ctx) < 0)
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
    err = timers_start(d);
    if (err != 0) {
        say("cannot start a thread: %s", strerror(err));
        vfu_destroy_ctx(d->ctx);
        return 1;
    }
    tell(d, "listening on %s", path);
    serve(d);
    tell(d, "stopping");
    timers_stop(d);
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

    timers_init(&d);
    if (dma_init(&d) < 0 || catch_signals() < 0 ||
        make_storage(&d.storage, "storage", STORAGE_SIZE) < 0 ||
        make_storage(&d.buffer, "buffer", BUFFER_SIZE) < 0)
        say("cannot start: %s", strerror(errno));
    else if (remove_stale_socket(path) == 0)
        status = run(&d, path);
    drop_storage(&d.buffer);
    drop_storage(&d.storage);
    dma_destroy(&d);
    timers_destroy(&d);
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
