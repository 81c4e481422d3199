# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of vfu share: running it, servers that live, and servers that misbehave.

A test is called as

    test_x.py VFU SERVER ROOT [unittest arguments]

and ends with `harness.main()`. Waiting is for events with a deadline, never for time to
pass.
"""

import array
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

VFU, SERVER, ROOT = (pathlib.Path(path).resolve() for path in sys.argv[1:4])
del sys.argv[1:4]
DEADLINE = 60.0     # seconds for anything that should happen at once

OK, REFUSED, LOST, USAGE, FAILED = range(5)
SANITIZER = re.compile(r"(Address|Leak|Thread|UndefinedBehavior)Sanitizer|runtime error:")

VERSION, DMA_MAP, DMA_UNMAP, GET_INFO, GET_REGION_INFO = 1, 2, 3, 4, 5
GET_IRQ_INFO, SET_IRQS, REGION_READ, REGION_WRITE, RESET = 7, 8, 9, 10, 13
FEATURE = 16
CONFIG = 7


def main():
    unittest.main()


class Server:
    """samples/server, or another program that is called in the same way."""

    def __init__(self, folder, name="dev.sock", program=SERVER):
        self.path = os.path.join(folder, name)
        self.log = open(os.path.join(folder, name + ".log"), "w+b")
        self.process = subprocess.Popen([program, self.path], stderr=self.log)
        deadline = time.monotonic() + DEADLINE
        while not self.listens():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError("no server: " + self.text())
            time.sleep(0.01)

    def listens(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1)
            try:
                probe.connect(self.path)
            except OSError:
                return False
            return True

    def text(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def stop(self):
        """End it; its log must hold no report of a sanitizer."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(DEADLINE)
        finally:
            self.process.kill()
            text = self.text()
            self.log.close()
        if status != 0 or SANITIZER.search(text):
            raise AssertionError("the server ended with %d\n%s" % (status, text))


# ------------------------------------------------------------- odd servers --

def header(msg_id, command, body_len, error=0, flags=None):
    if flags is None:
        flags = 0x21 if error else 0x01
    return struct.pack("<HHIII", msg_id, command, 16 + body_len, flags, error)


class Peer:
    """One client of an odd server."""

    def __init__(self, sock):
        self.sock = sock
        sock.settimeout(DEADLINE)

    def receive(self, n):
        data = b""
        while len(data) < n:
            part = self.sock.recv(n - len(data))
            if not part:
                raise ConnectionError("the client has left")
            data += part
        return data

    def request(self):
        """(id, command, flags, body); descriptors are dropped by the kernel."""
        msg_id, command, size, flags, _ = struct.unpack("<HHIII", self.receive(16))
        return msg_id, command, flags, self.receive(size - 16)

    def send(self, data, fds=()):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        sent = self.sock.sendmsg([data], rights if fds else [])
        if sent < len(data):    # else it may have left already, satisfied
            self.sock.sendall(data[sent:])

    def reply(self, msg_id, command, body=b"", error=0, fds=()):
        self.send(header(msg_id, command, len(body), error) + body, fds)

    def negotiate(self, capabilities=None, minor=1):
        msg_id, command, _, _ = self.request()
        assert command == VERSION, command
        text = json.dumps({"capabilities": capabilities or {}}).encode() + b"\0"
        self.reply(msg_id, VERSION, struct.pack("<HH", 0, minor) + text)

    def wait_for_end(self):
        """Until the client has left, whatever it still says."""
        with contextlib.suppress(ConnectionError, socket.timeout):
            while self.sock.recv(65536):
                pass


class Device:
    """A device that answers correctly; methods and attributes are to be changed.

    regions: {index: (size, flags)}; memory: {index: bytearray}.
    """
    flags = 3
    num_regions = 9
    num_irqs = 5

    def __init__(self):
        self.regions = {0: (4096, 3), CONFIG: (256, 3)}
        self.memory = {index: bytearray(size) for index, (size, _) in self.regions.items()}
        self.vectors = {0: 1, 2: 4}
        self.commands = []

    def serve(self, peer):
        peer.negotiate()
        with contextlib.suppress(ConnectionError):
            while True:
                msg_id, command, flags, body = peer.request()
                self.commands.append(command)
                self.answer(peer, msg_id, command, flags, body)

    def answer(self, peer, msg_id, command, flags, body):
        handlers = {GET_INFO: self.get_info, GET_REGION_INFO: self.get_region_info,
                    GET_IRQ_INFO: self.get_irq_info, REGION_READ: self.read,
                    REGION_WRITE: self.write, RESET: self.reset}
        try:
            reply = handlers[command](body) if command in handlers else 95
        except OSError as error:
            reply = error.errno
        if flags & 0x10:
            return
        if isinstance(reply, int):
            peer.reply(msg_id, command, error=reply)
        else:
            peer.reply(msg_id, command, reply)

    def get_info(self, body):
        return struct.pack("<IIII", 16, self.flags, self.num_regions, self.num_irqs)

    def get_region_info(self, body):
        index = struct.unpack_from("<I", body, 8)[0]
        size, flags = self.regions.get(index, (0, 0))
        return struct.pack("<IIIIQQ", 32, flags, index, 0, size, 0)

    def get_irq_info(self, body):
        index = struct.unpack_from("<I", body, 8)[0]
        count = self.vectors.get(index, 0)
        return struct.pack("<IIII", 16, 1 if count else 0, index, count)

    def read(self, body):
        offset, index, count = struct.unpack_from("<QII", body)
        return body[:16] + self.load(index, offset, count)

    def load(self, index, offset, count):
        return bytes(self.memory[index][offset:offset + count])

    def write(self, body):
        offset, index, count = struct.unpack_from("<QII", body)
        self.memory[index][offset:offset + count] = body[16:]
        return body[:16]

    def reset(self, body):
        return b""


@contextlib.contextmanager
def odd_server(path, serve, clients=1):
    """serve(peer) for each of `clients` clients, on a thread; its exceptions are raised."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen()
    listener.settimeout(DEADLINE)
    problems = []

    def run():
        try:
            for _ in range(clients):
                sock, _ = listener.accept()
                with sock:
                    serve(Peer(sock))
        except (ConnectionError, socket.timeout):
            pass
        except OSError as error:
            if listener.fileno() != -1:
                problems.append(error)
        except Exception as error:      # pylint: disable=broad-except
            problems.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):      # wakes accept()
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(DEADLINE)
        os.unlink(path)
    if problems:
        raise problems[0]


# -------------------------------------------------------------------- tests --

class Case(unittest.TestCase):
    """Each test has a folder of its own."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="vfu-")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def server(self, name="dev.sock", program=SERVER):
        server = Server(self.folder, name, program)
        self.addCleanup(server.stop)
        return server.path

    def vfu(self, *words, status=OK, **more):
        """Run it; gives stdout. more: as subprocess.run() takes it."""
        done = self.call(*words, **more)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout

    def refusal(self, *words, status, **more):
        """Run it; gives stderr, which must be some text."""
        done = self.call(*words, **more)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertRegex(done.stderr, r"^vfu")
        return done.stderr

    def call(self, *words, **more):
        more = dict({"stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                     "timeout": DEADLINE, "cwd": self.folder}, **more)
        if "input" not in more:
            more.setdefault("stdin", subprocess.DEVNULL)
        text = more.pop("text", True)
        done = subprocess.run([str(VFU), *map(str, words)], text=text, check=False, **more)
        if done.stderr is not None:
            self.no_report(done.stderr if text else done.stderr.decode())
        return done

    def no_report(self, text):
        self.assertIsNone(SANITIZER.search(text), text)
