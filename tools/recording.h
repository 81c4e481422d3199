/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Recordings of vfio-user sessions: pcapng in which each packet is one record.
 *
 * A record is a message, or something else that happened: a client came, a descriptor
 * was signalled, shared memory changed. docs/recording.md has the layout byte by byte.
 * Here bytes become records and back; files are the business of who calls.
 *
 * Reading takes any bytes: blocks, options and interfaces of other kinds are skipped,
 * both byte orders of pcapng are read, everything else is refused with a sentence.
 * Memory grows with what is really there, never with what a length field says.
 */
#ifndef TOOL_RECORDING_H
#define TOOL_RECORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/buffer.h"
#include "wire/channel.h"
#include "wire/command.h"
#include "wire/cursor.h"

#define TOOL_RECORDING_LINK_TYPE 147u /* LINKTYPE_USER0 */
#define TOOL_RECORDING_VERSION   1u

/* Largest message that a recording holds, header included: the largest transfer that any
 * peer is known to agree to, and room for what surrounds it. */
#define TOOL_RECORDING_MAX_MESSAGE ((64u << 20) + 4096u)

/* Other readers of pcapng refuse packets above 256 KiB, so a longer message is written
 * in pieces. Memory is written in records of at most this, too. */
#define TOOL_RECORDING_PIECE (128u << 10)

enum tool_record_kind {
    TOOL_RECORD_MESSAGE = 1,    /* one whole message */
    TOOL_RECORD_RAW = 2,        /* bytes that are none; the stream ends with them */
    TOOL_RECORD_CONNECT = 3,    /* a session begins */
    TOOL_RECORD_CLOSE = 4,      /* one side closed, see `direction` */
    TOOL_RECORD_EVENT = 5,      /* a descriptor of SET_IRQS was signalled */
    TOOL_RECORD_MEMORY = 6,     /* shared memory holds these bytes from now on */
    TOOL_RECORD_NOTE = 7,       /* a sentence about the recording */
};

enum tool_raw_reason {
    TOOL_RAW_SHORT = 1,         /* a header announces less than 16 bytes */
    TOOL_RAW_LONG = 2,          /* a header announces more than is taken */
    TOOL_RAW_PARTIAL = 3,       /* the stream ended within a message */
};

enum tool_fd_kind {
    TOOL_FD_OTHER = 0,
    TOOL_FD_MEMFD = 1,
    TOOL_FD_FILE = 2,
    TOOL_FD_EVENTFD = 3,
    TOOL_FD_SOCKET = 4,
    TOOL_FD_PIPE = 5,
    TOOL_FD_KINDS,
};

/* A descriptor that came with a message. */
struct tool_record_fd {
    uint8_t kind;   /* enum tool_fd_kind; unknown ones are OTHER */
    uint8_t access; /* O_RDONLY, O_WRONLY or O_RDWR */
    uint32_t file;  /* equal numbers in a session: the same file; 0: not known */
    uint64_t size;  /* bytes of a memfd or file */
};

#define TOOL_RECORD_FDS_LOST 0x2u /* descriptors were cut off on the way */

struct tool_record {
    enum tool_record_kind kind;
    enum vu_direction direction; /* where it went; of CLOSE: who closed, VU_TO_SERVER
                                  * means the client; of MEMORY: who changed it */
    bool twin;                   /* on the twin socket */
    bool cut;                    /* the packet held less than was recorded */
    uint16_t flags;              /* TOOL_RECORD_* */
    uint32_t session;            /* from 1 */
    uint64_t time_ns;            /* since the Epoch */
    union {
        uint64_t values[3];
        struct {
            uint64_t reason; /* enum tool_raw_reason */
        } raw;
        struct {
            uint64_t error;   /* errno, 0: closed in order */
            uint64_t half;    /* 1: it will still read */
        } close;
        struct {
            uint64_t index, vector; /* of SET_IRQS */
            uint64_t count;         /* what the eventfd held */
        } event; /* to the client: an interrupt; to the server: an unmasking */
        struct {
            uint64_t file, offset, size; /* as in tool_record_fd; bytes go to offset */
        } memory;
    };
    struct vu_bytes bytes; /* message with its header, raw bytes, contents, sentence */
    size_t n_fds;
    struct tool_record_fd fds[VU_MAX_MSG_FDS];
};

/* --------------------------------------------------------------- writing -- */

/* Append the beginning of a file: section and interface. 0, or -ENOBUFS, -ENOMEM. */
int tool_recording_begin(struct vu_buffer *out);

/* Append a record, in as many packets as it takes. 0; -EINVAL: more descriptors or bytes
 * than a record can have; -ENOBUFS, -ENOMEM. On failure nothing is appended. */
int tool_recording_put(struct vu_buffer *out, const struct tool_record *record);

/* --------------------------------------------------------------- reading -- */

#define TOOL_RECORDING_INTERFACES 16u

struct tool_recording {
    const uint8_t *data; /* lent */
    size_t len, at;
    int err;             /* 0, or what tool_recording_next() says for ever */
    char why[160];       /* a sentence that goes with it */
    bool swapped;        /* this section is in the other byte order */
    uint32_t n_interfaces;
    struct {
        bool ours;
        uint8_t resolution; /* if_tsresol */
    } interfaces[TOOL_RECORDING_INTERFACES];
    struct vu_buffer joined; /* a message of several pieces */
};

/* Read `data`, which stays the caller's and as it is. */
void tool_recording_open(struct tool_recording *rec, const void *data, size_t len);
void tool_recording_done(struct tool_recording *rec);

/*
 * The next record; its bytes are valid until the next call. 1, 0 at the end, or -EBADMSG
 * (no recording, damaged, cut off, made by a later version or on a machine of the other
 * byte order) or -ENOMEM with a sentence in rec->why. *record is set only on 1.
 */
int tool_recording_next(struct tool_recording *rec, struct tool_record *record);

/* The header of a MESSAGE whose bytes are long enough for one; false: they are not. */
bool tool_record_header(const struct tool_record *record, struct vu_header *h);

/* What follows it. */
struct vu_bytes tool_record_body(const struct tool_record *record);

#endif
