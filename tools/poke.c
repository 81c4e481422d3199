/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From "bar0:0x30=2:4" to a register that is written.
 */
#include "tools/poke.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/access.h"

#define DEFAULT_WIDTH 4

struct poke {
    uint32_t region;
    uint64_t offset, value;
    unsigned width;
};

static uint64_t largest(unsigned width)
{
    return width == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * width) - 1;
}

/* The pieces of the text, cut at the separators. */
static bool split(char *text, char **offset, char **value, char **width)
{
    *offset = strchr(text, ':');
    *value = strchr(text, '=');
    if (*offset == NULL || *value == NULL || *value < *offset)
        return false;
    *width = strchr(*value, ':');
    *(*offset)++ = '\0';
    *(*value)++ = '\0';
    if (*width != NULL)
        *(*width)++ = '\0';
    return true;
}

/* 0, or TOOL_USAGE after a sentence. */
static int parse(const struct tool_call *call, const char *text, struct poke *poke)
{
    char copy[128], *offset, *value, *width;

    *poke = (struct poke){ .width = DEFAULT_WIDTH };
    if (strlen(text) >= sizeof(copy) ||
        !split(strcpy(copy, text), &offset, &value, &width))
        return tool_misuse(call, "--write: '%s' is not REGION:OFFSET=VALUE[:WIDTH], as "
                           "bar0:0x30=2", text);
    if (tool_region(copy, &poke->region) != 0 ||
        tool_number(offset, "--write: OFFSET", UINT64_MAX, &poke->offset) != 0)
        return TOOL_USAGE;
    if (width != NULL && tool_width(call, width, &poke->width) != 0)
        return TOOL_USAGE;
    if (tool_number(value, "--write: VALUE", largest(poke->width), &poke->value) != 0)
        return TOOL_USAGE;
    return 0;
}

int tool_pokes_check(const struct tool_call *call)
{
    struct poke poke;
    size_t position = 0;
    const char *text;
    int status = 0;

    while (status == 0 &&
           (text = tool_next_value(call, TOOL_POKE_LETTER, &position)) != NULL)
        status = parse(call, text, &poke);
    return status;
}

static int fits(const struct tool_call *call, struct vfuc_client *dev,
                const struct poke *poke)
{
    const struct vfuc_region *region;
    char name[32];
    int err = vfuc_region_info(dev, poke->region, &region);

    tool_region_name(poke->region, name, sizeof(name));
    if (err != 0)
        return tool_client_fail(call, dev, err, "--write: %s", name);
    if (region->size == 0)
        return tool_fail(call, TOOL_USAGE, "--write: the device has no %s", name);
    if (poke->offset <= region->size && poke->width <= region->size - poke->offset)
        return 0;
    return tool_fail(call, TOOL_USAGE, "--write: %s has 0x%" PRIx64 " bytes: %u at 0x%"
                     PRIx64 " are not all in it", name, region->size, poke->width,
                     poke->offset);
}

int tool_pokes_fit(const struct tool_call *call, struct vfuc_client *dev)
{
    size_t position = 0;
    struct poke poke;
    const char *text;
    int status = 0;

    while (status == 0 &&
           (text = tool_next_value(call, TOOL_POKE_LETTER, &position)) != NULL) {
        status = parse(call, text, &poke);
        if (status == 0)
            status = fits(call, dev, &poke);
    }
    return status;
}

int tool_pokes_write(const struct tool_call *call, struct vfuc_client *dev)
{
    size_t position = 0;
    struct poke poke;
    uint8_t bytes[8];
    char name[32];
    const char *text;

    while ((text = tool_next_value(call, TOOL_POKE_LETTER, &position)) != NULL) {
        int err = parse(call, text, &poke);

        if (err != 0)
            return err;
        tool_put_le(bytes, poke.width, poke.value);
        err = vfuc_region_write(dev, poke.region, poke.offset, bytes, poke.width);
        if (err != 0)
            return tool_client_fail(call, dev, err, "writing %s+0x%" PRIx64,
                                    tool_region_name(poke.region, name, sizeof(name)),
                                    poke.offset);
    }
    return 0;
}
