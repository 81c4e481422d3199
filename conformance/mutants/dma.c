/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mutant server's DMA windows: kept, and never used.
 */
#include "conformance/mutants/commands.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conformance/mutants/faults.h"

static struct ct_dma *dma_of(struct ct_client *c)
{
    return fault(clients_share_dma) ? &c->server->shared_dma : &c->dma;
}

static void window_done(struct ct_window *w)
{
    if (w->map != NULL)
        munmap(w->map, w->map_len);
    if (w->fd != -1)
        close(w->fd);
}

void ct_dma_done(struct ct_dma *dma)
{
    for (size_t i = 0; i < dma->count; i++)
        window_done(&dma->windows[i]);
    free(dma->windows);
    *dma = (struct ct_dma){ 0 };
}

static int window_map(struct ct_window *w, uint64_t offset)
{
    int prot = (w->flags & VU_DMA_READABLE ? PROT_READ : 0) |
               (w->flags & VU_DMA_WRITEABLE ? PROT_WRITE : 0);
    uint64_t lead = offset % CT_PAGE;
    struct stat st;

    if (fstat(w->fd, &st) != 0)
        return -errno;
    if (S_ISREG(st.st_mode) && offset + w->size > (uint64_t)st.st_size)
        return -EINVAL;
    w->map_len = w->size + lead;
    w->map = mmap(NULL, w->map_len, prot, MAP_SHARED, w->fd, (off_t)(offset - lead));
    if (w->map == MAP_FAILED) {
        w->map = NULL;
        return -errno;
    }
    return 0;
}

static int window_check(const struct ct_dma *dma, const struct vu_dma_map *req)
{
    uint64_t last = req->address + req->size - 1, sum;

    if (req->argsz < VU_DMA_MAP_SIZE || req->size == 0 || last < req->address ||
        req->flags & ~(VU_DMA_READABLE | VU_DMA_WRITEABLE) ||
        __builtin_add_overflow(req->offset, req->size, &sum))
        return -EINVAL;
    if (dma->count >= CT_MAX_MAPS)
        return -ENOSPC;
    for (size_t i = 0; i < dma->count; i++) {
        const struct ct_window *w = &dma->windows[i];

        if (req->address <= w->address + w->size - 1 && w->address <= last)
            return -EEXIST;
    }
    return 0;
}

static int window_add(struct ct_dma *dma, const struct ct_window *w)
{
    if (dma->count == dma->room) {
        size_t room = dma->room == 0 ? 16 : dma->room * 2;
        struct ct_window *more = realloc(dma->windows, room * sizeof(*more));

        if (more == NULL)
            return -ENOMEM;
        dma->windows = more;
        dma->room = room;
    }
    dma->windows[dma->count++] = *w;
    return 0;
}

void ct_dma_move(struct ct_dma *to, struct ct_dma *from)
{
    for (size_t i = 0; i < from->count; i++)
        if (window_add(to, &from->windows[i]) != 0)
            window_done(&from->windows[i]);
    free(from->windows);
    *from = (struct ct_dma){ 0 };
}

int ct_on_dma_map(struct ct_client *c, struct vu_message *m, struct ct_reply *r)
{
    struct vu_reader body = ct_body_of(m);
    struct ct_dma *dma = dma_of(c);
    struct ct_window w = { .fd = -1 };
    struct vu_dma_map req;
    int err = vu_decode_dma_map(&body, &req);

    (void)r;
    if (err != 0)
        return err;
    if (manner(bare))
        return 0;
    err = m->n_fds > 1 ? -EINVAL : window_check(dma, &req);
    if (err != 0)
        return err;
    w.address = req.address;
    w.size = req.size;
    w.flags = req.flags;
    if (m->n_fds == 1) {
        w.fd = vu_message_take_fd(m, 0);
        err = window_map(&w, req.offset);
    }
    if (err == 0)
        err = window_add(dma, &w);
    if (err != 0)
        window_done(&w);
    return err;
}

int ct_on_dma_unmap(struct ct_client *c, struct vu_message *m, struct ct_reply *r)
{
    struct vu_reader body = ct_body_of(m);
    struct ct_dma *dma = dma_of(c);
    struct vu_dma_unmap req;
    int err = vu_decode_dma_unmap(&body, &req);

    if (err != 0)
        return err;
    vu_encode_dma_unmap(&r->w, &req);
    if (req.argsz < VU_DMA_UNMAP_SIZE)
        return -EINVAL;
    if (manner(bare))
        return 0;
    if (req.flags == VU_DMA_UNMAP_ALL && req.address == 0 && req.size == 0) {
        ct_dma_done(dma);
        return 0;
    }
    if (req.flags != 0)
        return -EINVAL;
    for (size_t i = 0; i < dma->count; i++) {
        struct ct_window *w = &dma->windows[i];

        if (w->address != req.address || w->size != req.size)
            continue;
        window_done(w);
        *w = dma->windows[--dma->count];
        return 0;
    }
    return -ENOENT;
}
