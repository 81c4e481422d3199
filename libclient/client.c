/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A client from vfuc_connect() to vfuc_close(): options, socket, failures, getters.
 */
#include "libclient/client.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "wire/caps.h"

#define DEFAULT_MSG_FDS 16u     /* what QEMU asks for; servers are used to it */

/* --------------------------------------------------------------- failures -- */

void vuc_note(struct vfuc_client *client, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(client->last_error, sizeof(client->last_error), format, args);
    va_end(args);
}

void vuc_disconnect(struct vfuc_client *client)
{
    if (client->port != NULL)
        client->port->close(client->port_at);
    client->port = NULL;
    client->port_at = NULL;
}

int vuc_check_fd(struct vfuc_client *client, int fd)
{
    if (fcntl(fd, F_GETFD) >= 0)
        return 0;
    return vuc_fail(client, -EBADF, "descriptor %d is not open", fd);
}

/* ---------------------------------------------------------------- options -- */

/* A newer caller's fields that we do not know must say nothing. */
static bool unknown_options(const struct vfuc_options *given)
{
    const uint8_t *bytes = (const uint8_t *)given;

    for (size_t i = sizeof(*given); i < given->size; i++) {
        if (bytes[i] != 0)
            return true;
    }
    return false;
}

static void fill_defaults(struct vfuc_options *o)
{
    if (o->timeout_ms == 0)
        o->timeout_ms = VFUC_DEFAULT_TIMEOUT_MS;
    if (o->max_msg_fds == 0)
        o->max_msg_fds = DEFAULT_MSG_FDS;
    if (o->max_data_xfer_size == 0)
        o->max_data_xfer_size = VU_DEFAULT_MAX_DATA_XFER;
    if (o->max_dma_maps == 0)
        o->max_dma_maps = VU_DEFAULT_MAX_DMA_MAPS;
    if (o->pgsizes == 0)
        o->pgsizes = VU_DEFAULT_PGSIZES;
}

/* For who has no client yet to ask for vfuc_last_error(). */
static int fail_early(const struct vfuc_options *o, int err, const char *why)
{
    if (o->error != NULL && o->error_len > 0)
        snprintf(o->error, o->error_len, "%s", why);
    return err;
}

int vuc_options_read(const struct vfuc_options *given, struct vfuc_options *options)
{
    struct vfuc_options o = { .size = sizeof(o) };

    if (given != NULL) {
        if (given->size < sizeof(given->size) || given->size > 4096
            || unknown_options(given))
            return -EINVAL;
        memcpy(&o, given, given->size < sizeof(o) ? given->size : sizeof(o));
    }
    fill_defaults(&o);
    if (o.max_msg_fds > VU_MAX_MSG_FDS || o.max_data_xfer_size > VFUC_MAX_TRANSFER
        || o.max_dma_maps > INT64_MAX || o.pgsizes > INT64_MAX)  /* JSON ends there */
        return fail_early(&o, -EINVAL, "an option is out of bounds");
    *options = o;
    return 0;
}

uint32_t vuc_max_message(const struct vfuc_options *options)
{
    uint64_t body = VUC_REGION_INFO_MAX;

    if (body < VU_VERSION_SIZE + VU_CAPS_MAX_BYTES)
        body = VU_VERSION_SIZE + VU_CAPS_MAX_BYTES;
    if (body < VU_REGION_ACCESS_SIZE + options->max_data_xfer_size)
        body = VU_REGION_ACCESS_SIZE + options->max_data_xfer_size;
    return (uint32_t)(VU_HEADER_SIZE + body);
}

/* ------------------------------------------------------------- life cycle -- */

int vuc_client_open(const struct vuc_port *port, void *at,
                    const struct vfuc_options *options, struct vfuc_client **client)
{
    struct vfuc_client *c = calloc(1, sizeof(*c));
    int err;

    if (c == NULL) {
        port->close(at);
        return fail_early(options, -ENOMEM, "out of memory");
    }
    c->port = port;
    c->port_at = at;
    c->timeout_ms = options->timeout_ms;
    err = vuc_negotiate(c, options);
    if (err < 0) {
        fail_early(options, err, c->last_error);
        vfuc_close(c);
        return err;
    }
    *client = c;
    return 0;
}

static int open_socket(int fd, const struct vfuc_options *options,
                       struct vfuc_client **client)
{
    struct vu_channel_limits limits = {
        .max_message = vuc_max_message(options),
        .max_fds = options->max_msg_fds,
        .batch = 4096,
        .max_out = 65536,
        .stall_ms = -1,     /* the deadline of the call decides */
    };
    struct vu_channel *ch = vu_channel_new(fd, &limits);

    if (ch == NULL) {
        close(fd);
        return fail_early(options, -ENOMEM, "out of memory");
    }
    return vuc_client_open(&vuc_channel_port, ch, options, client);
}

int vfuc_connect_fd(int fd, const struct vfuc_options *options,
                    struct vfuc_client **client)
{
    struct vfuc_options o;

    if (vuc_options_read(options, &o) < 0) {
        close(fd);
        return -EINVAL;
    }
    return open_socket(fd, &o, client);
}

/* A full listen queue makes connect() wait, as long as SO_SNDTIMEO says. */
static int set_send_timeout(int fd, int64_t ms)
{
    struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

    return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0 ? -errno : 0;
}

static int connect_by(int fd, const struct sockaddr_un *addr, vu_deadline deadline)
{
    for (;;) {
        int left = vu_deadline_left_ms(deadline);
        int err;

        if (left == 0)
            return -ETIMEDOUT;
        err = set_send_timeout(fd, left < 0 ? 0 : left);    /* 0: for ever */
        if (err < 0)
            return err;
        if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0)
            return set_send_timeout(fd, 0);
        if (errno != EINTR)
            return errno == EAGAIN ? -ETIMEDOUT : -errno;
    }
}

int vfuc_connect(const char *path, const struct vfuc_options *options,
                 struct vfuc_client **client)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    struct vfuc_options o;
    int fd, err;

    if (vuc_options_read(options, &o) < 0)
        return -EINVAL;
    if (strlen(path) >= sizeof(addr.sun_path))
        return fail_early(&o, -ENAMETOOLONG, "the socket's path is too long");
    memcpy(addr.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail_early(&o, -errno, "no socket can be made");
    err = connect_by(fd, &addr, vu_deadline_in_ms(o.timeout_ms));
    if (err < 0) {
        close(fd);
        return fail_early(&o, err, err == -ETIMEDOUT
                          ? "the server did not accept the connection in time"
                          : "nobody accepts connections there");
    }
    return open_socket(fd, &o, client);
}

void vfuc_close(struct vfuc_client *client)
{
    if (client == NULL)
        return;
    vuc_disconnect(client);
    vuc_regions_done(client);
    free(client->irqs);
    free(client);
}

/* ---------------------------------------------------------------- getters -- */

void vfuc_set_timeout_ms(struct vfuc_client *client, int timeout_ms)
{
    client->timeout_ms = timeout_ms == 0 ? VFUC_DEFAULT_TIMEOUT_MS : timeout_ms;
}

int vfuc_fd(const struct vfuc_client *client)
{
    return client->port == NULL ? -1 : client->port->fd(client->port_at);
}

const char *vfuc_last_error(const struct vfuc_client *client)
{
    return client->last_error;
}

int vfuc_last_errno(const struct vfuc_client *client)
{
    return client->last_errno;
}

const struct vfuc_limits *vfuc_negotiated(const struct vfuc_client *client)
{
    return &client->limits;
}
