/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The port that leads to a socket: a thin coat over wire's channel.
 */
#include "libclient/port.h"

#include <sys/socket.h>

/* Who hangs up with something unread makes one call fail in another way; a kernel without
 * memory, too. */
static int plain(int err)
{
    switch (err) {
    case -ECONNRESET:
        return -EPIPE;
    case -ENOBUFS:
        return -ENOMEM;
    default:
        return err;
    }
}

static int channel_offer(void *at, struct iovec *iov, int n_iov, const int *fds,
                         size_t n_fds)
{
    return plain(vu_channel_offer(at, iov, n_iov, fds, n_fds));
}

static int channel_post(void *at, const struct iovec *iov, int n_iov)
{
    struct vu_buffer *out = vu_channel_out(at);
    size_t start = out->len, len = 0;
    uint8_t *to;

    for (int i = 0; i < n_iov; i++)
        len += iov[i].iov_len;
    to = vu_buffer_extend(out, len);
    if (to == NULL)
        return -ENOMEM;
    for (int i = 0; i < n_iov; i++) {
        if (iov[i].iov_len > 0)     /* memcpy refuses NULL even then */
            memcpy(to, iov[i].iov_base, iov[i].iov_len);
        to += iov[i].iov_len;
    }
    return plain(vu_channel_post(at, start, NULL, 0));
}

static int channel_flush(void *at)
{
    return plain(vu_channel_flush(at, VU_DONT_WAIT));
}

static size_t channel_unsent(const void *at)
{
    return vu_channel_unsent(at);
}

static int channel_receive(void *at, struct vu_message *m, vu_deadline deadline)
{
    return vu_channel_receive(at, m, deadline);
}

static bool channel_ready(const void *at)
{
    return vu_channel_ready(at);
}

static int channel_fd(const void *at)
{
    return vu_channel_fd(at);
}

static void channel_shutdown(void *at)
{
    shutdown(vu_channel_fd(at), SHUT_RDWR);
}

static void channel_close(void *at)
{
    vu_channel_free(at);
}

const struct vuc_port vuc_channel_port = {
    .offer = channel_offer,
    .post = channel_post,
    .flush = channel_flush,
    .unsent = channel_unsent,
    .receive = channel_receive,
    .ready = channel_ready,
    .fd = channel_fd,
    .shutdown = channel_shutdown,
    .close = channel_close,
};
