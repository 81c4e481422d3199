/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands of the server: DMA_READ and DMA_WRITE are answered out of the windows,
 * anything else is not supported.
 */
#ifndef VUC_SERVE_H
#define VUC_SERVE_H

#include "libclient/client.h"

/*
 * Answer a command that came over `link`, and end the message. Any thread that owns the
 * link: it uses the windows, under their lock, and of the client no more than what was
 * negotiated. 0 or a negative errno of the link.
 */
int vuc_serve(struct vfuc_client *client, struct vuc_link *link, struct vu_message *m);

#endif
