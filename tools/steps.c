/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A recording as a list: see tools/steps.h.
 */
#include "tools/steps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int copy_fds(struct tool_step *step, const struct tool_record *record)
{
    size_t size = record->n_fds * sizeof(record->fds[0]);

    if (record->n_fds == 0)
        return 0;
    step->fds = malloc(size);
    if (step->fds == NULL)
        return -ENOMEM;
    memcpy(step->fds, record->fds, size);
    step->n_fds = record->n_fds;
    return 0;
}

/* Bytes that lie in the recording stay there; joined pieces are void with the next. */
static int keep_bytes(struct tool_step *step, const struct tool_recording *rec)
{
    uint8_t *copy;

    if (step->bytes.data != rec->joined.data || step->bytes.len == 0)
        return 0;
    copy = malloc(step->bytes.len);
    if (copy == NULL)
        return -ENOMEM;
    memcpy(copy, step->bytes.data, step->bytes.len);
    step->bytes.data = copy;
    step->copied = true;
    return 0;
}

static int add_step(struct tool_steps *s, const struct tool_recording *rec,
                    const struct tool_record *record)
{
    struct tool_step *step;
    int err;

    if (s->n == s->room) {
        size_t room = s->room == 0 ? 256 : 2 * s->room;
        struct tool_step *steps = realloc(s->steps, room * sizeof(*steps));

        if (steps == NULL)
            return -ENOMEM;
        s->steps = steps;
        s->room = room;
    }
    step = &s->steps[s->n];
    *step = (struct tool_step){
        .kind = record->kind,
        .direction = record->direction,
        .twin = record->twin,
        .cut = record->cut,
        .flags = record->flags,
        .session = record->session,
        .time_ns = record->time_ns,
        .bytes = record->bytes,
        .partner = TOOL_NO_STEP,
    };
    memcpy(step->values, record->values, sizeof(step->values));
    if (tool_record_header(record, &step->h)) {
        step->command = vu_header_type(&step->h) == VU_F_TYPE_COMMAND;
        step->reply = vu_header_type(&step->h) == VU_F_TYPE_REPLY;
    }
    err = keep_bytes(step, rec);
    if (err != 0)
        return err;
    s->n++;     /* from here on it is freed with the list */
    return copy_fds(step, record);
}

/* ---------------------------------------------------------------- pairing -- */

/* Commands of one direction and socket that wait for their reply: a queue for each id. */
struct waiting {
    size_t first[UINT16_MAX + 1], last[UINT16_MAX + 1]; /* TOOL_NO_STEP: none */
};

/* Each session has four of them. A waiting command's partner is the next in its queue. */
enum { QUEUES = 4 };

static struct waiting *queue_of(struct waiting *queues, bool twin, bool to_client)
{
    return &queues[2 * twin + to_client];
}

static void push(struct tool_steps *s, struct waiting *w, size_t command)
{
    uint16_t id = s->steps[command].h.msg_id;

    s->steps[command].partner = TOOL_NO_STEP;
    if (w->first[id] == TOOL_NO_STEP)
        w->first[id] = command;
    else
        s->steps[w->last[id]].partner = command;
    w->last[id] = command;
}

static void pair(struct tool_steps *s, struct waiting *w, size_t reply)
{
    uint16_t id = s->steps[reply].h.msg_id;
    size_t command = w->first[id];

    if (command == TOOL_NO_STEP)
        return;
    w->first[id] = s->steps[command].partner;
    s->steps[command].partner = reply;
    s->steps[reply].partner = command;
}

/* The session with these steps is over: who waits in vain has no partner. */
static void drop_waiting(struct tool_steps *s, struct waiting *queues, size_t from,
                         size_t to)
{
    for (size_t i = from; i < to; i++) {
        struct tool_step *step = &s->steps[i];
        bool to_client = step->direction == VU_TO_CLIENT;

        if (!step->command)
            continue;
        queue_of(queues, step->twin, to_client)->first[step->h.msg_id] = TOOL_NO_STEP;
        if (step->partner != TOOL_NO_STEP && s->steps[step->partner].partner != i)
            step->partner = TOOL_NO_STEP;   /* a command that waited behind it */
    }
}

static int pair_all(struct tool_steps *s)
{
    struct waiting *queues = malloc(QUEUES * sizeof(*queues));
    size_t start = 0;

    if (queues == NULL)
        return -ENOMEM;
    memset(queues, 0xff, QUEUES * sizeof(*queues)); /* TOOL_NO_STEP all over */
    for (size_t i = 0; i < s->n; i++) {
        const struct tool_step *step = &s->steps[i];
        bool to_client = step->direction == VU_TO_CLIENT;

        if (step->kind == TOOL_RECORD_CONNECT) {
            drop_waiting(s, queues, start, i);
            start = i;
        } else if (step->command && (step->h.flags & VU_F_NO_REPLY) == 0) {
            push(s, queue_of(queues, step->twin, to_client), i);
        } else if (step->reply) {
            pair(s, queue_of(queues, step->twin, !to_client), i);
        }
    }
    drop_waiting(s, queues, start, s->n);
    free(queues);
    return 0;
}

/* ------------------------------------------------------------------- list -- */

int tool_steps_load(struct tool_steps *s, const void *data, size_t len, char *why,
                    size_t why_len)
{
    struct tool_recording rec;
    struct tool_record record;
    int err = 0, more = 0;

    *s = (struct tool_steps){ .n = 0 };
    tool_recording_open(&rec, data, len);
    while (err == 0 && (more = tool_recording_next(&rec, &record)) == 1)
        err = add_step(s, &rec, &record);
    if (err == 0 && more < 0) {
        err = more;
        snprintf(why, why_len, "%s", rec.why);
    }
    tool_recording_done(&rec);
    if (err == 0 || err == -EBADMSG) {
        int paired = pair_all(s);

        err = paired != 0 ? paired : err;
    }
    if (err == -ENOMEM)
        snprintf(why, why_len, "there is no memory for the recording");
    return err;
}

void tool_steps_done(struct tool_steps *s)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->steps[i].copied)
            free((void *)(uintptr_t)s->steps[i].bytes.data);
        free(s->steps[i].fds);
    }
    free(s->steps);
    *s = (struct tool_steps){ .n = 0 };
}

struct vu_bytes tool_step_body(const struct tool_step *step)
{
    struct vu_reader r = vu_reader(step->bytes.data, step->bytes.len);

    vu_get_span(&r, VU_HEADER_SIZE);
    return vu_get_rest(&r);
}

void tool_step_record(const struct tool_step *step, struct tool_record *record)
{
    record->kind = step->kind;
    record->direction = step->direction;
    record->twin = step->twin;
    record->cut = step->cut;
    record->flags = step->flags;
    record->session = step->session;
    record->time_ns = step->time_ns;
    memcpy(record->values, step->values, sizeof(record->values));
    record->bytes = step->bytes;
    record->n_fds = step->n_fds;
    if (step->n_fds != 0)
        memcpy(record->fds, step->fds, step->n_fds * sizeof(step->fds[0]));
}
