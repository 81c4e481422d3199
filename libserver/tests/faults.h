/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lets any one allocation or system call of the library fail.
 *
 *   faults_arm(ALLOCATIONS | SYSTEM_CALLS, 3);     the third from now on
 *   ret = vfu_run_ctx(ctx);
 *   faults_rest();                                 calls of the test itself never fail
 *   if (faults.hit) ...                            faults.name, faults.err: what and how
 *
 * Counting goes on with faults_go_on(). Only calls by our own objects are affected, on
 * the thread that armed them. For tests that are linked with FAULT_WRAP of
 * libserver/CMakeLists.txt; included once.
 */
#ifndef VUS_TESTS_FAULTS_H
#define VUS_TESTS_FAULTS_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* A sanitizer that is linked statically gets the wrappers, too, and calls them before it
 * is ready for instrumented code. */
#ifdef __clang__
#define UNSANITIZED __attribute__((disable_sanitizer_instrumentation))
#else
#define UNSANITIZED __attribute__((no_sanitize("address", "thread", "undefined")))
#endif

enum {
    ALLOCATIONS = 1,
    SYSTEM_CALLS = 2,
    INTERRUPTIONS = 4,      /* those that a signal can interrupt, with EINTR */
    LOCKS = 8,              /* for faults.instead alone */
};

static _Thread_local struct faults {
    unsigned kinds;         /* 0: nothing fails */
    unsigned armed;         /* what kinds becomes again with faults_go_on() */
    unsigned seen;
    unsigned fails_at;
    bool hit;
    int err;                /* if hit */
    const char *name;       /* NULL: any; else only calls of that function are counted */
    const char *what;       /* the one that failed */
    int as;                 /* 0, or the errno to fail with instead of the usual one */
    void (*instead)(void *arg); /* unless NULL: called before, and nothing fails */
    void *arg;
} faults;

static inline void faults_arm_call(const char *name, unsigned kinds, unsigned at)
{
    faults = (struct faults){
        .kinds = kinds, .armed = kinds, .fails_at = at, .name = name,
    };
}

static inline void faults_arm(unsigned kinds, unsigned at)
{
    faults_arm_call(NULL, kinds, at);
}

static inline void faults_rest(void)
{
    faults.kinds = 0;
}

static inline void faults_go_on(void)
{
    faults.kinds = faults.armed;
}

UNSANITIZED
static inline bool fault(const char *name, unsigned kind, int err)
{
    if ((faults.kinds & kind) == 0 ||
        (faults.name != NULL && strcmp(faults.name, name) != 0))
        return false;
    if (++faults.seen != faults.fails_at)
        return false;
    faults.hit = true;
    faults.err = faults.as != 0 ? faults.as : err;
    faults.what = name;
    if (faults.instead != NULL) {
        faults.instead(faults.arg);
        return false;
    }
    errno = faults.err;
    return true;
}

/* FAULT(kind, errno, return type, what is returned, name, parameters, arguments) */
#define FAULT(kind, err, type, failure, name, params, args)     \
    type __real_##name params;                                  \
    type __wrap_##name params;                                  \
    UNSANITIZED                                                 \
    type __wrap_##name params                                   \
    {                                                           \
        if (fault(#name, kind, err))                            \
            return failure;                                     \
        return __real_##name args;                              \
    }

/* Those that can also be interrupted. */
#define FAULT2(err, type, name, params, args)                   \
    type __real_##name params;                                  \
    type __wrap_##name params;                                  \
    UNSANITIZED                                                 \
    type __wrap_##name params                                   \
    {                                                           \
        if (fault(#name, SYSTEM_CALLS, err) ||                  \
            fault(#name, INTERRUPTIONS, EINTR))                 \
            return -1;                                          \
        return __real_##name args;                              \
    }

FAULT(ALLOCATIONS, ENOMEM, void *, NULL, malloc, (size_t n), (n))
FAULT(ALLOCATIONS, ENOMEM, void *, NULL, calloc, (size_t n, size_t size), (n, size))
FAULT(ALLOCATIONS, ENOMEM, void *, NULL, realloc, (void *p, size_t n), (p, n))
FAULT(ALLOCATIONS, ENOMEM, int, ENOMEM, posix_memalign,
      (void **p, size_t align, size_t n), (p, align, n))
FAULT(ALLOCATIONS, ENOMEM, char *, NULL, strdup, (const char *s), (s))

struct json_tokener;
FAULT(ALLOCATIONS, ENOMEM, struct json_tokener *, NULL, json_tokener_new_ex, (int depth),
      (depth))
FAULT(ALLOCATIONS, ENOMEM, int, ENOMEM, pthread_mutex_init,
      (pthread_mutex_t *m, const pthread_mutexattr_t *attr), (m, attr))
FAULT(ALLOCATIONS, ENOMEM, int, ENOMEM, pthread_cond_init,
      (pthread_cond_t *c, const pthread_condattr_t *attr), (c, attr))
FAULT(ALLOCATIONS, ENOMEM, int, ENOMEM, pthread_condattr_init, (pthread_condattr_t *attr),
      (attr))
FAULT(ALLOCATIONS, ENOMEM, int, ENOMEM, pthread_atfork,
      (void (*prepare)(void), void (*parent)(void), void (*child)(void)),
      (prepare, parent, child))

FAULT(LOCKS, 0, int, 0, pthread_mutex_lock, (pthread_mutex_t *m), (m))

FAULT(SYSTEM_CALLS, EMFILE, int, -1, socket, (int domain, int type, int protocol),
      (domain, type, protocol))
FAULT(SYSTEM_CALLS, EACCES, int, -1, bind,
      (int fd, const struct sockaddr *at, socklen_t len), (fd, at, len))
FAULT(SYSTEM_CALLS, EADDRINUSE, int, -1, listen, (int fd, int n), (fd, n))
FAULT(SYSTEM_CALLS, EMFILE, int, -1, epoll_create1, (int flags), (flags))
FAULT(SYSTEM_CALLS, EMFILE, int, -1, eventfd, (unsigned count, int flags), (count, flags))
FAULT(SYSTEM_CALLS, EMFILE, int, -1, timerfd_create, (int clock, int flags),
      (clock, flags))
FAULT(SYSTEM_CALLS, EINVAL, int, -1, timerfd_settime,
      (int fd, int flags, const struct itimerspec *to, struct itimerspec *old),
      (fd, flags, to, old))
FAULT(SYSTEM_CALLS, EMFILE, int, -1, socketpair,
      (int domain, int type, int protocol, int fds[2]), (domain, type, protocol, fds))
FAULT(SYSTEM_CALLS, EMFILE, int, -1, pipe2, (int fds[2], int flags), (fds, flags))
FAULT(SYSTEM_CALLS, EIO, int, -1, fstat, (int fd, struct stat *st), (fd, st))
FAULT(SYSTEM_CALLS, ENOMEM, void *, (void *)-1, mmap,
      (void *at, size_t len, int prot, int flags, int fd, off_t offset),
      (at, len, prot, flags, fd, offset))
FAULT(SYSTEM_CALLS, EAGAIN, int, -1, madvise, (void *at, size_t len, int advice),
      (at, len, advice))
FAULT(SYSTEM_CALLS, EDOM, int, -1, setsockopt,
      (int fd, int level, int option, const void *value, socklen_t len),
      (fd, level, option, value, len))
FAULT(SYSTEM_CALLS, EPERM, ssize_t, -1, process_vm_readv,
      (pid_t pid, const struct iovec *l, unsigned long nl, const struct iovec *r,
       unsigned long nr, unsigned long flags), (pid, l, nl, r, nr, flags))
FAULT(SYSTEM_CALLS, EPERM, ssize_t, -1, process_vm_writev,
      (pid_t pid, const struct iovec *l, unsigned long nl, const struct iovec *r,
       unsigned long nr, unsigned long flags), (pid, l, nl, r, nr, flags))
FAULT(SYSTEM_CALLS, ENOMEM, int, -1, sigaction,
      (int sig, const struct sigaction *new, struct sigaction *old), (sig, new, old))
FAULT(SYSTEM_CALLS, EINVAL, ssize_t, -1, preadv2,
      (int fd, const struct iovec *iov, int n, off_t at, int flags),
      (fd, iov, n, at, flags))

FAULT2(EMFILE, int, accept4, (int fd, struct sockaddr *at, socklen_t *len, int flags),
       (fd, at, len, flags))
FAULT2(ENOMEM, int, poll, (struct pollfd *p, nfds_t n, int ms), (p, n, ms))
FAULT(SYSTEM_CALLS, EIO, ssize_t, -1, read, (int fd, void *buf, size_t n), (fd, buf, n))
FAULT(SYSTEM_CALLS, EIO, ssize_t, -1, write, (int fd, const void *buf, size_t n),
      (fd, buf, n))
FAULT2(EIO, ssize_t, pread, (int fd, void *buf, size_t n, off_t at), (fd, buf, n, at))
FAULT2(ENOSPC, ssize_t, pwrite, (int fd, const void *buf, size_t n, off_t at),
       (fd, buf, n, at))

/* The kernel refuses it when it would have to split a mapping, which those are not that
 * the library makes for a moment, of a page or two. */
int __real_munmap(void *at, size_t len);
int __wrap_munmap(void *at, size_t len);
UNSANITIZED
int __wrap_munmap(void *at, size_t len)
{
    if (len > 8192 && fault("munmap", SYSTEM_CALLS, ENOMEM))
        return -1;
    return __real_munmap(at, len);
}

/* What does not wait is not interrupted. */
ssize_t __real_recvmsg(int fd, struct msghdr *m, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *m, int flags);
UNSANITIZED
ssize_t __wrap_recvmsg(int fd, struct msghdr *m, int flags)
{
    if (fault("recvmsg", SYSTEM_CALLS, ENOMEM) ||
        ((flags & MSG_DONTWAIT) == 0 && fault("recvmsg", INTERRUPTIONS, EINTR)))
        return -1;
    return __real_recvmsg(fd, m, flags);
}

ssize_t __real_sendmsg(int fd, const struct msghdr *m, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags);
UNSANITIZED
ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags)
{
    if (fault("sendmsg", SYSTEM_CALLS, ENOBUFS) ||
        ((flags & MSG_DONTWAIT) == 0 && fault("sendmsg", INTERRUPTIONS, EINTR)))
        return -1;
    return __real_sendmsg(fd, m, flags);
}

/* Taking away cannot fail. */
int __real_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event);
UNSANITIZED
int __wrap_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
    if (op == EPOLL_CTL_ADD && fault("epoll_ctl", SYSTEM_CALLS, ENOSPC))
        return -1;
    return __real_epoll_ctl(epoll, op, fd, event);
}

/* The argument is there for the commands that the library uses, or is not read. */
int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
UNSANITIZED
int __wrap_fcntl(int fd, int command, ...)
{
    va_list args;
    long arg;

    va_start(args, command);
    arg = va_arg(args, long);
    va_end(args);
    return fault("fcntl", SYSTEM_CALLS, EBADF) ? -1 : __real_fcntl(fd, command, arg);
}

/* Asynchronous I/O alone. */
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
UNSANITIZED
long __wrap_syscall(long number, ...)
{
    long a[6];
    va_list args;

    va_start(args, number);
    for (size_t i = 0; i < 6; i++)
        a[i] = va_arg(args, long);
    va_end(args);
    if ((number == SYS_io_setup || number == SYS_io_submit) &&
        fault("syscall", SYSTEM_CALLS, number == SYS_io_setup ? EAGAIN : EINVAL))
        return -1;
    return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

#endif
