/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A server that is a list: what the client sends is kept, what it receives was typed
 * before. It stands behind the client's port, so nothing here is a socket.
 *
 * Bytes are typed in hexadecimal from the tables of the specification. Every body is
 * handed out in a block of exactly its length, so that a sanitizer sees what goes beyond.
 */
#ifndef VUC_TESTS_SCRIPT_H
#define VUC_TESTS_SCRIPT_H

#include "libclient/client.h"
#include "libclient/options.h"
#include "libclient/options.h"
#include "wire/tests/bytes.h"

#define SCRIPT_MAX 320

struct said {
    uint8_t *bytes;     /* the whole message as the client sent it */
    size_t len;
    size_t n_fds;
};

struct line {
    int result;         /* what receive gives: 1, or an errno instead of a message */
    bool as_typed;      /* else id and command are those of the client's latest request */
    uint16_t id_off;    /* added to the id */
    uint16_t command_off;   /* added to the command */
    struct vu_header h;
    uint8_t *body;
    size_t body_len;
    size_t n_fds;       /* this many descriptors come with it */
    bool fds_lost;
};

struct script {
    struct said said[SCRIPT_MAX];
    size_t n_said;
    struct line lines[SCRIPT_MAX];
    size_t n_lines, next;
    struct vu_header latest;    /* header of the client's latest command */
    uint8_t *handed_out;        /* body of the latest message */
    int fd;             /* a copy of it is what comes along; -1: an eventfd */
    int send_result;    /* what sending gives; 0 at first */
    int flush_result;   /* what flushing gives; 0 at first */
    size_t stuck;       /* bytes that wait to be sent until flushing gives 0 */
    size_t n_gathered;  /* bytes of commands (heard already) that wait for a flush */
    unsigned n_offers;  /* all, refused ones included */
    unsigned n_flushes; /* that had something to send */
    bool read_ahead;    /* the lines need no look at the socket */
    int poll_fd;        /* for poll(): see script_poll() */
    bool shut;          /* both directions were shut down */
    bool closed;
};

extern const struct vuc_port script_port;

void script_init(struct script *s);
void script_done(struct script *s);

/* A good reply with this body. */
struct line *script_say(struct script *s, const char *hex_body);
/* An error reply without a body. */
struct line *script_refuse(struct script *s, uint32_t error);
/* A whole message as it is typed. */
struct line *script_type(struct script *s, const char *hex_message);
/* No message but this result: 0 for end of file, or a negative errno. */
struct line *script_fail(struct script *s, int result);

/* From now on there is a descriptor to poll: writeable, and readable if so. */
void script_poll(struct script *s, bool readable);

/* What the client sent as its message number i, counted from 0, is exactly this. */
void script_heard(const struct script *s, size_t i, const char *hex_message,
                  size_t n_fds);

/* Typed replies for set-up. */
#define SAY_VERSION "0000 0000"
/* RESET|PCI, 9 regions, 5 irqs */
#define SAY_DEVICE "10000000 03000000 09000000 05000000"
/* region 0: READ|WRITE, 0x2000 bytes */
#define SAY_REGION0 \
    "20000000 03000000 00000000 00000000 0020000000000000 0000000000000000"
/* index 2, MSI-X: EVENTFD|MASKABLE, 16 vectors */
#define SAY_MSIX "10000000 03000000 02000000 10000000"

/* A negotiated client; its message 0 was VERSION. version: body of the reply. */
struct vfuc_client *script_client(struct script *s, const char *version);

#endif
