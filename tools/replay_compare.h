/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Is what came what was recorded? Compares messages field by field, leaving out what
 * servers that do the same may say differently.
 */
#ifndef TOOL_REPLAY_COMPARE_H
#define TOOL_REPLAY_COMPARE_H

#include "tools/steps.h"

#define TOOL_IGNORED_MAX 64u

/* Bytes of a region that may read as anything. */
struct tool_ignored {
    uint32_t region;
    uint64_t first, last;
};

struct tool_compare {
    bool loose;     /* success or refusal, and lengths, alone */
    bool strict;    /* refusals with the errno that was recorded */
    size_t n_ignored;
    struct tool_ignored ignored[TOOL_IGNORED_MAX];
};

/* A message that came. */
struct tool_got {
    struct vu_header h;
    struct vu_bytes body;
    size_t n_fds;
};

/* A sentence for the first difference into why, and true; false: they are the same. The
 * recorded message may be a reply (to the server's or our command) or a command. */
bool tool_differs(const struct tool_compare *how, const struct tool_step *recorded,
                  const struct tool_got *got, char *why, size_t why_len);

#endif
