/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guard against SIGBUS, see guard.h.
 *
 * A signal handler belongs to the process and finds its way through what is global:
 * here is the one writable global of the library. It exists in every process, and
 * does nothing before the first vfu_setup_memory_guard().
 *
 * The handler takes no lock and calls what is safe in signal handlers: mmap() and
 * shutdown() are bare system calls. All signals are blocked meanwhile, so that no
 * other handler can leave it half-way.
 */
#include "libserver/guard.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "libserver/context.h"

static struct {
    pthread_mutex_t lock;               /* for changes; the handler takes no lock */
    bool survives_forks;                /* pthread_atfork() was called */
    bool installed;
    struct sigaction before;            /* the handler that was there; set before ours */
    atomic_bool before_spent;           /* it was for one signal (SA_RESETHAND) */
    atomic_uint round;                  /* see vus_guard_wait() */
    atomic_uint at_work[2];             /* handlers of even and odd rounds */
    _Atomic(struct vus_guard *) first;  /* guarded contexts */
} process = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ------------------------------------------------------------- a hit -- */

/* Put zeros where the file has ended. They go when the mapping is unmapped. */
static bool put_zeros(const struct vus_mapping *m, uintptr_t address)
{
    uintptr_t base = atomic_load(&m->base);
    size_t granule = atomic_load_explicit(&m->granule, memory_order_relaxed);
    int prot = atomic_load_explicit(&m->prot, memory_order_relaxed);
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
    void *page = (void *)(base + (address - base) / granule * granule);

    if (mmap(page, granule, prot, flags, -1, 0) != MAP_FAILED)
        return true;
    /* No room for one more mapping: exchange this one as a whole. */
    return mmap((void *)base, atomic_load_explicit(&m->len, memory_order_relaxed), prot,
                flags, -1, 0) != MAP_FAILED;
}

static void fail_context(struct vus_guard *g)
{
    int fd = atomic_load(&g->socket);

    atomic_store(&g->ctx->guard_hit, true);
    if (fd != -1)
        shutdown(fd, SHUT_RDWR);
}

/* Whether it was an access to client memory, which can go on now. */
static bool absorb(uintptr_t address)
{
    struct vus_guard *g = atomic_load(&process.first);

    for (; g != NULL; g = atomic_load(&g->next)) {
        struct vus_mapping *m = vus_mapping_at(&g->ctx->dma.mappings, address);

        if (m == NULL)
            continue;
        fail_context(g);
        return put_zeros(m, address);
    }
    return false;
}

/* ------------------------------------------------- what was there before -- */

/* Die as if there had never been a handler: the same signal with what is known of
 * it, once more, when this handler returns. */
static void die(int sig, siginfo_t *info)
{
    struct sigaction standard = { .sa_handler = SIG_DFL };

    sigaction(sig, &standard, NULL);
    if (syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), sig, info) != 0)
        raise(sig);
}

/* The kernel raised it for what this thread did: ignoring it would not end. */
static bool is_fault(const siginfo_t *info)
{
    return info->si_code > 0 && info->si_code != BUS_MCEERR_AO;
}

/* Run the handler that was there as the kernel would have. */
static void call_before(int sig, siginfo_t *info, void *context)
{
    const struct sigaction *before = &process.before;
    sigset_t mask = ((ucontext_t *)context)->uc_sigmask;    /* of the interrupted code */

    for (int i = 1; i < NSIG; i++) {
        if (sigismember(&before->sa_mask, i) == 1)
            sigaddset(&mask, i);
    }
    if ((before->sa_flags & SA_NODEFER) == 0)
        sigaddset(&mask, sig);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    if ((before->sa_flags & SA_SIGINFO) != 0)
        before->sa_sigaction(sig, info, context);
    else
        before->sa_handler(sig);
}

static void pass_on(int sig, siginfo_t *info, void *context)
{
    const struct sigaction *before = &process.before;
    bool handler = (before->sa_flags & SA_SIGINFO) != 0 ||
                   (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN);

    if (handler && (before->sa_flags & SA_RESETHAND) != 0 &&
        atomic_exchange(&process.before_spent, true))
        handler = false;
    if (handler)
        call_before(sig, info, context);
    else if (before->sa_handler != SIG_IGN || is_fault(info))
        die(sig, info);
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
    int saved = errno;
    unsigned int round = atomic_load(&process.round) % 2;
    bool ours;

    atomic_fetch_add(&process.at_work[round], 1);
    ours = info->si_code == BUS_ADRERR && absorb((uintptr_t)info->si_addr);
    atomic_fetch_sub(&process.at_work[round], 1);
    errno = saved;
    if (!ours)
        pass_on(sig, info, context);
}

/* -------------------------------------------------------------- set-up -- */

/* In a child no other thread's handler goes on. */
static void before_fork(void)
{
    pthread_mutex_lock(&process.lock);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&process.lock);
}

static void after_fork_in_child(void)
{
    atomic_store(&process.at_work[0], 0);
    atomic_store(&process.at_work[1], 0);
    pthread_mutex_unlock(&process.lock);
}

/* Done at most once: the lock is no recursive one. */
static int survive_forks(void)
{
    if (!process.survives_forks &&
        pthread_atfork(before_fork, after_fork, after_fork_in_child) != 0)
        return -ENOMEM;
    process.survives_forks = true;
    return 0;
}

/* With the lock. 0 or negative errno. */
static int install(void)
{
    struct sigaction ours = { .sa_sigaction = on_sigbus };
    struct sigaction now;

    if (process.installed)
        return 0;
    if (survive_forks() != 0)
        return -ENOMEM;
    if (sigaction(SIGBUS, NULL, &process.before) != 0)
        return -errno;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | (process.before.sa_flags & SA_RESTART);
    sigfillset(&ours.sa_mask);
    if (sigaction(SIGBUS, &ours, NULL) != 0 || sigaction(SIGBUS, NULL, &now) != 0)
        return -errno;
    /* Something that keeps the signal for itself may say yes and do nothing. */
    if ((now.sa_flags & SA_SIGINFO) == 0 || now.sa_sigaction != on_sigbus)
        return -EBUSY;
    process.installed = true;
    return 0;
}

#undef vfu_setup_memory_guard

int vfu_setup_memory_guard(vfu_ctx_t *ctx)
{
    struct vus_guard *g;
    int err;

    assert(ctx != NULL);
    g = &ctx->guard;
    pthread_mutex_lock(&process.lock);
    err = install();
    if (err == 0 && !g->on) {
        g->on = true;
        atomic_store(&g->next, atomic_load(&process.first));
        atomic_store(&process.first, g);
    }
    pthread_mutex_unlock(&process.lock);
    if (err == 0)
        return 0;
    errno = -err;
    return -1;
}

void vus_guard_init(struct vfu_ctx *ctx)
{
    ctx->guard.ctx = ctx;
    atomic_init(&ctx->guard.socket, -1);
}

static bool is_idle(unsigned int round)
{
    return atomic_load(&process.at_work[round % 2]) == 0;
}

/* New handlers join the new round: the wait ends even if there is always one. */
static void end_round(void)
{
    unsigned int round = atomic_fetch_add(&process.round, 1);

    while (!is_idle(round))
        sched_yield();
}

void vus_guard_wait(void)
{
    if (is_idle(0) && is_idle(1))
        return;
    pthread_mutex_lock(&process.lock);
    end_round();
    end_round();    /* a handler may have read the number of the first one late */
    pthread_mutex_unlock(&process.lock);
}

void vus_guard_socket(struct vfu_ctx *ctx, int fd)
{
    atomic_store(&ctx->guard.socket, fd);
    vus_guard_wait();
}

void vus_guard_reset(struct vfu_ctx *ctx)
{
    vus_guard_socket(ctx, -1);
    atomic_store(&ctx->guard_hit, false);
}

void vus_guard_done(struct vfu_ctx *ctx)
{
    _Atomic(struct vus_guard *) *at = &process.first;

    if (!ctx->guard.on)
        return;
    pthread_mutex_lock(&process.lock);
    while (atomic_load(at) != &ctx->guard)
        at = &atomic_load(at)->next;
    atomic_store(at, atomic_load(&ctx->guard.next));
    pthread_mutex_unlock(&process.lock);
    ctx->guard.on = false;
    vus_guard_wait();
}
