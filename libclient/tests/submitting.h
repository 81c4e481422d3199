/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What tests of submitted commands share: a client over a scripted server, resets to
 * submit, and completions to expect.
 *
 * Ids count from 0: VERSION has 0, so the first command has 1.
 */
#ifndef VUC_TESTS_SUBMITTING_H
#define VUC_TESTS_SUBMITTING_H

#include "libclient/tests/script.h"

#define RESET_OK(id)   id " 0d00 10000000 01000000 00000000"
#define RESET_NO(id)   id " 0d00 10000000 21000000 10000000"    /* EBUSY */
#define COMMAND        "7777 0e00 10000000 00000000 00000000"   /* of no known number */
#define SILENT_COMMAND "7777 0e00 10000000 10000000 00000000"   /* that wants no reply */

static inline struct vfuc_client *with_pending(struct script *s, unsigned most)
{
    struct vfuc_options o = { .size = sizeof(o), .max_pending = most }, options;
    struct vfuc_client *c = NULL;

    SKIP_UNLESS_LITTLE_ENDIAN();
    script_init(s);
    script_poll(s, false);
    script_say(s, SAY_VERSION);
    assert_int_equal(vuc_options_read(&o, &options), 0);
    assert_int_equal(vuc_client_open(&script_port, s, &options, &c), 0);
    return c;
}

static inline struct vfuc_client *usual(struct script *s)
{
    return with_pending(s, 0);
}

static inline void finish(struct script *s, struct vfuc_client *c)
{
    vfuc_close(c);
    assert_true(s->closed);
    script_done(s);
}

static inline void submit(struct vfuc_client *c, uint64_t first, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(vfuc_submit_reset(c, first + i), 0);
}

/* Exactly this one completion can be taken now. */
static inline void expect(struct vfuc_client *c, uint64_t tag, int result)
{
    struct vfuc_completion done[2];

    assert_int_equal(vfuc_complete(c, done, 1), 1);
    assert_int_equal(done[0].tag, tag);
    assert_int_equal(done[0].result, result);
}

static inline void expect_none(struct vfuc_client *c, int result)
{
    struct vfuc_completion done[2];

    assert_int_equal(vfuc_complete(c, done, 2), result);
}

#endif
