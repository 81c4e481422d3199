/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files of saved states: what is written is read, whatever the pieces; what is damaged is
 * refused, wherever the damage is.
 */
#include "tools/state.h"
#include "wire/tests/bytes.h"

static const struct tool_state_identity identity = {
    .vendor = 0x1234, .device = 0x5646, .subvendor = 0xabcd, .subsystem = 0x0042,
    .class_revision = 0xff000001,
};

/* A file with two chunks, "hello " and "world". */
static struct bytes file(void)
{
    struct bytes b = { .len = 0 };

    tool_state_header(b.data, &identity);
    b.len = TOOL_STATE_HEADER_SIZE;
    tool_state_chunk(b.data + b.len, 6);
    memcpy(b.data + b.len + 4, "hello ", 6);
    b.len += 10;
    tool_state_chunk(b.data + b.len, 5);
    memcpy(b.data + b.len + 4, "world", 5);
    b.len += 9;
    tool_state_end(b.data + b.len, tool_crc32(0, "hello world", 11), 11);
    b.len += TOOL_STATE_END_SIZE;
    return b;
}

struct outcome {
    bool identity, complete;
    char data[64];
    size_t len;
    const char *why;            /* NULL: no complaint */
    struct tool_state_reader r;
};

/* Read it in pieces of `step` bytes, each in a block of its own. */
static struct outcome read_in_steps(const struct bytes *b, size_t step)
{
    struct outcome o = { .why = NULL };

    tool_state_reader_init(&o.r);
    for (size_t at = 0; at < b->len && o.why == NULL; at += step) {
        size_t n = b->len - at < step ? b->len - at : step;
        uint8_t *piece = exact_copy(b->data + at, n);

        for (size_t done = 0, used = 0; done < n && o.why == NULL; done += used) {
            const uint8_t *data;
            size_t len;
            int part = tool_state_next(&o.r, piece + done, n - done, &used, &data, &len,
                                       &o.why);

            if (part == TOOL_STATE_DATA) {
                assert_true(o.len + len <= sizeof(o.data));
                memcpy(o.data + o.len, data, len);
                o.len += len;
            }
            o.identity |= part == TOOL_STATE_IDENTITY;
            o.complete = part == TOOL_STATE_COMPLETE;
            assert_true(part < 0 || used > 0);
            assert_int_equal(part < 0, o.why != NULL);
        }
        free(piece);
    }
    return o;
}

static void layout_is_that_of_the_manual(void **state)
{
    struct bytes want = bytes_of_hex(
        "5646555354415445 01000000 20000000 3412 4656 cdab 4200 010000ff 00000000"
        "06000000 68656c6c6f20 05000000 776f726c64"
        "00000000 85114a0d 0b00000000000000");
    struct bytes got = file();

    (void)state;
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.data, want.data, want.len);
}

static void checksum_is_that_of_the_standard(void **state)
{
    (void)state;
    assert_int_equal(tool_crc32(0, "123456789", 9), 0xcbf43926);
    assert_int_equal(tool_crc32(tool_crc32(0, "12345", 5), "6789", 4), 0xcbf43926);
    assert_int_equal(tool_crc32(0, "", 0), 0);
}

static void pieces_of_any_size_give_the_same(void **state)
{
    struct bytes b = file();

    (void)state;
    for (size_t step = 1; step <= b.len; step++) {
        struct outcome o = read_in_steps(&b, step);

        assert_null(o.why);
        assert_true(o.identity && o.complete);
        assert_int_equal(o.len, 11);
        assert_memory_equal(o.data, "hello world", 11);
        assert_memory_equal(&o.r.identity, &identity, sizeof(identity));
    }
}

static void shorter_files_are_never_complete(void **state)
{
    struct bytes b = file();

    (void)state;
    for (b.len--; b.len > 0; b.len--) {
        struct outcome o = read_in_steps(&b, b.len);

        assert_null(o.why);
        assert_false(o.complete);
    }
}

static void longer_files_are_refused(void **state)
{
    struct bytes b = file();

    (void)state;
    b.data[b.len++] = 0;
    assert_string_equal(read_in_steps(&b, b.len).why, "something follows its end");
}

/* No byte may be another one, but those of the identity, which is compared elsewhere. */
static void any_other_byte_is_noticed(void **state)
{
    (void)state;
    for (size_t i = 0; i < file().len; i++) {
        struct bytes b = file();
        struct outcome o;

        b.data[i] ^= 0x40;
        o = read_in_steps(&b, b.len);
        if (i >= 16 && i < 28)
            assert_true(o.complete);
        else
            assert_false(o.complete);
    }
}

static void refusals_name_what_is_wrong(void **state)
{
    struct bytes b = file();

    (void)state;
    b.data[0] = 'X';
    assert_string_equal(read_in_steps(&b, 7).why, "it is no saved state of a device");
    b = file();
    b.data[8] = 2;
    assert_string_equal(read_in_steps(&b, 7).why,
                        "it is of a version that this program does not know");
    b = file();
    b.data[35] = 0x7f;      /* a chunk of nearly 2 GiB */
    assert_string_equal(read_in_steps(&b, 7).why,
                        "it is damaged: a chunk is longer than any can be");
    b = file();
    b.data[36] = 'j';
    assert_string_equal(read_in_steps(&b, 7).why,
                        "its data are damaged: the checksum differs");
    b = file();
    b.data[b.len - 8] = 12;
    assert_string_equal(read_in_steps(&b, 7).why,
                        "data are missing: its end tells of another number of bytes");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(layout_is_that_of_the_manual),
    cmocka_unit_test(checksum_is_that_of_the_standard),
    cmocka_unit_test(pieces_of_any_size_give_the_same),
    cmocka_unit_test(shorter_files_are_never_complete),
    cmocka_unit_test(longer_files_are_refused),
    cmocka_unit_test(any_other_byte_is_noticed),
    cmocka_unit_test(refusals_name_what_is_wrong),
};

VU_TEST_MAIN(tests)
