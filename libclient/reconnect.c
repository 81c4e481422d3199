/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A new connection in the place of the old one, with everything put back.
 *
 * A server that is restarted knows nothing of us, so we attach as the first time, from
 * what was kept: windows, then what the device is (it must be the same), then regions
 * with their mappings, then eventfds. Where that fails the connection ends again, and all
 * is kept for the next time.
 */
#include "libclient/call.h"

#include <poll.h>
#include <unistd.h>

#include "libclient/connect.h"
#include "libclient/irq_fds.h"
#include "libclient/options.h"
#include "libclient/region.h"
#include "libclient/twin.h"
#include "libclient/windows.h"

#define RETRY_MS 10     /* a server that starts is looked for so often */

/* ------------------------------------------------------------------ putting back -- */

static int restore(struct vfuc_client *client)
{
    int err = vuc_windows_restore(client);

    if (err == 0)
        err = vuc_device_restore(client);
    if (err == 0)
        err = vuc_regions_restore(client);
    if (err == 0)
        err = vuc_irqs_restore(client);
    if (err < 0)
        vuc_disconnect(client);
    return err;
}

/* The old connection ends, in case it has not; nobody is in the twin's thread. */
static void leave(struct vfuc_client *client)
{
    vuc_disconnect(client);
    vuc_link_close(&client->twin);
    atomic_store(&client->twin_error, 0);
    client->migration_known = false;
    client->migration_flags = 0;
}

/* Takes the link over in every case. */
static int start_over(struct vfuc_client *client, const struct vuc_link *link)
{
    leave(client);
    client->main = *link;
    return vuc_client_start(client);
}

/* A callback has no business here, and would lose what it stands on. */
static int check_caller(struct vfuc_client *client)
{
    int err = vuc_usable(client);

    return err == -EBUSY ? err : 0;
}

/* ----------------------------------------------------------------------- finding -- */

/* Before the next try. False: there is no time for one. */
static bool pause_a_little(vu_deadline deadline)
{
    if (vu_deadline_left_ms(deadline) == 0)
        return false;
    poll(NULL, 0, RETRY_MS);
    return true;
}

/* A connected descriptor, as soon as somebody listens, or why there is none. */
static int find_server(struct vfuc_client *client, vu_deadline deadline)
{
    int fd;

    do
        fd = vuc_connect_path(client->path, deadline);
    while ((fd == -ENOENT || fd == -ECONNREFUSED) && pause_a_little(deadline));
    return fd;
}

static int open_and_start(struct vfuc_client *client, int fd)
{
    struct vuc_link link;

    leave(client);
    if (vuc_link_open(&link, fd, &client->options) < 0)
        return vuc_fail(client, -ENOMEM, "out of memory");
    return start_over(client, &link);
}

/* A server that is about to end may still accept, and hang up then: look for the next. */
static int find_and_start(struct vfuc_client *client, vu_deadline deadline)
{
    int err;

    do {
        int fd = find_server(client, deadline);

        if (fd < 0)
            return vuc_fail(client, fd, "%s", vuc_connect_reason(fd));
        err = open_and_start(client, fd);
    } while (err == -ENOTCONN && pause_a_little(deadline));
    return err;
}

int vfuc_reconnect(struct vfuc_client *client)
{
    int err = check_caller(client);

    if (err < 0)
        return err;
    if (client->path[0] == '\0')
        return vuc_fail(client, -ENOTSUP, "the client was made from a descriptor");
    leave(client);      /* first: the server may serve one client only */
    err = find_and_start(client, vu_deadline_in_ms(client->timeout_ms));
    return err < 0 ? err : restore(client);
}

int vfuc_reconnect_fd(struct vfuc_client *client, int fd)
{
    int err = check_caller(client);

    if (err < 0) {
        close(fd);
        return err;
    }
    err = open_and_start(client, fd);
    return err < 0 ? err : restore(client);
}

int vuc_reconnect_over(struct vfuc_client *client, const struct vuc_port *port, void *at)
{
    struct vuc_link link;
    int err = check_caller(client);

    if (err < 0) {
        port->close(at);
        return err;
    }
    vuc_link_init(&link, port, at, vuc_max_message(&client->options));
    err = start_over(client, &link);
    return err < 0 ? err : restore(client);
}
