# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the samples share: a server in a process, and a client that is only
this file. Layouts are typed from the vfio-user specification; no code of the project is used.

The first argument of the program is the path of the server.
"""

import array
import json
import mmap
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

SERVER = sys.argv.pop(1)
DEADLINE = 30.0     # seconds for anything that should happen at once

VERSION, DMA_MAP, DMA_UNMAP, GET_INFO, GET_REGION_INFO = 1, 2, 3, 4, 5
GET_IRQ_INFO, SET_IRQS, REGION_READ, REGION_WRITE, DMA_READ, DMA_WRITE = range(7, 13)
RESET, FEATURE, MIG_READ, MIG_WRITE = 13, 16, 17, 18
BAR0, BAR1, BAR2, BAR3, BAR4, BAR5, ROM, CONFIG = range(8)
INTX, MSI, MSIX = range(3)
EINVAL, EACCES, EFAULT, EBUSY = 22, 13, 14, 16

TIME, ID, SCRATCH, SOURCE, TARGET = 0x00, 0x08, 0x0c, 0x10, 0x18
LENGTH, START, STATUS, VECTOR, DELAY = 0x20, 0x24, 0x28, 0x30, 0x34


class Refused(Exception):
    """An error reply; args[0] is its errno."""


class Client:
    """One connection, one command at a time."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Bounds connect() too, which with a Python timeout would not wait at all.
        for option in socket.SO_SNDTIMEO, socket.SO_RCVTIMEO:
            self.sock.setsockopt(socket.SOL_SOCKET, option,
                                 struct.pack("ll", int(DEADLINE), 0))
        self.sock.connect(path)
        self.msg_id = 0
        self.guest = {}         # address: bytearray; memory that is read and written by message
        self.served = []        # what was: (command, address, count)
        caps = {"capabilities": {"max_msg_fds": 8, "max_data_xfer_size": 1 << 20}}
        body = struct.pack("<HH", 0, 1) + json.dumps(caps).encode() + b"\0"
        self.call(VERSION, body)

    def close(self):
        self.sock.close()

    def receive(self, n, fds):
        data = b""
        while len(data) < n:
            part, ancillary, _, _ = self.sock.recvmsg(n - len(data),
                                                      socket.CMSG_SPACE(4 * 16))
            if not part:
                raise ConnectionError("the server closed the connection")
            data += part
            for level, kind, payload in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    received = array.array("i")
                    received.frombytes(payload)
                    fds.extend(received)
        return data

    def call(self, command, body=b"", fds=(), want_fds=None):
        self.msg_id = (self.msg_id + 1) & 0xffff
        message = struct.pack("<HHIII", self.msg_id, command, 16 + len(body), 0, 0) + body
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        sent = self.sock.sendmsg([message], rights)
        self.sock.sendall(message[sent:])
        got = []
        while True:
            header = self.receive(16, got)
            msg_id, answered, size, flags, error = struct.unpack("<HHIII", header)
            reply = self.receive(size - 16, got)
            if flags & 0xf != 0:
                break
            self.serve(msg_id, answered, reply)
        if want_fds is not None:
            want_fds.extend(got)
        elif got:
            raise AssertionError("descriptors came with a reply")
        if (msg_id, answered, flags & 0xf) != (self.msg_id, command, 1):
            raise AssertionError("reply %r" % (header,))
        if flags & 0x20:
            raise Refused(error)
        return reply

    def serve(self, msg_id, command, body):
        """Answer a command of the server."""
        address, count = struct.unpack_from("<QQ", body)
        self.served.append((command, address, count))
        for start, memory in self.guest.items():
            if command in (DMA_READ, DMA_WRITE) and \
                    start <= address and address + count <= start + len(memory):
                at = address - start
                reply = body[:16]
                if command == DMA_READ:
                    reply += memory[at:at + count]
                else:
                    memory[at:at + count] = body[16:]
                self.sock.sendall(struct.pack("<HHIII", msg_id, command, 16 + len(reply), 1, 0)
                                  + reply)
                return
        self.sock.sendall(struct.pack("<HHIII", msg_id, command, 16, 0x21, EFAULT))

    def read(self, region, offset, count):
        reply = self.call(REGION_READ, struct.pack("<QII", offset, region, count))
        if reply[:16] != struct.pack("<QII", offset, region, count):
            raise AssertionError("echo %r" % (reply[:16],))
        return reply[16:]

    def write(self, region, offset, data):
        self.call(REGION_WRITE, struct.pack("<QII", offset, region, len(data)) + data)

    def read32(self, region, offset):
        return struct.unpack("<I", self.read(region, offset, 4))[0]

    def write32(self, region, offset, value):
        self.write(region, offset, struct.pack("<I", value))

    def write64(self, region, offset, value):
        self.write(region, offset, struct.pack("<Q", value))

    def region_info(self, index, argsz=4096):
        """(size, flags, offset, [(offset, size)], [fd])"""
        fds = []
        reply = self.call(GET_REGION_INFO, struct.pack("<IIIIQQ", argsz, 0, index, 0, 0, 0),
                          want_fds=fds)
        _, flags, _, cap, size, offset = struct.unpack_from("<IIIIQQ", reply)
        areas = []
        if flags & 8:
            cap_id, _, _, n, _ = struct.unpack_from("<HHIII", reply, cap)
            assert cap_id == 1
            areas = [struct.unpack_from("<QQ", reply, cap + 16 + 16 * i) for i in range(n)]
        return size, flags, offset, areas, fds

    def eventfds(self, index, n):
        fds = [os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK) for _ in range(n)]
        self.call(SET_IRQS, struct.pack("<IIIII", 20, 0x24, index, 0, n), fds)
        return fds

    def map(self, address, size, flags=3, fd=None, offset=0):
        self.call(DMA_MAP, struct.pack("<IIQQQ", 32, flags, offset, address, size),
                  [] if fd is None else [fd])

    def bus_master(self):
        self.write(CONFIG, 4, struct.pack("<H", 6))


def wait_for(fd):
    """The counter of an eventfd once it is not 0."""
    if not select.select([fd], [], [], DEADLINE)[0]:
        raise AssertionError("no interrupt came")
    return os.eventfd_read(fd)


class Process:
    """A server that listens on self.path."""

    children = []       # all that were started, for the end of the program

    def __init__(self, folder, *options):
        self.path = os.path.join(folder, "socket")
        self.log = tempfile.TemporaryFile()
        self.child = subprocess.Popen([SERVER, *options, self.path], stderr=self.log)
        self.children.append(self.child)
        end = time.monotonic() + DEADLINE
        while not self.listens():
            if self.child.poll() is not None or time.monotonic() > end:
                raise AssertionError("the server did not start: " + self.tail())
            time.sleep(0.005)

    def listens(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(self.path)
            except (FileNotFoundError, ConnectionRefusedError):
                return False
        return True

    def tail(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")[-4000:]

    def end(self, number=signal.SIGTERM):
        if self.child.poll() is None:
            self.child.send_signal(number)
        status = self.child.wait(DEADLINE)
        tail = self.tail()
        self.log.close()
        return status, tail


class ServerTest(unittest.TestCase):
    options = ()

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.server = Process(self.folder, *self.options)
        self.addCleanup(self.end_server)

    def end_server(self):
        status, tail = self.server.end()
        if status != 0:
            self.fail("exit status %d: %s" % (status, tail))

    def client(self):
        client = Client(self.server.path)
        self.addCleanup(client.close)
        return client

    def memory(self, size):
        fd = os.memfd_create("guest", os.MFD_CLOEXEC)
        os.ftruncate(fd, size)
        memory = mmap.mmap(fd, size)
        self.addCleanup(memory.close)
        self.addCleanup(os.close, fd)
        return fd, memory

    def refused(self, errno, call, *args):
        with self.assertRaises(Refused) as caught:
            call(*args)
        self.assertEqual(caught.exception.args[0], errno)


def end_servers():
    for child in Process.children:
        if child.poll() is None:        # a test failed half-way
            child.kill()
            child.wait()
