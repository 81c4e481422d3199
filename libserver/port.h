/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One connection, shared by threads: the one that runs the context, and those
 * that ask the client for guest memory (vfu_sgl_read(), vfu_sgl_write()).
 *
 * Output belongs to the holder of the lock. Input belongs to the one thread that
 * has the reading role, which is taken and given back under the lock; it waits
 * for the client without the lock. Whoever reads serves all: answers go to the
 * request they answer; a command of the client that crosses a request of ours is
 * answered at once if it may be (vus_may_cross()), else it is kept, with its
 * descriptors, for the run thread, which serves what is kept before it reads on.
 * So a client may wait for us while we wait for it, and commands keep their order
 * among those that have effects.
 *
 *                        +--- vu_channel_next ---> run thread: serve, reply
 *   socket --- reader ---+--- answer ------------> the request that waits for it
 *                        +--- command -----------> reply at once, or the queue
 *
 * With a twin socket requests and answers travel there, commands do not; one
 * reader waits for both.
 *
 * What must be fast is a client's command when nobody asks for anything: it costs
 * the lock a few times, uncontended, and no system call more.
 *
 * Bounds: when the queue (libserver/kept.h) is full nobody reads on behind it until
 * the run thread has served, and a request whose answer lies there fails with ENOBUFS.
 * A request ends at its deadline, and a client that owes too many answers
 * (libserver/request.h) is dropped.
 */
#ifndef VUS_PORT_H
#define VUS_PORT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libserver/dispatch.h"
#include "libserver/kept.h"
#include "libserver/output.h"
#include "libserver/request.h"
#include "wire/channel.h"

struct vfu_ctx;

/*
 * Bytes in one DMA_WRITE. A socket that is ready for output takes them at once, so that no
 * request waits half sent: the client may be in the middle of a long command, and read
 * nothing before we have read that.
 */
#define VUS_MAX_DMA_WRITE (128u << 10)

/* The sockets of a connection. */
enum vus_socket {
    VUS_MAIN,
    VUS_TWIN,       /* only when negotiated */
    VUS_SOCKETS,
};

struct vus_port {
    pthread_mutex_t lock;           /* for all below */
    pthread_cond_t changed;         /* the role is free, a request done, a user gone */
    struct vu_channel *ch[VUS_SOCKETS];     /* owned; NULL: none */
    bool reading;                   /* somebody has the reading role */
    bool runner_waits;              /* the run thread wants it */
    bool lost;                      /* no request will be answered any more */
    atomic_bool broken;             /* the sockets are shut down; also read without
                                     * the lock */
    atomic_bool at_hand;            /* others have left something for the run thread (also
                                     * read without lock) */
    atomic_ulong runner;            /* the thread that runs the context now; 0: none */
    unsigned int users;             /* threads between vus_port_enter() and _leave() */

    uint64_t max_xfer;              /* bytes in one request, as both sides allow; constant
                                     * while there are users */
    struct vus_requests requests;
    struct vus_queue queue;         /* for the run thread */
    struct vus_output output;

    /* The command being served. */
    int serving;                    /* its number; -1: none */
    bool held;                      /* it lies in the main channel's input */
    bool release;                   /* it did: who has the role lets go of it */
    struct vus_kept *current;       /* owned: it was kept; or NULL */
};

/* What differs from connection to connection. */
struct vus_port_options {
    uint64_t max_xfer;
    size_t queue_max;
    int stall_ms, slow_ms;
};

/* 0 or negative errno. */
int vus_port_init(struct vus_port *p);
void vus_port_done(struct vus_port *p);

/* Take over the sockets, in any case; twin -1: none. 0 or -ENOMEM. */
int vus_port_open(struct vfu_ctx *ctx, int fd, int twin,
                  const struct vus_port_options *options);
/* No more is read or written, no request is answered. The client sees the end at
 * once, as does a caller who polls. Any thread. */
void vus_port_break(struct vus_port *p);
/* Wait until all users have left, and close. On the run thread. */
void vus_port_close(struct vfu_ctx *ctx);

/* --------------------------------------------------------- the run thread -- */

/* This thread runs the context from here to there. */
void vus_port_run_begin(struct vus_port *p);
void vus_port_run_end(struct vus_port *p);

/*
 * Read once. As vu_channel_fill(); -EAGAIN also when another thread reads, and, with
 * VU_FOREVER, when something else than input of the main socket ended the wait.
 */
int64_t vus_port_read(struct vfu_ctx *ctx, vu_deadline deadline);

/* Whether there may be a command that needs no reading. */
static inline bool vus_port_at_hand(struct vus_port *p)
{
    return atomic_load(&p->at_hand);
}

/* The next command, kept or read: as vu_channel_next(). It is valid until
 * vus_port_reply(). */
int vus_port_next(struct vfu_ctx *ctx, struct vu_message *m);

/* Where to make the reply to it. */
void vus_port_begin_reply(struct vus_port *p, struct vus_reply *reply);
/* The command is done: close what nobody took of it, and send the reply, if any, with
 * the next flush. 0, or negative errno of sending. */
int vus_port_reply(struct vfu_ctx *ctx, struct vu_message *m, struct vus_reply *reply);

/* Send what is ready. 0, or negative errno: the client is lost. */
int vus_port_flush(struct vfu_ctx *ctx);

/* So many replies wait that no further command may be served. */
bool vus_port_choked(struct vus_port *p);
/* What to poll the main socket for. */
int vus_port_events(struct vus_port *p);

/* -------------------------------------------------------- requests of ours -- */

/* Begin and end a group of requests; the connection is not closed in between. Any
 * thread. 0 or -ENOTCONN. */
int vus_port_enter(struct vfu_ctx *ctx);
void vus_port_leave(struct vfu_ctx *ctx);

/* Send one request and wait for its answer. Bytes, or negative errno. */
int64_t vus_port_ask(struct vfu_ctx *ctx, struct vus_dma_request *r,
                     vu_deadline deadline);

#endif
