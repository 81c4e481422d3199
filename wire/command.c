/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of commands, and what goes into the error field of a reply.
 */
#include "wire/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "wire/caps.h"
#include "wire/messages.h"

#define ANY  VU_BODY_UNBOUNDED
#define FDS  VU_MAX_MSG_FDS
#define JSON (VU_VERSION_SIZE + VU_CAPS_MAX_BYTES)

#define ROW(name, to, ...) [VU_##name] = { #name, VU_TO_##to, __VA_ARGS__ }

/* clang-format off */
static const struct vu_command_info commands[VU_COMMAND_MAX] = {
    /*                                    request    reply   descriptors length
     *                              to    min  max  min  max   req reply determined */
    ROW(VERSION,                  SERVER,  4, JSON,  4, JSON,   0,   1, false),
    ROW(DMA_MAP,                  SERVER, 32,   32,  0,    0,   1,   0, false),
    ROW(DMA_UNMAP,                SERVER, 24,   40, 24,  ANY,   0,   0, false),
    ROW(DEVICE_GET_INFO,          SERVER, 16,   16, 16,   16,   0,   0, false),
    ROW(DEVICE_GET_REGION_INFO,   SERVER, 32,   32, 32,  ANY,   0, FDS, false),
    ROW(DEVICE_GET_REGION_IO_FDS, SERVER, 16,   16, 16,  ANY,   0, FDS, false),
    ROW(DEVICE_GET_IRQ_INFO,      SERVER, 16,   16, 16,   16,   0,   0, false),
    ROW(DEVICE_SET_IRQS,          SERVER, 20,  ANY,  0,    0, FDS,   0, false),
    ROW(REGION_READ,              SERVER, 16,   16, 16,  ANY,   0,   0, false),
    ROW(REGION_WRITE,             SERVER, 16,  ANY, 16,   16,   0,   0, true),
    ROW(DMA_READ,                 CLIENT, 16,   16, 16,  ANY,   0,   0, false),
    ROW(DMA_WRITE,                CLIENT, 16,  ANY, 12,   16,   0,   0, false),
    ROW(DEVICE_RESET,             SERVER,  0,    0,  0,    0,   0,   0, false),
    ROW(REGION_WRITE_MULTI,       SERVER,  8,  ANY,  8,    8,   0,   0, true),
    ROW(DEVICE_FEATURE,           SERVER,  8,  ANY,  8,  ANY,   0,   0, false),
    ROW(MIG_DATA_READ,            SERVER,  8,    8,  8,  ANY,   0,   0, false),
    ROW(MIG_DATA_WRITE,           SERVER,  8,  ANY,  0,    0,   0,   0, false),
};
/* clang-format on */

const struct vu_command_info *vu_command_info(uint16_t command)
{
    if (command >= VU_COMMAND_MAX || commands[command].name == NULL)
        return NULL;
    return &commands[command];
}

const char *vu_command_name(uint16_t command, char *buf, unsigned long len)
{
    const struct vu_command_info *info = vu_command_info(command);

    if (info != NULL)
        return info->name;
    snprintf(buf, len, "COMMAND_%u", (unsigned)command);
    return buf;
}

uint32_t vu_wire_errno(int err)
{
    if (err == -EBADMSG || err == -ENOBUFS)
        return EINVAL;
    /* libc's own list keeps out gaps and codes internal to the kernel. */
    if (err >= 0 || err < -4095 || strerrorname_np(-err) == NULL)
        return EIO;
    return (uint32_t)-err;
}
