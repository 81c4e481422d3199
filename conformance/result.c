/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Verdicts: recording them, judging them, counting them.
 */
#include "conformance/result.h"

#include <stdio.h>
#include <string.h>

const char *ct_verdict_name(enum ct_verdict v)
{
    static const char *const names[CT_VERDICTS] = {
        [CT_NONE] = "none", [CT_PASS] = "pass", [CT_WARN] = "warn",
        [CT_FAIL] = "fail", [CT_SKIP] = "skip", [CT_ERROR] = "error",
    };

    return names[v];
}

const char *ct_fate_name(enum ct_fate f)
{
    static const char *const names[] = {
        [CT_SURVIVED] = "survived",
        [CT_CLOSED] = "closed the connection",
        [CT_EXITED] = "exited cleanly",
        [CT_STOPPED] = "stopped as asked",
        [CT_LOST] = "lost the stream",
        [CT_HUNG] = "hung",
        [CT_CRASHED] = "crashed",
        [CT_SANITIZER] = "sanitizer report",
        [CT_GONE] = "gone",
    };

    return names[f];
}

bool ct_fate_is_failure(enum ct_fate f)
{
    return f >= CT_HUNG;
}

static void append_va(char *buf, size_t room, const char *fmt, va_list ap)
{
    size_t len = strnlen(buf, room);

    if (len < room)
        vsnprintf(buf + len, room - len, fmt, ap);
}

void ct_append(char *buf, size_t room, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    append_va(buf, room, fmt, ap);
    va_end(ap);
}

void ct_record(struct ct_result *r, enum ct_verdict v, const char *where, const char *fmt,
               ...)
{
    va_list ap;

    if (r->recorded != CT_NONE)
        return;
    r->recorded = v;
    snprintf(r->where, sizeof(r->where), "%s", where);
    r->message[0] = '\0';
    va_start(ap, fmt);
    append_va(r->message, sizeof(r->message), fmt, ap);
    va_end(ap);
}

static void drop_oldest_half(struct ct_result *r)
{
    const char *half = r->trace + r->trace_len / 2;
    const char *cut = memchr(half, '\n', (size_t)(r->trace + r->trace_len - half));
    size_t gone = cut != NULL ? (size_t)(cut + 1 - r->trace) : r->trace_len;

    for (size_t i = 0; i < gone; i++)
        r->trace_dropped += r->trace[i] == '\n';
    memmove(r->trace, r->trace + gone, r->trace_len - gone);
    r->trace_len -= gone;
}

void ct_trace(struct ct_result *r, const char *line)
{
    size_t len = strnlen(line, sizeof(r->trace) / 4);

    if (r->trace_len + len + 2 > sizeof(r->trace))
        drop_oldest_half(r);
    memcpy(r->trace + r->trace_len, line, len);
    r->trace_len += len;
    r->trace[r->trace_len++] = '\n';
    r->trace[r->trace_len] = '\0';
}

/* ---------------------------------------------------------------- judging -- */

void ct_judge(struct ct_result *r, enum ct_level level)
{
    enum ct_verdict v = r->recorded;

    if (v == CT_NONE)
        v = r->warned ? CT_WARN : CT_PASS;
    /* An answer that never comes stalls a client, so it is no matter of level. */
    if (v == CT_FAIL && level != CT_MUST && !r->timed_out)
        v = CT_WARN;
    /* A case that could not be run against a server that is gone stays a skip. */
    if (ct_fate_is_failure(r->fate) && v != CT_ERROR &&
        !(v == CT_SKIP && r->fate == CT_GONE))
        v = CT_FAIL;
    r->verdict = v;
}

void ct_tally_add(struct ct_tally *t, const struct ct_result *r)
{
    t->n[r->verdict]++;
    if (ct_fate_is_failure(r->fate))
        t->server_lost = true;
}

enum ct_exit ct_exit_status(const struct ct_tally *t, bool strict)
{
    if (t->n[CT_ERROR] != 0 || t->n[CT_NONE] != 0)
        return CT_EXIT_INTERNAL;
    if (t->server_lost)
        return CT_EXIT_SERVER;
    if (t->n[CT_FAIL] != 0 || (strict && t->n[CT_WARN] != 0))
        return CT_EXIT_FAILED;
    if (t->n[CT_PASS] == 0 && t->n[CT_WARN] == 0)
        return CT_EXIT_NOTHING;
    return CT_EXIT_OK;
}
