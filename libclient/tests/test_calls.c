/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What each call sends, byte by byte, and what it makes of good replies and refusals.
 *
 * Messages are typed from the tables of the specification:
 *   header  id u16, command u16, size u32, flags u32, error u32
 */
#include "libclient/tests/script.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "wire/caps.h"

/* With a client that knows the device; messages 0 and 1 are spent. */
static struct vfuc_client *with_device(struct script *s)
{
    struct vfuc_client *c;

    SKIP_UNLESS_LITTLE_ENDIAN();
    script_init(s);
    c = script_client(s, SAY_VERSION);
    script_say(s, SAY_DEVICE);
    assert_int_equal(vfuc_region_count(c), 9);
    return c;
}

/* And region 0 or the MSI-X vectors; message 2 is spent. */
static struct vfuc_client *with_region(struct script *s, const char *region0)
{
    struct vfuc_client *c = with_device(s);
    const struct vfuc_region *region;

    script_say(s, region0);
    assert_int_equal(vfuc_region_info(c, 0, &region), 0);
    return c;
}

static struct vfuc_client *with_msix(struct script *s)
{
    struct vfuc_client *c = with_device(s);
    const struct vfuc_irq *irq;

    script_say(s, SAY_MSIX);
    assert_int_equal(vfuc_irq_info(c, 2, &irq), 0);
    return c;
}

static void finish(struct script *s, struct vfuc_client *c)
{
    assert_int_equal(s->next, s->n_lines);
    vfuc_close(c);
    assert_true(s->closed);
    script_done(s);
}

static void append(struct script *s, const char *text)
{
    struct line *l = &s->lines[s->n_lines - 1];
    size_t len = strlen(text) + 1;

    l->body = realloc(l->body, l->body_len + len);
    assert_non_null(l->body);
    memcpy(l->body + l->body_len, text, len);
    l->body_len += len;
}

/* ---------------------------------------------------------------- VERSION -- */

static void connect_proposes_version_0_2_and_our_limits(void **state)
{
    const char *json = "{\"capabilities\":{\"max_msg_fds\":16,"
                       "\"max_data_xfer_size\":1048576,\"max_dma_maps\":65535,"
                       "\"pgsizes\":4096}}";
    struct bytes head = bytes_of_hex("0000 0100 79000000 00000000 00000000 0000 0200");
    struct script s;
    struct vfuc_client *c;

    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    script_init(&s);
    c = script_client(&s, SAY_VERSION);
    assert_int_equal(s.said[0].len, head.len + strlen(json) + 1);
    assert_memory_equal(s.said[0].bytes, head.data, head.len);
    assert_memory_equal(s.said[0].bytes + head.len, json, strlen(json) + 1);
    assert_int_equal(s.said[0].n_fds, 0);
    finish(&s, c);
}

static void silent_server_gets_the_default_limits(void **state)
{
    struct script s;
    struct vfuc_client *c;
    const struct vfuc_limits *l;

    (void)state;
    script_init(&s);
    c = script_client(&s, SAY_VERSION);
    l = vfuc_negotiated(c);
    assert_int_equal(l->version_major, 0);
    assert_int_equal(l->version_minor, 0);
    assert_int_equal(l->max_msg_fds, 1);
    assert_int_equal(l->max_data_xfer_size, 1048576);
    assert_int_equal(l->max_dma_maps, 65535);
    assert_int_equal(l->pgsizes, 4096);
    assert_string_equal(vfuc_last_error(c), "");
    finish(&s, c);
}

/* Opens a client whose server answers VERSION 0.1 with this JSON. */
static int open_with(struct script *s, const char *json, struct vfuc_client **c)
{
    static char error[200];
    struct vfuc_options given = { .size = sizeof(given), .error = error,
                                  .error_len = sizeof(error) };
    struct vfuc_options options;

    SKIP_UNLESS_LITTLE_ENDIAN();
    script_init(s);
    assert_int_equal(vuc_options_read(&given, &options), 0);
    script_say(s, "0000 0100");
    append(s, json);
    *c = NULL;
    error[0] = '\0';
    return vuc_client_open(&script_port, s, &options, c);
}

static void limits_of_the_server_are_kept(void **state)
{
    struct script s;
    struct vfuc_client *c;
    const struct vfuc_limits *l;

    (void)state;
    assert_int_equal(open_with(&s, "{\"capabilities\":{\"max_msg_fds\":8,"
                               "\"max_data_xfer_size\":4096,\"max_dma_maps\":7,"
                               "\"pgsizes\":2101248}}", &c), 0);
    l = vfuc_negotiated(c);
    assert_int_equal(l->version_minor, 1);
    assert_int_equal(l->max_msg_fds, 8);
    assert_int_equal(l->max_data_xfer_size, 4096);
    assert_int_equal(l->max_dma_maps, 7);
    assert_int_equal(l->pgsizes, 2101248);
    finish(&s, c);
}

static void descriptors_beyond_what_a_message_carries_are_not_counted_on(void **state)
{
    struct script s;
    struct vfuc_client *c;

    (void)state;
    assert_int_equal(open_with(&s, "{\"capabilities\":{\"max_msg_fds\":100000}}", &c), 0);
    assert_int_equal(vfuc_negotiated(c)->max_msg_fds, 253);
    finish(&s, c);
}

static void capabilities_that_mean_nothing_to_us_are_passed_over(void **state)
{
    static const char *const json[] = {
        "{}",
        "{\"capabilities\":{}}",
        "{\"comment\":[1,2,{\"x\":null}],\"capabilities\":{\"warp\":9}}",
        "{\"capabilities\":{\"migration\":{\"pgsize\":4096}}}",
        "{\"capabilities\":{\"twin_socket\":{\"supported\":false}}}",
        "{\"capabilities\":{\"twin_socket\":{}}}",
        "{\"capabilities\":{\"write_multiple\":true}}",
    };
    struct script s;
    struct vfuc_client *c;

    (void)state;
    for (size_t i = 0; i < sizeof(json) / sizeof(json[0]); i++) {
        assert_int_equal(open_with(&s, json[i], &c), 0);
        assert_int_equal(vfuc_negotiated(c)->max_msg_fds, 1);
        finish(&s, c);
    }
}

static void capabilities_that_cannot_be_end_the_connection(void **state)
{
    static const char *const json[] = {
        "{\"capabilities\":{\"max_data_xfer_size\":\"a\"}}",
        "{\"capabilities\":{\"max_data_xfer_size\":-1}}",
        "{\"capabilities\":{\"max_data_xfer_size\":1e300}}",
        "{\"capabilities\":{\"max_data_xfer_size\":0}}",
        "{\"capabilities\":{\"max_data_xfer_size\":4096.5}}",
        "{\"capabilities\":{\"max_msg_fds\":true}}",
        "{\"capabilities\":{\"max_msg_fds\":-1}}",
        "{\"capabilities\":{\"max_dma_maps\":[]}}",
        "{\"capabilities\":{\"pgsizes\":0}}",
        "{\"capabilities\":{\"pgsizes\":null}}",
        "{\"capabilities\":{\"twin_socket\":true}}",
        "{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}",
        "{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":0}}}",
        "{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":-1}}}",
        "{\"capabilities\":[]}",
        "[]",
    };
    struct script s;
    struct vfuc_client *c;

    (void)state;
    for (size_t i = 0; i < sizeof(json) / sizeof(json[0]); i++) {
        int err = open_with(&s, json[i], &c);

        if (err != -EPROTO)
            fail_msg("%s gives %d", json[i], err);
        assert_null(c);
        assert_true(s.closed);
        script_done(&s);
    }
}

static void failure_to_connect_comes_with_a_sentence(void **state)
{
    char error[160] = "";
    struct vfuc_options given = { .size = sizeof(given), .error = error,
                                  .error_len = sizeof(error) };
    struct vfuc_options options;
    struct vfuc_client *c = NULL;
    struct script s;

    (void)state;
    script_init(&s);
    assert_int_equal(vuc_options_read(&given, &options), 0);
    script_refuse(&s, 22);
    assert_int_equal(vuc_client_open(&script_port, &s, &options, &c), -EREMOTEIO);
    assert_string_equal(error, "VERSION: the server refused (EINVAL)");
    assert_null(c);
    script_done(&s);
    given.error_len = 8;
    assert_int_equal(vuc_options_read(&given, &options), 0);
    script_fail(&s, 0);
    assert_int_equal(vuc_client_open(&script_port, &s, &options, &c), -ENOTCONN);
    assert_string_equal(error, "VERSION");
    script_done(&s);
}

static void options_are_checked(void **state)
{
    struct vfuc_options good = { .size = sizeof(good), .timeout_ms = 7,
                                 .max_msg_fds = 253,
                                 .max_data_xfer_size = VFUC_MAX_TRANSFER };
    struct vfuc_options o, bad;
    struct {
        struct vfuc_options known;
        uint64_t unknown;
    } newer = { .known = good };

    (void)state;
    assert_int_equal(vuc_options_read(&good, &o), 0);
    assert_int_equal(o.timeout_ms, 7);
    assert_int_equal(o.max_msg_fds, 253);
    assert_int_equal(o.max_dma_maps, 65535);
    bad = good, bad.size = 0;
    assert_int_equal(vuc_options_read(&bad, &o), -EINVAL);
    bad = good, bad.max_msg_fds = 254;
    assert_int_equal(vuc_options_read(&bad, &o), -EINVAL);
    bad = good, bad.max_data_xfer_size++;
    assert_int_equal(vuc_options_read(&bad, &o), -EINVAL);
    bad = good, bad.pgsizes = UINT64_MAX;
    assert_int_equal(vuc_options_read(&bad, &o), -EINVAL);
    bad = good, bad.max_dma_maps = UINT64_MAX;
    assert_int_equal(vuc_options_read(&bad, &o), -EINVAL);
    newer.known.size = sizeof(newer);
    assert_int_equal(vuc_options_read(&newer.known, &o), 0);
    newer.unknown = 1;
    assert_int_equal(vuc_options_read(&newer.known, &o), -EINVAL);
    /* an older caller, whose struct ended behind max_msg_fds */
    bad = good, bad.size = offsetof(struct vfuc_options, max_data_xfer_size);
    assert_int_equal(vuc_options_read(&bad, &o), 0);
    assert_int_equal(o.max_msg_fds, 253);
    assert_int_equal(o.max_data_xfer_size, 1048576);
}

/* ------------------------------------------------------------ device, reset -- */

static void device_is_asked_for_once(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);
    const struct vfuc_device *d;

    (void)state;
    script_heard(&s, 1, "0100 0400 20000000 00000000 00000000"
                 "10000000 00000000 00000000 00000000", 0);
    assert_int_equal(vfuc_device_info(c, &d), 0);
    assert_int_equal(d->flags, VFUC_DEVICE_RESET | VFUC_DEVICE_PCI);
    assert_int_equal(d->num_regions, 9);
    assert_int_equal(d->num_irqs, 5);
    assert_int_equal(vfuc_irq_count(c), 5);
    assert_int_equal(s.n_said, 2);
    finish(&s, c);
}

static void device_without_anything_is_one(void **state)
{
    struct script s;
    struct vfuc_client *c;
    const struct vfuc_region *region;

    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    script_init(&s);
    c = script_client(&s, SAY_VERSION);
    script_say(&s, "10000000 00000000 00000000 00000000");
    assert_int_equal(vfuc_region_count(c), 0);
    assert_int_equal(vfuc_irq_count(c), 0);
    assert_int_equal(vfuc_region_info(c, 0, &region), -ERANGE);
    assert_int_equal(vfuc_irq_disable(c, 0), -ERANGE);
    finish(&s, c);
}

static void largest_device_is_taken(void **state)
{
    struct script s;
    struct vfuc_client *c;

    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    script_init(&s);
    c = script_client(&s, SAY_VERSION);
    script_say(&s, "20000000 03000000 00010000 00010000");
    assert_int_equal(vfuc_region_count(c), 256);
    assert_int_equal(vfuc_irq_count(c), 256);
    finish(&s, c);
}

static void reset_has_no_body(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    script_say(&s, "");
    assert_int_equal(vfuc_reset(c), 0);
    script_heard(&s, 2, "0200 0d00 10000000 00000000 00000000", 0);
    finish(&s, c);
}

/* ------------------------------------------------------------ region info -- */

static void region_is_asked_for_once(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);
    const struct vfuc_region *r;

    (void)state;
    script_say(&s, "20000000 03000000 07000000 00000000"
               "0010000000000000 0000000000000000");
    assert_int_equal(vfuc_region_info(c, 7, &r), 0);
    script_heard(&s, 2, "0200 0500 30000000 00000000 00000000"
                 "20000000 00000000 07000000 00000000 0000000000000000 0000000000000000",
                 0);
    assert_int_equal(r->index, 7);
    assert_int_equal(r->flags, VFUC_REGION_READ | VFUC_REGION_WRITE);
    assert_int_equal(r->size, 0x1000);
    assert_int_equal(r->num_areas, 0);
    assert_int_equal(r->fd, -1);
    assert_int_equal(vfuc_region_info(c, 7, &r), 0);
    assert_int_equal(vfuc_region_info(c, 9, &r), -ERANGE);
    assert_int_equal(s.n_said, 3);
    finish(&s, c);
}

static void absent_region_is_no_error(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);
    const struct vfuc_region *r;
    uint8_t byte;

    (void)state;
    script_say(&s, "20000000 00000000 05000000 00000000"
               "0000000000000000 0000000000000000");
    assert_int_equal(vfuc_region_info(c, 5, &r), 0);
    assert_int_equal(r->size, 0);
    assert_int_equal(vfuc_region_read(c, 5, 0, &byte, 1), -ERANGE);
    finish(&s, c);
}

static void mappable_region_is_one_area_and_a_descriptor(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);
    const struct vfuc_region *r;

    (void)state;
    script_say(&s, "20000000 07000000 01000000 00000000"
               "0030000000000000 0000100000000000")->n_fds = 3;     /* 2 too many */
    assert_int_equal(vfuc_region_info(c, 1, &r), 0);
    assert_int_equal(r->flags, VFUC_REGION_READ | VFUC_REGION_WRITE | VFUC_REGION_MMAP);
    assert_true(fcntl(r->fd, F_GETFD) == FD_CLOEXEC);
    assert_int_equal(r->fd_offset, 0x100000);
    assert_int_equal(r->num_areas, 1);
    assert_int_equal(r->areas[0].offset, 0);
    assert_int_equal(r->areas[0].size, 0x3000);
    finish(&s, c);
}

/* Capabilities: sparse areas (2), type, MSI-X mappable, one from the future. */
#define CHAIN \
    "20000000" /* cap_offset */ "0040000000000000 0000000000000000" \
    "0100 0100 50000000 02000000 00000000" /* at 0x20 */ \
    "0030000000000000 0010000000000000 0010000000000000 0010000000000000" \
    "0200 0100 60000000 63120000 42000000" /* at 0x50 */ \
    "0300 0100 68000000" /* at 0x60 */ \
    "9999 0700 00000000" /* at 0x68 */

static void chain_that_does_not_fit_is_asked_for_again(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);
    const struct vfuc_region *r;

    (void)state;
    script_say(&s, "70000000 07000000 02000000 00000000"
               "0040000000000000 0000000000000000")->n_fds = 1;
    script_say(&s, "70000000 0f000000 02000000" CHAIN)->n_fds = 1;
    assert_int_equal(vfuc_region_info(c, 2, &r), 0);
    script_heard(&s, 3, "0300 0500 30000000 00000000 00000000"
                 "70000000 00000000 02000000 00000000 0000000000000000 0000000000000000",
                 0);
    assert_int_equal(r->num_areas, 2);
    assert_int_equal(r->areas[0].offset, 0x1000);   /* in order, though sent in another */
    assert_int_equal(r->areas[0].size, 0x1000);
    assert_int_equal(r->areas[1].offset, 0x3000);
    assert_int_equal(r->areas[1].size, 0x1000);
    assert_true(r->has_type);
    assert_int_equal(r->type, 0x1263);
    assert_int_equal(r->subtype, 0x42);
    assert_true(r->msix_mappable);
    assert_true(r->fd >= 0);
    finish(&s, c);
}

/* Seen in the field: MMAP without descriptor while the chain does not fit. */
static void first_of_two_replies_may_lack_the_descriptor(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);
    const struct vfuc_region *r;

    (void)state;
    script_say(&s, "70000000 07000000 02000000 00000000"
               "0040000000000000 0000000000000000");
    script_say(&s, "70000000 0f000000 02000000" CHAIN)->n_fds = 1;
    assert_int_equal(vfuc_region_info(c, 2, &r), 0);
    assert_int_equal(r->num_areas, 2);
    finish(&s, c);
}

static void areas_of_an_unmappable_region_mean_nothing(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);
    const struct vfuc_region *r;

    (void)state;
    script_say(&s, "70000000 03000000 02000000 00000000"
               "0040000000000000 0000000000000000");
    script_say(&s, "70000000 0b000000 02000000" CHAIN)->n_fds = 1;
    assert_int_equal(vfuc_region_info(c, 2, &r), 0);
    assert_int_equal(r->num_areas, 0);
    assert_int_equal(r->fd, -1);
    finish(&s, c);
}

static void areas_of_an_unknown_version_are_not_mappable(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);
    const struct vfuc_region *r;

    (void)state;
    script_say(&s, "40000000 07000000 00000000 00000000"
               "0020000000000000 0000000000000000")->n_fds = 1;
    script_say(&s, "40000000 0f000000 00000000 20000000 0020000000000000 0000000000000000"
               "0100 0200 00000000 01000000 00000000"
               "0000000000000000 0010000000000000")->n_fds = 1;
    assert_int_equal(vfuc_region_info(c, 0, &r), 0);
    assert_int_equal(r->num_areas, 0);
    finish(&s, c);
}

static void growing_argsz_is_followed_a_few_times_only(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);
    const struct vfuc_region *r;

    (void)state;
    for (int i = 1; i < 10; i++) {
        struct line *l = script_say(&s, "21000000 07000000 00000000 00000000"
                                    "0020000000000000 0000000000000000");

        l->body[0] = (uint8_t)(0x20 + i);
    }
    assert_int_equal(vfuc_region_info(c, 0, &r), -EPROTO);
    assert_int_equal(s.n_said, 6);
    s.next = s.n_lines;
    finish(&s, c);
}

static void descriptor_that_found_no_room_is_our_failure(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);
    const struct vfuc_region *r;

    (void)state;
    script_say(&s, "20000000 07000000 00000000 00000000"
               "0020000000000000 0000000000000000")->fds_lost = true;
    assert_int_equal(vfuc_region_info(c, 0, &r), -EMFILE);
    assert_false(s.closed);
    script_say(&s, "20000000 07000000 00000000 00000000"
               "0020000000000000 0000000000000000")->n_fds = 1;
    assert_int_equal(vfuc_region_info(c, 0, &r), 0);    /* asked again */
    finish(&s, c);
}

static void refused_region_can_be_asked_for_again(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);
    const struct vfuc_region *r = NULL;

    (void)state;
    script_refuse(&s, 0);
    assert_int_equal(vfuc_region_info(c, 0, &r), -EREMOTEIO);
    assert_null(r);
    assert_int_equal(vfuc_last_errno(c), 0);
    assert_string_equal(vfuc_last_error(c),
                        "DEVICE_GET_REGION_INFO: the server refused, without a reason");
    script_say(&s, SAY_REGION0);
    assert_int_equal(vfuc_region_info(c, 0, &r), 0);
    finish(&s, c);
}

/* ---------------------------------------------------------- region access -- */

static void read_asks_for_offset_region_and_count(void **state)
{
    struct script s;
    struct vfuc_client *c = with_region(&s, SAY_REGION0);
    uint32_t value;

    (void)state;
    script_say(&s, "1000000000000000 00000000 04000000 78563412");
    assert_int_equal(vfuc_region_read(c, 0, 0x10, &value, 4), 0);
    assert_int_equal(value, 0x12345678);
    script_heard(&s, 3, "0300 0900 20000000 00000000 00000000"
                 "1000000000000000 00000000 04000000", 0);
    finish(&s, c);
}

static void write_carries_its_data(void **state)
{
    struct script s;
    struct vfuc_client *c = with_region(&s, SAY_REGION0);
    uint32_t value = 0x12345678;

    (void)state;
    script_say(&s, "1000000000000000 00000000 04000000");
    assert_int_equal(vfuc_region_write(c, 0, 0x10, &value, 4), 0);
    script_heard(&s, 3, "0300 0a00 24000000 00000000 00000000"
                 "1000000000000000 00000000 04000000 78563412", 0);
    finish(&s, c);
}

static void posted_write_awaits_nothing(void **state)
{
    struct script s;
    struct vfuc_client *c = with_region(&s, SAY_REGION0);
    uint8_t value = 0x5a;

    (void)state;
    assert_int_equal(vfuc_region_write_posted(c, 0, 0x1fff, &value, 1), 0);
    script_heard(&s, 3, "0300 0a00 21000000 10000000 00000000"
                 "ff1f000000000000 00000000 01000000 5a", 0);
    finish(&s, c);
}

static void access_learns_what_it_must_know(void **state)
{
    struct script s;
    struct vfuc_client *c;
    uint8_t byte = 0;

    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    script_init(&s);
    c = script_client(&s, SAY_VERSION);
    script_say(&s, SAY_DEVICE);
    script_say(&s, SAY_REGION0);
    script_say(&s, "0000000000000000 00000000 01000000 5a");
    assert_int_equal(vfuc_region_read(c, 0, 0, &byte, 1), 0);
    assert_int_equal(byte, 0x5a);
    assert_int_equal(s.n_said, 4);
    finish(&s, c);
}

static void long_access_is_split_at_the_limit_of_the_server(void **state)
{
    struct script s;
    struct vfuc_client *c;
    uint8_t buf[10];

    (void)state;
    assert_int_equal(open_with(&s, "{\"capabilities\":{\"max_data_xfer_size\":4}}", &c),
                     0);
    script_say(&s, SAY_DEVICE);
    script_say(&s, SAY_REGION0);
    script_say(&s, "0001000000000000 00000000 04000000 00010203");
    script_say(&s, "0401000000000000 00000000 04000000 04050607");
    script_say(&s, "0801000000000000 00000000 02000000 0809");
    assert_int_equal(vfuc_region_read(c, 0, 0x100, buf, 10), 0);
    assert_memory_equal(buf, "\0\1\2\3\4\5\6\7\10\11", 10);
    script_heard(&s, 5, "0500 0900 20000000 00000000 00000000"
                 "0801000000000000 00000000 02000000", 0);
    script_say(&s, "0001000000000000 00000000 04000000");
    script_say(&s, "0401000000000000 00000000 01000000");
    assert_int_equal(vfuc_region_write(c, 0, 0x100, buf, 5), 0);
    script_heard(&s, 6, "0600 0a00 24000000 00000000 00000000"
                 "0001000000000000 00000000 04000000 00010203", 0);
    script_heard(&s, 7, "0700 0a00 21000000 00000000 00000000"
                 "0401000000000000 00000000 01000000 04", 0);
    assert_int_equal(vfuc_region_write_posted(c, 0, 0x100, buf, 5), 0);
    script_heard(&s, 9, "0900 0a00 21000000 10000000 00000000"
                 "0401000000000000 00000000 01000000 04", 0);
    finish(&s, c);
}

/* A server with a larger limit than ours must not make us hold more than we wanted. */
static void long_access_is_split_at_our_own_limit(void **state)
{
    struct vfuc_options given = { .size = sizeof(given), .max_data_xfer_size = 2 };
    struct vfuc_options options;
    struct vfuc_client *c;
    struct script s;
    uint8_t buf[3];

    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    script_init(&s);
    assert_int_equal(vuc_options_read(&given, &options), 0);
    script_say(&s, SAY_VERSION);
    assert_int_equal(vuc_client_open(&script_port, &s, &options, &c), 0);
    assert_int_equal(vfuc_negotiated(c)->max_data_xfer_size, 1048576);
    script_say(&s, SAY_DEVICE);
    script_say(&s, SAY_REGION0);
    script_say(&s, "0000000000000000 00000000 02000000 aabb");
    script_say(&s, "0200000000000000 00000000 01000000 cc");
    assert_int_equal(vfuc_region_read(c, 0, 0, buf, 3), 0);
    assert_memory_equal(buf, "\xaa\xbb\xcc", 3);
    script_heard(&s, 3, "0300 0900 20000000 00000000 00000000"
                 "0000000000000000 00000000 02000000", 0);
    finish(&s, c);
}

static void short_transfer_goes_on_where_it_stopped(void **state)
{
    struct script s;
    struct vfuc_client *c = with_region(&s, SAY_REGION0);
    uint8_t buf[4];

    (void)state;
    script_say(&s, "1000000000000000 00000000 03000000 a1a2a3");
    script_say(&s, "1300000000000000 00000000 01000000 a4");
    assert_int_equal(vfuc_region_read(c, 0, 0x10, buf, 4), 0);
    assert_memory_equal(buf, "\xa1\xa2\xa3\xa4", 4);
    script_say(&s, "1000000000000000 00000000 01000000");
    script_say(&s, "1100000000000000 00000000 03000000");
    assert_int_equal(vfuc_region_write(c, 0, 0x10, buf, 4), 0);
    script_heard(&s, 6, "0600 0a00 23000000 00000000 00000000"
                 "1100000000000000 00000000 03000000 a2a3a4", 0);
    finish(&s, c);
}

static void access_outside_the_region_is_not_sent(void **state)
{
    struct script s;
    struct vfuc_client *c = with_region(&s, SAY_REGION0);
    uint8_t buf[8] = { 0 };

    (void)state;
    assert_int_equal(vfuc_region_read(c, 0, 0x2000, buf, 1), -ERANGE);
    assert_int_equal(vfuc_region_read(c, 0, 0x1ffd, buf, 4), -ERANGE);
    assert_int_equal(vfuc_region_write(c, 0, 0x1ffd, buf, 4), -ERANGE);
    assert_int_equal(vfuc_region_write_posted(c, 0, 0x1ffd, buf, 4), -ERANGE);
    assert_int_equal(vfuc_region_read(c, 0, UINT64_MAX, buf, 8), -ERANGE);
    assert_int_equal(vfuc_region_read(c, 0, 8, buf, SIZE_MAX), -ERANGE);
    assert_int_equal(vfuc_region_read(c, 9, 0, buf, 1), -ERANGE);
    assert_int_equal(vfuc_region_read(c, UINT32_MAX, 0, buf, 1), -ERANGE);
    assert_int_equal(vfuc_region_read(c, 0, 0, buf, 0), -EINVAL);
    assert_int_equal(vfuc_region_write(c, 0, 0, buf, 0), -EINVAL);
    assert_int_equal(s.n_said, 3);
    script_say(&s, "fc1f000000000000 00000000 04000000 01020304");
    assert_int_equal(vfuc_region_read(c, 0, 0x1ffc, buf, 4), 0);    /* the very end */
    finish(&s, c);
}

static void access_against_the_flags_is_not_sent(void **state)
{
    struct script s;
    struct vfuc_client *c = with_region(&s, "20000000 01000000 00000000 00000000"
                                        "0020000000000000 0000000000000000");
    const struct vfuc_region *r;
    uint8_t byte = 0;

    (void)state;
    script_say(&s, "20000000 02000000 01000000 00000000"
               "0020000000000000 0000000000000000");
    assert_int_equal(vfuc_region_info(c, 1, &r), 0);
    assert_int_equal(vfuc_region_write(c, 0, 0, &byte, 1), -EACCES);
    assert_int_equal(vfuc_region_write_posted(c, 0, 0, &byte, 1), -EACCES);
    assert_string_equal(vfuc_last_error(c), "region 0 is not writeable");
    assert_int_equal(vfuc_region_read(c, 1, 0, &byte, 1), -EACCES);
    assert_string_equal(vfuc_last_error(c), "region 1 is not readable");
    assert_int_equal(s.n_said, 4);
    finish(&s, c);
}

static void refusal_in_the_middle_ends_a_long_access(void **state)
{
    struct script s;
    struct vfuc_client *c;
    uint8_t buf[8];

    (void)state;
    assert_int_equal(open_with(&s, "{\"capabilities\":{\"max_data_xfer_size\":4}}", &c),
                     0);
    script_say(&s, SAY_DEVICE);
    script_say(&s, SAY_REGION0);
    script_say(&s, "0000000000000000 00000000 04000000 00010203");
    script_refuse(&s, 5);
    assert_int_equal(vfuc_region_read(c, 0, 0, buf, 8), -EREMOTEIO);
    assert_int_equal(vfuc_last_errno(c), 5);
    assert_string_equal(vfuc_last_error(c), "REGION_READ: the server refused (EIO)");
    finish(&s, c);
}

/* ---------------------------------------------------------------- mapping -- */

/* Region 0 of 0x4000 bytes, mappable: all of it, or its two areas in CHAIN. */
static struct vfuc_client *with_memory(struct script *s, int memfd, bool sparse)
{
    struct vfuc_client *c = with_device(s);

    s->fd = memfd;
    if (!sparse) {
        script_say(s, "20000000 07000000 00000000 00000000"
                   "0040000000000000 0000000000000000")->n_fds = 1;
        return c;
    }
    script_say(s, "70000000 07000000 00000000 00000000"
               "0040000000000000 0000000000000000");
    script_say(s, "70000000 0f000000 00000000" CHAIN)->n_fds = 1;
    return c;
}

static int memory(size_t size)
{
    int fd = memfd_create("region", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    return fd;
}

static bool is_unmapped(void *addr)
{
    unsigned char resident;

    return mincore(addr, 0x1000, &resident) == -1 && errno == ENOMEM;
}

#define BOTH (VFUC_MAP_READ | VFUC_MAP_WRITE)

static void mapping_shows_the_memory_of_the_server(void **state)
{
    int fd = memory(0x4000);
    struct script s;
    struct vfuc_client *c = with_memory(&s, fd, false);
    void *addr, *other;

    (void)state;
    assert_int_equal(pwrite(fd, "hello", 6, 0x1000), 6);
    assert_int_equal(vfuc_region_map(c, 0, 0x1000, 0x1000, BOTH, &addr), 0);
    assert_int_equal(vfuc_region_map(c, 0, 0, 0x4000, VFUC_MAP_READ, &other), 0);
    assert_string_equal(addr, "hello");
    strcpy(addr, "world");
    assert_string_equal((char *)other + 0x1000, "world");
    assert_int_equal(vfuc_region_unmap(c, addr), 0);
    assert_int_equal(vfuc_region_unmap(c, addr), -EINVAL);
    assert_true(is_unmapped(addr));
    assert_string_equal((char *)other + 0x1000, "world");
    finish(&s, c);  /* ends the other mapping */
    assert_true(is_unmapped(other));
    close(fd);
}

static void mapping_stays_when_the_connection_breaks(void **state)
{
    int fd = memory(0x4000);
    struct script s;
    struct vfuc_client *c = with_memory(&s, fd, false);
    volatile uint8_t *byte;
    void *addr;

    (void)state;
    assert_int_equal(vfuc_region_map(c, 0, 0, 1, BOTH, &addr), 0);
    script_fail(&s, 0);
    assert_int_equal(vfuc_reset(c), -ENOTCONN);
    byte = addr;
    *byte = 1;
    assert_int_equal(vfuc_region_unmap(c, addr), 0);
    finish(&s, c);
    close(fd);
}

static void only_areas_are_mapped(void **state)
{
    int fd = memory(0x4000);
    struct script s;
    struct vfuc_client *c = with_memory(&s, fd, true);
    void *addr;

    (void)state;
    assert_int_equal(vfuc_region_map(c, 0, 0, 0x1000, BOTH, &addr), -EACCES);
    assert_int_equal(vfuc_region_map(c, 0, 0x1000, 0x1001, BOTH, &addr), -EACCES);
    assert_int_equal(vfuc_region_map(c, 0, 0x1000, 0x3000, BOTH, &addr), -EACCES);
    assert_int_equal(vfuc_region_map(c, 0, 0x2000, 1, BOTH, &addr), -EACCES);
    assert_int_equal(vfuc_region_map(c, 0, 0x3000, 0x1001, BOTH, &addr), -ERANGE);
    assert_int_equal(vfuc_region_map(c, 0, 0x1001, 1, BOTH, &addr), -EINVAL);
    assert_int_equal(vfuc_region_map(c, 0, 0x1000, 0, BOTH, &addr), -EINVAL);
    assert_int_equal(vfuc_region_map(c, 0, 0x1000, 1, 0, &addr), -EINVAL);
    assert_int_equal(vfuc_region_map(c, 0, 0x1000, 1, 4, &addr), -EINVAL);
    assert_int_equal(vfuc_region_map(c, 0, 0x1000, 0x1000, BOTH, &addr), 0);
    assert_int_equal(vfuc_region_map(c, 0, 0x3000, 0x1000, BOTH, &addr), 0);
    finish(&s, c);
    close(fd);
}

static void file_that_is_too_short_is_not_mapped(void **state)
{
    int fd = memory(0x3fff);
    struct script s;
    struct vfuc_client *c = with_memory(&s, fd, false);
    void *addr;

    (void)state;
    assert_int_equal(vfuc_region_map(c, 0, 0x3000, 0x1000, BOTH, &addr), -ENXIO);
    assert_int_equal(vfuc_region_map(c, 0, 0x3000, 0xfff, BOTH, &addr), 0);
    finish(&s, c);
    close(fd);
}

static void descriptor_that_is_no_memory_is_not_mapped(void **state)
{
    struct script s;
    struct vfuc_client *c = with_memory(&s, -1, false);     /* an eventfd comes along */
    void *addr;

    (void)state;
    assert_int_equal(vfuc_region_map(c, 0, 0, 0x1000, BOTH, &addr), -ENODEV);
    finish(&s, c);
}

static void read_only_region_is_not_mapped_for_writing(void **state)
{
    int fd = memory(0x4000);
    struct script s;
    struct vfuc_client *c = with_device(&s);
    void *addr;

    (void)state;
    s.fd = fd;
    script_say(&s, "20000000 05000000 00000000 00000000"
               "0040000000000000 0000000000000000")->n_fds = 1;
    assert_int_equal(vfuc_region_map(c, 0, 0, 1, BOTH, &addr), -EACCES);
    assert_int_equal(vfuc_region_map(c, 0, 0, 1, VFUC_MAP_WRITE, &addr), -EACCES);
    assert_int_equal(vfuc_region_map(c, 0, 0, 1, VFUC_MAP_READ, &addr), 0);
    finish(&s, c);
    close(fd);
}

/* ------------------------------------------------------------- interrupts -- */

static void irq_is_asked_for_once(void **state)
{
    struct script s;
    struct vfuc_client *c = with_msix(&s);
    const struct vfuc_irq *irq;

    (void)state;
    script_heard(&s, 2, "0200 0700 20000000 00000000 00000000"
                 "10000000 00000000 02000000 00000000", 0);
    assert_int_equal(vfuc_irq_info(c, 2, &irq), 0);
    assert_int_equal(irq->index, 2);
    assert_int_equal(irq->flags, VFUC_IRQ_EVENTFD | VFUC_IRQ_MASKABLE);
    assert_int_equal(irq->num_vectors, 16);
    assert_int_equal(vfuc_irq_info(c, 5, &irq), -ERANGE);
    assert_int_equal(s.n_said, 3);
    finish(&s, c);
}

/* SET_IRQS: argsz flags index start count */
static void assign_sends_eventfds_in_one_message(void **state)
{
    struct script s;
    struct vfuc_client *c;
    int fds[3] = { 0, 1, 2 };

    (void)state;
    assert_int_equal(open_with(&s, "{\"capabilities\":{\"max_msg_fds\":8}}", &c), 0);
    script_say(&s, SAY_DEVICE);
    script_say(&s, SAY_MSIX);
    script_say(&s, "");
    assert_int_equal(vfuc_irq_assign(c, 2, 4, fds, 3), 0);
    script_heard(&s, 3, "0300 0800 24000000 00000000 00000000"
                 "14000000 24000000 02000000 04000000 03000000", 3);
    finish(&s, c);
}

static void assign_is_split_into_runs_and_at_max_msg_fds(void **state)
{
    struct script s;
    struct vfuc_client *c;
    int fds[10] = { 0, 1, 2, -1, -1, -1, -1, 0, -1, 1 };

    (void)state;
    assert_int_equal(open_with(&s, "{\"capabilities\":{\"max_msg_fds\":2}}", &c), 0);
    script_say(&s, SAY_DEVICE);
    script_say(&s, SAY_MSIX);
    for (int i = 0; i < 6; i++)
        script_say(&s, "");
    assert_int_equal(vfuc_irq_assign(c, 2, 1, fds, 10), 0);
    script_heard(&s, 3, "0300 0800 24000000 00000000 00000000"
                 "14000000 24000000 02000000 01000000 02000000", 2);
    script_heard(&s, 4, "0400 0800 24000000 00000000 00000000"
                 "14000000 24000000 02000000 03000000 01000000", 1);
    script_heard(&s, 5, "0500 0800 24000000 00000000 00000000"
                 "14000000 24000000 02000000 04000000 04000000", 0);
    script_heard(&s, 6, "0600 0800 24000000 00000000 00000000"
                 "14000000 24000000 02000000 08000000 01000000", 1);
    script_heard(&s, 7, "0700 0800 24000000 00000000 00000000"
                 "14000000 24000000 02000000 09000000 01000000", 0);
    script_heard(&s, 8, "0800 0800 24000000 00000000 00000000"
                 "14000000 24000000 02000000 0a000000 01000000", 1);
    finish(&s, c);
}

static void refused_run_ends_an_assignment(void **state)
{
    struct script s;
    struct vfuc_client *c = with_msix(&s);  /* max_msg_fds 1 */
    int fds[3] = { 0, 1, 2 };

    (void)state;
    script_say(&s, "");
    script_refuse(&s, 24);
    assert_int_equal(vfuc_irq_assign(c, 2, 0, fds, 3), -EREMOTEIO);
    assert_int_equal(s.n_said, 5);
    finish(&s, c);
}

static void assignment_that_cannot_be_is_not_sent(void **state)
{
    struct script s;
    struct vfuc_client *c = with_msix(&s);
    int fds[17] = { 0 };
    int closed[2] = { 0, 999 };
    int odd[1] = { -2 };

    (void)state;
    assert_int_equal(vfuc_irq_assign(c, 2, 0, fds, 17), -ERANGE);
    assert_int_equal(vfuc_irq_assign(c, 2, 16, fds, 1), -ERANGE);
    assert_int_equal(vfuc_irq_assign(c, 2, UINT32_MAX, fds, 2), -ERANGE);
    assert_int_equal(vfuc_irq_assign(c, 5, 0, fds, 1), -ERANGE);
    assert_int_equal(vfuc_irq_assign(c, 2, 0, fds, 0), -EINVAL);
    assert_int_equal(vfuc_irq_assign(c, 2, 0, closed, 2), -EBADF);
    assert_int_equal(vfuc_irq_assign(c, 2, 0, odd, 1), -EBADF);
    assert_int_equal(vfuc_irq_mask(c, 2, 0, 17), -ERANGE);
    assert_int_equal(vfuc_irq_unmask(c, 2, 15, 2), -ERANGE);
    assert_int_equal(vfuc_irq_trigger(c, 2, 0, 0), -EINVAL);
    assert_int_equal(vfuc_irq_disable(c, 5), -ERANGE);
    assert_int_equal(s.n_said, 3);
    finish(&s, c);
}

static void server_that_takes_no_descriptors_gets_none(void **state)
{
    struct script s;
    struct vfuc_client *c;
    int fds[2] = { -1, 0 };

    (void)state;
    assert_int_equal(open_with(&s, "{\"capabilities\":{\"max_msg_fds\":0}}", &c), 0);
    script_say(&s, SAY_DEVICE);
    script_say(&s, SAY_MSIX);
    assert_int_equal(vfuc_irq_assign(c, 2, 0, fds, 2), -ENOTSUP);
    assert_int_equal(vfuc_dma_map(c, 0, 0x1000, 3, 0, 0), -ENOTSUP);
    assert_int_equal(s.n_said, 3);
    script_say(&s, "");
    assert_int_equal(vfuc_irq_assign(c, 2, 0, fds, 1), 0);
    script_say(&s, "");
    assert_int_equal(vfuc_dma_map(c, 0, 0x1000, 3, -1, 0), 0);
    finish(&s, c);
}

static void disable_mask_unmask_and_trigger_have_no_data(void **state)
{
    struct script s;
    struct vfuc_client *c = with_msix(&s);

    (void)state;
    for (int i = 0; i < 4; i++)
        script_say(&s, "");
    assert_int_equal(vfuc_irq_disable(c, 2), 0);
    script_heard(&s, 3, "0300 0800 24000000 00000000 00000000"
                 "14000000 21000000 02000000 00000000 00000000", 0);
    assert_int_equal(vfuc_irq_mask(c, 2, 1, 2), 0);
    script_heard(&s, 4, "0400 0800 24000000 00000000 00000000"
                 "14000000 09000000 02000000 01000000 02000000", 0);
    assert_int_equal(vfuc_irq_unmask(c, 2, 0, 16), 0);
    script_heard(&s, 5, "0500 0800 24000000 00000000 00000000"
                 "14000000 11000000 02000000 00000000 10000000", 0);
    assert_int_equal(vfuc_irq_trigger(c, 2, 15, 1), 0);
    script_heard(&s, 6, "0600 0800 24000000 00000000 00000000"
                 "14000000 21000000 02000000 0f000000 01000000", 0);
    finish(&s, c);
}

/* -------------------------------------------------------------------- DMA -- */

static void dma_map_lends_its_descriptor(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);
    int fd = memory(0x4000);

    (void)state;
    script_say(&s, "");
    assert_int_equal(vfuc_dma_map(c, 0x10000, 0x2000, VFUC_DMA_READ | VFUC_DMA_WRITE, fd,
                                  0x1000), 0);
    /* argsz flags offset address size */
    script_heard(&s, 2, "0200 0200 30000000 00000000 00000000"
                 "20000000 03000000 0010000000000000 0000010000000000 0020000000000000",
                 1);
    script_say(&s, "");
    assert_int_equal(vfuc_dma_map(c, UINT64_MAX - 0xfff, 0x1000, VFUC_DMA_READ, -1, 0),
                     0);
    script_heard(&s, 3, "0300 0200 30000000 00000000 00000000"
                 "20000000 01000000 0000000000000000 00f0ffffffffffff 0010000000000000",
                 0);
    assert_int_equal(close(fd), 0);
    finish(&s, c);
}

static void window_that_cannot_be_is_not_sent(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    assert_int_equal(vfuc_dma_map(c, 0, 0, 3, -1, 0), -EINVAL);
    assert_int_equal(vfuc_dma_map(c, UINT64_MAX - 0xfff, 0x1001, 3, -1, 0), -EINVAL);
    assert_int_equal(vfuc_dma_map(c, 2, UINT64_MAX, 3, -1, 0), -EINVAL);
    assert_int_equal(vfuc_dma_map(c, 0, 0x1000, 4, -1, 0), -EINVAL);
    assert_int_equal(vfuc_dma_map(c, 0, 0x1000, 3, -1, 0x1000), -EINVAL);
    assert_int_equal(vfuc_dma_map(c, 0, 0x1000, 3, -2, 0), -EINVAL);
    assert_int_equal(vfuc_dma_map(c, 0, 0x1000, 3, 0, INT64_MAX), -EINVAL);
    assert_int_equal(vfuc_dma_map(c, 0, 0x1000, 3, 0, UINT64_MAX), -EINVAL);
    assert_int_equal(vfuc_dma_map(c, 0, 0x1000, 3, 999, 0), -EBADF);
    assert_int_equal(vfuc_dma_unmap(c, 0, 0), -EINVAL);
    assert_int_equal(s.n_said, 2);
    finish(&s, c);
}

static void windows_stay_below_the_limit_of_the_server(void **state)
{
    struct script s;
    struct vfuc_client *c;

    (void)state;
    assert_int_equal(open_with(&s, "{\"capabilities\":{\"max_dma_maps\":2}}", &c), 0);
    script_say(&s, "");
    assert_int_equal(vfuc_dma_map(c, 0x0000, 0x1000, 3, -1, 0), 0);
    script_refuse(&s, 17);      /* a window that was refused does not count */
    assert_int_equal(vfuc_dma_map(c, 0x0000, 0x1000, 3, -1, 0), -EREMOTEIO);
    assert_int_equal(vfuc_last_errno(c), EEXIST);
    script_say(&s, "");
    assert_int_equal(vfuc_dma_map(c, 0x1000, 0x1000, 3, -1, 0), 0);
    assert_int_equal(vfuc_dma_map(c, 0x2000, 0x1000, 3, -1, 0), -ENOSPC);
    assert_int_equal(s.n_said, 4);
    script_say(&s, "18000000 00000000 0010000000000000 0010000000000000");
    assert_int_equal(vfuc_dma_unmap(c, 0x1000, 0x1000), 0);
    script_say(&s, "");
    assert_int_equal(vfuc_dma_map(c, 0x2000, 0x1000, 3, -1, 0), 0);
    assert_int_equal(vfuc_dma_map(c, 0x3000, 0x1000, 3, -1, 0), -ENOSPC);
    script_say(&s, "18000000 02000000 0000000000000000 0020000000000000");
    assert_int_equal(vfuc_dma_unmap_all(c), 0);
    script_say(&s, "");
    assert_int_equal(vfuc_dma_map(c, 0x3000, 0x1000, 3, -1, 0), 0);
    finish(&s, c);
}

static void unmap_names_the_window(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    script_say(&s, "18000000 00000000 0000010000000000 0020000000000000");
    assert_int_equal(vfuc_dma_unmap(c, 0x10000, 0x2000), 0);
    script_heard(&s, 2, "0200 0300 28000000 00000000 00000000"
                 "18000000 00000000 0000010000000000 0020000000000000", 0);
    script_say(&s, "18000000 02000000 0000000000000000 0000000000000000");
    assert_int_equal(vfuc_dma_unmap_all(c), 0);
    script_heard(&s, 3, "0300 0300 28000000 00000000 00000000"
                 "18000000 02000000 0000000000000000 0000000000000000", 0);
    finish(&s, c);
}

static void unmapping_what_never_was_does_not_upset_the_count(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    script_say(&s, "18000000 00000000 0000010000000000 0020000000000000");
    assert_int_equal(vfuc_dma_unmap(c, 0x10000, 0x2000), 0);
    script_say(&s, "");
    assert_int_equal(vfuc_dma_map(c, 0x10000, 0x2000, 3, -1, 0), 0);
    finish(&s, c);
}

/* ------------------------------------------------ what the server says -- */

/* DMA_READ and DMA_WRITE, with ids of the server's own: one is ours too. */
static void commands_of_the_server_are_answered_while_we_wait(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    script_type(&s, "0200 0b00 20000000 00000000 00000000"
                "0000010000000000 0400000000000000")->n_fds = 1;
    script_type(&s, "7777 0c00 24000000 00000000 00000000"
                "0000010000000000 0400000000000000 01020304");
    script_say(&s, "");
    assert_int_equal(vfuc_reset(c), 0);
    script_heard(&s, 2, "0200 0d00 10000000 00000000 00000000", 0);
    script_heard(&s, 3, "0200 0b00 10000000 21000000 5f000000", 0);
    script_heard(&s, 4, "7777 0c00 10000000 21000000 5f000000", 0);
    assert_int_equal(s.n_said, 5);
    finish(&s, c);
}

static void commands_that_want_no_reply_get_none(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    script_type(&s, "0500 0c00 24000000 10000000 00000000"
                "0000010000000000 0400000000000000 01020304");
    script_say(&s, "");
    assert_int_equal(vfuc_reset(c), 0);
    assert_int_equal(s.n_said, 3);
    finish(&s, c);
}

static void unknown_commands_are_refused(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    script_type(&s, "0100 0e00 10000000 00000000 00000000");
    script_type(&s, "0200 c800 10000000 00000000 00000000");
    script_type(&s, "0300 0d00 10000000 00000000 00000000");    /* the wrong direction */
    script_say(&s, "");
    assert_int_equal(vfuc_reset(c), 0);
    script_heard(&s, 3, "0100 0e00 10000000 21000000 5f000000", 0);
    script_heard(&s, 4, "0200 c800 10000000 21000000 5f000000", 0);
    script_heard(&s, 5, "0300 0d00 10000000 21000000 5f000000", 0);
    finish(&s, c);
}

/* A server that goes on for ever: each command is told once more, until time is up. */
static int chatter(void *at, struct vu_message *m, vu_deadline deadline)
{
    struct script *s = at;

    s->next = s->n_lines - 1;
    return script_port.receive(at, m, deadline);
}

static void commands_without_end_do_not_prolong_the_wait(void **state)
{
    struct vuc_port port = script_port;
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    port.receive = chatter;
    c->port = &port;
    vfuc_set_timeout_ms(c, 20);
    script_type(&s, "0100 0b00 10000000 10000000 00000000");
    assert_int_equal(vfuc_reset(c), -ETIMEDOUT);
    assert_true(s.closed);
    finish(&s, c);
}

static void dispatch_answers_what_is_there(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    assert_int_equal(vfuc_dispatch(c), 0);
    script_type(&s, "0100 0b00 20000000 00000000 00000000"
                "0000010000000000 0400000000000000");
    script_type(&s, "0200 0e00 10000000 00000000 00000000")->n_fds = 2;
    assert_int_equal(vfuc_dispatch(c), 2);
    script_heard(&s, 2, "0100 0b00 10000000 21000000 5f000000", 0);
    script_heard(&s, 3, "0200 0e00 10000000 21000000 5f000000", 0);
    assert_int_equal(vfuc_dispatch(c), 0);
    finish(&s, c);
}

static void dispatch_ends_although_commands_go_on(void **state)
{
    struct vuc_port port = script_port;
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    port.receive = chatter;
    c->port = &port;
    script_type(&s, "0100 0b00 10000000 10000000 00000000");
    assert_true(vfuc_dispatch(c) > 0);
    assert_false(s.closed);
    finish(&s, c);
}

static void reply_that_nobody_asked_for_ends_the_connection(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    script_type(&s, "0100 0d00 10000000 01000000 00000000")->n_fds = 1;
    assert_int_equal(vfuc_dispatch(c), -EPROTO);
    assert_true(s.closed);
    finish(&s, c);
}

static void dispatch_notices_that_the_server_left(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    script_fail(&s, 0);
    assert_int_equal(vfuc_dispatch(c), -ENOTCONN);
    assert_string_equal(vfuc_last_error(c),
                        "between calls: the server closed the connection");
    finish(&s, c);
}

/* Seen in the field: flags 0x20, Error without Type. */
static void error_reply_without_type_is_understood(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    script_refuse(&s, 22)->h.flags = 0x20;
    assert_int_equal(vfuc_reset(c), -EREMOTEIO);
    assert_int_equal(vfuc_last_errno(c), 22);
    assert_int_equal(s.n_said, 3);
    finish(&s, c);
}

/* Seen in the field: a payload comes with the error. */
static void error_reply_with_a_body_is_understood(void **state)
{
    struct script s;
    struct vfuc_client *c = with_region(&s, SAY_REGION0);
    uint8_t buf[4] = { 9, 9, 9, 9 };
    struct line *l = script_say(&s, "1000000000000000 00000000 04000000 a1a2a3a4");

    (void)state;
    l->h.flags = 0x21;
    l->h.error = 22;
    assert_int_equal(vfuc_region_read(c, 0, 0x10, buf, 4), -EREMOTEIO);
    assert_memory_equal(buf, "\11\11\11\11", 4);
    finish(&s, c);
}

static void errno_of_a_refusal_is_never_beyond_any_errno(void **state)
{
    static const struct {
        uint32_t sent;
        int told;
    } rows[] = { { 0, 0 }, { 1, 1 }, { 4095, 4095 }, { 4096, 0 }, { UINT32_MAX, 0 } };
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        script_refuse(&s, rows[i].sent);
        assert_int_equal(vfuc_reset(c), -EREMOTEIO);
        assert_int_equal(vfuc_last_errno(c), rows[i].told);
    }
    finish(&s, c);
}

static void reserved_flags_of_a_reply_are_ignored(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    script_say(&s, "")->h.flags = 0xffffffc1;
    assert_int_equal(vfuc_reset(c), 0);
    script_say(&s, "")->h.flags = 0x11;         /* No_reply means nothing in a reply */
    assert_int_equal(vfuc_reset(c), 0);
    script_say(&s, "")->h.error = 22;           /* nor does an error without its bit */
    assert_int_equal(vfuc_reset(c), 0);
    finish(&s, c);
}

static void ids_go_around(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    c->next_id = 0xffff;
    script_say(&s, "");
    script_say(&s, "");
    assert_int_equal(vfuc_reset(c), 0);
    assert_int_equal(vfuc_reset(c), 0);
    script_heard(&s, 2, "ffff 0d00 10000000 00000000 00000000", 0);
    script_heard(&s, 3, "0000 0d00 10000000 00000000 00000000", 0);
    finish(&s, c);
}

/* --------------------------------------------------------------- sending -- */

static void server_that_hangs_up_may_have_said_why(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    s.send_result = -EPIPE;
    s.latest.msg_id = 2;
    s.latest.command = 13;
    script_refuse(&s, 7);
    assert_int_equal(vfuc_reset(c), -EREMOTEIO);
    assert_int_equal(vfuc_last_errno(c), 7);
    script_fail(&s, -ECONNRESET);
    assert_int_equal(vfuc_reset(c), -ENOTCONN);
    assert_true(s.closed);
    finish(&s, c);
}

static void server_that_does_not_read_ends_in_a_timeout(void **state)
{
    struct script s;
    struct vfuc_client *c = with_region(&s, SAY_REGION0);
    uint8_t byte = 0;

    (void)state;
    s.send_result = -ETIMEDOUT;
    assert_int_equal(vfuc_region_write_posted(c, 0, 0, &byte, 1), -ETIMEDOUT);
    assert_true(s.closed);
    finish(&s, c);
}

static void descriptor_that_the_kernel_refuses_does_not_end_the_connection(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    s.send_result = -ETOOMANYREFS;
    assert_int_equal(vfuc_dma_map(c, 0, 0x1000, 3, 0, 0), -EBADF);
    assert_false(s.closed);
    s.send_result = -EINVAL;    /* no descriptor here to put the blame on */
    assert_int_equal(vfuc_reset(c), -ENOTCONN);
    assert_true(s.closed);
    finish(&s, c);
}

static void timeout_can_be_set(void **state)
{
    struct script s;
    struct vfuc_client *c = with_device(&s);

    (void)state;
    assert_int_equal(c->timeout_ms, 5000);
    vfuc_set_timeout_ms(c, 7);
    assert_int_equal(c->timeout_ms, 7);
    vfuc_set_timeout_ms(c, -1);
    assert_true(c->timeout_ms < 0);
    vfuc_set_timeout_ms(c, 0);
    assert_int_equal(c->timeout_ms, 5000);
    finish(&s, c);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(connect_proposes_version_0_2_and_our_limits),
    VU_FD_TEST(silent_server_gets_the_default_limits),
    VU_FD_TEST(limits_of_the_server_are_kept),
    VU_FD_TEST(descriptors_beyond_what_a_message_carries_are_not_counted_on),
    VU_FD_TEST(capabilities_that_mean_nothing_to_us_are_passed_over),
    VU_FD_TEST(capabilities_that_cannot_be_end_the_connection),
    VU_FD_TEST(failure_to_connect_comes_with_a_sentence),
    VU_FD_TEST(options_are_checked),
    VU_FD_TEST(device_is_asked_for_once),
    VU_FD_TEST(device_without_anything_is_one),
    VU_FD_TEST(largest_device_is_taken),
    VU_FD_TEST(reset_has_no_body),
    VU_FD_TEST(region_is_asked_for_once),
    VU_FD_TEST(absent_region_is_no_error),
    VU_FD_TEST(mappable_region_is_one_area_and_a_descriptor),
    VU_FD_TEST(chain_that_does_not_fit_is_asked_for_again),
    VU_FD_TEST(first_of_two_replies_may_lack_the_descriptor),
    VU_FD_TEST(areas_of_an_unmappable_region_mean_nothing),
    VU_FD_TEST(areas_of_an_unknown_version_are_not_mappable),
    VU_FD_TEST(growing_argsz_is_followed_a_few_times_only),
    VU_FD_TEST(descriptor_that_found_no_room_is_our_failure),
    VU_FD_TEST(refused_region_can_be_asked_for_again),
    VU_FD_TEST(read_asks_for_offset_region_and_count),
    VU_FD_TEST(write_carries_its_data),
    VU_FD_TEST(posted_write_awaits_nothing),
    VU_FD_TEST(access_learns_what_it_must_know),
    VU_FD_TEST(long_access_is_split_at_the_limit_of_the_server),
    VU_FD_TEST(long_access_is_split_at_our_own_limit),
    VU_FD_TEST(short_transfer_goes_on_where_it_stopped),
    VU_FD_TEST(access_outside_the_region_is_not_sent),
    VU_FD_TEST(access_against_the_flags_is_not_sent),
    VU_FD_TEST(refusal_in_the_middle_ends_a_long_access),
    VU_FD_TEST(mapping_shows_the_memory_of_the_server),
    VU_FD_TEST(mapping_stays_when_the_connection_breaks),
    VU_FD_TEST(only_areas_are_mapped),
    VU_FD_TEST(file_that_is_too_short_is_not_mapped),
    VU_FD_TEST(descriptor_that_is_no_memory_is_not_mapped),
    VU_FD_TEST(read_only_region_is_not_mapped_for_writing),
    VU_FD_TEST(irq_is_asked_for_once),
    VU_FD_TEST(assign_sends_eventfds_in_one_message),
    VU_FD_TEST(assign_is_split_into_runs_and_at_max_msg_fds),
    VU_FD_TEST(refused_run_ends_an_assignment),
    VU_FD_TEST(assignment_that_cannot_be_is_not_sent),
    VU_FD_TEST(server_that_takes_no_descriptors_gets_none),
    VU_FD_TEST(disable_mask_unmask_and_trigger_have_no_data),
    VU_FD_TEST(dma_map_lends_its_descriptor),
    VU_FD_TEST(window_that_cannot_be_is_not_sent),
    VU_FD_TEST(windows_stay_below_the_limit_of_the_server),
    VU_FD_TEST(unmap_names_the_window),
    VU_FD_TEST(unmapping_what_never_was_does_not_upset_the_count),
    VU_FD_TEST(commands_of_the_server_are_answered_while_we_wait),
    VU_FD_TEST(commands_that_want_no_reply_get_none),
    VU_FD_TEST(unknown_commands_are_refused),
    VU_FD_TEST(commands_without_end_do_not_prolong_the_wait),
    VU_FD_TEST(dispatch_answers_what_is_there),
    VU_FD_TEST(dispatch_ends_although_commands_go_on),
    VU_FD_TEST(reply_that_nobody_asked_for_ends_the_connection),
    VU_FD_TEST(dispatch_notices_that_the_server_left),
    VU_FD_TEST(error_reply_without_type_is_understood),
    VU_FD_TEST(error_reply_with_a_body_is_understood),
    VU_FD_TEST(errno_of_a_refusal_is_never_beyond_any_errno),
    VU_FD_TEST(reserved_flags_of_a_reply_are_ignored),
    VU_FD_TEST(ids_go_around),
    VU_FD_TEST(server_that_hangs_up_may_have_said_why),
    VU_FD_TEST(server_that_does_not_read_ends_in_a_timeout),
    VU_FD_TEST(descriptor_that_the_kernel_refuses_does_not_end_the_connection),
    VU_FD_TEST(timeout_can_be_set),
};

VU_TEST_MAIN(tests)
