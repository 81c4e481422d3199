/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device for the client's tests to run against: one that can be moved to another
 * process, and killed.
 *
 *     device_moving SOCKET [p2p] [small] [few]
 *
 * It ends with SIGTERM, or with its parent. Words choose variants: the P2P states of
 * migration; a smaller BAR1; fewer vectors.
 *
 * BAR0, 4 KiB, by message: registers of 8 bytes.
 *     0x00  MARK    rw   nothing; a part of the state
 *     0x08  TARGET  rw   guest address
 *     0x10  COPY    w    write this value to TARGET, by whatever means its window has
 *     0x18  RAISE   w    fire this vector
 *     0x20  PID     r    of the process
 *     0x28  REFUSE  w    enum vfuc_mig_state by number: the next step to it is refused
 * BAR1, 64 KiB (small: 32 KiB), by mapping too: 1 KiB blocks, whose first 8 bytes are the
 * process's pid at first, so that a mapping tells which process it belongs to.
 * MSI-X: 8 vectors (few: 4).
 *
 * The state is a stream of records: u32 where, u32 length, bytes. `where` is an offset in
 * BAR1, or one of the two below. All of BAR1 is given in PRE_COPY, or in STOP_COPY when
 * that did not come first; what BAR0's accesses changed, and the end, in STOP_COPY.
 */
#include "libserver/include/libvfio-user.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define REGISTERS 0x1000u
#define BLOCK     1024u
#define MAX_STATE (256u << 10)
#define WHERE_REGISTERS 0x80000000u
#define WHERE_END       0x80000001u

enum { MARK, TARGET, COPY, RAISE, PID, REFUSE, N_REGISTERS };

struct device {
    vfu_ctx_t *ctx;
    uint64_t registers[N_REGISTERS];
    uint8_t *memory;
    size_t memory_len;
    int memory_fd;
    bool memory_given;          /* in the stream that is on its way */
    uint8_t stream[MAX_STATE];  /* outgoing: [given, len) is left; incoming: [0, len) */
    size_t len, given;
    vfu_migr_state_t state;
};

/* ---------------------------------------------------------------- registers -- */

static int copy_out(struct device *d, uint64_t value)
{
    size_t room = dma_sg_size();
    dma_sg_t *sg = calloc(1, room);
    int n, err = -1;

    if (sg == NULL)
        return -1;
    n = vfu_addr_to_sgl(d->ctx, (vfu_dma_addr_t)(uintptr_t)d->registers[TARGET],
                        sizeof(value), sg, 1, PROT_WRITE);
    if (n == 1)
        err = vfu_sgl_write(d->ctx, sg, 1, &value, VFU_SGL_DIRECT_ACCESS);
    if (n == 1 && err < 0)
        err = vfu_sgl_write(d->ctx, sg, 1, &value, 0);
    free(sg);
    return err;
}

static int written(struct device *d, unsigned which, uint64_t value)
{
    switch (which) {
    case MARK: case TARGET: case REFUSE:
        d->registers[which] = value;
        return 0;
    case COPY:
        return copy_out(d, value);
    case RAISE:
        return vfu_irq_trigger(d->ctx, (uint32_t)value);
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

    if (count != sizeof(value) || offset % 8 != 0 || offset / 8 >= N_REGISTERS) {
        errno = EINVAL;
        return -1;
    }
    if (!is_write) {
        memcpy(buf, &d->registers[offset / 8], count);
        return (ssize_t)count;
    }
    memcpy(&value, buf, sizeof(value));
    return written(d, (unsigned)(offset / 8), value) < 0 ? -1 : (ssize_t)count;
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

/* ---------------------------------------------------------------- migration -- */

static void give(struct device *d, uint32_t where, const void *data, uint32_t len)
{
    if (d->len + 8 + len > sizeof(d->stream))
        abort();
    memcpy(d->stream + d->len, &where, 4);
    memcpy(d->stream + d->len + 4, &len, 4);
    if (len > 0)
        memcpy(d->stream + d->len + 8, data, len);
    d->len += 8 + len;
}

static void give_memory(struct device *d)
{
    for (uint32_t at = 0; at < d->memory_len; at += BLOCK)
        give(d, at, d->memory + at, BLOCK);
    d->memory_given = true;
}

/* The mapping may have changed it unseen, so it is given again at a standstill. */
static void give_rest(struct device *d)
{
    give_memory(d);
    give(d, WHERE_REGISTERS, d->registers, sizeof(d->registers[0]) * COPY);
    give(d, WHERE_END, NULL, 0);
}

static int take_record(struct device *d, uint32_t where, const uint8_t *data,
                       uint32_t len)
{
    if (where == WHERE_REGISTERS && len == sizeof(d->registers[0]) * COPY)
        memcpy(d->registers, data, len);
    else if (where < d->memory_len && len <= d->memory_len - where)
        memcpy(d->memory + where, data, len);
    else
        return -1;
    return 0;
}

static int take_all(struct device *d)
{
    size_t at = 0;

    while (d->len - at >= 8) {
        uint32_t where, len;

        memcpy(&where, d->stream + at, 4);
        memcpy(&len, d->stream + at + 4, 4);
        at += 8;
        if (where == WHERE_END)
            return at == d->len ? 0 : -1;
        if (len > d->len - at || take_record(d, where, d->stream + at, len) < 0)
            return -1;
        at += len;
    }
    return -1;      /* it does not end */
}

/* By the numbers of the protocol, which the library's own do not have. */
static unsigned wire_state(vfu_migr_state_t state)
{
    switch (state) {
    case VFU_MIGR_STATE_STOP: return 1;
    case VFU_MIGR_STATE_RUNNING: return 2;
    case VFU_MIGR_STATE_STOP_AND_COPY: return 3;
    case VFU_MIGR_STATE_RESUME: return 4;
    case VFU_MIGR_STATE_PRE_COPY: return 6;
    default: return state == VFU_MIGR_STATE_RUNNING_P2P ? 5 : 7;
    }
}

static int on_transition(vfu_ctx_t *ctx, vfu_migr_state_t state)
{
    struct device *d = vfu_get_private(ctx);

    if (d->registers[REFUSE] == wire_state(state)) {
        d->registers[REFUSE] = 0;
        errno = EBUSY;
        return -1;
    }
    if (d->state == VFU_MIGR_STATE_RESUME && take_all(d) < 0) {
        errno = EINVAL;
        return -1;
    }
    if ((state == VFU_MIGR_STATE_STOP_AND_COPY && !d->memory_given)
        || state == VFU_MIGR_STATE_PRE_COPY || state == VFU_MIGR_STATE_RESUME)
        d->len = d->given = 0;
    if (state == VFU_MIGR_STATE_PRE_COPY)
        give_memory(d);
    else if (state == VFU_MIGR_STATE_STOP_AND_COPY)
        give_rest(d);
    else if (state == VFU_MIGR_STATE_STOP || state == VFU_MIGR_STATE_RUNNING)
        d->memory_given = false;
    d->state = state;
    return 0;
}

static ssize_t on_read_data(vfu_ctx_t *ctx, void *buf, uint64_t count)
{
    struct device *d = vfu_get_private(ctx);
    size_t left = d->len - d->given;
    size_t n = count < left ? count : left;

    memcpy(buf, d->stream + d->given, n);
    d->given += n;
    return (ssize_t)n;
}

static ssize_t on_write_data(vfu_ctx_t *ctx, void *buf, uint64_t count)
{
    struct device *d = vfu_get_private(ctx);

    if (count > sizeof(d->stream) - d->len) {
        errno = ENOSPC;
        return -1;
    }
    memcpy(d->stream + d->len, buf, count);
    d->len += count;
    return (ssize_t)count;
}

/* ------------------------------------------------------------------- set-up -- */

static int on_reset(vfu_ctx_t *ctx, vfu_reset_type_t type)
{
    struct device *d = vfu_get_private(ctx);

    (void)type;     /* a lost client too: migration is over then */
    d->state = VFU_MIGR_STATE_RUNNING;
    d->memory_given = false;
    d->registers[REFUSE] = 0;
    return 0;
}

static void on_window(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    (void)ctx;
    (void)info;
}

static int make_memory(struct device *d)
{
    uint64_t pid = (uint64_t)getpid();

    d->memory_fd = memfd_create("device_moving", MFD_CLOEXEC);
    if (d->memory_fd < 0 || ftruncate(d->memory_fd, (off_t)d->memory_len) < 0)
        return -1;
    d->memory = mmap(NULL, d->memory_len, PROT_READ | PROT_WRITE, MAP_SHARED,
                     d->memory_fd, 0);
    if (d->memory == MAP_FAILED)
        return -1;
    for (size_t at = 0; at < d->memory_len; at += BLOCK)
        memcpy(d->memory + at, &pid, sizeof(pid));
    d->registers[PID] = pid;
    return 0;
}

static int set_up(struct device *d, uint32_t vectors, bool p2p)
{
    const vfu_migration_callbacks_t callbacks = {
        .version = VFU_MIGR_CALLBACKS_VERS,
        .transition = on_transition,
        .read_data = on_read_data,
        .write_data = on_write_data,
    };
    const int flags = VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM;

    if (vfu_pci_init(d->ctx, VFU_PCI_TYPE_CONVENTIONAL, PCI_HEADER_TYPE_NORMAL, 0) < 0
        || vfu_setup_region(d->ctx, VFU_PCI_DEV_BAR0_REGION_IDX, REGISTERS, on_registers,
                            flags, NULL, 0, -1, 0) < 0
        || vfu_setup_region(d->ctx, VFU_PCI_DEV_BAR1_REGION_IDX, d->memory_len, on_memory,
                            flags, NULL, 0, d->memory_fd, 0) < 0
        || vfu_setup_device_nr_irqs(d->ctx, VFU_DEV_MSIX_IRQ, vectors) < 0
        || vfu_setup_device_dma(d->ctx, on_window, on_window) < 0
        || vfu_setup_device_reset_cb(d->ctx, on_reset) < 0
        || vfu_setup_device_migration_callbacks(d->ctx, &callbacks) < 0)
        return -1;
    if (p2p && vfu_setup_migration_flags(d->ctx, VFIO_MIGRATION_STOP_COPY
                                         | VFIO_MIGRATION_PRE_COPY
                                         | VFIO_MIGRATION_P2P) < 0)
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

int main(int argc, char **argv)
{
    static struct device d = { .state = VFU_MIGR_STATE_RUNNING };
    struct sigaction stop = { .sa_handler = on_stop };
    sigset_t waiting, held;
    bool p2p = false;
    uint32_t vectors = 8;

    d.memory_len = 64 << 10;
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "p2p") == 0)
            p2p = true;
        else if (strcmp(argv[i], "small") == 0)
            d.memory_len = 32 << 10;
        else if (strcmp(argv[i], "few") == 0)
            vectors = 4;
        else
            return 2;
    }
    sigemptyset(&held);
    sigaddset(&held, SIGTERM);
    if (argc < 2 || prctl(PR_SET_PDEATHSIG, SIGTERM) < 0
        || sigprocmask(SIG_BLOCK, &held, &waiting) < 0
        || sigaction(SIGTERM, &stop, NULL) < 0 || make_memory(&d) < 0)
        return 1;
    sigdelset(&waiting, SIGTERM);
    unlink(argv[1]);        /* of one that was killed */
    d.ctx = vfu_create_ctx(VFU_TRANS_SOCK, argv[1], LIBVFIO_USER_FLAG_ATTACH_NB, &d,
                           VFU_DEV_TYPE_PCI);
    if (d.ctx == NULL || set_up(&d, vectors, p2p) < 0) {
        fprintf(stderr, "device_moving: %s\n", strerror(errno));
        return 1;
    }
    serve(&d, &waiting);
    vfu_destroy_ctx(d.ctx);
    munmap(d.memory, d.memory_len);
    close(d.memory_fd);
    return 0;
}
