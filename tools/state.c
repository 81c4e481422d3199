/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Saved states of devices: see state.h.
 */
#include "tools/state.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define VERSION 1u

static const uint8_t magic[8] = { 'V', 'F', 'U', 'S', 'T', 'A', 'T', 'E' };

uint32_t tool_crc32(uint32_t crc, const void *data, size_t len)
{
    /* The polynomial's remainders of the sixteen values of half a byte. */
    static const uint32_t half[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    const uint8_t *p = data;

    crc = ~crc;
    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        crc = crc >> 4 ^ half[crc & 15];
        crc = crc >> 4 ^ half[crc & 15];
    }
    return ~crc;
}

/* ---------------------------------------------------------------- numbers -- */

static void put16(uint8_t *to, uint16_t value)
{
    value = htole16(value);
    memcpy(to, &value, sizeof(value));
}

static void put32(uint8_t *to, uint32_t value)
{
    value = htole32(value);
    memcpy(to, &value, sizeof(value));
}

static void put64(uint8_t *to, uint64_t value)
{
    value = htole64(value);
    memcpy(to, &value, sizeof(value));
}

static uint16_t get16(const uint8_t *from)
{
    uint16_t value;

    memcpy(&value, from, sizeof(value));
    return le16toh(value);
}

static uint32_t get32(const uint8_t *from)
{
    uint32_t value;

    memcpy(&value, from, sizeof(value));
    return le32toh(value);
}

static uint64_t get64(const uint8_t *from)
{
    uint64_t value;

    memcpy(&value, from, sizeof(value));
    return le64toh(value);
}

/* ---------------------------------------------------------------- writing -- */

void tool_state_header(uint8_t bytes[TOOL_STATE_HEADER_SIZE],
                       const struct tool_state_identity *identity)
{
    memset(bytes, 0, TOOL_STATE_HEADER_SIZE);
    memcpy(bytes, magic, sizeof(magic));
    put32(bytes + 8, VERSION);
    put32(bytes + 12, TOOL_STATE_HEADER_SIZE);
    put16(bytes + 16, identity->vendor);
    put16(bytes + 18, identity->device);
    put16(bytes + 20, identity->subvendor);
    put16(bytes + 22, identity->subsystem);
    put32(bytes + 24, identity->class_revision);
}

void tool_state_chunk(uint8_t bytes[4], uint32_t len)
{
    put32(bytes, len);
}

void tool_state_end(uint8_t bytes[TOOL_STATE_END_SIZE], uint32_t crc, uint64_t total)
{
    put32(bytes, 0);
    put32(bytes + 4, crc);
    put64(bytes + 8, total);
}

/* ---------------------------------------------------------------- reading -- */

void tool_state_reader_init(struct tool_state_reader *r)
{
    memset(r, 0, sizeof(*r));
    r->at = TOOL_AT_HEADER;
}

/* Gather a fixed part of `size` bytes. True when it is whole; it is in r->fixed then. */
static bool gather(struct tool_state_reader *r, const uint8_t **bytes, size_t *len,
                   size_t size)
{
    size_t n = size - r->n_fixed < *len ? size - r->n_fixed : *len;

    if (n > 0)
        memcpy(r->fixed + r->n_fixed, *bytes, n);
    r->n_fixed += n;
    *bytes += n;
    *len -= n;
    if (r->n_fixed < size)
        return false;
    r->n_fixed = 0;
    return true;
}

static const char *read_header(struct tool_state_reader *r)
{
    if (memcmp(r->fixed, magic, sizeof(magic)) != 0)
        return "it is no saved state of a device";
    if (get32(r->fixed + 8) != VERSION)
        return "it is of a version that this program does not know";
    if (get32(r->fixed + 12) != TOOL_STATE_HEADER_SIZE || get32(r->fixed + 28) != 0)
        return "its header is damaged";
    r->identity = (struct tool_state_identity){
        .vendor = get16(r->fixed + 16),
        .device = get16(r->fixed + 18),
        .subvendor = get16(r->fixed + 20),
        .subsystem = get16(r->fixed + 22),
        .class_revision = get32(r->fixed + 24),
    };
    return NULL;
}

static const char *read_end(const struct tool_state_reader *r)
{
    if (get64(r->fixed + 4) != r->total)
        return "data are missing: its end tells of another number of bytes";
    if (get32(r->fixed) != r->crc)
        return "its data are damaged: the checksum differs";
    return NULL;
}

/* A step that is not data. The part, or -EBADMSG. */
static int fixed_part(struct tool_state_reader *r, const char **why)
{
    switch (r->at) {
    case TOOL_AT_HEADER:
        *why = read_header(r);
        r->at = TOOL_AT_LENGTH;
        return *why == NULL ? TOOL_STATE_IDENTITY : -EBADMSG;
    case TOOL_AT_LENGTH:
        r->left = get32(r->fixed);
        r->at = r->left == 0 ? TOOL_AT_END : TOOL_AT_DATA;
        if (r->left <= TOOL_STATE_CHUNK_MAX)
            return TOOL_STATE_NOTHING;
        *why = "it is damaged: a chunk is longer than any can be";
        return -EBADMSG;
    default:
        *why = read_end(r);
        r->at = TOOL_AT_EOF;
        return *why == NULL ? TOOL_STATE_COMPLETE : -EBADMSG;
    }
}

static size_t fixed_size(const struct tool_state_reader *r)
{
    return r->at == TOOL_AT_HEADER ? TOOL_STATE_HEADER_SIZE
         : r->at == TOOL_AT_LENGTH ? 4
         : TOOL_STATE_END_SIZE - 4;
}

static void take_data(struct tool_state_reader *r, const uint8_t *bytes, size_t len)
{
    r->crc = tool_crc32(r->crc, bytes, len);
    r->total += len;
    r->left -= (uint32_t)len;
    if (r->left == 0)
        r->at = TOOL_AT_LENGTH;
}

int tool_state_next(struct tool_state_reader *r, const uint8_t *bytes, size_t len,
                    size_t *used, const uint8_t **data, size_t *data_len,
                    const char **why)
{
    const uint8_t *at = bytes;
    int part = TOOL_STATE_NOTHING;

    while (len > 0 && part == TOOL_STATE_NOTHING) {
        if (r->at == TOOL_AT_EOF) {
            *why = "something follows its end";
            return -EBADMSG;
        }
        if (r->at == TOOL_AT_DATA) {
            size_t n = len < r->left ? len : r->left;

            *data = at;
            *data_len = n;
            take_data(r, at, n);
            *used = (size_t)(at - bytes) + n;
            return TOOL_STATE_DATA;
        }
        if (gather(r, &at, &len, fixed_size(r)))
            part = fixed_part(r, why);
    }
    *used = (size_t)(at - bytes);
    return part;
}
