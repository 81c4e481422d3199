/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The attached connection through the public functions: serving, quiesce, every
 * way it ends, and what is left afterwards (nothing).
 *
 * Linked with --wrap for sendmsg() and recvmsg(), so that system calls can be
 * counted: the client in these tests uses other calls to read, and a counter is
 * looked at only around calls of the server.
 */
#include "libserver/tests/life.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#define NB LIBVFIO_USER_FLAG_ATTACH_NB

/* -------------------------------------------------------- system calls -- */

static atomic_int sends, receives;

ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __real_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags);

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    atomic_fetch_add(&sends, 1);
    return __real_sendmsg(fd, msg, flags);
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags)
{
    atomic_fetch_add(&receives, 1);
    return __real_recvmsg(fd, msg, flags);
}

static void count_from_zero(void)
{
    atomic_store(&sends, 0);
    atomic_store(&receives, 0);
}

static void ping_pong_takes_two_system_calls(void **state)
{
    uint8_t info[INFO_BYTES];
    struct life l;
    int client;

    (void)state;
    life_begin(&l, NB);
    client = life_client(&l);
    for (uint16_t i = 0; i < 10; i++) {
        put_get_info(info, i);
        client_send(client, info, sizeof(info));
        count_from_zero();
        assert_run(&l, 1, 0);
        assert_int_equal(atomic_load(&receives), 1);
        assert_int_equal(atomic_load(&sends), 1);
        assert_reply(client, i, 0);
    }
    count_from_zero();
    assert_run(&l, 0, 0);
    assert_int_equal(atomic_load(&receives), 1);
    assert_int_equal(atomic_load(&sends), 0);
    close(client);
    life_end(&l);
}

static void pipelined_requests_share_their_system_calls(void **state)
{
    uint8_t bytes[64 * INFO_BYTES];
    struct life l;
    int client;

    (void)state;
    life_begin(&l, NB);
    client = life_client(&l);
    for (uint16_t i = 0; i < 64; i++)
        put_get_info(bytes + i * INFO_BYTES, i);
    client_send(client, bytes, sizeof(bytes));
    count_from_zero();
    assert_run(&l, 64, 0);
    assert_int_equal(atomic_load(&receives), 1);
    assert_int_equal(atomic_load(&sends), 1);
    for (uint16_t i = 0; i < 64; i++)
        assert_reply(client, i, 0);
    close(client);
    life_end(&l);
}

/* -------------------------------------------------------------- serving -- */

static void refused_messages_count_as_nothing(void **state)
{
    uint8_t bytes[3 * INFO_BYTES];
    struct life l;
    int client;

    (void)state;
    life_begin(&l, NB);
    client = life_client(&l);
    put_message(bytes, 1, VU_DEVICE_RESET, 5, NULL, 0);     /* type 5 */
    client_send(client, bytes, 16);
    assert_run(&l, 0, 0);
    assert_reply(client, 1, EINVAL);
    put_message(bytes, 2, VU_DEVICE_RESET, VU_F_TYPE_REPLY, NULL, 0);
    put_get_info(put_message(bytes + 16, 3, 4711, 0, NULL, 0), 4);
    client_send(client, bytes, 2 * 16 + INFO_BYTES);
    assert_run(&l, 2, 0);
    assert_reply(client, 3, EINVAL);
    assert_reply(client, 4, 0);
    close(client);
    life_end(&l);
}

/* A conversation with a bit of everything, its length in *len. */
static uint8_t *conversation(size_t *len)
{
    static uint8_t bytes[1024];
    uint8_t *at = bytes;
    uint8_t write[VU_REGION_ACCESS_SIZE + 8] = { 0 };
    uint8_t read[VU_REGION_ACCESS_SIZE] = { 0 };
    struct vu_region_access access = { .offset = 16, .count = 8 };

    ENCODE(region_access, &access, read);
    memcpy(write, read, sizeof(read));
    memcpy(write + VU_REGION_ACCESS_SIZE, "12345678", 8);
    at = put_get_info(at, 1);
    at = put_message(at, 2, VU_REGION_WRITE, 0, write, sizeof(write));
    at = put_message(at, 3, VU_REGION_WRITE, VU_F_NO_REPLY, write, sizeof(write));
    at = put_message(at, 4, VU_REGION_READ, 0, read, sizeof(read));
    at = put_message(at, 5, 4711, 0, NULL, 0);
    at = put_dma_map(at, 6, 0x1000);
    at = put_message(at, 7, VU_DEVICE_RESET, 0, NULL, 0);
    *len = (size_t)(at - bytes);
    return bytes;
}

static void check_conversation(int client)
{
    static struct received m;

    assert_reply(client, 1, 0);
    assert_reply(client, 2, 0);
    client_receive(client, &m);
    assert_int_equal(m.h.msg_id, 4);
    assert_memory_equal(m.body + VU_REGION_ACCESS_SIZE, "12345678", 8);
    assert_reply(client, 5, EINVAL);
    assert_reply(client, 6, 0);
    assert_reply(client, 7, 0);
    assert_silent(client);
}

static void messages_may_be_cut_anywhere(void **state)
{
    struct life l;
    size_t len;
    uint8_t *bytes = conversation(&len);

    (void)state;
    life_begin(&l, NB);
    for (size_t cut = 1; cut < len; cut++) {
        int client = life_client(&l);

        memset(l.core.bar0, 0, sizeof(l.core.bar0));
        client_send(client, bytes, cut);
        assert_true(vfu_run_ctx(l.core.ctx) >= 0);
        client_send(client, bytes + cut, len - cut);
        assert_true(vfu_run_ctx(l.core.ctx) >= 0);
        check_conversation(client);
        close(client);
        assert_run(&l, -1, ENOTCONN);
    }
    life_end(&l);
}

static void messages_may_come_byte_by_byte(void **state)
{
    struct life l;
    size_t len;
    uint8_t *bytes = conversation(&len);
    int client;

    (void)state;
    life_begin(&l, NB);
    client = life_client(&l);
    for (size_t i = 0; i < len; i++) {
        client_send(client, bytes + i, 1);
        assert_true(vfu_run_ctx(l.core.ctx) >= 0);
    }
    check_conversation(client);
    close(client);
    life_end(&l);
}

static void descriptors_of_regions_arrive(void **state)
{
    struct vu_region_info ask = { .argsz = 4096, .index = 2 };
    uint8_t body[VU_REGION_INFO_SIZE];
    uint8_t bytes[256];
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(8 * sizeof(int))];
    } control = { 0 };
    struct iovec iov = { .iov_base = bytes, .iov_len = sizeof(bytes) };
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1,
        .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes),
    };
    struct cmsghdr *cmsg;
    struct life l;
    int client, fd;
    char *memory;

    (void)state;
    life_begin(&l, NB);
    client = life_client(&l);
    ENCODE(region_info, &ask, body);
    put_message(bytes, 9, VU_DEVICE_GET_REGION_INFO, 0, body, sizeof(body));
    client_send(client, bytes, VU_HEADER_SIZE + sizeof(body));
    assert_run(&l, 1, 0);
    assert_int_equal(__real_recvmsg(client, &msg, MSG_CMSG_CLOEXEC), 16 + 80);
    cmsg = CMSG_FIRSTHDR(&msg);
    assert_non_null(cmsg);
    assert_int_equal(cmsg->cmsg_len, CMSG_LEN(sizeof(int)));
    memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
    assert_int_equal(pwrite(l.core.memory, "mapped", 6, 0x2000 + 0x1000), 6);
    memory = mmap(NULL, 0x1000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0x3000);
    assert_true(memory != MAP_FAILED);
    assert_memory_equal(memory, "mapped", 6);
    munmap(memory, 0x1000);
    close(fd);
    close(client);
    life_end(&l);
}

static void descriptors_nobody_wants_are_closed(void **state)
{
    uint8_t info[INFO_BYTES];
    struct life l;
    int client, before;
    int fds[3];

    (void)state;
    life_begin(&l, NB);
    client = life_client(&l);
    before = vu_test_open_fds();
    fds[0] = fds[1] = fds[2] = l.core.memory;
    put_get_info(info, 1);
    client_send_fds(client, info, sizeof(info), fds, 3);
    client_send_fds(client, info, sizeof(info), fds, 3);
    assert_true(vfu_run_ctx(l.core.ctx) > 0);
    assert_true(vfu_run_ctx(l.core.ctx) >= 0);
    assert_reply(client, 1, 0);
    assert_reply(client, 1, 0);
    assert_int_equal(vu_test_open_fds(), before);
    close(client);
    life_end(&l);
}

struct sending {
    int fd;
    const uint8_t *bytes;
    size_t len;
};

static void *send_slowly(void *arg)
{
    struct sending *s = arg;

    for (size_t at = 0; at < s->len;) {
        ssize_t n = send(s->fd, s->bytes + at, s->len - at, MSG_NOSIGNAL);

        if (n <= 0)
            break;
        at += (size_t)n;
    }
    return NULL;
}

static ssize_t keep_last_byte(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                              bool is_write)
{
    struct core *c = vfu_get_private(ctx);

    c->seen.accesses++;
    if (is_write)
        c->bar0[0] = (uint8_t)buf[count - 1];
    else
        memset(buf, 0x5a, count);
    return offset >= 0 ? (ssize_t)count : -1;
}

static void add_large_region(struct life *l)
{
    assert_int_equal(vfu_setup_region(l->core.ctx, 4, 2u << 20, keep_last_byte,
                                      VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM, NULL, 0,
                                      -1, 0), 0);
}

/* More than a socket's buffer holds, by a client that blocks in send(). */
static void a_write_of_one_mebibyte_arrives(void **state)
{
    struct vu_region_access access = { .region = 4, .count = VUS_MAX_DATA_XFER };
    size_t len = VUS_MAX_MESSAGE;
    uint8_t *bytes = calloc(1, len);
    uint8_t head[VU_REGION_ACCESS_SIZE];
    struct life l;
    struct sending s = { .bytes = bytes, .len = len };
    struct vu_header h = { .msg_id = 8,
                           .command = VU_REGION_WRITE,
                           .size = (uint32_t)len };
    struct vu_writer w = vu_writer(bytes, VU_HEADER_SIZE);
    pthread_t thread;
    int ran = 0;

    (void)state;
    life_begin(&l, NB);
    add_large_region(&l);
    s.fd = life_client(&l);
    assert_int_equal(vu_encode_header(&w, &h), 0);
    ENCODE(region_access, &access, head);
    memcpy(bytes + VU_HEADER_SIZE, head, sizeof(head));
    bytes[len - 1] = 0x77;
    assert_int_equal(pthread_create(&thread, NULL, send_slowly, &s), 0);
    while (ran == 0) {
        struct pollfd p = { .fd = vfu_get_poll_fd(l.core.ctx), .events = POLLIN };

        assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
        ran = vfu_run_ctx(l.core.ctx);
    }
    pthread_join(thread, NULL);
    assert_int_equal(ran, 1);
    assert_reply(s.fd, 8, 0);
    assert_int_equal(l.core.bar0[0], 0x77);
    close(s.fd);
    free(bytes);
    life_end(&l);
}

/* ------------------------------------------------------------- the end -- */

static char order[64];
static int peer_known;

static void note(vfu_ctx_t *ctx, char what)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    size_t n = strlen(order);

    if (n + 1 < sizeof(order)) {
        order[n] = what;
        order[n + 1] = '\0';
    }
    peer_known += getsockopt(vfu_get_poll_fd(ctx), SOL_SOCKET, SO_PEERCRED, &peer,
                             &len) == 0;
}

static void note_unregister(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    note(ctx, (char)('0' + (uintptr_t)info->iova.iov_base / 0x1000));
}

static int note_reset(vfu_ctx_t *ctx, vfu_reset_type_t type)
{
    struct core *c = vfu_get_private(ctx);

    c->seen.resets++;
    note(ctx, type == VFU_RESET_LOST_CONN ? 'L' : 'R');
    /* Interrupts still reach the client here. */
    if (type == VFU_RESET_LOST_CONN)
        c->how.access_errno = vfu_irq_trigger(ctx, 0);
    return -1;      /* changes nothing when the client is gone */
}

static int note_quiesce(vfu_ctx_t *ctx)
{
    note(ctx, 'Q');
    return 0;
}

static void assign_intx(int client, int event)
{
    struct vu_irq_set m = {
        .argsz = 20, .flags = VU_IRQ_SET_DATA_EVENTFD | VU_IRQ_SET_ACTION_TRIGGER,
        .count = 1,
    };
    uint8_t body[VU_IRQ_SET_SIZE];
    uint8_t bytes[64];

    ENCODE(irq_set, &m, body);
    put_message(bytes, 20, VU_DEVICE_SET_IRQS, 0, body, sizeof(body));
    client_send_fds(client, bytes, VU_HEADER_SIZE + sizeof(body), &event, 1);
}

/* Windows at three addresses and INTx. */
static int busy_client(struct life *l, int event)
{
    static const uint64_t addresses[] = { 0x3000, 0x1000, 0x2000 };
    int client = life_client(l);
    uint8_t bytes[MAP_BYTES];

    for (size_t i = 0; i < 3; i++) {
        put_dma_map(bytes, 1, addresses[i]);
        client_send_fds(client, bytes, sizeof(bytes), &l->core.memory, 1);
    }
    assign_intx(client, event);
    while (vfu_run_ctx(l->core.ctx) > 0)
        ;
    for (size_t i = 0; i < 3; i++)
        assert_reply(client, 1, 0);
    assert_reply(client, 20, 0);
    return client;
}

static void begin_noting(struct life *l)
{
    life_begin(l, NB);
    order[0] = '\0';
    peer_known = 0;
    (vfu_setup_device_dma)(l->core.ctx, 8, NULL, note_unregister);
    vfu_setup_device_reset_cb(l->core.ctx, note_reset);
}

static void a_lost_client_is_cleaned_up_in_order(void **state)
{
    struct life l;
    int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    uint64_t count = 0;
    int before, client;

    (void)state;
    begin_noting(&l);
    before = vu_test_open_fds();
    client = busy_client(&l, event);
    vfu_setup_device_quiesce_cb(l.core.ctx, note_quiesce);
    close(client);
    assert_run(&l, -1, ENOTCONN);
    assert_string_equal(order, "Q123L");
    assert_int_equal(peer_known, 5);
    assert_int_equal(l.core.how.access_errno, 0);
    assert_int_equal(read(event, &count, sizeof(count)), sizeof(count));
    assert_int_equal(vfu_irq_trigger(l.core.ctx, 0), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(vu_test_open_fds(), before);
    assert_run(&l, -1, ENOTCONN);
    assert_string_equal(order, "Q123L");
    close(life_client(&l));
    life_end(&l);
    close(event);
}

static void destroy_cleans_up_without_asking(void **state)
{
    struct life l;
    int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int client;

    (void)state;
    begin_noting(&l);
    client = busy_client(&l, event);
    vfu_setup_device_quiesce_cb(l.core.ctx, note_quiesce);
    vfu_destroy_ctx(l.core.ctx);
    l.core.ctx = NULL;
    assert_string_equal(order, "123L");
    assert_ended(client);
    close(client);
    close(event);
    life_end(&l);
}

static void destroy_resets_even_without_a_client(void **state)
{
    struct life l;

    (void)state;
    begin_noting(&l);
    vfu_destroy_ctx(l.core.ctx);
    l.core.ctx = NULL;
    assert_string_equal(order, "L");
    life_end(&l);
}

static void a_client_may_leave_at_every_byte(void **state)
{
    struct life l;
    size_t len;
    uint8_t *bytes = conversation(&len);
    int before;

    (void)state;
    life_begin(&l, NB);
    before = vu_test_open_fds();
    for (size_t n = 0; n < len; n++) {
        int client = life_client(&l);
        int resets;

        /* Half of the time with descriptors on the message that is cut. */
        if (n != 0)
            client_send_fds(client, bytes, n, &l.core.memory, n % 2);
        while (vfu_run_ctx(l.core.ctx) > 0)
            ;
        resets = l.core.seen.resets;
        close(client);
        assert_run(&l, -1, ENOTCONN);
        assert_int_equal(l.core.seen.resets, resets + 1);
        assert_int_equal(l.core.seen.reset_type, VFU_RESET_LOST_CONN);
        assert_int_equal(vu_test_open_fds(), before);
    }
    life_end(&l);
}

/* All that was sent before the end is served first. */
static void a_half_closed_connection_is_served_to_its_end(void **state)
{
    struct life l;
    size_t len;
    uint8_t *bytes = conversation(&len);
    int client;

    (void)state;
    life_begin(&l, NB);
    client = life_client(&l);
    client_send(client, bytes, len);
    shutdown(client, SHUT_WR);
    assert_run(&l, 7, 0);
    assert_run(&l, -1, ENOTCONN);
    assert_reply(client, 1, 0);
    close(client);
    life_end(&l);
}

static void impossible_sizes_end_the_connection(void **state)
{
    static const uint32_t sizes[] = { 0, 15, VUS_MAX_MESSAGE + 1, UINT32_MAX };
    struct life l;

    (void)state;
    life_begin(&l, NB);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint8_t bytes[3 * INFO_BYTES];
        uint8_t *bad = put_get_info(bytes, 1);
        int client = life_client(&l);
        int resets = l.core.seen.resets;

        put_get_info(put_get_info(bad, 2), 3);
        memcpy(bad + 4, &sizes[i], 4);
        client_send(client, bytes, sizeof(bytes));
        assert_run(&l, 1, 0);
        assert_reply(client, 1, 0);
        assert_reply(client, 2, EINVAL);
        assert_ended(client);       /* nothing behind it is taken for a message */
        assert_run(&l, -1, ENOTCONN);
        assert_int_equal(l.core.seen.resets, resets + 1);
        close(client);
    }
    life_end(&l);
}

/* The poll descriptor tells that there is something to do. */
static void a_broken_connection_wakes_the_server(void **state)
{
    uint8_t bytes[VU_HEADER_SIZE];
    struct pollfd p = { .events = POLLIN };
    struct life l;
    int client;

    (void)state;
    life_begin(&l, NB);
    client = life_client(&l);
    put_message(bytes, 1, 4, 0, NULL, 0);
    memset(bytes + 4, 0, 4);
    client_send(client, bytes, sizeof(bytes));
    assert_run(&l, 0, 0);
    p.fd = vfu_get_poll_fd(l.core.ctx);
    assert_int_equal(poll(&p, 1, 0), 1);
    assert_run(&l, -1, ENOTCONN);
    close(client);
    life_end(&l);
}

/* The messages count, the loss is the next call's news, and the device is reset
 * once. */
static void a_reply_that_cannot_be_sent_ends_the_connection(void **state)
{
    uint8_t info[INFO_BYTES];
    struct life l;
    int client;

    (void)state;
    life_begin(&l, NB);
    client = life_client(&l);
    put_get_info(info, 1);
    client_send(client, info, sizeof(info));
    close(client);
    assert_run(&l, 1, 0);
    assert_int_equal(l.core.seen.resets, 1);
    assert_run(&l, -1, ENOTCONN);
    assert_run(&l, -1, ENOTCONN);
    assert_int_equal(l.core.seen.resets, 1);
    client = client_connect(&l);
    life_attach(&l, client);
    client_send(client, info, sizeof(info));
    close(client);
    assert_run(&l, 1, 0);
    client = life_client(&l);       /* attaching is as good as the news */
    assert_run(&l, 0, 0);
    close(client);
    life_end(&l);
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A client that asks for more than its socket holds, and then does not read. */
static int begin_stalling(struct life *l)
{
    struct vu_region_access access = { .region = 4, .count = VUS_MAX_DATA_XFER };
    uint8_t body[VU_REGION_ACCESS_SIZE];
    uint8_t bytes[32];
    int client;

    life_begin(l, NB);
    add_large_region(l);
    client = life_client(l);
    ENCODE(region_access, &access, body);
    put_message(bytes, 1, VU_REGION_READ, 0, body, sizeof(body));
    client_send(client, bytes, sizeof(bytes));
    return client;
}

static void a_client_that_does_not_read_is_given_up(void **state)
{
    struct life l;
    int client = begin_stalling(&l);
    int64_t start = now_ms();

    (void)state;
    assert_run(&l, 1, 0);
    assert_in_range(now_ms() - start, 900, PATIENCE_MS);
    assert_run(&l, -1, ENOTCONN);
    assert_int_equal(l.core.seen.resets, 1);
    close(client);
    close(life_client(&l));     /* the next one is served */
    life_end(&l);
}

static int count_mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    int n = 0;
    int byte;

    assert_non_null(maps);
    while ((byte = fgetc(maps)) != EOF)
        n += byte == '\n';
    fclose(maps);
    return n;
}

static void thousand_clients_leave_nothing_behind(void **state)
{
    struct life l;
    int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int fds = 0, maps = 0;

    (void)state;
    life_begin(&l, NB);
    for (int i = 0; i < 1000; i++) {
        close(busy_client(&l, event));
        assert_run(&l, -1, ENOTCONN);
        if (i == 100) {
            fds = vu_test_open_fds();
            maps = count_mappings();
        }
    }
    assert_int_equal(vu_test_open_fds(), fds);
    assert_in_range(count_mappings(), maps - 8, maps + 8);   /* the allocator's own */
    assert_int_equal(l.core.seen.registers, 3000);
    assert_int_equal(l.core.seen.unregisters, 3000);
    life_end(&l);
    close(event);
}

/* -------------------------------------------------------------- quiesce -- */

static void begin_busy(struct life *l, int *client)
{
    life_begin(l, NB);
    *client = life_client(l);
    vfu_setup_device_quiesce_cb(l->core.ctx, core_quiesce);
    l->core.how.quiesce_errno = EBUSY;
}

static void busy_holds_back_what_follows(void **state)
{
    uint8_t bytes[3 * INFO_BYTES + 2 * MAP_BYTES];
    uint8_t *at = bytes;
    struct life l;
    int client;

    (void)state;
    begin_busy(&l, &client);
    at = put_get_info(at, 1);
    at = put_dma_map(at, 2, 0x1000);
    at = put_get_info(at, 3);
    at = put_dma_map(at, 4, 0x2000);
    put_get_info(at, 5);
    client_send(client, bytes, sizeof(bytes));
    assert_run(&l, -1, EBUSY);
    assert_reply(client, 1, 0);     /* what came before is answered */
    assert_silent(client);
    assert_run(&l, -1, EBUSY);
    assert_int_equal(l.core.seen.quiesces, 1);
    assert_int_equal(l.core.seen.registers, 0);

    assert_int_equal(vfu_device_quiesced(l.core.ctx, 0), 0);
    assert_int_equal(l.core.seen.registers, 1);
    assert_reply(client, 2, 0);
    assert_reply(client, 3, 0);
    assert_silent(client);          /* the second map waits again */
    assert_int_equal(l.core.seen.quiesces, 2);
    assert_run(&l, -1, EBUSY);

    l.core.how.quiesce_errno = 0;
    assert_int_equal(vfu_device_quiesced(l.core.ctx, 0), 0);
    assert_reply(client, 4, 0);
    assert_reply(client, 5, 0);
    assert_int_equal(l.core.seen.registers, 2);
    assert_run(&l, 0, 0);
    close(client);
    life_end(&l);
}

static void quiescing_that_fails_later_is_reported(void **state)
{
    uint8_t bytes[MAP_BYTES];
    struct life l;
    int client;

    (void)state;
    begin_busy(&l, &client);
    put_dma_map(bytes, 1, 0x1000);
    client_send(client, bytes, sizeof(bytes));
    assert_run(&l, -1, EBUSY);
    assert_int_equal(vfu_device_quiesced(l.core.ctx, EXDEV), 0);
    assert_reply(client, 1, EXDEV);
    assert_int_equal(l.core.seen.registers, 0);
    assert_run(&l, 0, 0);
    close(client);
    l.core.how.quiesce_errno = 0;
    life_end(&l);
}

static void a_refused_quiesce_is_not_dispatched(void **state)
{
    uint8_t bytes[MAP_BYTES];
    struct life l;
    int client;

    (void)state;
    begin_busy(&l, &client);
    l.core.how.quiesce_errno = EPERM;
    put_dma_map(bytes, 1, 0x1000);
    client_send(client, bytes, sizeof(bytes));
    assert_run(&l, 0, 0);
    assert_reply(client, 1, EPERM);
    close(client);
    life_end(&l);
}

static void a_lost_client_waits_for_the_device(void **state)
{
    struct life l;
    int client;

    (void)state;
    begin_busy(&l, &client);
    close(client);
    assert_run(&l, -1, EBUSY);
    assert_run(&l, -1, EBUSY);
    assert_int_equal(l.core.seen.quiesces, 1);
    assert_int_equal(l.core.seen.resets, 0);
    assert_int_equal(vfu_attach_ctx(l.core.ctx), -1);
    assert_int_equal(vfu_device_quiesced(l.core.ctx, 0), 0);
    assert_int_equal(l.core.seen.resets, 1);
    assert_run(&l, -1, ENOTCONN);
    assert_int_equal(l.core.seen.resets, 1);
    close(life_client(&l));
    l.core.how.quiesce_errno = 0;
    life_end(&l);
}

/* The device that could not quiesce for it is asked again. */
static void a_lost_client_asks_again_after_a_failure(void **state)
{
    uint8_t bytes[MAP_BYTES];
    struct life l;
    int client;

    (void)state;
    begin_busy(&l, &client);
    close(client);
    assert_run(&l, -1, EBUSY);
    assert_int_equal(vfu_device_quiesced(l.core.ctx, EIO), 0);
    assert_int_equal(l.core.seen.resets, 0);
    l.core.how.quiesce_errno = 0;
    assert_run(&l, -1, ENOTCONN);
    assert_int_equal(l.core.seen.quiesces, 2);
    assert_int_equal(l.core.seen.resets, 1);
    client = life_client(&l);
    put_dma_map(bytes, 1, 0x1000);
    client_send(client, bytes, sizeof(bytes));
    assert_run(&l, 1, 0);
    assert_int_equal(l.core.seen.quiesces, 3);  /* it was active in between */
    close(client);
    life_end(&l);
}

/* Once given up, a client does not come back by reading after all. */
static void a_client_that_was_given_up_stays_so(void **state)
{
    static uint8_t sink[65536];
    struct life l;
    int client = begin_stalling(&l);

    (void)state;
    vfu_setup_device_quiesce_cb(l.core.ctx, core_quiesce);
    l.core.how.quiesce_errno = EBUSY;
    assert_run(&l, -1, EBUSY);
    assert_true(recv(client, sink, sizeof(sink), 0) > 0);
    assert_int_equal(vfu_device_quiesced(l.core.ctx, EIO), 0);
    l.core.how.quiesce_errno = 0;
    assert_run(&l, -1, ENOTCONN);
    assert_int_equal(l.core.seen.quiesces, 2);
    assert_int_equal(l.core.seen.resets, 1);
    close(client);
    life_end(&l);
}

/* It may stay connected and say nothing: the caller has to be woken all the same. */
static void a_client_that_was_given_up_wakes_the_server(void **state)
{
    struct life l;
    int client = begin_stalling(&l);
    struct pollfd p;

    (void)state;
    vfu_setup_device_quiesce_cb(l.core.ctx, core_quiesce);
    l.core.how.quiesce_errno = EBUSY;
    assert_run(&l, -1, EBUSY);
    assert_int_equal(vfu_device_quiesced(l.core.ctx, EIO), 0);
    p = (struct pollfd){ .fd = vfu_get_poll_fd(l.core.ctx), .events = POLLIN };
    assert_int_equal(poll(&p, 1, 0), 1);
    l.core.how.quiesce_errno = 0;
    assert_run(&l, -1, ENOTCONN);
    close(client);
    life_end(&l);
}

/* Guest memory must not go while the device, which said that it cannot stop, uses it. */
static void a_late_refusal_is_not_taken_for_consent(void **state)
{
    uint8_t bytes[MAP_BYTES];
    struct life l;
    int client;

    (void)state;
    life_begin(&l, NB);
    client = life_client(&l);
    put_dma_map(bytes, 1, 0x1000);
    client_send(client, bytes, sizeof(bytes));
    assert_run(&l, 1, 0);
    vfu_setup_device_quiesce_cb(l.core.ctx, core_quiesce);
    l.core.how.quiesce_errno = EBUSY;
    put_dma_map(bytes, 2, 0x2000);
    client_send(client, bytes, sizeof(bytes));
    assert_run(&l, -1, EBUSY);
    close(client);
    assert_int_equal(vfu_device_quiesced(l.core.ctx, EIO), 0);  /* nobody takes that */
    assert_int_equal(l.core.seen.quiesces, 2);
    assert_int_equal(l.core.seen.unregisters, 0);
    l.core.how.quiesce_errno = 0;
    assert_int_equal(vfu_device_quiesced(l.core.ctx, 0), 0);
    assert_int_equal(l.core.seen.unregisters, 1);
    assert_run(&l, -1, ENOTCONN);
    life_end(&l);
}

/* A socket that is on its way to itself has no end of its own. */
static void a_client_that_sends_its_own_socket_is_seen_to_leave(void **state)
{
    struct life l;
    int client;

    (void)state;
    life_begin(&l, NB);
    client = life_client(&l);
    client_send_fds(client, "half", 4, &client, 1);
    assert_run(&l, 0, 0);
    close(client);
    assert_run(&l, -1, ENOTCONN);
    close(life_client(&l));
    life_end(&l);
}

/* The loss of a client cannot be refused: it is carried out all the same. */
static void a_device_cannot_refuse_the_loss_of_its_client(void **state)
{
    uint8_t bytes[MAP_BYTES];
    struct life l;
    int client;

    (void)state;
    begin_busy(&l, &client);
    l.core.how.quiesce_errno = EPERM;
    close(client);
    assert_run(&l, -1, ENOTCONN);
    assert_int_equal(l.core.seen.resets, 1);
    client = life_client(&l);       /* and the next one has a device to ask again */
    put_dma_map(bytes, 1, 0x1000);
    client_send(client, bytes, sizeof(bytes));
    assert_run(&l, 0, 0);
    assert_reply(client, 1, EPERM);
    assert_int_equal(l.core.seen.quiesces, 2);
    close(client);
    life_end(&l);
}

static void a_client_may_leave_while_its_command_waits(void **state)
{
    uint8_t bytes[MAP_BYTES + INFO_BYTES];
    struct life l;
    int client;

    (void)state;
    begin_busy(&l, &client);
    put_get_info(put_dma_map(bytes, 1, 0x1000), 2);
    client_send_fds(client, bytes, sizeof(bytes), &l.core.memory, 1);
    assert_run(&l, -1, EBUSY);
    close(client);
    assert_run(&l, -1, EBUSY);
    assert_int_equal(vfu_device_quiesced(l.core.ctx, 0), 0);
    assert_int_equal(l.core.seen.registers, 1);
    assert_int_equal(l.core.seen.unregisters, 1);
    assert_int_equal(l.core.seen.resets, 1);
    assert_int_equal(l.core.seen.quiesces, 1);      /* not asked twice */
    assert_run(&l, -1, ENOTCONN);
    close(life_client(&l));
    l.core.how.quiesce_errno = 0;
    life_end(&l);
}

static void a_failed_reply_waits_for_the_device_too(void **state)
{
    uint8_t info[INFO_BYTES];
    struct life l;
    int client;

    (void)state;
    begin_busy(&l, &client);
    put_get_info(info, 1);
    client_send(client, info, sizeof(info));
    close(client);
    assert_run(&l, -1, EBUSY);
    assert_int_equal(l.core.seen.resets, 0);
    assert_int_equal(vfu_device_quiesced(l.core.ctx, 0), 0);
    assert_int_equal(l.core.seen.resets, 1);
    assert_run(&l, -1, ENOTCONN);
    l.core.how.quiesce_errno = 0;
    life_end(&l);
}

static void destroy_works_while_a_command_waits(void **state)
{
    uint8_t bytes[MAP_BYTES];
    struct life l;
    int client;

    (void)state;
    begin_busy(&l, &client);
    put_dma_map(bytes, 1, 0x1000);
    client_send_fds(client, bytes, sizeof(bytes), &l.core.memory, 1);
    assert_run(&l, -1, EBUSY);
    vfu_destroy_ctx(l.core.ctx);
    l.core.ctx = NULL;
    assert_int_equal(l.core.seen.quiesces, 1);
    assert_ended(client);
    close(client);
    life_end(&l);
}

static void destroy_works_while_a_reset_waits(void **state)
{
    struct life l;
    int client;

    (void)state;
    begin_busy(&l, &client);
    close(client);
    assert_run(&l, -1, EBUSY);
    vfu_destroy_ctx(l.core.ctx);
    l.core.ctx = NULL;
    assert_int_equal(l.core.seen.resets, 1);
    life_end(&l);
}

/* From inside the callback the answer is the return value, nothing else. */
static int quiesced_inside;

static int quiesce_at_once(vfu_ctx_t *ctx)
{
    quiesced_inside = vfu_device_quiesced(ctx, 0);
    return 0;
}

static void quiesced_from_inside_the_callback_is_an_error(void **state)
{
    uint8_t bytes[MAP_BYTES];
    struct life l;
    int client;

    (void)state;
    life_begin(&l, NB);
    client = life_client(&l);
    vfu_setup_device_quiesce_cb(l.core.ctx, quiesce_at_once);
    put_dma_map(bytes, 1, 0x1000);
    client_send(client, bytes, sizeof(bytes));
    assert_run(&l, 1, 0);
    assert_int_equal(quiesced_inside, -1);
    assert_reply(client, 1, 0);
    close(client);
    life_end(&l);
}

/* Replies that are ready leave before the device is asked: by then the client
 * may hold one in its hands. */
static int replies_before_quiesce;
static int quiesce_client;

static int look_for_reply(vfu_ctx_t *ctx)
{
    struct pollfd p = { .fd = quiesce_client, .events = POLLIN };

    (void)ctx;
    replies_before_quiesce = poll(&p, 1, 0);
    return 0;
}

static void replies_leave_before_the_device_is_asked(void **state)
{
    uint8_t bytes[INFO_BYTES + MAP_BYTES];
    struct life l;

    (void)state;
    life_begin(&l, NB);
    quiesce_client = life_client(&l);
    vfu_setup_device_quiesce_cb(l.core.ctx, look_for_reply);
    put_dma_map(put_get_info(bytes, 1), 2, 0x1000);
    client_send(quiesce_client, bytes, sizeof(bytes));
    assert_run(&l, 2, 0);
    assert_int_equal(replies_before_quiesce, 1);
    assert_reply(quiesce_client, 1, 0);
    assert_reply(quiesce_client, 2, 0);
    vfu_setup_device_quiesce_cb(l.core.ctx, NULL);
    close(quiesce_client);
    life_end(&l);
}

/* ------------------------------------------------------------- blocking -- */

struct running {
    struct life *l;
    atomic_int interrupted;
    int last_errno;
};

static void *run_until_lost(void *arg)
{
    struct running *r = arg;

    do {
        if (vfu_run_ctx(r->l->core.ctx) != -1)
            abort();            /* cmocka's asserts belong to the main thread */
        r->last_errno = errno;
        if (r->last_errno == EINTR)
            atomic_fetch_add(&r->interrupted, 1);
    } while (r->last_errno == EINTR);
    return NULL;
}

static void on_signal(int number)
{
    (void)number;
}

/* Attached, with the server running on a thread. */
static int begin_running(struct life *l, struct running *r, pthread_t *thread)
{
    uint8_t version[VERSION_BYTES];
    int client;

    life_begin(l, 0);
    put_version(version);
    client = client_connect(l);
    client_send(client, version, sizeof(version));
    assert_int_equal(vfu_attach_ctx(l->core.ctx), 0);
    assert_reply(client, 1, 0);
    r->l = l;
    assert_int_equal(pthread_create(thread, NULL, run_until_lost, r), 0);
    return client;
}

static void blocking_run_serves_until_the_client_leaves(void **state)
{
    uint8_t info[INFO_BYTES];
    struct life l;
    struct running r = { 0 };
    pthread_t thread;
    int client = begin_running(&l, &r, &thread);

    (void)state;
    count_from_zero();
    for (uint16_t i = 0; i < 1000; i++) {
        put_get_info(info, i);
        assert_int_equal(send(client, info, sizeof(info), 0), sizeof(info));
        assert_reply(client, i, 0);
    }
    assert_int_equal(atomic_load(&sends), 1000);
    assert_in_range(atomic_load(&receives), 999, 1001);
    close(client);
    pthread_join(thread, NULL);
    assert_int_equal(r.last_errno, ENOTCONN);
    assert_int_equal(l.core.seen.resets, 1);
    life_end(&l);
}

static void blocking_run_lets_signals_through(void **state)
{
    struct sigaction action = { .sa_handler = on_signal };
    uint8_t info[INFO_BYTES];
    struct life l;
    struct running r = { 0 };
    pthread_t thread;
    int client = begin_running(&l, &r, &thread);

    (void)state;
    sigaction(SIGUSR1, &action, NULL);
    put_get_info(info, 1);
    for (int i = 0; i < 10; i++) {
        int before = atomic_load(&r.interrupted);

        while (atomic_load(&r.interrupted) == before) {
            pthread_kill(thread, SIGUSR1);
            sched_yield();
        }
        client_send(client, info, 7); /* a signal in mid-message loses nothing */
        pthread_kill(thread, SIGUSR1);
        client_send(client, info + 7, sizeof(info) - 7);
        assert_reply(client, 1, 0);
    }
    close(client);
    pthread_join(thread, NULL);
    assert_int_equal(r.last_errno, ENOTCONN);
    life_end(&l);
}

static void blocking_run_ends_on_a_broken_header(void **state)
{
    uint8_t bytes[VU_HEADER_SIZE];
    struct life l;
    struct running r = { 0 };
    pthread_t thread;
    int client = begin_running(&l, &r, &thread);

    (void)state;
    put_message(bytes, 1, 4, 0, NULL, 0);
    memset(bytes + 4, 0xff, 4);
    client_send(client, bytes, sizeof(bytes));
    assert_reply(client, 1, EINVAL);
    assert_ended(client);
    pthread_join(thread, NULL);
    assert_int_equal(r.last_errno, ENOTCONN);
    close(client);
    life_end(&l);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(ping_pong_takes_two_system_calls),
    VU_FD_TEST(pipelined_requests_share_their_system_calls),
    VU_FD_TEST(refused_messages_count_as_nothing),
    VU_FD_TEST(messages_may_be_cut_anywhere),
    VU_FD_TEST(messages_may_come_byte_by_byte),
    VU_FD_TEST(descriptors_of_regions_arrive),
    VU_FD_TEST(descriptors_nobody_wants_are_closed),
    VU_FD_TEST(a_write_of_one_mebibyte_arrives),
    VU_FD_TEST(a_lost_client_is_cleaned_up_in_order),
    VU_FD_TEST(destroy_cleans_up_without_asking),
    VU_FD_TEST(destroy_resets_even_without_a_client),
    VU_FD_TEST(a_client_may_leave_at_every_byte),
    VU_FD_TEST(a_half_closed_connection_is_served_to_its_end),
    VU_FD_TEST(impossible_sizes_end_the_connection),
    VU_FD_TEST(a_broken_connection_wakes_the_server),
    VU_FD_TEST(a_reply_that_cannot_be_sent_ends_the_connection),
    VU_FD_TEST(a_client_that_does_not_read_is_given_up),
    VU_FD_TEST(thousand_clients_leave_nothing_behind),
    VU_FD_TEST(busy_holds_back_what_follows),
    VU_FD_TEST(quiescing_that_fails_later_is_reported),
    VU_FD_TEST(a_refused_quiesce_is_not_dispatched),
    VU_FD_TEST(a_lost_client_waits_for_the_device),
    VU_FD_TEST(a_lost_client_asks_again_after_a_failure),
    VU_FD_TEST(a_client_that_was_given_up_stays_so),
    VU_FD_TEST(a_client_that_was_given_up_wakes_the_server),
    VU_FD_TEST(a_late_refusal_is_not_taken_for_consent),
    VU_FD_TEST(a_client_that_sends_its_own_socket_is_seen_to_leave),
    VU_FD_TEST(a_device_cannot_refuse_the_loss_of_its_client),
    VU_FD_TEST(a_client_may_leave_while_its_command_waits),
    VU_FD_TEST(a_failed_reply_waits_for_the_device_too),
    VU_FD_TEST(destroy_works_while_a_command_waits),
    VU_FD_TEST(destroy_works_while_a_reset_waits),
    VU_FD_TEST(quiesced_from_inside_the_callback_is_an_error),
    VU_FD_TEST(replies_leave_before_the_device_is_asked),
    VU_FD_TEST(blocking_run_serves_until_the_client_leaves),
    VU_FD_TEST(blocking_run_lets_signals_through),
    VU_FD_TEST(blocking_run_ends_on_a_broken_header),
};

VU_TEST_MAIN(tests)
