/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Copies to and from client memory, see copy.h.
 *
 * Access to a page that its file has no more raises SIGBUS in our code, but is EFAULT
 * for a system call. So unless the file can not shrink (then: memcpy), the kernel
 * copies. What that costs, with the page present, in ns for 64 B, 4 KiB and 1 MiB
 * (one machine; the ratios are what counts):
 *
 *     memcpy()                                    3     25   41,000
 *     process_vm_readv() on ourselves           560    590   65,000
 *     pread() of the file, pwrite()             250    280   70,000
 *     a pipe that is made and closed          2,400  2,400  147,000
 *
 * Not by descriptor, though it is the cheapest of these for a few bytes: each file
 * would occupy one for good, 65,000 of them, and pwrite() behind the end of a file
 * makes it longer. process_vm_readv() goes by address, and the pages are checked as
 * they are reached. Client memory is its local side, which the kernel accesses like
 * any buffer of a system call; the remote side is looked up page by page, which does
 * not work for memory of devices. Where the call is refused, as in some sandboxes, or
 * where both sides are such memory, a pipe does the same: slowly, always.
 *
 * At a page that is gone the call has copied all bytes before it and says so; the
 * next one, which begins there, gives EFAULT. In its last page a file has zeros
 * behind its end, not nothing: bytes there are read as zeros and lost when written.
 *
 * For file I/O pread() is right, and pwrite() where files do not grow. For a regular
 * file no check can be made in one step with pwrite(), so what is written goes
 * through a mapping made for it (5 us). Left is a file that can not be mapped for
 * writing at all: there the check comes first, and a client that is quick can make
 * us lengthen its file.
 */
#include "libserver/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "libserver/dma.h"

/* One copy, as the parts below share it. */
struct transfer {
    uint8_t *data;      /* ours */
    size_t len;
    bool to_guest;
};

/* --------------------------------------------------------- mapped memory -- */

/* Up to len bytes between two addresses, of which any may be gone. Bytes copied, or 0
 * for an end: something may be left in the pipe then. */
static size_t copy_by_pipe(const int pipe_fds[2], const void *from, void *to, size_t len)
{
    ssize_t in = write(pipe_fds[1], from, len);     /* no more than fits */

    if (in <= 0 || read(pipe_fds[0], to, (size_t)in) != in)
        return 0;
    return (size_t)in;
}

static int copy_through_pipe(uint8_t *guest, const struct transfer *t)
{
    int pipe_fds[2];
    size_t done = 0;
    size_t n;

    if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) != 0)
        return -EIO;
    do {
        n = copy_by_pipe(pipe_fds, t->to_guest ? t->data + done : guest + done,
                         t->to_guest ? guest + done : t->data + done, t->len - done);
        done += n;
    } while (n != 0 && done < t->len);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    return done == t->len ? 0 : -EIO;
}

/* Copy between our memory and client memory that may go at any time. */
static int copy_guarded(uint8_t *guest, const struct transfer *t)
{
    pid_t self = getpid();
    size_t done = 0;

    while (done < t->len) {
        struct iovec local = { guest + done, t->len - done };
        struct iovec remote = { t->data + done, t->len - done };
        ssize_t n = t->to_guest ? process_vm_readv(self, &local, 1, &remote, 1, 0)
                                : process_vm_writev(self, &local, 1, &remote, 1, 0);

        if (n <= 0)
            break;
        done += (size_t)n;
    }
    if (done == t->len)
        return 0;
    /* Refused, or one of the two sides is gone: the pipe finds out. */
    return copy_through_pipe(guest + done,
                             &(struct transfer){ t->data + done, t->len - done,
                                                 t->to_guest });
}

static int copy_mapped(const struct vus_window *w, uint64_t offset,
                       const struct transfer *t)
{
    uint8_t *guest = (uint8_t *)w->info.vaddr + offset;

    if (!vus_window_mapping(w)->steady)
        return copy_guarded(guest, t);
    if (t->to_guest)
        memcpy(guest, t->data, t->len);
    else
        memcpy(t->data, guest, t->len);
    return 0;
}

/* -------------------------------------------------------------- file I/O -- */

/* All of it by pread() or pwrite(), at `at` in the file. */
static int copy_by_descriptor(int fd, uint64_t at, const struct transfer *t)
{
    size_t done = 0;

    while (done < t->len) {
        size_t left = t->len - done;
        off_t pos = (off_t)(at + done);
        ssize_t n = t->to_guest ? pwrite(fd, t->data + done, left, pos)
                                : pread(fd, t->data + done, left, pos);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -EIO;
        done += (size_t)n;
    }
    return 0;
}

/* Whether the bytes are in the file, at this moment. */
static bool is_in_file(int fd, uint64_t at, size_t len)
{
    struct stat st;

    return fstat(fd, &st) == 0 && (uint64_t)st.st_size >= at &&
           (uint64_t)st.st_size - at >= len;
}

#define MAX_PIECE ((size_t)1 << 30)     /* bytes mapped at a time */

/* Write up to MAX_PIECE bytes without ever making the file longer. 0; -ENODEV: it can
 * not be mapped; -EIO. */
static int write_piece(const struct vus_mapping *m, uint64_t at, const struct transfer *t)
{
    uint64_t page = atomic_load_explicit(&m->granule, memory_order_relaxed);
    uint64_t before = at & (page - 1);
    size_t len = (size_t)((before + t->len + page - 1) & ~(page - 1));
    off_t from = (off_t)(at - before);
    uint8_t *memory = mmap(NULL, len, PROT_WRITE, MAP_SHARED, m->fd, from);
    int err;

    if (memory == MAP_FAILED)
        return -ENODEV;
    err = is_in_file(m->fd, at, t->len) ? copy_guarded(memory + before, t) : -EIO;
    munmap(memory, len);
    return err;
}

/* The file can not be mapped: look first. O_APPEND would turn any pwrite() into one
 * that makes it longer. */
static int write_checked(const struct vus_mapping *m, uint64_t at,
                         const struct transfer *t)
{
    int mode = fcntl(m->fd, F_GETFL);

    if (mode < 0 || (mode & O_APPEND) != 0 || !is_in_file(m->fd, at, t->len))
        return -EIO;
    return copy_by_descriptor(m->fd, at, t);
}

static int write_regular(const struct vus_mapping *m, uint64_t at,
                         const struct transfer *t)
{
    for (size_t done = 0; done < t->len;) {
        size_t left = t->len - done;
        struct transfer piece = {
            .data = t->data + done,
            .len = left < MAX_PIECE ? left : MAX_PIECE,
            .to_guest = true,
        };
        int err = write_piece(m, at + done, &piece);

        if (err == -ENODEV)
            err = write_checked(m, at + done, &piece);
        if (err != 0)
            return err;
        done += piece.len;
    }
    return 0;
}

static int copy_file(const struct vus_mapping *m, uint64_t offset,
                     const struct transfer *t)
{
    uint64_t at = m->offset + offset;

    if (t->to_guest && m->regular)
        return write_regular(m, at, t);
    return copy_by_descriptor(m->fd, at, t);
}

/* --------------------------------------------------------------- windows -- */

int vus_window_copy(const struct vus_window *w, uint64_t offset, void *data, size_t len,
                    bool to_guest)
{
    const struct vus_mapping *m = vus_window_mapping(w);
    struct transfer t = { .data = data, .len = len, .to_guest = to_guest };

    if ((w->info.prot & (to_guest ? PROT_WRITE : PROT_READ)) == 0)
        return -EACCES;
    if (m == NULL || offset > w->info.iova.iov_len ||
        len > w->info.iova.iov_len - offset)
        return -EFAULT;
    if (len == 0)
        return 0;
    return m->file_io ? copy_file(m, offset, &t) : copy_mapped(w, offset, &t);
}
