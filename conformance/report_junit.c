/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The report as JUnit XML: a suite for each group, as CI systems read it.
 *
 * A warning is a passed test with the warning in its output; with --strict a failure.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conformance/report.h"

/* Length of the valid UTF-8 sequence that starts at p, 0: it is none. */
static size_t utf8_len(const unsigned char *p)
{
    size_t n = p[0] < 0x80                   ? 1
               : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
               : (p[0] & 0xf0) == 0xe0       ? 3
               : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                             : 0;

    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    /* Overlong forms, surrogates and U+FFFE, U+FFFF are no characters of XML. */
    if (n == 3 && ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0) ||
                   (p[0] == 0xef && p[1] == 0xbf && p[2] >= 0xbe)))
        return 0;
    if (n == 4 && ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90)))
        return 0;
    return n;
}

static void put_char(FILE *out, unsigned char c)
{
    switch (c) {
    case '<':
        fputs("&lt;", out);
        break;
    case '>':
        fputs("&gt;", out);
        break;
    case '&':
        fputs("&amp;", out);
        break;
    case '"':
        fputs("&quot;", out);
        break;
    case '\n':
        fputs("&#10;", out);
        break;
    case '\t':
        fputs("&#9;", out);
        break;
    default:
        if (c < 0x20 || c == 0x7f)
            fprintf(out, "\\x%02x", c); /* XML has no way to say it */
        else
            fputc(c, out);
    }
}

static void put_text(FILE *out, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;

    while (*p != '\0') {
        size_t n = utf8_len(p);

        if (n == 0) {
            fprintf(out, "\\x%02x", *p++);
        } else if (n == 1) {
            put_char(out, *p++);
        } else {
            fwrite(p, 1, n, out);
            p += n;
        }
    }
}

static void put_attribute(FILE *out, const char *name, const char *value)
{
    fprintf(out, " %s=\"", name);
    put_text(out, value);
    fputc('"', out);
}

/* ------------------------------------------------------------------ result -- */

static bool is_failure(const struct ct_run *run, const struct ct_result *r)
{
    return r->verdict == CT_FAIL || (r->verdict == CT_WARN && run->options->strict);
}

static void put_part(FILE *out, const char *what, const char *text)
{
    if (text[0] == '\0')
        return;
    fprintf(out, "\n%s:\n", what);
    put_text(out, text);
}

static void put_details(FILE *out, const struct ct_case *c, const struct ct_result *r)
{
    put_text(out, r->message);
    fprintf(out, "\n\nrequirement: ");
    put_text(out, c->req->text);
    fprintf(out, "\nlevel: %s\nsection: ", ct_level_name(c->req->level));
    put_text(out, c->req->section);
    fprintf(out, "\nat: ");
    put_text(out, r->where);
    fprintf(out, "\nserver: %s", ct_fate_name(r->fate));
    if (r->fate_text[0] != '\0') {
        fputs(": ", out);
        put_text(out, r->fate_text);
    }
    fputc('\n', out);
    put_part(out, "exchange", r->trace);
    put_part(out, "server's log", r->log);
}

static void put_outcome(FILE *out, const struct ct_run *run, const struct ct_case *c,
                        const struct ct_result *r, const char *element)
{
    char line[256];

    (void)run;
    snprintf(line, sizeof(line), "%.*s", (int)strcspn(r->message, "\n"), r->message);
    if (line[0] == '\0')
        snprintf(line, sizeof(line), "server: %s", ct_fate_name(r->fate));
    fprintf(out, "      <%s", element);
    put_attribute(out, "message", line);
    put_attribute(out, "type", ct_verdict_name(r->verdict));
    fprintf(out, ">");
    put_details(out, c, r);
    fprintf(out, "</%s>\n", element);
}

static void put_case(FILE *out, const struct ct_run *run, const struct ct_case *c,
                     const struct ct_result *r)
{
    char name[512];

    snprintf(name, sizeof(name), "%s %s", c->name, c->title);
    fprintf(out, "    <testcase");
    put_attribute(out, "name", name);
    fprintf(out, " classname=\"%.*s\" time=\"%u.%03u\">\n", (int)ct_group_len(c->req->id),
            c->req->id, r->ms / 1000, r->ms % 1000);
    if (r->verdict == CT_ERROR) {
        put_outcome(out, run, c, r, "error");
    } else if (is_failure(run, r)) {
        put_outcome(out, run, c, r, "failure");
    } else if (r->verdict == CT_SKIP) {
        fprintf(out, "      <skipped");
        put_attribute(out, "message", r->message);
        fprintf(out, "/>\n");
    }
    if (r->notes[0] != '\0' || r->verdict == CT_WARN) {
        fprintf(out, "      <system-out>");
        if (r->verdict == CT_WARN) {
            fprintf(out, "warning: ");
            put_details(out, c, r);
        }
        put_text(out, r->notes);
        fprintf(out, "</system-out>\n");
    }
    fprintf(out, "    </testcase>\n");
}

/* ------------------------------------------------------------------- suites -- */

struct counts {
    unsigned tests, failures, errors, skipped;
    unsigned long ms;
};

static bool in_group(const struct ct_case *c, const char *group, size_t len)
{
    return group == NULL ||
           (ct_group_len(c->req->id) == len && strncmp(c->req->id, group, len) == 0);
}

static struct counts count_group(const struct ct_run *run, const char *group, size_t len)
{
    struct counts n = { 0 };

    for (size_t i = 0; i < run->count; i++) {
        const struct ct_result *r = &run->shared->results[i];

        if (!in_group(ct_run_case(run, i), group, len))
            continue;
        n.tests++;
        n.failures += is_failure(run, r);
        n.errors += r->verdict == CT_ERROR;
        n.skipped += r->verdict == CT_SKIP;
        n.ms += r->ms;
    }
    return n;
}

static void put_counts(FILE *out, const struct counts *n)
{
    fprintf(out,
            " tests=\"%u\" failures=\"%u\" errors=\"%u\" skipped=\"%u\" "
            "time=\"%lu.%03lu\">\n",
            n->tests, n->failures, n->errors, n->skipped, n->ms / 1000, n->ms % 1000);
}

static void put_group(FILE *out, const struct ct_run *run, const char *group, size_t len)
{
    struct counts n = count_group(run, group, len);

    fprintf(out, "  <testsuite name=\"%.*s\"", (int)len, group);
    put_counts(out, &n);
    for (size_t i = 0; i < run->count; i++) {
        if (in_group(ct_run_case(run, i), group, len))
            put_case(out, run, ct_run_case(run, i), &run->shared->results[i]);
    }
    fprintf(out, "  </testsuite>\n");
}

/* What was found when the servers were ended after the last case. */
static void put_farewells(FILE *out, const struct ct_run *run)
{
    for (unsigned i = 0; i < CT_MAX_WORKERS; i++) {
        const struct ct_farewell *f = &run->shared->farewell[i];

        if (!ct_fate_is_failure(f->fate))
            continue;
        fprintf(out,
                "  <testsuite name=\"end of server %u\" tests=\"1\" failures=\"1\" "
                "errors=\"0\" skipped=\"0\" time=\"0\">\n"
                "    <testcase name=\"the server ends in order\" classname=\"END\">\n"
                "      <failure type=\"fail\"",
                i + 1);
        put_attribute(out, "message", f->text);
        fputc('>', out);
        put_text(out, f->log);
        fprintf(out, "</failure>\n    </testcase>\n  </testsuite>\n");
    }
}

/* Is this the first case of its group? */
static bool is_first(const struct ct_run *run, size_t position)
{
    const char *id = ct_run_case(run, position)->req->id;

    for (size_t i = 0; i < position; i++) {
        if (in_group(ct_run_case(run, i), id, ct_group_len(id)))
            return false;
    }
    return true;
}

void ct_junit_print(FILE *out, const struct ct_run *run)
{
    struct counts n = count_group(run, NULL, 0);

    fprintf(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                 "<testsuites name=\"vfio-user-conformance\"");
    put_counts(out, &n);
    for (size_t i = 0; i < run->count; i++) {
        const char *id = ct_run_case(run, i)->req->id;

        if (is_first(run, i))
            put_group(out, run, id, ct_group_len(id));
    }
    put_farewells(out, run);
    fprintf(out, "</testsuites>\n");
}

int ct_junit_write(const char *path, const struct ct_run *run)
{
    FILE *out = fopen(path, "we");
    int err = 0;

    if (out == NULL)
        return -errno;
    ct_junit_print(out, run);
    if (ferror(out))
        err = -EIO;
    if (fclose(out) != 0)
        err = -errno;
    return err;
}
