/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The wake descriptor, see libserver/wake.h. Nothing here is on the path of a
 * request, unless the client unmasks by eventfd: then one look per read.
 */
#include "libserver/wake.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "libserver/context.h"

int vus_wake_init(struct vus_wake *w)
{
    int err = pthread_mutex_init(&w->lock, NULL);

    w->epoll = w->event = w->end = -1;
    atomic_init(&w->raised, false);
    atomic_init(&w->added, 0);
    return -err;
}

void vus_wake_done(struct vus_wake *w)
{
    if (w->epoll != -1)
        close(w->epoll);
    if (w->event != -1)
        close(w->event);
    w->epoll = w->event = -1;
    pthread_mutex_destroy(&w->lock);
}

/* --------------------------------------------------------- under the lock -- */

static int watch(const struct vus_wake *w, int fd, uint32_t events)
{
    struct epoll_event e = { .events = events, .data.fd = fd };

    return epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &e) == 0 ? 0 : -errno;
}

static void signal_event(const struct vus_wake *w)
{
    uint64_t one = 1;

    /* It fails when the counter is full, which is as good. */
    if (write(w->event, &one, sizeof(one)) < 0)
        return;
}

static int open_both(struct vus_wake *w)
{
    int err;

    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (w->epoll < 0)
        return -errno;
    w->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->event < 0)
        return -errno;
    err = watch(w, w->event, EPOLLIN);
    if (err == 0 && w->end != -1)
        err = watch(w, w->end, EPOLLRDHUP);
    return err;
}

static int ensure_open(struct vus_wake *w)
{
    int err;

    if (w->epoll != -1)
        return 0;
    err = open_both(w);
    if (err == 0) {
        if (atomic_load(&w->raised))
            signal_event(w);
        return 0;
    }
    if (w->event >= 0)
        close(w->event);
    if (w->epoll >= 0)
        close(w->epoll);
    w->epoll = w->event = -1;
    return err;
}

/* ------------------------------------------------------------------ calls -- */

int vus_wake_open(struct vus_wake *w)
{
    int ret;

    pthread_mutex_lock(&w->lock);
    ret = ensure_open(w);
    if (ret == 0)
        ret = w->epoll;
    pthread_mutex_unlock(&w->lock);
    return ret;
}

void vus_wake_raise(struct vus_wake *w)
{
    pthread_mutex_lock(&w->lock);
    if (!atomic_exchange(&w->raised, true) && w->event != -1)
        signal_event(w);
    pthread_mutex_unlock(&w->lock);
}

void vus_wake_clear(struct vus_wake *w)
{
    uint64_t count;

    if (!atomic_load(&w->raised))
        return;
    pthread_mutex_lock(&w->lock);
    /* That it is empty already does no harm. */
    if (atomic_exchange(&w->raised, false) && w->event != -1 &&
        read(w->event, &count, sizeof(count)) < 0)
        count = 0;
    pthread_mutex_unlock(&w->lock);
}

void vus_wake_watch_end(struct vus_wake *w, int fd)
{
    pthread_mutex_lock(&w->lock);
    if (w->epoll != -1 && w->end != -1)
        epoll_ctl(w->epoll, EPOLL_CTL_DEL, w->end, NULL);
    w->end = fd;
    /* Should it fail, the end is noticed by the next transfer or run. */
    if (w->epoll != -1 && fd != -1)
        watch(w, fd, EPOLLRDHUP);
    pthread_mutex_unlock(&w->lock);
}

int vus_wake_add(struct vfu_ctx *ctx, int fd)
{
    struct vus_wake *w = &ctx->wake;
    int err;

    pthread_mutex_lock(&w->lock);
    err = ensure_open(w);
    /* Once for each signal: a counter need not become empty by being read. */
    if (err == 0)
        err = watch(w, fd, EPOLLIN | EPOLLET);
    if (err == 0)
        atomic_fetch_add(&w->added, 1);
    pthread_mutex_unlock(&w->lock);
    return err;
}

void vus_wake_del(struct vfu_ctx *ctx, int fd)
{
    struct vus_wake *w = &ctx->wake;

    pthread_mutex_lock(&w->lock);
    if (w->epoll != -1 && epoll_ctl(w->epoll, EPOLL_CTL_DEL, fd, NULL) == 0)
        atomic_fetch_sub(&w->added, 1);
    pthread_mutex_unlock(&w->lock);
}

bool vus_wake_input(struct vus_wake *w)
{
    struct epoll_event events[3];       /* ours, the end, and one of those */
    int n;

    if (atomic_load(&w->added) == 0)
        return false;
    n = epoll_wait(w->epoll, events, 3, 0);
    for (int i = 0; i < n; i++)
        if (events[i].data.fd != w->event && events[i].data.fd != w->end)
            return true;
    return false;
}

int vfu_get_wake_fd(vfu_ctx_t *ctx)
{
    int fd;

    assert(ctx != NULL);
    fd = vus_wake_open(&ctx->wake);
    if (fd >= 0)
        return fd;
    errno = -fd;
    return -1;
}
