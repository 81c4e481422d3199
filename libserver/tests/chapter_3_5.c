/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contract, chapter 3.5: DEVICE_FEATURE. Its reports of dirty pages are tested with
 * chapter 2.8, the states with 2.12.
 */
#include "libserver/tests/chapter.h"

#define GET   VFIO_DEVICE_FEATURE_GET
#define SET   VFIO_DEVICE_FEATURE_SET
#define PROBE VFIO_DEVICE_FEATURE_PROBE

TEST(c3_5_probe_says_which_features_and_methods_there_are)
{
    static const struct {
        uint32_t index, methods;
    } have[] = {
        { VFIO_DEVICE_FEATURE_MIGRATION, GET },
        { VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, GET | SET },
        { VFIO_DEVICE_FEATURE_DMA_LOGGING_START, SET },
        { VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP, SET },
        { VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, GET },
    };
    static const uint32_t asked[] = { 0, GET, SET, GET | SET };
    struct device *d = device_up_migrating();

    for (size_t i = 0; i < 5; i++) {
        for (size_t m = 0; m < 4; m++) {
            bool there = (asked[m] & ~have[i].methods) == 0;

            assert_int_equal(feature(d, 8, PROBE | asked[m] | have[i].index, NULL, 0),
                             there ? 0 : EINVAL);
        }
    }
    device_down(d);
}

TEST(c3_5_other_features_are_einval)
{
    static const uint32_t bad[] = { 0, 3, 4, 5, 9, 10, 0xffff };
    struct device *d = device_up_migrating();

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(feature(d, 64, PROBE | bad[i], NULL, 0), EINVAL);
        assert_int_equal(feature(d, 64, GET | bad[i], NULL, 0), EINVAL);
    }
    device_down(d);
}

TEST(c3_5_without_migration_callbacks_there_is_none)
{
    struct device *d = device_up();

    for (uint32_t index = 0; index < 10; index++)
        assert_int_equal(feature(d, 64, PROBE | index, NULL, 0), EINVAL);
    device_down(d);
}

TEST(c3_5_methods_that_a_feature_lacks_are_einval)
{
    struct device *d = device_up_migrating();
    uint64_t data[4] = { PAGE };

    assert_int_equal(feature(d, 64, FEATURE_SET(MIGRATION), data, 8), EINVAL);
    assert_int_equal(feature(d, 64, FEATURE_GET(DMA_LOGGING_START), data, 16), EINVAL);
    assert_int_equal(feature(d, 64, FEATURE_GET(DMA_LOGGING_STOP), NULL, 0), EINVAL);
    assert_int_equal(feature(d, 64, FEATURE_SET(DMA_LOGGING_REPORT), data, 24), EINVAL);
    device_down(d);
}

TEST(c3_5_exactly_one_method_and_no_other_flags)
{
    struct device *d = device_up_migrating();
    uint32_t running[2] = { VFIO_USER_DEVICE_STATE_RUNNING };

    assert_int_equal(feature(d, 16, VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, running, 8),
                     EINVAL);
    assert_int_equal(feature(d, 16, GET | SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
                             running, 8), EINVAL);
    for (int bit = 19; bit < 32; bit++)
        assert_int_equal(feature(d, 16, FEATURE_GET(MIGRATION) | 1u << bit, NULL, 0),
                         EINVAL);
    device_down(d);
}

TEST(c3_5_probe_and_set_answer_with_the_request)
{
    struct device *d = device_up_migrating();
    uint8_t data[8] = { VFIO_USER_DEVICE_STATE_RUNNING, 0, 0, 0, 9, 9, 9, 9 };

    assert_int_equal(feature(d, 16, FEATURE_PROBE(MIGRATION), data, sizeof(data)), 0);
    assert_int_equal(d->reply.len, 16);
    assert_memory_equal(d->reply.body + 8, data, sizeof(data));
    assert_int_equal(feature(d, 16, FEATURE_SET(MIG_DEVICE_STATE), data, sizeof(data)),
                     0);
    assert_int_equal(d->reply.len, 16);
    assert_memory_equal(d->reply.body + 8, data, sizeof(data));
    device_down(d);
}

TEST(c3_5_probe_and_set_refuse_an_argsz_below_the_request)
{
    struct device *d = device_up_migrating();
    uint32_t stop[2] = { VFIO_USER_DEVICE_STATE_STOP };

    assert_int_equal(feature(d, 15, FEATURE_PROBE(MIGRATION), stop, 8), EINVAL);
    assert_int_equal(feature(d, 7, FEATURE_PROBE(MIGRATION), NULL, 0), EINVAL);
    assert_int_equal(feature(d, 15, FEATURE_SET(MIG_DEVICE_STATE), stop, 8), EINVAL);
    assert_int_equal(feature(d, 7, FEATURE_SET(DMA_LOGGING_STOP), NULL, 0), EINVAL);
    assert_events(d, "");
    device_down(d);
}

TEST(c3_5_get_migration_says_stop_copy_and_pre_copy)
{
    static const uint8_t answer[] = { 16, 0, 0, 0, 1, 0, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0 };
    struct device *d = device_up_migrating();

    assert_int_equal(feature(d, 15, FEATURE_GET(MIGRATION), NULL, 0), EINVAL);
    for (uint32_t argsz = 16; argsz < 5000; argsz += 4000) {
        assert_int_equal(feature(d, argsz, FEATURE_GET(MIGRATION), NULL, 0), 0);
        assert_int_equal(d->reply.len, sizeof(answer));
        assert_memory_equal(d->reply.body, answer, sizeof(answer));
    }
    device_down(d);
}

TEST(c3_5_get_state_says_state_and_no_descriptor)
{
    static const uint8_t answer[] = { 16, 0, 0, 0, 2, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0 };
    struct device *d = device_up_migrating();

    assert_int_equal(feature(d, 15, FEATURE_GET(MIG_DEVICE_STATE), NULL, 0), EINVAL);
    assert_int_equal(feature(d, 16, FEATURE_GET(MIG_DEVICE_STATE), NULL, 0), 0);
    assert_int_equal(d->reply.len, sizeof(answer));
    assert_memory_equal(d->reply.body, answer, sizeof(answer));
    assert_int_equal(d->reply.n_fds, 0);
    device_down(d);
}

TEST(c3_5_bodies_shorter_than_their_data_are_einval)
{
    struct device *d = device_up_migrating();
    uint8_t data[24] = { 0, 0x10 };

    for (size_t len = 0; len < 8; len++) {
        assert_int_equal(ask(d, VFIO_USER_DEVICE_FEATURE, data, len), EINVAL);
        assert_int_equal(feature(d, 64, FEATURE_SET(MIG_DEVICE_STATE), data, len),
                         EINVAL);
    }
    for (size_t len = 0; len < 16; len++)
        assert_int_equal(feature(d, 64, FEATURE_SET(DMA_LOGGING_START), data, len),
                         EINVAL);
    for (size_t len = 0; len < 24; len++)
        assert_int_equal(feature(d, 64, FEATURE_GET(DMA_LOGGING_REPORT), data, len),
                         EINVAL);
    assert_events(d, "");
    device_down(d);
}

TEST(c3_5_start_and_stop_answer_with_the_request)
{
    struct vfio_user_device_feature_dma_logging_control c = { .page_size = PAGE };
    struct device *d = device_up_migrating();

    assert_int_equal(feature(d, 24, FEATURE_SET(DMA_LOGGING_START), &c, sizeof(c)), 0);
    assert_int_equal(d->reply.len, 8 + sizeof(c));
    assert_memory_equal(d->reply.body + 8, &c, sizeof(c));
    assert_int_equal(feature(d, 8, FEATURE_SET(DMA_LOGGING_STOP), NULL, 0), 0);
    assert_int_equal(d->reply.len, 8);
    device_down(d);
}

TEST(c3_5_a_report_has_one_bit_per_page_in_words_of_8_bytes)
{
    struct vfio_user_device_feature_dma_logging_control c = { .page_size = PAGE };
    struct vfio_user_device_feature_dma_logging_report r = { 0x100000, 0, PAGE };
    struct device *d = device_up_migrating();
    int memory = new_memory(200 * PAGE);

    assert_int_equal(dma_map(d, 0x100000, 200 * PAGE, memory), 0);
    assert_int_equal(feature(d, 24, FEATURE_SET(DMA_LOGGING_START), &c, sizeof(c)), 0);
    for (uint64_t pages = 1; pages <= 200; pages += pages == 1 ? 62 : 1) {
        uint32_t argsz, bytes = (uint32_t)((pages + 63) / 64 * 8);

        r.length = pages * PAGE;
        assert_int_equal(feature(d, 4096, FEATURE_GET(DMA_LOGGING_REPORT), &r, sizeof(r)),
                         0);
        assert_int_equal(d->reply.len, 8 + 24 + bytes);
        memcpy(&argsz, d->reply.body, 4);
        assert_int_equal(argsz, 8 + 24 + bytes);
        assert_int_equal(feature(d, 8 + 24 + bytes - 1, FEATURE_GET(DMA_LOGGING_REPORT),
                                 &r, sizeof(r)), EINVAL);
    }
    close(memory);
    device_down(d);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(c3_5_probe_says_which_features_and_methods_there_are),
    VU_FD_TEST(c3_5_other_features_are_einval),
    VU_FD_TEST(c3_5_without_migration_callbacks_there_is_none),
    VU_FD_TEST(c3_5_methods_that_a_feature_lacks_are_einval),
    VU_FD_TEST(c3_5_exactly_one_method_and_no_other_flags),
    VU_FD_TEST(c3_5_probe_and_set_answer_with_the_request),
    VU_FD_TEST(c3_5_probe_and_set_refuse_an_argsz_below_the_request),
    VU_FD_TEST(c3_5_get_migration_says_stop_copy_and_pre_copy),
    VU_FD_TEST(c3_5_get_state_says_state_and_no_descriptor),
    VU_FD_TEST(c3_5_bodies_shorter_than_their_data_are_einval),
    VU_FD_TEST(c3_5_start_and_stop_answer_with_the_request),
    VU_FD_TEST(c3_5_a_report_has_one_bit_per_page_in_words_of_8_bytes),
};

VU_TEST_MAIN(tests)
