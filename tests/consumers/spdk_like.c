/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A storage target in the way of SPDK's: an NVMe-like device whose queues are served by a
 * worker thread, while one epoll loop runs the context, once per event.
 *
 *     spdk_like SOCKET
 *
 * What it relies on is what that target relies on: the 3-argument form of
 * vfu_setup_device_dma(), a configuration region of 0x1000 bytes set up after
 * vfu_pci_init(), a live configuration space, the peer's credentials on the poll
 * descriptor inside both DMA callbacks, the poll descriptor still open in the reset
 * callback, quiesce that takes its time. It prints a line for each thing that happens;
 * test_consumers.py plays the client and compares. It ends when its standard input does.
 *
 * Registers of BAR0: 0x0000..0x0fff are plain bytes; a guest address written to 0x1000 (a
 * page that the client may map as well) makes the worker take the 64 bytes there and put
 * their complement behind them, then interrupt by vector 1.
 */
#include <vfio-user/libvfio-user.h>
#include <vfio-user/pci_defs.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define VECTORS 8
#define DOORBELLS 0x1000        /* offset in BAR0 */
#define ENTRY 64                /* bytes of a command, and of its answer */
#define PAUSE UINT64_MAX        /* to the worker: say that all before this is done */

struct target {
    vfu_ctx_t *ctx;
    vfu_pci_config_space_t *config;
    struct msixcap *msix;       /* inside config */
    uint8_t *bar0;
    int bar0_fd;
    int epoll;
    int polled;                 /* descriptor of the context in epoll, or -1; not ours */
    int work[2];                /* pipe to the worker */
    int paused;                 /* eventfd: the worker is idle */
    unsigned quiesces;
    bool attached;
    bool waiting;               /* for the worker, on behalf of vfu_device_quiesced() */
};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(struct target *t, int fd, int op)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

    if (epoll_ctl(t->epoll, op, fd, &event) != 0)
        fail("epoll_ctl");
}

static void log_line(vfu_ctx_t *ctx, int level, const char *msg)
{
    (void)ctx;
    if (level <= LOG_ERR)
        fprintf(stderr, "log %d: %s\n", level, msg);
}

/*
 * The worker: everything that touches guest memory.
 */

static int map_one(struct target *t, uint64_t address, int prot, dma_sg_t *sg,
                   struct iovec *iov)
{
    vfu_dma_addr_t where = (vfu_dma_addr_t)(uintptr_t)address;
    int n = vfu_addr_to_sgl(t->ctx, where, ENTRY, sg, 1, prot);

    if (n < 0) {
        printf("no memory at %#" PRIx64 ": %s\n", address,
               n == -1 ? strerrorname_np(errno) : "too many pieces");
        return -1;
    }
    return vfu_sgl_get(t->ctx, sg, iov, 1, 0);
}

static void serve(struct target *t, uint64_t address)
{
    dma_sg_t *in = malloc(2 * dma_sg_size());
    dma_sg_t *out = (dma_sg_t *)((char *)in + dma_sg_size());
    struct iovec from, to;

    if (in == NULL)
        fail("malloc");
    if (map_one(t, address, PROT_READ, in, &from) == 0 &&
        map_one(t, address + ENTRY, PROT_READ | PROT_WRITE, out, &to) == 0) {
        for (size_t i = 0; i < ENTRY; i++)
            ((uint8_t *)to.iov_base)[i] = (uint8_t)~((uint8_t *)from.iov_base)[i];
        vfu_sgl_put(t->ctx, out, &to, 1);
        vfu_sgl_put(t->ctx, in, &from, 1);
        if (t->msix->mxc.mxe && vfu_irq_trigger(t->ctx, 1) != 0)
            fail("vfu_irq_trigger");
    }
    free(in);
}

static void *worker(void *arg)
{
    struct target *t = arg;
    uint64_t item;

    while (read(t->work[0], &item, sizeof(item)) == sizeof(item)) {
        if (item != PAUSE)
            serve(t, item);
        else if (eventfd_write(t->paused, 1) != 0)
            fail("eventfd_write");
    }
    return NULL;
}

static void hand_over(struct target *t, uint64_t item)
{
    if (write(t->work[1], &item, sizeof(item)) != sizeof(item))
        fail("write to the worker");
}

/*
 * Callbacks.
 */

static ssize_t on_bar0(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                       bool is_write)
{
    struct target *t = vfu_get_private(ctx);

    if (!is_write) {
        memcpy(buf, t->bar0 + offset, count);
        return (ssize_t)count;
    }
    memcpy(t->bar0 + offset, buf, count);
    if (offset == DOORBELLS && count == sizeof(uint64_t)) {
        uint64_t address;

        memcpy(&address, buf, sizeof(address));
        hand_over(t, address);
    }
    return (ssize_t)count;
}

/* What is neither header nor capability reads as it stands there. */
static ssize_t on_config(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                         bool is_write)
{
    struct target *t = vfu_get_private(ctx);

    if (is_write) {
        errno = EINVAL;
        return -1;
    }
    printf("config read %zu at %#llx\n", count, (long long)offset);
    memcpy(buf, (char *)t->config + offset, count);
    return (ssize_t)count;
}

static int peer(struct target *t)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (getsockopt(vfu_get_poll_fd(t->ctx), SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        fail("SO_PEERCRED of the poll descriptor");
    return peer.pid == getppid();
}

static void on_map(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    struct target *t = vfu_get_private(ctx);
    uintptr_t pages = (uintptr_t)info->mapping.iov_base | info->mapping.iov_len;

    printf("map %p+%#zx %s prot %u peer %d\n", info->iova.iov_base, info->iova.iov_len,
           info->vaddr == NULL ? "hidden" : pages % info->page_size == 0 ? "whole pages"
           : "parts of pages", info->prot, peer(t));
}

static void on_unmap(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    struct target *t = vfu_get_private(ctx);
    char *base = info->mapping.iov_base;

    /* The pages that were registered with the drivers of the target are there still. */
    if (info->vaddr != NULL)
        *(volatile char *)base;
    printf("unmap %p+%#zx peer %d\n", info->iova.iov_base, info->iova.iov_len, peer(t));
}

static int on_reset(vfu_ctx_t *ctx, vfu_reset_type_t type)
{
    struct target *t = vfu_get_private(ctx);

    printf("reset %d\n", type);
    if (type == VFU_RESET_LOST_CONN && t->polled != -1) {
        watch(t, t->polled, EPOLL_CTL_DEL);
        t->polled = -1;
        t->attached = false;
    }
    return 0;
}

/* At once the first time, by way of the worker ever after. */
static int on_quiesce(vfu_ctx_t *ctx)
{
    struct target *t = vfu_get_private(ctx);

    if (t->quiesces++ == 0) {
        printf("quiesce: quiet\n");
        return 0;
    }
    printf("quiesce: busy\n");
    t->waiting = true;
    hand_over(t, PAUSE);
    errno = EBUSY;
    return -1;
}

/*
 * Set-up, in the order of the original.
 */

static void check(int result, const char *what)
{
    if (result < 0)
        fail(what);
}

static void add_capabilities(struct target *t)
{
    struct pmcap pm = {
        .hdr.id = PCI_CAP_ID_PM,
        .pmcs.nsfrst = 1,
    };
    struct pxcap px = {
        .hdr.id = PCI_CAP_ID_EXP,
        .pxcaps = { .ver = 2 },
        .pxdcap = { .rer = 1, .flrc = 1 },
        .pxdcap2 = { .ctds = 1 },
    };
    struct msixcap msix = {
        .hdr.id = PCI_CAP_ID_MSIX,
        .mxc.ts = VECTORS - 1,
        .mtab = { .tbir = 4, .to = 0 },
        .mpba = { .pbir = 5, .pbao = 0 },
    };

    check((int)vfu_pci_add_capability(t->ctx, 0, 0, &pm), "PM");
    check((int)vfu_pci_add_capability(t->ctx, 0, 0, &px), "EXP");
    check((int)vfu_pci_add_capability(t->ctx, 0, 0, &msix), "MSI-X");
}

static void add_regions(struct target *t)
{
    struct iovec doorbells = { .iov_base = (void *)DOORBELLS, .iov_len = 0x1000 };

    check(vfu_setup_region(t->ctx, VFU_PCI_DEV_CFG_REGION_IDX, 0x1000, on_config,
                           VFU_REGION_FLAG_RW, NULL, 0, -1, 0), "configuration region");
    t->bar0_fd = memfd_create("bar0", MFD_CLOEXEC);
    if (t->bar0_fd == -1 || ftruncate(t->bar0_fd, 0x2000) != 0)
        fail("memfd");
    t->bar0 = mmap(NULL, 0x2000, PROT_READ | PROT_WRITE, MAP_SHARED, t->bar0_fd, 0);
    if (t->bar0 == MAP_FAILED)
        fail("mmap");
    check(vfu_setup_region(t->ctx, VFU_PCI_DEV_BAR0_REGION_IDX, 0x2000, on_bar0,
                           VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM, &doorbells, 1,
                           t->bar0_fd, 0), "BAR0");
    check(vfu_setup_region(t->ctx, VFU_PCI_DEV_BAR4_REGION_IDX, 0x1000, NULL,
                           VFU_REGION_FLAG_RW, NULL, 0, -1, 0), "BAR4");
    check(vfu_setup_region(t->ctx, VFU_PCI_DEV_BAR5_REGION_IDX, 0x1000, NULL,
                           VFU_REGION_FLAG_RW, NULL, 0, -1, 0), "BAR5");
}

static void set_up(struct target *t, const char *path)
{
    size_t at;

    t->ctx = vfu_create_ctx(VFU_TRANS_SOCK, path, LIBVFIO_USER_FLAG_ATTACH_NB, t,
                            VFU_DEV_TYPE_PCI);
    if (t->ctx == NULL)
        fail("vfu_create_ctx");
    check(vfu_setup_log(t->ctx, log_line, LOG_DEBUG), "log");
    check(vfu_pci_init(t->ctx, VFU_PCI_TYPE_EXPRESS, PCI_HEADER_TYPE_NORMAL, 0),
          "vfu_pci_init");
    vfu_pci_set_id(t->ctx, 0x4e58, 0x0001, 0, 0);
    vfu_pci_set_class(t->ctx, 0x01, 0x08, 0x02);
    add_capabilities(t);
    add_regions(t);
    check(vfu_setup_device_dma(t->ctx, on_map, on_unmap), "dma");
    check(vfu_setup_device_reset_cb(t->ctx, on_reset), "reset");
    check(vfu_setup_device_nr_irqs(t->ctx, VFU_DEV_INTX_IRQ, 1), "INTx");
    check(vfu_setup_device_nr_irqs(t->ctx, VFU_DEV_MSIX_IRQ, VECTORS), "MSI-X");
    vfu_setup_device_quiesce_cb(t->ctx, on_quiesce);
    check(vfu_realize_ctx(t->ctx), "vfu_realize_ctx");

    t->config = vfu_pci_get_config_space(t->ctx);
    t->config->hdr.intr.ipin = 1;
    at = vfu_pci_find_capability(t->ctx, false, PCI_CAP_ID_MSIX);
    if (at == 0)
        fail("MSI-X capability");
    t->msix = (struct msixcap *)((char *)t->config + at);
}

/*
 * The loop.
 */

static void watch_context(struct target *t)
{
    t->polled = vfu_get_poll_fd(t->ctx);
    watch(t, t->polled, EPOLL_CTL_ADD);
}

static void attach(struct target *t)
{
    int before = t->polled;

    if (vfu_attach_ctx(t->ctx) != 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK)
            printf("attach: %s\n", strerrorname_np(errno));
        return;
    }
    watch(t, before, EPOLL_CTL_DEL);
    watch_context(t);
    t->attached = true;
    printf("attached\n");
}

static void gone(struct target *t)
{
    printf("gone\n");
    watch_context(t);       /* the listener */
}

/* One call per event: what is left over makes the descriptor ready again. */
static void run_once(struct target *t)
{
    if (vfu_run_ctx(t->ctx) >= 0 || errno == EBUSY)
        return;
    if (errno != ENOTCONN)
        fail("vfu_run_ctx");
    gone(t);
}

static void worker_is_idle(struct target *t)
{
    eventfd_t count;

    if (eventfd_read(t->paused, &count) != 0 || !t->waiting)
        fail("pause");
    t->waiting = false;
    if (vfu_device_quiesced(t->ctx, 0) != 0)
        fail("vfu_device_quiesced");
    if (!t->attached)       /* the reset callback ran: the client has left */
        run_once(t);
}

int main(int argc, char **argv)
{
    struct target t = { .polled = -1 };
    pthread_t thread;
    struct epoll_event event;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc != 2) {
        fprintf(stderr, "usage: spdk_like SOCKET\n");
        return 2;
    }
    t.epoll = epoll_create1(EPOLL_CLOEXEC);
    t.paused = eventfd(0, EFD_CLOEXEC);
    if (t.epoll == -1 || t.paused == -1 || pipe(t.work) != 0)
        fail("descriptors");
    set_up(&t, argv[1]);
    if (pthread_create(&thread, NULL, worker, &t) != 0)
        fail("pthread_create");
    watch(&t, STDIN_FILENO, EPOLL_CTL_ADD);
    watch(&t, t.paused, EPOLL_CTL_ADD);
    watch_context(&t);
    printf("listening\n");

    while (epoll_wait(t.epoll, &event, 1, -1) == 1 && event.data.fd != STDIN_FILENO) {
        if (event.data.fd == t.paused)
            worker_is_idle(&t);
        else if (t.attached)
            run_once(&t);
        else
            attach(&t);
    }

    close(t.work[1]);
    pthread_join(thread, NULL);
    vfu_destroy_ctx(t.ctx);
    close(t.work[0]);
    close(t.paused);
    close(t.epoll);
    close(t.bar0_fd);
    munmap(t.bar0, 0x2000);
    printf("ended\n");
    return 0;
}
