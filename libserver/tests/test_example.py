# SPDX-License-Identifier: BSD-3-Clause
"""The guide's device does what the guide says, and the guide quotes it truthfully.

    python3 test_example.py EXAMPLE ROOT
"""

import os
import pathlib
import re
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

EXAMPLE = ROOT = None

VERSION, DMA_MAP, DMA_UNMAP, IO_FDS, SET_IRQS = 1, 2, 3, 6, 8
REGION_READ, REGION_WRITE, DMA_READ, RESET, FEATURE = 9, 10, 11, 13, 16
MIG_READ, MIG_WRITE = 17, 18
SET_STATE = 0x20002
STOP, RUNNING, STOP_COPY, RESUMING = 1, 2, 3, 4
PATIENCE = 20


def quotes():
    guide = (ROOT / "docs/writing-a-device.md").read_text()
    return re.findall(r"^```c\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)


class Client:
    """A client that answers DMA_READ from `memory`, a dict of address to bytes."""

    def __init__(self, path):
        end = time.monotonic() + PATIENCE
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(path)
                break
            except OSError:
                self.socket.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)
        self.socket.settimeout(PATIENCE)
        self.memory = {}
        self.asked = 0
        self.call(VERSION, struct.pack("<HH", 0, 1))

    def receive(self):
        header, fds, _, _ = socket.recv_fds(self.socket, 16, 8)
        while len(header) < 16:
            header += self.socket.recv(16 - len(header))
        msg_id, command, size, flags, error = struct.unpack("<HHIII", header)
        body = b""
        while len(body) < size - 16:
            body += self.socket.recv(size - 16 - len(body))
        return msg_id, command, flags, error, body, fds

    def send(self, msg_id, command, body, flags=0, fds=()):
        header = struct.pack("<HHIII", msg_id, command, 16 + len(body), flags, 0)
        socket.send_fds(self.socket, [header + body], list(fds))

    def serve(self, msg_id, body):
        address, count = struct.unpack("<QQ", body[:16])
        self.asked += 1
        for base, data in self.memory.items():
            if base <= address and address + count <= base + len(data):
                piece = data[address - base:address - base + count]
                self.send(msg_id, DMA_READ, body[:16] + piece, 1)
                return
        raise AssertionError(f"DMA_READ of {count} bytes at {address:#x}")

    def call(self, command, body=b"", fds=()):
        """(body, descriptors) of the answer."""
        self.send(7, command, body, fds=fds)
        while True:
            msg_id, got, flags, error, answer, fds = self.receive()
            if flags & 15 == 0:
                assert got == DMA_READ, got
                self.serve(msg_id, answer)
                continue
            assert (msg_id, got, flags, error) == (7, command, 1, 0), \
                f"command {command}: {(msg_id, got, flags, error)}"
            return answer, fds

    def write(self, offset, data):
        self.call(REGION_WRITE, struct.pack("<QII", offset, 0, len(data)) + data)

    def read(self, offset, count):
        return self.call(REGION_READ, struct.pack("<QII", offset, 0, count))[0][16:]

    def wait_for(self, eventfd):
        """Until the interrupt comes, answering what the device asks."""
        while True:
            ready, _, _ = select.select([self.socket, eventfd], [], [], PATIENCE)
            assert ready, "no interrupt"
            if eventfd in ready:
                return struct.unpack("=Q", os.read(eventfd, 8))[0]
            msg_id, command, flags, _, body, _ = self.receive()
            assert (command, flags) == (DMA_READ, 0)
            self.serve(msg_id, body)

    def set_state(self, state):
        self.call(FEATURE, struct.pack("<IIII", 16, SET_STATE, state, 0))

    def close(self):
        self.socket.close()


def job(address, length):
    return struct.pack("<QI", address, length)


class Example(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = self.folder.name + "/sum.sock"
        self.server = subprocess.Popen([EXAMPLE, self.path])
        self.client = Client(self.path)
        self.irq = os.eventfd(0, os.EFD_CLOEXEC)
        self.client.call(SET_IRQS, struct.pack("<IIIII", 20, 0x24, 0, 0, 1), [self.irq])

    def tearDown(self):
        self.client.close()
        self.server.terminate()
        self.assertEqual(self.server.wait(PATIENCE), -15)
        os.close(self.irq)
        self.folder.cleanup()

    def map(self, address, data, shared):
        fds = []
        if shared:
            fds = [os.memfd_create("guest")]
            os.write(fds[0], data)
        else:
            self.client.memory[address] = data
        self.client.call(DMA_MAP, struct.pack("<IIQQQ", 32, 1, 0, address, len(data)), fds)
        for fd in fds:
            os.close(fd)

    def sum(self, address, length, ring):
        self.client.write(0, job(address, length))
        ring()
        self.assertEqual(self.client.wait_for(self.irq), 1)
        return struct.unpack("<I", self.client.read(12, 4))[0]

    def doorbell(self):
        self.client.write(16, bytes(4))

    def test_adds_up_memory_that_is_mapped(self):
        self.map(0x10000, bytes(range(256)) * 16, True)
        self.assertEqual(self.sum(0x10000, 4096, self.doorbell), 255 * 128 * 16)
        self.assertEqual(self.client.asked, 0)

    def test_asks_for_memory_that_is_not(self):
        self.map(0x10000, b"\1" * 4096, True)
        self.map(0x11000, b"\2" * 4096, False)
        self.assertEqual(self.sum(0x10ff0, 0x20, self.doorbell), 0x10 + 0x20)
        self.assertEqual(self.client.asked, 1)

    def test_commands_that_cross_its_question_are_served(self):
        self.map(0x10000, b"\3" * 4096, False)
        self.client.write(0, job(0x10000, 100))
        # All at once: the device asks while these are on their way.
        body = struct.pack("<QII", 16, 0, 4) + bytes(4)
        self.client.send(1, REGION_WRITE, body)
        for i in range(2, 10):
            self.client.send(i, REGION_READ, struct.pack("<QII", 0, 0, 4))
        answers = []
        while len(answers) < 9:
            msg_id, command, flags, error, body, _ = self.client.receive()
            if flags & 15 == 0:
                self.client.serve(msg_id, body)
            else:
                self.assertEqual((flags, error), (1, 0))
                answers.append(msg_id)
        self.assertEqual(answers, list(range(1, 10)))
        self.assertEqual(self.client.wait_for(self.irq), 1)
        self.assertEqual(self.client.read(12, 4), struct.pack("<I", 300))

    def test_the_doorbell_can_be_an_eventfd(self):
        self.map(0x10000, b"\1" * 4096, True)
        entries, fds = self.client.call(IO_FDS, struct.pack("<IIII", 56, 0, 0, 0))
        self.assertEqual(struct.unpack("<QQIIIIQ", entries[16:]), (16, 4, 0, 0, 0, 0, 0))
        self.assertEqual(len(fds), 1)
        ring = lambda: os.write(fds[0], struct.pack("=Q", 1))
        self.assertEqual(self.sum(0x10000, 5, ring), 5)
        os.close(fds[0])

    def test_windows_go_when_the_job_is_done(self):
        self.map(0x10000, b"\1" * 4096, False)
        self.client.write(0, job(0x10000, 4096))
        self.doorbell()
        unmap = struct.pack("<IIQQ", 24, 0, 0x10000, 4096)
        # The device is busy with that window, so the command waits for its job.
        self.assertEqual(self.client.call(DMA_UNMAP, unmap)[0], unmap)
        self.assertEqual(self.client.wait_for(self.irq), 1)
        self.assertEqual(self.client.read(12, 4), struct.pack("<I", 4096))

    def test_moves_with_its_state(self):
        self.client.write(0, job(0x1234, 56))
        state = b""
        self.client.set_state(STOP_COPY)
        while True:
            piece = self.client.call(MIG_READ, struct.pack("<II", 8 + 7, 7))[0][8:]
            if not piece:
                break
            state += piece
        self.assertEqual(len(state), 16)
        self.client.set_state(RUNNING)
        self.client.call(RESET)
        self.assertEqual(self.client.read(0, 12), bytes(12))
        self.client.set_state(RESUMING)
        for i in range(0, 16, 5):
            piece = state[i:i + 5]
            self.client.call(MIG_WRITE, struct.pack("<II", 8 + len(piece), len(piece)) + piece)
        self.client.set_state(RUNNING)
        self.assertEqual(self.client.read(0, 12), job(0x1234, 56))

    def test_serves_the_next_client(self):
        self.client.close()
        self.client = Client(self.path)
        self.assertEqual(len(self.client.read(0, 16)), 16)


class Guide(unittest.TestCase):
    def test_every_quote_is_in_the_source(self):
        source = (ROOT / "libserver/tests/example_sum.c").read_text()
        self.assertGreater(len(quotes()), 8)
        for quote in quotes():
            self.assertIn(quote, source)


if __name__ == "__main__":
    EXAMPLE, ROOT = sys.argv[1:3]
    ROOT = pathlib.Path(ROOT)
    unittest.main(argv=sys.argv[:1], verbosity=2)
