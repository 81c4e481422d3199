/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Malformed replies to everything but regions and interrupts: see malformed.h, and
 * test_malformed_regions.c.
 */
#include "libclient/tests/malformed.h"

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

static int do_feature_probe(struct world *w)
{
    return vfuc_feature_probe(w->client, 77, VFUC_FEATURE_GET);
}

static int do_feature_get(struct world *w)
{
    uint8_t *data = malloc(8);
    size_t got;
    int err;

    assert_non_null(data);
    memcpy(data, "\1\2\3\4\5\6\7\10", 8);
    err = vfuc_feature_get(w->client, 77, data, 8, 8, &got);
    free(data);
    return err;
}

static int do_feature_set(struct world *w)
{
    return vfuc_feature_set(w->client, 77, "\1\2\3\4", 4);
}

static int do_migration_flags(struct world *w)
{
    uint64_t flags;

    return vfuc_migration_flags(w->client, &flags);
}

static int do_migration_state(struct world *w)
{
    enum vfuc_mig_state state;

    return vfuc_migration_state(w->client, &state);
}

static int do_migration_read(struct world *w)
{
    uint8_t *buf = malloc(4);
    size_t got;
    int err;

    assert_non_null(buf);
    err = vfuc_migration_read(w->client, buf, 4, &got);
    free(buf);
    return err;
}

static int do_migration_write(struct world *w)
{
    return vfuc_migration_write(w->client, "\1\2\3\4", 4);
}

enum {
    CONNECT, DEVICE_INFO, DMA_MAP, DMA_UNMAP, DMA_UNMAP_ALL, RESET, FEATURE_PROBE,
    FEATURE_GET, FEATURE_SET, MIG_FLAGS, MIG_STATE, MIG_READ, MIG_WRITE, CALLS
};

static const struct call calls[CALLS] = {
    [CONNECT] = { "connect", do_connect, NOTHING, .good = SAY_VERSION },
    [DEVICE_INFO] = { "device_info", do_device_info, VERSION_ONLY, .good = SAY_DEVICE },
    [DMA_MAP] = { "dma_map", do_dma_map, VERSION_ONLY, .good = "" },
    [DMA_UNMAP] = { "dma_unmap", do_dma_unmap, VERSION_ONLY,
                    .good = "18000000 00000000 0000010000000000 0010000000000000" },
    [DMA_UNMAP_ALL] = { "dma_unmap_all", do_dma_unmap_all, VERSION_ONLY,
                        .good = "18000000 02000000 0000000000000000 0000000000000000" },
    [RESET] = { "reset", do_reset, VERSION_ONLY, .good = "" },
    [FEATURE_PROBE] = { "feature_probe", do_feature_probe, VERSION_ONLY,
                        .good = "08000000 4d000500" },
    [FEATURE_GET] = { "feature_get", do_feature_get, VERSION_ONLY,
                      .good = "10000000 4d000100 0102030405060708" },
    [FEATURE_SET] = { "feature_set", do_feature_set, VERSION_ONLY,
                      .good = "0c000000 4d000200 01020304" },
    [MIG_FLAGS] = { "migration_flags", do_migration_flags, VERSION_ONLY,
                    .good = "10000000 01000100 0500000000000000" },
    [MIG_STATE] = { "migration_state", do_migration_state, VERSION_ONLY,
                    .good = "10000000 02000100 02000000 00000000" },
    [MIG_READ] = { "migration_read", do_migration_read, VERSION_ONLY,
                   .good = "0c000000 04000000 a1a2a3a4" },
    [MIG_WRITE] = { "migration_write", do_migration_write, VERSION_ONLY, .good = "" },
};

static const struct fault one_reply[] = {
    /* VERSION: major, minor, JSON with NUL */
    { "no version", CONNECT, .body = "" },
    { "half of a version", CONNECT, .body = "0000" },
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
    /* DEVICE_FEATURE: argsz flags data */
    { "an empty reply", FEATURE_PROBE, .body = "" },
    { "another feature", FEATURE_PROBE, .body = "08000000 4e000500" },
    { "another method", FEATURE_PROBE, .body = "08000000 4d000600" },
    { "no PROBE", FEATURE_PROBE, .body = "08000000 4d000100" },
    { "argsz below the envelope", FEATURE_PROBE, .body = "07000000 4d000500" },
    { "the envelope alone", FEATURE_GET, .body = "10000000 4d000100" },
    { "less than was sent", FEATURE_GET, .body = "10000000 4d000100 010203" },
    { "another feature", FEATURE_GET, .body = "10000000 4c000100 0102030405060708" },
    { "another method", FEATURE_GET, .body = "10000000 4d000200 0102030405060708" },
    { "argsz 0", FEATURE_GET, .body = "00000000 4d000100 0102030405060708" },
    { "another feature", FEATURE_SET, .body = "0c000000 4d010200 01020304" },
    { "another method", FEATURE_SET, .body = "0c000000 4d000100 01020304" },
    { "argsz below the envelope", FEATURE_SET, .body = "04000000 4d000200 01020304" },
    { "less than the request", FEATURE_SET, .body = "0c000000 4d000200 010203" },
    /* MIGRATION: flags */
    { "no flags", MIG_FLAGS, .body = "10000000 01000100" },
    { "without STOP_COPY", MIG_FLAGS, .body = "10000000 01000100 0400000000000000" },
    /* MIG_DEVICE_STATE: state, descriptor */
    { "no state", MIG_STATE, .body = "08000000 02000100" },
    { "the first state that does not exist", MIG_STATE,
      .body = "10000000 02000100 08000000 00000000" },
    { "state 0xffffffff", MIG_STATE, .body = "10000000 02000100 ffffffff 00000000" },
    /* MIG_DATA_READ: argsz size data */
    { "an empty reply", MIG_READ, .body = "" },
    { "one byte more than asked for", MIG_READ,
      .body = "0d000000 05000000 a1a2a3a4a5" },
    { "size one more than asked for", MIG_READ, .body = "0d000000 05000000 a1a2a3a4" },
    { "size above its data", MIG_READ, .body = "0c000000 04000000 a1a2a3" },
    { "size 0xffffffff", MIG_READ, .body = "0c000000 ffffffff a1a2a3a4" },
    { "size 0xfffffff8, so that argsz would wrap around", MIG_READ,
      .body = "00000000 f8ffffff a1a2a3a4" },
    { "argsz below the reply", MIG_READ, .body = "0b000000 04000000 a1a2a3a4" },
    /* MIG_DATA_WRITE: nothing, or argsz and size */
    { "half of a body", MIG_WRITE, .body = "0c000000" },
    { "more than a body", MIG_WRITE, .body = "0c000000 04000000 00000000" },
};

static const struct faults sets[] = {
    { one_reply, COUNT(one_reply), NULL },
};

int main(void)
{
    return malformed_run(__FILE__, calls, CALLS, sets, COUNT(sets));
}
