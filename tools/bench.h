/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Measuring: samples of one kind of operation on several subjects, taken in turns.
 *
 * On a machine that does other things too, the time of an operation drifts. So the
 * subjects (one server, perhaps another, and a bare socket) are measured in short rounds
 * that alternate, and are compared round by round: the median of the ratios, with its
 * quartiles, says more than any time does.
 */
#ifndef TOOL_BENCH_H
#define TOOL_BENCH_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tools/tool.h"

#define TOOL_BENCH_ROUNDS   31u
#define TOOL_BENCH_SUBJECTS 3u

/* All times are in ns. */
struct tool_samples {
    uint64_t *ns;               /* owned; sorted by tool_samples_sort() */
    size_t n, room;
    double round_median[TOOL_BENCH_ROUNDS];
    size_t n_rounds;
    size_t round_begin;         /* first sample of the round that runs */
};

/* 0 or -ENOMEM. */
int tool_samples_init(struct tool_samples *s, size_t room);
void tool_samples_done(struct tool_samples *s);
void tool_samples_add(struct tool_samples *s, uint64_t ns); /* beyond room: dropped */
void tool_samples_end_round(struct tool_samples *s);
void tool_samples_sort(struct tool_samples *s);
/* Of sorted samples; share from 0 to 1. 0 when there are none. */
uint64_t tool_samples_at(const struct tool_samples *s, double share);

/* a's rounds over b's: lower quartile, median, upper quartile. False without rounds. */
bool tool_samples_ratio(const struct tool_samples *a, const struct tool_samples *b,
                        double quartiles[3]);

/*
 * The physical limit: a process that sends back what it gets, over a socket pair, with
 * one system call for each direction and nothing else.
 */
struct tool_echo {
    int fd;
    pid_t pid;
    uint8_t *buf;               /* owned */
};

#define TOOL_ECHO_MAX (UINT32_C(1) << 20)

/* 0 or negative errno. */
int tool_echo_start(struct tool_echo *echo);
void tool_echo_stop(struct tool_echo *echo);
/* Send `there` bytes, get `back`. 0 or negative errno. */
int tool_echo_turn(struct tool_echo *echo, size_t there, size_t back);

#endif
