/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules that hold for every command, and VERSION, through vus_process().
 */
#include "libserver/tests/core.h"

#include <stdio.h>

#include "wire/caps.h"

static const uint16_t served[] = {
    VU_DMA_MAP, VU_DMA_UNMAP, VU_DEVICE_GET_INFO, VU_DEVICE_GET_REGION_INFO,
    VU_DEVICE_GET_IRQ_INFO, VU_DEVICE_SET_IRQS, VU_REGION_READ, VU_REGION_WRITE,
};
static const size_t served_min[] = { 32, 24, 16, 32, 16, 20, 16, 16 };

#define N_SERVED (sizeof(served) / sizeof(served[0]))

static const uint8_t info_request[VU_DEVICE_INFO_SIZE] = { 16 };    /* argsz */

/* --------------------------------------------------------------- header -- */

static void get_info_tells_a_resettable_pci_device(void **state)
{
    struct core c;
    struct answer a;
    struct vu_device_info info;

    (void)state;
    core_begin(&c);
    a = core_send(&c, VU_DEVICE_GET_INFO, info_request, sizeof(info_request));
    assert_answer_ok(&a, VU_DEVICE_INFO_SIZE);
    DECODE(device_info, &a, &info);
    assert_int_equal(info.argsz, 16);
    assert_int_equal(info.flags, VU_DEVICE_RESETTABLE | VU_DEVICE_PCI);
    assert_int_equal(info.num_regions, 9);
    assert_int_equal(info.num_irqs, 5);
    core_end(&c);
}

static void get_info_refuses_small_argsz(void **state)
{
    struct core c;
    struct answer a;
    uint8_t body[VU_DEVICE_INFO_SIZE] = { 15 };

    (void)state;
    core_begin(&c);
    a = core_send(&c, VU_DEVICE_GET_INFO, body, sizeof(body));
    assert_answer_error(&a, EINVAL);
    core_end(&c);
}

static void every_shorter_body_is_refused(void **state)
{
    static const uint8_t zeros[64];
    struct core c;

    (void)state;
    core_begin(&c);
    for (size_t i = 0; i < N_SERVED; i++) {
        for (size_t len = 0; len < served_min[i]; len++) {
            struct answer a = core_send(&c, served[i], zeros, len);

            assert_answer_error(&a, EINVAL);
            assert_int_equal(c.outcome, VUS_SERVED);
        }
    }
    core_end(&c);
}

static void padding_after_fixed_bodies_is_accepted(void **state)
{
    uint8_t body[4064] = { 64, 0, 0, 0 };
    struct core c;
    struct answer a;

    (void)state;
    core_begin(&c);
    a = core_send(&c, VU_DEVICE_GET_INFO, body, sizeof(body));
    assert_answer_ok(&a, VU_DEVICE_INFO_SIZE);
    a = core_send(&c, VU_DEVICE_GET_REGION_INFO, body, sizeof(body));
    assert_answer_ok(&a, VU_REGION_INFO_SIZE);
    a = core_send(&c, VU_DEVICE_GET_IRQ_INFO, body, sizeof(body));
    assert_answer_ok(&a, VU_IRQ_INFO_SIZE);
    a = core_send(&c, VU_DEVICE_RESET, body, sizeof(body));
    assert_answer_ok(&a, 0);
    core_end(&c);
}

static void unknown_commands_are_refused(void **state)
{
    static const uint16_t unknown[] = { 0, 14, 19, 20, 255, 4711, 65535 };
    struct core c;

    (void)state;
    core_begin(&c);
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        struct answer a = core_send(&c, unknown[i], info_request, sizeof(info_request));

        assert_answer_error(&a, EINVAL);
        assert_int_equal(c.outcome, VUS_SERVED);
    }
    core_end(&c);
}

static void commands_for_clients_are_refused(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    core_begin(&c);
    a = core_send(&c, VU_DMA_READ, info_request, sizeof(info_request));
    assert_answer_error(&a, EINVAL);
    a = core_send(&c, VU_DMA_WRITE, info_request, sizeof(info_request));
    assert_answer_error(&a, EINVAL);
    core_end(&c);
}

static void no_reply_is_honoured_and_the_command_carried_out(void **state)
{
    struct core c;

    (void)state;
    core_begin(&c);
    core_post(&c, VU_DEVICE_RESET, NULL, 0);
    assert_int_equal(c.seen.resets, 1);
    c.how.reset_errno = EIO;
    core_post(&c, VU_DEVICE_RESET, NULL, 0);
    assert_int_equal(c.seen.resets, 2);
    core_post(&c, 4711, NULL, 0);
    core_post(&c, VU_DEVICE_GET_INFO, info_request, 1);
    core_end(&c);
}

static void error_and_reserved_bits_of_a_command_are_ignored(void **state)
{
    struct vu_header h = {
        .msg_id = 7,
        .command = VU_DEVICE_GET_INFO,
        .flags = VU_F_ERROR | 0xffffffc0u,
        .error = 22,
    };
    struct core c;
    struct answer a;

    (void)state;
    core_begin(&c);
    a = core_process(&c, h, info_request, sizeof(info_request), NULL, 0);
    assert_answer_ok(&a, VU_DEVICE_INFO_SIZE);
    core_end(&c);
}

static void replies_are_ignored(void **state)
{
    struct vu_header h = { .command = VU_DEVICE_RESET, .flags = VU_F_TYPE_REPLY };
    struct core c;
    struct answer a;

    (void)state;
    core_begin(&c);
    a = core_process(&c, h, NULL, 0, NULL, 0);
    assert_int_equal(a.len, 0);
    assert_int_equal(c.outcome, VUS_REFUSED);
    assert_int_equal(c.seen.resets, 0);
    core_end(&c);
}

static void undefined_types_get_an_error(void **state)
{
    struct core c;

    (void)state;
    core_begin(&c);
    for (uint32_t type = 2; type < 16; type++) {
        struct vu_header h = { .command = VU_DEVICE_RESET, .flags = type };
        struct answer a = core_process(&c, h, NULL, 0, NULL, 0);

        assert_answer_error(&a, EINVAL);
        assert_int_equal(c.outcome, VUS_REFUSED);
    }
    assert_int_equal(c.seen.resets, 0);
    core_end(&c);
}

/* core_process() closes what nobody took, as the run loop does. */
static void no_command_leaks_descriptors(void **state)
{
    struct core c;
    int fds[VU_MAX_MSG_FDS];

    (void)state;
    core_begin(&c);
    for (size_t i = 0; i < VU_MAX_MSG_FDS; i++)
        fds[i] = 0;
    for (uint16_t command = 0; command < 25; command++) {
        for (size_t n = 1; n <= VU_MAX_MSG_FDS; n += 126) {
            int before = vu_test_open_fds();

            core_send_fds(&c, command, info_request, sizeof(info_request), fds, n);
            assert_int_equal(vu_test_open_fds(), before);
        }
    }
    core_end(&c);
}

/* Process a command some of whose descriptors did not arrive. */
static struct answer send_with_losses(struct core *c, uint16_t command, const void *body,
                                      size_t len)
{
    struct vu_header h = { .command = command, .size = (uint32_t)(VU_HEADER_SIZE + len) };

    vu_message_init(&c->m, &h, body, len);
    c->m.fds_lost = true;
    vu_buffer_truncate(&c->out, 0);
    c->reply.out = &c->out;
    c->outcome = vus_process(c->ctx, &c->m, &c->reply);
    return core_answer(c);
}

static void lost_descriptors_fail_the_command(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    core_new(&c);
    a = send_with_losses(&c, VU_VERSION, "\0\0\0\0", 4);
    assert_answer_error(&a, EINVAL);
    assert_int_equal(c.outcome, VUS_FATAL);
    core_version(&c, 0, 0, NULL);
    a = send_with_losses(&c, VU_DEVICE_GET_INFO, info_request, sizeof(info_request));
    assert_answer_error(&a, EINVAL);
    assert_int_equal(c.outcome, VUS_SERVED);
    core_end(&c);
}

/* Replies may be appended behind others; they stay where they are. */
static void replies_gather_in_one_buffer(void **state)
{
    struct core c;
    struct vu_message m;
    struct vu_header h = { .command = VU_DEVICE_GET_INFO, .size = 32 };

    (void)state;
    core_begin(&c);
    vu_buffer_truncate(&c.out, 0);
    for (size_t i = 0; i < 100; i++) {
        h.msg_id = (uint16_t)i;
        h.command = i % 2 != 0 ? VU_DEVICE_GET_INFO : 4711;
        vu_message_init(&m, &h, info_request, sizeof(info_request));
        assert_int_equal(vus_process(c.ctx, &m, &c.reply), VUS_SERVED);
    }
    assert_int_equal(c.out.len, 50 * 16 + 50 * 32);
    for (size_t i = 0, at = 0; i < 100; i++) {
        struct vu_reader r = vu_reader(c.out.data + at, c.out.len - at);

        assert_int_equal(vu_decode_header(&r, &h), 0);
        assert_int_equal(h.msg_id, i);
        assert_int_equal(h.size, i % 2 != 0 ? 32 : 16);
        at += h.size;
    }
    core_end(&c);
}

static void no_room_for_a_reply_drops_the_client(void **state)
{
    struct core c;

    (void)state;
    core_begin(&c);
    c.out.limit = 8;
    core_send(&c, VU_DEVICE_GET_INFO, info_request, sizeof(info_request));
    assert_int_equal(c.outcome, VUS_FATAL);
    assert_int_equal(c.out.len, 0);
    c.out.limit = 20;   /* room for an error */
    core_send(&c, VU_DEVICE_GET_INFO, info_request, sizeof(info_request));
    assert_int_equal(c.outcome, VUS_SERVED);
    assert_int_equal(c.out.len, 16);
    core_end(&c);
}

static void device_reset_reports_the_callbacks_errno(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    core_begin(&c);
    a = core_send(&c, VU_DEVICE_RESET, NULL, 0);
    assert_answer_ok(&a, 0);
    assert_int_equal(c.seen.reset_type, VFU_RESET_DEVICE);
    c.how.reset_errno = ENXIO;
    a = core_send(&c, VU_DEVICE_RESET, NULL, 0);
    assert_answer_error(&a, ENXIO);
    vfu_setup_device_reset_cb(c.ctx, NULL);
    a = core_send(&c, VU_DEVICE_RESET, NULL, 0);
    assert_answer_ok(&a, 0);
    core_end(&c);
}

static void a_broken_header_gets_an_error(void **state)
{
    struct vu_header h = { .msg_id = 3, .command = VU_DMA_MAP, .size = 15 };
    struct core c;
    struct answer a;

    (void)state;
    core_begin(&c);
    vu_message_init(&c.m, &h, NULL, 0);
    vu_buffer_truncate(&c.out, 0);
    c.reply.out = &c.out;
    vus_refuse_framing(c.ctx, &c.m, &c.reply);
    a = core_answer(&c);
    assert_answer_error(&a, EINVAL);
    c.m.h.flags = VU_F_TYPE_REPLY;
    vus_refuse_framing(c.ctx, &c.m, &c.reply);
    assert_int_equal(vus_reply_len(&c.reply), 0);
    core_end(&c);
}

/* -------------------------------------------------------------- VERSION -- */

static void minor_is_the_lesser_of_both(void **state)
{
    static const uint16_t proposed[] = { 0, 1, 2, 3, 65535 };
    static const uint16_t answered[] = { 0, 1, 2, 2, 2 };

    (void)state;
    for (size_t i = 0; i < sizeof(proposed) / sizeof(proposed[0]); i++) {
        struct core c;
        struct answer a;
        struct vu_version v;

        core_new(&c);
        a = core_version(&c, 0, proposed[i], NULL);
        assert_int_equal(c.outcome, VUS_SERVED);
        DECODE(version, &a, &v);
        assert_int_equal(v.major, 0);
        assert_int_equal(v.minor, answered[i]);
        core_end(&c);
    }
}

static struct vu_caps answered_caps(const char *json)
{
    struct core c;
    struct answer a;
    struct vu_version v;
    struct vu_caps caps;

    core_new(&c);
    a = core_version(&c, 0, 0, json);
    assert_int_equal(c.outcome, VUS_SERVED);
    assert_int_equal(a.n_fds, 0);
    assert_true(a.len <= 160);      /* clients exist with room for 214 bytes */
    DECODE(version, &a, &v);
    assert_int_equal(v.data.data[v.data.len - 1], '\0');
    assert_int_equal(vu_caps_parse(&caps, v.data.data, v.data.len, NULL, 0), 0);
    core_end(&c);
    return caps;
}

static void limits_are_always_stated_and_features_not_proposed_never(void **state)
{
    static const char *proposals[] = {
        NULL, "{}", "{\"capabilities\":{}}",
        "{\"capabilities\":{\"max_msg_fds\":16,\"max_data_xfer_size\":1048576,"
        "\"pgsizes\":4096,\"max_dma_maps\":65535,\"write_multiple\":true,"
        "\"migration\":{\"pgsize\":4096,\"max_bitmap_size\":268435456},"
        "\"twin_socket\":{\"supported\":false},\"sparse_mmap_fds\":true,\"new\":[1]}}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(proposals) / sizeof(proposals[0]); i++) {
        struct vu_caps caps = answered_caps(proposals[i]);

        assert_true(caps.has_max_msg_fds && caps.max_msg_fds == 8);
        assert_true(caps.has_max_data_xfer_size && caps.max_data_xfer_size == 1048576);
        assert_true(caps.has_max_dma_maps && caps.max_dma_maps == MAX_MAPS);
        assert_false(caps.has_pgsizes || caps.has_twin_socket);
        assert_int_equal(caps.has_write_multiple, i == 3);
        assert_false(caps.has_migration || caps.has_sparse_mmap_fds);
    }
}

static void max_dma_maps_is_the_lesser_of_both(void **state)
{
    struct vu_caps caps = answered_caps("{\"capabilities\":{\"max_dma_maps\":3}}");

    (void)state;
    assert_int_equal(caps.max_dma_maps, 3);
    caps = answered_caps("{\"capabilities\":{\"max_dma_maps\":1000}}");
    assert_int_equal(caps.max_dma_maps, MAX_MAPS);
    caps = answered_caps("{\"capabilities\":{\"max_dma_maps\":0}}");
    assert_false(caps.has_max_dma_maps);
}

static void bad_proposals_are_refused_and_end_the_connection(void **state)
{
    static const char *bad[] = {
        "", "[]", "null", "{", "{\"capabilities\":1}",
        "{\"capabilities\":{\"max_msg_fds\":\"8\"}}",
        "{\"capabilities\":{\"max_msg_fds\":-1}}",
        "{\"capabilities\":{\"max_msg_fds\":1025}}",
        "{\"capabilities\":{\"max_data_xfer_size\":0}}",
        "{\"capabilities\":{\"max_data_xfer_size\":1.5}}",
        "{\"capabilities\":{\"twin_socket\":true}}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct core c;
        struct answer a;

        core_new(&c);
        a = core_version(&c, 0, 0, bad[i]);
        assert_answer_error(&a, EINVAL);
        assert_int_equal(c.outcome, VUS_FATAL);
        assert_false(c.ctx->session.negotiated);
        core_end(&c);
    }
}

static void json_without_its_nul_is_refused(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    core_new(&c);
    a = core_send(&c, VU_VERSION, "\0\0\0\0{}", 6);
    assert_answer_error(&a, EINVAL);
    assert_int_equal(c.outcome, VUS_FATAL);
    core_end(&c);
}

static void another_major_is_refused(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    core_new(&c);
    a = core_version(&c, 1, 0, NULL);
    assert_answer_error(&a, EINVAL);
    assert_int_equal(c.outcome, VUS_FATAL);
    core_end(&c);
}

static void a_short_version_is_refused(void **state)
{
    (void)state;
    for (size_t len = 0; len < VU_VERSION_SIZE; len++) {
        struct core c;
        struct answer a;

        core_new(&c);
        a = core_send(&c, VU_VERSION, "\0\0\0\0", len);
        assert_answer_error(&a, EINVAL);
        assert_int_equal(c.outcome, VUS_FATAL);
        core_end(&c);
    }
}

static void the_first_message_is_version_or_the_last(void **state)
{
    (void)state;
    for (uint16_t command = 0; command < 25; command++) {
        struct core c;
        struct answer a;

        if (command == VU_VERSION)
            continue;
        core_new(&c);
        a = core_send(&c, command, info_request, sizeof(info_request));
        assert_answer_error(&a, EINVAL);
        assert_int_equal(c.outcome, VUS_FATAL);
        core_end(&c);
    }
}

static void a_reply_as_first_message_is_not_answered(void **state)
{
    struct vu_header h = { .command = VU_VERSION, .flags = VU_F_TYPE_REPLY };
    struct core c;
    struct answer a;

    (void)state;
    core_new(&c);
    a = core_process(&c, h, "\0\0\0\0", 4, NULL, 0);
    assert_int_equal(a.len, 0);
    assert_int_equal(c.outcome, VUS_FATAL);
    core_end(&c);
}

static void a_second_version_fails_and_changes_nothing(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    core_begin_with(&c, "{\"capabilities\":{\"max_msg_fds\":4,\"max_dma_maps\":5}}");
    a = core_version(&c, 0, 2, "{\"capabilities\":{\"max_msg_fds\":16}}");
    assert_answer_error(&a, EINVAL);
    assert_int_equal(c.outcome, VUS_SERVED);
    assert_int_equal(c.ctx->session.minor, 1);
    assert_int_equal(c.ctx->session.max_msg_fds, 4);
    assert_int_equal(c.ctx->session.max_dma_maps, 5);
    core_end(&c);
}

static void version_with_no_reply_is_not_answered(void **state)
{
    struct core c;

    (void)state;
    core_new(&c);
    core_post(&c, VU_VERSION, "\0\0\0\0", 4);
    assert_int_equal(c.outcome, VUS_SERVED);
    assert_true(c.ctx->session.negotiated);
    core_end(&c);
}

/* ------------------------------------------------------------------ log -- */

static char last_line[BUFSIZ];
static int last_level, n_lines;

static void keep_line(vfu_ctx_t *ctx, int level, const char *msg)
{
    assert_non_null(vfu_get_private(ctx));
    snprintf(last_line, sizeof(last_line), "%s", msg);
    last_level = level;
    n_lines++;
    errno = 4711;
}

static void log_obeys_its_level_and_keeps_errno(void **state)
{
    struct core c;

    (void)state;
    core_begin(&c);
    assert_int_equal(vfu_setup_log(c.ctx, keep_line, LOG_DEBUG + 1), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(vfu_setup_log(c.ctx, keep_line, -1), -1);
    assert_int_equal(vfu_setup_log(c.ctx, keep_line, LOG_WARNING), 0);
    n_lines = 0;
    vfu_log(c.ctx, LOG_INFO, "no");
    assert_int_equal(n_lines, 0);
    errno = 17;
    vfu_log(c.ctx, LOG_WARNING, "%s %d", "number", 5);
    assert_int_equal(errno, 17);
    assert_string_equal(last_line, "number 5");
    assert_int_equal(last_level, LOG_WARNING);
    assert_int_equal(vfu_setup_log(c.ctx, NULL, LOG_DEBUG), 0);
    vfu_log(c.ctx, LOG_ERR, "nobody listens");
    assert_int_equal(n_lines, 1);
    core_end(&c);
}

static void log_says_what_the_client_did_wrong(void **state)
{
    struct core c;

    (void)state;
    core_begin(&c);
    assert_int_equal(vfu_setup_log(c.ctx, keep_line, LOG_WARNING), 0);
    n_lines = 0;
    core_send(&c, VU_DEVICE_GET_INFO, info_request, sizeof(info_request));
    assert_int_equal(n_lines, 0);
    core_send(&c, VU_DMA_READ, info_request, sizeof(info_request));
    assert_int_equal(n_lines, 1);
    assert_non_null(strstr(last_line, "DMA_READ"));
    assert_int_equal(vfu_setup_log(c.ctx, keep_line, LOG_DEBUG), 0);
    n_lines = 0;
    core_send(&c, VU_DEVICE_GET_INFO, info_request, sizeof(info_request));
    assert_int_equal(n_lines, 2);   /* the request and the reply */
    core_end(&c);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(get_info_tells_a_resettable_pci_device),
    VU_FD_TEST(get_info_refuses_small_argsz),
    VU_FD_TEST(every_shorter_body_is_refused),
    VU_FD_TEST(padding_after_fixed_bodies_is_accepted),
    VU_FD_TEST(unknown_commands_are_refused),
    VU_FD_TEST(commands_for_clients_are_refused),
    VU_FD_TEST(no_reply_is_honoured_and_the_command_carried_out),
    VU_FD_TEST(error_and_reserved_bits_of_a_command_are_ignored),
    VU_FD_TEST(replies_are_ignored),
    VU_FD_TEST(undefined_types_get_an_error),
    VU_FD_TEST(no_command_leaks_descriptors),
    VU_FD_TEST(lost_descriptors_fail_the_command),
    VU_FD_TEST(replies_gather_in_one_buffer),
    VU_FD_TEST(no_room_for_a_reply_drops_the_client),
    VU_FD_TEST(device_reset_reports_the_callbacks_errno),
    VU_FD_TEST(a_broken_header_gets_an_error),
    VU_FD_TEST(minor_is_the_lesser_of_both),
    VU_FD_TEST(limits_are_always_stated_and_features_not_proposed_never),
    VU_FD_TEST(max_dma_maps_is_the_lesser_of_both),
    VU_FD_TEST(bad_proposals_are_refused_and_end_the_connection),
    VU_FD_TEST(json_without_its_nul_is_refused),
    VU_FD_TEST(another_major_is_refused),
    VU_FD_TEST(a_short_version_is_refused),
    VU_FD_TEST(the_first_message_is_version_or_the_last),
    VU_FD_TEST(a_reply_as_first_message_is_not_answered),
    VU_FD_TEST(a_second_version_fails_and_changes_nothing),
    VU_FD_TEST(version_with_no_reply_is_not_answered),
    VU_FD_TEST(log_obeys_its_level_and_keeps_errno),
    VU_FD_TEST(log_says_what_the_client_did_wrong),
};

VU_TEST_MAIN(tests)
