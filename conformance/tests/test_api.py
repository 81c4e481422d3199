#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The scenario language, tested in itself against a server that can do everything.

    test_api.py RUNNER MUTANT_SERVER
"""
import sys

from harness import RunnerTest, main, suite

SERVER = sys.argv.pop(2)


class Api(RunnerTest):
    def test_suite(self):
        run = self.run_it("--spawn", SERVER + " {socket}", "--suite", suite("api"), "-j", "2")
        self.assertGreater(len(run.cases), 25, run.err)
        for case in run.cases[:-1]:
            self.assertEqual(case.verdict, "pass", case.title + "\n" + case.text)
        last = run.cases[-1]    # the one that must not pass
        self.assertEqual(last.verdict, "fail", run.out)
        self.assertIn("its file is shorter), at api.lua:", last.text)
        self.assertEqual(run.status, 1)


if __name__ == "__main__":
    main()
