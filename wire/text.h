/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A message as one line of text, for logs, tools and failed tests:
 *
 *   DMA_MAP cmd id=3 size=48 argsz=32 flags=READ|WRITE offset=0x0 address=0x10000
 *       size=0x2000 fds=[memfd:8192]       (one line, broken here only)
 *   REGION_READ reply id=7 size=36 region=7 offset=0x0 count=4 data=de10ad0b
 *   REGION_READ error id=7 size=16 errno=22 (EINVAL)
 *
 * Any bytes give a line: fields that are not there are left out and the line
 * says "short", bytes that no field covers are shown as "+N bytes", and
 * "body=N" tells that the header announced another length. Header flags that
 * are unusual for the kind of message show as header=NO_REPLY and the like.
 * Control characters never get through. Descriptors are shown with their kind
 * (fstat/readlink on our own table only) and size. No allocation.
 */
#ifndef VU_WIRE_TEXT_H
#define VU_WIRE_TEXT_H

#include <stddef.h>

#include "wire/channel.h"

/* A buffer of this size always suffices; lines longer than the buffer end in "...". */
#define VU_TEXT_MAX 1024

/* Returns buf. fds (lent, may be NULL) are described, -1 as "taken". */
const char *vu_text(char *buf, size_t len, const struct vu_header *h, const void *body,
                    size_t body_len, const int *fds, size_t n_fds);
const char *vu_message_text(char *buf, size_t len, const struct vu_message *m);

/* "eventfd", "memfd:8192", "file:4096", "socket", "pipe", "bad" ... */
const char *vu_fd_text(char *buf, size_t len, int fd);

/* "EINVAL" for EINVAL and -EINVAL, or "errno 4711". */
const char *vu_errno_name(int err, char *buf, size_t len);

#endif
