/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole session in which the n-th allocation or system call fails, for every n until a
 * session passes without a failure: set-up, attach, windows, interrupts, messages for
 * DMA, the dirty log, migration, reset, and the next client.
 *
 * What holds for every n:
 * - a call or command that fails says so with the errno of what failed;
 * - the same once more succeeds: nothing of the first attempt is in the way;
 * - or the client is dropped, and the next one finds a context like new;
 * - in the end no descriptor and no mapping is left (no memory: LeakSanitizer).
 * A call that a signal interrupts is not even that: nothing fails, nobody is dropped.
 */
#include "libserver/tests/guest.h"
#include "libserver/tests/migrate.h"

#include <stdio.h>

#include "libserver/tests/faults.h"

#define BY_POINTER 0x100000u    /* windows: mapped, read and written, by message */
#define BY_FILE    0x200000u
#define BY_MESSAGE 0x300000u
#define WINDOW     0x10000u
#define PAGE       4096u

#define PROPOSAL "{\"capabilities\":{\"twin_socket\":{\"supported\":true}," \
                 "\"write_multiple\":true,\"migration\":{}}}"

enum mode { PLAIN, ALL_OPTIONS, MODES };

struct session {
    enum mode mode;
    struct life l;
    int memory;             /* of the client */
    int event, unmask, io;  /* eventfds: of a vector, to unmask it, of a register */
    int client, twin;       /* -1: none */
    struct guest guest;     /* answers on the twin */
    struct received got;
    int failed, lost;       /* calls and commands; connections */
    int repeated;           /* calls that did nothing and were made again */
};

enum result { DONE, FAILED, LOST };

static vfu_ctx_t *ctx_of(struct session *s)
{
    return s->l.core.ctx;
}

/* ------------------------------------------------------------------ set-up -- */

static int create(struct session *s)
{
    s->l.core.ctx = vfu_create_ctx(VFU_TRANS_SOCK, s->l.path, LIBVFIO_USER_FLAG_ATTACH_NB,
                                   &s->l.core, VFU_DEV_TYPE_PCI);
    return s->l.core.ctx != NULL ? 0 : -1;
}

static int init_pci(struct session *s)
{
    return vfu_pci_init(ctx_of(s), VFU_PCI_TYPE_EXPRESS, 0, 0);
}

static int set_up_registers(struct session *s)
{
    return vfu_setup_region(ctx_of(s), 0, BAR0_SIZE, core_access,
                            VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM, NULL, 0, -1, 0);
}

static int set_up_memory(struct session *s)
{
    struct iovec areas[2] = { { (void *)0x1000, 0x1000 }, { (void *)0x3000, 0x1000 } };

    return vfu_setup_region(ctx_of(s), 2, BAR2_SIZE, NULL,
                            VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM, areas, 2,
                            s->l.core.memory, 0x2000);
}

static int set_up_msix(struct session *s)
{
    return vfu_setup_device_nr_irqs(ctx_of(s), VFU_DEV_MSIX_IRQ, N_MSIX);
}

static int set_up_msi(struct session *s)
{
    return vfu_setup_device_nr_irqs(ctx_of(s), VFU_DEV_MSI_IRQ, N_MSI);
}

static int set_up_dma(struct session *s)
{
    return vfu_setup_device_dma(ctx_of(s), MAX_MAPS, core_register, core_unregister);
}

static int set_up_migration(struct session *s)
{
    return vfu_setup_device_migration_callbacks(ctx_of(s), &mover_callbacks);
}

static int set_up_ioeventfd(struct session *s)
{
    return vfu_create_ioeventfd(ctx_of(s), 0, s->io, 0x100, 4, 0, 0, -1, 0);
}

static int set_up_queue(struct session *s)
{
    return s->mode == ALL_OPTIONS ? vfu_setup_output_queue(ctx_of(s), 1u << 20) : 0;
}

static int set_up_guard(struct session *s)
{
    return s->mode == ALL_OPTIONS ? vfu_setup_memory_guard(ctx_of(s)) : 0;
}

static int open_wake_fd(struct session *s)
{
    return s->mode == ALL_OPTIONS && vfu_get_wake_fd(ctx_of(s)) < 0 ? -1 : 0;
}

static int realize(struct session *s)
{
    return vfu_realize_ctx(ctx_of(s));
}

static int (*const set_up[])(struct session *s) = {
    create, init_pci, set_up_registers, set_up_memory, set_up_msix, set_up_msi,
    set_up_dma, set_up_migration, set_up_ioeventfd, set_up_queue, set_up_guard,
    open_wake_fd, realize,
};

/* ------------------------------------------------------------- connections -- */

static void drop_client(struct session *s)
{
    if (s->twin != -1) {
        guest_end(&s->guest);
        close(s->twin);
    }
    if (s->client != -1)
        close(s->client);
    s->client = s->twin = -1;
}

/* The reply to VERSION, with the twin. False: the connection has ended. */
static bool agreed(struct session *s)
{
    uint8_t bytes[1024];
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct iovec iov = { .iov_base = bytes, .iov_len = sizeof(bytes) };
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1,
        .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes),
    };
    ssize_t n = recvmsg(s->client, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

    if (n <= 0)
        return false;
    if (msg.msg_controllen != 0)
        memcpy(&s->twin, CMSG_DATA(&control.align), sizeof(int));
    if (s->twin == -1)
        return true;
    guest_begin(&s->guest, s->twin, s->twin, BY_MESSAGE);
    return true;
}

static int try_attach(struct session *s)
{
    bool before = faults.hit;
    int ret, err;

    faults_go_on();
    ret = vfu_attach_ctx(ctx_of(s));
    err = errno;
    faults_rest();
    if (ret != 0 && err != EAGAIN) {
        assert_true(faults.hit && !before);
        /* A VERSION that could not be answered, or an answer that could not be sent. */
        assert_true(err == faults.err || err == EINVAL || err == ECONNRESET);
        s->repeated++;
    }
    return ret;
}

static bool has_ended(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    char byte;

    return poll(&p, 1, 0) == 1 && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}

/* False: this client was not let in. */
static bool connect_once(struct session *s)
{
    uint8_t body[256] = { 0, 0, 1, 0 }, bytes[300], *at;
    bool hit = faults.hit;

    s->client = client_connect(&s->l);
    if (try_attach(s) != -1 || has_ended(s->client))    /* it has said nothing yet */
        return false;
    strcpy((char *)body + 4, PROPOSAL);
    at = put_message(bytes, 1, VU_VERSION, 0, body, 4 + sizeof(PROPOSAL));
    client_send(s->client, bytes, (size_t)(at - bytes));
    if (try_attach(s) != 0) {
        if (has_ended(s->client))
            return false;
        if (try_attach(s) != 0)
            return false;
    }
    if (!agreed(s) || s->twin == -1)
        return false;
    assert_true(hit || !faults.hit || !has_ended(s->client));
    return true;
}

static void connect_client(struct session *s)
{
    if (connect_once(s))
        return;
    assert_true(faults.hit);
    s->lost++;
    drop_client(s);
    assert_int_equal(vfu_run_ctx(ctx_of(s)), -1);
    assert_int_equal(errno, ENOTCONN);
    assert_true(connect_once(s));
}

/* ----------------------------------------------------------------- commands -- */

static enum result lost(struct session *s)
{
    (void)s;
    assert_true(faults.hit);
    assert_int_equal(errno, ENOTCONN);
    return LOST;
}

static int run(struct session *s)
{
    int ret, err;

    faults_go_on();
    ret = vfu_run_ctx(ctx_of(s));
    err = errno;
    faults_rest();
    if (ret == 1 || (ret == -1 && err == ENOTCONN)) {
        errno = err;
        return ret;
    }
    assert_true(faults.hit);
    if (ret == -1)
        assert_int_equal(err, faults.err);
    s->repeated++;
    return vfu_run_ctx(ctx_of(s));
}

/* A command and its reply, which is in s->got then. */
static enum result ask_fds(struct session *s, uint16_t command, const void *body,
                           size_t len, const int *fds, size_t n_fds)
{
    static uint8_t bytes[4096];
    struct pollfd p = { .fd = s->client, .events = POLLIN };
    uint8_t *at = put_message(bytes, 7, command, 0, body, len);
    int ret;

    client_send_fds(s->client, bytes, (size_t)(at - bytes), fds, n_fds);
    ret = run(s);
    if (ret == -1)
        return lost(s);
    assert_int_equal(ret, 1);
    if (poll(&p, 1, 0) != 1) {      /* kept back by a fault: the next call sends it */
        assert_true(faults.hit);
        assert_true(vfu_run_ctx(ctx_of(s)) == 0 || errno == ENOTCONN);
    }
    if (has_ended(s->client)) {
        assert_int_equal(vfu_run_ctx(ctx_of(s)), -1);
        return lost(s);
    }
    client_receive(s->client, &s->got);
    assert_int_equal(s->got.h.msg_id, 7);
    if (s->got.h.error == 0)
        return DONE;
    assert_true(faults.hit);
    assert_int_equal(s->got.h.error, faults.err);
    return FAILED;
}

static enum result ask(struct session *s, uint16_t command, const void *body, size_t len)
{
    return ask_fds(s, command, body, len, NULL, 0);
}

static enum result ask_feature(struct session *s, uint32_t flags, const void *data,
                               size_t len)
{
    uint8_t body[256];
    size_t n = put_feature(body, sizeof(body), 0, flags, data, len);

    return ask(s, VU_DEVICE_FEATURE, body, n);
}

/* A call of the device's, 0 or -1. The connection may break in it. */
static enum result judge_call(struct session *s, int ret, int err)
{
    int lives = vfu_run_ctx(ctx_of(s));

    if (lives == -1)
        return lost(s);
    assert_int_equal(lives, 0);
    if (ret == 0)
        return DONE;
    assert_true(faults.hit);
    assert_int_equal(err, faults.err);
    return FAILED;
}

/* ------------------------------------------------------------------- steps -- */

static enum result get_info(struct session *s)
{
    static const uint8_t body[VU_DEVICE_INFO_SIZE] = { 16 };
    enum result r = ask(s, VU_DEVICE_GET_INFO, body, sizeof(body));

    if (r == DONE)
        assert_int_equal(s->got.body_len, sizeof(body));
    return r;
}

static enum result get_region_info(struct session *s)
{
    const struct vu_region_info m = { .argsz = 4096, .index = 2 };
    uint8_t body[VU_REGION_INFO_SIZE];
    enum result r;

    ENCODE(region_info, &m, body);
    r = ask(s, VU_DEVICE_GET_REGION_INFO, body, sizeof(body));
    if (r == DONE)
        assert_int_equal(s->got.body_len, VU_REGION_INFO_SIZE + 16 + 2 * 16);
    return r;
}

static enum result get_irq_info(struct session *s)
{
    const struct vu_irq_info m = { .argsz = 16, .index = VFU_DEV_MSIX_IRQ };
    uint8_t body[VU_IRQ_INFO_SIZE];
    enum result r;

    ENCODE(irq_info, &m, body);
    r = ask(s, VU_DEVICE_GET_IRQ_INFO, body, sizeof(body));
    if (r == DONE)
        assert_int_equal(s->got.body[12], N_MSIX);
    return r;
}

static enum result get_io_fds(struct session *s)
{
    const struct vu_region_io_fds m = { .argsz = 4096 };
    uint8_t body[VU_REGION_IO_FDS_SIZE];
    enum result r;

    ENCODE(region_io_fds, &m, body);
    r = ask(s, VU_DEVICE_GET_REGION_IO_FDS, body, sizeof(body));
    if (r == DONE)
        assert_int_equal(s->got.body[12], 1);
    return r;
}

static enum result map(struct session *s, uint64_t address, uint32_t mode, bool fd)
{
    const struct vu_dma_map m = {
        .argsz = VU_DMA_MAP_SIZE, .flags = RW | mode, .address = address,
        .size = WINDOW,
    };
    uint8_t body[VU_DMA_MAP_SIZE];

    ENCODE(dma_map, &m, body);
    return ask_fds(s, VU_DMA_MAP, body, sizeof(body), &s->memory, fd);
}

static enum result map_memory(struct session *s)
{
    return map(s, BY_POINTER, 0, true);
}

static enum result map_file(struct session *s)
{
    return map(s, BY_FILE, VU_DMA_FILE_IO, true);
}

static enum result map_nothing(struct session *s)
{
    return map(s, BY_MESSAGE, 0, false);
}

static enum result set_irqs(struct session *s, uint32_t action, int fd)
{
    const struct vu_irq_set m = {
        .argsz = VU_IRQ_SET_SIZE, .flags = VU_IRQ_SET_DATA_EVENTFD | action,
        .index = VFU_DEV_MSIX_IRQ, .start = 1, .count = 1,
    };
    uint8_t body[VU_IRQ_SET_SIZE];

    ENCODE(irq_set, &m, body);
    return ask_fds(s, VU_DEVICE_SET_IRQS, body, sizeof(body), &fd, 1);
}

static enum result assign_vector(struct session *s)
{
    return set_irqs(s, VU_IRQ_SET_ACTION_TRIGGER, s->event);
}

static enum result assign_unmask(struct session *s)
{
    return set_irqs(s, VU_IRQ_SET_ACTION_UNMASK, s->unmask);
}

static enum result trigger(struct session *s)
{
    struct pollfd p = { .fd = s->event, .events = POLLIN };
    uint64_t n;
    int ret, err;

    faults_go_on();
    ret = vfu_irq_trigger(ctx_of(s), 1);
    err = errno;
    faults_rest();
    /* With a poll() that fails there seems to be no room. */
    if (ret == 0 && poll(&p, 1, 0) != 1) {
        assert_true(faults.hit);
        assert_string_equal(faults.what, "poll");
        return FAILED;
    }
    if (ret == 0)
        assert_int_equal(read(s->event, &n, sizeof(n)), sizeof(n));
    return judge_call(s, ret, err);
}

static enum result region(struct session *s, bool write)
{
    const struct vu_region_access m = { .offset = 3, .region = 0, .count = 5 };
    uint8_t body[VU_REGION_ACCESS_SIZE + 5] = { 0 };
    struct vu_writer w = vu_writer(body, VU_REGION_ACCESS_SIZE);

    vu_encode_region_access(&w, &m);
    memcpy(body + VU_REGION_ACCESS_SIZE, "hello", 5);
    return ask(s, write ? VU_REGION_WRITE : VU_REGION_READ, body,
               sizeof(body) - (write ? 0 : 5));
}

static enum result write_region(struct session *s)
{
    return region(s, true);
}

static enum result read_region(struct session *s)
{
    enum result r = region(s, false);

    if (r == DONE)
        assert_memory_equal(s->got.body + VU_REGION_ACCESS_SIZE, "hello", 5);
    return r;
}

static enum result write_multi(struct session *s)
{
    const struct vu_write_multi_entry e = { .offset = 16, .count = 4, .data = "many" };
    uint8_t body[8 + 24] = { 1 };
    struct vu_writer w = vu_writer(body + 8, 24);
    enum result r;

    assert_int_equal(vu_encode_write_multi_entry(&w, &e), 0);
    r = ask(s, VU_REGION_WRITE_MULTI, body, sizeof(body));
    if (r == DONE)
        assert_memory_equal(s->l.core.bar0 + 16, "many", 4);
    return r;
}

static enum result start_log(struct session *s)
{
    const struct vu_dma_logging m = { .page_size = PAGE };
    uint8_t data[VU_DMA_LOGGING_SIZE];

    ENCODE(dma_logging, &m, data);
    return ask_feature(s, VU_FEATURE_SET | VU_FEATURE_DMA_LOGGING_START, data,
                       sizeof(data));
}

static enum result stop_log(struct session *s)
{
    return ask_feature(s, VU_FEATURE_SET | VU_FEATURE_DMA_LOGGING_STOP, NULL, 0);
}

static enum result report_log(struct session *s)
{
    const struct vu_dma_report m = {
        .iova = BY_POINTER, .length = WINDOW, .page_size = PAGE,
    };
    uint8_t data[VU_DMA_REPORT_SIZE];
    enum result r;

    ENCODE(dma_report, &m, data);
    r = ask_feature(s, VU_FEATURE_GET | VU_FEATURE_DMA_LOGGING_REPORT, data,
                    sizeof(data));
    if (r == DONE)
        assert_int_equal(s->got.body[VU_FEATURE_SIZE + VU_DMA_REPORT_SIZE], 0x06);
    return r;
}

/* The device writes bytes 0x1ffc to 0x2003 by pointers. */
static enum result touch_memory(struct session *s)
{
    vfu_dma_addr_t address = (vfu_dma_addr_t)(uintptr_t)(BY_POINTER + 0x1ffc);
    struct iovec iov;
    dma_sg_t sg;
    int ret;

    faults_go_on();
    ret = vfu_addr_to_sgl(ctx_of(s), address, 8, &sg, 1, PROT_WRITE);
    if (ret == 1)
        ret = vfu_sgl_get(ctx_of(s), &sg, &iov, 1, 0);
    if (ret == 0)
        vfu_sgl_put(ctx_of(s), &sg, &iov, 1);
    faults_rest();
    return judge_call(s, ret, errno);
}

/* The device copies 8 bytes into a window, or out of it. */
static enum result transfer(struct session *s, uint64_t address, int flags, bool write)
{
    char data[8] = "to guest";
    int ret, err;

    if (!write)
        memset(data, 0, sizeof(data));
    faults_go_on();
    ret = guest_transfer(ctx_of(s), address, data, sizeof(data), flags, write);
    err = errno;
    faults_rest();
    if (ret == 0 && !write)
        assert_memory_equal(data, "to guest", 8);
    return judge_call(s, ret, err);
}

static enum result write_memory(struct session *s)
{
    return transfer(s, BY_POINTER + 0x1ffc, VFU_SGL_DIRECT_ACCESS, true);
}

static enum result read_memory(struct session *s)
{
    return transfer(s, BY_POINTER + 0x1ffc, VFU_SGL_DIRECT_ACCESS, false);
}

static enum result write_file(struct session *s)
{
    return transfer(s, BY_FILE + 0x4ffc, VFU_SGL_DIRECT_ACCESS, true);
}

static enum result read_file(struct session *s)
{
    return transfer(s, BY_FILE + 0x4ffc, VFU_SGL_DIRECT_ACCESS, false);
}

static enum result write_by_message(struct session *s)
{
    return transfer(s, BY_MESSAGE + 0x10, 0, true);
}

static enum result read_by_message(struct session *s)
{
    return transfer(s, BY_MESSAGE + 0x10, 0, false);
}

static enum result set_state(struct session *s, uint32_t state)
{
    const struct vu_feature_mig_state m = { .device_state = state };
    uint8_t data[VU_FEATURE_MIG_STATE_SIZE];

    mover_forget();
    ENCODE(feature_mig_state, &m, data);
    return ask_feature(s, VU_FEATURE_SET | VU_FEATURE_MIG_DEVICE_STATE, data,
                       sizeof(data));
}

static enum result stop_and_copy(struct session *s)
{
    mover.at = 0;
    mover.end = 4000;
    return set_state(s, VU_MIG_STOP_COPY);
}

static enum result resuming(struct session *s)
{
    return set_state(s, VU_MIG_RESUMING);
}

static enum result running(struct session *s)
{
    return set_state(s, VU_MIG_RUNNING);
}

static enum result read_state(struct session *s)
{
    const struct vu_mig_data m = { .argsz = VU_MIG_DATA_SIZE + 1000, .size = 1000 };
    uint8_t body[VU_MIG_DATA_SIZE];
    enum result r;

    ENCODE(mig_data, &m, body);
    r = ask(s, VU_MIG_DATA_READ, body, sizeof(body));
    if (r == DONE)
        assert_int_equal(s->got.body_len, VU_MIG_DATA_SIZE + 1000);
    return r;
}

static enum result write_state(struct session *s)
{
    const struct vu_mig_data m = { .argsz = VU_MIG_DATA_SIZE + 999, .size = 999 };
    static uint8_t body[VU_MIG_DATA_SIZE + 999];
    struct vu_writer w = vu_writer(body, VU_MIG_DATA_SIZE);

    mover.end = 0;
    vu_encode_mig_data(&w, &m);
    return ask(s, VU_MIG_DATA_WRITE, body, sizeof(body));
}

static enum result unmap(struct session *s, struct vu_dma_unmap m, size_t len)
{
    uint8_t body[VU_DMA_UNMAP_BITMAP_SIZE];
    struct vu_writer w = vu_writer(body, len);

    m.argsz = (uint32_t)(len + 8);
    assert_int_equal(vu_encode_dma_unmap(&w, &m), 0);
    return ask(s, VU_DMA_UNMAP, body, len);
}

static enum result unmap_with_bitmap(struct session *s)
{
    const struct vu_dma_unmap m = {
        .flags = VU_DMA_UNMAP_GET_DIRTY_BITMAP, .address = BY_POINTER, .size = WINDOW,
        .pgsize = PAGE, .bitmap_size = 8,
    };

    return unmap(s, m, VU_DMA_UNMAP_BITMAP_SIZE);
}

static enum result unmap_all(struct session *s)
{
    return unmap(s, (struct vu_dma_unmap){ .flags = VU_DMA_UNMAP_ALL },
                 VU_DMA_UNMAP_SIZE);
}

static enum result reset(struct session *s)
{
    return ask(s, VU_DEVICE_RESET, NULL, 0);
}

static enum result (*const steps[])(struct session *s) = {
    get_info, get_region_info, get_irq_info, get_io_fds,
    map_memory, map_file, map_nothing,
    assign_vector, assign_unmask, trigger,
    write_region, read_region, write_multi,
    start_log, touch_memory, write_memory, read_memory, write_file, read_file,
    write_by_message, read_by_message, report_log,
    stop_and_copy, read_state, resuming, write_state, running,
    unmap_with_bitmap, stop_log, unmap_all, map_memory, reset,
};

#define N_STEPS (sizeof(steps) / sizeof(steps[0]))

/* ------------------------------------------------------------- the session -- */

static size_t mappings_of_memory(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    size_t n = 0;

    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps) != NULL)
        n += strstr(line, "memfd:test") != NULL;
    fclose(maps);
    return n;
}

static void begin(struct session *s, enum mode mode)
{
    memset(s, 0, sizeof(*s));
    memset(&mover, 0, offsetof(struct mover, stream));
    s->mode = mode;
    strcpy(s->l.dir, "/tmp/vfu-test-XXXXXX");
    assert_non_null(mkdtemp(s->l.dir));
    strcpy(s->l.path, s->l.dir);
    strcat(s->l.path, "/socket");
    s->l.core.memory = core_memory(0x8000);
    s->memory = core_memory(WINDOW);
    s->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->unmask = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->io = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->client = s->twin = -1;
}

static void end(struct session *s)
{
    drop_client(s);
    faults_go_on();
    vfu_destroy_ctx(ctx_of(s));
    faults_rest();
    assert_int_equal(access(s->l.path, F_OK), -1);
    assert_int_equal(rmdir(s->l.dir), 0);
    close(s->l.core.memory);
    close(s->memory);
    close(s->event);
    close(s->unmask);
    close(s->io);
}

static void set_up_all(struct session *s)
{
    for (size_t i = 0; i < sizeof(set_up) / sizeof(set_up[0]); i++) {
        int ret, err;

        faults_go_on();
        ret = set_up[i](s);
        err = errno;
        faults_rest();
        if (ret == 0)
            continue;
        assert_true(faults.hit);
        assert_int_equal(err, faults.err);
        s->failed++;
        assert_true(i != 0 || access(s->l.path, F_OK) == -1);
        assert_int_equal(set_up[i](s), 0);
    }
}

static void take_all_steps(struct session *s)
{
    connect_client(s);
    for (size_t i = 0; i < N_STEPS; i++) {
        enum result r = steps[i](s);

        s->failed += r == FAILED;
        s->lost += r == LOST;
        if (r == DONE)
            continue;
        assert_true(s->failed + s->lost == 1);
        if (r == LOST) {
            drop_client(s);
            connect_client(s);
        }
        i = r == LOST ? (size_t)-1 : i - 1;
    }
}

/* The client leaves, and another comes. */
static void change_clients(struct session *s)
{
    int ret;

    drop_client(s);
    faults_go_on();
    ret = vfu_run_ctx(ctx_of(s));
    faults_rest();
    if (ret != -1 || errno != ENOTCONN) {
        assert_true(faults.hit);
        assert_int_equal(vfu_run_ctx(ctx_of(s)), -1);
        assert_int_equal(errno, ENOTCONN);
    }
    connect_client(s);
    if (get_info(s) == DONE)
        return;
    s->lost++;
    drop_client(s);
    connect_client(s);
    assert_int_equal(get_info(s), DONE);
}

/* Whether anything failed. */
static bool hold_session(struct session *s, enum mode mode, unsigned kinds, unsigned at)
{
    int fds = vu_test_open_fds();

    begin(s, mode);
    faults_arm(kinds, at);
    faults_rest();
    set_up_all(s);
    take_all_steps(s);
    change_clients(s);
    end(s);
    assert_int_equal(vu_test_open_fds(), fds);
    assert_int_equal(mappings_of_memory(), 0);
    return faults.hit;
}

static struct session session;

static void hold_sessions(unsigned kinds)
{
    for (enum mode mode = PLAIN; mode < MODES; mode++) {
        unsigned at = 1;

        while (hold_session(&session, mode, kinds, at)) {
            if (getenv("VERBOSE") != NULL)
                print_message("%u: %s: %d failed, %d lost, %d repeated\n", at,
                              faults.what, session.failed, session.lost,
                              session.repeated);
            if (kinds == INTERRUPTIONS)
                assert_int_equal(session.failed + session.lost, 0);
            at++;
        }
        assert_int_equal(session.failed + session.lost + session.repeated, 0);
        assert_true(at > 2);
        print_message("mode %u: %u calls could fail\n", (unsigned)mode, at - 1);
    }
}

static void a_session_survives_the_failure_of_any_allocation(void **state)
{
    (void)state;
    hold_sessions(ALLOCATIONS);
}

static void a_session_survives_the_failure_of_any_system_call(void **state)
{
    (void)state;
    hold_sessions(SYSTEM_CALLS);
}

static void a_session_does_not_notice_interrupted_system_calls(void **state)
{
    (void)state;
    hold_sessions(INTERRUPTIONS);
}

static int say_which(void **state)
{
    if (faults.hit)     /* the last session saw one, so the test has failed in it */
        print_error("mode %u, call %u: %s()\n", (unsigned)session.mode, faults.fails_at,
                    faults.what);
    faults_arm(0, 0);
    return vu_test_fds_after(state);
}

#define SESSIONS(f) cmocka_unit_test_setup_teardown(f, vu_test_fds_before, say_which)

static const struct CMUnitTest tests[] = {
    SESSIONS(a_session_survives_the_failure_of_any_allocation),
    SESSIONS(a_session_survives_the_failure_of_any_system_call),
    SESSIONS(a_session_does_not_notice_interrupted_system_calls),
};

VU_TEST_MAIN(tests)
