/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command table, and what is the same for every command: the header's
 * rules, the shortest body, quiesce, the form of replies and errors.
 *
 * Where the specification is silent: a message of type reply is ignored, types 2
 * to 15 get an error; anything but VERSION as the first message ends the
 * connection, a second VERSION is refused and changes nothing; descriptors that
 * a command has no use for are closed; a message whose descriptors did not all
 * arrive fails.
 */
#include "libserver/dispatch.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>

#include "libserver/context.h"
#include "wire/command.h"
#include "wire/text.h"

/* Something that depends on the message. */
typedef bool condition(const struct vfu_ctx *ctx, const struct vu_message *m);

/* All that the server knows about a command before running it. */
struct command {
    vus_handler *handle;
    uint16_t min_body;      /* bytes after the 16-byte header */
    uint16_t max_fds;       /* more are refused; 0: whatever comes is closed unused */
    condition *quiesce;     /* the device must stand still for it; NULL: never */
    condition *cross;       /* any thread may answer it, ahead of others; NULL: never */
};

static int on_device_info(struct vfu_ctx *ctx, struct vu_message *m,
                          struct vus_reply *reply)
{
    struct vu_reader r = vu_reader(m->body, m->body_len);
    struct vu_writer w = vus_reply_body(reply, VU_DEVICE_INFO_SIZE);
    struct vu_device_info info;
    int err = vu_decode_device_info(&r, &info);

    if (err != 0)
        return err;
    if (info.argsz < VU_DEVICE_INFO_SIZE)
        return vus_refuse(ctx, -EINVAL, "GET_INFO: argsz %u is too small", info.argsz);
    info = (struct vu_device_info){
        .argsz = VU_DEVICE_INFO_SIZE,
        .flags = VU_DEVICE_RESETTABLE | VU_DEVICE_PCI,
        .num_regions = VFU_PCI_DEV_NUM_REGIONS,
        .num_irqs = VFU_DEV_NUM_IRQS,
    };
    return vu_encode_device_info(&w, &info);
}

static bool always(const struct vfu_ctx *ctx, const struct vu_message *m)
{
    (void)ctx;
    (void)m;
    return true;
}

/* No callback of the device runs for it. */
static bool irqs_silent(const struct vfu_ctx *ctx, const struct vu_message *m)
{
    struct vu_reader r = vu_reader(m->body, m->body_len);
    struct vu_irq_set s;

    return vu_decode_irq_set(&r, &s) != 0 || s.index >= VFU_DEV_NUM_IRQS ||
           (s.flags & VU_IRQ_SET_ACTIONS) == VU_IRQ_SET_ACTION_TRIGGER ||
           ctx->irqs.sets[s.index].on_state == NULL;
}

/* clang-format off: a table */
static const struct command commands[VU_COMMAND_MAX] = {
    /*                      handler, min_body, max_fds, quiesce, cross */
    [VU_DMA_MAP] =
        { vus_on_dma_map, VU_DMA_MAP_SIZE, 1, vus_dma_quiesces, NULL },
    [VU_DMA_UNMAP] =
        { vus_on_dma_unmap, VU_DMA_UNMAP_SIZE, 0, vus_dma_quiesces, NULL },
    [VU_DEVICE_GET_INFO] =
        { on_device_info, VU_DEVICE_INFO_SIZE, 0, NULL, always },
    [VU_DEVICE_GET_REGION_INFO] =
        { vus_on_region_info, VU_REGION_INFO_SIZE, 0, NULL, always },
    [VU_DEVICE_GET_REGION_IO_FDS] =
        { vus_on_region_io_fds, VU_REGION_IO_FDS_SIZE, 0, NULL, always },
    [VU_DEVICE_GET_IRQ_INFO] =
        { vus_on_irq_info, VU_IRQ_INFO_SIZE, 0, NULL, always },
    [VU_DEVICE_SET_IRQS] =
        { vus_on_set_irqs, VU_IRQ_SET_SIZE, VU_MAX_MSG_FDS, NULL, irqs_silent },
    [VU_REGION_READ] =
        { vus_on_region_read, VU_REGION_ACCESS_SIZE, 0, NULL, NULL },
    [VU_REGION_WRITE] =
        { vus_on_region_write, VU_REGION_ACCESS_SIZE, 0, vus_region_write_quiesces, NULL },
    [VU_REGION_WRITE_MULTI] =
        { vus_on_write_multi, VU_WRITE_MULTI_SIZE, 0, vus_write_multi_quiesces, NULL },
    [VU_DEVICE_RESET] =
        { vus_on_device_reset, 0, 0, always, NULL },
    [VU_DEVICE_FEATURE] =
        { vus_on_feature, VU_FEATURE_SIZE, 0, vus_feature_quiesces, NULL },
    [VU_MIG_DATA_READ] =
        { vus_on_mig_data_read, VU_MIG_DATA_SIZE, 0, NULL, NULL },
    [VU_MIG_DATA_WRITE] =
        { vus_on_mig_data_write, VU_MIG_DATA_SIZE, 0, NULL, NULL },
};
/* clang-format on */

static const struct command *find(uint16_t command)
{
    if (command >= VU_COMMAND_MAX || commands[command].handle == NULL)
        return NULL;
    return &commands[command];
}

/* ------------------------------------------------------------- replies -- */

struct vu_writer vus_reply_body(struct vus_reply *reply, size_t len)
{
    uint8_t *at = vu_buffer_extend(reply->out, len);

    if (at == NULL)
        return (struct vu_writer){ .err = -errno };     /* ENOBUFS: above the limit */
    return vu_writer(at, len);
}

/* Room for the header. False: there is none. */
static bool reply_begin(struct vus_reply *reply)
{
    reply->start = reply->out->len;
    reply->n_fds = 0;
    return vu_buffer_extend(reply->out, VU_HEADER_SIZE) != NULL;
}

static void reply_drop(struct vus_reply *reply)
{
    vu_buffer_truncate(reply->out, reply->start);
    reply->n_fds = 0;
}

static void log_reply(struct vfu_ctx *ctx, const struct vu_header *h,
                      const struct vus_reply *reply)
{
    char line[VU_TEXT_MAX];

    if (!vus_logs(ctx, LOG_DEBUG))
        return;
    vfu_log(ctx, LOG_DEBUG, "%s",
            vu_text(line, sizeof(line), h,
                    reply->out->data + reply->start + VU_HEADER_SIZE,
                    vus_reply_len(reply) - VU_HEADER_SIZE, reply->fds, reply->n_fds));
}

/* Complete the reply whose body a handler has written, or make it an error
 * (err negative): header only, no descriptors. */
static void reply_end(struct vfu_ctx *ctx, const struct vu_message *m,
                      struct vus_reply *reply, int err)
{
    struct vu_header h = {
        .msg_id = m->h.msg_id,
        .command = m->h.command,
        .flags = VU_F_TYPE_REPLY,
    };
    struct vu_writer w;

    if ((m->h.flags & VU_F_NO_REPLY) != 0) {
        reply_drop(reply);
        return;
    }
    if (err != 0) {
        vu_buffer_truncate(reply->out, reply->start + VU_HEADER_SIZE);
        reply->n_fds = 0;
        h.flags |= VU_F_ERROR;
        h.error = vu_wire_errno(err);
    }
    h.size = (uint32_t)vus_reply_len(reply);
    w = vu_writer(reply->out->data + reply->start, VU_HEADER_SIZE);
    vu_encode_header(&w, &h);
    log_reply(ctx, &h, reply);
}

/* ------------------------------------------------------------- process -- */

static int refuse(struct vfu_ctx *ctx, const struct vu_message *m, int err,
                  const char *why)
{
    char name[32];

    return vus_refuse(ctx, err, "%s refused: %s",
                      vu_command_name(m->h.command, name, sizeof(name)), why);
}

/* A command that the table does not have. */
static int refuse_unknown(struct vfu_ctx *ctx, const struct vu_message *m)
{
    const struct vu_command_info *info = vu_command_info(m->h.command);

    if (info == NULL)
        return refuse(ctx, m, -EINVAL, "no such command");
    if (info->direction != VU_TO_SERVER)
        return refuse(ctx, m, -EINVAL, "only a server sends this");
    return refuse(ctx, m, -EINVAL, "comes once, as the first message");     /* VERSION */
}

/* The rules that the table holds. 0 or negative errno. */
static int check(struct vfu_ctx *ctx, const struct vu_message *m,
                 const struct command *c)
{
    if (c == NULL)
        return refuse_unknown(ctx, m);
    if (m->body_len < c->min_body)
        return refuse(ctx, m, -EINVAL, "too short");
    if (m->fds_lost)
        return refuse(ctx, m, -EINVAL, "descriptors were lost on the way");
    if (c->max_fds != 0 && m->n_fds > c->max_fds)
        return refuse(ctx, m, -EINVAL, "too many descriptors");
    return 0;
}

static enum vus_outcome first_message(struct vfu_ctx *ctx, struct vu_message *m,
                                      struct vus_reply *reply)
{
    int err;

    if (m->h.command != VU_VERSION)
        err = refuse(ctx, m, -EINVAL, "VERSION comes first");
    else if (m->fds_lost)
        err = refuse(ctx, m, -EINVAL, "descriptors were lost on the way");
    else
        err = vus_on_version(ctx, m, reply);
    reply_end(ctx, m, reply, err);
    return err == 0 ? VUS_SERVED : VUS_FATAL;
}

/* Not a command. An answer to what is a reply could start a quarrel. */
static enum vus_outcome not_a_command(struct vfu_ctx *ctx, struct vu_message *m,
                                      struct vus_reply *reply)
{
    int err = vus_refuse(ctx, -EINVAL, "message of type %u is not a command",
                         vu_header_type(&m->h));

    if (vu_header_type(&m->h) == VU_F_TYPE_REPLY)
        reply_drop(reply);
    else
        reply_end(ctx, m, reply, err);
    return ctx->session.negotiated ? VUS_REFUSED : VUS_FATAL;
}

static void log_message(struct vfu_ctx *ctx, const struct vu_message *m)
{
    char line[VU_TEXT_MAX];

    if (vus_logs(ctx, LOG_DEBUG))
        vfu_log(ctx, LOG_DEBUG, "%s", vu_message_text(line, sizeof(line), m));
}

static enum vus_outcome process_quiesced(struct vfu_ctx *ctx, const struct command *c,
                                         struct vu_message *m, struct vus_reply *reply)
{
    int err = vus_quiesce_ask(ctx, VUS_LATER_COMMAND);

    if (ctx->quiesce.state == VUS_COMMAND_WAITS) {
        reply_drop(reply);
        return VUS_PENDING;
    }
    if (err != 0) {
        reply_end(ctx, m, reply, err);
        return VUS_REFUSED;
    }
    reply_end(ctx, m, reply, c->handle(ctx, m, reply));
    vus_quiesce_event(&ctx->quiesce, VUS_FINISHED);
    return VUS_SERVED;
}

enum vus_outcome vus_process(struct vfu_ctx *ctx, struct vu_message *m,
                             struct vus_reply *reply)
{
    const struct command *c = find(m->h.command);
    int err;

    if (!reply_begin(reply))
        return VUS_FATAL;
    log_message(ctx, m);
    if (vu_header_type(&m->h) != VU_F_TYPE_COMMAND)
        return not_a_command(ctx, m, reply);
    if (!ctx->session.negotiated)
        return first_message(ctx, m, reply);

    err = check(ctx, m, c);
    if (err == 0 && c->quiesce != NULL && c->quiesce(ctx, m))
        return process_quiesced(ctx, c, m, reply);
    if (err == 0)
        err = c->handle(ctx, m, reply);
    reply_end(ctx, m, reply, err);
    return VUS_SERVED;
}

enum vus_outcome vus_resume(struct vfu_ctx *ctx, struct vu_message *m,
                            struct vus_reply *reply, int err)
{
    const struct command *c = find(m->h.command);

    assert(ctx->quiesce.state == VUS_COMMAND_WAITS && c != NULL);
    vus_quiesce_event(&ctx->quiesce, err == 0 ? VUS_DONE : VUS_DROPPED);
    if (!reply_begin(reply))
        return VUS_FATAL;
    if (err == 0)
        err = c->handle(ctx, m, reply);
    reply_end(ctx, m, reply, err);
    return VUS_SERVED;
}

void vus_resumed(struct vfu_ctx *ctx)
{
    vus_quiesce_event(&ctx->quiesce, VUS_FINISHED);
}

bool vus_may_wait(const struct vfu_ctx *ctx, const struct vu_message *m)
{
    const struct command *c = find(m->h.command);

    return ctx->quiesce.cb != NULL && c != NULL && c->quiesce != NULL &&
           c->quiesce(ctx, m);
}

bool vus_may_cross(const struct vfu_ctx *ctx, const struct vu_message *m)
{
    const struct command *c = find(m->h.command);

    return vu_header_type(&m->h) == VU_F_TYPE_COMMAND && c != NULL && c->cross != NULL &&
           c->cross(ctx, m);
}

void vus_refuse_framing(struct vfu_ctx *ctx, struct vu_message *m,
                        struct vus_reply *reply)
{
    int err = vus_refuse(ctx, -EINVAL, "a message cannot have %u bytes: client dropped",
                         m->h.size);

    if (!reply_begin(reply))
        return;
    if (vu_header_type(&m->h) == VU_F_TYPE_REPLY)
        reply_drop(reply);
    else
        reply_end(ctx, m, reply, err);
}
