/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a case may need of a server. Each name is probed at most once for a server
 * (prelude.lua has the probes) and the answer is kept by the worker.
 */
#ifndef CT_NEEDS_H
#define CT_NEEDS_H

#include <stdint.h>

/* clang-format off */
#define CT_NEEDS(X)                                                                      \
    X(pci_config) X(mappable_region) X(sparse_mmap) X(large_region)                      \
    X(read_only_region) X(write_only_region) X(device_specific_region)                   \
    X(absent_region) X(region_io_fds) X(irq) X(intx) X(msi) X(msix) X(dma) X(reset)      \
    X(migration) X(pre_copy) X(no_pre_copy) X(dma_logging) X(write_multiple)             \
    X(twin_socket) X(second_client) X(device_profile) X(spawned)
/* clang-format on */

enum ct_need {
#define X(name) CT_NEED_##name,
    CT_NEEDS(X)
#undef X
        CT_N_NEEDS
};

enum ct_need_state { CT_NEED_UNKNOWN, CT_NEED_THERE, CT_NEED_ABSENT };

struct ct_needs {
    struct {
        enum ct_need_state state;
        int64_t value;    /* index of the region or interrupt, else 1 */
        char reason[160]; /* why it is absent */
    } of[CT_N_NEEDS];
};

const char *ct_need_name(enum ct_need need);
int ct_need_find(const char *name); /* -1: there is no such need */

#endif
