/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupts: SET_IRQS by the client, triggers by the device.
 *
 * A device names a vector and not its type. The vector is one of the type in
 * use: MSI-X if any of its vectors has an eventfd, else MSI, else INTx; a guest
 * driver enables one of them at a time. vfu_irq_trigger_type() is for who knows.
 *
 * A masked vector remembers that it was triggered and signals when unmasked. An
 * interrupt masks its vector only if the device asked for that (AUTOMASKED).
 *
 * A client may leave the unmasking to a hypervisor: it gives an eventfd that is
 * signalled for each. That descriptor is read without waiting (RWF_NOWAIT),
 * whatever the client made of its flags; one that cannot be read so is refused,
 * and dropped if it turns out later. A trigger that finds its vector masked looks
 * there, too, since the context's thread may be slower than the guest.
 */
#include "libserver/irq.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "libserver/context.h"
#include "libserver/dispatch.h"
#include "libserver/wake.h"

/* More than PCI has (2048): only there so that a size is never absurd. */
#define MAX_VECTORS 65536u

/* ---------------------------------------------------------------- vector -- */

static void lock(struct vus_irqs *irqs)
{
    pthread_mutex_lock(&irqs->lock);
}

static void unlock(struct vus_irqs *irqs)
{
    pthread_mutex_unlock(&irqs->lock);
}

/* After each change of a vector. */
static void settle(struct vus_vector *v)
{
    v->direct = v->fd != -1 && !v->masked && !v->automask && !v->moved;
}

enum heard { NOTHING, UNMASK, UNREADABLE };

/* Whether the client has signalled an eventfd for unmasking; that is then forgotten. */
static enum heard listen_to(int fd)
{
    uint64_t n = 0;
    struct iovec iov = { .iov_base = &n, .iov_len = sizeof(n) };
    ssize_t got = preadv2(fd, &iov, 1, -1, RWF_NOWAIT);

    if (got == (ssize_t)sizeof(n))
        return n != 0 ? UNMASK : NOTHING;
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? NOTHING : UNREADABLE;
}

static int deliver(struct vus_irqs *irqs, struct vus_vector *v)
{
    v->pending = false;
    v->masked = v->automask;
    settle(v);
    return vus_signal_send(&irqs->signal, &v->request);
}

/* Signal, or remember it. v is locked. -ESTALE: the vector lives in a newer table. */
static int fire(struct vus_irqs *irqs, struct vus_vector *v)
{
    if (v->moved)
        return -ESTALE;
    if (v->fd == -1)
        return -ENOENT;
    if (v->masked && (v->unmask_fd == -1 || listen_to(v->unmask_fd) != UNMASK)) {
        v->pending = true;
        return 0;
    }
    return deliver(irqs, v);
}

/* v is locked. */
static void set_mask(struct vus_irqs *irqs, struct vus_vector *v, bool masked)
{
    v->masked = masked;
    settle(v);
    if (!masked && v->pending)
        deliver(irqs, v);
}

/* ------------------------------------------------------------------ sets -- */

/* Vector i of a set, locked; i is below the capacity. Callers hold irqs.lock. */
static struct vus_vector *take(struct vus_irq_set *set, uint32_t i)
{
    struct vus_vector *v = &set->table->v[i];

    vus_lock_take(&v->lock);
    return v;
}

static void give(struct vus_vector *v)
{
    vus_lock_give(&v->lock);
}

static void close_fd(int fd)
{
    if (fd != -1)
        close(fd);
}

/* Takes over fd, -1: none. */
static void assign(struct vus_irq_set *set, uint32_t i, int fd)
{
    struct vus_vector *v = take(set, i);
    int old = v->fd;

    v->fd = fd;
    vus_signal_request_init(&v->request, fd);
    if (fd == -1) {
        v->pending = false;     /* nobody is there who could still want it */
        v->masked = v->masked && !v->automask;
    }
    settle(v);
    give(v);
    set->assigned += (fd != -1) - (old != -1);
    close_fd(old);
}

/* Takes over fd, which the wake descriptor knows already; -1: none. */
static void assign_unmask(struct vfu_ctx *ctx, struct vus_irq_set *set, uint32_t i,
                          int fd)
{
    struct vus_vector *v = take(set, i);
    int old = v->unmask_fd;

    v->unmask_fd = fd;
    give(v);
    set->listening += (fd != -1) - (old != -1);
    if (old != -1)
        vus_wake_del(ctx, old);
    close_fd(old);
}

static void clear(struct vfu_ctx *ctx, struct vus_irq_set *set, uint32_t i)
{
    struct vus_vector *v;

    assign(set, i, -1);
    assign_unmask(ctx, set, i, -1);
    v = take(set, i);
    v->masked = false;
    settle(v);
    give(v);
}

/* What a trigger without a type means. After each change of eventfds. */
static void choose_in_use(struct vus_irqs *irqs)
{
    struct vus_irq_set *in_use = NULL;

    for (int type = VFU_DEV_INTX_IRQ; type <= VFU_DEV_MSIX_IRQ; type++) {
        if (irqs->sets[type].assigned != 0)
            in_use = &irqs->sets[type];
    }
    atomic_store_explicit(&irqs->in_use, in_use, memory_order_release);
}

static void disable(struct vfu_ctx *ctx, struct vus_irq_set *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        clear(ctx, set, i);
    choose_in_use(&ctx->irqs);
}

/* A table of at least count vectors, none of them assigned. NULL: no memory. */
static struct vus_vectors *new_table(uint32_t count, struct vus_vectors *older)
{
    struct vus_vectors *t;
    void *memory;
    size_t size;

    /* Doubling, so that all older tables together are no larger than this one. */
    if (older != NULL && count < 2 * older->capacity)
        count = 2 * older->capacity;
    size = sizeof(*t) + count * sizeof(t->v[0]);
    if (posix_memalign(&memory, alignof(struct vus_vectors), size) != 0)
        return NULL;
    memset(memory, 0, size);
    t = memory;
    t->older = older;
    t->capacity = count;
    for (uint32_t i = 0; i < count; i++)
        t->v[i].fd = t->v[i].unmask_fd = -1;
    return t;
}

/* Vectors move to a larger table with all that they have. */
static int grow(struct vus_irq_set *set, uint32_t count)
{
    struct vus_vectors *old = set->table;
    struct vus_vectors *t = new_table(count, old);

    if (t == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < set->count; i++) {
        struct vus_vector *from = take(set, i);
        struct vus_vector *to = &t->v[i];

        to->fd = from->fd;
        to->unmask_fd = from->unmask_fd;
        to->automask = from->automask;
        to->masked = from->masked;
        to->pending = from->pending;
        vus_signal_request_init(&to->request, to->fd);
        settle(to);
        from->moved = true;
        settle(from);
        give(from);
    }
    atomic_store_explicit(&set->table, t, memory_order_release);
    return 0;
}

/* Make vector i as the set is; it need not be below the count yet. */
static void set_automask(struct vus_irq_set *set, uint32_t i)
{
    struct vus_vector *v = take(set, i);

    v->automask = set->automask;
    settle(v);
    give(v);
}

/* Give the set count vectors; those that stay keep what they have. 0 or -ENOMEM. */
static int resize(struct vfu_ctx *ctx, struct vus_irq_set *set, uint32_t count)
{
    struct vus_vectors *t = set->table;

    if (count > (t != NULL ? t->capacity : 0) && grow(set, count) != 0)
        return -ENOMEM;
    for (uint32_t i = count; i < set->count; i++)
        clear(ctx, set, i);
    for (uint32_t i = set->count; i < count; i++)
        set_automask(set, i);
    atomic_store_explicit(&set->count, count, memory_order_release);
    choose_in_use(&ctx->irqs);
    return 0;
}

int vus_irqs_init(struct vus_irqs *irqs)
{
    static const int single[] = { VFU_DEV_ERR_IRQ, VFU_DEV_REQ_IRQ };

    pthread_mutex_init(&irqs->lock, NULL);
    vus_signal_init(&irqs->signal);
    for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++) {
        if (grow(&irqs->sets[single[i]], 1) != 0) {
            vus_irqs_done(irqs);
            return -ENOMEM;
        }
        irqs->sets[single[i]].count = 1;
    }
    return 0;
}

void vus_irqs_disable_all(struct vfu_ctx *ctx)
{
    lock(&ctx->irqs);
    for (size_t i = 0; i < VFU_DEV_NUM_IRQS; i++)
        disable(ctx, &ctx->irqs.sets[i]);
    unlock(&ctx->irqs);
}

void vus_irqs_done(struct vus_irqs *irqs)
{
    for (size_t i = 0; i < VFU_DEV_NUM_IRQS; i++) {
        struct vus_vectors *t = irqs->sets[i].table;

        while (t != NULL) {
            struct vus_vectors *older = t->older;

            free(t);
            t = older;
        }
        irqs->sets[i].table = NULL;
    }
    vus_signal_done(&irqs->signal);
    pthread_mutex_destroy(&irqs->lock);
}

/* ------------------------------------------------------ unmask by eventfd -- */

/* Whether the client has unmasked vector i. One whose descriptor cannot be read any
 * more loses it. irqs.lock is held. */
static enum heard poll_vector(struct vfu_ctx *ctx, struct vus_irq_set *set, uint32_t i)
{
    struct vus_vector *v = take(set, i);
    enum heard heard = v->unmask_fd != -1 ? listen_to(v->unmask_fd) : NOTHING;

    if (heard == UNMASK)
        set_mask(&ctx->irqs, v, false);
    give(v);
    if (heard == UNREADABLE)
        assign_unmask(ctx, set, i, -1);
    return heard;
}

static void poll_set(struct vfu_ctx *ctx, struct vus_irq_set *set)
{
    enum heard heard = NOTHING;
    bool more = true;

    for (uint32_t i = 0; more; i++) {
        lock(&ctx->irqs);
        more = set->listening != 0 && i < set->count;
        if (more)
            heard = poll_vector(ctx, set, i);
        unlock(&ctx->irqs);
        if (more && heard == UNREADABLE)
            vus_refuse(ctx, 0, "the eventfd that unmasks vector %u is none", i);
        if (more && heard == UNMASK && set->on_state != NULL)
            set->on_state(ctx, i, 1, false);
    }
}

void vus_irqs_poll_unmask(struct vfu_ctx *ctx)
{
    for (size_t i = 0; i < VFU_DEV_NUM_IRQS; i++)
        poll_set(ctx, &ctx->irqs.sets[i]);
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

/* The vectors are there. */
static bool exist(const struct vfu_ctx *ctx, const struct vu_irq_set *s)
{
    return s->count != 0 &&
           (uint64_t)s->start + s->count <= ctx->irqs.sets[s->index].count;
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
    if (!exist(ctx, s))
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
 * descriptor could wait, or raise a signal. They are the files without a type. So are
 * timers, which read like eventfds and would keep us busy by themselves.
 */
static int check_eventfd(struct vfu_ctx *ctx, int fd)
{
    struct itimerspec timer;
    struct stat st;

    if (fstat(fd, &st) != 0)
        return -errno;
    if ((st.st_mode & S_IFMT) != 0 || timerfd_gettime(fd, &timer) == 0)
        return vus_refuse(ctx, -EINVAL, "SET_IRQS: a descriptor is no eventfd");
    return 0;
}

static int check_eventfds(struct vfu_ctx *ctx, const struct vu_message *m)
{
    int err = 0;

    for (size_t i = 0; i < m->n_fds && err == 0; i++)
        err = check_eventfd(ctx, m->fds[i]);
    return err;
}

/* Locks, unless the device has taken the vectors away since they were checked (the
 * message may be served by a thread of its own). 0 or negative errno. */
static int lock_vectors(struct vfu_ctx *ctx, const struct vu_irq_set *s)
{
    lock(&ctx->irqs);
    if (exist(ctx, s))
        return 0;
    unlock(&ctx->irqs);
    return vus_refuse(ctx, -EINVAL, "SET_IRQS: vectors have just gone");
}

/* Descriptor i becomes the signal of vector start + i; without any, the
 * vectors lose theirs. All or nothing. */
static int assign_range(struct vfu_ctx *ctx, const struct vu_irq_set *s,
                        struct vu_message *m)
{
    struct vus_irq_set *set = &ctx->irqs.sets[s->index];
    int err = check_eventfds(ctx, m);

    if (err == 0)
        err = lock_vectors(ctx, s);
    if (err != 0)
        return err;
    if (m->n_fds != 0)
        vus_signal_prepare(&ctx->irqs.signal);
    for (uint32_t i = 0; i < s->count; i++)
        assign(set, s->start + i, m->n_fds != 0 ? vu_message_take_fd(m, i) : -1);
    choose_in_use(&ctx->irqs);
    unlock(&ctx->irqs);
    return 0;
}

/* Whether the request means vector start + i. */
static bool selected(const struct vu_irq_set *s, uint32_t i)
{
    return data_type(s) != VU_IRQ_SET_DATA_BOOL || s->data.data[i] != 0;
}

/* Vectors without an eventfd are passed over. */
static int fire_range(struct vfu_ctx *ctx, const struct vu_irq_set *s)
{
    struct vus_irq_set *set = &ctx->irqs.sets[s->index];
    int err = lock_vectors(ctx, s);

    if (err != 0)
        return err;
    for (uint32_t i = 0; i < s->count; i++) {
        if (selected(s, i)) {
            struct vus_vector *v = take(set, s->start + i);

            fire(&ctx->irqs, v);
            give(v);
        }
    }
    unlock(&ctx->irqs);
    return 0;
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

static int mask_range(struct vfu_ctx *ctx, const struct vu_irq_set *s)
{
    struct vus_irq_set *set = &ctx->irqs.sets[s->index];
    bool masked = action(s) == VU_IRQ_SET_ACTION_MASK;
    int err = lock_vectors(ctx, s);

    if (err != 0)
        return err;
    for (uint32_t i = 0; i < s->count; i++) {
        if (selected(s, i)) {
            struct vus_vector *v = take(set, s->start + i);

            set_mask(&ctx->irqs, v, masked);
            give(v);
        }
    }
    unlock(&ctx->irqs);
    report_mask(ctx, s, masked);
    return 0;
}

static int on_trigger(struct vfu_ctx *ctx, const struct vu_irq_set *s,
                      struct vu_message *m)
{
    if (data_type(s) == VU_IRQ_SET_DATA_EVENTFD)
        return assign_range(ctx, s, m);
    if (!is_disable(s))
        return fire_range(ctx, s);
    lock(&ctx->irqs);
    disable(ctx, &ctx->irqs.sets[s->index]);
    unlock(&ctx->irqs);
    return 0;
}

/* Have the wake descriptor watch all descriptors of a message, or none. */
static int watch_all(struct vfu_ctx *ctx, const struct vu_message *m)
{
    int err = 0;
    size_t n = 0;

    while (n < m->n_fds && err == 0) {
        err = vus_wake_add(ctx, m->fds[n]);
        n += err == 0;
    }
    while (err != 0 && n > 0)
        vus_wake_del(ctx, m->fds[--n]);
    return err;
}

static void unwatch_all(struct vfu_ctx *ctx, const struct vu_message *m)
{
    for (size_t i = 0; i < m->n_fds; i++)
        vus_wake_del(ctx, m->fds[i]);
}

/* Descriptor i unmasks vector start + i from now on; without any, nothing does but
 * SET_IRQS. All or nothing. */
static int assign_unmask_range(struct vfu_ctx *ctx, const struct vu_irq_set *s,
                               struct vu_message *m)
{
    struct vus_irq_set *set = &ctx->irqs.sets[s->index];
    enum heard heard[VU_MAX_MSG_FDS];
    int err = check_eventfds(ctx, m);

    for (size_t i = 0; i < m->n_fds && err == 0; i++) {
        heard[i] = listen_to(m->fds[i]);
        if (heard[i] == UNREADABLE)
            err = vus_refuse(ctx, -EINVAL, "SET_IRQS: an eventfd to read is none");
    }
    if (err == 0)
        err = watch_all(ctx, m);
    if (err != 0)
        return err;
    err = lock_vectors(ctx, s);
    if (err != 0) {
        unwatch_all(ctx, m);
        return err;
    }
    for (uint32_t i = 0; i < s->count; i++) {
        struct vus_vector *v;

        assign_unmask(ctx, set, s->start + i,
                      m->n_fds != 0 ? vu_message_take_fd(m, i) : -1);
        if (m->n_fds == 0 || heard[i] != UNMASK)
            continue;
        v = take(set, s->start + i);    /* it was signalled before it came */
        set_mask(&ctx->irqs, v, false);
        give(v);
    }
    unlock(&ctx->irqs);
    return 0;
}

static int on_mask(struct vfu_ctx *ctx, const struct vu_irq_set *s, struct vu_message *m)
{
    if (data_type(s) != VU_IRQ_SET_DATA_EVENTFD)
        return mask_range(ctx, s);
    if (action(s) == VU_IRQ_SET_ACTION_MASK)
        return vus_refuse(ctx, -EINVAL, "SET_IRQS: eventfds for masking");
    return assign_unmask_range(ctx, s, m);
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
                                                   : on_mask(ctx, &s, m);
}

static bool automasks(struct vfu_ctx *ctx, uint32_t index)
{
    bool automask;

    lock(&ctx->irqs);
    automask = ctx->irqs.sets[index].automask;
    unlock(&ctx->irqs);
    return automask;
}

/* Vectors can be added to a type that is enabled, so NORESIZE is not set. */
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
    info.flags = VU_IRQ_EVENTFD | (maskable(info.index) ? VU_IRQ_MASKABLE : 0) |
                 (automasks(ctx, info.index) ? VU_IRQ_AUTOMASKED : 0);
    info.count = ctx->irqs.sets[info.index].count;
    return vu_encode_irq_info(&w, &info);
}

/* --------------------------------------------------------------- set-up -- */

/* Whether a PCI device can have so many vectors of a type. */
static bool usual(enum vfu_dev_irq_type type, uint32_t count)
{
    switch (type) {
    case VFU_DEV_MSI_IRQ:
        return count <= 32 && (count & (count - 1)) == 0;
    case VFU_DEV_MSIX_IRQ:
        return count <= 2048;
    default:
        return count <= 1;
    }
}

int vfu_setup_device_nr_irqs(vfu_ctx_t *ctx, enum vfu_dev_irq_type type, uint32_t count)
{
    int err;

    assert(ctx != NULL);
    if ((unsigned int)type >= VFU_DEV_NUM_IRQS || count > MAX_VECTORS) {
        errno = EINVAL;
        return -1;
    }
    if (!usual(type, count))
        vfu_log(ctx, LOG_WARNING, "%u vectors of type %u: no PCI device has them", count,
                (unsigned int)type);
    lock(&ctx->irqs);
    err = resize(ctx, &ctx->irqs.sets[type], count);
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

int vfu_setup_irq_automask(vfu_ctx_t *ctx, enum vfu_dev_irq_type type, bool automask)
{
    struct vus_irq_set *set;

    assert(ctx != NULL);
    if (type != VFU_DEV_INTX_IRQ) {
        errno = EINVAL;
        return -1;
    }
    set = &ctx->irqs.sets[type];
    lock(&ctx->irqs);
    set->automask = automask;
    for (uint32_t i = 0; i < set->count; i++)
        set_automask(set, i);
    unlock(&ctx->irqs);
    return 0;
}

/* -------------------------------------------------------------- triggers -- */

/* A vector number that no type has is the device's mistake. */
static bool exists(const struct vus_irqs *irqs, uint32_t vector)
{
    for (size_t i = 0; i < VFU_DEV_NUM_IRQS; i++) {
        if (vector < irqs->sets[i].count)
            return true;
    }
    return false;
}

/* NULL: there is no such vector. */
static inline struct vus_vector *vector_of(struct vus_irq_set *set, uint32_t vector)
{
    if (vector >= atomic_load_explicit(&set->count, memory_order_acquire))
        return NULL;
    return &atomic_load_explicit(&set->table, memory_order_acquire)->v[vector];
}

/* The common case alone, and short. False: nothing was done. */
static inline bool trigger_directly(struct vus_irqs *irqs, struct vus_irq_set *set,
                                    uint32_t vector)
{
    struct vus_vector *v = vector_of(set, vector);
    bool done;

    if (v == NULL)
        return false;
    vus_lock_take(&v->lock);
    done = v->direct && vus_signal_try(&irqs->signal, &v->request);
    vus_lock_give(&v->lock);
    return done;
}

/* Every case. 0 or negative errno, -ENOENT without an eventfd or a vector. */
static int trigger(struct vus_irqs *irqs, struct vus_irq_set *set, uint32_t vector)
{
    struct vus_vector *v = vector_of(set, vector);
    int err;

    if (v == NULL)
        return -ENOENT;
    vus_lock_take(&v->lock);
    err = fire(irqs, v);
    vus_lock_give(&v->lock);
    if (err != -ESTALE)
        return err;
    lock(irqs);         /* until the new table is in its place */
    unlock(irqs);
    return trigger(irqs, set, vector);
}

/* set NULL: the one in use. 0, or -1 with errno. */
static __attribute__((noinline)) int trigger_and_report(struct vus_irqs *irqs,
                                                        struct vus_irq_set *set,
                                                        uint32_t vector)
{
    int err;

    if (set == NULL)
        set = atomic_load_explicit(&irqs->in_use, memory_order_acquire);
    err = set != NULL ? trigger(irqs, set, vector) : -ENOENT;

    if (err == 0)
        return 0;
    errno = err == -ENOENT && !exists(irqs, vector) ? EINVAL : -err;
    return -1;
}

int vfu_irq_trigger(vfu_ctx_t *ctx, uint32_t subindex)
{
    struct vus_irq_set *set;

    assert(ctx != NULL);
    set = atomic_load_explicit(&ctx->irqs.in_use, memory_order_acquire);
    if (set != NULL && trigger_directly(&ctx->irqs, set, subindex))
        return 0;
    return trigger_and_report(&ctx->irqs, NULL, subindex);
}

int vfu_irq_trigger_type(vfu_ctx_t *ctx, enum vfu_dev_irq_type type, uint32_t vector)
{
    struct vus_irq_set *set;

    assert(ctx != NULL);
    if ((unsigned int)type >= VFU_DEV_NUM_IRQS || vector >= ctx->irqs.sets[type].count) {
        errno = EINVAL;
        return -1;
    }
    set = &ctx->irqs.sets[type];
    if (trigger_directly(&ctx->irqs, set, vector))
        return 0;
    return trigger_and_report(&ctx->irqs, set, vector);
}
