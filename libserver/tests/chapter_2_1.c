/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contract, chapters 2 and 2.1: who owns descriptors, and the life of a context.
 */
#include "libserver/tests/chapter.h"

/* ------------------------------------------------------------ descriptors -- */

/* Whether the last copy of fd[1] is gone: the other end has hung up. */
static bool hung_up(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return poll(&p, 1, 0) == 1 && (p.revents & POLLHUP) != 0;
}

/* A pipe whose write end only the server has from now on: its read end. */
static int give_away(struct device *d, uint16_t cmd, const void *body, size_t len,
                     int *err)
{
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    *err = ask_fds(d, cmd, body, len, &fds[1], 1);
    close(fds[1]);
    return fds[0];
}

TEST(c2_descriptors_that_a_command_has_no_use_for_are_closed)
{
    struct vfio_user_device_info info = { .argsz = sizeof(info) };
    struct device *d = device_up();
    int err;
    int fd = give_away(d, VFIO_USER_DEVICE_GET_INFO, &info, sizeof(info), &err);

    assert_int_equal(err, 0);
    assert_true(hung_up(fd));
    close(fd);
    fd = give_away(d, 99, NULL, 0, &err);       /* refused: the same */
    assert_int_equal(err, EINVAL);
    assert_true(hung_up(fd));
    close(fd);
    device_down(d);
}

TEST(c2_descriptors_of_a_refused_command_are_closed)
{
    struct vfio_irq_set s = {
        .argsz = sizeof(s), .flags = TRIGGER_EVENTFD, .index = 77, .count = 1,
    };
    struct device *d = device_up();
    int err;
    int fd = give_away(d, VFIO_USER_DEVICE_SET_IRQS, &s, sizeof(s), &err);

    assert_int_equal(err, EINVAL);
    assert_true(hung_up(fd));
    close(fd);
    device_down(d);
}

TEST(c2_a_regions_descriptor_stays_the_programs)
{
    int memory = new_memory(PAGE);
    struct device *d = device_new(NB);

    assert_int_equal(vfu_setup_region(d->ctx, 0, PAGE, NULL, VFU_REGION_FLAG_RW, NULL, 0,
                                      memory, 0), 0);
    device_down(d);
    assert_int_equal(fcntl(memory, F_GETFD), FD_CLOEXEC);
    close(memory);
}

TEST(c2_a_windows_descriptor_is_closed_with_the_window)
{
    struct device *d = device_up();
    int memory = new_memory(PAGE);
    int before = vu_test_open_fds();

    assert_int_equal(dma_map(d, 0x10000, PAGE, memory), 0);
    assert_int_equal(dma_unmap(d, 0x10000, PAGE, 0), 0);
    assert_int_equal(vu_test_open_fds(), before);
    close(memory);
    device_down(d);
}

TEST(c2_eventfds_are_closed_when_replaced_disabled_and_at_the_end)
{
    struct device *d = device_up();
    int event = new_eventfd();
    int before = vu_test_open_fds();

    assert_int_equal(set_irqs(d, TRIGGER_EVENTFD, VFU_DEV_MSIX_IRQ, 0, 1, &event, 1), 0);
    assert_int_equal(vu_test_open_fds(), before + 1);
    assert_int_equal(set_irqs(d, TRIGGER_EVENTFD, VFU_DEV_MSIX_IRQ, 0, 1, &event, 1), 0);
    assert_int_equal(vu_test_open_fds(), before + 1);
    assert_int_equal(set_irqs(d, TRIGGER_NONE, VFU_DEV_MSIX_IRQ, 0, 0, NULL, 0), 0);
    assert_int_equal(vu_test_open_fds(), before);
    assert_int_equal(set_irqs(d, TRIGGER_EVENTFD, VFU_DEV_MSIX_IRQ, 1, 1, &event, 1), 0);
    device_detach(d);
    assert_int_equal(vu_test_open_fds(), before - 2);   /* both ends of the connection */
    close(event);
    device_down(d);
}

/* --------------------------------------------------------- vfu_create_ctx -- */

static void assert_no_ctx(vfu_trans_t trans, const char *path, int flags,
                          vfu_dev_type_t type, int err)
{
    errno = 0;
    assert_null(vfu_create_ctx(trans, path, flags, NULL, type));
    assert_int_equal(errno, err);
}

TEST(c2_1_create_refuses_unknown_flags)
{
    assert_no_ctx(VFU_TRANS_SOCK, "/tmp/vfu-never", 2, VFU_DEV_TYPE_PCI, EINVAL);
    assert_no_ctx(VFU_TRANS_SOCK, "/tmp/vfu-never", NB | 4, VFU_DEV_TYPE_PCI, EINVAL);
}

TEST(c2_1_create_refuses_other_transports_and_devices)
{
    assert_no_ctx(VFU_TRANS_PIPE, "/tmp/vfu-never", 0, VFU_DEV_TYPE_PCI, ENOTSUP);
    assert_no_ctx(VFU_TRANS_MAX, "/tmp/vfu-never", 0, VFU_DEV_TYPE_PCI, ENOTSUP);
    assert_no_ctx(VFU_TRANS_SOCK, "/tmp/vfu-never", 0, (vfu_dev_type_t)4, ENOTSUP);
}

TEST(c2_1_a_path_of_107_bytes_works_and_of_108_does_not)
{
    char dir[] = "/tmp/vfu-test-XXXXXX";
    char path[109];
    vfu_ctx_t *ctx;

    assert_non_null(mkdtemp(dir));
    memset(path, 'x', sizeof(path));
    memcpy(path, dir, strlen(dir));
    path[strlen(dir)] = '/';
    path[108] = '\0';
    assert_no_ctx(VFU_TRANS_SOCK, path, 0, VFU_DEV_TYPE_PCI, ENAMETOOLONG);
    path[107] = '\0';
    ctx = vfu_create_ctx(VFU_TRANS_SOCK, path, 0, NULL, VFU_DEV_TYPE_PCI);
    assert_non_null(ctx);
    assert_int_equal(access(path, F_OK), 0);
    vfu_destroy_ctx(ctx);
    assert_int_equal(rmdir(dir), 0);
}

TEST(c2_1_a_path_that_exists_is_left_alone)
{
    struct device *d = device_new(NB);

    assert_no_ctx(VFU_TRANS_SOCK, d->path, 0, VFU_DEV_TYPE_PCI, EADDRINUSE);
    assert_int_equal(access(d->path, F_OK), 0);
    device_down(d);
}

TEST(c2_1_errors_of_the_socket_are_passed_on)
{
    assert_no_ctx(VFU_TRANS_SOCK, "/nowhere/at/all", 0, VFU_DEV_TYPE_PCI, ENOENT);
    assert_no_ctx(VFU_TRANS_SOCK, "/dev/null/socket", 0, VFU_DEV_TYPE_PCI, ENOTDIR);
}

TEST(c2_1_an_empty_path_is_an_abstract_name_and_taken_once)
{
    vfu_ctx_t *ctx = vfu_create_ctx(VFU_TRANS_SOCK, "", 0, NULL, VFU_DEV_TYPE_PCI);

    assert_non_null(ctx);
    assert_no_ctx(VFU_TRANS_SOCK, "", 0, VFU_DEV_TYPE_PCI, EADDRINUSE);
    vfu_destroy_ctx(ctx);
}

TEST(c2_1_the_path_is_copied)
{
    struct device *d = device_new(NB);
    char path[sizeof(d->path)];

    strcpy(path, d->path);
    memset(d->path, 'x', strlen(d->path));
    vfu_destroy_ctx(d->ctx);
    d->ctx = NULL;
    strcpy(d->path, path);
    device_down(d);                 /* the file is gone */
}

TEST(c2_1_a_client_can_connect_before_realize)
{
    struct device *d = device_new(NB);

    d->client = client_connect(d);
    setup_usual(d);
    device_realize(d);
    device_attach(d);
    device_down(d);
}

TEST(c2_1_defaults_are_one_err_one_req_and_empty_regions)
{
    static const uint32_t counts[VFU_DEV_NUM_IRQS] = { 0, 0, 0, 1, 1 };
    struct device *d = device_new(NB);

    device_realize(d);
    device_attach(d);
    for (uint32_t i = 0; i < VFU_DEV_NUM_IRQS; i++) {
        struct vfio_irq_info info = { .argsz = sizeof(info), .index = i };

        assert_int_equal(ask(d, VFIO_USER_DEVICE_GET_IRQ_INFO, &info, sizeof(info)), 0);
        memcpy(&info, d->reply.body, sizeof(info));
        assert_int_equal(info.count, counts[i]);
    }
    for (uint32_t i = 0; i < VFU_PCI_DEV_NUM_REGIONS; i++)
        assert_int_equal(region_info(d, i, 32).size,
                         i == VFU_PCI_DEV_CFG_REGION_IDX ? 256 : 0);
    device_down(d);
}

/* -------------------------------------------------------- vfu_realize_ctx -- */

TEST(c2_1_realize_twice_succeeds)
{
    struct device *d = device_new(NB);

    device_realize(d);
    device_realize(d);
    device_down(d);
}

TEST(c2_1_realize_makes_a_conventional_config_space)
{
    struct device *d = device_new(NB);
    vfu_pci_config_space_t *space;

    assert_null(vfu_pci_get_config_space(d->ctx));
    device_realize(d);
    space = vfu_pci_get_config_space(d->ctx);
    assert_non_null(space);
    assert_int_equal(space->hdr.id.raw, 0);
    device_attach(d);
    assert_int_equal(region_info(d, VFU_PCI_DEV_CFG_REGION_IDX, 32).size, 256);
    assert_int_equal(region_info(d, VFU_PCI_DEV_CFG_REGION_IDX, 32).flags,
                     VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE);
    device_down(d);
}

TEST(c2_1_bars_without_mem_show_as_io_ports_also_unused_ones)
{
    struct device *d = device_new(NB);
    vfu_pci_config_space_t *space;

    setup_bar0(d);
    assert_int_equal(vfu_setup_region(d->ctx, 1, 16, on_access, VFU_REGION_FLAG_RW, NULL,
                                      0, -1, 0), 0);
    device_realize(d);
    space = vfu_pci_get_config_space(d->ctx);
    assert_int_equal(space->hdr.bars[0].raw, 0);
    for (int i = 1; i < PCI_BARS_NR; i++)
        assert_int_equal(space->hdr.bars[i].raw, 1);
    device_down(d);
}

TEST(c2_1_bars_show_64_bits_and_prefetch)
{
    const int mem = VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM;
    struct device *d = device_new(NB);
    vfu_pci_config_space_t *space;

    assert_int_equal(vfu_setup_region(d->ctx, 0, 4096, NULL,
                                      mem | VFU_REGION_FLAG_64_BITS, NULL, 0, -1, 0), 0);
    assert_int_equal(vfu_setup_region(d->ctx, 2, 4096, NULL,
                                      mem | VFU_REGION_FLAG_PREFETCH, NULL, 0, -1, 0), 0);
    assert_int_equal(vfu_setup_region(d->ctx, 4, 4096, NULL,
                                      mem | VFU_REGION_FLAG_64_BITS |
                                      VFU_REGION_FLAG_PREFETCH, NULL, 0, -1, 0), 0);
    device_realize(d);
    space = vfu_pci_get_config_space(d->ctx);
    assert_int_equal(space->hdr.bars[0].raw, PCI_BASE_ADDRESS_MEM_TYPE_64);
    assert_int_equal(space->hdr.bars[1].raw, 0);    /* the upper half is no I/O BAR */
    assert_int_equal(space->hdr.bars[2].raw, PCI_BASE_ADDRESS_MEM_PREFETCH);
    assert_int_equal(space->hdr.bars[4].raw,
                     PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH);
    device_down(d);
}

TEST(c2_1_the_interrupt_pin_follows_the_number_of_intx)
{
    struct device *d = device_new(NB);

    assert_int_equal(vfu_setup_device_nr_irqs(d->ctx, VFU_DEV_INTX_IRQ, 1), 0);
    device_realize(d);
    assert_int_equal(vfu_pci_get_config_space(d->ctx)->hdr.intr.ipin, 1);
    device_down(d);
    d = device_new(NB);
    assert_int_equal(vfu_setup_device_nr_irqs(d->ctx, VFU_DEV_MSIX_IRQ, 4), 0);
    device_realize(d);
    assert_int_equal(vfu_pci_get_config_space(d->ctx)->hdr.intr.ipin, 0);
    device_down(d);
}

TEST(c2_1_status_shows_standard_capabilities_only)
{
    struct dsncap dsn = { .hdr.id = PCI_EXT_CAP_ID_DSN };
    struct device *d = device_new(NB);

    setup_usual(d);
    assert_int_equal(vfu_pci_add_capability(d->ctx, 0, VFU_CAP_FLAG_EXTENDED, &dsn), 256);
    device_realize(d);
    assert_int_equal(vfu_pci_get_config_space(d->ctx)->hdr.sts.cl, 0);
    setup_express(d, false);        /* later than realize: counts here */
    assert_int_equal(vfu_pci_get_config_space(d->ctx)->hdr.sts.cl, 1);
    device_down(d);
}

TEST(c2_1_set_up_after_realize_is_not_refused)
{
    struct device *d = device_up();

    assert_int_equal(vfu_setup_device_nr_irqs(d->ctx, VFU_DEV_MSIX_IRQ, 2048), 0);
    assert_int_equal(vfu_irq_trigger(d->ctx, 2047), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(vfu_setup_device_nr_irqs(d->ctx, VFU_DEV_MSIX_IRQ, 0), 0);
    device_down(d);
}

/* --------------------------------------------------------- vfu_attach_ctx -- */

static void assert_attach(struct device *d, int ret, int err)
{
    errno = 0;
    assert_int_equal(vfu_attach_ctx(d->ctx), ret);
    if (ret != 0)
        assert_int_equal(errno, err);
}

/* After a failed attempt the next client is as welcome as ever. */
static void assert_still_attaches(struct device *d)
{
    client_close(d);
    device_attach(d);
    assert_events(d, "");           /* and no callback ran all the time */
}

static struct device *device_waiting(void)
{
    struct device *d = device_new(NB);

    setup_usual(d);
    vfu_setup_device_quiesce_cb(d->ctx, on_quiesce);
    device_realize(d);
    return d;
}

TEST(c2_1_attach_does_not_need_realize)
{
    struct device *d = device_new(NB);

    device_attach(d);
    device_down(d);
}

TEST(c2_1_attach_when_attached_is_refused)
{
    struct device *d = device_up();

    assert_attach(d, -1, EINVAL);
    device_down(d);
}

TEST(c2_1_attach_with_nobody_there_does_not_wait)
{
    struct device *d = device_waiting();

    assert_attach(d, -1, EAGAIN);
    assert_still_attaches(d);
    device_down(d);
}

TEST(c2_1_a_client_that_leaves_at_once_is_enomsg)
{
    struct device *d = device_waiting();

    close(client_connect(d));
    assert_attach(d, -1, ENOMSG);
    assert_still_attaches(d);
    device_down(d);
}

TEST(c2_1_a_client_that_leaves_halfway_is_econnreset)
{
    uint8_t version[VERSION_BYTES];
    struct device *d = device_waiting();

    put_version(version);
    for (size_t len = 1; len < sizeof(version); len++) {
        d->client = client_connect(d);
        send_bytes(d, version, len);
        client_close(d);
        assert_attach(d, -1, ECONNRESET);
    }
    assert_still_attaches(d);
    device_down(d);
}

/* Sizes that cannot be framed; ours says so before it hangs up. */
TEST(c2_1_a_first_header_of_impossible_size_is_refused)
{
    static const uint32_t sizes[] = { 0, 15, 1048609, UINT32_MAX };
    struct device *d = device_waiting();

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct vfio_user_header h = {
            .msg_id = 7, .cmd = VFIO_USER_VERSION, .msg_size = sizes[i],
        };

        d->client = client_connect(d);
        send_bytes(d, &h, sizeof(h));
        assert_attach(d, -1, EINVAL);
        assert_int_equal(receive_reply(d, 7, VFIO_USER_VERSION), EINVAL);
        assert_ended(d);
        client_close(d);
    }
    assert_still_attaches(d);
    device_down(d);
}

TEST(c2_1_a_first_message_that_is_a_reply_is_refused_without_an_answer)
{
    uint8_t bytes[VERSION_BYTES];
    struct device *d = device_waiting();

    put_command(bytes, 1, VFIO_USER_VERSION, VFIO_USER_F_TYPE_REPLY, "\0\0\1\0", 4);
    d->client = client_connect(d);
    send_bytes(d, bytes, sizeof(bytes));
    assert_attach(d, -1, EINVAL);
    assert_ended(d);
    assert_still_attaches(d);
    device_down(d);
}

TEST(c2_1_a_first_command_that_is_not_version_is_answered_and_refused)
{
    struct vfio_user_device_info info = { .argsz = sizeof(info) };
    struct device *d = device_waiting();

    d->client = client_connect(d);
    post(d, VFIO_USER_DEVICE_GET_INFO, &info, sizeof(info));
    assert_attach(d, -1, EINVAL);
    assert_int_equal(receive_reply(d, d->id, VFIO_USER_DEVICE_GET_INFO), EINVAL);
    assert_ended(d);
    assert_still_attaches(d);
    device_down(d);
}

TEST(c2_1_a_bad_version_message_is_answered_and_refused)
{
    static const char *const json[] = { "{",
                                        "{\"capabilities\":{\"max_msg_fds\":\"1\"}}" };
    struct device *d = device_waiting();

    for (size_t len = 0; len < 4; len++) {
        d->client = client_connect(d);
        post(d, VFIO_USER_VERSION, "\0\0\1", len);
        assert_attach(d, -1, EINVAL);
        assert_int_equal(receive_reply(d, d->id, VFIO_USER_VERSION), EINVAL);
        assert_ended(d);
        client_close(d);
    }
    assert_int_equal(negotiate(d, 1, 0, NULL), EINVAL);
    client_close(d);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(negotiate(d, 0, 1, json[i]), EINVAL);
        assert_ended(d);
        client_close(d);
    }
    assert_still_attaches(d);
    device_down(d);
}

TEST(c2_1_descriptors_with_version_are_closed_and_do_no_harm)
{
    uint8_t version[VERSION_BYTES];
    struct device *d = device_waiting();
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    put_version(version);
    d->client = client_connect(d);
    assert_int_equal(send_some(d->client, version, sizeof(version), &fds[1], 1),
                     sizeof(version));
    close(fds[1]);
    assert_attach(d, 0, 0);
    assert_int_equal(receive_reply(d, 1, VFIO_USER_VERSION), 0);
    assert_true(hung_up(fds[0]));
    close(fds[0]);
    device_down(d);
}

TEST(c2_1_a_second_client_waits_until_the_first_has_gone)
{
    struct device *d = device_up();
    int first = d->client;
    int second;

    d->client = -1;
    post_version(d, 0, 1, NULL);
    second = d->client;
    d->client = first;
    assert_attach(d, -1, EINVAL);
    assert_int_equal(run(d), 0);
    device_detach(d);
    d->client = second;
    assert_attach(d, 0, 0);
    assert_int_equal(receive_reply(d, d->id, VFIO_USER_VERSION), 0);
    device_down(d);
}

/* ---------------------------------------------------------- vfu_get_poll_fd -- */

static void ask_the_peer(struct device *d, const char *event, const vfu_dma_info_t *info)
{
    struct ucred peer = { 0 };
    socklen_t len = sizeof(peer);

    (void)event;
    (void)info;
    if (getsockopt(vfu_get_poll_fd(d->ctx), SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
        peer.pid == getpid())
        ++*(int *)d->aux;
}

TEST(c2_1_the_poll_fd_names_the_peer_in_every_callback_also_at_the_end)
{
    struct device *d = device_up();
    int named = 0;

    d->aux = &named;
    d->in_callback = ask_the_peer;
    assert_int_equal(dma_map(d, 0x10000, PAGE, -1), 0);
    device_detach(d);
    assert_events(d, "register:10000 unregister:10000 reset:lost");
    assert_int_equal(named, 3);
    device_down(d);
}

TEST(c2_1_the_poll_fd_is_readable_when_there_is_something_to_do)
{
    struct device *d = device_waiting();
    struct pollfd p = { .events = POLLIN };

    p.fd = vfu_get_poll_fd(d->ctx);
    assert_int_equal(poll(&p, 1, 0), 0);
    d->client = client_connect(d);
    assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
    assert_attach(d, -1, EAGAIN);
    assert_int_equal(poll(&p, 1, 0), 0);
    post_version(d, 0, 1, NULL);    /* the same descriptor notices */
    assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
    assert_attach(d, 0, 0);
    receive_reply(d, d->id, VFIO_USER_VERSION);
    p.fd = vfu_get_poll_fd(d->ctx);
    assert_int_equal(poll(&p, 1, 0), 0);
    post(d, VFIO_USER_DEVICE_RESET, NULL, 0);
    assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
    device_down(d);
}

/* -------------------------------------------------------------- vfu_run_ctx -- */

TEST(c2_1_run_before_realize_is_refused)
{
    struct device *d = device_new(NB);

    assert_int_equal(run(d), -EINVAL);
    device_attach(d);
    assert_int_equal(run(d), -EINVAL);
    device_down(d);
}

TEST(c2_1_run_without_a_client_is_enotconn)
{
    struct device *d = device_waiting();

    assert_int_equal(run(d), -ENOTCONN);
    assert_events(d, "");
    device_down(d);
}

TEST(c2_1_run_with_nothing_to_read_is_0)
{
    struct device *d = device_up();

    assert_int_equal(run(d), 0);
    assert_int_equal(run(d), 0);
    device_down(d);
}

TEST(c2_1_run_counts_commands_that_succeed_and_that_fail)
{
    struct device *d = device_up();

    assert_int_equal(region_read(d, 0, 0, 4), 0);
    assert_int_equal(d->ran, 1);
    assert_int_equal(region_read(d, 0, BAR0_SIZE, 4), EINVAL);
    assert_int_equal(d->ran, 1);
    device_down(d);
}

/* The number of what one read brought: more than the one of the original. */
TEST(c2_1_run_serves_what_one_read_brought_and_says_how_many)
{
    struct device *d = device_up();
    uint16_t first = d->id + 1;

    for (int i = 0; i < 5; i++)
        post(d, VFIO_USER_DEVICE_RESET, NULL, 0);
    assert_int_equal(run(d), 5);
    for (uint16_t i = 0; i < 5; i++)
        assert_int_equal(receive_reply(d, first + i, VFIO_USER_DEVICE_RESET), 0);
    assert_int_equal(run(d), 0);
    device_down(d);
}

TEST(c2_1_run_while_quiescing_is_ebusy_and_leaves_the_socket_alone)
{
    struct device *d = device_up_quiescing();
    uint16_t id;

    d->quiesce_errno = EBUSY;
    post(d, VFIO_USER_DEVICE_RESET, NULL, 0);
    id = d->id;
    assert_int_equal(run(d), -EBUSY);
    post(d, VFIO_USER_DEVICE_RESET, NULL, 0);
    assert_int_equal(run(d), -EBUSY);
    assert_events(d, "quiesce");
    assert_silent(d);
    d->quiesce_errno = 0;
    assert_int_equal(vfu_device_quiesced(d->ctx, 0), 0);
    assert_int_equal(receive_reply(d, id, VFIO_USER_DEVICE_RESET), 0);
    assert_int_equal(run(d), 1);
    assert_int_equal(receive_reply(d, d->id, VFIO_USER_DEVICE_RESET), 0);
    device_down(d);
}

TEST(c2_1_a_lost_client_is_enotconn_once_and_again)
{
    struct device *d = device_up();

    device_detach(d);
    assert_events(d, "reset:lost");
    assert_int_equal(run(d), -ENOTCONN);
    assert_events(d, "");
    device_attach(d);
    assert_int_equal(region_read(d, 0, 0, 4), 0);
    device_down(d);
}

TEST(c2_1_a_reply_that_cannot_be_sent_resets_inside_the_call_once)
{
    struct device *d = device_up();

    post(d, VFIO_USER_DEVICE_RESET, NULL, 0);
    client_close(d);
    assert_int_equal(run(d), 1);
    assert_events(d, "reset:device reset:lost");
    assert_int_equal(run(d), -ENOTCONN);
    assert_events(d, "");
    device_down(d);
}

static void busy_from_now_on(struct device *d, const char *event,
                             const vfu_dma_info_t *info)
{
    (void)info;
    if (strcmp(event, "reset:device") == 0)
        d->quiesce_errno = EBUSY;
}

TEST(c2_1_a_reply_that_cannot_be_sent_may_have_to_wait_for_the_device)
{
    struct device *d = device_up_quiescing();

    d->in_callback = busy_from_now_on;
    post(d, VFIO_USER_DEVICE_RESET, NULL, 0);
    client_close(d);
    assert_int_equal(run(d), -EBUSY);
    assert_events(d, "quiesce reset:device quiesce");
    d->quiesce_errno = 0;
    assert_int_equal(vfu_device_quiesced(d->ctx, 0), 0);
    assert_events(d, "reset:lost");
    assert_int_equal(run(d), -ENOTCONN);
    device_down(d);
}

TEST(c2_1_a_blocking_run_serves_until_the_client_leaves)
{
    struct device *d = device_new(0);

    setup_usual(d);
    device_realize(d);
    device_attach(d);
    for (int i = 0; i < 3; i++)
        post(d, VFIO_USER_DEVICE_RESET, NULL, 0);
    shutdown(d->client, SHUT_WR);
    assert_int_equal(run(d), -ENOTCONN);
    for (uint16_t i = 0; i < 3; i++)
        assert_int_equal(receive_reply(d, d->id - 2 + i, VFIO_USER_DEVICE_RESET), 0);
    assert_ended(d);
    client_close(d);
    device_attach(d);
    device_down(d);
}

/* ----------------------------------------------------------- vfu_destroy_ctx -- */

TEST(c2_1_destroy_of_nothing_does_nothing)
{
    vfu_destroy_ctx(NULL);
}

TEST(c2_1_destroy_resets_always_and_never_quiesces)
{
    struct device *d = device_waiting();

    vfu_destroy_ctx(d->ctx);        /* never attached */
    d->ctx = NULL;
    assert_events(d, "reset:lost");
    device_down(d);

    d = device_waiting();
    device_attach(d);
    device_detach(d);
    assert_events(d, "quiesce reset:lost");
    vfu_destroy_ctx(d->ctx);        /* just disconnected */
    d->ctx = NULL;
    assert_events(d, "reset:lost");
    device_down(d);
}

TEST(c2_1_destroy_unregisters_ascending_then_resets_then_hangs_up)
{
    struct device *d = device_up_quiescing();

    assert_int_equal(dma_map(d, 0x30000, PAGE, -1), 0);
    assert_int_equal(dma_map(d, 0x10000, PAGE, -1), 0);
    assert_int_equal(dma_map(d, 0x20000, PAGE, -1), 0);
    d->events[0] = '\0';
    d->reset_errno = EIO;           /* makes no difference */
    vfu_destroy_ctx(d->ctx);
    d->ctx = NULL;
    assert_events(d, "unregister:10000 unregister:20000 unregister:30000 reset:lost");
    assert_ended(d);
    device_down(d);
}

TEST(c2_1_destroy_removes_the_socket_file)
{
    struct device *d = device_waiting();

    assert_int_equal(access(d->path, F_OK), 0);
    vfu_destroy_ctx(d->ctx);
    d->ctx = NULL;
    assert_int_equal(access(d->path, F_OK), -1);
    assert_int_equal(errno, ENOENT);
    device_down(d);
}

TEST(c2_1_destroy_drops_a_command_that_waits_for_the_device)
{
    struct device *d = device_up_quiescing();

    d->quiesce_errno = EBUSY;
    post(d, VFIO_USER_DEVICE_RESET, NULL, 0);
    assert_int_equal(run(d), -EBUSY);
    vfu_destroy_ctx(d->ctx);
    d->ctx = NULL;
    assert_events(d, "quiesce reset:lost");
    assert_ended(d);
    device_down(d);
}

static void log_private(vfu_ctx_t *ctx, int level, const char *msg)
{
    (void)level;
    (void)msg;
    ++*(int *)((struct device *)vfu_get_private(ctx))->aux;
}

static void log_something(struct device *d, const char *event, const vfu_dma_info_t *info)
{
    (void)info;
    vfu_log(d->ctx, LOG_ERR, "%s", event);
}

TEST(c2_1_private_is_there_in_every_callback_also_in_destroy)
{
    struct device *d = device_up();
    int lines = 0;

    assert_ptr_equal(vfu_get_private(d->ctx), d);
    d->aux = &lines;
    d->in_callback = log_something;
    assert_int_equal(vfu_setup_log(d->ctx, log_private, LOG_ERR), 0);
    vfu_destroy_ctx(d->ctx);
    d->ctx = NULL;
    assert_int_equal(lines, 1);
    device_down(d);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(c2_descriptors_that_a_command_has_no_use_for_are_closed),
    VU_FD_TEST(c2_descriptors_of_a_refused_command_are_closed),
    VU_FD_TEST(c2_a_regions_descriptor_stays_the_programs),
    VU_FD_TEST(c2_a_windows_descriptor_is_closed_with_the_window),
    VU_FD_TEST(c2_eventfds_are_closed_when_replaced_disabled_and_at_the_end),
    VU_FD_TEST(c2_1_create_refuses_unknown_flags),
    VU_FD_TEST(c2_1_create_refuses_other_transports_and_devices),
    VU_FD_TEST(c2_1_a_path_of_107_bytes_works_and_of_108_does_not),
    VU_FD_TEST(c2_1_a_path_that_exists_is_left_alone),
    VU_FD_TEST(c2_1_errors_of_the_socket_are_passed_on),
    VU_FD_TEST(c2_1_an_empty_path_is_an_abstract_name_and_taken_once),
    VU_FD_TEST(c2_1_the_path_is_copied),
    VU_FD_TEST(c2_1_a_client_can_connect_before_realize),
    VU_FD_TEST(c2_1_defaults_are_one_err_one_req_and_empty_regions),
    VU_FD_TEST(c2_1_realize_twice_succeeds),
    VU_FD_TEST(c2_1_realize_makes_a_conventional_config_space),
    VU_FD_TEST(c2_1_bars_without_mem_show_as_io_ports_also_unused_ones),
    VU_FD_TEST(c2_1_bars_show_64_bits_and_prefetch),
    VU_FD_TEST(c2_1_the_interrupt_pin_follows_the_number_of_intx),
    VU_FD_TEST(c2_1_status_shows_standard_capabilities_only),
    VU_FD_TEST(c2_1_set_up_after_realize_is_not_refused),
    VU_FD_TEST(c2_1_attach_does_not_need_realize),
    VU_FD_TEST(c2_1_attach_when_attached_is_refused),
    VU_FD_TEST(c2_1_attach_with_nobody_there_does_not_wait),
    VU_FD_TEST(c2_1_a_client_that_leaves_at_once_is_enomsg),
    VU_FD_TEST(c2_1_a_client_that_leaves_halfway_is_econnreset),
    VU_FD_TEST(c2_1_a_first_header_of_impossible_size_is_refused),
    VU_FD_TEST(c2_1_a_first_message_that_is_a_reply_is_refused_without_an_answer),
    VU_FD_TEST(c2_1_a_first_command_that_is_not_version_is_answered_and_refused),
    VU_FD_TEST(c2_1_a_bad_version_message_is_answered_and_refused),
    VU_FD_TEST(c2_1_descriptors_with_version_are_closed_and_do_no_harm),
    VU_FD_TEST(c2_1_a_second_client_waits_until_the_first_has_gone),
    VU_FD_TEST(c2_1_the_poll_fd_names_the_peer_in_every_callback_also_at_the_end),
    VU_FD_TEST(c2_1_the_poll_fd_is_readable_when_there_is_something_to_do),
    VU_FD_TEST(c2_1_run_before_realize_is_refused),
    VU_FD_TEST(c2_1_run_without_a_client_is_enotconn),
    VU_FD_TEST(c2_1_run_with_nothing_to_read_is_0),
    VU_FD_TEST(c2_1_run_counts_commands_that_succeed_and_that_fail),
    VU_FD_TEST(c2_1_run_serves_what_one_read_brought_and_says_how_many),
    VU_FD_TEST(c2_1_run_while_quiescing_is_ebusy_and_leaves_the_socket_alone),
    VU_FD_TEST(c2_1_a_lost_client_is_enotconn_once_and_again),
    VU_FD_TEST(c2_1_a_reply_that_cannot_be_sent_resets_inside_the_call_once),
    VU_FD_TEST(c2_1_a_reply_that_cannot_be_sent_may_have_to_wait_for_the_device),
    VU_FD_TEST(c2_1_a_blocking_run_serves_until_the_client_leaves),
    VU_FD_TEST(c2_1_destroy_of_nothing_does_nothing),
    VU_FD_TEST(c2_1_destroy_resets_always_and_never_quiesces),
    VU_FD_TEST(c2_1_destroy_unregisters_ascending_then_resets_then_hangs_up),
    VU_FD_TEST(c2_1_destroy_removes_the_socket_file),
    VU_FD_TEST(c2_1_destroy_drops_a_command_that_waits_for_the_device),
    VU_FD_TEST(c2_1_private_is_there_in_every_callback_also_in_destroy),
};

VU_TEST_MAIN(tests)
