/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Regions and registers of the mutant server's device.
 */
#include "conformance/mutants/device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conformance/mutants/faults.h"

#define RW (VU_REGION_READABLE | VU_REGION_WRITEABLE)

static const struct ct_region layout[CT_REGIONS] = {
    [0] = { .size = CT_PAGE, .flags = RW },
    [1] = { .size = 0x10000, .flags = RW | VU_REGION_MMAP },
    [2] = { .size = 0x200000,
            .flags = RW | VU_REGION_MMAP,
            .areas = { { 0x1000, 0x1000 }, { 0x4000, 0x8000 } },
            .n_areas = 2 },
    [3] = { .size = CT_PAGE, .flags = VU_REGION_READABLE },
    [4] = { .size = CT_PAGE, .flags = VU_REGION_WRITEABLE },
    [VU_PCI_CONFIG] = { .size = CT_CONFIG_SIZE, .flags = RW },
    [9] = { .size = 0x10000,
            .flags = RW | VU_REGION_MMAP,
            .areas = { { 0x2000, 0x2000 } },
            .n_areas = 1,
            .typed = true },
};

static int region_init(struct ct_region *r)
{
    int prot = PROT_READ | PROT_WRITE;

    if (r->size == 0)
        return 0;
    if (r->flags & VU_REGION_MMAP) {
        r->fd = memfd_create("region", MFD_CLOEXEC);
        if (r->fd == -1 || ftruncate(r->fd, (off_t)r->size) != 0)
            return -errno;
    }
    r->mem = mmap(NULL, r->size, prot,
                  r->fd == -1 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, r->fd, 0);
    if (r->mem == MAP_FAILED) {
        r->mem = NULL;
        return -errno;
    }
    return 0;
}

static void put16(uint8_t *config, size_t at, uint16_t v)
{
    memcpy(config + at, &v, sizeof(v));
}

void ct_device_reset(struct ct_device *d)
{
    uint8_t *config = d->regions[VU_PCI_CONFIG].mem;

    memset(config, 0, CT_CONFIG_SIZE);
    put16(config, 0x00, 0x1234); /* vendor and device */
    put16(config, 0x02, 0x11e9);
    put16(config, 0x04, 0x0002); /* memory access on, as firmware would leave it */
    put16(config, 0x0a, 0x0580); /* class: other memory */
    put16(config, 0x2c, 0x1234);
    config[0x3d] = 1; /* INTA */
    memset(d->regions[0].mem, 0, d->regions[0].size);
    memset(d->regions[3].mem, 0x33, d->regions[3].size);
}

static void make_bare(struct ct_device *d)
{
    d->num_regions = VU_PCI_REGIONS;
    memset(d->vectors, 0, sizeof(d->vectors));
    for (size_t i = 0; i < CT_REGIONS; i++)
        d->regions[i].flags &= ~VU_REGION_MMAP;
}

int ct_device_init(struct ct_device *d)
{
    static const uint32_t vectors[CT_IRQ_TYPES] = { 1, 0, 4, 1, 1 };

    memset(d, 0, sizeof(*d));
    memcpy(d->regions, layout, sizeof(layout));
    memcpy(d->vectors, vectors, sizeof(vectors));
    d->num_regions = fault(few_regions) ? 7 : CT_REGIONS;
    d->num_irqs = fault(few_irqs)       ? 2
                  : fault(many_irqs)    ? 60
                  : fault(endless_irqs) ? UINT32_MAX
                                        : CT_IRQ_TYPES;
    for (size_t i = 0; i < CT_IRQ_TYPES; i++)
        d->irq_flags[i] = VU_IRQ_EVENTFD;
    d->irq_flags[VU_PCI_INTX] |= VU_IRQ_MASKABLE | VU_IRQ_AUTOMASKED;
    d->irq_flags[VU_PCI_MSIX] |= VU_IRQ_NORESIZE;
    for (size_t i = 0; i < CT_REGIONS; i++)
        d->regions[i].fd = -1;
    if (manner(bare))
        make_bare(d);
    d->io_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (d->io_fd == -1)
        return -errno;
    for (size_t i = 0; i < CT_REGIONS; i++) {
        int err = region_init(&d->regions[i]);

        if (err != 0)
            return err;
    }
    ct_device_reset(d);
    return 0;
}

void ct_device_done(struct ct_device *d)
{
    for (size_t i = 0; i < CT_REGIONS; i++) {
        if (d->regions[i].mem != NULL)
            munmap(d->regions[i].mem, d->regions[i].size);
        if (d->regions[i].fd != -1)
            close(d->regions[i].fd);
    }
    if (d->io_fd != -1)
        close(d->io_fd);
}

/* Bits of configuration byte `at` that can be written. BARs answer sizing. */
static uint8_t config_mask(size_t at)
{
    static const uint32_t bar_mask[6] = { 0xfffff000, 0xffff0000, 0xffe00000,
                                          0xfffff000, 0xfffff000, 0 };

    if (at == 4)
        return 0x07;
    if (at == 5)
        return 0x04;
    if (at == 0x3c)
        return 0xff;
    if (at >= 0x10 && at < 0x28)
        return (uint8_t)(bar_mask[(at - 0x10) / 4] >> at % 4 * 8);
    return 0;
}

static bool bar0_takes(uint64_t offset, uint32_t count)
{
    return count <= 8 && (count & (count - 1)) == 0 &&
           (count == 0 || offset % count == 0);
}

uint64_t ct_device_size(const struct ct_device *d, uint32_t region)
{
    return manner(huge) && region == 0 ? UINT64_C(1) << 63 : d->regions[region].size;
}

/* The read-only region of some manners: writes there do nothing. */
static bool ignores_writes(uint32_t region)
{
    return region == 3 && (manner(counter) || manner(wide));
}

/* The checks that reads and writes share. */
static int access_check(const struct ct_device *d, uint32_t region, uint64_t offset,
                        uint32_t count)
{
    const struct ct_region *r;
    uint64_t size;

    if (region >= d->num_regions)
        return -EINVAL;
    r = &d->regions[region];
    if (fault(mapped_only) && r->flags & VU_REGION_MMAP)
        return -EINVAL;
    size = ct_device_size(d, region);
    if (size == 0 || offset > size || count > size - offset)
        return -EINVAL;
    if (manner(stubborn) &&
        (region == VU_PCI_CONFIG ? count > 8 : !(r->flags & VU_REGION_MMAP)))
        return -EINVAL;
    if (manner(careful) && count == 0)
        return -EINVAL;
    if (fault(unaligned_crash) && offset == 13 && count == 7)
        abort();
    return region == 0 && !bar0_takes(offset, count) ? -EINVAL : 0;
}

/* Whether there is memory behind an access that passed the checks. */
static bool in_memory(const struct ct_device *d, uint32_t region, uint64_t offset,
                      uint32_t count)
{
    uint64_t size = d->regions[region].size;

    return offset <= size && count <= size - offset;
}

/* Reads that a correct device refuses and a faulty one answers with zeros. */
static bool reads_as_zero(const struct ct_device *d, uint32_t region, uint64_t offset,
                          uint32_t count)
{
    const struct ct_region *r;

    if (region >= d->num_regions)
        return fault(read_past_regions) && region == d->num_regions;
    r = &d->regions[region];
    if (r->size == 0)
        return fault(absent_read);
    if (offset > UINT64_MAX - count)
        return fault(offset_wraps) && offset + count <= r->size;
    return fault(read_past_end) && offset + count > r->size;
}

int ct_device_read(struct ct_device *d, uint32_t region, uint64_t offset, uint8_t *data,
                   uint32_t count)
{
    int err;

    if (reads_as_zero(d, region, offset, count)) {
        memset(data, 0, count);
        return 0;
    }
    err = access_check(d, region, offset, count);
    if (err != 0)
        return err;
    if (!(d->regions[region].flags & VU_REGION_READABLE) && !fault(write_only_read))
        return -EINVAL;
    if (manner(wide) && region == 3 && count != 8)
        return -EINVAL;
    if (manner(counter) && region == 3) {
        memset(d->regions[3].mem, (int)(d->ticks++ & 0xff), CT_PAGE);
    } else if (!in_memory(d, region, offset, count)) {
        memset(data, 0, count);
        return 0;
    }
    memcpy(data, d->regions[region].mem + offset, count);
    if (fault(stale_bytes) && region == VU_PCI_CONFIG) {
        for (uint32_t i = 0; i < count; i++)
            if (offset + i >= 0x80)
                data[i] = d->stale[offset + i];
    }
    return 0;
}

int ct_device_write(struct ct_device *d, uint32_t region, uint64_t offset,
                    const uint8_t *data, uint32_t count)
{
    int err = access_check(d, region, offset, count);
    uint8_t *mem;

    if (err == 0 && !(d->regions[region].flags & VU_REGION_WRITEABLE) &&
        !fault(read_only_written) && !ignores_writes(region))
        err = -EINVAL;
    if (err == 0 && manner(stubborn))
        err = -EPERM;
    if (err != 0) {
        memcpy(d->stale, data, count < sizeof(d->stale) ? count : sizeof(d->stale));
        return err;
    }
    if (ignores_writes(region) || !in_memory(d, region, offset, count))
        return 0;
    mem = d->regions[region].mem + offset;
    if (region != VU_PCI_CONFIG) {
        memcpy(mem, data, count);
        return 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint8_t mask = fault(write_surplus) ? 0xff : config_mask(offset + i);

        mem[i] = (uint8_t)((mem[i] & ~mask) | (data[i] & mask));
    }
    return 0;
}
