/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contract, chapter 2.8 and the reports of 3.5: the log of dirty pages.
 */
#include "libserver/tests/chapter_peer.h"

#define BASE 0x100000u
#define PAGES 16u

typedef struct vfio_user_device_feature_dma_logging_report report_t;

/* A device that can be moved, with a window of 16 mapped pages at BASE. */
static struct device *device_begin(void)
{
    struct device *d = device_up_migrating();
    int memory = new_memory(PAGES * PAGE);

    assert_int_equal(dma_map(d, BASE, PAGES * PAGE, memory), 0);
    close(memory);
    d->events[0] = '\0';
    return d;
}

static int start(struct device *d, uint64_t page_size)
{
    return start_logging(d, page_size, NULL, 0);
}

static int stop(struct device *d)
{
    return feature(d, 8, FEATURE_SET(DMA_LOGGING_STOP), NULL, 0);
}

static int try_report(struct device *d, uint64_t iova, uint64_t length,
                      uint64_t page_size, uint32_t argsz)
{
    report_t r = { iova, length, page_size };

    return feature(d, argsz, FEATURE_GET(DMA_LOGGING_REPORT), &r, sizeof(r));
}

/* A report of at most 64 pages: its bits. */
static uint64_t report(struct device *d, uint64_t iova, uint64_t length,
                       uint64_t page_size)
{
    uint64_t bits;
    report_t r;

    assert_int_equal(try_report(d, iova, length, page_size, 4096), 0);
    assert_int_equal(d->reply.len, 8 + sizeof(r) + 8);
    memcpy(&r, d->reply.body + 8, sizeof(r));
    assert_int_equal(r.iova, iova);
    assert_int_equal(r.length, length);
    assert_int_equal(r.page_size, page_size);
    memcpy(&bits, d->reply.body + 8 + sizeof(r), 8);
    return bits;
}

static uint64_t report_all(struct device *d)
{
    return report(d, BASE, PAGES * PAGE, PAGE);
}

union entry {
    char bytes[40];
    uint64_t align;
};

static dma_sg_t *sg(union entry *e)
{
    return (dma_sg_t *)(void *)e;
}

static union entry look_up(struct device *d, uint64_t addr, size_t len, int prot)
{
    union entry e;

    assert_int_equal(vfu_addr_to_sgl(d->ctx, (void *)addr, len, sg(&e), 1, prot), 1);
    return e;
}

/* What a device does when it writes: look up, get, put. */
static void write_at(struct device *d, uint64_t addr, size_t len)
{
    union entry e = look_up(d, addr, len, PROT_WRITE);
    struct iovec iov;

    assert_int_equal(vfu_sgl_get(d->ctx, sg(&e), &iov, 1, 0), 0);
    vfu_sgl_put(d->ctx, sg(&e), &iov, 1);
}

static void write_page(struct device *d, unsigned page)
{
    write_at(d, BASE + page * PAGE, 1);
}

/* ------------------------------------------------------------ START, STOP -- */

TEST(c2_8_logging_needs_migration_callbacks)
{
    struct device *d = device_up();

    assert_int_equal(start(d, PAGE), EINVAL);
    assert_int_equal(stop(d), EINVAL);
    assert_int_equal(try_report(d, BASE, PAGE, PAGE, 4096), EINVAL);
    device_down(d);
}

TEST(c2_8_start_refuses_page_size_0_and_a_second_size)
{
    struct device *d = device_begin();

    assert_int_equal(start(d, 0), EINVAL);
    assert_int_equal(start(d, PAGE), 0);
    assert_int_equal(start(d, PAGE), 0);
    assert_int_equal(start(d, 2 * PAGE), EINVAL);
    write_page(d, 3);
    assert_int_equal(report_all(d), 1u << 3);       /* the first one holds */
    device_down(d);
}

TEST(c2_8_start_again_keeps_what_is_dirty)
{
    struct device *d = device_begin();

    assert_int_equal(start(d, PAGE), 0);
    write_page(d, 5);
    assert_int_equal(start(d, PAGE), 0);
    assert_int_equal(report_all(d), 1u << 5);
    device_down(d);
}

/* The original ignores ranges, and answers with the size that was asked for. */
TEST(c2_8_start_honours_ranges)
{
    const struct vfio_user_device_feature_dma_logging_range range = {
        BASE + 4 * PAGE, 2 * PAGE,
    };
    struct device *d = device_begin();

    assert_int_equal(start_logging(d, PAGE, &range, 1), 0);
    for (unsigned i = 0; i < PAGES; i++)
        write_page(d, i);
    assert_int_equal(report_all(d), 3u << 4);
    device_down(d);
}

TEST(c2_8_start_says_which_page_size_it_chose)
{
    uint64_t chosen;
    struct device *d = device_begin();

    assert_int_equal(start(d, 512), 0);             /* finer than pages are */
    memcpy(&chosen, d->reply.body + 8, sizeof(chosen));
    assert_int_equal(chosen, PAGE);
    write_page(d, 1);
    assert_int_equal(report_all(d), 1u << 1);
    device_down(d);
}

/* The original refuses it. */
TEST(c2_8_a_page_size_larger_than_a_window_is_accepted)
{
    struct device *d = device_begin();

    assert_int_equal(start(d, 1 << 20), 0);
    write_page(d, 15);
    assert_int_equal(report(d, BASE, PAGES * PAGE, 1 << 20), 1);
    device_down(d);
}

TEST(c2_8_windows_mapped_later_are_logged_too)
{
    struct device *d = device_begin();
    int memory = new_memory(2 * PAGE);

    assert_int_equal(start(d, PAGE), 0);
    assert_int_equal(dma_map(d, 0x800000, 2 * PAGE, memory), 0);
    write_at(d, 0x801000, 1);
    assert_int_equal(report(d, 0x800000, 2 * PAGE, PAGE), 2);
    close(memory);
    device_down(d);
}

TEST(c2_8_stop_drops_everything_and_succeeds_when_off)
{
    struct device *d = device_begin();

    assert_int_equal(stop(d), 0);
    assert_int_equal(start(d, PAGE), 0);
    write_page(d, 5);
    assert_int_equal(stop(d), 0);
    assert_int_equal(stop(d), 0);
    assert_int_equal(try_report(d, BASE, PAGE, PAGE, 4096), EINVAL);
    assert_int_equal(start(d, PAGE), 0);
    assert_int_equal(report_all(d), 0);
    device_down(d);
}

TEST(c2_8_logging_ends_with_the_client)
{
    struct device *d = device_begin();
    int memory = new_memory(PAGES * PAGE);

    assert_int_equal(start(d, PAGE), 0);
    device_detach(d);
    device_attach(d);
    assert_int_equal(dma_map(d, BASE, PAGES * PAGE, memory), 0);
    assert_int_equal(try_report(d, BASE, PAGE, PAGE, 4096), EINVAL);
    assert_int_equal(start(d, 2 * PAGE), 0);        /* the next client's own choice */
    close(memory);
    device_down(d);
}

/* ---------------------------------------------------------------- marking -- */

TEST(c2_8_put_marks_and_get_does_not)
{
    struct device *d = device_begin();
    union entry e;
    struct iovec iov;

    assert_int_equal(start(d, PAGE), 0);
    e = look_up(d, BASE + PAGE, 2 * PAGE, PROT_WRITE);
    assert_int_equal(vfu_sgl_get(d->ctx, sg(&e), &iov, 1, 0), 0);
    assert_int_equal(report_all(d), 0);
    vfu_sgl_put(d->ctx, sg(&e), &iov, 1);
    assert_int_equal(report_all(d), 6);
    vfu_sgl_put(d->ctx, sg(&e), &iov, 1);           /* again: marked again */
    assert_int_equal(report_all(d), 6);
    device_down(d);
}

TEST(c2_8_entries_for_reading_are_not_marked)
{
    struct device *d = device_begin();
    struct iovec iov;
    union entry e;

    assert_int_equal(start(d, PAGE), 0);
    e = look_up(d, BASE, PAGE, PROT_READ);
    assert_int_equal(vfu_sgl_get(d->ctx, sg(&e), &iov, 1, 0), 0);
    vfu_sgl_put(d->ctx, sg(&e), &iov, 1);
    vfu_sgl_mark_dirty(d->ctx, sg(&e), 1);
    assert_int_equal(report_all(d), 0);
    device_down(d);
}

TEST(c2_8_mark_dirty_marks_and_keeps_the_entry)
{
    struct device *d = device_begin();
    union entry e;
    struct iovec iov;

    assert_int_equal(start(d, PAGE), 0);
    e = look_up(d, BASE + 0xfff, 2, PROT_WRITE);
    vfu_sgl_mark_dirty(d->ctx, sg(&e), 1);
    assert_int_equal(report_all(d), 3);
    assert_int_equal(vfu_sgl_get(d->ctx, sg(&e), &iov, 1, 0), 0);
    device_down(d);
}

TEST(c2_8_marking_while_off_or_without_a_mapping_does_nothing)
{
    struct device *d = device_begin();
    union entry e;

    write_page(d, 1);
    assert_int_equal(dma_map(d, 0x800000, PAGE, -1), 0);
    assert_int_equal(start(d, PAGE), 0);
    e = look_up(d, 0x800000, 1, PROT_WRITE);
    vfu_sgl_mark_dirty(d->ctx, sg(&e), 1);          /* the original aborts */
    vfu_sgl_put(d->ctx, sg(&e), NULL, 1);
    assert_int_equal(report_all(d), 0);
    device_down(d);
}

TEST(c2_8_direct_writes_are_marked_and_direct_reads_are_not)
{
    struct device *d = device_begin();
    union entry e;
    char data[4] = "abc";

    assert_int_equal(start(d, PAGE), 0);
    e = look_up(d, BASE + 7 * PAGE, 4, PROT_WRITE);
    assert_int_equal(vfu_sgl_read(d->ctx, sg(&e), 1, data, VFU_SGL_DIRECT_ACCESS), 0);
    assert_int_equal(report_all(d), 0);
    assert_int_equal(vfu_sgl_write(d->ctx, sg(&e), 1, data, VFU_SGL_DIRECT_ACCESS), 0);
    assert_int_equal(report_all(d), 1u << 7);
    device_down(d);
}

/* The client writes then, and knows. */
TEST(c2_8_writes_by_message_are_not_marked)
{
    struct device *d = device_up_migrating();
    struct peer *p = calloc(1, sizeof(*p));
    int memory = new_memory(PAGE);
    union entry e;

    assert_int_equal(dma_map(d, PEER_BASE, PAGE, memory), 0);
    assert_int_equal(start(d, PAGE), 0);
    e = look_up(d, PEER_BASE, 4, PROT_WRITE);
    peer_begin(p, d->client, 1);
    assert_int_equal(vfu_sgl_write(d->ctx, sg(&e), 1, "mail", 0), 0);
    peer_end(p);
    assert_int_equal(report(d, PEER_BASE, PAGE, PAGE), 0);
    free(p);
    close(memory);
    device_down(d);
}

struct marker {
    struct device *d;
    union entry e;
};

static void *mark_often(void *arg)
{
    struct marker *m = arg;

    for (int i = 0; i < 2000; i++)
        vfu_sgl_mark_dirty(m->d->ctx, sg(&m->e), 1);
    return NULL;
}

TEST(c2_8_marks_of_other_threads_are_not_lost)
{
    struct device *d = device_begin();
    struct marker m[4];
    pthread_t threads[4];
    uint64_t seen = 0;

    assert_int_equal(start(d, PAGE), 0);
    for (unsigned i = 0; i < 4; i++) {
        m[i] = (struct marker){ d, look_up(d, BASE + 2 * i * PAGE, 1, PROT_WRITE) };
        assert_int_equal(pthread_create(&threads[i], NULL, mark_often, &m[i]), 0);
    }
    for (int i = 0; i < 20; i++)
        seen |= report_all(d);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(seen | report_all(d), 0x55);
    device_down(d);
}

/* ---------------------------------------------------------------- reports -- */

TEST(c2_8_a_report_clears_what_it_reported)
{
    struct device *d = device_begin();

    assert_int_equal(start(d, PAGE), 0);
    write_page(d, 0);
    write_page(d, 15);
    assert_int_equal(report_all(d), 0x8001);
    assert_int_equal(report_all(d), 0);
    device_down(d);
}

TEST(c2_8_a_report_may_be_about_a_part_of_a_window)
{
    struct device *d = device_begin();

    assert_int_equal(start(d, PAGE), 0);
    for (unsigned i = 0; i < PAGES; i++)
        write_page(d, i);
    assert_int_equal(report(d, BASE, 2 * PAGE, PAGE), 3);       /* a prefix */
    assert_int_equal(report(d, BASE + 4 * PAGE, 3 * PAGE, PAGE), 7);    /* the middle */
    assert_int_equal(report_all(d), 0xff8c); /* the rest is still there */
    device_down(d);
}

/* The original says success and reports nothing. */
TEST(c2_8_a_report_may_span_windows)
{
    struct device *d = device_begin();
    int memory = new_memory(4 * PAGE);

    assert_int_equal(dma_map(d, BASE + PAGES * PAGE, 4 * PAGE, memory), 0);
    assert_int_equal(start(d, PAGE), 0);
    write_page(d, 15);
    write_page(d, 17);
    assert_int_equal(report(d, BASE, (PAGES + 4) * PAGE, PAGE), 1u << 15 | 1u << 17);
    close(memory);
    device_down(d);
}

TEST(c2_8_a_finer_report_repeats_bits_and_a_coarser_one_joins_them)
{
    struct device *d = device_begin();

    assert_int_equal(start(d, 2 * PAGE), 0);
    write_page(d, 2);
    assert_int_equal(report(d, BASE, PAGES * PAGE, PAGE), 3u << 2);
    write_page(d, 2);
    assert_int_equal(report(d, BASE, PAGES * PAGE, 8 * PAGE), 1);
    write_page(d, 9);
    write_page(d, 15);
    assert_int_equal(report(d, BASE, PAGES * PAGE, 8 * PAGE), 2);
    device_down(d);
}

TEST(c2_8_bad_reports_are_refused)
{
    struct device *d = device_begin();

    assert_int_equal(try_report(d, BASE, PAGE, PAGE, 4096), EINVAL);    /* it is off */
    assert_int_equal(start(d, PAGE), 0);
    assert_int_equal(try_report(d, BASE, PAGE, 0, 4096), EINVAL);
    assert_int_equal(try_report(d, BASE, PAGE, 3 * PAGE, 4096), EINVAL);
    assert_int_equal(try_report(d, BASE, 0, PAGE, 4096), EINVAL);
    assert_int_equal(try_report(d, BASE, PAGE, PAGE, 8 + 24 + 7), EINVAL);
    assert_int_equal(try_report(d, BASE, PAGE, PAGE, 8 + 24 + 8), 0);
    assert_int_equal(try_report(d, BASE - PAGE, 2 * PAGE, PAGE, 4096), ENOENT);
    assert_int_equal(try_report(d, BASE, (PAGES + 1) * PAGE, PAGE, 4096), ENOENT);
    assert_int_equal(try_report(d, UINT64_MAX - PAGE, 2 * PAGE, PAGE, 4096), EINVAL);
    device_down(d);
}

/* Its pages were written through the client, which knows. The original: EINVAL. */
TEST(c2_8_a_window_without_descriptor_has_no_dirty_pages)
{
    struct device *d = device_begin();

    assert_int_equal(dma_map(d, 0x800000, PAGE, -1), 0);
    assert_int_equal(start(d, PAGE), 0);
    assert_int_equal(report(d, 0x800000, PAGE, PAGE), 0);
    device_down(d);
}

/* --------------------------------------------------- DMA_UNMAP with bitmap -- */

TEST(c2_8_unmap_can_report_first)
{
    struct device *d = device_begin();
    uint64_t bits;

    assert_int_equal(start(d, PAGE), 0);
    write_page(d, 4);
    assert_int_equal(dma_unmap_bitmap(d, BASE, PAGES * PAGE, PAGE, 8, 48), 0);
    assert_int_equal(d->reply.len, 24 + 16 + 8);
    memcpy(&bits, d->reply.body + 40, 8);
    assert_int_equal(bits, 1u << 4);
    assert_events(d, "unregister:100000");
    assert_int_equal(dma_unmap(d, BASE, PAGES * PAGE, 0), ENOENT);
    device_down(d);
}

TEST(c2_8_an_unmap_whose_report_fails_leaves_the_window)
{
    struct device *d = device_begin();

    assert_int_equal(dma_unmap_bitmap(d, BASE, PAGES * PAGE, PAGE, 8, 48),
                     EINVAL); /* off */
    assert_int_equal(start(d, PAGE), 0);
    write_page(d, 4);
    assert_int_equal(dma_unmap_bitmap(d, BASE, PAGES * PAGE, PAGE, 16, 64), EINVAL);
    assert_int_equal(dma_unmap_bitmap(d, BASE, PAGES * PAGE, PAGE, 0, 64), EINVAL);
    assert_int_equal(dma_unmap_bitmap(d, BASE, PAGES * PAGE, PAGE, 8, 47), EINVAL);
    assert_int_equal(dma_unmap_bitmap(d, BASE, PAGES * PAGE, 0, 8, 48), EINVAL);
    assert_int_equal(dma_unmap_bitmap(d, BASE, PAGE, PAGE, 8, 48), ENOENT);
    assert_events(d, "");
    assert_int_equal(report_all(d), 1u << 4);
    device_down(d);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(c2_8_logging_needs_migration_callbacks),
    VU_FD_TEST(c2_8_start_refuses_page_size_0_and_a_second_size),
    VU_FD_TEST(c2_8_start_again_keeps_what_is_dirty),
    VU_FD_TEST(c2_8_start_honours_ranges),
    VU_FD_TEST(c2_8_start_says_which_page_size_it_chose),
    VU_FD_TEST(c2_8_a_page_size_larger_than_a_window_is_accepted),
    VU_FD_TEST(c2_8_windows_mapped_later_are_logged_too),
    VU_FD_TEST(c2_8_stop_drops_everything_and_succeeds_when_off),
    VU_FD_TEST(c2_8_logging_ends_with_the_client),
    VU_FD_TEST(c2_8_put_marks_and_get_does_not),
    VU_FD_TEST(c2_8_entries_for_reading_are_not_marked),
    VU_FD_TEST(c2_8_mark_dirty_marks_and_keeps_the_entry),
    VU_FD_TEST(c2_8_marking_while_off_or_without_a_mapping_does_nothing),
    VU_FD_TEST(c2_8_direct_writes_are_marked_and_direct_reads_are_not),
    VU_FD_TEST(c2_8_writes_by_message_are_not_marked),
    VU_FD_TEST(c2_8_marks_of_other_threads_are_not_lost),
    VU_FD_TEST(c2_8_a_report_clears_what_it_reported),
    VU_FD_TEST(c2_8_a_report_may_be_about_a_part_of_a_window),
    VU_FD_TEST(c2_8_a_report_may_span_windows),
    VU_FD_TEST(c2_8_a_finer_report_repeats_bits_and_a_coarser_one_joins_them),
    VU_FD_TEST(c2_8_bad_reports_are_refused),
    VU_FD_TEST(c2_8_a_window_without_descriptor_has_no_dirty_pages),
    VU_FD_TEST(c2_8_unmap_can_report_first),
    VU_FD_TEST(c2_8_an_unmap_whose_report_fails_leaves_the_window),
};

VU_TEST_MAIN(tests)
