/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One device and one client, for the tests of the contract (docs/contract.md).
 *
 * The device uses the public functions alone and writes down its callbacks in
 * order; the client is a socket and raw bytes.
 *
 *   TEST(c2_6_a_reset_reaches_the_device)
 *   {
 *       struct device *d = device_up();                 attached, VERSION done
 *
 *       assert_int_equal(ask(d, VFIO_USER_DEVICE_RESET, NULL, 0), 0);
 *       assert_events(d, "reset:device");
 *       device_down(d);
 *   }
 *
 * ask() sends a command, runs the context and returns the errno of the reply,
 * whose body is then in d->reply. A set-up in steps: device_new(), set-up by the
 * test, device_realize(), device_attach().
 */
#ifndef VUS_TESTS_CHAPTER_H
#define VUS_TESTS_CHAPTER_H

#include "wire/tests/support.h"

#include "libvfio-user.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#define TEST(name) static void name(void **state __attribute__((unused)))

#define BAR0_SIZE   4096u
#define PAGE        4096u
#define PATIENCE_MS 20000   /* far beyond what a busy machine needs */
#define MAX_FDS     64u

struct reply {
    struct vfio_user_header h;
    size_t len;                 /* of the body */
    size_t n_fds;
    int fds[MAX_FDS];           /* closed by the next receive() */
    uint8_t body[(1u << 20) + 4096];
};

struct device;
typedef void hook(struct device *d, const char *event, const vfu_dma_info_t *info);

struct device {
    vfu_ctx_t *ctx;
    int client;                 /* owned, -1: none */
    uint16_t id;                /* of the last command */
    int ran;                    /* what vfu_run_ctx() returned for it */
    char dir[32];
    char path[64];
    char events[16384];         /* callbacks, in order */
    hook *in_callback;          /* called inside each of them, or NULL */
    void *aux;                  /* the test's own */
    uint8_t bar0[BAR0_SIZE];

    /* How callbacks answer. */
    int access_errno, reset_errno, quiesce_errno, transition_errno, data_errno;
    ssize_t access_short, data_short;
    vfu_migr_state_t fails_at;  /* transition_errno only there; -1: everywhere */
    uint8_t *stream;            /* what read_data() gives away; the test's */
    size_t stream_len;

    struct reply reply;
};

/* -------------------------------------------------------------- callbacks -- */

/* A word behind '!' came after the client could read something. */
static inline void note(struct device *d, const vfu_dma_info_t *info, const char *fmt,
                        ...)
{
    size_t at = strlen(d->events);
    char word[64], byte;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(word, sizeof(word), fmt, ap);
    va_end(ap);
    snprintf(d->events + at, sizeof(d->events) - at, "%s%s%s", at != 0 ? " " : "",
             recv(d->client, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1 ? "!" : "", word);
    if (d->in_callback != NULL)
        d->in_callback(d, word, info);
}

/* What the callbacks were since the last look. */
static inline void assert_events(struct device *d, const char *expected)
{
    assert_string_equal(d->events, expected);
    d->events[0] = '\0';
}

static inline ssize_t on_access(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                                bool is_write)
{
    struct device *d = vfu_get_private(ctx);

    note(d, NULL, "%s:%llx+%zx", is_write ? "write" : "read", (unsigned long long)offset,
         count);
    errno = d->access_errno;
    if (d->access_errno != 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        uint8_t *at = &d->bar0[((size_t)offset + i) % BAR0_SIZE];

        if (is_write)
            *at = (uint8_t)buf[i];
        else
            buf[i] = (char)*at;
    }
    return (ssize_t)count - d->access_short;
}

static inline int on_reset(vfu_ctx_t *ctx, vfu_reset_type_t type)
{
    static const char *const names[] = { "device", "lost", "flr" };
    struct device *d = vfu_get_private(ctx);

    note(d, NULL, "reset:%s", names[type]);
    errno = d->reset_errno;
    return d->reset_errno != 0 ? -1 : 0;
}

static inline int on_quiesce(vfu_ctx_t *ctx)
{
    struct device *d = vfu_get_private(ctx);

    note(d, NULL, "quiesce");
    errno = d->quiesce_errno;
    return d->quiesce_errno != 0 ? -1 : 0;
}

static inline void on_register(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    note(vfu_get_private(ctx), info, "register:%lx", (unsigned long)info->iova.iov_base);
}

static inline void on_unregister(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    note(vfu_get_private(ctx), info, "unregister:%lx",
         (unsigned long)info->iova.iov_base);
}

static inline void on_irq_state(vfu_ctx_t *ctx, uint32_t start, uint32_t count, bool mask)
{
    note(vfu_get_private(ctx), NULL, "%s:%u+%u", mask ? "mask" : "unmask", start, count);
}

static inline int on_transition(vfu_ctx_t *ctx, vfu_migr_state_t state)
{
    struct device *d = vfu_get_private(ctx);

    note(d, NULL, "state:%d", (int)state);
    if (d->transition_errno == 0 ||
        ((int)d->fails_at != -1 && d->fails_at != state))
        return 0;
    errno = d->transition_errno;
    return -1;
}

static inline ssize_t on_read_data(vfu_ctx_t *ctx, void *buf, uint64_t count)
{
    struct device *d = vfu_get_private(ctx);
    size_t n = d->stream_len < count ? d->stream_len : (size_t)count;

    note(d, NULL, "read_data:%llx", (unsigned long long)count);
    errno = d->data_errno;
    if (d->data_errno != 0)
        return -1;
    if (n == 0)
        return 0;
    memcpy(buf, d->stream, n);
    d->stream += n;
    d->stream_len -= n;
    return (ssize_t)n;
}

static inline ssize_t on_write_data(vfu_ctx_t *ctx, void *buf, uint64_t count)
{
    struct device *d = vfu_get_private(ctx);

    note(d, NULL, "write_data:%llx", (unsigned long long)count);
    memcpy(d->bar0, buf, count < BAR0_SIZE ? count : BAR0_SIZE);
    errno = d->data_errno;
    return d->data_errno != 0 ? -1 : (ssize_t)count - d->data_short;
}

/* ----------------------------------------------------------------- set-up -- */

#define NB LIBVFIO_USER_FLAG_ATTACH_NB

/* A context, and nothing set up. */
static inline struct device *device_new(int flags)
{
    struct device *d = calloc(1, sizeof(*d));

    assert_non_null(d);
    d->client = -1;
    d->fails_at = (vfu_migr_state_t)-1;
    strcpy(d->dir, "/tmp/vfu-test-XXXXXX");
    assert_non_null(mkdtemp(d->dir));
    snprintf(d->path, sizeof(d->path), "%s/socket", d->dir);
    d->ctx = vfu_create_ctx(VFU_TRANS_SOCK, d->path, flags, d, VFU_DEV_TYPE_PCI);
    assert_non_null(d->ctx);
    return d;
}

static inline void setup_bar0(struct device *d)
{
    assert_int_equal(vfu_setup_region(d->ctx, 0, BAR0_SIZE, on_access,
                                      VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM, NULL, 0,
                                      -1, 0), 0);
}

/* PCI Express, BAR0, DMA, reset, 1 INTx, 4 MSI, 8 MSI-X; no quiesce, no migration. */
static inline void setup_usual(struct device *d)
{
    assert_int_equal(vfu_pci_init(d->ctx, VFU_PCI_TYPE_EXPRESS, PCI_HEADER_TYPE_NORMAL,
                                  0), 0);
    setup_bar0(d);
    assert_int_equal(vfu_setup_device_nr_irqs(d->ctx, VFU_DEV_INTX_IRQ, 1), 0);
    assert_int_equal(vfu_setup_device_nr_irqs(d->ctx, VFU_DEV_MSI_IRQ, 4), 0);
    assert_int_equal(vfu_setup_device_nr_irqs(d->ctx, VFU_DEV_MSIX_IRQ, 8), 0);
    assert_int_equal(vfu_setup_device_reset_cb(d->ctx, on_reset), 0);
    assert_int_equal(vfu_setup_device_dma(d->ctx, 16, on_register, on_unregister), 0);
}

/* A PCI Express capability at 0x40, with or without function level reset. */
static inline void setup_express(struct device *d, bool flr)
{
    struct pxcap cap = { .hdr.id = PCI_CAP_ID_EXP, .pxcaps.ver = 2, .pxdcap.flrc = flr };

    assert_int_equal(vfu_pci_add_capability(d->ctx, 0, 0, &cap), 0x40);
}

static inline void device_realize(struct device *d)
{
    assert_int_equal(vfu_realize_ctx(d->ctx), 0);
}

/* -1: an object that is no socket of ours any more. */
static inline void client_close(struct device *d)
{
    if (d->client != -1)
        close(d->client);
    d->client = -1;
}

static inline void drop_reply_fds(struct device *d)
{
    for (size_t i = 0; i < d->reply.n_fds; i++)
        close(d->reply.fds[i]);
    d->reply.n_fds = 0;
}

static inline void device_down(struct device *d)
{
    vfu_destroy_ctx(d->ctx);    /* NULL if the test did it */
    client_close(d);
    drop_reply_fds(d);
    assert_int_equal(access(d->path, F_OK), -1);
    assert_int_equal(rmdir(d->dir), 0);
    free(d);
}

/* ----------------------------------------------------------- client: bytes -- */

static inline int client_connect(const struct device *d)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    strcpy(address.sun_path, d->path);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* Bytes that the socket takes now; the descriptors go with the first. */
static inline size_t send_some(int fd, const void *bytes, size_t len, const int *fds,
                               size_t n_fds)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(253 * sizeof(int))];
    } control = { 0 };
    struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = len };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t n;

    if (n_fds != 0) {
        struct cmsghdr *c = &control.align;

        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
    }
    n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    assert_true(n > 0 || (n < 0 && errno == EAGAIN));
    return n > 0 ? (size_t)n : 0;
}

/* All of it, in one piece as far as the socket lets us. */
static inline void send_bytes(struct device *d, const void *bytes, size_t len)
{
    assert_int_equal(send_some(d->client, bytes, len, NULL, 0), len);
}

/* The message goes to buf (room for 16 + len bytes): its length. */
static inline size_t put_command(uint8_t *buf, uint16_t id, uint16_t cmd, uint32_t flags,
                                 const void *body, size_t len)
{
    struct vfio_user_header h = {
        .msg_id = id, .cmd = cmd, .msg_size = (uint32_t)(sizeof(h) + len), .flags = flags,
    };

    memcpy(buf, &h, sizeof(h));
    if (len != 0)
        memcpy(buf + sizeof(h), body, len);
    return sizeof(h) + len;
}

/* A whole command with the next id. What the socket does not take at once is sent
 * while the context runs. */
static inline void post_fds(struct device *d, uint16_t cmd, uint32_t flags,
                            const void *body, size_t len, const int *fds, size_t n_fds)
{
    uint8_t *bytes = malloc(sizeof(struct vfio_user_header) + len);
    size_t left = put_command(bytes, ++d->id, cmd, flags, body, len);
    size_t at = send_some(d->client, bytes, left, fds, n_fds);

    while (at < left) {
        d->ran = vfu_run_ctx(d->ctx);
        assert_int_equal(d->ran, 0);
        at += send_some(d->client, bytes + at, left - at, NULL, 0);
    }
    free(bytes);
}

static inline void post(struct device *d, uint16_t cmd, const void *body, size_t len)
{
    post_fds(d, cmd, 0, body, len, NULL, 0);
}

/* Bytes that came before the stream ended or patience did. Descriptors are kept. */
static inline size_t client_read(struct device *d, void *buf, size_t len)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(MAX_FDS * sizeof(int))];
    } control;
    size_t got = 0;

    while (got < len) {
        struct iovec iov = { .iov_base = (uint8_t *)buf + got, .iov_len = len - got };
        struct msghdr msg = {
            .msg_iov = &iov, .msg_iovlen = 1,
            .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes),
        };
        struct pollfd p = { .fd = d->client, .events = POLLIN };
        struct cmsghdr *c;
        ssize_t n;

        if (poll(&p, 1, PATIENCE_MS) != 1)
            break;
        n = recvmsg(d->client, &msg, MSG_CMSG_CLOEXEC);
        if (n <= 0)
            break;
        got += (size_t)n;
        c = CMSG_FIRSTHDR(&msg);
        if (c != NULL) {
            size_t n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

            assert_true(d->reply.n_fds + n_fds <= MAX_FDS);
            memcpy(d->reply.fds + d->reply.n_fds, CMSG_DATA(c), n_fds * sizeof(int));
            d->reply.n_fds += n_fds;
        }
    }
    return got;
}

/* One message, whatever it is. */
static inline struct reply *receive(struct device *d)
{
    struct reply *r = &d->reply;

    drop_reply_fds(d);
    assert_int_equal(client_read(d, &r->h, sizeof(r->h)), sizeof(r->h));
    assert_in_range(r->h.msg_size, sizeof(r->h), sizeof(r->h) + sizeof(r->body));
    r->len = r->h.msg_size - sizeof(r->h);
    assert_int_equal(client_read(d, r->body, r->len), r->len);
    return r;
}

/* The reply to a command: its errno. Errors are a header and nothing else. */
static inline int receive_reply(struct device *d, uint16_t id, uint16_t cmd)
{
    struct reply *r = receive(d);

    assert_int_equal(r->h.msg_id, id);
    assert_int_equal(r->h.cmd, cmd);
    if (r->h.flags == VFIO_USER_F_TYPE_REPLY) {
        assert_int_equal(r->h.error_no, 0);
        return 0;
    }
    assert_int_equal(r->h.flags, VFIO_USER_F_TYPE_REPLY | VFIO_USER_F_ERROR);
    assert_int_not_equal(r->h.error_no, 0);
    assert_int_equal(r->len, 0);
    assert_int_equal(r->n_fds, 0);
    return (int)r->h.error_no;
}

/* Nothing is there to read, and the stream has not ended. */
static inline void assert_silent(const struct device *d)
{
    struct pollfd p = { .fd = d->client, .events = POLLIN };

    assert_int_equal(poll(&p, 1, 0), 0);
}

/* The stream has ended, with nothing more in it. */
static inline void assert_ended(const struct device *d)
{
    struct pollfd p = { .fd = d->client, .events = POLLIN };
    char byte;
    ssize_t n;

    assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
    n = recv(d->client, &byte, 1, MSG_DONTWAIT);
    assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
}

/* -------------------------------------------------------- client: commands -- */

static inline bool readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return poll(&p, 1, 0) == 1;
}

static inline int ask_fds(struct device *d, uint16_t cmd, const void *body, size_t len,
                          const int *fds, size_t n_fds)
{
    post_fds(d, cmd, 0, body, len, fds, n_fds);
    do {                        /* one read may not bring all of it */
        d->ran = vfu_run_ctx(d->ctx);
        assert_true(d->ran >= 0);
    } while (d->ran == 0 && readable(vfu_get_poll_fd(d->ctx)));
    return receive_reply(d, d->id, cmd);
}

/* Send, run, receive: the errno of the reply, 0 for success. */
static inline int ask(struct device *d, uint16_t cmd, const void *body, size_t len)
{
    return ask_fds(d, cmd, body, len, NULL, 0);
}

/* Run, and say how it went: what it returned, or the errno as a negative number. */
static inline int run(struct device *d)
{
    int ret = vfu_run_ctx(d->ctx);

    assert_true(ret >= -1);
    return ret >= 0 ? ret : -errno;
}

#define VERSION_BYTES 20u

/* VERSION without JSON. */
static inline size_t put_version(uint8_t buf[VERSION_BYTES])
{
    static const uint8_t body[4] = { 0, 0, 1, 0 };

    return put_command(buf, 1, VFIO_USER_VERSION, 0, body, sizeof(body));
}

/* Send VERSION with JSON and its NUL (NULL: none) on a fresh connection. */
static inline void post_version(struct device *d, uint16_t major, uint16_t minor,
                                const char *json)
{
    size_t len = json != NULL ? strlen(json) + 1 : 0;
    uint8_t body[8192];

    assert_true(len + 4 <= sizeof(body));
    memcpy(body, &major, 2);
    memcpy(body + 2, &minor, 2);
    if (json != NULL)
        memcpy(body + 4, json, len);
    if (d->client == -1)
        d->client = client_connect(d);
    post(d, VFIO_USER_VERSION, body, 4 + len);
}

/* The errno of the reply; after it the client is attached or the stream has ended. */
static inline int negotiate(struct device *d, uint16_t major, uint16_t minor,
                            const char *json)
{
    int ret, err;

    post_version(d, major, minor, json);
    ret = vfu_attach_ctx(d->ctx);
    err = receive_reply(d, d->id, VFIO_USER_VERSION);
    assert_int_equal(ret, err != 0 ? -1 : 0);
    return err;
}

static inline void device_attach_with(struct device *d, const char *json)
{
    assert_int_equal(negotiate(d, 0, 1, json), 0);
}

static inline void device_attach(struct device *d)
{
    device_attach_with(d, NULL);
}

/* The usual device with its client. */
static inline struct device *device_up(void)
{
    struct device *d = device_new(NB);

    setup_usual(d);
    device_realize(d);
    device_attach(d);
    return d;
}

/* The same with a quiesce callback. */
static inline struct device *device_up_quiescing(void)
{
    struct device *d = device_up();

    vfu_setup_device_quiesce_cb(d->ctx, on_quiesce);
    return d;
}

/* The client leaves, and the context notices. */
static inline void device_detach(struct device *d)
{
    client_close(d);
    assert_int_equal(run(d), -ENOTCONN);
}

static inline int region_read(struct device *d, uint32_t region, uint64_t offset,
                              uint32_t count)
{
    struct vfio_user_region_access a = {
        .offset = offset, .region = region, .count = count,
    };
    int err = ask(d, VFIO_USER_REGION_READ, &a, sizeof(a));

    if (err == 0) {
        assert_int_equal(d->reply.len, sizeof(a) + count);
        assert_memory_equal(d->reply.body, &a, sizeof(a));
    }
    return err;
}

static inline int region_write(struct device *d, uint32_t region, uint64_t offset,
                               const void *data, uint32_t count)
{
    struct vfio_user_region_access a = {
        .offset = offset, .region = region, .count = count,
    };
    uint8_t *body = malloc(sizeof(a) + count);
    int err;

    memcpy(body, &a, sizeof(a));
    if (count != 0)
        memcpy(body + sizeof(a), data, count);
    err = ask(d, VFIO_USER_REGION_WRITE, body, sizeof(a) + count);
    free(body);
    if (err == 0) {
        assert_int_equal(d->reply.len, sizeof(a));
        assert_memory_equal(d->reply.body, &a, sizeof(a));
    }
    return err;
}

/* What a register of configuration space holds: 1, 2 or 4 bytes. */
static inline uint32_t config_read(struct device *d, uint64_t offset, uint32_t count)
{
    uint32_t value = 0;

    assert_int_equal(region_read(d, VFU_PCI_DEV_CFG_REGION_IDX, offset, count), 0);
    memcpy(&value, d->reply.body + sizeof(struct vfio_user_region_access), count);
    return value;
}

static inline int config_write(struct device *d, uint64_t offset, uint32_t value,
                               uint32_t count)
{
    return region_write(d, VFU_PCI_DEV_CFG_REGION_IDX, offset, &value, count);
}

#define RW (VFIO_USER_F_DMA_REGION_READ | VFIO_USER_F_DMA_REGION_WRITE)

/* fd -1: none; it stays the caller's. */
static inline int dma_map_at(struct device *d, uint64_t addr, uint64_t size,
                             uint32_t flags, int fd, uint64_t offset)
{
    struct vfio_user_dma_map m = {
        .argsz = sizeof(m), .flags = flags, .offset = offset, .addr = addr, .size = size,
    };
    int err = ask_fds(d, VFIO_USER_DMA_MAP, &m, sizeof(m), &fd, fd != -1 ? 1 : 0);

    if (err == 0)
        assert_int_equal(d->reply.len, 0);
    return err;
}

static inline int dma_map(struct device *d, uint64_t addr, uint64_t size, int fd)
{
    return dma_map_at(d, addr, size, RW, fd, 0);
}

static inline int dma_unmap(struct device *d, uint64_t addr, uint64_t size,
                            uint32_t flags)
{
    struct vfio_user_dma_unmap m = {
        .argsz = sizeof(m), .flags = flags, .addr = addr, .size = size,
    };
    int err = ask(d, VFIO_USER_DMA_UNMAP, &m, sizeof(m));

    if (err == 0) {
        assert_int_equal(d->reply.len, sizeof(m));
        assert_memory_equal(d->reply.body, &m, sizeof(m));
    }
    return err;
}

/* GET_DIRTY_BITMAP; bytes: of the bitmap. */
static inline int dma_unmap_bitmap(struct device *d, uint64_t addr, uint64_t size,
                                   uint64_t page_size, uint64_t bytes, uint32_t argsz)
{
    struct vfio_user_dma_unmap m = {
        .argsz = argsz, .flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, .addr = addr,
        .size = size,
    };
    struct vfio_user_bitmap b = { .pgsize = page_size, .size = bytes };
    uint8_t body[sizeof(m) + sizeof(b)];

    memcpy(body, &m, sizeof(m));
    memcpy(body + sizeof(m), &b, sizeof(b));
    return ask(d, VFIO_USER_DMA_UNMAP, body, sizeof(body));
}

static inline int set_irqs(struct device *d, uint32_t flags, uint32_t index,
                           uint32_t start, uint32_t count, const int *fds, size_t n_fds)
{
    struct vfio_irq_set s = {
        .argsz = sizeof(s), .flags = flags, .index = index, .start = start,
        .count = count,
    };
    int err = ask_fds(d, VFIO_USER_DEVICE_SET_IRQS, &s, sizeof(s), fds, n_fds);

    if (err == 0)
        assert_int_equal(d->reply.len, 0);
    return err;
}

/* flags: the action alone. */
static inline int set_irqs_bool(struct device *d, uint32_t flags, uint32_t index,
                                uint32_t start, const uint8_t *bytes, uint32_t count)
{
    struct vfio_irq_set s = {
        .argsz = sizeof(s) + count, .flags = flags | VFIO_IRQ_SET_DATA_BOOL,
        .index = index, .start = start, .count = count,
    };
    uint8_t body[sizeof(s) + 64];

    assert_true(count <= 64);
    memcpy(body, &s, sizeof(s));
    memcpy(body + sizeof(s), bytes, count);
    return ask(d, VFIO_USER_DEVICE_SET_IRQS, body, sizeof(s) + count);
}

#define TRIGGER_NONE \
    (VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_NONE)
#define TRIGGER_EVENTFD \
    (VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_EVENTFD)

static inline int new_eventfd(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    assert_true(fd >= 0);
    return fd;
}

/* How often it was signalled since the last look. */
static inline uint64_t signals(int fd)
{
    uint64_t n = 0;

    return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static inline int new_memory(size_t size)
{
    int fd = memfd_create("test", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    return fd;
}

/* The region info, up to argsz bytes of it; further bytes are in d->reply. */
static inline struct vfio_region_info region_info(struct device *d, uint32_t index,
                                                  uint32_t argsz)
{
    struct vfio_region_info info = { .argsz = argsz, .index = index };

    assert_int_equal(ask(d, VFIO_USER_DEVICE_GET_REGION_INFO, &info, sizeof(info)), 0);
    assert_true(d->reply.len >= sizeof(info));
    memcpy(&info, d->reply.body, sizeof(info));
    return info;
}

/* ---------------------------------------------- DEVICE_FEATURE, migration -- */

static inline void setup_migration(struct device *d)
{
    static const vfu_migration_callbacks_t callbacks = {
        .version = VFU_MIGR_CALLBACKS_VERS,
        .transition = on_transition,
        .read_data = on_read_data,
        .write_data = on_write_data,
    };

    assert_int_equal(vfu_setup_device_migration_callbacks(d->ctx, &callbacks), 0);
}

/* flags: index and operation. The reply's body has the 8 bytes and data. */
static inline int feature(struct device *d, uint32_t argsz, uint32_t flags,
                          const void *data, size_t len)
{
    struct vfio_user_device_feature f = { .argsz = argsz, .flags = flags };
    uint8_t body[1024];

    assert_true(sizeof(f) + len <= sizeof(body));
    memcpy(body, &f, sizeof(f));
    if (len != 0)
        memcpy(body + sizeof(f), data, len);
    return ask(d, VFIO_USER_DEVICE_FEATURE, body, sizeof(f) + len);
}

#define FEATURE_GET(name)   (VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_##name)
#define FEATURE_SET(name)   (VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_##name)
#define FEATURE_PROBE(name) (VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_##name)

/* The client asks for a state: VFIO_USER_DEVICE_STATE_*. */
static inline int migrate(struct device *d, uint32_t state)
{
    struct vfio_user_device_feature_mig_state s = { .device_state = state };

    return feature(d, 8 + sizeof(s), FEATURE_SET(MIG_DEVICE_STATE), &s, sizeof(s));
}

static inline uint32_t migration_state(struct device *d)
{
    struct vfio_user_device_feature_mig_state s;

    assert_int_equal(feature(d, 8 + sizeof(s), FEATURE_GET(MIG_DEVICE_STATE), NULL, 0),
                     0);
    assert_int_equal(d->reply.len, 8 + sizeof(s));
    memcpy(&s, d->reply.body + 8, sizeof(s));
    return s.device_state;
}

/* Start logging; n ranges, 0: everything. */
static inline int
start_logging(struct device *d, uint64_t page_size,
              const struct vfio_user_device_feature_dma_logging_range *ranges, uint32_t n)
{
    struct vfio_user_device_feature_dma_logging_control c = {
        .page_size = page_size, .num_ranges = n,
    };
    uint8_t data[512];
    size_t len = sizeof(c) + n * sizeof(*ranges);

    assert_true(len <= sizeof(data));
    memcpy(data, &c, sizeof(c));
    if (n != 0)
        memcpy(data + sizeof(c), ranges, n * sizeof(*ranges));
    return feature(d, (uint32_t)(8 + len), FEATURE_SET(DMA_LOGGING_START), data, len);
}

/* The usual device, which can be moved. */
static inline struct device *device_up_migrating(void)
{
    struct device *d = device_new(NB);

    setup_usual(d);
    setup_migration(d);
    device_realize(d);
    device_attach(d);
    return d;
}

#endif
