/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Clients that leave: at any byte of any message, ten thousand times.
 *
 * What must be the same before and after: open descriptors, mappings of the process, bytes
 * allocated (exact only while malloc keeps no caches, see CMakeLists.txt). Both ends live in
 * this process.
 */
#include "libserver/tests/life.h"

#include <malloc.h>

#define CYCLES  10000
#define WARM_UP 100         /* allocations that last: buffers, tables, stdio */

struct resources {
    int fds;
    int mappings;
    size_t allocated;       /* bytes */
};

static int count_mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    int n = 0;
    int c;

    assert_non_null(maps);
    while ((c = getc(maps)) != EOF)
        n += c == '\n';
    fclose(maps);
    return n;
}

static struct resources resources(void)
{
    return (struct resources){
        .fds = vu_test_open_fds(),
        .mappings = count_mappings(),
        .allocated = mallinfo2().uordblks,
    };
}

static void assert_same(struct resources before, struct resources after)
{
    assert_int_equal(after.fds, before.fds);
    assert_int_equal(after.mappings, before.mappings);
    /* Sanitizers have an allocator of their own, which does not tell. */
    assert_int_equal(after.allocated, before.allocated);
}

/* ------------------------------------------------------------------ messages -- */

#define LONGEST 512

/* A message of the client with the descriptors that belong to it. */
struct sample {
    uint16_t command;
    size_t n_fds;
    bool eventfd;           /* kind of the descriptors; else memory */
    size_t len;
    uint8_t body[LONGEST];
};

static void put(struct sample *s, uint64_t value, size_t width)
{
    memcpy(s->body + s->len, &value, width);
    s->len += width;
}

static struct sample sample_map(uint64_t address, uint32_t mode, bool with_fd)
{
    struct sample s = { .command = VU_DMA_MAP, .n_fds = with_fd };

    put(&s, VU_DMA_MAP_SIZE, 4);
    put(&s, VU_DMA_READABLE | VU_DMA_WRITEABLE | mode, 4);
    put(&s, 0, 8);
    put(&s, address, 8);
    put(&s, 0x2000, 8);
    return s;
}

static struct sample sample_irqs(uint32_t index, uint32_t count)
{
    struct sample s = { .command = VU_DEVICE_SET_IRQS, .n_fds = count, .eventfd = true };

    put(&s, VU_IRQ_SET_SIZE, 4);
    put(&s, VU_IRQ_SET_DATA_EVENTFD | VU_IRQ_SET_ACTION_TRIGGER, 4);
    put(&s, index, 4);
    put(&s, 0, 4);
    put(&s, count, 4);
    return s;
}

static struct sample sample_write(uint32_t count)
{
    struct sample s = { .command = VU_REGION_WRITE };

    put(&s, 0, 8);
    put(&s, VFU_PCI_DEV_BAR0_REGION_IDX, 4);
    put(&s, count, 4);
    s.len += count;
    return s;
}

static struct sample sample_words(uint16_t command, size_t len, uint32_t argsz)
{
    struct sample s = { .command = command, .len = len };

    memcpy(s.body, &argsz, sizeof(argsz));
    return s;
}

/* One of everything that a client sends. */
#define N_SAMPLES 16

static struct sample sample_at(size_t i)
{
    switch (i) {
    case 0: return sample_map(0x10000, 0, true);
    case 1: return sample_map(0x20000, 0, false);
    case 2: return sample_map(0x30000, VU_DMA_FILE_IO, true);
    case 3: return sample_irqs(VFU_DEV_INTX_IRQ, 1);
    case 4: return sample_irqs(VFU_DEV_MSIX_IRQ, N_MSIX);
    case 5: return sample_irqs(VFU_DEV_ERR_IRQ, 1);
    case 6: return sample_words(VU_DEVICE_GET_INFO, VU_DEVICE_INFO_SIZE, 16);
    case 7: return sample_words(VU_DEVICE_GET_REGION_INFO, VU_REGION_INFO_SIZE, 256);
    case 8: return sample_words(VU_DEVICE_GET_REGION_IO_FDS, VU_REGION_IO_FDS_SIZE, 256);
    case 9: return sample_words(VU_DEVICE_GET_IRQ_INFO, VU_IRQ_INFO_SIZE, 16);
    case 10: return sample_write(64);
    case 11: return sample_words(VU_REGION_READ, VU_REGION_ACCESS_SIZE, 0);
    case 12: return sample_words(VU_DEVICE_RESET, 0, 0);
    case 13: return sample_words(VU_DEVICE_FEATURE, 16, 16);
    case 14: return sample_words(VU_MIG_DATA_READ, VU_MIG_DATA_SIZE, 64);
    default: return sample_words(VU_DMA_UNMAP, VU_DMA_UNMAP_SIZE, VU_DMA_UNMAP_SIZE);
    }
}

/* Send the first `len` bytes of the sample's message, descriptors with the first byte. */
static void send_part(int fd, const struct sample *s, size_t len)
{
    uint8_t bytes[VU_HEADER_SIZE + LONGEST];
    int fds[N_MSIX];

    put_message(bytes, 7, s->command, 0, s->body, s->len);
    if (len == 0)
        return;
    for (size_t i = 0; i < s->n_fds; i++)
        fds[i] = s->eventfd ? eventfd(0, EFD_CLOEXEC) : core_memory(0x4000);
    client_send_fds(fd, bytes, len, fds, s->n_fds);
    for (size_t i = 0; i < s->n_fds; i++)
        close(fds[i]);
}

/* All that the client has sent; without it the first reply would find the client gone. */
static void serve(struct life *l)
{
    int ret;

    do
        ret = vfu_run_ctx(l->core.ctx);
    while (ret > 0);
    assert_int_equal(ret, 0);
}

/* Until the server has seen the end of the client. */
static void serve_to_the_end(struct life *l)
{
    int ret;

    do
        ret = vfu_run_ctx(l->core.ctx);
    while (ret >= 0);
    assert_int_equal(errno, ENOTCONN);
}

/* ------------------------------------------------------------------- leaving -- */

static void clients_leave_at_any_byte_of_any_message(void **state)
{
    static struct life l;
    struct resources before = { 0 };

    (void)state;
    life_begin(&l, LIBVFIO_USER_FLAG_ATTACH_NB);
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < N_SAMPLES; i++) {
            struct sample s = sample_at(i);

            for (size_t len = 0; len <= VU_HEADER_SIZE + s.len; len++) {
                int fd = life_client(&l);

                send_part(fd, &s, len);
                serve(&l);
                close(fd);
                serve_to_the_end(&l);
            }
        }
        if (round == 0)     /* all that is allocated once has been */
            before = resources();
    }
    assert_same(before, resources());
    life_end(&l);
}

static void clients_leave_at_any_byte_of_version(void **state)
{
    static struct life l;
    uint8_t version[VERSION_BYTES];
    struct resources before = { 0 };

    (void)state;
    put_version(version);
    life_begin(&l, LIBVFIO_USER_FLAG_ATTACH_NB);
    for (size_t round = 0; round < 2; round++) {
        for (size_t len = 0; len < sizeof(version); len++) {
            int fd = client_connect(&l);

            if (len != 0)
                client_send(fd, version, len);
            close(fd);
            assert_int_equal(vfu_attach_ctx(l.core.ctx), -1);
            assert_int_equal(errno, len == 0 ? ENOMSG : ECONNRESET);
        }
        if (round == 0)
            before = resources();
    }
    assert_same(before, resources());
    life_end(&l);
}

/* One session: everything mapped and assigned, then a message that stays incomplete. */
static void one_session(struct life *l, size_t cycle)
{
    struct sample last = sample_at(cycle % N_SAMPLES);
    int fd = life_client(l);

    for (size_t i = 0; i < N_SAMPLES - 1; i++) {
        struct sample s = sample_at(i);

        send_part(fd, &s, VU_HEADER_SIZE + s.len);
    }
    serve(l);
    send_part(fd, &last, cycle % (VU_HEADER_SIZE + last.len));
    close(fd);
    serve_to_the_end(l);
}

static void ten_thousand_clients_leave_nothing_behind(void **state)
{
    static struct life l;
    struct resources before = { 0 };
    int unregistered;

    (void)state;
    life_begin(&l, LIBVFIO_USER_FLAG_ATTACH_NB);
    for (size_t cycle = 0; cycle < CYCLES; cycle++) {
        if (cycle == WARM_UP)
            before = resources();
        unregistered = l.core.seen.unregisters;
        one_session(&l, cycle);
        /* The session did what it says: three windows came and went. */
        assert_int_equal(l.core.seen.unregisters, unregistered + 3);
    }
    assert_same(before, resources());
    life_end(&l);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(clients_leave_at_any_byte_of_any_message),
    VU_FD_TEST(clients_leave_at_any_byte_of_version),
    VU_FD_TEST(ten_thousand_clients_leave_nothing_behind),
};

VU_TEST_MAIN(tests)
