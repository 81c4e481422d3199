/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contract, chapter 2.11: the client's accesses to configuration space.
 */
#include "libserver/tests/chapter.h"

#define CFG VFU_PCI_DEV_CFG_REGION_IDX
#define EXT VFU_CAP_FLAG_EXTENDED

/* BAR0 of 4 KiB as in setup_usual(); more before device_realize(). */
static struct device *device_begin(void)
{
    struct device *d = device_new(NB);

    setup_usual(d);
    return d;
}

static void device_go(struct device *d)
{
    device_realize(d);
    device_attach(d);
}

static void setup_bar(struct device *d, int bar, size_t size, int flags)
{
    assert_int_equal(vfu_setup_region(d->ctx, bar, size, on_access,
                                      VFU_REGION_FLAG_RW | flags, NULL, 0, -1, 0), 0);
}

static void setup_config_callback(struct device *d, int flags)
{
    assert_int_equal(vfu_setup_region(d->ctx, CFG, 4096, on_access,
                                      VFU_REGION_FLAG_RW | flags, NULL, 0, -1, 0), 0);
}

/* Where the capability went. */
static uint64_t add(struct device *d, size_t pos, int flags, const void *cap)
{
    ssize_t at = vfu_pci_add_capability(d->ctx, pos, flags, (void *)(uintptr_t)cap);

    assert_true(at > 0);
    return (uint64_t)at;
}

static uint8_t *space(struct device *d)
{
    return vfu_pci_get_config_space(d->ctx)->raw;
}

/* ------------------------------------------------------------ who serves it -- */

TEST(c2_11_always_cb_gets_accesses_whole)
{
    struct pmcap pm = { .hdr.id = PCI_CAP_ID_PM };
    struct device *d = device_begin();

    setup_config_callback(d, VFU_REGION_FLAG_ALWAYS_CB);
    add(d, 0x40, 0, &pm);
    device_go(d);
    assert_int_equal(region_read(d, CFG, 0x3c, 16), 0);
    assert_int_equal(region_write(d, CFG, 0, "0123456789abcdef", 16), 0);
    assert_events(d, "read:3c+10 write:0+10");
    device_down(d);
}

TEST(c2_11_an_access_is_split_at_header_and_capabilities)
{
    struct pmcap pm = { .hdr.id = PCI_CAP_ID_PM };
    struct device *d = device_begin();

    setup_config_callback(d, 0);
    add(d, 0x48, 0, &pm);
    device_go(d);
    memset(d->bar0, 0xcb, sizeof(d->bar0));
    assert_int_equal(region_read(d, CFG, 0x3c, 0x20), 0);
    assert_events(d, "read:40+8 read:50+c");
    assert_int_equal(d->reply.body[16 + 1], 1);             /* header: pin */
    assert_int_equal(d->reply.body[16 + 4], 0xcb);          /* callback */
    assert_int_equal(d->reply.body[16 + 12], PCI_CAP_ID_PM);
    assert_int_equal(d->reply.body[16 + 20], 0xcb);
    device_down(d);
}

TEST(c2_11_without_a_callback_the_rest_reads_and_cannot_be_written)
{
    struct device *d = device_begin();

    device_go(d);
    space(d)[0x80] = 0x77;
    assert_int_equal(config_read(d, 0x80, 1), 0x77);
    assert_int_equal(config_write(d, 0x80, 0, 1), EINVAL);
    assert_int_equal(config_read(d, 0x80, 1), 0x77);
    device_down(d);
}

TEST(c2_11_the_first_error_ends_a_split_access_and_earlier_pieces_stay)
{
    struct device *d = device_begin();
    static const uint8_t bytes[8] = { 0x5a, 0, 0, 0, 1, 2, 3, 4 };

    device_go(d);
    assert_int_equal(region_write(d, CFG, PCI_INTERRUPT_LINE, bytes, 8), EINVAL);
    assert_int_equal(config_read(d, PCI_INTERRUPT_LINE, 1), 0x5a);
    device_down(d);
}

TEST(c2_11_a_callback_that_handles_less_is_einval)
{
    struct device *d = device_begin();

    setup_config_callback(d, 0);
    device_go(d);
    d->access_short = 1;
    assert_int_equal(region_read(d, CFG, 0x80, 4), EINVAL);
    assert_int_equal(config_write(d, 0x80, 0, 4), EINVAL);
    device_down(d);
}

TEST(c2_11_a_capability_with_callback_flag_goes_to_the_callback)
{
    uint8_t vendor[16] = { PCI_CAP_ID_VNDR, 0, 16 };
    struct device *d = device_begin();

    setup_config_callback(d, 0);
    add(d, 0x40, VFU_CAP_FLAG_CALLBACK, vendor);
    device_go(d);
    assert_int_equal(config_write(d, 0x40, 0x01020304, 4), 0);  /* header included */
    assert_int_equal(region_read(d, CFG, 0x42, 4), 0);
    assert_events(d, "write:40+4 read:42+4");
    assert_int_equal(space(d)[0x40], PCI_CAP_ID_VNDR);
    device_down(d);
}

/* ------------------------------------------------------------------ header -- */

/* Bytes that a client cannot change: writes succeed, as on hardware. */
TEST(c2_11_read_only_registers_ignore_writes)
{
    static const uint8_t offsets[] = {
        0x00, 0x02, 0x08, 0x09, 0x0a, 0x0b, 0x0e, 0x0f, 0x28, 0x2c, 0x2e, 0x34, 0x35,
        0x38, 0x3b, 0x3d, 0x3e, 0x3f,
    };
    struct pmcap pm = { .hdr.id = PCI_CAP_ID_PM };
    struct device *d = device_begin();

    vfu_pci_set_id(d->ctx, 0x1234, 0x5678, 0x9abc, 0xdef0);
    vfu_pci_set_class(d->ctx, 1, 2, 3);
    add(d, 0x40, 0, &pm);
    device_go(d);
    for (size_t i = 0; i < sizeof(offsets); i++) {
        uint32_t was = config_read(d, offsets[i], 1);

        assert_int_equal(config_write(d, offsets[i], ~was & 0xff, 1), 0);
        assert_int_equal(config_read(d, offsets[i], 1), was);
    }
    device_down(d);
}

TEST(c2_11_command_bits_are_stored)
{
    static const uint16_t stored = PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
                                   PCI_COMMAND_MASTER | PCI_COMMAND_INVALIDATE |
                                   PCI_COMMAND_PARITY | PCI_COMMAND_SERR |
                                   PCI_COMMAND_INTX_DISABLE | PCI_COMMAND_SPECIAL;
    struct device *d = device_begin();

    device_go(d);
    for (int bit = 0; bit < 16; bit++) {
        assert_int_equal(config_write(d, PCI_COMMAND, 1u << bit, 2), 0);
        assert_int_equal(config_read(d, PCI_COMMAND, 2), (1u << bit) & stored);
    }
    assert_int_equal(config_write(d, PCI_COMMAND, 0, 2), 0);
    assert_int_equal(config_read(d, PCI_COMMAND, 2), 0);
    assert_int_equal(config_write(d, PCI_COMMAND + 1, PCI_COMMAND_SERR >> 8, 1), 0);
    assert_int_equal(config_read(d, PCI_COMMAND, 2), PCI_COMMAND_SERR);
    device_down(d);
}

TEST(c2_11_status_events_are_cleared_by_writing_1)
{
    struct device *d = device_begin();

    device_go(d);
    vfu_pci_get_config_space(d->ctx)->hdr.sts.raw |=
        PCI_STATUS_DETECTED_PARITY | PCI_STATUS_SIG_SYSTEM_ERROR;
    assert_int_equal(config_write(d, PCI_STATUS, PCI_STATUS_DETECTED_PARITY, 2), 0);
    assert_int_equal(config_read(d, PCI_STATUS, 2), PCI_STATUS_SIG_SYSTEM_ERROR);
    assert_int_equal(config_write(d, PCI_STATUS, 0, 2), 0);
    assert_int_equal(config_read(d, PCI_STATUS, 2), PCI_STATUS_SIG_SYSTEM_ERROR);
    device_down(d);
}

TEST(c2_11_cache_line_latency_and_interrupt_line_are_stored)
{
    static const uint64_t offsets[] = {
        PCI_CACHE_LINE_SIZE, PCI_LATENCY_TIMER, PCI_INTERRUPT_LINE,
    };
    struct device *d = device_begin();

    device_go(d);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(config_write(d, offsets[i], 0xa5, 1), 0);
        assert_int_equal(config_read(d, offsets[i], 1), 0xa5);
    }
    device_down(d);
}

TEST(c2_11_a_write_over_several_registers_does_each)
{
    struct device *d = device_begin();

    device_go(d);
    assert_int_equal(config_write(d, 0x0c, 0x11223344, 4), 0);
    assert_int_equal(config_read(d, 0x0c, 4), 0x00003344);
    device_down(d);
}

TEST(c2_11_bars_are_sized_and_placed)
{
    struct device *d = device_begin();

    setup_bar(d, 1, 64, 0);
    device_go(d);
    assert_int_equal(config_write(d, PCI_BASE_ADDRESS_0, 0xffffffff, 4), 0);
    assert_int_equal(config_read(d, PCI_BASE_ADDRESS_0, 4), 0xfffff000);
    assert_int_equal(config_write(d, PCI_BASE_ADDRESS_0, 0xfebd1234, 4), 0);
    assert_int_equal(config_read(d, PCI_BASE_ADDRESS_0, 4), 0xfebd1000);
    assert_int_equal(config_write(d, PCI_BASE_ADDRESS_1, 0xffffffff, 4), 0);
    assert_int_equal(config_read(d, PCI_BASE_ADDRESS_1, 4), 0xffffffc1);
    assert_int_equal(config_write(d, PCI_BASE_ADDRESS_1, 0xc07f, 4), 0);
    assert_int_equal(config_read(d, PCI_BASE_ADDRESS_1, 4), 0xc041);
    device_down(d);
}

TEST(c2_11_an_unused_bar_keeps_its_type_bit_only)
{
    struct device *d = device_begin();

    device_go(d);
    assert_int_equal(config_read(d, PCI_BASE_ADDRESS_5, 4), 1);
    assert_int_equal(config_write(d, PCI_BASE_ADDRESS_5, 0xffffffff, 4), 0);
    assert_int_equal(config_read(d, PCI_BASE_ADDRESS_5, 4), 1);
    device_down(d);
}

static uint64_t size_64(struct device *d, uint64_t reg)
{
    uint64_t mask;

    assert_int_equal(config_write(d, reg, 0xffffffff, 4), 0);
    assert_int_equal(config_write(d, reg + 4, 0xffffffff, 4), 0);
    mask = config_read(d, reg, 4) & PCI_BASE_ADDRESS_MEM_MASK;
    return ~(mask | (uint64_t)config_read(d, reg + 4, 4) << 32) + 1;
}

TEST(c2_11_64_bit_bars_of_any_size_are_sized_and_placed)
{
    const int wide = VFU_REGION_FLAG_MEM | VFU_REGION_FLAG_64_BITS;
    struct device *d = device_begin();

    setup_bar(d, 2, 8ULL << 30, wide);
    setup_bar(d, 4, 8192, wide | VFU_REGION_FLAG_PREFETCH);
    device_go(d);
    assert_int_equal(config_read(d, PCI_BASE_ADDRESS_3, 4), 0);
    assert_int_equal(size_64(d, PCI_BASE_ADDRESS_2), 8ULL << 30);
    assert_int_equal(size_64(d, PCI_BASE_ADDRESS_4), 8192);
    assert_int_equal(config_read(d, PCI_BASE_ADDRESS_2, 4) & 15, 4);
    assert_int_equal(config_read(d, PCI_BASE_ADDRESS_4, 4) & 15, 12);
    assert_int_equal(config_write(d, PCI_BASE_ADDRESS_4, 0x2000, 4), 0);
    assert_int_equal(config_write(d, PCI_BASE_ADDRESS_5, 0x38, 4), 0);
    assert_int_equal(config_read(d, PCI_BASE_ADDRESS_4, 4), 0x200c);
    assert_int_equal(config_read(d, PCI_BASE_ADDRESS_5, 4), 0x38);
    device_down(d);
}

TEST(c2_11_the_rom_can_be_sized_and_enabled)
{
    struct device *d = device_begin();

    assert_int_equal(vfu_setup_region(d->ctx, VFU_PCI_DEV_ROM_REGION_IDX, 0x10000,
                                      on_access, VFU_REGION_FLAG_READ, NULL, 0, -1, 0),
                     0);
    device_go(d);
    assert_int_equal(config_write(d, PCI_ROM_ADDRESS, 0xfffff800, 4), 0);
    assert_int_equal(config_read(d, PCI_ROM_ADDRESS, 4), 0xffff0000);
    assert_int_equal(config_write(d, PCI_ROM_ADDRESS, 0xfe000001, 4), 0);
    assert_int_equal(config_read(d, PCI_ROM_ADDRESS, 4), 0xfe000001);
    assert_int_equal(config_write(d, PCI_ROM_ADDRESS, 0, 4), 0);
    assert_int_equal(config_read(d, PCI_ROM_ADDRESS, 4), 0);
    device_down(d);
}

TEST(c2_11_without_a_rom_its_register_stays_0)
{
    static const uint32_t values[] = { 0xfffff800, 0xfffffffe, 0xffffffff, 1, 0 };
    struct device *d = device_begin();

    device_go(d);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(config_write(d, PCI_ROM_ADDRESS, values[i], 4), 0);
        assert_int_equal(config_read(d, PCI_ROM_ADDRESS, 4), 0);
    }
    device_down(d);
}

/* ------------------------------------------------------------ capabilities -- */

TEST(c2_11_a_read_only_capability_is_eperm)
{
    uint8_t vendor[16] = { PCI_CAP_ID_VNDR, 0, 16 };
    struct device *d = device_begin();

    setup_config_callback(d, 0);
    add(d, 0x40, VFU_CAP_FLAG_READONLY, vendor);
    add(d, 0x60, VFU_CAP_FLAG_READONLY | VFU_CAP_FLAG_CALLBACK, vendor);
    device_go(d);
    assert_int_equal(config_write(d, 0x44, 1, 4), EPERM);
    assert_int_equal(config_write(d, 0x64, 1, 4), EPERM);
    assert_events(d, "");
    device_down(d);
}

TEST(c2_11_a_write_that_starts_in_a_capabilitys_header_is_eperm)
{
    uint8_t vendor[16] = { PCI_CAP_ID_VNDR, 0, 16 };
    uint32_t ext_vendor[4] = { PCI_EXT_CAP_ID_VNDR, 16u << 20 };
    struct msixcap msix = { .hdr.id = PCI_CAP_ID_MSIX };
    struct device *d = device_begin();
    uint64_t at;

    add(d, 0x40, 0, vendor);
    add(d, 0x60, 0, &msix);
    at = add(d, 0, EXT, ext_vendor);
    device_go(d);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(config_write(d, 0x40 + i, 0xff, 1), EPERM);
    assert_int_equal(config_write(d, 0x43, 0xff, 1), 0);
    for (uint64_t i = 0; i < 2; i++)
        assert_int_equal(config_write(d, 0x60 + i, 0xff, 1), EPERM);
    assert_int_equal(config_write(d, 0x62, 0xff, 1), 0);
    for (uint64_t i = 0; i < 8; i++)
        assert_int_equal(config_write(d, at + i, 0xff, 1), EPERM);
    assert_int_equal(config_write(d, at + 8, 0xff, 1), 0);
    device_down(d);
}

TEST(c2_11_pm_takes_its_control_register_whole)
{
    struct pmcap pm = { .hdr.id = PCI_CAP_ID_PM };
    struct device *d = device_begin();

    add(d, 0x40, 0, &pm);
    device_go(d);
    assert_int_equal(config_write(d, 0x44, 0xffff, 2), 0);
    assert_int_equal(config_read(d, 0x44, 2), 0xffff);
    assert_int_equal(config_write(d, 0x44, 3, 2), 0);
    assert_int_equal(config_read(d, 0x44, 2), 3);
    assert_int_equal(config_write(d, 0x42, 0, 2), ENOTSUP);
    assert_int_equal(config_write(d, 0x46, 0, 1), ENOTSUP);
    assert_int_equal(config_write(d, 0x47, 0, 1), ENOTSUP);
    assert_int_equal(config_write(d, 0x44, 0, 1), EINVAL);
    assert_int_equal(config_write(d, 0x44, 0, 4), EINVAL);
    assert_int_equal(config_write(d, 0x43, 0, 2), EINVAL);
    device_down(d);
}

TEST(c2_11_msi_takes_any_bytes_and_keeps_what_is_read_only)
{
    struct msicap msi = {
        .hdr.id = PCI_CAP_ID_MSI, .mc = { .mmc = 2, .c64 = 1, .pvm = 1 },
    };
    uint8_t ones[22];
    struct device *d = device_begin();

    add(d, 0x40, 0, &msi);
    device_go(d);
    memset(ones, 0xff, sizeof(ones));
    ones[0] = 0xaf;                                 /* MME 2 */
    assert_int_equal(region_write(d, CFG, 0x42, ones, sizeof(ones)), 0);
    assert_int_equal(config_read(d, 0x42, 2), 0x01a5);      /* MMC, 64-bit, PVM stay */
    assert_int_equal(config_read(d, 0x44, 4), 0xfffffffc);
    assert_int_equal(config_read(d, 0x48, 4), 0xffffffff);
    assert_int_equal(config_read(d, 0x4c, 4), 0x0000ffff);
    assert_int_equal(config_read(d, 0x50, 4), 0xffffffff);
    assert_int_equal(config_read(d, 0x54, 4), 0);           /* pending is the device's */
    assert_int_equal(config_write(d, 0x4d, 0, 1), 0);
    assert_int_equal(config_read(d, 0x4c, 4), 0x000000ff);
    device_down(d);
}

TEST(c2_11_msi_refuses_more_vectors_than_there_are_and_changes_nothing)
{
    struct msicap msi = {
        .hdr.id = PCI_CAP_ID_MSI, .mc = { .mmc = 2, .c64 = 1, .pvm = 1 },
    };
    struct device *d = device_begin();

    add(d, 0x40, 0, &msi);
    device_go(d);
    for (uint32_t mme = 3; mme < 8; mme++) {
        assert_int_equal(config_write(d, 0x42, mme << 4 | 1, 2), EINVAL);
        assert_int_equal(config_read(d, 0x42, 1), 0x84);
    }
    device_down(d);
}

TEST(c2_11_msix_takes_mask_and_enable_alone)
{
    struct msixcap msix = { .hdr.id = PCI_CAP_ID_MSIX, .mxc.ts = 7 };
    uint8_t ones[10];
    struct device *d = device_begin();

    add(d, 0x40, 0, &msix);
    device_go(d);
    memset(ones, 0xff, sizeof(ones));
    assert_int_equal(region_write(d, CFG, 0x42, ones, sizeof(ones)), 0);
    assert_int_equal(config_read(d, 0x42, 2), 0xc007);
    assert_int_equal(config_read(d, 0x44, 4), 0);
    assert_int_equal(config_read(d, 0x48, 4), 0);
    assert_int_equal(config_write(d, 0x43, 0x80, 1), 0);
    assert_int_equal(config_read(d, 0x42, 2), 0x8007);
    device_down(d);
}

TEST(c2_11_express_takes_single_registers_of_two_bytes)
{
    struct device *d = device_begin();

    setup_express(d, false);
    device_go(d);
    assert_int_equal(config_write(d, 0x48, 0x7fff, 2), 0);          /* Device Control */
    assert_int_equal(config_read(d, 0x48, 2), 0x7fff);
    assert_int_equal(config_write(d, 0x68, 0x1234, 2), 0);          /* Device Control 2 */
    assert_int_equal(config_read(d, 0x68, 2), 0x1234);
    assert_int_equal(config_write(d, 0x70, 0x4321, 2), 0);          /* Link Control 2 */
    assert_int_equal(config_read(d, 0x70, 2), 0x4321);
    for (size_t i = 0; i < 4; i++) {    /* accepted, no effect */
        static const uint64_t offsets[] = { 0x50, 0x58, 0x5c, 0x78 };

        assert_int_equal(config_write(d, offsets[i], 0xffff, 2), 0);
        assert_int_equal(config_read(d, offsets[i], 2), 0);
    }
    assert_int_equal(config_write(d, 0x48, 0, 1), EINVAL);
    assert_int_equal(config_write(d, 0x48, 0, 4), EINVAL);
    assert_int_equal(config_write(d, 0x44, 0, 2), EINVAL);
    assert_int_equal(config_write(d, 0x42, 0, 2), EINVAL);
    device_down(d);
}

TEST(c2_11_device_status_is_cleared_by_writing_1)
{
    struct device *d = device_begin();

    setup_express(d, false);
    device_go(d);
    space(d)[0x4a] = PCI_EXP_DEVSTA_CED | PCI_EXP_DEVSTA_URD | PCI_EXP_DEVSTA_TRPND;
    assert_int_equal(config_write(d, 0x4a, PCI_EXP_DEVSTA_CED | PCI_EXP_DEVSTA_TRPND, 2),
                     0);
    assert_int_equal(config_read(d, 0x4a, 2), PCI_EXP_DEVSTA_URD | PCI_EXP_DEVSTA_TRPND);
    device_down(d);
}

TEST(c2_11_vendor_capabilities_store_bytes)
{
    uint8_t vendor[16] = { PCI_CAP_ID_VNDR, 0, 16 };
    uint32_t ext_vendor[4] = { PCI_EXT_CAP_ID_VNDR, 16u << 20 };
    struct device *d = device_begin();
    uint64_t at;

    add(d, 0x40, 0, vendor);
    at = add(d, 0, EXT, ext_vendor);
    device_go(d);
    assert_int_equal(config_write(d, 0x43, 0xcafe, 2), 0);
    assert_int_equal(config_read(d, 0x43, 2), 0xcafe);
    assert_int_equal(config_write(d, at + 12, 0xdeadbeef, 4), 0);
    assert_int_equal(config_read(d, at + 12, 4), 0xdeadbeef);
    device_down(d);
}

TEST(c2_11_a_serial_number_is_eperm)
{
    struct dsncap dsn = { .hdr.id = PCI_EXT_CAP_ID_DSN, .sn_lo = 1, .sn_hi = 2 };
    struct device *d = device_begin();
    uint64_t at = add(d, 0, EXT, &dsn);

    device_go(d);
    assert_int_equal(config_write(d, at + 4, 0, 4), EPERM);
    assert_int_equal(config_read(d, at + 4, 4), 1);
    device_down(d);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(c2_11_always_cb_gets_accesses_whole),
    VU_FD_TEST(c2_11_an_access_is_split_at_header_and_capabilities),
    VU_FD_TEST(c2_11_without_a_callback_the_rest_reads_and_cannot_be_written),
    VU_FD_TEST(c2_11_the_first_error_ends_a_split_access_and_earlier_pieces_stay),
    VU_FD_TEST(c2_11_a_callback_that_handles_less_is_einval),
    VU_FD_TEST(c2_11_a_capability_with_callback_flag_goes_to_the_callback),
    VU_FD_TEST(c2_11_read_only_registers_ignore_writes),
    VU_FD_TEST(c2_11_command_bits_are_stored),
    VU_FD_TEST(c2_11_status_events_are_cleared_by_writing_1),
    VU_FD_TEST(c2_11_cache_line_latency_and_interrupt_line_are_stored),
    VU_FD_TEST(c2_11_a_write_over_several_registers_does_each),
    VU_FD_TEST(c2_11_bars_are_sized_and_placed),
    VU_FD_TEST(c2_11_an_unused_bar_keeps_its_type_bit_only),
    VU_FD_TEST(c2_11_64_bit_bars_of_any_size_are_sized_and_placed),
    VU_FD_TEST(c2_11_the_rom_can_be_sized_and_enabled),
    VU_FD_TEST(c2_11_without_a_rom_its_register_stays_0),
    VU_FD_TEST(c2_11_a_read_only_capability_is_eperm),
    VU_FD_TEST(c2_11_a_write_that_starts_in_a_capabilitys_header_is_eperm),
    VU_FD_TEST(c2_11_pm_takes_its_control_register_whole),
    VU_FD_TEST(c2_11_msi_takes_any_bytes_and_keeps_what_is_read_only),
    VU_FD_TEST(c2_11_msi_refuses_more_vectors_than_there_are_and_changes_nothing),
    VU_FD_TEST(c2_11_msix_takes_mask_and_enable_alone),
    VU_FD_TEST(c2_11_express_takes_single_registers_of_two_bytes),
    VU_FD_TEST(c2_11_device_status_is_cleared_by_writing_1),
    VU_FD_TEST(c2_11_vendor_capabilities_store_bytes),
    VU_FD_TEST(c2_11_a_serial_number_is_eperm),
};

VU_TEST_MAIN(tests)
