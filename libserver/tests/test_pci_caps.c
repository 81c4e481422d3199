/* SPDX-License-Identifier: BSD-3-Clause */
/* libserver/pci_caps.c: adding, finding and writing capabilities; and, over the
 * whole of configuration space, that no write changes more than it may. */
#include "libserver/tests/pci_support.h"

#define CFG     VFU_PCI_DEV_CFG_REGION_IDX
#define EXT     VFU_CAP_FLAG_EXTENDED

/* Capabilities as bytes, longer than any of them needs. */
static uint8_t pm[64] = { PCI_CAP_ID_PM, 0xee };
static uint8_t px[64] = { PCI_CAP_ID_EXP, 0xee, 0x02, 0x00, 0x00, 0x00, 0x00, 0x10 };
static uint8_t msi[64] = { PCI_CAP_ID_MSI, 0xee, 0x86, 0x01 };      /* 8 vectors */
static uint8_t msix[64] = { PCI_CAP_ID_MSIX, 0xee, 0x03, 0x00, 0x04, 0x00, 0, 0, 0x0c };
static uint8_t vndr[64] = { PCI_CAP_ID_VNDR, 0xee, 0x10, 'a', 'b' };    /* 16 bytes */
static uint8_t dsn[64] = { PCI_EXT_CAP_ID_DSN, 0, 0xe1, 0xee, 1, 2, 3, 4, 5, 6, 7, 8 };
static uint8_t ext_vndr[64] = {
    PCI_EXT_CAP_ID_VNDR, 0, 0xe1, 0xee, 0x34, 0x12, 0x41, 0x01,    /* 20 bytes */
};

static ssize_t no_callback(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                           bool is_write)
{
    (void)ctx;
    (void)offset;
    if (!is_write)
        memset(buf, 0xcb, count);
    return (ssize_t)count;
}

static void assert_added(struct vfu_ctx *ctx, size_t pos, int flags, void *cap,
                         ssize_t at)
{
    assert_int_equal(vfu_pci_add_capability(ctx, pos, flags, cap), at);
}

static void assert_not_added(struct vfu_ctx *ctx, size_t pos, int flags, void *cap,
                             int err)
{
    size_t before = ctx->pci.n_caps;

    errno = 0;
    assert_int_equal(vfu_pci_add_capability(ctx, pos, flags, cap), -1);
    assert_int_equal(errno, err);
    assert_int_equal(ctx->pci.n_caps, before);
}

/* ---------------------------------------------------------------- adding */

static void capabilities_line_up_behind_each_other(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);

    (void)state;
    vndr[2] = 5;
    assert_added(ctx, 0, 0, vndr, 0x40);
    vndr[2] = 16;
    assert_added(ctx, 0, 0, pm, 0x48);      /* rounded up to 4 */
    assert_added(ctx, 0, 0, px, 0x50);
    assert_added(ctx, 0, 0, msi, 0x8c);
    assert_added(ctx, 0, 0, msix, 0xa4);
    assert_added(ctx, 0, EXT, dsn, 0x100);
    assert_added(ctx, 0, EXT, ext_vndr, 0x10c);
    assert_added(ctx, 0, EXT, ext_vndr, 0x120);

    assert_int_equal(read8(ctx, PCI_CAPABILITY_LIST), 0x40);
    assert_int_equal(read16(ctx, 0x40), 0x4809);
    assert_int_equal(read16(ctx, 0x48), 0x5001);
    assert_int_equal(read16(ctx, 0x50), 0x8c10);
    assert_int_equal(read16(ctx, 0x8c), 0xa405);
    assert_int_equal(read16(ctx, 0xa4), 0x0011);
    assert_int_equal(read32(ctx, 0x100), 0x10c10003);
    assert_int_equal(read32(ctx, 0x10c), 0x1201000b);
    assert_int_equal(read32(ctx, 0x120), 0x0001000b);
    vfu_destroy_ctx(ctx);
}

static void the_bytes_are_copied(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);
    uint8_t seen[14];

    (void)state;
    assert_added(ctx, 0, 0, vndr, 0x40);
    pci_read(ctx, 0x42, seen, sizeof(seen));
    assert_memory_equal(seen, vndr + 2, sizeof(seen));
    assert_added(ctx, 0, EXT, dsn, 0x100);
    assert_int_equal(read32(ctx, 0x104), 0x04030201);
    assert_int_equal(read32(ctx, 0x108), 0x08070605);
    vfu_destroy_ctx(ctx);
}

static void status_tells_of_standard_capabilities_only(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);

    (void)state;
    assert_added(ctx, 0, EXT, dsn, 0x100);
    assert_int_equal(vus_pci_realize(ctx, false), 0);
    assert_int_equal(read16(ctx, PCI_STATUS), 0);
    assert_added(ctx, 0, EXT, ext_vndr, 0x10c);
    assert_int_equal(read16(ctx, PCI_STATUS), 0);
    assert_added(ctx, 0, 0, pm, 0x40);          /* late, but there */
    assert_int_equal(read16(ctx, PCI_STATUS), PCI_STATUS_CAP_LIST);
    vfu_destroy_ctx(ctx);

    ctx = pci_device(VFU_PCI_TYPE_EXPRESS);
    assert_added(ctx, 0, 0, pm, 0x40);
    assert_int_equal(vus_pci_realize(ctx, false), 0);
    assert_int_equal(read16(ctx, PCI_STATUS), PCI_STATUS_CAP_LIST);
    vfu_destroy_ctx(ctx);
}

static void explicit_places_join_the_end_of_the_list(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);

    (void)state;
    assert_added(ctx, 0x80, 0, pm, 0x80);
    assert_added(ctx, 0x40, 0, msix, 0x40);
    assert_int_equal(read8(ctx, PCI_CAPABILITY_LIST), 0x80);
    assert_int_equal(read8(ctx, 0x81), 0x40);
    assert_int_equal(read8(ctx, 0x41), 0);
    assert_added(ctx, 0x100, EXT, dsn, 0x100);
    assert_added(ctx, 0x800, EXT, ext_vndr, 0x800);
    assert_added(ctx, 0x400, EXT, ext_vndr, 0x400);
    assert_int_equal(read32(ctx, 0x100) >> 20, 0x800);
    assert_int_equal(read32(ctx, 0x800) >> 20, 0x400);
    vfu_destroy_ctx(ctx);
}

static void an_automatic_place_avoids_explicit_ones(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);

    (void)state;
    assert_added(ctx, 0x50, 0, vndr, 0x50);     /* to 0x5f */
    assert_added(ctx, 0x6c, 0, pm, 0x6c);       /* to 0x73 */
    assert_added(ctx, 0x40, 0, pm, 0x40);       /* to 0x47, the last one */
    assert_added(ctx, 0, 0, pm, 0x48);          /* exactly fits */
    assert_added(ctx, 0, 0, msix, 0x60);        /* behind 0x50, exactly fits */
    assert_added(ctx, 0, 0, pm, 0x74);
    vfu_destroy_ctx(ctx);
}

static void neighbours_may_touch_but_not_overlap(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);

    (void)state;
    assert_added(ctx, 0x60, 0, vndr, 0x60);
    assert_not_added(ctx, 0x59, 0, pm, EINVAL);
    assert_not_added(ctx, 0x60, 0, pm, EINVAL);
    assert_not_added(ctx, 0x64, 0, pm, EINVAL);
    assert_not_added(ctx, 0x6f, 0, pm, EINVAL);
    assert_not_added(ctx, 0x40, 0, px, EINVAL);     /* spans it */
    assert_added(ctx, 0x58, 0, pm, 0x58);
    assert_added(ctx, 0x70, 0, pm, 0x70);
    vfu_destroy_ctx(ctx);
}

static void places_outside_are_refused(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_CONVENTIONAL);

    (void)state;
    assert_not_added(ctx, 1, 0, pm, EINVAL);
    assert_not_added(ctx, 0x3f, 0, pm, EINVAL);
    assert_not_added(ctx, 0xf9, 0, pm, EINVAL);
    assert_not_added(ctx, 0xf8, 0, pm, EINVAL);     /* would end at the very end */
    assert_not_added(ctx, 256, 0, pm, EINVAL);
    assert_not_added(ctx, SIZE_MAX, 0, pm, EINVAL);
    assert_not_added(ctx, SIZE_MAX - 7, 0, pm, EINVAL);
    assert_added(ctx, 0xf4, 0, pm, 0xf4);
    vfu_destroy_ctx(ctx);

    ctx = pci_device(VFU_PCI_TYPE_EXPRESS);
    assert_not_added(ctx, 0xfc, 0, pm, EINVAL);     /* beyond what 8-bit pointers reach */
    assert_not_added(ctx, 0x100, 0, pm, EINVAL);
    assert_added(ctx, 0xf8, 0, pm, 0xf8);
    assert_not_added(ctx, 0xfc, EXT, dsn, EINVAL);
    assert_not_added(ctx, 0x104, EXT, dsn, EINVAL); /* the first is at 0x100 */
    assert_added(ctx, 0x100, EXT, dsn, 0x100);
    assert_not_added(ctx, 0x202, EXT, dsn, EINVAL); /* pointers count in dwords */
    assert_not_added(ctx, 4096 - 12, EXT, dsn, EINVAL);
    assert_not_added(ctx, 4096, EXT, dsn, EINVAL);
    assert_not_added(ctx, SIZE_MAX - 3, EXT, dsn, EINVAL);
    assert_added(ctx, 4096 - 16, EXT, dsn, 4096 - 16);
    vfu_destroy_ctx(ctx);
}

static void flags_and_ids_are_checked(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_PCI_X_1);
    uint8_t vpd[16] = { PCI_CAP_ID_VPD };

    (void)state;
    assert_not_added(ctx, 0, 8, pm, EINVAL);
    assert_not_added(ctx, 0, -1, pm, EINVAL);
    assert_not_added(ctx, 0, VFU_CAP_FLAG_CALLBACK, pm, EINVAL);
    assert_not_added(ctx, 0, EXT, dsn, EINVAL);
    assert_not_added(ctx, 0, 0, vpd, ENOTSUP);
    assert_not_added(ctx, 0, 0, NULL, EINVAL);
    ctx->regions[CFG].cb = no_callback;
    assert_added(ctx, 0, VFU_CAP_FLAG_CALLBACK, pm, 0x40);
    vfu_destroy_ctx(ctx);

    ctx = pci_device(VFU_PCI_TYPE_PCI_X_2);
    assert_not_added(ctx, 0, EXT, pm, ENOTSUP);     /* 0xee01 */
    assert_added(ctx, 0, EXT, dsn, 0x100);
    vfu_destroy_ctx(ctx);

    ctx = vus_ctx_new(0, NULL);
    assert_not_added(ctx, 0, 0, pm, EINVAL);        /* no space to add it to */
    vfu_destroy_ctx(ctx);
}

static void vendor_lengths_must_cover_the_header(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);
    uint8_t small[3] = { PCI_CAP_ID_VNDR, 0, 2 };
    uint8_t small_ext[8] = { PCI_EXT_CAP_ID_VNDR, 0, 1, 0, 1, 0, 0x71, 0x00 };

    (void)state;
    assert_not_added(ctx, 0, 0, small, EINVAL);
    small[2] = 3;
    assert_added(ctx, 0, 0, small, 0x40);
    assert_not_added(ctx, 0, EXT, small_ext, EINVAL);
    small_ext[6] = 0x81;
    assert_added(ctx, 0, EXT, small_ext, 0x100);
    vfu_destroy_ctx(ctx);
}

static void a_full_space_says_so(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);

    (void)state;
    for (ssize_t at = 0x40; at < 0x100; at += 8)
        assert_added(ctx, 0, 0, pm, at);        /* the last one ends at 0x100 */
    assert_not_added(ctx, 0, 0, pm, ENOSPC);
    assert_not_added(ctx, 0, 0, pm, ENOSPC);
    assert_int_equal(read8(ctx, 0x100), 0);

    for (int i = 0; i < 128; i++)
        assert_added(ctx, 0, EXT, dsn, 0x100 + 12 * i);
    assert_not_added(ctx, 0, EXT, dsn, ENOSPC); /* 128 of a kind */
    assert_not_added(ctx, 0xf00, EXT, dsn, ENOSPC);
    vfu_destroy_ctx(ctx);
}

/* --------------------------------------------------------------- finding */

static void assert_found(struct vfu_ctx *ctx, bool extended, size_t pos, int id,
                         size_t at)
{
    assert_int_equal(vfu_pci_find_next_capability(ctx, extended, pos, id), at);
    if (pos == 0)
        assert_int_equal(vfu_pci_find_capability(ctx, extended, id), at);
}

static void assert_not_found(struct vfu_ctx *ctx, bool extended, size_t pos, int id,
                             int err)
{
    errno = 0;
    assert_int_equal(vfu_pci_find_next_capability(ctx, extended, pos, id), 0);
    assert_int_equal(errno, err);
}

static void find_goes_through_the_list(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);

    (void)state;
    vfu_pci_set_id(ctx, 0x1000, 0x1000, 0, 0);
    assert_not_found(ctx, false, 0, PCI_CAP_ID_PM, ENOENT);
    assert_not_found(ctx, true, 0, PCI_EXT_CAP_ID_DSN, ENOENT);
    assert_added(ctx, 0, 0, vndr, 0x40);
    assert_added(ctx, 0, 0, pm, 0x50);
    assert_added(ctx, 0, 0, vndr, 0x58);
    assert_found(ctx, false, 0, PCI_CAP_ID_VNDR, 0x40);
    assert_found(ctx, false, 0x40, PCI_CAP_ID_VNDR, 0x58);
    assert_not_found(ctx, false, 0x58, PCI_CAP_ID_VNDR, ENOENT);
    assert_found(ctx, false, 0, PCI_CAP_ID_PM, 0x50);
    assert_not_found(ctx, false, 0x50, PCI_CAP_ID_PM, ENOENT);
    assert_not_found(ctx, false, 0, PCI_CAP_ID_EXP, ENOENT);

    assert_added(ctx, 0, EXT, ext_vndr, 0x100);
    assert_added(ctx, 0, EXT, dsn, 0x114);
    assert_added(ctx, 0, EXT, ext_vndr, 0x120);
    assert_found(ctx, true, 0, PCI_EXT_CAP_ID_VNDR, 0x100);
    assert_found(ctx, true, 0x100, PCI_EXT_CAP_ID_VNDR, 0x120);
    assert_found(ctx, true, 0, PCI_EXT_CAP_ID_DSN, 0x114);
    /* The end is the end: the header's device id is no pointer. */
    assert_not_found(ctx, true, 0x120, PCI_EXT_CAP_ID_VNDR, ENOENT);
    assert_not_found(ctx, true, 0x114, PCI_EXT_CAP_ID_DSN, ENOENT);
    vfu_destroy_ctx(ctx);
}

static void find_sees_what_the_device_wrote(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);

    (void)state;
    assert_added(ctx, 0, 0, vndr, 0x40);
    assert_added(ctx, 0, 0, pm, 0x50);
    ctx->pci.space[0x41] = 0;
    assert_not_found(ctx, false, 0, PCI_CAP_ID_PM, ENOENT);
    ctx->pci.space[PCI_CAPABILITY_LIST] = 0x50;
    assert_found(ctx, false, 0, PCI_CAP_ID_PM, 0x50);
    vfu_destroy_ctx(ctx);
}

static void find_extended_in_256_bytes_finds_nothing(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_CONVENTIONAL);

    (void)state;
    assert_not_found(ctx, true, 0, PCI_EXT_CAP_ID_DSN, ENOENT);
    assert_not_found(ctx, true, 0x100, PCI_EXT_CAP_ID_DSN, EINVAL);
    vfu_destroy_ctx(ctx);
}

static void find_refuses_places_outside(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);

    (void)state;
    assert_not_found(ctx, false, 4096, PCI_CAP_ID_PM, EINVAL);
    assert_not_found(ctx, false, 4095, PCI_CAP_ID_PM, EINVAL);
    assert_not_found(ctx, false, SIZE_MAX, PCI_CAP_ID_PM, EINVAL);
    assert_not_found(ctx, true, 4092, PCI_EXT_CAP_ID_DSN, EINVAL);
    assert_not_found(ctx, true, SIZE_MAX - 1, PCI_EXT_CAP_ID_DSN, EINVAL);
    vfu_destroy_ctx(ctx);

    ctx = pci_device(VFU_PCI_TYPE_CONVENTIONAL);
    assert_not_found(ctx, false, 255, PCI_CAP_ID_PM, EINVAL);
    ctx->pci.space[PCI_CAPABILITY_LIST] = 255;      /* its next pointer is outside */
    assert_not_found(ctx, false, 0, PCI_CAP_ID_PM, EINVAL);
    vfu_destroy_ctx(ctx);

    ctx = vus_ctx_new(0, NULL);
    assert_not_found(ctx, false, 0, PCI_CAP_ID_PM, EINVAL);
    vfu_destroy_ctx(ctx);
}

static void find_ends_in_lists_that_lead_astray(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);
    uint8_t *space = ctx->pci.space;

    (void)state;
    assert_added(ctx, 0, 0, vndr, 0x40);
    assert_added(ctx, 0, 0, vndr, 0x50);
    space[0x51] = 0x40;                             /* a circle */
    assert_not_found(ctx, false, 0, PCI_CAP_ID_PM, EINVAL);
    space[0x51] = 0x04;                             /* into the header */
    assert_not_found(ctx, false, 0, PCI_CAP_ID_PM, EINVAL);

    assert_added(ctx, 0, EXT, dsn, 0x100);
    space[0x103] = 0x10;                            /* itself */
    assert_not_found(ctx, true, 0, PCI_EXT_CAP_ID_VNDR, EINVAL);
    space[0x103] = 0x04;                            /* into the first 256 bytes */
    assert_not_found(ctx, true, 0, PCI_EXT_CAP_ID_VNDR, EINVAL);
    space[0x103] = 0xff;                            /* 0xff0 is the last but three ... */
    space[0x102] = 0xc0;                            /* 0xffc reaches the end */
    assert_not_found(ctx, true, 0, PCI_EXT_CAP_ID_VNDR, EINVAL);
    vfu_destroy_ctx(ctx);
}

static void random_lists_never_lead_outside(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);

    (void)state;
    srandom(11);
    for (int round = 0; round < 2000; round++) {
        for (size_t i = 0; i < ctx->pci.size; i++)
            ctx->pci.space[i] = (uint8_t)random();
        for (int id = 0; id < 20; id++) {
            size_t at = vfu_pci_find_next_capability(ctx, round & 1, random() % 4200, id);

            assert_true(at < 4096);
        }
    }
    vfu_destroy_ctx(ctx);
}

/* --------------------------------------------------------- client writes */

/* All kinds: PM 0x40, PCIe 0x48, MSI 0x84, MSI-X 0x9c, VNDR 0xa8 (16 bytes);
 * DSN 0x100, extended VNDR 0x10c (20 bytes). */
enum {
    PM = 0x40, PX = 0x48, MSI = 0x84, MSIX = 0x9c, VNDR = 0xa8,
    DSN = 0x100, XVNDR = 0x10c,
};

static struct vfu_ctx *full_device(void)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);

    assert_added(ctx, 0, 0, pm, PM);
    assert_added(ctx, 0, 0, px, PX);
    assert_added(ctx, 0, 0, msi, MSI);
    assert_added(ctx, 0, 0, msix, MSIX);
    assert_added(ctx, 0, 0, vndr, VNDR);
    assert_added(ctx, 0, EXT, dsn, DSN);
    assert_added(ctx, 0, EXT, ext_vndr, XVNDR);
    assert_int_equal(vus_pci_realize(ctx, true), 0);
    return ctx;
}

/* A write of count bytes of ones that must be answered with err and change nothing. */
static void assert_refused(struct vfu_ctx *ctx, size_t offset, size_t count, int err)
{
    uint8_t before[4096], ones[64];

    memset(ones, 0xff, sizeof(ones));
    memcpy(before, ctx->pci.space, sizeof(before));
    if (pci_write(ctx, offset, ones, count) != -err)
        fail_msg("%zu bytes at %#zx were not refused with %d", count, offset, err);
    assert_memory_equal(ctx->pci.space, before, sizeof(before));
}

static void headers_of_capabilities_cannot_be_written(void **state)
{
    struct vfu_ctx *ctx = full_device();
    static const struct {
        size_t at, header;
    } caps[] = {
        { PM, 2 }, { PX, 2 }, { MSI, 2 }, { MSIX, 2 }, { VNDR, 3 },
        { DSN, 4 }, { XVNDR, 8 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
        for (size_t byte = 0; byte < caps[i].header; byte++) {
            assert_refused(ctx, caps[i].at + byte, 1, EPERM);
            assert_refused(ctx, caps[i].at + byte, 8, EPERM);
        }
    }
    vfu_destroy_ctx(ctx);
}

static void pm_takes_its_control_word_only(void **state)
{
    struct vfu_ctx *ctx = full_device();

    (void)state;
    assert_int_equal(write16(ctx, PM + 4, 0xabcd), 2);
    assert_int_equal(read16(ctx, PM + 4), 0xabcd);
    assert_int_equal(write16(ctx, PM + 4, 0x0003), 2);
    assert_int_equal(read16(ctx, PM + 4), 0x0003);
    assert_refused(ctx, PM + 2, 2, ENOTSUP);
    assert_refused(ctx, PM + 6, 1, ENOTSUP);
    assert_refused(ctx, PM + 7, 1, ENOTSUP);
    assert_refused(ctx, PM + 2, 1, EINVAL);
    assert_refused(ctx, PM + 2, 4, EINVAL);
    assert_refused(ctx, PM + 3, 1, EINVAL);
    assert_refused(ctx, PM + 4, 1, EINVAL);
    assert_refused(ctx, PM + 4, 4, EINVAL);
    assert_refused(ctx, PM + 5, 1, EINVAL);
    assert_refused(ctx, PM + 6, 2, EINVAL);
    vfu_destroy_ctx(ctx);
}

static void msi_takes_what_drivers_program(void **state)
{
    struct vfu_ctx *ctx = full_device();

    (void)state;
    assert_int_equal(write16(ctx, MSI + 2, 0x0031), 2);     /* on, 8 vectors */
    assert_int_equal(read16(ctx, MSI + 2), 0x01b7);
    assert_int_equal(write32(ctx, MSI + 4, 0xfee01003), 4);
    assert_int_equal(read32(ctx, MSI + 4), 0xfee01000);
    assert_int_equal(write32(ctx, MSI + 8, 0x11223344), 4);
    assert_int_equal(read32(ctx, MSI + 8), 0x11223344);
    assert_int_equal(write16(ctx, MSI + 12, 0x4321), 2);
    assert_int_equal(read32(ctx, MSI + 12), 0x00004321);    /* padding stays */
    assert_int_equal(write32(ctx, MSI + 16, 0xa5a5a5a5), 4);
    assert_int_equal(read32(ctx, MSI + 16), 0xa5a5a5a5);
    ctx->pci.space[MSI + 20] = 0x5a;
    assert_int_equal(write32(ctx, MSI + 20, 0xffffff00), 4);
    assert_int_equal(read32(ctx, MSI + 20), 0x5a);          /* pending is the device's */
    vfu_destroy_ctx(ctx);
}

static void msi_takes_parts_of_registers(void **state)
{
    struct vfu_ctx *ctx = full_device();

    (void)state;
    assert_int_equal(write8(ctx, MSI + 5, 0xee), 1);
    assert_int_equal(read32(ctx, MSI + 4), 0x0000ee00);
    assert_int_equal(write8(ctx, MSI + 3, 0xff), 1);
    assert_int_equal(read16(ctx, MSI + 2), 0x0186);         /* nothing there to change */
    assert_int_equal(write8(ctx, MSI + 2, 0x01), 1);
    assert_int_equal(read16(ctx, MSI + 2), 0x0187);
    assert_int_equal(write32(ctx, MSI + 10, 0x44332211), 4);
    assert_int_equal(read32(ctx, MSI + 8), 0x22110000);
    assert_int_equal(read32(ctx, MSI + 12), 0x00004433);
    vfu_destroy_ctx(ctx);
}

static void msi_refuses_more_vectors_than_there_are(void **state)
{
    struct vfu_ctx *ctx = full_device();

    (void)state;
    for (unsigned int mme = 0; mme < 8; mme++) {
        uint16_t was = read16(ctx, MSI + 2);

        if (mme <= 3) {
            assert_int_equal(write16(ctx, MSI + 2, mme << 4 | 1), 2);
            assert_int_equal(read16(ctx, MSI + 2), 0x0187 | mme << 4);
        } else {
            assert_int_equal(write16(ctx, MSI + 2, mme << 4), -EINVAL);
            assert_int_equal(read16(ctx, MSI + 2), was);
        }
    }
    ctx->pci.space[MSI + 2] |= 7 << 1;      /* a device that claims 128 vectors */
    assert_int_equal(write16(ctx, MSI + 2, 5 << 4), 2);
    assert_int_equal(write16(ctx, MSI + 2, 6 << 4), -EINVAL);
    vfu_destroy_ctx(ctx);
}

/* The layouts of MSI, by the two bits in its Message Control that decide. */
static const struct {
    uint8_t wide, maskable;         /* bits of bytes 2 and 3 */
    uint8_t stored[24];             /* bits that a client may change */
} msi_layouts[] = {
    { 0x00, 0, { [2] = 0x71, [4] = 0xfc, 0xff, 0xff, 0xff, 0xff, 0xff } },
    { 0x00, 1, { [2] = 0x71, [4] = 0xfc, 0xff, 0xff, 0xff, 0xff, 0xff,
                 [12] = 0xff, 0xff, 0xff, 0xff } },
    { 0x80, 0, { [2] = 0x71, [4] = 0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                 0xff, 0xff } },
    { 0x80, 1, { [2] = 0x71, [4] = 0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                 0xff, 0xff, [16] = 0xff, 0xff, 0xff, 0xff } },
};

static struct vfu_ctx *msi_device(size_t layout)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);
    uint8_t cap[24] = { PCI_CAP_ID_MSI, 0, 0x06 | msi_layouts[layout].wide,
                        msi_layouts[layout].maskable };

    memset(cap + 4, 0x5a, sizeof(cap) - 4);
    assert_added(ctx, 0, 0, cap, 0x40);
    assert_added(ctx, 0, 0, pm, 0x58);      /* each layout takes 24 bytes */
    return ctx;
}

static void each_msi_layout_takes_writes_to_its_own_fields(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct vfu_ctx *ctx = msi_device(i);
        const uint8_t *cap = ctx->pci.space + 0x40;

        for (size_t at = 2; at < 24; at++) {
            for (unsigned int value = 0; value < 256; value += at == 2 ? 1 : 17) {
                uint8_t stored = msi_layouts[i].stored[at];
                uint8_t was = cap[at];
                bool good = at != 2 || (value & 0x70) <= 0x30;

                assert_int_equal(write8(ctx, 0x40 + at, (uint8_t)value),
                                 good ? 1 : -EINVAL);
                assert_int_equal(cap[at], good ? (was & ~stored) | (value & stored)
                                               : was);
            }
        }
        vfu_destroy_ctx(ctx);
    }
}

/* The registers as a driver of each layout writes them. */
static void a_driver_programs_each_msi_layout(void **state)
{
    static const struct { size_t high, data, mask; } at[4] = {
        { 0, 8, 0 }, { 0, 8, 12 }, { 8, 12, 0 }, { 8, 12, 16 },
    };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct vfu_ctx *ctx = msi_device(i);

        assert_int_equal(write32(ctx, 0x44, 0xfee01000), 4);
        assert_int_equal(read32(ctx, 0x44), 0xfee01000 | (0x5a & 3));
        if (at[i].high != 0) {
            assert_int_equal(write32(ctx, 0x40 + at[i].high, 0x11223344), 4);
            assert_int_equal(read32(ctx, 0x40 + at[i].high), 0x11223344);
        }
        assert_int_equal(write16(ctx, 0x40 + at[i].data, 0x4321), 2);
        assert_int_equal(read16(ctx, 0x40 + at[i].data), 0x4321);
        assert_int_equal(read16(ctx, 0x40 + at[i].data + 2), 0x5a5a);
        if (at[i].mask != 0) {
            assert_int_equal(write32(ctx, 0x40 + at[i].mask, 0xa5a5a5a5), 4);
            assert_int_equal(read32(ctx, 0x40 + at[i].mask), 0xa5a5a5a5);
            assert_int_equal(write32(ctx, 0x40 + at[i].mask + 4, 0), 4);
            assert_int_equal(read32(ctx, 0x40 + at[i].mask + 4), 0x5a5a5a5a);
        }
        vfu_destroy_ctx(ctx);
    }
}

/* What the device changes in the bytes later decides nothing. */
static void an_msi_layout_is_that_of_the_capability_as_added(void **state)
{
    struct vfu_ctx *ctx = msi_device(0);

    (void)state;
    ctx->pci.space[0x42] |= 0x80;
    ctx->pci.space[0x43] |= 1;
    assert_int_equal(write16(ctx, 0x40 + 12, 0x4321), 2);
    assert_int_equal(read16(ctx, 0x40 + 12), 0x5a5a);
    assert_int_equal(write16(ctx, 0x40 + 8, 0x4321), 2);
    assert_int_equal(read16(ctx, 0x40 + 8), 0x4321);
    vfu_destroy_ctx(ctx);
}

/* One access over several pieces: header, gap, capability, and the next one. */
static void the_first_piece_refused_ends_an_access(void **state)
{
    struct vfu_ctx *ctx = full_device();
    uint8_t data[8] = { 0x7f, 0x10, 0, 0, 0, 0, 0, 0 };

    (void)state;
    /* The interrupt line is stored, the capability's header behind it refused. */
    assert_int_equal(pci_write(ctx, 0x3c, data, 8), -EPERM);
    assert_int_equal(read8(ctx, 0x3c), 0x7f);
    assert_int_equal(read8(ctx, PM), PCI_CAP_ID_PM);
    vfu_destroy_ctx(ctx);
}

/* 24 bytes are legal for MSI, but not from its middle on into the next one. */
static void a_write_ends_with_its_capability(void **state)
{
    struct vfu_ctx *ctx = full_device();
    uint8_t before[4096], data[24];

    (void)state;
    memset(data, 0xff, sizeof(data));
    memcpy(before, ctx->pci.space, sizeof(before));
    assert_int_equal(pci_write(ctx, MSI + 20, data, sizeof(data)), -EPERM);
    assert_memory_equal(ctx->pci.space, before, sizeof(before));
    /* From vendor data into the gap behind; a piece that fits is done. */
    assert_int_equal(pci_write(ctx, VNDR + 8, data, sizeof(data)), -EINVAL);
    assert_memory_equal(ctx->pci.space + VNDR + 8, data, 8);
    assert_memory_equal(ctx->pci.space + VNDR + 16, before + VNDR + 16, 64);
    vfu_destroy_ctx(ctx);
}

static void msix_takes_its_two_switches_only(void **state)
{
    struct vfu_ctx *ctx = full_device();
    uint8_t ones[10];

    (void)state;
    memset(ones, 0xff, sizeof(ones));
    assert_int_equal(pci_write(ctx, MSIX + 2, ones, sizeof(ones)), 10);
    assert_int_equal(read16(ctx, MSIX + 2), 0xc003);
    assert_int_equal(read32(ctx, MSIX + 4), 0x00000004);
    assert_int_equal(read32(ctx, MSIX + 8), 0x0000000c);
    assert_int_equal(write8(ctx, MSIX + 3, 0x80), 1);
    assert_int_equal(read16(ctx, MSIX + 2), 0x8003);
    assert_int_equal(write8(ctx, MSIX + 2, 0xff), 1);
    assert_int_equal(write32(ctx, MSIX + 4, 0), 4);
    assert_int_equal(read32(ctx, MSIX + 4), 0x00000004);
    assert_int_equal(write16(ctx, MSIX + 2, 0), 2);
    assert_int_equal(read16(ctx, MSIX + 2), 0x0003);
    vfu_destroy_ctx(ctx);
}

/* What the reset callback saw. */
static struct {
    int calls;
    vfu_reset_type_t type;
    uint16_t control;
    int answer, error;
} reset;

static int on_reset(vfu_ctx_t *ctx, vfu_reset_type_t type)
{
    uint8_t *space = (uint8_t *)vfu_pci_get_config_space(ctx);

    if (type == VFU_RESET_LOST_CONN)
        return 0;   /* the end of the test */
    reset.calls++;
    reset.type = type;
    memcpy(&reset.control, space + PX + PCI_EXP_DEVCTL, 2);
    memset(space + PX + PCI_EXP_DEVCTL, 0x11, 2);
    errno = reset.error;
    return reset.answer;
}

static void pcie_takes_its_control_words(void **state)
{
    static const uint8_t stored[] = { PCI_EXP_DEVCTL2, PCI_EXP_LNKCTL2 };
    static const uint8_t ignored[] = {
        PCI_EXP_LNKCTL, PCI_EXP_SLTCTL, PCI_EXP_RTCTL, PCI_EXP_SLTCTL2,
    };
    struct vfu_ctx *ctx = full_device();

    (void)state;
    assert_int_equal(write16(ctx, PX + PCI_EXP_DEVCTL, 0x7fff), 2);
    assert_int_equal(read16(ctx, PX + PCI_EXP_DEVCTL), 0x7fff);
    assert_int_equal(write16(ctx, PX + PCI_EXP_DEVCTL, 0x2810), 2);
    assert_int_equal(read16(ctx, PX + PCI_EXP_DEVCTL), 0x2810);
    for (size_t i = 0; i < sizeof(stored); i++) {
        assert_int_equal(write16(ctx, PX + stored[i], 0xffff), 2);
        assert_int_equal(read16(ctx, PX + stored[i]), 0xffff);
    }
    for (size_t i = 0; i < sizeof(ignored); i++) {
        assert_int_equal(write16(ctx, PX + ignored[i], 0xffff), 2);
        assert_int_equal(read16(ctx, PX + ignored[i]), 0);
    }
    vfu_destroy_ctx(ctx);
}

static void pcie_device_status_is_cleared_by_writing_one(void **state)
{
    struct vfu_ctx *ctx = full_device();

    (void)state;
    ctx->pci.space[PX + PCI_EXP_DEVSTA] = 0x3f;     /* four errors, power, pending */
    assert_int_equal(write16(ctx, PX + PCI_EXP_DEVSTA, 0x0000), 2);
    assert_int_equal(read16(ctx, PX + PCI_EXP_DEVSTA), 0x3f);
    assert_int_equal(write16(ctx, PX + PCI_EXP_DEVSTA, 0x0005), 2);
    assert_int_equal(read16(ctx, PX + PCI_EXP_DEVSTA), 0x3a);
    assert_int_equal(write16(ctx, PX + PCI_EXP_DEVSTA, 0xffff), 2);
    assert_int_equal(read16(ctx, PX + PCI_EXP_DEVSTA), 0x30);
    vfu_destroy_ctx(ctx);
}

static void pcie_refuses_the_rest(void **state)
{
    struct vfu_ctx *ctx = full_device();

    (void)state;
    assert_refused(ctx, PX + PCI_EXP_FLAGS, 2, EINVAL);
    assert_refused(ctx, PX + PCI_EXP_DEVCAP, 2, EINVAL);
    assert_refused(ctx, PX + PCI_EXP_DEVCAP, 4, EINVAL);
    assert_refused(ctx, PX + PCI_EXP_DEVCTL, 1, EINVAL);
    assert_refused(ctx, PX + PCI_EXP_DEVCTL, 4, EINVAL);
    assert_refused(ctx, PX + PCI_EXP_DEVCTL + 1, 1, EINVAL);
    assert_refused(ctx, PX + PCI_EXP_DEVCTL + 1, 2, EINVAL);
    assert_refused(ctx, PX + PCI_EXP_LNKSTA, 2, EINVAL);
    assert_refused(ctx, PX + PCI_EXP_SLTSTA2, 2, EINVAL);
    vfu_destroy_ctx(ctx);
}

static void flr_runs_the_reset_callback_last(void **state)
{
    struct vfu_ctx *ctx = full_device();

    (void)state;
    memset(&reset, 0, sizeof(reset));
    ctx->reset.cb = on_reset;
    assert_int_equal(write16(ctx, PX + PCI_EXP_DEVCTL, 0x8810), 2);
    assert_int_equal(reset.calls, 1);
    assert_int_equal(reset.type, VFU_RESET_PCI_FLR);
    assert_int_equal(reset.control, 0x0810);                        /* bit 15 reads 0 */
    assert_int_equal(read16(ctx, PX + PCI_EXP_DEVCTL), 0x1111);     /* the callback's */
    assert_int_equal(write16(ctx, PX + PCI_EXP_DEVCTL, 0x0810), 2);
    assert_int_equal(reset.calls, 1);

    reset.answer = -1;
    reset.error = EIO;
    assert_int_equal(write16(ctx, PX + PCI_EXP_DEVCTL, 0x8000), -EIO);
    assert_int_equal(reset.calls, 2);
    vfu_destroy_ctx(ctx);
}

static void flr_without_callback_succeeds(void **state)
{
    struct vfu_ctx *ctx = full_device();

    (void)state;
    assert_int_equal(write16(ctx, PX + PCI_EXP_DEVCTL, 0x8003), 2);
    assert_int_equal(read16(ctx, PX + PCI_EXP_DEVCTL), 0x0003);
    vfu_destroy_ctx(ctx);
}

static void flr_needs_the_device_to_offer_it(void **state)
{
    struct vfu_ctx *ctx = full_device();

    (void)state;
    memset(&reset, 0, sizeof(reset));
    ctx->reset.cb = on_reset;
    ctx->pci.space[PX + PCI_EXP_DEVCAP + 3] &= ~0x10;
    assert_refused(ctx, PX + PCI_EXP_DEVCTL, 2, EINVAL);
    assert_int_equal(reset.calls, 0);
    assert_int_equal(write16(ctx, PX + PCI_EXP_DEVCTL, 0x7fff), 2);
    vfu_destroy_ctx(ctx);
}

static void quiesce_is_needed_where_flr_may_start(void **state)
{
    struct vfu_ctx *ctx = full_device();

    (void)state;
    for (uint64_t offset = 0; offset < 4096; offset++)
        assert_int_equal(vus_pci_write_needs_quiesce(ctx, offset), offset == PX + 8);
    assert_false(vus_pci_write_needs_quiesce(ctx, UINT64_MAX));
    vfu_destroy_ctx(ctx);

    ctx = pci_device(VFU_PCI_TYPE_EXPRESS);
    assert_added(ctx, 0, 0, pm, PM);
    for (uint64_t offset = 0; offset < 4096; offset++)
        assert_false(vus_pci_write_needs_quiesce(ctx, offset));
    vfu_destroy_ctx(ctx);
}

static void vendor_data_are_stored(void **state)
{
    struct vfu_ctx *ctx = full_device();
    uint8_t data[13], seen[13];

    (void)state;
    memset(data, 0x6b, sizeof(data));
    assert_int_equal(pci_write(ctx, VNDR + 3, data, 13), 13);
    pci_read(ctx, VNDR + 3, seen, 13);
    assert_memory_equal(seen, data, 13);
    assert_int_equal(pci_write(ctx, XVNDR + 8, data, 12), 12);
    pci_read(ctx, XVNDR + 8, seen, 12);
    assert_memory_equal(seen, data, 12);
    vfu_destroy_ctx(ctx);
}

static void a_serial_number_cannot_be_written(void **state)
{
    struct vfu_ctx *ctx = full_device();

    (void)state;
    for (size_t at = 4; at < 12; at++)
        assert_refused(ctx, DSN + at, 1, EPERM);
    assert_refused(ctx, DSN + 4, 8, EPERM);
    vfu_destroy_ctx(ctx);
}

static void read_only_capabilities_refuse_all_writes(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);

    (void)state;
    ctx->regions[CFG].cb = no_callback;
    assert_added(ctx, 0, VFU_CAP_FLAG_READONLY, vndr, 0x40);
    assert_added(ctx, 0, VFU_CAP_FLAG_READONLY | VFU_CAP_FLAG_CALLBACK, vndr, 0x50);
    for (size_t at = 0; at < 32; at++)
        assert_refused(ctx, 0x40 + at, 1, EPERM);
    assert_int_equal(read8(ctx, 0x40), PCI_CAP_ID_VNDR);
    assert_int_equal(read8(ctx, 0x50), 0xcb);
    vfu_destroy_ctx(ctx);
}

static void callback_capabilities_go_to_the_callback_header_included(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);

    (void)state;
    ctx->regions[CFG].cb = no_callback;
    assert_added(ctx, 0, VFU_CAP_FLAG_CALLBACK, vndr, 0x40);
    assert_added(ctx, 0, 0, vndr, 0x50);
    assert_int_equal(read32(ctx, 0x40), 0xcbcbcbcb);
    assert_int_equal(read32(ctx, 0x4e), 0x0009cbcb);
    assert_int_equal(write32(ctx, 0x40, 0xffffffff), 4);
    assert_int_equal(ctx->pci.space[0x40], PCI_CAP_ID_VNDR);

    ctx->regions[CFG].cb = NULL;        /* taken away: the library's rules again */
    assert_int_equal(read8(ctx, 0x40), PCI_CAP_ID_VNDR);
    assert_int_equal(write8(ctx, 0x40, 0), -EPERM);
    assert_int_equal(write8(ctx, 0x44, 1), 1);
    vfu_destroy_ctx(ctx);
}

/* ---------------------------------------------------------- byte masks */

/* Which bits of each byte may take a client's value, and which may be cleared
 * by its ones; typed from the PCI specifications for full_device() with these
 * regions: BAR0 4 KiB 64-bit, BAR2 64 bytes I/O, BAR4 1 MiB, ROM 8 KiB. */
static const struct {
    uint16_t offset;
    uint8_t stored, cleared;
} bits[] = {
    { 0x04, 0x5f, 0 }, { 0x05, 0x05, 0 }, { 0x07, 0, 0xf9 },
    { 0x0c, 0xff, 0 }, { 0x0d, 0xff, 0 }, { 0x3c, 0xff, 0 },
    { 0x11, 0xf0, 0 }, { 0x12, 0xff, 0 }, { 0x13, 0xff, 0 },            /* BAR0 */
    { 0x14, 0xff, 0 }, { 0x15, 0xff, 0 }, { 0x16, 0xff, 0 }, { 0x17, 0xff, 0 },
    { 0x18, 0xc0, 0 }, { 0x19, 0xff, 0 }, { 0x1a, 0xff, 0 }, { 0x1b, 0xff, 0 }, /* BAR2 */
    { 0x22, 0xf0, 0 }, { 0x23, 0xff, 0 },                               /* BAR4 */
    { 0x30, 0x01, 0 }, { 0x31, 0xe0, 0 }, { 0x32, 0xff, 0 }, { 0x33, 0xff, 0 }, /* ROM */
    { PM + 4, 0xff, 0 }, { PM + 5, 0xff, 0 },
    { PX + 8, 0xff, 0 }, { PX + 9, 0x7f, 0 }, { PX + 10, 0, 0x0f },
    { PX + 0x28, 0xff, 0 }, { PX + 0x29, 0xff, 0 },
    { PX + 0x30, 0xff, 0 }, { PX + 0x31, 0xff, 0 },
    { MSI + 2, 0x71, 0 },
    { MSI + 4, 0xfc, 0 }, { MSI + 5, 0xff, 0 },
    { MSI + 6, 0xff, 0 }, { MSI + 7, 0xff, 0 },
    { MSI + 8, 0xff, 0 }, { MSI + 9, 0xff, 0 },
    { MSI + 10, 0xff, 0 }, { MSI + 11, 0xff, 0 },
    { MSI + 12, 0xff, 0 }, { MSI + 13, 0xff, 0 },
    { MSI + 16, 0xff, 0 }, { MSI + 17, 0xff, 0 },
    { MSI + 18, 0xff, 0 }, { MSI + 19, 0xff, 0 },
    { MSIX + 3, 0xc0, 0 },
};

struct model {
    uint8_t stored[4096], cleared[4096];
};

static void fill_model(struct model *m)
{
    memset(m, 0, sizeof(*m));
    for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
        m->stored[bits[i].offset] = bits[i].stored;
        m->cleared[bits[i].offset] = bits[i].cleared;
    }
    memset(&m->stored[VNDR + 3], 0xff, 13);
    memset(&m->stored[XVNDR + 8], 0xff, 12);
}

/* A byte after a write is the byte before it, or it follows its masks; and when
 * the access succeeded, it follows them. */
static void check_byte(const struct model *m, size_t at, uint8_t was, uint8_t written,
                       uint8_t is, bool done)
{
    uint8_t want = (was & ~m->stored[at]) | (written & m->stored[at]);

    want &= ~(written & m->cleared[at]);
    if (is != want && (done || is != was))
        fail_msg("byte %#zx was %#x, %#x written, is %#x, not %#x", at, was, written, is,
                 want);
}

static void each_byte_changes_as_its_mask_says(void **state)
{
    struct vfu_ctx *ctx = full_device();
    uint8_t was[4096], data[80];
    struct model m;
    long succeeded = 0;

    (void)state;
    set_region(ctx, 0, 4096,
               VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM | VFU_REGION_FLAG_64_BITS);
    set_region(ctx, 2, 64, VFU_REGION_FLAG_RW);
    set_region(ctx, 4, 1 << 20, VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM);
    set_region(ctx, VFU_PCI_DEV_ROM_REGION_IDX, 8192, VFU_REGION_FLAG_READ);
    ctx->pci.space[PCI_BASE_ADDRESS_0] = 4;
    ctx->pci.space[PCI_BASE_ADDRESS_1] = 0;
    ctx->pci.space[PCI_BASE_ADDRESS_4] = 0;
    vfu_pci_set_id(ctx, 0xffff, 0x1234, 0x5678, 0x9abc);
    fill_model(&m);
    srandom(7);
    for (int round = 0; round < 300000; round++) {
        size_t offset = random() % (round % 2 ? 0x130 : 4096);
        size_t count = 1 + random() % (round % 3 ? 4 : sizeof(data));
        ssize_t result;

        if (count > 4096 - offset)
            count = 4096 - offset;
        for (size_t i = 0; i < count; i++)
            data[i] = (uint8_t)(random() >> 8);
        ctx->pci.space[PCI_STATUS + 1] = (uint8_t)random();
        ctx->pci.space[PX + PCI_EXP_DEVSTA] = (uint8_t)random();
        memcpy(was, ctx->pci.space, sizeof(was));
        result = pci_write(ctx, offset, data, count);
        assert_true(result == (ssize_t)count || result == -EINVAL || result == -EPERM ||
                    result == -ENOTSUP);
        succeeded += result > 0;
        for (size_t i = 0; i < count; i++)
            check_byte(&m, offset + i, was[offset + i], data[i],
                       ctx->pci.space[offset + i], result > 0);
        if (memcmp(was, ctx->pci.space, offset) != 0 ||
            memcmp(was + offset + count, ctx->pci.space + offset + count,
                   4096 - offset - count) != 0)
            fail_msg("%zu bytes at %#zx changed others", count, offset);
    }
    assert_true(succeeded > 30000);     /* it was not all refused */
    vfu_destroy_ctx(ctx);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(capabilities_line_up_behind_each_other),
    cmocka_unit_test(the_bytes_are_copied),
    cmocka_unit_test(status_tells_of_standard_capabilities_only),
    cmocka_unit_test(explicit_places_join_the_end_of_the_list),
    cmocka_unit_test(an_automatic_place_avoids_explicit_ones),
    cmocka_unit_test(neighbours_may_touch_but_not_overlap),
    cmocka_unit_test(places_outside_are_refused),
    cmocka_unit_test(flags_and_ids_are_checked),
    cmocka_unit_test(vendor_lengths_must_cover_the_header),
    cmocka_unit_test(a_full_space_says_so),
    cmocka_unit_test(find_goes_through_the_list),
    cmocka_unit_test(find_sees_what_the_device_wrote),
    cmocka_unit_test(find_extended_in_256_bytes_finds_nothing),
    cmocka_unit_test(find_refuses_places_outside),
    cmocka_unit_test(find_ends_in_lists_that_lead_astray),
    cmocka_unit_test(random_lists_never_lead_outside),
    cmocka_unit_test(headers_of_capabilities_cannot_be_written),
    cmocka_unit_test(pm_takes_its_control_word_only),
    cmocka_unit_test(msi_takes_what_drivers_program),
    cmocka_unit_test(msi_takes_parts_of_registers),
    cmocka_unit_test(msi_refuses_more_vectors_than_there_are),
    cmocka_unit_test(each_msi_layout_takes_writes_to_its_own_fields),
    cmocka_unit_test(a_driver_programs_each_msi_layout),
    cmocka_unit_test(an_msi_layout_is_that_of_the_capability_as_added),
    cmocka_unit_test(the_first_piece_refused_ends_an_access),
    cmocka_unit_test(a_write_ends_with_its_capability),
    cmocka_unit_test(msix_takes_its_two_switches_only),
    cmocka_unit_test(pcie_takes_its_control_words),
    cmocka_unit_test(pcie_device_status_is_cleared_by_writing_one),
    cmocka_unit_test(pcie_refuses_the_rest),
    cmocka_unit_test(flr_runs_the_reset_callback_last),
    cmocka_unit_test(flr_without_callback_succeeds),
    cmocka_unit_test(flr_needs_the_device_to_offer_it),
    cmocka_unit_test(quiesce_is_needed_where_flr_may_start),
    cmocka_unit_test(vendor_data_are_stored),
    cmocka_unit_test(a_serial_number_cannot_be_written),
    cmocka_unit_test(read_only_capabilities_refuse_all_writes),
    cmocka_unit_test(callback_capabilities_go_to_the_callback_header_included),
    cmocka_unit_test(each_byte_changes_as_its_mask_says),
};

VU_TEST_MAIN(tests)
