/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Options: read once, before there is a client, and kept for reconnecting.
 *
 * What the fields say bounds our buffers, so JSON that a caller wants to have proposed
 * may say less, never more: a server that fills what was promised must find room.
 */
#include "libclient/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/client.h"

#define DEFAULT_MSG_FDS 16u     /* what QEMU asks for; servers are used to it */
#define DEFAULT_PENDING 256u
#define NEWEST_MINOR    2       /* servers answer with what they have */
#define SANE_SIZE       4096u   /* bytes of a later version's struct, at most */
#define WHY_MAX         160u

int vuc_options_fail(const struct vfuc_options *options, int err, const char *why)
{
    if (options->error != NULL && options->error_len > 0)
        snprintf(options->error, options->error_len, "%s", why);
    return err;
}

/* A newer caller's fields that we do not know must say nothing. */
static bool unknown_fields(const struct vfuc_options *given)
{
    const uint8_t *bytes = (const uint8_t *)given;

    for (size_t i = sizeof(*given); i < given->size; i++) {
        if (bytes[i] != 0)
            return true;
    }
    return false;
}

static void fill_defaults(struct vfuc_options *o)
{
    if (o->timeout_ms == 0)
        o->timeout_ms = VFUC_DEFAULT_TIMEOUT_MS;
    if (o->max_msg_fds == 0)
        o->max_msg_fds = DEFAULT_MSG_FDS;
    if (o->max_data_xfer_size == 0)
        o->max_data_xfer_size = VU_DEFAULT_MAX_DATA_XFER;
    if (o->max_dma_maps == 0)
        o->max_dma_maps = VU_DEFAULT_MAX_DMA_MAPS;
    if (o->pgsizes == 0)
        o->pgsizes = VU_DEFAULT_PGSIZES;
    if (o->max_pending == 0)
        o->max_pending = DEFAULT_PENDING;
    if (o->minor == 0)
        o->minor = NEWEST_MINOR;
}

/* Why a field makes no sense, or NULL. JSON numbers end at INT64_MAX. */
static const char *out_of_bounds(const struct vfuc_options *o)
{
    if (o->max_msg_fds > VU_MAX_MSG_FDS)
        return "max_msg_fds is out of bounds";
    if (o->max_data_xfer_size > VFUC_MAX_TRANSFER)
        return "max_data_xfer_size is out of bounds";
    if (o->max_dma_maps > INT64_MAX)
        return "max_dma_maps is out of bounds";
    if (o->pgsizes > INT64_MAX)
        return "pgsizes is out of bounds";
    if (o->twin_socket > VFUC_TWIN_THREAD)
        return "twin_socket is none of VFUC_TWIN_";
    if (o->max_pending > VFUC_MAX_PENDING)
        return "max_pending is out of bounds";
    if (o->minor < VFUC_MINOR_0 || o->minor > NEWEST_MINOR)
        return "this minor version is unknown";
    return NULL;
}

/* ------------------------------------------------------------- capabilities -- */

static int parse_caps(const char *json, struct vu_caps *caps, char *why, size_t why_len)
{
    /* An empty text stands for no version data, not even a NUL. */
    size_t len = json[0] == '\0' ? 0 : strlen(json) + 1;

    return vu_caps_parse(caps, json, len, why, why_len);
}

/* What the JSON promises without the field that it would have to come from, or NULL. What
 * it is silent about has the default of the specification. */
static const char *beyond_fields(const struct vfuc_options *o, const struct vu_caps *said)
{
    struct vu_caps caps = *said;

    vu_caps_default(&caps);
    if (caps.max_msg_fds > o->max_msg_fds)
        return "capabilities: max_msg_fds exceeds the option of that name";
    if (caps.max_data_xfer_size > o->max_data_xfer_size)
        return "capabilities: max_data_xfer_size exceeds the option of that name";
    if (caps.has_max_data_xfer_size && caps.max_data_xfer_size == 0)
        return "capabilities: max_data_xfer_size: 0 allows no transfer";
    if (caps.has_max_dma_maps && caps.max_dma_maps > o->max_dma_maps)
        return "capabilities: max_dma_maps exceeds the option of that name";
    if (caps.has_pgsizes && (caps.pgsizes & ~o->pgsizes) != 0)
        return "capabilities: pgsizes exceeds the option of that name";
    if (caps.twin_socket && o->twin_socket == VFUC_TWIN_NONE)
        return "capabilities: a twin socket, but the option twin_socket says none";
    return NULL;
}

/* The fields come down to what the JSON says, for it is that what the server knows. */
static void narrow(struct vfuc_options *o, const struct vu_caps *said)
{
    struct vu_caps caps = *said;

    vu_caps_default(&caps);
    o->max_data_xfer_size = caps.max_data_xfer_size;
    if (caps.has_max_dma_maps)
        o->max_dma_maps = caps.max_dma_maps;
    if (!caps.twin_socket)
        o->twin_socket = VFUC_TWIN_NONE;
}

static int check_caps(struct vfuc_options *o)
{
    struct vu_caps caps;
    const char *reason;
    char why[WHY_MAX];
    int err = parse_caps(o->capabilities, &caps, why, sizeof(why));

    if (err < 0)
        return vuc_options_fail(o, err == -ENOMEM ? err : -EINVAL, why);
    reason = beyond_fields(o, &caps);
    if (reason != NULL)
        return vuc_options_fail(o, -EINVAL, reason);
    narrow(o, &caps);
    return 0;
}

int vuc_options_caps(const struct vfuc_options *options, struct vu_caps *caps)
{
    bool twin = options->twin_socket != VFUC_TWIN_NONE;

    if (options->capabilities != NULL)
        return parse_caps(options->capabilities, caps, NULL, 0);
    *caps = (struct vu_caps){
        .has_max_msg_fds = true, .max_msg_fds = options->max_msg_fds,
        .has_max_data_xfer_size = true, .max_data_xfer_size = options->max_data_xfer_size,
        .has_max_dma_maps = true, .max_dma_maps = options->max_dma_maps,
        .has_pgsizes = true, .pgsizes = options->pgsizes,
        .has_write_multiple = true, .write_multiple = true,
        .has_sparse_mmap_fds = true, .sparse_mmap_fds = true,
        .has_twin_socket = twin, .twin_socket = twin,
    };
    return 0;
}

/* ------------------------------------------------------------------ reading -- */

int vuc_options_read(const struct vfuc_options *given, struct vfuc_options *options)
{
    struct vfuc_options o = { .size = sizeof(o) };
    const char *reason;
    int err;

    if (given != NULL) {
        if (given->size < sizeof(given->size) || given->size > SANE_SIZE)
            return -EINVAL;     /* not even .error can be relied on */
        memcpy(&o, given, given->size < sizeof(o) ? given->size : sizeof(o));
        o.size = sizeof(o);
        if (unknown_fields(given))
            return vuc_options_fail(&o, -EINVAL, "an option of a later version is set");
    }
    fill_defaults(&o);
    reason = out_of_bounds(&o);
    if (reason != NULL)
        return vuc_options_fail(&o, -EINVAL, reason);
    err = o.capabilities != NULL ? check_caps(&o) : 0;
    if (err == 0)
        *options = o;
    return err;
}

/* ------------------------------------------------------------------ keeping -- */

int vuc_options_keep(const struct vfuc_options *options, struct vfuc_options *kept)
{
    char *text = NULL;

    if (options->capabilities != NULL) {
        text = strdup(options->capabilities);
        if (text == NULL)
            return -ENOMEM;
    }
    *kept = *options;
    kept->capabilities = text;
    kept->error = NULL;
    kept->error_len = 0;
    return 0;
}

void vuc_options_done(struct vfuc_options *kept)
{
    free((char *)(uintptr_t)kept->capabilities);
    kept->capabilities = NULL;
}

uint16_t vuc_options_minor(const struct vfuc_options *options)
{
    return options->minor == VFUC_MINOR_0 ? 0 : (uint16_t)options->minor;
}

uint32_t vuc_max_message(const struct vfuc_options *options)
{
    uint64_t body = VUC_REGION_INFO_MAX;

    _Static_assert(VUC_REGION_INFO_MAX >= VU_VERSION_SIZE + VU_CAPS_MAX_BYTES,
                   "the reply to VERSION has room where that about a region has");
    if (body < VU_REGION_ACCESS_SIZE + options->max_data_xfer_size)
        body = VU_REGION_ACCESS_SIZE + options->max_data_xfer_size;
    return (uint32_t)(VU_HEADER_SIZE + body);
}
