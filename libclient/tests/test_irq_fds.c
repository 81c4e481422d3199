/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Eventfds of interrupts: which are sent, which are kept, who owns them, and what a
 * server gets that has come back.
 *
 * SET_IRQS is typed as argsz flags index start count; 24 is DATA_EVENTFD and TRIGGER.
 */
#include "libclient/irq_fds.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "libclient/tests/known.h"

/* SET_IRQS with eventfds for MSI-X vectors, with this id. */
static void heard_set(const struct script *s, size_t i, const char *flags, uint8_t id,
                      uint8_t start, uint8_t count, size_t n_fds)
{
    char sent[160];

    snprintf(sent, sizeof(sent), "%02x00 0800 24000000 00000000 00000000"
             "14000000 %s 02000000 %02x000000 %02x000000", id, flags, start, count);
    script_heard(s, i, sent, n_fds);
}

/* Are two descriptors the same eventfd? What is written to one is read from the other. */
static bool same_eventfd(int a, int b)
{
    uint64_t count = 0;

    assert_int_equal(eventfd_write(a, 7), 0);
    if (eventfd_read(b, &count) == 0)
        return count == 7;
    assert_int_equal(eventfd_read(a, &count), 0);
    return false;
}

/* ----------------------------------------------------------------- assign -- */

static void assign_sends_eventfds_in_one_message(void **state)
{
    struct script s;
    struct vfuc_client *c = known_msix(&s, "\"max_msg_fds\":8");
    int fds[3] = { 0, 1, 2 };

    (void)state;
    script_say(&s, "");
    assert_int_equal(vfuc_irq_assign(c, 2, 4, fds, 3), 0);
    script_heard(&s, 3, "0300 0800 24000000 00000000 00000000"
                 "14000000 24000000 02000000 04000000 03000000", 3);
    known_done(&s, c);
}

static void assign_is_split_into_runs_and_at_max_msg_fds(void **state)
{
    struct script s;
    struct vfuc_client *c = known_msix(&s, "\"max_msg_fds\":2");
    int fds[10] = { 0, 1, 2, -1, -1, -1, -1, 0, -1, 1 };

    (void)state;
    for (int i = 0; i < 6; i++)
        script_say(&s, "");
    assert_int_equal(vfuc_irq_assign(c, 2, 1, fds, 10), 0);
    script_heard(&s, 3, "0300 0800 24000000 00000000 00000000"
                 "14000000 24000000 02000000 01000000 02000000", 2);
    script_heard(&s, 4, "0400 0800 24000000 00000000 00000000"
                 "14000000 24000000 02000000 03000000 01000000", 1);
    script_heard(&s, 5, "0500 0800 24000000 00000000 00000000"
                 "14000000 24000000 02000000 04000000 04000000", 0);
    script_heard(&s, 6, "0600 0800 24000000 00000000 00000000"
                 "14000000 24000000 02000000 08000000 01000000", 1);
    script_heard(&s, 7, "0700 0800 24000000 00000000 00000000"
                 "14000000 24000000 02000000 09000000 01000000", 0);
    script_heard(&s, 8, "0800 0800 24000000 00000000 00000000"
                 "14000000 24000000 02000000 0a000000 01000000", 1);
    known_done(&s, c);
}

static void assignment_that_cannot_be_is_not_sent(void **state)
{
    struct script s;
    struct vfuc_client *c = known_msix(&s, NULL);
    int fds[17] = { 0 };
    int closed[2] = { 0, 999 };
    int odd[1] = { -2 };

    (void)state;
    assert_int_equal(vfuc_irq_assign(c, 2, 0, fds, 17), -ERANGE);
    assert_int_equal(vfuc_irq_assign(c, 2, 16, fds, 1), -ERANGE);
    assert_int_equal(vfuc_irq_assign(c, 2, UINT32_MAX, fds, 2), -ERANGE);
    assert_int_equal(vfuc_irq_assign(c, 5, 0, fds, 1), -ERANGE);
    assert_int_equal(vfuc_irq_assign(c, 2, 0, fds, 0), -EINVAL);
    assert_int_equal(vfuc_irq_assign(c, 2, 0, closed, 2), -EBADF);
    assert_int_equal(vfuc_irq_assign(c, 2, 0, odd, 1), -EBADF);
    assert_int_equal(s.n_said, 3);
    known_done(&s, c);
}

static void server_that_takes_no_descriptors_gets_none(void **state)
{
    struct script s;
    struct vfuc_client *c = known_msix(&s, "\"max_msg_fds\":0");
    int fds[2] = { -1, 0 };

    (void)state;
    assert_int_equal(vfuc_irq_assign(c, 2, 0, fds, 2), -ENOTSUP);
    assert_int_equal(vfuc_irq_notify(c, 2, VFUC_IRQ_MASK, 0, fds, 2), -ENOTSUP);
    assert_int_equal(vfuc_irq_enable(c, 2, 0, 2), -ENOTSUP);
    assert_int_equal(vfuc_irq_fd(c, 2, 0), -1);
    assert_int_equal(s.n_said, 3);
    script_say(&s, "");
    assert_int_equal(vfuc_irq_assign(c, 2, 0, fds, 1), 0);
    known_done(&s, c);
}

/* ------------------------------------------------------------------- kept -- */

/* A script that keeps a copy of every descriptor it is sent. */
struct taker {
    struct script s;
    struct vuc_port port;
    int fds[16];
    size_t n;
};

static int take_offer(void *at, struct iovec *iov, int n_iov, const int *fds,
                      size_t n_fds)
{
    struct taker *t = at;

    for (size_t i = 0; i < n_fds; i++) {
        assert_true(t->n < 16);
        t->fds[t->n++] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
    }
    return script_port.offer(at, iov, n_iov, fds, n_fds);
}

static void take_from(struct taker *t, struct vfuc_client *c)
{
    t->port = script_port;
    t->port.offer = take_offer;
    t->n = 0;
    c->main.port = &t->port;
}

static void taker_done(struct taker *t)
{
    for (size_t i = 0; i < t->n; i++)
        close(t->fds[i]);
    t->n = 0;
}

static int new_eventfd(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    assert_true(fd >= 0);
    return fd;
}

#define EVENTFD_TRIGGER "24000000"
#define EVENTFD_MASK    "0c000000"
#define EVENTFD_UNMASK  "14000000"

static void eventfds_of_the_caller_are_copied(void **state)
{
    struct taker t;
    struct vfuc_client *c = known_msix(&t.s, "\"max_msg_fds\":8");
    int before = vu_test_open_fds();
    int fds[2] = { new_eventfd(), new_eventfd() };

    (void)state;
    take_from(&t, c);
    script_say(&t.s, "");
    assert_int_equal(vfuc_irq_assign(c, 2, 3, fds, 2), 0);
    heard_set(&t.s, 3, EVENTFD_TRIGGER, 3, 3, 2, 2);
    assert_true(same_eventfd(fds[0], t.fds[0]));
    assert_true(same_eventfd(fds[1], t.fds[1]));
    assert_false(same_eventfd(fds[0], t.fds[1]));
    assert_int_equal(vfuc_irq_fd(c, 2, 3), -1);     /* not the caller's business */
    taker_done(&t);
    assert_int_equal(vu_test_open_fds(), before + 4);
    assert_int_equal(close(fds[0]), 0);             /* the caller's own still */
    assert_int_equal(close(fds[1]), 0);
    known_done(&t.s, c);
}

static void copies_go_when_vectors_are_given_others_or_none(void **state)
{
    struct script s;
    struct vfuc_client *c = known_msix(&s, "\"max_msg_fds\":8");
    int fds[3] = { 0, 1, 2 }, none[3] = { -1, -1, -1 };
    int before = vu_test_open_fds();

    (void)state;
    for (int i = 0; i < 5; i++)
        script_say(&s, "");
    assert_int_equal(vfuc_irq_assign(c, 2, 0, fds, 3), 0);
    assert_int_equal(vu_test_open_fds(), before + 3);
    assert_int_equal(vfuc_irq_assign(c, 2, 1, fds, 3), 0);
    assert_int_equal(vu_test_open_fds(), before + 4);
    assert_int_equal(vfuc_irq_assign(c, 2, 0, none, 3), 0);
    assert_int_equal(vu_test_open_fds(), before + 1);
    assert_int_equal(vfuc_irq_notify(c, 2, VFUC_IRQ_MASK, 0, fds, 2), 0);
    assert_int_equal(vu_test_open_fds(), before + 3);
    assert_int_equal(vfuc_irq_disable(c, 2), 0);    /* the whole index */
    assert_int_equal(vu_test_open_fds(), before);
    known_done(&s, c);
}

static void runs_before_a_refused_one_are_kept(void **state)
{
    struct script s;
    struct vfuc_client *c = known_msix(&s, NULL);   /* max_msg_fds 1 */
    int fds[3] = { 0, 1, 2 };
    int before = vu_test_open_fds();

    (void)state;
    script_say(&s, "");
    script_refuse(&s, 24);
    assert_int_equal(vfuc_irq_assign(c, 2, 5, fds, 3), -EREMOTEIO);
    assert_int_equal(s.n_said, 5);
    assert_int_equal(vu_test_open_fds(), before + 1);
    assert_true(c->irqs[2].eventfds[VUC_SIGNAL_TRIGGER][5].fd >= 0);
    known_done(&s, c);
}

static void refused_disable_changes_nothing(void **state)
{
    struct script s;
    struct vfuc_client *c = known_msix(&s, NULL);
    int fd;

    (void)state;
    script_say(&s, "");
    assert_int_equal(vfuc_irq_enable(c, 2, 0, 1), 0);
    fd = vfuc_irq_fd(c, 2, 0);
    script_refuse(&s, 16);
    assert_int_equal(vfuc_irq_disable(c, 2), -EREMOTEIO);
    assert_int_equal(vfuc_irq_fd(c, 2, 0), fd);
    known_done(&s, c);
}

/* Leaves room for this many more descriptors; *old is to be put back. */
static void limit_fds(rlim_t more, struct rlimit *old)
{
    int lowest = fcntl(0, F_DUPFD_CLOEXEC, 0);
    struct rlimit now;

    close(lowest);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, old), 0);
    now = *old;
    now.rlim_cur = (rlim_t)lowest + more;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
}

static void without_room_for_all_descriptors_nothing_is_sent(void **state)
{
    struct script s;
    struct vfuc_client *c = known_msix(&s, "\"max_msg_fds\":8");
    int fds[2] = { 0, 1 };
    int before = vu_test_open_fds(), assigned, enabled;
    struct rlimit old;

    (void)state;
    limit_fds(1, &old);
    assigned = vfuc_irq_assign(c, 2, 0, fds, 2);
    enabled = vfuc_irq_enable(c, 2, 0, 2);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(assigned, -EMFILE);
    assert_int_equal(enabled, -EMFILE);
    assert_int_equal(s.n_said, 3);
    assert_int_equal(vu_test_open_fds(), before);
    assert_int_equal(vfuc_irq_fd(c, 2, 0), -1);
    known_done(&s, c);
}

static void notifiers_go_with_masking_and_unmasking(void **state)
{
    struct taker t;
    struct vfuc_client *c = known_msix(&t.s, "\"max_msg_fds\":8");
    int fds[2] = { new_eventfd(), -1 };

    (void)state;
    take_from(&t, c);
    for (int i = 0; i < 4; i++)
        script_say(&t.s, "");
    assert_int_equal(vfuc_irq_notify(c, 2, VFUC_IRQ_MASK, 9, fds, 2), 0);
    heard_set(&t.s, 3, EVENTFD_MASK, 3, 9, 1, 1);
    heard_set(&t.s, 4, EVENTFD_MASK, 4, 10, 1, 0);
    assert_int_equal(vfuc_irq_notify(c, 2, VFUC_IRQ_UNMASK, 9, fds, 1), 0);
    heard_set(&t.s, 5, EVENTFD_UNMASK, 5, 9, 1, 1);
    assert_int_equal(vfuc_irq_notify(c, 2, VFUC_IRQ_TRIGGER, 9, fds, 1), -EINVAL);
    assert_int_equal(vfuc_irq_notify(c, 2, 0, 9, fds, 1), -EINVAL);
    assert_int_equal(vfuc_irq_notify(c, 2, VFUC_IRQ_MASK, 16, fds, 1), -ERANGE);
    assert_int_equal(t.s.n_said, 6);
    assert_int_equal(vfuc_irq_assign(c, 2, 9, fds + 1, 1), 0);  /* another table */
    assert_true(same_eventfd(fds[0], c->irqs[2].eventfds[VUC_SIGNAL_MASK][9].fd));
    assert_true(same_eventfd(fds[0], c->irqs[2].eventfds[VUC_SIGNAL_UNMASK][9].fd));
    taker_done(&t);
    close(fds[0]);
    known_done(&t.s, c);
}

/* ------------------------------------------------------------------- ours -- */

static void enabled_vectors_have_eventfds_of_the_library(void **state)
{
    struct taker t;
    struct vfuc_client *c = known_msix(&t.s, "\"max_msg_fds\":8");
    int fd;

    (void)state;
    take_from(&t, c);
    script_say(&t.s, "");
    assert_int_equal(vfuc_irq_enable(c, 2, 14, 2), 0);
    heard_set(&t.s, 3, EVENTFD_TRIGGER, 3, 14, 2, 2);
    fd = vfuc_irq_fd(c, 2, 15);
    assert_true(fd >= 0);
    assert_true(same_eventfd(t.fds[1], fd));
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(vfuc_irq_fd(c, 2, 13), -1);
    assert_int_equal(vfuc_irq_fd(c, 2, 16), -1);
    assert_int_equal(vfuc_irq_fd(c, 2, UINT32_MAX), -1);
    assert_int_equal(vfuc_irq_fd(c, 1, 0), -1);
    assert_int_equal(vfuc_irq_fd(c, 5, 0), -1);
    taker_done(&t);
    known_done(&t.s, c);
}

static void enabling_again_keeps_eventfds_and_their_counts(void **state)
{
    struct script s;
    struct vfuc_client *c = known_msix(&s, "\"max_msg_fds\":8");
    int before = vu_test_open_fds(), fd;
    uint64_t count = 0;

    (void)state;
    script_say(&s, "");
    script_say(&s, "");
    assert_int_equal(vfuc_irq_enable(c, 2, 1, 2), 0);
    fd = vfuc_irq_fd(c, 2, 2);
    assert_int_equal(eventfd_write(fd, 5), 0);
    assert_int_equal(vfuc_irq_enable(c, 2, 0, 4), 0);
    assert_int_equal(vfuc_irq_fd(c, 2, 2), fd);
    assert_int_equal(vu_test_open_fds(), before + 4);
    assert_int_equal(vfuc_irq_wait(c, 2, 2, 0, &count), 0);
    assert_int_equal(count, 5);
    known_done(&s, c);
}

static void refused_enabling_leaves_what_was_and_nothing_new(void **state)
{
    struct script s;
    struct vfuc_client *c = known_msix(&s, "\"max_msg_fds\":8");
    int before = vu_test_open_fds(), fd;

    (void)state;
    script_say(&s, "");
    assert_int_equal(vfuc_irq_enable(c, 2, 1, 1), 0);
    fd = vfuc_irq_fd(c, 2, 1);
    script_refuse(&s, 22);
    assert_int_equal(vfuc_irq_enable(c, 2, 0, 4), -EREMOTEIO);
    assert_int_equal(vu_test_open_fds(), before + 1);
    assert_int_equal(vfuc_irq_fd(c, 2, 0), -1);
    assert_int_equal(vfuc_irq_fd(c, 2, 1), fd);
    assert_true(fcntl(fd, F_GETFD) >= 0);
    known_done(&s, c);
}

static void last_call_decides_whose_eventfd_a_vector_has(void **state)
{
    struct script s;
    struct vfuc_client *c = known_msix(&s, "\"max_msg_fds\":8");
    int before = vu_test_open_fds(), fd = 0;

    (void)state;
    for (int i = 0; i < 3; i++)
        script_say(&s, "");
    assert_int_equal(vfuc_irq_assign(c, 2, 0, &fd, 1), 0);
    assert_int_equal(vfuc_irq_enable(c, 2, 0, 1), 0);
    assert_true(vfuc_irq_fd(c, 2, 0) >= 0);
    assert_int_equal(vu_test_open_fds(), before + 1);
    assert_int_equal(vfuc_irq_assign(c, 2, 0, &fd, 1), 0);
    assert_int_equal(vfuc_irq_fd(c, 2, 0), -1);
    assert_int_equal(vu_test_open_fds(), before + 1);
    known_done(&s, c);
}

static void wait_takes_the_count(void **state)
{
    struct script s;
    struct vfuc_client *c = known_msix(&s, "\"max_msg_fds\":8");
    uint64_t count = 99;

    (void)state;
    script_poll(&s, false);
    script_say(&s, "");
    assert_int_equal(vfuc_irq_enable(c, 2, 0, 2), 0);
    assert_int_equal(vfuc_irq_wait(c, 2, 0, 0, &count), -ETIMEDOUT);
    assert_int_equal(vfuc_irq_wait(c, 2, 0, 5, &count), -ETIMEDOUT);
    assert_int_equal(count, 99);
    assert_string_equal(vfuc_last_error(c),
                        "vector 0 of interrupt index 2 has not fired in time");
    assert_int_equal(eventfd_write(vfuc_irq_fd(c, 2, 0), 2), 0);
    assert_int_equal(vfuc_irq_wait(c, 2, 1, 0, &count), -ETIMEDOUT);
    assert_int_equal(eventfd_write(vfuc_irq_fd(c, 2, 0), 1), 0);
    assert_int_equal(vfuc_irq_wait(c, 2, 0, -1, &count), 0);
    assert_int_equal(count, 3);
    assert_int_equal(vfuc_irq_wait(c, 2, 0, 0, NULL), -ETIMEDOUT);
    assert_int_equal(eventfd_write(vfuc_irq_fd(c, 2, 0), 1), 0);
    assert_int_equal(vfuc_irq_wait(c, 2, 0, 1000, NULL), 0);
    assert_false(s.closed);
    close(s.poll_fd);
    known_done(&s, c);
}

static void server_is_served_during_a_wait(void **state)
{
    struct script s;
    struct vfuc_client *c = known_msix(&s, "\"max_msg_fds\":8");

    (void)state;
    script_say(&s, "");
    assert_int_equal(vfuc_irq_enable(c, 2, 0, 1), 0);
    script_poll(&s, true);
    script_type(&s, "0700 0b00 20000000 00000000 00000000"
                "0000010000000000 0400000000000000");
    assert_int_equal(vfuc_irq_wait(c, 2, 0, 10, NULL), -ETIMEDOUT);
    script_heard(&s, 4, "0700 0b00 10000000 21000000 0e000000", 0);
    script_fail(&s, 0);
    assert_int_equal(vfuc_irq_wait(c, 2, 0, 1000, NULL), -ENOTCONN);
    close(s.poll_fd);
    known_done(&s, c);
}

static void only_enabled_vectors_are_waited_for(void **state)
{
    struct script s;
    struct vfuc_client *c = known_msix(&s, "\"max_msg_fds\":8");
    int fd = 0;

    (void)state;
    script_say(&s, "");
    assert_int_equal(vfuc_irq_assign(c, 2, 0, &fd, 1), 0);
    assert_int_equal(vfuc_irq_wait(c, 2, 0, 0, NULL), -EINVAL);
    assert_int_equal(vfuc_irq_wait(c, 2, 16, 0, NULL), -EINVAL);
    assert_int_equal(vfuc_irq_wait(c, 9, 0, 0, NULL), -EINVAL);
    known_done(&s, c);
}

static void what_fired_before_the_end_can_still_be_taken(void **state)
{
    struct script s;
    struct vfuc_client *c = known_msix(&s, "\"max_msg_fds\":8");
    uint64_t count = 0;
    int fd;

    (void)state;
    script_say(&s, "");
    assert_int_equal(vfuc_irq_enable(c, 2, 0, 1), 0);
    fd = vfuc_irq_fd(c, 2, 0);
    assert_int_equal(eventfd_write(fd, 1), 0);
    vuc_end(c, -ENOTCONN);
    assert_int_equal(vfuc_irq_fd(c, 2, 0), fd);
    assert_int_equal(vfuc_irq_wait(c, 2, 0, -1, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(vfuc_irq_wait(c, 2, 0, -1, NULL), -ENOTCONN);
    known_done(&s, c);
}

static void eventfd_that_the_caller_closed_does_not_hang_a_wait(void **state)
{
    struct script s;
    struct vfuc_client *c = known_msix(&s, "\"max_msg_fds\":8");
    int fd;

    (void)state;
    script_say(&s, "");
    assert_int_equal(vfuc_irq_enable(c, 2, 0, 1), 0);
    fd = vfuc_irq_fd(c, 2, 0);
    close(fd);
    assert_int_equal(vfuc_irq_wait(c, 2, 0, -1, NULL), -EBADF);
    known_done(&s, c);
}

static void wake_up(int sig)
{
    (void)sig;
}

/* The open file is shared with the server. */
static void eventfd_that_the_server_lets_block_does_not_hang_a_wait(void **state)
{
    struct sigaction action = { .sa_handler = wake_up }, before;
    struct script s;
    struct vfuc_client *c = known_msix(&s, "\"max_msg_fds\":8");
    int fd;

    (void)state;
    script_poll(&s, false);
    script_say(&s, "");
    assert_int_equal(vfuc_irq_enable(c, 2, 0, 1), 0);
    fd = vfuc_irq_fd(c, 2, 0);
    assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    alarm(3);       /* ends a read() that blocks */
    assert_int_equal(vfuc_irq_wait(c, 2, 0, 5, NULL), -ETIMEDOUT);
    alarm(0);
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
    assert_int_equal(eventfd_write(fd, 1), 0);
    assert_int_equal(vfuc_irq_wait(c, 2, 0, 5, NULL), 0);
    close(s.poll_fd);
    known_done(&s, c);
}

/* -------------------------------------------------------------- reconnect -- */

static void server_gets_its_eventfds_back(void **state)
{
    struct script s;
    struct taker t;
    struct vfuc_client *c = known_msix(&s, "\"max_msg_fds\":2");
    int fd = new_eventfd(), lent[2] = { fd, fd };
    int ours;

    (void)state;
    for (int i = 0; i < 5; i++)
        script_say(&s, "");
    assert_int_equal(vfuc_irq_enable(c, 2, 0, 3), 0);
    assert_int_equal(vfuc_irq_assign(c, 2, 8, lent, 1), 0);
    assert_int_equal(vfuc_irq_notify(c, 2, VFUC_IRQ_UNMASK, 14, lent, 2), 0);
    assert_int_equal(vfuc_irq_mask(c, 2, 0, 1), 0);     /* is not restored */
    ours = vfuc_irq_fd(c, 2, 1);
    known_again(c, &s, &t.s);
    take_from(&t, c);
    script_say(&t.s, SAY_MSIX);
    for (int i = 0; i < 4; i++)
        script_say(&t.s, "");
    assert_int_equal(vuc_irqs_restore(c), 0);
    script_heard(&t.s, 0, "0000 0700 20000000 00000000 00000000"
                 "10000000 00000000 02000000 00000000", 0);
    heard_set(&t.s, 1, EVENTFD_TRIGGER, 1, 0, 2, 2);    /* max_msg_fds at a time */
    heard_set(&t.s, 2, EVENTFD_TRIGGER, 2, 2, 1, 1);
    heard_set(&t.s, 3, EVENTFD_TRIGGER, 3, 8, 1, 1);    /* holes are left out */
    heard_set(&t.s, 4, EVENTFD_UNMASK, 4, 14, 2, 2);
    assert_int_equal(t.s.n_said, 5);
    assert_int_equal(vfuc_irq_fd(c, 2, 1), ours);
    assert_true(same_eventfd(t.fds[1], ours));
    assert_true(same_eventfd(t.fds[3], fd));
    assert_true(same_eventfd(t.fds[5], fd));
    taker_done(&t);
    close(fd);
    known_done(&t.s, c);
    script_done(&s);
}

static void indices_that_nobody_used_are_not_asked_for_again(void **state)
{
    struct script s, again;
    struct vfuc_client *c = known_device(&s, NULL);

    (void)state;
    known_again(c, &s, &again);
    assert_int_equal(vuc_irqs_restore(c), 0);
    assert_int_equal(again.n_said, 0);
    known_done(&again, c);
    script_done(&s);
}

static void index_that_has_changed_is_another_device(void **state)
{
    static const char *const changed[] = {
        "10000000 03000000 02000000 11000000",
        "10000000 03000000 02000000 0f000000",
        "10000000 01000000 02000000 10000000",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(changed) / sizeof(changed[0]); i++) {
        struct script s, again;
        struct vfuc_client *c = known_msix(&s, NULL);

        script_say(&s, "");
        assert_int_equal(vfuc_irq_enable(c, 2, 0, 1), 0);
        known_again(c, &s, &again);
        script_say(&again, changed[i]);
        assert_int_equal(vuc_irqs_restore(c), -ESTALE);
        assert_string_equal(vfuc_last_error(c), "interrupt index 2 is not what it was");
        assert_int_equal(again.n_said, 1);
        assert_true(vfuc_irq_fd(c, 2, 0) >= 0);
        known_done(&again, c);
        script_done(&s);
    }
}

static void server_that_takes_no_descriptors_any_more_is_another_device(void **state)
{
    struct script s, again;
    struct vfuc_client *c = known_msix(&s, NULL);

    (void)state;
    script_say(&s, "");
    assert_int_equal(vfuc_irq_enable(c, 2, 0, 1), 0);
    known_again(c, &s, &again);
    c->limits.max_msg_fds = 0;
    script_say(&again, SAY_MSIX);
    assert_int_equal(vuc_irqs_restore(c), -ESTALE);
    assert_int_equal(again.n_said, 1);
    known_done(&again, c);
    script_done(&s);
}

static void eventfd_that_is_refused_on_return_is_kept(void **state)
{
    struct script s, again;
    struct vfuc_client *c = known_msix(&s, NULL);
    int fd;

    (void)state;
    script_say(&s, "");
    assert_int_equal(vfuc_irq_enable(c, 2, 0, 1), 0);
    fd = vfuc_irq_fd(c, 2, 0);
    known_again(c, &s, &again);
    script_say(&again, SAY_MSIX);
    script_refuse(&again, 24);
    assert_int_equal(vuc_irqs_restore(c), -EREMOTEIO);
    assert_int_equal(vfuc_irq_fd(c, 2, 0), fd);
    known_done(&again, c);
    script_done(&s);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(assign_sends_eventfds_in_one_message),
    VU_FD_TEST(assign_is_split_into_runs_and_at_max_msg_fds),
    VU_FD_TEST(assignment_that_cannot_be_is_not_sent),
    VU_FD_TEST(server_that_takes_no_descriptors_gets_none),
    VU_FD_TEST(eventfds_of_the_caller_are_copied),
    VU_FD_TEST(copies_go_when_vectors_are_given_others_or_none),
    VU_FD_TEST(runs_before_a_refused_one_are_kept),
    VU_FD_TEST(refused_disable_changes_nothing),
    VU_FD_TEST(without_room_for_all_descriptors_nothing_is_sent),
    VU_FD_TEST(notifiers_go_with_masking_and_unmasking),
    VU_FD_TEST(enabled_vectors_have_eventfds_of_the_library),
    VU_FD_TEST(enabling_again_keeps_eventfds_and_their_counts),
    VU_FD_TEST(refused_enabling_leaves_what_was_and_nothing_new),
    VU_FD_TEST(last_call_decides_whose_eventfd_a_vector_has),
    VU_FD_TEST(wait_takes_the_count),
    VU_FD_TEST(server_is_served_during_a_wait),
    VU_FD_TEST(only_enabled_vectors_are_waited_for),
    VU_FD_TEST(what_fired_before_the_end_can_still_be_taken),
    VU_FD_TEST(eventfd_that_the_caller_closed_does_not_hang_a_wait),
    VU_FD_TEST(eventfd_that_the_server_lets_block_does_not_hang_a_wait),
    VU_FD_TEST(server_gets_its_eventfds_back),
    VU_FD_TEST(indices_that_nobody_used_are_not_asked_for_again),
    VU_FD_TEST(index_that_has_changed_is_another_device),
    VU_FD_TEST(server_that_takes_no_descriptors_any_more_is_another_device),
    VU_FD_TEST(eventfd_that_is_refused_on_return_is_kept),
};

VU_TEST_MAIN(tests)
