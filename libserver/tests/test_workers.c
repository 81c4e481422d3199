/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads of the device that use guest memory by message, while another thread runs
 * the context and the client talks. To be run under TSan too.
 */
#include "libserver/tests/guest.h"

#include <sched.h>
#include <signal.h>

#define NB LIBVFIO_USER_FLAG_ATTACH_NB

#define WORKERS 4
#define SHARE   0x10000u        /* bytes of guest memory for each */

/* ---------------------------------------------------------------- a server -- */

/* The thread that runs the context: until the client has gone. */
struct server {
    struct life l;
    pthread_t thread;
    atomic_int interrupted;
    atomic_int wrong;           /* 0, or what vfu_run_ctx() should not have said */
    atomic_int accesses;
};

static ssize_t on_access(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                         bool is_write)
{
    struct server *s = vfu_get_private(ctx);

    atomic_fetch_add(&s->accesses, 1);
    if (!is_write)
        memset(buf, (int)offset, count);
    return (ssize_t)count;
}

static void *run_blocking(void *arg)
{
    struct server *s = arg;

    for (;;) {
        if (vfu_run_ctx(s->l.core.ctx) != -1)
            atomic_store(&s->wrong, -1);
        if (errno == ENOTCONN)
            return NULL;
        if (errno == EINTR)
            atomic_fetch_add(&s->interrupted, 1);
        else
            atomic_store(&s->wrong, errno);
    }
}

/* One vfu_run_ctx() for each event, no more. */
static void *run_events(void *arg)
{
    struct server *s = arg;
    vfu_ctx_t *ctx = s->l.core.ctx;
    struct pollfd p[2] = { { .fd = vfu_get_poll_fd(ctx), .events = POLLIN },
                           { .fd = vfu_get_wake_fd(ctx), .events = POLLIN } };

    for (;;) {
        if (poll(p, 2, PATIENCE_MS) < 1)
            atomic_store(&s->wrong, -2);
        if (vfu_run_ctx(ctx) >= 0)
            continue;
        if (errno != ENOTCONN)
            atomic_store(&s->wrong, errno);
        return NULL;
    }
}

/* The client's end; the window with guest address 0 is mapped. */
static int begin(struct server *s, int flags, uint64_t window)
{
    uint8_t version[VERSION_BYTES], map[MAP_BYTES];
    int client;

    memset(s, 0, sizeof(*s));
    life_begin(&s->l, flags);
    s->l.core.ctx->pvt = s;
    vfu_setup_device_reset_cb(s->l.core.ctx, NULL);
    assert_int_equal((vfu_setup_device_dma)(s->l.core.ctx, 64, NULL, NULL), 0);
    assert_int_equal(vfu_setup_region(s->l.core.ctx, 0, BAR0_SIZE, on_access,
                                      VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM, NULL, 0,
                                      -1, 0), 0);
    client = client_connect(&s->l);
    put_version(version);
    client_send(client, version, sizeof(version));
    assert_int_equal(vfu_attach_ctx(s->l.core.ctx), 0);
    assert_reply(client, 1, 0);
    put_map(map, 77, 0, window, RW);
    client_send(client, map, sizeof(map));
    assert_int_equal(pthread_create(&s->thread, NULL,
                                    flags == 0 ? run_blocking : run_events, s), 0);
    assert_reply(client, 77, 0);
    return client;
}

static void end(struct server *s, int client)
{
    shutdown(client, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(client);
    assert_int_equal(atomic_load(&s->wrong), 0);
    vfu_setup_region(s->l.core.ctx, 0, 0, NULL, VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM,
                     NULL, 0, -1, 0);
    life_end(&s->l);
}

/* ----------------------------------------------------------------- workers -- */

struct worker {
    vfu_ctx_t *ctx;
    unsigned int number;
    int rounds;
    bool until_lost;            /* ends when the client leaves */
    atomic_int done;            /* transfers that succeeded */
    atomic_int wrong;           /* 0, or the line */
    pthread_t thread;
};

#define CHECK(w, cond)                                  \
    do {                                                \
        if (!(cond))                                    \
            atomic_store(&(w)->wrong, __LINE__);        \
    } while (0)

/* Write a pattern to its share, read it back. */
static void *work(void *arg)
{
    struct worker *w = arg;
    uint8_t out[3000], in[3000];

    for (int i = 0; i < w->rounds; i++) {
        uint64_t at = w->number * SHARE + (unsigned int)(i * 37) % (SHARE - sizeof(out));
        size_t len = 1 + (size_t)(i * 101) % sizeof(out);
        int err;

        for (size_t j = 0; j < len; j++)
            out[j] = (uint8_t)(i + (int)j * (int)(w->number + 1));
        err = guest_transfer(w->ctx, at, out, len, 0, true);
        if (err == 0)
            err = guest_transfer(w->ctx, at, in, len, 0, false);
        /* The client is gone, or its window: found no more, or found just before. */
        if (err != 0 && w->until_lost &&
            (errno == ENOTCONN || errno == ENOENT || errno == EFAULT))
            break;
        CHECK(w, err == 0);
        if (err != 0)
            break;
        CHECK(w, memcmp(in, out, len) == 0);
        atomic_fetch_add(&w->done, 1);
    }
    return NULL;
}

static void start_workers(struct worker *w, vfu_ctx_t *ctx, int rounds, bool until_lost)
{
    for (unsigned int i = 0; i < WORKERS; i++) {
        w[i] = (struct worker){ .ctx = ctx, .number = i, .rounds = rounds,
                                .until_lost = until_lost };
        assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
    }
}

static int join_workers(struct worker *w)
{
    int done = 0;

    for (size_t i = 0; i < WORKERS; i++) {
        pthread_join(w[i].thread, NULL);
        assert_int_equal(atomic_load(&w[i].wrong), 0);
        done += atomic_load(&w[i].done);
    }
    return done;
}

/* ----------------------------------------------------------------- commands -- */

/* A bit of everything, three of the ten answered ahead of others perhaps. */
static uint8_t *put_mixture(uint8_t *at, uint16_t id, uint64_t window)
{
    struct vu_region_access a = { .offset = 8, .count = 4 };
    struct vu_irq_set s = {
        .argsz = VU_IRQ_SET_SIZE, .index = 2,
        .flags = VU_IRQ_SET_DATA_NONE | VU_IRQ_SET_ACTION_TRIGGER,
    };
    uint8_t access[VU_REGION_ACCESS_SIZE + 4] = { 0 }, irqs[VU_IRQ_SET_SIZE];
    struct vu_writer w = vu_writer(access, VU_REGION_ACCESS_SIZE);
    struct vu_writer wi = vu_writer(irqs, sizeof(irqs));

    vu_encode_region_access(&w, &a);
    vu_encode_irq_set(&wi, &s);
    at = put_get_info(at, id);
    at = put_message(at, id, VU_REGION_READ, 0, access, VU_REGION_ACCESS_SIZE);
    at = put_message(at, id, VU_REGION_WRITE, 0, access, sizeof(access));
    at = put_message(at, id, VU_REGION_WRITE, VU_F_NO_REPLY, access, sizeof(access));
    at = put_message(at, id, VU_DEVICE_SET_IRQS, 0, irqs, sizeof(irqs));
    put_map(at, id, window, 0x1000, RW);
    return put_unmap(at + MAP_BYTES, id, window, 0x1000);
}

#define MIXTURE_REPLIES  6
#define MIXTURE_ACCESSES 3

static void talk(struct guest *g, int rounds)
{
    uint8_t bytes[1024];

    for (int i = 0; i < rounds; i++) {
        uint8_t *at = put_mixture(bytes, (uint16_t)i, 0x10000000u + (uint64_t)i * 0x1000);

        assert_true(guest_put(g, g->main, bytes, (size_t)(at - bytes)));
        if (i % 16 == 0)        /* not more than the sockets hold */
            assert_true(guest_has_replies(g, i * MIXTURE_REPLIES));
    }
    assert_true(guest_has_replies(g, rounds * MIXTURE_REPLIES));
}

/* -------------------------------------------------------------------- tests -- */

static void stress(int flags)
{
    struct worker w[WORKERS];
    struct server s;
    struct guest g;
    int client = begin(&s, flags, WORKERS * SHARE);

    guest_begin(&g, client, client, 0);
    start_workers(w, s.l.core.ctx, 400, false);
    talk(&g, 300);
    assert_int_equal(join_workers(w), WORKERS * 400);
    assert_int_equal(atomic_load(&g.requests), 2 * WORKERS * 400);
    assert_int_equal(atomic_load(&s.accesses), 300 * MIXTURE_ACCESSES);
    guest_end(&g);
    end(&s, client);
}

static void workers_and_commands_do_not_hinder_each_other(void **state)
{
    (void)state;
    stress(0);
}

static void workers_and_an_event_loop_do_not_either(void **state)
{
    (void)state;
    stress(NB);
}

/* Nothing is freed under a thread that waits for the client. */
static void a_client_may_leave_while_workers_wait(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct worker w[WORKERS];
        struct server s;
        struct guest g;
        int client = begin(&s, i % 2 == 0 ? NB : 0, WORKERS * SHARE);

        guest_begin(&g, client, client, 0);
        start_workers(w, s.l.core.ctx, 1000000, true);
        while (atomic_load(&g.requests) < 10 * (i % 4))
            sched_yield();
        guest_end(&g);                  /* shuts the socket down */
        pthread_join(s.thread, NULL);   /* the reset waited for those inside */
        join_workers(w);
        assert_int_equal(s.l.core.ctx->conn.port.users, 0);
        assert_int_equal(pthread_create(&s.thread, NULL, run_blocking, &s), 0);
        end(&s, client);
    }
}

static void on_signal(int number)
{
    (void)number;
}

/* Also while the run thread waits because a worker reads. */
static void signals_end_a_blocking_run_while_a_worker_reads(void **state)
{
    struct sigaction action = { .sa_handler = on_signal };
    uint8_t bytes[256];
    struct worker w[WORKERS];
    struct server s;
    struct guest g;
    int client = begin(&s, 0, WORKERS * SHARE);

    (void)state;
    sigaction(SIGUSR1, &action, NULL);
    guest_begin(&g, client, client, 0);
    atomic_store(&g.delay_us, 200);
    start_workers(w, s.l.core.ctx, 50, false);
    for (int i = 0; i < 20; i++) {
        int before = atomic_load(&s.interrupted);

        while (atomic_load(&s.interrupted) == before) {
            pthread_kill(s.thread, SIGUSR1);
            sched_yield();
        }
        put_get_info(bytes, 1);
        assert_true(guest_put(&g, client, bytes, INFO_BYTES));
        assert_true(guest_has_replies(&g, i + 1));
    }
    join_workers(w);
    guest_end(&g);
    end(&s, client);
}

/* A callback that waits for a worker, which waits for the client, whose answer lies
 * behind the command whose callback it is. */
static struct worker helper;

static ssize_t on_access_wait(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                              bool is_write)
{
    (void)buf;
    (void)offset;
    (void)is_write;
    helper = (struct worker){ .ctx = ctx, .rounds = 5 };
    if (pthread_create(&helper.thread, NULL, work, &helper) != 0)
        return -1;
    pthread_join(helper.thread, NULL);
    return (ssize_t)count;
}

static void a_callback_may_wait_for_a_worker(void **state)
{
    static const int flags[] = { 0, NB };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct vu_region_access a = { .offset = 8, .count = 4 };
        uint8_t body[VU_REGION_ACCESS_SIZE + 4] = { 0 }, bytes[256], *at;
        struct vu_writer w = vu_writer(body, VU_REGION_ACCESS_SIZE);
        struct server s;
        struct guest g;
        int client;

        client = begin(&s, flags[i], SHARE);
        assert_int_equal(vfu_setup_region(s.l.core.ctx, 0, BAR0_SIZE, on_access_wait,
                                          VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM, NULL,
                                          0, -1, 0), 0);
        guest_begin(&g, client, client, 0);
        vu_encode_region_access(&w, &a);
        at = put_get_info(bytes, 1);
        at = put_message(at, 2, VU_REGION_WRITE, 0, body, sizeof(body));
        at = put_get_info(at, 3);
        assert_true(guest_put(&g, client, bytes, (size_t)(at - bytes)));
        assert_true(guest_has_replies(&g, 3));
        assert_int_equal(atomic_load(&helper.wrong), 0);
        assert_int_equal(atomic_load(&helper.done), 5);
        guest_end(&g);
        end(&s, client);
    }
}

/* A command that a worker reads is served though the run thread sleeps. */
static void what_a_worker_reads_wakes_a_blocking_run(void **state)
{
    struct vu_region_access a = { .offset = 8, .count = 4 };
    uint8_t body[VU_REGION_ACCESS_SIZE + 4] = { 0 }, bytes[256], *at;
    struct vu_writer w = vu_writer(body, VU_REGION_ACCESS_SIZE);
    struct worker worker[WORKERS];
    struct server s;
    struct guest g;
    int client = begin(&s, 0, WORKERS * SHARE);

    (void)state;
    vu_encode_region_access(&w, &a);
    guest_begin(&g, client, client, 0);
    start_workers(worker, s.l.core.ctx, 200, false);
    for (int i = 0; i < 500; i++) {
        at = put_message(bytes, (uint16_t)i, VU_REGION_WRITE, 0, body, sizeof(body));
        assert_true(guest_put(&g, client, bytes, (size_t)(at - bytes)));
        assert_true(guest_has_replies(&g, i + 1));      /* one at a time */
    }
    join_workers(worker);
    guest_end(&g);
    end(&s, client);
}

/* ---------------------------------------------------------- step by step -- */

/* One transfer on a thread of its own. */
struct asker {
    vfu_ctx_t *ctx;
    uint64_t address;
    size_t len;
    int ret, err;
    uint8_t got[8];
    pthread_t thread;
};

static void *ask(void *arg)
{
    struct asker *a = arg;

    errno = 0;
    a->ret = guest_transfer(a->ctx, a->address, a->got, a->len, 0, false);
    a->err = errno;
    return NULL;
}

static void start_asker(struct asker *a, vfu_ctx_t *ctx, uint64_t address, size_t len)
{
    *a = (struct asker){ .ctx = ctx, .address = address, .len = len };
    if (pthread_create(&a->thread, NULL, ask, a) != 0)
        abort();
}

static atomic_int step;

static bool wait_for_step(int n)
{
    int64_t limit = guest_now_ms() + PATIENCE_MS;

    while (atomic_load(&step) < n && guest_now_ms() < limit)
        sched_yield();
    return atomic_load(&step) >= n;
}

static void send_region_write(int client, uint16_t id)
{
    struct vu_region_access a = { .count = 4 };
    uint8_t body[VU_REGION_ACCESS_SIZE + 4] = { 0 }, bytes[64], *at;
    struct vu_writer w = vu_writer(body, VU_REGION_ACCESS_SIZE);

    vu_encode_region_access(&w, &a);
    at = put_message(bytes, id, VU_REGION_WRITE, 0, body, sizeof(body));
    client_send(client, bytes, (size_t)(at - bytes));
}

static void send_answer(int client, uint16_t id, uint64_t address, const char *data,
                        size_t len)
{
    uint8_t bytes[64], *at = put_answer(bytes, id, VU_DMA_READ, address, data, len);

    client_send(client, bytes, (size_t)(at - bytes));
}

static void use_region(struct server *s, vfu_region_access_cb_t *cb)
{
    assert_int_equal(vfu_setup_region(s->l.core.ctx, 0, BAR0_SIZE, cb,
                                      VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM, NULL, 0,
                                      -1, 0), 0);
}

static struct asker waiting;

static ssize_t on_access_join(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                              bool is_write)
{
    (void)ctx;
    (void)buf;
    (void)offset;
    (void)is_write;
    atomic_store(&step, 1);
    pthread_join(waiting.thread, NULL);
    return (ssize_t)count;
}

/* It waited while the run thread read, which then has other things to do. */
static void a_waiting_worker_takes_over_when_the_run_thread_stops_reading(void **state)
{
    struct server s;
    int client = begin(&s, 0, SHARE);

    (void)state;
    use_region(&s, on_access_join);
    atomic_store(&step, 0);
    start_asker(&waiting, s.l.core.ctx, 16, 4);
    assert_request(client, 0, VU_DMA_READ, 16, 4);
    send_region_write(client, 5);
    assert_true(wait_for_step(1));      /* the callback waits for the worker */
    send_answer(client, 0, 16, "good", 4);
    assert_reply(client, 5, 0);
    assert_int_equal(waiting.ret, 0);
    assert_memory_equal(waiting.got, "good", 4);
    end(&s, client);
}

static ssize_t on_access_start(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                               bool is_write)
{
    (void)buf;
    (void)offset;
    (void)is_write;
    start_asker(&waiting, ctx, 16, 4);
    return wait_for_step(1) ? (ssize_t)count : -1;
}

/* More often than a channel can hold messages. */
static void a_command_may_end_while_a_worker_reads_behind_it(void **state)
{
    struct server s;
    int client = begin(&s, NB, SHARE);

    (void)state;
    use_region(&s, on_access_start);
    for (uint16_t i = 0; i < 20; i++) {
        atomic_store(&step, 0);
        send_region_write(client, i);
        assert_request(client, i, VU_DMA_READ, 16, 4);
        atomic_store(&step, 1);         /* the callback returns; the worker waits on */
        assert_reply(client, i, 0);
        send_answer(client, i, 16, "good", 4);
        pthread_join(waiting.thread, NULL);
        assert_int_equal(waiting.ret, 0);
        assert_memory_equal(waiting.got, "good", 4);
    }
    end(&s, client);
}

/* The client may give the address to something else once it has this reply. */
static void no_request_follows_the_reply_to_an_unmap(void **state)
{
    uint8_t bytes[64], *at;
    struct server s;
    struct asker a;
    int client = begin(&s, NB, SHARE);

    (void)state;
    s.l.core.ctx->conn.port.max_xfer = 4;       /* as if the client had asked for it */
    start_asker(&a, s.l.core.ctx, 16, 8);
    assert_request(client, 0, VU_DMA_READ, 16, 4);
    at = put_unmap(bytes, 5, 0, SHARE);
    client_send(client, bytes, (size_t)(at - bytes));
    assert_reply(client, 5, 0);
    send_answer(client, 0, 16, "gone", 4);
    pthread_join(a.thread, NULL);
    assert_int_equal(a.ret, -1);
    assert_int_equal(a.err, EFAULT);
    assert_silent(client);
    end(&s, client);
}

/* The device may change its regions while the client asks about them. */
static void regions_may_change_while_a_worker_answers(void **state)
{
    struct vu_region_info ask = { .argsz = 4096, .index = 4 };
    uint8_t body[VU_REGION_INFO_SIZE], bytes[256], *at;
    struct iovec areas[2] = { { (void *)0, 0x1000 }, { (void *)0x1000, 0x1000 } };
    struct worker w[WORKERS];
    struct guest g;
    struct life l;
    int client;

    (void)state;
    life_begin(&l, NB);
    client = life_client(&l);
    guest_map(&l, client, 0, WORKERS * SHARE);
    ENCODE(region_info, &ask, body);
    guest_begin(&g, client, client, 0);
    start_workers(w, l.core.ctx, 100, false);
    for (int i = 0; i < 200; i++) {     /* this thread is the one that would run it */
        assert_int_equal(vfu_setup_region(l.core.ctx, 4, 0x2000, core_access,
                                          VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM,
                                          areas, (uint32_t)(i % 2 + 1), l.core.memory,
                                          0), 0);
        at = put_message(bytes, (uint16_t)i, VU_DEVICE_GET_REGION_INFO, 0, body,
                         sizeof(body));
        assert_true(guest_put(&g, client, bytes, (size_t)(at - bytes)));
    }
    join_workers(w);
    while (atomic_load(&g.replies) < 200)
        assert_true(vfu_run_ctx(l.core.ctx) >= 0);
    guest_end(&g);
    close(client);
    assert_run(&l, -1, ENOTCONN);
    life_end(&l);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(workers_and_commands_do_not_hinder_each_other),
    VU_FD_TEST(workers_and_an_event_loop_do_not_either),
    VU_FD_TEST(a_client_may_leave_while_workers_wait),
    VU_FD_TEST(signals_end_a_blocking_run_while_a_worker_reads),
    VU_FD_TEST(a_callback_may_wait_for_a_worker),
    VU_FD_TEST(what_a_worker_reads_wakes_a_blocking_run),
    VU_FD_TEST(a_waiting_worker_takes_over_when_the_run_thread_stops_reading),
    VU_FD_TEST(a_command_may_end_while_a_worker_reads_behind_it),
    VU_FD_TEST(no_request_follows_the_reply_to_an_unmap),
    VU_FD_TEST(regions_may_change_while_a_worker_answers),
};

VU_TEST_MAIN(tests)
