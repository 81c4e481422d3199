# SPDX-License-Identifier: BSD-3-Clause
"""What a blocking register read costs in instructions, counted by callgrind.

The client is compiled with -O2 for this, whatever the build at hand, so that there is one
limit. Two runs of different length are compared: what happens once falls out.

    python3 test_instructions.py ROOT COMPILER
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path()
COMPILER = ""

LIMIT = 2500        # instructions in the client, the C library included, the kernel not
SHORT, LONG = 10, 1010


def build(folder):
    """The measured program with both folders of sources in it."""
    program = folder / "cost_read"
    json_c = subprocess.run(["pkg-config", "--cflags", "--libs", "json-c"], check=True,
                            capture_output=True, text=True).stdout.split()
    sources = [*sorted((ROOT / "libclient").glob("*.c")), *sorted((ROOT / "wire").glob("*.c")),
               ROOT / "libclient/tests/cost_read.c"]
    subprocess.run([COMPILER, "-std=c11", "-O2", "-D_GNU_SOURCE", f"-I{ROOT}",
                    f"-I{ROOT}/libclient/include", *map(str, sources), "-o", str(program),
                    *json_c, "-lpthread"], check=True)
    return program


def count(program, folder, reads):
    """Instructions in vfuc_region_read() and below."""
    run = subprocess.run(
        ["valgrind", "--tool=callgrind", "--toggle-collect=vfuc_region_read",
         f"--callgrind-out-file={folder}/out.{reads}", str(program), str(reads)],
        check=True, capture_output=True, text=True)
    return int(re.search(r"Collected : (\d+)", run.stderr).group(1))


class BlockingRead(unittest.TestCase):
    def test_is_below_the_limit(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            program = build(folder)
            once = count(program, folder, SHORT)
            more = count(program, folder, LONG)
        each = (more - once) / (LONG - SHORT)
        print(f"{each:.0f} instructions for a blocking read of 4 bytes", file=sys.stderr)
        self.assertGreater(each, 300, "nothing was counted")
        self.assertLess(each, LIMIT)


if __name__ == "__main__":
    ROOT, COMPILER = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    for tool in ("valgrind", "pkg-config"):
        if shutil.which(tool) is None:
            print(f"skipped: {tool} is not installed")
            sys.exit(77)
    unittest.main(argv=sys.argv[:1], verbosity=2)
