# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of recordings share: a recorder that runs, a client, a server of bytes."""

import array
import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time

import harness

BUILD = harness.VFU.parent.parent
CLIENT = BUILD / "samples/client"
OTHER = BUILD / "tools/tests/other_device"
RUNNER = BUILD / "conformance/vfio-user-conformance"
BAR0, BAR1, BAR2 = range(3)
SCRATCH, SOURCE, TARGET, LENGTH, START, VECTOR, DELAY = (0x0c, 0x10, 0x18, 0x20, 0x24, 0x30,
                                                         0x34)
MSIX = 2


def message(msg_id, command, body=b"", flags=0, error=0, size=None):
    return struct.pack("<HHIII", msg_id, command, 16 + len(body) if size is None else size,
                       flags, error) + body


def region(offset, index, data=b"", count=None):
    return struct.pack("<QII", offset, index, len(data) if count is None else count) + data


def caps(**more):
    capabilities = dict({"max_msg_fds": 16}, **more)
    return (struct.pack("<HH", 0, 1) +
            json.dumps({"capabilities": capabilities}).encode() + b"\0")


class Client:
    """A connection that sends and receives what it is told."""

    def __init__(self, path=None, negotiate=True, sock=None, **capabilities):
        self.sock = sock or socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        for option in socket.SO_SNDTIMEO, socket.SO_RCVTIMEO:
            self.sock.setsockopt(socket.SOL_SOCKET, option,
                                 struct.pack("ll", int(harness.DEADLINE), 0))
        if path:
            self.sock.connect(path)
        self.msg_id = 0
        self.fds = []       # of the last message received
        if negotiate:
            self.call(harness.VERSION, caps(**capabilities))

    def send(self, data, fds=()):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        sent = self.sock.sendmsg([data], rights if fds else [])
        if sent < len(data):
            self.sock.sendall(data[sent:])

    def receive_bytes(self, n):
        data = b""
        while len(data) < n:
            part, ancillary, _, _ = self.sock.recvmsg(n - len(data), socket.CMSG_SPACE(1024))
            if not part:
                raise ConnectionError("closed after %d of %d bytes" % (len(data), n))
            data += part
            for level, kind, payload in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    received = array.array("i")
                    received.frombytes(payload)
                    self.fds.extend(received)
        return data

    def receive(self):
        """(id, command, flags, error, body); descriptors are in self.fds."""
        self.fds = []
        header = self.receive_bytes(16)
        msg_id, command, size, flags, error = struct.unpack("<HHIII", header)
        return msg_id, command, flags, error, self.receive_bytes(size - 16)

    def call(self, command, body=b"", fds=()):
        """(error, body) of the reply; error is None for a success."""
        self.msg_id += 1
        self.send(message(self.msg_id, command, body), fds)
        msg_id, answered, flags, error, body = self.receive()
        assert (msg_id, answered) == (self.msg_id, command), (msg_id, answered)
        return (error if flags & 0x20 else None), body

    def read(self, index, offset, count):
        error, body = self.call(harness.REGION_READ, region(offset, index, count=count))
        assert error is None, error
        return body[16:]

    def write(self, index, offset, data):
        error, _ = self.call(harness.REGION_WRITE, region(offset, index, data))
        return error

    def map(self, address, fd=None, size=0, offset=0):
        error, _ = self.call(harness.DMA_MAP,
                             struct.pack("<IIQQQ", 32, 3, offset, address, size),
                             [] if fd is None else [fd])
        return error

    def eventfds(self, index, n):
        fds = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(n)]
        error, _ = self.call(harness.SET_IRQS, struct.pack("<IIIII", 20, 0x24, index, 0, n),
                             fds)
        assert error is None, error
        return fds

    def at_end(self):
        """True when the other side has closed, with nothing before that."""
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self):
        self.sock.close()

    __del__ = close


def lively(peer):
    """A server that is there, and no more."""
    with contextlib.suppress(ConnectionError):
        while True:
            msg_id, command, _, _, _ = peer.receive()
            body = caps() if command == harness.VERSION else struct.pack("<IIII", 16, 0, 0, 0)
            peer.send(message(msg_id, command, body, flags=1))


def first(serve):
    """serve() for the first client; the runner's questions after that are answered, too."""
    clients = []

    def serve_one(peer):
        clients.append(peer)
        (serve if len(clients) == 1 else lively)(peer)
    return serve_one


@contextlib.contextmanager
def byte_server(path, serve, clients=1):
    """serve(Client) for each of `clients` connections; what it raises is raised here."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen()
    problems, ending = [], threading.Event()

    def run():
        try:
            for _ in range(clients):
                sock, _ = listener.accept()
                with sock:
                    serve(Client(sock=sock, negotiate=False))
        except OSError as error:
            if not ending.is_set() and not isinstance(error, ConnectionError):
                problems.append(error)
        except Exception as error:      # pylint: disable=broad-except
            problems.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)     # wakes accept()
        listener.close()
        thread.join(harness.DEADLINE)
    assert not thread.is_alive()
    if problems:
        raise problems[0]


class Recorder:
    """vfu record, running."""

    def __init__(self, case, target, outs, *options):
        self.case = case
        self.path = case.path("relay.sock")
        self.process = subprocess.Popen(
            [str(harness.VFU), "record", *options, self.path, target, *outs], text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            cwd=case.folder)
        self.out = self.err = ""
        case.addCleanup(self.process.kill)
        self.err = self.process.stderr.readline()
        if "connect to " not in self.err:
            raise AssertionError(self.err + self.process.communicate()[1])
        self.readers = [threading.Thread(target=self.drain, args=("out", self.process.stdout)),
                        threading.Thread(target=self.drain, args=("err", self.process.stderr))]
        for reader in self.readers:
            reader.start()

    def drain(self, name, stream):
        for line in stream:
            setattr(self, name, getattr(self, name) + line)

    def wait_for(self, text, times=1):
        """Until it has printed that text so often."""
        deadline = time.monotonic() + harness.DEADLINE
        while self.out.count(text) < times:
            if time.monotonic() > deadline:
                raise AssertionError("%s is not in\n%s" % (text, self.out + self.err))
            time.sleep(0.005)

    def open_fds(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def ended(self, status=harness.OK):
        """Wait for its own end; gives what it printed."""
        self.case.assertEqual(self.process.wait(harness.DEADLINE), status, self.err)
        for reader in self.readers:
            reader.join(harness.DEADLINE)
        self.process.stdout.close()
        self.process.stderr.close()
        self.case.no_report(self.err)
        self.case.assertFalse(os.path.exists(self.path), "the socket's file is left")
        return self.out

    def stop(self, status=harness.OK):
        self.process.send_signal(signal.SIGTERM)
        return self.ended(status)


class Case(harness.Case):
    """Tests that record."""

    def recorder(self, target, *options, outs=("rec.pcapng",)):
        return Recorder(self, target, outs, *options)

    def records(self, name="rec.pcapng", **more):
        """The records of a file, as objects."""
        return [json.loads(line)
                for line in self.vfu("decode", "--json", name, **more).splitlines()]

    def messages(self, name="rec.pcapng"):
        """[(to, name, type, body)] of all messages."""
        return [(r["to"], r["message"]["name"], r["message"]["type"],
                 r["message"].get("body"))
                for r in self.records(name) if r["kind"] == "message"]

    def sample_session(self, name="rec.pcapng", client=CLIENT):
        """Record samples/client against samples/server."""
        recorder = self.recorder(self.server(), outs=[name])
        done = subprocess.run([str(client), recorder.path], capture_output=True, text=True,
                              timeout=harness.DEADLINE, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        recorder.wait_for("closed the connection", 2)
        recorder.stop()
        return self.path(name)
