/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA windows: what is sent for them, what replies are taken, and what the client's own
 * table makes of success, refusal and loss.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "libclient/call.h"
#include "libclient/tests/known.h"
#include "wire/tests/calls.h"

static int memory(size_t size)
{
    int fd = memfd_create("dma", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    return fd;
}

/* The reply to DMA_UNMAP, for windows below 2^32. */
static struct line *say_unmapped(struct script *s, uint32_t address, uint32_t size)
{
    struct line *l = script_say(s, "18000000 00000000 0000000000000000 0000000000000000");

    memcpy(l->body + 8, &address, sizeof(address));
    memcpy(l->body + 16, &size, sizeof(size));
    return l;
}

static void map_bare(struct script *s, struct vfuc_client *c, uint64_t address,
                     uint64_t size)
{
    script_say(s, "");
    assert_int_equal(vfuc_dma_map(c, address, size, 3, -1, 0), 0);
}

/* The one completion that there is. */
static void assert_completed(struct vfuc_client *c, uint64_t tag, int result)
{
    struct vfuc_completion done[2];

    assert_int_equal(vfuc_complete(c, done, 2), 1);
    assert_int_equal(done[0].tag, tag);
    assert_int_equal(done[0].result, result);
}

/* ----------------------------------------------------------------- mapping -- */

static void dma_map_lends_its_descriptor(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);
    int fd = memory(0x4000);

    (void)state;
    script_say(&s, "");
    assert_int_equal(vfuc_dma_map(c, 0x10000, 0x2000, VFUC_DMA_READ | VFUC_DMA_WRITE, fd,
                                  0x1000), 0);
    /* argsz flags offset address size */
    script_heard(&s, 2, "0200 0200 30000000 00000000 00000000"
                 "20000000 03000000 0010000000000000 0000010000000000 0020000000000000",
                 1);
    script_say(&s, "");
    assert_int_equal(vfuc_dma_map(c, UINT64_MAX - 0xfff, 0x1000, VFUC_DMA_READ, -1, 0),
                     0);
    script_heard(&s, 3, "0300 0200 30000000 00000000 00000000"
                 "20000000 01000000 0000000000000000 00f0ffffffffffff 0010000000000000",
                 0);
    assert_int_equal(close(fd), 0);
    known_done(&s, c);
}

static void access_modes_are_passed_on(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);
    int fd = memory(0x1000);

    (void)state;
    script_say(&s, "");
    assert_int_equal(vfuc_dma_map(c, 0, 0x1000, VFUC_DMA_READ | VFUC_DMA_FILE_IO, fd, 0),
                     0);
    script_heard(&s, 2, "0200 0200 30000000 00000000 00000000"
                 "20000000 09000000 0000000000000000 0000000000000000 0010000000000000",
                 1);
    script_say(&s, "");
    assert_int_equal(vfuc_dma_map(c, 0x1000, 0x1000, VFUC_DMA_MMAP, fd, 0), 0);
    script_heard(&s, 3, "0300 0200 30000000 00000000 00000000"
                 "20000000 04000000 0000000000000000 0010000000000000 0010000000000000",
                 1);
    close(fd);
    known_done(&s, c);
}

static void window_that_cannot_be_is_not_sent(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);

    (void)state;
    assert_int_equal(vfuc_dma_map(c, 0, 0, 3, -1, 0), -EINVAL);
    assert_int_equal(vfuc_dma_map(c, UINT64_MAX - 0xfff, 0x1001, 3, -1, 0), -EINVAL);
    assert_int_equal(vfuc_dma_map(c, 2, UINT64_MAX, 3, -1, 0), -EINVAL);
    assert_int_equal(vfuc_dma_map(c, 0, 0x1000, 0x10, -1, 0), -EINVAL);
    assert_int_equal(vfuc_dma_map(c, 0, 0x1000, 3, -1, 0x1000), -EINVAL);
    assert_int_equal(vfuc_dma_map(c, 0, 0x1000, 3, -2, 0), -EBADF);
    assert_int_equal(vfuc_dma_map(c, 0, 0x1000, 3, 0, INT64_MAX), -EINVAL);
    assert_int_equal(vfuc_dma_map(c, 0, 0x1000, 3, 0, UINT64_MAX), -EINVAL);
    assert_int_equal(vfuc_dma_map(c, 0, 0x1000, 3, 999, 0), -EBADF);
    assert_int_equal(vfuc_dma_map_memory(c, 0, 0x1000, 3, NULL, -1, 0), -EINVAL);
    assert_int_equal(vfuc_submit_dma_map(c, 0, 0, 3, -1, 0, 1), -EINVAL);
    assert_int_equal(vfuc_submit_dma_map(c, 0, 0x1000, 3, 999, 0, 1), -EBADF);
    assert_int_equal(vfuc_dma_unmap(c, 0, 0), -EINVAL);
    assert_int_equal(vfuc_submit_dma_unmap(c, 0, 0, 1), -EINVAL);
    assert_int_equal(vfuc_pending(c), 0);
    assert_int_equal(s.n_said, 2);
    known_done(&s, c);
}

static void overlap_is_not_sent(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);

    (void)state;
    map_bare(&s, c, 0x10000, 0x2000);
    assert_int_equal(vfuc_dma_map(c, 0x10000, 0x2000, 3, -1, 0), -EEXIST);
    assert_int_equal(vfuc_dma_map(c, 0x11fff, 1, 3, -1, 0), -EEXIST);
    assert_int_equal(vfuc_dma_map(c, 0, 0x10001, 3, -1, 0), -EEXIST);
    assert_int_equal(vfuc_submit_dma_map(c, 0, UINT64_MAX, 3, -1, 0, 1), -EEXIST);
    assert_int_equal(s.n_said, 3);
    map_bare(&s, c, 0xf000, 0x1000);
    map_bare(&s, c, 0x12000, 0x1000);
    known_done(&s, c);
}

static void windows_stay_below_the_limit_of_the_server(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, "\"max_dma_maps\":2");

    (void)state;
    map_bare(&s, c, 0, 0x1000);
    script_refuse(&s, 17);      /* a window that was refused does not count */
    assert_int_equal(vfuc_dma_map(c, 0x1000, 0x1000, 3, -1, 0), -EREMOTEIO);
    assert_int_equal(vfuc_last_errno(c), EEXIST);
    map_bare(&s, c, 0x1000, 0x1000);
    assert_int_equal(vfuc_dma_map(c, 0x2000, 0x1000, 3, -1, 0), -ENOSPC);
    assert_int_equal(vfuc_submit_dma_map(c, 0x2000, 0x1000, 3, -1, 0, 1), -ENOSPC);
    assert_int_equal(s.n_said, 5);
    say_unmapped(&s, 0x1000, 0x1000);
    assert_int_equal(vfuc_dma_unmap(c, 0x1000, 0x1000), 0);
    map_bare(&s, c, 0x2000, 0x1000);
    assert_int_equal(vfuc_dma_map(c, 0x3000, 0x1000, 3, -1, 0), -ENOSPC);
    script_say(&s, "18000000 02000000 0000000000000000 0020000000000000");
    assert_int_equal(vfuc_dma_unmap_all(c), 0);
    map_bare(&s, c, 0x3000, 0x1000);
    known_done(&s, c);
}

static void server_without_descriptors_gets_bare_windows_only(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, "\"max_msg_fds\":0");
    int fd = memory(0x1000);
    char bytes[16];

    (void)state;
    assert_int_equal(vfuc_dma_map(c, 0, 0x1000, 3, fd, 0), -ENOTSUP);
    assert_int_equal(vfuc_dma_map_memory(c, 0, 16, 3, bytes, fd, 0), -ENOTSUP);
    assert_int_equal(s.n_said, 2);
    map_bare(&s, c, 0, 0x1000);
    script_say(&s, "");
    assert_int_equal(vfuc_dma_map_memory(c, 0x1000, 16, 3, bytes, -1, 0), 0);
    close(fd);
    known_done(&s, c);
}

static void memory_may_go_with_its_descriptor(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);
    int fd = memory(0x3000), before = vu_test_open_fds();
    void *at = mmap(NULL, 0x2000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0x1000);

    (void)state;
    assert_ptr_not_equal(at, MAP_FAILED);
    script_say(&s, "");
    assert_int_equal(vfuc_dma_map_memory(c, 0x10000, 0x2000, 3, at, fd, 0x1000), 0);
    script_heard(&s, 2, "0200 0200 30000000 00000000 00000000"
                 "20000000 03000000 0010000000000000 0000010000000000 0020000000000000",
                 1);
    assert_int_equal(vu_test_open_fds(), before + 1);
    known_done(&s, c);
    munmap(at, 0x2000);
    close(fd);
}

static void refused_window_leaves_no_descriptor(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);
    int fd = memory(0x1000), before = vu_test_open_fds();

    (void)state;
    script_refuse(&s, EINVAL);
    assert_int_equal(vfuc_dma_map(c, 0, 0x1000, 3, fd, 0), -EREMOTEIO);
    assert_int_equal(vu_test_open_fds(), before);
    assert_int_equal(c->windows.count, 0);
    script_refuse(&s, EINVAL);
    assert_int_equal(vfuc_submit_dma_map(c, 0, 0x1000, 3, fd, 0, 7), 0);
    assert_int_equal(vu_test_open_fds(), before + 1);
    assert_completed(c, 7, -EREMOTEIO);
    assert_int_equal(vu_test_open_fds(), before);
    close(fd);
    known_done(&s, c);
}

static void descriptor_without_room_for_a_copy_is_not_sent(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);
    struct rlimit old, none;
    int fd = memory(0x1000), err;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = old;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    err = vfuc_dma_map(c, 0, 0x1000, 3, fd, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(err, -EMFILE);
    assert_int_equal(s.n_said, 2);
    assert_int_equal(c->windows.count, 0);
    close(fd);
    known_done(&s, c);
}

static void descriptor_that_the_kernel_does_not_pass_makes_no_window(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);
    int fd = memory(0x1000), before = vu_test_open_fds();

    (void)state;
    s.send_result = -ETOOMANYREFS;
    assert_int_equal(vfuc_dma_map(c, 0, 0x1000, 3, fd, 0), -EBADF);
    assert_int_equal(vfuc_submit_dma_map(c, 0, 0x1000, 3, fd, 0, 1), -EBADF);
    assert_int_equal(vu_test_open_fds(), before);
    assert_int_equal(c->windows.count, 0);
    s.send_result = 0;
    script_say(&s, "");
    assert_int_equal(vfuc_dma_map(c, 0, 0x1000, 3, fd, 0), 0);
    close(fd);
    known_done(&s, c);
}

static void window_whose_reply_was_lost_is_gone(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);

    (void)state;
    map_bare(&s, c, 0, 0x1000);
    script_fail(&s, 0);
    assert_int_equal(vfuc_dma_map(c, 0x1000, 0x1000, 3, -1, 0), -ENOTCONN);
    assert_int_equal(c->windows.count, 1);
    assert_int_equal(vfuc_dma_map(c, 0x1000, 0x1000, 3, -1, 0), -ENOTCONN);
    assert_int_equal(vfuc_dma_unmap(c, 0, 0x1000), -ENOTCONN);
    assert_int_equal(vfuc_dma_unmap_all(c), -ENOTCONN);
    assert_int_equal(c->windows.count, 1);
    known_done(&s, c);
}

/* The nth allocation from now on fails, and no other. */
static void fail_allocation(unsigned nth)
{
    calls_reset();
    calls.malloc_fails_at = nth;
    calls.malloc_fails_once = true;
}

static void allocation_that_fails_makes_no_window(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);
    int fd = memory(0x1000), before = vu_test_open_fds(), err;

    (void)state;
    for (unsigned nth = 1; nth <= 2; nth++) {   /* the window, its file */
        fail_allocation(nth);
        err = vfuc_dma_map(c, 0, 0x1000, 3, fd, 0);
        calls_reset();
        assert_int_equal(err, -ENOMEM);
    }
    for (unsigned nth = 1; nth <= 3; nth++) {   /* and the table of what is on its way */
        fail_allocation(nth);
        err = vfuc_submit_dma_map(c, 0, 0x1000, 3, fd, 0, 1);
        calls_reset();
        assert_int_equal(err, -ENOMEM);
    }
    assert_int_equal(s.n_said, 2);
    assert_int_equal(c->windows.count, 0);
    assert_int_equal(vu_test_open_fds(), before);
    close(fd);
    known_done(&s, c);
}

/* --------------------------------------------------------------- unmapping -- */

static void unmap_names_the_window(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);

    (void)state;
    say_unmapped(&s, 0x10000, 0x2000);
    assert_int_equal(vfuc_dma_unmap(c, 0x10000, 0x2000), 0);
    script_heard(&s, 2, "0200 0300 28000000 00000000 00000000"
                 "18000000 00000000 0000010000000000 0020000000000000", 0);
    script_say(&s, "18000000 02000000 0000000000000000 0000000000000000");
    assert_int_equal(vfuc_dma_unmap_all(c), 0);
    script_heard(&s, 3, "0300 0300 28000000 00000000 00000000"
                 "18000000 02000000 0000000000000000 0000000000000000", 0);
    known_done(&s, c);
}

static void unmapping_what_never_was_does_not_upset_the_count(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);

    (void)state;
    map_bare(&s, c, 0x10000, 0x2000);
    say_unmapped(&s, 0x10000, 0x1000);
    assert_int_equal(vfuc_dma_unmap(c, 0x10000, 0x1000), 0);
    say_unmapped(&s, 0x50000, 0x1000);
    assert_int_equal(vfuc_dma_unmap(c, 0x50000, 0x1000), 0);
    assert_int_equal(c->windows.count, 1);
    assert_int_equal(vfuc_dma_map(c, 0x10000, 0x2000, 3, -1, 0), -EEXIST);
    known_done(&s, c);
}

static void window_that_was_unmapped_can_be_mapped_again(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);
    int fd = memory(0x1000), before = vu_test_open_fds();

    (void)state;
    for (int i = 0; i < 3; i++) {
        script_say(&s, "");
        assert_int_equal(vfuc_dma_map(c, 0x1000, 0x1000, 3, fd, 0), 0);
        assert_int_equal(vu_test_open_fds(), before + 1);
        say_unmapped(&s, 0x1000, 0x1000);
        assert_int_equal(vfuc_dma_unmap(c, 0x1000, 0x1000), 0);
        assert_int_equal(vu_test_open_fds(), before);
    }
    close(fd);
    known_done(&s, c);
}

static void window_whose_unmapping_was_refused_stays(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);

    (void)state;
    map_bare(&s, c, 0x1000, 0x1000);
    script_refuse(&s, EBUSY);
    assert_int_equal(vfuc_dma_unmap(c, 0x1000, 0x1000), -EREMOTEIO);
    script_refuse(&s, EINVAL);
    assert_int_equal(vfuc_dma_unmap_all(c), -EREMOTEIO);
    assert_int_equal(c->windows.count, 1);
    known_done(&s, c);
}

/* -------------------------------------------------------- without waiting -- */

static void submitted_window_is_one_before_its_completion(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);
    int fd = memory(0x1000);

    (void)state;
    assert_int_equal(vfuc_submit_dma_map(c, 0x10000, 0x1000, 1, fd, 0, 5), 0);
    script_heard(&s, 2, "0200 0200 30000000 00000000 00000000"
                 "20000000 01000000 0000000000000000 0000010000000000 0010000000000000",
                 1);
    assert_int_equal(vfuc_dma_map(c, 0x10000, 0x1000, 3, -1, 0), -EEXIST);
    script_say(&s, "");
    assert_completed(c, 5, 0);
    assert_int_equal(c->windows.count, 1);
    close(fd);
    known_done(&s, c);
}

static void submitted_unmapping_takes_the_window_out_when_it_completes(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);

    (void)state;
    map_bare(&s, c, 0x1000, 0x1000);
    assert_int_equal(vfuc_submit_dma_unmap(c, 0x1000, 0x1000, 9), 0);
    assert_int_equal(vfuc_dma_map(c, 0x1000, 0x1000, 3, -1, 0), -EEXIST);
    say_unmapped(&s, 0x1000, 0x1000);
    assert_completed(c, 9, 0);
    map_bare(&s, c, 0x1000, 0x1000);
    known_done(&s, c);
}

static void unmapping_that_was_not_submitted_leaves_the_window(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);

    (void)state;
    map_bare(&s, c, 0x1000, 0x1000);
    s.send_result = -ENOBUFS;
    assert_int_equal(vfuc_submit_dma_unmap(c, 0x1000, 0x1000, 9), -EAGAIN);
    assert_int_equal(vfuc_submit_dma_map(c, 0x2000, 0x1000, 3, -1, 0, 9), -EAGAIN);
    assert_int_equal(vuc_windows_exact(&c->windows, 0x1000, 0x1000)->leaving, 0);
    assert_int_equal(c->windows.count, 1);
    s.send_result = 0;
    known_done(&s, c);
}

static void submitted_unmapping_that_is_refused_leaves_the_window(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);

    (void)state;
    map_bare(&s, c, 0x1000, 0x1000);
    assert_int_equal(vfuc_submit_dma_unmap(c, 0x1000, 0x1000, 9), 0);
    script_refuse(&s, EBUSY);
    assert_completed(c, 9, -EREMOTEIO);
    assert_int_equal(vuc_windows_exact(&c->windows, 0x1000, 0x1000)->leaving, 0);
    known_done(&s, c);
}

static void second_unmapping_does_not_take_the_next_window_out(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);

    (void)state;
    map_bare(&s, c, 0x1000, 0x1000);
    assert_int_equal(vfuc_submit_dma_unmap(c, 0x1000, 0x1000, 1), 0);
    assert_int_equal(vfuc_submit_dma_unmap(c, 0x1000, 0x1000, 2), 0);
    /* The first is answered, the window is mapped again, then the second is. */
    say_unmapped(&s, 0x1000, 0x1000)->id_off = (uint16_t)-1;
    assert_completed(c, 1, 0);
    say_unmapped(&s, 0x1000, 0x1000)->id_off = 0;
    assert_int_equal(vfuc_submit_dma_map(c, 0x1000, 0x1000, 3, -1, 0, 3), 0);
    s.lines[s.n_lines - 1].id_off = (uint16_t)-1;
    s.lines[s.n_lines - 1].command_off = 1;
    assert_completed(c, 2, 0);
    script_say(&s, "");
    assert_completed(c, 3, 0);
    assert_int_equal(c->windows.count, 1);
    known_done(&s, c);
}

static void submitted_unmapping_is_checked_as_the_blocking_one(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);

    (void)state;
    map_bare(&s, c, 0x1000, 0x1000);
    assert_int_equal(vfuc_submit_dma_unmap(c, 0x1000, 0x1000, 1), 0);
    say_unmapped(&s, 0x1000, 0x2000);
    assert_completed(c, 1, -EPROTO);
    assert_true(s.closed);
    known_done(&s, c);
}

static void what_was_on_its_way_when_the_connection_ended_is_undone(void **state)
{
    struct script s;
    struct vfuc_client *c = known_device(&s, NULL);
    struct vfuc_completion done[3];

    (void)state;
    map_bare(&s, c, 0x1000, 0x1000);
    assert_int_equal(vfuc_submit_dma_unmap(c, 0x1000, 0x1000, 1), 0);
    assert_int_equal(vfuc_submit_dma_map(c, 0x2000, 0x1000, 3, -1, 0, 2), 0);
    script_fail(&s, 0);
    assert_int_equal(vfuc_complete(c, done, 3), 2);
    assert_int_equal(done[0].result, -ENOTCONN);
    assert_int_equal(done[1].result, -ENOTCONN);
    /* The caller knows that the first is mapped still, and the second is not. */
    assert_int_equal(c->windows.count, 1);
    assert_int_equal(vuc_windows_exact(&c->windows, 0x1000, 0x1000)->leaving, 0);
    known_done(&s, c);
}

/* ------------------------------------------------------------ reconnecting -- */

static void windows_are_told_again_in_ascending_order(void **state)
{
    struct script s, again;
    struct vfuc_client *c = known_device(&s, NULL);
    int fd = memory(0x4000), before = vu_test_open_fds();

    (void)state;
    script_say(&s, "");
    assert_int_equal(vfuc_dma_map(c, UINT64_MAX - 0xfff, 0x1000, 1, -1, 0), 0);
    script_say(&s, "");
    assert_int_equal(vfuc_dma_map(c, 0x10000, 0x2000, 3, fd, 0x1000), 0);
    map_bare(&s, c, 0, 0x1000);
    known_again(c, &s, &again);
    for (int i = 0; i < 3; i++)
        script_say(&again, "");
    assert_int_equal(vuc_windows_restore(c), 0);
    script_heard(&again, 0, "0000 0200 30000000 00000000 00000000"
                 "20000000 03000000 0000000000000000 0000000000000000 0010000000000000",
                 0);
    script_heard(&again, 1, "0100 0200 30000000 00000000 00000000"
                 "20000000 03000000 0010000000000000 0000010000000000 0020000000000000",
                 1);
    script_heard(&again, 2, "0200 0200 30000000 00000000 00000000"
                 "20000000 01000000 0000000000000000 00f0ffffffffffff 0010000000000000",
                 0);
    assert_int_equal(again.n_said, 3);
    assert_int_equal(vu_test_open_fds(), before + 1);
    known_done(&again, c);
    script_done(&s);
    close(fd);
}

static void restoring_ends_with_the_first_refusal_and_keeps_all(void **state)
{
    struct script s, again;
    struct vfuc_client *c = known_device(&s, NULL);

    (void)state;
    map_bare(&s, c, 0x1000, 0x1000);
    map_bare(&s, c, 0x3000, 0x1000);
    known_again(c, &s, &again);
    script_refuse(&again, EINVAL);
    assert_int_equal(vuc_windows_restore(c), -EREMOTEIO);
    assert_int_equal(again.n_said, 1);
    assert_int_equal(c->windows.count, 2);
    known_done(&again, c);
    script_done(&s);
}

static void restored_window_needs_a_server_that_takes_descriptors(void **state)
{
    struct script s, again;
    struct vfuc_client *c = known_device(&s, NULL);
    int fd = memory(0x1000);

    (void)state;
    script_say(&s, "");
    assert_int_equal(vfuc_dma_map(c, 0x1000, 0x1000, 3, fd, 0), 0);
    known_again(c, &s, &again);
    c->limits.max_msg_fds = 0;
    assert_int_equal(vuc_windows_restore(c), -ESTALE);
    assert_int_equal(again.n_said, 0);
    known_done(&again, c);
    script_done(&s);
    close(fd);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(dma_map_lends_its_descriptor),
    VU_FD_TEST(access_modes_are_passed_on),
    VU_FD_TEST(window_that_cannot_be_is_not_sent),
    VU_FD_TEST(overlap_is_not_sent),
    VU_FD_TEST(windows_stay_below_the_limit_of_the_server),
    VU_FD_TEST(server_without_descriptors_gets_bare_windows_only),
    VU_FD_TEST(memory_may_go_with_its_descriptor),
    VU_FD_TEST(refused_window_leaves_no_descriptor),
    VU_FD_TEST(descriptor_without_room_for_a_copy_is_not_sent),
    VU_FD_TEST(descriptor_that_the_kernel_does_not_pass_makes_no_window),
    VU_FD_TEST(window_whose_reply_was_lost_is_gone),
    VU_FD_TEST(allocation_that_fails_makes_no_window),
    VU_FD_TEST(unmap_names_the_window),
    VU_FD_TEST(unmapping_what_never_was_does_not_upset_the_count),
    VU_FD_TEST(window_that_was_unmapped_can_be_mapped_again),
    VU_FD_TEST(window_whose_unmapping_was_refused_stays),
    VU_FD_TEST(submitted_window_is_one_before_its_completion),
    VU_FD_TEST(submitted_unmapping_takes_the_window_out_when_it_completes),
    VU_FD_TEST(unmapping_that_was_not_submitted_leaves_the_window),
    VU_FD_TEST(submitted_unmapping_that_is_refused_leaves_the_window),
    VU_FD_TEST(second_unmapping_does_not_take_the_next_window_out),
    VU_FD_TEST(submitted_unmapping_is_checked_as_the_blocking_one),
    VU_FD_TEST(what_was_on_its_way_when_the_connection_ended_is_undone),
    VU_FD_TEST(windows_are_told_again_in_ascending_order),
    VU_FD_TEST(restoring_ends_with_the_first_refusal_and_keeps_all),
    VU_FD_TEST(restored_window_needs_a_server_that_takes_descriptors),
};

VU_TEST_MAIN(tests)
