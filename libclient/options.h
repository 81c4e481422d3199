/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a client wants: struct vfuc_options, checked, completed, and kept.
 */
#ifndef VUC_OPTIONS_H
#define VUC_OPTIONS_H

#include "libclient/include/vfio-user-client.h"
#include "wire/caps.h"

/*
 * A checked copy of what the caller gave (NULL too), defaults filled in. Its pointers are
 * still the caller's. 0; -EINVAL or -ENOMEM, with the sentence where the caller wants it.
 */
int vuc_options_read(const struct vfuc_options *given, struct vfuc_options *options);

/* Note why connecting fails, for who has no client yet to ask. Returns err. */
int vuc_options_fail(const struct vfuc_options *options, int err, const char *why);

/*
 * Make *kept a copy that outlives the caller's: own text of capabilities, no place for
 * errors. 0 or -ENOMEM. Ended with vuc_options_done().
 */
int vuc_options_keep(const struct vfuc_options *options, struct vfuc_options *kept);
void vuc_options_done(struct vfuc_options *kept);

/* The version data that these options propose, parsed; nothing is set where there is
 * none. 0 or -ENOMEM, if the options went through vuc_options_read(). */
int vuc_options_caps(const struct vfuc_options *options, struct vu_caps *caps);

/* The minor version that they propose. */
uint16_t vuc_options_minor(const struct vfuc_options *options);

/* The largest message that a server may send to a client with these options. */
uint32_t vuc_max_message(const struct vfuc_options *options);

#endif
