/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The header of configuration space, base address registers, and the report as a whole.
 *
 * Source: PCI Local Bus 3.0, 6.1 and 6.2; PCI-to-PCI Bridge 1.2, 3.2.
 */
#include "tools/pci.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/pci_out.h"

/* Offsets of registers */
enum {
    VENDOR = 0x00,
    DEVICE = 0x02,
    COMMAND = 0x04,
    STATUS = 0x06,
    REVISION = 0x08,
    CLASS = 0x09,           /* programming interface, subclass, class */
    LATENCY = 0x0d,
    HEADER_TYPE = 0x0e,
    BIST = 0x0f,
    BAR0 = 0x10,
    BUS_NUMBERS = 0x18,     /* of bridges: primary, secondary, subordinate */
    SUBSYSTEM_VENDOR = 0x2c,
    SUBSYSTEM = 0x2e,
    ROM = 0x30,
    BRIDGE_ROM = 0x38,
    INTERRUPT_LINE = 0x3c,
    INTERRUPT_PIN = 0x3d,
    MIN_GRANT = 0x3e,
    MAX_LATENCY = 0x3f,
};

enum { TYPE_DEVICE = 0, TYPE_BRIDGE = 1, TYPE_CARDBUS = 2, TYPE_MASK = 0x7f };
enum { MULTI_FUNCTION = 0x80 };

#define NO_DEVICE 0xffff    /* vendor id where nothing answers */

static const struct tool_pci_flag command_flags[] = {
    { 1u << 0, "I/O", "io" },
    { 1u << 1, "Mem", "memory" },
    { 1u << 2, "BusMaster", "bus_master" },
    { 1u << 3, "SpecCycle", "special_cycles" },
    { 1u << 4, "MemWINV", "memory_write_and_invalidate" },
    { 1u << 5, "VGASnoop", "vga_snoop" },
    { 1u << 6, "ParErr", "parity_error_response" },
    { 1u << 7, "Stepping", "stepping" },
    { 1u << 8, "SERR", "serr" },
    { 1u << 9, "FastB2B", "fast_back_to_back" },
    { 1u << 10, "DisINTx", "intx_disable" },
};

static const struct tool_pci_flag status_flags[] = {
    { 1u << 3, "INTx", "intx" },
    { 1u << 4, "Cap", "capabilities" },
    { 1u << 5, "66MHz", "mhz66" },
    { 1u << 7, "FastB2B", "fast_back_to_back" },
    { 1u << 8, "ParErr", "master_parity_error" },
    { 1u << 11, "SigTAbort", "signaled_target_abort" },
    { 1u << 12, "RecTAbort", "received_target_abort" },
    { 1u << 13, "RecMAbort", "received_master_abort" },
    { 1u << 14, "SigSERR", "signaled_system_error" },
    { 1u << 15, "DetParErr", "detected_parity_error" },
};

struct tool_pci_ids tool_pci_ids(const struct tool_pci_space *space)
{
    const struct tool_pci_out out = { .space = space };

    return (struct tool_pci_ids){
        .vendor = (uint16_t)tool_pci_u16(&out, VENDOR),
        .device = (uint16_t)tool_pci_u16(&out, DEVICE),
        .subsystem_vendor = (uint16_t)tool_pci_u16(&out, SUBSYSTEM_VENDOR),
        .subsystem = (uint16_t)tool_pci_u16(&out, SUBSYSTEM),
    };
}

static unsigned header_type(const struct tool_pci_out *out)
{
    return tool_pci_u8(out, HEADER_TYPE) & TYPE_MASK;
}

/* ------------------------------------------------------------------ names -- */

/* "Name [1234]", or the number alone; and both as members of the object. */
static const char *named(struct tool_pci_out *out, const char *key, uint32_t id,
                         const char *name, char *buf, size_t len)
{
    char name_key[64];

    tool_pci_put_number(out, key, id);
    if (name == NULL) {
        snprintf(buf, len, "%04" PRIx32, id);
        return buf;
    }
    snprintf(name_key, sizeof(name_key), "%s_name", key);
    tool_pci_put_string(out, name_key, name);
    snprintf(buf, len, "%s [%04" PRIx32 "]", name, id);
    return buf;
}

static void decode_identity(struct tool_pci_out *out)
{
    static const struct tool_pci_names unknown = { 0 };
    const struct tool_pci_options *o = out->options;
    const struct tool_pci_names *names = o->names != NULL ? o->names : &unknown;
    uint32_t code = tool_pci_u16(out, CLASS + 1), revision = tool_pci_u8(out, REVISION);
    char vendor[160], device[160];

    named(out, "vendor", tool_pci_u16(out, VENDOR), names->vendor, vendor,
          sizeof(vendor));
    named(out, "device", tool_pci_u16(out, DEVICE), names->device, device,
          sizeof(device));
    tool_pci_put_number(out, "class", code);
    if (tool_pci_class_name((uint16_t)code) != NULL)
        tool_pci_put_string(out, "class_name", tool_pci_class_name((uint16_t)code));
    tool_pci_put_number(out, "programming_interface", tool_pci_u8(out, CLASS));
    tool_pci_put_number(out, "revision", revision);
    tool_pci_line(
        out, "%s%s %s [%04" PRIx32 "]: vendor %s, device %s (rev %02" PRIx32 ")%s",
        o->bold, o->address,
        tool_pci_class_name((uint16_t)code) != NULL ? tool_pci_class_name((uint16_t)code)
                                                    : "Unknown class",
        code, vendor, device, revision, o->plain);
}

static void decode_subsystem(struct tool_pci_out *out)
{
    static const struct tool_pci_names unknown = { 0 };
    const struct tool_pci_options *o = out->options;
    const struct tool_pci_names *names = o->names != NULL ? o->names : &unknown;
    struct tool_pci_ids ids = tool_pci_ids(out->space);
    char vendor[160], device[160];

    named(out, "subsystem_vendor", ids.subsystem_vendor, names->subsystem_vendor, vendor,
          sizeof(vendor));
    named(out, "subsystem", ids.subsystem, names->subsystem, device, sizeof(device));
    if (ids.subsystem_vendor != 0 || ids.subsystem != 0)
        tool_pci_line(out, "Subsystem: vendor %s, device %s", vendor, device);
}

/* ----------------------------------------------------------------- header -- */

static void decode_header_type(struct tool_pci_out *out)
{
    static const char *const kinds[] = { "device", "PCI-to-PCI bridge",
                                         "CardBus bridge" };
    uint32_t value = tool_pci_u8(out, HEADER_TYPE), type = value & TYPE_MASK;

    tool_pci_put_number(out, "header_type", type);
    tool_pci_put_bool(out, "multi_function", (value & MULTI_FUNCTION) != 0);
    tool_pci_line(out, "Header: type %" PRIu32 " (%s)%s", type,
                  type < TOOL_PCI_COUNT(kinds) ? kinds[type] : "unknown",
                  value & MULTI_FUNCTION ? ", one of several functions" : "");
}

static void decode_command_status(struct tool_pci_out *out)
{
    static const char *const timings[] = { "fast", "medium", "slow", "reserved" };
    uint32_t command = tool_pci_u16(out, COMMAND), status = tool_pci_u16(out, STATUS);
    const char *timing = timings[status >> 9 & 3];
    struct json_object *outer;

    outer = tool_pci_flags(out, false, "Control", "command", command, command_flags,
                           TOOL_PCI_COUNT(command_flags));
    tool_pci_end(out, outer);
    outer = tool_pci_flags_and(out, false, "Status", "status", status, status_flags,
                               TOOL_PCI_COUNT(status_flags), "DEVSEL=%s", timing);
    tool_pci_put_string(out, "devsel", timing);
    tool_pci_end(out, outer);
}

static void decode_timers(struct tool_pci_out *out)
{
    uint32_t latency = tool_pci_u8(out, LATENCY), bist = tool_pci_u8(out, BIST);

    tool_pci_put_number(out, "latency_timer", latency);
    tool_pci_put_number(out, "cache_line_size", 4 * tool_pci_u8(out, LATENCY - 1));
    tool_pci_put_number(out, "bist", bist);
    tool_pci_detail(out, "Latency timer: %" PRIu32 ", cache line size: %" PRIu32 " bytes",
                    latency, 4 * tool_pci_u8(out, LATENCY - 1));
    if (bist & 0x80)
        tool_pci_detail(out, "Built-in self test: %s, result %" PRIu32,
                        bist & 0x40 ? "running" : "idle", bist & 0xf);
    if (header_type(out) != TYPE_DEVICE)
        return;
    tool_pci_put_number(out, "min_grant", tool_pci_u8(out, MIN_GRANT));
    tool_pci_put_number(out, "max_latency", tool_pci_u8(out, MAX_LATENCY));
}

static void decode_interrupt(struct tool_pci_out *out)
{
    uint32_t pin = tool_pci_u8(out, INTERRUPT_PIN);
    uint32_t line = tool_pci_u8(out, INTERRUPT_LINE);
    char name[8] = "none";

    if (pin >= 1 && pin <= 4)
        snprintf(name, sizeof(name), "%c", 'A' + (int)pin - 1);
    tool_pci_put_number(out, "interrupt_pin", pin);
    tool_pci_put_number(out, "interrupt_line", line);
    if (pin > 4)
        tool_pci_problem(out, "interrupt pin %" PRIu32 ": there are four, INTA to INTD",
                         pin);
    else if (pin != 0 || line != 0)
        tool_pci_line(out, "Interrupt: pin %s, line %" PRIu32, name, line);
}

/* ------------------------------------------------------------------- BARs -- */

enum {
    BAR_IO = 0x1,
    BAR_TYPE = 0x6,
    BAR_BELOW_1M = 0x2,
    BAR_64 = 0x4,
    BAR_PREFETCHABLE = 0x8,
    ROM_ENABLE = 0x1,
};

/* What a base address register says. */
struct bar {
    unsigned index;
    uint32_t low;
    bool io, wide;
    uint64_t address, size;     /* size: 0: none, or unknown */
};

static struct bar read_bar(const struct tool_pci_out *out, unsigned index, unsigned count)
{
    struct bar bar = { .index = index, .low = tool_pci_u32(out, BAR0 + 4 * index) };

    bar.io = (bar.low & BAR_IO) != 0;
    bar.wide = !bar.io && (bar.low & BAR_TYPE) == BAR_64 && index + 1 < count;
    bar.address = bar.low & (bar.io ? ~UINT32_C(3) : ~UINT32_C(15));
    if (bar.wide)
        bar.address |= (uint64_t)tool_pci_u32(out, BAR0 + 4 * index + 4) << 32;
    if (out->space->sizes_known)
        bar.size = out->space->sizes[index];
    return bar;
}

/* "memory, 64 bits, prefetchable" */
static const char *bar_kind(const struct bar *bar, char *buf, size_t len)
{
    if (bar->io)
        snprintf(buf, len, "I/O ports");
    else
        snprintf(buf, len, "memory, %s%s",
                 (bar->low & BAR_TYPE) == BAR_64 ? "64 bits"
                 : (bar->low & BAR_TYPE) == BAR_BELOW_1M ? "below 1 MiB" : "32 bits",
                 bar->low & BAR_PREFETCHABLE ? ", prefetchable" : "");
    return buf;
}

/* In the largest unit that leaves no rest: sizes of BARs are powers of two. */
static const char *size_text(uint64_t bytes, char *buf, size_t len)
{
    static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB",
                                         "EiB" };
    unsigned unit = 0;

    for (; bytes != 0 && bytes % 1024 == 0; bytes /= 1024)
        unit++;
    snprintf(buf, len, "%" PRIu64 " %s", bytes, units[unit]);
    return buf;
}

static const char *size_and_place(const struct tool_pci_out *out, uint64_t address,
                                  uint64_t size, char *buf, size_t len)
{
    char text[32] = "size unknown";

    if (out->space->sizes_known)
        size_text(size, text, sizeof(text));
    if (address != 0)
        snprintf(buf, len, "%s at 0x%" PRIx64, text, address);
    else
        snprintf(buf, len, "%s, no address yet", text);
    return buf;
}

static void check_bar(struct tool_pci_out *out, const struct bar *bar, unsigned count)
{
    if (!bar->io && (bar->low & BAR_TYPE) == BAR_TYPE)
        tool_pci_problem(out, "BAR%u: its type is reserved", bar->index);
    if (!bar->io && (bar->low & BAR_TYPE) == BAR_64 && bar->index + 1 == count)
        tool_pci_problem(out, "BAR%u has 64 bits, but no register follows for the "
                         "upper half", bar->index);
    if (!out->space->sizes_known)
        return;
    if (bar->wide && out->space->sizes[bar->index + 1] != 0)
        tool_pci_problem(out, "BAR%u is the upper half of BAR%u, but the server shows a "
                         "region for it", bar->index + 1, bar->index);
    if (bar->size == 0)
        tool_pci_problem(out, "BAR%u is set up, but the server shows no region for it",
                         bar->index);
    else if (bar->address % bar->size != 0 && (bar->size & (bar->size - 1)) == 0)
        tool_pci_problem(out, "BAR%u: its address is no multiple of its size",
                         bar->index);
}

static void decode_bar(struct tool_pci_out *out, const struct bar *bar, unsigned count,
                       struct json_object *array)
{
    struct json_object *outer;
    char kind[64], place[96];

    /* Some servers mark all registers that are no memory as I/O, also absent ones. */
    if (bar->size == 0 && bar->address == 0 && (out->space->sizes_known || bar->low == 0))
        return;
    outer = tool_pci_begin_item(out, array);
    tool_pci_put_number(out, "index", bar->index);
    tool_pci_put_string(out, "type", bar->io ? "io" : "memory");
    if (!bar->io) {
        tool_pci_put_number(out, "bits", (bar->low & BAR_TYPE) == BAR_64 ? 64 : 32);
        tool_pci_put_bool(out, "prefetchable", (bar->low & BAR_PREFETCHABLE) != 0);
    }
    tool_pci_put_number(out, "address", bar->address);
    if (out->space->sizes_known)
        tool_pci_put_number(out, "size", bar->size);
    tool_pci_end(out, outer);
    tool_pci_line(out, "BAR%u: %s, %s", bar->index, bar_kind(bar, kind, sizeof(kind)),
                  size_and_place(out, bar->address, bar->size, place, sizeof(place)));
    check_bar(out, bar, count);
}

static void decode_bars(struct tool_pci_out *out)
{
    unsigned count = header_type(out) == TYPE_DEVICE ? TOOL_PCI_BARS
                     : header_type(out) == TYPE_BRIDGE ? 2 : 1;
    struct json_object *array = json_object_new_array();

    tool_pci_put(out, "bars", array);
    if (out->failed)
        return;
    for (unsigned i = 0; i < count; i++) {
        struct bar bar = read_bar(out, i, count);

        decode_bar(out, &bar, count, array);
        i += bar.wide;
    }
}

static void decode_rom(struct tool_pci_out *out)
{
    uint32_t value =
        tool_pci_u32(out, header_type(out) == TYPE_DEVICE ? ROM : BRIDGE_ROM);
    uint64_t size = out->space->sizes_known ? out->space->sizes[TOOL_PCI_ROM] : 0;
    uint64_t address = value & ~UINT32_C(0x7ff);
    struct json_object *outer;
    char place[96];

    if (header_type(out) > TYPE_BRIDGE || (value == 0 && size == 0))
        return;
    outer = tool_pci_begin(out, "rom");
    tool_pci_put_number(out, "address", address);
    if (out->space->sizes_known)
        tool_pci_put_number(out, "size", size);
    tool_pci_put_bool(out, "enabled", (value & ROM_ENABLE) != 0);
    tool_pci_end(out, outer);
    tool_pci_line(out, "Expansion ROM: %s, %s",
                  size_and_place(out, address, size, place, sizeof(place)),
                  value & ROM_ENABLE ? "enabled" : "disabled");
}

void tool_pci_check_table(struct tool_pci_out *out, const char *what, unsigned bar,
                          uint64_t offset, uint64_t size)
{
    if (bar >= TOOL_PCI_BARS)
        tool_pci_problem(out, "%s: there is no BAR%u", what, bar);
    else if (out->space->sizes_known && (offset > out->space->sizes[bar] ||
                                         size > out->space->sizes[bar] - offset))
        tool_pci_problem(out,
                         "%s: 0x%" PRIx64 " bytes at 0x%" PRIx64 " do not lie in BAR%u, "
                         "which has 0x%" PRIx64,
                         what, size, offset, bar, out->space->sizes[bar]);
}

static void decode_bus_numbers(struct tool_pci_out *out)
{
    uint32_t primary = tool_pci_u8(out, BUS_NUMBERS);
    uint32_t secondary = tool_pci_u8(out, BUS_NUMBERS + 1);
    uint32_t subordinate = tool_pci_u8(out, BUS_NUMBERS + 2);
    struct json_object *outer = tool_pci_begin(out, "bus");

    tool_pci_put_number(out, "primary", primary);
    tool_pci_put_number(out, "secondary", secondary);
    tool_pci_put_number(out, "subordinate", subordinate);
    tool_pci_end(out, outer);
    tool_pci_line(out, "Bus: primary %02" PRIx32 ", secondary %02" PRIx32
                  ", subordinate %02" PRIx32, primary, secondary, subordinate);
}

/* ----------------------------------------------------------------- report -- */

static void decode_space(struct tool_pci_out *out)
{
    tool_pci_put_string(out, "address", out->options->address);
    tool_pci_put_number(out, "length", out->space->len);
    if (out->space->len < TOOL_PCI_HEADER_LEN) {
        tool_pci_problem(out, "%zu bytes of configuration space are less than a header",
                         out->space->len);
        return;
    }
    decode_identity(out);
    out->depth = 1;
    if (tool_pci_u16(out, VENDOR) == NO_DEVICE)
        tool_pci_problem(out, "vendor ffff means that no device is there");
    if (header_type(out) == TYPE_DEVICE)
        decode_subsystem(out);
    decode_header_type(out);
    decode_command_status(out);
    decode_timers(out);
    decode_interrupt(out);
    if (header_type(out) == TYPE_BRIDGE)
        decode_bus_numbers(out);
    decode_bars(out);
    decode_rom(out);
    tool_pci_capabilities(out);
    tool_pci_extended_capabilities(out);
}

/* Both objects exist; the array of problems belongs to the report from now on. */
static void decode_into(struct tool_pci_out *out, struct tool_pci_report *report)
{
    decode_space(out);
    out->object = report->json;
    tool_pci_put(out, "problems", json_object_get(out->problems));
}

int tool_pci_decode(const struct tool_pci_space *space,
                    const struct tool_pci_options *options,
                    struct tool_pci_report *report)
{
    struct tool_pci_out out = { .space = space, .options = options };
    size_t len;

    *report = (struct tool_pci_report){ .json = json_object_new_object() };
    out.object = report->json;
    out.problems = json_object_new_array();
    out.text = open_memstream(&report->text, &len);
    out.failed = report->json == NULL || out.problems == NULL || out.text == NULL;
    if (!out.failed)
        decode_into(&out, report);
    json_object_put(out.problems);
    if (out.text != NULL && fclose(out.text) != 0)
        out.failed = true;
    report->problems = out.n_problems;
    if (out.failed) {
        tool_pci_report_done(report);
        return -ENOMEM;
    }
    return 0;
}

void tool_pci_report_done(struct tool_pci_report *report)
{
    free(report->text);
    json_object_put(report->json);
    *report = (struct tool_pci_report){ 0 };
}

/* ------------------------------------------------------------------- dump -- */

/* Up to `digits` hexadecimal digits, then `end`; *at moves behind it. */
static bool take_hex(const char **at, int digits, char end, unsigned *value)
{
    int n = 0;

    *value = 0;
    for (; n < digits; n++) {
        const char *digit = strchr("00112233445566778899aAbBcCdDeEfF", (*at)[n]);

        if ((*at)[n] == '\0' || digit == NULL)
            break;
        *value = *value << 4 | ((*at)[n] <= '9' ? (unsigned)((*at)[n] - '0')
                                                : ((unsigned)(*at)[n] & 7) + 9);
    }
    if (n == 0 || (*at)[n] != end)
        return false;
    *at += n + (end != '\0');
    return true;
}

const char *tool_pci_address(const char *text, char *buf, size_t len)
{
    unsigned domain = 0, bus = 0, device, function;
    const char *colon = strchr(text, ':');

    if (colon != NULL && strchr(colon + 1, ':') != NULL &&
        !take_hex(&text, 8, ':', &domain))
        return NULL;
    if (colon != NULL && !take_hex(&text, 2, ':', &bus))
        return NULL;
    if (!take_hex(&text, 2, '.', &device) || !take_hex(&text, 1, '\0', &function) ||
        device > 31 || function > 7)
        return NULL;
    if (domain != 0)
        snprintf(buf, len, "%04x:%02x:%02x.%x", domain, bus, device, function);
    else
        snprintf(buf, len, "%02x:%02x.%x", bus, device, function);
    return buf;
}

char *tool_pci_dump(const struct tool_pci_space *space, const char *address)
{
    const struct tool_pci_out in = { .space = space };
    uint32_t code = tool_pci_u16(&in, CLASS + 1);
    const char *name = tool_pci_class_name((uint16_t)code);
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    if (f == NULL)
        return NULL;
    fprintf(f, "%s %s [%04" PRIx32 "]: %04" PRIx32 ":%04" PRIx32 "\n", address,
            name != NULL ? name : "Class", code, tool_pci_u16(&in, VENDOR),
            tool_pci_u16(&in, DEVICE));
    for (size_t at = 0; at < space->len; at += 16) {
        fprintf(f, "%02zx:", at);
        for (size_t i = at; i < at + 16 && i < space->len; i++)
            fprintf(f, " %02x", space->bytes[i]);
        fputc('\n', f);
    }
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
