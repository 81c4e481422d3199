/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A client from vfuc_connect() to vfuc_close(): socket, failures, getters.
 */
#include "libclient/client.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libclient/connect.h"
#include "libclient/irq_fds.h"
#include "libclient/options.h"
#include "libclient/pending.h"
#include "libclient/region.h"
#include "libclient/twin.h"

/* --------------------------------------------------------------- failures -- */

void vuc_note(struct vfuc_client *client, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(client->last_error, sizeof(client->last_error), format, args);
    va_end(args);
}

int vuc_usable(struct vfuc_client *client)
{
    /* First, since the other thread may look at nothing else: no sentence either. */
    if (vuc_twin_calls_back(client))
        return -EBUSY;
    if (client->serving)
        return vuc_fail(client, -EBUSY, "a callback of this client called it");
    return client->main.port == NULL ? -ENOTCONN : 0;
}

void vuc_end(struct vfuc_client *client, int reason)
{
    if (client->main.port == NULL)
        return;
    pthread_mutex_lock(&client->main_lock);
    vuc_link_close(&client->main);
    pthread_mutex_unlock(&client->main_lock);
    vuc_twin_end(client);
    vuc_regions_lost(client);
    vuc_pending_end(client, reason);
}

int vuc_check_fd(struct vfuc_client *client, int fd)
{
    if (fcntl(fd, F_GETFD) >= 0)
        return 0;
    return vuc_fail(client, -EBADF, "descriptor %d is not open", fd);
}

/* ------------------------------------------------------------- life cycle -- */

static struct vfuc_client *client_new(const struct vfuc_options *options)
{
    struct vfuc_client *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return NULL;
    if (vuc_options_keep(options, &c->options) < 0) {
        free(c);
        return NULL;
    }
    pthread_mutex_init(&c->main_lock, NULL);    /* on Linux it cannot fail */
    vuc_windows_init(&c->windows);
    c->timeout_ms = options->timeout_ms;
    return c;
}

int vuc_client_start(struct vfuc_client *client)
{
    int err = vuc_negotiate(client, &client->options);

    if (err < 0)
        vuc_end(client, err);
    else
        atomic_store(&client->twin_live, client->twin.port != NULL);
    return err;
}

/* Negotiate over the link, which is taken over in every case. */
static int open_link(struct vuc_link *link, const struct vfuc_options *options,
                     struct vfuc_client **client)
{
    struct vfuc_client *c = client_new(options);
    int err;

    if (c == NULL) {
        vuc_link_close(link);
        return vuc_options_fail(options, -ENOMEM, "out of memory");
    }
    c->main = *link;
    err = vuc_client_start(c);
    if (err < 0) {
        vuc_options_fail(options, err, c->last_error);
        vfuc_close(c);
        return err;
    }
    *client = c;
    return 0;
}

int vuc_client_open(const struct vuc_port *port, void *at,
                    const struct vfuc_options *options, struct vfuc_client **client)
{
    struct vuc_link link;

    vuc_link_init(&link, port, at, vuc_max_message(options));
    return open_link(&link, options, client);
}

static int open_socket(int fd, const struct vfuc_options *options,
                       struct vfuc_client **client)
{
    struct vuc_link link;

    if (vuc_link_open(&link, fd, options) < 0)
        return vuc_options_fail(options, -ENOMEM, "out of memory");
    return open_link(&link, options, client);
}

int vfuc_connect_fd(int fd, const struct vfuc_options *options,
                    struct vfuc_client **client)
{
    struct vfuc_options o;
    int err = vuc_options_read(options, &o);

    if (err < 0) {
        close(fd);
        return err;
    }
    return open_socket(fd, &o, client);
}

int vfuc_connect(const char *path, const struct vfuc_options *options,
                 struct vfuc_client **client)
{
    struct vfuc_options o;
    int fd, err;

    err = vuc_options_read(options, &o);
    if (err < 0)
        return err;
    fd = vuc_connect_path(path, vu_deadline_in_ms(o.timeout_ms));
    if (fd < 0)
        return vuc_options_fail(&o, fd, vuc_connect_reason(fd));
    err = open_socket(fd, &o, client);
    if (err == 0)
        snprintf((*client)->path, sizeof((*client)->path), "%s", path);
    return err;
}

void vfuc_close(struct vfuc_client *client)
{
    if (client == NULL)
        return;
    vuc_end(client, -ENOTCONN);
    vuc_link_close(&client->twin);
    vuc_pending_free(client);
    vuc_regions_done(client);
    vuc_windows_done(&client->windows);
    vuc_options_done(&client->options);
    pthread_mutex_destroy(&client->main_lock);
    vuc_irqs_done(client);
    free(client);
}

/* ---------------------------------------------------------------- getters -- */

void vfuc_set_timeout_ms(struct vfuc_client *client, int timeout_ms)
{
    client->timeout_ms = timeout_ms == 0 ? VFUC_DEFAULT_TIMEOUT_MS : timeout_ms;
}

int vfuc_fd(const struct vfuc_client *client)
{
    return client->main.port == NULL ? -1 : client->main.port->fd(client->main.at);
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
