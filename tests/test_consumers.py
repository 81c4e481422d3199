# SPDX-License-Identifier: BSD-3-Clause
"""Programs in the way of the known users, driven by a client of no library.

    python3 test_consumers.py spdk PROGRAM      consumers/spdk_like.c, however linked
    python3 test_consumers.py qemu PROGRAM      consumers/qemu_like.c
"""

import mmap
import os
import pathlib
import select
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "consumers"))
import client as c      # noqa: E402

PROGRAM = None
ENVIRONMENT = None


class Program:
    """The server as a process; what it prints is asked for line by line."""

    def __init__(self, case):
        self.case = case
        folder = tempfile.TemporaryDirectory()
        case.addCleanup(folder.cleanup)
        self.socket = pathlib.Path(folder.name) / "socket"
        self.process = subprocess.Popen([PROGRAM, self.socket], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, env=ENVIRONMENT)
        case.addCleanup(self.end)
        self.rest = b""
        self.expect("listening")

    def end(self):
        for pipe in (self.process.stdin, self.process.stdout):
            pipe.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def line(self):
        end = time.monotonic() + c.DEADLINE
        while b"\n" not in self.rest:
            ready = select.select([self.process.stdout], [], [], end - time.monotonic())[0]
            self.case.assertTrue(ready, "the program says nothing")
            piece = os.read(self.process.stdout.fileno(), 4096)
            self.case.assertTrue(piece, "the program ended")
            self.rest += piece
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()

    def expect(self, *lines):
        """The next lines, and in this order."""
        for line in lines:
            self.case.assertEqual(self.line(), line)

    def exits(self, *lines):
        """These lines, then nothing more and status 0; the socket is gone."""
        self.expect(*lines)
        self.process.stdin.close()
        self.case.assertEqual(self.process.wait(c.DEADLINE), 0)
        self.case.assertEqual(self.process.stdout.read(), b"")
        self.case.assertFalse(self.socket.exists())


class Case(unittest.TestCase):
    def client(self, program):
        client = c.Client(program.socket)
        self.addCleanup(client.close)
        return client

    def memory(self, size):
        fd, view = c.memory(size)
        self.addCleanup(os.close, fd)
        self.addCleanup(view.close)
        return fd, view

    def eventfds(self, client, index, count):
        fds = client.eventfds(index, count)
        for fd in fds:
            self.addCleanup(os.close, fd)
        return fds


class Spdk(Case):
    def attached(self):
        program = Program(self)
        client = self.client(program)
        client.version()
        program.expect("attached")
        return program, client

    def with_memory(self):
        """A device with a window, vector 1 wired and MSI-X enabled."""
        program, client = self.attached()
        fd, view = self.memory(0x400000)
        client.dma_map(0x100000, 0x200000, fd, offset=0x200000)
        program.expect("quiesce: quiet", "map 0x100000+0x200000 whole pages prot 3 peer 1")
        fds = self.eventfds(client, c.MSIX, 2)
        msix = client.capabilities()[c.CAP_MSIX]
        client.write(c.CONFIG, msix + 2, b"\x07\x80")
        return program, client, memoryview(view)[0x200000:], fds

    def doorbell(self, client, address):
        client.write(c.BAR0, 0x1000, address.to_bytes(8, "little"))

    def leave(self, program, client, *windows, quiesce="busy"):
        client.close()
        program.expect(f"quiesce: {quiesce}", *windows, "reset 1", "gone")

    def end(self, program):
        """Nobody is attached any more: the listener is what the loop waits for."""
        program.process.stdin.close()
        program.exits("reset 1", "ended")

    def test_the_device_looks_as_it_was_set_up(self):
        program, client = self.attached()
        flags, regions, irqs = client.device_info()
        self.assertEqual((flags, regions, irqs), (3, 9, 5))
        self.assertEqual(client.region_info(c.CONFIG)[:2], (3, 0x1000))
        flags, size, offset, areas = client.region_info(c.BAR0)
        self.assertEqual((flags & 7, size, areas), (7, 0x2000, [(0x1000, 0x1000)]))
        with mmap.mmap(client.fds[0], 0x1000, offset=offset + 0x1000) as doorbells:
            doorbells[8:12] = b"\1\2\3\4"
        self.assertEqual(client.read(c.BAR0, 0x1008, 4), b"\1\2\3\4")
        for bar in (c.BAR4, c.BAR5):
            self.assertEqual(client.region_info(bar), (3, 0x1000, 0, None))
            client.read(bar, 0, 4, error=22)        # there is no callback
            client.write(bar, 0, b"abcd", error=22)
        self.assertEqual([client.irq_count(i) for i in range(5)], [1, 0, 8, 1, 1])
        self.leave(program, client, quiesce="quiet")

    def test_configuration_space_is_the_one_that_the_device_holds(self):
        program, client = self.attached()
        self.assertEqual(client.read(c.CONFIG, 0, 4), b"\x58\x4e\x01\x00")
        self.assertEqual(client.read(c.CONFIG, 9, 3), b"\x02\x08\x01")
        self.assertEqual(client.read_u(c.CONFIG, 0x3d, 1), 1)   # set after realize
        found = client.capabilities()
        self.assertEqual(list(found), [c.CAP_PM, c.CAP_EXP, c.CAP_MSIX])
        self.assertEqual(client.read_u(c.CONFIG, found[c.CAP_MSIX] + 2, 2), 7)
        self.assertEqual(client.read_u(c.CONFIG, found[c.CAP_MSIX] + 8, 4), 5)
        self.assertEqual(client.read_u(c.CONFIG, found[c.CAP_EXP] + 4, 4),
                         1 << 15 | 1 << 28)
        self.assertEqual(client.read_u(c.CONFIG, found[c.CAP_PM] + 4, 2), 8)
        # Behind the capabilities the callback answers.
        self.assertEqual(client.read(c.CONFIG, 0xffc, 4), bytes(4))
        program.expect("config read 4 at 0xffc")
        client.write(c.CONFIG, 0xffc, bytes(4), error=22)
        client.read(c.CONFIG, 0xffe, 4, error=22)
        self.leave(program, client, quiesce="quiet")

    def test_commands_are_served_from_guest_memory_and_interrupt(self):
        program, client, guest, fds = self.with_memory()
        for i in range(20):
            at = 0x1000 * i
            guest[at:at + 64] = bytes(range(i, i + 64))
            self.doorbell(client, 0x100000 + at)
            self.assertEqual(c.signalled(fds[1]), 1)
            self.assertEqual(bytes(guest[at + 64:at + 128]),
                             bytes(255 - b for b in range(i, i + 64)))
        self.doorbell(client, 0x80000)
        program.expect("no memory at 0x80000: ENOENT")
        self.doorbell(client, 0x300000 - 64)        # the answer would lie outside
        program.expect("no memory at 0x300000: ENOENT")
        self.leave(program, client, "unmap 0x100000+0x200000 peer 1")

    def test_windows_come_and_go_while_the_worker_takes_its_time(self):
        program, client, guest, fds = self.with_memory()
        client.dma_map(0x800000, 0x1000)            # without a file
        program.expect("quiesce: busy", "map 0x800000+0x1000 hidden prot 3 peer 1")
        self.doorbell(client, 0x100000)
        client.dma_unmap(0x100000, 0x200000)        # waits for the worker
        program.expect("quiesce: busy", "unmap 0x100000+0x200000 peer 1")
        self.assertEqual(c.signalled(fds[1]), 1)    # which was done by then
        client.dma_unmap(0x100000, 0x200000, error=2)
        program.expect("quiesce: busy")
        self.doorbell(client, 0x100000)
        program.expect("no memory at 0x100000: ENOENT")
        guest.release()
        self.leave(program, client, "unmap 0x800000+0x1000 peer 1")

    def test_both_resets_reach_the_device_and_leave_its_windows(self):
        program, client, guest, fds = self.with_memory()
        client.reset()
        program.expect("quiesce: busy", "reset 0")
        exp = client.capabilities()[c.CAP_EXP]
        client.write(c.CONFIG, exp + 8, (1 << 15).to_bytes(2, "little"))
        program.expect("quiesce: busy", "reset 2")
        guest[0:64] = b"\x55" * 64
        self.doorbell(client, 0x100000)
        self.assertEqual(c.signalled(fds[1]), 1)
        self.assertEqual(bytes(guest[64:128]), b"\xaa" * 64)
        self.leave(program, client, "unmap 0x100000+0x200000 peer 1")

    def test_requests_in_one_piece_are_all_answered(self):
        """The loop calls vfu_run_ctx() once per event, and a quiesce lies in between."""
        program, client = self.attached()
        body = (0x40).to_bytes(8, "little") + c.BAR0.to_bytes(4, "little") \
            + (4).to_bytes(4, "little")
        one = c.HEADER.pack(7, c.REGION_READ, 32, 0, 0) + body
        reset = c.HEADER.pack(8, c.DEVICE_RESET, 16, 0, 0)
        client.stream.sendall((one + reset) * 5 + one)
        got = [client.receive()[:2] for _ in range(11)]
        self.assertEqual(got, [(7, c.REGION_READ), (8, c.DEVICE_RESET)] * 5
                         + [(7, c.REGION_READ)])
        program.expect("quiesce: quiet", "reset 0", *["quiesce: busy", "reset 0"] * 4)
        self.leave(program, client)

    def test_clients_follow_one_another_until_the_program_ends(self):
        program, first = self.attached()
        self.leave(program, first, quiesce="quiet")
        for _ in range(3):
            client = self.client(program)
            client.version()
            program.expect("attached")
            fd, _ = self.memory(0x1000)
            client.dma_map(0x1000, 0x1000, fd)
            program.expect("quiesce: busy", "map 0x1000+0x1000 whole pages prot 3 peer 1")
            self.leave(program, client, "unmap 0x1000+0x1000 peer 1")
        self.end(program)

    def test_it_ends_with_a_client_attached(self):
        program, client, _, _ = self.with_memory()
        program.process.stdin.close()
        program.exits("unmap 0x100000+0x200000 peer 1", "reset 1", "ended")
        self.assertEqual(client.stream.recv(1), b"")


class Qemu(Case):
    def attached(self):
        program = Program(self)
        client = self.client(program)
        client.version()
        program.expect("attached")
        return program, client

    def leave(self, program, client, *windows):
        client.close()
        # Once for the client that is lost, once for the context that is destroyed.
        program.exits(*windows, "reset 1", "gone", "reset 1", "ended")

    def test_every_access_to_configuration_space_is_the_emulators(self):
        program, client = self.attached()
        self.assertEqual(client.region_info(c.CONFIG)[:2], (3, 256))
        self.assertEqual(client.read(c.CONFIG, 0, 4), b"\x34\x12\x78\x56")
        client.write(c.CONFIG, 0, b"\xff\xff")      # the emulator knows what it does
        self.assertEqual(client.read(c.CONFIG, 0, 4), b"\xff\xff\x78\x56")
        client.write(c.CONFIG, 0x0e, b"\1\2\3\4\5\6\7\x08")
        self.assertEqual(client.read(c.CONFIG, 0, 256)[0x0e:0x16], b"\1\2\3\4\5\6\7\x08")
        program.expect("config read 4 at 0", "config write 2 at 0", "config read 4 at 0",
                       "config write 8 at 0xe", "config read 256 at 0")
        client.read(c.CONFIG, 0xfe, 4, error=22)
        self.leave(program, client)

    def test_regions_without_mem_work(self):
        program, client = self.attached()
        self.assertEqual(client.region_info(0), (3, 256, 0, None))
        self.assertEqual(client.region_info(c.ROM), (3, 4096, 0, None))
        client.write(c.BAR0, 4, b"abcdefgh")
        self.assertEqual(client.read(c.BAR0, 0, 16), bytes(4) + b"abcdefgh" + bytes(4))
        self.assertEqual(client.read(c.ROM, 0, 4096),
                         bytes(i * 7 % 256 for i in range(4096)))
        self.leave(program, client)

    def test_interrupts_and_their_state(self):
        program, client = self.attached()
        self.assertEqual([client.irq_count(i) for i in range(5)], [1, 0, 4, 1, 1])
        client.write(c.BAR0, 0, (2).to_bytes(4, "little"))
        program.expect("interrupt 2: 2")            # ENOENT: no eventfd yet
        fds = self.eventfds(client, c.MSIX, 4)
        for vector in (3, 0, 2):
            client.write(c.BAR0, 0, vector.to_bytes(4, "little"))
            self.assertEqual(c.signalled(fds[vector]), 1)
        client.write(c.BAR0, 0, (4).to_bytes(4, "little"))
        program.expect("interrupt 4: 22")
        client.set_irqs(c.MSIX, c.NONE | c.MASK, 1, 2)
        client.set_irqs(c.MSIX, c.NONE | c.UNMASK, 1, 2)
        client.set_irqs(c.INTX, c.NONE | c.MASK, 0, 1)
        program.expect("mask 1..2", "unmask 1..2", "mask 0..0")
        self.leave(program, client)

    def test_the_whole_window_can_be_written(self):
        program, client = self.attached()
        fd, view = self.memory(0x5000)
        client.dma_map(0x10000, 0x3000, fd, offset=0x1000)
        client.dma_map(0x20000, 0x1000)
        program.expect("map 0x10000+0x3000", "map 0x20000+0x1000 hidden")
        client.write(c.BAR0 + 1, 8, (0x10000).to_bytes(8, "little"))
        pattern = bytes(8) + (0x10000).to_bytes(8, "little") + bytes(240)
        self.assertEqual(view[:], bytes(0x1000) + pattern * 0x30 + bytes(0x1000))
        client.reset()
        program.expect("reset 0")
        self.assertEqual(client.read(1, 0, 16), bytes(16))
        client.dma_unmap(0x20000, 0x1000)
        program.expect("unmap 0x20000+0x1000")
        self.leave(program, client, "unmap 0x10000+0x3000")

    def test_many_requests_at_once_leave_none_behind(self):
        """The handler runs until vfu_run_ctx() says 0, then waits for the descriptor."""
        program, client = self.attached()
        body = bytes(8) + c.ROM.to_bytes(4, "little") + (64).to_bytes(4, "little")
        one = c.HEADER.pack(0, c.REGION_READ, 32, 0, 0) + body
        for count in (1, 2, 3, 40):
            client.stream.sendall(one * count)
            for _ in range(count):
                self.assertEqual(len(client.receive()[4]), 16 + 64)
        self.leave(program, client)


if __name__ == "__main__":
    kind, PROGRAM = sys.argv[1:3]
    ENVIRONMENT = dict(os.environ)
    case = {"spdk": "Spdk", "qemu": "Qemu"}[kind]
    del sys.argv[1:3]
    unittest.main(defaultTest=[case] if len(sys.argv) == 1 else None)
