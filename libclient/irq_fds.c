/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Eventfds of interrupts: given to the server, kept, made, waited for, and given again.
 *
 * Before anything is sent, every descriptor of the call exists: copies of the caller's,
 * or eventfds of our own. Then messages go out, run by run, and what a message has
 * given to the server moves into the table of the index.
 */
#include "libclient/irq_fds.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "libclient/dispatch.h"
#include "libclient/irq.h"

static const uint32_t actions[VUC_SIGNALS] = {
    [VUC_SIGNAL_TRIGGER] = VU_IRQ_SET_ACTION_TRIGGER,
    [VUC_SIGNAL_MASK] = VU_IRQ_SET_ACTION_MASK,
    [VUC_SIGNAL_UNMASK] = VU_IRQ_SET_ACTION_UNMASK,
};

/* ------------------------------------------------------------------ table -- */

static struct vuc_eventfd *new_eventfds(uint32_t n)
{
    struct vuc_eventfd *e = calloc(n, sizeof(*e));

    for (uint32_t i = 0; e != NULL && i < n; i++)
        e[i] = (struct vuc_eventfd){ .fd = -1 };
    return e;
}

static void free_eventfds(struct vuc_eventfd *e, uint32_t n)
{
    for (uint32_t i = 0; e != NULL && i < n; i++) {
        if (e[i].fd >= 0)
            close(e[i].fd);
    }
    free(e);
}

void vuc_irq_fds_drop(struct vuc_irq *irq)
{
    for (int s = 0; s < VUC_SIGNALS; s++) {
        free_eventfds(irq->eventfds[s], irq->info.num_vectors);
        irq->eventfds[s] = NULL;
    }
}

void vuc_irqs_done(struct vfuc_client *client)
{
    for (uint32_t i = 0; i < client->device.num_irqs; i++)
        vuc_irq_fds_drop(&client->irqs[i]);
    free(client->irqs);
    client->irqs = NULL;
}

/* ---------------------------------------------------------------- sending -- */

/* A message says "descriptors for all of these vectors" or "none for any of them", and
 * holds max_msg_fds descriptors: the length of the first run that one can carry. */
static uint32_t first_run(const struct vfuc_client *client, const struct vuc_eventfd *e,
                          uint32_t count)
{
    uint32_t n = 1;

    while (n < count && (e[n].fd < 0) == (e[0].fd < 0)
           && (e[0].fd < 0 || n < client->limits.max_msg_fds))
        n++;
    return n;
}

/* One run, v->count eventfds from e on. */
static int send_run(struct vfuc_client *client, const struct vuc_vectors *v,
                    enum vuc_signal signal, const struct vuc_eventfd *e)
{
    int fds[VU_MAX_MSG_FDS];

    if (e[0].fd < 0)
        return vuc_irq_set(client, v, VU_IRQ_SET_DATA_EVENTFD | actions[signal], NULL);
    for (uint32_t i = 0; i < v->count; i++)
        fds[i] = e[i].fd;
    return vuc_irq_set(client, v, VU_IRQ_SET_DATA_EVENTFD | actions[signal], fds);
}

/* What one call is about to give to the server. */
struct assignment {
    struct vuc_vectors v;
    enum vuc_signal signal;
    struct vuc_eventfd *table;  /* of the index, from the first vector on */
    struct vuc_eventfd *fresh;  /* owned; an entry that equals its place in the table is
                                 * the table's */
};

static int begin(struct vfuc_client *client, struct assignment *a)
{
    struct vuc_irq *irq;
    int err = vuc_irq_check(client, &a->v);

    if (err < 0)
        return err;
    irq = &client->irqs[a->v.index];
    a->fresh = new_eventfds(a->v.count);
    if (a->fresh == NULL)
        return vuc_fail(client, -ENOMEM, "out of memory");
    if (irq->eventfds[a->signal] == NULL)
        irq->eventfds[a->signal] = new_eventfds(irq->info.num_vectors);
    if (irq->eventfds[a->signal] == NULL) {
        free(a->fresh);
        return vuc_fail(client, -ENOMEM, "out of memory");
    }
    a->table = irq->eventfds[a->signal] + a->v.start;
    return 0;
}

/* The server has these: n from number `at` of the call on. */
static void keep(struct assignment *a, uint32_t at, uint32_t n)
{
    for (uint32_t i = at; i < at + n; i++) {
        if (a->table[i].fd >= 0 && a->table[i].fd != a->fresh[i].fd)
            close(a->table[i].fd);
        a->table[i] = a->fresh[i];
    }
}

static int send_all(struct vfuc_client *client, struct assignment *a)
{
    struct vuc_vectors v = a->v;
    int err = 0;

    for (uint32_t at = 0; err == 0 && at < a->v.count; at += v.count) {
        v.start = a->v.start + at;
        v.count = first_run(client, a->fresh + at, a->v.count - at);
        err = send_run(client, &v, a->signal, a->fresh + at);
        if (err == 0)
            keep(a, at, v.count);
    }
    return err;
}

static void end(struct assignment *a)
{
    for (uint32_t i = 0; i < a->v.count; i++) {
        if (a->fresh[i].fd >= 0 && a->fresh[i].fd != a->table[i].fd)
            close(a->fresh[i].fd);
    }
    free(a->fresh);
}

/* ----------------------------------------------------------- the caller's -- */

static int takes_fds(struct vfuc_client *client)
{
    if (client->limits.max_msg_fds > 0)
        return 0;
    return vuc_fail(client, -ENOTSUP, "the server takes no descriptors");
}

static int copy(struct vfuc_client *client, int fd, struct vuc_eventfd *e)
{
    if (fd == -1)
        return 0;
    e->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (e->fd >= 0)
        return takes_fds(client);
    if (errno == EMFILE)
        return vuc_fail(client, -EMFILE, "no room for a copy of descriptor %d", fd);
    return vuc_fail(client, -EBADF, "descriptor %d is not open", fd);
}

static int assign(struct vfuc_client *client, struct assignment *a, const int *fds)
{
    int err = begin(client, a);

    if (err < 0)
        return err;
    for (uint32_t i = 0; err == 0 && i < a->v.count; i++)
        err = copy(client, fds[i], &a->fresh[i]);
    if (err == 0)
        err = send_all(client, a);
    end(a);
    return err;
}

int vfuc_irq_assign(struct vfuc_client *client, uint32_t index, uint32_t start,
                    const int *fds, uint32_t count)
{
    struct assignment a = { .v = { index, start, count }, .signal = VUC_SIGNAL_TRIGGER };

    return assign(client, &a, fds);
}

int vfuc_irq_notify(struct vfuc_client *client, uint32_t index, uint32_t action,
                    uint32_t start, const int *fds, uint32_t count)
{
    struct assignment a = { .v = { index, start, count }, .signal = VUC_SIGNAL_MASK };

    if (action == VFUC_IRQ_UNMASK)
        a.signal = VUC_SIGNAL_UNMASK;
    else if (action != VFUC_IRQ_MASK)
        return vuc_fail(client, -EINVAL, "action 0x%x takes no eventfds", action);
    return assign(client, &a, fds);
}

/* ------------------------------------------------------------------- ours -- */

static int make(struct vfuc_client *client, const struct vuc_eventfd *old,
                struct vuc_eventfd *e)
{
    if (old->made) {
        *e = *old;
        return 0;
    }
    e->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    e->made = true;
    if (e->fd >= 0)
        return 0;
    if (errno == ENOMEM)
        return vuc_fail(client, -ENOMEM, "out of memory");
    return vuc_fail(client, -EMFILE, "no room for another eventfd");
}

int vfuc_irq_enable(struct vfuc_client *client, uint32_t index, uint32_t start,
                    uint32_t count)
{
    struct assignment a = { .v = { index, start, count }, .signal = VUC_SIGNAL_TRIGGER };
    int err = begin(client, &a);

    if (err < 0)
        return err;
    err = takes_fds(client);
    for (uint32_t i = 0; err == 0 && i < count; i++)
        err = make(client, &a.table[i], &a.fresh[i]);
    if (err == 0)
        err = send_all(client, &a);
    end(&a);
    return err;
}

int vfuc_irq_fd(const struct vfuc_client *client, uint32_t index, uint32_t vector)
{
    const struct vuc_irq *irq;
    const struct vuc_eventfd *table;

    if (index >= client->device.num_irqs)
        return -1;
    irq = &client->irqs[index];
    table = irq->eventfds[VUC_SIGNAL_TRIGGER];
    if (table == NULL || vector >= irq->info.num_vectors || !table[vector].made)
        return -1;
    return table[vector].fd;
}

/* How often it has fired, which counts from 0 again. 0, -EAGAIN: not at all, or -EBADF.
 * The server has the same open file and can take O_NONBLOCK from it, so that a read()
 * would block. */
static int take_count(int fd, uint64_t *fired)
{
    struct iovec iov = { fired, sizeof(*fired) };
    ssize_t n = preadv2(fd, &iov, 1, -1, RWF_NOWAIT);

    if (n < 0 && errno == EOPNOTSUPP)   /* Linux before 5.8 */
        n = read(fd, fired, sizeof(*fired));
    if (n == (ssize_t)sizeof(*fired))
        return 0;
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? -EAGAIN : -EBADF;
}

int vfuc_irq_wait(struct vfuc_client *client, uint32_t index, uint32_t vector,
                  int timeout_ms, uint64_t *count)
{
    vu_deadline deadline = timeout_ms == 0 ? VU_DONT_WAIT : vu_deadline_in_ms(timeout_ms);
    int fd = vfuc_irq_fd(client, index, vector);
    uint64_t fired;
    int err;

    if (fd < 0)
        return vuc_fail(client, -EINVAL, "vector %u of interrupt index %u is not enabled",
                        vector, index);
    /* Again after each wait: the caller may have been quicker. */
    while ((err = take_count(fd, &fired)) < 0) {
        if (err != -EAGAIN)
            return vuc_fail(client, err, "descriptor %d is no eventfd any more", fd);
        err = vuc_wait_any(client, fd, deadline);
        if (err == -ETIMEDOUT)
            vuc_note(client, "vector %u of interrupt index %u has not fired in time",
                     vector, index);
        if (err < 0)
            return err;
    }
    if (count != NULL)
        *count = fired;
    return 0;
}

/* -------------------------------------------------------------- reconnect -- */

/* All that one table holds, vectors without an eventfd left out. */
static int restore_table(struct vfuc_client *client, const struct vuc_irq *irq,
                         enum vuc_signal signal)
{
    const struct vuc_eventfd *table = irq->eventfds[signal];
    struct vuc_vectors v = { .index = irq->info.index };
    int err = 0;

    if (table == NULL)
        return 0;
    for (; err == 0 && v.start < irq->info.num_vectors; v.start += v.count) {
        v.count = first_run(client, table + v.start, irq->info.num_vectors - v.start);
        if (table[v.start].fd < 0)
            continue;
        if (client->limits.max_msg_fds == 0)
            return vuc_fail(client, -ESTALE, "the server takes no descriptors any more");
        err = send_run(client, &v, signal, table + v.start);
    }
    return err;
}

static int restore_irq(struct vfuc_client *client, const struct vuc_irq *irq)
{
    struct vfuc_irq now;
    int err = vuc_irq_ask(client, irq->info.index, &now);

    if (err == 0 && (now.num_vectors != irq->info.num_vectors
                     || now.flags != irq->info.flags))
        return vuc_fail(client, -ESTALE, "interrupt index %u is not what it was",
                        irq->info.index);
    for (int s = 0; err == 0 && s < VUC_SIGNALS; s++)
        err = restore_table(client, irq, (enum vuc_signal)s);
    return err;
}

int vuc_irqs_restore(struct vfuc_client *client)
{
    for (uint32_t i = 0; i < client->device.num_irqs; i++) {
        int err = client->irqs[i].known ? restore_irq(client, &client->irqs[i]) : 0;

        if (err < 0)
            return err;
    }
    return 0;
}
