/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mutant server's device: a PCI function that exists to be asked about.
 *
 *   0 BAR0    4 KiB   trapped memory; takes naturally aligned 1, 2, 4 and 8 bytes
 *   1 BAR1   64 KiB   mappable as a whole
 *   2 BAR2    2 MiB   two mappable areas
 *   3 BAR3    4 KiB   read only
 *   4 BAR4    4 KiB   write only
 *   5, 6, 8   absent
 *   7 config 256 B
 *   9        64 KiB   device specific: TYPE and one mappable area
 *
 * Interrupts: INTx 1, MSI none, MSI-X 4, ERR 1, REQ 1.
 */
#ifndef CT_MUTANTS_DEVICE_H
#define CT_MUTANTS_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/messages.h"

#define CT_PAGE        4096u
#define CT_CONFIG_SIZE 256u
#define CT_REGIONS     10u
#define CT_IRQ_TYPES   5u
#define CT_VECTORS     4u /* most of any type */

struct ct_region {
    uint64_t size;  /* 0: absent */
    uint32_t flags; /* VU_REGION_READABLE, WRITEABLE, MMAP */
    uint8_t *mem;   /* size bytes; owned */
    int fd;         /* behind mem, -1 for the trapped ones; owned */
    struct vu_sparse_area areas[2];
    uint32_t n_areas;
    bool typed; /* has a TYPE capability */
};

struct ct_device {
    struct ct_region regions[CT_REGIONS];
    uint32_t num_regions, num_irqs;
    uint32_t vectors[CT_IRQ_TYPES];
    uint32_t irq_flags[CT_IRQ_TYPES];
    int io_fd; /* eventfd for a doorbell in BAR0; owned */
    unsigned resets;
    uint32_t ticks;                /* reads of the region that counts */
    uint8_t stale[CT_CONFIG_SIZE]; /* what the last refused write brought */
};

/* 0 or negative errno; ct_device_done() in both cases. */
int ct_device_init(struct ct_device *d);
void ct_device_done(struct ct_device *d);
/* As after power-on. */
void ct_device_reset(struct ct_device *d);

/* The size that a region has for clients; its memory may be less. */
uint64_t ct_device_size(const struct ct_device *d, uint32_t region);

/* Access to [offset, offset + count) of a region, bounds included: 0 or -EINVAL. */
int ct_device_read(struct ct_device *d, uint32_t region, uint64_t offset, uint8_t *data,
                   uint32_t count);
int ct_device_write(struct ct_device *d, uint32_t region, uint64_t offset,
                    const uint8_t *data, uint32_t count);

#endif
