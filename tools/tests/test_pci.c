/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The decoder of configuration space: what it says about spaces that are built here, byte
 * by byte after the tables of the PCI specifications, and that nothing in a space harms
 * it.
 *
 * The calls of json-c that allocate are wrapped, so that each can fail once.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#include "tools/pci.h"
#include "tools/pci_out.h"
#include "wire/tests/support.h"

/* ------------------------------------------------------------- allocation -- */

static long allocations_left = -1;      /* until one fails; -1: none does */

static bool may_allocate(void)
{
    return allocations_left < 0 || allocations_left-- != 0;
}

struct json_object *__real_json_object_new_object(void);
struct json_object *__real_json_object_new_array(void);
struct json_object *__real_json_object_new_string(const char *s);
struct json_object *__real_json_object_new_uint64(uint64_t v);
struct json_object *__real_json_object_new_boolean(json_bool v);
int __real_json_object_object_add(struct json_object *o, const char *k,
                                  struct json_object *v);
int __real_json_object_array_add(struct json_object *a, struct json_object *v);

struct json_object *__wrap_json_object_new_object(void);
struct json_object *__wrap_json_object_new_array(void);
struct json_object *__wrap_json_object_new_string(const char *s);
struct json_object *__wrap_json_object_new_uint64(uint64_t v);
struct json_object *__wrap_json_object_new_boolean(json_bool v);
int __wrap_json_object_object_add(struct json_object *o, const char *k,
                                  struct json_object *v);
int __wrap_json_object_array_add(struct json_object *a, struct json_object *v);

struct json_object *__wrap_json_object_new_object(void)
{
    return may_allocate() ? __real_json_object_new_object() : NULL;
}

struct json_object *__wrap_json_object_new_array(void)
{
    return may_allocate() ? __real_json_object_new_array() : NULL;
}

struct json_object *__wrap_json_object_new_string(const char *s)
{
    return may_allocate() ? __real_json_object_new_string(s) : NULL;
}

struct json_object *__wrap_json_object_new_uint64(uint64_t v)
{
    return may_allocate() ? __real_json_object_new_uint64(v) : NULL;
}

struct json_object *__wrap_json_object_new_boolean(json_bool v)
{
    return may_allocate() ? __real_json_object_new_boolean(v) : NULL;
}

int __wrap_json_object_object_add(struct json_object *o, const char *k,
                                  struct json_object *v)
{
    return may_allocate() ? __real_json_object_object_add(o, k, v) : -1;
}

int __wrap_json_object_array_add(struct json_object *a, struct json_object *v)
{
    return may_allocate() ? __real_json_object_array_add(a, v) : -1;
}

/* ----------------------------------------------------------------- spaces -- */

struct built {
    uint8_t bytes[TOOL_PCI_SPACE_MAX];
    struct tool_pci_space space;
};

static void put(struct built *b, size_t at, size_t width, uint64_t value)
{
    for (size_t i = 0; i < width; i++)
        b->bytes[at + i] = (uint8_t)(value >> (8 * i));
}

/* A device without BARs and capabilities. */
static void build(struct built *b, size_t len)
{
    memset(b, 0, sizeof(*b));
    b->space = (struct tool_pci_space){ .bytes = b->bytes, .len = len,
                                        .sizes_known = true };
    put(b, 0x00, 2, 0x1af4);
    put(b, 0x02, 2, 0x1050);
    put(b, 0x08, 1, 0x03);
    put(b, 0x0a, 2, 0x0200);
    put(b, 0x2c, 2, 0x1af4);
    put(b, 0x2e, 2, 0x1100);
}

/* A device whose only capability stands at 0x40. */
static void build_cap(struct built *b, uint8_t id)
{
    build(b, TOOL_PCI_SPACE_SMALL);
    put(b, 0x06, 2, 0x0010);
    put(b, 0x34, 1, 0x40);
    put(b, 0x40, 1, id);
}

/* A device whose only extended capability stands at 0x100. */
static void build_ext(struct built *b, uint16_t id, unsigned version)
{
    build(b, TOOL_PCI_SPACE_MAX);
    put(b, 0x100, 4, id | version << 16);
}

/* Lines of flags that were broken become whole. */
static void join_lines(char *text)
{
    char *to = text;

    for (const char *from = text; *from != '\0';) {
        size_t tabs = *from == '\n' ? strspn(from + 1, "\t") : 0;

        if (tabs != 0 && strncmp(from + 1 + tabs, "    ", 4) == 0) {
            *to++ = ' ';
            from += 1 + tabs + 4;
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
}

static struct tool_pci_report decode_with(const struct built *b, bool verbose,
                                          const struct tool_pci_names *names)
{
    const struct tool_pci_options options = {
        .address = "00:00.0",
        .verbose = verbose,
        .names = names,
        .bold = "",
        .alarm = "",
        .plain = "",
    };
    struct tool_pci_report report;

    assert_int_equal(tool_pci_decode(&b->space, &options, &report), 0);
    join_lines(report.text);
    return report;
}

static struct tool_pci_report decode(const struct built *b)
{
    return decode_with(b, true, NULL);
}

static void says(const struct tool_pci_report *report, const char *line)
{
    if (strstr(report->text, line) != NULL)
        return;
    print_error("not said: '%s'\n%s", line, report->text);
    fail();
}

static void does_not_say(const struct tool_pci_report *report, const char *text)
{
    if (strstr(report->text, text) == NULL)
        return;
    print_error("said: '%s'\n%s", text, report->text);
    fail();
}

/* Decode, find the line and `problems` of them, drop it. */
static void expect(const struct built *b, const char *line, unsigned problems)
{
    struct tool_pci_report report = decode(b);

    says(&report, line);
    if (report.problems != problems)
        print_error("%s", report.text);
    assert_int_equal(report.problems, problems);
    tool_pci_report_done(&report);
}

/* A member by its path: "capabilities/0/flags/d1". */
static struct json_object *member(struct json_object *object, const char *path)
{
    char *copy = strdup(path), *rest;

    for (char *part = strtok_r(copy, "/", &rest); part != NULL && object != NULL;
         part = strtok_r(NULL, "/", &rest)) {
        if (json_object_is_type(object, json_type_array))
            object = json_object_array_get_idx(object, strtoul(part, NULL, 10));
        else if (!json_object_object_get_ex(object, part, &object))
            object = NULL;
    }
    if (object == NULL)
        print_error("no %s\n", path);
    free(copy);
    assert_non_null(object);
    return object;
}

static uint64_t number(const struct tool_pci_report *report, const char *path)
{
    return json_object_get_uint64(member(report->json, path));
}

static bool truth(const struct tool_pci_report *report, const char *path)
{
    struct json_object *value = member(report->json, path);

    assert_true(json_object_is_type(value, json_type_boolean));
    return json_object_get_boolean(value);
}

static const char *string(const struct tool_pci_report *report, const char *path)
{
    return json_object_get_string(member(report->json, path));
}

/* ----------------------------------------------------------------- header -- */

static void the_header_is_told_in_words(void **state)
{
    struct tool_pci_report report;
    struct built b;

    (void)state;
    build(&b, TOOL_PCI_SPACE_SMALL);
    put(&b, 0x04, 2, 0x0407);
    put(&b, 0x06, 2, 0x0208);
    put(&b, 0x3c, 2, 0x010b);
    report = decode(&b);
    says(&report,
         "00:00.0 Ethernet controller [0200]: vendor 1af4, device 1050 (rev 03)\n");
    says(&report, "\tSubsystem: vendor 1af4, device 1100\n");
    says(&report, "\tHeader: type 0 (device)\n");
    says(&report,
         "\tControl: I/O+ Mem+ BusMaster+ SpecCycle- MemWINV- VGASnoop- ParErr-");
    says(&report, "DisINTx+\n");
    says(&report, "\tStatus: INTx+ Cap-");
    says(&report, "DEVSEL=medium\n");
    says(&report, "\tInterrupt: pin A, line 11\n");
    assert_int_equal(report.problems, 0);
    assert_int_equal(number(&report, "vendor"), 0x1af4);
    assert_int_equal(number(&report, "device"), 0x1050);
    assert_int_equal(number(&report, "class"), 0x0200);
    assert_string_equal(string(&report, "class_name"), "Ethernet controller");
    assert_true(truth(&report, "command/bus_master"));
    assert_false(truth(&report, "command/serr"));
    assert_true(truth(&report, "status/intx"));
    assert_int_equal(number(&report, "interrupt_pin"), 1);
    assert_int_equal(json_object_array_length(member(report.json, "problems")), 0);
    tool_pci_report_done(&report);
}

static void details_are_left_out_unless_asked_for(void **state)
{
    struct tool_pci_report brief, verbose;
    struct built b;

    (void)state;
    build_cap(&b, 0x10);
    put(&b, 0x42, 2, 0x0002);
    brief = decode_with(&b, false, NULL);
    verbose = decode_with(&b, true, NULL);
    says(&brief, "Capabilities: [40] Express (v2) Endpoint");
    does_not_say(&brief, "DevCap");
    says(&verbose, "DevCap:");
    assert_string_equal(json_object_to_json_string(brief.json),
                        json_object_to_json_string(verbose.json));
    tool_pci_report_done(&brief);
    tool_pci_report_done(&verbose);
}

static void a_bridge_has_two_bars_and_bus_numbers(void **state)
{
    struct built b;

    (void)state;
    build(&b, TOOL_PCI_SPACE_SMALL);
    put(&b, 0x0e, 1, 0x81);
    put(&b, 0x10, 4, 0xfe000000);
    put(&b, 0x18, 4, 0x00030201);
    put(&b, 0x38, 4, 0xfd000001);
    b.space.sizes[0] = 0x1000;
    b.space.sizes[TOOL_PCI_ROM] = 0x800;
    expect(&b, "\tHeader: type 1 (PCI-to-PCI bridge), one of several functions\n", 0);
    expect(&b, "\tBus: primary 01, secondary 02, subordinate 03\n", 0);
    expect(&b, "\tBAR0: memory, 32 bits, 4 KiB at 0xfe000000\n", 0);
    expect(&b, "\tExpansion ROM: 2 KiB at 0xfd000000, enabled\n", 0);
}

static void an_interrupt_pin_that_is_none_is_a_problem(void **state)
{
    struct built b;

    (void)state;
    build(&b, TOOL_PCI_SPACE_SMALL);
    put(&b, 0x3d, 1, 5);
    expect(&b, "Problem: interrupt pin 5: there are four, INTA to INTD\n", 1);
}

static void an_absent_device_is_a_problem(void **state)
{
    struct built b;

    (void)state;
    build(&b, TOOL_PCI_SPACE_SMALL);
    put(&b, 0x00, 4, 0xffffffff);
    expect(&b, "Problem: vendor ffff means that no device is there\n", 1);
}

static void less_than_a_header_is_a_problem(void **state)
{
    struct built b;

    (void)state;
    build(&b, 63);
    expect(&b, "Problem: 63 bytes of configuration space are less than a header\n", 1);
    build(&b, 0);
    expect(&b, "Problem: 0 bytes", 1);
    build(&b, 64);
    expect(&b, "Header: type 0", 0);
}

/* ------------------------------------------------------------------- BARs -- */

static void bars_have_kind_size_and_place(void **state)
{
    struct tool_pci_report report;
    struct built b;

    (void)state;
    build(&b, TOOL_PCI_SPACE_SMALL);
    put(&b, 0x10, 4, 0x0000c001);       /* I/O */
    put(&b, 0x14, 4, 0xfebf0000);       /* memory, 32 bits */
    put(&b, 0x18, 4, 0xe000000c);       /* memory, 64 bits, prefetchable */
    put(&b, 0x1c, 4, 0x00000100);       /* its upper half, which is no BAR */
    put(&b, 0x20, 4, 0x000a0002);       /* below 1 MiB */
    b.space.sizes[0] = 32;
    b.space.sizes[1] = 0x10000;
    b.space.sizes[2] = 0x20000000;
    b.space.sizes[4] = 0x1000;
    b.space.sizes[5] = 0x2000;          /* the register is 0: not placed yet */
    report = decode(&b);
    says(&report, "\tBAR0: I/O ports, 32 bytes at 0xc000\n");
    says(&report, "\tBAR1: memory, 32 bits, 64 KiB at 0xfebf0000\n");
    says(&report, "\tBAR2: memory, 64 bits, prefetchable, 512 MiB at 0x100e0000000\n");
    does_not_say(&report, "BAR3");
    says(&report, "\tBAR4: memory, below 1 MiB, 4 KiB at 0xa0000\n");
    says(&report, "\tBAR5: memory, 32 bits, 8 KiB, no address yet\n");
    does_not_say(&report, "ROM");
    assert_int_equal(report.problems, 0);
    assert_int_equal(json_object_array_length(member(report.json, "bars")), 5);
    assert_int_equal(number(&report, "bars/2/address"), 0x100e0000000);
    assert_int_equal(number(&report, "bars/2/bits"), 64);
    assert_true(truth(&report, "bars/2/prefetchable"));
    assert_string_equal(string(&report, "bars/0/type"), "io");
    tool_pci_report_done(&report);
}

static void a_bar_that_does_not_fit_its_region_is_a_problem(void **state)
{
    struct built b;

    (void)state;
    build(&b, TOOL_PCI_SPACE_SMALL);
    put(&b, 0x14, 4, 0x00000001);       /* no address, no region: not there */
    put(&b, 0x10, 4, 0xfebf0000);
    expect(&b, "Problem: BAR0 is set up, but the server shows no region for it\n", 1);
    b.space.sizes[0] = 0x100000;
    expect(&b, "Problem: BAR0: its address is no multiple of its size\n", 1);
    b.space.sizes[0] = 0x10000;
    expect(&b, "64 KiB at 0xfebf0000", 0);
    put(&b, 0x10, 8, 0xfebf0004);
    b.space.sizes[1] = 0x1000;
    expect(&b,
           "Problem: BAR1 is the upper half of BAR0, but the server shows a region for "
           "it\n",
           1);
    b.space.sizes_known = false;
    expect(&b, "\tBAR0: memory, 64 bits, size unknown at 0xfebf0000\n", 0);
}

static void impossible_types_of_bars_are_problems(void **state)
{
    struct built b;

    (void)state;
    build(&b, TOOL_PCI_SPACE_SMALL);
    b.space.sizes[0] = b.space.sizes[5] = 0x1000;
    put(&b, 0x10, 4, 0xfebf0006);
    expect(&b, "Problem: BAR0: its type is reserved\n", 1);
    put(&b, 0x10, 4, 0);
    put(&b, 0x24, 4, 0xfebf0004);
    expect(&b, "Problem: BAR5 has 64 bits, but no register follows for the upper half\n",
           1);
}

/* ----------------------------------------------------------- capabilities -- */

static void without_the_bit_in_status_there_is_no_chain(void **state)
{
    struct built b;

    (void)state;
    build_cap(&b, 0x01);
    put(&b, 0x06, 2, 0);
    expect(&b, "Capabilities: none (Status does not say Cap+)\n", 0);
}

static void power_management_is_decoded(void **state)
{
    struct tool_pci_report report;
    struct built b;

    (void)state;
    build_cap(&b, 0x01);
    put(&b, 0x42, 2, 0x4803 | 1 << 9);
    put(&b, 0x44, 2, 0x010b);
    report = decode(&b);
    says(&report, "\tCapabilities: [40] Power Management version 3, in D3\n");
    says(&report, "\t\tFlags: PMEClk- DSI- D1+ D2- PME-D0+ PME-D1- PME-D2- PME-D3hot+ "
         "PME-D3cold-");
    says(&report, "\t\tStatus: NoSoftRst+ PME-Enable+ PME- D3 DSel=0 DScale=0\n");
    assert_int_equal(number(&report, "capabilities/0/status/state"), 3);
    assert_true(truth(&report, "capabilities/0/flags/pme_d3hot"));
    tool_pci_report_done(&report);
}

/* Where data and masks are depends on two bits of the first register. */
static void all_four_layouts_of_msi_are_decoded(void **state)
{
    static const struct {
        uint16_t control;
        size_t data, masks;
        const char *line, *address;
    } layouts[] = {
        { 0x0001, 0x48, 0, "MSI: Enable+ Count=1/1 Maskable- 64bit-\n", "fee00000" },
        { 0x0080, 0x4c, 0, "MSI: Enable- Count=1/1 Maskable- 64bit+\n",
          "00000007fee00000" },
        { 0x0124, 0x48, 0x4c, "MSI: Enable- Count=4/4 Maskable+ 64bit-\n", "fee00000" },
        { 0x018a, 0x4c, 0x50, "MSI: Enable- Count=1/32 Maskable+ 64bit+\n",
          "00000007fee00000" },
    };
    char line[80];
    struct built b;

    (void)state;
    for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
        build_cap(&b, 0x05);
        put(&b, 0x42, 2, layouts[i].control);
        put(&b, 0x44, 4, 0xfee00000);
        if (layouts[i].control & 0x80)
            put(&b, 0x48, 4, 7);
        put(&b, layouts[i].data, 2, 0x4321);
        expect(&b, layouts[i].line, 0);
        snprintf(line, sizeof(line), "\t\tAddress: %s  Data: 4321\n", layouts[i].address);
        expect(&b, line, 0);
        if (layouts[i].masks == 0)
            continue;
        put(&b, layouts[i].masks, 4, 0x0000000a);
        put(&b, layouts[i].masks + 4, 4, 0x00000002);
        expect(&b, "\t\tMasking: 0000000a  Pending: 00000002\n", 0);
    }
}

static void impossible_numbers_of_msi_vectors_are_problems(void **state)
{
    struct built b;

    (void)state;
    build_cap(&b, 0x05);
    put(&b, 0x42, 2, 0x000c);
    expect(&b, "Problem: MSI with 64 vectors: 32 is the most\n", 1);
    put(&b, 0x42, 2, 0x0022);
    expect(&b, "Problem: MSI: 4 vectors are enabled, there are 2\n", 1);
}

static void msix_tables_must_lie_in_their_bars(void **state)
{
    struct tool_pci_report report;
    struct built b;

    (void)state;
    build_cap(&b, 0x11);
    b.space.sizes[4] = 0x1000;
    put(&b, 0x42, 2, 0x8003);
    put(&b, 0x44, 4, 0x00000fc4);
    put(&b, 0x48, 4, 0x00000ff4 | 0);
    report = decode(&b);
    says(&report, "\tCapabilities: [40] MSI-X: Enable+ Count=4 Masked-\n");
    says(&report, "\t\tVector table: BAR=4 offset=00000fc0\n");
    says(&report, "\t\tPBA: BAR=4 offset=00000ff0\n");
    assert_int_equal(report.problems, 0);
    assert_int_equal(number(&report, "capabilities/0/vectors"), 4);
    assert_int_equal(number(&report, "capabilities/0/table/bar"), 4);
    assert_int_equal(number(&report, "capabilities/0/pba/offset"), 0xff0);
    tool_pci_report_done(&report);
    put(&b, 0x42, 2, 0x8004);   /* a vector more */
    expect(&b, "Problem: MSI-X table: 0x50 bytes at 0xfc0 do not lie in BAR4, which has "
           "0x1000\n", 1);
    put(&b, 0x42, 2, 0x0003);
    put(&b, 0x48, 4, 0x00001004);
    expect(&b, "Problem: MSI-X pba: 0x8 bytes at 0x1000 do not lie in BAR4", 1);
    put(&b, 0x48, 4, 0x00000007);
    expect(&b, "Problem: MSI-X pba: there is no BAR7\n", 1);
}

static void pci_express_is_decoded(void **state)
{
    struct tool_pci_report report;
    struct built b;

    (void)state;
    build_cap(&b, 0x10);
    put(&b, 0x42, 2, 0x0002);
    put(&b, 0x44, 4, 0x10008022 | 2u << 3 | 75u << 18 | 1u << 26);
    put(&b, 0x48, 2, 0x5830);
    put(&b, 0x4a, 2, 0x0021);
    put(&b, 0x4c, 4, 0x01040c83);       /* port 1, ClockPM, L0s,L1, x8, 8 GT/s */
    put(&b, 0x50, 2, 0x0042);
    put(&b, 0x52, 2, 0x1041);
    put(&b, 0x64, 4, 0x00000812);
    put(&b, 0x68, 2, 0x0405);
    report = decode(&b);
    says(&report, "[40] Express (v2) Endpoint, MSI 00, FLReset+\n");
    says(&report, "\t\tDevCap: ExtTag+ RBE+ FLReset+ MaxPayload=512 PhantFunc=3 "
         "SlotPower=7.5W\n");
    says(&report,
         "\t\tDevCtl: CorrErr- NonFatalErr- FatalErr- UnsupReq- RlxdOrd+ ExtTag- ");
    says(&report, "MaxPayload=256 MaxReadReq=4096\n");
    says(&report, "\t\tDevSta: CorrErr+ NonFatalErr- FatalErr- UnsupReq- AuxPwr- "
         "TransPend+\n");
    says(&report, "Port#1 Speed=8GT/s Width=x8");
    says(&report, "ASPM=L0s,L1\n");
    says(&report, "CommClk+");
    says(&report, "SlotClk+");
    says(&report, "Speed=2.5GT/s Width=x4\n");
    says(&report, "\t\tDevCap2: TimeoutDis+");
    says(&report, "LTR+ 10BitTagComp-");
    says(&report, "Timeout=5\n");
    assert_true(truth(&report, "capabilities/0/device_capabilities/flr"));
    assert_false(truth(&report, "capabilities/0/device_control/flr"));
    assert_int_equal(number(&report, "capabilities/0/device_control/max_read_request"),
                     4096);
    assert_int_equal(number(&report, "capabilities/0/link_capabilities/width"), 8);
    assert_string_equal(string(&report, "capabilities/0/link_status/speed"), "2.5GT/s");
    assert_true(truth(&report, "capabilities/0/device_control_2/ltr"));
    tool_pci_report_done(&report);
}

static void integrated_endpoints_have_no_link(void **state)
{
    struct tool_pci_report report;
    struct built b;

    (void)state;
    build_cap(&b, 0x10);
    put(&b, 0x42, 2, 0x0092);
    report = decode(&b);
    says(&report, "Express (v2) Root Complex Integrated Endpoint");
    does_not_say(&report, "LnkCap");
    tool_pci_report_done(&report);
    put(&b, 0x42, 2, 0x00f2);
    expect(&b, "Problem: PCI Express: type 15 is reserved\n", 1);
}

static void vendor_specific_capabilities_are_bounded(void **state)
{
    struct tool_pci_report report;
    struct built b;

    (void)state;
    build_cap(&b, 0x09);
    put(&b, 0x42, 1, 16);
    put(&b, 0x43, 2, 0x0401);           /* virtio, common configuration, BAR4 */
    put(&b, 0x48, 4, 0x1000);
    put(&b, 0x4c, 4, 0x38);
    report = decode(&b);
    says(&report, "\tCapabilities: [40] Vendor-specific, 16 bytes\n");
    says(&report, "\t\tVirtIO: CommonCfg BAR=4 offset=00001000 size=00000038\n");
    assert_int_equal(report.problems, 0);
    assert_int_equal(number(&report, "capabilities/0/virtio/size"), 0x38);
    tool_pci_report_done(&report);
    put(&b, 0x42, 1, 2);
    expect(&b, "a length of 2 does not hold its own header", 1);
    put(&b, 0x42, 1, 0xc8);
    expect(&b, "8 of its bytes are another capability's or beyond the end", 1);
    put(&b, 0x00, 2, 0x8086);
    put(&b, 0x42, 1, 16);
    report = decode(&b);
    does_not_say(&report, "VirtIO");
    tool_pci_report_done(&report);
}

static void the_others_have_at_least_a_name(void **state)
{
    static const struct {
        uint8_t id;
        const char *line;
    } others[] = {
        { 0x02, "[40] AGP (id 02)\n" },
        { 0x03, "[40] Vital Product Data\n" },
        { 0x07, "[40] PCI-X (id 07)\n" },
        { 0x08, "[40] HyperTransport (id 08)\n" },
        { 0x0d, "[40] Bridge subsystem: vendor 0000, device 0000\n" },
        { 0x12, "[40] SATA (id 12)\n" },
        { 0x13, "[40] Advanced Features\n" },
        { 0x14, "[40] Enhanced Allocation (id 14)\n" },
        { 0x15, "[40] Flattening Portal Bridge (id 15)\n" },
        { 0x16, "[40] unknown (id 16)\n" },
        { 0xff, "[40] unknown (id ff)\n" },
    };
    struct built b;

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        build_cap(&b, others[i].id);
        expect(&b, others[i].line, 0);
    }
}

/* ----------------------------------------------------------------- chains -- */

static void a_chain_is_followed_in_its_order(void **state)
{
    struct tool_pci_report report;
    struct built b;

    (void)state;
    build_cap(&b, 0x01);
    put(&b, 0x41, 1, 0xc0);
    put(&b, 0xc0, 2, 0x8003);
    put(&b, 0x80, 2, 0x0002);
    report = decode(&b);
    assert_int_equal(report.problems, 0);
    assert_int_equal(number(&report, "capabilities/0/offset"), 0x40);
    assert_int_equal(number(&report, "capabilities/1/offset"), 0xc0);
    assert_int_equal(number(&report, "capabilities/2/offset"), 0x80);
    assert_int_equal(json_object_array_length(member(report.json, "capabilities")), 3);
    tool_pci_report_done(&report);
}

static void loops_in_the_chain_are_found(void **state)
{
    struct built b;

    (void)state;
    build_cap(&b, 0x01);
    put(&b, 0x41, 1, 0x40);
    expect(&b, "Problem: the chain of capabilities loops: from [41] back to [40]\n", 1);
    put(&b, 0x41, 1, 0x80);
    put(&b, 0x80, 2, 0x4009);
    put(&b, 0x82, 1, 3);
    expect(&b, "Problem: the chain of capabilities loops: from [81] back to [40]\n", 1);
}

static void pointers_to_nowhere_are_found(void **state)
{
    struct built b;

    (void)state;
    build_cap(&b, 0x01);
    put(&b, 0x41, 1, 0x3c);
    expect(&b, "Problem: the pointer at [41] leads to [3c], into the header\n", 1);
    put(&b, 0x34, 1, 0x10);
    expect(&b, "Problem: the pointer at [34] leads to [10], into the header\n", 1);
    build_cap(&b, 0x01);
    b.space.len = 0x60;
    put(&b, 0x41, 1, 0x60);
    expect(&b, "Problem: the pointer at [41] leads to [60], beyond the end\n", 1);
}

static void low_bits_of_a_pointer_are_masked_and_named(void **state)
{
    struct tool_pci_report report;
    struct built b;

    (void)state;
    build_cap(&b, 0x01);
    put(&b, 0x34, 1, 0x43);
    report = decode(&b);
    says(&report,
         "Problem: the pointer at [34] is 43, no multiple of 4: its low bits are "
         "reserved\n");
    says(&report, "Capabilities: [40] Power Management");
    tool_pci_report_done(&report);
}

static void the_longest_chain_is_complete(void **state)
{
    struct tool_pci_report report;
    struct built b;

    (void)state;
    build_cap(&b, 0x02);
    for (unsigned at = 0x40; at <= 0xf8; at += 4)
        put(&b, at, 2, 0x02 | (at + 4) << 8);
    put(&b, 0xfc, 2, 0x02);
    report = decode(&b);
    assert_int_equal(json_object_array_length(member(report.json, "capabilities")), 48);
    assert_int_equal(report.problems, 0);
    tool_pci_report_done(&report);
    put(&b, 0xfc, 2, 0xfc02);
    expect(&b, "loops: from [fd] back to [fc]", 1);
}

static void capabilities_that_overlap_are_found(void **state)
{
    struct built b;

    (void)state;
    build_cap(&b, 0x01);
    put(&b, 0x41, 1, 0x44);
    put(&b, 0x44, 2, 0x0002);
    expect(&b,
           "Problem: capability at [40] (Power Management) needs 8 bytes; the next one "
           "or the end comes after 4\n",
           1);
    build_cap(&b, 0x05);
    put(&b, 0x41, 1, 0x4c);
    put(&b, 0x42, 2, 0x0180);
    put(&b, 0x4c, 2, 0x0002);
    expect(&b, "Problem: MSI: 12 of its 24 bytes are another capability's\n", 1);
    build_cap(&b, 0x10);
    put(&b, 0x42, 2, 0x0002);
    put(&b, 0x41, 1, 0x60);
    put(&b, 0x60, 2, 0x0002);
    expect(&b, "Problem: PCI Express version 2 has 32 bytes, and wants 44 at least\n", 1);
    build_cap(&b, 0x11);
    put(&b, 0x34, 1, 0xf8);
    put(&b, 0xf8, 1, 0x11);
    expect(&b,
           "Problem: capability at [f8] (MSI-X) needs 12 bytes; the next one or the end "
           "comes after 8\n",
           1);
}

/* --------------------------------------------------- extended capabilities -- */

static void extended_capabilities_are_decoded(void **state)
{
    struct tool_pci_report report;
    struct built b;

    (void)state;
    build_ext(&b, 0x0001, 2);           /* AER */
    put(&b, 0x100, 4, 0x14020001);
    put(&b, 0x104, 4, 1u << 20);
    put(&b, 0x10c, 4, 0x00062030);
    put(&b, 0x114, 4, 0x2000);
    put(&b, 0x118, 4, 0xb4);
    put(&b, 0x11c, 4, 0x12345678);
    put(&b, 0x140, 4, 0x15010003);      /* DSN */
    put(&b, 0x144, 8, 0x0123456789abcdef);
    put(&b, 0x150, 4, 0x1601000f);      /* ATS */
    put(&b, 0x154, 4, 0x800c0025);
    put(&b, 0x160, 4, 0x1701001b);      /* PASID */
    put(&b, 0x164, 4, 0x00031406);
    put(&b, 0x170, 4, 0x18010018);      /* LTR */
    put(&b, 0x174, 4, 0x0bff1003);
    put(&b, 0x180, 4, 0x0002001d);      /* DPC, by name */
    report = decode(&b);
    says(&report, "\tCapabilities: [100 v2] Advanced Error Reporting\n");
    says(&report, "\t\tUESta: DLP- SDES-");
    says(&report,
         "\t\tCEMsk: RxErr- BadTLP- BadDLLP- Rollover- Timeout- AdvNonFatalErr+");
    says(&report, "ECRCGenCap+ ECRCGenEn- ECRCChkCap+ ECRCChkEn-");
    says(&report, "First=14\n");
    says(&report, "HeaderLog: 12345678 00000000");
    says(&report, "\tCapabilities: [140 v1] Device Serial Number\n"
         "\t\t01-23-45-67-89-ab-cd-ef\n");
    says(&report, "\t\tATSCap: PageAligned+ GlobalInvalidate- QueueDepth=5\n"
         "\t\tATSCtl: Enable+ STU=12\n");
    says(&report, "\t\tPASIDCap: Exec+ Priv+ MaxPASIDWidth=20\n"
         "\t\tPASIDCtl: Enable+ Exec+ Priv-\n");
    says(&report, "\t\tMax snoop latency: 3145728ns\n"
         "\t\tMax no snoop latency: 1047552ns\n");
    says(&report, "\tCapabilities: [180 v2] Downstream Port Containment\n");
    assert_int_equal(report.problems, 0);
    assert_true(truth(
        &report, "extended_capabilities/0/uncorrectable_status/unsupported_request"));
    assert_string_equal(string(&report, "extended_capabilities/1/serial_number"),
                        "01-23-45-67-89-ab-cd-ef");
    assert_int_equal(number(&report, "extended_capabilities/2/smallest_translation"),
                     4096 << 12);
    assert_int_equal(number(&report, "extended_capabilities/3/capabilities/max_width"),
                     20);
    assert_int_equal(number(&report, "extended_capabilities/5/id"), 0x1d);
    tool_pci_report_done(&report);
}

static void virtual_functions_are_decoded(void **state)
{
    struct tool_pci_report report;
    struct built b;

    (void)state;
    build_ext(&b, 0x0010, 1);
    put(&b, 0x104, 4, 0x00000002);
    put(&b, 0x108, 2, 0x0019);
    put(&b, 0x10c, 4, 0x00080008);
    put(&b, 0x110, 2, 0x0004);
    put(&b, 0x114, 4, 0x00020080);
    put(&b, 0x11a, 2, 0x154c);
    put(&b, 0x11c, 4, 0x553);
    put(&b, 0x120, 4, 0x1);
    put(&b, 0x124, 8, 0x00000002e000000c);
    put(&b, 0x12c, 4, 0xfe000000);
    report = decode(&b);
    says(&report, "\t\tIOVCtl: Enable+ Migration- Interrupt- MSE+ ARIHierarchy+\n");
    says(&report,
         "\t\tVFs: initial 8, total 8, in use 4; first at +128, stride 2, device "
         "154c\n");
    says(&report, "\t\tVF BAR0: memory, 64 bits, prefetchable, at 0x2e0000000\n");
    says(&report, "\t\tVF BAR2: memory, 32 bits, at 0xfe000000\n");
    assert_int_equal(number(&report, "extended_capabilities/0/vf_device"), 0x154c);
    tool_pci_report_done(&report);
    put(&b, 0x110, 2, 9);
    expect(&b, "Problem: SR-IOV: 9 functions are in use, there are 8\n", 1);
}

static void more_extended_capabilities_are_decoded(void **state)
{
    struct built b;

    (void)state;
    build_ext(&b, 0x000d, 1);
    put(&b, 0x104, 4, 0x0001005d);
    expect(&b, "\t\tACSCap: SrcValid+ TransBlk- ReqRedir+ CmpltRedir+ UpstreamFwd+ "
           "EgressCtrl- DirectTrans+\n", 0);
    expect(&b, "\t\tACSCtl: SrcValid+ TransBlk-", 0);
    build_ext(&b, 0x000e, 1);
    put(&b, 0x104, 2, 0x0302);
    expect(&b, "\t\tARICap: MFVC- ACS+ NextFunction=3\n", 0);
    build_ext(&b, 0x0013, 1);
    put(&b, 0x104, 4, 0x81000001);
    put(&b, 0x108, 4, 0x40);
    put(&b, 0x10c, 4, 0x20);
    expect(&b, "\t\tPRICtl: Enable+ Reset-\n\t\tPRISta: RF- UPRGI- Stopped+ PASID+\n", 0);
    expect(&b, "capacity 00000040, allocation 00000020\n", 0);
    build_ext(&b, 0x0015, 1);
    put(&b, 0x104, 4, 0x000001f0);
    put(&b, 0x108, 4, 0x00000422);
    expect(&b, "\t\tBAR2: 16 MiB; of 1 MiB << n, n of 000001f can be had\n", 0);
    put(&b, 0x108, 4, 0x000000e0);
    expect(&b, "Problem: Resizable BAR: 7 BARs in 3840 bytes\n", 1);
    build_ext(&b, 0x000b, 1);
    put(&b, 0x104, 4, 0x01020001);
    expect(&b, "\t\tID=0001 Rev=2 Len=010\n", 0);
    put(&b, 0x104, 4, 0x00400001);
    expect(&b,
           "Problem: vendor-specific capability at [100] says that it has 4 bytes; from "
           "8 to 3840 can be\n",
           1);
    build_ext(&b, 0x0023, 1);
    put(&b, 0x104, 4, 0x02811e98);
    put(&b, 0x108, 2, 0x0008);
    expect(&b, "\t\tVendor=1e98 ID=0008 Rev=1 Len=40\n", 0);
    build_ext(&b, 0x001b, 1);
    put(&b, 0x104, 2, 0x1500);
    expect(&b, "Problem: PASID: a width of 21 bits; 20 is the most\n", 1);
    build_ext(&b, 0x0018, 1);
    put(&b, 0x104, 4, 0x1bff1401);
    expect(&b, "\t\tMax snoop latency: 33554432ns\n"
           "\t\tMax no snoop latency: 1bff, of a reserved scale\n", 0);
    build_ext(&b, 0x0035, 3);
    expect(&b, "\tCapabilities: [100 v3] unknown (id 0035)\n", 0);
}

static void broken_extended_chains_are_found(void **state)
{
    struct built b;

    (void)state;
    build_ext(&b, 0x0019, 1);
    put(&b, 0x100, 4, 0x10010019);
    expect(&b, "Problem: the chain of extended capabilities loops: from [100] back to "
           "[100]\n", 1);
    put(&b, 0x100, 4, 0x14010019);
    put(&b, 0x140, 4, 0x1001001d);
    expect(&b, "from [140] back to [100]\n", 1);
    put(&b, 0x100, 4, 0x04010019);
    expect(&b, "Problem: the pointer at [100] leads to [040], before the extended "
           "capabilities\n", 1);
    put(&b, 0x100, 4, 0x14210019);
    put(&b, 0x140, 4, 0x0001001d);
    expect(&b, "Problem: the pointer at [100] is 142, no multiple of 4: its low bits are "
           "reserved\n", 1);
    expect(&b, "Capabilities: [140 v1] Downstream Port Containment\n", 1);
    put(&b, 0x100, 4, 0x20010019);
    b.space.len = 0x200;
    expect(&b, "Problem: the pointer at [100] leads to [200], beyond the end\n", 1);
    build_ext(&b, 0x0003, 1);
    put(&b, 0x100, 4, 0x10810003);
    put(&b, 0x108, 4, 0x0001001d);
    expect(&b,
           "Problem: capability at [100] (Device Serial Number) needs 12 bytes; the next "
           "one or the end comes after 8\n",
           1);
}

static void ones_and_zeros_are_no_extended_capabilities(void **state)
{
    struct tool_pci_report report;
    struct built b;

    (void)state;
    build_ext(&b, 0, 0);
    report = decode(&b);
    does_not_say(&report, "Capabilities");
    tool_pci_report_done(&report);
    put(&b, 0x100, 4, 0xffffffff);
    report = decode(&b);
    does_not_say(&report, "Capabilities");
    tool_pci_report_done(&report);
}

/* ------------------------------------------------------------- robustness -- */

static uint32_t next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

/* Its bytes end where its memory does, so that the sanitizer sees a byte too many. */
static void decode_exactly(const struct built *b)
{
    struct built copy = *b;
    uint8_t *bytes = malloc(b->space.len + (b->space.len == 0));
    struct tool_pci_report report;
    char *dump;

    assert_non_null(bytes);
    memcpy(bytes, b->bytes, b->space.len);
    copy.space.bytes = bytes;
    report = decode(&copy);
    tool_pci_report_done(&report);
    dump = tool_pci_dump(&copy.space, "00:00.0");
    assert_non_null(dump);
    free(dump);
    free(bytes);
}

static void every_length_of_a_space_is_decoded(void **state)
{
    struct built b;

    (void)state;
    build_ext(&b, 0x0001, 1);
    put(&b, 0x06, 2, 0x0010);
    put(&b, 0x34, 1, 0x40);
    put(&b, 0x40, 4, 0x00036001);
    put(&b, 0x60, 4, 0x0002f810);
    put(&b, 0xf8, 4, 0x00030011);
    put(&b, 0x100, 4, 0xff010001);
    put(&b, 0xff0, 4, 0x00010010);
    for (size_t len = 0; len <= TOOL_PCI_SPACE_MAX; len++) {
        b.space.len = len;
        decode_exactly(&b);
    }
}

/* Random bytes in places where they matter: ids that exist, chains that mostly go on. */
static void random_spaces_are_decoded(void **state)
{
    uint32_t seed = 20240607;
    struct built b;

    (void)state;
    for (int round = 0; round < 400; round++) {
        size_t len = round % 4 == 0 ? next_random(&seed) % (TOOL_PCI_SPACE_MAX + 1)
                                    : TOOL_PCI_SPACE_MAX;

        build(&b, len);
        for (size_t i = 0x04; i < TOOL_PCI_SPACE_MAX; i++)
            b.bytes[i] = (uint8_t)next_random(&seed);
        b.bytes[0x06] |= 0x10;
        for (size_t at = 0x40; at < 0x100; at += 4)
            b.bytes[at] = (uint8_t)(next_random(&seed) % 0x17);
        for (size_t at = 0x100; at < TOOL_PCI_SPACE_MAX; at += 4)
            put(&b, at, 2, next_random(&seed) % 0x37);
        for (size_t i = 0; i <= TOOL_PCI_ROM; i++)
            b.space.sizes[i] = UINT64_C(1) << next_random(&seed) % 64;
        decode_exactly(&b);
    }
}

static void memory_that_runs_out_anywhere_is_reported(void **state)
{
    const struct tool_pci_options options = { .address = "00:00.0", .bold = "",
                                              .alarm = "", .plain = "" };
    struct tool_pci_report report;
    int err = -ENOMEM;
    struct built b;
    long n;

    (void)state;
    build_ext(&b, 0x0015, 1);
    put(&b, 0x108, 4, 0x00000022);
    put(&b, 0x06, 2, 0x0010);
    put(&b, 0x34, 1, 0x40);
    put(&b, 0x40, 2, 0x4005);
    put(&b, 0x10, 4, 0xfe000000);
    for (n = 0; err != 0; n++) {
        allocations_left = n;
        err = tool_pci_decode(&b.space, &options, &report);
        allocations_left = -1;
        if (err != 0) {
            assert_int_equal(err, -ENOMEM);
            assert_null(report.text);
            assert_null(report.json);
        }
    }
    assert_true(n > 100);
    tool_pci_report_done(&report);
}

/* ------------------------------------------------------------- the others -- */

static void a_dump_has_all_bytes_in_lines_of_sixteen(void **state)
{
    struct built b;
    char *dump;

    (void)state;
    build(&b, 0x28);
    dump = tool_pci_dump(&b.space, "0001:02:03.4");
    assert_string_equal(dump,
        "0001:02:03.4 Ethernet controller [0200]: 1af4:1050\n"
        "00: f4 1a 50 10 00 00 00 00 03 00 00 02 00 00 00 00\n"
        "10: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n"
        "20: 00 00 00 00 00 00 00 00\n");
    free(dump);
    build(&b, TOOL_PCI_SPACE_MAX);
    put(&b, 0xfff, 1, 0xa5);
    dump = tool_pci_dump(&b.space, "00:00.0");
    assert_non_null(strstr(dump, "\n100: 00"));
    assert_non_null(
        strstr(dump, "\nff0: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 a5\n"));
    free(dump);
}

static void addresses_are_those_of_lspci(void **state)
{
    static const struct {
        const char *text, *address;
    } good[] = {
        { "00:00.0", "00:00.0" },           { "1:2.3", "01:02.3" },
        { "1f.7", "00:1f.7" },              { "0000:0A:00.0", "0a:00.0" },
        { "abcd:ff:1F.1", "abcd:ff:1f.1" }, { "12345678:00:00.0", "12345678:00:00.0" },
    };
    static const char *const bad[] = {
        "",         ".",     "0",         "00:00",    "00:20.0",         "00:00.8",
        "100:00.0", "g:0.0", "0:0:0:0.0", "00:00.0 ", "123456789:0:0.0", ":0.0",
        "0:.0",     "0:0.",  "0 :0.0",    "-1:0.0",   "0x1:0.0"
    };
    char buf[32];

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_string_equal(tool_pci_address(good[i].text, buf, sizeof(buf)),
                            good[i].address);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (tool_pci_address(bad[i], buf, sizeof(buf)) != NULL)
            print_error("taken: '%s'\n", bad[i]);
        assert_null(tool_pci_address(bad[i], buf, sizeof(buf)));
    }
}

static void classes_have_names(void **state)
{
    (void)state;
    assert_string_equal(tool_pci_class_name(0x0108), "Non-volatile memory controller");
    assert_string_equal(tool_pci_class_name(0x01ee), "Mass storage controller");
    assert_string_equal(tool_pci_class_name(0x13ee), "Non-essential instrumentation");
    assert_string_equal(tool_pci_class_name(0x4000), "Co-processor");
    assert_string_equal(tool_pci_class_name(0xff00), "Unassigned class");
    assert_string_equal(tool_pci_class_name(0xff01), "Unassigned class");
    assert_null(tool_pci_class_name(0x1400));
}

static void write_file(char *path, const char *text)
{
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void names_come_out_of_a_list(void **state)
{
    static const char list[] =
        "# a comment\n"
        "1af3  Nobody\n"
        "\t1050  Nothing\n"
        "1af4  Red Hat, Inc.\n"
        "\t1041  Network device\n"
        "\t1050  GPU\033[2J\n"
        "\t\t1af4 10ff  Not this\n"
        "\t\t1af3 1100  Nor this\n"
        "\t\t1af4 1100  QEMU\n"
        "\t1051  Other\n"
        "\t\t1af4 1100  Not this either\n"
        "C 02  Network controller\n"
        "\t1050  In a class\n";
    struct tool_pci_ids ids = { 0x1af4, 0x1050, 0x1af4, 0x1100 };
    char path[] = "/tmp/test_pci.XXXXXX";
    struct tool_pci_names names;
    struct tool_pci_report report;
    struct built b;

    (void)state;
    write_file(path, list);
    assert_int_equal(tool_pci_names_load(path, ids, &names), 0);
    assert_string_equal(names.vendor, "Red Hat, Inc.");
    assert_string_equal(names.device, "GPU?[2J");
    assert_string_equal(names.subsystem_vendor, "Red Hat, Inc.");
    assert_string_equal(names.subsystem, "QEMU");
    build(&b, TOOL_PCI_SPACE_SMALL);
    report = decode_with(&b, false, &names);
    says(&report, "vendor Red Hat, Inc. [1af4], device GPU?[2J [1050]");
    says(&report, "Subsystem: vendor Red Hat, Inc. [1af4], device QEMU [1100]\n");
    assert_string_equal(string(&report, "vendor_name"), "Red Hat, Inc.");
    assert_string_equal(string(&report, "subsystem_name"), "QEMU");
    tool_pci_report_done(&report);
    tool_pci_names_done(&names);
    ids.vendor = ids.subsystem_vendor = 0x1234;
    assert_int_equal(tool_pci_names_load(path, ids, &names), 0);
    assert_null(names.vendor);
    assert_null(names.device);
    assert_null(names.subsystem);
    tool_pci_names_done(&names);
    unlink(path);
    assert_int_equal(tool_pci_names_load(path, ids, &names), -ENOENT);
    tool_pci_names_done(&names);
    assert_int_equal(tool_pci_names_load("/", ids, &names), -EISDIR);
    tool_pci_names_done(&names);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(the_header_is_told_in_words),
    VU_FD_TEST(details_are_left_out_unless_asked_for),
    VU_FD_TEST(a_bridge_has_two_bars_and_bus_numbers),
    VU_FD_TEST(an_interrupt_pin_that_is_none_is_a_problem),
    VU_FD_TEST(an_absent_device_is_a_problem),
    VU_FD_TEST(less_than_a_header_is_a_problem),
    VU_FD_TEST(bars_have_kind_size_and_place),
    VU_FD_TEST(a_bar_that_does_not_fit_its_region_is_a_problem),
    VU_FD_TEST(impossible_types_of_bars_are_problems),
    VU_FD_TEST(without_the_bit_in_status_there_is_no_chain),
    VU_FD_TEST(power_management_is_decoded),
    VU_FD_TEST(all_four_layouts_of_msi_are_decoded),
    VU_FD_TEST(impossible_numbers_of_msi_vectors_are_problems),
    VU_FD_TEST(msix_tables_must_lie_in_their_bars),
    VU_FD_TEST(pci_express_is_decoded),
    VU_FD_TEST(integrated_endpoints_have_no_link),
    VU_FD_TEST(vendor_specific_capabilities_are_bounded),
    VU_FD_TEST(the_others_have_at_least_a_name),
    VU_FD_TEST(a_chain_is_followed_in_its_order),
    VU_FD_TEST(loops_in_the_chain_are_found),
    VU_FD_TEST(pointers_to_nowhere_are_found),
    VU_FD_TEST(low_bits_of_a_pointer_are_masked_and_named),
    VU_FD_TEST(the_longest_chain_is_complete),
    VU_FD_TEST(capabilities_that_overlap_are_found),
    VU_FD_TEST(extended_capabilities_are_decoded),
    VU_FD_TEST(virtual_functions_are_decoded),
    VU_FD_TEST(more_extended_capabilities_are_decoded),
    VU_FD_TEST(broken_extended_chains_are_found),
    VU_FD_TEST(ones_and_zeros_are_no_extended_capabilities),
    VU_FD_TEST(every_length_of_a_space_is_decoded),
    VU_FD_TEST(random_spaces_are_decoded),
    VU_FD_TEST(memory_that_runs_out_anywhere_is_reported),
    VU_FD_TEST(a_dump_has_all_bytes_in_lines_of_sixteen),
    VU_FD_TEST(addresses_are_those_of_lspci),
    VU_FD_TEST(classes_have_names),
    VU_FD_TEST(names_come_out_of_a_list),
};

VU_TEST_MAIN(tests)
