/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the process of a case asks of its worker, which is the server's parent: over a
 * SOCK_SEQPACKET pair, one request, one answer.
 */
#ifndef CT_CONTROL_H
#define CT_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

/* End the server with SIGTERM and wait so long for it. */
struct ct_control_request {
    int64_t ms;
};

struct ct_control_answer {
    bool ended;
    char text[64]; /* "exited 0", "killed by SIGTERM", "still running" */
};

#endif
