/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The twin socket: the server's DMA requests on a socket of their own.
 */
#ifndef VUC_TWIN_H
#define VUC_TWIN_H

#include "libclient/client.h"

/* Calls of the client's own thread serve the twin, too. */
static inline bool vuc_twin_inline(const struct vfuc_client *client)
{
    return client->twin.port != NULL && client->options.twin_socket == VFUC_TWIN_INLINE;
}

/* Send what waits and answer what is there, at most `most` requests, without waiting.
 * How many, or negative: the link is of no more use. */
int vuc_twin_serve(struct vfuc_client *client, int most);

/* The connection has ended: so that nobody waits at the twin any more. */
void vuc_twin_end(struct vfuc_client *client);

/* Is the calling thread in a callback of vfuc_twin_dispatch()? */
bool vuc_twin_calls_back(const struct vfuc_client *client);

#endif
