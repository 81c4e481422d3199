/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The chain of capabilities behind the header of configuration space.
 *
 * The chain is followed first, then its members are decoded: each may use the bytes up to
 * the one that begins next, wherever that stands in the chain.
 *
 * Source: PCI Local Bus 3.0, 6.7 and appendix H; PCI Power Management 1.2; PCI Express
 * Base 6.0, 7.5.3; VIRTIO 1.2, 4.1.4.
 */
#include <inttypes.h>
#include <linux/pci_regs.h>

#include "tools/pci_out.h"

#define POINTER     0x34    /* where the chain begins, if Status has its bit */
#define MAX_MEMBERS ((TOOL_PCI_SPACE_SMALL - TOOL_PCI_HEADER_LEN) / 4)

#define FLAGS(table) (table), TOOL_PCI_COUNT(table)

typedef void decode_fn(struct tool_pci_out *out, const struct tool_pci_cap *cap);

static bool bit(uint32_t value, unsigned n)
{
    return (value >> n & 1) != 0;
}

static uint32_t field(uint32_t value, unsigned first, unsigned last)
{
    return value >> first & ((UINT32_C(2) << (last - first)) - 1);
}

static uint32_t u16(struct tool_pci_out *out, const struct tool_pci_cap *cap, size_t at)
{
    return tool_pci_u16(out, cap->offset + at);
}

static uint32_t u32(struct tool_pci_out *out, const struct tool_pci_cap *cap, size_t at)
{
    return tool_pci_u32(out, cap->offset + at);
}

/* --------------------------------------------------------- power management -- */

static const struct tool_pci_flag pm_flags[] = {
    { 1u << 3, "PMEClk", "pme_clock" },
    { 1u << 5, "DSI", "device_specific_initialization" },
    { 1u << 9, "D1", "d1" },
    { 1u << 10, "D2", "d2" },
    { 1u << 11, "PME-D0", "pme_d0" },
    { 1u << 12, "PME-D1", "pme_d1" },
    { 1u << 13, "PME-D2", "pme_d2" },
    { 1u << 14, "PME-D3hot", "pme_d3hot" },
    { 1u << 15, "PME-D3cold", "pme_d3cold" },
};

static const struct tool_pci_flag pm_control_flags[] = {
    { 1u << 3, "NoSoftRst", "no_soft_reset" },
    { 1u << 8, "PME-Enable", "pme_enable" },
    { 1u << 15, "PME", "pme_status" },
};

static void decode_pm(struct tool_pci_out *out, const struct tool_pci_cap *cap)
{
    uint32_t pmc = u16(out, cap, 2), pmcsr = u16(out, cap, 4);
    struct json_object *outer;

    tool_pci_put_number(out, "version", field(pmc, 0, 2));
    tool_pci_line(out, "Capabilities: [%02zx] Power Management version %" PRIu32
                  ", in D%" PRIu32, cap->offset, field(pmc, 0, 2), field(pmcsr, 0, 1));
    out->depth++;
    outer = tool_pci_flags_and(out, true, "Flags", "flags", pmc, FLAGS(pm_flags),
                               "AuxCurrent=%" PRIu32, field(pmc, 6, 8));
    tool_pci_put_number(out, "aux_current", field(pmc, 6, 8));
    tool_pci_end(out, outer);
    outer = tool_pci_flags_and(out, true, "Status", "status", pmcsr,
                               FLAGS(pm_control_flags),
                               "D%" PRIu32 " DSel=%" PRIu32 " DScale=%" PRIu32,
                               field(pmcsr, 0, 1), field(pmcsr, 9, 12),
                               field(pmcsr, 13, 14));
    tool_pci_put_number(out, "state", field(pmcsr, 0, 1));
    tool_pci_end(out, outer);
    out->depth--;
}

/* --------------------------------------------------------------- interrupts -- */

/* Message address, upper half of it, data, mask bits, pending bits: at which offsets
 * depends on the first register. */
static void decode_msi_message(struct tool_pci_out *out, const struct tool_pci_cap *cap,
                               bool wide, bool maskable)
{
    uint64_t address = u32(out, cap, 4);
    uint32_t data = u16(out, cap, wide ? 12 : 8);
    size_t masks = wide ? 16 : 12;

    if (wide)
        address |= (uint64_t)u32(out, cap, 8) << 32;
    tool_pci_put_number(out, "address", address);
    tool_pci_put_number(out, "data", data);
    tool_pci_detail(out, "Address: %0*" PRIx64 "  Data: %04" PRIx32, wide ? 16 : 8,
                    address, data);
    if (!maskable)
        return;
    tool_pci_put_number(out, "masked", u32(out, cap, masks));
    tool_pci_put_number(out, "pending", u32(out, cap, masks + 4));
    tool_pci_detail(out, "Masking: %08" PRIx32 "  Pending: %08" PRIx32,
                    u32(out, cap, masks), u32(out, cap, masks + 4));
}

static void decode_msi(struct tool_pci_out *out, const struct tool_pci_cap *cap)
{
    uint32_t control = u16(out, cap, 2);
    bool wide = bit(control, 7), maskable = bit(control, 8);
    unsigned vectors = 1u << field(control, 1, 3), used = 1u << field(control, 4, 6);
    size_t need = (wide ? 14u : 10u) + (maskable ? 10u : 0u);

    tool_pci_put_bool(out, "enabled", bit(control, 0));
    tool_pci_put_number(out, "vectors", vectors);
    tool_pci_put_number(out, "vectors_enabled", used);
    tool_pci_put_bool(out, "bits64", wide);
    tool_pci_put_bool(out, "maskable", maskable);
    tool_pci_line(out,
                  "Capabilities: [%02zx] MSI: Enable%c Count=%u/%u Maskable%c 64bit%c",
                  cap->offset, bit(control, 0) ? '+' : '-', used, vectors,
                  maskable ? '+' : '-', wide ? '+' : '-');
    out->depth++;
    if (vectors > 32)
        tool_pci_problem(out, "MSI with %u vectors: 32 is the most", vectors);
    if (used > vectors)
        tool_pci_problem(out, "MSI: %u vectors are enabled, there are %u", used, vectors);
    if (need > cap->room)
        tool_pci_problem(out, "MSI: %zu of its %zu bytes are another capability's", need
                         - cap->room, need);
    else
        decode_msi_message(out, cap, wide, maskable);
    out->depth--;
}

static void decode_msix_table(struct tool_pci_out *out, const char *title,
                              const char *key, uint32_t value, uint64_t size)
{
    struct json_object *outer = tool_pci_begin(out, key);
    uint32_t bar = value & PCI_MSIX_TABLE_BIR, offset = value & PCI_MSIX_TABLE_OFFSET;
    char what[32];

    tool_pci_put_number(out, "bar", bar);
    tool_pci_put_number(out, "offset", offset);
    tool_pci_end(out, outer);
    tool_pci_detail(out, "%s: BAR=%" PRIu32 " offset=%08" PRIx32, title, bar, offset);
    snprintf(what, sizeof(what), "MSI-X %s", key);
    tool_pci_check_table(out, what, bar, offset, size);
}

static void decode_msix(struct tool_pci_out *out, const struct tool_pci_cap *cap)
{
    uint32_t control = u16(out, cap, 2), vectors = field(control, 0, 10) + 1;

    tool_pci_put_bool(out, "enabled", bit(control, 15));
    tool_pci_put_bool(out, "masked", bit(control, 14));
    tool_pci_put_number(out, "vectors", vectors);
    tool_pci_line(out, "Capabilities: [%02zx] MSI-X: Enable%c Count=%" PRIu32 " Masked%c",
                  cap->offset, bit(control, 15) ? '+' : '-', vectors,
                  bit(control, 14) ? '+' : '-');
    out->depth++;
    decode_msix_table(out, "Vector table", "table", u32(out, cap, 4),
                      UINT64_C(16) * vectors);
    decode_msix_table(out, "PBA", "pba", u32(out, cap, 8), (vectors + 63) / 64 * 8);
    out->depth--;
}

/* ------------------------------------------------------------ PCI Express -- */

static const struct tool_pci_flag devcap_flags[] = {
    { 1u << 5, "ExtTag", "extended_tag" },
    { 1u << 15, "RBE", "role_based_errors" },
    { 1u << 28, "FLReset", "flr" },
};

static const struct tool_pci_flag devctl_flags[] = {
    { 1u << 0, "CorrErr", "correctable_errors" },
    { 1u << 1, "NonFatalErr", "non_fatal_errors" },
    { 1u << 2, "FatalErr", "fatal_errors" },
    { 1u << 3, "UnsupReq", "unsupported_requests" },
    { 1u << 4, "RlxdOrd", "relaxed_ordering" },
    { 1u << 8, "ExtTag", "extended_tag" },
    { 1u << 9, "PhantFunc", "phantom_functions" },
    { 1u << 10, "AuxPwr", "aux_power" },
    { 1u << 11, "NoSnoop", "no_snoop" },
    { 1u << 15, "FLReset", "flr" },
};

static const struct tool_pci_flag devsta_flags[] = {
    { 1u << 0, "CorrErr", "correctable_error" },
    { 1u << 1, "NonFatalErr", "non_fatal_error" },
    { 1u << 2, "FatalErr", "fatal_error" },
    { 1u << 3, "UnsupReq", "unsupported_request" },
    { 1u << 4, "AuxPwr", "aux_power" },
    { 1u << 5, "TransPend", "transactions_pending" },
};

static const struct tool_pci_flag lnkcap_flags[] = {
    { 1u << 18, "ClockPM", "clock_pm" },
    { 1u << 19, "Surprise", "surprise_down" },
    { 1u << 20, "LLActRep", "link_active_reporting" },
    { 1u << 21, "BwNot", "bandwidth_notification" },
    { 1u << 22, "ASPMOptComp", "aspm_optionality" },
};

static const struct tool_pci_flag lnkctl_flags[] = {
    { 1u << 4, "Disabled", "disabled" },
    { 1u << 5, "Retrain", "retrain" },
    { 1u << 6, "CommClk", "common_clock" },
    { 1u << 7, "ExtSynch", "extended_synch" },
    { 1u << 8, "ClockPM", "clock_pm" },
    { 1u << 9, "AutWidDis", "autonomous_width_disable" },
    { 1u << 10, "BWInt", "bandwidth_interrupt" },
    { 1u << 11, "AutBWInt", "autonomous_bandwidth_interrupt" },
};

static const struct tool_pci_flag lnksta_flags[] = {
    { 1u << 11, "Train", "training" },
    { 1u << 12, "SlotClk", "slot_clock" },
    { 1u << 13, "DLActive", "active" },
    { 1u << 14, "BWMgmt", "bandwidth_management" },
    { 1u << 15, "ABWMgmt", "autonomous_bandwidth" },
};

static const struct tool_pci_flag devcap2_flags[] = {
    { 1u << 4, "TimeoutDis", "completion_timeout_disable" },
    { 1u << 5, "ARIFwd", "ari_forwarding" },
    { 1u << 6, "AtomicRouting", "atomic_routing" },
    { 1u << 7, "32bitAtomic", "atomic32" },
    { 1u << 8, "64bitAtomic", "atomic64" },
    { 1u << 9, "128bitCAS", "cas128" },
    { 1u << 11, "LTR", "ltr" },
    { 1u << 16, "10BitTagComp", "tag10_completer" },
    { 1u << 17, "10BitTagReq", "tag10_requester" },
    { 1u << 20, "ExtFmt", "extended_fmt" },
    { 1u << 21, "EETLPPrefix", "end_to_end_prefix" },
};

static const struct tool_pci_flag devctl2_flags[] = {
    { 1u << 4, "TimeoutDis", "completion_timeout_disable" },
    { 1u << 5, "ARIFwd", "ari_forwarding" },
    { 1u << 6, "AtomicReq", "atomic_requester" },
    { 1u << 8, "IDOReq", "ido_requests" },
    { 1u << 9, "IDOCompl", "ido_completions" },
    { 1u << 10, "LTR", "ltr" },
    { 1u << 12, "10BitTagReq", "tag10_requester" },
};

/* Types of functions that have a link, and of those that have a slot. */
static const struct port_type {
    const char *name;
    bool link;
} port_types[16] = {
    [0] = { "Endpoint", true },
    [1] = { "Legacy Endpoint", true },
    [4] = { "Root Port", true },
    [5] = { "Upstream Port", true },
    [6] = { "Downstream Port", true },
    [7] = { "PCI Express to PCI Bridge", true },
    [8] = { "PCI to PCI Express Bridge", true },
    [9] = { "Root Complex Integrated Endpoint", false },
    [10] = { "Root Complex Event Collector", false },
};

static const char *speed_name(uint32_t speed)
{
    static const char *const names[] = { "unknown", "2.5GT/s", "5GT/s",  "8GT/s",
                                         "16GT/s",  "32GT/s",  "64GT/s" };

    return speed < TOOL_PCI_COUNT(names) ? names[speed] : names[0];
}

static const char *aspm_name(uint32_t aspm)
{
    static const char *const names[] = { "none", "L0s", "L1", "L0s,L1" };

    return names[aspm & 3];
}

/* A size of 128 << n bytes; n of 6 and 7 is reserved. */
static unsigned payload(uint32_t n)
{
    return n < 6 ? 128u << n : 0;
}

static void decode_exp_device(struct tool_pci_out *out, const struct tool_pci_cap *cap)
{
    static const uint32_t scales[] = { 1000, 100, 10, 1 };    /* of slot power, in mW */
    uint32_t caps = u32(out, cap, 4), control = u16(out, cap, 8);
    uint32_t milliwatts = field(caps, 18, 25) * scales[field(caps, 26, 27)];
    struct json_object *outer;

    outer = tool_pci_flags_and(out, true, "DevCap", "device_capabilities", caps,
                               FLAGS(devcap_flags),
                               "MaxPayload=%u PhantFunc=%u SlotPower=%gW",
                               payload(field(caps, 0, 2)),
                               (1u << field(caps, 3, 4)) - 1, milliwatts / 1000.0);
    tool_pci_put_number(out, "max_payload", payload(field(caps, 0, 2)));
    tool_pci_put_number(out, "slot_power_mw", milliwatts);
    tool_pci_end(out, outer);
    outer = tool_pci_flags_and(out, true, "DevCtl", "device_control", control,
                               FLAGS(devctl_flags), "MaxPayload=%u MaxReadReq=%u",
                               payload(field(control, 5, 7)),
                               payload(field(control, 12, 14)));
    tool_pci_put_number(out, "max_payload", payload(field(control, 5, 7)));
    tool_pci_put_number(out, "max_read_request", payload(field(control, 12, 14)));
    tool_pci_end(out, outer);
    outer = tool_pci_flags(out, true, "DevSta", "device_status", u16(out, cap, 10),
                           FLAGS(devsta_flags));
    tool_pci_end(out, outer);
}

static void put_speed_width(struct tool_pci_out *out, uint32_t speed, uint32_t width)
{
    tool_pci_put_string(out, "speed", speed_name(speed));
    tool_pci_put_number(out, "width", width);
}

static void decode_exp_link(struct tool_pci_out *out, const struct tool_pci_cap *cap)
{
    uint32_t caps = u32(out, cap, 12), control = u16(out, cap, 16);
    uint32_t status = u16(out, cap, 18);
    struct json_object *outer;

    outer = tool_pci_flags_and(out, true, "LnkCap", "link_capabilities", caps,
                               FLAGS(lnkcap_flags),
                               "Port#%" PRIu32 " Speed=%s Width=x%" PRIu32 " ASPM=%s",
                               field(caps, 24, 31), speed_name(field(caps, 0, 3)),
                               field(caps, 4, 9), aspm_name(field(caps, 10, 11)));
    put_speed_width(out, field(caps, 0, 3), field(caps, 4, 9));
    tool_pci_put_number(out, "port", field(caps, 24, 31));
    tool_pci_put_string(out, "aspm", aspm_name(field(caps, 10, 11)));
    tool_pci_end(out, outer);
    outer = tool_pci_flags_and(out, true, "LnkCtl", "link_control", control,
                               FLAGS(lnkctl_flags), "ASPM=%s RCB=%u",
                               aspm_name(field(control, 0, 1)),
                               bit(control, 3) ? 128u : 64u);
    tool_pci_put_string(out, "aspm", aspm_name(field(control, 0, 1)));
    tool_pci_end(out, outer);
    outer = tool_pci_flags_and(out, true, "LnkSta", "link_status", status,
                               FLAGS(lnksta_flags), "Speed=%s Width=x%" PRIu32,
                               speed_name(field(status, 0, 3)), field(status, 4, 9));
    put_speed_width(out, field(status, 0, 3), field(status, 4, 9));
    tool_pci_end(out, outer);
}

static void decode_exp_version_2(struct tool_pci_out *out, const struct tool_pci_cap *cap)
{
    uint32_t control = u16(out, cap, 40);
    struct json_object *outer;

    outer = tool_pci_flags_and(out, true, "DevCap2", "device_capabilities_2",
                               u32(out, cap, 36), FLAGS(devcap2_flags),
                               "TimeoutRanges=%" PRIx32,
                               field(u32(out, cap, 36), 0, 3));
    tool_pci_end(out, outer);
    outer = tool_pci_flags_and(out, true, "DevCtl2", "device_control_2", control,
                               FLAGS(devctl2_flags), "Timeout=%" PRIx32,
                               field(control, 0, 3));
    tool_pci_end(out, outer);
}

static void decode_exp(struct tool_pci_out *out, const struct tool_pci_cap *cap)
{
    uint32_t caps = u16(out, cap, 2), version = field(caps, 0, 3);
    const struct port_type *type = &port_types[field(caps, 4, 7)];
    const char *name = type->name != NULL ? type->name : "unknown kind";

    tool_pci_put_number(out, "version", version);
    tool_pci_put_string(out, "type", name);
    tool_pci_put_bool(out, "slot", bit(caps, 8));
    tool_pci_put_number(out, "message", field(caps, 9, 13));
    tool_pci_line(out, "Capabilities: [%02zx] Express (v%" PRIu32 ") %s%s, MSI %02" PRIx32
                  ", FLReset%c", cap->offset, version, name,
                  bit(caps, 8) ? " (Slot+)" : "", field(caps, 9, 13),
                  bit(u32(out, cap, 4), 28) ? '+' : '-');
    out->depth++;
    if (type->name == NULL)
        tool_pci_problem(out, "PCI Express: type %" PRIu32 " is reserved",
                         field(caps, 4, 7));
    decode_exp_device(out, cap);
    if (type->link && cap->room >= 20)
        decode_exp_link(out, cap);
    if (version >= 2 && cap->room < 44)
        tool_pci_problem(out, "PCI Express version %" PRIu32 " has %zu bytes, and wants "
                         "44 at least", version, cap->room);
    else if (version >= 2)
        decode_exp_version_2(out, cap);
    out->depth--;
}

/* ------------------------------------------------------------- all others -- */

#define VENDOR_VIRTIO 0x1af4

/* Where the structures of a virtio device lie. */
static void decode_virtio(struct tool_pci_out *out, const struct tool_pci_cap *cap)
{
    static const char *const kinds[] = { NULL,     "CommonCfg", "Notify", "ISR",
                                         "DeviceCfg", "PCICfg" };
    uint32_t kind = tool_pci_u8(out, cap->offset + 3);
    uint32_t bar = tool_pci_u8(out, cap->offset + 4);
    const char *name = kind < TOOL_PCI_COUNT(kinds) && kinds[kind] != NULL ? kinds[kind]
                                                                           : "other";
    struct json_object *outer = tool_pci_begin(out, "virtio");

    tool_pci_put_string(out, "structure", name);
    tool_pci_put_number(out, "bar", bar);
    tool_pci_put_number(out, "offset", u32(out, cap, 8));
    tool_pci_put_number(out, "size", u32(out, cap, 12));
    tool_pci_end(out, outer);
    tool_pci_detail(out, "VirtIO: %s BAR=%" PRIu32 " offset=%08" PRIx32
                    " size=%08" PRIx32, name, bar, u32(out, cap, 8), u32(out, cap, 12));
}

static void decode_vendor(struct tool_pci_out *out, const struct tool_pci_cap *cap)
{
    uint32_t len = tool_pci_u8(out, cap->offset + 2);

    tool_pci_put_number(out, "length", len);
    tool_pci_line(out, "Capabilities: [%02zx] Vendor-specific, %" PRIu32 " bytes",
                  cap->offset, len);
    out->depth++;
    if (len < 3)
        tool_pci_problem(out,
                         "vendor-specific capability at [%02zx]: a length of %" PRIu32
                         " does not hold its own header",
                         cap->offset, len);
    else if (len > cap->room)
        tool_pci_problem(out, "vendor-specific capability at [%02zx]: %" PRIu32 " of its "
                         "bytes are another capability's or beyond the end", cap->offset,
                         len - (uint32_t)cap->room);
    else if (tool_pci_u16(out, 0) == VENDOR_VIRTIO && len >= 16)
        decode_virtio(out, cap);
    out->depth--;
}

static void decode_vpd(struct tool_pci_out *out, const struct tool_pci_cap *cap)
{
    uint32_t address = u16(out, cap, 2);

    tool_pci_put_number(out, "address", field(address, 0, 14));
    tool_pci_put_bool(out, "flag", bit(address, 15));
    tool_pci_line(out, "Capabilities: [%02zx] Vital Product Data", cap->offset);
    out->depth++;
    tool_pci_detail(out, "Address: %04" PRIx32 " Flag%c Data: %08" PRIx32,
                    field(address, 0, 14), bit(address, 15) ? '+' : '-',
                    u32(out, cap, 4));
    out->depth--;
}

static void decode_bridge_ids(struct tool_pci_out *out, const struct tool_pci_cap *cap)
{
    tool_pci_put_number(out, "subsystem_vendor", u16(out, cap, 4));
    tool_pci_put_number(out, "subsystem", u16(out, cap, 6));
    tool_pci_line(out, "Capabilities: [%02zx] Bridge subsystem: vendor %04" PRIx32
                  ", device %04" PRIx32, cap->offset, u16(out, cap, 4), u16(out, cap, 6));
}

static const struct tool_pci_flag af_flags[] = {
    { 1u << 0, "TP", "transactions_pending" },
    { 1u << 1, "FLR", "flr" },
};

static void decode_af(struct tool_pci_out *out, const struct tool_pci_cap *cap)
{
    struct json_object *outer;

    tool_pci_line(out, "Capabilities: [%02zx] Advanced Features", cap->offset);
    out->depth++;
    outer = tool_pci_flags(out, true, "AFCap", "features",
                           tool_pci_u8(out, cap->offset + 3), FLAGS(af_flags));
    tool_pci_end(out, outer);
    out->depth--;
}

/* id: name, and for those whose registers are shown how, and their least length */
static const struct kind {
    const char *name;
    decode_fn *decode;
    size_t len;
} kinds[] = {
    [0x00] = { "Null", NULL, 2 },
    [0x01] = { "Power Management", decode_pm, 8 },
    [0x02] = { "AGP", NULL, 2 },
    [0x03] = { "Vital Product Data", decode_vpd, 8 },
    [0x04] = { "Slot Identification", NULL, 4 },
    [0x05] = { "MSI", decode_msi, 10 },
    [0x06] = { "CompactPCI Hot Swap", NULL, 2 },
    [0x07] = { "PCI-X", NULL, 8 },
    [0x08] = { "HyperTransport", NULL, 4 },
    [0x09] = { "Vendor-specific", decode_vendor, 3 },
    [0x0a] = { "Debug Port", NULL, 4 },
    [0x0b] = { "CompactPCI Central Resource Control", NULL, 2 },
    [0x0c] = { "Hot-plug", NULL, 2 },
    [0x0d] = { "Bridge subsystem", decode_bridge_ids, 8 },
    [0x0e] = { "AGP 8x", NULL, 2 },
    [0x0f] = { "Secure Device", NULL, 2 },
    [0x10] = { "Express", decode_exp, 12 },
    [0x11] = { "MSI-X", decode_msix, 12 },
    [0x12] = { "SATA", NULL, 8 },
    [0x13] = { "Advanced Features", decode_af, 6 },
    [0x14] = { "Enhanced Allocation", NULL, 4 },
    [0x15] = { "Flattening Portal Bridge", NULL, 4 },
};

static void decode_capability(struct tool_pci_out *out, const struct tool_pci_cap *cap)
{
    const struct kind *kind = cap->id < TOOL_PCI_COUNT(kinds) ? &kinds[cap->id] : NULL;

    tool_pci_put_number(out, "offset", cap->offset);
    tool_pci_put_number(out, "id", cap->id);
    tool_pci_put_string(out, "name", kind != NULL ? kind->name : "unknown");
    if (kind != NULL && kind->decode != NULL && cap->room >= kind->len) {
        kind->decode(out, cap);
        return;
    }
    tool_pci_line(out, "Capabilities: [%02zx] %s (id %02x)", cap->offset,
                  kind != NULL ? kind->name : "unknown", cap->id);
    if (kind == NULL || cap->room >= kind->len)
        return;
    out->depth++;
    tool_pci_problem(out,
                     "capability at [%02zx] (%s) needs %zu bytes; the next one or the "
                     "end comes after %zu",
                     cap->offset, kind->name, kind->len, cap->room);
    out->depth--;
}

/* ------------------------------------------------------------------ chain -- */

/* Where the members are, in the order of the chain. */
struct chain {
    size_t at[MAX_MEMBERS];
    size_t n;
};

static bool is_member(const struct chain *chain, size_t at)
{
    for (size_t i = 0; i < chain->n; i++) {
        if (chain->at[i] == at)
            return true;
    }
    return false;
}

/* May a capability begin at `at`? Says why not; `from` is where the pointer was. */
static bool follow(struct tool_pci_out *out, const struct chain *chain, size_t from,
                   size_t at)
{
    if (at < TOOL_PCI_HEADER_LEN)
        tool_pci_problem(out, "the pointer at [%02zx] leads to [%02zx], into the header",
                         from, at);
    else if (at + 2 > out->space->len)
        tool_pci_problem(out, "the pointer at [%02zx] leads to [%02zx], beyond the end",
                         from, at);
    else if (is_member(chain, at))
        tool_pci_problem(out, "the chain of capabilities loops: from [%02zx] back to "
                         "[%02zx]", from, at);
    else
        return true;
    return false;
}

/* Pointers have two reserved bits, which readers have to mask. */
static size_t pointer(struct tool_pci_out *out, size_t from)
{
    uint32_t value = tool_pci_u8(out, from);

    if (value & 3)
        tool_pci_problem(out, "the pointer at [%02zx] is %02" PRIx32
                         ", no multiple of 4: its low bits are reserved", from, value);
    return value & ~UINT32_C(3);
}

/* No member twice, so it ends. */
static void find_chain(struct tool_pci_out *out, struct chain *chain)
{
    size_t from = POINTER, at = pointer(out, from);

    while (at != 0 && follow(out, chain, from, at)) {
        chain->at[chain->n++] = at;
        from = at + 1;
        at = pointer(out, from);
    }
}

/* Bytes from one member to whichever begins next. */
static size_t room(const struct tool_pci_out *out, const struct chain *chain, size_t at)
{
    size_t end = out->space->len < TOOL_PCI_SPACE_SMALL ? out->space->len
                                                        : TOOL_PCI_SPACE_SMALL;

    for (size_t i = 0; i < chain->n; i++) {
        if (chain->at[i] > at && chain->at[i] < end)
            end = chain->at[i];
    }
    return end - at;
}

void tool_pci_capabilities(struct tool_pci_out *out)
{
    struct json_object *array = json_object_new_array(), *outer;
    bool has_chain = (tool_pci_u16(out, PCI_STATUS) & PCI_STATUS_CAP_LIST) != 0;
    struct chain chain = { .n = 0 };

    tool_pci_put(out, "capabilities", array);
    if (out->failed)
        return;
    if (!has_chain && tool_pci_u8(out, POINTER) != 0)
        tool_pci_detail(out, "Capabilities: none (Status does not say Cap+)");
    if (!has_chain)
        return;
    find_chain(out, &chain);
    for (size_t i = 0; i < chain.n; i++) {
        struct tool_pci_cap cap = {
            .offset = chain.at[i],
            .room = room(out, &chain, chain.at[i]),
            .id = tool_pci_u8(out, chain.at[i]),
        };

        outer = tool_pci_begin_item(out, array);
        decode_capability(out, &cap);
        tool_pci_end(out, outer);
    }
}
