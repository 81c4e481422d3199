/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Malformed replies about regions and interrupts: see malformed.h.
 */
#include "libclient/tests/malformed.h"

static int do_region_info(struct world *w)
{
    const struct vfuc_region *region;

    return vfuc_region_info(w->client, 0, &region);
}

static int do_irq_info(struct world *w)
{
    const struct vfuc_irq *irq;

    return vfuc_irq_info(w->client, 2, &irq);
}

static int do_irq_assign(struct world *w)
{
    int fd = 0;

    return vfuc_irq_assign(w->client, 2, 0, &fd, 1);
}

static int do_irq_disable(struct world *w)
{
    return vfuc_irq_disable(w->client, 2);
}

static int do_irq_mask(struct world *w)
{
    return vfuc_irq_mask(w->client, 2, 0, 1);
}

static int do_irq_unmask(struct world *w)
{
    return vfuc_irq_unmask(w->client, 2, 0, 1);
}

static int do_irq_trigger(struct world *w)
{
    return vfuc_irq_trigger(w->client, 2, 0, 1);
}

static int do_read(struct world *w)
{
    uint8_t *buf = malloc(4);   /* exactly, so that a sanitizer sees an overrun */
    int err;

    assert_non_null(buf);
    err = vfuc_region_read(w->client, 0, 0x10, buf, 4);
    free(buf);
    return err;
}

static int do_write(struct world *w)
{
    return vfuc_region_write(w->client, 0, 0x10, "\1\2\3\4", 4);
}

static int do_irq_enable(struct world *w)
{
    return vfuc_irq_enable(w->client, 2, 3, 1);
}

static int do_irq_some(struct world *w)
{
    return vfuc_irq_some(w->client, 2, VFUC_IRQ_TRIGGER, 0, (const uint8_t *)"\1", 1);
}

static int do_irq_notify(struct world *w)
{
    int fd = 0;

    return vfuc_irq_notify(w->client, 2, VFUC_IRQ_MASK, 0, &fd, 1);
}

static int do_io_fds(struct world *w)
{
    const struct vfuc_io_fd *entries;
    int n = vfuc_region_io_fds(w->client, 0, &entries);

    return n < 0 ? n : 0;
}

static int do_write_multi(struct world *w)
{
    static const struct vfuc_write writes[2] = {
        { .offset = 0x10, .len = 4 }, { .offset = 0x20, .len = 8 },
    };

    return vfuc_region_write_multi(w->client, writes, 2, NULL);
}

enum {
    REGION_INFO, REGION_INFO_FDS, IO_FDS, READ, WRITE, WRITE_MULTI, IRQ_INFO, IRQ_ASSIGN,
    IRQ_ENABLE, IRQ_NOTIFY, IRQ_DISABLE, IRQ_MASK, IRQ_UNMASK, IRQ_TRIGGER, IRQ_SOME,
    CALLS
};

/* One entry of REGION_IO_FDS, without a descriptor of its own unless it is named. */
#define IO_HEAD(argsz, count) argsz "00000000 00000000" count
#define IO_ENTRY(offset, size, fd) \
    offset size fd "00000000 00000000 00000000 0000000000000000"
#define NO_FD "ffffffff"

static const struct call calls[CALLS] = {
    [REGION_INFO] = { "region_info", do_region_info, DEVICE, .good = SAY_REGION0 },
    [IRQ_INFO] = { "irq_info", do_irq_info, DEVICE, .good = SAY_MSIX },
    [IRQ_ASSIGN] = { "irq_assign", do_irq_assign, IRQ, .good = "" },
    [IRQ_DISABLE] = { "irq_disable", do_irq_disable, IRQ, .good = "" },
    [IRQ_MASK] = { "irq_mask", do_irq_mask, IRQ, .good = "" },
    [IRQ_UNMASK] = { "irq_unmask", do_irq_unmask, IRQ, .good = "" },
    [IRQ_TRIGGER] = { "irq_trigger", do_irq_trigger, IRQ, .good = "" },
    [READ] = { "region_read", do_read, REGION,
               .good = "1000000000000000 00000000 04000000 a1a2a3a4" },
    [WRITE] = { "region_write", do_write, REGION,
                .good = "1000000000000000 00000000 04000000" },
    [REGION_INFO_FDS] = { "region_info, a descriptor per area", do_region_info, DEVICE,
                          .good = SAY_REGION0, .caps = "\"sparse_mmap_fds\":true" },
    [IO_FDS] = { "region_io_fds", do_io_fds, REGION,
                 .good = IO_HEAD("38000000", "01000000")
                 IO_ENTRY("0000000000000000", "0400000000000000", NO_FD) },
    [WRITE_MULTI] = { "region_write_multi", do_write_multi, REGION,
                      .good = "0200000000000000", .caps = "\"write_multiple\":true" },
    [IRQ_ENABLE] = { "irq_enable", do_irq_enable, IRQ, .good = "" },
    [IRQ_NOTIFY] = { "irq_notify", do_irq_notify, IRQ, .good = "" },
    [IRQ_SOME] = { "irq_some", do_irq_some, IRQ, .good = "" },
};

/* ----------------------------------------------------------------- faults -- */

/* Region info, 32 bytes: argsz flags index cap_offset size offset. */
#define R_HEAD(argsz, flags, cap) \
    argsz flags "00000000" cap "0020000000000000 0000000000000000"
/* One sparse area capability from 32 on: id 1, version 1, next, n, 0, then the areas. */
#define SPARSE(next, n) "0100 0100" next n "00000000"
#define AREA(offset, size) offset size
#define A0000 "0000000000000000"
#define A1000 "0010000000000000"
#define A2000 "0020000000000000"
#define A3000 "0030000000000000"

static const struct fault one_reply[] = {
    /* DEVICE_GET_REGION_INFO */
    { "another index", REGION_INFO,
      .body = "20000000 03000000 01000000 00000000 0020000000000000 0000000000000000" },
    { "argsz below the reply", REGION_INFO,
      .body = R_HEAD("1f000000", "03000000", "00000000") },
    { "argsz beyond any bound", REGION_INFO,
      .body = R_HEAD("f0ffffff", "0f000000", "00000000") },
    { "argsz one beyond our bound", REGION_INFO,
      .body = R_HEAD("01000100", "0f000000", "00000000") },
    { "mappable without a descriptor", REGION_INFO,
      .body = R_HEAD("20000000", "07000000", "00000000") },
    { "mappable, but of size 0", REGION_INFO,
      .body = "20000000 07000000 00000000 00000000 0000000000000000 0000000000000000",
      .n_fds = 1 },
    { "a mapping offset that no file has", REGION_INFO,
      .body = "20000000 07000000 00000000 00000000 0010000000000000 0000000000000080",
      .n_fds = 1 },
    { "a mapping that wraps around", REGION_INFO,
      .body = "20000000 07000000 00000000 00000000 0010000000000000 00f0ffffffffff7f",
      .n_fds = 1 },
    { "CAPS without a chain", REGION_INFO,
      .body = R_HEAD("20000000", "0b000000", "00000000") },
    { "a chain that starts in the fixed part", REGION_INFO,
      .body = R_HEAD("20000000", "0b000000", "10000000") },
    { "a chain that starts at the end", REGION_INFO,
      .body = R_HEAD("20000000", "0b000000", "20000000") },
    { "a chain that starts at 0xfffffff0", REGION_INFO,
      .body = R_HEAD("20000000", "0b000000", "f0ffffff") },
    /* IRQ_INFO: argsz flags index count */
    { "another index", IRQ_INFO, .body = "10000000 03000000 01000000 10000000" },
    { "argsz below the reply", IRQ_INFO, .body = "0f000000 03000000 02000000 10000000" },
    { "more vectors than devices have", IRQ_INFO,
      .body = "10000000 03000000 02000000 01000100" },
    { "0xffffffff vectors", IRQ_INFO, .body = "10000000 03000000 02000000 ffffffff" },
    /* REGION_READ: offset region count data */
    { "another offset", READ, .body = "1100000000000000 00000000 04000000 a1a2a3a4" },
    { "another region", READ, .body = "1000000000000000 01000000 04000000 a1a2a3a4" },
    { "one byte more than asked for", READ,
      .body = "1000000000000000 00000000 05000000 a1a2a3a4a5" },
    { "count above its data", READ, .body = "1000000000000000 00000000 04000000 a1a2a3" },
    { "count below its data", READ,
      .body = "1000000000000000 00000000 03000000 a1a2a3a4" },
    { "count 0xffffffff", READ, .body = "1000000000000000 00000000 ffffffff a1a2a3a4" },
    { "no byte at all", READ, .body = "1000000000000000 00000000 00000000" },
    { "the full count without data", READ, .body = "1000000000000000 00000000 04000000" },
    /* REGION_WRITE: offset region count */
    { "another offset", WRITE, .body = "1800000000000000 00000000 04000000" },
    { "another region", WRITE, .body = "1000000000000000 02000000 04000000" },
    { "more written than asked for", WRITE,
      .body = "1000000000000000 00000000 05000000" },
    { "nothing written", WRITE, .body = "1000000000000000 00000000 00000000" },
    { "an empty reply", WRITE, .body = "" },
    { "the data sent back", WRITE,
      .body = "1000000000000000 00000000 04000000 01020304" },
    /* REGION_WRITE_MULTI: count */
    { "one write more than we sent", WRITE_MULTI, .body = "0300000000000000" },
    { "2^32 writes", WRITE_MULTI, .body = "0000000001000000" },
    { "2^64 - 1 writes", WRITE_MULTI, .body = "ffffffffffffffff" },
    { "half of a count", WRITE_MULTI, .body = "02000000" },
    { "an empty reply", WRITE_MULTI, .body = "" },
    { "the writes sent back", WRITE_MULTI,
      .body = "0200000000000000 1000000000000000 00000000 04000000 0000000000000000" },
    /* DEVICE_GET_REGION_IO_FDS: argsz flags index count entries */
    { "another index", IO_FDS, .body = "10000000 00000000 01000000 00000000" },
    { "argsz below the reply", IO_FDS, .body = IO_HEAD("0f000000", "00000000") },
    { "argsz 0", IO_FDS, .body = IO_HEAD("00000000", "01000000") },
    { "argsz one beyond our bound", IO_FDS, .body = IO_HEAD("01000100", "01000000") },
    { "argsz beyond any bound", IO_FDS, .body = IO_HEAD("ffffffff", "01000000") },
    { "an empty reply", IO_FDS, .body = "" },
    { "half of a reply", IO_FDS, .body = "10000000 00000000" },
    { "a count, but no room for entries", IO_FDS,
      .body = IO_HEAD("10000000", "01000000") },
    { "a count, but no entries", IO_FDS, .body = IO_HEAD("38000000", "01000000") },
    { "count 0xffffffff", IO_FDS,
      .body = IO_HEAD("38000000", "ffffffff")
      IO_ENTRY("0000000000000000", "0400000000000000", NO_FD) },
    { "one entry more than there are", IO_FDS,
      .body = IO_HEAD("38000000", "02000000")
      IO_ENTRY("0000000000000000", "0400000000000000", NO_FD) },
    { "argsz for two entries, but one", IO_FDS,
      .body = IO_HEAD("60000000", "02000000")
      IO_ENTRY("0000000000000000", "0400000000000000", NO_FD) },
    { "entries of 39 bytes", IO_FDS,
      .body = IO_HEAD("37000000", "01000000")
      IO_ENTRY("0000000000000000", "0400000000000000", NO_FD) },
    { "entries of 40 and a half bytes", IO_FDS,
      .body = IO_HEAD("61000000", "02000000")
      IO_ENTRY("0000000000000000", "0400000000000000", NO_FD)
      IO_ENTRY("0400000000000000", "0400000000000000", NO_FD) "00" },
    { "an entry at the end of the region", IO_FDS,
      .body = IO_HEAD("38000000", "01000000")
      IO_ENTRY("0020000000000000", "0000000000000000", NO_FD) },
    { "an entry that leaves the region", IO_FDS,
      .body = IO_HEAD("38000000", "01000000")
      IO_ENTRY("fd1f000000000000", "0400000000000000", NO_FD) },
    { "an entry of the largest offset", IO_FDS,
      .body = IO_HEAD("38000000", "01000000")
      IO_ENTRY("ffffffffffffffff", "0400000000000000", NO_FD) },
    { "an entry that wraps around", IO_FDS,
      .body = IO_HEAD("38000000", "01000000")
      IO_ENTRY("0010000000000000", "00f0ffffffffffff", NO_FD) },
    { "a descriptor that did not come", IO_FDS,
      .body = IO_HEAD("38000000", "01000000")
      IO_ENTRY("0000000000000000", "0400000000000000", "00000000") },
    { "a descriptor behind the last one", IO_FDS,
      .body = IO_HEAD("38000000", "01000000")
      IO_ENTRY("0000000000000000", "0400000000000000", "02000000"), .n_fds = 2 },
    { "descriptor 0xfffffffe", IO_FDS,
      .body = IO_HEAD("38000000", "01000000")
      IO_ENTRY("0000000000000000", "0400000000000000", "feffffff"), .n_fds = 2 },
    { "a good entry and one that leaves the region", IO_FDS,
      .body = IO_HEAD("60000000", "02000000")
      IO_ENTRY("0000000000000000", "0400000000000000", "00000000")
      IO_ENTRY("0000000000000000", "0120000000000000", "00000000"), .n_fds = 1 },
};

/* Replies to the second question, for the 80 bytes that the first reply spoke of. */
static const struct fault chains[] = {
    { "a capability that names itself as the next", REGION_INFO,
      .body = R_HEAD("50000000", "0f000000", "20000000")
      SPARSE("20000000", "01000000") AREA(A0000, A1000) AREA(A1000, A1000), .n_fds = 1 },
    { "a next that goes back", REGION_INFO,
      .body = R_HEAD("50000000", "0f000000", "28000000")
      "0000000000000000" SPARSE("20000000", "00000000") "0000000000000000"
      "0000000000000000" "0000000000000000", .n_fds = 1 },
    { "a next in the fixed part", REGION_INFO,
      .body = R_HEAD("50000000", "0f000000", "20000000")
      SPARSE("08000000", "00000000") AREA(A0000, A1000) AREA(A1000, A1000), .n_fds = 1 },
    { "a next beyond the reply", REGION_INFO,
      .body = R_HEAD("50000000", "0f000000", "20000000")
      SPARSE("50000000", "00000000") AREA(A0000, A1000) AREA(A1000, A1000), .n_fds = 1 },
    { "a next of 0xfffffff8", REGION_INFO,
      .body = R_HEAD("50000000", "0f000000", "20000000")
      SPARSE("f8ffffff", "00000000") AREA(A0000, A1000) AREA(A1000, A1000), .n_fds = 1 },
    { "a capability that is cut", REGION_INFO,
      .body = R_HEAD("50000000", "0f000000", "4c000000")
      SPARSE("00000000", "01000000") AREA(A0000, A1000) "0000000000000000"
      "00000000 01000100", .n_fds = 1 },
    { "nr_areas 0xffffffff", REGION_INFO,
      .body = R_HEAD("50000000", "0f000000", "20000000")
      SPARSE("00000000", "ffffffff") AREA(A0000, A1000) AREA(A1000, A1000), .n_fds = 1 },
    { "nr_areas one too many", REGION_INFO,
      .body = R_HEAD("50000000", "0f000000", "20000000")
      SPARSE("00000000", "03000000") AREA(A0000, A1000) AREA(A1000, A1000), .n_fds = 1 },
    { "an area beyond the region", REGION_INFO,
      .body = R_HEAD("50000000", "0f000000", "20000000")
      SPARSE("00000000", "02000000") AREA(A0000, A1000) AREA(A2000, A1000), .n_fds = 1 },
    { "an area that leaves the region", REGION_INFO,
      .body = R_HEAD("50000000", "0f000000", "20000000")
      SPARSE("00000000", "01000000") AREA(A1000, A2000) AREA(A0000, A0000), .n_fds = 1 },
    { "an area that wraps around", REGION_INFO,
      .body = R_HEAD("50000000", "0f000000", "20000000")
      SPARSE("00000000", "01000000") AREA(A1000, "00f0ffffffffffff") AREA(A0000, A0000),
      .n_fds = 1 },
    { "an area of the largest offset", REGION_INFO,
      .body = R_HEAD("50000000", "0f000000", "20000000")
      SPARSE("00000000", "01000000") AREA("ffffffffffffffff", A1000) AREA(A0000, A0000),
      .n_fds = 1 },
    { "an empty area", REGION_INFO,
      .body = R_HEAD("50000000", "0f000000", "20000000")
      SPARSE("00000000", "02000000") AREA(A0000, A1000) AREA(A1000, A0000), .n_fds = 1 },
    { "areas that overlap", REGION_INFO,
      .body = R_HEAD("50000000", "0f000000", "20000000")
      SPARSE("00000000", "02000000") AREA(A0000, A2000) AREA(A1000, A1000), .n_fds = 1 },
    { "areas that overlap, the last one first", REGION_INFO,
      .body = R_HEAD("50000000", "0f000000", "20000000")
      SPARSE("00000000", "02000000") AREA(A1000, A1000) AREA(A0000, "0110000000000000"),
      .n_fds = 1 },
    { "an area twice", REGION_INFO,
      .body = R_HEAD("50000000", "0f000000", "20000000")
      SPARSE("00000000", "02000000") AREA(A1000, A1000) AREA(A1000, A1000), .n_fds = 1 },
    { "two lists of areas", REGION_INFO,
      .body = R_HEAD("50000000", "0f000000", "20000000")
      SPARSE("30000000", "00000000") SPARSE("00000000", "01000000") AREA(A0000, A1000),
      .n_fds = 1 },
    { "a type that is cut", REGION_INFO,
      .body = R_HEAD("50000000", "0b000000", "48000000")
      SPARSE("00000000", "00000000") AREA(A0000, A1000) "0000000000000000"
      "0200 0100 00000000" },
    { "areas, but no descriptor", REGION_INFO,
      .body = R_HEAD("50000000", "0f000000", "20000000")
      SPARSE("00000000", "01000000") AREA(A0000, A1000) AREA(A0000, A0000) },
    { "a longer reply than there was room for", REGION_INFO,
      .body = R_HEAD("50000000", "0f000000", "20000000")
      SPARSE("00000000", "02000000") AREA(A0000, A1000) AREA(A1000, A1000) "00",
      .n_fds = 1 },
    { "an argsz that grew beyond our bound", REGION_INFO,
      .body = R_HEAD("01000100", "07000000", "00000000"), .n_fds = 1 },
};

/* For the 48 bytes behind the fixed part of 80: id 0x8001, n, 0, then areas of offset,
 * offset in the descriptor, size, number of the descriptor, padding. */
#define FD_HEAD(n) \
    R_HEAD("50000000", "0f000000", "20000000") "0180 0100 00000000" n "00000000"
#define FD_AREA(offset, at, size, fd) offset at size fd "00000000"

static const struct fault fd_chains[] = {
    { "an area without any descriptor", REGION_INFO_FDS,
      .body = FD_HEAD("01000000") FD_AREA(A0000, A0000, A1000, "00000000") },
    { "an area of the descriptor behind the last one", REGION_INFO_FDS,
      .body = FD_HEAD("01000000") FD_AREA(A0000, A0000, A1000, "01000000"), .n_fds = 1 },
    { "an area of descriptor 0xffffffff", REGION_INFO_FDS,
      .body = FD_HEAD("01000000") FD_AREA(A0000, A0000, A1000, "ffffffff"), .n_fds = 3 },
    { "nr_areas one too many", REGION_INFO_FDS,
      .body = FD_HEAD("02000000") FD_AREA(A0000, A0000, A1000, "00000000"), .n_fds = 1 },
    { "nr_areas 0xffffffff", REGION_INFO_FDS,
      .body = FD_HEAD("ffffffff") FD_AREA(A0000, A0000, A1000, "00000000"), .n_fds = 1 },
    { "nr_areas 0x08000001, which wraps around", REGION_INFO_FDS,
      .body = FD_HEAD("01000008") FD_AREA(A0000, A0000, A1000, "00000000"), .n_fds = 1 },
    { "an area beyond the region", REGION_INFO_FDS,
      .body = FD_HEAD("01000000") FD_AREA(A2000, A0000, A1000, "00000000"), .n_fds = 1 },
    { "an area that leaves the region", REGION_INFO_FDS,
      .body = FD_HEAD("01000000") FD_AREA(A1000, A0000, A2000, "00000000"), .n_fds = 1 },
    { "an area that wraps around", REGION_INFO_FDS,
      .body = FD_HEAD("01000000") FD_AREA(A1000, A0000, "00f0ffffffffffff", "00000000"),
      .n_fds = 1 },
    { "an empty area", REGION_INFO_FDS,
      .body = FD_HEAD("01000000") FD_AREA(A0000, A0000, A0000, "00000000"), .n_fds = 1 },
    { "an offset that no file has", REGION_INFO_FDS,
      .body = FD_HEAD("01000000") FD_AREA(A0000, "0000000000000080", A1000, "00000000"),
      .n_fds = 1 },
    { "an offset that wraps around", REGION_INFO_FDS,
      .body = FD_HEAD("01000000") FD_AREA(A0000, "01f0ffffffffff7f", A1000, "00000000"),
      .n_fds = 1 },
    { "no areas and no descriptor", REGION_INFO_FDS,
      .body = FD_HEAD("00000000") FD_AREA(A0000, A0000, A1000, "00000000") },
    { "mappable, but of size 0", REGION_INFO_FDS,
      .body = "50000000 0f000000 00000000 20000000 0000000000000000 0000000000000000"
      "0180 0100 00000000 00000000 00000000" FD_AREA(A0000, A0000, A1000, "00000000"),
      .n_fds = 1 },
    { "a list of either kind", REGION_INFO_FDS,
      .body = R_HEAD("50000000", "0f000000", "20000000")
      SPARSE("40000000", "01000000") AREA(A0000, A1000)
      "0180 0100 00000000 00000000 00000000", .n_fds = 1 },
};

/* And for two areas. */
static const struct fault fd_pairs[] = {
    { "areas that overlap", REGION_INFO_FDS,
      .body = R_HEAD("70000000", "0f000000", "20000000")
      "0180 0100 00000000 02000000 00000000" FD_AREA(A0000, A0000, A2000, "00000000")
      FD_AREA(A1000, A0000, A1000, "01000000"), .n_fds = 2 },
    { "an area twice", REGION_INFO_FDS,
      .body = R_HEAD("70000000", "0f000000", "20000000")
      "0180 0100 00000000 02000000 00000000" FD_AREA(A1000, A0000, A1000, "00000000")
      FD_AREA(A1000, A0000, A1000, "01000000"), .n_fds = 2 },
    { "a good area and one without its descriptor", REGION_INFO_FDS,
      .body = R_HEAD("70000000", "0f000000", "20000000")
      "0180 0100 00000000 02000000 00000000" FD_AREA(A0000, A0000, A1000, "00000000")
      FD_AREA(A1000, A0000, A1000, "02000000"), .n_fds = 2 },
    { "two lists", REGION_INFO_FDS,
      .body = R_HEAD("70000000", "0f000000", "20000000")
      "0180 0100 50000000 01000000 00000000" FD_AREA(A0000, A0000, A1000, "00000000")
      "0180 0100 00000000 00000000 00000000 0000000000000000 0000000000000000",
      .n_fds = 2 },
};

static const struct faults sets[] = {
    { one_reply, COUNT(one_reply), NULL },
    { chains, COUNT(chains), R_HEAD("50000000", "07000000", "00000000") },
    { fd_chains, COUNT(fd_chains), R_HEAD("50000000", "07000000", "00000000") },
    { fd_pairs, COUNT(fd_pairs), R_HEAD("70000000", "07000000", "00000000") },
};

int main(void)
{
    return malformed_run(__FILE__, calls, CALLS, sets, COUNT(sets));
}
