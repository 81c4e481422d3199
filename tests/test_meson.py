# SPDX-License-Identifier: BSD-3-Clause
"""The meson build, as the projects use it that build libvfio-user themselves.

Shared and static with SPDK's command line, installed below a DESTDIR and compared with
what the CMake build installs: files, headers, symbols with their versions, pkg-config.
Programs are built against it with SPDK's flags, C11 and C++17. Then as a subproject, as
QEMU has it.

    python3 test_meson.py --build BUILD_DIR --cc gcc --cxx g++

Exits with 77 where there is no meson.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE))
import test_consumers   # noqa: E402
import test_install     # noqa: E402
import test_symbols     # noqa: E402

OPTIONS = None
TEMPORARY = None        # one folder for the whole run
PREFIX = "usr/local"

# The options of libvfio-user, each with a value that somebody may pass.
UPSTREAM = {
    "tran-pipe": "true", "debug-logs": "false", "debug-sgl": "true",
    "client-server-test": "disabled", "rpath": "false", "shadow-ioeventfd": "true",
}


def run(*command, **more):
    return test_install.run(*command, **more)


def environment(**more):
    return dict(os.environ, CC=OPTIONS.cc, CXX=OPTIONS.cxx, LC_ALL="C.UTF-8", **more)


def files(root):
    return {path.relative_to(root).as_posix() for path in root.rglob("*")
            if not path.is_dir()}


class Spdk:
    """One library type, built and installed as vfiouserbuild/Makefile of SPDK does."""

    built = {}

    def __init__(self, kind, buildtype):
        folder = TEMPORARY / kind
        build, self.destdir = folder / "build", folder / "dest"
        self.setup = run("meson", "setup", "--buildtype", buildtype,
                         f"-Ddefault_library={kind}", "-Dlibdir=/usr/local/lib", build,
                         ROOT, env=environment())
        run("meson", "compile", "-C", build)
        run("meson", "install", "-C", build, env=environment(DESTDIR=str(self.destdir)))
        self.root = self.destdir / PREFIX
        self.lib = self.root / "lib"

    @classmethod
    def of(cls, kind):
        if kind not in cls.built:
            cls.built[kind] = cls(kind, {"shared": "debug", "static": "release"}[kind])
        return cls.built[kind]


class Cmake(test_install.Installation):
    """The CMake build, installed once."""

    installed = None

    @classmethod
    def get(cls):
        if cls.installed is None:
            folder = TEMPORARY / "cmake"
            cache = (pathlib.Path(OPTIONS.build) / "CMakeCache.txt").read_text()
            prefix = re.search(r"^CMAKE_INSTALL_PREFIX:\w+=(.*)$", cache, re.MULTILINE)
            run("cmake", "--install", OPTIONS.build,
                env=dict(os.environ, DESTDIR=str(folder)))
            cls.installed = cls(folder, prefix.group(1))
        return cls.installed

    def of_the_server(self):
        """Its files with the names that they have below /usr/local."""
        lib = self.lib.relative_to(self.root).as_posix()
        found = set()
        for name in files(self.root):
            name = re.sub(f"^{re.escape(lib)}/", "lib/", name)
            if re.match(r"include/vfio-user/|lib/libvfio-user\.|"
                        r"lib/pkgconfig/vfio-user\.pc", name):
                found.add(name)
        return found


class Installed(unittest.TestCase):
    def test_it_configures_without_a_warning(self):
        """None about what a meson as old as 0.53 lacks, too."""
        for kind in ("shared", "static"):
            self.assertNotRegex(Spdk.of(kind).setup, r"(?i)warning|deprecat")

    def test_both_builds_install_the_same_files(self):
        want = Cmake.get().of_the_server()
        self.assertEqual(files(Spdk.of("shared").destdir),
                         {f"{PREFIX}/{name}" for name in want if not name.endswith(".a")})
        self.assertEqual(files(Spdk.of("static").destdir),
                         {f"{PREFIX}/{name}" for name in want if ".so" not in name})

    def test_the_headers_are_the_same(self):
        for kind in ("shared", "static"):
            ours, theirs = Spdk.of(kind).root / "include", Cmake.get().root / "include"
            for name in files(ours):
                self.assertEqual((ours / name).read_bytes(), (theirs / name).read_bytes())

    def test_the_shared_objects_have_the_same_symbols_and_versions(self):
        ours = Spdk.of("shared").lib / "libvfio-user.so"
        theirs = Cmake.get().lib / "libvfio-user.so"
        self.assertEqual(test_symbols.exported(ours), test_symbols.exported(theirs))
        problems, _ = test_symbols.check_shared(ours, ROOT / "libserver/include")
        self.assertEqual(problems, [])

    def test_the_shared_objects_need_and_are_called_the_same(self):
        def dynamic(file):
            text = run("readelf", "-d", file)
            return {kind: sorted(re.findall(rf"\({kind}\).*\[(.*)\]", text))
                    for kind in ("SONAME", "NEEDED", "RPATH", "RUNPATH")} | \
                {"NOW": "NOW" in text}

        self.assertEqual(dynamic(Spdk.of("shared").lib / "libvfio-user.so"),
                         dynamic(Cmake.get().lib / "libvfio-user.so"))
        links = {path.name: os.readlink(path) for path in Spdk.of("shared").lib.iterdir()
                 if path.is_symlink()}
        self.assertEqual(links, {"libvfio-user.so": "libvfio-user.so.0",
                                 "libvfio-user.so.0": "libvfio-user.so.0.0.1"})

    def test_the_archive_has_the_names_of_both_archives_of_cmake(self):
        lib = Cmake.get().lib
        ours = Spdk.of("static").lib / "libvfio-user.a"
        # Meson puts the folder into the names of the objects.
        globals_ = {text.replace(" of libserver_", " of ")
                    for text in test_symbols.writable(ours)}
        self.assertEqual(globals_ - test_symbols.WRITABLE, set())
        ours = test_symbols.external(ours)
        self.assertEqual(ours, test_symbols.external(lib / "libvfio-user.a")
                         | test_symbols.external(lib / "libvfio-user-wire.a"))

    def test_pkg_config_says_the_same(self):
        cmake = Cmake.get()
        for kind in ("shared", "static"):
            spdk = Spdk.of(kind)
            answers = []
            for lib, destdir in ((spdk.lib, spdk.destdir), (cmake.lib, cmake.destdir)):
                path = dict(os.environ, PKG_CONFIG_PATH=str(lib / "pkgconfig"))
                said = [run("pkg-config", question, "vfio-user", env=path)
                        for question in ("--cflags-only-I", "--modversion", "--libs-only-l")]
                answers.append([sorted(text.split()) for text in said])
            if kind == "static":        # here alone json-c must be named
                self.assertIn("-ljson-c", answers[0][2])
                answers[0][2].remove("-ljson-c")
            prefix = "/" + cmake.root.relative_to(cmake.destdir).as_posix()
            answers[1][0] = [flag.replace(prefix, f"/{PREFIX}") for flag in answers[1][0]]
            self.assertEqual(answers[0], answers[1])

    def consumer(self, compiler, standard, kind):
        spdk = Spdk.of(kind)
        language = "c++" if "++" in standard else "c"
        functions = sorted(test_symbols.declared(ROOT / "libserver/include"))
        folder = TEMPORARY / f"{language}-{kind}"
        folder.mkdir()
        (folder / "table.h").write_text("".join(f"X({name})\n" for name in functions))
        # SPDK's own flags, no pkg-config.
        run(*compiler.split(), "-x", language, f"-std={standard}", "-D_GNU_SOURCE", "-Wall",
            "-Wextra", "-Werror", "-DUSE_SERVER", '-DAPI_TABLE="table.h"', f"-I{folder}",
            f"-I{spdk.root}/include", HERE / "consumer.c", "-o", folder / "consumer",
            "-x", "none", f"-L{spdk.lib}", "-lvfio-user", "-ljson-c")
        printed = run(folder / "consumer", folder / "socket",
                      env=environment(LD_LIBRARY_PATH=str(spdk.lib)))
        self.assertEqual(printed, f"{len(functions) if language == 'c' else 0} functions\n")
        self.assertEqual("libvfio-user.so.0" in run("readelf", "-d", folder / "consumer"),
                         kind == "shared")

    def test_c_programs_link_and_run(self):
        for kind in ("shared", "static"):
            self.consumer(OPTIONS.cc, "c11", kind)

    def test_cxx_programs_link_and_run(self):
        for kind in ("shared", "static"):
            self.consumer(OPTIONS.cxx, "c++17", kind)

    def test_a_target_in_the_way_of_spdk_serves_a_client(self):
        for kind in ("shared", "static"):
            spdk = Spdk.of(kind)
            program = TEMPORARY / f"spdk-{kind}"
            run(*OPTIONS.cc.split(), "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Werror",
                f"-I{spdk.root}/include", HERE / "consumers/spdk_like.c", "-o", program,
                f"-L{spdk.lib}", "-lvfio-user", "-ljson-c", "-pthread")
            serve(self, test_consumers.Spdk, program, LD_LIBRARY_PATH=str(spdk.lib))


def serve(case, claims, program, **more):
    """Runs a class of test_consumers.py on a program."""
    test_consumers.PROGRAM, test_consumers.ENVIRONMENT = program, environment(**more)
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(claims)
    result = unittest.TestResult()
    suite.run(result)
    case.assertGreater(result.testsRun, 0)
    case.assertEqual([text for _, text in result.failures + result.errors], [])


PARENT = """
project('emulator', 'c', version: '1', meson_version: '>=0.53.0',
  default_options: ['c_std=gnu99', 'default_library={kind}'])
vfio_user = subproject('libvfio-user', default_options: [{options}])
executable('emulator', 'qemu_like.c',
  c_args: ['-D_GNU_SOURCE'],
  dependencies: [vfio_user.get_variable('libvfio_user_dep')])
"""


class Documents(unittest.TestCase):
    """What the documents tell people to type."""

    def commands(self, file, heading, folder):
        """The indented lines of a section; what they write goes to the folder."""
        text = (ROOT / file).read_text(encoding="utf-8")
        section = re.search(rf"^{heading}\n(.*?)(?=^#|^License|\Z)", text,
                            re.DOTALL | re.MULTILINE).group(1)
        lines = "\n".join(re.findall(r"^    (.*)$", section, re.MULTILINE))
        return lines.replace("build/meson", f"{folder}/build").replace("/tmp/stage",
                                                                       f"{folder}/stage")

    def script(self, lines, folder):
        return run("sh", "-e", "-x", "-c", lines, cwd=folder, env=environment())

    def test_the_commands_of_the_readme(self):
        for kind in ("static", "shared"):
            folder = TEMPORARY / f"readme-{kind}"
            folder.mkdir()
            (folder / "device.c").write_text(
                "#include <vfio-user/libvfio-user.h>\n"
                "int main(void) { return dma_sg_size() != 40; }\n")
            lines = self.commands("README.md", "### In place of libvfio-user", folder)
            self.assertEqual(len(lines.split("\n")), 4, lines)
            lines = lines.replace("static", kind)
            lines = lines.replace(f"{folder}/build .", f"{folder}/build {ROOT}")
            self.script(lines, folder)
            run(folder / "a.out", env=environment(
                LD_LIBRARY_PATH=f"{folder}/stage/usr/local/lib"))

    def test_the_commands_of_contributing(self):
        folder = TEMPORARY / "contributing"
        folder.mkdir()
        lines = self.commands("CONTRIBUTING.md", "## Two builds", folder)
        self.assertEqual(len(lines.split("\n")), 1, lines)
        self.script(lines.replace(f"{folder}/build ", f"{folder}/build {ROOT} ", 1), folder)
        self.assertTrue((folder / "build/libvfio-user.so.0.0.1").exists())


class Subproject(unittest.TestCase):
    def emulator(self, kind, options, name):
        folder = TEMPORARY / name
        (folder / "subprojects").mkdir(parents=True)
        (folder / "subprojects/libvfio-user").symlink_to(ROOT)
        shutil.copy(HERE / "consumers/qemu_like.c", folder)
        (folder / "meson.build").write_text(PARENT.format(kind=kind, options=options))
        build = folder / "build"
        printed = run("meson", "setup", build, folder, env=environment())
        self.assertNotRegex(printed, r"(?i)warning|deprecat")
        run("meson", "compile", "-C", build)
        return build

    def test_an_emulator_takes_the_variable_of_the_subproject(self):
        for kind in ("shared", "static"):
            build = self.emulator(kind, "", f"emulator-{kind}")
            needed = run("readelf", "-d", build / "emulator")
            self.assertEqual("libvfio-user.so.0" in needed, kind == "shared")
            serve(self, test_consumers.Qemu, build / "emulator")

    def test_the_options_of_libvfio_user_are_accepted_there(self):
        options = ", ".join(f"'{name}={value}'" for name, value in UPSTREAM.items())
        build = self.emulator("static", options, "emulator-options")
        self.assertEqual(defines(build), {True})


def defines(build):
    """Whether VFIO_USER_SHADOW_IOEVENTFD is defined, for each source of the library."""
    commands = json.loads((build / "compile_commands.json").read_text())
    found = {"-DVFIO_USER_SHADOW_IOEVENTFD" in entry["command"] for entry in commands
             if "/libserver/" in entry["file"]}
    return found


class Upstream(unittest.TestCase):
    def test_all_options_of_libvfio_user_are_accepted(self):
        build = TEMPORARY / "options"
        run("meson", "setup", *(f"-D{name}={value}" for name, value in UPSTREAM.items()),
            build, ROOT, env=environment())
        self.assertEqual(defines(build), {True})
        for name in UPSTREAM:
            for value in ("true", "false", "enabled", "disabled", "auto"):
                run("meson", "configure", build, f"-D{name}={value}")

    def test_shadow_ioeventfds_are_off_unless_asked_for(self):
        build = TEMPORARY / "no-options"
        run("meson", "setup", build, ROOT, env=environment())
        self.assertEqual(defines(build), {False})

    def test_there_is_no_option_without_a_word_on_what_it_does(self):
        text = (ROOT / "meson_options.txt").read_text(encoding="utf-8")
        names = re.findall(r"^option\('([^']+)'", text, re.MULTILINE)
        self.assertEqual(sorted(names), sorted(UPSTREAM))
        self.assertEqual(len(re.findall(r"^  description: '.+'\)$", text, re.MULTILINE)),
                         len(names))


def main():
    global OPTIONS, TEMPORARY
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--cxx", default="c++")
    OPTIONS, rest = parser.parse_known_args()
    for tool in ("meson", "ninja"):
        if shutil.which(tool) is None:
            print(f"no {tool} here: scripts/install-deps ci installs it")
            return 77
    with tempfile.TemporaryDirectory() as name:
        TEMPORARY = pathlib.Path(name)
        program = unittest.main(argv=[sys.argv[0], *rest], exit=False)
        return 0 if program.result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
