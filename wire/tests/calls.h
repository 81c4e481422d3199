/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counts and intercepts the calls that wire's code makes to libc. The test is linked with
 * calls.c and -Wl,--wrap= for each of them, so only our own objects are affected.
 */
#ifndef VU_TESTS_CALLS_H
#define VU_TESTS_CALLS_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

struct calls {
    unsigned sendmsg, recvmsg, poll, setsockopt;
    unsigned malloc;            /* calloc and realloc too */
    size_t largest;             /* bytes of the largest of those */

    /* Called before each poll(), on the thread that polls. Non-zero: poll() fails with
     * EINTR instead of being called. */
    int (*on_poll)(struct pollfd *fds, void *arg);
    void *on_poll_arg;
    unsigned malloc_fails_at;   /* this one and all later ones fail; 0: none does */
    bool malloc_fails_once;     /* only this one */
    bool setsockopt_fails;      /* with EPERM */

    /* sendmsg, recvmsg, poll, setsockopt, counted together. The one of this number fails
     * with this errno; 0: none does. (poll and setsockopt never fail with EAGAIN.) */
    unsigned system, system_fails_at;
    int system_errno;
};

extern _Thread_local struct calls calls;

/* Forget counts and hooks. */
void calls_reset(void);

#endif
