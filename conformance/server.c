/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Starting, watching and ending a server process.
 */
#include "conformance/server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "wire/channel.h"

/* A sanitizer may look for leaks when its process ends, so this is generous. */
#define TERM_WAIT_MS 5000
#define KILL_WAIT_MS 5000
/* For the rest of the output of a process that has ended. */
#define DRAIN_MS 200
/* Between looks for orphans: nothing tells that one of them ends. */
#define ORPHANS_MS 5

/* ----------------------------------------------------------------- command -- */

/* Appends the next character of a word, or says that the text has ended. */
static bool next_char(const char **in, char *quote, char *out)
{
    for (;;) {
        char c = **in;

        if (c == '\0' || (*quote == '\0' && strchr(" \t\n", c) != NULL))
            return false;
        (*in)++;
        if (c == *quote) {
            *quote = '\0';
        } else if (*quote == '\0' && (c == '\'' || c == '"')) {
            *quote = c;
        } else if (c == '\\' && *quote != '\'' && **in != '\0') {
            *out = *(*in)++;
            return true;
        } else {
            *out = c;
            return true;
        }
    }
}

char **ct_split_command(const char *command, char *why, size_t why_len)
{
    size_t len = strlen(command);
    size_t room = (len / 2 + 2) * sizeof(char *);
    char **argv = calloc(1, room + 2 * len + 2);
    char *out;
    char quote = '\0';
    size_t n = 0;

    if (argv == NULL) {
        snprintf(why, why_len, "out of memory");
        return NULL;
    }
    out = (char *)argv + room;
    for (;;) {
        command += strspn(command, " \t\n");
        if (*command == '\0')
            break;
        argv[n++] = out;
        while (next_char(&command, &quote, out))
            out++;
        *out++ = '\0';
    }
    if (quote != '\0' || n == 0) {
        snprintf(why, why_len, n == 0 ? "the command is empty" : "a quote is not closed");
        free(argv);
        return NULL;
    }
    return argv;
}

/* A copy of word with every {socket} replaced; NULL: out of memory. */
static char *with_socket(const char *word, const char *path, bool *found)
{
    static const char mark[] = "{socket}";
    char *copy = NULL;
    size_t len;
    FILE *f = open_memstream(&copy, &len);
    const char *at;

    if (f == NULL)
        return NULL;
    while ((at = strstr(word, mark)) != NULL) {
        fprintf(f, "%.*s%s", (int)(at - word), word, path);
        word = at + sizeof(mark) - 1;
        *found = true;
    }
    fputs(word, f);
    return fclose(f) == 0 ? copy : NULL;
}

static void free_argv(char **argv)
{
    for (size_t i = 0; argv != NULL && argv[i] != NULL; i++)
        free(argv[i]);
    free(argv);
}

static char **build_argv(const char *command, const char *path, char *why, size_t why_len)
{
    char **words = ct_split_command(command, why, why_len);
    char **argv = NULL;
    bool found = false;
    size_t n = 0;

    if (words == NULL)
        return NULL;
    while (words[n] != NULL)
        n++;
    argv = calloc(n + 1, sizeof(*argv));
    for (size_t i = 0; argv != NULL && i < n; i++)
        argv[i] = with_socket(words[i], path, &found);
    free(words);
    if (argv == NULL || !found) {
        snprintf(why, why_len,
                 argv == NULL ? "out of memory"
                              : "the command does not say {socket}, so the server would "
                                "not know where to listen");
        free_argv(argv);
        return NULL;
    }
    return argv;
}

int ct_server_init(struct ct_server *s, const char *command, char *why, size_t why_len)
{
    const char *tmp = getenv("TMPDIR");

    *s = (struct ct_server){ .pid = -1, .pidfd = -1, .log = -1 };
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (tmp == NULL || tmp[0] != '/' || strlen(tmp) > 24)
        tmp = "/tmp"; /* the path of a socket has room for 107 bytes only */
    snprintf(s->dir, sizeof(s->dir), "%s/vfio-user-XXXXXX", tmp);
    if (mkdtemp(s->dir) == NULL) {
        int err = -errno;

        snprintf(why, why_len, "%s: %s", s->dir, strerror(-err));
        s->dir[0] = '\0';
        return err;
    }
    snprintf(s->socket_path, sizeof(s->socket_path), "%s/socket", s->dir);
    s->argv = build_argv(command, s->socket_path, why, why_len);
    if (s->argv == NULL) {
        ct_server_done(s);
        return -EINVAL;
    }
    return 0;
}

static void remove_dir(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *d;

    while (dir != NULL && (d = readdir(dir)) != NULL)
        unlinkat(dirfd(dir), d->d_name, 0); /* "." and ".." refuse */
    if (dir != NULL)
        closedir(dir);
    rmdir(path);
}

void ct_server_done(struct ct_server *s)
{
    ct_server_stop(s);
    free_argv(s->argv);
    s->argv = NULL;
    if (s->dir[0] != '\0')
        remove_dir(s->dir);
    s->dir[0] = '\0';
}

/* ------------------------------------------------------------------- start -- */

/* The user's options stay, ours come last. Reports belong where the log is read. */
static void add_sanitizer_options(void)
{
    static const char *const names[] = { "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS",
                                         "LSAN_OPTIONS", "MSAN_OPTIONS" };
    char value[2048];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *users = getenv(names[i]);
        int len = snprintf(value, sizeof(value), "%s%slog_path=stderr",
                           users ? users : "", users && users[0] ? ":" : "");

        if (len < (int)sizeof(value))
            setenv(names[i], value, 1);
    }
}

/* In the child; never returns. errors gets the errno of a failed start. */
static void become_server(const struct ct_server *s, pid_t parent, int log, int errors)
{
    sigset_t none;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int err;

    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent) {
        dup2(null, STDIN_FILENO);
        dup2(log, STDOUT_FILENO);
        dup2(log, STDERR_FILENO);
        close_range(3, ~0U, CLOSE_RANGE_CLOEXEC); /* ours and our caller's */
        add_sanitizer_options();
        execvp(s->argv[0], s->argv);
    }
    err = errno;
    if (write(errors, &err, sizeof(err)) != sizeof(err))
        _exit(126);
    _exit(127);
}

/* 0 when the program was started, else -errno of execvp(). */
static int exec_result(int errors)
{
    int err = 0;
    ssize_t n;

    do {
        n = read(errors, &err, sizeof(err));
    } while (n == -1 && errno == EINTR);
    return n == (ssize_t)sizeof(err) ? -err : 0;
}

static int fork_server(struct ct_server *s)
{
    pid_t parent = getpid();
    int log[2], errors[2];
    int err = 0;

    if (pipe2(log, O_CLOEXEC) == -1)
        return -errno;
    if (pipe2(errors, O_CLOEXEC) == -1) {
        err = -errno;
        close(log[0]);
        close(log[1]);
        return err;
    }
    s->pid = fork();
    if (s->pid == 0)
        become_server(s, parent, log[1], errors[1]);
    if (s->pid == -1)
        err = -errno;
    close(log[1]);
    close(errors[1]);
    if (err == 0)
        err = exec_result(errors[0]);
    close(errors[0]);
    if (err != 0) {
        close(log[0]);
        if (s->pid > 0)
            waitpid(s->pid, NULL, 0);
        s->pid = -1;
        return err;
    }
    fcntl(log[0], F_SETFL, O_NONBLOCK);
    s->log = log[0];
    return 0;
}

int ct_server_start(struct ct_server *s, char *why, size_t why_len)
{
    int err;

    unlink(s->socket_path); /* a server that crashed may have left it */
    s->ended = s->forced = s->asked = s->first_ended = s->left_others = false;
    ct_server_new_log(s);
    err = fork_server(s);
    if (err == 0) {
        s->pidfd = pidfd_open(s->pid, 0);
        if (s->pidfd == -1) {
            err = -errno;
            ct_server_stop(s);
        }
    }
    if (err != 0)
        snprintf(why, why_len, "cannot start %s: %s", s->argv[0], strerror(-err));
    return err;
}

bool ct_server_running(const struct ct_server *s)
{
    return s->pid != -1;
}

/* --------------------------------------------------------------------- log -- */

static size_t digits_before(const char *line, size_t end)
{
    size_t n = 0;

    while (n < end && line[end - 1 - n] >= '0' && line[end - 1 - n] <= '9')
        n++;
    return n;
}

/* UBSan's own form: "file:LINE:COLUMN: runtime error: ", or "<unknown>" for the place.
 * Any program may log "runtime error" in other ways. */
static bool is_ubsan_report(const char *line)
{
    static const char unknown[] = "<unknown>";
    const char *at = strstr(line, ": runtime error: ");
    size_t end, n;

    if (at == NULL)
        return false;
    end = (size_t)(at - line);
    if (end >= sizeof(unknown) - 1 &&
        strncmp(at - (sizeof(unknown) - 1), unknown, sizeof(unknown) - 1) == 0)
        return true;
    for (int i = 0; i < 2; i++) {
        n = digits_before(line, end);
        if (n == 0 || end - n < 2 || line[end - n - 1] != ':')
            return false;
        end -= n + 1;
    }
    return true;
}

static bool is_report(const char *line)
{
    static const char *const marks[] = {
        "ERROR: AddressSanitizer",     "ERROR: LeakSanitizer",
        "WARNING: ThreadSanitizer",    "ERROR: ThreadSanitizer",
        "WARNING: MemorySanitizer",    "ERROR: MemorySanitizer",
        "UndefinedBehaviorSanitizer:",
    };

    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        if (strstr(line, marks[i]) != NULL)
            return true;
    }
    return is_ubsan_report(line);
}

/* Sanitizers' reports are recognised by the line; too long ones by their beginning. */
static void scan(struct ct_server *s, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == '\n' || s->line_len + 1 == sizeof(s->line)) {
            s->line[s->line_len] = '\0';
            if (s->report[0] == '\0' && is_report(s->line))
                snprintf(s->report, sizeof(s->report), "%.*s", (int)sizeof(s->report) - 1,
                         s->line);
            s->line_len = 0;
        }
        if (bytes[i] != '\n' && bytes[i] != '\0')
            s->line[s->line_len++] = bytes[i];
    }
}

static void keep(struct ct_server *s, const char *bytes, size_t len)
{
    size_t room = sizeof(s->tail) - 1;
    size_t drop;

    if (len > room) {
        bytes += len - room;
        len = room;
    }
    drop = s->tail_len + len > room ? s->tail_len + len - room : 0;
    memmove(s->tail, s->tail + drop, s->tail_len - drop);
    s->tail_len -= drop;
    memcpy(s->tail + s->tail_len, bytes, len);
    s->tail_len += len;
    s->tail[s->tail_len] = '\0';
}

/* false: the pipe is at its end */
static bool read_log_once(struct ct_server *s, bool *more)
{
    char buf[16384];
    ssize_t n = read(s->log, buf, sizeof(buf));

    *more = n > 0;
    if (n > 0) {
        scan(s, buf, (size_t)n);
        keep(s, buf, (size_t)n);
    }
    return n > 0 || (n == -1 && (errno == EAGAIN || errno == EINTR));
}

void ct_server_read_log(struct ct_server *s)
{
    bool more = true;

    /* Bounded, since a server may write without end. */
    for (int i = 0; i < 64 && s->log != -1 && more; i++) {
        if (!read_log_once(s, &more)) {
            close(s->log);
            s->log = -1;
        }
    }
}

/* What a process wrote before it ended is in the pipe already; a child of it that lives
 * on keeps the pipe open, so there is a limit. */
static void drain_log(struct ct_server *s)
{
    vu_deadline deadline = vu_deadline_in_ms(DRAIN_MS);

    for (;;) {
        struct pollfd p = { .fd = s->log, .events = POLLIN };

        ct_server_read_log(s);
        if (s->log == -1 || poll(&p, 1, vu_deadline_left_ms(deadline)) <= 0)
            return;
    }
}

void ct_server_new_log(struct ct_server *s)
{
    s->tail_len = 0;
    s->tail[0] = '\0';
    s->report[0] = '\0';
    s->line_len = 0;
}

/* --------------------------------------------------------------------- end -- */

/* Is this process a living child of ours, in another session? Those are the server's:
 * nobody returns to a session that was left. */
static bool is_servers_child(pid_t pid)
{
    char path[32], stat[512];
    const char *at;
    FILE *f;
    size_t n;
    long ppid, session;
    char state;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    f = fopen(path, "re");
    if (f == NULL)
        return false;
    n = fread(stat, 1, sizeof(stat) - 1, f);
    fclose(f);
    stat[n] = '\0';
    at = strrchr(stat, ')'); /* the name may hold anything */
    return at != NULL && sscanf(at, ") %c %ld %*d %ld", &state, &ppid, &session) == 3 &&
           state != 'Z' && ppid == getpid() && session != getsid(0);
}

/* The server's processes whose parents are gone, or the one that was started. Each gets
 * sig unless that is 0. */
static unsigned orphans(const struct ct_server *s, int sig)
{
    DIR *dir = opendir("/proc");
    struct dirent *d;
    unsigned n = 0;

    while (dir != NULL && (d = readdir(dir)) != NULL) {
        pid_t pid = (pid_t)strtol(d->d_name, NULL, 10);

        if (pid <= 0 || pid == s->pid || !is_servers_child(pid))
            continue;
        n++;
        if (sig != 0)
            kill(pid, sig);
    }
    if (dir != NULL)
        closedir(dir);
    return n;
}

/* Has the process that was started ended? */
static bool first_has_ended(struct ct_server *s)
{
    siginfo_t info = { 0 };

    /* Left unreaped: its pid must stay ours until its group has been signalled. */
    if (waitid(P_PID, (id_t)s->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
        info.si_pid != s->pid)
        return false;
    s->status = info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8
                                           : info.si_status & 0x7f;
    return true;
}

bool ct_server_poll_end(struct ct_server *s)
{
    bool seen_before = s->first_ended;

    if (s->pid == -1 || s->ended || !first_has_ended(s))
        return s->ended;
    s->first_ended = true;
    /* Orphans may become ours a moment after the end of their parent is seen. */
    s->ended = !s->asked || (seen_before && orphans(s, 0) == 0);
    return s->ended;
}

bool ct_server_left_others(struct ct_server *s)
{
    if (s->pid != -1 && s->ended && !s->asked)
        s->left_others |= orphans(s, 0) != 0;
    return s->left_others;
}

void ct_server_ask(struct ct_server *s)
{
    if (s->pid == -1 || ct_server_poll_end(s))
        return;
    s->asked = true;
    kill(-s->pid, SIGTERM);
}

bool ct_server_wait_end(struct ct_server *s, int ms)
{
    vu_deadline deadline = vu_deadline_in_ms(ms);

    while (!ct_server_poll_end(s) && s->pid != -1) {
        struct pollfd p[2] = {
            { .fd = first_has_ended(s) ? -1 : s->pidfd, .events = POLLIN },
            { .fd = s->log, .events = POLLIN },
        };
        int left = vu_deadline_left_ms(deadline);

        if (left == 0)
            return false;
        if (p[0].fd == -1 && left > ORPHANS_MS)
            left = ORPHANS_MS;
        poll(p, 2, left);
        ct_server_read_log(s);
    }
    return s->ended;
}

static void release(struct ct_server *s)
{
    drain_log(s);
    scan(s, "\n", 1);
    if (s->log != -1)
        close(s->log);
    if (s->pidfd != -1)
        close(s->pidfd);
    s->log = s->pidfd = -1;
    s->pid = -1;
}

/* The owner has no other children while it ends a server. */
static void reap_orphans(void)
{
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}

/* Those that left the group; the end of one may make more of them. */
static void end_orphans(const struct ct_server *s)
{
    vu_deadline deadline = vu_deadline_in_ms(KILL_WAIT_MS);
    struct timespec ms = { .tv_nsec = 1000000 };

    while (orphans(s, SIGKILL) != 0 && vu_deadline_left_ms(deadline) > 0)
        nanosleep(&ms, NULL);
}

void ct_server_stop(struct ct_server *s)
{
    if (s->pid == -1)
        return;
    if (!ct_server_poll_end(s)) {
        ct_server_ask(s);
        s->forced = !ct_server_wait_end(s, TERM_WAIT_MS);
    }
    kill(-s->pid, SIGKILL); /* whoever is left of its group */
    ct_server_wait_end(s, KILL_WAIT_MS);
    end_orphans(s);
    waitpid(s->pid, NULL, s->ended ? 0 : WNOHANG);
    reap_orphans();
    release(s);
}

bool ct_server_listens(const struct ct_server *s)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool listens;

    if (fd == -1)
        return false;
    memcpy(addr.sun_path, s->socket_path, sizeof(s->socket_path));
    listens = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 || errno == EAGAIN;
    close(fd);
    return listens;
}

int ct_status_signal(int status)
{
    if (WIFSIGNALED(status))
        return WTERMSIG(status);
    if (WIFEXITED(status) && WEXITSTATUS(status) > 128 && WEXITSTATUS(status) < 128 + 32)
        return WEXITSTATUS(status) - 128;
    return 0;
}

void ct_status_text(int status, char *buf, size_t len)
{
    int sig = ct_status_signal(status);

    if (WIFSIGNALED(status))
        snprintf(buf, len, "killed by SIG%s",
                 sigabbrev_np(sig) ? sigabbrev_np(sig) : "?");
    else if (sig != 0)
        snprintf(buf, len, "exited %d (SIG%s)", WEXITSTATUS(status),
                 sigabbrev_np(sig) ? sigabbrev_np(sig) : "?");
    else
        snprintf(buf, len, "exited %d", WEXITSTATUS(status));
}
