/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connecting to a path, no longer than until a deadline.
 */
#include "libclient/connect.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* A full listen queue makes connect() wait, as long as SO_SNDTIMEO says. */
static int set_send_timeout(int fd, int64_t ms)
{
    struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

    return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0 ? -errno : 0;
}

/* Tries once in any case, so that who is late learns what is wrong. */
static int connect_by(int fd, const struct sockaddr_un *addr, vu_deadline deadline)
{
    int left = vu_deadline_left_ms(deadline);

    if (left == 0)
        left = 1;
    while (left != 0) {
        int err = set_send_timeout(fd, left < 0 ? 0 : left);    /* 0: for ever */

        if (err < 0)
            return err;
        if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0)
            return set_send_timeout(fd, 0);
        if (errno != EINTR)
            return errno == EAGAIN ? -ETIMEDOUT : -errno;
        left = vu_deadline_left_ms(deadline);
    }
    return -ETIMEDOUT;
}

int vuc_connect_path(const char *path, vu_deadline deadline)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd, err;

    if (strlen(path) >= sizeof(addr.sun_path))
        return -ENAMETOOLONG;
    memcpy(addr.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    err = connect_by(fd, &addr, deadline);
    if (err == 0)
        return fd;
    close(fd);
    return err;
}

const char *vuc_connect_reason(int err)
{
    switch (err) {
    case -ENAMETOOLONG:
        return "the socket's path is too long";
    case -ETIMEDOUT:
        return "the server did not accept the connection in time";
    case -EMFILE: case -ENFILE: case -ENOBUFS: case -ENOMEM:
        return "no socket can be made";
    default:
        return "nobody accepts connections there";
    }
}
