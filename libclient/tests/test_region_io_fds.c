/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptors for parts of a region: the question, entries of either size, and what
 * becomes of them with the connection.
 *
 * The reply is typed as argsz flags index count, then for each entry
 *   offset size fd_index type flags padding datamatch, 40 bytes.
 */
#include "libclient/region.h"

#include <fcntl.h>

#include "libclient/tests/known.h"

/* Room for 32 entries: 0x510 bytes. */
#define ASKED(id, argsz) \
    id " 0600 20000000 00000000 00000000" argsz "00000000 00000000 00000000"

#define ENTRY(offset, size, fd, type, flags, data) \
    offset "000000000000" size "000000000000" fd type flags "00000000" data "000000000000"

#define TWO \
    "60000000 00000000 00000000 02000000" \
    ENTRY("1000", "0400", "01000000", "00000000", "01000000", "3412") \
    ENTRY("0020", "0000", "ffffffff", "01000000", "02000000", "7856")

/* TWO ends beyond region 0 of SAY_REGION0 with its second entry; this one fits. */
#define SAY_LARGE \
    "20000000 03000000 00000000 00000000 0030000000000000 0000000000000000"

static void entries_are_asked_for_once(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, NULL, SAY_LARGE);
    const struct vfuc_io_fd *e = NULL, *again = NULL;
    int before = vu_test_open_fds();

    (void)state;
    script_say(&s, TWO)->n_fds = 2;     /* the first is nobody's */
    assert_int_equal(vfuc_region_io_fds(c, 0, &e), 2);
    script_heard(&s, 3, ASKED("0300", "10050000"), 0);
    assert_int_equal(e[0].offset, 0x10);
    assert_int_equal(e[0].size, 4);
    assert_int_equal(e[0].type, VFUC_IO_FD_IOEVENTFD);
    assert_int_equal(e[0].flags, 1);
    assert_int_equal(e[0].data, 0x1234);
    assert_int_equal(fcntl(e[0].fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(e[1].offset, 0x2000);
    assert_int_equal(e[1].size, 0);
    assert_int_equal(e[1].type, VFUC_IO_FD_IOREGIONFD);
    assert_int_equal(e[1].flags, 2);
    assert_int_equal(e[1].data, 0x5678);
    assert_int_equal(e[1].fd, -1);
    assert_int_equal(vu_test_open_fds(), before + 1);
    assert_int_equal(vfuc_region_io_fds(c, 0, &again), 2);
    assert_ptr_equal(again, e);
    assert_int_equal(s.n_said, 4);
    assert_int_equal(vfuc_region_io_fds(c, 9, &e), -ERANGE);
    known_done(&s, c);
}

static void region_may_have_none(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, NULL, SAY_REGION0);
    const struct vfuc_io_fd *e;

    (void)state;
    script_say(&s, "10000000 00000000 00000000 00000000");
    assert_int_equal(vfuc_region_io_fds(c, 0, &e), 0);
    assert_int_equal(vfuc_region_io_fds(c, 0, &e), 0);
    assert_int_equal(s.n_said, 4);
    known_done(&s, c);
}

static void server_that_does_not_know_the_command_can_be_asked_again(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, NULL, SAY_REGION0);
    const struct vfuc_io_fd *e = NULL;

    (void)state;
    script_refuse(&s, 95);
    assert_int_equal(vfuc_region_io_fds(c, 0, &e), -EREMOTEIO);
    assert_int_equal(vfuc_last_errno(c), EOPNOTSUPP);
    assert_null(e);
    script_say(&s, "10000000 00000000 00000000 00000000");
    assert_int_equal(vfuc_region_io_fds(c, 0, &e), 0);
    known_done(&s, c);
}

/* Deployed servers: shadow_mem_fd_index at 28, shadow_offset at 32, datamatch at 40. */
static void datamatch_of_a_longer_entry_lies_behind_its_shadow(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, NULL, SAY_REGION0);
    const struct vfuc_io_fd *e;

    (void)state;
    script_say(&s, "70000000 00000000 00000000 02000000"
               "0000000000000000 0400000000000000 00000000 02000000 01000000 01000000"
               "0000000000000011 efbe000000000000"
               "0400000000000000 0400000000000000 00000000 00000000 00000000 ffffffff"
               "0000000000000022 fecaffffffffffff")->n_fds = 2;
    assert_int_equal(vfuc_region_io_fds(c, 0, &e), 2);
    assert_int_equal(e[0].type, VFUC_IO_FD_IOEVENTFD_SHADOW);
    assert_int_equal(e[0].data, 0xbeef);
    assert_int_equal(e[1].offset, 4);
    assert_int_equal(e[1].data, 0xffffffffffffcafe);
    assert_int_equal(e[0].fd, e[1].fd);     /* one for both */
    known_done(&s, c);
}

/* A later revision: 56 bytes, the first 40 of which are as they were. */
static void what_is_behind_a_known_entry_is_passed_over(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, NULL, SAY_REGION0);
    const struct vfuc_io_fd *e;

    (void)state;
    script_say(&s, "48000000 00000000 00000000 01000000"
               "0000000000000000 0400000000000000 00000000 00000000 01000000 00000000"
               "efbe000000000000 1111111111111111 2222222222222222")->n_fds = 1;
    assert_int_equal(vfuc_region_io_fds(c, 0, &e), 1);
    assert_int_equal(e[0].data, 0xbeef);
    known_done(&s, c);
}

/* Seen in the field: the count is there although the entries did not fit. */
static void entries_that_did_not_fit_are_asked_for_again(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, NULL, SAY_REGION0);
    const struct vfuc_io_fd *e;
    struct line *l;
    const uint32_t n = 40, argsz = 16 + 40 * 40;

    (void)state;
    script_say(&s, "50060000 00000000 00000000 28000000");
    l = script_say(&s, "50060000 00000000 00000000 28000000");
    l->n_fds = 1;
    l->body = realloc(l->body, argsz);
    assert_non_null(l->body);
    memset(l->body + 16, 0, argsz - 16);
    for (uint32_t i = 0; i < n; i++)
        l->body[16 + 40 * i] = (uint8_t)i;      /* the offset */
    l->body_len = argsz;
    assert_int_equal(vfuc_region_io_fds(c, 0, &e), n);
    script_heard(&s, 3, ASKED("0300", "10050000"), 0);
    script_heard(&s, 4, ASKED("0400", "50060000"), 0);
    assert_int_equal(e[39].offset, 39);
    assert_int_equal(e[39].fd, e[0].fd);
    known_done(&s, c);
}

static void growing_argsz_is_followed_a_few_times_only(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, NULL, SAY_REGION0);
    const struct vfuc_io_fd *e;

    (void)state;
    for (int i = 1; i < 10; i++)
        script_say(&s, "10060000 00000000 00000000 01000000")->body[0] = (uint8_t)i;
    assert_int_equal(vfuc_region_io_fds(c, 0, &e), -EPROTO);
    assert_int_equal(s.n_said, 3 + VUC_MAX_QUESTIONS);
    assert_true(s.closed);
    s.next = s.n_lines;
    known_done(&s, c);
}

static void descriptor_that_found_no_room_is_our_failure(void **state)
{
    struct script s;
    struct vfuc_client *c = known_region(&s, NULL, SAY_LARGE);
    const struct vfuc_io_fd *e;
    struct line *l;

    (void)state;
    l = script_say(&s, TWO);
    l->n_fds = 1;
    l->fds_lost = true;
    assert_int_equal(vfuc_region_io_fds(c, 0, &e), -EMFILE);
    assert_string_equal(vfuc_last_error(c), "no room for the IO descriptors of region 0");
    assert_false(s.closed);
    script_say(&s, TWO)->n_fds = 2;
    assert_int_equal(vfuc_region_io_fds(c, 0, &e), 2);     /* asked again */
    known_done(&s, c);
}

/* -------------------------------------------------------------- reconnect -- */

static void descriptors_end_with_the_connection_and_come_again(void **state)
{
    struct script s, again;
    struct vfuc_client *c = known_region(&s, NULL, SAY_LARGE);
    int before = vu_test_open_fds();
    const struct vfuc_io_fd *e;

    (void)state;
    script_say(&s, TWO)->n_fds = 2;
    assert_int_equal(vfuc_region_io_fds(c, 0, &e), 2);
    known_again(c, &s, &again);
    assert_int_equal(e[0].fd, -1);
    assert_int_equal(e[0].data, 0x1234);
    assert_int_equal(vu_test_open_fds(), before);
    script_say(&again, SAY_LARGE);
    script_say(&again, TWO)->n_fds = 2;
    assert_int_equal(vuc_regions_restore(c), 0);
    assert_true(e[0].fd >= 0);      /* what was handed out is up to date */
    assert_int_equal(e[1].fd, -1);
    assert_int_equal(vu_test_open_fds(), before + 1);
    known_done(&again, c);
    script_done(&s);
}

static void entries_that_have_changed_are_another_device(void **state)
{
    static const char *const changed[] = {
        "10000000 00000000 00000000 00000000",
        "88000000 00000000 00000000 03000000"
        ENTRY("1000", "0400", "01000000", "00000000", "01000000", "3412")
        ENTRY("0020", "0000", "ffffffff", "01000000", "02000000", "7856")
        ENTRY("0000", "0000", "ffffffff", "00000000", "00000000", "0000"),
        "60000000 00000000 00000000 02000000"
        ENTRY("1100", "0400", "01000000", "00000000", "01000000", "3412")
        ENTRY("0020", "0000", "ffffffff", "01000000", "02000000", "7856"),
        "60000000 00000000 00000000 02000000"
        ENTRY("1000", "0200", "01000000", "00000000", "01000000", "3412")
        ENTRY("0020", "0000", "ffffffff", "01000000", "02000000", "7856"),
        "60000000 00000000 00000000 02000000"
        ENTRY("1000", "0400", "01000000", "02000000", "01000000", "3412")
        ENTRY("0020", "0000", "ffffffff", "01000000", "02000000", "7856"),
        "60000000 00000000 00000000 02000000"
        ENTRY("1000", "0400", "01000000", "00000000", "01000000", "3412")
        ENTRY("0020", "0000", "ffffffff", "01000000", "00000000", "7856"),
        "60000000 00000000 00000000 02000000"
        ENTRY("1000", "0400", "01000000", "00000000", "01000000", "3412")
        ENTRY("0020", "0000", "ffffffff", "01000000", "02000000", "7855"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof(changed) / sizeof(changed[0]); i++) {
        struct script s, again;
        struct vfuc_client *c = known_region(&s, NULL, SAY_LARGE);
        int before = vu_test_open_fds();
        const struct vfuc_io_fd *e;

        script_say(&s, TWO)->n_fds = 2;
        assert_int_equal(vfuc_region_io_fds(c, 0, &e), 2);
        known_again(c, &s, &again);
        script_say(&again, SAY_LARGE);
        script_say(&again, changed[i])->n_fds = 2;
        assert_int_equal(vuc_regions_restore(c), -ESTALE);
        assert_int_equal(e[0].fd, -1);
        assert_int_equal(vu_test_open_fds(), before);
        known_done(&again, c);
        script_done(&s);
    }
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(entries_are_asked_for_once),
    VU_FD_TEST(region_may_have_none),
    VU_FD_TEST(server_that_does_not_know_the_command_can_be_asked_again),
    VU_FD_TEST(datamatch_of_a_longer_entry_lies_behind_its_shadow),
    VU_FD_TEST(what_is_behind_a_known_entry_is_passed_over),
    VU_FD_TEST(entries_that_did_not_fit_are_asked_for_again),
    VU_FD_TEST(growing_argsz_is_followed_a_few_times_only),
    VU_FD_TEST(descriptor_that_found_no_room_is_our_failure),
    VU_FD_TEST(descriptors_end_with_the_connection_and_come_again),
    VU_FD_TEST(entries_that_have_changed_are_another_device),
};

VU_TEST_MAIN(tests)
