/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Configuration space: set-up, the type 0 header, and the way an access takes
 * through header, capabilities and what lies between them.
 *
 * Writes to the header follow a mask per byte, so that a client may write any
 * part of a register: bits that the mask allows change, writes to others
 * succeed without effect, as on a bus. Base address registers get their masks
 * from region sizes when they are written.
 */
#include "libserver/pci.h"

#include "libserver/context.h"
#include "libserver/pci_caps.h"

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define LARGEST_SPACE   PCI_CFG_SPACE_EXP_SIZE
#define SMALLEST_SPACE  PCI_CFG_SPACE_SIZE

/* Command: all but VGA palette snoop and fast back-to-back; 7 and 11-15 are reserved. */
#define COMMAND_MASK \
    (PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_SPECIAL | \
     PCI_COMMAND_INVALIDATE | PCI_COMMAND_PARITY | PCI_COMMAND_SERR | \
     PCI_COMMAND_INTX_DISABLE)

/* Status: events, which writing 1 clears. */
#define STATUS_EVENTS \
    (PCI_STATUS_PARITY | PCI_STATUS_SIG_TARGET_ABORT | PCI_STATUS_REC_TARGET_ABORT | \
     PCI_STATUS_REC_MASTER_ABORT | PCI_STATUS_SIG_SYSTEM_ERROR | \
     PCI_STATUS_DETECTED_PARITY)

/* Bits of the header that clients store; base address registers are apart. */
static const uint8_t writable[PCI_STD_HEADER_SIZEOF] = {
    [PCI_COMMAND]         = COMMAND_MASK & 0xff,
    [PCI_COMMAND + 1]     = COMMAND_MASK >> 8,
    [PCI_CACHE_LINE_SIZE] = 0xff,
    [PCI_LATENCY_TIMER]   = 0xff,
    [PCI_INTERRUPT_LINE]  = 0xff,
};

/* Bits of the header that clients clear by writing 1. */
static const uint8_t cleared_by_one[PCI_STD_HEADER_SIZEOF] = {
    [PCI_STATUS]          = STATUS_EVENTS & 0xff,
    [PCI_STATUS + 1]      = STATUS_EVENTS >> 8,
};

/* ------------------------------------------------------- base addresses */

/* What of a base address register a client's write replaces, and what it
 * leaves alone. Bits in neither read as 0 after a write. */
struct base_mask {
    uint32_t address;
    uint32_t kept;
};

static bool is_64_bit(const struct vfu_ctx *ctx, int bar)
{
    const struct vus_region *r = &ctx->regions[bar];

    return bar % 2 == 0 && r->size > 0 && (r->flags & VFU_REGION_FLAG_MEM) &&
           (r->flags & VFU_REGION_FLAG_64_BITS);
}

static bool is_upper_half(const struct vfu_ctx *ctx, int bar)
{
    return bar % 2 == 1 && is_64_bit(ctx, bar - 1);
}

static struct base_mask bar_mask(const struct vfu_ctx *ctx, int bar)
{
    const struct vus_region *r = &ctx->regions[bar];
    struct base_mask m = { 0, 0 };

    if (is_upper_half(ctx, bar)) {
        m.address = (uint32_t)(~((uint64_t)ctx->regions[bar - 1].size - 1) >> 32);
        return m;
    }
    m.kept = r->flags & VFU_REGION_FLAG_MEM ? ~(uint32_t)PCI_BASE_ADDRESS_MEM_MASK
                                            : ~(uint32_t)PCI_BASE_ADDRESS_IO_MASK;
    if (r->size > 0)
        m.address = (uint32_t)~((uint64_t)r->size - 1) & ~m.kept;
    return m;
}

/* A ROM is at least 2 KiB, and any size is legal for its region. */
static struct base_mask rom_mask(const struct vfu_ctx *ctx)
{
    uint64_t size = ctx->regions[VFU_PCI_DEV_ROM_REGION_IDX].size;
    uint64_t rounded = ~PCI_ROM_ADDRESS_MASK + 1;
    struct base_mask m = { 0, 0 };

    if (size == 0)
        return m;
    while (rounded < size && rounded <= UINT32_MAX)
        rounded <<= 1;
    m.address = (uint32_t)~(rounded - 1) | PCI_ROM_ADDRESS_ENABLE;
    return m;
}

/* A client writes the bytes from..to (both relative to the register, which has
 * four, to excluded) of a base address register. */
static void write_base(uint8_t *reg, struct base_mask m, const uint8_t *buf, size_t from,
                       size_t to)
{
    uint32_t was, is;

    memcpy(&was, reg, sizeof(was));
    is = was;
    memcpy((uint8_t *)&is + from, buf, to - from);
    is = (le32toh(is) & m.address) | (le32toh(was) & m.kept);
    is = htole32(is);
    memcpy(reg, &is, sizeof(is));
}

/* ------------------------------------------------------------ the header */

static bool in_base_register(size_t offset)
{
    return (offset >= PCI_BASE_ADDRESS_0 && offset < PCI_CARDBUS_CIS) ||
           (offset >= PCI_ROM_ADDRESS && offset < PCI_ROM_ADDRESS + 4);
}

static void write_header(struct vfu_ctx *ctx, const uint8_t *buf, size_t count,
                         size_t offset)
{
    uint8_t *space = ctx->pci.space;
    size_t end = offset + count;

    while (offset < end) {
        size_t reg = offset & ~(size_t)3;
        size_t stop = end < reg + 4 ? end : reg + 4;

        if (!in_base_register(offset)) {
            uint8_t *b = &space[offset];

            *b = (*b & ~writable[offset]) | (*buf & writable[offset]);
            *b &= ~(*buf & cleared_by_one[offset]);
            offset++;
            buf++;
            continue;
        }
        write_base(&space[reg],
                   reg == PCI_ROM_ADDRESS ? rom_mask(ctx)
                                          : bar_mask(ctx, (reg - PCI_BASE_ADDRESS_0) / 4),
                   buf, offset - reg, stop - reg);
        buf += stop - offset;
        offset = stop;
    }
}

/* ------------------------------------------------------- ways of access */

/* Return: 0 or negative errno. */
static int run_callback(struct vfu_ctx *ctx, uint8_t *buf, size_t count, uint64_t offset,
                        bool is_write)
{
    vfu_region_access_cb_t *cb = ctx->regions[VFU_PCI_DEV_CFG_REGION_IDX].cb;
    ssize_t done;

    if (!is_write)
        memset(buf, 0, count);
    errno = 0;
    done = cb(ctx, (char *)buf, count, (loff_t)offset, is_write);
    if (done < 0)
        return vus_callback_errno();
    return (size_t)done == count ? 0 : -EINVAL;
}

/* What lies behind the end of the array (region 7 may be larger) reads as 0. */
static void copy_out(const struct vus_pci *pci, uint8_t *buf, size_t count,
                     uint64_t offset)
{
    size_t n = 0;

    if (offset < pci->size)
        n = count < pci->size - offset ? count : pci->size - offset;
    memcpy(buf, pci->space + (n > 0 ? offset : 0), n);
    memset(buf + n, 0, count - n);
}

static int access_header(struct vfu_ctx *ctx, uint8_t *buf, size_t count, size_t offset,
                         bool is_write)
{
    if (is_write)
        write_header(ctx, buf, count, offset);
    else
        copy_out(&ctx->pci, buf, count, offset);
    return 0;
}

static int access_cap(struct vfu_ctx *ctx, const struct vus_pci_cap *cap, uint8_t *buf,
                      size_t count, size_t offset, bool is_write)
{
    if (is_write && (cap->flags & VFU_CAP_FLAG_READONLY))
        return -EPERM;
    if ((cap->flags & VFU_CAP_FLAG_CALLBACK) &&
        ctx->regions[VFU_PCI_DEV_CFG_REGION_IDX].cb != NULL)
        return run_callback(ctx, buf, count, offset, is_write);
    if (is_write)
        return vus_pci_cap_write(ctx, cap, buf, count, offset - cap->offset);
    copy_out(&ctx->pci, buf, count, offset);
    return 0;
}

static int access_rest(struct vfu_ctx *ctx, uint8_t *buf, size_t count, uint64_t offset,
                       bool is_write)
{
    if (ctx->regions[VFU_PCI_DEV_CFG_REGION_IDX].cb != NULL)
        return run_callback(ctx, buf, count, offset, is_write);
    if (is_write)
        return -EINVAL;
    copy_out(&ctx->pci, buf, count, offset);
    return 0;
}

ssize_t vus_pci_access(struct vfu_ctx *ctx, uint8_t *buf, size_t count, uint64_t offset,
                       bool is_write)
{
    const struct vus_region *region = &ctx->regions[VFU_PCI_DEV_CFG_REGION_IDX];
    size_t done = 0;

    if (ctx->pci.space == NULL || count > SSIZE_MAX || offset > INT64_MAX - count)
        return -EINVAL;
    if ((region->flags & VFU_REGION_FLAG_ALWAYS_CB) && region->cb != NULL) {
        int err = run_callback(ctx, buf, count, offset, is_write);

        return err < 0 ? err : (ssize_t)count;
    }
    while (done < count) {
        uint64_t at = offset + done;
        size_t n = count - done;
        size_t end = PCI_STD_HEADER_SIZEOF;
        const struct vus_pci_cap *cap = NULL;
        int err;

        if (at >= PCI_STD_HEADER_SIZEOF) {
            cap = vus_pci_cap_at(&ctx->pci, at, &end);
            if (cap != NULL)
                end = cap->offset + cap->size;
        }
        if (n > end - at)
            n = end - at;
        if (at < PCI_STD_HEADER_SIZEOF)
            err = access_header(ctx, buf + done, n, at, is_write);
        else if (cap != NULL)
            err = access_cap(ctx, cap, buf + done, n, at, is_write);
        else
            err = access_rest(ctx, buf + done, n, at, is_write);
        if (err < 0)
            return err;
        done += n;
    }
    return (ssize_t)count;
}

bool vus_pci_write_needs_quiesce(const struct vfu_ctx *ctx, uint64_t offset)
{
    const struct vus_pci_cap *cap = vus_pci_cap_by_id(&ctx->pci, false, PCI_CAP_ID_EXP);

    return cap != NULL && offset == (uint64_t)cap->offset + PCI_EXP_DEVCTL;
}

/* ---------------------------------------------------------------- set-up */

static int allocate_space(struct vus_pci *pci, size_t size)
{
    if (size < SMALLEST_SPACE)
        size = SMALLEST_SPACE;
    if (size > LARGEST_SPACE)
        size = LARGEST_SPACE;
    pci->space = calloc(1, size);
    if (pci->space == NULL)
        return -ENOMEM;
    pci->size = size;
    return 0;
}

static void set_bar_types(struct vfu_ctx *ctx)
{
    for (int bar = 0; bar < PCI_BARS_NR; bar++) {
        uint8_t *low = &ctx->pci.space[PCI_BASE_ADDRESS_0 + 4 * bar];
        int flags = ctx->regions[bar].flags;

        if (is_upper_half(ctx, bar))
            continue;
        if (!(flags & VFU_REGION_FLAG_MEM)) {   /* one that is not used counts as I/O */
            *low |= PCI_BASE_ADDRESS_SPACE_IO;
            continue;
        }
        if (is_64_bit(ctx, bar))
            *low |= PCI_BASE_ADDRESS_MEM_TYPE_64;
        if (!(flags & VFU_REGION_FLAG_PREFETCH))
            continue;
        *low |= PCI_BASE_ADDRESS_MEM_PREFETCH;
        if (!is_64_bit(ctx, bar))
            vfu_log(ctx, LOG_WARNING, "BAR%d is prefetchable, but has only 32 bits", bar);
    }
}

int vus_pci_realize(struct vfu_ctx *ctx, bool has_intx)
{
    struct vus_region *region = &ctx->regions[VFU_PCI_DEV_CFG_REGION_IDX];
    struct vus_pci *pci = &ctx->pci;

    if (region->size == 0) {
        region->size = PCI_CFG_SPACE_SIZE;
        region->flags = VFU_REGION_FLAG_RW;
    }
    if (pci->space == NULL) {
        int err = allocate_space(pci, region->size);

        if (err < 0)
            return err;
    }
    set_bar_types(ctx);
    if (has_intx)
        pci->space[PCI_INTERRUPT_PIN] = 1;  /* INTA# */
    if (vus_pci_has_cap_list(pci))
        pci->space[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
    pci->realized = true;
    return 0;
}

void vus_pci_done(struct vus_pci *pci)
{
    free(pci->space);
    memset(pci, 0, sizeof(*pci));
}

static int pci_init(struct vfu_ctx *ctx, vfu_pci_type_t type, int hdr_type, int revision)
{
    struct vus_region *region = &ctx->regions[VFU_PCI_DEV_CFG_REGION_IDX];
    size_t size;
    int err;

    switch (type) {
    case VFU_PCI_TYPE_CONVENTIONAL:
    case VFU_PCI_TYPE_PCI_X_1:
        size = PCI_CFG_SPACE_SIZE;
        break;
    case VFU_PCI_TYPE_PCI_X_2:
    case VFU_PCI_TYPE_EXPRESS:
        size = PCI_CFG_SPACE_EXP_SIZE;
        break;
    default:
        return -EINVAL;
    }
    if (hdr_type != PCI_HEADER_TYPE_NORMAL)
        return -EINVAL;
    if (ctx->pci.space != NULL)
        return -EEXIST;
    err = allocate_space(&ctx->pci, size);
    if (err < 0)
        return err;
    ctx->pci.type = type;
    ctx->pci.space[PCI_HEADER_TYPE] = (uint8_t)hdr_type;
    ctx->pci.space[PCI_REVISION_ID] = (uint8_t)revision;
    region->size = size;
    region->flags = VFU_REGION_FLAG_RW;
    return 0;
}

/* The header in the shape of the public struct, or NULL before vfu_pci_init(). */
static vfu_pci_hdr_t *header_to_set(struct vfu_ctx *ctx, const char *what)
{
    if (ctx->pci.space == NULL) {
        vfu_log(ctx, LOG_ERR, "%s needs vfu_pci_init() first", what);
        return NULL;
    }
    return &((vfu_pci_config_space_t *)ctx->pci.space)->hdr;
}

int vfu_pci_init(vfu_ctx_t *vfu_ctx, vfu_pci_type_t pci_type, int hdr_type, int revision)
{
    int err = pci_init(vfu_ctx, pci_type, hdr_type, revision);

    if (err < 0) {
        errno = -err;
        return -1;
    }
    return 0;
}

void vfu_pci_set_id(vfu_ctx_t *vfu_ctx, uint16_t vid, uint16_t did, uint16_t ssvid,
                    uint16_t ssid)
{
    vfu_pci_hdr_t *hdr = header_to_set(vfu_ctx, __func__);

    if (hdr == NULL)
        return;
    hdr->id.vid = vid;
    hdr->id.did = did;
    hdr->ss.vid = ssvid;
    hdr->ss.sid = ssid;
}

void vfu_pci_set_class(vfu_ctx_t *vfu_ctx, uint8_t base, uint8_t sub, uint8_t pi)
{
    vfu_pci_hdr_t *hdr = header_to_set(vfu_ctx, __func__);

    if (hdr == NULL)
        return;
    hdr->cc.bcc = base;
    hdr->cc.scc = sub;
    hdr->cc.pi = pi;
}

vfu_pci_config_space_t *vfu_pci_get_config_space(vfu_ctx_t *vfu_ctx)
{
    return (vfu_pci_config_space_t *)vfu_ctx->pci.space;
}
