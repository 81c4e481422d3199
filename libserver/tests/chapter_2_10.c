/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contract, chapter 2.10: setting up configuration space, adding and finding
 * capabilities.
 */
#include "libserver/tests/chapter.h"

#define EXT VFU_CAP_FLAG_EXTENDED

/* A device with configuration space of that type, and nothing else. */
static struct device *device_of(vfu_pci_type_t type)
{
    struct device *d = device_new(NB);

    assert_int_equal(vfu_pci_init(d->ctx, type, PCI_HEADER_TYPE_NORMAL, 0), 0);
    return d;
}

static struct device *express(void)
{
    return device_of(VFU_PCI_TYPE_EXPRESS);
}

/* The offset, or the errno as a negative number. */
static ssize_t add(struct device *d, size_t pos, int flags, const void *cap)
{
    ssize_t at;

    errno = 0;
    at = vfu_pci_add_capability(d->ctx, pos, flags, (void *)(uintptr_t)cap);
    return at == -1 ? -errno : at;
}

static ssize_t add_pm(struct device *d, size_t pos)
{
    struct pmcap cap = { .hdr.id = PCI_CAP_ID_PM };

    return add(d, pos, 0, &cap);
}

static ssize_t add_vendor(struct device *d, size_t pos, uint8_t size)
{
    uint8_t cap[256] = { PCI_CAP_ID_VNDR, 0, size };

    return add(d, pos, 0, cap);
}

static ssize_t add_dsn(struct device *d, size_t pos)
{
    struct dsncap cap = { .hdr.id = PCI_EXT_CAP_ID_DSN };

    return add(d, pos, EXT, &cap);
}

/* ---------------------------------------------------------------- set-up -- */

TEST(c2_10_the_type_decides_on_the_size)
{
    static const struct {
        vfu_pci_type_t type;
        uint32_t size;
    } cases[] = {
        { VFU_PCI_TYPE_CONVENTIONAL, 256 }, { VFU_PCI_TYPE_PCI_X_1, 256 },
        { VFU_PCI_TYPE_PCI_X_2, 4096 },     { VFU_PCI_TYPE_EXPRESS, 4096 },
    };

    for (size_t i = 0; i < 4; i++) {
        struct device *d = device_of(cases[i].type);
        struct vfio_region_info info;

        device_realize(d);
        device_attach(d);
        info = region_info(d, VFU_PCI_DEV_CFG_REGION_IDX, 32);
        assert_int_equal(info.size, cases[i].size);
        assert_int_equal(info.flags,
                         VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE);
        device_down(d);
    }
}

TEST(c2_10_init_refuses_other_types_headers_and_a_second_time)
{
    struct device *d = device_new(NB);

    assert_int_equal(vfu_pci_init(d->ctx, (vfu_pci_type_t)4, 0, 0), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(vfu_pci_init(d->ctx, VFU_PCI_TYPE_EXPRESS, PCI_HEADER_TYPE_BRIDGE,
                                  0), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(vfu_pci_init(d->ctx, VFU_PCI_TYPE_EXPRESS, 0, 0), 0);
    assert_int_equal(vfu_pci_init(d->ctx, VFU_PCI_TYPE_EXPRESS, 0, 0), -1);
    assert_int_equal(errno, EEXIST);
    device_down(d);
    d = device_new(NB);
    device_realize(d);
    assert_int_equal(vfu_pci_init(d->ctx, VFU_PCI_TYPE_EXPRESS, 0, 0), -1);
    assert_int_equal(errno, EEXIST);
    device_down(d);
}

TEST(c2_10_revision_id_and_class_show)
{
    struct device *d = device_new(NB);

    assert_int_equal(vfu_pci_init(d->ctx, VFU_PCI_TYPE_EXPRESS, 0, 0x17), 0);
    vfu_pci_set_id(d->ctx, 0x1234, 0x5678, 0x9abc, 0xdef0);
    vfu_pci_set_class(d->ctx, 1, 8, 2);
    device_realize(d);
    device_attach(d);
    assert_int_equal(config_read(d, PCI_VENDOR_ID, 4), 0x56781234);
    assert_int_equal(config_read(d, PCI_SUBSYSTEM_VENDOR_ID, 4), 0xdef09abc);
    assert_int_equal(config_read(d, PCI_CLASS_REVISION, 4), 0x01080217);
    device_down(d);
}

TEST(c2_10_id_and_class_before_init_do_no_harm)
{
    struct device *d = device_new(NB);

    vfu_pci_set_id(d->ctx, 1, 2, 3, 4);
    vfu_pci_set_class(d->ctx, 1, 2, 3);
    assert_null(vfu_pci_get_config_space(d->ctx));
    device_down(d);
}

/* What SPDK relies on: the pointer is the space itself, in both directions. */
TEST(c2_10_the_config_space_pointer_is_live_and_stable)
{
    struct msixcap cap = { .hdr.id = PCI_CAP_ID_MSIX, .mxc.ts = 7 };
    struct device *d = express();
    vfu_pci_config_space_t *space = vfu_pci_get_config_space(d->ctx);
    struct msixcap *msix;
    ssize_t at = add(d, 0, 0, &cap);

    setup_bar0(d);
    assert_true(at > 0);
    device_realize(d);
    assert_ptr_equal(vfu_pci_get_config_space(d->ctx), space);
    msix = (struct msixcap *)((uint8_t *)space + at);
    space->hdr.bars[0].raw = 0;
    space->hdr.intr.ipin = 4;                       /* later than realize */
    device_attach(d);
    assert_int_equal(config_read(d, PCI_INTERRUPT_PIN, 1), 4);
    space->raw[0x80] = 0x5a;
    assert_int_equal(config_read(d, 0x80, 1), 0x5a);
    assert_int_equal(config_write(d, (uint64_t)at + PCI_MSIX_FLAGS, 0x8000, 2), 0);
    assert_int_equal(msix->mxc.mxe, 1);
    device_detach(d);
    assert_int_equal(msix->mxc.mxe, 1);             /* as the last client left it */
    assert_ptr_equal(vfu_pci_get_config_space(d->ctx), space);
    device_down(d);
}

/* ------------------------------------------------------------------ adding -- */

TEST(c2_10_add_refuses_flags_that_do_not_fit)
{
    struct device *d = express();
    struct pmcap cap = { .hdr.id = PCI_CAP_ID_PM };

    assert_int_equal(add(d, 0, 8, &cap), -EINVAL);
    assert_int_equal(add(d, 0, VFU_CAP_FLAG_CALLBACK, &cap), -EINVAL);
    assert_int_equal(vfu_setup_region(d->ctx, VFU_PCI_DEV_CFG_REGION_IDX, 4096, on_access,
                                      VFU_REGION_FLAG_RW, NULL, 0, -1, 0), 0);
    assert_int_equal(add(d, 0, VFU_CAP_FLAG_CALLBACK, &cap), 0x40);
    device_down(d);
    for (vfu_pci_type_t type = VFU_PCI_TYPE_CONVENTIONAL; type <= VFU_PCI_TYPE_PCI_X_1;
         type++) {
        d = device_of(type);
        assert_int_equal(add_dsn(d, 0), -EINVAL);
        device_down(d);
    }
}

TEST(c2_10_add_knows_seven_kinds)
{
    static const uint8_t sizes[] = {
        [PCI_CAP_ID_PM] = 8, [PCI_CAP_ID_MSI] = 24, [PCI_CAP_ID_MSIX] = 12,
        [PCI_CAP_ID_EXP] = 60, [PCI_CAP_ID_VNDR] = 16,
    };

    for (unsigned int id = 0; id < 32; id++) {
        uint8_t cap[64] = { (uint8_t)id, 0, 16 };
        struct device *d = express();
        bool known = id < sizeof(sizes) && sizes[id] != 0;

        if (id == PCI_CAP_ID_MSI)
            cap[2] = 0x80, cap[3] = 0x01;       /* 64-bit, maskable */
        assert_int_equal(add(d, 0, 0, cap), known ? 0x40 : -ENOTSUP);
        if (known)      /* its size: where the next one goes */
            assert_int_equal(add_pm(d, 0), 0x40 + sizes[id]);
        device_down(d);
    }
    for (unsigned int id = 0; id < 32; id++) {
        uint32_t cap[8] = { id, 16u << 20 };
        struct device *d = express();
        bool known = id == PCI_EXT_CAP_ID_DSN || id == PCI_EXT_CAP_ID_VNDR;

        assert_int_equal(add(d, 0, EXT, cap), known ? 0x100 : -ENOTSUP);
        if (known)
            assert_int_equal(add_dsn(d, 0), id == PCI_EXT_CAP_ID_DSN ? 0x10c : 0x110);
        device_down(d);
    }
}

TEST(c2_10_add_takes_128_of_a_kind)
{
    struct device *d = express();
    uint32_t vendor[2] = { PCI_EXT_CAP_ID_VNDR, 8u << 20 };

    for (int i = 0; i < 128; i++)
        assert_int_equal(add(d, 0, EXT, vendor), 0x100 + 8 * i);
    assert_int_equal(add(d, 0, EXT, vendor), -ENOSPC);
    device_down(d);
}

TEST(c2_10_add_refuses_places_that_do_not_fit)
{
    struct device *d = device_of(VFU_PCI_TYPE_CONVENTIONAL);

    assert_int_equal(add_pm(d, 4), -EINVAL);
    assert_int_equal(add_pm(d, 0x3c), -EINVAL);
    assert_int_equal(add_pm(d, 256 - 4), -EINVAL);
    assert_int_equal(add_pm(d, 256 - 8), -EINVAL);      /* not at the very end either */
    assert_int_equal(add_pm(d, 4096), -EINVAL);
    assert_int_equal(add_pm(d, SIZE_MAX), -EINVAL);
    assert_int_equal(add_pm(d, 256 - 12), 256 - 12);
    device_down(d);
    d = express();
    assert_int_equal(add_dsn(d, 0xfc), -EINVAL);
    assert_int_equal(add_dsn(d, 0x104), -EINVAL);       /* the list starts at 0x100 */
    assert_int_equal(add_dsn(d, 0x100), 0x100);
    assert_int_equal(add_dsn(d, 0x202), -EINVAL); /* its pointers have no such bit */
    assert_int_equal(add_dsn(d, 4096 - 12), -EINVAL);
    assert_int_equal(add_dsn(d, 4096 - 16), 4096 - 16);
    device_down(d);
}

TEST(c2_10_add_refuses_overlaps_and_lets_capabilities_touch)
{
    struct device *d = express();

    assert_int_equal(add_pm(d, 0x60), 0x60);
    for (size_t pos = 0x59; pos < 0x68; pos++)
        assert_int_equal(add_pm(d, pos), -EINVAL);
    assert_int_equal(add_pm(d, 0x58), 0x58);
    assert_int_equal(add_pm(d, 0x68), 0x68);
    device_down(d);
}

TEST(c2_10_automatic_places_follow_the_last_one_aligned)
{
    struct device *d = express();

    assert_int_equal(add_vendor(d, 0, 5), 0x40);
    assert_int_equal(add_pm(d, 0), 0x48);               /* 0x45 rounded up */
    assert_int_equal(add_pm(d, 0x80), 0x80);
    assert_int_equal(add_pm(d, 0x60), 0x60);            /* appended, not sorted */
    assert_int_equal(add_pm(d, 0), 0x68);
    assert_int_equal(add_vendor(d, 0, 0x14), 0x88);     /* 0x70 would run into 0x80 */
    assert_int_equal(add_dsn(d, 0), 0x100);
    assert_int_equal(add_dsn(d, 0), 0x10c);
    device_down(d);
}

TEST(c2_10_the_list_is_in_order_of_adding)
{
    struct device *d = express();
    vfu_pci_config_space_t *space = vfu_pci_get_config_space(d->ctx);

    assert_int_equal(add_pm(d, 0x80), 0x80);
    assert_int_equal(add_pm(d, 0x60), 0x60);
    assert_int_equal(add_pm(d, 0x70), 0x70);
    assert_int_equal(space->hdr.cap, 0x80);
    assert_int_equal(space->raw[0x81], 0x60);
    assert_int_equal(space->raw[0x61], 0x70);
    assert_int_equal(space->raw[0x71], 0);
    device_down(d);
}

TEST(c2_10_a_full_space_is_enospc)
{
    struct device *d = express();

    assert_int_equal(add_vendor(d, 0, 0xb0), 0x40);
    assert_int_equal(add_vendor(d, 0, 0x11), -ENOSPC);
    device_down(d);
}

TEST(c2_10_data_are_copied_and_next_is_ignored)
{
    uint8_t cap[8] = { PCI_CAP_ID_VNDR, 0x99, 8, 1, 2, 3, 4, 5 };
    struct device *d = express();
    vfu_pci_config_space_t *space = vfu_pci_get_config_space(d->ctx);

    assert_int_equal(add(d, 0, 0, cap), 0x40);
    memset(cap, 0, sizeof(cap));
    assert_memory_equal(space->raw + 0x42, "\10\1\2\3\4\5", 6);
    assert_int_equal(space->raw[0x41], 0);
    device_down(d);
}

TEST(c2_10_spdks_order_of_capabilities_works)
{
    struct device *d = express();
    struct pxcap px = { .hdr.id = PCI_CAP_ID_EXP, .pxcaps.ver = 2, .pxdcap.flrc = 1 };
    struct msixcap msix = { .hdr.id = PCI_CAP_ID_MSIX, .mxc.ts = 511 };

    assert_int_equal(add_vendor(d, 0, 16), 0x40);       /* virtio's come first */
    assert_int_equal(add_vendor(d, 0, 20), 0x50);
    assert_int_equal(add_pm(d, 0), 0x64);
    assert_int_equal(add(d, 0, 0, &px), 0x6c);
    assert_int_equal(add(d, 0, 0, &msix), 0xa8);
    device_down(d);
}

/* ----------------------------------------------------------------- finding -- */

#define FIND(d, ext, id)      vfu_pci_find_capability((d)->ctx, ext, id)
#define NEXT(d, ext, pos, id) vfu_pci_find_next_capability((d)->ctx, ext, pos, id)

TEST(c2_10_find_walks_the_list)
{
    struct device *d = express();

    assert_int_equal(add_pm(d, 0x40), 0x40);
    assert_int_equal(add_vendor(d, 0x60, 8), 0x60);
    assert_int_equal(add_vendor(d, 0x50, 8), 0x50);
    assert_int_equal(FIND(d, false, PCI_CAP_ID_PM), 0x40);
    assert_int_equal(FIND(d, false, PCI_CAP_ID_VNDR), 0x60);
    assert_int_equal(NEXT(d, false, 0, PCI_CAP_ID_VNDR), 0x60);
    assert_int_equal(NEXT(d, false, 0x60, PCI_CAP_ID_VNDR), 0x50);
    assert_int_equal(NEXT(d, false, 0x50, PCI_CAP_ID_VNDR), 0);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(FIND(d, false, PCI_CAP_ID_MSI), 0);
    assert_int_equal(errno, ENOENT);
    device_down(d);
}

TEST(c2_10_find_sees_what_the_device_edited)
{
    struct device *d = express();
    vfu_pci_config_space_t *space = vfu_pci_get_config_space(d->ctx);

    assert_int_equal(add_pm(d, 0x40), 0x40);
    assert_int_equal(add_pm(d, 0x50), 0x50);
    space->hdr.cap = 0x50;
    assert_int_equal(FIND(d, false, PCI_CAP_ID_PM), 0x50);
    space->raw[0x50] = PCI_CAP_ID_VPD;
    assert_int_equal(FIND(d, false, PCI_CAP_ID_VPD), 0x50);
    device_down(d);
}

TEST(c2_10_find_refuses_to_leave_config_space)
{
    struct device *d = device_of(VFU_PCI_TYPE_CONVENTIONAL);
    vfu_pci_config_space_t *space = vfu_pci_get_config_space(d->ctx);

    assert_int_equal(NEXT(d, false, 255, PCI_CAP_ID_PM), 0);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(NEXT(d, false, 4096, PCI_CAP_ID_PM), 0);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(add_pm(d, 0x40), 0x40);
    space->raw[0x41] = 0xff;
    assert_int_equal(FIND(d, false, PCI_CAP_ID_VNDR), 0);
    assert_int_equal(errno, EINVAL);
    space->raw[0x41] = 0x40;                            /* a circle ends too */
    assert_int_equal(FIND(d, false, PCI_CAP_ID_VNDR), 0);
    device_down(d);
    d = express();
    assert_int_equal(NEXT(d, true, 4096 - 4, PCI_EXT_CAP_ID_DSN), 0);
    assert_int_equal(errno, EINVAL);
    device_down(d);
}

TEST(c2_10_find_walks_extended_capabilities)
{
    struct device *d = express();

    vfu_pci_set_id(d->ctx, 0x1234, 0x1000, 0, 0);
    assert_int_equal(FIND(d, true, PCI_EXT_CAP_ID_DSN), 0);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(add_dsn(d, 0), 0x100);
    assert_int_equal(add_dsn(d, 0), 0x10c);
    assert_int_equal(FIND(d, true, PCI_EXT_CAP_ID_DSN), 0x100);
    assert_int_equal(NEXT(d, true, 0x100, PCI_EXT_CAP_ID_DSN), 0x10c);
    assert_int_equal(NEXT(d, true, 0x10c, PCI_EXT_CAP_ID_DSN), 0);  /* no wrap to 0 */
    assert_int_equal(errno, ENOENT);
    device_down(d);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(c2_10_the_type_decides_on_the_size),
    VU_FD_TEST(c2_10_init_refuses_other_types_headers_and_a_second_time),
    VU_FD_TEST(c2_10_revision_id_and_class_show),
    VU_FD_TEST(c2_10_id_and_class_before_init_do_no_harm),
    VU_FD_TEST(c2_10_the_config_space_pointer_is_live_and_stable),
    VU_FD_TEST(c2_10_add_refuses_flags_that_do_not_fit),
    VU_FD_TEST(c2_10_add_knows_seven_kinds),
    VU_FD_TEST(c2_10_add_takes_128_of_a_kind),
    VU_FD_TEST(c2_10_add_refuses_places_that_do_not_fit),
    VU_FD_TEST(c2_10_add_refuses_overlaps_and_lets_capabilities_touch),
    VU_FD_TEST(c2_10_automatic_places_follow_the_last_one_aligned),
    VU_FD_TEST(c2_10_the_list_is_in_order_of_adding),
    VU_FD_TEST(c2_10_a_full_space_is_enospc),
    VU_FD_TEST(c2_10_data_are_copied_and_next_is_ignored),
    VU_FD_TEST(c2_10_spdks_order_of_capabilities_works),
    VU_FD_TEST(c2_10_find_walks_the_list),
    VU_FD_TEST(c2_10_find_sees_what_the_device_edited),
    VU_FD_TEST(c2_10_find_refuses_to_leave_config_space),
    VU_FD_TEST(c2_10_find_walks_extended_capabilities),
};

VU_TEST_MAIN(tests)
