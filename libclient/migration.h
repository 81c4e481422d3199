/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * States of migration: which there are, and the way from one to another.
 *
 *      RUNNING <-----> RUNNING_P2P <-----> STOP <-----> RESUMING
 *         ^                 ^              ^
 *         |                 |              |
 *         v                 v              v
 *      PRE_COPY <----> PRE_COPY_P2P ---> STOP_COPY
 *
 *      RUNNING <-----> STOP,   PRE_COPY ---> STOP_COPY         without P2P
 *
 * These are the direct arcs. Any other way is the shortest one that has no state of the
 * lower row in its interior, unless it stays in that row: there the device gives away its
 * data, which nobody would read. So there is no way from STOP_COPY to PRE_COPY. Nothing
 * leads out of ERROR but a reset. The P2P states and PRE_COPY are optional.
 */
#ifndef VUC_MIGRATION_H
#define VUC_MIGRATION_H

#include "libclient/client.h"

/*
 * The first arc on the way from a state to another, for a device with these
 * VFUC_MIGRATION_ flags: the state that it leads to. `from` itself when it is `to`.
 *
 * -EINVAL: there is no way, or one of them is no state that such a device can have.
 */
int vuc_migration_next(uint64_t flags, uint32_t from, uint32_t to);

#endif
