/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the device gets when it asks about guest memory: entries, pointers, refusals.
 * And that an entry which outlived its window is refused.
 */
#include "libserver/tests/dirty.h"

#include <pthread.h>
#include <stdio.h>

#define READ  VU_DMA_READABLE
#define WRITE VU_DMA_WRITEABLE
#define BOTH  (READ | WRITE)

static struct answer map(struct core *c, uint64_t address, uint64_t size, uint32_t flags,
                         int fd)
{
    struct vu_dma_map m = { .flags = flags, .address = address, .size = size };

    return core_dma_map(c, m, fd);
}

/* A window with memory of its own. */
static void add(struct core *c, uint64_t address, uint64_t size, uint32_t flags)
{
    struct answer a = try_map(c, address, size, flags);

    assert_answer_ok(&a, 0);
}

/* One entry. */
static void find(struct core *c, uint64_t address, size_t len, int prot, dma_sg_t *sg)
{
    void *addr = (void *)(uintptr_t)address;

    assert_int_equal(vfu_addr_to_sgl(c->ctx, addr, len, sg, 1, prot), 1);
}

/* -------------------------------------------------------------- look-up -- */

static void look_up_gives_one_entry_per_window(void **state)
{
    struct core c;
    dma_sg_t sg[4];
    struct iovec iov[4];

    (void)state;
    core_begin(&c);
    add(&c, 0x1000, 0x1000, BOTH);
    add(&c, 0x2000, 0x2000, BOTH);
    add(&c, 0x4000, 0x1000, READ);
    assert_int_equal(vfu_addr_to_sgl(c.ctx, (void *)0x1800, 0x3000, sg, 4, PROT_READ), 3);
    assert_int_equal(sg[0].offset, 0x800);
    assert_int_equal(sg[0].length, 0x800);
    assert_ptr_equal(sg[0].dma_addr, (void *)0x1000);
    assert_false(sg[0].writeable);
    assert_int_equal(sg[1].offset, 0);
    assert_int_equal(sg[1].length, 0x2000);
    assert_int_equal(sg[2].length, 0x800);
    assert_true(vfu_sg_is_mappable(c.ctx, &sg[2]));
    assert_int_equal(vfu_sgl_get(c.ctx, sg, iov, 3, 0), 0);
    assert_int_equal(iov[1].iov_len, 0x2000);
    memset(iov[1].iov_base, 1, iov[1].iov_len);
    vfu_sgl_put(c.ctx, sg, iov, 3);
    core_end(&c);
}

static void look_up_keeps_its_conventions(void **state)
{
    struct core c;
    dma_sg_t sg[4];
    vfu_ctx_t *ctx;

    (void)state;
    core_begin(&c);
    ctx = c.ctx;
    add(&c, 0x1000, 0x1000, BOTH);
    add(&c, 0x2000, 0x1000, READ);
    add(&c, 0x4000, 0x1000, BOTH);
    assert_int_equal(vfu_addr_to_sgl(ctx, (void *)0x1000, 0, sg, 4, PROT_READ), 0);
    errno = 1;
    assert_int_equal(vfu_addr_to_sgl(ctx, (void *)0x1000, 0x2000, sg, 1, PROT_READ), -3);
    assert_int_equal(errno, 0);
    assert_int_equal(vfu_addr_to_sgl(ctx, (void *)0x1000, 1, sg, 0, PROT_READ), -2);
    assert_int_equal(vfu_addr_to_sgl(ctx, (void *)0x1000, 0x2000, sg, 4, PROT_WRITE), -1);
    assert_int_equal(errno, EACCES);
    assert_int_equal(vfu_addr_to_sgl(ctx, (void *)0x1000, 0x2001, sg, 4, PROT_READ), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(vfu_addr_to_sgl(ctx, (void *)0xfff, 1, sg, 4, PROT_READ), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(vfu_addr_to_sgl(ctx, (void *)0x1000, SIZE_MAX, sg, 4, PROT_READ),
                     -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(vfu_addr_to_sgl(ctx, (void *)0x1000, 1, sg, 4, PROT_WRITE), 1);
    assert_true(sg[0].writeable);
    core_end(&c);
}

/* A device that got a pointer here would fault on it. */
static void look_up_grants_what_the_window_permits_and_no_more(void **state)
{
    static const uint32_t windows[] = { 0, READ, WRITE, BOTH };
    static const int wanted[] = { 0, PROT_READ, PROT_WRITE, PROT_READ | PROT_WRITE };
    struct core c;
    struct iovec iov;
    dma_sg_t sg;

    (void)state;
    core_begin(&c);
    for (size_t i = 0; i < 4; i++)
        add(&c, 0x1000 * (i + 1), 0x1000, windows[i]);
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < 4; k++) {
            void *addr = (void *)(0x1000 * (i + 1));
            int ret = vfu_addr_to_sgl(c.ctx, addr, 8, &sg, 1, wanted[k]);

            assert_int_equal(ret, (i & k) == k ? 1 : -1);
            if (ret == -1)
                assert_int_equal(errno, EACCES);
        }
    }
    assert_int_equal(vfu_addr_to_sgl(c.ctx, (void *)0x1000, 8, &sg, 1, 0), 1);
    assert_int_equal(vfu_sgl_get(c.ctx, &sg, &iov, 1, 0), -1);
    assert_int_equal(errno, EFAULT);
    core_end(&c);
}

static void look_up_works_at_the_last_address(void **state)
{
    struct core c;
    dma_sg_t sg[2];
    uint64_t top = UINT64_MAX - 0xfff;

    (void)state;
    core_begin(&c);
    map(&c, top, 0x1000, BOTH, -1);
    map(&c, 0, 0x1000, BOTH, -1);
    assert_int_equal(vfu_addr_to_sgl(c.ctx, (void *)top, 0x1000, sg, 2, PROT_READ), 1);
    assert_int_equal(sg[0].length, 0x1000);
    assert_int_equal(vfu_addr_to_sgl(c.ctx, (void *)top, 0x1001, sg, 2, PROT_READ), -1);
    assert_int_equal(errno, ENOENT);
    core_end(&c);
}

static void entries_that_cannot_be_mapped_say_so(void **state)
{
    struct core c;
    dma_sg_t sg[1];
    dma_sg_t zero = { 0 };
    struct iovec iov[1];

    (void)state;
    core_begin(&c);
    map(&c, 0x1000, 0x1000, BOTH, -1);
    assert_int_equal(vfu_addr_to_sgl(c.ctx, (void *)0x1000, 16, sg, 1, PROT_READ), 1);
    assert_false(vfu_sg_is_mappable(c.ctx, sg));
    assert_int_equal(vfu_sgl_get(c.ctx, sg, iov, 1, 0), -1);
    assert_int_equal(errno, EFAULT);
    assert_int_equal(vfu_sgl_get(c.ctx, &zero, iov, 1, 0), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(vfu_sgl_get(c.ctx, sg, iov, 0, 0), -1);
    assert_int_equal(dma_sg_size(), 40);
    core_end(&c);
}

/* What C programs and language bindings see of an entry. */
static void an_entry_has_the_layout_that_users_know(void **state)
{
    struct core c;
    uint8_t sg[40];
    uint64_t field[4];

    (void)state;
    core_begin(&c);
    add(&c, 0x10000, 0x1000, BOTH);
    memset(sg, 0xa5, sizeof(sg));
    find(&c, 0x10123, 0x45, PROT_WRITE, (dma_sg_t *)(void *)sg);
    memcpy(field, sg, sizeof(field));
    assert_int_equal(field[0], 0x10000);
    assert_int_not_equal(field[1] & UINT32_MAX, 0);
    assert_int_equal(field[2], 0x45);
    assert_int_equal(field[3], 0x123);
    assert_int_equal(sg[32], 1);
    core_end(&c);
}

static void an_entry_may_be_copied(void **state)
{
    uint8_t copy[2][40];
    struct core c;
    struct iovec iov[2];
    dma_sg_t sg;

    (void)state;
    core_begin(&c);
    add(&c, 0x10000, 0x1000, BOTH);
    find(&c, 0x10010, 8, PROT_WRITE, &sg);
    memcpy(copy[0], &sg, 40);
    memcpy(copy[1], &sg, 40);
    assert_int_equal(vfu_sgl_get(c.ctx, (dma_sg_t *)(void *)copy, iov, 2, 0), 0);
    assert_ptr_equal(iov[0].iov_base, iov[1].iov_base);
    assert_int_equal(iov[0].iov_len, 8);
    vfu_sgl_put(c.ctx, (dma_sg_t *)(void *)copy, iov, 2);
    vfu_sgl_put(c.ctx, (dma_sg_t *)(void *)copy, iov, 2);    /* twice is harmless */
    core_end(&c);
}

static void get_knows_no_flags(void **state)
{
    struct core c;
    struct iovec iov;
    dma_sg_t sg;

    (void)state;
    core_begin(&c);
    add(&c, 0x10000, 0x1000, BOTH);
    find(&c, 0x10000, 8, PROT_READ, &sg);
    assert_int_equal(vfu_sgl_get(c.ctx, &sg, &iov, 1, 1), -1);
    assert_int_equal(errno, EINVAL);
    core_end(&c);
}

/* A range over many windows, in the order of addresses, of which some fit. */
static void more_windows_than_entries_are_counted(void **state)
{
    void *from = (void *)0x10800;
    dma_sg_t sg[5];
    struct core c;

    (void)state;
    core_begin(&c);
    for (uint64_t i = 8; i-- > 0;)
        add(&c, 0x10000 + i * 0x1000, 0x1000, BOTH);
    memset(sg, 0, sizeof(sg));
    errno = EIO;
    assert_int_equal(vfu_addr_to_sgl(c.ctx, from, 0x7000, sg, 4, PROT_READ), -9);
    assert_int_equal(errno, 0);
    assert_int_equal(sg[4].region, 0);      /* not one more is written */
    assert_int_equal(vfu_addr_to_sgl(c.ctx, from, 0x7800, sg, 4, PROT_READ), -9);
    assert_int_equal(vfu_addr_to_sgl(c.ctx, from, 0x7801, sg, 4, PROT_READ), -1);
    assert_int_equal(errno, ENOENT);
    core_end(&c);
}

static void without_dma_there_is_nothing_to_look_up(void **state)
{
    vfu_ctx_t *ctx = vus_ctx_new(0, NULL);
    dma_sg_t sg;

    (void)state;
    assert_non_null(ctx);
    assert_int_equal(vfu_addr_to_sgl(ctx, (void *)0x1000, 1, &sg, 1, PROT_READ), -1);
    assert_int_equal(errno, EINVAL);
    vfu_destroy_ctx(ctx);
}

/* ------------------------------------------------------ outdated entries -- */

static void assert_gone(struct core *c, dma_sg_t *sg)
{
    struct iovec iov = { .iov_len = 4711 };

    assert_int_equal(vfu_sgl_get(c->ctx, sg, &iov, 1, 0), -1);
    assert_int_equal(errno, EFAULT);
    assert_int_equal(iov.iov_len, 4711);
    assert_false(vfu_sg_is_mappable(c->ctx, sg));
    vfu_sgl_mark_dirty(c->ctx, sg, 1);
    vfu_sgl_put(c->ctx, sg, &iov, 1);
}

/* The next window is in the same place: in guest memory, and in ours. */
static void entries_do_not_outlive_their_window(void **state)
{
    struct core c;
    dma_sg_t old, fresh;
    struct answer a;

    (void)state;
    log_begin(&c);
    start(&c, PAGE);
    add(&c, 0x10000, 0x1000, BOTH);
    find(&c, 0x10000, 8, PROT_WRITE, &old);
    unmap_ram(&c, 0x10000, 0x1000);
    assert_gone(&c, &old);
    add(&c, 0x10000, 0x1000, BOTH);
    find(&c, 0x10000, 8, PROT_WRITE, &fresh);
    assert_int_equal(fresh.region, old.region);     /* the very case this is about */
    assert_gone(&c, &old);
    assert_true(vfu_sg_is_mappable(c.ctx, &fresh));
    a = report(&c, 0x10000, 0x1000, PAGE);
    assert_pages(&a, 0, NULL);
    vus_dma_drop_all(c.ctx);
    assert_gone(&c, &old);
    assert_gone(&c, &fresh);
    core_end(&c);
}

static void only_entries_for_writing_are_marked(void **state)
{
    struct core c;
    struct iovec iov[2];
    struct answer a;
    dma_sg_t sg[2];

    (void)state;
    log_begin(&c);
    add(&c, 0x10000, 4 * PAGE, BOTH);
    start(&c, PAGE);
    find(&c, 0x10000, 8, PROT_READ, &sg[0]);
    find(&c, 0x11000, 8, PROT_READ | PROT_WRITE, &sg[1]);
    assert_int_equal(vfu_sgl_get(c.ctx, sg, iov, 2, 0), 0);
    a = report(&c, 0x10000, 4 * PAGE, PAGE);
    assert_pages(&a, 0, NULL);                      /* not by get */
    vfu_sgl_put(c.ctx, sg, iov, 2);
    a = report(&c, 0x10000, 4 * PAGE, PAGE);
    assert_pages(&a, 1, (const uint64_t[]){ 1 });
    vfu_sgl_mark_dirty(c.ctx, sg, 2);
    a = report(&c, 0x10000, 4 * PAGE, PAGE);
    assert_pages(&a, 1, (const uint64_t[]){ 1 });
    vfu_sgl_mark_dirty(c.ctx, sg, 0);
    a = report(&c, 0x10000, 4 * PAGE, PAGE);
    assert_pages(&a, 0, NULL);
    core_end(&c);
}

/* ---------------------------------------------------------------- pins -- */

static void pins_tell_entries_apart(void **state)
{
    dma_sg_t zero = { 0 };
    struct vus_window *w;
    struct core c;
    dma_sg_t sg;
    int err = 0;

    (void)state;
    core_begin(&c);
    assert_null(vus_window_pin(&zero, &err));
    assert_int_equal(err, -EINVAL);
    add(&c, 0x10000, 0x1000, BOTH);
    find(&c, 0x10000, 8, PROT_WRITE, &sg);
    w = vus_window_pin(&sg, &err);
    assert_non_null(w);
    assert_int_equal(vus_window_first(w), 0x10000);
    assert_int_equal(vus_window_last(w), 0x10fff);
    assert_false(vus_window_idle(w));
    vus_window_unpin(w);
    assert_true(vus_window_idle(w));
    unmap_ram(&c, 0x10000, 0x1000);
    assert_null(vus_window_pin(&sg, &err));
    assert_int_equal(err, -EFAULT);
    assert_true(vus_window_idle(w));
    core_end(&c);
}

struct holder {
    struct vus_window *window;
    atomic_bool removed;        /* DMA_UNMAP has returned */
    bool early;                 /* it had, with the pin still there */
    uint8_t byte;
};

static void *hold_pin(void *arg)
{
    struct holder *h = arg;
    struct timespec soon = { .tv_nsec = 10 * 1000 * 1000 };

    /* The remover waits from here on, or is about to; unless it went wrong. */
    while ((atomic_load(&h->window->pins) & VUS_WINDOW_AWAITED) == 0 &&
           !atomic_load(&h->removed))
        sched_yield();
    nanosleep(&soon, NULL);     /* let it sleep, or go wrong */
    h->early = atomic_load(&h->removed);
    if (!h->early)
        h->byte = *(volatile uint8_t *)h->window->info.vaddr;
    vus_window_unpin(h->window);
    return NULL;
}

static void an_unmap_waits_for_pins(void **state)
{
    struct holder h = { .early = false };
    pthread_t thread;
    struct core c;
    dma_sg_t sg;
    int err;

    (void)state;
    core_begin(&c);
    add(&c, 0x10000, 0x1000, BOTH);
    find(&c, 0x10000, 8, PROT_WRITE, &sg);
    h.window = vus_window_pin(&sg, &err);
    assert_non_null(h.window);
    *(uint8_t *)h.window->info.vaddr = 0x5a;
    assert_int_equal(pthread_create(&thread, NULL, hold_pin, &h), 0);
    unmap_ram(&c, 0x10000, 0x1000);
    atomic_store(&h.removed, true);
    pthread_join(thread, NULL);
    assert_false(h.early);
    assert_int_equal(h.byte, 0x5a);
    assert_int_equal(atomic_load(&h.window->pins), 0);
    core_end(&c);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(look_up_gives_one_entry_per_window),
    VU_FD_TEST(look_up_keeps_its_conventions),
    VU_FD_TEST(look_up_grants_what_the_window_permits_and_no_more),
    VU_FD_TEST(look_up_works_at_the_last_address),
    VU_FD_TEST(entries_that_cannot_be_mapped_say_so),
    VU_FD_TEST(an_entry_has_the_layout_that_users_know),
    VU_FD_TEST(an_entry_may_be_copied),
    VU_FD_TEST(get_knows_no_flags),
    VU_FD_TEST(more_windows_than_entries_are_counted),
    VU_FD_TEST(without_dma_there_is_nothing_to_look_up),
    VU_FD_TEST(entries_do_not_outlive_their_window),
    VU_FD_TEST(only_entries_for_writing_are_marked),
    VU_FD_TEST(pins_tell_entries_apart),
    VU_FD_TEST(an_unmap_waits_for_pins),
};

VU_TEST_MAIN(tests)
