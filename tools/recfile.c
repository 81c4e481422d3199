/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files of the recording commands: see tools/recfile.h.
 */
#include "tools/recfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_ROOM ((size_t)1 << 20)

static int grow(struct tool_recfile *file, size_t *room)
{
    size_t more = *room == 0 ? FIRST_ROOM : 2 * *room;
    uint8_t *data;

    if (file->len >= TOOL_RECFILE_MAX)
        return -EFBIG;
    data = realloc(file->data, more);
    if (data == NULL)
        return -ENOMEM;
    file->data = data;
    *room = more;
    return 0;
}

static int read_all(int fd, struct tool_recfile *file)
{
    size_t room = 0;
    ssize_t n = 1;

    while (n != 0) {
        int err = file->len == room ? grow(file, &room) : 0;

        if (err != 0)
            return err;
        n = read(fd, file->data + file->len, room - file->len);
        if (n == -1 && errno != EINTR)
            return -errno;
        file->len += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int tool_recfile_load_fd(int fd, struct tool_recfile *file)
{
    int err;

    *file = (struct tool_recfile){ .data = NULL };
    lseek(fd, 0, SEEK_SET); /* what cannot seek is read from where it is */
    err = read_all(fd, file);
    if (err != 0)
        tool_recfile_done(file);
    return err;
}

int tool_recfile_load(const struct tool_call *call, const char *path,
                      struct tool_recfile *file)
{
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    int err = fd == -1 ? -errno : tool_recfile_load_fd(fd, file);

    if (fd != -1 && !is_stdin)
        close(fd);
    if (err == 0)
        return TOOL_OK;
    return tool_fail(call, TOOL_FAILED, "cannot read %s: %s",
                     is_stdin ? "standard input" : path, strerror(-err));
}

void tool_recfile_done(struct tool_recfile *file)
{
    free(file->data);
    *file = (struct tool_recfile){ .data = NULL };
}

int tool_write_all(int fd, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;

    while (len > 0) {
        ssize_t n = write(fd, at, len);

        if (n == -1 && errno != EINTR)
            return -errno;
        at += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}
