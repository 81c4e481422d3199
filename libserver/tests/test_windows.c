/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many windows: against a model, a million of them, and when memory runs out.
 */
#include "libserver/tests/dirty.h"

#include <malloc.h>
#include <stdio.h>
#include <time.h>

#include "libserver/tests/alloc.h"

#define BOTH (VU_DMA_READABLE | VU_DMA_WRITEABLE)

static struct answer map(struct core *c, uint64_t address, uint64_t size, uint32_t flags,
                         int fd)
{
    struct vu_dma_map m = { .flags = flags, .address = address, .size = size };

    return core_dma_map(c, m, fd);
}

static struct answer unmap(struct core *c, uint64_t address, uint64_t size)
{
    struct vu_dma_unmap m = { .address = address, .size = size };

    return core_dma_unmap(c, m);
}

static int mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    int n = 0;

    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps) != NULL)
        n += strstr(line, "memfd:test") != NULL;
    fclose(maps);
    return n;
}

/* ---------------------------------------------------- failed allocations -- */

/* Straight to the handler: the helpers of these tests allocate too. fd: duplicated. */
static int map_directly(struct core *c, uint64_t address, uint64_t size, int fd)
{
    struct vu_dma_map m = {
        .argsz = VU_DMA_MAP_SIZE, .flags = BOTH, .address = address, .size = size,
    };
    struct vu_header h = { .command = VU_DMA_MAP };
    uint8_t body[VU_DMA_MAP_SIZE];
    struct vu_writer w = vu_writer(body, sizeof(body));
    struct vu_message msg;
    int err;

    vu_encode_dma_map(&w, &m);
    vu_message_init(&msg, &h, body, sizeof(body));
    if (fd != -1)
        msg.fds[msg.n_fds++] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    err = vus_on_dma_map(c->ctx, &msg, &c->reply);
    vu_message_done(&msg);
    return err;
}

/* The n-th allocation of mapping windows fails, for each n, until none does. */
static void a_map_that_runs_out_of_memory_leaves_nothing_behind(void **state)
{
    unsigned failures = 0;
    struct core c;

    (void)state;
    log_begin(&c);
    assert_int_equal(vfu_setup_device_dma(c.ctx, 1000, core_register, core_unregister),
                     0);
    c.ctx->session.max_dma_maps = 1000;
    start(&c, PAGE);
    for (uint64_t i = 0; i < 500; i++) {
        for (unsigned at = 1;; at++) {
            int fds = vu_test_open_fds();
            int maps = mappings();
            int registers = c.seen.registers;
            dma_sg_t sg;
            int err;

            alloc_fail(at, at % 2 == 0);
            err = map_directly(&c, i * PAGE, PAGE, c.memory);
            alloc_reset();
            if (err == 0)
                break;
            failures++;
            assert_int_equal(err, -ENOMEM);
            assert_int_equal(vu_test_open_fds(), fds);
            assert_int_equal(mappings(), maps);
            assert_int_equal(c.seen.registers, registers);
            assert_int_equal(vfu_addr_to_sgl(c.ctx, (void *)(uintptr_t)(i * PAGE), 1, &sg,
                                             1, PROT_WRITE), -1);
        }
    }
    assert_true(failures > 100);    /* each has a bitmap, some a slab or a node too */
    assert_int_equal(c.ctx->dma.n, 500);
    assert_int_equal(c.ctx->dma.slabs.n, 500 / VUS_SLAB_WINDOWS + 1);   /* none is lost */
    assert_int_equal(c.seen.registers, 500);
    vus_dma_drop_all(c.ctx);
    assert_int_equal(c.seen.unregisters, 500);
    assert_int_equal(mappings(), 0);
    core_end(&c);
}

/* -------------------------------------------------------------- many -- */

/* Sanitizers make everything slow that counts here. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define MANY 50000u
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define MANY 50000u
#endif
#endif
#ifndef MANY
#define MANY 1000000u
#endif

/* Each of n once, jumping about: the factor is a prime that does not divide n. */
static uint64_t jump(uint64_t i, uint64_t n)
{
    return i * 2654435761u % n;
}

static size_t bytes_in_use(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;     /* 0 under some sanitizers */
}

/* Of one file, mapped, in random order, with gaps so that nothing is joined. */
static void a_million_windows_take_96_bytes_each(void **state)
{
    clock_t start_time = clock();
    size_t before, after;
    struct core c;
    int fd;

    (void)state;
    core_begin(&c);
    assert_int_equal(vfu_setup_device_dma(c.ctx, MANY, core_register, core_unregister),
                     0);
    c.ctx->session.max_dma_maps = MANY;
    fd = core_memory(PAGE);
    before = bytes_in_use();
    for (uint64_t i = 0; i < MANY; i++)
        if (map_directly(&c, 2 * PAGE * jump(i, MANY), PAGE, fd) != 0)
            fail_msg("window %llu", (unsigned long long)i);
    after = bytes_in_use();
    print_message("%.1f bytes per window\n", (double)(after - before) / MANY);
    assert_in_range(after - before, 0, 96 * (size_t)MANY);
    assert_int_equal(map_directly(&c, PAGE, PAGE, fd), -EINVAL);    /* the limit */
    for (uint64_t i = 0; i < MANY; i++) {
        dma_sg_t sg[2];
        void *addr = (void *)(uintptr_t)(2 * PAGE * i);
        void *behind = (void *)(uintptr_t)(2 * PAGE * i + 1);

        if (vfu_addr_to_sgl(c.ctx, addr, PAGE, sg, 2, PROT_WRITE) != 1 ||
            sg[0].dma_addr != addr ||
            vfu_addr_to_sgl(c.ctx, behind, PAGE, sg, 2, PROT_WRITE) != -1)
            fail_msg("address %p", addr);
    }
    assert_int_equal(mappings(), 1);
    vus_dma_drop_all(c.ctx);
    assert_int_equal(c.seen.unregisters, MANY);
    assert_int_equal(mappings(), 0);
    close(fd);
    core_end(&c);
    assert_in_range((clock() - start_time) / CLOCKS_PER_SEC, 0, 60);
}

/* ---------------------------------------------------------------- model -- */

#define SLOTS 4096u     /* of 16 bytes */

struct model {
    uint16_t start[SLOTS];  /* slots of the window that begins here */
    uint16_t owner[SLOTS];  /* 1 + where the window begins that has this slot; 0: none */
};

static bool model_free(const struct model *m, size_t at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (m->owner[at + i] != 0)
            return false;
    return true;
}

static void model_set(struct model *m, size_t at, size_t n, bool there)
{
    m->start[at] = there ? (uint16_t)n : 0;
    for (size_t i = 0; i < n; i++)
        m->owner[at + i] = there ? (uint16_t)(at + 1) : 0;
}

/* What a look-up of that range gives: windows, or -1. */
static int model_look_up(const struct model *m, uint64_t addr, size_t len)
{
    int windows = 0;

    for (uint64_t slot = addr / 16; slot <= (addr + len - 1) / 16; slot++) {
        if (m->owner[slot] == 0)
            return -1;
        if (slot == addr / 16 || m->owner[slot] != m->owner[slot - 1])
            windows++;
    }
    return windows;
}

static void check_look_up(struct core *c, const struct model *m, uint64_t addr,
                          size_t len)
{
    static dma_sg_t sg[64];
    int expected = model_look_up(m, addr, len);
    int n = vfu_addr_to_sgl(c->ctx, (void *)(uintptr_t)addr, len, sg, 64, PROT_READ);

    assert_int_equal(n, expected <= 64 ? expected : -expected - 1);
    for (int i = 0; i < n; i++) {
        uint64_t base = 16 * (m->owner[addr / 16] - 1u);
        uint64_t rest = base + 16 * (uint64_t)m->start[base / 16] - addr;

        assert_ptr_equal(sg[i].dma_addr, (void *)(uintptr_t)base);
        assert_int_equal(sg[i].offset, addr - base);
        assert_int_equal(sg[i].length, rest < len ? rest : len);
        addr += sg[i].length;
        len -= sg[i].length;
    }
    if (n > 0)
        assert_int_equal(len, 0);
}

/* Random maps, unmaps and look-ups, against an array of slots. */
static void windows_agree_with_an_array(void **state)
{
    static struct model m;
    unsigned int seed = (unsigned int)time(NULL);
    struct core c;

    (void)state;
    print_message("seed %u\n", seed);
    core_begin(&c);
    assert_int_equal(vfu_setup_device_dma(c.ctx, SLOTS, NULL, NULL), 0);
    c.ctx->session.max_dma_maps = SLOTS;
    for (int round = 0; round < 100000; round++) {
        size_t at = (size_t)rand_r(&seed) % (SLOTS - 8);
        size_t n = 1 + (size_t)rand_r(&seed) % 8;
        bool filling = round / 10000 % 2 == 0;
        struct answer a;

        if (rand_r(&seed) % 8 < (filling ? 6 : 2)) {
            bool is_free = model_free(&m, at, n);

            a = map(&c, at * 16, n * 16, BOTH, -1);
            assert_int_equal(a.h.error, is_free ? 0 : EEXIST);
            if (is_free)
                model_set(&m, at, n, true);
        } else {
            if (rand_r(&seed) % 4 != 0 && m.owner[at] != 0) {
                at = m.owner[at] - 1u;
                n = m.start[at];
            }
            a = unmap(&c, at * 16, n * 16);
            assert_int_equal(a.h.error, m.start[at] == n ? 0 : ENOENT);
            if (m.start[at] == n)
                model_set(&m, at, n, false);
        }
        check_look_up(&c, &m, (uint64_t)rand_r(&seed) % (16 * (SLOTS - 64)),
                      1 + (size_t)rand_r(&seed) % (rand_r(&seed) % 4 != 0 ? 16 : 1000));
    }
    for (uint64_t i = 0; i < 16 * SLOTS; i++)
        check_look_up(&c, &m, i, 1);
    core_end(&c);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(a_map_that_runs_out_of_memory_leaves_nothing_behind),
    VU_FD_TEST(a_million_windows_take_96_bytes_each),
    VU_FD_TEST(windows_agree_with_an_array),
};

VU_TEST_MAIN(tests)
