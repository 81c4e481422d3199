# SPDX-License-Identifier: BSD-3-Clause
"""The public headers in every language and mode that users compile them in.

Each header alone, as it is installed (<vfio-user/...>) and from its own folder, without a
warning; and the shape of the text that scripts of users rely on.

    python3 test_header_modes.py INCLUDE_DIR CC CXX
"""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

HEADERS = ("libvfio-user.h", "vfio-user.h", "pci_defs.h", "pci_caps/common.h",
           "pci_caps/dsn.h", "pci_caps/msi.h", "pci_caps/msix.h", "pci_caps/pm.h",
           "pci_caps/px.h")
C_MODES = ("c11", "gnu99", "c17", "gnu17")
CXX_MODES = ("c++11", "c++17", "gnu++20")
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wundef", "-Wstrict-prototypes")
# C++ passes through C headers what its own style forbids: these are for C++ users.
CXX_WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wundef", "-Wold-style-cast")

# What programs use after including libvfio-user.h alone.
BROUGHT = """
#include <stdio.h>
#include "libvfio-user.h"
struct iovec area;
LIST_HEAD(list, node) list;
struct node { LIST_ENTRY(node) link; } node;
struct msixcap msix;
struct pxcap px;
struct pmcap pm;
struct msicap msi;
struct dsncap dsn;
struct vsc *vendor;
vfu_pci_config_space_t *config;
struct vfio_user_header header;
struct vfio_region_info region;
uint64_t number = PCI_CAP_ID_MSIX + LOG_DEBUG + LINUX_VERSION_CODE + PCI_BARS_NR;
bool use(loff_t offset, ssize_t size);
bool use(loff_t offset, ssize_t size)
{
    LIST_INIT(&list);
    LIST_INSERT_HEAD(&list, &node, link);
    return getpid() + offset == size && offsetof(struct msixcap, mtab) == UINT32_C(4) &&
        printf("%" PRIu64, number) > 0;
}
"""

# Calls that a macro could trip over.
CALLS = """
#include <vfio-user/libvfio-user.h>
#define PAIR(a, b) a, b
struct pair { size_t a, b; };
typedef int read_t(vfu_ctx_t *, dma_sg_t *, size_t, void *, int);
int calls(vfu_ctx_t *ctx, dma_sg_t *sg, void *data);
int calls(vfu_ctx_t *ctx, dma_sg_t *sg, void *data)
{
    read_t *f = vfu_sgl_read, *g = &vfu_sgl_write;
    int n = vfu_sgl_read(ctx, sg, 1, data) + vfu_sgl_read(ctx, sg, 1, data, 0);

    n += vfu_sgl_read(ctx, ((void)0, sg), ((struct pair){ 1, 2 }).a, data);
    n += vfu_sgl_read(ctx, sg, vfu_sgl_read(ctx, sg, 1, data) ? 1u : 2u, data);
    n += vfu_sgl_write(ctx, sg, PAIR(1, data)) ? 1 : vfu_sgl_write(ctx, sg, 1, data, 1);
    n += vfu_setup_device_dma(ctx, PAIR(NULL, NULL));
    n += vfu_setup_device_dma(ctx, vfu_sgl_read(ctx, sg, 1, data) ? 1u : 2u, NULL, NULL);
    if (!vfu_sgl_read(ctx, sg, 1, data))
        return (vfu_sgl_read)(ctx, sg, 1, data, 0);
    else
        return f(ctx, sg, 1, data, 0) + (*g)(ctx, sg, 1, data, 0) + n;
}
"""

INCLUDE = CC = CXX = None


class Modes(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.installed = pathlib.Path(folder.name)
        (self.installed / "vfio-user").symlink_to(INCLUDE)

    def diagnostics(self, text, mode, options=("-D_GNU_SOURCE",), include=None):
        language, compiler = ("c++", CXX) if "++" in mode else ("c", CC)
        warnings = CXX_WARNINGS if language == "c++" else WARNINGS
        result = subprocess.run(
            [compiler, "-x", language, f"-std={mode}", *warnings, "-fsyntax-only", *options,
             f"-I{include or self.installed}", "-"], input=text, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return f"{mode}: {text}\n{result.stdout}" if result.stdout or result.returncode \
            else ""

    def clean(self, jobs):
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            said = list(pool.map(lambda job: self.diagnostics(*job), jobs))
        self.assertGreater(len(said), 0)
        self.assertEqual([text for text in said if text], [])

    def test_each_header_compiles_alone_as_installed(self):
        self.clean([(f"#include <vfio-user/{header}>\n", mode)
                    for header in HEADERS for mode in C_MODES + CXX_MODES])

    def test_each_header_compiles_twice_and_after_the_others(self):
        text = "".join(f"#include <vfio-user/{header}>\n"
                       for header in HEADERS[::-1] + HEADERS)
        self.clean([(text, mode) for mode in C_MODES + CXX_MODES])

    def test_gnu_modes_need_no_feature_macro(self):
        self.clean([(f"#include <vfio-user/{header}>\n", mode, ())
                    for header in HEADERS for mode in ("gnu99", "gnu17", "gnu++17")])

    def test_the_folder_of_the_headers_may_be_on_the_path_itself(self):
        self.clean([(f'#include "{header}"\n', mode, ("-D_GNU_SOURCE",), INCLUDE)
                    for header in HEADERS for mode in ("gnu99", "c++17")])

    def test_it_brings_what_users_take_from_it(self):
        self.clean([(BROUGHT, mode, ("-D_GNU_SOURCE",), INCLUDE)
                    for mode in ("c11", "gnu99", "c++17")])

    def test_calls_with_either_number_of_arguments_in_odd_places(self):
        self.clean([(CALLS, mode) for mode in C_MODES])
        cxx = CALLS.replace("((struct pair){ 1, 2 }).a", "pair{ 1, 2 }.a")
        self.clean([(cxx, mode) for mode in CXX_MODES])

    def test_a_wrong_number_of_arguments_does_not_compile(self):
        for call in ("vfu_sgl_read(c, s, 1)", "vfu_sgl_read(c, s, 1, d, 0, 0)",
                     "vfu_sgl_write(c, s)", "vfu_setup_device_dma(c, 0)",
                     "vfu_setup_device_dma(c, 1, 0, 0, 0)", "vfu_setup_device_dma(c)"):
            text = "#include <vfio-user/libvfio-user.h>\n" \
                "int f(vfu_ctx_t *c, dma_sg_t *s, void *d);\n" \
                "int f(vfu_ctx_t *c, dma_sg_t *s, void *d)\n" \
                f"{{ (void)s; (void)d; return {call}; }}\n"
            for mode in ("c11", "c++17"):
                self.assertIn("error:", self.diagnostics(text, mode), call)


class Text(unittest.TestCase):
    """Users find the functions with a pattern, comments or not."""

    pattern = re.compile(r"^([a-z_0-9]+)\(", re.MULTILINE)

    def test_a_name_begins_a_line_where_it_is_declared_and_nowhere_else(self):
        text = (INCLUDE / "libvfio-user.h").read_text(encoding="utf-8")
        names = self.pattern.findall(text)
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(len(names), 34 + 8)
        code = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
        for name in names:
            # Above it the type alone, behind it a prototype.
            self.assertRegex(code, rf"(?m)^[a-z_][\w ]*\**\n{name}\([^;{{]*\)[^;{{]*;")

    def test_the_other_headers_declare_no_function(self):
        for header in HEADERS[1:]:
            text = (INCLUDE / header).read_text(encoding="utf-8")
            self.assertEqual(self.pattern.findall(text), [], header)

    def test_every_header_is_listed_here(self):
        self.assertEqual(sorted(path.relative_to(INCLUDE).as_posix()
                                for path in INCLUDE.rglob("*.h")), sorted(HEADERS))


if __name__ == "__main__":
    INCLUDE = pathlib.Path(sys.argv[1]).resolve()
    CC, CXX = sys.argv[2:4]
    del sys.argv[1:4]
    unittest.main()
