/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One socket of the connection: the main one, or its twin.
 *
 * How much may wait to be sent is settled here. Requests of ours wait in `room` bytes at
 * most; replies to the server's commands are always taken, but while more than that waits
 * nothing further is read. So a server that does not read gets a bounded amount of our
 * memory, and one that writes much before it reads does not get stuck.
 */
#ifndef VUC_LINK_H
#define VUC_LINK_H

#include "libclient/include/vfio-user-client.h"
#include "libclient/port.h"

struct vuc_link {
    const struct vuc_port *port;    /* NULL: closed */
    void *at;                       /* owned through port->close */
    size_t room;                    /* bytes of requests that may wait to be sent */
    bool blocked;                   /* a message with descriptors found the socket full */
    uint8_t *scratch;               /* owned */
    size_t scratch_room;
};

/* Take a port over. max_message: bytes of the largest message, either direction. */
void vuc_link_init(struct vuc_link *link, const struct vuc_port *port, void *at,
                   uint32_t max_message);

/* A link over a connected stream socket, taken over in every case. 0 or -ENOMEM. */
int vuc_link_open(struct vuc_link *link, int fd, const struct vfuc_options *options);

/* Close it; harmless when it is closed. */
void vuc_link_close(struct vuc_link *link);

/* A request of ours: as port->offer and port->post; -ENOBUFS when the room is taken.
 * After -EAGAIN the link is blocked until the next flush. */
int vuc_link_offer(struct vuc_link *link, struct iovec *iov, int n_iov, const int *fds,
                   size_t n_fds);
int vuc_link_post(struct vuc_link *link, const struct iovec *iov, int n_iov);

/* Send what waits, as far as the socket takes it. 0 or a negative errno of the link. */
int vuc_link_flush(struct vuc_link *link);

/*
 * The reply to a command of the server. error not 0: a header only. Otherwise `fixed`, at
 * most 16 bytes, then `data`, both lent for the call. When No_reply was asked for nothing
 * is sent. 0 or a negative errno of the link. (A server that hung up is no failure here:
 * reading tells, after what it said before.)
 */
int vuc_link_answer(struct vuc_link *link, const struct vu_header *asked, uint32_t error,
                    const void *fixed, size_t fixed_len, const void *data,
                    size_t data_len);

/* Room for len bytes, the caller's until the next call; or NULL. The caller bounds
 * len. */
uint8_t *vuc_link_scratch(struct vuc_link *link, size_t len);

/* Bytes that wait to be sent. */
static inline size_t vuc_link_unsent(const struct vuc_link *link)
{
    return link->port->unsent(link->at);
}

/* So much waits that nothing may be read. */
static inline bool vuc_link_choked(const struct vuc_link *link)
{
    return vuc_link_unsent(link) > link->room;
}

/* There is a message to be taken without a system call. */
static inline bool vuc_link_ready(const struct vuc_link *link)
{
    return link->port->ready(link->at) && !vuc_link_choked(link);
}

/* What poll(2) is to wait for. */
short vuc_link_events(const struct vuc_link *link);

/* One message that is there already. As port->receive; -EAGAIN also when choked. */
int vuc_link_take(struct vuc_link *link, struct vu_message *m);

/* One message, before the deadline. As port->receive, but no signal ends the wait, and
 * after a failure m owns nothing. */
int vuc_link_receive(struct vuc_link *link, struct vu_message *m, vu_deadline deadline);

#endif
