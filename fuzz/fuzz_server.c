/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole session with the server's core: messages in, replies out, no socket.
 *
 * Input: VERSION's body comes first (one byte of length, then that many bytes;
 * length 0 gives a plain 0.1), then messages, each
 *
 *   u8  control   bits 0-1: descriptors that come along, bits 2-3: their kind,
 *                 bit 4: quiesce says EBUSY, bit 5: it resumes with an error,
 *                 bit 6: the client leaves after this message
 *   header, 16 bytes; its size is taken when so many bytes are left, else
 *   the message gets the rest
 *   body
 *
 * The device has every kind of region, interrupts, DMA, quiesce and reset, and
 * uses its guest memory. Oracles beyond "no fault": every reply obeys the header
 * rules, and at the end no descriptor and no mapping is left.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libserver/context.h"
#include "libserver/dispatch.h"

#define REQUIRE(cond)                                                   \
    do {                                                                \
        if (!(cond)) {                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);  \
            abort();                                                    \
        }                                                               \
    } while (0)

#define BAR0_SIZE 4096
#define BAR1_SIZE 16384

struct device {
    uint8_t bar0[BAR0_SIZE];
    bool busy;              /* the next quiesce says EBUSY */
    unsigned int transitions;   /* so far; every eighth fails */
};

static ssize_t on_bar0(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset, bool is_write)
{
    struct device *d = vfu_get_private(ctx);

    REQUIRE(offset >= 0 && (uint64_t)offset + count <= BAR0_SIZE);
    if (is_write)
        memcpy(d->bar0 + offset, buf, count);
    else
        memcpy(buf, d->bar0 + offset, count);
    return (ssize_t)count;
}

static int on_quiesce(vfu_ctx_t *ctx)
{
    struct device *d = vfu_get_private(ctx);

    if (!d->busy)
        return 0;
    d->busy = false;
    errno = EBUSY;
    return -1;
}

static int on_reset(vfu_ctx_t *ctx, vfu_reset_type_t type)
{
    struct device *d = vfu_get_private(ctx);

    (void)type;
    memset(d->bar0, 0, sizeof(d->bar0));
    return 0;
}

/* What a device does with a new window: write to both of its ends. */
static void on_register(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    union {
        max_align_t align;
        char room[64];
    } entry;
    dma_sg_t *sg = (dma_sg_t *)&entry;
    struct iovec iov;
    int prot = (int)info->prot & PROT_WRITE;

    REQUIRE(dma_sg_size() <= sizeof(entry));
    REQUIRE(vfu_addr_to_sgl(ctx, info->iova.iov_base, info->iova.iov_len, sg, 1, prot) == 1);
    if (vfu_sgl_get(ctx, sg, &iov, 1, 0) != 0)
        return;
    REQUIRE(iov.iov_len == info->iova.iov_len);
    if (prot != 0) {
        ((volatile uint8_t *)iov.iov_base)[0] = 1;
        ((volatile uint8_t *)iov.iov_base)[iov.iov_len - 1] = 1;
    }
    vfu_sgl_put(ctx, sg, &iov, 1);
}

static void on_unregister(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    (void)ctx;
    REQUIRE(info->vaddr == NULL || info->mapping.iov_len != 0);
}

static int on_transition(vfu_ctx_t *ctx, vfu_migr_state_t state)
{
    struct device *d = vfu_get_private(ctx);

    REQUIRE((unsigned int)state <= VFU_MIGR_STATE_PRE_COPY_P2P);
    if ((d->transitions++ & 7) != 7)
        return 0;
    errno = EIO;
    return -1;
}

/* Sometimes less than there is room for, sometimes more than that. */
static ssize_t on_read_data(vfu_ctx_t *ctx, void *buf, uint64_t count)
{
    struct device *d = vfu_get_private(ctx);

    memset(buf, 0x55, count);
    return (ssize_t)count + (ssize_t)(d->transitions & 3) - 2;
}

static ssize_t on_write_data(vfu_ctx_t *ctx, void *buf, uint64_t count)
{
    uint8_t sum = 0;

    (void)ctx;
    for (uint64_t i = 0; i < count; i++)
        sum = (uint8_t)(sum + ((const uint8_t *)buf)[i]);
    return (ssize_t)count - (sum == 0xff);
}

/* A log line is one line, whatever the client sent. */
static void on_log(vfu_ctx_t *ctx, int level, const char *msg)
{
    (void)ctx;
    REQUIRE(level >= LOG_EMERG && level <= LOG_DEBUG);
    for (const char *c = msg; *c != '\0'; c++)
        REQUIRE(*c >= ' ' && *c <= '~');
}

static vfu_ctx_t *new_device(struct device *d, int bar1)
{
    struct iovec area = { .iov_base = (void *)4096, .iov_len = 8192 };
    vfu_ctx_t *ctx = vus_ctx_new(0, d);

    REQUIRE(ctx != NULL);
    REQUIRE(vfu_pci_init(ctx, VFU_PCI_TYPE_EXPRESS, PCI_HEADER_TYPE_NORMAL, 0) == 0);
    struct pmcap pm = { .hdr.id = PCI_CAP_ID_PM };
    struct pxcap px = { .hdr.id = PCI_CAP_ID_EXP, .pxdcap.flrc = 1 };
    struct msixcap msix = { .hdr.id = PCI_CAP_ID_MSIX, .mxc.ts = 3 };
    struct msicap msi = { .hdr.id = PCI_CAP_ID_MSI };
    REQUIRE(vfu_pci_add_capability(ctx, 0, 0, &pm) > 0);
    REQUIRE(vfu_pci_add_capability(ctx, 0, 0, &px) > 0);
    REQUIRE(vfu_pci_add_capability(ctx, 0, 0, &msix) > 0);
    REQUIRE(vfu_pci_add_capability(ctx, 0, 0, &msi) > 0);
    REQUIRE(vfu_setup_region(ctx, 0, BAR0_SIZE, on_bar0,
                             VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM, NULL, 0, -1, 0) == 0);
    REQUIRE(vfu_setup_region(ctx, 1, BAR1_SIZE, NULL,
                             VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM, &area, 1, bar1, 0) == 0);
    REQUIRE(vfu_setup_region(ctx, 2, 64, on_bar0, VFU_REGION_FLAG_READ, NULL, 0, -1, 0) == 0);
    REQUIRE(vfu_setup_region(ctx, 3, 64, on_bar0, VFU_REGION_FLAG_WRITE, NULL, 0, -1, 0) == 0);
    REQUIRE(vfu_setup_device_nr_irqs(ctx, VFU_DEV_INTX_IRQ, 1) == 0);
    REQUIRE(vfu_setup_device_nr_irqs(ctx, VFU_DEV_MSI_IRQ, 1) == 0);
    REQUIRE(vfu_setup_device_nr_irqs(ctx, VFU_DEV_MSIX_IRQ, 4) == 0);
    REQUIRE(vfu_setup_device_dma(ctx, 16, on_register, on_unregister) == 0);
    REQUIRE(vfu_setup_device_reset_cb(ctx, on_reset) == 0);
    vfu_setup_device_quiesce_cb(ctx, on_quiesce);
    const vfu_migration_callbacks_t migration = {
        .version = VFU_MIGR_CALLBACKS_VERS,
        .transition = on_transition,
        .read_data = on_read_data,
        .write_data = on_write_data,
    };
    REQUIRE(vfu_setup_device_migration_callbacks(ctx, &migration) == 0);
    REQUIRE(vfu_setup_migration_flags(ctx, VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P |
                                               VFIO_MIGRATION_PRE_COPY) == 0);
    REQUIRE(vfu_realize_ctx(ctx) == 0);
    return ctx;
}

static int new_fd(unsigned int kind)
{
    int fd;

    switch (kind) {
    case 0:
        return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    case 1:
        return open("/dev/null", O_RDWR | O_CLOEXEC);
    default:    /* memory of one page, or of four */
        fd = memfd_create("guest", MFD_CLOEXEC);
        if (fd != -1)
            REQUIRE(ftruncate(fd, kind == 2 ? 4096 : 16384) == 0);
        return fd;
    }
}

/* The header rules hold for what the server says, and it says it once. */
static void check_reply(const struct vu_message *m, const struct vus_reply *reply)
{
    size_t len = vus_reply_len(reply);
    struct vu_reader r;
    struct vu_header h;

    if (len == 0) {
        REQUIRE((m->h.flags & VU_F_NO_REPLY) != 0 ||
                vu_header_type(&m->h) != VU_F_TYPE_COMMAND);
        return;
    }
    r = vu_reader(reply->out->data + reply->start, len);
    REQUIRE(vu_decode_header(&r, &h) == 0);
    REQUIRE((m->h.flags & VU_F_NO_REPLY) == 0);
    REQUIRE(h.msg_id == m->h.msg_id && h.command == m->h.command && h.size == len);
    REQUIRE((h.flags & ~VU_F_ERROR) == VU_F_TYPE_REPLY);
    if ((h.flags & VU_F_ERROR) != 0)
        REQUIRE(len == VU_HEADER_SIZE && reply->n_fds == 0 && h.error != 0 && h.error < 4096);
    else
        REQUIRE(h.error == 0);
}

/* One message through the core. False: the connection ends. */
static bool serve(vfu_ctx_t *ctx, struct vu_buffer *out, struct vu_message *m, uint8_t control)
{
    struct device *d = vfu_get_private(ctx);
    struct vus_reply reply = { .out = out };
    enum vus_outcome outcome;

    d->busy = (control & 0x10) != 0;
    outcome = vus_process(ctx, m, &reply);
    if (outcome == VUS_PENDING) {
        outcome = vus_resume(ctx, m, &reply, (control & 0x20) != 0 ? -EIO : 0);
        vus_resumed(ctx);
        REQUIRE(outcome != VUS_PENDING);
    }
    check_reply(m, &reply);
    vu_message_done(m);
    for (uint32_t i = 0; i < 5; i++)
        (void)vfu_irq_trigger(ctx, i);
    vu_buffer_truncate(out, 0);
    return outcome != VUS_FATAL;
}

static bool negotiate(vfu_ctx_t *ctx, struct vu_buffer *out, struct vu_reader *in)
{
    static const uint8_t plain[] = { 0, 0, 1, 0 };
    size_t len = vu_get_u8(in);
    const void *body = len == 0 ? NULL : vu_get_bytes(in, len);
    struct vu_header h = { .command = VU_VERSION };
    struct vu_message m;

    if (body == NULL) {
        body = plain;
        len = sizeof(plain);
    }
    h.size = (uint32_t)(VU_HEADER_SIZE + len);
    vu_message_init(&m, &h, body, len);
    return serve(ctx, out, &m, 0);
}

static bool next_message(struct vu_reader *in, struct vu_message *m, uint8_t *control)
{
    struct vu_header h;
    size_t len;

    *control = vu_get_u8(in);
    if (vu_decode_header(in, &h) != 0)
        return false;
    len = h.size < VU_HEADER_SIZE ? 0 : h.size - VU_HEADER_SIZE;
    if (len > in->left)
        len = in->left;
    h.size = (uint32_t)(VU_HEADER_SIZE + len);
    vu_message_init(m, &h, vu_get_bytes(in, len), len);
    for (unsigned int i = 0; i < (*control & 3u); i++) {
        m->fds[m->n_fds] = new_fd((*control >> 2) & 3u);
        REQUIRE(m->fds[m->n_fds] != -1);
        m->n_fds++;
    }
    return true;
}

static int open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    REQUIRE(dir != NULL);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned int runs;
    bool count = ++runs % 64 == 0;
    int before = count ? open_fds() : 0;
    struct vu_reader in = vu_reader(data, size);
    struct device device = { .busy = false };
    struct vu_message m;
    struct vu_buffer out;
    uint8_t control;
    vfu_ctx_t *ctx;
    int bar1 = memfd_create("bar1", MFD_CLOEXEC);

    if (size > 65536) {
        close(bar1);
        return 0;
    }
    REQUIRE(bar1 != -1 && ftruncate(bar1, BAR1_SIZE) == 0);
    ctx = new_device(&device, bar1);
    ctx->irqs.signal.plain = true;
    if (size % 4 == 0)      /* now and then: it is slow */
        REQUIRE(vfu_setup_log(ctx, on_log, LOG_DEBUG) == 0);
    vu_buffer_init(&out, 2 * VUS_MAX_MESSAGE);
    if (negotiate(ctx, &out, &in))
        while (next_message(&in, &m, &control))
            if (!serve(ctx, &out, &m, control) || (control & 0x40) != 0)
                break;
    vu_buffer_done(&out);
    vfu_destroy_ctx(ctx);
    close(bar1);
    if (count)
        REQUIRE(open_fds() == before);
    return 0;
}
