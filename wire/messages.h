/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every message body as a struct, with the pair of functions that turn it into
 * bytes and back.
 *
 * A body is what follows the 16-byte header. Offsets in the margin count from
 * the start of the body. Requests and replies of one shape share a struct; the
 * comment says which fields each direction uses.
 *
 *   int vu_encode_X(struct vu_writer *w, const struct vu_X *m)
 *       0, or -ENOBUFS: there is no room.
 *   int vu_decode_X(struct vu_reader *r, struct vu_X *m)
 *       0, or -EBADMSG: the body is too short, or has the wrong length where
 *       the specification determines it. *m is set all the same, with zeros
 *       for what was missing, so that a log line can show what came.
 *
 * Decoders check form only (length). What values mean is the business of who
 * acts on them. Bytes after a fixed structure are accepted, as real clients
 * pad, except in REGION_WRITE, REGION_WRITE_MULTI and SET_IRQS with DATA_BOOL.
 *
 * A `struct vu_bytes` of a decoded message points into the buffer that the
 * reader was given and lives as long as that. On encoding it is copied; with
 * .data NULL and .len > 0 room of that length is left for the caller to fill
 * (zeroed), so that a large payload need not be copied twice.
 */
#ifndef VU_WIRE_MESSAGES_H
#define VU_WIRE_MESSAGES_H

#include "wire/cursor.h"
#include "wire/protocol.h"

/* ------------------------------------------------------------- header -- */

struct vu_header {
    uint16_t msg_id;  /*  0 */
    uint16_t command; /*  2  enum vu_command, or anything a peer sends */
    uint32_t size;    /*  4  whole message, header included */
    uint32_t flags;   /*  8  VU_F_* */
    uint32_t error;   /* 12  errno, in replies with VU_F_ERROR */
};

int vu_encode_header(struct vu_writer *w, const struct vu_header *m);
int vu_decode_header(struct vu_reader *r, struct vu_header *m);

static inline uint32_t vu_header_type(const struct vu_header *h)
{
    return h->flags & VU_F_TYPE_MASK;
}

/* ------------------------------------------------------------ VERSION -- */

#define VU_VERSION_SIZE 4u
struct vu_version {
    uint16_t major;       /* 0 */
    uint16_t minor;       /* 2 */
    struct vu_bytes data; /* 4  JSON with its NUL, or empty: wire/caps.h */
};

int vu_encode_version(struct vu_writer *w, const struct vu_version *m);
int vu_decode_version(struct vu_reader *r, struct vu_version *m);

/* ---------------------------------------------------- DMA_MAP, _UNMAP -- */

#define VU_DMA_MAP_SIZE 32u
struct vu_dma_map {
    uint32_t argsz;   /*  0 */
    uint32_t flags;   /*  4  VU_DMA_* */
    uint64_t offset;  /*  8  of the window in the descriptor */
    uint64_t address; /* 16 */
    uint64_t size;    /* 24 */
};                    /* the reply has no body */

int vu_encode_dma_map(struct vu_writer *w, const struct vu_dma_map *m);
int vu_decode_dma_map(struct vu_reader *r, struct vu_dma_map *m);

/* Request and reply. With VU_DMA_UNMAP_GET_DIRTY_BITMAP in flags the 16 bytes
 * of the bitmap's description follow, and in the reply its `bitmap_size`
 * bytes. `bitmap` is empty in a request. */
#define VU_DMA_UNMAP_SIZE        24u
#define VU_DMA_UNMAP_BITMAP_SIZE 40u /* with the bitmap's description */
struct vu_dma_unmap {
    uint32_t argsz;         /*  0 */
    uint32_t flags;         /*  4  VU_DMA_UNMAP_* */
    uint64_t address;       /*  8 */
    uint64_t size;          /* 16 */
    uint64_t pgsize;        /* 24  only with a bitmap: bytes per bit */
    uint64_t bitmap_size;   /* 32  only with a bitmap: bytes of bitmap */
    struct vu_bytes bitmap; /* 40  replies only */
};

int vu_encode_dma_unmap(struct vu_writer *w, const struct vu_dma_unmap *m);
int vu_decode_dma_unmap(struct vu_reader *r, struct vu_dma_unmap *m);
int vu_decode_dma_unmap_reply(struct vu_reader *r, struct vu_dma_unmap *m);

/* ----------------------------------------------------- device, region -- */

#define VU_DEVICE_INFO_SIZE 16u
struct vu_device_info {
    uint32_t argsz;       /*  0 */
    uint32_t flags;       /*  4  VU_DEVICE_* */
    uint32_t num_regions; /*  8 */
    uint32_t num_irqs;    /* 12 */
};

int vu_encode_device_info(struct vu_writer *w, const struct vu_device_info *m);
int vu_decode_device_info(struct vu_reader *r, struct vu_device_info *m);

#define VU_REGION_INFO_SIZE 32u
struct vu_region_info {
    uint32_t argsz;      /*  0 */
    uint32_t flags;      /*  4  VU_REGION_* */
    uint32_t index;      /*  8 */
    uint32_t cap_offset; /* 12  from the start of the body; 0: no chain */
    uint64_t size;       /* 16 */
    uint64_t offset;     /* 24  for mmap of the descriptor */
};

int vu_encode_region_info(struct vu_writer *w, const struct vu_region_info *m);
int vu_decode_region_info(struct vu_reader *r, struct vu_region_info *m);

/*
 * The capability chain behind a region info reply. `body` is the whole body.
 * Walk it with:
 *
 *   struct vu_cap_walk walk = vu_cap_walk(body, body_len, info.cap_offset);
 *   while ((err = vu_cap_next(&walk, &cap)) == 1)
 *       ...
 *   err == 0: the chain ended well; -EBADMSG: it leaves the body, goes back or
 *   starts inside the 32 fixed bytes, and so does every later call.
 *
 * A `next` must lie behind the header of the capability that names it, so a
 * walk takes at most body_len / 8 steps. Offsets that are no multiple of 8 are
 * read all the same: whether to complain is the caller's business.
 */
struct vu_cap {
    uint16_t id;          /* 0  VU_CAP_* */
    uint16_t version;     /* 2 */
    uint32_t next;        /* 4  from the start of the body; 0: the last */
    uint32_t offset;      /* where this one starts in the body */
    struct vu_bytes data; /* 8  up to the next capability or the end of the body */
};

struct vu_cap_walk {
    struct vu_bytes body;
    uint32_t at; /* offset of the next capability, 0 at the end */
};

struct vu_cap_walk vu_cap_walk(const void *body, size_t len, uint32_t cap_offset);
int vu_cap_next(struct vu_cap_walk *walk, struct vu_cap *cap);

/* VU_CAP_SPARSE_MMAP: u32 nr_areas @8, u32 reserved, then the areas @16. */
struct vu_sparse_area {
    uint64_t offset; /* 0  in the region */
    uint64_t size;   /* 8 */
};
#define VU_SPARSE_AREA_SIZE   16u
#define VU_SPARSE_CAP_SIZE(n) (16u + VU_SPARSE_AREA_SIZE * (size_t)(n))

/* Number of areas in cap, or -EBADMSG when they do not fit in it. */
int64_t vu_sparse_count(const struct vu_cap *cap);
/* Area i, which must be below the count. */
struct vu_sparse_area vu_sparse_area(const struct vu_cap *cap, uint32_t i);
int vu_encode_sparse_cap(struct vu_writer *w, const struct vu_sparse_area *areas,
                         uint32_t n, uint32_t next);

/* VU_CAP_SPARSE_MMAP_FDS: as above with entries of 32 bytes. */
struct vu_sparse_fd_area {
    uint64_t offset;    /*  0  in the region */
    uint64_t fd_offset; /*  8  in the descriptor */
    uint64_t size;      /* 16 */
    uint32_t fd_index;  /* 24  in the reply's descriptors; then 4 of padding */
};
#define VU_SPARSE_FD_AREA_SIZE    32u
#define VU_SPARSE_FDS_CAP_SIZE(n) (16u + VU_SPARSE_FD_AREA_SIZE * (size_t)(n))

int64_t vu_sparse_fds_count(const struct vu_cap *cap);
struct vu_sparse_fd_area vu_sparse_fd_area(const struct vu_cap *cap, uint32_t i);
int vu_encode_sparse_fds_cap(struct vu_writer *w, const struct vu_sparse_fd_area *areas,
                             uint32_t n, uint32_t next);

/* VU_CAP_TYPE, for device-specific regions. */
struct vu_type_cap {
    uint32_t type;    /*  8 */
    uint32_t subtype; /* 12 */
};
#define VU_TYPE_CAP_SIZE 16u

int vu_decode_type_cap(const struct vu_cap *cap, struct vu_type_cap *m);
int vu_encode_type_cap(struct vu_writer *w, const struct vu_type_cap *m, uint32_t next);
int vu_encode_msix_cap(struct vu_writer *w, uint32_t next); /* 8 bytes, no data */

/* ------------------------------------------------------ REGION_IO_FDS -- */

#define VU_REGION_IO_FDS_SIZE 16u
struct vu_region_io_fds {
    uint32_t argsz;          /*  0 */
    uint32_t flags;          /*  4 */
    uint32_t index;          /*  8 */
    uint32_t count;          /* 12  0 in a request */
    struct vu_bytes entries; /* 16  replies: count entries, or none: no room */
};

#define VU_IO_FD_ENTRY_SIZE 40u
struct vu_io_fd_entry {
    uint64_t offset;    /*  0  in the region */
    uint64_t size;      /*  8  of an access; 0: any */
    uint32_t fd_index;  /* 16 */
    uint32_t type;      /* 20  VU_IO_FD_* */
    uint32_t flags;     /* 24  KVM_IOEVENTFD_FLAG_* or KVM_IOREGION_* */
    uint32_t padding;   /* 28 */
    uint64_t datamatch; /* 32  user_data for ioregionfd */
};

int vu_encode_region_io_fds(struct vu_writer *w, const struct vu_region_io_fds *m);
int vu_decode_region_io_fds(struct vu_reader *r, struct vu_region_io_fds *m);
int vu_encode_io_fd_entry(struct vu_writer *w, const struct vu_io_fd_entry *m);
/* Entry i of a reply, found by the stride that the reply implies,
 * (argsz - 16) / count. -EBADMSG when i or the stride is out of bounds. */
int vu_decode_io_fd_entry(const struct vu_region_io_fds *reply, uint32_t i,
                          struct vu_io_fd_entry *m);

/* ---------------------------------------------------------- interrupts -- */

#define VU_IRQ_INFO_SIZE 16u
struct vu_irq_info {
    uint32_t argsz; /*  0 */
    uint32_t flags; /*  4  VU_IRQ_* */
    uint32_t index; /*  8 */
    uint32_t count; /* 12 */
};

int vu_encode_irq_info(struct vu_writer *w, const struct vu_irq_info *m);
int vu_decode_irq_info(struct vu_reader *r, struct vu_irq_info *m);

/* With DATA_BOOL the data must be exactly count bytes; otherwise what follows
 * the structure is ignored and data is empty. */
#define VU_IRQ_SET_SIZE 20u
struct vu_irq_set {
    uint32_t argsz;       /*  0 */
    uint32_t flags;       /*  4  VU_IRQ_SET_* */
    uint32_t index;       /*  8 */
    uint32_t start;       /* 12 */
    uint32_t count;       /* 16 */
    struct vu_bytes data; /* 20 */
};

int vu_encode_irq_set(struct vu_writer *w, const struct vu_irq_set *m);
int vu_decode_irq_set(struct vu_reader *r, struct vu_irq_set *m);

/* -------------------------------------------------------- region access -- */

/* READ request and WRITE reply: 16 bytes, data empty. READ reply and WRITE
 * request: count bytes of data; the latter exactly that many. */
#define VU_REGION_ACCESS_SIZE 16u
struct vu_region_access {
    uint64_t offset;      /*  0 */
    uint32_t region;      /*  8 */
    uint32_t count;       /* 12 */
    struct vu_bytes data; /* 16 */
};

int vu_encode_region_access(struct vu_writer *w, const struct vu_region_access *m);
/* The 16 bytes; what follows is ignored. READ request, WRITE reply. */
int vu_decode_region_access(struct vu_reader *r, struct vu_region_access *m);
/* With data: exactly count bytes must follow. WRITE request, READ reply. */
int vu_decode_region_data(struct vu_reader *r, struct vu_region_access *m);

/* REGION_WRITE_MULTI: u64 count, then entries of 24 bytes; the reply is the
 * count of completed writes alone. */
#define VU_WRITE_MULTI_SIZE       8u
#define VU_WRITE_MULTI_ENTRY_SIZE 24u
struct vu_write_multi {
    uint64_t count;          /* 0 */
    struct vu_bytes entries; /* 8  exactly 24 * count bytes in a request */
};

struct vu_write_multi_entry {
    uint64_t offset; /*  0 */
    uint32_t region; /*  8 */
    uint32_t count;  /* 12  1 to 8: bytes of data used */
    uint8_t data[8]; /* 16 */
};

int vu_encode_write_multi(struct vu_writer *w, const struct vu_write_multi *m);
int vu_decode_write_multi(struct vu_reader *r, struct vu_write_multi *m);
int vu_decode_write_multi_reply(struct vu_reader *r, struct vu_write_multi *m);
int vu_encode_write_multi_entry(struct vu_writer *w,
                                const struct vu_write_multi_entry *m);
/* Entry i of a decoded request; i must be below count, else -EBADMSG. */
int vu_decode_write_multi_entry(const struct vu_write_multi *m, uint64_t i,
                                struct vu_write_multi_entry *e);

/* ----------------------------------------------------- DMA by message -- */

/* READ request and WRITE reply: 16 bytes. READ reply and WRITE request: count
 * bytes of data follow; more is ignored. A WRITE reply of 12 bytes (a 4-byte
 * count) is taken too: one revision of the specification printed it so. */
#define VU_DMA_ACCESS_SIZE 16u
struct vu_dma_access {
    uint64_t address;     /*  0 */
    uint64_t count;       /*  8 */
    struct vu_bytes data; /* 16 */
};

int vu_encode_dma_access(struct vu_writer *w, const struct vu_dma_access *m);
int vu_decode_dma_access(struct vu_reader *r, struct vu_dma_access *m);
int vu_decode_dma_data(struct vu_reader *r, struct vu_dma_access *m);
int vu_decode_dma_write_reply(struct vu_reader *r, struct vu_dma_access *m);

/* ---------------------------------------------- features and migration -- */

#define VU_FEATURE_SIZE 8u
struct vu_feature {
    uint32_t argsz;       /* 0 */
    uint32_t flags;       /* 4  VU_FEATURE_*, index in the low 16 bits */
    struct vu_bytes data; /* 8  the rest of the body */
};

int vu_encode_feature(struct vu_writer *w, const struct vu_feature *m);
int vu_decode_feature(struct vu_reader *r, struct vu_feature *m);

#define VU_FEATURE_MIGRATION_SIZE 8u
struct vu_feature_migration {
    uint64_t flags; /* 0  VU_MIGRATION_* */
};

int vu_encode_feature_migration(struct vu_writer *w,
                                const struct vu_feature_migration *m);
int vu_decode_feature_migration(struct vu_reader *r, struct vu_feature_migration *m);

#define VU_FEATURE_MIG_STATE_SIZE 8u
struct vu_feature_mig_state {
    uint32_t device_state; /* 0  enum vu_mig_state */
    uint32_t data_fd;      /* 4  unused here */
};

int vu_encode_feature_mig_state(struct vu_writer *w,
                                const struct vu_feature_mig_state *m);
int vu_decode_feature_mig_state(struct vu_reader *r, struct vu_feature_mig_state *m);

#define VU_DMA_LOGGING_SIZE       16u
#define VU_DMA_LOGGING_RANGE_SIZE 16u
struct vu_dma_logging {
    uint64_t page_size;     /*  0 */
    uint32_t num_ranges;    /*  8  12: reserved */
    struct vu_bytes ranges; /* 16  num_ranges entries; more bytes are ignored */
};

struct vu_dma_logging_range {
    uint64_t iova;   /* 0 */
    uint64_t length; /* 8 */
};

int vu_encode_dma_logging(struct vu_writer *w, const struct vu_dma_logging *m);
int vu_decode_dma_logging(struct vu_reader *r, struct vu_dma_logging *m);
int vu_encode_dma_logging_range(struct vu_writer *w,
                                const struct vu_dma_logging_range *m);
/* Range i of a decoded START; i must be below num_ranges, else -EBADMSG. */
int vu_decode_dma_logging_range(const struct vu_dma_logging *m, uint32_t i,
                                struct vu_dma_logging_range *range);

#define VU_DMA_REPORT_SIZE 24u
struct vu_dma_report {
    uint64_t iova;          /*  0 */
    uint64_t length;        /*  8 */
    uint64_t page_size;     /* 16 */
    struct vu_bytes bitmap; /* 24  replies: the rest of the body */
};

int vu_encode_dma_report(struct vu_writer *w, const struct vu_dma_report *m);
int vu_decode_dma_report(struct vu_reader *r, struct vu_dma_report *m);
/* Bytes of bitmap for a range: one bit a page, in whole 64-bit words.
 * -EINVAL: page_size is no power of two, or length is 0. */
int64_t vu_bitmap_size(uint64_t length, uint64_t page_size);

/* READ request: data empty, size is what is wanted. READ reply and WRITE
 * request: size bytes of data. A WRITE reply has no body. */
#define VU_MIG_DATA_SIZE 8u
struct vu_mig_data {
    uint32_t argsz;       /* 0 */
    uint32_t size;        /* 4 */
    struct vu_bytes data; /* 8 */
};

int vu_encode_mig_data(struct vu_writer *w, const struct vu_mig_data *m);
int vu_decode_mig_data_request(struct vu_reader *r, struct vu_mig_data *m);
/* With data: at least size bytes must follow; more is ignored. */
int vu_decode_mig_data(struct vu_reader *r, struct vu_mig_data *m);

#endif
