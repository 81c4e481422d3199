/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Drive the device of samples/server.c, and check all that it does.
 *
 *     server /tmp/dev.sock &
 *     client /tmp/dev.sock
 *
 * It shows what a driver needs of vfio-user-client.h: agreeing on limits, the device's
 * description, registers by message, memory through a mapping, interrupts by eventfd,
 * lending memory, asking what the device wrote there, migration, reset, connecting again.
 * Each command of the protocol is used at least once. What was done is told on standard
 * output, a line each with the time since the start; the first thing that is not as it
 * should be, on standard error.
 *
 *     -t, --time     set the alarm by the clock on the wall, too; that takes a second.
 *                    Without it each run sends the same messages to a fresh server
 *     -v, --verbose  tell each check
 *     -h, --help
 *
 * Exit status: 0 all is as it should be, 1 something is not, 2 wrong arguments.
 *
 * In this file: the list of steps, and words. client_look.c: what the device says of
 * itself. client_access.c: regions. client_dma.c: memory that the device may copy in.
 * client_irq.c: interrupts. client_migration.c: migration.
 */
#include "samples/client.h"
#include "samples/registers.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static bool reset_device(struct session *s);
static bool migrate_back(struct session *s);
static bool reconnect(struct session *s);

/* In this order; what a step leaves behind, later ones use. */
static const struct step {
    const char *name;
    bool (*run)(struct session *s);
} steps[] = {
    { "the agreement", look_at_limits },
    { "the device", look_at_device },
    { "its regions", look_at_regions },
    { "its IO descriptors", look_at_io_fds },
    { "its interrupts", look_at_interrupts },
    { "its configuration space", look_at_config },
    { "its features", look_at_features },
    { "registers", access_registers },
    { "storage by message", access_storage },
    { "storage through a mapping", access_mapping },
    { "the ROM", access_rom },
    { "several writes", access_several },
    { "reads without waiting", access_without_waiting },
    { "INTx", irq_intx },
    { "MSI", irq_msi },
    { "MSI-X", irq_msix },
    { "masks", irq_masks },
    { "the alarm", irq_alarm },
    { "windows of memory", dma_map },
    { "copying", dma_copy },
    { "copying by message", dma_copy_by_message },
    { "dirty pages", dma_log },
    { "reset", reset_device },
    { "migration", migrate_back },
    { "connecting again", reconnect },
    { "the end of the windows", dma_unmap },
};

/* ---------------------------------------------------------------- words -- */

static uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t start_us;

void note(const struct session *s, const char *command, const char *format, ...)
{
    uint64_t us = now_us() - start_us;
    va_list ap;

    (void)s;
    printf("%4" PRIu64 ".%06" PRIu64 "  %-18s  ", us / 1000000, us % 1000000, command);
    va_start(ap, format);
    vprintf(format, ap);
    va_end(ap);
    putchar('\n');
}

/* A check that held. */
static bool holds(struct session *s, const char *what)
{
    s->checks++;
    if (s->verbose)
        note(s, "", "  %s: yes", what);
    return true;
}

bool complain(const char *format, ...)
{
    va_list ap;

    fflush(stdout);     /* what went well comes first */
    fputs("client: ", stderr);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    return false;
}

#define FORMAT(text, format) \
    do { \
        va_list ap; \
        va_start(ap, format); \
        vsnprintf(text, sizeof(text), format, ap); \
        va_end(ap); \
    } while (0)

bool ok(struct session *s, int err, const char *format, ...)
{
    char what[200];

    FORMAT(what, format);
    if (err >= 0)
        return holds(s, what);
    return complain("%s: %s", what, vfuc_last_error(s->dev));
}

bool fails(struct session *s, int err, int want, const char *format, ...)
{
    char what[200];

    FORMAT(what, format);
    if (err == want)
        return holds(s, what);
    return complain("%s: gives \"%s\" instead of \"%s\"", what,
                    err >= 0 ? "success" : strerror(-err), strerror(-want));
}

bool refused(struct session *s, int err, int server_errno, const char *format, ...)
{
    char what[200];

    FORMAT(what, format);
    if (err >= 0)
        return complain("%s: the server did it, and should have refused", what);
    if (err != -EREMOTEIO)
        return complain("%s: %s", what, vfuc_last_error(s->dev));
    if (vfuc_last_errno(s->dev) != server_errno)
        return complain("%s: refused with \"%s\" instead of \"%s\"", what,
                        strerror(vfuc_last_errno(s->dev)), strerror(server_errno));
    return holds(s, what);
}

bool that(struct session *s, bool is_so, const char *format, ...)
{
    char what[200];

    FORMAT(what, format);
    return is_so ? holds(s, what) : complain("%s: not so", what);
}

bool equal(struct session *s, uint64_t got, uint64_t want, const char *format, ...)
{
    char what[200];

    FORMAT(what, format);
    if (got == want)
        return holds(s, what);
    return complain("%s: 0x%" PRIx64 " instead of 0x%" PRIx64, what, got, want);
}

bool same_bytes(struct session *s, const void *got, const void *want, size_t len,
                const char *format, ...)
{
    const uint8_t *g = got, *w = want;
    char what[200];

    FORMAT(what, format);
    for (size_t i = 0; i < len; i++) {
        if (g[i] != w[i])
            return complain("%s: byte %zu of %zu is 0x%02x instead of 0x%02x", what, i,
                            len, g[i], w[i]);
    }
    return holds(s, what);
}

void fill(void *bytes, size_t len, uint32_t seed)
{
    uint8_t *p = bytes;
    uint32_t x = seed * 2654435761u + 1;

    for (size_t i = 0; i < len; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        p[i] = (uint8_t)x;
    }
}

/* ------------------------------------------------------------ registers -- */

bool set32(struct session *s, uint64_t offset, uint32_t value)
{
    return ok(s, vfuc_region_write(s->dev, VFUC_PCI_BAR0, offset, &value, sizeof(value)),
              "writing 0x%x to BAR0 at 0x%x", value, (unsigned)offset);
}

bool set64(struct session *s, uint64_t offset, uint64_t value)
{
    return ok(s, vfuc_region_write(s->dev, VFUC_PCI_BAR0, offset, &value, sizeof(value)),
              "writing 0x%" PRIx64 " to BAR0 at 0x%x", value, (unsigned)offset);
}

bool holds32(struct session *s, uint64_t offset, uint32_t want, const char *name)
{
    uint32_t value;

    return ok(s, vfuc_region_read(s->dev, VFUC_PCI_BAR0, offset, &value, sizeof(value)),
              "reading %s", name) &&
           equal(s, value, want, "%s", name);
}

/* ---------------------------------------------------------- whole device -- */

/* A reset clears registers; storage, windows and eventfds stay. */
static bool reset_device(struct session *s)
{
    uint8_t before[64], after[64];

    memcpy(before, s->area, sizeof(before));
    if (!set32(s, SCRATCH, 0xffffffff) || !set32(s, TIMER_VECTOR, 3) ||
        !ok(s, vfuc_reset(s->dev), "DEVICE_RESET") ||
        !holds32(s, SCRATCH, 0, "SCRATCH") ||
        !holds32(s, TIMER_VECTOR, 0, "TIMER_VECTOR") || !holds32(s, ID, ID_VALUE, "ID") ||
        !ok(s, vfuc_region_read(s->dev, VFUC_PCI_BAR1, AREA1_OFFSET, after,
                                sizeof(after)), "reading BAR1") ||
        !same_bytes(s, after, before, sizeof(after), "storage after a reset") ||
        !timer_fires(s, 2, "after a reset") ||
        !copy(s, SHARED_ADDRESS, SHARED_ADDRESS + 0x1000, 16, DMA_NOT_MASTER) ||
        !bus_master(s) || !copy(s, SHARED_ADDRESS, SHARED_ADDRESS + 0x1000, 16, DMA_DONE))
        return false;
    note(s, "DEVICE_RESET", "registers are as at first; windows and eventfds stay");
    return true;
}

/* With one server it takes back what it gave. */
static bool migrate_back(struct session *s)
{
    return migrate(s, s);
}

/* The library connects again, sends windows and eventfds; our mapping stays in place. */
static bool reconnect(struct session *s)
{
    uint8_t mark[32], in[32];

    fill(mark, sizeof(mark), 8);
    memcpy(s->area + 100, mark, sizeof(mark));
    if (!ok(s, vfuc_reconnect(s->dev), "connecting again"))
        return false;
    note(s, "VERSION", "connected again: windows, eventfds and the mapping are back");
    return holds32(s, SCRATCH, 0, "SCRATCH, reset for another client") &&
           same_bytes(s, s->area + 100, mark, sizeof(mark), "the mapping") &&
           ok(s, vfuc_region_read(s->dev, VFUC_PCI_BAR1, AREA1_OFFSET + 100, in,
                                  sizeof(in)), "reading BAR1") &&
           same_bytes(s, in, mark, sizeof(in), "BAR1 by message") &&
           timer_fires(s, 3, "connected again") && bus_master(s) &&
           copy(s, PRIVATE_ADDRESS, SHARED_ADDRESS + 0x5000, PRIVATE_SIZE, DMA_DONE) &&
           same_bytes(s, s->shared + 0x5000, s->private, PRIVATE_SIZE, "the copy");
}

/* ---------------------------------------------------------------- set-up -- */

/* Memory to lend: one that the server can map, one that it cannot. */
static bool make_memory(struct session *s)
{
    s->private = calloc(1, PRIVATE_SIZE);
    s->memory_fd = memfd_create("guest", MFD_CLOEXEC);
    if (s->private == NULL || s->memory_fd < 0 ||
        ftruncate(s->memory_fd, SHARED_SIZE) < 0)
        return complain("making memory to lend: %s", strerror(errno));
    s->shared = mmap(NULL, SHARED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, s->memory_fd,
                     0);
    if (s->shared == MAP_FAILED) {
        s->shared = NULL;
        return complain("mapping memory to lend: %s", strerror(errno));
    }
    return true;
}

/* The client goes first: it answers the server from this memory. */
static void end_session(struct session *s)
{
    vfuc_close(s->dev);
    if (s->shared != NULL)
        munmap(s->shared, SHARED_SIZE);
    if (s->memory_fd >= 0)
        close(s->memory_fd);
    free(s->private);
}

static bool start_session(struct session *s, const char *path)
{
    char why[256] = "";
    const struct vfuc_options options = {
        .size = sizeof(options),
        .error = why,
        .error_len = sizeof(why),
    };
    int err = vfuc_connect(path, &options, &s->dev);

    if (err < 0)
        return complain("%s: %s (%s)", path, why, strerror(-err));
    return make_memory(s);
}

static bool run_steps(struct session *s)
{
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (!steps[i].run(s))
            return complain("stopped at step %zu, %s", i + 1, steps[i].name);
    }
    note(s, "", "%zu steps, %u checks: the device does all that it should",
         sizeof(steps) / sizeof(steps[0]), s->checks);
    return true;
}

static void usage(FILE *to)
{
    fputs("usage: client [-tv] SOCKET\n"
          "\n"
          "Drive the device of samples/server, which listens on SOCKET, and check all\n"
          "that it does. Exit status: 0 all is as it should be, 1 something is not,\n"
          "2 wrong arguments.\n"
          "\n"
          "  -t, --time     set the alarm by the clock on the wall, too (one second)\n"
          "  -v, --verbose  tell each check\n"
          "  -h, --help     show this text\n",
          to);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "time",    no_argument, NULL, 't' },
        { "verbose", no_argument, NULL, 'v' },
        { "help",    no_argument, NULL, 'h' },
        { NULL,      0,           NULL, 0 },
    };
    struct session s = { .memory_fd = -1 };
    bool good;
    int option;

    while ((option = getopt_long(argc, argv, "tvh", options, NULL)) != -1) {
        switch (option) {
        case 't':
            s.wall_clock = true;
            break;
        case 'v':
            s.verbose = true;
            break;
        case 'h':
            usage(stdout);
            return 0;
        default:
            usage(stderr);
            return 2;
        }
    }
    if (optind + 1 != argc) {
        usage(stderr);
        return 2;
    }
    start_us = now_us();
    good = start_session(&s, argv[optind]) && run_steps(&s);
    end_session(&s);
    if (fflush(stdout) != 0)
        good = complain("standard output: %s", strerror(errno));
    return good ? 0 : 1;
}
