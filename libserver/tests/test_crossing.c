/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands of the client that cross requests of ours: from inside every callback,
 * outside of any, on other threads, while the device quiesces. None is lost, none
 * overtakes another that has effects, and those that others wait for are answered.
 */
#include "libserver/tests/guest.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#define NB   LIBVFIO_USER_FLAG_ATTACH_NB
#define BASE 0x10000u

/* What the device does in its callbacks. */
static struct {
    bool in_access, in_register, in_unregister, in_quiesce, in_reset;
    int ret, err;           /* of the last transfer */
    int transfers;
    char got[5];
    char order[256];        /* what happened: the byte written, 'r' for reads, ... */
} device;

static void note(char what)
{
    size_t n = strlen(device.order);

    if (n + 1 < sizeof(device.order))
        device.order[n] = what;
}

static void transfer_now(vfu_ctx_t *ctx)
{
    memset(device.got, 0, sizeof(device.got));
    errno = 0;
    device.transfers++;
    device.ret = guest_transfer(ctx, BASE, device.got, 4, 0, false);
    device.err = errno;
}

static ssize_t on_access(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset,
                         bool is_write)
{
    bool transfers = device.in_access && is_write;

    (void)offset;
    if (is_write)
        note(buf[0]);
    else
        note('r');
    device.in_access = device.in_access && !transfers;  /* the first one only */
    if (transfers)
        transfer_now(ctx);
    if (!is_write)
        memset(buf, 'R', count);
    return (ssize_t)count;
}

static void on_register(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    (void)info;
    note('+');
    if (device.in_register)
        transfer_now(ctx);
}

static void on_unregister(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    (void)info;
    note('-');
    if (device.in_unregister)
        transfer_now(ctx);
}

static int on_quiesce(vfu_ctx_t *ctx)
{
    if (device.in_quiesce)
        transfer_now(ctx);
    return 0;
}

static int on_reset(vfu_ctx_t *ctx, vfu_reset_type_t type)
{
    note(type == VFU_RESET_LOST_CONN ? 'L' : 'D');
    if (device.in_reset)
        transfer_now(ctx);
    return 0;
}

/* A client with one window that has no memory. */
static int begin_flags(struct life *l, int flags)
{
    int client;

    memset(&device, 0, sizeof(device));
    life_begin(l, flags);
    assert_int_equal(vfu_setup_region(l->core.ctx, 0, BAR0_SIZE, on_access,
                                      VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM, NULL, 0,
                                      -1, 0), 0);
    assert_int_equal((vfu_setup_device_dma)(l->core.ctx, 64, on_register, on_unregister),
                     0);
    vfu_setup_device_reset_cb(l->core.ctx, on_reset);
    if (flags == 0)
        return client_connect(l);
    client = life_client(l);
    guest_map(l, client, BASE, 0x10000);
    device.order[0] = '\0';
    return client;
}

static int begin(struct life *l)
{
    return begin_flags(l, NB);
}

static void end(struct life *l, int client)
{
    close(client);
    life_end(l);
}

/* ---------------------------------------------------------------- messages -- */

static uint8_t *put_region(uint8_t *at, uint16_t id, uint16_t command, char byte,
                           uint32_t flags)
{
    struct vu_region_access a = { .count = 1 };
    uint8_t body[VU_REGION_ACCESS_SIZE + 1];
    struct vu_writer w = vu_writer(body, VU_REGION_ACCESS_SIZE);

    vu_encode_region_access(&w, &a);
    body[VU_REGION_ACCESS_SIZE] = (uint8_t)byte;
    return put_message(at, id, command, flags, body,
                       VU_REGION_ACCESS_SIZE + (command == VU_REGION_WRITE));
}

static uint8_t *put_write(uint8_t *at, uint16_t id, char byte)
{
    return put_region(at, id, VU_REGION_WRITE, byte, 0);
}

static uint8_t *put_read(uint8_t *at, uint16_t id)
{
    return put_region(at, id, VU_REGION_READ, 0, 0);
}

static uint8_t *put_irqs(uint8_t *at, uint16_t id, uint32_t flags, uint32_t index,
                         uint32_t count)
{
    struct vu_irq_set m = {
        .argsz = VU_IRQ_SET_SIZE, .flags = flags, .index = index, .count = count,
    };
    uint8_t body[VU_IRQ_SET_SIZE];

    ENCODE(irq_set, &m, body);
    return put_message(at, id, VU_DEVICE_SET_IRQS, 0, body, sizeof(body));
}

static uint8_t *put_good_answer(uint8_t *at, uint16_t id)
{
    return put_answer(at, id, VU_DMA_READ, BASE, "good", 4);
}

static void send_bytes(int client, const uint8_t *from, const uint8_t *to)
{
    client_send(client, from, (size_t)(to - from));
}

static void assert_transferred(void)
{
    assert_int_equal(device.ret, 0);
    assert_string_equal(device.got, "good");
}

static bool readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return poll(&p, 1, 0) == 1;
}

/* ------------------------------------------------------- inside of callbacks -- */

/* The doorbell of a device whose client goes on talking. */
static void commands_may_cross_a_request_from_a_region_callback(void **state)
{
    uint8_t bytes[1024], *at = bytes;
    struct life l;
    int client = begin(&l);

    (void)state;
    device.in_access = true;
    at = put_write(at, 1, 'a');
    at = put_get_info(at, 2);
    at = put_read(at, 3);
    at = put_write(at, 4, 'b');
    at = put_irqs(at, 5, VU_IRQ_SET_DATA_NONE | VU_IRQ_SET_ACTION_TRIGGER, 2, 0);
    put_map(at, 6, 0x40000, 0x1000, RW);
    at = put_good_answer(at + MAP_BYTES, 0);
    at = put_write(at, 7, 'c');
    send_bytes(client, bytes, at);
    assert_run(&l, 5, 0);               /* two were answered ahead of the others */
    assert_transferred();
    assert_request(client, 0, VU_DMA_READ, BASE, 4);
    assert_reply(client, 2, 0);
    assert_reply(client, 5, 0);
    assert_reply(client, 1, 0);
    assert_reply(client, 3, 0);
    assert_reply(client, 4, 0);
    assert_reply(client, 6, 0);
    assert_reply(client, 7, 0);
    assert_silent(client);
    assert_string_equal(device.order, "arb+c");
    assert_run(&l, 0, 0);
    end(&l, client);
}

/* What a client with a lock does: it does not answer before its SET_IRQS is answered. */
static void a_client_may_wait_for_us_while_we_wait_for_it(void **state)
{
    static const uint16_t others[] = {
        VU_DEVICE_GET_INFO, VU_DEVICE_GET_REGION_INFO, VU_DEVICE_GET_IRQ_INFO,
        VU_DEVICE_GET_REGION_IO_FDS,
    };
    uint8_t body[32] = { 32 };
    uint8_t bytes[256];
    struct life l;
    int client = begin(&l);

    (void)state;
    for (uint16_t i = 0; i < 5; i++) {
        uint8_t *at = bytes;

        device.in_access = true;
        assert_int_equal(vfu_setup_timeout(l.core.ctx, VFU_TIMEOUT_DMA, 20), 0);
        at = put_write(at, 1, 'a');
        if (i < 4)
            at = put_message(at, 2, others[i], 0, body,
                             others[i] == VU_DEVICE_GET_REGION_INFO ? 32 : 16);
        else
            at = put_irqs(at, 2, VU_IRQ_SET_DATA_EVENTFD | VU_IRQ_SET_ACTION_TRIGGER, 2,
                          1);
        send_bytes(client, bytes, at);
        assert_run(&l, 1, 0);
        assert_int_equal(device.err, ETIMEDOUT);    /* we never answered, but were */
        assert_request(client, i, VU_DMA_READ, BASE, 4);
        assert_reply(client, 2, 0);
        assert_reply(client, 1, 0);
    }
    end(&l, client);
}

static void other_callbacks_may_ask_too(void **state)
{
    uint8_t bytes[512], *at = bytes;
    struct life l;
    int client = begin(&l);

    (void)state;
    device.in_register = true;
    put_map(at, 1, 0x40000, 0x1000, RW);
    at = put_good_answer(put_read(at + MAP_BYTES, 2), 0);
    send_bytes(client, bytes, at);
    assert_run(&l, 2, 0);
    assert_transferred();
    assert_string_equal(device.order, "+r");

    device.in_register = false;
    device.in_unregister = true;
    at = put_unmap(bytes, 3, 0x40000, 0x1000);
    at = put_good_answer(put_read(at, 4), 1);
    send_bytes(client, bytes, at);
    assert_run(&l, 2, 0);
    assert_transferred();
    device.in_unregister = false;

    device.in_reset = true;
    at = put_message(bytes, 5, VU_DEVICE_RESET, 0, NULL, 0);
    at = put_good_answer(put_read(at, 6), 2);
    send_bytes(client, bytes, at);
    assert_run(&l, 2, 0);
    assert_transferred();
    device.in_reset = false;

    vfu_setup_device_quiesce_cb(l.core.ctx, on_quiesce);
    device.in_quiesce = true;
    put_map(bytes, 7, 0x40000, 0x1000, RW);
    at = put_good_answer(put_read(bytes + MAP_BYTES, 8), 3);
    send_bytes(client, bytes, at);
    assert_run(&l, 2, 0);
    assert_transferred();
    assert_string_equal(device.order, "+r-rDr+r");
    assert_int_equal(device.transfers, 4);
    for (uint16_t i = 0; i < 4; i++) {
        assert_request(client, i, VU_DMA_READ, BASE, 4);
        assert_reply(client, (uint16_t)(1 + 2 * i), 0);
        assert_reply(client, (uint16_t)(2 + 2 * i), 0);
    }
    vfu_setup_device_quiesce_cb(l.core.ctx, NULL);
    end(&l, client);
}

/* The callbacks of a lost client find nobody to ask, at once. */
static void callbacks_of_a_lost_client_get_enotconn(void **state)
{
    struct life l;
    int client = begin(&l);

    (void)state;
    vfu_setup_device_quiesce_cb(l.core.ctx, on_quiesce);
    device.in_quiesce = device.in_unregister = device.in_reset = true;
    close(client);
    assert_run(&l, -1, ENOTCONN);
    assert_int_equal(device.transfers, 3);      /* the last found no window either */
    assert_int_equal(device.ret, -1);
    assert_string_equal(device.order, "-L");
    memset(&device, 0, sizeof(device));
    vfu_setup_device_quiesce_cb(l.core.ctx, NULL);
    life_end(&l);
}

/* A reply that is ready may be what the client waits for before it answers. */
static void replies_leave_before_a_request(void **state)
{
    uint8_t bytes[256], *at;
    struct life l;
    int client = begin(&l);

    (void)state;
    device.in_access = true;
    at = put_write(put_read(bytes, 1), 2, 'a');
    at = put_good_answer(at, 0);
    send_bytes(client, bytes, at);
    assert_run(&l, 2, 0);
    assert_transferred();
    assert_reply(client, 1, 0);
    assert_request(client, 0, VU_DMA_READ, BASE, 4);
    assert_reply(client, 2, 0);
    end(&l, client);
}

static int mask_calls;

static void on_mask(vfu_ctx_t *ctx, uint32_t start, uint32_t count, bool mask)
{
    (void)ctx;
    (void)start;
    (void)count;
    (void)mask;
    mask_calls++;
    note('m');
}

/* A callback runs on the run thread alone, and SET_IRQS stay in order. */
static void irqs_with_a_callback_wait_and_hold_back_those_behind(void **state)
{
    uint8_t bytes[512], *at;
    struct life l;
    int client = begin(&l);

    (void)state;
    mask_calls = 0;
    assert_int_equal(vfu_setup_irq_state_callback(l.core.ctx, VFU_DEV_INTX_IRQ, on_mask),
                     0);
    device.in_access = true;
    at = put_write(bytes, 1, 'a');
    at = put_irqs(at, 2, VU_IRQ_SET_DATA_NONE | VU_IRQ_SET_ACTION_MASK, 0, 1);
    at = put_irqs(at, 3, VU_IRQ_SET_DATA_NONE | VU_IRQ_SET_ACTION_TRIGGER, 0, 0);
    at = put_get_info(at, 4);
    at = put_good_answer(at, 0);
    send_bytes(client, bytes, at);
    assert_run(&l, 3, 0);
    assert_transferred();
    assert_request(client, 0, VU_DMA_READ, BASE, 4);
    assert_reply(client, 4, 0);
    assert_reply(client, 1, 0);
    assert_reply(client, 2, 0);
    assert_reply(client, 3, 0);
    assert_int_equal(mask_calls, 1);
    assert_string_equal(device.order, "am");
    end(&l, client);
}

static void on_mask_transfer(vfu_ctx_t *ctx, uint32_t start, uint32_t count, bool mask)
{
    on_mask(ctx, start, count, mask);
    transfer_now(ctx);
}

static void irqs_do_not_overtake_the_ones_being_served(void **state)
{
    uint8_t bytes[512], *at;
    struct life l;
    int client = begin(&l);

    (void)state;
    assert_int_equal(vfu_setup_irq_state_callback(l.core.ctx, VFU_DEV_INTX_IRQ,
                                                  on_mask_transfer), 0);
    at = put_irqs(bytes, 1, VU_IRQ_SET_DATA_NONE | VU_IRQ_SET_ACTION_MASK, 0, 1);
    at = put_irqs(at, 2, VU_IRQ_SET_DATA_NONE | VU_IRQ_SET_ACTION_TRIGGER, 0, 0);
    at = put_good_answer(at, 0);
    send_bytes(client, bytes, at);
    assert_run(&l, 2, 0);
    assert_transferred();
    assert_request(client, 0, VU_DMA_READ, BASE, 4);
    assert_reply(client, 1, 0);
    assert_reply(client, 2, 0);
    end(&l, client);
}

static void a_posted_write_that_crosses_is_carried_out_unanswered(void **state)
{
    uint8_t bytes[512], *at;
    struct life l;
    int client = begin(&l);

    (void)state;
    device.in_access = true;
    at = put_region(bytes, 1, VU_REGION_WRITE, 'a', VU_F_NO_REPLY);
    at = put_region(at, 2, VU_REGION_WRITE, 'b', VU_F_NO_REPLY);
    at = put_message(at, 3, 4711, VU_F_NO_REPLY, NULL, 0);
    at = put_good_answer(at, 0);
    send_bytes(client, bytes, at);
    assert_run(&l, 3, 0);
    assert_transferred();
    assert_string_equal(device.order, "ab");
    assert_request(client, 0, VU_DMA_READ, BASE, 4);
    assert_silent(client);
    end(&l, client);
}

/* -------------------------------------------------------------- descriptors -- */

static void descriptors_of_a_crossing_command_arrive_with_it(void **state)
{
    uint8_t bytes[256], *at;
    struct life l;
    int client = begin(&l);
    int before = vu_test_open_fds();
    char got[4] = "";

    (void)state;
    device.in_access = true;
    at = put_write(bytes, 1, 'a');
    send_bytes(client, bytes, at);
    put_map(bytes, 2, 0x40000, 0x1000, RW);
    client_send_fds(client, bytes, MAP_BYTES, &l.core.memory, 1);
    at = put_good_answer(bytes, 0);
    send_bytes(client, bytes, at);
    assert_run(&l, 2, 0);
    assert_transferred();
    assert_int_equal(pwrite(l.core.memory, "mem", 3, 0), 3);
    assert_int_equal(guest_read(&l, 0x40000, got, 3, VFU_SGL_DIRECT_ACCESS), 0);
    assert_string_equal(got, "mem");
    at = put_unmap(bytes, 3, 0x40000, 0x1000);
    send_bytes(client, bytes, at);
    assert_run(&l, 1, 0);
    assert_int_equal(vu_test_open_fds(), before);
    end(&l, client);
}

static void descriptors_of_commands_never_served_are_closed(void **state)
{
    uint8_t bytes[256];
    struct life l;
    int client = begin(&l);
    char got[4];

    (void)state;
    assert_int_equal(vfu_setup_timeout(l.core.ctx, VFU_TIMEOUT_DMA, 10), 0);
    put_map(bytes, 2, 0x40000, 0x1000, RW);
    client_send_fds(client, bytes, MAP_BYTES, &l.core.memory, 1);
    assert_fails(guest_read(&l, BASE, got, 4, 0), ETIMEDOUT);
    assert_int_equal(l.core.ctx->conn.port.queue.n, 1);
    vfu_destroy_ctx(l.core.ctx);        /* VU_FD_TEST counts */
    l.core.ctx = NULL;
    end(&l, client);
}

/* ------------------------------------------------------ outside of callbacks -- */

static void what_crossed_outside_of_callbacks_wakes_the_caller(void **state)
{
    uint8_t bytes[256], *at;
    struct life l;
    int client = begin(&l);
    int wake = vfu_get_wake_fd(l.core.ctx);
    char got[4];

    (void)state;
    assert_true(wake >= 0);
    assert_int_equal(vfu_get_wake_fd(l.core.ctx), wake);
    assert_false(readable(wake));
    at = put_good_answer(put_write(put_get_info(bytes, 1), 2, 'a'), 0);
    send_bytes(client, bytes, at);
    assert_int_equal(guest_read(&l, BASE, got, 4, 0), 0);
    assert_request(client, 0, VU_DMA_READ, BASE, 4);
    assert_reply(client, 1, 0);
    assert_silent(client);
    assert_string_equal(device.order, "");      /* callbacks run in vfu_run_ctx() */
    assert_false(readable(vfu_get_poll_fd(l.core.ctx)));
    assert_true(readable(wake));
    assert_run(&l, 1, 0);
    assert_reply(client, 2, 0);
    assert_string_equal(device.order, "a");
    assert_false(readable(wake));
    end(&l, client);
}

/* It was not asked for before, but tells what happened before. */
static void a_late_wake_descriptor_is_readable_at_once(void **state)
{
    uint8_t bytes[256], *at;
    struct life l;
    int client = begin(&l);
    char got[4];

    (void)state;
    at = put_good_answer(put_write(bytes, 2, 'a'), 0);
    send_bytes(client, bytes, at);
    assert_int_equal(guest_read(&l, BASE, got, 4, 0), 0);
    assert_true(readable(vfu_get_wake_fd(l.core.ctx)));
    assert_run(&l, 1, 0);
    assert_false(readable(vfu_get_wake_fd(l.core.ctx)));
    end(&l, client);
}

/* Half of a command was read along with the answer; the socket wakes for the rest. */
static void half_a_command_waits_for_its_rest(void **state)
{
    uint8_t bytes[256], *at, *middle;
    struct life l;
    int client = begin(&l);
    char got[4];

    (void)state;
    middle = put_good_answer(bytes, 0) + 20;
    at = put_write(middle - 20, 2, 'a');
    send_bytes(client, bytes, middle);
    assert_int_equal(guest_read(&l, BASE, got, 4, 0), 0);
    assert_run(&l, 0, 0);
    send_bytes(client, middle, at);
    assert_true(readable(vfu_get_poll_fd(l.core.ctx)));
    assert_run(&l, 1, 0);
    assert_string_equal(device.order, "a");
    end(&l, client);
}

/* ---------------------------------------------------------------- quiesce -- */

static int say_busy(vfu_ctx_t *ctx)
{
    (void)ctx;
    errno = EBUSY;
    return -1;
}

static void guest_memory_can_be_used_while_a_quiesce_is_pending(void **state)
{
    uint8_t bytes[512], *at;
    struct life l;
    int client = begin(&l);
    int wake = vfu_get_wake_fd(l.core.ctx);
    char got[4] = "";

    (void)state;
    vfu_setup_device_quiesce_cb(l.core.ctx, say_busy);
    put_map(bytes, 1, 0x40000, 0x1000, RW);
    at = put_read(bytes + MAP_BYTES, 2);
    send_bytes(client, bytes, at);
    assert_run(&l, -1, EBUSY);
    at = put_good_answer(put_write(put_get_info(bytes, 3), 4, 'b'), 0);
    send_bytes(client, bytes, at);
    assert_int_equal(guest_read(&l, BASE, got, 4, 0), 0);
    assert_memory_equal(got, "good", 4);
    assert_request(client, 0, VU_DMA_READ, BASE, 4);
    assert_reply(client, 3, 0);         /* it may cross */
    assert_silent(client);
    assert_true(readable(wake));
    assert_run(&l, -1, EBUSY);          /* nothing can be done yet: it falls silent */
    assert_false(readable(wake));
    assert_string_equal(device.order, "");
    assert_int_equal(vfu_device_quiesced(l.core.ctx, 0), 0);
    assert_string_equal(device.order, "+rb");
    assert_reply(client, 1, 0);
    assert_reply(client, 2, 0);
    assert_reply(client, 4, 0);
    assert_false(readable(wake));
    vfu_setup_device_quiesce_cb(l.core.ctx, NULL);
    end(&l, client);
}

/* vfu_device_quiesced() will serve it: a wake-up would be for nothing. */
static void what_the_run_thread_keeps_itself_wakes_nobody(void **state)
{
    uint8_t bytes[512], *at;
    struct life l;
    int client = begin(&l);
    int wake = vfu_get_wake_fd(l.core.ctx);

    (void)state;
    vfu_setup_device_quiesce_cb(l.core.ctx, say_busy);
    device.in_access = true;
    at = put_write(bytes, 1, 'a');
    put_map(at, 2, 0x40000, 0x1000, RW);
    at = put_write(at + MAP_BYTES, 3, 'b');
    at = put_good_answer(at, 0);
    send_bytes(client, bytes, at);
    assert_run(&l, -1, EBUSY);
    assert_transferred();
    assert_int_equal(l.core.ctx->conn.port.queue.n, 1);
    assert_false(readable(wake));
    assert_int_equal(vfu_device_quiesced(l.core.ctx, 0), 0);
    assert_string_equal(device.order, "a+b");
    vfu_setup_device_quiesce_cb(l.core.ctx, NULL);
    end(&l, client);
}

/* As an application with an event loop does it: one vfu_run_ctx() an event, requests
 * pipelined, a quiesce that is answered later. */
static void one_run_per_event_serves_everything(void **state)
{
    struct epoll_event event = { .events = EPOLLIN };
    uint8_t bytes[64 * 128], *at = bytes;
    struct life l;
    int client = begin(&l);
    int loop = epoll_create1(EPOLL_CLOEXEC);
    int wake = vfu_get_wake_fd(l.core.ctx);
    bool busy = false;
    int idle = 0;

    (void)state;
    epoll_ctl(loop, EPOLL_CTL_ADD, vfu_get_poll_fd(l.core.ctx), &event);
    epoll_ctl(loop, EPOLL_CTL_ADD, wake, &event);
    vfu_setup_device_quiesce_cb(l.core.ctx, say_busy);
    for (uint16_t i = 0; i < 20; i++) {
        at = put_write(at, (uint16_t)(4 * i), (char)('a' + i));
        put_map(at, (uint16_t)(4 * i + 1), 0x100000 + i * 0x1000u, 0x1000, RW);
        at = put_read(at + MAP_BYTES, (uint16_t)(4 * i + 2));
        at = put_write(at, (uint16_t)(4 * i + 3), (char)('A' + i));
    }
    send_bytes(client, bytes, at);
    while (idle < 2) {
        struct epoll_event got;
        int ret;

        if (busy) {     /* the device has come to rest: on to the next event */
            char read_back[4];
            uint8_t answer[64];
            uint8_t *to = put_good_answer(answer, l.core.ctx->conn.port.requests.next_id);

            send_bytes(client, answer, to);
            assert_int_equal(guest_read(&l, BASE, read_back, 4, 0), 0);
            assert_int_equal(vfu_device_quiesced(l.core.ctx, 0), 0);
            busy = vus_quiesce_pending(&l.core.ctx->quiesce);
            continue;
        }
        if (epoll_wait(loop, &got, 1, 0) == 0) {
            idle++;
            continue;
        }
        ret = vfu_run_ctx(l.core.ctx);
        assert_true(ret >= 0 || errno == EBUSY);
        busy = ret < 0;
    }
    assert_int_equal(strlen(device.order), 80);
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(device.order[4 * i], 'a' + (int)i);
        assert_int_equal(device.order[4 * i + 1], '+');
        assert_int_equal(device.order[4 * i + 2], 'r');
        assert_int_equal(device.order[4 * i + 3], 'A' + (int)i);
    }
    vfu_setup_device_quiesce_cb(l.core.ctx, NULL);
    close(loop);
    end(&l, client);
}

/* ------------------------------------------------------------------- bounds -- */

static void a_flood_is_kept_in_bounds_and_then_served(void **state)
{
    const uint16_t n = 2000;
    uint8_t *bytes = malloc(n * 64u + 64), *at = bytes;
    struct life l;
    int client = begin(&l);
    int wake = vfu_get_wake_fd(l.core.ctx);
    char got[4];
    int served = 0;

    (void)state;
    for (uint16_t i = 0; i < n; i++)
        at = put_region(at, i, VU_REGION_WRITE, 'x', VU_F_NO_REPLY);
    at = put_good_answer(at, 0);
    send_bytes(client, bytes, at);
    assert_fails(guest_read(&l, BASE, got, 4, 0), ENOBUFS);
    assert_int_equal(l.core.ctx->conn.port.queue.n, VUS_QUEUE_COMMANDS + 1);
    assert_true(readable(wake));
    for (int i = 0; i < 10 && served < n; i++) {
        int ret = vfu_run_ctx(l.core.ctx);

        assert_true(ret >= 0);
        served += ret;
    }
    assert_int_equal(served, n);
    assert_false(readable(wake));
    /* The answer came late. */
    assert_int_equal(l.core.ctx->conn.port.requests.n_abandoned, 0);
    /* And all is as before. */
    at = put_good_answer(bytes, 1);
    send_bytes(client, bytes, at);
    assert_int_equal(guest_read(&l, BASE, got, 4, 0), 0);
    free(bytes);
    end(&l, client);
}

/* As many commands as the queue has room for, and then the answer. */
static void a_full_queue_still_lets_the_answer_through(void **state)
{
    uint8_t *bytes = malloc(VUS_QUEUE_COMMANDS * 64u + 64), *at = bytes;
    struct life l;
    int client = begin(&l);
    char got[4];

    (void)state;
    for (uint16_t i = 0; i < VUS_QUEUE_COMMANDS; i++)
        at = put_region(at, i, VU_REGION_WRITE, 'x', VU_F_NO_REPLY);
    at = put_good_answer(at, 0);
    send_bytes(client, bytes, at);
    assert_int_equal(guest_read(&l, BASE, got, 4, 0), 0);
    assert_int_equal(l.core.ctx->conn.port.queue.n, VUS_QUEUE_COMMANDS);
    assert_run(&l, VUS_QUEUE_COMMANDS, 0);
    free(bytes);
    end(&l, client);
}

static void large_commands_are_bounded_by_their_bytes(void **state)
{
    const size_t size = VU_HEADER_SIZE + VU_REGION_ACCESS_SIZE + 100000;
    uint8_t *one = calloc(1, size);
    struct vu_header h = { .command = VU_REGION_WRITE, .size = (uint32_t)size };
    struct vu_writer w = vu_writer(one, VU_HEADER_SIZE);
    struct life l;
    int client = begin(&l);
    char got[4];
    int n = 0;

    (void)state;
    vu_encode_header(&w, &h);
    assert_int_equal(vfu_setup_timeout(l.core.ctx, VFU_TIMEOUT_DMA, 30), 0);
    do {
        client_send(client, one, size);
        errno = 0;
        assert_int_equal(guest_read(&l, BASE, got, 4, 0), -1);
        n++;
    } while (errno == ETIMEDOUT && n < 60);
    assert_int_equal(errno, ENOBUFS);
    assert_in_range(l.core.ctx->conn.port.queue.bytes, VUS_QUEUE_BYTES,
                    VUS_QUEUE_BYTES + size);
    assert_int_equal(n, 42);
    free(one);
    end(&l, client);
}

static void descriptors_are_bounded_too(void **state)
{
    struct rlimit old, more = { .rlim_cur = 4096, .rlim_max = 4096 };
    uint8_t bytes[64], *at;
    int fds[200];
    struct life l;
    int client = begin(&l);
    char got[4];
    int n = 0;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    more.rlim_max = old.rlim_max;
    if (old.rlim_max < more.rlim_cur)
        skip();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &more), 0);
    for (size_t i = 0; i < 200; i++)
        fds[i] = l.core.memory;
    assert_int_equal(vfu_setup_timeout(l.core.ctx, VFU_TIMEOUT_DMA, 30), 0);
    do {
        at = put_read(bytes, 1);
        client_send_fds(client, bytes, (size_t)(at - bytes), fds, 200);
        errno = 0;
        assert_int_equal(guest_read(&l, BASE, got, 4, 0), -1);
        n++;
    } while (errno == ETIMEDOUT && n < 20);
    assert_int_equal(errno, ENOBUFS);
    assert_int_equal(n, 6);
    assert_run(&l, 6, 0);
    assert_int_equal(l.core.ctx->conn.port.queue.fds, 0);
    assert_int_equal(l.core.ctx->conn.port.queue.bytes, 0);
    assert_int_equal(l.core.ctx->conn.port.queue.n, 0);
    end(&l, client);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

/* ------------------------------------------------------------------ the end -- */

static void what_came_before_the_end_is_served(void **state)
{
    uint8_t bytes[256], *at;
    struct life l;
    int client = begin(&l);
    char got[4];

    (void)state;
    at = put_write(put_write(bytes, 1, 'a'), 2, 'b');
    send_bytes(client, bytes, at);
    shutdown(client, SHUT_WR);
    assert_fails(guest_read(&l, BASE, got, 4, 0), ENOTCONN);
    assert_true(readable(vfu_get_poll_fd(l.core.ctx)));
    assert_run(&l, 2, 0);
    assert_request(client, 0, VU_DMA_READ, BASE, 4);
    assert_reply(client, 1, 0);
    assert_reply(client, 2, 0);
    assert_run(&l, -1, ENOTCONN);
    assert_string_equal(device.order, "ab-L");
    end(&l, client);
}

static void a_header_without_sense_is_answered_by_the_run_thread(void **state)
{
    uint8_t bytes[256], *at;
    struct life l;
    int client = begin(&l);
    int wake = vfu_get_wake_fd(l.core.ctx);
    char got[4];

    (void)state;
    at = put_get_info(put_write(bytes, 1, 'a'), 2);
    memset(at - INFO_BYTES + 4, 0, 4);
    send_bytes(client, bytes, at);
    assert_fails(guest_read(&l, BASE, got, 4, 0), ENOTCONN);
    assert_true(readable(wake) && readable(vfu_get_poll_fd(l.core.ctx)));
    assert_run(&l, 1, 0);
    assert_request(client, 0, VU_DMA_READ, BASE, 4);
    assert_reply(client, 1, 0);
    assert_reply(client, 2, EINVAL);
    assert_ended(client);
    assert_run(&l, -1, ENOTCONN);
    assert_string_equal(device.order, "a-L");
    end(&l, client);
}

/* The client leaves while a callback waits for it. */
static void a_client_may_leave_in_the_middle_of_a_callback(void **state)
{
    uint8_t bytes[256], *at;
    struct life l;
    int client = begin(&l);

    (void)state;
    device.in_access = true;
    at = put_write(bytes, 1, 'a');
    send_bytes(client, bytes, at);
    close(client);
    assert_run(&l, 1, 0);
    assert_int_equal(device.err, ENOTCONN);
    assert_run(&l, -1, ENOTCONN);
    assert_string_equal(device.order, "a-L");
    life_end(&l);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(commands_may_cross_a_request_from_a_region_callback),
    VU_FD_TEST(a_client_may_wait_for_us_while_we_wait_for_it),
    VU_FD_TEST(other_callbacks_may_ask_too),
    VU_FD_TEST(callbacks_of_a_lost_client_get_enotconn),
    VU_FD_TEST(replies_leave_before_a_request),
    VU_FD_TEST(irqs_with_a_callback_wait_and_hold_back_those_behind),
    VU_FD_TEST(irqs_do_not_overtake_the_ones_being_served),
    VU_FD_TEST(a_posted_write_that_crosses_is_carried_out_unanswered),
    VU_FD_TEST(descriptors_of_a_crossing_command_arrive_with_it),
    VU_FD_TEST(descriptors_of_commands_never_served_are_closed),
    VU_FD_TEST(what_crossed_outside_of_callbacks_wakes_the_caller),
    VU_FD_TEST(a_late_wake_descriptor_is_readable_at_once),
    VU_FD_TEST(half_a_command_waits_for_its_rest),
    VU_FD_TEST(guest_memory_can_be_used_while_a_quiesce_is_pending),
    VU_FD_TEST(what_the_run_thread_keeps_itself_wakes_nobody),
    VU_FD_TEST(one_run_per_event_serves_everything),
    VU_FD_TEST(a_flood_is_kept_in_bounds_and_then_served),
    VU_FD_TEST(a_full_queue_still_lets_the_answer_through),
    VU_FD_TEST(large_commands_are_bounded_by_their_bytes),
    VU_FD_TEST(descriptors_are_bounded_too),
    VU_FD_TEST(what_came_before_the_end_is_served),
    VU_FD_TEST(a_header_without_sense_is_answered_by_the_run_thread),
    VU_FD_TEST(a_client_may_leave_in_the_middle_of_a_callback),
};

VU_TEST_MAIN(tests)
