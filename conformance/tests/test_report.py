#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the reports say, and that machines can read them.

    test_report.py RUNNER
"""
import os
import re
import xml.etree.ElementTree as xml

from harness import RunnerTest, main, spawn, suite

MIXED = r'''
case "HDR-01" { "fine # 1", function(c) c:alive() end }
case "HDR-02" { "not fine", function(c) fail("line one\nline two \27[1m <&> \255") end }
case "HDR-12" { "warns", function(c) warn("hm") end }
case "VER-01" { "left out", function() skip("no # reason") end }
case "VER-02" { "broken", function() error("oops") end }
case "REG-01" { "trigger", also = "REG-02",
  function(c) c:region_read { region = 0, count = 1 }:refused() end }
'''


class Tap(RunnerTest):
    def mixed(self, *args, mode="control"):
        return self.run_it(*spawn(mode), "--suite", self.suite_of(MIXED), "--timeout", "1",
                           *args)

    def test_form(self):
        run = self.mixed()
        lines = run.out.splitlines()
        self.assertEqual(lines[:2], ["TAP version 14", "1..6"])
        results = [l for l in lines if re.match(r"(not )?ok ", l)]
        self.assertEqual(results, [
            "ok 1 - HDR-01 fine \\# 1",
            "not ok 2 - HDR-02 not fine",
            "ok 3 - HDR-12 warns",
            "ok 4 - VER-01 left out # SKIP no \\# reason",
            "not ok 5 - VER-02 broken",
            "ok 6 - REG-01 trigger",
        ])

    def test_other_lines_are_comments_or_in_blocks(self):
        inside = False
        for line in self.mixed("--verbose").out.splitlines()[2:]:
            if line == "  ---":
                inside = True
            elif line == "  ...":
                inside = False
            elif inside:
                self.assertTrue(line.startswith("  "), line)
            else:
                self.assertRegex(line, r"^(#|ok |not ok )")
        self.assertFalse(inside)

    def test_no_control_character_gets_through(self):
        out = self.mixed("--verbose").out
        self.assertNotRegex(out, r"[\x00-\x09\x0b-\x1f\x7f]")
        self.assertIn("bell \\x07 escape \\x1b[1m", out)
        self.assertIn("line one\n    line two \\x1b[1m <&>", out)

    def test_failure_shows_the_exchange(self):
        run = self.plain("silent")
        text = run["HDR-03"].text
        self.assertRegex(text, r"message: \|\n    a header-only error reply to REGION_READ "
                               r"\(id 2\) wanted; got: no answer within 1 s\n")
        self.assertRegex(text, r"exchange: \|\n    c1 -- connected\n    c1 -> VERSION cmd id=1")
        self.assertIn("    c1 -> REGION_READ cmd id=2 size=32", text)

    def test_descriptors_are_shown(self):
        where = self.suite_of('case "HDR-01" { "x", function(c)\n'
                              'c:dma_map { size = 0x1000, fd = c:memory(0x1000) }:ok() end }')
        run = self.run_it(*spawn(), "--suite", where)
        self.assertRegex(run["HDR-01"].text, r"c1 -> DMA_MAP .* fds=\[memfd:4096\]")

    def test_long_exchange_keeps_its_end(self):
        where = self.suite_of('case "HDR-01" { "x", function(c)\n'
                              'for i = 1, 2000 do c:get_info { id = i }:ok() end\n'
                              'fail("end") end }')
        text = self.run_it(*spawn(), "--suite", where)["HDR-01"].text
        self.assertLess(len(text), 40000)
        self.assertIn("GET_INFO reply id=2000", text)
        self.assertRegex(text, r"exchange_dropped: \d+")

    def test_verbose_shows_passed_cases_too(self):
        self.assertNotIn("c1 ->", self.plain("ok").out)
        self.assertIn("c1 ->", self.plain("ok", "--verbose")["HDR-01"].text)

    def test_table(self):
        out = self.mixed().out
        self.assertRegex(out, r"(?m)^# HDR +1 +1 +1 +0 +0 +3   3 of \d+$")
        self.assertRegex(out, r"(?m)^# REG +1 +0 +0 +0 +0 +1   2 of \d+$")
        self.assertRegex(out, r"(?m)^# VER +0 +0 +0 +1 +1 +2   0 of \d+$")
        self.assertRegex(out, r"(?m)^# total +2 +1 +1 +1 +1 +6   5 of \d+$")
        self.assertNotIn("# DMA", out)

    def test_last_line_is_the_verdict(self):
        self.assertEqual(self.mixed().out.splitlines()[-1],
                         "# Some cases are at fault themselves: 1 errors; 1 failed.")
        self.assertEqual(self.plain("ok").out.splitlines()[-1],
                         "# The server does as the protocol asks in all 5 cases that were "
                         "judged.")
        self.assertIn("crashed, hung", self.plain("crash").out.splitlines()[-1])


class Junit(RunnerTest):
    def junit(self, mode, text, *args):
        path = self.tmp + ".xml"
        self.addCleanup(lambda: os.path.exists(path) and os.unlink(path))
        run = self.run_it(*spawn(mode), "--suite", self.suite_of(text), "--timeout", "1",
                          "--junit", path, *args)
        return run, xml.parse(path).getroot()

    def test_counts_and_kinds(self):
        run, root = self.junit("control", MIXED)
        self.assertEqual(root.tag, "testsuites")
        self.assertEqual({k: root.get(k) for k in ("tests", "failures", "errors", "skipped")},
                         {"tests": "6", "failures": "1", "errors": "1", "skipped": "1"})
        self.assertEqual([s.get("name") for s in root], ["HDR", "VER", "REG"])
        cases = {c.get("name").split()[0]: c for c in root.iter("testcase")}
        self.assertEqual(len(cases), 6)
        self.assertIsNone(cases["HDR-01"].find("failure"))
        self.assertEqual(cases["VER-01"].find("skipped").get("message"), "no # reason")
        self.assertIn("oops", cases["VER-02"].find("error").get("message"))
        self.assertIn("warning: hm", cases["HDR-12"].find("system-out").text)
        self.assertEqual(cases["REG-01"].get("classname"), "REG")
        failure = cases["HDR-02"].find("failure")
        self.assertEqual(failure.get("message"), "line one")
        self.assertIn("line two \\x1b[1m <&> \\xff", failure.text)
        self.assertIn("requirement: A reply repeats the msg_id", failure.text)

    def test_crash_shows_fate_and_log(self):
        run, root = self.junit("asan", MIXED)
        failure = next(c for c in root.iter("testcase")
                       if c.get("name").startswith("REG-01")).find("failure")
        self.assertIn("server: sanitizer report: ==7==ERROR", failure.text)
        self.assertIn("#0 0x1 in f", failure.text)
        self.assertIn("REGION_READ cmd", failure.text)

    def test_report_at_the_end_is_a_failure(self):
        run, root = self.junit("leak", 'case "HDR-01" { "x", function(c) c:alive() end }')
        last = root.findall("testsuite")[-1]
        self.assertIn("LeakSanitizer", last.find("testcase").find("failure").get("message"))

    def test_strict_makes_warnings_failures(self):
        run, root = self.junit("ok", MIXED, "--strict", "--select", "HDR-12")
        self.assertEqual((run.status, root.get("failures")), (1, "1"))

    def test_file_that_cannot_be_written(self):
        run = self.plain("ok", "--junit", "/no/such/dir/out.xml")
        self.assertEqual(run.status, 5)
        self.assertIn("/no/such/dir/out.xml: No such file", run.err)


if __name__ == "__main__":
    main()
