/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client's side of DMA by message, for tests of vfu_sgl_read() and _write().
 *
 * Most tests need no second thread: ids of the server's requests count from 0, so
 * answers can be in the socket before the server asks.
 *
 *   life_begin(&l, NB); client = life_client(&l);
 *   guest_map(&l, client, 0x1000, 0x1000);         a window without memory
 *   at = put_answer(bytes, 0, VU_DMA_READ, 0x1000, "abcd", 4);
 *   client_send(client, bytes, at - bytes);
 *   assert_int_equal(guest_read(&l, 0x1000, buf, 4, 0), 0);
 *   assert_request(client, 0, VU_DMA_READ, 0x1000, 4);
 *
 * Where the client has to wait for the server, struct guest is a client on a thread
 * that answers from its memory. It never asserts; guest_end() says what went wrong.
 */
#ifndef VUS_TESTS_GUEST_H
#define VUS_TESTS_GUEST_H

#include "libserver/tests/life.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

/* Append the answer to a request for DMA: to a READ with the data. */
static inline uint8_t *put_answer(uint8_t *at, uint16_t id, uint16_t command,
                                  uint64_t address, const void *data, size_t count)
{
    struct vu_dma_access a = { .address = address, .count = count };
    size_t len = VU_DMA_ACCESS_SIZE + (command == VU_DMA_READ ? count : 0);
    uint8_t *body = malloc(len);
    struct vu_writer w = vu_writer(body, len);
    uint8_t *end;

    vu_encode_dma_access(&w, &a);
    if (command == VU_DMA_READ)
        memcpy(body + VU_DMA_ACCESS_SIZE, data, count);
    end = put_message(at, id, command, VU_F_TYPE_REPLY, body, len);
    free(body);
    return end;
}

static inline uint8_t *put_refusal(uint8_t *at, uint16_t id, uint16_t command,
                                   uint32_t error)
{
    uint8_t *end = put_message(at, id, command, VU_F_TYPE_REPLY | VU_F_ERROR, NULL, 0);

    memcpy(at + 12, &error, 4);
    return end;
}

/* The server asks for DMA; *data, unless NULL, gets what it writes. */
static inline void assert_request_data(int fd, uint16_t id, uint16_t command,
                                       uint64_t address, uint64_t count, uint8_t *data)
{
    uint8_t bytes[VU_HEADER_SIZE + VU_DMA_ACCESS_SIZE] = { 0 };
    struct vu_reader r = vu_reader(bytes, sizeof(bytes));
    struct vu_header h;
    struct vu_dma_access a;
    uint8_t sink[4096];

    assert_int_equal(client_read(fd, bytes, sizeof(bytes)), sizeof(bytes));
    assert_int_equal(vu_decode_header(&r, &h), 0);
    assert_int_equal(vu_decode_dma_access(&r, &a), 0);
    assert_int_equal(h.msg_id, id);
    assert_int_equal(h.command, command);
    assert_int_equal(h.flags, VU_F_TYPE_COMMAND);
    assert_int_equal(h.error, 0);
    assert_int_equal(a.address, address);
    assert_int_equal(a.count, count);
    assert_int_equal(h.size, sizeof(bytes) + (command == VU_DMA_WRITE ? count : 0));
    for (uint64_t at = 0; command == VU_DMA_WRITE && at < count;) {
        size_t n = count - at < sizeof(sink) ? count - at : sizeof(sink);

        assert_int_equal(client_read(fd, data != NULL ? data + at : sink, n), n);
        at += n;
    }
}

static inline void assert_request(int fd, uint16_t id, uint16_t command,
                                  uint64_t address, uint64_t count)
{
    assert_request_data(fd, id, command, address, count, NULL);
}

/* ---------------------------------------------------------------- windows -- */

/* fd -1: without memory. */
static inline void put_map(uint8_t bytes[MAP_BYTES], uint16_t id, uint64_t address,
                           uint64_t size, uint32_t flags)
{
    struct vu_dma_map m = {
        .argsz = VU_DMA_MAP_SIZE, .flags = flags, .address = address, .size = size,
    };
    uint8_t body[VU_DMA_MAP_SIZE];

    ENCODE(dma_map, &m, body);
    put_message(bytes, id, VU_DMA_MAP, 0, body, sizeof(body));
}

#define RW (VU_DMA_READABLE | VU_DMA_WRITEABLE)

static inline void guest_map_with(struct life *l, int client, uint64_t address,
                                  uint64_t size, uint32_t flags, int fd)
{
    uint8_t bytes[MAP_BYTES];

    put_map(bytes, 77, address, size, flags);
    client_send_fds(client, bytes, sizeof(bytes), &fd, fd != -1);
    assert_run(l, 1, 0);
    assert_reply(client, 77, 0);
}

/* A window that is reached by message alone. */
static inline void guest_map(struct life *l, int client, uint64_t address, uint64_t size)
{
    guest_map_with(l, client, address, size, RW, -1);
}

static inline uint8_t *put_unmap(uint8_t *at, uint16_t id, uint64_t address,
                                 uint64_t size)
{
    struct vu_dma_unmap m = {
        .argsz = VU_DMA_UNMAP_SIZE, .address = address, .size = size,
    };
    uint8_t body[VU_DMA_UNMAP_SIZE];

    ENCODE(dma_unmap, &m, body);
    return put_message(at, id, VU_DMA_UNMAP, 0, body, sizeof(body));
}

/* --------------------------------------------------------------- the device -- */

#define MAX_PIECES 8

/* As the calls return: 0, or -1 and errno. Usable on any thread. */
static inline int guest_transfer(vfu_ctx_t *ctx, uint64_t address, void *data, size_t len,
                                 int flags, bool write)
{
    union {
        max_align_t align;
        char room[MAX_PIECES * 64];
    } entries;
    dma_sg_t *sg = (dma_sg_t *)&entries;
    int prot = write ? PROT_WRITE : PROT_READ;
    int n = vfu_addr_to_sgl(ctx, (vfu_dma_addr_t)(uintptr_t)address, len, sg, MAX_PIECES,
                            prot);

    if (n < 1) {
        errno = n == -1 ? errno : ENOSPC;
        return -1;
    }
    return write ? vfu_sgl_write(ctx, sg, (size_t)n, data, flags)
                 : vfu_sgl_read(ctx, sg, (size_t)n, data, flags);
}

static inline int guest_read(struct life *l, uint64_t address, void *data, size_t len,
                             int flags)
{
    return guest_transfer(l->core.ctx, address, data, len, flags, false);
}

static inline int guest_write(struct life *l, uint64_t address, const void *data,
                              size_t len, int flags)
{
    return guest_transfer(l->core.ctx, address, (void *)(uintptr_t)data, len, flags,
                          true);
}

#define assert_fails(call, err)                 \
    do {                                        \
        errno = 0;                              \
        assert_int_equal(call, -1);             \
        assert_int_equal(errno, err);           \
    } while (0)

static inline int64_t guest_now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ------------------------------------------------------- a client on a thread -- */

#define GUEST_MEMORY (1u << 20)

struct guest {
    int main;               /* lent: commands go there, and their replies come */
    int dma;                /* lent: requests come there; often the same */
    uint64_t origin;        /* guest address of memory; beyond its end it starts again */
    uint8_t *memory;
    atomic_uint delay_us;   /* before each answer */
    atomic_ullong most;     /* bytes in an answer; 0: all that are asked for */
    struct vu_dma_access asked[16];     /* the first requests; read after guest_end() */
    pthread_t thread;
    pthread_mutex_t lock;   /* of writing to main */
    atomic_int replies;     /* to commands */
    atomic_int last_id;     /* of the last reply */
    atomic_int requests;
    atomic_int wrong;       /* 0, or the line where something was */
};

#define GUEST_CHECK(g, cond)                                    \
    do {                                                        \
        if (!(cond))                                            \
            atomic_store(&(g)->wrong, __LINE__);                \
    } while (0)

static inline bool guest_get(int fd, void *buf, size_t len)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = recv(fd, (uint8_t *)buf + got, len - got, 0);

        if (n <= 0)
            return false;
        got += (size_t)n;
    }
    return true;
}

static inline bool guest_put(struct guest *g, int fd, const void *buf, size_t len)
{
    bool ok = true;

    pthread_mutex_lock(&g->lock);
    for (size_t put = 0; ok && put < len;) {
        ssize_t n = send(fd, (const uint8_t *)buf + put, len - put, MSG_NOSIGNAL);

        ok = n > 0;
        put += ok ? (size_t)n : 0;
    }
    pthread_mutex_unlock(&g->lock);
    return ok;
}

static inline void guest_answer(struct guest *g, int fd, const struct vu_header *h,
                                uint8_t *body)
{
    struct vu_reader r = vu_reader(body, h->size - VU_HEADER_SIZE);
    struct vu_dma_access a = { 0 };
    uint64_t offset;
    uint8_t *bytes;
    size_t len;

    GUEST_CHECK(g, vu_decode_dma_access(&r, &a) == 0);
    GUEST_CHECK(g, h->command == VU_DMA_READ || h->command == VU_DMA_WRITE);
    offset = (a.address - g->origin) % GUEST_MEMORY;
    if (a.count > GUEST_MEMORY - offset) {
        GUEST_CHECK(g, false);
        return;
    }
    if (g->delay_us != 0)
        usleep(g->delay_us);
    if (atomic_load(&g->requests) < 16)
        g->asked[atomic_load(&g->requests)] = a;
    if (g->most != 0 && a.count > g->most)
        a.count = g->most;
    bytes = malloc(64 + a.count);
    if (h->command == VU_DMA_WRITE)
        memcpy(g->memory + offset, body + VU_DMA_ACCESS_SIZE, a.count);
    len = (size_t)(put_answer(bytes, h->msg_id, h->command, a.address,
                              g->memory + offset, a.count) - bytes);
    atomic_fetch_add(&g->requests, 1);
    guest_put(g, fd, bytes, len);       /* the server may have closed */
    free(bytes);
}

/* One message from fd. False: the end. */
static inline bool guest_step(struct guest *g, int fd)
{
    uint8_t header[VU_HEADER_SIZE] = { 0 };
    struct vu_reader r = vu_reader(header, sizeof(header));
    struct vu_header h;
    uint8_t *body;
    bool ok;

    if (!guest_get(fd, header, sizeof(header)))
        return false;
    vu_decode_header(&r, &h);
    body = malloc(h.size);
    ok = guest_get(fd, body, h.size - VU_HEADER_SIZE);
    if (ok && vu_header_type(&h) == VU_F_TYPE_COMMAND) {
        GUEST_CHECK(g, fd == g->dma);
        guest_answer(g, fd, &h, body);
    } else if (ok) {
        GUEST_CHECK(g, fd == g->main);
        GUEST_CHECK(g, h.error == 0);
        atomic_store(&g->last_id, h.msg_id);
        atomic_fetch_add(&g->replies, 1);
    }
    free(body);
    return ok;
}

static inline void *guest_thread(void *arg)
{
    struct guest *g = arg;

    for (;;) {
        struct pollfd p[2] = { { .fd = g->main, .events = POLLIN },
                               { .fd = g->dma, .events = POLLIN } };

        if (poll(p, g->main == g->dma ? 1 : 2, -1) < 0)
            break;
        if (p[0].revents != 0 && !guest_step(g, g->main))
            break;
        if (g->main != g->dma && p[1].revents != 0 && !guest_step(g, g->dma))
            break;
    }
    return NULL;
}

/* From now on the thread alone reads from the sockets. */
static inline void guest_begin(struct guest *g, int main, int dma, uint64_t origin)
{
    memset(g, 0, sizeof(*g));
    g->main = main;
    g->dma = dma;
    g->origin = origin;
    g->memory = malloc(GUEST_MEMORY);
    for (size_t i = 0; i < GUEST_MEMORY; i++)
        g->memory[i] = (uint8_t)(i * 7 + (i >> 8));
    pthread_mutex_init(&g->lock, NULL);
    assert_int_equal(pthread_create(&g->thread, NULL, guest_thread, g), 0);
}

static inline void guest_end(struct guest *g)
{
    shutdown(g->main, SHUT_RDWR);
    shutdown(g->dma, SHUT_RDWR);
    pthread_join(g->thread, NULL);
    pthread_mutex_destroy(&g->lock);
    free(g->memory);
    assert_int_equal(atomic_load(&g->wrong), 0);
}

/* Until the client has got so many replies. Patience is bounded. */
static inline bool guest_has_replies(struct guest *g, int n)
{
    int64_t end = guest_now_ms() + PATIENCE_MS;

    while (atomic_load(&g->replies) < n && guest_now_ms() < end)
        sched_yield();
    return atomic_load(&g->replies) >= n;
}

#endif
