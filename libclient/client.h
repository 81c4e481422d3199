/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of the client share: its state, and how a failure is reported.
 *
 * Arrows go one way: the public functions by noun (device.c, region.c, irq.c, dma.c)
 * stand on call.c, which exchanges a message for its reply, and that on a port (port.h).
 */
#ifndef VUC_CLIENT_H
#define VUC_CLIENT_H

#include "libclient/include/vfio-user-client.h"
#include "libclient/port.h"

#define VUC_ERROR_MAX 256   /* bytes of the sentence for the latest failure */

/* The largest region info reply that is worth a retry, in bytes of body. */
#define VUC_REGION_INFO_MAX 65536u

struct vuc_region {
    bool known;                 /* the rest is valid */
    struct vfuc_region info;    /* .fd is owned here */
    struct vfuc_area *areas;    /* owned; info.areas */
};

struct vuc_irq {
    bool known;
    struct vfuc_irq info;
};

/* Made by vfuc_region_map(), a list. */
struct vuc_mapping {
    struct vuc_mapping *next;
    void *addr;
    size_t len;
};

struct vfuc_client {
    const struct vuc_port *port;    /* NULL once the connection is closed */
    void *port_at;                  /* owned through port->close */
    int64_t timeout_ms;             /* for each message; negative: for ever */
    uint16_t next_id;

    struct vfuc_limits limits;      /* the server's */
    uint32_t max_transfer;          /* bytes in one region access of ours */

    bool device_known;
    struct vfuc_device device;
    struct vuc_region *regions;     /* owned, device.num_regions entries */
    struct vuc_irq *irqs;           /* owned, device.num_irqs entries */
    struct vuc_mapping *mappings;   /* owned */
    uint64_t n_windows;             /* DMA windows that the server holds */

    int last_errno;                 /* of the server's latest refusal */
    char last_error[VUC_ERROR_MAX];
};

/*
 * Make a client over a port and negotiate. Takes the port over in every case. The options
 * must have gone through vuc_options_read().
 */
int vuc_client_open(const struct vuc_port *port, void *at,
                    const struct vfuc_options *options, struct vfuc_client **client);

/* A checked copy of what the caller gave (NULL too), defaults filled in. 0 or -EINVAL. */
int vuc_options_read(const struct vfuc_options *given, struct vfuc_options *options);

/* The largest message that a server may send to a client with these options. */
uint32_t vuc_max_message(const struct vfuc_options *options);

/* VERSION: agree with the server, fill client->limits. */
int vuc_negotiate(struct vfuc_client *client, const struct vfuc_options *options);

/* Note the sentence for the latest failure. */
void vuc_note(struct vfuc_client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Note the sentence for a failure; the value is err. */
#define vuc_fail(client, err, ...) (vuc_note(client, __VA_ARGS__), (err))

/* The server broke the protocol: note how, close. The value is -EPROTO. */
#define vuc_broken(client, ...) \
    (vuc_note(client, __VA_ARGS__), vuc_disconnect(client), -EPROTO)

/* End the connection; the client itself stays. Harmless when it is closed already. */
void vuc_disconnect(struct vfuc_client *client);

/* Is this an open descriptor? 0 or -EBADF. */
int vuc_check_fd(struct vfuc_client *client, int fd);

/* The device, asked for the first time. 0 or negative errno. */
int vuc_device_known(struct vfuc_client *client);

void vuc_regions_done(struct vfuc_client *client);

#endif
