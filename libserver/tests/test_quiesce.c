/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Quiesce through the core: what asks the device, and what its answers lead to.
 */
#include "libserver/tests/core.h"

#include <linux/pci_regs.h>

static void begin_with_callback(struct core *c)
{
    struct pxcap exp = { .hdr.id = PCI_CAP_ID_EXP, .pxdcap.flrc = 1 };

    core_begin(c);
    assert_true(vfu_pci_add_capability(c->ctx, 0x40, 0, &exp) == 0x40);
    vfu_setup_device_quiesce_cb(c->ctx, core_quiesce);
}

static struct answer map_page(struct core *c)
{
    struct vu_dma_map m = { .flags = VU_DMA_READABLE, .address = 0x1000, .size = 0x1000 };

    return core_dma_map(c, m, c->memory);
}

static struct answer unmap_page(struct core *c)
{
    struct vu_dma_unmap m = { .address = 0x1000, .size = 0x1000 };

    return core_dma_unmap(c, m);
}

static struct answer write_config(struct core *c, uint64_t offset, uint16_t value)
{
    return core_region_write(c, VFU_PCI_DEV_CFG_REGION_IDX, offset, &value, 2);
}

static void only_what_needs_it_asks_the_device(void **state)
{
    struct core c;
    int asked = 0;

    (void)state;
    begin_with_callback(&c);
    map_page(&c);
    assert_int_equal(c.seen.quiesces, ++asked);
    unmap_page(&c);
    assert_int_equal(c.seen.quiesces, ++asked);
    core_send(&c, VU_DEVICE_RESET, NULL, 0);
    assert_int_equal(c.seen.quiesces, ++asked);
    write_config(&c, 0x40 + PCI_EXP_DEVCTL, 0);
    assert_int_equal(c.seen.quiesces, ++asked);

    write_config(&c, PCI_COMMAND, 0);
    core_region_read(&c, VFU_PCI_DEV_CFG_REGION_IDX, 0x40 + PCI_EXP_DEVCTL, 2);
    core_region_write(&c, 0, 0x40 + PCI_EXP_DEVCTL, "ab", 2);
    core_set_irqs(&c, (struct vu_irq_set){ .flags = 0x21, .index = 2 }, NULL, 0, NULL, 0);
    core_send(&c, VU_DMA_MAP, NULL, 0);     /* too short to be one */
    core_send(&c, 4711, NULL, 0);
    assert_int_equal(c.seen.quiesces, asked);
    assert_int_equal(c.ctx->quiesce.state, VUS_ACTIVE);
    c.ctx->dma.enabled = false;
    map_page(&c);
    assert_int_equal(c.seen.quiesces, asked);
    core_end(&c);
    assert_int_equal(c.seen.quiesces, asked);   /* nor does destruction */
}

static void without_a_callback_nobody_is_asked(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    begin_with_callback(&c);
    vfu_setup_device_quiesce_cb(c.ctx, NULL);
    a = map_page(&c);
    assert_answer_ok(&a, 0);
    assert_int_equal(c.seen.quiesces, 0);
    core_end(&c);
}

static void a_refusal_is_the_clients_answer(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    begin_with_callback(&c);
    c.how.quiesce_errno = EPERM;
    a = map_page(&c);
    assert_answer_error(&a, EPERM);
    assert_int_equal(c.outcome, VUS_REFUSED);
    assert_int_equal(c.seen.registers, 0);
    assert_int_equal(c.ctx->quiesce.state, VUS_ACTIVE);
    c.how.quiesce_errno = 0;
    a = map_page(&c);
    assert_answer_ok(&a, 0);
    core_end(&c);
}

static int state_in_callback;

static void keep_quiesce_state(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    (void)info;
    state_in_callback = (int)ctx->quiesce.state;
}

static void the_device_is_quiesced_while_the_command_runs(void **state)
{
    struct core c;

    (void)state;
    begin_with_callback(&c);
    assert_int_equal(vfu_setup_device_dma(c.ctx, 4, keep_quiesce_state, NULL), 0);
    state_in_callback = -1;
    map_page(&c);
    assert_int_equal(state_in_callback, VUS_QUIESCED);
    assert_int_equal(c.ctx->quiesce.state, VUS_ACTIVE);
    core_end(&c);
}

/* Finish what is pending in c. */
static struct answer resume(struct core *c, int err)
{
    struct answer a;

    c->outcome = vus_resume(c->ctx, &c->m, &c->reply, err);
    assert_int_equal(c->ctx->quiesce.state, err == 0 ? VUS_QUIESCED : VUS_ACTIVE);
    vu_message_done(&c->m);
    vus_resumed(c->ctx);
    a = core_answer(c);
    assert_int_equal(c->ctx->quiesce.state, VUS_ACTIVE);
    return a;
}

static void busy_keeps_the_command_for_later(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    begin_with_callback(&c);
    c.how.quiesce_errno = EBUSY;
    map_page(&c);
    assert_int_equal(c.outcome, VUS_PENDING);
    assert_int_equal(c.out.len, 0);
    assert_int_equal(c.seen.registers, 0);
    assert_true(vus_quiesce_pending(&c.ctx->quiesce));
    a = resume(&c, 0);
    assert_answer_ok(&a, 0);
    assert_int_equal(c.seen.registers, 1);
    assert_int_equal(c.seen.quiesces, 1);
    core_end(&c);
}

static void a_later_refusal_is_the_clients_answer_too(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    begin_with_callback(&c);
    c.how.quiesce_errno = EBUSY;
    map_page(&c);
    a = resume(&c, -EXDEV);
    assert_answer_error(&a, EXDEV);
    assert_int_equal(c.seen.registers, 0);
    core_end(&c);
}

/* The handler's own EBUSY is an answer, not a promise. */
static void busy_from_the_reset_itself_is_an_error(void **state)
{
    struct core c;
    struct answer a;

    (void)state;
    begin_with_callback(&c);
    c.how.reset_errno = EBUSY;
    a = core_send(&c, VU_DEVICE_RESET, NULL, 0);
    assert_answer_error(&a, EBUSY);
    assert_int_equal(c.outcome, VUS_SERVED);
    core_end(&c);
}

static void may_wait_tells_when_the_device_would_be_asked(void **state)
{
    struct vu_header h = { .command = VU_DEVICE_RESET };
    struct vu_message m;
    struct core c;

    (void)state;
    begin_with_callback(&c);
    vu_message_init(&m, &h, NULL, 0);
    assert_true(vus_may_wait(c.ctx, &m));
    m.h.command = VU_DEVICE_GET_INFO;
    assert_false(vus_may_wait(c.ctx, &m));
    m.h.command = 4711;
    assert_false(vus_may_wait(c.ctx, &m));
    m.h.command = VU_DEVICE_RESET;
    vfu_setup_device_quiesce_cb(c.ctx, NULL);
    assert_false(vus_may_wait(c.ctx, &m));
    core_end(&c);
}

static void quiesced_out_of_turn_is_an_error(void **state)
{
    struct core c;

    (void)state;
    begin_with_callback(&c);
    assert_int_equal(vfu_device_quiesced(c.ctx, 0), -1);
    assert_int_equal(errno, EINVAL);
    vfu_setup_device_quiesce_cb(c.ctx, NULL);
    assert_int_equal(vfu_device_quiesced(c.ctx, 0), -1);
    assert_int_equal(errno, EINVAL);
    core_end(&c);
}

static void states_follow_the_diagram(void **state)
{
    static const struct {
        enum vus_quiesce_state from;
        enum vus_quiesce_event event;
        enum vus_quiesce_state to;
    } arrows[] = {
        { VUS_ACTIVE, VUS_GRANTED, VUS_QUIESCED },
        { VUS_ACTIVE, VUS_LATER_COMMAND, VUS_COMMAND_WAITS },
        { VUS_ACTIVE, VUS_LATER_RESET, VUS_RESET_WAITS },
        { VUS_COMMAND_WAITS, VUS_DONE, VUS_QUIESCED },
        { VUS_COMMAND_WAITS, VUS_DROPPED, VUS_ACTIVE },
        { VUS_RESET_WAITS, VUS_DONE, VUS_QUIESCED },
        { VUS_RESET_WAITS, VUS_DROPPED, VUS_ACTIVE },
        { VUS_QUIESCED, VUS_FINISHED, VUS_ACTIVE },
        { VUS_QUIESCED, VUS_DROPPED, VUS_ACTIVE },
    };
    const size_t n = sizeof(arrows) / sizeof(arrows[0]);

    (void)state;
    for (int from = 0; from < VUS_QUIESCE_STATES; from++) {
        for (int event = 0; event < VUS_QUIESCE_EVENTS; event++) {
            struct vus_quiesce q = { .state = (enum vus_quiesce_state)from };
            int to = from;

            for (size_t i = 0; i < n; i++) {
                if ((int)arrows[i].from == from && (int)arrows[i].event == event)
                    to = (int)arrows[i].to;
            }
            vus_quiesce_event(&q, (enum vus_quiesce_event)event);
            assert_int_equal(q.state, to);
        }
    }
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(only_what_needs_it_asks_the_device),
    VU_FD_TEST(without_a_callback_nobody_is_asked),
    VU_FD_TEST(a_refusal_is_the_clients_answer),
    VU_FD_TEST(the_device_is_quiesced_while_the_command_runs),
    VU_FD_TEST(busy_keeps_the_command_for_later),
    VU_FD_TEST(a_later_refusal_is_the_clients_answer_too),
    VU_FD_TEST(busy_from_the_reset_itself_is_an_error),
    VU_FD_TEST(may_wait_tells_when_the_device_would_be_asked),
    VU_FD_TEST(quiesced_out_of_turn_is_an_error),
    VU_FD_TEST(states_follow_the_diagram),
};

VU_TEST_MAIN(tests)
