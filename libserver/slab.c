/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Slabs, see slab.h. A reader may be using the list while it grows, so lists that
 * became too small are kept until the end; together they are as long as the last.
 */
#include "libserver/slab.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 4u

/* Room for one more slab in the list. 0 or -ENOMEM. */
static int make_room(struct vus_slabs *s)
{
    void **old = vus_slabs_list(s);
    uint32_t room = s->room == 0 ? FIRST_ROOM : 2 * s->room;
    void **list;

    if (s->n < s->room)
        return 0;
    list = calloc((size_t)room + 1, sizeof(*list));
    if (list == NULL)
        return -ENOMEM;
    *list++ = old;
    if (old != NULL)
        memcpy(list, old, s->n * sizeof(*list));
    atomic_store_explicit(&s->list, list, memory_order_release);
    s->room = room;
    return 0;
}

int vus_slabs_add(struct vus_slabs *s, size_t align, size_t bytes, uint32_t limit)
{
    void *slab;

    if (s->n >= limit || make_room(s) != 0 || posix_memalign(&slab, align, bytes) != 0)
        return -ENOMEM;
    vus_slabs_list(s)[s->n++] = slab;
    return 0;
}

void vus_slabs_done(struct vus_slabs *s)
{
    void **list = vus_slabs_list(s);

    for (uint32_t i = 0; i < s->n; i++)
        free(list[i]);
    while (list != NULL) {
        void **older = list[-1];

        free(list - 1);
        list = older;
    }
    *s = (struct vus_slabs){ .n = 0 };
}
