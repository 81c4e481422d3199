/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VERSION: the rules are those of the specification's chapter on version
 * negotiation. Runs once a connection, so nothing here must be fast.
 *
 * The reply states our limits always, since a client that is not told would
 * assume the defaults; features only when the client proposed them. It is short:
 * one client gives the reply no more room than its own proposal took.
 */
#include "libserver/negotiate.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libserver/context.h"
#include "libserver/dispatch.h"
#include "wire/caps.h"

#define REPLY_JSON_MAX 320u     /* bytes: limits and features as compact JSON */

void vus_session_init(struct vus_session *s)
{
    *s = (struct vus_session){
        .max_msg_fds = VU_DEFAULT_MAX_MSG_FDS,
        .max_data_xfer_size = VU_DEFAULT_MAX_DATA_XFER,
        .max_dma_maps = VU_DEFAULT_MAX_DMA_MAPS,
        .twin = -1,
        .twin_peer = -1,
    };
}

static void close_fd(int *fd)
{
    if (*fd != -1)
        close(*fd);
    *fd = -1;
}

void vus_session_done(struct vus_session *s)
{
    close_fd(&s->twin);
    close_fd(&s->twin_peer);
    vus_session_init(s);
}

void vus_session_sent(struct vus_session *s)
{
    close_fd(&s->twin_peer);
}

int vus_session_take_twin(struct vus_session *s)
{
    int fd = s->twin;

    s->twin = -1;
    return fd;
}

/* A second socket for DMA by message, if the client proposed one and takes descriptors.
 * Without one, those messages travel on the first. */
static void open_twin(struct vfu_ctx *ctx, struct vus_session *s,
                      const struct vu_caps *caps)
{
    int fds[2];

    if (!caps->has_twin_socket || !caps->twin_socket || caps->max_msg_fds == 0)
        return;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
        vfu_log(ctx, LOG_ERR, "no twin socket: %s", strerrorname_np(errno));
        return;
    }
    s->twin = fds[0];
    s->twin_peer = fds[1];
}

static uint64_t page_size(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* A limit that stops everything is as bad as a wrong one. */
static int check_caps(struct vfu_ctx *ctx, const struct vu_caps *caps)
{
    if (caps->max_msg_fds > VUS_CLIENT_MAX_MSG_FDS)
        return vus_refuse(ctx, -EINVAL, "VERSION: max_msg_fds is above %u",
                          VUS_CLIENT_MAX_MSG_FDS);
    if (caps->max_data_xfer_size == 0)
        return vus_refuse(ctx, -EINVAL, "VERSION: max_data_xfer_size is 0");
    if (vus_migratable(&ctx->migration) && caps->migration_pgsize != 0 &&
        caps->migration_pgsize != page_size())
        return vus_refuse(ctx, -EINVAL, "VERSION: migration.pgsize is %llu",
                          (unsigned long long)caps->migration_pgsize);
    return 0;
}

/* The lesser of the two sides' limits: what the client is told it gets. */
static uint64_t window_limit(const struct vfu_ctx *ctx, uint64_t proposed)
{
    return ctx->dma.enabled && ctx->dma.max < proposed ? ctx->dma.max : proposed;
}

static int print_caps(const struct vfu_ctx *ctx, const struct vus_session *s, char *json,
                      size_t room)
{
    struct vu_caps caps = {
        .has_max_msg_fds = true,
        .max_msg_fds = VUS_MAX_MSG_FDS,
        .has_max_data_xfer_size = true,
        .max_data_xfer_size = VUS_MAX_DATA_XFER,
        .has_max_dma_maps = ctx->dma.enabled && s->max_dma_maps != 0,
        .max_dma_maps = s->max_dma_maps,
        .has_write_multiple = s->write_multiple,
        .write_multiple = s->write_multiple,
        .has_migration = s->migration_pgsize != 0,
        .has_migration_pgsize = s->migration_pgsize != 0,
        .migration_pgsize = s->migration_pgsize,
        .has_twin_socket = s->twin != -1,
        .twin_socket = s->twin != -1,
        .has_fd_index = s->twin != -1,
        .fd_index = 0,
    };

    return vu_caps_print(&caps, json, room);
}

/* Body of the reply: 0 or negative errno. */
static int answer(struct vfu_ctx *ctx, const struct vus_session *s,
                  struct vus_reply *reply)
{
    char json[REPLY_JSON_MAX];
    int len = print_caps(ctx, s, json, sizeof(json));
    struct vu_version version = {
        .minor = s->minor,
        .data = { (const uint8_t *)json, (size_t)len },
    };
    struct vu_writer w;

    if (len < 0)
        return len;
    w = vus_reply_body(reply, VU_VERSION_SIZE + (size_t)len);
    return vu_encode_version(&w, &version);
}

int vus_on_version(struct vfu_ctx *ctx, struct vu_message *m, struct vus_reply *reply)
{
    struct vu_reader r = vu_reader(m->body, m->body_len);
    struct vu_version version;
    struct vus_session s;
    struct vu_caps caps;
    char why[128];
    int err = vu_decode_version(&r, &version);

    if (err != 0)
        return vus_refuse(ctx, err, "VERSION: %zu bytes are too short", m->body_len);
    if (version.major != 0)
        return vus_refuse(ctx, -EINVAL, "VERSION: major %u is unknown", version.major);
    err = vu_caps_parse(&caps, version.data.data, version.data.len, why, sizeof(why));
    if (err != 0)
        return vus_refuse(ctx, err, "VERSION: %s", why);
    vu_caps_default(&caps);
    err = check_caps(ctx, &caps);
    if (err != 0)
        return err;

    s = (struct vus_session){
        .negotiated = true,
        .minor = version.minor < VUS_VERSION_MINOR ? version.minor : VUS_VERSION_MINOR,
        .max_msg_fds = caps.max_msg_fds,
        .max_data_xfer_size = caps.max_data_xfer_size,
        .max_dma_maps = window_limit(ctx, caps.max_dma_maps),
        .write_multiple = caps.write_multiple,
        .migration_pgsize = caps.has_migration && vus_migratable(&ctx->migration)
                                ? page_size() : 0,
        .twin = -1,
        .twin_peer = -1,
    };
    open_twin(ctx, &s, &caps);
    err = answer(ctx, &s, reply);
    if (err != 0) {
        vus_session_done(&s);
        return err;
    }
    if (s.twin_peer != -1)
        reply->fds[reply->n_fds++] = s.twin_peer;
    ctx->session = s;
    return 0;
}
