/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The port that leads to a socket: a thin coat over wire's channel.
 */
#include "libclient/port.h"

static int channel_send(void *at, struct iovec *iov, int n_iov, const int *fds,
                        size_t n_fds, vu_deadline deadline)
{
    return vu_channel_send(at, iov, n_iov, fds, n_fds, deadline);
}

static int channel_receive(void *at, struct vu_message *m, vu_deadline deadline)
{
    return vu_channel_receive(at, m, deadline);
}

static int channel_fd(const void *at)
{
    return vu_channel_fd(at);
}

static void channel_close(void *at)
{
    vu_channel_free(at);
}

const struct vuc_port vuc_channel_port = {
    .send = channel_send,
    .receive = channel_receive,
    .fd = channel_fd,
    .close = channel_close,
};
