/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contract, chapter 3.2: VERSION.
 */
#include "libserver/tests/chapter_peer.h"

#define CAPS(text) "{\"capabilities\":{" text "}}"

static struct device *device_begin(bool migration)
{
    struct device *d = device_new(NB);

    setup_usual(d);
    if (migration)
        setup_migration(d);
    device_realize(d);
    return d;
}

/* The reply's JSON, whose NUL is there. */
static const char *json(const struct device *d)
{
    const struct reply *r = &d->reply;

    assert_true(r->len > 5);
    assert_int_equal(r->body[r->len - 1], 0);
    assert_int_equal(strlen((const char *)r->body + 4), r->len - 5);
    return (const char *)r->body + 4;
}

static uint16_t minor_answered(const struct device *d)
{
    uint16_t version[2];

    memcpy(version, d->reply.body, sizeof(version));
    assert_int_equal(version[0], 0);
    return version[1];
}

static void assert_accepted(struct device *d, const char *text)
{
    assert_int_equal(negotiate(d, 0, 1, text), 0);
    device_detach(d);
}

static void assert_refused(struct device *d, const char *text)
{
    assert_int_equal(negotiate(d, 0, 1, text), EINVAL);
    assert_ended(d);
    client_close(d);
}

TEST(c3_2_a_second_version_is_einval_and_changes_nothing)
{
    struct device *d = device_begin(false);

    device_attach_with(d, CAPS("\"max_data_xfer_size\":1000"));
    post_version(d, 0, 1, NULL);
    assert_int_equal(run(d), 1);
    assert_int_equal(receive_reply(d, d->id, VFIO_USER_VERSION), EINVAL);
    assert_int_equal(region_read(d, 0, 0, 4), 0);
    device_down(d);
}

TEST(c3_2_the_minor_is_the_lesser_of_the_clients_and_2)
{
    static const uint16_t proposed[] = { 0, 1, 2, 3, 0xffff };
    struct device *d = device_begin(false);

    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(negotiate(d, 0, proposed[i], NULL), 0);
        assert_int_equal(minor_answered(d), proposed[i] < 2 ? proposed[i] : 2);
        device_detach(d);
    }
    device_down(d);
}

TEST(c3_2_the_major_is_0)
{
    struct device *d = device_begin(false);

    assert_int_equal(negotiate(d, 1, 0, NULL), EINVAL);
    client_close(d);
    assert_int_equal(negotiate(d, 0xffff, 0, NULL), EINVAL);
    device_down(d);
}

TEST(c3_2_json_is_optional_and_unknown_keys_are_ignored)
{
    struct device *d = device_begin(false);

    assert_accepted(d, NULL);
    assert_accepted(d, "{}");
    assert_accepted(d, "{\"capabilities\":{}}");
    assert_accepted(d, "{\"other\":[1,2,{}],\"capabilities\":{\"new\":{\"a\":true}}}");
    device_down(d);
}

TEST(c3_2_json_ends_with_its_nul_and_is_an_object)
{
    struct device *d = device_begin(false);

    assert_refused(d, "");
    assert_refused(d, "{");
    assert_refused(d, "null");
    assert_refused(d, "{} trailing");
    d->client = client_connect(d);
    post(d, VFIO_USER_VERSION, "\0\0\1\0{}", 6);    /* no NUL */
    assert_int_equal(vfu_attach_ctx(d->ctx), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(receive_reply(d, d->id, VFIO_USER_VERSION), EINVAL);
    device_down(d);
}

/* The original takes any value without "capabilities"; one that is no object says
 * nothing that could be relied on. */
TEST(c3_2_an_array_in_place_of_the_object_is_refused)
{
    struct device *d = device_begin(false);

    assert_refused(d, "[]");
    device_down(d);
}

TEST(c3_2_max_msg_fds_is_0_to_1024)
{
    struct device *d = device_begin(false);

    assert_accepted(d, CAPS("\"max_msg_fds\":0"));
    assert_accepted(d, CAPS("\"max_msg_fds\":1024"));
    assert_refused(d, CAPS("\"max_msg_fds\":1025"));
    assert_refused(d, CAPS("\"max_msg_fds\":-1"));
    device_down(d);
}

TEST(c3_2_max_data_xfer_size_is_at_least_1)
{
    struct device *d = device_begin(false);

    assert_accepted(d, CAPS("\"max_data_xfer_size\":1"));
    assert_accepted(d, CAPS("\"max_data_xfer_size\":4294967296"));
    assert_refused(d, CAPS("\"max_data_xfer_size\":0"));
    assert_refused(d, CAPS("\"max_data_xfer_size\":-4096"));
    device_down(d);
}

TEST(c3_2_a_value_of_the_wrong_type_is_refused)
{
    static const char *const bad[] = {
        "{\"capabilities\":7}", "{\"capabilities\":[]}", CAPS("\"max_msg_fds\":\"8\""),
        CAPS("\"max_msg_fds\":true"), CAPS("\"max_data_xfer_size\":{}"),
        CAPS("\"migration\":4096"), CAPS("\"migration\":{\"pgsize\":\"4096\"}"),
        CAPS("\"twin_socket\":true"), CAPS("\"twin_socket\":{\"supported\":1}"),
        CAPS("\"write_multiple\":1"),
    };
    struct device *d = device_begin(true);

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_refused(d, bad[i]);
    device_down(d);
}

TEST(c3_2_the_migration_page_size_is_the_systems_if_there_is_migration)
{
    struct device *d = device_begin(true);

    assert_accepted(d, CAPS("\"migration\":{\"pgsize\":4096}"));
    assert_accepted(d, CAPS("\"migration\":{\"pgsize\":0}"));
    assert_accepted(d, CAPS("\"migration\":{}"));
    assert_refused(d, CAPS("\"migration\":{\"pgsize\":8192}"));
    device_down(d);
    d = device_begin(false);
    assert_accepted(d, CAPS("\"migration\":{\"pgsize\":8192}"));
    device_down(d);
}

TEST(c3_2_the_reply_states_limits_always)
{
    struct device *d = device_begin(false);

    device_attach(d);
    assert_string_equal(json(d), CAPS("\"max_msg_fds\":8,\"max_data_xfer_size\":1048576,"
                                      "\"max_dma_maps\":16"));
    device_down(d);
}

TEST(c3_2_the_reply_states_features_only_when_proposed)
{
    struct device *d = device_begin(true);

    device_attach(d);
    assert_null(strstr(json(d), "migration"));
    assert_null(strstr(json(d), "twin_socket"));
    assert_null(strstr(json(d), "write_multiple"));
    assert_int_equal(d->reply.n_fds, 0);
    device_detach(d);
    device_attach_with(d,
                       CAPS("\"migration\":{\"pgsize\":4096},\"write_multiple\":true"));
    assert_non_null(strstr(json(d), "\"migration\":{\"pgsize\":4096}"));
    assert_non_null(strstr(json(d), "\"write_multiple\":true"));
    assert_int_equal(d->reply.n_fds, 0);
    device_down(d);
}

TEST(c3_2_a_device_without_migration_does_not_agree_to_it)
{
    struct device *d = device_begin(false);

    device_attach_with(d, CAPS("\"migration\":{\"pgsize\":4096}"));
    assert_null(strstr(json(d), "migration"));
    device_down(d);
}

TEST(c3_2_a_twin_socket_comes_with_its_descriptor)
{
    struct device *d = device_begin(false);
    int type = 0;
    socklen_t len = sizeof(type);

    device_attach_with(d, CAPS("\"twin_socket\":{\"supported\":true},\"max_msg_fds\":1"));
    assert_non_null(strstr(json(d),
                           "\"twin_socket\":{\"supported\":true,\"fd_index\":0}"));
    assert_int_equal(d->reply.n_fds, 1);
    assert_int_equal(getsockopt(d->reply.fds[0], SOL_SOCKET, SO_TYPE, &type, &len), 0);
    assert_int_equal(type, SOCK_STREAM);
    device_down(d);
}

TEST(c3_2_dma_messages_go_over_the_twin_socket_and_nothing_else_does)
{
    struct device *d = device_begin(false);
    struct peer *p = calloc(1, sizeof(*p));
    uint64_t entry[5];
    char data[4];
    int twin;

    device_attach_with(d, CAPS("\"twin_socket\":{\"supported\":true}"));
    assert_int_equal(d->reply.n_fds, 1);
    twin = dup(d->reply.fds[0]);
    assert_int_equal(dma_map(d, PEER_BASE, PAGE, -1), 0);
    assert_int_equal(vfu_addr_to_sgl(d->ctx, (void *)(uintptr_t)PEER_BASE, 4,
                                     (void *)entry, 1, PROT_READ), 1);
    memcpy(p->memory, "twin", 4);
    peer_begin(p, twin, 1);
    assert_int_equal(vfu_sgl_read(d->ctx, (void *)entry, 1, data, 0), 0);
    peer_end(p);
    assert_memory_equal(data, "twin", 4);
    assert_silent(d);
    assert_int_equal(region_read(d, 0, 0, 4), 0);
    close(twin);
    free(p);
    device_down(d);
}

TEST(c3_2_no_twin_socket_for_a_client_that_takes_no_descriptors)
{
    struct device *d = device_begin(false);

    device_attach_with(d, CAPS("\"twin_socket\":{\"supported\":true},\"max_msg_fds\":0"));
    assert_null(strstr(json(d), "twin_socket"));
    assert_int_equal(d->reply.n_fds, 0);
    device_detach(d);
    device_attach_with(d, CAPS("\"twin_socket\":{\"supported\":false}"));
    assert_null(strstr(json(d), "twin_socket"));
    assert_int_equal(d->reply.n_fds, 0);
    device_down(d);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(c3_2_a_second_version_is_einval_and_changes_nothing),
    VU_FD_TEST(c3_2_the_minor_is_the_lesser_of_the_clients_and_2),
    VU_FD_TEST(c3_2_the_major_is_0),
    VU_FD_TEST(c3_2_json_is_optional_and_unknown_keys_are_ignored),
    VU_FD_TEST(c3_2_json_ends_with_its_nul_and_is_an_object),
    VU_FD_TEST(c3_2_an_array_in_place_of_the_object_is_refused),
    VU_FD_TEST(c3_2_max_msg_fds_is_0_to_1024),
    VU_FD_TEST(c3_2_max_data_xfer_size_is_at_least_1),
    VU_FD_TEST(c3_2_a_value_of_the_wrong_type_is_refused),
    VU_FD_TEST(c3_2_the_migration_page_size_is_the_systems_if_there_is_migration),
    VU_FD_TEST(c3_2_the_reply_states_limits_always),
    VU_FD_TEST(c3_2_the_reply_states_features_only_when_proposed),
    VU_FD_TEST(c3_2_a_device_without_migration_does_not_agree_to_it),
    VU_FD_TEST(c3_2_a_twin_socket_comes_with_its_descriptor),
    VU_FD_TEST(c3_2_dma_messages_go_over_the_twin_socket_and_nothing_else_does),
    VU_FD_TEST(c3_2_no_twin_socket_for_a_client_that_takes_no_descriptors),
};

VU_TEST_MAIN(tests)
