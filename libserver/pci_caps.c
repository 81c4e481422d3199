/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Capabilities: adding them to configuration space, finding them there, and
 * what a client's write may change in each kind.
 *
 * Two views exist side by side. The table in struct vus_pci says where
 * capabilities are and rules over accesses; the linked lists in configuration
 * space are for readers, and the device may edit them. Finding walks the
 * lists, with bounds, since they are only bytes.
 */
#include "libserver/pci_caps.h"

#include "libserver/context.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

/* Return: 0 or negative errno. at and count lie within the capability, and
 * at is behind its header. */
typedef int write_rule(struct vfu_ctx *ctx, const struct vus_pci_cap *cap,
                       const uint8_t *buf, size_t count, size_t at);

static write_rule write_pm, write_msi, write_msix, write_exp, write_vendor, write_never;

/* All that is known about a kind of capability. */
struct vus_pci_cap_kind {
    bool extended;
    uint16_t id;
    uint16_t size;          /* bytes; 0: the capability has a length field */
    uint16_t header;        /* bytes at its start that no client writes */
    write_rule *write;
};

static const struct vus_pci_cap_kind kinds[] = {
    /* ext.   id                     size                          header write */
    { false,  PCI_CAP_ID_PM,         PCI_PM_SIZEOF,                2, write_pm },
    { false,  PCI_CAP_ID_EXP,        VFIO_USER_PCI_CAP_EXP_SIZEOF, 2, write_exp },
    { false,  PCI_CAP_ID_MSI,        VFIO_USER_PCI_CAP_MSI_SIZEOF, 2, write_msi },
    { false,  PCI_CAP_ID_MSIX,       PCI_CAP_MSIX_SIZEOF,          2, write_msix },
    { false,  PCI_CAP_ID_VNDR,       0,                            3, write_vendor },
    { true,   PCI_EXT_CAP_ID_DSN,    PCI_EXT_CAP_DSN_SIZEOF,       4, write_never },
    { true,   PCI_EXT_CAP_ID_VNDR,   0,                            8, write_vendor },
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static uint16_t load16(const uint8_t *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof(v));
    return le16toh(v);
}

static void store16(uint8_t *p, uint16_t v)
{
    v = htole16(v);
    memcpy(p, &v, sizeof(v));
}

static uint32_t load32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return le32toh(v);
}

static void store32(uint8_t *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, sizeof(v));
}

/* ------------------------------------------------------- client's writes */

/* PMCSR, as one word; the power state has no effect here. */
static int write_pm(struct vfu_ctx *ctx, const struct vus_pci_cap *cap,
                    const uint8_t *buf, size_t count, size_t at)
{
    if (at == PCI_PM_CTRL && count == 2) {
        memcpy(ctx->pci.space + cap->offset + at, buf, count);
        return 0;
    }
    if ((at == PCI_PM_PMC && count == 2) ||
        (at == PCI_PM_PPB_EXTENSIONS && count == 1) ||
        (at == PCI_PM_DATA_REGISTER && count == 1))
        return -ENOTSUP;
    return -EINVAL;
}

/* Store the bits of a mask for the whole capability. */
static void write_masked(uint8_t *cap, const uint8_t *mask, const uint8_t *buf,
                         size_t count, size_t at)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t m = mask[at + i];

        cap[at + i] = (cap[at + i] & ~m) | (buf[i] & m);
    }
}

/* What a client may change, by whether addresses have 64 bits and vectors can be
 * masked. All four layouts have room for the longest. */
typedef uint8_t msi_mask[VFIO_USER_PCI_CAP_MSI_SIZEOF];
static const msi_mask msi_masks[2][2] = {
#define MSI_COMMON                                                       \
    [PCI_MSI_FLAGS]      = PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE,   \
    [PCI_MSI_ADDRESS_LO] = 0xfc, 0xff, 0xff, 0xff
    [false][false] = {
        MSI_COMMON,
        [PCI_MSI_DATA_32]    = 0xff, 0xff,
    },
    [false][true] = {
        MSI_COMMON,
        [PCI_MSI_DATA_32]    = 0xff, 0xff,
        [PCI_MSI_MASK_32]    = 0xff, 0xff, 0xff, 0xff,
    },
    [true][false] = {
        MSI_COMMON,
        [PCI_MSI_ADDRESS_HI] = 0xff, 0xff, 0xff, 0xff,
        [PCI_MSI_DATA_64]    = 0xff, 0xff,
    },
    [true][true] = {
        MSI_COMMON,
        [PCI_MSI_ADDRESS_HI] = 0xff, 0xff, 0xff, 0xff,
        [PCI_MSI_DATA_64]    = 0xff, 0xff,
        [PCI_MSI_MASK_64]    = 0xff, 0xff, 0xff, 0xff,
    },
#undef MSI_COMMON
};

/* Any bytes, in the layout that the capability had when it was added. */
static int write_msi(struct vfu_ctx *ctx, const struct vus_pci_cap *cap,
                     const uint8_t *buf, size_t count, size_t at)
{
    bool wide = cap->control & PCI_MSI_FLAGS_64BIT;
    bool maskable = cap->control & PCI_MSI_FLAGS_MASKBIT;
    uint8_t *msi = ctx->pci.space + cap->offset;

    if (at == PCI_MSI_FLAGS) {
        unsigned int capable = (msi[at] & PCI_MSI_FLAGS_QMASK) >> 1;
        unsigned int enable = (buf[0] & PCI_MSI_FLAGS_QSIZE) >> 4;

        /* Powers of two: at most 32 vectors, and at most what the device has. */
        if (enable > 5 || enable > capable)
            return -EINVAL;
    }
    write_masked(msi, msi_masks[wide][maskable], buf, count, at);
    return 0;
}

/* Any bytes; function mask and enable change. */
static int write_msix(struct vfu_ctx *ctx, const struct vus_pci_cap *cap,
                      const uint8_t *buf, size_t count, size_t at)
{
    static const uint8_t mask[PCI_CAP_MSIX_SIZEOF] = {
        [PCI_MSIX_FLAGS + 1] = (PCI_MSIX_FLAGS_MASKALL | PCI_MSIX_FLAGS_ENABLE) >> 8,
    };

    write_masked(ctx->pci.space + cap->offset, mask, buf, count, at);
    return 0;
}

/* Device Control. The reset runs last, so that it has the last word. */
static int write_device_control(struct vfu_ctx *ctx, uint8_t *exp, uint16_t value)
{
    bool reset = value & PCI_EXP_DEVCTL_BCR_FLR;

    if (reset && !(load32(exp + PCI_EXP_DEVCAP) & PCI_EXP_DEVCAP_FLR))
        return -EINVAL;
    store16(exp + PCI_EXP_DEVCTL, value & ~PCI_EXP_DEVCTL_BCR_FLR);
    if (!reset)
        return 0;
    vfu_log(ctx, LOG_DEBUG, "function level reset");
    return vus_reset_asked(ctx, VFU_RESET_PCI_FLR);
}

/* One register of two bytes at a time. */
static int write_exp(struct vfu_ctx *ctx, const struct vus_pci_cap *cap,
                     const uint8_t *buf, size_t count, size_t at)
{
    uint8_t *exp = ctx->pci.space + cap->offset;
    const uint16_t events = PCI_EXP_DEVSTA_CED | PCI_EXP_DEVSTA_NFED |
                            PCI_EXP_DEVSTA_FED | PCI_EXP_DEVSTA_URD;
    uint16_t value;

    if (count != 2)
        return -EINVAL;
    value = load16(buf);
    switch (at) {
    case PCI_EXP_DEVCTL:
        return write_device_control(ctx, exp, value);
    case PCI_EXP_DEVSTA:    /* writing 1 clears */
        store16(exp + at, load16(exp + at) & ~(value & events));
        return 0;
    case PCI_EXP_DEVCTL2:
    case PCI_EXP_LNKCTL2:
        store16(exp + at, value);
        return 0;
    case PCI_EXP_LNKCTL:    /* there is no link, slot or root to control */
    case PCI_EXP_SLTCTL:
    case PCI_EXP_RTCTL:
    case PCI_EXP_SLTCTL2:
        return 0;
    default:
        return -EINVAL;
    }
}

static int write_vendor(struct vfu_ctx *ctx, const struct vus_pci_cap *cap,
                        const uint8_t *buf, size_t count, size_t at)
{
    memcpy(ctx->pci.space + cap->offset + at, buf, count);
    return 0;
}

static int write_never(struct vfu_ctx *ctx, const struct vus_pci_cap *cap,
                       const uint8_t *buf, size_t count, size_t at)
{
    (void)ctx;
    (void)cap;
    (void)buf;
    (void)count;
    (void)at;
    return -EPERM;
}

int vus_pci_cap_write(struct vfu_ctx *ctx, const struct vus_pci_cap *cap,
                      const uint8_t *buf, size_t count, size_t at)
{
    if (at < cap->kind->header)
        return -EPERM;
    return cap->kind->write(ctx, cap, buf, count, at);
}

/* ------------------------------------------------------------- the table */

const struct vus_pci_cap *vus_pci_cap_at(const struct vus_pci *pci, uint64_t offset,
                                         size_t *next)
{
    *next = SIZE_MAX;
    for (size_t i = 0; i < pci->n_caps; i++) {
        const struct vus_pci_cap *cap = &pci->caps[i];

        if (offset >= cap->offset && offset - cap->offset < cap->size)
            return cap;
        if (cap->offset > offset && cap->offset < *next)
            *next = cap->offset;
    }
    return NULL;
}

const struct vus_pci_cap *vus_pci_cap_by_id(const struct vus_pci *pci, bool extended,
                                            unsigned int id)
{
    for (size_t i = 0; i < pci->n_caps; i++) {
        if (pci->caps[i].kind->extended == extended && pci->caps[i].kind->id == id)
            return &pci->caps[i];
    }
    return NULL;
}

/* The end of a list, and how many there are in it. */
static const struct vus_pci_cap *last_cap(const struct vus_pci *pci, bool extended,
                                          size_t *n)
{
    const struct vus_pci_cap *last = NULL;

    *n = 0;
    for (size_t i = 0; i < pci->n_caps; i++) {
        if (pci->caps[i].kind->extended != extended)
            continue;
        last = &pci->caps[i];
        ++*n;
    }
    return last;
}

bool vus_pci_has_cap_list(const struct vus_pci *pci)
{
    size_t n;

    return last_cap(pci, false, &n) != NULL;
}

/* --------------------------------------------------------------- adding */

static const struct vus_pci_cap_kind *find_kind(bool extended, unsigned int id)
{
    for (size_t i = 0; i < N_KINDS; i++) {
        if (kinds[i].extended == extended && kinds[i].id == id)
            return &kinds[i];
    }
    return NULL;
}

/* Bytes of a capability; 0 if its length field does not even cover the header. */
static size_t cap_size(const struct vus_pci_cap_kind *kind, const uint8_t *data)
{
    size_t size = kind->size;

    if (size == 0)
        size = kind->extended ? load32(data + 4) >> 20 : data[2];
    return size < kind->header ? 0 : size;
}

static const struct vus_pci_cap *overlapping(const struct vus_pci *pci, size_t pos,
                                             size_t size)
{
    for (size_t i = 0; i < pci->n_caps; i++) {
        const struct vus_pci_cap *cap = &pci->caps[i];

        if (pos < (size_t)cap->offset + cap->size && cap->offset < pos + size)
            return cap;
    }
    return NULL;
}

static size_t behind(const struct vus_pci_cap *cap)
{
    return ((size_t)cap->offset + cap->size + 3) & ~(size_t)3;
}

/* One past the last byte that a list can reach: standard pointers have 8 bits. */
static size_t list_limit(const struct vus_pci *pci, bool extended)
{
    return extended ? pci->size : PCI_CFG_SPACE_SIZE;
}

/* Return: 0 if the place that the device asks for is a good one, or -EINVAL. */
static int check_place(const struct vus_pci *pci, bool extended, bool first, size_t pos,
                       size_t size)
{
    if (pos < (extended ? PCI_CFG_SPACE_SIZE : PCI_STD_HEADER_SIZEOF))
        return -EINVAL;
    /* Existing users rely on a capability not ending where the space ends. */
    if (pos >= pci->size || size >= pci->size - pos)
        return -EINVAL;
    if (pos > list_limit(pci, extended) || size > list_limit(pci, extended) - pos)
        return -EINVAL;
    if (extended && (pos % 4 != 0 || (first && pos != PCI_CFG_SPACE_SIZE)))
        return -EINVAL;
    return overlapping(pci, pos, size) != NULL ? -EINVAL : 0;
}

/* Return: the first free offset behind the last of a list, or -ENOSPC. */
static ssize_t choose_place(const struct vus_pci *pci, bool extended,
                            const struct vus_pci_cap *last, size_t size)
{
    size_t pos = extended ? PCI_CFG_SPACE_SIZE : PCI_STD_HEADER_SIZEOF;
    size_t limit = list_limit(pci, extended);
    const struct vus_pci_cap *other;

    if (last != NULL)
        pos = behind(last);
    while ((other = overlapping(pci, pos, size)) != NULL)
        pos = behind(other);
    return pos > limit || size > limit - pos ? -ENOSPC : (ssize_t)pos;
}

/* Hang a capability at the end of its list, as the bytes say it. */
static void append(struct vus_pci *pci, const struct vus_pci_cap *last, bool extended,
                   size_t pos)
{
    uint8_t *space = pci->space;

    if (!extended) {
        space[pos + PCI_CAP_LIST_NEXT] = 0;
        space[last != NULL ? last->offset + PCI_CAP_LIST_NEXT : PCI_CAPABILITY_LIST] =
            (uint8_t)pos;
        return;
    }
    store32(&space[pos], load32(&space[pos]) & 0x000fffff);
    if (last != NULL) {
        uint8_t *prev = &space[last->offset];

        store32(prev, (load32(prev) & 0x000fffff) | (uint32_t)pos << 20);
    }
}

/* Return: 0 or -EINVAL. */
static int check_flags(const struct vfu_ctx *ctx, int flags)
{
    const int all = VFU_CAP_FLAG_EXTENDED | VFU_CAP_FLAG_CALLBACK | VFU_CAP_FLAG_READONLY;
    vfu_pci_type_t type = ctx->pci.type;

    if (flags & ~all)
        return -EINVAL;
    if ((flags & VFU_CAP_FLAG_CALLBACK) &&
        ctx->regions[VFU_PCI_DEV_CFG_REGION_IDX].cb == NULL)
        return -EINVAL;
    if ((flags & VFU_CAP_FLAG_EXTENDED) && type != VFU_PCI_TYPE_PCI_X_2 &&
        type != VFU_PCI_TYPE_EXPRESS)
        return -EINVAL;
    return 0;
}

/* Return: the offset for a capability of that size, or negative errno. */
static ssize_t find_place(const struct vus_pci *pci, bool extended,
                          const struct vus_pci_cap *last, size_t pos, size_t size)
{
    int err;

    if (pos == 0)
        return choose_place(pci, extended, last, size);
    err = check_place(pci, extended, last == NULL, pos, size);
    return err < 0 ? err : (ssize_t)pos;
}

/* Return: the offset, or negative errno. */
static ssize_t add_capability(struct vfu_ctx *ctx, size_t pos, int flags,
                              const uint8_t *data)
{
    const bool extended = flags & VFU_CAP_FLAG_EXTENDED;
    struct vus_pci *pci = &ctx->pci;
    const struct vus_pci_cap *last;
    const struct vus_pci_cap_kind *kind;
    size_t n, size;
    ssize_t place;

    if (pci->space == NULL || data == NULL || check_flags(ctx, flags) < 0)
        return -EINVAL;
    last = last_cap(pci, extended, &n);
    if (n == VUS_PCI_MAX_CAPS)
        return -ENOSPC;
    kind = find_kind(extended, extended ? load16(data) : data[0]);
    if (kind == NULL)
        return -ENOTSUP;
    size = cap_size(kind, data);
    if (size == 0)
        return -EINVAL;
    place = find_place(pci, extended, last, pos, size);
    if (place < 0)
        return place;
    memcpy(pci->space + place, data, size);
    append(pci, last, extended, place);
    pci->caps[pci->n_caps++] = (struct vus_pci_cap){
        .kind = kind, .offset = (uint16_t)place, .size = (uint16_t)size, .flags = flags,
        .control = kind->write == write_msi ? load16(data + PCI_MSI_FLAGS) : 0,
    };
    if (pci->realized && !extended)
        pci->space[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
    return place;
}

ssize_t vfu_pci_add_capability(vfu_ctx_t *vfu_ctx, size_t pos, int flags, void *data)
{
    ssize_t place = add_capability(vfu_ctx, pos, flags, data);

    if (place < 0) {
        errno = (int)-place;
        return -1;
    }
    return place;
}

/* -------------------------------------------------------------- finding */

/* Return: the offset behind pos in the standard list (pos 0: the first),
 * 0 at the end, or -EINVAL. */
static ssize_t step_standard(const struct vus_pci *pci, size_t pos)
{
    size_t next = pci->space[pos == 0 ? PCI_CAPABILITY_LIST : pos + PCI_CAP_LIST_NEXT];

    if (next == 0)
        return 0;
    if (next < PCI_STD_HEADER_SIZEOF || next + 1 >= pci->size)
        return -EINVAL;
    return (ssize_t)next;
}

/* The same for the extended list. */
static ssize_t step_extended(const struct vus_pci *pci, size_t pos)
{
    size_t next;

    if (pci->size <= PCI_CFG_SPACE_SIZE)
        return 0;
    if (pos == 0)
        return load32(pci->space + PCI_CFG_SPACE_SIZE) != 0 ? PCI_CFG_SPACE_SIZE : 0;
    next = load32(pci->space + pos) >> 20;
    if (next == 0)
        return 0;
    if (next < PCI_CFG_SPACE_SIZE || next + 4 >= pci->size)
        return -EINVAL;
    return (ssize_t)next;
}

/* Return: the offset, -ENOENT or -EINVAL. */
static ssize_t find_capability(const struct vus_pci *pci, bool extended, size_t pos,
                               int cap_id)
{
    const size_t header = extended ? 4 : 1;
    ssize_t at;

    if (pci->space == NULL || pos >= pci->size - header)
        return -EINVAL;
    at = (ssize_t)pos;
    for (size_t steps = 0; steps < pci->size; steps++) {   /* a longer list is a circle */
        at = extended ? step_extended(pci, at) : step_standard(pci, at);
        if (at <= 0)
            return at < 0 ? at : -ENOENT;
        if ((extended ? load16(pci->space + at) : pci->space[at]) == cap_id)
            return at;
    }
    return -EINVAL;
}

size_t vfu_pci_find_next_capability(vfu_ctx_t *vfu_ctx, bool extended, size_t pos,
                                    int cap_id)
{
    ssize_t at = find_capability(&vfu_ctx->pci, extended, pos, cap_id);

    if (at < 0) {
        errno = (int)-at;
        return 0;
    }
    return (size_t)at;
}

size_t vfu_pci_find_capability(vfu_ctx_t *vfu_ctx, bool extended, int cap_id)
{
    return vfu_pci_find_next_capability(vfu_ctx, extended, 0, cap_id);
}
