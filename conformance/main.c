/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user-conformance: tests a vfio-user server against the protocol.
 *
 * Loads the catalogue and the suites, chooses the cases, runs them, reports. What can
 * be wrong before anything runs is said in one line on standard error.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conformance/embedded.h"
#include "conformance/report.h"
#include "conformance/server.h"

/* A suite's files only define cases; one that does not come to its end is broken. */
#define LOAD_SECONDS 5

static int complain(enum ct_exit status, const char *what)
{
    fflush(stdout);
    fprintf(stderr, "vfio-user-conformance: %s\n", what);
    return (int)status;
}

/* ---------------------------------------------------------------- loading -- */

static int load_suites(lua_State *L, const struct ct_options *o, char *why,
                       size_t why_len)
{
    int err = 0;

    ct_suite_limit(L, LOAD_SECONDS);
    if (o->n_suites == 0)
        err = ct_suite_load_embedded(L, why, why_len);
    for (size_t i = 0; err == 0 && i < o->n_suites; i++)
        err = ct_suite_load_dir(L, o->suites[i], why, why_len);
    ct_suite_limit(L, 0);
    return err;
}

/* --------------------------------------------------------------- choosing -- */

static bool selected(const struct ct_options *o, const struct ct_case *c)
{
    if (c->req->level > o->level)
        return false;
    for (size_t i = 0; i < o->n_select; i++) {
        if (ct_case_matches(c, o->select[i]))
            return true;
    }
    return o->n_select == 0;
}

/* splitmix64: the order depends on the seed alone. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void shuffle(size_t *order, size_t n, uint64_t seed)
{
    while (n > 1) {
        size_t i = next_random(&seed) % n--;
        size_t moved = order[n];

        order[n] = order[i];
        order[i] = moved;
    }
}

static int choose(struct ct_run *run)
{
    run->order = calloc(run->suite->count + 1, sizeof(*run->order));
    if (run->order == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < run->suite->count; i++) {
        if (selected(run->options, &run->suite->cases[i]))
            run->order[run->count++] = i;
    }
    if (run->options->shuffle)
        shuffle(run->order, run->count, run->options->seed);
    return 0;
}

/* Does the pattern mean anything? That there is no case for it is another matter. */
static bool is_known(const struct ct_run *run, const char *pattern)
{
    for (size_t i = 0; i < run->suite->count; i++) {
        if (ct_case_matches(&run->suite->cases[i], pattern))
            return true;
    }
    for (size_t i = 0; i < run->catalogue->count; i++) {
        const struct ct_requirement *req = &run->catalogue->list[i];
        const struct ct_case none = { .name = (char *)req->id, .req = req };

        if (ct_case_matches(&none, pattern))
            return true;
    }
    return false;
}

static const char *unknown_pattern(const struct ct_run *run)
{
    for (size_t i = 0; i < run->options->n_select; i++) {
        if (!is_known(run, run->options->select[i]))
            return run->options->select[i];
    }
    return NULL;
}

static void list_cases(const struct ct_run *run)
{
    for (size_t i = 0; i < run->count; i++) {
        const struct ct_case *c = ct_run_case(run, i);
        const char *separator = "  needs: ";

        printf("%-11s %-6s  %s  [%s]", c->name, ct_level_name(c->req->level), c->title,
               c->req->section);
        for (int n = 0; n < CT_N_NEEDS; n++) {
            if (c->needs >> n & 1) {
                printf("%s%s", separator, ct_need_name(n));
                separator = ", ";
            }
        }
        printf("\n");
    }
}

/* ---------------------------------------------------------------- running -- */

/* access() alone would take a directory. */
static bool is_program(const char *path)
{
    struct stat st;

    if (access(path, X_OK) != 0 || stat(path, &st) != 0)
        return false;
    errno = EACCES;
    return S_ISREG(st.st_mode);
}

/* Would execvp() find the program? Asked before, for a clear answer. */
static bool can_run(const char *program)
{
    char path[4096];
    const char *dirs = getenv("PATH");

    if (strchr(program, '/') != NULL)
        return is_program(program);
    while (dirs != NULL && *dirs != '\0') {
        size_t len = strcspn(dirs, ":");

        snprintf(path, sizeof(path), "%.*s/%s", (int)len, dirs, program);
        if (is_program(path))
            return true;
        dirs += len + (dirs[len] == ':');
    }
    errno = ENOENT;
    return false;
}

/* Finds mistakes in --spawn before the first case does. */
static int check_command(const char *command, char *why, size_t why_len)
{
    char **argv = ct_split_command(command, why, why_len);
    int err = 0;

    if (argv == NULL)
        return -EINVAL;
    if (strstr(command, "{socket}") == NULL) {
        snprintf(why, why_len,
                 "--spawn does not say {socket}, where the server is to listen");
        err = -EINVAL;
    } else if (!can_run(argv[0])) {
        err = -errno;
        snprintf(why, why_len, "cannot run '%s': %s", argv[0], strerror(-err));
    }
    free(argv);
    return err;
}

static int interrupted(int sig)
{
    printf("Bail out! interrupted by SIG%s\n", sigabbrev_np(sig));
    fflush(stdout);
    signal(sig, SIG_DFL);
    raise(sig);
    return CT_EXIT_INTERNAL;
}

static int report_end(struct ct_tap *tap, const struct ct_run *run)
{
    enum ct_exit status = ct_tap_end(tap);
    char why[512];
    int err;

    if (run->options->junit == NULL)
        return (int)status;
    err = ct_junit_write(run->options->junit, run);
    if (err == 0)
        return (int)status;
    snprintf(why, sizeof(why), "%s: %s", run->options->junit, strerror(-err));
    return complain(CT_EXIT_INTERNAL, why);
}

/* A report that cannot be written had better be known before the run. */
static int check_junit(const char *path)
{
    char why[512];
    int fd = path != NULL ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666) : -1;

    if (path == NULL)
        return CT_EXIT_OK;
    if (fd == -1) {
        snprintf(why, sizeof(why), "%s: %s", path, strerror(errno));
        return complain(CT_EXIT_INTERNAL, why);
    }
    close(fd);
    return CT_EXIT_OK;
}

static int run_cases(struct ct_run *run)
{
    struct ct_tap tap;
    int status = check_junit(run->options->junit);
    int err;

    if (status != CT_EXIT_OK)
        return status;
    err = ct_tap_begin(&tap, stdout, run);

    if (err == 0)
        err = ct_run_all(run, ct_tap_result, &tap);
    if (err > 0)
        status = interrupted(err);
    else if (err < 0)
        status = complain(CT_EXIT_INTERNAL, strerror(-err));
    else
        status = report_end(&tap, run);
    ct_tap_done(&tap);
    return status;
}

static int run_suite(const struct ct_options *o, const struct ct_catalogue *catalogue,
                     lua_State *L, const struct ct_suite *suite)
{
    struct ct_run run = { .options = o, .catalogue = catalogue, .suite = suite, .L = L };
    const char *unknown = unknown_pattern(&run);
    char why[256];
    int status;

    if (unknown != NULL) {
        snprintf(why, sizeof(why), "--select: nothing is called '%s' (see --list)",
                 unknown);
        status = complain(CT_EXIT_USAGE, why);
    } else if (choose(&run) != 0) {
        status = complain(CT_EXIT_INTERNAL, "out of memory");
    } else if (run.count == 0) {
        status = complain(CT_EXIT_NOTHING, "no case is selected");
    } else if (o->list) {
        list_cases(&run);
        status = CT_EXIT_OK;
    } else {
        status = run_cases(&run);
    }
    ct_run_done(&run);
    return status;
}

static int run_with(const struct ct_options *o, const struct ct_catalogue *catalogue)
{
    struct ct_lua ctx = { .catalogue = catalogue };
    struct ct_suite suite = { 0 };
    char why[1024] = "";
    lua_State *L = ct_lua_new(&ctx, why, sizeof(why));
    int status;

    if (L == NULL)
        return complain(CT_EXIT_INTERNAL, why);
    if (load_suites(L, o, why, sizeof(why)) != 0)
        status = complain(CT_EXIT_INTERNAL, why);
    else if (ct_suite_list(L, &suite) != 0)
        status = complain(CT_EXIT_INTERNAL, "out of memory");
    else
        status = run_suite(o, catalogue, L, &suite);
    ct_suite_free(&suite);
    lua_close(L);
    return status;
}

static int run_main(int argc, char **argv)
{
    struct ct_catalogue catalogue;
    struct ct_options o = { 0 };
    char why[512];
    int status;

    switch (ct_options_parse(&o, argc, argv, stdout, why, sizeof(why))) {
    case CT_PARSED:
        break;
    case CT_PARSED_EXIT:
        ct_options_done(&o);
        return CT_EXIT_OK;
    case CT_PARSED_BAD:
        ct_options_done(&o);
        return complain(CT_EXIT_USAGE, why);
    }
    if (!o.list && o.spawn != NULL && check_command(o.spawn, why, sizeof(why)) != 0) {
        status = complain(CT_EXIT_USAGE, why);
    } else if (ct_catalogue_load(&catalogue, (const char *)ct_embedded_catalogue.data,
                                 ct_embedded_catalogue.len, why, sizeof(why)) != 0) {
        status = complain(CT_EXIT_INTERNAL, why);
    } else {
        status = run_with(&o, &catalogue);
        ct_catalogue_free(&catalogue);
    }
    ct_options_done(&o);
    return status;
}

/* Closed standard descriptors would be taken by the next open(). False: nobody would
 * get the report. */
static bool have_standard_files(void)
{
    bool has_output = fcntl(STDOUT_FILENO, F_GETFD) != -1;
    int fd;

    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd != -1)
        close(fd);
    return has_output;
}

int main(int argc, char **argv)
{
    int status;

    if (!have_standard_files())
        return complain(CT_EXIT_INTERNAL, "standard output is closed");
    status = run_main(argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout))
        return complain(CT_EXIT_INTERNAL, "standard output cannot be written");
    return status;
}
