#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Every expectation takes what it should and refuses the rest with a useful message.

    test_expect.py RUNNER

The fake server sends what the case dictates, so each row is: the answer, the
expectation, and what the runner is to say to that.
"""
from harness import RunnerTest, main, spawn

# Answers to REGION_WRITE with id 9, as Lua.
OK = "reply(1)"
ERROR = "msg.command(10, '', { id = 9, hflags = 0x21, error = 22 })"
CLOSE = "'close'"
SILENCE = "''"
OTHER_COMMAND = "msg.command(4, body, { id = 9, hflags = 1 })"
TYPE_0 = "reply(0)"
SUCCESS_WITH_ERROR = "reply(0x21)"
SHORT = "msg.command(10, body:sub(1, 15), { id = 9, hflags = 1 })"
NO_TYPE = "msg.command(10, '', { id = 9, hflags = 0x20, error = 22 })"
STRAY = "msg.command(10, body, { id = 4711, hflags = 1 })"
GARBAGE = "('\\0'):rep(16)"
HUGE = "msg.command(10, '', { id = 9, hflags = 1, msg_size = 0xffffffff })"
ERROR_ZERO = "msg.command(10, '', { id = 9, hflags = 0x21 })"
SERVER_COMMAND = "msg.dma_read { id = 9, address = 1, count = 4 } .. " + OK

PASS = "pass"

ROWS = [
    (OK, "ok()", PASS),
    (SERVER_COMMAND, "ok()", PASS),
    (ERROR, "ok()", r"success reply.*got: REGION_WRITE error id=9 size=16 errno=22 \(EINVAL\)"),
    (CLOSE, "ok()", "the connection was closed"),
    (SILENCE, "ok()", "no answer within 0.3 s"),
    (OTHER_COMMAND, "ok()", "it names another command"),
    (TYPE_0, "ok()", "Type is not 1"),
    (SUCCESS_WITH_ERROR, "ok()", "Error bit is set"),
    (SHORT, "ok()", "body is too short"),
    (STRAY, "ok()", "answers no command of this connection: REGION_WRITE reply id=4711"),
    (GARBAGE, "ok()", "bytes that are no message"),
    (HUGE, "ok()", "bytes that are no message"),

    (ERROR, "refused()", PASS),
    (ERROR_ZERO, "refused()", PASS),
    (ERROR, "refused(E.EINVAL)", PASS),
    (ERROR, "refused(E.EEXIST, E.EINVAL)", PASS),
    (ERROR, "refused(E.EEXIST)", "errno EEXIST is asked for"),
    (OK, "refused()", "header-only error reply to REGION_WRITE .*got: REGION_WRITE reply id=9"),
    (SUCCESS_WITH_ERROR, "refused()", "an error is 16 bytes"),
    (NO_TYPE, "refused()", "flags of an error are 0x21"),
    (CLOSE, "refused()", "the connection was closed"),
    (SILENCE, "refused()", "no answer within"),
    (OTHER_COMMAND, "refused()", "it names another command"),

    (ERROR, "refused_or_closed()", PASS),
    (CLOSE, "refused_or_closed()", PASS),
    (OK, "refused_or_closed()", "an error reply or a close"),
    (SILENCE, "refused_or_closed()", "no answer within"),

    (CLOSE, "closed()", PASS),
    (ERROR, "closed()", "a closed connection as the answer"),
    (SILENCE, "closed()", "no answer within"),

    (OK, "ok_or_refused()", PASS),
    (ERROR, "ok_or_refused()", PASS),
    (CLOSE, "ok_or_refused()", "the connection was closed"),
    (SHORT, "ok_or_refused()", "body is too short"),
    (NO_TYPE, "ok_or_refused()", "flags of an error are 0x21"),

    (OK, "any()", PASS),
    (ERROR, "any()", PASS),
    (CLOSE, "any()", PASS),
    (TYPE_0, "any()", "Type is not 1"),
    (SILENCE, "any()", "no answer within"),
    (GARBAGE, "any()", "no message"),

    (SILENCE, "unanswered()", PASS),
    (CLOSE, "unanswered()", PASS),
    (OK, "unanswered()", "no answer to REGION_WRITE .*got: REGION_WRITE reply id=9"),
    (ERROR, "unanswered()", "got: REGION_WRITE error id=9"),

    (OK, "get()", PASS),
    (TYPE_0, "get()", PASS),
    (SHORT, "get()", PASS),
    (CLOSE, "get()", PASS),
    (SILENCE, "get()", "no answer within"),
]

CASES = """
local body = string.pack("<I8I4I4", 0, 0, 4)
local function reply(flags) return msg.command(10, body, { id = 9, hflags = flags }) end
local rows = {
%s}
for i, row in ipairs(rows) do
  case "HDR-12" { "row " .. i, function(c)
    row[2](c:command(10, row[1], { id = 9 }))
  end }
end

case "HDR-12" { "what is returned", function(c)
  local function ask(bytes) return c:command(10, bytes, { id = 9 }) end
  local ok, error = reply(1), msg.command(10, "", { id = 9, hflags = 0x21, error = 22 })
  local m = ask(ok):ok()
  check_eq(m.count, 4, "count")
  check_eq(m.h.id, 9, "id")
  check_eq(m.body, body, "body")
  check_eq(ask(error):refused().error, 22, "refused")
  check_eq(ask(error):refused_or_closed().error, 22, "refused_or_closed")
  check_eq(ask(ok):ok_or_refused().count, 4, "ok_or_refused")
  check_eq(ask(error):ok_or_refused(), nil, "ok_or_refused")
  local kind, decoded = ask(ok):any()
  check_eq(kind, "ok", "any")
  check_eq(decoded.count, 4, "any")
  check_eq((ask(error):any()), "error", "any")
  check_eq(ask(""):unanswered(), "silent", "unanswered")
  check_eq(ask("close"):any(), "closed", "any")
end }
"""


class Expectations(RunnerTest):
    def test_rows(self):
        rows = "".join("  { %s, function(r) r:%s end },\n" % (answer, expectation)
                       for answer, expectation, _ in ROWS)
        run = self.run_it(*spawn("puppet"), "--suite", self.suite_of(CASES % rows),
                          "--timeout", "0.3", "-j", "2")
        self.assertEqual(len(run.cases), len(ROWS) + 1, run.out + run.err)
        for case, (answer, expectation, wanted) in zip(run.cases, ROWS):
            row = "%s on %s:\n%s" % (expectation, answer, case.text)
            if wanted is PASS:
                self.assertEqual(case.verdict, "pass", row)
            else:
                self.assertIn(case.verdict, ("warn", "fail"), row)
                self.assertRegex(case.text, wanted, row)
                self.assertEqual(case.verdict == "fail", answer is SILENCE, row)
        self.assertEqual(run.cases[-1].verdict, "pass", run.cases[-1].text)


if __name__ == "__main__":
    main()
