# SPDX-License-Identifier: BSD-3-Clause
"""The dissector for Wireshark: the fields of every command, by tshark, on recordings that
are made here.

usage: test_wireshark.py VFU SERVER ROOT [unittest arguments]
"""

import json
import os
import shutil
import struct
import subprocess
import sys

import harness
import sessions
from sessions import BAR0, DELAY, MSIX, Client, byte_server, message
from test_decode import EXCHANGES

SCRIPT = harness.ROOT / "tools/wireshark/vfio-user.lua"


class Case(sessions.Case):
    def tshark(self, recording, *options):
        done = subprocess.run(
            ["tshark", "-X", "lua_script:%s" % SCRIPT, "-r", self.path(recording), *options],
            capture_output=True, text=True, timeout=harness.DEADLINE, check=False,
            env=dict(os.environ, HOME=self.folder, LC_ALL="C.UTF-8"))
        self.assertEqual(done.returncode, 0, done.stderr)
        for text in done.stdout, done.stderr:
            self.assertNotIn("Lua Error", text)
            self.assertNotIn("Lua: Error", text)
        return done.stdout

    def columns(self, recording, *fields, where=None):
        """The values of these fields, a list for each packet. In two passes, so that a
        command knows its reply."""
        options = ["-2", "-T", "fields", "-E", "separator=/t", "-E", "occurrence=a"]
        for name in fields:
            options += ["-e", name if name.startswith("frame") or name.startswith("_ws")
                        else "vfio-user." + name]
        if where:
            options += ["-Y", where]
        return [line.split("\t") for line in
                self.tshark(recording, *options).rstrip("\n").split("\n")]


class EveryCommand(Case):
    def setUp(self):
        super().setUp()

        def serve(peer):
            msg_id, _, _, _, _ = peer.receive()
            peer.send(message(msg_id, 1, sessions.caps(), flags=1))
            for _, _, reply, _, _ in EXCHANGES:
                msg_id, command, _, _, _ = peer.receive()
                peer.send(message(msg_id, command, reply, flags=1))
            msg_id, command, _, _, _ = peer.receive()
            peer.send(message(msg_id, command, flags=0x21, error=22))
            peer.send(message(40, 11, struct.pack("<QQ", 0x10, 3)))
            peer.receive()
            peer.at_end()

        with byte_server(self.path("target"), serve):
            recorder = self.recorder(self.path("target"), "--once")
            client = Client(recorder.path)
            for command, body, _, _, _ in EXCHANGES:
                client.call(command, body)
            client.call(13)
            msg_id, command, _, _, body = client.receive()
            client.send(message(msg_id, command, body + b"xyz", flags=1))
            client.close()
            recorder.ended()

    def rows(self, command, *fields):
        return self.columns("rec.pcapng", *fields,
                            where="vfio-user.command == %d" % command)

    def test_has_its_fields(self):
        for command, fields, wanted in (
                (1, ("major", "minor"), [["0", "1"], ["0", "1"]]),
                (2, ("offset", "address", "length", "dma_flags.read", "dma_flags.mmap"),
                 [["0x0000000000001000", "0x0000000000010000", "0x0000000000002000", "1", "0"],
                  ["", "", "", "", ""]]),
                (3, ("argsz", "address"), [["24", "0x0000000000010000"],
                                           ["24", "0x0000000000000001"]]),
                (4, ("device_flags.reset", "num_regions", "num_irqs"),
                 [["0", "0", "0"], ["1", "9", "5"]]),
                (5, ("region", "region_flags.caps", "cap.id", "area.offset", "area.size"),
                 [["1", "0", "", "", ""],
                  ["1", "1", "0x0001", "0x0000000000000000,0x0000000000001000",
                   "0x0000000000001000,0x0000000000000800"]]),
                (6, ("count", "io_fd.offset", "io_fd.type", "io_fd.datamatch"),
                 [["0", "", "", ""], ["1", "0x0000000000000008", "1", "0x0000000000000063"]]),
                (7, ("irq", "irq_flags.eventfd", "count"), [["2", "0", "0"], ["2", "1", "4"]]),
                (8, ("irq", "set_flags.bool", "set_flags.trigger", "start", "count", "data"),
                 [["2", "1", "1", "1", "3", "010001"], [""] * 6]),
                (9, ("offset", "region", "count", "data"),
                 [["0x0000000000000008", "0", "4", ""],
                  ["0x0000000000000008", "0", "4", "11223344"]]),
                (10, ("count", "data"), [["2", "5566"], ["2", ""]]),
                (11, ("address", "count64", "data"),
                 [["0x0000000000000010", "3", ""],
                  ["0x0000000000000010", "3", b"xyz".hex()]]),
                (15, ("count64", "write.region", "write.data"),
                 [["2", "0,1", b"abcd".hex() + "," + b"12345678".hex()], ["2", "", ""]]),
                (17, ("mig_size", "data"), [["92", ""], ["5", b"state".hex()]]),
                (18, ("mig_size", "data"), [["5", b"state".hex()], ["", ""]])):
            with self.subTest(command=command):
                self.assertEqual(self.rows(command, *fields), wanted)

    def test_features_have_theirs(self):
        rows = self.rows(16, "feature", "feature.get", "migration_flags", "device_state",
                         "range.iova", "range.length", "page_size", "bitmap")
        zero, length = "0x0000000000000000", "0x0000000000002000"
        self.assertEqual(rows, [
            ["1", "1", "", "", "", "", "", ""],
            ["1", "1", "0x0000000000000005", "", "", "", "", ""],
            ["2", "0", "", "1", "", "", "", ""], ["2", "0", "", "1", "", "", "", ""],
            ["6", "0", "", "", zero, length, "4096", ""], ["6", "0", "", "", "", "", "", ""],
            ["8", "1", "", "", zero, length, "4096", ""],
            ["8", "1", "", "", zero, length, "4096", "0300000000000000"]])

    def test_json_of_version_is_text(self):
        self.assertIn('{"capabilities": {"max_msg_fds": 16}}', self.rows(1, "json")[0][0])

    def test_replies_refer_to_their_commands(self):
        rows = self.columns("rec.pcapng", "frame.number", "flags.type", "response_in",
                            "response_to", "time", where="vfio-user.command")
        by_number = {row[0]: row for row in rows}
        replies = [row for row in rows if row[1] == "1"]
        self.assertEqual(len(replies), len(EXCHANGES) + 3)
        for row in replies:
            command = by_number[row[3]]
            self.assertEqual((command[1], command[2]), ("0", row[0]))
            self.assertGreater(float(row[4]), 0)
        self.assertEqual([row for row in rows if row[1] == "0" and not row[2]], [])

    def test_refusals_and_unknown_commands_are_pointed_out(self):
        text = self.tshark("rec.pcapng", "-Y", "vfio-user.expert.refused", "-V")
        self.assertIn("Errno: EINVAL (22)", text)
        unknown = self.columns("rec.pcapng", "command", where="vfio-user.expert.unknown")
        self.assertEqual(unknown, [["77"], ["77"]])
        self.assertIn("COMMAND_77 command", self.tshark("rec.pcapng"))
        self.assertEqual(self.columns("rec.pcapng", "command",
                                      where="vfio-user.expert.short || vfio-user.expert.size"),
                         [[""]])

    def test_as_json_every_packet_is_there(self):
        packets = json.loads(self.tshark("rec.pcapng", "-T", "json", "--no-duplicate-keys"))
        self.assertEqual(len(packets), len(self.records()))


class EveryRecord(Case):
    def test_has_its_fields(self):
        recorder = self.recorder(self.server(), "--once")
        client = Client(recorder.path)
        memory = os.memfd_create("memory")
        os.ftruncate(memory, 4096)
        os.pwrite(memory, b"guest", 16)
        client.map(0x10000, memory, 4096)
        fds = client.eventfds(MSIX, 2)
        client.write(BAR0, DELAY, struct.pack("<I", 1))
        os.set_blocking(fds[0], True)
        os.eventfd_read(fds[0])
        client.send(message(9, 9, size=3))
        client.at_end()
        client.close()
        recorder.ended()
        kinds = [row[0] for row in self.columns("rec.pcapng", "kind")]
        self.assertEqual((kinds[0], set(kinds)), ("3", {"1", "2", "3", "4", "5", "6"} &
                                                  set(kinds)))
        one = lambda kind, *fields: self.columns("rec.pcapng", *fields,
                                                 where="vfio-user.kind == %d" % kind)[0]
        self.assertEqual(one(5, "event.index", "event.vector", "event.count", "direction"),
                         ["2", "0", "1", "1"])
        self.assertEqual(one(6, "memory.offset", "memory.bytes"),
                         ["0x0000000000000010", b"guest".hex()])
        self.assertEqual(one(2, "raw.reason", "_ws.expert"), ["1", one(2, "_ws.expert")[0]])
        self.assertIn("These bytes are no message", one(2, "_ws.expert")[0])
        fds = self.columns("rec.pcapng", "fd.kind", "fd.size", "fd.access",
                           where="vfio-user.command == 2 && vfio-user.fd.kind")
        self.assertEqual(fds, [["1", "4096", "2"]])
        text = self.tshark("rec.pcapng")
        for words in ("Interrupt MSI-X vector 0", "Memory set by the client",
                      "client 1", "A client connected", "No message:"):
            self.assertIn(words, text)

    def test_a_message_in_pieces_is_one(self):
        def serve(peer):
            msg_id, command, _, _, body = peer.receive()
            peer.send(message(msg_id, command, body[:16] + bytes(300000), flags=1))
            peer.at_end()

        with byte_server(self.path("target"), serve):
            recorder = self.recorder(self.path("target"), "--once")
            client = Client(recorder.path, negotiate=False)
            client.call(9, struct.pack("<QII", 0, 1, 300000))
            client.close()
            recorder.ended()
        text = self.tshark("rec.pcapng")
        self.assertEqual(text.count("A further piece"), 2)
        self.assertIn("[first piece]", text)
        self.assertEqual(self.columns("rec.pcapng", "command",
                                      where="vfio-user.expert.short || vfio-user.expert.stray"),
                         [[""]])


class EqualIds(Case):
    def test_are_answered_in_order(self):
        def serve(peer):
            got = [peer.receive() for _ in range(3)]
            for msg_id, command, _, _, _ in got:
                peer.send(message(msg_id, command, flags=1))
            peer.at_end()

        with byte_server(self.path("target"), serve):
            recorder = self.recorder(self.path("target"), "--once")
            client = Client(recorder.path, negotiate=False)
            for _ in range(3):
                client.send(message(5, 13))
            for _ in range(3):
                client.receive()
            client.close()
            recorder.ended()
        rows = self.columns("rec.pcapng", "frame.number", "response_in", "response_to",
                            where="vfio-user.command")
        self.assertEqual(rows, [["2", "5", ""], ["3", "6", ""], ["4", "7", ""],
                                ["5", "", "2"], ["6", "", "3"], ["7", "", "4"]])


class Malformed(Case):
    def test_bodies_of_any_length_and_content_raise_no_error(self):
        bodies = [bytes(size) for size in (0, 1, 8, 15, 31, 40)]
        bodies += [b"\xff" * size for size in (8, 16, 23, 32, 48, 80)]
        bodies.append(struct.pack("<IIIIQQ", 80, 15, 1, 32, 0, 0) + b"\1\0\1\0\x21\0\0\0" * 3)
        bodies.append(struct.pack("<IIIIQQ", 80, 15, 1, 40, 0, 0) + b"\1\0\1\0\x20\0\0\0" * 3)

        def serve(peer):
            for _ in range(20 * len(bodies)):
                msg_id, command, _, _, body = peer.receive()
                peer.send(message(msg_id, command, body, flags=1))
            peer.send(message(1, 9, flags=0xf) + message(2, 9, b"stray", flags=1))

        with byte_server(self.path("target"), serve):
            recorder = self.recorder(self.path("target"), "--once", "--quiet")
            client = Client(recorder.path, negotiate=False)
            for command in range(20):
                for body in bodies:
                    client.call(command, body)
            client.receive()
            client.close()
            recorder.ended()
        text = self.tshark("rec.pcapng", "-V")
        self.assertIn("The message is shorter than its form", text)
        self.assertIn("The capability chain is broken", text)
        self.assertIn("A reply that answers no command", text)
        self.assertIn("The type of the message is unknown", text)

    def test_records_that_are_damaged_raise_no_error(self):
        """Each byte of our header in turn, and packets of every length up to it."""
        recorder = self.recorder(self.server(), "--once")
        client = Client(recorder.path)
        client.map(0x10000, os.memfd_create("m"), 4096)
        client.close()
        recorder.ended()
        with open(self.path("rec.pcapng"), "rb") as f:
            whole = f.read()
        start, blocks = 0, []
        while start < len(whole):
            length = struct.unpack_from("<I", whole, start + 4)[0]
            blocks.append(whole[start:start + length])
            start += length
        packet = next(b for b in blocks[2:] if struct.unpack_from("<I", b, 20)[0] > 80)
        data = packet[28:28 + struct.unpack_from("<I", packet, 20)[0]]
        out = blocks[0] + blocks[1]
        for at in range(72):
            for value in (0, 1, 0x7f, 0xff):
                out += self.block(data[:at] + bytes([value]) + data[at + 1:])
            out += self.block(data[:at])
        with open(self.path("bad.pcapng"), "wb") as f:
            f.write(out)
        text = self.tshark("bad.pcapng", "-V")
        self.assertIn("The record is damaged", text)

    def block(self, data):
        padding = bytes(-len(data) % 4)
        length = 32 + len(data) + len(padding)
        return (struct.pack("<IIIIIII", 6, length, 0, 0, 0, len(data), len(data)) + data +
                padding + struct.pack("<I", length))


if __name__ == "__main__":
    if shutil.which("tshark") is None:
        print("skipped: there is no tshark")
        sys.exit(77)
    harness.main()
