/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writing Lua: literals, and commands of messages in the language of scenarios.
 */
#ifndef TOOL_SCENARIO_LUA_H
#define TOOL_SCENARIO_LUA_H

#include <stdarg.h>
#include <stdio.h>

#include "tools/message.h"
#include "tools/steps.h"

struct tool_lua {
    FILE *to;
    uint64_t written;   /* characters */
};

void tool_lua_print(struct tool_lua *lua, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* An expression for bytes: digits, with runs of zeros short. */
void tool_lua_bytes(struct tool_lua *lua, struct vu_bytes bytes);

/* "PCI.BAR0", "PCI.MSIX", or the number. */
void tool_lua_region(struct tool_lua *lua, uint64_t index);
void tool_lua_irq(struct tool_lua *lua, uint64_t index);

/*
 * The call for a command, from "region_read{" to what is before "}": fields that are not
 * what the language fills in by itself. `json`, unless NULL, replaces VERSION's data. A
 * message that has not the form of its command is written as bytes. Returns what is to
 * come before a further member, and in *end what ends the call.
 */
const char *tool_lua_command(struct tool_lua *lua, const struct tool_step *step,
                             const char *json, const char **end);

/* "{ data = x"..." }" for what a reply says beyond what its command said; nothing, and
 * false, when there is no such thing. */
bool tool_lua_expected(struct tool_lua *lua, const struct tool_step *command,
                       const struct tool_step *reply, bool without_twin);

#endif
