/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VERSION: what we propose and what of the server's answer we accept.
 *
 * Once per connection. Limits that are misread here make every later bound wrong, so an
 * answer that is not fully understood ends the connection.
 */
#include "libclient/call.h"

#include <sys/socket.h>
#include <unistd.h>

#include "libclient/options.h"
#include "wire/caps.h"

#define OUR_MAJOR 0

static int out_of_memory(struct vfuc_client *client)
{
    vuc_note(client, "VERSION: out of memory");
    vuc_disconnect(client);
    return -ENOMEM;
}

/* What a VERSION exchange is about. */
struct proposal {
    const struct vfuc_options *options;
    uint16_t minor;
    struct vu_caps caps;    /* as they are sent */
};

/* ----------------------------------------------------------------- judgement -- */

/* A feature that the server turns on without our having proposed it, or NULL. */
static const char *unasked(const struct vu_caps *ours, const struct vu_caps *theirs)
{
    if (theirs->twin_socket && !ours->twin_socket)
        return "capabilities.twin_socket: enabled, but we did not propose it";
    if (theirs->write_multiple && !ours->write_multiple)
        return "capabilities.write_multiple: enabled, but we did not propose it";
    if (theirs->sparse_mmap_fds && !ours->sparse_mmap_fds)
        return "capabilities.sparse_mmap_fds: enabled, but we did not propose it";
    return NULL;
}

/* Why these values cannot be worked with, or NULL. */
static const char *unusable(const struct proposal *p, const struct vu_version *v,
                            const struct vu_caps *caps)
{
    if (v->major != OUR_MAJOR)
        return "another major version";
    if (v->minor > p->minor)
        return "a newer minor version than we proposed";
    if (caps->max_data_xfer_size == 0)
        return "capabilities.max_data_xfer_size: 0 allows no transfer";
    if (caps->pgsizes == 0)
        return "capabilities.pgsizes: 0 allows no page size";
    if (caps->twin_socket && !caps->has_fd_index)
        return "capabilities.twin_socket: enabled, but fd_index is missing";
    return unasked(&p->caps, caps);
}

/* --------------------------------------------------------------- twin socket -- */

/* Of another family, the server could see to it that closing takes long (SO_LINGER). */
static bool is_connected_unix_stream(int fd)
{
    struct sockaddr_storage peer = { .ss_family = AF_UNSPEC };
    socklen_t peer_len = sizeof(peer);
    int type = 0;
    socklen_t len = sizeof(type);

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM
        && getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0
        && peer.ss_family == AF_UNIX;
}

/* Ends the reply on failure. */
static int take_twin(struct vfuc_client *client, const struct proposal *p,
                     const struct vu_caps *caps, struct vu_message *reply)
{
    uint64_t index = caps->fd_index;
    int fd = index < VU_MAX_MSG_FDS ? vu_message_take_fd(reply, (size_t)index) : -EBADF;

    if (fd < 0 && reply->fds_lost) {
        vu_message_done(reply);
        vuc_note(client, "VERSION: no room for the descriptor of the twin socket");
        vuc_disconnect(client);
        return -EMFILE;
    }
    if (fd < 0)
        return vuc_broken_reply(client, reply, "capabilities.twin_socket: fd_index is "
                                               "that of no descriptor that came");
    if (!is_connected_unix_stream(fd)) {
        vu_socket_close(fd);
        return vuc_broken_reply(client, reply, "capabilities.twin_socket: the descriptor "
                                               "is no connected UNIX stream socket");
    }
    if (vuc_link_open(&client->twin, fd, p->options) == 0)
        return 0;
    vu_message_done(reply);
    return out_of_memory(client);
}

/* ------------------------------------------------------------------- the end -- */

static void keep_limits(struct vfuc_client *client, const struct proposal *p,
                        const struct vu_version *v, const struct vu_caps *caps)
{
    uint64_t fds = caps->max_msg_fds;
    uint64_t transfer = caps->max_data_xfer_size;

    client->limits = (struct vfuc_limits){
        .version_major = v->major,
        .version_minor = v->minor,
        .max_msg_fds = (uint32_t)(fds < VU_MAX_MSG_FDS ? fds : VU_MAX_MSG_FDS),
        .max_data_xfer_size = transfer,
        .max_dma_maps = caps->max_dma_maps,
        .pgsizes = caps->pgsizes,
        .twin_socket = caps->twin_socket,
        .write_multiple = caps->write_multiple,
        .sparse_mmap_fds = caps->sparse_mmap_fds,
    };
    /* What we proposed bounds our buffers, also for replies. */
    if (transfer > p->options->max_data_xfer_size)
        transfer = p->options->max_data_xfer_size;
    client->max_transfer = (uint32_t)transfer;
}

static int accept_answer(struct vfuc_client *client, const struct proposal *p,
                         struct vu_message *reply)
{
    struct vu_reader r = vu_reader(reply->body, reply->body_len);
    struct vu_version v;
    struct vu_caps caps;
    const char *reason;
    char why[128];
    int err;

    vu_decode_version(&r, &v);      /* long enough: see reply_min */
    err = vu_caps_parse(&caps, v.data.data, v.data.len, why, sizeof(why));
    if (err == -ENOMEM) {
        vu_message_done(reply);
        return out_of_memory(client);
    }
    if (err < 0)
        return vuc_broken_reply(client, reply, why);
    vu_caps_default(&caps);
    reason = unusable(p, &v, &caps);
    if (reason != NULL)
        return vuc_broken_reply(client, reply, reason);
    err = caps.twin_socket ? take_twin(client, p, &caps, reply) : 0;
    if (err < 0)
        return err;
    keep_limits(client, p, &v, &caps);
    vu_message_done(reply);     /* no other descriptor can belong to it: closed here */
    return 0;
}

/* -------------------------------------------------------------------- asking -- */

/* The version data: the caller's text as it is, or ours into buf. Its length, the NUL
 * included, or negative errno. */
static int version_data(const struct proposal *p, char *buf, size_t room,
                        const char **data)
{
    const char *given = p->options->capabilities;

    *data = given != NULL ? given : buf;
    if (given != NULL)
        return given[0] == '\0' ? 0 : (int)strlen(given) + 1;
    return vu_caps_print(&p->caps, buf, room);
}

int vuc_negotiate(struct vfuc_client *client, const struct vfuc_options *options)
{
    struct proposal p = { .options = options, .minor = vuc_options_minor(options) };
    struct vu_version v = { .major = OUR_MAJOR, .minor = p.minor };
    struct vuc_request req;
    struct vu_message reply;
    const char *data;
    char ours[384];             /* of all our keys, with the longest numbers */
    int len, err;

    if (vuc_options_caps(options, &p.caps) < 0)
        return out_of_memory(client);
    len = version_data(&p, ours, sizeof(ours), &data);
    if (len < 0)
        return vuc_fail(client, len, "VERSION: our own capabilities do not fit");
    vuc_request_init(&req, VU_VERSION);
    vu_encode_version(&req.body, &v);
    req.data = data;
    req.data_len = (size_t)len;
    req.reply_max = VU_VERSION_SIZE + VU_CAPS_MAX_BYTES;
    err = vuc_call(client, &req, &reply);
    return err < 0 ? err : accept_answer(client, &p, &reply);
}
