/* SPDX-License-Identifier: BSD-3-Clause */
/* The wrappers behind wire/tests/calls.h. */
#include "wire/tests/calls.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

_Thread_local struct calls calls;

void calls_reset(void)
{
    calls = (struct calls){ .sendmsg = 0 };
}

static bool system_fails(void)
{
    calls.system++;
    if (calls.system != calls.system_fails_at)
        return false;
    errno = calls.system_errno;
    return true;
}

ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    calls.sendmsg++;
    if (system_fails())
        return -1;
    return __real_sendmsg(fd, msg, flags);
}

ssize_t __real_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags)
{
    calls.recvmsg++;
    if (system_fails())
        return -1;
    return __real_recvmsg(fd, msg, flags);
}

int __real_poll(struct pollfd *fds, nfds_t n, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout)
{
    calls.poll++;
    if (calls.system_errno != EAGAIN && system_fails())
        return -1;
    if (calls.on_poll != NULL && calls.on_poll(fds, calls.on_poll_arg) != 0) {
        errno = EINTR;
        return -1;
    }
    return __real_poll(fds, n, timeout);
}

int __real_setsockopt(int fd, int level, int option, const void *value, socklen_t len);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t len);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
    calls.setsockopt++;
    if (calls.system_errno != EAGAIN && system_fails())
        return -1;
    if (calls.setsockopt_fails) {
        errno = EPERM;
        return -1;
    }
    return __real_setsockopt(fd, level, option, value, len);
}

static bool allocation_fails(size_t size)
{
    calls.malloc++;
    if (size > calls.largest)
        calls.largest = size;
    if (calls.malloc_fails_once)
        return calls.malloc == calls.malloc_fails_at;
    return calls.malloc_fails_at != 0 && calls.malloc >= calls.malloc_fails_at;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return allocation_fails(size) ? NULL : __real_malloc(size);
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    return allocation_fails(n * size) ? NULL : __real_calloc(n, size);
}

void *__real_realloc(void *at, size_t size);
void *__wrap_realloc(void *at, size_t size);
void *__wrap_realloc(void *at, size_t size)
{
    return allocation_fails(size) ? NULL : __real_realloc(at, size);
}
