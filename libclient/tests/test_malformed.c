/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A server that answers wrongly, once per test: the call fails with -EPROTO, the
 * connection is closed, and nothing is left open.
 *
 * First, faults that any reply can have, for every call; then those of single replies.
 * Names are "CALL: fault".
 */
#include "libclient/tests/script.h"

#include <stdio.h>

#include "wire/command.h"

struct world {
    struct script script;
    struct vfuc_client *client; /* NULL before VERSION */
};

/* ------------------------------------------------------------------ calls -- */

static int do_connect(struct world *w)
{
    struct vfuc_options options;

    assert_int_equal(vuc_options_read(NULL, &options), 0);
    return vuc_client_open(&script_port, &w->script, &options, &w->client);
}

static int do_device_info(struct world *w)
{
    const struct vfuc_device *device;

    return vfuc_device_info(w->client, &device);
}

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

static int do_dma_map(struct world *w)
{
    return vfuc_dma_map(w->client, 0x10000, 0x1000, VFUC_DMA_READ, -1, 0);
}

static int do_dma_unmap(struct world *w)
{
    return vfuc_dma_unmap(w->client, 0x10000, 0x1000);
}

static int do_dma_unmap_all(struct world *w)
{
    return vfuc_dma_unmap_all(w->client);
}

static int do_reset(struct world *w)
{
    return vfuc_reset(w->client);
}

/* What the client must know before the call, so that the call sends one message. */
enum known { NOTHING, VERSION_ONLY, DEVICE, REGION, IRQ };

struct call {
    const char *name;
    int (*run)(struct world *w);
    enum known known;
    const char *good;   /* body of a reply that is fine */
};

enum {
    CONNECT, DEVICE_INFO, REGION_INFO, IRQ_INFO, IRQ_ASSIGN, IRQ_DISABLE, IRQ_MASK,
    IRQ_UNMASK, IRQ_TRIGGER, READ, WRITE, DMA_MAP, DMA_UNMAP, DMA_UNMAP_ALL, RESET, CALLS
};

static const struct call calls[CALLS] = {
    [CONNECT] = { "connect", do_connect, NOTHING, SAY_VERSION },
    [DEVICE_INFO] = { "device_info", do_device_info, VERSION_ONLY, SAY_DEVICE },
    [REGION_INFO] = { "region_info", do_region_info, DEVICE, SAY_REGION0 },
    [IRQ_INFO] = { "irq_info", do_irq_info, DEVICE, SAY_MSIX },
    [IRQ_ASSIGN] = { "irq_assign", do_irq_assign, IRQ, "" },
    [IRQ_DISABLE] = { "irq_disable", do_irq_disable, IRQ, "" },
    [IRQ_MASK] = { "irq_mask", do_irq_mask, IRQ, "" },
    [IRQ_UNMASK] = { "irq_unmask", do_irq_unmask, IRQ, "" },
    [IRQ_TRIGGER] = { "irq_trigger", do_irq_trigger, IRQ, "" },
    [READ] = { "region_read", do_read, REGION,
               "1000000000000000 00000000 04000000 a1a2a3a4" },
    [WRITE] = { "region_write", do_write, REGION, "1000000000000000 00000000 04000000" },
    [DMA_MAP] = { "dma_map", do_dma_map, VERSION_ONLY, "" },
    [DMA_UNMAP] = { "dma_unmap", do_dma_unmap, VERSION_ONLY,
                    "18000000 00000000 0000010000000000 0010000000000000" },
    [DMA_UNMAP_ALL] = { "dma_unmap_all", do_dma_unmap_all, VERSION_ONLY,
                        "18000000 02000000 0000000000000000 0000000000000000" },
    [RESET] = { "reset", do_reset, VERSION_ONLY, "" },
};

/* The client learns what `known` says, from good replies. */
static void prepare(struct world *w, enum known known)
{
    SKIP_UNLESS_LITTLE_ENDIAN();
    script_init(&w->script);
    w->client = NULL;
    if (known >= VERSION_ONLY)
        w->client = script_client(&w->script, SAY_VERSION);
    if (known >= DEVICE) {
        script_say(&w->script, SAY_DEVICE);
        assert_int_equal(do_device_info(w), 0);
    }
    if (known == REGION) {
        script_say(&w->script, SAY_REGION0);
        assert_int_equal(do_region_info(w), 0);
    }
    if (known == IRQ) {
        script_say(&w->script, SAY_MSIX);
        assert_int_equal(do_irq_info(w), 0);
    }
}

static void finish(struct world *w)
{
    vfuc_close(w->client);
    assert_true(w->script.closed);
    script_done(&w->script);
}

/* ----------------------------------------------------------------- faults -- */

/* Changes to a good reply, in this order. */
struct fault {
    const char *name;
    int call;               /* or CALLS for any */
    const char *body;       /* instead of the good one */
    int result;             /* from the port instead of a message */
    uint16_t id_off, command_off;
    uint32_t flags;         /* if not 0, instead of 1 */
    bool cut;               /* a byte of the body is missing */
    bool more;              /* a byte of the body is too many */
    size_t n_fds;
};

static const struct fault any_reply[] = {
    { "the id of another command", CALLS, .id_off = 1 },
    { "an id from the past", CALLS, .id_off = 0xffff },
    { "the number of another command", CALLS, .command_off = 1 },
    { "a command number far off", CALLS, .command_off = 0x4000 },
    { "a type that does not exist", CALLS, .flags = 0x2 },
    { "the last type that does not exist", CALLS, .flags = 0xf },
    { "a type that does not exist, and Error", CALLS, .flags = 0x22 },
    { "an error with the id of another command", CALLS, .id_off = 1, .flags = 0x21 },
    { "a message shorter than its header", CALLS, .result = -EBADMSG },
    { "a message beyond our limit", CALLS, .result = -EMSGSIZE },
    { "a message beyond our limit, with descriptors", CALLS, .result = -EMSGSIZE,
      .n_fds = 3 },
    { "a body that is a byte too short", CALLS, .cut = true },
    { "a body that is a byte too long", CALLS, .more = true },
    { "a body that is a byte too long, with descriptors", CALLS, .more = true,
      .n_fds = 2 },
};

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
    /* VERSION: major, minor, JSON with NUL */
    { "another major version", CONNECT, .body = "0100 0000" },
    { "a minor version above the proposed one", CONNECT, .body = "0000 0300" },
    { "the largest minor version", CONNECT, .body = "0000 ffff" },
    { "version data without NUL", CONNECT, .body = "0000 0000 7b7d" },
    { "version data of a NUL alone", CONNECT, .body = "0000 0000 00" },
    { "a NUL inside version data", CONNECT, .body = "0000 0000 7b007d00" },
    { "version data that is no object", CONNECT, .body = "0000 0000 5b5d00" },
    { "version data that is cut", CONNECT, .body = "0000 0000 7b00" },
    { "capabilities that are no object", CONNECT, /* {"capabilities":1} */
      .body = "0000 0000 7b226361706162696c6974696573223a317d00" },
    /* DEVICE_GET_INFO: argsz flags num_regions num_irqs */
    { "num_regions 0xffffffff", DEVICE_INFO,
      .body = "10000000 03000000 ffffffff 05000000" },
    { "num_regions one too many", DEVICE_INFO,
      .body = "10000000 03000000 01010000 05000000" },
    { "num_irqs 0xffffffff", DEVICE_INFO, .body = "10000000 03000000 09000000 ffffffff" },
    { "num_irqs one too many", DEVICE_INFO,
      .body = "10000000 03000000 09000000 01010000" },
    { "argsz below the reply", DEVICE_INFO,
      .body = "0f000000 03000000 09000000 05000000" },
    { "argsz 0", DEVICE_INFO, .body = "00000000 03000000 09000000 05000000" },
    { "an empty reply", DEVICE_INFO, .body = "" },
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
    /* DMA_MAP */
    { "the request sent back", DMA_MAP,
      .body = "20000000 01000000 0000000000000000 0000010000000000 0010000000000000" },
    /* DMA_UNMAP: argsz flags address size */
    { "an empty reply", DMA_UNMAP, .body = "" },
    { "another address", DMA_UNMAP,
      .body = "18000000 00000000 0010010000000000 0010000000000000" },
    { "another size", DMA_UNMAP,
      .body = "18000000 00000000 0000010000000000 0020000000000000" },
    { "size 0", DMA_UNMAP,
      .body = "18000000 00000000 0000010000000000 0000000000000000" },
    { "a bitmap that is not there", DMA_UNMAP,
      .body = "18000000 01000000 0000010000000000 0010000000000000" },
    { "an address", DMA_UNMAP_ALL,
      .body = "18000000 02000000 0010000000000000 0000000000000000" },
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

/* ---------------------------------------------------------------- running -- */

struct row {
    char name[128];
    const struct fault *fault;
    int call;
    bool second;    /* a first reply asks for a question with more room */
};

static void apply(struct line *l, const struct fault *f)
{
    if (f->result != 0)
        l->result = f->result;
    l->id_off = f->id_off;
    l->command_off = f->command_off;
    if (f->flags != 0)
        l->h.flags = f->flags;
    if (f->cut)
        l->body_len--;
    if (f->more) {
        l->body = realloc(l->body, l->body_len + 1);
        assert_non_null(l->body);
        l->body[l->body_len++] = 0x5a;
    }
    l->h.size = (uint32_t)(VU_HEADER_SIZE + l->body_len);
    l->n_fds = f->n_fds;
}

static void expect_closed(struct world *w)
{
    size_t n_said = w->script.n_said;

    assert_true(w->script.closed);
    if (w->client == NULL)
        return;
    assert_string_not_equal(vfuc_last_error(w->client), "");
    assert_int_equal(vfuc_fd(w->client), -1);
    assert_int_equal(vfuc_reset(w->client), -ENOTCONN);
    assert_int_equal(vfuc_dispatch(w->client), -ENOTCONN);
    assert_int_equal(w->script.n_said, n_said);
}

static void is_a_broken_protocol(void **state)
{
    const struct row *row = *state;
    const struct call *call = &calls[row->call];
    int fds = vu_test_open_fds();
    const char *body = row->fault->body != NULL ? row->fault->body : call->good;
    struct world w;

    prepare(&w, call->known);
    if (row->second)
        script_say(&w.script, R_HEAD("50000000", "07000000", "00000000"))->n_fds = 1;
    apply(script_say(&w.script, body), row->fault);
    assert_int_equal(call->run(&w), -EPROTO);
    assert_int_equal(w.script.next, w.script.n_lines);
    expect_closed(&w);
    finish(&w);
    assert_int_equal(vu_test_open_fds(), fds);
}

static void good_reply_is_taken(void **state)
{
    const struct row *row = *state;
    int fds = vu_test_open_fds();
    struct world w;

    prepare(&w, calls[row->call].known);
    script_say(&w.script, calls[row->call].good);
    assert_int_equal(calls[row->call].run(&w), 0);
    assert_false(w.script.closed);
    finish(&w);
    assert_int_equal(vu_test_open_fds(), fds);
}

/* Descriptors that belong to nothing are no fault, but they are closed. */
static void stray_descriptors_are_closed(void **state)
{
    const struct row *row = *state;
    int fds = vu_test_open_fds();
    struct world w;

    prepare(&w, calls[row->call].known);
    script_say(&w.script, calls[row->call].good)->n_fds = 3;
    assert_int_equal(calls[row->call].run(&w), 0);
    assert_int_equal(vu_test_open_fds(), fds);
    finish(&w);
}

static void refusal_is_remote(void **state)
{
    const struct row *row = *state;
    int fds = vu_test_open_fds();
    struct world w;

    prepare(&w, calls[row->call].known);
    script_refuse(&w.script, 16)->n_fds = 1;
    assert_int_equal(calls[row->call].run(&w), -EREMOTEIO);
    if (w.client != NULL) {
        assert_false(w.script.closed);
        assert_int_equal(vfuc_last_errno(w.client), 16);
        assert_non_null(strstr(vfuc_last_error(w.client), "EBUSY"));
    }
    finish(&w);
    assert_int_equal(vu_test_open_fds(), fds);
}

static void end_of_file_is_a_lost_connection(void **state)
{
    const struct row *row = *state;
    struct world w;

    prepare(&w, calls[row->call].known);
    script_fail(&w.script, 0);
    assert_int_equal(calls[row->call].run(&w), -ENOTCONN);
    expect_closed(&w);
    finish(&w);
}

static void silence_ends_in_a_timeout(void **state)
{
    const struct row *row = *state;
    struct world w;

    prepare(&w, calls[row->call].known);
    script_fail(&w.script, -EINTR);     /* a signal does not end the wait */
    script_fail(&w.script, -ETIMEDOUT);
    assert_int_equal(calls[row->call].run(&w), -ETIMEDOUT);
    assert_int_equal(w.script.next, w.script.n_lines);
    expect_closed(&w);
    finish(&w);
}

/* ------------------------------------------------------------------- main -- */

#define ROWS_MAX 512
static struct row rows[ROWS_MAX];
static struct CMUnitTest tests[ROWS_MAX];
static size_t n_rows;

/* A body of any length may follow VERSION, and an empty one cannot be cut. */
static bool applies(const struct fault *f, int call)
{
    if (f->call != CALLS)
        return f->call == call;
    return !(f->cut && calls[call].good[0] == '\0');
}

static void add_row(CMUnitTestFunction run, int call, const char *name,
                    const struct fault *fault, bool second)
{
    struct row *row = &rows[n_rows];

    if (n_rows == ROWS_MAX)
        abort();
    snprintf(row->name, sizeof(row->name), "%s: %s", calls[call].name, name);
    row->fault = fault;
    row->call = call;
    row->second = second;
    tests[n_rows++] = (struct CMUnitTest){
        .name = row->name, .test_func = run, .initial_state = row,
    };
}

static void add_faults(const struct fault *faults, size_t n, bool second)
{
    for (int call = 0; call < CALLS; call++) {
        for (size_t i = 0; i < n; i++) {
            if (applies(&faults[i], call))
                add_row(is_a_broken_protocol, call, faults[i].name, &faults[i], second);
        }
    }
}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

int main(void)
{
    for (int call = 0; call < CALLS; call++) {
        add_row(good_reply_is_taken, call, "a good reply is taken", NULL, false);
        add_row(stray_descriptors_are_closed, call, "stray descriptors are closed", NULL,
                false);
        add_row(refusal_is_remote, call, "a refusal is told as such", NULL, false);
        add_row(end_of_file_is_a_lost_connection, call, "the server leaves", NULL, false);
        add_row(silence_ends_in_a_timeout, call, "the server says nothing", NULL, false);
    }
    add_faults(any_reply, COUNT(any_reply), false);
    add_faults(one_reply, COUNT(one_reply), false);
    add_faults(chains, COUNT(chains), true);
    return _cmocka_run_group_tests(__FILE__, tests, n_rows, NULL, NULL) != 0;
}
