# SPDX-License-Identifier: BSD-3-Clause
"""meson.build builds what CMake builds: the same sources, headers and version.

Reads the files, so that a list which was forgotten is noticed where there is no meson.

    python3 test_source_lists.py ROOT
"""

import pathlib
import re
import sys
import unittest

ROOT = None


def cmake_list(file, pattern):
    """The words of the first list that the pattern finds in a CMake file."""
    text = re.sub(r"#[^\n]*", "", (ROOT / file).read_text(encoding="utf-8"))
    return re.search(pattern, text, re.DOTALL).group(1).split()


def meson_list(name):
    """The strings of NAME = files(...) in meson.build."""
    text = re.sub(r"#[^\n]*", "", (ROOT / "meson.build").read_text(encoding="utf-8"))
    return re.findall(r"'([^']+)'", re.search(rf"^{name} = files\((.*?)^\)", text,
                                              re.DOTALL | re.MULTILINE).group(1))


class SourceLists(unittest.TestCase):
    def same(self, folder, variable):
        cmake = cmake_list(f"{folder}/CMakeLists.txt", rf"set\({variable}\s(.*?)\)")
        cmake = [f"{folder}/{name}" for name in cmake]
        meson = meson_list(variable)
        self.assertGreater(len(cmake), 5)
        self.assertEqual(sorted(meson), sorted(cmake))
        self.assertEqual(len(set(meson)), len(meson))
        for name in meson:
            self.assertTrue((ROOT / name).is_file(), name)

    def test_both_builds_compile_the_same_files_of_wire(self):
        self.same("wire", "wire_sources")

    def test_both_builds_compile_the_same_files_of_libserver(self):
        self.same("libserver", "libserver_sources")

    def test_both_builds_install_all_public_headers(self):
        cmake = cmake_list("libserver/CMakeLists.txt", r"PUBLIC_HEADERS(.*?)HEADER_BASE")
        meson = re.findall(r"^  'libserver/(include/[^']+)'",
                           (ROOT / "meson.build").read_text(encoding="utf-8"), re.MULTILINE)
        there = [path.relative_to(ROOT / "libserver").as_posix()
                 for path in (ROOT / "libserver/include").rglob("*.h")]
        self.assertEqual(sorted(cmake), sorted(there))
        self.assertEqual(sorted(meson), sorted(there))

    def test_both_builds_have_the_same_version(self):
        cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
        meson = (ROOT / "meson.build").read_text(encoding="utf-8")
        self.assertEqual(re.search(r"^  version: '([^']+)'", meson, re.MULTILINE).group(1),
                         re.search(r"^\s+VERSION (\S+)$", cmake, re.MULTILINE).group(1))


if __name__ == "__main__":
    ROOT = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
