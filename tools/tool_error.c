/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Failures in words, the exit code that goes with each, and connecting, which is where
 * most of them happen.
 */
#include "tools/frame.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SENTENCE_MAX 512    /* of what the library says, and of what was being done */

static const char *command_name;    /* for messages; NULL before it is known */

void tool_error_command(const struct tool_command *command)
{
    command_name = command->name;
}

/* What a server sent may be in the sentence: nothing in it moves a terminal. */
static void make_printable(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
    }
}

static void __attribute__((format(printf, 1, 0))) complain(const char *format, va_list ap)
{
    char text[2 * SENTENCE_MAX + 64];

    tool_progress(NULL, "%s", "");
    fflush(stdout);     /* so that both are in order where they go to one place */
    vsnprintf(text, sizeof(text), format, ap);
    make_printable(text);
    fprintf(stderr, "vfu%s%s: %s\n", command_name != NULL ? " " : "",
            command_name != NULL ? command_name : "", text);
}

void tool_complain(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    complain(format, ap);
    va_end(ap);
}

int tool_fail(const struct tool_call *call, enum tool_exit code, const char *format, ...)
{
    va_list ap;

    (void)call;
    va_start(ap, format);
    complain(format, ap);
    va_end(ap);
    return (int)code;
}

int tool_misuse(const struct tool_call *call, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    complain(format, ap);
    va_end(ap);
    if (call->command != NULL)
        fprintf(stderr, "(vfu help %s shows how it is used)\n", call->command->name);
    else
        fputs("(vfu --help shows how it is used)\n", stderr);
    return TOOL_USAGE;
}

/* ------------------------------------------------ failures of the library -- */

static int exit_code(int err)
{
    switch (-err) {
    case EREMOTEIO:     /* the server said no */
    case EACCES:        /* the device says so beforehand */
    case ENOTSUP:
    case ENOSPC:
    case ENXIO:
    case ENODEV:
    case ENOTTY:
        return TOOL_REFUSED;
    case EPROTO:
    case ETIMEDOUT:
    case ENOTCONN:
        return TOOL_LOST;
    case EINVAL:
    case ERANGE:
    case EBADF:
    case ENAMETOOLONG:
        return TOOL_USAGE;
    default:
        return TOOL_FAILED;
    }
}

int tool_client_fail(const struct tool_call *call, struct vfuc_client *dev, int err,
                     const char *format, ...)
{
    const char *said = dev != NULL ? vfuc_last_error(dev) : "";
    int reason = dev != NULL && err == -EREMOTEIO ? vfuc_last_errno(dev) : 0;
    char doing[SENTENCE_MAX];
    va_list ap;

    va_start(ap, format);
    vsnprintf(doing, sizeof(doing), format, ap);
    va_end(ap);
    if (said[0] == '\0')
        said = strerror(-err);
    if (reason != 0)
        return tool_fail(call, exit_code(err), "%s: %s: %s", doing, said,
                         strerror(reason));
    return tool_fail(call, exit_code(err), "%s: %s", doing, said);
}

/* ------------------------------------------------------------- connecting -- */

static bool is_socket(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* What connect(2) said, in terms of what the user named. */
static int no_connection(const struct tool_call *call, const char *path, int err,
                         const char *said)
{
    switch (-err) {
    case ENOENT:
        return tool_fail(call, TOOL_LOST, "%s: there is no such socket", path);
    case ECONNREFUSED:
        if (!is_socket(path))
            return tool_fail(call, TOOL_LOST, "%s is not a socket", path);
        return tool_fail(call, TOOL_LOST, "%s: nobody listens there (any more)", path);
    case ETIMEDOUT:
        return tool_fail(call, TOOL_LOST, "%s: %s (it may be busy with another client)",
                         path, said[0] != '\0' ? said : "no answer in time");
    case ENOTDIR:
    case EACCES:
    case ELOOP:
    case EPROTOTYPE:
    case EPERM:
        return tool_fail(call, TOOL_LOST, "%s: %s", path, strerror(-err));
    default:
        return tool_fail(call, exit_code(err), "%s: %s", path,
                         said[0] != '\0' ? said : strerror(-err));
    }
}

int tool_connect(const struct tool_call *call, const char *path,
                 const struct vfuc_options *options, struct vfuc_client **dev)
{
    struct vfuc_options o = { 0 };
    char error[SENTENCE_MAX] = "";
    int err;

    if (options != NULL)
        o = *options;
    o.size = sizeof(o);
    o.timeout_ms = call->timeout_ms;
    o.error = error;
    o.error_len = sizeof(error);
    if (path[0] == '\0')
        return tool_misuse(call, "the path of the socket is empty");
    err = vfuc_connect(path, &o, dev);
    return err == 0 ? TOOL_OK : no_connection(call, path, err, error);
}
