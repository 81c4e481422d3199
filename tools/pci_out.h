/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the decoders of configuration space share: reading registers, and saying the same
 * thing as a line of text and as members of a JSON object.
 */
#ifndef TOOL_PCI_OUT_H
#define TOOL_PCI_OUT_H

#include <stdio.h>

#include "tools/pci.h"

struct tool_pci_out {
    const struct tool_pci_space *space;
    const struct tool_pci_options *options;
    FILE *text;
    int depth;                      /* tabs before each line */
    struct json_object *object;     /* where members go; of the report */
    struct json_object *problems;   /* array of sentences; of the report */
    unsigned n_problems;
    bool failed;                    /* out of memory */
};

/* A bit of a register. */
struct tool_pci_flag {
    uint32_t mask;
    const char *label;      /* "BusMaster" */
    const char *key;        /* "bus_master" */
};

/* A capability that is being decoded. */
struct tool_pci_cap {
    size_t offset;
    size_t room;            /* bytes to the next capability or the end, at least 2 */
    unsigned id;
    unsigned version;       /* of extended ones */
};

/* Registers, little endian. Beyond the end of the space all bits are 1. */
uint32_t tool_pci_u8(const struct tool_pci_out *out, size_t offset);
uint32_t tool_pci_u16(const struct tool_pci_out *out, size_t offset);
uint32_t tool_pci_u32(const struct tool_pci_out *out, size_t offset);

/* A line; and one that only --verbose shows. */
void tool_pci_line(struct tool_pci_out *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void tool_pci_detail(struct tool_pci_out *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Something is wrong: a line, and a sentence among the problems. */
void tool_pci_problem(struct tool_pci_out *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Members of the JSON object. */
void tool_pci_put(struct tool_pci_out *out, const char *key, struct json_object *value);
void tool_pci_put_number(struct tool_pci_out *out, const char *key, uint64_t value);
void tool_pci_put_bool(struct tool_pci_out *out, const char *key, bool value);
void tool_pci_put_string(struct tool_pci_out *out, const char *key, const char *value);

/*
 * A register of flags: "TITLE: Label+ Label- and more", and an object `key` of booleans.
 * Members go to that object until tool_pci_end() with what this returned.
 */
struct json_object *tool_pci_flags(struct tool_pci_out *out, bool detail,
                                   const char *title, const char *key, uint32_t value,
                                   const struct tool_pci_flag *flags, size_t n_flags);
struct json_object *tool_pci_flags_and(struct tool_pci_out *out, bool detail,
                                       const char *title, const char *key,
                                       uint32_t value, const struct tool_pci_flag *flags,
                                       size_t n_flags, const char *more, ...)
    __attribute__((format(printf, 8, 9)));
#define TOOL_PCI_COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* Members go to a new object under `key`, or at the end of the array `key`, until
 * tool_pci_end() with what this returned. */
struct json_object *tool_pci_begin(struct tool_pci_out *out, const char *key);
struct json_object *tool_pci_begin_item(struct tool_pci_out *out,
                                        struct json_object *array);
void tool_pci_end(struct tool_pci_out *out, struct json_object *outer);

/* The chain of capabilities behind the header, and that of extended ones (pci_caps.c,
 * pci_ext_caps.c). Each has one line, with details behind it. */
void tool_pci_capabilities(struct tool_pci_out *out);
void tool_pci_extended_capabilities(struct tool_pci_out *out);

/* Does a table of `size` bytes at `offset` of a BAR fit into it? Says so if not. */
void tool_pci_check_table(struct tool_pci_out *out, const char *what, unsigned bar,
                          uint64_t offset, uint64_t size);

#endif
