/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The report on the terminal: TAP 14.
 *
 * Each failure carries a YAML block with all that is needed to understand it without
 * running it again: the requirement, what was expected and came, the messages, the
 * server's fate and the end of its output.
 */
#include "conformance/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------- text -- */

/* A title in a test line: '#' would begin a directive. */
static void put_title(FILE *out, const char *title)
{
    for (const char *p = title; *p != '\0'; p++) {
        if (*p == '#' || *p == '\\')
            fputc('\\', out);
        fputc((unsigned char)*p < 0x20 ? ' ' : *p, out);
    }
}

/* One printable line of len bytes: YAML takes no control characters. */
static void put_line(FILE *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == '\t')
            fputs("    ", out);
        else if (c < 0x20 || c == 0x7f)
            fprintf(out, "\\x%02x", c);
        else
            fputc(c, out);
    }
    fputc('\n', out);
}

/* Each line of text behind a prefix. */
static void put_lines(FILE *out, const char *prefix, const char *text)
{
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");

        fputs(prefix, out);
        put_line(out, text, len);
        text += len + (text[len] == '\n');
    }
}

static void put_block(FILE *out, const char *key, const char *text)
{
    if (text[0] == '\0')
        return;
    fprintf(out, "  %s: |\n", key);
    put_lines(out, "    ", text);
}

/* A value on one line: single quotes keep everything as it is. */
static void put_value(FILE *out, const char *key, const char *text)
{
    fprintf(out, "  %s: '", key);
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '\'')
            fputc('\'', out);
        fputc((unsigned char)*p < 0x20 ? ' ' : *p, out);
    }
    fputs("'\n", out);
}

/* ------------------------------------------------------------------ result -- */

static void put_details(FILE *out, const struct ct_case *c, const struct ct_result *r)
{
    char fate[640];

    fprintf(out, "  ---\n");
    fprintf(out, "  verdict: %s\n", ct_verdict_name(r->verdict));
    put_value(out, "requirement", c->req->text);
    fprintf(out, "  level: %s\n", ct_level_name(c->req->level));
    put_value(out, "section", c->req->section);
    put_block(out, "message", r->message);
    if (r->where[0] != '\0')
        put_value(out, "at", r->where);
    put_block(out, "notes", r->notes);
    if (r->trace_dropped != 0)
        fprintf(out, "  exchange_dropped: %u\n", r->trace_dropped);
    put_block(out, "exchange", r->trace);
    snprintf(fate, sizeof(fate), "%s%s%s", ct_fate_name(r->fate),
             r->fate_text[0] ? ": " : "", r->fate_text);
    put_value(out, "server", fate);
    put_block(out, "log", r->log);
    fprintf(out, "  ms: %u\n", r->ms);
    fprintf(out, "  ...\n");
}

static void put_result_line(FILE *out, size_t position, const struct ct_case *c,
                            const struct ct_result *r, bool strict)
{
    bool bad = r->verdict != CT_PASS && r->verdict != CT_SKIP &&
               (r->verdict != CT_WARN || strict);

    fprintf(out, "%s %zu - %s ", bad ? "not ok" : "ok", position + 1, c->name);
    put_title(out, c->title);
    if (r->verdict == CT_SKIP) {
        fputs(" # SKIP ", out);
        put_title(out, r->message);
    }
    fputc('\n', out);
}

static void cover(struct ct_tap *t, const struct ct_requirement *req)
{
    t->covered[req - t->run->catalogue->list] = true;
}

static void count(struct ct_tap *t, const struct ct_case *c, const struct ct_result *r)
{
    ct_tally_add(&t->tally, r);
    if (r->verdict != CT_PASS && r->verdict != CT_WARN && r->verdict != CT_FAIL)
        return;
    cover(t, c->req);
    for (size_t i = 0; i < c->n_also; i++)
        cover(t, c->also[i]);
}

void ct_tap_result(void *ctx, size_t position, const struct ct_case *c,
                   const struct ct_result *r)
{
    struct ct_tap *t = ctx;
    const struct ct_options *o = t->run->options;

    count(t, c, r);
    put_result_line(t->out, position, c, r, o->strict);
    if (r->verdict == CT_FAIL || r->verdict == CT_ERROR || r->verdict == CT_WARN ||
        o->verbose)
        put_details(t->out, c, r);
    else
        put_lines(t->out, "# ", r->notes);
    fflush(t->out);
}

/* ---------------------------------------------------------- begin and end -- */

int ct_tap_begin(struct ct_tap *t, FILE *out, const struct ct_run *run)
{
    const struct ct_options *o = run->options;

    *t = (struct ct_tap){ .out = out, .run = run };
    t->covered = calloc(run->catalogue->count, sizeof(*t->covered));
    if (t->covered == NULL)
        return -ENOMEM;
    fprintf(out, "TAP version 14\n1..%zu\n", run->count);
    fprintf(out, "# server: %s\n", o->spawn != NULL ? o->spawn : o->socket_path);
    fprintf(out, "# seed: %llu%s\n", (unsigned long long)o->seed,
            o->shuffle ? "" : " (cases in the order of their files)");
    fflush(out);
    return 0;
}

struct row {
    const char *group;
    size_t len;
    unsigned n[CT_VERDICTS], total;
    unsigned requirements, covered;
};

static bool same_group(const struct row *row, const char *id)
{
    return row->len == ct_group_len(id) && strncmp(row->group, id, row->len) == 0;
}

static void fill_row(const struct ct_tap *t, struct row *row)
{
    const struct ct_run *run = t->run;

    for (size_t i = 0; i < run->count; i++) {
        if (!same_group(row, ct_run_case(run, i)->req->id) ||
            run->shared->results[i].state != CT_DONE)
            continue;
        row->n[run->shared->results[i].verdict]++;
        row->total++;
    }
    for (size_t i = 0; i < run->catalogue->count; i++) {
        if (!run->catalogue->list[i].for_server ||
            !same_group(row, run->catalogue->list[i].id))
            continue;
        row->requirements++;
        row->covered += t->covered[i];
    }
}

static void put_row(FILE *out, const char *name, int len, const struct row *row)
{
    fprintf(out, "# %-8.*s %5u %5u %5u %5u %5u %6u   %u of %u\n", len, name,
            row->n[CT_PASS], row->n[CT_FAIL], row->n[CT_WARN], row->n[CT_SKIP],
            row->n[CT_ERROR], row->total, row->covered, row->requirements);
}

static void add_row(struct row *sum, const struct row *row)
{
    for (int v = 0; v < CT_VERDICTS; v++)
        sum->n[v] += row->n[v];
    sum->total += row->total;
    sum->requirements += row->requirements;
    sum->covered += row->covered;
}

/* A row for each group that has a case here, in the catalogue's order. */
static void put_table(const struct ct_tap *t)
{
    const struct ct_catalogue *catalogue = t->run->catalogue;
    struct row sum = { 0 };
    struct row row = { .group = "" };

    fprintf(t->out,
            "#\n# group     pass  fail  warn  skip error  cases   requirements\n");
    for (size_t i = 0; i < catalogue->count; i++) {
        const char *id = catalogue->list[i].id;

        if (row.len != 0 && same_group(&row, id))
            continue;
        row = (struct row){ .group = id, .len = ct_group_len(id) };
        fill_row(t, &row);
        if (row.total == 0)
            continue;
        put_row(t->out, row.group, (int)row.len, &row);
        add_row(&sum, &row);
    }
    put_row(t->out, "total", 5, &sum);
    fprintf(t->out, "#\n");
}

static void put_farewells(struct ct_tap *t)
{
    for (unsigned i = 0; i < CT_MAX_WORKERS; i++) {
        const struct ct_farewell *f = &t->run->shared->farewell[i];

        if (!ct_fate_is_failure(f->fate))
            continue;
        t->tally.server_lost = true;
        fprintf(t->out, "# at its end the server had a %s: %s\n", ct_fate_name(f->fate),
                f->text);
        put_lines(t->out, "#   ", f->log);
    }
}

static void put_verdict(const struct ct_tap *t, enum ct_exit status)
{
    const unsigned *n = t->tally.n;

    switch (status) {
    case CT_EXIT_OK:
        fprintf(t->out,
                "# The server does as the protocol asks in all %u cases that were "
                "judged",
                n[CT_PASS] + n[CT_WARN]);
        if (n[CT_WARN] != 0)
            fprintf(t->out, ", with %u warning%s", n[CT_WARN],
                    n[CT_WARN] == 1 ? "" : "s");
        fprintf(t->out, ".\n");
        break;
    case CT_EXIT_FAILED:
        fprintf(t->out,
                "# The server does not do what the protocol asks: %u failed, "
                "%u warned.\n",
                n[CT_FAIL], n[CT_WARN]);
        break;
    case CT_EXIT_SERVER:
        fprintf(t->out,
                "# The server crashed, hung or could not be reached; "
                "%u cases failed.\n",
                n[CT_FAIL]);
        break;
    case CT_EXIT_NOTHING:
        fprintf(t->out, "# Nothing was tested: %u cases were skipped.\n", n[CT_SKIP]);
        break;
    default:
        fprintf(t->out, "# Some cases are at fault themselves: %u errors; %u failed.\n",
                n[CT_ERROR], n[CT_FAIL]);
        break;
    }
}

enum ct_exit ct_tap_end(struct ct_tap *t)
{
    enum ct_exit status;

    put_farewells(t);
    status = ct_exit_status(&t->tally, t->run->options->strict);
    put_table(t);
    put_verdict(t, status);
    fflush(t->out);
    return status;
}

void ct_tap_done(struct ct_tap *t)
{
    free(t->covered);
    t->covered = NULL;
}
