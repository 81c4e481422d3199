/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lets allocations of the library fail. For tests that are linked with ALLOC_WRAP of
 * libserver/CMakeLists.txt, so that only our own objects are affected; included once.
 */
#ifndef VUS_TESTS_ALLOC_H
#define VUS_TESTS_ALLOC_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

static _Thread_local struct {
    unsigned seen;      /* allocations since alloc_reset() */
    unsigned fails_at;  /* this one fails, counted from 1; 0: none does */
    bool then_all;      /* and all later ones */
} alloc;

static inline void alloc_fail(unsigned at, bool then_all)
{
    alloc.seen = 0;
    alloc.fails_at = at;
    alloc.then_all = then_all;
}

static inline void alloc_reset(void)
{
    alloc_fail(0, false);
}

static inline bool alloc_fails(void)
{
    alloc.seen++;
    return alloc.seen == alloc.fails_at ||
           (alloc.fails_at != 0 && alloc.then_all && alloc.seen > alloc.fails_at);
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return alloc_fails() ? NULL : __real_malloc(size);
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    return alloc_fails() ? NULL : __real_calloc(n, size);
}

void *__real_realloc(void *at, size_t size);
void *__wrap_realloc(void *at, size_t size);
void *__wrap_realloc(void *at, size_t size)
{
    return alloc_fails() ? NULL : __real_realloc(at, size);
}

int __real_posix_memalign(void **at, size_t align, size_t size);
int __wrap_posix_memalign(void **at, size_t align, size_t size);
int __wrap_posix_memalign(void **at, size_t align, size_t size)
{
    return alloc_fails() ? ENOMEM : __real_posix_memalign(at, align, size);
}

#endif
