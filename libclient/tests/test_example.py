# SPDX-License-Identifier: BSD-3-Clause
"""The guide's example does what the guide says, and the guide quotes it truthfully.

    python3 test_example.py EXAMPLE SERVER ROOT
"""

import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest

EXAMPLE = SERVER = ROOT = None


def source():
    return (ROOT / "libclient/tests/example_peek.c").read_text()


def quotes():
    guide = (ROOT / "docs/driving-a-device.md").read_text()
    return re.findall(r"^```c\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)


def peek(path):
    return subprocess.run([EXAMPLE, path], capture_output=True, text=True, timeout=60)


class Example(unittest.TestCase):
    def test_every_quote_is_in_the_source(self):
        self.assertGreater(len(quotes()), 5)
        for quote in quotes():
            self.assertIn(quote, source())

    def test_example_shows_a_device(self):
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/dev.sock"
            with subprocess.Popen([SERVER, path]) as server:
                try:
                    end = time.monotonic() + 20
                    run = peek(path)
                    while "nobody accepts" in run.stderr and time.monotonic() < end:
                        time.sleep(0.01)
                        run = peek(path)
                finally:
                    server.terminate()
            self.assertEqual((run.returncode, run.stderr), (0, ""))
            self.assertEqual(server.returncode, 0)
            for line in (r"^9 regions, 5 kinds of interrupts$",
                         r"^region 7: \d+ bytes, readable, writeable$",
                         r"^  mappable: \d+ bytes at (0|0x[0-9a-f]+)$",
                         r"^vendor [0-9a-f]{4}, device [0-9a-f]{4}$",
                         r"^region \d begins with [0-9a-f]{2} where it is mapped$",
                         r"^the device may use 65536 bytes of our memory$",
                         r"^interrupt \d came 1 time\(s\)$"):
                self.assertRegex(run.stdout, re.compile(line, re.MULTILINE))

    def test_example_says_why_it_cannot_connect(self):
        run = peek("/nonexistent/dev.sock")
        self.assertEqual(run.returncode, 1)
        self.assertIn("nobody accepts connections there (No such file", run.stderr)


if __name__ == "__main__":
    EXAMPLE, SERVER, ROOT = sys.argv[1:4]
    ROOT = pathlib.Path(ROOT)
    unittest.main(argv=sys.argv[:1], verbosity=2)
