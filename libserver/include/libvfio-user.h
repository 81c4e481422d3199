/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Write a PCI device as an ordinary process.
 *
 * A context (vfu_ctx_t) is one device that one client at a time (a virtual
 * machine monitor, a driver in user space) uses over a UNIX socket:
 *
 *     ctx = vfu_create_ctx(VFU_TRANS_SOCK, path, 0, pvt, VFU_DEV_TYPE_PCI);
 *     vfu_pci_init(ctx, VFU_PCI_TYPE_EXPRESS, PCI_HEADER_TYPE_NORMAL, 0);
 *     vfu_pci_set_id(ctx, ...); vfu_pci_add_capability(ctx, ...);
 *     vfu_setup_region(ctx, VFU_PCI_DEV_BAR0_REGION_IDX, ...);
 *     vfu_setup_device_nr_irqs(ctx, VFU_DEV_INTX_IRQ, 1);
 *     vfu_setup_device_dma(ctx, on_map, on_unmap);
 *     vfu_realize_ctx(ctx);
 *     for (;;) {
 *         vfu_attach_ctx(ctx);     // wait for a client
 *         vfu_run_ctx(ctx);        // serve it; ENOTCONN when it leaves
 *     }
 *
 * samples/server.c is a whole device.
 *
 * Errors: functions that return int or ssize_t return -1 and set errno,
 * pointers are NULL with errno; nothing returns a negative errno. Callbacks
 * answer in the same way: -1 and errno, which the client receives. A ctx
 * argument is never NULL, except for vfu_destroy_ctx().
 *
 * Threads: one thread runs a context and makes every call for it, and runs
 * its callbacks. Between vfu_realize_ctx() and vfu_destroy_ctx() any thread
 * may call these, while another runs the context: vfu_get_private(),
 * vfu_log(), vfu_irq_trigger(), vfu_irq_trigger_type(), and the functions for
 * guest memory: vfu_addr_to_sgl(), vfu_sgl_get(), vfu_sgl_put(),
 * vfu_sgl_read(), vfu_sgl_write(), vfu_sgl_mark_dirty() and
 * vfu_sg_is_mappable(). None of them takes a lock that a client or a callback
 * could hold for long. What they say of guest memory holds until the window
 * is unregistered: a device whose threads keep pointers lets go of them in
 * its quiesce or unregister callback. Contexts do not share anything.
 *
 * Descriptors: one that the program passes in stays the program's, which
 * keeps it open until vfu_destroy_ctx() and closes it then. Descriptors that
 * arrive from a client, and the result of vfu_get_poll_fd(), are the
 * library's: never close those.
 *
 * Callbacks run only inside the functions that say so; the log function may
 * run inside any.
 *
 * Building: _GNU_SOURCE (or -std=gnu11), for loff_t. PROT_READ and PROT_WRITE come
 * from <sys/mman.h>, KVM_IOEVENTFD_FLAG_* from <linux/kvm.h>; include those yourself.
 */
#ifndef LIB_VFIO_USER_H
#define LIB_VFIO_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <syslog.h>
#include <unistd.h>

#include "pci_caps/common.h"
#include "pci_caps/dsn.h"
#include "pci_caps/msi.h"
#include "pci_caps/msix.h"
#include "pci_caps/pm.h"
#include "pci_caps/px.h"
#include "pci_defs.h"
#include "vfio-user.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LIB_VFIO_USER_MAJOR 0
#define LIB_VFIO_USER_MINOR 2

/** A guest address, as the device sees it. Not a pointer: never follow it. */
typedef void *vfu_dma_addr_t;

/** A piece of guest memory within one window; dma_sg_size() bytes. */
typedef struct dma_sg dma_sg_t;

/** One device. */
typedef struct vfu_ctx vfu_ctx_t;

/* ------------------------------------------------------------ life cycle */

/** vfu_create_ctx(): never wait in vfu_attach_ctx() and vfu_run_ctx(). */
#define LIBVFIO_USER_FLAG_ATTACH_NB (1 << 0)

/** How clients reach the device. */
typedef enum {
    VFU_TRANS_SOCK,     /**< a UNIX stream socket */
    VFU_TRANS_PIPE,     /**< not supported */
    VFU_TRANS_MAX,
} vfu_trans_t;

/** What kind of device it is. */
typedef enum {
    VFU_DEV_TYPE_PCI,
} vfu_dev_type_t;

/**
 * Create a device and the socket that clients connect to.
 *
 * Clients can connect at once and wait there for vfu_attach_ctx(). The
 * device has no regions, one ERR and one REQ interrupt, and does not log.
 *
 * @param trans     VFU_TRANS_SOCK
 * @param path      where the socket is made, at most 107 bytes; copied. What
 *                  is there already is not removed.
 * @param flags     0 or LIBVFIO_USER_FLAG_ATTACH_NB
 * @param pvt       the application's own, see vfu_get_private()
 * @param dev_type  VFU_DEV_TYPE_PCI
 *
 * @return the context, for vfu_destroy_ctx(), or NULL with errno:
 * @retval EINVAL        @p flags has an unknown bit, or @p path is NULL
 * @retval ENOTSUP       @p trans or @p dev_type is not supported
 * @retval ENAMETOOLONG  @p path does not fit in a socket address
 * @retval EADDRINUSE    @p path exists
 * @retval ENOMEM        out of memory
 * @retval others        from socket(2), bind(2) or listen(2)
 */
vfu_ctx_t *
vfu_create_ctx(vfu_trans_t trans, const char *path, int flags, void *pvt,
               vfu_dev_type_t dev_type);

/**
 * Finish the set-up: fix configuration space and interrupts.
 *
 * Fills in what follows from the set-up: type bits of the BARs, interrupt
 * pin, capability bit of the status register. Without vfu_pci_init() the
 * device gets an empty conventional configuration space. A second call does
 * nothing and succeeds.
 *
 * @retval 0          done
 * @retval -1 ENOMEM  out of memory
 */
int
vfu_realize_ctx(vfu_ctx_t *vfu_ctx);

/**
 * Take the next client and agree on the protocol version with it.
 *
 * Without LIBVFIO_USER_FLAG_ATTACH_NB it waits for a client; with the flag
 * it does what can be done at once and is called again when the descriptor
 * of vfu_get_poll_fd() is readable. The context need not be realized yet. A second client stays in the queue until
 * the first has gone. After any failure the next call starts afresh.
 *
 * @retval 0              a client is attached; continue with vfu_run_ctx()
 * @retval -1 EAGAIN      non-blocking only: nobody is there, or the client
 *                        has not said everything yet
 * @retval -1 EINVAL      a client is attached already, or this one did not
 *                        follow the protocol and was sent away
 * @retval -1 ENOMSG      the client left without a word
 * @retval -1 ECONNRESET  the client left half-way
 * @retval -1 EINTR       a signal; call again
 * @retval -1 others      from accept(2)
 */
int
vfu_attach_ctx(vfu_ctx_t *vfu_ctx);

/**
 * The descriptor to poll for input in a loop of one's own.
 *
 * Before vfu_attach_ctx() succeeded it becomes readable when that should be
 * called, after it when vfu_run_ctx() should be. It is the connected socket
 * itself while a client is attached. Ask again after each successful
 * vfu_attach_ctx() and each ENOTCONN.
 *
 * @return the descriptor, which remains the library's: do not read, write
 *         or close it. -1 with errno on failure.
 */
int
vfu_get_poll_fd(vfu_ctx_t *vfu_ctx);

/**
 * Serve the attached client.
 *
 * Without LIBVFIO_USER_FLAG_ATTACH_NB it serves until an error occurs and
 * never returns 0 or more. With the flag it serves what one read of the
 * socket brought and returns. Callbacks of regions, DMA, reset, quiesce,
 * interrupts and log run inside.
 *
 * When the client leaves: quiesce callback, unregister callback for each DMA
 * window in ascending order, reset callback with VFU_RESET_LOST_CONN, then
 * ENOTCONN. Regions and configuration space keep what they hold.
 *
 * @return non-blocking only: the number of commands served, whether they
 *         succeeded or failed; 0 if there were none
 * @retval -1 ENOTCONN  no client, or it left; vfu_attach_ctx() takes the next
 * @retval -1 EBUSY     waiting for vfu_device_quiesced()
 * @retval -1 EINVAL    not realized
 * @retval -1 EINTR     a signal came while waiting; call again
 * @retval -1 others    the socket could not be read this time; the client is still
 *                      attached: call again
 */
int
vfu_run_ctx(vfu_ctx_t *vfu_ctx);

/**
 * Destroy a device: the client is disconnected, the socket file removed.
 *
 * Runs the unregister callback for each DMA window in ascending order, then
 * always the reset callback with VFU_RESET_LOST_CONN, whose result does not
 * matter; never the quiesce callback. Not allowed inside a callback of the
 * same context. The caller has stopped all other threads that use it.
 *
 * @param vfu_ctx  the context, or NULL: nothing happens
 */
void
vfu_destroy_ctx(vfu_ctx_t *vfu_ctx);

/**
 * The pointer given to vfu_create_ctx(). Any thread, any callback.
 */
void *
vfu_get_private(vfu_ctx_t *vfu_ctx);

/* --------------------------------------------------------------- logging */

/**
 * Receives one line, without a newline.
 *
 * @param level  LOG_EMERG (most urgent) to LOG_DEBUG
 * @param msg    valid during the call only
 */
typedef void (vfu_log_fn_t)(vfu_ctx_t *vfu_ctx, int level, const char *msg);

/**
 * Say something through the context's log function. Preserves errno.
 *
 * Nothing happens without a log function or if @p level is less urgent than
 * the level set. Long lines are cut at BUFSIZ - 1 bytes.
 */
void
vfu_log(vfu_ctx_t *vfu_ctx, int level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/**
 * Set where log lines go, at any time.
 *
 * @param log    the function, or NULL for silence
 * @param level  the least urgent level wanted, LOG_EMERG to LOG_DEBUG
 *
 * @retval 0          set
 * @retval -1 EINVAL  no such level
 */
int
vfu_setup_log(vfu_ctx_t *vfu_ctx, vfu_log_fn_t *log, int level);

/* --------------------------------------------------------------- regions */

/** Region indices of a PCI device. */
enum {
    VFU_PCI_DEV_BAR0_REGION_IDX,
    VFU_PCI_DEV_BAR1_REGION_IDX,
    VFU_PCI_DEV_BAR2_REGION_IDX,
    VFU_PCI_DEV_BAR3_REGION_IDX,
    VFU_PCI_DEV_BAR4_REGION_IDX,
    VFU_PCI_DEV_BAR5_REGION_IDX,
    VFU_PCI_DEV_ROM_REGION_IDX,
    VFU_PCI_DEV_CFG_REGION_IDX,
    VFU_PCI_DEV_VGA_REGION_IDX,
    VFU_PCI_DEV_NUM_REGIONS,
};

/** Region indices of a device without a bus; no function uses them yet. */
enum {
    VFU_GENERIC_DEV_MIGR_REGION_IDX,
    VFU_GENERIC_DEV_NUM_REGIONS,
};

#define VFU_REGION_FLAG_READ        (1 << 0)    /**< the client may read */
#define VFU_REGION_FLAG_WRITE       (1 << 1)    /**< the client may write */
#define VFU_REGION_FLAG_RW          (VFU_REGION_FLAG_READ | VFU_REGION_FLAG_WRITE)
#define VFU_REGION_FLAG_MEM         (1 << 2)    /**< a memory BAR; else I/O ports */
#define VFU_REGION_FLAG_ALWAYS_CB   (1 << 3)    /**< config: all to the callback */
#define VFU_REGION_FLAG_64_BITS     (1 << 4)    /**< the BAR takes two slots */
#define VFU_REGION_FLAG_PREFETCH    (1 << 5)    /**< the BAR is prefetchable */
#define VFU_REGION_FLAG_MASK \
    (VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM | VFU_REGION_FLAG_ALWAYS_CB | \
     VFU_REGION_FLAG_64_BITS | VFU_REGION_FLAG_PREFETCH)

/**
 * The client reads or writes a region by message.
 *
 * Called for every such access, also inside areas that the client could map.
 * Offset and count lie within the region; nothing is known about alignment.
 *
 * @param buf       read: zeroed, to be filled; write: the client's bytes
 * @param count     bytes, at least 1
 * @param offset    from the start of the region
 * @param is_write  true if the client writes
 *
 * @return @p count, or -1 with the errno that the client gets. Fewer bytes
 *         are an error too: the client gets EINVAL.
 */
typedef ssize_t (vfu_region_access_cb_t)(vfu_ctx_t *vfu_ctx, char *buf, size_t count,
                                         loff_t offset, bool is_write);

/**
 * Give the device a region, or change it.
 *
 * Usable at any time, also while a client is attached; the client asks once.
 * Accesses that READ and WRITE do not allow are refused before the callback.
 * BAR sizes are powers of two, at least 16 (memory) or 4 (I/O ports); a BAR
 * with VFU_REGION_FLAG_64_BITS has an even number and the next one stays
 * empty. Size 0 takes a BAR away.
 *
 * The configuration region needs this call only for a callback: call it
 * after vfu_pci_init(), which would overwrite size and flags. With
 * VFU_REGION_FLAG_ALWAYS_CB the callback gets all its accesses; without, it
 * gets those outside of header and capabilities, and capabilities added with
 * VFU_CAP_FLAG_CALLBACK.
 *
 * @param region_idx     VFU_PCI_DEV_*_REGION_IDX
 * @param size           bytes
 * @param region_access  called on each access, or NULL: each access fails
 *                       with EINVAL, mappings excepted
 * @param flags          VFU_REGION_FLAG_*, READ or WRITE at least
 * @param mmap_areas     parts that the client may map: iov_base is the offset
 *                       within the region; copied. Clients can map whole
 *                       pages only, which is not checked. NULL with
 *                       @p fd for the whole region.
 * @param nr_mmap_areas  number of areas, 0 with NULL
 * @param fd             what the client maps, or -1. Stays the caller's and
 *                       open until vfu_destroy_ctx().
 * @param offset         where the region starts in @p fd
 *
 * @retval 0          done
 * @retval -1 EINVAL  unknown flags, neither READ nor WRITE, ALWAYS_CB without
 *                    callback, areas without descriptor or count, no such
 *                    region, a rule for BARs broken, configuration region
 *                    not READ and WRITE or with MEM, area outside the region
 * @retval -1 ENOMEM  out of memory
 */
int
vfu_setup_region(vfu_ctx_t *vfu_ctx, int region_idx, size_t size,
                 vfu_region_access_cb_t *region_access, int flags,
                 struct iovec *mmap_areas, uint32_t nr_mmap_areas, int fd,
                 uint64_t offset);

/**
 * Offer the client an eventfd that stands for writes to a part of a region.
 *
 * A hypervisor signals it in place of a REGION_WRITE, so that a doorbell does
 * not need a message. The client asks for the list (DEVICE_GET_REGION_IO_FDS),
 * which has the newest first, and may ignore it.
 *
 * @param region_idx     VFU_PCI_DEV_*_REGION_IDX
 * @param fd             the eventfd, or -1. Stays the caller's and open until
 *                       vfu_destroy_ctx(); the same one may serve several times.
 * @param gpa_offset     first byte, from the start of the region
 * @param size           bytes of an access; 0: any
 * @param flags          KVM_IOEVENTFD_FLAG_*
 * @param datamatch      the value to match, with KVM_IOEVENTFD_FLAG_DATAMATCH
 * @param shadow_fd      memory that receives the value written, or -1; only in
 *                       builds with shadow ioeventfds
 * @param shadow_offset  where in that memory
 *
 * @retval 0          added
 * @retval -1 EINVAL  no such region, the part lies outside it, or shadow_fd in
 *                    a build without shadow ioeventfds
 * @retval -1 ENOMEM  out of memory
 */
int
vfu_create_ioeventfd(vfu_ctx_t *vfu_ctx, uint32_t region_idx, int fd, size_t gpa_offset,
                     uint32_t size, uint32_t flags, uint64_t datamatch, int shadow_fd,
                     size_t shadow_offset);

/* ----------------------------------------------------- reset and quiesce */

/** Why a device is reset. */
typedef enum vfu_reset_type {
    VFU_RESET_DEVICE,       /**< the client asked, by DEVICE_RESET */
    VFU_RESET_LOST_CONN,    /**< the client is gone, or vfu_destroy_ctx() */
    VFU_RESET_PCI_FLR,      /**< function level reset through the PCIe capability */
} vfu_reset_type_t;

/**
 * Return the device to its initial state.
 *
 * The library resets nothing itself for DEVICE and PCI_FLR: configuration
 * space, which the callback may write, registers, work in flight are all the
 * callback's. DMA windows and interrupts stay. With LOST_CONN the windows
 * are gone already, and interrupts and connection go after the callback.
 *
 * @return 0, or -1 with the errno that the client gets (LOST_CONN: ignored)
 */
typedef int (vfu_reset_cb_t)(vfu_ctx_t *vfu_ctx, vfu_reset_type_t type);

/**
 * Set the reset callback; NULL for none. Without one a reset succeeds.
 *
 * @retval 0  always
 */
int
vfu_setup_device_reset_cb(vfu_ctx_t *vfu_ctx, vfu_reset_cb_t *reset);

/**
 * Stop touching guest memory, interrupts and callbacks' state, for a while.
 *
 * Called before a command that changes the ground under the device: DMA map
 * and unmap, reset, migration, loss of the client. The device is quiet from
 * its answer until the command is done, which the application sees as the
 * callbacks of that command and the return of vfu_run_ctx() or
 * vfu_device_quiesced(). In between only callbacks may use guest memory.
 *
 * @retval 0         quiet now
 * @retval -1 EBUSY  not yet: vfu_device_quiesced() follows
 * @retval -1 other  impossible; the client gets this errno
 */
typedef int (vfu_device_quiesce_cb_t)(vfu_ctx_t *vfu_ctx);

/**
 * Set the quiesce callback, at any time; NULL for a device that is always quiet.
 */
void
vfu_setup_device_quiesce_cb(vfu_ctx_t *vfu_ctx, vfu_device_quiesce_cb_t *quiesce_cb);

/**
 * Finish a quiesce that the callback answered with EBUSY.
 *
 * Runs the command that waited, its callbacks included, and sends the reply;
 * vfu_run_ctx() can then be called again. On the thread that runs the
 * context, outside of callbacks.
 *
 * @param quiesce_errno  0 if the device is quiet now; otherwise the errno
 *                       that the client gets in place of the command
 *
 * @retval 0          done, or the client is gone: the next vfu_run_ctx() says
 * @retval -1 EINVAL  nothing waits for a quiesce
 * @retval -1 others  the reply could not be sent
 */
int
vfu_device_quiesced(vfu_ctx_t *vfu_ctx, int quiesce_errno);

/* ------------------------------------------------------------ interrupts */

/** Interrupt types of a PCI device. */
enum vfu_dev_irq_type {
    VFU_DEV_INTX_IRQ,
    VFU_DEV_MSI_IRQ,
    VFU_DEV_MSIX_IRQ,
    VFU_DEV_ERR_IRQ,
    VFU_DEV_REQ_IRQ,
    VFU_DEV_NUM_IRQS,
};

/**
 * Set the number of vectors of a type, before vfu_realize_ctx(). A later call is
 * carried out, too; vectors that are left over lose their eventfds.
 *
 * @param count  INTx: 0 or 1; MSI: 0 or a power of two up to 32; MSI-X: up to 2048
 *
 * @retval 0          set
 * @retval -1 EINVAL  no such type, or more vectors than any device can have
 * @retval -1 ENOMEM  out of memory
 */
int
vfu_setup_device_nr_irqs(vfu_ctx_t *vfu_ctx, enum vfu_dev_irq_type type,
                         uint32_t count);

/**
 * The client masked or unmasked vectors.
 *
 * @param start  first vector
 * @param count  number of vectors
 * @param mask   true: masked
 */
typedef void (vfu_dev_irq_state_cb_t)(vfu_ctx_t *vfu_ctx, uint32_t start, uint32_t count,
                                      bool mask);

/**
 * Set the callback for masking vectors of a type; NULL for none.
 *
 * @retval 0          set
 * @retval -1 EINVAL  no such type
 */
int
vfu_setup_irq_state_callback(vfu_ctx_t *vfu_ctx, enum vfu_dev_irq_type type,
                             vfu_dev_irq_state_cb_t *cb);

/**
 * Interrupt the client. Any thread.
 *
 * The device does not choose the type: the vector is one of MSI-X if the
 * client has given eventfds for that, else of MSI, else of INTx. A vector that
 * the client has masked is signalled when it is unmasked.
 *
 * @param subindex  vector, from 0
 *
 * @retval 0          signalled, or will be when unmasked
 * @retval -1 EINVAL  no type has that many vectors
 * @retval -1 ENOENT  the client has given no eventfd for this vector
 * @retval -1 others  from write(2) to the eventfd
 */
int
vfu_irq_trigger(vfu_ctx_t *vfu_ctx, uint32_t subindex);

/* ---------------------------------------------------------- guest memory */

/** DMA windows that the 3-argument form of vfu_setup_device_dma() allows. */
#define LIBVFIO_USER_MAX_DMA_REGIONS (1000 * 1000)

/** One window of guest memory that the client has offered. */
typedef struct vfu_dma_info {
    struct iovec iova;      /**< guest address (not a pointer) and bytes */
    void *vaddr;            /**< where its first byte is mapped here, or NULL */
    struct iovec mapping;   /**< the pages that hold it here; 0, 0 if not mapped */
    size_t page_size;       /**< bytes per page of the mapping */
    uint32_t prot;          /**< PROT_READ, PROT_WRITE: what the device may do */
} vfu_dma_info_t;

VFU_STATIC_ASSERT(sizeof(vfu_dma_info_t) == 56, "vfu_dma_info_t");
VFU_STATIC_ASSERT(offsetof(vfu_dma_info_t, iova) == 0, "vfu_dma_info_t.iova");
VFU_STATIC_ASSERT(offsetof(vfu_dma_info_t, vaddr) == 16, "vfu_dma_info_t.vaddr");
VFU_STATIC_ASSERT(offsetof(vfu_dma_info_t, mapping) == 24, "vfu_dma_info_t.mapping");
VFU_STATIC_ASSERT(offsetof(vfu_dma_info_t, page_size) == 40, "vfu_dma_info_t.page_size");
VFU_STATIC_ASSERT(offsetof(vfu_dma_info_t, prot) == 48, "vfu_dma_info_t.prot");

/**
 * A window can be used now.
 *
 * @param info  the library's, unchanged until the unregister callback returned
 */
typedef void (vfu_dma_register_cb_t)(vfu_ctx_t *vfu_ctx, vfu_dma_info_t *info);

/**
 * A window goes away. Its memory is still there during the call; afterwards
 * no pointer into it may be used, by any thread.
 */
typedef void (vfu_dma_unregister_cb_t)(vfu_ctx_t *vfu_ctx, vfu_dma_info_t *info);

/**
 * Let the device use guest memory.
 *
 * Without this call the client's windows are accepted and ignored. The form
 * without @p max_regions, vfu_setup_device_dma(ctx, reg, unreg), allows
 * LIBVFIO_USER_MAX_DMA_REGIONS. Called before a client attaches; a further call
 * replaces limit and callbacks.
 *
 * @param max_regions     windows that may exist at a time
 * @param dma_register    called when a window appears, or NULL
 * @param dma_unregister  called before one disappears, or NULL for a device
 *                        that keeps no pointers between two messages
 *
 * @retval 0          done
 * @retval -1 ENOMEM  out of memory
 */
int
vfu_setup_device_dma(vfu_ctx_t *vfu_ctx, size_t max_regions,
                     vfu_dma_register_cb_t *dma_register,
                     vfu_dma_unregister_cb_t *dma_unregister);

/** Bytes of a dma_sg_t, for arrays of them. Any thread. */
size_t
dma_sg_size(void);

/**
 * Find the pieces of guest memory that make up a range. This and the functions
 * below: any thread, while the device is not quiesced.
 *
 * One piece per window that the range crosses. They are valid until a window
 * among them is unregistered.
 *
 * @param dma_addr    first guest address
 * @param len         bytes
 * @param sgl         receives the pieces
 * @param max_nr_sgs  pieces that fit in @p sgl
 * @param prot        PROT_READ, PROT_WRITE or both: what the device will do
 *
 * @return the number of pieces, 0 if @p len is 0
 * @retval -1 ENOENT  a byte of the range is in no window, or the range wraps
 * @retval -1 EACCES  a window does not allow what @p prot asks for
 * @retval -1 EINVAL  no vfu_setup_device_dma()
 * @retval -n - 1     n pieces are needed, which is more than @p max_nr_sgs;
 *                    errno is 0
 */
int
vfu_addr_to_sgl(vfu_ctx_t *vfu_ctx, vfu_dma_addr_t dma_addr, size_t len, dma_sg_t *sgl,
                size_t max_nr_sgs, int prot);

/**
 * Turn pieces into pointers.
 *
 * Other programs change this memory at any time: read each value once, then
 * check the copy.
 *
 * @param sgl    from vfu_addr_to_sgl()
 * @param iov    receives one pointer and length per piece, valid as long as
 *               the piece is
 * @param cnt    number of pieces, at least 1
 * @param flags  0
 *
 * @retval 0          all are there
 * @retval -1 EFAULT  a window is not mapped: see vfu_sg_is_mappable()
 * @retval -1 EINVAL  a piece is not from vfu_addr_to_sgl(), or unknown flags
 */
int
vfu_sgl_get(vfu_ctx_t *vfu_ctx, dma_sg_t *sgl, struct iovec *iov, size_t cnt, int flags);

/**
 * Done with the pointers; pieces to be written count as written.
 *
 * @param sgl  as given to vfu_sgl_get()
 * @param iov  as filled there
 * @param cnt  number of pieces
 */
void
vfu_sgl_put(vfu_ctx_t *vfu_ctx, dma_sg_t *sgl, struct iovec *iov, size_t cnt);

/**
 * Whether vfu_sgl_get() can give a pointer to a piece.
 */
bool
vfu_sg_is_mappable(vfu_ctx_t *vfu_ctx, dma_sg_t *sg);

/**
 * Say that pieces were written, and keep them.
 *
 * For a device that holds on to its pointers: what it wrote counts for the
 * client's dirty log now. Pieces that were made without PROT_WRITE are passed
 * over. Any thread.
 *
 * @param sgl  from vfu_addr_to_sgl()
 * @param cnt  number of pieces
 */
void
vfu_sgl_mark_dirty(vfu_ctx_t *vfu_ctx, dma_sg_t *sgl, size_t cnt);

/** vfu_sgl_read(), vfu_sgl_write(): use the window's mapping or file if it has one. */
#define VFU_SGL_DIRECT_ACCESS (1)

/**
 * Copy guest memory to the device.
 *
 * Pieces are read one after another. Without VFU_SGL_DIRECT_ACCESS, and for
 * windows without a descriptor, the client is asked by message (DMA_READ), in
 * parts of at most its max_data_xfer_size; the call waits for its answers.
 * Commands of the client that arrive meanwhile are not lost: those that need
 * no callback (GET_*, SET_IRQS) are answered at once, even ahead of others; those are
 * served later, in order, by vfu_run_ctx(); see vfu_get_wake_fd(). Any thread, any callback
 * except the log function; a caller on another thread holds no lock that a
 * callback of the context takes. (The form without @p flags passes 0.)
 *
 * @param sgl     from vfu_addr_to_sgl()
 * @param sg_cnt  number of pieces, at least 1
 * @param data    receives as many bytes as the pieces have; on failure its
 *                contents are undefined
 * @param flags   0 or VFU_SGL_DIRECT_ACCESS
 *
 * @retval 0             all was read
 * @retval -1 EINVAL     unknown flags, no pieces, a piece that is not from
 *                       vfu_addr_to_sgl(), or an answer that does not fit
 * @retval -1 EFAULT     a piece whose window is gone
 * @retval -1 EPERM      a window that the client does not let the device read
 * @retval -1 EIO        direct access: the file ends before the window does
 * @retval -1 ENOBUFS    the client sent more commands ahead of its answer than are kept
 *                       (256, or 4 MiB)
 * @retval -1 EPROTO     the answer was one to something else
 * @retval -1 ETIMEDOUT  no answer in time, see VFU_TIMEOUT_DMA
 * @retval -1 ENOTCONN   no client, or it left
 * @retval -1 others     what the client answered
 */
int
vfu_sgl_read(vfu_ctx_t *vfu_ctx, dma_sg_t *sgl, size_t sg_cnt, void *data, int flags);

/**
 * Copy from the device to guest memory: as vfu_sgl_read(), by DMA_WRITE.
 *
 * Direct access counts for the client's dirty log; what is written by message
 * the client logs itself. On failure part of it may have been written.
 *
 * @retval -1 EPERM  a piece was made without PROT_WRITE
 */
int
vfu_sgl_write(vfu_ctx_t *vfu_ctx, dma_sg_t *sgl, size_t sg_cnt, void *data, int flags);

/* ------------------------------------------------------------- migration */

/** The version of vfu_migration_callbacks_t. */
#define VFU_MIGR_CALLBACKS_VERS 2

/** What a device does while it is moved to another host. */
typedef enum {
    VFU_MIGR_STATE_STOP,            /**< stands still */
    VFU_MIGR_STATE_RUNNING,
    VFU_MIGR_STATE_STOP_AND_COPY,   /**< stands still and gives away its state */
    VFU_MIGR_STATE_PRE_COPY,        /**< runs and gives away its state */
    VFU_MIGR_STATE_RESUME,          /**< stands still and takes its state */
} vfu_migr_state_t;

/** A device that can be moved. */
typedef struct {
    int version;        /**< VFU_MIGR_CALLBACKS_VERS */

    /** Go to a state. 0, or -1 with the errno that the client gets. */
    int (*transition)(vfu_ctx_t *vfu_ctx, vfu_migr_state_t state);

    /**
     * Give up to @p count bytes of state: bytes given, or -1. In STOP_AND_COPY a
     * client takes fewer than @p count for the end.
     */
    ssize_t (*read_data)(vfu_ctx_t *vfu_ctx, void *buf, uint64_t count);

    /** Take @p count bytes of state: @p count, or -1 and errno. */
    ssize_t (*write_data)(vfu_ctx_t *vfu_ctx, void *buf, uint64_t count);
} vfu_migration_callbacks_t;

VFU_STATIC_ASSERT(sizeof(vfu_migration_callbacks_t) == 32, "migr");
VFU_STATIC_ASSERT(offsetof(vfu_migration_callbacks_t, version) == 0, "migr.version");
VFU_STATIC_ASSERT(offsetof(vfu_migration_callbacks_t, transition) == 8,
                  "migr.transition");
VFU_STATIC_ASSERT(offsetof(vfu_migration_callbacks_t, read_data) == 16, "migr.read_data");
VFU_STATIC_ASSERT(offsetof(vfu_migration_callbacks_t, write_data) == 24,
                  "migr.write_data");

/**
 * Make the device one that can be moved.
 *
 * Its first state is RUNNING, to which it returns without a callback when it is
 * reset or its client is gone; calling this again does the same. A client's
 * request is carried out as the shortest legal path, with one call of
 * transition() per step, under one quiesce. When a step fails the device stays
 * in the state of the step before. read_data() is called in PRE_COPY and
 * STOP_AND_COPY, write_data() in RESUME, both without quiesce.
 *
 * @param callbacks  copied; all three are needed
 *
 * @retval 0          done
 * @retval -1 EINVAL  another version, or a callback is NULL
 * @retval -1 ENOMEM  out of memory
 */
int
vfu_setup_device_migration_callbacks(vfu_ctx_t *vfu_ctx,
                                     const vfu_migration_callbacks_t *callbacks);

/* ------------------------------------------------------------------- PCI */

/** The bus: decides the size of configuration space. */
typedef enum {
    VFU_PCI_TYPE_CONVENTIONAL,  /**< 256 bytes */
    VFU_PCI_TYPE_PCI_X_1,       /**< 256 bytes */
    VFU_PCI_TYPE_PCI_X_2,       /**< 4096 bytes */
    VFU_PCI_TYPE_EXPRESS,       /**< 4096 bytes */
} vfu_pci_type_t;

/**
 * Give the device its configuration space, before vfu_realize_ctx().
 *
 * @param pci_type  decides the size
 * @param hdr_type  PCI_HEADER_TYPE_NORMAL
 * @param revision  revision id, of which the low eight bits count
 *
 * @retval 0          done
 * @retval -1 EINVAL  no such type, or another header type
 * @retval -1 EEXIST  there is one already, or the context is realized
 * @retval -1 ENOMEM  out of memory
 *
 * Source: PCI Local Bus 3.0, 6.1.
 */
int
vfu_pci_init(vfu_ctx_t *vfu_ctx, vfu_pci_type_t pci_type, int hdr_type, int revision);

/**
 * Set vendor, device and subsystem ids. Needs vfu_pci_init().
 *
 * @param vid    vendor
 * @param did    device
 * @param ssvid  subsystem vendor
 * @param ssid   subsystem
 */
void
vfu_pci_set_id(vfu_ctx_t *vfu_ctx, uint16_t vid, uint16_t did, uint16_t ssvid,
               uint16_t ssid);

/**
 * Set the class code. Needs vfu_pci_init().
 *
 * @param base  base class
 * @param sub   sub-class
 * @param pi    programming interface
 */
void
vfu_pci_set_class(vfu_ctx_t *vfu_ctx, uint8_t base, uint8_t sub, uint8_t pi);

/**
 * The live configuration space.
 *
 * What the device writes there the client reads, and the reverse; there are
 * no further copies. All bytes may be written, also those that the client
 * can not change. For the thread that runs the context; others may load an
 * aligned word that the client changes, such as the MSI-X enable bit.
 *
 * @return the first byte of 256 or 4096, valid until vfu_destroy_ctx(); NULL
 *         before vfu_pci_init() or vfu_realize_ctx()
 */
vfu_pci_config_space_t *
vfu_pci_get_config_space(vfu_ctx_t *vfu_ctx);

/** vfu_pci_add_capability(): an extended capability, at 256 or above. */
#define VFU_CAP_FLAG_EXTENDED (1 << 0)
/** The callback of the configuration region gets accesses to it. */
#define VFU_CAP_FLAG_CALLBACK (1 << 1)
/** The client's writes are refused with EPERM. */
#define VFU_CAP_FLAG_READONLY (1 << 2)

/**
 * Add a capability to configuration space. Needs vfu_pci_init().
 *
 * Supported: PM, PCI Express, MSI, MSI-X, vendor specific; extended: device
 * serial number, vendor specific. Their sizes follow from the id, for vendor
 * specific ones from the length field. Each joins the end of its list.
 *
 * @param pos    offset, at least 64 and a multiple of 4 (extended: at least
 *               256, which the first one takes), or 0 for the first free place
 *               behind the last one
 * @param flags  VFU_CAP_FLAG_*
 * @param data   the capability with its header; copied. Its next field is
 *               not looked at.
 *
 * @return the offset
 * @retval -1 EINVAL   unknown flags; CALLBACK and the configuration region has
 *                     no callback; EXTENDED in 256 bytes; the place is not free,
 *                     or does not end before the end of configuration space;
 *                     extended: not a multiple of 4, or the first one not at 256;
 *                     a vendor specific length that is too small
 * @retval -1 ENOTSUP  id not supported
 * @retval -1 ENOSPC   no room behind the last one, or 128 of the kind
 */
ssize_t
vfu_pci_add_capability(vfu_ctx_t *vfu_ctx, size_t pos, int flags, void *data);

/**
 * Find a capability in the list in configuration space.
 *
 * @param extended  true for the list that starts at 256
 * @param cap_id    PCI_CAP_ID_* or PCI_EXT_CAP_ID_*
 *
 * @return its offset, or 0 with errno:
 * @retval ENOENT  there is none
 * @retval EINVAL  the list leaves configuration space
 */
size_t
vfu_pci_find_capability(vfu_ctx_t *vfu_ctx, bool extended, int cap_id);

/**
 * Find the next capability in the list.
 *
 * @param extended  true for the list that starts at 256
 * @param pos       offset of a capability behind which to look; 0 for the first
 * @param cap_id    PCI_CAP_ID_* or PCI_EXT_CAP_ID_*
 *
 * @return its offset, or 0 with errno:
 * @retval ENOENT  there is none
 * @retval EINVAL  @p pos is outside configuration space, or the list leaves it
 */
size_t
vfu_pci_find_next_capability(vfu_ctx_t *vfu_ctx, bool extended, size_t pos, int cap_id);

/* ------------------------------------------------ additions of this library */

/*
 * What follows libvfio-user does not have. A program that is to build with both
 * asks for VFU_EXTENSIONS. In the shared library these symbols have the version
 * VFIO_USER_EXT_1; the others have none.
 */
#define VFU_EXTENSIONS 1

/**
 * Interrupt the client by a vector of a given type, also ERR and REQ. Any thread.
 *
 * @param type    VFU_DEV_*_IRQ
 * @param vector  from 0
 *
 * @retval 0          signalled, or will be when unmasked
 * @retval -1 EINVAL  no such type, or it has fewer vectors
 * @retval -1 ENOENT  the client has given no eventfd for this vector
 */
int
vfu_irq_trigger_type(vfu_ctx_t *vfu_ctx, enum vfu_dev_irq_type type, uint32_t vector);

/**
 * Let each interrupt of a type mask itself, as a level-triggered one does.
 *
 * The client learns it (VFIO_IRQ_INFO_AUTOMASKED) and unmasks when it has
 * served the interrupt, by SET_IRQS or by the eventfd that it gave for that;
 * triggers before that are one interrupt, which follows then. Before
 * vfu_realize_ctx().
 *
 * @param type  VFU_DEV_INTX_IRQ
 *
 * @retval 0          set
 * @retval -1 EINVAL  another type
 */
int
vfu_setup_irq_automask(vfu_ctx_t *vfu_ctx, enum vfu_dev_irq_type type, bool automask);

/** States of devices that do peer-to-peer DMA: run, but start no DMA to a peer. */
#define VFU_MIGR_STATE_RUNNING_P2P  ((vfu_migr_state_t)5)
#define VFU_MIGR_STATE_PRE_COPY_P2P ((vfu_migr_state_t)6)

/**
 * Choose the optional states of migration.
 *
 * After vfu_setup_device_migration_callbacks(), before a client attaches. The
 * default is VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_PRE_COPY. With
 * VFIO_MIGRATION_P2P every path between RUNNING and STOP goes through
 * VFU_MIGR_STATE_RUNNING_P2P.
 *
 * @param flags  VFIO_MIGRATION_STOP_COPY, with or without VFIO_MIGRATION_PRE_COPY
 *               and VFIO_MIGRATION_P2P
 *
 * @retval 0          set
 * @retval -1 EINVAL  other flags, or no migration callbacks
 */
int
vfu_setup_migration_flags(vfu_ctx_t *vfu_ctx, uint64_t flags);

/** What vfu_setup_timeout() sets, with the default. */
enum vfu_timeout {
    VFU_TIMEOUT_VERSION,    /**< from connecting to the end of VERSION: 5000 ms */
    VFU_TIMEOUT_STALL,      /**< a reply, while the client reads nothing: 1000 ms */
    VFU_TIMEOUT_SLOW,       /**< all waits for a client that reads its replies slowly,
                             * until the next of its commands is read: 10000 ms */
    VFU_TIMEOUT_DMA,        /**< one call of vfu_sgl_read() or vfu_sgl_write(): 5000 ms */
};

/**
 * Set how long the library waits for a client, which is dropped afterwards
 * (VFU_TIMEOUT_DMA: the call fails with ETIMEDOUT). Holds from the next client
 * on; VFU_TIMEOUT_DMA from the next call on.
 *
 * @param ms  at least 1
 *
 * @retval 0          set
 * @retval -1 EINVAL  no such timeout, or @p ms is below 1
 */
int
vfu_setup_timeout(vfu_ctx_t *vfu_ctx, enum vfu_timeout which, int ms);

/**
 * Never wait for a client that does not read its replies: keep them.
 *
 * For non-blocking contexts. vfu_run_ctx() then sends what the socket takes. As
 * long as something is left it serves no further command once @p max_bytes are
 * waiting, and vfu_get_poll_events() asks for POLLOUT. A client that takes
 * nothing is dropped after VFU_TIMEOUT_STALL, at the next vfu_run_ctx(). Before
 * vfu_attach_ctx().
 *
 * @param max_bytes  replies to keep, 0: wait, as is the default. One command
 *                   may exceed it by its reply.
 *
 * @retval 0          set
 * @retval -1 EINVAL  the context is a blocking one, or a client is attached
 */
int
vfu_setup_output_queue(vfu_ctx_t *vfu_ctx, size_t max_bytes);

/**
 * What to poll the descriptor of vfu_get_poll_fd() for: POLLIN, POLLOUT or both.
 * Without vfu_setup_output_queue() always POLLIN. Ask after each vfu_run_ctx()
 * and vfu_device_quiesced().
 */
int
vfu_get_poll_events(vfu_ctx_t *vfu_ctx);

/**
 * A second descriptor to poll for input, which then means: call vfu_run_ctx().
 *
 * Needed by non-blocking contexts that call vfu_sgl_read() or vfu_sgl_write()
 * without VFU_SGL_DIRECT_ACCESS outside of callbacks or on other threads: a
 * command that arrived ahead of the client's answer has left the socket, whose
 * descriptor stays silent about it. It also tells that a client unmasked an
 * interrupt by eventfd. vfu_run_ctx() in blocking contexts watches it itself.
 *
 * @return the descriptor, the same for the life of the context; the library's.
 *         -1 with errno on failure.
 */
int
vfu_get_wake_fd(vfu_ctx_t *vfu_ctx);

/**
 * Survive clients that shrink a file while the device accesses it.
 *
 * Access to guest memory behind the end of its file raises SIGBUS, in the
 * device's own code too. This installs a handler for SIGBUS in the process, once;
 * it puts a page of zeros where the access failed and marks the context: its
 * client is dropped by the next vfu_run_ctx(). Other SIGBUS go to the handler that was
 * there before. A program that installs its own handler later calls the
 * earlier one for what it does not know. The library's own copies do not need it.
 *
 * @retval 0          the context is guarded, until vfu_destroy_ctx()
 * @retval -1 ENOMEM  out of memory
 * @retval -1 others  from sigaction(2)
 */
int
vfu_setup_memory_guard(vfu_ctx_t *vfu_ctx);

#ifdef __cplusplus
} /* extern "C" */
#endif

/* ------------------------- vfu_setup_device_dma, 3 arguments; vfu_sgl_*, 4 */

#ifdef __cplusplus

/** Overload without a limit of one's own. */
static inline int vfu_setup_device_dma(vfu_ctx_t *vfu_ctx,
                                       vfu_dma_register_cb_t *dma_register,
                                       vfu_dma_unregister_cb_t *dma_unregister)
{
    return vfu_setup_device_dma(vfu_ctx, LIBVFIO_USER_MAX_DMA_REGIONS, dma_register,
                                dma_unregister);
}

/** Overloads without flags. */
static inline int vfu_sgl_read(vfu_ctx_t *vfu_ctx, dma_sg_t *sgl, size_t sg_cnt,
                               void *data)
{
    return vfu_sgl_read(vfu_ctx, sgl, sg_cnt, data, 0);
}

static inline int vfu_sgl_write(vfu_ctx_t *vfu_ctx, dma_sg_t *sgl, size_t sg_cnt,
                                void *data)
{
    return vfu_sgl_write(vfu_ctx, sgl, sg_cnt, data, 0);
}

#else

static inline int vfu_setup_device_dma_default(vfu_ctx_t *vfu_ctx,
                                               vfu_dma_register_cb_t *dma_register,
                                               vfu_dma_unregister_cb_t *dma_unregister)
{
    return vfu_setup_device_dma(vfu_ctx, LIBVFIO_USER_MAX_DMA_REGIONS, dma_register,
                                dma_unregister);
}

static inline int vfu_sgl_read_default(vfu_ctx_t *vfu_ctx, dma_sg_t *sgl, size_t sg_cnt,
                                       void *data)
{
    return vfu_sgl_read(vfu_ctx, sgl, sg_cnt, data, 0);
}

static inline int vfu_sgl_write_default(vfu_ctx_t *vfu_ctx, dma_sg_t *sgl, size_t sg_cnt,
                                        void *data)
{
    return vfu_sgl_write(vfu_ctx, sgl, sg_cnt, data, 0);
}

/*
 * C has no overloads: count the arguments. The name without a parenthesis
 * behind it, as in &vfu_setup_device_dma, is still the function.
 */
#define VFU_FIFTH_ARGUMENT(a, b, c, d, fifth, ...) fifth
#define vfu_setup_device_dma(...) \
    VFU_FIFTH_ARGUMENT(__VA_ARGS__, vfu_setup_device_dma, vfu_setup_device_dma_default, \
                       vfu_setup_device_dma, vfu_setup_device_dma, )(__VA_ARGS__)
#define VFU_SIXTH_ARGUMENT(a, b, c, d, e, sixth, ...) sixth
#define vfu_sgl_read(...) \
    VFU_SIXTH_ARGUMENT(__VA_ARGS__, vfu_sgl_read, vfu_sgl_read_default, vfu_sgl_read, \
                       vfu_sgl_read, vfu_sgl_read, )(__VA_ARGS__)
#define vfu_sgl_write(...) \
    VFU_SIXTH_ARGUMENT(__VA_ARGS__, vfu_sgl_write, vfu_sgl_write_default, \
                       vfu_sgl_write, vfu_sgl_write, vfu_sgl_write, )(__VA_ARGS__)

#endif /* __cplusplus */

#endif /* LIB_VFIO_USER_H */
