/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupts: SET_IRQS by the client, triggers by the device.
 *
 * A device names a vector and not its type. The vector is one of the type in
 * use: MSI-X if any of its vectors has an eventfd, else MSI, else INTx; a guest
 * driver enables one of them at a time.
 *
 * A masked vector remembers that it was triggered and signals when unmasked.
 * Interrupts are not masked by being delivered (no AUTOMASKED), so a client
 * that unmasks after each of them does no harm.
 */
#include "libserver/irq.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libserver/context.h"
#include "libserver/dispatch.h"

/* More than PCI has (2048): only there so that a size is never absurd. */
#define MAX_VECTORS 65536u

/* -------------------------------------------------------------- vectors -- */

static void lock(struct vus_irqs *irqs)
{
    pthread_mutex_lock(&irqs->lock);
}

static void unlock(struct vus_irqs *irqs)
{
    pthread_mutex_unlock(&irqs->lock);
}

static int fire(struct vus_irqs *irqs, struct vus_vector *v)
{
    if (v->fd == -1)
        return -ENOENT;
    if (v->masked) {
        v->pending = true;
        return 0;
    }
    return vus_signal_send(&irqs->signal, v->fd);
}

/* Takes over fd, -1: none. */
static void assign(struct vus_irq_set *set, uint32_t i, int fd)
{
    struct vus_vector *v = &set->vectors[i];

    set->assigned += (fd != -1) - (v->fd != -1);
    if (v->fd != -1)
        close(v->fd);
    v->fd = fd;
    if (fd == -1)
        v->pending = false;     /* nobody is there who could still want it */
}

static void mask(struct vus_irqs *irqs, struct vus_vector *v, bool masked)
{
    v->masked = masked;
    if (masked || !v->pending)
        return;
    v->pending = false;
    vus_signal_send(&irqs->signal, v->fd);
}

static void disable(struct vus_irq_set *set)
{
    for (uint32_t i = 0; i < set->count; i++) {
        assign(set, i, -1);
        set->vectors[i].masked = false;
    }
}

/* Give the set count vectors; those that stay keep what they have. 0 or -ENOMEM. */
static int resize(struct vus_irq_set *set, uint32_t count)
{
    struct vus_vector *vectors = calloc(count != 0 ? count : 1, sizeof(*vectors));

    if (vectors == NULL)
        return -ENOMEM;
    for (uint32_t i = count; i < set->count; i++)
        assign(set, i, -1);
    for (uint32_t i = 0; i < count; i++) {
        if (i < set->count)
            vectors[i] = set->vectors[i];
        else
            vectors[i].fd = -1;
    }
    free(set->vectors);
    set->vectors = vectors;
    set->count = count;
    return 0;
}

int vus_irqs_init(struct vus_irqs *irqs)
{
    pthread_mutex_init(&irqs->lock, NULL);
    vus_signal_init(&irqs->signal);
    if (resize(&irqs->sets[VFU_DEV_ERR_IRQ], 1) != 0 ||
        resize(&irqs->sets[VFU_DEV_REQ_IRQ], 1) != 0) {
        vus_irqs_done(irqs);
        return -ENOMEM;
    }
    return 0;
}

void vus_irqs_disable_all(struct vus_irqs *irqs)
{
    lock(irqs);
    for (size_t i = 0; i < VFU_DEV_NUM_IRQS; i++)
        disable(&irqs->sets[i]);
    unlock(irqs);
}

void vus_irqs_done(struct vus_irqs *irqs)
{
    vus_irqs_disable_all(irqs);
    for (size_t i = 0; i < VFU_DEV_NUM_IRQS; i++)
        free(irqs->sets[i].vectors);
    vus_signal_done(&irqs->signal);
    pthread_mutex_destroy(&irqs->lock);
}

/* ------------------------------------------------------------- SET_IRQS -- */

static bool maskable(uint32_t index)
{
    return index <= VFU_DEV_MSIX_IRQ;
}

static bool one_bit(uint32_t flags)
{
    return flags != 0 && (flags & (flags - 1)) == 0;
}

static uint32_t data_type(const struct vu_irq_set *s)
{
    return s->flags & VU_IRQ_SET_DATA_MASK;
}

static uint32_t action(const struct vu_irq_set *s)
{
    return s->flags & VU_IRQ_SET_ACTIONS;
}

/* The form of a request that is not about one vector but about all. */
static bool is_disable(const struct vu_irq_set *s)
{
    return s->flags == (VU_IRQ_SET_DATA_NONE | VU_IRQ_SET_ACTION_TRIGGER) &&
           s->start == 0 && s->count == 0;
}

static int check_set(struct vfu_ctx *ctx, const struct vu_irq_set *s, size_t n_fds)
{
    if (s->argsz < VU_IRQ_SET_SIZE)
        return vus_refuse(ctx, -EINVAL, "SET_IRQS: argsz %u is too small", s->argsz);
    if (s->index >= VFU_DEV_NUM_IRQS)
        return vus_refuse(ctx, -EINVAL, "SET_IRQS: no index %u", s->index);
    if ((s->flags & ~(VU_IRQ_SET_DATA_MASK | VU_IRQ_SET_ACTIONS)) != 0 ||
        !one_bit(data_type(s)) || !one_bit(action(s)))
        return vus_refuse(ctx, -EINVAL, "SET_IRQS: flags %#x", s->flags);
    if (data_type(s) != VU_IRQ_SET_DATA_EVENTFD && n_fds != 0)
        return vus_refuse(ctx, -EINVAL, "SET_IRQS: descriptors with flags %#x", s->flags);
    if (is_disable(s))
        return 0;
    if (s->count == 0 ||
        (uint64_t)s->start + s->count > ctx->irqs.sets[s->index].count)
        return vus_refuse(ctx, -EINVAL, "SET_IRQS: index %u has no vectors %u+%u",
                          s->index, s->start, s->count);
    if (n_fds != 0 && n_fds != s->count)
        return vus_refuse(ctx, -EINVAL, "SET_IRQS: %zu descriptors for %u vectors", n_fds,
                          s->count);
    if (action(s) != VU_IRQ_SET_ACTION_TRIGGER && !maskable(s->index))
        return vus_refuse(ctx, -EINVAL, "SET_IRQS: index %u cannot be masked", s->index);
    return 0;
}

/*
 * Only eventfds are taken, as the kernel does: writing to another kind of
 * descriptor could wait, or raise a signal. They are the files without a type.
 */
static int check_eventfd(struct vfu_ctx *ctx, int fd)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return -errno;
    if ((st.st_mode & S_IFMT) != 0)
        return vus_refuse(ctx, -EINVAL, "SET_IRQS: a descriptor is no eventfd");
    return 0;
}

/* Descriptor i becomes the signal of vector start + i; without any, the
 * vectors lose theirs. All or nothing. */
static int assign_range(struct vfu_ctx *ctx, const struct vu_irq_set *s,
                        struct vu_message *m)
{
    struct vus_irq_set *set = &ctx->irqs.sets[s->index];
    int err = 0;

    for (size_t i = 0; i < m->n_fds && err == 0; i++)
        err = check_eventfd(ctx, m->fds[i]);
    if (err != 0)
        return err;
    lock(&ctx->irqs);
    if (m->n_fds != 0)
        vus_signal_prepare(&ctx->irqs.signal);
    for (uint32_t i = 0; i < s->count; i++) {
        if (m->n_fds != 0)
            assign(set, s->start + i, vu_message_take_fd(m, i));
        else
            assign(set, s->start + i, -1);
    }
    unlock(&ctx->irqs);
    return 0;
}

/* Whether the request means vector start + i. */
static bool selected(const struct vu_irq_set *s, uint32_t i)
{
    return data_type(s) != VU_IRQ_SET_DATA_BOOL || s->data.data[i] != 0;
}

/* Vectors without an eventfd are passed over. */
static void fire_range(struct vfu_ctx *ctx, const struct vu_irq_set *s)
{
    struct vus_irq_set *set = &ctx->irqs.sets[s->index];

    lock(&ctx->irqs);
    for (uint32_t i = 0; i < s->count; i++) {
        if (selected(s, i))
            fire(&ctx->irqs, &set->vectors[s->start + i]);
    }
    unlock(&ctx->irqs);
}

/* Tell the device about each run of vectors whose mask was set. */
static void report_mask(struct vfu_ctx *ctx, const struct vu_irq_set *s, bool masked)
{
    vfu_dev_irq_state_cb_t *cb = ctx->irqs.sets[s->index].on_state;
    uint32_t run = 0;

    for (uint32_t i = 0; cb != NULL && i <= s->count; i++) {
        if (i < s->count && selected(s, i)) {
            run++;
        } else if (run != 0) {
            cb(ctx, s->start + i - run, run, masked);
            run = 0;
        }
    }
}

static void mask_range(struct vfu_ctx *ctx, const struct vu_irq_set *s)
{
    struct vus_irq_set *set = &ctx->irqs.sets[s->index];
    bool masked = action(s) == VU_IRQ_SET_ACTION_MASK;

    lock(&ctx->irqs);
    for (uint32_t i = 0; i < s->count; i++) {
        if (selected(s, i))
            mask(&ctx->irqs, &set->vectors[s->start + i], masked);
    }
    unlock(&ctx->irqs);
    report_mask(ctx, s, masked);
}

static int on_trigger(struct vfu_ctx *ctx, const struct vu_irq_set *s,
                      struct vu_message *m)
{
    if (data_type(s) == VU_IRQ_SET_DATA_EVENTFD)
        return assign_range(ctx, s, m);
    if (!is_disable(s)) {
        fire_range(ctx, s);
        return 0;
    }
    lock(&ctx->irqs);
    disable(&ctx->irqs.sets[s->index]);
    unlock(&ctx->irqs);
    return 0;
}

static int on_mask(struct vfu_ctx *ctx, const struct vu_irq_set *s)
{
    if (data_type(s) != VU_IRQ_SET_DATA_EVENTFD) {
        mask_range(ctx, s);
        return 0;
    }
    if (action(s) == VU_IRQ_SET_ACTION_MASK)
        return vus_refuse(ctx, -EINVAL, "SET_IRQS: eventfds for masking");
    /* For clients that let a hypervisor unmask after each interrupt. Nothing is
     * masked by an interrupt here, so there is nothing to listen for. */
    return 0;
}

int vus_on_set_irqs(struct vfu_ctx *ctx, struct vu_message *m, struct vus_reply *reply)
{
    struct vu_reader r = vu_reader(m->body, m->body_len);
    struct vu_irq_set s;
    int err = vu_decode_irq_set(&r, &s);

    (void)reply;    /* has no body */
    if (err != 0)
        return vus_refuse(ctx, err, "SET_IRQS: length and count disagree");
    err = check_set(ctx, &s, m->n_fds);
    if (err != 0)
        return err;
    return action(&s) == VU_IRQ_SET_ACTION_TRIGGER ? on_trigger(ctx, &s, m)
                                                   : on_mask(ctx, &s);
}

int vus_on_irq_info(struct vfu_ctx *ctx, struct vu_message *m, struct vus_reply *reply)
{
    struct vu_reader r = vu_reader(m->body, m->body_len);
    struct vu_writer w = vus_reply_body(reply, VU_IRQ_INFO_SIZE);
    struct vu_irq_info info;
    int err = vu_decode_irq_info(&r, &info);

    if (err != 0)
        return err;
    if (info.argsz < VU_IRQ_INFO_SIZE)
        return vus_refuse(ctx, -EINVAL, "GET_IRQ_INFO: argsz %u is too small",
                          info.argsz);
    if (info.index >= VFU_DEV_NUM_IRQS)
        return vus_refuse(ctx, -EINVAL, "GET_IRQ_INFO: no index %u", info.index);
    info.argsz = VU_IRQ_INFO_SIZE;
    info.flags = VU_IRQ_EVENTFD | (maskable(info.index) ? VU_IRQ_MASKABLE : 0);
    info.count = ctx->irqs.sets[info.index].count;
    return vu_encode_irq_info(&w, &info);
}

/* --------------------------------------------------------------- public -- */

int vfu_setup_device_nr_irqs(vfu_ctx_t *ctx, enum vfu_dev_irq_type type, uint32_t count)
{
    int err;

    assert(ctx != NULL);
    if ((unsigned int)type >= VFU_DEV_NUM_IRQS || count > MAX_VECTORS) {
        errno = EINVAL;
        return -1;
    }
    lock(&ctx->irqs);
    err = resize(&ctx->irqs.sets[type], count);
    unlock(&ctx->irqs);
    if (err != 0)
        errno = -err;
    return err != 0 ? -1 : 0;
}

int vfu_setup_irq_state_callback(vfu_ctx_t *ctx, enum vfu_dev_irq_type type,
                                 vfu_dev_irq_state_cb_t *cb)
{
    assert(ctx != NULL);
    if ((unsigned int)type >= VFU_DEV_NUM_IRQS) {
        errno = EINVAL;
        return -1;
    }
    ctx->irqs.sets[type].on_state = cb;
    return 0;
}

/* A vector number that no type has is the device's mistake. */
static bool exists(const struct vus_irqs *irqs, uint32_t vector)
{
    for (size_t i = 0; i < VFU_DEV_NUM_IRQS; i++) {
        if (vector < irqs->sets[i].count)
            return true;
    }
    return false;
}

/* NULL: the client has assigned nothing. */
static struct vus_irq_set *set_in_use(struct vus_irqs *irqs)
{
    for (int type = VFU_DEV_MSIX_IRQ; type >= VFU_DEV_INTX_IRQ; type--) {
        if (irqs->sets[type].assigned != 0)
            return &irqs->sets[type];
    }
    return NULL;
}

static int trigger(struct vus_irqs *irqs, uint32_t vector)
{
    struct vus_irq_set *set = set_in_use(irqs);

    if (!exists(irqs, vector))
        return -EINVAL;
    if (set == NULL || vector >= set->count)
        return -ENOENT;
    return fire(irqs, &set->vectors[vector]);
}

int vfu_irq_trigger(vfu_ctx_t *ctx, uint32_t subindex)
{
    int err;

    assert(ctx != NULL);
    lock(&ctx->irqs);
    err = trigger(&ctx->irqs, subindex);
    unlock(&ctx->irqs);
    if (err != 0)
        errno = -err;
    return err != 0 ? -1 : 0;
}
