/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Codecs of the region commands: information with its capability chain,
 * descriptors for direct access, reads and writes. See messages.c for how they
 * read.
 */
#include "wire/messages.h"

/* -------------------------------------------------------- information -- */

int vu_encode_region_info(struct vu_writer *w, const struct vu_region_info *m)
{
    vu_put_u32(w, m->argsz);      /*  0 */
    vu_put_u32(w, m->flags);      /*  4 */
    vu_put_u32(w, m->index);      /*  8 */
    vu_put_u32(w, m->cap_offset); /* 12 */
    vu_put_u64(w, m->size);       /* 16 */
    vu_put_u64(w, m->offset);     /* 24 */
    return vu_writer_ok(w);
}

int vu_decode_region_info(struct vu_reader *r, struct vu_region_info *m)
{
    m->argsz = vu_get_u32(r);      /*  0 */
    m->flags = vu_get_u32(r);      /*  4 */
    m->index = vu_get_u32(r);      /*  8 */
    m->cap_offset = vu_get_u32(r); /* 12 */
    m->size = vu_get_u64(r);       /* 16 */
    m->offset = vu_get_u64(r);     /* 24 */
    return vu_reader_ok(r);
}

/* --------------------------------------------------- capability chain -- */

struct vu_cap_walk vu_cap_walk(const void *body, size_t len, uint32_t cap_offset)
{
    return (struct vu_cap_walk){ .body = { body, len }, .at = cap_offset };
}

int vu_cap_next(struct vu_cap_walk *walk, struct vu_cap *cap)
{
    struct vu_reader r = vu_reader(walk->body.data, walk->body.len);
    uint64_t behind = (uint64_t)walk->at + VU_CAP_HEADER_SIZE;
    struct vu_cap c = { .offset = walk->at };
    uint64_t end;

    if (walk->at == 0)
        return 0;
    if (walk->at < VU_REGION_INFO_SIZE)
        return -EBADMSG;
    vu_get_span(&r, walk->at);
    c.id = vu_get_u16(&r);      /* 0 */
    c.version = vu_get_u16(&r); /* 2 */
    c.next = vu_get_u32(&r);    /* 4 */
    end = c.next != 0 ? c.next : walk->body.len;
    if (vu_reader_ok(&r) != 0 || end < behind)
        return -EBADMSG;
    c.data = vu_get_span(&r, end - behind); /* 8 */
    if (vu_reader_ok(&r) != 0)
        return -EBADMSG;
    walk->at = c.next;
    *cap = c;
    return 1;
}

static void put_cap_header(struct vu_writer *w, uint16_t id, uint32_t next)
{
    vu_put_u16(w, id);   /* 0 */
    vu_put_u16(w, 1);    /* 2  version */
    vu_put_u32(w, next); /* 4 */
}

/* Both sparse capabilities begin with the number of their areas. */
static int64_t area_count(const struct vu_cap *cap, uint64_t area_size)
{
    struct vu_reader r = vu_reader(cap->data.data, cap->data.len);
    uint32_t n = vu_get_u32(&r); /*  8 */

    vu_get_u32(&r);                 /* 12  reserved */
    vu_get_span(&r, n * area_size); /* 16 */
    return vu_reader_ok(&r) != 0 ? -EBADMSG : (int64_t)n;
}

/* A reader at area i. */
static struct vu_reader area_reader(const struct vu_cap *cap, uint32_t i,
                                    uint64_t area_size)
{
    struct vu_reader r = vu_reader(cap->data.data, cap->data.len);

    vu_get_span(&r, 8 + i * area_size);
    return r;
}

int64_t vu_sparse_count(const struct vu_cap *cap)
{
    return area_count(cap, VU_SPARSE_AREA_SIZE);
}

struct vu_sparse_area vu_sparse_area(const struct vu_cap *cap, uint32_t i)
{
    struct vu_reader r = area_reader(cap, i, VU_SPARSE_AREA_SIZE);
    struct vu_sparse_area a;

    a.offset = vu_get_u64(&r); /*  0 */
    a.size = vu_get_u64(&r);   /*  8 */
    return a;
}

int vu_encode_sparse_cap(struct vu_writer *w, const struct vu_sparse_area *areas,
                         uint32_t n, uint32_t next)
{
    put_cap_header(w, VU_CAP_SPARSE_MMAP, next);
    vu_put_u32(w, n); /*  8 */
    vu_put_u32(w, 0); /* 12  reserved */
    for (uint32_t i = 0; i < n && w->err == 0; i++) {
        vu_put_u64(w, areas[i].offset); /* 16 + 16 i */
        vu_put_u64(w, areas[i].size);   /* 24 + 16 i */
    }
    return vu_writer_ok(w);
}

int64_t vu_sparse_fds_count(const struct vu_cap *cap)
{
    return area_count(cap, VU_SPARSE_FD_AREA_SIZE);
}

struct vu_sparse_fd_area vu_sparse_fd_area(const struct vu_cap *cap, uint32_t i)
{
    struct vu_reader r = area_reader(cap, i, VU_SPARSE_FD_AREA_SIZE);
    struct vu_sparse_fd_area a;

    a.offset = vu_get_u64(&r);    /*  0 */
    a.fd_offset = vu_get_u64(&r); /*  8 */
    a.size = vu_get_u64(&r);      /* 16 */
    a.fd_index = vu_get_u32(&r);  /* 24 */
    return a;
}

int vu_encode_sparse_fds_cap(struct vu_writer *w, const struct vu_sparse_fd_area *areas,
                             uint32_t n, uint32_t next)
{
    put_cap_header(w, VU_CAP_SPARSE_MMAP_FDS, next);
    vu_put_u32(w, n); /*  8 */
    vu_put_u32(w, 0); /* 12  reserved */
    for (uint32_t i = 0; i < n && w->err == 0; i++) {
        vu_put_u64(w, areas[i].offset);    /* 16 + 32 i */
        vu_put_u64(w, areas[i].fd_offset); /* 24 + 32 i */
        vu_put_u64(w, areas[i].size);      /* 32 + 32 i */
        vu_put_u32(w, areas[i].fd_index);  /* 40 + 32 i */
        vu_put_u32(w, 0);                  /* 44 + 32 i  padding */
    }
    return vu_writer_ok(w);
}

int vu_decode_type_cap(const struct vu_cap *cap, struct vu_type_cap *m)
{
    struct vu_reader r = vu_reader(cap->data.data, cap->data.len);

    m->type = vu_get_u32(&r);    /*  8 */
    m->subtype = vu_get_u32(&r); /* 12 */
    return vu_reader_ok(&r);
}

int vu_encode_type_cap(struct vu_writer *w, const struct vu_type_cap *m, uint32_t next)
{
    put_cap_header(w, VU_CAP_TYPE, next);
    vu_put_u32(w, m->type);    /*  8 */
    vu_put_u32(w, m->subtype); /* 12 */
    return vu_writer_ok(w);
}

int vu_encode_msix_cap(struct vu_writer *w, uint32_t next)
{
    put_cap_header(w, VU_CAP_MSIX_MAPPABLE, next);
    return vu_writer_ok(w);
}

/* ------------------------------------------------------ REGION_IO_FDS -- */

int vu_encode_region_io_fds(struct vu_writer *w, const struct vu_region_io_fds *m)
{
    vu_put_u32(w, m->argsz);    /*  0 */
    vu_put_u32(w, m->flags);    /*  4 */
    vu_put_u32(w, m->index);    /*  8 */
    vu_put_u32(w, m->count);    /* 12 */
    vu_put_span(w, m->entries); /* 16 */
    return vu_writer_ok(w);
}

int vu_decode_region_io_fds(struct vu_reader *r, struct vu_region_io_fds *m)
{
    m->argsz = vu_get_u32(r);    /*  0 */
    m->flags = vu_get_u32(r);    /*  4 */
    m->index = vu_get_u32(r);    /*  8 */
    m->count = vu_get_u32(r);    /* 12 */
    m->entries = vu_get_rest(r); /* 16 */
    return vu_reader_ok(r);
}

int vu_encode_io_fd_entry(struct vu_writer *w, const struct vu_io_fd_entry *m)
{
    vu_put_u64(w, m->offset);    /*  0 */
    vu_put_u64(w, m->size);      /*  8 */
    vu_put_u32(w, m->fd_index);  /* 16 */
    vu_put_u32(w, m->type);      /* 20 */
    vu_put_u32(w, m->flags);     /* 24 */
    vu_put_u32(w, m->padding);   /* 28 */
    vu_put_u64(w, m->datamatch); /* 32 */
    return vu_writer_ok(w);
}

int vu_decode_io_fd_entry(const struct vu_region_io_fds *reply, uint32_t i,
                          struct vu_io_fd_entry *m)
{
    struct vu_reader r = vu_reader(reply->entries.data, reply->entries.len);
    uint64_t stride;

    if (i >= reply->count || reply->argsz < VU_REGION_IO_FDS_SIZE)
        return -EBADMSG;
    stride = (reply->argsz - VU_REGION_IO_FDS_SIZE) / reply->count;
    if (stride < VU_IO_FD_ENTRY_SIZE)
        return -EBADMSG;
    vu_get_span(&r, i * stride);
    m->offset = vu_get_u64(&r);    /*  0 */
    m->size = vu_get_u64(&r);      /*  8 */
    m->fd_index = vu_get_u32(&r);  /* 16 */
    m->type = vu_get_u32(&r);      /* 20 */
    m->flags = vu_get_u32(&r);     /* 24 */
    m->padding = vu_get_u32(&r);   /* 28 */
    m->datamatch = vu_get_u64(&r); /* 32 */
    return vu_reader_ok(&r);
}

/* -------------------------------------------------------------- access -- */

int vu_encode_region_access(struct vu_writer *w, const struct vu_region_access *m)
{
    vu_put_u64(w, m->offset); /*  0 */
    vu_put_u32(w, m->region); /*  8 */
    vu_put_u32(w, m->count);  /* 12 */
    vu_put_span(w, m->data);  /* 16 */
    return vu_writer_ok(w);
}

int vu_decode_region_access(struct vu_reader *r, struct vu_region_access *m)
{
    m->offset = vu_get_u64(r); /*  0 */
    m->region = vu_get_u32(r); /*  8 */
    m->count = vu_get_u32(r);  /* 12 */
    m->data = (struct vu_bytes){ NULL, 0 };
    return vu_reader_ok(r);
}

int vu_decode_region_data(struct vu_reader *r, struct vu_region_access *m)
{
    vu_decode_region_access(r, m);
    m->data = vu_get_span(r, m->count); /* 16 */
    return vu_reader_exact(r);
}

int vu_encode_write_multi(struct vu_writer *w, const struct vu_write_multi *m)
{
    vu_put_u64(w, m->count);    /* 0 */
    vu_put_span(w, m->entries); /* 8 */
    return vu_writer_ok(w);
}

int vu_decode_write_multi(struct vu_reader *r, struct vu_write_multi *m)
{
    m->count = vu_get_u64(r);    /* 0 */
    m->entries = vu_get_rest(r); /* 8 */
    if (vu_reader_ok(r) != 0)
        return -EBADMSG;
    /* count * 24 could wrap around, this cannot. */
    if (m->entries.len % VU_WRITE_MULTI_ENTRY_SIZE != 0 ||
        m->entries.len / VU_WRITE_MULTI_ENTRY_SIZE != m->count)
        return -EBADMSG;
    return 0;
}

int vu_decode_write_multi_reply(struct vu_reader *r, struct vu_write_multi *m)
{
    m->count = vu_get_u64(r); /* 0 */
    m->entries = (struct vu_bytes){ NULL, 0 };
    return vu_reader_ok(r);
}

int vu_encode_write_multi_entry(struct vu_writer *w, const struct vu_write_multi_entry *m)
{
    vu_put_u64(w, m->offset);                  /*  0 */
    vu_put_u32(w, m->region);                  /*  8 */
    vu_put_u32(w, m->count);                   /* 12 */
    vu_put_bytes(w, m->data, sizeof(m->data)); /* 16 */
    return vu_writer_ok(w);
}

int vu_decode_write_multi_entry(const struct vu_write_multi *m, uint64_t i,
                                struct vu_write_multi_entry *e)
{
    struct vu_reader r = vu_reader(m->entries.data, m->entries.len);

    if (i >= m->entries.len / VU_WRITE_MULTI_ENTRY_SIZE)
        return -EBADMSG;
    vu_get_span(&r, i * VU_WRITE_MULTI_ENTRY_SIZE);
    e->offset = vu_get_u64(&r);            /*  0 */
    e->region = vu_get_u32(&r);            /*  8 */
    e->count = vu_get_u32(&r);             /* 12 */
    vu_take(&r, e->data, sizeof(e->data)); /* 16 */
    return vu_reader_ok(&r);
}
