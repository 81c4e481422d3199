/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfu_sgl_read() and vfu_sgl_write(): copies between the device and guest memory,
 * piece by piece, through the window's memory or file where the caller allows it
 * and the window has one, else by messages to the client.
 *
 * Any thread. A window is pinned while the library copies, and never while the
 * client is waited for: its DMA_UNMAP waits for pins. Must be fast: a direct copy.
 */
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#include "libserver/context.h"
#include "libserver/copy.h"
#include "libserver/dirty.h"
#include "libserver/dma.h"

/* One call of the two functions. */
struct transfer {
    struct vfu_ctx *ctx;
    bool to_guest;
    bool direct;            /* if the window allows it */
    bool entered;           /* vus_port_enter() was called */
    vu_deadline deadline;   /* set by then */
};

/* 0, or negative errno of a piece that is not what it is used for. */
static int check_pieces(const struct transfer *t, const dma_sg_t *sgl, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (sgl[i].region == 0)
            return -EINVAL;
        if (t->to_guest && !sgl[i].writeable)
            return -EPERM;
    }
    return 0;
}

/* Copy now. 0, -EAGAIN: it takes messages; other negative errno. */
static int copy_pinned(const struct transfer *t, struct vus_window *w,
                       const dma_sg_t *sg, void *data)
{
    int err;

    if ((w->info.prot & (uint32_t)(t->to_guest ? PROT_WRITE : PROT_READ)) == 0)
        return -EPERM;
    if (!t->direct || vus_window_mapping(w) == NULL)
        return -EAGAIN;
    err = vus_window_copy(w, sg->offset, data, sg->length, t->to_guest);
    /* A part may have arrived before it failed. */
    if (t->to_guest && err != -EFAULT && err != -EACCES && vus_dirty_on(t->ctx))
        vus_dirty_mark(w, sg->offset, sg->length);
    return err;
}

static int copy_direct(const struct transfer *t, const dma_sg_t *sg, void *data)
{
    int err;
    struct vus_window *w = vus_window_pin(sg, &err);

    if (w == NULL)
        return err;
    err = copy_pinned(t, w, sg, data);
    vus_window_unpin(w);
    return err;
}

/* The first piece that takes messages. */
static int enter(struct transfer *t)
{
    int err;

    if (t->entered)
        return 0;
    t->deadline = vu_deadline_in_ms(atomic_load(&t->ctx->timeouts[VFU_TIMEOUT_DMA]));
    err = vus_port_enter(t->ctx);
    t->entered = err == 0;
    return err;
}

static int copy_by_messages(struct transfer *t, const dma_sg_t *sg, uint8_t *data)
{
    uint64_t address = (uintptr_t)sg->dma_addr + sg->offset;
    int err = enter(t);
    /* The client's, who stays until we leave. */
    uint64_t max = err == 0 ? t->ctx->conn.port.max_xfer : 0;

    if (t->to_guest && max > VUS_MAX_DMA_WRITE)
        max = VUS_MAX_DMA_WRITE;
    for (uint64_t at = 0; err == 0 && at < sg->length;) {
        struct vus_dma_request r = {
            .command = t->to_guest ? VU_DMA_WRITE : VU_DMA_READ,
            .sg = sg,
            .address = address + at,
            .data = data + at,
            .len = sg->length - at < max ? sg->length - at : max,
        };
        int64_t n = vus_port_ask(t->ctx, &r, t->deadline);

        if (n < 0)
            return (int)n;
        at += (uint64_t)n;
    }
    return err;
}

static int copy_all(struct transfer *t, const dma_sg_t *sgl, size_t n, uint8_t *data)
{
    for (size_t i = 0; i < n; i++) {
        int err = copy_direct(t, &sgl[i], data);

        if (err == -EAGAIN)
            err = copy_by_messages(t, &sgl[i], data);
        if (err != 0)
            return err;
        data += sgl[i].length;
    }
    return 0;
}

static int transfer(vfu_ctx_t *ctx, const dma_sg_t *sgl, size_t n, void *data, int flags,
                    bool to_guest)
{
    struct transfer t = {
        .ctx = ctx,
        .to_guest = to_guest,
        .direct = (flags & VFU_SGL_DIRECT_ACCESS) != 0,
    };
    int err = -EINVAL;

    if ((flags & ~VFU_SGL_DIRECT_ACCESS) == 0 && n != 0)
        err = check_pieces(&t, sgl, n);
    if (err == 0)
        err = copy_all(&t, sgl, n, data);
    if (t.entered)
        vus_port_leave(ctx);
    if (err == 0)
        return 0;
    errno = -err;
    return -1;
}

int (vfu_sgl_read)(vfu_ctx_t *ctx, dma_sg_t *sgl, size_t sg_cnt, void *data, int flags)
{
    assert(ctx != NULL);
    return transfer(ctx, sgl, sg_cnt, data, flags, false);
}

int (vfu_sgl_write)(vfu_ctx_t *ctx, dma_sg_t *sgl, size_t sg_cnt, void *data, int flags)
{
    assert(ctx != NULL);
    return transfer(ctx, sgl, sg_cnt, data, flags, true);
}
