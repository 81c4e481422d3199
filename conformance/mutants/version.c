/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VERSION: what the mutant server agrees to.
 */
#include "conformance/mutants/commands.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conformance/mutants/faults.h"
#include "wire/caps.h"

#define OUR_MAJOR 0
#define OUR_MINOR 4 /* high, so that there are lower ones to negotiate */

/* Faults that take what vu_caps_parse() refuses. */
static bool bad_caps_taken(const struct vu_message *m)
{
    bool known = ct_mentions(m, "capabilities");
    bool number = ct_mentions(m, "-1") || ct_mentions(m, "0.5") || ct_mentions(m, "e308");
    bool ends = m->body_len > VU_VERSION_SIZE && m->body[m->body_len - 1] == '\0';

    if (!ends)
        return fault(nul_not_needed);
    return known ? fault(wrong_types) && !number : fault(bad_json);
}

/* A number that a careless reader stumbles over. */
static bool has_odd_number(const struct vu_message *m)
{
    static const char *const odd[] = { ":-1", ":0.5", ":1e", ":4294967296" };

    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        if (ct_mentions(m, odd[i]))
            return true;
    return false;
}

static int take_caps(struct ct_client *c, struct vu_message *m,
                     const struct vu_version *v, struct vu_caps *caps)
{
    int err = vu_caps_parse(caps, v->data.data, v->data.len, NULL, 0);

    if ((fault(odd_number_crash) && has_odd_number(m)) ||
        (fault(empty_string_crash) && v->data.len == 1))
        abort();
    if (err != 0) {
        if (!bad_caps_taken(m))
            return err;
        memset(caps, 0, sizeof(*caps));
    }
    c->fds_unsaid = !caps->has_max_msg_fds;
    vu_caps_default(caps);
    c->max_fds = caps->max_msg_fds > VU_MAX_MSG_FDS ? VU_MAX_MSG_FDS
                                                    : (uint32_t)caps->max_msg_fds;
    if (fault(fds_wrap))
        c->max_fds = (uint32_t)caps->max_msg_fds;
    if (fault(fds_over_limit) && c->max_fds == 0)
        c->max_fds = CT_MAX_FDS;
    c->write_multiple = caps->write_multiple;
    c->sparse_fds = caps->sparse_mmap_fds && c->max_fds >= 2;
    return 0;
}

/* Refusals that only a faulty server makes. */
static bool faulty_refusal(unsigned number, const struct vu_message *m,
                           const struct vu_version *v, const struct vu_caps *caps)
{
    return (fault(minor_gap) && v->minor == OUR_MINOR - 1) ||
           (fault(fifty_only) && number >= 50) ||
           (fault(minor_high_refused) && v->minor > OUR_MINOR) ||
           (fault(empty_capabilities) && ct_mentions(m, "\"capabilities\":{}")) ||
           (fault(data_needed) && v->data.len == 0) ||
           (fault(empty_object) && v->data.len == 3) ||
           (fault(unknown_refused) && ct_mentions(m, "x-test")) ||
           (fault(twin_declined_hard) && caps->has_twin_socket && caps->twin_socket);
}

static int open_twin(struct ct_client *c, struct ct_reply *r)
{
    int ends[2];

    if (fault(twin_pipe) ? pipe(ends) != 0
                         : socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return -errno;
    if (c->twin != -1)
        close(c->twin);
    c->twin = ends[1];
    r->close_fd = ends[0];
    r->fds[r->n_fds++] = ends[0];
    return 0;
}

/* Put `member` before the last brace but one. */
static int add_capability(char *json, size_t room, int len, const char *member)
{
    size_t at = (size_t)len - 3; /* behind it: "}}" and NUL */

    return (int)at + snprintf(json + at, room - at, ",%s}}", member) + 1;
}

/* A member that makes the reply larger than 4 KiB. */
static int add_filler(char *json, size_t room, int len)
{
    char member[5000];

    memset(member, 'x', sizeof(member));
    memcpy(member, "\"x\":\"", 5);
    memcpy(member + sizeof(member) - 2, "\"", 2);
    return add_capability(json, room, len, member);
}

static struct vu_caps our_caps(const struct ct_client *c, const struct vu_caps *asked)
{
    struct vu_caps ours = {
        .has_max_msg_fds = true,
        .max_msg_fds = CT_MAX_FDS,
        .has_max_data_xfer_size = true,
        .max_data_xfer_size = CT_MAX_XFER,
        .has_max_dma_maps = true,
        .max_dma_maps = fault(no_dma_maps) ? 0 : CT_MAX_MAPS,
        .has_pgsizes = true,
        .pgsizes = fault(small_pages) ? 4096 | 1024 : 4096,
        .has_write_multiple = asked->has_write_multiple,
        .write_multiple = c->write_multiple,
        .has_sparse_mmap_fds = asked->has_sparse_mmap_fds,
        .sparse_mmap_fds = c->sparse_fds,
        .has_twin_socket = c->twin != -1,
        .twin_socket = true,
        .has_fd_index = c->twin != -1,
        .fd_index = fault(twin_index) ? 1 : 0,
    };

    if (fault(feature_unasked) && !asked->has_write_multiple)
        ours.has_write_multiple = ours.write_multiple = true;
    return ours;
}

/* The version data of our answer; its length, or negative errno. */
static int print_caps(struct ct_client *c, const struct vu_message *m,
                      const struct vu_version *v, const struct vu_caps *asked, char *json,
                      size_t room)
{
    struct vu_caps ours = our_caps(c, asked);
    int len;

    if (manner(terse))
        return 0;
    if ((fault(json_array) && v->data.len == 0) || fault(json_list))
        return snprintf(json, room, "[]") + 1;
    len = vu_caps_print(&ours, json, room);
    if (len < 0)
        return len;
    if ((fault(no_nul) && v->data.len == 0) || fault(nul_missing))
        len--;
    if (fault(unknown_echoed) && ct_mentions(m, "x-test"))
        len = add_capability(json, room, len, "\"x-test\":{\"a\":[1]}");
    if (fault(long_version) && asked->has_migration)
        len = add_filler(json, room, len);
    return len;
}

static struct vu_version answer_of(const struct vu_version *v)
{
    struct vu_version ours = {
        .major = OUR_MAJOR,
        .minor = v->minor < OUR_MINOR ? v->minor : OUR_MINOR,
    };

    if (manner(terse))
        ours.minor = 0;
    if (fault(any_major))
        ours.major = v->major;
    if (fault(major_one) || (fault(major_changed) && v->minor > OUR_MINOR))
        ours.major = 1;
    if (fault(minor_ours))
        ours.minor = OUR_MINOR;
    if (fault(minor_raised) && v->minor == 0)
        ours.minor = 1;
    return ours;
}

static int negotiate(struct ct_client *c, struct vu_message *m,
                     const struct vu_version *v, struct ct_reply *r)
{
    bool twin, unasked_fd;
    struct vu_version ours = answer_of(v);
    struct vu_caps caps;
    char json[8192];
    int err, len;

    if (v->major != OUR_MAJOR && !fault(any_major))
        return -EPROTONOSUPPORT;
    err = take_caps(c, m, v, &caps);
    if (err != 0)
        return err;
    if (faulty_refusal(c->number, m, v, &caps))
        return -EINVAL;
    twin = caps.has_twin_socket && !manner(terse) && c->max_fds > 0 &&
           (caps.twin_socket || fault(twin_forced));
    unasked_fd = fault(version_fd) && !caps.has_twin_socket;
    if (twin || unasked_fd)
        err = open_twin(c, r);
    if (err != 0)
        return err;
    if (unasked_fd) {
        close(c->twin);
        c->twin = -1;
    }
    len = print_caps(c, m, v, &caps, json, sizeof(json));
    if (len < 0)
        return len;
    ours.data = (struct vu_bytes){ .data = (const uint8_t *)json, .len = (size_t)len };
    if (fault(version_short) && v->minor == 0)
        vu_put_u16(&r->w, ours.major);
    else if (!fault(version_empty))
        vu_encode_version(&r->w, &ours);
    c->negotiated = true;
    c->server->ever_negotiated = true;
    return 0;
}

int ct_on_version(struct ct_client *c, struct vu_message *m, struct ct_reply *r)
{
    struct vu_reader body = ct_body_of(m);
    struct vu_version v;
    int err;

    if (c->negotiated && !fault(version_again))
        return -EINVAL;
    for (size_t i = 0; fault(version_fd_kept) && i < m->n_fds; i++)
        vu_message_take_fd(m, i);
    err = vu_decode_version(&body, &v);
    if (fault(version_few_bytes))
        err = 0;
    if (err == 0)
        err = negotiate(c, m, &v, r);
    if (err == 0 && fault(no_fds_mute) && c->max_fds == 0)
        m->h.flags |= VU_F_NO_REPLY;
    r->close_client = err != 0;
    return err;
}
