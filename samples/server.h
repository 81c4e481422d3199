/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the sample server share: the device, and what each file does for it.
 * server.c, where to begin reading, has the registers in words.
 */
#ifndef SAMPLES_SERVER_H
#define SAMPLES_SERVER_H

#include "libvfio-user.h"
#include "samples/registers.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define PAGE            0x1000u

struct device;

/* Raises a vector at a time. All but the constants is under the device's lock. */
struct timer {
    struct device *device;      /* constant */
    const char *name;           /* constant */
    clockid_t clock;            /* constant */
    int low, high;              /* constant: registers cleared when it fires; or equal */
    pthread_t thread;
    pthread_cond_t wake;        /* armed, due, or the device's still or quit changed */
    bool armed;
    struct timespec due;        /* on its clock; a delay, while still: what is left */
    uint32_t vector;
};

/* Memory of the device that the client may map. */
struct storage {
    int fd;                     /* owned: open until the context is gone */
    uint8_t *bytes;
    size_t size;
};

struct dma;                     /* server_dma.c */
struct outgoing;                /* server_migration.c */
struct incoming;

struct device {
    vfu_ctx_t *ctx;
    bool verbose;
    struct storage storage;     /* BAR1 */
    struct storage buffer;      /* BAR2 */
    uint8_t vectors[VECTORS_SIZE];      /* BAR4 */
    uint8_t config[PCI_CFG_SPACE_EXP_SIZE];     /* as it was before the first client */
    struct dma *dma;            /* owned */
    struct outgoing *outgoing;  /* owned: the stream in PRE_COPY, STOP_COPY; or NULL */
    struct incoming *incoming;  /* owned: the stream in RESUMING; or NULL */

    pthread_mutex_t lock;       /* what follows */
    uint32_t registers[REGISTERS_END / 4];
    struct timer alarm;         /* TIME: the clock on the wall */
    struct timer timer;         /* TIMER_DELAY: a clock that only goes forward */
    bool still;                 /* no timer runs, nothing is copied: being migrated */
    bool quit;
};

/* A line on standard error. Any thread: it is one write to the stream. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define tell(device, ...) \
    do { \
        if ((device)->verbose) \
            say(__VA_ARGS__); \
    } while (0)

/* --------------------------------------------------------- server_timers.c */

void timers_init(struct device *d);
void timers_destroy(struct device *d);

/* A thread for each, or none. Return: 0 or an errno. */
int timers_start(struct device *d);
void timers_stop(struct device *d);

/* The others need the device's lock. */
void timer_set_time(struct timer *t, uint64_t seconds, uint32_t vector);
void timer_set_delay(struct timer *t, uint64_t ns, uint32_t vector);
void timer_cancel(struct timer *t);

/* What timer_set_delay() would need to give a timer the time that it has left. */
uint64_t timer_left(const struct timer *t);

/* Hold all timers back, and let them go on; a second call changes nothing. */
void timers_hold(struct device *d);
void timers_go_on(struct device *d);

/* ------------------------------------------------------------ server_dma.c */

/* Return: 0, or -1 and errno; to be destroyed in both cases. */
int dma_init(struct device *d);
void dma_destroy(struct device *d);

/* Return: the new DMA_STATUS. On the thread that runs the context, where windows do not
 * change meanwhile. */
uint32_t dma_copy(struct device *d, uint64_t source, uint64_t target, uint32_t len);

/* ------------------------------------------------------ server_migration.c */

/* Tell the library that the device can be moved. Return: 0, or -1 and errno. */
int migration_init(struct device *d);

/* The device runs again, whatever it was doing: it is reset. */
void migration_abandon(struct device *d);

#endif
