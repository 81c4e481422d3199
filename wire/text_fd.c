/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a descriptor is, in a word: for the text of messages and for messages of
 * tools. Looks at this process's own table only, and never reads from the file.
 */
#include "wire/text.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* "anon_inode:[eventfd]" becomes "eventfd". */
static const char *anonymous(char *buf, size_t len, const char *link)
{
    const char *name = strchr(link, ':');
    size_t end;

    name = name == NULL ? link : name + 1;
    name += *name == '[';
    end = strcspn(name, "]");
    if (end == 0)
        snprintf(buf, len, "anonymous");
    else
        snprintf(buf, len, "%.*s", (int)end, name);
    return buf;
}

static const char *by_mode(mode_t mode)
{
    return S_ISSOCK(mode)   ? "socket"
           : S_ISFIFO(mode) ? "pipe"
           : S_ISDIR(mode)  ? "directory"
           : S_ISCHR(mode)  ? "chardev"
           : S_ISBLK(mode)  ? "blockdev"
                            : "anonymous";
}

const char *vu_fd_text(char *buf, size_t len, int fd)
{
    char path[32], link[64] = "";
    struct stat st;
    ssize_t n;

    if (fd < 0 || fstat(fd, &st) != 0) {
        snprintf(buf, len, "bad");
        return buf;
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    n = readlink(path, link, sizeof(link) - 1);
    link[n < 0 ? 0 : n] = '\0';
    if (strncmp(link, "anon_inode:", 11) == 0)
        return anonymous(buf, len, link);
    if (S_ISREG(st.st_mode))
        snprintf(buf, len, "%s:%lld", strncmp(link, "/memfd:", 7) == 0 ? "memfd" : "file",
                 (long long)st.st_size);
    else
        snprintf(buf, len, "%s", by_mode(st.st_mode));
    return buf;
}
