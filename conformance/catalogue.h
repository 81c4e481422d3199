/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The catalogue of requirements: what the protocol asks of a server or a client,
 * by id. Cases name ids; level, section and wording come from here.
 *
 * Loaded once from JSON (requirements.json) and then read only.
 */
#ifndef CT_CATALOGUE_H
#define CT_CATALOGUE_H

#include <stdbool.h>
#include <stddef.h>

enum ct_level { CT_MUST, CT_SHOULD, CT_MAY };

struct ct_requirement {
    char *id;      /* "HDR-02" */
    char *section; /* of the specification */
    enum ct_level level;
    bool for_server; /* applies to servers (or to both) */
    char *text;
};

struct ct_catalogue {
    struct ct_requirement *list; /* sorted by id */
    size_t count;
};

/* Parse len bytes of JSON. 0, -ENOMEM, or -EINVAL: why names entry and key. *c is set
 * only on success. */
int ct_catalogue_load(struct ct_catalogue *c, const char *json, size_t len, char *why,
                      size_t why_len);
void ct_catalogue_free(struct ct_catalogue *c);

/* NULL: there is no such id. */
const struct ct_requirement *ct_catalogue_find(const struct ct_catalogue *c,
                                               const char *id);

const char *ct_level_name(enum ct_level level);
/* 0, or -EINVAL for what is none of MUST, SHOULD and MAY. */
int ct_level_parse(const char *name, enum ct_level *level);

/* Length of the group's name in an id: 3 for "HDR-02". */
size_t ct_group_len(const char *id);

#endif
