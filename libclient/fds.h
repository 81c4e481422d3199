/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptors that came with a reply and are kept: those behind a region's areas, those
 * of its IO descriptors. What a reply says of them are indices, several of which may be
 * equal.
 */
#ifndef VUC_FDS_H
#define VUC_FDS_H

#include "wire/channel.h"

/* Owned, by index in the reply; -1: nobody asked for that one. All zeros is none. */
struct vuc_fds {
    int *fd;
    size_t n;
};

/*
 * Descriptor `index` of the reply, taken out of it the first time; still owned by the
 * set. All calls for a set are about the same reply. *fd is set only on success.
 *
 * 0; -EMFILE: it found no room; -EPROTO: there is no such; -ENOMEM.
 */
int vuc_fds_take(struct vuc_fds *set, struct vu_message *reply, uint32_t index, int *fd);

/* Close them all; the set is empty then. */
void vuc_fds_close(struct vuc_fds *set);

#endif
