/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sum: a device that adds up bytes of guest memory on a thread of its own.
 *
 *     sum SOCKET
 *
 * Registers in BAR0: u64 address @0, u32 length @8, u32 result @12; a write to the doorbell @16
 * starts, an interrupt says that the result is there. Shows an event loop, a worker thread that
 * reads guest memory whether it can be mapped or not, quiesce, migration and an ioeventfd.
 * Quoted in docs/writing-a-device.md.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <libvfio-user.h>

#define LONGEST  65536u     /* bytes that one job adds up */
#define PIECES   16         /* windows that one job may cross */
#define DOORBELL 16

struct registers {
    uint64_t address;
    uint32_t length;
    uint32_t result;
};

struct device {
    vfu_ctx_t *ctx;
    int doorbell;           /* eventfd that a client may signal in place of a write */
    int idle;               /* eventfd: the worker has finished a job */
    bool quiesced;          /* no new job may begin */

    pthread_mutex_t lock;   /* for what follows */
    pthread_cond_t work;
    struct registers regs;
    bool busy;              /* a job waits or is being done */
    size_t saved;           /* bytes of regs that a migration has taken */
};

/* -------------------------------------------------------------------- worker -- */

/* Copy guest memory here, from one window or several. */
static int fetch(struct device *d, uint64_t address, void *data, size_t length)
{
    dma_sg_t *sgl = calloc(PIECES, dma_sg_size());
    int n, err = -1;

    if (sgl == NULL)
        return -1;
    n = vfu_addr_to_sgl(d->ctx, (vfu_dma_addr_t)(uintptr_t)address, length, sgl, PIECES,
                        PROT_READ);
    if (n > 0)
        err = vfu_sgl_read(d->ctx, sgl, (size_t)n, data, VFU_SGL_DIRECT_ACCESS);
    free(sgl);
    return err;
}

static uint32_t add_up(struct device *d, const struct registers *job)
{
    static uint8_t data[LONGEST];
    uint32_t sum = 0;

    if (job->length == 0 || job->length > LONGEST ||
        fetch(d, job->address, data, job->length) != 0)
        return UINT32_MAX;
    for (uint32_t i = 0; i < job->length; i++)
        sum += data[i];
    return sum;
}

static void *worker(void *arg)
{
    struct device *d = arg;

    pthread_mutex_lock(&d->lock);
    for (;;) {
        struct registers job = d->regs;

        if (!d->busy) {
            pthread_cond_wait(&d->work, &d->lock);
            continue;
        }
        pthread_mutex_unlock(&d->lock);     /* what follows may wait for the client */
        job.result = add_up(d, &job);
        pthread_mutex_lock(&d->lock);
        d->regs.result = job.result;
        d->busy = false;
        vfu_irq_trigger(d->ctx, 0);         /* never waits */
        eventfd_write(d->idle, 1);
    }
    return NULL;
}

static void ring(struct device *d)
{
    pthread_mutex_lock(&d->lock);
    d->busy = true;
    pthread_cond_signal(&d->work);
    pthread_mutex_unlock(&d->lock);
}

/* ----------------------------------------------------------------- callbacks -- */

static ssize_t on_access(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                         bool is_write)
{
    struct device *d = vfu_get_private(ctx);

    if (is_write && offset == DOORBELL) {
        ring(d);
        return (ssize_t)count;
    }
    if ((size_t)offset + count > sizeof(d->regs)) {
        errno = EINVAL;
        return -1;
    }
    pthread_mutex_lock(&d->lock);
    if (is_write)
        memcpy((char *)&d->regs + offset, buf, count);
    else
        memcpy(buf, (char *)&d->regs + offset, count);
    pthread_mutex_unlock(&d->lock);
    return (ssize_t)count;
}

/* Windows are about to change: the job in hand ends first, and no other begins. */
static int on_quiesce(vfu_ctx_t *ctx)
{
    struct device *d = vfu_get_private(ctx);
    bool busy;

    d->quiesced = true;
    pthread_mutex_lock(&d->lock);
    busy = d->busy;
    pthread_mutex_unlock(&d->lock);
    if (!busy)
        return 0;
    errno = EBUSY;      /* the event loop calls vfu_device_quiesced() */
    return -1;
}

static int on_reset(vfu_ctx_t *ctx, vfu_reset_type_t type)
{
    struct device *d = vfu_get_private(ctx);

    (void)type;
    pthread_mutex_lock(&d->lock);
    d->regs = (struct registers){ 0 };
    pthread_mutex_unlock(&d->lock);
    return 0;
}

static void on_window(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    (void)ctx;      /* nothing is kept from one job to the next */
    (void)info;
}

/* ----------------------------------------------------------------- migration -- */

/* The library has quiesced the device around this; there is nothing else to stop. */
static int on_transition(vfu_ctx_t *ctx, vfu_migr_state_t state)
{
    struct device *d = vfu_get_private(ctx);

    if (state == VFU_MIGR_STATE_STOP_AND_COPY || state == VFU_MIGR_STATE_RESUME)
        d->saved = 0;
    return 0;
}

/* A part of the state as large as the client wants it. */
static ssize_t on_save(vfu_ctx_t *ctx, void *buf, uint64_t count)
{
    struct device *d = vfu_get_private(ctx);
    size_t left = sizeof(d->regs) - d->saved;

    if (count > left)
        count = left;
    memcpy(buf, (char *)&d->regs + d->saved, count);
    d->saved += count;
    return (ssize_t)count;
}

/* The client may cut the stream anywhere. */
static ssize_t on_restore(vfu_ctx_t *ctx, void *buf, uint64_t count)
{
    struct device *d = vfu_get_private(ctx);

    if (count > sizeof(d->regs) - d->saved) {
        errno = EINVAL;
        return -1;
    }
    memcpy((char *)&d->regs + d->saved, buf, count);
    d->saved += count;
    return (ssize_t)count;
}

/* -------------------------------------------------------------------- set-up -- */

static int set_up_memory(struct device *d)
{
    const vfu_migration_callbacks_t migration = {
        .version = VFU_MIGR_CALLBACKS_VERS,
        .transition = on_transition,
        .read_data = on_save,
        .write_data = on_restore,
    };

    if (vfu_setup_device_dma(d->ctx, on_window, on_window) < 0 ||
        vfu_setup_device_reset_cb(d->ctx, on_reset) < 0 ||
        vfu_setup_device_migration_callbacks(d->ctx, &migration) < 0 ||
        vfu_setup_migration_flags(d->ctx, VFIO_MIGRATION_STOP_COPY) < 0)
        return -1;
    vfu_setup_device_quiesce_cb(d->ctx, on_quiesce);
    return vfu_setup_timeout(d->ctx, VFU_TIMEOUT_DMA, 2000);
}

static int set_up(struct device *d)
{
    if (vfu_pci_init(d->ctx, VFU_PCI_TYPE_CONVENTIONAL, PCI_HEADER_TYPE_NORMAL, 0) < 0)
        return -1;
    vfu_pci_set_id(d->ctx, 0x1234, 0x5353, 0, 0);
    if (vfu_setup_region(d->ctx, VFU_PCI_DEV_BAR0_REGION_IDX, 4096, on_access,
                         VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM, NULL, 0, -1, 0) < 0 ||
        vfu_create_ioeventfd(d->ctx, VFU_PCI_DEV_BAR0_REGION_IDX, d->doorbell, DOORBELL, 4, 0,
                             0, -1, 0) < 0 ||
        vfu_setup_device_nr_irqs(d->ctx, VFU_DEV_INTX_IRQ, 1) < 0 ||
        set_up_memory(d) < 0)
        return -1;
    if (vfu_setup_output_queue(d->ctx, 1 << 20) < 0 || vfu_setup_memory_guard(d->ctx) < 0)
        return -1;
    return vfu_realize_ctx(d->ctx);
}

/* ---------------------------------------------------------------- event loop -- */

/* Read a counter; false: it was 0. */
static bool signalled(int fd)
{
    eventfd_t n;

    return eventfd_read(fd, &n) == 0;
}

/* One event of the client. False: this is the end. */
static bool serve(struct device *d)
{
    if (vfu_attach_ctx(d->ctx) == 0 || errno == EAGAIN)
        return true;
    if (vfu_run_ctx(d->ctx) >= 0) {
        d->quiesced = false;    /* if it was asked to, what that was for is done */
        return true;
    }
    if (errno == ENOTCONN)
        d->quiesced = false;
    return errno == ENOTCONN || errno == EBUSY || errno == EINTR;
}

static void loop(struct device *d)
{
    bool go_on = true;

    while (go_on) {
        struct pollfd fds[] = {
            { .fd = vfu_get_poll_fd(d->ctx), .events = (short)vfu_get_poll_events(d->ctx) },
            { .fd = vfu_get_wake_fd(d->ctx), .events = POLLIN },
            { .fd = d->idle, .events = POLLIN },
            { .fd = d->quiesced ? -1 : d->doorbell, .events = POLLIN },
        };

        if (poll(fds, 4, -1) < 0)
            break;
        if (fds[0].revents != 0 || fds[1].revents != 0)
            go_on = serve(d);
        if (signalled(d->idle) && vfu_device_quiesced(d->ctx, 0) == 0)
            d->quiesced = false;
        if (!d->quiesced && signalled(d->doorbell))
            ring(d);
    }
}

int main(int argc, char **argv)
{
    struct device d = {
        .doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
        .idle = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .work = PTHREAD_COND_INITIALIZER,
    };
    pthread_t thread;

    if (argc != 2) {
        fprintf(stderr, "usage: %s SOCKET\n", argv[0]);
        return 2;
    }
    d.ctx = vfu_create_ctx(VFU_TRANS_SOCK, argv[1], LIBVFIO_USER_FLAG_ATTACH_NB, &d,
                           VFU_DEV_TYPE_PCI);
    if (d.ctx == NULL || set_up(&d) < 0) {
        perror(argv[1]);
        vfu_destroy_ctx(d.ctx);
        return 1;
    }
    if (pthread_create(&thread, NULL, worker, &d) != 0)
        return 1;
    loop(&d);
    perror("stopped");
    return 1;
}
