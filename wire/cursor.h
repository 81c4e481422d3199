/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cursors over the bytes of one message: the only way from bytes to values and
 * back.
 *
 * The first access that does not fit sets err and every later one does nothing
 * (a reader then gives zeros). So a codec handles all its fields in a row and
 * checks once at the end. All integers are in host byte order, as the protocol
 * has them; positions may be unaligned. Inline, because every message of both
 * libraries goes through here.
 */
#ifndef VU_WIRE_CURSOR_H
#define VU_WIRE_CURSOR_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes that lie elsewhere. Owns nothing. */
struct vu_bytes {
    const uint8_t *data;
    size_t len;
};

/* Bytes that a peer sent. Owns nothing. */
struct vu_reader {
    const uint8_t *pos;
    size_t left; /* bytes from pos to the end of the message */
    int err;     /* 0, or -EBADMSG */
};

static inline struct vu_reader vu_reader(const void *data, size_t len)
{
    return (struct vu_reader){ .pos = data, .left = len };
}

/* The next len bytes where they lie, or NULL when they do not fit (and for 0
 * bytes of an empty reader without a buffer, which is no error). */
static inline const uint8_t *vu_get_bytes(struct vu_reader *r, size_t len)
{
    const uint8_t *at = r->pos;

    if (r->err != 0 || len > r->left) {
        r->err = -EBADMSG;
        return NULL;
    }
    if (len != 0) { /* NULL + 0 is undefined */
        r->pos += len;
        r->left -= len;
    }
    return at;
}

static inline void vu_take(struct vu_reader *r, void *dst, size_t len)
{
    const uint8_t *at = vu_get_bytes(r, len);

    if (len == 0)
        return; /* memcpy and memset refuse NULL even then */
    if (at == NULL)
        memset(dst, 0, len);
    else
        memcpy(dst, at, len);
}

static inline uint8_t vu_get_u8(struct vu_reader *r)
{
    uint8_t v;

    vu_take(r, &v, sizeof(v));
    return v;
}

static inline uint16_t vu_get_u16(struct vu_reader *r)
{
    uint16_t v;

    vu_take(r, &v, sizeof(v));
    return v;
}

static inline uint32_t vu_get_u32(struct vu_reader *r)
{
    uint32_t v;

    vu_take(r, &v, sizeof(v));
    return v;
}

static inline uint64_t vu_get_u64(struct vu_reader *r)
{
    uint64_t v;

    vu_take(r, &v, sizeof(v));
    return v;
}

/* The next len bytes, in place; empty when they do not fit. len is as wide as
 * any length field, so that a caller need not narrow what a peer sent. */
static inline struct vu_bytes vu_get_span(struct vu_reader *r, uint64_t len)
{
    struct vu_bytes span = { NULL, 0 };

    if (len > r->left)
        r->err = -EBADMSG;
    if (r->err == 0) {
        span.data = vu_get_bytes(r, (size_t)len);
        span.len = (size_t)len;
    }
    return span;
}

/* Everything that is left. */
static inline struct vu_bytes vu_get_rest(struct vu_reader *r)
{
    return vu_get_span(r, r->left);
}

/* 0 when everything read so far was there, else -EBADMSG. */
static inline int vu_reader_ok(const struct vu_reader *r)
{
    return r->err;
}

/* As vu_reader_ok(), and nothing may be left: for the messages whose length
 * the specification determines (REGION_WRITE, WRITE_MULTI, SET_IRQS BOOL). */
static inline int vu_reader_exact(const struct vu_reader *r)
{
    return r->err != 0 || r->left != 0 ? -EBADMSG : 0;
}

/* Room for bytes to send. Owns nothing. */
struct vu_writer {
    uint8_t *pos;
    size_t left; /* room from pos to the end of the buffer */
    size_t len;  /* bytes written so far */
    int err;     /* 0, or -ENOBUFS */
};

static inline struct vu_writer vu_writer(void *buf, size_t room)
{
    return (struct vu_writer){ .pos = buf, .left = room };
}

/* Room for len bytes that the caller fills, or NULL when they do not fit (and
 * for 0 bytes of a writer without a buffer, which is no error). */
static inline uint8_t *vu_put_room(struct vu_writer *w, size_t len)
{
    uint8_t *at = w->pos;

    if (w->err != 0 || len > w->left) {
        w->err = -ENOBUFS;
        return NULL;
    }
    if (len != 0) { /* NULL + 0 is undefined */
        w->pos += len;
        w->left -= len;
        w->len += len;
    }
    return at;
}

static inline void vu_put_bytes(struct vu_writer *w, const void *src, size_t len)
{
    uint8_t *at = vu_put_room(w, len);

    if (at != NULL && len != 0)
        memcpy(at, src, len);
}

static inline void vu_put_u8(struct vu_writer *w, uint8_t v)
{
    vu_put_bytes(w, &v, sizeof(v));
}

static inline void vu_put_u16(struct vu_writer *w, uint16_t v)
{
    vu_put_bytes(w, &v, sizeof(v));
}

static inline void vu_put_u32(struct vu_writer *w, uint32_t v)
{
    vu_put_bytes(w, &v, sizeof(v));
}

static inline void vu_put_u64(struct vu_writer *w, uint64_t v)
{
    vu_put_bytes(w, &v, sizeof(v));
}

/* A copy of span; zeroed room of that length when it has a length but no data. */
static inline void vu_put_span(struct vu_writer *w, struct vu_bytes span)
{
    uint8_t *at = vu_put_room(w, span.len);

    if (at == NULL || span.len == 0)
        return;
    if (span.data == NULL)
        memset(at, 0, span.len);
    else
        memcpy(at, span.data, span.len);
}

/* 0 when everything fitted, else -ENOBUFS. */
static inline int vu_writer_ok(const struct vu_writer *w)
{
    return w->err;
}

#endif
