/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What comes in, and the waiting for it.
 *
 * On the main link arrive replies to blocking calls and to submitted commands, and the
 * server's own commands; on a twin, only the latter. Whoever waits for one of them deals
 * with all, and keeps sending what is left to be sent meanwhile. So neither side can be
 * stuck because the other one wants to be read first.
 *
 * Failures here end the connection, unless it says otherwise.
 */
#ifndef VUC_DISPATCH_H
#define VUC_DISPATCH_H

#include "libclient/client.h"

/* The connection cannot go on after what the port said: end it. command: for the
 * sentence; 0: none of ours. Returns what the caller returns. */
int vuc_lost(struct vfuc_client *client, int err, uint16_t command);

/* A reply that has the right id and command: error bit, length. 0, -EREMOTEIO, -EPROTO;
 * ended on failure. */
int vuc_check_reply(struct vfuc_client *client, uint32_t min, uint32_t max,
                    struct vu_message *reply);

/* Await one message of the main link. 1, or negative, as from vuc_lost(). */
int vuc_await(struct vfuc_client *client, struct vu_message *m, vu_deadline deadline,
              uint16_t command);

/* Wait until nothing is left to be sent, and a blocked link is worth another try. 0, or
 * negative, as from vuc_lost(). */
int vuc_drain(struct vfuc_client *client, vu_deadline deadline, uint16_t command);

/* Deal with a message of the main link that is not the reply to a blocking call; ends it.
 * 0 or negative. */
int vuc_handle(struct vfuc_client *client, struct vu_message *m);

/* Send what waits and deal with what is there, at most `most` messages of each socket,
 * without waiting. How many, or negative. */
int vuc_dispatch(struct vfuc_client *client, int most);

/* What vuc_poll() saw. */
#define VUC_POLL_EXTRA 0x1
#define VUC_POLL_MAIN  0x2
#define VUC_POLL_TWIN  0x4

/* Wait for something to do at the sockets (what was read already counts), or for extra_fd
 * to be readable; -1: none. VUC_POLL_ bits (0: a signal came), or -ETIMEDOUT, or as
 * poll(2). Ends nothing. */
int vuc_poll(const struct vfuc_client *client, int extra_fd, vu_deadline deadline);

/*
 * Serve the sockets until extra_fd is readable.
 *
 * 0, or -ETIMEDOUT: it is not, and the connection stays; -EBUSY; or as vuc_lost().
 */
int vuc_wait_any(struct vfuc_client *client, int extra_fd, vu_deadline deadline);

#endif
