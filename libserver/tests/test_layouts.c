/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The binary interface of the public headers: the size and alignment of each type, the
 * place of each field, the type of each function, typed line by line from the published
 * interface and not from the headers, which assert some of it themselves.
 *
 * Bits and numbers are test_headers.c's.
 */
#include "wire/tests/support.h"

#include "libvfio-user.h"

struct number {
    const char *name;
    size_t is, want;
};

#define SIZE(type, size, align) \
    { "sizeof " #type, sizeof(type), size }, \
    { "_Alignof " #type, _Alignof(type), align }
#define AT(type, member, offset) \
    { "offset of " #type "." #member, offsetof(type, member), offset }
#define WIDE(type, member, size) \
    { "sizeof " #type "." #member, sizeof(((type *)0)->member), size }

static void compare(const struct number *numbers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (numbers[i].is != numbers[i].want)
            fail_msg("%s is %zu, not %zu", numbers[i].name, numbers[i].is,
                     numbers[i].want);
    }
}

#define COMPARE(numbers) compare(numbers, sizeof(numbers) / sizeof((numbers)[0]))

static void types_of_the_library_have_their_sizes(void **state)
{
    static const struct number numbers[] = {
        SIZE(vfu_trans_t, 4, 4), SIZE(vfu_dev_type_t, 4, 4), SIZE(vfu_reset_type_t, 4, 4),
        SIZE(enum vfu_reset_type, 4, 4), SIZE(enum vfu_dev_irq_type, 4, 4),
        SIZE(vfu_migr_state_t, 4, 4), SIZE(vfu_pci_type_t, 4, 4),
        SIZE(vfu_dma_addr_t, 8, 8),
        SIZE(enum vfio_user_command, 4, 4), SIZE(enum vfio_user_message_type, 4, 4),
        SIZE(enum vfio_user_device_mig_state, 4, 4),

        SIZE(vfu_dma_info_t, 56, 8), SIZE(struct vfu_dma_info, 56, 8),
        AT(vfu_dma_info_t, iova, 0), AT(vfu_dma_info_t, vaddr, 16),
        AT(vfu_dma_info_t, mapping, 24), AT(vfu_dma_info_t, page_size, 40),
        AT(vfu_dma_info_t, prot, 48),
        WIDE(vfu_dma_info_t, iova, 16), WIDE(vfu_dma_info_t, vaddr, 8),
        WIDE(vfu_dma_info_t, mapping, 16), WIDE(vfu_dma_info_t, page_size, 8),
        WIDE(vfu_dma_info_t, prot, 4),

        SIZE(vfu_migration_callbacks_t, 32, 8),
        AT(vfu_migration_callbacks_t, version, 0),
        AT(vfu_migration_callbacks_t, transition, 8),
        AT(vfu_migration_callbacks_t, read_data, 16),
        AT(vfu_migration_callbacks_t, write_data, 24),
        WIDE(vfu_migration_callbacks_t, version, 4),
    };

    (void)state;
    COMPARE(numbers);
}

static void messages_have_their_layouts(void **state)
{
    static const struct number numbers[] = {
        SIZE(struct vfio_user_header, 16, 1),
        AT(struct vfio_user_header, msg_id, 0), AT(struct vfio_user_header, cmd, 2),
        AT(struct vfio_user_header, msg_size, 4), AT(struct vfio_user_header, flags, 8),
        AT(struct vfio_user_header, error_no, 12),

        SIZE(struct vfio_user_version, 4, 1),
        AT(struct vfio_user_version, major, 0), AT(struct vfio_user_version, minor, 2),
        AT(struct vfio_user_version, data, 4),

        SIZE(struct vfio_user_device_info, 16, 1),
        AT(struct vfio_user_device_info, argsz, 0),
        AT(struct vfio_user_device_info, flags, 4),
        AT(struct vfio_user_device_info, num_regions, 8),
        AT(struct vfio_user_device_info, num_irqs, 12),

        SIZE(struct vfio_user_bitmap, 16, 1),
        AT(struct vfio_user_bitmap, pgsize, 0), AT(struct vfio_user_bitmap, size, 8),
        AT(struct vfio_user_bitmap, data, 16),

        SIZE(struct vfio_user_dma_map, 32, 1),
        AT(struct vfio_user_dma_map, argsz, 0), AT(struct vfio_user_dma_map, flags, 4),
        AT(struct vfio_user_dma_map, offset, 8), AT(struct vfio_user_dma_map, addr, 16),
        AT(struct vfio_user_dma_map, size, 24),

        SIZE(struct vfio_user_dma_unmap, 24, 8),
        AT(struct vfio_user_dma_unmap, argsz, 0), AT(struct vfio_user_dma_unmap, flags, 4),
        AT(struct vfio_user_dma_unmap, addr, 8), AT(struct vfio_user_dma_unmap, size, 16),
        AT(struct vfio_user_dma_unmap, bitmap, 24),

        SIZE(struct vfio_user_region_access, 16, 1),
        AT(struct vfio_user_region_access, offset, 0),
        AT(struct vfio_user_region_access, region, 8),
        AT(struct vfio_user_region_access, count, 12),
        AT(struct vfio_user_region_access, data, 16),

        SIZE(struct vfio_user_dma_region_access, 16, 1),
        AT(struct vfio_user_dma_region_access, addr, 0),
        AT(struct vfio_user_dma_region_access, count, 8),
        AT(struct vfio_user_dma_region_access, data, 16),

        SIZE(struct vfio_user_irq_info, 4, 1), AT(struct vfio_user_irq_info, subindex, 0),

        SIZE(vfio_user_region_io_fds_request_t, 16, 1),
        SIZE(struct vfio_user_region_io_fds_request, 16, 1),
        AT(vfio_user_region_io_fds_request_t, argsz, 0),
        AT(vfio_user_region_io_fds_request_t, flags, 4),
        AT(vfio_user_region_io_fds_request_t, index, 8),
        AT(vfio_user_region_io_fds_request_t, count, 12),

        SIZE(vfio_user_sub_region_ioeventfd_t, 48, 1),
        SIZE(struct vfio_user_sub_region_ioeventfd, 48, 1),
        AT(vfio_user_sub_region_ioeventfd_t, gpa_offset, 0),
        AT(vfio_user_sub_region_ioeventfd_t, size, 8),
        AT(vfio_user_sub_region_ioeventfd_t, fd_index, 16),
        AT(vfio_user_sub_region_ioeventfd_t, type, 20),
        AT(vfio_user_sub_region_ioeventfd_t, flags, 24),
        AT(vfio_user_sub_region_ioeventfd_t, shadow_mem_fd_index, 28),
        AT(vfio_user_sub_region_ioeventfd_t, shadow_offset, 32),
        AT(vfio_user_sub_region_ioeventfd_t, datamatch, 40),

        SIZE(vfio_user_sub_region_ioregionfd_t, 40, 1),
        SIZE(struct vfio_user_sub_region_ioregionfd, 40, 1),
        AT(vfio_user_sub_region_ioregionfd_t, offset, 0),
        AT(vfio_user_sub_region_ioregionfd_t, size, 8),
        AT(vfio_user_sub_region_ioregionfd_t, fd_index, 16),
        AT(vfio_user_sub_region_ioregionfd_t, type, 20),
        AT(vfio_user_sub_region_ioregionfd_t, flags, 24),
        AT(vfio_user_sub_region_ioregionfd_t, padding, 28),
        AT(vfio_user_sub_region_ioregionfd_t, user_data, 32),

        SIZE(vfio_user_region_io_fds_reply_t, 16, 1),
        SIZE(struct vfio_user_region_io_fds_reply, 16, 1),
        AT(vfio_user_region_io_fds_reply_t, argsz, 0),
        AT(vfio_user_region_io_fds_reply_t, flags, 4),
        AT(vfio_user_region_io_fds_reply_t, index, 8),
        AT(vfio_user_region_io_fds_reply_t, count, 12),
        AT(vfio_user_region_io_fds_reply_t, sub_regions, 16),
        AT(vfio_user_region_io_fds_reply_t, sub_regions[1].ioeventfd, 64),
        AT(vfio_user_region_io_fds_reply_t, sub_regions[1].ioregionfd, 64),
        SIZE(union sub_region, 48, 1),
    };

    (void)state;
    COMPARE(numbers);
}

static void messages_of_device_features_have_their_layouts(void **state)
{
    static const struct number numbers[] = {
        SIZE(struct vfio_user_device_feature_dma_logging_range, 16, 1),
        AT(struct vfio_user_device_feature_dma_logging_range, iova, 0),
        AT(struct vfio_user_device_feature_dma_logging_range, length, 8),

        SIZE(struct vfio_user_device_feature_dma_logging_control, 16, 1),
        AT(struct vfio_user_device_feature_dma_logging_control, page_size, 0),
        AT(struct vfio_user_device_feature_dma_logging_control, num_ranges, 8),
        AT(struct vfio_user_device_feature_dma_logging_control, reserved, 12),
        AT(struct vfio_user_device_feature_dma_logging_control, ranges, 16),

        SIZE(struct vfio_user_device_feature_dma_logging_report, 24, 1),
        AT(struct vfio_user_device_feature_dma_logging_report, iova, 0),
        AT(struct vfio_user_device_feature_dma_logging_report, length, 8),
        AT(struct vfio_user_device_feature_dma_logging_report, page_size, 16),
        AT(struct vfio_user_device_feature_dma_logging_report, bitmap, 24),

        SIZE(struct vfio_user_device_feature, 8, 1),
        AT(struct vfio_user_device_feature, argsz, 0),
        AT(struct vfio_user_device_feature, flags, 4),
        AT(struct vfio_user_device_feature, data, 8),

        SIZE(struct vfio_user_device_feature_migration, 8, 1),
        AT(struct vfio_user_device_feature_migration, flags, 0),
        WIDE(struct vfio_user_device_feature_migration, flags, 8),

        SIZE(struct vfio_user_device_feature_mig_state, 8, 1),
        AT(struct vfio_user_device_feature_mig_state, device_state, 0),
        AT(struct vfio_user_device_feature_mig_state, data_fd, 4),

        SIZE(struct vfio_user_mig_data, 8, 1),
        AT(struct vfio_user_mig_data, argsz, 0), AT(struct vfio_user_mig_data, size, 4),
        AT(struct vfio_user_mig_data, data, 8),
    };

    (void)state;
    COMPARE(numbers);
}

static void configuration_space_has_its_layout(void **state)
{
    static const struct number numbers[] = {
        SIZE(vfu_pci_hdr_ss_t, 4, 1), WIDE(vfu_pci_hdr_ss_t, raw, 4),
        AT(vfu_pci_hdr_ss_t, vid, 0), AT(vfu_pci_hdr_ss_t, sid, 2),
        SIZE(vfu_pci_hdr_bist_t, 1, 1), WIDE(vfu_pci_hdr_bist_t, raw, 1),
        SIZE(vfu_bar_t, 4, 1), WIDE(vfu_bar_t, raw, 4), WIDE(vfu_bar_t, mem, 4),
        WIDE(vfu_bar_t, io, 4),
        SIZE(vfu_pci_hdr_htype_t, 1, 1), WIDE(vfu_pci_hdr_htype_t, raw, 1),
        SIZE(vfu_pci_hdr_cc_t, 3, 1), WIDE(vfu_pci_hdr_cc_t, raw, 3),
        AT(vfu_pci_hdr_cc_t, pi, 0), AT(vfu_pci_hdr_cc_t, scc, 1),
        AT(vfu_pci_hdr_cc_t, bcc, 2),
        SIZE(vfu_pci_hdr_sts_t, 2, 1), WIDE(vfu_pci_hdr_sts_t, raw, 2),
        SIZE(vfu_pci_hdr_cmd_t, 2, 1), WIDE(vfu_pci_hdr_cmd_t, raw, 2),
        SIZE(vfu_pci_hdr_id_t, 4, 1), WIDE(vfu_pci_hdr_id_t, raw, 4),
        AT(vfu_pci_hdr_id_t, vid, 0), AT(vfu_pci_hdr_id_t, did, 2),
        SIZE(vfu_pci_hdr_intr_t, 2, 1), WIDE(vfu_pci_hdr_intr_t, raw, 2),
        AT(vfu_pci_hdr_intr_t, iline, 0), AT(vfu_pci_hdr_intr_t, ipin, 1),

        SIZE(vfu_pci_hdr_t, 64, 1), WIDE(vfu_pci_hdr_t, raw, 64),
        AT(vfu_pci_hdr_t, id, 0), AT(vfu_pci_hdr_t, cmd, 4), AT(vfu_pci_hdr_t, sts, 6),
        AT(vfu_pci_hdr_t, rid, 8), AT(vfu_pci_hdr_t, cc, 9), AT(vfu_pci_hdr_t, cls, 12),
        AT(vfu_pci_hdr_t, mlt, 13), AT(vfu_pci_hdr_t, htype, 14),
        AT(vfu_pci_hdr_t, bist, 15), AT(vfu_pci_hdr_t, bars, 16),
        WIDE(vfu_pci_hdr_t, bars, 24), AT(vfu_pci_hdr_t, ccptr, 40),
        WIDE(vfu_pci_hdr_t, ccptr, 4), AT(vfu_pci_hdr_t, ss, 44),
        AT(vfu_pci_hdr_t, erom, 48), WIDE(vfu_pci_hdr_t, erom, 4),
        AT(vfu_pci_hdr_t, cap, 52), AT(vfu_pci_hdr_t, res1, 53),
        WIDE(vfu_pci_hdr_t, res1, 7), AT(vfu_pci_hdr_t, intr, 60),
        AT(vfu_pci_hdr_t, mgnt, 62), AT(vfu_pci_hdr_t, mlat, 63),

        SIZE(vfu_pci_config_space_t, 256, 1), WIDE(vfu_pci_config_space_t, raw, 256),
        AT(vfu_pci_config_space_t, hdr, 0), AT(vfu_pci_config_space_t, extended, 256),
    };

    (void)state;
    COMPARE(numbers);
}

static void capabilities_have_their_layouts(void **state)
{
    static const struct number numbers[] = {
        SIZE(struct cap_hdr, 2, 1), AT(struct cap_hdr, id, 0), AT(struct cap_hdr, next, 1),
        SIZE(struct vsc, 3, 1), AT(struct vsc, hdr, 0), AT(struct vsc, size, 2),
        AT(struct vsc, data, 3),
        { "pcie_ext_cap_hdr", sizeof(struct pcie_ext_cap_hdr), 4 },
        { "pcie_ext_cap_vsc_hdr", sizeof(struct pcie_ext_cap_vsc_hdr), 8 },
        AT(struct pcie_ext_cap_vsc_hdr, hdr, 0), AT(struct pcie_ext_cap_vsc_hdr, data, 8),

        { "dsncap", sizeof(struct dsncap), 12 }, AT(struct dsncap, hdr, 0),
        AT(struct dsncap, sn_lo, 4), AT(struct dsncap, sn_hi, 8),

        { "mc", sizeof(struct mc), 2 }, { "ma", sizeof(struct ma), 4 },
        { "msicap", sizeof(struct msicap), 24 }, AT(struct msicap, hdr, 0),
        AT(struct msicap, mc, 2), AT(struct msicap, ma, 4), AT(struct msicap, mua, 8),
        AT(struct msicap, md, 12), AT(struct msicap, padding, 14),
        AT(struct msicap, mmask, 16), AT(struct msicap, mpend, 20),

        { "mxc", sizeof(struct mxc), 2 }, { "mtab", sizeof(struct mtab), 4 },
        { "mpba", sizeof(struct mpba), 4 }, SIZE(struct msixcap, 12, 4),
        AT(struct msixcap, hdr, 0), AT(struct msixcap, mxc, 2),
        AT(struct msixcap, mtab, 4),
        AT(struct msixcap, mpba, 8),

        { "pc", sizeof(struct pc), 2 }, { "pmcs", sizeof(struct pmcs), 2 },
        { "pmcap", sizeof(struct pmcap), 8 }, AT(struct pmcap, hdr, 0),
        AT(struct pmcap, pc, 2), AT(struct pmcap, pmcs, 4), AT(struct pmcap, pmcsr_bse, 6),
        AT(struct pmcap, data, 7),
    };

    (void)state;
    COMPARE(numbers);
}

static void the_pcie_capability_has_its_layout(void **state)
{
    static const struct number numbers[] = {
        SIZE(struct pxcaps, 2, 1), SIZE(struct pxdcap, 4, 1), SIZE(union pxdc, 2, 1),
        SIZE(struct pxds, 2, 1), SIZE(struct pxlcap, 4, 1), SIZE(union pxlc, 2, 1),
        SIZE(struct pxls, 2, 1), SIZE(struct pxscap, 4, 1), SIZE(struct pxsc, 2, 1),
        SIZE(struct pxss, 2, 1), SIZE(struct pxrc, 2, 1), SIZE(struct pxrcap, 2, 1),
        SIZE(struct pxrs, 4, 1), SIZE(struct pxdcap2, 4, 1), SIZE(union pxdc2, 2, 1),
        SIZE(struct pxds2, 2, 1), SIZE(struct pxlcap2, 4, 1), SIZE(struct pxlc2, 2, 1),
        SIZE(struct pxls2, 2, 1), SIZE(struct pxscap2, 4, 1), SIZE(struct pxsc2, 2, 1),
        SIZE(struct pxss2, 2, 1), WIDE(union pxdc, raw, 2), WIDE(union pxlc, raw, 2),
        WIDE(union pxdc2, raw, 2),

        SIZE(struct pxcap, 60, 1), AT(struct pxcap, hdr, 0), AT(struct pxcap, pxcaps, 2),
        AT(struct pxcap, pxdcap, 4), AT(struct pxcap, pxdc, 8),
        AT(struct pxcap, pxds, 10), AT(struct pxcap, pxlcap, 12),
        AT(struct pxcap, pxlc, 16), AT(struct pxcap, pxls, 18),
        AT(struct pxcap, pxscap, 20), AT(struct pxcap, pxsc, 24),
        AT(struct pxcap, pxss, 26), AT(struct pxcap, pxrc, 28),
        AT(struct pxcap, pxrcap, 30), AT(struct pxcap, pxrs, 32),
        AT(struct pxcap, pxdcap2, 36), AT(struct pxcap, pxdc2, 40),
        AT(struct pxcap, pxds2, 42), AT(struct pxcap, pxlcap2, 44),
        AT(struct pxcap, pxlc2, 48), AT(struct pxcap, pxls2, 50),
        AT(struct pxcap, pxscap2, 52), AT(struct pxcap, pxsc2, 56),
        AT(struct pxcap, pxss2, 58),
    };
    /* Registers that the library knows as a whole: each bit is in one field. */
    union {
        struct { struct pxds ds; struct pxls ls; struct pxsc sc; struct pxss ss;
                 struct pxrc rc; struct pxrcap rcap; struct pxds2 ds2; struct pxlc2 lc2;
                 struct pxls2 ls2; struct pxsc2 sc2; struct pxss2 ss2; } f;
        uint16_t raw[11];
    } half = { .raw = { 0 } };
    union {
        struct { struct pxlcap lcap; struct pxscap scap; struct pxrs rs;
                 struct pxlcap2 lcap2; struct pxscap2 scap2; } f;
        uint32_t raw[5];
    } whole = { .raw = { 0 } };

    (void)state;
    COMPARE(numbers);
    half.f.ds.stuff = half.f.ls.stuff = half.f.sc.stuff = half.f.ss.stuff =
        half.f.rc.stuff = half.f.rcap.stuff = half.f.ds2.stuff = half.f.lc2.stuff =
        half.f.ls2.stuff = half.f.sc2.stuff = half.f.ss2.stuff = 0xffff;
    for (size_t i = 0; i < 11; i++)
        assert_int_equal(half.raw[i], 0xffff);
    whole.f.lcap.stuff = whole.f.scap.stuff = whole.f.rs.stuff = whole.f.lcap2.stuff =
        whole.f.scap2.stuff = 0xffffffff;
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(whole.raw[i], 0xffffffff);
}

/* A name that is a type of its own, not one that converts to it. */
#define IS(name, ...) \
    _Static_assert(__builtin_types_compatible_p(__typeof__(&name), __VA_ARGS__), #name)
#define TYPE_IS(name, ...) \
    _Static_assert(__builtin_types_compatible_p(name *, __VA_ARGS__), #name)

TYPE_IS(vfu_log_fn_t, void (*)(vfu_ctx_t *, int, const char *));
TYPE_IS(vfu_region_access_cb_t, ssize_t (*)(vfu_ctx_t *, char *, size_t, loff_t, bool));
TYPE_IS(vfu_device_quiesce_cb_t, int (*)(vfu_ctx_t *));
TYPE_IS(vfu_reset_cb_t, int (*)(vfu_ctx_t *, vfu_reset_type_t));
TYPE_IS(vfu_dma_register_cb_t, void (*)(vfu_ctx_t *, vfu_dma_info_t *));
TYPE_IS(vfu_dma_unregister_cb_t, void (*)(vfu_ctx_t *, vfu_dma_info_t *));
TYPE_IS(vfu_dev_irq_state_cb_t, void (*)(vfu_ctx_t *, uint32_t, uint32_t, bool));
TYPE_IS(vfu_dma_addr_t, void **);
TYPE_IS(vfu_ctx_t, struct vfu_ctx *);
TYPE_IS(dma_sg_t, struct dma_sg *);

IS(dma_sg_size, size_t (*)(void));
IS(vfu_addr_to_sgl, int (*)(vfu_ctx_t *, vfu_dma_addr_t, size_t, dma_sg_t *, size_t,
                            int));
IS(vfu_attach_ctx, int (*)(vfu_ctx_t *));
IS(vfu_create_ctx, vfu_ctx_t *(*)(vfu_trans_t, const char *, int, void *,
                                  vfu_dev_type_t));
IS(vfu_create_ioeventfd, int (*)(vfu_ctx_t *, uint32_t, int, size_t, uint32_t, uint32_t,
                                 uint64_t, int, size_t));
IS(vfu_destroy_ctx, void (*)(vfu_ctx_t *));
IS(vfu_device_quiesced, int (*)(vfu_ctx_t *, int));
IS(vfu_get_poll_fd, int (*)(vfu_ctx_t *));
IS(vfu_get_private, void *(*)(vfu_ctx_t *));
IS(vfu_irq_trigger, int (*)(vfu_ctx_t *, uint32_t));
IS(vfu_log, void (*)(vfu_ctx_t *, int, const char *, ...));
IS(vfu_pci_add_capability, ssize_t (*)(vfu_ctx_t *, size_t, int, void *));
IS(vfu_pci_find_capability, size_t (*)(vfu_ctx_t *, bool, int));
IS(vfu_pci_find_next_capability, size_t (*)(vfu_ctx_t *, bool, size_t, int));
IS(vfu_pci_get_config_space, vfu_pci_config_space_t *(*)(vfu_ctx_t *));
IS(vfu_pci_init, int (*)(vfu_ctx_t *, vfu_pci_type_t, int, int));
IS(vfu_pci_set_class, void (*)(vfu_ctx_t *, uint8_t, uint8_t, uint8_t));
IS(vfu_pci_set_id, void (*)(vfu_ctx_t *, uint16_t, uint16_t, uint16_t, uint16_t));
IS(vfu_realize_ctx, int (*)(vfu_ctx_t *));
IS(vfu_run_ctx, int (*)(vfu_ctx_t *));
IS(vfu_setup_device_dma, int (*)(vfu_ctx_t *, size_t, vfu_dma_register_cb_t *,
                                 vfu_dma_unregister_cb_t *));
IS(vfu_setup_device_migration_callbacks, int (*)(vfu_ctx_t *,
                                                 const vfu_migration_callbacks_t *));
IS(vfu_setup_device_nr_irqs, int (*)(vfu_ctx_t *, enum vfu_dev_irq_type, uint32_t));
IS(vfu_setup_device_quiesce_cb, void (*)(vfu_ctx_t *, vfu_device_quiesce_cb_t *));
IS(vfu_setup_device_reset_cb, int (*)(vfu_ctx_t *, vfu_reset_cb_t *));
IS(vfu_setup_irq_state_callback, int (*)(vfu_ctx_t *, enum vfu_dev_irq_type,
                                         vfu_dev_irq_state_cb_t *));
IS(vfu_setup_log, int (*)(vfu_ctx_t *, vfu_log_fn_t *, int));
IS(vfu_setup_region, int (*)(vfu_ctx_t *, int, size_t, vfu_region_access_cb_t *, int,
                             struct iovec *, uint32_t, int, uint64_t));
IS(vfu_sg_is_mappable, bool (*)(vfu_ctx_t *, dma_sg_t *));
IS(vfu_sgl_get, int (*)(vfu_ctx_t *, dma_sg_t *, struct iovec *, size_t, int));
IS(vfu_sgl_mark_dirty, void (*)(vfu_ctx_t *, dma_sg_t *, size_t));
IS(vfu_sgl_put, void (*)(vfu_ctx_t *, dma_sg_t *, struct iovec *, size_t));
IS(vfu_sgl_read, int (*)(vfu_ctx_t *, dma_sg_t *, size_t, void *, int));
IS(vfu_sgl_write, int (*)(vfu_ctx_t *, dma_sg_t *, size_t, void *, int));

IS(((vfu_migration_callbacks_t *)0)->transition, int (**)(vfu_ctx_t *, vfu_migr_state_t));
IS(((vfu_migration_callbacks_t *)0)->read_data,
   ssize_t (**)(vfu_ctx_t *, void *, uint64_t));
IS(((vfu_migration_callbacks_t *)0)->write_data,
   ssize_t (**)(vfu_ctx_t *, void *, uint64_t));

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(types_of_the_library_have_their_sizes),
    cmocka_unit_test(messages_have_their_layouts),
    cmocka_unit_test(messages_of_device_features_have_their_layouts),
    cmocka_unit_test(configuration_space_has_its_layout),
    cmocka_unit_test(capabilities_have_their_layouts),
    cmocka_unit_test(the_pcie_capability_has_its_layout),
};

VU_TEST_MAIN(tests)
