/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The system calls below a channel, and deadlines. The only sendmsg() and
 * recvmsg() of the project are here.
 *
 * Every message passes through once in each direction, so nothing is allocated
 * or cleared here beyond what the kernel needs.
 */
#include "wire/socket.h"

#include <errno.h>
#include <limits.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04      /* a pidfd of the sender, where SO_PASSPIDFD was set */
#endif

#define NS_PER_MS INT64_C(1000000)

/* -------------------------------------------------------------- deadlines -- */

int64_t vu_deadline_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 * NS_PER_MS + t.tv_nsec;
}

vu_deadline vu_deadline_in_ms(int64_t ms)
{
    int64_t now;

    if (ms < 0)
        return VU_FOREVER;
    now = vu_deadline_now();
    if (ms > (VU_FOREVER - now) / NS_PER_MS)
        return VU_FOREVER;
    return now + ms * NS_PER_MS;
}

int vu_deadline_left_ms(vu_deadline d)
{
    int64_t left;

    if (d == VU_FOREVER)
        return -1;
    if (d <= VU_DONT_WAIT)
        return 0;
    left = d - vu_deadline_now();
    if (left <= 0)
        return 0;
    left = (left - 1) / NS_PER_MS + 1;
    return left > INT_MAX ? INT_MAX : (int)left;
}

/* ----------------------------------------------------------- system calls -- */

int vu_socket_wait(int fd, short events, vu_deadline deadline)
{
    struct pollfd p = { .fd = fd, .events = events };

    for (;;) {
        int n = poll(&p, 1, vu_deadline_left_ms(deadline));

        if (n > 0)
            return 0;
        if (n < 0)
            return -errno;
        /* poll() takes no more than INT_MAX ms. */
        if (vu_deadline_left_ms(deadline) == 0)
            return -ETIMEDOUT;
    }
}

int vu_socket_queued(int fd)
{
    int bytes;

    return ioctl(fd, SIOCOUTQ, &bytes) == 0 ? bytes : -1;
}

int64_t vu_socket_send(int fd, const struct iovec *iov, int n_iov, const int *fds,
                       size_t n_fds)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(VU_MAX_MSG_FDS * sizeof(int))];
    } control;
    struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n_iov };
    struct cmsghdr *c;
    ssize_t n;

    if (n_fds > VU_MAX_MSG_FDS)
        return -EINVAL;
    if (n_fds > 0) {
        msg.msg_control = control.room;
        msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        memset(control.room, 0, msg.msg_controllen);
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
    }
    n = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    return n < 0 ? -errno : n;
}

void vu_socket_close(int fd)
{
    struct linger none = { .l_onoff = 0 };
    int before = errno;

    /* What is no socket refuses this, and need not have it. */
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    close(fd);
    errno = before;
}

static void close_all(const int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        vu_socket_close(fds[i]);
}

/* Move the descriptors of a control message to fds; those from `room` on are closed.
 * Returns how many are there now. */
static size_t collect(const struct cmsghdr *c, int *fds, size_t n, size_t room,
                      bool *lost)
{
    size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    const unsigned char *at = CMSG_DATA(c);

    for (size_t i = 0; i < count; i++, at += sizeof(int)) {
        int fd;

        memcpy(&fd, at, sizeof(fd));
        if (c->cmsg_type == SCM_RIGHTS && n < room) {
            fds[n++] = fd;
            continue;
        }
        if (c->cmsg_type == SCM_RIGHTS)
            *lost = true;
        vu_socket_close(fd);
    }
    return n;
}

/* All descriptors that came with msg. After MSG_CTRUNC nobody knows which are
 * missing, so none is kept. */
static size_t collect_all(struct msghdr *msg, int *fds, size_t room, bool *lost)
{
    size_t n = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c))
        if (c->cmsg_level == SOL_SOCKET &&
            (c->cmsg_type == SCM_RIGHTS || c->cmsg_type == SCM_PIDFD))
            n = collect(c, fds, n, room, lost);
    if (msg->msg_flags & MSG_CTRUNC) {
        close_all(fds, n);
        n = 0;
        *lost = true;
    }
    return n;
}

int64_t vu_socket_recv_flags(int fd, void *buf, size_t room, int flags, int *fds,
                             size_t *n_fds, bool *lost)
{
    /* Always room for the most that the kernel delivers, since with less it may deliver
     * more than was asked for (alignment); and for what other options of a socket that
     * was handed to us add (credentials, security label). */
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(VU_MAX_MSG_FDS * sizeof(int)) + 512];
    } control;
    struct iovec iov = { .iov_base = buf, .iov_len = room };
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.room,
        .msg_controllen = sizeof(control.room),
    };
    size_t fds_room = *n_fds;
    ssize_t n = recvmsg(fd, &msg, flags | MSG_CMSG_CLOEXEC);

    *n_fds = 0;
    *lost = false;
    if (n < 0)
        return -errno;
    if (msg.msg_controllen != 0 || (msg.msg_flags & MSG_CTRUNC))
        *n_fds = collect_all(&msg, fds, fds_room, lost);
    return n;
}

int64_t vu_socket_recv(int fd, void *buf, size_t room, int *fds, size_t *n_fds,
                       bool *lost)
{
    return vu_socket_recv_flags(fd, buf, room, MSG_DONTWAIT, fds, n_fds, lost);
}
