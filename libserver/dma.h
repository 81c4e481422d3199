/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA windows: which client addresses the device may touch, and through what.
 *
 * A client maps windows at start and seldom afterwards; the device looks one up
 * on every transfer. So windows sit in one array sorted by address: lookup is a
 * binary search, while inserting may move the rest of the array. Only dma.c
 * knows that it is an array.
 *
 * One thread changes the table: the one that runs the context. Others may look
 * up while it does not, which is what quiesce is for.
 */
#ifndef VUS_DMA_H
#define VUS_DMA_H

#include "libvfio-user.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/channel.h"

struct vus_reply;

/* The largest window in bytes: existing clients and tests expect this bound. */
#define VUS_MAX_WINDOW ((uint64_t)8 << 40)

struct vus_window {
    vfu_dma_info_t info;    /* does not move: the device keeps pointers to it */
    int fd;                 /* owned; for file I/O, else -1: a mapping needs none */
    struct vus_window *next;    /* in vus_dma.stuck */
};

/* One row of the sorted array: what a search touches, and no more. */
struct vus_dma_slot {
    uint64_t first;         /* guest addresses, both included: a window may end */
    uint64_t last;          /* at the last address there is */
    struct vus_window *window;  /* owned */
};

struct vus_dma {
    bool enabled;           /* vfu_setup_device_dma() was called */
    size_t max;             /* windows that the device allows */
    vfu_dma_register_cb_t *on_register;
    vfu_dma_unregister_cb_t *on_unregister;
    struct vus_dma_slot *array;     /* owned */
    size_t room;            /* slots allocated */
    size_t head;            /* slots[0] is array[head]: taking the first is cheap */
    size_t n;
    struct vus_window *stuck;   /* owned: gone for everybody, but the kernel could not
                                 * unmap them (its limit on mappings); tried again */
};

/* A piece of one window, as users see its layout (40 bytes). */
struct dma_sg {
    vfu_dma_addr_t dma_addr;    /* of the window, not of the piece */
    struct vus_window *region;  /* NULL: not a valid entry */
    uint64_t length;
    uint64_t offset;            /* of the piece in the window */
    bool writeable;
};

/* Unregister and release every window, lowest address first. */
void vus_dma_drop_all(struct vfu_ctx *ctx);
/* Free the empty table. */
void vus_dma_done(struct vus_dma *dma);

/* Handlers of commands, see libserver/dispatch.h. */
int vus_on_dma_map(struct vfu_ctx *ctx, struct vu_message *m, struct vus_reply *reply);
int vus_on_dma_unmap(struct vfu_ctx *ctx, struct vu_message *m, struct vus_reply *reply);
bool vus_dma_quiesces(const struct vfu_ctx *ctx, const struct vu_message *m);

#endif
