/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The library's own copies to and from client memory: exact, for every kind of
 * window, and an error instead of a signal when the client takes its memory away.
 */
#include "libserver/tests/core.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "libserver/copy.h"

#define PAGE 0x1000u
#define BASE 0x10000u
#define SIZE (40 * PAGE)
#define START (PAGE + 123)      /* of the window in its file */
#define BOTH (VU_DMA_READABLE | VU_DMA_WRITEABLE)

/* --------------------------------------------------------------- calls -- */

static struct {
    int vm_errno;           /* process_vm_*() fail with it */
    size_t vm_most;         /* bytes they copy at a time; 0: all */
    unsigned vm_calls;
    int pipe_errno;
    unsigned pipes;
    int mmap_errno;
    unsigned preads;
    int pread_errno;        /* the first one fails with it */
    size_t pread_most;
} calls;

ssize_t __real_process_vm_readv(pid_t pid, const struct iovec *local,
                                unsigned long n_local, const struct iovec *remote,
                                unsigned long n_remote, unsigned long flags);
ssize_t __wrap_process_vm_readv(pid_t pid, const struct iovec *local,
                                unsigned long n_local, const struct iovec *remote,
                                unsigned long n_remote, unsigned long flags);
ssize_t __real_process_vm_writev(pid_t pid, const struct iovec *local,
                                 unsigned long n_local, const struct iovec *remote,
                                 unsigned long n_remote, unsigned long flags);
ssize_t __wrap_process_vm_writev(pid_t pid, const struct iovec *local,
                                 unsigned long n_local, const struct iovec *remote,
                                 unsigned long n_remote, unsigned long flags);

static struct iovec shorten(const struct iovec *iov)
{
    struct iovec out = *iov;

    calls.vm_calls++;
    if (calls.vm_most != 0 && out.iov_len > calls.vm_most)
        out.iov_len = calls.vm_most;
    return out;
}

ssize_t __wrap_process_vm_readv(pid_t pid, const struct iovec *local,
                                unsigned long n_local, const struct iovec *remote,
                                unsigned long n_remote, unsigned long flags)
{
    struct iovec l = shorten(local);

    errno = calls.vm_errno;
    return calls.vm_errno != 0 ? -1 : __real_process_vm_readv(pid, &l, n_local, remote,
                                                              n_remote, flags);
}

ssize_t __wrap_process_vm_writev(pid_t pid, const struct iovec *local,
                                 unsigned long n_local, const struct iovec *remote,
                                 unsigned long n_remote, unsigned long flags)
{
    struct iovec l = shorten(local);

    errno = calls.vm_errno;
    return calls.vm_errno != 0 ? -1 : __real_process_vm_writev(pid, &l, n_local, remote,
                                                               n_remote, flags);
}

int __real_pipe2(int fds[2], int flags);
int __wrap_pipe2(int fds[2], int flags);
int __wrap_pipe2(int fds[2], int flags)
{
    calls.pipes++;
    errno = calls.pipe_errno;
    return calls.pipe_errno != 0 ? -1 : __real_pipe2(fds, flags);
}

void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
    errno = calls.mmap_errno;
    return calls.mmap_errno != 0 ? MAP_FAILED
                                 : __real_mmap(at, len, prot, flags, fd, offset);
}

ssize_t __real_pread(int fd, void *data, size_t len, off_t at);
ssize_t __wrap_pread(int fd, void *data, size_t len, off_t at);
ssize_t __wrap_pread(int fd, void *data, size_t len, off_t at)
{
    if (calls.preads++ == 0 && calls.pread_errno != 0) {
        errno = calls.pread_errno;
        return -1;
    }
    if (calls.pread_most != 0 && len > calls.pread_most)
        len = calls.pread_most;
    return __real_pread(fd, data, len, at);
}

/* --------------------------------------------------------------- tools -- */

struct copier {
    struct core core;
    int fd;                     /* owned: the client's memory */
    struct vus_window *w;
    uint8_t *ours;              /* owned: SIZE bytes */
    uint8_t *file;              /* owned: SIZE bytes, what the window should have */
};

static struct vus_window *add_window(struct copier *x, uint64_t address, uint64_t size,
                                     uint64_t offset, uint32_t flags, int fd)
{
    struct vu_dma_map m = {
        .flags = flags, .offset = offset, .address = address, .size = size,
    };
    struct answer a = core_dma_map(&x->core, m, fd);

    assert_answer_ok(&a, 0);
    return vus_dma_from(&x->core.ctx->dma, address);
}

static void begin_with(struct copier *x, int fd, uint32_t flags)
{
    calls = (__typeof__(calls)){ .vm_errno = 0 };
    core_begin(&x->core);
    x->fd = fd;
    x->w = add_window(x, BASE, SIZE, START, flags, fd);
    x->ours = malloc(SIZE);
    x->file = malloc(SIZE);
    assert_non_null(x->ours);
    assert_non_null(x->file);
    for (size_t i = 0; i < SIZE; i++)
        x->file[i] = (uint8_t)(i * 31 + i / PAGE);
    assert_int_equal(pwrite(fd, x->file, SIZE, START), SIZE);
}

static int memory(void)
{
    int fd = memfd_create("copied", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, START + SIZE), 0);
    return fd;
}

static void begin(struct copier *x, uint32_t flags)
{
    begin_with(x, memory(), flags);
}

static void end(struct copier *x)
{
    calls = (__typeof__(calls)){ .vm_errno = 0 };
    core_end(&x->core);
    close(x->fd);
    free(x->ours);
    free(x->file);
}

static uint64_t file_size(int fd)
{
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    return (uint64_t)st.st_size;
}

/* What the window has, by another way than the one that is tested. */
static void assert_window_holds(const struct copier *x)
{
    uint8_t *now = malloc(SIZE);

    assert_non_null(now);
    assert_int_equal(__real_pread(x->fd, now, SIZE, START), SIZE);
    assert_memory_equal(now, x->file, SIZE);
    free(now);
}

static const struct { uint64_t offset; size_t len; } pieces[] = {
    { 0, 1 },           { 0, 64 },                { SIZE - 1, 1 },  { 3, PAGE },
    { PAGE - 124, 2 },  { PAGE - 123, 2 * PAGE }, { 17, 64 * 1024 }, { 0, SIZE },
    { SIZE - PAGE, PAGE }, { SIZE, 0 },           { 0, 0 },
};

/* Every piece, first out of the window, then into it. */
static void assert_copies_are_exact(struct copier *x)
{
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        uint64_t offset = pieces[i].offset;
        size_t len = pieces[i].len;

        memset(x->ours, 0xee, SIZE);
        assert_int_equal(vus_window_copy(x->w, offset, x->ours, len, false), 0);
        assert_memory_equal(x->ours, x->file + offset, len);
        if (len < SIZE)
            assert_int_equal(x->ours[len], 0xee);
        for (size_t k = 0; k < len; k++)
            x->ours[k] = x->file[offset + k] = (uint8_t)(k * 7 + i);
        assert_int_equal(vus_window_copy(x->w, offset, x->ours, len, true), 0);
        assert_window_holds(x);
    }
    assert_int_equal(file_size(x->fd), START + SIZE);
}

static void assert_gone(struct copier *x, uint64_t offset, size_t len)
{
    uint64_t size = file_size(x->fd);

    assert_int_equal(vus_window_copy(x->w, offset, x->ours, len, false), -EIO);
    assert_int_equal(vus_window_copy(x->w, offset, x->ours, len, true), -EIO);
    assert_int_equal(file_size(x->fd), size);
}

static void assert_shrinking_is_survived(struct copier *x)
{
    /* The window's first page and what is before it in the file stay. */
    assert_int_equal(ftruncate(x->fd, 2 * PAGE), 0);
    assert_gone(x, PAGE, 64);
    assert_gone(x, 0, SIZE);
    assert_gone(x, 10, 2 * PAGE);
    assert_gone(x, SIZE - 1, 1);
    assert_int_equal(vus_window_copy(x->w, 0, x->ours, PAGE - 123, true), 0);
    assert_int_equal(vus_window_copy(x->w, 0, x->ours, PAGE - 123, false), 0);
    assert_int_equal(ftruncate(x->fd, 0), 0);
    assert_gone(x, 0, 1);
    assert_int_equal(ftruncate(x->fd, START + SIZE), 0);
    memset(x->file, 0, SIZE);
    assert_copies_are_exact(x);
}

/* --------------------------------------------------------------- tests -- */

static void copies_of_mapped_memory_are_exact(void **state)
{
    struct copier x;

    (void)state;
    begin(&x, BOTH);
    assert_copies_are_exact(&x);
    assert_int_equal(calls.vm_calls, 2 * 9);
    assert_int_equal(calls.pipes, 0);
    end(&x);
}

static void a_shrunk_file_is_an_error_for_mapped_memory(void **state)
{
    struct copier x;

    (void)state;
    begin(&x, BOTH);
    assert_shrinking_is_survived(&x);
    end(&x);
}

/* The bytes before the end are copied; none is made up. */
static void a_copy_across_the_end_stops_there(void **state)
{
    struct copier x;

    (void)state;
    begin(&x, BOTH);
    assert_int_equal(ftruncate(x.fd, 3 * PAGE), 0);
    memset(x.ours, 0xee, SIZE);
    assert_int_equal(vus_window_copy(x.w, 0, x.ours, 3 * PAGE, false), -EIO);
    assert_memory_equal(x.ours, x.file, 2 * PAGE - 123);
    for (size_t i = 2 * PAGE - 123; i < SIZE; i++)
        assert_int_equal(x.ours[i], 0xee);
    end(&x);
}

static void a_file_that_can_not_shrink_is_copied_without_system_calls(void **state)
{
    struct copier x;
    int fd = memory();

    (void)state;
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
    begin_with(&x, fd, BOTH);
    assert_copies_are_exact(&x);
    assert_int_equal(calls.vm_calls + calls.pipes, 0);
    end(&x);
}

/* A seal that came after the window was mapped is no promise. */
static void other_seals_are_no_promise(void **state)
{
    struct copier x;
    int fd = memory();

    (void)state;
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
    begin_with(&x, fd, BOTH);
    assert_int_equal(vus_window_copy(x.w, 0, x.ours, 64, false), 0);
    assert_int_not_equal(calls.vm_calls, 0);
    end(&x);
}

static void short_counts_are_continued(void **state)
{
    static const size_t most[] = { 1000, PAGE, 65537 };
    struct copier x;

    (void)state;
    begin(&x, BOTH);
    for (size_t i = 0; i < 3; i++) {
        calls.vm_most = most[i];
        assert_copies_are_exact(&x);
    }
    assert_int_equal(calls.pipes, 0);
    assert_shrinking_is_survived(&x);
    end(&x);
}

static void where_the_call_is_refused_a_pipe_does_the_same(void **state)
{
    static const int refusals[] = { EPERM, ENOSYS, ENOMEM };
    struct copier x;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        int before = vu_test_open_fds();

        begin(&x, BOTH);
        calls.vm_errno = refusals[i];
        assert_copies_are_exact(&x);
        assert_int_equal(calls.pipes, 2 * 9);
        assert_shrinking_is_survived(&x);
        end(&x);
        assert_int_equal(vu_test_open_fds(), before);
    }
}

static void without_any_means_a_copy_fails(void **state)
{
    struct copier x;

    (void)state;
    begin(&x, BOTH);
    calls.vm_errno = EPERM;
    calls.pipe_errno = EMFILE;
    assert_gone(&x, 0, 64);
    assert_window_holds(&x);
    end(&x);
}

static void a_window_permits_what_the_client_did(void **state)
{
    static const uint32_t modes[] = { 0, VU_DMA_FILE_IO };
    struct copier x;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        begin(&x, VU_DMA_READABLE | modes[i]);
        assert_int_equal(vus_window_copy(x.w, 0, x.ours, 64, true), -EACCES);
        assert_int_equal(vus_window_copy(x.w, 0, x.ours, 64, false), 0);
        assert_window_holds(&x);
        end(&x);
        begin(&x, VU_DMA_WRITEABLE | modes[i]);
        assert_int_equal(vus_window_copy(x.w, 0, x.ours, 64, false), -EACCES);
        memset(x.ours, 5, 64);
        memset(x.file, 5, 64);
        assert_int_equal(vus_window_copy(x.w, 0, x.ours, 64, true), 0);
        assert_window_holds(&x);
        end(&x);
        begin(&x, modes[i]);
        assert_int_equal(vus_window_copy(x.w, 0, x.ours, 64, false), -EACCES);
        assert_int_equal(vus_window_copy(x.w, 0, x.ours, 64, true), -EACCES);
        end(&x);
    }
}

static void ranges_outside_of_the_window_are_refused(void **state)
{
    static const struct { uint64_t offset; size_t len; } bad[] = {
        { 0, SIZE + 1 }, { SIZE, 1 }, { SIZE + 1, 0 }, { 1, SIZE },
        { UINT64_MAX, 1 }, { UINT64_MAX, 2 }, { 1, SIZE_MAX },
    };
    static const uint32_t modes[] = { 0, VU_DMA_FILE_IO };
    struct copier x;

    (void)state;
    for (size_t k = 0; k < 2; k++) {
        begin(&x, BOTH | modes[k]);
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            uint64_t offset = bad[i].offset;
            size_t len = bad[i].len;

            assert_int_equal(vus_window_copy(x.w, offset, x.ours, len, false), -EFAULT);
            assert_int_equal(vus_window_copy(x.w, offset, x.ours, len, true), -EFAULT);
        }
        end(&x);
    }
}

static void without_a_file_there_is_nothing_to_copy(void **state)
{
    struct copier x;
    struct vus_window *w;

    (void)state;
    begin(&x, BOTH);
    w = add_window(&x, 0x1000000, PAGE, 0, BOTH, -1);
    assert_int_equal(vus_window_copy(w, 0, x.ours, 64, false), -EFAULT);
    assert_int_equal(vus_window_copy(w, 0, x.ours, 64, true), -EFAULT);
    end(&x);
}

static void devices_are_copied_too(void **state)
{
    struct copier x;
    struct vus_window *w;
    int zero = open("/dev/zero", O_RDWR);

    (void)state;
    begin(&x, BOTH);
    w = add_window(&x, 0x1000000, 2 * PAGE, 0, BOTH, zero);
    memset(x.ours, 1, 64);
    assert_int_equal(vus_window_copy(w, PAGE - 5, x.ours, 64, true), 0);
    memset(x.ours, 2, 64);
    assert_int_equal(vus_window_copy(w, PAGE - 5, x.ours, 64, false), 0);
    assert_int_equal(x.ours[0], 1);
    assert_int_equal(x.ours[63], 1);
    end(&x);
    close(zero);
}

/* ------------------------------------------------------------ file I/O -- */

static void file_io_is_exact(void **state)
{
    struct copier x;

    (void)state;
    begin(&x, BOTH | VU_DMA_FILE_IO);
    assert_copies_are_exact(&x);
    end(&x);
}

static void file_io_survives_a_shrunk_file_and_never_grows_it(void **state)
{
    struct copier x;

    (void)state;
    begin(&x, BOTH | VU_DMA_FILE_IO);
    assert_shrinking_is_survived(&x);
    end(&x);
}

static int mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    int n = 0;

    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps) != NULL)
        n += strstr(line, "memfd:copied") != NULL;
    fclose(maps);
    return n;
}

static void file_io_leaves_nothing_mapped(void **state)
{
    struct copier x;

    (void)state;
    begin(&x, BOTH | VU_DMA_FILE_IO);
    assert_copies_are_exact(&x);
    assert_int_equal(mappings(), 0);
    end(&x);
}

/* The pages are there, the bytes are not. */
static void file_io_is_exact_at_the_end_of_a_file(void **state)
{
    struct copier x;

    (void)state;
    begin(&x, BOTH | VU_DMA_FILE_IO);
    assert_int_equal(ftruncate(x.fd, START + 100), 0);
    assert_gone(&x, 90, 11);
    assert_gone(&x, 101, 1);
    assert_gone(&x, 100, 1);
    assert_int_equal(vus_window_copy(x.w, 90, x.ours, 10, true), 0);
    assert_int_equal(vus_window_copy(x.w, 90, x.ours, 10, false), 0);
    end(&x);
}

/* Some files can not be mapped; then the size is looked at first. */
static void file_io_works_for_files_that_can_not_be_mapped(void **state)
{
    struct copier x;

    (void)state;
    begin(&x, BOTH | VU_DMA_FILE_IO);
    calls.mmap_errno = ENODEV;
    assert_copies_are_exact(&x);
    assert_shrinking_is_survived(&x);
    end(&x);
}

/* With O_APPEND, pwrite() writes behind the end wherever it is told to write. */
static void file_io_does_not_append(void **state)
{
    struct copier x;

    (void)state;
    begin(&x, BOTH | VU_DMA_FILE_IO);
    assert_int_equal(fcntl(x.fd, F_SETFL, O_APPEND), 0);
    assert_copies_are_exact(&x);
    calls.mmap_errno = ENODEV;
    assert_int_equal(vus_window_copy(x.w, 0, x.ours, 64, true), -EIO);
    assert_int_equal(file_size(x.fd), START + SIZE);
    assert_window_holds(&x);
    end(&x);
}

static void file_io_goes_on_after_short_and_interrupted_reads(void **state)
{
    struct copier x;

    (void)state;
    begin(&x, BOTH | VU_DMA_FILE_IO);
    calls.pread_errno = EINTR;
    calls.pread_most = 1000;
    assert_copies_are_exact(&x);
    calls = (__typeof__(calls)){ .pread_errno = ENOMEM };
    assert_int_equal(vus_window_copy(x.w, 0, x.ours, 64, false), -EIO);
    end(&x);
}

static void file_io_works_on_devices(void **state)
{
    struct copier x;
    struct vus_window *w;
    int zero = open("/dev/zero", O_RDWR);

    (void)state;
    begin(&x, BOTH);
    w = add_window(&x, 0x1000000, 2 * PAGE, 0, BOTH | VU_DMA_FILE_IO, zero);
    memset(x.ours, 1, 64);
    assert_int_equal(vus_window_copy(w, 7, x.ours, 64, true), 0);
    assert_int_equal(vus_window_copy(w, 7, x.ours, 64, false), 0);
    assert_int_equal(x.ours[0] | x.ours[63], 0);
    end(&x);
    close(zero);
}

/* --------------------------------------------------------- all at once -- */

struct shrinker {
    pthread_t thread;
    int fd;
    atomic_bool stop;
    atomic_uint rounds;
    bool grown;             /* by somebody else */
    bool failed;            /* to change the file's size */
};

static void *shrink(void *arg)
{
    struct shrinker *s = arg;

    while (!atomic_load(&s->stop)) {
        struct stat st;

        for (int i = 0; i < 100; i++) {
            s->failed |= ftruncate(s->fd, i % 2 == 0 ? 0 : 2 * PAGE) != 0;
            for (int k = 0; k < 10; k++)
                s->grown |= fstat(s->fd, &st) != 0 || st.st_size > 2 * PAGE;
        }
        s->failed |= ftruncate(s->fd, START + SIZE) != 0;
        atomic_fetch_add(&s->rounds, 1);
    }
    return NULL;
}

/* A client that shrinks and grows its file all the time gets errors or data. */
static void race(uint32_t flags, int vm_errno)
{
    struct shrinker s = { .rounds = 0 };
    unsigned gone = 0, others = 0;
    struct copier x;

    begin(&x, flags);
    calls.vm_errno = vm_errno;
    s.fd = x.fd;
    assert_int_equal(pthread_create(&s.thread, NULL, shrink, &s), 0);
    for (unsigned i = 0; i < 100000 && (atomic_load(&s.rounds) < 20 || i < 2000); i++) {
        size_t len = i % 3 == 0 ? SIZE : 64;
        uint64_t offset = i * 61 % (SIZE - len + 1);
        int ret = vus_window_copy(x.w, offset, x.ours, len, i % 2 != 0);

        gone += ret == -EIO;
        others += ret != 0 && ret != -EIO;
    }
    atomic_store(&s.stop, true);
    pthread_join(s.thread, NULL);
    assert_int_equal(others, 0);
    assert_false(s.grown);
    assert_false(s.failed);
    assert_true(atomic_load(&s.rounds) != 0);
    assert_int_not_equal(gone, 0);
    assert_int_equal(vus_window_copy(x.w, 0, x.ours, SIZE, true), 0);
    end(&x);
}

static void shrinking_meanwhile_is_survived(void **state)
{
    (void)state;
    race(BOTH, 0);
}

static void shrinking_meanwhile_is_survived_by_pipe(void **state)
{
    (void)state;
    race(BOTH, EPERM);
}

static void shrinking_meanwhile_is_survived_by_file_io(void **state)
{
    (void)state;
    race(BOTH | VU_DMA_FILE_IO, 0);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(copies_of_mapped_memory_are_exact),
    VU_FD_TEST(a_shrunk_file_is_an_error_for_mapped_memory),
    VU_FD_TEST(a_copy_across_the_end_stops_there),
    VU_FD_TEST(a_file_that_can_not_shrink_is_copied_without_system_calls),
    VU_FD_TEST(other_seals_are_no_promise),
    VU_FD_TEST(short_counts_are_continued),
    VU_FD_TEST(where_the_call_is_refused_a_pipe_does_the_same),
    VU_FD_TEST(without_any_means_a_copy_fails),
    VU_FD_TEST(a_window_permits_what_the_client_did),
    VU_FD_TEST(ranges_outside_of_the_window_are_refused),
    VU_FD_TEST(without_a_file_there_is_nothing_to_copy),
    VU_FD_TEST(devices_are_copied_too),
    VU_FD_TEST(file_io_is_exact),
    VU_FD_TEST(file_io_survives_a_shrunk_file_and_never_grows_it),
    VU_FD_TEST(file_io_leaves_nothing_mapped),
    VU_FD_TEST(file_io_is_exact_at_the_end_of_a_file),
    VU_FD_TEST(file_io_works_for_files_that_can_not_be_mapped),
    VU_FD_TEST(file_io_does_not_append),
    VU_FD_TEST(file_io_goes_on_after_short_and_interrupted_reads),
    VU_FD_TEST(file_io_works_on_devices),
    VU_FD_TEST(shrinking_meanwhile_is_survived),
    VU_FD_TEST(shrinking_meanwhile_is_survived_by_pipe),
    VU_FD_TEST(shrinking_meanwhile_is_survived_by_file_io),
};

VU_TEST_MAIN(tests)
