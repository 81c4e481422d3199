# SPDX-License-Identifier: BSD-3-Clause
"""vfu decode: every command as text, JSON and Lua; filters; files that are damaged.

usage: test_decode.py VFU SERVER ROOT [unittest arguments]
"""

import json
import os
import re
import shutil
import struct
import subprocess
import time

import harness
import sessions
import test_man
from sessions import Client, byte_server, message, region

FEATURE, MIG_READ, MIG_WRITE, WRITE_MULTI, IO_FDS = 16, 17, 18, 15, 6

# Command, body of the command, body of the reply, what JSON has of both.
EXCHANGES = [
    (2, struct.pack("<IIQQQ", 32, 3, 0x1000, 0x10000, 0x2000), b"",
     {"argsz": 32, "flags": 3, "offset": 0x1000, "address": 0x10000, "size": 0x2000}, None),
    (3, struct.pack("<IIQQ", 24, 0, 0x10000, 0x2000), struct.pack("<IIQQ", 24, 0, 1, 2),
     {"address": 0x10000, "size": 0x2000}, {"address": 1, "size": 2}),
    (4, struct.pack("<IIII", 16, 0, 0, 0), struct.pack("<IIII", 16, 3, 9, 5),
     {"argsz": 16}, {"flags": 3, "num_regions": 9, "num_irqs": 5}),
    (5, struct.pack("<IIIIQQ", 32, 0, 1, 0, 0, 0),
     struct.pack("<IIIIQQ", 80, 15, 1, 32, 0x2000, 0) +
     struct.pack("<HHIIIQQQQ", 1, 1, 0, 2, 0, 0, 0x1000, 0x1000, 0x800),
     {"index": 1},
     {"cap_offset": 32, "size": 0x2000,
      "caps": [{"id": 1, "version": 1, "areas": [{"offset": 0, "size": 0x1000},
                                                 {"offset": 0x1000, "size": 0x800}]}]}),
    (IO_FDS, struct.pack("<IIII", 4096, 0, 2, 0),
     struct.pack("<IIII", 56, 0, 2, 1) + struct.pack("<QQIIIIQ", 8, 4, 0, 1, 2, 0, 99),
     {"index": 2}, {"count": 1, "entries": [{"offset": 8, "size": 4, "fd_index": 0, "type": 1,
                                             "flags": 2, "datamatch": 99}]}),
    (7, struct.pack("<IIII", 16, 0, 2, 0), struct.pack("<IIII", 16, 1, 2, 4),
     {"index": 2}, {"flags": 1, "count": 4}),
    (8, struct.pack("<IIIII", 23, 0x22, 2, 1, 3) + b"\1\0\1", b"",
     {"index": 2, "start": 1, "count": 3, "data": "010001"}, None),
    (9, region(8, 0, count=4), region(8, 0, b"\x11\x22\x33\x44"),
     {"offset": 8, "region": 0, "count": 4}, {"data": "11223344"}),
    (10, region(8, 0, b"\x55\x66"), region(8, 0, count=2),
     {"count": 2, "data": "5566"}, {"count": 2}),
    (13, b"", b"", None, None),
    (WRITE_MULTI, struct.pack("<Q", 2) + struct.pack("<QII", 16, 0, 4) + b"abcd\0\0\0\0" +
     struct.pack("<QII", 32, 1, 8) + b"12345678", struct.pack("<Q", 2),
     {"count": 2, "writes": [{"region": 0, "offset": 16, "data": b"abcd".hex()},
                             {"region": 1, "offset": 32, "data": b"12345678".hex()}]},
     {"count": 2}),
    (FEATURE, struct.pack("<II", 16, 0x10001), struct.pack("<IIQ", 16, 0x10001, 5),
     {"feature": "MIGRATION"}, {"feature": "MIGRATION", "migration": 5}),
    (FEATURE, struct.pack("<IIII", 16, 0x20002, 1, 0),
     struct.pack("<IIII", 16, 0x20002, 1, 0), {"device_state": 1}, {"device_state": 1}),
    (FEATURE, struct.pack("<IIQII", 40, 0x20006, 4096, 1, 0) + struct.pack("<QQ", 0, 8192),
     struct.pack("<II", 8, 0x20006),
     {"page_size": 4096, "ranges": [{"iova": 0, "length": 8192}]}, {"argsz": 8}),
    (FEATURE, struct.pack("<IIQQQ", 40, 0x10008, 0, 8192, 4096),
     struct.pack("<IIQQQQ", 40, 0x10008, 0, 8192, 4096, 3),
     {"iova": 0, "length": 8192}, {"bitmap": "0300000000000000"}),
    (MIG_READ, struct.pack("<II", 100, 92), struct.pack("<II", 13, 5) + b"state",
     {"size": 92}, {"size": 5, "data": b"state".hex()}),
    (MIG_WRITE, struct.pack("<II", 13, 5) + b"state", b"", {"data": b"state".hex()}, None),
    (77, b"unknown", b"", None, None),
]


class Everything(sessions.Case):
    """A session with every command, once in each form."""

    def setUp(self):
        super().setUp()
        target = self.path("target")

        def serve(peer):
            for _, _, reply, _, _ in EXCHANGES:
                msg_id, command, _, _, _ = peer.receive()
                peer.send(message(msg_id, command, reply, flags=1))
            msg_id, command, _, _, _ = peer.receive()
            peer.send(message(msg_id, command, flags=0x21, error=22))
            for command, body, answer in ((11, struct.pack("<QQ", 0x10, 3), 19),
                                          (12, struct.pack("<QQ", 0x20, 3) + b"abc", 16)):
                peer.send(message(40, command, body))
                assert len(peer.receive()[4]) == answer
            peer.at_end()

        with byte_server(target, serve):
            recorder = self.recorder(target, "--once")
            client = Client(recorder.path, negotiate=False)
            for command, body, reply, _, _ in EXCHANGES:
                self.assertEqual(client.call(command, body), (None, reply))
            self.assertEqual(client.call(13)[0], 22)
            for tail in b"xyz", b"":
                msg_id, command, _, _, body = client.receive()
                client.send(message(msg_id, command, body[:16] + tail, flags=1))
            client.close()
            recorder.ended()

    def test_as_json_has_the_fields_by_name(self):
        found = [r["message"] for r in self.records() if r["kind"] == "message"]
        for i, (command, _, _, wants, replies) in enumerate(EXCHANGES):
            for m, fields in ((found[2 * i], wants), (found[2 * i + 1], replies)):
                self.assertEqual(m["command"], command)
                for name, value in (fields or {}).items():
                    self.assertEqual(m["body"].get(name), value, (m, name))
                if fields is None and command != 77:
                    self.assertNotIn("body", m)
        unknown = found[2 * len(EXCHANGES) - 2]
        self.assertEqual((unknown["name"], unknown["bytes"]),
                         ("COMMAND_77", b"unknown".hex()))
        refused = found[2 * len(EXCHANGES) + 1]
        self.assertEqual((refused["type"], refused["error"]), ("error", 22))
        self.assertEqual([m["body"].get("data") for m in found[-4:]],
                         [None, b"xyz".hex(), b"abc".hex(), None])

    def test_as_text_has_a_line_for_each(self):
        lines = self.vfu("decode", "rec.pcapng").splitlines()
        self.assertEqual(len(lines), 2 * len(EXCHANGES) + 2 + 4 + 2)
        self.assertIn("REGION_READ reply id=8 size=36 offset=0x8 region=0 count=4 "
                      "data=11223344", lines[16])

    def test_filters_leave_what_was_asked_for(self):
        lines = self.vfu("decode", "rec.pcapng", "--command", "region_read").splitlines()
        self.assertEqual(len(lines), 2)
        self.assertEqual(self.vfu("decode", "rec.pcapng", "--command", "9").splitlines(), lines)
        self.assertEqual(self.vfu("decode", "rec.pcapng", "--command", "VERSION"), "")
        self.assertIn("there is no session 2", self.refusal(
            "decode", "rec.pcapng", "--session", "2", status=harness.FAILED))

    def test_as_pcapng_is_a_recording_of_what_the_filters_leave(self):
        part = self.vfu("decode", "rec.pcapng", "--pcapng", "--command", "DEVICE_FEATURE",
                        text=False)
        with open(self.path("part.pcapng"), "wb") as f:
            f.write(part)
        self.assertEqual(self.vfu("decode", "part.pcapng").count("DEVICE_FEATURE"), 8)
        with open(self.path("rec.pcapng"), "rb") as f:
            whole = f.read()
        self.assertEqual(self.vfu("decode", "rec.pcapng", "--pcapng", text=False), whole)
        self.assertEqual(len(self.vfu("decode", "-", "--pcapng", "--command", "1",
                                      input=whole, text=False)), 96)

    def test_standard_input_is_read(self):
        with open(self.path("rec.pcapng"), "rb") as f:
            out = self.vfu("decode", "-", stdin=f)
        self.assertEqual(out, self.vfu("decode", "rec.pcapng"))

    def test_a_file_cut_off_gives_what_was_whole_and_says_so(self):
        with open(self.path("rec.pcapng"), "rb") as f:
            whole = f.read()
        lines = self.vfu("decode", "rec.pcapng").splitlines()
        done = self.call("decode", "-", input=whole[:-10], text=False)
        self.assertEqual(done.returncode, harness.FAILED)
        self.assertEqual(done.stdout.decode().splitlines(), lines[:-1])
        self.assertIn(b"the file ends within a block", done.stderr)

    def test_as_lua_names_each_command(self):
        lua = self.vfu("decode", "--lua", "rec.pcapng")
        for words in ("c:dma_map{ offset = 0x1000, address = 0x10000, size = 0x2000 }:ok()",
                      "same(c:get_info{ }:ok(), { flags = 3, num_regions = 9, num_irqs = 5 })",
                      "chain = { { id = 1, areas = { { offset = 0x0, size = 0x1000 }",
                      "c:set_irqs{ flags = SET.BOOL | SET.TRIGGER, index = PCI.MSIX, start = 1, "
                      "count = 3, data = x\"010001\" }:ok()",
                      "count = 4 }:ok(), { data = x\"11223344\" })",
                      "c:region_write{ offset = 0x8, region = PCI.BAR0, data = x\"5566\" }:ok()",
                      "c:reset{ }:ok()",
                      "{ region = PCI.BAR1, offset = 0x20, data = x\"3132333435363738\" }",
                      "feature{ argsz = 16, flags = FEATURE.GET | FEATURE.MIGRATION }",
                      "c:mig_data_write{ size = 5, data = x\"7374617465\" }:ok()",
                      "c:command(77, x\"756e6b6e6f776e\", { }):ok()",
                      "c:reset{ }:refused()  -- EINVAL",
                      "server_command(c, 11, { address = 0x10, count = 0x3 })",
                      "server_command(c, 12, { address = 0x20, count = 0x3, data = x\"616263\" "
                      "})"):
            self.assertIn(words, lua.replace("size = 5, data = x\"7374617465\" }:ok()",
                                             "size = 5, data = x\"7374617465\" }:ok()"))
        strict = self.vfu("decode", "--lua", "--strict", "rec.pcapng")
        self.assertIn("c:reset{ }:refused(22)", strict)

    def test_as_lua_sends_the_bytes_that_were_recorded(self):
        """The runner builds its messages of fields; they must be what the client sent."""
        got = []

        def serve(peer):
            while True:
                msg_id, command, flags, _, body = peer.receive()
                got.append((command, flags, body))
                reply = [r for c, b, r, _, _ in EXCHANGES if (c, b) == (command, body)]
                refused = len(got) == len(EXCHANGES) + 1
                if refused or not reply:
                    peer.send(message(msg_id, command, flags=0x21, error=22))
                    return
                peer.send(message(msg_id, command, reply[0], flags=1))

        os.mkdir(self.path("suite"))
        with open(self.path("suite/a.lua"), "w", encoding="ascii") as f:
            f.write(self.vfu("decode", "--lua", "rec.pcapng"))
        with byte_server(self.path("again"), serve):
            subprocess.run([sessions.RUNNER, "--socket", self.path("again"), "--suite",
                            self.path("suite"), "--timeout", "1"], check=False,
                           stdout=subprocess.DEVNULL, timeout=harness.DEADLINE)
        self.assertEqual(got[:len(EXCHANGES)], [(c, 0, b) for c, b, _, _, _ in EXCHANGES])


class OddMessages(sessions.Case):
    """What is no usual message of its command is sent by the scenario all the same."""

    MESSAGES = [
        (5, struct.pack("<IIIIQQ", 32, 0, 1, 0, 0, 0) + bytes(40), 0),      # padded
        (5, struct.pack("<IIIIQQ", 32, 0, 1, 0, 0, 0) + b"\0pad", 0),
        (4, b"abc", 0),                                                     # cut
        (10, region(0, 0, b"data", count=9), 0),                            # a wrong count
        (10, region(0, 0, b"data"), 0x40),                                  # a reserved flag
        (10, region(0, 0, b""), 0),
        (1, struct.pack("<HH", 3, 4), 0),                                   # without JSON
        (1, struct.pack("<HH", 0, 1) + b"{}", 0),                           # without NUL
        (1, struct.pack("<HH", 0, 1) + b"{\"a'\\\": \"\xc3\xa4\"}\0", 0),
        (8, struct.pack("<IIIII", 99, 0x11, 7, 0xffffffff, 3), 0),
        (16, struct.pack("<II", 8, 0xffffffff) + b"odd", 0),
        (15, struct.pack("<QQII", 1, 1 << 63, 9, 3) + b"abcdefgh", 0),
        (2, struct.pack("<IIQQQ", 1, 0xf, 1 << 63, 0xffffffffffffffff, 1), 0),
        (0, b"", 0), (14, b"\0" * 100 + b"x" + b"\0" * 50, 0), (65535, b"y", 0),
    ]

    def test_nothing_that_describes_the_device_is_left_out(self):
        """Zeros in an answer count, also where the command has zeros."""
        recorder = self.recorder(self.server(), "--once")
        client = Client(recorder.path)
        client.call(5, struct.pack("<IIIIQQ", 32, 0, 3, 0, 0, 0))
        client.close()
        recorder.ended()
        self.assertIn("same(c:region_info{ index = PCI.BAR3 }:ok(), { flags = 0, size = 0x0, "
                      "offset = 0x0 })", self.vfu("decode", "--lua", "rec.pcapng"))

    def serve(self, got):
        def serve_one(peer):
            for _ in self.MESSAGES:
                msg_id, command, flags, _, body = peer.receive()
                got.append((command, body, flags))
                peer.send(message(msg_id, command, flags=0x21, error=22))
            peer.at_end()
        return serve_one

    def test_with_the_same_bytes(self):
        recorded, got = [], []
        with byte_server(self.path("target"), self.serve(recorded)):
            recorder = self.recorder(self.path("target"), "--once")
            client = Client(recorder.path, negotiate=False)
            for command, body, flags in self.MESSAGES:
                client.send(message(1, command, body, flags))
                client.receive()
            client.close()
            recorder.ended()
        os.mkdir(self.path("suite"))
        with open(self.path("suite/a.lua"), "w", encoding="ascii") as f:
            f.write(self.vfu("decode", "--lua", "rec.pcapng"))
        with byte_server(self.path("again"), sessions.first(self.serve(got)), clients=9):
            done = subprocess.run([sessions.RUNNER, "--socket", self.path("again"), "--suite",
                                   self.path("suite")], check=False, capture_output=True,
                                  text=True, timeout=harness.DEADLINE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(recorded, self.MESSAGES)
        self.assertEqual(got, self.MESSAGES)


class Documents(sessions.Case):
    """What the manual and docs/recording.md show is true."""

    def test_the_packet_in_the_documentation_is_read(self):
        text = (harness.ROOT / "docs/recording.md").read_text(encoding="utf-8")
        block = text.split("```\n76667572")[1].split("```")[0]
        lines = ("76667572" + block).splitlines()
        data = bytes.fromhex("".join(re.split(r"\s{3,}", line)[0] for line in lines))
        self.assertEqual(len(data), 88)
        begin = self.vfu("decode", self.empty(), "--pcapng", text=False)
        packet = struct.pack("<IIIIIII", 6, 120, 0, 0, 0, 88, 88) + data + struct.pack("<I", 120)
        out = self.vfu("decode", "-", input=begin + packet, text=False).decode()
        self.assertIn("#1 ", out)
        self.assertIn("-> DEVICE_GET_INFO cmd id=1 size=32 argsz=16 flags=0 num_regions=0 "
                      "num_irqs=0", out)

    def empty(self):
        recorder = self.recorder(self.server())
        recorder.stop()
        return "rec.pcapng"

    def test_the_examples_of_the_manual_are_true(self):
        """Those of record, decode and replay, in this order, in one folder."""
        path = self.server("manual.sock")
        environment = dict(os.environ, PATH="%s:%s:%s" % (
            harness.VFU.parent, sessions.RUNNER.parent, os.environ["PATH"]))
        if shutil.which("jq") is None:
            self.skipTest("there is no jq")
        for page in "record", "decode", "replay":
            behind = []
            for block in test_man.examples(test_man.PAGES / ("vfu-%s.1" % page)):
                for command, lines in block:
                    command = command.replace("/run/dev.sock", path)
                    self.check_example(command, lines, environment, behind)
            for process in behind:
                self.assertEqual(process.wait(harness.DEADLINE), 0)

    def check_example(self, command, lines, environment, behind):
        """One that ends with & goes on behind the others once it has said its lines."""
        name = self.path("said%d" % len(os.listdir(self.folder)))
        with open(name, "w", encoding="utf-8") as said:
            process = subprocess.Popen(["sh", "-c", command.rstrip(" &")], cwd=self.folder,
                                       env=environment, stdin=subprocess.DEVNULL, stdout=said,
                                       stderr=subprocess.STDOUT)
            self.addCleanup(process.kill)
            if command.endswith("&"):
                behind.append(process)
                deadline = time.monotonic() + harness.DEADLINE
                while len(self.said(name)) < len(lines) and time.monotonic() < deadline:
                    time.sleep(0.01)
            else:
                self.assertEqual(process.wait(harness.DEADLINE), 0, self.said(name))
        if lines:
            self.assertEqual(self.timeless(self.said(name)), self.timeless(lines), command)

    def said(self, name):
        with open(name, encoding="utf-8") as f:
            return f.read().splitlines()

    def timeless(self, lines):
        return [re.sub(r"\d+\.\d{6}", "T", line) for line in lines]


class Misuse(sessions.Case):
    def test_is_told(self):
        for words in (("x", "--json", "--lua"), ("x", "--command", "NONSENSE"),
                      ("x", "--command", "70000"), ("x", "--session", "one"),
                      ("x", "--strict"), ("x", "--lua", "--command", "VERSION"), (),
                      ("x", "y")):
            self.refusal("decode", *words, status=harness.USAGE)

    def test_other_files_are_refused(self):
        for content in b"", b"text\n", os.urandom(1000):
            with open(self.path("file"), "wb") as f:
                f.write(content)
            for form in (), ("--json",), ("--lua",):
                self.assertIn("no pcapng file", self.refusal("decode", "file", *form,
                                                             status=harness.FAILED))
        self.assertIn("No such file", self.refusal("decode", "nothing", status=harness.FAILED))

    def test_a_reader_that_leaves_ends_it(self):
        recorder = self.recorder(self.server(), "--once")
        client = Client(recorder.path)
        for _ in range(300):
            client.read(0, 0, 64)
        client.close()
        recorder.ended()
        read_end, write_end = os.pipe()
        os.close(read_end)
        done = self.call("decode", "rec.pcapng", stdout=write_end)
        os.close(write_end)
        self.assertEqual(done.returncode, harness.FAILED)


class Hostile(sessions.Case):
    def test_any_bytes_of_messages_are_shown(self):
        """Bodies of every length, of every command, as text, JSON and Lua."""
        target = self.path("target")
        bodies = [bytes(n % 256 for n in range(size)) for size in (0, 3, 8, 17, 40, 100)]
        bodies += [b"\xff" * size for size in (8, 16, 24, 32, 64)]

        def serve(peer):
            for _ in range(21 * len(bodies)):
                msg_id, command, _, _, body = peer.receive()
                peer.send(message(msg_id, command, body, flags=1))

        with byte_server(target, serve):
            recorder = self.recorder(target, "--once", "--quiet")
            client = Client(recorder.path, negotiate=False)
            for command in range(21):
                for body in bodies:
                    client.call(command, body)
            client.close()
            recorder.ended()
        count = 2 * 21 * len(bodies) + 2
        self.assertEqual(len(self.vfu("decode", "rec.pcapng").splitlines()), count)
        for line in self.vfu("decode", "--json", "rec.pcapng").splitlines():
            json.loads(line)
        os.mkdir(self.path("suite"))
        with open(self.path("suite/a.lua"), "w", encoding="ascii") as f:
            f.write(self.vfu("decode", "--lua", "rec.pcapng"))
        done = subprocess.run([sessions.RUNNER, "--list", "--suite", self.path("suite")],
                              capture_output=True, text=True, check=False,
                              timeout=harness.DEADLINE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class Damaged(sessions.Case):
    def test_recordings_are_shown_as_far_as_they_go(self):
        """Bytes here and there, in every form: an exit code, no signal and no report."""
        recorder = self.recorder(self.server(), "--once", "--quiet")
        client = Client(recorder.path)
        client.map(0x10000, os.memfd_create("m"), 4096)
        client.eventfds(2, 4)
        client.read(0, 8, 4)
        client.close()
        recorder.ended()
        with open(self.path("rec.pcapng"), "rb") as f:
            whole = f.read()
        forms = [(), ("--json",), ("--lua",), ("--pcapng",)]
        for i, at in enumerate(range(96, len(whole), 7)):
            damaged = whole[:at] + bytes([(i * 37) & 0xff]) + whole[at + 1:]
            done = self.call("decode", "-", *forms[i % 4], input=damaged, text=False)
            self.assertIn(done.returncode, (harness.OK, harness.FAILED), done.stderr)


if __name__ == "__main__":
    harness.main()
