/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Clients of the scripted server that have got beyond the first questions.
 */
#ifndef VUC_TESTS_KNOWN_H
#define VUC_TESTS_KNOWN_H

#include <stdio.h>

#include "libclient/options.h"
#include "libclient/tests/script.h"

/* Text behind the bytes of the latest line, with its NUL. */
static inline void known_append(struct script *s, const char *text)
{
    struct line *l = &s->lines[s->n_lines - 1];
    size_t len = strlen(text) + 1;

    l->body = realloc(l->body, l->body_len + len);
    assert_non_null(l->body);
    memcpy(l->body + l->body_len, text, len);
    l->body_len += len;
}

/* Knows the device: 9 regions, 5 interrupt indices. caps: what the server said of itself
 * ("\"max_msg_fds\":8"), or NULL. Messages 0 and 1 are spent. */
static inline struct vfuc_client *known_device(struct script *s, const char *caps)
{
    struct vfuc_options options;
    struct vfuc_client *c = NULL;
    char json[256];

    SKIP_UNLESS_LITTLE_ENDIAN();
    script_init(s);
    assert_int_equal(vuc_options_read(NULL, &options), 0);
    script_say(s, SAY_VERSION);
    if (caps != NULL) {
        snprintf(json, sizeof(json), "{\"capabilities\":{%s}}", caps);
        known_append(s, json);
    }
    assert_int_equal(vuc_client_open(&script_port, s, &options, &c), 0);
    script_say(s, SAY_DEVICE);
    assert_int_equal(vfuc_region_count(c), 9);
    return c;
}

/* And region 0, by this reply; message 2 is spent. */
static inline struct vfuc_client *known_region(struct script *s, const char *caps,
                                               const char *region0)
{
    struct vfuc_client *c = known_device(s, caps);
    const struct vfuc_region *region;

    script_say(s, region0);
    assert_int_equal(vfuc_region_info(c, 0, &region), 0);
    return c;
}

/* And the 16 MSI-X vectors, index 2; message 2 is spent. */
static inline struct vfuc_client *known_msix(struct script *s, const char *caps)
{
    struct vfuc_client *c = known_device(s, caps);
    const struct vfuc_irq *irq;

    script_say(s, SAY_MSIX);
    assert_int_equal(vfuc_irq_info(c, 2, &irq), 0);
    return c;
}

/* All that was typed has been heard. */
static inline void known_done(struct script *s, struct vfuc_client *c)
{
    assert_int_equal(s->next, s->n_lines);
    vfuc_close(c);
    assert_true(s->closed);
    script_done(s);
}

/* Another server in place of the one that s is, as after a reconnect: negotiated, and the
 * device is known. The first is told that the client left. */
static inline void known_again(struct vfuc_client *c, struct script *s,
                               struct script *again)
{
    vuc_end(c, -ENOTCONN);
    assert_true(s->closed);
    script_init(again);
    vuc_link_init(&c->main, &script_port, again, vuc_max_message(&c->options));
    c->next_id = 0;
}

#endif
