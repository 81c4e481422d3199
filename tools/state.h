/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The file of `vfu migrate save`: the data of a stopped device, and whose they are.
 *
 * All numbers are little-endian.
 *
 *      0  8  "VFUSTATE"
 *      8  4  version of this layout: 1
 *     12  4  bytes of this header: 32
 *     16  2  vendor, 18 device, 20 subsystem vendor, 22 subsystem: of configuration space
 *     24  4  the word of class code and revision
 *     28  4  0
 *     32     chunks: 4 bytes of length (1 to 64 MiB), that many bytes of data
 *            the end: 4 bytes of 0, 4 of CRC-32 of all data, 8 of their number
 *
 * The reader takes the file in pieces of any size and keeps no data: what it is given
 * comes out again, cut at the borders of chunks. It allocates nothing.
 */
#ifndef TOOL_STATE_H
#define TOOL_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOOL_STATE_HEADER_SIZE 32u
#define TOOL_STATE_END_SIZE    16u
#define TOOL_STATE_CHUNK_MAX   (UINT32_C(64) << 20)

/* Whose data it is: what a driver would tell the device by. */
struct tool_state_identity {
    uint16_t vendor, device, subvendor, subsystem;
    uint32_t class_revision;
};

/* CRC-32 (IEEE 802.3, as zlib's) of more data; begin with 0. */
uint32_t tool_crc32(uint32_t crc, const void *data, size_t len);

void tool_state_header(uint8_t bytes[TOOL_STATE_HEADER_SIZE],
                       const struct tool_state_identity *identity);
/* The length in front of a chunk. */
void tool_state_chunk(uint8_t bytes[4], uint32_t len);
void tool_state_end(uint8_t bytes[TOOL_STATE_END_SIZE], uint32_t crc, uint64_t total);

enum tool_state_part {
    TOOL_STATE_NOTHING,         /* all bytes were taken, more are needed */
    TOOL_STATE_IDENTITY,        /* the header is complete: reader.identity */
    TOOL_STATE_DATA,            /* some data: *data, *data_len, in the bytes given */
    TOOL_STATE_COMPLETE,        /* the end was there, and it agrees */
};

struct tool_state_reader {
    struct tool_state_identity identity;
    uint64_t total;             /* bytes of data so far */
    uint32_t crc;               /* of them */
    /* The reader's own. */
    enum { TOOL_AT_HEADER, TOOL_AT_LENGTH, TOOL_AT_DATA, TOOL_AT_END, TOOL_AT_EOF } at;
    uint8_t fixed[TOOL_STATE_HEADER_SIZE];
    size_t n_fixed;
    uint32_t left;              /* of the chunk */
};

void tool_state_reader_init(struct tool_state_reader *r);

/*
 * Go through bytes[0..len) up to the next part. *used: how many were taken; call again
 * with the rest. Gives the part, or -EBADMSG with *why set to a sentence. At the end of
 * the file the reader must have given TOOL_STATE_COMPLETE.
 */
int tool_state_next(struct tool_state_reader *r, const uint8_t *bytes, size_t len,
                    size_t *used, const uint8_t **data, size_t *data_len,
                    const char **why);

#endif
