/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfu_sgl_read() and vfu_sgl_write(): what travels, what they return for whatever the
 * client answers, and what it costs when it does not.
 */
#include "libserver/tests/guest.h"

#define NB   LIBVFIO_USER_FLAG_ATTACH_NB
#define BASE 0x10000u       /* guest address of the window in most tests */

/* A client with one window that has no memory. */
static int begin(struct life *l)
{
    int client;

    life_begin(l, NB);
    client = life_client(l);
    guest_map(l, client, BASE, 0x10000);
    return client;
}

static void end(struct life *l, int client)
{
    close(client);
    life_end(l);
}

static void send_answer(int client, uint16_t id, uint16_t command, uint64_t address,
                        const void *data, size_t count)
{
    uint8_t *bytes = malloc(64 + count);
    uint8_t *at = put_answer(bytes, id, command, address, data, count);

    client_send(client, bytes, (size_t)(at - bytes));
    free(bytes);
}

/* --------------------------------------------------------------- messages -- */

static void a_read_brings_what_the_client_answers(void **state)
{
    struct life l;
    int client = begin(&l);
    char got[5] = "";

    (void)state;
    send_answer(client, 0, VU_DMA_READ, BASE + 8, "abcd", 4);
    assert_int_equal(guest_read(&l, BASE + 8, got, 4, 0), 0);
    assert_string_equal(got, "abcd");
    assert_request(client, 0, VU_DMA_READ, BASE + 8, 4);
    assert_silent(client);
    end(&l, client);
}

static void a_write_carries_the_devices_bytes(void **state)
{
    struct life l;
    int client = begin(&l);
    uint8_t got[4];

    (void)state;
    send_answer(client, 0, VU_DMA_WRITE, BASE, NULL, 4);
    assert_int_equal(guest_write(&l, BASE, "wxyz", 4, 0), 0);
    assert_request_data(client, 0, VU_DMA_WRITE, BASE, 4, got);
    assert_memory_equal(got, "wxyz", 4);
    end(&l, client);
}

/* One revision of the specification printed a count of four bytes. */
static void a_write_may_be_answered_with_a_short_count(void **state)
{
    struct life l;
    int client = begin(&l);
    uint8_t body[12] = { 0, 0, 1, 0, 0, 0, 0, 0, 4, 0, 0, 0 };
    uint8_t bytes[28];

    (void)state;
    put_message(bytes, 0, VU_DMA_WRITE, VU_F_TYPE_REPLY, body, sizeof(body));
    client_send(client, bytes, sizeof(bytes));
    assert_int_equal(guest_write(&l, BASE, "wxyz", 4, 0), 0);
    end(&l, client);
}

static int begin_with(struct life *l, const char *json)
{
    uint8_t body[256] = { 0, 0, 1, 0 };
    uint8_t bytes[300], *at;
    int client;

    life_begin(l, NB);
    client = client_connect(l);
    strcpy((char *)body + 4, json);
    at = put_message(bytes, 1, VU_VERSION, 0, body, 4 + strlen(json) + 1);
    client_send(client, bytes, (size_t)(at - bytes));
    assert_int_equal(vfu_attach_ctx(l->core.ctx), 0);
    assert_reply(client, 1, 0);
    guest_map(l, client, BASE, 0x10000);
    return client;
}

static void assert_asked(const struct guest *g, int i, uint64_t address, uint64_t count)
{
    assert_true(i < atomic_load(&g->requests));
    assert_int_equal(g->asked[i].address, address);
    assert_int_equal(g->asked[i].count, count);
}

static void transfers_are_split_as_the_client_asks(void **state)
{
    struct life l;
    struct guest g;
    int client = begin_with(&l, "{\"capabilities\":{\"max_data_xfer_size\":1000}}");
    uint8_t got[2500];

    (void)state;
    guest_begin(&g, client, client, BASE);
    assert_int_equal(guest_read(&l, BASE, got, sizeof(got), 0), 0);
    assert_memory_equal(got, g.memory, sizeof(got));
    memset(got, 0x5a, sizeof(got));
    assert_int_equal(guest_write(&l, BASE, got, sizeof(got), 0), 0);
    assert_memory_equal(got, g.memory, sizeof(got));
    guest_end(&g);
    assert_int_equal(atomic_load(&g.requests), 6);
    for (int i = 0; i < 6; i++)
        assert_asked(&g, i, BASE + (uint64_t)(i % 3) * 1000, i % 3 < 2 ? 1000 : 500);
    end(&l, client);
}

/* What a client claims beyond our own limit does not count. */
static void parts_are_never_larger_than_our_own_limit(void **state)
{
    const size_t half = GUEST_MEMORY / 2, len = GUEST_MEMORY + half;
    struct life l;
    struct guest g;
    int client = begin_with(&l, "{\"capabilities\":{\"max_data_xfer_size\":1073741824}}");
    uint8_t *data = calloc(1, len);

    (void)state;
    guest_map(&l, client, 0x1000000, len);
    guest_begin(&g, client, client, 0x1000000);
    assert_int_equal(guest_read(&l, 0x1000000, data, len, 0), 0);
    assert_int_equal(atomic_load(&g.requests), 2);
    assert_memory_equal(data, g.memory, GUEST_MEMORY);
    guest_end(&g);
    free(data);
    end(&l, client);
}

static void one_mebibyte_is_read_in_one_message_and_written_in_eight(void **state)
{
    struct life l;
    struct guest g;
    int client;
    uint8_t *got = malloc(GUEST_MEMORY);

    (void)state;
    life_begin(&l, NB);
    client = life_client(&l);
    guest_map(&l, client, 0, GUEST_MEMORY);
    guest_begin(&g, client, client, 0);
    assert_int_equal(guest_read(&l, 0, got, GUEST_MEMORY, 0), 0);
    assert_memory_equal(got, g.memory, GUEST_MEMORY);
    memset(got, 0x5a, GUEST_MEMORY);
    assert_int_equal(guest_write(&l, 0, got, GUEST_MEMORY, 0), 0);
    assert_memory_equal(got, g.memory, GUEST_MEMORY);
    assert_int_equal(atomic_load(&g.requests), 1 + 8);
    guest_end(&g);
    free(got);
    end(&l, client);
}

/* --------------------------------------------------------- lists and windows -- */

static void pieces_go_one_after_another_each_in_its_own_way(void **state)
{
    struct life l;
    int client = begin(&l);     /* BASE .. BASE + 0x10000: by message */
    int file = core_memory(0x2000);
    static uint8_t all[0x1004];
    struct guest g;
    char got[9] = "";

    (void)state;
    guest_map_with(&l, client, BASE + 0x10000, 0x1000, RW, file);
    guest_map(&l, client, BASE + 0x11000, 0x1000);
    assert_int_equal(pwrite(file, "mid", 3, 0), 3);
    send_answer(client, 0, VU_DMA_READ, BASE + 0xfffe, "ab", 2);
    assert_int_equal(guest_read(&l, BASE + 0xfffe, got, 5, VFU_SGL_DIRECT_ACCESS), 0);
    assert_string_equal(got, "abmid");
    assert_request(client, 0, VU_DMA_READ, BASE + 0xfffe, 2);
    assert_silent(client);
    /* The middle one by message too. */
    guest_begin(&g, client, client, BASE);
    assert_int_equal(guest_read(&l, BASE + 0xfffe, all, sizeof(all), 0), 0);
    assert_memory_equal(all, g.memory + 0xfffe, sizeof(all));
    guest_end(&g);
    assert_int_equal(atomic_load(&g.requests), 3);
    assert_asked(&g, 0, BASE + 0xfffe, 2);
    assert_asked(&g, 1, BASE + 0x10000, 0x1000);
    assert_asked(&g, 2, BASE + 0x11000, 2);
    close(file);
    end(&l, client);
}

static void direct_access_sends_nothing(void **state)
{
    struct life l;
    int client = begin(&l);
    int file = core_memory(0x1000);
    char got[4] = "";

    (void)state;
    guest_map_with(&l, client, 0x1000, 0x1000, RW, file);
    assert_int_equal(guest_write(&l, 0x1010, "dir", 3, VFU_SGL_DIRECT_ACCESS), 0);
    assert_int_equal(pread(file, got, 3, 0x10), 3);
    assert_string_equal(got, "dir");
    memset(got, 0, 3);
    assert_int_equal(guest_read(&l, 0x1010, got, 3, VFU_SGL_DIRECT_ACCESS), 0);
    assert_string_equal(got, "dir");
    assert_silent(client);
    close(file);
    end(&l, client);
}

static void without_the_flag_even_mapped_windows_take_messages(void **state)
{
    struct life l;
    int client = begin(&l);
    int file = core_memory(0x1000);
    char got[4] = "";

    (void)state;
    guest_map_with(&l, client, 0x1000, 0x1000, RW, file);
    send_answer(client, 0, VU_DMA_READ, 0x1010, "msg", 3);
    assert_int_equal(guest_read(&l, 0x1010, got, 3, 0), 0);
    assert_string_equal(got, "msg");
    close(file);
    end(&l, client);
}

static void a_file_that_ends_early_is_an_error(void **state)
{
    struct life l;
    int client = begin(&l);
    int file = core_memory(0x3000);
    char got[4] = "";

    (void)state;
    guest_map_with(&l, client, 0x1000, 0x2000, RW, file);
    guest_map_with(&l, client, 0x4000, 0x2000, RW | VU_DMA_FILE_IO, file);
    assert_int_equal(ftruncate(file, 0x1000), 0);
    assert_fails(guest_read(&l, 0x2800, got, 3, VFU_SGL_DIRECT_ACCESS), EIO);
    assert_fails(guest_write(&l, 0x2800, "abc", 3, VFU_SGL_DIRECT_ACCESS), EIO);
    assert_fails(guest_read(&l, 0x5800, got, 3, VFU_SGL_DIRECT_ACCESS), EIO);
    assert_int_equal(guest_write(&l, 0x4800, "abc", 3, VFU_SGL_DIRECT_ACCESS), 0);
    assert_int_equal(guest_read(&l, 0x4800, got, 3, VFU_SGL_DIRECT_ACCESS), 0);
    assert_string_equal(got, "abc");
    close(file);
    end(&l, client);
}

/* ------------------------------------------------------------------- misuse -- */

static void misuse_is_refused_without_a_message(void **state)
{
    union {
        max_align_t align;
        char room[64];
    } entry = { .room = { 0 } };
    dma_sg_t *sg = (dma_sg_t *)&entry;
    uint8_t bytes[128], *at;
    struct life l;
    int client = begin(&l);
    char got[4];

    (void)state;
    guest_map_with(&l, client, 0x1000, 0x1000, VU_DMA_READABLE, -1);
    assert_fails(vfu_sgl_read(l.core.ctx, sg, 1, got, 0), EINVAL);
    assert_fails(vfu_sgl_write(l.core.ctx, sg, 1, got, 0), EINVAL);
    assert_int_equal(vfu_addr_to_sgl(l.core.ctx, (void *)(uintptr_t)BASE, 4, sg, 1,
                                     PROT_READ), 1);
    assert_fails(vfu_sgl_read(l.core.ctx, sg, 1, got, 2), EINVAL);
    assert_fails(vfu_sgl_read(l.core.ctx, sg, 0, got, 0), EINVAL);
    assert_fails(vfu_sgl_write(l.core.ctx, sg, 1, got, 0), EPERM);
    assert_fails(vfu_sgl_write(l.core.ctx, sg, 1, got, VFU_SGL_DIRECT_ACCESS), EPERM);
    assert_silent(client);
    /* An entry that outlived its window. */
    at = put_unmap(bytes, 5, BASE, 0x10000);
    client_send(client, bytes, (size_t)(at - bytes));
    assert_run(&l, 1, 0);
    assert_reply(client, 5, 0);
    assert_fails(vfu_sgl_read(l.core.ctx, sg, 1, got, 0), EFAULT);
    assert_fails(vfu_sgl_read(l.core.ctx, sg, 1, got, VFU_SGL_DIRECT_ACCESS), EFAULT);
    guest_map(&l, client, BASE, 0x10000);       /* it is another window now */
    assert_fails(vfu_sgl_read(l.core.ctx, sg, 1, got, 0), EFAULT);
    assert_silent(client);
    end(&l, client);
}

static void a_window_that_cannot_be_read_is_not(void **state)
{
    union {
        max_align_t align;
        char room[64];
    } entry;
    dma_sg_t *sg = (dma_sg_t *)&entry;
    struct life l;
    int client = begin(&l);
    int file = core_memory(0x1000);
    char got[4];

    (void)state;
    guest_map_with(&l, client, 0x1000, 0x1000, VU_DMA_WRITEABLE, file);
    assert_int_equal(vfu_addr_to_sgl(l.core.ctx, (void *)0x1000, 4, sg, 1, PROT_WRITE),
                     1);
    assert_fails(vfu_sgl_read(l.core.ctx, sg, 1, got, VFU_SGL_DIRECT_ACCESS), EPERM);
    assert_fails(vfu_sgl_read(l.core.ctx, sg, 1, got, 0), EPERM);
    assert_int_equal(vfu_sgl_write(l.core.ctx, sg, 1, "abcd", VFU_SGL_DIRECT_ACCESS), 0);
    assert_silent(client);
    close(file);
    end(&l, client);
}

/* A context without a socket, as fuzzers have it. */
static void without_a_connection_there_is_nobody_to_ask(void **state)
{
    union {
        max_align_t align;
        char room[64];
    } entry;
    dma_sg_t *sg = (dma_sg_t *)&entry;
    struct vu_dma_map m = { .flags = RW, .address = 0x1000, .size = 0x1000 };
    struct core c;
    char got[4];

    (void)state;
    core_begin(&c);
    core_dma_map(&c, m, -1);
    assert_int_equal(vfu_addr_to_sgl(c.ctx, (void *)0x1000, 4, sg, 1, PROT_READ), 1);
    assert_fails(vfu_sgl_read(c.ctx, sg, 1, got, 0), ENOTCONN);
    assert_fails(vfu_sgl_read(c.ctx, sg, 1, got, VFU_SGL_DIRECT_ACCESS), ENOTCONN);
    core_end(&c);
}

/* ---------------------------------------------------------------- answers -- */

/* Read four bytes from BASE; the client sends these bytes. */
static void answered(struct life *l, int client, const uint8_t *bytes,
                     const uint8_t *to, uint16_t id, int err)
{
    char got[4];

    client_send(client, bytes, (size_t)(to - bytes));
    if (err == 0)
        assert_int_equal(guest_read(l, BASE, got, 4, 0), 0);
    else
        assert_fails(guest_read(l, BASE, got, 4, 0), err);
    assert_request(client, id, VU_DMA_READ, BASE, 4);
}

static void the_clients_errno_is_given_on(void **state)
{
    static const struct {
        uint32_t answer;
        int err;
    } cases[] = {
        { 1, EPERM }, { ENODEV, ENODEV }, { 4095, 4095 }, { 0, EINVAL }, { 4096, EINVAL },
        { UINT32_MAX, EINVAL },
    };
    uint8_t bytes[64];
    struct life l;
    int client = begin(&l);

    (void)state;
    for (uint16_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        answered(&l, client, bytes,
                 put_refusal(bytes, i, VU_DMA_READ, cases[i].answer), i, cases[i].err);
    end(&l, client);
}

static void answers_that_do_not_fit_are_errors(void **state)
{
    uint8_t bytes[128], *at;
    struct life l;
    int client = begin(&l);

    (void)state;
    /* Another address; more than was asked for; nothing; no body; cut; too long. */
    at = put_answer(bytes, 0, VU_DMA_READ, BASE + 4, "abcd", 4);
    answered(&l, client, bytes, at, 0, EINVAL);
    at = put_answer(bytes, 1, VU_DMA_READ, BASE, "abcde", 5);
    answered(&l, client, bytes, at, 1, EINVAL);
    at = put_answer(bytes, 2, VU_DMA_READ, BASE, "", 0);
    answered(&l, client, bytes, at, 2, EINVAL);
    at = put_message(bytes, 3, VU_DMA_READ, VU_F_TYPE_REPLY, NULL, 0);
    answered(&l, client, bytes, at, 3, EINVAL);
    at = put_answer(bytes, 4, VU_DMA_READ, BASE, "abcd", 4);
    bytes[4]--;
    answered(&l, client, bytes, at - 1, 4, EINVAL);
    at = put_answer(bytes, 5, VU_DMA_READ, BASE, "abcd", 4);
    bytes[4]++;
    *at++ = 'e';
    answered(&l, client, bytes, at, 5, EINVAL);
    /* The answer to a write is none to a read. */
    at = put_answer(bytes, 6, VU_DMA_WRITE, BASE, NULL, 4);
    answered(&l, client, bytes, at, 6, EPROTO);
    at = put_answer(bytes, 7, VU_DMA_READ, BASE, "abcd", 4);
    answered(&l, client, bytes, at, 7, 0);
    end(&l, client);
}

static void write_answers_that_do_not_fit_are_errors(void **state)
{
    uint8_t bytes[64] = { 0 };
    struct life l;
    int client = begin(&l);

    (void)state;
    send_answer(client, 0, VU_DMA_WRITE, BASE, NULL, 5);
    assert_fails(guest_write(&l, BASE, "abcd", 4, 0), EINVAL);
    send_answer(client, 1, VU_DMA_WRITE, BASE, NULL, 0);
    assert_fails(guest_write(&l, BASE, "abcd", 4, 0), EINVAL);
    put_answer(bytes, 2, VU_DMA_WRITE, BASE, NULL, 4);
    bytes[4]++;
    client_send(client, bytes, 33);
    assert_fails(guest_write(&l, BASE, "abcd", 4, 0), EINVAL);
    end(&l, client);
}

static void an_answer_to_something_else_is_a_protocol_error(void **state)
{
    uint8_t bytes[128], *at;
    struct life l;
    int client = begin(&l);

    (void)state;
    at = put_answer(bytes, 4711, VU_DMA_READ, BASE, "abcd", 4);
    answered(&l, client, bytes, at, 0, EPROTO);
    /* The right one, late, is no answer to the next. */
    at = put_answer(bytes, 0, VU_DMA_READ, BASE, "late", 4);
    at = put_answer(at, 1, VU_DMA_READ, BASE, "good", 4);
    answered(&l, client, bytes, at, 1, 0);
    end(&l, client);
}

static void a_short_answer_is_continued(void **state)
{
    struct life l;
    struct guest g;
    int client = begin(&l);
    uint8_t got[7];

    (void)state;
    guest_begin(&g, client, client, BASE);
    g.most = 3;
    assert_int_equal(guest_read(&l, BASE, got, 7, 0), 0);
    assert_memory_equal(got, g.memory, 7);
    assert_int_equal(guest_write(&l, BASE, "ABCDEFG", 7, 0), 0);
    assert_memory_equal(g.memory, "ABCDEFG", 7);
    guest_end(&g);
    assert_int_equal(atomic_load(&g.requests), 6);
    for (int i = 0; i < 6; i++)
        assert_asked(&g, i, BASE + (uint64_t)(i % 3) * 3, 7 - (uint64_t)(i % 3) * 3);
    end(&l, client);
}

static void descriptors_of_an_answer_are_closed(void **state)
{
    uint8_t bytes[128], *at;
    struct life l;
    int client = begin(&l);
    int before = vu_test_open_fds();
    char got[4];

    (void)state;
    at = put_answer(bytes, 0, VU_DMA_READ, BASE, "abcd", 4);
    client_send_fds(client, bytes, (size_t)(at - bytes), &l.core.memory, 1);
    assert_int_equal(guest_read(&l, BASE, got, 4, 0), 0);
    assert_int_equal(vu_test_open_fds(), before);
    end(&l, client);
}

static void an_answer_that_nobody_waits_for_is_ignored(void **state)
{
    uint8_t bytes[64];
    struct life l;
    int client = begin(&l);

    (void)state;
    send_answer(client, 0, VU_DMA_READ, BASE, "abcd", 4);
    assert_run(&l, 0, 0);
    put_get_info(bytes, 9);
    client_send(client, bytes, INFO_BYTES);
    assert_run(&l, 1, 0);
    assert_reply(client, 9, 0);
    end(&l, client);
}

/* --------------------------------------------------------------- deadlines -- */

static void a_client_that_never_answers_costs_one_deadline_and_no_more(void **state)
{
    uint8_t bytes[64];
    struct life l;
    int client = begin(&l);
    int64_t start = guest_now_ms();
    char got[5] = "";

    (void)state;
    assert_int_equal(vfu_setup_timeout(l.core.ctx, VFU_TIMEOUT_DMA, 60), 0);
    assert_fails(guest_read(&l, BASE, got, 4, 0), ETIMEDOUT);
    assert_in_range(guest_now_ms() - start, 55, PATIENCE_MS);
    assert_request(client, 0, VU_DMA_READ, BASE, 4);
    /* Its commands are served, and a late answer is not taken for a later one. */
    put_get_info(bytes, 9);
    client_send(client, bytes, INFO_BYTES);
    assert_run(&l, 1, 0);
    assert_reply(client, 9, 0);
    assert_int_equal(vfu_setup_timeout(l.core.ctx, VFU_TIMEOUT_DMA, PATIENCE_MS), 0);
    send_answer(client, 0, VU_DMA_READ, BASE, "late", 4);
    send_answer(client, 1, VU_DMA_READ, BASE, "soon", 4);
    assert_int_equal(guest_read(&l, BASE, got, 4, 0), 0);
    assert_string_equal(got, "soon");
    assert_int_equal(l.core.ctx->conn.port.requests.n_abandoned, 0);
    end(&l, client);
}

struct trickle {
    int client;
    atomic_bool stop;
};

/* Read a request if it comes soon; other messages are passed over. */
static bool take_request(int fd, struct vu_header *h)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    uint8_t bytes[VU_HEADER_SIZE] = { 0 }, body[64];
    struct vu_reader r = vu_reader(bytes, sizeof(bytes));

    return poll(&p, 1, 100) == 1 && guest_get(fd, bytes, sizeof(bytes)) &&
           vu_decode_header(&r, h) == 0 && h->size - VU_HEADER_SIZE <= sizeof(body) &&
           guest_get(fd, body, h->size - VU_HEADER_SIZE);
}

/* Answers of one byte to each request, and commands in between. */
static void *send_trickle(void *arg)
{
    struct trickle *t = arg;
    uint64_t address = BASE;
    uint8_t bytes[128];

    while (!atomic_load(&t->stop)) {
        uint8_t *at = bytes;
        struct vu_header h;

        if (!take_request(t->client, &h))
            continue;
        if (vu_header_type(&h) != VU_F_TYPE_COMMAND)
            continue;
        at = put_get_info(at, h.msg_id);
        at = put_answer(at, h.msg_id, VU_DMA_READ, address++, "x", 1);
        if (send(t->client, bytes, (size_t)(at - bytes), MSG_NOSIGNAL) < 0)
            break;
        usleep(2000);
    }
    return NULL;
}

/* One deadline for a call, however many parts it takes and whatever arrives. */
static void a_client_that_trickles_does_not_prolong_it(void **state)
{
    struct life l;
    struct trickle t = { .client = begin(&l) };
    pthread_t thread;
    static char got[0x10000];
    int64_t start;

    (void)state;
    assert_int_equal(vfu_setup_timeout(l.core.ctx, VFU_TIMEOUT_DMA, 300), 0);
    assert_int_equal(pthread_create(&thread, NULL, send_trickle, &t), 0);
    start = guest_now_ms();
    assert_fails(guest_read(&l, BASE, got, sizeof(got), 0), ETIMEDOUT);
    assert_in_range(guest_now_ms() - start, 290, 4000);
    atomic_store(&t.stop, true);
    pthread_join(thread, NULL);
    end(&l, t.client);
}

static void a_client_that_owes_too_many_answers_is_dropped(void **state)
{
    struct life l;
    int client = begin(&l);
    char got[4];

    (void)state;
    assert_int_equal(vfu_setup_timeout(l.core.ctx, VFU_TIMEOUT_DMA, 1), 0);
    for (size_t i = 0; i <= VUS_MAX_ABANDONED; i++)
        assert_fails(guest_read(&l, BASE, got, 4, 0), ETIMEDOUT);
    assert_fails(guest_read(&l, BASE, got, 4, 0), ENOTCONN);
    assert_run(&l, -1, ENOTCONN);
    close(client);
    close(life_client(&l));     /* the next one starts afresh */
    assert_int_equal(l.core.ctx->conn.port.requests.n_abandoned, 0);
    life_end(&l);
}

static void ids_of_late_answers_are_not_used_again(void **state)
{
    struct life l;
    int client = begin(&l);
    char got[4];

    (void)state;
    assert_int_equal(vfu_setup_timeout(l.core.ctx, VFU_TIMEOUT_DMA, 1), 0);
    assert_fails(guest_read(&l, BASE, got, 4, 0), ETIMEDOUT);
    assert_request(client, 0, VU_DMA_READ, BASE, 4);
    assert_int_equal(vfu_setup_timeout(l.core.ctx, VFU_TIMEOUT_DMA, PATIENCE_MS), 0);
    l.core.ctx->conn.port.requests.next_id = 0;
    send_answer(client, 0, VU_DMA_READ, BASE, "late", 4);
    send_answer(client, 1, VU_DMA_READ, BASE, "good", 4);
    assert_int_equal(guest_read(&l, BASE, got, 4, 0), 0);
    assert_memory_equal(got, "good", 4);
    end(&l, client);
}

/* ---------------------------------------------------------------- the end -- */

static void a_client_that_leaves_ends_the_call(void **state)
{
    struct life l;
    int client = begin(&l);
    char got[4];

    (void)state;
    close(client);
    assert_fails(guest_read(&l, BASE, got, 4, 0), ENOTCONN);
    assert_int_equal(l.core.seen.resets, 0);    /* callbacks run in vfu_run_ctx() */
    assert_int_equal(l.core.seen.unregisters, 0);
    assert_run(&l, -1, ENOTCONN);
    assert_int_equal(l.core.seen.resets, 1);
    assert_int_equal(l.core.seen.unregisters, 1);
    life_end(&l);
}

static void the_answer_that_came_before_the_end_counts(void **state)
{
    struct life l;
    int client = begin(&l);
    char got[4];

    (void)state;
    send_answer(client, 0, VU_DMA_READ, BASE, "last", 4);
    shutdown(client, SHUT_WR);
    assert_int_equal(guest_read(&l, BASE, got, 4, 0), 0);
    assert_fails(guest_read(&l, BASE, got, 4, 0), ENOTCONN);
    assert_run(&l, -1, ENOTCONN);
    end(&l, client);
}

/* Fill the socket: three of four requests leave, and are given up. */
static void fill_socket(struct life *l)
{
    uint8_t *data = calloc(1, 0x10000);

    assert_int_equal(vfu_setup_timeout(l->core.ctx, VFU_TIMEOUT_DMA, 10), 0);
    for (int i = 0; i < 10; i++)
        assert_fails(guest_write(l, BASE, data, 0x10000, 0), ETIMEDOUT);
    assert_int_equal(vfu_setup_timeout(l->core.ctx, VFU_TIMEOUT_DMA, PATIENCE_MS), 0);
    free(data);
}

/* Not more than the call's own time, and not the connection. */
static void a_client_that_reads_nothing_costs_the_call(void **state)
{
    struct life l;
    int client = begin(&l);
    uint8_t info[INFO_BYTES];

    (void)state;
    fill_socket(&l);
    put_get_info(info, 1);
    client_send(client, info, sizeof(info));
    assert_int_equal(vfu_setup_timeout(l.core.ctx, VFU_TIMEOUT_DMA, 10), 0);
    assert_fails(guest_write(&l, BASE, info, sizeof(info), 0), ETIMEDOUT);
    assert_run(&l, 0, 0);       /* answered meanwhile */
    end(&l, client);
}

/* A client on a thread that first sends a command of 1 MiB, and reads nothing before it
 * has left; then it answers what it is asked. */
struct writer {
    int client;
    atomic_bool stop;
};

static void *write_then_answer(void *arg)
{
    static uint8_t bytes[VU_HEADER_SIZE + VU_REGION_ACCESS_SIZE + VUS_MAX_DATA_XFER];
    static uint8_t body[VU_REGION_ACCESS_SIZE + VUS_MAX_DATA_XFER];
    struct writer *w = arg;
    uint32_t count = VUS_MAX_DATA_XFER;
    struct vu_header h;

    memcpy(body + 12, &count, sizeof(count));
    put_message(bytes, 9, VU_REGION_WRITE, 0, body, sizeof(body));
    if (send(w->client, bytes, sizeof(bytes), MSG_NOSIGNAL) != sizeof(bytes))
        return NULL;
    while (!atomic_load(&w->stop)) {
        struct pollfd p = { .fd = w->client, .events = POLLIN };
        struct vu_reader r = vu_reader(bytes, VU_HEADER_SIZE);

        if (poll(&p, 1, 50) != 1)
            continue;
        if (!guest_get(w->client, bytes, VU_HEADER_SIZE) ||
            vu_decode_header(&r, &h) != 0 ||
            !guest_get(w->client, body, h.size - VU_HEADER_SIZE))
            break;
        if (vu_header_type(&h) != VU_F_TYPE_COMMAND)
            continue;
        put_message(bytes, h.msg_id, h.command, VU_F_TYPE_REPLY, body, VU_DMA_ACCESS_SIZE);
        send(w->client, bytes, VU_HEADER_SIZE + VU_DMA_ACCESS_SIZE, MSG_NOSIGNAL);
    }
    return NULL;
}

static void both_may_have_more_to_say_than_the_sockets_hold(void **state)
{
    struct life l;
    struct writer w = { .client = begin(&l) };
    pthread_t thread;
    uint8_t *data = calloc(1, 0x10000);

    (void)state;
    fill_socket(&l);
    assert_int_equal(pthread_create(&thread, NULL, write_then_answer, &w), 0);
    assert_int_equal(guest_write(&l, BASE, data, 0x10000, 0), 0);
    assert_run(&l, 1, 0);       /* the long command was kept */
    atomic_store(&w.stop, true);
    pthread_join(thread, NULL);
    free(data);
    end(&l, w.client);
}

/* -------------------------------------------------------------- dirty log -- */

static void direct_writes_count_as_dirty_and_messages_do_not(void **state)
{
    struct life l;
    int client = begin(&l);
    int file = core_memory(0x4000);
    struct vus_window *w;
    struct vus_bitmap *b;

    (void)state;
    guest_map_with(&l, client, 0x1000, 0x4000, RW, file);
    w = vus_dma_from(&l.core.ctx->dma, 0x1000);
    atomic_store(&l.core.ctx->dirty.on, true);
    l.core.ctx->dirty.shift = 12;
    assert_int_equal(vus_dirty_window_added(l.core.ctx, w), 0);
    b = vus_window_bitmap(w);
    assert_non_null(b);
    b->words[0] = 0;
    send_answer(client, 0, VU_DMA_WRITE, 0x1000, NULL, 1);
    assert_int_equal(guest_write(&l, 0x1000, "m", 1, 0), 0);
    assert_int_equal(b->words[0], 0);
    assert_int_equal(guest_write(&l, 0x2fff, "ab", 2, VFU_SGL_DIRECT_ACCESS), 0);
    assert_int_equal(b->words[0], 6);
    assert_int_equal(guest_read(&l, 0x4000, (char[2]){ 0 }, 2, VFU_SGL_DIRECT_ACCESS), 0);
    assert_int_equal(b->words[0], 6);
    close(file);
    end(&l, client);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(a_read_brings_what_the_client_answers),
    VU_FD_TEST(a_write_carries_the_devices_bytes),
    VU_FD_TEST(a_write_may_be_answered_with_a_short_count),
    VU_FD_TEST(transfers_are_split_as_the_client_asks),
    VU_FD_TEST(parts_are_never_larger_than_our_own_limit),
    VU_FD_TEST(one_mebibyte_is_read_in_one_message_and_written_in_eight),
    VU_FD_TEST(pieces_go_one_after_another_each_in_its_own_way),
    VU_FD_TEST(direct_access_sends_nothing),
    VU_FD_TEST(without_the_flag_even_mapped_windows_take_messages),
    VU_FD_TEST(a_file_that_ends_early_is_an_error),
    VU_FD_TEST(misuse_is_refused_without_a_message),
    VU_FD_TEST(a_window_that_cannot_be_read_is_not),
    VU_FD_TEST(without_a_connection_there_is_nobody_to_ask),
    VU_FD_TEST(the_clients_errno_is_given_on),
    VU_FD_TEST(answers_that_do_not_fit_are_errors),
    VU_FD_TEST(write_answers_that_do_not_fit_are_errors),
    VU_FD_TEST(an_answer_to_something_else_is_a_protocol_error),
    VU_FD_TEST(a_short_answer_is_continued),
    VU_FD_TEST(descriptors_of_an_answer_are_closed),
    VU_FD_TEST(an_answer_that_nobody_waits_for_is_ignored),
    VU_FD_TEST(a_client_that_never_answers_costs_one_deadline_and_no_more),
    VU_FD_TEST(a_client_that_trickles_does_not_prolong_it),
    VU_FD_TEST(a_client_that_owes_too_many_answers_is_dropped),
    VU_FD_TEST(ids_of_late_answers_are_not_used_again),
    VU_FD_TEST(a_client_that_leaves_ends_the_call),
    VU_FD_TEST(the_answer_that_came_before_the_end_counts),
    VU_FD_TEST(a_client_that_reads_nothing_costs_the_call),
    VU_FD_TEST(both_may_have_more_to_say_than_the_sockets_hold),
    VU_FD_TEST(direct_writes_count_as_dirty_and_messages_do_not),
};

VU_TEST_MAIN(tests)
