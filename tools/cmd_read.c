/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfu read and vfu config: bytes or registers of a region, shown or kept in a file.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/access.h"

#define DEFAULT_LENGTH 4
#define MAX_SHOWN (UINT64_C(16) << 20)  /* bytes; more only goes to files */
#define FILE_PIECE (UINT64_C(1) << 20)  /* bytes read before they are written to one */
#define SMALL_PIECE 4096u               /* in accesses of some width, which are slower */

struct reading {
    struct tool_access access;
    uint64_t offset, length;
};

/* ------------------------------------------------------------------- text -- */

/* As a hexdump, but with numbers: as many as fill 16 bytes in a line. */
static void show_values(const struct reading *r, const uint8_t *bytes)
{
    unsigned width = r->access.width, per_line = 16 / width;
    uint64_t count = r->length / width;

    if (count == 1) {
        printf("0x%0*" PRIx64 "\n", 2 * (int)width, tool_get_le(bytes, width));
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        if (i % per_line == 0)
            printf("%s%04" PRIx64 ":", i > 0 ? "\n" : "", r->offset + i * width);
        printf(" %0*" PRIx64, 2 * (int)width, tool_get_le(bytes + i * width, width));
    }
    putchar('\n');
}

/* ------------------------------------------------------------------- JSON -- */

static void add(struct json_object *object, const char *key, struct json_object *value)
{
    tool_json_add(object, key, value);
}

static struct json_object *values_json(const uint8_t *bytes, size_t len, unsigned width)
{
    struct json_object *values = tool_json_array();

    for (size_t at = 0; at < len; at += width)
        tool_json_append(values,
                         tool_json_number(tool_get_le(bytes + at, width)));
    return values;
}

static int show_json(const struct reading *r, const uint8_t *bytes)
{
    struct json_object *object = tool_json_object();
    unsigned width = r->access.width;

    add(object, "region", tool_json_string(r->access.name));
    add(object, "index", tool_json_number(r->access.index));
    add(object, "offset", tool_json_number(r->offset));
    add(object, "length", tool_json_number(r->length));
    if (width != 0) {
        add(object, "width", tool_json_number(width));
        add(object, "values", values_json(bytes, r->length, width));
    } else {
        add(object, "data", tool_json_hex(bytes, r->length));
    }
    return tool_print_json(r->access.call, object);
}

/* ---------------------------------------------------------------- showing -- */

static int show(struct reading *r)
{
    const struct tool_call *call = r->access.call;
    uint8_t *bytes = malloc(r->length);
    int status;

    if (bytes == NULL)
        return tool_fail(call, TOOL_FAILED, "out of memory");
    r->access.progress = r->access.width != 0;
    status = tool_access_read(&r->access, r->offset, bytes, r->length);
    if (status == 0 && call->json)
        status = show_json(r, bytes);
    else if (status == 0 && r->access.width != 0)
        show_values(r, bytes);
    else if (status == 0)
        tool_hexdump(bytes, r->length, r->offset);
    free(bytes);
    return status;
}

/* ----------------------------------------------------------- into a file -- */

static int write_all(const struct tool_call *call, int fd, const char *path,
                     const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return tool_fail(call, TOOL_FAILED, "%s: %s", path, strerror(errno));
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

static int open_output(const struct tool_call *call, const char *path, int *fd)
{
    if (strcmp(path, "-") == 0)
        *fd = STDOUT_FILENO;
    else
        *fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return *fd != -1 ? 0 : tool_fail(call, TOOL_FAILED, "%s: %s", path, strerror(errno));
}

/* For sentences. */
static const char *output_name(const char *path)
{
    return strcmp(path, "-") == 0 ? "standard output" : path;
}

/* The file is touched only when the first bytes are there. */
static int save_pieces(struct reading *r, const char *path, uint8_t *piece, int *fd)
{
    const struct tool_call *call = r->access.call;
    uint64_t size = r->access.width != 0 ? SMALL_PIECE : FILE_PIECE;
    int status = 0;

    for (uint64_t at = 0; status == 0 && at < r->length; at += size) {
        size_t n = (size_t)(r->length - at < size ? r->length - at : size);

        status = tool_access_read(&r->access, r->offset + at, piece, n);
        if (status == 0 && *fd == -1)
            status = open_output(call, path, fd);
        if (status == 0)
            status = write_all(call, *fd, output_name(path), piece, n);
        tool_progress(call, "%s: %3.0f%% of %" PRIu64 " bytes", r->access.name,
                      100.0 * (double)(at + n) / (double)r->length, r->length);
    }
    tool_progress(call, NULL);
    return status;
}

static int save(struct reading *r, const char *path)
{
    const struct tool_call *call = r->access.call;
    uint8_t *piece = malloc(FILE_PIECE);
    int fd = -1, status;

    if (piece == NULL)
        return tool_fail(call, TOOL_FAILED, "out of memory");
    status = save_pieces(r, path, piece, &fd);
    if (fd != -1 && fd != STDOUT_FILENO && close(fd) != 0 && status == 0)
        status = tool_fail(call, TOOL_FAILED, "%s: %s", path, strerror(errno));
    free(piece);
    return status;
}

/* -------------------------------------------------------------- arguments -- */

static int check_length(const struct reading *r)
{
    const struct tool_call *call = r->access.call;
    int status = tool_access_check(&r->access, r->offset, r->length);

    if (status != 0)
        return status;
    if (r->access.width != 0 && r->length % r->access.width != 0)
        return tool_misuse(call, "%" PRIu64 " bytes are no multiple of the width, %u",
                           r->length, r->access.width);
    if (tool_value(call, 'o') == NULL && r->length > MAX_SHOWN)
        return tool_misuse(call, "more than 16 MiB go to a file only: --output FILE");
    return 0;
}

/* offset, length: as they were given, or NULL. */
static int read_arguments(struct reading *r, const char *offset, const char *length,
                          const char *default_length)
{
    const struct tool_call *call = r->access.call;
    const char *width = tool_value(call, 'w');
    int status = 0;

    if (width != NULL)
        status = tool_width(call, width, &r->access.width);
    if (status == 0 && offset != NULL &&
        tool_number(offset, "OFFSET", UINT64_MAX, &r->offset) != 0)
        status = TOOL_USAGE;
    if (status != 0)
        return status;
    if (length != NULL || default_length != NULL)
        status = tool_length(&r->access, length != NULL ? length : default_length,
                             r->offset, &r->length);
    else
        r->length = r->access.width != 0 ? r->access.width : DEFAULT_LENGTH;
    return status == 0 ? check_length(r) : status;
}

static int perform(struct reading *r)
{
    const struct tool_call *call = r->access.call;
    int status = 0;

    if (tool_given(call, 'm'))
        status = tool_access_map(&r->access, r->offset, r->length, VFUC_MAP_READ);
    if (status != 0)
        return status;
    return tool_given(call, 'o') ? save(r, tool_value(call, 'o')) : show(r);
}

static const char *argument(const struct tool_call *call, int i)
{
    return i < call->argc ? call->argv[i] : NULL;
}

static int run_read(struct tool_call *call)
{
    struct reading r = { 0 };
    uint32_t index;
    int status;

    if (call->json && tool_given(call, 'o'))
        return tool_misuse(call, "--output and --json exclude each other");
    if (tool_region(call->argv[1], &index) != 0)
        return TOOL_USAGE;
    status = tool_access_open(&r.access, call, index);
    if (status == 0)
        status = read_arguments(&r, call->argv[2], argument(call, 3), NULL);
    if (status == 0)
        status = perform(&r);
    tool_access_done(&r.access);
    return status;
}

static int run_config(struct tool_call *call)
{
    struct reading r = { 0 };
    int status = tool_access_open(&r.access, call, VFUC_PCI_CONFIG);

    if (status == 0 && r.access.region->size == 0)
        status = tool_fail(call, TOOL_REFUSED, "the device has no configuration space");
    if (status == 0)
        status = read_arguments(&r, argument(call, 1), argument(call, 2), "end");
    if (status == 0)
        status = perform(&r);
    tool_access_done(&r.access);
    return status;
}

#define WIDTH_OPTION \
    { 'w', "width", "1|2|4|8", "in accesses of so many bytes; show numbers" }

static const struct tool_option read_options[] = {
    WIDTH_OPTION,
    { 'o', "output", "FILE", "write the bytes there, \"-\" is standard output" },
    { 'm', "mmap", NULL, "through a mapping, without messages" },
    { 0 },
};

static const struct tool_option config_options[] = { WIDTH_OPTION, { 0 } };

const struct tool_command tool_cmd_read = {
    .name = "read",
    .usage = "SOCKET REGION OFFSET [LENGTH]",
    .summary = "read registers or memory of a region",
    .about =
        "REGION is bar0 to bar5, rom, config, vga or an index. LENGTH is in bytes, or\n"
        "\"end\": up to the region's end; without it, 4 or the width. Without --width\n"
        "all is read at once and shown as a hexdump.",
    .options = read_options,
    .min_args = 3,
    .max_args = 4,
    .json = true,
    .run = run_read,
};

const struct tool_command tool_cmd_config = {
    .name = "config",
    .usage = "SOCKET [OFFSET [LENGTH]]",
    .summary = "show configuration space as a hexdump",
    .about =
        "All of it, or what is behind OFFSET, or LENGTH bytes there. `vfu lspci` knows\n"
        "what it means, `vfu write SOCKET config ...` changes it.",
    .options = config_options,
    .min_args = 1,
    .max_args = 3,
    .json = true,
    .run = run_config,
};
