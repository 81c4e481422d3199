/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of wire/text.h: the line of each command, typed by hand, and what
 * holds for the line of any bytes whatsoever.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "wire/command.h"
#include "wire/tests/bytes.h"
#include "wire/text.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---------------------------------------------------------- golden lines -- */

/* clang-format off */
static const struct {
    uint16_t command;
    uint32_t flags;     /* of the header */
    const char *hex;    /* of the body */
    const char *line;   /* behind "NAME KIND id=7 size=N" */
} lines[] = {
    { VU_VERSION, 0, "0000 0100" "7b22611b5c7f80227d00",
      "VERSION cmd: major=0 minor=1 json={\"a\\x1b\\\\x7f\\x80\"}" },
    { VU_VERSION, 1, "0000 0200", "VERSION reply: major=0 minor=2" },
    { VU_VERSION, 1, "0000 0200" "00", "VERSION reply: major=0 minor=2 json=" },
    { VU_VERSION, 1, "0000 0200" "7b7d", "VERSION reply: major=0 minor=2 json={} (no NUL)" },
    { VU_VERSION, 1, "0000 0200" "7b007d00",
      "VERSION reply: major=0 minor=2 json={\\x00}" },
    { VU_DMA_MAP, 0,
      "20000000 03000000 0010000000000000 0000010000000080 0000200000000000",
      "DMA_MAP cmd: argsz=32 flags=READ|WRITE offset=0x1000 address=0x8000000000010000 "
      "size=0x200000" },
    { VU_DMA_MAP, 0,
      "20000000 1c000080 0000000000000000 0000000000000000 0000000000000000" "ffff",
      "DMA_MAP cmd: argsz=32 flags=MMAP|FILE_IO|0x80000010 offset=0x0 address=0x0 size=0x0 "
      "+2 bytes" },
    { VU_DMA_MAP, 0, "20000000 00000000 0010000000000000 000001",
      "DMA_MAP cmd: argsz=32 flags=0 offset=0x1000 +3 bytes short" },
    { VU_DMA_MAP, 0, "", "DMA_MAP cmd: short" },
    { VU_DMA_MAP, 1, "", "DMA_MAP reply:" },
    { VU_DMA_MAP, 1, "01", "DMA_MAP reply: +1 bytes" },
    { VU_DMA_UNMAP, 0, "18000000 02000000 0000000000000000 0000000000000000",
      "DMA_UNMAP cmd: argsz=24 flags=ALL address=0x0 size=0x0" },
    { VU_DMA_UNMAP, 0,
      "18000000 01000000 0000010000000000 0010000000000000 0020000000000000"
      "0800000000000000",
      "DMA_UNMAP cmd: argsz=24 flags=GET_DIRTY_BITMAP address=0x10000 size=0x1000 "
      "pgsize=0x2000 bitmap_size=8" },
    { VU_DMA_UNMAP, 1, "18000000 00000000 0000010000000000 0010000000000000",
      "DMA_UNMAP reply: argsz=24 flags=0 address=0x10000 size=0x1000" },
    { VU_DMA_UNMAP, 1,
      "18000000 01000000 0000010000000000 0010000000000000 0020000000000000"
      "0400000000000000" "0102030405",
      "DMA_UNMAP reply: argsz=24 flags=GET_DIRTY_BITMAP address=0x10000 size=0x1000 "
      "pgsize=0x2000 bitmap_size=4 bitmap=01020304 +1 bytes" },
    { VU_DEVICE_GET_INFO, 0, "10000000 00000000 00000000 00000000",
      "DEVICE_GET_INFO cmd: argsz=16 flags=0 num_regions=0 num_irqs=0" },
    { VU_DEVICE_GET_INFO, 1, "10000000 03000000 09000000 05000000",
      "DEVICE_GET_INFO reply: argsz=16 flags=RESET|PCI num_regions=9 num_irqs=5" },
    { VU_DEVICE_GET_REGION_INFO, 0,
      "20000000 00000000 02000000 00000000 0000000000000000 0000000000000000",
      "DEVICE_GET_REGION_INFO cmd: argsz=32 flags=0 index=2 cap_offset=0 size=0x0 "
      "offset=0x0" },
    { VU_DEVICE_GET_REGION_INFO, 1,
      "50000000 0f000000 02000000 20000000 0040000000000000 0000010000000000"
      "01000100 48000000 01000000 00000000 0010000000000000 0020000000000000" "eeeeeeee"
      "eeeeeeee" "03000100 50000000" "ff000900 00000000",
      "DEVICE_GET_REGION_INFO reply: argsz=80 flags=READ|WRITE|MMAP|CAPS index=2 "
      "cap_offset=32 size=0x4000 offset=0x10000 "
      "caps=[SPARSE_MMAP(0x1000+0x2000) MSIX_MAPPABLE CAP_0xffv9]" },
    { VU_DEVICE_GET_REGION_INFO, 1,
      "50000000 08000000 02000000 20000000 0040000000000000 0000010000000000"
      "02000100 30000000 86800080 07000000"
      "01800100 60000000 01000000 00000000 0010000000000000 0000100000000000"
      "0020000000000000 05000000 00000000"
      "01000100 70000000 02000000 00000000" "02000100 78000000"
      "01800100 00000000",
      "DEVICE_GET_REGION_INFO reply: argsz=80 flags=CAPS index=2 cap_offset=32 size=0x4000 "
      "offset=0x10000 caps=[TYPE(0x80008086,0x7) "
      "SPARSE_MMAP_FDS(0x1000+0x2000@fd5:0x100000) SPARSE_MMAP(broken) TYPE(broken) "
      "SPARSE_MMAP_FDS(broken)]" },
    { VU_DEVICE_GET_REGION_INFO, 1,
      "50000000 08000000 02000000 20000000 0040000000000000 0000010000000000"
      "03000100 20000000",
      "DEVICE_GET_REGION_INFO reply: argsz=80 flags=CAPS index=2 cap_offset=32 size=0x4000 "
      "offset=0x10000 caps=[broken] +8 bytes" },
    { VU_DEVICE_GET_REGION_INFO, 1,
      "50000000 08000000 02000000 20000000 0040000000000000 0000010000000000"
      "03000100 28000000 03000100 2f000000",
      "DEVICE_GET_REGION_INFO reply: argsz=80 flags=CAPS index=2 cap_offset=32 size=0x4000 "
      "offset=0x10000 caps=[MSIX_MAPPABLE broken] +16 bytes" },
    { VU_DEVICE_GET_REGION_INFO, 1,
      "50000000 00000000 02000000 20000000 0040000000000000 0000010000000000"
      "03000100 00000000",
      "DEVICE_GET_REGION_INFO reply: argsz=80 flags=0 index=2 cap_offset=32 size=0x4000 "
      "offset=0x10000 +8 bytes" },
    { VU_DEVICE_GET_REGION_IO_FDS, 0, "10000000 00000000 03000000 00000000",
      "DEVICE_GET_REGION_IO_FDS cmd: argsz=16 flags=0 index=3 count=0" },
    { VU_DEVICE_GET_REGION_IO_FDS, 1,
      "60000000 00000000 03000000 02000000"
      "0010000000000000 0400000000000000 01000000 00000000 01000000 00000000"
      "4400000000000088"
      "0020000000000000 0800000000000000 02000000 09000000 03000000 00000000"
      "5500000000000000",
      "DEVICE_GET_REGION_IO_FDS reply: argsz=96 flags=0 index=3 count=2 entries=["
      "ioeventfd(0x1000+0x4 fd1 flags=0x1 datamatch=0x8800000000000044) "
      "type9(0x2000+0x8 fd2 flags=0x3 datamatch=0x55)]" },
    { VU_DEVICE_GET_REGION_IO_FDS, 1,
      "60000000 00000000 03000000 02000000"
      "0010000000000000 0400000000000000 01000000 01000000 01000000 00000000"
      "4400000000000088" "00",
      "DEVICE_GET_REGION_IO_FDS reply: argsz=96 flags=0 index=3 count=2 entries=["
      "ioregionfd(0x1000+0x4 fd1 flags=0x1 datamatch=0x8800000000000044)] +41 bytes short" },
    { VU_DEVICE_GET_REGION_IO_FDS, 1, "60000000 00000000 03000000 02000000",
      "DEVICE_GET_REGION_IO_FDS reply: argsz=96 flags=0 index=3 count=2" },
    { VU_DEVICE_GET_REGION_IO_FDS, 1, "10000000 01000000 03000000 00000000" "0102",
      "DEVICE_GET_REGION_IO_FDS reply: argsz=16 flags=0x1 index=3 count=0 +2 bytes" },
    { VU_DEVICE_GET_IRQ_INFO, 0, "10000000 00000000 02000000 00000000",
      "DEVICE_GET_IRQ_INFO cmd: argsz=16 flags=0 index=2 count=0" },
    { VU_DEVICE_GET_IRQ_INFO, 1, "10000000 0f000000 02000000 00080000",
      "DEVICE_GET_IRQ_INFO reply: argsz=16 flags=EVENTFD|MASKABLE|AUTOMASKED|NORESIZE "
      "index=2 count=2048" },
    { VU_DEVICE_SET_IRQS, 0, "14000000 24000000 02000000 03000000 04000000",
      "DEVICE_SET_IRQS cmd: argsz=20 flags=EVENTFD|TRIGGER index=2 start=3 count=4" },
    { VU_DEVICE_SET_IRQS, 0, "17000000 0a000000 01000000 02000000 03000000" "0100ff",
      "DEVICE_SET_IRQS cmd: argsz=23 flags=BOOL|MASK index=1 start=2 count=3 data=0100ff" },
    { VU_DEVICE_SET_IRQS, 0, "17000000 12000000 01000000 02000000 03000000" "01",
      "DEVICE_SET_IRQS cmd: argsz=23 flags=BOOL|UNMASK index=1 start=2 count=3 data=01 "
      "short" },
    { VU_DEVICE_SET_IRQS, 0, "14000000 11000000 01000000 02000000 03000000" "01",
      "DEVICE_SET_IRQS cmd: argsz=20 flags=NONE|UNMASK index=1 start=2 count=3 +1 bytes" },
    { VU_DEVICE_SET_IRQS, 1, "", "DEVICE_SET_IRQS reply:" },
    { VU_REGION_READ, 0, "1000000000000000 07000000 04000000",
      "REGION_READ cmd: offset=0x10 region=7 count=4" },
    { VU_REGION_READ, 0, "1000000000", "REGION_READ cmd: +5 bytes short" },
    { VU_REGION_READ, 1, "1000000000000000 07000000 04000000" "de10ad0b",
      "REGION_READ reply: offset=0x10 region=7 count=4 data=de10ad0b" },
    { VU_REGION_READ, 1, "1000000000000000 07000000 00000000",
      "REGION_READ reply: offset=0x10 region=7 count=0" },
    { VU_REGION_WRITE, 0, "1000000000000000 07000000 10000000"
      "000102030405060708090a0b0c0d0e0f",
      "REGION_WRITE cmd: offset=0x10 region=7 count=16 "
      "data=000102030405060708090a0b0c0d0e0f" },
    { VU_REGION_WRITE, 0, "1000000000000000 07000000 11000000"
      "000102030405060708090a0b0c0d0e0f10",
      "REGION_WRITE cmd: offset=0x10 region=7 count=17 "
      "data=000102030405060708090a0b0c0d0e0f..." },
    { VU_REGION_WRITE, 0, "1000000000000000 07000000 01000000" "0001",
      "REGION_WRITE cmd: offset=0x10 region=7 count=1 data=00 +1 bytes" },
    { VU_REGION_WRITE, 0, "1000000000000000 07000000 01000000",
      "REGION_WRITE cmd: offset=0x10 region=7 count=1 short" },
    { VU_REGION_WRITE, 1, "1000000000000000 07000000 01000000",
      "REGION_WRITE reply: offset=0x10 region=7 count=1" },
    { VU_DMA_READ, 0, "0000020000000080 0300000000000000",
      "DMA_READ cmd: address=0x8000000000020000 count=3" },
    { VU_DMA_READ, 1, "0000020000000080 0300000000000000" "a1b2c3",
      "DMA_READ reply: address=0x8000000000020000 count=3 data=a1b2c3" },
    { VU_DMA_WRITE, 0, "0000020000000080 ffffffffffffffff" "a1b2c3",
      "DMA_WRITE cmd: address=0x8000000000020000 count=18446744073709551615 data=a1b2c3 "
      "short" },
    { VU_DMA_WRITE, 1, "0000020000000080 0300000000000000",
      "DMA_WRITE reply: address=0x8000000000020000 count=3" },
    { VU_DMA_WRITE, 1, "0000020000000080 03000000",
      "DMA_WRITE reply: address=0x8000000000020000 count=3" },
    { VU_DMA_WRITE, 1, "0000020000000080 030000",
      "DMA_WRITE reply: address=0x8000000000020000 +3 bytes short" },
    { VU_DEVICE_RESET, 0, "", "DEVICE_RESET cmd:" },
    { VU_DEVICE_RESET, 1, "", "DEVICE_RESET reply:" },
    { VU_REGION_WRITE_MULTI, 0,
      "0200000000000000"
      "3412000000000000 02000000 03000000 0102030405060708"
      "0000000000000000 01000000 09000000 1112131415161718",
      "REGION_WRITE_MULTI cmd: count=2 writes=[2:0x1234+3=010203 "
      "1:0x0+9=1112131415161718]" },
    { VU_REGION_WRITE_MULTI, 0,
      "0200000000000000"
      "3412000000000000 02000000 01000000 0102030405060708" "0000",
      "REGION_WRITE_MULTI cmd: count=2 writes=[2:0x1234+1=01] +2 bytes short" },
    { VU_REGION_WRITE_MULTI, 1, "0200000000000000", "REGION_WRITE_MULTI reply: count=2" },
    { VU_DEVICE_FEATURE, 0, "10000000 01000100",
      "DEVICE_FEATURE cmd: argsz=16 feature=MIGRATION op=GET" },
    { VU_DEVICE_FEATURE, 1, "10000000 01000100 0f00000000000000",
      "DEVICE_FEATURE reply: argsz=16 feature=MIGRATION op=GET "
      "migration=STOP_COPY|P2P|PRE_COPY|0x8" },
    { VU_DEVICE_FEATURE, 0, "10000000 02000100",
      "DEVICE_FEATURE cmd: argsz=16 feature=MIG_DEVICE_STATE op=GET" },
    { VU_DEVICE_FEATURE, 1, "10000000 02000100 07000000 00000000",
      "DEVICE_FEATURE reply: argsz=16 feature=MIG_DEVICE_STATE op=GET "
      "device_state=PRE_COPY_P2P data_fd=0" },
    { VU_DEVICE_FEATURE, 0, "10000000 02000200 03000000 01000000",
      "DEVICE_FEATURE cmd: argsz=16 feature=MIG_DEVICE_STATE op=SET device_state=STOP_COPY "
      "data_fd=1" },
    { VU_DEVICE_FEATURE, 1, "10000000 02000200 08000000 00000000",
      "DEVICE_FEATURE reply: argsz=16 feature=MIG_DEVICE_STATE op=SET device_state=8 "
      "data_fd=0" },
    { VU_DEVICE_FEATURE, 0, "10000000 02000200 03000000",
      "DEVICE_FEATURE cmd: argsz=16 feature=MIG_DEVICE_STATE op=SET device_state=STOP_COPY "
      "short" },
    { VU_DEVICE_FEATURE, 0, "08000000 02000700",
      "DEVICE_FEATURE cmd: argsz=8 feature=MIG_DEVICE_STATE op=GET|SET|PROBE" },
    { VU_DEVICE_FEATURE, 0, "08000000 ff000800",
      "DEVICE_FEATURE cmd: argsz=8 feature=255 op=0x80000" },
    { VU_DEVICE_FEATURE, 0, "08000000 00000000",
      "DEVICE_FEATURE cmd: argsz=8 feature=0 op=0" },
    { VU_DEVICE_FEATURE, 0, "08000000 0000",
      "DEVICE_FEATURE cmd: argsz=8 +2 bytes short" },
    { VU_DEVICE_FEATURE, 0,
      "28000000 06000200 0010000000000000 02000000 00000000"
      "0000010000000000 0000020000000000 0000300000000000 0000040000000000",
      "DEVICE_FEATURE cmd: argsz=40 feature=DMA_LOGGING_START op=SET page_size=0x1000 "
      "num_ranges=2 ranges=[0x10000+0x20000 0x300000+0x40000]" },
    { VU_DEVICE_FEATURE, 0, "28000000 06000200 0010000000000000 00000000 00000000",
      "DEVICE_FEATURE cmd: argsz=40 feature=DMA_LOGGING_START op=SET page_size=0x1000 "
      "num_ranges=0" },
    { VU_DEVICE_FEATURE, 0, "28000000 06000200 0010000000000000 01000000 00000000",
      "DEVICE_FEATURE cmd: argsz=40 feature=DMA_LOGGING_START op=SET page_size=0x1000 "
      "num_ranges=1 ranges=[] short" },
    { VU_DEVICE_FEATURE, 0, "08000000 07000200",
      "DEVICE_FEATURE cmd: argsz=8 feature=DMA_LOGGING_STOP op=SET" },
    { VU_DEVICE_FEATURE, 0,
      "28000000 08000100 0000010000000000 0000020000000000 0010000000000000",
      "DEVICE_FEATURE cmd: argsz=40 feature=DMA_LOGGING_REPORT op=GET iova=0x10000 "
      "length=0x20000 page_size=0x1000" },
    { VU_DEVICE_FEATURE, 1,
      "28000000 08000100 0000010000000000 0000020000000000 0010000000000000"
      "0300000000000080",
      "DEVICE_FEATURE reply: argsz=40 feature=DMA_LOGGING_REPORT op=GET iova=0x10000 "
      "length=0x20000 page_size=0x1000 bitmap=0300000000000080" },
    { VU_MIG_DATA_READ, 0, "08100000 00100000",
      "MIG_DATA_READ cmd: argsz=4104 size=4096" },
    { VU_MIG_DATA_READ, 1, "0b000000 03000000 616263",
      "MIG_DATA_READ reply: argsz=11 size=3 data=616263" },
    { VU_MIG_DATA_WRITE, 0, "0b000000 03000000 616263",
      "MIG_DATA_WRITE cmd: argsz=11 size=3 data=616263" },
    { VU_MIG_DATA_WRITE, 1, "", "MIG_DATA_WRITE reply:" },
    { 14, 0, "0102", "COMMAND_14 cmd: +2 bytes" },
    { 65535, 1, "", "COMMAND_65535 reply:" },
    /* what the header says besides */
    { VU_REGION_READ, 0x21, "", "REGION_READ error: errno=0" },
    { VU_REGION_READ, 0x21, "010203", "REGION_READ error: errno=0 +3 bytes" },
    { VU_DEVICE_RESET, 0x10, "", "DEVICE_RESET cmd: header=NO_REPLY" },
    { VU_DEVICE_RESET, 0xffffff30, "",
      "DEVICE_RESET cmd: header=NO_REPLY|ERROR|0xffffff00" },
    { VU_DEVICE_RESET, 0x31, "", "DEVICE_RESET error: header=NO_REPLY errno=0" },
    { VU_DEVICE_RESET, 5, "01", "DEVICE_RESET type5: +1 bytes" },
    { VU_DMA_MAP, 2, "", "DMA_MAP type2:" },
};
/* clang-format on */

/* "NAME KIND:REST" as it comes: "NAME KIND id=7 size=N REST". */
static void expand(char *out, size_t len, const char *line, size_t size)
{
    const char *colon = strchr(line, ':');

    snprintf(out, len, "%.*s id=7 size=%zu%s", (int)(colon - line), line, size,
             colon + 1);
}

static void every_command_has_its_line(void **state)
{
    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    for (size_t i = 0; i < COUNT(lines); i++) {
        struct bytes b = bytes_of_hex(lines[i].hex);
        struct vu_header h = { 7, lines[i].command, (uint32_t)(16 + b.len),
                               lines[i].flags, 0 };
        uint8_t *body = exact_copy(b.data, b.len);
        char want[VU_TEXT_MAX], got[VU_TEXT_MAX];

        expand(want, sizeof(want), lines[i].line, 16 + b.len);
        assert_string_equal(vu_text(got, sizeof(got), &h, body, b.len, NULL, 0), want);
        free(body);
    }
}

static void every_command_is_among_the_lines_in_both_directions(void **state)
{
    (void)state;
    for (uint32_t command = 0; command < VU_COMMAND_MAX; command++) {
        for (uint32_t type = 0; type <= 1; type++) {
            size_t n = 0;

            for (size_t i = 0; i < COUNT(lines); i++)
                n += lines[i].command == command && lines[i].flags == type;
            if (vu_command_info((uint16_t)command) != NULL && n == 0)
                fail_msg("no line for command %u, type %u", command, type);
        }
    }
}

static void errors_have_name_and_number(void **state)
{
    struct vu_header h = { 7, VU_REGION_READ, 16, 0x21, 22 };
    char buf[VU_TEXT_MAX];

    (void)state;
    assert_string_equal(vu_text(buf, sizeof(buf), &h, NULL, 0, NULL, 0),
                        "REGION_READ error id=7 size=16 errno=22 (EINVAL)");
    h.error = 4711;
    assert_string_equal(vu_text(buf, sizeof(buf), &h, NULL, 0, NULL, 0),
                        "REGION_READ error id=7 size=16 errno=4711");
    h.error = 0xffffffea; /* a peer that forgot the sign */
    assert_string_equal(vu_text(buf, sizeof(buf), &h, NULL, 0, NULL, 0),
                        "REGION_READ error id=7 size=16 errno=4294967274");
    h.error = 5;
    h.flags = 0; /* not an error, but not clean either */
    h.command = VU_DEVICE_RESET;
    assert_string_equal(vu_text(buf, sizeof(buf), &h, NULL, 0, NULL, 0),
                        "DEVICE_RESET cmd id=7 size=16 errno=5 (EIO)");
}

static void a_size_that_is_not_the_body_s_shows(void **state)
{
    struct vu_header h = { 7, VU_DEVICE_RESET, 3, 0, 0 };
    char buf[VU_TEXT_MAX];

    (void)state;
    assert_string_equal(vu_text(buf, sizeof(buf), &h, NULL, 0, NULL, 0),
                        "DEVICE_RESET cmd id=7 size=3 body=0");
    h.size = 0xffffffff;
    assert_string_equal(vu_text(buf, sizeof(buf), &h, "x", 1, NULL, 0),
                        "DEVICE_RESET cmd id=7 size=4294967295 +1 bytes body=1");
}

static void errnos_have_names(void **state)
{
    char buf[32];

    (void)state;
    assert_string_equal(vu_errno_name(EINVAL, buf, sizeof(buf)), "EINVAL");
    assert_string_equal(vu_errno_name(-EINVAL, buf, sizeof(buf)), "EINVAL");
    assert_string_equal(vu_errno_name(0, buf, sizeof(buf)), "errno 0");
    assert_string_equal(vu_errno_name(4711, buf, sizeof(buf)), "errno 4711");
    assert_string_equal(vu_errno_name(-512, buf, sizeof(buf)), "errno -512");
    assert_string_equal(vu_errno_name(INT32_MIN, buf, sizeof(buf)), "errno -2147483648");
    assert_string_equal(vu_errno_name(EINVAL, buf, 4), "EIN");
}

/* ----------------------------------------------------------- long lists -- */

static void long_lists_are_abridged(void **state)
{
    uint8_t body[32 + 16 + 16 * 40 + 40 * 9];
    struct vu_writer w;
    struct vu_header h = { 1, VU_DEVICE_FEATURE, 0, 0, 0 };
    char buf[VU_TEXT_MAX];

    (void)state;
    memset(body, 0, sizeof(body));
    w = vu_writer(body, sizeof(body));
    vu_put_u32(&w, 0);
    vu_put_u32(&w, VU_FEATURE_SET | VU_FEATURE_DMA_LOGGING_START);
    vu_encode_dma_logging(&w, &(struct vu_dma_logging){ 1, 9, { NULL, 9 * 16 } });
    h.size = (uint32_t)(16 + w.len);
    vu_text(buf, sizeof(buf), &h, body, w.len, NULL, 0);
    assert_non_null(strstr(buf, "ranges=[0x0+0x0 0x0+0x0 0x0+0x0 0x0+0x0 0x0+0x0 0x0+0x0 "
                                "0x0+0x0 0x0+0x0 ...]"));
    assert_null(strstr(buf, "short"));
    assert_null(strstr(buf, "bytes"));

    h.command = VU_REGION_WRITE_MULTI;
    w = vu_writer(body, sizeof(body));
    vu_encode_write_multi(&w, &(struct vu_write_multi){ 9, { NULL, 9 * 24 } });
    h.size = (uint32_t)(16 + w.len);
    vu_text(buf, sizeof(buf), &h, body, w.len, NULL, 0);
    assert_non_null(strstr(buf, "0:0x0+0= 0:0x0+0= ...]"));
    assert_null(strstr(buf, "bytes"));

    h.command = VU_DEVICE_GET_REGION_IO_FDS;
    h.flags = 1;
    w = vu_writer(body, sizeof(body));
    vu_encode_region_io_fds(
        &w, &(struct vu_region_io_fds){
                .argsz = 16 + 9 * 40, .count = 9, .entries = { NULL, 9 * 40 } });
    h.size = (uint32_t)(16 + w.len);
    vu_text(buf, sizeof(buf), &h, body, w.len, NULL, 0);
    assert_non_null(strstr(buf, "datamatch=0x0) ...]"));
    assert_null(strstr(buf, "bytes"));
}

static void long_area_lists_are_abridged(void **state)
{
    static const struct vu_sparse_area areas[9];
    static const struct vu_sparse_fd_area fd_areas[9];
    uint8_t body[32 + VU_SPARSE_CAP_SIZE(9) + VU_SPARSE_FDS_CAP_SIZE(9)];
    struct vu_writer w = vu_writer(body, sizeof(body));
    struct vu_header h = { 1, VU_DEVICE_GET_REGION_INFO, 16 + sizeof(body), 1, 0 };
    char buf[VU_TEXT_MAX];

    (void)state;
    vu_encode_region_info(
        &w, &(struct vu_region_info){ .flags = VU_REGION_CAPS, .cap_offset = 32 });
    vu_encode_sparse_cap(&w, areas, 9, 32 + VU_SPARSE_CAP_SIZE(9));
    vu_encode_sparse_fds_cap(&w, fd_areas, 9, 0);
    vu_text(buf, sizeof(buf), &h, body, w.len, NULL, 0);
    assert_non_null(strstr(buf,
                           "SPARSE_MMAP(0x0+0x0,0x0+0x0,0x0+0x0,0x0+0x0,0x0+0x0,0x0+0x0,"
                           "0x0+0x0,0x0+0x0,...) SPARSE_MMAP_FDS(0x0+0x0@fd0:0x0,"));
    assert_non_null(strstr(buf, "@fd0:0x0,...)]"));
    assert_null(strstr(buf, "bytes"));
}

static void long_json_leaves_room_for_the_rest(void **state)
{
    char body[4 + 2000];
    struct vu_header h = { 1, VU_VERSION, 16 + sizeof(body), 0, 0 };
    int fd = -1;
    char buf[VU_TEXT_MAX];

    (void)state;
    memset(body, 'x', sizeof(body));
    vu_text(buf, sizeof(buf), &h, body, sizeof(body), &fd, 1);
    assert_non_null(strstr(buf, "xxx... (no NUL) fds=[taken]"));
}

/* -------------------------------------------------- any bytes, any room -- */

/* What every line is: ended by a NUL within len, and of printing characters. */
static void assert_is_a_line(const char *buf, size_t len)
{
    size_t n = strnlen(buf, len);

    assert_in_range(n, 0, len - 1);
    for (size_t i = 0; i < n; i++)
        assert_in_range(buf[i], 0x20, 0x7e);
}

/* The line of a message in room for exactly len bytes, which the caller frees. */
static char *line_in(size_t len, const struct vu_header *h, const void *body,
                     size_t body_len)
{
    char *buf = malloc(len);

    assert_non_null(buf);
    assert_ptr_equal(vu_text(buf, len, h, body, body_len, NULL, 0), buf);
    if (len != 0)
        assert_is_a_line(buf, len);
    return buf;
}

static void every_truncation_gives_a_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(lines); i++) {
        struct bytes b = bytes_of_hex(lines[i].hex);

        for (size_t len = 0; len <= b.len; len++) {
            struct vu_header h = { 7, lines[i].command, (uint32_t)(16 + b.len),
                                   lines[i].flags, 0 };
            uint8_t *cut = exact_copy(b.data, len);

            free(line_in(VU_TEXT_MAX, &h, cut, len));
            free(cut);
        }
    }
}

/* Bodies cut inside the fixed part must say that they are short; this guards
 * against formatters that show zeros for fields that did not come. */
static void every_cut_fixed_part_is_called_short(void **state)
{
    (void)state;
    for (uint32_t command = 0; command < VU_COMMAND_MAX; command++) {
        const struct vu_command_info *info = vu_command_info((uint16_t)command);
        const uint8_t zeros[64] = { 0 };

        for (uint32_t type = 0; info != NULL && type <= 1; type++) {
            size_t min = type == 0 ? info->request_min : info->reply_min;

            for (size_t len = 0; len <= min; len++) {
                struct vu_header h = { 7, (uint16_t)command, (uint32_t)(16 + len), type,
                                       0 };
                char *buf = line_in(VU_TEXT_MAX, &h, zeros, len);

                if ((strstr(buf, " short") != NULL) != (len < min))
                    fail_msg("%zu bytes: %s", len, buf);
                free(buf);
            }
        }
    }
}

static void every_room_gives_the_start_of_the_line(void **state)
{
    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    for (size_t i = 0; i < COUNT(lines); i++) {
        struct bytes b = bytes_of_hex(lines[i].hex);
        struct vu_header h = { 7, lines[i].command, (uint32_t)(16 + b.len),
                               lines[i].flags, 0 };
        char *whole = line_in(VU_TEXT_MAX, &h, b.data, b.len);
        size_t n = strlen(whole);

        for (size_t room = 0; room <= n + 1; room++) {
            char *buf = line_in(room, &h, b.data, b.len);

            if (room == n + 1) {
                assert_string_equal(buf, whole);
            } else if (room > 4) {
                assert_int_equal(strlen(buf), room - 1);
                assert_memory_equal(buf, whole, room - 4);
                assert_string_equal(buf + room - 4, "...");
            }
            free(buf);
        }
        free(whole);
    }
}

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005 + 1442695040888963407;
    return (uint32_t)(*seed >> 32);
}

static void random_bytes_give_a_line(void **state)
{
    static const uint8_t often[] = { 0, 0, 0, 0, 1, 2, 8, 16, 32, 40, 0xff };
    uint64_t seed = 42;

    (void)state;
    for (int round = 0; round < 100000; round++) {
        size_t len = next_random(&seed) % 160;
        uint8_t *body = malloc(len);
        struct vu_header h = {
            .msg_id = (uint16_t)next_random(&seed),
            .command = (uint16_t)(next_random(&seed) % 22),
            .size = next_random(&seed),
            .flags = next_random(&seed) % 3,
            .error = next_random(&seed) % 200,
        };

        for (size_t i = 0; i < len; i++) {
            uint32_t v = next_random(&seed);

            body[i] = v % 8 == 0 ? (uint8_t)(v >> 8) : often[(v >> 8) % sizeof(often)];
        }
        free(line_in(1 + next_random(&seed) % VU_TEXT_MAX, &h, body, len));
        free(body);
    }
}

/* ---------------------------------------------------------- descriptors -- */

static void assert_fd_text(int fd, const char *want)
{
    char buf[64];

    assert_string_equal(vu_fd_text(buf, sizeof(buf), fd), want);
    close(fd);
}

static void descriptors_have_kind_and_size(void **state)
{
    char path[] = "/tmp/vu-text-XXXXXX";
    int memfd = memfd_create("a\nname", MFD_CLOEXEC);
    int file = mkstemp(path);
    int pair[2], pipes[2];

    (void)state;
    unlink(path);
    assert_int_equal(ftruncate(memfd, 8192), 0);
    assert_int_equal(write(file, "12345", 5), 5);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(pipe(pipes), 0);
    assert_fd_text(memfd, "memfd:8192");
    assert_fd_text(file, "file:5");
    assert_fd_text(pair[0], "socket");
    assert_fd_text(pair[1], "socket");
    assert_fd_text(pipes[0], "pipe");
    assert_fd_text(pipes[1], "pipe");
    assert_fd_text(eventfd(0, EFD_CLOEXEC), "eventfd");
    assert_fd_text(epoll_create1(EPOLL_CLOEXEC), "eventpoll");
    assert_fd_text(open("/dev/null", O_RDONLY | O_CLOEXEC), "chardev");
    assert_fd_text(open("/", O_RDONLY | O_CLOEXEC), "directory");
}

static void what_is_no_descriptor_is_called_bad(void **state)
{
    int fd = eventfd(0, EFD_CLOEXEC);
    char buf[8];

    (void)state;
    close(fd);
    assert_string_equal(vu_fd_text(buf, sizeof(buf), fd), "bad");
    assert_string_equal(vu_fd_text(buf, sizeof(buf), -1), "bad");
    assert_string_equal(vu_fd_text(buf, sizeof(buf), -100), "bad");
}

static void the_line_describes_its_descriptors(void **state)
{
    int memfd = memfd_create("memory", MFD_CLOEXEC);
    int event = eventfd(0, EFD_CLOEXEC);
    int fds[] = { memfd, -1, event, event, event, -1, -1, memfd };
    struct vu_header h = { 7, VU_DEVICE_RESET, 16, 0, 0 };
    char buf[VU_TEXT_MAX];

    (void)state;
    assert_int_equal(ftruncate(memfd, 4096), 0);
    vu_text(buf, sizeof(buf), &h, NULL, 0, fds, COUNT(fds));
    assert_string_equal(buf, "DEVICE_RESET cmd id=7 size=16 "
                             "fds=[memfd:4096 taken eventfd*3 taken*2 memfd:4096]");
    vu_text(buf, sizeof(buf), &h, NULL, 0, fds, 0);
    assert_string_equal(buf, "DEVICE_RESET cmd id=7 size=16");
    vu_text(buf, sizeof(buf), &h, NULL, 0, NULL, 2);
    assert_string_equal(buf, "DEVICE_RESET cmd id=7 size=16");
    close(memfd);
    close(event);
}

static void taken_and_bad_descriptors_are_told_apart(void **state)
{
    const int fds[] = { -1, -2, -1 };
    struct vu_header h = { 7, VU_DEVICE_RESET, 16, 0, 0 };
    char buf[VU_TEXT_MAX];

    (void)state;
    vu_text(buf, sizeof(buf), &h, NULL, 0, fds, COUNT(fds));
    assert_string_equal(buf, "DEVICE_RESET cmd id=7 size=16 fds=[taken bad taken]");
}

static void the_253_descriptors_of_a_message_fit(void **state)
{
    struct vu_header h = { 7, VU_DEVICE_RESET, 16, 0, 0 };
    int event = eventfd(0, EFD_CLOEXEC);
    int fds[VU_MAX_MSG_FDS];
    char buf[VU_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT(fds); i++)
        fds[i] = event;
    vu_text(buf, sizeof(buf), &h, NULL, 0, fds, COUNT(fds));
    assert_string_equal(buf, "DEVICE_RESET cmd id=7 size=16 fds=[eventfd*253]");
    for (size_t i = 0; i < COUNT(fds); i += 2)
        fds[i] = -1;
    vu_text(buf, sizeof(buf), &h, NULL, 0, fds, COUNT(fds));
    assert_string_equal(buf,
                        "DEVICE_RESET cmd id=7 size=16 fds=[taken eventfd taken eventfd "
                        "taken eventfd taken eventfd +245]");
    close(event);
}

static void a_received_message_says_what_was_lost(void **state)
{
    struct vu_message m = { .h = { 7, VU_DEVICE_RESET, 17, 0, 0 },
                            .body = (const uint8_t *)"x",
                            .body_len = 1,
                            .n_fds = 1,
                            .fds_lost = true };
    char buf[VU_TEXT_MAX];

    (void)state;
    m.fds[0] = -1;
    assert_string_equal(vu_message_text(buf, sizeof(buf), &m),
                        "DEVICE_RESET cmd id=7 size=17 +1 bytes fds=[taken] fds-lost");
    m.fds_lost = false;
    m.n_fds = 0;
    assert_string_equal(vu_message_text(buf, sizeof(buf), &m),
                        "DEVICE_RESET cmd id=7 size=17 +1 bytes");
    assert_string_equal(vu_message_text(buf, 8, &m), "DEVI...");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_command_has_its_line),
    cmocka_unit_test(every_command_is_among_the_lines_in_both_directions),
    cmocka_unit_test(errors_have_name_and_number),
    cmocka_unit_test(a_size_that_is_not_the_body_s_shows),
    cmocka_unit_test(errnos_have_names),
    cmocka_unit_test(long_lists_are_abridged),
    cmocka_unit_test(long_area_lists_are_abridged),
    cmocka_unit_test(long_json_leaves_room_for_the_rest),
    cmocka_unit_test(every_truncation_gives_a_line),
    cmocka_unit_test(every_cut_fixed_part_is_called_short),
    cmocka_unit_test(every_room_gives_the_start_of_the_line),
    cmocka_unit_test(random_bytes_give_a_line),
    VU_FD_TEST(descriptors_have_kind_and_size),
    VU_FD_TEST(what_is_no_descriptor_is_called_bad),
    VU_FD_TEST(the_line_describes_its_descriptors),
    cmocka_unit_test(taken_and_bad_descriptors_are_told_apart),
    VU_FD_TEST(the_253_descriptors_of_a_message_fit),
    cmocka_unit_test(a_received_message_says_what_was_lost),
};

VU_TEST_MAIN(tests)
