# SPDX-License-Identifier: BSD-3-Clause
"""docs/contract.md and the tests that it names belong together.

Each test in the table exists, and each test of the contract's chapters is in the table.

    python3 test_contract.py ROOT
"""

import pathlib
import re
import sys
import tempfile
import unittest

ROOT = None

TABLE = "docs/contract.md"
SOURCES = "libserver/tests"
DEFINED = re.compile(r"^TEST\((\w+)\)", re.MULTILINE)
REGISTERED = re.compile(r"^    VU_FD_TEST\((\w+)\),", re.MULTILINE)
NAMED = re.compile(r"`(c\d\w*|\w+_L\d+)`")
RESULTS = ("as the contract", "ours differs")


def rows(root):
    """Rows of the tables: chapter, bullet, tests, result."""
    for line in (root / TABLE).read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.startswith("|") and "`" in line:
            yield line, cells


def sources(root):
    names = [*(root / SOURCES).glob("chapter_*.c"), root / SOURCES / "rules.c"]
    return [path for path in sorted(names) if path.is_file()]


def problems(root):
    """One line for each disagreement."""
    found, defined, named = [], [], set()
    for path in sources(root):
        text = path.read_text(encoding="utf-8")
        here = DEFINED.findall(text)
        defined += here
        for name in sorted(set(here) ^ set(REGISTERED.findall(text))):
            found.append(f"{path.name}: {name} is defined or registered, not both")
    for line, cells in rows(root):
        tests = NAMED.findall(line)
        named |= set(tests)
        if len(cells) != 4 or not cells[3].startswith(RESULTS):
            found.append(f"{TABLE}: no result in: {line}")
        for name in tests:
            if name not in defined:
                found.append(f"{TABLE}: there is no test {name}")
    for name in sorted(set(defined) - named):
        found.append(f"{TABLE}: {name} is missing")
    for name in sorted({n for n in defined if defined.count(n) > 1}):
        found.append(f"{name} is defined twice")
    return found


class TheCheck(unittest.TestCase):
    """Planted disagreements are found; otherwise the test below would mean nothing."""

    ROW = "| 2.1 | a bullet | `c2_1_a` | as the contract |\n"
    SOURCE = "TEST(c2_1_a)\n{\n}\n    VU_FD_TEST(c2_1_a),\n"

    def check(self, table, source, expected):
        with tempfile.TemporaryDirectory() as name:
            root = pathlib.Path(name)
            (root / "docs").mkdir()
            (root / SOURCES).mkdir(parents=True)
            (root / TABLE).write_text(table)
            (root / SOURCES / "chapter_2_1.c").write_text(source)
            self.assertEqual(len(problems(root)), expected, (table, source))

    def test_finds_disagreements(self):
        self.check(self.ROW, self.SOURCE, 0)
        self.check("", self.SOURCE, 1)
        self.check(self.ROW, "", 1)
        self.check(self.ROW, "TEST(c2_1_a)\n", 1)
        self.check(self.ROW.replace("as the contract", "maybe"), self.SOURCE, 1)
        self.check(self.ROW, 2 * self.SOURCE, 1)


class TheTree(unittest.TestCase):
    def test_names_each_test_of_the_contract(self):
        self.assertGreater(len(sources(ROOT)), 15, "sources not found")
        self.assertEqual(problems(ROOT), [])


if __name__ == "__main__":
    ROOT = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
