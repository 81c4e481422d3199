# SPDX-License-Identifier: BSD-3-Clause
"""What the libraries let out.

Each shared object exports exactly the functions that its public headers declare; each
archive's external names carry its prefix; no library has writable globals.

A header declares a function with the name at the start of its own line: `vfu_run_ctx(`.

    python3 test_symbols.py shared OBJECT HEADER_DIR
    python3 test_symbols.py static ARCHIVE PREFIX[,PREFIX...]
"""

import pathlib
import re
import subprocess
import sys

DECLARATION = re.compile(r"^([a-z_0-9]+)\(", re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


def output(*command):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


def declared(headers):
    names = set()
    for header in sorted(headers.rglob("*.h")):
        text = COMMENT.sub("", header.read_text(encoding="utf-8"))
        lines = text.split("\n")
        for before, line in zip([""] + lines, lines):
            match = DECLARATION.match(line)
            if match and "static" not in before:
                names.add(match.group(1))
    return names


def exported(shared):
    """Names in the dynamic symbol table that the object defines."""
    lines = output("nm", "-D", "--defined-only", "--format=posix", shared).splitlines()
    return {line.split()[0] for line in lines}


def external(archive):
    """Names that other objects can link to, hidden or not."""
    lines = output("nm", "-g", "--defined-only", "--format=posix", archive).splitlines()
    return {line.split()[0] for line in lines if len(line.split()) > 2}


def writable(file):
    """Objects in sections that stay writable; tables of pointers become read-only."""
    found = set()
    for line in output("objdump", "-t", file).splitlines():
        match = re.match(r"^[0-9a-f]+ .{6}O (\S+)\s+[0-9a-f]+\s+(?:\.hidden )?(\S+)$", line)
        if match and re.match(r"\.(data|bss)\b|\*COM\*", match.group(1)) \
                and not match.group(1).startswith(".data.rel.ro"):
            found.add(f"{match.group(2)} in {match.group(1)}")
    return found


def check_shared(shared, headers):
    want, have = declared(pathlib.Path(headers)), exported(shared)
    problems = [f"{name} is declared, but not exported" for name in want - have]
    problems += [f"{name} is exported, but not declared" for name in have - want]
    if not want:
        problems.append(f"{headers} declares nothing")
    return problems, f"{len(have)} functions exported"


def check_static(archive, prefixes):
    names = external(archive)
    allowed = tuple(prefixes.split(","))
    problems = [f"{name} is external without the prefix"
                for name in names if not name.startswith(allowed)]
    problems += [f"{name}: a writable global" for name in writable(archive)]
    if not names:
        problems.append(f"{archive} defines nothing")
    return problems, f"{len(names)} external names"


def main(kind, file, expectation):
    check = {"shared": check_shared, "static": check_static}[kind]
    problems, summary = check(file, expectation)
    for problem in sorted(problems):
        print(f"{pathlib.Path(file).name}: {problem}")
    print(f"{pathlib.Path(file).name}: {summary}, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
