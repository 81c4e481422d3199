/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * loop: a device in an event loop that never waits for it.
 *
 *     loop SOCKET
 *
 * Shows commands that are submitted and completed later, many at a time; DMA requests of
 * the device answered by a handler; interrupts; and what to do when the server restarts.
 * Quoted in docs/driving-a-device.md.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <vfio-user-client.h>

#define N_WORDS 16      /* of configuration space, all asked for at once */

static uint32_t words[N_WORDS];

static int failed(struct vfuc_client *dev, const char *what, int err)
{
    fprintf(stderr, "%s: %s (%s)\n", what, vfuc_last_error(dev), strerror(-err));
    return err;
}

/* ------------------------------------------------- memory that is computed -- */

static int device_reads(void *opaque, uint64_t address, void *data, size_t count)
{
    (void)opaque;
    printf("the device reads %zu bytes at %#" PRIx64 "\n", count, address);
    memset(data, 0x5a, count);
    return 0;
}

static int device_writes(void *opaque, uint64_t address, const void *data, size_t count)
{
    (void)opaque;
    (void)data;
    printf("the device writes %zu bytes at %#" PRIx64 "\n", count, address);
    return 0;
}

static int lend_computed_memory(struct vfuc_client *dev)
{
    vfuc_set_dma_handlers(dev, device_reads, device_writes, NULL);
    return vfuc_dma_map(dev, 0x100000, 0x1000, VFUC_DMA_READ | VFUC_DMA_WRITE, -1, 0);
}

/* ---------------------------------------------------------------- commands -- */

static int ask_for_words(struct vfuc_client *dev)
{
    const struct vfuc_region *config;
    int err = vfuc_region_info(dev, VFUC_PCI_CONFIG, &config);

    for (uint64_t i = 0; err == 0 && i < N_WORDS; i++)
        err = vfuc_submit_region_read(dev, VFUC_PCI_CONFIG, 4 * i, &words[i], 4, i);
    return err;
}

/* What has come back; the number of commands, or a failure. */
static int take_completions(struct vfuc_client *dev)
{
    struct vfuc_completion done[8];
    int n, all = 0;

    while ((n = vfuc_complete(dev, done, 8)) > 0) {
        for (int i = 0; i < n; i++) {
            if (done[i].result < 0)
                printf("word %" PRIu64 ": %s\n", done[i].tag, strerror(-done[i].result));
            else
                printf("word %" PRIu64 ": %08" PRIx32 "\n", done[i].tag,
                       words[done[i].tag]);
        }
        all += n;
    }
    return n < 0 ? n : all;
}

/* ---------------------------------------------------------------- the loop -- */

static int loop(struct vfuc_client *dev)
{
    int err = ask_for_words(dev);

    while (err >= 0 && vfuc_pending(dev) > 0) {
        struct pollfd p = { .fd = vfuc_fd(dev), .events = vfuc_poll_events(dev) };

        /* ... and all the other descriptors of the program ... */
        if (poll(&p, 1, vfuc_poll_timeout_ms(dev)) < 0 && errno != EINTR)
            return -errno;
        err = take_completions(dev);
    }
    return err < 0 ? failed(dev, "the loop", err) : 0;
}

static int first_interrupt(struct vfuc_client *dev, uint32_t index)
{
    uint64_t count;
    int err = vfuc_irq_enable(dev, index, 0, 1);

    if (err == 0)
        err = vfuc_irq_trigger(dev, index, 0, 1);
    if (err == 0)
        err = vfuc_irq_wait(dev, index, 0, 1000, &count);
    if (err < 0)
        return failed(dev, "interrupt", err);
    printf("interrupt %" PRIu32 " came %" PRIu64 " time(s)\n", index, count);
    return 0;
}

static int run(struct vfuc_client *dev)
{
    int err = lend_computed_memory(dev);

    if (err < 0)
        return failed(dev, "memory", err);
    err = first_interrupt(dev, VFUC_PCI_INTX);
    if (err == 0)
        err = loop(dev);
    if (err < 0)
        return err;
    err = vfuc_reconnect(dev);      /* as after the end of the server */
    if (err < 0)
        return failed(dev, "reconnect", err);
    printf("connected again, memory and interrupts are back\n");
    err = vfuc_irq_trigger(dev, VFUC_PCI_INTX, 0, 1);
    return err == 0 ? vfuc_irq_wait(dev, VFUC_PCI_INTX, 0, 1000, NULL) : err;
}

int main(int argc, char **argv)
{
    char why[200] = "";
    struct vfuc_options options = {
        .size = sizeof(options),
        .twin_socket = VFUC_TWIN_INLINE,
        .error = why,
        .error_len = sizeof(why),
    };
    struct vfuc_client *dev;
    int err;

    if (argc != 2) {
        fprintf(stderr, "usage: %s SOCKET\n", argv[0]);
        return 2;
    }
    err = vfuc_connect(argv[1], &options, &dev);
    if (err < 0) {
        fprintf(stderr, "%s: %s (%s)\n", argv[1], why, strerror(-err));
        return 1;
    }
    err = run(dev);
    vfuc_close(dev);
    return err < 0 ? 1 : 0;
}
