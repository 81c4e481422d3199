/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA logging with a scripted server: what is sent, which replies are taken, and how the
 * server's pages and those that it wrote by message come together.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "libclient/tests/known.h"
#include "wire/tests/calls.h"

#define LENT  0x10000u  /* 0x10000 bytes of ours, the server has no descriptor */
#define FILED 0x20000u  /* 0x10000 bytes, the server has a descriptor; next to LENT */
#define AFTER 0x30000u  /* 0x4000 bytes, likewise */
#define PAGE  0x1000u

/* The envelope's 8 bytes and the data's 16 */
#define SAY_STARTED "18000000 06000200 0010000000000000 00000000 00000000"
#define SAY_STOPPED "08000000 07000200"

struct world {
    struct script s;
    struct vfuc_client *c;
    uint8_t lent[0x10000];
    int fd;
};

static struct world *begin(void)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->fd = memfd_create("logging", MFD_CLOEXEC);
    assert_int_equal(ftruncate(w->fd, 0x14000), 0);
    w->c = known_device(&w->s, NULL);
    script_say(&w->s, "");
    assert_int_equal(vfuc_dma_map_memory(w->c, LENT, 0x10000, 3, w->lent, -1, 0), 0);
    script_say(&w->s, "");
    assert_int_equal(vfuc_dma_map(w->c, FILED, 0x10000, 3, w->fd, 0), 0);
    script_say(&w->s, "");
    assert_int_equal(vfuc_dma_map(w->c, AFTER, 0x4000, 3, w->fd, 0x10000), 0);
    return w;
}

static void end(struct world *w)
{
    known_done(&w->s, w->c);
    close(w->fd);
    free(w);
}

/* With logging of everything; messages up to 5 are spent. */
static struct world *begin_logging(void)
{
    struct world *w = begin();
    uint64_t chosen;

    script_say(&w->s, SAY_STARTED);
    assert_int_equal(vfuc_dma_logging_start(w->c, PAGE, NULL, 0, &chosen), 0);
    assert_int_equal(chosen, PAGE);
    assert_int_equal(w->s.n_said, 6);
    return w;
}

/* The server writes there by message. The answer is one more message that we said. */
static void server_writes(struct world *w, uint64_t address, size_t len)
{
    struct line *l = script_type(&w->s, "0000 0c00 10000000 00000000 00000000");
    uint64_t count = len;

    free(l->body);
    l->body_len = 16 + len;
    l->body = calloc(1, l->body_len);
    assert_non_null(l->body);
    memcpy(l->body, &address, 8);
    memcpy(l->body + 8, &count, 8);
    l->h.size = (uint32_t)(16 + l->body_len);
}

static void server_has_written(struct world *w, uint64_t address, size_t len)
{
    server_writes(w, address, len);
    assert_int_equal(vfuc_dispatch(w->c), 1);
    assert_int_equal(w->s.said[w->s.n_said - 1].len, 32);   /* done, no refusal */
}

/* A good reply to REPORT, as big as it should be. */
static struct line *say_report(struct world *w, uint64_t address, uint64_t size,
                               uint64_t page_size, const char *hex_bitmap)
{
    struct line *l = script_say(&w->s, "00000000 08000100");
    struct bytes bitmap = bytes_of_hex(hex_bitmap);
    uint32_t argsz = (uint32_t)(32 + bitmap.len);

    l->body = realloc(l->body, argsz);
    assert_non_null(l->body);
    memcpy(l->body, &argsz, 4);
    memcpy(l->body + 8, &address, 8);
    memcpy(l->body + 16, &size, 8);
    memcpy(l->body + 24, &page_size, 8);
    memcpy(l->body + 32, bitmap.data, bitmap.len);
    l->body_len = argsz;
    return l;
}

static struct vfuc_dirty *report(struct world *w, uint64_t address, uint64_t size)
{
    struct vfuc_dirty *dirty = NULL;

    assert_int_equal(vfuc_dma_logging_report(w->c, address, size, PAGE, &dirty), 0);
    assert_non_null(dirty);
    return dirty;
}

/* The bitmap of the report, which is of up to 64 pages, is this; ends it. */
static void assert_pages(struct vfuc_dirty *dirty, uint64_t pages)
{
    size_t n;
    const uint64_t *words = vfuc_dirty_bitmap(dirty, &n);

    assert_int_equal(n, 1);
    assert_int_equal(words[0], pages);
    vfuc_dirty_free(dirty);
}

/* Our own windows are not asked for: what we noted there, and nothing is sent. */
static void assert_noted(struct world *w, uint64_t pages)
{
    size_t before = w->s.n_said;

    assert_pages(report(w, LENT, 0x10000), pages);
    assert_int_equal(w->s.n_said, before);
}

/* ------------------------------------------------------------------- START -- */

static void start_names_page_size_and_ranges(void **state)
{
    struct vfuc_range ranges[] = { { 0x20000, 0x1000 }, { 0x10000, 0x8000 } };
    struct world *w = begin();
    uint64_t chosen = 0;

    (void)state;
    script_say(&w->s, "38000000 06000200 0020000000000000 02000000 00000000"
               "0000020000000000 0010000000000000 0000010000000000 0080000000000000");
    assert_int_equal(vfuc_dma_logging_start(w->c, 0x800, ranges, 2, &chosen), 0);
    assert_int_equal(chosen, 0x2000);
    script_heard(&w->s, 5, "0500 1000 48000000 00000000 00000000"
                 "38000000 06000200 0008000000000000 02000000 00000000"
                 "0000020000000000 0010000000000000 0000010000000000 0080000000000000",
                 0);
    end(w);
}

static void start_without_ranges_is_for_everything(void **state)
{
    struct world *w = begin();

    (void)state;
    script_say(&w->s, SAY_STARTED);
    assert_int_equal(vfuc_dma_logging_start(w->c, PAGE, NULL, 0, NULL), 0);
    script_heard(&w->s, 5, "0500 1000 28000000 00000000 00000000"
                 "18000000 06000200 0010000000000000 00000000 00000000", 0);
    end(w);
}

static void start_is_checked_before_it_is_sent(void **state)
{
    struct vfuc_range empty[] = { { 0x1000, 1 }, { 0, 0 } };
    struct vfuc_range wraps = { UINT64_MAX, 2 }, good = { UINT64_MAX, 1 };
    struct world *w = begin();

    (void)state;
    assert_int_equal(vfuc_dma_logging_start(w->c, 0, NULL, 0, NULL), -EINVAL);
    assert_int_equal(vfuc_dma_logging_start(w->c, 0x1800, NULL, 0, NULL), -EINVAL);
    assert_int_equal(vfuc_dma_logging_start(w->c, PAGE, empty, 2, NULL), -EINVAL);
    assert_int_equal(vfuc_dma_logging_start(w->c, PAGE, &wraps, 1, NULL), -EINVAL);
    assert_int_equal(vfuc_dma_logging_start(w->c, PAGE, NULL, 1, NULL), -EINVAL);
    w->c->max_transfer = 31;
    assert_int_equal(vfuc_dma_logging_start(w->c, PAGE, &good, 1, NULL), -E2BIG);
    assert_int_equal(w->s.n_said, 5);
    assert_false(w->c->windows.written.on);
    end(w);
}

static void assert_start_fails(struct world *w, int err)
{
    uint64_t chosen = 7;

    assert_int_equal(vfuc_dma_logging_start(w->c, PAGE, NULL, 0, &chosen), err);
    assert_int_equal(chosen, 7);
    assert_false(w->c->windows.written.on);
    assert_int_equal(w->s.closed, err == -EPROTO);
    end(w);
}

static void start_that_is_refused_starts_nothing(void **state)
{
    struct world *w = begin();

    (void)state;
    script_refuse(&w->s, ENOTTY);
    assert_start_fails(w, -EREMOTEIO);
}

static void start_reply_without_a_page_size_is_broken(void **state)
{
    struct world *w = begin();

    (void)state;
    script_say(&w->s, "08000000 06000200");
    assert_start_fails(w, -EPROTO);
}

static void start_reply_cut_behind_the_page_size_is_broken(void **state)
{
    struct world *w = begin();

    (void)state;
    script_say(&w->s, "17000000 06000200 0010000000000000 00000000 000000");
    assert_start_fails(w, -EPROTO);
}

static void start_reply_with_page_size_0_is_broken(void **state)
{
    struct world *w = begin();

    (void)state;
    script_say(&w->s, "18000000 06000200 0000000000000000 00000000 00000000");
    assert_start_fails(w, -EPROTO);
}

static void start_reply_with_an_odd_page_size_is_broken(void **state)
{
    struct world *w = begin();

    (void)state;
    script_say(&w->s, "18000000 06000200 0030000000000000 00000000 00000000");
    assert_start_fails(w, -EPROTO);
}

static void start_reply_about_another_feature_is_broken(void **state)
{
    struct world *w = begin();

    (void)state;
    script_say(&w->s, "18000000 07000200 0010000000000000 00000000 00000000");
    assert_start_fails(w, -EPROTO);
}

static void writes_before_the_reply_to_start_are_noted(void **state)
{
    struct world *w = begin();

    (void)state;
    server_writes(w, LENT, 1);
    script_say(&w->s, SAY_STARTED);
    assert_int_equal(vfuc_dma_logging_start(w->c, PAGE, NULL, 0, NULL), 0);
    assert_noted(w, 1);
    end(w);
}

static void only_ranges_of_start_are_noted(void **state)
{
    struct vfuc_range range = { LENT + 4 * PAGE, 2 * PAGE };
    struct world *w = begin();

    (void)state;
    script_say(&w->s, "28000000 06000200 0010000000000000 01000000 00000000"
               "0040010000000000 0020000000000000");
    assert_int_equal(vfuc_dma_logging_start(w->c, PAGE, &range, 1, NULL), 0);
    server_has_written(w, LENT, 0x10000);
    assert_noted(w, 0x30);
    end(w);
}

static void second_start_that_is_refused_changes_nothing(void **state)
{
    struct vfuc_range range = { LENT, PAGE }, other = { LENT + PAGE, PAGE };
    struct world *w = begin();

    (void)state;
    script_say(&w->s, "28000000 06000200 0010000000000000 01000000 00000000"
               "0000010000000000 0010000000000000");
    assert_int_equal(vfuc_dma_logging_start(w->c, PAGE, &range, 1, NULL), 0);
    script_refuse(&w->s, EBUSY);
    assert_int_equal(vfuc_dma_logging_start(w->c, PAGE, &other, 1, NULL), -EREMOTEIO);
    server_has_written(w, LENT, 2 * PAGE);
    assert_noted(w, 1);
    end(w);
}

static void second_start_has_its_own_ranges(void **state)
{
    struct vfuc_range other = { LENT + PAGE, PAGE };
    struct world *w = begin_logging();

    (void)state;
    server_has_written(w, LENT + 3 * PAGE, 1);
    script_say(&w->s, "28000000 06000200 0010000000000000 01000000 00000000"
               "0010010000000000 0010000000000000");
    assert_int_equal(vfuc_dma_logging_start(w->c, PAGE, &other, 1, NULL), 0);
    server_has_written(w, LENT, 2 * PAGE);
    assert_noted(w, 0xa);   /* and what was noted before */
    end(w);
}

/* -------------------------------------------------------------------- STOP -- */

static void stop_forgets_what_was_noted(void **state)
{
    struct world *w = begin_logging();
    struct vfuc_dirty *dirty;

    (void)state;
    server_has_written(w, LENT, 1);
    script_say(&w->s, SAY_STOPPED);
    assert_int_equal(vfuc_dma_logging_stop(w->c), 0);
    script_heard(&w->s, 7, "0600 1000 18000000 00000000 00000000 08000000 07000200", 0);
    assert_int_equal(vfuc_dma_logging_report(w->c, LENT, 0x10000, PAGE, &dirty), -EINVAL);
    server_has_written(w, LENT, 1);
    script_say(&w->s, SAY_STARTED);
    assert_int_equal(vfuc_dma_logging_start(w->c, PAGE, NULL, 0, NULL), 0);
    assert_noted(w, 0);
    end(w);
}

static void stop_that_is_refused_stops_nothing(void **state)
{
    struct world *w = begin_logging();

    (void)state;
    server_has_written(w, LENT, 1);
    script_refuse(&w->s, EINVAL);
    assert_int_equal(vfuc_dma_logging_stop(w->c), -EREMOTEIO);
    server_has_written(w, LENT + PAGE, 1);
    assert_noted(w, 3);
    end(w);
}

/* ------------------------------------------------------------------ REPORT -- */

static void report_brings_the_pages_of_the_server(void **state)
{
    struct world *w = begin_logging();
    struct vfuc_dirty *dirty;
    struct vfuc_range run;

    (void)state;
    say_report(w, FILED, 0x10000, PAGE, "0e80000000000000");
    dirty = report(w, FILED, 0x10000);
    /* argsz flags, iova length page_size */
    script_heard(&w->s, 6, "0600 1000 30000000 00000000 00000000"
                 "28000000 08000100 0000020000000000 0000010000000000 0010000000000000",
                 0);
    assert_int_equal(vfuc_dirty_count(dirty), 4);
    assert_true(vfuc_dirty_next(dirty, &run));
    assert_int_equal(run.address, FILED + PAGE);
    assert_int_equal(run.size, 3 * PAGE);
    assert_true(vfuc_dirty_next(dirty, &run));
    assert_int_equal(run.address, FILED + 15 * PAGE);
    assert_int_equal(run.size, PAGE);
    assert_false(vfuc_dirty_next(dirty, &run));
    vfuc_dirty_free(dirty);
    end(w);
}

static void report_is_checked_before_it_is_sent(void **state)
{
    struct world *w = begin_logging();
    struct vfuc_dirty *dirty = NULL;

    (void)state;
    assert_int_equal(vfuc_dma_logging_report(w->c, FILED, 0, PAGE, &dirty), -EINVAL);
    assert_int_equal(vfuc_dma_logging_report(w->c, FILED, 1, 0, &dirty), -EINVAL);
    assert_int_equal(vfuc_dma_logging_report(w->c, FILED, 1, 3, &dirty), -EINVAL);
    assert_int_equal(vfuc_dma_logging_report(w->c, UINT64_MAX, 2, PAGE, &dirty), -EINVAL);
    /* A bit for each byte there is */
    assert_int_equal(vfuc_dma_logging_report(w->c, 0, UINT64_MAX, 1, &dirty), -ENOMEM);
    assert_null(dirty);
    assert_int_equal(w->s.n_said, 6);
    end(w);
}

static void report_without_start_is_not_sent(void **state)
{
    struct world *w = begin();
    struct vfuc_dirty *dirty;

    (void)state;
    assert_int_equal(vfuc_dma_logging_report(w->c, FILED, PAGE, PAGE, &dirty), -EINVAL);
    assert_int_equal(vfuc_dma_unmap_dirty(w->c, FILED, 0x10000, PAGE, &dirty), -EINVAL);
    assert_int_equal(w->s.n_said, 5);
    end(w);
}

static void bits_behind_the_range_are_not_looked_at(void **state)
{
    struct world *w = begin_logging();

    (void)state;
    say_report(w, FILED, 3 * PAGE, PAGE, "ffffffffffffffff");
    assert_pages(report(w, FILED, 3 * PAGE), 7);
    end(w);
}

static void pages_of_both_come_together(void **state)
{
    struct world *w = begin_logging();

    (void)state;
    server_has_written(w, FILED + 2 * PAGE - 1, 2);
    say_report(w, FILED, 0x10000, PAGE, "0180000000000000");
    assert_pages(report(w, FILED, 0x10000), 0x8007);
    say_report(w, FILED, 0x10000, PAGE, "0000000000000000");
    assert_pages(report(w, FILED, 0x10000), 0);
    end(w);
}

static void windows_without_a_descriptor_are_not_asked_for(void **state)
{
    struct world *w = begin_logging();

    (void)state;
    server_has_written(w, LENT + 0x3fff, 2);
    assert_noted(w, 0x18);
    assert_noted(w, 0);
    assert_pages(report(w, LENT + PAGE, PAGE), 0);
    end(w);
}

static void range_is_asked_for_around_such_windows(void **state)
{
    struct world *w = begin_logging();
    uint8_t more[0x1000];

    (void)state;
    script_say(&w->s, "");
    assert_int_equal(vfuc_dma_map_memory(w->c, 0x34000, PAGE, 3, more, -1, 0), 0);
    server_has_written(w, 0x34000, 1);
    server_has_written(w, LENT + 0xf000, 1);
    say_report(w, FILED, 0x14000, PAGE, "0100080000000000");
    say_report(w, 0x35000, PAGE, PAGE, "0100000000000000");
    /* From the last page of LENT to the one behind `more` */
    assert_pages(report(w, LENT + 0xf000, 0x17000), 0x700003);
    assert_int_equal(w->s.n_said, 11);
    script_heard(&w->s, 9, "0700 1000 30000000 00000000 00000000"
                 "28000000 08000100 0000020000000000 0040010000000000 0010000000000000",
                 0);
    script_heard(&w->s, 10, "0800 1000 30000000 00000000 00000000"
                 "28000000 08000100 0050030000000000 0010000000000000 0010000000000000",
                 0);
    end(w);
}

static void range_at_the_end_of_all_addresses_is_asked_for(void **state)
{
    struct world *w = begin_logging();

    (void)state;
    script_say(&w->s, "");
    assert_int_equal(vfuc_dma_map(w->c, UINT64_MAX - 0x1fff, 0x2000, 3, w->fd, 0), 0);
    server_has_written(w, UINT64_MAX, 1);
    say_report(w, UINT64_MAX - 0x1fff, 0x2000, PAGE, "0100000000000000");
    assert_pages(report(w, UINT64_MAX - 0x1fff, 0x2000), 3);
    end(w);
}

static void larger_bitmap_than_a_message_takes_several(void **state)
{
    struct world *w = begin_logging();
    struct vfuc_dirty *dirty = NULL;
    const uint64_t *words;
    size_t n;

    (void)state;
    w->c->max_transfer = 24 + 16 + 7;   /* two words: 128 pages of 64 bytes */
    say_report(w, FILED, 0x2000, 64, "0100000000000000 0000000000000080");
    say_report(w, FILED + 0x2000, 0x2000, 64, "ffffffffffffffff ffffffffffffffff");
    say_report(w, FILED + 0x4000, 65, 64, "0300000000000000");
    assert_int_equal(vfuc_dma_logging_report(w->c, FILED, 0x4041, 64, &dirty), 0);
    assert_int_equal(w->s.n_said, 9);
    words = vfuc_dirty_bitmap(dirty, &n);
    assert_int_equal(n, 5);
    assert_int_equal(words[0], 1);
    assert_int_equal(words[1], UINT64_C(1) << 63);
    assert_int_equal(words[2], UINT64_MAX);
    assert_int_equal(words[3], UINT64_MAX);
    assert_int_equal(words[4], 3);
    vfuc_dirty_free(dirty);
    end(w);
}

static void smallest_transfer_still_takes_a_word(void **state)
{
    struct world *w = begin_logging();

    (void)state;
    w->c->max_transfer = 1;
    say_report(w, FILED, 64 * PAGE, PAGE, "0000000000000080");
    say_report(w, FILED + 64 * PAGE, PAGE, PAGE, "0100000000000000");
    vfuc_dirty_free(report(w, FILED, 65 * PAGE));
    assert_int_equal(w->s.n_said, 8);
    end(w);
}

/* The server counts those as clean. */
static void pages_that_were_told_before_a_refusal_are_kept(void **state)
{
    struct world *w = begin_logging();
    struct vfuc_dirty *dirty = NULL;

    (void)state;
    w->c->max_transfer = 32;    /* a word: 64 pages of 512 bytes */
    say_report(w, FILED, 0x8000, 512, "0101010000000000");
    script_refuse(&w->s, EIO);
    assert_int_equal(vfuc_dma_logging_report(w->c, FILED, 0x10000, 512, &dirty),
                     -EREMOTEIO);
    assert_null(dirty);
    say_report(w, FILED, 0x10000, PAGE, "0080000000000000");
    assert_pages(report(w, FILED, 0x10000), 0x8007);
    end(w);
}

/* They are noted by window, and one run of pages may lie in two. */
static void such_pages_are_kept_across_windows(void **state)
{
    struct world *w = begin_logging();
    struct vfuc_dirty *dirty = NULL;

    (void)state;
    w->c->max_transfer = 32;    /* a word: 64 pages of 256 bytes */
    say_report(w, FILED + 0xc000, 0x4000, 256, "0000000000000080");
    say_report(w, AFTER, 0x4000, 256, "0100000000000000");
    script_refuse(&w->s, EIO);
    assert_int_equal(vfuc_dma_logging_report(w->c, FILED + 0xc000, 0xc000, 256, &dirty),
                     -EREMOTEIO);
    assert_null(dirty);
    say_report(w, FILED + 0xf000, 0x2000, PAGE, "0000000000000000");
    assert_pages(report(w, FILED + 0xf000, 0x2000), 3);
    end(w);
}

static void pages_that_cannot_be_kept_end_the_connection(void **state)
{
    struct world *w = begin_logging();
    struct vfuc_dirty *dirty;

    (void)state;
    w->c->max_transfer = 32;
    say_report(w, FILED, 0x8000, 512, "0101010000000000");
    script_refuse(&w->s, EIO);
    w->c->windows.written.bytes = VUC_WRITTEN_MAX;
    assert_int_equal(vfuc_dma_logging_report(w->c, FILED, 0x10000, 512, &dirty), -ENOMEM);
    assert_true(w->s.closed);
    w->c->windows.written.bytes = 0;
    end(w);
}

static void range_that_is_not_mapped_is_for_the_server_to_judge(void **state)
{
    struct world *w = begin_logging();
    struct vfuc_dirty *dirty;

    (void)state;
    script_refuse(&w->s, ENOENT);
    assert_int_equal(vfuc_dma_logging_report(w->c, 0x900000, PAGE, PAGE, &dirty),
                     -EREMOTEIO);
    assert_int_equal(vfuc_last_errno(w->c), ENOENT);
    end(w);
}

static void assert_report_broken(struct world *w)
{
    struct vfuc_dirty *dirty = NULL;

    assert_int_equal(vfuc_dma_logging_report(w->c, FILED, 0x10000, PAGE, &dirty),
                     -EPROTO);
    assert_null(dirty);
    assert_true(w->s.closed);
    end(w);
}

static void report_reply_cut_at_any_length_is_broken(void **state)
{
    (void)state;
    for (size_t len = 0; len < 40; len++) {
        struct world *w = begin_logging();

        say_report(w, FILED, 0x10000, PAGE, "0100000000000000")->body_len = len;
        assert_report_broken(w);
    }
}

static void report_reply_with_a_longer_bitmap_is_broken(void **state)
{
    struct world *w = begin_logging();

    (void)state;
    say_report(w, FILED, 0x10000, PAGE, "0100000000000000 0100000000000000");
    assert_report_broken(w);
}

static void report_reply_about_another_address_is_broken(void **state)
{
    struct world *w = begin_logging();

    (void)state;
    say_report(w, FILED + PAGE, 0x10000, PAGE, "0100000000000000");
    assert_report_broken(w);
}

static void report_reply_about_another_length_is_broken(void **state)
{
    struct world *w = begin_logging();

    (void)state;
    say_report(w, FILED, 0xf000, PAGE, "0100000000000000");
    assert_report_broken(w);
}

static void report_reply_about_other_pages_is_broken(void **state)
{
    struct world *w = begin_logging();

    (void)state;
    say_report(w, FILED, 0x10000, 2 * PAGE, "0100000000000000");
    assert_report_broken(w);
}

static void report_reply_about_another_feature_is_broken(void **state)
{
    struct world *w = begin_logging();

    (void)state;
    say_report(w, FILED, 0x10000, PAGE, "0100000000000000")->body[4] = 7;
    assert_report_broken(w);
}

/* ------------------------------------------------------- unmap with a report -- */

#define SAY_UNMAPPED "30000000 01000000 0000020000000000 0000010000000000" \
                     "0010000000000000 0800000000000000 "

static void last_report_comes_with_the_unmapping(void **state)
{
    struct world *w = begin_logging();
    struct vfuc_dirty *dirty;

    (void)state;
    server_has_written(w, FILED + 5 * PAGE, 1);
    server_writes(w, FILED + 6 * PAGE, 1);      /* before the reply */
    script_say(&w->s, SAY_UNMAPPED "0180000000000000");
    assert_int_equal(vfuc_dma_unmap_dirty(w->c, FILED, 0x10000, PAGE, &dirty), 0);
    /* argsz flags address size, page size and bytes of bitmap */
    script_heard(&w->s, 7, "0600 0300 38000000 00000000 00000000"
                 "30000000 01000000 0000020000000000 0000010000000000"
                 "0010000000000000 0800000000000000", 0);
    assert_pages(dirty, 0x8061);
    assert_null(vuc_windows_exact(&w->c->windows, FILED, 0x10000));
    end(w);
}

static void window_without_a_descriptor_is_unmapped_plainly(void **state)
{
    struct world *w = begin_logging();
    struct vfuc_dirty *dirty;

    (void)state;
    w->c->max_transfer = 1;     /* nothing of a bitmap is sent */
    server_has_written(w, LENT + 5 * PAGE, 1);
    script_say(&w->s, "18000000 00000000 0000010000000000 0000010000000000");
    assert_int_equal(vfuc_dma_unmap_dirty(w->c, LENT, 0x10000, PAGE, &dirty), 0);
    script_heard(&w->s, 7, "0600 0300 28000000 00000000 00000000"
                 "18000000 00000000 0000010000000000 0000010000000000", 0);
    assert_pages(dirty, 0x20);
    assert_null(vuc_windows_exact(&w->c->windows, LENT, 0x10000));
    end(w);
}

static void unmapping_that_is_refused_keeps_window_and_pages(void **state)
{
    struct world *w = begin_logging();
    struct vfuc_dirty *dirty = NULL;

    (void)state;
    server_has_written(w, FILED, 1);
    script_refuse(&w->s, EINVAL);
    assert_int_equal(vfuc_dma_unmap_dirty(w->c, FILED, 0x10000, PAGE, &dirty),
                     -EREMOTEIO);
    assert_null(dirty);
    assert_non_null(vuc_windows_exact(&w->c->windows, FILED, 0x10000));
    say_report(w, FILED, 0x10000, PAGE, "0000000000000000");
    assert_pages(report(w, FILED, 0x10000), 1);
    end(w);
}

static void unmapping_with_a_report_is_checked_before_it_is_sent(void **state)
{
    struct world *w = begin_logging();
    struct vfuc_dirty *dirty = NULL;

    (void)state;
    assert_int_equal(vfuc_dma_unmap_dirty(w->c, FILED, 0, PAGE, &dirty), -EINVAL);
    assert_int_equal(vfuc_dma_unmap_dirty(w->c, UINT64_MAX, 2, PAGE, &dirty), -EINVAL);
    assert_int_equal(vfuc_dma_unmap_dirty(w->c, FILED, 0x10000, 0, &dirty), -EINVAL);
    assert_int_equal(vfuc_dma_unmap_dirty(w->c, FILED, 0x10000, 3, &dirty), -EINVAL);
    w->c->max_transfer = 47;
    assert_int_equal(vfuc_dma_unmap_dirty(w->c, FILED, 0x10000, PAGE, &dirty), -E2BIG);
    assert_null(dirty);
    assert_int_equal(w->s.n_said, 6);
    assert_non_null(vuc_windows_exact(&w->c->windows, FILED, 0x10000));
    end(w);
}

static void assert_unmapping_broken(const char *reply)
{
    struct world *w = begin_logging();
    struct vfuc_dirty *dirty = NULL;

    script_say(&w->s, reply);
    assert_int_equal(vfuc_dma_unmap_dirty(w->c, FILED, 0x10000, PAGE, &dirty), -EPROTO);
    assert_null(dirty);
    assert_true(w->s.closed);
    assert_non_null(vuc_windows_exact(&w->c->windows, FILED, 0x10000));
    end(w);
}

static void unmap_reply_without_the_bitmap_is_broken(void **state)
{
    (void)state;
    assert_unmapping_broken("18000000 00000000 0000020000000000 0000010000000000");
}

static void unmap_reply_that_only_repeats_the_flag_is_broken(void **state)
{
    (void)state;
    assert_unmapping_broken("18000000 01000000 0000020000000000 0000010000000000");
}

static void unmap_reply_without_the_bits_is_broken(void **state)
{
    (void)state;
    assert_unmapping_broken(SAY_UNMAPPED);
}

static void unmap_reply_with_a_bitmap_cut_short_is_broken(void **state)
{
    (void)state;
    assert_unmapping_broken(SAY_UNMAPPED "01800000000000");
}

static void unmap_reply_with_a_smaller_bitmap_is_broken(void **state)
{
    (void)state;
    assert_unmapping_broken("28000000 01000000 0000020000000000 0000010000000000"
                            "0010000000000000 0000000000000000 0180000000000000");
}

static void unmap_reply_with_a_longer_bitmap_is_broken(void **state)
{
    (void)state;
    assert_unmapping_broken(SAY_UNMAPPED "0180000000000000 00");
}

static void unmap_reply_about_other_pages_is_broken(void **state)
{
    (void)state;
    assert_unmapping_broken("30000000 01000000 0000020000000000 0000010000000000"
                            "0020000000000000 0800000000000000 0180000000000000");
}

static void unmap_reply_about_another_window_is_broken(void **state)
{
    (void)state;
    assert_unmapping_broken("30000000 01000000 0000030000000000 0000010000000000"
                            "0010000000000000 0800000000000000 0180000000000000");
}

static void calls_without_memory_change_nothing(void **state)
{
    struct vfuc_range range = { LENT, PAGE };
    struct world *w = begin_logging();
    struct vfuc_dirty *dirty = NULL;
    int err;

    (void)state;
    server_has_written(w, FILED, 1);
    for (unsigned nth = 1; nth <= 2; nth++) {   /* sorted ranges, ranges to be sent */
        calls_reset();
        calls.malloc_fails_at = nth;
        err = vfuc_dma_logging_start(w->c, PAGE, &range, 1, NULL);
        calls_reset();
        assert_int_equal(err, -ENOMEM);
    }
    calls.malloc_fails_at = 1;
    err = vfuc_dma_logging_report(w->c, FILED, 0x10000, PAGE, &dirty);
    calls_reset();
    assert_int_equal(err, -ENOMEM);
    calls.malloc_fails_at = 1;
    err = vfuc_dma_unmap_dirty(w->c, FILED, 0x10000, PAGE, &dirty);
    calls_reset();
    assert_int_equal(err, -ENOMEM);
    assert_null(dirty);
    assert_int_equal(w->s.n_said, 7);
    say_report(w, FILED, 0x10000, PAGE, "0000000000000000");
    assert_pages(report(w, FILED, 0x10000), 1);
    server_has_written(w, LENT + PAGE, 1);
    assert_noted(w, 2);
    end(w);
}

/* --------------------------------------------------------------- connections -- */

static void closed_connection_reports_nothing(void **state)
{
    struct world *w = begin_logging();
    struct vfuc_dirty *dirty;

    (void)state;
    script_fail(&w->s, 0);
    assert_int_equal(vfuc_dma_logging_report(w->c, FILED, PAGE, PAGE, &dirty), -ENOTCONN);
    assert_int_equal(vfuc_dma_logging_report(w->c, LENT, PAGE, PAGE, &dirty), -ENOTCONN);
    assert_int_equal(vfuc_dma_logging_start(w->c, PAGE, NULL, 0, NULL), -ENOTCONN);
    assert_int_equal(vfuc_dma_logging_stop(w->c), -ENOTCONN);
    assert_int_equal(vfuc_dma_unmap_dirty(w->c, FILED, 0x10000, PAGE, &dirty), -ENOTCONN);
    end(w);
}

static void next_connection_begins_without_logging(void **state)
{
    struct world *w = begin_logging();
    struct vfuc_dirty *dirty;
    struct script again;

    (void)state;
    server_has_written(w, LENT, 1);
    known_again(w->c, &w->s, &again);
    for (int i = 0; i < 3; i++)
        script_say(&again, "");
    assert_int_equal(vuc_windows_restore(w->c), 0);
    assert_int_equal(vfuc_dma_logging_report(w->c, LENT, PAGE, PAGE, &dirty), -EINVAL);
    script_say(&again, SAY_STARTED);
    assert_int_equal(vfuc_dma_logging_start(w->c, PAGE, NULL, 0, NULL), 0);
    assert_pages(report(w, LENT, PAGE), 0);
    script_done(&w->s);
    w->s = again;
    w->c->main.at = &w->s;
    end(w);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(start_names_page_size_and_ranges),
    VU_FD_TEST(start_without_ranges_is_for_everything),
    VU_FD_TEST(start_is_checked_before_it_is_sent),
    VU_FD_TEST(start_that_is_refused_starts_nothing),
    VU_FD_TEST(start_reply_without_a_page_size_is_broken),
    VU_FD_TEST(start_reply_cut_behind_the_page_size_is_broken),
    VU_FD_TEST(start_reply_with_page_size_0_is_broken),
    VU_FD_TEST(start_reply_with_an_odd_page_size_is_broken),
    VU_FD_TEST(start_reply_about_another_feature_is_broken),
    VU_FD_TEST(writes_before_the_reply_to_start_are_noted),
    VU_FD_TEST(only_ranges_of_start_are_noted),
    VU_FD_TEST(second_start_that_is_refused_changes_nothing),
    VU_FD_TEST(second_start_has_its_own_ranges),
    VU_FD_TEST(stop_forgets_what_was_noted),
    VU_FD_TEST(stop_that_is_refused_stops_nothing),
    VU_FD_TEST(report_brings_the_pages_of_the_server),
    VU_FD_TEST(report_is_checked_before_it_is_sent),
    VU_FD_TEST(report_without_start_is_not_sent),
    VU_FD_TEST(bits_behind_the_range_are_not_looked_at),
    VU_FD_TEST(pages_of_both_come_together),
    VU_FD_TEST(windows_without_a_descriptor_are_not_asked_for),
    VU_FD_TEST(range_is_asked_for_around_such_windows),
    VU_FD_TEST(range_at_the_end_of_all_addresses_is_asked_for),
    VU_FD_TEST(larger_bitmap_than_a_message_takes_several),
    VU_FD_TEST(smallest_transfer_still_takes_a_word),
    VU_FD_TEST(pages_that_were_told_before_a_refusal_are_kept),
    VU_FD_TEST(such_pages_are_kept_across_windows),
    VU_FD_TEST(pages_that_cannot_be_kept_end_the_connection),
    VU_FD_TEST(range_that_is_not_mapped_is_for_the_server_to_judge),
    VU_FD_TEST(report_reply_cut_at_any_length_is_broken),
    VU_FD_TEST(report_reply_with_a_longer_bitmap_is_broken),
    VU_FD_TEST(report_reply_about_another_address_is_broken),
    VU_FD_TEST(report_reply_about_another_length_is_broken),
    VU_FD_TEST(report_reply_about_other_pages_is_broken),
    VU_FD_TEST(report_reply_about_another_feature_is_broken),
    VU_FD_TEST(last_report_comes_with_the_unmapping),
    VU_FD_TEST(window_without_a_descriptor_is_unmapped_plainly),
    VU_FD_TEST(unmapping_that_is_refused_keeps_window_and_pages),
    VU_FD_TEST(unmapping_with_a_report_is_checked_before_it_is_sent),
    VU_FD_TEST(unmap_reply_without_the_bitmap_is_broken),
    VU_FD_TEST(unmap_reply_that_only_repeats_the_flag_is_broken),
    VU_FD_TEST(unmap_reply_without_the_bits_is_broken),
    VU_FD_TEST(unmap_reply_with_a_bitmap_cut_short_is_broken),
    VU_FD_TEST(unmap_reply_with_a_smaller_bitmap_is_broken),
    VU_FD_TEST(unmap_reply_with_a_longer_bitmap_is_broken),
    VU_FD_TEST(unmap_reply_about_other_pages_is_broken),
    VU_FD_TEST(unmap_reply_about_another_window_is_broken),
    VU_FD_TEST(calls_without_memory_change_nothing),
    VU_FD_TEST(closed_connection_reports_nothing),
    VU_FD_TEST(next_connection_begins_without_logging),
};

VU_TEST_MAIN(tests)
