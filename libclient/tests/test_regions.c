/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is known of regions: the questions, and good answers with their capabilities. Bad
 * answers are in test_malformed_regions.c.
 */
#include <fcntl.h>

#include "libclient/tests/known.h"

static void region_is_asked_for_once(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);
    const struct vfuc_region *r;

    (void)state;
    script_say(&s, "20000000 03000000 07000000 00000000"
               "0010000000000000 0000000000000000");
    assert_int_equal(vfuc_region_info(c, 7, &r), 0);
    script_heard(&s, 2, "0200 0500 30000000 00000000 00000000"
                 "20000000 00000000 07000000 00000000 0000000000000000 0000000000000000",
                 0);
    assert_int_equal(r->index, 7);
    assert_int_equal(r->flags, VFUC_REGION_READ | VFUC_REGION_WRITE);
    assert_int_equal(r->size, 0x1000);
    assert_int_equal(r->num_areas, 0);
    assert_int_equal(r->fd, -1);
    assert_int_equal(vfuc_region_info(c, 7, &r), 0);
    assert_int_equal(vfuc_region_info(c, 9, &r), -ERANGE);
    assert_int_equal(s.n_said, 3);
    known_done(&s, c);
}

static void absent_region_is_no_error(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);
    const struct vfuc_region *r;
    uint8_t byte;

    (void)state;
    script_say(&s, "20000000 00000000 05000000 00000000"
               "0000000000000000 0000000000000000");
    assert_int_equal(vfuc_region_info(c, 5, &r), 0);
    assert_int_equal(r->size, 0);
    assert_int_equal(vfuc_region_read(c, 5, 0, &byte, 1), -ERANGE);
    known_done(&s, c);
}

static void mappable_region_is_one_area_and_a_descriptor(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);
    const struct vfuc_region *r;

    (void)state;
    script_say(&s, "20000000 07000000 01000000 00000000"
               "0030000000000000 0000100000000000")->n_fds = 3;     /* 2 too many */
    assert_int_equal(vfuc_region_info(c, 1, &r), 0);
    assert_int_equal(r->flags, VFUC_REGION_READ | VFUC_REGION_WRITE | VFUC_REGION_MMAP);
    assert_true(fcntl(r->fd, F_GETFD) == FD_CLOEXEC);
    assert_int_equal(r->fd_offset, 0x100000);
    assert_int_equal(r->num_areas, 1);
    assert_int_equal(r->areas[0].offset, 0);
    assert_int_equal(r->areas[0].size, 0x3000);
    known_done(&s, c);
}

/* Capabilities: sparse areas (2), type, MSI-X mappable, one from the future. */
#define CHAIN \
    "20000000" /* cap_offset */ "0040000000000000 0000000000000000" \
    "0100 0100 50000000 02000000 00000000" /* at 0x20 */ \
    "0030000000000000 0010000000000000 0010000000000000 0010000000000000" \
    "0200 0100 60000000 63120000 42000000" /* at 0x50 */ \
    "0300 0100 68000000" /* at 0x60 */ \
    "9999 0700 00000000" /* at 0x68 */

static void chain_that_does_not_fit_is_asked_for_again(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);
    const struct vfuc_region *r;

    (void)state;
    script_say(&s, "70000000 07000000 02000000 00000000"
               "0040000000000000 0000000000000000")->n_fds = 1;
    script_say(&s, "70000000 0f000000 02000000" CHAIN)->n_fds = 1;
    assert_int_equal(vfuc_region_info(c, 2, &r), 0);
    script_heard(&s, 3, "0300 0500 30000000 00000000 00000000"
                 "70000000 00000000 02000000 00000000 0000000000000000 0000000000000000",
                 0);
    assert_int_equal(r->num_areas, 2);
    assert_int_equal(r->areas[0].offset, 0x1000);   /* in order, though sent in another */
    assert_int_equal(r->areas[0].size, 0x1000);
    assert_int_equal(r->areas[1].offset, 0x3000);
    assert_int_equal(r->areas[1].size, 0x1000);
    assert_true(r->has_type);
    assert_int_equal(r->type, 0x1263);
    assert_int_equal(r->subtype, 0x42);
    assert_true(r->msix_mappable);
    assert_true(r->fd >= 0);
    known_done(&s, c);
}

/* Seen in the field: MMAP without descriptor while the chain does not fit. */
static void first_of_two_replies_may_lack_the_descriptor(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);
    const struct vfuc_region *r;

    (void)state;
    script_say(&s, "70000000 07000000 02000000 00000000"
               "0040000000000000 0000000000000000");
    script_say(&s, "70000000 0f000000 02000000" CHAIN)->n_fds = 1;
    assert_int_equal(vfuc_region_info(c, 2, &r), 0);
    assert_int_equal(r->num_areas, 2);
    known_done(&s, c);
}

static void areas_of_an_unmappable_region_mean_nothing(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);
    const struct vfuc_region *r;

    (void)state;
    script_say(&s, "70000000 03000000 02000000 00000000"
               "0040000000000000 0000000000000000");
    script_say(&s, "70000000 0b000000 02000000" CHAIN)->n_fds = 1;
    assert_int_equal(vfuc_region_info(c, 2, &r), 0);
    assert_int_equal(r->num_areas, 0);
    assert_int_equal(r->fd, -1);
    known_done(&s, c);
}

static void areas_of_an_unknown_version_are_not_mappable(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);
    const struct vfuc_region *r;

    (void)state;
    script_say(&s, "40000000 07000000 00000000 00000000"
               "0020000000000000 0000000000000000")->n_fds = 1;
    script_say(&s, "40000000 0f000000 00000000 20000000 0020000000000000 0000000000000000"
               "0100 0200 00000000 01000000 00000000"
               "0000000000000000 0010000000000000")->n_fds = 1;
    assert_int_equal(vfuc_region_info(c, 0, &r), 0);
    assert_int_equal(r->num_areas, 0);
    known_done(&s, c);
}

static void growing_argsz_is_followed_a_few_times_only(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);
    const struct vfuc_region *r;

    (void)state;
    for (int i = 1; i < 10; i++) {
        struct line *l = script_say(&s, "21000000 07000000 00000000 00000000"
                                    "0020000000000000 0000000000000000");

        l->body[0] = (uint8_t)(0x20 + i);
    }
    assert_int_equal(vfuc_region_info(c, 0, &r), -EPROTO);
    assert_int_equal(s.n_said, 6);
    s.next = s.n_lines;
    known_done(&s, c);
}

static void descriptor_that_found_no_room_is_our_failure(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);
    const struct vfuc_region *r;

    (void)state;
    script_say(&s, "20000000 07000000 00000000 00000000"
               "0020000000000000 0000000000000000")->fds_lost = true;
    assert_int_equal(vfuc_region_info(c, 0, &r), -EMFILE);
    assert_false(s.closed);
    script_say(&s, "20000000 07000000 00000000 00000000"
               "0020000000000000 0000000000000000")->n_fds = 1;
    assert_int_equal(vfuc_region_info(c, 0, &r), 0);    /* asked again */
    known_done(&s, c);
}

static void refused_region_can_be_asked_for_again(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);
    const struct vfuc_region *r = NULL;

    (void)state;
    script_refuse(&s, 0);
    assert_int_equal(vfuc_region_info(c, 0, &r), -EREMOTEIO);
    assert_null(r);
    assert_int_equal(vfuc_last_errno(c), 0);
    assert_string_equal(vfuc_last_error(c),
                        "DEVICE_GET_REGION_INFO: the server refused, without a reason");
    script_say(&s, SAY_REGION0);
    assert_int_equal(vfuc_region_info(c, 0, &r), 0);
    known_done(&s, c);
}

/* Seen in one tree: a list of areas for which sparse_mmap_fds was not agreed on. */
static void areas_that_were_not_agreed_on_are_not_mappable(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);
    const struct vfuc_region *r;

    (void)state;
    script_say(&s, "50000000 07000000 00000000 00000000"
               "0020000000000000 0000000000000000")->n_fds = 1;
    script_say(&s, "50000000 0f000000 00000000 20000000 0020000000000000 0000000000000000"
               "0180 0100 00000000 01000000 00000000"
               "0000000000000000 0000000000000000 0010000000000000 00000000 00000000")
        ->n_fds = 1;
    assert_int_equal(vfuc_region_info(c, 0, &r), 0);
    assert_int_equal(r->num_areas, 0);
    known_done(&s, c);
}

/* 0x8001: offset, offset in the descriptor, size, number of the descriptor, padding. */
static void areas_may_share_descriptors_or_have_their_own(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, "\"sparse_mmap_fds\":true");
    int before = vu_test_open_fds();
    const struct vfuc_region *r;

    (void)state;
    assert_true(vfuc_negotiated(c)->sparse_mmap_fds);
    script_say(&s, "90000000 07000000 00000000 00000000"
               "0040000000000000 0000000000000000");
    script_say(&s, "90000000 0f000000 00000000 20000000 0040000000000000 ffffffffffffffff"
               "0180 0100 00000000 03000000 00000000"
               "0020000000000000 0000100000000000 0010000000000000 02000000 00000000"
               "0000000000000000 00f0ffffffffff7f ff0f000000000000 00000000 ffffffff"
               "0010000000000000 0000200000000000 0010000000000000 02000000 00000000")
        ->n_fds = 4;
    assert_int_equal(vfuc_region_info(c, 0, &r), 0);
    assert_int_equal(r->num_areas, 3);
    assert_int_equal(r->fd, -1);
    assert_int_equal(r->areas[0].offset, 0);
    assert_int_equal(r->areas[0].fd_offset, 0x7ffffffffffff000);
    assert_int_equal(r->areas[1].fd_offset, 0x200000);
    assert_int_equal(r->areas[2].fd_offset, 0x100000);
    assert_true(fcntl(r->areas[0].fd, F_GETFD) == FD_CLOEXEC);
    assert_int_equal(r->areas[1].fd, r->areas[2].fd);
    assert_int_not_equal(r->areas[0].fd, r->areas[1].fd);
    assert_int_equal(vu_test_open_fds(), before + 2);
    known_done(&s, c);
}

static void descriptor_of_an_area_that_found_no_room_is_our_failure(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, "\"sparse_mmap_fds\":true");
    const struct vfuc_region *r;
    struct line *l;

    (void)state;
    script_say(&s, "50000000 07000000 00000000 00000000"
               "0020000000000000 0000000000000000");
    l = script_say(&s, "50000000 0f000000 00000000 20000000 0020000000000000"
                   "0000000000000000 0180 0100 00000000 01000000 00000000"
                   "0000000000000000 0000000000000000 0010000000000000"
                   "01000000 00000000");
    l->n_fds = 1;
    l->fds_lost = true;
    assert_int_equal(vfuc_region_info(c, 0, &r), -EMFILE);
    assert_string_equal(vfuc_last_error(c), "no room for the descriptors of region 0");
    assert_false(s.closed);
    known_done(&s, c);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(region_is_asked_for_once),
    VU_FD_TEST(absent_region_is_no_error),
    VU_FD_TEST(mappable_region_is_one_area_and_a_descriptor),
    VU_FD_TEST(chain_that_does_not_fit_is_asked_for_again),
    VU_FD_TEST(first_of_two_replies_may_lack_the_descriptor),
    VU_FD_TEST(areas_of_an_unmappable_region_mean_nothing),
    VU_FD_TEST(areas_of_an_unknown_version_are_not_mappable),
    VU_FD_TEST(growing_argsz_is_followed_a_few_times_only),
    VU_FD_TEST(descriptor_that_found_no_room_is_our_failure),
    VU_FD_TEST(refused_region_can_be_asked_for_again),
    VU_FD_TEST(areas_that_were_not_agreed_on_are_not_mappable),
    VU_FD_TEST(areas_may_share_descriptors_or_have_their_own),
    VU_FD_TEST(descriptor_of_an_area_that_found_no_room_is_our_failure),
};

VU_TEST_MAIN(tests)
