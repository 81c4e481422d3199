/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The JSON that goes with VERSION: what each side can do.
 *
 * Parsing is strict, since limits that are misread are misjudged later: bounded
 * size and depth, real UTF-8 JSON of one object with its NUL, and the right type
 * for every key that we know. Unknown keys are ignored; a key given twice in one
 * object is refused, known or not. A refusal names the key where one is at fault.
 */
#ifndef VU_WIRE_CAPS_H
#define VU_WIRE_CAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VU_CAPS_MAX_BYTES 16384u    /* of JSON, NUL included */
#define VU_CAPS_MAX_DEPTH 8

/* A value counts only when its has_ is set; vu_caps_default() says what absence means.
 * has_twin_socket and has_migration tell that the object is there. */
struct vu_caps {
    bool has_max_msg_fds, has_max_data_xfer_size, has_max_dma_maps, has_pgsizes;
    bool has_twin_socket, has_fd_index, has_write_multiple, has_migration;
    bool has_migration_pgsize, has_migration_max_bitmap_size, has_sparse_mmap_fds;

    uint64_t max_msg_fds;               /* descriptors a message */
    uint64_t max_data_xfer_size;        /* bytes */
    uint64_t max_dma_maps;              /* windows */
    uint64_t pgsizes;                   /* mask of page sizes */
    bool twin_socket;                   /* twin_socket.supported */
    uint64_t fd_index;                  /* twin_socket.fd_index, in replies */
    bool write_multiple;
    uint64_t migration_pgsize;
    uint64_t migration_max_bitmap_size;
    bool sparse_mmap_fds;
};

/* Every absent limit gets its default of the specification; has_ stays as it is. */
void vu_caps_default(struct vu_caps *caps);

/*
 * Parse version data: data_len bytes with the terminating NUL. Empty data gives
 * no capabilities. Values are taken as they are (zero too). Numbers may be written as
 * integers below 2^64 - 1 or, below 2^53, in any way that gives an integer (4096.0, 1e6);
 * others are refused. *caps is set only on success.
 *
 * 0; -EBADMSG for what is no acceptable JSON or a wrong type, -E2BIG for too
 * large or deep, -ENOMEM. why (may be NULL) receives a sentence that names the
 * key, cut to why_len.
 */
int vu_caps_parse(struct vu_caps *caps, const void *data, size_t data_len, char *why,
                  size_t why_len);

/* Write the capabilities that are set as compact JSON with its NUL. Length with
 * NUL, or -ENOBUFS. A vu_caps with nothing set gives {}. */
int vu_caps_print(const struct vu_caps *caps, char *buf, size_t len);

#endif
