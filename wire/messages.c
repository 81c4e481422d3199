/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Codecs of the header, VERSION, device and interrupt information and
 * migration data. The bulkier nouns have files of their own: messages_dma.c,
 * messages_region.c, messages_feature.c.
 *
 * Each codec is the specification's table read downwards; the number behind a
 * field is its offset. They sit on the path of every command: no allocation,
 * no loop over payload, nothing but loads and stores.
 */
#include "wire/messages.h"

/* ------------------------------------------------------------- header -- */

int vu_encode_header(struct vu_writer *w, const struct vu_header *m)
{
    vu_put_u16(w, m->msg_id);  /*  0 */
    vu_put_u16(w, m->command); /*  2 */
    vu_put_u32(w, m->size);    /*  4 */
    vu_put_u32(w, m->flags);   /*  8 */
    vu_put_u32(w, m->error);   /* 12 */
    return vu_writer_ok(w);
}

int vu_decode_header(struct vu_reader *r, struct vu_header *m)
{
    m->msg_id = vu_get_u16(r);  /*  0 */
    m->command = vu_get_u16(r); /*  2 */
    m->size = vu_get_u32(r);    /*  4 */
    m->flags = vu_get_u32(r);   /*  8 */
    m->error = vu_get_u32(r);   /* 12 */
    return vu_reader_ok(r);
}

/* ------------------------------------------------------------ VERSION -- */

int vu_encode_version(struct vu_writer *w, const struct vu_version *m)
{
    vu_put_u16(w, m->major); /* 0 */
    vu_put_u16(w, m->minor); /* 2 */
    vu_put_span(w, m->data); /* 4 */
    return vu_writer_ok(w);
}

int vu_decode_version(struct vu_reader *r, struct vu_version *m)
{
    m->major = vu_get_u16(r); /* 0 */
    m->minor = vu_get_u16(r); /* 2 */
    m->data = vu_get_rest(r); /* 4 */
    return vu_reader_ok(r);
}

/* ---------------------------------------------------- DEVICE_GET_INFO -- */

int vu_encode_device_info(struct vu_writer *w, const struct vu_device_info *m)
{
    vu_put_u32(w, m->argsz);       /*  0 */
    vu_put_u32(w, m->flags);       /*  4 */
    vu_put_u32(w, m->num_regions); /*  8 */
    vu_put_u32(w, m->num_irqs);    /* 12 */
    return vu_writer_ok(w);
}

int vu_decode_device_info(struct vu_reader *r, struct vu_device_info *m)
{
    m->argsz = vu_get_u32(r);       /*  0 */
    m->flags = vu_get_u32(r);       /*  4 */
    m->num_regions = vu_get_u32(r); /*  8 */
    m->num_irqs = vu_get_u32(r);    /* 12 */
    return vu_reader_ok(r);
}

/* ---------------------------------------------------------- interrupts -- */

int vu_encode_irq_info(struct vu_writer *w, const struct vu_irq_info *m)
{
    vu_put_u32(w, m->argsz); /*  0 */
    vu_put_u32(w, m->flags); /*  4 */
    vu_put_u32(w, m->index); /*  8 */
    vu_put_u32(w, m->count); /* 12 */
    return vu_writer_ok(w);
}

int vu_decode_irq_info(struct vu_reader *r, struct vu_irq_info *m)
{
    m->argsz = vu_get_u32(r); /*  0 */
    m->flags = vu_get_u32(r); /*  4 */
    m->index = vu_get_u32(r); /*  8 */
    m->count = vu_get_u32(r); /* 12 */
    return vu_reader_ok(r);
}

int vu_encode_irq_set(struct vu_writer *w, const struct vu_irq_set *m)
{
    vu_put_u32(w, m->argsz); /*  0 */
    vu_put_u32(w, m->flags); /*  4 */
    vu_put_u32(w, m->index); /*  8 */
    vu_put_u32(w, m->start); /* 12 */
    vu_put_u32(w, m->count); /* 16 */
    vu_put_span(w, m->data); /* 20 */
    return vu_writer_ok(w);
}

int vu_decode_irq_set(struct vu_reader *r, struct vu_irq_set *m)
{
    m->argsz = vu_get_u32(r); /*  0 */
    m->flags = vu_get_u32(r); /*  4 */
    m->index = vu_get_u32(r); /*  8 */
    m->start = vu_get_u32(r); /* 12 */
    m->count = vu_get_u32(r); /* 16 */
    m->data = (struct vu_bytes){ NULL, 0 };
    if ((m->flags & VU_IRQ_SET_DATA_BOOL) == 0)
        return vu_reader_ok(r);
    m->data = vu_get_span(r, m->count); /* 20 */
    return vu_reader_exact(r);
}

/* ------------------------------------------------------ migration data -- */

int vu_encode_mig_data(struct vu_writer *w, const struct vu_mig_data *m)
{
    vu_put_u32(w, m->argsz); /* 0 */
    vu_put_u32(w, m->size);  /* 4 */
    vu_put_span(w, m->data); /* 8 */
    return vu_writer_ok(w);
}

int vu_decode_mig_data_request(struct vu_reader *r, struct vu_mig_data *m)
{
    m->argsz = vu_get_u32(r); /* 0 */
    m->size = vu_get_u32(r);  /* 4 */
    m->data = (struct vu_bytes){ NULL, 0 };
    return vu_reader_ok(r);
}

int vu_decode_mig_data(struct vu_reader *r, struct vu_mig_data *m)
{
    vu_decode_mig_data_request(r, m);
    m->data = vu_get_span(r, m->size); /* 8 */
    return vu_reader_ok(r);
}
