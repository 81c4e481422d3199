/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the sample device moves to another host: it gives its state away as a stream of
 * bytes, and takes one. The client carries the stream; only devices of this kind read it.
 *
 * The library keeps the states of migration and says which one comes next:
 *
 *     RUNNING ---> PRE_COPY ---> STOP_COPY ---> STOP     gives its state away
 *        |                           ^
 *        +-------> STOP -------------+
 *                   |
 *                   +----------> RESUMING ----> STOP ---> RUNNING     takes one
 *
 * PRE_COPY: the device runs; the client reads its memory (BAR1, BAR2, BAR4) in rounds. A
 * read that gives less than was asked ends a round; the next has the pages that changed
 * meanwhile, and may be empty. Clients write through mappings, of which the device learns
 * nothing. So a copy is kept of what was sent, and a page goes into the stream when it is
 * not equal to the copy. The copy begins as zeros, like the memory of whoever takes the
 * stream: pages of zeros are not sent unless they were something else.
 *
 * STOP_COPY: the device stands still. A last round of memory, then what is small and
 * changes all the time: registers, timers, what the client has set in configuration
 * space.
 *
 * RESUMING: the stream is checked as it comes, and kept apart. The step to STOP applies
 * all of it, or fails with EINVAL and changes nothing; then a new stream may follow, from
 * its beginning, or a reset.
 *
 * The stream is a sequence of records. A record is a header of 16 bytes, then its data.
 * The client's reads and writes cut it anywhere. Integers are little endian.
 *
 *      0  type    4
 *      4  length  4  bytes of data behind the header
 *      8  offset  8
 *
 *     type           length  offset
 *     0x56465553          0  version of the format: 1. The first record
 *     1 BAR1           4096  a page of BAR1: its offset there. If it comes twice, the
 *     2 BAR2           4096  later one counts; a page that never comes is zero
 *     3 BAR4           4096
 *     4 REGISTERS        56  0; BAR0 from 0x00 to 0x37
 *     5 TIMERS           24  0; TIME at which the alarm is set (8), nanoseconds left of
 *                            TIMER_DELAY (8), is that timer running: 0 or 1 (4), the
 *                            vector that it will raise (4)
 *     6 CONFIG           76  0; 19 words of 4 bytes, see fields[]
 *     7 END               0  the number of records before it. The last record
 *
 * 4, 5, 6 come once each.
 */
#include "samples/server.h"

#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define STREAM_VERSION 1
#define HEADER_SIZE    16
#define TIMERS_SIZE    24
#define LONGEST_DELAY  (UINT32_MAX * UINT64_C(1000))   /* ns */

enum {                          /* types of records; memory comes first */
    BAR1 = 1,
    BAR2,
    BAR4,
    REGISTERS,
    TIMERS,
    CONFIG,
    END,
    BEGIN = ID_VALUE,
};

/* The bits of configuration space that a client can set. */
static const struct {
    uint8_t capability;         /* PCI_CAP_ID_*, 0: the header */
    uint8_t offset;             /* in the capability */
    uint32_t bits;
} fields[] = {
    /* clang-format off */
    { 0,               PCI_COMMAND,        0x0000055f },
    { 0,               PCI_CACHE_LINE_SIZE, 0x0000ffff },   /* and latency timer */
    { 0,               PCI_BASE_ADDRESS_0, 0xfffff000 },
    { 0,               PCI_BASE_ADDRESS_1, 0xffe00000 },
    { 0,               PCI_BASE_ADDRESS_2, 0xffff0000 },
    { 0,               PCI_BASE_ADDRESS_3, 0xffffffff },    /* upper half of BAR2 */
    { 0,               PCI_BASE_ADDRESS_4, 0xfffff000 },
    { 0,               PCI_ROM_ADDRESS,    0xfffff801 },
    { 0,               PCI_INTERRUPT_LINE, 0x000000ff },
    { PCI_CAP_ID_PM,   PCI_PM_CTRL,        0x0000ffff },
    { PCI_CAP_ID_EXP,  PCI_EXP_DEVCTL,     0x00007fff },
    { PCI_CAP_ID_EXP,  PCI_EXP_DEVCTL2,    0x0000ffff },
    { PCI_CAP_ID_EXP,  PCI_EXP_LNKCTL2,    0x0000ffff },
    { PCI_CAP_ID_MSI,  0,                  0x00010000 },    /* enable */
    { PCI_CAP_ID_MSI,  PCI_MSI_ADDRESS_LO, 0xfffffffc },
    { PCI_CAP_ID_MSI,  PCI_MSI_ADDRESS_HI, 0xffffffff },
    { PCI_CAP_ID_MSI,  PCI_MSI_DATA_64,    0x0000ffff },
    { PCI_CAP_ID_MSI,  PCI_MSI_MASK_64,    0xffffffff },
    { PCI_CAP_ID_MSIX, 0,                  0xc0000000 },    /* enable, mask all */
    /* clang-format on */
};

#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

/* All that a stream can hold. */
struct image {
    uint8_t storage[STORAGE_SIZE];
    uint8_t buffer[BUFFER_SIZE];
    uint8_t vectors[VECTORS_SIZE];
    uint8_t registers[REGISTERS_END];
    uint8_t timers[TIMERS_SIZE];
    uint8_t config[4 * N_FIELDS];
};

/* By type: where the data of a record are. */
static const struct part {
    size_t at;                  /* in struct image */
    size_t size;
} parts[] = {
    [BAR1] = { offsetof(struct image, storage), STORAGE_SIZE },
    [BAR2] = { offsetof(struct image, buffer), BUFFER_SIZE },
    [BAR4] = { offsetof(struct image, vectors), VECTORS_SIZE },
    [REGISTERS] = { offsetof(struct image, registers), REGISTERS_END },
    [TIMERS] = { offsetof(struct image, timers), TIMERS_SIZE },
    [CONFIG] = { offsetof(struct image, config), 4 * N_FIELDS },
};

struct record {
    uint32_t type;
    uint32_t length;
    uint64_t offset;
};

/* The stream that the device gives away. */
struct outgoing {
    struct image sent;          /* what the other side has when it took all records */
    uint64_t records;
    bool last;                  /* standing still: the last round, then the rest */
    uint32_t type;              /* where the search goes on; END + 1: there is no more */
    size_t offset;
    uint8_t header[HEADER_SIZE];    /* of the current record */
    const uint8_t *data;        /* its data, in `sent` */
    size_t length;              /* of header and data */
    size_t taken;               /* of these: by the client */
};

/* The stream that the device takes. */
struct incoming {
    struct image image;
    uint64_t records;           /* before the current one */
    unsigned int seen;          /* bit by type: CONFIG and those like it */
    uint8_t header[HEADER_SIZE];
    struct record record;       /* the current one, when its header is complete */
    size_t taken;               /* of its header and data: bytes that have come */
    bool ended;
    bool broken;                /* nothing of it will be used */
};

/* --------------------------------------------------------- bytes, records */

static void store32(uint8_t *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, sizeof(v));
}

static void store64(uint8_t *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, sizeof(v));
}

static uint32_t load32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return le32toh(v);
}

static uint64_t load64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return le64toh(v);
}

static struct record load_record(const uint8_t *header)
{
    return (struct record){ load32(header), load32(header + 4), load64(header + 8) };
}

static bool is_memory(uint32_t type)
{
    return type >= BAR1 && type <= BAR4;
}

static uint8_t *live_memory(struct device *d, uint32_t type)
{
    return type == BAR1 ? d->storage.bytes : type == BAR2 ? d->buffer.bytes : d->vectors;
}

static uint8_t *live_field(const struct device *d, size_t i)
{
    uint8_t *space = (uint8_t *)vfu_pci_get_config_space(d->ctx);
    size_t at = fields[i].offset;

    if (fields[i].capability != 0)
        at += vfu_pci_find_capability(d->ctx, false, fields[i].capability);
    return space + at;
}

/* ------------------------------------------------------------ giving away */

/* The state that is not memory; of a device that stands still. */
static void capture(struct device *d, struct image *image)
{
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < REGISTERS_END / 4; i++)
        store32(image->registers + 4 * i, d->registers[i]);
    store64(image->timers, d->alarm.armed ? (uint64_t)d->alarm.due.tv_sec : 0);
    store64(image->timers + 8, d->timer.armed ? timer_left(&d->timer) : 0);
    store32(image->timers + 16, d->timer.armed);
    store32(image->timers + 20, d->timer.vector);
    pthread_mutex_unlock(&d->lock);
    for (size_t i = 0; i < N_FIELDS; i++)
        store32(image->config + 4 * i, load32(live_field(d, i)) & fields[i].bits);
}

/* Make a record the current one. */
static bool put(struct outgoing *out, uint32_t type, size_t length, uint64_t offset)
{
    store32(out->header, type);
    store32(out->header + 4, (uint32_t)length);
    store64(out->header + 8, offset);
    if (length > 0)
        out->data = (const uint8_t *)&out->sent + parts[type].at + offset;
    out->length = HEADER_SIZE + length;
    out->taken = 0;
    out->records++;
    return true;
}

/* Find the next page that is not as it was sent. Return: whether there is one. */
static bool put_changed_page(struct device *d, struct outgoing *out)
{
    for (; is_memory(out->type); out->type++, out->offset = 0) {
        const uint8_t *live = live_memory(d, out->type);
        uint8_t *sent = (uint8_t *)&out->sent + parts[out->type].at;

        for (; out->offset < parts[out->type].size; out->offset += PAGE) {
            if (memcmp(sent + out->offset, live + out->offset, PAGE) == 0)
                continue;
            /* The client may write on; what counts as sent is what is sent. */
            memcpy(sent + out->offset, live + out->offset, PAGE);
            put(out, out->type, PAGE, out->offset);
            out->offset += PAGE;
            return true;
        }
    }
    return false;
}

static void start_round(struct outgoing *out)
{
    out->type = BAR1;
    out->offset = 0;
}

/* Return: whether there is a further record at present. */
static bool put_next(struct device *d, struct outgoing *out)
{
    uint32_t type;

    if (out->records == 0)
        return put(out, BEGIN, 0, STREAM_VERSION);
    if (put_changed_page(d, out))
        return true;
    if (!out->last) {
        tell(d, "migration: the end of a round, after %llu records",
             (unsigned long long)out->records);
        start_round(out);
        return false;
    }
    if (out->type > END)
        return false;
    type = out->type++;
    if (type == END)
        return put(out, END, 0, out->records);
    if (type == REGISTERS)
        capture(d, &out->sent);
    return put(out, type, parts[type].size, 0);
}

/* Bytes of the current record that the client has not taken, up to max. */
static size_t take_bytes(struct outgoing *out, uint8_t *buf, size_t max)
{
    const uint8_t *from;
    size_t n;

    if (out->taken < HEADER_SIZE) {
        from = out->header + out->taken;
        n = HEADER_SIZE - out->taken;
    } else {
        from = out->data + (out->taken - HEADER_SIZE);
        n = out->length - out->taken;
    }
    if (n > max)
        n = max;
    memcpy(buf, from, n);
    out->taken += n;
    return n;
}

static ssize_t on_save(vfu_ctx_t *ctx, void *buf, uint64_t count)
{
    struct device *d = vfu_get_private(ctx);
    struct outgoing *out = d->outgoing;
    size_t n = 0;

    while (n < count && (out->taken < out->length || put_next(d, out)))
        n += take_bytes(out, (uint8_t *)buf + n, count - n);
    return (ssize_t)n;
}

/* ----------------------------------------------------------------- taking */

/* Return: what is wrong with a record that begins, or NULL. */
static const char *check_record(const struct incoming *in, const struct record *r)
{
    const unsigned int needed = 1u << REGISTERS | 1u << TIMERS | 1u << CONFIG;

    if (in->records == 0) {
        if (r->type != BEGIN || r->length != 0)
            return "not from a device of this kind";
        return r->offset == STREAM_VERSION ? NULL : "another version of the format";
    }
    if (is_memory(r->type)) {
        if (r->length != PAGE || r->offset % PAGE != 0)
            return "memory that is not a page";
        return r->offset < parts[r->type].size ? NULL : "a page outside of the memory";
    }
    if (r->type >= REGISTERS && r->type <= CONFIG) {
        if (in->seen & 1u << r->type)
            return "a record that comes twice";
        return r->length == parts[r->type].size && r->offset == 0
                   ? NULL : "a record of another size";
    }
    if (r->type != END)
        return "an unknown record";
    if (r->length != 0)
        return "an end with data";
    return in->seen == needed && r->offset == in->records ? NULL : "lost records";
}

static int refuse(struct device *d, const char *why)
{
    tell(d, "migration: stream refused: %s", why);
    errno = EINVAL;
    return -1;
}

/* A record is complete. */
static void finish_record(struct incoming *in)
{
    if (in->record.type >= REGISTERS && in->record.type <= CONFIG)
        in->seen |= 1u << in->record.type;
    in->ended = in->record.type == END;
    in->records++;
    in->taken = 0;
}

/* Take bytes of one record, at most up to its end. Return: how many, or -1 and errno. */
static ssize_t take_part(struct device *d, struct incoming *in, const uint8_t *buf,
                         size_t count)
{
    size_t want;
    uint8_t *to;

    if (in->ended)
        return refuse(d, "it goes on behind its end");
    if (in->taken < HEADER_SIZE) {
        want = HEADER_SIZE - in->taken;
        to = in->header + in->taken;
    } else {
        want = HEADER_SIZE + in->record.length - in->taken;
        to = (uint8_t *)&in->image + parts[in->record.type].at + in->record.offset +
             (in->taken - HEADER_SIZE);
    }
    if (want > count)
        want = count;
    memcpy(to, buf, want);
    in->taken += want;
    if (in->taken == HEADER_SIZE) {
        struct record r = load_record(in->header);
        const char *wrong = check_record(in, &r);

        if (wrong != NULL)
            return refuse(d, wrong);
        in->record = r;
    }
    if (in->taken >= HEADER_SIZE && in->taken == HEADER_SIZE + in->record.length)
        finish_record(in);
    return (ssize_t)want;
}

static ssize_t on_restore(vfu_ctx_t *ctx, void *buf, uint64_t count)
{
    struct device *d = vfu_get_private(ctx);
    struct incoming *in = d->incoming;

    for (uint64_t done = 0; done < count && !in->broken;) {
        ssize_t n = take_part(d, in, (uint8_t *)buf + done, count - done);

        if (n < 0)
            in->broken = true;
        else
            done += (uint64_t)n;
    }
    if (in->broken) {
        errno = EINVAL;
        return -1;
    }
    return (ssize_t)count;
}

/* Return: what is wrong with values that the device cannot have, or NULL. */
static const char *check_values(const struct image *image)
{
    const uint8_t *r = image->registers, *t = image->timers;

    if (load32(r + ID) != ID_VALUE || load32(r + DMA_START) != 0 ||
        load32(r + DMA_STATUS) >= DMA_STATUS_END || load32(r + DMA_STATUS + 4) != 0 ||
        load32(r + TIMER_VECTOR) >= N_VECTORS)
        return "impossible registers";
    if (load64(t) > INT64_MAX || load64(t + 8) > LONGEST_DELAY || load32(t + 16) > 1 ||
        load32(t + 20) >= N_VECTORS)
        return "impossible timers";
    for (size_t i = 0; i < N_FIELDS; i++) {
        if ((load32(image->config + 4 * i) & ~fields[i].bits) != 0)
            return "impossible configuration space";
    }
    return NULL;
}

static void apply_timers(struct device *d, const uint8_t *t)
{
    timer_cancel(&d->alarm);
    timer_cancel(&d->timer);
    if (load64(t) != 0)
        timer_set_time(&d->alarm, load64(t), 0);
    if (load32(t + 16) != 0)
        timer_set_delay(&d->timer, load64(t + 8), load32(t + 20));
}

static void apply(struct device *d, const struct image *image)
{
    for (uint32_t type = BAR1; is_memory(type); type++)
        memcpy(live_memory(d, type), (const uint8_t *)image + parts[type].at,
               parts[type].size);
    for (size_t i = 0; i < N_FIELDS; i++) {
        uint8_t *field = live_field(d, i);

        store32(field, (load32(field) & ~fields[i].bits) | load32(image->config + 4 * i));
    }
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < REGISTERS_END / 4; i++)
        d->registers[i] = load32(image->registers + 4 * i);
    apply_timers(d, image->timers);
    pthread_mutex_unlock(&d->lock);
}

/* All or nothing. Return: 0, or -1 and errno, with an incoming stream that is as new. */
static int commit(struct device *d)
{
    struct incoming *in = d->incoming;
    const char *wrong = in->broken ? "it was broken before"
                        : !in->ended ? "it is not complete" : check_values(&in->image);

    if (wrong != NULL) {
        memset(in, 0, sizeof(*in));
        return refuse(d, wrong);
    }
    apply(d, &in->image);
    tell(d, "migration: %llu records taken", (unsigned long long)in->records);
    return 0;
}

/* ----------------------------------------------------------------- states */

static void close_streams(struct device *d)
{
    free(d->outgoing);
    free(d->incoming);
    d->outgoing = NULL;
    d->incoming = NULL;
}

/* calloc(): the memory of both sides begins as zeros. */
static int open_outgoing(struct device *d)
{
    d->outgoing = calloc(1, sizeof(*d->outgoing));
    if (d->outgoing == NULL)
        return -1;
    start_round(d->outgoing);
    return 0;
}

static int open_incoming(struct device *d)
{
    d->incoming = calloc(1, sizeof(*d->incoming));
    return d->incoming != NULL ? 0 : -1;
}

static void stand_still(struct device *d)
{
    pthread_mutex_lock(&d->lock);
    timers_hold(d);
    pthread_mutex_unlock(&d->lock);
}

static void go_on(struct device *d)
{
    pthread_mutex_lock(&d->lock);
    timers_go_on(d);
    pthread_mutex_unlock(&d->lock);
}

void migration_abandon(struct device *d)
{
    close_streams(d);
    go_on(d);
}

/* PRE_COPY to STOP_COPY: the same stream goes on. */
static int last_round(struct device *d)
{
    if (d->outgoing == NULL && open_outgoing(d) < 0)
        return -1;
    stand_still(d);
    d->outgoing->last = true;
    start_round(d->outgoing);
    return 0;
}

static int on_transition(vfu_ctx_t *ctx, vfu_migr_state_t state)
{
    struct device *d = vfu_get_private(ctx);

    switch (state) {
    case VFU_MIGR_STATE_PRE_COPY:
        return open_outgoing(d);
    case VFU_MIGR_STATE_STOP_AND_COPY:
        return last_round(d);
    case VFU_MIGR_STATE_RESUME:
        return open_incoming(d);
    case VFU_MIGR_STATE_STOP:
        if (d->incoming != NULL && commit(d) < 0)
            return -1;
        close_streams(d);
        stand_still(d);
        return 0;
    case VFU_MIGR_STATE_RUNNING:
        migration_abandon(d);
        return 0;
    default:
        errno = EINVAL;
        return -1;
    }
}

int migration_init(struct device *d)
{
    const vfu_migration_callbacks_t callbacks = {
        .version = VFU_MIGR_CALLBACKS_VERS,
        .transition = on_transition,
        .read_data = on_save,
        .write_data = on_restore,
    };

    return vfu_setup_device_migration_callbacks(d->ctx, &callbacks);
}
