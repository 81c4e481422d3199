# SPDX-License-Identifier: BSD-3-Clause
"""The manual of vfu: complete, correct to its tools, and with examples that are true.

An example is a block between .EX and .EE. Its lines that begin with "$ " are run by a shell,
with /run/dev.sock standing for a fresh sample server; the lines behind are what is printed. A
line "..." stands for any number of lines, and times and counts of rounds may differ.

usage: test_man.py VFU SERVER ROOT [unittest arguments]
"""

import os
import re
import shutil
import subprocess
import unittest

import harness

PAGES = harness.ROOT / "docs/man"
SOCKET = "/run/dev.sock"
# Pages whose examples need nothing but a sample server.
SELF_CONTAINED = ("vfu", "vfu-config", "vfu-dma", "vfu-feature", "vfu-info", "vfu-irq",
                  "vfu-lspci", "vfu-read", "vfu-reset", "vfu-watch", "vfu-write")
VARIES = (
    (re.compile(r"\b\d\d:\d\d:\d\d\.\d+\b"), "TIME"),
    (re.compile(r"\bin \d+ rounds?, \d+\.\d s$"), "in N rounds, T s"),
    (re.compile(r"^ +\d+\.\d{6} s  "), "TIME  "),
    (re.compile(r"\bin \d+\.\d s(?: \(\d+\.\d/s\))?$"), "in T s"),
)


def plain(text):
    """A line of an example without its roff."""
    for roff, character in ((r"\(aq", "'"), (r"\(dq", '"'), (r"\-", "-"), (r"\&", ""),
                            (r"\e", "\\"), (r"\(ti", "~"), (r"\(ha", "^")):
        text = text.replace(roff, character)
    return text


def examples(page):
    """[(commands and what they print)] of a page: [[(command, [line])]]."""
    blocks, block = [], None
    for line in page.read_text().splitlines():
        if line == ".EX":
            block = []
        elif line == ".EE":
            blocks.append(block)
            block = None
        elif block and block[-1][0].endswith("\\"):
            block[-1] = (block[-1][0] + "\n" + plain(line), [])
        elif block is not None and line.startswith("$ "):
            block.append((plain(line[2:]), []))
        elif block is not None:
            block[-1][1].append(plain(line))
    return blocks


def as_pattern(lines):
    """A regular expression for what is printed."""
    pattern = ""
    for line in lines:
        if line == "...":
            pattern += r"(?:.*\n)*"
            continue
        for varies, name in VARIES:
            line = varies.sub(name, line)
        pattern += re.escape(line) + r"\n"
    return re.compile(pattern)


class Examples(harness.Case):
    def run_line(self, command, path):
        environment = dict(os.environ, PATH="%s:%s" % (harness.VFU.parent,
                                                       os.environ["PATH"]))
        done = subprocess.run(["sh", "-c", command.replace(SOCKET, path)], text=True,
                              cwd=self.folder, env=environment, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=harness.DEADLINE)
        text = done.stdout.replace(path, SOCKET)
        for varies, name in VARIES:
            text = "\n".join(varies.sub(name, line) for line in text.split("\n"))
        return text

    def check_page(self, name):
        blocks = examples(PAGES / (name + ".1"))
        self.assertTrue(blocks, name)
        path = self.server(name + ".sock")
        for command, lines in (pair for block in blocks for pair in block):
            missing = [word for word in ("jq",) if word in command.split()
                       and shutil.which(word) is None]
            if missing:
                print("%s: an example is left out, there is no %s" % (name, missing[0]))
                continue
            with self.subTest(page=name, command=command):
                self.assertRegex(self.run_line(command, path),
                                 re.compile(r"\A%s\Z" % as_pattern(lines).pattern))

    def test_of_every_page_are_true(self):
        self.assertEqual(harness.VFU.name, "vfu")
        for name in SELF_CONTAINED:
            self.check_page(name)


class Pages(harness.Case):
    def commands(self):
        return [name for name in self.vfu("__complete", "1", "vfu", "").split()
                if name != "help"]

    def options(self, command):
        return [line.rstrip("=") for line in self.vfu("__options", command).split()]

    def text(self, name):
        page = PAGES / (name + ".1")
        self.assertTrue(page.is_file(), "%s has no manual page" % name)
        return plain(page.read_text())

    def test_every_command_has_one_that_names_its_options(self):
        common = ["--json", "--timeout", "--color", "--help"]
        for option in common + ["--version"]:
            self.assertIn(option, self.text("vfu"))
        for command in self.commands():
            with self.subTest(command=command):
                text = self.text("vfu-" + command)
                self.assertIn(".SH EXAMPLES", text)
                self.assertIn("vfu", text.split(".SH SEE ALSO")[-1])
                for option in self.options(command):
                    if option not in common:
                        self.assertIn(option, text)
                if "--json" in self.options(command):
                    self.assertTrue("--json" in text or ".SH JSON" in text)

    def test_every_page_is_of_a_command_and_vfu_lists_it(self):
        overview = self.text("vfu")
        for page in PAGES.glob("vfu-*.1"):
            name = page.stem[len("vfu-"):]
            self.assertIn(name, self.commands())
            self.assertIn(".BR vfu-%s (1)" % name, overview)

    def test_no_page_names_an_option_that_is_not_there(self):
        for command in self.commands():
            with self.subTest(command=command):
                known = self.options(command) + ["--version", "--json"]
                text = self.text("vfu-" + command).split(".SH EXAMPLES")[0]
                for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", text):
                    self.assertIn(option, known)

    def test_the_exit_codes_are_those_of_help(self):
        overview = self.text("vfu").split(".SH EXIT STATUS")[1].split(".SH")[0]
        listed = re.findall(r"^  (\d)  ", self.vfu("--help"), re.MULTILINE)
        self.assertEqual(re.findall(r"^\.B (\d)$", overview, re.MULTILINE), listed)

    def lint(self, program, *arguments):
        for page in sorted(PAGES.glob("vfu*.1")):
            done = subprocess.run([program, *arguments, page], capture_output=True,
                                  text=True, check=False,
                                  env=dict(os.environ, LC_ALL="C.UTF-8", MANWIDTH="80"))
            # A page has the date of its release, which is none of its own.
            said = [line for line in (done.stderr.splitlines() + done.stdout.splitlines())
                    if "missing date" not in line]
            self.assertEqual(said if program == "mandoc" else done.stderr.splitlines(), [])

    @unittest.skipIf(shutil.which("man") is None or shutil.which("groff") is None,
                     "there is no man")
    def test_man_has_no_warnings(self):
        self.lint("man", "--warnings", "-l", "-Tutf8", "-Z")

    @unittest.skipIf(shutil.which("mandoc") is None, "there is no mandoc")
    def test_mandoc_has_no_warnings(self):
        self.lint("mandoc", "-Tlint", "-Wwarning")


if __name__ == "__main__":
    harness.main()
