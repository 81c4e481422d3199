/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device without a socket, for tests that pass messages to the core.
 *
 *   struct core c;
 *   core_begin(&c);                     a small device, VERSION done
 *   struct answer a = core_send(&c, VU_DEVICE_RESET, NULL, 0);
 *   assert_answer_error(&a, EIO);
 *   core_end(&c);
 *
 * Bodies are copied to memory of exactly their length, so that ASan sees a read
 * behind the end. Descriptors are duplicated: the message owns the duplicates.
 */
#ifndef VUS_TESTS_CORE_H
#define VUS_TESTS_CORE_H

#include "wire/tests/support.h"

#include "libvfio-user.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "libserver/context.h"
#include "libserver/dispatch.h"

#define BAR0_SIZE 4096u     /* trapped, read and write */
#define BAR2_SIZE 16384u    /* mappable */
#define BAR3_SIZE 64u       /* read only, no callback */
#define N_MSI     4u
#define N_MSIX    8u
#define MAX_MAPS  8u

/* What the device saw. */
struct seen {
    int accesses, resets, quiesces, registers, unregisters, masks;
    vfu_reset_type_t reset_type;
    uint64_t unregistered[64];      /* guest addresses, in order */
    uintptr_t misaligned;           /* bits that were set in any buffer's address */
};

/* How the device answers. */
struct behaviour {
    int access_errno;       /* callback fails with it */
    ssize_t access_short;   /* callback handles that many bytes fewer */
    bool lazy;              /* a read fills in nothing */
    int reset_errno;
    int quiesce_errno;
};

struct core {
    vfu_ctx_t *ctx;
    struct vu_buffer out;
    struct vu_message m;
    struct vus_reply reply;
    enum vus_outcome outcome;
    uint8_t *body;          /* owned copy that m points to */
    int memory;             /* owned: behind BAR2 */
    struct seen seen;
    struct behaviour how;
    uint8_t bar0[BAR0_SIZE];
};

struct answer {
    size_t len;             /* 0: no answer */
    struct vu_header h;
    const uint8_t *body;
    size_t body_len;
    size_t n_fds;
};

/* --------------------------------------------------------------- device -- */

static inline ssize_t core_access(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                                  bool is_write)
{
    struct core *c = vfu_get_private(ctx);

    c->seen.accesses++;
    c->seen.misaligned |= (uintptr_t)buf & 15;
    if (c->how.access_errno != 0) {
        errno = c->how.access_errno;
        return -1;
    }
    if (is_write)
        memcpy(c->bar0 + offset, buf, count);
    else if (!c->how.lazy)
        memcpy(buf, c->bar0 + offset, count);
    return (ssize_t)count - c->how.access_short;
}

static inline int core_reset(vfu_ctx_t *ctx, vfu_reset_type_t type)
{
    struct core *c = vfu_get_private(ctx);

    c->seen.resets++;
    c->seen.reset_type = type;
    errno = c->how.reset_errno;
    return c->how.reset_errno != 0 ? -1 : 0;
}

static inline int core_quiesce(vfu_ctx_t *ctx)
{
    struct core *c = vfu_get_private(ctx);

    c->seen.quiesces++;
    errno = c->how.quiesce_errno;
    return c->how.quiesce_errno != 0 ? -1 : 0;
}

static inline void core_register(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    struct core *c = vfu_get_private(ctx);

    (void)info;
    c->seen.registers++;
}

static inline void core_unregister(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    struct core *c = vfu_get_private(ctx);

    c->seen.unregistered[c->seen.unregisters++ % 64] = (uintptr_t)info->iova.iov_base;
}

static inline int core_memory(size_t size)
{
    int fd = memfd_create("test", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    return fd;
}

static inline void core_set_up_device(struct core *c)
{
    struct iovec areas[2] = { { (void *)0x1000, 0x1000 }, { (void *)0x3000, 0x1000 } };
    vfu_ctx_t *ctx = c->ctx;

    assert_int_equal(vfu_pci_init(ctx, VFU_PCI_TYPE_EXPRESS, 0, 0), 0);
    assert_int_equal(vfu_setup_region(ctx, 0, BAR0_SIZE, core_access,
                                      VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM, NULL, 0,
                                      -1, 0), 0);
    assert_int_equal(vfu_setup_region(ctx, 2, BAR2_SIZE, NULL,
                                      VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM, areas, 2,
                                      c->memory, 0x2000), 0);
    assert_int_equal(vfu_setup_region(ctx, 3, BAR3_SIZE, core_access,
                                      VFU_REGION_FLAG_READ | VFU_REGION_FLAG_MEM, NULL, 0,
                                      -1, 0), 0);
    assert_int_equal(vfu_setup_device_nr_irqs(ctx, VFU_DEV_INTX_IRQ, 1), 0);
    assert_int_equal(vfu_setup_device_nr_irqs(ctx, VFU_DEV_MSI_IRQ, N_MSI), 0);
    assert_int_equal(vfu_setup_device_nr_irqs(ctx, VFU_DEV_MSIX_IRQ, N_MSIX), 0);
    assert_int_equal(vfu_setup_device_reset_cb(ctx, core_reset), 0);
    assert_int_equal(vfu_setup_device_dma(ctx, MAX_MAPS, core_register, core_unregister),
                     0);
}

/* ------------------------------------------------------------- messages -- */

static inline void core_new(struct core *c)
{
    memset(c, 0, sizeof(*c));
    c->ctx = vus_ctx_new(LIBVFIO_USER_FLAG_ATTACH_NB, c);
    assert_non_null(c->ctx);
    vu_buffer_init(&c->out, 4u << 20);
    c->memory = core_memory(0x8000);
    core_set_up_device(c);
    assert_int_equal(vfu_realize_ctx(c->ctx), 0);
}

static inline void core_end(struct core *c)
{
    vfu_destroy_ctx(c->ctx);
    vu_message_done(&c->m);
    vu_buffer_done(&c->out);
    free(c->body);
    close(c->memory);
}

static inline struct answer core_answer(struct core *c)
{
    struct answer a = { .len = vus_reply_len(&c->reply) };
    const uint8_t *at = c->out.data + c->reply.start;
    struct vu_reader r = vu_reader(at, a.len);

    if (a.len == 0)
        return a;
    assert_int_equal(vu_decode_header(&r, &a.h), 0);
    assert_int_equal(a.h.size, a.len);
    assert_int_equal(vu_header_type(&a.h), VU_F_TYPE_REPLY);
    assert_int_equal(a.h.msg_id, c->m.h.msg_id);
    assert_int_equal(a.h.command, c->m.h.command);
    a.body = at + VU_HEADER_SIZE;
    a.body_len = a.len - VU_HEADER_SIZE;
    a.n_fds = c->reply.n_fds;
    return a;
}

/* Any header, any body, any descriptors. */
static inline struct answer core_process(struct core *c, struct vu_header h,
                                         const void *body, size_t len, const int *fds,
                                         size_t n_fds)
{
    free(c->body);
    c->body = malloc(len);
    assert_true(len == 0 || c->body != NULL);
    if (len != 0)
        memcpy(c->body, body, len);
    h.size = (uint32_t)(VU_HEADER_SIZE + len);
    vu_message_init(&c->m, &h, c->body, len);
    for (size_t i = 0; i < n_fds; i++)
        c->m.fds[c->m.n_fds++] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
    vu_buffer_truncate(&c->out, 0);
    c->reply.out = &c->out;
    c->outcome = vus_process(c->ctx, &c->m, &c->reply);
    if (c->outcome != VUS_PENDING)
        vu_message_done(&c->m);
    return core_answer(c);
}

static inline struct answer core_send_fds(struct core *c, uint16_t command,
                                          const void *body, size_t len, const int *fds,
                                          size_t n_fds)
{
    struct vu_header h = { .msg_id = 0x4711, .command = command };

    return core_process(c, h, body, len, fds, n_fds);
}

static inline struct answer core_send(struct core *c, uint16_t command, const void *body,
                                      size_t len)
{
    return core_send_fds(c, command, body, len, NULL, 0);
}

/* Like core_send(), with No_reply. */
static inline void core_post(struct core *c, uint16_t command, const void *body,
                             size_t len)
{
    struct vu_header h = { .command = command, .flags = VU_F_NO_REPLY };
    struct answer a = core_process(c, h, body, len, NULL, 0);

    assert_int_equal(a.len, 0);
    assert_int_equal(c->out.len, 0);
}

#define ENCODE(name, m, buf)                                                \
    do {                                                                    \
        struct vu_writer w_ = vu_writer(buf, sizeof(buf));                  \
        assert_int_equal(vu_encode_##name(&w_, m), 0);                      \
        assert_int_equal(w_.len, sizeof(buf));                              \
    } while (0)

#define DECODE(name, a, m)                                                  \
    do {                                                                    \
        struct vu_reader r_ = vu_reader((a)->body, (a)->body_len);          \
        assert_int_equal(vu_decode_##name(&r_, m), 0);                      \
    } while (0)

static inline void assert_answer_ok(const struct answer *a, size_t body_len)
{
    assert_int_not_equal(a->len, 0);
    assert_int_equal(a->h.flags, VU_F_TYPE_REPLY);
    assert_int_equal(a->h.error, 0);
    assert_int_equal(a->body_len, body_len);
}

/* A header and nothing else. */
static inline void assert_answer_error(const struct answer *a, uint32_t error)
{
    assert_int_equal(a->len, VU_HEADER_SIZE);
    assert_int_equal(a->h.flags, VU_F_TYPE_REPLY | VU_F_ERROR);
    assert_int_equal(a->h.error, error);
    assert_int_equal(a->n_fds, 0);
}

/* VERSION with JSON (its NUL is added), NULL: without. */
static inline struct answer core_version(struct core *c, uint16_t major, uint16_t minor,
                                         const char *json)
{
    size_t len = json != NULL ? strlen(json) + 1 : 0;
    uint8_t body[4096];

    assert_true(len + VU_VERSION_SIZE <= sizeof(body));
    memcpy(body, &major, 2);
    memcpy(body + 2, &minor, 2);
    if (json != NULL)
        memcpy(body + VU_VERSION_SIZE, json, len);
    return core_send(c, VU_VERSION, body, VU_VERSION_SIZE + len);
}

/* With a client that proposes this JSON. */
static inline void core_begin_with(struct core *c, const char *json)
{
    struct answer a;

    core_new(c);
    a = core_version(c, 0, 1, json);
    assert_int_equal(c->outcome, VUS_SERVED);
    assert_int_equal(a.h.flags, VU_F_TYPE_REPLY);
}

static inline void core_begin(struct core *c)
{
    core_begin_with(c, NULL);
}

/* ------------------------------------------------------------- requests -- */

static inline struct answer core_region_read(struct core *c, uint32_t region,
                                             uint64_t offset, uint32_t count)
{
    struct vu_region_access m = { .offset = offset, .region = region, .count = count };
    uint8_t body[VU_REGION_ACCESS_SIZE];

    ENCODE(region_access, &m, body);
    return core_send(c, VU_REGION_READ, body, sizeof(body));
}

static inline struct answer core_region_write(struct core *c, uint32_t region,
                                              uint64_t offset, const void *data,
                                              uint32_t count)
{
    struct vu_region_access m = { .offset = offset, .region = region, .count = count };
    uint8_t *body = malloc(VU_REGION_ACCESS_SIZE + count);
    struct vu_writer w = vu_writer(body, VU_REGION_ACCESS_SIZE);
    struct answer a;

    assert_int_equal(vu_encode_region_access(&w, &m), 0);
    if (count != 0)
        memcpy(body + VU_REGION_ACCESS_SIZE, data, count);
    a = core_send(c, VU_REGION_WRITE, body, VU_REGION_ACCESS_SIZE + count);
    free(body);
    return a;
}

/* fd -1: none. */
static inline struct answer core_dma_map(struct core *c, struct vu_dma_map m, int fd)
{
    uint8_t body[VU_DMA_MAP_SIZE];

    if (m.argsz == 0)
        m.argsz = VU_DMA_MAP_SIZE;
    ENCODE(dma_map, &m, body);
    return core_send_fds(c, VU_DMA_MAP, body, sizeof(body), &fd, fd != -1 ? 1 : 0);
}

static inline struct answer core_dma_unmap(struct core *c, struct vu_dma_unmap m)
{
    uint8_t body[VU_DMA_UNMAP_SIZE];

    if (m.argsz == 0)
        m.argsz = VU_DMA_UNMAP_SIZE;
    ENCODE(dma_unmap, &m, body);
    return core_send(c, VU_DMA_UNMAP, body, sizeof(body));
}

/* bytes: data of DATA_BOOL, or NULL. */
static inline struct answer core_set_irqs(struct core *c, struct vu_irq_set m,
                                          const uint8_t *bytes, size_t n_bytes,
                                          const int *fds, size_t n_fds)
{
    uint8_t body[VU_IRQ_SET_SIZE + 256];
    struct vu_writer w = vu_writer(body, VU_IRQ_SET_SIZE);

    if (m.argsz == 0)
        m.argsz = (uint32_t)(VU_IRQ_SET_SIZE + n_bytes);
    assert_int_equal(vu_encode_irq_set(&w, &m), 0);
    assert_true(n_bytes <= 256);
    if (n_bytes != 0)
        memcpy(body + VU_IRQ_SET_SIZE, bytes, n_bytes);
    return core_send_fds(c, VU_DEVICE_SET_IRQS, body, VU_IRQ_SET_SIZE + n_bytes, fds,
                         n_fds);
}

#endif
