/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sample client carries the device's state from one server to another, in rounds:
 *
 *     PRE_COPY     the device runs. Each round ends with a read that gives less than was
 *                  asked; the next has what changed meanwhile
 *     STOP_COPY    it stands still. The rest is read, up to the end of the stream
 *     RESUMING     the other one takes the whole stream
 *     STOP         and applies it
 *     RUNNING      interrupts that were programmed on the source come here
 *
 * What arrived is compared by checksums over all that can be read of the device.
 */
#include "samples/client.h"
#include "samples/registers.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PAGE        4096u
#define MAX_STREAM  (UINT64_C(64) << 20)    /* a device of 2 MiB that gives more is ill */

/* Grows; bytes owned. */
struct stream {
    uint8_t *bytes;
    size_t len;
    size_t room;
};

/* FNV-1a, 64 bits. */
static uint64_t checksum(uint64_t sum, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;

    for (size_t i = 0; i < len; i++)
        sum = (sum ^ p[i]) * UINT64_C(0x100000001b3);
    return sum;
}

#define CHECKSUM_START UINT64_C(0xcbf29ce484222325)

static bool add_region(struct session *s, uint32_t index, size_t size, uint64_t *sum)
{
    uint8_t *bytes = malloc(size);
    bool read;

    if (bytes == NULL)
        return complain("no memory for %zu bytes", size);
    read = ok(s, vfuc_region_read(s->dev, index, 0, bytes, size), "reading region %u",
              index);
    if (read)
        *sum = checksum(*sum, bytes, size);
    free(bytes);
    return read;
}

/* All that a client can read and a migration keeps. */
static bool sum_device(struct session *s, uint64_t *sum)
{
    *sum = CHECKSUM_START;
    return add_region(s, VFUC_PCI_BAR0, REGISTERS_SIZE, sum) &&
           add_region(s, VFUC_PCI_BAR1, STORAGE_SIZE, sum) &&
           add_region(s, VFUC_PCI_BAR2, BUFFER_SIZE, sum) &&
           add_region(s, VFUC_PCI_BAR4, VECTORS_SIZE, sum) &&
           add_region(s, VFUC_PCI_CONFIG, PAGE, sum);
}

static bool state(struct session *s, enum vfuc_mig_state to)
{
    enum vfuc_mig_state now;

    return ok(s, vfuc_migration_set_state(s->dev, to), "going to %s",
              vfuc_migration_state_name(to)) &&
           ok(s, vfuc_migration_state(s->dev, &now), "asking for the state") &&
           equal(s, now, to, "the state after going to %s",
                 vfuc_migration_state_name(to));
}

/* --------------------------------------------------------------- saving -- */

/* Room for `more` bytes, within bounds. */
static bool make_room(struct session *s, struct stream *st, size_t more)
{
    size_t room = st->room != 0 ? 2 * st->room : 1 << 20;
    uint8_t *bytes;

    if (st->room - st->len >= more)
        return true;
    if (room < st->len + more)
        room = st->len + more;
    if (!that(s, room <= MAX_STREAM, "a stream of at most %" PRIu64 " bytes", MAX_STREAM))
        return false;
    bytes = realloc(st->bytes, room);
    if (bytes == NULL)
        return complain("no memory for a stream of %zu bytes", room);
    st->bytes = bytes;
    st->room = room;
    return true;
}

/* Read until the device has no more: for now in PRE_COPY, at all in STOP_COPY. */
static bool save_round(struct session *s, struct stream *st, const char *name)
{
    size_t chunk = vfuc_migration_chunk(s->dev), before = st->len, got;

    do {
        if (!make_room(s, st, chunk) ||
            !ok(s, vfuc_migration_read(s->dev, st->bytes + st->len, chunk, &got),
                "MIG_DATA_READ"))
            return false;
        st->len += got;
    } while (got == chunk);
    note(s, "MIG_DATA_READ", "%s: %zu bytes", name, st->len - before);
    return true;
}

/* While the device runs, a page changes through the mapping, and is sent again. */
static bool save_running(struct session *s, struct stream *st)
{
    size_t first, second;

    if (!state(s, VFUC_MIG_PRE_COPY) || !save_round(s, st, "first round"))
        return false;
    first = st->len;
    s->area[17 * PAGE]++;
    if (!save_round(s, st, "second round, one page changed"))
        return false;
    second = st->len;
    return that(s, second > first && second - first < 2 * PAGE,
                "the second round has what changed") &&
           timer_fires(s, 1, "while its state is read") &&
           save_round(s, st, "third round, nothing changed") &&
           equal(s, st->len, second, "bytes after a round without changes");
}

/* Interrupts that are programmed now wait until the device runs, wherever that is. */
static bool program_interrupts(struct session *s)
{
    return set32(s, SCRATCH, 0x5ca1ab1e) && set32(s, TIMER_VECTOR, 2) &&
           set32(s, TIMER_DELAY, 1000) && set64(s, TIME_LOW, 1);
}

static bool save(struct session *s, struct stream *st, uint64_t *sum)
{
    if (!save_running(s, st) || !state(s, VFUC_MIG_STOP_COPY) || !program_interrupts(s) ||
        !save_round(s, st, "standing still") || !sum_device(s, sum))
        return false;
    note(s, "", "  the stream has %zu bytes, checksum %016" PRIx64
         "; the device's is %016" PRIx64, st->len,
         checksum(CHECKSUM_START, st->bytes, st->len), *sum);
    return state(s, VFUC_MIG_STOP);
}

/* ------------------------------------------------------------ restoring -- */

/* What could be mistaken for the state that is to come is made different. */
static bool destroy(struct session *s)
{
    if (!ok(s, vfuc_reset(s->dev), "DEVICE_RESET") || !holds32(s, SCRATCH, 0, "SCRATCH"))
        return false;
    memset(s->area, 0xee, AREA1_SIZE);
    note(s, "", "  the device was reset, its storage overwritten");
    return true;
}

static bool restore(struct session *s, const struct stream *st, uint64_t want)
{
    uint64_t sum;

    if (!state(s, VFUC_MIG_RESUMING) ||
        !ok(s, vfuc_migration_write(s->dev, st->bytes, st->len), "MIG_DATA_WRITE"))
        return false;
    note(s, "MIG_DATA_WRITE", "%zu bytes", st->len);
    if (!state(s, VFUC_MIG_STOP) || !sum_device(s, &sum) ||
        !equal(s, sum, want, "the checksum of the device"))
        return false;
    note(s, "", "  the device's checksum is %016" PRIx64 " again", sum);
    if (!state(s, VFUC_MIG_RUNNING) ||
        !fires(s, VFUC_PCI_MSIX, 2, "the timer of the source") ||
        !fires(s, VFUC_PCI_MSIX, 0, "the alarm of the source"))
        return false;
    note(s, "device", "runs; interrupts programmed before came after");
    return true;
}

bool migrate(struct session *from, struct session *to)
{
    struct stream st = { .bytes = NULL };
    uint64_t flags, sum;
    bool done;

    if (!ok(from, vfuc_migration_flags(from->dev, &flags), "what migration can do") ||
        !equal(from, flags, VFUC_MIGRATION_STOP_COPY | VFUC_MIGRATION_PRE_COPY,
               "what migration can do"))
        return false;
    done = save(from, &st, &sum) && (from != to || destroy(to)) &&
           restore(to, &st, sum);
    free(st.bytes);
    return done;
}
