/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of the client share: its state, and how a failure is reported.
 *
 * Arrows go one way: the public functions by noun (device.c, region.c, irq.c, dma.c)
 * stand on call.c (a message and its reply) and complete.c (without waiting), both on
 * dispatch.c (what comes in), and all on links (link.h) and their ports (port.h).
 *
 * Threads. With VFUC_TWIN_THREAD a second thread may be in vfuc_twin_dispatch(). It uses
 * the twin link, the windows, what was negotiated, and the members that are marked so;
 * everything else, last_error included, belongs to the client's own thread.
 */
#ifndef VUC_CLIENT_H
#define VUC_CLIENT_H

#include <pthread.h>
#include <stdatomic.h>

#include "libclient/include/vfio-user-client.h"
#include "libclient/link.h"
#include "libclient/windows.h"

#define VUC_ERROR_MAX 256   /* bytes of the sentence for the latest failure */

#define VUC_PATH_MAX 108    /* bytes of a socket's path, its NUL included */

/* The largest region info reply that is worth a retry, in bytes of body. */
#define VUC_REGION_INFO_MAX 65536u

struct vuc_irq;
struct vuc_region;
struct vuc_mapping;
struct vuc_pending;

struct vfuc_client {
    struct vuc_link main;           /* closed once the connection has ended */
    struct vuc_link twin;           /* as main, but with VFUC_TWIN_THREAD only shut down
                                     * then: its thread may be inside */
    struct vfuc_options options;    /* owned: see options.h */
    int64_t timeout_ms;             /* for each message; negative: for ever */
    uint16_t next_id;
    struct vuc_pending *pending;    /* owned; NULL until something is submitted */
    bool serving;                   /* on the client's own thread a callback may run */

    /* Shared with the thread of the twin socket. */
    pthread_mutex_t main_lock;      /* main.port is closed, or shut down by that thread */
    atomic_bool twin_live;          /* the twin may be served */
    atomic_int twin_error;          /* what ended it there, or 0 */
    atomic_uintptr_t twin_thread;   /* the thread in which a callback may run, or 0 */

    struct vfuc_limits limits;      /* the server's */
    uint32_t max_transfer;          /* bytes in one region access of ours */

    bool device_known;
    struct vfuc_device device;
    struct vuc_region *regions;     /* owned, device.num_regions entries */
    struct vuc_irq *irqs;           /* owned, device.num_irqs entries */
    struct vuc_mapping *mappings;   /* owned */
    struct vuc_windows windows;     /* has a lock of its own */

    bool migration_known;
    uint64_t migration_flags;       /* VFUC_MIGRATION_ */

    char path[VUC_PATH_MAX];        /* of the server's socket; "": made from a
                                     * descriptor */
    int last_errno;                 /* of the server's latest refusal */
    char last_error[VUC_ERROR_MAX];
};

/*
 * Make a client over a port and negotiate. Takes the port over in every case. The options
 * must have gone through vuc_options_read().
 */
int vuc_client_open(const struct vuc_port *port, void *at,
                    const struct vfuc_options *options, struct vfuc_client **client);

/* Begin over client->main, with client->options: negotiate. After a failure the
 * connection has ended. */
int vuc_client_start(struct vfuc_client *client);

/* vfuc_reconnect_fd() over a port, which is taken over in every case. */
int vuc_reconnect_over(struct vfuc_client *client, const struct vuc_port *port, void *at);

/* VERSION: agree with the server, fill client->limits. */
int vuc_negotiate(struct vfuc_client *client, const struct vfuc_options *options);

/* Note the sentence for the latest failure. */
void vuc_note(struct vfuc_client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Note the sentence for a failure; the value is err. */
#define vuc_fail(client, err, ...) (vuc_note(client, __VA_ARGS__), (err))

/* The server broke the protocol: note how, close. The value is -EPROTO. */
#define vuc_broken(client, ...) \
    (vuc_note(client, __VA_ARGS__), vuc_end(client, -EPROTO), -EPROTO)

/* End the connection; the client itself stays. What was on its way completes with this
 * reason, a negative errno. Harmless when it has ended already. */
void vuc_end(struct vfuc_client *client, int reason);

static inline void vuc_disconnect(struct vfuc_client *client)
{
    vuc_end(client, -ENOTCONN);
}

/* May a call be made? 0, -ENOTCONN, or -EBUSY: a callback of this client is the
 * caller. */
int vuc_usable(struct vfuc_client *client);

/* Is this an open descriptor? 0 or -EBADF. */
int vuc_check_fd(struct vfuc_client *client, int fd);

/* The device, asked for the first time. 0 or negative errno. */
int vuc_device_known(struct vfuc_client *client);

/* After a reconnect: what is known of the device must be so. 0, -ESTALE, or as
 * vuc_call(). */
int vuc_device_restore(struct vfuc_client *client);

#endif
