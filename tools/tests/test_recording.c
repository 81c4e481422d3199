/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Recordings as bytes: what is written is read again, and whatever else is read does no
 * harm. Files under test are copies of their exact length, so that ASan sees every byte
 * that is read beyond the end.
 */
#include <errno.h>
#include <stdio.h>

#include "tools/recording.h"
#include "wire/tests/support.h"

#define FIXED 56u   /* of our header in a packet */

static struct vu_buffer file;
static struct tool_recording rec;
static struct tool_record got;

static int begin(void **state)
{
    (void)state;
    vu_buffer_init(&file, SIZE_MAX);
    return tool_recording_begin(&file);
}

static int end(void **state)
{
    (void)state;
    tool_recording_done(&rec);
    vu_buffer_done(&file);
    return 0;
}

static void put(const struct tool_record *record)
{
    assert_int_equal(tool_recording_put(&file, record), 0);
}

/* A message of len bytes, header included. */
static uint8_t *message(size_t len)
{
    uint8_t *bytes = malloc(len);
    struct vu_writer w = vu_writer(bytes, len);
    struct vu_header h = { .msg_id = 7, .command = VU_REGION_WRITE, .size = (uint32_t)len };

    assert_non_null(bytes);
    vu_encode_header(&w, &h);
    for (size_t i = VU_HEADER_SIZE; i < len; i++)
        bytes[i] = (uint8_t)(i * 31 + i / 251);
    return bytes;
}

static void put_message(size_t len)
{
    uint8_t *bytes = message(len);

    put(&(struct tool_record){ .kind = TOOL_RECORD_MESSAGE, .session = 1,
                               .time_ns = 1000, .bytes = { bytes, len } });
    free(bytes);
}

static void put_event(uint64_t time_ns)
{
    put(&(struct tool_record){ .kind = TOOL_RECORD_EVENT, .session = 1, .time_ns = time_ns,
                               .event = { .index = 2, .vector = 3, .count = 1 } });
}

static void open_file(void)
{
    tool_recording_open(&rec, file.data, file.len);
}

static void refused(const char *sentence)
{
    assert_int_equal(tool_recording_next(&rec, &got), -EBADMSG);
    if (strstr(rec.why, sentence) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", sentence, rec.why);
    assert_int_equal(tool_recording_next(&rec, &got), -EBADMSG);   /* for ever */
}

/* -------------------------------------------------------------- round trips -- */

static void a_message_comes_back_with_its_descriptors(void **state)
{
    uint8_t *bytes = message(40);
    struct tool_record r = {
        .kind = TOOL_RECORD_MESSAGE, .direction = VU_TO_CLIENT, .twin = true,
        .flags = TOOL_RECORD_FDS_LOST, .session = 0xfedcba98u, .time_ns = 0x1122334455667788u,
        .bytes = { bytes, 40 }, .n_fds = 2,
        .fds = { { TOOL_FD_MEMFD, 2, 77, 0x8877665544332211u }, { TOOL_FD_EVENTFD, 1, 0, 0 } },
    };
    struct vu_header h;

    (void)state;
    put(&r);
    open_file();
    assert_int_equal(tool_recording_next(&rec, &got), 1);
    assert_int_equal(got.kind, TOOL_RECORD_MESSAGE);
    assert_int_equal(got.direction, VU_TO_CLIENT);
    assert_true(got.twin);
    assert_false(got.cut);
    assert_int_equal(got.flags, TOOL_RECORD_FDS_LOST);
    assert_int_equal(got.session, 0xfedcba98u);
    assert_int_equal(got.time_ns, 0x1122334455667788u);
    assert_int_equal(got.bytes.len, 40);
    assert_memory_equal(got.bytes.data, bytes, 40);
    assert_int_equal(got.n_fds, 2);
    assert_int_equal(got.fds[0].kind, TOOL_FD_MEMFD);
    assert_int_equal(got.fds[0].access, 2);
    assert_int_equal(got.fds[0].file, 77);
    assert_int_equal(got.fds[0].size, 0x8877665544332211u);
    assert_int_equal(got.fds[1].kind, TOOL_FD_EVENTFD);
    assert_true(tool_record_header(&got, &h));
    assert_int_equal(h.msg_id, 7);
    assert_int_equal(tool_record_body(&got).len, 24);
    assert_int_equal(tool_recording_next(&rec, &got), 0);
    assert_int_equal(tool_recording_next(&rec, &got), 0);
    free(bytes);
}

static void every_kind_keeps_its_values(void **state)
{
    (void)state;
    for (int kind = TOOL_RECORD_MESSAGE; kind <= TOOL_RECORD_NOTE; kind++)
        put(&(struct tool_record){ .kind = (enum tool_record_kind)kind, .session = 1,
                                   .time_ns = (uint64_t)kind,
                                   .values = { 10u + kind, 20u + kind, UINT64_MAX - kind } });
    open_file();
    for (int kind = TOOL_RECORD_MESSAGE; kind <= TOOL_RECORD_NOTE; kind++) {
        struct vu_header h;

        assert_int_equal(tool_recording_next(&rec, &got), 1);
        assert_int_equal(got.kind, kind);
        assert_int_equal(got.values[0], 10u + kind);
        assert_int_equal(got.values[1], 20u + kind);
        assert_int_equal(got.values[2], UINT64_MAX - kind);
        assert_false(tool_record_header(&got, &h));     /* there are no bytes */
        assert_int_equal(tool_record_body(&got).len, 0);
    }
    assert_int_equal(tool_recording_next(&rec, &got), 0);
}

static void lengths_around_a_piece_come_back_whole(void **state)
{
    static const size_t lens[] = { 16, 17, 18, 19, TOOL_RECORDING_PIECE - 1,
                                   TOOL_RECORDING_PIECE, TOOL_RECORDING_PIECE + 1,
                                   3 * TOOL_RECORDING_PIECE + 5 };
    const size_t n = sizeof(lens) / sizeof(lens[0]);

    (void)state;
    for (size_t i = 0; i < n; i++)
        put_message(lens[i]);
    open_file();
    for (size_t i = 0; i < n; i++) {
        uint8_t *bytes = message(lens[i]);

        assert_int_equal(tool_recording_next(&rec, &got), 1);
        assert_int_equal(got.bytes.len, lens[i]);
        assert_memory_equal(got.bytes.data, bytes, lens[i]);
        free(bytes);
    }
    assert_int_equal(tool_recording_next(&rec, &got), 0);
}

static void no_packet_is_larger_than_other_readers_take(void **state)
{
    (void)state;
    put_message(1u << 20);
    for (size_t at = 0; at < file.len;) {
        uint32_t len;

        memcpy(&len, file.data + at + 4, sizeof(len));
        assert_true(len <= 262144);
        at += len;
    }
}

/* ------------------------------------------------------------------ writing -- */

static void what_does_not_fit_leaves_nothing(void **state)
{
    size_t before = file.len;
    uint8_t *bytes = message(2 * TOOL_RECORDING_PIECE);
    struct tool_record r = { .kind = TOOL_RECORD_MESSAGE,
                             .bytes = { bytes, 2 * TOOL_RECORDING_PIECE } };

    (void)state;
    file.limit = before + TOOL_RECORDING_PIECE + 1000;  /* room for one of two */
    assert_int_equal(tool_recording_put(&file, &r), -ENOBUFS);
    assert_int_equal(file.len, before);
    free(bytes);
}

static void a_record_has_bounds(void **state)
{
    struct tool_record r = { .kind = TOOL_RECORD_MESSAGE, .n_fds = VU_MAX_MSG_FDS + 1 };

    (void)state;
    assert_int_equal(tool_recording_put(&file, &r), -EINVAL);
    r.n_fds = 0;
    r.bytes = (struct vu_bytes){ file.data, (size_t)TOOL_RECORDING_MAX_MESSAGE + 1 };
    assert_int_equal(tool_recording_put(&file, &r), -EINVAL);
}

/* ------------------------------------------------------------------ damage -- */

/* Read all of a copy of exactly len bytes: the number of records, and how it ended. */
static size_t read_all(const uint8_t *bytes, size_t len, int *err)
{
    uint8_t *copy = malloc(len != 0 ? len : 1);
    size_t n = 0;
    int more;

    assert_non_null(copy);
    memcpy(copy, bytes, len);
    tool_recording_open(&rec, copy, len);
    while ((more = tool_recording_next(&rec, &got)) == 1) {
        /* Whatever came is there. */
        for (size_t i = 0; i < got.bytes.len; i += 512)
            assert_true(got.bytes.data[i] <= 255);
        assert_true(got.n_fds <= VU_MAX_MSG_FDS);
        n++;
    }
    *err = more;
    if (more < 0)
        assert_int_not_equal(strlen(rec.why), 0);
    tool_recording_done(&rec);
    free(copy);
    return n;
}

static void a_file_cut_anywhere_gives_what_was_whole(void **state)
{
    size_t ends[4];
    size_t start = file.len;
    int err;

    (void)state;
    put_event(1);
    ends[0] = file.len;
    put_message(33);
    ends[1] = file.len;
    put_message(TOOL_RECORDING_PIECE + 9);
    ends[2] = file.len;
    put_event(2);
    ends[3] = file.len;
    for (size_t len = 0; len <= file.len; len++) {
        bool whole = len == start || len == ends[0] || len == ends[1] || len == ends[2] ||
                     len == ends[3];
        bool interface_missing = len == 48;     /* the section alone */
        size_t n = (len >= ends[0]) + (len >= ends[1]) + (len >= ends[2]) + (len >= ends[3]);

        if (len > ends[1] + 300 && len < ends[2] - 300)
            len = ends[2] - 300;    /* the middle of a large packet is all alike */
        assert_int_equal(read_all(file.data, len, &err), n);
        assert_int_equal(err, whole || interface_missing ? 0 : -EBADMSG);
    }
}

static void every_word_may_be_anything(void **state)
{
    static const uint32_t values[] = { 0, 1, 12, 0x7fffffff, 0x80000000, 0xfffffffc,
                                       0xffffffff };
    int err;

    (void)state;
    put_event(1);
    put_message(TOOL_RECORDING_PIECE + 100);
    put_event(2);
    for (size_t at = 0; at + 4 <= file.len; at += 4) {
        uint32_t before;

        if (at == 1024)
            at = file.len - 1024;   /* the middle is a message's bytes */
        memcpy(&before, file.data + at, sizeof(before));
        for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
            memcpy(file.data + at, &values[i], sizeof(values[i]));
            read_all(file.data, file.len, &err);
            assert_true(err == 0 || err == -EBADMSG);
        }
        memcpy(file.data + at, &before, sizeof(before));
    }
    assert_int_equal(read_all(file.data, file.len, &err), 3);
}

static void every_byte_may_be_anything(void **state)
{
    int err;

    (void)state;
    put_event(1);
    put_message(64);
    for (size_t at = 0; at < file.len; at++) {
        for (int bit = 0; bit < 8; bit++) {
            file.data[at] ^= (uint8_t)(1 << bit);
            read_all(file.data, file.len, &err);
            assert_true(err == 0 || err == -EBADMSG);
            file.data[at] ^= (uint8_t)(1 << bit);
        }
    }
}

static void other_files_are_no_recordings(void **state)
{
    static const char text[] = "#!/bin/sh\necho this is no recording\n";

    (void)state;
    tool_recording_open(&rec, text, sizeof(text) - 1);
    refused("no pcapng file");
    tool_recording_open(&rec, text, 0);
    refused("no pcapng file");
}

static void a_block_has_one_length(void **state)
{
    (void)state;
    put_event(1);
    file.data[file.len - 4] += 4;
    open_file();
    refused("two different lengths");
}

static void a_missing_piece_is_noticed(void **state)
{
    size_t start = file.len, second;
    uint32_t first_len;

    (void)state;
    put_message(2 * TOOL_RECORDING_PIECE + 8);
    memcpy(&first_len, file.data + start + 4, sizeof(first_len));
    second = start + first_len;
    memmove(file.data + start, file.data + second, file.len - second);
    file.len -= first_len;
    open_file();
    refused("the beginning of the message");
}

static void something_else_between_pieces_is_noticed(void **state)
{
    size_t start = file.len;
    uint32_t first_len;

    (void)state;
    put_message(2 * TOOL_RECORDING_PIECE);
    memcpy(&first_len, file.data + start + 4, sizeof(first_len));
    file.len = start + first_len;
    put_event(1);
    open_file();
    refused("a piece of a long message is missing");
}

/* -------------------------------------------------------- versions and orders -- */

/* Offset of the data of the packet that starts at `at`. */
static uint8_t *packet_data(size_t at)
{
    return file.data + at + 8 + 20;
}

static void a_later_version_is_refused_by_name(void **state)
{
    size_t start = file.len;

    (void)state;
    put_event(1);
    packet_data(start)[4] = 2;
    open_file();
    refused("version 2");
}

static void messages_of_another_byte_order_are_refused(void **state)
{
    size_t start = file.len;

    (void)state;
    put_event(1);
    packet_data(start)[8] ^= 1;
    open_file();
    refused("byte order");
}

static void other_packets_on_our_link_type_are_refused(void **state)
{
    size_t start = file.len;

    (void)state;
    put_event(1);
    packet_data(start)[0] = 'X';
    open_file();
    refused("no record of vfio-user");
}

static void a_header_that_has_grown_is_understood(void **state)
{
    size_t start = file.len;
    uint8_t *data;

    (void)state;
    put_message(16 + 8);
    data = packet_data(start);
    data[10] = FIXED + 8;       /* eight of the message's bytes are the header's now */
    data[16] = 16;              /* and the message has as many less */
    open_file();
    assert_int_equal(tool_recording_next(&rec, &got), 1);
    assert_int_equal(got.bytes.len, 16);
    assert_ptr_equal(got.bytes.data, data + FIXED + 8);
}

static void swap(uint8_t *at, size_t width)
{
    for (size_t i = 0; i < width / 2; i++) {
        uint8_t b = at[i];

        at[i] = at[width - 1 - i];
        at[width - 1 - i] = b;
    }
}

static void swap_options(uint8_t *at, uint8_t *options_end)
{
    while (at + 4 <= options_end) {
        uint16_t len;

        memcpy(&len, at + 2, sizeof(len));
        swap(at, 2);
        swap(at + 2, 2);
        at += 4 + ((len + 3u) & ~3u);
    }
}

/* The same file as a machine of the other byte order writes it. */
static void swap_file(void)
{
    for (size_t at = 0; at < file.len;) {
        uint8_t *b = file.data + at;
        uint32_t type, len;

        memcpy(&type, b, sizeof(type));
        memcpy(&len, b + 4, sizeof(len));
        swap(b, 4);
        swap(b + 4, 4);
        swap(b + len - 4, 4);
        if (type == 0x0a0d0d0a) {
            swap(b + 8, 4);
            swap(b + 12, 2);
            swap(b + 14, 2);
            swap_options(b + 24, b + len - 4);
        } else if (type == 1) {
            swap(b + 8, 2);
            swap(b + 12, 4);
            swap_options(b + 16, b + len - 4);
        } else if (type == 6) {
            for (size_t i = 8; i < 28; i += 4)
                swap(b + i, 4);
        }
        at += len;
    }
}

static void both_byte_orders_of_pcapng_are_read(void **state)
{
    (void)state;
    put_event(0x0102030405060708u);
    put_message(50);
    swap_file();
    open_file();
    assert_int_equal(tool_recording_next(&rec, &got), 1);
    assert_int_equal(got.time_ns, 0x0102030405060708u);
    assert_int_equal(got.event.vector, 3);
    assert_int_equal(tool_recording_next(&rec, &got), 1);
    assert_int_equal(got.bytes.len, 50);
    assert_int_equal(tool_recording_next(&rec, &got), 0);
}

/* ------------------------------------------------------- what is skipped -- */

static void put_block(uint32_t type, const void *inside, size_t len)
{
    uint32_t total = (uint32_t)len + 12;
    uint8_t *at = vu_buffer_extend(&file, total);
    struct vu_writer w = vu_writer(at, total);

    assert_non_null(at);
    vu_put_u32(&w, type);
    vu_put_u32(&w, total);
    vu_put_bytes(&w, inside, len);
    vu_put_u32(&w, total);
}

/* An interface of that link type, with if_tsresol unless 0xff. */
static void put_interface(uint16_t link_type, uint8_t resolution)
{
    uint8_t inside[8 + 12 + 8 + 4] = { 0 };
    struct vu_writer w = vu_writer(inside, sizeof(inside));

    vu_put_u16(&w, link_type);
    vu_put_u16(&w, 0);
    vu_put_u32(&w, 262144);
    vu_put_u16(&w, 1);      /* a comment of five characters */
    vu_put_u16(&w, 5);
    vu_put_bytes(&w, "hello\0\0\0", 8);
    if (resolution != 0xff) {
        vu_put_u16(&w, 9);
        vu_put_u16(&w, 1);
        vu_put_u32(&w, resolution);
    }
    put_block(1, inside, sizeof(inside));
}

static void set_interface(size_t packet, uint32_t number)
{
    memcpy(file.data + packet + 8, &number, sizeof(number));
}

static void other_blocks_and_interfaces_are_skipped(void **state)
{
    static const uint8_t names[16] = { 1, 2, 3 };
    size_t at;

    (void)state;
    put_block(4, names, sizeof(names));             /* name resolution */
    put_interface(1, 6);                            /* Ethernet */
    put_block(0x80001234, names, sizeof(names));    /* nobody knows */
    at = file.len;
    put_event(1);
    set_interface(at, 1);
    memset(packet_data(at), 0xff, FIXED);           /* a frame of the Ethernet */
    put_event(2);
    put_block(5, names, sizeof(names));             /* statistics */
    open_file();
    assert_int_equal(tool_recording_next(&rec, &got), 1);
    assert_int_equal(got.time_ns, 2);
    assert_int_equal(tool_recording_next(&rec, &got), 0);
}

static void sections_follow_one_another(void **state)
{
    (void)state;
    put_event(1);
    assert_int_equal(tool_recording_begin(&file), 0);
    put_event(2);
    open_file();
    assert_int_equal(tool_recording_next(&rec, &got), 1);
    assert_int_equal(tool_recording_next(&rec, &got), 1);
    assert_int_equal(got.time_ns, 2);
    assert_int_equal(tool_recording_next(&rec, &got), 0);
}

static void times_are_in_the_unit_of_their_interface(void **state)
{
    static const struct {
        uint8_t resolution;
        uint64_t time, ns;
    } cases[] = {
        { 0xff, 5, 5000 },      /* microseconds when nothing is said */
        { 3, 7, 7000000 },
        { 9, 123, 123 },
        { 12, 5000, 5 },
        { 0x80 | 10, 1024, 1000000000 },    /* 2^-10 s */
        { 0x80 | 126, 1, 0 },
        { 127, 1, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t at;

        put_interface(TOOL_RECORDING_LINK_TYPE, cases[i].resolution);
        at = file.len;
        put_event(cases[i].time);
        set_interface(at, (uint32_t)i + 1);
    }
    open_file();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(tool_recording_next(&rec, &got), 1);
        assert_int_equal(got.time_ns, cases[i].ns);
    }
}

static void a_packet_needs_an_interface(void **state)
{
    size_t at = file.len;

    (void)state;
    put_event(1);
    set_interface(at, 1);
    open_file();
    refused("has no interface");
}

static void interfaces_are_bounded(void **state)
{
    (void)state;
    for (unsigned i = 0; i < TOOL_RECORDING_INTERFACES; i++)
        put_interface(1, 6);
    open_file();
    refused("interfaces");
}

static void a_packet_that_was_cut_is_marked(void **state)
{
    size_t at = file.len;
    uint32_t original = FIXED + 4000;
    uint8_t total[4] = { 0xa0, 0x0f, 0, 0 };    /* 4000 */

    (void)state;
    put_message(40);
    memcpy(file.data + at + 8 + 16, &original, sizeof(original));
    memcpy(packet_data(at) + 16, total, sizeof(total));
    open_file();
    assert_int_equal(tool_recording_next(&rec, &got), 1);
    assert_true(got.cut);
    assert_int_equal(got.bytes.len, 40);
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

static const struct CMUnitTest tests[] = {
    T(a_message_comes_back_with_its_descriptors),
    T(every_kind_keeps_its_values),
    T(lengths_around_a_piece_come_back_whole),
    T(no_packet_is_larger_than_other_readers_take),
    T(what_does_not_fit_leaves_nothing),
    T(a_record_has_bounds),
    T(a_file_cut_anywhere_gives_what_was_whole),
    T(every_word_may_be_anything),
    T(every_byte_may_be_anything),
    T(other_files_are_no_recordings),
    T(a_block_has_one_length),
    T(a_missing_piece_is_noticed),
    T(something_else_between_pieces_is_noticed),
    T(a_later_version_is_refused_by_name),
    T(messages_of_another_byte_order_are_refused),
    T(other_packets_on_our_link_type_are_refused),
    T(a_header_that_has_grown_is_understood),
    T(both_byte_orders_of_pcapng_are_read),
    T(other_blocks_and_interfaces_are_skipped),
    T(sections_follow_one_another),
    T(times_are_in_the_unit_of_their_interface),
    T(a_packet_needs_an_interface),
    T(interfaces_are_bounded),
    T(a_packet_that_was_cut_is_marked),
};

VU_TEST_MAIN(tests)
