/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Client memory in our address space: which parts of which files are mapped.
 *
 * Clients map many windows of few files, and the kernel allows some 65,000
 * mappings in a process. So windows of one file share a mapping: one per regular
 * file, protection and context, over the whole file if that is no waste. What
 * must be fast is the next window of a file that is mapped already; it costs no
 * memory and no mmap().
 *
 * A mapping never moves while a window uses it. A file that has grown gets a
 * further mapping for what the first one does not reach. Equal device and inode
 * numbers mean the same file for regular files alone (eventfds share theirs), so
 * anything else is mapped once per window, as are files for file I/O, which keep
 * their descriptor instead.
 *
 * One thread, the one that runs the context, gets and puts. libserver/guard.c
 * reads where mappings are in a signal handler, on any thread.
 */
#ifndef VUS_MAPPING_H
#define VUS_MAPPING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* The most that the mappings of one context take of the address space, in bytes:
 * half of what x86-64 has, so that the process lives on. */
#define VUS_MAX_MAPPED ((uint64_t)64 << 40)
/* The part of it that no window has asked for (the rest of files). */
#define VUS_MAX_SURPLUS ((uint64_t)16 << 40)

/* A range of a file in memory, or a file for file I/O. Its memory stays one of these
 * until vus_mappings_done(): a signal handler may look at any time. */
struct vus_mapping {
    atomic_uintptr_t base;      /* first byte; 0: nothing is mapped here */
    atomic_size_t len;          /* in bytes, whole pages */
    atomic_size_t granule;      /* the kernel maps parts of it in multiples of that */
    atomic_int prot;            /* PROT_* */
    void *memory;               /* as base, but for the thread that runs the context */
    int fd;                     /* owned; file I/O: the file; else -1 */
    bool file_io;
    bool regular;               /* dev and ino tell which file it is */
    bool steady;                /* the client can not make it shorter */
    uint64_t offset;            /* in the file, of base; file I/O: of the window */
    uint64_t surplus;           /* bytes that the first window had not asked for */
    size_t windows;             /* that use it */
    dev_t dev;
    ino_t ino;
    struct vus_mapping *next;   /* in its bucket, in `spare`, in `stuck` */
    struct vus_mapping **link;  /* in a bucket: what points to this one; else NULL */
};

struct vus_mapping_slab;

/* The mappings of one context. All zero is an empty one. */
struct vus_mappings {
    struct vus_mapping **buckets;   /* owned; by file and protection; NULL: none yet */
    size_t n_buckets;               /* a power of two */
    size_t n_shared;                /* mappings in buckets */
    size_t n;                       /* mappings that windows use, files too */
    uint64_t mapped;                /* bytes of address space taken, stuck ones too */
    uint64_t surplus;               /* bytes of these that no window has asked for */
    struct vus_mapping *spare;
    struct vus_mapping *stuck;      /* unused, but munmap() was refused (the kernel's */
    struct vus_mapping *last_stuck; /* limit on mappings); oldest first, tried again */
    size_t n_stuck;
    _Atomic(struct vus_mapping_slab *) slabs;   /* owned: all there are, newest first */
};

/* What a window gets. */
struct vus_backing {
    struct vus_mapping *mapping;    /* one use of it; NULL: no access, no file */
    struct iovec pages;             /* the window's own pages; NULL, 0: not mapped */
    void *vaddr;                    /* the window's first byte; NULL: not mapped */
    size_t page_size;               /* the file's, in bytes: 2 MiB for 2 MiB huge pages */
};

/*
 * Find or make the mapping for `size` bytes at `offset` of a file.
 *
 * fd       taken over also on failure; -1: there is no file, nothing is mapped
 * prot     PROT_READ and PROT_WRITE, exactly what the pages will permit; 0: the
 *          file is checked, nothing is mapped
 * file_io  keep the descriptor for libserver/copy.h, map nothing
 *
 * 0; -EINVAL: the file ends before; -EACCES: the descriptor does not permit that;
 * -ENODEV: such a file can not be mapped; others from fstat(2) and mmap(2).
 */
int vus_mapping_get(struct vus_mappings *ms, int fd, uint64_t offset, uint64_t size,
                    int prot, bool file_io, struct vus_backing *out);

/* Give one use back (NULL: none). After the last one memory and descriptor are gone
 * when this returns, unless the kernel refuses to unmap. */
void vus_mapping_put(struct vus_mappings *ms, struct vus_mapping *m);

/* Free the empty set. Memory that the kernel still refuses to unmap stays with the
 * process. */
void vus_mappings_done(struct vus_mappings *ms);

/* Which mapping holds that address: NULL if none does. For signal handlers: takes no
 * lock. The result holds while vus_guard_wait() would wait (libserver/guard.h). */
struct vus_mapping *vus_mapping_at(struct vus_mappings *ms, uintptr_t address);

#endif
