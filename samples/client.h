/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the sample client share: the session, and words for what was found.
 * client.c, where to begin reading, has the list of steps.
 *
 * A step, and a function that checks something, gives false when the server is not as it
 * should be or cannot be asked any more; it has said so then.
 */
#ifndef SAMPLES_CLIENT_H
#define SAMPLES_CLIENT_H

#include "vfio-user-client.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Memory that the device may copy in, by its addresses there. */
#define SHARED_ADDRESS  UINT64_C(0x100000)  /* the server gets a descriptor of it */
#define SHARED_SIZE     0x10000u
#define PRIVATE_ADDRESS UINT64_C(0x200000)  /* of this it has to ask by message */
#define PRIVATE_SIZE    0x4000u

#define WAIT_MS         5000    /* for an interrupt that should come at once */

struct session {
    struct vfuc_client *dev;    /* owned */
    bool verbose;               /* say each check that holds, too */
    bool wall_clock;            /* wait for a time of day, see --time */
    unsigned checks;            /* that held */
    int memory_fd;              /* owned */
    uint8_t *shared;            /* owned: SHARED_SIZE bytes of memory_fd */
    uint8_t *private;           /* owned: PRIVATE_SIZE bytes */
    uint8_t *area;              /* BAR1's second area, mapped: the library's; or NULL */
};

/* A line of output with the time since the start: which command, and what it gave. */
void note(const struct session *s, const char *command, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A sentence on standard error. Gives false. */
bool complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Did a call of the library succeed (err is not negative)? */
bool ok(struct session *s, int err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Did it give this error, negative? */
bool fails(struct session *s, int err, int want, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Did the server refuse, with this errno? */
bool refused(struct session *s, int err, int server_errno, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

bool that(struct session *s, bool is_so, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool equal(struct session *s, uint64_t got, uint64_t want, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
bool same_bytes(struct session *s, const void *got, const void *want, size_t len,
                const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Registers in BAR0. */
bool set32(struct session *s, uint64_t offset, uint32_t value);
bool set64(struct session *s, uint64_t offset, uint64_t value);
bool holds32(struct session *s, uint64_t offset, uint32_t want, const char *name);

/* Bytes that are different for each seed, the same in each run. */
void fill(void *bytes, size_t len, uint32_t seed);

/* ----------------------------------------------------------- client_look.c */

bool look_at_limits(struct session *s);
bool look_at_device(struct session *s);
bool look_at_regions(struct session *s);
bool look_at_io_fds(struct session *s);
bool look_at_interrupts(struct session *s);
bool look_at_config(struct session *s);
bool look_at_features(struct session *s);

/* --------------------------------------------------------- client_access.c */

bool access_registers(struct session *s);
bool access_storage(struct session *s);
bool access_mapping(struct session *s);
bool access_rom(struct session *s);
bool access_several(struct session *s);
bool access_without_waiting(struct session *s);

/* ------------------------------------------------------------ client_dma.c */

bool dma_map(struct session *s);
bool dma_copy(struct session *s);
bool dma_copy_by_message(struct session *s);
bool dma_log(struct session *s);
bool dma_unmap(struct session *s);

/* Have the device copy, which needs bus_master(), and compare its DMA_STATUS. */
bool copy(struct session *s, uint64_t source, uint64_t target, uint32_t len,
          uint32_t status);
bool bus_master(struct session *s);

/* ------------------------------------------------------------ client_irq.c */

bool irq_intx(struct session *s);
bool irq_msi(struct session *s);
bool irq_msix(struct session *s);
bool irq_masks(struct session *s);
bool irq_alarm(struct session *s);

/* Wait for a vector, which fires exactly once. */
bool fires(struct session *s, uint32_t index, uint32_t vector, const char *why);
/* Have the timer raise a vector of MSI-X, soon, and wait for it. */
bool timer_fires(struct session *s, uint32_t vector, const char *when);

/* ------------------------------------------------------ client_migration.c */

/*
 * Move the device's state from one server to another; with the same session twice the
 * server takes back what it gave, after its state was destroyed.
 */
bool migrate(struct session *from, struct session *to);

#endif
