/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Migration: the device's states, the paths between them, and its data stream.
 *
 * The device implements single steps (arcs); a client may ask for any state, and
 * is led there by the shortest path, one transition() per step:
 *
 *      RUNNING <-----> RUNNING_P2P <-----> STOP <-----> RESUMING
 *         ^                 ^              ^
 *         |                 |              |
 *         v                 v              v
 *      PRE_COPY <----> PRE_COPY_P2P ---> STOP_COPY
 *
 * The lower row are the states that save. A path between two of them stays among
 * them, as it continues one stream; any other path has none of them in its
 * interior, as it would open a stream and throw it away. So there is no way from
 * STOP_COPY to PRE_COPY. The P2P states and PRE_COPY are optional; a path steps
 * over those that the device does not have:
 *
 *      RUNNING <-----> STOP,   PRE_COPY ---> STOP_COPY         without P2P
 *
 * The state is RUNNING at first, after a reset, and for each new client, all
 * without a callback. A step that fails leaves the state of the step before;
 * since there is always one, the library never enters the state ERROR.
 *
 * In every state every command is served; that a device in STOP does not change
 * by itself is the device's part.
 */
#ifndef VUS_MIGRATION_H
#define VUS_MIGRATION_H

#include "libvfio-user.h"

#include <stdbool.h>
#include <stdint.h>

#include "libserver/dispatch.h"
#include "libserver/feature.h"
#include "wire/protocol.h"

struct vus_migration {
    vfu_migration_callbacks_t cb;   /* all set, or none: the device cannot be moved */
    uint64_t flags;                 /* VU_MIGRATION_*: the optional states it has */
    enum vu_mig_state state;
};

void vus_migration_init(struct vus_migration *m);

/* The device can be moved. */
static inline bool vus_migratable(const struct vus_migration *m)
{
    return m->cb.transition != NULL;
}

/* Back to RUNNING without a callback: the device was reset, or its client is gone. */
void vus_migration_restart(struct vfu_ctx *ctx);

/*
 * The next state on the path from one state to another, among the states that
 * flags (VU_MIGRATION_*) allow; `from` itself when it is there already. -EINVAL:
 * the client may not ask for that.
 */
int vus_migration_next(uint64_t flags, enum vu_mig_state from, uint32_t to);

/* Features, see libserver/feature.h. */
vus_feature_handler vus_get_migration;
vus_feature_handler vus_get_mig_state;
vus_feature_handler vus_set_mig_state;

/* Handlers of commands, see libserver/dispatch.h. */
vus_handler vus_on_mig_data_read;
vus_handler vus_on_mig_data_write;

#endif
