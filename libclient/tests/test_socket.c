/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client over real sockets: fragments, descriptors, time, signals, lost servers.
 *
 * Ids of the client count from 0, so most replies can be typed into the socket before the
 * client asks. Where the server must act while the client waits, it is a thread; it never
 * asserts, since that would leave by longjmp.
 */
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

#include "libclient/include/vfio-user-client.h"
#include "wire/channel.h"
#include "wire/tests/bytes.h"

#define VERSION_REPLY "0000 0100 14000000 01000000 00000000 0000 0000"
#define DEVICE_REPLY \
    "0100 0400 20000000 01000000 00000000 10000000 03000000 09000000 05000000"
/* region 0: READ|WRITE, 4 MiB */
#define REGION_REPLY \
    "0200 0500 30000000 01000000 00000000" \
    "20000000 03000000 00000000 00000000 0000400000000000 0000000000000000"
#define READ_REPLY \
    "0300 0900 24000000 01000000 00000000 1000000000000000 00000000 04000000 a1a2a3a4"

static void send_bytes(int fd, const void *data, size_t len, const int *fds, size_t n_fds)
{
    struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };

    assert_int_equal(vu_socket_send(fd, &iov, 1, fds, n_fds), len);
}

static void type(int fd, const char *hex)
{
    struct bytes b = bytes_of_hex(hex);

    send_bytes(fd, b.data, b.len, NULL, 0);
}

static void type_with_fds(int fd, const char *hex, const int *fds, size_t n_fds)
{
    struct bytes b = bytes_of_hex(hex);

    send_bytes(fd, b.data, b.len, fds, n_fds);
}

static void make_pair(int fds[2])
{
    SKIP_UNLESS_LITTLE_ENDIAN();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

/* A negotiated client; the server's end goes to *server. */
static struct vfuc_client *make_client(int *server)
{
    struct vfuc_options options = { .size = sizeof(options) };
    struct vfuc_client *c;
    int fds[2];

    make_pair(fds);
    type(fds[1], VERSION_REPLY);
    assert_int_equal(vfuc_connect_fd(fds[0], &options, &c), 0);
    assert_int_equal(vfuc_fd(c), fds[0]);
    *server = fds[1];
    return c;
}

/* And it knows region 0; its next id is 3. */
static struct vfuc_client *make_client_with_region(int *server)
{
    struct vfuc_client *c = make_client(server);
    const struct vfuc_region *region;

    type(*server, DEVICE_REPLY);
    type(*server, REGION_REPLY);
    assert_int_equal(vfuc_region_info(c, 0, &region), 0);
    return c;
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

/* The other end has been closed: its end of file is there to read. */
static bool is_hung_up(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return poll(&p, 1, 0) == 1 && (p.revents & POLLHUP) != 0;
}

/* -------------------------------------------------------------- fragments -- */

/* Writes byte by byte, each one after the one before has been read. */
struct dribbler {
    int fd;
    struct bytes bytes;
    atomic_bool failed;
};

static bool wait_until_read(int fd)
{
    int64_t end = now_ms() + 10000;
    int left;

    do {
        if (ioctl(fd, SIOCOUTQ, &left) != 0)
            return false;
        if (left == 0)
            return true;
        sched_yield();
    } while (now_ms() < end);
    return false;
}

static void *dribble(void *arg)
{
    struct dribbler *d = arg;

    for (size_t i = 0; i < d->bytes.len; i++) {
        if (send(d->fd, d->bytes.data + i, 1, MSG_NOSIGNAL) != 1
            || !wait_until_read(d->fd))
            d->failed = true;
    }
    return NULL;
}

static void reply_may_come_byte_by_byte(void **state)
{
    struct dribbler d = { .bytes = bytes_of_hex(VERSION_REPLY DEVICE_REPLY REGION_REPLY
                                                READ_REPLY) };
    struct vfuc_client *c;
    uint8_t buf[4];
    pthread_t thread;
    int fds[2];

    (void)state;
    make_pair(fds);
    d.fd = fds[1];
    /* What the client sends stays unread, but it is not the dribbler's output. */
    assert_int_equal(pthread_create(&thread, NULL, dribble, &d), 0);
    assert_int_equal(vfuc_connect_fd(fds[0], NULL, &c), 0);
    assert_int_equal(vfuc_region_read(c, 0, 0x10, buf, 4), 0);
    pthread_join(thread, NULL);
    assert_false(d.failed);
    assert_memory_equal(buf, "\xa1\xa2\xa3\xa4", 4);
    vfuc_close(c);
    close(fds[1]);
}

static void replies_and_commands_may_come_in_one_piece(void **state)
{
    int server;
    struct vfuc_client *c = make_client_with_region(&server);
    uint8_t buf[4], sent[1024];

    (void)state;
    assert_true(recv(server, sent, sizeof(sent), 0) > 0);
    type(server, "0900 0b00 20000000 00000000 00000000 0000000000000000 0400000000000000"
         READ_REPLY
         "0a00 0b00 20000000 00000000 00000000 0000000000000000 0400000000000000");
    assert_int_equal(vfuc_region_read(c, 0, 0x10, buf, 4), 0);
    assert_memory_equal(buf, "\xa1\xa2\xa3\xa4", 4);
    assert_int_equal(vfuc_dispatch(c), 1);
    /* 32 bytes of request and two header-only errors */
    assert_int_equal(recv(server, sent, sizeof(sent), 0), 64);
    assert_memory_equal(sent + 32, bytes_of_hex("0900 0b00 10000000 21000000 0e000000"
                        "0a00 0b00 10000000 21000000 0e000000").data, 32);
    vfuc_close(c);
    close(server);
}

/* ---------------------------------------------------------------- leaving -- */

/* The server has sent this much of its reply when it goes: by closing, with our request
 * unread, or by closing its direction only. */
static void leave_after(const char *hex, size_t len, bool half)
{
    int server;
    struct vfuc_client *c = make_client_with_region(&server);
    struct bytes b = bytes_of_hex(hex);
    uint8_t buf[4];
    int err;

    if (len > 0)
        send_bytes(server, b.data, len, NULL, 0);
    if (half)
        assert_int_equal(shutdown(server, SHUT_WR), 0);
    else
        close(server);
    err = vfuc_region_read(c, 0, 0x10, buf, 4);
    if (err != -ENOTCONN)
        fail_msg("%zu bytes and then nothing: %d", len, err);
    assert_int_equal(vfuc_fd(c), -1);
    assert_int_equal(vfuc_region_read(c, 0, 0x10, buf, 4), -ENOTCONN);
    assert_string_not_equal(vfuc_last_error(c), "");
    vfuc_close(c);
    if (half)
        close(server);
}

static void server_may_leave_at_every_byte_of_a_reply(void **state)
{
    size_t len = bytes_of_hex(READ_REPLY).len;

    (void)state;
    for (size_t i = 0; i < len; i++) {
        leave_after(READ_REPLY, i, false);
        leave_after(READ_REPLY, i, true);
    }
}

static void server_may_leave_at_every_byte_of_the_negotiation(void **state)
{
    struct bytes b = bytes_of_hex(VERSION_REPLY);
    struct vfuc_client *c = NULL;
    char error[100];
    struct vfuc_options options = { .size = sizeof(options), .error = error,
                                    .error_len = sizeof(error) };
    int fds[2];

    (void)state;
    for (size_t i = 0; i < b.len; i++) {
        make_pair(fds);
        if (i > 0)
            send_bytes(fds[1], b.data, i, NULL, 0);
        assert_int_equal(shutdown(fds[1], SHUT_WR), 0);
        error[0] = '\0';
        assert_int_equal(vfuc_connect_fd(fds[0], &options, &c), -ENOTCONN);
        assert_null(c);
        assert_string_equal(error, "VERSION: the server closed the connection");
        assert_true(is_hung_up(fds[1]));
        close(fds[1]);
    }
}

/* ------------------------------------------------------------------- time -- */

static void silent_server_costs_the_timeout_and_no_more(void **state)
{
    int server;
    struct vfuc_client *c = make_client(&server);
    int64_t start = now_ms(), took;

    (void)state;
    vfuc_set_timeout_ms(c, 60);
    assert_int_equal(vfuc_reset(c), -ETIMEDOUT);
    took = now_ms() - start;
    assert_in_range(took, 60, 2000);
    assert_true(is_hung_up(server));    /* so a late reply can reach nobody */
    assert_int_equal(vfuc_reset(c), -ENOTCONN);
    vfuc_close(c);
    close(server);
}

static void silence_in_the_negotiation_ends_in_a_timeout(void **state)
{
    struct vfuc_options options = { .size = sizeof(options), .timeout_ms = 30 };
    struct vfuc_client *c = NULL;
    int64_t start = now_ms(), took;
    int fds[2];

    (void)state;
    make_pair(fds);
    assert_int_equal(vfuc_connect_fd(fds[0], &options, &c), -ETIMEDOUT);
    took = now_ms() - start;
    assert_in_range(took, 30, 2000);
    assert_null(c);
    assert_true(is_hung_up(fds[1]));
    close(fds[1]);
}

/* A byte now and then, of a reply that never ends. */
struct slow {
    int fd;
    atomic_bool stop;
};

static void *send_slowly(void *arg)
{
    struct slow *s = arg;
    struct bytes b = bytes_of_hex("0100 0400 00400000 01000000 00000000");

    for (size_t i = 0; !s->stop; i++) {
        send(s->fd, &b.data[i < b.len ? i : b.len - 1], 1, MSG_NOSIGNAL);
        poll(NULL, 0, 5);
    }
    return NULL;
}

static void slow_reply_does_not_prolong_the_wait(void **state)
{
    struct slow s = { 0 };
    struct vfuc_client *c = make_client(&s.fd);
    const struct vfuc_device *device;
    pthread_t thread;
    int64_t start, took;
    int err;

    (void)state;
    vfuc_set_timeout_ms(c, 100);
    assert_int_equal(pthread_create(&thread, NULL, send_slowly, &s), 0);
    start = now_ms();
    err = vfuc_device_info(c, &device);
    took = now_ms() - start;
    s.stop = true;
    pthread_join(thread, NULL);
    assert_int_equal(err, -ETIMEDOUT);
    assert_in_range(took, 100, 2000);
    vfuc_close(c);
    close(s.fd);
}

static void server_that_does_not_read_costs_the_timeout(void **state)
{
    static const uint8_t data[1 << 20];
    int server;
    struct vfuc_client *c = make_client_with_region(&server);
    int64_t start = now_ms(), took;

    (void)state;
    vfuc_set_timeout_ms(c, 60);
    assert_int_equal(vfuc_region_write_posted(c, 0, 0, data, sizeof(data)), -ETIMEDOUT);
    took = now_ms() - start;
    assert_in_range(took, 60, 2000);
    vfuc_close(c);
    close(server);
}

/* Answers one read once `signals` signals have been seen. */
struct patient {
    int fd;
    int signals;
};

static atomic_int n_signals;

static void count_signal(int number)
{
    (void)number;
    n_signals++;
}

static void *answer_after_signals(void *arg)
{
    struct patient *p = arg;
    struct bytes b = bytes_of_hex(READ_REPLY);
    int64_t end = now_ms() + 10000;

    while (n_signals < p->signals && now_ms() < end)
        sched_yield();
    send(p->fd, b.data, b.len, MSG_NOSIGNAL);
    return NULL;
}

static void storm(int interval_us)
{
    struct itimerval every = { .it_interval = { .tv_usec = interval_us },
                               .it_value = { .tv_usec = interval_us } };

    assert_int_equal(setitimer(ITIMER_REAL, &every, NULL), 0);
}

/* SIGALRM comes to the calling thread alone, and interrupts. */
static void catch_alarms(void)
{
    struct sigaction action = { .sa_handler = count_signal };

    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    n_signals = 0;
}

static pthread_t start_without_alarms(void *(*run)(void *), void *arg)
{
    sigset_t alarms;
    pthread_t thread;

    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &alarms, NULL), 0);
    assert_int_equal(pthread_create(&thread, NULL, run, arg), 0);
    assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &alarms, NULL), 0);
    return thread;
}

static void signals_do_not_end_a_wait(void **state)
{
    struct patient p = { .signals = 20 };
    struct vfuc_client *c = make_client_with_region(&p.fd);
    pthread_t thread;
    uint8_t buf[4];
    int err;

    (void)state;
    catch_alarms();
    thread = start_without_alarms(answer_after_signals, &p);
    storm(2000);
    err = vfuc_region_read(c, 0, 0x10, buf, 4);
    storm(0);
    pthread_join(thread, NULL);
    assert_int_equal(err, 0);
    assert_true(n_signals >= 20);
    vfuc_close(c);
    close(p.fd);
}

static void signals_do_not_prolong_a_wait(void **state)
{
    int server;
    struct vfuc_client *c = make_client(&server);
    int64_t start, took;
    int err;

    (void)state;
    catch_alarms();
    vfuc_set_timeout_ms(c, 100);
    start = now_ms();
    storm(2000);
    err = vfuc_reset(c);
    storm(0);
    took = now_ms() - start;
    assert_int_equal(err, -ETIMEDOUT);
    assert_in_range(took, 100, 2000);
    assert_true(n_signals > 0);
    vfuc_close(c);
    close(server);
}

/* ------------------------------------------------------------ descriptors -- */

static void region_descriptor_comes_through(void **state)
{
    int server, memfd = memfd_create("region", MFD_CLOEXEC);
    struct vfuc_client *c = make_client(&server);
    const struct vfuc_region *r;
    void *addr;

    (void)state;
    assert_int_equal(ftruncate(memfd, 0x2000), 0);
    assert_int_equal(pwrite(memfd, "hello", 6, 0x1000), 6);
    type(server, DEVICE_REPLY);
    type_with_fds(server, "0200 0500 30000000 01000000 00000000"
                  "20000000 07000000 00000000 00000000 0020000000000000 0000000000000000",
                  &memfd, 1);
    assert_int_equal(vfuc_region_info(c, 0, &r), 0);
    assert_int_equal(vfuc_region_map(c, 0, 0x1000, 0x1000, VFUC_MAP_READ, &addr), 0);
    assert_string_equal(addr, "hello");
    assert_int_equal(vfuc_region_unmap(c, addr), 0);
    vfuc_close(c);
    close(server);
    close(memfd);
}

static void descriptors_on_other_replies_are_closed(void **state)
{
    int server, fds[20];
    struct vfuc_client *c = make_client(&server);
    int before;

    (void)state;
    for (int i = 0; i < 20; i++)
        fds[i] = server;
    before = vu_test_open_fds();
    type_with_fds(server, DEVICE_REPLY, fds, 3);
    assert_int_equal(vfuc_region_count(c), 9);
    type_with_fds(server, "0200 0d00 10000000 01000000 00000000", fds, 20);
    assert_int_equal(vfuc_reset(c), 0);
    assert_int_equal(vu_test_open_fds(), before);
    /* of a reply that never gets complete */
    type_with_fds(server, "0300 0d00", fds, 2);
    vfuc_set_timeout_ms(c, 10);
    assert_int_equal(vfuc_reset(c), -ETIMEDOUT);
    vfuc_close(c);
    close(server);
}

/* Whether the kernel was told of a limit: valgrind keeps it for itself. */
static bool kernel_has_limit(int limits_fd, const char *line)
{
    char text[4096];
    ssize_t n = pread(limits_fd, text, sizeof(text) - 1, 0);

    assert_true(n > 0);
    text[n] = '\0';
    return strstr(text, line) != NULL;
}

static void full_descriptor_table_is_told_and_survived(void **state)
{
    static const char reply[] = "20000000 07000000 00000000 00000000"
                                "0020000000000000 0000000000000000";
    int server;
    struct vfuc_client *c = make_client(&server);
    const struct vfuc_region *r;
    struct rlimit before, full;
    char hex[200];
    bool is_full;
    int err, limits = open("/proc/self/limits", O_RDONLY | O_CLOEXEC);

    (void)state;
    type(server, DEVICE_REPLY);
    assert_int_equal(vfuc_region_count(c), 9);
    snprintf(hex, sizeof(hex), "0200 0500 30000000 01000000 00000000 %s", reply);
    type_with_fds(server, hex, &server, 1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    full = before;
    full.rlim_cur = 3;      /* no number below is free */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &full), 0);
    is_full = kernel_has_limit(limits, "Max open files            3 ");
    err = vfuc_region_info(c, 0, &r);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    close(limits);
    if (!is_full) {
        vfuc_close(c);
        close(server);
        print_message("skipped: the descriptor limit did not reach the kernel\n");
        skip();
    }
    assert_int_equal(err, -EMFILE);
    snprintf(hex, sizeof(hex), "0300 0500 30000000 01000000 00000000 %s", reply);
    type_with_fds(server, hex, &server, 1);
    assert_int_equal(vfuc_region_info(c, 0, &r), 0);
    vfuc_close(c);
    close(server);
}

static void server_gets_copies_of_what_is_lent(void **state)
{
    int server, event = eventfd(0, EFD_CLOEXEC);
    struct vfuc_client *c = make_client(&server);
    int got[4];
    size_t n_got = 4;
    uint8_t sent[512];
    uint64_t count;
    bool lost;

    (void)state;
    assert_true(recv(server, sent, sizeof(sent), 0) > 0);
    type(server, DEVICE_REPLY
         "0200 0700 20000000 01000000 00000000 10000000 01000000 02000000 10000000"
         "0300 0800 10000000 01000000 00000000");
    assert_int_equal(vfuc_irq_assign(c, 2, 3, &event, 1), 0);
    /* Three requests; the read ends with the piece that has descriptors. */
    assert_int_equal(vu_socket_recv(server, sent, sizeof(sent), got, &n_got, &lost), 100);
    assert_int_equal(n_got, 1);
    assert_memory_equal(sent + 64, bytes_of_hex("0300 0800 24000000 00000000 00000000"
                        "14000000 24000000 02000000 03000000 01000000").data, 36);
    assert_int_equal(eventfd_write(got[0], 5), 0);
    assert_int_equal(eventfd_read(event, &count), 0);
    assert_int_equal(count, 5);
    close(got[0]);
    close(event);
    vfuc_close(c);
    close(server);
}

/* ------------------------------------------------------------------- size -- */

/* Answers `n` accesses to region 0: reads with bytes that depend on their place. */
struct memory_server {
    int fd;
    int n;
    uint8_t *memory;
    atomic_bool failed;
};

static bool read_fully(int fd, void *buf, size_t len)
{
    return len == 0 || recv(fd, buf, len, MSG_WAITALL) == (ssize_t)len;
}

static bool serve_one(struct memory_server *s)
{
    uint8_t head[32];
    struct vu_reader r;
    struct vu_header h;
    struct vu_region_access a;
    bool is_read;

    if (!read_fully(s->fd, head, sizeof(head)))
        return false;
    r = vu_reader(head, sizeof(head));
    vu_decode_header(&r, &h);
    vu_decode_region_access(&r, &a);
    is_read = h.command == VU_REGION_READ;
    if (!is_read && !read_fully(s->fd, s->memory + a.offset, a.count))
        return false;
    h.size = 32 + (is_read ? a.count : 0);
    h.flags = 1;
    memcpy(head + 4, &h.size, 4);
    memcpy(head + 8, &h.flags, 4);
    if (send(s->fd, head, sizeof(head), MSG_NOSIGNAL) != (ssize_t)sizeof(head))
        return false;
    return !is_read
        || send(s->fd, s->memory + a.offset, a.count, MSG_NOSIGNAL) == (ssize_t)a.count;
}

static void *serve_memory(void *arg)
{
    struct memory_server *s = arg;

    for (int i = 0; i < s->n && !s->failed; i++) {
        if (!serve_one(s))
            s->failed = true;
    }
    return NULL;
}

static void megabytes_go_through_default_socket_buffers(void **state)
{
    size_t len = (3u << 20) + 17;   /* 4 messages each way */
    struct memory_server s = { .n = 8, .memory = malloc(4u << 20) };
    struct vfuc_client *c = make_client_with_region(&s.fd);
    uint8_t *data = malloc(len), *back = malloc(len), sent[1024];
    pthread_t thread;

    (void)state;
    assert_true(recv(s.fd, sent, sizeof(sent), 0) > 0);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i * 31 >> 3);
    assert_int_equal(pthread_create(&thread, NULL, serve_memory, &s), 0);
    assert_int_equal(vfuc_region_write(c, 0, 5, data, len), 0);
    assert_int_equal(vfuc_region_read(c, 0, 5, back, len), 0);
    pthread_join(thread, NULL);
    assert_false(s.failed);
    assert_memory_equal(data, back, len);
    vfuc_close(c);
    close(s.fd);
    free(s.memory);
    free(data);
    free(back);
}

/* ---------------------------------------------------------------- connect -- */

struct place {
    char dir[64];
    struct sockaddr_un addr;
    int fd;
};

static void make_place(struct place *p, int backlog)
{
    strcpy(p->dir, "/tmp/vuc-test-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    p->addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
    snprintf(p->addr.sun_path, sizeof(p->addr.sun_path), "%s/sock", p->dir);
    p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(p->fd, (struct sockaddr *)&p->addr, sizeof(p->addr)), 0);
    if (backlog >= 0)
        assert_int_equal(listen(p->fd, backlog), 0);
}

static void end_place(struct place *p)
{
    close(p->fd);
    assert_int_equal(unlink(p->addr.sun_path), 0);
    assert_int_equal(rmdir(p->dir), 0);
}

/* Accepts once, answers VERSION and one reset, and waits for the end. */
static void *accept_one(void *arg)
{
    struct place *p = arg;
    struct bytes b = bytes_of_hex(VERSION_REPLY "0100 0d00 10000000 01000000 00000000");
    int fd = accept(p->fd, NULL, NULL);
    char sink[512];

    send(fd, b.data, b.len, MSG_NOSIGNAL);
    while (recv(fd, sink, sizeof(sink), 0) > 0)
        ;
    close(fd);
    return NULL;
}

static void path_leads_to_the_server(void **state)
{
    struct place p;
    struct vfuc_client *c;
    pthread_t thread;

    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    make_place(&p, 1);
    assert_int_equal(pthread_create(&thread, NULL, accept_one, &p), 0);
    assert_int_equal(vfuc_connect(p.addr.sun_path, NULL, &c), 0);
    assert_int_equal(vfuc_reset(c), 0);
    assert_true(fcntl(vfuc_fd(c), F_GETFD) == FD_CLOEXEC);
    vfuc_close(c);
    pthread_join(thread, NULL);
    end_place(&p);
}

static void path_that_leads_nowhere_is_told(void **state)
{
    char error[100], longer[200];
    struct vfuc_options options = { .size = sizeof(options), .error = error,
                                    .error_len = sizeof(error) };
    struct vfuc_client *c = NULL;
    struct place p;

    (void)state;
    make_place(&p, -1);
    error[0] = '\0';
    assert_int_equal(vfuc_connect(p.addr.sun_path, &options, &c), -ECONNREFUSED);
    assert_string_not_equal(error, "");
    end_place(&p);
    assert_int_equal(vfuc_connect(p.addr.sun_path, &options, &c), -ENOENT);
    memset(longer, 'x', sizeof(longer));
    longer[108] = '\0';     /* fits, but for its NUL */
    assert_int_equal(vfuc_connect(longer, &options, &c), -ENAMETOOLONG);
    longer[107] = '\0';
    assert_int_equal(vfuc_connect(longer, &options, &c), -ENOENT);
    assert_null(c);
}

static void full_listen_queue_ends_in_a_timeout(void **state)
{
    struct vfuc_options options = { .size = sizeof(options), .timeout_ms = 60 };
    struct vfuc_client *c = NULL;
    struct place p;
    int64_t start, took;
    int first = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    make_place(&p, 0);
    assert_int_equal(connect(first, (struct sockaddr *)&p.addr, sizeof(p.addr)), 0);
    start = now_ms();
    assert_int_equal(vfuc_connect(p.addr.sun_path, &options, &c), -ETIMEDOUT);
    took = now_ms() - start;
    assert_in_range(took, 60, 2000);
    assert_null(c);
    close(first);
    end_place(&p);
}

/* What the connecting needed for its time must not shorten later sends. */
static void connecting_leaves_no_timeout_on_the_socket(void **state)
{
    struct vfuc_options options = { .size = sizeof(options), .timeout_ms = 3000 };
    struct timeval tv = { 1, 1 };
    socklen_t len = sizeof(tv);
    struct place p;
    struct vfuc_client *c;
    pthread_t thread;

    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    make_place(&p, 1);
    assert_int_equal(pthread_create(&thread, NULL, accept_one, &p), 0);
    assert_int_equal(vfuc_connect(p.addr.sun_path, &options, &c), 0);
    assert_int_equal(getsockopt(vfuc_fd(c), SOL_SOCKET, SO_SNDTIMEO, &tv, &len), 0);
    assert_int_equal(tv.tv_sec * 1000000 + tv.tv_usec, 0);
    vfuc_close(c);
    pthread_join(thread, NULL);
    end_place(&p);
}

static void descriptor_is_taken_over_in_every_case(void **state)
{
    struct vfuc_options bad = { .size = 0 };
    struct vfuc_client *c = NULL;
    int fds[2];

    (void)state;
    make_pair(fds);
    assert_int_equal(vfuc_connect_fd(fds[0], &bad, &c), -EINVAL);
    assert_true(is_hung_up(fds[1]));
    close(fds[1]);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);     /* no socket at all */
    assert_int_equal(vfuc_connect_fd(fds[1], NULL, &c), -ENOTCONN);
    assert_true(is_hung_up(fds[0]));
    close(fds[0]);
    assert_null(c);
}

/* A connected TCP socket with more to send than anybody takes, whose close() waits five
 * seconds for that; or -1: there is no loopback interface. *other is its peer. */
static int lingering_socket(int *other)
{
    static const uint8_t much[1 << 16];
    struct sockaddr_in here = { .sin_family = AF_INET };
    struct linger five_seconds = { .l_onoff = 1, .l_linger = 5 };
    socklen_t len = sizeof(here);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *other = -1;
    if (bind(listener, (struct sockaddr *)&here, len) == 0 && listen(listener, 1) == 0
        && getsockname(listener, (struct sockaddr *)&here, &len) == 0
        && connect(fd, (struct sockaddr *)&here, len) == 0)
        *other = accept(listener, NULL, NULL);
    close(listener);
    if (*other < 0) {
        close(fd);
        return -1;
    }
    while (send(fd, much, sizeof(much), MSG_DONTWAIT) > 0)
        continue;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &five_seconds,
                                sizeof(five_seconds)), 0);
    return fd;
}

static void socket_that_lingers_does_not_hold_up_a_call(void **state)
{
    int server, other, fd = lingering_socket(&other);
    struct vfuc_client *c;
    int64_t begin;

    (void)state;
    if (fd < 0)
        skip();
    c = make_client(&server);
    type_with_fds(server, "0100 0d00 10000000 01000000 00000000", &fd, 1);
    close(fd);      /* the last one is the client's */
    begin = now_ms();
    assert_int_equal(vfuc_reset(c), 0);
    assert_in_range(now_ms() - begin, 0, 2000);
    vfuc_close(c);
    close(server);
    close(other);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(reply_may_come_byte_by_byte),
    VU_FD_TEST(socket_that_lingers_does_not_hold_up_a_call),
    VU_FD_TEST(replies_and_commands_may_come_in_one_piece),
    VU_FD_TEST(server_may_leave_at_every_byte_of_a_reply),
    VU_FD_TEST(server_may_leave_at_every_byte_of_the_negotiation),
    VU_FD_TEST(silent_server_costs_the_timeout_and_no_more),
    VU_FD_TEST(silence_in_the_negotiation_ends_in_a_timeout),
    VU_FD_TEST(slow_reply_does_not_prolong_the_wait),
    VU_FD_TEST(server_that_does_not_read_costs_the_timeout),
    VU_FD_TEST(signals_do_not_end_a_wait),
    VU_FD_TEST(signals_do_not_prolong_a_wait),
    VU_FD_TEST(region_descriptor_comes_through),
    VU_FD_TEST(descriptors_on_other_replies_are_closed),
    VU_FD_TEST(full_descriptor_table_is_told_and_survived),
    VU_FD_TEST(server_gets_copies_of_what_is_lent),
    VU_FD_TEST(megabytes_go_through_default_socket_buffers),
    VU_FD_TEST(path_leads_to_the_server),
    VU_FD_TEST(path_that_leads_nowhere_is_told),
    VU_FD_TEST(full_listen_queue_ends_in_a_timeout),
    VU_FD_TEST(connecting_leaves_no_timeout_on_the_socket),
    VU_FD_TEST(descriptor_is_taken_over_in_every_case),
};

VU_TEST_MAIN(tests)
