# SPDX-License-Identifier: BSD-3-Clause
"""A client that knows the protocol and no library of ours: sockets and struct alone.

It is the other side of the programs in this folder. Layouts are typed from the
specification's tables. Every wait has a deadline; a reply that is not one to the request,
or that carries an error which was not expected, is an AssertionError.
"""

import array
import json
import mmap
import os
import select
import socket
import struct
import time

DEADLINE = 20       # seconds, for anything that should happen at once

VERSION, DMA_MAP, DMA_UNMAP, GET_INFO, GET_REGION_INFO = 1, 2, 3, 4, 5
GET_IRQ_INFO, SET_IRQS, REGION_READ, REGION_WRITE = 7, 8, 9, 10
DMA_READ, DMA_WRITE, DEVICE_RESET = 11, 12, 13
REPLY, ERROR = 0x1, 0x20
HEADER = struct.Struct("<HHIII")

BAR0, BAR4, BAR5, ROM, CONFIG = 0, 4, 5, 6, 7
INTX, MSI, MSIX, ERR, REQ = 0, 1, 2, 3, 4
NONE, BOOL, EVENTFD = 1, 2, 4                   # SET_IRQS: kind of data
MASK, UNMASK, TRIGGER = 8, 16, 32               # SET_IRQS: action
CAP_PM, CAP_MSI, CAP_EXP, CAP_MSIX = 0x01, 0x05, 0x10, 0x11


def memory(size):
    """A file that both sides can map, and its mapping here."""
    fd = os.memfd_create("guest")
    os.ftruncate(fd, size)
    return fd, mmap.mmap(fd, size)


class Client:
    """@pump, if given, is called while a reply is awaited: a server in this process."""

    def __init__(self, path, pump=None):
        self.pump = pump
        self.next_id = 0
        self.fds = []               # came with the last reply; ours
        self.stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.stream.settimeout(DEADLINE)
        self.stream.connect(str(path))

    def close(self):
        self.drop_fds()
        self.stream.close()

    def drop_fds(self):
        for fd in self.fds:
            os.close(fd)
        self.fds = []

    def take_fd(self):
        return self.fds.pop(0)

    # Messages

    def send(self, command, body=b"", fds=(), flags=0, msg_id=None, error=0):
        if msg_id is None:
            self.next_id = (self.next_id + 1) & 0xffff
            msg_id = self.next_id
        size = HEADER.size + len(body)
        message = HEADER.pack(msg_id, command, size, flags, error) + body
        rights = []
        if fds:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        sent = self.stream.sendmsg([message], rights)
        if sent < len(message):
            self.stream.sendall(message[sent:])
        return msg_id

    def await_input(self):
        if self.pump is None:
            return                  # the socket has a time-out
        end = time.monotonic() + DEADLINE
        while not select.select([self.stream], [], [], 0)[0]:
            assert time.monotonic() < end, "no reply"
            self.pump()

    def exactly(self, count):
        data = b""
        while len(data) < count:
            self.await_input()
            piece, fds, _, _ = socket.recv_fds(self.stream, count - len(data), 64)
            self.fds += fds
            assert piece, "the server closed the connection"
            data += piece
        return data

    def receive(self):
        """One message: id, command, flags, errno, body."""
        msg_id, command, size, flags, error = HEADER.unpack(self.exactly(HEADER.size))
        assert HEADER.size <= size <= 1 << 24, size
        return msg_id, command, flags, error, self.exactly(size - HEADER.size)

    def request(self, command, body=b"", fds=(), error=0):
        """Sends a command and returns the body of its reply, which must have this errno."""
        self.drop_fds()
        sent = self.send(command, body, fds)
        msg_id, answered, flags, errno_, body = self.receive()
        assert (msg_id, answered) == (sent, command), (msg_id, answered)
        assert flags == (REPLY | ERROR if error else REPLY), (hex(flags), errno_)
        assert errno_ == error, os.strerror(errno_)
        return body

    # Commands

    def version(self, **capabilities):
        capabilities = {"max_msg_fds": 8, "max_data_xfer_size": 1 << 20, **capabilities}
        text = json.dumps({"capabilities": capabilities}).encode() + b"\0"
        body = self.request(VERSION, struct.pack("<HH", 0, 1) + text)
        major, minor = struct.unpack_from("<HH", body)
        assert (major, body[-1]) == (0, 0), body
        return minor, json.loads(body[4:-1])["capabilities"]

    def device_info(self):
        """flags, regions, interrupt types"""
        body = self.request(GET_INFO, struct.pack("<4I", 16, 0, 0, 0))
        return struct.unpack("<4I", body)[1:]

    def region_info(self, index):
        """flags, size, offset in the file, sparse areas or None; a file is in self.fds."""
        body = self.request(GET_REGION_INFO, struct.pack("<4I2Q", 4096, 0, index, 0, 0, 0))
        _, flags, _, cap, size, offset = struct.unpack_from("<4I2Q", body)
        if not flags & 8:
            return flags, size, offset, None
        kind, _, _, count, _ = struct.unpack_from("<HHIII", body, cap)
        assert kind == 1, "not a capability for sparse mapping"
        return flags, size, offset, [struct.unpack_from("<2Q", body, cap + 16 + 16 * i)
                                     for i in range(count)]

    def irq_count(self, index):
        body = self.request(GET_IRQ_INFO, struct.pack("<4I", 16, 0, index, 0))
        return struct.unpack("<4I", body)[3]

    def set_irqs(self, index, flags, start, count, data=b"", fds=(), error=0):
        body = struct.pack("<5I", 20 + len(data), flags, index, start, count) + data
        return self.request(SET_IRQS, body, fds, error)

    def eventfds(self, index, count):
        """Fresh eventfds for the first vectors of a type."""
        fds = [os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK) for _ in range(count)]
        self.set_irqs(index, TRIGGER | EVENTFD, 0, count, fds=fds)
        return fds

    def read(self, region, offset, count, error=0):
        body = self.request(REGION_READ, struct.pack("<QII", offset, region, count),
                            error=error)
        if error:
            return None
        assert struct.unpack_from("<QII", body) == (offset, region, count)
        assert len(body) == 16 + count
        return body[16:]

    def write(self, region, offset, data, error=0):
        body = self.request(REGION_WRITE,
                            struct.pack("<QII", offset, region, len(data)) + data,
                            error=error)
        if not error:
            assert body == struct.pack("<QII", offset, region, len(data))

    def read_u(self, region, offset, width):
        return int.from_bytes(self.read(region, offset, width), "little")

    def dma_map(self, address, size, fd=None, offset=0, flags=3, error=0):
        body = struct.pack("<IIQQQ", 32, flags, offset, address, size)
        self.request(DMA_MAP, body, () if fd is None else (fd,), error)

    def dma_unmap(self, address, size, error=0):
        self.request(DMA_UNMAP, struct.pack("<IIQQ", 24, 0, address, size), error=error)

    def reset(self):
        self.request(DEVICE_RESET)

    def capabilities(self):
        """Ids and offsets of the capabilities in configuration space."""
        found = {}
        offset = self.read_u(CONFIG, 0x34, 1)
        while offset:
            assert offset not in found.values(), "the list is a circle"
            identity, following = self.read(CONFIG, offset, 2)
            found[identity] = offset
            offset = following
        return found


def signalled(fd):
    """Waits for an eventfd and returns its count."""
    assert select.select([fd], [], [], DEADLINE)[0], "no interrupt"
    return os.eventfd_read(fd)
