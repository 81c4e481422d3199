# SPDX-License-Identifier: BSD-3-Clause
"""Each command of vfu, with each of its own allocations and system calls failing in turn.

What fails is told in words and by the exit code; nothing crashes, hangs, or is taken for
done. (A failure that does not matter to the command may go unnoticed.)
"""

import os
import signal
import subprocess

import harness
import sessions

FAILING = harness.VFU.parent / "tests/failing_vfu"
MOST = 100000       # calls of one run
# Without memory for JSON the program ends at once, with all that it has.
KEEPS_MEMORY = "--json", "bench", "migrate"


def after(at, every):
    """The next call to fail: each of the first ones, then in growing steps."""
    return at + 1 + at // every


class FailingCalls(harness.Case):
    def run_with(self, at, words):
        """(whether call number `at` was reached, result)"""
        mark = self.path("reached")
        environment = dict(os.environ, VFU_FAILS_AT=str(at), VFU_FAILED=mark)
        if set(words) & set(KEEPS_MEMORY):
            environment["ASAN_OPTIONS"] = (os.environ.get("ASAN_OPTIONS", "")
                                           + ":detect_leaks=0")
        done = subprocess.run(
            [FAILING, *map(str, words)], text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=harness.DEADLINE,
            cwd=self.folder, check=False, errors="surrogateescape", env=environment)
        if not os.path.exists(mark):
            return False, done
        os.unlink(mark)
        return True, done

    def check(self, *words, prepare=lambda: None, same_output=True, kept=None,
              codes=(harness.OK, harness.LOST, harness.FAILED)):
        """Every call of this command fails once. Unless that is told, the output is the
        same, or has `kept` at least as often."""
        prepare()
        reached, good = self.run_with(0, words)
        self.assertEqual((reached, good.returncode), (False, 0), good.stdout + good.stderr)
        told = 0
        at = 1
        while True:
            prepare()
            reached, done = self.run_with(at, words)
            if not reached:
                break
            text = "call %d of vfu %s\n%s" % (at, " ".join(map(str, words)), done.stderr)
            self.no_report(done.stderr)
            self.assertIn(done.returncode, codes, text)
            if done.returncode not in (harness.OK, harness.REFUSED):
                told += 1
                self.assertRegex(done.stderr, r"(?m)^vfu\b.*: .", text)
            elif kept:
                self.assertGreaterEqual(done.stdout.count(kept), good.stdout.count(kept),
                                        text)
            elif same_output:
                self.assertTrue(done.stdout == good.stdout, text + done.stdout)
            at = after(at, 100)
            self.assertLess(at, MOST)
        self.assertGreater(told, 0)
        self.assertEqual(done.returncode, harness.OK)


class Live(FailingCalls):
    """Commands that look at one device, or change what is the same again afterwards."""

    def setUp(self):
        super().setUp()
        self.socket = self.server()

    def test_info(self):
        self.check("info", self.socket)
        self.check("info", self.socket, "--json")

    def test_lspci(self):
        self.check("lspci", self.socket, "-vvx")
        self.check("lspci", self.socket, "--json", "-x")

    def test_read(self):
        self.check("read", self.socket, "bar0", "0", "64")
        self.check("read", self.socket, "bar0", "0", "64", "--json")
        self.check("read", self.socket, "bar0", "0", "64", "--width", "4", "--json")
        self.check("read", self.socket, "bar0", "0", "64", "--output", self.path("bytes"))
        self.check("read", self.socket, "bar2", "0", "64", "--mmap")
        self.check("config", self.socket)

    def test_write(self):
        self.check("write", self.socket, "bar0", "0xc", "1", "--check")
        self.check("write", self.socket, "bar2", "0", "1", "--mmap")
        self.check("write", self.socket, "bar1", "0", "--fill", "1", "--length", "1K")
        with open(self.path("bytes"), "wb") as file:
            file.write(b"1234")
        self.check("write", self.socket, "bar0", "0xc", "--input", self.path("bytes"))
        self.check("reset", self.socket)

    def test_watch(self):
        for more in [], ["--json"]:
            self.check("watch", self.socket, "bar0", "0xc", "--write", "bar0:0xc=7",
                       "--count", "1", *more, same_output=False)

    def test_feature(self):
        self.check("feature", self.socket)
        self.check("feature", self.socket, "--json")

    def test_irq(self):
        fire = "--write", "bar0:0x30=2"
        self.check("irq", self.socket, "msix", *fire, "--for", "0.01", same_output=False)
        self.check("irq", self.socket, "msix", *fire, "--for", "0.01", "--json",
                   same_output=False)

    def test_dma(self):
        for more in [], ["--no-fd"], ["--log"], ["--json"]:
            self.check("dma", self.socket, "0", "8K", "--for", "0.01", *more,
                       same_output="--json" not in more)

    def test_bench(self):
        few = "--count", "4", "--sizes", "4", "--pipeline", "2"
        self.check("bench", self.socket, *few, "--json", same_output=False)
        self.check("bench", self.socket, *few, "--write", "--irq", "msix", "--migration",
                   same_output=False)

    def test_migrate(self):
        destination = self.server("destination.sock")

        def reset():
            self.vfu("reset", self.socket)
            self.vfu("reset", destination)

        for words in (["save", self.socket, self.path("state")],
                      ["restore", destination, self.path("state"), "--json"],
                      ["--check", self.socket, destination]):
            self.check("migrate", *words, prepare=reset, same_output=False)


class Recordings(FailingCalls, sessions.Case):
    def use(self, path):
        """Sessions of which nothing depends on time, as far as there is a server."""
        for words in (["info", path], ["read", path, "bar2", "0", "64", "--mmap"],
                      ["dma", path, "0", "8K", "--for", "0.01"],
                      ["irq", path, "msix", "--write", "bar0:0x30=2", "--for", "0.05"]):
            self.call(*words)

    def prepared(self):
        recorder = self.recorder(self.server())
        self.use(recorder.path)
        recorder.wait_for("the client closed the connection", 4)
        recorder.stop()

    def test_decode(self):
        self.prepared()
        for more in [], ["--json"], ["--pcapng"]:
            self.check("decode", "rec.pcapng", *more)
        # What cannot be shown as fields is there as bytes; no expectation is left out.
        self.check("decode", "rec.pcapng", "--lua", kept="same(")

    def test_replay(self):
        """What cannot be made is a difference, too."""
        self.prepared()
        codes = harness.OK, harness.REFUSED, harness.LOST, harness.FAILED
        for more in [], ["--json"]:
            self.check("replay", self.server("again.sock" + "".join(more)), "rec.pcapng",
                       *more, same_output=False, codes=codes)

    def record(self, at, target):
        """(whether call number `at` was reached, exit code, what it complained)"""
        mark, path = self.path("reached"), self.path("relay.sock")
        process = subprocess.Popen(
            [FAILING, "record", path, target, self.path("out.pcapng")], text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            cwd=self.folder, env=dict(os.environ, VFU_FAILS_AT=str(at), VFU_FAILED=mark))
        self.addCleanup(process.kill)
        line = process.stderr.readline()
        if "connect to " in line:
            self.use(path)
            process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=harness.DEADLINE)
        self.no_report(line + err)
        reached = os.path.exists(mark)
        if reached:
            os.unlink(mark)
        self.assertFalse(os.path.exists(path), "the socket's file is left")
        return reached, process.returncode, line + err

    def test_record(self):
        target = self.server()
        at, told, reached = 0, 0, True
        while at <= 1 or reached:
            reached, status, err = self.record(at, target)
            self.assertIn(status, (harness.OK, harness.FAILED), "call %d: %s" % (at, err))
            if status == harness.FAILED:
                told += 1
                self.assertRegex(err, r"(?m)^vfu record: .", "call %d" % at)
            at = after(at, 20)
            self.assertLess(at, MOST)
        self.assertGreater(told, 0)


if __name__ == "__main__":
    harness.main()
