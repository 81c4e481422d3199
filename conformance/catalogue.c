/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads the catalogue. Strictly: a misspelt key or level would otherwise weaken a
 * requirement in silence.
 */
#include "conformance/catalogue.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const level_names[] = {
    [CT_MUST] = "MUST", [CT_SHOULD] = "SHOULD", [CT_MAY] = "MAY"
};

const char *ct_level_name(enum ct_level level)
{
    return level_names[level];
}

int ct_level_parse(const char *name, enum ct_level *level)
{
    for (int i = CT_MUST; i <= CT_MAY; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level = i;
            return 0;
        }
    }
    return -EINVAL;
}

size_t ct_group_len(const char *id)
{
    return strcspn(id, "-");
}

/* Letters, a hyphen, digits: "DIRTY-07". */
static bool is_id(const char *s)
{
    size_t group = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    size_t digits;

    if (group == 0 || s[group] != '-')
        return false;
    digits = strspn(s + group + 1, "0123456789");
    return digits != 0 && s[group + 1 + digits] == '\0';
}

/* ------------------------------------------------------------------ entry -- */

struct loader {
    char *why;
    size_t why_len;
    size_t entry; /* being read, from 0 */
};

static int refuse(const struct loader *l, const char *what)
{
    snprintf(l->why, l->why_len, "entry %zu: %s", l->entry + 1, what);
    return -EINVAL;
}

/* A copy of the string under key, NULL when it is absent, empty or no string. */
static char *take_string(struct json_object *entry, const char *key)
{
    struct json_object *v;

    if (!json_object_object_get_ex(entry, key, &v) ||
        !json_object_is_type(v, json_type_string) || json_object_get_string_len(v) == 0)
        return NULL;
    return strdup(json_object_get_string(v));
}

static int check_keys(const struct loader *l, struct json_object *entry)
{
    static const char *const known[] = { "id",         "section",     "level",
                                         "applies_to", "requirement", "test_idea",
                                         "needs" };
    char why[128];

    json_object_object_foreach(entry, key, value)
    {
        bool found = false;

        (void)value;
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
            found = found || strcmp(key, known[i]) == 0;
        if (!found) {
            snprintf(why, sizeof(why), "unknown key '%s'", key);
            return refuse(l, why);
        }
    }
    return 0;
}

static int check_needs(const struct loader *l, struct json_object *entry)
{
    struct json_object *needs;

    if (!json_object_object_get_ex(entry, "needs", &needs))
        return 0;
    if (!json_object_is_type(needs, json_type_array))
        return refuse(l, "'needs' is no list");
    for (size_t i = 0; i < json_object_array_length(needs); i++) {
        if (!json_object_is_type(json_object_array_get_idx(needs, i), json_type_string))
            return refuse(l, "'needs' holds something that is no string");
    }
    return 0;
}

static int parse_scope(const struct loader *l, struct json_object *entry,
                       bool *for_server)
{
    char *scope = take_string(entry, "applies_to");
    int err = 0;

    if (scope == NULL || (strcmp(scope, "server") != 0 && strcmp(scope, "client") != 0 &&
                          strcmp(scope, "both") != 0))
        err = refuse(l, "'applies_to' is none of server, client and both");
    else
        *for_server = strcmp(scope, "client") != 0;
    free(scope);
    return err;
}

static int parse_level(const struct loader *l, struct json_object *entry,
                       enum ct_level *level)
{
    char *name = take_string(entry, "level");
    int err = 0;

    if (name == NULL || ct_level_parse(name, level) != 0)
        err = refuse(l, "'level' is none of MUST, SHOULD and MAY");
    free(name);
    return err;
}

/* On failure what was set in *r stays for the caller to free. */
static int parse_entry(const struct loader *l, struct json_object *entry,
                       struct ct_requirement *r)
{
    int err;

    if (!json_object_is_type(entry, json_type_object))
        return refuse(l, "is no object");
    if ((err = check_keys(l, entry)) != 0 || (err = check_needs(l, entry)) != 0 ||
        (err = parse_scope(l, entry, &r->for_server)) != 0 ||
        (err = parse_level(l, entry, &r->level)) != 0)
        return err;
    if ((r->id = take_string(entry, "id")) == NULL || !is_id(r->id))
        return refuse(l, "'id' is not of the form ABC-01");
    if ((r->section = take_string(entry, "section")) == NULL)
        return refuse(l, "'section' is missing");
    if ((r->text = take_string(entry, "requirement")) == NULL)
        return refuse(l, "'requirement' is missing");
    return 0;
}

/* -------------------------------------------------------------- catalogue -- */

static int compare(const void *a, const void *b)
{
    const struct ct_requirement *x = a, *y = b;

    return strcmp(x->id, y->id);
}

static int parse_list(struct ct_catalogue *c, struct json_object *root, struct loader *l)
{
    size_t n = json_object_array_length(root);
    int err;

    c->list = calloc(n != 0 ? n : 1, sizeof(*c->list));
    if (c->list == NULL)
        return -ENOMEM;
    for (l->entry = 0; l->entry < n; l->entry++) {
        c->count = l->entry + 1; /* a half-read entry is freed with the rest */
        err =
            parse_entry(l, json_object_array_get_idx(root, l->entry), &c->list[l->entry]);
        if (err != 0)
            return err;
    }
    qsort(c->list, c->count, sizeof(*c->list), compare);
    for (size_t i = 1; i < c->count; i++) {
        if (strcmp(c->list[i - 1].id, c->list[i].id) == 0) {
            snprintf(l->why, l->why_len, "'%s' is there twice", c->list[i].id);
            return -EINVAL;
        }
    }
    return 0;
}

static struct json_object *parse_json(const char *json, size_t len, char *why,
                                      size_t why_len)
{
    struct json_tokener *tok = json_tokener_new_ex(8);
    struct json_object *root = NULL;

    if (tok == NULL)
        return NULL;
    json_tokener_set_flags(tok, JSON_TOKENER_STRICT);
    if (len <= INT32_MAX)
        root = json_tokener_parse_ex(tok, json, (int)len);
    if (root == NULL)
        snprintf(why, why_len, "no JSON at byte %zu: %s", json_tokener_get_parse_end(tok),
                 json_tokener_error_desc(json_tokener_get_error(tok)));
    json_tokener_free(tok);
    return root;
}

int ct_catalogue_load(struct ct_catalogue *c, const char *json, size_t len, char *why,
                      size_t why_len)
{
    struct ct_catalogue new = { 0 };
    struct loader l = { .why = why, .why_len = why_len };
    struct json_object *root = parse_json(json, len, why, why_len);
    int err;

    if (root == NULL)
        return -EINVAL;
    if (!json_object_is_type(root, json_type_array)) {
        snprintf(why, why_len, "the catalogue is no list");
        err = -EINVAL;
    } else {
        err = parse_list(&new, root, &l);
    }
    json_object_put(root);
    if (err != 0)
        ct_catalogue_free(&new);
    else
        *c = new;
    return err;
}

void ct_catalogue_free(struct ct_catalogue *c)
{
    for (size_t i = 0; i < c->count; i++) {
        free(c->list[i].id);
        free(c->list[i].section);
        free(c->list[i].text);
    }
    free(c->list);
    *c = (struct ct_catalogue){ 0 };
}

const struct ct_requirement *ct_catalogue_find(const struct ct_catalogue *c,
                                               const char *id)
{
    const struct ct_requirement key = { .id = (char *)id };

    if (c->count == 0)
        return NULL;
    return bsearch(&key, c->list, c->count, sizeof(*c->list), compare);
}
