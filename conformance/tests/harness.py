# SPDX-License-Identifier: BSD-3-Clause
"""What the runner's tests share: running it, reading its TAP, checking what it leaves."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
RUNNER = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else None
FAKE = os.path.join(HERE, "fake_server.py")


def suite(name):
    return os.path.join(HERE, "suite-" + name)


def spawn(mode="ok"):
    return ["--spawn", "/usr/bin/python3 -I %s %s {socket}" % (FAKE, mode)]


class Case:
    """One test line with the lines that belong to it."""

    def __init__(self, ok, number, name, title, skip):
        self.ok, self.number, self.name, self.title, self.skip = ok, number, name, title, skip
        self.text = ""

    def field(self, key):
        m = re.search(r"^  %s: '?(.*?)'?$" % key, self.text, re.M)
        return m.group(1) if m else None

    @property
    def verdict(self):
        if self.skip is not None:
            return "skip"
        return self.field("verdict") or ("pass" if self.ok else "?")


class Run:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err
        self.cases = []
        current = None
        for line in out.splitlines():
            m = re.match(r"(ok|not ok) (\d+) - (\S+) (.*?)(?: # SKIP (.*))?$", line)
            if m:
                current = Case(m.group(1) == "ok", int(m.group(2)), m.group(3), m.group(4),
                               m.group(5))
                self.cases.append(current)
            elif line == "#":
                current = None
            elif current:
                current.text += line + "\n"

    def __getitem__(self, name):
        return next(c for c in self.cases if c.name == name)

    @property
    def verdicts(self):
        return [c.verdict for c in self.cases]


class RunnerTest(unittest.TestCase):
    """Runs the runner with a private TMPDIR, which must be empty afterwards: nothing of a
    server's directory may be left, nor a process that lives in one."""

    maxDiff = None

    def setUp(self):
        self.tmp = tempfile.mkdtemp(prefix="ct", dir="/tmp")
        self.env = dict(os.environ, TMPDIR=self.tmp)
        self.addCleanup(shutil.rmtree, self.tmp, True)

    def start(self, *args, **kwargs):
        return subprocess.Popen([RUNNER, *args], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env=self.env,
                                errors="surrogateescape", **kwargs)

    def finish(self, process):
        out, err = process.communicate(timeout=150)
        self.assert_nothing_left()
        return Run(process.returncode, out, err)

    def run_it(self, *args):
        return self.finish(self.start(*args))

    def plain(self, mode, *args):
        return self.run_it(*spawn(mode), "--suite", suite("plain"), "--timeout", "1", *args)

    def suite_of(self, text, name="case.lua"):
        """A directory with one file of cases."""
        where = tempfile.mkdtemp(prefix="suite", dir="/tmp")
        self.addCleanup(shutil.rmtree, where, True)
        with open(os.path.join(where, name), "w") as f:
            f.write(text)
        return where

    def assert_nothing_left(self):
        self.assertEqual(os.listdir(self.tmp), [])
        self.wait_until(lambda: not self.processes(), "a process is left")

    def processes(self):
        """Those whose command line names our private directory."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % pid, "rb") as f:
                    line = f.read()
            except OSError:
                continue
            if self.tmp.encode() + b"/" in line:
                found.append(int(pid))
        return found

    def wait_until(self, condition, what, seconds=20):
        deadline = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.01)


def main():
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=1)
