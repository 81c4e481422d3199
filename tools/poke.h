/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * --write REGION:OFFSET=VALUE[:WIDTH] of `vfu irq`, `dma` and `watch`: writes to
 * registers that make a device do something.
 */
#ifndef TOOL_POKE_H
#define TOOL_POKE_H

#include "tools/tool.h"

#define TOOL_POKE_LETTER 'w'
#define TOOL_POKE_OPTION                                                          \
    { TOOL_POKE_LETTER, "write", "REGION:OFFSET=VALUE[:WIDTH]",                   \
      "then write a register; repeatable" }

/* Are all of them understood? 0, or TOOL_USAGE after a sentence. */
int tool_pokes_check(const struct tool_call *call);

/* Do they lie in regions of the device? 0, or an exit code after a sentence. */
int tool_pokes_fit(const struct tool_call *call, struct vfuc_client *dev);

/* Do them, in order; they were checked. 0, or an exit code after a sentence. */
int tool_pokes_write(const struct tool_call *call, struct vfuc_client *dev);

#endif
