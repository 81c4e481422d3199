/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker: owns one server and works off cases, one after the other.
 *
 * A case has phases: the probes that it needs and nobody has asked yet, the case, a
 * liveness check on a new connection. Each phase is a process of its own that the
 * worker supervises: it polls for the end of that process and of the server, reads the
 * server's output, and ends what overstays its time. The server's fate follows from
 * what was seen; a server that had to be given up is started again.
 *
 * A server may exit when its last client has left. That can happen at any time after a
 * phase, so a phase that met nothing but the end of such a server is run again, and
 * from then on the worker waits a moment for that end.
 */
#include "conformance/run.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "conformance/case.h"
#include "conformance/control.h"
#include "conformance/server.h"
#include "wire/channel.h"

#define MAX_BAD_STARTS    3    /* in a row, before it is given up */
#define MAX_RERUNS        2    /* of a phase that met a server on its way out */
#define LEAVE_MS          1000 /* for a server that exits with its last client */
#define TERMINATE_LOOK_MS 5 /* between looks for the processes of a server being ended */
#define NO_HABIT          (-1)
#define FLOW_SECONDS      0.1 /* between messages of a case that does not wait for them */

/* What the phases' processes share with the worker. */
struct common {
    struct ct_needs needs;
    _Atomic int server_end;   /* enum ct_server_end */
    struct ct_result scratch; /* of probes and liveness checks */
    struct ct_result visit;
};

struct worker {
    const struct ct_run *run;
    int number;
    struct common *common;
    struct ct_server server; /* only with --spawn */
    bool spawned;            /* with --spawn */
    int signals;             /* signalfd: the main process wants an end */
    bool own_fault;          /* we cannot even try, for gone_text */
    bool served;             /* the server took a connection */
    bool gone;               /* there is no server any more, for gone_text */
    char gone_text[512];
    unsigned bad_starts;
    bool impatient;   /* the server takes no notice of half a close */
    bool leaves;      /* the server exits with its last client */
    bool habit_known; /* it was seen whether it does ... */
    int habit;        /* ... and with which status; NO_HABIT: it stays */
    bool terminated;  /* the case had the server ended */
};

static unsigned elapsed_ms(vu_deadline since)
{
    return (unsigned)((vu_deadline_in_ms(0) - since) / 1000000);
}

/* ---------------------------------------------------------------- clean-up -- */

static _Noreturn void leave(struct worker *w)
{
    if (w->spawned)
        ct_server_done(&w->server);
    exit(0);
}

static _Noreturn void give_up(struct worker *w, pid_t child)
{
    if (child > 0) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    leave(w);
}

/* ------------------------------------------------------------- supervision -- */

/* A running phase. */
struct phase {
    pid_t pid;
    int pidfd;   /* owned */
    int control; /* owned: our end */
    struct ct_result *result;
    vu_deadline deadline;
    bool ends_with_server;    /* nothing to learn once the server has ended */
    vu_deadline terminate_by; /* a terminate() is being served until then; 0: none */
};

/* Does this status say that the server ended in order? As long as it is not known
 * whether the server leaves with its clients, 0 is believed. */
static bool is_clean(const struct worker *w, int status)
{
    if (status == 0)
        return !w->habit_known || w->habit != NO_HABIT;
    return w->habit_known && status == w->habit;
}

static void notice_server_end(struct worker *w)
{
    if (w->spawned && ct_server_poll_end(&w->server) &&
        w->common->server_end == CT_SERVER_UP)
        w->common->server_end = is_clean(w, w->server.status) || w->terminated
                                    ? CT_SERVER_EXITED
                                    : CT_SERVER_DIED;
}

static void answer_terminate(struct worker *w, struct phase *p)
{
    struct ct_control_answer answer = { .ended = w->server.ended,
                                        .text = "still running" };

    if (answer.ended)
        ct_status_text(w->server.status, answer.text, sizeof(answer.text));
    if (send(p->control, &answer, sizeof(answer), MSG_NOSIGNAL) == -1)
        p->deadline = VU_DONT_WAIT; /* the case's process is gone, or of no use */
    p->terminate_by = 0;
}

static void begin_terminate(struct worker *w, struct phase *p)
{
    struct ct_control_request request;
    ssize_t n = recv(p->control, &request, sizeof(request), MSG_DONTWAIT);

    if (n != (ssize_t)sizeof(request)) {
        if (n == 0) {
            close(p->control);
            p->control = -1;
        }
        return;
    }
    w->terminated = true;
    ct_server_ask(&w->server);
    p->terminate_by = vu_deadline_in_ms(request.ms > 0 ? request.ms : 0);
}

static void serve_control(struct worker *w, struct phase *p)
{
    if (p->terminate_by != 0 &&
        (w->server.ended || vu_deadline_left_ms(p->terminate_by) == 0))
        answer_terminate(w, p);
}

static int next_timeout(const struct phase *p)
{
    int left = vu_deadline_left_ms(p->deadline);

    if (p->terminate_by != 0 && vu_deadline_left_ms(p->terminate_by) < left)
        left = vu_deadline_left_ms(p->terminate_by);
    if (p->terminate_by != 0 && left > TERMINATE_LOOK_MS)
        left = TERMINATE_LOOK_MS;
    return left;
}

/* Wait for whatever happens next and deal with it; true: the phase's process ended. */
static bool watch_once(struct worker *w, struct phase *p)
{
    bool server_up = w->spawned && ct_server_running(&w->server) && !w->server.ended;
    struct pollfd fds[] = {
        { .fd = p->pidfd, .events = POLLIN },
        { .fd = w->signals, .events = POLLIN },
        { .fd = p->control, .events = POLLIN },
        { .fd = server_up && p->terminate_by == 0 ? w->server.pidfd : -1,
          .events = POLLIN },
        { .fd = w->spawned ? w->server.log : -1, .events = POLLIN },
    };

    if (poll(fds, sizeof(fds) / sizeof(fds[0]), next_timeout(p)) == -1)
        return false;
    if (fds[1].revents != 0)
        give_up(w, p->pid);
    if (fds[2].revents != 0)
        begin_terminate(w, p);
    if (fds[4].revents != 0)
        ct_server_read_log(&w->server);
    notice_server_end(w);
    serve_control(w, p);
    return fds[0].revents != 0;
}

/* Did messages still come at the end? Where none came for the time of one reply, the
 * server has stalled; while the case does something else, only fresh ones count. */
static bool was_flowing(const struct phase *p, double timeout)
{
    double limit = p->result->awaits_server || timeout < FLOW_SECONDS ? timeout
                                                                      : FLOW_SECONDS;

    return p->result->heard != 0 && elapsed_ms(p->result->heard) < limit * 1e3;
}

static void overdue(struct phase *p, double seconds, double timeout)
{
    if (was_flowing(p, timeout)) {
        ct_record(p->result, CT_SKIP, "",
                  "the server answers too slowly for this case: messages still came when "
                  "its time of %g s was over (see --case-timeout)",
                  seconds);
    } else if (p->result->awaits_server) {
        p->result->timed_out = p->result->recorded == CT_NONE;
        ct_record(p->result, CT_FAIL, "",
                  "the server let the case wait until its time of %g s was over",
                  seconds);
    } else {
        ct_record(p->result, CT_ERROR, "",
                  "the case did not come to its end within %g s, and was not waiting for "
                  "the server",
                  seconds);
    }
}

static void check_status(struct phase *p, int status)
{
    char text[64];

    if (p->result->ended && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    ct_status_text(status, text, sizeof(text));
    ct_record(p->result, CT_ERROR, "", "the process of the case did not end well: %s",
              text);
}

static void supervise(struct worker *w, struct phase *p, double seconds)
{
    bool server_gone = false;
    bool ended = false;
    int status = 0;

    while (!(ended = watch_once(w, p))) {
        server_gone = p->ends_with_server && w->common->server_end != CT_SERVER_UP;
        if (server_gone || vu_deadline_left_ms(p->deadline) == 0)
            break;
    }
    if (!ended)
        kill(p->pid, SIGKILL);
    waitpid(p->pid, &status, 0);
    if (ended)
        check_status(p, status);
    else if (server_gone)
        ct_record(p->result, CT_FAIL, "", "the server has ended");
    else
        overdue(p, seconds, w->run->options->timeout);
}

/* Run one phase to its end. */
static void run_phase(struct worker *w, const struct ct_task *task,
                      struct ct_result *result, const char *name, double seconds)
{
    const struct ct_options *o = w->run->options;
    struct phase p = { .result = result,
                       .deadline = vu_deadline_in_ms((int64_t)(seconds * 1e3)),
                       .ends_with_server = result == &w->common->scratch ||
                                           result == &w->common->visit };
    struct ct_child env = {
        .result = result,
        .needs = &w->common->needs,
        .socket_path = w->spawned ? w->server.socket_path : o->socket_path,
        .timeout = o->timeout,
        .start_timeout = w->spawned ? o->start_timeout : o->timeout,
        .case_name = name,
        .seed = o->seed,
        .spawned = w->spawned,
        .served = w->served,
        .patient = !w->impatient,
        .server_end = &w->common->server_end,
    };
    int control[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) == -1) {
        ct_record(result, CT_ERROR, "", "socketpair: %s", strerror(errno));
        return;
    }
    env.control = control[1];
    p.control = control[0];
    p.pid = ct_case_fork(w->run->L, &env, task);
    close(control[1]);
    p.pidfd = p.pid > 0 ? pidfd_open(p.pid, 0) : -1;
    if (p.pidfd != -1) {
        supervise(w, &p, seconds);
        close(p.pidfd);
    } else {
        ct_record(result, CT_ERROR, "", "cannot start a process: %s", strerror(errno));
        if (p.pid > 0) {
            kill(p.pid, SIGKILL);
            waitpid(p.pid, NULL, 0);
        }
    }
    if (p.control != -1)
        close(p.control);
    w->impatient |= result->unnoticed;
    w->served |= result->connected;
}

static struct ct_result *fresh(struct ct_result *r)
{
    memset(r, 0, offsetof(struct ct_result, trace));
    r->need_value = -1;
    return r;
}

static struct ct_result *fresh_scratch(struct worker *w)
{
    return fresh(&w->common->scratch);
}

/* ------------------------------------------------------------------ server -- */

static void end_server(struct worker *w)
{
    ct_server_stop(&w->server);
}

/* A server that exits with its last client is about to do so. */
static void let_it_leave(struct worker *w)
{
    if (w->spawned && w->leaves && ct_server_running(&w->server))
        w->leaves = ct_server_wait_end(&w->server, LEAVE_MS);
}

static void declare_gone(struct worker *w, const char *text)
{
    w->gone = true;
    snprintf(w->gone_text, sizeof(w->gone_text), "%s", text);
}

static void count_bad_start(struct worker *w, const char *text)
{
    if (++w->bad_starts == MAX_BAD_STARTS)
        declare_gone(w, text);
}

/* A server that runs, started if need be. False: there is none, why says it. */
static bool have_server(struct worker *w, char *why, size_t why_len)
{
    if (w->gone) {
        snprintf(why, why_len, "%s", w->gone_text);
        return false;
    }
    if (!w->spawned)
        return true;
    if (ct_server_running(&w->server) && ct_server_poll_end(&w->server))
        end_server(w);
    if (!ct_server_running(&w->server)) {
        if (ct_server_start(&w->server, why, why_len) != 0) {
            count_bad_start(w, why);
            return false;
        }
        w->common->server_end = CT_SERVER_UP;
        w->served = false;
    }
    return true;
}

/* ------------------------------------------------------------------- fates -- */

/* Does a server that takes an uneventful client exit with this status, too? Then it
 * means nothing; but an exit of one that otherwise stays is a finding, even with 0. Uses
 * up the server; its log must have been kept before. */
static bool is_habit(struct worker *w, int status)
{
    static const struct ct_task visit = { .function = "visit" };
    char why[256];

    if (!WIFEXITED(status) || ct_status_signal(status) != 0)
        return false;
    if (w->habit_known)
        return is_clean(w, status);
    end_server(w);
    if (!have_server(w, why, sizeof(why)))
        return status == 0;
    w->habit_known = true;
    w->habit = NO_HABIT;
    run_phase(w, &visit, fresh(&w->common->visit), "(visit)",
              w->run->options->timeout * 4);
    if (ct_server_wait_end(&w->server, LEAVE_MS) && WIFEXITED(w->server.status))
        w->habit = w->server.status;
    end_server(w);
    return is_clean(w, status);
}

static void set_fate(struct ct_result *r, enum ct_fate fate, const char *text)
{
    r->fate = fate;
    snprintf(r->fate_text, sizeof(r->fate_text), "%.*s", (int)sizeof(r->fate_text) - 1,
             text);
}

static void keep_log(struct worker *w, struct ct_result *r)
{
    if (w->spawned)
        memcpy(r->log, w->server.tail, sizeof(r->log));
}

#define IN_BACKGROUND \
    ", while processes of its own go on: it does not stay in the foreground"

/* The fate of a server that has ended by itself. */
static void judge_end(struct worker *w, struct ct_result *r)
{
    int status = w->server.status;
    bool in_background = ct_server_left_others(&w->server) &&
                         ct_server_listens(&w->server);
    char text[160];

    end_server(w);
    keep_log(w, r);
    ct_status_text(status, text, sizeof(text));
    if (w->server.report[0] != '\0') {
        set_fate(r, CT_SANITIZER, w->server.report);
    } else if (ct_status_signal(status) == 0 && !r->connected) {
        ct_append(text, sizeof(text), " before it took a connection%s",
                  w->server.left_others ? IN_BACKGROUND : "");
        set_fate(r, CT_GONE, text);
        count_bad_start(w, text);
        return;
    } else if (status == 0 && in_background) {
        ct_append(text, sizeof(text), "%s", IN_BACKGROUND);
        set_fate(r, CT_GONE, text);
        count_bad_start(w, text);
        return;
    } else if (is_habit(w, status)) {
        set_fate(r, CT_EXITED, text);
        w->leaves = true;
    } else {
        if (status == 0)
            ct_append(text, sizeof(text), ", but stays when a client leaves in order");
        set_fate(r, CT_CRASHED, text);
    }
    w->bad_starts = 0;
}

/* The fate of a server that the case had ended, or that it spoilt on purpose. */
static void judge_stopped(struct worker *w, struct ct_result *r)
{
    int sig;
    char text[96];

    ct_server_stop(&w->server);
    keep_log(w, r);
    ct_status_text(w->server.status, text, sizeof(text));
    sig = ct_status_signal(w->server.status);
    if (w->server.report[0] != '\0')
        set_fate(r, CT_SANITIZER, w->server.report);
    else if (sig != 0 && sig != SIGTERM && !w->server.forced)
        set_fate(r, CT_CRASHED, text);
    else
        set_fate(r, CT_STOPPED, text);
}

/* The fate of a server that seems to live, by the process of a new client. */
static void judge_by_liveness(struct worker *w, struct ct_result *r)
{
    static const struct ct_task liveness = { .function = "liveness" };
    struct ct_result *check = fresh_scratch(w);

    run_phase(w, &liveness, check, "(liveness)", w->run->options->timeout + 1);
    r->connected |= check->connected;
    if (w->spawned && check->recorded != CT_NONE)
        ct_server_wait_end(&w->server, check->timed_out ? 0 : LEAVE_MS);
    if (w->spawned && ct_server_poll_end(&w->server)) {
        judge_end(w, r);
    } else if (check->recorded == CT_NONE) {
        set_fate(r, r->lost ? CT_LOST : r->closed ? CT_CLOSED : CT_SURVIVED, "");
        w->bad_starts = 0;
    } else if (!w->spawned && r->recorded == CT_NONE && !r->closed && !r->lost &&
               !check->timed_out) {
        /* Its good right; and a crash would have closed the case's connection. Our new
         * connection may have been in its queue when it left. */
        set_fate(r, CT_EXITED, "it ended or stopped listening");
        declare_gone(w, "the server ended or stopped listening after a client had left; "
                        "with --spawn it would be started again");
    } else {
        set_fate(r, w->spawned || check->timed_out ? CT_HUNG : CT_GONE, check->message);
        if (!r->connected)
            count_bad_start(w, "the server does not listen");
        if (!w->spawned)
            declare_gone(w, "the server is gone, and the runner cannot start it again");
    }
}

static void settle(struct worker *w, struct ct_result *r, bool stops_server)
{
    let_it_leave(w);
    if (w->spawned && (stops_server || w->terminated))
        judge_stopped(w, r);
    else if (w->spawned && ct_server_poll_end(&w->server))
        judge_end(w, r);
    else
        judge_by_liveness(w, r);
    if (!w->spawned)
        return;
    if (!ct_server_running(&w->server))
        return;
    ct_server_read_log(&w->server);
    if (r->fate == CT_HUNG || w->server.report[0] != '\0')
        end_server(w);
    keep_log(w, r);
    if (w->server.report[0] != '\0') {
        set_fate(r, CT_SANITIZER, w->server.report);
        end_server(w);
    }
}

/* ------------------------------------------------------------------ probes -- */

static void note_need(struct worker *w, enum ct_need need, const struct ct_result *probe)
{
    struct ct_needs *n = &w->common->needs;

    if (probe->recorded == CT_NONE && probe->need_value >= 0) {
        n->of[need].value = probe->need_value;
        n->of[need].state = CT_NEED_THERE;
        return;
    }
    n->of[need].state = CT_NEED_ABSENT;
    snprintf(n->of[need].reason, sizeof(n->of[need].reason), "%s%.140s",
             probe->recorded == CT_SKIP ? "" : "the probe failed: ", probe->message);
}

#define DIED_OF_PROBE "the server did not survive being asked for '%s'"

/* Ask once. False: the server died of it, which is r's finding. */
static bool probe(struct worker *w, enum ct_need need, struct ct_result *r)
{
    const struct ct_task task = { .function = "probe", .text = ct_need_name(need) };
    struct ct_result *scratch;
    char why[256] = "";

    for (int i = 0; i <= MAX_RERUNS; i++) {
        scratch = fresh_scratch(w);
        if (!have_server(w, why, sizeof(why))) {
            ct_record(scratch, CT_FAIL, "", "%s", why);
            break;
        }
        run_phase(w, &task, scratch, ct_need_name(need),
                  w->run->options->start_timeout + w->run->options->timeout * 3);
        let_it_leave(w);
        /* A process that dies closes its connections before it is seen to have ended. */
        if (w->spawned && scratch->closed && scratch->recorded == CT_FAIL)
            ct_server_wait_end(&w->server, LEAVE_MS);
        notice_server_end(w);
        if (scratch->recorded != CT_FAIL || w->common->server_end != CT_SERVER_EXITED)
            break;
        if (!scratch->connected || !ct_server_running(&w->server)) {
            w->leaves = true;
            continue;
        }
        r->connected = true;
        judge_end(w, r); /* whether it leaves with its clients is known then */
        if (ct_fate_is_failure(r->fate)) {
            note_need(w, need, scratch);
            ct_record(r, CT_FAIL, "", DIED_OF_PROBE, ct_need_name(need));
            return false;
        }
        set_fate(r, CT_SURVIVED, "");
    }
    if (scratch->recorded == CT_ERROR) { /* no finding, but our own mistake */
        ct_record(r, CT_ERROR, "", "probe for '%s': %s", ct_need_name(need),
                  scratch->message);
        return false;
    }
    note_need(w, need, scratch);
    if (w->common->server_end != CT_SERVER_DIED || !ct_server_running(&w->server))
        return true;
    r->connected = scratch->connected;
    judge_end(w, r);
    if (!ct_fate_is_failure(r->fate))
        return true;
    ct_record(r, CT_FAIL, "", DIED_OF_PROBE, ct_need_name(need));
    return false;
}

/* Are all needs met? Else *r has its verdict. */
static bool needs_met(struct worker *w, const struct ct_case *c, struct ct_result *r)
{
    struct ct_needs *n = &w->common->needs;

    for (int i = 0; i < CT_N_NEEDS; i++) {
        if ((c->needs >> i & 1) == 0)
            continue;
        if (n->of[i].state == CT_NEED_UNKNOWN && !probe(w, i, r))
            return false;
        if (n->of[i].state == CT_NEED_ABSENT) {
            ct_record(r, CT_SKIP, "", "%s: %s", ct_need_name(i), n->of[i].reason);
            return false;
        }
    }
    return true;
}

/* ------------------------------------------------------------------- cases -- */

static void clear_result(struct ct_result *r)
{
    int worker = r->worker;

    memset(r, 0, sizeof(*r));
    r->worker = worker;
    r->state = CT_RUNNING;
}

/* Did the case only meet a server on its way out? */
static bool met_leaving_server(const struct worker *w, const struct ct_result *r,
                               bool knew)
{
    return w->spawned && r->fate == CT_EXITED && r->recorded != CT_NONE &&
           (!knew || !r->started);
}

static void try_case(struct worker *w, const struct ct_case *c, struct ct_result *r)
{
    const struct ct_options *o = w->run->options;
    const struct ct_task task = { .function = "run", .number = c->ref };
    char why[512];

    if (w->own_fault) {
        ct_record(r, CT_ERROR, "", "%s", w->gone_text);
        return;
    }
    if (!have_server(w, why, sizeof(why))) {
        ct_record(r, CT_SKIP, "", "%s", why);
        set_fate(r, CT_GONE, why);
        return;
    }
    if (!needs_met(w, c, r))
        return;
    if (!have_server(w, why, sizeof(why))) {
        ct_record(r, CT_SKIP, "", "%s", why);
        set_fate(r, CT_GONE, why);
        return;
    }
    w->terminated = false;
    if (w->spawned)
        ct_server_new_log(&w->server);
    run_phase(w, &task, r, c->name,
              c->timeout > o->case_timeout ? c->timeout : o->case_timeout);
    settle(w, r, c->stops_server);
    w->terminated = false;
}

static void run_case(struct worker *w, const struct ct_case *c, struct ct_result *r)
{
    vu_deadline start = vu_deadline_in_ms(0);

    for (int i = 0; i <= MAX_RERUNS; i++) {
        bool knew = w->leaves;

        clear_result(r);
        try_case(w, c, r);
        if (!met_leaving_server(w, r, knew))
            break;
    }
    ct_judge(r, c->req->level);
    r->ms = elapsed_ms(start);
}

static void publish(struct worker *w, uint32_t position)
{
    w->run->shared->results[position].state = CT_DONE;
    if (write(w->run->notify, &position, sizeof(position)) != sizeof(position))
        leave(w); /* nobody is interested any more */
}

/* A server that ended after its last case had been judged: the finding is that case's,
 * as long as no other one has begun. */
static void last_look(struct worker *w, uint32_t position)
{
    struct ct_result *r = &w->run->shared->results[position];

    if (!w->spawned || !ct_server_running(&w->server) || !ct_server_poll_end(&w->server))
        return;
    r->connected = true;
    judge_end(w, r);
    ct_judge(r, ct_run_case(w->run, position)->req->level);
}

/* Leaks are reported at the very end. */
static void say_farewell(struct worker *w)
{
    struct ct_farewell *f = &w->run->shared->farewell[w->number];

    if (!w->spawned || !ct_server_running(&w->server))
        return;
    ct_server_stop(&w->server);
    if (w->server.report[0] == '\0')
        return;
    f->fate = CT_SANITIZER;
    snprintf(f->text, sizeof(f->text), "%s", w->server.report);
    memcpy(f->log, w->server.tail, sizeof(f->log));
}

static void work(struct worker *w)
{
    const struct ct_run *run = w->run;
    int64_t last = -1;

    for (;;) {
        int64_t position = run->shared->next++;

        if (position >= (int64_t)run->count)
            break;
        if (last != -1) {
            last_look(w, (uint32_t)last);
            publish(w, (uint32_t)last);
        }
        run->shared->results[position].worker = w->number;
        run_case(w, ct_run_case(run, (size_t)position), &run->shared->results[position]);
        last = position;
    }
    if (last != -1)
        last_look(w, (uint32_t)last);
    say_farewell(w);
    if (last != -1)
        publish(w, (uint32_t)last);
}

static void set_up(struct worker *w)
{
    sigset_t mask;
    char why[256];

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    signal(SIGINT, SIG_IGN); /* the main process decides */
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    w->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    w->common = mmap(NULL, sizeof(*w->common), PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (w->signals == -1 || w->common == MAP_FAILED)
        _exit(1); /* the main process reports it */
    if (w->spawned &&
        ct_server_init(&w->server, w->run->options->spawn, why, sizeof(why)) != 0) {
        declare_gone(w, why);
        w->own_fault = true;
    }
}

void ct_worker_main(const struct ct_run *run, int number)
{
    struct worker *w = calloc(1, sizeof(*w));

    if (w == NULL)
        _exit(1);
    w->run = run;
    w->number = number;
    w->spawned = run->options->spawn != NULL;
    w->server.pid = w->server.pidfd = w->server.log = -1;
    set_up(w);
    work(w);
    munmap(w->common, sizeof(*w->common));
    if (w->spawned)
        ct_server_done(&w->server);
    close(w->signals);
    free(w);
    exit(0);
}
