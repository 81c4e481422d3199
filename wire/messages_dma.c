/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Codecs of the DMA commands: windows (DMA_MAP, DMA_UNMAP) and access by
 * message (DMA_READ, DMA_WRITE). See messages.c for how they read.
 */
#include "wire/messages.h"

/* ------------------------------------------------------------ windows -- */

int vu_encode_dma_map(struct vu_writer *w, const struct vu_dma_map *m)
{
    vu_put_u32(w, m->argsz);   /*  0 */
    vu_put_u32(w, m->flags);   /*  4 */
    vu_put_u64(w, m->offset);  /*  8 */
    vu_put_u64(w, m->address); /* 16 */
    vu_put_u64(w, m->size);    /* 24 */
    return vu_writer_ok(w);
}

int vu_decode_dma_map(struct vu_reader *r, struct vu_dma_map *m)
{
    m->argsz = vu_get_u32(r);   /*  0 */
    m->flags = vu_get_u32(r);   /*  4 */
    m->offset = vu_get_u64(r);  /*  8 */
    m->address = vu_get_u64(r); /* 16 */
    m->size = vu_get_u64(r);    /* 24 */
    return vu_reader_ok(r);
}

int vu_encode_dma_unmap(struct vu_writer *w, const struct vu_dma_unmap *m)
{
    vu_put_u32(w, m->argsz);   /*  0 */
    vu_put_u32(w, m->flags);   /*  4 */
    vu_put_u64(w, m->address); /*  8 */
    vu_put_u64(w, m->size);    /* 16 */
    if ((m->flags & VU_DMA_UNMAP_GET_DIRTY_BITMAP) != 0) {
        vu_put_u64(w, m->pgsize);      /* 24 */
        vu_put_u64(w, m->bitmap_size); /* 32 */
        vu_put_span(w, m->bitmap);     /* 40 */
    }
    return vu_writer_ok(w);
}

int vu_decode_dma_unmap(struct vu_reader *r, struct vu_dma_unmap *m)
{
    *m = (struct vu_dma_unmap){ 0 };
    m->argsz = vu_get_u32(r);   /*  0 */
    m->flags = vu_get_u32(r);   /*  4 */
    m->address = vu_get_u64(r); /*  8 */
    m->size = vu_get_u64(r);    /* 16 */
    if ((m->flags & VU_DMA_UNMAP_GET_DIRTY_BITMAP) != 0) {
        m->pgsize = vu_get_u64(r);      /* 24 */
        m->bitmap_size = vu_get_u64(r); /* 32 */
    }
    return vu_reader_ok(r);
}

int vu_decode_dma_unmap_reply(struct vu_reader *r, struct vu_dma_unmap *m)
{
    vu_decode_dma_unmap(r, m);
    m->bitmap = vu_get_span(r, m->bitmap_size); /* 40; 0 bytes without the flag */
    return vu_reader_ok(r);
}

/* ----------------------------------------------------- DMA by message -- */

int vu_encode_dma_access(struct vu_writer *w, const struct vu_dma_access *m)
{
    vu_put_u64(w, m->address); /*  0 */
    vu_put_u64(w, m->count);   /*  8 */
    vu_put_span(w, m->data);   /* 16 */
    return vu_writer_ok(w);
}

int vu_decode_dma_access(struct vu_reader *r, struct vu_dma_access *m)
{
    m->address = vu_get_u64(r); /*  0 */
    m->count = vu_get_u64(r);   /*  8 */
    m->data = (struct vu_bytes){ NULL, 0 };
    return vu_reader_ok(r);
}

int vu_decode_dma_data(struct vu_reader *r, struct vu_dma_access *m)
{
    vu_decode_dma_access(r, m);
    m->data = vu_get_span(r, m->count); /* 16 */
    return vu_reader_ok(r);
}

int vu_decode_dma_write_reply(struct vu_reader *r, struct vu_dma_access *m)
{
    if (r->left != 12)
        return vu_decode_dma_access(r, m);
    m->address = vu_get_u64(r); /*  0 */
    m->count = vu_get_u32(r);   /*  8, the 4-byte form */
    m->data = (struct vu_bytes){ NULL, 0 };
    return vu_reader_ok(r);
}
