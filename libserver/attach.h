/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a client gets in: the listening socket, the connection on which VERSION
 * has not arrived yet, and what a caller polls meanwhile.
 */
#ifndef VUS_ATTACH_H
#define VUS_ATTACH_H

#include <stdbool.h>

#include "wire/channel.h"

struct vfu_ctx;
struct vus_half_open;

struct vus_listener {
    int fd;         /* owned; -1: a context without a socket */
    char *path;     /* owned: to unlink at the end; NULL: none */
    int watch;      /* owned epoll descriptor: readable when vfu_attach_ctx() has work */
    int version_ms; /* VFU_TIMEOUT_VERSION: from accept to the last byte of VERSION */
    struct vus_half_open *half;     /* owned; NULL: none */
};

void vus_listener_init(struct vus_listener *l);
/* Listen at path. 0 or negative errno. */
int vus_listener_open(struct vus_listener *l, const char *path);
/* Drop the half-open connection, close, unlink. Safe when nothing is open. */
void vus_listener_done(struct vus_listener *l);
/* Whether the next client makes the watch descriptor readable. */
void vus_listener_watch(struct vus_listener *l, bool on);

#endif
