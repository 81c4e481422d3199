/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Configuration space in words: bytes in, text and JSON out. No socket, no file.
 *
 * Whatever the bytes are, decoding ends: chains of capabilities that loop, that point
 * into the header or that leave the space are followed as far as they make sense, and
 * what is wrong with them is said.
 */
#ifndef TOOL_PCI_H
#define TOOL_PCI_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOOL_PCI_SPACE_MAX   4096
#define TOOL_PCI_SPACE_SMALL 256    /* without extended capabilities */
#define TOOL_PCI_HEADER_LEN  64

#define TOOL_PCI_BARS 6
#define TOOL_PCI_ROM  TOOL_PCI_BARS /* in .sizes */

/* What is to be decoded; lent. */
struct tool_pci_space {
    const uint8_t *bytes;
    size_t len;             /* up to TOOL_PCI_SPACE_MAX; what is missing reads as ones */
    bool sizes_known;       /* .sizes is what the server says; else it is not used */
    uint64_t sizes[TOOL_PCI_BARS + 1];  /* of each BAR and of the ROM; 0: none */
};

/* The numbers by which a device is looked up in a list of names. */
struct tool_pci_ids {
    uint16_t vendor, device, subsystem_vendor, subsystem;
};

/* Names of these; NULL: unknown. */
struct tool_pci_names {
    char *vendor, *device, *subsystem_vendor, *subsystem;
};

struct tool_pci_options {
    const char *address;    /* "00:00.0" */
    bool verbose;           /* registers of capabilities, too */
    const struct tool_pci_names *names;     /* or NULL */
    const char *bold, *alarm, *plain;       /* what switches colours, "" for none */
};

/* What came of it; the caller ends it with tool_pci_report_done(). */
struct tool_pci_report {
    char *text;                 /* lines */
    struct json_object *json;   /* everything, verbose or not; NULL once handed on */
    unsigned problems;          /* how many things are wrong with the space */
};

/* 0, or -ENOMEM with nothing in *report. */
int tool_pci_decode(const struct tool_pci_space *space,
                    const struct tool_pci_options *options,
                    struct tool_pci_report *report);
void tool_pci_report_done(struct tool_pci_report *report);

struct tool_pci_ids tool_pci_ids(const struct tool_pci_space *space);

/*
 * As lines of hexadecimal numbers behind a line that names the device: the format that
 * lspci -F reads. NULL: no memory; else owned by the caller: free().
 */
char *tool_pci_dump(const struct tool_pci_space *space, const char *address);

/*
 * "DOMAIN:BUS:DEV.FN", the domain with its colon, or all but DEV.FN, may be left out, as
 * lspci writes it. Returns buf, or NULL for what is no address.
 */
const char *tool_pci_address(const char *text, char *buf, size_t len);

/* ----------------------------------------------------------------- names -- */

/* "Ethernet controller" for a class code (class, subclass), or NULL. */
const char *tool_pci_class_name(uint16_t class_code);

/*
 * Look the ids up in a pci.ids file. *names is for tool_pci_names_done() in every case;
 * what the file does not have is NULL. 0, or what fopen() and reading report.
 */
int tool_pci_names_load(const char *path, struct tool_pci_ids ids,
                        struct tool_pci_names *names);
void tool_pci_names_done(struct tool_pci_names *names);

#endif
