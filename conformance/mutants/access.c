/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mutant server's region accesses, and the commands that have little to do.
 */
#include "conformance/mutants/commands.h"

#include <errno.h>
#include <string.h>

#include "conformance/mutants/faults.h"

static int read_region(struct ct_client *c, struct vu_region_access *a,
                       struct ct_reply *r)
{
    struct ct_device *d = &c->server->device;
    uint32_t said = a->count;
    uint8_t *data;
    int err;

    if (fault(count_over_limit) && a->count > CT_MAX_XFER) {
        uint64_t size = a->region < d->num_regions ? d->regions[a->region].size : 0;

        if (a->offset < size)
            a->count = (uint32_t)(size - a->offset < CT_MAX_XFER ? size - a->offset
                                                                 : CT_MAX_XFER);
    }
    if (a->count > CT_MAX_XFER || (fault(count_at_limit) && a->count > 65536))
        return -EINVAL;
    if (fault(read_count) && a->region == VU_PCI_CONFIG && a->count == 64)
        said = 63;
    vu_put_u64(&r->w, a->offset);
    vu_put_u32(&r->w, fault(read_region) && a->count == 64 ? 0 : a->region);
    vu_put_u32(&r->w, said);
    data = vu_put_room(&r->w, a->count);
    if (data == NULL)
        return -EINVAL;
    err = ct_device_read(d, a->region, a->offset, data, a->count);
    if (err != 0 &&
        (a->region != 0 || a->offset >= CT_PAGE || a->count > CT_PAGE - a->offset))
        r->w.len = 0; /* the device did not refuse, we did */
    if (err == 0 && a->count == 0 && fault(empty_reply))
        r->w.len = 0;
    return err;
}

int ct_on_region_read(struct ct_client *c, struct vu_message *m, struct ct_reply *r)
{
    struct vu_reader body = ct_body_of(m);
    struct vu_region_access a;
    int err = vu_decode_region_access(&body, &a);

    for (size_t i = 0; fault(read_fd_kept) && i < m->n_fds; i++)
        vu_message_take_fd(m, i);
    return err != 0 ? err : read_region(c, &a, r);
}

/* The length of the data decides, whatever count says. */
static bool takes_any_length(const struct vu_message *m, struct vu_region_access *a)
{
    struct vu_reader body = ct_body_of(m);

    if (vu_decode_region_access(&body, a) != 0)
        return false;
    if (body.left < a->count ? !fault(write_short) : !fault(write_surplus))
        return false;
    a->data = (struct vu_bytes){ .data = body.pos, .len = body.left };
    a->count = (uint32_t)body.left;
    return true;
}

int ct_on_region_write(struct ct_client *c, struct vu_message *m, struct ct_reply *r)
{
    struct vu_reader body = ct_body_of(m);
    struct vu_region_access a;
    int err = vu_decode_region_data(&body, &a);

    if (err != 0 && !takes_any_length(m, &a))
        return err;
    if (a.count > CT_MAX_XFER)
        return -EINVAL;
    err = ct_device_write(&c->server->device, a.region, a.offset, a.data.data, a.count);
    if (err != 0)
        return err;
    if (a.count == 0 && fault(empty_reply))
        return 0;
    if (!fault(write_data))
        a.data = (struct vu_bytes){ 0 };
    return vu_encode_region_access(&r->w, &a);
}

int ct_on_dma_read(struct ct_client *c, struct vu_message *m, struct ct_reply *r)
{
    struct vu_reader body = ct_body_of(m);
    struct vu_dma_access a;
    uint8_t *data;
    int err = vu_decode_dma_access(&body, &a);

    (void)c;
    if (err != 0 || !fault(dma_read_served) || a.count > CT_PAGE)
        return -EINVAL;
    vu_encode_dma_access(&r->w, &a);
    data = vu_put_room(&r->w, a.count);
    memset(data, 0, a.count);
    return 0;
}

int ct_on_refused(struct ct_client *c, struct vu_message *m, struct ct_reply *r)
{
    (void)c;
    (void)m;
    (void)r;
    return -EINVAL;
}

int ct_on_reset(struct ct_client *c, struct vu_message *m, struct ct_reply *r)
{
    (void)m;
    (void)r;
    if (fault(reset_refused) || manner(bare))
        return -EINVAL;
    ct_device_reset(&c->server->device);
    c->server->device.resets++;
    return 0;
}

int ct_on_write_multi(struct ct_client *c, struct vu_message *m, struct ct_reply *r)
{
    struct vu_reader body = ct_body_of(m);
    struct vu_write_multi req, done = { 0 };
    int err = vu_decode_write_multi(&body, &req);

    if (err != 0)
        return err;
    if (!c->write_multiple)
        return -EINVAL;
    for (; done.count < req.count; done.count++) {
        struct vu_write_multi_entry e;

        vu_decode_write_multi_entry(&req, done.count, &e);
        if (e.count == 0 || e.count > sizeof(e.data) ||
            ct_device_write(&c->server->device, e.region, e.offset, e.data, e.count) != 0)
            break;
    }
    vu_put_u64(&r->w, done.count);
    return 0;
}

int ct_on_feature(struct ct_client *c, struct vu_message *m, struct ct_reply *r)
{
    (void)c;
    (void)r;
    return m->body_len < VU_FEATURE_SIZE ? -EINVAL : -ENOTTY;
}
