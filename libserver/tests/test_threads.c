/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device's threads use guest memory while the client, on the context's thread,
 * maps, unmaps, logs, resets and leaves. Whatever they are told must be of one window,
 * and memory that they have pinned must be that window's.
 *
 * Only the test's own thread may use assertions: the others count what is wrong.
 */
#include "libserver/tests/dirty.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define ROUNDS 6000u
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define ROUNDS 6000u
#endif
#endif
#ifndef ROUNDS
#define ROUNDS 40000u
#endif

#define THREADS 8
#define FILES   4u
#define SLOTS   512u    /* windows of one page, next to each other */

/* xorshift: the same numbers everywhere. */
static uint64_t draw(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

enum wrong { RETURN, ERRNO, ENTRY, POINTER, PIN, MEMORY, N_WRONG };

struct world {
    struct core core;
    int files[FILES];       /* page i of each begins with the number i */
    bool there[SLOTS];
    atomic_bool stop;
    atomic_ulong wrong[N_WRONG];
    atomic_ulong found, missed, pinned, gone;
};

/* Every 16th has no memory here. */
static bool has_memory(uint64_t slot)
{
    return slot % 16 != 15;
}

static void check(struct world *w, bool right, enum wrong what)
{
    if (!right)
        atomic_fetch_add(&w->wrong[what], 1);
}

/* -------------------------------------------------------------- threads -- */

/* The window is what the entry says, with its memory, as long as it is pinned. */
static void use_entry(struct world *w, const dma_sg_t *sg, uint64_t slot)
{
    int err = 0;
    struct vus_window *window = vus_window_pin(sg, &err);
    uint64_t number;

    if (window == NULL) {
        check(w, err == -EFAULT, PIN);
        atomic_fetch_add_explicit(&w->gone, 1, memory_order_relaxed);
        return;
    }
    check(w, vus_window_first(window) == slot * PAGE, PIN);
    if (has_memory(slot)) {
        memcpy(&number, window->info.vaddr, sizeof(number));
        check(w, number == slot, MEMORY);
    }
    vus_window_unpin(window);
    atomic_fetch_add_explicit(&w->pinned, 1, memory_order_relaxed);
}

static void use_pointer(struct world *w, dma_sg_t *sg, uint64_t slot)
{
    vfu_ctx_t *ctx = w->core.ctx;
    struct iovec iov;
    int ret = vfu_sgl_get(ctx, sg, &iov, 1, 0);

    check(w, ret == 0 ? has_memory(slot) && iov.iov_len == sg->length : errno == EFAULT,
          POINTER);
    check(w, has_memory(slot) || !vfu_sg_is_mappable(ctx, sg), POINTER);
    vfu_sgl_mark_dirty(ctx, sg, 1);
    vfu_sgl_put(ctx, sg, &iov, 1);
}

/* One or two windows, from the middle of the first. */
static void look_up(struct world *w, uint64_t *random)
{
    uint64_t slot = draw(random) % (SLOTS - 1);
    uint64_t offset = 8 * (draw(random) % (PAGE / 16));
    size_t len = draw(random) % 4 == 0 ? PAGE : PAGE / 2;
    int windows = offset + len > PAGE ? 2 : 1;
    dma_sg_t sg[2];
    void *addr = (void *)(uintptr_t)(slot * PAGE + offset);
    int n = vfu_addr_to_sgl(w->core.ctx, addr, len, sg, 2, PROT_READ | PROT_WRITE);

    if (n == -1) {
        check(w, errno == ENOENT, ERRNO);
        atomic_fetch_add_explicit(&w->missed, 1, memory_order_relaxed);
        return;
    }
    check(w, n == windows, RETURN);
    for (int i = 0; i < n && i < windows; i++, slot++, offset = 0) {
        uint64_t end = i == 0 && windows == 2 ? PAGE - offset : len;

        check(w, sg[i].dma_addr == (void *)(uintptr_t)(slot * PAGE) &&
                 sg[i].offset == offset && sg[i].length == end && sg[i].writeable, ENTRY);
        use_pointer(w, &sg[i], slot);
        use_entry(w, &sg[i], slot);
        len -= end;
    }
    atomic_fetch_add_explicit(&w->found, 1, memory_order_relaxed);
}

static void *device_thread(void *arg)
{
    struct world *w = arg;
    uint64_t random = (uintptr_t)&random | 1;

    while (!atomic_load_explicit(&w->stop, memory_order_relaxed))
        look_up(w, &random);
    return NULL;
}

/* --------------------------------------------------------------- client -- */

static void all_gone(struct world *w)
{
    memset(w->there, 0, sizeof(w->there));
}

static void toggle(struct world *w, uint64_t slot)
{
    struct vu_dma_map m = { .flags = DATA_RW, .address = slot * PAGE, .size = PAGE };
    struct answer a;

    if (w->there[slot]) {
        unmap_ram(&w->core, slot * PAGE, PAGE);
    } else {
        m.offset = has_memory(slot) ? slot * PAGE : 0;
        a = core_dma_map(&w->core, m, has_memory(slot) ? w->files[slot % FILES] : -1);
        assert_answer_ok(&a, 0);
    }
    w->there[slot] = !w->there[slot];
}

static void unmap_all(struct world *w)
{
    struct answer a = core_dma_unmap(&w->core, (struct vu_dma_unmap){
                                     .flags = VU_DMA_UNMAP_ALL });

    assert_answer_ok(&a, VU_DMA_UNMAP_SIZE);
    all_gone(w);
}

static void reset_device(struct world *w)
{
    struct answer a = core_send(&w->core, VU_DEVICE_RESET, NULL, 0);

    assert_answer_ok(&a, 0);
}

static void leave_and_come_back(struct world *w)
{
    struct answer a;

    vus_ctx_reset(w->core.ctx);
    all_gone(w);
    a = core_version(&w->core, 0, 1, NULL);
    assert_int_equal(a.h.flags, VU_F_TYPE_REPLY);
}

static void log_something(struct world *w, uint64_t *random)
{
    uint64_t slot = draw(random) % SLOTS;

    switch (draw(random) % 4) {
    case 0:
        stop(&w->core);
        break;
    case 1:
        stop(&w->core);
        start(&w->core, PAGE);
        break;
    default:
        if (vus_dirty_on(w->core.ctx) && w->there[slot])
            report(&w->core, slot * PAGE, PAGE, PAGE);
    }
}

static void act(struct world *w, uint64_t *random)
{
    uint64_t what = draw(random) % 2000;

    if (what < 3)
        unmap_all(w);
    else if (what < 6)
        leave_and_come_back(w);
    else if (what < 20)
        reset_device(w);
    else if (what < 200)
        log_something(w, random);
    else
        toggle(w, draw(random) % SLOTS);
}

static void world_begin(struct world *w)
{
    memset(w, 0, sizeof(*w));
    log_begin(&w->core);
    assert_int_equal(vfu_setup_device_dma(w->core.ctx, SLOTS, core_register,
                                          core_unregister), 0);
    w->core.ctx->session.max_dma_maps = SLOTS;
    for (size_t f = 0; f < FILES; f++) {
        w->files[f] = core_memory(SLOTS * PAGE);
        for (uint64_t i = 0; i < SLOTS; i++)
            assert_int_equal(pwrite(w->files[f], &i, sizeof(i), (off_t)(i * PAGE)),
                             sizeof(i));
    }
}

static void world_end(struct world *w)
{
    for (size_t f = 0; f < FILES; f++)
        close(w->files[f]);
    core_end(&w->core);
}

static void threads_are_told_of_one_window_at_a_time(void **state)
{
    static struct world w;
    pthread_t threads[THREADS];
    uint64_t random = (uint64_t)time(NULL) | 1;

    (void)state;
    print_message("seed %llu\n", (unsigned long long)random);
    world_begin(&w);
    for (uint64_t i = 0; i < SLOTS; i += 2)
        toggle(&w, i);
    start(&w.core, PAGE);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, device_thread, &w), 0);
    /* Long enough, and until the threads have seen something. */
    for (unsigned round = 0; round < ROUNDS || atomic_load(&w.found) == 0 ||
                             atomic_load(&w.pinned) == 0; round++)
        act(&w, &random);
    atomic_store(&w.stop, true);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    print_message("found %lu, not there %lu, pinned %lu, gone meanwhile %lu\n",
                  atomic_load(&w.found), atomic_load(&w.missed), atomic_load(&w.pinned),
                  atomic_load(&w.gone));
    for (int i = 0; i < N_WRONG; i++)
        assert_int_equal(atomic_load(&w.wrong[i]), 0);
    world_end(&w);
}

/* ----------------------------------------------------------- long ranges -- */

#define FIXED   400u
#define LOOKUPS 300u

static void *look_far(void *arg)
{
    static dma_sg_t sg[FIXED];
    struct world *w = arg;
    vfu_ctx_t *ctx = w->core.ctx;

    for (unsigned i = 0; i < LOOKUPS; i++) {
        int n = vfu_addr_to_sgl(ctx, NULL, FIXED * PAGE, sg, FIXED, PROT_READ);

        check(w, n == (int)FIXED, RETURN);
        for (uint64_t k = 0; n == (int)FIXED && k < FIXED; k++)
            check(w, sg[k].dma_addr == (void *)(uintptr_t)(k * PAGE), ENTRY);
        /* One that does not fit is counted all the same. */
        n = vfu_addr_to_sgl(ctx, NULL, FIXED * PAGE, sg, 3, PROT_READ);
        check(w, n == -(int)FIXED - 1, RETURN);
    }
    atomic_store(&w->stop, true);
    return NULL;
}

/* A range over hundreds of windows takes longer than the time between two changes. */
static void a_long_look_up_gets_through_between_changes(void **state)
{
    static struct world w;
    uint64_t random = 3;
    pthread_t thread;

    (void)state;
    world_begin(&w);
    for (uint64_t i = 0; i < FIXED; i++)
        toggle(&w, i);
    assert_int_equal(pthread_create(&thread, NULL, look_far, &w), 0);
    while (!atomic_load_explicit(&w.stop, memory_order_relaxed))
        toggle(&w, FIXED + draw(&random) % (SLOTS - FIXED));
    pthread_join(thread, NULL);
    for (int i = 0; i < N_WRONG; i++)
        assert_int_equal(atomic_load(&w.wrong[i]), 0);
    world_end(&w);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(threads_are_told_of_one_window_at_a_time),
    VU_FD_TEST(a_long_look_up_gets_through_between_changes),
};

VU_TEST_MAIN(tests)
