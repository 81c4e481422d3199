/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * move: a device from one server to another, while it runs as long as possible.
 *
 *     move SOURCE DESTINATION
 *
 * Shows the states of migration and the stream of its data. Quoted in
 * docs/driving-a-device.md.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vfio-user-client.h>

#define MAX_ROUNDS 10   /* of pre-copy, for a device that never gets quiet */

static int failed(struct vfuc_client *dev, const char *what, int err)
{
    fprintf(stderr, "%s: %s (%s)\n", what, vfuc_last_error(dev), strerror(-err));
    return err;
}

/* What the source has to say at present. *bytes: how much it was. */
static int move_data(struct vfuc_client *from, struct vfuc_client *to, uint64_t *bytes)
{
    size_t room = vfuc_migration_chunk(from), got = room;
    uint8_t *buf = malloc(room);
    int err = buf == NULL ? -1 : 0;

    *bytes = 0;
    while (err == 0 && got == room) {       /* less: there is no more */
        err = vfuc_migration_read(from, buf, room, &got);
        if (err < 0)
            err = failed(from, "source", err);
        else if (got > 0 && (err = vfuc_migration_write(to, buf, got)) < 0)
            err = failed(to, "destination", err);
        if (err == 0)
            *bytes += got;
    }
    free(buf);
    return err;
}

/* The device runs on, and its client may use it between the rounds. */
static int pre_copy(struct vfuc_client *from, struct vfuc_client *to)
{
    int err = vfuc_migration_set_state(from, VFUC_MIG_PRE_COPY);
    uint64_t bytes = 1;

    if (err < 0)
        return failed(from, "PRE_COPY", err);
    for (int round = 0; err == 0 && bytes > 0 && round < MAX_ROUNDS; round++) {
        err = move_data(from, to, &bytes);
        if (err == 0)
            printf("round %d: %" PRIu64 " bytes\n", round, bytes);
    }
    return err;
}

/* It stands still from here on. */
static int stop_and_copy(struct vfuc_client *from, struct vfuc_client *to)
{
    uint64_t bytes;
    int err = vfuc_migration_set_state(from, VFUC_MIG_STOP_COPY);

    if (err < 0)
        return failed(from, "STOP_COPY", err);
    err = move_data(from, to, &bytes);
    if (err < 0)
        return err;
    printf("stopped: %" PRIu64 " bytes\n", bytes);
    err = vfuc_migration_set_state(from, VFUC_MIG_STOP);
    if (err < 0)
        return failed(from, "STOP", err);
    err = vfuc_migration_set_state(to, VFUC_MIG_RUNNING);
    return err < 0 ? failed(to, "RUNNING", err) : 0;
}

static int move(struct vfuc_client *from, struct vfuc_client *to)
{
    uint64_t flags;
    int err = vfuc_migration_flags(from, &flags);

    if (err < 0)
        return failed(from, "this device cannot be moved", err);
    err = vfuc_migration_set_state(to, VFUC_MIG_RESUMING);
    if (err < 0)
        return failed(to, "RESUMING", err);
    if ((flags & VFUC_MIGRATION_PRE_COPY) != 0)
        err = pre_copy(from, to);
    return err < 0 ? err : stop_and_copy(from, to);
}

static struct vfuc_client *connect_to(const char *path)
{
    char why[200] = "";
    struct vfuc_options options = {
        .size = sizeof(options), .error = why, .error_len = sizeof(why),
    };
    struct vfuc_client *dev = NULL;

    if (vfuc_connect(path, &options, &dev) < 0)
        fprintf(stderr, "%s: %s\n", path, why);
    return dev;
}

int main(int argc, char **argv)
{
    struct vfuc_client *from, *to = NULL;
    int err = -1;

    if (argc != 3) {
        fprintf(stderr, "usage: %s SOURCE DESTINATION\n", argv[0]);
        return 2;
    }
    from = connect_to(argv[1]);
    if (from != NULL)
        to = connect_to(argv[2]);
    if (to != NULL)
        err = move(from, to);
    vfuc_close(from);
    vfuc_close(to);
    return err < 0 ? 1 : 0;
}
