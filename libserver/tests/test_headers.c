/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The public headers as programs see them: values, places of bit-fields, and
 * both forms of vfu_setup_device_dma(), vfu_sgl_read() and vfu_sgl_write(),
 * from C and from C++.
 *
 * Numbers are typed from the published interface, not derived from the
 * headers. Sizes and offsets are test_layouts.c's, compilers and their modes
 * test_header_modes.py's. This program does not link the library: it defines
 * the functions that it calls.
 */
#include "wire/tests/support.h"

#include "libvfio-user.h"

#include "libserver/tests/test_headers.h"

/* What the last call of vfu_setup_device_dma() passed. */
static struct {
    vfu_ctx_t *ctx;
    size_t max_regions;
    vfu_dma_register_cb_t *reg;
    vfu_dma_unregister_cb_t *unreg;
    int calls;
} seen;

/* The definition too goes through the macro, and stays a definition. */
int vfu_setup_device_dma(vfu_ctx_t *ctx, size_t max_regions, vfu_dma_register_cb_t *reg,
                         vfu_dma_unregister_cb_t *unreg)
{
    seen.ctx = ctx;
    seen.max_regions = max_regions;
    seen.reg = reg;
    seen.unreg = unreg;
    return ++seen.calls;
}

/* What the last call of vfu_sgl_read() or vfu_sgl_write() passed. */
static struct transfer {
    char which;     /* r, w */
    vfu_ctx_t *ctx;
    dma_sg_t *sgl;
    size_t sg_cnt;
    void *data;
    int flags;
} transfer;

int vfu_sgl_read(vfu_ctx_t *ctx, dma_sg_t *sgl, size_t sg_cnt, void *data, int flags)
{
    transfer = (struct transfer){ 'r', ctx, sgl, sg_cnt, data, flags };
    return 17;
}

int vfu_sgl_write(vfu_ctx_t *ctx, dma_sg_t *sgl, size_t sg_cnt, void *data, int flags)
{
    transfer = (struct transfer){ 'w', ctx, sgl, sg_cnt, data, flags };
    return 18;
}

static void on_map(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    (void)ctx;
    (void)info;
}

static void on_unmap(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    (void)ctx;
    (void)info;
}

static vfu_ctx_t *const fake_ctx = (vfu_ctx_t *)&seen;

static void assert_seen(int result, size_t max_regions, vfu_dma_register_cb_t *reg,
                        vfu_dma_unregister_cb_t *unreg)
{
    assert_int_equal(result, 1);
    assert_int_equal(seen.calls, 1);
    assert_ptr_equal(seen.ctx, fake_ctx);
    assert_int_equal(seen.max_regions, max_regions);
    assert_ptr_equal(seen.reg, reg);
    assert_ptr_equal(seen.unreg, unreg);
    memset(&seen, 0, sizeof(seen));
}

static void dma_setup_takes_three_or_four_arguments(void **state)
{
    (void)state;
    assert_seen(vfu_setup_device_dma(fake_ctx, on_map, on_unmap), 1000000, on_map,
                on_unmap);
    assert_seen(vfu_setup_device_dma(fake_ctx, NULL, NULL), 1000000, NULL, NULL);
    assert_seen(vfu_setup_device_dma(fake_ctx, 16, on_map, on_unmap), 16, on_map,
                on_unmap);
    assert_seen(vfu_setup_device_dma(fake_ctx, 16, NULL, NULL), 16, NULL, NULL);
}

static void dma_setup_has_an_address(void **state)
{
    int (*f)(vfu_ctx_t *, size_t, vfu_dma_register_cb_t *, vfu_dma_unregister_cb_t *);

    (void)state;
    f = vfu_setup_device_dma;
    assert_seen(f(fake_ctx, 3, on_map, NULL), 3, on_map, NULL);
    f = &vfu_setup_device_dma;
    assert_seen(f(fake_ctx, 4, on_map, NULL), 4, on_map, NULL);
    assert_seen((vfu_setup_device_dma)(fake_ctx, 5, NULL, on_unmap), 5, NULL, on_unmap);
}

static void cxx_programs_have_both_forms_and_the_address(void **state)
{
    (void)state;
    assert_seen(cxx_three_arguments(fake_ctx, on_map, on_unmap), 1000000, on_map,
                on_unmap);
    assert_seen(cxx_four_arguments(fake_ctx, 16, on_map, on_unmap), 16, on_map, on_unmap);
    assert_seen(cxx_by_address(fake_ctx, 3, on_map, NULL), 3, on_map, NULL);
}

static dma_sg_t *const fake_sgl = (dma_sg_t *)&transfer;
static char data[8];

static void assert_transfer(int result, char which, size_t sg_cnt, int flags)
{
    assert_int_equal(result, which == 'r' ? 17 : 18);
    assert_int_equal(transfer.which, which);
    assert_ptr_equal(transfer.ctx, fake_ctx);
    assert_ptr_equal(transfer.sgl, fake_sgl);
    assert_int_equal(transfer.sg_cnt, sg_cnt);
    assert_ptr_equal(transfer.data, data);
    assert_int_equal(transfer.flags, flags);
    memset(&transfer, 0, sizeof(transfer));
}

static void transfers_take_four_or_five_arguments(void **state)
{
    (void)state;
    assert_transfer(vfu_sgl_read(fake_ctx, fake_sgl, 2, data), 'r', 2, 0);
    assert_transfer(vfu_sgl_read(fake_ctx, fake_sgl, 3, data, VFU_SGL_DIRECT_ACCESS), 'r', 3,
                    1);
    assert_transfer(vfu_sgl_write(fake_ctx, fake_sgl, 4, data), 'w', 4, 0);
    assert_transfer(vfu_sgl_write(fake_ctx, fake_sgl, 5, data, -2), 'w', 5, -2);
}

static void transfers_have_addresses(void **state)
{
    int (*f)(vfu_ctx_t *, dma_sg_t *, size_t, void *, int) = vfu_sgl_read;
    int (*g)(vfu_ctx_t *, dma_sg_t *, size_t, void *, int) = &vfu_sgl_write;

    (void)state;
    assert_transfer(f(fake_ctx, fake_sgl, 1, data, 5), 'r', 1, 5);
    assert_transfer((*g)(fake_ctx, fake_sgl, 1, data, 6), 'w', 1, 6);
    assert_transfer((vfu_sgl_read)(fake_ctx, fake_sgl, 1, data, 7), 'r', 1, 7);
    assert_transfer((&vfu_sgl_write)(fake_ctx, fake_sgl, 1, data, 8), 'w', 1, 8);
}

#define TWO_ARGUMENTS 9, data

/* Commas count where the language counts them: not within parentheses, and after
 * macros among the arguments have become what they stand for. */
static void arguments_are_counted_as_the_language_does(void **state)
{
    int evaluated = 0;

    (void)state;
    assert_transfer(vfu_sgl_read(fake_ctx, (evaluated++, fake_sgl), 1, data), 'r', 1, 0);
    assert_transfer(vfu_sgl_read(fake_ctx, fake_sgl, ((const size_t[]){ 4, 5 })[1], data, 2),
                    'r', 5, 2);
    assert_transfer(vfu_sgl_write(fake_ctx, fake_sgl, TWO_ARGUMENTS), 'w', 9, 0);
    assert_transfer(vfu_sgl_write(fake_ctx, fake_sgl, TWO_ARGUMENTS, 3), 'w', 9, 3);
    assert_transfer(vfu_sgl_read(fake_ctx, fake_sgl,
                                 (size_t)vfu_sgl_read(fake_ctx, fake_sgl, 1, data), data),
                    'r', 17, 0);
    assert_seen(vfu_setup_device_dma(fake_ctx, (evaluated++, NULL), on_unmap), 1000000, NULL,
                on_unmap);
    assert_int_equal(evaluated, 2);
    if (!vfu_sgl_read(fake_ctx, fake_sgl, 1, data))
        fail_msg("an expression like any other");
    else
        assert_transfer(vfu_sgl_write(fake_ctx, fake_sgl, 1, data), 'w', 1, 0);
}

static void cxx_programs_have_both_forms_of_transfers(void **state)
{
    (void)state;
    assert_transfer(cxx_read(fake_ctx, fake_sgl, 2, data), 'r', 2, 0);
    assert_transfer(cxx_read_flags(fake_ctx, fake_sgl, 3, data, 4), 'r', 3, 4);
    assert_transfer(cxx_write(fake_ctx, fake_sgl, 5, data), 'w', 5, 0);
    assert_transfer(cxx_write_flags(fake_ctx, fake_sgl, 6, data, 7), 'w', 6, 7);
    assert_transfer(cxx_read_by_address(fake_ctx, fake_sgl, 8, data, 9), 'r', 8, 9);
}

static void numbers_are_the_published_ones(void **state)
{
    static const struct {
        const char *name;
        long long is, want;
    } numbers[] = {
#define N(name, want) { #name, (long long)(name), want }
        N(LIB_VFIO_USER_MAJOR, 0), N(LIB_VFIO_USER_MINOR, 2),
        N(LIBVFIO_USER_FLAG_ATTACH_NB, 1), N(VFU_REGION_FLAG_READ, 1),
        N(VFU_REGION_FLAG_WRITE, 2), N(VFU_REGION_FLAG_RW, 3),
        N(VFU_REGION_FLAG_MEM, 4), N(VFU_REGION_FLAG_ALWAYS_CB, 8),
        N(VFU_REGION_FLAG_64_BITS, 16), N(VFU_REGION_FLAG_PREFETCH, 32),
        N(VFU_REGION_FLAG_MASK, 0x3f), N(LIBVFIO_USER_MAX_DMA_REGIONS, 1000000),
        N(VFU_MIGR_CALLBACKS_VERS, 2), N(VFU_SGL_DIRECT_ACCESS, 1),
        N(VFU_CAP_FLAG_EXTENDED, 1), N(VFU_CAP_FLAG_CALLBACK, 2),
        N(VFU_CAP_FLAG_READONLY, 4), N(VFU_EXTENSIONS, 1),
        N(VFU_MIGR_STATE_RUNNING_P2P, 5), N(VFU_MIGR_STATE_PRE_COPY_P2P, 6),
        N(VFU_TIMEOUT_VERSION, 0), N(VFU_TIMEOUT_STALL, 1), N(VFU_TIMEOUT_SLOW, 2),
        N(VFU_TIMEOUT_DMA, 3),
        N(VFU_TRANS_SOCK, 0), N(VFU_TRANS_PIPE, 1), N(VFU_TRANS_MAX, 2),
        N(VFU_DEV_TYPE_PCI, 0),
        N(VFU_RESET_DEVICE, 0), N(VFU_RESET_LOST_CONN, 1), N(VFU_RESET_PCI_FLR, 2),
        N(VFU_DEV_INTX_IRQ, 0), N(VFU_DEV_MSI_IRQ, 1), N(VFU_DEV_MSIX_IRQ, 2),
        N(VFU_DEV_ERR_IRQ, 3), N(VFU_DEV_REQ_IRQ, 4), N(VFU_DEV_NUM_IRQS, 5),
        N(VFU_MIGR_STATE_STOP, 0), N(VFU_MIGR_STATE_RUNNING, 1),
        N(VFU_MIGR_STATE_STOP_AND_COPY, 2), N(VFU_MIGR_STATE_PRE_COPY, 3),
        N(VFU_MIGR_STATE_RESUME, 4),
        N(VFU_PCI_DEV_BAR0_REGION_IDX, 0), N(VFU_PCI_DEV_BAR1_REGION_IDX, 1),
        N(VFU_PCI_DEV_BAR2_REGION_IDX, 2), N(VFU_PCI_DEV_BAR3_REGION_IDX, 3),
        N(VFU_PCI_DEV_BAR4_REGION_IDX, 4), N(VFU_PCI_DEV_BAR5_REGION_IDX, 5),
        N(VFU_PCI_DEV_ROM_REGION_IDX, 6), N(VFU_PCI_DEV_CFG_REGION_IDX, 7),
        N(VFU_PCI_DEV_VGA_REGION_IDX, 8), N(VFU_PCI_DEV_NUM_REGIONS, 9),
        N(VFU_PCI_TYPE_CONVENTIONAL, 0), N(VFU_PCI_TYPE_PCI_X_1, 1),
        N(VFU_PCI_TYPE_PCI_X_2, 2), N(VFU_PCI_TYPE_EXPRESS, 3),
        N(VFU_GENERIC_DEV_MIGR_REGION_IDX, 0), N(VFU_GENERIC_DEV_NUM_REGIONS, 1),
        N(PCI_BASE_ADDRESS_MEM_TYPE_LOCATABLE_32, 0),
        N(PCI_BASE_ADDRESS_MEM_TYPE_LOCATABLE_1M, 1),
        N(PCI_BASE_ADDRESS_MEM_TYPE_LOCATABLE_64, 2), N(PCI_BARS_NR, 6),
        N(VFIO_USER_PCI_CAP_MSI_SIZEOF, 0x18), N(VFIO_USER_PCI_CAP_EXP_SIZEOF, 0x3c),
        N(VFIO_USER_DEFAULT_MAX_DATA_XFER_SIZE, 1048576),
        N(VFIO_USER_VERSION, 1), N(VFIO_USER_DMA_MAP, 2), N(VFIO_USER_DMA_UNMAP, 3),
        N(VFIO_USER_DEVICE_GET_INFO, 4), N(VFIO_USER_DEVICE_GET_REGION_INFO, 5),
        N(VFIO_USER_DEVICE_GET_REGION_IO_FDS, 6), N(VFIO_USER_DEVICE_GET_IRQ_INFO, 7),
        N(VFIO_USER_DEVICE_SET_IRQS, 8), N(VFIO_USER_REGION_READ, 9),
        N(VFIO_USER_REGION_WRITE, 10), N(VFIO_USER_DMA_READ, 11),
        N(VFIO_USER_DMA_WRITE, 12), N(VFIO_USER_DEVICE_RESET, 13),
        N(VFIO_USER_REGION_WRITE_MULTI, 15), N(VFIO_USER_DEVICE_FEATURE, 16),
        N(VFIO_USER_MIG_DATA_READ, 17), N(VFIO_USER_MIG_DATA_WRITE, 18),
        N(VFIO_USER_MAX, 19),
        N(VFIO_USER_MESSAGE_COMMAND, 0), N(VFIO_USER_MESSAGE_REPLY, 1),
        N(VFIO_USER_FLAGS_NO_REPLY, 1), N(VFIO_USER_F_TYPE_MASK, 0xf),
        N(VFIO_USER_F_TYPE_COMMAND, 0), N(VFIO_USER_F_TYPE_REPLY, 1),
        N(VFIO_USER_F_NO_REPLY, 0x10), N(VFIO_USER_F_ERROR, 0x20),
        N(VFIO_USER_F_DMA_REGION_READ, 1), N(VFIO_USER_F_DMA_REGION_WRITE, 2),
        N(VFIO_USER_F_DMA_REGION_MMAP, 4), N(VFIO_USER_F_DMA_REGION_FILE_IO, 8),
        N(VFIO_USER_IO_FD_TYPE_IOEVENTFD, 0), N(VFIO_USER_IO_FD_TYPE_IOREGIONFD, 1),
        N(VFIO_USER_IO_FD_TYPE_IOEVENTFD_SHADOW, 2),
        N(VFIO_USER_DEVICE_STATE_ERROR, 0), N(VFIO_USER_DEVICE_STATE_STOP, 1),
        N(VFIO_USER_DEVICE_STATE_RUNNING, 2), N(VFIO_USER_DEVICE_STATE_STOP_COPY, 3),
        N(VFIO_USER_DEVICE_STATE_RESUMING, 4), N(VFIO_USER_DEVICE_STATE_RUNNING_P2P, 5),
        N(VFIO_USER_DEVICE_STATE_PRE_COPY, 6),
        N(VFIO_USER_DEVICE_STATE_PRE_COPY_P2P, 7), N(VFIO_USER_DEVICE_NUM_STATES, 8),
        N(VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, 1), N(VFIO_DMA_UNMAP_FLAG_ALL, 2),
        N(VFIO_DEVICE_FEATURE_MASK, 0xffff), N(VFIO_DEVICE_FEATURE_GET, 1 << 16),
        N(VFIO_DEVICE_FEATURE_SET, 1 << 17), N(VFIO_DEVICE_FEATURE_PROBE, 1 << 18),
        N(VFIO_DEVICE_FEATURE_MIGRATION, 1), N(VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, 2),
        N(VFIO_DEVICE_FEATURE_DMA_LOGGING_START, 6),
        N(VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP, 7),
        N(VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, 8), N(VFIO_MIGRATION_STOP_COPY, 1),
        N(VFIO_MIGRATION_P2P, 2), N(VFIO_MIGRATION_PRE_COPY, 4),
#undef N
    };

    (void)state;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (numbers[i].is != numbers[i].want)
            fail_msg("%s is %lld", numbers[i].name, numbers[i].is);
    }
}

/* One field set to all ones must show as exactly these bits of the bytes. */
#define BITS(type, member, low, width) \
    do { \
        union { type t; uint64_t raw; } u = { .raw = 0 }; \
        unsigned int ones = ~0u; \
        uint64_t want = ((UINT64_C(1) << (width)) - 1) << (low); \
        u.t.member = ones; \
        if (u.raw != want) \
            fail_msg(#type "." #member ": %#llx, not %#llx", \
                     (unsigned long long)u.raw, (unsigned long long)want); \
    } while (0)

static void header_bit_fields_are_where_they_belong(void **state)
{
    (void)state;
    BITS(vfu_pci_hdr_id_t, vid, 0, 16);
    BITS(vfu_pci_hdr_id_t, did, 16, 16);
    BITS(vfu_pci_hdr_ss_t, vid, 0, 16);
    BITS(vfu_pci_hdr_ss_t, sid, 16, 16);
    BITS(vfu_pci_hdr_cc_t, pi, 0, 8);
    BITS(vfu_pci_hdr_cc_t, scc, 8, 8);
    BITS(vfu_pci_hdr_cc_t, bcc, 16, 8);
    BITS(vfu_pci_hdr_intr_t, iline, 0, 8);
    BITS(vfu_pci_hdr_intr_t, ipin, 8, 8);

    BITS(vfu_bar_t, mem.region_type, 0, 1);
    BITS(vfu_bar_t, mem.locatable, 1, 2);
    BITS(vfu_bar_t, mem.prefetchable, 3, 1);
    BITS(vfu_bar_t, mem.base_address, 4, 28);
    BITS(vfu_bar_t, io.region_type, 0, 1);
    BITS(vfu_bar_t, io.reserved, 1, 1);
    BITS(vfu_bar_t, io.base_address, 2, 30);

    BITS(vfu_pci_hdr_sts_t, res1, 0, 3);
    BITS(vfu_pci_hdr_sts_t, is, 3, 1);
    BITS(vfu_pci_hdr_sts_t, cl, 4, 1);
    BITS(vfu_pci_hdr_sts_t, c66, 5, 1);
    BITS(vfu_pci_hdr_sts_t, res2, 6, 1);
    BITS(vfu_pci_hdr_sts_t, fbc, 7, 1);
    BITS(vfu_pci_hdr_sts_t, dpd, 8, 1);
    BITS(vfu_pci_hdr_sts_t, devt, 9, 2);
    BITS(vfu_pci_hdr_sts_t, sta, 11, 1);
    BITS(vfu_pci_hdr_sts_t, rta, 12, 1);
    BITS(vfu_pci_hdr_sts_t, rma, 13, 1);
    BITS(vfu_pci_hdr_sts_t, sse, 14, 1);
    BITS(vfu_pci_hdr_sts_t, dpe, 15, 1);

    BITS(vfu_pci_hdr_cmd_t, iose, 0, 1);
    BITS(vfu_pci_hdr_cmd_t, mse, 1, 1);
    BITS(vfu_pci_hdr_cmd_t, bme, 2, 1);
    BITS(vfu_pci_hdr_cmd_t, sce, 3, 1);
    BITS(vfu_pci_hdr_cmd_t, mwie, 4, 1);
    BITS(vfu_pci_hdr_cmd_t, vga, 5, 1);
    BITS(vfu_pci_hdr_cmd_t, pee, 6, 1);
    BITS(vfu_pci_hdr_cmd_t, zero, 7, 1);
    BITS(vfu_pci_hdr_cmd_t, see, 8, 1);
    BITS(vfu_pci_hdr_cmd_t, fbe, 9, 1);
    BITS(vfu_pci_hdr_cmd_t, id, 10, 1);
    BITS(vfu_pci_hdr_cmd_t, res1, 11, 5);
}

static void capability_bit_fields_are_where_they_belong(void **state)
{
    (void)state;
    BITS(struct pcie_ext_cap_hdr, id, 0, 16);
    BITS(struct pcie_ext_cap_hdr, version, 16, 4);
    BITS(struct pcie_ext_cap_hdr, next, 20, 12);
    BITS(struct pcie_ext_cap_vsc_hdr, id, 32, 16);
    BITS(struct pcie_ext_cap_vsc_hdr, rev, 48, 4);
    BITS(struct pcie_ext_cap_vsc_hdr, len, 52, 12);

    BITS(struct mc, msie, 0, 1);
    BITS(struct mc, mmc, 1, 3);
    BITS(struct mc, mme, 4, 3);
    BITS(struct mc, c64, 7, 1);
    BITS(struct mc, pvm, 8, 1);
    BITS(struct mc, res1, 9, 7);
    BITS(struct ma, res1, 0, 2);
    BITS(struct ma, addr, 2, 30);
    BITS(struct mxc, ts, 0, 11);
    BITS(struct mxc, reserved, 11, 3);
    BITS(struct mxc, fm, 14, 1);
    BITS(struct mxc, mxe, 15, 1);
    BITS(struct mtab, tbir, 0, 3);
    BITS(struct mtab, to, 3, 29);
    BITS(struct mpba, pbir, 0, 3);
    BITS(struct mpba, pbao, 3, 29);

    BITS(struct pc, vs, 0, 3);
    BITS(struct pc, pmec, 3, 1);
    BITS(struct pc, res, 4, 1);
    BITS(struct pc, dsi, 5, 1);
    BITS(struct pc, auxc, 6, 3);
    BITS(struct pc, d1s, 9, 1);
    BITS(struct pc, d2s, 10, 1);
    BITS(struct pc, psup, 11, 5);
    BITS(struct pmcs, raw, 0, 16);
    BITS(struct pmcs, ps, 0, 2);
    BITS(struct pmcs, res1, 2, 1);
    BITS(struct pmcs, nsfrst, 3, 1);
    BITS(struct pmcs, res2, 4, 4);
    BITS(struct pmcs, pmee, 8, 1);
    BITS(struct pmcs, dse, 9, 4);
    BITS(struct pmcs, dsc, 13, 2);
    BITS(struct pmcs, pmes, 15, 1);
}

static void pcie_bit_fields_are_where_they_belong(void **state)
{
    (void)state;
    BITS(struct pxcaps, ver, 0, 4);
    BITS(struct pxcaps, dpt, 4, 4);
    BITS(struct pxcaps, si, 8, 1);
    BITS(struct pxcaps, imn, 9, 5);
    BITS(struct pxcaps, res1, 14, 2);

    BITS(struct pxdcap, mps, 0, 3);
    BITS(struct pxdcap, pfs, 3, 2);
    BITS(struct pxdcap, etfs, 5, 1);
    BITS(struct pxdcap, l0sl, 6, 3);
    BITS(struct pxdcap, l1l, 9, 3);
    BITS(struct pxdcap, res1, 12, 3);
    BITS(struct pxdcap, rer, 15, 1);
    BITS(struct pxdcap, res2, 16, 2);
    BITS(struct pxdcap, csplv, 18, 8);
    BITS(struct pxdcap, cspls, 26, 2);
    BITS(struct pxdcap, flrc, 28, 1);
    BITS(struct pxdcap, res3, 29, 3);

    BITS(union pxdc, cere, 0, 1);
    BITS(union pxdc, nfere, 1, 1);
    BITS(union pxdc, fere, 2, 1);
    BITS(union pxdc, urre, 3, 1);
    BITS(union pxdc, ero, 4, 1);
    BITS(union pxdc, mps, 5, 3);
    BITS(union pxdc, ete, 8, 1);
    BITS(union pxdc, pfe, 9, 1);
    BITS(union pxdc, appme, 10, 1);
    BITS(union pxdc, ens, 11, 1);
    BITS(union pxdc, mrrs, 12, 3);
    BITS(union pxdc, iflr, 15, 1);

    BITS(union pxlc, aspmc, 0, 2);
    BITS(union pxlc, rsvdp1, 2, 1);
    BITS(union pxlc, rcb, 3, 1);
    BITS(union pxlc, ld, 4, 1);
    BITS(union pxlc, rl, 5, 1);
    BITS(union pxlc, ccc, 6, 1);
    BITS(union pxlc, es, 7, 1);
    BITS(union pxlc, clkreq_en, 8, 1);
    BITS(union pxlc, hawd, 9, 1);
    BITS(union pxlc, lbmie, 10, 1);
    BITS(union pxlc, labie, 11, 1);
    BITS(union pxlc, rsvdp2, 12, 4);

    BITS(struct pxdcap2, ctrs, 0, 4);
    BITS(struct pxdcap2, ctds, 4, 1);
    BITS(struct pxdcap2, arifs, 5, 1);
    BITS(struct pxdcap2, aors, 6, 1);
    BITS(struct pxdcap2, aocs32, 7, 1);
    BITS(struct pxdcap2, aocs64, 8, 1);
    BITS(struct pxdcap2, ccs128, 9, 1);
    BITS(struct pxdcap2, nprpr, 10, 1);
    BITS(struct pxdcap2, ltrs, 11, 1);
    BITS(struct pxdcap2, tphcs, 12, 2);
    BITS(struct pxdcap2, ln, 14, 2);
    BITS(struct pxdcap2, tcs, 16, 1);
    BITS(struct pxdcap2, trs, 17, 1);
    BITS(struct pxdcap2, obffs, 18, 2);
    BITS(struct pxdcap2, effs, 20, 1);
    BITS(struct pxdcap2, eetps, 21, 1);
    BITS(struct pxdcap2, meetp, 22, 2);
    BITS(struct pxdcap2, eprs, 24, 2);
    BITS(struct pxdcap2, eprir, 26, 1);
    BITS(struct pxdcap2, res1, 27, 1);
    BITS(struct pxdcap2, dmwcs, 28, 1);
    BITS(struct pxdcap2, dmwls, 29, 2);
    BITS(struct pxdcap2, frss, 31, 1);

    BITS(union pxdc2, comp_timeout, 0, 4);
    BITS(union pxdc2, comp_timout_dis, 4, 1);
    BITS(union pxdc2, ari, 5, 1);
    BITS(union pxdc2, atomic_req, 6, 1);
    BITS(union pxdc2, atomic_egress_block, 7, 1);
    BITS(union pxdc2, ido_req_en, 8, 1);
    BITS(union pxdc2, ido_cmp_en, 9, 1);
    BITS(union pxdc2, ltr_en, 10, 1);
    BITS(union pxdc2, obff_en, 11, 2);
    BITS(union pxdc2, end_end_tlp_prefix_block, 13, 1);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(dma_setup_takes_three_or_four_arguments),
    cmocka_unit_test(dma_setup_has_an_address),
    cmocka_unit_test(cxx_programs_have_both_forms_and_the_address),
    cmocka_unit_test(transfers_take_four_or_five_arguments),
    cmocka_unit_test(transfers_have_addresses),
    cmocka_unit_test(arguments_are_counted_as_the_language_does),
    cmocka_unit_test(cxx_programs_have_both_forms_of_transfers),
    cmocka_unit_test(numbers_are_the_published_ones),
    cmocka_unit_test(header_bit_fields_are_where_they_belong),
    cmocka_unit_test(capability_bit_fields_are_where_they_belong),
    cmocka_unit_test(pcie_bit_fields_are_where_they_belong),
};

VU_TEST_MAIN(tests)
