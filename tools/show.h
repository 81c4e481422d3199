/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Records for people and for scripts: a line of text, or an object.
 */
#ifndef TOOL_SHOW_H
#define TOOL_SHOW_H

#include <json-c/json.h>

#include "tools/recording.h"

/* Room for any line. */
#define TOOL_SHOW_MAX 2048

/*
 * "#1     0.000412 -> REGION_READ cmd id=3 ..." Returns buf. The time is in seconds since
 * `start_ns`. -> and <- go to the server and to the client, => and <= over the twin
 * socket, -- is no traffic.
 */
const char *tool_show_text(char *buf, size_t len, const struct tool_record *record,
                           uint64_t start_ns);

/* The message of a record as wire/text.h has it, with its descriptors. Returns buf. */
const char *tool_show_message(char *buf, size_t len, const struct tool_record *record);

/* NULL: no memory. vfu-decode(1) lists the members. */
struct json_object *tool_show_json(const struct tool_record *record, uint64_t start_ns);

/* "memfd", "eventfd", ... */
const char *tool_fd_kind_name(uint8_t kind);

/* "MSIX vector 2" for an EVENT. Returns buf. */
const char *tool_event_name(char *buf, size_t len, const struct tool_record *record);

#endif
