/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Recordings as lists: which reply answers which command.
 */
#include <errno.h>

#include "tools/steps.h"
#include "wire/tests/support.h"

static struct vu_buffer file;
static struct tool_steps s;
static char why[160];

static int begin(void **state)
{
    (void)state;
    vu_buffer_init(&file, SIZE_MAX);
    return tool_recording_begin(&file);
}

static int end(void **state)
{
    (void)state;
    tool_steps_done(&s);
    vu_buffer_done(&file);
    return 0;
}

static void put(enum tool_record_kind kind, uint32_t session, enum vu_direction direction,
                bool twin, struct vu_bytes bytes)
{
    struct tool_record r = { .kind = kind, .session = session, .direction = direction,
                             .twin = twin, .bytes = bytes };

    assert_int_equal(tool_recording_put(&file, &r), 0);
}

static void put_message(uint32_t session, enum vu_direction direction, bool twin,
                        uint16_t id, uint32_t flags)
{
    uint8_t bytes[VU_HEADER_SIZE];
    struct vu_writer w = vu_writer(bytes, sizeof(bytes));
    struct vu_header h = { .msg_id = id, .command = VU_DEVICE_RESET,
                           .size = VU_HEADER_SIZE, .flags = flags };

    vu_encode_header(&w, &h);
    put(TOOL_RECORD_MESSAGE, session, direction, twin,
        (struct vu_bytes){ bytes, sizeof(bytes) });
}

#define COMMAND(id) put_message(1, VU_TO_SERVER, false, id, 0)
#define REPLY(id)   put_message(1, VU_TO_CLIENT, false, id, VU_F_TYPE_REPLY)

static void load(void)
{
    assert_int_equal(tool_steps_load(&s, file.data, file.len, why, sizeof(why)), 0);
}

static void partners(size_t command, size_t reply)
{
    assert_int_equal(s.steps[command].partner, reply);
    assert_int_equal(s.steps[reply].partner, command);
}

static void alone(size_t step)
{
    assert_true(s.steps[step].partner == TOOL_NO_STEP);
}

static void a_reply_answers_the_command_with_its_id(void **state)
{
    (void)state;
    COMMAND(1);
    COMMAND(2);
    REPLY(2);
    REPLY(1);
    load();
    partners(0, 3);
    partners(1, 2);
}

static void of_equal_ids_the_first_is_answered_first(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        COMMAND(7);
    REPLY(7);
    REPLY(7);
    load();
    partners(0, 3);
    partners(1, 4);
    alone(2);
}

static void a_command_without_an_answer_wanted_gets_none(void **state)
{
    (void)state;
    put_message(1, VU_TO_SERVER, false, 3, VU_F_NO_REPLY);
    REPLY(3);
    load();
    alone(0);
    alone(1);
}

static void directions_and_sockets_are_kept_apart(void **state)
{
    (void)state;
    COMMAND(5);
    put_message(1, VU_TO_CLIENT, false, 5, 0);
    put_message(1, VU_TO_CLIENT, true, 5, 0);
    put_message(1, VU_TO_SERVER, true, 5, VU_F_TYPE_REPLY);
    put_message(1, VU_TO_SERVER, false, 5, VU_F_TYPE_REPLY);
    REPLY(5);
    load();
    partners(0, 5);
    partners(1, 4);
    partners(2, 3);
}

static void a_session_does_not_answer_the_one_before(void **state)
{
    (void)state;
    put(TOOL_RECORD_CONNECT, 1, VU_TO_SERVER, false, (struct vu_bytes){ NULL, 0 });
    COMMAND(1);
    for (int i = 0; i < 3; i++)
        COMMAND(2);
    REPLY(2);
    put(TOOL_RECORD_CONNECT, 2, VU_TO_SERVER, false, (struct vu_bytes){ NULL, 0 });
    put_message(2, VU_TO_CLIENT, false, 1, VU_F_TYPE_REPLY);
    put_message(2, VU_TO_SERVER, false, 2, 0);
    put_message(2, VU_TO_CLIENT, false, 2, VU_F_TYPE_REPLY);
    load();
    alone(1);
    partners(2, 5);
    alone(3);
    alone(4);
    alone(7);
    partners(8, 9);
}

static void long_messages_stay_whole_beside_one_another(void **state)
{
    size_t len = TOOL_RECORDING_PIECE + 100;
    uint8_t *bytes = malloc(2 * len);

    (void)state;
    assert_non_null(bytes);
    memset(bytes, 'a', len);
    memset(bytes + len, 'b', len);
    put(TOOL_RECORD_MESSAGE, 1, VU_TO_SERVER, false, (struct vu_bytes){ bytes, len });
    put(TOOL_RECORD_MESSAGE, 1, VU_TO_SERVER, false, (struct vu_bytes){ bytes + len, len });
    load();
    assert_int_equal(s.n, 2);
    assert_memory_equal(s.steps[0].bytes.data, bytes, len);
    assert_memory_equal(s.steps[1].bytes.data, bytes + len, len);
    free(bytes);
}

static void what_was_whole_is_there_beside_the_error(void **state)
{
    (void)state;
    COMMAND(1);
    REPLY(1);
    file.len -= 4;
    assert_int_equal(tool_steps_load(&s, file.data, file.len, why, sizeof(why)), -EBADMSG);
    assert_int_equal(s.n, 1);
    alone(0);
    assert_non_null(strstr(why, "ends within a block"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

static const struct CMUnitTest tests[] = {
    T(a_reply_answers_the_command_with_its_id),
    T(of_equal_ids_the_first_is_answered_first),
    T(a_command_without_an_answer_wanted_gets_none),
    T(directions_and_sockets_are_kept_apart),
    T(a_session_does_not_answer_the_one_before),
    T(long_messages_stay_whole_beside_one_another),
    T(what_was_whole_is_there_beside_the_error),
};

VU_TEST_MAIN(tests)
