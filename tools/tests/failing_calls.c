/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Linked into vfu in place of libc's and json-c's own: calls that hardly ever fail. The
 * one of number VFU_FAILS_AT fails, and the file VFU_FAILED is made then. Calls that
 * shared libraries make among themselves are not counted.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static bool over;

/* Whatever counts lines or leaks at the end makes calls of its own. */
static void __attribute__((destructor)) end(void)
{
    over = true;
}

static bool fails(int error)
{
    static long left = -1;
    const char *at = getenv("VFU_FAILS_AT"), *mark = getenv("VFU_FAILED");

    if (left == -1)
        left = at != NULL ? strtol(at, NULL, 10) : 0;
    if (over || left == 0 || --left != 0)
        return false;
    if (mark != NULL)
        syscall(SYS_close, syscall(SYS_openat, AT_FDCWD, mark, O_CREAT | O_WRONLY, 0600));
    errno = error;
    return true;
}

/* Visible, or linkers complain that shared libraries call them, which they do not. */
#define FAILING(type, name, parameters, arguments, result, error) \
    type __real_##name parameters;                                \
    type __wrap_##name parameters                                 \
        __attribute__((visibility("default")));                   \
    type __wrap_##name parameters                                 \
    {                                                             \
        if (fails(error))                                         \
            return result;                                        \
        return __real_##name arguments;                           \
    }

FAILING(void *, malloc, (size_t size), (size), NULL, ENOMEM)
FAILING(void *, calloc, (size_t n, size_t size), (n, size), NULL, ENOMEM)
FAILING(void *, realloc, (void *at, size_t size), (at, size), NULL, ENOMEM)
FAILING(void *, reallocarray, (void *at, size_t n, size_t size), (at, n, size), NULL, ENOMEM)
FAILING(char *, strdup, (const char *text), (text), NULL, ENOMEM)
FAILING(char *, strndup, (const char *text, size_t n), (text, n), NULL, ENOMEM)
FAILING(int, vasprintf, (char **text, const char *format, va_list ap), (text, format, ap),
        -1, ENOMEM)
FAILING(FILE *, open_memstream, (char **text, size_t *len), (text, len), NULL, ENOMEM)
FAILING(FILE *, fdopen, (int fd, const char *mode), (fd, mode), NULL, ENOMEM)
FAILING(FILE *, fopen, (const char *path, const char *mode), (path, mode), NULL, EMFILE)
FAILING(pid_t, fork, (void), (), -1, EAGAIN)
FAILING(int, memfd_create, (const char *name, unsigned flags), (name, flags), -1, EMFILE)
FAILING(int, eventfd, (unsigned value, int flags), (value, flags), -1, EMFILE)
FAILING(int, pipe2, (int *ends, int flags), (ends, flags), -1, EMFILE)
FAILING(int, socket, (int domain, int type, int protocol), (domain, type, protocol), -1,
        EMFILE)
FAILING(int, socketpair, (int domain, int type, int protocol, int *ends),
        (domain, type, protocol, ends), -1, EMFILE)
FAILING(int, epoll_create1, (int flags), (flags), -1, EMFILE)
FAILING(int, mkostemp, (char *path, int flags), (path, flags), -1, EMFILE)
FAILING(void *, mmap, (void *at, size_t len, int prot, int flags, int fd, off_t offset),
        (at, len, prot, flags, fd, offset), MAP_FAILED, ENOMEM)
FAILING(int, fstat, (int fd, struct stat *st), (fd, st), -1, EIO)
FAILING(int, ftruncate, (int fd, off_t len), (fd, len), -1, EIO)
FAILING(ssize_t, pread, (int fd, void *buf, size_t len, off_t offset),
        (fd, buf, len, offset), -1, EIO)
FAILING(ssize_t, pwrite, (int fd, const void *buf, size_t len, off_t offset),
        (fd, buf, len, offset), -1, EIO)

FAILING(json_object *, json_object_new_object, (void), (), NULL, ENOMEM)
FAILING(json_object *, json_object_new_array, (void), (), NULL, ENOMEM)
FAILING(json_object *, json_object_new_boolean, (json_bool value), (value), NULL, ENOMEM)
FAILING(json_object *, json_object_new_double, (double value), (value), NULL, ENOMEM)
FAILING(json_object *, json_object_new_uint64, (uint64_t value), (value), NULL, ENOMEM)
FAILING(json_object *, json_object_new_string, (const char *text), (text), NULL, ENOMEM)
FAILING(json_object *, json_object_new_string_len, (const char *text, int len), (text, len),
        NULL, ENOMEM)
FAILING(int, json_object_object_add, (json_object *to, const char *key, json_object *value),
        (to, key, value), -1, ENOMEM)
FAILING(int, json_object_array_add, (json_object *to, json_object *value), (to, value), -1,
        ENOMEM)
FAILING(const char *, json_object_to_json_string_ext, (json_object *o, int flags),
        (o, flags), NULL, ENOMEM)
