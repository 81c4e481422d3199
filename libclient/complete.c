/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands without waiting: submitting, and the functions of an event loop.
 */
#include "libclient/call.h"

#include <limits.h>
#include <poll.h>

#include "libclient/dispatch.h"
#include "libclient/pending.h"
#include "libclient/twin.h"

/* Messages dealt with at most by one vfuc_complete(): far more than can be on their way,
 * so only a server that does not stop talking gets there. */
#define MAX_MESSAGES 4096

/* ------------------------------------------------------------- submitting -- */

static int send(struct vfuc_client *client, struct vuc_request *req)
{
    struct iovec iov[2];
    int n = vuc_request_pieces(req, iov);

    if (req->n_fds > 0)
        return vuc_link_offer(&client->main, iov, n, req->fds, req->n_fds);
    return vuc_link_post(&client->main, iov, n);
}

int vuc_submit(struct vfuc_client *client, struct vuc_request *req, vuc_finish_fn *finish,
               const void *state, size_t state_len, uint64_t tag)
{
    int err = vuc_usable(client);

    if (err == 0)
        err = vuc_pending_room(client);
    if (err < 0)
        return err;
    req->id = vuc_pending_next_id(client, true);
    err = send(client, req);
    if (vuc_request_fds_at_fault(req, err))
        return vuc_fail(client, -EBADF, "the descriptors cannot be passed");
    if (err == -EAGAIN || err == -ENOBUFS)
        return vuc_fail(client, -EAGAIN, "too much waits to be sent");
    if (err == -ENOMEM && req->n_fds == 0)
        return vuc_fail(client, err, "out of memory");  /* nothing of it was kept */
    /* Who hangs up is noticed by reading, after what was said before. */
    if (err < 0 && err != -EPIPE)
        return vuc_lost(client, err, req->command);
    vuc_pending_add(client, req, finish, state, state_len, tag);
    return 0;
}

int vuc_finish_plain(struct vfuc_client *client, void *state, int err,
                     struct vu_message *reply, size_t *bytes)
{
    (void)client;
    (void)state;
    (void)bytes;
    if (err == 0)
        vu_message_done(reply);
    return err;
}

/* ------------------------------------------------------------- completions -- */

int vfuc_flush(struct vfuc_client *client)
{
    int err = vuc_usable(client);

    if (err < 0)
        return err;
    err = vuc_link_flush(&client->main);
    if (err < 0)
        return vuc_lost(client, err, 0);
    return vuc_link_unsent(&client->main) > 0;
}

/* Deal with what came until something is complete. A failure is told when all
 * completions have been taken. */
static void collect(struct vfuc_client *client)
{
    uint16_t late;
    int n = 0, got;

    do {
        got = vuc_dispatch(client, MAX_MESSAGES);
        n += got;
    } while (got > 0 && n < MAX_MESSAGES && vuc_pending_done(client) == 0);
    if (got < 0)
        return;
    late = vuc_pending_late(client);
    if (late != 0)
        vuc_lost(client, -ETIMEDOUT, late);
}

int vfuc_complete(struct vfuc_client *client, struct vfuc_completion *done, unsigned max)
{
    int err = vuc_usable(client);
    unsigned n;

    if (err == -EBUSY)
        return err;
    if (err == 0)
        collect(client);
    n = vuc_pending_take(client, done, max < INT_MAX ? max : INT_MAX);
    if (n == 0 && client->main.port == NULL && vuc_pending_done(client) == 0)
        return -ENOTCONN;
    return (int)n;
}

int vfuc_wait(struct vfuc_client *client, struct vfuc_completion *done, unsigned max,
              int timeout_ms)
{
    vu_deadline end = vu_deadline_in_ms(timeout_ms);

    for (;;) {
        int n = vfuc_complete(client, done, max);
        vu_deadline late = vuc_pending_deadline(client);

        if (n != 0 || max == 0 || vuc_pending_sent(client) == 0
            || vu_deadline_left_ms(end) == 0)
            return n;
        n = vuc_poll(client, -1, late < end ? late : end);
        if (n < 0 && n != -ETIMEDOUT)
            vuc_lost(client, n, 0);     /* which completes them */
    }
}

unsigned vfuc_pending(const struct vfuc_client *client)
{
    return vuc_pending_sent(client) + vuc_pending_done(client);
}

/* ------------------------------------------------------------- event loops -- */

short vfuc_poll_events(const struct vfuc_client *client)
{
    return client->main.port == NULL ? POLLIN : vuc_link_events(&client->main);
}

int vfuc_poll_timeout_ms(const struct vfuc_client *client)
{
    if (vuc_pending_done(client) > 0)
        return 0;
    if (client->main.port == NULL)
        return -1;
    /* What a call read besides its own reply does not make the socket readable. */
    if (vuc_link_ready(&client->main)
        || (vuc_twin_inline(client) && vuc_link_ready(&client->twin)))
        return 0;
    return vu_deadline_left_ms(vuc_pending_deadline(client));
}
