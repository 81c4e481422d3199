/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The growing byte array behind output. Doubles, so that n appends cost n
 * copies in all; a connection in steady state only moves len up and down.
 */
#include "wire/buffer.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_ROOM 256u /* bytes: a few small replies */

void vu_buffer_init(struct vu_buffer *b, size_t limit)
{
    *b = (struct vu_buffer){ .limit = limit };
}

void vu_buffer_done(struct vu_buffer *b)
{
    free(b->data);
    vu_buffer_init(b, b->limit);
}

/* Room for need bytes in all, need <= limit. 0 or -ENOMEM, nothing changed. */
static int grow(struct vu_buffer *b, size_t need)
{
    size_t room = b->room < FIRST_ROOM ? FIRST_ROOM : b->room;
    uint8_t *data;

    while (room < need && room <= b->limit / 2)
        room *= 2;
    if (room < need || room > b->limit)
        room = b->limit;
    data = realloc(b->data, room != 0 ? room : 1);
    if (data == NULL)
        return -ENOMEM;
    b->data = data;
    b->room = room;
    return 0;
}

uint8_t *vu_buffer_extend(struct vu_buffer *b, size_t len)
{
    uint8_t *at;

    if (b->len > b->limit || len > b->limit - b->len) {
        errno = ENOBUFS;
        return NULL;
    }
    if ((b->data == NULL || len > b->room - b->len) && grow(b, b->len + len) != 0) {
        errno = ENOMEM;
        return NULL;
    }
    at = b->data + b->len;
    b->len += len;
    return at;
}

void vu_buffer_truncate(struct vu_buffer *b, size_t len)
{
    if (len < b->len)
        b->len = len;
}
