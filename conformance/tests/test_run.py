#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Choosing, ordering and judging cases, the exit status, and what cannot be run at all.

    test_run.py RUNNER
"""
import os
import re
import signal
import subprocess

from harness import HERE, RUNNER, RunnerTest, main, spawn, suite

TRIGGER = "c:region_read { region = 0, count = 1 }"


class ExitStatus(RunnerTest):
    """One test for each, and which one wins."""

    def status(self, mode, text):
        run = self.run_it(*spawn(mode), "--suite", self.suite_of(text), "--timeout", "1")
        return run.status

    ok = 'case "HDR-01" { "fine", function(c) c:alive() end }\n'
    warn = 'case "HDR-12" { "a SHOULD", function(c) fail("no") end }\n'
    fail = 'case "HDR-02" { "a MUST", function(c) fail("no") end }\n'
    skip = 'case "HDR-03" { "left out", function(c) skip("no reason") end }\n'
    error = 'case "HDR-04" { "broken", function(c) error("oops") end }\n'
    death = 'case "HDR-05" { "trigger", function(c) %s:any() end }\n' % TRIGGER

    def test_0_as_the_protocol_asks(self):
        self.assertEqual(self.status("ok", self.ok + self.skip), 0)

    def test_0_with_warnings(self):
        self.assertEqual(self.status("ok", self.ok + self.warn), 0)

    def test_1_a_requirement_is_not_met(self):
        self.assertEqual(self.status("ok", self.ok + self.fail), 1)

    def test_1_strict_takes_warnings_for_failures(self):
        run = self.run_it(*spawn(), "--suite", self.suite_of(self.ok + self.warn), "--strict")
        self.assertEqual(run.status, 1)
        self.assertFalse(run["HDR-12"].ok)

    def test_2_the_server_died(self):
        self.assertEqual(self.status("crash", self.ok + self.fail + self.death), 2)

    def test_3_usage(self):
        self.assertEqual(self.run_it("--socket", "/x", *spawn()).status, 3)

    def test_4_all_was_skipped(self):
        self.assertEqual(self.status("ok", self.skip), 4)

    def test_4_nothing_is_selected(self):
        run = self.plain("ok", "--select", "MIG")
        self.assertEqual((run.status, run.err),
                         (4, "vfio-user-conformance: no case is selected\n"))

    def test_5_a_case_is_at_fault(self):
        self.assertEqual(self.status("crash", self.ok + self.fail + self.error + self.death), 5)


class Usage(RunnerTest):
    def refused(self, *args):
        run = self.run_it(*args)
        self.assertEqual((run.status, run.out), (3, ""), run.out + run.err)
        self.assertRegex(run.err, r"\Avfio-user-conformance: [^\n]+\n\Z")
        return run.err

    def test_neither_socket_nor_spawn(self):
        self.assertIn("--socket PATH", self.refused())

    def test_unknown_option(self):
        self.assertIn("'--nonsense'", self.refused("--nonsense"))

    def test_missing_value(self):
        self.assertIn("'--spawn'", self.refused("--spawn"))

    def test_operand(self):
        self.assertIn("'more'", self.refused(*spawn(), "more"))

    def test_command_without_socket(self):
        self.assertIn("{socket}", self.refused("--spawn", "true"))

    def test_command_that_does_not_exist(self):
        self.assertIn("cannot run '/no/such/server'",
                      self.refused("--spawn", "/no/such/server {socket}"))
        self.assertIn("cannot run 'no-such-server'",
                      self.refused("--spawn", "no-such-server {socket}"))

    def test_command_that_is_a_directory(self):
        self.assertIn("cannot run '/tmp'", self.refused("--spawn", "/tmp {socket}"))

    def test_selected_name_that_does_not_exist(self):
        self.assertIn("'NOPE'", self.refused(*spawn(), "--select", "HDR,NOPE"))

    def test_open_quote(self):
        self.assertIn("quote", self.refused("--spawn", "sh -c 'x {socket}"))

    def test_numbers(self):
        for option, value in (("--timeout", "0"), ("--timeout", "1e-7"),
                              ("--timeout", "x"), ("--timeout", "nan"),
                              ("-j", "0"), ("-j", "65"), ("-j", "-1"), ("--seed", "-1"),
                              ("--seed", "99999999999999999999"), ("--case-timeout", "1h")):
            self.assertIn("'%s'" % value, self.refused(*spawn(), option, value))

    def test_level(self):
        self.assertIn("'must'", self.refused(*spawn(), "--level", "must"))

    def test_jobs_need_spawn(self):
        self.assertIn("-j", self.refused("--socket", "/tmp/s", "-j", "2"))

    def test_long_socket_path(self):
        self.assertIn("too long", self.refused("--socket", "/tmp/" + "s" * 108))

    def test_help_and_version(self):
        run = self.run_it("--help")
        self.assertEqual((run.status, run.err), (0, ""))
        self.assertIn("--spawn", run.out)
        self.assertRegex(self.run_it("--version").out, r"\Avfio-user-conformance \d")


    def test_manual_page_has_every_option(self):
        options = set(re.findall(r"--[a-z-]+", self.run_it("--help").out))
        with open(os.path.join(HERE, "../../docs/man/vfio-user-conformance.1")) as f:
            page = f.read().replace("\\-", "-")
        self.assertGreater(len(options), 12)
        self.assertEqual([o for o in sorted(options) if o not in page], [])


class Surroundings(RunnerTest):
    """What is wrong around the runner is not charged to the server."""

    def through_shell(self, redirection):
        command = " ".join("'%s'" % a for a in
                           [RUNNER, *spawn(), "--suite", suite("plain"), "--select", "HDR-01"])
        done = subprocess.run(["sh", "-c", command + redirection], capture_output=True,
                              text=True, env=self.env)
        self.assertEqual(done.returncode, 5, done.stdout + done.stderr)
        self.assertIn("standard output", done.stderr)

    def test_report_that_cannot_be_written(self):
        self.through_shell(" >/dev/full")

    def test_output_that_is_closed(self):
        self.through_shell(" >&-")

    def test_no_place_for_the_socket(self):
        self.env["TMPDIR"] = "/no/such/dir"
        run = self.plain("ok")
        self.assertEqual((run.status, run.verdicts), (5, ["error"] * 5), run.out)
        self.assertRegex(run.out, r"/no/such/dir/vfio-user-\w+: No such file")

    def test_junit_file_is_tried_before_the_run(self):
        run = self.plain("ok", "--junit", "/no/such/dir/out.xml")
        self.assertEqual((run.status, run.out), (5, ""))


class Loading(RunnerTest):
    def broken(self, text, *wanted):
        run = self.run_it(*spawn(), "--suite", self.suite_of(text, "broken.lua"))
        self.assertEqual((run.status, run.out), (5, ""))
        for part in wanted:
            self.assertIn(part, run.err)

    def test_unknown_id(self):
        self.broken('\ncase "HDR-99" { "x", function() end }\n', "broken.lua:2:", "'HDR-99'")

    def test_unknown_id_in_also(self):
        self.broken('\ncase "HDR-01" { "x", also = "HDR-999", function() end }\n',
                    "broken.lua:2:", "'HDR-999'")

    def test_unknown_need(self):
        self.broken('\n\ncase "HDR-01" { "x", needs = "money", function() end }\n',
                    "broken.lua:3:", "'money'")

    def test_unknown_option(self):
        self.broken('case "HDR-01" { "x", need = "dma", function() end }\n',
                    "broken.lua:1:", "'need'")

    def test_wrong_type_of_option(self):
        self.broken('case "HDR-01" { "x", timeout = "5", function() end }\n', "'timeout'")

    def test_no_function(self):
        self.broken('case "HDR-01" { "x" }\n', "broken.lua:1:", "function")

    def test_syntax_error(self):
        self.broken("case (\n", "broken.lua:2:")

    def test_error_while_loading(self):
        self.broken("error('stop')\n", "broken.lua:1: stop")

    def test_nothing_runs_while_loading(self):
        self.broken("connect()\n", "broken.lua:1: only a running case")

    def test_misspelt_name(self):
        self.broken("local x = REGION.REED\n", "broken.lua:1:", "'REED' in REGION")

    def test_no_way_out_of_the_sandbox(self):
        self.broken("dofile('/dev/null')\n", "'dofile'")
        self.broken("os.exit(0)\n", "'os'")
        self.broken("io.write('x')\n", "'io'")
        self.broken("require('x')\n", "'require'")

    def test_bytecode_is_no_suite(self):
        self.broken("\x1bLua", "attempt to load a binary chunk")

    def test_file_that_never_ends(self):
        self.broken("\nwhile true do end\n", "broken.lua:2: this suite does not finish loading")
        self.broken("while true do pcall(function() while true do end end) end\n",
                    "does not finish loading")

    def test_missing_and_empty_directory(self):
        run = self.run_it(*spawn(), "--suite", "/no/such/dir")
        self.assertEqual(run.status, 5)
        self.assertIn("/no/such/dir: No such file", run.err)
        run = self.run_it(*spawn(), "--suite", self.tmp)
        self.assertEqual(run.status, 5)
        self.assertIn("no .lua file", run.err)


class Choosing(RunnerTest):
    def names(self, *args):
        run = self.run_it("--list", "--suite", suite("choose"), *args)
        self.assertEqual((run.status, run.err), (0, ""))
        return [line.split()[0] for line in run.out.splitlines()]

    def test_list(self):
        run = self.run_it("--list", "--suite", suite("choose"))
        self.assertRegex(run.out, r"(?m)^REG-01 +MUST +one  \[VFIO_USER_DEVICE_GET_REGION_INFO\]"
                                  r"  needs: pci_config, dma$")

    def test_several_cases_of_one_id(self):
        self.assertEqual(self.names(), ["REG-01", "HDR-02", "HDR-02.2", "HDR-12", "VER-31"])

    def test_select_ids_names_groups_and_globs(self):
        self.assertEqual(self.names("--select", "HDR-02"), ["HDR-02", "HDR-02.2"])
        self.assertEqual(self.names("--select", "HDR-02.2"), ["HDR-02.2"])
        self.assertEqual(self.names("--select", "HDR,VER-31"),
                         ["HDR-02", "HDR-02.2", "HDR-12", "VER-31"])
        self.assertEqual(self.names("--select", "REG-*"), ["REG-01"])
        self.assertEqual(self.names("--select", "REG", "--select", "HDR-12"),
                         ["REG-01", "HDR-12"])

    def test_select_by_what_a_case_proves_too(self):
        self.assertEqual(self.names("--select", "CONN-01"), ["HDR-12"])

    def test_level(self):
        self.assertEqual(self.names("--level", "MUST"), ["REG-01", "HDR-02", "HDR-02.2", "VER-31"])
        self.assertEqual(self.names("--level", "SHOULD"), self.names())

    def test_several_directories(self):
        more = self.suite_of('case "HDR-02" { "x", function() end }')
        self.assertEqual(self.names("--suite", more)[-1], "HDR-02.3")


class Running(RunnerTest):
    def test_results_come_in_order_with_any_number_of_workers(self):
        text = "".join('case "HDR-01" { "%d", function(c) c:alive() end }\n' % i
                       for i in range(40))
        where = self.suite_of(text)
        for jobs in ("1", "3"):
            run = self.run_it(*spawn(), "--suite", where, "-j", jobs)
            self.assertEqual(run.status, 0, run.out)
            self.assertEqual([c.number for c in run.cases], list(range(1, 41)))
            self.assertEqual([c.title for c in run.cases], [str(i) for i in range(40)])

    def test_workers_have_servers_of_their_own(self):
        text = 'for i = 1, 8 do case "HDR-01" { "x", function(c)' \
               ' note("socket %s", server.socket); c:wait_closed(0.2) end } end'
        run = self.run_it(*spawn(), "--suite", self.suite_of(text), "-j", "2")
        self.assertEqual(len(set(re.findall(r"note: socket (\S+)", run.out))), 2, run.out)
        self.assertEqual(run.verdicts, ["pass"] * 8)

    def test_crashes_with_several_workers(self):
        text = "".join('case "HDR-01" { "%d", function(c) %s end }\n'
                       % (i, TRIGGER + ":any()" if i % 5 == 2 else "c:alive()")
                       for i in range(20))
        run = self.run_it(*spawn("crash"), "--suite", self.suite_of(text), "-j", "3")
        self.assertEqual(run.verdicts, ["fail" if i % 5 == 2 else "pass" for i in range(20)])
        self.assertEqual(run.status, 2)

    def order(self, *args):
        run = self.run_it(*spawn(), "--suite", suite("random"), *args)
        self.assertEqual(run.status, 0, run.out)
        return [(c.name, re.search(r"note: (.*)", c.text).group(1)) for c in run.cases]

    def test_seed_repeats_order_and_choices(self):
        first, again, other = (self.order("--seed", s) for s in ("7", "7", "8"))
        self.assertEqual(first, again)
        self.assertNotEqual([name for name, _ in first], [name for name, _ in other])
        self.assertNotEqual(dict(first), dict(other))

    def test_choices_do_not_depend_on_what_else_runs(self):
        alone = self.order("--seed", "7", "--select", "HDR-03")
        self.assertEqual(dict(self.order("--seed", "7", "-j", "2"))["HDR-03"], alone[0][1])

    def test_seed_is_printed(self):
        self.assertIn("# seed: 42\n", self.plain("ok", "--seed", "42").out)

    def test_order_without_seed_is_that_of_the_files(self):
        self.assertEqual([n for n, _ in self.order()],
                         ["HDR-%02d" % i for i in range(1, 11)])

    def test_cases_do_not_see_each_other(self):
        run = self.run_it(*spawn(), "--suite", self.suite_of(
            "shared = 1\n"
            'case "HDR-01" { "sets", function() shared = 2; string.rep = nil end }\n'
            'case "HDR-02" { "looks", function() check_eq(shared, 1)'
            ' check(string.rep) end }\n'))
        self.assertEqual(run.verdicts, ["pass", "pass"], run.out)

    def test_interrupt_ends_everything(self):
        process = self.start(*spawn("marker"), "--suite", suite("plain"), "--timeout", "30",
                             "-j", "2")
        self.wait_until(lambda: any(os.path.exists(os.path.join(self.tmp, d, "socket.marker"))
                                    for d in os.listdir(self.tmp)), "no marker")
        process.send_signal(signal.SIGINT)
        run = self.finish(process)
        self.assertEqual(run.status, -signal.SIGINT)
        self.assertIn("Bail out! interrupted by SIGINT", run.out)

    def test_a_killed_runner_leaves_no_server(self):
        process = self.start(*spawn("marker"), "--suite", suite("plain"), "--timeout", "30")
        self.wait_until(lambda: any(os.path.exists(os.path.join(self.tmp, d, "socket.marker"))
                                    for d in os.listdir(self.tmp)), "no marker")
        process.kill()
        process.wait()
        self.wait_until(lambda: not self.processes(), "a server is left", 10)
        process.communicate()
        self.wait_until(lambda: not os.listdir(self.tmp), "its directory is left")


class Verdicts(RunnerTest):
    def one(self, body, mode="ok", id="HDR-02", options="", *args):
        text = 'case "%s" { "x", %s function(c)\n%s\nend }\n' % (id, options, body)
        run = self.run_it(*spawn(mode), "--suite", self.suite_of(text), "--timeout", "1", *args)
        self.assertEqual(len(run.cases), 1, run.out + run.err)
        return run.cases[0]

    def test_failed_must(self):
        case = self.one("fail('got %d', 3)")
        self.assertEqual((case.verdict, case.field("level")), ("fail", "MUST"))
        self.assertIn("got 3", case.text)
        self.assertEqual(case.field("at"), "case.lua:2")
        self.assertIn("A reply repeats the msg_id", case.field("requirement"))
        self.assertEqual(case.field("section"), "Header")

    def test_failed_should(self):
        self.assertEqual(self.one("fail('x')", id="HDR-12").verdict, "warn")

    def test_warning(self):
        case = self.one("warn('odd: %d', 1)")
        self.assertEqual(case.verdict, "warn")
        self.assertTrue(case.ok)
        self.assertIn("warning: odd: 1", case.text)

    def test_note_is_shown_and_not_judged(self):
        case = self.one("note('choice: %s', 'a')")
        self.assertEqual(case.verdict, "pass")
        self.assertIn("# note: choice: a", case.text)

    def test_skip(self):
        case = self.one("skip('no %s', 'luck')")
        self.assertEqual((case.verdict, case.skip), ("skip", "no luck"))

    def test_error_has_a_traceback(self):
        case = self.one("local t = nil\nt.x = 1")
        self.assertEqual(case.verdict, "error")
        self.assertIn("case.lua:3: attempt to index a nil value", case.text)
        self.assertIn("stack traceback", case.text)

    def test_error_in_a_call_names_the_line_of_the_case(self):
        case = self.one("\nc:get_info { argsz = 1.5 }")
        self.assertEqual(case.verdict, "error")
        self.assertIn("case.lua:3: field 'argsz' is a float (1.5)", case.text)

    def test_errors_that_are_no_text(self):
        self.assertIn("table", self.one("error({})").text)
        self.assertEqual(self.one("error(nil)").verdict, "error")

    def test_pcall_does_not_hide_a_failure(self):
        self.assertEqual(self.one("pcall(fail, 'x')").verdict, "fail")

    def test_loop_is_ended(self):
        case = self.one("while true do end", "ok", "HDR-02", "timeout = 0.5,",
                        "--case-timeout", "0.1")
        self.assertEqual(case.verdict, "error")
        self.assertIn("did not come to its end within 0.5 s", case.text)

    def test_loop_that_catches_errors_is_ended(self):
        case = self.one("while true do pcall(function() while true do end end) end", "ok",
                        "HDR-02", "", "--case-timeout", "0.5")
        self.assertEqual(case.verdict, "error")

    def test_memory_is_bounded(self):
        case = self.one("local t = {} while true do t[#t+1] = ('x'):rep(1 << 20) .. #t end")
        self.assertEqual(case.verdict, "error")
        self.assertIn("not enough memory", case.text)

    def test_time_is_over_while_the_server_is_awaited(self):
        case = self.one("c:wait_closed(60)", "ok", "HDR-12", "timeout = 2.5,",
                        "--case-timeout", "1")
        self.assertEqual(case.verdict, "fail")
        self.assertIn("let the case wait until its time of 2.5 s was over", case.text)

    def test_slow_server_is_skipped_as_long_as_it_answers(self):
        case = self.one("for i = 1, 100000 do c:alive() end", "slow", "HDR-12", "",
                        "--case-timeout", "1")
        self.assertEqual(case.verdict, "skip", case.text)
        self.assertIn("answers too slowly for this case", case.skip)

    def test_time_of_a_case_can_be_raised(self):
        case = self.one("c:wait_closed(0.6)", "ok", "HDR-02", "timeout = 0.2,",
                        "--case-timeout", "20")
        self.assertEqual(case.verdict, "pass", case.text)

    def test_limits_may_be_written_as_floats(self):
        case = self.one("local l = c.server.limits\n"
                        "check(math.type(l.max_msg_fds) == 'integer')\n"
                        "check_eq(l.max_msg_fds, 8) check_eq(l.max_data_xfer_size, 1000000)",
                        "float")
        self.assertEqual(case.verdict, "pass", case.text)

    def test_case_may_end_the_server(self):
        case = self.one("local done, how = server.terminate(5)\n"
                        "check(done and how == 'exited 0', '%s', how)", options="needs = 'spawned',")
        self.assertEqual(case.verdict, "pass", case.text)

    def test_server_that_does_not_end_when_asked(self):
        case = self.one("local done, how = server.terminate(0.3)\n"
                        "check(not done and how == 'still running', '%s', how)", "deaf")
        self.assertEqual(case.verdict, "pass", case.text)

    def test_exit_is_no_finding_where_the_case_says_so(self):
        self.assertEqual(self.one(TRIGGER + ":closed()", "exit3", "HDR-02",
                                  "stops_server = true,").verdict, "pass")

    def test_crash_is_a_finding_even_there(self):
        self.assertEqual(self.one(TRIGGER + ":closed()", "crash", "HDR-02",
                                  "stops_server = true,").verdict, "fail")

    def test_two_answers_are_seen(self):
        case = self.one(TRIGGER + ":refused() c:alive()\n"
                        "note('left: %d', #c:leftover())", "twice")
        self.assertIn("left: 1", case.text)

    def test_needs_that_are_not_met_are_skipped_with_the_reason(self):
        for need, reason in (("device_profile", "no profile"), ("dma", "refuses DMA"),
                             ("twin_socket", "does not agree"),
                             ("second_client", "does not serve a second")):
            case = self.one("fail()", options="needs = '%s'," % need)
            self.assertEqual(case.verdict, "skip")
            self.assertIn(reason, case.skip)

    def test_need_that_the_server_does_not_survive(self):
        case = self.one("c:alive()", "touchy", options="needs = 'mappable_region',")
        self.assertEqual(case.verdict, "fail")
        self.assertIn("did not survive being asked for 'mappable_region'", case.text)
        self.assertEqual(case.field("server"), "crashed: killed by SIGSEGV")

    def test_second_client_that_is_not_served_is_a_skip(self):
        case = self.one("local d = connect { timeout = 1 }")
        self.assertEqual(case.verdict, "skip")
        self.assertIn("second client", case.skip)
        case = self.one("local d = connect { timeout = 1 }", "busy")
        self.assertEqual(case.verdict, "skip")

    def test_reconnecting_to_a_server_that_exits_is_a_skip(self):
        case = self.one("c:close() local d = connect()", "leave0")
        self.assertEqual(case.verdict, "skip")
        self.assertIn("exited when its last client had left", case.skip)


if __name__ == "__main__":
    main()
