/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Servers that answer wrongly, once per test: the call fails with -EPROTO, the connection
 * is closed, and nothing is left open. Tests are rows of tables.
 */
#ifndef VUC_TESTS_MALFORMED_H
#define VUC_TESTS_MALFORMED_H

#include "libclient/tests/known.h"

struct world {
    struct script script;
    struct vfuc_client *client; /* NULL before VERSION */
};

/* What the client must know before the call, so that the call sends one message. */
enum known { NOTHING, VERSION_ONLY, DEVICE, REGION, IRQ };

struct call {
    const char *name;
    int (*run)(struct world *w);
    enum known known;
    const char *good;   /* body of a reply that is fine */
    const char *caps;   /* what was agreed on, from DEVICE on; as for known_device() */
};

/* Changes to a good reply, in this order. */
struct fault {
    const char *name;
    int call;               /* index in the table of calls */
    const char *body;       /* instead of the good one */
    int result;             /* from the port instead of a message */
    uint16_t id_off, command_off;
    uint32_t flags;         /* if not 0, instead of 1 */
    bool cut;               /* a byte of the body is missing */
    bool more;              /* a byte of the body is too many */
    size_t n_fds;
};

struct faults {
    const struct fault *faults;
    size_t n;
    const char *first;      /* not NULL: body of a first reply, with a descriptor, after
                             * which the client asks again; the fault is in the second */
};

/*
 * Run them all: for each call what any reply can be (good, refused, missing, with faults
 * that need no knowledge of its body), then the sets of faults. file: for the report.
 * Returns the exit status.
 */
int malformed_run(const char *file, const struct call *calls, size_t n_calls,
                  const struct faults *sets, size_t n_sets);

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#endif
