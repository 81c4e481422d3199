/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptors that came with a reply and are kept: see fds.h.
 */
#include "libclient/fds.h"

#include <stdlib.h>
#include <unistd.h>

static int make_room(struct vuc_fds *set, size_t n)
{
    if (set->fd != NULL)
        return 0;
    set->fd = malloc(n * sizeof(*set->fd));
    if (set->fd == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        set->fd[i] = -1;
    set->n = n;
    return 0;
}

int vuc_fds_take(struct vuc_fds *set, struct vu_message *reply, uint32_t index, int *fd)
{
    int err;

    if (index >= reply->n_fds)
        return reply->fds_lost ? -EMFILE : -EPROTO;
    err = make_room(set, reply->n_fds);
    if (err < 0)
        return err;
    if (set->fd[index] < 0)
        set->fd[index] = vu_message_take_fd(reply, index);
    *fd = set->fd[index];
    return 0;
}

void vuc_fds_close(struct vuc_fds *set)
{
    for (size_t i = 0; i < set->n; i++) {
        if (set->fd[i] >= 0)
            vu_socket_close(set->fd[i]);
    }
    free(set->fd);
    set->fd = NULL;
    set->n = 0;
}
