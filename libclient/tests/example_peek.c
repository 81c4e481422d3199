/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * peek: look at any vfio-user device, and let it raise an interrupt.
 *
 *     peek SOCKET
 *
 * Shows how to connect, find out what a device is, read and map its regions, lend it
 * memory, and receive its interrupts. Quoted in docs/driving-a-device.md.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vfio-user-client.h>

static int failed(struct vfuc_client *dev, const char *what, int err)
{
    fprintf(stderr, "%s: %s (%s)\n", what, vfuc_last_error(dev), strerror(-err));
    return err;
}

static int show_region(struct vfuc_client *dev, uint32_t index)
{
    const struct vfuc_region *region;
    int err = vfuc_region_info(dev, index, &region);

    if (err < 0)
        return failed(dev, "region info", err);
    if (region->size == 0)
        return 0;       /* this index is not used */
    printf("region %" PRIu32 ": %" PRIu64 " bytes%s%s\n", index, region->size,
           (region->flags & VFUC_REGION_READ) != 0 ? ", readable" : "",
           (region->flags & VFUC_REGION_WRITE) != 0 ? ", writeable" : "");
    for (uint32_t i = 0; i < region->num_areas; i++)
        printf("  mappable: %" PRIu64 " bytes at %#" PRIx64 "\n",
               region->areas[i].size, region->areas[i].offset);
    return 0;
}

static int show_device(struct vfuc_client *dev)
{
    const struct vfuc_device *info;
    int err = vfuc_device_info(dev, &info);

    if (err < 0)
        return failed(dev, "device info", err);
    printf("%" PRIu32 " regions, %" PRIu32 " kinds of interrupts\n", info->num_regions,
           info->num_irqs);
    for (uint32_t i = 0; err == 0 && i < info->num_regions; i++)
        err = show_region(dev, i);
    return err;
}

static int show_ids(struct vfuc_client *dev)
{
    uint16_t ids[2];
    int err = vfuc_region_read(dev, VFUC_PCI_CONFIG, 0, ids, sizeof(ids));

    if (err < 0)
        return failed(dev, "configuration space", err);
    printf("vendor %04x, device %04x\n", ids[0], ids[1]);
    return 0;
}

static int show_first_byte(struct vfuc_client *dev, const struct vfuc_region *region)
{
    const struct vfuc_area *area = &region->areas[0];
    void *addr;
    int err = vfuc_region_map(dev, region->index, area->offset, area->size,
                              VFUC_MAP_READ, &addr);

    if (err < 0)
        return failed(dev, "map", err);
    printf("region %" PRIu32 " begins with %02x where it is mapped\n", region->index,
           *(volatile uint8_t *)addr);
    return vfuc_region_unmap(dev, addr);
}

static int look_into_mappable_regions(struct vfuc_client *dev)
{
    int n = vfuc_region_count(dev);
    int err = n < 0 ? n : 0;

    for (int i = 0; err == 0 && i < n; i++) {
        const struct vfuc_region *region;

        err = vfuc_region_info(dev, (uint32_t)i, &region);
        if (err == 0 && region->num_areas > 0)
            err = show_first_byte(dev, region);
    }
    return err;
}

static int lend_memory(struct vfuc_client *dev, int memory, uint64_t size)
{
    int err = vfuc_dma_map(dev, 0x100000, size, VFUC_DMA_READ | VFUC_DMA_WRITE, memory,
                           0);

    if (err < 0)
        return failed(dev, "DMA map", err);
    printf("the device may use %" PRIu64 " bytes of our memory\n", size);
    /* ... program the device here ... */
    err = vfuc_dma_unmap(dev, 0x100000, size);
    return err < 0 ? failed(dev, "DMA unmap", err) : 0;
}

static int receive_interrupt(struct vfuc_client *dev, uint32_t index)
{
    int event = eventfd(0, EFD_CLOEXEC);
    uint64_t count = 0;
    int err;

    if (event < 0)
        return -errno;
    err = vfuc_irq_assign(dev, index, 0, &event, 1);
    if (err == 0)
        err = vfuc_irq_trigger(dev, index, 0, 1);   /* as the device would */
    if (err == 0 && read(event, &count, sizeof(count)) == (ssize_t)sizeof(count))
        printf("interrupt %" PRIu32 " came %" PRIu64 " time(s)\n", index, count);
    if (err == 0)
        err = vfuc_irq_disable(dev, index);
    close(event);   /* it was lent, the server had a copy */
    return err < 0 ? failed(dev, "interrupt", err) : 0;
}

static int try_interrupts(struct vfuc_client *dev)
{
    int n = vfuc_irq_count(dev);
    int err = n < 0 ? n : 0;

    for (int i = 0; err == 0 && i < n; i++) {
        const struct vfuc_irq *irq;

        err = vfuc_irq_info(dev, (uint32_t)i, &irq);
        if (err == 0 && irq->num_vectors > 0 && (irq->flags & VFUC_IRQ_EVENTFD) != 0)
            return receive_interrupt(dev, (uint32_t)i);
    }
    return err;
}

static int try_dma(struct vfuc_client *dev)
{
    int memory = memfd_create("memory", MFD_CLOEXEC);
    int err = -1;

    if (memory >= 0 && ftruncate(memory, 65536) == 0)
        err = lend_memory(dev, memory, 65536);
    if (memory >= 0)
        close(memory);      /* it was lent, too */
    return err;
}

static int peek(struct vfuc_client *dev)
{
    int err = show_device(dev);

    if (err == 0)
        err = show_ids(dev);
    if (err == 0)
        err = look_into_mappable_regions(dev);
    if (err == 0)
        err = try_dma(dev);
    if (err == 0)
        err = try_interrupts(dev);
    return err;
}

int main(int argc, char **argv)
{
    char why[200] = "";
    struct vfuc_options options = {
        .size = sizeof(options),
        .timeout_ms = 2000,
        .error = why,
        .error_len = sizeof(why),
    };
    struct vfuc_client *dev;
    int err;

    if (argc != 2) {
        fprintf(stderr, "usage: %s SOCKET\n", argv[0]);
        return 2;
    }
    err = vfuc_connect(argv[1], &options, &dev);
    if (err < 0) {
        fprintf(stderr, "%s: %s (%s)\n", argv[1], why, strerror(-err));
        return 1;
    }
    err = peek(dev);
    vfuc_close(dev);
    return err < 0 ? 1 : 0;
}
