/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The library's own copies to and from client memory. A client that shrinks its
 * file meanwhile gets -EIO out of them, never SIGBUS.
 */
#ifndef VUS_COPY_H
#define VUS_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vus_window;

/*
 * Copy between `data` and a window, which the caller has pinned. Any thread.
 *
 * offset    in the window, in bytes; offset + len lie in it
 * to_guest  direction: from `data` to the window
 *
 * 0; -EFAULT: the window has no file, or the range is not in it; -EACCES: it does not
 * permit that direction; -EIO: the file has no such bytes any more, or can not be read
 * or written. A part may have been copied on failure.
 */
int vus_window_copy(const struct vus_window *w, uint64_t offset, void *data, size_t len,
                    bool to_guest);

#endif
