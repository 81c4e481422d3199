/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reset: its states, what the device sees and in which order, and what stays.
 */
#include "libserver/tests/life.h"
#include "libserver/tests/migrate.h"

#include "libserver/reset.h"

/* --------------------------------------------------------------- machine -- */

static const char *const state_names[] = { "IDLE", "AT_REQUEST", "RELEASING", "AT_LOSS" };
static const char *const event_names[] = { "ASKED", "LOST", "RELEASED", "RETURNED" };

/* Every pair; an event that is not drawn changes nothing and says so. */
static void every_event_in_every_state_leads_where_the_diagram_says(void **state)
{
    enum { I = VUS_RESET_IDLE, R = VUS_RESET_AT_REQUEST, L = VUS_RESET_RELEASING,
           T = VUS_RESET_AT_LOSS };
    static const uint8_t to[VUS_RESET_STATES][VUS_RESET_EVENTS] = {
        { R, L, I, I },
        { R, R, R, I },
        { L, L, T, L },
        { T, T, T, I },
    };

    (void)state;
    for (int s = 0; s < VUS_RESET_STATES; s++)
        for (int e = 0; e < VUS_RESET_EVENTS; e++) {
            struct vus_reset r = { .state = (enum vus_reset_state)s };
            bool moved = vus_reset_event(&r, (enum vus_reset_event)e);

            print_message("%s, %s: %s\n", state_names[s], event_names[e],
                          state_names[r.state]);
            assert_int_equal(r.state, to[s][e]);
            assert_int_equal(moved, to[s][e] != s);
        }
}

/* ---------------------------------------------------------------- device -- */

#define VECTORS 4

/* What the device was told, one letter each: q quiesce, u unregister, D, F and L the
 * types of reset, and those of migrate.h for steps. */
static struct {
    char log[128];
    int fail;               /* the reset callback fails with this errno */
    int depth, deepest;     /* of reset callbacks that run */
    int hang_up;            /* the callback closes this descriptor of the client */
    int dma_errno;          /* it then reads guest memory by message, and got this */
    bool ask_again;         /* the callback asks for a reset itself */
    int asked_again;        /* and got this */
    bool had_eventfds, had_socket, had_windows;
} device;

static void note(char letter)
{
    size_t n = strlen(device.log);

    assert_true(n + 1 < sizeof(device.log));
    device.log[n] = letter;
}

static bool has_eventfd(vfu_ctx_t *ctx)
{
    return vfu_irq_trigger(ctx, 0) == 0;
}

static bool has_window(vfu_ctx_t *ctx)
{
    union { dma_sg_t *align; char bytes[64]; } sg;

    return vfu_addr_to_sgl(ctx, (vfu_dma_addr_t)0x1000, 1, (dma_sg_t *)&sg, 1,
                           PROT_READ) == 1;
}

/* By message: the window has no descriptor. errno of the failure, or 0. */
static int read_guest(vfu_ctx_t *ctx)
{
    union { dma_sg_t *align; char bytes[64]; } sg;
    char byte;

    if (vfu_addr_to_sgl(ctx, (vfu_dma_addr_t)0x1000, 1, (dma_sg_t *)&sg, 1,
                        PROT_READ) != 1)
        return errno;
    return vfu_sgl_read(ctx, (dma_sg_t *)&sg, 1, &byte) == 0 ? 0 : errno;
}

static int on_reset(vfu_ctx_t *ctx, vfu_reset_type_t type)
{
    note("DLF"[type]);
    if (++device.depth > device.deepest)
        device.deepest = device.depth;
    device.had_windows = has_window(ctx);
    device.had_eventfds = has_eventfd(ctx);
    device.had_socket = vus_conn_attached(&ctx->conn);
    if (device.hang_up != 0) {
        close(device.hang_up);
        device.hang_up = 0;
        device.dma_errno = read_guest(ctx);
    }
    if (device.ask_again)
        device.asked_again = vus_reset_asked(ctx, VFU_RESET_DEVICE);
    device.depth--;
    errno = device.fail;
    return device.fail != 0 ? -1 : 0;
}

static int on_quiesce(vfu_ctx_t *ctx)
{
    (void)ctx;
    note('q');
    return 0;
}

static void on_unregister(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    (void)ctx;
    (void)info;
    note('u');
}

/* Where device control is in configuration space. */
static uint64_t device_control;

/* A device with all that a reset might touch. */
static void set_up(vfu_ctx_t *ctx)
{
    struct pxcap px = { .hdr.id = PCI_CAP_ID_EXP, .pxdcap.flrc = 1, .pxcaps.ver = 2 };
    ssize_t at;

    memset(&device, 0, sizeof(device));
    at = vfu_pci_add_capability(ctx, 0, 0, &px);
    assert_true(at > 0);
    device_control = (uint64_t)at + 8;
    mover_set_up(ctx, 0);
    assert_int_equal(vfu_setup_device_reset_cb(ctx, on_reset), 0);
    assert_int_equal(vfu_setup_device_dma(ctx, MAX_MAPS, core_register, on_unregister),
                     0);
    vfu_setup_device_quiesce_cb(ctx, on_quiesce);
}

/* A client that has mapped a window and given an eventfd. */
static void begin(struct core *c)
{
    int vector = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct vu_irq_set assign = {
        .flags = VU_IRQ_SET_DATA_EVENTFD | VU_IRQ_SET_ACTION_TRIGGER,
        .index = VFU_DEV_INTX_IRQ,
        .count = 1,
    };
    struct answer a;

    core_begin(c);
    set_up(c->ctx);
    a = core_dma_map(c, (struct vu_dma_map){ .flags = 3, .address = 0x1000,
                                             .size = 0x1000 }, c->memory);
    assert_answer_ok(&a, 0);
    a = core_set_irqs(c, assign, NULL, 0, &vector, 1);
    assert_answer_ok(&a, 0);
    close(vector);
    memset(device.log, 0, sizeof(device.log));
}

static struct answer ask(struct core *c, vfu_reset_type_t type)
{
    if (type == VFU_RESET_DEVICE)
        return core_send(c, VU_DEVICE_RESET, NULL, 0);
    return core_region_write(c, VFU_PCI_DEV_CFG_REGION_IDX, device_control, "\0\x80", 2);
}

static const vfu_reset_type_t asked_types[] = { VFU_RESET_DEVICE, VFU_RESET_PCI_FLR };

static const size_t answer_sizes[] = { 0, VU_REGION_ACCESS_SIZE };

/* -------------------------------------------------------------- on demand -- */

static void a_reset_that_the_client_asks_for_quiesces_and_calls_back(void **state)
{
    static const char *const logs[] = { "qD", "qF" };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct answer a;
        struct core c;

        begin(&c);
        a = ask(&c, asked_types[i]);
        assert_answer_ok(&a, answer_sizes[i]);
        assert_string_equal(device.log, logs[i]);
        assert_int_equal(c.ctx->reset.state, VUS_RESET_IDLE);
        assert_int_equal(c.ctx->quiesce.state, VUS_ACTIVE);
        core_end(&c);
    }
}

/* From every state, without a step. */
static void it_returns_the_migration_state_to_running(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++)
        for (uint32_t s = 1; s < VU_MIG_STATES; s++) {
            struct answer a;
            struct core c;

            begin(&c);
            assert_int_equal(vfu_setup_migration_flags(c.ctx, 7), 0);
            core_go(&c, s);
            print_message("reset %u in state %u\n", asked_types[i], s);
            a = ask(&c, asked_types[i]);
            assert_answer_ok(&a, answer_sizes[i]);
            assert_int_equal(core_state(&c), VU_MIG_RUNNING);
            assert_string_equal(mover.steps, "");
            core_end(&c);
        }
}

static void a_reset_that_fails_changes_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++)
        for (uint32_t s = 1; s < VU_MIG_STATES; s++) {
            struct answer a;
            struct core c;

            begin(&c);
            assert_int_equal(vfu_setup_migration_flags(c.ctx, 7), 0);
            core_go(&c, s);
            device.fail = EIO;
            print_message("failing reset %u in state %u\n", asked_types[i], s);
            a = ask(&c, asked_types[i]);
            assert_answer_error(&a, EIO);
            assert_int_equal(core_state(&c), s);
            assert_int_equal(c.ctx->reset.state, VUS_RESET_IDLE);
            assert_true(has_window(c.ctx));
            assert_true(has_eventfd(c.ctx));
            device.fail = 0;
            a = ask(&c, asked_types[i]);
            assert_answer_ok(&a, answer_sizes[i]);
            assert_int_equal(core_state(&c), VU_MIG_RUNNING);
            core_end(&c);
        }
}

static int reset_returns(vfu_ctx_t *ctx, vfu_reset_type_t type)
{
    (void)type;
    return *(int *)vfu_get_private(ctx);
}

static int quiesce_with_stale_errno(vfu_ctx_t *ctx)
{
    (void)ctx;
    errno = EIO;
    return 0;
}

/* -1 without errno is EINVAL; 0 and more are success. */
static void the_result_of_the_callback_is_its_sign(void **state)
{
    static const struct {
        int result;
        uint32_t error;
    } rows[] = { { 0, 0 }, { 1, 0 }, { INT32_MAX, 0 }, { -1, EINVAL }, { -7, EINVAL } };
    int result;

    (void)state;
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < sizeof(rows) / sizeof(rows[0]); j++) {
            struct answer a;
            struct core c;

            begin(&c);
            vfu_setup_device_reset_cb(c.ctx, reset_returns);
            vfu_setup_device_quiesce_cb(c.ctx, quiesce_with_stale_errno);
            c.ctx->pvt = &result;
            result = rows[j].result;
            a = ask(&c, asked_types[i]);
            assert_int_equal(a.h.error, rows[j].error);
            c.ctx->pvt = &c;
            vfu_setup_device_reset_cb(c.ctx, on_reset);
            core_end(&c);
        }
}

static void windows_eventfds_and_logging_stay(void **state)
{
    static const uint8_t start[16] = { 0, 16 };     /* pages of 4096 bytes */

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct answer a;
        struct core c;

        begin(&c);
        a = core_feature(&c, 24, VU_FEATURE_SET | VU_FEATURE_DMA_LOGGING_START, start,
                         sizeof(start));
        assert_answer_ok(&a, 24);
        assert_true(vus_dirty_on(c.ctx));
        memset(device.log, 0, sizeof(device.log));
        ask(&c, asked_types[i]);
        assert_true(device.had_windows && device.had_eventfds);
        assert_true(has_window(c.ctx));
        assert_true(has_eventfd(c.ctx));
        assert_true(vus_dirty_on(c.ctx));
        assert_null(strchr(device.log, 'u'));
        a = core_dma_unmap(&c, (struct vu_dma_unmap){ .address = 0x1000,
                                                      .size = 0x1000 });
        assert_answer_ok(&a, 24);
        core_end(&c);
    }
}

static void without_a_callback_a_reset_succeeds(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct answer a;
        struct core c;

        begin(&c);
        vfu_setup_device_reset_cb(c.ctx, NULL);
        core_go(&c, VU_MIG_STOP);
        a = ask(&c, asked_types[i]);
        assert_answer_ok(&a, answer_sizes[i]);
        assert_int_equal(core_state(&c), VU_MIG_RUNNING);
        core_end(&c);
    }
}

static void a_device_that_does_not_get_quiet_is_not_reset(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct answer a;
        struct core c;

        begin(&c);
        core_go(&c, VU_MIG_STOP);
        memset(device.log, 0, sizeof(device.log));
        vfu_setup_device_quiesce_cb(c.ctx, core_quiesce);
        c.how.quiesce_errno = EPERM;
        a = ask(&c, asked_types[i]);
        assert_answer_error(&a, EPERM);
        c.how.quiesce_errno = EBUSY;
        ask(&c, asked_types[i]);
        assert_int_equal(c.outcome, VUS_PENDING);
        assert_string_equal(device.log, "");
        assert_int_equal(vus_resume(c.ctx, &c.m, &c.reply, 0), VUS_SERVED);
        vus_resumed(c.ctx);
        assert_int_equal(strlen(device.log), 1);
        assert_int_equal(c.ctx->migration.state, VU_MIG_RUNNING);
        vu_message_done(&c.m);
        core_end(&c);
    }
}

static void resets_do_not_nest(void **state)
{
    static const char *const logs[] = { "qD", "qF" };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct answer a;
        struct core c;

        begin(&c);
        device.ask_again = true;
        a = ask(&c, asked_types[i]);
        assert_answer_ok(&a, answer_sizes[i]);
        assert_int_equal(device.asked_again, -EBUSY);
        assert_string_equal(device.log, logs[i]);
        assert_int_equal(device.deepest, 1);
        core_end(&c);       /* here too */
        assert_int_equal(device.deepest, 1);
    }
}

static void a_thousand_resets_are_like_one(void **state)
{
    struct answer a;
    struct core c;

    (void)state;
    begin(&c);
    for (int i = 0; i < 1000; i++) {
        memset(device.log, 0, sizeof(device.log));
        a = ask(&c, asked_types[i % 2]);
        assert_answer_ok(&a, answer_sizes[i % 2]);
        a = core_region_read(&c, 0, 0, 4);
        assert_answer_ok(&a, 20);
    }
    assert_true(has_window(c.ctx));
    core_end(&c);
}

static void a_body_and_no_reply_are_tolerated(void **state)
{
    struct answer a;
    struct core c;

    (void)state;
    begin(&c);
    a = core_send(&c, VU_DEVICE_RESET, "abcd", 4);
    assert_answer_ok(&a, 0);
    core_post(&c, VU_DEVICE_RESET, NULL, 0);
    assert_string_equal(device.log, "qDqD");
    core_end(&c);
}

/* -------------------------------------------------------------------- loss -- */

static void destroying_releases_and_calls_back_without_quiesce(void **state)
{
    struct core c;

    (void)state;
    begin(&c);
    core_go(&c, VU_MIG_STOP);
    memset(device.log, 0, sizeof(device.log));
    device.fail = EIO;              /* does not matter */
    core_end(&c);
    assert_string_equal(device.log, "uL");
    assert_string_equal(mover.steps, "");
    assert_false(device.had_windows);
    assert_true(device.had_eventfds);
}

static void destroying_without_a_callback_is_possible(void **state)
{
    struct core c;

    (void)state;
    begin(&c);
    vfu_setup_device_reset_cb(c.ctx, NULL);
    core_end(&c);
    assert_string_equal(device.log, "u");
}

/* ------------------------------------------------------------ over a socket -- */

struct session {
    struct life life;
    int fd;
};

/* Send one message and let the server serve it. */
static void request(struct session *s, uint16_t command, const void *body, size_t len,
                    const int *fds, size_t n_fds)
{
    uint8_t bytes[256];

    put_message(bytes, 9, command, 0, body, len);
    client_send_fds(s->fd, bytes, VU_HEADER_SIZE + len, fds, n_fds);
    assert_run(&s->life, 1, 0);
    assert_reply(s->fd, 9, 0);
}

static void set_state(struct session *s, uint8_t to)
{
    uint8_t body[16], data[8] = { to };

    put_feature(body, sizeof(body), 16, VU_FEATURE_SET | VU_FEATURE_MIG_DEVICE_STATE,
                data, sizeof(data));
    request(s, VU_DEVICE_FEATURE, body, sizeof(body), NULL, 0);
}

static void give_eventfd(struct session *s)
{
    static const uint8_t body[VU_IRQ_SET_SIZE] = { 20, [4] = 0x24, [16] = 1 };
    int vector = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    request(s, VU_DEVICE_SET_IRQS, body, sizeof(body), &vector, 1);
    close(vector);
}

static void start_logging(struct session *s)
{
    static const uint8_t start[16] = { 0, 16 };
    uint8_t body[24];

    put_feature(body, sizeof(body), 24, VU_FEATURE_SET | VU_FEATURE_DMA_LOGGING_START,
                start, sizeof(start));
    request(s, VU_DEVICE_FEATURE, body, sizeof(body), NULL, 0);
    assert_true(vus_dirty_on(s->life.core.ctx));
}

/* A client that has two windows and an eventfd; the log starts here. */
static void connect_client(struct session *s)
{
    uint8_t bytes[MAP_BYTES];

    s->fd = life_client(&s->life);
    for (uint64_t address = 0x1000; address <= 0x2000; address += 0x1000) {
        put_dma_map(bytes, 8, address);
        client_send(s->fd, bytes, sizeof(bytes));
        assert_run(&s->life, 1, 0);
        assert_reply(s->fd, 8, 0);
    }
    give_eventfd(s);
    memset(device.log, 0, sizeof(device.log));
}

static void session_begin(struct session *s)
{
    life_begin(&s->life, LIBVFIO_USER_FLAG_ATTACH_NB);
    set_up(s->life.core.ctx);
    connect_client(s);
}

static void a_lost_client_is_a_reset_before_its_things_are_closed(void **state)
{
    struct session s;

    (void)state;
    session_begin(&s);
    start_logging(&s);
    set_state(&s, VU_MIG_STOP_COPY);
    memset(device.log, 0, sizeof(device.log));
    mover_forget();
    close(s.fd);
    assert_run(&s.life, -1, ENOTCONN);
    assert_string_equal(device.log, "quuL");
    assert_string_equal(mover.steps, "");
    assert_false(device.had_windows);
    assert_true(device.had_eventfds && device.had_socket);
    assert_false(has_eventfd(s.life.core.ctx));
    assert_false(vus_dirty_on(s.life.core.ctx));
    assert_int_equal(s.life.core.ctx->migration.state, VU_MIG_RUNNING);
    assert_int_equal(s.life.core.ctx->reset.state, VUS_RESET_IDLE);
    memset(device.log, 0, sizeof(device.log));
    life_end(&s.life);
    assert_string_equal(device.log, "L");       /* always */
}

/* Whatever the device says then, the next client starts afresh. */
static void a_lost_client_is_lost_though_the_callback_fails(void **state)
{
    struct session s;

    (void)state;
    session_begin(&s);
    set_state(&s, VU_MIG_RESUMING);
    device.fail = EIO;
    close(s.fd);
    assert_run(&s.life, -1, ENOTCONN);
    assert_int_equal(s.life.core.ctx->migration.state, VU_MIG_RUNNING);
    connect_client(&s);
    close(s.fd);
    life_end(&s.life);
}

/* The connection breaks while the device resets itself, which it learns as it reads
 * guest memory by message: that reset is completed, its reply is lost, and the loss is
 * a reset of its own, once and not inside the first. */
static void a_connection_that_breaks_during_a_reset_is_a_second_reset(void **state)
{
    static const int errors[] = { 0, EIO };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        uint8_t bytes[VU_HEADER_SIZE];
        struct session s;
        int ret;

        session_begin(&s);
        set_state(&s, VU_MIG_STOP);
        memset(device.log, 0, sizeof(device.log));
        device.hang_up = s.fd;
        device.fail = errors[i];
        put_message(bytes, 7, VU_DEVICE_RESET, 0, NULL, 0);
        client_send(s.fd, bytes, sizeof(bytes));
        do {
            ret = vfu_run_ctx(s.life.core.ctx);
        } while (ret >= 0);
        assert_int_equal(errno, ENOTCONN);
        assert_string_equal(device.log, "qDquuL");
        assert_int_equal(device.deepest, 1);
        assert_int_equal(device.dma_errno, ENOTCONN);
        assert_int_equal(s.life.core.ctx->migration.state, VU_MIG_RUNNING);
        life_end(&s.life);
    }
}

/* Pipelined: what follows a reset finds the device reset. */
static void commands_behind_a_reset_run_after_it(void **state)
{
    uint8_t bytes[256], *end = bytes;
    static const uint8_t get[8] = { 16, 0, 0, 0, 2, 0, 1, 0 };
    static struct received m;
    struct session s;

    (void)state;
    session_begin(&s);
    set_state(&s, VU_MIG_STOP);
    end = put_message(end, 1, VU_DEVICE_RESET, 0, NULL, 0);
    end = put_message(end, 2, VU_DEVICE_FEATURE, 0, get, sizeof(get));
    client_send(s.fd, bytes, (size_t)(end - bytes));
    assert_run(&s.life, 2, 0);
    assert_reply(s.fd, 1, 0);
    client_receive(s.fd, &m);
    assert_int_equal(m.h.msg_id, 2);
    assert_int_equal(m.body[8], VU_MIG_RUNNING);
    close(s.fd);
    life_end(&s.life);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(every_event_in_every_state_leads_where_the_diagram_says),
    VU_FD_TEST(a_reset_that_the_client_asks_for_quiesces_and_calls_back),
    VU_FD_TEST(it_returns_the_migration_state_to_running),
    VU_FD_TEST(a_reset_that_fails_changes_nothing),
    VU_FD_TEST(the_result_of_the_callback_is_its_sign),
    VU_FD_TEST(windows_eventfds_and_logging_stay),
    VU_FD_TEST(without_a_callback_a_reset_succeeds),
    VU_FD_TEST(a_device_that_does_not_get_quiet_is_not_reset),
    VU_FD_TEST(resets_do_not_nest),
    VU_FD_TEST(a_thousand_resets_are_like_one),
    VU_FD_TEST(a_body_and_no_reply_are_tolerated),
    VU_FD_TEST(destroying_releases_and_calls_back_without_quiesce),
    VU_FD_TEST(destroying_without_a_callback_is_possible),
    VU_FD_TEST(a_lost_client_is_a_reset_before_its_things_are_closed),
    VU_FD_TEST(a_lost_client_is_lost_though_the_callback_fails),
    VU_FD_TEST(a_connection_that_breaks_during_a_reset_is_a_second_reset),
    VU_FD_TEST(commands_behind_a_reset_run_after_it),
};

VU_TEST_MAIN(tests)
