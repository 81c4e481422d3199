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
 * not end the wait. One thread at a time per client; different clients are independent.
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
 *   -EMFILE      a descriptor of the server found no room in our table
 *   -ENOMEM      out of memory; when it met a message, the connection was closed
 *
 * "Common errors" in the entries below are the first four and -ENOMEM. vfuc_last_error()
 * tells the latest failure in a sentence. Nothing that a server sends is used unchecked.
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
 * @retval -EREMOTEIO, -EPROTO, -ENOTCONN, -ENOMEM  as at the top of this file
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
 * The socket, for poll(2): readable when the server has sent a command of its own
 * (vfuc_dispatch() answers it) or has gone.
 *
 * @param client  a connected client
 * @return the descriptor, still the client's, or -1 when the connection is closed
 */
int
vfuc_fd(const struct vfuc_client *client);

/**
 * Deal with what the server sent between our calls, without waiting for more. Commands
 * that this client does not serve are answered with an error; the other calls do the same
 * while they wait. An event loop calls this when vfuc_fd() is readable, until it gives 0.
 *
 * @param client  a connected client
 * @return how many commands were dealt with (0: nothing is left), or a common error
 *         (-ENOTCONN tells of a server that has left)
 */
int
vfuc_dispatch(struct vfuc_client *client);

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

/** A part of a region. */
struct vfuc_area {
    uint64_t offset;            /**< from the start of the region */
    uint64_t size;
};

struct vfuc_region {
    uint32_t index;
    uint32_t flags;             /**< VFUC_REGION_ */
    uint64_t size;              /**< bytes; 0: there is no such region */
    const struct vfuc_area *areas; /**< what may be mapped, by offset, disjoint */
    uint32_t num_areas;
    int fd;                     /**< behind the areas, or -1; closed by vfuc_close() */
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
 * @param addr    receives the address; good until vfuc_region_unmap() or vfuc_close(),
 *                also when the connection fails
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
 */
int
vfuc_region_unmap(struct vfuc_client *client, void *addr);

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
 * @param fds     eventfds, lent for the call (the server gets copies); -1: none any more
 * @param count   entries of @p fds, at least 1
 *
 * @retval 0         done
 * @retval -EINVAL   @p count is 0
 * @retval -ERANGE   there is no such index or vector
 * @retval -EBADF    an entry is neither -1 nor an open descriptor
 * @retval -ENOTSUP  the server takes no descriptors
 * @retval common errors, and those of vfuc_irq_info() the first time
 *
 * Source: vfio-user specification, VFIO_USER_DEVICE_SET_IRQS.
 */
int
vfuc_irq_assign(struct vfuc_client *client, uint32_t index, uint32_t start,
                const int *fds, uint32_t count);

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

/* ------------------------------------------------------------------ DMA -- */

/* What the device may do with a window */
#define VFUC_DMA_READ  0x1u
#define VFUC_DMA_WRITE 0x2u

/**
 * Let the device reach a window of memory.
 *
 * @param client   a connected client
 * @param address  the window's first address, as the device sees it
 * @param size     bytes, at least 1; may end at 2^64
 * @param flags    VFUC_DMA_
 * @param fd       the memory behind the window, lent for the call (the server gets a
 *                 copy), or -1: the server may not map it
 * @param offset   of the window in @p fd; 0 without one
 *
 * @retval 0           the device can reach it now
 * @retval -EINVAL     the range wraps around, a flag is unknown, or an offset has no fd
 * @retval -EBADF      @p fd is neither -1 nor open
 * @retval -ENOTSUP    the server takes no descriptors
 * @retval -ENOSPC     the negotiated max_dma_maps windows exist already
 * @retval -EREMOTEIO  vfuc_last_errno() is EEXIST where it overlaps a window
 * @retval common errors
 *
 * Source: vfio-user specification, VFIO_USER_DMA_MAP.
 */
int
vfuc_dma_map(struct vfuc_client *client, uint64_t address, uint64_t size, uint32_t flags,
             int fd, uint64_t offset);

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

#ifdef __cplusplus
}
#endif

#endif
