/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sample server's DMA engine: copies between two ranges of guest memory.
 *
 * A range is found as pieces, one for each window of the client that it crosses. The
 * library copies: by the window's mapping or file where the client passed a descriptor,
 * else by asking the client with messages, and it waits for the answers. What was written
 * is dirty then for a client that logs that, to migrate the guest.
 */
#include "samples/server.h"

#include <stdlib.h>
#include <sys/mman.h>

#define MAX_COPY        0x100000u
#define MAX_PIECES      64

struct dma {
    dma_sg_t *pieces;           /* owned: room for MAX_PIECES */
    uint8_t *bytes;             /* owned: room for MAX_COPY */
};

int dma_init(struct device *d)
{
    d->dma = calloc(1, sizeof(*d->dma));
    if (d->dma == NULL)
        return -1;
    d->dma->pieces = calloc(MAX_PIECES, dma_sg_size());
    d->dma->bytes = malloc(MAX_COPY);
    return d->dma->pieces != NULL && d->dma->bytes != NULL ? 0 : -1;
}

void dma_destroy(struct device *d)
{
    if (d->dma == NULL)
        return;
    free(d->dma->pieces);
    free(d->dma->bytes);
    free(d->dma);
}

/* Return: DMA_DONE, or why not. */
static uint32_t transfer(struct device *d, uint64_t address, uint32_t len, int prot)
{
    int (*move)(vfu_ctx_t *ctx, dma_sg_t *sgl, size_t n, void *data, int flags) =
        prot == PROT_READ ? vfu_sgl_read : vfu_sgl_write;
    struct dma *dma = d->dma;
    int n = vfu_addr_to_sgl(d->ctx, (vfu_dma_addr_t)(uintptr_t)address, len, dma->pieces,
                            MAX_PIECES, prot);

    if (n < -1)
        return DMA_TOO_MANY_PIECES;
    if (n < 1)
        return prot == PROT_READ ? DMA_BAD_SOURCE : DMA_BAD_TARGET;
    if (move(d->ctx, dma->pieces, (size_t)n, dma->bytes, VFU_SGL_DIRECT_ACCESS) < 0)
        return DMA_FAILED;
    return DMA_DONE;
}

uint32_t dma_copy(struct device *d, uint64_t source, uint64_t target, uint32_t len)
{
    uint32_t status;

    if (len == 0 || len > MAX_COPY)
        return DMA_BAD_LENGTH;
    if (!vfu_pci_get_config_space(d->ctx)->hdr.cmd.bme)
        return DMA_NOT_MASTER;
    status = transfer(d, source, len, PROT_READ);
    return status == DMA_DONE ? transfer(d, target, len, PROT_WRITE) : status;
}
