/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfu migrate: the state of a device into a file, out of a file, or to another server.
 *
 * Whatever fails, no device is left standing still: the source runs on, and a destination
 * with half of the data is reset.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/migrate.h"

#define DEFAULT_ROUNDS      30u
#define DEFAULT_DOWNTIME_MS 300

static const struct tool_option options[] = {
    { 'd', "downtime", "SECONDS",
      "how long the device may stand still; ends the pre-copy [0.3]" },
    { 'r', "rounds", "N", "most rounds of pre-copy; 0: none [30]" },
    { 'c', "check", NULL, "compare all readable regions before the destination runs" },
    { 's', "stop", NULL, "leave the device in STOP instead of letting it run on" },
    { 'f', "force", NULL, "take the data of a device with another identity" },
    { 0, NULL, NULL, NULL },
};

/* ----------------------------------------------------------------- set-up -- */

static int get_options(struct tool_move *m)
{
    const char *rounds = tool_value(m->call, 'r'), *downtime = tool_value(m->call, 'd');
    uint64_t n = DEFAULT_ROUNDS;
    int ms = DEFAULT_DOWNTIME_MS;

    if (rounds != NULL && tool_number(rounds, "--rounds", UINT32_MAX, &n) < 0)
        return TOOL_USAGE;
    if (downtime != NULL && tool_seconds(downtime, "--downtime", &ms) < 0)
        return TOOL_USAGE;
    m->max_rounds = (unsigned)n;
    m->budget_ns = ms < 0 ? INT64_MAX : ms * INT64_C(1000000);
    m->rounds = tool_json_array();
    tool_stop_fd();
    return TOOL_OK;
}

/* After the connections: a piece is what both can carry. */
static int get_buffer(struct tool_move *m)
{
    m->room = vfuc_migration_chunk(m->from != NULL ? m->from : m->to);
    if (m->from != NULL && m->to != NULL && vfuc_migration_chunk(m->to) < m->room)
        m->room = vfuc_migration_chunk(m->to);
    if (m->room > TOOL_STATE_CHUNK_MAX)
        m->room = TOOL_STATE_CHUNK_MAX;
    m->buf = malloc(m->room);
    return m->buf != NULL ? TOOL_OK : tool_fail(m->call, TOOL_FAILED, "out of memory");
}

static void put_away(struct tool_move *m)
{
    tool_progress(m->call, NULL);
    vfuc_close(m->from);
    vfuc_close(m->to);
    json_object_put(m->rounds);
    free(m->buf);
}

static int check_identity(struct tool_move *m, const struct tool_state_identity *a,
                          const struct tool_state_identity *b)
{
    if (memcmp(a, b, sizeof(*a)) == 0 || tool_given(m->call, 'f'))
        return TOOL_OK;
    return tool_fail(m->call, TOOL_REFUSED, "the data are of device %04x:%04x, revision "
                     "%02x, and the destination is %04x:%04x, revision %02x (--force "
                     "moves them all the same)", a->vendor, a->device,
                     a->class_revision & 0xff, b->vendor, b->device,
                     b->class_revision & 0xff);
}

/* Out of whatever state a failure left it in. */
static void let_source_run(struct tool_move *m)
{
    enum vfuc_mig_state state;

    if (vfuc_migration_state(m->from, &state) < 0)
        tool_fail(m->call, TOOL_FAILED, "the source is lost, too");
    else if (state != VFUC_MIG_RUNNING
             && tool_set_state(m->call, m->from, VFUC_MIG_RUNNING, "source") == TOOL_OK)
        tool_fail(m->call, TOOL_FAILED, "the source runs on");
}

/* Half of the data must not become a device. */
static void reset_destination(struct tool_move *m)
{
    enum vfuc_mig_state state;

    if (vfuc_migration_state(m->to, &state) < 0 || state == VFUC_MIG_RUNNING)
        return;
    if (vfuc_reset(m->to) == 0)
        tool_fail(m->call, TOOL_FAILED, "the destination was reset");
    else
        tool_fail(m->call, TOOL_FAILED,
                  "the destination cannot be reset (%s) and is left in %s",
                  vfuc_last_error(m->to), vfuc_migration_state_name(state));
}

/* ----------------------------------------------------------------- report -- */

static double seconds(int64_t from, int64_t to)
{
    return from != 0 && to > from ? (double)(to - from) / 1e9 : 0;
}

static void add(struct json_object *object, const char *key, struct json_object *value)
{
    tool_json_add(object, key, value);
}

static int report_json(struct tool_move *m, const char *what)
{
    struct json_object *object = tool_json_object();
    char crc[16];

    snprintf(crc, sizeof(crc), "%08" PRIx32, m->crc);
    add(object, "done", tool_json_string(what));
    add(object, "bytes", tool_json_number(m->total));
    add(object, "crc32", tool_json_string(crc));
    if (m->from != NULL) {
        add(object, "rounds", json_object_get(m->rounds));
        add(object, "converged", tool_json_boolean(m->converged));
        add(object, "downtime_seconds",
            tool_json_double(seconds(m->stopped_ns, m->done_ns)));
        add(object, "downtime_allowed_seconds",
            tool_json_double((double)m->budget_ns / 1e9));
    }
    add(object, "seconds", tool_json_double(seconds(m->began_ns, m->done_ns)));
    add(object, "checked", tool_json_boolean(tool_given(m->call, 'c')
                                             && m->from != NULL && m->to != NULL));
    return tool_print_json(m->call, object);
}

static void report_downtime(const struct tool_move *m, FILE *to)
{
    double took = seconds(m->stopped_ns, m->done_ns);
    double left = (double)m->budget_ns / 1e9 - took;

    fprintf(to, "downtime %.1f ms", took * 1e3);
    if (m->budget_ns == INT64_MAX)
        fprintf(to, "\n");
    else
        fprintf(to, ", %.1f ms %s what was allowed\n", (left < 0 ? -left : left) * 1e3,
                left < 0 ? "more than" : "are left of");
}

static int report(struct tool_move *m, const char *what)
{
    FILE *to = m->file == stdout ? stderr : stdout;
    char size[32];

    m->done_ns = tool_now_ns();
    if (m->call->json)
        return report_json(m, what);
    fprintf(to, "%s %s in %.1f ms, CRC-32 %08" PRIx32 "\n", what,
            tool_size_text(m->total, size, sizeof(size)),
            seconds(m->began_ns, m->done_ns) * 1e3, m->crc);
    if (m->from != NULL)
        report_downtime(m, to);
    return TOOL_OK;
}

/* ------------------------------------------------------------------- save -- */

static int write_fixed(struct tool_move *m, const void *bytes, size_t len)
{
    if (fwrite(bytes, len, 1, m->file) == 1)
        return TOOL_OK;
    return tool_fail(m->call, TOOL_FAILED, "%s: %s", m->file_name, strerror(errno));
}

static int save_to_file(struct tool_move *m)
{
    struct tool_state_identity identity;
    uint8_t header[TOOL_STATE_HEADER_SIZE], end[TOOL_STATE_END_SIZE];
    int code = tool_identity(m->call, m->from, &identity);

    if (code == TOOL_OK) {
        tool_state_header(header, &identity);
        code = write_fixed(m, header, sizeof(header));
    }
    if (code == TOOL_OK)
        code = tool_move_all(m);
    if (code == TOOL_OK) {
        tool_state_end(end, m->crc, m->total);
        code = write_fixed(m, end, sizeof(end));
    }
    if (code == TOOL_OK && fflush(m->file) != 0)
        code = tool_fail(m->call, TOOL_FAILED, "%s: %s", m->file_name, strerror(errno));
    if (code == TOOL_OK)
        code = tool_set_state(m->call, m->from, tool_given(m->call, 's')
                              ? VFUC_MIG_STOP : VFUC_MIG_RUNNING, "source");
    if (code != TOOL_OK)
        let_source_run(m);
    return code;
}

/* The file appears under its name when it is whole, or not at all. */
static int save_by_name(struct tool_move *m)
{
    size_t len = strlen(m->file_name) + 8;
    char *part = malloc(len);
    int code, fd = -1;

    if (part == NULL)
        return tool_fail(m->call, TOOL_FAILED, "out of memory");
    snprintf(part, len, "%s.XXXXXX", m->file_name);
    fd = mkstemp(part);
    m->file = fd < 0 ? NULL : fdopen(fd, "wb");
    if (m->file == NULL) {
        code = tool_fail(m->call, TOOL_FAILED, "%s: %s", m->file_name, strerror(errno));
        if (fd >= 0)
            close(fd);
        free(part);
        return code;
    }
    code = save_to_file(m);
    if (fclose(m->file) != 0 && code == TOOL_OK)
        code = tool_fail(m->call, TOOL_FAILED, "%s: %s", m->file_name, strerror(errno));
    m->file = NULL;
    if (code == TOOL_OK && rename(part, m->file_name) < 0)
        code = tool_fail(m->call, TOOL_FAILED, "%s: %s", m->file_name, strerror(errno));
    if (code != TOOL_OK)
        unlink(part);
    free(part);
    return code;
}

static int save(struct tool_call *call, const char *path, const char *file)
{
    struct tool_move m = { .call = call, .file_name = file };
    int code = get_options(&m);

    if (code == TOOL_OK)
        code = tool_connect(call, path, NULL, &m.from);
    if (code == TOOL_OK)
        code = get_buffer(&m);
    if (code == TOOL_OK && strcmp(file, "-") == 0) {
        m.file = stdout;
        m.file_name = "standard output";
        code = call->json ? tool_misuse(call, "--json and data would both go to standard "
                                        "output") : save_to_file(&m);
    } else if (code == TOOL_OK) {
        code = save_by_name(&m);
    }
    if (code == TOOL_OK)
        code = report(&m, "saved");
    put_away(&m);
    return code;
}

/* ---------------------------------------------------------------- restore -- */

/* The header is there: is this the device for it? */
static int begin_restore(struct tool_move *m, const struct tool_state_identity *saved)
{
    struct tool_state_identity here;
    int code = tool_identity(m->call, m->to, &here);

    if (code == TOOL_OK)
        code = check_identity(m, saved, &here);
    if (code == TOOL_OK)
        code = tool_set_state(m->call, m->to, VFUC_MIG_RESUMING, "destination");
    return code;
}

static int restore_piece(struct tool_move *m, const uint8_t *data, size_t len)
{
    int err = vfuc_migration_write(m->to, data, len);

    if (err < 0)
        return tool_client_fail(m->call, m->to, err,
                                "destination: the data were not taken");
    return tool_stopped() ? tool_fail(m->call, TOOL_FAILED, "interrupted") : TOOL_OK;
}

/* Bytes of the file, up to and with the end of one part. *part: which. With m->to NULL
 * the data are only looked at. */
static int read_part(struct tool_move *m, struct tool_state_reader *r,
                     const uint8_t *bytes, size_t len, size_t *used, int *part)
{
    const char *why = NULL;
    const uint8_t *data;
    size_t data_len;

    *part = tool_state_next(r, bytes, len, used, &data, &data_len, &why);
    if (*part < 0)
        return tool_fail(m->call, TOOL_FAILED, "%s: %s", m->file_name, why);
    if (m->to == NULL)
        return TOOL_OK;
    if (*part == TOOL_STATE_IDENTITY)
        return begin_restore(m, &r->identity);
    return *part == TOOL_STATE_DATA ? restore_piece(m, data, data_len) : TOOL_OK;
}

static int read_file(struct tool_move *m, FILE *file)
{
    struct tool_state_reader r;
    uint8_t bytes[65536];
    int part = TOOL_STATE_NOTHING, code = TOOL_OK;
    size_t n;

    tool_state_reader_init(&r);
    while (code == TOOL_OK && (n = fread(bytes, 1, sizeof(bytes), file)) > 0) {
        for (size_t at = 0, used = 0; code == TOOL_OK && at < n; at += used)
            code = read_part(m, &r, bytes + at, n - at, &used, &part);
        tool_progress(m->call, "%s: %" PRIu64 " bytes", m->file_name, r.total);
    }
    if (code != TOOL_OK)
        return code;
    if (ferror(file))
        return tool_fail(m->call, TOOL_FAILED, "%s: %s", m->file_name, strerror(errno));
    if (part != TOOL_STATE_COMPLETE)
        return tool_fail(m->call, TOOL_FAILED, "%s: it ends early", m->file_name);
    m->total = r.total;
    m->crc = r.crc;
    return TOOL_OK;
}

/* A file is looked through before the device is touched; a pipe cannot be. */
static int look_through(struct tool_move *m, FILE *file)
{
    struct tool_move look = { .call = m->call, .file_name = m->file_name };
    struct stat st;
    int code;

    if (fstat(fileno(file), &st) < 0 || !S_ISREG(st.st_mode))
        return TOOL_OK;
    code = read_file(&look, file);
    rewind(file);
    return code;
}

static int restore_from(struct tool_move *m, FILE *file)
{
    int code = look_through(m, file);

    if (code != TOOL_OK)
        return code;
    m->began_ns = tool_now_ns();
    code = read_file(m, file);
    if (code == TOOL_OK)
        code = tool_set_state(m->call, m->to, VFUC_MIG_STOP, "destination");
    if (code == TOOL_OK && !tool_given(m->call, 's'))
        code = tool_set_state(m->call, m->to, VFUC_MIG_RUNNING, "destination");
    if (code != TOOL_OK)
        reset_destination(m);
    return code;
}

static int restore(struct tool_call *call, const char *path, const char *name)
{
    bool standard = strcmp(name, "-") == 0;
    struct tool_move m = { .call = call,
                           .file_name = standard ? "standard input" : name };
    FILE *file = standard ? stdin : fopen(name, "rbe");
    int code;

    if (file == NULL)
        return tool_fail(call, TOOL_FAILED, "%s: %s", name, strerror(errno));
    code = get_options(&m);
    if (code == TOOL_OK)
        code = tool_connect(call, path, NULL, &m.to);
    if (code == TOOL_OK)
        code = restore_from(&m, file);
    if (code == TOOL_OK)
        code = report(&m, "restored");
    put_away(&m);
    if (!standard)
        fclose(file);
    return code;
}

/* ------------------------------------------------------------------- live -- */

static int commit(struct tool_move *m)
{
    int code = tool_set_state(m->call, m->from, VFUC_MIG_STOP, "source");

    if (code == TOOL_OK)
        code = tool_set_state(m->call, m->to, VFUC_MIG_STOP, "destination");
    if (code == TOOL_OK && tool_given(m->call, 'c'))
        code = tool_compare_regions(m);
    if (code == TOOL_OK && !tool_given(m->call, 's'))
        code = tool_set_state(m->call, m->to, VFUC_MIG_RUNNING, "destination");
    return code;
}

static int move_device(struct tool_move *m)
{
    struct tool_state_identity here, there;
    int code = tool_identity(m->call, m->from, &here);

    if (code == TOOL_OK)
        code = tool_identity(m->call, m->to, &there);
    if (code == TOOL_OK)
        code = check_identity(m, &here, &there);
    if (code == TOOL_OK)
        code = get_buffer(m);
    if (code == TOOL_OK)
        code = tool_set_state(m->call, m->to, VFUC_MIG_RESUMING, "destination");
    if (code != TOOL_OK)
        return code;
    code = tool_move_all(m);
    if (code == TOOL_OK)
        code = commit(m);
    if (code != TOOL_OK) {
        reset_destination(m);
        let_source_run(m);
    }
    return code;
}

static int move(struct tool_call *call, const char *source, const char *destination)
{
    struct tool_move m = { .call = call };
    int code = get_options(&m);

    if (code == TOOL_OK)
        code = tool_connect(call, source, NULL, &m.from);
    if (code == TOOL_OK)
        code = tool_connect(call, destination, NULL, &m.to);
    if (code == TOOL_OK)
        code = move_device(&m);
    if (code == TOOL_OK)
        code = report(&m, "moved");
    put_away(&m);
    return code;
}

/* --------------------------------------------------------------- command -- */

static bool is_verb(const char *word)
{
    return strcmp(word, "save") == 0 || strcmp(word, "restore") == 0;
}

static int run(struct tool_call *call)
{
    char **arg = call->argv;

    if (call->argc == 2 && is_verb(arg[0]))
        return tool_misuse(call, "something is missing: %s SOCKET FILE (a socket of that "
                           "name is ./%s)", arg[0], arg[0]);
    if (call->argc == 2)
        return strcmp(arg[0], arg[1]) != 0 ? move(call, arg[0], arg[1])
             : tool_misuse(call, "source and destination are the same socket");
    if (strcmp(arg[0], "save") == 0)
        return save(call, arg[1], arg[2]);
    if (strcmp(arg[0], "restore") == 0)
        return restore(call, arg[1], arg[2]);
    return tool_misuse(call, "'%s': save or restore is what goes with a file", arg[0]);
}

const struct tool_command tool_cmd_migrate = {
    .name = "migrate",
    .usage = "save SOCKET FILE\nrestore SOCKET FILE\nSOURCE DESTINATION",
    .summary = "move the state of a device to a file, from a file, or to another server",
    .about =
        "A device that can is copied while it runs (pre-copy), in rounds, until what\n"
        "is left promises to fit into the time that it may stand still; then it is\n"
        "stopped and the rest is copied. FILE - is standard output or input. When\n"
        "anything fails the source runs on, and the destination is reset.",
    .options = options,
    .min_args = 2,
    .max_args = 3,
    .json = true,
    .run = run,
};
