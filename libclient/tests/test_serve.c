/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA requests of a scripted server: what is answered out of which window, and everything
 * that is refused.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "libclient/tests/known.h"
#include "wire/tests/calls.h"

#define MEMORY   0x10000u   /* 0x2000 bytes, lent */
#define FILE_AT  0x12000u   /* 0x1000 bytes, of a file from 0x1000 on; next to MEMORY */
#define HANDLED  0x13000u   /* 0x1000 bytes, by handlers; next to FILE_AT */
#define READ_AT  0x20000u   /* 0x1000 bytes, lent, the device may only read */
#define WRITE_AT 0x30000u   /* 0x1000 bytes, lent, the device may only write */
#define TOP      (UINT64_MAX - 0xfff)   /* 0x1000 bytes, lent */

#define READ  0x0b
#define WRITE 0x0c

struct world {
    struct script s;
    struct vfuc_client *c;
    size_t said;                /* messages that were looked at */
    uint8_t memory[0x2000];
    uint8_t read_only[0x1000];
    uint8_t write_only[0x1000];
    uint8_t top[0x1000];
    uint8_t handled[0x1000];
    int fd;
    int handler_result;
    unsigned reads, writes;     /* calls of handlers */
    uint64_t address;           /* of the latest one */
    size_t count;
};

static int read_handler(void *opaque, uint64_t address, void *data, size_t count)
{
    struct world *w = opaque;

    assert_in_range(address, HANDLED, HANDLED + 0xfff);
    assert_in_range(count, 1, HANDLED + 0x1000 - address);
    w->reads++;
    w->address = address;
    w->count = count;
    if (w->handler_result == 0)
        memcpy(data, w->handled + (address - HANDLED), count);
    return w->handler_result;
}

static int write_handler(void *opaque, uint64_t address, const void *data, size_t count)
{
    struct world *w = opaque;

    assert_in_range(address, HANDLED, HANDLED + 0xfff);
    assert_in_range(count, 1, HANDLED + 0x1000 - address);
    w->writes++;
    w->address = address;
    w->count = count;
    if (w->handler_result == 0)
        memcpy(w->handled + (address - HANDLED), data, count);
    return w->handler_result;
}

static void lend(struct world *w, uint64_t address, void *memory, size_t size,
                 uint32_t flags)
{
    script_say(&w->s, "");
    assert_int_equal(vfuc_dma_map_memory(w->c, address, size, flags, memory, -1, 0), 0);
}

static struct world *begin(void)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    for (size_t i = 0; i < sizeof(w->memory); i++)
        w->memory[i] = (uint8_t)(i * 7 >> 3);
    for (size_t i = 0; i < sizeof(w->handled); i++)
        w->handled[i] = (uint8_t)(i * 5 >> 2);
    memset(w->read_only, 0x11, sizeof(w->read_only));
    memset(w->top, 0x77, sizeof(w->top));
    w->fd = memfd_create("serve", MFD_CLOEXEC);
    assert_int_equal(ftruncate(w->fd, 0x2000), 0);
    assert_int_equal(pwrite(w->fd, "front", 5, 0x1000), 5);
    w->c = known_device(&w->s, NULL);
    lend(w, MEMORY, w->memory, sizeof(w->memory), 3);
    script_say(&w->s, "");
    assert_int_equal(vfuc_dma_map(w->c, FILE_AT, 0x1000, 3, w->fd, 0x1000), 0);
    script_say(&w->s, "");
    assert_int_equal(vfuc_dma_map(w->c, HANDLED, 0x1000, 3, -1, 0), 0);
    lend(w, READ_AT, w->read_only, sizeof(w->read_only), VFUC_DMA_READ);
    lend(w, WRITE_AT, w->write_only, sizeof(w->write_only), VFUC_DMA_WRITE);
    lend(w, TOP, w->top, sizeof(w->top), 3);
    vfuc_set_dma_handlers(w->c, read_handler, write_handler, w);
    w->said = w->s.n_said;
    return w;
}

static void end(struct world *w)
{
    assert_int_equal(w->said, w->s.n_said);
    known_done(&w->s, w->c);
    close(w->fd);
    free(w);
}

/* A request with id 0x4321. len: bytes of data behind the fixed part. */
static struct line *ask(struct world *w, uint8_t command, uint64_t address,
                        uint64_t count, const void *data, size_t len)
{
    struct line *l = script_type(&w->s, "2143 0b00 10000000 00000000 00000000");

    l->h.command = command;
    free(l->body);
    l->body_len = 16 + len;
    l->body = malloc(l->body_len);
    assert_non_null(l->body);
    memcpy(l->body, &address, 8);
    memcpy(l->body + 8, &count, 8);
    if (len > 0)
        memcpy(l->body + 16, data, len);
    l->h.size = (uint32_t)(16 + l->body_len);
    return l;
}

static struct line *ask_read(struct world *w, uint64_t address, uint64_t count)
{
    return ask(w, READ, address, count, NULL, 0);
}

static struct line *ask_write(struct world *w, uint64_t address, const void *data,
                              size_t len)
{
    return ask(w, WRITE, address, len, data, len);
}

/* All that was asked is answered, and this is how. */
static const uint8_t *next_answer(struct world *w, size_t len)
{
    while (vfuc_dispatch(w->c) > 0)
        continue;
    assert_true(w->said < w->s.n_said);
    assert_int_equal(w->s.said[w->said].len, len);
    assert_int_equal(w->s.said[w->said].n_fds, 0);
    return w->s.said[w->said++].bytes;
}

static void assert_header(const uint8_t *at, uint8_t command, size_t len, uint8_t flags,
                          uint32_t error)
{
    struct vu_header h;
    struct vu_reader r = vu_reader(at, VU_HEADER_SIZE);

    assert_int_equal(vu_decode_header(&r, &h), 0);
    assert_int_equal(h.msg_id, 0x4321);
    assert_int_equal(h.command, command);
    assert_int_equal(h.size, len);
    assert_int_equal(h.flags, flags);
    assert_int_equal(h.error, error);
}

static void assert_refused(struct world *w, uint8_t command, int error)
{
    assert_header(next_answer(w, 16), command, 16, 0x21, (uint32_t)error);
}

static void assert_done(struct world *w, uint8_t command, uint64_t address,
                        uint64_t count, const void *data, size_t len)
{
    const uint8_t *at = next_answer(w, 32 + len);

    assert_header(at, command, 32 + len, 0x01, 0);
    assert_memory_equal(at + 16, &address, 8);
    assert_memory_equal(at + 24, &count, 8);
    if (len > 0)
        assert_memory_equal(at + 32, data, len);
}

static void assert_read(struct world *w, uint64_t address, const void *data, size_t len)
{
    ask_read(w, address, len);
    assert_done(w, READ, address, len, data, len);
}

static void assert_written(struct world *w, uint64_t address, const void *data,
                           size_t len)
{
    ask_write(w, address, data, len);
    assert_done(w, WRITE, address, len, NULL, 0);
}

static void assert_read_refused(struct world *w, uint64_t address, uint64_t count,
                                int error)
{
    ask_read(w, address, count);
    assert_refused(w, READ, error);
}

static void assert_write_refused(struct world *w, uint64_t address, const void *data,
                                 size_t len, int error)
{
    ask_write(w, address, data, len);
    assert_refused(w, WRITE, error);
}

/* ------------------------------------------------------------ what is served -- */

static void messages_are_as_the_specification_has_them(void **state)
{
    struct world *w = begin();

    (void)state;
    memcpy(w->memory + 4, "\1\2\3\4", 4);
    script_type(&w->s, "0900 0b00 20000000 00000000 00000000"
                "0400010000000000 0400000000000000");
    script_type(&w->s, "0a00 0c00 23000000 00000000 00000000"
                "0500010000000000 0300000000000000 aabbcc");
    assert_int_equal(vfuc_dispatch(w->c), 2);
    script_heard(&w->s, w->said++, "0900 0b00 24000000 01000000 00000000"
                 "0400010000000000 0400000000000000 01020304", 0);
    script_heard(&w->s, w->said++, "0a00 0c00 20000000 01000000 00000000"
                 "0500010000000000 0300000000000000", 0);
    assert_memory_equal(w->memory + 4, "\1\xaa\xbb\xcc", 4);
    end(w);
}

static void lent_memory_is_read_and_written(void **state)
{
    struct world *w = begin();

    (void)state;
    assert_read(w, MEMORY, w->memory, sizeof(w->memory));
    assert_read(w, MEMORY + 0x1fff, w->memory + 0x1fff, 1);
    assert_written(w, MEMORY + 0xffe, "hallo", 5);
    assert_memory_equal(w->memory + 0xffe, "hallo", 5);
    assert_read(w, READ_AT + 5, w->read_only, 100);
    assert_written(w, WRITE_AT, "hallo", 5);
    assert_memory_equal(w->write_only, "hallo", 5);
    end(w);
}

static void lent_memory_is_sent_from_where_it_lies(void **state)
{
    struct world *w = begin();

    (void)state;
    assert_read(w, MEMORY, w->memory, sizeof(w->memory));
    assert_null(w->c->main.scratch);
    assert_read(w, MEMORY + 0x1000, w->memory + 0x1000, 0x1000);
    assert_null(w->c->main.scratch);
    end(w);
}

static void file_is_read_and_written_at_the_windows_offset(void **state)
{
    struct world *w = begin();
    char back[5];

    (void)state;
    assert_read(w, FILE_AT, "front", 5);
    assert_written(w, FILE_AT + 0xffb, "hallo", 5);
    assert_int_equal(pread(w->fd, back, 5, 0x1ffb), 5);
    assert_memory_equal(back, "hallo", 5);
    assert_read(w, FILE_AT + 0xffb, "hallo", 5);
    end(w);
}

/* The caller's descriptor was lent for the call. */
static void file_is_used_after_the_caller_has_closed_it(void **state)
{
    struct world *w = begin();

    (void)state;
    close(w->fd);
    w->fd = eventfd(0, EFD_CLOEXEC);    /* likely the same number */
    assert_read(w, FILE_AT, "front", 5);
    end(w);
}

static void handlers_get_address_and_length(void **state)
{
    struct world *w = begin();

    (void)state;
    assert_read(w, HANDLED + 0x10, w->handled + 0x10, 0x20);
    assert_int_equal(w->reads, 1);
    assert_int_equal(w->address, HANDLED + 0x10);
    assert_int_equal(w->count, 0x20);
    assert_written(w, HANDLED + 0xffe, "xy", 2);
    assert_int_equal(w->writes, 1);
    assert_int_equal(w->address, HANDLED + 0xffe);
    assert_int_equal(w->count, 2);
    assert_memory_equal(w->handled + 0xffe, "xy", 2);
    end(w);
}

static int idle_handler(void *opaque, uint64_t address, void *data, size_t count)
{
    (void)opaque;
    (void)address;
    (void)data;
    (void)count;
    return 0;
}

/* And not what an earlier request, or somebody else's heap, has left there. */
static void what_a_handler_leaves_out_is_zeros(void **state)
{
    static const uint8_t zeros[0x40];
    struct world *w = begin();

    (void)state;
    assert_read(w, HANDLED + 0x10, w->handled + 0x10, 0x40);
    vfuc_set_dma_handlers(w->c, idle_handler, NULL, w);
    assert_read(w, HANDLED + 0x10, zeros, 0x40);
    end(w);
}

static void range_may_go_over_adjacent_windows(void **state)
{
    struct world *w = begin();
    uint8_t expected[0x1000 + 8], *big = malloc(0x1000 + 8);

    (void)state;
    memset(expected, 0, sizeof(expected));
    memcpy(expected, w->memory + 0x1ffc, 4);
    memcpy(expected + 4, "front", 5);
    memcpy(expected + 4 + 0x1000, w->handled, 4);
    assert_read(w, FILE_AT - 4, expected, sizeof(expected));
    assert_int_equal(w->address, HANDLED);
    assert_int_equal(w->count, 4);

    for (size_t i = 0; i < sizeof(expected); i++)
        big[i] = (uint8_t)(i * 3 >> 1);
    assert_written(w, FILE_AT - 4, big, sizeof(expected));
    assert_memory_equal(w->memory + 0x1ffc, big, 4);
    assert_int_equal(pread(w->fd, expected, 0x1000, 0x1000), 0x1000);
    assert_memory_equal(expected, big + 4, 0x1000);
    assert_memory_equal(w->handled, big + 4 + 0x1000, 4);
    free(big);
    end(w);
}

static void window_may_end_at_the_end_of_all_addresses(void **state)
{
    struct world *w = begin();

    (void)state;
    assert_read(w, TOP, w->top, 0x1000);
    assert_read(w, UINT64_MAX, w->top + 0xfff, 1);
    assert_written(w, UINT64_MAX - 1, "ab", 2);
    assert_memory_equal(w->top + 0xffe, "ab", 2);
    end(w);
}

static void nothing_is_read_and_written_anywhere(void **state)
{
    struct world *w = begin();

    (void)state;
    assert_read(w, MEMORY, NULL, 0);
    assert_read(w, 0x999999, NULL, 0);
    assert_written(w, MEMORY, NULL, 0);
    assert_written(w, UINT64_MAX, NULL, 0);
    assert_read(w, WRITE_AT, NULL, 0);
    end(w);
}

static void bytes_behind_the_request_are_ignored(void **state)
{
    struct world *w = begin();

    (void)state;
    ask(w, READ, MEMORY, 4, "padding", 7);
    assert_done(w, READ, MEMORY, 4, w->memory, 4);
    ask(w, WRITE, MEMORY, 4, "wordXXX", 7);
    assert_done(w, WRITE, MEMORY, 4, NULL, 0);
    assert_memory_equal(w->memory, "word", 4);
    assert_int_not_equal(w->memory[4], 'X');
    end(w);
}

static void write_that_wants_no_reply_is_done_in_silence(void **state)
{
    struct world *w = begin();

    (void)state;
    ask_write(w, MEMORY, "quiet", 5)->h.flags = VU_F_NO_REPLY;
    assert_int_equal(vfuc_dispatch(w->c), 1);
    assert_memory_equal(w->memory, "quiet", 5);
    assert_int_equal(w->said, w->s.n_said);
    end(w);
}

static void nothing_that_wants_no_reply_gets_one(void **state)
{
    struct world *w = begin();

    (void)state;
    ask_read(w, MEMORY, 4)->h.flags = VU_F_NO_REPLY;
    ask_read(w, HANDLED, 4)->h.flags = VU_F_NO_REPLY;
    ask_read(w, 0x999999, 4)->h.flags = VU_F_NO_REPLY;
    ask_write(w, READ_AT, "x", 1)->h.flags = VU_F_NO_REPLY;
    script_type(&w->s, "0000 6300 10000000 10000000 00000000");
    assert_int_equal(vfuc_dispatch(w->c), 5);
    assert_int_equal(w->said, w->s.n_said);
    end(w);
}

static void as_much_as_was_proposed_is_read_at_once(void **state)
{
    struct world *w = begin();

    (void)state;
    w->c->options.max_data_xfer_size = 0x800;
    assert_read(w, MEMORY, w->memory, 0x800);
    assert_written(w, MEMORY + 0x1000, w->memory, 0x800);
    assert_memory_equal(w->memory + 0x1000, w->memory, 0x800);
    end(w);
}

/* --------------------------------------------------------------- when it comes -- */

static void window_is_served_before_the_reply_to_its_mapping(void **state)
{
    struct world *w = begin();
    uint8_t early[16] = "early";

    (void)state;
    ask_read(w, 0x50000, 5);
    script_say(&w->s, "");
    assert_int_equal(vfuc_dma_map_memory(w->c, 0x50000, 16, 3, early, -1, 0), 0);
    w->said++;      /* the DMA_MAP */
    assert_done(w, READ, 0x50000, 5, "early", 5);
    end(w);
}

static void window_that_was_refused_is_not_served_afterwards(void **state)
{
    struct world *w = begin();
    uint8_t early[16] = "early";

    (void)state;
    script_refuse(&w->s, EINVAL);
    assert_int_equal(vfuc_dma_map_memory(w->c, 0x50000, 16, 3, early, -1, 0),
                     -EREMOTEIO);
    w->said++;
    assert_read_refused(w, 0x50000, 5, EFAULT);
    end(w);
}

static void window_is_served_until_the_reply_to_its_unmapping(void **state)
{
    struct world *w = begin();

    (void)state;
    ask_write(w, MEMORY, "late!", 5);
    script_say(&w->s, "18000000 00000000 0000010000000000 0020000000000000");
    assert_int_equal(vfuc_dma_unmap(w->c, MEMORY, 0x2000), 0);
    w->said++;      /* the DMA_UNMAP */
    assert_done(w, WRITE, MEMORY, 5, NULL, 0);
    assert_memory_equal(w->memory, "late!", 5);
    assert_write_refused(w, MEMORY, "later", 5, EFAULT);
    assert_memory_equal(w->memory, "late!", 5);
    end(w);
}

static void window_whose_unmapping_was_submitted_is_refused(void **state)
{
    struct world *w = begin();
    struct vfuc_completion done;

    (void)state;
    assert_int_equal(vfuc_submit_dma_unmap(w->c, MEMORY, 0x2000, 1), 0);
    w->said++;
    assert_read_refused(w, MEMORY, 5, EFAULT);
    assert_read_refused(w, MEMORY + 0x1fff, 5, EFAULT);
    assert_read(w, FILE_AT, "front", 5);
    w->s.latest.command = 3;
    script_refuse(&w->s, EBUSY);
    assert_int_equal(vfuc_complete(w->c, &done, 1), 1);
    assert_int_equal(done.result, -EREMOTEIO);
    assert_read(w, MEMORY, w->memory, 5);
    end(w);
}

static void requests_come_while_a_call_waits(void **state)
{
    struct world *w = begin();

    (void)state;
    ask_write(w, MEMORY, "while", 5);
    ask_read(w, HANDLED, 4);
    script_say(&w->s, "");
    assert_int_equal(vfuc_reset(w->c), 0);
    w->said++;      /* the DEVICE_RESET */
    assert_done(w, WRITE, MEMORY, 5, NULL, 0);
    assert_done(w, READ, HANDLED, 4, w->handled, 4);
    assert_memory_equal(w->memory, "while", 5);
    end(w);
}

/* ---------------------------------------------------------- what is refused -- */

static void address_without_a_window_is_a_fault(void **state)
{
    struct world *w = begin();

    (void)state;
    assert_read_refused(w, 0, 1, EFAULT);
    assert_read_refused(w, MEMORY - 1, 1, EFAULT);
    assert_read_refused(w, HANDLED + 0x1000, 1, EFAULT);
    assert_write_refused(w, 0x999999, "x", 1, EFAULT);
    end(w);
}

static void range_with_a_hole_is_a_fault_and_writes_nothing(void **state)
{
    struct world *w = begin();
    uint8_t zeros[8] = { 0 };

    (void)state;
    assert_read_refused(w, MEMORY - 1, 2, EFAULT);
    assert_read_refused(w, HANDLED + 0xfff, 2, EFAULT);
    assert_int_equal(w->reads, 0);
    assert_write_refused(w, WRITE_AT + 0xffc, "12345678", 8, EFAULT);
    assert_memory_equal(w->write_only + 0xffc, zeros, 4);
    end(w);
}

static void range_that_wraps_around_is_invalid(void **state)
{
    struct world *w = begin();

    (void)state;
    assert_read_refused(w, UINT64_MAX, 2, EINVAL);
    assert_read_refused(w, TOP, 0x1001, EINVAL);
    assert_write_refused(w, UINT64_MAX, "xy", 2, EINVAL);
    assert_int_equal(w->top[0xfff], 0x77);
    end(w);
}

static void more_than_was_proposed_is_too_big(void **state)
{
    struct world *w = begin();

    (void)state;
    w->c->options.max_data_xfer_size = 0x800;
    assert_read_refused(w, MEMORY, 0x801, E2BIG);
    assert_read_refused(w, MEMORY, UINT64_MAX, E2BIG);
    assert_write_refused(w, MEMORY, w->memory, 0x801, E2BIG);
    ask(w, WRITE, MEMORY, UINT64_MAX, NULL, 0);
    assert_refused(w, WRITE, E2BIG);
    ask(w, WRITE, MEMORY, (UINT64_C(1) << 32) + 4, "abcd", 4);
    assert_refused(w, WRITE, E2BIG);
    end(w);
}

static void request_cut_at_any_length_is_invalid(void **state)
{
    struct world *w = begin();

    (void)state;
    for (size_t len = 0; len < 16; len++) {
        struct line *l = ask_read(w, MEMORY, 0);

        l->body = realloc(l->body, len + 1);
        l->body_len = len;
        assert_refused(w, READ, EINVAL);
    }
    end(w);
}

static void write_cut_at_any_length_is_invalid_and_not_done(void **state)
{
    struct world *w = begin();
    uint8_t before[4];

    (void)state;
    memcpy(before, w->memory, 4);
    for (size_t len = 0; len < 20; len++) {
        struct line *l = ask_write(w, MEMORY, "ABCD", 4);

        l->body_len = len;
        assert_refused(w, WRITE, EINVAL);
    }
    assert_memory_equal(w->memory, before, 4);
    end(w);
}

static void direction_that_the_window_does_not_allow_is_refused(void **state)
{
    struct world *w = begin();

    (void)state;
    assert_write_refused(w, READ_AT, "x", 1, EPERM);
    assert_int_equal(w->read_only[0], 0x11);
    assert_read_refused(w, WRITE_AT, 1, EPERM);
    end(w);
}

static void one_window_of_a_range_is_enough_to_refuse_it(void **state)
{
    struct world *w = begin();
    uint8_t more[16] = "";

    (void)state;
    lend(w, WRITE_AT + 0x1000, more, sizeof(more), VFUC_DMA_READ);
    w->said++;
    assert_write_refused(w, WRITE_AT + 0xffe, "1234", 4, EPERM);
    assert_int_equal(w->write_only[0xffe], 0);
    assert_int_equal(more[0], 0);
    assert_read_refused(w, WRITE_AT + 0xffe, 4, EPERM);
    end(w);
}

static void window_without_any_permission_is_refused(void **state)
{
    struct world *w = begin();
    uint8_t none[16] = "";

    (void)state;
    lend(w, 0x50000, none, sizeof(none), 0);
    w->said++;
    assert_read_refused(w, 0x50000, 1, EPERM);
    assert_write_refused(w, 0x50000, "x", 1, EPERM);
    end(w);
}

static void descriptors_with_a_request_are_invalid_and_closed(void **state)
{
    struct world *w = begin();
    int before = vu_test_open_fds();

    (void)state;
    ask_read(w, MEMORY, 4)->n_fds = 1;
    assert_refused(w, READ, EINVAL);
    ask_write(w, MEMORY, "word", 4)->n_fds = 16;
    assert_refused(w, WRITE, EINVAL);
    ask_read(w, MEMORY, 4)->fds_lost = true;
    assert_refused(w, READ, EINVAL);
    assert_memory_not_equal(w->memory, "word", 4);
    assert_int_equal(vu_test_open_fds(), before);
    end(w);
}

static void every_other_command_is_not_supported(void **state)
{
    struct world *w = begin();

    (void)state;
    for (unsigned command = 0; command < 22; command++) {
        if (command == READ || command == WRITE)
            continue;
        ask(w, (uint8_t)command, MEMORY, 4, "word", 4)->n_fds = 1;
        assert_refused(w, (uint8_t)command, ENOTSUP);
    }
    end(w);
}

/* A command is a command by its Type, whatever else is in its flags. */
static void error_bit_in_a_request_means_nothing(void **state)
{
    struct world *w = begin();

    (void)state;
    ask_read(w, MEMORY, 4)->h.flags = VU_F_ERROR;
    assert_done(w, READ, MEMORY, 4, w->memory, 4);
    ask_read(w, MEMORY, 4)->h.flags = 0xffffff00;
    assert_done(w, READ, MEMORY, 4, w->memory, 4);
    end(w);
}

static void windows_without_handlers_are_refused(void **state)
{
    struct world *w = begin();

    (void)state;
    vfuc_set_dma_handlers(w->c, NULL, write_handler, w);
    assert_read_refused(w, HANDLED, 4, ENODEV);
    assert_written(w, HANDLED, "word", 4);
    vfuc_set_dma_handlers(w->c, read_handler, NULL, w);
    assert_write_refused(w, HANDLED, "WORD", 4, ENODEV);
    assert_read(w, HANDLED, "word", 4);
    end(w);
}

static void errors_of_handlers_reach_the_server(void **state)
{
    static const struct {
        int result, error;
    } cases[] = { { -EIO, EIO }, { -EACCES, EACCES }, { -EBADMSG, EINVAL }, { 1, EIO },
                  { INT32_MIN, EIO } };
    struct world *w = begin();

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        w->handler_result = cases[i].result;
        assert_read_refused(w, HANDLED, 4, cases[i].error);
        assert_write_refused(w, HANDLED, "word", 4, cases[i].error);
    }
    assert_int_equal(w->reads, 5);
    assert_int_equal(w->writes, 5);
    end(w);
}

static void file_that_is_too_short_is_a_fault_and_does_not_grow(void **state)
{
    struct world *w = begin();
    struct stat st;

    (void)state;
    assert_int_equal(ftruncate(w->fd, 0x1804), 0);
    assert_read_refused(w, FILE_AT + 0x800, 8, EFAULT);
    assert_write_refused(w, FILE_AT + 0x800, "12345678", 8, EFAULT);
    assert_written(w, FILE_AT + 0x800, "1234", 4);
    assert_read(w, FILE_AT + 0x800, "1234", 4);
    assert_int_equal(ftruncate(w->fd, 0), 0);
    assert_read_refused(w, FILE_AT, 1, EFAULT);
    assert_write_refused(w, FILE_AT, "x", 1, EFAULT);
    assert_int_equal(fstat(w->fd, &st), 0);
    assert_int_equal(st.st_size, 0);
    end(w);
}

static void file_that_was_not_opened_for_it_is_refused(void **state)
{
    struct world *w = begin();
    char path[64];
    int fd;

    (void)state;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", w->fd);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    script_say(&w->s, "");
    assert_int_equal(vfuc_dma_map(w->c, 0x50000, 0x1000, 3, fd, 0x1000), 0);
    close(fd);
    w->said++;
    assert_read(w, 0x50000, "front", 5);
    assert_write_refused(w, 0x50000, "x", 1, EACCES);
    end(w);
}

static void main_socket_is_not_for_requests_when_there_is_a_twin(void **state)
{
    struct world *w = begin();

    (void)state;
    w->c->limits.twin_socket = true;
    assert_read_refused(w, MEMORY, 4, EINVAL);
    assert_write_refused(w, MEMORY, "word", 4, EINVAL);
    ask(w, 1, 0, 0, NULL, 0);
    assert_refused(w, 1, ENOTSUP);
    end(w);
}

static void write_without_room_for_its_dirty_bit_is_not_done(void **state)
{
    struct world *w = begin();

    (void)state;
    w->c->windows.written.on = w->c->windows.written.everything = true;
    w->c->windows.written.bytes = VUC_WRITTEN_MAX;
    assert_write_refused(w, WRITE_AT, "word", 4, ENOMEM);
    assert_int_equal(w->write_only[0], 0);
    w->c->windows.written.bytes = 0;
    assert_written(w, WRITE_AT, "word", 4);
    end(w);
}

/* The script's own allocation for the request comes first. */
static void answer_without_memory_is_a_refusal(void **state)
{
    struct world *w = begin();

    (void)state;
    ask_read(w, FILE_AT, 5);
    calls_reset();
    calls.malloc_fails_at = 2;
    calls.malloc_fails_once = true;
    assert_int_equal(vfuc_dispatch(w->c), 1);
    calls_reset();
    assert_refused(w, READ, ENOMEM);
    assert_read(w, FILE_AT, "front", 5);
    w->c->windows.written.on = w->c->windows.written.everything = true;
    ask_write(w, WRITE_AT, "word", 4);
    calls_reset();
    calls.malloc_fails_at = 2;      /* the dirty bits */
    calls.malloc_fails_once = true;
    assert_int_equal(vfuc_dispatch(w->c), 1);
    calls_reset();
    assert_refused(w, WRITE, ENOMEM);
    assert_int_equal(w->write_only[0], 0);
    assert_written(w, WRITE_AT, "word", 4);
    end(w);
}

/* ----------------------------------------------------------------- callbacks -- */

/* Every call that could wait, or would look at windows, from within a handler. */
static int calling_handler(void *opaque, uint64_t address, void *data, size_t count)
{
    struct world *w = opaque;
    struct vfuc_completion done;
    struct vfuc_dirty *dirty;
    void *addr;
    uint8_t byte = 0;

    memset(data, 0, count);
    w->address = address;
    assert_int_equal(vfuc_reset(w->c), -EBUSY);
    assert_int_equal(vfuc_dispatch(w->c), -EBUSY);
    assert_int_equal(vfuc_region_read(w->c, 0, 0, &byte, 1), -EBUSY);
    assert_int_equal(vfuc_region_map(w->c, 0, 0, 0x1000, 1, &addr), -EBUSY);
    assert_int_equal(vfuc_region_unmap(w->c, data), -EBUSY);
    assert_int_equal(vfuc_dma_map(w->c, 0x50000, 1, 3, -1, 0), -EBUSY);
    assert_int_equal(vfuc_dma_map_memory(w->c, 0x50000, 1, 3, &byte, -1, 0), -EBUSY);
    assert_int_equal(vfuc_submit_dma_map(w->c, 0x50000, 1, 3, -1, 0, 1), -EBUSY);
    assert_int_equal(vfuc_dma_unmap(w->c, MEMORY, 0x2000), -EBUSY);
    assert_int_equal(vfuc_submit_dma_unmap(w->c, MEMORY, 0x2000, 1), -EBUSY);
    assert_int_equal(vfuc_dma_unmap_all(w->c), -EBUSY);
    assert_int_equal(vfuc_dma_unmap_dirty(w->c, MEMORY, 0x2000, 4096, &dirty), -EBUSY);
    assert_int_equal(vfuc_dma_logging_start(w->c, 4096, NULL, 0, NULL), -EBUSY);
    assert_int_equal(vfuc_dma_logging_stop(w->c), -EBUSY);
    assert_int_equal(vfuc_dma_logging_report(w->c, MEMORY, 0x2000, 4096, &dirty), -EBUSY);
    assert_int_equal(vfuc_complete(w->c, &done, 1), -EBUSY);
    return 0;
}

static void handler_that_calls_the_client_is_told_so(void **state)
{
    struct world *w = begin();
    const struct vfuc_region *region;

    (void)state;
    script_say(&w->s, SAY_REGION0);
    assert_int_equal(vfuc_region_info(w->c, 0, &region), 0);
    w->said++;
    vfuc_set_dma_handlers(w->c, calling_handler, NULL, w);
    w->address = 0;
    ask_read(w, HANDLED, 4);
    assert_done(w, READ, HANDLED, 4, "\0\0\0\0", 4);
    assert_int_equal(w->address, HANDLED);
    assert_int_equal(w->c->windows.count, 6);
    assert_int_equal(vfuc_pending(w->c), 0);
    end(w);
}

/* --------------------------------------------------------------------- links -- */

static void server_that_hung_up_is_found_by_reading(void **state)
{
    struct world *w = begin();

    (void)state;
    ask_write(w, MEMORY, "last!", 5);
    script_fail(&w->s, 0);
    w->s.send_result = -EPIPE;
    assert_int_equal(vfuc_dispatch(w->c), -ENOTCONN);
    assert_memory_equal(w->memory, "last!", 5);
    assert_true(w->s.closed);
    end(w);
}

static void answer_that_finds_no_room_ends_the_connection(void **state)
{
    struct world *w = begin();

    (void)state;
    ask_read(w, MEMORY, 4);
    w->s.send_result = -ENOBUFS;
    assert_true(vfuc_dispatch(w->c) < 0);
    assert_true(w->s.closed);
    end(w);
}

static const struct CMUnitTest tests[] = {
    VU_FD_TEST(messages_are_as_the_specification_has_them),
    VU_FD_TEST(lent_memory_is_read_and_written),
    VU_FD_TEST(lent_memory_is_sent_from_where_it_lies),
    VU_FD_TEST(file_is_read_and_written_at_the_windows_offset),
    VU_FD_TEST(file_is_used_after_the_caller_has_closed_it),
    VU_FD_TEST(handlers_get_address_and_length),
    VU_FD_TEST(what_a_handler_leaves_out_is_zeros),
    VU_FD_TEST(range_may_go_over_adjacent_windows),
    VU_FD_TEST(window_may_end_at_the_end_of_all_addresses),
    VU_FD_TEST(nothing_is_read_and_written_anywhere),
    VU_FD_TEST(bytes_behind_the_request_are_ignored),
    VU_FD_TEST(write_that_wants_no_reply_is_done_in_silence),
    VU_FD_TEST(nothing_that_wants_no_reply_gets_one),
    VU_FD_TEST(as_much_as_was_proposed_is_read_at_once),
    VU_FD_TEST(window_is_served_before_the_reply_to_its_mapping),
    VU_FD_TEST(window_that_was_refused_is_not_served_afterwards),
    VU_FD_TEST(window_is_served_until_the_reply_to_its_unmapping),
    VU_FD_TEST(window_whose_unmapping_was_submitted_is_refused),
    VU_FD_TEST(requests_come_while_a_call_waits),
    VU_FD_TEST(address_without_a_window_is_a_fault),
    VU_FD_TEST(range_with_a_hole_is_a_fault_and_writes_nothing),
    VU_FD_TEST(range_that_wraps_around_is_invalid),
    VU_FD_TEST(more_than_was_proposed_is_too_big),
    VU_FD_TEST(request_cut_at_any_length_is_invalid),
    VU_FD_TEST(write_cut_at_any_length_is_invalid_and_not_done),
    VU_FD_TEST(direction_that_the_window_does_not_allow_is_refused),
    VU_FD_TEST(one_window_of_a_range_is_enough_to_refuse_it),
    VU_FD_TEST(window_without_any_permission_is_refused),
    VU_FD_TEST(descriptors_with_a_request_are_invalid_and_closed),
    VU_FD_TEST(every_other_command_is_not_supported),
    VU_FD_TEST(error_bit_in_a_request_means_nothing),
    VU_FD_TEST(windows_without_handlers_are_refused),
    VU_FD_TEST(errors_of_handlers_reach_the_server),
    VU_FD_TEST(file_that_is_too_short_is_a_fault_and_does_not_grow),
    VU_FD_TEST(file_that_was_not_opened_for_it_is_refused),
    VU_FD_TEST(main_socket_is_not_for_requests_when_there_is_a_twin),
    VU_FD_TEST(write_without_room_for_its_dirty_bit_is_not_done),
    VU_FD_TEST(answer_without_memory_is_a_refusal),
    VU_FD_TEST(handler_that_calls_the_client_is_told_so),
    VU_FD_TEST(server_that_hung_up_is_found_by_reading),
    VU_FD_TEST(answer_that_finds_no_room_ends_the_connection),
};

VU_TEST_MAIN(tests)
