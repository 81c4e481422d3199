/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfu lspci: configuration space, in words, as JSON, or as a dump for lspci -F.
 *
 * What the bytes mean is decided in pci.c; here they are fetched and printed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/pci.h"
#include "tools/tool.h"

struct lspci {
    const struct tool_call *call;
    struct vfuc_client *dev;        /* owned */
    char address[32];
    uint8_t bytes[TOOL_PCI_SPACE_MAX];
    struct tool_pci_space space;    /* its bytes are ours */
    struct tool_pci_names names;    /* owned */
};

/* --------------------------------------------------------------- fetching -- */

/* Servers that answer only what a driver asks: register by register. */
static int read_registers(struct lspci *l)
{
    int err = 0;

    for (size_t at = 0; err == 0 && at < l->space.len; at += 4) {
        size_t n = l->space.len - at < 4 ? l->space.len - at : 4;

        err = vfuc_region_read(l->dev, VFUC_PCI_CONFIG, at, l->bytes + at, n);
    }
    return err;
}

static int read_space(struct lspci *l)
{
    const struct vfuc_device *device;
    const struct vfuc_region *region;
    int err = vfuc_device_info(l->dev, &device);

    if (err != 0)
        return tool_client_fail(l->call, l->dev, err, "the device");
    if ((device->flags & VFUC_DEVICE_PCI) == 0 || device->num_regions <= VFUC_PCI_CONFIG)
        return tool_fail(l->call, TOOL_REFUSED, "this is no PCI device");
    err = vfuc_region_info(l->dev, VFUC_PCI_CONFIG, &region);
    if (err != 0)
        return tool_client_fail(l->call, l->dev, err, "configuration space");
    if (region->size == 0)
        return tool_fail(l->call, TOOL_REFUSED, "the device has no configuration space");
    l->space.bytes = l->bytes;
    l->space.len = region->size < sizeof(l->bytes) ? (size_t)region->size
                                                   : sizeof(l->bytes);
    err = vfuc_region_read(l->dev, VFUC_PCI_CONFIG, 0, l->bytes, l->space.len);
    if (err == -EREMOTEIO)
        err = read_registers(l);
    return err == 0 ? 0 : tool_client_fail(l->call, l->dev, err, "configuration space");
}

static int read_sizes(struct lspci *l)
{
    const struct vfuc_region *region;

    for (uint32_t i = 0; i <= TOOL_PCI_ROM; i++) {
        int err = vfuc_region_info(l->dev, i, &region);

        if (err != 0)
            return tool_client_fail(l->call, l->dev, err, "region %" PRIu32, i);
        l->space.sizes[i] = region->size;
    }
    l->space.sizes_known = true;
    return 0;
}

/* Without --ids a list is welcome, but nobody misses it. */
static int load_names(struct lspci *l)
{
    static const char *const places[] = { "/usr/share/misc/pci.ids",
                                          "/usr/share/hwdata/pci.ids" };
    const char *asked = tool_value(l->call, 'i');
    struct tool_pci_ids ids = tool_pci_ids(&l->space);
    int err = -ENOENT;

    if (tool_given(l->call, 'n'))
        return 0;
    if (asked != NULL) {
        err = tool_pci_names_load(asked, ids, &l->names);
        return err == 0 ? 0 : tool_fail(l->call, TOOL_FAILED, "%s: %s", asked,
                                        strerror(-err));
    }
    for (size_t i = 0; err != 0 && i < sizeof(places) / sizeof(places[0]); i++) {
        tool_pci_names_done(&l->names);
        err = tool_pci_names_load(places[i], ids, &l->names);
    }
    return 0;
}

/* --------------------------------------------------------------- printing -- */

static int print_dump(const struct lspci *l)
{
    char *text = tool_pci_dump(&l->space, l->address);

    if (text == NULL)
        return tool_fail(l->call, TOOL_FAILED, "out of memory");
    printf("%s\n", text);   /* with an empty line, as between devices */
    free(text);
    return TOOL_OK;
}

static int print_report(const struct lspci *l, struct tool_pci_report *report)
{
    struct json_object *json = report->json;

    if (!l->call->json) {
        fputs(report->text, stdout);
        return TOOL_OK;
    }
    if (tool_given(l->call, 'x'))
        tool_json_add(json, "bytes", tool_json_hex(l->space.bytes, l->space.len));
    report->json = NULL;
    return tool_print_json(l->call, json);
}

static int print_decoded(const struct lspci *l)
{
    const struct tool_pci_options options = {
        .address = l->address,
        .verbose = tool_given(l->call, 'v'),
        .names = &l->names,
        .bold = tool_color(l->call, TOOL_BOLD),
        .alarm = tool_color(l->call, TOOL_RED),
        .plain = tool_color(l->call, TOOL_PLAIN),
    };
    struct tool_pci_report report;
    unsigned problems;
    int status;

    if (tool_pci_decode(&l->space, &options, &report) != 0)
        return tool_fail(l->call, TOOL_FAILED, "out of memory");
    problems = report.problems;
    status = print_report(l, &report);
    tool_pci_report_done(&report);
    if (status == TOOL_OK && problems != 0)
        return tool_fail(l->call, TOOL_REFUSED, "configuration space has %u problem%s",
                         problems, problems == 1 ? "" : "s");
    return status;
}

static int fetch_and_print(struct lspci *l)
{
    int status = read_space(l);

    if (status == 0)
        status = read_sizes(l);
    if (status == 0)
        status = load_names(l);
    if (status != 0)
        return status;
    if (tool_given(l->call, 'x') && !l->call->json)
        return print_dump(l);
    return print_decoded(l);
}

static int run(struct tool_call *call)
{
    const char *address = tool_value(call, 'a');
    struct lspci l = { .call = call };
    int status;

    if (address == NULL)
        address = "00:00.0";
    if (tool_pci_address(address, l.address, sizeof(l.address)) == NULL)
        return tool_misuse(call, "--address: '%s' is no address of a PCI function (as "
                           "0000:01:00.0 or 01:00.0)", address);
    status = tool_connect(call, call->argv[0], NULL, &l.dev);
    if (status != TOOL_OK)
        return status;
    status = fetch_and_print(&l);
    tool_pci_names_done(&l.names);
    vfuc_close(l.dev);
    return status;
}

static const struct tool_option options[] = {
    { 'v', "verbose", NULL, "show the registers of capabilities, too" },
    { 'x', "dump", NULL, "print all bytes, as lspci -F FILE reads them" },
    { 'a', "address", "ADDRESS", "what to call the device: DOMAIN:BUS:DEV.FN [00:00.0]" },
    { 'n', "numeric", NULL, "look up no names of vendors and devices" },
    { 'i', "ids", "FILE", "take names from FILE [the system's pci.ids]" },
    { 0 },
};

const struct tool_command tool_cmd_lspci = {
    .name = "lspci",
    .usage = "SOCKET",
    .summary = "decode configuration space",
    .about =
        "Header, base address registers with the sizes of their regions, capabilities.\n"
        "What is wrong with the chains of capabilities is said, and makes the exit\n"
        "status 1.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .json = true,
    .run = run,
};
