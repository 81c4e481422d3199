/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a relay knows of its session: see tools/relay_watch.h.
 */
#include "tools/relay_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "wire/caps.h"

static int on_changed(void *ctx, const struct tool_track *track, uint64_t offset,
                      struct vu_bytes bytes)
{
    struct tool_watch *w = ctx;

    return w->options.on_memory(w->options.ctx, w->by, track, offset, bytes);
}

void tool_watch_init(struct tool_watch *w, const struct tool_watch_options *options)
{
    memset(w, 0, sizeof(*w));
    w->options = *options;
    w->memory.max_each = options->memory_each;
    w->memory.max_all = options->memory_all;
    w->memory.changed = on_changed;
    w->memory.ctx = w;
}

void tool_watch_done(struct tool_watch *w)
{
    tool_memory_done(&w->memory);
    tool_lines_done(&w->lines);
}

void tool_passing_done(struct tool_passing *p)
{
    for (size_t i = 0; i < p->n_fds; i++)
        close(p->fds[i]);
    p->n_fds = 0;
    if (p->twin_client != -1) {
        close(p->twin_client);
        close(p->twin_server);
    }
    p->twin_client = p->twin_server = -1;
}

int tool_watch_look(struct tool_watch *w, enum vu_direction by)
{
    w->by = by;
    w->fresh = false;
    return tool_memory_look(&w->memory);
}

/* ------------------------------------------------------------ descriptors -- */

/* The file's number in this session; 0: there are too many. */
static uint32_t file_number(struct tool_watch *w, const struct statx *st)
{
    struct tool_file file = { makedev(st->stx_dev_major, st->stx_dev_minor),
                              st->stx_ino };

    for (size_t i = 0; i < w->n_files; i++) {
        if (w->files[i].dev == file.dev && w->files[i].ino == file.ino)
            return (uint32_t)i + 1;
    }
    if (w->n_files == TOOL_FILES_MAX)
        return 0;
    w->files[w->n_files++] = file;
    return (uint32_t)w->n_files;
}

/* Asks no file system that could make us wait. */
static bool stat_quickly(int fd, struct statx *st)
{
    return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC,
                 STATX_TYPE | STATX_SIZE | STATX_INO, st) == 0;
}

static bool is_socket(int fd)
{
    struct statx st;

    return stat_quickly(fd, &st) && S_ISSOCK(st.stx_mode);
}

static struct tool_record_fd describe(struct tool_watch *w, int fd)
{
    struct tool_record_fd d = { .kind = TOOL_FD_OTHER };
    struct statx st;
    int flags = fcntl(fd, F_GETFL);

    d.access = flags == -1 ? 0 : (uint8_t)(flags & O_ACCMODE);
    if (!stat_quickly(fd, &st))
        return d;
    if (S_ISREG(st.stx_mode)) {
        d.kind = tool_memory_file(fd) ? TOOL_FD_MEMFD : TOOL_FD_FILE;
        d.size = st.stx_size;
        d.file = file_number(w, &st);
    } else if (S_ISSOCK(st.stx_mode)) {
        d.kind = TOOL_FD_SOCKET;
    } else if (S_ISFIFO(st.stx_mode)) {
        d.kind = TOOL_FD_PIPE;
    } else if (tool_is_eventfd(fd)) {
        d.kind = TOOL_FD_EVENTFD;
    }
    return d;
}

void tool_watch_describe(struct tool_watch *w, const struct vu_message *m,
                         struct tool_record *record)
{
    record->n_fds = m->n_fds;
    for (size_t i = 0; i < m->n_fds; i++)
        record->fds[i] = describe(w, m->fds[i]);
}

/* ------------------------------------------------------------------ memory -- */

static void note(struct tool_watch *w, const char *text)
{
    w->options.on_note(w->options.ctx, text);
}

static void track(struct tool_watch *w, struct tool_track *t, const char *what)
{
    struct statx st;
    char text[160];
    int err;

    if (w->options.memory_each == 0 || !stat_quickly(t->fd, &st))
        return;
    t->file = file_number(w, &st);
    t->file_size = st.stx_size;
    err = t->file == 0 ? -ENOSPC : tool_memory_add(&w->memory, t);
    if (err == 0) {
        w->fresh = true;
        return;
    }
    if (err == -EINVAL && w->noted_kind)
        return;
    w->noted_kind |= err == -EINVAL;
    snprintf(text, sizeof(text), "the contents of %s 0x%" PRIx64 ", %" PRIu64
             " bytes, are not recorded: %s", what, t->address, t->size,
             err == -EFBIG    ? "too large, see --memory"
             : err == -EINVAL ? "this is no memory file that can be read"
                              : strerror(-err));
    note(w, text);
}

static void track_window(struct tool_watch *w, const struct vu_message *m)
{
    struct vu_reader r = vu_reader(m->body, m->body_len);
    struct vu_dma_map map;
    struct tool_track t;

    if (vu_decode_dma_map(&r, &map) != 0 || m->n_fds == 0)
        return;
    t = (struct tool_track){ .window = true, .owner = w->last_serial + 1,
                             .address = map.address, .offset = map.offset,
                             .size = map.size, .fd = m->fds[0] };
    track(w, &t, "the window at");
}

static bool is_same_area(const struct tool_track *a, const struct tool_track *b)
{
    return !a->window && a->address == b->address && a->offset == b->offset &&
           a->size == b->size;
}

static void track_area(struct tool_watch *w, const struct vu_message *m, uint32_t index,
                       uint32_t fd_index, uint64_t offset, uint64_t size)
{
    struct tool_track t = { .address = index, .offset = offset, .size = size };

    if (fd_index >= m->n_fds || size == 0)
        return;
    for (size_t i = 0; i < w->memory.n_tracks; i++) {
        if (is_same_area(&w->memory.tracks[i], &t))
            return;
    }
    t.fd = m->fds[fd_index];
    track(w, &t, "an area of region");
}

/* The areas of one capability; false: it is none of areas. */
static bool track_cap(struct tool_watch *w, const struct vu_message *m,
                      const struct vu_region_info *info, const struct vu_cap *cap)
{
    int64_t n;

    if (cap->id == VU_CAP_SPARSE_MMAP) {
        n = vu_sparse_count(cap);
        for (int64_t i = 0; i < n; i++) {
            struct vu_sparse_area a = vu_sparse_area(cap, (uint32_t)i);

            track_area(w, m, info->index, 0, info->offset + a.offset, a.size);
        }
        return true;
    }
    if (cap->id != VU_CAP_SPARSE_MMAP_FDS)
        return false;
    n = vu_sparse_fds_count(cap);
    for (int64_t i = 0; i < n; i++) {
        struct vu_sparse_fd_area a = vu_sparse_fd_area(cap, (uint32_t)i);

        track_area(w, m, info->index, a.fd_index, a.fd_offset, a.size);
    }
    return true;
}

static void track_region(struct tool_watch *w, const struct vu_message *m)
{
    struct vu_reader r = vu_reader(m->body, m->body_len);
    struct vu_region_info info;
    struct vu_cap_walk walk;
    struct vu_cap cap;
    bool sparse = false;

    if (vu_decode_region_info(&r, &info) != 0 || m->n_fds == 0 ||
        (info.flags & VU_REGION_MMAP) == 0 || info.argsz > m->body_len)
        return; /* not to be mapped; or the areas did not fit: it will be asked again */
    walk = vu_cap_walk(m->body, m->body_len,
                       (info.flags & VU_REGION_CAPS) != 0 ? info.cap_offset : 0);
    while (vu_cap_next(&walk, &cap) == 1)
        sparse |= track_cap(w, m, &info, &cap);
    if (!sparse)
        track_area(w, m, info.index, 0, info.offset, info.size);
}

static bool is_of_owner(const struct tool_track *t, const void *ctx)
{
    return t->owner == *(const uint32_t *)ctx;
}

static bool is_unmapped(const struct tool_track *t, const void *ctx)
{
    const struct tool_pending *p = ctx;

    if (!t->window || t->owner != 0)
        return false;
    return (p->unmap.flags & VU_DMA_UNMAP_ALL) != 0 ||
           (t->address >= p->unmap.address && t->size <= p->unmap.size &&
            t->address - p->unmap.address <= p->unmap.size - t->size);
}

/* ---------------------------------------------------------------- pending -- */

static void answered_map(struct tool_watch *w, uint32_t serial, bool agreed)
{
    if (!agreed) {
        tool_memory_drop(&w->memory, is_of_owner, &serial);
        return;
    }
    for (size_t i = 0; i < w->memory.n_tracks; i++) {
        if (w->memory.tracks[i].owner == serial)
            w->memory.tracks[i].owner = 0;
    }
}

/* SET_IRQS without descriptors takes vectors away: all with a count of 0. */
static void answered_irqs(struct tool_watch *w, const struct tool_pending *p, bool agreed)
{
    uint32_t flags = p->irqs.flags;
    bool unmask = (flags & VU_IRQ_SET_ACTION_UNMASK) != 0;

    tool_lines_answered(&w->lines, p->serial, agreed);
    if (!agreed || p->irqs.n_fds != 0 ||
        (flags & (VU_IRQ_SET_ACTION_TRIGGER | VU_IRQ_SET_ACTION_UNMASK)) == 0)
        return;
    if ((flags & VU_IRQ_SET_DATA_EVENTFD) != 0)
        tool_lines_remove(&w->lines, p->irqs.index, unmask, p->irqs.start, p->irqs.count);
    else if ((flags & VU_IRQ_SET_DATA_NONE) != 0 && p->irqs.count == 0 && !unmask)
        tool_lines_remove(&w->lines, p->irqs.index, false, 0, UINT64_MAX);
}

static void answered(struct tool_watch *w, const struct tool_pending *p, bool agreed)
{
    if (p->command == VU_DMA_MAP)
        answered_map(w, p->serial, agreed);
    else if (p->command == VU_DEVICE_SET_IRQS)
        answered_irqs(w, p, agreed);
    else if (p->command == VU_DMA_UNMAP && agreed)
        tool_memory_drop(&w->memory, is_unmapped, p);
}

/* Remember a command until its answer; at once when there will be none. */
static void expect(struct tool_watch *w, const struct vu_message *m,
                   struct tool_pending p)
{
    p.id = m->h.msg_id;
    p.command = m->h.command;
    if ((m->h.flags & VU_F_NO_REPLY) != 0)
        answered(w, &p, true);
    else
        w->pending[w->n_pending++] = p;
}

static bool take_pending(struct tool_watch *w, const struct vu_header *h,
                         struct tool_pending *p)
{
    for (size_t i = 0; i < w->n_pending; i++) {
        if (w->pending[i].id != h->msg_id || w->pending[i].command != h->command)
            continue;
        *p = w->pending[i];
        w->n_pending--;
        memmove(&w->pending[i], &w->pending[i + 1],
                (w->n_pending - i) * sizeof(w->pending[0]));
        return true;
    }
    return false;
}

/* May another command be remembered? */
static bool can_expect(struct tool_watch *w)
{
    if (w->n_pending < TOOL_PENDING_MAX)
        return true;
    if (!w->noted_pending)
        note(w, "too many commands wait for an answer: some memory or interrupts may be "
                "missing here");
    w->noted_pending = true;
    return false;
}

static uint32_t next_serial(struct tool_watch *w)
{
    if (++w->last_serial == 0)
        w->last_serial = 1;
    return w->last_serial;
}

/* --------------------------------------------------------------- messages -- */

static bool is_command(const struct vu_message *m, uint16_t command)
{
    return vu_header_type(&m->h) == VU_F_TYPE_COMMAND && m->h.command == command;
}

int tool_watch_before(struct tool_watch *w, enum vu_direction direction, bool on_main,
                      const struct vu_message *m)
{
    if (on_main && direction == VU_TO_SERVER && is_command(m, VU_DMA_MAP) &&
        can_expect(w))
        track_window(w, m);
    return tool_watch_look(w, direction);
}

int tool_watch_after(struct tool_watch *w)
{
    return w->fresh ? tool_watch_look(w, VU_TO_CLIENT) : 0;
}

/* Everything that was not exchanged goes on as it came. */
static void pass_rest(struct tool_passing *p, struct vu_message *m)
{
    while (p->n_fds < m->n_fds) {
        int fd = vu_message_take_fd(m, p->n_fds);

        p->fds[p->n_fds++] = fd;
    }
}

static void pass_irqs(struct tool_watch *w, struct vu_message *m, struct tool_passing *p)
{
    struct vu_reader r = vu_reader(m->body, m->body_len);
    struct tool_pending pending = { .serial = next_serial(w) };
    struct tool_line line = { .owner = pending.serial };
    struct vu_irq_set set;
    bool exchange;

    if (vu_decode_irq_set(&r, &set) != 0 || w->options.direct || !can_expect(w))
        return;
    line.index = set.index;
    line.unmask = (set.flags & VU_IRQ_SET_ACTION_UNMASK) != 0;
    exchange = (set.flags & VU_IRQ_SET_DATA_EVENTFD) != 0 &&
               (set.flags & (VU_IRQ_SET_ACTION_TRIGGER | VU_IRQ_SET_ACTION_UNMASK)) != 0;
    for (size_t i = 0; exchange && i < m->n_fds; i++) {
        int ours;

        line.vector = set.start + (uint32_t)i;
        ours = tool_lines_add(&w->lines, &line, m->fds[i]);
        p->fds[p->n_fds++] = ours;
        if (ours >= 0)
            m->fds[i] = -1; /* the line's now */
        else
            p->fds[i] = vu_message_take_fd(m, i);
    }
    pending.irqs.flags = set.flags;
    pending.irqs.index = set.index;
    pending.irqs.start = set.start;
    pending.irqs.count = set.count;
    pending.irqs.n_fds = m->n_fds;
    expect(w, m, pending);
}

static void pass_unmap(struct tool_watch *w, const struct vu_message *m)
{
    struct vu_reader r = vu_reader(m->body, m->body_len);
    struct tool_pending pending = { .serial = next_serial(w) };
    struct vu_dma_unmap unmap;

    if (vu_decode_dma_unmap(&r, &unmap) != 0 || !can_expect(w))
        return;
    pending.unmap.flags = unmap.flags;
    pending.unmap.address = unmap.address;
    pending.unmap.size = unmap.size;
    expect(w, m, pending);
}

static void pass_command(struct tool_watch *w, struct vu_message *m,
                         struct tool_passing *p)
{
    if (is_command(m, VU_DMA_MAP) && w->n_pending < TOOL_PENDING_MAX)
        expect(w, m, (struct tool_pending){ .serial = next_serial(w) });
    else if (is_command(m, VU_DMA_UNMAP))
        pass_unmap(w, m);
    else if (is_command(m, VU_DEVICE_SET_IRQS))
        pass_irqs(w, m, p);
}

/* The twin socket of a VERSION reply becomes a pair of ours. */
static void pass_version(struct vu_message *m, struct tool_passing *p)
{
    struct vu_reader r = vu_reader(m->body, m->body_len);
    struct vu_version version;
    struct vu_caps caps;
    int pair[2];

    if (vu_decode_version(&r, &version) != 0 ||
        vu_caps_parse(&caps, version.data.data, version.data.len, NULL, 0) != 0 ||
        !caps.twin_socket || !caps.has_fd_index || caps.fd_index >= m->n_fds ||
        !is_socket(m->fds[caps.fd_index]))
        return;
    pass_rest(p, m);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == -1)
        return;
    p->twin_server = p->fds[caps.fd_index];
    p->twin_client = pair[0];
    p->fds[caps.fd_index] = pair[1];
}

static void pass_reply(struct tool_watch *w, struct vu_message *m, struct tool_passing *p)
{
    bool agreed = (m->h.flags & VU_F_ERROR) == 0;
    struct tool_pending pending;

    if (m->h.command == VU_VERSION && agreed)
        pass_version(m, p);
    else if (m->h.command == VU_DEVICE_GET_REGION_INFO && agreed)
        track_region(w, m);
    else if (take_pending(w, &m->h, &pending))
        answered(w, &pending, agreed);
}

struct tool_passing tool_watch_pass(struct tool_watch *w, enum vu_direction direction,
                                    bool on_main, struct vu_message *m)
{
    struct tool_passing p = { .twin_client = -1, .twin_server = -1 };
    uint32_t type = vu_header_type(&m->h);

    if (on_main && direction == VU_TO_SERVER && type == VU_F_TYPE_COMMAND)
        pass_command(w, m, &p);
    else if (on_main && direction == VU_TO_CLIENT && type == VU_F_TYPE_REPLY)
        pass_reply(w, m, &p);
    pass_rest(&p, m);
    return p;
}
