/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One end of a connection: whole messages in, whole messages out. The only
 * sendmsg() and recvmsg() of the project are in socket.c.
 *
 * Reading ahead. One vu_channel_fill() is one recvmsg() and takes whatever has
 * arrived; vu_channel_next() then hands out every complete message of it
 * without a system call. A message larger than the buffer makes the buffer grow
 * as its bytes arrive, up to limits.max_message: a peer that only announces a
 * large message costs nothing.
 *
 * Descriptors belong to the message that holds the last byte of the read that
 * brought them; a message may collect descriptors from several reads. A message
 * owns its descriptors: who wants one takes it out, vu_message_done() closes the
 * others. What is still in the channel is closed with it.
 *
 * Writing. A message is appended to the output buffer and posted. Posted
 * messages leave in one sendmsg() when the channel is flushed or when
 * limits.batch bytes have gathered. One that carries descriptors leaves in a
 * sendmsg() of its own, descriptors on its first byte, after what was posted
 * before it. Posted messages may be flushed, and others sent with
 * vu_channel_send(), while the next one is being made in the buffer.
 *
 * Waiting. Nothing waits beyond the deadline that the caller gives. The socket's
 * O_NONBLOCK is neither changed nor relied on. No call raises SIGPIPE.
 *
 * The two directions fail apart: after -EPIPE in sending, what the peer sent
 * before can still be read. Failures are sticky for their direction.
 *
 * Threads. The two directions may be used by different threads, each by one at a
 * time: reading is fill, next, ready, receive, partial, unread, hold and release; writing
 * is the rest. Limits are set while nobody does either.
 */
#ifndef VU_WIRE_CHANNEL_H
#define VU_WIRE_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "wire/buffer.h"
#include "wire/messages.h"

/* -------------------------------------------------------------- deadlines -- */

/* A point in time in ns of CLOCK_MONOTONIC, or one of these. */
typedef int64_t vu_deadline;
#define VU_DONT_WAIT ((vu_deadline)0)
#define VU_FOREVER   ((vu_deadline)INT64_MAX)

vu_deadline vu_deadline_in_ms(int64_t ms);      /* now + ms; ms < 0: VU_FOREVER */
int vu_deadline_left_ms(vu_deadline d);         /* for poll(): rounded up; -1: for ever */

/* --------------------------------------------------------------- messages -- */

/* A received message. Valid until vu_message_done(), which must come before the
 * next vu_channel_next() or vu_channel_fill() (but see vu_channel_hold()). */
struct vu_message {
    struct vu_header h;
    const uint8_t *body;        /* in the channel's buffer, unaligned; not owned */
    size_t body_len;
    size_t n_fds;               /* entries of fds, taken ones included */
    bool fds_lost;              /* some were cut off by the kernel or were too many */
    int fds[VU_MAX_MSG_FDS];    /* owned; -1: taken */
};

/* A message from bytes at hand, without descriptors: for tests, fuzzers and replays. */
void vu_message_init(struct vu_message *m, const struct vu_header *h, const void *body,
                     size_t body_len);
/* Take descriptor i out; the caller closes it now. -EBADF: there is none. */
int vu_message_take_fd(struct vu_message *m, size_t i);
/* Close every descriptor that nobody took. */
void vu_message_done(struct vu_message *m);

/* ---------------------------------------------------------------- channel -- */

struct vu_channel_limits {
    uint32_t max_message;   /* largest msg_size taken, header included */
    uint32_t max_fds;       /* most descriptors kept for one message, <= VU_MAX_MSG_FDS;
                             * a surplus is closed and sets fds_lost */
    bool no_sockets;        /* sockets among them are closed, too, and set fds_lost: a peer
                             * that sends its own would hold the connection open */
    uint32_t batch;         /* posted bytes that make post send by itself */
    uint32_t max_out;       /* most bytes in the output buffer: vu_buffer_extend() fails
                             * with ENOBUFS beyond; flush and try again */
    int stall_ms;           /* a wait for output ends when the peer took nothing for
                             * this long; -1: only at the deadline. The kernel tells
                             * in steps of up to 36 KB what was taken. */
    int slow_ms;            /* all waits for output between two reads may last so long
                             * together, whatever the peer takes; 0: no such bound */
};

struct vu_channel;

/* Takes over fd (a connected stream socket), closed by vu_channel_free(); on
 * failure (NULL, errno ENOMEM) it stays with the caller. */
struct vu_channel *vu_channel_new(int fd, const struct vu_channel_limits *limits);
void vu_channel_free(struct vu_channel *ch);    /* NULL is fine */
int vu_channel_fd(const struct vu_channel *ch); /* stays owned by the channel */

/* After negotiation. Messages that are already in the buffer are judged by the new limits.
 * max_fds is brought down to VU_MAX_MSG_FDS, max_message up to a header's size. */
void vu_channel_set_limits(struct vu_channel *ch, const struct vu_channel_limits *limits);

/*
 * Read once. VU_DONT_WAIT and VU_FOREVER cost one recvmsg(), and so do deadlines
 * of 250 ms and more that are about as far away as the last one (SO_RCVTIMEO is set
 * once and reused); nearer ones, a poll() before it. A deadline is missed by no more
 * than a few percent.
 *
 *   > 0            that many bytes came
 *   0              the peer has closed (sticky)
 *   -EAGAIN        VU_DONT_WAIT, and nothing is there
 *   -ETIMEDOUT     nothing came before the deadline
 *   -EINTR         a signal came first; the caller decides. (With VU_FOREVER, handlers
 *                  installed with SA_RESTART do not end the wait.)
 *   -ENOBUFS       the buffer is full of complete messages: take one first
 *   -EBADMSG, -EMSGSIZE  as vu_channel_next() said before (sticky)
 *   -ECONNRESET, -ENOMEM, ...  the stream is broken (sticky)
 */
int64_t vu_channel_fill(struct vu_channel *ch, vu_deadline deadline);

/*
 * Take the next complete message out of what was read. No system call.
 *
 *   1              *m is filled
 *   0              no complete message is there
 *   -EBADMSG       a header announces less than 16 bytes
 *   -EMSGSIZE      a header announces more than limits.max_message
 *
 * The last two are sticky, since nobody knows where the next header is; m->h is filled
 * so that an error can be sent back, and m owns what descriptors came with it.
 */
int vu_channel_next(struct vu_channel *ch, struct vu_message *m);

/* Whether vu_channel_next() would have something to say. No system call. */
bool vu_channel_ready(const struct vu_channel *ch);

/* vu_channel_next(), filling as often as it takes. 1, or errors of both; 0: the peer has
 * closed. A peer that sends byte by byte does not prolong the deadline. */
int vu_channel_receive(struct vu_channel *ch, struct vu_message *m, vu_deadline deadline);

/* Bytes of an incomplete message, behind all complete ones, that were read so far. */
size_t vu_channel_partial(const struct vu_channel *ch);

/* What was read and not handed out, where it lies: once vu_channel_next() has no message
 * any more, the bytes of an incomplete one or those that begin with a bad header. For who
 * passes on what is no message. Valid until the next fill; empty: data may be anything. */
struct vu_bytes vu_channel_unread(const struct vu_channel *ch);

/*
 * Keep the message that was handed out last valid while others are read behind it: for a
 * command whose execution needs the answer to a command of our own. Costs nothing unless
 * the buffer gets short of room. Holds nest, eight deep. 0 or -ENOMEM. Release in the
 * opposite order; then the message's bytes are void. Descriptors need no hold: they lie
 * in the struct vu_message.
 */
int vu_channel_hold(struct vu_channel *ch);
void vu_channel_release(struct vu_channel *ch);

/* The output buffer: append a message with vu_buffer_extend(), then post it. */
struct vu_buffer *vu_channel_out(struct vu_channel *ch);

/*
 * What lies in the output buffer from `start` on is one message; start is where the
 * buffer ended after the last post or flush. With descriptors (lent, not taken over) it
 * is sent now; without, it leaves with the next flush, or now when limits.batch is
 * reached.
 *
 * 0, or as vu_channel_flush() with VU_FOREVER (limits.stall_ms applies); a failure of
 * those leaves nothing queued. Not sticky, only this message is dropped: -EINVAL (nothing
 * there, wrong start, more than VU_MAX_MSG_FDS descriptors), -EBADF (one is not open),
 * -ETOOMANYREFS (the kernel has too many of ours on their way).
 */
int vu_channel_post(struct vu_channel *ch, size_t start, const int *fds, size_t n_fds);

/*
 * Send all that was posted. Retries after EINTR.
 *   0              everything is in the kernel's hands
 *   -EAGAIN        VU_DONT_WAIT, and the socket is full; the rest stays posted
 *   -ETIMEDOUT     at the deadline, or after limits.stall_ms without progress (sticky)
 *   -EPIPE, -ECONNRESET, ...  (sticky)
 */
int vu_channel_flush(struct vu_channel *ch, vu_deadline deadline);

/* Flush, then send one message from where it lies: for payloads worth not
 * copying. iov is used up. Errors as vu_channel_post() and vu_channel_flush();
 * after -EAGAIN nothing of the message has left. A message that left only in part breaks
 * the stream, so with VU_DONT_WAIT send only what is sure to fit. */
int vu_channel_send(struct vu_channel *ch, struct iovec *iov, int n_iov, const int *fds,
                    size_t n_fds, vu_deadline deadline);

/*
 * For who never waits: send now what the socket takes of the posted bytes and of this
 * message, and post a copy of the rest, which leaves with later flushes. (Set
 * limits.batch so high that vu_channel_post() does not flush.) iov is used up, but not when
 * nothing of the message has left or was kept.
 *
 * 0, or as vu_channel_flush() with VU_FOREVER, but without its wait; -EAGAIN with
 * descriptors only: nothing of the message has left, offer it again later. -ENOBUFS,
 * -ENOMEM: no room for the rest; sticky when a part of the message has left.
 */
int vu_channel_offer(struct vu_channel *ch, struct iovec *iov, int n_iov, const int *fds,
                     size_t n_fds);
size_t vu_channel_unsent(const struct vu_channel *ch);   /* bytes posted and not sent */

/* ------------------------------------------------------------ bare socket -- */

/* close() for a descriptor that came from a peer, who may have set SO_LINGER on a TCP
 * socket and so decide how long that takes. Leaves errno alone. */
void vu_socket_close(int fd);
/* One sendmsg(), as it is: any bytes, any descriptors (lent), no wait. Bytes
 * sent, or negative errno. For who must send what no channel would. */
int64_t vu_socket_send(int fd, const struct iovec *iov, int n_iov, const int *fds,
                       size_t n_fds);
/* One recvmsg(), no wait. Up to *n_fds descriptors, owned by the caller; a surplus is closed
 * and *lost tells, as fds_lost does. Bytes, 0 for end of file, or negative errno. */
int64_t vu_socket_recv(int fd, void *buf, size_t room, int *fds, size_t *n_fds,
                       bool *lost);

#endif
