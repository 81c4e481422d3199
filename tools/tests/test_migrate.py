# SPDX-License-Identifier: BSD-3-Clause
"""vfu migrate: to a file, from a file, to another server; and what goes wrong."""

import json
import os
import pathlib
import re
import signal
import struct
import subprocess
import time
import zlib

import harness
from harness import FAILED, LOST, REFUSED, USAGE

BAR1 = "bar1"
STORAGE = 0x20000       # in BAR1, can be mapped


def chunks(state):
    """The data of a saved state, and what its end says: (data, crc, total)."""
    data, at = b"", 32
    while True:
        length = struct.unpack_from("<I", state, at)[0]
        if length == 0:
            return (data, *struct.unpack_from("<IQ", state, at + 4))
        data += state[at + 4:at + 4 + length]
        at += 4 + length


class Movable(harness.Device):
    """It can be migrated, in STOP_COPY alone, and notes the states that it is led to."""
    NAMES = {1: "STOP", 2: "RUNNING", 3: "STOP_COPY", 4: "RESUMING"}

    def __init__(self):
        super().__init__()
        self.state = 2
        self.states = []
        self.left = b""
        self.taken = bytearray()

    def feature(self, body):
        asked = struct.unpack_from("<I", body, 4)[0]
        if asked & 0x20000:
            self.state = struct.unpack_from("<I", body, 8)[0]
            self.states.append(self.NAMES[self.state])
            self.left = b"the state" if self.state == 3 else b""
            return body
        data = 1 if asked & 0xffff == 1 else self.state
        return struct.pack("<IIQ", 16, asked, data)

    def give(self, body):
        size = struct.unpack_from("<I", body, 4)[0]
        data, self.left = self.left[:size], self.left[size:]
        return struct.pack("<II", 8 + len(data), len(data)) + data

    def take(self, body):
        self.taken += body[8:]
        return b""

    def answer(self, peer, msg_id, command, flags, body):
        mine = {harness.FEATURE: self.feature, 17: self.give, 18: self.take}
        if command in mine:
            peer.reply(msg_id, command, mine[command](body))
        else:
            super().answer(peer, msg_id, command, flags, body)


class Migrate(harness.Case):
    def setUp(self):
        super().setUp()
        self.source = self.server("source.sock")
        self.saved = self.path("dev.state")

    def word(self, socket, value=None):
        """A word of the storage, which unlike registers outlives a connection."""
        if value is None:
            return struct.unpack("<I", self.content(socket, 4))[0]
        return self.fill(socket, struct.pack("<I", value))

    def fill(self, socket, text):
        file = pathlib.Path(self.path("content"))
        file.write_bytes(text)
        self.vfu("write", "--input", file, socket, BAR1, STORAGE)

    def content(self, socket, length):
        file = pathlib.Path(self.path("back"))
        self.vfu("read", "--output", file, socket, BAR1, STORAGE, length)
        return file.read_bytes()

    def state_of(self, socket):
        return re.search(r"mig-device-state .*?(\w+)$", self.vfu("info", socket),
                         re.MULTILINE).group(1)

    # ------------------------------------------------------------ in order --

    def test_saved_state_brings_a_device_back(self):
        content = os.urandom(300000)
        self.fill(self.source, content)
        self.vfu("migrate", "save", self.source, self.saved)
        self.assertEqual(self.state_of(self.source), "RUNNING")
        destination = self.server("destination.sock")
        self.assertNotEqual(self.content(destination, len(content)), content)
        self.vfu("migrate", "restore", destination, self.saved)
        self.assertEqual(self.content(destination, len(content)), content)
        self.assertEqual(self.state_of(destination), "RUNNING")

    def test_file_is_as_the_manual_says(self):
        out = self.vfu("migrate", "save", self.source, self.saved)
        state = pathlib.Path(self.saved).read_bytes()
        self.assertEqual(state[:8], b"VFUSTATE")
        self.assertEqual(struct.unpack_from("<IIHH", state, 8), (1, 32, 0x1234, 0x5646))
        data, crc, total = chunks(state)
        self.assertEqual((zlib.crc32(data), len(data)), (crc, total))
        self.assertIn("CRC-32 %08x" % crc, out)

    def test_device_moves_to_another_server(self):
        self.fill(self.source, b"storage " * 1000)
        destination = self.server("destination.sock")
        out = self.vfu("migrate", "--check", self.source, destination)
        self.assertRegex(out, r"(?m)^pre-copy: .*\n(.*\n)*stopped: .*\n"
                              r"moved .*\ndowntime [\d.]+ ms, [\d.]+ ms are left")
        self.assertEqual(self.content(destination, 8000), b"storage " * 1000)
        self.assertEqual(self.state_of(destination), "RUNNING")

    def test_json_has_what_the_manual_promises(self):
        destination = self.server("destination.sock")
        result = json.loads(self.vfu("migrate", "--json", "-c", self.source, destination))
        self.assertEqual((result["done"], result["checked"], result["converged"]),
                         ("moved", True, True))
        self.assertEqual(sum(r["bytes"] for r in result["rounds"]), result["bytes"])
        self.assertEqual([r["kind"] for r in result["rounds"]][-1], "stopped")
        self.assertLess(result["downtime_seconds"], result["seconds"])
        self.assertEqual(result["downtime_allowed_seconds"], 0.3)

    def test_rounds_0_stops_the_device_at_once(self):
        out = self.vfu("migrate", "save", "--rounds", 0, self.source, self.saved)
        self.assertNotIn("pre-copy", out)

    def test_states_are_those_of_the_order(self):
        device = Movable()
        path = self.path("movable.sock")
        for words, states in (
                (("save", path, self.saved), ["STOP", "STOP_COPY", "STOP", "RUNNING"]),
                (("save", "--stop", path, self.saved), ["STOP", "STOP_COPY", "STOP"]),
                (("restore", path, self.saved), ["STOP", "RESUMING", "STOP", "RUNNING"]),
                (("restore", "--stop", path, self.saved), ["STOP", "RESUMING", "STOP"])):
            device.states = []
            device.state = 2
            with harness.odd_server(path, device.serve):
                self.vfu("migrate", *words)
            self.assertEqual(device.states, states)
        self.assertEqual(bytes(device.taken), b"the state" * 2)

    def test_failed_save_leads_the_source_back_to_running(self):
        device = Movable()
        path = self.path("movable.sock")
        with harness.odd_server(path, device.serve), open("/dev/full", "wb") as full:
            done = self.call("migrate", "save", path, "-", stdout=full, text=False)
        self.assertEqual(done.returncode, FAILED, done.stderr)
        self.assertEqual(device.states, ["STOP", "STOP_COPY", "STOP", "RUNNING"])

    def test_half_of_the_data_is_reset(self):
        device = Movable()
        path = self.path("movable.sock")
        self.vfu("migrate", "save", "--force", self.source, self.saved)
        state = pathlib.Path(self.saved).read_bytes()
        with harness.odd_server(path, device.serve):
            done = self.call("migrate", "restore", "--force", path, "-", input=state[:-3],
                             text=False)
        self.assertEqual(done.returncode, FAILED, done.stderr)
        self.assertEqual(device.states, ["STOP", "RESUMING"])
        self.assertEqual(device.commands[-1], harness.RESET)

    def test_check_finds_what_did_not_arrive(self):
        here, there, short = Movable(), Movable(), Movable()
        there.memory[0][0x123] ^= 0xff
        short.regions[0] = (2048, 3)
        for other, words in ((there, "bar0 differs at 0x123"),
                             (short, "region 0 has 4096 bytes here and 2048 there")):
            a, b = self.path("a.sock"), self.path("b.sock")
            here.states, other.states = [], []
            with harness.odd_server(a, here.serve), harness.odd_server(b, other.serve):
                said = self.refusal("migrate", "--check", a, b, status=REFUSED)
            self.assertIn(words, said)
            self.assertEqual(here.states[-1], "RUNNING")
            self.assertEqual(other.states[-1], "STOP")

    def test_pipes_carry_the_state(self):
        self.word(self.source, 5)
        done = self.call("migrate", "save", self.source, "-", text=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"downtime", done.stderr)
        destination = self.server("destination.sock")
        self.vfu("migrate", "restore", destination, "-", input=done.stdout, text=False)
        self.assertEqual(self.word(destination), 5)

    # ------------------------------------------------------------ in disorder --

    def test_damaged_file_does_not_touch_the_device(self):
        self.word(self.source, 1)
        self.vfu("migrate", "save", self.source, self.saved)
        self.word(self.source, 2)
        state = bytearray(pathlib.Path(self.saved).read_bytes())
        for damage, words in ((lambda s: s[:-3], "it ends early"),
                              (lambda s: s + b"x", "something follows its end"),
                              (lambda s: s[:40] + bytes([s[40] ^ 1]) + s[41:],
                               "the checksum differs"),
                              (lambda s: b"", "it ends early"),
                              (lambda s: b"#!/bin/sh\n" * 9, "no saved state")):
            pathlib.Path(self.saved).write_bytes(damage(bytes(state)))
            said = self.refusal("migrate", "restore", self.source, self.saved,
                                status=FAILED)
            self.assertIn(words, said)
            self.assertEqual(self.word(self.source), 2)

    def test_damaged_pipe_resets_the_device(self):
        self.word(self.source, 1)
        self.vfu("migrate", "save", self.source, self.saved)
        state = pathlib.Path(self.saved).read_bytes()
        self.word(self.source, 2)
        done = self.call("migrate", "restore", self.source, "-", input=state[:-3],
                         text=False)
        said = done.stderr.decode()
        self.assertEqual(done.returncode, FAILED, said)
        self.assertIn("it ends early", said)
        self.assertIn("the destination was reset", said)
        self.assertEqual(self.word(self.source), 2)
        self.assertEqual(self.state_of(self.source), "RUNNING")

    def test_other_device_is_refused_unless_forced(self):
        self.word(self.source, 3)
        self.vfu("migrate", "save", self.source, self.saved)
        state = bytearray(pathlib.Path(self.saved).read_bytes())
        state[18:20] = b"\x99\x99"
        pathlib.Path(self.saved).write_bytes(state)
        self.word(self.source, 4)
        said = self.refusal("migrate", "restore", self.source, self.saved, status=REFUSED)
        self.assertIn("1234:9999", said)
        self.assertEqual(self.word(self.source), 4)
        self.vfu("migrate", "restore", "--force", self.source, self.saved)
        self.assertEqual(self.word(self.source), 3)

    def test_unwriteable_file_leaves_nothing_behind(self):
        self.refusal("migrate", "save", self.source, self.path("none/dev.state"),
                     status=FAILED)
        os.mkdir(self.saved)
        before = set(os.listdir(self.folder))
        self.refusal("migrate", "save", self.source, self.saved, status=FAILED)
        self.assertEqual(set(os.listdir(self.folder)), before)
        self.assertEqual(self.state_of(self.source), "RUNNING")

    def test_full_disk_lets_the_source_run(self):
        with open("/dev/full", "wb") as full:
            done = self.call("migrate", "save", self.source, "-", stdout=full, text=False)
        self.assertEqual(done.returncode, FAILED, done.stderr)
        self.assertIn(b"No space left", done.stderr)
        self.assertEqual(self.state_of(self.source), "RUNNING")

    def test_device_without_migration_is_told(self):
        path = self.path("plain.sock")
        with harness.odd_server(path, harness.Device().serve):
            said = self.refusal("migrate", "save", path, self.saved, status=REFUSED)
        self.assertIn("source: cannot be migrated", said)
        self.assertFalse(os.path.exists(self.saved))

    def test_lost_destination_lets_the_source_run(self):
        destination = self.path("short.sock")

        class Short(Movable):
            """Leaves with the first data."""
            def take(self, body):
                raise ConnectionError("leaves")

        with harness.odd_server(destination, Short().serve):
            said = self.refusal("migrate", "--force", self.source, destination,
                                status=LOST)
        self.assertIn("destination: the data", said)
        self.assertIn("the source runs on", said)
        self.assertEqual(self.state_of(self.source), "RUNNING")

    def test_interrupted_save_lets_the_source_run(self):
        """SIGINT comes while standard output, a full pipe, takes no more."""
        self.fill(self.source, os.urandom(400000))
        process = subprocess.Popen(
            [str(harness.VFU), "migrate", "save", self.source, "-"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        end = time.monotonic() + harness.DEADLINE
        stat = pathlib.Path(f"/proc/{process.pid}/syscall")
        while time.monotonic() < end:       # until it waits in write(1, ...)
            with open(stat, encoding="ascii") as file:
                if file.read().startswith("1 0x1 "):
                    break
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=harness.DEADLINE)[1].decode()
        self.assertEqual(process.returncode, FAILED, said)
        self.assertIn("interrupted", said)
        self.assertEqual(self.state_of(self.source), "RUNNING")

    def test_careless_users_are_told(self):
        for words in (("migrate", self.source), ("migrate", "copy", self.source, "x"),
                      ("migrate", self.source, self.source),
                      ("migrate", "save", "--rounds", "many", self.source, self.saved),
                      ("migrate", "save", "--json", self.source, "-")):
            self.refusal(*words, status=USAGE)
        self.assertIn("no such", self.refusal("migrate", self.source,
                                             self.path("none.sock"), status=LOST))
        self.assertEqual(self.state_of(self.source), "RUNNING")


if __name__ == "__main__":
    harness.main()
