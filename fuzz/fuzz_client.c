/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client against a hostile server: every call, any replies, no socket.
 *
 * Input: what the server does and what the program calls, interleaved as they are
 * needed. A reply starts as what the client waits for (its id, its command, no
 * error); its first byte says how it is bent from there:
 *
 *   bit 0     the length of the body has two bytes, else one
 *   bits 1-3  all set: flags, error, and differences to id and command follow; 1 and 2
 *             alone: it is a DMA_READ of the server's, 2 and 3 alone a DMA_WRITE
 *   bit 4     descriptors come along: as many as bits 5-6 say; bit 7: some were lost
 *
 * A call is a byte for the function, one for the index, one for a number, four for
 * which descriptors are there. Oracles: the client sends whole messages with true
 * sizes, says nothing after it closed, closes once, and keeps no descriptor.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "libclient/client.h"
#include "libclient/options.h"

#define REQUIRE(cond)                                                   \
    do {                                                                \
        if (!(cond)) {                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);  \
            abort();                                                    \
        }                                                               \
    } while (0)

struct script {
    struct vu_reader in;
    struct vu_header asked;     /* the client's last command */
    uint8_t *body;              /* owned: of the last reply, exactly as long as that */
    bool closed;
};

static size_t length_of(const struct iovec *iov, int n_iov)
{
    size_t len = 0;

    for (int i = 0; i < n_iov; i++)
        len += iov[i].iov_len;
    return len;
}

static int script_post(void *at, const struct iovec *iov, int n_iov)
{
    struct script *s = at;
    struct vu_reader r = vu_reader(iov[0].iov_base, iov[0].iov_len);
    struct vu_header h;

    REQUIRE(!s->closed);
    REQUIRE(vu_decode_header(&r, &h) == 0);
    REQUIRE(length_of(iov, n_iov) == h.size);
    if (vu_header_type(&h) == VU_F_TYPE_COMMAND)
        s->asked = h;
    return 0;
}

static int script_offer(void *at, struct iovec *iov, int n_iov, const int *fds,
                        size_t n_fds)
{
    (void)fds;
    (void)n_fds;
    return script_post(at, iov, n_iov);
}

static int script_flush(void *at)
{
    struct script *s = at;

    REQUIRE(!s->closed);
    return 0;
}

static size_t script_unsent(const void *at)
{
    (void)at;
    return 0;
}

static void bend_header(struct vu_reader *in, struct vu_header *h)
{
    h->flags = vu_get_u8(in);
    h->error = vu_get_u8(in);
    h->msg_id = (uint16_t)(h->msg_id + (vu_get_u8(in) & 1));
    h->command = (uint16_t)(h->command + (vu_get_u8(in) & 3));
}

static void add_fds(struct vu_message *m, uint8_t control)
{
    m->n_fds = (control >> 5) & 3;
    m->fds_lost = (control & 0x80) != 0;
    for (size_t i = 0; i < m->n_fds; i++) {
        m->fds[i] = eventfd(0, EFD_CLOEXEC);
        REQUIRE(m->fds[i] != -1);
    }
}

static int script_receive(void *at, struct vu_message *m, vu_deadline deadline)
{
    struct script *s = at;
    struct vu_header h = s->asked;
    uint8_t control = vu_get_u8(&s->in);
    size_t len = vu_get_u8(&s->in);

    REQUIRE(!s->closed);
    if ((control & 1) != 0)
        len |= (size_t)vu_get_u8(&s->in) << 8;
    if (vu_reader_ok(&s->in) != 0)
        return deadline == VU_DONT_WAIT ? -EAGAIN : -ETIMEDOUT;
    h.flags = VU_F_TYPE_REPLY;
    h.error = 0;
    if ((control & 0x0e) == 0x0e)
        bend_header(&s->in, &h);
    else if ((control & 0x0e) == 0x06 || (control & 0x0e) == 0x0c)
        h = (struct vu_header){
            .command = (control & 0x0e) == 0x06 ? VU_DMA_READ : VU_DMA_WRITE,
        };
    if (len > s->in.left)
        len = s->in.left;
    h.size = (uint32_t)(VU_HEADER_SIZE + len);

    free(s->body);
    s->body = malloc(len);
    REQUIRE(s->body != NULL || len == 0);
    vu_take(&s->in, s->body, len);
    vu_message_init(m, &h, s->body, len);
    if ((control & 0x10) != 0)
        add_fds(m, control);
    return 1;
}

static bool script_ready(const void *at)
{
    const struct script *s = at;

    return s->in.left > 0;
}

static void script_shutdown(void *at)
{
    (void)at;
}

static int script_fd(const void *at)
{
    (void)at;
    return -1;
}

static void script_close(void *at)
{
    struct script *s = at;

    REQUIRE(!s->closed);
    s->closed = true;
}

static const struct vuc_port script_port = {
    .offer = script_offer,
    .post = script_post,
    .flush = script_flush,
    .unsent = script_unsent,
    .receive = script_receive,
    .ready = script_ready,
    .fd = script_fd,
    .shutdown = script_shutdown,
    .close = script_close,
};

/* What a call says it for: the numbers that the input gave. */
struct call {
    struct vfuc_client *c;
    uint8_t function;
    uint32_t index, number, present;
    int fds[32];
};

static uint8_t buf[512], memory[4096];

static void region_call(const struct call *k)
{
    const struct vfuc_region *region;
    const struct vfuc_io_fd *entries;
    struct vfuc_write writes[3] = {
        { k->number, k->index, 1 + (k->number & 7), { 0 } },
        { k->present, k->index, 4, { 0 } },
        { 0, 0, k->present & 15, { 0 } },
    };
    size_t n = 1 + k->number % 3;
    void *mapped;

    switch (k->function % 9) {
    case 0: vfuc_region_info(k->c, k->index, &region); break;
    case 1: vfuc_region_read(k->c, k->index, k->number, buf, 1 + k->number); break;
    case 2: vfuc_region_write(k->c, k->index, k->number, buf, 1 + k->number); break;
    case 3: vfuc_region_write_posted(k->c, k->index, k->number, buf, 1 + k->number); break;
    case 4:
        if (vfuc_region_map(k->c, k->index, (uint64_t)k->number << 12, 1 + k->number, 3,
                            &mapped) == 0 && (k->number & 1) != 0)
            vfuc_region_unmap(k->c, mapped);
        break;
    case 5: vfuc_region_io_fds(k->c, k->index, &entries); break;
    case 6: vfuc_region_write_multi(k->c, writes, n, NULL); break;
    case 7: vfuc_region_write_multi_posted(k->c, writes, n); break;
    default: vfuc_reset(k->c); break;
    }
}

static void irq_call(const struct call *k)
{
    const struct vfuc_irq *irq;
    uint32_t start = k->number & 7, count = k->number >> 3;

    switch (k->function % 9) {
    case 0: vfuc_irq_info(k->c, k->index, &irq); break;
    case 1: vfuc_irq_assign(k->c, k->index, start, k->fds, 1 + (count & 31)); break;
    case 2: vfuc_irq_disable(k->c, k->index); break;
    case 3: vfuc_irq_mask(k->c, k->index, start, count); break;
    case 4: vfuc_irq_unmask(k->c, k->index, start, count); break;
    case 5: vfuc_irq_enable(k->c, k->index, start, count); break;
    case 6: vfuc_irq_some(k->c, k->index, k->present & 0x38, start, buf, count); break;
    case 7:
        vfuc_irq_notify(k->c, k->index, k->present & 0x38, start, k->fds,
                        1 + (count & 31));
        break;
    default: vfuc_irq_trigger(k->c, k->index, start, count); break;
    }
}

static void dma_call(const struct call *k)
{
    uint64_t address = (uint64_t)k->number << 12, chosen;
    uint64_t page = UINT64_C(1) << (k->present & 63);
    struct vfuc_range range = { address, 4096 };
    struct vfuc_dirty *dirty = NULL;

    switch (k->function % 9) {
    case 0: vfuc_dma_map(k->c, address, 4096, k->present & 7, k->fds[0], 0); break;
    case 1: vfuc_dma_map_memory(k->c, address, 4096, 3, memory, -1, 0); break;
    case 2: vfuc_dma_unmap(k->c, address, 4096); break;
    case 3: vfuc_dma_unmap_all(k->c); break;
    case 4: vfuc_dma_logging_start(k->c, page, &range, k->index & 1, &chosen); break;
    case 5: vfuc_dma_logging_stop(k->c); break;
    case 6: vfuc_dma_logging_report(k->c, address, 4096 << k->index, page, &dirty); break;
    case 7: vfuc_dma_unmap_dirty(k->c, address, 4096, page, &dirty); break;
    default: vfuc_dispatch(k->c); break;
    }
    while (dirty != NULL && vfuc_dirty_next(dirty, &range))
        REQUIRE(range.size > 0);
    vfuc_dirty_free(dirty);
}

static void feature_call(const struct call *k)
{
    uint64_t flags;
    size_t got;
    enum vfuc_mig_state state;

    switch (k->function % 8) {
    case 0: vfuc_feature_probe(k->c, k->index, k->present & 0x30000); break;
    case 1: vfuc_feature_get(k->c, k->index, buf, k->number & 15, 64, &got); break;
    case 2: vfuc_feature_set(k->c, k->index, buf, k->number); break;
    case 3: vfuc_migration_flags(k->c, &flags); break;
    case 4: vfuc_migration_state(k->c, &state); break;
    case 5: vfuc_migration_set_state(k->c, (enum vfuc_mig_state)k->index); break;
    case 6: vfuc_migration_read(k->c, buf, 1 + k->number, &got); break;
    default: vfuc_migration_write(k->c, buf, 1 + k->number); break;
    }
}

/* Not to be found in the frame of a call: submitted reads fill it in later. */
static uint8_t later[512];

static void submit_call(const struct call *k)
{
    struct vfuc_completion done[8];
    uint64_t address = (uint64_t)k->number << 12;
    int n = 0;

    switch (k->function % 9) {
    case 0:
        vfuc_submit_region_read(k->c, k->index, k->number, later, 1 + k->number, 1);
        break;
    case 1:
        vfuc_submit_region_write(k->c, k->index, k->number, buf, 1 + k->number, 2);
        break;
    case 2: vfuc_submit_dma_map(k->c, address, 4096, 3, k->fds[0], 0, 3); break;
    case 3: vfuc_submit_dma_unmap(k->c, address, 4096, 4); break;
    case 4: vfuc_submit_reset(k->c, 5); break;
    case 5:
        vfuc_submit_migration_state(k->c, (enum vfuc_mig_state)(k->number & 7), 6);
        break;
    case 6: vfuc_submit_migration_read(k->c, later, 1 + k->number, 7); break;
    case 7: vfuc_submit_migration_write(k->c, buf, 1 + k->number, 8); break;
    default: n = vfuc_complete(k->c, done, 8); break;
    }
    for (int i = 0; i < n; i++)
        REQUIRE(done[i].tag >= 1 && done[i].tag <= 8 && done[i].result <= 0);
}

/* One call of a program that is as careless as the input wants. */
static void call(struct vfuc_client *c, struct vu_reader *in)
{
    static void (*const families[])(const struct call *) = {
        region_call, irq_call, dma_call, feature_call, submit_call,
    };
    struct call k = { .c = c, .function = vu_get_u8(in) };

    k.index = vu_get_u8(in) & 15;
    k.number = vu_get_u8(in);
    k.present = vu_get_u32(in);
    for (int i = 0; i < 32; i++)
        k.fds[i] = (k.present >> i & 1) != 0 ? STDIN_FILENO : -1;
    families[k.function / 9 % 5](&k);
}

static int serve_read(void *opaque, uint64_t address, void *data, size_t count)
{
    (void)opaque;
    (void)address;
    memset(data, 0x5a, count);
    return 0;
}

static int serve_write(void *opaque, uint64_t address, const void *data, size_t count)
{
    (void)opaque;
    (void)address;
    (void)data;
    REQUIRE(count > 0);
    return -EIO;
}

/* The lowest free descriptor: it moves when one is left open. */
static int next_fd(void)
{
    int fd = eventfd(0, EFD_CLOEXEC);

    REQUIRE(fd != -1);
    close(fd);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script s = { .in = vu_reader(data, size) };
    struct vfuc_options options;
    struct vfuc_client *c;
    int before = next_fd();

    REQUIRE(vuc_options_read(NULL, &options) == 0);
    if (vuc_client_open(&script_port, &s, &options, &c) == 0) {
        vfuc_set_dma_handlers(c, serve_read, serve_write, NULL);
        while (s.in.left != 0 && vu_reader_ok(&s.in) == 0 && !s.closed)
            call(c, &s.in);
        vfuc_close(c);
    }
    REQUIRE(s.closed);
    REQUIRE(next_fd() == before);
    free(s.body);
    return 0;
}
