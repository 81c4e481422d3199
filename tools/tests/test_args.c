/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers, times, names, sizes and hexdumps, as users write and read them.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tools/frame.h"
#include "wire/tests/support.h"

/* Nothing that is called here needs the table of commands. */
const struct tool_command *const tool_commands[] = { NULL };

/* What was written to a stream's descriptor since capture_begin(). */
struct capture {
    FILE *stream;
    int fd, saved;
};

static void capture_begin(struct capture *c, FILE *stream)
{
    c->stream = stream;
    fflush(stream);
    c->fd = memfd_create("captured", MFD_CLOEXEC);
    c->saved = dup(fileno(stream));
    assert_int_not_equal(c->fd, -1);
    assert_int_not_equal(c->saved, -1);
    assert_int_not_equal(dup2(c->fd, fileno(stream)), -1);
}

static void capture_end(struct capture *c, char *buf, size_t len)
{
    ssize_t n;

    fflush(c->stream);
    assert_int_not_equal(dup2(c->saved, fileno(c->stream)), -1);
    close(c->saved);
    n = pread(c->fd, buf, len - 1, 0);
    close(c->fd);
    assert_true(n >= 0);
    buf[n] = '\0';
}

/* ---------------------------------------------------------------- numbers -- */

static void numbers_in_all_forms_are_understood(void **state)
{
    static const struct {
        const char *text;
        uint64_t value;
    } numbers[] = {
        { "0", 0 },
        { "4096", 4096 },
        { "0x1000", 4096 },
        { "0XfF", 255 },
        { "010", 10 },
        { "4K", 4096 },
        { "4k", 4096 },
        { "0x10K", 16384 },
        { "2M", 2 << 20 },
        { "1G", 1 << 30 },
        { "3T", UINT64_C(3) << 40 },
        { "18446744073709551615", UINT64_MAX },
        { "0xffffffffffffffff", UINT64_MAX },
        { "16777215T", UINT64_C(16777215) << 40 },
        { "0x0000000000000000000001", 1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        uint64_t value = 4711;

        assert_int_equal(tool_number(numbers[i].text, "N", UINT64_MAX, &value), 0);
        assert_int_equal(value, numbers[i].value);
    }
}

static void what_is_no_number_is_refused_with_its_name(void **state)
{
    static const char *const texts[] = {
        "",    " 1",  "1 ",   "-1", "+1",  "0x",  "x10",
        "1.5", "4KK", "4KiB", "K",  "1e3", "0xg", "12a"
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct capture c;
        uint64_t value = 4711;
        char said[512];
        int err;

        capture_begin(&c, stderr);
        err = tool_number(texts[i], "OFFSET", UINT64_MAX, &value);
        capture_end(&c, said, sizeof(said));
        assert_int_equal(err, -EINVAL);
        assert_int_equal(value, 4711);
        assert_non_null(strstr(said, "vfu: OFFSET: '"));
        assert_non_null(strstr(said, texts[i]));
    }
}

static void numbers_beyond_their_limit_are_refused(void **state)
{
    static const struct {
        const char *text;
        uint64_t max;
    } numbers[] = {
        { "18446744073709551616", UINT64_MAX },
        { "0x10000000000000000", UINT64_MAX },
        { "99999999999999999999999999", UINT64_MAX },
        { "16777216T", UINT64_MAX },
        { "256", 255 },
        { "1K", 1023 },
        { "1", 0 },
    };
    struct capture c;
    char said[2048];

    (void)state;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        uint64_t value = 4711;
        int err;

        capture_begin(&c, stderr);
        err = tool_number(numbers[i].text, "N", numbers[i].max, &value);
        capture_end(&c, said, sizeof(said));
        assert_int_equal(err, -ERANGE);
        assert_int_equal(value, 4711);
        assert_non_null(strstr(said, "too large"));
    }
}

static void seconds_have_decimals_and_an_end(void **state)
{
    static const struct {
        const char *text;
        int err, ms;
    } times[] = {
        { "5", 0, 5000 },        { "0", 0, 0 },          { "0.5", 0, 500 },
        { "1.25", 0, 1250 },     { "0.001", 0, 1 },      { "0.0001", 0, 1 },
        { "2.0000", 0, 2000 },   { "0.9999", 0, 1000 },  { "never", 0, -1 },
        { "2147482", 0, 2147482000 },
        { "2147483", -ERANGE, 7 }, { "99999999999999999999", -ERANGE, 7 },
        { "", -EINVAL, 7 },      { ".5", -EINVAL, 7 },   { "5.", -EINVAL, 7 },
        { "-1", -EINVAL, 7 },    { "1e3", -EINVAL, 7 },  { "inf", -EINVAL, 7 },
        { "1.2.3", -EINVAL, 7 }, { "5s", -EINVAL, 7 },
    };
    struct capture c;
    char said[512];

    (void)state;
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        int ms = 7, err;

        capture_begin(&c, stderr);
        err = tool_seconds(times[i].text, "--interval", &ms);
        capture_end(&c, said, sizeof(said));
        assert_int_equal(err, times[i].err);
        assert_int_equal(ms, times[i].ms);
        assert_int_equal(said[0] != '\0', err != 0);
    }
}

/* ------------------------------------------------------------------ names -- */

static void names_and_indices_are_the_same(void **state)
{
    uint32_t index;
    char buf[32];

    (void)state;
    assert_int_equal(tool_region("bar0", &index), 0);
    assert_int_equal(index, VFUC_PCI_BAR0);
    assert_int_equal(tool_region("CONFIG", &index), 0);
    assert_int_equal(index, VFUC_PCI_CONFIG);
    assert_int_equal(tool_region("4294967295", &index), 0);
    assert_int_equal(index, UINT32_MAX);
    assert_int_equal(tool_irq("msix", &index), 0);
    assert_int_equal(index, VFUC_PCI_MSIX);
    assert_int_equal(tool_irq("0x4", &index), 0);
    assert_int_equal(index, VFUC_PCI_REQ);
    assert_string_equal(tool_region_name(VFUC_PCI_VGA, buf, sizeof(buf)), "vga");
    assert_string_equal(tool_region_name(9, buf, sizeof(buf)), "region 9");
    assert_string_equal(tool_irq_name(VFUC_PCI_ERR, buf, sizeof(buf)), "err");
    assert_string_equal(tool_irq_name(7, buf, sizeof(buf)), "irq 7");
}

static void names_of_nothing_are_refused(void **state)
{
    static const char *const texts[] = { "bar6", "", "msi", "-1", "4294967296", "bar" };
    struct capture c;
    char said[2048];

    (void)state;
    capture_begin(&c, stderr);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        uint32_t index = 4711;

        assert_true(tool_region(texts[i], &index) < 0);
        assert_int_equal(index, 4711);
    }
    capture_end(&c, said, sizeof(said));
    assert_non_null(strstr(said, "'bar6' is no region (bar0 to vga, or an index)"));
}

/* ------------------------------------------------------------------ sizes -- */

static void sizes_are_short_and_round(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } sizes[] = {
        { 0, "0 B" },
        { 1023, "1023 B" },
        { 1024, "1 KiB" },
        { 4096, "4 KiB" },
        { 1536, "1.5 KiB" },
        { 1024 + 51, "1 KiB" },
        { 1024 + 52, "1.1 KiB" },
        { 2047, "2 KiB" },
        { 1048575, "1 MiB" },
        { UINT64_C(64) << 20, "64 MiB" },
        { UINT64_C(5) << 39, "2.5 TiB" },
        { UINT64_C(1) << 63, "8 EiB" },
        { UINT64_MAX, "16 EiB" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char buf[32];

        assert_string_equal(tool_size_text(sizes[i].bytes, buf, sizeof(buf)),
                            sizes[i].text);
    }
}

/* --------------------------------------------------------------- hexdumps -- */

static void expect_dump(const void *data, size_t len, uint64_t base, const char *text)
{
    struct capture c;
    char got[4096];

    capture_begin(&c, stdout);
    tool_hexdump(data, len, base);
    capture_end(&c, got, sizeof(got));
    assert_string_equal(got, text);
}

static void hexdumps_show_bytes_and_what_they_spell(void **state)
{
    (void)state;
    expect_dump("", 0, 0, "");
    expect_dump("\x01", 1, 0x10,
                "0010: 01                                                .\n");
    expect_dump("0123456789abcdef\x7f\xffz", 19, 0x12345,
                "12345: 30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  "
                "0123456789abcdef\n"
                "12355: 7f ff 7a                                          ..z\n");
}

static void hexdumps_fold_what_repeats_but_not_the_end(void **state)
{
    static const char zeros[] =
        "00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  ................\n";
    uint8_t bytes[80] = { 0 };
    char text[512];

    (void)state;
    snprintf(text, sizeof(text), "0000: %s0010: %s", zeros, zeros);
    expect_dump(bytes, 32, 0, text);
    snprintf(text, sizeof(text), "0000: %s*\n0040: %s", zeros, zeros);
    expect_dump(bytes, 80, 0, text);
    bytes[33] = 1;
    snprintf(text, sizeof(text),
             "ffffffffffffffb0: %s*\nffffffffffffffd0: 00 01 00 00 00 00 00 00  00 00 00 "
             "00 00 00 00 00  ................\nffffffffffffffe0: %sfffffffffffffff0: %s",
             zeros, zeros, zeros);
    expect_dump(bytes, 80, UINT64_C(0xffffffffffffffb0), text);
}

/* Anything that came from a server may end up in a sentence. */
static void sentences_hold_no_control_characters(void **state)
{
    struct tool_call call = { 0 };
    struct capture c;
    char said[512];
    int status;

    (void)state;
    capture_begin(&c, stderr);
    status = tool_fail(&call, TOOL_REFUSED, "%s", "a\033[2Jb\nc\x7f");
    capture_end(&c, said, sizeof(said));
    assert_int_equal(status, TOOL_REFUSED);
    assert_string_equal(said, "vfu: a?[2Jb?c?\n");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(numbers_in_all_forms_are_understood),
    cmocka_unit_test(what_is_no_number_is_refused_with_its_name),
    cmocka_unit_test(numbers_beyond_their_limit_are_refused),
    cmocka_unit_test(seconds_have_decimals_and_an_end),
    cmocka_unit_test(names_and_indices_are_the_same),
    cmocka_unit_test(names_of_nothing_are_refused),
    cmocka_unit_test(sizes_are_short_and_round),
    cmocka_unit_test(hexdumps_show_bytes_and_what_they_spell),
    cmocka_unit_test(hexdumps_fold_what_repeats_but_not_the_end),
    cmocka_unit_test(sentences_hold_no_control_characters),
};

VU_TEST_MAIN(tests)
