/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Intervals in a tree of libc's.
 */
#include "libclient/interval.h"

#include <errno.h>
#include <search.h>
#include <stddef.h>

static int compare(const void *a, const void *b)
{
    const struct vuc_interval *x = a, *y = b;

    return x->last < y->first ? -1 : x->first > y->last;
}

int vuc_interval_add(void **tree, struct vuc_interval *at)
{
    void *node = tsearch(at, tree, compare);

    if (node == NULL)
        return -ENOMEM;
    return *(struct vuc_interval **)node == at ? 0 : -EEXIST;
}

void vuc_interval_remove(void **tree, struct vuc_interval *at)
{
    tdelete(at, tree, compare);
}

void *vuc_interval_any(void *const *tree, uint64_t first, uint64_t last)
{
    struct vuc_interval key = { first, last };
    void *node = tfind(&key, tree, compare);

    return node == NULL ? NULL : *(struct vuc_interval **)node;
}

/* Whatever is found first, what is below it lies deeper in the tree: there are no more
 * steps than the tree is high. */
void *vuc_interval_lowest(void *const *tree, uint64_t first, uint64_t last)
{
    struct vuc_interval *lowest = NULL, *found;

    while ((found = vuc_interval_any(tree, first, last)) != NULL) {
        lowest = found;
        if (found->first <= first)
            break;
        last = found->first - 1;
    }
    return lowest;
}
