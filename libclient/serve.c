/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answering DMA requests.
 *
 * A range may go over several windows if no hole is between them; all of it is looked up
 * before a byte is moved. What a window of lent memory holds is sent from where it lies;
 * everything else goes through the link's scratch, which is no larger than what we agreed
 * to take in one message.
 */
#include "libclient/serve.h"

#include "wire/command.h"

/* A request, as far as it was checked. */
struct access {
    struct vuc_windows *windows;
    struct vu_dma_access m;
    uint32_t need;              /* what its windows must allow */
};

/* The part of a range that one window has. */
struct piece {
    struct vuc_window *window;
    uint64_t address;
    uint64_t offset;            /* in the window */
    size_t len;
};

/* ------------------------------------------------------------------ pieces -- */

/* The piece at `done` bytes of the range. 0, -EFAULT, -EPERM. */
static int find_piece(const struct access *a, uint64_t done, struct piece *p)
{
    uint64_t address = a->m.address + done, left = a->m.count - done;
    struct vuc_window *w = vuc_interval_any(&a->windows->tree, address, address);

    if (w == NULL || w->leaving > 0)
        return -EFAULT;
    if ((w->flags & a->need) == 0)
        return -EPERM;
    if (left - 1 > w->at.last - address)
        left = w->at.last - address + 1;
    *p = (struct piece){ .window = w, .address = address,
                         .offset = address - w->at.first, .len = (size_t)left };
    return 0;
}

typedef int use_piece_fn(const struct access *a, const struct piece *p, uint8_t *data);

/* Call use for each piece in turn, with its part of data (NULL stays NULL). */
static int each_piece(const struct access *a, uint8_t *data, use_piece_fn *use)
{
    struct piece p;

    for (uint64_t done = 0; done < a->m.count; done += p.len) {
        int err = find_piece(a, done, &p);

        if (err == 0)
            err = use(a, &p, data == NULL ? NULL : data + done);
        if (err != 0)
            return err;
    }
    return 0;
}

static int only_look(const struct access *a, const struct piece *p, uint8_t *data)
{
    (void)a;
    (void)p;
    (void)data;
    return 0;
}

static int read_piece(const struct access *a, const struct piece *p, uint8_t *data)
{
    const struct vuc_window *w = p->window;

    if (w->memory != NULL) {
        memcpy(data, w->memory + p->offset, p->len);
        return 0;
    }
    if (w->file != NULL)
        return vuc_file_read(w->file, data, p->len, w->offset + p->offset);
    if (a->windows->read == NULL)
        return -ENODEV;
    memset(data, 0, p->len);    /* what lay there before is not for the server */
    return a->windows->read(a->windows->opaque, p->address, data, p->len);
}

static int write_piece(const struct access *a, const struct piece *p, uint8_t *data)
{
    const struct vuc_window *w = p->window;

    if (w->memory != NULL) {
        /* check() has seen the data. NOLINTNEXTLINE(clang-analyzer-core.NonNull*) */
        memcpy(w->memory + p->offset, data, p->len);
        return 0;
    }
    if (w->file != NULL)
        return vuc_file_write(w->file, data, p->len, w->offset + p->offset);
    if (a->windows->write == NULL)
        return -ENODEV;
    return a->windows->write(a->windows->opaque, p->address, data, p->len);
}

static int note_piece(const struct access *a, const struct piece *p, uint8_t *data)
{
    (void)data;
    return vuc_written_note(&a->windows->written, &p->window->at, p->address,
                            p->address + (p->len - 1));
}

/* ---------------------------------------------------------------- requests -- */

/* Where the message came is right, and so are its numbers. 0 or a negative errno. */
static int check(const struct vfuc_client *client, const struct vuc_link *link,
                 const struct vu_message *m, struct vu_dma_access *a)
{
    struct vu_reader r = vu_reader(m->body, m->body_len);

    if (m->n_fds > 0 || m->fds_lost)
        return -EINVAL;
    if (client->limits.twin_socket && link == &client->main)
        return -EINVAL;
    if (vu_decode_dma_access(&r, a) < 0)
        return -EINVAL;
    if (a->count > client->options.max_data_xfer_size)
        return -E2BIG;
    if (a->count > 0 && a->count - 1 > UINT64_MAX - a->address)
        return -EINVAL;
    if (m->h.command == VU_DMA_READ)
        return 0;
    r = vu_reader(m->body, m->body_len);
    return vu_decode_dma_data(&r, a) < 0 ? -EINVAL : 0;
}

static int answer(struct vuc_link *link, const struct vu_header *asked, int err,
                  const struct vu_dma_access *a, const uint8_t *data)
{
    uint8_t bytes[VU_DMA_ACCESS_SIZE];
    struct vu_writer w = vu_writer(bytes, sizeof(bytes));
    struct vu_dma_access fixed = { .address = a->address, .count = a->count };

    vu_encode_dma_access(&w, &fixed);
    return vuc_link_answer(link, asked, err == 0 ? 0 : vu_wire_errno(err), bytes,
                           sizeof(bytes), data, data == NULL ? 0 : (size_t)a->count);
}

/* The bytes of a range that lies in lent memory, in one window; or NULL. */
static const uint8_t *in_place(const struct access *a)
{
    struct piece p;

    if (a->m.count == 0 || find_piece(a, 0, &p) < 0 || p.len < a->m.count
        || p.window->memory == NULL)
        return NULL;
    return p.window->memory + p.offset;
}

static int serve_read(struct vuc_link *link, const struct vu_header *asked,
                      const struct access *a)
{
    const uint8_t *data = in_place(a);
    uint8_t *copy;
    int err;

    if (data != NULL)
        return answer(link, asked, 0, &a->m, data);
    err = each_piece(a, NULL, only_look);
    if (err != 0 || a->m.count == 0)
        return answer(link, asked, err, &a->m, NULL);
    copy = vuc_link_scratch(link, (size_t)a->m.count);
    err = copy == NULL ? -ENOMEM : each_piece(a, copy, read_piece);
    return answer(link, asked, err, &a->m, copy);
}

/* All of the range is looked up, and its pages are noted, before a byte is written: a
 * page too many in a report does no harm. */
static int serve_write(struct vuc_link *link, const struct vu_header *asked,
                       const struct access *a)
{
    uint8_t *data = (uint8_t *)(uintptr_t)a->m.data.data;
    int err = each_piece(a, NULL, note_piece);

    if (err == 0)
        err = each_piece(a, data, write_piece);
    return answer(link, asked, err, &a->m, NULL);
}

static int serve_access(struct vfuc_client *client, struct vuc_link *link,
                        const struct vu_message *m)
{
    struct vuc_windows *windows = &client->windows;
    struct access a = { .windows = windows };
    int err = check(client, link, m, &a.m);

    if (err < 0)
        return answer(link, &m->h, err, &a.m, NULL);
    pthread_mutex_lock(&windows->lock);
    if (m->h.command == VU_DMA_READ) {
        a.need = VFUC_DMA_READ;
        err = serve_read(link, &m->h, &a);
    } else {
        a.need = VFUC_DMA_WRITE;
        err = serve_write(link, &m->h, &a);
    }
    pthread_mutex_unlock(&windows->lock);
    return err;
}

int vuc_serve(struct vfuc_client *client, struct vuc_link *link, struct vu_message *m)
{
    int err;

    if (m->h.command == VU_DMA_READ || m->h.command == VU_DMA_WRITE)
        err = serve_access(client, link, m);
    else
        err = vuc_link_answer(link, &m->h, ENOTSUP, NULL, 0, NULL, 0);
    vu_message_done(m);
    return err;
}
