/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files behind windows: our copies of the caller's descriptors.
 *
 * A guest's memory is one file and many windows, so windows of one regular file share one
 * copy, if they were opened alike. Two descriptors of other kinds may well be different
 * things with the same inode number (eventfds are): those have a copy each.
 */
#ifndef VUC_FILE_H
#define VUC_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct vuc_file {
    dev_t dev;          /* these three are the key of those that are shared */
    ino_t ino;
    int mode;           /* flags of fcntl(F_GETFL) that decide what can be done */
    int fd;             /* owned */
    bool regular;
    unsigned users;
};

/* A copy of fd (lent), or one more user of one that is there already. `files` is the tree
 * of those that are shared, NULL at first. 0, -EBADF, -EMFILE, -ENOMEM. */
int vuc_file_get(void **files, int fd, struct vuc_file **file);

/* One user less; the last one closes it. NULL is fine. */
void vuc_file_put(void **files, struct vuc_file *file);

/*
 * All of len bytes at offset. 0; -EACCES: it was not opened for that; -EFAULT: the file
 * ends before; or what pread(2) and pwrite(2) report. Writing makes no file longer.
 */
int vuc_file_read(const struct vuc_file *file, void *buf, size_t len, uint64_t offset);
int vuc_file_write(const struct vuc_file *file, const void *buf, size_t len,
                   uint64_t offset);

#endif
