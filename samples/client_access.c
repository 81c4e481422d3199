/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sample client reads and writes: registers, memory by message and through a mapping,
 * several writes in one message, and several reads on their way at a time.
 */
#include "samples/client.h"
#include "samples/registers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PAGE 4096u

bool access_registers(struct session *s)
{
    uint32_t value = 0xcafe0001;
    uint8_t byte = 0;

    if (!holds32(s, ID, ID_VALUE, "ID") || !holds32(s, SCRATCH, 0, "SCRATCH") ||
        !set32(s, SCRATCH, 0x12345678) || !holds32(s, SCRATCH, 0x12345678, "SCRATCH"))
        return false;
    note(s, "REGION_WRITE", "BAR0: SCRATCH reads as it was written");
    if (!ok(s, vfuc_region_write_posted(s->dev, VFUC_PCI_BAR0, SCRATCH, &value,
                                        sizeof(value)), "writing without a reply") ||
        !holds32(s, SCRATCH, value, "SCRATCH, written without a reply"))
        return false;
    note(s, "REGION_WRITE", "BAR0: a write without a reply is done before the next read");
    /* This the server refuses; what is outside of a region the library does not send. */
    if (!refused(s, vfuc_region_write(s->dev, VFUC_PCI_BAR0, SCRATCH, &byte, 1), EINVAL,
                 "writing one byte of a register") ||
        !fails(s, vfuc_region_read(s->dev, VFUC_PCI_BAR0, REGISTERS_SIZE, &byte, 1),
               -ERANGE, "reading behind the end"))
        return false;
    note(s, "REGION_WRITE", "BAR0: one byte is refused, as it should be: %s",
         strerror(EINVAL));
    return set32(s, SCRATCH, 0);
}

bool access_storage(struct session *s)
{
    static uint8_t out[3 * PAGE], in[3 * PAGE];
    const uint64_t at = 0x7000 - 13;    /* not aligned, and not mappable */

    fill(out, sizeof(out), 1);
    if (!ok(s, vfuc_region_write(s->dev, VFUC_PCI_BAR1, at, out, sizeof(out)),
            "writing BAR1") ||
        !ok(s, vfuc_region_read(s->dev, VFUC_PCI_BAR1, at, in, sizeof(in)),
            "reading BAR1") ||
        !same_bytes(s, in, out, sizeof(in), "BAR1"))
        return false;
    note(s, "REGION_READ", "BAR1: %zu bytes by message are what was written", sizeof(in));
    return true;
}

/* A mapping and messages show the same bytes. The mapping stays, for later steps. */
bool access_mapping(struct session *s)
{
    uint8_t out[64], in[64];
    void *area, *buffer;

    if (!ok(s, vfuc_region_map(s->dev, VFUC_PCI_BAR1, AREA1_OFFSET, AREA1_SIZE,
                               VFUC_MAP_READ | VFUC_MAP_WRITE, &area), "mapping BAR1"))
        return false;
    s->area = area;
    fill(out, sizeof(out), 2);
    memcpy(s->area + AREA1_SIZE - sizeof(out), out, sizeof(out));
    if (!ok(s, vfuc_region_read(s->dev, VFUC_PCI_BAR1, STORAGE_SIZE - sizeof(in), in,
                                sizeof(in)), "reading BAR1") ||
        !same_bytes(s, in, out, sizeof(in), "what was written through the mapping"))
        return false;
    fill(out, sizeof(out), 3);
    if (!ok(s, vfuc_region_write(s->dev, VFUC_PCI_BAR1, AREA1_OFFSET + 5, out,
                                 sizeof(out)), "writing BAR1") ||
        !same_bytes(s, s->area + 5, out, sizeof(out), "the mapping"))
        return false;
    note(s, "mmap", "BAR1: the mapping and the messages show the same bytes");

    if (!fails(s, vfuc_region_map(s->dev, VFUC_PCI_BAR1, 0, PAGE, VFUC_MAP_READ, &buffer),
               -EACCES, "mapping what is outside of the areas") ||
        !ok(s, vfuc_region_map(s->dev, VFUC_PCI_BAR2, 0, BUFFER_SIZE,
                               VFUC_MAP_READ | VFUC_MAP_WRITE, &buffer), "mapping BAR2"))
        return false;
    memcpy(buffer, out, sizeof(out));
    if (!ok(s, vfuc_region_read(s->dev, VFUC_PCI_BAR2, 0, in, sizeof(in)),
            "reading BAR2") ||
        !same_bytes(s, in, out, sizeof(in), "BAR2"))
        return false;
    note(s, "mmap", "BAR2: the same, of the whole region");
    return ok(s, vfuc_region_unmap(s->dev, buffer), "unmapping BAR2");
}

bool access_rom(struct session *s)
{
    char text[sizeof(ROM_TEXT)];

    if (!ok(s, vfuc_region_read(s->dev, VFUC_PCI_ROM, 0, text, sizeof(text)),
            "reading the ROM") ||
        !same_bytes(s, text, ROM_TEXT, sizeof(text), "the ROM's text"))
        return false;
    note(s, "REGION_READ", "ROM: \"%.*s\"", (int)strlen(ROM_TEXT) - 1, text);
    return fails(s, vfuc_region_write(s->dev, VFUC_PCI_ROM, 0, text, 4), -EACCES,
                 "writing the ROM");
}

bool access_several(struct session *s)
{
    const struct vfuc_write writes[] = {
        { .index = VFUC_PCI_BAR0, .offset = SCRATCH, .len = 4, .data = { 1, 2, 3, 4 } },
        { .index = VFUC_PCI_BAR0, .offset = SOURCE_LOW, .len = 8,
          .data = { 1, 2, 3, 4, 5, 6, 7, 8 } },
        { .index = VFUC_PCI_BAR1, .offset = 3, .len = 1, .data = { 9 } },
        { .index = VFUC_PCI_BAR1, .offset = 4, .len = 2, .data = { 10, 11 } },
    };
    const size_t count = sizeof(writes) / sizeof(writes[0]);
    const uint8_t want[] = { 9, 10, 11 };
    uint8_t bytes[3];
    size_t done = 0;

    if (!ok(s, vfuc_region_write_multi(s->dev, writes, count, &done), "%zu writes",
            count) ||
        !equal(s, done, count, "writes that were done") ||
        !holds32(s, SCRATCH, 0x04030201, "SCRATCH") ||
        !holds32(s, SOURCE_LOW, 0x04030201, "DMA_SOURCE, lower half") ||
        !holds32(s, SOURCE_HIGH, 0x08070605, "DMA_SOURCE, upper half") ||
        !ok(s, vfuc_region_read(s->dev, VFUC_PCI_BAR1, 3, bytes, 3), "reading BAR1") ||
        !same_bytes(s, bytes, want, 3, "BAR1"))
        return false;
    note(s, "REGION_WRITE_MULTI", "%zu writes to two regions%s", count,
         vfuc_negotiated(s->dev)->write_multiple ? " in one message"
                                                 : ", a message each: not agreed on");
    return true;
}

/* Many reads leave together, and are told apart by their tags when they come back. */
bool access_without_waiting(struct session *s)
{
    enum { READS = 8, CHUNK = 512 };
    static uint8_t in[READS * CHUNK], want[READS * CHUNK];
    unsigned seen = 0;

    fill(want, sizeof(want), 4);
    memcpy(s->area, want, sizeof(want));
    for (uint64_t i = 0; i < READS; i++) {
        const size_t at = i * CHUNK;

        if (!ok(s, vfuc_submit_region_read(s->dev, VFUC_PCI_BAR1, AREA1_OFFSET + at,
                                           in + at, CHUNK, i), "submitting a read"))
            return false;
    }
    while (vfuc_pending(s->dev) > 0) {
        struct vfuc_completion done[READS];
        int n = vfuc_wait(s->dev, done, READS, -1);

        if (!ok(s, n, "waiting for reads"))
            return false;
        for (int i = 0; i < n; i++) {
            if (!equal(s, (uint64_t)-(int64_t)done[i].result, 0, "errno of read %u",
                       (unsigned)done[i].tag))
                return false;
            seen |= 1u << done[i].tag;
        }
    }
    if (!equal(s, seen, (1u << READS) - 1, "reads that were completed") ||
        !same_bytes(s, in, want, sizeof(in), "what %d reads brought", READS))
        return false;
    note(s, "REGION_READ", "BAR1: %d reads on their way at a time", READS);
    return true;
}
