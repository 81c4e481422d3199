/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sample client looks at the device: what both sides agreed on, and all that a device
 * says of itself.
 */
#include "samples/client.h"
#include "samples/registers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PAGE 4096u

bool look_at_limits(struct session *s)
{
    const struct vfuc_limits *l = vfuc_negotiated(s->dev);

    note(s, "VERSION", "%u.%u; %u descriptors and %" PRIu64 " bytes in a message, "
         "%" PRIu64 " windows, %sREGION_WRITE_MULTI, %stwin socket", l->version_major,
         l->version_minor, l->max_msg_fds, l->max_data_xfer_size, l->max_dma_maps,
         l->write_multiple ? "" : "no ", l->twin_socket ? "" : "no ");
    return equal(s, l->version_major, 0, "the major version") &&
           that(s, l->max_msg_fds >= N_VECTORS, "room for %u descriptors", N_VECTORS) &&
           that(s, l->max_data_xfer_size >= PAGE, "room for a page of data") &&
           equal(s, l->pgsizes & PAGE, PAGE, "windows of pages of 4 KiB");
}

bool look_at_device(struct session *s)
{
    const struct vfuc_device *d;

    if (!ok(s, vfuc_device_info(s->dev, &d), "DEVICE_GET_INFO"))
        return false;
    note(s, "DEVICE_GET_INFO", "%s, %s, %u regions, %u kinds of interrupts",
         d->flags & VFUC_DEVICE_PCI ? "PCI" : "not PCI",
         d->flags & VFUC_DEVICE_RESET ? "can be reset" : "cannot be reset",
         d->num_regions, d->num_irqs);
    return equal(s, d->flags, VFUC_DEVICE_RESET | VFUC_DEVICE_PCI, "device flags") &&
           equal(s, d->num_regions, 9, "the number of regions") &&
           equal(s, d->num_irqs, 5, "the number of kinds of interrupts");
}

/* -------------------------------------------------------------- regions -- */

struct expected_region {
    const char *name;
    uint64_t size;
    uint32_t flags;
    uint32_t num_areas;
    struct vfuc_area areas[2];
};

#define R   VFUC_REGION_READ
#define RW  (VFUC_REGION_READ | VFUC_REGION_WRITE)
#define RWM (VFUC_REGION_READ | VFUC_REGION_WRITE | VFUC_REGION_MMAP)

static const struct expected_region regions[] = {
    { "BAR0", REGISTERS_SIZE, RW, 0, { { .size = 0 } } },
    { "BAR1", STORAGE_SIZE, RWM, 2,
      { { .offset = AREA0_OFFSET, .size = AREA0_SIZE },
        { .offset = AREA1_OFFSET, .size = AREA1_SIZE } } },
    { "BAR2", BUFFER_SIZE, RWM, 1, { { .offset = 0, .size = BUFFER_SIZE } } },
    { "BAR3", 0, 0, 0, { { .size = 0 } } },
    { "BAR4", VECTORS_SIZE, RW, 0, { { .size = 0 } } },
    { "BAR5", 0, 0, 0, { { .size = 0 } } },
    { "ROM", ROM_SIZE, R, 0, { { .size = 0 } } },
    { "configuration space", PAGE, RW, 0, { { .size = 0 } } },
    { "VGA", 0, 0, 0, { { .size = 0 } } },
};

#define N_REGIONS (sizeof(regions) / sizeof(regions[0]))

static bool check_areas(struct session *s, const struct vfuc_region *r,
                        const struct expected_region *want)
{
    for (uint32_t i = 0; i < want->num_areas; i++) {
        const struct vfuc_area *area = &r->areas[i];

        note(s, "", "  from 0x%" PRIx64 ", 0x%" PRIx64 " bytes can be mapped",
             area->offset, area->size);
        if (!equal(s, area->offset, want->areas[i].offset, "%s, start of area %u",
                   want->name, i) ||
            !equal(s, area->size, want->areas[i].size, "%s, size of area %u", want->name,
                   i) ||
            !that(s, area->fd >= 0, "%s, descriptor of area %u", want->name, i))
            return false;
    }
    return true;
}

static bool check_region(struct session *s, uint32_t index)
{
    const struct expected_region *want = &regions[index];
    const struct vfuc_region *r;

    if (!ok(s, vfuc_region_info(s->dev, index, &r), "DEVICE_GET_REGION_INFO of %s",
            want->name))
        return false;
    if (r->size == 0)
        note(s, "GET_REGION_INFO", "%s: none", want->name);
    else
        note(s, "GET_REGION_INFO", "%s: %" PRIu64 " bytes, %s%s%s", want->name, r->size,
             r->flags & VFUC_REGION_READ ? "read" : "",
             r->flags & VFUC_REGION_WRITE ? " and write" : "",
             r->flags & VFUC_REGION_MMAP ? " and map" : "");
    return equal(s, r->size, want->size, "%s, size", want->name) &&
           equal(s, r->flags, want->flags, "%s, flags", want->name) &&
           equal(s, r->num_areas, want->num_areas, "%s, areas", want->name) &&
           check_areas(s, r, want);
}

bool look_at_regions(struct session *s)
{
    for (uint32_t i = 0; i < N_REGIONS; i++) {
        if (!check_region(s, i))
            return false;
    }
    return true;
}

bool look_at_io_fds(struct session *s)
{
    for (uint32_t i = 0; i < N_REGIONS; i++) {
        const struct vfuc_io_fd *entries;
        int n;

        if (regions[i].size == 0)
            continue;
        n = vfuc_region_io_fds(s->dev, i, &entries);
        if (!ok(s, n, "DEVICE_GET_REGION_IO_FDS of %s", regions[i].name) ||
            !equal(s, (uint64_t)n, 0, "%s, IO descriptors", regions[i].name))
            return false;
    }
    note(s, "GET_REGION_IO_FDS", "none: this device has no doorbells");
    return true;
}

/* ----------------------------------------------------------- interrupts -- */

bool look_at_interrupts(struct session *s)
{
    static const struct {
        const char *name;
        uint32_t num_vectors;
    } kinds[] = { { "INTx", 1 }, { "MSI", 1 }, { "MSI-X", N_VECTORS }, { "ERR", 1 },
                  { "REQ", 1 } };

    for (uint32_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const struct vfuc_irq *irq;

        if (!ok(s, vfuc_irq_info(s->dev, i, &irq), "DEVICE_GET_IRQ_INFO of %s",
                kinds[i].name))
            return false;
        note(s, "GET_IRQ_INFO", "%s: %u vector%s, %s%s", kinds[i].name, irq->num_vectors,
             irq->num_vectors == 1 ? "" : "s",
             irq->flags & VFUC_IRQ_EVENTFD ? "by eventfd" : "not by eventfd",
             irq->flags & VFUC_IRQ_MASKABLE ? ", can be masked" : "");
        if (!equal(s, irq->num_vectors, kinds[i].num_vectors, "%s, vectors",
                   kinds[i].name) ||
            !equal(s, irq->flags & VFUC_IRQ_EVENTFD, VFUC_IRQ_EVENTFD, "%s, by eventfd",
                   kinds[i].name))
            return false;
    }
    return true;
}

/* -------------------------------------------------- configuration space -- */

/* Little endian, as all of configuration space. */
static uint32_t word(const uint8_t *config, size_t at)
{
    return config[at] | (uint32_t)config[at + 1] << 8 | (uint32_t)config[at + 2] << 16 |
           (uint32_t)config[at + 3] << 24;
}

/* The capabilities, in the order of their list; bounded, whatever the list says. */
static bool check_capabilities(struct session *s, const uint8_t *config)
{
    static const struct {
        uint8_t id;
        const char *name;
    } want[] = { { 0x01, "power management" }, { 0x10, "PCI Express" }, { 0x05, "MSI" },
                 { 0x11, "MSI-X" } };
    size_t at = config[0x34] & ~3u;

    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        note(s, "", "  capability %s at 0x%zx", want[i].name, at);
        if (!that(s, at >= 0x40, "the place of capability %zu", i) ||
            !equal(s, config[at], want[i].id, "capability %zu", i))
            return false;
        at = config[at + 1] & ~3u;
    }
    return equal(s, at, 0, "the end of the capabilities");
}

/* Software finds the size of a BAR by writing ones. */
static bool size_bar(struct session *s, unsigned bar, uint32_t want)
{
    const uint64_t at = 0x10 + 4 * bar;
    uint8_t bytes[4], ones[4] = { 0xff, 0xff, 0xff, 0xff }, zeros[4] = { 0 };

    return ok(s, vfuc_region_write(s->dev, VFUC_PCI_CONFIG, at, ones, 4), "BAR%u", bar) &&
           ok(s, vfuc_region_read(s->dev, VFUC_PCI_CONFIG, at, bytes, 4), "BAR%u", bar) &&
           equal(s, word(bytes, 0), want, "BAR%u after writing ones", bar) &&
           ok(s, vfuc_region_write(s->dev, VFUC_PCI_CONFIG, at, zeros, 4), "BAR%u", bar);
}

bool look_at_config(struct session *s)
{
    uint8_t config[PAGE];

    if (!ok(s, vfuc_region_read(s->dev, VFUC_PCI_CONFIG, 0, config, sizeof(config)),
            "reading configuration space"))
        return false;
    note(s, "REGION_READ", "configuration space: device %04x:%04x, class %06x",
         word(config, 0) & 0xffff, word(config, 0) >> 16, word(config, 8) >> 8);
    if (!equal(s, word(config, 0), (uint32_t)DEVICE_ID << 16 | VENDOR_ID,
               "device and vendor") ||
        !equal(s, word(config, 8) >> 8, 0xff0000, "the class") ||
        !equal(s, config[0x3d], 1, "the interrupt pin") || !check_capabilities(s, config))
        return false;
    if (!size_bar(s, 0, ~(REGISTERS_SIZE - 1)) || !size_bar(s, 1, ~(STORAGE_SIZE - 1)))
        return false;
    note(s, "REGION_WRITE", "sizes of BAR0 and BAR1 found by writing ones");
    return true;
}

/* ------------------------------------------------------------- features -- */

bool look_at_features(struct session *s)
{
    static const struct {
        uint32_t feature;
        uint32_t methods;
        const char *name;
    } has[] = {
        { VFUC_FEATURE_MIGRATION, VFUC_FEATURE_GET, "migration" },
        { VFUC_FEATURE_MIG_DEVICE_STATE, VFUC_FEATURE_GET | VFUC_FEATURE_SET, "state" },
        { VFUC_FEATURE_DMA_LOGGING_START, VFUC_FEATURE_SET, "logging, start" },
        { VFUC_FEATURE_DMA_LOGGING_STOP, VFUC_FEATURE_SET, "logging, stop" },
        { VFUC_FEATURE_DMA_LOGGING_REPORT, VFUC_FEATURE_GET, "logging, report" },
    };

    for (size_t i = 0; i < sizeof(has) / sizeof(has[0]); i++) {
        if (!ok(s, vfuc_feature_probe(s->dev, has[i].feature, has[i].methods),
                "probing feature %u, %s", has[i].feature, has[i].name))
            return false;
    }
    note(s, "DEVICE_FEATURE", "migration and DMA logging");
    return fails(s, vfuc_feature_probe(s->dev, VFUC_FEATURE_MIGRATION, VFUC_FEATURE_SET),
                 -EREMOTEIO, "probing to set what can only be read") &&
           fails(s, vfuc_feature_probe(s->dev, 0x1234, 0), -EREMOTEIO,
                 "probing a feature that does not exist");
}
