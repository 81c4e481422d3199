/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The twin socket: see twin.h.
 *
 * With VFUC_TWIN_THREAD everything here but vuc_twin_end() runs in a thread of its own.
 * It never closes a link. When the twin fails there, it shuts both sockets down, so that
 * the client's own thread, wherever it waits, finds the end of the main one and does the
 * rest; the other way round, vuc_end() shuts the twin down.
 */
#include "libclient/twin.h"

#include <poll.h>

#include "libclient/dispatch.h"
#include "libclient/serve.h"

#define MAX_SERVED 64   /* requests that one vfuc_twin_dispatch() answers */

static bool threaded(const struct vfuc_client *client)
{
    return client->options.twin_socket == VFUC_TWIN_THREAD;
}

bool vuc_twin_calls_back(const struct vfuc_client *client)
{
    uintptr_t thread = atomic_load_explicit(&client->twin_thread, memory_order_relaxed);

    /* Only the thread itself can find its own number here. */
    return thread != 0 && thread == (uintptr_t)pthread_self();
}

void vuc_twin_end(struct vfuc_client *client)
{
    atomic_store(&client->twin_live, false);
    if (client->twin.port == NULL)
        return;
    if (threaded(client))
        client->twin.port->shutdown(client->twin.at);
    else
        vuc_link_close(&client->twin);
}

/* ---------------------------------------------------------------- serving -- */

static int serve_in_thread(struct vfuc_client *client, struct vu_message *m)
{
    int err;

    atomic_store_explicit(&client->twin_thread, (uintptr_t)pthread_self(),
                          memory_order_relaxed);
    err = vuc_serve(client, &client->twin, m);
    atomic_store_explicit(&client->twin_thread, 0, memory_order_relaxed);
    return err;
}

/* Ends the message. */
static int serve(struct vfuc_client *client, struct vu_message *m)
{
    int err;

    if (vu_header_type(&m->h) != VU_F_TYPE_COMMAND) {
        vu_message_done(m);
        return -EPROTO;
    }
    if (threaded(client))
        return serve_in_thread(client, m);
    client->serving = true;
    err = vuc_serve(client, &client->twin, m);
    client->serving = false;
    return err;
}

int vuc_twin_serve(struct vfuc_client *client, int most)
{
    struct vuc_link *twin = &client->twin;
    int err = vuc_link_flush(twin);
    struct vu_message m;

    for (int n = 0; err == 0; n++) {
        if (n == most)
            return n;
        err = vuc_link_take(twin, &m);
        if (err == -EAGAIN)
            return n;
        if (err == 0)
            return -ENOTCONN;
        if (err == 1)
            err = serve(client, &m);
    }
    return err;
}

/* ------------------------------------------------------------ dispatching -- */

/*
 * A request, before the deadline: 1; -EAGAIN: none came; 0 or other: the end.
 *
 * Never a read that blocks: the server made this socket and may have kept our end too,
 * and with it a say in SO_RCVTIMEO.
 */
static int await_request(struct vuc_link *twin, struct vu_message *m,
                         vu_deadline deadline)
{
    for (;;) {
        int left = vuc_link_ready(twin) ? 0 : vu_deadline_left_ms(deadline);
        struct pollfd p = {
            .fd = twin->port->fd(twin->at), .events = vuc_link_events(twin),
        };
        int got;

        if (left != 0 && poll(&p, 1, left) < 0 && errno != EINTR)
            return -errno;
        got = vuc_link_flush(twin);
        if (got < 0)
            return got;
        got = vuc_link_take(twin, m);
        if (got != -EAGAIN || vu_deadline_left_ms(deadline) == 0)
            return got;
    }
}

/* How many were answered, or negative: the link is of no more use. */
static int dispatch(struct vfuc_client *client, vu_deadline deadline)
{
    struct vuc_link *twin = &client->twin;
    struct vu_message m = { .n_fds = 0 };
    int got = await_request(twin, &m, deadline);

    for (int n = 0;;) {
        if (got == -EAGAIN)
            return n;
        if (got == 1)
            got = serve(client, &m);
        else if (got == 0)
            got = -ENOTCONN;
        if (got < 0)
            return got;
        n++;
        if (n == MAX_SERVED || !twin->port->ready(twin->at))
            return n;
        got = vuc_link_take(twin, &m);
    }
}

/* What the caller is told of a failure of the link. */
static int told(int err)
{
    if (err == -EBADMSG || err == -EMSGSIZE || err == -EPROTO)
        return -EPROTO;
    return err == -ENOMEM ? err : -ENOTCONN;
}

/* The twin's own thread has found its end. */
static void fail_in_thread(struct vfuc_client *client, int err)
{
    int none = 0;

    atomic_store(&client->twin_live, false);
    atomic_compare_exchange_strong(&client->twin_error, &none, err);
    client->twin.port->shutdown(client->twin.at);
    pthread_mutex_lock(&client->main_lock);
    if (client->main.port != NULL)
        client->main.port->shutdown(client->main.at);
    pthread_mutex_unlock(&client->main_lock);
}

static int dispatch_in_thread(struct vfuc_client *client, vu_deadline deadline)
{
    int n;

    if (vuc_twin_calls_back(client))
        return -EBUSY;
    if (!atomic_load(&client->twin_live))
        return -ENOTCONN;
    n = dispatch(client, deadline);
    if (n >= 0)
        return n;
    fail_in_thread(client, n);
    return told(n);
}

int vfuc_twin_dispatch(struct vfuc_client *client, int timeout_ms)
{
    vu_deadline deadline = timeout_ms == 0 ? VU_DONT_WAIT : vu_deadline_in_ms(timeout_ms);
    int n;

    if (threaded(client))
        return client->limits.twin_socket ? dispatch_in_thread(client, deadline)
                                          : -EINVAL;
    n = vuc_usable(client);
    if (n < 0)
        return n;
    if (!client->limits.twin_socket)
        return vuc_fail(client, -EINVAL, "no twin socket was agreed on");
    n = dispatch(client, deadline);
    if (n >= 0)
        return n;
    atomic_store(&client->twin_error, n);
    return vuc_lost(client, n, 0);
}

int vfuc_twin_fd(const struct vfuc_client *client)
{
    return atomic_load(&client->twin_live) ? client->twin.port->fd(client->twin.at) : -1;
}

short vfuc_twin_poll_events(const struct vfuc_client *client)
{
    return atomic_load(&client->twin_live) ? vuc_link_events(&client->twin) : POLLIN;
}
