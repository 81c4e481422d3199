/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ioeventfds: added by the device, listed for the client, newest first.
 *
 * An entry for the client has the 40 bytes of the specification. Descriptors are
 * sent once each, however many entries share one. A client that takes fewer than
 * there are gets the entries whose descriptors it can take, and reaches the others
 * by REGION_WRITE, as without this command; so does one whose region has become
 * smaller than an entry says. When the list does not fit in the client's argsz, the
 * reply has argsz and count of the whole list and no entry.
 *
 * Shadow ioeventfds, an extension of builds with VFIO_USER_SHADOW_IOEVENTFD: the
 * value written goes to memory of the device, too. Their entry has 48 bytes, those of
 * struct vfio_user_sub_region_ioeventfd: the index of the memory's descriptor is where
 * others have padding, shadow_offset where others have datamatch, and that follows.
 * All entries of a list are of one size, so in a list with a shadow ioeventfd the
 * others have 48 bytes as well, with datamatch in both places: a client that reads the
 * specification's layout by the stride finds it, and one that knows shadow does.
 */
#include "libserver/ioeventfd.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "libserver/context.h"
#include "libserver/dispatch.h"

#ifdef VFIO_USER_SHADOW_IOEVENTFD
#define SHADOW true
#else
#define SHADOW false
#endif

#define MAX_ARGSZ      (1u << 20)   /* more is no client's mistake but an attempt */
#define NO_FD          UINT32_MAX   /* fd_index of an entry without a descriptor */
#define SHADOW_SIZE    (VU_IO_FD_ENTRY_SIZE + 8u)

/* ---------------------------------------------------------------- set-up -- */

static bool in_region(const struct vus_region *r, uint64_t offset, uint64_t size)
{
    return offset <= r->size && size <= r->size - offset;
}

static int add(struct vfu_ctx *ctx, uint32_t region, const struct vus_ioeventfd *what)
{
    _Atomic(struct vus_ioeventfd *) *newest;
    struct vus_ioeventfd *e;

    if (region >= VFU_PCI_DEV_NUM_REGIONS || (what->shadow_fd != -1 && !SHADOW) ||
        !in_region(&ctx->regions[region], what->offset, what->size))
        return -EINVAL;
    e = malloc(sizeof(*e));
    if (e == NULL)
        return -ENOMEM;
    newest = &ctx->ioeventfds.newest[region];
    *e = *what;
    e->next = atomic_load_explicit(newest, memory_order_relaxed);
    atomic_store_explicit(newest, e, memory_order_release);
    return 0;
}

int vfu_create_ioeventfd(vfu_ctx_t *ctx, uint32_t region_idx, int fd, size_t gpa_offset,
                         uint32_t size, uint32_t flags, uint64_t datamatch,
                         int shadow_fd, size_t shadow_offset)
{
    const struct vus_ioeventfd what = {
        .offset = gpa_offset,
        .datamatch = datamatch,
        .shadow_offset = shadow_offset,
        .size = size,
        .flags = flags,
        .fd = fd,
        .shadow_fd = shadow_fd,
    };
    int err;

    assert(ctx != NULL);
    err = add(ctx, region_idx, &what);
    if (err != 0)
        errno = -err;
    return err != 0 ? -1 : 0;
}

void vus_ioeventfds_done(struct vus_ioeventfds *list)
{
    for (size_t i = 0; i < VFU_PCI_DEV_NUM_REGIONS; i++) {
        struct vus_ioeventfd *e = atomic_exchange(&list->newest[i], NULL);

        while (e != NULL) {
            struct vus_ioeventfd *next = e->next;

            free(e);
            e = next;
        }
    }
}

/* ----------------------------------------------------------------- reply -- */

/* What one reply shows of a region's list. */
struct view {
    const struct vus_ioeventfd *first;
    const struct vus_region *region;
    int fds[VU_MAX_MSG_FDS];    /* lent, each once */
    size_t n_fds, max_fds;
    uint32_t count;             /* entries shown */
    uint32_t entry_size;
};

/* Where fd is in the reply's descriptors; n_fds: it is not there. */
static size_t find_fd(const struct view *v, int fd)
{
    size_t i = 0;

    while (i < v->n_fds && v->fds[i] != fd)
        i++;
    return i;
}

static uint32_t fd_index(const struct view *v, int fd)
{
    return fd != -1 ? (uint32_t)find_fd(v, fd) : NO_FD;
}

static bool known(const struct view *v, int fd)
{
    return fd == -1 || find_fd(v, fd) < v->n_fds;
}

static void include_fd(struct view *v, int fd)
{
    if (!known(v, fd))
        v->fds[v->n_fds++] = fd;
}

/* Descriptors that an entry would add to the reply. */
static size_t new_fds(const struct view *v, const struct vus_ioeventfd *e)
{
    return !known(v, e->fd) + (!known(v, e->shadow_fd) && e->shadow_fd != e->fd);
}

/* Decide which entries fit into a message of the client: the newest. */
static void choose(struct view *v)
{
    for (const struct vus_ioeventfd *e = v->first; e != NULL; e = e->next) {
        if (!in_region(v->region, e->offset, e->size) ||
            new_fds(v, e) > v->max_fds - v->n_fds)
            continue;
        include_fd(v, e->fd);
        include_fd(v, e->shadow_fd);
        if (e->shadow_fd != -1)
            v->entry_size = SHADOW_SIZE;
        v->count++;
    }
}

/* The choice again, now that all descriptors are known: an entry passed over has
 * one that is not there. */
static bool shown(const struct view *v, const struct vus_ioeventfd *e)
{
    return in_region(v->region, e->offset, e->size) && known(v, e->fd) &&
           known(v, e->shadow_fd);
}

static int put_entry(struct vu_writer *w, const struct view *v,
                     const struct vus_ioeventfd *e)
{
    bool shadow = e->shadow_fd != -1;
    const struct vu_io_fd_entry entry = {
        .offset = e->offset,
        .size = e->size,
        .fd_index = fd_index(v, e->fd),
        .type = shadow ? VU_IO_FD_IOEVENTFD_SHADOW : VU_IO_FD_IOEVENTFD,
        .flags = e->flags,
        .padding = shadow ? fd_index(v, e->shadow_fd) : 0,
        .datamatch = shadow ? e->shadow_offset : e->datamatch,
    };

    vu_encode_io_fd_entry(w, &entry);
    if (v->entry_size == SHADOW_SIZE)
        vu_put_u64(w, e->datamatch);
    return vu_writer_ok(w);
}

static int put_entries(struct vu_writer *w, const struct view *v,
                       struct vus_reply *reply)
{
    int err = 0;

    for (const struct vus_ioeventfd *e = v->first; e != NULL && err == 0; e = e->next) {
        if (shown(v, e))
            err = put_entry(w, v, e);
    }
    if (err != 0)
        return err;
    for (size_t i = 0; i < v->n_fds; i++)
        reply->fds[reply->n_fds++] = v->fds[i];
    return 0;
}

static int answer(const struct view *v, const struct vu_region_io_fds *req,
                  struct vus_reply *reply)
{
    uint64_t need = VU_REGION_IO_FDS_SIZE + (uint64_t)v->count * v->entry_size;
    bool fits = need <= req->argsz;
    const struct vu_region_io_fds head = {
        .argsz = need < UINT32_MAX ? (uint32_t)need : UINT32_MAX,
        .index = req->index,
        .count = v->count,
    };
    struct vu_writer w = vus_reply_body(reply, fits ? need : VU_REGION_IO_FDS_SIZE);
    int err = vu_encode_region_io_fds(&w, &head);

    return err == 0 && fits ? put_entries(&w, v, reply) : err;
}

static int check(struct vfu_ctx *ctx, const struct vu_region_io_fds *req)
{
    if (req->argsz < VU_REGION_IO_FDS_SIZE || req->argsz > MAX_ARGSZ)
        return vus_refuse(ctx, -EINVAL, "GET_REGION_IO_FDS: argsz %u", req->argsz);
    if (req->flags != 0 || req->count != 0)
        return vus_refuse(ctx, -EINVAL, "GET_REGION_IO_FDS: flags %#x, count %u",
                          req->flags, req->count);
    if (req->index >= VFU_PCI_DEV_NUM_REGIONS || ctx->regions[req->index].flags == 0)
        return vus_refuse(ctx, -EINVAL, "GET_REGION_IO_FDS: no region %u", req->index);
    return 0;
}

int vus_on_region_io_fds(struct vfu_ctx *ctx, struct vu_message *m,
                         struct vus_reply *reply)
{
    struct vu_reader r = vu_reader(m->body, m->body_len);
    struct vu_region_io_fds req;
    struct view v = {
        .max_fds = ctx->session.max_msg_fds < VU_MAX_MSG_FDS ? ctx->session.max_msg_fds
                                                             : VU_MAX_MSG_FDS,
        .entry_size = VU_IO_FD_ENTRY_SIZE,
    };
    int err = vu_decode_region_io_fds(&r, &req);

    if (err == 0)
        err = check(ctx, &req);
    if (err != 0)
        return err;
    v.region = &ctx->regions[req.index];
    v.first = atomic_load_explicit(&ctx->ioeventfds.newest[req.index],
                                   memory_order_acquire);
    choose(&v);
    return answer(&v, &req, reply);
}
