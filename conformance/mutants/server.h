/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mutant server: a small server of its own over wire, which keeps to the
 * protocol until it is started with a fault (faults.h).
 *
 * It shares no code with libserver, so that both can be wrong only
 * separately. One process, one thread, any number of clients up to
 * CT_CLIENTS: server.c moves messages, commands.c leads to who answers them, device.c is
 * what they are about.
 */
#ifndef CT_MUTANTS_SERVER_H
#define CT_MUTANTS_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conformance/mutants/device.h"
#include "wire/channel.h"

#define CT_CLIENTS  32
#define CT_MAX_XFER 1048576u
#define CT_MAX_FDS  8u /* that we take in one message */
#define CT_MAX_MAPS 65535u

struct ct_window {
    uint64_t address, size;
    uint32_t flags;
    int fd;    /* owned; -1: reached by message only */
    void *map; /* owned; NULL likewise */
    size_t map_len;
};

struct ct_dma {
    struct ct_window *windows; /* owned, unordered */
    size_t count, room;
};

struct ct_irqs {
    int fds[CT_IRQ_TYPES][CT_VECTORS]; /* owned; -1: none */
    bool masked;                       /* INTx */
    bool pending;                      /* fired while masked */
};

/* A command whose effect a fault holds back. */
struct ct_late {
    struct vu_header h;
    uint8_t body[64];
    size_t body_len;
};

struct ct_client {
    struct ct_server *server;
    struct vu_channel *ch; /* owned; NULL: this slot is free */
    unsigned number;       /* of the connection, counted from 1 */
    bool negotiated;
    bool closing;             /* close when the output is out */
    bool blocked;             /* output waits for room */
    bool deaf;                /* by a fault: reads nothing more */
    uint64_t drain;           /* bytes of a refused message that are still to come */
    struct vu_header drained; /* its header */
    bool leaked;              /* by a fault: the channel is never freed */
    uint32_t max_fds;         /* that the client takes in one message */
    bool fds_unsaid;          /* it did not say */
    bool write_multiple, sparse_fds;
    int twin; /* owned; -1: none */
    struct ct_dma dma;
    struct ct_irqs irqs;

    /* What faults remember. */
    uint32_t infos, region_infos;
    int last_id; /* -1: none yet */
    struct ct_late late[8];
    size_t n_late;
    uint8_t held[64]; /* a reply that waits for the next one */
    size_t held_len;
};

struct ct_server {
    struct ct_device device;
    struct ct_client clients[CT_CLIENTS];
    struct ct_client *newest;
    struct ct_dma shared_dma;
    struct ct_dma kept_dma; /* by faults: what outlived its connection, so that what */
    struct vu_channel *kept[64]; /* leaks is descriptors and not memory */
    size_t n_kept;
    const char *path;
    int listener; /* owned */
    int signals;  /* signalfd; owned */
    unsigned connections;
    bool ever_negotiated;
    uint8_t *body; /* room for one reply body; owned */
};

/* A reply in the making. */
struct ct_reply {
    struct vu_writer w; /* over server->body */
    int fds[4];         /* lent */
    size_t n_fds;
    int close_fd;      /* closed once the reply is out; -1: none */
    bool close_client; /* as this */
};

#define CT_BODY_ROOM (CT_MAX_XFER + 4096u)

/* Run one command: 0, or the negative errno of the error reply. */
int ct_command(struct ct_client *c, struct vu_message *m, struct ct_reply *r);

void ct_irqs_init(struct ct_irqs *irqs);
void ct_irqs_done(struct ct_irqs *irqs);
void ct_dma_done(struct ct_dma *dma);
/* Move all windows from one table to another. */
void ct_dma_move(struct ct_dma *to, struct ct_dma *from);

#endif
