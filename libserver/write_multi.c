/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * REGION_WRITE_MULTI: many small writes in one message, for a client whose queue has
 * grown long. Each entry is a REGION_WRITE of 1 to 8 bytes, carried out in order.
 *
 * An entry that fails ends the command. The reply tells how many were carried out
 * before it; if it was the first the command fails with that entry's errno, since
 * nothing has happened. Quiesce is asked once for the whole message.
 */
#include "libserver/region.h"

#include <errno.h>
#include <stdalign.h>

#include "libserver/context.h"
#include "libserver/dispatch.h"

#define MAX_ENTRY_COUNT 8u      /* bytes that an entry has room for */

static int write_entry(struct vfu_ctx *ctx, const struct vu_write_multi *m, uint64_t i)
{
    alignas(max_align_t) struct vu_write_multi_entry e;
    struct vu_region_access a;
    int err = vu_decode_write_multi_entry(m, i, &e);

    if (err != 0)
        return err;
    if (e.count == 0 || e.count > MAX_ENTRY_COUNT)
        return vus_refuse(ctx, -EINVAL, "REGION_WRITE_MULTI: entry of %u bytes", e.count);
    a = (struct vu_region_access){
        .offset = e.offset,
        .region = e.region,
        .count = e.count,
        .data = { e.data, e.count },
    };
    return vus_region_write_one(ctx, &a);
}

int vus_on_write_multi(struct vfu_ctx *ctx, struct vu_message *m, struct vus_reply *reply)
{
    struct vu_reader r = vu_reader(m->body, m->body_len);
    struct vu_write_multi req, done = { .count = 0 };
    struct vu_writer w;
    int err;

    if (!ctx->session.write_multiple)
        return vus_refuse(ctx, -EINVAL, "REGION_WRITE_MULTI was not agreed on");
    err = vu_decode_write_multi(&r, &req);
    if (err != 0)
        return vus_refuse(ctx, err, "REGION_WRITE_MULTI: length and count disagree");
    while (done.count < req.count && err == 0) {
        err = write_entry(ctx, &req, done.count);
        done.count += err == 0;
    }
    if (err != 0 && done.count == 0)
        return err;
    w = vus_reply_body(reply, VU_WRITE_MULTI_SIZE);
    return vu_encode_write_multi(&w, &done);
}

bool vus_write_multi_quiesces(const struct vfu_ctx *ctx, const struct vu_message *m)
{
    struct vu_reader r = vu_reader(m->body, m->body_len);
    struct vu_write_multi req;
    struct vu_write_multi_entry e;

    if (!ctx->session.write_multiple || vu_decode_write_multi(&r, &req) != 0)
        return false;
    for (uint64_t i = 0; i < req.count; i++) {
        if (vu_decode_write_multi_entry(&req, i, &e) == 0 &&
            e.region == VFU_PCI_DEV_CFG_REGION_IDX &&
            vus_pci_write_needs_quiesce(ctx, e.offset))
            return true;
    }
    return false;
}
