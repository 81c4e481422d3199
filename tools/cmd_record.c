/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfu record: what a client and a server say to each other.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/recfile.h"
#include "tools/relay.h"
#include "tools/scenario.h"
#include "tools/show.h"
#include "tools/tool.h"

#define MEMORY_EACH ((uint64_t)1 << 20)
#define MEMORY_ALL  16u /* times that */

struct recorder {
    const struct tool_call *call;
    struct sockaddr_un listen, target;
    bool once, quiet;
    struct tool_relay relay;
    int listen_fd;              /* owned */
    struct stat listen_file;    /* ours, as it was made */
    int file;                   /* owned: the recording, perhaps without a name */
    const char *file_name;      /* NULL: it has none */
    struct vu_buffer out;       /* on its way into the file */
    uint64_t start_ns;          /* of the first record */
    uint32_t sessions;
    uint64_t messages;
};

/* -------------------------------------------------------------- arguments -- */

static bool ends_with(const char *name, const char *end)
{
    size_t len = strlen(name), end_len = strlen(end);

    return len > end_len && strcmp(name + len - end_len, end) == 0;
}

static int socket_address(const struct tool_call *call, const char *path,
                          struct sockaddr_un *address)
{
    size_t len = strlen(path);

    address->sun_family = AF_UNIX;
    if (len == 0 || len >= sizeof(address->sun_path))
        return tool_misuse(call, "\"%s\" is no path that a socket can have (at most %zu "
                           "characters)", path, sizeof(address->sun_path) - 1);
    memcpy(address->sun_path, path, len + 1);
    return TOOL_OK;
}

static int check_output(const struct tool_call *call, int i)
{
    const char *name = call->argv[i];

    if (!ends_with(name, ".pcapng") && !ends_with(name, ".lua"))
        return tool_misuse(call, "%s: the name of an output ends in .pcapng (a "
                           "recording) or .lua (a scenario)", name);
    for (int k = 2; k < i; k++) {
        if (strcmp(name, call->argv[k]) == 0)
            return tool_misuse(call, "%s is there twice", name);
    }
    return TOOL_OK;
}

static int parse(struct recorder *rec)
{
    const struct tool_call *call = rec->call;
    uint64_t each = MEMORY_EACH;
    int code = socket_address(call, call->argv[0], &rec->listen);

    if (code == TOOL_OK)
        code = socket_address(call, call->argv[1], &rec->target);
    if (code == TOOL_OK && strcmp(call->argv[0], call->argv[1]) == 0)
        code = tool_misuse(call, "LISTEN and TARGET are the same socket");
    for (int i = 2; i < call->argc && code == TOOL_OK; i++)
        code = check_output(call, i);
    if (code != TOOL_OK)
        return code;
    if (tool_given(call, 'm') &&
        tool_number(tool_value(call, 'm'), "--memory", (uint64_t)1 << 40, &each) != 0)
        return TOOL_USAGE;
    rec->once = tool_given(call, 'o');
    rec->quiet = tool_given(call, 'q');
    rec->relay.direct = tool_given(call, 'd');
    rec->relay.memory_each = each;
    rec->relay.memory_all = MEMORY_ALL * each;
    rec->relay.linger_ms = call->timeout_ms < 0 ? 5000 : call->timeout_ms;
    return TOOL_OK;
}

/* ---------------------------------------------------------------- outputs -- */

static int create(const char *name)
{
    return open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
}

/* The recording goes to the first .pcapng; without one, to a file without a name. */
static int open_recording(struct recorder *rec)
{
    char name[] = "/tmp/vfu-record-XXXXXX";

    for (int i = 2; i < rec->call->argc && rec->file_name == NULL; i++) {
        if (ends_with(rec->call->argv[i], ".pcapng"))
            rec->file_name = rec->call->argv[i];
    }
    if (rec->file_name != NULL) {
        rec->file = create(rec->file_name);
    } else {
        rec->file = mkostemp(name, O_CLOEXEC);
        if (rec->file != -1)
            unlink(name);
    }
    if (rec->file == -1)
        return tool_fail(rec->call, TOOL_FAILED, "cannot create %s: %s",
                         rec->file_name ? rec->file_name : name, strerror(errno));
    return TOOL_OK;
}

static int write_out(struct recorder *rec)
{
    int err = tool_write_all(rec->file, rec->out.data, rec->out.len);

    vu_buffer_truncate(&rec->out, 0);
    return err;
}

/* Record without an output, or damaged by ours alone, is not to be expected; say it. */
static int cannot_write(struct recorder *rec, int err)
{
    return tool_fail(rec->call, TOOL_FAILED, "cannot write %s: %s",
                     rec->file_name ? rec->file_name : "the recording", strerror(-err));
}

static void on_gap(void *ctx, const char *text)
{
    const struct tool_call *call = ctx;

    fprintf(stderr, "vfu %s: %s\n", call->command->name, text);
}

static int write_scenario(struct recorder *rec, const char *name,
                          const struct tool_recfile *file)
{
    struct tool_scenario_options options = { .on_gap = on_gap, .ctx = (void *)rec->call };
    FILE *to = fopen(name, "we");
    char why[160] = "";
    int err;

    if (to == NULL)
        return tool_fail(rec->call, TOOL_FAILED, "cannot create %s: %s", name,
                         strerror(errno));
    err = tool_scenario_write(to, file->data, file->len, &options, why, sizeof(why));
    if (fclose(to) != 0 && err == 0)
        err = -errno;
    return err == 0 ? TOOL_OK
                    : tool_fail(rec->call, TOOL_FAILED, "cannot write %s: %s", name,
                                *why != '\0' ? why : strerror(-err));
}

static int copy_recording(struct recorder *rec, const char *name,
                          const struct tool_recfile *file)
{
    int fd = create(name);
    int err = fd == -1 ? -errno : tool_write_all(fd, file->data, file->len);

    if (fd != -1)
        close(fd);
    return err == 0 ? TOOL_OK
                    : tool_fail(rec->call, TOOL_FAILED, "cannot write %s: %s", name,
                                strerror(-err));
}

/* Everything but the recording itself is made of it, at the end. */
static int write_others(struct recorder *rec)
{
    struct tool_recfile file;
    int code = TOOL_OK;
    int err;

    if (rec->call->argc == 3 && rec->file_name != NULL)
        return TOOL_OK;
    err = tool_recfile_load_fd(rec->file, &file);
    if (err != 0)
        return tool_fail(rec->call, TOOL_FAILED, "cannot read the recording: %s",
                         strerror(-err));
    for (int i = 2; i < rec->call->argc && code == TOOL_OK; i++) {
        const char *name = rec->call->argv[i];

        if (ends_with(name, ".lua"))
            code = write_scenario(rec, name, &file);
        else if (name != rec->file_name)
            code = copy_recording(rec, name, &file);
    }
    tool_recfile_done(&file);
    return code;
}

/* ---------------------------------------------------------------- records -- */

static int print_record(struct recorder *rec, const struct tool_record *record)
{
    char line[TOOL_SHOW_MAX];

    if (rec->call->json) {
        struct json_object *o = tool_show_json(record, rec->start_ns);

        return tool_print_json_line(rec->call, o) == TOOL_OK ? 0 : -EPIPE;
    }
    puts(tool_show_text(line, sizeof(line), record, rec->start_ns));
    return tool_output_lost() ? -EPIPE : 0;
}

static int on_record(void *ctx, const struct tool_record *record)
{
    struct recorder *rec = ctx;
    int err;

    if (rec->start_ns == 0)
        rec->start_ns = record->time_ns;
    rec->messages += record->kind == TOOL_RECORD_MESSAGE;
    err = tool_recording_put(&rec->out, record);
    if (err == 0)
        err = write_out(rec);
    if (err != 0)
        return cannot_write(rec, err) == TOOL_OK ? 0 : -EIO;
    return rec->quiet ? 0 : print_record(rec, record);
}

/* -------------------------------------------------------------- listening -- */

/* Is somebody there? A socket of another type is told apart without disturbing it. */
static bool is_alive(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool alive = true;

    if (fd != -1) {
        alive = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
                errno != ECONNREFUSED;
        close(fd);
    }
    return alive;
}

static bool is_socket_file(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

static int bind_and_listen(struct recorder *rec)
{
    const struct sockaddr *address = (const struct sockaddr *)&rec->listen;
    int err;

    if (bind(rec->listen_fd, address, sizeof(rec->listen)) == 0)
        return listen(rec->listen_fd, 16) == 0 ? 0 : -errno;
    err = -errno;
    if (err != -EADDRINUSE || !is_socket_file(rec->listen.sun_path) ||
        is_alive(&rec->listen))
        return err;
    unlink(rec->listen.sun_path); /* left by somebody who is gone */
    if (bind(rec->listen_fd, address, sizeof(rec->listen)) == -1 ||
        listen(rec->listen_fd, 16) == -1)
        return -errno;
    return 0;
}

static int start_listening(struct recorder *rec)
{
    int err;

    rec->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    err = rec->listen_fd == -1 ? -errno : bind_and_listen(rec);
    if (err == -EADDRINUSE)
        return tool_fail(rec->call, TOOL_FAILED, "%s is there already, and %s",
                         rec->listen.sun_path,
                         is_socket_file(rec->listen.sun_path)
                             ? "somebody listens on it"
                             : "it is no socket");
    if (err != 0)
        return tool_fail(rec->call, TOOL_FAILED, "cannot listen on %s: %s",
                         rec->listen.sun_path, strerror(-err));
    if (stat(rec->listen.sun_path, &rec->listen_file) == -1)
        memset(&rec->listen_file, 0, sizeof(rec->listen_file));
    return TOOL_OK;
}

/* The file of our socket, unless somebody has put another one there. */
static void stop_listening(struct recorder *rec)
{
    struct stat st;

    if (rec->listen_fd == -1)
        return;
    if (stat(rec->listen.sun_path, &st) == 0 && st.st_ino == rec->listen_file.st_ino &&
        st.st_dev == rec->listen_file.st_dev)
        unlink(rec->listen.sun_path);
    close(rec->listen_fd);
}

/* ---------------------------------------------------------------- sessions -- */

/* Wait for input or a signal to stop: 1 input, 0 time is over, -EINTR to stop. */
static int wait_for(struct recorder *rec, int fd, int ms)
{
    struct pollfd p[] = {
        { .fd = rec->relay.stop_fd, .events = POLLIN },
        { .fd = fd, .events = POLLIN },
    };
    int n = poll(p, fd == -1 ? 1 : 2, ms);

    if (n == -1 && errno != EINTR)
        return -errno;
    if (n > 0 && p[0].revents != 0)
        return -EINTR;
    return n > 0;
}

/* A connected descriptor, or negative errno. One with a full queue is asked again. */
static int connect_target(struct recorder *rec)
{
    const struct sockaddr *address = (const struct sockaddr *)&rec->target;
    int64_t until = tool_now_ms() + rec->relay.linger_ms;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int err;

    if (fd == -1)
        return -errno;
    do {
        err = connect(fd, address, sizeof(rec->target)) == 0 ? 0 : -errno;
        if (err == -EAGAIN && wait_for(rec, -1, 10) == -EINTR)
            err = -EINTR;
    } while (err == -EAGAIN && tool_now_ms() < until);
    if (err == 0)
        return fd;
    close(fd);
    return err;
}

/* TOOL_OK, also when the client's session ended badly; or what ends the program. */
static int serve(struct recorder *rec, int client_fd)
{
    int server_fd = connect_target(rec);
    int err;

    if (server_fd < 0) {
        close(client_fd);
        if (server_fd == -EINTR)
            return TOOL_OK;
        tool_fail(rec->call, TOOL_LOST, "cannot connect to %s: %s", rec->target.sun_path,
                  server_fd == -EAGAIN ? "it took no connection in time (it may be busy "
                                         "with another client)"
                                       : strerror(-server_fd));
        return rec->once ? TOOL_LOST : TOOL_OK;
    }
    err = tool_relay_session(&rec->relay, ++rec->sessions, client_fd, server_fd);
    if (err == 0 || err == -EINTR)
        return TOOL_OK;
    if (err == -EIO || err == -EPIPE)
        return TOOL_FAILED; /* it was said, or nobody reads */
    return tool_fail(rec->call, TOOL_FAILED, "session %" PRIu32 ": %s", rec->sessions,
                     strerror(-err));
}

static int serve_clients(struct recorder *rec)
{
    int code = TOOL_OK;

    do {
        int ready = wait_for(rec, rec->listen_fd, -1);
        int fd;

        if (ready < 0)
            return ready == -EINTR ? TOOL_OK
                                   : tool_fail(rec->call, TOOL_FAILED, "waiting: %s",
                                               strerror(-ready));
        fd = accept4(rec->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd == -1 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            return tool_fail(rec->call, TOOL_FAILED, "cannot take a client: %s",
                             strerror(errno));
        if (fd == -1)
            continue;
        code = serve(rec, fd);
        if (rec->once)
            break;
    } while (code == TOOL_OK && !tool_stopped());
    return code;
}

/* A client may bring two thousand eventfds, and each takes two of ours. */
static void raise_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int record_sessions(struct recorder *rec)
{
    int code = start_listening(rec);
    int err = tool_recording_begin(&rec->out);

    if (code != TOOL_OK)
        return code;
    code = open_recording(rec);
    if (code != TOOL_OK)
        return code;
    if (err == 0)
        err = write_out(rec);
    if (err != 0)
        return cannot_write(rec, err);
    fprintf(stderr, "vfu record: connect to %s\n", rec->listen.sun_path);
    code = serve_clients(rec);
    if (write_others(rec) != TOOL_OK)
        code = TOOL_FAILED;
    fprintf(stderr, "vfu record: %" PRIu64 " messages in %" PRIu32 " session%s\n",
            rec->messages, rec->sessions, rec->sessions == 1 ? "" : "s");
    return code;
}

static int run(struct tool_call *call)
{
    struct recorder rec = { .call = call, .listen_fd = -1, .file = -1 };
    int code = parse(&rec);

    if (code != TOOL_OK)
        return code;
    rec.relay.stop_fd = tool_stop_fd();
    if (rec.relay.stop_fd == -1)
        return tool_fail(call, TOOL_FAILED, "no descriptor left: %s", strerror(errno));
    rec.relay.on_record = on_record;
    rec.relay.ctx = &rec;
    vu_buffer_init(&rec.out, 2 * (size_t)TOOL_RECORDING_MAX_MESSAGE);
    raise_limit();
    code = record_sessions(&rec);
    stop_listening(&rec);
    vu_buffer_done(&rec.out);
    if (rec.file != -1)
        close(rec.file);
    return code;
}

static const struct tool_option options[] = {
    { 'o', "once", NULL, "end after the first client has left" },
    { 'q', "quiet", NULL, "do not print the messages" },
    { 'd', "direct", NULL, "pass eventfds on as they are: interrupts are not recorded" },
    { 'm', "memory", "BYTES", "record windows and areas of up to this size, all together "
                              "up to 16 times it; 0: none [1M]" },
    { 0 },
};

const struct tool_command tool_cmd_record = {
    .name = "record",
    .usage = "LISTEN TARGET OUT...",
    .summary = "record what a client and a server say to each other",
    .about = "Listens on the socket LISTEN. For each client that comes, connects to the\n"
             "server at TARGET, and passes every message on in both directions. Each is\n"
             "printed, and recorded in OUT: NAME.pcapng is a recording, which decode,\n"
             "replay and Wireshark read; NAME.lua a scenario for vfio-user-conformance.\n"
             "Ends with SIGINT or SIGTERM.",
    .options = options,
    .min_args = 3,
    .max_args = -1,
    .json = true,
    .run = run,
};
