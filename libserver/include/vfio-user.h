/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The vfio-user protocol, version 0: numbers and message layouts.
 *
 * A device model does not need this file; it is for programs that build or
 * read messages themselves. All fields are in host byte order. A message is
 * struct vfio_user_header followed by the body of its command; replies use
 * the body of the same command unless noted. What the kernel's VFIO already
 * defines (region info, irq info, irq set, flags) comes from <linux/vfio.h>.
 *
 * Bytes that came from a peer may be short, unaligned and hostile: check
 * the length first and copy them, do not cast.
 *
 * Source: vfio-user protocol specification.
 */
#ifndef LIB_VFIO_USER_VFIO_USER_H
#define LIB_VFIO_USER_VFIO_USER_H

#include <inttypes.h>
#include <linux/version.h>
#include <linux/vfio.h>
#include <stddef.h>

#ifdef __cplusplus
#define VFU_STATIC_ASSERT(cond, text) __extension__ static_assert(cond, text)
#else
#define VFU_STATIC_ASSERT(cond, text) __extension__ _Static_assert(cond, text)
#endif

/* Arrays without a size and members without a name: no choice of this header. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"

#ifdef __cplusplus
extern "C" {
#endif

/** Bytes per transfer, for a peer that names no max_data_xfer_size. */
#define VFIO_USER_DEFAULT_MAX_DATA_XFER_SIZE (1024 * 1024)

/** Commands. 14 is not assigned. */
enum vfio_user_command {
    VFIO_USER_VERSION = 1,                  /**< client: the first message */
    VFIO_USER_DMA_MAP = 2,                  /**< client: offer a window of its memory */
    VFIO_USER_DMA_UNMAP = 3,                /**< client: take windows back */
    VFIO_USER_DEVICE_GET_INFO = 4,          /**< client */
    VFIO_USER_DEVICE_GET_REGION_INFO = 5,   /**< client */
    VFIO_USER_DEVICE_GET_REGION_IO_FDS = 6, /**< client */
    VFIO_USER_DEVICE_GET_IRQ_INFO = 7,      /**< client */
    VFIO_USER_DEVICE_SET_IRQS = 8,          /**< client */
    VFIO_USER_REGION_READ = 9,              /**< client */
    VFIO_USER_REGION_WRITE = 10,            /**< client */
    VFIO_USER_DMA_READ = 11,                /**< server: read client memory by message */
    VFIO_USER_DMA_WRITE = 12,               /**< server: write client memory by message */
    VFIO_USER_DEVICE_RESET = 13,            /**< client; no body */
    VFIO_USER_REGION_WRITE_MULTI = 15,      /**< client */
    VFIO_USER_DEVICE_FEATURE = 16,          /**< client */
    VFIO_USER_MIG_DATA_READ = 17,           /**< client */
    VFIO_USER_MIG_DATA_WRITE = 18,          /**< client */
    VFIO_USER_MAX = 19,                     /**< one past the last */
};

/** Values of the type bits, VFIO_USER_F_TYPE_MASK. */
enum vfio_user_message_type {
    VFIO_USER_MESSAGE_COMMAND = 0,
    VFIO_USER_MESSAGE_REPLY = 1,
};

#define VFIO_USER_FLAGS_NO_REPLY    (0x1)   /**< old name of no use; see F_NO_REPLY */

/** vfio_user_header.flags */
#define VFIO_USER_F_TYPE_MASK       (0xf)
#define VFIO_USER_F_TYPE_COMMAND    (0x0)
#define VFIO_USER_F_TYPE_REPLY      (0x1)
#define VFIO_USER_F_NO_REPLY        (0x10)  /**< command: send none, not even an error */
#define VFIO_USER_F_ERROR           (0x20)  /**< reply: failed, error_no says why */

/** The first 16 bytes of every message. */
struct vfio_user_header {
    uint16_t msg_id;        /**< chosen by the sender; the reply repeats it */
    uint16_t cmd;           /**< enum vfio_user_command */
    uint32_t msg_size;      /**< bytes of the whole message, these 16 included */
    uint32_t flags;         /**< VFIO_USER_F_* */
    uint32_t error_no;      /**< positive errno in a reply with F_ERROR, else 0 */
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct vfio_user_header) == 16, "vfio_user_header");
VFU_STATIC_ASSERT(offsetof(struct vfio_user_header, cmd) == 2, "header.cmd");
VFU_STATIC_ASSERT(offsetof(struct vfio_user_header, msg_size) == 4, "header.msg_size");
VFU_STATIC_ASSERT(offsetof(struct vfio_user_header, flags) == 8, "header.flags");
VFU_STATIC_ASSERT(offsetof(struct vfio_user_header, error_no) == 12, "header.error_no");

/** VERSION, both directions. */
struct vfio_user_version {
    uint16_t major;
    uint16_t minor;
    uint8_t data[];         /**< JSON text with a NUL at its end, or nothing */
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct vfio_user_version) == 4, "vfio_user_version");
VFU_STATIC_ASSERT(offsetof(struct vfio_user_version, minor) == 2, "version.minor");
VFU_STATIC_ASSERT(offsetof(struct vfio_user_version, data) == 4, "version.data");

/** GET_INFO. In a reply argsz is the size needed; so everywhere it occurs. */
struct vfio_user_device_info {
    uint32_t argsz;
    uint32_t flags;         /**< VFIO_DEVICE_FLAGS_RESET, _PCI */
    uint32_t num_regions;
    uint32_t num_irqs;
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct vfio_user_device_info) == 16, "vfio_user_device_info");
VFU_STATIC_ASSERT(offsetof(struct vfio_user_device_info, flags) == 4, "info.flags");
VFU_STATIC_ASSERT(offsetof(struct vfio_user_device_info, num_regions) == 8,
                  "info.num_regions");
VFU_STATIC_ASSERT(offsetof(struct vfio_user_device_info, num_irqs) == 12,
                  "info.num_irqs");

/** Dirty pages: bit n of the map is page n, least significant bit of each byte first. */
struct vfio_user_bitmap {
    uint64_t pgsize;        /**< bytes per bit */
    uint64_t size;          /**< bytes of the map */
    char data[];
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct vfio_user_bitmap) == 16, "vfio_user_bitmap");
VFU_STATIC_ASSERT(offsetof(struct vfio_user_bitmap, size) == 8, "bitmap.size");
VFU_STATIC_ASSERT(offsetof(struct vfio_user_bitmap, data) == 16, "bitmap.data");

/** vfio_user_dma_map.flags */
#define VFIO_USER_F_DMA_REGION_READ     (1 << 0)    /**< the device may read */
#define VFIO_USER_F_DMA_REGION_WRITE    (1 << 1)    /**< the device may write */
#define VFIO_USER_F_DMA_REGION_MMAP     (1 << 2)    /**< map the descriptor */
#define VFIO_USER_F_DMA_REGION_FILE_IO  (1 << 3)    /**< pread and pwrite it instead */

/** DMA_MAP; the reply has no body. At most one descriptor: the memory. */
struct vfio_user_dma_map {
    uint32_t argsz;
    uint32_t flags;         /**< VFIO_USER_F_DMA_REGION_* */
    uint64_t offset;        /**< where the window starts in the descriptor */
    uint64_t addr;          /**< first guest address of the window */
    uint64_t size;          /**< bytes */
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct vfio_user_dma_map) == 32, "vfio_user_dma_map");
VFU_STATIC_ASSERT(offsetof(struct vfio_user_dma_map, flags) == 4, "dma_map.flags");
VFU_STATIC_ASSERT(offsetof(struct vfio_user_dma_map, offset) == 8, "dma_map.offset");
VFU_STATIC_ASSERT(offsetof(struct vfio_user_dma_map, addr) == 16, "dma_map.addr");
VFU_STATIC_ASSERT(offsetof(struct vfio_user_dma_map, size) == 24, "dma_map.size");

#ifndef VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP
#define VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP (1 << 0)
#endif
#ifndef VFIO_DMA_UNMAP_FLAG_ALL
#define VFIO_DMA_UNMAP_FLAG_ALL (1 << 1)
#endif

/** DMA_UNMAP. Not packed: aligned to 8, as its members are. */
struct vfio_user_dma_unmap {
    uint32_t argsz;
    uint32_t flags;                     /**< VFIO_DMA_UNMAP_FLAG_* */
    uint64_t addr;
    uint64_t size;
    struct vfio_user_bitmap bitmap[];   /**< one, with _GET_DIRTY_BITMAP; else none */
};

VFU_STATIC_ASSERT(sizeof(struct vfio_user_dma_unmap) == 24, "vfio_user_dma_unmap");
VFU_STATIC_ASSERT(offsetof(struct vfio_user_dma_unmap, flags) == 4, "dma_unmap.flags");
VFU_STATIC_ASSERT(offsetof(struct vfio_user_dma_unmap, addr) == 8, "dma_unmap.addr");
VFU_STATIC_ASSERT(offsetof(struct vfio_user_dma_unmap, size) == 16, "dma_unmap.size");
VFU_STATIC_ASSERT(offsetof(struct vfio_user_dma_unmap, bitmap) == 24, "dma_unmap.bitmap");

/** REGION_READ: the reply has the data. REGION_WRITE: the request has them. */
struct vfio_user_region_access {
    uint64_t offset;        /**< from the start of the region */
    uint32_t region;        /**< region index */
    uint32_t count;         /**< bytes of data */
    uint8_t data[];
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct vfio_user_region_access) == 16,
                  "vfio_user_region_access");
VFU_STATIC_ASSERT(offsetof(struct vfio_user_region_access, region) == 8, "access.region");
VFU_STATIC_ASSERT(offsetof(struct vfio_user_region_access, count) == 12, "access.count");
VFU_STATIC_ASSERT(offsetof(struct vfio_user_region_access, data) == 16, "access.data");

/** DMA_READ: the reply has the data. DMA_WRITE: the request has them. */
struct vfio_user_dma_region_access {
    uint64_t addr;          /**< guest address */
    uint64_t count;         /**< bytes of data */
    uint8_t data[];
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct vfio_user_dma_region_access) == 16,
                  "vfio_user_dma_region_access");
VFU_STATIC_ASSERT(offsetof(struct vfio_user_dma_region_access, count) == 8, "dma.count");
VFU_STATIC_ASSERT(offsetof(struct vfio_user_dma_region_access, data) == 16, "dma.data");

/** One vector of an irq type. */
struct vfio_user_irq_info {
    uint32_t subindex;
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct vfio_user_irq_info) == 4, "vfio_user_irq_info");

/** GET_REGION_IO_FDS, request. */
typedef struct vfio_user_region_io_fds_request {
    uint32_t argsz;
    uint32_t flags;         /**< 0 */
    uint32_t index;         /**< region index */
    uint32_t count;         /**< 0 */
} __attribute__((packed)) vfio_user_region_io_fds_request_t;

VFU_STATIC_ASSERT(sizeof(vfio_user_region_io_fds_request_t) == 16, "io_fds_request");
VFU_STATIC_ASSERT(offsetof(vfio_user_region_io_fds_request_t, flags) == 4,
                  "io_fds_request.flags");
VFU_STATIC_ASSERT(offsetof(vfio_user_region_io_fds_request_t, index) == 8,
                  "io_fds_request.index");
VFU_STATIC_ASSERT(offsetof(vfio_user_region_io_fds_request_t, count) == 12,
                  "io_fds_request.count");

/** Member type of a sub-region */
#define VFIO_USER_IO_FD_TYPE_IOEVENTFD          0
#define VFIO_USER_IO_FD_TYPE_IOREGIONFD         1
#define VFIO_USER_IO_FD_TYPE_IOEVENTFD_SHADOW   2

/**
 * A part of a region whose writes signal an eventfd. An entry of the reply
 * has 40 bytes on the wire; this struct has 48, because of the shadow type.
 */
typedef struct vfio_user_sub_region_ioeventfd {
    uint64_t gpa_offset;            /**< from the start of the region */
    uint64_t size;                  /**< 0 matches any width */
    uint32_t fd_index;              /**< which descriptor of the reply */
    uint32_t type;
    uint32_t flags;
    uint32_t shadow_mem_fd_index;
    uint64_t shadow_offset;
    uint64_t datamatch;
} __attribute__((packed)) vfio_user_sub_region_ioeventfd_t;

VFU_STATIC_ASSERT(sizeof(vfio_user_sub_region_ioeventfd_t) == 48, "ioeventfd");
VFU_STATIC_ASSERT(offsetof(vfio_user_sub_region_ioeventfd_t, size) == 8,
                  "ioeventfd.size");
VFU_STATIC_ASSERT(offsetof(vfio_user_sub_region_ioeventfd_t, fd_index) == 16,
                  "ioeventfd.fd_index");
VFU_STATIC_ASSERT(offsetof(vfio_user_sub_region_ioeventfd_t, type) == 20,
                  "ioeventfd.type");
VFU_STATIC_ASSERT(offsetof(vfio_user_sub_region_ioeventfd_t, flags) == 24,
                  "ioeventfd.flags");
VFU_STATIC_ASSERT(offsetof(vfio_user_sub_region_ioeventfd_t, shadow_mem_fd_index) == 28,
                  "ioeventfd.shadow_mem_fd_index");
VFU_STATIC_ASSERT(offsetof(vfio_user_sub_region_ioeventfd_t, shadow_offset) == 32,
                  "ioeventfd.shadow_offset");
VFU_STATIC_ASSERT(offsetof(vfio_user_sub_region_ioeventfd_t, datamatch) == 40,
                  "ioeventfd.datamatch");

/** A part of a region whose accesses go over a descriptor of their own. */
typedef struct vfio_user_sub_region_ioregionfd {
    uint64_t offset;
    uint64_t size;
    uint32_t fd_index;
    uint32_t type;
    uint32_t flags;
    uint32_t padding;
    uint64_t user_data;
} __attribute__((packed)) vfio_user_sub_region_ioregionfd_t;

VFU_STATIC_ASSERT(sizeof(vfio_user_sub_region_ioregionfd_t) == 40, "ioregionfd");
VFU_STATIC_ASSERT(offsetof(vfio_user_sub_region_ioregionfd_t, size) == 8,
                  "ioregionfd.size");
VFU_STATIC_ASSERT(offsetof(vfio_user_sub_region_ioregionfd_t, fd_index) == 16,
                  "ioregionfd.fd_index");
VFU_STATIC_ASSERT(offsetof(vfio_user_sub_region_ioregionfd_t, type) == 20,
                  "ioregionfd.type");
VFU_STATIC_ASSERT(offsetof(vfio_user_sub_region_ioregionfd_t, flags) == 24,
                  "ioregionfd.flags");
VFU_STATIC_ASSERT(offsetof(vfio_user_sub_region_ioregionfd_t, padding) == 28,
                  "ioregionfd.padding");
VFU_STATIC_ASSERT(offsetof(vfio_user_sub_region_ioregionfd_t, user_data) == 32,
                  "ioregionfd.user_data");

/** GET_REGION_IO_FDS, reply. */
typedef struct vfio_user_region_io_fds_reply {
    uint32_t argsz;
    uint32_t flags;
    uint32_t index;
    uint32_t count;         /**< sub-regions there are, also if they did not fit */
    union sub_region {
        struct vfio_user_sub_region_ioeventfd ioeventfd;
        struct vfio_user_sub_region_ioregionfd ioregionfd;
    } sub_regions[];
} __attribute__((packed)) vfio_user_region_io_fds_reply_t;

VFU_STATIC_ASSERT(sizeof(vfio_user_region_io_fds_reply_t) == 16, "io_fds_reply");
VFU_STATIC_ASSERT(offsetof(vfio_user_region_io_fds_reply_t, flags) == 4,
                  "io_fds_reply.flags");
VFU_STATIC_ASSERT(offsetof(vfio_user_region_io_fds_reply_t, index) == 8,
                  "io_fds_reply.index");
VFU_STATIC_ASSERT(offsetof(vfio_user_region_io_fds_reply_t, count) == 12,
                  "io_fds_reply.count");
VFU_STATIC_ASSERT(offsetof(vfio_user_region_io_fds_reply_t, sub_regions) == 16,
                  "io_fds_reply.sub_regions");

/* DEVICE_FEATURE: what older kernel headers lack. */
#ifndef VFIO_DEVICE_FEATURE_MASK
#define VFIO_DEVICE_FEATURE_MASK (0xffff)
#endif
#ifndef VFIO_DEVICE_FEATURE_GET
#define VFIO_DEVICE_FEATURE_GET (1 << 16)
#endif
#ifndef VFIO_DEVICE_FEATURE_SET
#define VFIO_DEVICE_FEATURE_SET (1 << 17)
#endif
#ifndef VFIO_DEVICE_FEATURE_PROBE
#define VFIO_DEVICE_FEATURE_PROBE (1 << 18)
#endif
#ifndef VFIO_DEVICE_FEATURE_MIGRATION
#define VFIO_DEVICE_FEATURE_MIGRATION (1)
#endif
#ifndef VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE
#define VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE (2)
#endif
#ifndef VFIO_DEVICE_FEATURE_DMA_LOGGING_START
#define VFIO_DEVICE_FEATURE_DMA_LOGGING_START (6)
#endif
#ifndef VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP
#define VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP (7)
#endif
#ifndef VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT
#define VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT (8)
#endif
#ifndef VFIO_MIGRATION_STOP_COPY
#define VFIO_MIGRATION_STOP_COPY (1 << 0)
#endif
#ifndef VFIO_MIGRATION_P2P
#define VFIO_MIGRATION_P2P (1 << 1)
#endif
#ifndef VFIO_MIGRATION_PRE_COPY
#define VFIO_MIGRATION_PRE_COPY (1 << 2)
#endif

/** DEVICE_FEATURE, both directions. */
struct vfio_user_device_feature {
    uint32_t argsz;
    uint32_t flags;         /**< feature number, VFIO_DEVICE_FEATURE_GET, _SET, _PROBE */
    uint8_t data[];         /**< one of the structs below */
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct vfio_user_device_feature) == 8,
                  "vfio_user_device_feature");
VFU_STATIC_ASSERT(offsetof(struct vfio_user_device_feature, flags) == 4, "feature.flags");
VFU_STATIC_ASSERT(offsetof(struct vfio_user_device_feature, data) == 8, "feature.data");

/** VFIO_DEVICE_FEATURE_MIGRATION, reply of GET. */
struct vfio_user_device_feature_migration {
    uint64_t flags;         /**< VFIO_MIGRATION_* */
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct vfio_user_device_feature_migration) == 8,
                  "vfio_user_device_feature_migration");

/** vfio_user_device_feature_mig_state.device_state */
enum vfio_user_device_mig_state {
    VFIO_USER_DEVICE_STATE_ERROR = 0,
    VFIO_USER_DEVICE_STATE_STOP = 1,
    VFIO_USER_DEVICE_STATE_RUNNING = 2,
    VFIO_USER_DEVICE_STATE_STOP_COPY = 3,
    VFIO_USER_DEVICE_STATE_RESUMING = 4,
    VFIO_USER_DEVICE_STATE_RUNNING_P2P = 5,
    VFIO_USER_DEVICE_STATE_PRE_COPY = 6,
    VFIO_USER_DEVICE_STATE_PRE_COPY_P2P = 7,
    VFIO_USER_DEVICE_NUM_STATES = 8,
};

/** VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, SET and reply of GET. */
struct vfio_user_device_feature_mig_state {
    uint32_t device_state;  /**< enum vfio_user_device_mig_state */
    uint32_t data_fd;       /**< not used by vfio-user */
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct vfio_user_device_feature_mig_state) == 8,
                  "vfio_user_device_feature_mig_state");
VFU_STATIC_ASSERT(offsetof(struct vfio_user_device_feature_mig_state, data_fd) == 4,
                  "mig_state.data_fd");

/** One range of VFIO_DEVICE_FEATURE_DMA_LOGGING_START. */
struct vfio_user_device_feature_dma_logging_range {
    uint64_t iova;
    uint64_t length;
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct vfio_user_device_feature_dma_logging_range) == 16,
                  "vfio_user_device_feature_dma_logging_range");
VFU_STATIC_ASSERT(
    offsetof(struct vfio_user_device_feature_dma_logging_range, length) == 8,
    "logging_range.length");

/** VFIO_DEVICE_FEATURE_DMA_LOGGING_START, SET. */
struct vfio_user_device_feature_dma_logging_control {
    uint64_t page_size;     /**< bytes per bit wished for */
    uint32_t num_ranges;
    uint32_t reserved;
    struct vfio_user_device_feature_dma_logging_range ranges[];
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct vfio_user_device_feature_dma_logging_control) == 16,
                  "vfio_user_device_feature_dma_logging_control");
VFU_STATIC_ASSERT(
    offsetof(struct vfio_user_device_feature_dma_logging_control, num_ranges) == 8,
    "logging_control.num_ranges");
VFU_STATIC_ASSERT(
    offsetof(struct vfio_user_device_feature_dma_logging_control, reserved) == 12,
    "logging_control.reserved");
VFU_STATIC_ASSERT(
    offsetof(struct vfio_user_device_feature_dma_logging_control, ranges) == 16,
    "logging_control.ranges");

/** VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, GET and its reply. */
struct vfio_user_device_feature_dma_logging_report {
    uint64_t iova;
    uint64_t length;
    uint64_t page_size;
    uint8_t bitmap[];       /**< reply only; whole multiples of 8 bytes */
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct vfio_user_device_feature_dma_logging_report) == 24,
                  "vfio_user_device_feature_dma_logging_report");
VFU_STATIC_ASSERT(
    offsetof(struct vfio_user_device_feature_dma_logging_report, length) == 8,
    "logging_report.length");
VFU_STATIC_ASSERT(
    offsetof(struct vfio_user_device_feature_dma_logging_report, page_size) == 16,
    "logging_report.page_size");
VFU_STATIC_ASSERT(
    offsetof(struct vfio_user_device_feature_dma_logging_report, bitmap) == 24,
    "logging_report.bitmap");

/** MIG_DATA_READ: the reply has the data. MIG_DATA_WRITE: the request has them. */
struct vfio_user_mig_data {
    uint32_t argsz;
    uint32_t size;          /**< bytes of data */
    uint8_t data[];
} __attribute__((packed));

VFU_STATIC_ASSERT(sizeof(struct vfio_user_mig_data) == 8, "vfio_user_mig_data");
VFU_STATIC_ASSERT(offsetof(struct vfio_user_mig_data, size) == 4, "mig_data.size");
VFU_STATIC_ASSERT(offsetof(struct vfio_user_mig_data, data) == 8, "mig_data.data");

#ifdef __cplusplus
}
#endif

#pragma GCC diagnostic pop

#endif /* LIB_VFIO_USER_VFIO_USER_H */
