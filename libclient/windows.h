/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA windows: which memory of ours the server may reach, and what is behind it.
 *
 * A window is entered before the server hears of it, since a request for it may come
 * ahead of the reply, and is taken out when the server has said that it let go. It stays
 * when a connection is lost: the next one is told again. Requests look windows up by
 * address, in a tree; there may be as many as the server agreed to.
 *
 * The lock covers all of it. Who answers a request holds it from the look-up until the
 * answer has left, so that a window that is gone is in nobody's use. The client's own
 * thread, the only one that enters windows and takes them out, does so under the lock,
 * and looks at them without it.
 */
#ifndef VUC_WINDOWS_H
#define VUC_WINDOWS_H

#include <pthread.h>

#include "libclient/file.h"
#include "libclient/interval.h"
#include "libclient/written.h"

struct vuc_window {
    struct vuc_interval at;     /* first: it is in the tree */
    uint64_t id;                /* never used twice; above 0 */
    uint32_t flags;             /* VFUC_DMA_ */
    unsigned leaving;           /* unmappings on their way: requests are refused */
    uint8_t *memory;            /* lent by the caller, or NULL */
    struct vuc_file *file;      /* a user of it; NULL: the server got no descriptor */
    uint64_t offset;            /* of the window in the file */
};

struct vuc_windows {
    pthread_mutex_t lock;
    void *tree;
    void *files;                /* tree of struct vuc_file */
    uint64_t count;
    uint64_t latest_id;
    struct vuc_written written;

    vfuc_dma_read_fn *read;     /* for windows without memory and file, or NULL */
    vfuc_dma_write_fn *write;
    void *opaque;
};

void vuc_windows_init(struct vuc_windows *w);
void vuc_windows_done(struct vuc_windows *w);

/* Enter a copy of `like` (id and file are not looked at) with a copy of fd; -1: none.
 * 0, -EEXIST, -EBADF, -EMFILE, -ENOMEM. */
int vuc_windows_add(struct vuc_windows *w, const struct vuc_window *like, int fd,
                    uint64_t *id);

/* The window with exactly this range, or NULL. */
struct vuc_window *vuc_windows_exact(const struct vuc_windows *w, uint64_t address,
                                     uint64_t size);

/* Take out the window at this address, unless it is another one by now. */
void vuc_windows_remove(struct vuc_windows *w, uint64_t address, uint64_t id);
void vuc_windows_remove_all(struct vuc_windows *w);

/* Refuse requests for it; undo one such call. */
void vuc_windows_leave(struct vuc_windows *w, uint64_t address, uint64_t id);
void vuc_windows_stay(struct vuc_windows *w, uint64_t address, uint64_t id);

/* As vuc_written_report() and vuc_written_stop(), under the lock. */
void vuc_windows_report(struct vuc_windows *w, struct vfuc_dirty *dirty);
void vuc_windows_stop_logging(struct vuc_windows *w);

/* Tell a server all windows that there are; DMA logging has ended. 0, as vuc_call(), or
 * -ENOTSUP: it takes no descriptors any more. */
struct vfuc_client;
int vuc_windows_restore(struct vfuc_client *client);

#endif
