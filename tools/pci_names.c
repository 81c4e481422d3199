/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names: of classes, which are built in, and of vendors and devices, out of a pci.ids
 * file when the system has one.
 *
 * Source: PCI Code and ID Assignment 1.11; the head of pci.ids for its format.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/pci.h"
#include "tools/pci_out.h"

/* ---------------------------------------------------------------- classes -- */

/* By class and subclass, in ascending order. 0x80 is "other" in most classes. */
static const struct class_name {
    uint16_t code;
    const char *name;
} classes[] = {
    { 0x0000, "Unclassified device" },
    { 0x0001, "VGA-compatible unclassified device" },
    { 0x0100, "SCSI storage controller" },
    { 0x0101, "IDE controller" },
    { 0x0102, "Floppy disk controller" },
    { 0x0103, "IPI bus controller" },
    { 0x0104, "RAID controller" },
    { 0x0105, "ATA controller" },
    { 0x0106, "SATA controller" },
    { 0x0107, "Serial attached SCSI controller" },
    { 0x0108, "Non-volatile memory controller" },
    { 0x0109, "Universal flash storage controller" },
    { 0x0180, "Mass storage controller" },
    { 0x0200, "Ethernet controller" },
    { 0x0201, "Token ring controller" },
    { 0x0202, "FDDI controller" },
    { 0x0203, "ATM controller" },
    { 0x0204, "ISDN controller" },
    { 0x0205, "WorldFip controller" },
    { 0x0206, "PICMG controller" },
    { 0x0207, "InfiniBand controller" },
    { 0x0208, "Fabric controller" },
    { 0x0280, "Network controller" },
    { 0x0300, "VGA-compatible controller" },
    { 0x0301, "XGA controller" },
    { 0x0302, "3D controller" },
    { 0x0380, "Display controller" },
    { 0x0400, "Video controller" },
    { 0x0401, "Audio controller" },
    { 0x0402, "Computer telephony device" },
    { 0x0403, "HD audio controller" },
    { 0x0480, "Multimedia controller" },
    { 0x0500, "RAM" },
    { 0x0501, "Flash memory" },
    { 0x0502, "CXL memory" },
    { 0x0580, "Memory controller" },
    { 0x0600, "Host bridge" },
    { 0x0601, "ISA bridge" },
    { 0x0602, "EISA bridge" },
    { 0x0603, "MicroChannel bridge" },
    { 0x0604, "PCI bridge" },
    { 0x0605, "PCMCIA bridge" },
    { 0x0606, "NuBus bridge" },
    { 0x0607, "CardBus bridge" },
    { 0x0608, "RACEway bridge" },
    { 0x0609, "Semi-transparent PCI bridge" },
    { 0x060a, "InfiniBand to PCI bridge" },
    { 0x060b, "Advanced Switching bridge" },
    { 0x0680, "Bridge" },
    { 0x0700, "Serial controller" },
    { 0x0701, "Parallel controller" },
    { 0x0702, "Multiport serial controller" },
    { 0x0703, "Modem" },
    { 0x0704, "GPIB controller" },
    { 0x0705, "Smart card controller" },
    { 0x0780, "Communication controller" },
    { 0x0800, "Interrupt controller" },
    { 0x0801, "DMA controller" },
    { 0x0802, "Timer" },
    { 0x0803, "Real-time clock" },
    { 0x0804, "Hot-plug controller" },
    { 0x0805, "SD host controller" },
    { 0x0806, "IOMMU" },
    { 0x0807, "Root complex event collector" },
    { 0x0880, "System peripheral" },
    { 0x0900, "Keyboard controller" },
    { 0x0901, "Digitizer" },
    { 0x0902, "Mouse controller" },
    { 0x0903, "Scanner controller" },
    { 0x0904, "Gameport controller" },
    { 0x0980, "Input device controller" },
    { 0x0a00, "Docking station" },
    { 0x0a80, "Docking station" },
    { 0x0b40, "Co-processor" },
    { 0x0b80, "Processor" },
    { 0x0c00, "FireWire controller" },
    { 0x0c01, "ACCESS bus controller" },
    { 0x0c02, "SSA controller" },
    { 0x0c03, "USB controller" },
    { 0x0c04, "Fibre Channel controller" },
    { 0x0c05, "SMBus controller" },
    { 0x0c06, "InfiniBand controller" },
    { 0x0c07, "IPMI interface" },
    { 0x0c08, "SERCOS interface" },
    { 0x0c09, "CANbus controller" },
    { 0x0c0a, "I3C host controller" },
    { 0x0c80, "Serial bus controller" },
    { 0x0d00, "IrDA controller" },
    { 0x0d11, "Bluetooth controller" },
    { 0x0d20, "802.11a controller" },
    { 0x0d21, "802.11b controller" },
    { 0x0d80, "Wireless controller" },
    { 0x0e00, "I2O controller" },
    { 0x0f01, "Satellite TV controller" },
    { 0x0f02, "Satellite audio controller" },
    { 0x0f03, "Satellite voice controller" },
    { 0x0f04, "Satellite data controller" },
    { 0x1000, "Network and computing encryption device" },
    { 0x1010, "Entertainment encryption device" },
    { 0x1080, "Encryption controller" },
    { 0x1100, "DPIO module" },
    { 0x1101, "Performance counters" },
    { 0x1110, "Communication synchronizer" },
    { 0x1120, "Signal processing management card" },
    { 0x1180, "Signal processing controller" },
    { 0x1200, "Processing accelerator" },
    { 0x1201, "SNIA smart data accelerator" },
    { 0x1300, "Non-essential instrumentation" },
    { 0xff00, "Unassigned class" },
};

/* For subclasses that are not listed. */
static const char *const base_classes[] = {
    "Unclassified device",     "Mass storage controller",  "Network controller",
    "Display controller",      "Multimedia controller",    "Memory controller",
    "Bridge",                  "Communication controller", "System peripheral",
    "Input device controller", "Docking station",          "Processor",
    "Serial bus controller",   "Wireless controller",      "Intelligent controller",
    "Satellite controller",    "Encryption controller",    "Signal processing controller",
    "Processing accelerator",  "Non-essential instrumentation",
};

const char *tool_pci_class_name(uint16_t class_code)
{
    unsigned base = class_code >> 8;

    for (size_t i = 0; i < TOOL_PCI_COUNT(classes); i++) {
        if (classes[i].code == class_code)
            return classes[i].name;
    }
    if (base < TOOL_PCI_COUNT(base_classes))
        return base_classes[base];
    if (base == 0x40)
        return "Co-processor";
    return base == 0xff ? "Unassigned class" : NULL;
}

/* ---------------------------------------------------------------- pci.ids -- */

/*
 * Lines of pci.ids: "vvvv  Vendor", behind it "\tdddd  Device", behind that
 * "\t\tvvvv dddd  Subsystem". What does not begin like this is something else.
 */
struct reader {
    struct tool_pci_ids ids;
    struct tool_pci_names *names;
    bool in_vendor, in_device;  /* the lines that come are about ours */
};

/* Four hexadecimal digits and a blank. */
static bool take_id(const char **at, uint16_t *id)
{
    unsigned value = 0;

    for (int i = 0; i < 4; i++) {
        char c = (*at)[i];

        if (c >= '0' && c <= '9')
            value = value << 4 | (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (unsigned)(c - 'a' + 10);
        else
            return false;
    }
    if ((*at)[4] != ' ')
        return false;
    *at += 5;
    *id = (uint16_t)value;
    return true;
}

/* The rest of the line; whatever the file is, it moves no terminal. The first name
 * counts. */
static void take_name(const char *at, char **name)
{
    if (*name != NULL)
        return;
    while (*at == ' ')
        at++;
    *name = strndup(at, strcspn(at, "\n"));
    for (char *c = *name; c != NULL && *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    }
}

static void read_subsystem(struct reader *r, const char *at)
{
    uint16_t vendor, device;

    if (take_id(&at, &vendor) && take_id(&at, &device) &&
        vendor == r->ids.subsystem_vendor && device == r->ids.subsystem)
        take_name(at, &r->names->subsystem);
}

static void read_device(struct reader *r, const char *at)
{
    uint16_t id;

    r->in_device = take_id(&at, &id) && id == r->ids.device;
    if (r->in_device)
        take_name(at, &r->names->device);
}

static void read_vendor(struct reader *r, const char *at)
{
    const char *name = at;
    uint16_t id;

    r->in_vendor = r->in_device = false;
    if (!take_id(&name, &id))
        return;
    r->in_vendor = id == r->ids.vendor;
    if (r->in_vendor)
        take_name(name, &r->names->vendor);
    if (id == r->ids.subsystem_vendor)
        take_name(name, &r->names->subsystem_vendor);
}

static void read_line(struct reader *r, const char *line)
{
    if (line[0] == '#' || line[0] == '\n' || line[0] == '\0')
        return;
    if (line[0] != '\t')
        read_vendor(r, line);
    else if (line[1] != '\t' && r->in_vendor)
        read_device(r, line + 1);
    else if (line[1] == '\t' && r->in_device)
        read_subsystem(r, line + 2);
}

int tool_pci_names_load(const char *path, struct tool_pci_ids ids,
                        struct tool_pci_names *names)
{
    struct reader r = { .ids = ids, .names = names };
    char line[512];     /* of longer ones the rest is no line of ours */
    FILE *f;
    int err;

    *names = (struct tool_pci_names){ 0 };
    f = fopen(path, "re");
    if (f == NULL)
        return -errno;
    errno = 0;
    while (fgets(line, sizeof(line), f) != NULL)
        read_line(&r, line);
    err = ferror(f) ? -(errno != 0 ? errno : EIO) : 0;
    fclose(f);
    return err;
}

void tool_pci_names_done(struct tool_pci_names *names)
{
    free(names->vendor);
    free(names->device);
    free(names->subsystem_vendor);
    free(names->subsystem);
    *names = (struct tool_pci_names){ 0 };
}
