/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of configuration space share: a device without a socket, and
 * accesses in exactly sized buffers, so that a sanitizer sees one byte too many. */
#ifndef VUS_TESTS_PCI_SUPPORT_H
#define VUS_TESTS_PCI_SUPPORT_H

#include "wire/tests/support.h"

#include "libserver/context.h"

#include <errno.h>

/* A device with configuration space, not realized. */
static inline struct vfu_ctx *pci_device(vfu_pci_type_t type)
{
    struct vfu_ctx *ctx = vus_ctx_new(0, NULL);

    assert_non_null(ctx);
    assert_int_equal(vfu_pci_init(ctx, type, PCI_HEADER_TYPE_NORMAL, 0), 0);
    return ctx;
}

static inline void set_region(struct vfu_ctx *ctx, int index, size_t size, int flags)
{
    ctx->regions[index].size = size;
    ctx->regions[index].flags = flags;
}

/* Return: what vus_pci_access() returned. */
static inline ssize_t pci_write(struct vfu_ctx *ctx, uint64_t offset, const void *data,
                                size_t count)
{
    uint8_t *copy = malloc(count);
    ssize_t result;

    assert_non_null(copy);
    memcpy(copy, data, count);
    result = vus_pci_access(ctx, copy, count, offset, true);
    free(copy);
    return result;
}

static inline ssize_t write8(struct vfu_ctx *ctx, uint64_t offset, uint8_t value)
{
    return pci_write(ctx, offset, &value, sizeof(value));
}

static inline ssize_t write16(struct vfu_ctx *ctx, uint64_t offset, uint16_t value)
{
    return pci_write(ctx, offset, &value, sizeof(value));
}

static inline ssize_t write32(struct vfu_ctx *ctx, uint64_t offset, uint32_t value)
{
    return pci_write(ctx, offset, &value, sizeof(value));
}

static inline void pci_read(struct vfu_ctx *ctx, uint64_t offset, void *data,
                            size_t count)
{
    uint8_t *copy = malloc(count);

    assert_non_null(copy);
    memset(copy, 0xa5, count);
    assert_int_equal(vus_pci_access(ctx, copy, count, offset, false), count);
    memcpy(data, copy, count);
    free(copy);
}

static inline uint8_t read8(struct vfu_ctx *ctx, uint64_t offset)
{
    uint8_t value;

    pci_read(ctx, offset, &value, sizeof(value));
    return value;
}

static inline uint16_t read16(struct vfu_ctx *ctx, uint64_t offset)
{
    uint16_t value;

    pci_read(ctx, offset, &value, sizeof(value));
    return value;
}

static inline uint32_t read32(struct vfu_ctx *ctx, uint64_t offset)
{
    uint32_t value;

    pci_read(ctx, offset, &value, sizeof(value));
    return value;
}

#endif
