/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfu_create_ioeventfd() and DEVICE_GET_REGION_IO_FDS. Built twice: as the library is,
 * and with shadow ioeventfds.
 */
#include "libserver/tests/core.h"

#define HEAD   VU_REGION_IO_FDS_SIZE
#define ENTRY  VU_IO_FD_ENTRY_SIZE
#define ROOMY  4096u

static struct answer ask(struct core *c, struct vu_region_io_fds req)
{
    uint8_t body[HEAD];

    ENCODE(region_io_fds, &req, body);
    return core_send(c, VU_DEVICE_GET_REGION_IO_FDS, body, sizeof(body));
}

static struct answer list(struct core *c, uint32_t region, uint32_t argsz)
{
    return ask(c, (struct vu_region_io_fds){ .argsz = argsz, .index = region });
}

/* A good reply of n entries in so many bytes each. */
static struct vu_region_io_fds listed(const struct answer *a, uint32_t region,
                                      uint32_t n, size_t stride, size_t n_fds)
{
    struct vu_region_io_fds head;

    assert_answer_ok(a, HEAD + n * stride);
    DECODE(region_io_fds, a, &head);
    assert_int_equal(head.argsz, HEAD + n * stride);
    assert_int_equal(head.flags, 0);
    assert_int_equal(head.index, region);
    assert_int_equal(head.count, n);
    assert_int_equal(a->n_fds, n_fds);
    return head;
}

static struct vu_io_fd_entry entry(const struct vu_region_io_fds *head, uint32_t i)
{
    struct vu_io_fd_entry e;

    assert_int_equal(vu_decode_io_fd_entry(head, i, &e), 0);
    return e;
}

static void add(struct core *c, uint32_t region, int fd, size_t offset, uint32_t size)
{
    assert_int_equal(vfu_create_ioeventfd(c->ctx, region, fd, offset, size, 0, 0, -1, 0),
                     0);
}

static void not_added(struct core *c, uint32_t region, size_t offset, uint32_t size)
{
    errno = 0;
    assert_int_equal(vfu_create_ioeventfd(c->ctx, region, 5, offset, size, 0, 0, -1, 0),
                     -1);
    assert_int_equal(errno, EINVAL);
}

static void einval(struct answer a)
{
    assert_answer_error(&a, EINVAL);
}

/* --------------------------------------------------------------- adding -- */

static void a_part_outside_of_its_region_is_refused(void **state)
{
    struct core c;

    (void)state;
    core_begin(&c);
    not_added(&c, VFU_PCI_DEV_NUM_REGIONS, 0, 4);
    not_added(&c, UINT32_MAX, 0, 4);
    not_added(&c, 0, BAR0_SIZE, 1);
    not_added(&c, 0, BAR0_SIZE - 3, 4);
    not_added(&c, 0, BAR0_SIZE + 1, 0);
    not_added(&c, 0, SIZE_MAX, 1);          /* the sum wraps around */
    not_added(&c, 0, SIZE_MAX - 3, 8);
    not_added(&c, 1, 0, 4);                 /* no such region */
    add(&c, 0, 5, BAR0_SIZE - 4, 4);
    add(&c, 0, 5, BAR0_SIZE, 0);
    core_end(&c);
}

static void ioeventfds_can_be_added_while_a_client_is_there(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    core_begin(&c);
    a = list(&c, 0, ROOMY);
    listed(&a, 0, 0, ENTRY, 0);
    add(&c, 0, 5, 0, 4);
    a = list(&c, 0, ROOMY);
    listed(&a, 0, 1, ENTRY, 1);
    core_end(&c);
}

/* -------------------------------------------------------------- listing -- */

static void entries_come_newest_first_with_all_their_fields(void **state)
{
    const uint64_t match = 0x1122334455667788;
    struct vu_region_io_fds head;
    struct vu_io_fd_entry e;
    struct core c;
    struct answer a;

    (void)state;
    core_begin_with(&c, "{\"capabilities\":{\"max_msg_fds\":8}}");
    assert_int_equal(vfu_create_ioeventfd(c.ctx, 0, 41, 0x10, 8, 1, match, -1, 0), 0);
    add(&c, 0, 42, 0x20, 2);
    add(&c, 2, 43, 0x1000, 4);              /* another region's */
    a = list(&c, 0, ROOMY);
    head = listed(&a, 0, 2, ENTRY, 2);
    e = entry(&head, 0);
    assert_int_equal(e.offset, 0x20);
    assert_int_equal(e.size, 2);
    assert_int_equal(c.reply.fds[e.fd_index], 42);
    e = entry(&head, 1);
    assert_int_equal(e.offset, 0x10);
    assert_int_equal(e.size, 8);
    assert_int_equal(c.reply.fds[e.fd_index], 41);
    assert_int_equal(e.type, VU_IO_FD_IOEVENTFD);
    assert_int_equal(e.flags, 1);
    assert_int_equal(e.padding, 0);
    assert_int_equal(e.datamatch, match);
    assert_memory_equal(a.body + HEAD + ENTRY + 32, &match, 8);
    core_end(&c);
}

static void a_shared_descriptor_is_sent_once(void **state)
{
    static const int fds[] = { 41, 42, 41, -1, 42, 41 };
    struct vu_region_io_fds head;
    struct core c;
    struct answer a;

    (void)state;
    core_begin_with(&c, "{\"capabilities\":{\"max_msg_fds\":8}}");
    for (size_t i = 0; i < 6; i++)
        add(&c, 0, fds[i], 8 * i, 8);
    a = list(&c, 0, ROOMY);
    head = listed(&a, 0, 6, ENTRY, 2);
    for (uint32_t i = 0; i < 6; i++) {
        struct vu_io_fd_entry e = entry(&head, 5 - i);

        assert_int_equal(e.offset, 8 * i);
        if (fds[i] == -1) {
            assert_int_equal(e.fd_index, UINT32_MAX);
        } else {
            assert_in_range(e.fd_index, 0, 1);
            assert_int_equal(c.reply.fds[e.fd_index], fds[i]);
        }
    }
    core_end(&c);
}

static void a_list_that_does_not_fit_is_left_out(void **state)
{
    struct vu_region_io_fds head;
    struct core c;
    struct answer a;

    (void)state;
    core_begin(&c);
    for (size_t i = 0; i < 3; i++)
        add(&c, 0, 41, 8 * i, 8);
    for (uint32_t argsz = HEAD; argsz < HEAD + 3 * ENTRY; argsz++) {
        a = list(&c, 0, argsz);
        assert_answer_ok(&a, HEAD);
        DECODE(region_io_fds, &a, &head);
        assert_int_equal(head.argsz, HEAD + 3 * ENTRY);
        assert_int_equal(head.count, 3);
        assert_int_equal(a.n_fds, 0);
    }
    a = list(&c, 0, HEAD + 3 * ENTRY);
    listed(&a, 0, 3, ENTRY, 1);
    core_end(&c);
}

/* Those that it cannot be given it reaches by REGION_WRITE. */
static void a_client_gets_no_more_descriptors_than_it_takes(void **state)
{
    static const struct {
        const char *json;
        uint32_t entries;
        size_t fds;
    } cases[] = {
        { NULL, 3, 1 },                                         /* one is the default */
        { "{\"capabilities\":{\"max_msg_fds\":1}}", 3, 1 },
        { "{\"capabilities\":{\"max_msg_fds\":2}}", 4, 2 },
        { "{\"capabilities\":{\"max_msg_fds\":3}}", 5, 3 },
        { "{\"capabilities\":{\"max_msg_fds\":0}}", 1, 0 },     /* the one without any */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct core c;
        struct answer a;

        core_begin_with(&c, cases[i].json);
        add(&c, 0, 43, 0, 1);
        add(&c, 0, 41, 1, 1);
        add(&c, 0, 42, 2, 1);
        add(&c, 0, -1, 3, 1);
        add(&c, 0, 41, 4, 1);
        a = list(&c, 0, ROOMY);
        listed(&a, 0, cases[i].entries, ENTRY, cases[i].fds);
        if (a.n_fds != 0)
            assert_int_equal(c.reply.fds[0], 41);       /* the newest one's */
        core_end(&c);
    }
}

static void no_message_has_more_descriptors_than_the_kernel_takes(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    core_begin_with(&c, "{\"capabilities\":{\"max_msg_fds\":1024}}");
    for (int i = 0; i < 300; i++)
        add(&c, 0, 1000 + i, 0, 1);
    a = list(&c, 0, HEAD + 300 * ENTRY);
    listed(&a, 0, VU_MAX_MSG_FDS, ENTRY, VU_MAX_MSG_FDS);
    core_end(&c);
}

static void entries_beyond_a_region_that_shrank_are_left_out(void **state)
{
    struct vu_region_io_fds head;
    struct core c;
    struct answer a;

    (void)state;
    core_begin(&c);
    add(&c, 0, 41, 0, 8);
    add(&c, 0, 42, 2048, 8);
    assert_int_equal(vfu_setup_region(c.ctx, 0, 2048, core_access,
                                      VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM, NULL, 0,
                                      -1, 0), 0);
    a = list(&c, 0, ROOMY);
    head = listed(&a, 0, 1, ENTRY, 1);
    assert_int_equal(entry(&head, 0).offset, 0);
    assert_int_equal(c.reply.fds[0], 41);
    core_end(&c);
}

static void bad_requests_are_refused(void **state)
{
    struct vu_region_io_fds good = { .argsz = ROOMY };
    struct vu_region_io_fds bad;
    struct core c;
    struct answer a;

    (void)state;
    core_begin(&c);
    for (uint32_t argsz = 0; argsz < HEAD; argsz++)
        einval(list(&c, 0, argsz));
    einval(list(&c, 0, (1u << 20) + 1));
    einval(list(&c, 0, UINT32_MAX));
    a = list(&c, 0, 1u << 20);
    listed(&a, 0, 0, ENTRY, 0);
    einval(list(&c, VFU_PCI_DEV_NUM_REGIONS, ROOMY));
    einval(list(&c, UINT32_MAX, ROOMY));
    einval(list(&c, 1, ROOMY));              /* never set up */
    bad = good;
    bad.flags = 1;
    einval(ask(&c, bad));
    bad = good;
    bad.count = 1;
    einval(ask(&c, bad));
    for (size_t len = 0; len < HEAD; len++)
        einval(core_send(&c, VU_DEVICE_GET_REGION_IO_FDS, &good, len));
    core_end(&c);
}

/* --------------------------------------------------------------- shadow -- */

#ifndef VFIO_USER_SHADOW_IOEVENTFD

static void shadow_ioeventfds_need_a_build_that_has_them(void **state)
{
    struct core c;

    (void)state;
    core_begin(&c);
    assert_int_equal(vfu_create_ioeventfd(c.ctx, 0, 5, 0, 4, 0, 0, 6, 0), -1);
    assert_int_equal(errno, EINVAL);
    core_end(&c);
}

#else

static void a_shadow_ioeventfd_has_the_public_layout_and_others_both(void **state)
{
    const uint64_t match = 0x1122334455667788, other = 0x99aabbccddeeff00;
    vfio_user_sub_region_ioeventfd_t shadow, plain;
    struct vu_region_io_fds head;
    struct core c;
    struct answer a;

    (void)state;
    core_begin_with(&c, "{\"capabilities\":{\"max_msg_fds\":8}}");
    assert_int_equal(vfu_create_ioeventfd(c.ctx, 0, 41, 0x10, 8, 1, match, 44, 0x640), 0);
    assert_int_equal(vfu_create_ioeventfd(c.ctx, 0, 42, 0x20, 4, 1, other, -1, 0), 0);
    a = list(&c, 0, ROOMY);
    head = listed(&a, 0, 2, 48, 3);
    assert_int_equal(entry(&head, 0).datamatch, other); /* by the specification */
    memcpy(&plain, a.body + HEAD, sizeof(plain));
    memcpy(&shadow, a.body + HEAD + 48, sizeof(shadow));
    assert_int_equal(plain.type, VU_IO_FD_IOEVENTFD);
    assert_int_equal(plain.datamatch, other);
    assert_int_equal(plain.shadow_mem_fd_index, 0);
    assert_int_equal(c.reply.fds[plain.fd_index], 42);
    assert_int_equal(shadow.type, VU_IO_FD_IOEVENTFD_SHADOW);
    assert_int_equal(shadow.gpa_offset, 0x10);
    assert_int_equal(shadow.size, 8);
    assert_int_equal(shadow.flags, 1);
    assert_int_equal(shadow.datamatch, match);
    assert_int_equal(shadow.shadow_offset, 0x640);
    assert_int_equal(c.reply.fds[shadow.fd_index], 41);
    assert_int_equal(c.reply.fds[shadow.shadow_mem_fd_index], 44);
    a = list(&c, 0, HEAD + 2 * 48 - 1);
    assert_answer_ok(&a, HEAD);
    core_end(&c);
}

/* Both of its descriptors, or the entry is left out. */
static void a_shadow_ioeventfd_takes_two_descriptors(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    core_begin_with(&c, "{\"capabilities\":{\"max_msg_fds\":2}}");
    assert_int_equal(vfu_create_ioeventfd(c.ctx, 0, 41, 0, 8, 0, 0, 44, 0), 0);
    add(&c, 0, 42, 8, 8);
    a = list(&c, 0, ROOMY);
    listed(&a, 0, 1, ENTRY, 1);
    assert_int_equal(vfu_create_ioeventfd(c.ctx, 0, 42, 0, 8, 0, 0, 42, 0), 0);
    a = list(&c, 0, ROOMY);
    listed(&a, 0, 2, 48, 1);
    core_end(&c);
}

#endif

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(a_part_outside_of_its_region_is_refused),
    VU_FD_TEST(ioeventfds_can_be_added_while_a_client_is_there),
    VU_FD_TEST(entries_come_newest_first_with_all_their_fields),
    VU_FD_TEST(a_shared_descriptor_is_sent_once),
    VU_FD_TEST(a_list_that_does_not_fit_is_left_out),
    VU_FD_TEST(a_client_gets_no_more_descriptors_than_it_takes),
    VU_FD_TEST(no_message_has_more_descriptors_than_the_kernel_takes),
    VU_FD_TEST(entries_beyond_a_region_that_shrank_are_left_out),
    VU_FD_TEST(bad_requests_are_refused),
#ifndef VFIO_USER_SHADOW_IOEVENTFD
    VU_FD_TEST(shadow_ioeventfds_need_a_build_that_has_them),
#else
    VU_FD_TEST(a_shadow_ioeventfd_has_the_public_layout_and_others_both),
    VU_FD_TEST(a_shadow_ioeventfd_takes_two_descriptors),
#endif
};

VU_TEST_MAIN(tests)
