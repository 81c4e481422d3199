/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ordered table: what it finds against a plain sorted array, what it costs, and
 * that readers on other threads never see a mixture.
 */
#include "wire/tests/support.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "libserver/table.h"
#include "libserver/tests/alloc.h"

/* Sanitizers make everything slow that counts here. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define MANY 100000u
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define MANY 100000u
#endif
#endif
#ifndef MANY
#define MANY 1000000u
#endif

/* xorshift: the same numbers everywhere. */
static uint64_t draw(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static bool find_floor(const struct vus_table *t, uint64_t key, uint32_t *ref)
{
    struct vus_try try = { .n = 0 };
    uint64_t seq;
    bool found;

    do {
        seq = vus_table_enter(t, &try);
        found = vus_table_floor(t, seq, key, ref);
    } while (!vus_table_leave(t, seq, &try));
    return found;
}

static size_t bytes_of(const struct vus_table *t)
{
    return t->nodes.n * sizeof(struct vus_node) << VUS_SLAB_NODES_LOG;
}

static size_t nodes_in_use(const struct vus_table *t)
{
    return t->n_made - t->n_free;
}

/* --------------------------------------------------------------- basics -- */

static void an_empty_table_finds_nothing(void **state)
{
    struct vus_table t;
    uint32_t ref;

    (void)state;
    vus_table_init(&t);
    assert_false(find_floor(&t, 0, &ref));
    assert_false(find_floor(&t, UINT64_MAX, &ref));
    assert_false(vus_table_ceiling(&t, 0, &ref));
    assert_int_equal(vus_table_insert(&t, 5, 1), 0);
    vus_table_remove(&t, 5);
    assert_false(find_floor(&t, UINT64_MAX, &ref));
    assert_false(vus_table_ceiling(&t, 0, &ref));
    assert_int_equal(nodes_in_use(&t), 0);
    vus_table_done(&t);
}

/* UINT64_MAX stands for "unused" in a node. */
static void the_first_and_the_last_key_are_keys_as_any_other(void **state)
{
    struct vus_table t;
    uint32_t ref = 0;

    (void)state;
    vus_table_init(&t);
    assert_int_equal(vus_table_insert(&t, UINT64_MAX, 7), 0);
    assert_false(find_floor(&t, UINT64_MAX - 1, &ref));
    assert_true(find_floor(&t, UINT64_MAX, &ref));
    assert_int_equal(ref, 7);
    assert_int_equal(vus_table_insert(&t, 0, 8), 0);
    assert_true(find_floor(&t, UINT64_MAX - 1, &ref));
    assert_int_equal(ref, 8);
    assert_true(vus_table_ceiling(&t, 1, &ref));
    assert_int_equal(ref, 7);
    for (uint32_t i = 1; i < 200; i++)
        assert_int_equal(vus_table_insert(&t, UINT64_MAX - i, 1000 + i), 0);
    assert_true(find_floor(&t, UINT64_MAX, &ref));
    assert_int_equal(ref, 7);
    assert_true(vus_table_ceiling(&t, UINT64_MAX, &ref));
    assert_int_equal(ref, 7);
    vus_table_remove(&t, UINT64_MAX);
    assert_true(find_floor(&t, UINT64_MAX, &ref));
    assert_int_equal(ref, 1001);
    assert_false(vus_table_ceiling(&t, UINT64_MAX, &ref));
    vus_table_done(&t);
}

/* ---------------------------------------------------------------- model -- */

struct model {
    size_t n;
    uint64_t key[4096];     /* sorted */
    uint32_t ref[4096];
};

/* Index of the first key at or behind key. */
static size_t model_find(const struct model *m, uint64_t key)
{
    size_t low = 0, high = m->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (m->key[mid] < key)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void model_insert(struct model *m, size_t i, uint64_t key, uint32_t ref)
{
    memmove(&m->key[i + 1], &m->key[i], (m->n - i) * sizeof(m->key[0]));
    memmove(&m->ref[i + 1], &m->ref[i], (m->n - i) * sizeof(m->ref[0]));
    m->key[i] = key;
    m->ref[i] = ref;
    m->n++;
}

static void model_remove(struct model *m, size_t i)
{
    m->n--;
    memmove(&m->key[i], &m->key[i + 1], (m->n - i) * sizeof(m->key[0]));
    memmove(&m->ref[i], &m->ref[i + 1], (m->n - i) * sizeof(m->ref[0]));
}

static void check_key(const struct vus_table *t, const struct model *m, uint64_t key)
{
    size_t i = model_find(m, key);
    size_t below = i < m->n && m->key[i] == key ? i + 1 : i;    /* keys at or below */
    uint32_t ref = 0;

    assert_int_equal(find_floor(t, key, &ref), below != 0);
    if (below != 0)
        assert_int_equal(ref, m->ref[below - 1]);
    assert_int_equal(vus_table_ceiling(t, key, &ref), i < m->n);
    if (i < m->n)
        assert_int_equal(ref, m->ref[i]);
}

/* Grows and shrinks in turns, so that nodes split and join at all levels. Keys are
 * dense or far apart, by mask. */
static void run_model(uint64_t seed, uint64_t mask, unsigned rounds)
{
    static struct model m;
    struct vus_table t;
    uint64_t random = seed;

    print_message("seed %llu\n", (unsigned long long)seed);
    m.n = 0;
    vus_table_init(&t);
    for (unsigned round = 0; round < rounds; round++) {
        bool growing = round / 6000 % 2 == 0;
        uint64_t key = draw(&random) & mask;
        size_t i = model_find(&m, key);
        bool there = i < m.n && m.key[i] == key;

        if (!there && m.n < 4000 && draw(&random) % 8 < (growing ? 7u : 1u)) {
            assert_int_equal(vus_table_insert(&t, key, round), 0);
            model_insert(&m, i, key, round);
        } else if (m.n != 0 && draw(&random) % 8 < (growing ? 1u : 7u)) {
            i = draw(&random) % m.n;
            key = m.key[i];
            vus_table_remove(&t, key);
            model_remove(&m, i);
        }
        check_key(&t, &m, key);
        check_key(&t, &m, draw(&random) & mask);
        check_key(&t, &m, key + 1);
    }
    while (m.n != 0) {
        vus_table_remove(&t, m.key[m.n / 2]);
        model_remove(&m, m.n / 2);
    }
    assert_int_equal(nodes_in_use(&t), 0);
    vus_table_done(&t);
}

static void the_table_agrees_with_a_sorted_array(void **state)
{
    uint64_t seed = (uint64_t)time(NULL) | 1;

    (void)state;
    run_model(1, UINT64_MAX, 50000);
    run_model(2, 0x1fff, 50000);
    run_model(seed, UINT64_MAX, 20000);
    run_model(seed, 0xffff, 20000);
}

/* --------------------------------------------------------------- memory -- */

enum order { ASCENDING, DESCENDING, RANDOM };

/* The i-th of n keys, each once: a prime that does not divide n jumps about. */
static uint64_t key_in(enum order order, uint64_t i, uint64_t n)
{
    if (order == ASCENDING)
        return i << 12;
    if (order == DESCENDING)
        return (n - 1 - i) << 12;
    return (i * 2654435761u % n) << 12;
}

static void check_all(const struct vus_table *t, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        uint32_t ref = 0;

        if (!find_floor(t, (i << 12) + 0xfff, &ref) || ref != (uint32_t)i)
            fail_msg("key %llu gives %u", (unsigned long long)i, ref);
    }
}

static void a_million_keys_take_20_bytes_each_in_any_order(void **state)
{
    static const enum order orders[] = { ASCENDING, DESCENDING, RANDOM };
    clock_t start = clock();

    (void)state;
    for (size_t k = 0; k < 3; k++) {
        struct vus_table t;

        vus_table_init(&t);
        for (uint64_t i = 0; i < MANY; i++) {
            uint64_t key = key_in(orders[k], i, MANY);

            if (vus_table_insert(&t, key, (uint32_t)(key >> 12)) != 0)
                fail();
        }
        print_message("order %d: %.2f bytes, height %u\n", (int)orders[k],
                      (double)bytes_of(&t) / MANY, (unsigned)t.height);
        assert_in_range(bytes_of(&t), 1, 20 * MANY);
        check_all(&t, MANY);
        for (uint64_t i = 0; i < MANY; i++)
            vus_table_remove(&t, key_in(orders[(k + 1) % 3], i, MANY));
        assert_int_equal(nodes_in_use(&t), 0);
        vus_table_done(&t);
    }
    /* Moving a part of a flat array for each would take many minutes. */
    assert_in_range((clock() - start) / CLOCKS_PER_SEC, 0, 100);
}

/* A client can make many entries and take most of them back. */
static void few_keys_do_not_hold_many_nodes(void **state)
{
    struct vus_table t;
    size_t full;

    (void)state;
    vus_table_init(&t);
    for (uint64_t i = 0; i < 100000; i++)
        assert_int_equal(vus_table_insert(&t, i, (uint32_t)i), 0);
    full = nodes_in_use(&t);
    for (uint64_t i = 0; i < 100000; i++)
        if (i % 64 != 0)
            vus_table_remove(&t, i);
    assert_in_range(nodes_in_use(&t), 1, full / 20);
    for (uint64_t i = 640; i < 100000; i += 64)
        vus_table_remove(&t, i);
    assert_int_equal(t.height, 1);
    assert_int_equal(nodes_in_use(&t), 1);
    for (uint64_t i = 0; i < 640; i += 64)
        vus_table_remove(&t, i);
    assert_int_equal(nodes_in_use(&t), 0);
    vus_table_done(&t);
}

/* Memory that is there is used again before more is asked for. */
static void what_was_removed_makes_room(void **state)
{
    struct vus_table t;
    size_t bytes;

    (void)state;
    vus_table_init(&t);
    for (uint64_t i = 0; i < 20000; i++)
        assert_int_equal(vus_table_insert(&t, i, (uint32_t)i), 0);
    bytes = bytes_of(&t);
    for (unsigned round = 0; round < 10; round++) {
        for (uint64_t i = 0; i < 20000; i++)
            vus_table_remove(&t, i);
        for (uint64_t i = 0; i < 20000; i++)
            assert_int_equal(vus_table_insert(&t, i, (uint32_t)i), 0);
    }
    assert_int_equal(bytes_of(&t), bytes);
    vus_table_done(&t);
}

/* Whichever allocation fails: the table is as it was, and works on. */
static void a_failed_allocation_changes_nothing(void **state)
{
    struct vus_table t;
    unsigned failures = 0;
    uint64_t n = 0;
    uint32_t ref;

    (void)state;
    vus_table_init(&t);
    for (; n < 20000; n++) {
        for (unsigned at = 1;; at++) {      /* the first, then the second, ... */
            int err;

            alloc_fail(at, at % 2 == 0);
            err = vus_table_insert(&t, n << 12, (uint32_t)n);
            alloc_reset();
            if (err == 0)
                break;
            failures++;
            assert_int_equal(err, -ENOMEM);
            assert_int_equal(find_floor(&t, n << 12, &ref), n != 0);
            if (n != 0)
                assert_int_equal(ref, n - 1);
        }
    }
    assert_true(failures > 10);
    check_all(&t, n);
    vus_table_done(&t);
}

/* -------------------------------------------------------------- readers -- */

static void a_reader_with_an_old_counter_follows_nothing(void **state)
{
    struct vus_table t;
    struct vus_try try = { .n = 0 };
    uint32_t ref = 4711;
    uint64_t seq;

    (void)state;
    vus_table_init(&t);
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(vus_table_insert(&t, i, (uint32_t)i), 0);
    assert_true(t.height > 1);
    seq = vus_table_enter(&t, &try);
    vus_table_remove(&t, 0);
    /* References in the root now lead nowhere: nobody must go there. */
    for (unsigned i = 0; i < VUS_NODE_MAX; i++)
        atomic_store(&atomic_load(&t.root)->ref[i], UINT32_MAX);
    assert_false(vus_table_floor(&t, seq, 500, &ref));
    assert_int_equal(ref, 4711);
    assert_false(vus_table_leave(&t, seq, &try));
    vus_table_done(&t);
}

/* No matter what a node looks like while it changes, a search stays inside it. */
static void any_node_can_be_searched(void **state)
{
    static struct vus_node node;
    uint64_t random = 99;

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        uint64_t mask = round % 2 != 0 ? UINT64_MAX : 3;

        for (unsigned i = 0; i < VUS_NODE_STEP; i++)
            atomic_store(&node.sample[i], draw(&random) & mask);
        for (unsigned i = 0; i < VUS_NODE_STEP * (VUS_NODE_STEP + 1); i++)
            atomic_store(&node.between[i], draw(&random) & mask);
        atomic_store(&node.n, (uint32_t)(draw(&random) % (VUS_NODE_MAX + 1)));
        assert_in_range(vus_node_rank(&node, draw(&random) & mask), 0, VUS_NODE_MAX);
        assert_in_range(vus_node_rank(&node, UINT64_MAX), 0, VUS_NODE_MAX);
    }
}

struct blocked {
    struct vus_table t;
    atomic_bool started;
    bool found;
    uint32_t ref;
};

static void *look_during_change(void *arg)
{
    struct blocked *b = arg;

    atomic_store(&b->started, true);
    b->found = find_floor(&b->t, 10, &b->ref);
    return NULL;
}

/* The writer may be suspended in the middle of a change. */
static void a_reader_waits_for_the_end_of_a_change(void **state)
{
    struct blocked b = { .found = false };
    struct timespec soon = { .tv_nsec = 20 * 1000 * 1000 };
    pthread_t thread;

    (void)state;
    vus_table_init(&b.t);
    assert_int_equal(vus_table_insert(&b.t, 10, 1), 0);
    pthread_mutex_lock(&b.t.lock);
    atomic_fetch_add(&b.t.seq, 1);
    assert_int_equal(pthread_create(&thread, NULL, look_during_change, &b), 0);
    while (!atomic_load(&b.started))
        sched_yield();
    nanosleep(&soon, NULL);     /* it may get to the lock now; right in any case */
    atomic_store(&atomic_load(&b.t.root)->ref[0], 2);
    atomic_fetch_add(&b.t.seq, 1);
    pthread_mutex_unlock(&b.t.lock);
    pthread_join(thread, NULL);
    assert_true(b.found);
    assert_int_equal(b.ref, 2);
    vus_table_done(&b.t);
}

/* However often there were changes, it gets through in the end: with the lock, during
 * which there are none. */
static void a_reader_that_failed_often_takes_the_lock(void **state)
{
    struct vus_try try = { .n = 0 };
    struct vus_table t;
    unsigned tries = 0;
    uint64_t seq;

    (void)state;
    vus_table_init(&t);
    assert_int_equal(vus_table_insert(&t, 10, 1), 0);
    for (;;) {
        seq = vus_table_enter(&t, &try);
        if (try.locked)
            break;
        assert_true(++tries < 1000);
        assert_int_equal(vus_table_insert(&t, 10 + tries, 1), 0);
        assert_false(vus_table_leave(&t, seq, &try));
    }
    assert_int_not_equal(pthread_mutex_trylock(&t.lock), 0);
    assert_true(vus_table_leave(&t, seq, &try));
    assert_int_equal(pthread_mutex_trylock(&t.lock), 0);
    pthread_mutex_unlock(&t.lock);
    vus_table_done(&t);
}

#define READERS 4
#define SPREAD  20000u      /* keys; every 16th stays */

struct crowd {
    struct vus_table t;
    atomic_bool stop;
    atomic_uint wrong;
    atomic_ulong lookups;
};

static void *read_crowd(void *arg)
{
    struct crowd *c = arg;
    uint64_t random = (uintptr_t)&random | 1;
    unsigned long n = 0;

    do {
        uint64_t key = draw(&random) % SPREAD;
        uint32_t ref = 0;

        /* The entry before a key is the key itself, or one that is as near as the
         * last that stays, or nearer. */
        if (!find_floor(&c->t, key << 12, &ref) || ref > key || ref < (key & ~15ull))
            atomic_fetch_add(&c->wrong, 1);
        n++;
    } while (!atomic_load_explicit(&c->stop, memory_order_relaxed));
    atomic_fetch_add(&c->lookups, n);
    return NULL;
}

static void readers_never_see_a_mixture(void **state)
{
    static struct crowd c;
    static bool there[SPREAD];
    pthread_t threads[READERS];
    uint64_t random = 5;

    (void)state;
    vus_table_init(&c.t);
    for (uint32_t i = 0; i < SPREAD; i += 16)
        assert_int_equal(vus_table_insert(&c.t, (uint64_t)i << 12, i), 0);
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_crowd, &c), 0);
    for (unsigned round = 0; round < 200000; round++) {
        bool filling = round / 20000 % 2 == 0;
        uint32_t key = (uint32_t)(draw(&random) % SPREAD);

        if (key % 16 == 0 || there[key] == filling)
            continue;
        if (filling)
            assert_int_equal(vus_table_insert(&c.t, (uint64_t)key << 12, key), 0);
        else
            vus_table_remove(&c.t, (uint64_t)key << 12);
        there[key] = filling;
    }
    atomic_store(&c.stop, true);
    for (size_t i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    print_message("%lu lookups\n", atomic_load(&c.lookups));
    assert_int_equal(atomic_load(&c.wrong), 0);
    vus_table_done(&c.t);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(an_empty_table_finds_nothing),
    cmocka_unit_test(the_first_and_the_last_key_are_keys_as_any_other),
    cmocka_unit_test(the_table_agrees_with_a_sorted_array),
    cmocka_unit_test(a_million_keys_take_20_bytes_each_in_any_order),
    cmocka_unit_test(few_keys_do_not_hold_many_nodes),
    cmocka_unit_test(what_was_removed_makes_room),
    cmocka_unit_test(a_failed_allocation_changes_nothing),
    cmocka_unit_test(a_reader_with_an_old_counter_follows_nothing),
    cmocka_unit_test(any_node_can_be_searched),
    cmocka_unit_test(a_reader_waits_for_the_end_of_a_change),
    cmocka_unit_test(a_reader_that_failed_often_takes_the_lock),
    cmocka_unit_test(readers_never_see_a_mixture),
};

VU_TEST_MAIN(tests)
