/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A machine emulator that serves one of its PCI devices, in the way of QEMU's: the
 * emulator has a configuration space of its own and takes every access to it, all its
 * regions look like I/O ports, and the context ends where its client does.
 *
 *     qemu_like SOCKET
 *
 * What it relies on is what that emulator relies on: VFU_REGION_FLAG_ALWAYS_CB, regions
 * that are READ and WRITE without MEM, vfu_attach_ctx() in a loop while it says EAGAIN,
 * vfu_run_ctx() until it says 0, vfu_destroy_ctx() inside the handler that saw ENOTCONN.
 * It prints a line for each thing that happens; test_consumers.py plays the client.
 *
 * Four bytes written to BAR0 at 0, a vector, interrupt by that vector; a guest address
 * written to BAR1 at 8 has the bytes of BAR1 copied to it, over the whole window.
 */
#include "libvfio-user.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CONFIG_SIZE 256
#define BAR_SIZE    256
#define ROM_SIZE    4096
#define WINDOWS     8

struct window {
    uint64_t address, size;
    char *host;
};

struct machine {
    vfu_ctx_t *ctx;
    int poll_fd;                /* the context's */
    bool attached;
    uint8_t config[CONFIG_SIZE];
    uint8_t bars[2][BAR_SIZE];
    uint8_t rom[ROM_SIZE];
    struct window windows[WINDOWS];
};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void check(int result, const char *what)
{
    if (result != 0)
        fail(what);
}

static ssize_t access_bytes(uint8_t *bytes, char *buf, size_t count, loff_t offset,
                            bool is_write)
{
    if (is_write)
        memcpy(bytes + offset, buf, count);
    else
        memcpy(buf, bytes + offset, count);
    return (ssize_t)count;
}

static ssize_t on_config(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                         bool is_write)
{
    struct machine *m = vfu_get_private(ctx);

    printf("config %s %zu at %#llx\n", is_write ? "write" : "read", count,
           (long long)offset);
    return access_bytes(m->config, buf, count, offset, is_write);
}

static ssize_t on_bar0(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                       bool is_write)
{
    struct machine *m = vfu_get_private(ctx);

    access_bytes(m->bars[0], buf, count, offset, is_write);
    if (is_write && offset == 0 && count == sizeof(uint32_t)) {
        uint32_t vector;

        memcpy(&vector, buf, sizeof(vector));
        if (vfu_irq_trigger(ctx, vector) != 0)
            printf("interrupt %u: %d\n", vector, errno);
    }
    return (ssize_t)count;
}

static ssize_t on_bar1(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                       bool is_write)
{
    struct machine *m = vfu_get_private(ctx);
    uint64_t address;

    access_bytes(m->bars[1], buf, count, offset, is_write);
    if (!is_write || offset != 8 || count != sizeof(address))
        return (ssize_t)count;
    memcpy(&address, buf, sizeof(address));
    for (struct window *w = m->windows; w < m->windows + WINDOWS; w++) {
        if (w->host != NULL && w->address == address) {
            for (uint64_t i = 0; i < w->size; i++)
                w->host[i] = (char)m->bars[1][i % BAR_SIZE];
        }
    }
    return (ssize_t)count;
}

static ssize_t on_rom(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset, bool is_write)
{
    struct machine *m = vfu_get_private(ctx);

    return access_bytes(m->rom, buf, count, offset, is_write);
}

static void on_map(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    struct machine *m = vfu_get_private(ctx);

    printf("map %p+%#zx%s\n", info->iova.iov_base, info->iova.iov_len,
           info->vaddr == NULL ? " hidden" : "");
    for (struct window *w = m->windows; w < m->windows + WINDOWS; w++) {
        if (w->host == NULL && info->vaddr != NULL) {
            w->address = (uint64_t)(uintptr_t)info->iova.iov_base;
            w->size = info->iova.iov_len;
            w->host = info->vaddr;
            return;
        }
    }
}

static void on_unmap(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    struct machine *m = vfu_get_private(ctx);

    printf("unmap %p+%#zx\n", info->iova.iov_base, info->iova.iov_len);
    for (struct window *w = m->windows; w < m->windows + WINDOWS; w++) {
        if (w->host != NULL && w->host == info->vaddr)
            w->host = NULL;
    }
}

static void on_irq_state(vfu_ctx_t *ctx, uint32_t start, uint32_t count, bool mask)
{
    (void)ctx;
    printf("%s %u..%u\n", mask ? "mask" : "unmask", start, start + count - 1);
}

static int on_reset(vfu_ctx_t *ctx, vfu_reset_type_t type)
{
    struct machine *m = vfu_get_private(ctx);

    printf("reset %d\n", type);
    if (type != VFU_RESET_LOST_CONN)
        memset(m->bars, 0, sizeof(m->bars));
    return 0;
}

static void set_up(struct machine *m, const char *path)
{
    m->ctx = vfu_create_ctx(VFU_TRANS_SOCK, path, LIBVFIO_USER_FLAG_ATTACH_NB, m,
                            VFU_DEV_TYPE_PCI);
    if (m->ctx == NULL)
        fail("vfu_create_ctx");
    check(vfu_pci_init(m->ctx, VFU_PCI_TYPE_CONVENTIONAL, PCI_HEADER_TYPE_NORMAL, 0),
          "vfu_pci_init");
    check(vfu_setup_region(m->ctx, VFU_PCI_DEV_CFG_REGION_IDX, CONFIG_SIZE, &on_config,
                           VFU_REGION_FLAG_RW | VFU_REGION_FLAG_ALWAYS_CB, NULL, 0, -1, 0),
          "configuration region");
    check(vfu_setup_device_dma(m->ctx, &on_map, &on_unmap), "dma");
    check(vfu_setup_region(m->ctx, VFU_PCI_DEV_BAR0_REGION_IDX, BAR_SIZE, &on_bar0,
                           VFU_REGION_FLAG_RW, NULL, 0, -1, 0), "BAR0");
    check(vfu_setup_region(m->ctx, VFU_PCI_DEV_BAR1_REGION_IDX, BAR_SIZE, &on_bar1,
                           VFU_REGION_FLAG_RW, NULL, 0, -1, 0), "BAR1");
    check(vfu_setup_region(m->ctx, VFU_PCI_DEV_ROM_REGION_IDX, ROM_SIZE, &on_rom,
                           VFU_REGION_FLAG_RW, NULL, 0, -1, 0), "ROM");
    check(vfu_setup_device_nr_irqs(m->ctx, VFU_DEV_INTX_IRQ, 1), "INTx");
    check(vfu_setup_device_nr_irqs(m->ctx, VFU_DEV_MSIX_IRQ, 4), "MSI-X");
    check(vfu_setup_irq_state_callback(m->ctx, VFU_DEV_INTX_IRQ, &on_irq_state), "INTx");
    check(vfu_setup_irq_state_callback(m->ctx, VFU_DEV_MSIX_IRQ, &on_irq_state), "MSI-X");
    check(vfu_setup_device_reset_cb(m->ctx, &on_reset), "reset");
    check(vfu_realize_ctx(m->ctx), "vfu_realize_ctx");
    m->poll_fd = vfu_get_poll_fd(m->ctx);
    if (m->poll_fd == -1)
        fail("vfu_get_poll_fd");
}

static void attach(struct machine *m)
{
    int result;

    do
        result = vfu_attach_ctx(m->ctx);
    while (result != 0 && (errno == EAGAIN || errno == EWOULDBLOCK));
    check(result, "vfu_attach_ctx");
    m->poll_fd = vfu_get_poll_fd(m->ctx);
    m->attached = true;
    printf("attached\n");
}

static void run(struct machine *m)
{
    int result = -1;

    while (result != 0) {
        result = vfu_run_ctx(m->ctx);
        if (result >= 0 || errno == EINTR)
            continue;
        if (errno != ENOTCONN)
            fail("vfu_run_ctx");
        printf("gone\n");
        vfu_destroy_ctx(m->ctx);
        m->ctx = NULL;
        return;
    }
}

int main(int argc, char **argv)
{
    struct machine m = { .attached = false };

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc != 2) {
        fprintf(stderr, "usage: qemu_like SOCKET\n");
        return 2;
    }
    for (size_t i = 0; i < ROM_SIZE; i++)
        m.rom[i] = (uint8_t)(i * 7);
    memcpy(m.config, "\x34\x12\x78\x56", 4);    /* 1234:5678 */
    set_up(&m, argv[1]);
    printf("listening\n");

    while (m.ctx != NULL) {
        struct pollfd polled[2] = {
            { .fd = m.poll_fd, .events = POLLIN },
            { .fd = STDIN_FILENO, .events = POLLIN },
        };

        if (poll(polled, 2, -1) < 0)
            fail("poll");
        if (polled[1].revents != 0)
            return 1;           /* whoever started us has gone */
        if (polled[0].revents == 0)
            continue;
        if (!m.attached)
            attach(&m);
        else
            run(&m);
    }
    printf("ended\n");
    return 0;
}
