/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The scripted server: see script.h.
 */
#include "libclient/tests/script.h"

#include <fcntl.h>
#include <sys/eventfd.h>

void script_init(struct script *s)
{
    memset(s, 0, sizeof(*s));
    s->fd = -1;
    s->poll_fd = -1;
}

void script_done(struct script *s)
{
    if (s->poll_fd >= 0)
        close(s->poll_fd);
    for (size_t i = 0; i < s->n_said; i++)
        free(s->said[i].bytes);
    for (size_t i = 0; i < s->n_lines; i++)
        free(s->lines[i].body);
    free(s->handed_out);
    script_init(s);
}

/* ------------------------------------------------------------------- port -- */

static void hear(struct script *s, const struct iovec *iov, int n_iov, size_t n_fds)
{
    struct said *said = &s->said[s->n_said];
    struct vu_header h;
    struct vu_reader r;

    assert_true(s->n_said < SCRIPT_MAX);
    for (int i = 0; i < n_iov; i++) {
        said->bytes = realloc(said->bytes, said->len + iov[i].iov_len);
        assert_non_null(said->bytes);
        if (iov[i].iov_len > 0)
            memcpy(said->bytes + said->len, iov[i].iov_base, iov[i].iov_len);
        said->len += iov[i].iov_len;
    }
    said->n_fds = n_fds;
    s->n_said++;
    r = vu_reader(said->bytes, said->len);
    assert_int_equal(vu_decode_header(&r, &h), 0);
    assert_int_equal(h.size, said->len);
    if (vu_header_type(&h) == VU_F_TYPE_COMMAND)
        s->latest = h;
}

static int script_offer(void *at, struct iovec *iov, int n_iov, const int *fds,
                        size_t n_fds)
{
    struct script *s = at;

    assert_false(s->closed);
    s->n_offers++;
    if (s->send_result != 0)
        return s->send_result;
    for (size_t i = 0; i < n_fds; i++)
        assert_true(fcntl(fds[i], F_GETFD) >= 0);
    hear(s, iov, n_iov, n_fds);
    s->n_gathered = 0;
    return 0;
}

static int script_post(void *at, const struct iovec *iov, int n_iov)
{
    struct script *s = at;

    assert_false(s->closed);
    if (s->send_result != 0)
        return s->send_result;
    hear(s, iov, n_iov, 0);
    s->n_gathered += s->said[s->n_said - 1].len;
    return 0;
}

static int script_flush(void *at)
{
    struct script *s = at;

    assert_false(s->closed);
    if (s->flush_result == -EAGAIN)
        return -EAGAIN;
    if (s->n_gathered > 0)
        s->n_flushes++;
    s->n_gathered = s->stuck = 0;
    return s->flush_result;
}

static size_t script_unsent(const void *at)
{
    const struct script *s = at;

    assert_false(s->closed);
    return s->n_gathered + s->stuck;
}

static void bring_fds(const struct script *s, const struct line *l, struct vu_message *m)
{
    for (size_t i = 0; i < l->n_fds; i++) {
        m->fds[i] = s->fd >= 0 ? fcntl(s->fd, F_DUPFD_CLOEXEC, 0)
                               : eventfd(0, EFD_CLOEXEC);
        assert_true(m->fds[i] >= 0);
    }
    m->n_fds = l->n_fds;
    m->fds_lost = l->fds_lost;
}

static int script_receive(void *at, struct vu_message *m, vu_deadline deadline)
{
    struct script *s = at;
    struct line *l = &s->lines[s->next];
    struct vu_header h;

    assert_false(s->closed);
    if (s->next == s->n_lines)
        return deadline == VU_DONT_WAIT ? -EAGAIN : -ETIMEDOUT;
    s->next++;
    h = l->h;
    if (!l->as_typed) {
        h.msg_id = (uint16_t)(s->latest.msg_id + l->id_off);
        h.command = (uint16_t)(s->latest.command + l->command_off);
    }
    free(s->handed_out);
    s->handed_out = exact_copy(l->body, l->body_len);
    vu_message_init(m, &h, s->handed_out, l->body_len);
    bring_fds(s, l, m);
    return l->result;
}

static bool script_ready(const void *at)
{
    const struct script *s = at;

    return s->read_ahead && s->next < s->n_lines;
}

static int script_fd(const void *at)
{
    const struct script *s = at;

    return s->poll_fd;
}

static void script_shutdown(void *at)
{
    struct script *s = at;

    assert_false(s->closed);
    s->shut = true;
}

static void script_close(void *at)
{
    struct script *s = at;

    assert_false(s->closed);
    s->closed = true;
}

const struct vuc_port script_port = {
    .offer = script_offer,
    .post = script_post,
    .flush = script_flush,
    .unsent = script_unsent,
    .receive = script_receive,
    .ready = script_ready,
    .fd = script_fd,
    .shutdown = script_shutdown,
    .close = script_close,
};

void script_poll(struct script *s, bool readable)
{
    if (s->poll_fd < 0)
        s->poll_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_true(s->poll_fd >= 0);
    if (readable)
        assert_int_equal(eventfd_write(s->poll_fd, 1), 0);
}

/* ------------------------------------------------------------------ lines -- */

static struct line *add_line(struct script *s, int result)
{
    struct line *l = &s->lines[s->n_lines++];

    assert_true(s->n_lines <= SCRIPT_MAX);
    memset(l, 0, sizeof(*l));
    l->result = result;
    return l;
}

static void set_body(struct line *l, const uint8_t *data, size_t len)
{
    l->body = exact_copy(data, len);
    l->body_len = len;
    l->h.size = (uint32_t)(VU_HEADER_SIZE + len);
}

struct line *script_say(struct script *s, const char *hex_body)
{
    struct line *l = add_line(s, 1);
    struct bytes b = bytes_of_hex(hex_body);

    l->h.flags = 1;
    set_body(l, b.data, b.len);
    return l;
}

struct line *script_refuse(struct script *s, uint32_t error)
{
    struct line *l = add_line(s, 1);

    l->h.flags = 0x21;
    l->h.error = error;
    set_body(l, NULL, 0);
    return l;
}

struct line *script_type(struct script *s, const char *hex_message)
{
    struct line *l = add_line(s, 1);
    struct bytes b = bytes_of_hex(hex_message);
    struct vu_reader r = vu_reader(b.data, b.len);

    assert_int_equal(vu_decode_header(&r, &l->h), 0);
    l->as_typed = true;
    set_body(l, r.pos, r.left);
    return l;
}

struct line *script_fail(struct script *s, int result)
{
    return add_line(s, result);
}

void script_heard(const struct script *s, size_t i, const char *hex_message, size_t n_fds)
{
    struct bytes b = bytes_of_hex(hex_message);

    assert_true(i < s->n_said);
    assert_int_equal(s->said[i].len, b.len);
    assert_memory_equal(s->said[i].bytes, b.data, b.len);
    assert_int_equal(s->said[i].n_fds, n_fds);
}

struct vfuc_client *script_client(struct script *s, const char *version)
{
    struct vfuc_client *client = NULL;
    struct vfuc_options options;

    assert_int_equal(vuc_options_read(NULL, &options), 0);
    script_say(s, version);
    assert_int_equal(vuc_client_open(&script_port, s, &options, &client), 0);
    assert_non_null(client);
    return client;
}
