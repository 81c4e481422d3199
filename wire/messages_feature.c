/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Codecs of DEVICE_FEATURE: the envelope and what it carries. See messages.c
 * for how they read.
 */
#include "wire/messages.h"

int vu_encode_feature(struct vu_writer *w, const struct vu_feature *m)
{
    vu_put_u32(w, m->argsz); /* 0 */
    vu_put_u32(w, m->flags); /* 4 */
    vu_put_span(w, m->data); /* 8 */
    return vu_writer_ok(w);
}

int vu_decode_feature(struct vu_reader *r, struct vu_feature *m)
{
    m->argsz = vu_get_u32(r); /* 0 */
    m->flags = vu_get_u32(r); /* 4 */
    m->data = vu_get_rest(r); /* 8 */
    return vu_reader_ok(r);
}

/* ----------------------------------------------------------- migration -- */

int vu_encode_feature_migration(struct vu_writer *w, const struct vu_feature_migration *m)
{
    vu_put_u64(w, m->flags); /* 0 */
    return vu_writer_ok(w);
}

int vu_decode_feature_migration(struct vu_reader *r, struct vu_feature_migration *m)
{
    m->flags = vu_get_u64(r); /* 0 */
    return vu_reader_ok(r);
}

int vu_encode_feature_mig_state(struct vu_writer *w, const struct vu_feature_mig_state *m)
{
    vu_put_u32(w, m->device_state); /* 0 */
    vu_put_u32(w, m->data_fd);      /* 4 */
    return vu_writer_ok(w);
}

int vu_decode_feature_mig_state(struct vu_reader *r, struct vu_feature_mig_state *m)
{
    m->device_state = vu_get_u32(r); /* 0 */
    m->data_fd = vu_get_u32(r);      /* 4 */
    return vu_reader_ok(r);
}

/* --------------------------------------------------------- DMA logging -- */

int vu_encode_dma_logging(struct vu_writer *w, const struct vu_dma_logging *m)
{
    vu_put_u64(w, m->page_size);  /*  0 */
    vu_put_u32(w, m->num_ranges); /*  8 */
    vu_put_u32(w, 0);             /* 12  reserved */
    vu_put_span(w, m->ranges);    /* 16 */
    return vu_writer_ok(w);
}

int vu_decode_dma_logging(struct vu_reader *r, struct vu_dma_logging *m)
{
    m->page_size = vu_get_u64(r);  /*  0 */
    m->num_ranges = vu_get_u32(r); /*  8 */
    vu_get_u32(r);                 /* 12  reserved */
    m->ranges = vu_get_span(r, (uint64_t)m->num_ranges * VU_DMA_LOGGING_RANGE_SIZE);
    return vu_reader_ok(r); /* 16 */
}

int vu_encode_dma_logging_range(struct vu_writer *w, const struct vu_dma_logging_range *m)
{
    vu_put_u64(w, m->iova);   /* 0 */
    vu_put_u64(w, m->length); /* 8 */
    return vu_writer_ok(w);
}

int vu_decode_dma_logging_range(const struct vu_dma_logging *m, uint32_t i,
                                struct vu_dma_logging_range *range)
{
    struct vu_reader r = vu_reader(m->ranges.data, m->ranges.len);

    vu_get_span(&r, (uint64_t)i * VU_DMA_LOGGING_RANGE_SIZE);
    range->iova = vu_get_u64(&r);   /* 0 */
    range->length = vu_get_u64(&r); /* 8 */
    return vu_reader_ok(&r);
}

int vu_encode_dma_report(struct vu_writer *w, const struct vu_dma_report *m)
{
    vu_put_u64(w, m->iova);      /*  0 */
    vu_put_u64(w, m->length);    /*  8 */
    vu_put_u64(w, m->page_size); /* 16 */
    vu_put_span(w, m->bitmap);   /* 24 */
    return vu_writer_ok(w);
}

int vu_decode_dma_report(struct vu_reader *r, struct vu_dma_report *m)
{
    m->iova = vu_get_u64(r);      /*  0 */
    m->length = vu_get_u64(r);    /*  8 */
    m->page_size = vu_get_u64(r); /* 16 */
    m->bitmap = vu_get_rest(r);   /* 24 */
    return vu_reader_ok(r);
}

int64_t vu_bitmap_size(uint64_t length, uint64_t page_size)
{
    uint64_t pages;

    if (length == 0 || page_size == 0 || (page_size & (page_size - 1)) != 0)
        return -EINVAL;
    pages = (length - 1) / page_size + 1;
    return (int64_t)(((pages - 1) / 64 + 1) * 8);
}
