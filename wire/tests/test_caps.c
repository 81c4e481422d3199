/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of wire/caps.h. */
#include "wire/tests/support.h"

#include <errno.h>
#include <stdio.h>

#include "wire/caps.h"
#include "wire/protocol.h"

#define FILLER 0xa5

/* Parse a copy that is exactly as long as the text with its NUL, so that a sanitizer
 * sees every step beyond it. */
static int parse(struct vu_caps *caps, const char *text, char *why)
{
    size_t len = strlen(text) + 1;
    char *copy = malloc(len);
    int err;

    memcpy(copy, text, len);
    memset(caps, FILLER, sizeof(*caps));
    err = vu_caps_parse(caps, copy, len, why, 128);
    free(copy);
    return err;
}

static void expect_untouched(const struct vu_caps *caps)
{
    struct vu_caps same;

    memset(&same, FILLER, sizeof(same));
    assert_memory_equal(caps, &same, sizeof(same));
}

/* Field by field, since padding may differ. */
static void expect_same(const struct vu_caps *a, const struct vu_caps *b)
{
#define SAME(field) assert_true(a->field == b->field)
    SAME(has_max_msg_fds);
    SAME(has_max_data_xfer_size);
    SAME(has_max_dma_maps);
    SAME(has_pgsizes);
    SAME(has_twin_socket);
    SAME(has_fd_index);
    SAME(has_write_multiple);
    SAME(has_migration);
    SAME(has_migration_pgsize);
    SAME(has_migration_max_bitmap_size);
    SAME(has_sparse_mmap_fds);
    SAME(max_msg_fds);
    SAME(max_data_xfer_size);
    SAME(max_dma_maps);
    SAME(pgsizes);
    SAME(twin_socket);
    SAME(fd_index);
    SAME(write_multiple);
    SAME(migration_pgsize);
    SAME(migration_max_bitmap_size);
    SAME(sparse_mmap_fds);
#undef SAME
}

/* -------------------------------------------------------------- real peers -- */

static void what_qemu_proposes_is_understood(void **state)
{
    struct vu_caps c;
    char why[128];

    (void)state;
    assert_int_equal(parse(&c, "{\"capabilities\": {\"pgsizes\": 4096, "
        "\"max_msg_fds\": 16, \"max_dma_maps\": 65535, \"max_data_xfer_size\": 1048576, \"migration\": "
        "{\"max_bitmap_size\": 268435456, \"pgsize\": 4096}, \"write_multiple\": true}}",
        why), 0);
    assert_true(c.has_pgsizes && c.has_max_msg_fds && c.has_max_dma_maps);
    assert_true(c.has_max_data_xfer_size && c.has_migration && c.has_write_multiple);
    assert_true(c.has_migration_max_bitmap_size && c.has_migration_pgsize);
    assert_false(c.has_twin_socket || c.has_fd_index || c.has_sparse_mmap_fds);
    assert_int_equal(c.pgsizes, 4096);
    assert_int_equal(c.max_msg_fds, 16);
    assert_int_equal(c.max_dma_maps, 65535);
    assert_int_equal(c.max_data_xfer_size, 1048576);
    assert_int_equal(c.migration_max_bitmap_size, 268435456);
    assert_int_equal(c.migration_pgsize, 4096);
    assert_true(c.write_multiple);
    assert_false(c.twin_socket || c.sparse_mmap_fds);
}

static void what_the_other_server_answers_is_understood(void **state)
{
    struct vu_caps c;
    char why[128];

    (void)state;
    assert_int_equal(parse(&c, "{ \"capabilities\": { \"max_msg_fds\": 8, "
        "\"max_data_xfer_size\": 1048576, \"migration\": { \"pgsize\": 4096 }, "
        "\"twin_socket\": { \"supported\": true, \"fd_index\": 0 } } }", why), 0);
    assert_int_equal(c.max_msg_fds, 8);
    assert_int_equal(c.max_data_xfer_size, 1048576);
    assert_int_equal(c.migration_pgsize, 4096);
    assert_true(c.has_twin_socket && c.twin_socket && c.has_fd_index);
    assert_int_equal(c.fd_index, 0);
    assert_false(c.has_max_dma_maps || c.has_pgsizes || c.has_migration_max_bitmap_size);
}

static void what_cloud_hypervisor_proposes_is_understood(void **state)
{
    struct vu_caps c;
    char why[128];

    (void)state;
    assert_int_equal(parse(&c, "{\"capabilities\":{\"max_msg_fds\":1,"
        "\"max_data_xfer_size\":1048576,\"migration\":{\"pgsize\":4096}}}", why), 0);
    assert_int_equal(c.max_msg_fds, 1);
    assert_int_equal(c.max_data_xfer_size, 1048576);
    assert_true(c.has_migration);
    assert_int_equal(c.migration_pgsize, 4096);
}

static void every_key_is_read_into_its_own_field(void **state)
{
    struct vu_caps c;
    char why[128];

    (void)state;
    assert_int_equal(parse(&c, "{\"capabilities\":{\"max_msg_fds\":11,"
        "\"max_data_xfer_size\":12,\"max_dma_maps\":13,\"pgsizes\":14,"
        "\"twin_socket\":{\"supported\":true,\"fd_index\":15},\"write_multiple\":false,"
        "\"migration\":{\"pgsize\":16,\"max_bitmap_size\":17},\"sparse_mmap_fds\":true}}",
        why), 0);
    assert_int_equal(c.max_msg_fds, 11);
    assert_int_equal(c.max_data_xfer_size, 12);
    assert_int_equal(c.max_dma_maps, 13);
    assert_int_equal(c.pgsizes, 14);
    assert_true(c.twin_socket);
    assert_int_equal(c.fd_index, 15);
    assert_false(c.write_multiple);
    assert_int_equal(c.migration_pgsize, 16);
    assert_int_equal(c.migration_max_bitmap_size, 17);
    assert_true(c.sparse_mmap_fds);
    assert_true(c.has_write_multiple && c.has_sparse_mmap_fds && c.has_twin_socket);
}

/* ----------------------------------------------------------------- accepted -- */

static void texts_that_say_nothing_set_nothing(void **state)
{
    static const char *const texts[] = {
        "{}", " {} ", "\n\t\r{ }\n", "{\"capabilities\":{}}", "{\"capabilities\" : { } }",
        "{\"other\":1}", "{\"other\":{\"capabilities\":{\"max_msg_fds\":5}}}",
        "{\"capabilities\":{\"unknown\":[1,2,{\"max_msg_fds\":\"x\"}]}}",
        "{\"capabilities\":{\"x\":null,\"y\":\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"}}",
        "{\"capabilities\":{\"MAX_MSG_FDS\":-1}}",
        "{\"capabilities\":{\"max_msg_fds \":-1}}",
        "{\"max_msg_fds\":-1}", "{\"a\":\"\\\"\"}", "{\"a\":\"\\\\\"}",
        "{\"a\":\"\\\\u0000\"}", "{\"a\":\"{[:,NaN'/*\"}", "{\"a\":\"\\u00e4\\n\\/\"}",
        "{\"a\":{\"k\":1},\"b\":{\"k\":1}}", "{\"a\":[{\"k\":1},{\"k\":1}]}",
        "{\"a\":[[[[[[[]]]]]]]}", "{\"a\":\"\x7f\"}", "{\"\":0}",
    };
    static const struct vu_caps none;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char why[128] = "";
        struct vu_caps c;

        if (parse(&c, texts[i], why) != 0)
            fail_msg("%s: %s", texts[i], why);
        expect_same(&c, &none);
    }
}

static void absent_data_sets_nothing(void **state)
{
    static const struct vu_caps none;
    struct vu_caps c;
    char why[16];

    (void)state;
    memset(&c, FILLER, sizeof(c));
    assert_int_equal(vu_caps_parse(&c, NULL, 0, why, sizeof(why)), 0);
    expect_same(&c, &none);
}

static void numbers_are_taken_exactly(void **state)
{
    static const struct {
        const char *text;
        uint64_t value;
    } numbers[] = {
        { "0", 0 }, { "-0", 0 }, { "1", 1 }, { "4096", 4096 }, { "4096.0", 4096 },
        { "4096.000", 4096 }, { "1e6", 1000000 }, { "1E6", 1000000 }, { "1e+6", 1000000 },
        { "1.5e1", 15 }, { "10e-1", 1 }, { "0.0", 0 }, { "-0.0", 0 }, { "0e5", 0 },
        { "2147483648", 2147483648 }, { "4294967296", 4294967296 },
        { "9007199254740991.0", 9007199254740991 },
        { "9007199254740993", 9007199254740993 },
        { "9223372036854775807", INT64_MAX },
        { "9223372036854775808", UINT64_C(1) << 63 },
        { "18446744073709547520", ~UINT64_C(4095) },   /* a mask of all page sizes */
        { "18446744073709551614", UINT64_MAX - 1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        char text[128], why[128] = "";
        struct vu_caps c;

        snprintf(text, sizeof(text), "{\"capabilities\":{\"pgsizes\":%s}}",
                 numbers[i].text);
        if (parse(&c, text, why) != 0)
            fail_msg("%s: %s", text, why);
        assert_true(c.has_pgsizes);
        assert_true(c.pgsizes == numbers[i].value);
    }
}

static void an_empty_object_is_there(void **state)
{
    struct vu_caps c;
    char why[128];

    (void)state;
    assert_int_equal(parse(&c, "{\"capabilities\":{\"twin_socket\":{}}}", why), 0);
    assert_true(c.has_twin_socket);
    assert_false(c.twin_socket || c.has_fd_index || c.has_migration);
    assert_int_equal(parse(&c, "{\"capabilities\":{\"migration\":{}}}", why), 0);
    assert_true(c.has_migration);
    assert_false(c.has_migration_pgsize || c.has_twin_socket);
}

static void an_escaped_key_is_the_same_key(void **state)
{
    struct vu_caps c;
    char why[128];

    (void)state;
    assert_int_equal(parse(&c, "{\"c\\u0061pabilities\":{\"\\u006dax_msg_fds\":3}}",
                           why), 0);
    assert_true(c.has_max_msg_fds);
    assert_int_equal(c.max_msg_fds, 3);
}

/* ------------------------------------------------------------------ refused -- */

#define CAPS(x) "{\"capabilities\":{" x "}}"

static const struct refused {
    const char *text;
    int err;
    const char *why;        /* contained in the reason; NULL: any */
} refused[] = {
    /* one object, nothing else */
    { "", -EBADMSG, NULL },
    { "   ", -EBADMSG, NULL },
    { "[]", -EBADMSG, "not an object" },
    { "null", -EBADMSG, "not an object" },
    { "true", -EBADMSG, "not an object" },
    { "1", -EBADMSG, "not an object" },
    { "\"capabilities\"", -EBADMSG, "not an object" },
    { "{} {}", -EBADMSG, NULL },
    { "{}x", -EBADMSG, NULL },
    { "{},", -EBADMSG, NULL },
    { "{}1", -EBADMSG, NULL },
    { "\xef\xbb\xbf{}", -EBADMSG, NULL },

    /* grammar */
    { "{", -EBADMSG, NULL },
    { "}", -EBADMSG, NULL },
    { "{\"", -EBADMSG, "does not end" },
    { "{\"a\\", -EBADMSG, "does not end" },
    { "{\"a\\\"", -EBADMSG, "does not end" },
    { "{\"a\"", -EBADMSG, NULL },
    { "{\"a\":", -EBADMSG, NULL },
    { "{\"a\":1", -EBADMSG, NULL },
    { "{\"a\":}", -EBADMSG, NULL },
    { "{\"a\" 1}", -EBADMSG, NULL },
    { "{\"a\":1,}", -EBADMSG, NULL },
    { "{,}", -EBADMSG, NULL },
    { "{\"a\":1 \"b\":2}", -EBADMSG, NULL },
    { "{a:1}", -EBADMSG, NULL },
    { "{'a':1}", -EBADMSG, NULL },
    { "{\"a\":'b'}", -EBADMSG, NULL },
    { "{\"a\":[1,]}", -EBADMSG, NULL },
    { "{\"a\":[1}", -EBADMSG, NULL },
    { "{\"a\":nul}", -EBADMSG, NULL },
    { "{\"a\":TRUE}", -EBADMSG, NULL },
    { "{\"a\":NaN}", -EBADMSG, "not JSON" },
    { "{\"a\":nan}", -EBADMSG, NULL },
    { "{\"a\":Infinity}", -EBADMSG, "not JSON" },
    { "{\"a\":-Infinity}", -EBADMSG, "not JSON" },
    { "{\"a\":010}", -EBADMSG, NULL },
    { "{\"a\":+1}", -EBADMSG, NULL },
    { "{\"a\":.5}", -EBADMSG, NULL },
    { "{\"a\":5.}", -EBADMSG, "not JSON" },
    { "{\"a\":1.e3}", -EBADMSG, "not JSON" },
    { "{\"a\":1e}", -EBADMSG, NULL },
    { "{\"a\":-}", -EBADMSG, NULL },
    { "{\"a\":0x10}", -EBADMSG, NULL },
    { "{}//", -EBADMSG, NULL },
    { "/**/{}", -EBADMSG, NULL },
    { "{\"a\":\"\\q\"}", -EBADMSG, NULL },
    { "{\"a\":\"\\u12\"}", -EBADMSG, NULL },
    { "{\"a\":\"\t\"}", -EBADMSG, "control character" },
    { "{\"a\":\"\n\"}", -EBADMSG, "control character" },
    { "{\"a\":\"\\\x01\"}", -EBADMSG, NULL },
    { "{\x0b}", -EBADMSG, NULL },

    /* UTF-8 */
    { "{\"\x80\":1}", -EBADMSG, "UTF-8" },
    { "{\"\xff\":1}", -EBADMSG, "UTF-8" },
    { "{\"\xc3\":1}", -EBADMSG, "UTF-8" },              /* cut */
    { "{\"\xe2\x82\":1}", -EBADMSG, "UTF-8" },
    { "{\"\xf0\x9f\x98\":1}", -EBADMSG, "UTF-8" },
    { "{\"\xf0\x9f", -EBADMSG, "UTF-8" },
    { "{\"\xc0\x80\":1}", -EBADMSG, "UTF-8" },          /* overlong */
    { "{\"\xc1\xbf\":1}", -EBADMSG, "UTF-8" },
    { "{\"\xe0\x9f\xbf\":1}", -EBADMSG, "UTF-8" },
    { "{\"\xf0\x8f\xbf\xbf\":1}", -EBADMSG, "UTF-8" },
    { "{\"\xed\xa0\x80\":1}", -EBADMSG, "UTF-8" },      /* surrogate */
    { "{\"\xf4\x90\x80\x80\":1}", -EBADMSG, "UTF-8" },  /* above U+10FFFF */
    { "{\"\xf5\x80\x80\x80\":1}", -EBADMSG, "UTF-8" },

    /* NUL by escape, which json-c ends a key at */
    { CAPS("\"max_msg_fds\\u0000x\":1"), -EBADMSG, "NUL" },
    { "{\"a\":\"\\u0000\"}", -EBADMSG, "NUL" },

    /* depth */
    { "{\"a\":[[[[[[[[]]]]]]]]}", -E2BIG, "deep" },
    { "[[[[[[[[[", -E2BIG, "deep" },
    { "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}}}}}",
      -E2BIG, "deep" },

    /* equal keys */
    { CAPS("\"max_msg_fds\":1,\"max_msg_fds\":2"), -EBADMSG,
      "capabilities.max_msg_fds: given twice" },
    { CAPS("\"max_msg_fds\":1,\"max_msg_fds\":1"), -EBADMSG, "max_msg_fds" },
    { CAPS("\"max_msg_fds\":1,\"\\u006dax_msg_fds\":2"), -EBADMSG, "given twice" },
    { CAPS("\"twin_socket\":{\"fd_index\":1,\"fd_index\":2}"), -EBADMSG,
      "capabilities.twin_socket.fd_index: given twice" },
    { "{\"capabilities\":{},\"capabilities\":{}}", -EBADMSG,
      "capabilities: given twice" },
    { "{\"capabilities\":{\"max_msg_fds\":1},\"capabilities\":{}}", -EBADMSG,
      "capabilities: given twice" },
    { CAPS("\"migration\":{\"pgsize\":1},\"migration\":{}"), -EBADMSG,
      "capabilities.migration: given twice" },
    { "{\"x\":1,\"x\":2}", -EBADMSG, "a key is given twice" },
    { "{\"x\":[{\"y\":1,\"y\":2}]}", -EBADMSG, "a key is given twice" },

    /* types */
    { "{\"capabilities\":[]}", -EBADMSG, "capabilities: not an object" },
    { "{\"capabilities\":null}", -EBADMSG, "capabilities: not an object" },
    { "{\"capabilities\":\"x\"}", -EBADMSG, "capabilities: not an object" },
    { "{\"capabilities\":1}", -EBADMSG, "capabilities: not an object" },
    { "{\"capabilities\":false}", -EBADMSG, "capabilities: not an object" },
    { CAPS("\"max_msg_fds\":\"12\""), -EBADMSG,
      "capabilities.max_msg_fds: not a number" },
    { CAPS("\"max_msg_fds\":null"), -EBADMSG, "capabilities.max_msg_fds: not a number" },
    { CAPS("\"max_msg_fds\":true"), -EBADMSG, "capabilities.max_msg_fds: not a number" },
    { CAPS("\"max_msg_fds\":[1]"), -EBADMSG, "capabilities.max_msg_fds: not a number" },
    { CAPS("\"max_msg_fds\":{}"), -EBADMSG, "capabilities.max_msg_fds: not a number" },
    { CAPS("\"max_data_xfer_size\":\"\""), -EBADMSG, "max_data_xfer_size: not a number" },
    { CAPS("\"max_dma_maps\":false"), -EBADMSG, "max_dma_maps: not a number" },
    { CAPS("\"pgsizes\":[]"), -EBADMSG, "pgsizes: not a number" },
    { CAPS("\"write_multiple\":1"), -EBADMSG, "write_multiple: not a boolean" },
    { CAPS("\"write_multiple\":\"true\""), -EBADMSG, "write_multiple: not a boolean" },
    { CAPS("\"write_multiple\":null"), -EBADMSG, "write_multiple: not a boolean" },
    { CAPS("\"sparse_mmap_fds\":0"), -EBADMSG, "sparse_mmap_fds: not a boolean" },
    { CAPS("\"twin_socket\":true"), -EBADMSG, "capabilities.twin_socket: not an object" },
    { CAPS("\"twin_socket\":null"), -EBADMSG, "capabilities.twin_socket: not an object" },
    { CAPS("\"twin_socket\":{\"supported\":1}"), -EBADMSG,
      "capabilities.twin_socket.supported: not a boolean" },
    { CAPS("\"twin_socket\":{\"fd_index\":\"0\"}"), -EBADMSG,
      "capabilities.twin_socket.fd_index: not a number" },
    { CAPS("\"migration\":4096"), -EBADMSG, "capabilities.migration: not an object" },
    { CAPS("\"migration\":{\"pgsize\":true}"), -EBADMSG,
      "capabilities.migration.pgsize: not a number" },
    { CAPS("\"migration\":{\"max_bitmap_size\":{}}"), -EBADMSG,
      "capabilities.migration.max_bitmap_size: not a number" },

    /* numbers */
    { CAPS("\"max_msg_fds\":-1"), -EBADMSG, "capabilities.max_msg_fds: negative" },
    { CAPS("\"max_msg_fds\":-1.0"), -EBADMSG, "capabilities.max_msg_fds: negative" },
    { CAPS("\"max_msg_fds\":-0.5"), -EBADMSG, "capabilities.max_msg_fds: negative" },
    { CAPS("\"max_msg_fds\":-9223372036854775808"), -EBADMSG, "negative" },
    { CAPS("\"max_msg_fds\":-99999999999999999999"), -EBADMSG, "negative" },
    { CAPS("\"max_msg_fds\":1.5"), -EBADMSG, "capabilities.max_msg_fds: not an integer" },
    { CAPS("\"max_msg_fds\":1e-2"), -EBADMSG, "not an integer" },
    { CAPS("\"max_msg_fds\":9007199254740992.0"), -EBADMSG, "too large" },
    { CAPS("\"max_msg_fds\":9007199254740993.0"), -EBADMSG, "too large" },
    { CAPS("\"max_msg_fds\":1e20"), -EBADMSG, "capabilities.max_msg_fds: too large" },
    { CAPS("\"max_msg_fds\":1e400"), -EBADMSG, "too large" },
    { CAPS("\"max_msg_fds\":18446744073709551615"), -EBADMSG, "too large" },
    { CAPS("\"max_msg_fds\":18446744073709551616"), -EBADMSG, "too large" },
    { CAPS("\"max_msg_fds\":99999999999999999999999999"), -EBADMSG, "too large" },
};

static void check_refused(const struct refused *r)
{
    char why[128] = "";
    struct vu_caps c;
    int err = parse(&c, r->text, why);

    if (err != r->err || why[0] == 0 || (r->why != NULL && strstr(why, r->why) == NULL))
        fail_msg("%s: %d, \"%s\"", r->text, err, why);
    expect_untouched(&c);
}

static void what_is_wrong_is_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        check_refused(&refused[i]);
}

static void the_first_and_only_nul_ends_the_text(void **state)
{
    static const char text[] = "{\"capabilities\":{\"max_msg_fds\":5}}";
    struct vu_caps c;
    char why[128];

    (void)state;
    assert_int_equal(vu_caps_parse(&c, text, sizeof(text), why, sizeof(why)), 0);
    for (size_t len = 1; len < sizeof(text); len++) {   /* without NUL */
        char *cut = malloc(len);

        memcpy(cut, text, len);
        memset(&c, FILLER, sizeof(c));
        assert_int_equal(vu_caps_parse(&c, cut, len, why, sizeof(why)), -EBADMSG);
        assert_non_null(strstr(why, "no NUL"));
        expect_untouched(&c);
        free(cut);
    }
    for (size_t at = 0; at < sizeof(text) - 1; at++) {  /* with one too many */
        char copy[sizeof(text)];

        memcpy(copy, text, sizeof(text));
        copy[at] = 0;
        assert_int_equal(vu_caps_parse(&c, copy, sizeof(copy), why, sizeof(why)),
                         -EBADMSG);
        assert_non_null(strstr(why, "NUL before the end"));
    }
    assert_int_equal(vu_caps_parse(&c, "{}\0", 4, why, sizeof(why)), -EBADMSG);
}

static void every_truncation_is_refused(void **state)
{
    static const char text[] = "{\"capabilities\":{\"max_msg_fds\":1e1,\"twin_socket\":"
        "{\"supported\":true},\"x\":[\"\xf0\x9f\x98\x80\\u00e4\",null]}}";
    char why[128];
    struct vu_caps c;

    (void)state;
    assert_int_equal(parse(&c, text, why), 0);
    for (size_t len = 0; len < sizeof(text) - 1; len++) {
        char cut[sizeof(text)] = "";

        memcpy(cut, text, len);
        assert_int_equal(parse(&c, cut, why), -EBADMSG);
    }
}

/* A text of exactly `size` bytes with its NUL. */
static int parse_padded(size_t size)
{
    char *text = malloc(size);
    struct vu_caps c;
    int err;

    memset(text, ' ', size);
    memcpy(text, "{}", 2);
    text[size - 1] = 0;
    err = vu_caps_parse(&c, text, size, NULL, 0);
    free(text);
    return err;
}

static void size_is_bounded(void **state)
{
    (void)state;
    assert_int_equal(parse_padded(VU_CAPS_MAX_BYTES), 0);
    assert_int_equal(parse_padded(VU_CAPS_MAX_BYTES + 1), -E2BIG);
    assert_int_equal(parse_padded(10 * VU_CAPS_MAX_BYTES), -E2BIG);
}

static void the_reason_is_cut_to_its_room(void **state)
{
    static const char text[] = CAPS("\"max_msg_fds\":true");
    struct vu_caps c;

    (void)state;
    for (size_t room = 1; room < 60; room++) {
        char *why = malloc(room);

        assert_int_equal(vu_caps_parse(&c, text, sizeof(text), why, room), -EBADMSG);
        assert_true(strnlen(why, room) < room);
        free(why);
    }
    assert_int_equal(vu_caps_parse(&c, text, sizeof(text), NULL, 0), -EBADMSG);
    assert_int_equal(vu_caps_parse(&c, text, sizeof(text), NULL, 9), -EBADMSG);
}

/* Any bytes give an answer: what a sanitizer makes of them is the test. */
static void random_bytes_are_judged_without_harm(void **state)
{
    static const char letters[] = "{}[]:,\"\\u0e1.-+ tfna\x80\xc3\xa4\xf0";
    static const char key[] = "\"capabilities\":{\"max_msg_fds\":";
    unsigned seed = 7, accepted = 0;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        char text[96] = "{";
        size_t len = 1, end = (size_t)rand_r(&seed) % 40 + 2;
        struct vu_caps c;
        char why[128];
        int err;

        if (rand_r(&seed) % 2) {
            memcpy(text + 1, key, sizeof(key) - 1);
            len += sizeof(key) - 1;
            end += len;
        }
        while (len < end)
            text[len++] = letters[(size_t)rand_r(&seed) % (sizeof(letters) - 1)];
        memcpy(text + len, "}}", 3);
        err = parse(&c, text, why);
        assert_true(err == 0 || err == -EBADMSG || err == -E2BIG);
        if (err != 0)
            expect_untouched(&c);
        accepted += err == 0;
    }
    assert_in_range(accepted, 1, 10000);
}

/* ------------------------------------------------------ defaults, printing -- */

static void absence_means_what_the_specification_says(void **state)
{
    struct vu_caps c = { .max_msg_fds = 0 };

    (void)state;
    vu_caps_default(&c);
    assert_int_equal(c.max_msg_fds, 1);
    assert_int_equal(c.max_data_xfer_size, 1048576);
    assert_int_equal(c.max_dma_maps, 65535);
    assert_int_equal(c.pgsizes, 4096);
    assert_false(c.write_multiple || c.twin_socket || c.sparse_mmap_fds);
    assert_false(c.has_max_msg_fds || c.has_max_data_xfer_size);
    assert_false(c.has_max_dma_maps || c.has_pgsizes);
}

static void defaults_leave_what_was_said_alone(void **state)
{
    struct vu_caps c = {
        .has_max_msg_fds = true, .has_max_data_xfer_size = true,
        .has_max_dma_maps = true, .has_pgsizes = true,
        .max_msg_fds = 0, .max_data_xfer_size = 2, .max_dma_maps = 3, .pgsizes = 4,
    };
    struct vu_caps before = c;

    (void)state;
    vu_caps_default(&c);
    expect_same(&c, &before);
}

static void printing_is_compact_and_in_order(void **state)
{
    struct vu_caps c = {
        .has_max_msg_fds = true, .max_msg_fds = 8,
        .has_max_data_xfer_size = true, .max_data_xfer_size = 1048576,
        .has_max_dma_maps = true, .max_dma_maps = 65535,
        .has_pgsizes = true, .pgsizes = UINT64_MAX - 4095,
        .has_twin_socket = true, .twin_socket = true, .has_fd_index = true, .fd_index = 0,
        .has_write_multiple = true, .write_multiple = true,
        .has_migration = true, .has_migration_pgsize = true, .migration_pgsize = 4096,
        .has_migration_max_bitmap_size = true, .migration_max_bitmap_size = 268435456,
        .has_sparse_mmap_fds = true, .sparse_mmap_fds = false,
    };
    static const char want[] =
        "{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":1048576,"
        "\"max_dma_maps\":65535,\"pgsizes\":18446744073709547520,"
        "\"write_multiple\":true,\"sparse_mmap_fds\":false,"
        "\"twin_socket\":{\"supported\":true,\"fd_index\":0},"
        "\"migration\":{\"pgsize\":4096,\"max_bitmap_size\":268435456}}}";
    char text[512];

    (void)state;
    assert_int_equal(vu_caps_print(&c, text, sizeof(text)), sizeof(want));
    assert_string_equal(text, want);
}

static void printing_says_only_what_is_set(void **state)
{
    struct vu_caps c = { .max_msg_fds = 5, .write_multiple = true };
    char text[128];

    (void)state;
    assert_int_equal(vu_caps_print(&c, text, sizeof(text)), 3);
    assert_string_equal(text, "{}");
    c.has_migration = true;
    vu_caps_print(&c, text, sizeof(text));
    assert_string_equal(text, "{\"capabilities\":{\"migration\":{}}}");
    c.has_migration = false;
    c.has_max_msg_fds = true;
    vu_caps_print(&c, text, sizeof(text));
    assert_string_equal(text, "{\"capabilities\":{\"max_msg_fds\":5}}");
}

static void printing_stays_within_its_room(void **state)
{
    struct vu_caps c = { .has_max_msg_fds = true, .max_msg_fds = 5,
                         .has_migration = true };
    char text[128];
    int len = vu_caps_print(&c, text, sizeof(text));

    (void)state;
    assert_int_equal(len, strlen(text) + 1);
    for (int room = 0; room <= len; room++) {
        char *exact = malloc(room > 0 ? (size_t)room : 1);
        int got = vu_caps_print(&c, exact, (size_t)room);

        assert_int_equal(got, room < len ? -ENOBUFS : len);
        free(exact);
    }
}

static void what_is_printed_is_parsed_again(void **state)
{
    unsigned seed = 3;

    (void)state;
    for (int i = 0; i < 5000; i++) {
        struct vu_caps c = { .max_msg_fds = 0 }, back;
        char text[512], why[128];

#define MAYBE(has, field, value)                \
        do {                                    \
            c.has = rand_r(&seed) % 2;          \
            if (c.has)                          \
                c.field = (value);              \
        } while (0)
#define ANY ((uint64_t)rand_r(&seed) << (rand_r(&seed) % 33))
        MAYBE(has_max_msg_fds, max_msg_fds, ANY);
        MAYBE(has_max_data_xfer_size, max_data_xfer_size, ANY);
        MAYBE(has_max_dma_maps, max_dma_maps, ANY);
        MAYBE(has_pgsizes, pgsizes, ANY);
        MAYBE(has_write_multiple, write_multiple, rand_r(&seed) % 2);
        MAYBE(has_sparse_mmap_fds, sparse_mmap_fds, rand_r(&seed) % 2);
        MAYBE(has_twin_socket, twin_socket, rand_r(&seed) % 2);
        c.has_migration = rand_r(&seed) % 2;
        if (c.has_twin_socket)
            MAYBE(has_fd_index, fd_index, ANY);
        if (c.has_migration) {
            MAYBE(has_migration_pgsize, migration_pgsize, ANY);
            MAYBE(has_migration_max_bitmap_size, migration_max_bitmap_size, ANY);
        }
#undef ANY
#undef MAYBE
        assert_true(vu_caps_print(&c, text, sizeof(text)) > 0);
        assert_int_equal(parse(&back, text, why), 0);
        expect_same(&back, &c);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_qemu_proposes_is_understood),
    cmocka_unit_test(what_the_other_server_answers_is_understood),
    cmocka_unit_test(what_cloud_hypervisor_proposes_is_understood),
    cmocka_unit_test(every_key_is_read_into_its_own_field),
    cmocka_unit_test(texts_that_say_nothing_set_nothing),
    cmocka_unit_test(absent_data_sets_nothing),
    cmocka_unit_test(numbers_are_taken_exactly),
    cmocka_unit_test(an_empty_object_is_there),
    cmocka_unit_test(an_escaped_key_is_the_same_key),
    cmocka_unit_test(what_is_wrong_is_refused_by_name),
    cmocka_unit_test(the_first_and_only_nul_ends_the_text),
    cmocka_unit_test(every_truncation_is_refused),
    cmocka_unit_test(size_is_bounded),
    cmocka_unit_test(the_reason_is_cut_to_its_room),
    cmocka_unit_test(random_bytes_are_judged_without_harm),
    cmocka_unit_test(absence_means_what_the_specification_says),
    cmocka_unit_test(defaults_leave_what_was_said_alone),
    cmocka_unit_test(printing_is_compact_and_in_order),
    cmocka_unit_test(printing_says_only_what_is_set),
    cmocka_unit_test(printing_stays_within_its_room),
    cmocka_unit_test(what_is_printed_is_parsed_again),
};

VU_TEST_MAIN(tests)
