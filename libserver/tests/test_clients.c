/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Real clients attach: what they send, byte for byte, and what they get.
 *
 * traces/NAME.trace holds one session, a line per message:
 *
 *   > ID COMMAND FLAGS [+FDS] BODY...     the client sends; lines without an answer between
 *                                         them are sent before the server runs
 *   < ID COMMAND FLAGS [+FDS] BODY...     the answer: nothing more, nothing less
 *   device NAME                           which of the devices below is served
 *   close                                 the client leaves; the last line
 *
 * BODY is a list of WIDTH:VALUE (an integer of so many bytes), x:HEX, z:N (zeros), 'text' (with
 * its NUL), and in answers ?:N (any bytes), '...* and * (any text from here on, which ends in a
 * NUL). FLAGS are those of the header in hexadecimal.
 *
 * The server is driven as users do: poll the descriptor, call once per event.
 */
#include "wire/tests/support.h"

#include "libvfio-user.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "wire/channel.h"
#include "wire/command.h"
#include "wire/messages.h"

#define BAR_SIZE    0x10000
#define PATIENCE_MS 20000
#define MAX_FDS     64
#define MAX_MESSAGE 65536

/* ------------------------------------------------------------------- devices -- */

struct device {
    vfu_ctx_t *ctx;
    char dir[32], path[64];
    int memory;             /* behind the mappable BAR */
    int resets;
    uint8_t bar[BAR_SIZE];
};

static ssize_t on_bar(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset, bool is_write)
{
    struct device *d = vfu_get_private(ctx);

    if (is_write)
        memcpy(d->bar + offset, buf, count);
    else
        memcpy(buf, d->bar + offset, count);
    return (ssize_t)count;
}

static int on_reset(vfu_ctx_t *ctx, vfu_reset_type_t type)
{
    struct device *d = vfu_get_private(ctx);

    if (type != VFU_RESET_LOST_CONN)
        d->resets++;
    return 0;
}

static void on_window(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    (void)ctx;
    assert_true(info->vaddr == NULL || info->mapping.iov_len >= info->iova.iov_len);
}

static void set_region(struct device *d, int index, size_t size, int flags,
                       struct iovec *areas, uint32_t n_areas, int fd, uint64_t offset)
{
    assert_int_equal(vfu_setup_region(d->ctx, index, size, on_bar, flags, areas, n_areas, fd,
                                      offset), 0);
}

/* A digital I/O card: registers in an I/O BAR, INTx. */
static void set_up_gpio(struct device *d)
{
    assert_int_equal(vfu_pci_init(d->ctx, VFU_PCI_TYPE_CONVENTIONAL,
                                  PCI_HEADER_TYPE_NORMAL, 0), 0);
    vfu_pci_set_id(d->ctx, 0x494f, 0x0dc8, 0, 0);
    set_region(d, VFU_PCI_DEV_BAR2_REGION_IDX, 256, VFU_REGION_FLAG_RW, NULL, 0, -1, 0);
    assert_int_equal(vfu_setup_device_nr_irqs(d->ctx, VFU_DEV_INTX_IRQ, 1), 0);
}

static void add_caps(struct device *d, uint16_t vectors)
{
    struct pmcap pm = { .hdr.id = PCI_CAP_ID_PM };
    struct pxcap px = { .hdr.id = PCI_CAP_ID_EXP, .pxdcap = { .flrc = 1 } };
    struct msixcap msix = { .hdr.id = PCI_CAP_ID_MSIX };

    msix.mxc.ts = (vectors - 1) & 0x7ff;
    msix.mtab.tbir = VFU_PCI_DEV_BAR4_REGION_IDX;
    assert_int_equal(vfu_pci_add_capability(d->ctx, 0, 0, &pm), 0x40);
    assert_int_equal(vfu_pci_add_capability(d->ctx, 0, 0, &px), 0x48);
    assert_int_equal(vfu_pci_add_capability(d->ctx, 0, 0, &msix), 0x84);
}

static void set_up_express(struct device *d, uint16_t vectors)
{
    assert_int_equal(vfu_pci_init(d->ctx, VFU_PCI_TYPE_EXPRESS, PCI_HEADER_TYPE_NORMAL, 0),
                     0);
    vfu_pci_set_id(d->ctx, 0x1b36, 0x0010, 0, 0);
    add_caps(d, vectors);
    assert_int_equal(vfu_setup_device_nr_irqs(d->ctx, VFU_DEV_INTX_IRQ, 1), 0);
    assert_int_equal(vfu_setup_device_nr_irqs(d->ctx, VFU_DEV_MSIX_IRQ, vectors), 0);
}

/* A storage controller: trapped memory BAR, MSI-X, function level reset. */
static void set_up_nvme(struct device *d)
{
    const int flags = VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM;

    set_up_express(d, 4);
    set_region(d, VFU_PCI_DEV_BAR0_REGION_IDX, 0x4000, flags | VFU_REGION_FLAG_64_BITS, NULL,
               0, -1, 0);
    set_region(d, VFU_PCI_DEV_BAR4_REGION_IDX, 0x2000, flags, NULL, 0, -1, 0);
}

/* Many vectors, and a BAR of which two parts can be mapped. */
static void set_up_vectors(struct device *d)
{
    struct iovec areas[] = {
        { (void *)0x1000, 0x1000 },
        { (void *)0x8000, 0x4000 },
    };

    set_up_express(d, 64);
    set_region(d, VFU_PCI_DEV_BAR0_REGION_IDX, BAR_SIZE,
               VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM, areas, 2, d->memory, 0x4000);
}

static const struct {
    const char *name;
    void (*set_up)(struct device *d);
} devices[] = {
    { "gpio", set_up_gpio },
    { "nvme", set_up_nvme },
    { "vectors", set_up_vectors },
};

static int new_memory(size_t size)
{
    int fd = memfd_create("trace", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    return fd;
}

static void device_begin(struct device *d, const char *name)
{
    size_t i = 0;

    memset(d, 0, sizeof(*d));
    strcpy(d->dir, "/tmp/vfu-trace-XXXXXX");
    assert_non_null(mkdtemp(d->dir));
    snprintf(d->path, sizeof(d->path), "%s/socket", d->dir);
    d->memory = new_memory(0x4000 + BAR_SIZE);
    d->ctx = vfu_create_ctx(VFU_TRANS_SOCK, d->path, LIBVFIO_USER_FLAG_ATTACH_NB, d,
                            VFU_DEV_TYPE_PCI);
    assert_non_null(d->ctx);
    while (i < sizeof(devices) / sizeof(devices[0]) && strcmp(devices[i].name, name) != 0)
        i++;
    assert_true(i < sizeof(devices) / sizeof(devices[0]));
    devices[i].set_up(d);
    assert_int_equal(vfu_setup_device_dma(d->ctx, on_window, on_window), 0);
    assert_int_equal(vfu_setup_device_reset_cb(d->ctx, on_reset), 0);
    assert_int_equal(vfu_realize_ctx(d->ctx), 0);
}

static void device_end(struct device *d)
{
    vfu_destroy_ctx(d->ctx);
    close(d->memory);
    assert_int_equal(rmdir(d->dir), 0);
}

/* --------------------------------------------------------------------- lines -- */

/* One line of a trace. In `any` are the bytes of an answer that may be anything. */
struct line {
    uint16_t id, command;
    uint32_t flags;
    size_t n_fds, len;
    bool open_end;          /* any text follows */
    uint8_t body[MAX_MESSAGE];
    uint8_t any[MAX_MESSAGE];
};

static uint16_t command_by_name(const char *name)
{
    for (uint16_t c = 0; c < VU_COMMAND_MAX; c++) {
        if (vu_command_info(c) != NULL && strcmp(vu_command_info(c)->name, name) == 0)
            return c;
    }
    fail_msg("no command %s", name);
    return 0;
}

static void put(struct line *l, const void *bytes, size_t len)
{
    assert_true(l->len + len <= MAX_MESSAGE);
    if (bytes != NULL)
        memcpy(l->body + l->len, bytes, len);
    l->len += len;
}

static void put_hex(struct line *l, const char *hex)
{
    for (; *hex != '\0'; hex += 2) {
        char digits[3] = { hex[0], hex[1], '\0' };
        char *end;
        uint8_t byte = (uint8_t)strtoul(digits, &end, 16);

        assert_true(*end == '\0' && end != digits);
        put(l, &byte, 1);
    }
}

/* Reads 'text' or 'text*; returns what follows. */
static char *put_text(struct line *l, char *at)
{
    char *end = at + strcspn(at, "'*");

    assert_true(*end != '\0');
    put(l, at, (size_t)(end - at));
    l->open_end = *end == '*';
    if (!l->open_end)
        put(l, "", 1);
    return end + 1;
}

static void put_token(struct line *l, const char *token)
{
    const char *value = strchr(token, ':');
    uint64_t n;

    if (strcmp(token, "*") == 0) {
        l->open_end = true;
        return;
    }
    assert_non_null(value);
    value++;
    n = strtoull(value, NULL, 0);
    switch (token[0]) {
    case 'x':
        put_hex(l, value);
        break;
    case '?':
        assert_true(l->len + n <= MAX_MESSAGE);
        memset(l->any + l->len, 1, n);
        /* fall through */
    case 'z':
        put(l, NULL, n);
        break;
    default:
        assert_in_range(token[0], '1', '8');
        put(l, &n, (size_t)(token[0] - '0'));   /* host order, and tests run on such hosts */
    }
}

static void parse(char *text, struct line *l)
{
    char *save;
    char *at;

    memset(l, 0, sizeof(*l));
    l->id = (uint16_t)atoi(strtok_r(text, " ", &save));
    l->command = command_by_name(strtok_r(NULL, " ", &save));
    l->flags = (uint32_t)strtoul(strtok_r(NULL, " ", &save), NULL, 16);
    for (at = save; at != NULL && *at != '\0';) {
        size_t len = strcspn(at, " ");

        if (*at == ' ') {
            at++;
        } else if (*at == '\'') {
            at = put_text(l, at + 1);
        } else {
            char *next = at[len] == '\0' ? at + len : at + len + 1;

            at[len] = '\0';
            if (*at == '+')
                l->n_fds = (size_t)atoi(at + 1);
            else
                put_token(l, at);
            at = next;
        }
    }
}

/* -------------------------------------------------------------------- client -- */

struct session {
    struct device device;
    const char *name;
    int number;             /* of the line at hand */
    int fd;                 /* the client's socket */
};

static int client_connect(struct session *s)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    strcpy(address.sun_path, s->device.path);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* Memory for DMA, eventfds for interrupts, as large as the largest of the traces asks. */
static int new_fd(uint16_t command)
{
    int fd = command == VU_DEVICE_SET_IRQS ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
                                           : new_memory(0x20000000);

    assert_true(fd >= 0);
    return fd;
}

static void client_send(struct session *s, const struct line *l)
{
    static uint8_t bytes[VU_HEADER_SIZE + MAX_MESSAGE];
    struct vu_header h = {
        .msg_id = l->id,
        .command = l->command,
        .size = (uint32_t)(VU_HEADER_SIZE + l->len),
        .flags = l->flags,
    };
    struct vu_writer w = vu_writer(bytes, VU_HEADER_SIZE);
    struct iovec iov = { .iov_base = bytes, .iov_len = h.size };
    int fds[MAX_FDS];

    assert_int_equal(vu_encode_header(&w, &h), 0);
    memcpy(bytes + VU_HEADER_SIZE, l->body, l->len);
    for (size_t i = 0; i < l->n_fds; i++)
        fds[i] = new_fd(l->command);
    assert_int_equal(vu_socket_send(s->fd, &iov, 1, fds, l->n_fds), h.size);
    for (size_t i = 0; i < l->n_fds; i++)
        close(fds[i]);
}

/* The server runs for as long as there is something for it to do. */
static void serve(struct session *s)
{
    vfu_ctx_t *ctx = s->device.ctx;

    for (;;) {
        struct pollfd p = { .fd = vfu_get_poll_fd(ctx), .events = POLLIN };

        if (poll(&p, 1, 0) != 1)
            return;
        if (vfu_attach_ctx(ctx) == 0 || errno == EAGAIN)
            continue;
        if (vfu_run_ctx(ctx) < 0)
            fail_msg("%s:%d: errno %d", s->name, s->number, errno);
    }
}

static size_t read_exactly(struct session *s, uint8_t *buf, size_t len, size_t *n_fds)
{
    size_t got = 0;

    while (got < len) {
        struct pollfd p = { .fd = s->fd, .events = POLLIN };
        int fds[MAX_FDS];
        size_t n = MAX_FDS;
        bool lost = false;
        int64_t bytes;

        if (poll(&p, 1, PATIENCE_MS) != 1)
            break;
        bytes = vu_socket_recv(s->fd, buf + got, len - got, fds, &n, &lost);
        if (bytes <= 0)
            break;
        got += (size_t)bytes;
        *n_fds += n;
        while (n > 0)
            close(fds[--n]);
    }
    return got;
}

static void compare(const struct session *s, const struct line *l, const uint8_t *body,
                    size_t len)
{
    if (l->open_end ? len <= l->len || body[len - 1] != '\0' : len != l->len)
        fail_msg("%s:%d: the body has %zu bytes, not %zu", s->name, s->number, len, l->len);
    for (size_t i = 0; i < l->len; i++) {
        if (!l->any[i] && body[i] != l->body[i])
            fail_msg("%s:%d: byte %zu of the body is %#x, not %#x", s->name, s->number, i,
                     body[i], l->body[i]);
    }
}

static void expect(struct session *s, const struct line *l)
{
    static uint8_t bytes[VU_HEADER_SIZE + MAX_MESSAGE];
    struct vu_reader r = vu_reader(bytes, VU_HEADER_SIZE);
    struct vu_header h;
    size_t n_fds = 0;

    if (read_exactly(s, bytes, VU_HEADER_SIZE, &n_fds) != VU_HEADER_SIZE)
        fail_msg("%s:%d: no answer", s->name, s->number);
    assert_int_equal(vu_decode_header(&r, &h), 0);
    if (h.msg_id != l->id || h.command != l->command || h.flags != l->flags || h.error != 0)
        fail_msg("%s:%d: id %u, command %u, flags %#x, error %u", s->name, s->number,
                 h.msg_id, h.command, h.flags, h.error);
    assert_in_range(h.size, VU_HEADER_SIZE, sizeof(bytes));
    h.size -= VU_HEADER_SIZE;
    assert_int_equal(read_exactly(s, bytes, h.size, &n_fds), h.size);
    compare(s, l, bytes, h.size);
    if (n_fds != l->n_fds)
        fail_msg("%s:%d: %zu descriptors, not %zu", s->name, s->number, n_fds, l->n_fds);
}

static void leave(struct session *s)
{
    char byte;

    assert_int_equal(recv(s->fd, &byte, 1, MSG_DONTWAIT), -1);  /* all has been read */
    close(s->fd);
    s->fd = -1;
    assert_int_equal(vfu_run_ctx(s->device.ctx), -1);
    assert_int_equal(errno, ENOTCONN);
}

/* Play one line. False: it was the last. */
static bool play(struct session *s, char *text)
{
    static struct line l;

    text[strcspn(text, "\n")] = '\0';
    if (text[0] == '#' || text[0] == '\0')
        return true;
    if (strncmp(text, "device ", 7) == 0) {
        device_begin(&s->device, text + 7);
        s->fd = client_connect(s);
        return true;
    }
    if (strcmp(text, "close") == 0) {
        leave(s);
        return false;
    }
    parse(text + 2, &l);
    if (text[0] == '>') {
        client_send(s, &l);
        return true;
    }
    serve(s);
    expect(s, &l);
    return true;
}

static void replay(const char *name)
{
    static struct session s;
    char path[512];
    char text[4096];
    FILE *trace;
    bool more = true;

    snprintf(path, sizeof(path), TRACES "/%s.trace", name);
    trace = fopen(path, "re");
    assert_non_null(trace);
    s = (struct session){ .name = name, .fd = -1 };
    while (more && fgets(text, sizeof(text), trace) != NULL) {
        s.number++;
        more = play(&s, text);
    }
    assert_false(more);
    fclose(trace);
    device_end(&s.device);
}

static void qemu_attaches_to_a_device_with_intx(void **state)
{
    (void)state;
    replay("qemu-11.1-gpio");
}

static void qemu_attaches_to_a_device_with_msix_and_flr(void **state)
{
    (void)state;
    replay("qemu-11.1-nvme");
}

static void cloud_hypervisor_attaches(void **state)
{
    (void)state;
    replay("cloud-hypervisor");
}

static void cloud_hypervisor_sends_16_descriptors_and_asks_regions_twice(void **state)
{
    (void)state;
    replay("cloud-hypervisor-vectors");
}

static void spdk_host_attaches_with_padded_requests_and_constant_ids(void **state)
{
    (void)state;
    replay("spdk-host");
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(qemu_attaches_to_a_device_with_intx),
    VU_FD_TEST(qemu_attaches_to_a_device_with_msix_and_flr),
    VU_FD_TEST(cloud_hypervisor_attaches),
    VU_FD_TEST(cloud_hypervisor_sends_16_descriptors_and_asks_regions_twice),
    VU_FD_TEST(spdk_host_attaches_with_padded_requests_and_constant_ids),
};

VU_TEST_MAIN(tests)
