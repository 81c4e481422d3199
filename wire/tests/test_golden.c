/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whole messages, byte for byte, both directions of every command.
 *
 * The bytes are typed from the specification's tables and not made by the
 * encoder: a mistake that encoder and decoder share, and with them both
 * libraries and the runner, shows here only. No two fields of a message have
 * the same value, so that none can be taken for another.
 */
#include <stdio.h>

#include "wire/messages.h"
#include "wire/tests/bytes.h"

/* clang-format off */

#define CMD(id, command, size)   ((struct vu_header){ id, command, size, 0, 0 })
#define REPLY(id, command, size) ((struct vu_header){ id, command, size, 1, 0 })

/* What w wrote to out is b. */
static void assert_written(const uint8_t *out, const struct vu_writer *w,
                           const struct bytes *b)
{
    assert_int_equal(vu_writer_ok(w), 0);
    assert_int_equal(w->len, b->len);
    assert_memory_equal(out, b->data, b->len);
}

/* The header alone in both directions; leaves r and w behind it. */
static void assert_golden_header(struct vu_reader *r, struct vu_writer *w,
                                 const struct vu_header *want, size_t size)
{
    struct vu_header got;

    assert_int_equal(vu_decode_header(r, &got), 0);
    assert_int_equal(got.msg_id, want->msg_id);
    assert_int_equal(got.command, want->command);
    assert_int_equal(got.size, want->size);
    assert_int_equal(got.flags, want->flags);
    assert_int_equal(got.error, want->error);
    assert_int_equal(got.size, size);       /* the typed bytes are all there */
    assert_int_equal(vu_encode_header(w, want), 0);
}

static void assert_header_only(const char *hex, struct vu_header header)
{
    struct bytes b = bytes_of_hex(hex);
    uint8_t out[BYTES_MAX];
    struct vu_writer w = vu_writer(out, sizeof(out));
    struct vu_reader r = vu_reader(b.data, b.len);

    assert_golden_header(&r, &w, &header, b.len);
    assert_written(out, &w, &b);
}

/*
 * The struct given by its members is written as hex, and hex is read as that
 * struct: since all values differ, it is when it is written as hex again.
 */
#define ASSERT_GOLDEN(hex, header, type, encode, decode, ...)                 \
    do {                                                                      \
        struct bytes b_ = bytes_of_hex(hex);                                  \
        uint8_t out_[BYTES_MAX], *body_ = out_ + VU_HEADER_SIZE;              \
        struct vu_writer w_ = vu_writer(out_, sizeof(out_));                  \
        struct vu_reader r_ = vu_reader(b_.data, b_.len);                     \
        struct type got_, want_ = { __VA_ARGS__ };                            \
                                                                              \
        assert_golden_header(&r_, &w_, &header, b_.len);                      \
        assert_int_equal(encode(&w_, &want_), 0);                             \
        assert_written(out_, &w_, &b_);                                       \
        memset(&got_, 0xa5, sizeof(got_));                                    \
        assert_int_equal(decode(&r_, &got_), 0);                              \
        memset(body_, 0, sizeof(out_) - VU_HEADER_SIZE);                      \
        w_ = vu_writer(body_, sizeof(out_) - VU_HEADER_SIZE);                 \
        assert_int_equal(encode(&w_, &got_), 0);                              \
        assert_int_equal(w_.len, b_.len - VU_HEADER_SIZE);                    \
        assert_memory_equal(out_, b_.data, b_.len);                           \
    } while (0)

#define BYTES(text, n) { (const uint8_t *)(text), n }

static void headers_are_as_specified(void **state)
{
    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    /* a reset that nobody answers */
    assert_header_only("0201 0d00 10000000 10000000 00000000",
                       ((struct vu_header){ 0x0102, 13, 16, 0x10, 0 }));
    /* a failed DMA_MAP: header only, Type 1, Error, EEXIST */
    assert_header_only("ffff 0200 10000000 21000000 11000000",
                       ((struct vu_header){ 0xffff, 2, 16, 0x21, 17 }));
    /* every bit of every field has its place */
    assert_header_only("0100 0200 10000000 04030201 08070605",
                       ((struct vu_header){ 1, 2, 16, 0x01020304, 0x05060708 }));
}

static void version_is_as_specified(void **state)
{
    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    ASSERT_GOLDEN("0100 0100 37000000 00000000 00000000"
                  "0300 0100"
                  "7b226361706162696c6974696573223a7b226d61785f6d73675f666473223a387d7d00",
                  CMD(1, 1, 55), vu_version, vu_encode_version, vu_decode_version,
                  .major = 3, .minor = 1,
                  .data = BYTES("{\"capabilities\":{\"max_msg_fds\":8}}", 35));
    ASSERT_GOLDEN("0100 0100 17000000 01000000 00000000"
                  "0000 0200"
                  "7b7d00",
                  REPLY(1, 1, 23), vu_version, vu_encode_version, vu_decode_version,
                  .major = 0, .minor = 2, .data = BYTES("{}", 3));
    ASSERT_GOLDEN("0100 0100 14000000 00000000 00000000"
                  "0000 0100",
                  CMD(1, 1, 20), vu_version, vu_encode_version, vu_decode_version,
                  .major = 0, .minor = 1);
}

static void dma_map_is_as_specified(void **state)
{
    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    ASSERT_GOLDEN("0300 0200 30000000 00000000 00000000"
                  "20000000"           /*  0 argsz */
                  "03000000"           /*  4 flags */
                  "0010000000000000"   /*  8 offset */
                  "0000010000000080"   /* 16 address */
                  "0000200000000000",  /* 24 size */
                  CMD(3, 2, 48), vu_dma_map, vu_encode_dma_map, vu_decode_dma_map,
                  .argsz = 32, .flags = VU_DMA_READABLE | VU_DMA_WRITEABLE,
                  .offset = 0x1000, .address = 0x8000000000010000, .size = 0x200000);
    assert_header_only("0300 0200 10000000 01000000 00000000", REPLY(3, 2, 16));
}

static void dma_unmap_is_as_specified(void **state)
{
    const char *const fixed = "18000000"            /*  0 argsz */
                              "00000000"            /*  4 flags */
                              "0000010000000080"    /*  8 address */
                              "0000200000000000";   /* 16 size */
    char hex[256];

    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    snprintf(hex, sizeof(hex), "0400 0300 28000000 00000000 00000000 %s", fixed);
    ASSERT_GOLDEN(hex, CMD(4, 3, 40), vu_dma_unmap, vu_encode_dma_unmap,
                  vu_decode_dma_unmap, .argsz = 24, .address = 0x8000000000010000,
                  .size = 0x200000);
    snprintf(hex, sizeof(hex), "0400 0300 28000000 01000000 00000000 %s", fixed);
    ASSERT_GOLDEN(hex, REPLY(4, 3, 40), vu_dma_unmap, vu_encode_dma_unmap,
                  vu_decode_dma_unmap_reply, .argsz = 24,
                  .address = 0x8000000000010000, .size = 0x200000);
}

static void dma_unmap_with_a_dirty_bitmap_is_as_extended(void **state)
{
    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    ASSERT_GOLDEN("0400 0300 38000000 00000000 00000000"
                  "30000000"           /*  0 argsz */
                  "01000000"           /*  4 flags: GET_DIRTY_BITMAP */
                  "0000010000000000"   /*  8 address */
                  "0000040000000000"   /* 16 size */
                  "0010000000000000"   /* 24 pgsize */
                  "0800000000000000",  /* 32 size of the bitmap */
                  CMD(4, 3, 56), vu_dma_unmap, vu_encode_dma_unmap, vu_decode_dma_unmap,
                  .argsz = 48, .flags = VU_DMA_UNMAP_GET_DIRTY_BITMAP, .address = 0x10000,
                  .size = 0x40000, .pgsize = 4096, .bitmap_size = 8);
    ASSERT_GOLDEN("0400 0300 40000000 01000000 00000000"
                  "30000000" "01000000" "0000010000000000" "0000040000000000"
                  "0010000000000000" "0800000000000000"
                  "0123456789abcdef",  /* 40 bitmap */
                  REPLY(4, 3, 64), vu_dma_unmap, vu_encode_dma_unmap,
                  vu_decode_dma_unmap_reply, .argsz = 48,
                  .flags = VU_DMA_UNMAP_GET_DIRTY_BITMAP, .address = 0x10000,
                  .size = 0x40000, .pgsize = 4096, .bitmap_size = 8,
                  .bitmap = BYTES("\x01\x23\x45\x67\x89\xab\xcd\xef", 8));
    /* ALL has no bitmap. */
    ASSERT_GOLDEN("0400 0300 28000000 00000000 00000000"
                  "18000000" "02000000" "0000000000000000" "0000000000000000",
                  CMD(4, 3, 40), vu_dma_unmap, vu_encode_dma_unmap, vu_decode_dma_unmap,
                  .argsz = 24, .flags = VU_DMA_UNMAP_ALL);
}

static void device_get_info_is_as_specified(void **state)
{
    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    ASSERT_GOLDEN("0500 0400 20000000 00000000 00000000"
                  "10000000" "00000000" "00000000" "00000000",
                  CMD(5, 4, 32), vu_device_info, vu_encode_device_info,
                  vu_decode_device_info, .argsz = 16);
    ASSERT_GOLDEN("0500 0400 20000000 01000000 00000000"
                  "10000000"    /*  0 argsz */
                  "03000000"    /*  4 flags: RESET, PCI */
                  "09000000"    /*  8 num_regions */
                  "05000000",   /* 12 num_irqs */
                  REPLY(5, 4, 32), vu_device_info, vu_encode_device_info,
                  vu_decode_device_info, .argsz = 16,
                  .flags = VU_DEVICE_RESETTABLE | VU_DEVICE_PCI, .num_regions = 9,
                  .num_irqs = 5);
}

static void device_get_region_info_is_as_specified(void **state)
{
    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    ASSERT_GOLDEN("0600 0500 30000000 00000000 00000000"
                  "20000000" "00000000" "02000000" "00000000"
                  "0000000000000000" "0000000000000000",
                  CMD(6, 5, 48), vu_region_info, vu_encode_region_info,
                  vu_decode_region_info, .argsz = 32, .index = 2);
    ASSERT_GOLDEN("0600 0500 30000000 01000000 00000000"
                  "20000000"            /*  0 argsz */
                  "07000000"            /*  4 flags: READ, WRITE, MMAP */
                  "02000000"            /*  8 index */
                  "00000000"            /* 12 cap_offset */
                  "0040000000000000"    /* 16 size */
                  "0000010000000000",   /* 24 offset */
                  REPLY(6, 5, 48), vu_region_info, vu_encode_region_info,
                  vu_decode_region_info, .argsz = 32,
                  .flags = VU_REGION_READABLE | VU_REGION_WRITEABLE | VU_REGION_MMAP,
                  .index = 2, .size = 0x4000, .offset = 0x10000);
}

/* A reply with every kind of capability. */
static const char chain_hex[] =
    "0600 0500 d0000000 01000000 00000000"
    "c0000000"            /*  0 argsz */
    "0f000000"            /*  4 flags: and CAPS */
    "09000000"            /*  8 index */
    "20000000"            /* 12 cap_offset */
    "0080000000000000"    /* 16 size */
    "0000010000000000"    /* 24 offset */
    "0100" "0100" "50000000"                    /*  32 SPARSE_MMAP, next 80 */
    "02000000" "00000000"                       /*  40 two areas */
    "0010000000000000" "0020000000000000"       /*  48 */
    "0040000000000000" "0030000000000000"       /*  64 */
    "0200" "0100" "60000000"                    /*  80 TYPE, next 96 */
    "86800080" "07000000"                       /*  88 type, subtype */
    "0300" "0100" "68000000"                    /*  96 MSIX_MAPPABLE, next 104 */
    "0180" "0100" "00000000"                    /* 104 SPARSE_MMAP_FDS, the last */
    "02000000" "00000000"                       /* 112 two areas */
    "0010000000000000" "0000100000000000"       /* 120 offset, fd_offset */
    "0020000000000000" "01000000" "00000000"    /* 136 size, fd_index, padding */
    "0050000000000000" "0000200000000000"       /* 152 */
    "0030000000000000" "03000000" "00000000";   /* 168, up to 184 */

/* The typed message is 8 bytes longer: padding behind the chain. */
static const char chain_end[] = "eeeeeeeeeeeeeeee";

static const struct vu_sparse_area areas[2] = { { 0x1000, 0x2000 }, { 0x4000, 0x3000 } };
static const struct vu_sparse_fd_area fd_areas[2] = {
    { .offset = 0x1000, .fd_offset = 0x100000, .size = 0x2000, .fd_index = 1 },
    { .offset = 0x5000, .fd_offset = 0x200000, .size = 0x3000, .fd_index = 3 },
};

static void region_capabilities_are_written_as_specified(void **state)
{
    const struct vu_region_info info = {
        .argsz = 192, .flags = 15, .index = 9, .cap_offset = 32, .size = 0x8000,
        .offset = 0x10000,
    };
    const struct vu_type_cap type = { 0x80008086, 7 };
    struct bytes b = bytes_of_hex(chain_hex);
    uint8_t out[BYTES_MAX];
    struct vu_writer w = vu_writer(out, sizeof(out));

    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    vu_encode_header(&w, &REPLY(6, 5, 208));
    vu_encode_region_info(&w, &info);
    assert_int_equal(vu_encode_sparse_cap(&w, areas, 2, 80), 0);
    assert_int_equal(vu_encode_type_cap(&w, &type, 96), 0);
    assert_int_equal(vu_encode_msix_cap(&w, 104), 0);
    assert_int_equal(vu_encode_sparse_fds_cap(&w, fd_areas, 2, 0), 0);
    assert_written(out, &w, &b);
}

static void assert_next_cap(struct vu_cap_walk *walk, struct vu_cap *cap, uint16_t id,
                            uint32_t offset, size_t data_len)
{
    assert_int_equal(vu_cap_next(walk, cap), 1);
    assert_int_equal(cap->id, id);
    assert_int_equal(cap->version, 1);
    assert_int_equal(cap->offset, offset);
    assert_int_equal(cap->data.len, data_len);
}

static void region_capabilities_are_read_as_specified(void **state)
{
    char hex[sizeof(chain_hex) + sizeof(chain_end)];
    struct vu_region_info info;
    struct vu_header h;
    struct vu_reader r;
    struct vu_cap_walk walk;
    struct vu_type_cap type;
    struct vu_cap cap;
    struct bytes b;

    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    snprintf(hex, sizeof(hex), "%s%s", chain_hex, chain_end);
    b = bytes_of_hex(hex);
    r = vu_reader(b.data, b.len);
    assert_int_equal(vu_decode_header(&r, &h), 0);
    assert_int_equal(h.size, b.len);
    walk = vu_cap_walk(r.pos, r.left, 32);
    assert_int_equal(vu_decode_region_info(&r, &info), 0);
    assert_int_equal(info.cap_offset, 32);
    assert_next_cap(&walk, &cap, 1, 32, 40);
    assert_int_equal(vu_sparse_count(&cap), 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_true(vu_sparse_area(&cap, i).offset == areas[i].offset);
        assert_true(vu_sparse_area(&cap, i).size == areas[i].size);
    }
    assert_next_cap(&walk, &cap, 2, 80, 8);
    assert_int_equal(vu_decode_type_cap(&cap, &type), 0);
    assert_int_equal(type.type, 0x80008086);
    assert_int_equal(type.subtype, 7);
    assert_next_cap(&walk, &cap, 3, 96, 0);
    assert_next_cap(&walk, &cap, 0x8001, 104, 80);
    assert_int_equal(vu_sparse_fds_count(&cap), 2);
    for (uint32_t i = 0; i < 2; i++) {
        struct vu_sparse_fd_area a = vu_sparse_fd_area(&cap, i);

        assert_true(a.offset == fd_areas[i].offset);
        assert_true(a.fd_offset == fd_areas[i].fd_offset);
        assert_true(a.size == fd_areas[i].size);
        assert_int_equal(a.fd_index, fd_areas[i].fd_index);
    }
    assert_int_equal(vu_cap_next(&walk, &cap), 0);
}

static void device_get_region_io_fds_is_as_specified(void **state)
{
    static const uint8_t entries[80] = {
        [1] = 0x10, [8] = 4, [16] = 1, [24] = 1, [32] = 0x44, [39] = 0x88,
        [41] = 0x20, [48] = 8, [56] = 2, [60] = 1, [64] = 3, [72] = 0x55,
    };
    struct vu_region_io_fds m;
    struct vu_io_fd_entry e;
    struct bytes b;
    struct vu_reader r;

    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    ASSERT_GOLDEN("0700 0600 20000000 00000000 00000000"
                  "70000000" "00000000" "03000000" "00000000",
                  CMD(7, 6, 32), vu_region_io_fds, vu_encode_region_io_fds,
                  vu_decode_region_io_fds, .argsz = 112, .index = 3);
    ASSERT_GOLDEN("0700 0600 70000000 01000000 00000000"
                  "60000000"                                /*  0 argsz */
                  "00000000"                                /*  4 flags */
                  "03000000"                                /*  8 index */
                  "02000000"                                /* 12 count */
                  "0010000000000000" "0400000000000000"     /* 16 offset, size */
                  "01000000" "00000000" "01000000" "00000000" /* fd_index, type, flags */
                  "4400000000000088"                        /* datamatch */
                  "0020000000000000" "0800000000000000"     /* 56 */
                  "02000000" "01000000" "03000000" "00000000"
                  "5500000000000000",
                  REPLY(7, 6, 112), vu_region_io_fds, vu_encode_region_io_fds,
                  vu_decode_region_io_fds, .argsz = 96, .index = 3, .count = 2,
                  .entries = BYTES(entries, 80));
    b = bytes_of_hex("60000000 00000000 03000000 02000000"
                     "0010000000000000 0400000000000000 01000000 00000000 01000000 00000000"
                     "4400000000000088"
                     "0020000000000000 0800000000000000 02000000 01000000 03000000 09000000"
                     "5500000000000000");
    r = vu_reader(b.data, b.len);
    assert_int_equal(vu_decode_region_io_fds(&r, &m), 0);
    assert_int_equal(vu_decode_io_fd_entry(&m, 0, &e), 0);
    assert_true(e.offset == 0x1000 && e.size == 4 && e.fd_index == 1);
    assert_true(e.type == VU_IO_FD_IOEVENTFD && e.flags == 1 && e.padding == 0);
    assert_true(e.datamatch == 0x8800000000000044);
    assert_int_equal(vu_decode_io_fd_entry(&m, 1, &e), 0);
    assert_true(e.offset == 0x2000 && e.size == 8 && e.fd_index == 2);
    assert_true(e.type == VU_IO_FD_IOREGIONFD && e.flags == 3 && e.padding == 9);
    assert_true(e.datamatch == 0x55);
}

static void io_fd_entry_is_as_specified(void **state)
{
    const struct vu_io_fd_entry e = { 0x1000, 4, 1, VU_IO_FD_IOEVENTFD_SHADOW, 7, 9,
                                      0x8800000000000044 };
    struct bytes b = bytes_of_hex("0010000000000000"    /*  0 offset */
                                  "0400000000000000"    /*  8 size */
                                  "01000000"            /* 16 fd_index */
                                  "02000000"            /* 20 type */
                                  "07000000"            /* 24 flags */
                                  "09000000"            /* 28 padding */
                                  "4400000000000088");  /* 32 datamatch */
    uint8_t out[BYTES_MAX];
    struct vu_writer w = vu_writer(out, sizeof(out));

    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    assert_int_equal(vu_encode_io_fd_entry(&w, &e), 0);
    assert_written(out, &w, &b);
}

static void device_get_irq_info_is_as_specified(void **state)
{
    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    ASSERT_GOLDEN("0800 0700 20000000 00000000 00000000"
                  "10000000" "00000000" "02000000" "00000000",
                  CMD(8, 7, 32), vu_irq_info, vu_encode_irq_info, vu_decode_irq_info,
                  .argsz = 16, .index = VU_PCI_MSIX);
    ASSERT_GOLDEN("0800 0700 20000000 01000000 00000000"
                  "10000000"    /*  0 argsz */
                  "09000000"    /*  4 flags: EVENTFD, NORESIZE */
                  "02000000"    /*  8 index */
                  "00080000",   /* 12 count */
                  REPLY(8, 7, 32), vu_irq_info, vu_encode_irq_info, vu_decode_irq_info,
                  .argsz = 16, .flags = VU_IRQ_EVENTFD | VU_IRQ_NORESIZE,
                  .index = VU_PCI_MSIX, .count = 2048);
}

static void device_set_irqs_is_as_specified(void **state)
{
    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    ASSERT_GOLDEN("0900 0800 24000000 00000000 00000000"
                  "14000000"    /*  0 argsz */
                  "24000000"    /*  4 flags: EVENTFD, TRIGGER */
                  "02000000"    /*  8 index */
                  "03000000"    /* 12 start */
                  "04000000",   /* 16 count */
                  CMD(9, 8, 36), vu_irq_set, vu_encode_irq_set, vu_decode_irq_set,
                  .argsz = 20, .flags = VU_IRQ_SET_DATA_EVENTFD | VU_IRQ_SET_ACTION_TRIGGER,
                  .index = VU_PCI_MSIX, .start = 3, .count = 4);
    ASSERT_GOLDEN("0900 0800 27000000 00000000 00000000"
                  "17000000" "0a000000" "01000000" "02000000" "03000000"
                  "0100ff",     /* 20 data */
                  CMD(9, 8, 39), vu_irq_set, vu_encode_irq_set, vu_decode_irq_set,
                  .argsz = 23, .flags = VU_IRQ_SET_DATA_BOOL | VU_IRQ_SET_ACTION_MASK,
                  .index = VU_PCI_MSI, .start = 2, .count = 3,
                  .data = BYTES("\x01\x00\xff", 3));
    ASSERT_GOLDEN("0900 0800 24000000 00000000 00000000"
                  "14000000" "11000000" "00000000" "00000000" "01000000",
                  CMD(9, 8, 36), vu_irq_set, vu_encode_irq_set, vu_decode_irq_set,
                  .argsz = 20, .flags = VU_IRQ_SET_DATA_NONE | VU_IRQ_SET_ACTION_UNMASK,
                  .index = VU_PCI_INTX, .count = 1);
    assert_header_only("0900 0800 10000000 01000000 00000000", REPLY(9, 8, 16));
}

static void region_read_is_as_specified(void **state)
{
    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    ASSERT_GOLDEN("0a00 0900 20000000 00000000 00000000"
                  "1000000000000080"    /*  0 offset */
                  "07000000"            /*  8 region */
                  "04000000",           /* 12 count */
                  CMD(10, 9, 32), vu_region_access, vu_encode_region_access,
                  vu_decode_region_access, .offset = 0x8000000000000010,
                  .region = VU_PCI_CONFIG, .count = 4);
    ASSERT_GOLDEN("0a00 0900 24000000 01000000 00000000"
                  "1000000000000080" "07000000" "04000000"
                  "de10ad0b",           /* 16 data */
                  REPLY(10, 9, 36), vu_region_access, vu_encode_region_access,
                  vu_decode_region_data, .offset = 0x8000000000000010,
                  .region = VU_PCI_CONFIG, .count = 4,
                  .data = BYTES("\xde\x10\xad\x0b", 4));
}

static void region_write_is_as_specified(void **state)
{
    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    ASSERT_GOLDEN("0b00 0a00 22000000 00000000 00000000"
                  "0410000000000000" "01000000" "02000000"
                  "beef",               /* 16 data */
                  CMD(11, 10, 34), vu_region_access, vu_encode_region_access,
                  vu_decode_region_data, .offset = 0x1004, .region = 1, .count = 2,
                  .data = BYTES("\xbe\xef", 2));
    ASSERT_GOLDEN("0b00 0a00 20000000 01000000 00000000"
                  "0410000000000000" "01000000" "02000000",
                  REPLY(11, 10, 32), vu_region_access, vu_encode_region_access,
                  vu_decode_region_access, .offset = 0x1004, .region = 1, .count = 2);
}

static void dma_read_is_as_specified(void **state)
{
    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    ASSERT_GOLDEN("0c00 0b00 20000000 00000000 00000000"
                  "0000020000000080"    /* 0 address */
                  "0300000000000000",   /* 8 count */
                  CMD(12, 11, 32), vu_dma_access, vu_encode_dma_access,
                  vu_decode_dma_access, .address = 0x8000000000020000, .count = 3);
    ASSERT_GOLDEN("0c00 0b00 23000000 01000000 00000000"
                  "0000020000000080" "0300000000000000"
                  "a1b2c3",             /* 16 data */
                  REPLY(12, 11, 35), vu_dma_access, vu_encode_dma_access,
                  vu_decode_dma_data, .address = 0x8000000000020000, .count = 3,
                  .data = BYTES("\xa1\xb2\xc3", 3));
}

static void dma_write_is_as_specified(void **state)
{
    struct bytes narrow = bytes_of_hex("0000020000000080" "03000000");
    struct vu_reader r = vu_reader(narrow.data, narrow.len);
    struct vu_dma_access m;

    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    ASSERT_GOLDEN("0d00 0c00 23000000 00000000 00000000"
                  "0000020000000080" "0300000000000000"
                  "a1b2c3",             /* 16 data */
                  CMD(13, 12, 35), vu_dma_access, vu_encode_dma_access,
                  vu_decode_dma_data, .address = 0x8000000000020000, .count = 3,
                  .data = BYTES("\xa1\xb2\xc3", 3));
    ASSERT_GOLDEN("0d00 0c00 20000000 01000000 00000000"
                  "0000020000000080" "0300000000000000",
                  REPLY(13, 12, 32), vu_dma_access, vu_encode_dma_access,
                  vu_decode_dma_write_reply, .address = 0x8000000000020000, .count = 3);
    assert_int_equal(vu_decode_dma_write_reply(&r, &m), 0);
    assert_true(m.address == 0x8000000000020000 && m.count == 3);
}

static void device_reset_is_as_specified(void **state)
{
    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    assert_header_only("0e00 0d00 10000000 00000000 00000000", CMD(14, 13, 16));
    assert_header_only("0e00 0d00 10000000 01000000 00000000", REPLY(14, 13, 16));
}

static void region_write_multi_is_as_specified(void **state)
{
    const struct vu_write_multi_entry e = { 0x1234, 2, 3, { 1, 2, 3, 4, 5, 6, 7, 8 } };
    struct bytes entry = bytes_of_hex("3412000000000000"    /*  0 offset */
                                      "02000000"            /*  8 region */
                                      "03000000"            /* 12 count */
                                      "0102030405060708");  /* 16 data */
    struct vu_write_multi_entry got;
    struct vu_write_multi multi = { 1, { entry.data, entry.len } };
    uint8_t out[BYTES_MAX];
    struct vu_writer w = vu_writer(out, sizeof(out));

    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    ASSERT_GOLDEN("0f00 0f00 30000000 10000000 00000000"
                  "0100000000000000"    /* 0 wr_cnt */
                  "3412000000000000" "02000000" "03000000" "0102030405060708",
                  ((struct vu_header){ 15, 15, 48, VU_F_NO_REPLY, 0 }), vu_write_multi,
                  vu_encode_write_multi, vu_decode_write_multi, .count = 1,
                  .entries = BYTES(entry.data, 24));
    ASSERT_GOLDEN("0f00 0f00 18000000 01000000 00000000"
                  "0100000000000000",
                  REPLY(15, 15, 24), vu_write_multi, vu_encode_write_multi,
                  vu_decode_write_multi_reply, .count = 1);
    assert_int_equal(vu_encode_write_multi_entry(&w, &e), 0);
    assert_written(out, &w, &entry);
    assert_int_equal(vu_decode_write_multi_entry(&multi, 0, &got), 0);
    assert_true(got.offset == 0x1234 && got.region == 2 && got.count == 3);
    assert_memory_equal(got.data, "\1\2\3\4\5\6\7\10", 8);
}

static void device_feature_is_as_specified(void **state)
{
    const struct vu_feature_migration mig = { VU_MIGRATION_STOP_COPY |
                                              VU_MIGRATION_PRE_COPY };
    const struct vu_feature_mig_state running = { VU_MIG_RUNNING, 7 };
    struct bytes flags = bytes_of_hex("0500000000000000");
    struct bytes running_bytes = bytes_of_hex("02000000" "07000000");
    struct vu_feature_migration got_mig;
    struct vu_feature_mig_state got_state;
    uint8_t out[BYTES_MAX];
    struct vu_writer w = vu_writer(out, sizeof(out));
    struct vu_reader r = vu_reader(flags.data, flags.len);

    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    /* GET MIGRATION, and its answer */
    ASSERT_GOLDEN("1000 1000 18000000 00000000 00000000"
                  "10000000"    /* 0 argsz */
                  "01000100",   /* 4 flags */
                  CMD(16, 16, 24), vu_feature, vu_encode_feature, vu_decode_feature,
                  .argsz = 16, .flags = VU_FEATURE_GET | VU_FEATURE_MIGRATION);
    ASSERT_GOLDEN("1000 1000 20000000 01000000 00000000"
                  "10000000" "01000100"
                  "0500000000000000",
                  REPLY(16, 16, 32), vu_feature, vu_encode_feature, vu_decode_feature,
                  .argsz = 16, .flags = VU_FEATURE_GET | VU_FEATURE_MIGRATION,
                  .data = BYTES(flags.data, 8));
    /* SET MIG_DEVICE_STATE */
    ASSERT_GOLDEN("1000 1000 20000000 00000000 00000000"
                  "10000000" "02000200"
                  "02000000" "07000000",
                  CMD(16, 16, 32), vu_feature, vu_encode_feature, vu_decode_feature,
                  .argsz = 16, .flags = VU_FEATURE_SET | VU_FEATURE_MIG_DEVICE_STATE,
                  .data = BYTES(running_bytes.data, 8));
    /* PROBE DMA_LOGGING_STOP */
    ASSERT_GOLDEN("1000 1000 18000000 00000000 00000000"
                  "08000000" "07000400",
                  CMD(16, 16, 24), vu_feature, vu_encode_feature, vu_decode_feature,
                  .argsz = 8, .flags = VU_FEATURE_PROBE | VU_FEATURE_DMA_LOGGING_STOP);

    assert_int_equal(vu_encode_feature_migration(&w, &mig), 0);
    assert_written(out, &w, &flags);
    assert_int_equal(vu_decode_feature_migration(&r, &got_mig), 0);
    assert_true(got_mig.flags == 5);
    w = vu_writer(out, sizeof(out));
    assert_int_equal(vu_encode_feature_mig_state(&w, &running), 0);
    assert_written(out, &w, &running_bytes);
    r = vu_reader(running_bytes.data, running_bytes.len);
    assert_int_equal(vu_decode_feature_mig_state(&r, &got_state), 0);
    assert_int_equal(got_state.device_state, 2);
    assert_int_equal(got_state.data_fd, 7);
}

static void dma_logging_start_is_as_specified(void **state)
{
    const struct vu_dma_logging_range range = { 0x10000, 0x20000 };
    struct bytes range_bytes = bytes_of_hex("0000010000000000"      /* 0 iova */
                                            "0000020000000000");    /* 8 length */
    struct bytes b = bytes_of_hex("0010000000000000"    /*  0 page_size */
                                  "01000000"            /*  8 num_ranges */
                                  "00000000"            /* 12 reserved */
                                  "0000010000000000" "0000020000000000");
    const struct vu_dma_logging m = { 4096, 1, { range_bytes.data, range_bytes.len } };
    struct vu_dma_logging_range got_range;
    struct vu_dma_logging got;
    uint8_t out[BYTES_MAX];
    struct vu_writer w = vu_writer(out, sizeof(out));
    struct vu_reader r = vu_reader(b.data, b.len);

    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    assert_int_equal(vu_encode_dma_logging(&w, &m), 0);
    assert_written(out, &w, &b);
    w = vu_writer(out, sizeof(out));
    assert_int_equal(vu_encode_dma_logging_range(&w, &range), 0);
    assert_written(out, &w, &range_bytes);
    assert_int_equal(vu_decode_dma_logging(&r, &got), 0);
    assert_true(got.page_size == 4096 && got.num_ranges == 1);
    assert_int_equal(vu_decode_dma_logging_range(&got, 0, &got_range), 0);
    assert_true(got_range.iova == 0x10000 && got_range.length == 0x20000);
}

static void dma_logging_report_is_as_specified(void **state)
{
    struct bytes b = bytes_of_hex("0000010000000000"    /*  0 iova */
                                  "0000020000000000"    /*  8 length */
                                  "0010000000000000"    /* 16 page_size */
                                  "0300000000000080");  /* 24 bitmap, replies only */
    struct bytes request = { .len = 24 };
    struct vu_dma_report m = { 0x10000, 0x20000, 4096, { NULL, 0 } }, got;
    uint8_t out[BYTES_MAX];
    struct vu_writer w = vu_writer(out, sizeof(out));
    struct vu_reader r = vu_reader(b.data, b.len);

    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    memcpy(request.data, b.data, 24);
    assert_int_equal(vu_encode_dma_report(&w, &m), 0);
    assert_written(out, &w, &request);
    m.bitmap = (struct vu_bytes)BYTES("\3\0\0\0\0\0\0\x80", 8);
    w = vu_writer(out, sizeof(out));
    assert_int_equal(vu_encode_dma_report(&w, &m), 0);
    assert_written(out, &w, &b);
    assert_int_equal(vu_decode_dma_report(&r, &got), 0);
    assert_true(got.iova == 0x10000 && got.length == 0x20000 && got.page_size == 4096);
    assert_int_equal(got.bitmap.len, 8);
    assert_int_equal(got.bitmap.data[7], 0x80);
    assert_true(vu_bitmap_size(got.length, got.page_size) == 8);
}

static void mig_data_read_is_as_specified(void **state)
{
    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    ASSERT_GOLDEN("1100 1100 18000000 00000000 00000000"
                  "08100000"    /* 0 argsz */
                  "00100000",   /* 4 size */
                  CMD(17, 17, 24), vu_mig_data, vu_encode_mig_data,
                  vu_decode_mig_data_request, .argsz = 4104, .size = 4096);
    ASSERT_GOLDEN("1100 1100 1b000000 01000000 00000000"
                  "0b000000" "03000000"
                  "616263",     /* 8 data */
                  REPLY(17, 17, 27), vu_mig_data, vu_encode_mig_data, vu_decode_mig_data,
                  .argsz = 11, .size = 3, .data = BYTES("abc", 3));
}

static void mig_data_write_is_as_specified(void **state)
{
    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    ASSERT_GOLDEN("1200 1200 1b000000 00000000 00000000"
                  "0b000000" "03000000"
                  "78797a",     /* 8 data */
                  CMD(18, 18, 27), vu_mig_data, vu_encode_mig_data, vu_decode_mig_data,
                  .argsz = 11, .size = 3, .data = BYTES("xyz", 3));
    assert_header_only("1200 1200 10000000 01000000 00000000", REPLY(18, 18, 16));
}

/* clang-format on */

/* The numbers that no message above contains. */
static void constants_are_as_specified(void **state)
{
    (void)state;
    assert_int_equal(VU_F_TYPE_MASK, 0xf);
    assert_int_equal(VU_F_ERROR, 0x20);
    assert_int_equal(VU_PCI_BAR5, 5);
    assert_int_equal(VU_PCI_ROM, 6);
    assert_int_equal(VU_PCI_VGA, 8);
    assert_int_equal(VU_PCI_REGIONS, 9);
    assert_int_equal(VU_PCI_ERR, 3);
    assert_int_equal(VU_PCI_REQ, 4);
    assert_int_equal(VU_PCI_IRQS, 5);
    assert_int_equal(VU_REGION_CAPS, 0x8);
    assert_int_equal(VU_DMA_MMAP, 0x4);
    assert_int_equal(VU_DMA_FILE_IO, 0x8);
    assert_int_equal(VU_IRQ_MASKABLE, 0x2);
    assert_int_equal(VU_IRQ_AUTOMASKED, 0x4);
    assert_int_equal(VU_IRQ_SET_DATA_MASK, 0x07);
    assert_int_equal(VU_IRQ_SET_ACTIONS, 0x38);
    assert_int_equal(VU_FEATURE_INDEX_MASK, 0xffff);
    assert_int_equal(VU_FEATURE_DMA_LOGGING_START, 6);
    assert_int_equal(VU_FEATURE_DMA_LOGGING_REPORT, 8);
    assert_int_equal(VU_MIGRATION_P2P, 0x2);
    assert_int_equal(VU_MIG_ERROR, 0);
    assert_int_equal(VU_MIG_STOP, 1);
    assert_int_equal(VU_MIG_STOP_COPY, 3);
    assert_int_equal(VU_MIG_RESUMING, 4);
    assert_int_equal(VU_MIG_RUNNING_P2P, 5);
    assert_int_equal(VU_MIG_PRE_COPY, 6);
    assert_int_equal(VU_MIG_PRE_COPY_P2P, 7);
    assert_int_equal(VU_DEFAULT_MAX_MSG_FDS, 1);
    assert_int_equal(VU_DEFAULT_MAX_DATA_XFER, 1048576);
    assert_int_equal(VU_DEFAULT_MAX_DMA_MAPS, 65535);
    assert_int_equal(VU_DEFAULT_PGSIZES, 4096);
    assert_int_equal(VU_MAX_MSG_FDS, 253);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(headers_are_as_specified),
    cmocka_unit_test(version_is_as_specified),
    cmocka_unit_test(dma_map_is_as_specified),
    cmocka_unit_test(dma_unmap_is_as_specified),
    cmocka_unit_test(dma_unmap_with_a_dirty_bitmap_is_as_extended),
    cmocka_unit_test(device_get_info_is_as_specified),
    cmocka_unit_test(device_get_region_info_is_as_specified),
    cmocka_unit_test(region_capabilities_are_written_as_specified),
    cmocka_unit_test(region_capabilities_are_read_as_specified),
    cmocka_unit_test(device_get_region_io_fds_is_as_specified),
    cmocka_unit_test(io_fd_entry_is_as_specified),
    cmocka_unit_test(device_get_irq_info_is_as_specified),
    cmocka_unit_test(device_set_irqs_is_as_specified),
    cmocka_unit_test(region_read_is_as_specified),
    cmocka_unit_test(region_write_is_as_specified),
    cmocka_unit_test(dma_read_is_as_specified),
    cmocka_unit_test(dma_write_is_as_specified),
    cmocka_unit_test(device_reset_is_as_specified),
    cmocka_unit_test(region_write_multi_is_as_specified),
    cmocka_unit_test(device_feature_is_as_specified),
    cmocka_unit_test(dma_logging_start_is_as_specified),
    cmocka_unit_test(dma_logging_report_is_as_specified),
    cmocka_unit_test(mig_data_read_is_as_specified),
    cmocka_unit_test(mig_data_write_is_as_specified),
    cmocka_unit_test(constants_are_as_specified),
};

VU_TEST_MAIN(tests)
