/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfu write: values, a file, or one value again and again, into a region.
 *
 * Whatever the source is, it is taken piece by piece: fetch, write, and, with --check,
 * read back and compare.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/access.h"

#define DEFAULT_WIDTH 4u
#define PIECE (UINT64_C(1) << 20)   /* bytes; a multiple of every width */
#define SMALL_PIECE 4096u           /* in accesses of some width, which are slower */

struct writing {
    struct tool_access access;
    uint64_t offset;
    uint64_t length;        /* of the source, if it is known; else UINT64_MAX */
    uint64_t done;          /* bytes written so far */
    unsigned value_width;   /* bytes of a value that was given */
    uint64_t fill;          /* --fill */
    int fd;                 /* --input, owned unless it is stdin; -1: none */
    const char *path;       /* of fd */
    uint8_t *piece;         /* owned: PIECE bytes to write */
    uint8_t *read_back;     /* owned: as many that were read */
};

/* ---------------------------------------------------------------- sources -- */

/* Fetch up to `room` bytes, fewer only at the end. 0 with *n, or an exit code. */
static int fetch_file(struct writing *w, size_t room, size_t *n)
{
    size_t have = 0;

    while (have < room) {
        ssize_t got = read(w->fd, w->piece + have, room - have);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return tool_fail(w->access.call, TOOL_FAILED, "%s: %s", w->path,
                             strerror(errno));
        if (got == 0)
            break;
        have += (size_t)got;
    }
    *n = have;
    return 0;
}

/* The values that were given; that they are numbers was checked. */
static void fetch_values(struct writing *w, size_t n)
{
    const struct tool_call *call = w->access.call;
    unsigned width = w->value_width;

    for (size_t at = 0; at < n; at += width) {
        const char *text = call->argv[3 + (w->done + at) / width];
        uint64_t value = 0;

        (void)tool_number(text, "VALUE", UINT64_MAX, &value);
        tool_put_le(w->piece + at, width, value);
    }
}

static int fetch(struct writing *w, size_t *n)
{
    uint64_t left = w->length - w->done,
             size = w->access.width != 0 ? SMALL_PIECE : PIECE;
    size_t room = (size_t)(left < size ? left : size);

    if (w->fd != -1)
        return fetch_file(w, room, n);
    if (tool_given(w->access.call, 'f'))
        for (size_t at = 0; at < room; at += w->value_width)
            tool_put_le(w->piece + at, w->value_width, w->fill);
    else
        fetch_values(w, room);
    *n = room;
    return 0;
}

/* ---------------------------------------------------------------- writing -- */

/* Read back what was just written, in accesses as wide, and tell the first difference. */
static int check(struct writing *w, uint64_t offset, size_t n)
{
    unsigned width = w->access.width != 0 ? w->access.width : 1;
    int status = tool_access_read(&w->access, offset, w->read_back, n);

    if (status != 0 || memcmp(w->piece, w->read_back, n) == 0)
        return status;
    for (size_t at = 0; at < n; at += width) {
        uint64_t wrote = tool_get_le(w->piece + at, width);
        uint64_t reads = tool_get_le(w->read_back + at, width);

        if (wrote != reads)
            return tool_fail(w->access.call, TOOL_REFUSED,
                             "%s+0x%" PRIx64 " reads 0x%0*" PRIx64 " after 0x%0*" PRIx64
                             " was written", w->access.name, offset + at, 2 * (int)width,
                             reads, 2 * (int)width, wrote);
    }
    return 0;
}

/* The next n bytes of the source. */
static int check_room(const struct writing *w, uint64_t n)
{
    int status = tool_access_check(&w->access, w->offset + w->done, n);

    if (status == 0 && w->access.width != 0 && n % w->access.width != 0)
        status = tool_misuse(w->access.call,
                             "%" PRIu64 " bytes are no multiple of the width, %u", n,
                             w->access.width);
    /* Wrong arguments they would be had nothing been done. */
    if (status != 0 && w->done > 0)
        return tool_fail(w->access.call, TOOL_FAILED,
                         "%" PRIu64 " bytes have been written", w->done);
    return status;
}

static int write_piece(struct writing *w, size_t n)
{
    uint64_t offset = w->offset + w->done;
    int status = check_room(w, n);

    if (status == 0)
        status = tool_access_write(&w->access, offset, w->piece, n);
    if (status == 0 && tool_given(w->access.call, 'c'))
        status = check(w, offset, n);
    w->done += n;
    return status;
}

/* How far it is: of how much is not known for a pipe. */
static void show_progress(const struct writing *w)
{
    const struct tool_call *call = w->access.call;

    if (w->length != UINT64_MAX)
        tool_progress(call, "%s: %3.0f%% of %" PRIu64 " bytes", w->access.name,
                      100.0 * (double)w->done / (double)w->length, w->length);
    else
        tool_progress(call, "%s: %" PRIu64 " bytes", w->access.name, w->done);
}

static int write_all(struct writing *w)
{
    int status = 0;
    size_t n = 0;

    while (status == 0 && w->done < w->length) {
        status = fetch(w, &n);
        if (status != 0 || n == 0)
            break;
        status = write_piece(w, n);
        show_progress(w);
    }
    tool_progress(w->access.call, NULL);
    if (status == 0 && w->done == 0)
        status = tool_fail(w->access.call, TOOL_USAGE, "%s is empty: nothing was written",
                           w->path);
    return status;
}

/* -------------------------------------------------------------- arguments -- */

static int take_values(struct writing *w)
{
    const struct tool_call *call = w->access.call;
    unsigned width = w->value_width;
    uint64_t max = width == 8 ? UINT64_MAX : (UINT64_C(1) << (8 * width)) - 1, value;

    if (call->argc == 3)
        return tool_misuse(call, "what is to be written? VALUE..., --input or --fill");
    for (int i = 3; i < call->argc; i++) {
        if (tool_number(call->argv[i], "VALUE", max, &value) != 0)
            return TOOL_USAGE;
    }
    w->length = (uint64_t)(call->argc - 3) * width;
    w->access.width = width;
    return 0;
}

static int take_fill(struct writing *w)
{
    const struct tool_call *call = w->access.call;
    const char *length = tool_value(call, 'l');
    unsigned width = w->value_width;
    uint64_t max = width == 8 ? UINT64_MAX : (UINT64_C(1) << (8 * width)) - 1;
    int status;

    if (tool_number(tool_value(call, 'f'), "--fill", max, &w->fill) != 0)
        return TOOL_USAGE;
    if (length == NULL)
        return tool_misuse(call, "how much is to be filled? --length BYTES, or \"end\"");
    status = tool_length(&w->access, length, w->offset, &w->length);
    if (status == 0 && w->length % width != 0)
        status = tool_misuse(call, "%" PRIu64 " bytes are no multiple of the width, %u",
                             w->length, width);
    return status;
}

static int take_input(struct writing *w)
{
    const struct tool_call *call = w->access.call;
    struct stat st;

    w->path = tool_value(call, 'i');
    if (strcmp(w->path, "-") == 0) {
        w->path = "standard input";
        w->fd = STDIN_FILENO;
    } else {
        w->fd = open(w->path, O_RDONLY | O_CLOEXEC);
    }
    if (w->fd == -1 || fstat(w->fd, &st) != 0)
        return tool_fail(call, TOOL_FAILED, "%s: %s", w->path, strerror(errno));
    /* A file that grows or shrinks meanwhile is met by the checks of each piece. */
    if (S_ISREG(st.st_mode) && st.st_size > 0)
        return check_room(w, (uint64_t)st.st_size);
    return 0;
}

/* One source, and options that go with it. */
static int check_source(const struct tool_call *call)
{
    int sources = tool_given(call, 'i') + tool_given(call, 'f') + (call->argc > 3);

    if (sources > 1)
        return tool_misuse(call, "values, --input and --fill exclude each other");
    if (tool_given(call, 'l') && !tool_given(call, 'f'))
        return tool_misuse(call, "--length goes with --fill");
    if (tool_given(call, 'm') && tool_given(call, 'p'))
        return tool_misuse(call, "--posted is about messages, and --mmap sends none");
    return 0;
}

static int read_arguments(struct writing *w)
{
    const struct tool_call *call = w->access.call;
    const char *width = tool_value(call, 'w');
    int status = 0;

    if (width != NULL)
        status = tool_width(call, width, &w->access.width);
    if (status == 0 && tool_number(call->argv[2], "OFFSET", UINT64_MAX, &w->offset) != 0)
        status = TOOL_USAGE;
    w->value_width = width != NULL            ? w->access.width
                     : tool_given(call, 'f') ? 1
                                             : DEFAULT_WIDTH;
    w->access.posted = tool_given(call, 'p');
    if (status != 0)
        return status;
    if (tool_given(call, 'i'))
        return take_input(w);
    status = tool_given(call, 'f') ? take_fill(w) : take_values(w);
    return status == 0 ? check_room(w, w->length) : status;
}

static int map(struct writing *w)
{
    const struct tool_call *call = w->access.call;
    unsigned prot = VFUC_MAP_WRITE | (tool_given(call, 'c') ? VFUC_MAP_READ : 0);
    uint64_t length = w->length;

    if (!tool_given(call, 'm'))
        return 0;
    if (length == UINT64_MAX) {     /* a file: it fits, or the pieces will tell */
        struct stat st;

        if (fstat(w->fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
            return tool_misuse(call, "--mmap needs an input whose size is known");
        length = (uint64_t)st.st_size;
        w->length = length;
    }
    return tool_access_map(&w->access, w->offset, length, prot);
}

static int perform(struct writing *w)
{
    int status = map(w);

    if (status != 0)
        return status;
    w->piece = malloc(PIECE);
    w->read_back = malloc(PIECE);
    if (w->piece == NULL || w->read_back == NULL)
        return tool_fail(w->access.call, TOOL_FAILED, "out of memory");
    return write_all(w);
}

static int run(struct tool_call *call)
{
    struct writing w = { .fd = -1, .length = UINT64_MAX };
    uint32_t index;
    int status = check_source(call);

    if (status != 0)
        return status;
    if (tool_region(call->argv[1], &index) != 0)
        return TOOL_USAGE;
    status = tool_access_open(&w.access, call, index);
    if (status == 0)
        status = read_arguments(&w);
    if (status == 0)
        status = perform(&w);
    tool_access_done(&w.access);
    if (w.fd != -1 && w.fd != STDIN_FILENO)
        close(w.fd);
    free(w.piece);
    free(w.read_back);
    return status;
}

static const struct tool_option options[] = {
    { 'w', "width", "1|2|4|8", "bytes of a value and of an access [4]" },
    { 'i', "input", "FILE", "write what is in there, \"-\" is standard input" },
    { 'f', "fill", "VALUE", "write this again and again; one byte without --width" },
    { 'l', "length", "BYTES", "how much to fill; \"end\": up to the region's end" },
    { 'p', "posted", NULL, "do not wait for answers: refusals stay unknown" },
    { 'c', "check", NULL, "read back and compare" },
    { 'm', "mmap", NULL, "through a mapping, without messages" },
    { 0 },
};

const struct tool_command tool_cmd_write = {
    .name = "write",
    .usage = "SOCKET REGION OFFSET VALUE...\n"
             "SOCKET REGION OFFSET --input FILE\n"
             "SOCKET REGION OFFSET --fill VALUE --length BYTES",
    .summary = "write registers or memory of a region",
    .about = "Values are little endian numbers, one access each, at ascending offsets.\n"
             "Files and fillings are written in large accesses, unless --width is given.",
    .options = options,
    .min_args = 3,
    .max_args = -1,
    .json = false,
    .run = run,
};
