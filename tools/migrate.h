/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Getting the data out of one device and into a file or another device.
 *
 * Functions give an exit code; what went wrong has been said then.
 */
#ifndef TOOL_MIGRATE_H
#define TOOL_MIGRATE_H

#include <stdio.h>

#include "tools/state.h"
#include "tools/tool.h"

struct tool_move {
    struct tool_call *call;
    struct vfuc_client *from, *to;  /* NULL: a file */
    FILE *file;                 /* written when there is no `to` */
    const char *file_name;
    bool writing;               /* `to` has not confirmed the last piece */
    uint8_t *buf;               /* owned; `room` bytes, a piece */
    size_t room;

    unsigned max_rounds;        /* of pre-copy; 0: none */
    int64_t budget_ns;          /* that the device may stand still */

    uint64_t total;             /* bytes moved, and their checksum */
    uint32_t crc;
    struct json_object *rounds; /* owned; what tool_move_round() noted */
    bool converged;             /* the last round promised to keep to the budget */
    int64_t began_ns;           /* 0: not yet */
    int64_t stopped_ns;         /* when the source was told to stand still */
    int64_t done_ns;            /* when one of the two ran again */
};

/* The identity in configuration space; zeros for what is not PCI. */
int tool_identity(const struct tool_call *call, struct vfuc_client *dev,
                  struct tool_state_identity *identity);

/* Data of the source until it has no more at present. *bytes: how many it were. */
int tool_move_data(struct tool_move *m, uint64_t *bytes);

/* Pre-copy as far as it is worth it, then STOP_COPY and the rest. The source is left in
 * STOP_COPY. */
int tool_move_all(struct tool_move *m);

/* Lead a device into a state, in words if it cannot be. */
int tool_set_state(const struct tool_call *call, struct vfuc_client *dev,
                   enum vfuc_mig_state state, const char *who);

/* Are all regions that can be read the same on both? Both stand still. */
int tool_compare_regions(const struct tool_move *m);

#endif
