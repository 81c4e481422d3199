/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of features, and the envelope that all of them share: exactly one
 * method, or a probe for any, and room for the reply.
 *
 * All features belong to migration, so a device that cannot be moved has none of
 * them, and one without DMA has no logging.
 *
 * The device is quiesced for every SET, and for GET of the migration state: as
 * devices written for libvfio-user see it. A probe changes nothing and asks nobody.
 */
#include "libserver/feature.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "libserver/context.h"

#define METHODS (VU_FEATURE_GET | VU_FEATURE_SET)

struct feature {
    vus_feature_handler *get, *set;     /* NULL: it has no such method */
    bool needs_dma;
};

/* clang-format off: a table */
static const struct feature features[] = {
    /*                                get                set                 needs_dma */
    [VU_FEATURE_MIGRATION]          = { vus_get_migration, NULL,               false },
    [VU_FEATURE_MIG_DEVICE_STATE]   = { vus_get_mig_state, vus_set_mig_state,  false },
    [VU_FEATURE_DMA_LOGGING_START]  = { NULL,              vus_dirty_start,    true },
    [VU_FEATURE_DMA_LOGGING_STOP]   = { NULL,              vus_dirty_stop_cmd, true },
    [VU_FEATURE_DMA_LOGGING_REPORT] = { vus_dirty_report,  NULL,               true },
};
/* clang-format on */

#define N_FEATURES (sizeof(features) / sizeof(features[0]))

static uint32_t index_of(const struct vu_feature *f)
{
    return f->flags & VU_FEATURE_INDEX_MASK;
}

/* NULL: this device does not have it. */
static const struct feature *find(const struct vfu_ctx *ctx, uint32_t index)
{
    const struct feature *f = index < N_FEATURES ? &features[index] : NULL;

    if (f == NULL || (f->get == NULL && f->set == NULL))
        return NULL;
    if (!vus_migratable(&ctx->migration) || (f->needs_dma && !ctx->dma.enabled))
        return NULL;
    return f;
}

static bool has_methods(const struct feature *f, uint32_t flags)
{
    return ((flags & VU_FEATURE_GET) == 0 || f->get != NULL) &&
           ((flags & VU_FEATURE_SET) == 0 || f->set != NULL);
}

/* One of GET and SET, or PROBE with or without them. */
static bool flags_ok(uint32_t flags)
{
    uint32_t methods = flags & METHODS;

    if ((flags & ~(VU_FEATURE_INDEX_MASK | METHODS | VU_FEATURE_PROBE)) != 0)
        return false;
    if ((flags & VU_FEATURE_PROBE) != 0)
        return true;
    return methods == VU_FEATURE_GET || methods == VU_FEATURE_SET;
}

int vus_feature_answer(struct vfu_ctx *ctx, const struct vu_feature *request,
                       size_t data_len, struct vus_reply *reply, struct vu_writer *w)
{
    size_t len = VU_FEATURE_SIZE + data_len;
    struct vu_feature f = { .argsz = (uint32_t)len, .flags = request->flags };

    if (request->argsz < len)
        return vus_refuse(ctx, -EINVAL, "DEVICE_FEATURE %u: argsz %u is below %zu",
                          index_of(request), request->argsz, len);
    *w = vus_reply_body(reply, len);
    return vu_encode_feature(w, &f);
}

int vus_feature_echo(const struct vu_feature *request, struct vus_reply *reply)
{
    struct vu_writer w = vus_reply_body(reply, VU_FEATURE_SIZE + request->data.len);

    return vu_encode_feature(&w, request);
}

/* PROBE, and SET as far as its envelope goes: the request comes back. */
static int check_echo(struct vfu_ctx *ctx, const struct vu_feature *f)
{
    if (f->argsz >= VU_FEATURE_SIZE + f->data.len)
        return 0;
    return vus_refuse(ctx, -EINVAL, "DEVICE_FEATURE %u: argsz %u is below the request",
                      index_of(f), f->argsz);
}

int vus_on_feature(struct vfu_ctx *ctx, struct vu_message *m, struct vus_reply *reply)
{
    struct vu_reader r = vu_reader(m->body, m->body_len);
    const struct feature *feature;
    struct vu_feature f;
    int err = vu_decode_feature(&r, &f);

    if (err != 0)
        return err;
    if (!flags_ok(f.flags))
        return vus_refuse(ctx, -EINVAL, "DEVICE_FEATURE: flags %#x name no single method",
                          f.flags);
    feature = find(ctx, index_of(&f));
    if (feature == NULL)
        return vus_refuse(ctx, -EINVAL, "DEVICE_FEATURE: the device has no feature %u",
                          index_of(&f));
    if (!has_methods(feature, f.flags))
        return vus_refuse(ctx, -EINVAL, "DEVICE_FEATURE %u: no such method",
                          index_of(&f));
    if ((f.flags & VU_FEATURE_PROBE) == 0 && (f.flags & VU_FEATURE_GET) != 0)
        return feature->get(ctx, &f, reply);
    err = check_echo(ctx, &f);
    if (err != 0)
        return err;
    if ((f.flags & VU_FEATURE_PROBE) != 0)
        return vus_feature_echo(&f, reply);
    return feature->set(ctx, &f, reply);
}

bool vus_feature_quiesces(const struct vfu_ctx *ctx, const struct vu_message *m)
{
    struct vu_reader r = vu_reader(m->body, m->body_len);
    struct vu_feature f;

    if (vu_decode_feature(&r, &f) != 0 || (f.flags & VU_FEATURE_PROBE) != 0)
        return false;
    return vus_migratable(&ctx->migration) &&
           ((f.flags & VU_FEATURE_SET) != 0 ||
            index_of(&f) == VU_FEATURE_MIG_DEVICE_STATE);
}
