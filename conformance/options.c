/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Parses the command line. Everything wrong is said in one line.
 */
#include "conformance/options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static const char usage[] =
    "usage: vfio-user-conformance --spawn 'CMD {socket}' [options]\n"
    "       vfio-user-conformance --socket PATH [options]\n"
    "       vfio-user-conformance --list [options]\n"
    "\n"
    "Tests a vfio-user server against the protocol, from the outside.\n"
    "\n"
    "      --spawn CMD        start this server; {socket} stands for the socket's path\n"
    "      --socket PATH      or test the one that listens there\n"
    "  -s, --select LIST      cases, ids or groups, with commas: HDR,VER-*,REG-07\n"
    "  -l, --level LEVEL      requirements of this level and above: MUST, SHOULD, MAY [MAY]\n"
    "      --suite DIR        take the cases from DIR/*.lua (repeatable)\n"
    "      --list             list the cases and run none\n"
    "  -t, --timeout S        seconds to wait for one reply [5]\n"
    "      --case-timeout S   seconds for one case [30]\n"
    "      --start-timeout S  seconds for the server to come up [10]\n"
    "  -j, --jobs N           run N servers at a time (with --spawn) [1]\n"
    "      --seed N           run the cases in another order, with other random choices;\n"
    "                         the same seed repeats it\n"
    "      --strict           warnings count as failures\n"
    "      --junit FILE       write the results as JUnit XML too\n"
    "      --tap              write TAP to standard output (the default)\n"
    "  -v, --verbose          show the messages of every case\n"
    "  -h, --help             show this\n"
    "  -V, --version          show the version\n"
    "\n"
    "Exit status: 0 as the protocol asks, 1 not so, 2 the server died or hung,\n"
    "3 wrong usage, 4 nothing was tested, 5 a case or the runner is at fault.\n";

enum {
    OPT_SPAWN = 256,
    OPT_SOCKET,
    OPT_SUITE,
    OPT_LIST,
    OPT_CASE_TIMEOUT,
    OPT_SEED,
    OPT_START_TIMEOUT,
    OPT_STRICT,
    OPT_JUNIT,
    OPT_TAP
};

static const struct option long_options[] = {
    { "spawn", required_argument, NULL, OPT_SPAWN },
    { "socket", required_argument, NULL, OPT_SOCKET },
    { "select", required_argument, NULL, 's' },
    { "level", required_argument, NULL, 'l' },
    { "suite", required_argument, NULL, OPT_SUITE },
    { "list", no_argument, NULL, OPT_LIST },
    { "timeout", required_argument, NULL, 't' },
    { "case-timeout", required_argument, NULL, OPT_CASE_TIMEOUT },
    { "start-timeout", required_argument, NULL, OPT_START_TIMEOUT },
    { "jobs", required_argument, NULL, 'j' },
    { "seed", required_argument, NULL, OPT_SEED },
    { "strict", no_argument, NULL, OPT_STRICT },
    { "junit", required_argument, NULL, OPT_JUNIT },
    { "tap", no_argument, NULL, OPT_TAP },
    { "verbose", no_argument, NULL, 'v' },
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'V' },
    { NULL, 0, NULL, 0 },
};

struct parser {
    struct ct_options *o;
    char *why;
    size_t why_len;
};

static int bad(const struct parser *p, const char *fmt, const char *arg)
{
    snprintf(p->why, p->why_len, fmt, arg);
    return -EINVAL;
}

static int parse_seconds(const struct parser *p, const char *text, double *seconds)
{
    char *end;
    double v = strtod(text, &end);

    if (end == text || *end != '\0' || !isfinite(v) || v < 0.001 || v > 86400)
        return bad(p, "'%s' is no number of seconds between 0.001 and 86400", text);
    *seconds = v;
    return 0;
}

static int parse_uint(const struct parser *p, const char *text, uint64_t max, uint64_t *v)
{
    char *end;

    errno = 0;
    *v = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || *v > max)
        return bad(p, "'%s' is no number, or too large a one", text);
    return 0;
}

static int parse_jobs(const struct parser *p, const char *text)
{
    uint64_t n;
    int err = parse_uint(p, text, CT_MAX_WORKERS, &n);

    if (err == 0 && n == 0)
        err = bad(p, "'%s' jobs cannot run anything", text);
    if (err == 0)
        p->o->jobs = (unsigned)n;
    return err;
}

static int add_pattern(const struct parser *p, const char *text, size_t len)
{
    struct ct_options *o = p->o;
    char **grown;
    char *copy;

    if (len == 0)
        return bad(p, "%s", "an empty name in --select");
    grown = reallocarray(o->select, o->n_select + 1, sizeof(*grown));
    if (grown == NULL)
        return bad(p, "%s", "out of memory");
    o->select = grown;
    copy = strndup(text, len);
    if (copy == NULL)
        return bad(p, "%s", "out of memory");
    o->select[o->n_select++] = copy;
    return 0;
}

static int parse_select(const struct parser *p, const char *list)
{
    int err = 0;

    while (err == 0) {
        size_t len = strcspn(list, ",");

        err = add_pattern(p, list, len);
        if (list[len] == '\0')
            break;
        list += len + 1;
    }
    return err;
}

static int add_suite(const struct parser *p, const char *dir)
{
    if (p->o->n_suites == CT_MAX_SUITES)
        return bad(p, "%s", "too many --suite");
    p->o->suites[p->o->n_suites++] = dir;
    return 0;
}

static int take_option(const struct parser *p, int opt, const char *arg)
{
    struct ct_options *o = p->o;

    switch (opt) {
    case OPT_SPAWN:
        o->spawn = arg;
        return 0;
    case OPT_SOCKET:
        o->socket_path = arg;
        return 0;
    case OPT_SUITE:
        return add_suite(p, arg);
    case OPT_LIST:
        o->list = true;
        return 0;
    case OPT_STRICT:
        o->strict = true;
        return 0;
    case OPT_JUNIT:
        o->junit = arg;
        return 0;
    case OPT_TAP:
        return 0;
    case OPT_CASE_TIMEOUT:
        return parse_seconds(p, arg, &o->case_timeout);
    case OPT_START_TIMEOUT:
        return parse_seconds(p, arg, &o->start_timeout);
    case OPT_SEED:
        o->shuffle = true;
        return parse_uint(p, arg, UINT64_MAX, &o->seed);
    case 's':
        return parse_select(p, arg);
    case 't':
        return parse_seconds(p, arg, &o->timeout);
    case 'j':
        return parse_jobs(p, arg);
    case 'v':
        o->verbose = true;
        return 0;
    case 'l':
        if (ct_level_parse(arg, &o->level) != 0)
            return bad(p, "'%s' is none of MUST, SHOULD and MAY", arg);
        return 0;
    default:
        return bad(p, "unknown option or missing value: '%s' (try --help)", arg);
    }
}

static int check_together(const struct parser *p)
{
    const struct ct_options *o = p->o;

    if (o->list)
        return 0;
    if ((o->spawn == NULL) == (o->socket_path == NULL))
        return bad(p, "%s", "give --spawn 'CMD {socket}' or --socket PATH (try --help)");
    if (o->socket_path != NULL && o->jobs != 1)
        return bad(p, "%s", "-j needs --spawn: there is one server at a socket");
    if (o->socket_path != NULL &&
        strlen(o->socket_path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
        return bad(p, "'%s' is too long for a socket's path", o->socket_path);
    return 0;
}

enum ct_parsed ct_options_parse(struct ct_options *o, int argc, char **argv, FILE *out,
                                char *why, size_t why_len)
{
    const struct parser p = { o, why, why_len };
    int opt;

    *o = (struct ct_options){
        .level = CT_MAY, .timeout = 5, .case_timeout = 30, .start_timeout = 10, .jobs = 1
    };
    opterr = 0;
    optind = 0; /* start afresh */
    while ((opt = getopt_long(argc, argv, "s:l:t:j:vhV", long_options, NULL)) != -1) {
        if (opt == 'h') {
            fputs(usage, out);
            return CT_PARSED_EXIT;
        }
        if (opt == 'V') {
            fprintf(out, "vfio-user-conformance %s\n", VU_PROJECT_VERSION);
            return CT_PARSED_EXIT;
        }
        if (take_option(&p, opt, opt == '?' ? argv[optind - 1] : optarg) != 0)
            return CT_PARSED_BAD;
    }
    if (optind < argc) {
        bad(&p, "'%s' is no option (try --help)", argv[optind]);
        return CT_PARSED_BAD;
    }
    return check_together(&p) == 0 ? CT_PARSED : CT_PARSED_BAD;
}

void ct_options_done(struct ct_options *o)
{
    for (size_t i = 0; i < o->n_select; i++)
        free(o->select[i]);
    free(o->select);
    *o = (struct ct_options){ 0 };
}
