/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sample server's two timers. Each has a thread, which waits on the timer's own clock
 * and calls vfu_irq_trigger(), as any thread may.
 *
 * While the device stands still, to be migrated, no thread waits for a time. The alarm's
 * time is one on the wall, so it stays what it is, and may be over when the device goes
 * on. Of a delay the rest is kept, and begins to run again then.
 */
#include "samples/server.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#define SECOND 1000000000       /* in ns */

static struct timespec now(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return t;
}

static bool before(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

static struct timespec sum(struct timespec a, struct timespec b)
{
    a.tv_sec += b.tv_sec;
    a.tv_nsec += b.tv_nsec;
    if (a.tv_nsec >= SECOND) {
        a.tv_nsec -= SECOND;
        a.tv_sec++;
    }
    return a;
}

/* a - b, or 0 when that is below. */
static struct timespec rest(struct timespec a, struct timespec b)
{
    if (before(&a, &b))
        return (struct timespec){ .tv_sec = 0 };
    a.tv_sec -= b.tv_sec;
    a.tv_nsec -= b.tv_nsec;
    if (a.tv_nsec < 0) {
        a.tv_nsec += SECOND;
        a.tv_sec--;
    }
    return a;
}

/* ----------------------------------------------------------- the threads */

/* With the lock held, so that nothing is raised after a reset has begun. */
static void fire(struct timer *t)
{
    struct device *d = t->device;

    t->armed = false;
    d->registers[t->low / 4] = 0;
    d->registers[t->high / 4] = 0;
    if (vfu_irq_trigger(d->ctx, t->vector) == 0)
        tell(d, "%s raises vector %u", t->name, t->vector);
    else
        tell(d, "%s cannot raise vector %u: %s", t->name, t->vector, strerror(errno));
}

static bool is_due(const struct timer *t)
{
    struct timespec at = now(t->clock);

    return !before(&at, &t->due);
}

static void *timer_thread(void *arg)
{
    struct timer *t = arg;
    struct device *d = t->device;

    pthread_mutex_lock(&d->lock);
    while (!d->quit) {
        if (!t->armed || d->still)
            pthread_cond_wait(&t->wake, &d->lock);
        else if (!is_due(t))
            pthread_cond_timedwait(&t->wake, &d->lock, &t->due);
        else
            fire(t);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

static void stop_timer(struct device *d, struct timer *t)
{
    pthread_mutex_lock(&d->lock);
    d->quit = true;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&d->lock);
    pthread_join(t->thread, NULL);
}

void timers_stop(struct device *d)
{
    stop_timer(d, &d->alarm);
    stop_timer(d, &d->timer);
}

/* Signals are the main thread's. */
int timers_start(struct device *d)
{
    sigset_t all, before_that;
    int err;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before_that);
    err = pthread_create(&d->alarm.thread, NULL, timer_thread, &d->alarm);
    if (err == 0) {
        err = pthread_create(&d->timer.thread, NULL, timer_thread, &d->timer);
        if (err != 0)
            stop_timer(d, &d->alarm);
    }
    pthread_sigmask(SIG_SETMASK, &before_that, NULL);
    return err;
}

/* ---------------------------------------------------- setting and holding */

static void arm(struct timer *t, struct timespec due, uint32_t vector)
{
    t->armed = true;
    t->due = due;
    t->vector = vector;
    pthread_cond_signal(&t->wake);
}

void timer_set_time(struct timer *t, uint64_t seconds, uint32_t vector)
{
    arm(t, (struct timespec){
        .tv_sec = seconds > INT64_MAX ? INT64_MAX : (time_t)seconds,
    }, vector);
}

void timer_set_delay(struct timer *t, uint64_t ns, uint32_t vector)
{
    struct timespec left = { .tv_sec = (time_t)(ns / SECOND), .tv_nsec = ns % SECOND };

    arm(t, t->device->still ? left : sum(now(t->clock), left), vector);
}

void timer_cancel(struct timer *t)
{
    t->armed = false;
    pthread_cond_signal(&t->wake);
}

uint64_t timer_left(const struct timer *t)
{
    struct timespec left = t->device->still ? t->due : rest(t->due, now(t->clock));

    return (uint64_t)left.tv_sec * SECOND + (uint64_t)left.tv_nsec;
}

void timers_hold(struct device *d)
{
    if (d->still)
        return;
    d->timer.due = rest(d->timer.due, now(d->timer.clock));
    d->still = true;
    pthread_cond_signal(&d->alarm.wake);
    pthread_cond_signal(&d->timer.wake);
}

void timers_go_on(struct device *d)
{
    if (!d->still)
        return;
    d->timer.due = sum(d->timer.due, now(d->timer.clock));
    d->still = false;
    pthread_cond_signal(&d->alarm.wake);
    pthread_cond_signal(&d->timer.wake);
}

/* ---------------------------------------------------------------- set-up */

static void init_timer(struct device *d, struct timer *t, const char *name,
                       clockid_t clock)
{
    pthread_condattr_t attr;

    t->device = d;
    t->name = name;
    t->clock = clock;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, clock);
    pthread_cond_init(&t->wake, &attr);
    pthread_condattr_destroy(&attr);
}

void timers_init(struct device *d)
{
    init_timer(d, &d->alarm, "alarm", CLOCK_REALTIME);
    d->alarm.low = TIME_LOW;
    d->alarm.high = TIME_HIGH;
    init_timer(d, &d->timer, "timer", CLOCK_MONOTONIC);
    d->timer.low = TIMER_DELAY;
    d->timer.high = TIMER_DELAY;
}

void timers_destroy(struct device *d)
{
    pthread_cond_destroy(&d->alarm.wake);
    pthread_cond_destroy(&d->timer.wake);
}
