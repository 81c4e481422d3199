/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands that were submitted: those on their way, found by id, and those that are
 * complete and wait for vfuc_complete().
 *
 * Both together are at most options.max_pending. The table has a slot for each id modulo
 * a power of two; an id whose slot is taken is not used, so a reply finds its command in
 * one step. Those on their way are also chained in the order of their submission.
 */
#ifndef VUC_PENDING_H
#define VUC_PENDING_H

#include "libclient/call.h"

/* A place for one more. 0, -EAGAIN: there is none, or -ENOMEM (the first time). */
int vuc_pending_room(struct vfuc_client *client);

/* The next id for a command of ours. submit: its slot is free. Otherwise it is for a
 * blocking call, and no command on its way has it. */
uint16_t vuc_pending_next_id(struct vfuc_client *client, bool submit);

/* Enter a command that has such an id and place; it is on its way from now on. */
void vuc_pending_add(struct vfuc_client *client, const struct vuc_request *req,
                     vuc_finish_fn *finish, const void *state, size_t state_len,
                     uint64_t tag);

/* Is there a command on its way with this id and command? */
bool vuc_pending_has(const struct vfuc_client *client, const struct vu_header *h);

/* A reply (its Type or id says so) for one of them; ends it. 0, or negative: the
 * connection has ended. */
int vuc_pending_reply(struct vfuc_client *client, struct vu_message *reply);

/* Complete all that are on their way with this reason. */
void vuc_pending_end(struct vfuc_client *client, int reason);

/* The earliest time at which one of them may be late; VU_FOREVER when there is none.
 * Early rather than late, until vuc_pending_late() has looked. */
vu_deadline vuc_pending_deadline(const struct vfuc_client *client);

/* The command that was not answered in time, or 0. */
uint16_t vuc_pending_late(struct vfuc_client *client);

/* Take up to max completions. Returns how many. */
unsigned vuc_pending_take(struct vfuc_client *client, struct vfuc_completion *done,
                          unsigned max);

unsigned vuc_pending_done(const struct vfuc_client *client);    /* wait to be taken */
unsigned vuc_pending_sent(const struct vfuc_client *client);    /* are on their way */

/* The end; nothing may be on its way. */
void vuc_pending_free(struct vfuc_client *client);

#endif
