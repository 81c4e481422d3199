/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which answer belongs to which request, and whether it fits.
 */
#include "libserver/request.h"

#include <errno.h>
#include <string.h>

#define MAX_ERRNO 4095u     /* what a client's errno may be, as in the kernel */

static struct vus_dma_request *find(const struct vus_requests *rs, uint16_t id)
{
    struct vus_dma_request *r = rs->first;

    while (r != NULL && r->id != id)
        r = r->next;
    return r;
}

/* Where it is among the abandoned; n_abandoned: it is not. */
static size_t find_abandoned(const struct vus_requests *rs, uint16_t id)
{
    size_t i = 0;

    while (i < rs->n_abandoned && rs->abandoned[i] != id)
        i++;
    return i;
}

static bool forget_abandoned(struct vus_requests *rs, uint16_t id)
{
    size_t i = find_abandoned(rs, id);

    if (i == rs->n_abandoned)
        return false;
    rs->abandoned[i] = rs->abandoned[--rs->n_abandoned];
    return true;
}

static bool abandon(struct vus_requests *rs, uint16_t id)
{
    if (rs->n_abandoned == VUS_MAX_ABANDONED)
        return false;
    rs->abandoned[rs->n_abandoned++] = id;
    return true;
}

/* Few of the 65536 are in use, so this ends soon. */
static uint16_t free_id(struct vus_requests *rs)
{
    uint16_t id = rs->next_id;

    while (find_abandoned(rs, id) != rs->n_abandoned || find(rs, id) != NULL)
        id++;
    rs->next_id = (uint16_t)(id + 1);
    return id;
}

void vus_requests_add(struct vus_requests *rs, struct vus_dma_request *r)
{
    struct vus_dma_request **at = &rs->first;

    while (*at != NULL)
        at = &(*at)->next;
    r->id = free_id(rs);
    r->next = NULL;
    r->done = false;
    *at = r;
}

static void remove_request(struct vus_requests *rs, struct vus_dma_request *r)
{
    struct vus_dma_request **at = &rs->first;

    while (*at != NULL && *at != r)
        at = &(*at)->next;
    if (*at != NULL)
        *at = r->next;
}

bool vus_requests_give_up(struct vus_requests *rs, struct vus_dma_request *r)
{
    remove_request(rs, r);
    return abandon(rs, r->id);
}

static void finish(struct vus_requests *rs, struct vus_dma_request *r, int64_t result)
{
    remove_request(rs, r);
    r->result = result;
    r->done = true;
}

/* What a successful answer moves: bytes, or -EINVAL when it does not fit. */
static int64_t take_data(const struct vus_dma_request *r, const struct vu_message *m)
{
    struct vu_reader in = vu_reader(m->body, m->body_len);
    bool reads = r->command == VU_DMA_READ;
    struct vu_dma_access a;
    int err = reads ? vu_decode_dma_data(&in, &a) : vu_decode_dma_write_reply(&in, &a);

    if (err != 0 || a.address != r->address || a.count == 0 || a.count > r->len)
        return -EINVAL;
    if (!reads)
        return m->body_len <= VU_DMA_ACCESS_SIZE ? (int64_t)a.count : -EINVAL;
    if (m->body_len != VU_DMA_ACCESS_SIZE + a.count)
        return -EINVAL;
    memcpy(r->data, a.data.data, a.count);
    return (int64_t)a.count;
}

static int64_t judge(const struct vus_dma_request *r, const struct vu_message *m)
{
    if (m->h.command != r->command)
        return -EPROTO;
    if ((m->h.flags & VU_F_ERROR) == 0)
        return take_data(r, m);
    return m->h.error >= 1 && m->h.error <= MAX_ERRNO ? -(int64_t)m->h.error : -EINVAL;
}

enum vus_answer vus_requests_answer(struct vus_requests *rs, const struct vu_message *m)
{
    struct vus_dma_request *r = find(rs, m->h.msg_id);

    if (r != NULL) {
        finish(rs, r, judge(r, m));
        return VUS_ANSWERED;
    }
    if (forget_abandoned(rs, m->h.msg_id))
        return VUS_LATE;
    r = rs->first;
    if (r == NULL)
        return VUS_UNASKED;
    if (!abandon(rs, r->id))
        return VUS_OWES;
    finish(rs, r, -EPROTO);
    return VUS_STRAY;
}

void vus_request_head(const struct vus_dma_request *r, uint8_t at[VUS_REQUEST_HEAD])
{
    struct vu_writer w = vu_writer(at, VUS_REQUEST_HEAD);
    const struct vu_header h = {
        .msg_id = r->id,
        .command = r->command,
        .size = (uint32_t)(VUS_REQUEST_HEAD + (r->command == VU_DMA_WRITE ? r->len : 0)),
    };
    const struct vu_dma_access a = { .address = r->address, .count = r->len };

    vu_encode_header(&w, &h);
    vu_encode_dma_access(&w, &a);
}
