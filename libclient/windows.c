/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of DMA windows.
 */
#include "libclient/windows.h"

#include <errno.h>
#include <stdlib.h>

void vuc_windows_init(struct vuc_windows *w)
{
    *w = (struct vuc_windows){ .lock = PTHREAD_MUTEX_INITIALIZER };
}

/* A window that is in the tree no more. */
static void end(struct vuc_windows *w, struct vuc_window *window)
{
    vuc_file_put(&w->files, window->file);
    free(window);
}

/* With the lock. */
static void take_out(struct vuc_windows *w, struct vuc_window *window)
{
    vuc_interval_remove(&w->tree, &window->at);
    vuc_written_forget(&w->written, &window->at);
    w->count--;
    end(w, window);
}

static void take_all_out(struct vuc_windows *w)
{
    struct vuc_window *window;

    while ((window = vuc_interval_any(&w->tree, 0, UINT64_MAX)) != NULL)
        take_out(w, window);
}

void vuc_windows_done(struct vuc_windows *w)
{
    take_all_out(w);
    vuc_written_stop(&w->written);
    pthread_mutex_destroy(&w->lock);
}

/* ----------------------------------------------------- entering and leaving -- */

static int enter(struct vuc_windows *w, struct vuc_window *window)
{
    int err;

    pthread_mutex_lock(&w->lock);
    err = vuc_interval_add(&w->tree, &window->at);
    if (err == 0)
        w->count++;
    pthread_mutex_unlock(&w->lock);
    return err;
}

int vuc_windows_add(struct vuc_windows *w, const struct vuc_window *like, int fd,
                    uint64_t *id)
{
    struct vuc_window *window;
    int err = 0;

    if (vuc_interval_any(&w->tree, like->at.first, like->at.last) != NULL)
        return -EEXIST;
    window = malloc(sizeof(*window));
    if (window == NULL)
        return -ENOMEM;
    *window = *like;
    window->id = ++w->latest_id;
    window->file = NULL;
    if (fd != -1)
        err = vuc_file_get(&w->files, fd, &window->file);
    if (err == 0)
        err = enter(w, window);
    if (err < 0) {
        end(w, window);
        return err;
    }
    *id = window->id;
    return 0;
}

struct vuc_window *vuc_windows_exact(const struct vuc_windows *w, uint64_t address,
                                     uint64_t size)
{
    struct vuc_window *window = vuc_interval_any(&w->tree, address, address);

    if (window == NULL || window->at.first != address
        || window->at.last != address + (size - 1))
        return NULL;
    return window;
}

/* The window that has this id, if it is there still. */
static struct vuc_window *find(const struct vuc_windows *w, uint64_t address, uint64_t id)
{
    struct vuc_window *window = vuc_interval_any(&w->tree, address, address);

    return window != NULL && window->id == id ? window : NULL;
}

void vuc_windows_remove(struct vuc_windows *w, uint64_t address, uint64_t id)
{
    struct vuc_window *window = find(w, address, id);

    if (window == NULL)
        return;
    pthread_mutex_lock(&w->lock);
    take_out(w, window);
    pthread_mutex_unlock(&w->lock);
}

void vuc_windows_remove_all(struct vuc_windows *w)
{
    pthread_mutex_lock(&w->lock);
    take_all_out(w);
    pthread_mutex_unlock(&w->lock);
}

static void add_leaving(struct vuc_windows *w, uint64_t address, uint64_t id, int n)
{
    struct vuc_window *window = find(w, address, id);

    if (window == NULL)
        return;
    pthread_mutex_lock(&w->lock);
    window->leaving += (unsigned)n;
    pthread_mutex_unlock(&w->lock);
}

void vuc_windows_leave(struct vuc_windows *w, uint64_t address, uint64_t id)
{
    add_leaving(w, address, id, 1);
}

void vuc_windows_stay(struct vuc_windows *w, uint64_t address, uint64_t id)
{
    add_leaving(w, address, id, -1);
}

/* ------------------------------------------------------------ dirty logging -- */

void vuc_windows_report(struct vuc_windows *w, struct vfuc_dirty *dirty)
{
    pthread_mutex_lock(&w->lock);
    vuc_written_report(&w->written, dirty);
    pthread_mutex_unlock(&w->lock);
}

void vuc_windows_stop_logging(struct vuc_windows *w)
{
    pthread_mutex_lock(&w->lock);
    vuc_written_stop(&w->written);
    pthread_mutex_unlock(&w->lock);
}
