/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Chapter 5.2 of the contract lists what the original does wrong. Each test here shows
 * that this library does not; its name has the number in that list. What is shown
 * elsewhere is listed in docs/contract.md.
 */
#include "libserver/tests/chapter_peer.h"

#include "libserver/tests/alloc.h"

#define CFG VFU_PCI_DEV_CFG_REGION_IDX
#define MEM (VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM)

typedef struct vfio_user_device_feature_dma_logging_report report_t;

/* Where the capability went. */
static uint64_t add(struct device *d, size_t pos, int flags, const void *cap)
{
    ssize_t at = vfu_pci_add_capability(d->ctx, pos, flags, (void *)(uintptr_t)cap);

    assert_true(at > 0);
    return (uint64_t)at;
}

static struct device *device_begin(void)
{
    struct device *d = device_new(NB);

    setup_usual(d);
    return d;
}

static void device_go(struct device *d)
{
    device_realize(d);
    device_attach(d);
}

union entry {
    char bytes[40];
    uint64_t align;
};

static dma_sg_t *sg(union entry *e)
{
    return (dma_sg_t *)(void *)e;
}

static int look_up(struct device *d, uint64_t addr, size_t len, union entry *e, int prot)
{
    errno = 0;
    return vfu_addr_to_sgl(d->ctx, (void *)addr, len, sg(e), 1, prot);
}

static void mark(struct device *d, uint64_t addr)
{
    union entry e;

    assert_int_equal(look_up(d, addr, 1, &e, PROT_WRITE), 1);
    vfu_sgl_mark_dirty(d->ctx, sg(&e), 1);
}

/* A report's bytes, which are in d->reply from byte 32: their number. */
static size_t report(struct device *d, uint64_t iova, uint64_t length, uint64_t page_size)
{
    report_t r = { iova, length, page_size };

    assert_int_equal(feature(d, 1 << 20, FEATURE_GET(DMA_LOGGING_REPORT), &r, sizeof(r)),
                     0);
    return d->reply.len - 32;
}

/* Bits that are set, and the first of them. */
static unsigned bits_set(const struct device *d, size_t bytes, unsigned *first)
{
    unsigned n = 0;

    for (unsigned i = 0; i < bytes * 8; i++) {
        if ((d->reply.body[32 + i / 8] >> i % 8 & 1) == 0)
            continue;
        if (n++ == 0)
            *first = i;
    }
    return n;
}

/* ---------------------------------------------------------------- security -- */

TEST(c5_2_1_msi_and_msix_writes_stay_inside_the_capability)
{
    struct msicap msi = {
        .hdr.id = PCI_CAP_ID_MSI, .mc = { .c64 = 1, .pvm = 1 },
    };
    struct msixcap msix = { .hdr.id = PCI_CAP_ID_MSIX };
    uint8_t behind[8] = { PCI_CAP_ID_VNDR, 0, 8, 1, 2, 3, 4, 5 };
    struct device *d = device_begin();
    uint8_t ones[24];

    add(d, 0x40, 0, &msi);
    add(d, 0x58, 0, behind);
    add(d, 0x60, 0, &msix);
    add(d, 0x6c, 0, behind);
    device_go(d);
    memset(ones, 0xff, sizeof(ones));
    assert_int_equal(region_write(d, CFG, 0x40 + 20, ones, 24), EPERM);
    assert_int_equal(region_write(d, CFG, 0x60 + 10, ones, 24), EPERM);
    for (uint64_t at = 0x58; at <= 0x6c; at += 0x14) {
        assert_int_equal(config_read(d, at, 1), PCI_CAP_ID_VNDR);
        assert_int_equal(config_read(d, at + 4, 4), 0x05040302);
    }
    device_down(d);
}

TEST(c5_2_2_vendor_writes_stay_inside_the_capability)
{
    uint8_t vendor[8] = { PCI_CAP_ID_VNDR, 0, 8 };
    struct pmcap pm = { .hdr.id = PCI_CAP_ID_PM };
    uint32_t ext[4] = { PCI_EXT_CAP_ID_VNDR, 16u << 20 };
    struct dsncap dsn = { .hdr.id = PCI_EXT_CAP_ID_DSN, .sn_lo = 7 };
    struct device *d = device_begin();
    uint8_t ones[16];
    uint64_t at;

    add(d, 0x40, 0, vendor);
    add(d, 0x48, 0, &pm);
    at = add(d, 0, VFU_CAP_FLAG_EXTENDED, ext);
    add(d, 0, VFU_CAP_FLAG_EXTENDED, &dsn);
    device_go(d);
    memset(ones, 0xff, sizeof(ones));
    assert_int_equal(region_write(d, CFG, 0x44, ones, 8), EPERM);
    assert_int_equal(config_read(d, 0x44, 4), 0xffffffff);      /* its own part */
    assert_int_equal(config_read(d, 0x48, 4), PCI_CAP_ID_PM);
    assert_int_equal(region_write(d, CFG, at + 12, ones, 8), EPERM);
    assert_int_equal(config_read(d, at + 16, 2), PCI_EXT_CAP_ID_DSN);
    assert_int_equal(config_read(d, at + 20, 4), 7);
    device_down(d);
}

TEST(c5_2_3_logging_without_dma_is_an_error)
{
    struct device *d = device_new(NB);

    setup_migration(d);
    device_go(d);
    assert_int_equal(start_logging(d, PAGE, NULL, 0), EINVAL);
    assert_int_equal(feature(d, 8, FEATURE_SET(DMA_LOGGING_STOP), NULL, 0), EINVAL);
    assert_int_equal(migration_state(d), VFIO_USER_DEVICE_STATE_RUNNING);
    device_down(d);
}

/* A device with a window of that many pages, of which a few are dirty. */
static struct device *device_logging(uint64_t page_size, uint64_t pages)
{
    struct device *d = device_up_migrating();
    int memory = new_memory(pages * PAGE);

    assert_int_equal(dma_map(d, 0x1000000, pages * PAGE, memory), 0);
    assert_int_equal(start_logging(d, page_size, NULL, 0), 0);
    close(memory);
    return d;
}

TEST(c5_2_4_a_finer_report_of_many_pages_returns_and_is_right)
{
    struct device *d = device_logging(2 * PAGE, 1024);
    unsigned first;
    size_t bytes;

    mark(d, 0x1000000 + 600 * PAGE);
    bytes = report(d, 0x1000000, 1024 * PAGE, PAGE);
    assert_int_equal(bytes, 128);
    assert_int_equal(bits_set(d, bytes, &first), 2);
    assert_int_equal(first, 600);
    device_down(d);
}

TEST(c5_2_5_a_coarser_report_of_many_pages_is_right)
{
    struct device *d = device_logging(PAGE, 2048);
    unsigned first;
    size_t bytes;

    mark(d, 0x1000000 + 1000 * PAGE);
    bytes = report(d, 0x1000000, 2048 * PAGE, 2 * PAGE);
    assert_int_equal(bytes, 128);
    assert_int_equal(bits_set(d, bytes, &first), 1);
    assert_int_equal(first, 500);
    device_down(d);
}

/* Together with ASan, which sees a read behind what came. */
TEST(c5_2_6_no_bytes_are_taken_from_behind_a_short_write)
{
    struct device *d = device_begin();

    assert_int_equal(vfu_setup_region(d->ctx, 1, 256, on_access, MEM, NULL, 0, -1, 0), 0);
    device_go(d);
    assert_int_equal(config_write(d, PCI_BASE_ADDRESS_1, 0x11223300, 4), 0);
    assert_int_equal(config_write(d, PCI_BASE_ADDRESS_1 + 1, 0x44, 1), 0);
    assert_int_equal(config_read(d, PCI_BASE_ADDRESS_1, 4), 0x11224400);
    assert_int_equal(config_write(d, PCI_BASE_ADDRESS_1 + 2, 0x6655, 2), 0);
    assert_int_equal(config_read(d, PCI_BASE_ADDRESS_1, 4), 0x66554400);
    assert_int_equal(config_write(d, PCI_COMMAND, PCI_COMMAND_SERR | 2, 2), 0);
    assert_int_equal(config_write(d, PCI_COMMAND, 4, 1), 0);
    assert_int_equal(config_read(d, PCI_COMMAND, 2), PCI_COMMAND_SERR | 4);
    device_down(d);
}

TEST(c5_2_7_the_smallest_max_data_xfer_size_still_transfers)
{
    struct device *d = device_begin();
    struct peer *p = calloc(1, sizeof(*p));
    union entry e;
    char data[3];

    device_realize(d);
    device_attach_with(d, "{\"capabilities\":{\"max_data_xfer_size\":1}}");
    assert_int_equal(dma_map(d, PEER_BASE, PAGE, -1), 0);
    assert_int_equal(look_up(d, PEER_BASE, 3, &e, PROT_READ), 1);
    memcpy(p->memory, "abc", 3);
    peer_begin(p, d->client, 3);
    assert_int_equal(vfu_sgl_read(d->ctx, sg(&e), 1, data, 0), 0);
    peer_end(p);
    assert_memory_equal(data, "abc", 3);
    free(p);
    device_down(d);
}

TEST(c5_2_8_a_look_up_never_gives_more_than_the_window_also_after_a_hit)
{
    static const struct {
        uint64_t addr;
        size_t len;
    } bad[] = {
        { 0x10000, SIZE_MAX }, { 0x10800, SIZE_MAX - 0x10000 }, { 0x10fff, 2 },
        { 0x10001, PAGE }, { 0x10800, (size_t)1 << 63 },
    };
    struct device *d = device_up();
    union entry e;

    assert_int_equal(dma_map(d, 0x10000, PAGE, -1), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(look_up(d, 0x10000, PAGE, &e, PROT_READ), 1);
        assert_int_equal(look_up(d, bad[i].addr, bad[i].len, &e, PROT_READ), -1);
        assert_int_equal(errno, ENOENT);
    }
    device_down(d);
}

TEST(c5_2_9_half_a_message_does_not_hold_the_server_up)
{
    struct device *d = device_new(NB);
    uint8_t version[VERSION_BYTES];

    device_realize(d);
    put_version(version);
    d->client = client_connect(d);
    for (size_t i = 0; i < sizeof(version); i++) {
        assert_int_equal(vfu_attach_ctx(d->ctx), -1);
        assert_int_equal(errno, EAGAIN);
        send_bytes(d, version + i, 1);
    }
    assert_int_equal(vfu_attach_ctx(d->ctx), 0);
    assert_int_equal(receive_reply(d, 1, VFIO_USER_VERSION), 0);
    send_bytes(d, version, 15);
    assert_int_equal(run(d), 0);
    assert_int_equal(run(d), 0);
    device_down(d);
}

/* The end of a pipe that the server should have closed. */
static void assert_hung_up(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    assert_int_equal(poll(&p, 1, 0), 1);
    assert_true((p.revents & POLLHUP) != 0);
    close(fd);
}

TEST(c5_2_10_descriptors_of_a_message_that_never_ends_are_closed)
{
    struct vfio_user_header h = { .cmd = VFIO_USER_DMA_MAP, .msg_size = 48 };
    uint8_t bytes[48] = { 0 };

    memcpy(bytes, &h, sizeof(h));
    for (size_t len = 1; len < sizeof(bytes); len += 15) {
        struct device *d = device_up();
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        assert_int_equal(send_some(d->client, bytes, len, &fds[1], 1), len);
        close(fds[1]);
        assert_int_equal(run(d), 0);
        device_detach(d);
        assert_hung_up(fds[0]);
        device_down(d);
    }
}

TEST(c5_2_10_descriptors_beyond_what_anyone_takes_are_closed)
{
    struct device *d = device_up();
    struct vfio_user_device_info info = { .argsz = sizeof(info) };
    int before = vu_test_open_fds();
    int fds[253], pipes[2];

    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    for (int i = 0; i < 253; i++)
        fds[i] = pipes[1];
    assert_int_equal(ask_fds(d, VFIO_USER_DEVICE_GET_INFO, &info, sizeof(info), fds, 253),
                     0);
    close(pipes[1]);
    assert_hung_up(pipes[0]);
    assert_int_equal(vu_test_open_fds(), before);
    device_down(d);
}

/* ------------------------------------------------------------- correctness -- */

TEST(c5_2_19_unmap_with_bitmap_over_two_windows_fails_and_unmaps_nothing)
{
    struct device *d = device_logging(PAGE, 2);
    int memory = new_memory(2 * PAGE);

    assert_int_equal(dma_map(d, 0x1002000, 2 * PAGE, memory), 0);
    d->events[0] = '\0';
    assert_int_equal(dma_unmap_bitmap(d, 0x1000000, 4 * PAGE, PAGE, 8, 48), ENOENT);
    assert_events(d, "");
    assert_int_equal(dma_unmap_bitmap(d, 0x1000000, 2 * PAGE, PAGE, 8, 48), 0);
    assert_events(d, "unregister:1000000");
    close(memory);
    device_down(d);
}

TEST(c5_2_23_a_region_set_up_again_forgets_its_areas)
{
    struct device *d = device_up();
    struct vfio_region_info info;
    int memory = new_memory(PAGE);

    assert_int_equal(vfu_setup_region(d->ctx, 2, PAGE, on_access, MEM, NULL, 0, memory,
                                      0), 0);
    assert_int_equal(vfu_setup_region(d->ctx, 2, PAGE, on_access, MEM, NULL, 0, -1, 0),
                     0);
    info = region_info(d, 2, 4096);
    assert_int_equal(info.argsz, 32);
    assert_int_equal(info.flags,
                     VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE);
    assert_int_equal(d->reply.len, 32);
    assert_int_equal(d->reply.n_fds, 0);
    close(memory);
    device_down(d);
}

TEST(c5_2_24_an_access_is_split_by_address_whatever_the_order_of_adding)
{
    uint8_t late[8] = { PCI_CAP_ID_VNDR, 0, 8, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa };
    uint8_t early[8] = { PCI_CAP_ID_VNDR, 0, 8, 0xbb, 0xbb, 0xbb, 0xbb, 0xbb };
    struct device *d = device_begin();

    assert_int_equal(vfu_setup_region(d->ctx, CFG, 4096, on_access, VFU_REGION_FLAG_RW,
                                      NULL, 0, -1, 0), 0);
    add(d, 0x60, 0, late);
    add(d, 0x50, 0, early);
    device_go(d);
    memset(d->bar0, 0xcc, sizeof(d->bar0));
    assert_int_equal(region_read(d, CFG, 0x48, 0x28), 0);
    assert_events(d, "read:48+8 read:58+8 read:68+8");
    assert_int_equal(d->reply.body[16 + 0x08 + 7], 0xbb);
    assert_int_equal(d->reply.body[16 + 0x18 + 7], 0xaa);
    device_down(d);
}

TEST(c5_2_25_looking_for_extended_capabilities_ends)
{
    struct device *d = device_new(NB);
    struct dsncap dsn = { .hdr.id = PCI_EXT_CAP_ID_DSN };
    uint32_t circle = PCI_EXT_CAP_ID_DSN | 0x100u << 20;

    assert_int_equal(vfu_pci_init(d->ctx, VFU_PCI_TYPE_CONVENTIONAL, 0, 0), 0);
    assert_int_equal(vfu_pci_find_capability(d->ctx, true, PCI_EXT_CAP_ID_DSN), 0);
    assert_int_equal(errno, ENOENT);
    device_down(d);

    d = device_new(NB);
    assert_int_equal(vfu_pci_init(d->ctx, VFU_PCI_TYPE_EXPRESS, 0, 0), 0);
    add(d, 0, VFU_CAP_FLAG_EXTENDED, &dsn);
    memcpy(vfu_pci_get_config_space(d->ctx)->raw + 0x100, &circle, sizeof(circle));
    assert_int_equal(vfu_pci_find_capability(d->ctx, true, PCI_EXT_CAP_ID_VNDR), 0);
    device_down(d);
}


TEST(c5_2_28_guest_memory_can_be_read_by_message_while_a_quiesce_is_pending)
{
    struct device *d = device_up_quiescing();
    struct peer *p = calloc(1, sizeof(*p));
    union entry e;
    char data[4];

    assert_int_equal(dma_map(d, PEER_BASE, PAGE, -1), 0);
    d->quiesce_errno = EBUSY;
    post(d, VFIO_USER_DEVICE_RESET, NULL, 0);
    assert_int_equal(run(d), -EBUSY);
    memcpy(p->memory, "last", 4);
    assert_int_equal(look_up(d, PEER_BASE, 4, &e, PROT_READ), 1);
    peer_begin(p, d->client, 1);
    assert_int_equal(vfu_sgl_read(d->ctx, sg(&e), 1, data, 0), 0);
    peer_end(p);
    assert_memory_equal(data, "last", 4);
    assert_int_equal(vfu_device_quiesced(d->ctx, 0), 0);
    assert_int_equal(receive_reply(d, d->id, VFIO_USER_DEVICE_RESET), 0);
    free(p);
    device_down(d);
}

/* Leaks are LeakSanitizer's to find. */
TEST(c5_2_30_setting_up_twice_replaces)
{
    struct device *d = device_begin();

    setup_migration(d);
    setup_migration(d);
    assert_int_equal(vfu_setup_device_dma(d->ctx, 1, NULL, NULL), 0);
    assert_int_equal(vfu_setup_device_dma(d->ctx, 2, on_register, on_unregister), 0);
    device_go(d);
    assert_int_equal(dma_map(d, 0x10000, PAGE, -1), 0);
    assert_int_equal(dma_map(d, 0x20000, PAGE, -1), 0);
    assert_int_equal(dma_map(d, 0x30000, PAGE, -1), EINVAL);
    assert_events(d, "register:10000 register:20000");
    device_down(d);
}

TEST(c5_2_35_a_region_whose_set_up_runs_out_of_memory_stays_as_it_was)
{
    struct device *d = device_up();
    int memory = new_memory(PAGE);

    alloc_fail(1, true);
    assert_int_equal(vfu_setup_region(d->ctx, 0, PAGE, on_access, MEM, NULL, 0, memory,
                                      0), -1);
    assert_int_equal(errno, ENOMEM);
    alloc_reset();
    assert_int_equal(region_info(d, 0, 4096).argsz, 32);
    assert_int_equal(d->reply.n_fds, 0);
    assert_int_equal(region_read(d, 0, 0, 4), 0);
    close(memory);
    device_down(d);
}

struct dying {
    struct peer *peer;
    union entry entry;
    int err;
};

static size_t answer_by_leaving(struct peer *p, const struct asked *asked)
{
    (void)asked;
    shutdown(p->fd, SHUT_RDWR);
    return 0;
}

static void read_from_the_dying(struct device *d, const char *event,
                                const vfu_dma_info_t *info)
{
    struct dying *dying = d->aux;
    char data[4];

    (void)info;
    if (strcmp(event, "reset:device") != 0)
        return;
    d->quiesce_errno = EBUSY;
    dying->err = vfu_sgl_read(d->ctx, sg(&dying->entry), 1, data, 0) == 0 ? 0 : errno;
}

TEST(c5_2_36_a_client_lost_inside_a_transfer_is_reset_once_and_quiesced)
{
    struct device *d = device_up_quiescing();
    struct dying dying = { .peer = calloc(1, sizeof(struct peer)) };
    int before;

    assert_int_equal(dma_map(d, PEER_BASE, PAGE, -1), 0);
    assert_int_equal(look_up(d, PEER_BASE, 4, &dying.entry, PROT_READ), 1);
    d->events[0] = '\0';
    d->aux = &dying;
    d->in_callback = read_from_the_dying;
    dying.peer->answer = answer_by_leaving;
    post(d, VFIO_USER_DEVICE_RESET, NULL, 0);
    peer_begin(dying.peer, d->client, 1);
    before = run(d);
    peer_end(dying.peer);
    assert_int_equal(dying.err, ENOTCONN);
    assert_true(before == -EBUSY || before == 1);
    assert_int_equal(run(d), -EBUSY);
    assert_events(d, "quiesce reset:device quiesce");
    d->quiesce_errno = 0;
    assert_int_equal(vfu_device_quiesced(d->ctx, 0), 0);
    assert_events(d, "unregister:10000 reset:lost");
    assert_int_equal(run(d), -ENOTCONN);
    assert_events(d, "");
    free(dying.peer);
    device_down(d);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(c5_2_1_msi_and_msix_writes_stay_inside_the_capability),
    VU_FD_TEST(c5_2_2_vendor_writes_stay_inside_the_capability),
    VU_FD_TEST(c5_2_3_logging_without_dma_is_an_error),
    VU_FD_TEST(c5_2_4_a_finer_report_of_many_pages_returns_and_is_right),
    VU_FD_TEST(c5_2_5_a_coarser_report_of_many_pages_is_right),
    VU_FD_TEST(c5_2_6_no_bytes_are_taken_from_behind_a_short_write),
    VU_FD_TEST(c5_2_7_the_smallest_max_data_xfer_size_still_transfers),
    VU_FD_TEST(c5_2_8_a_look_up_never_gives_more_than_the_window_also_after_a_hit),
    VU_FD_TEST(c5_2_9_half_a_message_does_not_hold_the_server_up),
    VU_FD_TEST(c5_2_10_descriptors_of_a_message_that_never_ends_are_closed),
    VU_FD_TEST(c5_2_10_descriptors_beyond_what_anyone_takes_are_closed),
    VU_FD_TEST(c5_2_19_unmap_with_bitmap_over_two_windows_fails_and_unmaps_nothing),
    VU_FD_TEST(c5_2_23_a_region_set_up_again_forgets_its_areas),
    VU_FD_TEST(c5_2_24_an_access_is_split_by_address_whatever_the_order_of_adding),
    VU_FD_TEST(c5_2_25_looking_for_extended_capabilities_ends),
    VU_FD_TEST(c5_2_28_guest_memory_can_be_read_by_message_while_a_quiesce_is_pending),
    VU_FD_TEST(c5_2_30_setting_up_twice_replaces),
    VU_FD_TEST(c5_2_35_a_region_whose_set_up_runs_out_of_memory_stays_as_it_was),
    VU_FD_TEST(c5_2_36_a_client_lost_inside_a_transfer_is_reset_once_and_quiesced),
};

VU_TEST_MAIN(tests)
