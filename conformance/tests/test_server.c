/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Starting and ending a server: command lines, output, ends of every kind, and nothing
 * left behind. The servers here are shell commands; nobody connects.
 */
#include "wire/tests/support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "conformance/server.h"

static void words(const char *command, size_t n, const char *const *wanted)
{
    char why[128] = "";
    char **argv = ct_split_command(command, why, sizeof(why));

    if (argv == NULL) {
        fail_msg("%s: %s", command, why);
        return;
    }
    for (size_t i = 0; i < n; i++)
        assert_string_equal(argv[i], wanted[i]);
    assert_null(argv[n]);
    free(argv);
}

static void commands_are_split_like_a_shell_does(void **state)
{
    (void)state;
    words("a", 1, (const char *[]){ "a" });
    words("  a\tb\n c ", 3, (const char *[]){ "a", "b", "c" });
    words("a 'b c' \"d 'e'\" f\\ g", 4, (const char *[]){ "a", "b c", "d 'e'", "f g" });
    words("a '' b\"\"c", 3, (const char *[]){ "a", "", "bc" });
    words("'\\' \"\\\"\" \\\\", 3, (const char *[]){ "\\", "\"", "\\" });
    words("$HOME *", 2, (const char *[]){ "$HOME", "*" });
    words("a b c d e f g h i j", 10,
          (const char *[]){ "a", "b", "c", "d", "e", "f", "g", "h", "i", "j" });
}

static void broken_commands_are_refused(void **state)
{
    char why[128] = "";

    (void)state;
    assert_null(ct_split_command("", why, sizeof(why)));
    assert_string_equal(why, "the command is empty");
    assert_null(ct_split_command("  \t", why, sizeof(why)));
    assert_null(ct_split_command("a 'b", why, sizeof(why)));
    assert_string_equal(why, "a quote is not closed");
    assert_null(ct_split_command("a \"b", why, sizeof(why)));
}

static void start(struct ct_server *s, const char *command)
{
    char why[256] = "";

    if (ct_server_init(s, command, why, sizeof(why)) != 0 ||
        ct_server_start(s, why, sizeof(why)) != 0)
        fail_msg("%s", why);
}

/* Ends it, releases it, and checks that its directory has gone with it. */
static void finish(struct ct_server *s)
{
    char dir[sizeof(s->dir)];

    memcpy(dir, s->dir, sizeof(dir));
    ct_server_done(s);
    assert_int_equal(access(dir, F_OK), -1);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void the_socket_is_named_wherever_the_command_says_so(void **state)
{
    struct ct_server s;
    char wanted[256];

    (void)state;
    start(&s, "sh -c 'echo $0 $1' --path={socket}: {socket}");
    assert_true(ct_server_wait_end(&s, 5000));
    ct_server_stop(&s);
    snprintf(wanted, sizeof(wanted), "--path=%s: %s\n", s.socket_path, s.socket_path);
    assert_string_equal(s.tail, wanted);
    finish(&s);
}

static void a_command_without_socket_is_refused(void **state)
{
    struct ct_server s;
    char why[256] = "";

    (void)state;
    assert_int_equal(ct_server_init(&s, "true", why, sizeof(why)), -EINVAL);
    assert_non_null(strstr(why, "{socket}"));
    assert_int_equal(s.dir[0], '\0');
}

static void a_program_that_cannot_be_run_is_an_error(void **state)
{
    struct ct_server s;
    char why[256] = "";

    (void)state;
    assert_int_equal(ct_server_init(&s, "/no/such/program {socket}", why, sizeof(why)),
                     0);
    assert_int_equal(ct_server_start(&s, why, sizeof(why)), -ENOENT);
    assert_string_equal(why, "cannot start /no/such/program: No such file or directory");
    assert_false(ct_server_running(&s));
    finish(&s);
}

static void ends_with(const char *command, const char *text, int sig)
{
    struct ct_server s;
    char got[64];

    start(&s, command);
    assert_true(ct_server_wait_end(&s, 5000));
    ct_server_stop(&s);
    ct_status_text(s.status, got, sizeof(got));
    assert_string_equal(got, text);
    assert_int_equal(ct_status_signal(s.status), sig);
    assert_false(s.forced);
    finish(&s);
}

static void every_end_has_a_text(void **state)
{
    (void)state;
    ends_with("sh -c 'exit 0' {socket}", "exited 0", 0);
    ends_with("sh -c 'exit 3' {socket}", "exited 3", 0);
    ends_with("sh -c 'exit 128' {socket}", "exited 128", 0);
    ends_with("sh -c 'exit 139' {socket}", "exited 139 (SIGSEGV)", SIGSEGV);
    ends_with("sh -c 'exit 255' {socket}", "exited 255", 0);
    ends_with("sh -c 'kill -SEGV $$' {socket}", "killed by SIGSEGV", SIGSEGV);
}

static void a_server_ends_on_sigterm(void **state)
{
    struct ct_server s;

    (void)state;
    start(&s, "sh -c 'exec sleep 60' {socket}");
    assert_false(ct_server_poll_end(&s));
    ct_server_stop(&s);
    assert_int_equal(ct_status_signal(s.status), SIGTERM);
    assert_false(s.forced);
    finish(&s);
}

static void its_children_end_with_it(void **state)
{
    struct ct_server s;
    int pid;

    (void)state;
    start(&s, "sh -c 'trap \"\" TERM; sleep 60 & echo $!; exit 0' {socket}");
    assert_true(ct_server_wait_end(&s, 5000));
    ct_server_stop(&s);
    pid = (int)strtol(s.tail, NULL, 10);
    assert_true(pid > 1);
    for (int i = 0; i < 5000 && kill(pid, 0) == 0; i++)
        usleep(1000); /* whoever inherits it reaps it */
    assert_int_equal(kill(pid, 0), -1);
    finish(&s);
}

static void wait_for_output(struct ct_server *s, const char *text)
{
    for (int i = 0; i < 5000 && strstr(s->tail, text) == NULL; i++) {
        usleep(1000);
        ct_server_read_log(s);
    }
    assert_non_null(strstr(s->tail, text));
}

static void a_server_within_a_shell_gets_to_its_end(void **state)
{
    struct ct_server s;

    (void)state;
    start(&s, "sh -c 'sh -c \"trap \\\"sleep 0.2; echo bye; exit 0\\\" TERM; echo up; "
              "while :; do sleep 0.02; done\"; exit 3' {socket}");
    wait_for_output(&s, "up\n");
    ct_server_stop(&s);
    assert_non_null(strstr(s.tail, "bye\n"));
    assert_false(s.forced);
    finish(&s);
}

static void what_leaves_its_session_ends_with_it(void **state)
{
    struct ct_server s;
    int pid;

    (void)state;
    start(&s, "sh -c 'setsid sh -c \"echo \\$\\$ up; exec sleep 60\" & exit 0' {socket}");
    wait_for_output(&s, " up\n");
    assert_true(ct_server_wait_end(&s, 5000));
    for (int i = 0; i < 5000 && !ct_server_left_others(&s); i++)
        usleep(1000);
    assert_true(ct_server_left_others(&s));
    ct_server_stop(&s);
    pid = (int)strtol(s.tail, NULL, 10);
    assert_true(pid > 1);
    assert_int_equal(kill(pid, 0), -1);
    finish(&s);
}

static void output_is_kept_from_its_end(void **state)
{
    struct ct_server s;
    const char *line;

    (void)state;
    start(
        &s,
        "sh -c 'i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done' {socket}");
    assert_true(ct_server_wait_end(&s, 20000));
    ct_server_stop(&s);
    assert_int_equal(s.tail_len, CT_LOG_TAIL - 1);
    assert_string_equal(s.tail + s.tail_len - 10, "line 2999\n");
    line = strchr(s.tail, '\n') + 1;
    for (long i = strtol(line + 5, NULL, 10); i < 3000;
         i++, line = strchr(line, '\n') + 1)
        assert_int_equal(strtol(line + 5, NULL, 10), i);
    assert_int_equal(*line, '\0');
    assert_int_equal(s.report[0], '\0');
    finish(&s);
}

static void reports(const char *line, bool wanted)
{
    struct ct_server s;
    char command[512];

    snprintf(command, sizeof(command),
             "sh -c 'echo fine; printf %%s \"%s\"; exit 1' {socket}", line);
    start(&s, command);
    assert_true(ct_server_wait_end(&s, 5000));
    ct_server_stop(&s);
    if (wanted)
        assert_string_equal(s.report, line);
    else
        assert_string_equal(s.report, "");
    finish(&s);
}

static void reports_of_sanitizers_are_seen(void **state)
{
    (void)state;
    reports("==1==ERROR: AddressSanitizer: stack-overflow", true);
    reports("==1==ERROR: LeakSanitizer: detected memory leaks", true);
    reports("WARNING: ThreadSanitizer: data race (pid=1)", true);
    reports("a.c:1:2: runtime error: shift exponent 40", true);
    reports("<unknown>: runtime error: load of null pointer", true);
    reports("device: runtime error: no such region", false);
    reports("12: runtime error: no such region", false);
    reports("12:1: runtime error: no such region", false);
    reports("dev:x:1: runtime error: no such region", false);
    reports("==1==WARNING: MemorySanitizer: use-of-uninitialized-value", true);
    reports("ERROR: cannot open file", false);
    reports("the AddressSanitizer found nothing", false);
}

static void a_new_log_forgets_the_old_one(void **state)
{
    struct ct_server s;

    (void)state;
    start(&s, "sh -c 'echo x:1:2: runtime error: y' {socket}");
    assert_true(ct_server_wait_end(&s, 5000));
    ct_server_stop(&s);
    assert_int_not_equal(s.report[0], '\0');
    ct_server_new_log(&s);
    assert_int_equal(s.report[0], '\0');
    assert_int_equal(s.tail_len, 0);
    finish(&s);
}

static void a_server_inherits_nothing_but_its_output(void **state)
{
    struct ct_server s;
    int stray = open("/dev/null", O_RDONLY); /* inheritable */

    (void)state;
    assert_true(stray > 2);
    start(&s, "sh -c 'ls /proc/self/fd' {socket}");
    assert_true(ct_server_wait_end(&s, 5000));
    ct_server_stop(&s);
    assert_string_equal(s.tail, "0\n1\n2\n3\n"); /* 3: the directory itself */
    finish(&s);
    close(stray);
}

static void a_server_can_be_started_again(void **state)
{
    struct ct_server s;
    char why[256];

    (void)state;
    start(&s, "sh -c 'test -e $0 && echo old; touch $0' {socket}");
    for (int i = 0; i < 3; i++) {
        assert_true(ct_server_wait_end(&s, 5000));
        ct_server_stop(&s);
        assert_string_equal(s.tail, ""); /* the socket of the last one was removed */
        assert_int_equal(ct_server_start(&s, why, sizeof(why)), 0);
    }
    finish(&s);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(commands_are_split_like_a_shell_does),
    cmocka_unit_test(broken_commands_are_refused),
    VU_FD_TEST(the_socket_is_named_wherever_the_command_says_so),
    VU_FD_TEST(a_command_without_socket_is_refused),
    VU_FD_TEST(a_program_that_cannot_be_run_is_an_error),
    VU_FD_TEST(every_end_has_a_text),
    VU_FD_TEST(a_server_ends_on_sigterm),
    VU_FD_TEST(its_children_end_with_it),
    VU_FD_TEST(a_server_within_a_shell_gets_to_its_end),
    VU_FD_TEST(what_leaves_its_session_ends_with_it),
    VU_FD_TEST(output_is_kept_from_its_end),
    VU_FD_TEST(reports_of_sanitizers_are_seen),
    VU_FD_TEST(a_new_log_forgets_the_old_one),
    VU_FD_TEST(a_server_inherits_nothing_but_its_output),
    VU_FD_TEST(a_server_can_be_started_again),
};

VU_TEST_MAIN(tests)
