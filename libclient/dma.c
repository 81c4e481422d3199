/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA windows: telling the server which memory of ours it may reach, and that it may no
 * more.
 *
 * Our table (windows.h) and the server's are the same but while a message is on its way:
 * we have a window as long as the server may have it.
 */
#include "libclient/call.h"

#define KNOWN_FLAGS \
    (VFUC_DMA_READ | VFUC_DMA_WRITE | VFUC_DMA_MMAP | VFUC_DMA_FILE_IO)

/* Which window a submitted command is about. */
struct subject {
    uint64_t address;
    uint64_t size;
    uint64_t id;        /* 0: none that we know */
};

/* ----------------------------------------------------------------- mapping -- */

static int check_window(struct vfuc_client *client, const struct vu_dma_map *m, int fd)
{
    if (m->size == 0 || m->size - 1 > UINT64_MAX - m->address)
        return vuc_fail(client, -EINVAL, "a window is not empty and ends at 2^64");
    if ((m->flags & ~KNOWN_FLAGS) != 0)
        return vuc_fail(client, -EINVAL, "unknown flags 0x%x", m->flags);
    if (fd == -1 && m->offset != 0)
        return vuc_fail(client, -EINVAL, "an offset without a descriptor");
    if (m->offset > INT64_MAX || m->size > (uint64_t)INT64_MAX - m->offset)
        return fd == -1 ? 0 : vuc_fail(client, -EINVAL, "no file is that long");
    return 0;
}

static int check_limits(struct vfuc_client *client, int fd)
{
    int err = fd == -1 ? 0 : vuc_check_fd(client, fd);

    if (err < 0)
        return err;
    if (fd != -1 && client->limits.max_msg_fds == 0)
        return vuc_fail(client, -ENOTSUP, "the server takes no descriptors");
    if (client->windows.count >= client->limits.max_dma_maps)
        return vuc_fail(client, -ENOSPC, "the server holds %llu windows, its limit",
                        (unsigned long long)client->windows.count);
    return 0;
}

/* Enter it. *id is the window's. */
static int add_window(struct vfuc_client *client, const struct vu_dma_map *m,
                      void *memory, int fd, uint64_t *id)
{
    struct vuc_window window = {
        .at = { m->address, m->address + (m->size - 1) },
        .flags = m->flags,
        .memory = memory,
        .offset = m->offset,
    };
    int err = vuc_windows_add(&client->windows, &window, fd, id);

    switch (err) {
    case -EEXIST:
        return vuc_fail(client, err, "the window overlaps one that is mapped");
    case -EBADF:
        return vuc_fail(client, err, "descriptor %d is not open", fd);
    case -EMFILE:
        return vuc_fail(client, err, "no room for a copy of descriptor %d", fd);
    case -ENOMEM:
        return vuc_fail(client, err, "no memory for a window");
    default:
        return err;
    }
}

/* Everything but the sending; *fd is lent by the request. */
static int start_map(struct vfuc_client *client, const struct vu_dma_map *m, void *memory,
                     const int *fd, struct vuc_request *req, uint64_t *id)
{
    int err = vuc_usable(client);

    if (err == 0)
        err = check_window(client, m, *fd);
    if (err == 0)
        err = check_limits(client, *fd);
    if (err == 0)
        err = add_window(client, m, memory, *fd, id);
    if (err < 0)
        return err;
    vuc_request_init(req, VU_DMA_MAP);
    vu_encode_dma_map(&req->body, m);
    req->fds = fd;
    req->n_fds = *fd == -1 ? 0 : 1;
    return 0;
}

static int map(struct vfuc_client *client, const struct vu_dma_map *m, void *memory,
               int fd)
{
    struct vuc_request req;
    uint64_t id = 0;
    int err = start_map(client, m, memory, &fd, &req, &id);

    if (err < 0)
        return err;
    err = vuc_call_plain(client, &req);
    if (err < 0)
        vuc_windows_remove(&client->windows, m->address, id);
    return err;
}

int vfuc_dma_map(struct vfuc_client *client, uint64_t address, uint64_t size,
                 uint32_t flags, int fd, uint64_t offset)
{
    struct vu_dma_map m = {
        .argsz = VU_DMA_MAP_SIZE,
        .flags = flags,
        .offset = offset,
        .address = address,
        .size = size,
    };

    return map(client, &m, NULL, fd);
}

int vfuc_dma_map_memory(struct vfuc_client *client, uint64_t address, uint64_t size,
                        uint32_t flags, void *memory, int fd, uint64_t offset)
{
    struct vu_dma_map m = {
        .argsz = VU_DMA_MAP_SIZE,
        .flags = flags,
        .offset = offset,
        .address = address,
        .size = size,
    };

    if (memory == NULL)
        return vuc_fail(client, -EINVAL, "there is no memory at NULL");
    return map(client, &m, memory, fd);
}

void vfuc_set_dma_handlers(struct vfuc_client *client, vfuc_dma_read_fn *read,
                           vfuc_dma_write_fn *write, void *opaque)
{
    client->windows.read = read;
    client->windows.write = write;
    client->windows.opaque = opaque;
}

/* --------------------------------------------------------------- unmapping -- */

static void unmap_request(struct vuc_request *req, const struct vu_dma_unmap *m)
{
    vuc_request_init(req, VU_DMA_UNMAP);
    vu_encode_dma_unmap(&req->body, m);
    req->reply_max = (uint32_t)(req->body.len + m->bitmap_size);
}

/* The reply repeats the request. On success it is not ended. */
static int check_unmapped(struct vfuc_client *client, const struct vu_dma_unmap *asked,
                          struct vu_message *reply, struct vu_dma_unmap *got)
{
    struct vu_reader r = vu_reader(reply->body, reply->body_len);
    int err = vu_decode_dma_unmap_reply(&r, got);

    if ((asked->flags & VU_DMA_UNMAP_GET_DIRTY_BITMAP) == 0) {
        /* A reply that claims to bring a bitmap is longer than we let in. */
        if (err < 0)
            return vuc_broken_reply(client, reply, "a bitmap that we did not ask for");
    } else if (err < 0 || got->bitmap.len != asked->bitmap_size) {
        return vuc_broken_reply(client, reply, "it lacks the bitmap");
    } else if (got->pgsize != asked->pgsize) {
        return vuc_broken_reply(client, reply, "a bitmap of other pages");
    }
    /* The size that answers "all" is not settled: nothing, or what was unmapped. */
    if (got->address != asked->address
        || (got->size != asked->size && (asked->flags & VU_DMA_UNMAP_ALL) == 0))
        return vuc_broken_reply(client, reply, "another window");
    return 0;
}

static int unmap(struct vfuc_client *client, const struct vu_dma_unmap *m)
{
    struct vu_dma_unmap got;
    struct vuc_request req;
    struct vu_message reply;
    int err;

    unmap_request(&req, m);
    err = vuc_call(client, &req, &reply);
    if (err == 0)
        err = check_unmapped(client, m, &reply, &got);
    if (err == 0)
        vu_message_done(&reply);
    return err;
}

/* What to unmap, checked, and which window of ours that is. */
static int start_unmap(struct vfuc_client *client, uint64_t address, uint64_t size,
                       struct vu_dma_unmap *m, struct subject *subject)
{
    const struct vuc_window *window;
    int err = vuc_usable(client);

    if (err < 0)
        return err;
    if (size == 0)
        return vuc_fail(client, -EINVAL, "a window is not empty");
    *m = (struct vu_dma_unmap){
        .argsz = VU_DMA_UNMAP_SIZE, .address = address, .size = size,
    };
    window = vuc_windows_exact(&client->windows, address, size);
    *subject = (struct subject){
        .address = address, .size = size, .id = window == NULL ? 0 : window->id,
    };
    return 0;
}

int vfuc_dma_unmap(struct vfuc_client *client, uint64_t address, uint64_t size)
{
    struct vu_dma_unmap m;
    struct subject subject;
    int err = start_unmap(client, address, size, &m, &subject);

    if (err == 0)
        err = unmap(client, &m);
    if (err == 0)
        vuc_windows_remove(&client->windows, address, subject.id);
    return err;
}

int vfuc_dma_unmap_all(struct vfuc_client *client)
{
    struct vu_dma_unmap m = { .argsz = VU_DMA_UNMAP_SIZE, .flags = VU_DMA_UNMAP_ALL };
    int err = unmap(client, &m);

    if (err == 0)
        vuc_windows_remove_all(&client->windows);
    return err;
}

/* --------------------------------------------------- unmapping with a report -- */

static int check_report(struct vfuc_client *client, uint64_t address, uint64_t size,
                        uint64_t page_size)
{
    if (!client->windows.written.on)
        return vuc_fail(client, -EINVAL, "DMA logging was not started");
    if (size - 1 > UINT64_MAX - address)
        return vuc_fail(client, -EINVAL, "a window ends at 2^64");
    if (vu_bitmap_size(size, page_size) < 0)
        return vuc_fail(client, -EINVAL, "a page size is a power of two");
    return 0;
}

static int ask_for_bitmap(struct vfuc_client *client, uint64_t page_size,
                          struct vu_dma_unmap *m)
{
    int64_t bytes = vu_bitmap_size(m->size, page_size);

    if (bytes + (int64_t)VU_DMA_UNMAP_BITMAP_SIZE > client->max_transfer)
        return vuc_fail(client, -E2BIG, "a message cannot carry %lld bytes of bitmap",
                        (long long)bytes);
    m->argsz = (uint32_t)(VU_DMA_UNMAP_BITMAP_SIZE + bytes);
    m->flags = VU_DMA_UNMAP_GET_DIRTY_BITMAP;
    m->pgsize = page_size;
    m->bitmap_size = (uint64_t)bytes;
    return 0;
}

static int unmap_by_server(struct vfuc_client *client, const struct vu_dma_unmap *m,
                           struct vfuc_dirty *dirty)
{
    struct vu_dma_unmap got;
    struct vuc_request req;
    struct vu_message reply;
    int err;

    unmap_request(&req, m);
    err = vuc_call(client, &req, &reply);
    if (err < 0)
        return err;
    err = check_unmapped(client, m, &reply, &got);
    if (err < 0)
        return err;
    vuc_dirty_merge(dirty, m->address, m->size, got.bitmap);
    vu_message_done(&reply);
    return 0;
}

/* Into a window without a descriptor nobody but us can write. */
static bool only_ours(const struct vfuc_client *client, const struct subject *s)
{
    const struct vuc_window *window =
        vuc_windows_exact(&client->windows, s->address, s->size);

    return window != NULL && window->file == NULL;
}

static int unmap_and_report(struct vfuc_client *client, const struct subject *s,
                            uint64_t page_size, struct vfuc_dirty *dirty)
{
    struct vu_dma_unmap m = {
        .argsz = VU_DMA_UNMAP_SIZE, .address = s->address, .size = s->size,
    };
    int err;

    if (only_ours(client, s)) {
        err = unmap(client, &m);
    } else {
        err = ask_for_bitmap(client, page_size, &m);
        if (err == 0)
            err = unmap_by_server(client, &m, dirty);
    }
    if (err < 0)
        return err;
    vuc_windows_report(&client->windows, dirty);
    vuc_windows_remove(&client->windows, s->address, s->id);
    return 0;
}

int vfuc_dma_unmap_dirty(struct vfuc_client *client, uint64_t address, uint64_t size,
                         uint64_t page_size, struct vfuc_dirty **dirty)
{
    struct vfuc_dirty *d;
    struct vu_dma_unmap m;
    struct subject subject;
    int err = start_unmap(client, address, size, &m, &subject);

    if (err == 0)
        err = check_report(client, address, size, page_size);
    if (err < 0)
        return err;
    d = vuc_dirty_new(address, size, page_size);
    if (d == NULL)
        return vuc_fail(client, -ENOMEM, "no memory for a bitmap");
    err = unmap_and_report(client, &subject, page_size, d);
    if (err < 0)
        vfuc_dirty_free(d);
    else
        *dirty = d;
    return err;
}

/* ---------------------------------------------------------- without waiting -- */

static int finish_map(struct vfuc_client *client, void *state, int err,
                      struct vu_message *reply, size_t *bytes)
{
    const struct subject *s = state;

    (void)bytes;
    if (err < 0)
        vuc_windows_remove(&client->windows, s->address, s->id);
    else
        vu_message_done(reply);
    return err;
}

int vfuc_submit_dma_map(struct vfuc_client *client, uint64_t address, uint64_t size,
                        uint32_t flags, int fd, uint64_t offset, uint64_t tag)
{
    struct vu_dma_map m = {
        .argsz = VU_DMA_MAP_SIZE,
        .flags = flags,
        .offset = offset,
        .address = address,
        .size = size,
    };
    struct subject s = { .address = address, .size = size };
    struct vuc_request req;
    int err = start_map(client, &m, NULL, &fd, &req, &s.id);

    if (err < 0)
        return err;
    err = vuc_submit(client, &req, finish_map, &s, sizeof(s), tag);
    if (err < 0)
        vuc_windows_remove(&client->windows, address, s.id);
    return err;
}

static int finish_unmap(struct vfuc_client *client, void *state, int err,
                        struct vu_message *reply, size_t *bytes)
{
    const struct subject *s = state;
    struct vu_dma_unmap asked = { .address = s->address, .size = s->size }, got;

    (void)bytes;
    if (err == 0)
        err = check_unmapped(client, &asked, reply, &got);
    if (err == 0)
        vu_message_done(reply);
    if (err == 0)
        vuc_windows_remove(&client->windows, s->address, s->id);
    else
        vuc_windows_stay(&client->windows, s->address, s->id);
    return err;
}

int vfuc_submit_dma_unmap(struct vfuc_client *client, uint64_t address, uint64_t size,
                          uint64_t tag)
{
    struct vu_dma_unmap m;
    struct vuc_request req;
    struct subject s;
    int err = start_unmap(client, address, size, &m, &s);

    if (err < 0)
        return err;
    unmap_request(&req, &m);
    vuc_windows_leave(&client->windows, address, s.id);
    err = vuc_submit(client, &req, finish_unmap, &s, sizeof(s), tag);
    if (err < 0)
        vuc_windows_stay(&client->windows, address, s.id);
    return err;
}

/* ------------------------------------------------------------ reconnecting -- */

static int map_again(struct vfuc_client *client, const struct vuc_window *window)
{
    struct vu_dma_map m = {
        .argsz = VU_DMA_MAP_SIZE,
        .flags = window->flags,
        .offset = window->offset,
        .address = window->at.first,
        .size = window->at.last - window->at.first + 1,
    };
    struct vuc_request req;

    if (window->file != NULL && client->limits.max_msg_fds == 0)
        return vuc_fail(client, -ESTALE, "the server takes no descriptors any more");
    vuc_request_init(&req, VU_DMA_MAP);
    vu_encode_dma_map(&req.body, &m);
    if (window->file != NULL) {
        req.fds = &window->file->fd;
        req.n_fds = 1;
    }
    return vuc_call_plain(client, &req);
}

int vuc_windows_restore(struct vfuc_client *client)
{
    const struct vuc_window *window;
    uint64_t from = 0;

    vuc_windows_stop_logging(&client->windows);
    while ((window = vuc_interval_lowest(&client->windows.tree, from, UINT64_MAX))
           != NULL) {
        int err = map_again(client, window);

        if (err < 0 || window->at.last == UINT64_MAX)
            return err;
        from = window->at.last + 1;
    }
    return 0;
}
