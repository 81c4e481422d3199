/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The opt-in guard of vfu_setup_memory_guard(): device code that touches client
 * memory behind the end of a shrunk file reads zeros, and its client is lost.
 *
 * The handler for SIGBUS runs on any thread, so it reads what others change. What
 * it may find is taken away in two steps: hide it (an atomic store), then
 * vus_guard_wait(); what is hidden and waited for may be freed, closed, unmapped.
 */
#ifndef VUS_GUARD_H
#define VUS_GUARD_H

#include <stdatomic.h>
#include <stdbool.h>

struct vfu_ctx;

/* One context's part in it. All zero, but for the socket: vus_guard_init(). */
struct vus_guard {
    bool on;                /* vfu_setup_memory_guard() was called */
    struct vfu_ctx *ctx;    /* whose guard_hit is set */
    atomic_int socket;      /* shut down at a hit, so that polls wake; -1: none */
    _Atomic(struct vus_guard *) next;   /* in the process's list */
};

void vus_guard_init(struct vfu_ctx *ctx);
/* Which socket a hit shuts down: the connection's; -1 before that is closed. */
void vus_guard_socket(struct vfu_ctx *ctx, int fd);
/* For the next client: no socket, no hit. */
void vus_guard_reset(struct vfu_ctx *ctx);
/* The context goes: its windows are gone, its mappings not yet freed. */
void vus_guard_done(struct vfu_ctx *ctx);

/* Wait until no handler is at work that began before. They take microseconds. */
void vus_guard_wait(void);

#endif
