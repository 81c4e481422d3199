/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sample device as its driver sees it: for server.c, which is the device, and for
 * client.c, which is the driver. What the registers mean is at the top of server.c.
 */
#ifndef SAMPLES_REGISTERS_H
#define SAMPLES_REGISTERS_H

#define VENDOR_ID       0x1234
#define DEVICE_ID       0x5646
#define ID_VALUE        0x56465553u

#define REGISTERS_SIZE  0x1000u     /* BAR0 */
#define STORAGE_SIZE    0x200000u   /* BAR1 */
#define BUFFER_SIZE     0x10000u    /* BAR2 */
#define VECTORS_SIZE    0x1000u     /* BAR4 */
#define PENDING_OFFSET  0x800u
#define ROM_SIZE        0x800u
#define ROM_TEXT        "vfio-user sample device: no code in here\n"
#define N_VECTORS       4u          /* of MSI-X */

/* What of BAR1 can be mapped. */
#define AREA0_OFFSET    0x10000u
#define AREA0_SIZE      0x70000u
#define AREA1_OFFSET    0x100000u
#define AREA1_SIZE      0x100000u

enum {                          /* offsets in BAR0 */
    TIME_LOW     = 0x00,
    TIME_HIGH    = 0x04,
    ID           = 0x08,
    SCRATCH      = 0x0c,
    SOURCE_LOW   = 0x10,
    SOURCE_HIGH  = 0x14,
    TARGET_LOW   = 0x18,
    TARGET_HIGH  = 0x1c,
    DMA_LENGTH   = 0x20,
    DMA_START    = 0x24,
    DMA_STATUS   = 0x28,
    TIMER_VECTOR = 0x30,
    TIMER_DELAY  = 0x34,
    REGISTERS_END = 0x38,
};

enum {                          /* values of DMA_STATUS */
    DMA_NOTHING,
    DMA_DONE,
    DMA_BAD_LENGTH,
    DMA_NOT_MASTER,
    DMA_BAD_SOURCE,
    DMA_BAD_TARGET,
    DMA_TOO_MANY_PIECES,
    DMA_FAILED,
    DMA_STATUS_END,
};

#endif
