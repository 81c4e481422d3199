/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One socket of the connection: what waits to be sent, and replies to the server.
 */
#include "libclient/link.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "libclient/options.h"

#define GATHER (256u << 10)     /* bytes that small requests may gather to */
#define FIRST_SCRATCH 4096u

/* ------------------------------------------------------------- life cycle -- */

void vuc_link_init(struct vuc_link *link, const struct vuc_port *port, void *at,
                   uint32_t max_message)
{
    *link = (struct vuc_link){
        .port = port, .at = at, .room = (size_t)max_message + GATHER,
    };
}

int vuc_link_open(struct vuc_link *link, int fd, const struct vfuc_options *options)
{
    uint32_t max_message = vuc_max_message(options);
    struct vu_channel_limits limits = {
        .max_message = max_message,
        .max_fds = options->max_msg_fds,
        .batch = UINT32_MAX,    /* posting never sends */
        /* A reply may wait behind the requests; as much again may have left, but not yet
         * been taken out of the buffer. */
        .max_out = 2 * (2 * max_message + GATHER),
        .stall_ms = -1,
    };
    struct vu_channel *ch = vu_channel_new(fd, &limits);

    if (ch == NULL) {
        close(fd);
        return -ENOMEM;
    }
    vuc_link_init(link, &vuc_channel_port, ch, max_message);
    return 0;
}

void vuc_link_close(struct vuc_link *link)
{
    if (link->port != NULL)
        link->port->close(link->at);
    free(link->scratch);
    *link = (struct vuc_link){ .port = NULL };
}

uint8_t *vuc_link_scratch(struct vuc_link *link, size_t len)
{
    size_t room = FIRST_SCRATCH;
    uint8_t *scratch;

    if (len <= link->scratch_room)
        return link->scratch;
    while (room < len)
        room *= 2;
    scratch = malloc(room);
    if (scratch == NULL)
        return NULL;
    free(link->scratch);
    link->scratch = scratch;
    link->scratch_room = room;
    return scratch;
}

/* ---------------------------------------------------------------- sending -- */

static size_t total(const struct iovec *iov, int n_iov)
{
    size_t len = 0;

    for (int i = 0; i < n_iov; i++)
        len += iov[i].iov_len;
    return len;
}

int vuc_link_flush(struct vuc_link *link)
{
    int err = link->port->flush(link->at);

    if (err != -EAGAIN)
        link->blocked = false;
    return err == -EAGAIN || err == -EPIPE ? 0 : err;
}

/* Whether a request of len bytes may wait. 0, -ENOBUFS, or an errno of the link. */
static int make_room(struct vuc_link *link, size_t len)
{
    int err;

    if (vuc_link_unsent(link) + len <= link->room)
        return 0;
    err = vuc_link_flush(link);
    if (err < 0)
        return err;
    return vuc_link_unsent(link) + len <= link->room ? 0 : -ENOBUFS;
}

int vuc_link_offer(struct vuc_link *link, struct iovec *iov, int n_iov, const int *fds,
                   size_t n_fds)
{
    int err = make_room(link, total(iov, n_iov));

    if (err < 0)
        return err;
    err = link->port->offer(link->at, iov, n_iov, fds, n_fds);
    link->blocked = err == -EAGAIN;
    return err;
}

int vuc_link_post(struct vuc_link *link, const struct iovec *iov, int n_iov)
{
    int err = make_room(link, total(iov, n_iov));

    return err < 0 ? err : link->port->post(link->at, iov, n_iov);
}

int vuc_link_answer(struct vuc_link *link, const struct vu_header *asked, uint32_t error,
                    const void *fixed, size_t fixed_len, const void *data,
                    size_t data_len)
{
    uint8_t bytes[VU_HEADER_SIZE + 16];
    struct vu_writer w = vu_writer(bytes, sizeof(bytes));
    struct vu_header h = { .msg_id = asked->msg_id, .command = asked->command,
                           .flags = VU_F_TYPE_REPLY, .error = error };
    struct iovec iov[2];
    int err;

    if ((asked->flags & VU_F_NO_REPLY) != 0)
        return 0;
    if (error != 0) {
        h.flags |= VU_F_ERROR;
        fixed_len = data_len = 0;
    }
    h.size = (uint32_t)(VU_HEADER_SIZE + fixed_len + data_len);
    vu_encode_header(&w, &h);
    vu_put_bytes(&w, fixed, fixed_len);
    iov[0] = (struct iovec){ bytes, w.len };
    iov[1] = (struct iovec){ (void *)(uintptr_t)data, data_len };
    err = link->port->offer(link->at, iov, data_len > 0 ? 2 : 1, NULL, 0);
    return err == -EPIPE ? 0 : err;
}

/* -------------------------------------------------------------- receiving -- */

short vuc_link_events(const struct vuc_link *link)
{
    return (short)((vuc_link_choked(link) ? 0 : POLLIN)
                   | (link->blocked || vuc_link_unsent(link) > 0 ? POLLOUT : 0));
}

int vuc_link_receive(struct vuc_link *link, struct vu_message *m, vu_deadline deadline)
{
    int got;

    do
        got = link->port->receive(link->at, m, deadline);
    while (got == -EINTR);
    if (got == -EBADMSG || got == -EMSGSIZE)
        vu_message_done(m);
    return got;
}

int vuc_link_take(struct vuc_link *link, struct vu_message *m)
{
    return vuc_link_choked(link) ? -EAGAIN : vuc_link_receive(link, m, VU_DONT_WAIT);
}
