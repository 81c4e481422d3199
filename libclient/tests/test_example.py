# SPDX-License-Identifier: BSD-3-Clause
"""The guide's examples do what the guide says, and the guide quotes them truthfully.

    python3 test_example.py FOLDER SERVER ROOT
"""

import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest

FOLDER = SERVER = ROOT = None
NAMES = ("peek", "loop", "move")


def quotes():
    guide = (ROOT / "docs/driving-a-device.md").read_text()
    return re.findall(r"^```c\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)


def run(name, *paths):
    return subprocess.run([FOLDER / f"example_{name}", *paths], capture_output=True,
                          text=True, timeout=60)


class Server:
    """One of our sample devices, on a socket of its own."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = self.folder.name + "/dev.sock"
        self.process = subprocess.Popen([SERVER, self.path], stdout=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while not pathlib.Path(self.path).exists() and time.monotonic() < end:
            time.sleep(0.01)
        return self

    def __exit__(self, *args):
        self.process.terminate()
        self.process.wait(20)
        self.folder.cleanup()


class Examples(unittest.TestCase):
    def check(self, ran, *lines):
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        for line in lines:
            self.assertRegex(ran.stdout, re.compile(line, re.MULTILINE))

    def test_every_quote_is_in_a_source(self):
        sources = [(ROOT / f"libclient/tests/example_{name}.c").read_text()
                   for name in NAMES]
        self.assertGreater(len(quotes()), 12)
        for quote in quotes():
            self.assertTrue(any(quote in source for source in sources), quote)

    def test_peek_shows_a_device(self):
        with Server() as server:
            self.check(run("peek", server.path),
                       r"^9 regions, 5 kinds of interrupts$",
                       r"^region 7: \d+ bytes, readable, writeable$",
                       r"^  mappable: \d+ bytes at (0|0x[0-9a-f]+)$",
                       r"^vendor [0-9a-f]{4}, device [0-9a-f]{4}$",
                       r"^region \d begins with [0-9a-f]{2} where it is mapped$",
                       r"^the device may use 65536 bytes of our memory$",
                       r"^interrupt \d came 1 time\(s\)$")
        self.assertEqual(server.process.returncode, 0)

    def test_peek_says_why_it_cannot_connect(self):
        ran = run("peek", "/nonexistent/dev.sock")
        self.assertEqual(ran.returncode, 1)
        self.assertIn("nobody accepts connections there (No such file", ran.stderr)

    def test_loop_completes_what_it_submitted_and_connects_again(self):
        with Server() as server:
            ran = run("loop", server.path)
        self.check(ran, r"^interrupt 0 came 1 time\(s\)$", r"^word 0: 56461234$",
                   r"^word 15: [0-9a-f]{8}$",
                   r"^connected again, memory and interrupts are back$")
        self.assertEqual(len(re.findall(r"^word \d+: [0-9a-f]{8}$", ran.stdout,
                                        re.MULTILINE)), 16)

    def test_move_brings_a_device_to_another_server(self):
        with Server() as source, Server() as destination:
            self.check(run("move", source.path, destination.path),
                       r"^round 0: [1-9]\d* bytes$", r"^stopped: [1-9]\d* bytes$")


if __name__ == "__main__":
    FOLDER, SERVER, ROOT = sys.argv[1:4]
    ROOT = pathlib.Path(ROOT)
    FOLDER = pathlib.Path(FOLDER)
    unittest.main(argv=sys.argv[:1], verbosity=2)
