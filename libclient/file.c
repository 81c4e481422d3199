/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Copies of descriptors, shared, and reading and writing through them.
 */
#include "libclient/file.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODE_FLAGS (O_ACCMODE | O_APPEND | O_DIRECT | O_PATH)

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static int compare(const void *a, const void *b)
{
    const struct vuc_file *x = a, *y = b;

    if (x->dev != y->dev)
        return ORDER(x->dev, y->dev);
    if (x->ino != y->ino)
        return ORDER(x->ino, y->ino);
    return ORDER(x->mode, y->mode);
}

/* What fd is; nothing is owned yet. */
static int look_at(int fd, struct vuc_file *like)
{
    int flags = fcntl(fd, F_GETFL);
    struct stat st;

    if (flags < 0 || fstat(fd, &st) < 0)
        return -EBADF;
    *like = (struct vuc_file){
        .dev = st.st_dev,
        .ino = st.st_ino,
        .mode = flags & MODE_FLAGS,
        .fd = -1,
        .regular = S_ISREG(st.st_mode),
    };
    return 0;
}

static int copy(const struct vuc_file *like, int fd, struct vuc_file **file)
{
    struct vuc_file *f = malloc(sizeof(*f));
    int err;

    if (f == NULL)
        return -ENOMEM;
    *f = *like;
    f->users = 1;
    f->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (f->fd >= 0) {
        *file = f;
        return 0;
    }
    err = errno == EBADF ? -EBADF : -EMFILE;    /* all that F_DUPFD reports */
    free(f);
    return err;
}

static void end(struct vuc_file *file)
{
    close(file->fd);
    free(file);
}

int vuc_file_get(void **files, int fd, struct vuc_file **file)
{
    struct vuc_file like, *f, **node;
    int err = look_at(fd, &like);

    if (err < 0)
        return err;
    node = like.regular ? tfind(&like, files, compare) : NULL;
    if (node != NULL) {
        (*node)->users++;
        *file = *node;
        return 0;
    }
    err = copy(&like, fd, &f);
    if (err < 0)
        return err;
    if (f->regular && tsearch(f, files, compare) == NULL) {
        end(f);
        return -ENOMEM;
    }
    *file = f;
    return 0;
}

void vuc_file_put(void **files, struct vuc_file *file)
{
    if (file == NULL || --file->users > 0)
        return;
    if (file->regular)
        tdelete(file, files, compare);
    end(file);
}

/* ---------------------------------------------------------------- content -- */

int vuc_file_read(const struct vuc_file *file, void *buf, size_t len, uint64_t offset)
{
    uint8_t *at = buf;

    if ((file->mode & O_ACCMODE) == O_WRONLY)
        return -EACCES;
    while (len > 0) {
        ssize_t got = pread(file->fd, at, len, (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0 ? -EFAULT : -errno;
        at += got;
        offset += (uint64_t)got;
        len -= (size_t)got;
    }
    return 0;
}

/* Does the file reach so far? pwrite() past its end would make it longer. What is no
 * regular file does not grow. */
static int reaches(const struct vuc_file *file, uint64_t end_offset)
{
    struct stat st;

    if (!file->regular)
        return 0;
    if (fstat(file->fd, &st) < 0)
        return -errno;
    return st.st_size < 0 || end_offset > (uint64_t)st.st_size ? -EFAULT : 0;
}

int vuc_file_write(const struct vuc_file *file, const void *buf, size_t len,
                   uint64_t offset)
{
    const uint8_t *at = buf;
    int err;

    /* With O_APPEND the bytes would land at the end, whatever offset says. */
    if ((file->mode & O_ACCMODE) == O_RDONLY || (file->mode & O_APPEND) != 0)
        return -EACCES;
    err = reaches(file, offset + len);
    if (err < 0)
        return err;
    while (len > 0) {
        ssize_t put = pwrite(file->fd, at, len, (off_t)offset);

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put == 0 ? -EIO : -errno;
        at += put;
        offset += (uint64_t)put;
        len -= (size_t)put;
    }
    return 0;
}
