/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The numbers of the protocol: commands, flags, indices, defaults.
 *
 * One place for both libraries, the runner and the tools. The names follow the
 * specification with the prefix VU_; the server's public header has its own
 * VFIO_USER_* names for its users, and a test compares the two.
 */
#ifndef VU_WIRE_PROTOCOL_H
#define VU_WIRE_PROTOCOL_H

/* Commands; 14 is unassigned, 0 and everything from VU_COMMAND_MAX on unknown. */
enum vu_command {
    VU_VERSION = 1,
    VU_DMA_MAP = 2,
    VU_DMA_UNMAP = 3,
    VU_DEVICE_GET_INFO = 4,
    VU_DEVICE_GET_REGION_INFO = 5,
    VU_DEVICE_GET_REGION_IO_FDS = 6,
    VU_DEVICE_GET_IRQ_INFO = 7,
    VU_DEVICE_SET_IRQS = 8,
    VU_REGION_READ = 9,
    VU_REGION_WRITE = 10,
    VU_DMA_READ = 11,
    VU_DMA_WRITE = 12,
    VU_DEVICE_RESET = 13,
    VU_REGION_WRITE_MULTI = 15,
    VU_DEVICE_FEATURE = 16,
    VU_MIG_DATA_READ = 17,
    VU_MIG_DATA_WRITE = 18,
    VU_COMMAND_MAX = 19,
};

/* Header. */
#define VU_HEADER_SIZE 16u

#define VU_F_TYPE_MASK    0x0000000fu
#define VU_F_TYPE_COMMAND 0x00000000u
#define VU_F_TYPE_REPLY   0x00000001u
#define VU_F_NO_REPLY     0x00000010u
#define VU_F_ERROR        0x00000020u

/* DEVICE_GET_INFO */
#define VU_DEVICE_RESETTABLE 0x1u
#define VU_DEVICE_PCI        0x2u

/* PCI regions and interrupt types, in index order. */
enum vu_pci_region {
    VU_PCI_BAR0 = 0,
    VU_PCI_BAR5 = 5,
    VU_PCI_ROM = 6,
    VU_PCI_CONFIG = 7,
    VU_PCI_VGA = 8,
    VU_PCI_REGIONS = 9,
};

enum vu_pci_irq {
    VU_PCI_INTX = 0,
    VU_PCI_MSI = 1,
    VU_PCI_MSIX = 2,
    VU_PCI_ERR = 3,
    VU_PCI_REQ = 4,
    VU_PCI_IRQS = 5,
};

/* DEVICE_GET_REGION_INFO */
#define VU_REGION_READABLE  0x1u
#define VU_REGION_WRITEABLE 0x2u
#define VU_REGION_MMAP      0x4u
#define VU_REGION_CAPS      0x8u

#define VU_CAP_SPARSE_MMAP     1u
#define VU_CAP_TYPE            2u
#define VU_CAP_MSIX_MAPPABLE   3u
#define VU_CAP_SPARSE_MMAP_FDS 0x8001u
#define VU_CAP_HEADER_SIZE     8u

/* DEVICE_GET_REGION_IO_FDS */
#define VU_IO_FD_IOEVENTFD        0u
#define VU_IO_FD_IOREGIONFD       1u
#define VU_IO_FD_IOEVENTFD_SHADOW 2u

/* DMA_MAP and DMA_UNMAP */
#define VU_DMA_READABLE  0x1u
#define VU_DMA_WRITEABLE 0x2u
#define VU_DMA_MMAP      0x4u
#define VU_DMA_FILE_IO   0x8u

#define VU_DMA_UNMAP_GET_DIRTY_BITMAP 0x1u
#define VU_DMA_UNMAP_ALL              0x2u

/* DEVICE_GET_IRQ_INFO and DEVICE_SET_IRQS */
#define VU_IRQ_EVENTFD    0x1u
#define VU_IRQ_MASKABLE   0x2u
#define VU_IRQ_AUTOMASKED 0x4u
#define VU_IRQ_NORESIZE   0x8u

#define VU_IRQ_SET_DATA_NONE      0x01u
#define VU_IRQ_SET_DATA_BOOL      0x02u
#define VU_IRQ_SET_DATA_EVENTFD   0x04u
#define VU_IRQ_SET_DATA_MASK      0x07u
#define VU_IRQ_SET_ACTION_MASK    0x08u
#define VU_IRQ_SET_ACTION_UNMASK  0x10u
#define VU_IRQ_SET_ACTION_TRIGGER 0x20u
#define VU_IRQ_SET_ACTIONS        0x38u

/* DEVICE_FEATURE */
#define VU_FEATURE_INDEX_MASK 0x0000ffffu
#define VU_FEATURE_GET        0x00010000u
#define VU_FEATURE_SET        0x00020000u
#define VU_FEATURE_PROBE      0x00040000u

enum vu_feature_index {
    VU_FEATURE_MIGRATION = 1,
    VU_FEATURE_MIG_DEVICE_STATE = 2,
    VU_FEATURE_DMA_LOGGING_START = 6,
    VU_FEATURE_DMA_LOGGING_STOP = 7,
    VU_FEATURE_DMA_LOGGING_REPORT = 8,
};

#define VU_MIGRATION_STOP_COPY 0x1u
#define VU_MIGRATION_P2P       0x2u
#define VU_MIGRATION_PRE_COPY  0x4u

enum vu_mig_state {
    VU_MIG_ERROR = 0,
    VU_MIG_STOP = 1,
    VU_MIG_RUNNING = 2,
    VU_MIG_STOP_COPY = 3,
    VU_MIG_RESUMING = 4,
    VU_MIG_RUNNING_P2P = 5,
    VU_MIG_PRE_COPY = 6,
    VU_MIG_PRE_COPY_P2P = 7,
    VU_MIG_STATES = 8,
};

/* What a side that says nothing has agreed to (VERSION). */
#define VU_DEFAULT_MAX_MSG_FDS       1u
#define VU_DEFAULT_MAX_DATA_XFER     1048576u
#define VU_DEFAULT_MAX_DMA_MAPS      65535u
#define VU_DEFAULT_PGSIZES           4096u

/* The kernel delivers at most this many descriptors with one message. */
#define VU_MAX_MSG_FDS 253u

#endif
