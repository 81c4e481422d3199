/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Malformed input, systematically: every command, every length, every field.
 *
 * For each command there is a legal request, with what has to come before it. Then, each time on
 * a fresh device:
 *   - every shorter length is refused, and so is every longer one where the length is determined
 *     (elsewhere what follows the structure is padding);
 *   - every field, taken as 4 and as 8 bytes, gets each value that programs get wrong; the answer
 *     is either an error, header only, or a success of a legal size;
 *   - descriptors that the command has no use for, of any number, change nothing or are refused.
 * Whatever the answer, the device then serves an honest request, and no descriptor is left.
 * Which error belongs to which field is for the tests of each part.
 */
#include "libserver/tests/core.h"

#include "wire/command.h"

#define LONGEST 256

struct request {
    const char *name;
    uint16_t command;
    size_t n_fds;
    bool eventfds;
    void (*before)(struct core *c);
    size_t min;             /* shorter bodies are refused */
    size_t len;
    uint8_t body[LONGEST];
};

static void put(struct request *q, uint64_t value, size_t width)
{
    memcpy(q->body + q->len, &value, width);
    q->len += width;
}

/* -------------------------------------------------------------------- device -- */

static int on_transition(vfu_ctx_t *ctx, vfu_migr_state_t state)
{
    (void)ctx;
    (void)state;
    return 0;
}

static ssize_t on_data(vfu_ctx_t *ctx, void *buf, uint64_t count)
{
    (void)ctx;
    (void)buf;
    return (ssize_t)count;
}

static void begin(struct core *c)
{
    const vfu_migration_callbacks_t migration = {
        .version = VFU_MIGR_CALLBACKS_VERS,
        .transition = on_transition,
        .read_data = on_data,
        .write_data = on_data,
    };

    core_begin_with(c, "{\"capabilities\":{\"write_multiple\":true,\"max_msg_fds\":8}}");
    assert_int_equal(vfu_setup_device_migration_callbacks(c->ctx, &migration), 0);
    assert_int_equal(vfu_create_ioeventfd(c->ctx, 0, c->memory, 8, 4, 0, 0, -1, 0), 0);
}

static void with_window(struct core *c)
{
    struct answer a = core_dma_map(c, (struct vu_dma_map){
        .flags = VU_DMA_READABLE | VU_DMA_WRITEABLE, .address = 0x10000, .size = 0x4000,
    }, c->memory);

    assert_answer_ok(&a, 0);
}

static void set_feature(struct core *c, uint32_t feature, uint64_t first, uint64_t second)
{
    struct request q = { .len = 0 };
    struct answer a;

    put(&q, 24, 4);
    put(&q, VU_FEATURE_SET | feature, 4);
    put(&q, first, 8);
    if (feature == VU_FEATURE_DMA_LOGGING_START)
        put(&q, second, 8);
    a = core_send(c, VU_DEVICE_FEATURE, q.body, q.len);
    assert_int_equal(a.h.flags, VU_F_TYPE_REPLY);
}

static void with_logging(struct core *c)
{
    with_window(c);
    set_feature(c, VU_FEATURE_DMA_LOGGING_START, 4096, 0);
}

static void in_stop_copy(struct core *c)
{
    set_feature(c, VU_FEATURE_MIG_DEVICE_STATE, VU_MIG_STOP_COPY, 0);
}

static void in_resuming(struct core *c)
{
    set_feature(c, VU_FEATURE_MIG_DEVICE_STATE, VU_MIG_RESUMING, 0);
}

/* ------------------------------------------------------------------ requests -- */

static struct request dma_map(void)
{
    struct request q = { "DMA_MAP", VU_DMA_MAP, .n_fds = 1, .min = VU_DMA_MAP_SIZE };

    put(&q, VU_DMA_MAP_SIZE, 4);
    put(&q, VU_DMA_READABLE | VU_DMA_WRITEABLE, 4);
    put(&q, 0, 8);
    put(&q, 0x10000, 8);
    put(&q, 0x4000, 8);
    return q;
}

static struct request dma_unmap(void)
{
    struct request q = { "DMA_UNMAP", VU_DMA_UNMAP, .before = with_window,
                         .min = VU_DMA_UNMAP_SIZE };

    put(&q, VU_DMA_UNMAP_SIZE, 4);
    put(&q, 0, 4);
    put(&q, 0x10000, 8);
    put(&q, 0x4000, 8);
    return q;
}

static struct request dma_unmap_with_bitmap(void)
{
    struct request q = { "DMA_UNMAP with bitmap", VU_DMA_UNMAP, .before = with_logging,
                         .min = VU_DMA_UNMAP_BITMAP_SIZE };

    put(&q, VU_DMA_UNMAP_BITMAP_SIZE + 8, 4);
    put(&q, VU_DMA_UNMAP_GET_DIRTY_BITMAP, 4);
    put(&q, 0x10000, 8);
    put(&q, 0x4000, 8);
    put(&q, 4096, 8);
    put(&q, 8, 8);
    return q;
}

static struct request get_info(void)
{
    struct request q = { "DEVICE_GET_INFO", VU_DEVICE_GET_INFO, .min = VU_DEVICE_INFO_SIZE };

    put(&q, VU_DEVICE_INFO_SIZE, 8);
    put(&q, 0, 8);
    return q;
}

static struct request region_info(void)
{
    struct request q = { "DEVICE_GET_REGION_INFO", VU_DEVICE_GET_REGION_INFO,
                         .min = VU_REGION_INFO_SIZE };

    put(&q, 256, 8);
    put(&q, 2, 8);
    put(&q, 0, 8);
    put(&q, 0, 8);
    return q;
}

static struct request region_io_fds(void)
{
    struct request q = { "DEVICE_GET_REGION_IO_FDS", VU_DEVICE_GET_REGION_IO_FDS,
                         .min = VU_REGION_IO_FDS_SIZE };

    put(&q, 256, 8);
    put(&q, 0, 8);
    return q;
}

static struct request irq_info(void)
{
    struct request q = { "DEVICE_GET_IRQ_INFO", VU_DEVICE_GET_IRQ_INFO,
                         .min = VU_IRQ_INFO_SIZE };

    put(&q, VU_IRQ_INFO_SIZE, 8);
    put(&q, VFU_DEV_MSIX_IRQ, 8);
    return q;
}

static struct request set_irqs(void)
{
    struct request q = { "DEVICE_SET_IRQS", VU_DEVICE_SET_IRQS, .n_fds = 2, .eventfds = true,
                         .min = VU_IRQ_SET_SIZE };

    put(&q, VU_IRQ_SET_SIZE, 4);
    put(&q, VU_IRQ_SET_DATA_EVENTFD | VU_IRQ_SET_ACTION_TRIGGER, 4);
    put(&q, VFU_DEV_MSIX_IRQ, 4);
    put(&q, 1, 4);
    put(&q, 2, 4);
    return q;
}

static struct request set_irqs_bool(void)
{
    struct request q = { "DEVICE_SET_IRQS with bytes", VU_DEVICE_SET_IRQS,
                         .min = VU_IRQ_SET_SIZE + 4 };

    put(&q, VU_IRQ_SET_SIZE + 4, 4);
    put(&q, VU_IRQ_SET_DATA_BOOL | VU_IRQ_SET_ACTION_MASK, 4);
    put(&q, VFU_DEV_MSIX_IRQ, 4);
    put(&q, 0, 4);
    put(&q, 4, 4);
    put(&q, 0x01000101, 4);
    return q;
}

static struct request region_read(void)
{
    struct request q = { "REGION_READ", VU_REGION_READ, .min = VU_REGION_ACCESS_SIZE };

    put(&q, 8, 8);
    put(&q, 0, 4);
    put(&q, 16, 4);
    return q;
}

static struct request region_write(void)
{
    struct request q = { "REGION_WRITE", VU_REGION_WRITE, .min = VU_REGION_ACCESS_SIZE + 16 };

    put(&q, 8, 8);
    put(&q, 0, 4);
    put(&q, 16, 4);
    put(&q, 1, 8);
    put(&q, 2, 8);
    return q;
}

static struct request config_write(void)
{
    struct request q = { "REGION_WRITE of configuration space", VU_REGION_WRITE,
                         .min = VU_REGION_ACCESS_SIZE + 4 };

    put(&q, 4, 8);
    put(&q, VFU_PCI_DEV_CFG_REGION_IDX, 4);
    put(&q, 4, 4);
    put(&q, 7, 4);
    return q;
}

static struct request write_multi(void)
{
    struct request q = { "REGION_WRITE_MULTI", VU_REGION_WRITE_MULTI,
                         .min = VU_WRITE_MULTI_SIZE + 2 * VU_WRITE_MULTI_ENTRY_SIZE };

    put(&q, 2, 8);
    for (int i = 0; i < 2; i++) {
        put(&q, 8, 8);
        put(&q, 0, 4);
        put(&q, 4, 4);
        put(&q, 0x1122334455667788, 8);
    }
    return q;
}

static struct request reset(void)
{
    return (struct request){ .name = "DEVICE_RESET", .command = VU_DEVICE_RESET };
}

static struct request feature(const char *name, uint32_t flags, size_t data_len)
{
    struct request q = { name, VU_DEVICE_FEATURE, .min = VU_FEATURE_SIZE + data_len };

    put(&q, 4096, 4);
    put(&q, flags, 4);
    return q;
}

static struct request migration_get(void)
{
    return feature("GET MIGRATION", VU_FEATURE_GET | VU_FEATURE_MIGRATION, 0);
}

static struct request state_get(void)
{
    return feature("GET MIG_DEVICE_STATE", VU_FEATURE_GET | VU_FEATURE_MIG_DEVICE_STATE, 0);
}

static struct request state_set(void)
{
    struct request q = feature("SET MIG_DEVICE_STATE",
                               VU_FEATURE_SET | VU_FEATURE_MIG_DEVICE_STATE,
                               VU_FEATURE_MIG_STATE_SIZE);

    put(&q, VU_MIG_STOP, 8);
    return q;
}

static struct request logging_start(void)
{
    struct request q = feature("DMA_LOGGING_START",
                               VU_FEATURE_SET | VU_FEATURE_DMA_LOGGING_START,
                               VU_DMA_LOGGING_SIZE + VU_DMA_LOGGING_RANGE_SIZE);

    q.before = with_window;
    put(&q, 4096, 8);
    put(&q, 1, 8);
    put(&q, 0x10000, 8);
    put(&q, 0x4000, 8);
    return q;
}

static struct request logging_stop(void)
{
    struct request q = feature("DMA_LOGGING_STOP",
                               VU_FEATURE_SET | VU_FEATURE_DMA_LOGGING_STOP, 0);

    q.before = with_logging;
    return q;
}

static struct request logging_report(void)
{
    struct request q = feature("DMA_LOGGING_REPORT",
                               VU_FEATURE_GET | VU_FEATURE_DMA_LOGGING_REPORT,
                               VU_DMA_REPORT_SIZE);

    q.before = with_logging;
    put(&q, 0x10000, 8);
    put(&q, 0x4000, 8);
    put(&q, 4096, 8);
    return q;
}

static struct request mig_data_read(void)
{
    struct request q = { "MIG_DATA_READ", VU_MIG_DATA_READ, .before = in_stop_copy,
                         .min = VU_MIG_DATA_SIZE };

    put(&q, VU_MIG_DATA_SIZE + 32, 4);
    put(&q, 32, 4);
    return q;
}

static struct request mig_data_write(void)
{
    struct request q = { "MIG_DATA_WRITE", VU_MIG_DATA_WRITE, .before = in_resuming,
                         .min = VU_MIG_DATA_SIZE + 16 };

    put(&q, VU_MIG_DATA_SIZE + 16, 4);
    put(&q, 16, 4);
    put(&q, 1, 8);
    put(&q, 2, 8);
    return q;
}

static struct request (*const requests[])(void) = {
    dma_map, dma_unmap, dma_unmap_with_bitmap, get_info, region_info, region_io_fds, irq_info,
    set_irqs, set_irqs_bool, region_read, region_write, config_write, write_multi, reset,
    migration_get, state_get, state_set, logging_start, logging_stop, logging_report,
    mig_data_read, mig_data_write,
};

#define N_REQUESTS (sizeof(requests) / sizeof(requests[0]))

/* ------------------------------------------------------------------- judging -- */

/* Send it on a fresh device; returns whether it was carried out. What must hold for any answer is
 * checked here. */
static bool try_request(const struct request *q, size_t n_fds)
{
    const struct vu_command_info *info = vu_command_info(q->command);
    static struct core c;
    struct answer a;
    int fds[16] = { -1 };
    bool done;

    begin(&c);
    if (q->before != NULL)
        q->before(&c);
    for (size_t i = 0; i < n_fds; i++)
        fds[i] = q->eventfds ? eventfd(0, EFD_CLOEXEC) : c.memory;
    a = core_send_fds(&c, q->command, q->body, q->len, fds, n_fds);
    for (size_t i = 0; i < n_fds && q->eventfds; i++)
        close(fds[i]);
    assert_int_equal(c.outcome, VUS_SERVED);
    done = (a.h.flags & VU_F_ERROR) == 0;
    if (done) {
        assert_int_equal(a.h.flags, VU_F_TYPE_REPLY);
        assert_int_equal(a.h.error, 0);
        assert_true(a.body_len >= info->reply_min);
    } else {
        assert_answer_error(&a, a.h.error);
        assert_int_not_equal(a.h.error, 0);
    }
    a = core_region_read(&c, 0, 0, 4);
    assert_answer_ok(&a, VU_REGION_ACCESS_SIZE + 4);
    core_end(&c);
    return done;
}

static void every_request_of_the_list_is_legal(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_REQUESTS; i++) {
        struct request q = requests[i]();

        if (!try_request(&q, q.n_fds))
            fail_msg("%s was refused", q.name);
    }
}

static void every_shorter_length_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_REQUESTS; i++) {
        struct request q = requests[i]();

        for (q.len = 0; q.len < q.min; q.len++) {
            if (try_request(&q, q.n_fds))
                fail_msg("%s was accepted with %zu bytes", q.name, q.len);
        }
    }
}

/* Lengths that are determined by the message itself. */
static bool exact(const struct request *q)
{
    uint32_t flags;

    memcpy(&flags, q->body + 4, sizeof(flags));
    return vu_command_info(q->command)->exact ||
           (q->command == VU_DEVICE_SET_IRQS && (flags & VU_IRQ_SET_DATA_BOOL) != 0);
}

static void longer_requests_are_padded_or_refused(void **state)
{
    static const size_t surplus[] = { 1, 2, 4, 8, 63, 100 };

    (void)state;
    for (size_t i = 0; i < N_REQUESTS; i++) {
        struct request q = requests[i]();
        size_t len = q.len;

        for (size_t k = 0; k < sizeof(surplus) / sizeof(surplus[0]); k++) {
            q.len = len + surplus[k];
            if (try_request(&q, q.n_fds) == exact(&q))
                fail_msg("%s with %zu bytes too many: %s", q.name, surplus[k],
                         exact(&q) ? "accepted" : "refused");
        }
    }
}

static void no_value_of_any_field_does_harm(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_REQUESTS; i++) {
        const struct request legal = requests[i]();

        for (size_t at = 0; at + 4 <= legal.len; at += 4) {
            for (int bit = 0; bit < 64; bit++) {
                for (int k = 0; k < 3; k++) {
                    struct request q = legal;
                    uint64_t value = (1ull << bit) - 1 + (uint64_t)k;

                    if (k == 2 && bit % 4 == 0)
                        value = -value;
                    if (bit >= 32 && at + 8 > legal.len)
                        continue;
                    memcpy(q.body + at, &value, bit < 32 ? 4 : 8);
                    try_request(&q, q.n_fds);
                }
            }
        }
    }
}

static void any_number_of_descriptors_does_no_harm(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_REQUESTS; i++) {
        struct request q = requests[i]();

        for (int kind = 0; kind < 2; kind++) {
            q.eventfds = kind == 1;
            for (size_t n = 0; n <= 16; n++)
                try_request(&q, n);
        }
    }
}

static void commands_that_do_not_exist_are_refused_whatever_they_carry(void **state)
{
    static const uint16_t commands[] = { 0, VU_VERSION, VU_DMA_READ, VU_DMA_WRITE, 14, 19, 20,
                                         255, 256, 0x7fff, 0xffff };
    static struct core c;
    uint8_t body[64] = { 64 };

    (void)state;
    begin(&c);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        for (size_t len = 0; len <= sizeof(body); len++) {
            struct answer a = core_send_fds(&c, commands[i], body, len, &c.memory, len % 2);

            assert_answer_error(&a, EINVAL);
        }
    }
    core_end(&c);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(every_request_of_the_list_is_legal),
    VU_FD_TEST(every_shorter_length_is_refused),
    VU_FD_TEST(longer_requests_are_padded_or_refused),
    VU_FD_TEST(no_value_of_any_field_does_harm),
    VU_FD_TEST(any_number_of_descriptors_does_no_harm),
    VU_FD_TEST(commands_that_do_not_exist_are_refused_whatever_they_carry),
};

VU_TEST_MAIN(tests)
