/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random sessions: clients that send anything, in any order, and leave at any moment.
 *
 * The device has every part: trapped, mappable and read-only regions, ROM, capabilities,
 * interrupts of every type, DMA, migration, quiesce that is sometimes late or fails, callbacks
 * that use guest memory. Messages are legal ones, legal ones with a few bytes changed, with a
 * wrong length, with the wrong descriptors, or bytes alone. What must hold whatever comes:
 * replies parse and obey the header's rules, in order of the commands that want one; an honest
 * client is served right afterwards; descriptors and mappings are given back.
 *
 * VU_SEED=N in the environment repeats a run; a failure prints it.
 */
#include "libserver/tests/life.h"

#include <time.h>

#include "wire/command.h"

#define SESSIONS     2000
#define MESSAGES     120    /* at most, in a session */
#define LONGEST      4200
#define WINDOW_BASES 8

/* ---------------------------------------------------------------- randomness -- */

/* xorshift64*: the same numbers everywhere. */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dULL;
}

static uint64_t below(uint64_t *state, uint64_t n)
{
    return (next_random(state) >> 16) % n;
}

static bool one_in(uint64_t *state, uint64_t n)
{
    return below(state, n) == 0;
}

static uint64_t seed_of_run(void)
{
    const char *given = getenv("VU_SEED");
    struct timespec now;

    if (given != NULL)
        return strtoull(given, NULL, 0);
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000007u + (uint64_t)now.tv_nsec;
}

/* -------------------------------------------------------------------- device -- */

struct device {
    vfu_ctx_t *ctx;
    uint64_t random;
    char dir[32], path[64];
    int memory;             /* behind the mappable BAR */
    int doorbell;           /* eventfd that is offered as an ioeventfd */
    uint8_t bar[4096];
};

/* Touch a random piece of guest memory, in every way there is. */
static void use_guest_memory(struct device *d)
{
    uint64_t address = below(&d->random, WINDOW_BASES) * 0x10000 + below(&d->random, 0x3000);
    size_t len = 1 + below(&d->random, 0x2000);
    int prot = one_in(&d->random, 2) ? PROT_READ | PROT_WRITE : PROT_READ;
    uint8_t data[0x2001] = { 0 };
    union {
        max_align_t align;
        uint8_t room[4 * 40];
    } sgl = { .room = { 0 } };
    dma_sg_t *sg = (dma_sg_t *)&sgl;
    struct iovec iov[4];
    int n = vfu_addr_to_sgl(d->ctx, (vfu_dma_addr_t)(uintptr_t)address, len, sg, 4, prot);

    assert_true(dma_sg_size() == 40);
    if (n <= 0)
        return;
    if (vfu_sgl_get(d->ctx, sg, iov, (size_t)n, 0) == 0) {
        for (int i = 0; i < n; i++)
            len -= iov[i].iov_len;
        assert_int_equal(len, 0);
        vfu_sgl_put(d->ctx, sg, iov, (size_t)n);
    }
    if ((prot & PROT_WRITE) != 0 && one_in(&d->random, 2))
        vfu_sgl_write(d->ctx, sg, (size_t)n, data, VFU_SGL_DIRECT_ACCESS);
    else
        vfu_sgl_read(d->ctx, sg, (size_t)n, data, VFU_SGL_DIRECT_ACCESS);
    if (one_in(&d->random, 8))      /* nobody answers */
        vfu_sgl_read(d->ctx, sg, (size_t)n, data, 0);
    vfu_sgl_mark_dirty(d->ctx, sg, (size_t)n);
}

static ssize_t on_access(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                         bool is_write)
{
    struct device *d = vfu_get_private(ctx);

    assert_true(offset >= 0 && (uint64_t)offset + count <= sizeof(d->bar));
    if (one_in(&d->random, 4))
        use_guest_memory(d);
    if (one_in(&d->random, 16)) {
        errno = EIO;
        return -1;
    }
    if (is_write)
        memcpy(d->bar + offset, buf, count);
    else
        memcpy(buf, d->bar + offset, count);
    vfu_irq_trigger(ctx, (uint32_t)below(&d->random, N_MSIX + 1));
    return (ssize_t)count;
}

static int on_quiesce(vfu_ctx_t *ctx)
{
    struct device *d = vfu_get_private(ctx);

    switch (below(&d->random, 8)) {
    case 0:
        errno = EBUSY;
        return -1;
    case 1:
        errno = EPERM;
        return -1;
    default:
        return 0;
    }
}

static int on_reset(vfu_ctx_t *ctx, vfu_reset_type_t type)
{
    struct device *d = vfu_get_private(ctx);

    if (type != VFU_RESET_LOST_CONN && one_in(&d->random, 8)) {
        errno = EIO;
        return -1;
    }
    memset(d->bar, 0, sizeof(d->bar));
    return 0;
}

static void on_window(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    struct device *d = vfu_get_private(ctx);

    assert_int_not_equal(info->iova.iov_len, 0);
    if (one_in(&d->random, 4))
        use_guest_memory(d);
}

static int on_transition(vfu_ctx_t *ctx, vfu_migr_state_t state)
{
    struct device *d = vfu_get_private(ctx);

    assert_true(state <= VFU_MIGR_STATE_RESUME);
    if (one_in(&d->random, 16)) {
        errno = EIO;
        return -1;
    }
    return 0;
}

static ssize_t on_migration_data(vfu_ctx_t *ctx, void *buf, uint64_t count)
{
    struct device *d = vfu_get_private(ctx);

    (void)buf;
    return (ssize_t)(one_in(&d->random, 2) ? count : below(&d->random, count + 1));
}

static void on_mask(vfu_ctx_t *ctx, uint32_t start, uint32_t count, bool mask)
{
    (void)ctx;
    (void)mask;
    assert_true(count != 0 && start + count <= N_MSIX);
}

/* A log line is one line, whatever the client sent. */
static void on_log(vfu_ctx_t *ctx, int level, const char *msg)
{
    (void)ctx;
    assert_in_range(level, LOG_EMERG, LOG_DEBUG);
    for (; *msg != '\0'; msg++)
        assert_true(*msg >= ' ' && *msg <= '~');
}

static void set_up_config_space(vfu_ctx_t *ctx)
{
    struct pmcap pm = { .hdr.id = PCI_CAP_ID_PM };
    struct pxcap px = { .hdr.id = PCI_CAP_ID_EXP, .pxdcap = { .flrc = 1 } };
    struct msicap msi = { .hdr.id = PCI_CAP_ID_MSI, .mc = { .mmc = 2, .c64 = 1, .pvm = 1 } };
    struct msixcap msix = { .hdr.id = PCI_CAP_ID_MSIX, .mxc = { .ts = N_MSIX - 1 } };
    struct dsncap dsn = { .hdr = { .id = PCI_EXT_CAP_ID_DSN, .version = 1 } };

    assert_int_equal(vfu_pci_init(ctx, VFU_PCI_TYPE_EXPRESS, PCI_HEADER_TYPE_NORMAL, 1), 0);
    vfu_pci_set_id(ctx, 0x1234, 0x5678, 0, 0);
    assert_true(vfu_pci_add_capability(ctx, 0, 0, &pm) > 0);
    assert_true(vfu_pci_add_capability(ctx, 0, 0, &px) > 0);
    assert_true(vfu_pci_add_capability(ctx, 0, 0, &msi) > 0);
    assert_true(vfu_pci_add_capability(ctx, 0, 0, &msix) > 0);
    assert_true(vfu_pci_add_capability(ctx, 0, VFU_CAP_FLAG_EXTENDED, &dsn) > 0);
}

static void set_up_regions(struct device *d)
{
    const int mem = VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM;
    struct iovec areas[] = { { (void *)0x1000, 0x1000 }, { (void *)0x3000, 0x1000 } };

    assert_int_equal(vfu_setup_region(d->ctx, 0, sizeof(d->bar), on_access,
                                      mem | VFU_REGION_FLAG_64_BITS, NULL, 0, -1, 0), 0);
    assert_int_equal(vfu_setup_region(d->ctx, 2, 0x4000, NULL, mem, areas, 2, d->memory, 0),
                     0);
    assert_int_equal(vfu_setup_region(d->ctx, 3, 64, on_access, VFU_REGION_FLAG_READ, NULL, 0,
                                      -1, 0), 0);
    assert_int_equal(vfu_setup_region(d->ctx, VFU_PCI_DEV_ROM_REGION_IDX, 2048, on_access,
                                      VFU_REGION_FLAG_READ | VFU_REGION_FLAG_MEM, NULL, 0, -1,
                                      0), 0);
    assert_int_equal(vfu_create_ioeventfd(d->ctx, 0, d->doorbell, 0x100, 4, 0, 0, -1, 0), 0);
}

static void set_up_interrupts(vfu_ctx_t *ctx)
{
    assert_int_equal(vfu_setup_device_nr_irqs(ctx, VFU_DEV_INTX_IRQ, 1), 0);
    assert_int_equal(vfu_setup_device_nr_irqs(ctx, VFU_DEV_MSI_IRQ, N_MSI), 0);
    assert_int_equal(vfu_setup_device_nr_irqs(ctx, VFU_DEV_MSIX_IRQ, N_MSIX), 0);
    assert_int_equal(vfu_setup_irq_state_callback(ctx, VFU_DEV_MSIX_IRQ, on_mask), 0);
    assert_int_equal(vfu_setup_irq_automask(ctx, VFU_DEV_INTX_IRQ, true), 0);
}

static void set_up_memory(vfu_ctx_t *ctx)
{
    const vfu_migration_callbacks_t migration = {
        .version = VFU_MIGR_CALLBACKS_VERS,
        .transition = on_transition,
        .read_data = on_migration_data,
        .write_data = on_migration_data,
    };

    assert_int_equal(vfu_setup_device_dma(ctx, 6, on_window, on_window), 0);
    assert_int_equal(vfu_setup_device_migration_callbacks(ctx, &migration), 0);
    assert_int_equal(vfu_setup_timeout(ctx, VFU_TIMEOUT_DMA, 1), 0);
    vfu_setup_device_quiesce_cb(ctx, on_quiesce);
    assert_int_equal(vfu_setup_device_reset_cb(ctx, on_reset), 0);
}

static void device_begin(struct device *d, uint64_t seed)
{
    memset(d, 0, sizeof(*d));
    d->random = seed | 1;
    strcpy(d->dir, "/tmp/vfu-random-XXXXXX");
    assert_non_null(mkdtemp(d->dir));
    strcpy(d->path, d->dir);
    strcat(d->path, "/socket");
    d->memory = core_memory(0x4000);
    d->doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    d->ctx = vfu_create_ctx(VFU_TRANS_SOCK, d->path, LIBVFIO_USER_FLAG_ATTACH_NB, d,
                            VFU_DEV_TYPE_PCI);
    assert_non_null(d->ctx);
    assert_int_equal(vfu_setup_log(d->ctx, on_log, LOG_DEBUG), 0);
    set_up_config_space(d->ctx);
    set_up_regions(d);
    set_up_interrupts(d->ctx);
    set_up_memory(d->ctx);
    assert_int_equal(vfu_realize_ctx(d->ctx), 0);
    assert_true(vfu_get_wake_fd(d->ctx) >= 0);  /* would be made when first needed */
}

static void device_end(struct device *d)
{
    vfu_destroy_ctx(d->ctx);
    close(d->memory);
    close(d->doorbell);
    assert_int_equal(rmdir(d->dir), 0);
}

/* ------------------------------------------------------------------ messages -- */

struct message {
    uint16_t command;
    uint32_t flags;
    uint32_t said;          /* msg_size */
    size_t len;             /* of body */
    size_t n_fds;
    bool eventfds;
    uint8_t body[LONGEST];
};

static void put(struct message *m, uint64_t value, size_t width)
{
    memcpy(m->body + m->len, &value, width);
    m->len += width;
}

static void legal_map(struct message *m, uint64_t *random)
{
    m->n_fds = below(random, 2);
    put(m, VU_DMA_MAP_SIZE, 4);
    put(m, below(random, 4) | (m->n_fds != 0 ? 4 * below(random, 3) : 0), 4);
    put(m, m->n_fds != 0 ? 0x800 * below(random, 4) : 0, 8);
    put(m, 0x10000 * below(random, WINDOW_BASES), 8);
    put(m, 0x800 * (1 + below(random, 6)), 8);
}

static void legal_unmap(struct message *m, uint64_t *random)
{
    uint64_t flags = below(random, 8);
    uint64_t size = 0x800 * (1 + below(random, 6));

    if (flags > VU_DMA_UNMAP_ALL)
        flags = 0;
    put(m, flags == VU_DMA_UNMAP_GET_DIRTY_BITMAP ? 4096 : VU_DMA_UNMAP_SIZE, 4);
    put(m, flags, 4);
    put(m, flags == VU_DMA_UNMAP_ALL ? 0 : 0x10000 * below(random, WINDOW_BASES), 8);
    put(m, flags == VU_DMA_UNMAP_ALL ? 0 : size, 8);
    if (flags == VU_DMA_UNMAP_GET_DIRTY_BITMAP) {
        put(m, 4096, 8);
        put(m, 8, 8);
    }
}

static void legal_set_irqs(struct message *m, uint64_t *random)
{
    uint32_t count = (uint32_t)below(random, 5);
    uint32_t data = 1u << below(random, 3);
    uint32_t action = 8u << below(random, 3);

    put(m, VU_IRQ_SET_SIZE + (data == VU_IRQ_SET_DATA_BOOL ? count : 0), 4);
    put(m, data | action, 4);
    put(m, below(random, VFU_DEV_NUM_IRQS), 4);
    put(m, count != 0 ? below(random, 3) : 0, 4);
    put(m, count, 4);
    for (uint32_t i = 0; data == VU_IRQ_SET_DATA_BOOL && i < count; i++)
        put(m, below(random, 2), 1);
    if (data == VU_IRQ_SET_DATA_EVENTFD) {
        m->n_fds = one_in(random, 3) ? 0 : count;
        m->eventfds = true;
    }
}

static void legal_access(struct message *m, uint64_t *random)
{
    uint32_t count = one_in(random, 8) ? (uint32_t)below(random, 2048) : 1u << below(random, 4);

    m->command = one_in(random, 2) ? VU_REGION_READ : VU_REGION_WRITE;
    put(m, below(random, 0x200), 8);
    put(m, below(random, VFU_PCI_DEV_NUM_REGIONS), 4);
    put(m, count, 4);
    for (uint32_t i = 0; m->command == VU_REGION_WRITE && i < count; i++)
        put(m, next_random(random), 1);
}

static void legal_write_multi(struct message *m, uint64_t *random)
{
    uint64_t count = below(random, 8);

    put(m, count, 8);
    for (uint64_t i = 0; i < count; i++) {
        put(m, below(random, 0x200), 8);
        put(m, one_in(random, 3) ? VFU_PCI_DEV_CFG_REGION_IDX : 0, 4);
        put(m, 1 + below(random, 8), 4);
        put(m, next_random(random), 8);
    }
}

static void legal_feature(struct message *m, uint64_t *random)
{
    static const uint32_t operations[] = {
        VU_FEATURE_GET | VU_FEATURE_MIGRATION,
        VU_FEATURE_GET | VU_FEATURE_MIG_DEVICE_STATE,
        VU_FEATURE_SET | VU_FEATURE_MIG_DEVICE_STATE,
        VU_FEATURE_SET | VU_FEATURE_DMA_LOGGING_START,
        VU_FEATURE_SET | VU_FEATURE_DMA_LOGGING_STOP,
        VU_FEATURE_GET | VU_FEATURE_DMA_LOGGING_REPORT,
        VU_FEATURE_PROBE | VU_FEATURE_DMA_LOGGING_REPORT,
    };
    uint32_t flags = operations[below(random, 7)];

    put(m, 4096, 4);
    put(m, flags, 4);
    switch (flags) {
    case VU_FEATURE_SET | VU_FEATURE_MIG_DEVICE_STATE:
        put(m, below(random, 8), 4);
        put(m, 0, 4);
        break;
    case VU_FEATURE_SET | VU_FEATURE_DMA_LOGGING_START:
        put(m, 4096, 8);
        put(m, 0, 8);
        break;
    case VU_FEATURE_GET | VU_FEATURE_DMA_LOGGING_REPORT:
        put(m, 0x10000 * below(random, WINDOW_BASES), 8);
        put(m, 0x800 * (1 + below(random, 6)), 8);
        put(m, 1u << below(random, 16), 8);
        break;
    }
}

static void legal_query(struct message *m, uint64_t *random)
{
    static const uint16_t commands[] = {
        VU_DEVICE_GET_INFO, VU_DEVICE_GET_REGION_INFO, VU_DEVICE_GET_IRQ_INFO,
        VU_DEVICE_GET_REGION_IO_FDS,
    };

    m->command = commands[below(random, 4)];
    put(m, 16 * (1 + below(random, 8)), 4);
    put(m, 0, 4);
    put(m, below(random, VFU_PCI_DEV_NUM_REGIONS + 1), 4);
    put(m, 0, 4);
    if (m->command == VU_DEVICE_GET_REGION_INFO) {
        put(m, 0, 8);
        put(m, 0, 8);
    }
}

static void legal_data(struct message *m, uint64_t *random)
{
    uint32_t size = (uint32_t)below(random, 64);

    m->command = one_in(random, 2) ? VU_MIG_DATA_READ : VU_MIG_DATA_WRITE;
    put(m, VU_MIG_DATA_SIZE + size, 4);
    put(m, size, 4);
    for (uint32_t i = 0; m->command == VU_MIG_DATA_WRITE && i < size; i++)
        put(m, i, 1);
}

static void legal(struct message *m, uint64_t *random)
{
    static const struct {
        uint16_t command;
        void (*fill)(struct message *m, uint64_t *random);
    } kinds[] = {
        { VU_DMA_MAP, legal_map },
        { VU_DMA_MAP, legal_map },
        { VU_DMA_UNMAP, legal_unmap },
        { VU_DEVICE_SET_IRQS, legal_set_irqs },
        { VU_REGION_READ, legal_access },
        { VU_REGION_READ, legal_access },
        { VU_REGION_WRITE_MULTI, legal_write_multi },
        { VU_DEVICE_FEATURE, legal_feature },
        { VU_DEVICE_FEATURE, legal_feature },
        { VU_DEVICE_GET_INFO, legal_query },
        { VU_MIG_DATA_READ, legal_data },
        { VU_DEVICE_RESET, NULL },
    };
    size_t i = below(random, sizeof(kinds) / sizeof(kinds[0]));

    memset(m, 0, offsetof(struct message, body));
    m->command = kinds[i].command;
    if (kinds[i].fill != NULL)
        kinds[i].fill(m, random);
    m->said = (uint32_t)(VU_HEADER_SIZE + m->len);
}

/* A value that programs get wrong. */
static uint64_t interesting(uint64_t *random)
{
    uint64_t one = 1ull << below(random, 64);

    switch (below(random, 4)) {
    case 0: return one;
    case 1: return one - 1;
    case 2: return -one;
    default: return below(random, 40);
    }
}

/* Spoil a legal message. */
static void spoil(struct message *m, uint64_t *random)
{
    switch (below(random, 6)) {
    case 0:     /* a field */
        if (m->len >= 8) {
            uint64_t value = interesting(random);
            size_t width = one_in(random, 2) ? 4 : 8;

            memcpy(m->body + below(random, m->len / 4 - (width == 8)) * 4, &value, width);
        }
        break;
    case 1:     /* the length */
        m->len = below(random, m->len + 32);
        m->said = (uint32_t)(VU_HEADER_SIZE + m->len);
        break;
    case 2:
        m->n_fds = below(random, 20);
        m->eventfds = one_in(random, 2);
        break;
    case 3:
        m->command = (uint16_t)below(random, 24);
        break;
    case 4:
        m->flags = (uint32_t)interesting(random);
        break;
    default:    /* what it says of its own length: the stream is lost, or waits */
        if (one_in(random, 4))
            m->said = (uint32_t)interesting(random);
        break;
    }
}

/* -------------------------------------------------------------------- client -- */

struct client {
    int fd;
    uint64_t random;
    uint16_t next_id;
    bool lies;              /* has lied about a length: nothing is known of replies any more */
    size_t got;
    uint8_t bytes[3 << 20]; /* replies not looked at yet */
    struct message m;
};

static int random_fd(uint64_t *random, bool is_eventfd)
{
    if (is_eventfd)
        return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return one_in(random, 8) ? open("/dev/zero", O_RDWR | O_CLOEXEC)
                             : core_memory(0x1000 * below(random, 6));
}

/* Bytes and descriptors leave, unless the server is gone or does not read. */
static void client_push(struct client *c, const void *bytes, size_t len)
{
    struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = len };
    int fds[VU_MAX_MSG_FDS];
    int64_t n;

    for (size_t i = 0; i < c->m.n_fds; i++)
        fds[i] = random_fd(&c->random, c->m.eventfds);
    n = vu_socket_send(c->fd, &iov, 1, fds, c->m.n_fds);
    for (size_t i = 0; i < c->m.n_fds; i++)
        close(fds[i]);
    c->lies |= n != (int64_t)len;
}

static void client_send_random(struct client *c)
{
    static uint8_t bytes[VU_HEADER_SIZE + LONGEST];
    struct message *m = &c->m;
    struct vu_writer w = vu_writer(bytes, VU_HEADER_SIZE);
    struct vu_header h;

    legal(m, &c->random);
    if (one_in(&c->random, 3))
        spoil(m, &c->random);
    if (one_in(&c->random, 16))
        m->flags |= VU_F_NO_REPLY;
    h = (struct vu_header){
        .msg_id = c->next_id++,
        .command = m->command,
        .size = m->said,
        .flags = m->flags,
        .error = (uint32_t)below(&c->random, 3),
    };
    assert_int_equal(vu_encode_header(&w, &h), 0);
    memcpy(bytes + VU_HEADER_SIZE, m->body, m->len);
    c->lies |= m->said != VU_HEADER_SIZE + m->len;
    client_push(c, bytes, VU_HEADER_SIZE + m->len);
}

/* A whole message of the server at the front of what came. */
static void check_message(const struct client *c, const struct vu_header *h)
{
    uint32_t type = vu_header_type(h);

    if (type == VU_F_TYPE_COMMAND) {    /* of ours, for guest memory */
        assert_in_range(h->command, VU_DMA_READ, VU_DMA_WRITE);
        return;
    }
    assert_int_equal(type, VU_F_TYPE_REPLY);
    assert_int_equal(h->flags & ~(uint32_t)(VU_F_TYPE_MASK | VU_F_ERROR), 0);
    if ((h->flags & VU_F_ERROR) != 0) {
        assert_int_equal(h->size, VU_HEADER_SIZE);
        assert_in_range(h->error, 1, 4095);
    } else {
        assert_int_equal(h->error, 0);
        assert_true(vu_command_info(h->command) != NULL);
        assert_true(h->size - VU_HEADER_SIZE >= vu_command_info(h->command)->reply_min);
    }
    assert_true(c->lies || (uint16_t)(c->next_id - h->msg_id) <= c->next_id);
}

/* Take what has arrived and look at each whole message. False: the stream has ended. */
static bool client_drain(struct client *c)
{
    size_t at = 0;
    bool open = true;

    for (;;) {
        int fds[VU_MAX_MSG_FDS];
        size_t n_fds = VU_MAX_MSG_FDS;
        bool lost = false;
        int64_t n = vu_socket_recv(c->fd, c->bytes + c->got, sizeof(c->bytes) - c->got, fds,
                                   &n_fds, &lost);

        if (n <= 0) {
            open = n == -EAGAIN;
            break;
        }
        c->got += (size_t)n;
        while (n_fds > 0)
            close(fds[--n_fds]);
    }
    while (c->got - at >= VU_HEADER_SIZE) {
        struct vu_reader r = vu_reader(c->bytes + at, VU_HEADER_SIZE);
        struct vu_header h;

        assert_int_equal(vu_decode_header(&r, &h), 0);
        assert_in_range(h.size, VU_HEADER_SIZE, sizeof(c->bytes));
        if (c->got - at < h.size)
            break;
        check_message(c, &h);
        at += h.size;
    }
    memmove(c->bytes, c->bytes + at, c->got - at);
    c->got -= at;
    return open;
}

static void client_begin(struct client *c, struct device *d, uint64_t seed)
{
    static const char json[] = "{\"capabilities\":{\"max_msg_fds\":8,\"write_multiple\":true,"
                               "\"max_data_xfer_size\":4096}}";
    uint8_t bytes[VU_HEADER_SIZE + VU_VERSION_SIZE + sizeof(json)];
    uint8_t body[VU_VERSION_SIZE + sizeof(json)] = { 0, 0, 1, 0 };
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    memset(c, 0, offsetof(struct client, bytes));
    c->random = seed | 1;
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strcpy(address.sun_path, d->path);
    assert_int_equal(connect(c->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    memcpy(body + VU_VERSION_SIZE, json, sizeof(json));
    put_message(bytes, c->next_id++, VU_VERSION, 0, body, sizeof(body));
    client_send(c->fd, bytes, sizeof(bytes));
    assert_int_equal(vfu_attach_ctx(d->ctx), 0);
    assert_true(client_drain(c));
}

/* ------------------------------------------------------------------ sessions -- */

/* What a device's event loop does. False: the client has been lost. */
static bool serve(struct device *d)
{
    for (int i = 0; i < 4; i++) {
        int ret = vfu_run_ctx(d->ctx);

        if (ret == 0)
            return true;
        if (ret > 0)
            continue;
        if (errno == ENOTCONN)
            return false;
        assert_int_equal(errno, EBUSY);
        assert_int_equal(vfu_device_quiesced(d->ctx, one_in(&d->random, 4) ? EIO : 0), 0);
    }
    return true;
}

/* The connection is gone on our side; the server must see that, however often it says that it
 * is not quiet yet. */
static void lose(struct device *d)
{
    while (serve(d))
        ;
}

static void random_session(struct device *d, uint64_t seed)
{
    static struct client c;
    uint64_t messages;

    client_begin(&c, d, seed);
    messages = below(&c.random, MESSAGES);
    for (uint64_t i = 0; i < messages; i++) {
        client_send_random(&c);
        if (one_in(&c.random, 3))
            continue;       /* pipelined */
        if (!serve(d)) {
            close(c.fd);
            return;
        }
        if (!client_drain(&c))
            break;
    }
    close(c.fd);
    lose(d);
}

/* After all that, a client that behaves gets what it asks for. */
static void honest_session(struct device *d)
{
    static struct client c;
    static struct received info;
    uint8_t bytes[INFO_BYTES];

    client_begin(&c, d, 1);
    put_get_info(bytes, 77);
    client_send(c.fd, bytes, sizeof(bytes));
    assert_int_equal(vfu_run_ctx(d->ctx), 1);
    client_receive(c.fd, &info);
    assert_int_equal(info.h.msg_id, 77);
    assert_int_equal(info.h.flags, VU_F_TYPE_REPLY);
    assert_int_equal(info.body_len, VU_DEVICE_INFO_SIZE);
    close(c.fd);
    lose(d);
}

static void random_clients_do_no_harm(void **state)
{
    static struct device d;
    uint64_t seed = seed_of_run();
    uint64_t random = seed | 1;
    int fds;

    (void)state;
    print_message("VU_SEED=%llu\n", (unsigned long long)seed);
    device_begin(&d, next_random(&random));
    honest_session(&d);
    fds = vu_test_open_fds();
    for (int i = 0; i < SESSIONS; i++) {
        random_session(&d, next_random(&random));
        honest_session(&d);
        assert_int_equal(vu_test_open_fds(), fds);
    }
    device_end(&d);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(random_clients_do_no_harm),
};

VU_TEST_MAIN(tests)
