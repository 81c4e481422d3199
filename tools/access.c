/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading and writing a region, see access.h.
 *
 * A mapping is memory that the server can take away at any time; an access raises SIGBUS
 * then, which becomes a sentence here.
 */
#include "tools/access.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* Bytes between two updates of the progress line, and of a request for them. */
#define PIECE (UINT64_C(256) << 10)

/* --------------------------------------------------------------- numbers -- */

uint64_t tool_get_le(const uint8_t *bytes, unsigned width)
{
    uint64_t value = 0;

    for (unsigned i = width; i-- > 0;)
        value = value << 8 | bytes[i];
    return value;
}

void tool_put_le(uint8_t *bytes, unsigned width, uint64_t value)
{
    for (unsigned i = 0; i < width; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

int tool_width(const struct tool_call *call, const char *text, unsigned *width)
{
    if (strlen(text) != 1 || strchr("1248", text[0]) == NULL)
        return tool_misuse(call, "a width is 1, 2, 4 or 8 bytes, not '%s'", text);
    *width = (unsigned)(text[0] - '0');
    return 0;
}

int tool_length(const struct tool_access *a, const char *text, uint64_t offset,
                uint64_t *length)
{
    if (strcmp(text, "end") == 0) {
        int status = tool_access_check(a, offset, 1);

        if (status == 0)
            *length = a->region->size - offset;
        return status;
    }
    if (tool_number(text, "LENGTH", UINT64_MAX, length) != 0)
        return TOOL_USAGE;
    if (*length == 0)
        return tool_misuse(a->call, "a length of 0 is nothing");
    return 0;
}

/* --------------------------------------------------------------- mappings -- */

static sigjmp_buf gone;         /* where an access to memory that is gone continues */

static void on_bus_error(int signal_number)
{
    (void)signal_number;
    siglongjmp(gone, 1);
}

/* One access of one width to device memory: neither split nor merged. */
static void copy_one(volatile void *to, const volatile void *from, unsigned width)
{
    switch (width) {
    case 1:
        *(volatile uint8_t *)to = *(const volatile uint8_t *)from;
        break;
    case 2:
        *(volatile uint16_t *)to = *(const volatile uint16_t *)from;
        break;
    case 4:
        *(volatile uint32_t *)to = *(const volatile uint32_t *)from;
        break;
    default:
        *(volatile uint64_t *)to = *(const volatile uint64_t *)from;
        break;
    }
}

static void copy_widths(uint8_t *to, const uint8_t *from, size_t len, unsigned width,
                        bool to_device)
{
    for (size_t at = 0; at < len; at += width) {
        uint64_t aligned;       /* the side of ours may lie anywhere */

        if (to_device) {
            memcpy(&aligned, from + at, width);
            copy_one(to + at, &aligned, width);
        } else {
            copy_one(&aligned, from + at, width);
            memcpy(to + at, &aligned, width);
        }
    }
}

/* False: the memory is gone. */
static bool copy_guarded(uint8_t *to, const uint8_t *from, size_t len, unsigned width,
                         bool to_device)
{
    const struct sigaction guard = { .sa_handler = on_bus_error };
    struct sigaction before;
    volatile bool done = false;

    sigaction(SIGBUS, &guard, &before);
    if (sigsetjmp(gone, 1) == 0) {
        if (width != 0)
            copy_widths(to, from, len, width, to_device);
        else
            memcpy(to, from, len);
        done = true;
    }
    sigaction(SIGBUS, &before, NULL);
    return done;
}

int tool_access_map(struct tool_access *a, uint64_t offset, size_t len, unsigned prot)
{
    uint64_t inside = offset % (uint64_t)sysconf(_SC_PAGESIZE);
    void *address;
    int err;

    if (a->width != 0 && offset % a->width != 0)
        return tool_misuse(a->call,
                           "mapped memory is accessed at multiples of the width, "
                           "and 0x%" PRIx64 " is none of %u",
                           offset, a->width);
    if (len > SIZE_MAX - inside)
        return tool_misuse(a->call, "no mapping has that many bytes");
    err =
        vfuc_region_map(a->dev, a->index, offset - inside, len + inside, prot, &address);
    if (err != 0)
        return tool_client_fail(a->call, a->dev, err, "mapping %s", a->name);
    a->mapping = address;
    a->mapped = offset - inside;
    return 0;
}

static int copy_mapped(struct tool_access *a, uint64_t offset, void *buf, size_t len,
                       bool to_device)
{
    uint8_t *at = a->mapping + (offset - a->mapped);
    bool done = to_device ? copy_guarded(at, buf, len, a->width, true)
                          : copy_guarded(buf, at, len, a->width, false);

    if (done)
        return 0;
    return tool_fail(a->call, TOOL_LOST,
                     "%s: the server has taken away the memory behind "
                     "the mapping",
                     a->name);
}

/* ------------------------------------------------------------ by message -- */

static int message(struct tool_access *a, uint64_t offset, void *buf, size_t len,
                   bool to_device)
{
    int err;

    if (!to_device)
        err = vfuc_region_read(a->dev, a->index, offset, buf, len);
    else if (a->posted)
        err = vfuc_region_write_posted(a->dev, a->index, offset, buf, len);
    else
        err = vfuc_region_write(a->dev, a->index, offset, buf, len);
    if (err == 0)
        return 0;
    return tool_client_fail(a->call, a->dev, err, "%s %zu byte%s at %s+0x%" PRIx64,
                            to_device ? "writing" : "reading", len, len == 1 ? "" : "s",
                            a->name, offset);
}

/* One call of the library, or one for each width. */
static int transfer_piece(struct tool_access *a, uint64_t offset, uint8_t *buf,
                          size_t len, bool to_device)
{
    if (a->mapping != NULL)
        return copy_mapped(a, offset, buf, len, to_device);
    if (a->width == 0)
        return message(a, offset, buf, len, to_device);
    for (size_t at = 0; at < len; at += a->width) {
        int status = message(a, offset + at, buf + at, a->width, to_device);

        if (status != 0)
            return status;
    }
    return 0;
}

int tool_access_check(const struct tool_access *a, uint64_t offset, uint64_t len)
{
    uint64_t size = a->region->size;

    if (size == 0)
        return tool_fail(a->call, TOOL_USAGE, "the device has no %s", a->name);
    if (offset <= size && len <= size - offset)
        return 0;
    return tool_fail(a->call, TOOL_USAGE,
                     "%s has 0x%" PRIx64 " bytes: %" PRIu64 " at 0x%" PRIx64
                     " are not all in it", a->name, size, len, offset);
}

static int transfer(struct tool_access *a, uint64_t offset, uint8_t *buf, size_t len,
                    bool to_device)
{
    size_t piece = a->progress ? PIECE : len;
    int status = tool_access_check(a, offset, len);

    for (size_t at = 0; status == 0 && at < len; at += piece) {
        size_t n = len - at < piece ? len - at : piece;

        status = transfer_piece(a, offset + at, buf + at, n, to_device);
        if (a->progress && len > piece && status == 0)
            tool_progress(a->call, "%s: %3.0f%% of %zu bytes", a->name,
                          100.0 * (double)(at + n) / (double)len, len);
    }
    if (a->progress)
        tool_progress(a->call, NULL);
    return status;
}

int tool_access_read(struct tool_access *a, uint64_t offset, void *buf, size_t len)
{
    return transfer(a, offset, buf, len, false);
}

int tool_access_write(struct tool_access *a, uint64_t offset, const void *buf, size_t len)
{
    return transfer(a, offset, (uint8_t *)buf, len, true);
}

/* ---------------------------------------------------------------- opening -- */

int tool_access_open(struct tool_access *a, const struct tool_call *call, uint32_t index)
{
    int status, err;

    *a = (struct tool_access){ .call = call, .index = index };
    tool_region_name(index, a->name, sizeof(a->name));
    status = tool_connect(call, call->argv[0], NULL, &a->dev);
    if (status != 0)
        return status;
    err = vfuc_region_info(a->dev, index, &a->region);
    return err == 0 ? 0 : tool_client_fail(call, a->dev, err, "%s", a->name);
}

void tool_access_done(struct tool_access *a)
{
    vfuc_close(a->dev);
    a->dev = NULL;
}
