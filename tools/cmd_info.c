/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfu info: what a device is, and what was agreed on with its server.
 *
 * A server that refuses to describe a part is shown as far as it goes: the part says so.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/feature.h"

#define NAME_LEN 32

/* The identity at the start of configuration space. */
struct identity {
    bool known;
    uint16_t vendor, device;
    uint32_t class_code;        /* 24 bits */
};

struct info {
    const struct tool_call *call;
    struct vfuc_client *dev;
    const struct vfuc_device *device;
    struct identity identity;
    uint32_t features[TOOL_N_FEATURES];     /* methods that the server has, or 0 */
    char migration[64], state[32];          /* in words; "": not to be had */
    uint64_t migration_flags;
    unsigned refusals;          /* parts that the server would not describe */
};

static struct json_object *number(uint64_t value)
{
    return tool_json_number(value);
}

static void add(struct json_object *object, const char *key, struct json_object *value)
{
    tool_json_add(object, key, value);
}

static void add_flag(struct json_object *object, const char *key, bool value)
{
    add(object, key, tool_json_boolean(value));
}

/* ----------------------------------------------------------------- device -- */

/* Not every device is PCI, and not every one lets its configuration space be read. */
static int read_identity(struct info *info)
{
    uint8_t bytes[12];
    int err;

    if ((info->device->flags & VFUC_DEVICE_PCI) == 0 ||
        info->device->num_regions <= VFUC_PCI_CONFIG)
        return 0;
    err = vfuc_region_read(info->dev, VFUC_PCI_CONFIG, 0, bytes, sizeof(bytes));
    if (err == -EREMOTEIO || err == -ERANGE || err == -EACCES)
        return 0;
    if (err != 0)
        return tool_client_fail(info->call, info->dev, err, "configuration space");
    info->identity = (struct identity){
        .known = true,
        .vendor = (uint16_t)(bytes[0] | bytes[1] << 8),
        .device = (uint16_t)(bytes[2] | bytes[3] << 8),
        .class_code = bytes[9] | (uint32_t)bytes[10] << 8 | (uint32_t)bytes[11] << 16,
    };
    return 0;
}

static void show_device(const struct info *info)
{
    const struct tool_call *call = info->call;
    uint32_t flags = info->device->flags;

    printf("%s%s%s: %s device, %s\n", tool_color(call, TOOL_BOLD), call->argv[0],
           tool_color(call, TOOL_PLAIN), (flags & VFUC_DEVICE_PCI) != 0 ? "PCI" : "some",
           (flags & VFUC_DEVICE_RESET) != 0 ? "can be reset" : "cannot be reset");
    if (info->identity.known)
        printf("  vendor %04x, device %04x, class %06x\n", info->identity.vendor,
               info->identity.device, info->identity.class_code);
    if ((flags & ~(VFUC_DEVICE_PCI | VFUC_DEVICE_RESET)) != 0)
        printf("  further flags: 0x%x\n", flags & ~(VFUC_DEVICE_PCI | VFUC_DEVICE_RESET));
}

static struct json_object *device_json(const struct info *info)
{
    struct json_object *object = tool_json_object();

    add_flag(object, "pci", (info->device->flags & VFUC_DEVICE_PCI) != 0);
    add_flag(object, "reset", (info->device->flags & VFUC_DEVICE_RESET) != 0);
    add(object, "flags", number(info->device->flags));
    add(object, "num_regions", number(info->device->num_regions));
    add(object, "num_irqs", number(info->device->num_irqs));
    if (info->identity.known) {
        add(object, "vendor_id", number(info->identity.vendor));
        add(object, "device_id", number(info->identity.device));
        add(object, "class_code", number(info->identity.class_code));
    }
    return object;
}

/* --------------------------------------------------------------- protocol -- */

/* "4 KiB, 2 MiB" */
static void page_sizes_text(uint64_t pgsizes, char *buf, size_t len)
{
    size_t used = 0;

    buf[0] = '\0';
    for (unsigned bit = 0; bit < 64 && used < len; bit++) {
        char size[NAME_LEN];

        if ((pgsizes >> bit & 1) != 0)
            used +=
                (size_t)snprintf(buf + used, len - used, "%s%s", used > 0 ? ", " : "",
                                 tool_size_text(UINT64_C(1) << bit, size, sizeof(size)));
    }
}

static const char *yes_or_no(bool yes)
{
    return yes ? "yes" : "no";
}

static void show_protocol(const struct info *info)
{
    const struct vfuc_limits *l = vfuc_negotiated(info->dev);
    char size[NAME_LEN], pages[640];

    page_sizes_text(l->pgsizes, pages, sizeof(pages));
    printf("\nProtocol %u.%u, limits and abilities of the server:\n", l->version_major,
           l->version_minor);
    printf("  data in a message         %s\n",
           tool_size_text(l->max_data_xfer_size, size, sizeof(size)));
    printf("  descriptors in a message  %" PRIu32 "\n", l->max_msg_fds);
    printf("  DMA windows               %" PRIu64 "\n", l->max_dma_maps);
    printf("  page sizes for DMA        %s\n", pages[0] != '\0' ? pages : "none");
    printf("  several writes at once    %s\n", yes_or_no(l->write_multiple));
    printf("  socket of its own for DMA %s\n", yes_or_no(l->twin_socket));
    printf("  descriptors per area      %s\n", yes_or_no(l->sparse_mmap_fds));
}

static struct json_object *protocol_json(const struct info *info)
{
    const struct vfuc_limits *l = vfuc_negotiated(info->dev);
    struct json_object *object = tool_json_object();

    add(object, "version_major", number(l->version_major));
    add(object, "version_minor", number(l->version_minor));
    add(object, "max_msg_fds", number(l->max_msg_fds));
    add(object, "max_data_xfer_size", number(l->max_data_xfer_size));
    add(object, "max_dma_maps", number(l->max_dma_maps));
    add(object, "pgsizes", number(l->pgsizes));
    add_flag(object, "write_multiple", l->write_multiple);
    add_flag(object, "twin_socket", l->twin_socket);
    add_flag(object, "sparse_mmap_fds", l->sparse_mmap_fds);
    return object;
}

/* ---------------------------------------------------------------- regions -- */

/* 0 with the region; 1: the server refused; an exit code, negated, after a sentence. */
static int get_region(struct info *info, uint32_t index,
                      const struct vfuc_region **region)
{
    char name[NAME_LEN];
    int err = vfuc_region_info(info->dev, index, region);

    info->refusals += err == -EREMOTEIO;
    if (err == 0 || err == -EREMOTEIO)
        return err == 0 ? 0 : 1;
    return -tool_client_fail(info->call, info->dev, err, "%s",
                             tool_region_name(index, name, sizeof(name)));
}

/* "0x10000-0x7ffff, 0x100000-0x1fffff", and what else is special. */
static void mapping_text(const struct vfuc_region *r, char *buf, size_t len)
{
    size_t used = 0;

    buf[0] = '\0';
    if ((r->flags & VFUC_REGION_MMAP) == 0)
        snprintf(buf, len, "no");
    else if (r->num_areas == 1 && r->areas[0].offset == 0 && r->areas[0].size == r->size)
        snprintf(buf, len, "all");
    else
        for (uint32_t i = 0; i < r->num_areas && used < len; i++)
            used += (size_t)snprintf(buf + used, len - used,
                                     "%s0x%" PRIx64 "-0x%" PRIx64, i > 0 ? ", " : "",
                                     r->areas[i].offset,
                                     r->areas[i].offset + r->areas[i].size - 1);
    if (used >= len)
        memcpy(buf + len - 4, "...", 4);
}

static void notes_text(const struct vfuc_region *r, char *buf, size_t len)
{
    bool no_fd = (r->flags & VFUC_REGION_MMAP) != 0 && r->fd == -1 &&
                 (r->num_areas == 0 || r->areas[0].fd == -1);
    char type[64] = "";

    if (r->has_type)
        snprintf(type, sizeof(type), "type 0x%" PRIx32 ":0x%" PRIx32, r->type,
                 r->subtype);
    snprintf(buf, len, "%s%s%s%s%s", type,
             type[0] != '\0' && (no_fd || r->msix_mappable) ? ", " : "",
             no_fd ? "no descriptor came" : "", no_fd && r->msix_mappable ? ", " : "",
             r->msix_mappable ? "MSI-X table may be mapped" : "");
}

static void region_row(const struct vfuc_region *r, struct tool_table *table)
{
    char name[NAME_LEN], size[NAME_LEN], mapping[320], notes[160];

    mapping_text(r, mapping, sizeof(mapping));
    notes_text(r, notes, sizeof(notes));
    tool_table_cell(table, "%" PRIu32, r->index);
    tool_table_cell(table, "%s", tool_region_name(r->index, name, sizeof(name)));
    tool_table_cell(table, "%s", tool_size_text(r->size, size, sizeof(size)));
    tool_table_cell(table, "%c%c", (r->flags & VFUC_REGION_READ) != 0 ? 'r' : '-',
                    (r->flags & VFUC_REGION_WRITE) != 0 ? 'w' : '-');
    tool_table_cell(table, "%s%s%s", mapping, notes[0] != '\0' ? "; " : "", notes);
}

static void refused_row(struct info *info, uint32_t index, struct tool_table *table)
{
    char name[NAME_LEN];

    tool_table_cell(table, "%" PRIu32, index);
    tool_table_cell(table, "%s", tool_region_name(index, name, sizeof(name)));
    tool_table_cell(table, "?");
    tool_table_cell(table, "?");
    tool_table_cell(table, "%s", vfuc_last_error(info->dev));
}

static int show_regions(struct info *info)
{
    struct tool_table *table = tool_table_new(">index|region|>size|access|mappable");
    int got = 0;

    for (uint32_t i = 0; i < info->device->num_regions && got >= 0; i++) {
        const struct vfuc_region *r;

        got = get_region(info, i, &r);
        if (got == 1)
            refused_row(info, i, table);
        else if (got == 0 && r->size > 0)
            region_row(r, table);
    }
    printf("\nRegions, of %" PRIu32 " indices:\n", info->device->num_regions);
    if (got < 0) {
        tool_table_print(info->call, table, 2);
        return -got;
    }
    return tool_table_print(info->call, table, 2);
}

static struct json_object *areas_json(const struct vfuc_region *r)
{
    struct json_object *areas = tool_json_array();

    for (uint32_t i = 0; i < r->num_areas; i++) {
        struct json_object *area = tool_json_object();

        add(area, "offset", number(r->areas[i].offset));
        add(area, "size", number(r->areas[i].size));
        add_flag(area, "fd", r->areas[i].fd != -1);
        tool_json_append(areas, area);
    }
    return areas;
}

static struct json_object *region_json(const struct vfuc_region *r)
{
    struct json_object *object = tool_json_object();
    char name[NAME_LEN];

    add(object, "index", number(r->index));
    add(object, "name",
        tool_json_string(tool_region_name(r->index, name, sizeof(name))));
    add(object, "size", number(r->size));
    add_flag(object, "read", (r->flags & VFUC_REGION_READ) != 0);
    add_flag(object, "write", (r->flags & VFUC_REGION_WRITE) != 0);
    add_flag(object, "mmap", (r->flags & VFUC_REGION_MMAP) != 0);
    add(object, "areas", areas_json(r));
    add_flag(object, "msix_mappable", r->msix_mappable);
    if (r->has_type) {
        add(object, "type", number(r->type));
        add(object, "subtype", number(r->subtype));
    }
    return object;
}

/* What could not be had: index, name, and the library's sentence. */
static struct json_object *refused_json(struct info *info, uint32_t index,
                                        const char *name)
{
    struct json_object *object = tool_json_object();

    add(object, "index", number(index));
    add(object, "name", tool_json_string(name));
    add(object, "error", tool_json_string(vfuc_last_error(info->dev)));
    return object;
}

static int regions_json(struct info *info, struct json_object *array)
{
    for (uint32_t i = 0; i < info->device->num_regions; i++) {
        const struct vfuc_region *r;
        char name[NAME_LEN];
        int got = get_region(info, i, &r);

        if (got < 0)
            return -got;
        tool_region_name(i, name, sizeof(name));
        tool_json_append(array,
                         got == 0 ? region_json(r) : refused_json(info, i, name));
    }
    return 0;
}

/* ------------------------------------------------------------- interrupts -- */

static const struct {
    uint32_t flag;
    const char *name;
} irq_flags[] = {
    { VFUC_IRQ_EVENTFD, "eventfd" },
    { VFUC_IRQ_MASKABLE, "maskable" },
    { VFUC_IRQ_AUTOMASKED, "automasked" },
    { VFUC_IRQ_NORESIZE, "noresize" },
};
#define N_IRQ_FLAGS (sizeof(irq_flags) / sizeof(irq_flags[0]))

static int get_irq(struct info *info, uint32_t index, const struct vfuc_irq **irq)
{
    char name[NAME_LEN];
    int err = vfuc_irq_info(info->dev, index, irq);

    info->refusals += err == -EREMOTEIO;
    if (err == 0 || err == -EREMOTEIO)
        return err == 0 ? 0 : 1;
    return -tool_client_fail(info->call, info->dev, err, "%s",
                             tool_irq_name(index, name, sizeof(name)));
}

static void irq_row(struct info *info, uint32_t index, const struct vfuc_irq *irq,
                    struct tool_table *table)
{
    char name[NAME_LEN], flags[80] = "";

    for (size_t i = 0; irq != NULL && i < N_IRQ_FLAGS; i++) {
        size_t used = strlen(flags);

        if ((irq->flags & irq_flags[i].flag) != 0)
            snprintf(flags + used, sizeof(flags) - used, "%s%s", used > 0 ? ", " : "",
                     irq_flags[i].name);
    }
    tool_table_cell(table, "%" PRIu32, index);
    tool_table_cell(table, "%s", tool_irq_name(index, name, sizeof(name)));
    if (irq != NULL) {
        tool_table_cell(table, "%" PRIu32, irq->num_vectors);
        tool_table_cell(table, "%s", flags);
    } else {
        tool_table_cell(table, "?");
        tool_table_cell(table, "%s", vfuc_last_error(info->dev));
    }
}

static int show_irqs(struct info *info)
{
    struct tool_table *table = tool_table_new(">index|interrupt|>vectors|properties");
    int got = 0;

    for (uint32_t i = 0; i < info->device->num_irqs && got >= 0; i++) {
        const struct vfuc_irq *irq = NULL;

        got = get_irq(info, i, &irq);
        if (got == 1)
            irq_row(info, i, NULL, table);
        else if (got == 0 && irq->num_vectors > 0)
            irq_row(info, i, irq, table);
    }
    printf("\nInterrupts, of %" PRIu32 " indices:\n", info->device->num_irqs);
    if (got < 0) {
        tool_table_print(info->call, table, 2);
        return -got;
    }
    return tool_table_print(info->call, table, 2);
}

static struct json_object *irq_json(const struct vfuc_irq *irq)
{
    struct json_object *object = tool_json_object();
    char name[NAME_LEN];

    add(object, "index", number(irq->index));
    add(object, "name",
        tool_json_string(tool_irq_name(irq->index, name, sizeof(name))));
    add(object, "vectors", number(irq->num_vectors));
    for (size_t i = 0; i < N_IRQ_FLAGS; i++)
        add_flag(object, irq_flags[i].name, (irq->flags & irq_flags[i].flag) != 0);
    return object;
}

static int irqs_json(struct info *info, struct json_object *array)
{
    for (uint32_t i = 0; i < info->device->num_irqs; i++) {
        const struct vfuc_irq *irq;
        char name[NAME_LEN];
        int got = get_irq(info, i, &irq);

        if (got < 0)
            return -got;
        tool_irq_name(i, name, sizeof(name));
        tool_json_append(array,
                         got == 0 ? irq_json(irq) : refused_json(info, i, name));
    }
    return 0;
}

/* --------------------------------------------------------------- features -- */

/* What it says of migration is worth knowing, but no reason to fail: a server may refuse
 * the one and have the other. */
static int ask_migration(struct info *info)
{
    enum vfuc_mig_state state;
    int err = vfuc_migration_flags(info->dev, &info->migration_flags);

    if (err == 0)
        tool_migration_text(info->migration_flags, info->migration,
                            sizeof(info->migration));
    if (err == 0 || err == -EREMOTEIO)
        err = vfuc_migration_state(info->dev, &state);
    if (err == 0)
        snprintf(info->state, sizeof(info->state), "%s",
                 vfuc_migration_state_name(state));
    return err == 0 || err == -EREMOTEIO
               ? 0
               : tool_client_fail(info->call, info->dev, err, "the state of migration");
}

/* Last of all: a server that does not know the command may end the connection. */
static int ask_features(struct info *info)
{
    for (size_t i = 0; i < TOOL_N_FEATURES; i++) {
        int status = tool_feature_probe(info->call, info->dev, &tool_features[i],
                                        &info->features[i]);

        if (status != 0)
            return status;
    }
    return info->features[0] != 0 ? ask_migration(info) : 0;
}

static int show_features(struct info *info)
{
    struct tool_table *table;
    unsigned n = 0;
    int status = ask_features(info);

    if (status != 0)
        return status;
    table = tool_table_new("feature|methods|now");
    for (size_t i = 0; i < TOOL_N_FEATURES; i++) {
        uint32_t index = tool_features[i].index;

        if (info->features[i] == 0)
            continue;
        n++;
        tool_table_cell(table, "%s", tool_features[i].name);
        tool_table_cell(table, "%s", tool_methods_text(info->features[i]));
        tool_table_cell(table, "%s",
                        index == VFUC_FEATURE_MIGRATION          ? info->migration
                        : index == VFUC_FEATURE_MIG_DEVICE_STATE ? info->state
                                                                 : "");
    }
    printf("\nFeatures:%s\n", n == 0 ? " none" : "");
    return tool_table_print(info->call, table, 2);
}

static struct json_object *migration_json(const struct info *info)
{
    struct json_object *object = tool_json_object();
    uint64_t flags = info->migration_flags;

    add_flag(object, "stop_copy", (flags & VFUC_MIGRATION_STOP_COPY) != 0);
    add_flag(object, "p2p", (flags & VFUC_MIGRATION_P2P) != 0);
    add_flag(object, "pre_copy", (flags & VFUC_MIGRATION_PRE_COPY) != 0);
    if (info->state[0] != '\0')
        add(object, "state", tool_json_string(info->state));
    return object;
}

static int features_json(struct info *info, struct json_object *root)
{
    struct json_object *array = tool_json_array();
    int status;

    add(root, "features", array);
    status = ask_features(info);
    for (size_t i = 0; status == 0 && i < TOOL_N_FEATURES; i++)
        tool_json_append(array,
                         tool_feature_json(&tool_features[i], info->features[i]));
    if (status == 0 && info->features[0] != 0)
        add(root, "migration", migration_json(info));
    return status;
}

/* ---------------------------------------------------------------- the whole -- */

static int show_text(struct info *info)
{
    int status;

    show_device(info);
    show_protocol(info);
    status = show_regions(info);
    if (status == 0)
        status = show_irqs(info);
    return status == 0 ? show_features(info) : status;
}

static int show_json(struct info *info)
{
    struct json_object *root = tool_json_object();
    struct json_object *regions = tool_json_array();
    struct json_object *irqs = tool_json_array();
    int status;

    add(root, "socket", tool_json_string(info->call->argv[0]));
    add(root, "protocol", protocol_json(info));
    add(root, "device", device_json(info));
    add(root, "regions", regions);
    add(root, "irqs", irqs);
    status = regions_json(info, regions);
    if (status == 0)
        status = irqs_json(info, irqs);
    if (status == 0)
        status = features_json(info, root);
    if (status == 0)
        return tool_print_json(info->call, root);
    json_object_put(root);
    return status;
}

static int show(struct info *info)
{
    int err = vfuc_device_info(info->dev, &info->device), status;

    if (err != 0)
        return tool_client_fail(info->call, info->dev, err, "what the device is");
    status = read_identity(info);
    if (status != 0)
        return status;
    status = info->call->json ? show_json(info) : show_text(info);
    if (status == 0 && info->refusals > 0)
        status = tool_fail(info->call, TOOL_REFUSED,
                           "the server refused to describe %u of the device's parts",
                           info->refusals);
    return status;
}

static int run(struct tool_call *call)
{
    const struct vfuc_options options = { .twin_socket = VFUC_TWIN_INLINE };
    struct info info = { .call = call };
    int status = tool_connect(call, call->argv[0], &options, &info.dev);

    if (status != 0)
        return status;
    status = show(&info);
    vfuc_close(info.dev);
    return status;
}

const struct tool_command tool_cmd_info = {
    .name = "info",
    .usage = "SOCKET",
    .summary = "show what the device is, and what its server can",
    .about =
        "Device, limits and abilities of the server, regions with the areas that can\n"
        "be mapped, interrupts, and features with the state of migration.",
    .min_args = 1,
    .max_args = 1,
    .json = true,
    .run = run,
};
