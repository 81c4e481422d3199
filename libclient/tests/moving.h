/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Processes of device_moving.c, for tests: started, ended, and what their registers are.
 * VUC_MOVING names the program.
 */
#ifndef VUC_TESTS_MOVING_H
#define VUC_TESTS_MOVING_H

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "libclient/include/vfio-user-client.h"
#include "wire/tests/support.h"

#define MOVING_MARK   0x00
#define MOVING_TARGET 0x08
#define MOVING_COPY   0x10
#define MOVING_RAISE  0x18
#define MOVING_PID    0x20
#define MOVING_REFUSE 0x28

#define MOVING_MEMORY 0x10000u      /* bytes of BAR1 */

struct moving {
    char dir[32];
    char path[64];
    pid_t pid;                      /* 0: it does not run */
};

/* A place for its socket. */
static inline int moving_prepare(struct moving *m)
{
    *m = (struct moving){ .pid = 0 };
    strcpy(m->dir, "/tmp/vuc-moving-XXXXXX");
    if (getenv("VUC_MOVING") == NULL || mkdtemp(m->dir) == NULL)
        return -1;
    snprintf(m->path, sizeof(m->path), "%s/sock", m->dir);
    return 0;
}

/* word: a variant of the device, or NULL. */
static inline void moving_start(struct moving *m, const char *word)
{
    const char *program = getenv("VUC_MOVING");

    m->pid = fork();
    if (m->pid == 0) {
        execl(program, program, m->path, word, (char *)NULL);
        _exit(127);
    }
    assert_true(m->pid > 0);
}

/* How it ended, as waitpid() tells. */
static inline int moving_end(struct moving *m, int signal_number)
{
    int status = -1;

    if (m->pid == 0)
        return 0;
    kill(m->pid, SIGCONT);
    kill(m->pid, signal_number);
    if (waitpid(m->pid, &status, 0) != m->pid)
        status = -1;
    m->pid = 0;
    return status;
}

/* Of a test that failed, too. 0, or how it ended. */
static inline int moving_clean_up(struct moving *m)
{
    int status = moving_end(m, SIGTERM);

    unlink(m->path);
    rmdir(m->dir);
    return status;
}

/* It is there once it accepts; until then its socket is missing or refuses. */
static inline int moving_connect(const struct moving *m,
                                 const struct vfuc_options *options,
                                 struct vfuc_client **c)
{
    int err;

    for (int i = 0; i < 1000; i++) {
        err = vfuc_connect(m->path, options, c);
        if (err != -ENOENT && err != -ECONNREFUSED)
            return err;
        usleep(10000);
    }
    return err;
}

static inline uint64_t moving_get(struct vfuc_client *c, uint64_t offset)
{
    uint64_t value = 0;
    int err = vfuc_region_read(c, 0, offset, &value, sizeof(value));

    if (err != 0)
        fail_msg("register 0x%x: %d (%s)", (unsigned)offset, err, vfuc_last_error(c));
    return value;
}

static inline void moving_set(struct vfuc_client *c, uint64_t offset, uint64_t value)
{
    int err = vfuc_region_write(c, 0, offset, &value, sizeof(value));

    if (err != 0)
        fail_msg("register 0x%x: %d (%s)", (unsigned)offset, err, vfuc_last_error(c));
}

#endif
