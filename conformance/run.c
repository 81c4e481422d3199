/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The main process of a run: starts workers, hands out results in order, replaces a
 * worker that ended early, and ends all of them when it is told to stop.
 */
#include "conformance/run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conformance/server.h"
#include "wire/channel.h"

#define END_MS 20000 /* for a worker to end its server and itself */

struct pool {
    struct ct_run *run;
    pid_t pids[CT_MAX_WORKERS]; /* 0: none */
    unsigned n_pids, n_running;
    int notified; /* read end of run->notify */
    int signals;
    size_t reported; /* results handed out */
    ct_on_result *on_result;
    void *ctx;
};

static size_t shared_size(const struct ct_run *run)
{
    return sizeof(struct ct_shared) + run->count * sizeof(struct ct_result);
}

static int start_worker(struct pool *p, unsigned number)
{
    pid_t parent = getpid();
    pid_t pid;

    fflush(NULL); /* or the worker would write it again */
    pid = fork();
    if (pid == 0) {
        close(p->notified);
        close(p->signals);
        if (getppid() != parent)
            _exit(1);
        ct_worker_main(p->run, (int)number);
    }
    if (pid == -1)
        return -errno;
    p->pids[number] = pid;
    p->n_running++;
    return 0;
}

static void hand_out(struct pool *p)
{
    const struct ct_run *run = p->run;

    while (p->reported < run->count &&
           run->shared->results[p->reported].state == CT_DONE) {
        p->on_result(p->ctx, p->reported, ct_run_case(run, p->reported),
                     &run->shared->results[p->reported]);
        p->reported++;
    }
}

/* The cases that a worker had begun and not published when it ended: two at most. */
static void blame(struct pool *p, int number, int status)
{
    char text[64];

    ct_status_text(status, text, sizeof(text));
    for (size_t i = 0; i < p->run->count; i++) {
        struct ct_result *r = &p->run->shared->results[i];

        if (r->state != CT_RUNNING || r->worker != number)
            continue;
        r->recorded = CT_NONE;
        ct_record(r, CT_ERROR, "", "the runner's own worker ended: %s", text);
        r->fate = CT_SURVIVED;
        ct_judge(r, CT_MUST);
        r->state = CT_DONE;
    }
}

static int worker_ended(struct pool *p, pid_t pid, int status)
{
    for (unsigned i = 0; i < p->n_pids; i++) {
        if (p->pids[i] != pid)
            continue;
        p->pids[i] = 0;
        p->n_running--;
        if (status == 0)
            return 0;
        blame(p, (int)i, status);
        return p->run->shared->next < (int)p->run->count ? start_worker(p, i) : 0;
    }
    return 0;
}

static int reap(struct pool *p)
{
    int status, err = 0;
    pid_t pid;

    while (err == 0 && (pid = waitpid(-1, &status, WNOHANG)) > 0)
        err = worker_ended(p, pid, status);
    return err;
}

/* The signal that arrived, SIGCHLD among them; 0: none. */
static int next_signal(struct pool *p)
{
    struct signalfd_siginfo info;

    return read(p->signals, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo
                                                                 : 0;
}

static int wait_for_results(struct pool *p)
{
    uint32_t positions[64];

    while (p->n_running > 0) {
        struct pollfd fds[] = {
            { .fd = p->notified, .events = POLLIN },
            { .fd = p->signals, .events = POLLIN },
        };
        int sig, err;

        if (poll(fds, 2, -1) == -1 && errno != EINTR)
            return -errno;
        while (read(p->notified, positions, sizeof(positions)) > 0)
            ;
        while ((sig = next_signal(p)) != 0) {
            if (sig != SIGCHLD)
                return sig;
        }
        if ((err = reap(p)) != 0)
            return err;
        hand_out(p);
    }
    return 0;
}

static void end_workers(struct pool *p)
{
    vu_deadline deadline = vu_deadline_in_ms(END_MS);

    for (unsigned i = 0; i < p->n_pids; i++) {
        if (p->pids[i] != 0)
            kill(p->pids[i], SIGTERM);
    }
    for (unsigned i = 0; i < p->n_pids; i++) {
        struct pollfd fd = { .fd = p->signals, .events = POLLIN };

        while (p->pids[i] != 0 && waitpid(p->pids[i], NULL, WNOHANG) == 0) {
            if (vu_deadline_left_ms(deadline) == 0)
                kill(p->pids[i], SIGKILL);
            poll(&fd, 1, 50);
            next_signal(p);
        }
    }
}

static int open_pool(struct pool *p, sigset_t *old)
{
    sigset_t mask;
    int ends[2];

    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGHUP);
    sigprocmask(SIG_BLOCK, &mask, old);
    p->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    if (p->signals == -1)
        return -errno;
    if (pipe2(ends, O_CLOEXEC) == -1) {
        int err = -errno;

        close(p->signals);
        return err;
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    p->notified = ends[0];
    p->run->notify = ends[1];
    return 0;
}

static int work_off(struct pool *p)
{
    int err = 0;

    for (unsigned i = 0; err == 0 && i < p->n_pids; i++)
        err = start_worker(p, i);
    if (err == 0)
        err = wait_for_results(p);
    if (err == 0)
        hand_out(p);
    else
        end_workers(p);
    return err;
}

int ct_run_all(struct ct_run *run, ct_on_result *on_result, void *ctx)
{
    struct pool p = { .run = run, .on_result = on_result, .ctx = ctx };
    sigset_t old;
    int err;

    p.n_pids = run->options->jobs < run->count ? run->options->jobs
                                               : (unsigned)run->count;
    run->shared = mmap(NULL, shared_size(run), PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (run->shared == MAP_FAILED) {
        run->shared = NULL;
        return -errno;
    }
    err = open_pool(&p, &old);
    if (err == 0) {
        err = work_off(&p);
        close(p.signals);
        close(p.notified);
        close(run->notify);
    }
    sigprocmask(SIG_SETMASK, &old, NULL);
    return err;
}

void ct_run_done(struct ct_run *run)
{
    if (run->shared != NULL)
        munmap(run->shared, shared_size(run));
    free(run->order);
    run->shared = NULL;
    run->order = NULL;
}
