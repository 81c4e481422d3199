/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What comes in, and the waiting for it: see dispatch.h.
 *
 * The plain case, nothing left to be sent and no twin to look after, is one receive().
 * Everything else goes through poll().
 */
#include "libclient/dispatch.h"

#include <poll.h>

#include "libclient/call.h"
#include "libclient/pending.h"
#include "libclient/serve.h"
#include "libclient/twin.h"
#include "wire/command.h"
#include "wire/text.h"

#define NAME_MAX_LEN 32
#define MAX_DISPATCH 64     /* messages of each socket that one vfuc_dispatch() takes */

/* --------------------------------------------------------------- failures -- */

/* What went wrong, in a sentence; returns the value for the caller. */
static int describe(struct vfuc_client *client, int err, const char *what)
{
    char reason[NAME_MAX_LEN];

    switch (err) {
    case -EBADMSG:
        return vuc_fail(client, -EPROTO, "%s: a message shorter than its header came",
                        what);
    case -EMSGSIZE:
        return vuc_fail(client, -EPROTO, "%s: a message larger than our limit came",
                        what);
    case -EPROTO:
        return vuc_fail(client, err, "%s: a message came that may not come there", what);
    case -ETIMEDOUT:
        return vuc_fail(client, err, "%s: the server did not answer in time", what);
    case -ENOMEM:
        return vuc_fail(client, err, "%s: out of memory", what);
    case 0:
        return vuc_fail(client, -ENOTCONN, "%s: the server closed the connection", what);
    default:
        return vuc_fail(client, -ENOTCONN, "%s: the connection is lost (%s)", what,
                        vu_errno_name(-err, reason, sizeof(reason)));
    }
}

int vuc_lost(struct vfuc_client *client, int err, uint16_t command)
{
    char name[NAME_MAX_LEN];
    const char *what = command == 0 ? "between calls"
                                    : vu_command_name(command, name, sizeof(name));
    int twin_error = atomic_load(&client->twin_error);

    /* What ended the twin in its own thread has closed this socket as well. */
    err = twin_error != 0 ? describe(client, twin_error == -ENOTCONN ? 0 : twin_error,
                                     "the twin socket")
                          : describe(client, err, what);
    vuc_end(client, err);
    return err;
}

int vuc_broken_reply(struct vfuc_client *client, struct vu_message *reply,
                     const char *what)
{
    char buf[NAME_MAX_LEN];
    const char *name = vu_command_name(reply->h.command, buf, sizeof(buf));

    vu_message_done(reply);
    return vuc_broken(client, "the reply to %s is broken: %s", name, what);
}

static int refused(struct vfuc_client *client, struct vu_message *reply)
{
    char buf[NAME_MAX_LEN], reason[NAME_MAX_LEN];
    const char *name = vu_command_name(reply->h.command, buf, sizeof(buf));
    uint32_t error = reply->h.error;

    /* 4095 is the largest errno that the kernel knows; it may not be one at all. */
    client->last_errno = error <= 4095 ? (int)error : 0;
    vu_message_done(reply);
    if (client->last_errno == 0)
        return vuc_fail(client, -EREMOTEIO, "%s: the server refused, without a reason",
                        name);
    return vuc_fail(client, -EREMOTEIO, "%s: the server refused (%s)", name,
                    vu_errno_name(client->last_errno, reason, sizeof(reason)));
}

/* --------------------------------------------------------------- messages -- */

int vuc_check_reply(struct vfuc_client *client, uint32_t min, uint32_t max,
                    struct vu_message *reply)
{
    if ((reply->h.flags & VU_F_ERROR) != 0)
        return refused(client, reply);
    if (reply->body_len < min)
        return vuc_broken_reply(client, reply, "it is too short");
    if (reply->body_len > max)
        return vuc_broken_reply(client, reply, "it is too long");
    return 0;
}

static int serve(struct vfuc_client *client, struct vu_message *m)
{
    int err;

    client->serving = true;
    err = vuc_serve(client, &client->main, m);
    client->serving = false;
    return err < 0 ? vuc_lost(client, err, 0) : 0;
}

int vuc_handle(struct vfuc_client *client, struct vu_message *m)
{
    uint32_t type = vu_header_type(&m->h);

    if (type == VU_F_TYPE_REPLY)
        return vuc_pending_reply(client, m);
    if (type != VU_F_TYPE_COMMAND)
        return vuc_broken_reply(client, m, "it is neither command nor reply");
    /* One deployed server leaves Type out of its error replies. */
    if ((m->h.flags & VU_F_ERROR) != 0 && vuc_pending_has(client, &m->h))
        return vuc_pending_reply(client, m);
    return serve(client, m);
}

/* -------------------------------------------------------------------- poll -- */

int vuc_poll(const struct vfuc_client *client, int extra_fd, vu_deadline deadline)
{
    struct pollfd fds[3] = { { .fd = extra_fd, .events = POLLIN }, { .fd = -1 },
                             { .fd = -1 } };
    const struct vuc_link *links[2] = {
        &client->main, vuc_twin_inline(client) ? &client->twin : NULL,
    };
    int seen = 0, n;

    for (int i = 0; i < 2; i++) {
        if (links[i] == NULL)
            continue;
        if (vuc_link_ready(links[i]))
            seen |= VUC_POLL_MAIN << i;
        fds[1 + i].fd = links[i]->port->fd(links[i]->at);
        fds[1 + i].events = vuc_link_events(links[i]);
    }
    if (seen != 0 && extra_fd < 0)
        return seen;
    n = poll(fds, 3, seen != 0 ? 0 : vu_deadline_left_ms(deadline));
    if (n < 0)
        return errno == EINTR ? seen : -errno;
    for (int i = 0; i < 3; i++) {
        if (fds[i].revents != 0)
            seen |= VUC_POLL_EXTRA << i;
    }
    return seen == 0 ? -ETIMEDOUT : seen;
}

/* ----------------------------------------------------------------- waiting -- */

/* A message of the main link that is there: 1; 0: none is; or as vuc_lost(). */
static int take(struct vfuc_client *client, struct vu_message *m, uint16_t command)
{
    int got = vuc_link_flush(&client->main);

    if (got < 0)
        return vuc_lost(client, got, command);
    got = vuc_link_take(&client->main, m);
    if (got == -EAGAIN)
        return 0;
    return got == 1 ? 1 : vuc_lost(client, got, command);
}

/* Twin requests that are there: how many, or as vuc_lost(). */
static int serve_twin(struct vfuc_client *client, int most)
{
    int n = vuc_twin_serve(client, most);

    if (n >= 0)
        return n;
    atomic_store(&client->twin_error, n);
    return vuc_lost(client, n, 0);
}

/* Wait for something and deal with it, but for a message of the main link: that is 1.
 * 0: go on; or as vuc_lost(). */
static int step(struct vfuc_client *client, struct vu_message *m, vu_deadline deadline,
                uint16_t command)
{
    int seen = vuc_poll(client, -1, deadline);
    int err = 0;

    if (seen < 0)
        return vuc_lost(client, seen, command);
    if ((seen & VUC_POLL_TWIN) != 0)
        err = serve_twin(client, MAX_DISPATCH);
    if (err < 0)
        return err;
    if ((seen & VUC_POLL_MAIN) != 0)
        err = take(client, m, command);
    else
        err = 0;
    /* What never stops coming does not prolong the wait. */
    if (err == 0 && vu_deadline_left_ms(deadline) == 0)
        return vuc_lost(client, -ETIMEDOUT, command);
    return err;
}

int vuc_await(struct vfuc_client *client, struct vu_message *m, vu_deadline deadline,
              uint16_t command)
{
    int got;

    if (vuc_link_unsent(&client->main) == 0 && !vuc_twin_inline(client)) {
        got = vuc_link_receive(&client->main, m, deadline);
        return got == 1 ? 1 : vuc_lost(client, got, command);
    }
    do
        got = step(client, m, deadline, command);
    while (got == 0);
    return got;
}

/* The server hung up: what it has said before, and then the end. Negative. */
static int read_to_the_end(struct vfuc_client *client, vu_deadline deadline,
                           uint16_t command)
{
    struct vu_message m = { .n_fds = 0 };
    int err;

    do {
        err = vuc_await(client, &m, deadline, command);
        if (err == 1)
            err = vuc_handle(client, &m);
        /* As everywhere: who talks on and on does not prolong the wait. */
        if (err == 0 && vu_deadline_left_ms(deadline) == 0)
            err = vuc_lost(client, -ETIMEDOUT, command);
    } while (err == 0);
    return err;
}

int vuc_drain(struct vfuc_client *client, vu_deadline deadline, uint16_t command)
{
    struct vu_message m;
    int err = 0;

    while (err == 0
           && (client->main.blocked || vuc_link_unsent(&client->main) > 0)) {
        err = step(client, &m, deadline, command);
        if (err == 1)
            err = vuc_handle(client, &m);
        if (err == 0 && vu_deadline_left_ms(deadline) == 0)
            err = vuc_lost(client, -ETIMEDOUT, command);
    }
    if (err == 0 && client->main.port->flush(client->main.at) == -EPIPE)
        err = read_to_the_end(client, deadline, command);
    return err;
}

/* ------------------------------------------------------------- between calls -- */

int vuc_dispatch(struct vfuc_client *client, int most)
{
    int n = vuc_twin_inline(client) ? serve_twin(client, most) : 0;
    struct vu_message m;

    if (n < 0)
        return n;
    for (int i = 0; i < most; i++) {
        int err = take(client, &m, 0);

        if (err == 0)
            return n + i;
        if (err == 1)
            err = vuc_handle(client, &m);
        if (err < 0)
            return err;
    }
    return n + most;
}

int vfuc_dispatch(struct vfuc_client *client)
{
    int err = vuc_usable(client);

    return err < 0 ? err : vuc_dispatch(client, MAX_DISPATCH);
}

int vuc_wait_any(struct vfuc_client *client, int extra_fd, vu_deadline deadline)
{
    int err = vuc_usable(client);

    while (err == 0) {
        int seen;

        err = vuc_dispatch(client, MAX_DISPATCH);
        if (err < 0)
            return err;
        seen = vuc_poll(client, extra_fd, deadline);
        if (seen < 0)
            return seen;
        if ((seen & VUC_POLL_EXTRA) != 0)
            return 0;
        err = vu_deadline_left_ms(deadline) == 0 ? -ETIMEDOUT : 0;
    }
    return err;
}
