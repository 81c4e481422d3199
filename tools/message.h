/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fields of messages by name: one table for JSON, scenarios and comparisons.
 *
 * A shape is what one body looks like: how it is decoded and encoded (by wire's codecs),
 * and the members of the struct that it becomes, with the names of the specification.
 */
#ifndef TOOL_MESSAGE_H
#define TOOL_MESSAGE_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/messages.h"

union tool_body {
    struct vu_version version;
    struct vu_dma_map dma_map;
    struct vu_dma_unmap dma_unmap;
    struct vu_device_info device_info;
    struct vu_region_info region_info;
    struct vu_region_io_fds region_io_fds;
    struct vu_irq_info irq_info;
    struct vu_irq_set irq_set;
    struct vu_region_access region_access;
    struct vu_write_multi write_multi;
    struct vu_dma_access dma_access;
    struct vu_feature feature;
    struct vu_mig_data mig_data;
};

struct tool_field {
    const char *name; /* NULL ends a table */
    uint16_t at;      /* offset in union tool_body */
    uint8_t width;    /* bytes of an unsigned number; 0: a struct vu_bytes */
    bool address;     /* shown in hexadecimal */
    bool free;        /* servers that do the same may say something else */
};

struct tool_shape {
    const struct tool_field *fields;
    int (*decode)(struct vu_reader *r, union tool_body *body);
    int (*encode)(struct vu_writer *w, const union tool_body *body);
    /* What is below the fields: areas, entries, ranges. NULL: nothing. */
    void (*add_json)(struct json_object *to, const union tool_body *body,
                     struct vu_bytes bytes);
};

/* NULL: the command is not known, or this message of it has no body. */
const struct tool_shape *tool_shape(uint16_t command, bool reply);

uint64_t tool_field_number(const struct tool_field *field, const union tool_body *body);
struct vu_bytes tool_field_bytes(const struct tool_field *field,
                                 const union tool_body *body);

/* The message as an object: name, type, id, size, flags, error and, for what has a body,
 * the body's fields in "body". */
struct json_object *tool_message_json(const struct vu_header *h, struct vu_bytes body);

/* Bytes as text of hexadecimal digits. */
struct json_object *tool_hex_json(struct vu_bytes bytes);

#endif
