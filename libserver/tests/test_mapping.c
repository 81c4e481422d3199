/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which parts of which files are mapped: shared where they may be, never where not,
 * and gone with their last window.
 */
#include "wire/tests/support.h"

#include "libserver/mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#ifndef MFD_HUGE_SHIFT
#define MFD_HUGE_SHIFT 26     /* log2 of the size of a huge page follows */
#endif

#define PAGE 0x1000u
#define RW (PROT_READ | PROT_WRITE)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* --------------------------------------------------------------- calls -- */

/* The first `fail` calls fail, with err. */
struct fault {
    unsigned calls, fail;
    int err;
};

static struct {
    struct fault mmap, munmap, fstat, fcntl, calloc;
    blksize_t blksize;      /* what fstat() says; 0: the truth */
    bool cut;               /* the client empties and seals its file just before mmap() */
} faults;

static bool fails(struct fault *f)
{
    f->calls++;
    if (f->fail == 0)
        return false;
    f->fail--;
    errno = f->err;
    return true;
}

void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
    if (fails(&faults.mmap))
        return MAP_FAILED;
    if (faults.cut && ftruncate(fd, PAGE / 2) == 0)
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
    return __real_mmap(at, len, prot, flags, fd, offset);
}

int __real_munmap(void *at, size_t len);
int __wrap_munmap(void *at, size_t len);
int __wrap_munmap(void *at, size_t len)
{
    return fails(&faults.munmap) ? -1 : __real_munmap(at, len);
}

int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st)
{
    int ret = fails(&faults.fstat) ? -1 : __real_fstat(fd, st);

    if (ret == 0 && faults.blksize != 0)
        st->st_blksize = faults.blksize;
    return ret;
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...)
{
    va_list args;
    long arg;

    va_start(args, command);
    arg = va_arg(args, long);
    va_end(args);
    return fails(&faults.fcntl) ? -1 : __real_fcntl(fd, command, arg);
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    return fails(&faults.calloc) ? NULL : __real_calloc(n, size);
}

/* --------------------------------------------------------------- tools -- */

static struct vus_mappings ms;

static int set_up(void **state)
{
    faults = (__typeof__(faults)){ .blksize = 0 };
    return vu_test_fds_before(state);
}

/* Every test puts what it got. */
static int tear_down(void **state)
{
    bool clean = ms.n == 0 && ms.n_shared == 0 && (ms.n_stuck != 0 || ms.mapped == 0) &&
                 (ms.n_stuck != 0 || ms.surplus == 0);

    if (ms.n == 0)
        vus_mappings_done(&ms);
    memset(&ms, 0, sizeof(ms));
    return vu_test_fds_after(state) == 0 && clean ? 0 : -1;
}

#define MAPPING_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static int memory(uint64_t size)
{
    int fd = memfd_create("mapped", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    return fd;
}

/* Another descriptor of the same file with an access mode of its own. */
static int reopen(int fd, int flags)
{
    char path[64];
    int other;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    other = open(path, flags | O_CLOEXEC);
    assert_true(other >= 0);
    return other;
}

static int get(int fd, uint64_t offset, uint64_t size, int prot, struct vus_backing *b)
{
    return vus_mapping_get(&ms, fd, offset, size, prot, false, b);
}

/* A window of a file that stays open. */
static struct vus_backing window(int fd, uint64_t offset, uint64_t size, int prot)
{
    struct vus_backing b;

    assert_int_equal(get(reopen(fd, (prot & PROT_WRITE) != 0 ? O_RDWR : O_RDONLY), offset,
                         size, prot, &b), 0);
    return b;
}

static void put(const struct vus_backing *b)
{
    vus_mapping_put(&ms, b->mapping);
}

/* Lines of a file below /proc/self that contain all of these. */
static int count_lines(const char *name, const char *a, const char *b)
{
    FILE *file = fopen(name, "r");
    char line[512];
    int n = 0;

    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL)
        n += strstr(line, a) != NULL && strstr(line, b) != NULL;
    fclose(file);
    return n;
}

static int mappings(void)
{
    return count_lines("/proc/self/maps", "memfd:mapped", "");
}

/* ------------------------------------------------------------- windows -- */

static void a_window_gets_its_own_pages(void **state)
{
    int fd = memory(8 * PAGE);
    struct vus_backing b;

    (void)state;
    assert_int_equal(pwrite(fd, "hello", 5, 2 * PAGE - 1), 5);
    b = window(fd, 2 * PAGE - 1, PAGE + 2, RW);
    assert_int_equal(b.page_size, PAGE);
    assert_int_equal(b.pages.iov_len, 3 * PAGE);
    assert_int_equal((uintptr_t)b.pages.iov_base % PAGE, 0);
    assert_ptr_equal(b.vaddr, (uint8_t *)b.pages.iov_base + PAGE - 1);
    assert_memory_equal(b.vaddr, "hello", 5);
    put(&b);
    close(fd);
}

static void without_a_file_there_is_nothing(void **state)
{
    struct vus_backing b;

    (void)state;
    assert_int_equal(get(-1, 0, PAGE, RW, &b), 0);
    assert_null(b.mapping);
    assert_null(b.vaddr);
    assert_null(b.pages.iov_base);
    assert_int_equal(b.pages.iov_len, 0);
    assert_int_equal(b.page_size, PAGE);
    vus_mapping_put(&ms, NULL);
}

/* Its pages would fault, so there are none; but a file that is too short is one. */
static void without_access_nothing_is_mapped(void **state)
{
    struct vus_backing b;

    (void)state;
    assert_int_equal(get(memory(PAGE), 0, PAGE, 0, &b), 0);
    assert_null(b.mapping);
    assert_null(b.vaddr);
    assert_int_equal(get(memory(PAGE), 0, PAGE + 1, 0, &b), -EINVAL);
    assert_int_equal(faults.mmap.calls, 0);
}

static void windows_of_one_file_share_one_mapping(void **state)
{
    int fd = memory(1000 * PAGE);
    struct vus_backing b[1000];

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        unsigned at = i * 7919 % 1000;      /* in no order */

        b[i] = window(fd, at * PAGE, PAGE, RW);
        memcpy(b[i].vaddr, &at, sizeof(at));
    }
    assert_int_equal(faults.mmap.calls, 1);
    assert_int_equal(mappings(), 1);
    for (unsigned i = 0; i < 1000; i++) {
        unsigned found;

        assert_int_equal(pread(fd, &found, sizeof(found), (off_t)i * PAGE),
                         sizeof(found));
        assert_int_equal(found, i);
        assert_ptr_equal(b[i].mapping, b[0].mapping);
    }
    for (unsigned i = 0; i < 999; i++)
        put(&b[i]);
    assert_int_equal(mappings(), 1);
    put(&b[999]);
    assert_int_equal(mappings(), 0);
    close(fd);
}

static void each_protection_has_its_own_mapping(void **state)
{
    static const int prots[] = { PROT_READ, PROT_WRITE, RW };
    static const char *const shown[] = { " r--s ", " -w-s ", " rw-s " };
    int fd = memory(4 * PAGE);
    struct vus_backing b[3];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        b[i] = window(fd, 0, PAGE, prots[i]);
        assert_int_equal(count_lines("/proc/self/maps", "memfd:mapped", shown[i]), 1);
    }
    assert_int_equal(mappings(), 3);
    for (size_t i = 0; i < 3; i++)
        put(&b[i]);
    close(fd);
}

/* So many that buckets of the index hold more than one protection. */
static void protections_are_not_mixed_up(void **state)
{
    static const int prots[] = { PROT_READ, PROT_WRITE, RW };
    struct vus_backing b[300];

    (void)state;
    for (int i = 0; i < 300; i += 3) {
        int fd = memory(PAGE);

        for (int k = 0; k < 3; k++) {
            b[i + k] = window(fd, 0, PAGE, prots[k]);
            assert_int_equal(b[i + k].mapping->windows, 1);
            assert_int_equal(atomic_load(&b[i + k].mapping->prot), prots[k]);
        }
        close(fd);
    }
    for (int i = 0; i < 300; i++)
        put(&b[i]);
}

static void different_files_are_not_mixed_up(void **state)
{
    struct vus_backing b[300];
    int fds[300];

    (void)state;
    for (int i = 0; i < 300; i++) {
        fds[i] = memory(PAGE);
        b[i] = window(fds[i], 0, PAGE, RW);
        memcpy(b[i].vaddr, &i, sizeof(i));
    }
    for (int i = 0; i < 300; i++) {
        struct vus_backing again = window(fds[i], 0, PAGE, RW);

        assert_ptr_equal(again.mapping, b[i].mapping);
        assert_memory_equal(again.vaddr, &i, sizeof(i));
        put(&again);
    }
    for (int i = 0; i < 300; i++) {
        put(&b[i]);
        close(fds[i]);
    }
}

/* The mapping that is there permits it; the descriptor must too. */
static void a_mapping_is_shared_only_with_descriptors_that_permit_it(void **state)
{
    int fd = memory(2 * PAGE);
    struct vus_backing b = window(fd, 0, PAGE, RW);
    struct vus_backing reading = window(fd, 0, PAGE, PROT_READ);
    struct vus_backing other;

    (void)state;
    assert_int_equal(get(reopen(fd, O_RDONLY), PAGE, PAGE, RW, &other), -EACCES);
    assert_int_equal(get(reopen(fd, O_WRONLY), PAGE, PAGE, RW, &other), -EACCES);
    assert_int_equal(get(reopen(fd, O_WRONLY), PAGE, PAGE, PROT_READ, &other), -EACCES);
    assert_int_equal(get(reopen(fd, O_PATH), PAGE, PAGE, PROT_READ, &other), -EBADF);
    assert_int_equal(get(reopen(fd, O_RDONLY), PAGE, PAGE, PROT_READ, &other), 0);
    put(&other);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
    assert_int_equal(get(reopen(fd, O_RDWR), PAGE, PAGE, RW, &other), -EPERM);
    assert_int_equal(get(reopen(fd, O_RDWR), PAGE, PAGE, PROT_READ, &other), 0);
    put(&other);
    put(&reading);
    put(&b);
    close(fd);
}

/* The same answers as mmap() gives when nothing is there to share. */
static void descriptors_that_permit_less_are_refused(void **state)
{
    int fd = memory(PAGE);
    struct vus_backing b;

    (void)state;
    assert_int_equal(get(reopen(fd, O_RDONLY), 0, PAGE, RW, &b), -EACCES);
    assert_int_equal(get(reopen(fd, O_WRONLY), 0, PAGE, PROT_WRITE, &b), -EACCES);
    assert_int_equal(get(reopen(fd, O_PATH), 0, PAGE, PROT_READ, &b), -EBADF);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
    assert_int_equal(get(reopen(fd, O_RDWR), 0, PAGE, RW, &b), -EPERM);
    assert_int_equal(ms.n, 0);
    close(fd);
}

static void a_grown_file_gets_a_further_mapping(void **state)
{
    int fd = memory(2 * PAGE);
    struct vus_backing first = window(fd, 0, PAGE, RW);
    struct vus_backing across, behind;

    (void)state;
    assert_int_equal(ftruncate(fd, 8 * PAGE), 0);
    across = window(fd, PAGE, 4 * PAGE, RW);
    assert_ptr_not_equal(across.mapping, first.mapping);
    behind = window(fd, 7 * PAGE, PAGE, RW);
    assert_ptr_equal(behind.mapping, across.mapping);
    assert_int_equal(faults.mmap.calls, 2);
    memcpy(first.vaddr, "a", 1);
    memcpy((uint8_t *)across.vaddr + 3 * PAGE, "b", 1);
    memcpy(behind.vaddr, "c", 1);
    for (int i = 0; i < 3; i++) {
        char byte = 0;

        assert_int_equal(pread(fd, &byte, 1, (off_t[]){ 0, 4 * PAGE, 7 * PAGE }[i]), 1);
        assert_int_equal(byte, "abc"[i]);
    }
    put(&first);
    put(&across);
    memcpy(behind.vaddr, "d", 1);       /* still there */
    put(&behind);
    assert_int_equal(mappings(), 0);
    close(fd);
}

/* A client may do that for ever; a search does not take longer for it. */
static void a_file_that_grows_all_the_time_is_served(void **state)
{
    int fd = memory(PAGE);
    struct vus_backing b[200];

    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(ftruncate(fd, (off_t)(i + 1) * PAGE), 0);
        b[i] = window(fd, i * PAGE, PAGE, RW);
        memcpy(b[i].vaddr, &i, sizeof(i));
    }
    for (unsigned i = 0; i < 200; i++) {
        struct vus_backing again = window(fd, i * PAGE, PAGE, RW);

        assert_memory_equal(again.vaddr, &i, sizeof(i));
        put(&again);
    }
    for (unsigned i = 0; i < 200; i++)
        put(&b[i]);
    close(fd);
}

static void a_window_behind_the_end_of_its_file_is_refused(void **state)
{
    static const struct { uint64_t offset, size; } bad[] = {
        { 0, 2 * PAGE + 2 }, { 2 * PAGE + 1, 1 }, { 2 * PAGE, 2 }, { 0, 0 },
        { INT64_MAX, 1 }, { (uint64_t)INT64_MAX + 1, 1 }, { UINT64_MAX, 1 },
        { PAGE, UINT64_MAX }, { PAGE, INT64_MAX },
    };
    int fd = memory(2 * PAGE + 1);
    struct vus_backing b = window(fd, 2 * PAGE, 1, RW);     /* the last byte is in */
    struct vus_backing none;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(get(reopen(fd, O_RDWR), bad[i].offset, bad[i].size, RW, &none),
                         -EINVAL);
    put(&b);
    close(fd);
}

/* The size counts that the file has now. */
static void a_mapping_that_is_there_does_not_hide_a_shrunk_file(void **state)
{
    int fd = memory(4 * PAGE);
    struct vus_backing b = window(fd, 0, PAGE, RW);
    struct vus_backing none;

    (void)state;
    assert_int_equal(ftruncate(fd, PAGE), 0);
    assert_int_equal(get(reopen(fd, O_RDWR), PAGE, PAGE, RW, &none), -EINVAL);
    put(&b);
    close(fd);
}

static void what_cannot_be_mapped_is_refused_and_closed(void **state)
{
    int pipe_fds[2];
    struct vus_backing b;

    (void)state;
    assert_int_equal(pipe(pipe_fds), 0);
    assert_int_equal(get(pipe_fds[0], 0, PAGE, PROT_READ, &b), -ENODEV);
    assert_int_equal(get(pipe_fds[1], 0, PAGE, PROT_READ, &b), -EACCES);
    assert_int_equal(get(eventfd(0, 0), 0, PAGE, RW, &b), -ENODEV);
    assert_int_equal(get(open("/", O_RDONLY), 0, PAGE, PROT_READ, &b), -ENODEV);
}

/* Two devices may well have the same numbers and different memory. */
static void what_is_no_regular_file_is_never_shared(void **state)
{
    struct vus_backing a, b;

    (void)state;
    assert_int_equal(get(open("/dev/zero", O_RDWR), 0, 3 * PAGE, RW, &a), 0);
    assert_int_equal(get(open("/dev/zero", O_RDWR), 0, 3 * PAGE, RW, &b), 0);
    assert_ptr_not_equal(a.mapping, b.mapping);
    memcpy(a.vaddr, "x", 1);
    assert_int_equal(*(char *)b.vaddr, 0);
    assert_int_equal(ms.n_shared, 0);
    assert_int_equal(ms.surplus, 0);
    put(&a);
    put(&b);
}

/* Huge pages can be taken away by a hole in the file, whatever its size. */
static void steady_is_what_can_not_shrink_nor_lose_pages(void **state)
{
    static const struct { int seals; blksize_t blksize; bool steady; } rows[] = {
        { 0, 0, false },
        { F_SEAL_GROW | F_SEAL_SEAL, 0, false },
        { F_SEAL_SHRINK, 0, true },
        { F_SEAL_SHRINK | F_SEAL_GROW, 0, true },
        { F_SEAL_SHRINK, 2 << 20, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int fd = memory(2 << 20);
        struct vus_backing b;

        assert_int_equal(fcntl(fd, F_ADD_SEALS, rows[i].seals), 0);
        faults.blksize = rows[i].blksize;
        assert_int_equal(get(fd, 0, PAGE, RW, &b), 0);
        assert_int_equal(b.mapping->steady, rows[i].steady);
        faults.blksize = 0;
        put(&b);
    }
}

/* Half a page is left of it: its first page has memory, the second none. */
static void a_file_that_was_cut_before_it_was_sealed_is_not_steady(void **state)
{
    struct vus_backing b;

    (void)state;
    for (uint64_t pages = 1; pages <= 2; pages++) {
        int fd = memory(pages * PAGE);

        faults.cut = true;
        assert_int_equal(get(fd, 0, pages * PAGE, RW, &b), 0);
        faults.cut = false;
        assert_int_equal(b.mapping->steady, pages == 1);
        put(&b);
    }
}

static void guest_memory_is_not_dumped(void **state)
{
    FILE *smaps;
    char line[512];
    bool inside = false;
    int seen = 0;
    int fd = memory(PAGE);
    struct vus_backing b = window(fd, 0, PAGE, RW);

    (void)state;
    smaps = fopen("/proc/self/smaps", "r");
    assert_non_null(smaps);
    while (fgets(line, sizeof(line), smaps) != NULL) {
        inside = inside || strstr(line, "memfd:mapped") != NULL;
        if (!inside || strncmp(line, "VmFlags:", 8) != 0)
            continue;
        seen += strstr(line, " dd") != NULL;
        inside = false;
    }
    fclose(smaps);
    assert_int_equal(seen, 1);
    put(&b);
    close(fd);
}

/* --------------------------------------------------------------- sizes -- */

static void the_page_size_is_the_files(void **state)
{
    static const struct { blksize_t reported; size_t taken; } rows[] = {
        { 2 << 20, 2 << 20 }, { 1 << 30, 1 << 30 }, { 2l << 30, PAGE }, { 512, PAGE },
        { 3 * PAGE, PAGE },   { -1, PAGE },         { 2 * PAGE, 2 * PAGE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int fd = memory(3u << 20);
        struct vus_backing b;

        faults.blksize = rows[i].reported;
        b = window(fd, PAGE + 1, 1, RW);
        assert_int_equal(b.page_size, rows[i].taken);
        assert_int_equal(b.pages.iov_len, rows[i].taken);
        memcpy(b.vaddr, "x", 1);
        faults.blksize = 0;
        put(&b);
        close(fd);
    }
}

static void huge_pages_have_their_own_page_size(void **state)
{
    int fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB | 21u << MFD_HUGE_SHIFT);
    struct vus_backing a, b;

    (void)state;
    if (fd < 0 || ftruncate(fd, 4 << 20) != 0) {
        if (fd >= 0)
            close(fd);
        print_message("no hugetlbfs: %s\n", strerror(errno));
        skip();
    }
    if (get(reopen(fd, O_RDWR), (2 << 20) + 0x1234, 0x10, RW, &a) == -ENOMEM) {
        close(fd);
        print_message("no free huge pages\n");
        skip();
    }
    assert_int_equal(a.page_size, 2 << 20);
    assert_int_equal(a.pages.iov_len, 2 << 20);
    assert_int_equal((uintptr_t)a.pages.iov_base % (2 << 20), 0);
    assert_ptr_equal(a.vaddr, (uint8_t *)a.pages.iov_base + 0x1234);
    memcpy(a.vaddr, "x", 1);
    b = window(fd, 0, 2 << 20, RW);
    assert_ptr_equal(b.mapping, a.mapping);
    assert_false(b.mapping->steady);
    put(&a);
    put(&b);
    close(fd);
}

/* A file larger than address space has to spare: the window alone is mapped. */
static void a_file_of_insane_size_is_mapped_by_windows(void **state)
{
    uint64_t size = (uint64_t)1 << 50;
    int fd = memory(size);
    struct vus_backing a = window(fd, 0, PAGE, RW);
    struct vus_backing b = window(fd, size - PAGE, PAGE, RW);

    (void)state;
    assert_int_equal(ms.mapped, 2 * PAGE);
    memcpy(a.vaddr, "x", 1);
    memcpy(b.vaddr, "y", 1);
    put(&a);
    put(&b);
    close(fd);
}

/* The user's limit is for the windows, too. */
static void a_window_fits_where_its_file_does_not(void **state)
{
    struct rlimit old, low;
    struct vus_backing b;
    int fd = memory((uint64_t)64 << 30);
    FILE *statm;
    unsigned long pages = 0;

    (void)state;
    if (SANITIZED) {
        close(fd);
        print_message("a sanitizer's shadow memory needs the address space\n");
        skip();
    }
    statm = fopen("/proc/self/statm", "r");
    assert_non_null(statm);
    assert_int_equal(fscanf(statm, "%lu", &pages), 1);
    fclose(statm);
    assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
    low = old;
    low.rlim_cur = pages * PAGE + (64 << 20);
    assert_int_equal(setrlimit(RLIMIT_AS, &low), 0);
    b = window(fd, 5 * PAGE, PAGE, RW);
    assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
    assert_int_equal(ms.mapped, PAGE);
    memcpy(b.vaddr, "x", 1);
    put(&b);
    close(fd);
}

static void a_limit_on_address_space_is_left_to_others(void **state)
{
    struct rlimit old, low;
    struct vus_backing a, b;
    int small = memory(64 << 20);
    int large = memory((uint64_t)64 << 30);

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
    low = old;
    low.rlim_cur = (rlim_t)1 << 46;     /* more than any of the two needs */
    if (SANITIZED || old.rlim_max < low.rlim_cur) {
        close(small);
        close(large);
        print_message("this much address space can not be had\n");
        skip();
    }
    assert_int_equal(setrlimit(RLIMIT_AS, &low), 0);
    a = window(large, 0, PAGE, RW);
    low.rlim_cur = (rlim_t)128 << 30;   /* an eighth: 16 GiB, a has taken more */
    assert_int_equal(setrlimit(RLIMIT_AS, &low), 0);
    b = window(small, 0, PAGE, RW);
    assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
    assert_int_equal(ms.mapped, ((uint64_t)64 << 30) + PAGE);
    put(&a);
    put(&b);
    close(small);
    close(large);
}

static void the_address_space_of_a_client_is_limited(void **state)
{
    uint64_t most = (uint64_t)8 << 40;
    struct vus_backing b[8], none;
    int fds[9];

    (void)state;
    if (SANITIZED) {
        print_message("a sanitizer's shadow memory needs the address space\n");
        skip();
    }
    for (int i = 0; i < 9; i++)
        fds[i] = memory(most);
    for (int i = 0; i < 8; i++)
        b[i] = window(fds[i], 0, most, RW);
    assert_int_equal(get(reopen(fds[8], O_RDWR), 0, PAGE, RW, &none), -ENOMEM);
    put(&b[0]);
    b[0] = window(fds[8], 0, PAGE, RW);
    for (int i = 0; i < 8; i++)
        put(&b[i]);
    for (int i = 0; i < 9; i++)
        close(fds[i]);
}

/* --------------------------------------------------------------- many -- */

static void a_million_windows_of_one_file_cost_no_memory(void **state)
{
    size_t n = SANITIZED ? 20000 : 1000000;
    int fd = memory(4096 * PAGE);
    struct vus_backing b = { .mapping = NULL };

    (void)state;
    for (size_t i = 0; i < n; i++)
        assert_int_equal(get(dup(fd), i % 4096 * PAGE, PAGE, RW, &b), 0);
    assert_int_equal(faults.mmap.calls, 1);
    assert_int_equal(faults.calloc.calls, 2);   /* a slab, the buckets */
    assert_int_equal(b.mapping->windows, n);
    for (size_t i = 0; i < n; i++)
        put(&b);
    assert_int_equal(mappings(), 0);
    close(fd);
}

static size_t longest_bucket(void)
{
    size_t longest = 0;

    for (size_t i = 0; i < ms.n_buckets; i++) {
        size_t len = 0;

        for (const struct vus_mapping *m = ms.buckets[i]; m != NULL; m = m->next)
            len++;
        longest = len > longest ? len : longest;
    }
    return longest;
}

/* Near the kernel's limit on mappings, 65,530. */
static void many_files_are_found_in_few_steps(void **state)
{
    size_t n = SANITIZED ? 3000 : 65000;
    struct vus_mapping **m = calloc(n, sizeof(struct vus_mapping *));
    struct vus_backing b;

    (void)state;
    assert_non_null(m);
    for (size_t i = 0; i < n; i++) {
        int err = get(memory(PAGE), 0, PAGE, RW, &b);

        if (err == -ENOMEM && i > 1000) {
            print_message("the kernel allows %zu mappings\n", i);
            n = i;
            break;
        }
        assert_int_equal(err, 0);
        m[i] = b.mapping;
    }
    assert_int_equal(ms.n_shared, n);
    assert_true(ms.n_buckets >= n);
    assert_true(longest_bucket() <= 12);
    for (size_t i = 0; i < n; i++)
        vus_mapping_put(&ms, m[i]);
    assert_int_equal(mappings(), 0);
    free(m);
}

static void memory_of_mappings_is_used_again(void **state)
{
    int fd = memory(PAGE);
    unsigned before;

    (void)state;
    for (int i = 0; i < 100; i++) {
        struct vus_backing b = window(fd, 0, PAGE, RW);

        put(&b);
        if (i == 0)
            before = faults.calloc.calls;
    }
    assert_int_equal(faults.calloc.calls, before);
    close(fd);
}

/* ------------------------------------------------------------ file I/O -- */

static void file_io_keeps_its_descriptor_and_maps_nothing(void **state)
{
    int fd = memory(4 * PAGE);
    int open_fds = vu_test_open_fds();
    struct vus_backing a, b;

    (void)state;
    assert_int_equal(vus_mapping_get(&ms, reopen(fd, O_RDWR), PAGE + 3, PAGE, RW, true,
                                     &a), 0);
    assert_int_equal(vus_mapping_get(&ms, reopen(fd, O_RDWR), 0, PAGE, RW, true, &b), 0);
    assert_int_equal(faults.mmap.calls, 0);
    assert_int_equal(vu_test_open_fds(), open_fds + 2);
    assert_null(a.vaddr);
    assert_null(a.pages.iov_base);
    assert_int_equal(a.page_size, PAGE);
    assert_int_equal(a.mapping->offset, PAGE + 3);
    put(&a);
    assert_int_equal(vu_test_open_fds(), open_fds + 1);
    put(&b);
    close(fd);
}

static void file_io_needs_the_access_that_it_is_for(void **state)
{
    static const struct { int flags, prot, err; } rows[] = {
        { O_RDONLY, PROT_READ, 0 },        { O_RDONLY, PROT_WRITE, -EACCES },
        { O_RDONLY, RW, -EACCES },         { O_WRONLY, PROT_READ, -EACCES },
        { O_WRONLY, PROT_WRITE, 0 },       { O_WRONLY, RW, -EACCES },
        { O_RDWR, RW, 0 },                 { O_PATH, PROT_READ, -EBADF },
    };
    int fd = memory(PAGE);

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct vus_backing b = { .mapping = NULL };

        assert_int_equal(vus_mapping_get(&ms, reopen(fd, rows[i].flags), 0, PAGE,
                                         rows[i].prot, true, &b), rows[i].err);
        put(&b);
    }
    close(fd);
}

/* -------------------------------------------------------------- faults -- */

static void where_the_file_cannot_be_mapped_the_window_is(void **state)
{
    int fd = memory(8 * PAGE);
    struct vus_backing b;

    (void)state;
    faults.mmap = (struct fault){ .fail = 1, .err = ENOMEM };
    b = window(fd, PAGE, 2 * PAGE, RW);
    assert_int_equal(ms.mapped, 2 * PAGE);
    assert_int_equal(ms.surplus, 0);
    put(&b);
    close(fd);
}

static void failures_are_told_and_leave_nothing(void **state)
{
    struct vus_backing b;

    (void)state;
    faults.mmap = (struct fault){ .fail = 2, .err = EAGAIN };
    assert_int_equal(get(memory(2 * PAGE), 0, PAGE, RW, &b), -EAGAIN);
    faults.mmap = (struct fault){ .fail = 1, .err = EPERM };
    assert_int_equal(get(open("/dev/zero", O_RDWR), 0, PAGE, RW, &b), -EPERM);
    faults.fstat = (struct fault){ .fail = 1, .err = EIO };
    assert_int_equal(get(memory(PAGE), 0, PAGE, RW, &b), -EIO);
    faults.fcntl = (struct fault){ .fail = 1, .err = EBADF };
    assert_int_equal(vus_mapping_get(&ms, memory(PAGE), 0, PAGE, RW, true, &b), -EBADF);
    assert_int_equal(mappings(), 0);
}

static void failures_cost_no_memory(void **state)
{
    struct vus_backing b;

    (void)state;
    for (int i = 0; i < 200; i++) {
        faults.mmap = (struct fault){ .fail = 2, .err = ENOMEM };
        assert_int_equal(get(memory(2 * PAGE), 0, PAGE, RW, &b), -ENOMEM);
    }
    assert_int_equal(faults.calloc.calls, 2);   /* a slab, the buckets */
}

static void a_descriptor_that_cannot_be_looked_at_shares_nothing(void **state)
{
    int fd = memory(2 * PAGE);
    struct vus_backing b = window(fd, 0, PAGE, RW);
    struct vus_backing none;
    int other = reopen(fd, O_RDWR);

    (void)state;
    faults.fcntl = (struct fault){ .fail = 1, .err = EPERM };
    assert_int_equal(get(other, 0, PAGE, RW, &none), -EPERM);
    assert_int_equal(b.mapping->windows, 1);
    put(&b);
    close(fd);
}

static void without_memory_a_window_fails_alone(void **state)
{
    struct vus_backing b;

    (void)state;
    for (unsigned i = 1; i <= 2; i++) {
        faults.calloc = (struct fault){ .fail = i, .err = ENOMEM };
        assert_int_equal(get(memory(PAGE), 0, PAGE, RW, &b), -ENOMEM);
    }
    faults.calloc = (struct fault){ .fail = 1, .err = ENOMEM };
    assert_int_equal(vus_mapping_get(&ms, memory(PAGE), 0, PAGE, RW, true, &b), -ENOMEM);
    faults.calloc = (struct fault){ .fail = 1, .err = ENOMEM };
    assert_int_equal(get(open("/dev/zero", O_RDWR), 0, PAGE, RW, &b), -ENOMEM);
    faults.calloc = (struct fault){ .fail = 0 };
    assert_int_equal(get(memory(PAGE), 0, PAGE, RW, &b), 0);
    put(&b);
}

/* The index is there, but no slab. */
static void without_memory_for_a_mapping_nothing_is_mapped(void **state)
{
    struct vus_backing b[33];

    (void)state;
    for (int i = 0; i < 32; i++)        /* all of the first slab */
        assert_int_equal(get(memory(PAGE), 0, PAGE, RW, &b[i]), 0);
    faults.calloc = (struct fault){ .fail = 2, .err = ENOMEM };
    assert_int_equal(get(memory(PAGE), 0, PAGE, RW, &b[32]), -ENOMEM);
    assert_int_equal(mappings(), 32);
    for (int i = 0; i < 32; i++)
        put(&b[i]);
}

static void an_index_that_cannot_grow_still_works(void **state)
{
    struct vus_backing b[300];
    int fds[300];

    (void)state;
    for (int i = 0; i < 300; i++) {
        unsigned slabs_and_buckets = 0;

        fds[i] = memory(PAGE);
        /* Only the growing of the index fails: it comes first. */
        if (ms.buckets != NULL && ms.n_shared >= ms.n_buckets)
            slabs_and_buckets = 1;
        faults.calloc = (struct fault){ .fail = slabs_and_buckets, .err = ENOMEM };
        b[i] = window(fds[i], 0, PAGE, RW);
    }
    assert_int_equal(ms.n_buckets, 64);
    for (int i = 0; i < 300; i++) {
        struct vus_backing again = window(fds[i], 0, PAGE, RW);

        assert_ptr_equal(again.mapping, b[i].mapping);
        put(&again);
        put(&b[i]);
        close(fds[i]);
    }
}

/* The kernel has no room for the two halves of a split mapping. */
static void what_the_kernel_will_not_unmap_is_tried_again(void **state)
{
    int fds[6];
    struct vus_backing b[6];

    (void)state;
    for (int i = 0; i < 6; i++) {
        fds[i] = memory(PAGE);
        b[i] = window(fds[i], 0, PAGE, RW);
    }
    faults.munmap = (struct fault){ .fail = UINT_MAX, .err = ENOMEM };
    for (int i = 0; i < 6; i++)
        put(&b[i]);
    assert_int_equal(ms.n, 0);
    assert_int_equal(ms.n_stuck, 6);
    assert_int_equal(mappings(), 6);
    b[0] = window(fds[0], 0, PAGE, RW);     /* not what is given up */
    assert_int_equal(ms.n_stuck, 6);
    assert_int_equal(mappings(), 7);
    faults.munmap = (struct fault){ .fail = 2, .err = ENOMEM };
    put(&b[0]);         /* refused, as is one of the others: two of that round go */
    b[0] = window(fds[0], 0, PAGE, RW);
    put(&b[0]);
    b[0] = window(fds[0], 0, PAGE, RW);
    put(&b[0]);
    assert_int_equal(ms.n_stuck, 0);
    assert_int_equal(mappings(), 0);
    for (int i = 0; i < 6; i++)
        close(fds[i]);
}

/* A bounded number of tries, whatever a client has piled up. */
static void each_call_tries_only_a_few_again(void **state)
{
    struct vus_backing b[20];

    (void)state;
    for (int i = 0; i < 20; i++)
        assert_int_equal(get(memory(PAGE), 0, PAGE, RW, &b[i]), 0);
    faults.munmap = (struct fault){ .fail = UINT_MAX, .err = ENOMEM };
    for (int i = 0; i < 20; i++)
        put(&b[i]);
    faults.munmap.calls = 0;
    assert_int_equal(get(memory(PAGE), 0, PAGE, RW, &b[0]), 0);
    assert_true(faults.munmap.calls <= 4);
    faults.munmap = (struct fault){ .fail = 0 };
    put(&b[0]);
    assert_int_equal(ms.n_stuck, 16);
}

/* --------------------------------------------------------------- guard -- */

static void an_address_leads_to_its_mapping(void **state)
{
    struct vus_backing b[40];       /* more than one slab */

    (void)state;
    assert_null(vus_mapping_at(&ms, 0));
    for (int i = 0; i < 40; i++)
        assert_int_equal(get(memory(2 * PAGE), PAGE, PAGE, RW, &b[i]), 0);
    for (int i = 0; i < 40; i++) {
        uintptr_t at = (uintptr_t)b[i].vaddr;

        assert_ptr_equal(vus_mapping_at(&ms, at), b[i].mapping);
        assert_ptr_equal(vus_mapping_at(&ms, at + PAGE - 1), b[i].mapping);
        assert_ptr_equal(vus_mapping_at(&ms, at - PAGE), b[i].mapping);
        put(&b[i]);
        assert_null(vus_mapping_at(&ms, at));
    }
    assert_null(vus_mapping_at(&ms, (uintptr_t)&ms));
    assert_null(vus_mapping_at(&ms, 0));
}

static const struct CMUnitTest tests[] = {
    MAPPING_TEST(a_window_gets_its_own_pages),
    MAPPING_TEST(without_a_file_there_is_nothing),
    MAPPING_TEST(without_access_nothing_is_mapped),
    MAPPING_TEST(windows_of_one_file_share_one_mapping),
    MAPPING_TEST(each_protection_has_its_own_mapping),
    MAPPING_TEST(protections_are_not_mixed_up),
    MAPPING_TEST(different_files_are_not_mixed_up),
    MAPPING_TEST(a_mapping_is_shared_only_with_descriptors_that_permit_it),
    MAPPING_TEST(descriptors_that_permit_less_are_refused),
    MAPPING_TEST(a_grown_file_gets_a_further_mapping),
    MAPPING_TEST(a_file_that_grows_all_the_time_is_served),
    MAPPING_TEST(a_window_behind_the_end_of_its_file_is_refused),
    MAPPING_TEST(a_mapping_that_is_there_does_not_hide_a_shrunk_file),
    MAPPING_TEST(what_cannot_be_mapped_is_refused_and_closed),
    MAPPING_TEST(what_is_no_regular_file_is_never_shared),
    MAPPING_TEST(steady_is_what_can_not_shrink_nor_lose_pages),
    MAPPING_TEST(a_file_that_was_cut_before_it_was_sealed_is_not_steady),
    MAPPING_TEST(guest_memory_is_not_dumped),
    MAPPING_TEST(the_page_size_is_the_files),
    MAPPING_TEST(huge_pages_have_their_own_page_size),
    MAPPING_TEST(a_file_of_insane_size_is_mapped_by_windows),
    MAPPING_TEST(a_window_fits_where_its_file_does_not),
    MAPPING_TEST(a_limit_on_address_space_is_left_to_others),
    MAPPING_TEST(the_address_space_of_a_client_is_limited),
    MAPPING_TEST(a_million_windows_of_one_file_cost_no_memory),
    MAPPING_TEST(many_files_are_found_in_few_steps),
    MAPPING_TEST(memory_of_mappings_is_used_again),
    MAPPING_TEST(file_io_keeps_its_descriptor_and_maps_nothing),
    MAPPING_TEST(file_io_needs_the_access_that_it_is_for),
    MAPPING_TEST(where_the_file_cannot_be_mapped_the_window_is),
    MAPPING_TEST(failures_are_told_and_leave_nothing),
    MAPPING_TEST(failures_cost_no_memory),
    MAPPING_TEST(a_descriptor_that_cannot_be_looked_at_shares_nothing),
    MAPPING_TEST(without_memory_a_window_fails_alone),
    MAPPING_TEST(without_memory_for_a_mapping_nothing_is_mapped),
    MAPPING_TEST(an_index_that_cannot_grow_still_works),
    MAPPING_TEST(what_the_kernel_will_not_unmap_is_tried_again),
    MAPPING_TEST(each_call_tries_only_a_few_again),
    MAPPING_TEST(an_address_leads_to_its_mapping),
};

VU_TEST_MAIN(tests)
