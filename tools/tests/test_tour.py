# SPDX-License-Identifier: BSD-3-Clause
"""docs/vfu-tour.md says what the commands in it say.

usage: test_tour.py BUILD_DIR ROOT
"""

import pathlib
import subprocess
import sys
import tempfile
import unittest

BUILD, ROOT = (pathlib.Path(path).resolve() for path in sys.argv[1:3])
del sys.argv[1:3]


def check(page):
    return subprocess.run([sys.executable, ROOT / "scripts/transcript", "--check", BUILD,
                           page], capture_output=True, text=True, timeout=300, check=False)


class Tour(unittest.TestCase):
    def test_tour_is_true(self):
        ran = check(ROOT / "docs/vfu-tour.md")
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)

    def test_tour_that_is_not_true_is_noticed(self):
        text = (ROOT / "docs/vfu-tour.md").read_text()
        for old, new in (("PCI device, can be reset", "PCI device"),
                         ("(exit status 2)\n", "")):
            self.assertIn(old, text)
            with tempfile.NamedTemporaryFile("w", suffix=".md") as page:
                page.write(text.replace(old, new, 1))
                page.flush()
                ran = check(page.name)
            self.assertEqual(ran.returncode, 1, ran.stderr)
            self.assertIn("+" + old.strip() if new == "" else "+dev.sock: " + old,
                          ran.stdout)


if __name__ == "__main__":
    unittest.main()
