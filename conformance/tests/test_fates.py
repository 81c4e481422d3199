#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What becomes of a server is seen, named, charged to the right case, and survived.

    test_fates.py RUNNER
"""
import os
import signal
import subprocess
import time

from harness import FAKE, RunnerTest, main, spawn, suite

ALL = ["HDR-01", "HDR-02", "HDR-03", "HDR-12", "HDR-04"]


class Fates(RunnerTest):
    def check(self, run, status, verdicts):
        """Every case has a verdict, whatever happened before it."""
        self.assertEqual([c.name for c in run.cases], ALL, run.out + run.err)
        self.assertEqual(run.verdicts, verdicts, run.out)
        self.assertEqual(run.status, status, run.out)

    def test_well_behaved_server(self):
        run = self.plain("ok")
        self.check(run, 0, ["pass"] * 5)
        self.assertIn("does as the protocol asks in all 5 cases", run.out)

    def test_crash_is_charged_to_its_case_and_the_run_goes_on(self):
        run = self.plain("crash")
        self.check(run, 2, ["pass", "pass", "fail", "fail", "pass"])
        for name in ("HDR-03", "HDR-12"):
            self.assertEqual(run[name].field("server"), "crashed: killed by SIGSEGV")

    def test_abort(self):
        run = self.plain("abort")
        self.check(run, 2, ["pass", "pass", "fail", "fail", "pass"])
        self.assertEqual(run["HDR-03"].field("server"), "crashed: killed by SIGABRT")

    def test_unusual_exit_status_is_a_crash(self):
        run = self.plain("exit3")
        self.check(run, 2, ["pass", "pass", "fail", "fail", "pass"])
        self.assertEqual(run["HDR-03"].field("server"), "crashed: exited 3")

    def test_exit_with_0_is_a_death_where_clients_may_come_and_go(self):
        run = self.plain("quit")
        self.check(run, 2, ["pass", "pass", "fail", "fail", "pass"])
        self.assertEqual(run["HDR-03"].field("server"),
                         "crashed: exited 0, but stays when a client leaves in order")

    def test_exit_with_0_is_a_death_even_where_any_answer_will_do(self):
        for trigger in ("c:region_read { region = 0, count = 1 }:any()",
                        "c:region_read { region = 0, count = 1 }:closed()"):
            where = self.suite_of('case "HDR-01" { "x", function(c) %s end }' % trigger)
            run = self.run_it(*spawn("quit"), "--suite", where)
            self.assertEqual((run.status, run.verdicts), (2, ["fail"]), run.out)

    def test_need_that_ends_the_server_with_0(self):
        where = self.suite_of('case "HDR-01" { "x", needs = "mappable_region", '
                              'function(c) c:alive() end }')
        run = self.run_it(*spawn("touchy0"), "--suite", where)
        self.assertEqual((run.status, run.verdicts), (2, ["fail"]), run.out)
        self.assertIn("did not survive being asked for 'mappable_region'", run.out)

    def test_server_that_left_once_is_not_waited_for_again(self):
        text = "".join('case "HDR-01" { "%d", function(c) c:alive() end }\n' % i
                       for i in range(12))
        began = time.monotonic()
        run = self.run_it(*spawn("once0"), "--suite", self.suite_of(text))
        self.assertEqual(len(run.verdicts), 12)
        self.assertLess(time.monotonic() - began, 8, run.out)

    def test_server_may_answer_a_second_client_with_an_error(self):
        run = self.plain("refuse")
        self.check(run, 0, ["pass"] * 5)

    def test_server_that_never_takes_a_version_fails(self):
        run = self.plain("never", "--select", "HDR-01")
        self.assertEqual((run.status, run.verdicts), (1, ["fail"]), run.out)
        self.assertIn("a success reply to VERSION", run.out)

    def test_server_in_the_background_is_ended_and_named(self):
        for mode in ("daemon1", "daemon2"):
            run = self.plain(mode, "--start-timeout", "1")
            self.check(run, 2, ["fail", "fail", "fail", "skip", "skip"])
            self.assertIn("does not stay in the foreground", run["HDR-01"].field("server"))

    def test_hang(self):
        run = self.plain("hang")
        self.check(run, 2, ["pass", "pass", "fail", "fail", "pass"])
        self.assertTrue(run["HDR-03"].field("server").startswith("hung: "), run.out)
        self.assertIn("no answer within 1 s", run["HDR-03"].text)

    def test_missing_answer_fails_even_a_should(self):
        run = self.plain("silent")
        self.check(run, 1, ["pass", "pass", "fail", "fail", "pass"])
        self.assertEqual(run["HDR-12"].field("server"), "survived")

    def test_server_may_exit_after_each_client(self):
        run = self.plain("leave0")
        self.check(run, 0, ["pass"] * 5)

    def test_server_may_exit_after_each_client_with_a_status_of_its_own(self):
        run = self.plain("leave3")
        self.check(run, 0, ["pass"] * 5)

    def test_server_may_turn_a_second_client_away(self):
        run = self.plain("busy")
        self.check(run, 0, ["pass"] * 5)

    def test_address_sanitizer(self):
        run = self.plain("asan")
        self.check(run, 2, ["pass", "pass", "fail", "fail", "pass"])
        self.assertIn("sanitizer report: ==7==ERROR: AddressSanitizer",
                      run["HDR-03"].field("server"))
        self.assertIn("#0 0x1 in f", run["HDR-03"].text)     # the end of its log

    def test_report_of_a_server_that_goes_on(self):
        run = self.plain("ubsan")
        self.check(run, 2, ["pass", "pass", "fail", "fail", "pass"])
        self.assertIn("sanitizer report: fake.c:12:3: runtime error",
                      run["HDR-12"].field("server"))

    def test_report_at_the_very_end(self):
        run = self.plain("leak")
        self.check(run, 2, ["pass"] * 5)
        self.assertIn("# at its end the server had a sanitizer report: ==9==ERROR: "
                      "LeakSanitizer", run.out)

    def test_lost_stream(self):
        run = self.plain("garbage")
        self.check(run, 1, ["pass", "pass", "fail", "warn", "pass"])
        self.assertEqual(run["HDR-03"].field("server"), "lost the stream")
        self.assertIn("bytes that are no message", run["HDR-03"].text)

    def test_closed_connection(self):
        run = self.plain("close")
        self.check(run, 1, ["pass", "pass", "fail", "warn", "pass"])
        self.assertEqual(run["HDR-03"].field("server"), "closed the connection")

    def test_close_at_accept(self):
        run = self.plain("accept", "--start-timeout", "1")
        self.check(run, 2, ["fail"] * 5)
        self.assertTrue(run["HDR-01"].field("server").startswith("hung: "), run.out)

    def test_server_that_never_listens_is_given_up(self):
        run = self.plain("mute", "--start-timeout", "0.3", "--timeout", "0.2")
        self.check(run, 2, ["fail", "fail", "fail", "skip", "skip"])
        self.assertIn("no connection to the server", run["HDR-01"].text)
        self.assertIn("does not listen", run["HDR-04"].skip)

    def test_server_that_ends_before_listening_is_given_up(self):
        run = self.plain("early")
        self.check(run, 2, ["fail", "fail", "fail", "skip", "skip"])
        self.assertIn("exited 1 before it took a connection", run["HDR-01"].field("server"))
        self.assertIn("cannot do anything", run["HDR-01"].text)

    def test_program_that_is_no_server_is_named_so(self):
        run = self.run_it("--spawn", "/bin/true {socket}", "--suite", suite("plain"))
        self.check(run, 2, ["fail", "fail", "fail", "skip", "skip"])
        self.assertIn("before it took a connection", run["HDR-01"].text)
        self.assertNotIn("last client", run.out)

    def test_server_that_ignores_sigterm_is_killed(self):
        self.check(self.plain("deaf"), 0, ["pass"] * 5)

    def test_output_is_read_and_bounded(self):
        run = self.plain("flood", "--verbose")
        self.check(run, 0, ["pass"] * 5)
        log = run["HDR-03"].text
        self.assertIn("line 016383 of the flood", log)
        self.assertLess(len(log), 16384)

    def test_kill_from_outside_is_a_crash_of_the_case_that_ran(self):
        process = self.start(*spawn("marker"), "--suite", suite("plain"), "--timeout", "30",
                             "--case-timeout", "60")
        for _ in range(2):      # the third and the fourth case
            marker = self.wait_for_marker()
            with open(marker) as f:
                pid = int(f.read())
            os.unlink(marker)
            os.kill(pid, signal.SIGKILL)
        run = self.finish(process)
        self.check(run, 2, ["pass", "pass", "fail", "fail", "pass"])
        self.assertEqual(run["HDR-03"].field("server"), "crashed: killed by SIGKILL")

    def wait_for_marker(self):
        found = []

        def look():
            for d in os.listdir(self.tmp):
                path = os.path.join(self.tmp, d, "socket.marker")
                if os.path.exists(path) and os.path.getsize(path):
                    found.append(path)
            return found

        self.wait_until(look, "no marker")
        return found[0]

    def test_a_shell_around_the_server_ends_with_it(self):
        run = self.run_it("--spawn", "sh -c '/usr/bin/python3 %s ok \"$1\"; exit $?' sh {socket}"
                          % FAKE, "--suite", suite("plain"), "--timeout", "2")
        self.check(run, 0, ["pass"] * 5)

    def test_a_shell_reports_its_childs_crash(self):
        run = self.run_it("--spawn",
                          "sh -c '/usr/bin/python3 %s crash \"$1\"; exit $?' sh {socket}"
                          % FAKE, "--suite", suite("plain"), "--timeout", "2")
        self.check(run, 2, ["pass", "pass", "fail", "fail", "pass"])
        self.assertIn("exited 139 (SIGSEGV)", run["HDR-03"].field("server"))

    def test_a_case_ends_the_server_within_a_shell(self):
        where = self.suite_of('case "CONN-01" { "x", stops_server = true, function(c)\n'
                              'check(server.terminate(10)) end }')
        run = self.run_it("--spawn", "sh -c '/usr/bin/python3 %s leak \"$1\"; exit $?' sh "
                          "{socket}" % FAKE, "--suite", where)
        self.assertEqual((run.status, run.verdicts), (2, ["fail"]), run.out)
        self.assertIn("LeakSanitizer", run["CONN-01"].field("server"))

    def test_users_sanitizer_options_stay(self):
        self.env["ASAN_OPTIONS"] = "detect_leaks=0"
        run = self.plain("env", "--verbose")
        self.assertIn("ASAN_OPTIONS=detect_leaks=0:log_path=stderr", run["HDR-03"].text)


class Attached(RunnerTest):
    """--socket: a server that the runner did not start."""

    def setUp(self):
        super().setUp()
        self.socket = self.tmp + ".sock"

    def serve(self, mode):
        server = subprocess.Popen(["/usr/bin/python3", "-I", FAKE, mode, self.socket],
                                  stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: os.path.exists(self.socket) and os.unlink(self.socket))
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        self.wait_until(lambda: os.path.exists(self.socket), "no server")

    def attach(self, *args):
        return self.run_it("--socket", self.socket, "--suite", suite("plain"), "--timeout",
                           "1", *args)

    def test_server_at_a_socket(self):
        self.serve("ok")
        run = self.attach()
        self.assertEqual((run.status, run.verdicts), (0, ["pass"] * 5), run.out)

    def test_the_rest_is_skipped_when_it_is_gone(self):
        self.serve("crash")
        run = self.attach()
        self.assertEqual(run.status, 2)
        self.assertEqual(run.verdicts, ["pass", "pass", "fail", "skip", "skip"], run.out)
        self.assertTrue(run["HDR-03"].field("server").startswith("gone: "), run.out)
        self.assertIn("the server is gone", run["HDR-04"].skip)

    def test_hang(self):
        self.serve("hang")
        run = self.attach()
        self.assertEqual(run.status, 2)
        self.assertEqual(run.verdicts, ["pass", "pass", "fail", "skip", "skip"], run.out)
        self.assertTrue(run["HDR-03"].field("server").startswith("hung: "), run.out)

    def test_server_that_leaves_with_its_client_is_not_charged_to_the_case(self):
        self.serve("leave0")
        run = self.attach()
        self.assertEqual(run.status, 2)
        self.assertEqual(run.verdicts, ["pass"] + ["skip"] * 4, run.out)
        self.assertIn("with --spawn it would be started again", run["HDR-02"].skip)

    def test_nobody_listens(self):
        run = self.attach("--select", "HDR-01")
        self.assertEqual((run.status, run.verdicts), (2, ["fail"]), run.out)


if __name__ == "__main__":
    main()
