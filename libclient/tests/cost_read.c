/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Makes N blocking reads of a register, for who counts what one costs:
 *
 *   valgrind --tool=callgrind --toggle-collect=vfuc_region_read cost_read 1000
 *
 * The server's end of the socket is in the same thread: each reply lies ready when the
 * read is made, so nothing but the client's own work is counted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libclient/include/vfio-user-client.h"

static const uint8_t version_reply[] = {
    0, 0, 1, 0, 20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0,
};
static const uint8_t device_reply[] = {
    1, 0, 4, 0, 32, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
    16, 0, 0, 0, 3, 0, 0, 0, 9, 0, 0, 0, 5, 0, 0, 0,
};
static const uint8_t region_reply[] = {
    2, 0, 5, 0, 48, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
    32, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
};
static uint8_t read_reply[] = {
    0, 0, 9, 0, 36, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
    16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1, 2, 3, 4,
};

static void fail(const char *what)
{
    fprintf(stderr, "cost_read: %s\n", what);
    exit(1);
}

static void say(int fd, const uint8_t *bytes, size_t len)
{
    if (send(fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
        fail("a reply cannot be sent");
}

int main(int argc, char **argv)
{
    long n = argc == 2 ? atol(argv[1]) : 0;
    struct vfuc_client *client;
    const struct vfuc_region *region;
    uint8_t sink[1024];
    uint32_t value;
    int fds[2];

    if (n < 1 || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
        fail("how many reads?");
    say(fds[1], version_reply, sizeof(version_reply));
    if (vfuc_connect_fd(fds[0], NULL, &client) < 0)
        fail("no connection");
    say(fds[1], device_reply, sizeof(device_reply));
    say(fds[1], region_reply, sizeof(region_reply));
    if (vfuc_region_info(client, 0, &region) < 0)
        fail("no region");
    for (long i = 0; i < n; i++) {
        uint16_t id = (uint16_t)(3 + i);

        memcpy(read_reply, &id, sizeof(id));
        say(fds[1], read_reply, sizeof(read_reply));
        if (vfuc_region_read(client, 0, 0x10, &value, sizeof(value)) < 0)
            fail("a read failed");
        if (recv(fds[1], sink, sizeof(sink), 0) <= 0)
            fail("no request came");
    }
    vfuc_close(client);
    close(fds[1]);
    return 0;
}
