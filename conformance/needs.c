/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names of what cases may need.
 */
#include "conformance/needs.h"

#include <string.h>

static const char *const names[] = {
#define X(name) #name,
    CT_NEEDS(X)
#undef X
};

const char *ct_need_name(enum ct_need need)
{
    return names[need];
}

int ct_need_find(const char *name)
{
    for (int i = 0; i < CT_N_NEEDS; i++) {
        if (strcmp(names[i], name) == 0)
            return i;
    }
    return -1;
}
