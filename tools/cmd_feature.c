/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfu feature: which features a server has, and their data, as bytes and in words.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tools/access.h"
#include "tools/feature.h"

#define MAX_DATA 65536u     /* bytes that a GET brings at most */

struct feature {
    const struct tool_call *call;
    struct vfuc_client *dev;    /* owned */
    uint32_t index;
    char name[32];
    uint8_t *data;              /* owned: MAX_DATA bytes */
    size_t len;                 /* of data, as given */
};

static void add(struct json_object *object, const char *key, struct json_object *value)
{
    tool_json_add(object, key, value);
}

/* ---------------------------------------------------------------- the list -- */

static int list_json(const struct tool_call *call, const uint32_t *have)
{
    struct json_object *array = tool_json_array();

    for (size_t i = 0; i < TOOL_N_FEATURES; i++)
        tool_json_append(array, tool_feature_json(&tool_features[i], have[i]));
    return tool_print_json(call, array);
}

static int list_text(const struct tool_call *call, const uint32_t *have)
{
    struct tool_table *table = tool_table_new(">index|feature|methods|what it is for");

    for (size_t i = 0; i < TOOL_N_FEATURES; i++) {
        tool_table_cell(table, "%" PRIu32, tool_features[i].index);
        tool_table_cell(table, "%s", tool_features[i].name);
        tool_table_cell(table, "%s", tool_methods_text(have[i]));
        tool_table_cell(table, "%s", tool_features[i].what);
    }
    return tool_table_print(call, table, 0);
}

static int list(const struct feature *f)
{
    uint32_t have[TOOL_N_FEATURES];

    for (size_t i = 0; i < TOOL_N_FEATURES; i++) {
        int status = tool_feature_probe(f->call, f->dev, &tool_features[i], &have[i]);

        if (status != 0)
            return status;
    }
    return f->call->json ? list_json(f->call, have) : list_text(f->call, have);
}

/* ----------------------------------------------------------- data in words -- */

/* "" for what has no words. */
static void words(const struct feature *f, char *buf, size_t len)
{
    char flags[64];

    buf[0] = '\0';
    if (f->index == VFUC_FEATURE_MIGRATION && f->len >= 8)
        snprintf(buf, len, "%s",
                 tool_migration_text(tool_get_le(f->data, 8), flags, sizeof(flags)));
    if (f->index == VFUC_FEATURE_MIG_DEVICE_STATE && f->len >= 4)
        snprintf(buf, len, "%s",
                 vfuc_migration_state_name((enum vfuc_mig_state)tool_get_le(f->data, 4)));
}

static int show_data(const struct feature *f)
{
    struct json_object *object;
    char text[80];

    words(f, text, sizeof(text));
    if (!f->call->json) {
        if (text[0] != '\0')
            printf("%s\n", text);
        tool_hexdump(f->data, f->len, 0);
        return 0;
    }
    object = tool_json_object();
    add(object, "index", tool_json_number(f->index));
    add(object, "name", tool_json_string(f->name));
    add(object, "data", tool_json_hex(f->data, f->len));
    if (text[0] != '\0')
        add(object, "meaning", tool_json_string(text));
    return tool_print_json(f->call, object);
}

/* ---------------------------------------------------------------- methods -- */

static int do_probe(struct feature *f)
{
    const struct tool_feature any = {
        .index = f->index,
        .name = f->name,
        .methods = VFUC_FEATURE_GET | VFUC_FEATURE_SET,
    };
    uint32_t have;
    int status = tool_feature_probe(f->call, f->dev, &any, &have);

    if (status != 0)
        return status;
    if (f->call->json)
        return tool_print_json(f->call, tool_feature_json(&any, have));
    printf("%s\n", tool_methods_text(have));
    return have != 0 ? 0
                     : tool_fail(f->call, TOOL_REFUSED, "the server has no feature %s",
                                 f->name);
}

static int do_get(struct feature *f)
{
    uint64_t limit = vfuc_negotiated(f->dev)->max_data_xfer_size;
    size_t room = limit < MAX_DATA ? (size_t)limit : MAX_DATA;
    int err;

    if (room < f->len)
        return tool_misuse(f->call, "that is more than a message can carry");
    err = vfuc_feature_get(f->dev, f->index, f->data, f->len, room, &f->len);
    if (err != 0)
        return tool_client_fail(f->call, f->dev, err, "getting %s", f->name);
    return show_data(f);
}

static int do_set(struct feature *f)
{
    int err = vfuc_feature_set(f->dev, f->index, f->len > 0 ? f->data : NULL, f->len);

    if (err != 0)
        return tool_client_fail(f->call, f->dev, err, "setting %s", f->name);
    return 0;
}

static const struct method {
    const char *name;
    int (*run)(struct feature *f);
    bool data;      /* takes some */
} methods[] = {
    { "get", do_get, true },
    { "set", do_set, true },
    { "probe", do_probe, false },
};

static const struct method *find_method(const char *name)
{
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (strcmp(methods[i].name, name) == 0)
            return &methods[i];
    }
    return NULL;
}

/* -------------------------------------------------------------- arguments -- */

/* "RUNNING" and the like, as the data of mig-device-state. */
static bool take_state(struct feature *f, const char *text)
{
    for (int state = VFUC_MIG_ERROR; state <= VFUC_MIG_PRE_COPY_P2P; state++) {
        const char *name = vfuc_migration_state_name((enum vfuc_mig_state)state);

        if (f->index != VFUC_FEATURE_MIG_DEVICE_STATE || strcasecmp(text, name) != 0)
            continue;
        tool_put_le(f->data, 8, (uint64_t)state);
        f->len = 8;
        return true;
    }
    return false;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#define HEX_DIGITS "0123456789abcdefABCDEF"

/* "0123ab": two digits a byte. */
static int take_hex(struct feature *f, const char *text)
{
    size_t n = strlen(text);

    if (n % 2 != 0)
        return tool_misuse(f->call,
                           "HEXDATA has two digits for each byte, '%s' has %zu in "
                           "all",
                           text, n);
    if (n / 2 > MAX_DATA)
        return tool_misuse(f->call, "more than %u bytes of data", MAX_DATA);
    for (size_t i = 0; i < n / 2; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return tool_misuse(f->call, "'%s' is not hexadecimal", text);
        f->data[i] = (uint8_t)(high << 4 | low);
    }
    f->len = n / 2;
    return 0;
}

static int read_arguments(struct feature *f, const struct method **method)
{
    const struct tool_call *call = f->call;
    const struct tool_feature *feature;

    if (tool_feature_index(call->argv[1], &f->index) != 0)
        return TOOL_USAGE;
    feature = tool_feature_find(f->index);
    if (feature != NULL)
        snprintf(f->name, sizeof(f->name), "%s", feature->name);
    else
        snprintf(f->name, sizeof(f->name), "%" PRIu32, f->index);
    *method = find_method(call->argc > 2 ? call->argv[2] : "get");
    if (*method == NULL)
        return tool_misuse(call, "'%s' is none of get, set and probe", call->argv[2]);
    if (call->argc < 4)
        return 0;
    if (!(*method)->data)
        return tool_misuse(call, "%s takes no data", call->argv[2]);
    if (take_state(f, call->argv[3]))
        return 0;
    if (f->index == VFUC_FEATURE_MIG_DEVICE_STATE &&
        strspn(call->argv[3], HEX_DIGITS) != strlen(call->argv[3]))
        return tool_misuse(call, "'%s' is no state of migration (as STOP_COPY), and no "
                           "HEXDATA", call->argv[3]);
    return take_hex(f, call->argv[3]);
}

static int perform(struct feature *f)
{
    const struct method *method = NULL;
    int status = f->call->argc > 1 ? read_arguments(f, &method) : 0;

    if (status != 0)
        return status;
    status = tool_connect(f->call, f->call->argv[0], NULL, &f->dev);
    if (status != 0)
        return status;
    return method != NULL ? method->run(f) : list(f);
}

static int run(struct tool_call *call)
{
    struct feature f = { .call = call, .data = calloc(1, MAX_DATA) };
    int status;

    if (f.data == NULL)
        return tool_fail(call, TOOL_FAILED, "out of memory");
    status = perform(&f);
    vfuc_close(f.dev);
    free(f.data);
    return status;
}

const struct tool_command tool_cmd_feature = {
    .name = "feature",
    .usage = "SOCKET\n"
             "SOCKET FEATURE [get|set|probe [HEXDATA]]",
    .summary = "show which features the server has, get or set one",
    .about =
        "FEATURE is migration, mig-device-state, dma-logging-start, dma-logging-stop,\n"
        "dma-logging-report, or a number. HEXDATA has two digits for each byte; states\n"
        "of migration may be given by name: vfu feature SOCKET mig-device-state set STOP",
    .min_args = 1,
    .max_args = 4,
    .json = true,
    .run = run,
};
