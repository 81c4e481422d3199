/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a register access costs: two system calls and no allocation; many of them at a
 * time share theirs.
 *
 * The linker puts counters in front of every function through which the client could
 * enter the kernel or take memory (--wrap).
 */
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "libclient/include/vfio-user-client.h"
#include "wire/channel.h"
#include "wire/tests/bytes.h"

static struct {
    int sendmsg, recvmsg, poll, setsockopt, ioctl, malloc;
} calls;

/* What the linker makes of --wrap: the function itself, and ours in its place. */
ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __real_recvmsg(int fd, struct msghdr *msg, int flags);
int __real_poll(struct pollfd *fds, nfds_t n, int timeout);
int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __real_ioctl(int fd, unsigned long request, void *arg);
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __wrap_ioctl(int fd, unsigned long request, void *arg);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    calls.sendmsg++;
    return __real_sendmsg(fd, msg, flags);
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags)
{
    calls.recvmsg++;
    return __real_recvmsg(fd, msg, flags);
}

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout)
{
    calls.poll++;
    return __real_poll(fds, n, timeout);
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    calls.setsockopt++;
    return __real_setsockopt(fd, level, name, value, len);
}

int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
    calls.ioctl++;
    return __real_ioctl(fd, request, arg);
}

void *__wrap_malloc(size_t size)
{
    calls.malloc++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    calls.malloc++;
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    calls.malloc++;
    return __real_realloc(old, size);
}

static void type(int fd, const char *hex, uint16_t id)
{
    struct bytes b = bytes_of_hex(hex);

    memcpy(b.data, &id, sizeof(id));
    assert_int_equal(send(fd, b.data, b.len, 0), b.len);
}

static struct vfuc_client *make_client(int *server)
{
    struct vfuc_client *c;
    int fds[2];

    SKIP_UNLESS_LITTLE_ENDIAN();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    *server = fds[1];
    type(*server, "0000 0100 14000000 01000000 00000000 0000 0000", 0);
    assert_int_equal(vfuc_connect_fd(fds[0], NULL, &c), 0);
    type(*server, "0100 0400 20000000 01000000 00000000"
         "10000000 03000000 09000000 05000000", 1);
    type(*server, "0200 0500 30000000 01000000 00000000"
         "20000000 03000000 00000000 00000000 0020000000000000 0000000000000000", 2);
    return c;
}

/* One access of each kind, answered ahead of time, with its id. */
static void access_once(struct vfuc_client *c, int server, uint16_t id, bool write)
{
    uint8_t buf[4] = { 0 }, request[64];

    if (write)
        type(server, "0000 0a00 20000000 01000000 00000000"
             "1000000000000000 00000000 04000000", id);
    else
        type(server, "0000 0900 24000000 01000000 00000000"
             "1000000000000000 00000000 04000000 a1a2a3a4", id);
    memset(&calls, 0, sizeof(calls));
    if (write)
        assert_int_equal(vfuc_region_write(c, 0, 0x10, buf, 4), 0);
    else
        assert_int_equal(vfuc_region_read(c, 0, 0x10, buf, 4), 0);
    assert_true(recv(server, request, sizeof(request), 0) > 0);
}

static void register_access_is_two_system_calls_and_no_allocation(void **state)
{
    int server;
    struct vfuc_client *c = make_client(&server);
    const struct vfuc_region *r;
    uint8_t sink[512];

    (void)state;
    assert_int_equal(vfuc_region_info(c, 0, &r), 0);
    assert_true(recv(server, sink, sizeof(sink), 0) > 0);
    for (uint16_t id = 3; id < 200; id++) {
        access_once(c, server, id, id % 2 == 0);
        assert_int_equal(calls.sendmsg, 1);
        assert_int_equal(calls.recvmsg, 1);
        assert_int_equal(calls.poll, 0);
        assert_int_equal(calls.setsockopt, 0);
        assert_int_equal(calls.ioctl, 0);
        assert_int_equal(calls.malloc, 0);
    }
    vfuc_close(c);
    close(server);
}

#define MANY 64u

/* All answered ahead of time, the last one first. */
static void type_many(int server, uint16_t first)
{
    for (unsigned i = MANY; i-- > 0;)
        type(server, "0000 0900 24000000 01000000 00000000"
             "1000000000000000 00000000 04000000 a1a2a3a4", (uint16_t)(first + i));
}

static void many_reads_share_their_system_calls(void **state)
{
    int server;
    struct vfuc_client *c = make_client(&server);
    struct vfuc_completion done[MANY];
    const struct vfuc_region *r;
    uint8_t values[MANY][4], sink[4096];

    (void)state;
    assert_int_equal(vfuc_region_info(c, 0, &r), 0);
    for (unsigned round = 0; round < 3; round++) {
        type_many(server, (uint16_t)(3 + MANY * round));
        memset(&calls, 0, sizeof(calls));
        for (unsigned i = 0; i < MANY; i++)
            assert_int_equal(vfuc_submit_region_read(c, 0, 0x10, values[i], 4, i), 0);
        assert_int_equal(calls.sendmsg, 0);
        assert_int_equal(vfuc_wait(c, done, MANY, -1), MANY);
        assert_int_equal(done[0].tag, MANY - 1);
        assert_int_equal(calls.sendmsg, 1);
        assert_in_range(calls.recvmsg, 1, 2);
        assert_int_equal(calls.poll, 0);
        assert_int_equal(calls.setsockopt, 0);
        if (round > 0)          /* the table, and the output buffer, are there */
            assert_in_range(calls.malloc, 0, 1);
        assert_int_equal(vfuc_pending(c), 0);
        assert_true(recv(server, sink, sizeof(sink), 0) > 0);
    }
    vfuc_close(c);
    close(server);
}

/* Without this, a test that counts nothing would pass. */
static void counters_count(void **state)
{
    int server;
    struct vfuc_client *c;

    (void)state;
    memset(&calls, 0, sizeof(calls));
    c = make_client(&server);
    assert_int_equal(vfuc_region_count(c), 9);
    assert_int_equal(calls.sendmsg, 2);
    assert_true(calls.recvmsg >= 2);
    assert_true(calls.setsockopt >= 1);
    assert_true(calls.malloc >= 3);
    vfuc_close(c);
    close(server);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(register_access_is_two_system_calls_and_no_allocation),
    VU_FD_TEST(many_reads_share_their_system_calls),
    VU_FD_TEST(counters_count),
};

VU_TEST_MAIN(tests)
