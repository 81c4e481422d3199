/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the path of a server's socket to a connected descriptor.
 */
#ifndef VUC_CONNECT_H
#define VUC_CONNECT_H

#include "wire/channel.h"

/*
 * A connected socket, owned by the caller; or -ENAMETOOLONG, -ETIMEDOUT (nobody accepted
 * before the deadline), or what socket(2) and connect(2) report.
 */
int vuc_connect_path(const char *path, vu_deadline deadline);

/* Why, in a sentence. */
const char *vuc_connect_reason(int err);

#endif
