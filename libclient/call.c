/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One command and its reply: ids, headers, errors, and what the server says in between.
 *
 * Every public function ends up here, a register access with little else around it. The
 * connection carries one command of ours at a time; whatever arrives before its reply is
 * either a command of the server (told apart by Type, not by id, since both directions
 * have ids of their own) or the end of the connection.
 */
#include "libclient/call.h"

#include "wire/command.h"
#include "wire/text.h"

#define NAME_MAX_LEN 32
#define MAX_DISPATCH 64     /* commands that one vfuc_dispatch() deals with */

void vuc_request_init(struct vuc_request *req, enum vu_command command)
{
    const struct vu_command_info *info = vu_command_info((uint16_t)command);

    req->command = (uint16_t)command;
    req->flags = 0;
    req->data = NULL;
    req->data_len = 0;
    req->fds = NULL;
    req->n_fds = 0;
    req->reply_min = info->reply_min;
    req->reply_max = info->reply_max;
    req->body = vu_writer(req->bytes + VU_HEADER_SIZE, VUC_REQUEST_MAX);
}

/* --------------------------------------------------------------- failures -- */

/* The connection cannot go on after what the port said. command 0: none of ours. */
static int lost(struct vfuc_client *client, int err, uint16_t command)
{
    char name[NAME_MAX_LEN], reason[NAME_MAX_LEN];
    const char *what = command == 0 ? "between calls"
                                    : vu_command_name(command, name, sizeof(name));

    switch (err) {
    case -EBADMSG:
        return vuc_broken(client, "%s: a message shorter than its header came", what);
    case -EMSGSIZE:
        return vuc_broken(client, "%s: a message larger than our limit came", what);
    case -ETIMEDOUT:
        vuc_note(client, "%s: the server did not answer in time", what);
        break;
    case -ENOMEM:
        vuc_note(client, "%s: out of memory", what);
        break;
    case 0:
        err = vuc_fail(client, -ENOTCONN, "%s: the server closed the connection", what);
        break;
    default:
        err = vuc_fail(client, -ENOTCONN, "%s: the connection is lost (%s)", what,
                       vu_errno_name(-err, reason, sizeof(reason)));
        break;
    }
    vuc_disconnect(client);
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

/* ---------------------------------------------------------------- sending -- */

/* A message that fits into no limit of a header is a fault of ours: callers split. */
static int send_request(struct vfuc_client *client, struct vuc_request *req,
                        vu_deadline deadline)
{
    struct vu_header h = {
        .msg_id = req->id,
        .command = req->command,
        .size = (uint32_t)(VU_HEADER_SIZE + req->body.len + req->data_len),
        .flags = VU_F_TYPE_COMMAND | req->flags,
    };
    struct vu_writer w = vu_writer(req->bytes, VU_HEADER_SIZE);
    struct iovec iov[2] = {
        { .iov_base = req->bytes, .iov_len = VU_HEADER_SIZE + req->body.len },
        { .iov_base = (void *)(uintptr_t)req->data, .iov_len = req->data_len },
    };

    vu_encode_header(&w, &h);
    return client->port->send(client->port_at, iov, req->data_len > 0 ? 2 : 1, req->fds,
                              req->n_fds, deadline);
}

/* Errors that say nothing about the connection: not a byte was sent. */
static bool fds_at_fault(const struct vuc_request *req, int err)
{
    return req->n_fds > 0 && (err == -EBADF || err == -EINVAL || err == -ETOOMANYREFS);
}

/* ----------------------------------------------------- what the server says -- */

/* A command of the server, which this client does not serve. Ends the message. */
static int answer_command(struct vfuc_client *client, struct vu_message *m,
                          vu_deadline deadline)
{
    struct vu_header h = {
        .msg_id = m->h.msg_id,
        .command = m->h.command,
        .size = VU_HEADER_SIZE,
        .flags = VU_F_TYPE_REPLY | VU_F_ERROR,
        .error = ENOTSUP,
    };
    bool wanted = (m->h.flags & VU_F_NO_REPLY) == 0;
    uint8_t bytes[VU_HEADER_SIZE];
    struct vu_writer w = vu_writer(bytes, sizeof(bytes));
    struct iovec iov = { .iov_base = bytes, .iov_len = sizeof(bytes) };

    vu_message_done(m);
    if (!wanted)
        return 0;
    vu_encode_header(&w, &h);
    return client->port->send(client->port_at, &iov, 1, NULL, 0, deadline);
}

/* One message, whatever it is. 1, or as the port, with what m owned released. */
static int receive(struct vfuc_client *client, struct vu_message *m, vu_deadline deadline)
{
    int got;

    do
        got = client->port->receive(client->port_at, m, deadline);
    while (got == -EINTR);
    if (got == -EBADMSG || got == -EMSGSIZE)
        vu_message_done(m);
    return got;
}

static bool answers(const struct vu_message *m, const struct vuc_request *req)
{
    return m->h.msg_id == req->id && m->h.command == req->command;
}

/* One deployed server leaves Type out of its error replies. No command of a server has
 * the number of one of ours, so this can be nothing else. */
static bool is_reply(const struct vu_message *m, const struct vuc_request *req)
{
    uint32_t type = vu_header_type(&m->h);

    return type == VU_F_TYPE_REPLY
        || (type == VU_F_TYPE_COMMAND && (m->h.flags & VU_F_ERROR) != 0
            && answers(m, req));
}

static int check_reply(struct vfuc_client *client, const struct vuc_request *req,
                       struct vu_message *reply)
{
    if (reply->h.msg_id != req->id)
        return vuc_broken_reply(client, reply, "its id is that of no command of ours");
    if (reply->h.command != req->command)
        return vuc_broken_reply(client, reply, "we sent another command");
    if ((reply->h.flags & VU_F_ERROR) != 0)
        return refused(client, reply);
    if (reply->body_len < req->reply_min)
        return vuc_broken_reply(client, reply, "it is too short");
    if (reply->body_len > req->reply_max)
        return vuc_broken_reply(client, reply, "it is too long");
    return 0;
}

static int await_reply(struct vfuc_client *client, const struct vuc_request *req,
                       struct vu_message *reply, vu_deadline deadline)
{
    for (;;) {
        int got = receive(client, reply, deadline);

        if (got <= 0)
            return lost(client, got, req->command);
        if (is_reply(reply, req))
            return check_reply(client, req, reply);
        if (vu_header_type(&reply->h) != VU_F_TYPE_COMMAND)
            return vuc_broken_reply(client, reply, "it is neither command nor reply");
        got = answer_command(client, reply, deadline);
        /* Commands that never stop coming do not prolong the wait. */
        if (got == 0 && vu_deadline_left_ms(deadline) == 0)
            got = -ETIMEDOUT;
        if (got < 0)
            return lost(client, got, req->command);
    }
}

/* ------------------------------------------------------------------ calls -- */

int vuc_call(struct vfuc_client *client, struct vuc_request *req,
             struct vu_message *reply)
{
    vu_deadline deadline;
    int err;

    if (client->port == NULL)
        return -ENOTCONN;
    deadline = vu_deadline_in_ms(client->timeout_ms);
    req->id = client->next_id++;
    err = send_request(client, req, deadline);
    if (err < 0 && fds_at_fault(req, err))
        return vuc_fail(client, -EBADF, "the descriptors cannot be passed");
    /* Who hangs up in the middle of a large request may have said why. */
    if (err < 0 && err != -EPIPE)
        return lost(client, err, req->command);
    return await_reply(client, req, reply, deadline);
}

int vuc_call_plain(struct vfuc_client *client, struct vuc_request *req)
{
    struct vu_message reply;
    int err = vuc_call(client, req, &reply);

    if (err == 0)
        vu_message_done(&reply);
    return err;
}

int vuc_post(struct vfuc_client *client, struct vuc_request *req)
{
    int err;

    if (client->port == NULL)
        return -ENOTCONN;
    req->id = client->next_id++;
    err = send_request(client, req, vu_deadline_in_ms(client->timeout_ms));
    return err < 0 ? lost(client, err, req->command) : 0;
}

int vfuc_dispatch(struct vfuc_client *client)
{
    vu_deadline deadline = vu_deadline_in_ms(client->timeout_ms);
    struct vu_message m;
    int n = 0;

    if (client->port == NULL)
        return -ENOTCONN;
    for (; n < MAX_DISPATCH; n++) {
        int got = receive(client, &m, VU_DONT_WAIT);

        if (got == -EAGAIN)
            return n;
        if (got <= 0)
            return lost(client, got, 0);
        if (vu_header_type(&m.h) != VU_F_TYPE_COMMAND)
            return vuc_broken_reply(client, &m, "no command of ours awaits one");
        got = answer_command(client, &m, deadline);
        if (got < 0)
            return lost(client, got, 0);
    }
    return n;
}
