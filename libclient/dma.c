/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA windows: which memory of ours the device may reach.
 *
 * The server keeps the table; we only count, so that the limit it stated is kept.
 */
#include "libclient/call.h"

static int check_window(struct vfuc_client *client, const struct vu_dma_map *m, int fd)
{
    if (m->size == 0 || m->size - 1 > UINT64_MAX - m->address)
        return vuc_fail(client, -EINVAL, "a window is not empty and ends at 2^64");
    if ((m->flags & ~(VFUC_DMA_READ | VFUC_DMA_WRITE)) != 0)
        return vuc_fail(client, -EINVAL, "unknown flags 0x%x", m->flags);
    if (fd < -1 || (fd == -1 && m->offset != 0))
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
    if (client->n_windows >= client->limits.max_dma_maps)
        return vuc_fail(client, -ENOSPC, "the server holds %llu windows, its limit",
                        (unsigned long long)client->n_windows);
    return 0;
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
    struct vuc_request req;
    int err = check_window(client, &m, fd);

    if (err == 0)
        err = check_limits(client, fd);
    if (err < 0)
        return err;
    vuc_request_init(&req, VU_DMA_MAP);
    vu_encode_dma_map(&req.body, &m);
    req.fds = &fd;
    req.n_fds = fd == -1 ? 0 : 1;
    err = vuc_call_plain(client, &req);
    if (err == 0)
        client->n_windows++;
    return err;
}

static int unmap(struct vfuc_client *client, uint32_t flags, uint64_t address,
                 uint64_t size)
{
    struct vu_dma_unmap m = {
        .argsz = VU_DMA_UNMAP_SIZE,
        .flags = flags,
        .address = address,
        .size = size,
    };
    struct vuc_request req;
    struct vu_message reply;
    struct vu_reader r;
    int err;

    vuc_request_init(&req, VU_DMA_UNMAP);
    vu_encode_dma_unmap(&req.body, &m);
    req.reply_max = VU_DMA_UNMAP_SIZE;
    err = vuc_call(client, &req, &reply);
    if (err < 0)
        return err;
    r = vu_reader(reply.body, reply.body_len);
    /* A reply that claims to bring a bitmap is longer than we let in. */
    if (vu_decode_dma_unmap_reply(&r, &m) < 0)
        return vuc_broken_reply(client, &reply, "a bitmap that we did not ask for");
    /* The size that answers "all" is not settled: nothing, or what was unmapped. */
    if (m.address != address || (m.size != size && flags == 0))
        return vuc_broken_reply(client, &reply, "another window");
    vu_message_done(&reply);
    return 0;
}

int vfuc_dma_unmap(struct vfuc_client *client, uint64_t address, uint64_t size)
{
    int err;

    if (size == 0)
        return vuc_fail(client, -EINVAL, "a window is not empty");
    err = unmap(client, 0, address, size);
    /* A server that confirms what never was does not make the count wrap around. */
    if (err == 0 && client->n_windows > 0)
        client->n_windows--;
    return err;
}

int vfuc_dma_unmap_all(struct vfuc_client *client)
{
    int err = unmap(client, VU_DMA_UNMAP_ALL, 0, 0);

    if (err == 0)
        client->n_windows = 0;
    return err;
}
