/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The descriptors of a replayed session: see tools/replay_fds.h.
 */
#include "tools/replay_fds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for one more of an array. */
static int make_room(void **array, size_t n, size_t *room, size_t size)
{
    size_t more = *room == 0 ? 16 : 2 * *room;
    void *grown;

    if (n < *room)
        return 0;
    grown = realloc(*array, more * size);
    if (grown == NULL)
        return -ENOMEM;
    *array = grown;
    *room = more;
    return 0;
}

#define MAKE_ROOM(f, array, n, room) \
    make_room((void **)&(f)->array, (f)->n, &(f)->room, sizeof(*(f)->array))

void tool_replay_fds_done(struct tool_replay_fds *f)
{
    for (size_t i = 0; i < f->n_files; i++)
        close(f->files[i].fd);
    for (size_t i = 0; i < f->n_slots; i++)
        close(f->slots[i].fd);
    for (size_t i = 0; i < f->n_kept; i++)
        close(f->kept[i]);
    free(f->files);
    free(f->slots);
    free(f->kept);
    *f = (struct tool_replay_fds){ 0 };
}

/* ------------------------------------------------------------------- files -- */

int tool_replay_file(const struct tool_replay_fds *f, uint64_t number)
{
    for (size_t i = 0; i < f->n_files && number != 0; i++) {
        if (f->files[i].number == number)
            return f->files[i].fd;
    }
    return -1;
}

int tool_replay_file_set(struct tool_replay_fds *f, uint64_t number, int fd)
{
    int err;

    for (size_t i = 0; i < f->n_files; i++) {
        if (f->files[i].number == number) {
            close(f->files[i].fd);
            f->files[i].fd = fd;
            return 0;
        }
    }
    err = MAKE_ROOM(f, files, n_files, files_room);
    if (err != 0) {
        close(fd);
        return err;
    }
    f->files[f->n_files++] = (struct tool_replay_file){ .number = number, .fd = fd };
    return 0;
}

/* The recording says how large; a file of zeros costs nothing, whatever that is. */
static int make_memfd(uint64_t size)
{
    int fd = memfd_create("vfu-replay", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int err;

    if (fd == -1)
        return -errno;
    if (ftruncate(fd, size > INT64_MAX ? INT64_MAX : (off_t)size) == 0)
        return fd;
    err = -errno;
    close(fd);
    return err;
}

int tool_replay_file_make(struct tool_replay_fds *f, uint64_t number, uint64_t size)
{
    int fd = tool_replay_file(f, number);
    int err;

    if (fd != -1)
        return fd;
    fd = make_memfd(size);
    if (fd < 0)
        return fd;
    err = tool_replay_file_set(f, number, fd);
    return err == 0 ? fd : err;
}

/* ------------------------------------------------------------------ making -- */

static int keep(struct tool_replay_fds *f, int fd)
{
    int err = MAKE_ROOM(f, kept, n_kept, kept_room);

    if (err != 0) {
        close(fd);
        return err;
    }
    f->kept[f->n_kept++] = fd;
    return 0;
}

/* One end of a pair for the server; the other stays open here, as at the client. */
static int keep_other(struct tool_replay_fds *f, const int *ends, int given)
{
    int err = keep(f, ends[1 - given]);

    if (err == 0)
        return ends[given];
    close(ends[given]);
    return err;
}

static int duplicate(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    return copy == -1 ? -errno : copy;
}

/* The file again, with the access that the client's descriptor allowed. */
static int pass_file(int fd, uint8_t access)
{
    char path[32];
    int copy;

    if (access == O_RDWR)
        return duplicate(fd);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    copy = open(path, (access == O_WRONLY ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
    return copy == -1 ? -errno : copy;
}

static int make_file(struct tool_replay_fds *f, const struct tool_record_fd *d)
{
    int fd, passed;

    if (d->file != 0) {
        fd = tool_replay_file_make(f, d->file, d->size);
        return fd < 0 ? fd : pass_file(fd, d->access);
    }
    fd = make_memfd(d->size);
    if (fd < 0)
        return fd;
    passed = pass_file(fd, d->access);
    close(fd);
    return passed;
}

static int make_fd(struct tool_replay_fds *f, const struct tool_record_fd *d)
{
    int ends[2];
    int fd;

    switch (d->kind) {
    case TOOL_FD_MEMFD:
    case TOOL_FD_FILE:
        return make_file(f, d);
    case TOOL_FD_EVENTFD:
        fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        return fd == -1 ? -errno : fd;
    case TOOL_FD_PIPE:
        if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) == -1)
            return -errno;
        return keep_other(f, ends, d->access == O_RDONLY ? 0 : 1);
    case TOOL_FD_SOCKET:
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == -1)
            return -errno;
        return keep_other(f, ends, 0);
    default:
        return make_memfd(0);
    }
}

static int add_slot(struct tool_replay_fds *f, const struct vu_irq_set *set, size_t i,
                    int fd)
{
    int copy = duplicate(fd);
    int err = MAKE_ROOM(f, slots, n_slots, slots_room);

    if (copy < 0)
        return copy;
    if (err != 0) {
        close(copy);
        return err;
    }
    f->slots[f->n_slots++] = (struct tool_replay_slot){
        .index = set->index,
        .vector = set->start + (uint32_t)i,
        .unmask = (set->flags & VU_IRQ_SET_ACTION_UNMASK) != 0,
        .fd = copy,
    };
    return 0;
}

/* Eventfds of SET_IRQS are waited for later. */
static int keep_slots(struct tool_replay_fds *f, const struct tool_step *step,
                      const int *fds)
{
    struct vu_bytes body = tool_step_body(step);
    struct vu_reader r = vu_reader(body.data, body.len);
    struct vu_irq_set set;
    int err = 0;

    if (step->h.command != VU_DEVICE_SET_IRQS || vu_decode_irq_set(&r, &set) != 0)
        return 0;
    for (size_t i = 0; i < step->n_fds && err == 0; i++) {
        if (step->fds[i].kind == TOOL_FD_EVENTFD)
            err = add_slot(f, &set, i, fds[i]);
    }
    return err;
}

int tool_replay_fds_make(struct tool_replay_fds *f, const struct tool_step *step,
                         int *fds)
{
    size_t n = 0;
    int err = 0;

    while (n < step->n_fds && err == 0) {
        int fd = make_fd(f, &step->fds[n]);

        if (fd < 0)
            err = fd;
        else
            fds[n++] = fd;
    }
    if (err == 0)
        err = keep_slots(f, step, fds);
    while (err != 0 && n > 0)
        close(fds[--n]);
    return err;
}

/* ----------------------------------------------------------------- signals -- */

static bool is_slot_of(const struct tool_replay_slot *slot, const struct tool_step *event)
{
    return slot->index == event->values[0] && slot->vector == event->values[1] &&
           slot->unmask == (event->direction == VU_TO_SERVER);
}

static void take_signals(struct tool_replay_slot *slot)
{
    uint64_t count;

    if (!slot->unmask && read(slot->fd, &count, sizeof(count)) == sizeof(count))
        slot->left += count;
}

/* A vector may have had several eventfds; each may have been signalled. */
bool tool_replay_signalled(struct tool_replay_fds *f, const struct tool_step *event,
                           uint64_t *came)
{
    uint64_t wanted = event->values[2];

    *came = 0;
    for (size_t i = 0; i < f->n_slots; i++) {
        if (!is_slot_of(&f->slots[i], event))
            continue;
        take_signals(&f->slots[i]);
        *came += f->slots[i].left;
    }
    if (*came < wanted)
        return false;
    for (size_t i = 0; i < f->n_slots && wanted != 0; i++) {
        uint64_t taken = f->slots[i].left < wanted ? f->slots[i].left : wanted;

        if (!is_slot_of(&f->slots[i], event))
            continue;
        f->slots[i].left -= taken;
        wanted -= taken;
    }
    return true;
}

bool tool_replay_signal(struct tool_replay_fds *f, const struct tool_step *event)
{
    uint64_t count = event->values[2];

    for (size_t i = f->n_slots; i-- > 0;) {
        if (is_slot_of(&f->slots[i], event))
            return write(f->slots[i].fd, &count, sizeof(count)) == sizeof(count);
    }
    return false;
}

bool tool_replay_surplus(struct tool_replay_fds *f, struct tool_replay_slot *slot)
{
    for (size_t i = 0; i < f->n_slots; i++) {
        take_signals(&f->slots[i]);
        if (f->slots[i].left != 0) {
            *slot = f->slots[i];
            f->slots[i].left = 0;
            return true;
        }
    }
    return false;
}
