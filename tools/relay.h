/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A relay between one client and one server that shows everything that passes.
 *
 * Whole messages are passed on, with their descriptors, in the order of their direction;
 * neither direction waits for the other. A receiver that does not keep up stops the
 * reading of its sender, so memory is bounded by one largest message a direction.
 */
#ifndef TOOL_RELAY_H
#define TOOL_RELAY_H

#include "tools/recording.h"

struct tool_relay {
    /* Set by the caller. */
    int stop_fd;            /* readable: end the session; lent */
    bool direct;            /* eventfds go through as they are: no EVENT records */
    uint64_t memory_each;   /* bytes of a window, or area, that are watched; 0: none */
    uint64_t memory_all;    /* of all of them */
    int linger_ms;          /* for the last bytes to a side that does not read */
    /* Called for each record, in order; record->bytes is valid for the call. 0, or a
     * negative errno that ends the session. */
    int (*on_record)(void *ctx, const struct tool_record *record);
    void *ctx;
};

/*
 * Relay one session until either side has left. Owns and closes both descriptors, which
 * are connected stream sockets. 0; -EINTR: stop_fd; -ENOMEM, or what on_record() said.
 */
int tool_relay_session(const struct tool_relay *relay, uint32_t session, int client_fd,
                       int server_fd);

/* ns since the Epoch, from a clock that does not go back within a session. */
uint64_t tool_relay_now(void);

#endif
