/* SPDX-License-Identifier: BSD-3-Clause */
/* What test_headers_cxx.cpp shows of C++ to test_headers.c. */
#ifndef VUS_TEST_HEADERS_H
#define VUS_TEST_HEADERS_H

#include "libvfio-user.h"

#ifdef __cplusplus
extern "C" {
#endif

int cxx_three_arguments(vfu_ctx_t *ctx, vfu_dma_register_cb_t *reg,
                        vfu_dma_unregister_cb_t *unreg);
int cxx_four_arguments(vfu_ctx_t *ctx, size_t max_regions, vfu_dma_register_cb_t *reg,
                       vfu_dma_unregister_cb_t *unreg);
int cxx_by_address(vfu_ctx_t *ctx, size_t max_regions, vfu_dma_register_cb_t *reg,
                   vfu_dma_unregister_cb_t *unreg);

int cxx_read(vfu_ctx_t *ctx, dma_sg_t *sgl, size_t sg_cnt, void *data);
int cxx_read_flags(vfu_ctx_t *ctx, dma_sg_t *sgl, size_t sg_cnt, void *data, int flags);
int cxx_read_by_address(vfu_ctx_t *ctx, dma_sg_t *sgl, size_t sg_cnt, void *data, int flags);
int cxx_write(vfu_ctx_t *ctx, dma_sg_t *sgl, size_t sg_cnt, void *data);
int cxx_write_flags(vfu_ctx_t *ctx, dma_sg_t *sgl, size_t sg_cnt, void *data, int flags);

#ifdef __cplusplus
}
#endif

#endif
