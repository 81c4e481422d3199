/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Log lines go to the function that the device gave us and nowhere else. Any
 * thread may log.
 *
 * What a client did wrong is logged with a limit, so that a hostile one cannot fill
 * the disk: a burst, then ten lines a second, each after a line that says how many
 * were left out. What the device logs itself has no limit.
 */
#include "libserver/context.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#define BURST    64u
#define EVERY_NS 100000000  /* one more line, up to the burst */

static void log_line(struct vfu_ctx *ctx, int level, const char *fmt, va_list args)
{
    vfu_log_fn_t *log = atomic_load_explicit(&ctx->log, memory_order_acquire);
    char line[BUFSIZ];
    int saved = errno;

    if (log == NULL)
        return;
    vsnprintf(line, sizeof(line), fmt, args);
    log(ctx, level, line);
    errno = saved;
}

void vfu_log(vfu_ctx_t *ctx, int level, const char *fmt, ...)
{
    va_list args;

    assert(ctx != NULL);
    if (!vus_logs(ctx, level))
        return;
    va_start(args, fmt);
    log_line(ctx, level, fmt, args);
    va_end(args);
}

int vfu_setup_log(vfu_ctx_t *ctx, vfu_log_fn_t *log, int level)
{
    assert(ctx != NULL);
    if (level < LOG_EMERG || level > LOG_DEBUG) {
        errno = EINVAL;
        return -1;
    }
    atomic_store_explicit(&ctx->log_level, level, memory_order_relaxed);
    atomic_store_explicit(&ctx->log, log, memory_order_release);
    return 0;
}

/* -------------------------------------------------------------- refusals -- */

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* Count the time that has passed. */
static void recover(struct vus_refusals *r, int64_t now)
{
    int64_t lines = (now - r->since_ns) / EVERY_NS;

    if (lines <= 0)
        return;
    if (lines < r->spent) {
        r->spent -= (unsigned int)lines;
        r->since_ns += lines * EVERY_NS;
    } else {
        r->spent = 0;
        r->since_ns = now;
    }
}

/* Whether one more line may be logged; then *hidden were left out before it. */
static bool may_log(struct vus_refusals *r, unsigned long *hidden)
{
    bool may;

    vus_lock_take(&r->lock);
    recover(r, now_ns());
    may = r->spent < BURST;
    if (may) {
        r->spent++;
        *hidden = r->hidden;
        r->hidden = 0;
    } else {
        r->hidden++;
    }
    vus_lock_give(&r->lock);
    return may;
}

int vus_refuse(struct vfu_ctx *ctx, int err, const char *fmt, ...)
{
    unsigned long hidden;
    va_list args;

    if (!vus_logs(ctx, LOG_WARNING) || !may_log(&ctx->refusals, &hidden))
        return err;
    if (hidden != 0)
        vfu_log(ctx, LOG_WARNING, "%lu more refusals were not logged", hidden);
    va_start(args, fmt);
    log_line(ctx, LOG_WARNING, fmt, args);
    va_end(args);
    return err;
}
