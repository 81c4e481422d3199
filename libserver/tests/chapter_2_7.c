/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contract, chapter 2.7: guest memory, by pointer and by message.
 */
#include "libserver/tests/chapter_peer.h"

/* As users see it: 40 bytes; what is in them only ctypes callers look at. */
struct seen_sg {
    uint64_t dma_addr;
    uint64_t region;
    uint64_t length;
    uint64_t offset;
    bool writeable;
    uint8_t rest[7];
};

#define MAX_SG 8

struct sgl {
    struct seen_sg e[MAX_SG];
};

static dma_sg_t *sg(struct sgl *l)
{
    return (dma_sg_t *)(void *)l->e;
}

/* The result, or -1 with *err the errno. */
static int look_up(struct device *d, uint64_t addr, size_t len, struct sgl *l, size_t max,
                   int prot, int *err)
{
    int n;

    memset(l, 0, sizeof(*l));
    errno = 0;
    n = vfu_addr_to_sgl(d->ctx, (vfu_dma_addr_t)addr, len, sg(l), max, prot);
    *err = errno;
    return n;
}

/* One entry for a range that must be there. */
static struct sgl entry(struct device *d, uint64_t addr, size_t len, int prot)
{
    struct sgl l;
    int err;

    assert_int_equal(look_up(d, addr, len, &l, 1, prot, &err), 1);
    return l;
}

/* --------------------------------------------------------- vfu_dma_info_t -- */

static void keep_info(struct device *d, const char *event, const vfu_dma_info_t *info)
{
    if (strncmp(event, "register", 8) == 0)
        *(vfu_dma_info_t *)d->aux = *info;
}

static vfu_dma_info_t info_of(struct device *d, uint64_t addr, uint64_t size,
                              uint32_t flags, int fd, uint64_t offset)
{
    vfu_dma_info_t info = { .page_size = 1 };

    d->aux = &info;
    d->in_callback = keep_info;
    assert_int_equal(dma_map_at(d, addr, size, flags, fd, offset), 0);
    d->in_callback = NULL;
    assert_ptr_equal(info.iova.iov_base, (void *)addr);
    assert_int_equal(info.iova.iov_len, size);
    return info;
}

TEST(c2_7_the_info_of_a_window_without_descriptor)
{
    struct device *d = device_up();
    vfu_dma_info_t info = info_of(d, 0x10000, 0x3000, RW, -1, 0);

    assert_null(info.vaddr);
    assert_null(info.mapping.iov_base);
    assert_int_equal(info.mapping.iov_len, 0);
    assert_int_equal(info.page_size, getpagesize());
    assert_int_equal(info.prot, PROT_READ | PROT_WRITE);
    device_down(d);
}

TEST(c2_7_the_info_of_a_mapped_window)
{
    struct device *d = device_up();
    int memory = new_memory(0x8000);
    vfu_dma_info_t info;
    char got[4];

    assert_int_equal(pwrite(memory, "here", 4, 0x2000), 4);
    info = info_of(d, 0x10000, 0x3000, RW, memory, 0x2000);
    assert_int_equal(info.page_size, getpagesize());
    assert_int_equal((uintptr_t)info.mapping.iov_base % info.page_size, 0);
    assert_int_equal(info.mapping.iov_len, 0x3000);
    assert_ptr_equal(info.vaddr, info.mapping.iov_base);
    assert_memory_equal(info.vaddr, "here", 4);
    memcpy((char *)info.vaddr + 0x2ffc, "last", 4);     /* QEMU: vaddr and iov_len */
    assert_int_equal(pread(memory, got, 4, 0x4ffc), 4);
    assert_memory_equal(got, "last", 4);
    close(memory);
    device_down(d);
}

TEST(c2_7_a_file_offset_that_is_no_multiple_of_the_page_is_adjusted)
{
    struct device *d = device_up();
    int memory = new_memory(0x8000);
    vfu_dma_info_t info;

    assert_int_equal(pwrite(memory, "ab", 2, 0x1800), 2);
    assert_int_equal(pwrite(memory, "yz", 2, 0x37fe), 2);
    info = info_of(d, 0x10000, 0x2000, RW, memory, 0x1800);
    assert_int_equal((uintptr_t)info.mapping.iov_base % info.page_size, 0);
    assert_int_equal(info.mapping.iov_len, 0x3000);     /* both ends included */
    assert_ptr_equal(info.vaddr, (char *)info.mapping.iov_base + 0x800);
    assert_memory_equal(info.vaddr, "ab", 2);
    assert_memory_equal((char *)info.vaddr + 0x1ffe, "yz", 2);
    close(memory);
    device_down(d);
}

TEST(c2_7_protection_follows_the_flags)
{
    struct device *d = device_up();
    int memory = new_memory(0x4000);

    assert_int_equal(info_of(d, 0x10000, PAGE, VFIO_USER_F_DMA_REGION_READ, memory,
                             0).prot, PROT_READ);
    assert_int_equal(info_of(d, 0x20000, PAGE, VFIO_USER_F_DMA_REGION_WRITE, memory,
                             0).prot, PROT_WRITE);
    assert_int_equal(info_of(d, 0x30000, PAGE, RW, -1, 0).prot, PROT_READ | PROT_WRITE);
    assert_int_equal(info_of(d, 0x40000, PAGE, 0, memory, 0).prot, 0);
    close(memory);
    device_down(d);
}

TEST(c2_7_a_file_io_window_is_not_mapped)
{
    struct device *d = device_up();
    int memory = new_memory(0x4000);
    vfu_dma_info_t info = info_of(d, 0x10000, PAGE, RW | VFIO_USER_F_DMA_REGION_FILE_IO,
                                  memory, 0);

    assert_null(info.vaddr);
    assert_int_equal(info.page_size, getpagesize());
    close(memory);
    device_down(d);
}

/* ------------------------------------------------------------- callbacks -- */

struct in_callback {
    struct sgl before;          /* looked up before the callback */
    struct iovec iov;
    int found, got;
    char byte;
};

static void use_memory(struct device *d, const char *event, const vfu_dma_info_t *info)
{
    struct in_callback *c = d->aux;
    struct sgl l;
    int err;

    if (info == NULL)
        return;
    c->found = look_up(d, 0x10000, PAGE, &l, 1, PROT_READ, &err);
    if (c->found != 1)
        return;
    c->got = vfu_sgl_get(d->ctx, strncmp(event, "un", 2) == 0 ? sg(&c->before) : sg(&l),
                         &c->iov, 1, 0);
    if (c->got == 0)
        c->byte = *(char *)c->iov.iov_base;
    vfu_sgl_put(d->ctx, sg(&l), &c->iov, 1);
}

TEST(c2_7_a_window_can_be_used_from_register_to_unregister)
{
    struct device *d = device_up();
    struct in_callback c = { .got = -1 };
    int memory = new_memory(PAGE);

    assert_int_equal(pwrite(memory, "x", 1, 0), 1);
    d->aux = &c;
    d->in_callback = use_memory;
    assert_int_equal(dma_map(d, 0x10000, PAGE, memory), 0);
    assert_int_equal(c.found, 1);
    assert_int_equal(c.got, 0);
    assert_int_equal(c.byte, 'x');
    c = (struct in_callback){ .before = entry(d, 0x10000, 1, PROT_READ), .got = -1 };
    assert_int_equal(dma_unmap(d, 0x10000, PAGE, 0), 0);
    assert_int_equal(c.found, 1);
    assert_int_equal(c.got, 0);
    assert_int_equal(c.byte, 'x');
    close(memory);
    device_down(d);
}

static void keep_pointer(struct device *d, const char *event, const vfu_dma_info_t *info)
{
    const vfu_dma_info_t **seen = d->aux;

    seen[strncmp(event, "un", 2) == 0 ? 1 : 0] = info;
}

TEST(c2_7_the_info_pointer_is_the_same_from_register_to_unregister)
{
    struct device *d = device_up();
    const vfu_dma_info_t *seen[2] = { NULL, NULL };

    d->aux = seen;
    assert_int_equal(dma_map(d, 0x50000, PAGE, -1), 0);
    d->in_callback = keep_pointer;
    assert_int_equal(dma_map(d, 0x10000, PAGE, -1), 0);
    d->in_callback = NULL;
    for (uint64_t i = 0; i < 12; i++)   /* the table grows */
        assert_int_equal(dma_map(d, 0x100000 + 2 * i * PAGE, PAGE, -1), 0);
    d->in_callback = keep_pointer;
    assert_int_equal(dma_unmap(d, 0x10000, PAGE, 0), 0);
    assert_non_null(seen[0]);
    assert_ptr_equal(seen[0], seen[1]);
    d->in_callback = NULL;
    device_down(d);
}

TEST(c2_7_an_identical_dma_map_is_eexist_and_registers_nothing)
{
    struct device *d = device_up();
    int memory = new_memory(PAGE);

    assert_int_equal(dma_map(d, 0x10000, PAGE, memory), 0);
    assert_int_equal(dma_map(d, 0x10000, PAGE, memory), EEXIST);
    assert_events(d, "register:10000");
    close(memory);
    device_down(d);
}

/* -------------------------------------------------------- vfu_addr_to_sgl -- */

TEST(c2_7_an_entry_has_40_bytes)
{
    assert_int_equal(dma_sg_size(), 40);
    assert_int_equal(sizeof(struct seen_sg), 40);
}

TEST(c2_7_an_entry_says_base_region_length_offset_and_writeable)
{
    struct device *d = device_up();
    struct sgl l;

    assert_int_equal(dma_map(d, 0x10000, 0x4000, -1), 0);
    l = entry(d, 0x11234, 0x1000, PROT_WRITE);
    assert_int_equal(l.e[0].dma_addr, 0x10000);     /* the window's, not the access's */
    assert_int_not_equal((uint32_t)l.e[0].region, 0);
    assert_int_equal(l.e[0].length, 0x1000);
    assert_int_equal(l.e[0].offset, 0x1234);
    assert_true(l.e[0].writeable);
    l = entry(d, 0x10000, 1, PROT_READ);
    assert_false(l.e[0].writeable);
    device_down(d);
}

TEST(c2_7_length_0_gives_no_entry)
{
    struct device *d = device_up();
    struct sgl l;
    int err;

    assert_int_equal(look_up(d, 0x10000, 0, &l, 1, PROT_READ, &err), 0);
    assert_int_equal(err, 0);
    device_down(d);
}

TEST(c2_7_bytes_in_no_window_are_enoent)
{
    static const struct {
        uint64_t addr;
        size_t len;
    } bad[] = {
        { 0xffff, 1 }, { 0x11000, 1 }, { 0xffff, 2 }, { 0x10fff, 2 }, { 0x10000, 0x3000 },
        { 0, SIZE_MAX }, { 0x10800, SIZE_MAX }, { UINT64_MAX, 2 },
    };
    struct device *d = device_up();
    struct sgl l;
    int err;

    assert_int_equal(dma_map(d, 0x10000, 0x1000, -1), 0);
    assert_int_equal(dma_map(d, 0x12000, 0x1000, -1), 0);   /* a gap between */
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(look_up(d, bad[i].addr, bad[i].len, &l, MAX_SG, PROT_READ, &err),
                         -1);
        assert_int_equal(err, ENOENT);
    }
    device_down(d);
}

TEST(c2_7_what_the_client_did_not_permit_is_eacces)
{
    struct device *d = device_up();
    struct sgl l;
    int err;

    assert_int_equal(dma_map_at(d, 0x10000, PAGE, VFIO_USER_F_DMA_REGION_READ, -1, 0), 0);
    assert_int_equal(dma_map_at(d, 0x11000, PAGE, VFIO_USER_F_DMA_REGION_WRITE, -1, 0),
                     0);
    assert_int_equal(look_up(d, 0x10000, 1, &l, 1, PROT_WRITE, &err), -1);
    assert_int_equal(err, EACCES);
    assert_int_equal(look_up(d, 0x10000, 1, &l, 1, PROT_READ, &err), 1);
    assert_int_equal(look_up(d, 0x11000, 1, &l, 1, PROT_WRITE, &err), 1);
    assert_int_equal(look_up(d, 0x11000, 1, &l, 1, PROT_READ, &err), -1);
    assert_int_equal(err, EACCES);
    assert_int_equal(look_up(d, 0x10fff, 2, &l, 2, PROT_WRITE, &err), -1);
    assert_int_equal(err, EACCES);
    device_down(d);
}

TEST(c2_7_without_dma_set_up_a_look_up_is_einval)
{
    struct device *d = device_new(NB);
    struct sgl l;
    int err;

    device_realize(d);
    assert_int_equal(look_up(d, 0x10000, 1, &l, 1, PROT_READ, &err), -1);
    assert_int_equal(err, EINVAL);
    device_down(d);
}

TEST(c2_7_a_range_over_several_windows_gives_an_entry_each)
{
    struct device *d = device_up();
    struct sgl l;
    int err;

    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(dma_map(d, 0x10000 + i * PAGE, PAGE, -1), 0);
    assert_int_equal(look_up(d, 0x10800, 0x2000, &l, MAX_SG, PROT_READ, &err), 3);
    assert_int_equal(err, 0);
    assert_int_equal(l.e[0].offset, 0x800);
    assert_int_equal(l.e[0].length, 0x800);
    assert_int_equal(l.e[1].dma_addr, 0x11000);
    assert_int_equal(l.e[1].offset, 0);
    assert_int_equal(l.e[1].length, 0x1000);
    assert_int_equal(l.e[2].length, 0x800);
    device_down(d);
}

TEST(c2_7_too_few_entries_say_how_many_are_needed)
{
    struct device *d = device_up();
    struct sgl l;
    int err;

    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(dma_map(d, 0x10000 + i * PAGE, PAGE, -1), 0);
    assert_int_equal(look_up(d, 0x10000, 3 * PAGE, &l, 2, PROT_READ, &err), -4);
    assert_int_equal(err, 0);       /* so SPDK can tell it from -1 */
    assert_int_equal(look_up(d, 0x10000, 1, &l, 0, PROT_READ, &err), -2);
    assert_int_equal(err, 0);
    assert_int_equal(look_up(d, 0x10000, 2 * PAGE, &l, 2, PROT_READ, &err), 2);
    device_down(d);
}

/* ------------------------------------------------------- vfu_sgl_get, put -- */

TEST(c2_7_get_gives_pointer_and_length)
{
    struct device *d = device_up();
    int memory = new_memory(0x2000);
    struct iovec iov[2];
    struct sgl l;
    int err;

    assert_int_equal(dma_map(d, 0x10000, PAGE, memory), 0);
    assert_int_equal(dma_map_at(d, 0x11000, PAGE, RW, memory, 0x1000), 0);
    assert_int_equal(look_up(d, 0x10ffc, 8, &l, 2, PROT_WRITE, &err), 2);
    assert_int_equal(vfu_sgl_get(d->ctx, sg(&l), iov, 2, 0), 0);
    assert_int_equal(iov[0].iov_len, 4);
    assert_int_equal(iov[1].iov_len, 4);
    memcpy(iov[0].iov_base, "left", 4);
    memcpy(iov[1].iov_base, "over", 4);
    vfu_sgl_put(d->ctx, sg(&l), iov, 2);
    vfu_sgl_put(d->ctx, sg(&l), iov, 2);        /* twice: harmless */
    assert_int_equal(pread(memory, &l, 8, 0xffc), 8);
    assert_memory_equal(&l, "leftover", 8);
    close(memory);
    device_down(d);
}

static void assert_get(struct device *d, struct sgl *l, size_t cnt, int flags, int err)
{
    struct iovec iov;

    errno = 0;
    assert_int_equal(vfu_sgl_get(d->ctx, sg(l), &iov, cnt, flags), -1);
    assert_int_equal(errno, err);
}

TEST(c2_7_get_refuses_zeroed_entries_unknown_flags_and_no_entries)
{
    struct device *d = device_up();
    int memory = new_memory(PAGE);
    struct sgl l = { 0 };

    assert_get(d, &l, 1, 0, EINVAL);
    assert_int_equal(dma_map(d, 0x10000, PAGE, memory), 0);
    l = entry(d, 0x10000, 1, PROT_READ);
    assert_get(d, &l, 1, 1, EINVAL);
    assert_get(d, &l, 0, 0, EINVAL);
    close(memory);
    device_down(d);
}

TEST(c2_7_get_of_a_window_that_is_not_mapped_is_efault)
{
    struct device *d = device_up();
    int memory = new_memory(PAGE);
    struct sgl l;

    assert_int_equal(dma_map(d, 0x10000, PAGE, -1), 0);
    assert_int_equal(dma_map_at(d, 0x20000, PAGE, RW | VFIO_USER_F_DMA_REGION_FILE_IO,
                                memory, 0), 0);
    assert_int_equal(dma_map(d, 0x30000, PAGE, memory), 0);
    l = entry(d, 0x10000, 1, PROT_READ);
    assert_get(d, &l, 1, 0, EFAULT);
    assert_false(vfu_sg_is_mappable(d->ctx, sg(&l)));
    l = entry(d, 0x20000, 1, PROT_READ);
    assert_get(d, &l, 1, 0, EFAULT);
    assert_false(vfu_sg_is_mappable(d->ctx, sg(&l)));
    l = entry(d, 0x30000, 1, PROT_READ);
    assert_true(vfu_sg_is_mappable(d->ctx, sg(&l)));
    close(memory);
    device_down(d);
}

TEST(c2_7_an_entry_of_a_window_that_is_gone_is_efault)
{
    struct device *d = device_up();
    int memory = new_memory(PAGE);
    struct sgl l;

    assert_int_equal(dma_map(d, 0x10000, PAGE, memory), 0);
    l = entry(d, 0x10000, 1, PROT_READ);
    assert_int_equal(dma_unmap(d, 0x10000, PAGE, 0), 0);
    assert_get(d, &l, 1, 0, EFAULT);
    assert_int_equal(dma_map(d, 0x10000, PAGE, memory), 0);     /* a new one is another */
    assert_get(d, &l, 1, 0, EFAULT);
    close(memory);
    device_down(d);
}

/* --------------------------------------------------- vfu_sgl_read, _write -- */

static int transfer(struct device *d, struct sgl *l, size_t n, void *data, int flags,
                    bool is_write)
{
    int ret;

    errno = 0;
    ret = is_write ? vfu_sgl_write(d->ctx, sg(l), n, data, flags)
                   : vfu_sgl_read(d->ctx, sg(l), n, data, flags);
    assert_true(ret == 0 || ret == -1);
    return ret == 0 ? 0 : errno;
}

TEST(c2_7_transfers_check_flags_count_and_direction)
{
    struct device *d = device_up();
    int memory = new_memory(PAGE);
    char data[4];
    struct sgl l;

    assert_int_equal(dma_map(d, 0x10000, PAGE, memory), 0);
    l = entry(d, 0x10000, 4, PROT_READ);
    assert_int_equal(transfer(d, &l, 1, data, 2, false), EINVAL);
    assert_int_equal(transfer(d, &l, 1, data, 2, true), EINVAL);
    assert_int_equal(transfer(d, &l, 0, data, 0, false), EINVAL);
    assert_int_equal(transfer(d, &l, 1, data, 0, true), EPERM);
    assert_int_equal(transfer(d, &l, 1, data, VFU_SGL_DIRECT_ACCESS, true), EPERM);
    assert_silent(d);
    close(memory);
    device_down(d);
}

static void check_direct(uint32_t flags)
{
    struct device *d = device_up();
    int memory = new_memory(0x2000);
    char data[9] = "";
    struct sgl l;
    int err;

    assert_int_equal(dma_map_at(d, 0x10000, PAGE, RW | flags, memory, 0), 0);
    assert_int_equal(dma_map_at(d, 0x11000, PAGE, RW | flags, memory, 0x1000), 0);
    assert_int_equal(look_up(d, 0x10ffc, 8, &l, 2, PROT_WRITE, &err), 2);
    assert_int_equal(transfer(d, &l, 2, "straight", VFU_SGL_DIRECT_ACCESS, true), 0);
    assert_int_equal(pread(memory, data, 8, 0xffc), 8);
    assert_string_equal(data, "straight");
    assert_int_equal(pwrite(memory, "backward", 8, 0xffc), 8);
    assert_int_equal(transfer(d, &l, 2, data, VFU_SGL_DIRECT_ACCESS, false), 0);
    assert_string_equal(data, "backward");
    assert_silent(d);           /* without a word to the client */
    close(memory);
    device_down(d);
}

TEST(c2_7_direct_access_copies_mapped_memory)
{
    check_direct(0);
}

TEST(c2_7_direct_access_reads_and_writes_files)
{
    check_direct(VFIO_USER_F_DMA_REGION_FILE_IO);
}

TEST(c2_7_direct_access_behind_the_end_of_a_file_is_eio)
{
    struct device *d = device_up();
    int memory = new_memory(0x2000);
    char data[4] = "abc";
    struct sgl l;

    assert_int_equal(dma_map_at(d, 0x10000, 0x2000, RW | VFIO_USER_F_DMA_REGION_FILE_IO,
                                memory, 0), 0);
    assert_int_equal(ftruncate(memory, 0x1000), 0);
    l = entry(d, 0x11000, 4, PROT_WRITE);
    assert_int_equal(transfer(d, &l, 1, data, VFU_SGL_DIRECT_ACCESS, false), EIO);
    assert_int_equal(transfer(d, &l, 1, data, VFU_SGL_DIRECT_ACCESS, true), EIO);
    assert_int_equal(lseek(memory, 0, SEEK_END), 0x1000);   /* it did not grow */
    close(memory);
    device_down(d);
}

/* A device and a peer with one window of the peer's memory. */
static struct device *device_with_peer(struct peer **p, const char *json)
{
    struct device *d = device_new(NB);

    setup_usual(d);
    device_realize(d);
    device_attach_with(d, json);
    assert_int_equal(dma_map(d, PEER_BASE, PEER_SIZE, -1), 0);
    *p = calloc(1, sizeof(**p));
    for (size_t i = 0; i < PEER_SIZE; i++)
        (*p)->memory[i] = (uint8_t)(i * 7 + i / 256);
    return d;
}

TEST(c2_7_windows_without_descriptor_are_read_and_written_by_message)
{
    struct peer *p;
    struct device *d = device_with_peer(&p, NULL);
    struct sgl l = entry(d, PEER_BASE + 0x100, 64, PROT_WRITE);
    uint8_t data[64];

    for (int flags = 0; flags <= VFU_SGL_DIRECT_ACCESS; flags++) {
        peer_begin(p, d->client, 2);
        assert_int_equal(transfer(d, &l, 1, data, flags, false), 0);
        assert_memory_equal(data, p->memory + 0x100, 64);
        memset(data, 0x42, sizeof(data));
        assert_int_equal(transfer(d, &l, 1, data, flags, true), 0);
        peer_end(p);
        assert_memory_equal(data, p->memory + 0x100, 64);
        assert_int_equal(p->seen[0].h.cmd, VFIO_USER_DMA_READ);
        assert_int_equal(p->seen[0].h.flags, VFIO_USER_F_TYPE_COMMAND);
        assert_int_equal(p->seen[0].h.msg_size, 32);
        assert_int_equal(p->seen[1].h.cmd, VFIO_USER_DMA_WRITE);
        assert_int_equal(p->seen[1].h.msg_size, 32 + 64);
        assert_int_equal(p->seen[1].a.addr, PEER_BASE + 0x100);
        assert_int_equal(p->seen[1].a.count, 64);
    }
    free(p);
    device_down(d);
}

TEST(c2_7_without_the_flag_mapped_windows_go_by_message_too)
{
    struct device *d = device_up();
    struct peer *p = calloc(1, sizeof(*p));
    int memory = new_memory(PAGE);
    uint8_t data[4];
    struct sgl l;

    assert_int_equal(dma_map(d, PEER_BASE, PAGE, memory), 0);
    memcpy(p->memory, "mail", 4);
    l = entry(d, PEER_BASE, 4, PROT_READ);
    peer_begin(p, d->client, 1);
    assert_int_equal(vfu_sgl_read(d->ctx, sg(&l), 1, data), 0);     /* four arguments */
    peer_end(p);
    assert_memory_equal(data, "mail", 4);
    free(p);
    close(memory);
    device_down(d);
}

TEST(c2_7_messages_keep_to_the_clients_max_data_xfer_size)
{
    struct peer *p;
    struct device *d = device_with_peer(
        &p, "{\"capabilities\":{\"max_data_xfer_size\":1000}}");
    struct sgl l = entry(d, PEER_BASE, 2500, PROT_WRITE);
    uint8_t data[2500];

    for (int is_write = 0; is_write < 2; is_write++) {
        peer_begin(p, d->client, 3);
        assert_int_equal(transfer(d, &l, 1, data, 0, is_write != 0), 0);
        peer_end(p);
        assert_memory_equal(data, p->memory, sizeof(data));
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(p->seen[i].a.addr, PEER_BASE + 1000 * i);
            assert_int_equal(p->seen[i].a.count, i < 2 ? 1000 : 500);
        }
    }
    free(p);
    device_down(d);
}

TEST(c2_7_lists_of_any_length_are_accepted)
{
    struct peer *p;
    struct device *d = device_with_peer(&p, NULL);
    struct sgl l;
    uint8_t data[96];

    for (size_t i = 0; i < 3; i++)
        l.e[i] = entry(d, PEER_BASE + 0x1000 * i, 32, PROT_READ).e[0];
    peer_begin(p, d->client, 3);
    assert_int_equal(transfer(d, &l, 3, data, 0, false), 0);
    peer_end(p);
    for (size_t i = 0; i < 3; i++)
        assert_memory_equal(data + 32 * i, p->memory + 0x1000 * i, 32);
    free(p);
    device_down(d);
}

TEST(c2_7_message_transfers_need_a_client)
{
    struct device *d = device_up();
    struct sgl l;
    char data[4];

    assert_int_equal(dma_map(d, 0x10000, PAGE, -1), 0);
    l = entry(d, 0x10000, 4, PROT_READ);
    client_close(d);
    assert_int_equal(transfer(d, &l, 1, data, 0, false), ENOTCONN);
    assert_int_equal(run(d), -ENOTCONN);
    device_down(d);
}

/* ------------------------------------------------------------- the answers -- */

struct wrong {
    uint32_t flags, err;
    int addr, count, payload;       /* added to what is right */
    bool other_id, empty;
};

static size_t answer_wrongly(struct peer *p, const struct asked *asked)
{
    const struct wrong *w = p->aux;
    struct asked changed = *asked;
    struct vfio_user_dma_region_access a = asked->a;

    if (w->other_id)
        changed.h.msg_id++;
    a.addr += (uint64_t)w->addr;
    a.count += (uint64_t)w->count;
    return peer_reply(p, &changed, w->flags, w->err, w->empty ? NULL : &a, p->memory,
                      w->empty ? 0 : (size_t)((int)asked->a.count + w->payload));
}

/* The errno of a read of 16 bytes that is answered so. */
static int read_answered(const struct wrong *w)
{
    struct peer *p;
    struct device *d = device_with_peer(&p, NULL);
    struct sgl l = entry(d, PEER_BASE, 16, PROT_READ);
    uint8_t data[16];
    int err;

    p->aux = (void *)(uintptr_t)w;
    p->answer = answer_wrongly;
    peer_begin(p, d->client, 1);
    err = transfer(d, &l, 1, data, 0, false);
    peer_end(p);
    free(p);
    device_down(d);
    return err;
}

#define REPLY VFIO_USER_F_TYPE_REPLY
#define FAIL  (VFIO_USER_F_TYPE_REPLY | VFIO_USER_F_ERROR)

TEST(c2_7_an_error_reply_gives_its_errno)
{
    assert_int_equal(read_answered(&(struct wrong){ FAIL, EIO, .empty = true }), EIO);
    assert_int_equal(read_answered(&(struct wrong){ FAIL, 4095, .empty = true }), 4095);
}

TEST(c2_7_an_error_reply_without_a_usable_errno_is_einval)
{
    assert_int_equal(read_answered(&(struct wrong){ FAIL, 0, .empty = true }), EINVAL);
    assert_int_equal(read_answered(&(struct wrong){ FAIL, 4097, .empty = true }), EINVAL);
    assert_int_equal(read_answered(&(struct wrong){ FAIL, UINT32_MAX, .empty = true }),
                     EINVAL);
}

TEST(c2_7_an_answer_to_something_else_is_eproto)
{
    assert_int_equal(read_answered(&(struct wrong){ REPLY, .other_id = true }), EPROTO);
}

TEST(c2_7_an_answer_with_other_address_or_count_is_einval)
{
    assert_int_equal(read_answered(&(struct wrong){ REPLY, .addr = 1 }), EINVAL);
    assert_int_equal(read_answered(&(struct wrong){ REPLY, .count = 1, .payload = 1 }),
                     EINVAL);
    assert_int_equal(read_answered(&(struct wrong){ REPLY, .count = 1 }), EINVAL);
    assert_int_equal(read_answered(&(struct wrong){ REPLY, .empty = true }), EINVAL);
}

/* The original takes a longer one and leaves the rest in the stream. */
TEST(c2_7_an_answer_whose_payload_does_not_match_is_einval)
{
    assert_int_equal(read_answered(&(struct wrong){ REPLY, .payload = 4 }), EINVAL);
    assert_int_equal(read_answered(&(struct wrong){ REPLY, .payload = -4 }), EINVAL);
}

static size_t answer_half(struct peer *p, const struct asked *asked)
{
    struct asked half = *asked;

    if (half.a.count > 4)
        half.a.count /= 2;
    return peer_obey(p, &half);
}

TEST(c2_7_a_short_answer_is_continued)
{
    struct peer *p;
    struct device *d = device_with_peer(&p, NULL);
    struct sgl l = entry(d, PEER_BASE, 16, PROT_READ);
    uint8_t data[16];

    p->answer = answer_half;
    peer_begin(p, d->client, 3);        /* 8, 4, 4 */
    assert_int_equal(transfer(d, &l, 1, data, 0, false), 0);
    peer_end(p);
    assert_memory_equal(data, p->memory, 16);
    free(p);
    device_down(d);
}

static size_t answer_by_leaving(struct peer *p, const struct asked *asked)
{
    (void)asked;
    shutdown(p->fd, SHUT_RDWR);
    return 0;
}

/* The original resets inside the call, from whatever callback that was made. */
TEST(c2_7_a_client_that_leaves_is_enotconn_and_the_reset_comes_with_run)
{
    struct peer *p;
    struct device *d = device_with_peer(&p, NULL);
    struct sgl l = entry(d, PEER_BASE, 16, PROT_READ);
    uint8_t data[16];

    d->events[0] = '\0';
    p->answer = answer_by_leaving;
    peer_begin(p, d->client, 1);
    assert_int_equal(transfer(d, &l, 1, data, 0, false), ENOTCONN);
    peer_end(p);
    assert_events(d, "");
    assert_int_equal(run(d), -ENOTCONN);
    assert_events(d, "unregister:10000 reset:lost");
    free(p);
    device_down(d);
}

static size_t answer_nothing(struct peer *p, const struct asked *asked)
{
    (void)p;
    (void)asked;
    return 0;
}

TEST(c2_7_a_client_that_does_not_answer_is_etimedout)
{
    struct peer *p;
    struct device *d = device_with_peer(&p, NULL);
    struct sgl l = entry(d, PEER_BASE, 16, PROT_READ);
    uint8_t data[16];

    assert_int_equal(vfu_setup_timeout(d->ctx, VFU_TIMEOUT_DMA, 20), 0);
    p->answer = answer_nothing;
    peer_begin(p, d->client, 1);
    assert_int_equal(transfer(d, &l, 1, data, 0, false), ETIMEDOUT);
    peer_end(p);
    assert_int_equal(region_read(d, 0, 0, 4), 0);       /* the connection goes on */
    free(p);
    device_down(d);
}

static void read_memory(struct device *d, const char *event, const vfu_dma_info_t *info)
{
    struct sgl l;
    int err;

    (void)info;
    if (strncmp(event, "write", 5) != 0)
        return;
    if (look_up(d, PEER_BASE, 16, &l, 1, PROT_READ, &err) == 1)
        *(int *)d->aux = transfer(d, &l, 1, d->bar0 + 0x100, 0, false);
}

TEST(c2_7_a_region_callback_may_ask_the_client)
{
    struct vfio_user_region_access a = { .offset = 8, .count = 4 };
    struct peer *p;
    struct device *d = device_with_peer(&p, NULL);
    uint8_t body[sizeof(a) + 4] = { 0 };
    int result = -1;

    d->aux = &result;
    d->in_callback = read_memory;
    memcpy(body, &a, sizeof(a));
    post(d, VFIO_USER_REGION_WRITE, body, sizeof(body));
    peer_begin(p, d->client, 1);
    assert_int_equal(run(d), 1);
    peer_end(p);
    assert_int_equal(result, 0);
    assert_memory_equal(d->bar0 + 0x100, p->memory, 16);
    assert_int_equal(receive_reply(d, d->id, VFIO_USER_REGION_WRITE), 0);
    free(p);
    device_down(d);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(c2_7_the_info_of_a_window_without_descriptor),
    VU_FD_TEST(c2_7_the_info_of_a_mapped_window),
    VU_FD_TEST(c2_7_a_file_offset_that_is_no_multiple_of_the_page_is_adjusted),
    VU_FD_TEST(c2_7_protection_follows_the_flags),
    VU_FD_TEST(c2_7_a_file_io_window_is_not_mapped),
    VU_FD_TEST(c2_7_a_window_can_be_used_from_register_to_unregister),
    VU_FD_TEST(c2_7_the_info_pointer_is_the_same_from_register_to_unregister),
    VU_FD_TEST(c2_7_an_identical_dma_map_is_eexist_and_registers_nothing),
    VU_FD_TEST(c2_7_an_entry_has_40_bytes),
    VU_FD_TEST(c2_7_an_entry_says_base_region_length_offset_and_writeable),
    VU_FD_TEST(c2_7_length_0_gives_no_entry),
    VU_FD_TEST(c2_7_bytes_in_no_window_are_enoent),
    VU_FD_TEST(c2_7_what_the_client_did_not_permit_is_eacces),
    VU_FD_TEST(c2_7_without_dma_set_up_a_look_up_is_einval),
    VU_FD_TEST(c2_7_a_range_over_several_windows_gives_an_entry_each),
    VU_FD_TEST(c2_7_too_few_entries_say_how_many_are_needed),
    VU_FD_TEST(c2_7_get_gives_pointer_and_length),
    VU_FD_TEST(c2_7_get_refuses_zeroed_entries_unknown_flags_and_no_entries),
    VU_FD_TEST(c2_7_get_of_a_window_that_is_not_mapped_is_efault),
    VU_FD_TEST(c2_7_an_entry_of_a_window_that_is_gone_is_efault),
    VU_FD_TEST(c2_7_transfers_check_flags_count_and_direction),
    VU_FD_TEST(c2_7_direct_access_copies_mapped_memory),
    VU_FD_TEST(c2_7_direct_access_reads_and_writes_files),
    VU_FD_TEST(c2_7_direct_access_behind_the_end_of_a_file_is_eio),
    VU_FD_TEST(c2_7_windows_without_descriptor_are_read_and_written_by_message),
    VU_FD_TEST(c2_7_without_the_flag_mapped_windows_go_by_message_too),
    VU_FD_TEST(c2_7_messages_keep_to_the_clients_max_data_xfer_size),
    VU_FD_TEST(c2_7_lists_of_any_length_are_accepted),
    VU_FD_TEST(c2_7_message_transfers_need_a_client),
    VU_FD_TEST(c2_7_an_error_reply_gives_its_errno),
    VU_FD_TEST(c2_7_an_error_reply_without_a_usable_errno_is_einval),
    VU_FD_TEST(c2_7_an_answer_to_something_else_is_eproto),
    VU_FD_TEST(c2_7_an_answer_with_other_address_or_count_is_einval),
    VU_FD_TEST(c2_7_an_answer_whose_payload_does_not_match_is_einval),
    VU_FD_TEST(c2_7_a_short_answer_is_continued),
    VU_FD_TEST(c2_7_a_client_that_leaves_is_enotconn_and_the_reset_comes_with_run),
    VU_FD_TEST(c2_7_a_client_that_does_not_answer_is_etimedout),
    VU_FD_TEST(c2_7_a_region_callback_may_ask_the_client),
};

VU_TEST_MAIN(tests)
