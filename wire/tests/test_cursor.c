/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of wire/cursor.h: what fits is moved, what does not fit stops everything. */
#include "wire/cursor.h"
#include "wire/tests/bytes.h"

static void reader_gives_values_in_host_order(void **state)
{
    uint8_t bytes[15] = { 0 };
    uint16_t v16 = 0x1122;
    uint32_t v32 = 0x33445566;
    uint64_t v64 = 0x778899aabbccddee;
    struct vu_reader r = vu_reader(bytes, sizeof(bytes));

    (void)state;
    bytes[0] = 0xff; /* everything behind it is unaligned */
    memcpy(bytes + 1, &v16, 2);
    memcpy(bytes + 3, &v32, 4);
    memcpy(bytes + 7, &v64, 8);
    assert_int_equal(vu_get_u8(&r), 0xff);
    assert_int_equal(vu_get_u16(&r), v16);
    assert_int_equal(vu_get_u32(&r), v32);
    assert_true(vu_get_u64(&r) == v64);
    assert_int_equal(vu_reader_ok(&r), 0);
    assert_int_equal(vu_reader_exact(&r), 0);
}

/* Widths 1, 2, 4, 8 by number; what is read comes back widened. */
static uint64_t get(struct vu_reader *r, size_t width)
{
    switch (width) {
    case 1:
        return vu_get_u8(r);
    case 2:
        return vu_get_u16(r);
    case 4:
        return vu_get_u32(r);
    default:
        return vu_get_u64(r);
    }
}

static void put(struct vu_writer *w, size_t width, uint64_t v)
{
    switch (width) {
    case 1:
        vu_put_u8(w, (uint8_t)v);
        break;
    case 2:
        vu_put_u16(w, (uint16_t)v);
        break;
    case 4:
        vu_put_u32(w, (uint32_t)v);
        break;
    default:
        vu_put_u64(w, v);
    }
}

static void reader_stops_at_the_first_value_that_does_not_fit(void **state)
{
    const uint8_t ones[8] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

    (void)state;
    for (size_t width = 1; width <= 8; width *= 2) {
        for (size_t len = 0; len < width; len++) {
            uint8_t *cut = exact_copy(ones, len);
            struct vu_reader r = vu_reader(cut, len);

            assert_true(get(&r, width) == 0);
            assert_int_equal(vu_reader_ok(&r), -EBADMSG);
            assert_int_equal(vu_reader_exact(&r), -EBADMSG);
            assert_int_equal(vu_get_u8(&r), 0); /* would fit, comes too late */
            assert_null(vu_get_bytes(&r, 0));
            assert_int_equal(vu_get_span(&r, 0).len, 0);
            assert_int_equal(vu_get_rest(&r).len, 0);
            assert_int_equal(r.left, len);
            free(cut);
        }
    }
}

static void exact_refuses_what_is_left_over(void **state)
{
    const uint8_t bytes[3] = { 1, 2, 3 };
    struct vu_reader r = vu_reader(bytes, sizeof(bytes));

    (void)state;
    assert_int_equal(vu_get_u16(&r), vu_get_u16(&(struct vu_reader){ bytes, 2, 0 }));
    assert_int_equal(vu_reader_ok(&r), 0);
    assert_int_equal(vu_reader_exact(&r), -EBADMSG);
    assert_int_equal(vu_get_u8(&r), 3);
    assert_int_equal(vu_reader_exact(&r), 0);
}

static void spans_lie_in_the_message(void **state)
{
    const uint8_t bytes[6] = { 0, 1, 2, 3, 4, 5 };
    struct vu_reader r = vu_reader(bytes, sizeof(bytes));
    struct vu_bytes span;

    (void)state;
    span = vu_get_span(&r, 2);
    assert_ptr_equal(span.data, bytes);
    assert_int_equal(span.len, 2);
    assert_ptr_equal(vu_get_bytes(&r, 1), bytes + 2);
    span = vu_get_rest(&r);
    assert_ptr_equal(span.data, bytes + 3);
    assert_int_equal(span.len, 3);
    assert_int_equal(vu_reader_exact(&r), 0);
}

static void lengths_of_any_size_are_compared_without_wrapping(void **state)
{
    const uint64_t lens[] = {
        5, 0x100000000, 0x100000004, (uint64_t)SIZE_MAX - 3, UINT64_MAX - 3, UINT64_MAX
    };
    const uint8_t bytes[4] = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        struct vu_reader r = vu_reader(bytes, sizeof(bytes));
        struct vu_reader s = vu_reader(bytes, sizeof(bytes));

        assert_int_equal(vu_get_span(&r, lens[i]).len, 0);
        assert_int_equal(vu_reader_ok(&r), -EBADMSG);
        assert_null(vu_get_bytes(&s, (size_t)(lens[i] > SIZE_MAX ? SIZE_MAX : lens[i])));
        assert_int_equal(vu_reader_ok(&s), -EBADMSG);
    }
}

static void no_bytes_at_all_is_a_message_too(void **state)
{
    struct vu_reader r = vu_reader(NULL, 0);
    struct vu_writer w = vu_writer(NULL, 0);

    (void)state;
    vu_take(&r, NULL, 0);
    assert_int_equal(vu_get_span(&r, 0).len, 0);
    assert_int_equal(vu_get_rest(&r).len, 0);
    assert_int_equal(vu_reader_exact(&r), 0);
    vu_put_bytes(&w, NULL, 0);
    vu_put_span(&w, (struct vu_bytes){ NULL, 0 });
    assert_int_equal(vu_writer_ok(&w), 0);
    assert_int_equal(w.len, 0);
}

static void what_was_written_is_read(void **state)
{
    const uint64_t v = 0xfedcba9876543210;

    (void)state;
    for (size_t width = 1; width <= 8; width *= 2) {
        uint64_t want = width == 8 ? v : v & ((1ull << 8 * width) - 1);
        uint8_t *buf = malloc(width + 1); /* unaligned from buf + 1 on */
        struct vu_writer w = vu_writer(buf + 1, width);
        struct vu_reader r = vu_reader(buf + 1, width);

        put(&w, width, v);
        assert_int_equal(vu_writer_ok(&w), 0);
        assert_int_equal(w.len, width);
        assert_int_equal(w.left, 0);
        assert_true(get(&r, width) == want);
        free(buf);
    }
}

static void writer_stops_at_the_first_value_that_does_not_fit(void **state)
{
    (void)state;
    for (size_t width = 1; width <= 8; width *= 2) {
        for (size_t room = 0; room < width; room++) {
            uint8_t *buf = exact_copy("\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5", room);
            struct vu_writer w = vu_writer(buf, room);

            put(&w, width, 0);
            assert_int_equal(vu_writer_ok(&w), -ENOBUFS);
            vu_put_u8(&w, 0); /* would fit, comes too late */
            assert_null(vu_put_room(&w, 0));
            assert_int_equal(w.len, 0);
            for (size_t i = 0; i < room; i++)
                assert_int_equal(buf[i], 0xa5);
            free(buf);
        }
    }
}

static void spans_are_copied_or_zeroed(void **state)
{
    const uint8_t bytes[3] = { 1, 2, 3 };
    uint8_t out[8];
    struct vu_writer w = vu_writer(out, sizeof(out));

    (void)state;
    memset(out, 0xa5, sizeof(out));
    vu_put_span(&w, (struct vu_bytes){ bytes, 3 });
    vu_put_span(&w, (struct vu_bytes){ NULL, 2 });
    vu_put_span(&w, (struct vu_bytes){ bytes, 0 });
    assert_int_equal(w.len, 5);
    assert_memory_equal(out, "\1\2\3\0\0\xa5\xa5\xa5", 8);
    vu_put_span(&w, (struct vu_bytes){ NULL, 4 });
    assert_int_equal(vu_writer_ok(&w), -ENOBUFS);
    assert_int_equal(w.len, 5);
    assert_memory_equal(out + 5, "\xa5\xa5\xa5", 3);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(reader_gives_values_in_host_order),
    cmocka_unit_test(reader_stops_at_the_first_value_that_does_not_fit),
    cmocka_unit_test(exact_refuses_what_is_left_over),
    cmocka_unit_test(spans_lie_in_the_message),
    cmocka_unit_test(lengths_of_any_size_are_compared_without_wrapping),
    cmocka_unit_test(no_bytes_at_all_is_a_message_too),
    cmocka_unit_test(what_was_written_is_read),
    cmocka_unit_test(writer_stops_at_the_first_value_that_does_not_fit),
    cmocka_unit_test(spans_are_copied_or_zeroed),
};

VU_TEST_MAIN(tests)
