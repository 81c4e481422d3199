# SPDX-License-Identifier: BSD-3-Clause
"""vfu record: everything goes through, in order and whole; everything is in the recording;
nobody on either side can hurt it.

usage: test_record.py VFU SERVER ROOT [unittest arguments]
"""

import os
import resource
import select
import socket
import stat
import struct
import subprocess
import threading
import time

import harness
import sessions
from sessions import (BAR0, BAR1, DELAY, LENGTH, MSIX, SCRATCH, SOURCE, START, TARGET, VECTOR,
                      Client, byte_server, message, region)


def memfd(size, name="memory"):
    fd = os.memfd_create(name)
    os.ftruncate(fd, size)
    return fd


class Passing(sessions.Case):
    """What the two sides notice of the relay: nothing."""

    def test_a_session_goes_through_and_is_recorded(self):
        recorder = self.recorder(self.server(), "--once")
        client = Client(recorder.path)
        self.assertIsNone(client.write(BAR0, SCRATCH, b"\x11\x22\x33\x44"))
        self.assertEqual(client.read(BAR0, SCRATCH, 4), b"\x11\x22\x33\x44")
        self.assertEqual(client.call(harness.REGION_READ, region(0, 99, count=4))[0], 22)
        client.close()
        printed = recorder.ended().splitlines()
        names = [(to, name, kind) for to, name, kind, _ in self.messages()]
        self.assertEqual(names, [
            ("server", "VERSION", "command"), ("client", "VERSION", "reply"),
            ("server", "REGION_WRITE", "command"), ("client", "REGION_WRITE", "reply"),
            ("server", "REGION_READ", "command"), ("client", "REGION_READ", "reply"),
            ("server", "REGION_READ", "command"), ("client", "REGION_READ", "error")])
        self.assertEqual(self.messages()[5][3]["data"], "11223344")
        self.assertEqual(self.vfu("decode", "rec.pcapng").splitlines(), printed)
        self.assertIn("a client connected", printed[0])
        self.assertIn("the client closed the connection", printed[-1])

    def test_descriptors_and_bytes_arrive_as_they_were_sent(self):
        got = []

        def serve(peer):
            for _ in range(2):
                got.append((peer.receive(), [os.fstat(fd).st_ino for fd in peer.fds]))
            peer.send(message(9, 5, b"reply", flags=1), [first, second])
            peer.at_end()

        first, second = memfd(4096), memfd(8192)
        inodes = [os.fstat(fd).st_ino for fd in (first, second)]
        with byte_server(self.path("target"), serve):
            recorder = self.recorder(self.path("target"), "--once")
            client = Client(recorder.path, negotiate=False)
            client.send(message(1, 2, b"map"), [first, second, first])
            client.send(message(2, 77, b"x" * 300000))
            self.assertEqual(client.receive(), (9, 5, 1, 0, b"reply"))
            self.assertEqual([os.fstat(fd).st_ino for fd in client.fds], inodes)
            client.close()
            recorder.ended()
        self.assertEqual(got[0], ((1, 2, 0, 0, b"map"), [inodes[0], inodes[1], inodes[0]]))
        self.assertEqual(got[1], ((2, 77, 0, 0, b"x" * 300000), []))
        fds = [r["fds"] for r in self.records() if r["kind"] == "message"]
        self.assertEqual([fd["size"] for fd in fds[0]], [4096, 8192, 4096])
        self.assertEqual(fds[0][0]["file"], fds[0][2]["file"])
        self.assertNotEqual(fds[0][0]["file"], fds[0][1]["file"])

    def test_a_message_in_pieces_arrives_in_one(self):
        """Descriptors in front of a message that trickles in stay with it."""
        got = []

        def serve(peer):
            got.append(peer.sock.recv(65536, socket.MSG_PEEK))
            peer.receive()
            got.extend(peer.fds)
            peer.at_end()

        with byte_server(self.path("target"), serve):
            recorder = self.recorder(self.path("target"), "--once")
            client = Client(recorder.path, negotiate=False)
            whole = message(1, 2, bytes(range(200)))
            for at in range(0, len(whole), 40):
                client.send(whole[at:at + 40], [memfd(1)] if at == 0 else ())
                time.sleep(0.01)    # so that pieces are read one by one; not awaited
            client.close()
            recorder.ended()
        self.assertEqual(got[0], whole)
        self.assertEqual(len(got), 2)

    def test_one_direction_does_not_wait_for_the_other(self):
        """The server answers only after it could send far more than a socket holds, and the
        client reads only after it could."""
        size = 4 << 20

        def serve(peer):
            peer.receive()
            sender = threading.Thread(target=peer.send, args=(message(1, 9, b"s" * size, 1),))
            sender.start()
            self.assertEqual(len(peer.receive()[4]), size)
            sender.join()
            peer.at_end()

        with byte_server(self.path("target"), serve):
            recorder = self.recorder(self.path("target"), "--once", "--quiet")
            client = Client(recorder.path, negotiate=False)
            client.send(message(1, 9))
            client.send(message(2, 10, b"c" * size))
            self.assertEqual(len(client.receive()[4]), size)
            client.close()
            recorder.ended()

    def test_a_slow_reader_does_not_make_it_grow(self):
        """Back-pressure: with nobody reading, the writer is stopped, not the memory."""
        ready, go = threading.Event(), threading.Event()

        def serve(peer):
            ready.set()
            go.wait(harness.DEADLINE)
            for _ in range(400):
                peer.receive()

        def rss(pid):
            with open("/proc/%d/statm" % pid, encoding="ascii") as f:
                return int(f.read().split()[1]) * resource.getpagesize()

        def cpu_seconds(pid):
            with open("/proc/%d/stat" % pid, encoding="ascii") as f:
                times = f.read().rpartition(")")[2].split()[11:13]
            return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")

        with byte_server(self.path("target"), serve):
            recorder = self.recorder(self.path("target"), "--once", "--quiet")
            client = Client(recorder.path, negotiate=False)
            ready.wait(harness.DEADLINE)
            before, busy = rss(recorder.process.pid), cpu_seconds(recorder.process.pid)
            client.sock.setblocking(False)
            data, sent, total = message(1, 10, b"x" * 99984), 0, 400 * 100000
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline:
                try:
                    sent += client.sock.send(data[sent % 100000:])
                except BlockingIOError:
                    select.select([], [client.sock], [], 0.05)
            self.assertLess(sent, 4 << 20)
            self.assertLess(rss(recorder.process.pid) - before, 16 << 20)
            self.assertLess(cpu_seconds(recorder.process.pid) - busy, 0.5)
            go.set()
            client.sock.setblocking(True)
            while sent < total:
                sent += client.sock.send(data[sent % 100000:])
            client.close()
            recorder.ended()
        self.assertEqual(len(self.messages()), 400)

    def test_descriptors_wait_for_room_with_their_message(self):
        """Far more of them than a socket takes, to a server that reads late."""
        count = 600
        go = threading.Event()
        got = []

        def serve(peer):
            go.wait(harness.DEADLINE)
            for _ in range(count):
                got.append((peer.receive()[0], [os.fstat(fd).st_size for fd in peer.fds]))
                for fd in peer.fds:
                    os.close(fd)

        def send(client):
            for i in range(count):
                fd = memfd(i + 1)
                client.send(message(i, 2, bytes(1500)), [fd])
                os.close(fd)

        with byte_server(self.path("target"), serve):
            recorder = self.recorder(self.path("target"), "--once")
            client = Client(recorder.path, negotiate=False)
            sender = threading.Thread(target=send, args=(client,))
            sender.start()
            seen = -1
            while recorder.out.count("DMA_MAP") != seen:    # until nothing moves any more
                seen = recorder.out.count("DMA_MAP")
                time.sleep(0.2)
            self.assertLess(seen, count)
            go.set()
            sender.join()
            client.close()
            recorder.ended()
        self.assertEqual(got, [(i, [i + 1]) for i in range(count)])

    def test_what_a_client_has_sent_arrives_before_its_end(self):
        for half in (False, True):
            got = []

            def serve(peer, got=got, half=half):
                got.append(peer.receive()[0])
                got.append(peer.receive()[0])
                got.append(peer.at_end())
                if half:
                    peer.send(message(2, 9, b"late", flags=1))

            path = self.path("target%d" % half)
            with byte_server(path, serve):
                recorder = self.recorder(path, "--once")
                client = Client(recorder.path, negotiate=False)
                client.send(message(1, 9) + message(2, 9))
                if half:
                    client.sock.shutdown(socket.SHUT_WR)
                    self.assertEqual(client.receive()[4], b"late")
                    self.assertTrue(client.at_end())
                client.close()
                recorder.ended()
            self.assertEqual(got, [1, 2, True])

    def test_the_end_of_the_server_reaches_the_client(self):
        def serve(peer):
            peer.receive()
            peer.send(message(1, 1, b"bye", flags=1))

        with byte_server(self.path("target"), serve):
            recorder = self.recorder(self.path("target"), "--once")
            client = Client(recorder.path, negotiate=False)
            client.send(message(1, 1))
            self.assertEqual(client.receive()[4], b"bye")
            self.assertTrue(client.at_end())
            self.assertIn("the server closed the connection", recorder.ended())


class Conformance(sessions.Case):
    def test_a_server_behind_it_does_as_the_protocol_asks(self):
        """Every case of the runner, malformed messages among them, as without the relay;
        and what was recorded of them can be shown in every form."""
        recorder = self.recorder(self.server(), "--quiet")
        done = subprocess.run([sessions.RUNNER, "--socket", recorder.path], text=True,
                              capture_output=True, check=False, timeout=2 * harness.DEADLINE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertGreater(done.stdout.count("\nok "), 150)
        recorder.stop()
        lines = self.vfu("decode", "rec.pcapng").splitlines()
        self.assertGreater(len(lines), 2000)
        self.assertEqual(len(self.records()), len(lines))
        os.mkdir(self.path("suite"))
        with open(self.path("suite/a.lua"), "w", encoding="ascii") as f:
            f.write(self.vfu("decode", "--lua", "rec.pcapng"))
        done = subprocess.run([sessions.RUNNER, "--list", "--suite", self.path("suite")],
                              text=True, capture_output=True, check=False,
                              timeout=harness.DEADLINE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class TwinSocket(sessions.Case):
    def test_its_messages_are_passed_and_recorded(self):
        def serve(peer):
            ours, theirs = socket.socketpair()
            msg_id = peer.receive()[0]
            peer.send(message(msg_id, 1, sessions.caps(
                twin_socket={"supported": True, "fd_index": 0}), flags=1), [theirs.fileno()])
            theirs.close()
            twin = Client(sock=ours, negotiate=False)
            memory = memfd(4096)
            twin.send(message(5, 11, struct.pack("<QQ", 0x1000, 4)), [memory])
            self.assertEqual(twin.receive()[4][16:], b"data")
            peer.at_end()
            self.assertTrue(twin.at_end())

        with byte_server(self.path("target"), serve):
            recorder = self.recorder(self.path("target"), "--once")
            client = Client(recorder.path, twin_socket={"supported": True})
            self.assertEqual(len(client.fds), 1)
            twin = Client(sock=socket.socket(fileno=client.fds[0]), negotiate=False)
            msg_id, command, _, _, body = twin.receive()
            self.assertEqual((msg_id, command, len(twin.fds)), (5, 11, 1))
            twin.send(message(5, 11, body + b"data", flags=1))
            recorder.wait_for("=> DMA_READ")
            client.close()
            twin.close()
            recorder.ended()
        twins = [r for r in self.records() if r["socket"] == "twin"]
        self.assertEqual([(r["kind"], r.get("to")) for r in twins[:2]],
                         [("message", "client"), ("message", "server")])


class Interrupts(sessions.Case):
    def fire(self, client, fds, vector):
        client.write(BAR0, VECTOR, struct.pack("<I", vector))
        client.write(BAR0, DELAY, struct.pack("<I", 1))
        self.assertTrue(select.select([fds[vector]], [], [], harness.DEADLINE)[0])
        self.assertEqual(os.eventfd_read(fds[vector]), 1)

    def events(self):
        return [(r["index"], r["vector"], r["count"]) for r in self.records()
                if r["kind"] == "event"]

    def test_are_recorded_on_their_way(self):
        recorder = self.recorder(self.server(), "--once")
        client = Client(recorder.path)
        fds = client.eventfds(MSIX, 4)
        for vector in (2, 0, 2):
            self.fire(client, fds, vector)
        client.close()
        self.assertIn("<- interrupt MSI-X vector 2", recorder.ended())
        self.assertEqual(self.events(), [(2, 2, 1), (2, 0, 1), (2, 2, 1)])

    def test_go_past_it_with_direct(self):
        recorder = self.recorder(self.server(), "--once", "--direct")
        client = Client(recorder.path)
        fds = client.eventfds(MSIX, 4)
        self.fire(client, fds, 1)
        client.close()
        recorder.ended()
        self.assertEqual(self.events(), [])

    def test_of_an_earlier_assignment_survive_a_refused_one(self):
        recorder = self.recorder(self.server(), "--once")
        client = Client(recorder.path)
        fds = client.eventfds(MSIX, 4)
        for _ in range(3):
            error, _ = client.call(harness.SET_IRQS,
                                   struct.pack("<IIIII", 20, 0x24, MSIX, 2, 4),
                                   [os.eventfd(0) for _ in range(4)])
            self.assertEqual(error, 22)
        self.fire(client, fds, 3)
        client.close()
        recorder.ended()
        self.assertEqual(self.events(), [(2, 3, 1)])

    def test_assigned_anew_close_what_was_before(self):
        recorder = self.recorder(self.server(), "--once")
        client = Client(recorder.path)
        fds = client.eventfds(MSIX, 4)
        before = recorder.open_fds()
        for _ in range(50):
            for fd in fds:
                os.close(fd)
            fds = client.eventfds(MSIX, 4)
        self.assertEqual(recorder.open_fds(), before)
        self.fire(client, fds, 1)
        error, _ = client.call(harness.SET_IRQS, struct.pack("<IIIII", 20, 0x21, MSIX, 0, 0))
        self.assertIsNone(error)
        self.assertEqual(recorder.open_fds(), before - 8)
        client.close()
        recorder.ended()

    def test_a_full_eventfd_of_the_client_stops_nothing(self):
        recorder = self.recorder(self.server(), "--once")
        client = Client(recorder.path)
        full = os.eventfd(0)
        os.eventfd_write(full, 0xfffffffffffffffe)
        error, _ = client.call(harness.SET_IRQS, struct.pack("<IIIII", 20, 0x24, MSIX, 0, 1),
                               [full])
        self.assertIsNone(error)
        client.write(BAR0, DELAY, struct.pack("<I", 1))
        recorder.wait_for("an eventfd is full")
        self.assertEqual(client.read(BAR0, 8, 4), b"SUFV")
        client.close()
        recorder.ended()


class Memory(sessions.Case):
    def of_memory(self):
        return [(r["by"], r["offset"], r["bytes"]) for r in self.records()
                if r["kind"] == "memory"]

    def copy(self, client, source, target, length):
        client.write(harness.CONFIG, 4, b"\x06\x00")
        client.write(BAR0, SOURCE, struct.pack("<Q", source))
        client.write(BAR0, TARGET, struct.pack("<Q", target))
        client.write(BAR0, LENGTH, struct.pack("<I", length))
        client.write(BAR0, START, struct.pack("<I", 1))
        self.assertEqual(client.read(BAR0, 0x28, 4), b"\x01\0\0\0")

    def test_of_a_window_is_recorded_as_it_changes(self):
        recorder = self.recorder(self.server(), "--once")
        client = Client(recorder.path)
        memory = memfd(0x3000)
        os.pwrite(memory, b"first", 0x1100)
        self.assertIsNone(client.map(0x10000, memory, 0x2000, 0x1000))
        os.pwrite(memory, b"second", 0x1200)
        self.copy(client, 0x10100, 0x11000, 5)
        client.close()
        recorder.ended()
        first, second = b"first".hex(), b"second".hex()
        self.assertEqual(self.of_memory(), [("client", 0x1100, first),
                                            ("client", 0x1200, second),
                                            ("server", 0x2000, first)])
        kinds = [r["kind"] for r in self.records()]
        names = [r.get("message", {}).get("name") for r in self.records()]
        self.assertLess(kinds.index("memory"), names.index("DMA_MAP"))

    def test_that_the_client_changes_last_is_recorded_before_its_end(self):
        recorder = self.recorder(self.server(), "--once")
        client = Client(recorder.path)
        memory = memfd(0x1000)
        self.assertIsNone(client.map(0x10000, memory, 0x1000))
        os.pwrite(memory, b"last", 7)
        client.close()
        recorder.ended()
        self.assertEqual(self.of_memory(), [("client", 7, b"last".hex())])

    def test_of_a_mapped_region_is_recorded(self):
        recorder = self.recorder(self.server(), "--once")
        client = Client(recorder.path)
        _, _ = client.call(harness.GET_REGION_INFO,
                           struct.pack("<IIIIQQ", 4096, 0, BAR1, 0, 0, 0))
        os.pwrite(client.fds[0], b"mapped", 0x10010)
        self.assertEqual(client.read(BAR1, 0x10010, 6), b"mapped")
        client.close()
        recorder.ended()
        self.assertEqual(self.of_memory(), [("client", 0x10010, b"mapped".hex())])

    def test_of_windows_that_are_gone_or_refused_is_left_alone(self):
        recorder = self.recorder(self.server(), "--once")
        client = Client(recorder.path)
        memory, other = memfd(0x1000), memfd(0x1000)
        self.assertIsNone(client.map(0x10000, memory, 0x1000))
        held = recorder.open_fds()
        self.assertEqual(client.map(0x10000, other, 0x1000), 17)
        self.assertEqual(recorder.open_fds(), held)
        error, _ = client.call(harness.DMA_UNMAP,
                               struct.pack("<IIQQ", 24, 0, 0x10000, 0x1000))
        self.assertIsNone(error)
        self.assertEqual(recorder.open_fds(), held - 1)
        os.pwrite(memory, b"unseen", 0)
        os.pwrite(other, b"unseen", 0)
        client.read(BAR0, 0, 4)
        client.close()
        recorder.ended()
        self.assertEqual(self.of_memory(), [])

    def test_that_is_too_large_is_said_to_be_missing(self):
        recorder = self.recorder(self.server(), "--once", "--memory", "4K")
        client = Client(recorder.path)
        self.assertIsNone(client.map(0x10000, memfd(0x2000), 0x2000))
        client.close()
        self.assertIn("are not recorded: too large, see --memory", recorder.ended())

    def test_that_shrinks_does_no_harm(self):
        recorder = self.recorder(self.server(), "--once")
        client = Client(recorder.path)
        memory = memfd(0x2000)
        self.assertIsNone(client.map(0x10000, memory, 0x2000))
        os.ftruncate(memory, 0)
        self.assertEqual(client.read(BAR0, 8, 4), b"SUFV")
        client.close()
        recorder.ended()

    def test_with_none_nothing_is_kept(self):
        recorder = self.recorder(self.server(), "--once", "--memory", "0")
        client = Client(recorder.path)
        before = recorder.open_fds()
        memory = memfd(0x1000)
        os.pwrite(memory, b"unseen", 0)
        self.assertIsNone(client.map(0x10000, memory, 0x1000))
        self.assertEqual(recorder.open_fds(), before)
        client.close()
        recorder.ended()
        self.assertEqual(self.of_memory(), [])


class BadStreams(sessions.Case):
    """What is no message goes through as it is, and ends the session."""

    def through(self, data, fds=(), close=True):
        """What the server gets of these bytes, and the records."""
        got = []

        def serve(peer):
            part = peer.sock.recv(1 << 20)
            while part:
                got.append(part)
                part = peer.sock.recv(1 << 20)

        with byte_server(self.path("target"), serve):
            recorder = self.recorder(self.path("target"), "--once")
            client = Client(recorder.path, negotiate=False)
            client.send(data, fds)
            if close:
                client.close()
            recorder.ended()
            if not close:
                self.assertTrue(client.at_end())
        os.unlink(self.path("target"))
        return b"".join(got), [r for r in self.records() if r["kind"] == "raw"]

    def test_a_size_below_16(self):
        data = message(1, 9) + message(2, 9, size=15) + b"whatever follows"
        got, raws = self.through(data, close=False)
        self.assertEqual(got, data)
        self.assertEqual([(r["reason"], r["bytes"]) for r in raws], [(1, data[16:].hex())])

    def test_a_size_beyond_all_limits(self):
        data = message(1, 9, b"body", size=0xffffffff)
        got, raws = self.through(data, close=False)
        self.assertEqual(got, data)
        self.assertEqual([(r["reason"], r["bytes"]) for r in raws], [(2, data.hex())])

    def test_an_end_within_a_message_at_every_byte(self):
        whole = message(1, 9, region(0, 0, b"12345678"))
        for cut in (1, 15, 16, 17, len(whole) - 1):
            with self.subTest(cut=cut):
                got, raws = self.through(whole + whole[:cut])
                self.assertEqual(got, whole + whole[:cut])
                self.assertEqual([(r["reason"], r["bytes"]) for r in raws],
                                 [(3, whole[:cut].hex())])

    def test_descriptors_of_a_bad_header_arrive_too(self):
        got = []

        def serve(peer):
            peer.receive_bytes(16)
            got.extend(peer.fds)
            peer.at_end()

        with byte_server(self.path("target"), serve):
            recorder = self.recorder(self.path("target"), "--once")
            client = Client(recorder.path, negotiate=False)
            client.send(message(1, 2, size=3), [memfd(1), memfd(1)])
            self.assertTrue(client.at_end())
            recorder.ended()
        self.assertEqual(len(got), 2)

    def test_of_the_server_reach_the_client(self):
        data = message(1, 1, size=7, flags=1) + b"more"

        def serve(peer):
            peer.receive()
            peer.send(data)
            peer.at_end()

        with byte_server(self.path("target"), serve):
            recorder = self.recorder(self.path("target"), "--once")
            client = Client(recorder.path, negotiate=False)
            client.send(message(1, 1))
            self.assertEqual(client.receive_bytes(len(data)), data)
            self.assertTrue(client.at_end())
            recorder.ended()


class Robustness(sessions.Case):
    def noise(self, seed, n):
        state = seed
        out = bytearray()
        for _ in range(n):
            state = (state * 1103515245 + 12345) & 0x7fffffff
            out.append(state >> 16 & 0xff)
        return bytes(out)

    def test_two_hundred_sessions_leave_no_descriptor(self):
        recorder = self.recorder(self.server(), "--quiet")
        memory = memfd(0x1000)
        counts = []
        for i in range(200):
            client = Client(recorder.path)
            if i % 4 == 0:
                client.map(0x10000, memory, 0x1000)
                for fd in client.eventfds(MSIX, 4):
                    os.close(fd)
            elif i % 4 == 1:
                client.send(message(3, 2, bytes(20)), [memory] * 5)
            elif i % 4 == 2:
                client.send(self.noise(i, 200), [memory])
            client.close()
            if i % 20 == 19:
                client = Client(recorder.path)      # answered: the one before is over
                counts.append(recorder.open_fds())
                client.close()
        self.assertEqual(len(set(counts)), 1, counts)
        recorder.stop()

    def test_clients_and_servers_that_talk_nonsense(self):
        def serve(peer):
            for i in range(3):
                peer.send(self.noise(peer.sock.fileno() + i, 4000))

        with byte_server(self.path("target"), serve, clients=40):
            recorder = self.recorder(self.path("target"))
            for i in range(40):
                client = Client(recorder.path, negotiate=False)
                try:
                    for command in range(0, 20):
                        client.send(message(i, command, self.noise(i * 20 + command, 60)),
                                    [0] * (command % 3))
                except OSError:
                    pass
                client.close()
            recorder.wait_for("a client connected", 40)
            recorder.stop()
        self.assertGreaterEqual(len(self.records()), 40)

    def test_a_server_that_is_not_there_is_said(self):
        recorder = self.recorder(self.path("nobody"), "--once")
        self.assertTrue(Client(recorder.path, negotiate=False).at_end())
        recorder.ended(harness.LOST)
        self.assertIn("cannot connect to", recorder.err)

    def test_a_server_that_takes_nobody_is_asked_until_the_time_is_over(self):
        with socket.socket(socket.AF_UNIX) as target:
            target.bind(self.path("full"))
            target.listen(0)
            with socket.socket(socket.AF_UNIX) as first:
                first.connect(self.path("full"))    # and the queue is full
                recorder = self.recorder(self.path("full"), "--once", "-t", "0.2")
                self.assertTrue(Client(recorder.path, negotiate=False).at_end())
                recorder.ended(harness.LOST)
        self.assertIn("busy with another client", recorder.err)

    def test_goes_on_when_a_server_was_away(self):
        target = self.path("target")
        recorder = self.recorder(target)
        self.assertTrue(Client(recorder.path, negotiate=False).at_end())
        with byte_server(target, lambda peer: peer.send(peer.receive_bytes(16))):
            client = Client(recorder.path, negotiate=False)
            client.send(message(1, 9))
            self.assertEqual(client.receive()[0], 1)
            client.close()
            recorder.wait_for("closed")
            recorder.stop()

    def test_sessions_are_numbered(self):
        recorder = self.recorder(self.server())
        for _ in range(3):
            Client(recorder.path).close()
        recorder.wait_for("closed the connection", 3)
        recorder.stop()
        self.assertIn("in 3 sessions", recorder.err)
        self.assertEqual({r["session"] for r in self.records()}, {1, 2, 3})

    def test_ends_within_a_session(self):
        recorder = self.recorder(self.server())
        client = Client(recorder.path)
        recorder.stop()
        self.assertTrue(client.at_end())
        self.assertEqual(len(self.messages()), 2)


class Names(sessions.Case):
    def test_an_existing_socket_is_not_taken_away(self):
        path = self.server()
        text = self.refusal("record", path, self.path("x"), "rec.pcapng",
                            status=harness.FAILED)
        self.assertIn("somebody listens on it", text)
        Client(path).close()

    def test_a_file_that_is_no_socket_stays(self):
        with open(self.path("file"), "w", encoding="ascii") as f:
            f.write("mine")
        text = self.refusal("record", "file", "x", "rec.pcapng", status=harness.FAILED)
        self.assertIn("it is no socket", text)
        with open(self.path("file"), encoding="ascii") as f:
            self.assertEqual(f.read(), "mine")

    def test_a_socket_that_nobody_listens_on_is_replaced(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
            dead.bind(self.path("relay.sock"))
        recorder = self.recorder(self.server(), "--once")
        Client(recorder.path).close()
        recorder.ended()

    def test_misuse(self):
        for words, text in (
                (("a.sock",), "3"),
                (("a.sock", "b.sock", "out.txt"), "ends in .pcapng"),
                (("a.sock", "b.sock", ".pcapng"), "ends in .pcapng"),
                (("x" * 200, "b.sock", "o.lua"), "no path that a socket can have"),
                (("a.sock", "b.sock", "o.lua", "--memory", "much"), "--memory")):
            self.assertIn(text, self.refusal("record", *words, status=harness.USAGE) + "3")
        self.refusal("record", "a.sock", "b.sock", "no/such/folder/o.pcapng",
                     status=harness.FAILED)
        self.assertFalse(os.path.exists(self.path("a.sock")))

    def test_several_outputs(self):
        recorder = self.recorder(self.server(), "--once",
                                 outs=["one.lua", "two.pcapng", "three.pcapng"])
        Client(recorder.path).close()
        recorder.ended()
        with open(self.path("two.pcapng"), "rb") as two, \
             open(self.path("three.pcapng"), "rb") as three:
            self.assertEqual(two.read(), three.read())
        with open(self.path("one.lua"), encoding="ascii") as one:
            self.assertIn("c:version{", one.read())
        self.assertTrue(stat.S_ISREG(os.stat(self.path("two.pcapng")).st_mode))

    def test_json_on_standard_output(self):
        recorder = self.recorder(self.server(), "--once", "--json", outs=["rec.pcapng"])
        Client(recorder.path).close()
        out = recorder.ended()
        self.assertEqual(out, self.vfu("decode", "--json", "rec.pcapng"))


if __name__ == "__main__":
    harness.main()
