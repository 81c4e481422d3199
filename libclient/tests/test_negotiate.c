/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VERSION: what is proposed, byte by byte, and what becomes of answers: good ones, and
 * every kind of bad one, a test each.
 */
#include "libclient/tests/script.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>

static char said[200];      /* why the latest connection failed */

static void append_text(struct script *s, const char *text)
{
    struct line *l = &s->lines[s->n_lines - 1];
    size_t len = strlen(text) + 1;

    l->body = realloc(l->body, l->body_len + len);
    assert_non_null(l->body);
    memcpy(l->body + l->body_len, text, len);
    l->body_len += len;
    l->h.size = (uint32_t)(VU_HEADER_SIZE + l->body_len);
}

/* The answer: 0.1 with this JSON. */
static struct line *answer(struct script *s, const char *json)
{
    struct line *l = script_say(s, "0000 0100");

    append_text(s, json);
    return l;
}

static int open_client(struct script *s, struct vfuc_options given,
                       struct vfuc_client **c)
{
    struct vfuc_options options;

    given.size = sizeof(given);
    given.error = said;
    given.error_len = sizeof(said);
    said[0] = '\0';
    *c = NULL;
    if (vuc_options_read(&given, &options) != 0)
        fail_msg("options: %s", said);
    return vuc_client_open(&script_port, s, &options, c);
}

static const struct vfuc_options no_options = { .size = sizeof(no_options) };
static const struct vfuc_options with_twin = { .twin_socket = VFUC_TWIN_INLINE };

static void done(struct script *s, struct vfuc_client *c)
{
    assert_int_equal(s->next, s->n_lines);
    vfuc_close(c);
    assert_true(s->closed);
    script_done(s);
}

/* ---------------------------------------------------------------- proposals -- */

/* With these options the client says this: bytes from the header on, then text, or none
 * for NULL. */
static void proposes(struct vfuc_options given, const char *head, const char *text)
{
    struct bytes h = bytes_of_hex(head);
    size_t text_len = text == NULL ? 0 : strlen(text) + 1;
    struct vfuc_client *c;
    struct script s;

    SKIP_UNLESS_LITTLE_ENDIAN();
    script_init(&s);
    script_say(&s, SAY_VERSION);
    assert_int_equal(open_client(&s, given, &c), 0);
    assert_int_equal(s.said[0].n_fds, 0);
    if (text != NULL)
        assert_string_equal((const char *)s.said[0].bytes + h.len, text);
    assert_int_equal(s.said[0].len, h.len + text_len);
    assert_memory_equal(s.said[0].bytes, h.data, h.len);
    done(&s, c);
}

static void connect_proposes_version_0_2_our_limits_and_features(void **state)
{
    (void)state;
    proposes(no_options, "0000 0100 a6000000 00000000 00000000 0000 0200",
             "{\"capabilities\":{\"max_msg_fds\":16,\"max_data_xfer_size\":1048576,"
             "\"max_dma_maps\":65535,\"pgsizes\":4096,\"write_multiple\":true,"
             "\"sparse_mmap_fds\":true}}");
}

static void twin_socket_is_proposed_when_it_is_wanted(void **state)
{
    (void)state;
    proposes(with_twin, "0000 0100 c7000000 00000000 00000000 0000 0200",
             "{\"capabilities\":{\"max_msg_fds\":16,\"max_data_xfer_size\":1048576,"
             "\"max_dma_maps\":65535,\"pgsizes\":4096,\"write_multiple\":true,"
             "\"sparse_mmap_fds\":true,\"twin_socket\":{\"supported\":true}}}");
}

static void longest_proposal_fits(void **state)
{
    (void)state;
    proposes((struct vfuc_options){ .max_msg_fds = 253,
                                    .max_data_xfer_size = VFUC_MAX_TRANSFER,
                                    .max_dma_maps = INT64_MAX, .pgsizes = INT64_MAX,
                                    .twin_socket = VFUC_TWIN_THREAD },
             "0000 0100 e6000000 00000000 00000000 0000 0200",
             "{\"capabilities\":{\"max_msg_fds\":253,\"max_data_xfer_size\":67108864,"
             "\"max_dma_maps\":9223372036854775807,\"pgsizes\":9223372036854775807,"
             "\"write_multiple\":true,\"sparse_mmap_fds\":true,"
             "\"twin_socket\":{\"supported\":true}}}");
}

static void minor_version_is_what_the_caller_wants(void **state)
{
    (void)state;
    proposes((struct vfuc_options){ .minor = 1, .capabilities = "" },
             "0000 0100 14000000 00000000 00000000 0000 0100", NULL);
    proposes((struct vfuc_options){ .minor = VFUC_MINOR_0, .capabilities = "" },
             "0000 0100 14000000 00000000 00000000 0000 0000", NULL);
}

static void text_of_the_caller_is_proposed_as_it_is(void **state)
{
    (void)state;
    proposes((struct vfuc_options){ .capabilities = "{ \"x\" : 1 }" },
             "0000 0100 20000000 00000000 00000000 0000 0200", "{ \"x\" : 1 }");
}

/* ------------------------------------------------------------- good answers -- */

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
    assert_false(l->twin_socket || l->write_multiple || l->sparse_mmap_fds);
    assert_int_equal(vfuc_twin_fd(c), -1);
    assert_string_equal(vfuc_last_error(c), "");
    done(&s, c);
}

/* A client of no options whose server has answered with this. */
static struct vfuc_client *agreed(struct script *s, const char *json)
{
    struct vfuc_client *c;

    script_init(s);
    answer(s, json);
    if (open_client(s, no_options, &c) != 0)
        fail_msg("%s: %s", json, said);
    return c;
}

static void limits_of_the_server_are_kept(void **state)
{
    struct script s;
    struct vfuc_client *c = agreed(&s, "{\"capabilities\":{\"max_msg_fds\":8,"
                                   "\"max_data_xfer_size\":4096,\"max_dma_maps\":7,"
                                   "\"pgsizes\":2101248}}");
    const struct vfuc_limits *l = vfuc_negotiated(c);

    (void)state;
    assert_int_equal(l->version_minor, 1);
    assert_int_equal(l->max_msg_fds, 8);
    assert_int_equal(l->max_data_xfer_size, 4096);
    assert_int_equal(l->max_dma_maps, 7);
    assert_int_equal(l->pgsizes, 2101248);
    assert_int_equal(vfuc_migration_chunk(c), 4096);
    done(&s, c);
}

static void features_that_both_have_are_agreed(void **state)
{
    struct script s;
    struct vfuc_client *c = agreed(&s, "{\"capabilities\":{\"write_multiple\":true,"
                                   "\"sparse_mmap_fds\":true}}");

    (void)state;
    assert_true(vfuc_negotiated(c)->write_multiple);
    assert_true(vfuc_negotiated(c)->sparse_mmap_fds);
    done(&s, c);
    c = agreed(&s, "{\"capabilities\":{\"write_multiple\":false}}");
    assert_false(vfuc_negotiated(c)->write_multiple);
    assert_false(vfuc_negotiated(c)->sparse_mmap_fds);
    done(&s, c);
}

static void descriptors_beyond_what_a_message_carries_are_not_counted_on(void **state)
{
    struct script s;
    struct vfuc_client *c = agreed(&s, "{\"capabilities\":{\"max_msg_fds\":100000}}");

    (void)state;
    assert_int_equal(vfuc_negotiated(c)->max_msg_fds, 253);
    done(&s, c);
}

static void transfers_stay_below_the_limits_of_both(void **state)
{
    struct script s;
    struct vfuc_client *c = agreed(&s, "{\"capabilities\":{\"max_data_xfer_size\":"
                                   "18446744073709551614}}");

    (void)state;
    assert_int_equal(vfuc_negotiated(c)->max_data_xfer_size, UINT64_MAX - 1);
    assert_int_equal(vfuc_migration_chunk(c), 1048576);
    done(&s, c);
}

static void capabilities_that_mean_nothing_to_us_are_passed_over(void **state)
{
    static const char *const json[] = {
        "{}",
        "{\"capabilities\":{}}",
        "{\"comment\":[1,2,{\"x\":null}],\"capabilities\":{\"warp\":9}}",
        "{\"capabilities\":{\"migration\":{\"pgsize\":4096}}}",
        "{\"capabilities\":{\"twin_socket\":{\"supported\":false}}}",
        "{\"capabilities\":{\"twin_socket\":{\"fd_index\":3}}}",
        "{\"capabilities\":{\"twin_socket\":{}}}",
    };
    struct script s;

    (void)state;
    for (size_t i = 0; i < sizeof(json) / sizeof(json[0]); i++) {
        struct vfuc_client *c = agreed(&s, json[i]);

        assert_int_equal(vfuc_negotiated(c)->max_msg_fds, 1);
        assert_false(vfuc_negotiated(c)->twin_socket);
        done(&s, c);
    }
}

static void failure_to_connect_comes_with_a_sentence(void **state)
{
    struct vfuc_client *c;
    struct script s;

    (void)state;
    script_init(&s);
    script_refuse(&s, 22);
    assert_int_equal(open_client(&s, no_options, &c), -EREMOTEIO);
    assert_string_equal(said, "VERSION: the server refused (EINVAL)");
    assert_null(c);
    assert_true(s.closed);
    script_done(&s);
    script_fail(&s, 0);
    assert_int_equal(open_client(&s, no_options, &c), -ENOTCONN);
    assert_string_equal(said, "VERSION: the server closed the connection");
    script_done(&s);
}

/* -------------------------------------------------------------- twin socket -- */

#define TWIN(fields) "{\"capabilities\":{\"twin_socket\":{" fields "}}}"

/* The answer comes with n copies of fd (owned, and closed here). */
static int open_with_fds(struct script *s, const char *json, int fd, size_t n,
                         struct vfuc_client **c)
{
    int err;

    script_init(s);
    s->fd = fd;
    answer(s, json)->n_fds = n;
    err = open_client(s, with_twin, c);
    if (fd >= 0)
        close(fd);
    s->fd = -1;
    return err;
}

static int one_end(int *other)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    *other = ends[1];
    return ends[0];
}

static void twin_socket_leads_to_the_server(void **state)
{
    struct vfuc_client *c;
    struct script s;
    int other, fd = one_end(&other);
    char byte = 0;

    (void)state;
    assert_int_equal(open_with_fds(&s, TWIN("\"supported\":true,\"fd_index\":2"), fd, 5,
                                   &c), 0);
    assert_true(vfuc_negotiated(c)->twin_socket);
    assert_int_equal(write(other, "x", 1), 1);
    assert_int_equal(read(vfuc_twin_fd(c), &byte, 1), 1);
    assert_int_equal(byte, 'x');
    assert_int_equal(fcntl(vfuc_twin_fd(c), F_GETFD), FD_CLOEXEC);
    done(&s, c);
    assert_int_equal(read(other, &byte, 1), 0);     /* no copy is left */
    close(other);
}

static void server_may_decline_the_twin_socket(void **state)
{
    struct vfuc_client *c;
    struct script s;

    (void)state;
    assert_int_equal(open_with_fds(&s, TWIN("\"supported\":false"), -1, 0, &c), 0);
    assert_false(vfuc_negotiated(c)->twin_socket);
    assert_int_equal(vfuc_twin_fd(c), -1);
    assert_int_equal(vfuc_twin_dispatch(c, 0), -EINVAL);
    done(&s, c);
}

static void twin_socket_that_found_no_room_is_our_failure(void **state)
{
    struct vfuc_client *c;
    struct script s;

    (void)state;
    script_init(&s);
    answer(&s, TWIN("\"supported\":true,\"fd_index\":1"));
    s.lines[0].n_fds = 1;
    s.lines[0].fds_lost = true;
    assert_int_equal(open_client(&s, with_twin, &c), -EMFILE);
    assert_string_equal(said, "VERSION: no room for the descriptor of the twin socket");
    assert_true(s.closed);
    script_done(&s);
}

/* What a server may send in the place of a socket. */
static int a_file(void)
{
    return memfd_create("twin", MFD_CLOEXEC);
}

static int a_datagram_socket(void)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
    close(ends[1]);
    return ends[0];
}

static int a_packet_socket(void)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    close(ends[1]);
    return ends[0];
}

static int an_unconnected_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int a_listening_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr anonymous = { .sa_family = AF_UNIX };

    assert_int_equal(bind(fd, &anonymous, sizeof(anonymous.sa_family)), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

/* Closing one of these can take as long as its maker likes (SO_LINGER). Without a
 * loopback interface it is not connected, and refused for that. */
static int a_tcp_socket(void)
{
    struct sockaddr_in here = { .sin_family = AF_INET };
    socklen_t len = sizeof(here);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(listener >= 0 && fd >= 0);
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&here, sizeof(here)) == 0
        && listen(listener, 1) == 0
        && getsockname(listener, (struct sockaddr *)&here, &len) == 0
        && connect(fd, (struct sockaddr *)&here, sizeof(here)) == 0)
        close(accept(listener, NULL, NULL));
    close(listener);
    return fd;
}

static int a_good_one(void)
{
    int other, fd = one_end(&other);

    close(other);
    return fd;
}

/* --------------------------------------------------------------- bad answers -- */

struct bad {
    const char *name;
    const char *version;    /* hexadecimal; NULL: 0.1 */
    const char *text;       /* with its NUL behind the version; or NULL */
    int (*fd)(void);        /* descriptors that come along are made by it */
    size_t n_fds;
    bool twin;              /* we have proposed a twin socket */
};

#define CAPS(fields) .text = "{\"capabilities\":{" fields "}}"
#define TWIN_OF(fields) .text = TWIN(fields)
#define WITH(make, n) .fd = make, .n_fds = n, .twin = true

static struct bad bad[] = {
    { "a newer minor version than proposed", .version = "0000 0300" },
    { "another major version", .version = "0100 0000" },
    { "no NUL", .version = "0000 0100 7b7d" },
    { "a NUL too many", .version = "0000 0100 7b7d00 00" },
    { "no JSON", .text = "capabilities" },
    { "JSON that ends early", .text = "{\"capabilities\":{" },
    { "JSON with something behind it", .text = "{} {}" },
    { "no object", .text = "[]" },
    { "no object of capabilities", .text = "{\"capabilities\":[]}" },
    { "capabilities twice", .text = "{\"capabilities\":{},\"capabilities\":{}}" },
    { "JSON nested without end", .text = "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[" },
    { "text that is not UTF-8", .text = "{\"\xc0\x80\":1}" },
    { "max_data_xfer_size as text", CAPS("\"max_data_xfer_size\":\"a\"") },
    { "max_data_xfer_size negative", CAPS("\"max_data_xfer_size\":-1") },
    { "max_data_xfer_size enormous", CAPS("\"max_data_xfer_size\":1e300") },
    { "max_data_xfer_size above 64 bits",
      CAPS("\"max_data_xfer_size\":18446744073709551616") },
    { "max_data_xfer_size 0", CAPS("\"max_data_xfer_size\":0") },
    { "max_data_xfer_size with a fraction", CAPS("\"max_data_xfer_size\":4096.5") },
    { "max_data_xfer_size twice",
      CAPS("\"max_data_xfer_size\":4096,\"max_data_xfer_size\":8192") },
    { "max_msg_fds as a boolean", CAPS("\"max_msg_fds\":true") },
    { "max_msg_fds negative", CAPS("\"max_msg_fds\":-1") },
    { "max_dma_maps as a list", CAPS("\"max_dma_maps\":[]") },
    { "pgsizes 0", CAPS("\"pgsizes\":0") },
    { "pgsizes null", CAPS("\"pgsizes\":null") },
    { "write_multiple as a number", CAPS("\"write_multiple\":1") },
    { "sparse_mmap_fds as text", CAPS("\"sparse_mmap_fds\":\"true\"") },
    { "a twin socket that is a boolean", CAPS("\"twin_socket\":true") },
    { "a twin socket that we did not propose",
      TWIN_OF("\"supported\":true,\"fd_index\":0"), .fd = a_good_one, .n_fds = 1 },
    { "a twin socket that we did not propose, without a descriptor",
      TWIN_OF("\"supported\":true") },
    { "a twin socket without fd_index", TWIN_OF("\"supported\":true"),
      WITH(a_good_one, 1) },
    { "a twin socket without a descriptor", TWIN_OF("\"supported\":true,\"fd_index\":0"),
      .twin = true },
    { "fd_index one too high", TWIN_OF("\"supported\":true,\"fd_index\":2"),
      WITH(a_good_one, 2) },
    { "fd_index negative", TWIN_OF("\"supported\":true,\"fd_index\":-1"),
      WITH(a_good_one, 1) },
    { "fd_index 2^32", TWIN_OF("\"supported\":true,\"fd_index\":4294967296"),
      WITH(a_good_one, 1) },
    { "fd_index enormous",
      TWIN_OF("\"supported\":true,\"fd_index\":18446744073709551614"),
      WITH(a_good_one, 1) },
    { "a twin socket that is a file", TWIN_OF("\"supported\":true,\"fd_index\":0"),
      WITH(a_file, 1) },
    { "a twin socket that is an eventfd", TWIN_OF("\"supported\":true,\"fd_index\":0"),
      .n_fds = 1, .twin = true },
    { "a twin socket of datagrams", TWIN_OF("\"supported\":true,\"fd_index\":0"),
      WITH(a_datagram_socket, 1) },
    { "a twin socket of packets", TWIN_OF("\"supported\":true,\"fd_index\":0"),
      WITH(a_packet_socket, 1) },
    { "a twin socket of another family", TWIN_OF("\"supported\":true,\"fd_index\":0"),
      WITH(a_tcp_socket, 1) },
    { "a twin socket that is not connected", TWIN_OF("\"supported\":true,\"fd_index\":0"),
      WITH(an_unconnected_socket, 1) },
    { "a twin socket that listens", TWIN_OF("\"supported\":true,\"fd_index\":0"),
      WITH(a_listening_socket, 1) },
};

#define N_BAD (sizeof(bad) / sizeof(bad[0]))

static void ends_the_connection(void **state)
{
    const struct bad *b = *state;
    int before = vu_test_open_fds();
    struct vfuc_client *c;
    struct script s;

    SKIP_UNLESS_LITTLE_ENDIAN();
    script_init(&s);
    script_say(&s, b->version != NULL ? b->version : "0000 0100")->n_fds = b->n_fds;
    if (b->text != NULL)
        append_text(&s, b->text);
    s.fd = b->fd != NULL ? b->fd() : -1;
    assert_int_equal(open_client(&s, b->twin ? with_twin : no_options, &c), -EPROTO);
    assert_null(c);
    assert_true(s.closed);
    assert_non_null(strstr(said, "the reply to VERSION is broken: "));
    if (s.fd >= 0)
        close(s.fd);
    s.fd = -1;
    script_done(&s);
    assert_int_equal(vu_test_open_fds(), before);
}

/* Features that the caller's own text did not propose. */
static void features_that_were_not_proposed_end_the_connection(void **state)
{
    static const char *const json[] = {
        "{\"capabilities\":{\"write_multiple\":true}}",
        "{\"capabilities\":{\"sparse_mmap_fds\":true}}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(json) / sizeof(json[0]); i++) {
        struct vfuc_client *c;
        struct script s;

        script_init(&s);
        answer(&s, json[i]);
        assert_int_equal(open_client(&s, (struct vfuc_options){ .capabilities = "{}" },
                                     &c), -EPROTO);
        assert_non_null(strstr(said, "enabled, but we did not propose it"));
        assert_true(s.closed);
        script_done(&s);
    }
}

static void minor_version_above_the_one_proposed_ends_the_connection(void **state)
{
    struct vfuc_client *c;
    struct script s;

    (void)state;
    SKIP_UNLESS_LITTLE_ENDIAN();
    script_init(&s);
    script_say(&s, "0000 0100");
    assert_int_equal(open_client(&s, (struct vfuc_options){ .minor = VFUC_MINOR_0 }, &c),
                     -EPROTO);
    assert_true(s.closed);
    script_done(&s);
}

/* ---------------------------------------------------------------------- main -- */

static const struct CMUnitTest named[] = {
    VU_FD_TEST(connect_proposes_version_0_2_our_limits_and_features),
    VU_FD_TEST(twin_socket_is_proposed_when_it_is_wanted),
    VU_FD_TEST(longest_proposal_fits),
    VU_FD_TEST(minor_version_is_what_the_caller_wants),
    VU_FD_TEST(text_of_the_caller_is_proposed_as_it_is),
    VU_FD_TEST(silent_server_gets_the_default_limits),
    VU_FD_TEST(limits_of_the_server_are_kept),
    VU_FD_TEST(features_that_both_have_are_agreed),
    VU_FD_TEST(descriptors_beyond_what_a_message_carries_are_not_counted_on),
    VU_FD_TEST(transfers_stay_below_the_limits_of_both),
    VU_FD_TEST(capabilities_that_mean_nothing_to_us_are_passed_over),
    VU_FD_TEST(failure_to_connect_comes_with_a_sentence),
    VU_FD_TEST(twin_socket_leads_to_the_server),
    VU_FD_TEST(server_may_decline_the_twin_socket),
    VU_FD_TEST(twin_socket_that_found_no_room_is_our_failure),
    VU_FD_TEST(features_that_were_not_proposed_end_the_connection),
    VU_FD_TEST(minor_version_above_the_one_proposed_ends_the_connection),
};

#define N_NAMED (sizeof(named) / sizeof(named[0]))

int main(void)
{
    static char names[N_BAD][100];
    static struct CMUnitTest tests[N_NAMED + N_BAD];

    memcpy(tests, named, sizeof(named));
    for (size_t i = 0; i < N_BAD; i++) {
        snprintf(names[i], sizeof(names[i]), "%s ends the connection", bad[i].name);
        tests[N_NAMED + i] = (struct CMUnitTest){
            .name = names[i], .test_func = ends_the_connection, .initial_state = &bad[i],
        };
    }
    return cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL) != 0;
}
