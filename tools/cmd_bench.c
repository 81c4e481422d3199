/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfu bench: how long a server takes for what a driver does all the time.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tools/bench.h"

#define DEFAULT_COUNT    3100u
#define DEFAULT_DEPTH    64u
#define MAX_DEPTH        256u
#define MAX_SIZES        8u
#define WINDOW           UINT64_C(0x10000)
#define WINDOW_ADDRESS   UINT64_C(0x100000000)
#define REPLY_OVERHEAD   32u    /* header and fixed part of a region access */

enum { OPT_VS = 2 };

static const struct tool_option options[] = {
    { OPT_VS, "vs", "SOCKET", "measure this server too, in turns, and compare" },
    { 'n', "count", "N", "operations of each kind [3100]" },
    { 'r', "region", "REGION", "the region to access [config]" },
    { 'o', "offset", "BYTES", "where in the region [0]" },
    { 's', "sizes", "LIST", "sizes of accesses [4,64,256]" },
    { 'p', "pipeline", "DEPTH", "reads on their way at a time [64]" },
    { 'w', "write", NULL, "write, too: what was read before is written back" },
    { 'i', "irq", "INDEX",
      "measure interrupts of this index, which are then switched off" },
    { 'm', "migration", NULL, "measure the data of migration: the device stands still" },
    { 0, NULL, NULL, NULL },
};

struct subject {
    const char *name;
    struct vfuc_client *dev;    /* NULL: the echo */
};

struct bench {
    struct tool_call *call;
    struct subject subjects[TOOL_BENCH_SUBJECTS];
    unsigned n_subjects;
    struct tool_echo echo;
    struct json_object *results;    /* owned */
    struct tool_table *table;       /* owned until printed */

    unsigned count, depth;
    uint32_t region, irq;
    uint64_t offset;
    size_t sizes[MAX_SIZES];
    unsigned n_sizes;
    int memory;                 /* a memfd of WINDOW bytes */
    uint8_t *buf;               /* owned, MAX_DEPTH times the largest size */
    uint8_t *before;            /* owned; what is written back */
};

/* One kind of operation. `run` does n of them on a server and adds a sample for each (or,
 * of pipelines, for each at the average), and gives an error of the client's. */
struct kind {
    const char *name;
    size_t size;                /* bytes of data; 0: none */
    size_t there, back;         /* bytes of the messages, for the echo; 0: no echo */
    int (*run)(struct bench *b, struct vfuc_client *dev, const struct kind *kind,
               unsigned n, struct tool_samples *samples);
};

/* ------------------------------------------------------------------- kinds -- */

static int run_read(struct bench *b, struct vfuc_client *dev, const struct kind *kind,
                    unsigned n, struct tool_samples *samples)
{
    int err = 0;

    for (unsigned i = 0; err == 0 && i < n; i++) {
        int64_t begin = tool_now_ns();

        err = vfuc_region_read(dev, b->region, b->offset, b->buf, kind->size);
        tool_samples_add(samples, (uint64_t)(tool_now_ns() - begin));
    }
    return err;
}

static int run_write(struct bench *b, struct vfuc_client *dev, const struct kind *kind,
                     unsigned n, struct tool_samples *samples)
{
    int err = 0;

    for (unsigned i = 0; err == 0 && i < n; i++) {
        int64_t begin = tool_now_ns();

        err = vfuc_region_write(dev, b->region, b->offset, b->before, kind->size);
        tool_samples_add(samples, (uint64_t)(tool_now_ns() - begin));
    }
    return err;
}

/* Posted writes are done when a read behind them is answered. */
static int run_posted(struct bench *b, struct vfuc_client *dev, const struct kind *kind,
                      unsigned n, struct tool_samples *samples)
{
    int64_t begin = tool_now_ns();
    uint64_t each;
    int err = 0;

    for (unsigned i = 0; err == 0 && i < n; i++)
        err = vfuc_region_write_posted(dev, b->region, b->offset, b->before, kind->size);
    if (err == 0)
        err = vfuc_region_read(dev, b->region, b->offset, b->buf, kind->size);
    /* n > 0: see measure(). NOLINTNEXTLINE(clang-analyzer-core.DivideZero) */
    each = (uint64_t)(tool_now_ns() - begin) / n;
    for (unsigned i = 0; i < n; i++)
        tool_samples_add(samples, each);
    return err;
}

static int take(struct vfuc_client *dev, unsigned *pending)
{
    struct vfuc_completion done[64];
    int n = vfuc_wait(dev, done, 64, -1);

    for (int i = 0; i < n; i++) {
        if (done[i].result < 0)
            return done[i].result;
    }
    if (n <= 0)
        return n < 0 ? n : -ENOTCONN;
    *pending -= (unsigned)n;
    return 0;
}

static int run_pipeline(struct bench *b, struct vfuc_client *dev, const struct kind *kind,
                        unsigned n, struct tool_samples *samples)
{
    int64_t begin = tool_now_ns();
    unsigned pending = 0;
    uint64_t each;
    int err = 0;

    for (unsigned i = 0; err == 0 && i < n; i++) {
        err = vfuc_submit_region_read(dev, b->region, b->offset,
                                      b->buf + i % b->depth * kind->size, kind->size, i);
        if (err == 0 && ++pending == b->depth) {
            while (err == 0 && pending > 0)
                err = take(dev, &pending);
        }
    }
    while (err == 0 && pending > 0)
        err = take(dev, &pending);
    /* n > 0: see measure(). NOLINTNEXTLINE(clang-analyzer-core.DivideZero) */
    each = (uint64_t)(tool_now_ns() - begin) / n;
    for (unsigned i = 0; i < n; i++)
        tool_samples_add(samples, each);
    return err;
}

static int run_dma(struct bench *b, struct vfuc_client *dev, const struct kind *kind,
                   unsigned n, struct tool_samples *samples)
{
    int err = 0;

    (void)kind;
    for (unsigned i = 0; err == 0 && i < n; i++) {
        int64_t begin = tool_now_ns();

        err = vfuc_dma_map(dev, WINDOW_ADDRESS, WINDOW, VFUC_DMA_READ | VFUC_DMA_WRITE,
                           b->memory, 0);
        if (err == 0)
            err = vfuc_dma_unmap(dev, WINDOW_ADDRESS, WINDOW);
        tool_samples_add(samples, (uint64_t)(tool_now_ns() - begin));
    }
    return err;
}

/* From asking the server to fire a vector to seeing that it fired. */
static int run_irq(struct bench *b, struct vfuc_client *dev, const struct kind *kind,
                   unsigned n, struct tool_samples *samples)
{
    int err = vfuc_irq_enable(dev, b->irq, 0, 1);
    const struct vfuc_irq *info;
    int known = err;

    (void)kind;
    if (err == 0)
        err = vfuc_irq_info(dev, b->irq, &info);
    for (unsigned i = 0; err == 0 && i < n; i++) {
        int64_t begin = tool_now_ns();

        err = vfuc_irq_trigger(dev, b->irq, 0, 1);
        if (err == 0)
            err = vfuc_irq_wait(dev, b->irq, 0, b->call->timeout_ms, NULL);
        tool_samples_add(samples, (uint64_t)(tool_now_ns() - begin));
        if (err == 0 && (info->flags & VFUC_IRQ_AUTOMASKED) != 0)
            err = vfuc_irq_unmask(dev, b->irq, 0, 1);
    }
    if (known == 0 && err == 0)
        err = vfuc_irq_disable(dev, b->irq);
    return err;
}

/* ----------------------------------------------------------------- results -- */

static void add(struct json_object *object, const char *key, struct json_object *value)
{
    tool_json_add(object, key, value);
}

static void add_ns(struct json_object *object, const char *key, uint64_t ns)
{
    add(object, key, tool_json_number(ns));
}

static void ratio_text(char *buf, size_t len, const double *q)
{
    snprintf(buf, len, "%.2f (%.2f-%.2f)", q[1], q[0], q[2]);
}

static struct json_object *ratio_json(const double *q)
{
    struct json_object *object = tool_json_object();

    add(object, "lower_quartile", tool_json_double(q[0]));
    add(object, "median", tool_json_double(q[1]));
    add(object, "upper_quartile", tool_json_double(q[2]));
    return object;
}

static void note(struct bench *b, const struct kind *kind, unsigned i,
                 struct tool_samples *all)
{
    struct tool_samples *s = &all[i];
    struct json_object *result = tool_json_object();
    char first[48] = "", echo[48] = "";
    double q[3];
    uint64_t p50;

    tool_samples_sort(s);
    p50 = tool_samples_at(s, 0.5);
    add(result, "operation", tool_json_string(kind->name));
    add(result, "bytes", tool_json_number(kind->size));
    add(result, "subject", tool_json_string(b->subjects[i].name));
    add(result, "samples", tool_json_number(s->n));
    add_ns(result, "p50_ns", p50);
    add_ns(result, "p90_ns", tool_samples_at(s, 0.9));
    add_ns(result, "p99_ns", tool_samples_at(s, 0.99));
    add_ns(result, "max_ns", tool_samples_at(s, 1));
    if (b->subjects[i].dev != NULL && i > 0 && tool_samples_ratio(s, &all[0], q)) {
        ratio_text(first, sizeof(first), q);
        add(result, "to_first", ratio_json(q));
    }
    if (b->subjects[i].dev != NULL && kind->there != 0
        && tool_samples_ratio(s, &all[b->n_subjects - 1], q)) {
        ratio_text(echo, sizeof(echo), q);
        add(result, "to_echo", ratio_json(q));
    }
    tool_json_append(b->results, result);
    tool_table_cell(b->table, "%s", kind->name);
    tool_table_cell(b->table, "%zu", kind->size);
    tool_table_cell(b->table, "%s", b->subjects[i].name);
    tool_table_cell(b->table, "%.2f", (double)p50 / 1e3);
    tool_table_cell(b->table, "%.2f", (double)tool_samples_at(s, 0.9) / 1e3);
    tool_table_cell(b->table, "%.2f", (double)tool_samples_at(s, 0.99) / 1e3);
    tool_table_cell(b->table, "%.2f", (double)tool_samples_at(s, 1) / 1e3);
    tool_table_cell(b->table, "%.0f", p50 == 0 ? 0 : 1e9 / (double)p50);
    tool_table_cell(b->table, "%s", echo);
    tool_table_cell(b->table, "%s", first);
}

/* --------------------------------------------------------------- measuring -- */

static int run_echo(struct bench *b, const struct kind *kind, unsigned n,
                    struct tool_samples *samples)
{
    int err = 0;

    for (unsigned i = 0; err == 0 && i < n; i++) {
        int64_t begin = tool_now_ns();

        err = tool_echo_turn(&b->echo, kind->there, kind->back);
        tool_samples_add(samples, (uint64_t)(tool_now_ns() - begin));
    }
    return err < 0 ? tool_fail(b->call, TOOL_FAILED, "the echo: %s", strerror(-err))
                   : TOOL_OK;
}

/* Who comes later finds caches and clocks warm, so every other round goes backwards. */
static int run_round(struct bench *b, const struct kind *kind, unsigned n,
                     bool backwards, struct tool_samples *all)
{
    int code = TOOL_OK;

    for (unsigned turn = 0; code == TOOL_OK && turn < b->n_subjects; turn++) {
        unsigned i = backwards ? b->n_subjects - 1 - turn : turn;
        struct subject *s = &b->subjects[i];
        int err = 0;

        if (s->dev != NULL)
            err = kind->run(b, s->dev, kind, n, &all[i]);
        else if (kind->there != 0)
            code = run_echo(b, kind, n, &all[i]);
        if (err < 0)
            code = tool_client_fail(b->call, s->dev, err, "%s: %s of %zu bytes", s->name,
                                    kind->name, kind->size);
        tool_samples_end_round(&all[i]);
    }
    return code;
}

static int measure(struct bench *b, const struct kind *kind)
{
    struct tool_samples all[TOOL_BENCH_SUBJECTS] = { { .ns = NULL } };
    unsigned n = b->count / TOOL_BENCH_ROUNDS;
    int code = TOOL_OK;

    if (n == 0)
        n = 1;
    for (unsigned i = 0; i < b->n_subjects; i++) {
        if (tool_samples_init(&all[i], (size_t)n * TOOL_BENCH_ROUNDS) < 0)
            code = tool_fail(b->call, TOOL_FAILED, "out of memory");
    }
    for (unsigned r = 0; code == TOOL_OK && r < TOOL_BENCH_ROUNDS; r++) {
        tool_progress(b->call, "%s, %zu bytes: round %u of %u", kind->name, kind->size,
                      r + 1, TOOL_BENCH_ROUNDS);
        code = run_round(b, kind, n, r % 2 == 1, all);
        if (code == TOOL_OK && tool_stopped())
            code = tool_fail(b->call, TOOL_FAILED, "interrupted");
    }
    for (unsigned i = 0; code == TOOL_OK && i < b->n_subjects; i++) {
        if (all[i].n > 0)
            note(b, kind, i, all);
    }
    for (unsigned i = 0; i < b->n_subjects; i++)
        tool_samples_done(&all[i]);
    tool_progress(b->call, NULL);
    return code;
}

/* What is written is what was there, so that most devices are none the worse for it. */
static int read_before(struct bench *b, size_t size)
{
    struct vfuc_client *dev = b->subjects[0].dev;
    int err = vfuc_region_read(dev, b->region, b->offset, b->before, size);

    if (err == 0)
        return TOOL_OK;
    return tool_client_fail(b->call, dev, err, "reading what is to be written back");
}

static int measure_accesses(struct bench *b, size_t size)
{
    const struct kind read = { "read", size, REPLY_OVERHEAD, REPLY_OVERHEAD + size,
                               run_read };
    const struct kind pipeline = { "pipelined read", size, 0, 0, run_pipeline };
    const struct kind write = { "write", size, REPLY_OVERHEAD + size, REPLY_OVERHEAD,
                                run_write };
    const struct kind posted = { "posted write", size, 0, 0, run_posted };
    int code = measure(b, &read);

    if (code == TOOL_OK)
        code = measure(b, &pipeline);
    if (code != TOOL_OK || !tool_given(b->call, 'w'))
        return code;
    code = read_before(b, size);
    if (code == TOOL_OK)
        code = measure(b, &write);
    return code == TOOL_OK ? measure(b, &posted) : code;
}

/* ----------------------------------------------------------------- migration -- */

static int read_stream(struct bench *b, struct subject *s, uint64_t *bytes, int64_t *ns)
{
    size_t room = vfuc_migration_chunk(s->dev), got;
    uint8_t *buf = malloc(room);
    int64_t begin = tool_now_ns();
    int err = buf == NULL ? -ENOMEM : 0;

    *bytes = 0;
    for (got = room; err == 0 && got == room; *bytes += got) {
        got = 0;
        err = vfuc_migration_read(s->dev, buf, room, &got);
    }
    *ns = tool_now_ns() - begin;
    free(buf);
    if (err == 0)
        return TOOL_OK;
    return tool_client_fail(b->call, s->dev, err, "%s: data of migration", s->name);
}

static int measure_migration(struct bench *b, struct subject *s)
{
    struct json_object *result;
    int64_t ns;
    uint64_t bytes;
    int code, err = vfuc_migration_set_state(s->dev, VFUC_MIG_STOP_COPY);

    if (err < 0)
        return tool_client_fail(b->call, s->dev, err, "%s: STOP_COPY", s->name);
    code = read_stream(b, s, &bytes, &ns);
    err = vfuc_migration_set_state(s->dev, VFUC_MIG_RUNNING);
    if (code == TOOL_OK && err < 0)
        code = tool_client_fail(b->call, s->dev, err, "%s: RUNNING", s->name);
    if (code != TOOL_OK)
        return code;
    result = tool_json_object();
    add(result, "operation", tool_json_string("migration read"));
    add(result, "subject", tool_json_string(s->name));
    add(result, "bytes", tool_json_number(bytes));
    add(result, "seconds", tool_json_double((double)ns / 1e9));
    tool_json_append(b->results, result);
    if (!b->call->json)
        printf("%s: migration: %.1f MiB/s (%" PRIu64 " bytes in %.2f ms)\n", s->name,
               ns == 0 ? 0 : (double)bytes / 1048576 / ((double)ns / 1e9), bytes,
               (double)ns / 1e6);
    return TOOL_OK;
}

/* ------------------------------------------------------------------- set-up -- */

static int get_number(struct tool_call *call, char letter, const char *what,
                      uint64_t least, uint64_t most, uint64_t *value)
{
    const char *text = tool_value(call, letter);

    if (text == NULL)
        return TOOL_OK;
    if (tool_number(text, what, most, value) < 0)
        return TOOL_USAGE;
    return *value >= least ? TOOL_OK
         : tool_misuse(call, "%s: at least %" PRIu64, what, least);
}

static int get_sizes(struct bench *b)
{
    const char *given = tool_value(b->call, 's');
    char list[128], *save = NULL;

    snprintf(list, sizeof(list), "%s", given == NULL ? "4,64,256" : given);
    if (given != NULL && strlen(given) >= sizeof(list))
        return tool_misuse(b->call, "the list of sizes is too long");
    for (char *word = strtok_r(list, ",", &save); word != NULL;
         word = strtok_r(NULL, ",", &save)) {
        uint64_t size;

        if (b->n_sizes == MAX_SIZES)
            return tool_misuse(b->call, "more than %u sizes", MAX_SIZES);
        if (tool_number(word, "--sizes", TOOL_ECHO_MAX - REPLY_OVERHEAD, &size) < 0)
            return TOOL_USAGE;
        if (size == 0)
            return tool_misuse(b->call, "an access of 0 bytes");
        b->sizes[b->n_sizes++] = (size_t)size;
    }
    return b->n_sizes > 0 ? TOOL_OK : tool_misuse(b->call, "no sizes");
}

static int get_options(struct bench *b)
{
    uint64_t count = DEFAULT_COUNT, depth = DEFAULT_DEPTH;
    int code = get_number(b->call, 'n', "--count", 1, 100000000, &count);

    if (code == TOOL_OK)
        code = get_number(b->call, 'p', "--pipeline", 1, MAX_DEPTH, &depth);
    if (code == TOOL_OK)
        code = get_number(b->call, 'o', "--offset", 0, UINT64_MAX, &b->offset);
    if (code == TOOL_OK && tool_given(b->call, 'r')
        && tool_region(tool_value(b->call, 'r'), &b->region) < 0)
        code = TOOL_USAGE;
    if (code == TOOL_OK && tool_given(b->call, 'i')
        && tool_irq(tool_value(b->call, 'i'), &b->irq) < 0)
        code = TOOL_USAGE;
    if (code == TOOL_OK)
        code = get_sizes(b);
    b->count = (unsigned)count;
    b->depth = (unsigned)depth;
    return code;
}

static int get_memory(struct bench *b)
{
    size_t largest = 0;

    for (unsigned i = 0; i < b->n_sizes; i++)
        largest = b->sizes[i] > largest ? b->sizes[i] : largest;
    b->buf = calloc(b->depth, largest);
    b->before = calloc(1, largest);
    b->memory = memfd_create("bench", MFD_CLOEXEC);
    if (b->buf == NULL || b->before == NULL)
        return tool_fail(b->call, TOOL_FAILED, "out of memory");
    if (b->memory < 0 || ftruncate(b->memory, (off_t)WINDOW) < 0)
        return tool_fail(b->call, TOOL_FAILED, "memfd: %s", strerror(errno));
    return TOOL_OK;
}

static int connect_subject(struct bench *b, const char *path, const char *name)
{
    const struct vfuc_options wishes = { .size = sizeof(wishes),
                                         .max_pending = MAX_DEPTH };
    struct subject *s = &b->subjects[b->n_subjects];
    int code = tool_connect(b->call, path, &wishes, &s->dev);

    if (code == TOOL_OK) {
        s->name = name;
        b->n_subjects++;
    }
    return code;
}

static int get_subjects(struct bench *b)
{
    const char *vs = tool_value(b->call, OPT_VS);
    int code, err = tool_echo_start(&b->echo);  /* first, so that it inherits no socket */

    if (err < 0)
        return tool_fail(b->call, TOOL_FAILED, "the echo: %s", strerror(-err));
    code = connect_subject(b, b->call->argv[0], vs == NULL ? "server" : "first");
    if (code == TOOL_OK && vs != NULL)
        code = connect_subject(b, vs, "second");
    if (code != TOOL_OK)
        return code;
    b->subjects[b->n_subjects++] = (struct subject){ "bare socket", NULL };
    return TOOL_OK;
}

static int measure_all(struct bench *b)
{
    const struct kind dma = { "DMA map and unmap", 0, 0, 0, run_dma };
    const struct kind irq = { "interrupt", 0, 0, 0, run_irq };
    int code = TOOL_OK;

    for (unsigned i = 0; code == TOOL_OK && i < b->n_sizes; i++)
        code = measure_accesses(b, b->sizes[i]);
    if (code == TOOL_OK)
        code = measure(b, &dma);
    if (code == TOOL_OK && tool_given(b->call, 'i'))
        code = measure(b, &irq);
    return code;
}

static int show(struct bench *b)
{
    int code = TOOL_OK;

    if (!b->call->json) {
        code = tool_table_print(b->call, b->table, 0);
        b->table = NULL;
        printf("times in microseconds; ratios of medians, with quartiles of %u rounds\n",
               TOOL_BENCH_ROUNDS);
    }
    for (unsigned i = 0; code == TOOL_OK && i < b->n_subjects; i++) {
        if (b->subjects[i].dev != NULL && tool_given(b->call, 'm'))
            code = measure_migration(b, &b->subjects[i]);
    }
    if (code == TOOL_OK && b->call->json)
        code = tool_print_json(b->call, json_object_get(b->results));
    return code;
}

static void put_away(struct bench *b)
{
    for (unsigned i = 0; i < b->n_subjects; i++)
        vfuc_close(b->subjects[i].dev);
    tool_echo_stop(&b->echo);
    if (b->memory >= 0)
        close(b->memory);
    json_object_put(b->results);
    tool_table_free(b->table);
    free(b->buf);
    free(b->before);
}

static int run(struct tool_call *call)
{
    struct bench b = {
        .call = call,
        .region = VFUC_PCI_CONFIG,
        .memory = -1,
        .echo = { .fd = -1, .pid = -1 },
    };
    int code = get_options(&b);

    if (code != TOOL_OK)
        return code;
    tool_stop_fd();
    b.results = tool_json_array();
    b.table = tool_table_new("operation|>bytes|of|>p50|>p90|>p99|>max|>per second"
                             "|to the bare socket|to the first");
    code = get_memory(&b);
    if (code == TOOL_OK)
        code = get_subjects(&b);
    if (code == TOOL_OK)
        code = measure_all(&b);
    if (code == TOOL_OK)
        code = show(&b);
    put_away(&b);
    return code;
}

const struct tool_command tool_cmd_bench = {
    .name = "bench",
    .usage = "SOCKET",
    .summary = "measure a server: accesses, DMA windows, interrupts, migration",
    .about =
        "Reads (single and pipelined) and DMA windows are harmless to most devices;\n"
        "writes, interrupts and migration are measured when asked for. The bare\n"
        "socket is a process that sends back as many bytes as a server would, and\n"
        "does nothing else: no server can be faster.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .json = true,
    .run = run,
};
