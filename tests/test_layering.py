# SPDX-License-Identifier: BSD-3-Clause
"""Who may include whom.

Reads the #include lines of every C and C++ file and compares them with RULES, the house
table. A folder's tests follow the folder's rule and may use cmocka besides.

    python3 test_layering.py ROOT
"""

import pathlib
import re
import sys
import tempfile
import unittest

ROOT = None

# folder: (folders it may include, external libraries it may include).
# "server-api" and "client-api" are the public headers of the two libraries.
RULES = {
    "wire":        ({"wire"},                               {"json-c"}),
    "libserver":   ({"wire", "libserver", "server-api"},    set()),
    "libclient":   ({"wire", "libclient", "client-api"},    set()),
    "conformance": ({"wire", "conformance"},                {"json-c", "lua"}),
    "samples":     ({"samples", "server-api", "client-api"}, set()),
    "tools":       ({"wire", "tools", "server-api", "client-api"}, {"json-c"}),
    "bindings":    ({"bindings", "server-api", "client-api"}, set()),
    "tests":       ({"tests", "server-api", "client-api"},  set()),
    "fuzz":        ({"fuzz", "wire", "libserver", "libclient", "conformance",
                     "server-api", "client-api"},           {"json-c", "lua"}),
}
API = {"libserver/include": "server-api", "libclient/include": "client-api"}
LIBRARIES = {
    "json-c": re.compile(r"^(json-c/|json\w*\.h$)"),
    "lua":    re.compile(r"^(lua[\d.]*/|lua\w*\.h$|lauxlib\.h$)"),
    "cmocka": re.compile(r"^cmocka"),
}
SUFFIXES = {".c", ".h", ".cc", ".cpp", ".hpp", ".in"}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.MULTILINE)
COMMENTS_AND_STRINGS = re.compile(
    r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def sources(root):
    """The files that the rules are about, as (folder, path)."""
    for folder in sorted(RULES):
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and path.suffix in SUFFIXES:
                yield folder, path


def public_headers(root):
    """Names under which a public header can be included: {"pci_defs.h": "server-api"}."""
    names = {}
    for base, api in API.items():
        for path in (root / base).rglob("*.h"):
            name = path.relative_to(root / base).as_posix()
            names[name] = api
            if api == "server-api":
                names["vfio-user/" + name] = api    # as it is installed
    return names


def target(root, path, name, public):
    """What an include refers to: a folder, an API, or None for something of the system."""
    in_api = [base for base in API if (root / base) in path.parents]
    if in_api and (path.parent / name).is_file():
        return API[in_api[0]]
    for base, api in API.items():
        if name.startswith(base + "/"):
            return api
    if name in public:
        return public[name]
    first = name.split("/")[0]
    return first if first in RULES else None


def without_comments(text):
    """Comments blanked, so that an include in one is not seen; strings stay."""
    return COMMENTS_AND_STRINGS.sub(
        lambda m: m.group() if m.group()[0] in "\"'" else " ", text)


def violations(root):
    """One line per include, or definition, that the house table does not allow."""
    found = []
    public = public_headers(root)
    for folder, path in sources(root):
        where = path.relative_to(root)
        folders, libraries = RULES[folder]
        is_test = folder == "tests" or "tests" in where.parts[1:-1]
        is_api = any((root / base) in path.parents for base in API)
        text = path.read_text(encoding="utf-8")

        for bracket, name in INCLUDE.findall(without_comments(text)):
            refers = target(root, path, name, public)
            if refers is None:
                if bracket == '"' and not (root / name).is_file():
                    found.append(f'{where}: "{name}" is not a path from the project root')
                for library, pattern in LIBRARIES.items():
                    allowed = library in libraries or (library == "cmocka" and is_test)
                    if pattern.match(name) and not allowed:
                        found.append(f"{where}: {folder} does not use {library}")
            elif is_api and refers != API["/".join(where.parts[:2])]:
                found.append(f"{where}: a public header includes {name}")
            elif is_test and name == "wire/tests/support.h":
                pass
            elif is_test and path.name.startswith("device_") and refers == "server-api":
                pass    # a program for the client's tests to run against
            elif "/tests/" in name and not is_test and folder != "fuzz":
                found.append(f"{where}: {name} is for tests only")
            elif refers not in folders:
                found.append(f"{where}: {folder} does not include {name}")

        if folder == "wire":
            for word in re.findall(r"\bVFIO_USER_\w+", COMMENTS_AND_STRINGS.sub(" ", text)):
                found.append(f"{where}: {word} belongs to the server's public header")
    return found


class TheCheck(unittest.TestCase):
    """Planted violations are found; otherwise the test below would mean nothing."""

    def check(self, path, text, expected):
        with tempfile.TemporaryDirectory() as name:
            root = pathlib.Path(name)
            for header in ("wire/cursor.h", "wire/tests/support.h", "libserver/dma.h",
                           "libserver/include/libvfio-user.h",
                           "libserver/include/pci_caps/pm.h", "libclient/call.h",
                           "libclient/include/vfio-user-client.h", "fuzz/gen.h"):
                (root / header).parent.mkdir(parents=True, exist_ok=True)
                (root / header).write_text("")
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
            self.assertEqual(len(violations(root)), expected, (path, text))

    def test_refuses_what_the_table_does_not_allow(self):
        for path, include in (
                ("wire/a.c", '"libserver/dma.h"'),
                ("wire/a.c", '"libserver/include/libvfio-user.h"'),
                ("wire/a.c", "<libvfio-user.h>"),
                ("wire/a.c", '"libclient/call.h"'),
                ("wire/a.c", '"fuzz/gen.h"'),
                ("wire/a.c", "<lua.h>"),
                ("wire/a.c", "<cmocka.h>"),
                ("wire/a.c", '"cursor.h"'),
                ("wire/a.c", '"../libserver/dma.h"'),
                ("wire/tests/a.c", '"libserver/dma.h"'),
                ("libserver/a.c", '"libclient/call.h"'),
                ("libserver/a.c", '"vfio-user-client.h"'),
                ("libserver/a.c", "<json-c/json.h>"),
                ("libserver/a.c", '"wire/tests/support.h"'),
                ("libserver/include/vfio-user.h", '"wire/cursor.h"'),
                ("libserver/include/vfio-user.h", '"libserver/dma.h"'),
                ("libserver/tests/a.c", '"libclient/call.h"'),
                ("libclient/a.c", '"libserver/dma.h"'),
                ("libclient/device_a.c", '"libserver/include/libvfio-user.h"'),
                ("libclient/tests/a.c", '"libserver/include/libvfio-user.h"'),
                ("libclient/tests/device_a.c", '"libserver/dma.h"'),
                ("libclient/a.h", "<vfio-user/libvfio-user.h>"),
                ("libclient/include/vfio-user-client.h", '"wire/cursor.h"'),
                ("conformance/a.c", '"libclient/call.h"'),
                ("conformance/a.c", '"libvfio-user.h"'),
                ("conformance/tests/a.c", '"libserver/dma.h"'),
                ("samples/a.c", '"wire/cursor.h"'),
                ("samples/a.c", '"libserver/dma.h"'),
                ("tools/a.c", '"fuzz/gen.h"'),
                ("tests/a.cpp", '"libserver/dma.h"')):
            self.check(path, f"#include {include}\n", 1)
            self.check(path, f"/* head\n */\n#  include {include} /* why */\n", 1)

    def test_accepts_what_the_table_allows(self):
        for path, include in (
                ("wire/a.c", '"wire/cursor.h"'),
                ("wire/a.c", "<json-c/json.h>"),
                ("wire/tests/a.c", "<cmocka.h>"),
                ("libserver/a.c", '"wire/cursor.h"'),
                ("libserver/a.c", '"libserver/include/libvfio-user.h"'),
                ("libserver/tests/a.c", '"wire/tests/support.h"'),
                ("libclient/tests/device_a.c", '"libserver/include/libvfio-user.h"'),
                ("libserver/include/vfio-user.h", '"pci_caps/pm.h"'),
                ("libclient/a.c", '"libclient/call.h"'),
                ("conformance/a.c", "<lua5.4/lua.h>"),
                ("samples/a.c", '"libvfio-user.h"'),
                ("samples/a.c", "<vfio-user/pci_caps/pm.h>"),
                ("samples/a.c", "<vfio-user-client.h>"),
                ("fuzz/a.c", '"libserver/dma.h"')):
            self.check(path, f"#include {include}\n", 0)
        self.check("wire/a.c", '/*\n#include "libserver/dma.h"\n*/\n', 0)

    def test_refuses_public_names_in_wire(self):
        self.check("wire/a.h", "#define VFIO_USER_DMA_MAP 2\n", 1)
        self.check("wire/a.h", "enum { VFIO_USER_VERSION = 1 };\n", 1)
        self.check("wire/a.c", '/* VFIO_USER_DMA_MAP */ char *s = "VFIO_USER_VERSION";\n', 0)


class TheTree(unittest.TestCase):
    def test_keeps_to_the_house_table(self):
        self.assertGreater(len(list(sources(ROOT))), 0, "no sources found")
        self.assertEqual(violations(ROOT), [])

    def test_names_its_licence_at_the_top_of_each_source(self):
        bare = [str(path.relative_to(ROOT)) for _, path in sources(ROOT)
                if path.suffix != ".in"
                and "SPDX-License-Identifier: BSD-3-Clause"
                not in "\n".join(path.read_text(encoding="utf-8").split("\n")[:2])]
        self.assertEqual(bare, [])


if __name__ == "__main__":
    ROOT = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
