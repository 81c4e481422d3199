# SPDX-License-Identifier: BSD-3-Clause
"""vfu lspci, and what lspci of pciutils makes of its dumps.

Where both decode a bit, they must agree, on the sample device and on spaces with random
registers. Without pciutils, those tests are skipped, and the script says so (77) when
nothing else failed.
"""

import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import unittest

import harness
from harness import CONFIG, OK, REFUSED, LOST, USAGE, FAILED

LSPCI = shutil.which("lspci")
FLAG = re.compile(r"(?:(?<=\s)|^)([A-Za-z0-9/-]+?)([+-])(?=[\s,]|$)")
TITLE = re.compile(r"^\s*([A-Z][A-Za-z0-9]*):")
CAPABILITY = re.compile(r"Capabilities: \[([0-9a-f]+)(?: v(\d+))?\] (.*)")


class Space:
    """A configuration space in the making."""

    def __init__(self, size=4096):
        self.bytes = bytearray(size)
        self.put("<HHHHBBH", 0, 0x1234, 0x5678, 0, 0, 1, 0, 0x0200)
        self.put("<HH", 0x2c, 0x1234, 0x9abc)

    def put(self, layout, at, *values):
        struct.pack_into(layout, self.bytes, at, *values)

    def chain(self, *members):
        """Capabilities (offset, id), in order."""
        self.bytes[0x06] |= 0x10
        self.bytes[0x34] = members[0][0]
        for (at, ident), (following, _) in zip(members, members[1:] + ((0, 0),)):
            self.put("<BB", at, ident, following)

    def extended(self, *members):
        """Extended capabilities (offset, id, version), in order."""
        for (at, ident, version), (following, _, _) in zip(members,
                                                           members[1:] + ((0, 0, 0),)):
            self.put("<I", at, ident | version << 16 | following << 20)


def device(space, sizes=None, flags=3):
    """A device whose configuration space this is."""
    made = harness.Device()
    made.regions = dict(sizes or {})
    made.regions[CONFIG] = (len(space), flags)
    made.memory = {CONFIG: bytearray(space)}
    return made


def random_space(seed):
    """Chains as they should be, registers as they come."""
    rng = random.Random(seed)
    space = Space()
    for at in list(range(0x04, 0x08)) + list(range(0x40, 0x100)) + list(range(0x100, 0x400)):
        space.bytes[at] = rng.randrange(256)
    space.put("<I", 0x10, rng.randrange(1, 1 << 24) << 8)
    space.put("<Q", 0x18, rng.randrange(1, 1 << 40) << 16 | 0xc)
    space.chain((0x40, 0x01), (0x48, 0x05), (0x60, 0x10), (0xa0, 0x11), (0xb0, 0x03),
                (0xc0, 0x09))
    space.put("<H", 0x4a, space.bytes[0x4a] & 0x81 | rng.randrange(2) << 8)
    space.put("<H", 0x62, 0x0002)               # version 2, an endpoint
    space.put("<B", 0x64, 0x01 | space.bytes[0x64] & 0xf8)
    space.put("<II", 0xa4, rng.randrange(16) << 12, rng.randrange(16) << 12 | 0x2)
    space.put("<B", 0xc2, 20)
    space.extended((0x100, 0x01, 2), (0x150, 0x03, 1), (0x160, 0x0d, 1), (0x170, 0x0e, 1),
                   (0x180, 0x0f, 1), (0x190, 0x10, 1), (0x1d0, 0x13, 1), (0x1e0, 0x1b, 1),
                   (0x1f0, 0x18, 1), (0x200, 0x0b, 1))
    space.put("<I", 0x204, 0x01010001)
    space.put("<H", 0x1e4, 0x1006)
    return bytes(space.bytes)


def facts(text):
    """{(capability, register, flag): "+" or "-"} and the capabilities in their order."""
    flags, order, at, title = {}, [], "", ""
    for line in text.splitlines():
        found = CAPABILITY.search(line)
        if found:
            at, title = found.group(1), "Capabilities"
            order.append((at, found.group(2)))
            line = found.group(3)
        elif TITLE.match(line):
            title = TITLE.match(line).group(1)
            line = line[TITLE.match(line).end():]
        for label, sign in FLAG.findall(line):
            flags[at, title, label] = sign
    return flags, order


def regions(text):
    """{BAR: (address, 64 bits, prefetchable)} as lspci words it; not those of functions."""
    text = text.split("Capabilities:")[0]
    pattern = r"Region (\d): Memory at ([0-9a-f]+) \((\d+)-bit, (non-)?prefetchable\)"
    return {int(bar): (int(address, 16), bits == "64", non is None or non == "")
            for bar, address, bits, non in re.findall(pattern, text)}


class Decoding(harness.Case):
    def lspci_of(self, made, *words, status=OK):
        path = self.path("odd.sock")
        with harness.odd_server(path, made.serve):
            return self.vfu("lspci", path, "-n", *words, status=status)

    def refusal_of(self, made, status):
        path = self.path("odd.sock")
        with harness.odd_server(path, made.serve):
            return self.refusal("lspci", path, status=status)

    def test_the_sample_is_described_in_words(self):
        text = self.vfu("lspci", self.server(), "-n")
        self.assertIn("00:00.0 Unassigned class [ff00]: vendor 1234, device 5646", text)
        self.assertIn("\tInterrupt: pin A, line 0\n", text)
        self.assertIn("\tBAR0: memory, 32 bits, 4 KiB, no address yet\n", text)
        self.assertIn("\tBAR1: memory, 32 bits, 2 MiB, no address yet\n", text)
        self.assertIn("\tBAR2: memory, 64 bits, prefetchable, 64 KiB, no address yet\n", text)
        self.assertIn("\tExpansion ROM: 2 KiB, no address yet, disabled\n", text)
        self.assertIn("] Express (v2) Endpoint, MSI 00, FLReset+\n", text)
        self.assertIn("] MSI: Enable- Count=1/1 Maskable+ 64bit+\n", text)
        self.assertIn("] MSI-X: Enable- Count=4 Masked-\n", text)
        self.assertNotIn("BAR3", text)
        self.assertNotIn("BAR5", text)
        self.assertNotIn("DevCap", text)

    def test_verbose_shows_registers(self):
        text = self.vfu("lspci", "-v", self.server())
        self.assertIn("\t\tVector table: BAR=4 offset=00000000\n", text)
        self.assertIn("\t\tPBA: BAR=4 offset=00000800\n", text)
        self.assertIn("\t\tDevCap: ExtTag- RBE+ FLReset+ MaxPayload=128", text)

    def test_what_a_client_writes_is_seen(self):
        made = device(Space(256).bytes, {0: (4096, 3)})
        path = self.path("odd.sock")
        with harness.odd_server(path, made.serve, clients=3):
            self.vfu("write", path, "config", "4", "6", "--width", "2")
            self.vfu("write", path, "config", "0x10", "0xfebf0000")
            text = self.vfu("lspci", path)
        self.assertIn("Mem+ BusMaster+", text)
        self.assertIn("\tBAR0: memory, 32 bits, 4 KiB at 0xfebf0000\n", text)

    def test_json_has_everything_once(self):
        server = self.server()
        brief = json.loads(self.vfu("lspci", "--json", server))
        self.assertEqual(brief, json.loads(self.vfu("lspci", "--json", "-v", server)))
        self.assertEqual((brief["vendor"], brief["device"], brief["class"]),
                         (0x1234, 0x5646, 0xff00))
        self.assertEqual([cap["name"] for cap in brief["capabilities"]],
                         ["Power Management", "Express", "MSI", "MSI-X"])
        self.assertEqual(brief["bars"][1],
                         {"index": 1, "type": "memory", "bits": 32, "prefetchable": False,
                          "address": 0, "size": 2 << 20})
        self.assertEqual(brief["rom"], {"address": 0, "size": 2048, "enabled": False})
        self.assertTrue(brief["capabilities"][1]["device_capabilities"]["flr"])
        self.assertEqual(brief["capabilities"][3]["pba"], {"bar": 4, "offset": 2048})
        self.assertEqual(brief["problems"], [])
        self.assertNotIn("bytes", brief)

    def test_json_with_dump_has_the_bytes(self):
        space = random_space(3)
        made = device(space, {0: (256, 3), 2: (65536, 3)})
        got = json.loads(self.lspci_of(made, "--json", "--dump", status=None))
        self.assertEqual(bytes.fromhex(got["bytes"]), space)

    def vfu(self, *words, status=OK, **more):
        """status None: any that shows something."""
        if status is not None:
            return super().vfu(*words, status=status, **more)
        done = self.call(*words, **more)
        self.assertIn(done.returncode, (OK, REFUSED))
        return done.stdout

    def test_broken_chains_are_said_and_are_the_exit_code(self):
        space = Space(256)
        space.chain((0x40, 0x01), (0x48, 0x09))
        space.put("<BBB", 0x48, 0x09, 0x40, 8)
        text = self.lspci_of(device(space.bytes), status=REFUSED)
        self.assertIn("\tProblem: the chain of capabilities loops: from [49] back to [40]\n",
                      text)
        self.assertIn("Power Management", text)
        got = json.loads(self.lspci_of(device(space.bytes), "--json", status=REFUSED))
        self.assertEqual(got["problems"],
                         ["the chain of capabilities loops: from [49] back to [40]"])
        self.assertEqual(self.refusal_of(device(space.bytes), REFUSED),
                         "vfu lspci: configuration space has 1 problem\n")

    def test_names_come_from_the_list_that_is_named(self):
        with open(self.path("ids"), "w", encoding="ascii") as ids:
            ids.write("1234  A vendor\n\t5646  A device\n\t\t1234 5646  A board\n")
        server = self.server()
        text = self.vfu("lspci", server, "--ids", self.path("ids"))
        self.assertIn("vendor A vendor [1234], device A device [5646]", text)
        self.assertIn("Subsystem: vendor A vendor [1234], device A board [5646]\n", text)
        got = json.loads(self.vfu("lspci", server, "-i", self.path("ids"), "--json"))
        self.assertEqual(got["device_name"], "A device")
        text = self.vfu("lspci", server, "--ids", self.path("ids"), "--numeric")
        self.assertNotIn("A vendor", text)
        self.assertIn("No such file",
                      self.refusal("lspci", server, "-i", "/no/list", status=FAILED))

    def test_small_and_large_spaces_are_taken(self):
        made = device(Space(64).bytes)
        self.assertEqual(json.loads(self.lspci_of(made, "--json"))["length"], 64)
        made = device(bytes(Space(4096).bytes) + bytes(4096))
        self.assertEqual(json.loads(self.lspci_of(made, "--json"))["length"], 4096)
        self.assertIn("40 bytes of configuration space are less than a header",
                      self.lspci_of(device(Space(64).bytes[:40]), status=REFUSED))

    def test_servers_that_answer_registers_only_are_read_by_registers(self):
        class Narrow(harness.Device):
            def load(self, index, offset, count):
                if count > 4:
                    raise OSError(22, "too wide")
                return super().load(index, offset, count)

        made = Narrow()
        made.regions = {CONFIG: (256, 3)}
        made.memory = {CONFIG: Space(256).bytes}
        self.assertIn("vendor 1234, device 5678", self.lspci_of(made))


class Careless(harness.Case):
    def test_what_is_no_pci_device_is_refused(self):
        for change in ({"flags": 1}, {"num_regions": 7}, {"regions": {0: (4096, 3)}}):
            made = harness.Device()
            for name, value in change.items():
                setattr(made, name, value)
            path = self.path("odd.sock")
            with harness.odd_server(path, made.serve):
                text = self.refusal("lspci", path, status=REFUSED)
            self.assertRegex(text, "no PCI device|no configuration space")

    def test_a_space_that_cannot_be_read_is_refused(self):
        class Closed(harness.Device):
            def load(self, index, offset, count):
                raise OSError(13, "closed")

        path = self.path("odd.sock")
        with harness.odd_server(path, Closed().serve):
            text = self.refusal("lspci", path, status=REFUSED)
        self.assertIn("configuration space: ", text)
        self.assertIn("Permission denied", text)

    def test_misuse_is_told(self):
        server = self.server()
        self.assertIn("'00:20.0' is no address",
                      self.refusal("lspci", server, "--dump", "--address", "00:20.0",
                                   status=USAGE))
        self.refusal("lspci", status=USAGE)
        self.refusal("lspci", server, "bar0", status=USAGE)
        self.refusal("lspci", self.path("nothing"), status=LOST)

    def test_output_that_is_lost_is_a_failure(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = self.call("lspci", self.server(), stdout=full)
        self.assertEqual(done.returncode, FAILED)


class Dump(harness.Case):
    """Without pciutils: the bytes themselves."""

    def test_the_dump_holds_every_byte(self):
        space = random_space(5)
        path = self.path("odd.sock")
        with harness.odd_server(path, device(space).serve):
            text = self.vfu("lspci", "-x", path, "--address", "1:2:3.4")
        first, *lines = text.strip("\n").split("\n")
        self.assertTrue(first.startswith("0001:02:03.4 Ethernet controller [0200]: "), first)
        self.assertEqual(len(lines), 256)
        got = b""
        for line in lines:
            offset, data = line.split(": ")
            self.assertEqual(int(offset, 16), len(got))
            got += bytes.fromhex(data)
        self.assertEqual(got, space)
        self.assertTrue(text.endswith("\n\n"))


@unittest.skipUnless(LSPCI, "there is no lspci (package pciutils)")
class Agreement(harness.Case):
    def compare(self, path, least):
        """Both decoders on the same server; `least` flags have to be in both."""
        dump = self.path("dump")
        with open(dump, "w", encoding="ascii") as out:
            self.call("lspci", path, "--dump", "--address", "0000:05:1f.3", stdout=out)
        done = subprocess.run([LSPCI, "-nvvv", "-F", dump], stdout=subprocess.PIPE, text=True,
                              check=True, stderr=subprocess.DEVNULL)
        mine = self.call("lspci", path, "-v", "-n").stdout
        theirs = done.stdout
        my_flags, my_order = facts(mine)
        their_flags, their_order = facts(theirs)
        self.assertEqual([at for at, _ in my_order], [at for at, _ in their_order])
        self.assertEqual([v for at, v in my_order if int(at, 16) >= 0x100],
                         [v for at, v in their_order if int(at, 16) >= 0x100])
        shared = my_flags.keys() & their_flags.keys()
        for key in sorted(shared):
            self.assertEqual(my_flags[key], their_flags[key], (key, mine, theirs))
        self.assertGreaterEqual(len(shared), least, (sorted(shared), mine, theirs))
        return mine, theirs, shared

    def test_lspci_reads_the_sample_as_we_do(self):
        mine, theirs, shared = self.compare(self.server(), 70)
        self.assertTrue(theirs.startswith("05:1f.3 ff00: 1234:5646"), theirs)
        for line in ("Vector table: BAR=4 offset=00000000", "PBA: BAR=4 offset=00000800",
                     "MSI: Enable- Count=1/1 Maskable+ 64bit+",
                     "MSI-X: Enable- Count=4 Masked-", "Power Management version 3",
                     "Express (v2) Endpoint, MSI 00"):
            self.assertIn(line, mine)
            self.assertIn(line, theirs)
        self.assertIn(("48", "DevCap", "FLReset"), shared)

    def test_lspci_reads_random_registers_as_we_do(self):
        registers = set()
        for seed in range(20):
            path = self.path("odd%d.sock" % seed)
            made = device(random_space(seed), {0: (256, 3), 2: (65536, 3)})
            with harness.odd_server(path, made.serve, clients=2):
                mine, theirs, shared = self.compare(path, 120)
            registers |= {(at, title) for at, title, _ in shared}
            self.assertEqual(sorted(regions(theirs)), [0, 2])
            for bar, (address, wide, prefetchable) in regions(theirs).items():
                self.assertIn("\tBAR%d: memory, %d bits%s, %s at 0x%x\n" % (
                    bar, 64 if wide else 32, ", prefetchable" if prefetchable else "",
                    "64 KiB" if wide else "256 bytes", address), mine)
            serial = re.search(r"Device Serial Number ([0-9a-f-]+)", theirs).group(1)
            self.assertIn(serial, mine)
            table = re.search(r"Vector table: BAR=\d offset=[0-9a-f]{8}", theirs).group(0)
            self.assertIn(table, mine)
        wanted = {("", "Control"), ("", "Status"), ("40", "Flags"), ("60", "DevCap"),
                  ("60", "DevCtl"), ("60", "DevSta"), ("60", "LnkCap"), ("60", "LnkCtl"),
                  ("60", "LnkSta"), ("60", "DevCap2"), ("100", "UESta"), ("100", "UEMsk"),
                  ("100", "UESvrt"), ("100", "CESta"), ("100", "CEMsk"), ("100", "AERCap"),
                  ("160", "ACSCap"), ("160", "ACSCtl"), ("170", "ARICap"),
                  ("180", "ATSCtl"), ("190", "IOVCtl"), ("1d0", "PRICtl"), ("1d0", "PRISta"),
                  ("1e0", "PASIDCap"), ("1e0", "PASIDCtl")}
        self.assertEqual(wanted - registers, set())

    def test_bars_are_where_lspci_sees_them(self):
        space = Space(256)
        space.put("<IIQ", 0x10, 0xfebf0000, 0x0000c001, 0x1e000000c)
        path = self.path("odd.sock")
        made = device(space.bytes, {0: (65536, 3), 1: (32, 3), 2: (1 << 29, 3)})
        with harness.odd_server(path, made.serve, clients=2):
            mine, theirs, _ = self.compare(path, 10)
        self.assertEqual(regions(theirs), {0: (0xfebf0000, False, False),
                                           2: (0x1e0000000, True, True)})
        self.assertIn("BAR0: memory, 32 bits, 64 KiB at 0xfebf0000\n", mine)
        self.assertIn("BAR1: I/O ports, 32 bytes at 0xc000\n", mine)
        self.assertIn("Region 1: I/O ports at c000", theirs)
        self.assertIn("BAR2: memory, 64 bits, prefetchable, 512 MiB at 0x1e0000000\n", mine)

    def test_several_dumps_make_one_file(self):
        server, dump = self.server(), self.path("dump")
        with open(dump, "w", encoding="ascii") as out:
            for address in ("00:01.0", "00:02.0"):
                out.write(self.vfu("lspci", server, "-x", "-a", address))
        done = subprocess.run([LSPCI, "-n", "-F", dump], stdout=subprocess.PIPE, text=True,
                              check=True, stderr=subprocess.DEVNULL)
        self.assertEqual([line.split()[0] for line in done.stdout.splitlines()],
                         ["00:01.0", "00:02.0"])


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    if result.wasSuccessful() and not LSPCI:
        print("skipped: there is no lspci (package pciutils) to compare with")
        sys.exit(77)
    sys.exit(not result.wasSuccessful())
