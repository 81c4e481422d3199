/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sample client lends the device memory, has it copy there, and asks which pages it
 * wrote.
 */
#include "samples/client.h"
#include "samples/registers.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define PAGE        4096u
#define COMMAND     0x04        /* in configuration space */
#define BUS_MASTER  0x06        /* and memory space */

bool bus_master(struct session *s)
{
    const uint8_t on[2] = { BUS_MASTER, 0 };

    return ok(s, vfuc_region_write(s->dev, VFUC_PCI_CONFIG, COMMAND, on, sizeof(on)),
              "switching bus mastering on");
}

bool copy(struct session *s, uint64_t source, uint64_t target, uint32_t len,
          uint32_t status)
{
    return set64(s, SOURCE_LOW, source) && set64(s, TARGET_LOW, target) &&
           set32(s, DMA_LENGTH, len) && set32(s, DMA_START, 1) &&
           holds32(s, DMA_STATUS, status, "DMA_STATUS");
}

bool dma_map(struct session *s)
{
    const uint32_t both = VFUC_DMA_READ | VFUC_DMA_WRITE;

    if (!ok(s, vfuc_dma_map_memory(s->dev, SHARED_ADDRESS, SHARED_SIZE, both, s->shared,
                                   s->memory_fd, 0), "DMA_MAP with a descriptor"))
        return false;
    note(s, "DMA_MAP", "0x%x bytes at 0x%" PRIx64 ", with a descriptor", SHARED_SIZE,
         SHARED_ADDRESS);
    if (!ok(s, vfuc_dma_map_memory(s->dev, PRIVATE_ADDRESS, PRIVATE_SIZE, both,
                                   s->private, -1, 0), "DMA_MAP without a descriptor"))
        return false;
    note(s, "DMA_MAP", "0x%x bytes at 0x%" PRIx64 ", by message only", PRIVATE_SIZE,
         PRIVATE_ADDRESS);
    return fails(s, vfuc_dma_map(s->dev, SHARED_ADDRESS + PAGE, PAGE, both, -1, 0),
                 -EEXIST, "a window over another one");
}

bool dma_copy(struct session *s)
{
    fill(s->shared, SHARED_SIZE, 5);
    if (!copy(s, SHARED_ADDRESS, SHARED_ADDRESS + PAGE, 16, DMA_NOT_MASTER) ||
        !bus_master(s) ||
        !copy(s, SHARED_ADDRESS + 0x123, SHARED_ADDRESS + 0x2fff, 700, DMA_DONE) ||
        !same_bytes(s, s->shared + 0x2fff, s->shared + 0x123, 700, "the copy"))
        return false;
    note(s, "device", "copied 700 bytes in our memory");
    if (!copy(s, SHARED_ADDRESS - PAGE, SHARED_ADDRESS, 16, DMA_BAD_SOURCE) ||
        !copy(s, SHARED_ADDRESS, SHARED_ADDRESS + SHARED_SIZE - 8, 16, DMA_BAD_TARGET))
        return false;
    note(s, "device", "does not leave the windows");
    return true;
}

/* The server asks with DMA_READ and DMA_WRITE; the library answers while we wait. */
bool dma_copy_by_message(struct session *s)
{
    fill(s->private, PRIVATE_SIZE, 6);
    if (!copy(s, PRIVATE_ADDRESS + 7, SHARED_ADDRESS + 0x8000, 3000, DMA_DONE) ||
        !same_bytes(s, s->shared + 0x8000, s->private + 7, 3000, "what DMA_READ brought"))
        return false;
    note(s, "DMA_READ", "the device read 3000 bytes by message");
    if (!copy(s, SHARED_ADDRESS, PRIVATE_ADDRESS + 0x1001, 5000, DMA_DONE) ||
        !same_bytes(s, s->private + 0x1001, s->shared, 5000, "what DMA_WRITE brought"))
        return false;
    note(s, "DMA_WRITE", "the device wrote 5000 bytes by message");
    return true;
}

/* -------------------------------------------------------------- logging -- */

/* Ask for the dirty pages of a window and compare them with bits of `want`. */
static bool dirty_pages(struct session *s, uint64_t address, uint64_t size, uint64_t want,
                        const char *what)
{
    struct vfuc_dirty *dirty;
    struct vfuc_range run;
    uint64_t got = 0;

    if (!ok(s, vfuc_dma_logging_report(s->dev, address, size, PAGE, &dirty),
            "DMA_LOGGING_REPORT of %s", what))
        return false;
    while (vfuc_dirty_next(dirty, &run)) {
        for (uint64_t at = run.address; at < run.address + run.size; at += PAGE)
            got |= UINT64_C(1) << (at - address) / PAGE;
    }
    vfuc_dirty_free(dirty);
    return equal(s, got, want, "dirty pages, %s", what);
}

bool dma_log(struct session *s)
{
    uint64_t page_size;

    if (!ok(s, vfuc_dma_logging_start(s->dev, PAGE, NULL, 0, &page_size),
            "DMA_LOGGING_START"))
        return false;
    note(s, "DMA_LOGGING_START", "a bit for each %" PRIu64 " bytes", page_size);
    if (!dirty_pages(s, SHARED_ADDRESS, SHARED_SIZE, 0, "nothing written yet") ||
        !copy(s, SHARED_ADDRESS + 0xf000, SHARED_ADDRESS + 0x2ffe, 4, DMA_DONE) ||
        !copy(s, SHARED_ADDRESS, SHARED_ADDRESS + 0xa000, PAGE, DMA_DONE) ||
        !copy(s, SHARED_ADDRESS, PRIVATE_ADDRESS + 0x1000, 1, DMA_DONE) ||
        !dirty_pages(s, SHARED_ADDRESS, SHARED_SIZE, 1u << 2 | 1u << 3 | 1u << 10,
                     "by descriptor") ||
        !dirty_pages(s, PRIVATE_ADDRESS, PRIVATE_SIZE, 1u << 1, "by message") ||
        !dirty_pages(s, SHARED_ADDRESS, SHARED_SIZE, 0, "reported before"))
        return false;
    note(s, "DMA_LOGGING_REPORT", "the pages that the device wrote, once, and no others");
    if (!ok(s, vfuc_dma_logging_stop(s->dev), "DMA_LOGGING_STOP"))
        return false;
    note(s, "DMA_LOGGING_STOP", "done");
    return true;
}

/* ------------------------------------------------------------------ end -- */

bool dma_unmap(struct session *s)
{
    if (!ok(s, vfuc_dma_unmap(s->dev, SHARED_ADDRESS, SHARED_SIZE), "DMA_UNMAP") ||
        !copy(s, SHARED_ADDRESS, SHARED_ADDRESS + PAGE, 16, DMA_BAD_SOURCE) ||
        !refused(s, vfuc_dma_unmap(s->dev, SHARED_ADDRESS, SHARED_SIZE), ENOENT,
                 "DMA_UNMAP of a window that is gone"))
        return false;
    note(s, "DMA_UNMAP", "the device cannot reach that window any more");
    if (!ok(s, vfuc_dma_unmap_all(s->dev), "DMA_UNMAP of all windows") ||
        !copy(s, PRIVATE_ADDRESS, PRIVATE_ADDRESS + PAGE, 16, DMA_BAD_SOURCE))
        return false;
    note(s, "DMA_UNMAP", "nor the other one, after unmapping all");
    return true;
}
