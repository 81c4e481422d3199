# SPDX-License-Identifier: BSD-3-Clause
"""What the libraries let out.

Each shared object exports exactly the functions that its public headers declare, with
exactly the symbol versions that they should have; each archive's external names carry its
prefix; no library has writable globals.

A header declares a function with the name at the start of its own line: `vfu_run_ctx(`.
Behind a line that defines VFU_EXTENSIONS stand the additions to libvfio-user, which have
the version VFIO_USER_EXT_1; nothing else has one.

    python3 test_symbols.py shared OBJECT HEADER_DIR
    python3 test_symbols.py static ARCHIVE PREFIX[,PREFIX...]
"""

import pathlib
import re
import subprocess
import sys

# What libvfio-user exports: typed from its published interface, so that a function that
# moved or was renamed in our header is noticed.
LIBVFIO_USER = frozenset("""
    dma_sg_size vfu_addr_to_sgl vfu_attach_ctx vfu_create_ctx vfu_create_ioeventfd
    vfu_destroy_ctx vfu_device_quiesced vfu_get_poll_fd vfu_get_private vfu_irq_trigger
    vfu_log vfu_pci_add_capability vfu_pci_find_capability vfu_pci_find_next_capability
    vfu_pci_get_config_space vfu_pci_init vfu_pci_set_class vfu_pci_set_id vfu_realize_ctx
    vfu_run_ctx vfu_setup_device_dma vfu_setup_device_migration_callbacks
    vfu_setup_device_nr_irqs vfu_setup_device_quiesce_cb vfu_setup_device_reset_cb
    vfu_setup_irq_state_callback vfu_setup_log vfu_setup_region vfu_sg_is_mappable
    vfu_sgl_get vfu_sgl_mark_dirty vfu_sgl_put vfu_sgl_read vfu_sgl_write
""".split())
EXTENSION = "VFIO_USER_EXT_1"

# The exception to "no writable globals": a signal handler finds nothing by other means.
WRITABLE = frozenset({"process in .data of guard.c", "process in .bss of guard.c"})

DECLARATION = re.compile(r"^([a-z_0-9]+)\(", re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


def output(*command):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


def versions(headers):
    """The functions that the headers declare, with the version of each, or None."""
    found = {}
    for header in sorted(headers.rglob("*.h")):
        text = COMMENT.sub("", header.read_text(encoding="utf-8"))
        lines = text.split("\n")
        version = None
        for before, line in zip([""] + lines, lines):
            if line.startswith("#define VFU_EXTENSIONS"):
                version = EXTENSION
            match = DECLARATION.match(line)
            if match and "static" not in before:
                found[match.group(1)] = version
    return found


def declared(headers):
    return set(versions(headers))


def exported(shared):
    """What the object defines for others, with the default version of each, or None."""
    found = {}
    for line in output("readelf", "--dyn-syms", "--wide", shared).splitlines():
        fields = line.split()
        if len(fields) < 8 or fields[0] == "Num:" or fields[6] in ("UND", "ABS"):
            continue        # ABS: the names of the versions themselves
        name, _, version = fields[7].partition("@@")
        found[name] = version or None
    return found


def external(archive):
    """Names that other objects can link to, hidden or not."""
    lines = output("nm", "-g", "--defined-only", "--format=posix", archive).splitlines()
    return {line.split()[0] for line in lines if len(line.split()) > 2}


def writable(file):
    """Objects in sections that stay writable; tables of pointers become read-only."""
    found = set()
    source = ""
    for line in output("objdump", "-t", file).splitlines():
        member = re.match(r"^(\S+)\.o:\s+file format", line)
        if member:
            source = member.group(1)
        match = re.match(r"^[0-9a-f]+ .{6}O (\S+)\s+[0-9a-f]+\s+(?:\.hidden )?(\S+)$", line)
        if match and re.match(r"\.(data|bss)\b|\*COM\*", match.group(1)) \
                and not match.group(1).startswith(".data.rel.ro"):
            found.add(f"{match.group(2)} in {match.group(1)} of {source}")
    return found


def is_drop_in(shared):
    return "[libvfio-user.so.0]" in output("readelf", "-d", shared)


def check_shared(shared, headers):
    want, have = versions(pathlib.Path(headers)), exported(shared)
    problems = [f"{name} is declared, but not exported" for name in set(want) - set(have)]
    problems += [f"{name} is exported, but not declared" for name in set(have) - set(want)]
    problems += [f"{name} has the version {have[name]}, not {want[name]}"
                 for name in set(want) & set(have) if have[name] != want[name]]
    if not want:
        problems.append(f"{headers} declares nothing")
    if is_drop_in(shared):
        base = {name for name, version in have.items() if version is None}
        problems += [f"{name} of libvfio-user is not there without a version"
                     for name in LIBVFIO_USER - base]
        problems += [f"{name} has no version, and is not of libvfio-user"
                     for name in base - LIBVFIO_USER]
    return problems, f"{len(have)} functions exported"


def check_static(archive, prefixes):
    names = external(archive)
    allowed = tuple(prefixes.split(","))
    problems = [f"{name} is external without the prefix"
                for name in names if not name.startswith(allowed)]
    problems += [f"{name}: a writable global" for name in writable(archive) - WRITABLE]
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
