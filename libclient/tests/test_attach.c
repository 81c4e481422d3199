/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What three real clients do when they attach, done with this library: QEMU,
 * cloud-hypervisor, and SPDK's host (the order of commands; sizes that they announce and
 * paddings are their own affair).
 *
 * Each sequence runs twice. Against a peer that knows every byte: requests and replies
 * are typed from the tables of the specification, and a request that differs in a byte,
 * or comes in another order, fails the test. And against our server, VUC_SERVER, where
 * the same function has to find what it needs by asking.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "libclient/include/vfio-user-client.h"
#include "wire/channel.h"
#include "wire/tests/bytes.h"

#define MEMORY_SIZE 0x400000u
#define MAX_TURNS   48
#define ANSWER_MS   10000

/* ------------------------------------------------------ a peer of golden bytes -- */

/* A request as it must come, and what is said to it. Turns marked `queued` are answered
 * when the requests of all turns up to the next unmarked one have come. */
struct turn {
    const char *request;    /* hexadecimal */
    const char *text;       /* follows the request, with its NUL; or NULL */
    size_t n_fds;
    const char *reply;      /* NULL: none is wanted */
    const char *reply_text;
    bool with_fd;           /* the region's descriptor goes with the reply */
    bool queued;
};

struct peer {
    const struct turn *turns;
    int fd;                 /* our end */
    int region_fd;
    pthread_t thread;
    char fault[400];        /* what was wrong, "" so far */
};

static bool grow(struct bytes *b, const char *text)
{
    size_t len = text == NULL ? 0 : strlen(text) + 1;

    if (b->len + len > sizeof(b->data))
        return false;
    if (len > 0)
        memcpy(b->data + b->len, text, len);
    b->len += len;
    return true;
}

/* Exactly `len` bytes, so that nothing of the next message comes along. */
static bool take(struct peer *p, uint8_t *to, size_t len, size_t *n_fds)
{
    while (len > 0) {
        struct pollfd ready = { .fd = p->fd, .events = POLLIN };
        int fds[VU_MAX_MSG_FDS];
        size_t n = VU_MAX_MSG_FDS;
        bool lost;
        int64_t got;

        if (poll(&ready, 1, ANSWER_MS) != 1)
            return false;
        got = vu_socket_recv(p->fd, to, len, fds, &n, &lost);
        if (got <= 0)
            return false;
        for (size_t i = 0; i < n; i++)
            close(fds[i]);
        *n_fds += n;
        to += got;
        len -= (size_t)got;
    }
    return true;
}

static bool hear(struct peer *p, size_t i)
{
    const struct turn *t = &p->turns[i];
    struct bytes want = bytes_of_hex(t->request);
    uint8_t got[sizeof(want.data)];
    size_t n_fds = 0, at = 0;

    if (!grow(&want, t->text) || !take(p, got, want.len, &n_fds)) {
        snprintf(p->fault, sizeof(p->fault), "request %zu did not come whole", i);
        return false;
    }
    while (at < want.len && got[at] == want.data[at])
        at++;
    if (at < want.len)
        snprintf(p->fault, sizeof(p->fault),
                 "request %zu: byte %zu is %02x instead of %02x", i, at, got[at],
                 want.data[at]);
    else if (n_fds != t->n_fds)
        snprintf(p->fault, sizeof(p->fault), "request %zu: %zu descriptors", i, n_fds);
    return p->fault[0] == '\0';
}

static void speak(const struct peer *p, const struct turn *t)
{
    struct bytes b;
    struct iovec iov;

    if (t->reply == NULL)
        return;
    b = bytes_of_hex(t->reply);
    grow(&b, t->reply_text);
    iov = (struct iovec){ b.data, b.len };
    vu_socket_send(p->fd, &iov, 1, &p->region_fd, t->with_fd ? 1 : 0);
}

static void *converse(void *arg)
{
    struct peer *p = arg;
    size_t said = 0;

    for (size_t i = 0; p->turns[i].request != NULL; i++) {
        if (!hear(p, i)) {
            fprintf(stderr, "%s\n", p->fault);      /* the client only sees the end */
            shutdown(p->fd, SHUT_RDWR);
            return NULL;
        }
        if (p->turns[i].queued)
            continue;
        while (said <= i)
            speak(p, &p->turns[said++]);
    }
    return NULL;
}

/* ---------------------------------------------------------------- sequences -- */

/* What the clients share with the device: files are lent for the run. */
struct guest {
    struct vfuc_client *dev;
    int memory;
    int events[4];
};

static void get_ready(struct guest *g)
{
    g->memory = memfd_create("guest", MFD_CLOEXEC);
    assert_true(g->memory >= 0);
    assert_int_equal(ftruncate(g->memory, MEMORY_SIZE), 0);
    for (size_t i = 0; i < 4; i++) {
        g->events[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        assert_true(g->events[i] >= 0);
    }
}

static void put_away(struct guest *g)
{
    vfuc_close(g->dev);
    close(g->memory);
    for (size_t i = 0; i < 4; i++)
        close(g->events[i]);
}

static void ok(struct guest *g, int result)
{
    if (result < 0)
        fail_msg("%s (%s)", vfuc_last_error(g->dev), strerror(-result));
}

static void ask_regions(struct guest *g, uint32_t from, uint32_t to)
{
    const struct vfuc_region *region;

    for (uint32_t i = from; i <= to; i++)
        ok(g, vfuc_region_info(g->dev, i, &region));
}

static uint32_t vectors_of(struct guest *g, uint32_t index)
{
    const struct vfuc_irq *irq;

    ok(g, vfuc_irq_info(g->dev, index, &irq));
    return irq->num_vectors;
}

static uint32_t config_read(struct guest *g, uint64_t offset, size_t len)
{
    uint32_t value = 0;

    ok(g, vfuc_region_read(g->dev, VFUC_PCI_CONFIG, offset, &value, len));
    return value;
}

static void config_write(struct guest *g, uint64_t offset, uint32_t value, size_t len)
{
    ok(g, vfuc_region_write(g->dev, VFUC_PCI_CONFIG, offset, &value, len));
}

/* Memory, pipelined: all are sent, then the answers are awaited. */
static void qemu_maps(struct guest *g)
{
    struct vfuc_completion done[4];
    unsigned n = 0;

    ok(g, vfuc_submit_dma_map(g->dev, 0, 0x200000, VFUC_DMA_READ | VFUC_DMA_WRITE,
                              g->memory, 0, 1));
    ok(g, vfuc_submit_dma_map(g->dev, 0xfffc0000, 0x40000, VFUC_DMA_READ, -1, 0, 2));
    ok(g, vfuc_submit_dma_map(g->dev, 0x100000000, 0x200000,
                              VFUC_DMA_READ | VFUC_DMA_WRITE, g->memory, 0x200000, 3));
    while (n < 3) {
        int got = vfuc_wait(g->dev, done + n, 4 - n, ANSWER_MS);

        ok(g, got);
        assert_true(got > 0);
        n += (unsigned)got;
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(done[i].tag, i + 1);
        assert_int_equal(done[i].result, 0);
    }
}

static void size_rom(struct guest *g)
{
    uint32_t before = config_read(g, 0x30, 4);

    config_write(g, 0x30, 0xfffff800, 4);
    config_read(g, 0x30, 4);
    config_write(g, 0x30, before, 4);
}

/* What a guest's driver causes when it turns MSI-X on: first one vector that nobody
 * listens to, then a list with a gap. */
static void turn_msix_on(struct guest *g)
{
    int none = -1;
    int fds[4] = { g->events[0], g->events[1], -1, g->events[3] };

    assert_true(vectors_of(g, VFUC_PCI_MSIX) >= 4);
    ok(g, vfuc_irq_disable(g->dev, VFUC_PCI_INTX));
    ok(g, vfuc_irq_assign(g->dev, VFUC_PCI_MSIX, 0, &none, 1));
    ok(g, vfuc_irq_assign(g->dev, VFUC_PCI_MSIX, 0, fds, 4));
}

static void like_qemu(struct guest *g)
{
    const struct vfuc_device *info;
    const struct vfuc_region *config;
    uint8_t space[4096];
    uint32_t scratch = 0xabcdef01;
    size_t len;

    qemu_maps(g);
    ok(g, vfuc_device_info(g->dev, &info));
    assert_true(info->num_regions >= 8 && info->num_irqs >= 3);
    ask_regions(g, 0, 5);
    ok(g, vfuc_region_info(g->dev, VFUC_PCI_CONFIG, &config));
    vectors_of(g, VFUC_PCI_ERR);
    len = config->size < sizeof(space) ? (size_t)config->size : sizeof(space);
    ok(g, vfuc_region_read(g->dev, VFUC_PCI_CONFIG, 0, space, len));
    size_rom(g);
    vectors_of(g, VFUC_PCI_INTX);
    ok(g, vfuc_irq_assign(g->dev, VFUC_PCI_INTX, 0, &g->events[0], 1));
    ok(g, vfuc_irq_unmask(g->dev, VFUC_PCI_INTX, 0, 1));
    config_write(g, 0x04, 0x0406, 2);
    ok(g, vfuc_region_write_posted(g->dev, VFUC_PCI_BAR0, 0x0c, &scratch, 4));
    turn_msix_on(g);
    ok(g, vfuc_irq_disable(g->dev, VFUC_PCI_MSIX));
    ok(g, vfuc_reset(g->dev));
    ok(g, vfuc_dma_unmap(g->dev, 0x100000000, 0x200000));
    ok(g, vfuc_dma_unmap_all(g->dev));
}

static void like_cloud_hypervisor(struct guest *g)
{
    const struct vfuc_device *info;
    uint8_t at;

    ok(g, vfuc_device_info(g->dev, &info));
    assert_true((info->flags & VFUC_DEVICE_PCI) != 0);
    ask_regions(g, 0, info->num_regions - 1);
    at = (uint8_t)config_read(g, 0x34, 1);
    for (int i = 0; at != 0 && i < 48; i++) {       /* the list of capabilities */
        config_read(g, at, 1);
        at = (uint8_t)config_read(g, at + 1u, 1);
    }
    vectors_of(g, VFUC_PCI_MSIX);
    vectors_of(g, VFUC_PCI_INTX);
    ok(g, vfuc_irq_assign(g->dev, VFUC_PCI_INTX, 0, &g->events[0], 1));
    ok(g, vfuc_dma_map(g->dev, 0, MEMORY_SIZE, VFUC_DMA_READ | VFUC_DMA_WRITE, g->memory,
                       0));
    config_write(g, 0x10, 0xffffffff, 4);           /* how large is BAR0? */
    config_read(g, 0x10, 4);
    ok(g, vfuc_irq_unmask(g->dev, VFUC_PCI_INTX, 0, 1));
    ok(g, vfuc_irq_disable(g->dev, VFUC_PCI_INTX));
    ok(g, vfuc_irq_assign(g->dev, VFUC_PCI_MSIX, 0, g->events, 4));
    ok(g, vfuc_irq_disable(g->dev, VFUC_PCI_MSIX));
    ok(g, vfuc_dma_unmap(g->dev, 0, MEMORY_SIZE));
}

static void like_spdk(struct guest *g)
{
    const struct vfuc_device *info;
    uint32_t scratch = 0x00460001;

    ok(g, vfuc_device_info(g->dev, &info));
    ask_regions(g, 0, info->num_regions - 1);
    ok(g, vfuc_dma_map(g->dev, 0x7f0000200000, 0x200000, VFUC_DMA_READ | VFUC_DMA_WRITE,
                       g->memory, 0));
    ok(g, vfuc_dma_map(g->dev, 0x7f0000400000, 0x200000, VFUC_DMA_READ | VFUC_DMA_WRITE,
                       g->memory, 0x200000));
    config_read(g, 0x04, 2);
    config_write(g, 0x04, 0x0406, 2);
    ok(g, vfuc_region_write(g->dev, VFUC_PCI_BAR0, 0x0c, &scratch, 4));
    ok(g, vfuc_region_read(g->dev, VFUC_PCI_BAR0, 0x0c, &scratch, 4));
    assert_int_equal(scratch, 0x00460001);
    ok(g, vfuc_dma_unmap(g->dev, 0x7f0000200000, 0x200000));
    ok(g, vfuc_dma_unmap(g->dev, 0x7f0000400000, 0x200000));
}

/* ------------------------------------------------------------- golden bytes -- */

/* Headers: id, command, size; flags (0: command, 0x10: no reply, 1: reply); errno. */
#define ASK(id, command, size)   id " " command " " size " 00000000 00000000 "
#define TELL(id, command, size)  id " " command " " size " 10000000 00000000 "
#define SAY(id, command, size)   id " " command " " size " 01000000 00000000 "

#define ZERO8 "0000000000000000 "

/* DEVICE_GET_INFO: RESET|PCI, 9 regions, 5 kinds of interrupts. */
#define INFO(id) \
    { ASK(id, "0400", "20000000") "10000000 00000000 00000000 00000000", NULL, 0, \
      SAY(id, "0400", "20000000") "10000000 03000000 09000000 05000000", \
      NULL, false, false }

/* GET_REGION_INFO of a region by its flags and size. */
#define REGION(id, index, flags, size) \
    { ASK(id, "0500", "30000000") "20000000 00000000 " index " 00000000 " ZERO8 ZERO8, \
      NULL, 0, \
      SAY(id, "0500", "30000000") "20000000 " flags " " index " 00000000 " size " " \
      ZERO8, NULL, false, false }

#define NO_REGION(id, index) REGION(id, index, "00000000", "0000000000000000")

/* BAR1, 0x4000 bytes, 0x2000 of which can be mapped from 0x1000 on: 32 bytes of
 * capabilities, so it is asked for twice, and the second answer has the descriptor. */
#define SPARSE_REGION(id, id2) \
    { ASK(id, "0500", "30000000") "20000000 00000000 01000000 00000000 " ZERO8 ZERO8, \
      NULL, 0, \
      SAY(id, "0500", "30000000") "40000000 07000000 01000000 00000000 " \
      "0040000000000000 " ZERO8, NULL, true, false }, \
    { ASK(id2, "0500", "30000000") "40000000 00000000 01000000 00000000 " ZERO8 ZERO8, \
      NULL, 0, \
      SAY(id2, "0500", "50000000") "40000000 0f000000 01000000 20000000 " \
      "0040000000000000 " ZERO8 \
      "0100 0100 00000000 01000000 00000000 0010000000000000 0020000000000000", \
      NULL, true, false }

/* GET_IRQ_INFO: EVENTFD|MASKABLE. */
#define IRQ(id, index, count) \
    { ASK(id, "0700", "20000000") "10000000 00000000 " index " 00000000", NULL, 0, \
      SAY(id, "0700", "20000000") "10000000 03000000 " index " " count, \
      NULL, false, false }

/* SET_IRQS without data. */
#define SET(id, flags, index, start, count, fds) \
    { ASK(id, "0800", "24000000") "14000000 " flags " " index " " start " " count, \
      NULL, fds, SAY(id, "0800", "10000000"), NULL, false, false }

/* Accesses to region 7: `size` of the message with the data. */
#define CONFIG_READ(id, offset, count, size, data) \
    { ASK(id, "0900", "20000000") offset " 07000000 " count, NULL, 0, \
      SAY(id, "0900", size) offset " 07000000 " count " " data, NULL, false, false }
#define CONFIG_WRITE(id, offset, count, size, data) \
    { ASK(id, "0a00", size) offset " 07000000 " count " " data, NULL, 0, \
      SAY(id, "0a00", "20000000") offset " 07000000 " count, NULL, false, false }

/* 256 bytes of configuration space, of which only the ids are not 0. */
#define ZERO16 ZERO8 ZERO8
#define ZERO48 ZERO16 ZERO16 ZERO16
#define SPACE "34124656 00000000 00000000 00000000 " ZERO48 ZERO48 ZERO48 ZERO48 ZERO48

/* DMA_MAP: flags, offset, address, size. */
#define MAP(id, flags, offset, address, size, fds, queued) \
    { ASK(id, "0200", "30000000") "20000000 " flags " " offset " " address " " size, \
      NULL, fds, SAY(id, "0200", "10000000"), NULL, false, queued }

#define UNMAP(id, flags, address, size) \
    { ASK(id, "0300", "28000000") "18000000 " flags " " address " " size, NULL, 0, \
      SAY(id, "0300", "28000000") "18000000 " flags " " address " " size, \
      NULL, false, false }

/* 20 bytes and 194 of JSON with its NUL are 214, what a real one sends. */
#define QEMU_JSON \
    "{\"capabilities\": {\"pgsizes\": 4096, \"max_msg_fds\": 16, \"max_dma_maps\": " \
    "65535, \"max_data_xfer_size\": 1048576, \"migration\": {\"pgsize\": 4096, " \
    "\"max_bitmap_size\": 268435456}, \"write_multiple\": true}}"
#define SERVER_JSON \
    "{\"capabilities\":{\"max_msg_fds\":2,\"max_data_xfer_size\":1048576," \
    "\"migration\":{\"pgsize\":4096}}}"

static const struct turn qemu_turns[] = {
    { ASK("0000", "0100", "d6000000") "0000 0000", QEMU_JSON, 0,
      SAY("0000", "0100", "70000000") "0000 0000", SERVER_JSON, false, false },
    MAP("0100", "03000000", "0000000000000000", "0000000000000000", "0000200000000000",
        1, true),
    MAP("0200", "01000000", "0000000000000000", "0000fcff00000000", "0000040000000000",
        0, true),
    MAP("0300", "03000000", "0000200000000000", "0000000001000000", "0000200000000000",
        1, false),
    INFO("0400"),
    REGION("0500", "00000000", "03000000", "0010000000000000"),
    SPARSE_REGION("0600", "0700"),
    NO_REGION("0800", "02000000"),
    NO_REGION("0900", "03000000"),
    NO_REGION("0a00", "04000000"),
    NO_REGION("0b00", "05000000"),
    REGION("0c00", "07000000", "03000000", "0001000000000000"),
    IRQ("0d00", "03000000", "01000000"),
    CONFIG_READ("0e00", "0000000000000000", "00010000", "20010000", SPACE),
    CONFIG_READ("0f00", "3000000000000000", "04000000", "24000000", "00000000"),
    CONFIG_WRITE("1000", "3000000000000000", "04000000", "24000000", "00f8ffff"),
    CONFIG_READ("1100", "3000000000000000", "04000000", "24000000", "00f8ffff"),
    CONFIG_WRITE("1200", "3000000000000000", "04000000", "24000000", "00000000"),
    IRQ("1300", "00000000", "01000000"),
    SET("1400", "24000000", "00000000", "00000000", "01000000", 1),
    SET("1500", "11000000", "00000000", "00000000", "01000000", 0),
    CONFIG_WRITE("1600", "0400000000000000", "02000000", "22000000", "0604"),
    { TELL("1700", "0a00", "24000000") "0c00000000000000 00000000 04000000 01efcdab",
      NULL, 0, NULL, NULL, false, false },
    IRQ("1800", "02000000", "04000000"),
    SET("1900", "21000000", "00000000", "00000000", "00000000", 0),
    SET("1a00", "24000000", "02000000", "00000000", "01000000", 0),
    SET("1b00", "24000000", "02000000", "00000000", "02000000", 2),
    SET("1c00", "24000000", "02000000", "02000000", "01000000", 0),
    SET("1d00", "24000000", "02000000", "03000000", "01000000", 1),
    SET("1e00", "21000000", "02000000", "00000000", "00000000", 0),
    { ASK("1f00", "0d00", "10000000"), NULL, 0, SAY("1f00", "0d00", "10000000"), NULL,
      false, false },
    UNMAP("2000", "00000000", "0000000001000000", "0000200000000000"),
    UNMAP("2100", "02000000", "0000000000000000", "0000000000000000"),
    { NULL, NULL, 0, NULL, NULL, false, false },
};

#define CLOUD_HYPERVISOR_JSON \
    "{\"capabilities\":{\"max_msg_fds\":1,\"max_data_xfer_size\":1048576," \
    "\"migration\":{\"pgsize\":4096}}}"

static const struct turn cloud_hypervisor_turns[] = {
    { ASK("0000", "0100", "70000000") "0000 0100", CLOUD_HYPERVISOR_JSON, 0,
      SAY("0000", "0100", "70000000") "0000 0100", SERVER_JSON, false, false },
    INFO("0100"),
    REGION("0200", "00000000", "03000000", "0010000000000000"),
    SPARSE_REGION("0300", "0400"),
    NO_REGION("0500", "02000000"),
    NO_REGION("0600", "03000000"),
    NO_REGION("0700", "04000000"),
    NO_REGION("0800", "05000000"),
    NO_REGION("0900", "06000000"),
    REGION("0a00", "07000000", "03000000", "0001000000000000"),
    NO_REGION("0b00", "08000000"),
    CONFIG_READ("0c00", "3400000000000000", "01000000", "21000000", "40"),
    CONFIG_READ("0d00", "4000000000000000", "01000000", "21000000", "11"),
    CONFIG_READ("0e00", "4100000000000000", "01000000", "21000000", "00"),
    IRQ("0f00", "02000000", "04000000"),
    IRQ("1000", "00000000", "01000000"),
    SET("1100", "24000000", "00000000", "00000000", "01000000", 1),
    MAP("1200", "03000000", "0000000000000000", "0000000000000000", "0000400000000000",
        1, false),
    CONFIG_WRITE("1300", "1000000000000000", "04000000", "24000000", "ffffffff"),
    CONFIG_READ("1400", "1000000000000000", "04000000", "24000000", "00f0ffff"),
    SET("1500", "11000000", "00000000", "00000000", "01000000", 0),
    SET("1600", "21000000", "00000000", "00000000", "00000000", 0),
    SET("1700", "24000000", "02000000", "00000000", "02000000", 2),
    SET("1800", "24000000", "02000000", "02000000", "02000000", 2),
    SET("1900", "21000000", "02000000", "00000000", "00000000", 0),
    UNMAP("1a00", "00000000", "0000000000000000", "0000400000000000"),
    { NULL, NULL, 0, NULL, NULL, false, false },
};

static const struct turn spdk_turns[] = {
    { ASK("0000", "0100", "14000000") "0000 0100", NULL, 0,
      SAY("0000", "0100", "70000000") "0000 0100", SERVER_JSON, false, false },
    INFO("0100"),
    REGION("0200", "00000000", "03000000", "0010000000000000"),
    SPARSE_REGION("0300", "0400"),
    NO_REGION("0500", "02000000"),
    NO_REGION("0600", "03000000"),
    NO_REGION("0700", "04000000"),
    NO_REGION("0800", "05000000"),
    NO_REGION("0900", "06000000"),
    REGION("0a00", "07000000", "03000000", "0001000000000000"),
    NO_REGION("0b00", "08000000"),
    MAP("0c00", "03000000", "0000000000000000", "00002000007f0000", "0000200000000000",
        1, false),
    MAP("0d00", "03000000", "0000200000000000", "00004000007f0000", "0000200000000000",
        1, false),
    CONFIG_READ("0e00", "0400000000000000", "02000000", "22000000", "0000"),
    CONFIG_WRITE("0f00", "0400000000000000", "02000000", "22000000", "0604"),
    { ASK("1000", "0a00", "24000000") "0c00000000000000 00000000 04000000 01004600",
      NULL, 0, SAY("1000", "0a00", "20000000") "0c00000000000000 00000000 04000000",
      NULL, false, false },
    { ASK("1100", "0900", "20000000") "0c00000000000000 00000000 04000000", NULL, 0,
      SAY("1100", "0900", "24000000")
      "0c00000000000000 00000000 04000000 01004600", NULL, false, false },
    UNMAP("1200", "00000000", "00002000007f0000", "0000200000000000"),
    UNMAP("1300", "00000000", "00004000007f0000", "0000200000000000"),
    { NULL, NULL, 0, NULL, NULL, false, false },
};

/* -------------------------------------------------------------------- tests -- */

struct client_kind {
    const struct turn *turns;
    const char *json;           /* what it proposes */
    int minor;
    void (*sequence)(struct guest *g);
};

static const struct client_kind qemu = {
    qemu_turns, QEMU_JSON, VFUC_MINOR_0, like_qemu,
};
static const struct client_kind cloud_hypervisor = {
    cloud_hypervisor_turns, CLOUD_HYPERVISOR_JSON, 1, like_cloud_hypervisor,
};
static const struct client_kind spdk = { spdk_turns, "", 1, like_spdk };

static struct vfuc_options options_of(const struct client_kind *kind, char *why,
                                      size_t len)
{
    return (struct vfuc_options){
        .size = sizeof(struct vfuc_options),
        .timeout_ms = ANSWER_MS,
        .minor = kind->minor,
        .capabilities = kind->json,
        .error = why,
        .error_len = len,
    };
}

static void byte_for_byte(const struct client_kind *kind)
{
    char why[200] = "";
    struct vfuc_options options = options_of(kind, why, sizeof(why));
    struct peer p = { .turns = kind->turns };
    struct guest g;
    int ends[2];
    int err;

    SKIP_UNLESS_LITTLE_ENDIAN();
    get_ready(&g);
    p.region_fd = g.memory;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    p.fd = ends[1];
    assert_int_equal(pthread_create(&p.thread, NULL, converse, &p), 0);
    err = vfuc_connect_fd(ends[0], &options, &g.dev);
    if (err == 0)
        kind->sequence(&g);
    else
        g.dev = NULL;
    if (err < 0)
        shutdown(p.fd, SHUT_RDWR);
    pthread_join(p.thread, NULL);
    close(p.fd);
    assert_string_equal(p.fault, "");
    assert_string_equal(why, "");
    put_away(&g);
}

/* A failed expectation in the sequence leaves the thread behind: it ends by itself. */
static void qemus_bytes_are_those_of_the_tables(void **state)
{
    (void)state;
    byte_for_byte(&qemu);
}

static void cloud_hypervisors_bytes_are_those_of_the_tables(void **state)
{
    (void)state;
    byte_for_byte(&cloud_hypervisor);
}

static void spdks_bytes_are_those_of_the_tables(void **state)
{
    (void)state;
    byte_for_byte(&spdk);
}

/* ------------------------------------------------------------------- server -- */

static struct {
    char dir[32], path[64];
    pid_t pid;
} server;

static int start_server(void **state)
{
    const char *program = getenv("VUC_SERVER");

    (void)state;
    strcpy(server.dir, "/tmp/vuc-test-XXXXXX");
    if (program == NULL || mkdtemp(server.dir) == NULL)
        return -1;
    snprintf(server.path, sizeof(server.path), "%s/sock", server.dir);
    server.pid = fork();
    if (server.pid == 0) {
        execl(program, program, server.path, (char *)NULL);
        _exit(127);
    }
    return server.pid > 0 ? 0 : -1;
}

static int stop_server(void **state)
{
    int status = -1;

    (void)state;
    kill(server.pid, SIGTERM);
    waitpid(server.pid, &status, 0);
    unlink(server.path);
    rmdir(server.dir);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

/* The server is there once it accepts; until then its socket is missing or refuses. */
static int connect_to_server(const struct vfuc_options *options, struct vfuc_client **dev)
{
    int64_t end = now_ms() + ANSWER_MS;
    int err;

    do {
        err = vfuc_connect(server.path, options, dev);
    } while ((err == -ENOENT || err == -ECONNREFUSED) && now_ms() < end
             && poll(NULL, 0, 5) == 0);
    return err;
}

static void against_our_server(const struct client_kind *kind)
{
    char why[200] = "";
    struct vfuc_options options = options_of(kind, why, sizeof(why));
    struct guest g;

    get_ready(&g);
    if (connect_to_server(&options, &g.dev) < 0)
        fail_msg("%s", why);
    kind->sequence(&g);
    put_away(&g);
}

static void our_server_takes_qemus_sequence(void **state)
{
    (void)state;
    against_our_server(&qemu);
}

static void our_server_takes_cloud_hypervisors_sequence(void **state)
{
    (void)state;
    against_our_server(&cloud_hypervisor);
}

static void our_server_takes_spdks_sequence(void **state)
{
    (void)state;
    against_our_server(&spdk);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(qemus_bytes_are_those_of_the_tables),
    VU_FD_TEST(cloud_hypervisors_bytes_are_those_of_the_tables),
    VU_FD_TEST(spdks_bytes_are_those_of_the_tables),
    VU_FD_TEST(our_server_takes_qemus_sequence),
    VU_FD_TEST(our_server_takes_cloud_hypervisors_sequence),
    VU_FD_TEST(our_server_takes_spdks_sequence),
};

int main(void)
{
    return cmocka_run_group_tests_name("attach", tests, start_server, stop_server) != 0;
}
