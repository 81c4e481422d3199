/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptors for parts of a region: an optional, faster way to the server than messages,
 * meant for a hypervisor. They are only handed on, nothing here uses them.
 *
 * The specification leaves the size of an entry to the reply: what follows its fixed
 * part, divided by the number of entries. It prints entries of 40 bytes. Deployed servers
 * send 48, with two fields for shadow memory in between, so that the datamatch lies
 * elsewhere.
 */
#include "libclient/region.h"

#include <stdlib.h>

#include "libclient/call.h"

#define SHADOW_ENTRY_SIZE 48u
#define SHADOW_DATAMATCH  40u   /* its offset there */
#define NO_FD UINT32_MAX        /* fd_index of an entry without a descriptor */

/* Room for 32 entries: nobody has seen more, and the question may be repeated. */
#define FIRST_ARGSZ (VU_REGION_IO_FDS_SIZE + 32 * VU_IO_FD_ENTRY_SIZE)

/* ---------------------------------------------------------------- entries -- */

/* A reply that is being taken apart. The functions below return 0, -ENOMEM, -EMFILE, or
 * -EPROTO with .why set. */
struct reading {
    struct vu_message *reply;
    const struct vu_region_io_fds *m;
    uint64_t stride;            /* bytes of an entry */
    uint64_t region_size;
    struct vuc_io_fds *io;      /* what came of it; released by the caller on failure */
    const char *why;
};

static int unsound(struct reading *in, const char *why)
{
    in->why = why;
    return -EPROTO;
}

static uint64_t datamatch(const struct reading *in, uint32_t i,
                          const struct vu_io_fd_entry *e)
{
    struct vu_reader r = vu_reader(in->m->entries.data, in->m->entries.len);

    if (in->stride != SHADOW_ENTRY_SIZE)
        return e->datamatch;
    vu_get_span(&r, i * in->stride + SHADOW_DATAMATCH);
    return vu_get_u64(&r);
}

static int read_entry(struct reading *in, uint32_t i)
{
    struct vfuc_io_fd *entry = &in->io->entries[i];
    struct vu_io_fd_entry e;

    if (vu_decode_io_fd_entry(in->m, i, &e) < 0)
        return unsound(in, "more entries than bytes for them");
    if (e.offset >= in->region_size || e.size > in->region_size - e.offset)
        return unsound(in, "an entry that leaves the region");
    *entry = (struct vfuc_io_fd){
        .offset = e.offset, .size = e.size, .data = datamatch(in, i, &e),
        .type = e.type, .flags = e.flags, .fd = -1,
    };
    if (e.fd_index == NO_FD)
        return 0;
    in->why = "an entry whose descriptor did not come";
    return vuc_fds_take(&in->io->fds, in->reply, e.fd_index, &entry->fd);
}

static int read_entries(struct reading *in)
{
    const struct vu_region_io_fds *m = in->m;
    uint32_t len;
    int err = 0;

    *in->io = (struct vuc_io_fds){ .known = true, .n = m->count };
    if (in->reply->body_len > m->argsz)
        return unsound(in, "more bytes than argsz says");
    len = m->argsz - VU_REGION_IO_FDS_SIZE;
    if (m->count > 0) {
        in->stride = len / m->count;
        if (in->stride < VU_IO_FD_ENTRY_SIZE || len % m->count != 0)
            return unsound(in, "argsz and count give no size of an entry");
    }
    /* calloc(0) may give NULL, which would look like a failure */
    in->io->entries = calloc((size_t)m->count + 1, sizeof(*in->io->entries));
    if (in->io->entries == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; err == 0 && i < m->count; i++)
        err = read_entry(in, i);
    return err;
}

/* Fill *io, and end the reply. On failure nothing is left of either. */
static int use_reply(struct vfuc_client *client, struct vu_message *reply,
                     const struct vu_region_io_fds *m, struct vuc_io_fds *io)
{
    struct reading in = {
        .reply = reply,
        .m = m,
        .region_size = client->regions[m->index].info.size,
        .io = io,
    };
    int err = read_entries(&in);

    if (err < 0)
        vuc_io_fds_done(io);
    if (err == -EPROTO)
        return vuc_broken_reply(client, reply, in.why);
    vu_message_done(reply);
    if (err == -EMFILE)
        vuc_note(client, "no room for the IO descriptors of region %u", m->index);
    if (err == -ENOMEM)
        vuc_note(client, "out of memory");
    return err;
}

/* --------------------------------------------------------------- question -- */

/* One question with room for *argsz bytes. 0: *io is filled. 1: more room is needed,
 * *argsz says how much. Negative: as vuc_call(). */
static int ask_io_fds(struct vfuc_client *client, uint32_t index, uint32_t *argsz,
                      struct vuc_io_fds *io)
{
    struct vu_region_io_fds m = { .argsz = *argsz, .index = index };
    struct vuc_request req;
    struct vu_message reply;
    struct vu_reader r;
    int err;

    vuc_request_init(&req, VU_DEVICE_GET_REGION_IO_FDS);
    vu_encode_region_io_fds(&req.body, &m);
    req.reply_max = *argsz;
    err = vuc_call(client, &req, &reply);
    if (err < 0)
        return err;
    r = vu_reader(reply.body, reply.body_len);
    vu_decode_region_io_fds(&r, &m);
    if (m.index != index)
        return vuc_broken_reply(client, &reply, "another region");
    if (m.argsz <= *argsz)
        return use_reply(client, &reply, &m, io);
    if (m.argsz > VUC_REGION_INFO_MAX)
        return vuc_broken_reply(client, &reply, "more entries than any region has");
    vu_message_done(&reply);
    *argsz = m.argsz;
    return 1;
}

static int ask_until_it_fits(struct vfuc_client *client, uint32_t index,
                             struct vuc_io_fds *io)
{
    uint32_t argsz = FIRST_ARGSZ;

    for (int i = 0; i < VUC_MAX_QUESTIONS; i++) {
        int err = ask_io_fds(client, index, &argsz, io);

        if (err <= 0)
            return err;
    }
    return vuc_broken(client, "DEVICE_GET_REGION_IO_FDS: argsz grows with every reply");
}

int vfuc_region_io_fds(struct vfuc_client *client, uint32_t index,
                       const struct vfuc_io_fd **entries)
{
    const struct vuc_region *known;
    struct vuc_region *region;
    struct vuc_io_fds answer;
    int err = vuc_region_known(client, index, &known);

    if (err < 0)
        return err;
    region = &client->regions[index];
    if (!region->io.known) {
        err = ask_until_it_fits(client, index, &answer);
        if (err < 0)
            return err;
        region->io = answer;
    }
    *entries = region->io.entries;
    return (int)region->io.n;
}

/* --------------------------------------------------- end of a connection -- */

void vuc_io_fds_lost(struct vuc_io_fds *io)
{
    vuc_fds_close(&io->fds);
    for (uint32_t i = 0; i < io->n; i++)
        io->entries[i].fd = -1;
}

static bool same_entries(const struct vuc_io_fds *a, const struct vuc_io_fds *b)
{
    if (a->n != b->n)
        return false;
    for (uint32_t i = 0; i < a->n; i++) {
        const struct vfuc_io_fd *x = &a->entries[i], *y = &b->entries[i];

        if (x->offset != y->offset || x->size != y->size || x->data != y->data
            || x->type != y->type || x->flags != y->flags)
            return false;
    }
    return true;
}

int vuc_io_fds_restore(struct vfuc_client *client, uint32_t index)
{
    struct vuc_io_fds *io = &client->regions[index].io;
    struct vuc_io_fds fresh = { .n = 0 };
    int err = ask_until_it_fits(client, index, &fresh);

    if (err < 0)
        return err;
    if (same_entries(io, &fresh)) {
        /* The caller may hold a pointer to the old array: it stays. */
        io->fds = fresh.fds;
        fresh.fds = (struct vuc_fds){ 0 };
        for (uint32_t i = 0; i < fresh.n; i++)
            io->entries[i].fd = fresh.entries[i].fd;
    } else {
        err = vuc_fail(client, -ESTALE, "region %u has other IO descriptors than before",
                       index);
    }
    vuc_io_fds_done(&fresh);
    return err;
}

void vuc_io_fds_done(struct vuc_io_fds *io)
{
    vuc_fds_close(&io->fds);
    free(io->entries);
    *io = (struct vuc_io_fds){ 0 };
}
