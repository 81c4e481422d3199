/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The features of DEVICE_FEATURE that have a name, for `vfu info` and `vfu feature`.
 */
#ifndef TOOL_FEATURE_H
#define TOOL_FEATURE_H

#include "tools/tool.h"

struct tool_feature {
    uint32_t index;             /* enum vfuc_feature */
    const char *name;
    uint32_t methods;           /* VFUC_FEATURE_ that the specification gives it */
    const char *what;           /* for humans */
};

#define TOOL_N_FEATURES 5
extern const struct tool_feature tool_features[TOOL_N_FEATURES];

/* By index; NULL for what has no name. */
const struct tool_feature *tool_feature_find(uint32_t index);

/* A name, or a number. 0, or -EINVAL or -ERANGE after a sentence. */
int tool_feature_index(const char *text, uint32_t *index);

/* Which methods of a feature does the server have? Each is asked for alone. 0 with VFUC_
 * flags, or an exit code after a sentence. */
int tool_feature_probe(const struct tool_call *call, struct vfuc_client *dev,
                       const struct tool_feature *feature, uint32_t *have);

/* {"index", "name", "get", "set"}: the methods that a server has of it. */
struct json_object *tool_feature_json(const struct tool_feature *feature, uint32_t have);

/* "get, set", "get", "set" or "-" */
const char *tool_methods_text(uint32_t methods);

/* The flags of migration: "STOP_COPY, PRE_COPY". Returns buf. */
const char *tool_migration_text(uint64_t flags, char *buf, size_t len);

#endif
