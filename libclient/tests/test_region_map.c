/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mappings of regions: what may be mapped, and what becomes of it when the connection
 * ends and comes again.
 */
#include "libclient/region.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "libclient/tests/known.h"

#define BOTH (VFUC_MAP_READ | VFUC_MAP_WRITE)

/* --------------------------------------------------------- failing calls -- */

/* Linked in place of libc's for our own objects: how many of them succeed until all fail.
 * Negative: all succeed. */
static int mmaps_left = -1, mremaps_left = -1;

void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
void *__real_mremap(void *old, size_t old_len, size_t len, int flags, void *addr);
void *__wrap_mremap(void *old, size_t old_len, size_t len, int flags, void *addr);

static bool fails(int *left)
{
    if (*left == 0) {
        errno = ENOMEM;
        return true;
    }
    if (*left > 0)
        --*left;
    return false;
}

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
    return fails(&mmaps_left) ? MAP_FAILED
                              : __real_mmap(addr, len, prot, flags, fd, offset);
}

void *__wrap_mremap(void *old, size_t old_len, size_t len, int flags, void *addr)
{
    return fails(&mremaps_left) ? MAP_FAILED
                                : __real_mremap(old, old_len, len, flags, addr);
}

/* ----------------------------------------------------------------- memory -- */

static int memory(size_t size, const char *text)
{
    int fd = memfd_create("region", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    assert_int_equal(pwrite(fd, text, strlen(text), 0x1000), strlen(text));
    return fd;
}

static bool is_unmapped(void *addr)
{
    unsigned char resident;

    return mincore(addr, 0x1000, &resident) == -1 && errno == ENOMEM;
}

/* Mappings of this process. */
static int count_maps(void)
{
    FILE *f = fopen("/proc/self/maps", "r");
    int n = 0, c;

    assert_non_null(f);
    while ((c = fgetc(f)) != EOF)
        n += c == '\n';
    fclose(f);
    return n;
}

/* Region 0: READ|WRITE|MMAP, 0x4000 bytes, all of it from offset 0 of its descriptor. */
#define MAPPABLE "20000000 07000000 00000000 00000000 0040000000000000 0000000000000000"
/* The same, in two areas: 0x3000 and 0x1000, a page each. */
#define MANY     "50000000 07000000 00000000 00000000 0040000000000000 0000000000000000"
#define SPARSE \
    "50000000 0f000000 00000000 20000000 0040000000000000 0000000000000000" \
    "0100 0100 00000000 02000000 00000000" \
    "0030000000000000 0010000000000000 0010000000000000 0010000000000000"

static struct vfuc_client *with_memory(struct script *s, int fd)
{
    struct vfuc_client *c = known_device(s, NULL);

    s->fd = fd;
    script_say(s, MAPPABLE)->n_fds = 1;
    return c;
}

static void lose(struct script *s, struct vfuc_client *c)
{
    script_fail(s, 0);
    assert_int_equal(vfuc_reset(c), -ENOTCONN);
}

/* ---------------------------------------------------------------- mapping -- */

static void mapping_shows_the_memory_of_the_server(void **state)
{
    int fd = memory(0x4000, "hello");
    struct script s;
    struct vfuc_client *c = with_memory(&s, fd);
    void *addr, *other;

    (void)state;
    assert_int_equal(vfuc_region_map(c, 0, 0x1000, 0x1000, BOTH, &addr), 0);
    assert_int_equal(vfuc_region_map(c, 0, 0, 0x4000, VFUC_MAP_READ, &other), 0);
    assert_string_equal(addr, "hello");
    strcpy(addr, "world");
    assert_string_equal((char *)other + 0x1000, "world");
    assert_int_equal(vfuc_region_unmap(c, addr), 0);
    assert_int_equal(vfuc_region_unmap(c, addr), -EINVAL);
    assert_true(is_unmapped(addr));
    assert_string_equal((char *)other + 0x1000, "world");
    known_done(&s, c);  /* ends the other mapping */
    assert_true(is_unmapped(other));
    close(fd);
}

static void only_areas_are_mapped(void **state)
{
    int fd = memory(0x4000, "hello");
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);
    void *addr;

    (void)state;
    s.fd = fd;
    script_say(&s, MANY);
    script_say(&s, SPARSE)->n_fds = 1;
    assert_int_equal(vfuc_region_map(c, 0, 0, 0x1000, BOTH, &addr), -EACCES);
    assert_int_equal(vfuc_region_map(c, 0, 0x1000, 0x1001, BOTH, &addr), -EACCES);
    assert_int_equal(vfuc_region_map(c, 0, 0x1000, 0x3000, BOTH, &addr), -EACCES);
    assert_int_equal(vfuc_region_map(c, 0, 0x2000, 1, BOTH, &addr), -EACCES);
    assert_int_equal(vfuc_region_map(c, 0, 0x3000, 0x1001, BOTH, &addr), -ERANGE);
    assert_int_equal(vfuc_region_map(c, 0, 0x1001, 1, BOTH, &addr), -EINVAL);
    assert_int_equal(vfuc_region_map(c, 0, 0x1000, 0, BOTH, &addr), -EINVAL);
    assert_int_equal(vfuc_region_map(c, 0, 0x1000, 1, 0, &addr), -EINVAL);
    assert_int_equal(vfuc_region_map(c, 0, 0x1000, 1, 4, &addr), -EINVAL);
    assert_int_equal(vfuc_region_map(c, 9, 0, 1, BOTH, &addr), -ERANGE);
    assert_int_equal(vfuc_region_map(c, 0, 0x1000, 0x1000, BOTH, &addr), 0);
    assert_string_equal(addr, "hello");
    assert_int_equal(vfuc_region_map(c, 0, 0x3000, 0x1000, BOTH, &addr), 0);
    known_done(&s, c);
    close(fd);
}

/* Region 0 in two areas with a descriptor each: id 0x8001, entries of offset, fd_offset,
 * size, fd_index, padding. */
#define PER_AREA_MANY \
    "70000000 07000000 00000000 00000000 0040000000000000 0000000000000000"
#define PER_AREA \
    "70000000 0f000000 00000000 20000000 0040000000000000 0000000000000000" \
    "0180 0100 00000000 02000000 00000000" \
    "0030000000000000 0010000000000000 0010000000000000 01000000 00000000" \
    "0000000000000000 0000000000000000 0020000000000000 00000000 00000000"

/* Two descriptors of which the script can bring only one: the second is put in here. */
struct two_files {
    struct script s;
    struct vuc_port port;
    int second;
};

static int receive_two(void *at, struct vu_message *m, vu_deadline deadline)
{
    struct two_files *two = at;
    int got = script_port.receive(at, m, deadline);

    if (got == 1 && m->n_fds > 1)
        assert_int_equal(dup3(two->second, m->fds[1], O_CLOEXEC), m->fds[1]);
    return got;
}

static void area_is_mapped_from_its_own_descriptor(void **state)
{
    struct two_files two = { .port = script_port };
    int first = memory(0x2000, "first"), second = memory(0x2000, "second");
    int before = vu_test_open_fds();
    struct vfuc_client *c = known_device(&two.s, "\"sparse_mmap_fds\":true");
    const struct vfuc_region *r;
    void *a, *b;

    (void)state;
    two.s.fd = first;
    two.second = second;
    two.port.receive = receive_two;
    c->main.port = &two.port;
    script_say(&two.s, PER_AREA_MANY)->n_fds = 2;
    script_say(&two.s, PER_AREA)->n_fds = 3;    /* one that nobody needs */
    assert_int_equal(vfuc_region_map(c, 0, 0x1000, 0x1000, BOTH, &a), 0);
    assert_int_equal(vfuc_region_map(c, 0, 0x3000, 0x1000, BOTH, &b), 0);
    assert_string_equal(a, "first");
    assert_string_equal(b, "second");
    assert_int_equal(vfuc_region_map(c, 0, 0x1000, 0x2000, BOTH, &a), -EACCES);
    assert_int_equal(vfuc_region_info(c, 0, &r), 0);
    assert_int_equal(r->fd, -1);
    assert_int_equal(r->num_areas, 2);
    assert_true(r->areas[0].fd >= 0 && r->areas[1].fd >= 0);
    assert_int_not_equal(r->areas[0].fd, r->areas[1].fd);
    assert_int_equal(r->areas[1].fd_offset, 0x1000);
    assert_int_equal(vu_test_open_fds(), before + 2);
    vuc_end(c, -ENOTCONN);
    assert_int_equal(r->areas[0].fd, -1);
    assert_int_equal(r->areas[1].fd, -1);
    assert_int_equal(vu_test_open_fds(), before);
    known_done(&two.s, c);
    close(first);
    close(second);
}

static void file_that_is_too_short_is_not_mapped(void **state)
{
    int fd = memory(0x3fff, "");
    struct script s;
    struct vfuc_client *c = with_memory(&s, fd);
    void *addr;

    (void)state;
    assert_int_equal(vfuc_region_map(c, 0, 0x3000, 0x1000, BOTH, &addr), -ENXIO);
    assert_int_equal(vfuc_region_map(c, 0, 0x3000, 0xfff, BOTH, &addr), 0);
    known_done(&s, c);
    close(fd);
}

static void descriptor_that_is_no_memory_is_not_mapped(void **state)
{
    struct script s;
    struct vfuc_client *c = with_memory(&s, -1);    /* an eventfd comes along */
    void *addr;

    (void)state;
    assert_int_equal(vfuc_region_map(c, 0, 0, 0x1000, BOTH, &addr), -ENODEV);
    known_done(&s, c);
}

/* Of a huge page the kernel maps all or nothing, and takes no part of it away again. */
static void a_part_of_a_huge_page_is_not_mapped(void **state)
{
    int fd = memfd_create("region", MFD_CLOEXEC | MFD_HUGETLB);
    struct script s;
    struct vfuc_client *c;
    void *addr = &addr;

    (void)state;
    if (fd < 0)
        skip();     /* not on this kernel */
    assert_int_equal(ftruncate(fd, 1 << 30), 0);
    c = with_memory(&s, fd);
    assert_int_equal(vfuc_region_map(c, 0, 0, 0x1000, BOTH, &addr), -ENODEV);
    assert_ptr_equal(addr, &addr);
    assert_non_null(strstr(vfuc_last_error(c), "huge pages"));
    known_done(&s, c);
    close(fd);
}

static void read_only_region_is_not_mapped_for_writing(void **state)
{
    int fd = memory(0x4000, "");
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);
    void *addr;

    (void)state;
    s.fd = fd;
    script_say(&s, "20000000 05000000 00000000 00000000"
               "0040000000000000 0000000000000000")->n_fds = 1;
    assert_int_equal(vfuc_region_map(c, 0, 0, 1, BOTH, &addr), -EACCES);
    assert_int_equal(vfuc_region_map(c, 0, 0, 1, VFUC_MAP_WRITE, &addr), -EACCES);
    assert_int_equal(vfuc_region_map(c, 0, 0, 1, VFUC_MAP_READ, &addr), 0);
    known_done(&s, c);
    close(fd);
}

static void mapping_without_room_is_our_failure(void **state)
{
    int fd = memory(0x4000, "");
    struct script s;
    struct vfuc_client *c = with_memory(&s, fd);
    void *addr = NULL;

    (void)state;
    mmaps_left = 0;
    assert_int_equal(vfuc_region_map(c, 0, 0, 1, BOTH, &addr), -ENOMEM);
    mmaps_left = -1;
    assert_null(addr);
    assert_null(c->mappings);
    assert_int_equal(vfuc_region_map(c, 0, 0, 1, BOTH, &addr), 0);
    known_done(&s, c);
    close(fd);
}

/* ----------------------------------------------------- end of connection -- */

static void mapping_becomes_zeros_when_the_connection_ends(void **state)
{
    int fd = memory(0x4000, "hello");
    struct script s;
    struct vfuc_client *c = with_memory(&s, fd);
    const struct vfuc_region *r;
    void *addr, *readable;
    char text[6];

    (void)state;
    assert_int_equal(vfuc_region_map(c, 0, 0x1000, 0x1000, BOTH, &addr), 0);
    assert_int_equal(vfuc_region_map(c, 0, 0x1000, 1, VFUC_MAP_READ, &readable), 0);
    assert_int_equal(vfuc_region_info(c, 0, &r), 0);
    lose(&s, c);
    assert_string_equal(addr, "");
    assert_string_equal(readable, "");
    strcpy(addr, "mine!");              /* private: the server does not see it */
    assert_int_equal(pread(fd, text, 6, 0x1000), 6);
    assert_string_equal(text, "hello");
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_string_equal(addr, "mine!"); /* and cannot take it away */
    assert_int_equal(r->fd, -1);
    assert_int_equal(r->areas[0].fd, -1);
    assert_int_equal(r->size, 0x4000);
    assert_int_equal(vfuc_region_unmap(c, addr), 0);
    assert_true(is_unmapped(addr));
    known_done(&s, c);
    assert_true(is_unmapped(readable));
    close(fd);
}

static void nothing_is_mapped_on_a_closed_connection(void **state)
{
    int fd = memory(0x4000, "");
    struct script s;
    struct vfuc_client *c = with_memory(&s, fd);
    const struct vfuc_region *r;
    void *addr;

    (void)state;
    assert_int_equal(vfuc_region_info(c, 0, &r), 0);
    lose(&s, c);
    assert_int_equal(vfuc_region_map(c, 0, 0, 1, BOTH, &addr), -ENOTCONN);
    assert_int_equal(vfuc_region_map(c, 1, 0, 1, BOTH, &addr), -ENOTCONN);
    known_done(&s, c);
    close(fd);
}

/* Without memory for another mapping the old one stays: the address is never free. */
static void mapping_that_cannot_become_zeros_stays(void **state)
{
    int fd = memory(0x4000, "hello");
    struct script s;
    struct vfuc_client *c = with_memory(&s, fd);
    void *addr, *other;
    int maps;

    (void)state;
    assert_int_equal(vfuc_region_map(c, 0, 0x1000, 0x1000, BOTH, &addr), 0);
    assert_int_equal(vfuc_region_map(c, 0, 0x1000, 0x1000, BOTH, &other), 0);
    maps = count_maps();
    mmaps_left = 1;
    mremaps_left = 0;
    lose(&s, c);
    mmaps_left = mremaps_left = -1;
    assert_int_equal(count_maps(), maps);
    assert_string_equal(addr, "hello");
    assert_string_equal(other, "hello");
    known_done(&s, c);
    assert_true(is_unmapped(addr));
    close(fd);
}

static void losing_twice_is_harmless(void **state)
{
    int fd = memory(0x4000, "hello");
    struct script s;
    struct vfuc_client *c = with_memory(&s, fd);
    void *addr;

    (void)state;
    assert_int_equal(vfuc_region_map(c, 0, 0x1000, 0x1000, BOTH, &addr), 0);
    lose(&s, c);
    vuc_regions_lost(c);
    assert_string_equal(addr, "");
    known_done(&s, c);
    close(fd);
}

/* -------------------------------------------------------------- reconnect -- */

static void mapping_is_restored_in_place(void **state)
{
    int old = memory(0x4000, "hello"), fd = memory(0x5000, "");
    struct script s, again;
    struct vfuc_client *c = with_memory(&s, old);
    const struct vfuc_region *r, *same;
    const struct vfuc_area *areas;
    void *addr;
    int maps;

    (void)state;
    assert_int_equal(pwrite(fd, "again", 6, 0x2000), 6);
    assert_int_equal(vfuc_region_map(c, 0, 0x1000, 0x1000, BOTH, &addr), 0);
    assert_int_equal(vfuc_region_info(c, 0, &r), 0);
    areas = r->areas;
    maps = count_maps();
    known_again(c, &s, &again);
    again.fd = fd;
    /* another offset in the descriptor than before */
    script_say(&again, "20000000 07000000 00000000 00000000"
               "0040000000000000 0010000000000000")->n_fds = 1;
    assert_int_equal(vuc_regions_restore(c), 0);
    assert_string_equal(addr, "again");
    assert_int_equal(count_maps(), maps);
    assert_int_equal(vfuc_region_info(c, 0, &same), 0);
    assert_ptr_equal(same, r);          /* what was handed out is up to date */
    assert_ptr_equal(r->areas, areas);
    assert_true(r->fd >= 0);
    assert_int_equal(r->fd_offset, 0x1000);
    assert_int_equal(r->areas[0].fd, r->fd);
    assert_int_equal(again.n_said, 1);
    known_done(&again, c);
    script_done(&s);
    assert_true(is_unmapped(addr));
    close(old);
    close(fd);
}

static void only_regions_that_were_known_are_asked_for_again(void **state)
{
    struct script s, again;
    struct vfuc_client *c = known_region(&s, NULL, SAY_REGION0);

    (void)state;
    known_again(c, &s, &again);
    script_say(&again, SAY_REGION0);
    assert_int_equal(vuc_regions_restore(c), 0);
    assert_int_equal(again.n_said, 1);
    known_done(&again, c);
    script_done(&s);
}

static void server_that_breaks_the_protocol_on_return_leaves_zeros(void **state)
{
    int fd = memory(0x4000, "hello");
    struct script s, again;
    struct vfuc_client *c = with_memory(&s, fd);
    void *addr;

    (void)state;
    assert_int_equal(vfuc_region_map(c, 0, 0x1000, 0x1000, BOTH, &addr), 0);
    known_again(c, &s, &again);
    script_say(&again, MAPPABLE);
    assert_int_equal(vuc_regions_restore(c), -EPROTO);
    assert_string_equal(addr, "");
    known_done(&again, c);
    script_done(&s);
    close(fd);
}

/* Region 0 as it was, but for one thing. */
static void region_that_has_changed_is_another_device(void **state)
{
    static const char *const changed[] = {
        /* size, flags, no longer mappable */
        "20000000 07000000 00000000 00000000 0050000000000000 0000000000000000",
        "20000000 05000000 00000000 00000000 0040000000000000 0000000000000000",
        "20000000 03000000 00000000 00000000 0040000000000000 0000000000000000",
        /* MSI-X mappable, a type, type 0, an area less, another size of the area */
        "28000000 0f000000 00000000 20000000 0040000000000000 0000000000000000"
        "0300 0100 00000000",
        "30000000 0f000000 00000000 20000000 0040000000000000 0000000000000000"
        "0200 0100 00000000 01000000 00000000",
        "30000000 0f000000 00000000 20000000 0040000000000000 0000000000000000"
        "0200 0100 00000000 00000000 00000000",
        "30000000 0f000000 00000000 20000000 0040000000000000 0000000000000000"
        "0100 0100 00000000 00000000 00000000",
        "40000000 0f000000 00000000 20000000 0040000000000000 0000000000000000"
        "0100 0100 00000000 01000000 00000000 0000000000000000 0030000000000000",
    };
    int fd = memory(0x5000, "hello");

    (void)state;
    for (size_t i = 0; i < sizeof(changed) / sizeof(changed[0]); i++) {
        struct script s, again;
        struct vfuc_client *c = with_memory(&s, fd);
        int before = vu_test_open_fds();
        void *addr;

        assert_int_equal(vfuc_region_map(c, 0, 0x1000, 0x1000, BOTH, &addr), 0);
        known_again(c, &s, &again);
        again.fd = fd;
        if (changed[i][0] != '2' || changed[i][1] != '0')
            script_say(&again, changed[i]);     /* cut short, as the first question is */
        if (again.n_lines > 0)
            again.lines[0].body_len = VU_REGION_INFO_SIZE;
        script_say(&again, changed[i])->n_fds = changed[i][10] == '3' ? 0 : 1;
        assert_int_equal(vuc_regions_restore(c), -ESTALE);
        assert_string_equal(vfuc_last_error(c), "region 0 is not what it was");
        assert_string_equal(addr, "");
        assert_int_equal(vu_test_open_fds(), before);
        known_done(&again, c);
        script_done(&s);
    }
    close(fd);
}

/* Of what is not mappable only size and flags can be seen; of sparse areas, the number.
 * */
static void region_with_another_size_or_number_of_areas_is_another_device(void **state)
{
    static const char one_area[] =
        "40000000 0f000000 00000000 20000000 0040000000000000 0000000000000000"
        "0100 0100 00000000 01000000 00000000 0010000000000000 0010000000000000";
    static const char two_areas[] =
        "50000000 0f000000 00000000 20000000 0040000000000000 0000000000000000"
        "0100 0100 00000000 02000000 00000000 0010000000000000 0010000000000000"
        "0030000000000000 0010000000000000";
    struct script s, again;
    struct vfuc_client *c = known_region(&s, NULL, SAY_REGION0);
    const struct vfuc_region *r;

    (void)state;
    known_again(c, &s, &again);
    script_say(&again, "20000000 03000000 00000000 00000000"
               "0010000000000000 0000000000000000");
    assert_int_equal(vuc_regions_restore(c), -ESTALE);
    known_done(&again, c);
    script_done(&s);

    c = known_device(&s, NULL);
    script_say(&s, one_area)->body_len = 32;
    script_say(&s, one_area)->n_fds = 1;
    assert_int_equal(vfuc_region_info(c, 0, &r), 0);
    known_again(c, &s, &again);
    script_say(&again, two_areas)->body_len = 32;
    script_say(&again, two_areas)->n_fds = 1;
    assert_int_equal(vuc_regions_restore(c), -ESTALE);
    known_done(&again, c);
    script_done(&s);
}

static void file_that_has_become_too_short_is_another_device(void **state)
{
    int old = memory(0x4000, "hello"), fd = memory(0x2000, "");
    struct script s, again;
    struct vfuc_client *c = with_memory(&s, old);
    void *low, *high;

    (void)state;
    assert_int_equal(vfuc_region_map(c, 0, 0x2000, 0x1000, BOTH, &high), 0);
    assert_int_equal(vfuc_region_map(c, 0, 0x1000, 0x1000, BOTH, &low), 0);
    known_again(c, &s, &again);
    again.fd = fd;
    script_say(&again, MAPPABLE)->n_fds = 1;
    assert_int_equal(vuc_regions_restore(c), -ESTALE);
    assert_string_equal(vfuc_last_error(c),
                        "what was mapped of region 0 cannot be any more");
    strcpy(high, "zeros");      /* still memory */
    vuc_end(c, -ESTALE);
    assert_string_equal(low, "");
    known_done(&again, c);
    script_done(&s);
    close(old);
    close(fd);
}

static void reconnect_without_room_can_be_tried_again(void **state)
{
    int fd = memory(0x4000, "hello");
    struct script s, again, third;
    struct vfuc_client *c = with_memory(&s, fd);
    void *addr;

    (void)state;
    assert_int_equal(vfuc_region_map(c, 0, 0x1000, 0x1000, BOTH, &addr), 0);
    known_again(c, &s, &again);
    again.fd = fd;
    script_say(&again, MAPPABLE)->n_fds = 1;
    mmaps_left = 0;
    assert_int_equal(vuc_regions_restore(c), -ENOMEM);
    mmaps_left = -1;
    assert_string_equal(addr, "");
    known_again(c, &again, &third);
    third.fd = fd;
    script_say(&third, MAPPABLE)->n_fds = 1;
    assert_int_equal(vuc_regions_restore(c), 0);
    assert_string_equal(addr, "hello");
    known_done(&third, c);
    script_done(&again);
    script_done(&s);
    close(fd);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(mapping_shows_the_memory_of_the_server),
    VU_FD_TEST(only_areas_are_mapped),
    VU_FD_TEST(area_is_mapped_from_its_own_descriptor),
    VU_FD_TEST(file_that_is_too_short_is_not_mapped),
    VU_FD_TEST(descriptor_that_is_no_memory_is_not_mapped),
    VU_FD_TEST(a_part_of_a_huge_page_is_not_mapped),
    VU_FD_TEST(read_only_region_is_not_mapped_for_writing),
    VU_FD_TEST(mapping_without_room_is_our_failure),
    VU_FD_TEST(mapping_becomes_zeros_when_the_connection_ends),
    VU_FD_TEST(nothing_is_mapped_on_a_closed_connection),
    VU_FD_TEST(mapping_that_cannot_become_zeros_stays),
    VU_FD_TEST(losing_twice_is_harmless),
    VU_FD_TEST(mapping_is_restored_in_place),
    VU_FD_TEST(only_regions_that_were_known_are_asked_for_again),
    VU_FD_TEST(server_that_breaks_the_protocol_on_return_leaves_zeros),
    VU_FD_TEST(region_that_has_changed_is_another_device),
    VU_FD_TEST(region_with_another_size_or_number_of_areas_is_another_device),
    VU_FD_TEST(file_that_has_become_too_short_is_another_device),
    VU_FD_TEST(reconnect_without_room_can_be_tried_again),
};

VU_TEST_MAIN(tests)
