# SPDX-License-Identifier: BSD-3-Clause
"""samples/client against samples/server, and against servers that lie, die or say nothing.

usage: test_client.py PATH-OF-SERVER PATH-OF-CLIENT [unittest arguments]

A relay between the two counts what is said, and changes it.
"""

import array
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

from support import DEADLINE, Process, end_servers

CLIENT = sys.argv.pop(1)

(VERSION, DMA_MAP, DMA_UNMAP, GET_INFO, GET_REGION_INFO, GET_REGION_IO_FDS, GET_IRQ_INFO, SET_IRQS,
 REGION_READ, REGION_WRITE, DMA_READ, DMA_WRITE, RESET) = range(1, 14)
WRITE_MULTI, FEATURE, MIG_READ, MIG_WRITE = range(15, 19)
BY_CLIENT = {*range(1, 11), RESET, WRITE_MULTI, FEATURE, MIG_READ, MIG_WRITE}


def run_client(*arguments, **options):
    return subprocess.run([CLIENT, *arguments], stdin=subprocess.DEVNULL, text=True,
                          timeout=2 * DEADLINE, **{"capture_output": True, **options})


class Message:
    def __init__(self, data, fds):
        self.data, self.fds = data, fds
        self.id, self.command, _, self.flags, self.error = struct.unpack_from("<HHIII", data)
        self.is_reply = self.flags & 0xf == 1

    @property
    def body(self):
        return self.data[16:]

    def patch(self, at, value):
        """The body, changed from a byte on."""
        at += 16
        if self.data[at:at + len(value)] == value or at + len(value) > len(self.data):
            raise AssertionError("nothing would be changed")
        self.data = self.data[:at] + value + self.data[at + len(value):]


def receive(sock, count, fds):
    data = b""
    while len(data) < count:
        part, ancillary, _, _ = sock.recvmsg(count - len(data), socket.CMSG_SPACE(4 * 64))
        if not part:
            raise ConnectionError
        data += part
        for _, _, payload in ancillary:
            received = array.array("i")
            received.frombytes(payload)
            fds.extend(received)
    return data


class Relay:
    """Passes whole messages on, each through hook(message, from_client), which may change it.
    An exception in the hook ends both connections."""

    def __init__(self, folder, target, hook, sessions=2):
        self.path = os.path.join(folder, "relay")
        self.target, self.hook = target, hook
        self.lock = threading.Lock()
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve, args=(sessions,))
        self.thread.start()

    def serve(self, sessions):
        for _ in range(sessions):
            try:
                client, _ = self.listener.accept()
            except OSError:
                break
            self.session(client)
        self.listener.close()

    def session(self, client):
        with client, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
            server.connect(self.target)
            other = threading.Thread(target=self.pump, args=(server, client, False))
            other.start()
            self.pump(client, server, True)
            other.join()

    def pump(self, source, sink, from_client):
        try:
            while True:
                fds = []
                try:
                    header = receive(source, 16, fds)
                    size = struct.unpack_from("<I", header, 4)[0]
                    message = Message(header + receive(source, size - 16, fds), fds)
                    with self.lock:
                        self.hook(message, from_client)
                    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
                    sent = sink.sendmsg([message.data], rights if fds else [])
                    sink.sendall(message.data[sent:])
                finally:
                    for fd in fds:
                        os.close(fd)
        except (OSError, Cut):
            for sock in source, sink:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass        # gone already

    def end(self):
        """After the client has left; it may not have come as often as expected."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.thread.join()


class Cut(Exception):
    """The connection ends here."""


class ClientTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def fresh_server(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        server = Process(folder.name)
        self.addCleanup(self.end_server, server)
        return server

    def end_server(self, server):
        status, tail = server.end()
        self.assertIn(status, (0, -signal.SIGKILL), tail)

    def through(self, hook, *options, server=None, sessions=2):
        server = server or self.fresh_server()
        with tempfile.TemporaryDirectory() as folder:
            relay = Relay(folder, server.path, hook, sessions)
            try:
                return run_client(*options, relay.path)
            finally:
                relay.end()

    def check_good(self, done):
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertRegex(done.stdout.splitlines()[-1], r"26 steps, \d+ checks: the device does")

    def check_bad(self, done, words):
        """One sentence says what, a second one where."""
        self.assertEqual(done.returncode, 1, (words, done.stderr))
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 2, lines)
        self.assertRegex(lines[0], "^client: .*" + words)
        self.assertRegex(lines[1], r"^client: stopped at step \d+, ")
        self.assertNotIn("the device does all", done.stdout)


class Good(ClientTest):
    def test_all_is_well_three_times_with_one_server(self):
        server = self.fresh_server()
        for _ in range(3):
            done = run_client(server.path)
            self.check_good(done)
            for line in done.stdout.splitlines():
                self.assertRegex(line, r"^ +\d+\.\d{6}  .{18}  \S|^ +\d+\.\d{6} {24}\S")

    def test_the_wall_clock_is_waited_for(self):
        self.check_good(run_client("--time", self.fresh_server().path))

    def test_verbose_tells_each_check(self):
        done = run_client("-v", self.fresh_server().path)
        self.check_good(done)
        checks = int(re.search(r"(\d+) checks", done.stdout).group(1))
        self.assertGreater(checks, 400)
        self.assertEqual(len(re.findall(r": yes$", done.stdout, re.MULTILINE)), checks)

    def test_every_command_of_the_protocol_is_used(self):
        sent, answered, asked = set(), set(), set()

        def count(message, from_client):
            if message.is_reply:
                answered.add((message.command, from_client))
            elif from_client:
                sent.add(message.command)
            else:
                asked.add(message.command)
        self.check_good(self.through(count))
        self.assertEqual(sent, BY_CLIENT)
        self.assertEqual(asked, {DMA_READ, DMA_WRITE})
        self.assertEqual(answered, {(c, False) for c in BY_CLIENT} |
                         {(DMA_READ, True), (DMA_WRITE, True)})

    def test_two_runs_send_the_same_messages(self):
        runs = []
        for _ in range(2):
            said = {True: [], False: []}

            def note(message, from_client, said=said):
                said[from_client].append((message.data, len(message.fds)))
            self.check_good(self.through(note))
            runs.append(said)
        for from_client in True, False:
            self.assertEqual(len(runs[0][from_client]), len(runs[1][from_client]))
            for one, other in zip(runs[0][from_client], runs[1][from_client]):
                self.assertEqual(one, other)


class Liars(ClientTest):
    """A server that does one thing differently is found out."""

    def lie(self, words, command, at, value, number=0, when=None):
        """Replies to a command, from a number on, that fit `when`, are changed in one place."""
        seen = [0]

        def hook(message, from_client):
            if from_client or message.command != command or not message.is_reply:
                return
            if message.flags & 0x20 or (when is not None and not when(message.body)):
                return
            if seen[0] == number:
                message.patch(at, value)
            seen[0] += 1
        self.check_bad(self.through(hook), words)
        self.assertGreater(seen[0], number)

    def register(self, words, offset, value, number=0, size=4):
        self.lie(words, REGION_READ, 16, value, number,
                 lambda body: body[:16] == struct.pack("<QII", offset, 0, size))

    def test_about_the_device(self):
        self.lie("the number of kinds", GET_INFO, 12, b"\4")
        self.lie("device flags", GET_INFO, 4, b"\2")
        self.lie("BAR0, size", GET_REGION_INFO, 16, b"\0\x20")
        self.lie("BAR1, size of area 1", GET_REGION_INFO, 32 + 40, b"\0\0\x08",
                 when=lambda body: body[8] == 1 and len(body) == 80)
        self.lie("ROM, flags", GET_REGION_INFO, 4, b"\3", when=lambda body: body[8] == 6)
        self.lie("MSI-X, vectors", GET_IRQ_INFO, 12, b"\5", 2)
        self.lie("device and vendor", REGION_READ, 16, b"\x35")
        self.lie("capability 2", REGION_READ, 16 + 0x84, b"\6")

    def test_about_registers(self):
        self.register("ID: 0x56465554 instead of 0x56465553", 0x08, b"\x54")
        self.register("SCRATCH: ", 0x0c, b"\1", 1)
        self.register("SCRATCH, written without a reply", 0x0c, b"\2", 2)
        self.register("DMA_STATUS: 0x1 instead of 0x3", 0x28, b"\1")
        self.register("TIMER_DELAY: ", 0x34, b"\1")

    def test_about_storage(self):
        bar1 = lambda body: body[8:12] == b"\1\0\0\0"
        self.lie("BAR1: byte 5 of 12288", REGION_READ, 16 + 5, b"\0", 0, bar1)
        self.lie("through the mapping: byte 0", REGION_READ, 16, b"\0", 1, bar1)
        self.lie("what 8 reads brought: byte 3", REGION_READ, 16 + 3, b"\0", 0,
                 lambda body: bar1(body) and body[:8] == struct.pack("<Q", 0x100000))
        self.lie("the ROM's text: byte 0", REGION_READ, 16, b"V", 0,
                 lambda body: body[8:12] == b"\6\0\0\0")
        self.lie("4 writes: .*stopped at write 3", WRITE_MULTI, 0, b"\3")

    def test_about_dirty_pages(self):
        report = lambda body: body[4:8] == struct.pack("<I", 0x10008)
        self.lie("nothing written yet: 0x1 instead", FEATURE, 32, b"\1", 0, report)
        self.lie("by descriptor: 0x40c instead|by descriptor: 0x404", FEATURE, 32, b"\4", 1,
                 report)
        self.lie("reported before: 0x2 instead", FEATURE, 32, b"\2", 2, report)

    def test_about_migration(self):
        state = lambda body: body[4:8] == struct.pack("<I", 0x10002)
        self.lie("the state after going to PRE_COPY", FEATURE, 8, b"\2", 1, state)
        self.lie("what migration can do", FEATURE, 8, b"\1", 0,
                 lambda body: body[4:8] == struct.pack("<I", 0x10001))
        # A page of the stream is spoiled: the checksum tells.
        self.lie("the checksum of the device", MIG_READ, 8 + 16 + 16 + 100, b"\xff")
        # Its header is: the device tells.
        self.lie("MIG_DATA_WRITE: .*refused", MIG_READ, 8, b"\x52")

    def test_about_what_it_refuses(self):
        def refuse(command, number, error=95):
            seen = [0]

            def hook(message, from_client):
                if not from_client and message.command == command and message.is_reply:
                    if seen[0] == number:
                        message.data = struct.pack("<HHIII", message.id, command, 16, 0x21,
                                                   error)
                    seen[0] += 1
            return hook
        for command, number, words in (
                (GET_REGION_INFO, 3, "DEVICE_GET_REGION_INFO of "),
                (GET_IRQ_INFO, 4, "DEVICE_GET_IRQ_INFO of REQ: "), (FEATURE, 0, "probing"),
                (WRITE_MULTI, 0, "4 writes: "), (SET_IRQS, 0, "enabling INTx: "),
                (DMA_MAP, 0, "DMA_MAP with a descriptor: "), (RESET, 0, "DEVICE_RESET: "),
                (MIG_READ, 0, "MIG_DATA_READ: "), (DMA_UNMAP, 0, "DMA_UNMAP: "),
                (DMA_MAP, 2, "connecting again: ")):
            with self.subTest(command=command):
                done = self.through(refuse(command, number))
                self.check_bad(done, words)
        self.check_bad(self.through(refuse(DMA_UNMAP, 1, 22)), 'refused with "Invalid argument"')

    def test_about_descriptors(self):
        """They are others than the ones that were meant."""
        def swap(command, from_client, make, number=0):
            seen = [0]

            def hook(message, is_clients):
                if message.command == command and message.fds and is_clients == from_client:
                    if number in (seen[0], None):
                        os.close(message.fds[0])
                        message.fds[0] = make()
                    seen[0] += 1
            return hook

        def memory(size):
            fd = os.memfd_create("other", os.MFD_CLOEXEC)
            os.ftruncate(fd, size)
            return fd
        self.check_bad(self.through(swap(SET_IRQS, True, lambda: os.eventfd(0))),
                       "waiting for INTx, vector 0: the timer")
        self.check_bad(self.through(swap(SET_IRQS, True, lambda: os.eventfd(0), 2)),
                       "waiting for MSI-X, vector 0: the timer")
        self.check_bad(self.through(swap(GET_REGION_INFO, False, lambda: memory(0x200000),
                                         None)),
                       "what was written through the mapping: byte 0")
        self.check_bad(self.through(swap(DMA_MAP, True, lambda: memory(0x10000))),
                       "the copy: byte 0")

    def test_that_refuse_nothing(self):
        def hook(message, from_client):
            if not from_client and message.flags & 0x21 == 0x21 and message.error == 22 and \
                    message.command == REGION_WRITE:
                message.data = struct.pack("<HHIIIQII", message.id, message.command, 32, 1, 0, 0x0c,
                                           0, 1)
        self.check_bad(self.through(hook), "one byte of a register: the server did it")


class Lost(ClientTest):
    """A server that goes away, at any time, is one sentence and exit status 1."""

    def test_a_connection_that_ends_anywhere(self):
        total = [0]

        def count(_message, _from_client):
            total[0] += 1
        self.check_good(self.through(count))
        server = self.fresh_server()
        for at in range(3, total[0], total[0] // 40):
            left = [at]

            def cut(_message, _from_client, left=left):
                left[0] -= 1
                if left[0] <= 0:
                    raise Cut
            with self.subTest(at=at):
                self.check_bad(self.through(cut, server=server), "")

    def test_a_server_that_is_killed(self):
        for command in REGION_READ, SET_IRQS, DMA_MAP, MIG_WRITE:
            server = self.fresh_server()

            def kill(message, from_client, command=command, server=server):
                if from_client and message.command == command:
                    server.child.kill()
                    server.child.wait()
            with self.subTest(command=command):
                self.check_bad(self.through(kill, server=server), "")

    def test_a_server_that_does_not_come_back(self):
        done = self.through(lambda message, from_client: None, sessions=1)
        self.check_bad(done, "connecting again: ")

    def test_nobody_and_nothing_there(self):
        for path, words in ((os.path.join(self.folder, "none"), "No such file"),
                            (self.folder, ""), ("x" * 200, "")):
            done = run_client(path)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertRegex(done.stderr, "^client: .*%s.*\n$" % words)

    def test_a_server_that_says_nothing(self):
        path = os.path.join(self.folder, "mute")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as mute:
            mute.bind(path)
            mute.listen()
            done = run_client(path)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, "^client: .*time")


class CommandLine(ClientTest):
    def test_usage(self):
        for arguments in (), ("-x", "socket"), ("one", "two"), ("--time=1", "socket"):
            done = run_client(*arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn("usage: client", done.stderr)

    def test_help(self):
        for option in "-h", "--help":
            done = run_client(option)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("usage: client [-tv] SOCKET", done.stdout)

    def test_output_that_cannot_be_written(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = run_client(self.fresh_server().path, capture_output=False, stdout=full,
                              stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 1)
        self.assertIn("No space left", done.stderr)


def tearDownModule():
    end_servers()


if __name__ == "__main__":
    unittest.main(verbosity=2)
