/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfu dma: gives a device a window of memory and shows what it does there.
 *
 * A window with a descriptor (a memfd, or a file) is written by the server behind our
 * back and is compared with a copy. With --no-fd the server has to ask for each access by
 * message, and each is shown as it comes.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/poke.h"
#include "tools/until.h"
#include "tools/watched.h"

#define SHOWN_MAX      256u     /* bytes of a range, unless --all */
#define JSON_MAX       (64u << 20)     /* of a line of JSON, even with --all */
#define PAGE_SIZE_WISH 4096u    /* for the log of written pages */
#define FILL_PIECE     65536u

/* What came by message. */
struct traffic {
    uint64_t messages, bytes;
};

struct dma {
    const struct tool_call *call;
    struct vfuc_client *dev;        /* owned */
    struct tool_until until;        /* counts what is shown */
    uint64_t address, size;
    uint32_t flags;                 /* VFUC_DMA_ */
    const char *path;               /* of the file; NULL: memory of ours */
    int fd;                         /* owned; -1 with --no-fd */
    uint64_t offset;                /* in fd */
    uint8_t *memory;                /* owned, tool_zeros(): with --no-fd */
    struct tool_watched watched;    /* with a descriptor */
    bool mapped;
    int save_fd;                    /* owned; -1: not asked for */
    int interval_ms;
    uint64_t changed_bytes;
    struct traffic reads, writes;
    uint64_t log_page;              /* bytes; 0: no log */
    uint8_t *pages;                 /* owned: PAGE_ of each, if there is a log */
};

enum { PAGE_CHANGED = 1, PAGE_LOGGED = 2 };

/* --------------------------------------------------------------- printing -- */

static struct json_object *number(uint64_t value)
{
    return tool_json_number(value);
}

static void print_line(const struct dma *d, struct json_object *line)
{
    (void)tool_print_json_line(d->call, line);  /* the loop notices */
}

static size_t shown(const struct dma *d, size_t len)
{
    size_t max = !tool_given(d->call, 'a') ? SHOWN_MAX : d->call->json ? JSON_MAX : len;

    return len < max ? len : max;
}

/* What has happened to a range: "change", "write" or "read"; data NULL: is not shown. */
static void print_event(const struct dma *d, const char *event, const char *verb,
                        uint64_t address, const uint8_t *data, size_t len)
{
    struct json_object *line;

    if (d->call->json) {
        line = tool_until_event(&d->until, event);
        tool_json_add(line, "address", number(address));
        tool_json_add(line, "size", number(len));
        if (data != NULL)
            tool_json_add(line, "data", tool_json_hex(data, shown(d, len)));
        print_line(d, line);
        return;
    }
    printf("%12.6f s  %s%s 0x%" PRIx64 " to 0x%" PRIx64 ", %zu byte%s%s\n",
           tool_until_seconds(&d->until), tool_color(d->call, TOOL_YELLOW), verb, address,
           address + len - 1, len, len == 1 ? "" : "s", tool_color(d->call, TOOL_PLAIN));
    if (data == NULL)
        return;
    tool_hexdump(data, shown(d, len), address);
    if (shown(d, len) < len)
        printf("(%zu more bytes: --all shows them)\n", len - shown(d, len));
}

static void print_mapped(const struct dma *d)
{
    struct json_object *line;
    char size[32];
    const char *what = d->path != NULL ? d->path
                       : d->fd != -1   ? "a memfd"
                                       : "no descriptor";

    if (d->call->json) {
        line = tool_until_event(&d->until, "mapped");
        tool_json_add(line, "address", number(d->address));
        tool_json_add(line, "size", number(d->size));
        tool_json_add(line, "read",
                      tool_json_boolean(d->flags & VFUC_DMA_READ));
        tool_json_add(line, "write",
                      tool_json_boolean((d->flags & VFUC_DMA_WRITE) != 0));
        tool_json_add(line, "fd", tool_json_boolean(d->fd != -1));
        if (d->log_page != 0)
            tool_json_add(line, "log_page_size", number(d->log_page));
        print_line(d, line);
        return;
    }
    printf("window 0x%" PRIx64 " to 0x%" PRIx64 " (%s), the device may %s, %s\n",
           d->address, d->address + d->size - 1,
           tool_size_text(d->size, size, sizeof(size)),
           d->flags == VFUC_DMA_READ    ? "read"
           : d->flags == VFUC_DMA_WRITE ? "write"
                                        : "read and write",
           what);
    if (d->log_page != 0)
        printf("the server logs written pages of %" PRIu64 " bytes\n", d->log_page);
}

static void add_traffic(struct json_object *line, const char *key,
                        const struct traffic *traffic)
{
    struct json_object *object = tool_json_object();

    tool_json_add(object, "messages", number(traffic->messages));
    tool_json_add(object, "bytes", number(traffic->bytes));
    tool_json_add(line, key, object);
}

/* Pages with all of `set` and none of `clear`. */
static uint64_t count_pages(const struct dma *d, unsigned set, unsigned clear)
{
    uint64_t n = 0;

    for (uint64_t i = 0; d->pages != NULL && i <= (d->size - 1) / d->log_page; i++)
        n += (d->pages[i] & (set | clear)) == set;
    return n;
}

static void print_summary_json(const struct dma *d)
{
    struct json_object *line = tool_until_event(&d->until, "summary");

    tool_json_add(line, "changed_bytes", number(d->changed_bytes));
    tool_json_add(line, "changes", number(d->fd != -1 ? d->until.count : 0));
    add_traffic(line, "reads", &d->reads);
    add_traffic(line, "writes", &d->writes);
    if (d->log_page != 0) {
        tool_json_add(line, "pages_logged",
                      number(count_pages(d, PAGE_LOGGED, 0)));
        tool_json_add(line, "pages_not_logged",
                      number(count_pages(d, PAGE_CHANGED, PAGE_LOGGED)));
    }
    print_line(d, line);
}

/* "1 change", "2 changes" */
static const char *counted(uint64_t n, const char *what, char *buf, size_t len)
{
    snprintf(buf, len, "%" PRIu64 " %s%s", n, what, n == 1 ? "" : "s");
    return buf;
}

static void print_totals(const struct dma *d)
{
    char a[48], b[48], c[48], e[48];

    if (d->fd != -1)
        printf("%s, %s, in %.1f s\n", counted(d->until.count, "change", a, sizeof(a)),
               counted(d->changed_bytes, "byte", b, sizeof(b)),
               tool_until_seconds(&d->until));
    else
        printf("%s of %s, %s of %s, in %.1f s\n",
               counted(d->reads.messages, "read", a, sizeof(a)),
               counted(d->reads.bytes, "byte", b, sizeof(b)),
               counted(d->writes.messages, "write", c, sizeof(c)),
               counted(d->writes.bytes, "byte", e, sizeof(e)),
               tool_until_seconds(&d->until));
}

static void print_summary(const struct dma *d)
{
    uint64_t missed = count_pages(d, PAGE_CHANGED, PAGE_LOGGED);
    char text[48];

    if (d->call->json) {
        print_summary_json(d);
        return;
    }
    print_totals(d);
    if (d->log_page != 0)
        printf("%s logged\n", counted(count_pages(d, PAGE_LOGGED, 0), "page", text,
                                      sizeof(text)));
    if (missed != 0)
        printf("%s%s changed that the log does not have%s\n",
               tool_color(d->call, TOOL_RED), counted(missed, "page", text, sizeof(text)),
               tool_color(d->call, TOOL_PLAIN));
}

/* ----------------------------------------------------------- what happens -- */

/* at, len: in the window */
static void mark_pages(struct dma *d, uint64_t at, uint64_t len, uint8_t mark)
{
    if (d->pages == NULL || len == 0)
        return;
    for (uint64_t i = at / d->log_page; i <= (at + len - 1) / d->log_page; i++)
        d->pages[i] |= mark;
}

/* A range of the file has changed. */
static void on_change(void *opaque, uint64_t at, const void *data, size_t len)
{
    struct dma *d = opaque;
    const uint8_t *bytes = data;

    d->changed_bytes += len;
    d->until.count++;
    mark_pages(d, at, len, PAGE_CHANGED);
    if (!tool_given(d->call, 'q'))
        print_event(d, "change", "changed:", d->address + at, bytes, len);
}

static int on_read(void *opaque, uint64_t address, void *data, size_t count)
{
    struct dma *d = opaque;

    memcpy(data, d->memory + (address - d->address), count);
    d->reads.messages++;
    d->reads.bytes += count;
    d->until.count++;
    if (!tool_given(d->call, 'q'))
        print_event(d, "read", "device reads", address, NULL, count);
    return 0;
}

static int on_write(void *opaque, uint64_t address, const void *data, size_t count)
{
    struct dma *d = opaque;

    memcpy(d->memory + (address - d->address), data, count);
    d->writes.messages++;
    d->writes.bytes += count;
    d->changed_bytes += count;
    d->until.count++;
    if (!tool_given(d->call, 'q'))
        print_event(d, "write", "device writes", address, data, count);
    return 0;
}

/* 0, or an exit code */
static int look(struct dma *d)
{
    int err = d->fd == -1 ? 0 : tool_watched_look(&d->watched);

    if (err == -ENODATA)
        return tool_fail(d->call, TOOL_FAILED, "%s has shrunk", d->path);
    return err == 0 ? 0 : tool_fail(d->call, TOOL_FAILED, "reading the window: %s",
                                    strerror(-err));
}

/* What the server, and the library for messages, say was written since the last time. */
static int ask_log(struct dma *d)
{
    struct vfuc_dirty *dirty;
    struct vfuc_range run;
    int err;

    if (d->log_page == 0)
        return 0;
    err = vfuc_dma_logging_report(d->dev, d->address, d->size, d->log_page, &dirty);
    if (err != 0)
        return tool_client_fail(d->call, d->dev, err, "the log of written pages");
    while (vfuc_dirty_next(dirty, &run)) {
        mark_pages(d, run.address - d->address, run.size, PAGE_LOGGED);
        if (!tool_given(d->call, 'q'))
            print_event(d, "logged", "logged:", run.address, NULL, (size_t)run.size);
    }
    vfuc_dirty_free(dirty);
    return 0;
}

/* First the memory, then the log: what is seen was logged by then, or never is. */
static int do_round(struct dma *d)
{
    int status = look(d);

    return status == 0 ? ask_log(d) : status;
}

/* Looking takes at most half of the time, however large the window is. */
static int watch(struct dma *d)
{
    int64_t due_ms = tool_now_ms();
    int status = 0;

    do {
        int64_t before_ms = tool_now_ms();

        if (before_ms >= due_ms) {
            status = do_round(d);
            due_ms = tool_now_ms() - before_ms;
            due_ms = tool_now_ms() + (due_ms > d->interval_ms ? due_ms : d->interval_ms);
        }
        if (status != 0 || tool_until_over(&d->until))
            break;
        status = tool_until_wait(&d->until, -1, due_ms);
    } while (status == 0 && !tool_until_over(&d->until));
    return status;
}

/* ----------------------------------------------------------------- saving -- */

static int write_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

/* The window as it was seen last. */
static int save(struct dma *d)
{
    const uint8_t *bytes = d->fd == -1 ? d->memory : d->watched.copy;
    int err = ftruncate(d->save_fd, 0) != 0 && errno != EINVAL ? -errno : 0;

    if (err == 0)
        err = write_all(d->save_fd, bytes, (size_t)d->size);
    if (close(d->save_fd) != 0 && err == 0)
        err = -errno;
    d->save_fd = -1;
    return err == 0 ? 0 : tool_fail(d->call, TOOL_FAILED, "%s: %s",
                                    tool_value(d->call, 's'), strerror(-err));
}

/* Opened at once, so that nobody waits for what cannot be saved; emptied at the end. */
static int open_save(struct dma *d)
{
    const char *path = tool_value(d->call, 's');
    struct stat ours, theirs;

    if (path == NULL)
        return 0;
    d->save_fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (d->save_fd < 0)
        return tool_fail(d->call, TOOL_FAILED, "%s: %s", path, strerror(errno));
    if (d->path != NULL && fstat(d->save_fd, &ours) == 0 && fstat(d->fd, &theirs) == 0 &&
        ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino)
        return tool_misuse(d->call, "--save %s: this is the file that is mapped", path);
    return 0;
}

/* ----------------------------------------------------------------- memory -- */

/* --fill: a byte, or "address": each 8 bytes hold their own address. */
struct fill {
    bool given, address;
    uint8_t byte;
};

static int parse_fill(const struct dma *d, struct fill *fill)
{
    const char *text = tool_value(d->call, 'p');
    uint64_t byte = 0;

    *fill = (struct fill){ .given = text != NULL };
    if (text == NULL)
        return 0;
    if (d->path != NULL)
        return tool_misuse(d->call, "--fill would overwrite %s", d->path);
    fill->address = strcmp(text, "address") == 0;
    if (!fill->address && tool_number(text, "--fill", UINT8_MAX, &byte) != 0)
        return TOOL_USAGE;
    fill->byte = (uint8_t)byte;
    return 0;
}

/* Bytes [at, at + len) of the window. */
static void fill_piece(const struct dma *d, const struct fill *fill, uint8_t *to,
                       uint64_t at, size_t len)
{
    memset(to, fill->byte, len);
    for (size_t i = 0; fill->address && i < len; i++) {
        uint64_t address = d->address + at + i;

        to[i] = (uint8_t)((address & ~UINT64_C(7)) >> 8 * (address & 7));
    }
}

static int fill_memfd(const struct dma *d, const struct fill *fill)
{
    uint8_t piece[FILL_PIECE];

    for (uint64_t at = 0; at < d->size; at += sizeof(piece)) {
        size_t len = d->size - at < sizeof(piece) ? (size_t)(d->size - at)
                                                  : sizeof(piece);
        int err;

        fill_piece(d, fill, piece, at, len);
        err = write_all(d->fd, piece, len);
        if (err != 0)
            return tool_fail(d->call, TOOL_FAILED, "filling the window: %s",
                             strerror(-err));
    }
    return 0;
}

/* Sealed against shrinking, so that a server need not fear for its mapping. */
static int make_memfd(struct dma *d, const struct fill *fill)
{
    d->fd = memfd_create("vfu dma", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (d->fd < 0)
        return tool_fail(d->call, TOOL_FAILED, "memfd_create: %s", strerror(errno));
    if (ftruncate(d->fd, (off_t)d->size) != 0)
        return tool_fail(d->call, TOOL_FAILED, "0x%" PRIx64 " bytes of memory: %s",
                         d->size, strerror(errno));
    if (fcntl(d->fd, F_ADD_SEALS, F_SEAL_SHRINK) != 0)
        return tool_fail(d->call, TOOL_FAILED, "sealing memory: %s", strerror(errno));
    return fill->given ? fill_memfd(d, fill) : 0;
}

static int open_file(struct dma *d)
{
    bool writes = (d->flags & VFUC_DMA_WRITE) != 0;
    struct stat st;
    off_t end;

    /* Not blocking: a fifo is no memory, and is told so. */
    d->fd = open(d->path, (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);
    if (d->fd < 0)
        return tool_fail(d->call, TOOL_FAILED, "%s: %s", d->path, strerror(errno));
    if (fstat(d->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return tool_fail(d->call, TOOL_USAGE, "%s is no regular file", d->path);
    end = st.st_size;
    if (d->offset > (uint64_t)end || d->size > (uint64_t)end - d->offset)
        return tool_fail(d->call, TOOL_USAGE,
                         "%s has 0x%" PRIx64 " bytes: too few for 0x%" PRIx64
                         " from 0x%" PRIx64 " on",
                         d->path, (uint64_t)end, d->size, d->offset);
    return 0;
}

static int make_memory(struct dma *d)
{
    struct fill fill;
    int status = parse_fill(d, &fill), err;

    if (status != 0)
        return status;
    if (tool_given(d->call, 'm')) {
        d->memory = tool_zeros((size_t)d->size);
        if (d->memory == NULL)
            return tool_fail(d->call, TOOL_FAILED, "no memory for 0x%" PRIx64 " bytes",
                             d->size);
        if (fill.given)
            fill_piece(d, &fill, d->memory, 0, (size_t)d->size);
        return 0;
    }
    status = d->path != NULL ? open_file(d) : make_memfd(d, &fill);
    if (status != 0)
        return status;
    err = tool_watched_init(&d->watched, d->fd, d->offset, (size_t)d->size, on_change, d);
    if (err == -ENOMEM)
        return tool_fail(d->call, TOOL_FAILED, "no memory for a copy of 0x%" PRIx64
                         " bytes", d->size);
    return err == 0 ? 0 : tool_fail(d->call, TOOL_FAILED, "reading the window: %s",
                                    strerror(-err));
}

/* ----------------------------------------------------------------- window -- */

static int start_log(struct dma *d)
{
    const struct vfuc_range range = { .address = d->address, .size = d->size };
    uint64_t page;
    int err;

    if (!tool_given(d->call, 'l'))
        return 0;
    err = vfuc_dma_logging_start(d->dev, PAGE_SIZE_WISH, &range, 1, &page);
    if (err != 0)
        return tool_client_fail(d->call, d->dev, err,
                                "starting the log of written pages");
    d->pages = calloc((size_t)((d->size - 1) / page + 1), 1);
    if (d->pages == NULL)
        return tool_fail(d->call, TOOL_FAILED, "out of memory");
    d->log_page = page;
    return 0;
}

static int map(struct dma *d)
{
    int err;

    vfuc_set_dma_handlers(d->dev, on_read, on_write, d);
    err = vfuc_dma_map(d->dev, d->address, d->size, d->flags, d->fd, d->offset);
    if (err != 0)
        return tool_client_fail(d->call, d->dev, err, "mapping 0x%" PRIx64 " bytes at 0x%"
                                PRIx64, d->size, d->address);
    d->mapped = true;
    return start_log(d);
}

/* The last pages that were logged, the window goes, and then what the device wrote until
 * it had gone. A connection that is lost has taken the window with it. */
static int unmap(struct dma *d, int status)
{
    int last, err;

    if (status == 0)
        status = do_round(d);
    if (vfuc_fd(d->dev) != -1) {
        err = vfuc_dma_unmap(d->dev, d->address, d->size);
        if (err != 0 && status == 0)
            status = tool_client_fail(d->call, d->dev, err, "unmapping the window");
    }
    last = look(d);
    return status == 0 ? last : status;
}

/* With the window mapped. */
static int provoke_and_watch(struct dma *d)
{
    int status = tool_until_start(&d->until, d->dev), saved;

    if (status != 0)
        return status;
    print_mapped(d);
    status = tool_pokes_write(d->call, d->dev);
    if (status == 0)
        status = watch(d);
    status = unmap(d, status);
    saved = d->save_fd != -1 ? save(d) : 0;
    print_summary(d);
    if (status == 0)
        status = saved;
    return tool_until_verdict(&d->until, status, d->fd != -1 ? "changes" : "requests");
}

/* -------------------------------------------------------------- arguments -- */

static int read_flags(struct dma *d)
{
    const char *text = tool_value(d->call, 'F');

    d->flags = VFUC_DMA_READ | VFUC_DMA_WRITE;
    if (text == NULL || strcmp(text, "rw") == 0)
        return 0;
    if (strcmp(text, "r") == 0)
        d->flags = VFUC_DMA_READ;
    else if (strcmp(text, "w") == 0)
        d->flags = VFUC_DMA_WRITE;
    else
        return tool_misuse(d->call, "--flags is r, w or rw, not '%s'", text);
    return 0;
}

static int read_window(struct dma *d)
{
    const char *offset = tool_value(d->call, 'o');

    if (tool_number(d->call->argv[1], "ADDRESS", UINT64_MAX, &d->address) != 0 ||
        tool_number(d->call->argv[2], "SIZE", INT64_MAX, &d->size) != 0)
        return TOOL_USAGE;
    if (d->size == 0)
        return tool_misuse(d->call, "SIZE 0: there is no empty window");
    if (d->size - 1 > UINT64_MAX - d->address)
        return tool_misuse(d->call, "the window would go beyond the last address");
    d->path = d->call->argc > 3 ? d->call->argv[3] : NULL;
    if (d->path != NULL && tool_given(d->call, 'm'))
        return tool_misuse(d->call, "--no-fd: without a descriptor there is no FILE");
    if (offset != NULL && d->path == NULL)
        return tool_misuse(d->call, "--offset is one in FILE, and there is none");
    if (offset != NULL &&
        tool_number(offset, "--offset", (uint64_t)INT64_MAX - d->size, &d->offset) != 0)
        return TOOL_USAGE;
    return 0;
}

static int read_options(struct dma *d)
{
    const char *interval = tool_value(d->call, 'i');
    int status = tool_until_options(&d->until, d->call);

    if (status == 0)
        status = tool_pokes_check(d->call);
    if (status == 0)
        status = read_flags(d);
    if (status == 0)
        status = read_window(d);
    if (status != 0)
        return status;
    if (interval != NULL && tool_seconds(interval, "--interval", &d->interval_ms) != 0)
        return TOOL_USAGE;
    if (d->interval_ms < 0)
        return tool_misuse(d->call, "--interval: who never looks sees nothing");
    return 0;
}

static int run_all(struct dma *d)
{
    int status = read_options(d);

    if (status == 0)
        status = make_memory(d);
    if (status == 0)
        status = open_save(d);
    if (status == 0)
        status = tool_connect(d->call, d->call->argv[0], NULL, &d->dev);
    if (status == 0)
        status = tool_pokes_fit(d->call, d->dev);
    if (status == 0)
        status = map(d);
    return status == 0 ? provoke_and_watch(d) : status;
}

static int run(struct tool_call *call)
{
    struct dma d = { .call = call, .fd = -1, .save_fd = -1, .interval_ms = 100 };
    int status = run_all(&d);

    vfuc_close(d.dev);      /* first: it may still use the memory */
    tool_watched_done(&d.watched);
    if (d.fd != -1)
        close(d.fd);
    if (d.save_fd != -1)
        close(d.save_fd);
    tool_zeros_done(d.memory, (size_t)d.size);
    free(d.pages);
    return status;
}

static const struct tool_option options[] = {
    { 'F', "flags", "FLAGS", "what the device may do: r, w or rw [rw]" },
    { 'o', "offset", "BYTES", "where the window begins in FILE [0]" },
    { 'm', "no-fd", NULL, "lend no descriptor: the device asks by message" },
    { 'p', "fill", "BYTE", "fill the memory first; \"address\": with its own addresses" },
    TOOL_POKE_OPTION,
    { 'l', "log", NULL, "have the server log written pages, too" },
    TOOL_UNTIL_COUNT_OPTION("changes (with --no-fd: requests)"),
    TOOL_UNTIL_FOR_OPTION,
    { 'i', "interval", "SECONDS", "time between two looks at the memory [0.1]" },
    { 'a', "all", NULL, "show all bytes of a change, not only the first 256" },
    { 'q', "quiet", NULL, "show the summary only" },
    { 's', "save", "FILE", "write what the window holds at the end to FILE" },
    { 0 },
};

const struct tool_command tool_cmd_dma = {
    .name = "dma",
    .usage = "SOCKET ADDRESS SIZE [FILE]",
    .summary = "map memory for the device and show what it writes",
    .about =
        "At ADDRESS the device sees SIZE bytes of FILE, into which it writes, or of new\n"
        "memory that is zero. What changes there is shown until SIGINT (Ctrl-C), --for\n"
        "or --count. With --no-fd each request for it is shown.",
    .options = options,
    .min_args = 3,
    .max_args = 4,
    .json = true,
    .run = run,
};
