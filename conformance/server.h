/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A server that the runner starts itself: `CMD {socket}` in a process group of its own, with
 * its socket in a private directory and its output read through a pipe.
 *
 * What its processes leave behind becomes a child of ours (PR_SET_CHILD_SUBREAPER), so
 * that it can be ended, whatever group or session it has moved to.
 *
 * Belongs to one worker. The owner polls `log` and `pidfd` whenever it waits, so that
 * the server never blocks on its output and its end is seen at once.
 */
#ifndef CT_SERVER_H
#define CT_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CT_LOG_TAIL 8192 /* bytes of output that are kept */

struct ct_server {
    char **argv;  /* owned; {socket} already replaced */
    char dir[64]; /* private directory, removed by ct_server_done() */
    char socket_path[80];
    pid_t pid;   /* -1: not running */
    int pidfd;   /* owned; -1 with pid */
    int log;     /* owned; read end of its output, -1 with pid */
    bool ended;  /* it has, and status says how; resources are still held */
    bool asked;  /* SIGTERM was sent */
    bool first_ended; /* the process that was started has */
    bool left_others; /* it ended by itself, processes of its own live on */
    int status;  /* as of waitpid() */
    bool forced; /* it did not end after SIGTERM */

    char tail[CT_LOG_TAIL]; /* the newest output, oldest first */
    size_t tail_len;
    char report[256]; /* first line of a sanitizer's report; "": none */
    char line[512];   /* an incomplete line of output */
    size_t line_len;
};

/* Split a command line into words: blanks separate; ', " and \ quote as in a shell,
 * nothing is expanded. A NULL-terminated list in one allocation, or NULL: why says it. */
char **ct_split_command(const char *command, char *why, size_t why_len);

/* Makes the directory; command as given to --spawn. 0 or -errno with why. */
int ct_server_init(struct ct_server *s, const char *command, char *why, size_t why_len);
/* Ends the server if it runs and removes the directory. */
void ct_server_done(struct ct_server *s);

/* Start it; it need not be listening when this returns. 0 or -errno with why. */
int ct_server_start(struct ct_server *s, char *why, size_t why_len);
bool ct_server_running(const struct ct_server *s); /* started, and not yet cleared away */

/* Read what output there is; without waiting. */
void ct_server_read_log(struct ct_server *s);
/* SIGTERM for its process group: there may be a wrapper around the server. It has ended
 * then when all its processes have. */
void ct_server_ask(struct ct_server *s);
/* Has it ended? Then ended and status are set. Without waiting. */
bool ct_server_poll_end(struct ct_server *s);
/* The same, waiting at most so long while its output is read. */
bool ct_server_wait_end(struct ct_server *s, int ms);

/* After it ended by itself: do processes of its own live on? */
bool ct_server_left_others(struct ct_server *s);
/* Does anybody listen at the socket? Connects and leaves. */
bool ct_server_listens(const struct ct_server *s);

/* SIGTERM, a bounded wait, SIGKILL for all its processes; then the status is in
 * s->status and the log complete. pid is -1 afterwards. */
void ct_server_stop(struct ct_server *s);

/* Forget the output so far: the next case begins. */
void ct_server_new_log(struct ct_server *s);

/* "exited 0", "killed by SIGSEGV" */
void ct_status_text(int status, char *buf, size_t len);
/* The signal that ended it, also when a shell says so with 128 + n; 0: none. */
int ct_status_signal(int status);

#endif
