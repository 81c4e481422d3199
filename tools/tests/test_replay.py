# SPDX-License-Identifier: BSD-3-Clause
"""vfu replay and scenarios: a recorded session is repeated by the device that it was
recorded with, and not by one that differs.

usage: test_replay.py VFU SERVER ROOT [unittest arguments]
"""

import json
import os
import socket
import struct
import subprocess
import time

import harness
import sessions
from sessions import (BAR0, BAR1, DELAY, LENGTH, MSIX, SCRATCH, SOURCE, START, TARGET, Client,
                      byte_server, message, region)


class OtherServer(harness.Server):
    """tools/tests/other_device, with that difference."""

    def __init__(self, folder, difference):
        os.environ["OTHER"] = difference
        try:
            super().__init__(folder, difference + ".sock", sessions.OTHER)
        finally:
            del os.environ["OTHER"]


class Case(sessions.Case):
    def other(self, difference):
        server = OtherServer(self.folder, difference)
        self.addCleanup(server.stop)
        return server.path

    def record(self, session, *options, target=None):
        """session(Client) against a fresh sample server; gives the file's name."""
        recorder = self.recorder(target or self.server("recorded.sock"), "--once", *options)
        client = Client(recorder.path)
        session(client)
        client.close()
        recorder.ended()
        return "rec.pcapng"

    def run_scenario(self, recording, socket_path=None, spawn=None, *options):
        """The runner's verdict of the recording as a scenario, and what it printed."""
        suite = self.path("suite")
        os.makedirs(suite, exist_ok=True)
        with open(os.path.join(suite, "a.lua"), "w", encoding="ascii") as f:
            f.write(self.vfu("decode", "--lua", recording))
        where = ["--socket", socket_path] if socket_path else ["--spawn", spawn]
        done = subprocess.run([sessions.RUNNER, *where, "--suite", suite, *options],
                              capture_output=True, text=True, timeout=harness.DEADLINE,
                              check=False)
        return done.returncode, done.stdout + done.stderr


def memfd(size):
    fd = os.memfd_create("memory")
    os.ftruncate(fd, size)
    return fd


class SampleClient(Case):
    """What is shown when this is done: samples/client against samples/server."""

    def setUp(self):
        super().setUp()
        self.recording = self.sample_session()

    def test_is_replayed_by_a_fresh_server_and_by_no_other(self):
        out = self.vfu("replay", self.server("fresh.sock"), self.recording)
        self.assertRegex(out, r"^\d\d\d messages, \d\d\d replies as recorded, 0 differ\n$")
        for difference, text in (("id", "byte 0x"), ("refuse", "this is a refusal, and was"),
                                 ("silent", "interrupt came 0 times"),
                                 ("memory", "of the file is"), ("size", "size is 0x1000")):
            with self.subTest(difference=difference):
                out = self.vfu("replay", self.other(difference), self.recording,
                               "--timeout", "1", status=harness.REFUSED)
                self.assertIn(text, out)
                self.assertNotIn(" 0 differ\n", out)

    def test_is_a_scenario_that_a_fresh_server_meets_and_no_other(self):
        code, out = self.run_scenario(self.recording, None, "%s {socket}" % harness.SERVER)
        self.assertEqual(code, 0, out)
        self.assertIn("ok 1 - CONN-01", out)
        for difference, text in (("id", "byte"), ("refuse", "a success reply"),
                                 ("silent", "fired 0 times"), ("memory", "memory: byte"),
                                 ("size", "reply.size")):
            with self.subTest(difference=difference):
                code, out = self.run_scenario(self.recording, self.other(difference), None,
                                              "--timeout", "1")
                self.assertEqual(code, 1, out)
                self.assertIn(text, out)


class IdleTwin(Case):
    def test_an_agreed_twin_socket_that_was_not_used_is_left_out(self):
        """A scenario would drop its end some time, and with that the connection."""
        recorder = self.recorder(self.server("recorded.sock"), "--once")
        client = Client(recorder.path, twin_socket={"supported": True})
        self.assertEqual(len(client.fds), 1)
        client.read(BAR0, 8, 4)
        client.close()
        recorder.ended()
        done = self.call("decode", "--lua", "rec.pcapng")
        self.assertNotIn("twin", done.stdout + done.stderr)
        code, out = self.run_scenario("rec.pcapng", None, "%s {socket}" % harness.SERVER)
        self.assertEqual(code, 0, out)


class Comparing(Case):
    def test_reads_that_differ_are_told_with_both_messages(self):
        rec = self.record(lambda client: client.read(BAR0, 8, 4))
        out = self.vfu("replay", self.other("id"), rec, status=harness.REFUSED)
        self.assertIn("differs: data: byte 0x0 is 0xac, was 0x53", out)
        self.assertIn("sent      REGION_READ cmd id=2", out)
        self.assertIn("recorded  REGION_READ reply id=2", out)
        self.assertRegex(out, r"got       REGION_READ reply id=2 .*data=ac")
        self.assertIn("2 messages, 1 replies as recorded, 1 differ", out)

    def test_as_json_is_one_object(self):
        rec = self.record(lambda client: client.read(BAR0, 8, 4))
        result = json.loads(self.vfu("replay", "--json", self.other("id"), rec,
                                     status=harness.REFUSED))
        self.assertEqual((result["messages"], result["as_recorded"], result["differ"]),
                         (2, 1, 1))
        self.assertIn("byte 0x0", result["differences"][0]["why"])
        self.assertIn("REGION_READ reply", result["differences"][0]["got"])

    def test_ignored_bytes_may_be_anything(self):
        rec = self.record(lambda client: client.read(BAR0, 4, 8))
        other = self.other("id")
        for text in "bar0:8", "bar0:0x8-0x8", "rom,bar0", "config:1,0:0-0xfff":
            self.vfu("replay", other, rec, "--ignore", text)
        for text in "bar0:9", "bar1:8", "bar0:0-7":
            self.vfu("replay", other, rec, "--ignore", text, status=harness.REFUSED)

    def test_loose_looks_at_outcome_and_length_alone(self):
        rec = self.record(lambda client: client.read(BAR0, 8, 4))
        self.vfu("replay", "--loose", self.other("id"), rec)
        os.unlink(self.path("rec.pcapng"))
        rec = self.record(lambda client: client.write(BAR0, SCRATCH, bytes(4)),
                          target=self.server("second.sock"))
        self.vfu("replay", "--loose", self.other("refuse"), rec, status=harness.REFUSED)

    def test_strict_wants_the_same_errno(self):
        def session(client):
            self.assertEqual(client.write(BAR0, SCRATCH, b"\0"), 22)    # a byte: EINVAL

        rec = self.record(session)
        refuses = self.other("refuse")                                  # EPERM
        self.vfu("replay", refuses, rec)
        out = self.vfu("replay", "--strict", refuses, rec, status=harness.REFUSED)
        self.assertIn("errno is EPERM, was EINVAL", out)

    def test_only_the_named_session_is_played(self):
        recorder = self.recorder(self.server())
        for value in (1, 2, 3):
            client = Client(recorder.path)
            client.write(BAR1, 4 * value, struct.pack("<I", value))
            client.close()
        recorder.wait_for("closed the connection", 3)
        recorder.stop()
        fresh = self.server("fresh.sock")
        self.assertIn("2 messages,", self.vfu("replay", "-s", "2", fresh, "rec.pcapng"))
        self.assertEqual(Client(fresh).read(BAR1, 4, 12), struct.pack("<III", 0, 2, 0))
        self.assertIn("no such session", self.refusal("replay", "-s", "4", fresh, "rec.pcapng",
                                                      status=harness.FAILED))


class Playing(Case):
    def test_memory_holds_what_the_client_had_put_there(self):
        def session(client):
            memory = memfd(0x3000)
            os.pwrite(memory, b"guest", 0x100)
            client.map(0x10000, memory, 0x3000)
            client.write(harness.CONFIG, 4, b"\x06\x00")
            client.write(BAR0, SOURCE, struct.pack("<QQI", 0x10100, 0x12000, 5)[:8])
            client.write(BAR0, TARGET, struct.pack("<Q", 0x12000))
            client.write(BAR0, LENGTH, struct.pack("<I", 5))
            client.write(BAR0, START, struct.pack("<I", 1))
            self.assertEqual(client.read(BAR0, 0x28, 4), b"\1\0\0\0")

        rec = self.record(session)
        self.vfu("replay", self.server("fresh.sock"), rec)
        out = self.vfu("replay", self.other("memory"), rec, "-t", "0.2",
                       status=harness.REFUSED)
        self.assertIn("byte 0x2000 of the file is 0x98, was 0x67", out)

    def test_pipelined_commands_are_sent_before_the_first_answer(self):
        """The server answers only when it has all three."""
        def serve(peer):
            got = [peer.receive() for _ in range(4)]
            for msg_id, command, _, _, body in got:
                peer.send(message(msg_id, command, body, flags=1))
            peer.at_end()

        def session(client):
            for i in range(4):
                client.send(message(7, 9, region(i, 0, count=0)))   # the same id for all
            for i in range(4):
                self.assertEqual(client.receive()[4][0], i)

        with byte_server(self.path("target"), serve):
            recorder = self.recorder(self.path("target"), "--once")
            client = Client(recorder.path, negotiate=False)
            session(client)
            client.close()
            recorder.ended()
        with byte_server(self.path("again"), serve):
            self.assertIn("4 messages, 4 replies", self.vfu("replay", self.path("again"),
                                                            "rec.pcapng"))
        with byte_server(self.path("third"), sessions.first(serve), clients=9):
            code, out = self.run_scenario("rec.pcapng", self.path("third"))
        self.assertEqual(code, 0, out)

    def test_commands_of_the_server_are_answered_as_they_were(self):
        seen = []

        def serve(peer):
            msg_id, command, _, _, body = peer.receive()
            peer.send(message(msg_id, command, body[:4], flags=1))
            msg_id, command, _, _, body = peer.receive()
            peer.send(message(99, 11, struct.pack("<QQ", 0x5000, 4)))
            seen.append(peer.receive())
            peer.send(message(msg_id, command, body[:16], flags=1))
            peer.at_end()

        with byte_server(self.path("target"), serve):
            recorder = self.recorder(self.path("target"), "--once")
            client = Client(recorder.path)
            client.send(message(2, 10, region(0, 0, b"go!!")))
            msg_id, command, _, _, body = client.receive()
            client.send(message(msg_id, command, body + b"DATA", flags=1))
            client.receive()
            client.close()
            recorder.ended()
        with byte_server(self.path("again"), serve):
            self.vfu("replay", self.path("again"), "rec.pcapng")
        self.assertEqual(seen[0], seen[1])
        with byte_server(self.path("third"), sessions.first(serve), clients=9):
            code, out = self.run_scenario("rec.pcapng", self.path("third"))
        self.assertEqual(code, 0, out)
        self.assertEqual(seen[0], seen[2])

    def test_a_different_command_of_the_server_differs(self):
        def serve(address):
            def serve_one(peer):
                msg_id, command, _, _, body = peer.receive()
                peer.send(message(3, 11, struct.pack("<QQ", address, 4)))
                error = peer.receive()[3]
                peer.send(message(msg_id, command, struct.pack("<I", error), flags=1))
                peer.at_end()
            return serve_one

        with byte_server(self.path("target"), serve(0x5000)):
            recorder = self.recorder(self.path("target"), "--once")
            client = Client(recorder.path, negotiate=False)
            client.send(message(2, 77))
            msg_id, command, _, _, body = client.receive()
            client.send(message(msg_id, command, body + b"DATA", flags=1))
            client.receive()
            client.close()
            recorder.ended()
        with byte_server(self.path("again"), serve(0x6000)):
            out = self.vfu("replay", self.path("again"), "rec.pcapng", status=harness.REFUSED)
        self.assertIn("address is 0x6000, was 0x5000", out)

    def test_a_twin_socket_is_served(self):
        def serve(peer):
            ours, theirs = socket.socketpair()
            msg_id = peer.receive()[0]
            peer.send(message(msg_id, 1, sessions.caps(
                twin_socket={"supported": True, "fd_index": 0}), flags=1), [theirs.fileno()])
            theirs.close()
            twin = Client(sock=ours, negotiate=False)
            twin.send(message(5, 11, struct.pack("<QQ", 0x1000, 4)))
            self.assertEqual(twin.receive()[4][16:], b"data")
            msg_id, command, _, _, body = peer.receive()
            peer.send(message(msg_id, command, body, flags=1))
            peer.at_end()

        with byte_server(self.path("target"), serve):
            recorder = self.recorder(self.path("target"), "--once")
            client = Client(recorder.path, twin_socket={"supported": True})
            twin = Client(sock=socket.socket(fileno=client.fds[0]), negotiate=False)
            msg_id, command, _, _, body = twin.receive()
            twin.send(message(msg_id, command, body + b"data", flags=1))
            client.call(13)
            client.close()
            twin.close()
            recorder.ended()
        with byte_server(self.path("again"), serve):
            self.assertIn("3 messages, 3 replies as recorded, 0 differ",
                          self.vfu("replay", self.path("again"), "rec.pcapng"))

    def test_interrupts_must_come_and_no_more_than_that(self):
        def session(client):
            fds = client.eventfds(MSIX, 2)
            client.write(BAR0, DELAY, struct.pack("<I", 1))
            os.set_blocking(fds[0], True)
            self.assertEqual(os.eventfd_read(fds[0]), 1)

        rec = self.record(session)
        self.vfu("replay", self.server("fresh.sock"), rec)
        out = self.vfu("replay", self.other("silent"), rec, "-t", "0.2",
                       status=harness.REFUSED)
        self.assertIn("the interrupt came 0 times, and not 1", out)

    def test_at_recorded_speed_it_takes_as_long(self):
        def session(client):
            client.read(BAR0, 0, 4)
            time.sleep(0.4)     # what is recorded here is time itself
            client.read(BAR0, 0, 4)

        rec = self.record(session)
        fresh = self.server("fresh.sock")
        started = time.monotonic()
        self.vfu("replay", fresh, rec, "--speed", "recorded")
        self.assertGreaterEqual(time.monotonic() - started, 0.4)

    def test_a_bad_stream_is_repeated(self):
        recorder = self.recorder(self.server(), "--once")
        client = Client(recorder.path)
        client.send(message(2, 9, size=3))
        client.at_end()
        client.close()
        recorder.ended()
        self.vfu("replay", self.server("fresh.sock"), "rec.pcapng")
        code, out = self.run_scenario("rec.pcapng", None, "%s {socket}" % harness.SERVER)
        self.assertEqual(code, 0, out)


class BadServers(Case):
    def setUp(self):
        super().setUp()
        self.record(lambda client: client.read(BAR0, 8, 4))

    def play(self, serve, status, *options):
        with byte_server(self.path("bad"), serve):
            done = self.call("replay", self.path("bad"), "rec.pcapng", *options)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_that_are_not_there(self):
        self.assertIn("cannot connect", self.refusal("replay", "nobody", "rec.pcapng",
                                                     status=harness.LOST))

    def test_that_close(self):
        self.assertIn("closed the connection", self.play(lambda peer: peer.receive(),
                                                         harness.LOST))

    def test_that_say_nothing(self):
        self.assertIn("does not answer", self.play(lambda peer: peer.receive_bytes(10000),
                                                   harness.LOST, "-t", "0.2"))

    def test_that_send_no_messages(self):
        self.assertIn("no message", self.play(
            lambda peer: (peer.receive(), peer.send(b"\0" * 100), peer.at_end()),
            harness.LOST))

    def test_that_say_too_much(self):
        def serve(peer):
            for _ in range(2):
                msg_id, command, flags, _, body = peer.receive()
                while flags & 0xf:      # an answer to the command below
                    msg_id, command, flags, _, body = peer.receive()
                body = sessions.caps() if command == 1 else body + b"SUFV"
                peer.send(message(50, 9, b"nobody asked", flags=1) +
                          message(msg_id, command, body, flags=1) +
                          message(3, 12, struct.pack("<QQ", 0, 0)))
            peer.at_end()

        out = self.play(serve, harness.REFUSED)
        self.assertIn("a reply that was not recorded", out)
        self.assertIn("a command that was not recorded", out)


class Recordings(Case):
    def test_that_are_damaged_are_not_played(self):
        rec = self.record(lambda client: client.read(BAR0, 8, 4))
        with open(self.path(rec), "rb") as f:
            data = f.read()
        with open(self.path("cut"), "wb") as f:
            f.write(data[:-1])
        self.assertIn("ends within a block", self.refusal("replay", "x", "cut",
                                                          status=harness.FAILED))

    def test_misuse(self):
        for words in (("s",), ("s", "r", "--speed", "slow"), ("s", "r", "--ignore", "bar9:1"),
                      ("s", "r", "--ignore", "bar0:5-4"), ("s", "r", "--loose", "--strict"),
                      ("s", "r", "--session", "x"), ("x" * 200, "r")):
            self.refusal("replay", *words, status=harness.USAGE)


if __name__ == "__main__":
    harness.main()
