# SPDX-License-Identifier: BSD-3-Clause
"""What bash offers at each place of a command line of vfu.

usage: test_completion.py VFU SERVER ROOT [unittest arguments]
"""

import os
import pathlib
import shutil
import socket
import subprocess
import sys
import unittest

import harness

SCRIPT = harness.ROOT / "tools/completion/vfu"

# Take the words apart as bash would, run the function, print what it found.
DRIVER = """
source "$1" || exit 1
COMP_WORDS=("${@:2}")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_vfu
printf '%s\\n' "${COMPREPLY[@]}"
"""


class Completion(harness.Case):
    def offers(self, *words):
        """The candidates for the last of the words, which follow "vfu"."""
        done = subprocess.run(["bash", "-c", DRIVER, "bash", SCRIPT, harness.VFU, *words],
                              cwd=self.folder, capture_output=True, text=True, check=False,
                              timeout=harness.DEADLINE)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout.split()

    def test_commands(self):
        self.assertEqual(self.offers("inf"), ["info"])
        self.assertIn("help", self.offers(""))
        self.assertIn("read", self.offers(""))
        self.assertEqual(self.offers("re"), [name for name in self.offers("")
                                             if name.startswith("re")])
        self.assertEqual(self.offers("help", "inf"), ["info"])
        self.assertEqual(self.offers("help", "info", ""), [])
        self.assertEqual(self.offers("nonsense", ""), [])

    def test_commands_behind_options(self):
        self.assertEqual(self.offers("--json", "inf"), ["info"])
        self.assertEqual(self.offers("-t", "3", "inf"), ["info"])
        self.assertEqual(self.offers("--timeout", "=", "3", "inf"), ["info"])

    def test_options_of_the_command_and_common_ones(self):
        self.assertEqual(self.offers("read", "--w"), ["--width"])
        self.assertEqual(self.offers("info", "--w"), [])
        self.assertEqual(self.offers("read", "s", "bar0", "--ti"), ["--timeout"])
        self.assertIn("--version", self.offers("--"))
        self.assertNotIn("--json", self.offers("reset", "--"))
        self.assertEqual(self.offers("read", "--", "--w"), [])

    def test_values_of_options(self):
        self.assertEqual(self.offers("info", "--color", ""), ["auto", "always", "never"])
        self.assertEqual(self.offers("info", "--color", "=", "al"), ["always"])
        self.assertEqual(self.offers("info", "--color", "="), ["auto", "always", "never"])
        self.assertEqual(self.offers("read", "-w", ""), ["1", "2", "4", "8"])
        pathlib.Path(self.path("data")).touch()
        self.assertEqual(self.offers("read", "--output", "da"), ["data"])
        self.assertEqual(self.offers("info", "--timeout", ""), [])

    def test_sockets_and_folders_where_a_socket_is_wanted(self):
        pathlib.Path(self.path("dev.txt")).touch()
        os.mkdir(self.path("dev.d"))
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(self.path("dev.sock"))
            for command in "info", "read", "feature":
                self.assertEqual(sorted(self.offers(command, "dev")), ["dev.d", "dev.sock"])
            self.assertEqual(self.offers("-j", "info", "--timeout", "3", "dev.s"),
                             ["dev.sock"])

    def test_names_in_their_positions(self):
        self.assertEqual(self.offers("read", "s", "bar"), ["bar%d" % i for i in range(6)])
        self.assertEqual(self.offers("read", "-w", "4", "s", "co"), ["config"])
        self.assertEqual(self.offers("read", "s", "bar0", ""), [])
        self.assertEqual(self.offers("write", "s", "r"), ["rom"])
        self.assertEqual(self.offers("feature", "s", "mig"),
                         ["migration", "mig-device-state"])
        self.assertEqual(self.offers("feature", "s", "1", ""), ["get", "set", "probe"])
        self.assertEqual(self.offers("info", "s", ""), [])

    def test_a_place_of_several_forms_is_offered_once(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(self.path("dev.sock"))
            self.assertEqual(self.offers("feature", "dev"), ["dev.sock"])
            self.assertEqual(self.offers("write", "dev"), ["dev.sock"])
        self.assertEqual(self.offers("write", "s", "r"), ["rom"])

    def test_a_form_is_offered_only_behind_its_own_words(self):
        pathlib.Path(self.path("data")).touch()
        self.assertEqual(self.offers("migrate", "sa"), ["save"])
        self.assertEqual(self.offers("migrate", "save", "s", "da"), ["data"])
        self.assertEqual(self.offers("migrate", "source", "da"), [])
        self.assertEqual(self.offers("migrate", "source", "destination", "da"), [])

    def test_the_program_survives_any_line(self):
        for words in (("99", "vfu"), ("0",), ("1",), ("x", "vfu"), (), ("0", "vfu"),
                      ("1", "vfu", ""), ("3", "vfu", "read", "--width"),
                      ("2", "vfu", "-"), ("2", "vfu", "read", "="), ("9", "", "", "")):
            done = self.call("__complete", *words)
            self.assertIn(done.returncode, (harness.OK, harness.USAGE), words)

    def test_it_is_registered_for_vfu(self):
        done = subprocess.run(["bash", "-c", 'source "$1" && complete -p vfu', "bash", SCRIPT],
                              capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout, "complete -F _vfu vfu\n")


if __name__ == "__main__":
    if shutil.which("bash") is None:
        print("there is no bash")
        sys.exit(77)
    harness.main()
