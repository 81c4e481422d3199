/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user-client.h: drive a PCI device that another process serves.
 *
 *   struct vfuc_client *dev;
 *   uint32_t id;
 *
 *   if (vfuc_connect("/run/dev.sock", NULL, &dev) == 0) {
 *       if (vfuc_region_read(dev, VFUC_PCI_CONFIG, 0, &id, sizeof(id)) == 0)
 *           printf("%04x:%04x\n", id & 0xffff, id >> 16);
 *       vfuc_close(dev);
 *   }
 *
 * Calls block, each message at most as long as vfuc_set_timeout_ms() says; a signal does
 * not end the wait. For event loops there is a second form that never waits, see
 * "without waiting" below. While a call waits, and in vfuc_dispatch(), the library
 * answers the server's DMA_READ and DMA_WRITE out of the windows that were mapped.
 *
 * Threads: one at a time per client; different clients are independent. With
 * VFUC_TWIN_THREAD one further thread may be in vfuc_twin_dispatch() while another makes
 * any call but vfuc_close() and vfuc_reconnect(): windows are locked, a DMA request in
 * progress delays vfuc_dma_unmap() until it is done, and nothing else is shared.
 *
 * Errors are negative errno values, each with one meaning:
 *
 *   -EREMOTEIO   the server refused; vfuc_last_errno() is its reason
 *   -EPROTO      the server broke the protocol; the connection was closed
 *   -ETIMEDOUT   no reply in time; the connection was closed, so that a late reply cannot
 *                be mistaken for another one
 *   -ENOTCONN    the server is gone, or the connection was closed by an earlier failure
 *   -EINVAL      an argument makes no sense (the caller's fault; nothing was sent)
 *   -ERANGE      an index or range lies outside the device (nothing was sent)
 *   -EACCES      the region does not allow this kind of access (nothing was sent)
 *   -EBADF       a descriptor cannot be passed: it is not open (nothing was sent)
 *   -ENOTSUP     the server takes no descriptors (nothing was sent)
 *   -ENOSPC      the server's limit of DMA windows is reached (nothing was sent)
 *   -EEXIST      the window overlaps one that is mapped (nothing was sent)
 *   -E2BIG       more than one message can carry, where one is sent (nothing was sent)
 *   -EAGAIN      too much is on its way already; complete some (nothing was sent)
 *   -EBUSY       a callback of this client called it (nothing was sent)
 *   -EMFILE      a descriptor of the server found no room in our table
 *   -ENOMEM      out of memory; when it met a message, the connection was closed
 *
 * "Common errors" in the entries below are the first four, -ENOMEM and -EBUSY.
 * vfuc_last_error() tells the latest failure in a sentence. Nothing that a server sends
 * is used unchecked.
 *
 * When a connection ends, for whatever reason, everything that came from the server is
 * released at once: its descriptors are closed, and what vfuc_region_map() mapped becomes
 * private memory of zeros, at the same addresses. What the caller lent is kept (the
 * library holds copies of the descriptors of windows and eventfds), for vfuc_reconnect().
 *
 * The structs that the library hands out are its own, live until vfuc_close(), and may
 * grow at their end in later versions. Usable from C11 and C++17.
 */
#ifndef VFIO_USER_CLIENT_H
#define VFIO_USER_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One connection to one device. */
struct vfuc_client;

/* ----------------------------------------------------------- connecting -- */

#define VFUC_DEFAULT_TIMEOUT_MS 5000
#define VFUC_MAX_TRANSFER (UINT64_C(64) << 20)  /**< largest max_data_xfer_size */

/* .twin_socket: the server's DMA_READ and DMA_WRITE come over a socket of their own */
#define VFUC_TWIN_NONE   0u     /**< no: they come between the replies to our calls */
#define VFUC_TWIN_INLINE 1u     /**< if the server can; our calls serve both sockets */
#define VFUC_TWIN_THREAD 2u     /**< if the server can; only vfuc_twin_dispatch(), which
                                 *   another thread may call, serves the twin socket */

#define VFUC_MINOR_0 (-1)       /**< .minor: propose version 0.0 */
#define VFUC_MAX_PENDING 1024u  /**< most that .max_pending can be */

/**
 * What a client wants. Set .size and leave what does not matter 0:
 *
 *   struct vfuc_options options = { .size = sizeof(options), .timeout_ms = 500 };
 */
struct vfuc_options {
    size_t size;                 /**< sizeof(struct vfuc_options), so that it can grow */
    int timeout_ms;              /**< as vfuc_set_timeout_ms() */
    uint32_t max_msg_fds;        /**< descriptors we take with one message, up to 253;
                                  *   0: 16 */
    uint64_t max_data_xfer_size; /**< bytes of data in a message, either direction, up to
                                  *   VFUC_MAX_TRANSFER; bounds our buffers; 0: 1 MiB */
    uint64_t max_dma_maps;       /**< DMA windows we would like to have; 0: 65535 */
    uint64_t pgsizes;            /**< page sizes of our windows, ORed; 0: 4096 */
    char *error;                 /**< receives a sentence if connecting fails, or NULL */
    size_t error_len;            /**< bytes at .error; longer sentences are cut */
    uint32_t twin_socket;        /**< VFUC_TWIN_ */
    uint32_t max_pending;        /**< commands that may be on their way at a time, for the
                                  *   calls that do not wait; 0: 256 */
    int minor;                   /**< protocol version to propose, 0.minor; 0: the newest
                                  *   that the library knows; VFUC_MINOR_0 */
    const char *capabilities;    /**< JSON to propose as it is; "": no version data at
                                  *   all; NULL: the library's own, made of the fields
                                  *   above. What it says of our limits must not exceed
                                  *   them */
};

/**
 * Connect to a server's socket and agree on version and limits.
 *
 * @param path     the listening UNIX socket
 * @param options  NULL for the defaults; copied
 * @param client   receives the client on success; the caller ends it with vfuc_close()
 *
 * @retval 0              connected, and the server has agreed
 * @retval -EINVAL        an option is out of bounds
 * @retval -ENAMETOOLONG  the path is longer than a socket address can hold
 * @retval -ETIMEDOUT     not accepted, or no reply, in time
 * @retval -EREMOTEIO, -EPROTO, -ENOTCONN, -EMFILE, -ENOMEM  as at the top of this file
 * @retval other          what socket(2) and connect(2) report: -ENOENT, -ECONNREFUSED ...
 *
 * Source: vfio-user specification, VFIO_USER_VERSION.
 */
int
vfuc_connect(const char *path, const struct vfuc_options *options,
             struct vfuc_client **client);

/**
 * As vfuc_connect(), over a connected UNIX stream socket.
 *
 * @param fd       taken over in every case: on failure it is closed
 * @param options  as in vfuc_connect()
 * @param client   as in vfuc_connect()
 *
 * @retval as vfuc_connect(), but for the errors of connect(2) itself
 */
int
vfuc_connect_fd(int fd, const struct vfuc_options *options, struct vfuc_client **client);

/**
 * End the connection and release everything: socket, the server's descriptors, mappings
 * made by vfuc_region_map(), and the structs that were handed out.
 *
 * @param client  NULL is fine
 */
void
vfuc_close(struct vfuc_client *client);

/**
 * Connect again and put everything back: DMA windows, eventfds, and the mappings of
 * regions, in place. For a server that was restarted, or a connection that was closed.
 *
 * A connection that is still open is closed first. The server must show the same device:
 * as many regions and interrupt indices, and those that were asked for with the same
 * sizes, flags and mappable areas. What the caller has set up is sent in the order in
 * which clients attach: windows, then interrupts. State of the device itself (registers,
 * migration, DMA logging) is not restored: the caller resets or restores as it sees fit.
 * Commands that were on their way are completed with -ENOTCONN.
 *
 * While nobody listens at the path, or who listens hangs up, it tries again until the
 * time of vfuc_set_timeout_ms() is over.
 *
 * @param client  made by vfuc_connect(); no other thread may be in a call
 *
 * @retval 0            as before
 * @retval -ENOTSUP     made by vfuc_connect_fd(): see vfuc_reconnect_fd()
 * @retval -ESTALE      the server shows another device; the connection was closed
 * @retval -EREMOTEIO   the server refused a window or eventfd; the connection was closed
 * @retval as vfuc_connect()
 *
 * After a failure the connection is closed and all is kept, so it may be called again.
 *
 * Source: vfio-user specification, "Device disconnect and reconnect".
 */
int
vfuc_reconnect(struct vfuc_client *client);

/**
 * As vfuc_reconnect(), over a connected UNIX stream socket.
 *
 * @param client  any client
 * @param fd      taken over in every case
 *
 * @retval as vfuc_reconnect()
 */
int
vfuc_reconnect_fd(struct vfuc_client *client, int fd);

/**
 * How long to wait for the reply to each message.
 *
 * A call that sends several (a long read) may take that long for each of them. Resets and
 * the like may need more than the default; set it around such a call.
 *
 * @param client      a connected client
 * @param timeout_ms  above 0: milliseconds; 0: VFUC_DEFAULT_TIMEOUT_MS; below: for ever
 */
void
vfuc_set_timeout_ms(struct vfuc_client *client, int timeout_ms);

/**
 * The socket, for poll(2): readable when the server has sent a command of its own or a
 * reply (vfuc_dispatch() or vfuc_complete() deal with both) or has gone.
 *
 * @param client  a connected client
 * @return the descriptor, still the client's, or -1 when the connection is closed
 */
int
vfuc_fd(const struct vfuc_client *client);

/**
 * Deal with what the server sent between our calls, without waiting for more: DMA
 * requests are answered from the windows, other commands with an error; replies are kept
 * for vfuc_complete(). The other calls do the same while they wait. An event loop calls
 * this when vfuc_fd() (or, with VFUC_TWIN_INLINE, vfuc_twin_fd()) is ready for its poll
 * events, until it gives 0; after a blocking call, vfuc_poll_timeout_ms() says 0 when
 * there is something to deal with already.
 *
 * @param client  a connected client
 * @return how many messages were dealt with (0: nothing is left), or a common error
 *         (-ENOTCONN tells of a server that has left)
 */
int
vfuc_dispatch(struct vfuc_client *client);

/**
 * The twin socket, for poll(2): readable when the server has sent a DMA request.
 *
 * @param client  a connected client
 * @return the descriptor, still the client's, or -1: none was agreed on, or closed
 */
int
vfuc_twin_fd(const struct vfuc_client *client);

/**
 * What to wait for at vfuc_twin_fd(), as vfuc_poll_events() says for vfuc_fd(). An answer
 * that is larger than what the socket holds leaves as the server reads it. With
 * VFUC_TWIN_THREAD only the thread that dispatches may ask.
 *
 * @param client  a connected client with a twin socket
 * @return POLLIN, with POLLOUT when something is waiting to be sent; POLLOUT alone when
 *         that is so much that nothing more is read
 */
short
vfuc_twin_poll_events(const struct vfuc_client *client);

/**
 * Serve DMA requests of the twin socket. With VFUC_TWIN_THREAD, this is the call that a
 * thread of its own makes in a loop.
 *
 * @param client      a connected client with a twin socket
 * @param timeout_ms  how long to wait for the first request; 0: not at all; below: for
 *                    ever
 * @return how many requests were answered (0: none came in time), or -ENOTCONN (the
 *         connection has ended, also by the other thread), -EPROTO, -ENOMEM, -EINVAL (no
 *         twin socket was agreed on). vfuc_last_error() is not set by the other thread's
 *         failures here: the next call of the client's own thread tells.
 */
int
vfuc_twin_dispatch(struct vfuc_client *client, int timeout_ms);

/**
 * The latest failure of this client in a sentence, "" when there was none.
 *
 * @param client  any client
 * @return text of the client's, valid until its next call
 */
const char *
vfuc_last_error(const struct vfuc_client *client);

/**
 * The errno that came with the server's latest refusal (-EREMOTEIO).
 *
 * @param client  any client
 * @return a positive errno, or 0 when the server gave no usable one
 */
int
vfuc_last_errno(const struct vfuc_client *client);

/** What the two sides have agreed on: the server's limits, with defaults filled in. */
struct vfuc_limits {
    uint16_t version_major;
    uint16_t version_minor;
    uint32_t max_msg_fds;        /**< descriptors that the server takes with a message */
    uint64_t max_data_xfer_size; /**< bytes of data it takes or gives in one message */
    uint64_t max_dma_maps;       /**< DMA windows at one time */
    uint64_t pgsizes;            /**< page sizes for DMA windows, ORed */
    bool twin_socket;            /**< DMA requests come over vfuc_twin_fd() */
    bool write_multiple;         /**< vfuc_region_write_multi() is one message */
    bool sparse_mmap_fds;        /**< areas may have descriptors of their own */
};

/**
 * The outcome of the negotiation.
 *
 * @param client  a connected client
 * @return never NULL; owned by the client
 */
const struct vfuc_limits *
vfuc_negotiated(const struct vfuc_client *client);

/* --------------------------------------------------------------- device -- */

/* Device flags */
#define VFUC_DEVICE_RESET 0x1u  /**< vfuc_reset() works */
#define VFUC_DEVICE_PCI   0x2u

/* More than these in a reply is a broken protocol. */
#define VFUC_MAX_REGIONS 256u
#define VFUC_MAX_IRQS    256u
#define VFUC_MAX_VECTORS 65536u

struct vfuc_device {
    uint32_t flags;         /**< VFUC_DEVICE_ */
    uint32_t num_regions;
    uint32_t num_irqs;      /**< kinds of interrupts, not vectors */
};

/**
 * What the device is. Asked once, by whichever call needs it first; then kept.
 *
 * @param client  a connected client
 * @param device  receives a pointer to a struct of the client's
 *
 * @retval 0  or a common error
 *
 * Source: vfio-user specification, VFIO_USER_DEVICE_GET_INFO.
 */
int
vfuc_device_info(struct vfuc_client *client, const struct vfuc_device **device);

/**
 * Number of region indices.
 *
 * @param client  a connected client
 * @return the number, or a common error
 */
int
vfuc_region_count(struct vfuc_client *client);

/**
 * Number of interrupt indices.
 *
 * @param client  a connected client
 * @return the number, or a common error
 */
int
vfuc_irq_count(struct vfuc_client *client);

/**
 * Put the device into its initial state. DMA windows and eventfds stay.
 *
 * @param client  a connected client
 *
 * @retval 0           the reset is complete
 * @retval -EREMOTEIO  among others when the device cannot be reset (VFUC_DEVICE_RESET)
 * @retval common errors
 *
 * Source: vfio-user specification, VFIO_USER_DEVICE_RESET.
 */
int
vfuc_reset(struct vfuc_client *client);

/* -------------------------------------------------------------- regions -- */

/** Region indices of a PCI device; BAR n is index n. */
enum vfuc_pci_region {
    VFUC_PCI_BAR0 = 0,
    VFUC_PCI_BAR1 = 1,
    VFUC_PCI_BAR2 = 2,
    VFUC_PCI_BAR3 = 3,
    VFUC_PCI_BAR4 = 4,
    VFUC_PCI_BAR5 = 5,
    VFUC_PCI_ROM = 6,
    VFUC_PCI_CONFIG = 7,
    VFUC_PCI_VGA = 8
};

/* Region flags */
#define VFUC_REGION_READ  0x1u
#define VFUC_REGION_WRITE 0x2u
#define VFUC_REGION_MMAP  0x4u  /**< at least a part may be mapped */

/** A part of a region that may be mapped. */
struct vfuc_area {
    uint64_t offset;            /**< from the start of the region */
    uint64_t size;
    uint64_t fd_offset;         /**< in fd, of the area's first byte */
    int fd;                     /**< the client's; areas may share one; -1 once the
                                 *   connection has ended */
};

struct vfuc_region {
    uint32_t index;
    uint32_t flags;             /**< VFUC_REGION_ */
    uint64_t size;              /**< bytes; 0: there is no such region */
    const struct vfuc_area *areas; /**< what may be mapped, by offset, disjoint */
    uint32_t num_areas;
    int fd;                     /**< behind the areas, or -1: not mappable, descriptors
                                 *   per area, or the connection has ended */
    uint64_t fd_offset;         /**< in fd, of the region's first byte */
    bool msix_mappable;         /**< the MSI-X table may lie in an area */
    bool has_type;              /**< device-specific regions: type and subtype are set */
    uint32_t type;
    uint32_t subtype;
};

/**
 * What a region is. Asked once, by whichever call needs it first; then kept.
 *
 * @param client  a connected client
 * @param index   below vfuc_region_count()
 * @param region  receives a pointer to a struct of the client's
 *
 * @retval 0        also for regions that the device does not have
 * @retval -ERANGE  there is no such index
 * @retval -EMFILE  the descriptor behind the region found no room
 * @retval common errors
 *
 * Source: vfio-user specification, VFIO_USER_DEVICE_GET_REGION_INFO.
 */
int
vfuc_region_info(struct vfuc_client *client, uint32_t index,
                 const struct vfuc_region **region);

/**
 * Read device registers or memory by message.
 *
 * Longer reads than one message can carry take several, in ascending order.
 *
 * @param client  a connected client
 * @param index   region index
 * @param offset  first byte to read, counted from the start of the region
 * @param buf     receives @p len bytes; contents undefined on failure
 * @param len     bytes to read, at least 1
 *
 * @retval 0        all bytes were read
 * @retval -EINVAL  @p len is 0
 * @retval -ERANGE  the range is outside the region, or there is no such region
 * @retval -EACCES  the region cannot be read
 * @retval common errors, and those of vfuc_region_info() the first time
 *
 * Source: vfio-user specification, VFIO_USER_REGION_READ.
 */
int
vfuc_region_read(struct vfuc_client *client, uint32_t index, uint64_t offset, void *buf,
                 size_t len);

/**
 * Write device registers or memory by message.
 *
 * Longer writes than one message can carry take several, in ascending order; after a
 * failure the first ones may have been done.
 *
 * @param client  a connected client
 * @param index   region index
 * @param offset  first byte to write, counted from the start of the region
 * @param buf     the bytes
 * @param len     bytes to write, at least 1
 *
 * @retval 0        all bytes were written
 * @retval -EINVAL  @p len is 0
 * @retval -ERANGE  the range is outside the region, or there is no such region
 * @retval -EACCES  the region cannot be written
 * @retval common errors, and those of vfuc_region_info() the first time
 *
 * Source: vfio-user specification, VFIO_USER_REGION_WRITE.
 */
int
vfuc_region_write(struct vfuc_client *client, uint32_t index, uint64_t offset,
                  const void *buf, size_t len);

/**
 * Write without waiting: as vfuc_region_write(), but the server does not answer, and a
 * failure there stays unknown. It is done before the next call that is answered.
 *
 * @param client  a connected client
 * @param index   region index
 * @param offset  first byte to write, counted from the start of the region
 * @param buf     the bytes
 * @param len     bytes to write, at least 1
 *
 * @retval 0  the bytes are on their way
 * @retval as vfuc_region_write(), but for -EREMOTEIO
 *
 * Source: vfio-user specification, VFIO_USER_REGION_WRITE, No_reply.
 */
int
vfuc_region_write_posted(struct vfuc_client *client, uint32_t index, uint64_t offset,
                         const void *buf, size_t len);

/* Protection of a mapping */
#define VFUC_MAP_READ  0x1u
#define VFUC_MAP_WRITE 0x2u

/**
 * Map a part of a region, to be read and written without messages.
 *
 * The server shares this memory and can shrink the file behind it at any time; an access
 * raises SIGBUS then. How accesses to a mapping are ordered with messages is undefined.
 *
 * @param client  a connected client
 * @param index   region index
 * @param offset  first byte, from the start of the region; a multiple of the page size
 * @param len     bytes, at least 1; the range must lie in one of the region's areas
 * @param prot    VFUC_MAP_ flags
 * @param addr    receives the address; good until vfuc_region_unmap() or vfuc_close().
 *                When the connection ends it becomes private memory of zeros, and after
 *                vfuc_reconnect() the region again
 *
 * @retval 0        mapped
 * @retval -EINVAL  @p offset, @p len or @p prot make no sense
 * @retval -ERANGE  the range is outside the region
 * @retval -EACCES  the server does not offer this range, or not for this protection
 * @retval -ENXIO   the server's file ends before the range does
 * @retval -ENODEV  the server's descriptor cannot be mapped like this
 * @retval common errors, and those of vfuc_region_info() the first time
 */
int
vfuc_region_map(struct vfuc_client *client, uint32_t index, uint64_t offset, size_t len,
                unsigned prot, void **addr);

/**
 * Undo vfuc_region_map(). Works on a closed connection too.
 *
 * @param client  the client that made the mapping
 * @param addr    what it gave
 *
 * @retval 0        unmapped
 * @retval -EINVAL  there is no such mapping
 * @retval -EBUSY   a callback of this client called it
 */
int
vfuc_region_unmap(struct vfuc_client *client, void *addr);

/** One small write, for vfuc_region_write_multi(). */
struct vfuc_write {
    uint64_t offset;            /**< from the start of the region */
    uint32_t index;             /**< region index */
    uint32_t len;               /**< bytes of data used, 1 to 8 */
    uint8_t data[8];
};

/**
 * Do several small writes in order, to any regions.
 *
 * As few messages as possible when vfuc_negotiated() says write_multiple, else one
 * message for each write. The server stops at the first write that it refuses.
 *
 * @param client  a connected client
 * @param writes  the writes
 * @param count   entries of @p writes, at least 1
 * @param done    receives the number of writes that were done, also when the server
 *                refused (-EREMOTEIO; then it may be less than were done); or NULL
 *
 * @retval 0        all were done
 * @retval -EINVAL  @p count is 0, or an entry's len is not 1 to 8
 * @retval -ERANGE, -EACCES  of any entry: nothing was sent
 * @retval common errors, and those of vfuc_region_info() the first time
 *
 * Source: vfio-user specification, VFIO_USER_REGION_WRITE_MULTI.
 */
int
vfuc_region_write_multi(struct vfuc_client *client, const struct vfuc_write *writes,
                        size_t count, size_t *done);

/**
 * As vfuc_region_write_multi(), but the server does not answer; all leave in one go.
 *
 * @param client  a connected client
 * @param writes  the writes
 * @param count   entries of @p writes, at least 1
 *
 * @retval 0  the writes are on their way
 * @retval as vfuc_region_write_multi(), but for -EREMOTEIO
 */
int
vfuc_region_write_multi_posted(struct vfuc_client *client,
                               const struct vfuc_write *writes, size_t count);

/* Types of region IO descriptors */
#define VFUC_IO_FD_IOEVENTFD        0u  /**< an eventfd: the client writes it */
#define VFUC_IO_FD_IOREGIONFD       1u
#define VFUC_IO_FD_IOEVENTFD_SHADOW 2u  /**< an extension of some servers */

/** A part of a region that can be accessed through a descriptor. */
struct vfuc_io_fd {
    uint64_t offset;            /**< from the start of the region */
    uint64_t size;              /**< bytes of an access; 0: any */
    uint64_t data;              /**< datamatch of an ioeventfd, user data of an
                                 *   ioregionfd */
    uint32_t type;              /**< VFUC_IO_FD_ */
    uint32_t flags;             /**< as KVM_IOEVENTFD or KVM_IOREGION take them */
    int fd;                     /**< the client's; entries may share one; -1: none came */
};

/**
 * Descriptors through which a hypervisor can deliver accesses without the client.
 *
 * Asked once and kept, as vfuc_region_info().
 *
 * @param client   a connected client
 * @param index    below vfuc_region_count()
 * @param entries  receives a pointer to an array of the client's
 *
 * @return number of entries, 0 when the region has none, or
 * @retval -ERANGE     there is no such index
 * @retval -EREMOTEIO  among others from servers that do not know the command
 * @retval -EMFILE     a descriptor found no room
 * @retval common errors
 *
 * Source: vfio-user specification, VFIO_USER_DEVICE_GET_REGION_IO_FDS.
 */
int
vfuc_region_io_fds(struct vfuc_client *client, uint32_t index,
                   const struct vfuc_io_fd **entries);

/* ----------------------------------------------------------- interrupts -- */

/** Interrupt indices of a PCI device. */
enum vfuc_pci_irq {
    VFUC_PCI_INTX = 0,
    VFUC_PCI_MSI = 1,
    VFUC_PCI_MSIX = 2,
    VFUC_PCI_ERR = 3,
    VFUC_PCI_REQ = 4
};

/* Interrupt flags */
#define VFUC_IRQ_EVENTFD    0x1u    /**< vfuc_irq_assign() works */
#define VFUC_IRQ_MASKABLE   0x2u
#define VFUC_IRQ_AUTOMASKED 0x4u    /**< masked when it fires, until vfuc_irq_unmask() */
#define VFUC_IRQ_NORESIZE   0x8u    /**< more vectors only after vfuc_irq_disable() */

struct vfuc_irq {
    uint32_t index;
    uint32_t flags;         /**< VFUC_IRQ_ */
    uint32_t num_vectors;   /**< 0: the device has no such interrupts */
};

/**
 * What an interrupt index is. Asked once, by whichever call needs it first; then kept.
 *
 * @param client  a connected client
 * @param index   below vfuc_irq_count()
 * @param irq     receives a pointer to a struct of the client's
 *
 * @retval 0        also for kinds that the device does not have
 * @retval -ERANGE  there is no such index
 * @retval common errors
 *
 * Source: vfio-user specification, VFIO_USER_DEVICE_GET_IRQ_INFO.
 */
int
vfuc_irq_info(struct vfuc_client *client, uint32_t index, const struct vfuc_irq **irq);

/**
 * Have vectors signal eventfds: descriptor i is written when vector @p start + i fires.
 *
 * Takes several messages when the server's max_msg_fds demands it, or when assigned and
 * absent vectors mix; if one is refused, those before it have taken effect.
 *
 * @param client  a connected client
 * @param index   interrupt index
 * @param start   first vector
 * @param fds     eventfds, lent for the call (the server gets copies, and the library
 *                keeps one for vfuc_reconnect()); -1: none any more
 * @param count   entries of @p fds, at least 1
 *
 * @retval 0         done
 * @retval -EINVAL   @p count is 0
 * @retval -ERANGE   there is no such index or vector
 * @retval -EBADF    an entry is neither -1 nor an open descriptor
 * @retval -EMFILE   no room for our copies of the descriptors (nothing was sent)
 * @retval -ENOTSUP  the server takes no descriptors
 * @retval common errors, and those of vfuc_irq_info() the first time
 *
 * Source: vfio-user specification, VFIO_USER_DEVICE_SET_IRQS.
 */
int
vfuc_irq_assign(struct vfuc_client *client, uint32_t index, uint32_t start,
                const int *fds, uint32_t count);

/**
 * As vfuc_irq_assign(), with eventfds that the library makes (non-blocking) and owns.
 *
 * Vectors that have such an eventfd already keep it.
 *
 * @param client  a connected client
 * @param index   interrupt index
 * @param start   first vector
 * @param count   number of vectors, at least 1
 *
 * @retval 0        vfuc_irq_fd() has them
 * @retval -EMFILE  no room for that many descriptors (nothing was sent)
 * @retval as vfuc_irq_assign()
 */
int
vfuc_irq_enable(struct vfuc_client *client, uint32_t index, uint32_t start,
                uint32_t count);

/**
 * The eventfd that vfuc_irq_enable() made for a vector.
 *
 * @param client  any client
 * @param index   interrupt index
 * @param vector  vector
 * @return the descriptor, the client's until vfuc_irq_disable(), vfuc_irq_assign() of
 *         that vector, or vfuc_close(); it stays when the connection ends. Or -1: there
 *         is none
 */
int
vfuc_irq_fd(const struct vfuc_client *client, uint32_t index, uint32_t vector);

/**
 * Wait until a vector of vfuc_irq_enable() fires, serving DMA requests meanwhile.
 *
 * @param client      a connected client
 * @param index       interrupt index
 * @param vector      vector
 * @param timeout_ms  0: do not wait; below: for ever
 * @param count       receives how often it has fired since the last time; or NULL
 *
 * @retval 0           it has fired; the count starts again
 * @retval -ETIMEDOUT  it has not; the connection stays
 * @retval -EINVAL     the vector has no eventfd of the library's
 * @retval common errors
 */
int
vfuc_irq_wait(struct vfuc_client *client, uint32_t index, uint32_t vector, int timeout_ms,
              uint64_t *count);

/**
 * Switch a whole index off; the server drops all its eventfds.
 *
 * @param client  a connected client
 * @param index   interrupt index
 *
 * @retval 0        done
 * @retval -ERANGE  there is no such index
 * @retval common errors
 *
 * Source: vfio-user specification, VFIO_USER_DEVICE_SET_IRQS.
 */
int
vfuc_irq_disable(struct vfuc_client *client, uint32_t index);

/**
 * Hold vectors back.
 *
 * @param client  a connected client
 * @param index   interrupt index
 * @param start   first vector
 * @param count   number of vectors, at least 1
 *
 * @retval 0           done
 * @retval -EINVAL     @p count is 0
 * @retval -ERANGE     there is no such index or vector
 * @retval -EREMOTEIO  among others when the index cannot be masked (VFUC_IRQ_MASKABLE)
 * @retval common errors, and those of vfuc_irq_info() the first time
 *
 * Source: vfio-user specification, VFIO_USER_DEVICE_SET_IRQS.
 */
int
vfuc_irq_mask(struct vfuc_client *client, uint32_t index, uint32_t start, uint32_t count);

/**
 * Let masked vectors through again.
 *
 * @param client  a connected client
 * @param index   interrupt index
 * @param start   first vector
 * @param count   number of vectors, at least 1
 *
 * @retval as vfuc_irq_mask()
 *
 * Source: vfio-user specification, VFIO_USER_DEVICE_SET_IRQS.
 */
int
vfuc_irq_unmask(struct vfuc_client *client, uint32_t index, uint32_t start,
                uint32_t count);

/**
 * Fire vectors as the device would, for tests.
 *
 * @param client  a connected client
 * @param index   interrupt index
 * @param start   first vector
 * @param count   number of vectors, at least 1
 *
 * @retval 0        the eventfds that are assigned have been signalled
 * @retval -EINVAL  @p count is 0
 * @retval -ERANGE  there is no such index or vector
 * @retval common errors, and those of vfuc_irq_info() the first time
 *
 * Source: vfio-user specification, VFIO_USER_DEVICE_SET_IRQS.
 */
int
vfuc_irq_trigger(struct vfuc_client *client, uint32_t index, uint32_t start,
                 uint32_t count);

/* What vfuc_irq_some() and vfuc_irq_notify() do */
#define VFUC_IRQ_MASK    0x08u
#define VFUC_IRQ_UNMASK  0x10u
#define VFUC_IRQ_TRIGGER 0x20u

/**
 * Mask, unmask or fire those vectors of a range that are chosen, with one message.
 *
 * @param client  a connected client
 * @param index   interrupt index
 * @param action  one of VFUC_IRQ_MASK, VFUC_IRQ_UNMASK, VFUC_IRQ_TRIGGER
 * @param start   first vector
 * @param chosen  one byte for each vector: 0 or not
 * @param count   entries of @p chosen, at least 1
 *
 * @retval as vfuc_irq_mask(); -EINVAL for another action, -E2BIG beyond the server's
 *         max_data_xfer_size (but 4096 vectors always fit)
 *
 * Source: vfio-user specification, VFIO_USER_DEVICE_SET_IRQS, DATA_BOOL.
 */
int
vfuc_irq_some(struct vfuc_client *client, uint32_t index, uint32_t action, uint32_t start,
              const uint8_t *chosen, uint32_t count);

/**
 * Give the server eventfds that go with masking or unmasking instead of firing.
 *
 * With VFUC_IRQ_UNMASK, the side that may signal it is disputed: a kernel's device
 * unmasks when the client signals it.
 *
 * @param client  a connected client
 * @param index   interrupt index
 * @param action  VFUC_IRQ_MASK or VFUC_IRQ_UNMASK
 * @param start   first vector
 * @param fds     as in vfuc_irq_assign()
 * @param count   entries of @p fds, at least 1
 *
 * @retval as vfuc_irq_assign(); -EINVAL for another action
 *
 * Source: vfio-user specification, VFIO_USER_DEVICE_SET_IRQS, DATA_EVENTFD.
 */
int
vfuc_irq_notify(struct vfuc_client *client, uint32_t index, uint32_t action,
                uint32_t start, const int *fds, uint32_t count);

/* ------------------------------------------------------------------ DMA -- */

/* What the device may do with a window */
#define VFUC_DMA_READ    0x1u
#define VFUC_DMA_WRITE   0x2u
/* How, with a descriptor: one of these, or neither, then the server chooses. Not all
 * servers know them. */
#define VFUC_DMA_MMAP    0x4u
#define VFUC_DMA_FILE_IO 0x8u

/**
 * Let the device reach a window of memory.
 *
 * DMA requests that come as messages are answered by reading and writing @p fd, never
 * beyond its end at that time; without one, by the handlers of vfuc_set_dma_handlers().
 *
 * @param client   a connected client
 * @param address  the window's first address, as the device sees it
 * @param size     bytes, at least 1; may end at 2^64
 * @param flags    VFUC_DMA_
 * @param fd       the memory behind the window, lent for the call (the server gets a
 *                 copy, and the library keeps one, one for all windows of a regular
 *                 file), or -1: the server may not map it
 * @param offset   of the window in @p fd; 0 without one
 *
 * @retval 0           the device can reach it now
 * @retval -EINVAL     the range wraps around, a flag is unknown, or an offset has no fd
 * @retval -EBADF      @p fd is neither -1 nor open
 * @retval -ENOTSUP    the server takes no descriptors
 * @retval -ENOSPC     the negotiated max_dma_maps windows exist already
 * @retval -EEXIST     it overlaps a window that is mapped
 * @retval -EMFILE     no room for our copy of the descriptor (nothing was sent)
 * @retval common errors
 *
 * Source: vfio-user specification, VFIO_USER_DMA_MAP.
 */
int
vfuc_dma_map(struct vfuc_client *client, uint64_t address, uint64_t size, uint32_t flags,
             int fd, uint64_t offset);

/**
 * As vfuc_dma_map(), with the memory at hand: DMA requests that come as messages are
 * answered from there.
 *
 * @param client   a connected client
 * @param address  the window's first address, as the device sees it
 * @param size     bytes, at least 1
 * @param flags    VFUC_DMA_
 * @param memory   @p size bytes, lent until the window is gone (unmapped, or the client
 *                 closed); read only unless VFUC_DMA_WRITE. Not the mapping of a file
 *                 that the server could shrink: the access would raise SIGBUS
 * @param fd       as in vfuc_dma_map(), of the same memory; -1: the server may not map it
 * @param offset   of the window in @p fd; 0 without one
 *
 * @retval as vfuc_dma_map(); -EINVAL also for @p memory NULL
 */
int
vfuc_dma_map_memory(struct vfuc_client *client, uint64_t address, uint64_t size,
                    uint32_t flags, void *memory, int fd, uint64_t offset);

/**
 * What answers a DMA request for a window without memory and descriptor.
 *
 * Called by the thread that dispatches. It must not call this client (-EBUSY).
 *
 * @param opaque   as given to vfuc_set_dma_handlers()
 * @param address  first address; the range lies in one such window that allows it
 * @param data     @p count bytes: to fill in (read), or what the device writes
 * @param count    bytes, at least 1
 * @return 0, or a negative errno that the server is told. What a read leaves as it was is
 *         zeros
 */
typedef int vfuc_dma_read_fn(void *opaque, uint64_t address, void *data, size_t count);
typedef int vfuc_dma_write_fn(void *opaque, uint64_t address, const void *data,
                              size_t count);

/**
 * Set what answers DMA requests for windows without memory and descriptor. At first they
 * are refused. To be called while no thread dispatches.
 *
 * @param client  any client
 * @param read    NULL: the device's reads are refused
 * @param write   NULL: the device's writes are refused
 * @param opaque  passed on
 */
void
vfuc_set_dma_handlers(struct vfuc_client *client, vfuc_dma_read_fn *read,
                      vfuc_dma_write_fn *write, void *opaque);

/**
 * Take a window away. When this returns 0 the server has dropped the memory.
 *
 * @param client   a connected client
 * @param address  as it was mapped
 * @param size     as it was mapped; a part of a window cannot be unmapped
 *
 * @retval 0        done
 * @retval -EINVAL  @p size is 0
 * @retval common errors
 *
 * Source: vfio-user specification, VFIO_USER_DMA_UNMAP.
 */
int
vfuc_dma_unmap(struct vfuc_client *client, uint64_t address, uint64_t size);

/**
 * Take all windows away with one message. An extension: servers may refuse it.
 *
 * @param client  a connected client
 *
 * @retval 0  done, or a common error
 *
 * Source: VFIO_DMA_UNMAP_FLAG_ALL of linux/vfio.h, in VFIO_USER_DMA_UNMAP.
 */
int
vfuc_dma_unmap_all(struct vfuc_client *client);

/* ---------------------------------------------------------- DMA logging -- */

/** A range of DMA addresses. */
struct vfuc_range {
    uint64_t address;
    uint64_t size;              /**< bytes */
};

/** Pages that the device wrote: a bitmap, and an iterator over its runs. */
struct vfuc_dirty;

/**
 * Have the server note which pages the device writes. Pages that it writes by message are
 * noted by the library, and both are reported together.
 *
 * @param client     a connected client
 * @param page_size  bytes for a bit, a power of two; a wish
 * @param ranges     what to watch; NULL with @p count 0: everything
 * @param count      entries of @p ranges
 * @param chosen     receives the page size that the server has chosen; or NULL
 *
 * @retval 0           from now on
 * @retval -EINVAL     page_size is no power of two, or a range is empty or wraps around
 * @retval -E2BIG      more ranges than one message can carry
 * @retval -EREMOTEIO  among others when the server cannot
 * @retval common errors
 *
 * Source: vfio-user specification, VFIO_DEVICE_FEATURE_DMA_LOGGING_START.
 */
int
vfuc_dma_logging_start(struct vfuc_client *client, uint64_t page_size,
                       const struct vfuc_range *ranges, uint32_t count,
                       uint64_t *chosen);

/**
 * End it. What was noted is forgotten.
 *
 * @param client  a connected client
 *
 * @retval 0  or a common error
 *
 * Source: vfio-user specification, VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP.
 */
int
vfuc_dma_logging_stop(struct vfuc_client *client);

/**
 * Which pages were written since logging started or they were last reported; they are
 * clean then.
 *
 * Of windows without a descriptor only the library knows; the server is not asked.
 *
 * @param client     a connected client
 * @param address    start of the range; some servers want exactly a window
 * @param size       bytes, at least 1; more than one reply can carry takes several
 * @param page_size  bytes for a bit of the answer, a power of two
 * @param dirty      receives the pages, owned by the caller: vfuc_dirty_free()
 *
 * @retval 0           known
 * @retval -EINVAL     a value makes no sense, or logging was not started
 * @retval -EREMOTEIO  among others for a range that is not mapped
 * @retval common errors
 *
 * Source: vfio-user specification, VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT.
 */
int
vfuc_dma_logging_report(struct vfuc_client *client, uint64_t address, uint64_t size,
                        uint64_t page_size, struct vfuc_dirty **dirty);

/**
 * vfuc_dma_unmap() with a last report. An extension: servers may refuse it.
 *
 * @param client     a connected client
 * @param address    as it was mapped
 * @param size       as it was mapped
 * @param page_size  bytes for a bit of the answer, a power of two
 * @param dirty      receives the pages, owned by the caller: vfuc_dirty_free()
 *
 * @retval as vfuc_dma_unmap() and vfuc_dma_logging_report(); -E2BIG: the bitmap does not
 *         fit into a message. After a failure the window is still mapped
 *
 * Source: VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP of linux/vfio.h, in VFIO_USER_DMA_UNMAP.
 */
int
vfuc_dma_unmap_dirty(struct vfuc_client *client, uint64_t address, uint64_t size,
                     uint64_t page_size, struct vfuc_dirty **dirty);

/**
 * The next run of dirty pages, in ascending order.
 *
 * @param dirty  as it was reported
 * @param run    receives the run, cut to the reported range
 * @return false when there is none left
 */
bool
vfuc_dirty_next(struct vfuc_dirty *dirty, struct vfuc_range *run);

/**
 * Let vfuc_dirty_next() begin again.
 *
 * @param dirty  as it was reported
 */
void
vfuc_dirty_rewind(struct vfuc_dirty *dirty);

/**
 * How many pages are dirty.
 *
 * @param dirty  as it was reported
 * @return pages of the size that was asked for
 */
uint64_t
vfuc_dirty_count(const struct vfuc_dirty *dirty);

/**
 * The bitmap itself: page p is bit p % 64 of word p / 64.
 *
 * @param dirty  as it was reported
 * @param words  receives the number of words
 * @return the words, of @p dirty
 */
const uint64_t *
vfuc_dirty_bitmap(const struct vfuc_dirty *dirty, size_t *words);

/**
 * The end of a report.
 *
 * @param dirty  NULL is fine
 */
void
vfuc_dirty_free(struct vfuc_dirty *dirty);

/* ------------------------------------------------- features, migration -- */

enum vfuc_feature {
    VFUC_FEATURE_MIGRATION = 1,
    VFUC_FEATURE_MIG_DEVICE_STATE = 2,
    VFUC_FEATURE_DMA_LOGGING_START = 6,
    VFUC_FEATURE_DMA_LOGGING_STOP = 7,
    VFUC_FEATURE_DMA_LOGGING_REPORT = 8
};

/* Methods of a feature */
#define VFUC_FEATURE_GET 0x10000u
#define VFUC_FEATURE_SET 0x20000u

/**
 * Does the server have a feature?
 *
 * @param client   a connected client
 * @param feature  enum vfuc_feature, or any number below 65536
 * @param methods  VFUC_FEATURE_GET, VFUC_FEATURE_SET, both, or 0: the feature at all
 *
 * @retval 0           it has all of them
 * @retval -EREMOTEIO  it has not
 * @retval -EINVAL     no such number or method
 * @retval common errors
 *
 * Source: vfio-user specification, VFIO_USER_DEVICE_FEATURE.
 */
int
vfuc_feature_probe(struct vfuc_client *client, uint32_t feature, uint32_t methods);

/**
 * Get a feature's data.
 *
 * @param client   a connected client
 * @param feature  as in vfuc_feature_probe()
 * @param data     in: the first @p ask bytes are sent; out: what came
 * @param ask      bytes of @p data to send; 0 for most features
 * @param room     bytes at @p data, at least @p ask
 * @param got      receives how many came; what was sent is repeated in front
 *
 * @retval 0        at most @p room bytes came
 * @retval -EINVAL  a value makes no sense
 * @retval -E2BIG   @p room is more than a message can carry
 * @retval common errors
 */
int
vfuc_feature_get(struct vfuc_client *client, uint32_t feature, void *data, size_t ask,
                 size_t room, size_t *got);

/**
 * Set a feature.
 *
 * @param client   a connected client
 * @param feature  as in vfuc_feature_probe()
 * @param data     its data; NULL with @p len 0
 * @param len      bytes
 *
 * @retval 0        done
 * @retval -EINVAL  a value makes no sense
 * @retval -E2BIG   more than a message can carry
 * @retval common errors
 */
int
vfuc_feature_set(struct vfuc_client *client, uint32_t feature, const void *data,
                 size_t len);

/** What state of migration a device is in. */
enum vfuc_mig_state {
    VFUC_MIG_ERROR = 0,
    VFUC_MIG_STOP = 1,
    VFUC_MIG_RUNNING = 2,
    VFUC_MIG_STOP_COPY = 3,
    VFUC_MIG_RESUMING = 4,
    VFUC_MIG_RUNNING_P2P = 5,
    VFUC_MIG_PRE_COPY = 6,
    VFUC_MIG_PRE_COPY_P2P = 7
};

/* What migration can do */
#define VFUC_MIGRATION_STOP_COPY 0x1u
#define VFUC_MIGRATION_P2P       0x2u
#define VFUC_MIGRATION_PRE_COPY  0x4u

/**
 * Can the device be migrated, and how? Asked once, then kept.
 *
 * @param client  a connected client
 * @param flags   receives VFUC_MIGRATION_ flags
 *
 * @retval 0           it can
 * @retval -EREMOTEIO  it cannot
 * @retval common errors
 *
 * Source: vfio-user specification, VFIO_DEVICE_FEATURE_MIGRATION.
 */
int
vfuc_migration_flags(struct vfuc_client *client, uint64_t *flags);

/**
 * The state that the device is in.
 *
 * @param client  a connected client
 * @param state   receives it
 *
 * @retval 0  known, or a common error
 *
 * Source: vfio-user specification, VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE.
 */
int
vfuc_migration_state(struct vfuc_client *client, enum vfuc_mig_state *state);

/**
 * Lead the device into a state, by the shortest legal path, a message for each step. Asks
 * for the state that it is in first.
 *
 * @param client  a connected client
 * @param state   where to; P2P states only if the device has them
 *
 * @retval 0           the device is in that state
 * @retval -EINVAL     there is no legal path from where it is (nothing was changed)
 * @retval -EREMOTEIO  a step was refused; vfuc_migration_state() tells where it is
 * @retval common errors
 */
int
vfuc_migration_set_state(struct vfuc_client *client, enum vfuc_mig_state state);

/**
 * Read on in the device's outgoing stream (PRE_COPY, STOP_COPY).
 *
 * @param client  a connected client
 * @param buf     receives the bytes
 * @param len     bytes at @p buf, at least 1; more than fits into a message is not asked
 * @param got     receives how many came; less than was asked (see
 *                vfuc_migration_chunk()) means that there is no more: in PRE_COPY for
 *                now, in STOP_COPY at all
 *
 * @retval 0        done
 * @retval -EINVAL  @p len is 0
 * @retval common errors
 *
 * Source: vfio-user specification, VFIO_USER_MIG_DATA_READ.
 */
int
vfuc_migration_read(struct vfuc_client *client, void *buf, size_t len, size_t *got);

/**
 * Write on in the device's incoming stream (RESUMING). More than fits into a message
 * takes several.
 *
 * @param client  a connected client
 * @param buf     the bytes
 * @param len     bytes, at least 1
 *
 * @retval 0        all were taken
 * @retval -EINVAL  @p len is 0
 * @retval common errors
 *
 * Source: vfio-user specification, VFIO_USER_MIG_DATA_WRITE.
 */
int
vfuc_migration_write(struct vfuc_client *client, const void *buf, size_t len);

/**
 * Most bytes of migration data that one message carries.
 *
 * @param client  a connected client
 * @return bytes, at least 1
 */
size_t
vfuc_migration_chunk(const struct vfuc_client *client);

/**
 * "RUNNING", "STOP_COPY" and so on.
 *
 * @param state  any value
 * @return a constant; "state ?" for what is none
 */
const char *
vfuc_migration_state_name(enum vfuc_mig_state state);

/* ------------------------------------------------------ without waiting -- */

/*
 * For event loops, and for keeping several commands on their way:
 *
 *   vfuc_submit_region_read(dev, 0, 0, &a, 4, 1);
 *   vfuc_submit_region_read(dev, 0, 8, &b, 4, 2);
 *   ... poll vfuc_fd() for vfuc_poll_events(), at most vfuc_poll_timeout_ms() ...
 *   n = vfuc_complete(dev, done, 16);
 *
 * Submitting checks its arguments as the blocking call does, gathers the message and
 * returns: 0, -EAGAIN, -E2BIG, or what the blocking call gives without having sent. What
 * is gathered leaves in one go, with vfuc_flush(), vfuc_complete(), or any blocking call,
 * and in the order of submission. Completions come in the order of the server's replies.
 * Buffers to be filled are lent until the completion; data to be sent is copied. A region
 * or device that is not known yet is asked for first, which waits: call
 * vfuc_region_info() before.
 *
 * Each command has the timeout of vfuc_set_timeout_ms() from its submission on. When the
 * connection ends, all that were on their way complete with the reason; the completions
 * can still be taken.
 */

struct vfuc_completion {
    uint64_t tag;               /**< as it was submitted */
    int result;                 /**< 0, or as the blocking call */
    int server_errno;           /**< with -EREMOTEIO: as vfuc_last_errno() */
    size_t bytes;               /**< that were transferred: vfuc_submit_migration_read(),
                                 *   vfuc_submit_region_read(), _write() */
};

/** As vfuc_region_read(); @p len fits into a message (max_data_xfer_size of both). A
 *  server that transfers less completes it with -EREMOTEIO, server_errno 0 and .bytes. */
int
vfuc_submit_region_read(struct vfuc_client *client, uint32_t index, uint64_t offset,
                        void *buf, size_t len, uint64_t tag);
/** As vfuc_region_write(); @p len and a server that does less as above. */
int
vfuc_submit_region_write(struct vfuc_client *client, uint32_t index, uint64_t offset,
                         const void *buf, size_t len, uint64_t tag);
/** As vfuc_dma_map(). The window may be used by the server before the completion. */
int
vfuc_submit_dma_map(struct vfuc_client *client, uint64_t address, uint64_t size,
                    uint32_t flags, int fd, uint64_t offset, uint64_t tag);
/** As vfuc_dma_unmap(). DMA requests by message are refused from the submission on. */
int
vfuc_submit_dma_unmap(struct vfuc_client *client, uint64_t address, uint64_t size,
                      uint64_t tag);
/** As vfuc_reset(). */
int
vfuc_submit_reset(struct vfuc_client *client, uint64_t tag);
/** One SET of the device's state: the server finds the path itself. */
int
vfuc_submit_migration_state(struct vfuc_client *client, enum vfuc_mig_state state,
                            uint64_t tag);
/** As vfuc_migration_read(). */
int
vfuc_submit_migration_read(struct vfuc_client *client, void *buf, size_t len,
                           uint64_t tag);
/** As vfuc_migration_write(); @p len is at most vfuc_migration_chunk(). */
int
vfuc_submit_migration_write(struct vfuc_client *client, const void *buf, size_t len,
                            uint64_t tag);

/**
 * Send what was gathered, as far as the socket takes it. Never waits.
 *
 * @param client  a connected client
 *
 * @retval 0  all is gone
 * @retval 1  the rest leaves when vfuc_fd() is writeable
 * @retval common errors
 */
int
vfuc_flush(struct vfuc_client *client);

/**
 * Flush, deal with what came, and take completions. Never waits.
 *
 * @param client  any client
 * @param done    receives them
 * @param max     entries of @p done
 * @return how many were put there (0: none, and none can be had without waiting), or a
 *         common error once all completions have been taken
 */
int
vfuc_complete(struct vfuc_client *client, struct vfuc_completion *done, unsigned max);

/**
 * As vfuc_complete(), but waits until there is one.
 *
 * @param client      any client
 * @param done        receives them
 * @param max         entries of @p done
 * @param timeout_ms  0: does not wait; below: as long as the commands may take
 * @return as vfuc_complete(); 0 also when nothing is on its way
 */
int
vfuc_wait(struct vfuc_client *client, struct vfuc_completion *done, unsigned max,
          int timeout_ms);

/**
 * How many commands are on their way or wait to be taken.
 *
 * @param client  any client
 * @return the number
 */
unsigned
vfuc_pending(const struct vfuc_client *client);

/**
 * What to wait for at vfuc_fd().
 *
 * @param client  a connected client
 * @return POLLIN, with POLLOUT when something is waiting to be sent; POLLOUT alone when
 *         that is so much that nothing more is read
 */
short
vfuc_poll_events(const struct vfuc_client *client);

/**
 * When vfuc_complete() must be called at the latest, whatever poll(2) says: commands that
 * are not answered in time are noticed there, and a blocking call may have read more than
 * its own reply (then this gives 0).
 *
 * @param client  any client
 * @return milliseconds for poll(2); -1: for ever
 */
int
vfuc_poll_timeout_ms(const struct vfuc_client *client);

#ifdef __cplusplus
}
#endif

#endif
