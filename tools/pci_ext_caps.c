/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The chain of extended capabilities, from offset 0x100 of configuration space on.
 *
 * Source: PCI Express Base 6.0, 7.6 to 7.9, and each capability's own section there;
 * Single Root I/O Virtualization 1.1, 3.3; Address Translation Services 1.1, 5.1.
 */
#include <inttypes.h>

#include "tools/pci_out.h"

#define FIRST       TOOL_PCI_SPACE_SMALL
#define HEADER_LEN  4
#define MAX_MEMBERS ((TOOL_PCI_SPACE_MAX - FIRST) / HEADER_LEN)

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

/* A register of flags alone. */
static void flags(struct tool_pci_out *out, const char *title, const char *key,
                  uint32_t value, const struct tool_pci_flag *table, size_t n)
{
    tool_pci_end(out, tool_pci_flags(out, true, title, key, value, table, n));
}

/* ---------------------------------------------------------------- errors -- */

static const struct tool_pci_flag uncorrectable_flags[] = {
    { 1u << 4, "DLP", "data_link_protocol" },
    { 1u << 5, "SDES", "surprise_down" },
    { 1u << 12, "TLP", "poisoned_tlp" },
    { 1u << 13, "FCP", "flow_control_protocol" },
    { 1u << 14, "CmpltTO", "completion_timeout" },
    { 1u << 15, "CmpltAbrt", "completer_abort" },
    { 1u << 16, "UnxCmplt", "unexpected_completion" },
    { 1u << 17, "RxOF", "receiver_overflow" },
    { 1u << 18, "MalfTLP", "malformed_tlp" },
    { 1u << 19, "ECRC", "ecrc" },
    { 1u << 20, "UnsupReq", "unsupported_request" },
    { 1u << 21, "ACSViol", "acs_violation" },
    { 1u << 22, "UncorrIntErr", "internal" },
    { 1u << 23, "BlockedTLP", "mc_blocked_tlp" },
    { 1u << 24, "AtomicOpBlocked", "atomic_egress_blocked" },
    { 1u << 25, "TLPBlockedErr", "tlp_prefix_blocked" },
    { 1u << 26, "PoisonTLPBlocked", "poisoned_tlp_blocked" },
};

static const struct tool_pci_flag correctable_flags[] = {
    { 1u << 0, "RxErr", "receiver" },
    { 1u << 6, "BadTLP", "bad_tlp" },
    { 1u << 7, "BadDLLP", "bad_dllp" },
    { 1u << 8, "Rollover", "replay_rollover" },
    { 1u << 12, "Timeout", "replay_timeout" },
    { 1u << 13, "AdvNonFatalErr", "advisory_non_fatal" },
    { 1u << 14, "CorrIntErr", "internal" },
    { 1u << 15, "HeaderOF", "header_log_overflow" },
};

static const struct tool_pci_flag aer_flags[] = {
    { 1u << 5, "ECRCGenCap", "ecrc_generation_capable" },
    { 1u << 6, "ECRCGenEn", "ecrc_generation" },
    { 1u << 7, "ECRCChkCap", "ecrc_check_capable" },
    { 1u << 8, "ECRCChkEn", "ecrc_check" },
    { 1u << 9, "MultHdrRecCap", "multiple_headers_capable" },
    { 1u << 10, "MultHdrRecEn", "multiple_headers" },
};

static void decode_aer(struct tool_pci_out *out, const struct tool_pci_cap *cap)
{
    uint32_t control = u32(out, cap, 0x18);
    struct json_object *outer;

    flags(out, "UESta", "uncorrectable_status", u32(out, cap, 0x04),
          FLAGS(uncorrectable_flags));
    flags(out, "UEMsk", "uncorrectable_mask", u32(out, cap, 0x08),
          FLAGS(uncorrectable_flags));
    flags(out, "UESvrt", "uncorrectable_severity", u32(out, cap, 0x0c),
          FLAGS(uncorrectable_flags));
    flags(out, "CESta", "correctable_status", u32(out, cap, 0x10),
          FLAGS(correctable_flags));
    flags(out, "CEMsk", "correctable_mask", u32(out, cap, 0x14),
          FLAGS(correctable_flags));
    outer = tool_pci_flags_and(out, true, "AERCap", "control", control, FLAGS(aer_flags),
                               "First=%02" PRIx32, field(control, 0, 4));
    tool_pci_put_number(out, "first_error", field(control, 0, 4));
    tool_pci_end(out, outer);
    tool_pci_detail(out, "HeaderLog: %08" PRIx32 " %08" PRIx32 " %08" PRIx32
                    " %08" PRIx32, u32(out, cap, 0x1c), u32(out, cap, 0x20),
                    u32(out, cap, 0x24), u32(out, cap, 0x28));
}

static const struct tool_pci_flag acs_flags[] = {
    { 1u << 0, "SrcValid", "source_validation" },
    { 1u << 1, "TransBlk", "translation_blocking" },
    { 1u << 2, "ReqRedir", "request_redirect" },
    { 1u << 3, "CmpltRedir", "completion_redirect" },
    { 1u << 4, "UpstreamFwd", "upstream_forwarding" },
    { 1u << 5, "EgressCtrl", "egress_control" },
    { 1u << 6, "DirectTrans", "direct_translated" },
};

static void decode_acs(struct tool_pci_out *out, const struct tool_pci_cap *cap)
{
    flags(out, "ACSCap", "capabilities", u16(out, cap, 4), FLAGS(acs_flags));
    flags(out, "ACSCtl", "control", u16(out, cap, 6), FLAGS(acs_flags));
}

/* -------------------------------------------------------------- identity -- */

static void decode_dsn(struct tool_pci_out *out, const struct tool_pci_cap *cap)
{
    char text[32];
    size_t at = 0;

    for (int i = 7; i >= 0; i--)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%02" PRIx32 "%s",
                               tool_pci_u8(out, cap->offset + 4 + (size_t)i),
                               i > 0 ? "-" : "");
    tool_pci_put_string(out, "serial_number", text);
    tool_pci_line(out, "%s", text);
}

/* Vendor-specific: what the vendor calls it, and how long it says it is. */
static void decode_vendor(struct tool_pci_out *out, const struct tool_pci_cap *cap)
{
    uint32_t header = u32(out, cap, 4), len = field(header, 20, 31);

    tool_pci_put_number(out, "vendor_id", field(header, 0, 15));
    tool_pci_put_number(out, "revision", field(header, 16, 19));
    tool_pci_put_number(out, "length", len);
    tool_pci_detail(out, "ID=%04" PRIx32 " Rev=%" PRIu32 " Len=%03" PRIx32,
                    field(header, 0, 15), field(header, 16, 19), len);
    if (len < 8 || len > cap->room)
        tool_pci_problem(out, "vendor-specific capability at [%03zx] says that it has "
                         "%" PRIu32 " bytes; from 8 to %zu can be", cap->offset, len,
                         cap->room);
}

static void decode_dvsec(struct tool_pci_out *out, const struct tool_pci_cap *cap)
{
    uint32_t header = u32(out, cap, 4), id = u16(out, cap, 8);
    uint32_t len = field(header, 20, 31);

    tool_pci_put_number(out, "vendor", field(header, 0, 15));
    tool_pci_put_number(out, "dvsec_id", id);
    tool_pci_put_number(out, "revision", field(header, 16, 19));
    tool_pci_put_number(out, "length", len);
    tool_pci_detail(out, "Vendor=%04" PRIx32 " ID=%04" PRIx32 " Rev=%" PRIu32
                    " Len=%" PRIu32, field(header, 0, 15), id, field(header, 16, 19),
                    len);
    if (len < 10 || len > cap->room)
        tool_pci_problem(out, "vendor-specific capability at [%03zx] says that it has "
                         "%" PRIu32 " bytes; from 10 to %zu can be", cap->offset, len,
                         cap->room);
}

/* ------------------------------------------------- virtualization, addresses -- */

static const struct tool_pci_flag ari_cap_flags[] = {
    { 1u << 0, "MFVC", "mfvc" },
    { 1u << 1, "ACS", "acs" },
};

static void decode_ari(struct tool_pci_out *out, const struct tool_pci_cap *cap)
{
    uint32_t caps = u16(out, cap, 4);
    struct json_object *outer;

    outer = tool_pci_flags_and(out, true, "ARICap", "capabilities", caps,
                               FLAGS(ari_cap_flags), "NextFunction=%" PRIu32,
                               field(caps, 8, 15));
    tool_pci_put_number(out, "next_function", field(caps, 8, 15));
    tool_pci_end(out, outer);
    flags(out, "ARICtl", "control", u16(out, cap, 6), FLAGS(ari_cap_flags));
}

static const struct tool_pci_flag ats_flags[] = {
    { 1u << 5, "PageAligned", "page_aligned" },
    { 1u << 6, "GlobalInvalidate", "global_invalidate" },
};

static void decode_ats(struct tool_pci_out *out, const struct tool_pci_cap *cap)
{
    uint32_t caps = u16(out, cap, 4), control = u16(out, cap, 6);
    uint32_t depth = field(caps, 0, 4) != 0 ? field(caps, 0, 4) : 32;
    struct json_object *outer;

    outer = tool_pci_flags_and(out, true, "ATSCap", "capabilities", caps,
                               FLAGS(ats_flags), "QueueDepth=%" PRIu32, depth);
    tool_pci_put_number(out, "queue_depth", depth);
    tool_pci_end(out, outer);
    tool_pci_put_bool(out, "enabled", bit(control, 15));
    tool_pci_put_number(out, "smallest_translation",
                        UINT64_C(4096) << field(control, 0, 4));
    tool_pci_detail(out, "ATSCtl: Enable%c STU=%" PRIu32, bit(control, 15) ? '+' : '-',
                    field(control, 0, 4));
}

static const struct tool_pci_flag sriov_cap_flags[] = {
    { 1u << 0, "Migration", "migration" },
    { 1u << 1, "ARIHierarchy", "ari_hierarchy_preserved" },
    { 1u << 2, "10BitTagReq", "tag10_requester" },
};

static const struct tool_pci_flag sriov_control_flags[] = {
    { 1u << 0, "Enable", "enable" },
    { 1u << 1, "Migration", "migration" },
    { 1u << 2, "Interrupt", "interrupt" },
    { 1u << 3, "MSE", "memory" },
    { 1u << 4, "ARIHierarchy", "ari_hierarchy" },
};

static void decode_sriov_bars(struct tool_pci_out *out, const struct tool_pci_cap *cap)
{
    for (size_t i = 0; i < TOOL_PCI_BARS; i++) {
        uint32_t low = u32(out, cap, 0x24 + 4 * i);
        bool wide = field(low, 1, 2) == 2 && i + 1 < TOOL_PCI_BARS;
        uint64_t address = low & ~UINT32_C(15);

        if (wide)
            address |= (uint64_t)u32(out, cap, 0x28 + 4 * i) << 32;
        if (low != 0)
            tool_pci_detail(out, "VF BAR%zu: memory, %d bits%s, at 0x%" PRIx64, i,
                            wide ? 64 : 32, bit(low, 3) ? ", prefetchable" : "", address);
        i += wide;
    }
}

static void decode_sriov(struct tool_pci_out *out, const struct tool_pci_cap *cap)
{
    uint32_t initial = u16(out, cap, 0x0c), total = u16(out, cap, 0x0e);
    uint32_t used = u16(out, cap, 0x10);

    flags(out, "IOVCap", "capabilities", u32(out, cap, 4), FLAGS(sriov_cap_flags));
    flags(out, "IOVCtl", "control", u16(out, cap, 8), FLAGS(sriov_control_flags));
    tool_pci_put_number(out, "initial_vfs", initial);
    tool_pci_put_number(out, "total_vfs", total);
    tool_pci_put_number(out, "vfs", used);
    tool_pci_put_number(out, "first_vf_offset", u16(out, cap, 0x14));
    tool_pci_put_number(out, "vf_stride", u16(out, cap, 0x16));
    tool_pci_put_number(out, "vf_device", u16(out, cap, 0x1a));
    tool_pci_put_number(out, "supported_page_sizes", u32(out, cap, 0x1c));
    tool_pci_put_number(out, "page_size", u32(out, cap, 0x20));
    tool_pci_detail(out, "VFs: initial %" PRIu32 ", total %" PRIu32 ", in use %" PRIu32
                    "; first at +%" PRIu32 ", stride %" PRIu32 ", device %04" PRIx32,
                    initial, total, used, u16(out, cap, 0x14), u16(out, cap, 0x16),
                    u16(out, cap, 0x1a));
    tool_pci_detail(out, "Page sizes: supported %08" PRIx32 ", in use %08" PRIx32,
                    u32(out, cap, 0x1c), u32(out, cap, 0x20));
    if (used > total)
        tool_pci_problem(out, "SR-IOV: %" PRIu32 " functions are in use, there are "
                         "%" PRIu32, used, total);
    decode_sriov_bars(out, cap);
}

static const struct tool_pci_flag pri_control_flags[] = {
    { 1u << 0, "Enable", "enable" },
    { 1u << 1, "Reset", "reset" },
};

static const struct tool_pci_flag pri_status_flags[] = {
    { 1u << 0, "RF", "response_failure" },
    { 1u << 1, "UPRGI", "unexpected_group_index" },
    { 1u << 8, "Stopped", "stopped" },
    { 1u << 15, "PASID", "pasid_required" },
};

static void decode_pri(struct tool_pci_out *out, const struct tool_pci_cap *cap)
{
    flags(out, "PRICtl", "control", u16(out, cap, 4), FLAGS(pri_control_flags));
    flags(out, "PRISta", "status", u16(out, cap, 6), FLAGS(pri_status_flags));
    tool_pci_put_number(out, "capacity", u32(out, cap, 8));
    tool_pci_put_number(out, "allocation", u32(out, cap, 12));
    tool_pci_detail(out, "Page requests: capacity %08" PRIx32 ", allocation %08" PRIx32,
                    u32(out, cap, 8), u32(out, cap, 12));
}

static const struct tool_pci_flag pasid_cap_flags[] = {
    { 1u << 1, "Exec", "execute" },
    { 1u << 2, "Priv", "privileged" },
};

static const struct tool_pci_flag pasid_control_flags[] = {
    { 1u << 0, "Enable", "enable" },
    { 1u << 1, "Exec", "execute" },
    { 1u << 2, "Priv", "privileged" },
};

static void decode_pasid(struct tool_pci_out *out, const struct tool_pci_cap *cap)
{
    uint32_t caps = u16(out, cap, 4);
    struct json_object *outer;

    outer = tool_pci_flags_and(out, true, "PASIDCap", "capabilities", caps,
                               FLAGS(pasid_cap_flags), "MaxPASIDWidth=%" PRIu32,
                               field(caps, 8, 12));
    tool_pci_put_number(out, "max_width", field(caps, 8, 12));
    tool_pci_end(out, outer);
    flags(out, "PASIDCtl", "control", u16(out, cap, 6), FLAGS(pasid_control_flags));
    if (field(caps, 8, 12) > 20)
        tool_pci_problem(out, "PASID: a width of %" PRIu32 " bits; 20 is the most",
                         field(caps, 8, 12));
}

/* ------------------------------------------------------------ all others -- */

/* 10 bits, in units of 32^scale ns; scales above 5 are reserved. */
static void put_latency(struct tool_pci_out *out, const char *title, const char *key,
                        uint32_t value)
{
    uint64_t ns = (uint64_t)field(value, 0, 9) << 5 * field(value, 10, 12);

    if (field(value, 10, 12) > 5) {
        tool_pci_detail(out, "%s: %04" PRIx32 ", of a reserved scale", title, value);
        return;
    }
    tool_pci_put_number(out, key, ns);
    tool_pci_detail(out, "%s: %" PRIu64 "ns", title, ns);
}

static void decode_ltr(struct tool_pci_out *out, const struct tool_pci_cap *cap)
{
    put_latency(out, "Max snoop latency", "max_snoop_ns", u16(out, cap, 4));
    put_latency(out, "Max no snoop latency", "max_no_snoop_ns", u16(out, cap, 6));
}

/* As many pairs of registers as the first one says, at most six. */
static void decode_resizable(struct tool_pci_out *out, const struct tool_pci_cap *cap)
{
    uint32_t n = field(u32(out, cap, 8), 5, 7);
    struct json_object *array = json_object_new_array(), *outer;

    tool_pci_put(out, "bars", array);
    if (out->failed)
        return;
    if (n > TOOL_PCI_BARS || 4 + 8 * n > cap->room) {
        tool_pci_problem(out, "Resizable BAR: %" PRIu32 " BARs in %zu bytes", n,
                         cap->room);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t sizes = u32(out, cap, 4 + 8 * i), control = u32(out, cap, 8 + 8 * i);
        uint32_t size = field(control, 8, 13);

        outer = tool_pci_begin_item(out, array);
        tool_pci_put_number(out, "index", field(control, 0, 2));
        tool_pci_put_number(out, "size", size <= 43 ? UINT64_C(1) << (20 + size) : 0);
        tool_pci_put_number(out, "sizes", sizes >> 4);
        tool_pci_end(out, outer);
        tool_pci_detail(out, "BAR%" PRIu32 ": %" PRIu64 " MiB; of 1 MiB << n, n of "
                        "%07" PRIx32 " can be had", field(control, 0, 2),
                        UINT64_C(1) << size, sizes >> 4);
    }
}

/* id: name, and for those whose registers are shown how, and their least length */
static const struct kind {
    const char *name;
    decode_fn *decode;
    size_t len;
} kinds[] = {
    [0x0000] = { "Null", NULL, 4 },
    [0x0001] = { "Advanced Error Reporting", decode_aer, 0x2c },
    [0x0002] = { "Virtual Channel", NULL, 0x18 },
    [0x0003] = { "Device Serial Number", decode_dsn, 12 },
    [0x0004] = { "Power Budgeting", NULL, 16 },
    [0x0005] = { "Root Complex Link", NULL, 8 },
    [0x0006] = { "Root Complex Internal Link", NULL, 8 },
    [0x0007] = { "Root Complex Event Collector", NULL, 8 },
    [0x0008] = { "Multi-Function Virtual Channel", NULL, 0x18 },
    [0x0009] = { "Virtual Channel", NULL, 0x18 },
    [0x000a] = { "Root Complex Register Block", NULL, 8 },
    [0x000b] = { "Vendor-specific", decode_vendor, 8 },
    [0x000c] = { "Configuration Access Correlation", NULL, 8 },
    [0x000d] = { "Access Control Services", decode_acs, 8 },
    [0x000e] = { "Alternative Routing-ID Interpretation", decode_ari, 8 },
    [0x000f] = { "Address Translation Service", decode_ats, 8 },
    [0x0010] = { "Single Root I/O Virtualization", decode_sriov, 0x40 },
    [0x0011] = { "Multi-Root I/O Virtualization", NULL, 8 },
    [0x0012] = { "Multicast", NULL, 0x30 },
    [0x0013] = { "Page Request Interface", decode_pri, 0x10 },
    [0x0015] = { "Resizable BAR", decode_resizable, 12 },
    [0x0016] = { "Dynamic Power Allocation", NULL, 0x10 },
    [0x0017] = { "TPH Requester", NULL, 12 },
    [0x0018] = { "Latency Tolerance Reporting", decode_ltr, 8 },
    [0x0019] = { "Secondary PCI Express", NULL, 12 },
    [0x001a] = { "Protocol Multiplexing", NULL, 8 },
    [0x001b] = { "Process Address Space ID", decode_pasid, 8 },
    [0x001c] = { "LN Requester", NULL, 8 },
    [0x001d] = { "Downstream Port Containment", NULL, 0x10 },
    [0x001e] = { "L1 PM Substates", NULL, 0x10 },
    [0x001f] = { "Precision Time Measurement", NULL, 12 },
    [0x0020] = { "PCI Express over M-PHY", NULL, 8 },
    [0x0021] = { "FRS Queueing", NULL, 0x10 },
    [0x0022] = { "Readiness Time Reporting", NULL, 12 },
    [0x0023] = { "Designated Vendor-specific", decode_dvsec, 10 },
    [0x0024] = { "VF Resizable BAR", NULL, 12 },
    [0x0025] = { "Data Link Feature", NULL, 12 },
    [0x0026] = { "Physical Layer 16.0 GT/s", NULL, 0x20 },
    [0x0027] = { "Lane Margining at the Receiver", NULL, 8 },
    [0x0028] = { "Hierarchy ID", NULL, 0x10 },
    [0x0029] = { "Native PCIe Enclosure Management", NULL, 0x10 },
    [0x002a] = { "Physical Layer 32.0 GT/s", NULL, 0x20 },
    [0x002b] = { "Alternate Protocol", NULL, 0x10 },
    [0x002c] = { "System Firmware Intermediary", NULL, 0x10 },
    [0x002d] = { "Shadow Functions", NULL, 8 },
    [0x002e] = { "Data Object Exchange", NULL, 0x18 },
    [0x002f] = { "Device 3", NULL, 0x10 },
    [0x0030] = { "Integrity and Data Encryption", NULL, 12 },
    [0x0031] = { "Physical Layer 64.0 GT/s", NULL, 0x10 },
    [0x0032] = { "Flit Logging", NULL, 0x10 },
    [0x0033] = { "Flit Performance Measurement", NULL, 0x10 },
    [0x0034] = { "Flit Error Injection", NULL, 0x10 },
};

static void decode_extended(struct tool_pci_out *out, const struct tool_pci_cap *cap)
{
    const struct kind *kind = NULL;

    if (cap->id < TOOL_PCI_COUNT(kinds) && kinds[cap->id].name != NULL)
        kind = &kinds[cap->id];
    tool_pci_put_number(out, "offset", cap->offset);
    tool_pci_put_number(out, "id", cap->id);
    tool_pci_put_number(out, "version", cap->version);
    tool_pci_put_string(out, "name", kind != NULL ? kind->name : "unknown");
    if (kind != NULL)
        tool_pci_line(out, "Capabilities: [%03zx v%u] %s", cap->offset, cap->version,
                      kind->name);
    else
        tool_pci_line(out, "Capabilities: [%03zx v%u] unknown (id %04x)", cap->offset,
                      cap->version, cap->id);
    if (kind == NULL)
        return;
    out->depth++;
    if (cap->room < kind->len)
        tool_pci_problem(out,
                         "capability at [%03zx] (%s) needs %zu bytes; the next one or "
                         "the end comes after %zu",
                         cap->offset, kind->name, kind->len, cap->room);
    else if (kind->decode != NULL)
        kind->decode(out, cap);
    out->depth--;
}

/* ----------------------------------------------------------------- chain -- */

/* Where members begin: a bit for each place where one can. */
struct chain {
    bool begins[TOOL_PCI_SPACE_MAX / HEADER_LEN];
    uint16_t at[MAX_MEMBERS];   /* in the order of the chain */
    size_t n;
};

static bool follow(struct tool_pci_out *out, const struct chain *chain, size_t from,
                   size_t at)
{
    if (at % HEADER_LEN != 0)
        tool_pci_problem(out,
                         "the pointer at [%03zx] is %03zx, no multiple of 4: its low "
                         "bits are reserved",
                         from, at);
    at -= at % HEADER_LEN;
    if (at < FIRST)
        tool_pci_problem(out, "the pointer at [%03zx] leads to [%03zx], before the "
                         "extended capabilities", from, at);
    else if (at + HEADER_LEN > out->space->len)
        tool_pci_problem(out, "the pointer at [%03zx] leads to [%03zx], beyond the end",
                         from, at);
    else if (chain->begins[at / HEADER_LEN])
        tool_pci_problem(out,
                         "the chain of extended capabilities loops: from [%03zx] back "
                         "to [%03zx]",
                         from, at);
    else
        return true;
    return false;
}

/* No member twice, so it ends. */
static void find_chain(struct tool_pci_out *out, struct chain *chain)
{
    size_t at = FIRST, next;

    do {
        chain->begins[at / HEADER_LEN] = true;
        chain->at[chain->n++] = (uint16_t)at;
        next = field(tool_pci_u32(out, at), 20, 31);
        if (next == 0 || !follow(out, chain, at, next))
            return;
        at = next - next % HEADER_LEN;
    } while (true);
}

static size_t room(const struct tool_pci_out *out, const struct chain *chain, size_t at)
{
    size_t end = at + HEADER_LEN;

    while (end < out->space->len && !chain->begins[end / HEADER_LEN])
        end += HEADER_LEN;
    return (end < out->space->len ? end : out->space->len) - at;
}

/* All zeros or all ones in the first header: there are none. */
static bool has_extended(const struct tool_pci_out *out)
{
    return out->space->len >= FIRST + HEADER_LEN && tool_pci_u32(out, FIRST) != 0 &&
           tool_pci_u32(out, FIRST) != UINT32_MAX;
}

void tool_pci_extended_capabilities(struct tool_pci_out *out)
{
    struct json_object *array = json_object_new_array(), *outer;
    struct chain chain = { .n = 0 };

    tool_pci_put(out, "extended_capabilities", array);
    if (out->failed || !has_extended(out))
        return;
    find_chain(out, &chain);
    for (size_t i = 0; i < chain.n; i++) {
        uint32_t header = tool_pci_u32(out, chain.at[i]);
        struct tool_pci_cap cap = {
            .offset = chain.at[i],
            .room = room(out, &chain, chain.at[i]),
            .id = field(header, 0, 15),
            .version = field(header, 16, 19),
        };

        outer = tool_pci_begin_item(out, array);
        decode_extended(out, &cap);
        tool_pci_end(out, outer);
    }
}
