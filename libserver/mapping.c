/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Client memory in our address space, see mapping.h.
 *
 * From the top: storage, the index by file, mapping and unmapping, the calls of
 * windows. A client decides how often and in what order all of it is called, so no
 * step here walks a list of its making to the end.
 */
#include "libserver/mapping.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libserver/guard.h"

/* What a window asks for. */
struct wish {
    int fd;
    struct stat st;
    uint64_t offset;        /* in the file, bytes */
    uint64_t size;
    uint64_t page_size;     /* the file's */
    uint64_t first;         /* its pages: offset of the first one, bytes of all */
    uint64_t len;
    int prot;
};

/* ------------------------------------------------------------- storage -- */

#define SLAB_SIZE 32u       /* mappings */

struct vus_mapping_slab {
    struct vus_mapping_slab *next;
    struct vus_mapping mappings[SLAB_SIZE];
};

static void keep_spare(struct vus_mappings *ms, struct vus_mapping *m)
{
    m->next = ms->spare;
    ms->spare = m;
}

static int add_slab(struct vus_mappings *ms)
{
    struct vus_mapping_slab *slab = calloc(1, sizeof(*slab));

    if (slab == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < SLAB_SIZE; i++)
        keep_spare(ms, &slab->mappings[i]);
    slab->next = atomic_load_explicit(&ms->slabs, memory_order_relaxed);
    atomic_store(&ms->slabs, slab);
    return 0;
}

/* One without memory or descriptor. NULL: out of memory. */
static struct vus_mapping *take_spare(struct vus_mappings *ms)
{
    struct vus_mapping *m;

    if (ms->spare == NULL && add_slab(ms) != 0)
        return NULL;
    m = ms->spare;
    ms->spare = m->next;
    m->next = NULL;
    m->link = NULL;
    m->memory = NULL;
    m->fd = -1;
    m->file_io = false;
    m->steady = false;
    m->surplus = 0;
    m->windows = 1;
    return m;
}

/* The guard reads these on other threads, from the time that base is set. */
static void show_to_guard(struct vus_mapping *m, size_t len, size_t granule, int prot)
{
    atomic_store_explicit(&m->len, len, memory_order_relaxed);
    atomic_store_explicit(&m->granule, granule, memory_order_relaxed);
    atomic_store_explicit(&m->prot, prot, memory_order_relaxed);
    atomic_store(&m->base, (uintptr_t)m->memory);
}

static void hide_from_guard(struct vus_mapping *m)
{
    atomic_store(&m->base, 0);
    vus_guard_wait();
}

static size_t mapping_len(const struct vus_mapping *m)
{
    return atomic_load_explicit(&m->len, memory_order_relaxed);
}

struct vus_mapping *vus_mapping_at(struct vus_mappings *ms, uintptr_t address)
{
    struct vus_mapping_slab *slab = atomic_load(&ms->slabs);

    for (; slab != NULL; slab = slab->next) {
        for (size_t i = 0; i < SLAB_SIZE; i++) {
            struct vus_mapping *m = &slab->mappings[i];
            uintptr_t base = atomic_load(&m->base);

            if (base != 0 && address >= base && address - base < mapping_len(m))
                return m;
        }
    }
    return NULL;
}

/* --------------------------------------------------------------- index -- */

#define FIRST_BUCKETS 64u

/* Mappings of a bucket that a search looks at. Only a file that is too large for a
 * mapping of its own, or that grows all the time, has more; its windows then do
 * without sharing. */
#define MAX_STEPS 32

static size_t bucket_of(dev_t dev, ino_t ino, int prot, size_t n_buckets)
{
    uint64_t h = ((uint64_t)ino << 2 | (unsigned int)prot) ^ (uint64_t)dev << 40;

    /* Inode numbers come in sequences: mix all bits into the low ones. */
    h = (h ^ h >> 32) * 0x9e3779b97f4a7c15u;
    h = (h ^ h >> 29) * 0xbf58476d1ce4e5b9u;
    return (size_t)(h ^ h >> 32) & (n_buckets - 1);
}

static void link_into(struct vus_mapping **bucket, struct vus_mapping *m)
{
    m->next = *bucket;
    m->link = bucket;
    if (m->next != NULL)
        m->next->link = &m->next;
    *bucket = m;
}

static void unlink_from_bucket(struct vus_mapping *m)
{
    *m->link = m->next;
    if (m->next != NULL)
        m->next->link = m->link;
    m->next = NULL;
    m->link = NULL;
}

static struct vus_mapping **bucket_for(struct vus_mappings *ms,
                                       const struct vus_mapping *m)
{
    int prot = atomic_load_explicit(&m->prot, memory_order_relaxed);

    return &ms->buckets[bucket_of(m->dev, m->ino, prot, ms->n_buckets)];
}

/* Room for one more in the index. Fails only if there is none at all. */
static int grow_index(struct vus_mappings *ms)
{
    size_t n = ms->buckets == NULL ? FIRST_BUCKETS : 2 * ms->n_buckets;
    struct vus_mapping **old = ms->buckets;
    size_t n_old = ms->n_buckets;
    struct vus_mapping **buckets;

    if (ms->n_shared < n_old)
        return 0;
    buckets = calloc(n, sizeof(struct vus_mapping *));
    if (buckets == NULL)
        return old != NULL ? 0 : -ENOMEM;
    ms->buckets = buckets;
    ms->n_buckets = n;
    for (size_t i = 0; i < n_old; i++) {
        while (old[i] != NULL) {
            struct vus_mapping *m = old[i];

            unlink_from_bucket(m);
            link_into(bucket_for(ms, m), m);
        }
    }
    free(old);
    return 0;
}

static bool is_of_file(const struct vus_mapping *m, const struct wish *w)
{
    return m->ino == w->st.st_ino && m->dev == w->st.st_dev &&
           atomic_load_explicit(&m->prot, memory_order_relaxed) == w->prot;
}

static bool covers(const struct vus_mapping *m, const struct wish *w)
{
    return w->first >= m->offset && w->first - m->offset <= mapping_len(m) &&
           w->len <= mapping_len(m) - (w->first - m->offset);
}

/* A mapping that reaches far enough, or NULL and whether there is another one of
 * the same file. */
static struct vus_mapping *find_shared(struct vus_mappings *ms, const struct wish *w,
                                       bool *known)
{
    struct vus_mapping **bucket;
    struct vus_mapping *m;

    *known = false;
    if (ms->buckets == NULL)
        return NULL;
    bucket = &ms->buckets[bucket_of(w->st.st_dev, w->st.st_ino, w->prot, ms->n_buckets)];
    m = *bucket;
    for (int i = 0; m != NULL && i < MAX_STEPS; i++, m = m->next) {
        if (!is_of_file(m, w))
            continue;
        *known = true;
        if (covers(m, w)) {
            unlink_from_bucket(m);      /* the next window is likely to want it too */
            link_into(bucket, m);
            return m;
        }
    }
    return NULL;
}

/* -------------------------------------------------------------- memory -- */

static size_t system_page(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

#define MAX_PAGE ((uint64_t)1 << 30)    /* the largest huge page */

/* Bytes of a page of the file: 2 MiB for 2 MiB huge pages. */
static uint64_t file_page(const struct stat *st)
{
    uint64_t page = st->st_blksize > 0 ? (uint64_t)st->st_blksize : 0;

    /* Some file systems report a preferred size that is no page size. */
    if (page < system_page() || page > MAX_PAGE || (page & (page - 1)) != 0)
        return system_page();
    return page;
}

static uint64_t round_up(uint64_t value, uint64_t page)
{
    return (value + page - 1) & ~(page - 1);
}

/* False: the kernel would have to split a mapping and has no room for another. */
static bool unmap(struct vus_mappings *ms, struct vus_mapping *m)
{
    if (munmap(m->memory, mapping_len(m)) != 0)
        return false;
    ms->mapped -= mapping_len(m);
    ms->surplus -= m->surplus;
    keep_spare(ms, m);
    return true;
}

static void keep_stuck(struct vus_mappings *ms, struct vus_mapping *m)
{
    ms->n_stuck++;
    m->next = NULL;
    if (ms->stuck == NULL)
        ms->stuck = m;
    else
        ms->last_stuck->next = m;
    ms->last_stuck = m;
}

/* Try again what could not be unmapped: there may be room now. Those that fail
 * again go to the end, so that a few tries per call reach all in time. */
static void retry_stuck(struct vus_mappings *ms, size_t tries)
{
    for (; ms->stuck != NULL && tries != 0; tries--) {
        struct vus_mapping *m = ms->stuck;

        ms->stuck = m->next;
        ms->n_stuck--;
        if (!unmap(ms, m))
            keep_stuck(ms, m);
    }
}

#define STUCK_TRIES 4u

/* Whether each page up to `end` of the file has memory, which the client can not take
 * away. Huge pages it can take by punching holes, as the kernel need not have others. */
static bool is_steady(const struct wish *w, uint64_t end)
{
    int seals = fcntl(w->fd, F_GET_SEALS);  /* -1 but for memfds */
    struct stat st;

    if (seals == -1 || (seals & F_SEAL_SHRINK) == 0 || w->page_size != system_page())
        return false;
    /* Once more: it may have been cut before it was sealed. */
    return fstat(w->fd, &st) == 0 && round_up((uint64_t)st.st_size, w->page_size) >= end;
}

/* Map `len` bytes at `offset` of the file, whole pages both, for a first window.
 * NULL with *err on failure, else *err is 0, as in what follows. */
static struct vus_mapping *map_range(struct vus_mappings *ms, const struct wish *w,
                                     uint64_t offset, uint64_t len, int *err)
{
    struct vus_mapping *m;
    void *at;

    *err = -ENOMEM;
    if (len > VUS_MAX_MAPPED - ms->mapped || (size_t)len != len)
        return NULL;
    m = take_spare(ms);
    if (m == NULL)
        return NULL;
    at = mmap(NULL, (size_t)len, w->prot, MAP_SHARED, w->fd, (off_t)offset);
    if (at == MAP_FAILED) {
        *err = -errno;
        keep_spare(ms, m);
        return NULL;
    }
    madvise(at, (size_t)len, MADV_DONTDUMP);    /* core dumps are no place for it */
    m->memory = at;
    m->offset = offset;
    m->surplus = len - w->len;
    m->regular = S_ISREG(w->st.st_mode);
    m->steady = is_steady(w, offset + len);
    ms->mapped += len;
    ms->surplus += m->surplus;
    show_to_guard(m, (size_t)len, (size_t)w->page_size, w->prot);
    *err = 0;
    return m;
}

/* Address space is short where the user says so, by a limit that the windows
 * themselves need. */
static bool surplus_is_fine(const struct vus_mappings *ms, uint64_t surplus)
{
    uint64_t most = VUS_MAX_SURPLUS;
    struct rlimit limit;

    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        limit.rlim_cur / 8 < most)
        most = limit.rlim_cur / 8;
    return ms->surplus <= most && surplus <= most - ms->surplus;
}

/* Map as much of a regular file as later windows may want: all of it, or, if the
 * file has grown since that was done, all from this window on. */
static struct vus_mapping *map_file(struct vus_mappings *ms, const struct wish *w,
                                    bool known, int *err)
{
    uint64_t start = known ? w->first : 0;
    uint64_t len = round_up((uint64_t)w->st.st_size, w->page_size) - start;
    struct vus_mapping *m = NULL;

    if (surplus_is_fine(ms, len - w->len))
        m = map_range(ms, w, start, len, err);
    if (m == NULL)
        m = map_range(ms, w, w->first, w->len, err);
    if (m == NULL)
        return NULL;
    m->dev = w->st.st_dev;
    m->ino = w->st.st_ino;
    link_into(bucket_for(ms, m), m);
    ms->n_shared++;
    return m;
}

/* --------------------------------------------------------------- calls -- */

/* Whether mmap() would give this descriptor that protection, had it been asked. */
static int check_descriptor(int fd, int prot)
{
    int mode = fcntl(fd, F_GETFL);
    int seals;

    if (mode < 0)
        return -errno;
    if ((mode & O_PATH) != 0)
        return -EBADF;
    if ((mode & O_ACCMODE) == O_WRONLY)
        return -EACCES;
    if ((prot & PROT_WRITE) == 0)
        return 0;
    if ((mode & O_ACCMODE) != O_RDWR)
        return -EACCES;
    seals = fcntl(fd, F_GET_SEALS);
    if (seals != -1 && (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0)
        return -EPERM;
    return 0;
}

static struct vus_mapping *get_regular(struct vus_mappings *ms, const struct wish *w,
                                       int *err)
{
    bool known;
    struct vus_mapping *m = find_shared(ms, w, &known);

    if (m == NULL) {
        *err = grow_index(ms);
        return *err != 0 ? NULL : map_file(ms, w, known, err);
    }
    *err = check_descriptor(w->fd, w->prot);
    if (*err != 0)
        return NULL;
    m->windows++;
    return m;
}

/* For a window that is read and written as a file. */
static int check_file_access(int fd, int prot)
{
    int mode = fcntl(fd, F_GETFL);

    if (mode < 0)
        return -errno;
    if ((mode & O_PATH) != 0)
        return -EBADF;
    mode &= O_ACCMODE;
    if (((prot & PROT_READ) != 0 && mode == O_WRONLY) ||
        ((prot & PROT_WRITE) != 0 && mode == O_RDONLY))
        return -EACCES;
    return 0;
}

static struct vus_mapping *get_file_io(struct vus_mappings *ms, const struct wish *w,
                                       int *err)
{
    struct vus_mapping *m;

    *err = check_file_access(w->fd, w->prot);
    if (*err != 0)
        return NULL;
    m = take_spare(ms);
    if (m == NULL) {
        *err = -ENOMEM;
        return NULL;
    }
    m->fd = w->fd;
    m->file_io = true;
    atomic_store_explicit(&m->granule, (size_t)w->page_size, memory_order_relaxed);
    m->offset = w->offset;
    m->regular = S_ISREG(w->st.st_mode);
    return m;
}

static int check_size(const struct wish *w)
{
    if (w->size == 0 || w->offset > INT64_MAX || w->size > INT64_MAX - w->offset)
        return -EINVAL;
    /* Access behind the end would raise SIGBUS. */
    if (S_ISREG(w->st.st_mode) && w->offset + w->size > (uint64_t)w->st.st_size)
        return -EINVAL;
    return 0;
}

/* All that a wish needs of the file. */
static int look_at_file(struct wish *w)
{
    int err;

    if (fstat(w->fd, &w->st) != 0)
        return -errno;
    err = check_size(w);
    if (err != 0)
        return err;
    w->page_size = file_page(&w->st);
    w->first = w->offset & ~(w->page_size - 1);
    w->len = round_up(w->offset - w->first + w->size, w->page_size);
    return 0;
}

/* One use of a mapping with the access that is wished, which is some. */
static struct vus_mapping *get_mapping(struct vus_mappings *ms, const struct wish *w,
                                       bool file_io, int *err)
{
    struct vus_mapping *m;

    if (file_io)
        m = get_file_io(ms, w, err);
    else if (S_ISREG(w->st.st_mode))
        m = get_regular(ms, w, err);
    else
        m = map_range(ms, w, w->first, w->len, err);
    if (m != NULL && m->windows == 1)
        ms->n++;
    return m;
}

/* Where the window is in its mapping. */
static void show_window(const struct wish *w, struct vus_backing *b)
{
    b->pages.iov_base = (uint8_t *)b->mapping->memory + (w->first - b->mapping->offset);
    b->pages.iov_len = (size_t)w->len;
    b->vaddr = (uint8_t *)b->pages.iov_base + (w->offset - w->first);
}

int vus_mapping_get(struct vus_mappings *ms, int fd, uint64_t offset, uint64_t size,
                    int prot, bool file_io, struct vus_backing *out)
{
    struct wish w = { .fd = fd, .offset = offset, .size = size, .prot = prot };
    struct vus_backing b = { .page_size = system_page() };
    int err;

    if (fd == -1) {
        *out = b;
        return 0;
    }
    retry_stuck(ms, STUCK_TRIES);
    err = look_at_file(&w);
    if (err == 0 && prot != 0)      /* without access there is nothing to map */
        b.mapping = get_mapping(ms, &w, file_io, &err);
    if (b.mapping == NULL || !file_io)
        close(fd);
    if (err != 0)
        return err;
    b.page_size = (size_t)w.page_size;
    if (b.mapping != NULL && !file_io)
        show_window(&w, &b);
    *out = b;
    return 0;
}

void vus_mapping_put(struct vus_mappings *ms, struct vus_mapping *m)
{
    if (m == NULL)
        return;
    assert(m->windows != 0);
    if (--m->windows != 0)
        return;
    ms->n--;
    if (m->file_io) {
        close(m->fd);
        keep_spare(ms, m);
        return;
    }
    if (m->link != NULL) {
        unlink_from_bucket(m);
        ms->n_shared--;
    }
    hide_from_guard(m);
    if (unmap(ms, m))
        retry_stuck(ms, STUCK_TRIES);
    else
        keep_stuck(ms, m);
}

void vus_mappings_done(struct vus_mappings *ms)
{
    struct vus_mapping_slab *slab = atomic_load(&ms->slabs);

    assert(ms->n == 0);
    retry_stuck(ms, ms->n_stuck);
    retry_stuck(ms, ms->n_stuck);   /* the first round may have made room */
    atomic_store(&ms->slabs, NULL);
    vus_guard_wait();
    while (slab != NULL) {
        struct vus_mapping_slab *next = slab->next;

        free(slab);
        slab = next;
    }
    free(ms->buckets);
    *ms = (struct vus_mappings){ 0 };
}
