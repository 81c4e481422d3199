/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of commands: what can be known of a message before decoding it.
 */
#ifndef VU_WIRE_COMMAND_H
#define VU_WIRE_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/protocol.h"

enum vu_direction {
    VU_TO_SERVER, /* sent by the client */
    VU_TO_CLIENT, /* sent by the server */
};

/* Body sizes are in bytes after the header. A largest size of
 * VU_BODY_UNBOUNDED stands for "as large as the negotiated limits allow". */
#define VU_BODY_UNBOUNDED UINT32_MAX

struct vu_command_info {
    const char *name; /* "DMA_MAP", as the specification has it */
    enum vu_direction direction;
    uint32_t request_min; /* smallest request body */
    uint32_t request_max; /* largest meaningful one; longer ones may be padding */
    uint32_t reply_min;   /* smallest body of a success reply */
    uint32_t reply_max;
    uint16_t request_fds; /* most descriptors a request can use */
    uint16_t reply_fds;   /* most descriptors a success reply can carry */
    bool exact;           /* request length is determined, padding is an error;
                                 * in SET_IRQS only with DATA_BOOL: its decoder judges */
};

/* NULL for 0, 14 and everything from VU_COMMAND_MAX on. */
const struct vu_command_info *vu_command_info(uint16_t command);

/* The name, or "COMMAND_14" and the like, written to buf (at least 16 bytes). */
const char *vu_command_name(uint16_t command, char *buf, unsigned long len);

/* The errno that goes into an error reply for a negative errno of ours:
 * internal ones (-EBADMSG, -ENOBUFS) become EINVAL, values that are no errno
 * EIO. Never 0. */
uint32_t vu_wire_errno(int err);

#endif
