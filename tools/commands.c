/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of commands, in the order of `vfu --help`: looking, changing, moving,
 * recording, measuring. A new command is a line here, and its file in CMakeLists.txt.
 */
#include "tools/tool.h"

#define COMMANDS(X) \
    X(info) \
    X(lspci) \
    X(config) \
    X(read) \
    X(watch) \
    X(irq) \
    X(dma) \
    X(feature) \
    X(write) \
    X(reset) \
    X(migrate) \
    X(record) \
    X(decode) \
    X(replay) \
    X(bench)

#define DECLARE(name) extern const struct tool_command tool_cmd_##name;
#define LIST(name) &tool_cmd_##name,

COMMANDS(DECLARE)

const struct tool_command *const tool_commands[] = { COMMANDS(LIST) NULL };
