/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of interrupts share: SET_IRQS in short, and eventfds of a client. */
#ifndef VUS_TESTS_IRQ_SUPPORT_H
#define VUS_TESTS_IRQ_SUPPORT_H

#include "libserver/tests/core.h"

#define NONE    VU_IRQ_SET_DATA_NONE
#define BOOL    VU_IRQ_SET_DATA_BOOL
#define EVENTFD VU_IRQ_SET_DATA_EVENTFD
#define MASK    VU_IRQ_SET_ACTION_MASK
#define UNMASK  VU_IRQ_SET_ACTION_UNMASK
#define TRIGGER VU_IRQ_SET_ACTION_TRIGGER

static inline struct vu_irq_set range(uint32_t flags, uint32_t index, uint32_t start,
                                      uint32_t count)
{
    return (struct vu_irq_set){
        .flags = flags, .index = index, .start = start, .count = count,
    };
}

static inline struct answer send_set(struct core *c, uint32_t flags, uint32_t index,
                                     uint32_t start, uint32_t count, const int *fds,
                                     size_t n_fds)
{
    return core_set_irqs(c, range(flags, index, start, count), NULL, 0, fds, n_fds);
}

static inline struct answer send_bools(struct core *c, uint32_t action, uint32_t index,
                                       uint32_t start, uint32_t count, const char *bytes)
{
    return core_set_irqs(c, range(BOOL | action, index, start, count),
                         (const uint8_t *)bytes, count, NULL, 0);
}

static inline void ok(struct answer a)
{
    assert_answer_ok(&a, 0);
}

static inline void einval(struct answer a)
{
    assert_answer_error(&a, EINVAL);
}

static inline void refused_with(struct answer a, uint32_t error)
{
    assert_answer_error(&a, error);
}

/* What was signalled since the last look. */
static inline uint64_t taken(int fd)
{
    uint64_t n = 0;

    if (read(fd, &n, sizeof(n)) != sizeof(n)) {
        assert_int_equal(errno, EAGAIN);
        return 0;
    }
    return n;
}

/* Eventfds of the client for the vectors of MSI-X. */
struct events {
    int fd[N_MSIX];
};

static inline struct events make_events(int flags)
{
    struct events e;

    for (size_t i = 0; i < N_MSIX; i++) {
        e.fd[i] = eventfd(0, EFD_CLOEXEC | flags);
        assert_true(e.fd[i] >= 0);
    }
    return e;
}

static inline void close_events(struct events *e)
{
    for (size_t i = 0; i < N_MSIX; i++)
        close(e->fd[i]);
}

static inline void begin_assigned(struct core *c, struct events *e)
{
    core_begin(c);
    *e = make_events(EFD_NONBLOCK);
    ok(send_set(c, EVENTFD | TRIGGER, VFU_DEV_MSIX_IRQ, 0, N_MSIX, e->fd, N_MSIX));
}

static inline void end_assigned(struct core *c, struct events *e)
{
    core_end(c);
    close_events(e);
}

/* What keep_state() was told. */
static struct { uint32_t start, count; bool mask; } told[8];
static size_t n_told;

static inline void keep_state(vfu_ctx_t *ctx, uint32_t start, uint32_t count, bool masked)
{
    (void)ctx;
    assert_true(n_told < 8);
    told[n_told].start = start;
    told[n_told].count = count;
    told[n_told++].mask = masked;
}

#endif
