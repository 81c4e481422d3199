/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client against a hostile server: every call, any replies, no socket.
 *
 * Input: what the server does and what the program calls, interleaved as they are
 * needed. A reply starts as what the client waits for (its id, its command, no
 * error); its first byte says how it is bent from there:
 *
 *   bit 0     the length of the body has two bytes, else one
 *   bits 1-3  all set: flags, error, and differences to id and command follow
 *   bit 4     descriptors come along: as many as bits 5-6 say; bit 7: some were lost
 *
 * A call is a byte for the function, one for the index, one for a number, four for
 * which descriptors are there. Oracles: the client sends whole messages with true
 * sizes, says nothing after it closed, closes once, and keeps no descriptor.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "libclient/client.h"

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

static int script_send(void *at, struct iovec *iov, int n_iov, const int *fds, size_t n_fds,
                       vu_deadline deadline)
{
    struct script *s = at;
    struct vu_reader r = vu_reader(iov[0].iov_base, iov[0].iov_len);
    struct vu_header h;
    size_t len = 0;

    (void)fds;
    (void)n_fds;
    (void)deadline;
    REQUIRE(!s->closed);
    REQUIRE(vu_decode_header(&r, &h) == 0);
    for (int i = 0; i < n_iov; i++)
        len += iov[i].iov_len;
    REQUIRE(len == h.size);
    if (vu_header_type(&h) == VU_F_TYPE_COMMAND)
        s->asked = h;
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
    .send = script_send,
    .receive = script_receive,
    .fd = script_fd,
    .close = script_close,
};

/* One call of a program that is as careless as the input wants. */
static void call(struct vfuc_client *c, struct vu_reader *in)
{
    static uint8_t buf[512];
    const struct vfuc_region *region;
    const struct vfuc_irq *irq;
    uint8_t function = vu_get_u8(in);
    uint32_t index = vu_get_u8(in) & 15;
    uint32_t number = vu_get_u8(in);
    uint32_t present = vu_get_u32(in);
    int fds[32];
    void *mapped;

    for (int i = 0; i < 32; i++)
        fds[i] = (present >> i & 1) != 0 ? STDIN_FILENO : -1;
    switch (function % 15) {
    case 0: vfuc_region_info(c, index, &region); break;
    case 1: vfuc_irq_info(c, index, &irq); break;
    case 2: vfuc_region_read(c, index, number, buf, 1 + number); break;
    case 3: vfuc_region_write(c, index, number, buf, 1 + number); break;
    case 4: vfuc_region_write_posted(c, index, number, buf, 1 + number); break;
    case 5:
        if (vfuc_region_map(c, index, (uint64_t)number << 12, 1 + number, 3, &mapped) == 0 &&
            (number & 1) != 0)
            vfuc_region_unmap(c, mapped);
        break;
    case 6: vfuc_irq_assign(c, index, number & 15, fds, 1 + (number >> 4)); break;
    case 7: vfuc_irq_disable(c, index); break;
    case 8: vfuc_irq_mask(c, index, number & 7, number >> 3); break;
    case 9: vfuc_irq_unmask(c, index, number & 7, number >> 3); break;
    case 10: vfuc_dma_map(c, (uint64_t)number << 12, 4096, 3, fds[0], 0); break;
    case 11: vfuc_dma_unmap(c, (uint64_t)number << 12, 4096); break;
    case 12: vfuc_dma_unmap_all(c); break;
    case 13: vfuc_reset(c); break;
    default: vfuc_dispatch(c); break;
    }
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
        while (s.in.left != 0 && vu_reader_ok(&s.in) == 0 && !s.closed)
            call(c, &s.in);
        vfuc_close(c);
    }
    REQUIRE(s.closed);
    REQUIRE(next_fd() == before);
    free(s.body);
    return 0;
}
