/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of windows, and the files behind them.
 *
 * Linked with --wrap for malloc and calloc, so that allocations fail on demand.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "libclient/windows.h"
#include "wire/tests/calls.h"
#include "wire/tests/support.h"

#define MANY 100000u

static unsigned seed = 1;

static uint64_t any(uint64_t n)
{
    return (((uint64_t)(unsigned)rand_r(&seed) << 31) ^ (unsigned)rand_r(&seed)) % n;
}

static int memory(size_t size)
{
    int fd = memfd_create("windows", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    return fd;
}

static int reopen(int fd, int flags)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    fd = open(path, flags | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

/* Enter one; the value is vuc_windows_add()'s. */
static int add(struct vuc_windows *w, uint64_t first, uint64_t last, int fd, uint64_t *id)
{
    struct vuc_window like = { .at = { first, last }, .flags = 3 };
    uint64_t ignored;

    return vuc_windows_add(w, &like, fd, id == NULL ? &ignored : id);
}

static struct vuc_window *at(const struct vuc_windows *w, uint64_t address)
{
    return vuc_interval_any(&w->tree, address, address);
}

/* --------------------------------------------------------------- intervals -- */

#define ADDRESSES 256

static void intervals_agree_with_a_plain_array(void **state)
{
    struct vuc_interval *by_address[ADDRESSES] = { NULL };
    uint64_t base = UINT64_MAX - (ADDRESSES - 1);
    void *tree = NULL;

    (void)state;
    for (int step = 0; step < 20000; step++) {
        uint64_t first = any(ADDRESSES), last = first + any(ADDRESSES - first) / 8;
        struct vuc_interval *lowest = NULL, *found;

        for (uint64_t i = first; i <= last && lowest == NULL; i++)
            lowest = by_address[i];
        found = vuc_interval_lowest(&tree, base + first, base + last);
        assert_ptr_equal(found, lowest);
        found = vuc_interval_any(&tree, base + first, base + last);
        assert_int_equal(found == NULL, lowest == NULL);
        if (lowest == NULL) {
            struct vuc_interval *new = malloc(sizeof(*new));

            *new = (struct vuc_interval){ base + first, base + last };
            assert_int_equal(vuc_interval_add(&tree, new), 0);
            for (uint64_t i = first; i <= last; i++)
                by_address[i] = new;
        } else {
            struct vuc_interval twice = { base + first, base + last };

            assert_int_equal(vuc_interval_add(&tree, &twice), -EEXIST);
            assert_true(found->first <= base + last && found->last >= base + first);
            vuc_interval_remove(&tree, lowest);
            for (uint64_t i = lowest->first - base; i <= lowest->last - base; i++)
                by_address[i] = NULL;
            free(lowest);
        }
    }
    for (uint64_t i = 0; i < ADDRESSES; i++) {
        struct vuc_interval *left = by_address[i];

        if (left == NULL)
            continue;
        i = left->last - base;
        vuc_interval_remove(&tree, left);
        free(left);
    }
    assert_null(tree);
}

/* ----------------------------------------------------------------- windows -- */

static void any_overlap_is_refused(void **state)
{
    struct vuc_windows w;

    (void)state;
    vuc_windows_init(&w);
    assert_int_equal(add(&w, 0x2000, 0x2fff, -1, NULL), 0);
    assert_int_equal(add(&w, 0x2000, 0x2fff, -1, NULL), -EEXIST);
    assert_int_equal(add(&w, 0x2400, 0x24ff, -1, NULL), -EEXIST);
    assert_int_equal(add(&w, 0x1000, 0x3fff, -1, NULL), -EEXIST);
    assert_int_equal(add(&w, 0x1000, 0x2000, -1, NULL), -EEXIST);
    assert_int_equal(add(&w, 0x2fff, 0x3fff, -1, NULL), -EEXIST);
    assert_int_equal(add(&w, 0, UINT64_MAX, -1, NULL), -EEXIST);
    assert_int_equal(w.count, 1);
    assert_int_equal(add(&w, 0x1000, 0x1fff, -1, NULL), 0);
    assert_int_equal(add(&w, 0x3000, 0x3fff, -1, NULL), 0);
    assert_int_equal(w.count, 3);
    vuc_windows_done(&w);
}

static void windows_reach_both_ends_of_the_addresses(void **state)
{
    struct vuc_windows w;

    (void)state;
    vuc_windows_init(&w);
    assert_int_equal(add(&w, 0, 0, -1, NULL), 0);
    assert_int_equal(add(&w, UINT64_MAX - 0xfff, UINT64_MAX, -1, NULL), 0);
    assert_int_equal(add(&w, UINT64_MAX, UINT64_MAX, -1, NULL), -EEXIST);
    assert_non_null(vuc_windows_exact(&w, UINT64_MAX - 0xfff, 0x1000));
    assert_non_null(vuc_windows_exact(&w, 0, 1));
    assert_null(vuc_windows_exact(&w, 0, 0));
    vuc_windows_done(&w);
}

static void exact_means_both_ends(void **state)
{
    struct vuc_windows w;

    (void)state;
    vuc_windows_init(&w);
    assert_int_equal(add(&w, 0x2000, 0x3fff, -1, NULL), 0);
    assert_non_null(vuc_windows_exact(&w, 0x2000, 0x2000));
    assert_null(vuc_windows_exact(&w, 0x2000, 0x1000));
    assert_null(vuc_windows_exact(&w, 0x3000, 0x1000));
    assert_null(vuc_windows_exact(&w, 0x2000, 0x3000));
    assert_null(vuc_windows_exact(&w, 0x1000, 0x3000));
    assert_null(vuc_windows_exact(&w, 0x2000, UINT64_MAX));
    vuc_windows_done(&w);
}

static void window_is_taken_out_by_its_own_id_alone(void **state)
{
    struct vuc_windows w;
    uint64_t first, second;

    (void)state;
    vuc_windows_init(&w);
    assert_int_equal(add(&w, 0x1000, 0x1fff, -1, &first), 0);
    vuc_windows_remove(&w, 0x1000, first + 1);
    vuc_windows_remove(&w, 0x1000, 0);
    vuc_windows_remove(&w, 0x2000, first);
    assert_int_equal(w.count, 1);
    vuc_windows_remove(&w, 0x1000, first);
    assert_int_equal(w.count, 0);
    assert_int_equal(add(&w, 0x1000, 0x1fff, -1, &second), 0);
    assert_int_not_equal(first, second);
    vuc_windows_remove(&w, 0x1000, first);
    assert_non_null(at(&w, 0x1000));
    vuc_windows_done(&w);
}

static void window_leaves_as_often_as_it_was_told_to(void **state)
{
    struct vuc_windows w;
    uint64_t id;

    (void)state;
    vuc_windows_init(&w);
    assert_int_equal(add(&w, 0x1000, 0x1fff, -1, &id), 0);
    vuc_windows_leave(&w, 0x1000, id);
    vuc_windows_leave(&w, 0x1000, id);
    vuc_windows_leave(&w, 0x1000, id + 1);
    vuc_windows_stay(&w, 0x1000, id);
    assert_int_equal(at(&w, 0x1000)->leaving, 1);
    vuc_windows_stay(&w, 0x1000, id);
    assert_int_equal(at(&w, 0x1000)->leaving, 0);
    vuc_windows_done(&w);
}

static void pages_of_a_window_that_goes_are_forgotten(void **state)
{
    struct vuc_windows w;
    struct vfuc_dirty *d = vuc_dirty_new(0, 0x10000, 0x1000);
    uint64_t id;

    (void)state;
    vuc_windows_init(&w);
    w.written.on = w.written.everything = true;
    assert_int_equal(add(&w, 0x1000, 0x1fff, -1, &id), 0);
    assert_int_equal(vuc_written_note(&w.written, &at(&w, 0x1000)->at, 0x1000, 0x1000),
                     0);
    vuc_windows_remove(&w, 0x1000, id);
    vuc_windows_report(&w, d);
    assert_int_equal(vfuc_dirty_count(d), 0);
    vfuc_dirty_free(d);
    vuc_windows_done(&w);
}

/* A flat table would take 100,000 * 100,000 / 4 moves for this. */
static void many_windows_come_and_go_in_random_order(void **state)
{
    uint32_t *order = malloc(MANY * sizeof(*order));
    uint64_t *ids = malloc(MANY * sizeof(*ids));
    struct vuc_windows w;
    int fd = memory(0x1000);

    (void)state;
    vuc_windows_init(&w);
    for (uint32_t i = 0; i < MANY; i++) {
        uint32_t j = (uint32_t)any(i + 1);

        order[i] = order[j];
        order[j] = i;
    }
    for (uint32_t i = 0; i < MANY; i++) {
        uint64_t first = order[i] * UINT64_C(0x1000);

        assert_int_equal(add(&w, first, first + 0xfff, fd, &ids[order[i]]), 0);
    }
    assert_int_equal(w.count, MANY);
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(at(&w, i * UINT64_C(0x1000) + 0xabc)->id, ids[i]);
    for (uint32_t i = 0; i < MANY; i += 2)
        vuc_windows_remove(&w, order[i] * UINT64_C(0x1000), ids[order[i]]);
    assert_int_equal(w.count, MANY / 2);
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(at(&w, order[i] * UINT64_C(0x1000)) == NULL, i % 2 == 0);
    vuc_windows_remove_all(&w);
    assert_int_equal(w.count, 0);
    vuc_windows_done(&w);
    close(fd);
    free(ids);
    free(order);
}

/* ------------------------------------------------------------------- files -- */

static void windows_of_one_file_share_a_descriptor(void **state)
{
    struct vuc_windows w;
    int fd = memory(0x10000), again = reopen(fd, O_RDWR), before = vu_test_open_fds();
    uint64_t ids[3];

    (void)state;
    vuc_windows_init(&w);
    assert_int_equal(add(&w, 0x1000, 0x1fff, fd, &ids[0]), 0);
    assert_int_equal(add(&w, 0x2000, 0x2fff, fd, &ids[1]), 0);
    assert_int_equal(add(&w, 0x3000, 0x3fff, again, &ids[2]), 0);
    assert_int_equal(vu_test_open_fds(), before + 1);
    assert_int_not_equal(at(&w, 0x1000)->file->fd, fd);
    assert_ptr_equal(at(&w, 0x1000)->file, at(&w, 0x3000)->file);
    vuc_windows_remove(&w, 0x1000, ids[0]);
    vuc_windows_remove(&w, 0x3000, ids[2]);
    assert_int_equal(vu_test_open_fds(), before + 1);
    assert_non_null(w.files);
    vuc_windows_remove(&w, 0x2000, ids[1]);
    assert_int_equal(vu_test_open_fds(), before);
    assert_null(w.files);
    vuc_windows_done(&w);
    close(again);
    close(fd);
}

static void copies_are_closed_on_exec(void **state)
{
    struct vuc_windows w;
    int fd = memory(0x1000);

    (void)state;
    vuc_windows_init(&w);
    assert_int_equal(add(&w, 0x1000, 0x1fff, fd, NULL), 0);
    assert_int_equal(fcntl(at(&w, 0x1000)->file->fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    vuc_windows_done(&w);
    close(fd);
}

static void files_opened_otherwise_are_not_shared(void **state)
{
    static const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR | O_APPEND };
    struct vuc_windows w;
    int fd = memory(0x10000), before = vu_test_open_fds();
    uint64_t address = 0x10000;

    (void)state;
    vuc_windows_init(&w);
    assert_int_equal(add(&w, 0x1000, 0x1fff, fd, NULL), 0);
    for (size_t i = 0; i < 3; i++, address += 0x1000) {
        int other = reopen(fd, modes[i]);

        assert_int_equal(add(&w, address, address + 0xfff, other, NULL), 0);
        close(other);
        assert_int_equal(vu_test_open_fds(), before + 2 + (int)i);
    }
    vuc_windows_done(&w);
    assert_int_equal(vu_test_open_fds(), before);
    close(fd);
}

static void different_files_are_not_shared(void **state)
{
    struct vuc_windows w;
    int a = memory(0x1000), b = memory(0x1000), before = vu_test_open_fds();

    (void)state;
    vuc_windows_init(&w);
    assert_int_equal(add(&w, 0x1000, 0x1fff, a, NULL), 0);
    assert_int_equal(add(&w, 0x2000, 0x2fff, b, NULL), 0);
    assert_int_equal(vu_test_open_fds(), before + 2);
    vuc_windows_done(&w);
    close(a);
    close(b);
}

/* Inode numbers say nothing beyond their device. */
static void files_of_different_devices_are_not_shared(void **state)
{
    static const char *const paths[] = { "/proc/self/exe", "/proc/self/maps" };
    struct vuc_windows w;
    int fds[3] = { memory(0x1000) }, before;
    dev_t devices[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct stat st;

        if (i > 0)
            fds[i] = open(paths[i - 1], O_RDONLY | O_CLOEXEC);
        assert_int_equal(fstat(fds[i], &st), 0);
        assert_true(S_ISREG(st.st_mode));
        devices[i] = st.st_dev;
    }
    assert_true(devices[0] != devices[1] && devices[0] != devices[2]
                && devices[1] != devices[2]);
    before = vu_test_open_fds();
    vuc_windows_init(&w);
    for (uint64_t i = 0; i < 6; i++)
        assert_int_equal(add(&w, i << 12, (i << 12) + 0xfff, fds[i % 3], NULL), 0);
    assert_int_equal(vu_test_open_fds(), before + 3);
    for (uint64_t i = 0; i < 3; i++)
        assert_ptr_equal(at(&w, i << 12)->file, at(&w, (i + 3) << 12)->file);
    vuc_windows_done(&w);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
}

/* All eventfds have the same inode. */
static void what_is_no_regular_file_is_not_shared(void **state)
{
    struct vuc_windows w;
    int a = eventfd(0, EFD_CLOEXEC), b = eventfd(0, EFD_CLOEXEC);
    int before = vu_test_open_fds();

    (void)state;
    vuc_windows_init(&w);
    assert_int_equal(add(&w, 0x1000, 0x1fff, a, NULL), 0);
    assert_int_equal(add(&w, 0x2000, 0x2fff, b, NULL), 0);
    assert_int_equal(add(&w, 0x3000, 0x3fff, b, NULL), 0);
    assert_int_equal(vu_test_open_fds(), before + 3);
    vuc_windows_done(&w);
    assert_int_equal(vu_test_open_fds(), before);
    close(a);
    close(b);
}

static void closed_descriptor_makes_no_window(void **state)
{
    struct vuc_windows w;

    (void)state;
    vuc_windows_init(&w);
    assert_int_equal(add(&w, 0x1000, 0x1fff, 999, NULL), -EBADF);
    assert_int_equal(w.count, 0);
    assert_null(at(&w, 0x1000));
    vuc_windows_done(&w);
}

static void full_descriptor_table_makes_no_window(void **state)
{
    struct rlimit old, none;
    struct vuc_windows w;
    int fd = memory(0x1000);

    (void)state;
    vuc_windows_init(&w);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = old;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(add(&w, 0x1000, 0x1fff, fd, NULL), -EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(w.count, 0);
    assert_null(w.files);
    assert_int_equal(add(&w, 0x1000, 0x1fff, fd, NULL), 0);
    vuc_windows_done(&w);
    close(fd);
}

static void allocation_that_fails_makes_no_window(void **state)
{
    int fd = memory(0x1000), before = vu_test_open_fds();

    (void)state;
    for (unsigned nth = 1; nth <= 2; nth++) {
        struct vuc_windows w;
        int err;

        vuc_windows_init(&w);
        calls_reset();
        calls.malloc_fails_at = nth;
        err = add(&w, 0x1000, 0x1fff, fd, NULL);
        calls_reset();
        assert_int_equal(err, -ENOMEM);
        assert_int_equal(w.count, 0);
        assert_null(w.tree);
        assert_null(w.files);
        assert_int_equal(vu_test_open_fds(), before);
        vuc_windows_done(&w);
    }
    close(fd);
}

static void bits_without_memory_are_an_error(void **state)
{
    struct vuc_written w = { .on = true, .everything = true };
    struct vfuc_range range = { 0, 1 };
    struct vuc_interval window = { 0, 0xfff };
    struct vuc_ranges ranges;
    int err;

    (void)state;
    calls_reset();
    calls.malloc_fails_at = 1;
    err = vuc_written_note(&w, &window, 0, 0);
    assert_int_equal(err, -ENOMEM);
    err = vuc_ranges_of(&range, 1, &ranges);
    assert_int_equal(err, -ENOMEM);
    assert_null(vuc_dirty_new(0, 1, 1));
    calls_reset();
    assert_null(w.blocks);
    assert_int_equal(w.bytes, 0);
}

/* --------------------------------------------------------------- contents -- */

static struct vuc_file *file_of(void **files, int fd)
{
    struct vuc_file *file = NULL;

    assert_int_equal(vuc_file_get(files, fd, &file), 0);
    return file;
}

static void what_is_written_can_be_read(void **state)
{
    void *files = NULL;
    int fd = memory(0x1000);
    struct vuc_file *file = file_of(&files, fd);
    char back[5];

    (void)state;
    assert_int_equal(vuc_file_write(file, "hallo", 5, 0xffb), 0);
    assert_int_equal(vuc_file_read(file, back, 5, 0xffb), 0);
    assert_memory_equal(back, "hallo", 5);
    vuc_file_put(&files, file);
    close(fd);
}

static void reading_ends_with_the_file(void **state)
{
    void *files = NULL;
    int fd = memory(0x1000);
    struct vuc_file *file = file_of(&files, fd);
    char back[8];

    (void)state;
    assert_int_equal(vuc_file_read(file, back, 8, 0xff8), 0);
    assert_int_equal(vuc_file_read(file, back, 8, 0xff9), -EFAULT);
    assert_int_equal(vuc_file_read(file, back, 1, 0x1000), -EFAULT);
    assert_int_equal(vuc_file_read(file, back, 1, INT64_MAX - 1), -EFAULT);
    vuc_file_put(&files, file);
    close(fd);
}

static void writing_does_not_make_a_file_longer(void **state)
{
    void *files = NULL;
    int fd = memory(0x1000);
    struct vuc_file *file = file_of(&files, fd);
    struct stat st;
    char back[4];

    (void)state;
    assert_int_equal(vuc_file_write(file, "hallo", 5, 0xffc), -EFAULT);
    assert_int_equal(vuc_file_write(file, "hallo", 5, 0x1000), -EFAULT);
    assert_int_equal(vuc_file_write(file, "hallo", 5, 0x100000), -EFAULT);
    assert_int_equal(vuc_file_read(file, back, 4, 0xffc), 0);
    assert_memory_equal(back, "\0\0\0\0", 4);
    assert_int_equal(ftruncate(fd, 0x800), 0);
    assert_int_equal(vuc_file_write(file, "hallo", 5, 0x900), -EFAULT);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 0x800);
    vuc_file_put(&files, file);
    close(fd);
}

static void access_mode_of_the_descriptor_holds(void **state)
{
    void *files = NULL;
    int fd = memory(0x1000);
    int r = reopen(fd, O_RDONLY), w = reopen(fd, O_WRONLY);
    int append = reopen(fd, O_RDWR | O_APPEND);
    struct vuc_file *reader = file_of(&files, r), *writer = file_of(&files, w);
    struct vuc_file *appender = file_of(&files, append);
    struct stat st;
    char back[5];

    (void)state;
    assert_int_equal(vuc_file_write(reader, "hallo", 5, 0), -EACCES);
    assert_int_equal(vuc_file_read(writer, back, 5, 0), -EACCES);
    assert_int_equal(vuc_file_write(writer, "hallo", 5, 0), 0);
    assert_int_equal(vuc_file_read(reader, back, 5, 0), 0);
    assert_memory_equal(back, "hallo", 5);
    /* Such a write would land behind the end. */
    assert_int_equal(vuc_file_write(appender, "HALLO", 5, 0), -EACCES);
    assert_int_equal(vuc_file_read(appender, back, 5, 0), 0);
    assert_memory_equal(back, "hallo", 5);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 0x1000);
    vuc_file_put(&files, reader);
    vuc_file_put(&files, writer);
    vuc_file_put(&files, appender);
    close(append);
    close(w);
    close(r);
    close(fd);
}

static void sealed_files_and_pipes_report_the_kernels_reason(void **state)
{
    void *files = NULL;
    int fd = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING), ends[2];
    struct vuc_file *file, *pipe_file;
    char byte;

    (void)state;
    assert_int_equal(ftruncate(fd, 0x1000), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
    file = file_of(&files, fd);
    assert_int_equal(vuc_file_write(file, "x", 1, 0), -EPERM);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pipe_file = file_of(&files, ends[0]);
    assert_int_equal(vuc_file_read(pipe_file, &byte, 1, 0), -ESPIPE);
    vuc_file_put(&files, pipe_file);
    pipe_file = file_of(&files, ends[1]);
    assert_int_equal(vuc_file_write(pipe_file, "x", 1, 0), -ESPIPE);
    vuc_file_put(&files, pipe_file);
    vuc_file_put(&files, file);
    close(ends[0]);
    close(ends[1]);
    close(fd);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(intervals_agree_with_a_plain_array),
    cmocka_unit_test(any_overlap_is_refused),
    cmocka_unit_test(windows_reach_both_ends_of_the_addresses),
    cmocka_unit_test(exact_means_both_ends),
    cmocka_unit_test(window_is_taken_out_by_its_own_id_alone),
    cmocka_unit_test(window_leaves_as_often_as_it_was_told_to),
    cmocka_unit_test(pages_of_a_window_that_goes_are_forgotten),
    VU_FD_TEST(many_windows_come_and_go_in_random_order),
    VU_FD_TEST(windows_of_one_file_share_a_descriptor),
    VU_FD_TEST(copies_are_closed_on_exec),
    VU_FD_TEST(files_opened_otherwise_are_not_shared),
    VU_FD_TEST(different_files_are_not_shared),
    VU_FD_TEST(files_of_different_devices_are_not_shared),
    VU_FD_TEST(what_is_no_regular_file_is_not_shared),
    VU_FD_TEST(closed_descriptor_makes_no_window),
    VU_FD_TEST(full_descriptor_table_makes_no_window),
    VU_FD_TEST(allocation_that_fails_makes_no_window),
    VU_FD_TEST(bits_without_memory_are_an_error),
    VU_FD_TEST(what_is_written_can_be_read),
    VU_FD_TEST(reading_ends_with_the_file),
    VU_FD_TEST(writing_does_not_make_a_file_longer),
    VU_FD_TEST(access_mode_of_the_descriptor_holds),
    VU_FD_TEST(sealed_files_and_pipes_report_the_kernels_reason),
};

VU_TEST_MAIN(tests)
