/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Log lines go to the function that the device gave us and nowhere else.
 */
#include "libserver/context.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static void log_line(struct vfu_ctx *ctx, int level, const char *fmt, va_list args)
{
    char line[BUFSIZ];
    int saved = errno;

    vsnprintf(line, sizeof(line), fmt, args);
    ctx->log(ctx, level, line);
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
    ctx->log = log;
    ctx->log_level = level;
    return 0;
}

int vus_refuse(struct vfu_ctx *ctx, int err, const char *fmt, ...)
{
    va_list args;

    if (vus_logs(ctx, LOG_WARNING)) {
        va_start(args, fmt);
        log_line(ctx, LOG_WARNING, fmt, args);
        va_end(args);
    }
    return err;
}
