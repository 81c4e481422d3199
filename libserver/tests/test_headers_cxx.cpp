/* SPDX-License-Identifier: BSD-3-Clause */
/* The C++ half of test_headers.c. */
#include "libserver/tests/test_headers.h"

int cxx_three_arguments(vfu_ctx_t *ctx, vfu_dma_register_cb_t *reg,
                        vfu_dma_unregister_cb_t *unreg)
{
    return vfu_setup_device_dma(ctx, reg, unreg);
}

int cxx_four_arguments(vfu_ctx_t *ctx, size_t max_regions, vfu_dma_register_cb_t *reg,
                       vfu_dma_unregister_cb_t *unreg)
{
    return ::vfu_setup_device_dma(ctx, max_regions, reg, unreg);
}

int cxx_by_address(vfu_ctx_t *ctx, size_t max_regions, vfu_dma_register_cb_t *reg,
                   vfu_dma_unregister_cb_t *unreg)
{
    int (*f)(vfu_ctx_t *, size_t, vfu_dma_register_cb_t *, vfu_dma_unregister_cb_t *) =
        &vfu_setup_device_dma;

    return f(ctx, max_regions, reg, unreg);
}
