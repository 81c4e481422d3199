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

int cxx_read(vfu_ctx_t *ctx, dma_sg_t *sgl, size_t sg_cnt, void *data)
{
    return vfu_sgl_read(ctx, sgl, sg_cnt, data);
}

int cxx_read_flags(vfu_ctx_t *ctx, dma_sg_t *sgl, size_t sg_cnt, void *data, int flags)
{
    return ::vfu_sgl_read(ctx, sgl, sg_cnt, data, flags);
}

int cxx_read_by_address(vfu_ctx_t *ctx, dma_sg_t *sgl, size_t sg_cnt, void *data, int flags)
{
    int (*f)(vfu_ctx_t *, dma_sg_t *, size_t, void *, int) = &vfu_sgl_read;

    return f(ctx, sgl, sg_cnt, data, flags);
}

int cxx_write(vfu_ctx_t *ctx, dma_sg_t *sgl, size_t sg_cnt, void *data)
{
    return vfu_sgl_write(ctx, sgl, sg_cnt, data);
}

int cxx_write_flags(vfu_ctx_t *ctx, dma_sg_t *sgl, size_t sg_cnt, void *data, int flags)
{
    return ::vfu_sgl_write(ctx, sgl, sg_cnt, data, flags);
}
