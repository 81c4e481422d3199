/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Features by name, see feature.h.
 */
#include "tools/feature.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "tools/frame.h"

#define MAX_INDEX 0xffffu
#define GET VFUC_FEATURE_GET
#define SET VFUC_FEATURE_SET

const struct tool_feature tool_features[TOOL_N_FEATURES] = {
    { VFUC_FEATURE_MIGRATION, "migration", GET, "how the device can be migrated" },
    { VFUC_FEATURE_MIG_DEVICE_STATE, "mig-device-state", GET | SET,
      "the state of migration that it is in" },
    { VFUC_FEATURE_DMA_LOGGING_START, "dma-logging-start", SET,
      "note which pages the device writes" },
    { VFUC_FEATURE_DMA_LOGGING_STOP, "dma-logging-stop", SET, "note it no longer" },
    { VFUC_FEATURE_DMA_LOGGING_REPORT, "dma-logging-report", GET, "tell which" },
};

const struct tool_feature *tool_feature_find(uint32_t index)
{
    for (size_t i = 0; i < TOOL_N_FEATURES; i++) {
        if (tool_features[i].index == index)
            return &tool_features[i];
    }
    return NULL;
}

int tool_feature_index(const char *text, uint32_t *index)
{
    uint64_t number;
    int err;

    for (size_t i = 0; i < TOOL_N_FEATURES; i++) {
        if (strcasecmp(text, tool_features[i].name) == 0) {
            *index = tool_features[i].index;
            return 0;
        }
    }
    if (text[0] < '0' || text[0] > '9') {
        tool_complain("'%s' is no feature (%s to %s, or a number)", text,
                      tool_features[0].name, tool_features[TOOL_N_FEATURES - 1].name);
        return -EINVAL;
    }
    err = tool_number(text, "feature", MAX_INDEX, &number);
    if (err == 0)
        *index = (uint32_t)number;
    return err;
}

int tool_feature_probe(const struct tool_call *call, struct vfuc_client *dev,
                       const struct tool_feature *feature, uint32_t *have)
{
    static const uint32_t methods[] = { GET, SET };
    uint32_t found = 0;

    for (size_t i = 0; i < 2; i++) {
        int err;

        if ((feature->methods & methods[i]) == 0)
            continue;
        err = vfuc_feature_probe(dev, feature->index, methods[i]);
        if (err == 0)
            found |= methods[i];
        else if (err != -EREMOTEIO)
            return tool_client_fail(call, dev, err, "asking for the feature %s",
                                    feature->name);
    }
    *have = found;
    return 0;
}

static void add(struct json_object *object, const char *key, struct json_object *value)
{
    tool_json_add(object, key, value);
}

struct json_object *tool_feature_json(const struct tool_feature *feature, uint32_t have)
{
    struct json_object *object = tool_json_object();

    add(object, "index", tool_json_number(feature->index));
    add(object, "name", tool_json_string(feature->name));
    add(object, "get", tool_json_boolean((have & GET) != 0));
    add(object, "set", tool_json_boolean((have & SET) != 0));
    return object;
}

const char *tool_methods_text(uint32_t methods)
{
    switch (methods & (GET | SET)) {
    case GET | SET:
        return "get, set";
    case GET:
        return "get";
    case SET:
        return "set";
    default:
        return "-";
    }
}

const char *tool_migration_text(uint64_t flags, char *buf, size_t len)
{
    static const struct {
        uint64_t flag;
        const char *name;
    } names[] = {
        { VFUC_MIGRATION_STOP_COPY, "STOP_COPY" },
        { VFUC_MIGRATION_P2P, "P2P" },
        { VFUC_MIGRATION_PRE_COPY, "PRE_COPY" },
    };
    const char *separator = "";
    size_t used = 0;

    buf[0] = '\0';
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && used < len; i++) {
        if ((flags & names[i].flag) == 0)
            continue;
        used +=
            (size_t)snprintf(buf + used, len - used, "%s%s", separator, names[i].name);
        separator = ", ";
        flags &= ~names[i].flag;
    }
    if (flags != 0 && used < len)
        snprintf(buf + used, len - used, "%s0x%" PRIx64, separator, flags);
    return buf;
}
