# SPDX-License-Identifier: BSD-3-Clause
"""A program that was linked with libvfio-user's shared object starts with ours.

The library's own object has no symbol versions, so neither has what a program asks of it.
Here a stand-in with the same soname and the same 34 names is what programs are linked
with; then they run with ours, all symbols bound at start. The other way round too: what is
linked with ours without using its additions starts with the stand-in. And linkers differ
in what they make of a version script, so each that is there links our object again.

    python3 test_drop_in.py --cc gcc --shared libvfio-user.so.0.0.1 --map libvfio-user.map
        --include libserver/include --archive libvfio-user.a --archive libvfio-user-wire.a
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import test_symbols     # noqa: E402

OPTIONS = None


def run(*command, **more):
    return subprocess.run([str(part) for part in command], text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)


class DropIn(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        # The headers under the name that installed ones have.
        (self.folder / "vfio-user").symlink_to(OPTIONS.include)

    def ok(self, *command, **more):
        result = run(*command, **more)
        self.assertEqual(result.returncode, 0, f"{command}\n{result.stdout}")
        return result.stdout

    def stand_in(self):
        """An object with the soname and the names of libvfio-user, without versions."""
        folder = self.folder / "stand-in"
        folder.mkdir()
        source = folder / "stand-in.c"
        source.write_text("".join(
            f"void *{name}(void);\nvoid *{name}(void) {{ return 0; }}\n"
            for name in sorted(test_symbols.LIBVFIO_USER)))
        library = folder / "libvfio-user.so.0"
        self.ok(OPTIONS.cc, "-shared", "-fPIC", "-Wl,-soname,libvfio-user.so.0", source,
                "-o", library)
        (folder / "libvfio-user.so").symlink_to(library.name)
        self.assertEqual(test_symbols.exported(library),
                         dict.fromkeys(test_symbols.LIBVFIO_USER))
        return folder

    def ours(self):
        folder = self.folder / "ours"
        if folder.exists():
            return folder
        folder.mkdir()
        for name in ("libvfio-user.so.0", "libvfio-user.so"):
            (folder / name).symlink_to(OPTIONS.shared)
        return folder

    def program(self, library, names):
        (self.folder / "table.h").write_text("".join(f"X({name})\n"
                                                     for name in sorted(names)))
        program = self.folder / "consumer"
        self.ok(OPTIONS.cc, "-std=c11", "-D_GNU_SOURCE", "-DUSE_SERVER",
                '-DAPI_TABLE="table.h"', f"-I{self.folder}", HERE / "consumer.c",
                f"-L{library}", "-lvfio-user", "-o", program)
        return program

    def start(self, program, library):
        environment = dict(os.environ, LD_LIBRARY_PATH=str(library), LD_BIND_NOW="1")
        return run(program, self.folder / "socket", env=environment)

    def test_a_program_linked_with_libvfio_user_runs_with_this_library(self):
        program = self.program(self.stand_in(), test_symbols.LIBVFIO_USER)
        needs = self.ok("readelf", "-V", program)
        self.assertNotIn(test_symbols.EXTENSION, needs)
        result = self.start(program, self.ours())
        self.assertEqual((result.returncode, result.stdout), (0, "34 functions\n"))

    def test_what_has_no_use_for_additions_is_not_bound_to_them(self):
        program = self.program(self.ours(), test_symbols.LIBVFIO_USER)
        result = self.start(program, self.stand_in())
        # The stand-in makes no context: the program got that far.
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn("vfu_create_ctx", result.stdout)

    def test_what_uses_an_addition_does_not_start_with_another_library(self):
        program = self.program(self.ours(), {"vfu_irq_trigger_type"})
        self.assertEqual(self.start(program, self.ours()).returncode, 0)
        result = self.start(program, self.stand_in())
        self.assertNotEqual(result.returncode, 0)
        self.assertIn(test_symbols.EXTENSION, result.stdout)

    def test_every_linker_gives_the_same_symbols(self):
        linked = 0
        for linker in ("bfd", "lld"):
            if shutil.which(f"ld.{linker}") is None:
                continue
            library = self.folder / f"{linker}.so"
            self.ok(OPTIONS.cc, "-shared", f"-fuse-ld={linker}", "-Wl,-z,defs",
                    "-Wl,-soname,libvfio-user.so.0",
                    f"-Wl,--version-script={OPTIONS.map}", "-Wl,--whole-archive",
                    *OPTIONS.archive, "-Wl,--no-whole-archive", "-ljson-c", "-pthread",
                    "-o", library)
            problems, _ = test_symbols.check_shared(library, OPTIONS.include)
            self.assertEqual(problems, [], linker)
            linked += 1
        self.assertGreater(linked, 0, "there is no ld.bfd and no ld.lld")

    def test_what_should_stay_inside_does_so_when_a_declaration_makes_it_visible(self):
        source = self.folder / "more.c"
        names = ("vu_more", "vus_more", "json_more", "lh_more", "printbuf_more", "_more",
                 "__more")
        source.write_text("".join(f"void {name}(void);\nvoid {name}(void) {{}}\n"
                                  for name in (*names, "vfu_more")))
        library = self.folder / "more.so"
        self.ok(OPTIONS.cc, "-shared", "-fPIC", f"-Wl,--version-script={OPTIONS.map}",
                source, "-o", library)
        self.assertEqual(test_symbols.exported(library), {"vfu_more": None})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--shared", type=pathlib.Path)
    parser.add_argument("--map", type=pathlib.Path)
    parser.add_argument("--include", type=pathlib.Path)
    parser.add_argument("--archive", action="append")
    return parser.parse_known_args()


if __name__ == "__main__":
    OPTIONS, rest = main()
    unittest.main(argv=[sys.argv[0], *rest])
