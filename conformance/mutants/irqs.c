/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mutant server's interrupts.
 */
#include "conformance/mutants/commands.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "conformance/mutants/faults.h"
#include "wire/text.h"

static uint32_t vectors_of(const struct ct_client *c, uint32_t index)
{
    return index < CT_IRQ_TYPES ? c->server->device.vectors[index] : 0;
}

int ct_on_irq_info(struct ct_client *c, struct vu_message *m, struct ct_reply *r)
{
    static const uint8_t zeros[VU_IRQ_INFO_SIZE];
    bool bare = fault(bare_header_served) && m->body_len == 0;
    struct vu_reader body = bare ? vu_reader(zeros, sizeof(zeros)) : ct_body_of(m);
    struct ct_device *d = &c->server->device;
    struct vu_irq_info req, info = { .argsz = VU_IRQ_INFO_SIZE };
    int err = vu_decode_irq_info(&body, &req);

    if (err != 0)
        return err;
    if ((req.argsz < VU_IRQ_INFO_SIZE && !bare) || req.index >= d->num_irqs)
        return -EINVAL;
    info.index = req.index;
    info.count = vectors_of(c, req.index);
    if (info.count != 0)
        info.flags = d->irq_flags[req.index];
    else if (fault(absent_irq_refused))
        return -EINVAL;
    vu_encode_irq_info(&r->w, &info);
    return 0;
}

void ct_irqs_init(struct ct_irqs *irqs)
{
    *irqs = (struct ct_irqs){ 0 };
    for (size_t i = 0; i < CT_IRQ_TYPES; i++)
        for (size_t k = 0; k < CT_VECTORS; k++)
            irqs->fds[i][k] = -1;
}

static void vector_set(int *slot, int fd)
{
    if (*slot != -1)
        close(*slot);
    *slot = fd;
}

void ct_irqs_done(struct ct_irqs *irqs)
{
    for (size_t i = 0; i < CT_IRQ_TYPES; i++)
        for (size_t k = 0; k < CT_VECTORS; k++)
            vector_set(&irqs->fds[i][k], -1);
}

static void fire(struct ct_client *c, uint32_t index, uint32_t vector)
{
    struct ct_irqs *irqs = &c->irqs;
    uint64_t one = 1;

    if (index == VU_PCI_INTX && irqs->masked)
        irqs->pending = true;
    else if (irqs->fds[index][vector] != -1)
        (void)!write(irqs->fds[index][vector], &one, sizeof(one));
}

static void mask(struct ct_client *c, bool on)
{
    bool pending = c->irqs.pending;

    c->irqs.masked = on;
    if (on || !pending)
        return;
    c->irqs.pending = false;
    fire(c, VU_PCI_INTX, 0);
}

static void act(struct ct_client *c, uint32_t action, uint32_t index, uint32_t vector)
{
    if (action != VU_IRQ_SET_ACTION_TRIGGER) {
        mask(c, action == VU_IRQ_SET_ACTION_MASK);
        return;
    }
    fire(c, index, vector);
    for (size_t i = 0; fault(clients_share_irqs) && i < CT_CLIENTS; i++)
        if (c->server->clients[i].ch != NULL && &c->server->clients[i] != c)
            fire(&c->server->clients[i], index, vector);
}

static bool is_eventfd(int fd)
{
    char text[64];

    return strcmp(vu_fd_text(text, sizeof(text), fd), "eventfd") == 0;
}

static int irq_set_check(const struct ct_client *c, const struct vu_message *m,
                         const struct vu_irq_set *req)
{
    uint32_t data = req->flags & VU_IRQ_SET_DATA_MASK;
    uint32_t action = req->flags & VU_IRQ_SET_ACTIONS;
    uint32_t vectors = vectors_of(c, req->index);

    if (req->argsz < VU_IRQ_SET_SIZE || req->index >= c->server->device.num_irqs ||
        __builtin_popcount(data) != 1 || __builtin_popcount(action) != 1 ||
        req->flags & ~(VU_IRQ_SET_DATA_MASK | VU_IRQ_SET_ACTIONS))
        return -EINVAL;
    if (req->start > vectors || req->count > vectors - req->start)
        return -EINVAL;
    if (data == VU_IRQ_SET_DATA_EVENTFD ? m->n_fds != 0 && m->n_fds != req->count
                                        : m->n_fds != 0)
        return -EINVAL;
    for (size_t i = 0; manner(eventfds_only) && i < m->n_fds; i++)
        if (!is_eventfd(m->fds[i]))
            return -EINVAL;
    if (action != VU_IRQ_SET_ACTION_TRIGGER && req->index != VU_PCI_INTX)
        return -EINVAL;
    if (req->count == 0 && (data != VU_IRQ_SET_DATA_NONE ||
                            action != VU_IRQ_SET_ACTION_TRIGGER || req->start != 0))
        return -EINVAL;
    return 0;
}

int ct_on_irq_set(struct ct_client *c, struct vu_message *m, struct ct_reply *r)
{
    struct vu_reader body = ct_body_of(m);
    struct vu_irq_set req;
    int err = vu_decode_irq_set(&body, &req);

    (void)r;
    if (err == 0)
        err = irq_set_check(c, m, &req);
    if (err != 0 || vectors_of(c, req.index) == 0)
        return err;
    for (uint32_t k = 0; req.count == 0 && k < CT_VECTORS; k++)
        vector_set(&c->irqs.fds[req.index][k], -1);
    for (uint32_t i = 0; i < req.count; i++) {
        uint32_t k = req.start + i;
        int fd = vu_message_take_fd(m, i);

        if (!(req.flags & VU_IRQ_SET_DATA_EVENTFD)) {
            if (!(req.flags & VU_IRQ_SET_DATA_BOOL) || req.data.data[i] != 0)
                act(c, req.flags & VU_IRQ_SET_ACTIONS, req.index, k);
        } else if (req.flags & VU_IRQ_SET_ACTION_TRIGGER) {
            vector_set(&c->irqs.fds[req.index][k], fd < 0 ? -1 : fd);
        } else if (fd >= 0) {
            close(fd); /* signals of masking are not given */
        }
    }
    return 0;
}
