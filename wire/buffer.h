/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A growing array of bytes with an upper bound: what is waiting to be sent.
 *
 * Handlers of a request write their reply straight into the connection's
 * buffer, so a reply costs no allocation once the buffer has its size.
 */
#ifndef VU_WIRE_BUFFER_H
#define VU_WIRE_BUFFER_H

#include <stddef.h>
#include <stdint.h>

struct vu_buffer {
    uint8_t *data; /* owned */
    size_t len;    /* bytes in use */
    size_t room;   /* bytes allocated */
    size_t limit;  /* len never grows beyond this; may be changed at any time */
};

void vu_buffer_init(struct vu_buffer *b, size_t limit);
/* Frees what it holds; it is then empty and may be used again. */
void vu_buffer_done(struct vu_buffer *b);

/* Append len bytes, uninitialised; returns where they start (never NULL, also
 * for len 0), or NULL: beyond the limit (errno ENOBUFS) or out of memory
 * (ENOMEM), with the buffer as it was. Earlier pointers into the buffer are void
 * after this. */
uint8_t *vu_buffer_extend(struct vu_buffer *b, size_t len);

/* Forget everything from len on. */
void vu_buffer_truncate(struct vu_buffer *b, size_t len);

#endif
