/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What came of one case, and the rules by which it is judged.
 *
 * Results lie in memory that the runner shares with its workers and with the
 * process of each case. So whatever a case has recorded is there even when its
 * process was ended by force, and nothing has to be carried back over a pipe.
 * One process writes to a result at a time: the case's until it ended, then the
 * worker, then (state CT_DONE) only the reports read it.
 */
#ifndef CT_RESULT_H
#define CT_RESULT_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conformance/catalogue.h"

enum ct_verdict {
    CT_NONE, /* nothing recorded so far */
    CT_PASS,
    CT_WARN, /* a requirement that is no MUST was not met */
    CT_FAIL,
    CT_SKIP,
    CT_ERROR, /* the case itself is at fault, or the runner */
    CT_VERDICTS,
};

/* What became of the server. From CT_HUNG on it had to be given up. */
enum ct_fate {
    CT_SURVIVED,
    CT_CLOSED,    /* closed the case's connection, serves new ones */
    CT_EXITED,    /* ended in order; it may, when its last client has left */
    CT_STOPPED,   /* ended because the case asked for it */
    CT_LOST,      /* sent what is no message: nobody knows where the next one starts */
    CT_HUNG,      /* serves no new connection in time */
    CT_CRASHED,   /* ended by a signal, or with a status that it has not otherwise */
    CT_SANITIZER, /* its log holds a sanitizer's report */
    CT_GONE,      /* cannot be reached or started (any more) */
};

enum ct_state { CT_WAITING, CT_RUNNING, CT_DONE };

struct ct_result {
    _Atomic int state; /* enum ct_state */
    int worker;        /* who runs it */

    /* Written by the process of the case. */
    _Atomic int awaits_server; /* it waits for an answer, not for itself */
    _Atomic int64_t heard;     /* when the last message came, as a vu_deadline; 0: none */
    enum ct_verdict recorded;  /* the first verdict, CT_NONE: none so far */
    bool ended;                /* the process did all it had to */
    bool connected;            /* some connection was made */
    bool started;              /* its first connection was ready */
    bool timed_out;            /* the verdict is about an answer that never came */
    bool warned;
    bool closed;        /* a connection was closed by the server */
    bool lost;          /* ... or lost the stream */
    bool unnoticed;     /* the server did not see a client leave */
    char message[2048]; /* of the verdict */
    char where[128];    /* file:line in the case */
    char notes[4096];   /* of note() and warn(), a line each */
    size_t trace_len;
    unsigned trace_dropped; /* lines that had to go from the front */
    char trace[24576];      /* the exchange so far, a line each message */

    /* Written by the worker. */
    enum ct_verdict verdict;
    enum ct_fate fate;
    char fate_text[512]; /* in words, with the reason */
    char log[8192];      /* the end of the server's output */
    unsigned ms;         /* how long it took */

    /* Only for probes: what was found. */
    int64_t need_value;
};

const char *ct_verdict_name(enum ct_verdict v);
const char *ct_fate_name(enum ct_fate f);

/* The server had to be given up: always a failure, whatever was being tested. */
bool ct_fate_is_failure(enum ct_fate f);

/* Sets r->verdict from what was recorded, the level of the requirement and the fate. */
void ct_judge(struct ct_result *r, enum ct_level level);

/* Record a verdict; a later one is dropped, as it follows from the first. */
void ct_record(struct ct_result *r, enum ct_verdict v, const char *where, const char *fmt,
               ...) __attribute__((format(printf, 4, 5)));

/* Append a line to the trace, dropping the oldest half when it is full. */
void ct_trace(struct ct_result *r, const char *line);

/* Append formatted text to a string in room bytes; what does not fit is cut. */
void ct_append(char *buf, size_t room, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

struct ct_tally {
    unsigned n[CT_VERDICTS]; /* by final verdict */
    bool server_lost;        /* some fate was a failure */
};

void ct_tally_add(struct ct_tally *t, const struct ct_result *r);

/* Exit statuses of the runner. When several apply, the first of
 * INTERNAL, SERVER, FAILED, NOTHING wins. */
enum ct_exit {
    CT_EXIT_OK = 0,
    CT_EXIT_FAILED = 1, /* some requirement is not met */
    CT_EXIT_SERVER = 2, /* the server died, hung or had a sanitizer's report */
    CT_EXIT_USAGE = 3,
    CT_EXIT_NOTHING = 4,  /* no case gave a verdict on the server */
    CT_EXIT_INTERNAL = 5, /* a case or the runner is at fault */
};

enum ct_exit ct_exit_status(const struct ct_tally *t, bool strict);

#endif
