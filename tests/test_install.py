# SPDX-License-Identifier: BSD-3-Clause
"""What an installation is worth.

Installs a build below a temporary DESTDIR (or takes an installation that is there already),
compares the files with the list of what should be there, and then builds and runs
consumer.c against it through pkg-config: C11 and C++17, server, client and both together,
shared objects and archives.

    python3 test_install.py --build BUILD_DIR --cc gcc --cxx g++
    python3 test_install.py --destdir DIR --prefix /usr --cc gcc --cxx g++
"""

import argparse
import itertools
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE))
import test_symbols     # noqa: E402

LIBRARIES = {
    # short name: pkg-config module and library, its headers, where they go
    "server": ("vfio-user", ROOT / "libserver/include", "vfio-user/"),
    "client": ("vfio-user-client", ROOT / "libclient/include", ""),
}
NEEDED = re.compile(r"^(libc\.so\.6|libjson-c\.so\.5|ld-linux.*)$")
PROGRAMS = {"vfio-user-conformance", "vfu"}


class Failure(Exception):
    pass


def run(*command, **more):
    result = subprocess.run([str(part) for part in command], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)
    if result.returncode != 0:
        line = " ".join(str(part) for part in command)
        raise Failure(f"{line}\n{result.stdout}status {result.returncode}")
    return result.stdout


def expect(condition, message):
    if not condition:
        raise Failure(message)


class Installation:
    def __init__(self, destdir, prefix):
        self.destdir = pathlib.Path(destdir)
        self.root = self.destdir / prefix.lstrip("/")
        pc = list(self.root.rglob("vfio-user.pc"))
        expect(len(pc) == 1, f"vfio-user.pc is there {len(pc)} times below {self.root}")
        self.lib = pc[0].parent.parent
        self.environment = dict(os.environ, LC_ALL="C",
                                PKG_CONFIG_PATH=str(pc[0].parent),
                                PKG_CONFIG_SYSROOT_DIR=str(self.destdir),
                                PKG_CONFIG_ALLOW_SYSTEM_CFLAGS="1",
                                PKG_CONFIG_ALLOW_SYSTEM_LIBS="1")

    def pkg_config(self, *arguments):
        return run("pkg-config", *arguments, env=self.environment).split()

    def check_files(self):
        """Exactly the public headers, the libraries and their .pc files."""
        lib = self.lib.relative_to(self.root).as_posix()
        want = {f"{lib}/libvfio-user-wire.a"}
        for module, headers, folder in LIBRARIES.values():
            want |= {f"include/{folder}{path.relative_to(headers).as_posix()}"
                     for path in headers.rglob("*.h")}
            want |= {f"{lib}/lib{module}.{end}" for end in ("a", "so", "so.0", "so.0.0.1")}
            want.add(f"{lib}/pkgconfig/{module}.pc")
        want |= {f"bin/{name}" for name in PROGRAMS}
        have = {path.relative_to(self.root).as_posix()
                for path in self.root.rglob("*") if not path.is_dir()}
        have = {name for name in have if not name.startswith("share/")}
        outside = [str(path) for path in self.destdir.rglob("*")
                   if not path.is_dir() and self.root not in path.parents]
        expect(not outside, f"outside of the prefix: {outside}")
        expect(have == want, f"missing: {sorted(want - have)}, "
                             f"not expected: {sorted(have - want)}")

    def check_shared(self):
        """What goes with the programs: manual pages, completion, Wireshark's dissector."""
        share = self.root / "share"
        want = {f"man/man1/{page.name}" for page in (ROOT / "docs/man").glob("*.1")}
        want |= {"bash-completion/completions/vfu", "vfio-user/wireshark/vfio-user.lua"}
        have = {path.relative_to(share).as_posix()
                for path in share.rglob("*") if not path.is_dir()}
        expect(have == want, f"missing: {sorted(want - have)}, "
                             f"not expected: {sorted(have - want)}")

    def check_objects(self):
        """Sonames, needed libraries, no run path into the build folder."""
        for module, _, _ in LIBRARIES.values():
            dynamic = run("readelf", "-d", self.lib / f"lib{module}.so")
            soname = re.findall(r"\(SONAME\).*\[(.*)\]", dynamic)
            needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
            more = [name for name in needed if not NEEDED.match(name)]
            expect(soname == [f"lib{module}.so.0"], f"lib{module}: soname {soname}")
            expect(not more, f"lib{module}: needs {more}")
            expect("PATH)" not in dynamic, f"lib{module}: has a run path")
            expect("NOW" in dynamic, f"lib{module}: symbols are not bound at load time")

    def flags(self, sides, kind):
        modules = [LIBRARIES[side][0] for side in sides]
        cflags = self.pkg_config("--cflags", *modules)
        if kind == "shared":
            return cflags, self.pkg_config("--libs", *modules)
        # Archives of ours, the system's libraries as they come.
        libs = self.pkg_config("--static", "--libs", *modules)
        return cflags, [f"-l:lib{flag[2:]}.a" if flag.startswith("-lvfio-user") else flag
                        for flag in libs]

    def check_consumer(self, compiler, standard, sides, kind, folder):
        language = "c++" if "++" in standard else "c"
        functions = sorted(set().union(
            *(test_symbols.declared(LIBRARIES[side][1]) for side in sides)))
        (folder / "table.h").write_text("".join(f"X({name})\n" for name in functions))
        cflags, libs = self.flags(sides, kind)
        program = folder / "consumer"
        run(*compiler, "-x", language, f"-std={standard}", "-D_GNU_SOURCE", "-Wall",
            "-Wextra", "-Werror", *(f"-DUSE_{side.upper()}" for side in sides),
            '-DAPI_TABLE="table.h"', f"-I{folder}", *cflags, HERE / "consumer.c",
            "-o", program, "-x", "none", *libs)

        environment = {key: value for key, value in os.environ.items()
                       if key != "LD_LIBRARY_PATH"}
        if kind == "shared":
            environment["LD_LIBRARY_PATH"] = str(self.lib)
        printed = run(program, folder / "socket", env=environment)
        if language == "c":
            expect(printed == f"{len(functions)} functions\n", f"the program says {printed}")
            expect(functions, "the headers declare nothing")


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build")
    parser.add_argument("--destdir")
    parser.add_argument("--prefix")
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--cxx", default="c++")
    return parser.parse_args()


def install(options, folder):
    if options.destdir:
        return Installation(options.destdir, options.prefix)
    cache = (pathlib.Path(options.build) / "CMakeCache.txt").read_text()
    prefix = re.search(r"^CMAKE_INSTALL_PREFIX:\w+=(.*)$", cache, re.MULTILINE).group(1)
    destdir = folder / "dest"
    run("cmake", "--install", options.build, env=dict(os.environ, DESTDIR=str(destdir)))
    return Installation(destdir, prefix)


def main():
    options = arguments()
    failures = 0
    checks = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        installed = install(options, folder)
        steps = [("the right files, and no others", installed.check_files, ()),
                 ("what goes with the programs", installed.check_shared, ()),
                 ("sonames and needed libraries", installed.check_objects, ())]
        for (compiler, standard), sides, kind in itertools.product(
                ((options.cc, "c11"), (options.cxx, "c++17")),
                (("server",), ("client",), ("server", "client")), ("shared", "static")):
            steps.append((f"{compiler} {standard} {'+'.join(sides)} {kind}",
                          installed.check_consumer,
                          (compiler.split(), standard, sides, kind, folder)))
        for title, check, parameters in steps:
            checks += 1
            try:
                check(*parameters)
                print(f"ok    {title}")
            except Failure as failure:
                failures += 1
                print(f"FAIL  {title}\n{failure}")
    print(f"{checks} checks, {failures} failed")
    return 1 if failures or not checks else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        print(failure)
        sys.exit(1)
