/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Options: what is taken, what is refused and why, and what becomes of JSON that the
 * caller wants to have proposed.
 */
#include "libclient/options.h"

#include <errno.h>

#include "libclient/client.h"
#include "wire/tests/support.h"

static char said[200];      /* the sentence of the latest refusal */

static struct vfuc_options with_error(struct vfuc_options o)
{
    o.size = sizeof(o);
    o.error = said;
    o.error_len = sizeof(said);
    said[0] = '\0';
    return o;
}

#define OPTIONS(...) with_error((struct vfuc_options){ __VA_ARGS__ })

static struct vfuc_options taken(struct vfuc_options given)
{
    struct vfuc_options o;

    if (vuc_options_read(&given, &o) != 0)
        fail_msg("refused: %s", said);
    return o;
}

static void refused(struct vfuc_options given, const char *why)
{
    struct vfuc_options untouched = { .timeout_ms = 77 };

    assert_int_equal(vuc_options_read(&given, &untouched), -EINVAL);
    assert_int_equal(untouched.timeout_ms, 77);
    assert_string_equal(said, why);
}

/* ------------------------------------------------------------------- fields -- */

static void what_is_not_said_gets_its_default(void **state)
{
    struct vfuc_options o, none;

    (void)state;
    o = taken(OPTIONS(.timeout_ms = 0));
    assert_int_equal(vuc_options_read(NULL, &none), 0);
    assert_int_equal(o.size, sizeof(o));
    assert_int_equal(o.timeout_ms, 5000);
    assert_int_equal(o.max_msg_fds, 16);
    assert_int_equal(o.max_data_xfer_size, 1048576);
    assert_int_equal(o.max_dma_maps, 65535);
    assert_int_equal(o.pgsizes, 4096);
    assert_int_equal(o.twin_socket, VFUC_TWIN_NONE);
    assert_int_equal(o.max_pending, 256);
    assert_int_equal(vuc_options_minor(&o), 2);
    assert_null(o.capabilities);
    assert_int_equal(none.max_msg_fds, 16);
    assert_int_equal(none.max_pending, 256);
    assert_null(none.error);
}

static void what_is_said_is_kept(void **state)
{
    struct vfuc_options o = taken(OPTIONS(
        .timeout_ms = -1, .max_msg_fds = 253, .max_data_xfer_size = VFUC_MAX_TRANSFER,
        .max_dma_maps = INT64_MAX, .pgsizes = INT64_MAX, .twin_socket = VFUC_TWIN_THREAD,
        .max_pending = VFUC_MAX_PENDING, .minor = 1));

    (void)state;
    assert_int_equal(o.timeout_ms, -1);
    assert_int_equal(o.max_msg_fds, 253);
    assert_int_equal(o.max_data_xfer_size, VFUC_MAX_TRANSFER);
    assert_int_equal(o.max_dma_maps, INT64_MAX);
    assert_int_equal(o.pgsizes, INT64_MAX);
    assert_int_equal(o.twin_socket, VFUC_TWIN_THREAD);
    assert_int_equal(o.max_pending, 1024);
    assert_int_equal(vuc_options_minor(&o), 1);
}

static void fields_out_of_bounds_are_refused_by_name(void **state)
{
    (void)state;
    refused(OPTIONS(.max_msg_fds = 254), "max_msg_fds is out of bounds");
    refused(OPTIONS(.max_data_xfer_size = VFUC_MAX_TRANSFER + 1),
            "max_data_xfer_size is out of bounds");
    refused(OPTIONS(.max_dma_maps = UINT64_C(1) << 63), "max_dma_maps is out of bounds");
    refused(OPTIONS(.pgsizes = UINT64_C(1) << 63), "pgsizes is out of bounds");
    refused(OPTIONS(.twin_socket = 3), "twin_socket is none of VFUC_TWIN_");
    refused(OPTIONS(.max_pending = 1025), "max_pending is out of bounds");
    refused(OPTIONS(.minor = 3), "this minor version is unknown");
    refused(OPTIONS(.minor = -2), "this minor version is unknown");
}

static void version_0_0_can_be_proposed(void **state)
{
    struct vfuc_options o = taken(OPTIONS(.minor = VFUC_MINOR_0));

    (void)state;
    assert_int_equal(vuc_options_minor(&o), 0);
    o = taken(OPTIONS(.minor = 2));
    assert_int_equal(vuc_options_minor(&o), 2);
}

static void size_tells_how_much_of_the_struct_there_is(void **state)
{
    struct {
        struct vfuc_options known;
        uint64_t unknown;
    } newer = { .known = OPTIONS(.timeout_ms = 7) };
    struct vfuc_options older = OPTIONS(.max_msg_fds = 9, .max_data_xfer_size = 4096,
                                        .max_pending = 5000);
    struct vfuc_options o;

    (void)state;
    older.size = offsetof(struct vfuc_options, max_data_xfer_size);
    assert_int_equal(vuc_options_read(&older, &o), 0);
    assert_int_equal(o.max_msg_fds, 9);
    assert_int_equal(o.max_data_xfer_size, 1048576);
    assert_int_equal(o.max_pending, 256);
    older.size = 0;
    assert_int_equal(vuc_options_read(&older, &o), -EINVAL);
    older.size = 1 << 20;
    assert_int_equal(vuc_options_read(&older, &o), -EINVAL);
    newer.known.size = sizeof(newer);
    assert_int_equal(vuc_options_read(&newer.known, &o), 0);
    assert_int_equal(o.size, sizeof(o));
    newer.unknown = 1;
    assert_int_equal(vuc_options_read(&newer.known, &o), -EINVAL);
    assert_string_equal(said, "an option of a later version is set");
}

static void sentences_are_cut_to_the_room_that_there_is(void **state)
{
    struct vfuc_options given = OPTIONS(.minor = 9), o;

    (void)state;
    given.error_len = 5;
    assert_int_equal(vuc_options_read(&given, &o), -EINVAL);
    assert_string_equal(said, "this");
    memset(said, 'x', sizeof(said));
    given.error_len = 0;
    assert_int_equal(vuc_options_read(&given, &o), -EINVAL);
    assert_int_equal(said[0], 'x');
    given.error = NULL;
    given.error_len = 5;
    assert_int_equal(vuc_options_read(&given, &o), -EINVAL);
}

/* ------------------------------------------------------------- capabilities -- */

static void fields_become_capabilities(void **state)
{
    struct vfuc_options o = taken(OPTIONS(
        .max_msg_fds = 3, .max_data_xfer_size = 8192, .max_dma_maps = 7, .pgsizes = 12288,
        .twin_socket = VFUC_TWIN_INLINE));
    struct vu_caps caps;

    (void)state;
    assert_int_equal(vuc_options_caps(&o, &caps), 0);
    assert_true(caps.has_max_msg_fds && caps.max_msg_fds == 3);
    assert_true(caps.has_max_data_xfer_size && caps.max_data_xfer_size == 8192);
    assert_true(caps.has_max_dma_maps && caps.max_dma_maps == 7);
    assert_true(caps.has_pgsizes && caps.pgsizes == 12288);
    assert_true(caps.has_write_multiple && caps.write_multiple);
    assert_true(caps.has_sparse_mmap_fds && caps.sparse_mmap_fds);
    assert_true(caps.has_twin_socket && caps.twin_socket);
    o = taken(OPTIONS(.max_msg_fds = 3));
    assert_int_equal(vuc_options_caps(&o, &caps), 0);
    assert_false(caps.has_twin_socket);
}

/* What we bound our buffers by is what the server was told. */
static void text_narrows_the_fields(void **state)
{
    struct vfuc_options o = taken(OPTIONS(
        .twin_socket = VFUC_TWIN_INLINE,
        .capabilities = "{\"capabilities\":{\"max_msg_fds\":2,\"max_dma_maps\":5,"
                        "\"max_data_xfer_size\":4096,\"write_multiple\":true}}"));
    struct vu_caps caps;

    (void)state;
    assert_int_equal(o.max_data_xfer_size, 4096);
    assert_int_equal(o.max_dma_maps, 5);
    assert_int_equal(o.max_msg_fds, 16);    /* more may come, as a courtesy */
    assert_int_equal(o.twin_socket, VFUC_TWIN_NONE);
    assert_int_equal(vuc_options_caps(&o, &caps), 0);
    assert_true(caps.write_multiple);
    assert_false(caps.sparse_mmap_fds);
    assert_false(caps.has_pgsizes);
}

static void text_may_be_empty(void **state)
{
    struct vfuc_options o = taken(OPTIONS(.capabilities = ""));
    struct vu_caps caps;

    (void)state;
    assert_int_equal(o.max_data_xfer_size, 1048576);
    assert_int_equal(vuc_options_caps(&o, &caps), 0);
    assert_false(caps.has_max_msg_fds || caps.write_multiple || caps.sparse_mmap_fds);
}

static void twin_socket_stays_when_both_want_it(void **state)
{
    struct vfuc_options o = taken(OPTIONS(
        .twin_socket = VFUC_TWIN_THREAD,
        .capabilities = "{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}"));

    (void)state;
    assert_int_equal(o.twin_socket, VFUC_TWIN_THREAD);
}

#define TEXT(caps) .capabilities = "{\"capabilities\":{" caps "}}"

static void text_that_promises_more_than_the_fields_is_refused(void **state)
{
    (void)state;
    refused(OPTIONS(TEXT("\"max_msg_fds\":17")),
            "capabilities: max_msg_fds exceeds the option of that name");
    refused(OPTIONS(TEXT("\"max_data_xfer_size\":1048577")),
            "capabilities: max_data_xfer_size exceeds the option of that name");
    refused(OPTIONS(TEXT("\"max_dma_maps\":65536")),
            "capabilities: max_dma_maps exceeds the option of that name");
    refused(OPTIONS(TEXT("\"pgsizes\":6144")),
            "capabilities: pgsizes exceeds the option of that name");
    refused(OPTIONS(TEXT("\"twin_socket\":{\"supported\":true}")),
            "capabilities: a twin socket, but the option twin_socket says none");
    taken(OPTIONS(TEXT("\"max_msg_fds\":16,\"max_data_xfer_size\":1048576,"
                       "\"max_dma_maps\":65535,\"pgsizes\":4096")));
}

/* Silence is a promise too: 1 MiB. */
static void text_that_is_silent_promises_the_defaults(void **state)
{
    (void)state;
    refused(OPTIONS(.max_data_xfer_size = 4096, .capabilities = "{}"),
            "capabilities: max_data_xfer_size exceeds the option of that name");
    refused(OPTIONS(.max_data_xfer_size = 4096, .capabilities = ""),
            "capabilities: max_data_xfer_size exceeds the option of that name");
    taken(OPTIONS(.max_data_xfer_size = 1048576, .capabilities = "{}"));
}

static void text_that_allows_no_transfer_is_refused(void **state)
{
    (void)state;
    refused(OPTIONS(TEXT("\"max_data_xfer_size\":0")),
            "capabilities: max_data_xfer_size: 0 allows no transfer");
}

static void text_that_is_no_version_data_is_refused_with_the_reason(void **state)
{
    (void)state;
    refused(OPTIONS(.capabilities = "{\"capabilities\":1}"),
            "capabilities: not an object");
    refused(OPTIONS(.capabilities = "[]"), "version data: not an object");
    refused(OPTIONS(TEXT("\"max_msg_fds\":true")),
            "capabilities.max_msg_fds: not a number");
}

/* ------------------------------------------------------------------ keeping -- */

static void kept_options_are_independent_of_the_caller(void **state)
{
    char text[] = "{}";
    struct vfuc_options o = taken(OPTIONS(.timeout_ms = 3, .capabilities = text)), kept;

    (void)state;
    assert_int_equal(vuc_options_keep(&o, &kept), 0);
    memset(text, 'x', sizeof(text));
    assert_string_equal(kept.capabilities, "{}");
    assert_int_equal(kept.timeout_ms, 3);
    assert_null(kept.error);
    assert_int_equal(vuc_options_fail(&kept, -EPROTO, "why"), -EPROTO);
    assert_string_equal(said, "");
    vuc_options_done(&kept);
    assert_null(kept.capabilities);
    vuc_options_done(&kept);
}

static void largest_message_holds_what_was_promised(void **state)
{
    struct vfuc_options o = taken(OPTIONS(.max_data_xfer_size = VFUC_MAX_TRANSFER));

    (void)state;
    assert_int_equal(vuc_max_message(&o), 16 + 16 + VFUC_MAX_TRANSFER);
    o = taken(OPTIONS(.max_data_xfer_size = 1));
    assert_int_equal(vuc_max_message(&o), 16 + VUC_REGION_INFO_MAX);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_is_not_said_gets_its_default),
    cmocka_unit_test(what_is_said_is_kept),
    cmocka_unit_test(fields_out_of_bounds_are_refused_by_name),
    cmocka_unit_test(version_0_0_can_be_proposed),
    cmocka_unit_test(size_tells_how_much_of_the_struct_there_is),
    cmocka_unit_test(sentences_are_cut_to_the_room_that_there_is),
    cmocka_unit_test(fields_become_capabilities),
    cmocka_unit_test(text_narrows_the_fields),
    cmocka_unit_test(text_may_be_empty),
    cmocka_unit_test(twin_socket_stays_when_both_want_it),
    cmocka_unit_test(text_that_promises_more_than_the_fields_is_refused),
    cmocka_unit_test(text_that_is_silent_promises_the_defaults),
    cmocka_unit_test(text_that_allows_no_transfer_is_refused),
    cmocka_unit_test(text_that_is_no_version_data_is_refused_with_the_reason),
    cmocka_unit_test(kept_options_are_independent_of_the_caller),
    cmocka_unit_test(largest_message_holds_what_was_promised),
};

VU_TEST_MAIN(tests)
