/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device for the client's tests to run against: one that reads and writes guest memory,
 * within a register access and from a thread of its own.
 *
 *     device_dma SOCKET
 *
 * It ends with SIGTERM, or with its parent.
 *
 * BAR0, 4 KiB, by message: registers of 8 bytes.
 *     0x00  ADDRESS  rw  guest address
 *     0x08  COUNT    rw  bytes, up to 1 MiB; for rounds up to 64 KiB
 *     0x10  DIRECT   rw  1: by the window's mapping if it has one; 0: by message
 *     0x18  GO       w   1: guest to buffer, 2: buffer to guest; done before the reply
 *     0x20  RESULT   r   0 or the errno of the latest GO
 *     0x28  ROUNDS   w   the thread writes and reads back ADDRESS so often; 0: it stops
 *     0x30  LEFT     r   rounds that are left
 *     0x38  DONE     r   rounds that went well
 *     0x40  FAILED   r   rounds that did not
 *     0x48  WRONG    r   rounds that read something else than they had written
 * BAR1, 1 MiB, by message: the buffer.
 *
 * It can be moved in name only, as what DMA logging takes.
 */
#include "libserver/include/libvfio-user.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define BUFFER    (1u << 20)
#define ROUND_MAX (64u << 10)
#define PIECES    16u

enum { ADDRESS, COUNT, DIRECT, GO, RESULT, ROUNDS, LEFT, DONE, FAILED, WRONG, REGISTERS };

struct device {
    vfu_ctx_t *ctx;
    uint8_t *buffer;
    int quiet_fd;               /* the thread says that it is quiet, as was wished */
    bool quiesce_pending;       /* only on the thread that runs the context */

    pthread_mutex_t lock;       /* what follows */
    pthread_cond_t wake;        /* rounds are left, or the others changed */
    uint64_t registers[REGISTERS];
    uint64_t orders;            /* writes of ROUNDS: rounds of an older one are void */
    bool busy;                  /* in a round */
    bool paused;                /* no new round */
    bool quit;
};

/* ----------------------------------------------------------------- transfers -- */

/* 0 or an errno. */
static int transfer(struct device *d, uint64_t address, void *data, uint64_t count,
                    bool write, int flags)
{
    dma_sg_t *sg = calloc(PIECES, dma_sg_size());
    int n, err = 0;

    if (sg == NULL)
        return ENOMEM;
    n = vfu_addr_to_sgl(d->ctx, (vfu_dma_addr_t)(uintptr_t)address, count, sg, PIECES,
                        write ? PROT_WRITE : PROT_READ);
    if (n < 0)
        err = errno != 0 ? errno : E2BIG;
    else if ((write ? vfu_sgl_write(d->ctx, sg, (size_t)n, data, flags)
                    : vfu_sgl_read(d->ctx, sg, (size_t)n, data, flags)) < 0)
        err = errno;
    free(sg);
    return err;
}

/* One round of the thread: what to add 1 to. */
static unsigned round_trip(struct device *d, const uint64_t *registers, uint8_t *data)
{
    uint64_t count = registers[COUNT];
    uint8_t value = (uint8_t)(registers[LEFT] | 1);

    memset(data, value, count);
    if (transfer(d, registers[ADDRESS], data, count, true, 0) != 0)
        return FAILED;
    memset(data, 0, count);
    if (transfer(d, registers[ADDRESS], data, count, false, 0) != 0)
        return FAILED;
    for (uint64_t i = 0; i < count; i++) {
        if (data[i] != value)
            return WRONG;
    }
    return DONE;
}

static void *do_rounds(void *arg)
{
    static uint8_t data[ROUND_MAX];
    struct device *d = arg;

    pthread_mutex_lock(&d->lock);
    while (!d->quit) {
        uint64_t registers[REGISTERS], order = d->orders;
        unsigned outcome;

        if (d->paused || d->registers[LEFT] == 0) {
            pthread_cond_wait(&d->wake, &d->lock);
            continue;
        }
        d->busy = true;
        memcpy(registers, d->registers, sizeof(registers));
        pthread_mutex_unlock(&d->lock);
        outcome = round_trip(d, registers, data);
        pthread_mutex_lock(&d->lock);
        d->busy = false;
        if (order == d->orders) {
            d->registers[outcome]++;
            d->registers[LEFT]--;
        }
        if (d->paused)
            eventfd_write(d->quiet_fd, 1);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

/* ----------------------------------------------------------------- callbacks -- */

static int go(struct device *d, uint64_t how)
{
    uint64_t count = d->registers[COUNT];
    int flags = d->registers[DIRECT] != 0 ? VFU_SGL_DIRECT_ACCESS : 0;
    int err;

    if (count > BUFFER || how < 1 || how > 2) {
        errno = EINVAL;
        return -1;
    }
    err = transfer(d, d->registers[ADDRESS], d->buffer, count, how == 2, flags);
    d->registers[RESULT] = (uint64_t)err;
    return 0;
}

static int start_rounds(struct device *d, uint64_t n)
{
    if (n > 0 && d->registers[COUNT] > ROUND_MAX) {
        errno = EINVAL;
        return -1;
    }
    pthread_mutex_lock(&d->lock);
    d->orders++;
    d->registers[LEFT] = n;
    if (n > 0)
        d->registers[DONE] = d->registers[FAILED] = d->registers[WRONG] = 0;
    pthread_cond_signal(&d->wake);
    pthread_mutex_unlock(&d->lock);
    return 0;
}

static int written(struct device *d, unsigned which, uint64_t value)
{
    switch (which) {
    case ADDRESS: case COUNT: case DIRECT:
        pthread_mutex_lock(&d->lock);
        d->registers[which] = value;
        pthread_mutex_unlock(&d->lock);
        return 0;
    case GO:
        return go(d, value);
    case ROUNDS:
        return start_rounds(d, value);
    default:
        errno = EINVAL;
        return -1;
    }
}

static ssize_t on_registers(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                            bool is_write)
{
    struct device *d = vfu_get_private(ctx);
    uint64_t value;

    if (count != sizeof(value) || offset % 8 != 0 || offset / 8 >= REGISTERS) {
        errno = EINVAL;
        return -1;
    }
    if (is_write) {
        memcpy(&value, buf, sizeof(value));
        return written(d, (unsigned)(offset / 8), value) < 0 ? -1 : (ssize_t)count;
    }
    pthread_mutex_lock(&d->lock);
    memcpy(buf, &d->registers[offset / 8], count);
    pthread_mutex_unlock(&d->lock);
    return (ssize_t)count;
}

static ssize_t on_buffer(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                         bool is_write)
{
    struct device *d = vfu_get_private(ctx);

    if (is_write)
        memcpy(d->buffer + offset, buf, count);
    else
        memcpy(buf, d->buffer + offset, count);
    return (ssize_t)count;
}

static int on_quiesce(vfu_ctx_t *ctx)
{
    struct device *d = vfu_get_private(ctx);
    bool busy;

    pthread_mutex_lock(&d->lock);
    d->paused = true;
    busy = d->busy;
    pthread_mutex_unlock(&d->lock);
    if (!busy)
        return 0;
    d->quiesce_pending = true;
    errno = EBUSY;
    return -1;
}

static void on_window(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    (void)ctx;
    (void)info;
}

static int on_reset(vfu_ctx_t *ctx, vfu_reset_type_t type)
{
    (void)type;     /* a lost client too */
    return start_rounds(vfu_get_private(ctx), 0);
}

static int on_transition(vfu_ctx_t *ctx, vfu_migr_state_t state)
{
    (void)ctx;
    (void)state;
    errno = ENOTSUP;
    return -1;
}

static ssize_t on_state(vfu_ctx_t *ctx, void *buf, uint64_t count)
{
    (void)ctx;
    (void)buf;
    (void)count;
    errno = ENOTSUP;
    return -1;
}

/* ------------------------------------------------------------------- running -- */

static volatile sig_atomic_t stopping;

static void on_stop(int signal_number)
{
    (void)signal_number;
    stopping = 1;
}

/* The thread may go on, unless somebody waits for it to be quiet. */
static void go_on(struct device *d)
{
    if (d->quiesce_pending)
        return;
    pthread_mutex_lock(&d->lock);
    d->paused = false;
    pthread_cond_signal(&d->wake);
    pthread_mutex_unlock(&d->lock);
}

/* One client after another. The signal is let in only while nothing is served. */
static void serve(struct device *d, const sigset_t *waiting)
{
    bool attached = false;

    while (!stopping) {
        struct pollfd ready[3] = {
            { .fd = d->quiesce_pending ? -1 : vfu_get_poll_fd(d->ctx), .events = POLLIN },
            { .fd = d->quiesce_pending ? -1 : vfu_get_wake_fd(d->ctx), .events = POLLIN },
            { .fd = d->quiet_fd, .events = POLLIN },
        };
        eventfd_t count;

        if (ppoll(ready, 3, NULL, waiting) < 0)
            continue;
        if (ready[2].revents != 0) {
            eventfd_read(d->quiet_fd, &count);
            if (!d->quiesce_pending)
                continue;
            d->quiesce_pending = false;
            vfu_device_quiesced(d->ctx, 0);
        } else if (!attached) {
            attached = vfu_attach_ctx(d->ctx) == 0;
        } else if (vfu_run_ctx(d->ctx) < 0 && errno == ENOTCONN) {
            attached = false;
        }
        go_on(d);
    }
}

static int set_up(struct device *d)
{
    const vfu_migration_callbacks_t callbacks = {
        .version = VFU_MIGR_CALLBACKS_VERS,
        .transition = on_transition,
        .read_data = on_state,
        .write_data = on_state,
    };
    const int flags = VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM;

    if (vfu_pci_init(d->ctx, VFU_PCI_TYPE_CONVENTIONAL, PCI_HEADER_TYPE_NORMAL, 0) < 0
        || vfu_setup_region(d->ctx, VFU_PCI_DEV_BAR0_REGION_IDX, 0x1000, on_registers,
                            flags, NULL, 0, -1, 0) < 0
        || vfu_setup_region(d->ctx, VFU_PCI_DEV_BAR1_REGION_IDX, BUFFER, on_buffer, flags,
                            NULL, 0, -1, 0) < 0
        || vfu_setup_device_dma(d->ctx, on_window, on_window) < 0
        || vfu_setup_device_reset_cb(d->ctx, on_reset) < 0
        || vfu_setup_device_migration_callbacks(d->ctx, &callbacks) < 0)
        return -1;
    vfu_setup_device_quiesce_cb(d->ctx, on_quiesce);
    return vfu_realize_ctx(d->ctx);
}

static int run(struct device *d, const sigset_t *waiting)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, do_rounds, d) != 0)
        return 1;
    serve(d, waiting);
    pthread_mutex_lock(&d->lock);
    d->quit = true;
    pthread_cond_signal(&d->wake);
    pthread_mutex_unlock(&d->lock);
    pthread_join(thread, NULL);
    return 0;
}

int main(int argc, char **argv)
{
    static struct device d = {
        .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER,
    };
    struct sigaction stop = { .sa_handler = on_stop };
    sigset_t waiting, held;
    int status;

    sigemptyset(&held);
    sigaddset(&held, SIGTERM);
    if (argc != 2 || prctl(PR_SET_PDEATHSIG, SIGTERM) < 0
        || sigprocmask(SIG_BLOCK, &held, &waiting) < 0
        || sigaction(SIGTERM, &stop, NULL) < 0)
        return 1;
    sigdelset(&waiting, SIGTERM);
    d.buffer = calloc(1, BUFFER);
    d.quiet_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    d.ctx = vfu_create_ctx(VFU_TRANS_SOCK, argv[1], LIBVFIO_USER_FLAG_ATTACH_NB, &d,
                           VFU_DEV_TYPE_PCI);
    if (d.buffer == NULL || d.quiet_fd < 0 || d.ctx == NULL || set_up(&d) < 0) {
        fprintf(stderr, "device_dma: %s\n", strerror(errno));
        return 1;
    }
    status = run(&d, &waiting);
    vfu_destroy_ctx(d.ctx);
    close(d.quiet_fd);
    free(d.buffer);
    return status;
}
