/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests of ours that wait for the client's answer: DMA_READ and DMA_WRITE.
 *
 * A request lives on the stack of the thread that waits; the list holds it until it
 * is answered or given up. An id that was given up is remembered until its answer
 * comes, late, so that it is not taken for another's. There are as many requests as
 * threads that wait, so a list does. Under the port's lock (libserver/port.h).
 */
#ifndef VUS_REQUEST_H
#define VUS_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/channel.h"

struct dma_sg;

/* A client that owes us more answers than this is as good as gone. */
#define VUS_MAX_ABANDONED 64u

/* One part of a transfer. */
struct vus_dma_request {
    uint16_t command;
    const struct dma_sg *sg;    /* lent: sent only while its window is there */
    uint64_t address;
    uint8_t *data;              /* lent */
    size_t len;

    /* The list's. */
    struct vus_dma_request *next;
    uint16_t id;
    bool done;
    int64_t result;             /* bytes, 0 < result <= len, or negative errno */
};

struct vus_requests {
    struct vus_dma_request *first;  /* oldest first */
    uint16_t next_id;
    size_t n_abandoned;
    uint16_t abandoned[VUS_MAX_ABANDONED];
};

/* Append, with an id of its own. */
void vus_requests_add(struct vus_requests *rs, struct vus_dma_request *r);

/* Nobody waits for it any more. False: the client owes too many answers. */
bool vus_requests_give_up(struct vus_requests *rs, struct vus_dma_request *r);

enum vus_answer {
    VUS_ANSWERED,       /* a request is done, with what the answer says */
    VUS_STRAY,          /* it answers nothing: the oldest request is done with -EPROTO */
    VUS_LATE,           /* its request was given up */
    VUS_UNASKED,        /* there are no requests */
    VUS_OWES,           /* stray, and the client owes too many answers */
};

/* A message of type reply has come. */
enum vus_answer vus_requests_answer(struct vus_requests *rs, const struct vu_message *m);

/* The request as a message: the header and what precedes the data, to `at`. */
#define VUS_REQUEST_HEAD (VU_HEADER_SIZE + VU_DMA_ACCESS_SIZE)
void vus_request_head(const struct vus_dma_request *r, uint8_t at[VUS_REQUEST_HEAD]);

#endif
