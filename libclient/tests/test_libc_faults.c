/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls of libc that hardly ever fail, or are interrupted, beside those of calls.h: each
 * is noticed, told in words where there are some, and leaves nothing behind.
 */
#include <search.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "libclient/connect.h"
#include "libclient/tests/known.h"
#include "libclient/tests/talk.h"
#include "wire/tests/calls.h"

/* ---------------------------------------------------------- failing calls -- */

enum call {
    TSEARCH, STRDUP, EVENTFD, FSTAT, PREAD, PREADV2, PWRITE, CONNECT, TOKENER, CALLS
};

static struct {
    unsigned made[CALLS];
    unsigned fails_at[CALLS];   /* the one of this number fails; 0: none does */
    bool and_later[CALLS];      /* and all later ones */
    int error;
} libc;

static void libc_reset(void)
{
    memset(&libc, 0, sizeof(libc));
}

static void fail_once(enum call call, unsigned at, int error)
{
    libc_reset();
    libc.fails_at[call] = at;
    libc.error = error;
}

static bool fails(enum call call)
{
    unsigned at = libc.fails_at[call], now = ++libc.made[call];

    if (at == 0 || now < at || (now > at && !libc.and_later[call]))
        return false;
    errno = libc.error;
    return true;
}

void *__real_tsearch(const void *key, void **root, int (*compare)(const void *,
                                                                  const void *));
void *__wrap_tsearch(const void *key, void **root, int (*compare)(const void *,
                                                                  const void *));
void *__wrap_tsearch(const void *key, void **root, int (*compare)(const void *,
                                                                  const void *))
{
    return fails(TSEARCH) ? NULL : __real_tsearch(key, root, compare);
}

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text)
{
    return fails(STRDUP) ? NULL : __real_strdup(text);
}

int __real_eventfd(unsigned value, int flags);
int __wrap_eventfd(unsigned value, int flags);
int __wrap_eventfd(unsigned value, int flags)
{
    return fails(EVENTFD) ? -1 : __real_eventfd(value, flags);
}

int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st)
{
    return fails(FSTAT) ? -1 : __real_fstat(fd, st);
}

ssize_t __real_pread(int fd, void *buf, size_t len, off_t offset);
ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t offset);
ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t offset)
{
    return fails(PREAD) ? -1 : __real_pread(fd, buf, len, offset);
}

ssize_t __real_preadv2(int fd, const struct iovec *iov, int n, off_t offset, int flags);
ssize_t __wrap_preadv2(int fd, const struct iovec *iov, int n, off_t offset, int flags);
ssize_t __wrap_preadv2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
    return fails(PREADV2) ? -1 : __real_preadv2(fd, iov, n, offset, flags);
}

ssize_t __real_pwrite(int fd, const void *buf, size_t len, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t offset)
{
    return fails(PWRITE) ? -1 : __real_pwrite(fd, buf, len, offset);
}

int __real_connect(int fd, const struct sockaddr *addr, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *addr, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    return fails(CONNECT) ? -1 : __real_connect(fd, addr, len);
}

struct json_tokener;
struct json_tokener *__real_json_tokener_new_ex(int depth);
struct json_tokener *__wrap_json_tokener_new_ex(int depth);
struct json_tokener *__wrap_json_tokener_new_ex(int depth)
{
    return fails(TOKENER) ? NULL : __real_json_tokener_new_ex(depth);
}

static int memory(size_t size)
{
    int fd = memfd_create("faults", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    return fd;
}

/* -------------------------------------------------------------- connecting -- */

/* A socket that listens, below a folder that is made for it. */
struct door {
    char folder[32], path[48];
    int fd;
};

static void open_door(struct door *d)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };

    strcpy(d->folder, "/tmp/vuc-test-XXXXXX");
    assert_non_null(mkdtemp(d->folder));
    snprintf(d->path, sizeof(d->path), "%s/s", d->folder);
    strcpy(addr.sun_path, d->path);
    d->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(d->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(d->fd, 1), 0);
}

static void close_door(struct door *d)
{
    close(d->fd);
    unlink(d->path);
    rmdir(d->folder);
}

static void connecting_that_is_interrupted_goes_on(void **state)
{
    struct timeval left = { .tv_sec = 1 };
    socklen_t len = sizeof(left);
    struct door d;
    int fd;

    (void)state;
    open_door(&d);
    fail_once(CONNECT, 1, EINTR);
    fd = vuc_connect_path(d.path, vu_deadline_in_ms(60000));
    assert_true(fd >= 0);
    assert_int_equal(libc.made[CONNECT], 2);
    /* and no later sending is bounded by what was left of the time */
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &left, &len), 0);
    assert_int_equal(left.tv_sec, 0);
    assert_int_equal(left.tv_usec, 0);
    close(fd);
    close_door(&d);
}

static void interruptions_do_not_prolong_connecting(void **state)
{
    struct door d;

    (void)state;
    open_door(&d);
    fail_once(CONNECT, 1, EINTR);
    libc.and_later[CONNECT] = true;
    assert_int_equal(vuc_connect_path(d.path, vu_deadline_in_ms(20)), -ETIMEDOUT);
    close_door(&d);
}

/* Negotiates over a socket pair; twin: the server offers one. */
static int negotiate(const struct vfuc_options *options, struct vfuc_client **c)
{
    static const char json[] =
        "{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":0}}}";
    bool twin = options->twin_socket != VFUC_TWIN_NONE;
    size_t text = twin ? sizeof(json) : sizeof("{}");
    uint8_t bytes[VU_HEADER_SIZE + VU_VERSION_SIZE + sizeof(json)] = { 0 };
    struct vu_header h = { .flags = VU_F_TYPE_REPLY, .command = VU_VERSION,
                           .size = (uint32_t)(VU_HEADER_SIZE + VU_VERSION_SIZE + text) };
    struct vu_version v = { .data = { (const uint8_t *)(twin ? json : "{}"), text } };
    struct vu_writer w = vu_writer(bytes, sizeof(bytes));
    struct iovec iov = { .iov_base = bytes };
    int fds[2], twins[2], err;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, twins), 0);
    vu_encode_header(&w, &h);
    assert_int_equal(vu_encode_version(&w, &v), 0);
    iov.iov_len = w.len;
    assert_int_equal(vu_socket_send(fds[1], &iov, 1, &twins[1], twin), w.len);
    close(twins[1]);
    err = vfuc_connect_fd(fds[0], options, c);
    close(fds[1]);
    close(twins[0]);
    return err;
}

static void options_that_cannot_be_kept_make_no_client(void **state)
{
    char error[128] = "";
    struct vfuc_options o = { .size = sizeof(o), .capabilities = "{}", .error = error,
                              .error_len = sizeof(error) };
    struct vfuc_client *c = NULL;

    (void)state;
    fail_once(STRDUP, 1, ENOMEM);
    assert_int_equal(negotiate(&o, &c), -ENOMEM);
    assert_null(c);
    assert_string_equal(error, "out of memory");
}

/* The caller's JSON is read twice, the server's once. */
static void json_that_finds_no_memory_is_not_taken_for_bad(void **state)
{
    char error[128] = "";
    struct vfuc_options o = { .size = sizeof(o), .capabilities = "{}", .error = error,
                              .error_len = sizeof(error) };
    struct vfuc_client *c = NULL;
    unsigned at = 1;

    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    for (;; at++) {
        int err;

        fail_once(TOKENER, at, ENOMEM);
        err = negotiate(&o, &c);
        if (err == 0)
            break;
        assert_int_equal(err, -ENOMEM);
        assert_null(c);
        assert_non_null(strstr(error, "out of memory"));
        assert_int_equal(negotiate(&o, &c), 0);     /* as it fails only once */
        vfuc_close(c);
        c = NULL;
    }
    assert_int_equal(at, 4);
    vfuc_close(c);
    libc_reset();
}

static void twin_socket_without_memory_makes_no_client(void **state)
{
    char error[128];
    struct vfuc_options o = { .size = sizeof(o), .twin_socket = VFUC_TWIN_INLINE,
                              .error = error, .error_len = sizeof(error) };
    struct vfuc_client *c = NULL;
    int fds = vu_test_open_fds(), err = -ENOMEM;
    unsigned at = 0, of_the_twin = 0;

    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    while (err != 0 && at < 100) {
        calls_reset();
        calls.malloc_fails_at = ++at;
        calls.malloc_fails_once = true;
        error[0] = '\0';
        err = negotiate(&o, &c);
        calls_reset();
        if (err == 0)
            break;
        assert_int_equal(err, -ENOMEM);
        assert_int_equal(vu_test_open_fds(), fds);
        of_the_twin += strcmp(error, "VERSION: out of memory") == 0;
    }
    assert_in_range(of_the_twin, 1, at - 1);
    vfuc_close(c);
}

/* ------------------------------------------------------------------ memory -- */

/* What is no descriptor of a file any more when it is looked at. */
static void descriptor_that_tells_nothing_makes_no_window(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);
    int fd = memory(0x1000);

    (void)state;
    fail_once(FSTAT, 1, EBADF);
    assert_int_equal(vfuc_dma_map(c, 0, 0x1000, 3, fd, 0), -EBADF);
    assert_non_null(strstr(vfuc_last_error(c), "is not open"));
    assert_int_equal(c->windows.count, 0);
    close(fd);
    known_done(&s, c);
}

static void table_that_cannot_grow_makes_no_window(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);
    int fd = memory(0x1000), before = vu_test_open_fds();

    (void)state;
    for (unsigned at = 1; at <= 2; at++) {      /* of files, of windows */
        fail_once(TSEARCH, at, ENOMEM);
        assert_int_equal(vfuc_dma_map(c, 0, 0x1000, 3, fd, 0), -ENOMEM);
        assert_int_equal(libc.made[TSEARCH], at);
        assert_string_equal(vfuc_last_error(c), "no memory for a window");
        assert_int_equal(c->windows.count, 0);
        assert_null(c->windows.files);
        assert_int_equal(vu_test_open_fds(), before);
    }
    script_say(&s, "");
    assert_int_equal(vfuc_dma_map(c, 0, 0x1000, 3, fd, 0), 0);
    close(fd);
    known_done(&s, c);
}

static void pages_that_cannot_be_noted_are_told(void **state)
{
    const struct vuc_interval window = { 0, 0xffff };
    struct vuc_written w = { .on = true, .everything = true };

    (void)state;
    fail_once(TSEARCH, 1, ENOMEM);
    assert_int_equal(vuc_written_note(&w, &window, 0x1000, 0x1fff), -ENOMEM);
    assert_int_equal(w.bytes, 0);
    assert_int_equal(vuc_written_note(&w, &window, 0x1000, 0x1fff), 0);
    assert_true(w.bytes > 0);
    vuc_written_stop(&w);
}

static void file_access_that_is_interrupted_goes_on(void **state)
{
    int fd = memory(0x1000);
    struct vuc_file *file;
    void *files = NULL;
    char text[6] = "";

    (void)state;
    assert_int_equal(vuc_file_get(&files, fd, &file), 0);
    fail_once(PWRITE, 1, EINTR);
    assert_int_equal(vuc_file_write(file, "hello", 6, 0x100), 0);
    assert_int_equal(libc.made[PWRITE], 2);
    fail_once(PREAD, 1, EINTR);
    assert_int_equal(vuc_file_read(file, text, 6, 0x100), 0);
    assert_int_equal(libc.made[PREAD], 2);
    assert_string_equal(text, "hello");
    vuc_file_put(&files, file);
    close(fd);
}

/* Or it might grow. */
static void file_of_unknown_length_is_not_written(void **state)
{
    int fd = memory(0x1000);
    struct vuc_file *file;
    void *files = NULL;

    (void)state;
    assert_int_equal(vuc_file_get(&files, fd, &file), 0);
    fail_once(FSTAT, 1, EIO);
    assert_int_equal(vuc_file_write(file, "hello", 6, 0), -EIO);
    assert_int_equal(libc.made[PWRITE], 0);
    vuc_file_put(&files, file);
    close(fd);
}

/* ----------------------------------------------------------------- regions -- */

/* Region 0: READ|WRITE|MMAP, 0x4000 bytes, all of it from offset 0 of its descriptor. */
#define MAPPABLE "20000000 07000000 00000000 00000000 0040000000000000 0000000000000000"

/* Asks for region 0 of a new device; allocations from this number on fail. How many there
 * were. */
static unsigned ask_for_region(unsigned fails_at, int expected)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);
    const struct vfuc_region *region = NULL;
    int before = vu_test_open_fds(), err;
    unsigned n;

    script_say(&s, MAPPABLE)->n_fds = 1;
    calls_reset();
    calls.malloc_fails_at = fails_at;
    err = vfuc_region_info(c, 0, &region);
    n = calls.malloc;
    calls_reset();
    assert_int_equal(err, expected);
    assert_true((err == 0) == (region != NULL));
    assert_int_equal(vu_test_open_fds(), before + (err == 0));
    known_done(&s, c);
    return n;
}

static void mappable_region_without_memory_is_not_known(void **state)
{
    unsigned n = ask_for_region(0, 0);

    (void)state;
    assert_int_equal(ask_for_region(n, -ENOMEM), n);    /* the last: its one area */
}

/* A file that may be too short would end us with SIGBUS. */
static void region_file_of_unknown_length_is_not_mapped(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);
    void *addr;

    (void)state;
    s.fd = memory(0x4000);
    script_say(&s, MAPPABLE)->n_fds = 1;
    fail_once(FSTAT, 1, EIO);
    assert_int_equal(vfuc_region_map(c, 0, 0, 0x1000, VFUC_MAP_READ, &addr), -ENODEV);
    assert_int_equal(libc.made[FSTAT], 1);
    assert_string_equal(vfuc_last_error(c), "the descriptor of region 0 is of no use");
    assert_int_equal(vfuc_region_map(c, 0, 0, 0x1000, VFUC_MAP_READ, &addr), 0);
    close(s.fd);
    known_done(&s, c);
}

static void eventfd_that_cannot_be_made_enables_nothing(void **state)
{
    static const struct { int error, told; const char *text; } failures[] = {
        { ENOMEM, -ENOMEM, "out of memory" },
        { EMFILE, -EMFILE, "no room for another eventfd" },
        { ENFILE, -EMFILE, "no room for another eventfd" },
    };
    struct script s;
    struct vfuc_client *c = known_msix(&s, NULL);
    int before = vu_test_open_fds();

    (void)state;
    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
        fail_once(EVENTFD, 3, failures[i].error);
        assert_int_equal(vfuc_irq_enable(c, 2, 0, 4), failures[i].told);
        assert_string_equal(vfuc_last_error(c), failures[i].text);
        assert_int_equal(vu_test_open_fds(), before);
    }
    assert_int_equal(s.n_said, 3);
    libc_reset();
    known_done(&s, c);
}

/* RWF_NOWAIT of an eventfd came with Linux 5.8. */
static void interrupts_are_counted_on_an_older_kernel(void **state)
{
    struct script s;
    struct vfuc_client *c = known_msix(&s, NULL);
    uint64_t count = 0;

    (void)state;
    script_say(&s, "");
    assert_int_equal(vfuc_irq_enable(c, 2, 1, 1), 0);
    assert_int_equal(eventfd_write(vfuc_irq_fd(c, 2, 1), 3), 0);
    fail_once(PREADV2, 1, EOPNOTSUPP);
    assert_int_equal(vfuc_irq_wait(c, 2, 1, 0, &count), 0);
    assert_int_equal(libc.made[PREADV2], 1);
    assert_int_equal(count, 3);
    known_done(&s, c);
}

/* -------------------------------------------------------------- twin socket -- */

/* An answer that waits to be read, and no way to wait for that. */
static void twin_that_cannot_be_waited_for_ends_the_connection(void **state)
{
    const uint32_t len = 1u << 20;
    struct vfuc_options o = { .size = sizeof(o), .twin_socket = VFUC_TWIN_INLINE };
    uint8_t *window = calloc(1, len);
    int server, twin;
    struct vfuc_client *c = talk_connect(&o, &server, &twin);

    (void)state;
    assert_non_null(window);
    talk_type(server, "0100 0200 10000000 01000000 00000000");
    assert_int_equal(vfuc_dma_map_memory(c, 0, len, 3, window, -1, 0), 0);
    assert_true(talk_dma(twin, 1, VU_DMA_READ, 0, len, NULL));
    assert_int_equal(vfuc_twin_dispatch(c, 0), 1);
    assert_int_equal(vfuc_twin_poll_events(c), POLLIN | POLLOUT);
    calls_reset();
    calls.system_errno = ENOMEM;
    calls.system_fails_at = 1;
    assert_int_equal(vfuc_twin_dispatch(c, 2000), -ENOMEM);
    assert_int_equal(calls.poll, 1);
    assert_int_equal(vfuc_fd(c), -1);
    calls_reset();
    vfuc_close(c);
    close(server);
    close(twin);
    free(window);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(connecting_that_is_interrupted_goes_on),
    VU_FD_TEST(interruptions_do_not_prolong_connecting),
    VU_FD_TEST(options_that_cannot_be_kept_make_no_client),
    VU_FD_TEST(json_that_finds_no_memory_is_not_taken_for_bad),
    VU_FD_TEST(twin_socket_without_memory_makes_no_client),
    VU_FD_TEST(descriptor_that_tells_nothing_makes_no_window),
    VU_FD_TEST(table_that_cannot_grow_makes_no_window),
    VU_FD_TEST(pages_that_cannot_be_noted_are_told),
    VU_FD_TEST(file_access_that_is_interrupted_goes_on),
    VU_FD_TEST(file_of_unknown_length_is_not_written),
    VU_FD_TEST(mappable_region_without_memory_is_not_known),
    VU_FD_TEST(region_file_of_unknown_length_is_not_mapped),
    VU_FD_TEST(eventfd_that_cannot_be_made_enables_nothing),
    VU_FD_TEST(interrupts_are_counted_on_an_older_kernel),
    VU_FD_TEST(twin_that_cannot_be_waited_for_ends_the_connection),
};

VU_TEST_MAIN(tests)
