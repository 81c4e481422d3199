/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The chosen fault or manner, and the text of the tables.
 */
#include "conformance/mutants/faults.h"

#include <stdio.h>
#include <string.h>

#define ROW(name, id, words, also, text) { #name, id, words, also, text },
static const struct {
    const char *name, *id, *words, *also, *text;
} rows[] = { FAULTS(ROW) };

static enum ct_fault chosen;

bool ct_fault_is(enum ct_fault f)
{
    return chosen == f;
}

bool ct_fault_choose(const char *name)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].name, name) == 0) {
            chosen = (enum ct_fault)(i + 1);
            return true;
        }
    }
    return false;
}

void ct_fault_list(void)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        printf("%s\t%s\t%s\t%s\t%s\n", rows[i].name, rows[i].id, rows[i].words,
               rows[i].also, rows[i].text);
}

#define MANNER_ROW(name, text) { #name, text },
static const struct {
    const char *name, *text;
} manner_rows[] = { MANNERS(MANNER_ROW) };

static enum ct_manner chosen_manner;

bool ct_manner_is(enum ct_manner m)
{
    return chosen_manner == m;
}

bool ct_manner_choose(const char *name)
{
    for (size_t i = 0; i < sizeof(manner_rows) / sizeof(manner_rows[0]); i++) {
        if (strcmp(manner_rows[i].name, name) == 0) {
            chosen_manner = (enum ct_manner)(i + 1);
            return true;
        }
    }
    return false;
}

void ct_manner_list(void)
{
    for (size_t i = 0; i < sizeof(manner_rows) / sizeof(manner_rows[0]); i++)
        printf("%s\t%s\n", manner_rows[i].name, manner_rows[i].text);
}
