/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A recording as a scenario: Lua for vfio-user-conformance, see docs/scenarios.md.
 *
 * Each session becomes a function with the client's commands by name, the replies that
 * were recorded as expectations, and what the client did to shared memory.
 */
#ifndef TOOL_SCENARIO_H
#define TOOL_SCENARIO_H

#include <stdio.h>

#include "tools/recording.h"

struct tool_scenario_options {
    bool strict;      /* refusals are expected with the errno that was recorded */
    uint32_t session; /* only this one; 0: all */
    /* Called for what the language cannot express; the sentence is in the file, too. */
    void (*on_gap)(void *ctx, const char *text);
    void *ctx;
};

/* 0; -EBADMSG: the recording is damaged, what came before that is written, and why (a
 * sentence) says more; -ENOMEM; -EIO: writing failed. */
int tool_scenario_write(FILE *to, const void *recording, size_t len,
                        const struct tool_scenario_options *options, char *why,
                        size_t why_len);

#endif
