/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DEVICE_FEATURE: the envelope around what a feature carries.
 */
#ifndef VUC_FEATURE_H
#define VUC_FEATURE_H

#include "libclient/call.h"

/* Bytes of a feature's data that one message carries, in either direction. */
uint32_t vuc_feature_room(const struct vfuc_client *client);

/*
 * Send the envelope with len bytes of data (lent, at most vuc_feature_room()) and await
 * the reply. flags: VU_FEATURE_ bits and the index. argsz: bytes of the largest body that
 * is taken for a reply, what was sent included.
 *
 * On success the reply repeats the flags and is no longer than argsz, or than what was
 * sent; *got is its envelope, whose data is everything behind the 8 bytes. The caller
 * ends the reply with vu_message_done(), or with vuc_broken_reply() when the data is no
 * good.
 *
 * 0, or as vuc_call().
 */
int vuc_feature(struct vfuc_client *client, uint32_t flags, const void *data, size_t len,
                uint32_t argsz, struct vu_message *reply, struct vu_feature *got);

/* What of it can be submitted: the request, ready for vuc_submit(), and the check that
 * vuc_feature() makes of the reply (0, or -EPROTO with the reply ended). */
void vuc_feature_request(struct vuc_request *req, uint32_t flags, const void *data,
                         size_t len, uint32_t argsz);
int vuc_feature_reply(struct vfuc_client *client, uint32_t flags,
                      struct vu_message *reply, struct vu_feature *got);

#endif
