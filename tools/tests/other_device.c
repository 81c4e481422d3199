/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * samples/server with one difference, for tests of replaying: linked with its sources and
 * --wrap, it stands between them and the library. OTHER in the environment says what is
 * different:
 *
 *     id          the ID register has another value
 *     refuse      writes to the SCRATCH register are refused
 *     silent      no interrupt ever reaches the client
 *     memory      the copy engine gets the first byte wrong
 *     size        the ROM is twice as large
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "libvfio-user.h"

#define ID_OFFSET      0x08
#define SCRATCH_OFFSET 0x0c

int __real_vfu_setup_region(vfu_ctx_t *ctx, int index, size_t size,
                            vfu_region_access_cb_t *access, int flags,
                            struct iovec *areas, uint32_t n_areas, int fd, uint64_t offset);
int __wrap_vfu_setup_region(vfu_ctx_t *ctx, int index, size_t size,
                            vfu_region_access_cb_t *access, int flags,
                            struct iovec *areas, uint32_t n_areas, int fd, uint64_t offset);
int __real_vfu_irq_trigger(vfu_ctx_t *ctx, uint32_t vector);
int __wrap_vfu_irq_trigger(vfu_ctx_t *ctx, uint32_t vector);
int __real_vfu_sgl_write(vfu_ctx_t *ctx, dma_sg_t *sgl, size_t n, void *data, int flags);
int __wrap_vfu_sgl_write(vfu_ctx_t *ctx, dma_sg_t *sgl, size_t n, void *data, int flags);

static vfu_region_access_cb_t *registers;   /* of the sample */

static bool is_other(const char *what)
{
    const char *other = getenv("OTHER");

    return other != NULL && strcmp(other, what) == 0;
}

/* Turn one byte around if the access covers it. */
static void disturb(char *buf, size_t count, loff_t offset, loff_t at)
{
    if (offset <= at && at < offset + (loff_t)count)
        buf[at - offset] = (char)~buf[at - offset];
}

static ssize_t on_registers(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                            bool is_write)
{
    ssize_t done;

    if (is_write && offset == SCRATCH_OFFSET && is_other("refuse")) {
        errno = EPERM;
        return -1;
    }
    done = registers(ctx, buf, count, offset, is_write);
    if (!is_write && is_other("id"))
        disturb(buf, count, offset, ID_OFFSET);
    return done;
}

int __wrap_vfu_setup_region(vfu_ctx_t *ctx, int index, size_t size,
                            vfu_region_access_cb_t *access, int flags,
                            struct iovec *areas, uint32_t n_areas, int fd, uint64_t offset)
{
    if (index == VFU_PCI_DEV_BAR0_REGION_IDX) {
        registers = access;
        access = on_registers;
    }
    if (index == VFU_PCI_DEV_ROM_REGION_IDX && is_other("size"))
        size *= 2;
    return __real_vfu_setup_region(ctx, index, size, access, flags, areas, n_areas, fd,
                                   offset);
}

int __wrap_vfu_irq_trigger(vfu_ctx_t *ctx, uint32_t vector)
{
    return is_other("silent") ? 0 : __real_vfu_irq_trigger(ctx, vector);
}

int __wrap_vfu_sgl_write(vfu_ctx_t *ctx, dma_sg_t *sgl, size_t n, void *data, int flags)
{
    if (is_other("memory"))
        *(char *)data = (char)~*(char *)data;
    return __real_vfu_sgl_write(ctx, sgl, n, data, flags);
}
