/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupts: the question, and SET_IRQS without descriptors.
 *
 * Its body is typed as argsz flags index start count, and a byte for each vector with
 * DATA_BOOL.
 */
#include "libclient/tests/known.h"

static void irq_is_asked_for_once(void **state)
{
    struct script s;
    struct vfuc_client *c = known_msix(&s, NULL);
    const struct vfuc_irq *irq;

    (void)state;
    script_heard(&s, 2, "0200 0700 20000000 00000000 00000000"
                 "10000000 00000000 02000000 00000000", 0);
    assert_int_equal(vfuc_irq_info(c, 2, &irq), 0);
    assert_int_equal(irq->index, 2);
    assert_int_equal(irq->flags, VFUC_IRQ_EVENTFD | VFUC_IRQ_MASKABLE);
    assert_int_equal(irq->num_vectors, 16);
    assert_int_equal(vfuc_irq_info(c, 5, &irq), -ERANGE);
    assert_int_equal(s.n_said, 3);
    known_done(&s, c);
}

static void disable_mask_unmask_and_trigger_have_no_data(void **state)
{
    struct script s;
    struct vfuc_client *c = known_msix(&s, NULL);

    (void)state;
    for (int i = 0; i < 4; i++)
        script_say(&s, "");
    assert_int_equal(vfuc_irq_disable(c, 2), 0);
    script_heard(&s, 3, "0300 0800 24000000 00000000 00000000"
                 "14000000 21000000 02000000 00000000 00000000", 0);
    assert_int_equal(vfuc_irq_mask(c, 2, 1, 2), 0);
    script_heard(&s, 4, "0400 0800 24000000 00000000 00000000"
                 "14000000 09000000 02000000 01000000 02000000", 0);
    assert_int_equal(vfuc_irq_unmask(c, 2, 0, 16), 0);
    script_heard(&s, 5, "0500 0800 24000000 00000000 00000000"
                 "14000000 11000000 02000000 00000000 10000000", 0);
    assert_int_equal(vfuc_irq_trigger(c, 2, 15, 1), 0);
    script_heard(&s, 6, "0600 0800 24000000 00000000 00000000"
                 "14000000 21000000 02000000 0f000000 01000000", 0);
    known_done(&s, c);
}

static void vectors_that_are_not_there_are_not_sent(void **state)
{
    struct script s;
    struct vfuc_client *c = known_msix(&s, NULL);
    uint8_t chosen[17] = { 0 };

    (void)state;
    assert_int_equal(vfuc_irq_mask(c, 2, 0, 17), -ERANGE);
    assert_int_equal(vfuc_irq_unmask(c, 2, 15, 2), -ERANGE);
    assert_int_equal(vfuc_irq_trigger(c, 2, UINT32_MAX, 1), -ERANGE);
    assert_int_equal(vfuc_irq_trigger(c, 2, 1, UINT32_MAX), -ERANGE);
    assert_int_equal(vfuc_irq_trigger(c, 2, 0, 0), -EINVAL);
    assert_int_equal(vfuc_irq_disable(c, 5), -ERANGE);
    assert_int_equal(vfuc_irq_some(c, 2, VFUC_IRQ_MASK, 0, chosen, 17), -ERANGE);
    assert_int_equal(vfuc_irq_some(c, 2, VFUC_IRQ_MASK, 16, chosen, 1), -ERANGE);
    assert_int_equal(vfuc_irq_some(c, 5, VFUC_IRQ_MASK, 0, chosen, 1), -ERANGE);
    assert_int_equal(vfuc_irq_some(c, 2, VFUC_IRQ_MASK, 0, chosen, 0), -EINVAL);
    assert_int_equal(vfuc_irq_some(c, 2, 0, 0, chosen, 1), -EINVAL);
    assert_int_equal(vfuc_irq_some(c, 2, VFUC_IRQ_MASK | VFUC_IRQ_TRIGGER, 0, chosen, 1),
                     -EINVAL);
    assert_int_equal(s.n_said, 3);
    known_done(&s, c);
}

/* Any value but 0 is yes, but only 1 is understood everywhere. */
static void chosen_vectors_are_a_byte_each(void **state)
{
    static const struct {
        uint32_t action;
        const char *sent;
    } rows[] = {
        { VFUC_IRQ_MASK, "0a000000" },
        { VFUC_IRQ_UNMASK, "12000000" },
        { VFUC_IRQ_TRIGGER, "22000000" },
    };
    const uint8_t chosen[5] = { 1, 0, 0xff, 0, 2 };
    char sent[160];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct script s;
        struct vfuc_client *c = known_msix(&s, NULL);

        script_say(&s, "");
        assert_int_equal(vfuc_irq_some(c, 2, rows[i].action, 11, chosen, 5), 0);
        snprintf(sent, sizeof(sent), "0300 0800 29000000 00000000 00000000"
                 "19000000 %s 02000000 0b000000 05000000 01 00 01 00 01", rows[i].sent);
        script_heard(&s, 3, sent, 0);
        known_done(&s, c);
    }
}

/* index 2 with 0x10000 vectors */
#define SAY_LARGEST "10000000 03000000 02000000 00000100"

static void choice_that_no_message_holds_is_not_sent(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, "\"max_data_xfer_size\":5000");
    uint8_t *chosen = calloc(65536, 1);
    const struct vfuc_irq *irq;

    (void)state;
    assert_non_null(chosen);
    script_say(&s, SAY_LARGEST);
    assert_int_equal(vfuc_irq_info(c, 2, &irq), 0);
    assert_int_equal(irq->num_vectors, 65536);
    assert_int_equal(vfuc_irq_some(c, 2, VFUC_IRQ_MASK, 0, chosen, 5001), -E2BIG);
    assert_int_equal(s.n_said, 3);
    script_say(&s, "");
    assert_int_equal(vfuc_irq_some(c, 2, VFUC_IRQ_MASK, 0, chosen, 5000), 0);
    assert_int_equal(s.said[3].len, 16 + 20 + 5000);
    free(chosen);
    known_done(&s, c);
}

static void server_with_a_small_limit_takes_4096_vectors(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, "\"max_data_xfer_size\":1");
    uint8_t *chosen = calloc(4097, 1);

    (void)state;
    assert_non_null(chosen);
    script_say(&s, SAY_LARGEST);
    script_say(&s, "");
    assert_int_equal(vfuc_irq_some(c, 2, VFUC_IRQ_UNMASK, 0, chosen, 4096), 0);
    assert_int_equal(vfuc_irq_some(c, 2, VFUC_IRQ_UNMASK, 0, chosen, 4097), -E2BIG);
    free(chosen);
    known_done(&s, c);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(irq_is_asked_for_once),
    VU_FD_TEST(disable_mask_unmask_and_trigger_have_no_data),
    VU_FD_TEST(vectors_that_are_not_there_are_not_sent),
    VU_FD_TEST(chosen_vectors_are_a_byte_each),
    VU_FD_TEST(choice_that_no_message_holds_is_not_sent),
    VU_FD_TEST(server_with_a_small_limit_takes_4096_vectors),
};

VU_TEST_MAIN(tests)
