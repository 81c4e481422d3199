/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The opt-in guard against SIGBUS.
 *
 * A handler belongs to a process, and some of what is tested ends one. So each test
 * runs this program again, with the name of a child below: a process of its own,
 * which exits with 0 when all was well, or dies as the test says.
 */
#include "libserver/tests/life.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "libserver/copy.h"

#define PAGE 0x1000u
#define BASE 0x10000u
#define READ  VU_DMA_READABLE
#define BOTH  (VU_DMA_READABLE | VU_DMA_WRITEABLE)

/* In children: a failed one is named by its line. */
#define CHECK(condition)                                                    \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition);         \
            exit(1);                                                        \
        }                                                                   \
    } while (0)

/* For what a sanitizer's run-time calls before it is ready for instrumented code, and
 * for what races with the handler's mmap(): which is a write, to a sanitizer. */
#ifdef __clang__
#define UNSANITIZED __attribute__((disable_sanitizer_instrumentation))
#else
#define UNSANITIZED __attribute__((no_sanitize("address", "thread")))
#endif

/* --------------------------------------------------------------- calls -- */

static struct {
    bool counts;
    unsigned installs;          /* of something else than SIG_DFL */
    int install_errno;
    int query_errno;
    bool swallow;               /* says yes, does nothing */
    int atfork_error;
    int mmap_fails;             /* so many anonymous ones */
} calls;

/* A handler can be held at work, in its mmap(). */
static atomic_bool gate_closed, at_gate;
static atomic_uint yields;      /* by the library: it waits for a handler */

int __real_sched_yield(void);
int __wrap_sched_yield(void);
int __wrap_sched_yield(void)
{
    atomic_fetch_add(&yields, 1);
    return __real_sched_yield();
}

static void pass_gate(void)
{
    while (atomic_load(&gate_closed)) {
        atomic_store(&at_gate, true);
        __real_sched_yield();
    }
}

int __real_sigaction(int sig, const struct sigaction *new, struct sigaction *old);
int __wrap_sigaction(int sig, const struct sigaction *new, struct sigaction *old);
int __wrap_sigaction(int sig, const struct sigaction *new, struct sigaction *old)
{
    int fail = new == NULL ? calls.query_errno : calls.install_errno;

    if (!calls.counts)
        return __real_sigaction(sig, new, old);
    if (fail != 0) {
        errno = fail;
        return -1;
    }
    calls.installs += new != NULL;
    if (new != NULL && calls.swallow)
        return 0;
    return __real_sigaction(sig, new, old);
}

int __real_pthread_atfork(void (*prepare)(void), void (*parent)(void),
                          void (*child)(void));
int __wrap_pthread_atfork(void (*prepare)(void), void (*parent)(void),
                          void (*child)(void));
UNSANITIZED
int __wrap_pthread_atfork(void (*prepare)(void), void (*parent)(void),
                          void (*child)(void))
{
    return calls.atfork_error != 0 ? calls.atfork_error
                                   : __real_pthread_atfork(prepare, parent, child);
}

void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
    if (fd == -1)
        pass_gate();
    if (fd == -1 && calls.mmap_fails != 0) {
        calls.mmap_fails--;
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return __real_mmap(at, len, prot, flags, fd, offset);
}

/* --------------------------------------------------------------- tools -- */

static atomic_int handled;     /* what another handler, or thread, has done */

/* A context with one window on a file of its own. */
struct guarded {
    struct core core;
    int fd;                     /* owned */
    volatile uint8_t *at;       /* the window's first byte */
    size_t pages;
};

static volatile uint8_t *add_window(struct core *c, uint64_t address, size_t pages,
                                    uint32_t flags, int fd)
{
    struct vu_dma_map m = { .flags = flags, .address = address, .size = pages * PAGE };
    struct answer a = core_dma_map(c, m, fd);

    CHECK(a.h.flags == VU_F_TYPE_REPLY);
    return vus_dma_from(&c->ctx->dma, address)->info.vaddr;
}

static void begin(struct guarded *g, size_t pages, uint32_t flags)
{
    core_begin(&g->core);
    g->fd = core_memory(pages * PAGE);
    g->pages = pages;
    CHECK(pwrite(g->fd, "hello", 5, 0) == 5);
    g->at = add_window(&g->core, BASE, pages, flags, g->fd);
}

static void guard(struct guarded *g)
{
    CHECK(vfu_setup_memory_guard(g->core.ctx) == 0);
}

static void shrink(struct guarded *g, size_t pages)
{
    CHECK(ftruncate(g->fd, (off_t)(pages * PAGE)) == 0);
}

static bool hit(const struct guarded *g)
{
    return atomic_load(&g->core.ctx->guard_hit);
}

static void end(struct guarded *g)
{
    core_end(&g->core);
    close(g->fd);
}

/* An address that raises SIGBUS and belongs to nobody's window. */
static volatile uint8_t *foreign(void)
{
    int fd = core_memory(PAGE);
    uint8_t *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    CHECK(at != MAP_FAILED);
    CHECK(ftruncate(fd, 0) == 0);
    close(fd);
    return at;
}

static void handle(void (*handler)(int, siginfo_t *, void *), int flags)
{
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };

    sigaddset(&action.sa_mask, SIGUSR1);
    CHECK(__real_sigaction(SIGBUS, &action, NULL) == 0);
}

/* ----------------------------------------------- children: what is a hit -- */

static int zeros_appear(void)
{
    struct guarded g;

    begin(&g, 4, BOTH);
    guard(&g);
    g.at[3 * PAGE] = 7;
    shrink(&g, 2);
    CHECK(!hit(&g));
    CHECK(g.at[3 * PAGE + 5] == 0);
    CHECK(hit(&g));
    CHECK(g.at[3 * PAGE] == 0);
    g.at[3 * PAGE] = 9;
    CHECK(g.at[3 * PAGE] == 9);
    CHECK(g.at[0] == 'h');              /* the rest is the client's still */
    CHECK(pwrite(g.fd, "j", 1, 0) == 1);
    CHECK(g.at[0] == 'j');
    g.at[2 * PAGE] = 1;                 /* the next page is another hit */
    CHECK(g.at[2 * PAGE] == 1);
    CHECK(lseek(g.fd, 0, SEEK_END) == 2 * PAGE);
    end(&g);
    return 0;
}

static int count_mappings(uintptr_t from, uintptr_t to)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    int n = 0;

    CHECK(maps != NULL);
    while (fgets(line, sizeof(line), maps) != NULL) {
        unsigned long low, high;

        CHECK(sscanf(line, "%lx-%lx", &low, &high) == 2);
        n += low < to && high > from;
    }
    fclose(maps);
    return n;
}

static int zeros_go_with_the_window(void)
{
    struct guarded g;
    struct vu_dma_unmap m = { .address = BASE, .size = 4 * PAGE };
    uintptr_t at;
    struct answer a;

    begin(&g, 4, BOTH);
    guard(&g);
    at = (uintptr_t)g.at;
    shrink(&g, 0);
    g.at[PAGE] = 1;
    CHECK(count_mappings(at, at + 4 * PAGE) == 3);
    a = core_dma_unmap(&g.core, m);
    CHECK(a.h.flags == VU_F_TYPE_REPLY);
    CHECK(count_mappings(at, at + 4 * PAGE) == 0);
    CHECK(g.core.ctx->dma.mappings.mapped == 0);
    end(&g);
    return 0;
}

static int zeros_permit_what_the_window_does(void)
{
    struct guarded g;
    int fds[2];

    begin(&g, 2, READ);
    guard(&g);
    shrink(&g, 0);
    CHECK(g.at[0] == 0);
    CHECK(hit(&g));
    CHECK(pipe(fds) == 0 && write(fds[1], "x", 1) == 1);
    CHECK(read(fds[0], (void *)(uintptr_t)g.at, 1) == -1 && errno == EFAULT);
    CHECK(g.at[0] == 0);
    end(&g);
    return 0;
}

/* Its page is larger than the system's. */
static int huge_pages_are_replaced_whole(void)
{
    struct guarded g = { .pages = 1024 };

    core_begin(&g.core);
    g.fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB);
    if (g.fd < 0 || ftruncate(g.fd, 4 << 20) != 0)
        _exit(77);
    {
        struct vu_dma_map m = { .flags = BOTH, .address = BASE, .size = 4 << 20 };
        struct answer a = core_dma_map(&g.core, m, g.fd);

        if (a.h.flags != VU_F_TYPE_REPLY)
            _exit(77);
    }
    g.at = vus_dma_from(&g.core.ctx->dma, BASE)->info.vaddr;
    guard(&g);
    shrink(&g, 512);
    g.at[0] = 1;
    CHECK(!hit(&g));
    g.at[(3 << 20) + 5] = 1;
    CHECK(hit(&g));
    CHECK(g.at[0] == 1);
    end(&g);
    return 0;
}

/* The kernel has no room for another mapping: the whole window becomes zeros. */
static int without_room_all_becomes_zeros(void)
{
    struct guarded g;

    begin(&g, 4, BOTH);
    guard(&g);
    shrink(&g, 2);
    calls.mmap_fails = 1;
    CHECK(g.at[3 * PAGE] == 0);
    CHECK(hit(&g));
    CHECK(g.at[0] == 0);
    CHECK(count_mappings((uintptr_t)g.at, (uintptr_t)g.at + 4 * PAGE) == 1);
    end(&g);
    return 0;
}

static int without_any_room_it_dies(void)
{
    struct guarded g;

    begin(&g, 4, BOTH);
    guard(&g);
    shrink(&g, 2);
    calls.mmap_fails = 2;
    g.at[3 * PAGE] = 1;
    return 0;
}

static int errno_is_kept(void)
{
    struct guarded g;

    begin(&g, 4, BOTH);
    guard(&g);
    shrink(&g, 2);
    calls.mmap_fails = 1;       /* sets it in the handler */
    errno = 4711;
    g.at[3 * PAGE] = 1;
    CHECK(errno == 4711);
    end(&g);
    return 0;
}

UNSANITIZED
static void *touch_all(void *arg)
{
    struct guarded *g = arg;

    for (size_t i = 0; i < g->pages; i++)
        g->at[i * PAGE] = (uint8_t)(g->at[i * PAGE] + 1);
    return NULL;
}

static int any_thread_is_guarded(void)
{
    struct guarded g;
    pthread_t threads[4];

    begin(&g, 500, BOTH);
    guard(&g);
    shrink(&g, 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, touch_all, &g) == 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK(hit(&g));
    end(&g);
    return 0;
}

/* --------------------------------------------- children: several contexts -- */

static int each_context_has_its_own_mark(void)
{
    struct guarded g[3];

    for (int i = 0; i < 3; i++) {
        begin(&g[i], 2, BOTH);
        guard(&g[i]);
        guard(&g[i]);           /* twice is once */
        shrink(&g[i], 0);
    }
    CHECK(g[1].at[0] == 0);
    CHECK(!hit(&g[0]) && hit(&g[1]) && !hit(&g[2]));
    end(&g[1]);
    CHECK(g[2].at[0] == 0);
    CHECK(!hit(&g[0]) && hit(&g[2]));
    end(&g[2]);
    CHECK(g[0].at[PAGE] == 0);
    CHECK(hit(&g[0]));
    end(&g[0]);
    begin(&g[0], 2, BOTH);      /* and once more, after the last has gone */
    guard(&g[0]);
    shrink(&g[0], 0);
    CHECK(g[0].at[0] == 0 && hit(&g[0]));
    end(&g[0]);
    return 0;
}

static int the_handler_is_installed_once(void)
{
    struct guarded g[2];

    calls.counts = true;
    for (int i = 0; i < 2; i++) {
        begin(&g[i], 1, BOTH);
        guard(&g[i]);
        guard(&g[i]);
    }
    for (int i = 0; i < 2; i++)
        end(&g[i]);
    begin(&g[0], 1, BOTH);
    guard(&g[0]);
    end(&g[0]);
    CHECK(calls.installs == 1);
    return 0;
}

static int an_unguarded_context_is_not_guarded(void)
{
    struct guarded a, b;

    begin(&a, 1, BOTH);
    begin(&b, 1, BOTH);
    guard(&a);
    shrink(&b, 0);
    b.at[0] = 1;
    return 0;
}

static int a_destroyed_context_is_not_guarded(void)
{
    struct guarded g;
    volatile uint8_t *at;

    begin(&g, 1, BOTH);
    guard(&g);
    end(&g);
    at = foreign();
    return at[0];
}

/* Windows come and go on one thread while another has hit after hit. */
struct storm {
    struct guarded g;
    atomic_bool stop;
    atomic_uint hits;
};

static void *hit_for_ever(void *arg)
{
    struct storm *s = arg;

    while (!atomic_load(&s->stop)) {
        for (size_t i = 0; i < s->g.pages; i++)
            s->g.at[i * PAGE] = 1;
        atomic_fetch_add(&s->hits, 1);
        /* A fresh mapping of the same place, as the guard does not know it: in its
         * own range, so nobody else is in the way. */
        CHECK(__real_mmap((void *)(uintptr_t)s->g.at, s->g.pages * PAGE,
                          PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, s->g.fd,
                          0) != MAP_FAILED);
    }
    return NULL;
}

static int contexts_come_and_go_during_hits(void)
{
    static struct storm s[2];
    pthread_t threads[2];

    for (int i = 0; i < 2; i++) {
        begin(&s[i].g, 64, BOTH);
        guard(&s[i].g);
        shrink(&s[i].g, 0);
        CHECK(pthread_create(&threads[i], NULL, hit_for_ever, &s[i]) == 0);
    }
    for (int i = 0; i < 300 || atomic_load(&s[0].hits) < 20; i++) {
        struct guarded g;

        begin(&g, 2, BOTH);
        guard(&g);
        shrink(&g, 0);
        CHECK(g.at[0] == 0 && hit(&g));
        vus_guard_socket(g.core.ctx, -1);
        end(&g);
    }
    for (int i = 0; i < 2; i++) {
        atomic_store(&s[i].stop, true);
        pthread_join(threads[i], NULL);
        end(&s[i].g);
    }
    return 0;
}

/* A thread whose access has raised SIGBUS, and which is in the handler until the gate
 * opens. */
static pthread_t start_held_hit(struct guarded *g)
{
    pthread_t thread;

    atomic_store(&gate_closed, true);
    shrink(g, 0);
    CHECK(pthread_create(&thread, NULL, touch_all, g) == 0);
    while (!atomic_load(&at_gate))
        __real_sched_yield();
    return thread;
}

static void *destroy(void *arg)
{
    struct guarded *g = arg;

    vfu_destroy_ctx(g->core.ctx);
    g->core.ctx = NULL;
    atomic_store(&handled, 1);
    return NULL;
}

/* What the handler may be looking at stays. */
static int destroying_waits_for_handlers(void)
{
    struct guarded hit_one, g;
    pthread_t hitting, destroying;

    begin(&hit_one, 1, BOTH);
    guard(&hit_one);
    begin(&g, 1, BOTH);
    guard(&g);
    hitting = start_held_hit(&hit_one);
    CHECK(pthread_create(&destroying, NULL, destroy, &g) == 0);
    while (atomic_load(&yields) == 0 && atomic_load(&handled) == 0)
        __real_sched_yield();
    CHECK(atomic_load(&handled) == 0);
    atomic_store(&gate_closed, false);
    pthread_join(hitting, NULL);
    pthread_join(destroying, NULL);
    CHECK(hit(&hit_one));
    end(&g);
    end(&hit_one);
    return 0;
}

/* In the child the handler does not go on: there is nothing to wait for. */
static int a_fork_does_not_wait_for_handlers(void)
{
    struct guarded hit_one, g;
    pthread_t hitting;
    int status;
    pid_t pid;

    begin(&hit_one, 1, BOTH);
    guard(&hit_one);
    begin(&g, 1, BOTH);
    guard(&g);
    hitting = start_held_hit(&hit_one);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        alarm(30);
        vfu_destroy_ctx(g.core.ctx);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    atomic_store(&gate_closed, false);
    pthread_join(hitting, NULL);
    end(&g);
    end(&hit_one);
    return 0;
}

/* --------------------------------------------------- children: connection -- */

static void attach_with_window(struct life *l, int client, int fd)
{
    struct vu_dma_map m = { .argsz = VU_DMA_MAP_SIZE, .flags = BOTH, .address = BASE,
                            .size = 2 * PAGE };
    uint8_t bytes[VU_HEADER_SIZE + VU_DMA_MAP_SIZE];
    struct vu_header h = { .msg_id = 2, .command = VU_DMA_MAP, .size = sizeof(bytes) };
    struct vu_writer w = vu_writer(bytes, sizeof(bytes));

    life_attach(l, client);
    CHECK(vu_encode_header(&w, &h) == 0 && vu_encode_dma_map(&w, &m) == 0);
    client_send_fds(client, bytes, sizeof(bytes), &fd, 1);
    CHECK(vfu_run_ctx(l->core.ctx) == 1);
    assert_reply(client, 2, 0);
}

/* What it has sent before does not count any more. */
static int the_client_is_dropped(void)
{
    struct life l;
    int fd = core_memory(2 * PAGE);

    life_begin(&l, LIBVFIO_USER_FLAG_ATTACH_NB);
    CHECK(vfu_setup_memory_guard(l.core.ctx) == 0);
    for (int i = 0; i < 3; i++) {
        int client = client_connect(&l);
        struct pollfd p;
        volatile uint8_t *at;
        struct vu_header h = { .msg_id = 3, .command = VU_DEVICE_GET_INFO, .size = 32 };
        uint8_t bytes[32] = { 0 };
        struct vu_writer w = vu_writer(bytes, sizeof(bytes));

        CHECK(ftruncate(fd, 2 * PAGE) == 0);
        attach_with_window(&l, client, fd);
        at = vus_dma_from(&l.core.ctx->dma, BASE)->info.vaddr;
        p = (struct pollfd){ .fd = vfu_get_poll_fd(l.core.ctx), .events = POLLIN };
        CHECK(poll(&p, 1, 0) == 0);
        if (i == 1) {
            CHECK(vu_encode_header(&w, &h) == 0);
            bytes[16] = 16;
            client_send(client, bytes, sizeof(bytes));
        }
        CHECK(ftruncate(fd, 0) == 0);
        CHECK(at[PAGE] == 0);
        CHECK(poll(&p, 1, 0) == 1);             /* it wakes */
        CHECK(vfu_run_ctx(l.core.ctx) == -1 && errno == ENOTCONN);
        CHECK(l.core.seen.unregisters == i + 1);
        CHECK(l.core.ctx->dma.mappings.mapped == 0);
        CHECK(!atomic_load(&l.core.ctx->guard_hit));
        assert_ended(client);
        close(client);
    }
    close(fd);
    life_end(&l);
    return 0;
}

/* Set up when a client is there already. */
static int a_late_guard_drops_the_client_too(void)
{
    struct life l;
    int fd = core_memory(2 * PAGE);
    volatile uint8_t *at;
    int client;

    life_begin(&l, LIBVFIO_USER_FLAG_ATTACH_NB);
    client = client_connect(&l);
    attach_with_window(&l, client, fd);
    CHECK(vfu_setup_memory_guard(l.core.ctx) == 0);
    at = vus_dma_from(&l.core.ctx->dma, BASE)->info.vaddr;
    CHECK(ftruncate(fd, 0) == 0);
    at[0] = 1;
    assert_ended(client);
    CHECK(vfu_run_ctx(l.core.ctx) == -1 && errno == ENOTCONN);
    close(client);
    close(fd);
    life_end(&l);
    return 0;
}

/* The library's own copies are an error, no hit. */
static int own_copies_do_not_need_it(void)
{
    struct guarded g;
    uint8_t data[64];

    begin(&g, 2, BOTH);
    guard(&g);
    shrink(&g, 0);
    CHECK(vus_window_copy(vus_dma_from(&g.core.ctx->dma, BASE), PAGE, data, 64, false) ==
          -EIO);
    CHECK(vus_window_copy(vus_dma_from(&g.core.ctx->dma, BASE), PAGE, data, 64, true) ==
          -EIO);
    CHECK(!hit(&g));
    end(&g);
    return 0;
}

/* ---------------------------------------------- children: other handlers -- */

static volatile sig_atomic_t handled_code;
static void *volatile handled_address;
static volatile bool mask_is_right, mask_has_sigbus;
static sigjmp_buf back;

static void note(siginfo_t *info)
{
    sigset_t now;

    atomic_fetch_add(&handled, 1);
    if (info != NULL) {
        handled_code = info->si_code;
        handled_address = info->si_addr;
    }
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    /* SIGUSR1 by sa_mask, SIGUSR2 was blocked before, nothing else is. */
    mask_is_right = sigismember(&now, SIGUSR1) && sigismember(&now, SIGUSR2) &&
                    !sigismember(&now, SIGHUP) && !sigismember(&now, SIGTERM);
    mask_has_sigbus = sigismember(&now, SIGBUS);
}

static void leave(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    CHECK(context != NULL);
    note(info);
    siglongjmp(back, 1);
}

static void return_from(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)context;
    note(info);
}

static void leave_plain(int sig)
{
    CHECK(sig == SIGBUS);
    note(NULL);
    siglongjmp(back, 1);
}

static void block_usr2(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
}

static void expect_handled(volatile uint8_t *at, int times)
{
    if (sigsetjmp(back, 1) == 0) {
        at[5] = 1;
        CHECK(false);
    }
    CHECK(atomic_load(&handled) == times);
}

static int earlier_handlers_get_what_is_theirs(void)
{
    volatile uint8_t *at = foreign();
    struct guarded g;

    block_usr2();
    handle(leave, 0);
    begin(&g, 1, BOTH);
    guard(&g);
    for (int i = 1; i <= 3; i++) {
        expect_handled(at, i);
        CHECK(handled_address == at + 5);
        CHECK(handled_code == BUS_ADRERR);
        CHECK(mask_is_right && mask_has_sigbus);
    }
    shrink(&g, 0);
    g.at[0] = 1;                /* and not what is ours */
    CHECK(hit(&g));
    CHECK(atomic_load(&handled) == 3);
    end(&g);                    /* leaving by longjmp does not make this wait */
    return 0;
}

static int earlier_plain_handlers_work(void)
{
    struct sigaction action = { .sa_handler = leave_plain };
    volatile uint8_t *at = foreign();
    struct guarded g;

    sigaddset(&action.sa_mask, SIGUSR1);
    block_usr2();
    CHECK(__real_sigaction(SIGBUS, &action, NULL) == 0);
    begin(&g, 1, BOTH);
    guard(&g);
    expect_handled(at, 1);
    expect_handled(at, 2);
    CHECK(mask_is_right && mask_has_sigbus);
    end(&g);
    return 0;
}

static int sa_nodefer_is_respected(void)
{
    volatile uint8_t *at = foreign();
    struct guarded g;

    block_usr2();
    handle(leave, SA_NODEFER);
    begin(&g, 1, BOTH);
    guard(&g);
    expect_handled(at, 1);
    CHECK(mask_is_right && !mask_has_sigbus);
    end(&g);
    return 0;
}

static int handlers_for_one_signal_are_called_once(void)
{
    volatile uint8_t *at = foreign();
    struct guarded g;

    handle(leave, (int)SA_RESETHAND);
    begin(&g, 1, BOTH);
    guard(&g);
    expect_handled(at, 1);
    at[0] = 1;      /* dies */
    return 0;
}

/* SIGBUS that is sent, not raised by an access, even if it names an address. */
static int sent_signals_are_passed_on(void)
{
    siginfo_t info = { .si_signo = SIGBUS, .si_code = SI_QUEUE };
    struct guarded g;

    handle(return_from, 0);
    begin(&g, 1, BOTH);
    guard(&g);
    CHECK(kill(getpid(), SIGBUS) == 0);
    CHECK(atomic_load(&handled) == 1);
    CHECK(handled_code == SI_USER);
    info.si_addr = (void *)(uintptr_t)g.at;
    CHECK(syscall(SYS_rt_sigqueueinfo, getpid(), SIGBUS, &info) == 0);
    CHECK(atomic_load(&handled) == 2);
    CHECK(!hit(&g));
    end(&g);
    return 0;
}

static int ignored_signals_are_ignored(void)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    struct guarded g;

    CHECK(__real_sigaction(SIGBUS, &ignore, NULL) == 0);
    begin(&g, 1, BOTH);
    guard(&g);
    CHECK(kill(getpid(), SIGBUS) == 0);
    shrink(&g, 0);
    g.at[0] = 1;
    CHECK(hit(&g));
    end(&g);
    return 0;
}

/* The kernel does not let a process ignore its own faults. */
static int faults_can_not_be_ignored(void)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    volatile uint8_t *at = foreign();
    struct guarded g;

    CHECK(__real_sigaction(SIGBUS, &ignore, NULL) == 0);
    begin(&g, 1, BOTH);
    guard(&g);
    at[0] = 1;
    return 0;
}

static int a_foreign_fault_kills(void)
{
    volatile uint8_t *at = foreign();
    struct guarded g;

    begin(&g, 1, BOTH);
    guard(&g);
    at[0] = 1;
    return 0;
}

static int a_sent_signal_kills(void)
{
    struct guarded g;

    begin(&g, 1, BOTH);
    guard(&g);
    kill(getpid(), SIGBUS);
    return 0;
}

/* As programs do that know of the guard: a later handler calls the earlier one. */
static struct sigaction earlier;

static void call_earlier(int sig, siginfo_t *info, void *context)
{
    atomic_fetch_add(&handled, 1);
    earlier.sa_sigaction(sig, info, context);
}

static int later_handlers_may_call_ours(void)
{
    struct sigaction action = { .sa_sigaction = call_earlier, .sa_flags = SA_SIGINFO };
    struct guarded g, other;

    begin(&g, 1, BOTH);
    guard(&g);
    CHECK(__real_sigaction(SIGBUS, &action, &earlier) == 0);
    begin(&other, 1, BOTH);
    guard(&other);              /* does not install it again */
    shrink(&other, 0);
    other.at[0] = 1;
    CHECK(atomic_load(&handled) == 1);
    CHECK(hit(&other) && !hit(&g));
    end(&other);
    end(&g);
    return 0;
}

/* ------------------------------------------------------ children: failures -- */

static int a_guard_that_can_not_be_had_is_an_error(void)
{
    volatile uint8_t *at = foreign();
    struct guarded g;

    begin(&g, 1, BOTH);
    calls.counts = true;
    calls.install_errno = EPERM;
    CHECK(vfu_setup_memory_guard(g.core.ctx) == -1 && errno == EPERM);
    calls.install_errno = 0;
    calls.query_errno = EACCES;
    CHECK(vfu_setup_memory_guard(g.core.ctx) == -1 && errno == EACCES);
    calls.query_errno = 0;
    calls.swallow = true;
    CHECK(vfu_setup_memory_guard(g.core.ctx) == -1 && errno == EBUSY);
    calls.swallow = false;
    CHECK(!g.core.ctx->guard.on);
    guard(&g);                  /* and then it can */
    shrink(&g, 0);
    g.at[0] = 1;
    CHECK(hit(&g));
    {
        int status;
        pid_t pid = fork();     /* its hooks were registered once */

        CHECK(pid >= 0);
        if (pid == 0)
            _exit(0);
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    }
    end(&g);
    (void)at;
    return 0;
}

static int without_memory_there_is_no_guard(void)
{
    struct guarded g;

    begin(&g, 1, BOTH);
    calls.atfork_error = ENOMEM;
    CHECK(vfu_setup_memory_guard(g.core.ctx) == -1 && errno == ENOMEM);
    end(&g);
    return 0;
}

/* -------------------------------------------------------------- parents -- */

#define CHILD(f) { #f, f }

static const struct {
    const char *name;
    int (*run)(void);
} children[] = {
    CHILD(zeros_appear), CHILD(zeros_go_with_the_window),
    CHILD(zeros_permit_what_the_window_does), CHILD(huge_pages_are_replaced_whole),
    CHILD(without_room_all_becomes_zeros), CHILD(without_any_room_it_dies),
    CHILD(errno_is_kept), CHILD(any_thread_is_guarded),
    CHILD(each_context_has_its_own_mark), CHILD(the_handler_is_installed_once),
    CHILD(an_unguarded_context_is_not_guarded), CHILD(a_destroyed_context_is_not_guarded),
    CHILD(contexts_come_and_go_during_hits),
    CHILD(destroying_waits_for_handlers), CHILD(a_fork_does_not_wait_for_handlers),
    CHILD(the_client_is_dropped), CHILD(a_late_guard_drops_the_client_too),
    CHILD(own_copies_do_not_need_it), CHILD(earlier_handlers_get_what_is_theirs),
    CHILD(earlier_plain_handlers_work), CHILD(sa_nodefer_is_respected),
    CHILD(handlers_for_one_signal_are_called_once), CHILD(sent_signals_are_passed_on),
    CHILD(ignored_signals_are_ignored), CHILD(faults_can_not_be_ignored),
    CHILD(a_foreign_fault_kills), CHILD(a_sent_signal_kills),
    CHILD(later_handlers_may_call_ours), CHILD(a_guard_that_can_not_be_had_is_an_error),
    CHILD(without_memory_there_is_no_guard),
};

static int run_child(const char *name)
{
    struct rlimit none = { 0 };
    int status = -1;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &none);
        execl("/proc/self/exe", "test_guard", name, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static int child_main(const char *name)
{
    alarm(200);     /* for a child that hangs */
    signal(SIGBUS, SIG_DFL);
    for (size_t i = 0; i < sizeof(children) / sizeof(children[0]); i++) {
        if (strcmp(children[i].name, name) == 0)
            return children[i].run();
    }
    return 126;
}

static void survives(void **state)
{
    int status = run_child(*state);

    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("no free huge pages\n");
        skip();
    }
    assert_int_equal(status, 0);
}

/* As it would have without the guard. */
static void dies_of_sigbus(void **state)
{
    int status = run_child(*state);

    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGBUS);
}

#define SURVIVES(name) { #name, survives, NULL, NULL, #name }
#define DIES(name) { #name, dies_of_sigbus, NULL, NULL, #name }

static const struct CMUnitTest tests[] = {
    SURVIVES(zeros_appear),
    SURVIVES(zeros_go_with_the_window),
    SURVIVES(zeros_permit_what_the_window_does),
    SURVIVES(huge_pages_are_replaced_whole),
    SURVIVES(without_room_all_becomes_zeros),
    DIES(without_any_room_it_dies),
    SURVIVES(errno_is_kept),
    SURVIVES(any_thread_is_guarded),
    SURVIVES(each_context_has_its_own_mark),
    SURVIVES(the_handler_is_installed_once),
    DIES(an_unguarded_context_is_not_guarded),
    DIES(a_destroyed_context_is_not_guarded),
    SURVIVES(contexts_come_and_go_during_hits),
    SURVIVES(destroying_waits_for_handlers),
    SURVIVES(a_fork_does_not_wait_for_handlers),
    SURVIVES(the_client_is_dropped),
    SURVIVES(a_late_guard_drops_the_client_too),
    SURVIVES(own_copies_do_not_need_it),
    SURVIVES(earlier_handlers_get_what_is_theirs),
    SURVIVES(earlier_plain_handlers_work),
    SURVIVES(sa_nodefer_is_respected),
    DIES(handlers_for_one_signal_are_called_once),
    SURVIVES(sent_signals_are_passed_on),
    SURVIVES(ignored_signals_are_ignored),
    DIES(faults_can_not_be_ignored),
    DIES(a_foreign_fault_kills),
    DIES(a_sent_signal_kills),
    SURVIVES(later_handlers_may_call_ours),
    SURVIVES(a_guard_that_can_not_be_had_is_an_error),
    SURVIVES(without_memory_there_is_no_guard),
};

int main(int argc, char **argv)
{
    if (argc == 2)
        return child_main(argv[1]);
    return cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL) != 0;
}
