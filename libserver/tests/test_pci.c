/* SPDX-License-Identifier: BSD-3-Clause */
/* libserver/pci.c: set-up, header registers, and the way of an access. */
#include "libserver/tests/pci_support.h"

#define MEM     (VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM)
#define MEM64   (MEM | VFU_REGION_FLAG_64_BITS)
#define IO      VFU_REGION_FLAG_RW
#define BAR(n)  (PCI_BASE_ADDRESS_0 + 4 * (n))
#define CFG     VFU_PCI_DEV_CFG_REGION_IDX
#define ROM     VFU_PCI_DEV_ROM_REGION_IDX

/* ---------------------------------------------------------------- set-up */

static void bus_type_decides_the_size(void **state)
{
    static const struct {
        vfu_pci_type_t type;
        size_t size;
    } types[] = {
        { VFU_PCI_TYPE_CONVENTIONAL, 256 },
        { VFU_PCI_TYPE_PCI_X_1, 256 },
        { VFU_PCI_TYPE_PCI_X_2, 4096 },
        { VFU_PCI_TYPE_EXPRESS, 4096 },
    };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct vfu_ctx *ctx = pci_device(types[i].type);

        assert_int_equal(ctx->regions[CFG].size, types[i].size);
        assert_int_equal(ctx->regions[CFG].flags, VFU_REGION_FLAG_RW);
        assert_int_equal(ctx->pci.size, types[i].size);
        vfu_destroy_ctx(ctx);
    }
}

static void init_refuses_what_it_does_not_know(void **state)
{
    struct vfu_ctx *ctx = vus_ctx_new(0, NULL);

    (void)state;
    assert_int_equal(vfu_pci_init(ctx, (vfu_pci_type_t)4, 0, 0), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(vfu_pci_init(ctx, VFU_PCI_TYPE_EXPRESS, 1, 0), -1);
    assert_int_equal(errno, EINVAL);
    assert_null(vfu_pci_get_config_space(ctx));
    vfu_destroy_ctx(ctx);
}

static void init_works_once_and_before_realize(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);

    (void)state;
    assert_int_equal(vfu_pci_init(ctx, VFU_PCI_TYPE_EXPRESS, 0, 0), -1);
    assert_int_equal(errno, EEXIST);
    vfu_destroy_ctx(ctx);

    ctx = vus_ctx_new(0, NULL);
    assert_int_equal(vus_pci_realize(ctx, false), 0);
    assert_int_equal(vfu_pci_init(ctx, VFU_PCI_TYPE_EXPRESS, 0, 0), -1);
    assert_int_equal(errno, EEXIST);
    vfu_destroy_ctx(ctx);
}

static void init_keeps_the_callback_of_region_7(void **state)
{
    struct vfu_ctx *ctx = vus_ctx_new(0, NULL);
    vfu_region_access_cb_t *cb = (vfu_region_access_cb_t *)1;

    (void)state;
    set_region(ctx, CFG, 64, VFU_REGION_FLAG_RW | VFU_REGION_FLAG_ALWAYS_CB);
    ctx->regions[CFG].cb = cb;
    assert_int_equal(vfu_pci_init(ctx, VFU_PCI_TYPE_EXPRESS, 0, 0), 0);
    assert_true(ctx->regions[CFG].cb == cb);
    assert_int_equal(ctx->regions[CFG].flags, VFU_REGION_FLAG_RW);
    assert_int_equal(ctx->regions[CFG].size, 4096);
    vfu_destroy_ctx(ctx);
}

static void ids_class_and_revision_are_readable(void **state)
{
    struct vfu_ctx *ctx = vus_ctx_new(0, NULL);

    (void)state;
    assert_int_equal(vfu_pci_init(ctx, VFU_PCI_TYPE_EXPRESS, 0, 0x1c7), 0);
    vfu_pci_set_id(ctx, 0x1234, 0x5678, 0x9abc, 0xdef0);
    vfu_pci_set_class(ctx, 0x08, 0x80, 0x01);
    assert_int_equal(read32(ctx, 0x00), 0x56781234);
    assert_int_equal(read32(ctx, 0x08), 0x088001c7);
    assert_int_equal(read32(ctx, 0x2c), 0xdef09abc);
    vfu_destroy_ctx(ctx);
}

static void setters_before_init_do_nothing(void **state)
{
    struct vfu_ctx *ctx = vus_ctx_new(0, NULL);
    uint8_t byte;

    (void)state;
    vfu_pci_set_id(ctx, 1, 2, 3, 4);
    vfu_pci_set_class(ctx, 1, 2, 3);
    assert_null(vfu_pci_get_config_space(ctx));
    assert_int_equal(vus_pci_access(ctx, &byte, 1, 0, false), -EINVAL);
    vfu_destroy_ctx(ctx);
}

static void realize_alone_makes_an_empty_conventional_space(void **state)
{
    struct vfu_ctx *ctx = vus_ctx_new(0, NULL);

    (void)state;
    assert_int_equal(vus_pci_realize(ctx, false), 0);
    assert_int_equal(ctx->regions[CFG].size, 256);
    assert_int_equal(ctx->regions[CFG].flags, VFU_REGION_FLAG_RW);
    assert_non_null(vfu_pci_get_config_space(ctx));
    assert_int_equal(read32(ctx, 0), 0);
    assert_int_equal(read8(ctx, PCI_INTERRUPT_PIN), 0);
    assert_int_equal(read16(ctx, PCI_STATUS), 0);
    vfu_destroy_ctx(ctx);
}

/* The size of region 7 is the device's to choose; memory is bounded all the same. */
static void region_7_may_be_larger_than_the_array(void **state)
{
    static const size_t sizes[] = { 1, 256, 4096, 4097, SIZE_MAX };
    static const size_t arrays[] = { 256, 256, 4096, 4096, 4096 };

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        struct vfu_ctx *ctx = vus_ctx_new(0, NULL);
        uint8_t across[8];

        set_region(ctx, CFG, sizes[i], VFU_REGION_FLAG_RW);
        assert_int_equal(vus_pci_realize(ctx, false), 0);
        assert_int_equal(ctx->pci.size, arrays[i]);
        ctx->pci.space[arrays[i] - 1] = 0x77;
        pci_read(ctx, arrays[i] - 1, across, sizeof(across));
        assert_memory_equal(across, "\x77\0\0\0\0\0\0\0", 8);
        assert_int_equal(read32(ctx, 1 << 20), 0);
        assert_int_equal(write32(ctx, arrays[i], 0), -EINVAL);
        vfu_destroy_ctx(ctx);
    }
}

static void interrupt_pin_follows_intx(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_CONVENTIONAL);

    (void)state;
    assert_int_equal(vus_pci_realize(ctx, true), 0);
    assert_int_equal(read8(ctx, PCI_INTERRUPT_PIN), 1);
    vfu_destroy_ctx(ctx);
}

static void bar_types_follow_region_flags(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);

    (void)state;
    set_region(ctx, 0, 4096, MEM64 | VFU_REGION_FLAG_PREFETCH);
    set_region(ctx, 2, 4096, MEM);
    set_region(ctx, 3, 256, IO);
    set_region(ctx, 4, 4096, MEM | VFU_REGION_FLAG_PREFETCH);
    assert_int_equal(vus_pci_realize(ctx, false), 0);
    assert_int_equal(read32(ctx, BAR(0)), 0xc);     /* memory, 64 bits, prefetchable */
    assert_int_equal(read32(ctx, BAR(1)), 0x0);     /* its upper half */
    assert_int_equal(read32(ctx, BAR(2)), 0x0);
    assert_int_equal(read32(ctx, BAR(3)), 0x1);
    assert_int_equal(read32(ctx, BAR(4)), 0x8);
    assert_int_equal(read32(ctx, BAR(5)), 0x1);     /* not used */
    vfu_destroy_ctx(ctx);
}

/* -------------------------------------------------------- base addresses */

/* What a client sees after it wrote all ones to a register of that region. */
static uint32_t size_bar(struct vfu_ctx *ctx, int bar)
{
    uint32_t old = read32(ctx, BAR(bar)), mask;

    assert_int_equal(write32(ctx, BAR(bar), 0xffffffff), 4);
    mask = read32(ctx, BAR(bar));
    assert_int_equal(write32(ctx, BAR(bar), old), 4);
    assert_int_equal(read32(ctx, BAR(bar)), old);
    return mask;
}

static void sizing_tells_the_size_of_each_bar(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);

    (void)state;
    set_region(ctx, 0, 16, MEM);
    set_region(ctx, 1, 4, IO);
    set_region(ctx, 2, 0x80000000, MEM);
    set_region(ctx, 3, 1 << 20, MEM | VFU_REGION_FLAG_PREFETCH);
    set_region(ctx, 4, 65536, IO);
    assert_int_equal(vus_pci_realize(ctx, false), 0);
    assert_int_equal(size_bar(ctx, 0), 0xfffffff0);
    assert_int_equal(size_bar(ctx, 1), 0xfffffffd);
    assert_int_equal(size_bar(ctx, 2), 0x80000000);
    assert_int_equal(size_bar(ctx, 3), 0xfff00008);
    assert_int_equal(size_bar(ctx, 4), 0xffff0001);
    assert_int_equal(size_bar(ctx, 5), 0x00000001);     /* not used */
    vfu_destroy_ctx(ctx);
}

static void sizing_works_for_64_bits_on_both_sides_of_4_gib(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);

    (void)state;
    set_region(ctx, 0, 4096, MEM64);
    set_region(ctx, 2, UINT64_C(1) << 32, MEM64);
    set_region(ctx, 4, UINT64_C(1) << 35, MEM64 | VFU_REGION_FLAG_PREFETCH);
    assert_int_equal(vus_pci_realize(ctx, false), 0);
    assert_int_equal(size_bar(ctx, 0), 0xfffff004);
    assert_int_equal(size_bar(ctx, 1), 0xffffffff);
    assert_int_equal(size_bar(ctx, 2), 0x00000004);
    assert_int_equal(size_bar(ctx, 3), 0xffffffff);
    assert_int_equal(size_bar(ctx, 4), 0x0000000c);
    assert_int_equal(size_bar(ctx, 5), 0xfffffff8);
    vfu_destroy_ctx(ctx);
}

static void small_64_bit_bar_can_be_placed_above_4_gib(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);
    const uint64_t address = UINT64_C(0x12345678fedcb000);
    uint64_t seen;

    (void)state;
    set_region(ctx, 2, 4096, MEM64);
    assert_int_equal(vus_pci_realize(ctx, false), 0);
    assert_int_equal(pci_write(ctx, BAR(2), &address, 8), 8);   /* both at once */
    pci_read(ctx, BAR(2), &seen, 8);
    assert_int_equal(seen, address | 4);
    vfu_destroy_ctx(ctx);
}

static void bytes_and_words_of_a_bar_merge(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);

    (void)state;
    set_region(ctx, 0, 0x10000, MEM64);
    assert_int_equal(vus_pci_realize(ctx, false), 0);
    assert_int_equal(write32(ctx, BAR(0), 0x11220000), 4);
    assert_int_equal(write8(ctx, BAR(0) + 3, 0x99), 1);
    assert_int_equal(read32(ctx, BAR(0)), 0x99220004);
    assert_int_equal(write8(ctx, BAR(0), 0xff), 1);
    assert_int_equal(write8(ctx, BAR(0) + 1, 0xff), 1);
    assert_int_equal(read32(ctx, BAR(0)), 0x99220004);
    assert_int_equal(write16(ctx, BAR(0) + 1, 0xabcd), 2);
    assert_int_equal(read32(ctx, BAR(0)), 0x99ab0004);
    assert_int_equal(write16(ctx, BAR(0) + 3, 0x5566), 2);  /* into the upper half */
    assert_int_equal(read32(ctx, BAR(0)), 0x66ab0004);
    assert_int_equal(read32(ctx, BAR(1)), 0x55);
    vfu_destroy_ctx(ctx);
}

/* Devices clear registers after realizing; then a client's write must not bring
 * type bits back, and must not lose them where the device left them. */
static void bar_keeps_the_type_bits_the_device_left(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);
    vfu_pci_config_space_t *space = vfu_pci_get_config_space(ctx);

    (void)state;
    set_region(ctx, 4, 4096, IO);
    set_region(ctx, 5, 4096, IO);
    assert_int_equal(vus_pci_realize(ctx, false), 0);
    space->hdr.bars[4].raw = 0;
    assert_int_equal(size_bar(ctx, 4), 0xfffff000);
    assert_int_equal(size_bar(ctx, 5), 0xfffff001);
    vfu_destroy_ctx(ctx);
}

static void rom_sizing_follows_region_6(void **state)
{
    static const struct {
        size_t size;
        uint32_t mask;
    } roms[] = {
        { 0, 0 },
        { 1, 0xfffff801 },
        { 2048, 0xfffff801 },
        { 2049, 0xfffff001 },
        { 3000, 0xfffff001 },
        { 65536, 0xffff0001 },
        { 0x80000000, 0x80000001 },
        { (size_t)1 << 40, 1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(roms) / sizeof(roms[0]); i++) {
        struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);

        set_region(ctx, ROM, roms[i].size, VFU_REGION_FLAG_READ);
        assert_int_equal(vus_pci_realize(ctx, false), 0);
        assert_int_equal(write32(ctx, PCI_ROM_ADDRESS, 0xfffff800), 4);
        assert_int_equal(read32(ctx, PCI_ROM_ADDRESS), roms[i].mask & ~1u);
        assert_int_equal(write32(ctx, PCI_ROM_ADDRESS, 0xffffffff), 4);
        assert_int_equal(read32(ctx, PCI_ROM_ADDRESS), roms[i].mask);
        assert_int_equal(write32(ctx, PCI_ROM_ADDRESS, 0xfffffffe), 4);
        assert_int_equal(read32(ctx, PCI_ROM_ADDRESS), roms[i].mask & ~1u);
        assert_int_equal(write32(ctx, PCI_ROM_ADDRESS, 0), 4);
        assert_int_equal(read32(ctx, PCI_ROM_ADDRESS), 0);
        vfu_destroy_ctx(ctx);
    }
}

/* ------------------------------------------------------ other registers */

static void command_bits_can_be_set_and_cleared(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);

    (void)state;
    assert_int_equal(vus_pci_realize(ctx, false), 0);
    for (int bit = 0; bit < 16; bit++) {
        uint16_t value = 1 << bit;

        /* I/O, memory, master, special cycles, invalidate, parity, SERR#, INTx
         * disable; writes to the others succeed without effect. */
        assert_int_equal(write16(ctx, PCI_COMMAND, value), 2);
        assert_int_equal(read16(ctx, PCI_COMMAND), value & 0x055f);
        assert_int_equal(write16(ctx, PCI_COMMAND, 0), 2);
        assert_int_equal(read16(ctx, PCI_COMMAND), 0);
    }
    assert_int_equal(write16(ctx, PCI_COMMAND, 0xffff), 2);
    assert_int_equal(read16(ctx, PCI_COMMAND), 0x055f);
    vfu_destroy_ctx(ctx);
}

static void command_takes_single_bytes(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);

    (void)state;
    assert_int_equal(vus_pci_realize(ctx, false), 0);
    assert_int_equal(write8(ctx, PCI_COMMAND, 0x06), 1);
    assert_int_equal(write8(ctx, PCI_COMMAND + 1, 0x04), 1);
    assert_int_equal(read16(ctx, PCI_COMMAND), 0x0406);
    assert_int_equal(write8(ctx, PCI_COMMAND, 0x02), 1);
    assert_int_equal(read16(ctx, PCI_COMMAND), 0x0402);
    vfu_destroy_ctx(ctx);
}

static void status_events_are_cleared_by_writing_one(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);
    vfu_pci_config_space_t *space = vfu_pci_get_config_space(ctx);

    (void)state;
    assert_int_equal(vus_pci_realize(ctx, false), 0);
    space->hdr.sts.raw = 0xffff;
    assert_int_equal(write16(ctx, PCI_STATUS, 0), 2);
    assert_int_equal(read16(ctx, PCI_STATUS), 0xffff);
    assert_int_equal(write16(ctx, PCI_STATUS, 0x8000), 2);
    assert_int_equal(read16(ctx, PCI_STATUS), 0x7fff);
    assert_int_equal(write8(ctx, PCI_STATUS + 1, 0x30), 1);
    assert_int_equal(read16(ctx, PCI_STATUS), 0x4fff);
    assert_int_equal(write16(ctx, PCI_STATUS, 0xffff), 2);
    assert_int_equal(read16(ctx, PCI_STATUS), 0x06ff);   /* all that is no event */
    vfu_destroy_ctx(ctx);
}

static void read_only_registers_ignore_writes(void **state)
{
    static const uint8_t registers[] = {
        0x00, 0x01, 0x02, 0x03, 0x08, 0x09, 0x0a, 0x0b, 0x0e, 0x0f, 0x28, 0x2b, 0x2c,
        0x2d, 0x2e, 0x2f, 0x34, 0x35, 0x38, 0x3b, 0x3d, 0x3e, 0x3f,
    };
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);

    (void)state;
    assert_int_equal(vus_pci_realize(ctx, false), 0);
    for (size_t i = 0; i < sizeof(registers); i++) {
        ctx->pci.space[registers[i]] = 0x5a;
        assert_int_equal(write8(ctx, registers[i], 0xff), 1);
        assert_int_equal(write8(ctx, registers[i], 0x00), 1);
        assert_int_equal(read8(ctx, registers[i]), 0x5a);
    }
    vfu_destroy_ctx(ctx);
}

static void a_dword_over_four_registers_stores_the_writable_ones(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);

    (void)state;
    assert_int_equal(vus_pci_realize(ctx, true), 0);
    assert_int_equal(write32(ctx, PCI_CACHE_LINE_SIZE, 0x44332211), 4);
    assert_int_equal(read32(ctx, PCI_CACHE_LINE_SIZE), 0x00002211);
    assert_int_equal(write32(ctx, PCI_INTERRUPT_LINE, 0x44332211), 4);
    assert_int_equal(read32(ctx, PCI_INTERRUPT_LINE), 0x00000111);
    vfu_destroy_ctx(ctx);
}

static void the_whole_header_can_be_written_at_once(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);
    uint8_t ones[64];

    (void)state;
    memset(ones, 0xff, sizeof(ones));
    set_region(ctx, 0, 4096, MEM64);
    set_region(ctx, 5, 256, MEM);
    set_region(ctx, ROM, 4096, VFU_REGION_FLAG_READ);
    assert_int_equal(vus_pci_realize(ctx, false), 0);
    assert_int_equal(pci_write(ctx, 0, ones, sizeof(ones)), sizeof(ones));
    assert_int_equal(read32(ctx, 0x00), 0);
    assert_int_equal(read16(ctx, PCI_COMMAND), 0x055f);
    assert_int_equal(read32(ctx, PCI_CACHE_LINE_SIZE), 0x0000ffff);
    assert_int_equal(read32(ctx, BAR(0)), 0xfffff004);
    assert_int_equal(read32(ctx, BAR(1)), 0xffffffff);
    assert_int_equal(read32(ctx, BAR(5)), 0xffffff00);
    assert_int_equal(read32(ctx, 0x28), 0);
    assert_int_equal(read32(ctx, PCI_ROM_ADDRESS), 0xfffff001);
    assert_int_equal(read32(ctx, PCI_INTERRUPT_LINE), 0x000000ff);
    vfu_destroy_ctx(ctx);
}

/* ----------------------------------------------------- ways of an access */

/* What the callback of region 7 saw, and what it shall answer. */
static struct {
    int calls;
    size_t count[8];
    loff_t offset[8];
    bool is_write[8];
    ssize_t answer;     /* 0: all */
    int error;
} cb;

static ssize_t on_config(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                         bool is_write)
{
    (void)ctx;
    assert_true(cb.calls < 8);
    cb.count[cb.calls] = count;
    cb.offset[cb.calls] = offset;
    cb.is_write[cb.calls] = is_write;
    cb.calls++;
    if (cb.answer != 0) {
        errno = cb.error;
        return cb.answer;
    }
    if (!is_write) {
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(buf[i], 0);
            buf[i] = 0x40 + cb.calls;
        }
    }
    return (ssize_t)count;
}

static void assert_called(int call, loff_t offset, size_t count, bool is_write)
{
    assert_true(call < cb.calls);
    assert_int_equal(cb.offset[call], offset);
    assert_int_equal(cb.count[call], count);
    assert_int_equal(cb.is_write[call], is_write);
}

/* Vendor specific capabilities of 8 bytes at 0x50 and of 16 at 0x60. */
static struct vfu_ctx *device_with_callback(void)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);
    uint8_t vendor[16] = { PCI_CAP_ID_VNDR, 0, 8 };

    memset(&cb, 0, sizeof(cb));
    ctx->regions[CFG].cb = on_config;
    assert_int_equal(vfu_pci_add_capability(ctx, 0x50, 0, vendor), 0x50);
    vendor[2] = 16;
    assert_int_equal(vfu_pci_add_capability(ctx, 0x60, 0, vendor), 0x60);
    assert_int_equal(vus_pci_realize(ctx, false), 0);
    return ctx;
}

static void reads_between_capabilities_go_to_the_callback(void **state)
{
    struct vfu_ctx *ctx = device_with_callback();
    uint8_t buf[0x40];

    (void)state;
    ctx->pci.space[0x3f] = 0x11;
    ctx->pci.space[0x57] = 0x22;
    pci_read(ctx, 0x3e, buf, sizeof(buf));  /* 0x3e to 0x7d: cut at each border */
    assert_int_equal(cb.calls, 3);
    assert_called(0, 0x40, 0x10, false);
    assert_called(1, 0x58, 0x08, false);
    assert_called(2, 0x70, 0x0e, false);
    assert_int_equal(buf[0x01], 0x11);
    assert_int_equal(buf[0x02], 0x41);
    assert_int_equal(buf[0x12], PCI_CAP_ID_VNDR);
    assert_int_equal(buf[0x19], 0x22);
    assert_int_equal(buf[0x1a], 0x42);
    assert_int_equal(buf[0x3f], 0x43);
    vfu_destroy_ctx(ctx);
}

static void writes_between_capabilities_go_to_the_callback(void **state)
{
    struct vfu_ctx *ctx = device_with_callback();
    uint8_t data[0x0f] = { 0 };

    (void)state;
    memset(data, 0x33, 5);
    assert_int_equal(pci_write(ctx, 0x53, data, 0x0d), 0x0d);   /* to 0x5f */
    assert_int_equal(cb.calls, 1);
    assert_called(0, 0x58, 8, true);
    assert_int_equal(ctx->pci.space[0x57], 0x33);
    assert_int_equal(pci_write(ctx, 4090, data, 6), 6);
    assert_called(1, 4090, 6, true);
    vfu_destroy_ctx(ctx);
}

static void the_callbacks_errors_reach_the_client(void **state)
{
    struct vfu_ctx *ctx = device_with_callback();
    uint8_t buf[4] = { 0 };

    (void)state;
    cb.answer = -1;
    cb.error = ENOSPC;
    assert_int_equal(vus_pci_access(ctx, buf, 4, 0x40, false), -ENOSPC);
    assert_int_equal(vus_pci_access(ctx, buf, 4, 0x40, true), -ENOSPC);
    cb.answer = 3;
    assert_int_equal(vus_pci_access(ctx, buf, 4, 0x40, false), -EINVAL);
    cb.answer = 5;
    assert_int_equal(vus_pci_access(ctx, buf, 4, 0x40, false), -EINVAL);
    vfu_destroy_ctx(ctx);
}

static void without_callback_the_rest_reads_as_is_and_refuses_writes(void **state)
{
    struct vfu_ctx *ctx = device_with_callback();

    (void)state;
    ctx->regions[CFG].cb = NULL;
    ctx->pci.space[0x45] = 0x77;
    assert_int_equal(read32(ctx, 0x44), 0x7700);
    assert_int_equal(write32(ctx, 0x44, 0), -EINVAL);
    assert_int_equal(read32(ctx, 0x44), 0x7700);
    vfu_destroy_ctx(ctx);
}

static void the_first_part_refused_ends_an_access(void **state)
{
    struct vfu_ctx *ctx = device_with_callback();
    uint8_t data[32] = { 0 };

    (void)state;
    ctx->regions[CFG].cb = NULL;
    data[0] = 0x21;
    memset(data + 3, 0xff, 29);
    /* interrupt line: done; the gap behind the header: refused; 0x53: not reached */
    assert_int_equal(pci_write(ctx, PCI_INTERRUPT_LINE, data, 32), -EINVAL);
    assert_int_equal(read8(ctx, PCI_INTERRUPT_LINE), 0x21);
    assert_int_equal(read8(ctx, 0x53), 0);
    vfu_destroy_ctx(ctx);
}

static void always_cb_gets_every_access_uncut(void **state)
{
    struct vfu_ctx *ctx = device_with_callback();
    uint8_t buf[256] = { 0 };

    (void)state;
    ctx->regions[CFG].flags |= VFU_REGION_FLAG_ALWAYS_CB;
    pci_read(ctx, 0, buf, sizeof(buf));
    assert_int_equal(pci_write(ctx, PCI_COMMAND, buf, 2), 2);
    assert_int_equal(cb.calls, 2);
    assert_called(0, 0, 256, false);
    assert_called(1, PCI_COMMAND, 2, true);
    assert_int_equal(ctx->pci.space[PCI_COMMAND], 0);
    cb.answer = -1;
    cb.error = EIO;
    assert_int_equal(pci_write(ctx, PCI_COMMAND, buf, 2), -EIO);
    vfu_destroy_ctx(ctx);
}

static void one_read_of_all_equals_reads_of_parts(void **state)
{
    struct vfu_ctx *ctx = device_with_callback();
    uint8_t whole[4096], parts[4096];

    (void)state;
    ctx->regions[CFG].cb = NULL;
    for (size_t i = 0; i < sizeof(whole); i++)
        ctx->pci.space[i] = (uint8_t)(i * 7 + (i >> 8));
    pci_read(ctx, 0, whole, sizeof(whole));
    assert_memory_equal(whole, ctx->pci.space, sizeof(whole));
    for (size_t width = 1; width <= 8; width++) {
        memset(parts, 0, sizeof(parts));
        for (size_t i = 0; i + width <= sizeof(parts); i += width)
            pci_read(ctx, i, parts + i, width);
        assert_memory_equal(parts, whole, sizeof(parts) / width * width);
    }
    vfu_destroy_ctx(ctx);
}

static void offsets_that_no_region_has_are_refused(void **state)
{
    struct vfu_ctx *ctx = device_with_callback();
    uint8_t buf[4] = { 0 };

    (void)state;
    assert_int_equal(vus_pci_access(ctx, buf, 4, UINT64_MAX, false), -EINVAL);
    assert_int_equal(vus_pci_access(ctx, buf, 4, UINT64_MAX - 3, true), -EINVAL);
    assert_int_equal(vus_pci_access(ctx, buf, 4, INT64_MAX - 3, false), -EINVAL);
    assert_int_equal(vus_pci_access(ctx, buf, SIZE_MAX, 0, false), -EINVAL);
    assert_int_equal(vus_pci_access(ctx, buf, SIZE_MAX, UINT64_MAX, false), -EINVAL);
    assert_int_equal(cb.calls, 0);
    vfu_destroy_ctx(ctx);
}

static void an_access_of_no_bytes_does_nothing(void **state)
{
    struct vfu_ctx *ctx = device_with_callback();

    (void)state;
    assert_int_equal(vus_pci_access(ctx, NULL, 0, 0, true), 0);
    assert_int_equal(vus_pci_access(ctx, NULL, 0, 0x40, false), 0);
    assert_int_equal(cb.calls, 0);
    vfu_destroy_ctx(ctx);
}

static void device_and_client_share_the_bytes(void **state)
{
    struct vfu_ctx *ctx = pci_device(VFU_PCI_TYPE_EXPRESS);
    vfu_pci_config_space_t *space = vfu_pci_get_config_space(ctx);

    (void)state;
    assert_int_equal(vus_pci_realize(ctx, true), 0);
    assert_ptr_equal(vfu_pci_get_config_space(ctx), space);
    space->hdr.intr.ipin = 3;
    space->hdr.cc.bcc = 0x42;
    space->extended[0] = 0x99;
    assert_int_equal(read8(ctx, PCI_INTERRUPT_PIN), 3);
    assert_int_equal(read8(ctx, PCI_CLASS_DEVICE + 1), 0x42);
    assert_int_equal(read8(ctx, 256), 0x99);
    assert_int_equal(write16(ctx, PCI_COMMAND, PCI_COMMAND_MASTER), 2);
    assert_int_equal(space->hdr.cmd.bme, 1);
    vfu_destroy_ctx(ctx);
}

static void done_twice_is_safe(void **state)
{
    struct vus_pci pci = { .space = malloc(256), .size = 256 };

    (void)state;
    vus_pci_done(&pci);
    vus_pci_done(&pci);
    assert_null(pci.space);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(bus_type_decides_the_size),
    cmocka_unit_test(init_refuses_what_it_does_not_know),
    cmocka_unit_test(init_works_once_and_before_realize),
    cmocka_unit_test(init_keeps_the_callback_of_region_7),
    cmocka_unit_test(ids_class_and_revision_are_readable),
    cmocka_unit_test(setters_before_init_do_nothing),
    cmocka_unit_test(realize_alone_makes_an_empty_conventional_space),
    cmocka_unit_test(region_7_may_be_larger_than_the_array),
    cmocka_unit_test(interrupt_pin_follows_intx),
    cmocka_unit_test(bar_types_follow_region_flags),
    cmocka_unit_test(sizing_tells_the_size_of_each_bar),
    cmocka_unit_test(sizing_works_for_64_bits_on_both_sides_of_4_gib),
    cmocka_unit_test(small_64_bit_bar_can_be_placed_above_4_gib),
    cmocka_unit_test(bytes_and_words_of_a_bar_merge),
    cmocka_unit_test(bar_keeps_the_type_bits_the_device_left),
    cmocka_unit_test(rom_sizing_follows_region_6),
    cmocka_unit_test(command_bits_can_be_set_and_cleared),
    cmocka_unit_test(command_takes_single_bytes),
    cmocka_unit_test(status_events_are_cleared_by_writing_one),
    cmocka_unit_test(read_only_registers_ignore_writes),
    cmocka_unit_test(a_dword_over_four_registers_stores_the_writable_ones),
    cmocka_unit_test(the_whole_header_can_be_written_at_once),
    cmocka_unit_test(reads_between_capabilities_go_to_the_callback),
    cmocka_unit_test(writes_between_capabilities_go_to_the_callback),
    cmocka_unit_test(the_callbacks_errors_reach_the_client),
    cmocka_unit_test(without_callback_the_rest_reads_as_is_and_refuses_writes),
    cmocka_unit_test(the_first_part_refused_ends_an_access),
    cmocka_unit_test(always_cb_gets_every_access_uncut),
    cmocka_unit_test(one_read_of_all_equals_reads_of_parts),
    cmocka_unit_test(offsets_that_no_region_has_are_refused),
    cmocka_unit_test(an_access_of_no_bytes_does_nothing),
    cmocka_unit_test(device_and_client_share_the_bytes),
    cmocka_unit_test(done_twice_is_safe),
};

VU_TEST_MAIN(tests)
