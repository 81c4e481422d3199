/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mutant server's table of commands.
 */
#include "conformance/mutants/commands.h"

#include <errno.h>
#include <string.h>

#include "conformance/mutants/faults.h"

struct vu_reader ct_body_of(const struct vu_message *m)
{
    return vu_reader(m->body, m->body_len);
}

bool ct_mentions(const struct vu_message *m, const char *text)
{
    return memmem(m->body, m->body_len, text, strlen(text)) != NULL;
}

static ct_handler *const handlers[VU_COMMAND_MAX] = {
    [VU_VERSION] = ct_on_version,
    [VU_DMA_MAP] = ct_on_dma_map,
    [VU_DMA_UNMAP] = ct_on_dma_unmap,
    [VU_DEVICE_GET_INFO] = ct_on_info,
    [VU_DEVICE_GET_REGION_INFO] = ct_on_region_info,
    [VU_DEVICE_GET_REGION_IO_FDS] = ct_on_region_io_fds,
    [VU_DEVICE_GET_IRQ_INFO] = ct_on_irq_info,
    [VU_DEVICE_SET_IRQS] = ct_on_irq_set,
    [VU_REGION_READ] = ct_on_region_read,
    [VU_REGION_WRITE] = ct_on_region_write,
    [VU_DMA_READ] = ct_on_dma_read,
    [VU_DMA_WRITE] = ct_on_refused,
    [VU_DEVICE_RESET] = ct_on_reset,
    [VU_REGION_WRITE_MULTI] = ct_on_write_multi,
    [VU_DEVICE_FEATURE] = ct_on_feature,
    [VU_MIG_DATA_READ] = ct_on_refused,
    [VU_MIG_DATA_WRITE] = ct_on_refused,
};

/* Descriptors or bytes that the command has no use for; not those bytes that real clients
 * are known to add. */
static bool unexpected_extra(const struct vu_message *m)
{
    if (m->n_fds != 0 && m->h.command != VU_DMA_MAP && m->h.command != VU_DEVICE_SET_IRQS)
        return true;
    return m->h.command == VU_REGION_READ && m->body_len != VU_REGION_ACCESS_SIZE;
}

/* What the minimal manner has not heard of. */
static bool beyond_minimal(uint16_t command)
{
    return command == VU_DEVICE_GET_REGION_IO_FDS || command >= VU_DEVICE_RESET;
}

int ct_command(struct ct_client *c, struct vu_message *m, struct ct_reply *r)
{
    uint16_t command = m->h.command;
    bool early = fault(version_not_first) ||
                 (fault(negotiated_once) && c->server->ever_negotiated);

    if (!c->negotiated && command != VU_VERSION && !early) {
        r->close_client = true;
        return -EINVAL;
    }
    if (command >= VU_COMMAND_MAX || handlers[command] == NULL)
        return -ENOSYS;
    if (manner(minimal) && beyond_minimal(command))
        return -ENOSYS;
    if (manner(careful) && unexpected_extra(m))
        return -EINVAL;
    return handlers[command](c, m, r);
}
