/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One command and its reply: ids, headers, errors, and what the server says in between.
 *
 * Every public function ends up here, a register access with little else around it, or in
 * complete.c. Its own reply is told from all else that may come before (dispatch.c deals
 * with it) by Type, id and command.
 */
#include "libclient/call.h"

#include "libclient/dispatch.h"
#include "libclient/pending.h"
#include "wire/command.h"

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

/* ---------------------------------------------------------------- sending -- */

/* A message that fits into no limit of a header is a fault of ours: callers split.
 * Returns the number of pieces in iov, which has room for two. */
int vuc_request_pieces(struct vuc_request *req, struct iovec *iov)
{
    struct vu_header h = {
        .msg_id = req->id,
        .command = req->command,
        .size = (uint32_t)(VU_HEADER_SIZE + req->body.len + req->data_len),
        .flags = VU_F_TYPE_COMMAND | req->flags,
    };
    struct vu_writer w = vu_writer(req->bytes, VU_HEADER_SIZE);

    vu_encode_header(&w, &h);
    iov[0] = (struct iovec){ req->bytes, VU_HEADER_SIZE + req->body.len };
    iov[1] = (struct iovec){ (void *)(uintptr_t)req->data, req->data_len };
    return req->data_len > 0 ? 2 : 1;
}

bool vuc_request_fds_at_fault(const struct vuc_request *req, int err)
{
    return req->n_fds > 0 && (err == -EBADF || err == -EINVAL || err == -ETOOMANYREFS);
}

/* The whole request has left, or is kept and will. A server that hung up is no failure:
 * it may have said why, so reading tells. */
static int send_request(struct vfuc_client *client, struct vuc_request *req,
                        vu_deadline deadline)
{
    for (;;) {
        struct iovec iov[2];
        int n = vuc_request_pieces(req, iov);
        int err = vuc_link_offer(&client->main, iov, n, req->fds, req->n_fds);

        if (err == 0 || err == -EPIPE)
            return 0;
        if (vuc_request_fds_at_fault(req, err))
            return vuc_fail(client, -EBADF, "the descriptors cannot be passed");
        if (err != -EAGAIN && err != -ENOBUFS)
            return vuc_lost(client, err, req->command);
        err = vuc_drain(client, deadline, req->command);
        if (err < 0)
            return err;
    }
}

/* ------------------------------------------------------------------ calls -- */

/* Is it the reply to this request? One deployed server leaves Type out of its error
 * replies; no command of a server has the number of one of ours. */
static bool answers(const struct vu_message *m, const struct vuc_request *req)
{
    uint32_t type = vu_header_type(&m->h);

    if (m->h.msg_id != req->id)
        return false;
    return type == VU_F_TYPE_REPLY
        || (type == VU_F_TYPE_COMMAND && (m->h.flags & VU_F_ERROR) != 0
            && m->h.command == req->command);
}

static int await_reply(struct vfuc_client *client, const struct vuc_request *req,
                       struct vu_message *reply, vu_deadline deadline)
{
    for (;;) {
        int err = vuc_await(client, reply, deadline, req->command);

        if (err < 0)
            return err;
        if (answers(reply, req))
            break;
        err = vuc_handle(client, reply);
        if (err < 0)
            return err;
        /* What never stops coming does not prolong the wait. */
        if (vu_deadline_left_ms(deadline) == 0)
            return vuc_lost(client, -ETIMEDOUT, req->command);
    }
    if (reply->h.command != req->command)
        return vuc_broken_reply(client, reply, "we sent another command");
    return vuc_check_reply(client, req->reply_min, req->reply_max, reply);
}

int vuc_call(struct vfuc_client *client, struct vuc_request *req,
             struct vu_message *reply)
{
    int err = vuc_usable(client);
    vu_deadline deadline;

    if (err < 0)
        return err;
    deadline = vu_deadline_in_ms(client->timeout_ms);
    req->id = vuc_pending_next_id(client, false);
    err = send_request(client, req, deadline);
    return err < 0 ? err : await_reply(client, req, reply, deadline);
}

int vuc_call_plain(struct vfuc_client *client, struct vuc_request *req)
{
    struct vu_message reply;
    int err = vuc_call(client, req, &reply);

    if (err == 0)
        vu_message_done(&reply);
    return err;
}

int vuc_gather(struct vfuc_client *client, struct vuc_request *req)
{
    vu_deadline deadline = vu_deadline_in_ms(client->timeout_ms);
    int err = vuc_usable(client);

    if (err < 0)
        return err;
    req->id = vuc_pending_next_id(client, false);
    for (;;) {
        struct iovec iov[2];
        int n = vuc_request_pieces(req, iov);

        err = vuc_link_post(&client->main, iov, n);
        if (err == 0)
            return 0;
        if (err != -ENOBUFS && err != -EPIPE)
            return vuc_lost(client, err, req->command);
        err = vuc_drain(client, deadline, req->command);
        if (err < 0)
            return err;
    }
}

int vuc_post(struct vfuc_client *client, struct vuc_request *req)
{
    vu_deadline deadline = vu_deadline_in_ms(client->timeout_ms);
    int err = vuc_usable(client);

    if (err < 0)
        return err;
    req->id = vuc_pending_next_id(client, false);
    err = send_request(client, req, deadline);
    return err < 0 ? err : vuc_drain(client, deadline, req->command);
}
