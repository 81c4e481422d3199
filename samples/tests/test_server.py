# SPDX-License-Identifier: BSD-3-Clause
"""samples/server, driven over its socket by a client that is only support.py.

usage: test_server.py PATH-OF-SERVER [unittest arguments]

Waiting is for events with a deadline, never for time to pass.
"""

import contextlib
import mmap
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest

from support import (BAR0, BAR1, BAR2, BAR3, BAR4, BAR5, CONFIG, DEADLINE, DELAY, DMA_READ,
                     DMA_UNMAP, DMA_WRITE, EACCES, EINVAL, GET_INFO, GET_IRQ_INFO, ID, INTX,
                     LENGTH, MSIX, RESET, ROM, SCRATCH, SERVER, SOURCE, STATUS, TARGET, TIME,
                     VECTOR, Client, Process, ServerTest, end_servers, wait_for)


class Device(ServerTest):
    def test_the_device_is_what_it_says(self):
        c = self.client()
        self.assertEqual(c.call(GET_INFO, struct.pack("<IIII", 16, 0, 0, 0)),
                         struct.pack("<IIII", 16, 3, 9, 5))
        counts = [struct.unpack("<IIII", c.call(GET_IRQ_INFO, struct.pack("<IIII", 16, 0, i, 0)))
                  [3] for i in range(3)]
        self.assertEqual(counts, [1, 1, 4])
        config = c.read(CONFIG, 0, 4096)
        self.assertEqual(config[0:4], bytes.fromhex("34124656"))
        self.assertEqual(config[8:12], bytes.fromhex("010000ff"))   # revision 1
        self.assertEqual(config[0x3d], 1)
        caps, at = [], config[0x34]
        while at:
            caps.append(config[at])
            at = config[at + 1]
        self.assertEqual(caps, [0x01, 0x10, 0x05, 0x11])
        msix = config.index(b"\x11", 0x90)
        self.assertEqual(config[msix + 2:msix + 12], bytes.fromhex("03000400000004080000"))

    def test_regions_and_bars_agree(self):
        c = self.client()
        sizes = {BAR0: 0x1000, BAR1: 0x200000, BAR2: 0x10000, BAR3: 0, BAR4: 0x1000, BAR5: 0,
                 ROM: 0x800, CONFIG: 0x1000, 8: 0}
        for region, size in sizes.items():
            info = c.region_info(region)
            self.assertEqual(info[0], size)
            self.assertEqual(len(info[4]), 1 if region in (BAR1, BAR2) else 0)
            for fd in info[4]:
                os.close(fd)
        self.assertEqual(c.region_info(ROM)[1], 1)
        for bar, want in enumerate([0xfffff000, 0xffe00000, 0xffff000c, 0xffffffff, 0xfffff000,
                                    0x00000001]):
            c.write32(CONFIG, 0x10 + 4 * bar, 0xffffffff)
            self.assertEqual(c.read32(CONFIG, 0x10 + 4 * bar), want)
        c.write32(CONFIG, 0x30, 0xfffff800)
        self.assertEqual(c.read32(CONFIG, 0x30), 0xfffff800)

    def test_mapped_and_trapped_storage_are_the_same(self):
        c = self.client()
        for region, areas in (BAR1, [(0x10000, 0x70000), (0x100000, 0x100000)]), \
                             (BAR2, [(0, 0x10000)]):
            _, flags, offset, sparse, fds = c.region_info(region)
            self.assertEqual(flags, 0xf)
            self.assertEqual(sparse, areas)
            for start, size in areas:
                with mmap.mmap(fds[0], size, offset=offset + start) as area:
                    area[size - 4:size] = b"abcd"
                    self.assertEqual(c.read(region, start + size - 4, 4), b"abcd")
                    c.write(region, start + 5, b"wxyz")
                    self.assertEqual(area[5:9], b"wxyz")
            with self.assertRaises(OSError):
                os.ftruncate(fds[0], 4096)      # it cannot be pulled away under the server
            os.close(fds[0])
        c.write(BAR1, 3, b"not mapped")
        self.assertEqual(c.read(BAR1, 0, 16), b"\0\0\0not mapped\0\0\0")

    def test_a_megabyte_in_one_message(self):
        c = self.client()
        pattern = os.urandom(1 << 20)
        c.write(BAR1, 0x80000, pattern)
        self.assertEqual(c.read(BAR1, 0x80000, 1 << 20), pattern)

    def test_rom_is_read_only(self):
        c = self.client()
        self.assertTrue(c.read(ROM, 0, 64).startswith(b"vfio-user sample"))
        self.assertEqual(c.read(ROM, 0x7f0, 16), bytes(16))
        self.refused(EACCES, c.write32, ROM, 0, 0)

    def test_msix_table_is_stored(self):
        c = self.client()
        entry = struct.pack("<QII", 0xfee00000, 0x41, 1)
        c.write(BAR4, 16, entry)
        self.assertEqual(c.read(BAR4, 0, 48), bytes(16) + entry + bytes(16))


class Registers(ServerTest):
    def test_registers_keep_what_is_written(self):
        c = self.client()
        for offset in (SCRATCH, SOURCE, SOURCE + 4, TARGET, TARGET + 4, LENGTH):
            c.write32(BAR0, offset, 0xdead0000 + offset)
        for offset in (SCRATCH, SOURCE, SOURCE + 4, TARGET, TARGET + 4, LENGTH):
            self.assertEqual(c.read32(BAR0, offset), 0xdead0000 + offset)
        c.write64(BAR0, TIME, 1 << 40)
        self.assertEqual(c.read(BAR0, TIME, 8), struct.pack("<Q", 1 << 40))

    def test_read_only_and_absent_registers_ignore_writes(self):
        c = self.client()
        before = c.read(BAR0, 0, 4096)
        self.assertEqual(before, bytes(8) + b"SUFV" + bytes(4084))
        for offset in (ID, STATUS, 0x2c, 0x38, 0xff8):
            c.write32(BAR0, offset, 0xffffffff)
        self.assertEqual(c.read(BAR0, 0, 4096), before)

    def test_writes_of_other_widths_are_refused(self):
        c = self.client()
        for offset, size in ((SCRATCH, 1), (SCRATCH, 2), (SCRATCH, 3), (SCRATCH, 8),
                             (SCRATCH + 1, 4), (0x10, 12), (0x10, 16)):
            self.refused(EINVAL, c.write, BAR0, offset, bytes(size))
        self.refused(EINVAL, c.write32, BAR0, VECTOR, 4)

    def test_reads_of_any_width(self):
        c = self.client()
        c.write32(BAR0, SCRATCH, 0x44332211)
        for width in range(1, 10):
            for offset in range(16):
                whole = c.read(BAR0, 0, 32)
                self.assertEqual(c.read(BAR0, offset, width), whole[offset:offset + width])


class Interrupts(ServerTest):
    def test_the_alarm_raises_intx(self):
        c = self.client()
        fds = c.eventfds(INTX, 1)
        soon = int(time.time()) + 1
        c.write64(BAR0, TIME, soon)
        self.assertEqual(wait_for(fds[0]), 1)
        self.assertGreaterEqual(time.time(), soon)
        self.assertEqual(c.read(BAR0, TIME, 8), bytes(8))
        c.write64(BAR0, TIME, 1)            # long ago: at once
        self.assertEqual(wait_for(fds[0]), 1)

    def test_an_alarm_in_the_far_future_can_be_taken_back(self):
        c = self.client()
        fds = c.eventfds(INTX, 1)
        for far in (1 << 40, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1):
            c.write64(BAR0, TIME, far)
        c.write64(BAR0, TIME, 0)
        c.write64(BAR0, TIME, 1)            # proves that the thread still works ...
        self.assertEqual(wait_for(fds[0]), 1)   # ... and that nothing else came

    def test_the_timer_raises_its_msix_vector(self):
        c = self.client()
        fds = c.eventfds(MSIX, 4)
        for vector in (2, 0, 3, 1):
            began = time.monotonic()
            c.write32(BAR0, VECTOR, vector)
            c.write32(BAR0, DELAY, 2000)
            self.assertEqual(wait_for(fds[vector]), 1)
            self.assertGreaterEqual(time.monotonic() - began, 0.002)
            self.assertEqual(c.read32(BAR0, DELAY), 0)
        self.assertEqual(select.select(fds, [], [], 0)[0], [])

    def test_an_interrupt_that_nobody_wants_is_dropped(self):
        c = self.client()
        c.write32(BAR0, DELAY, 1)
        end = time.monotonic() + DEADLINE
        while c.read32(BAR0, DELAY) != 0:
            self.assertLess(time.monotonic(), end)

    def test_nothing_is_raised_after_a_reset(self):
        # Each of the two is the witness that the other one's time has passed.
        c = self.client()
        fds = c.eventfds(MSIX, 4)
        c.write32(BAR0, VECTOR, 1)
        c.write32(BAR0, DELAY, 100000)
        c.call(RESET)
        c.write64(BAR0, TIME, int(time.time()) + 2)
        self.assertEqual(wait_for(fds[0]), 1)
        self.assertEqual(select.select(fds, [], [], 0)[0], [])

        c.write64(BAR0, TIME, int(time.time()) + 2)
        c.call(RESET)
        c.write32(BAR0, VECTOR, 1)
        c.write32(BAR0, DELAY, 2500000)
        self.assertEqual(wait_for(fds[1]), 1)
        self.assertEqual(select.select(fds, [], [], 0)[0], [])

    def check_reset(self, reset):
        c = self.client()
        fds = c.eventfds(MSIX, 4)
        c.write32(BAR0, VECTOR, 1)
        c.write32(BAR0, DELAY, 4000000000)
        c.write64(BAR0, TIME, int(time.time()) + 100000)
        c.write32(BAR0, SCRATCH, 5)
        c.write32(BAR4, 0, 5)
        c.write32(BAR1, 0, 5)
        c.write32(CONFIG, 0x10, 0xfe000000)
        before = c.read(BAR0, 0, 64)
        self.assertNotEqual(before[DELAY:], bytes(64 - DELAY))
        reset(c)
        self.assertEqual(c.read(BAR0, 0, 64), bytes(8) + b"SUFV" + bytes(52))
        self.assertEqual(c.read32(BAR4, 0), 0)
        self.assertEqual(c.read32(CONFIG, 0x10), 0)
        self.assertEqual(c.read32(BAR1, 0), 5)      # storage is kept
        c.write32(BAR0, DELAY, 1)                   # vector 0 again, and alone
        self.assertEqual(wait_for(fds[0]), 1)
        self.assertEqual(select.select(fds, [], [], 0)[0], [])

    def test_device_reset_returns_to_the_start(self):
        self.check_reset(lambda c: c.call(RESET))

    def test_function_level_reset_returns_to_the_start(self):
        def flr(c):
            config = c.read(CONFIG, 0, 256)
            express = config.index(b"\x10", 0x40)
            c.write(CONFIG, express + 8, struct.pack("<H", 0x8000))
            self.assertEqual(c.read(CONFIG, express + 8, 2), bytes(2))
        self.check_reset(flr)


class Dma(ServerTest):
    def copy(self, c, source, target, length):
        c.write64(BAR0, SOURCE, source)
        c.write64(BAR0, TARGET, target)
        c.write64(BAR0, LENGTH, 1 << 32 | length)   # and START
        return c.read32(BAR0, STATUS)

    def test_copies_within_a_window(self):
        c = self.client()
        fd, memory = self.memory(0x4000)
        c.map(0x100000, 0x4000, fd=fd)
        c.bus_master()
        memory[0x123:0x123 + 700] = bytes(range(100)) * 7
        self.assertEqual(self.copy(c, 0x100123, 0x102fff, 700), 1)
        self.assertEqual(memory[0x2fff:0x2fff + 700], bytes(range(100)) * 7)
        self.assertEqual(memory[0x2ff0:0x2fff] + memory[0x2fff + 700:0x4000],
                         bytes(15 + 0x1001 - 700))

    def test_copies_across_windows(self):
        c = self.client()
        fd, memory = self.memory(0x200000)
        order = [5, 0, 7, 2, 6, 1, 4, 3]        # windows of 64 KiB, file shuffled
        for i, at in enumerate(order):
            c.map(0x10000000 + i * 0x10000, 0x10000, fd=fd, offset=at * 0x10000)
        c.map(0x20000000, 0x100000, fd=fd, offset=0x100000)
        c.bus_master()
        pattern = os.urandom(0x7f000)
        for i, at in enumerate(order):
            memory[at * 0x10000:(at + 1) * 0x10000] = pattern[i * 0x10000:(i + 1) * 0x10000] \
                .ljust(0x10000, b"\0")
        self.assertEqual(self.copy(c, 0x10000800, 0x20000123, 0x7e000), 1)
        self.assertEqual(memory[0x100123:0x100123 + 0x7e000], pattern[0x800:0x7e800])
        memory[0x180000:0x180000 + 0x30000] = pattern[:0x30000]
        self.assertEqual(self.copy(c, 0x20080000, 0x1000fff0, 0x30000), 1)
        back = b"".join(memory[at * 0x10000:(at + 1) * 0x10000] for at in order)
        self.assertEqual(back[0xfff0:0x3fff0], pattern[:0x30000])

    def test_says_what_is_wrong(self):
        c = self.client()
        fd, memory = self.memory(0x200000)
        c.map(0x1000000, 0x200000, fd=fd)
        c.map(0x2000000, 0x1000, flags=1, fd=fd)
        c.map(0x3000000, 0x1000)                        # no descriptor
        for i in range(70):
            c.map(0x4000000 + i * 0x1000, 0x1000, fd=fd, offset=i * 0x1000)
        self.assertEqual(self.copy(c, 0x1000000, 0x1001000, 16), 3)     # bus master is off
        c.bus_master()
        memory[0:4] = b"data"
        self.assertEqual(self.copy(c, 0x1000000, 0x1001000, 0), 2)
        self.assertEqual(self.copy(c, 0x1000000, 0x1001000, 0x100001), 2)
        self.assertEqual(self.copy(c, 0xfffff0, 0x1001000, 32), 4)
        self.assertEqual(self.copy(c, 0x11ffff0, 0x1001000, 32), 4)
        self.assertEqual(self.copy(c, (1 << 64) - 16, 0x1001000, 32), 4)
        self.assertEqual(self.copy(c, 0x1000000, 0x5000000, 16), 5)
        self.assertEqual(self.copy(c, 0x1000000, 0x2000000, 16), 5)     # read-only
        self.assertEqual(self.copy(c, 0x4000000, 0x1000000, 65 * 0x1000), 6)
        self.assertEqual(self.copy(c, 0x3000000, 0x1000000, 16), 7)
        self.assertEqual(memory[0x1000:0x1004], bytes(4))
        self.assertEqual(self.copy(c, 0x1000000, 0x1001000, 0x100000), 1)
        self.assertEqual(memory[0x1000:0x1004], b"data")
        self.assertEqual(self.copy(c, 0x4000000, 0x1100000, 64 * 0x1000), 1)

    def test_memory_without_a_descriptor_is_copied_by_message(self):
        c = self.client()
        fd, memory = self.memory(0x1000)
        c.map(0x1000, 0x1000, fd=fd)
        c.map(0x100000, 0x3000)
        c.map(0x200000, 0x1000)
        c.guest[0x100000] = guest = bytearray(0x3000)
        c.bus_master()
        guest[0xffe:0x1002] = b"here"
        self.assertEqual(self.copy(c, 0x100ffe, 0x102000, 4), 1)
        self.assertEqual(guest[0x2000:0x2004], b"here")
        self.assertEqual(c.served, [(DMA_READ, 0x100ffe, 4), (DMA_WRITE, 0x102000, 4)])
        self.assertEqual(self.copy(c, 0x102000, 0x1800, 4), 1)
        self.assertEqual(memory[0x800:0x804], b"here")
        self.assertEqual(self.copy(c, 0x200000, 0x1800, 4), 7)      # the client refuses
        self.assertEqual(self.copy(c, 0x1800, 0x200000, 4), 7)

    def test_a_file_that_ends_too_early_is_said(self):
        c = self.client()
        fd, _ = self.memory(0x4000)
        c.map(0x10000, 0x4000, fd=fd)
        c.bus_master()
        os.ftruncate(fd, 0x1000)
        self.assertEqual(self.copy(c, 0x10000, 0x12000, 16), 7)
        self.assertEqual(self.copy(c, 0x12000, 0x10000, 16), 7)
        self.assertEqual(self.copy(c, 0x10000, 0x10800, 16), 1)

    def test_a_window_is_gone_after_unmap(self):
        c = self.client()
        fd, _ = self.memory(0x2000)
        c.map(0x1000, 0x2000, fd=fd)
        c.bus_master()
        self.assertEqual(self.copy(c, 0x1000, 0x2000, 0x1000), 1)
        c.call(DMA_UNMAP, struct.pack("<IIQQ", 24, 0, 0x1000, 0x2000))
        self.assertEqual(self.copy(c, 0x1000, 0x2000, 0x1000), 4)


class Life(ServerTest):
    def test_serves_clients_one_after_another(self):
        for i in range(20):
            c = Client(self.server.path)
            fd, _ = self.memory(0x1000)
            c.map(0x1000, 0x1000, fd=fd)
            self.assertEqual(c.read32(BAR0, SCRATCH), 0)
            self.assertEqual(c.read32(BAR1, 0x100), i)
            self.assertEqual(c.read32(CONFIG, 4) & 0xffff, 0)
            c.write32(BAR0, SCRATCH, 77)
            c.write32(BAR0, DELAY, 1000000)
            c.write32(BAR1, 0x100, i + 1)
            c.bus_master()
            c.close()

    def test_outlives_clients_that_say_nonsense(self):
        for nonsense in (b"", b"GET / HTTP/1.1\r\n\r\n", bytes(16), b"\xff" * 64):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
                s.connect(self.server.path)
                s.sendall(nonsense)
        self.assertEqual(self.client().read32(BAR0, ID), 0x56465553)

    def test_a_signal_ends_it_and_removes_the_socket(self):
        for number in signal.SIGTERM, signal.SIGINT:
            for attached in False, True:
                with self.subTest(signal=number, attached=attached), \
                        tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
                    server = Process(folder)
                    if attached:
                        c = Client(server.path)
                        stack.callback(c.close)
                        c.write32(BAR0, DELAY, 4000000000)
                    status, tail = server.end(number)
                    self.assertEqual(status, 0, tail)
                    self.assertFalse(os.path.exists(server.path))

    def test_a_signal_in_the_middle_of_work_ends_it(self):
        for _ in range(20):
            with tempfile.TemporaryDirectory() as folder:
                server = Process(folder)
                c = Client(server.path)
                server.child.send_signal(signal.SIGTERM)
                with contextlib.suppress(ConnectionError):
                    while True:
                        c.read32(BAR0, ID)
                c.close()
                status, tail = server.end()
                self.assertEqual(status, 0, tail)


class Verbose(ServerTest):
    options = ("-v",)

    def test_tells_what_happens(self):
        c = self.client()
        c.write32(BAR0, SCRATCH, 0x1234)
        c.read(BAR1, 16, 300)
        c.call(RESET)
        c.close()
        status, tail = self.server.end()
        self.assertEqual(status, 0)
        for line in ("listening on", "client has come", "write BAR0 0xc, 4 bytes: 0x1234",
                     "read BAR1 0x10, 300 bytes: 0x0...", "reset: asked by the client",
                     "stopping"):
            self.assertIn(line, tail)
        self.server = Process(self.folder, *self.options)     # for the clean-up


class CommandLine(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = os.path.join(self.folder, "socket")

    def start(self, *arguments):
        return subprocess.run([SERVER, *arguments], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=DEADLINE)

    def test_usage(self):
        for arguments in (), ("-x", self.path), (self.path, "more"), \
                         ("--socket-path=" + self.path, "more"), ("",):
            done = self.start(*arguments)
            self.assertEqual(done.returncode, 2)
            self.assertIn("usage: server", done.stderr)
            self.assertEqual(done.stdout, "")
        self.assertFalse(os.path.exists(self.path))

    def test_help_and_version(self):
        done = self.start("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("usage: server", done.stdout)
        done = self.start("--version")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"^server .*\d+\.\d+")

    def test_paths_that_do_not_work(self):
        for path, words in (os.path.join(self.folder, "x" * 108), "longer than 107 bytes"), \
                           (os.path.join(self.folder, "none", "s"), "No such file"), \
                           (self.folder, "is not a socket"):
            done = self.start(path)
            self.assertEqual(done.returncode, 1)
            self.assertIn(words, done.stderr)

    def test_only_stale_sockets_are_removed(self):
        with open(self.path, "w", encoding="ascii") as f:
            f.write("precious")
        self.assertEqual(self.start(self.path).returncode, 1)
        with open(self.path, encoding="ascii") as f:
            self.assertEqual(f.read(), "precious")
        os.unlink(self.path)

        first = Process(self.folder)
        try:
            done = self.start(self.path)
            self.assertEqual(done.returncode, 1)
            self.assertIn("another server listens there", done.stderr)
            self.assertTrue(first.listens())
        finally:
            first.end(signal.SIGKILL)
        self.assertTrue(os.path.exists(self.path))     # stale now
        second = Process(self.folder)
        status, tail = second.end()
        self.assertEqual(status, 0, tail)

    def test_socket_path_as_an_option(self):
        child = subprocess.Popen([SERVER, "--socket-path=" + self.path])
        Process.children.append(child)
        end = time.monotonic() + DEADLINE
        while not os.path.exists(self.path) and time.monotonic() < end:
            time.sleep(0.005)
        c = Client(self.path)
        self.assertEqual(c.read32(BAR0, ID), 0x56465553)
        c.close()
        child.terminate()
        self.assertEqual(child.wait(DEADLINE), 0)


def tearDownModule():
    end_servers()


if __name__ == "__main__":
    unittest.main(verbosity=2)
