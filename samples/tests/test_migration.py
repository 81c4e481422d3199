# SPDX-License-Identifier: BSD-3-Clause
"""samples/server is moved: states, streams, rounds, timers.

usage: test_migration.py PATH-OF-SERVER [unittest arguments]

The format of the stream is typed from the head of samples/server_migration.c.
"""

import mmap
import os
import select
import struct
import tempfile
import time
import unittest

from support import (BAR0, BAR1, BAR2, BAR4, CONFIG, DEADLINE, DELAY, DMA_MAP, DMA_UNMAP, EBUSY,
                     EINVAL, FEATURE, GET_INFO, INTX, LENGTH, MIG_READ, MIG_WRITE, MSIX, RESET,
                     SCRATCH, SOURCE, STATUS, TARGET, TIME, VECTOR, Client, Process, Refused,
                     ServerTest, end_servers, wait_for)

ERROR, STOP, RUNNING, STOP_COPY, RESUMING, RUNNING_P2P, PRE_COPY, PRE_COPY_P2P = range(8)
STATES = STOP, RUNNING, STOP_COPY, RESUMING, PRE_COPY
GET, SET = 0x10000, 0x20000

R_BAR1, R_BAR2, R_BAR4, R_REGISTERS, R_TIMERS, R_CONFIG, R_END = range(1, 8)
R_BEGIN = 0x56465553
SIZES = {R_BAR1: 0x200000, R_BAR2: 0x10000, R_BAR4: 0x1000}


def record(kind, data=b"", offset=0, length=None):
    return struct.pack("<IIQ", kind, len(data) if length is None else length, offset) + data


def records(stream):
    """[(type, offset, data)]"""
    found, at = [], 0
    while at < len(stream):
        kind, length, offset = struct.unpack_from("<IIQ", stream, at)
        found.append((kind, offset, stream[at + 16:at + 16 + length]))
        at += 16 + length
    return found


def join(parts):
    return b"".join(record(kind, data, offset) for kind, offset, data in parts)


class MovableClient(Client):
    def set_state(self, state):
        request = struct.pack("<IIII", 16, SET | 2, state, 0)
        if self.call(FEATURE, request) != request:
            raise AssertionError("SET of a state is not repeated")

    def state(self):
        reply = self.call(FEATURE, struct.pack("<II", 16, GET | 2))
        return struct.unpack("<IIII", reply)[2]

    def save(self, size=0x100000):
        """One MIG_DATA_READ."""
        reply = self.call(MIG_READ, struct.pack("<II", 8 + size, size))
        argsz, got = struct.unpack_from("<II", reply)
        if (argsz, len(reply)) != (8 + got, 8 + got) or got > size:
            raise AssertionError("MIG_DATA_READ")
        return reply[8:]

    def save_all(self, size=0x100000):
        """Up to the first answer that is shorter than asked."""
        stream = b""
        while True:
            part = self.save(size)
            stream += part
            if len(part) < size:
                return stream

    def restore(self, stream, size=0x100000):
        for at in range(0, len(stream), size):
            part = stream[at:at + size]
            if self.call(MIG_WRITE, struct.pack("<II", 8 + len(part), len(part)) + part):
                raise AssertionError("MIG_DATA_WRITE has an empty answer")

    def device(self):
        """All that a client can see."""
        config = bytearray(self.read(CONFIG, 0, 4096))
        return (self.read(BAR0, 0, 4096), self.read(BAR1, 0, 0x100000),
                self.read(BAR1, 0x100000, 0x100000), self.read(BAR2, 0, 0x10000),
                self.read(BAR4, 0, 0x1000), bytes(config))


class MigrationTest(ServerTest):
    def client(self, server=None):
        client = MovableClient((server or self.server).path)
        self.addCleanup(client.close)
        return client

    def second(self):
        """A client of a second server."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        server = Process(folder.name)

        def end():
            status, tail = server.end()
            self.assertEqual(status, 0, tail)
        self.addCleanup(end)
        return self.client(server)

    def fill(self, c):
        """Everything differs from its initial value."""
        c.write(BAR1, 0x3ffe, b"over two pages")
        c.write(BAR1, 0x1fffff, b"\xff")
        c.write(BAR1, 0x80000, os.urandom(0x8000))
        c.write(BAR2, 0x8000, b"buffer")
        c.write(BAR4, 16, struct.pack("<QII", 0xfee00000, 0x41, 1))
        for offset, value in ((SCRATCH, 0x11111111), (SOURCE, 0x22222222), (SOURCE + 4, 0x33),
                              (TARGET, 0x44444444), (TARGET + 4, 0x55), (LENGTH, 0x66),
                              (0x24, 1), (VECTOR, 3), (DELAY, 4000000000)):
            c.write32(BAR0, offset, value)
        c.write64(BAR0, TIME, int(time.time()) + 100000)
        for offset, value in ((0x04, 0x0406), (0x0c, 0x4010), (0x10, 0xfe000000),
                              (0x14, 0xfd000000), (0x18, 0xc0000000), (0x1c, 0x12),
                              (0x20, 0xfe001000), (0x30, 0xfe002001), (0x3c, 0x0b)):
            c.write32(CONFIG, offset, value)
        caps, config = {}, c.read(CONFIG, 0, 256)
        at = config[0x34]
        while at:
            caps[config[at]] = at
            at = config[at + 1]
        for offset, value in ((caps[0x01] + 4, 0x0003), (caps[0x10] + 8, 0x281f),
                              (caps[0x10] + 0x28, 0x0009), (caps[0x10] + 0x30, 0x0002),
                              (caps[0x05] + 2, 0x0001), (caps[0x11] + 2, 0xc000)):
            c.write(CONFIG, offset, struct.pack("<H", value))
        for offset, value in ((4, 0xfee01000), (8, 0x77), (16, 1)):
            c.write32(CONFIG, caps[0x05] + offset, value)
        c.write(CONFIG, caps[0x05] + 12, struct.pack("<H", 0x4142))


class States(MigrationTest):
    def go(self, c, state, stream):
        """From RUNNING."""
        c.set_state(state)
        if state == RESUMING:
            c.restore(stream)

    def test_says_what_it_can(self):
        c = self.client()
        reply = c.call(FEATURE, struct.pack("<II", 16, GET | 1))
        self.assertEqual(reply, struct.pack("<IIQ", 16, GET | 1, 0x5))  # STOP_COPY, PRE_COPY
        self.assertEqual(c.state(), RUNNING)

    def test_each_state_leads_to_each_other_one(self):
        c = self.client()
        c.set_state(STOP_COPY)
        stream = c.save_all()
        c.set_state(RUNNING)
        for start in STATES:
            for to in STATES:
                with self.subTest(start=start, to=to):
                    self.go(c, start, stream)
                    if (start, to) == (STOP_COPY, PRE_COPY):
                        self.refused(EINVAL, c.set_state, to)
                        self.assertEqual(c.state(), start)
                    else:
                        c.set_state(to)
                        self.assertEqual(c.state(), to)
                c.call(RESET)
                self.assertEqual(c.state(), RUNNING)

    def test_other_states_are_refused_and_nothing_changes(self):
        c = self.client()
        c.set_state(STOP_COPY)
        stream = c.save_all()
        c.set_state(RUNNING)
        for start in STATES:
            self.go(c, start, stream)
            for to in ERROR, RUNNING_P2P, PRE_COPY_P2P, 8, 0xffffffff:
                self.refused(EINVAL, c.set_state, to)
                self.assertEqual(c.state(), start)
            c.set_state(RUNNING)

    def test_data_flow_in_their_states_only(self):
        c = self.client()
        for state in STATES:
            c.set_state(state)
            if state in (PRE_COPY, STOP_COPY):
                c.save(16)
            else:
                self.refused(EINVAL, c.save, 16)
            if state == RESUMING:
                c.restore(record(R_BEGIN, offset=1))
            else:
                self.refused(EINVAL, c.restore, record(R_BEGIN, offset=1))
            c.call(RESET)

    def test_everything_else_works_while_it_stands_still(self):
        c = self.client()
        fd, _ = self.memory(0x1000)
        for state in STOP, STOP_COPY, RESUMING:
            c.set_state(state)
            c.call(GET_INFO, struct.pack("<IIII", 16, 0, 0, 0))
            c.map(0x1000, 0x1000, fd=fd)
            c.call(DMA_UNMAP, struct.pack("<IIQQ", 24, 0, 0x1000, 0x1000))
            c.write32(BAR0, SCRATCH, state)
            self.assertEqual(c.read32(BAR0, SCRATCH), state)
            for eventfd in c.eventfds(MSIX, 4):
                os.close(eventfd)
            c.call(RESET)

    def test_a_reset_ends_any_of_it(self):
        c = self.client()
        fds = c.eventfds(MSIX, 4)
        for state in STATES:
            c.set_state(state)
            if state in (PRE_COPY, STOP_COPY):
                c.save(5)
            if state == RESUMING:
                c.restore(record(R_BEGIN, offset=1)[:7])
            c.call(RESET)
            self.assertEqual(c.state(), RUNNING)
            c.write32(BAR0, DELAY, 1)
            self.assertEqual(wait_for(fds[0]), 1)

    def test_a_client_that_leaves_ends_any_of_it(self):
        c = self.client()
        c.write(BAR1, 0x5000, b"kept")
        for state in STATES:
            c.set_state(state)
            if state in (PRE_COPY, STOP_COPY):
                c.save(0x1003)
            if state == RESUMING:
                c.restore(record(R_BEGIN, offset=1) + record(R_BAR1, b"x" * 4096, 0x5000))
            c.close()
            c = self.client()
            self.assertEqual(c.state(), RUNNING)
            self.assertEqual(c.read(BAR1, 0x5000, 5), b"kept\0")
            fds = c.eventfds(MSIX, 4)
            c.write32(BAR0, DELAY, 1)
            self.assertEqual(wait_for(fds[0]), 1)


class Saving(MigrationTest):
    def test_the_stream_is_what_the_head_of_the_file_says(self):
        c = self.client()
        c.write(BAR1, 0x3ffe, b"over two pages")
        c.write(BAR2, 0xffff, b"b")
        c.write(BAR4, 0x800, b"v")
        c.write32(BAR0, SCRATCH, 0x12345678)
        c.write32(BAR0, VECTOR, 2)
        c.set_state(STOP)
        c.write32(BAR0, DELAY, 7)
        c.write64(BAR0, TIME, 0x1122334455)
        c.write32(CONFIG, 0x10, 0xfe000000)
        c.set_state(STOP_COPY)
        stream = c.save_all()
        self.assertEqual(c.save(), b"")
        registers = bytearray(c.read(BAR0, 0, 0x38))
        self.assertEqual(registers[SCRATCH:SCRATCH + 4], b"\x78\x56\x34\x12")
        config = [0] * 19
        config[2] = 0xfe000000
        config[9] = 0x0008          # no soft reset, as the device is made
        self.assertEqual(records(stream), [
            (R_BEGIN, 1, b""),
            (R_BAR1, 0x3000, bytes(4094) + b"ov"),
            (R_BAR1, 0x4000, b"er two pages".ljust(4096, b"\0")),
            (R_BAR2, 0xf000, bytes(4095) + b"b"),
            (R_BAR4, 0, (bytes(2048) + b"v").ljust(4096, b"\0")),
            (R_REGISTERS, 0, bytes(registers)),
            (R_TIMERS, 0, struct.pack("<QQII", 0x1122334455, 7000, 1, 2)),
            (R_CONFIG, 0, struct.pack("<19I", *config)),
            (R_END, 8, b"")])

    def test_pieces_of_any_size_make_the_same_stream(self):
        c = self.client()
        c.write(BAR1, 0x5000, os.urandom(4096))
        c.set_state(STOP)
        streams = []
        for size in (0x100000, 1, 15, 16, 17, 4096, 4112):
            c.set_state(STOP_COPY)
            streams.append(c.save_all(size))
            c.set_state(STOP)
        self.assertEqual(len(set(streams)), 1)

    def test_rounds_have_what_was_changed(self):
        c = self.client()
        _, _, _, _, fds = c.region_info(BAR1)
        self.addCleanup(os.close, fds[0])
        mapped = mmap.mmap(fds[0], 0x200000)
        self.addCleanup(mapped.close)
        c.write(BAR1, 0, b"one")
        c.set_state(PRE_COPY)
        stream = c.save_all()
        self.assertEqual([r[:2] for r in records(stream)], [(R_BEGIN, 1), (R_BAR1, 0)])
        self.assertEqual(c.save(), b"")
        mapped[0x11000] = 1             # through a mapping
        mapped[0x1ff000] = 2
        c.write(BAR2, 5, b"buffer")     # by message
        c.write(BAR1, 0, bytes(3))      # zeros again, which the other side has not
        part = c.save_all()
        self.assertEqual([r[:2] for r in records(part)],
                         [(R_BAR1, 0), (R_BAR1, 0x11000), (R_BAR1, 0x1ff000), (R_BAR2, 0)])
        self.assertEqual(c.save(), b"")
        stream += part
        mapped[0x11000] = 3
        part = c.save_all()
        self.assertEqual([r[:2] for r in records(part)], [(R_BAR1, 0x11000)])
        stream += part
        mapped[0x12000] = 4
        c.set_state(STOP_COPY)
        part = c.save_all()
        self.assertEqual([r[:2] for r in records(part)],
                         [(R_BAR1, 0x12000), (R_REGISTERS, 0), (R_TIMERS, 0), (R_CONFIG, 0),
                          (R_END, 11)])
        stream += part
        self.assertEqual(c.save(), b"")

        to = self.second()
        to.set_state(RESUMING)
        to.restore(stream)
        to.set_state(RUNNING)
        c.set_state(RUNNING)
        self.assertEqual(to.device(), c.device())

    def test_a_round_that_was_cut_goes_on_in_stop_copy(self):
        c = self.client()
        self.fill(c)
        c.set_state(PRE_COPY)
        stream = c.save(16 + 16 + 1000)     # in the middle of a page
        c.write(BAR1, 0x3000, b"changed after it was taken")
        c.set_state(STOP_COPY)
        stream += c.save_all(999)
        to = self.second()
        to.set_state(RESUMING)
        to.restore(stream)
        to.set_state(STOP)
        self.assertEqual(to.device(), c.device())

    def test_each_stream_starts_at_the_beginning(self):
        c = self.client()
        c.write(BAR1, 0, b"page")
        c.set_state(STOP_COPY)
        c.save(20)
        c.set_state(STOP)
        c.set_state(STOP_COPY)
        whole = c.save_all()
        self.assertEqual(records(whole)[0], (R_BEGIN, 1, b""))
        c.set_state(RUNNING)
        for _ in range(2):
            c.set_state(PRE_COPY)
            self.assertEqual([r[0] for r in records(c.save_all())], [R_BEGIN, R_BAR1])
            c.set_state(RUNNING)


class Restoring(MigrationTest):
    def check_move(self, before):
        c, to = self.client(), self.second()
        self.fill(c)
        to.write(BAR1, 0x60000, b"not zero, as it is on the source")
        to.write(BAR4, 0, b"not zero either")
        c.set_state(before)
        stream = c.save_all() if before == PRE_COPY else b""
        c.set_state(STOP_COPY)
        stream += c.save_all()
        source = c.device()
        to.set_state(RESUMING)
        to.restore(stream)
        to.set_state(STOP)
        self.assertEqual(to.device(), source)
        to.set_state(STOP_COPY)
        again = to.save_all()
        self.assertEqual(records(again), [r for r in records(stream)])
        to.set_state(RUNNING)
        self.assertEqual(to.device(), source)
        _, _, _, _, fds = to.region_info(BAR1)
        with mmap.mmap(fds[0], 0x200000) as mapped:     # a client that maps it sees it too
            self.assertEqual(mapped[:0x100000] + mapped[0x100000:], source[1] + source[2])
        os.close(fds[0])

    def test_a_second_server_becomes_equal(self):
        self.check_move(STOP)

    def test_a_second_server_becomes_equal_when_most_came_before(self):
        self.check_move(PRE_COPY)

    def test_pieces_of_any_size_are_taken(self):
        c, to = self.client(), self.second()
        c.write(BAR1, 0x5000, os.urandom(4096))
        c.set_state(STOP_COPY)
        stream = c.save_all()
        for size in (1, 15, 16, 17, 4111, 4112, len(stream)):
            to.set_state(RESUMING)
            to.restore(stream, size)
            to.set_state(RUNNING)
            self.assertEqual(to.read(BAR1, 0x5000, 4096), c.read(BAR1, 0x5000, 4096))
            to.write(BAR1, 0x5000, bytes(4096))


class BadStreams(MigrationTest):
    """Each is refused, when it comes or at the end, and changes nothing."""

    def setUp(self):
        super().setUp()
        self.c = self.client()
        self.fill(self.c)
        self.c.write(BAR1, 0, bytes(0x100000))
        self.c.write(BAR1, 0x5000, b"source")
        self.c.set_state(STOP_COPY)
        self.good = self.c.save_all()
        self.parts = records(self.good)
        self.c.set_state(RUNNING)
        self.c.call(RESET)
        self.fill(self.c)
        self.c.write(BAR1, 0x5000, b"as it was")

    def check(self, stream, name):
        c = self.c
        with self.subTest(stream=name):
            c.set_state(STOP)
            before = c.device()
            c.set_state(RESUMING)
            try:
                c.restore(stream)
            except Refused as refused:
                self.assertEqual(refused.args[0], EINVAL)
                self.refused(EINVAL, c.restore, b"more")
            self.refused(EINVAL, c.set_state, STOP)
            self.assertEqual(c.state(), RESUMING)
            self.assertEqual(c.device(), before)
            c.restore(self.good)            # from its beginning
            c.set_state(STOP)
            self.assertEqual(c.read(BAR1, 0x5000, 10), b"source\0\0\0\0")
            c.write(BAR1, 0x5000, b"as it was")
            c.set_state(RUNNING)

    def with_part(self, kind, data=None, offset=None, length=None):
        """The good stream, with the first record of a type changed."""
        stream, done = b"", False
        for k, o, d in self.parts:
            if k == kind and not done:
                done = True
                stream += record(k, d if data is None else data, o if offset is None else offset,
                                 length)
            else:
                stream += record(k, d, o)
        return stream

    def patched(self, kind, at, value):
        data = next(d for k, _, d in self.parts if k == kind)
        new = data[:at] + value + data[at + len(value):]
        self.assertNotEqual(new, data)
        return self.with_part(kind, new)

    def test_that_do_not_begin(self):
        self.check(b"", "nothing at all")
        self.check(self.good[16:], "no first record")
        self.check(self.with_part(R_BEGIN, offset=0), "version 0")
        self.check(self.with_part(R_BEGIN, offset=2), "version 2")
        self.check(self.with_part(R_BEGIN, data=b"1234"), "a first record with data")
        self.check(b"\0" * 4096, "zeros")
        self.check(os.urandom(4096), "noise")
        self.check(record(R_BEGIN, offset=1) + self.good, "two first records")

    def test_that_do_not_end(self):
        at = 0
        for kind, _, data in self.parts:
            self.check(self.good[:at], "cut before %d" % kind)
            self.check(self.good[:at + 9], "cut in the header of %d" % kind)
            if data:
                self.check(self.good[:at + 16], "cut behind the header of %d" % kind)
                self.check(self.good[:at + 15 + len(data)], "cut in the data of %d" % kind)
            at += 16 + len(data)
        self.check(self.good + b"\0", "a byte behind the end")
        self.check(self.good + self.good, "twice the same")

    def test_that_have_lost_records(self):
        for i in range(1, len(self.parts)):
            self.check(join(self.parts[:i] + self.parts[i + 1:]), "without record %d" % i)
        for kind in R_REGISTERS, R_TIMERS, R_CONFIG:
            parts = [p for p in self.parts[:-1] if p[0] != kind]
            self.check(join(parts) + record(R_END, offset=len(parts)), "without %d" % kind)
            part = next(p for p in self.parts if p[0] == kind)
            parts = self.parts[:-1] + [part]
            self.check(join(parts) + record(R_END, offset=len(parts)), "twice %d" % kind)
        self.check(self.with_part(R_END, offset=len(self.parts)), "a wrong number of records")
        self.check(self.with_part(R_END, data=b"1"), "an end with data")

    def test_that_have_impossible_records(self):
        for kind in 0, 8, 0xffffffff:
            self.check(self.good[:16] + record(kind) + self.good[16:], "type %d" % kind)
        for kind, size in SIZES.items():
            for offset in 1, 0x800, size, size - 0x800, 1 << 63, (1 << 64) - 0x1000:
                self.check(self.with_part(kind, offset=offset), "%d at 0x%x" % (kind, offset))
            for length in 0, 1, 4095, 4097, 8192, 0xffffffff, 0xfffff000:
                self.check(self.with_part(kind, length=length), "%d of %d" % (kind, length))
            for length in 0, 1, 4095, 4097, 8192:
                self.check(self.with_part(kind, data=bytes(length)),
                           "%d with %d" % (kind, length))
        for kind in R_REGISTERS, R_TIMERS, R_CONFIG:
            data = next(d for k, _, d in self.parts if k == kind)
            self.check(self.with_part(kind, data=data[:-1]), "%d short" % kind)
            self.check(self.with_part(kind, data=data + b"\0"), "%d long" % kind)
            self.check(self.with_part(kind, offset=4), "%d shifted" % kind)
            self.check(self.with_part(kind, offset=1 << 32), "%d shifted far" % kind)
            self.check(self.with_part(kind, length=0xfffffff0), "%d huge" % kind)

    def test_that_have_impossible_values(self):
        for at, value in ((0x08, b"\0"), (0x24, b"\1"), (0x28, b"\x08"), (0x2c, b"\1"),
                          (0x30, b"\4")):
            self.check(self.patched(R_REGISTERS, at, value), "register 0x%x" % at)
        for at, value in ((7, b"\x80"), (8 + 6, b"\xff"), (16, b"\2"), (20, b"\4")):
            self.check(self.patched(R_TIMERS, at, value), "timers at %d" % at)
        for i, value in ((0, 0x80), (2, 1), (3, 0x1000), (8, 0x100), (10, 0x8000),
                         (13, 0x00800000), (14, 2), (18, 0x1000)):
            word = struct.unpack_from("<I", next(d for k, _, d in self.parts
                                                 if k == R_CONFIG), 4 * i)[0]
            self.check(self.patched(R_CONFIG, 4 * i, struct.pack("<I", word | value)),
                       "configuration word %d" % i)


class Time(MigrationTest):
    def move(self, c, to):
        c.set_state(STOP_COPY)
        stream = c.save_all()
        to.set_state(RESUMING)
        to.restore(stream)
        to.set_state(STOP)

    def test_an_interrupt_programmed_on_the_source_comes_on_the_destination(self):
        c, to = self.client(), self.second()
        here, there = c.eventfds(MSIX, 4), to.eventfds(MSIX, 4)
        c.write32(BAR0, VECTOR, 2)
        began = time.monotonic()
        c.write32(BAR0, DELAY, 1000000)
        c.write32(BAR0, VECTOR, 1)          # no longer the running timer's
        self.move(c, to)
        to.set_state(RUNNING)
        self.assertEqual(wait_for(there[2]), 1)
        self.assertGreaterEqual(time.monotonic() - began, 1)
        self.assertEqual(to.read32(BAR0, DELAY), 0)
        self.assertEqual(to.read32(BAR0, VECTOR), 1)
        self.assertEqual(select.select(here + there, [], [], 0)[0], [])
        self.assertEqual(c.read32(BAR0, DELAY), 1000000)

    def test_an_alarm_whose_time_has_passed_comes_at_once(self):
        c, to = self.client(), self.second()
        there = to.eventfds(INTX, 1)
        c.set_state(STOP)
        c.write64(BAR0, TIME, 1)
        self.move(c, to)
        self.assertEqual(to.read(BAR0, TIME, 8), struct.pack("<Q", 1))
        self.assertEqual(select.select(there, [], [], 0)[0], [])
        to.set_state(RUNNING)
        self.assertEqual(wait_for(there[0]), 1)
        self.assertEqual(to.read(BAR0, TIME, 8), bytes(8))

    def test_an_alarm_comes_at_its_time_on_the_destination(self):
        c, to = self.client(), self.second()
        there = to.eventfds(MSIX, 4)
        when = int(time.time()) + 2
        c.write64(BAR0, TIME, when)
        self.move(c, to)
        to.set_state(RUNNING)
        self.assertEqual(wait_for(there[0]), 1)
        self.assertGreaterEqual(time.time(), when)

    def test_timers_are_held_back_while_the_device_stands_still(self):
        c = self.client()
        fds = c.eventfds(MSIX, 4)
        c.write32(BAR0, VECTOR, 1)
        began = time.monotonic()
        c.write32(BAR0, DELAY, 1000000)
        for state in STOP, STOP_COPY, STOP:
            c.set_state(state)
            until = time.monotonic() + 0.5
            while time.monotonic() < until:         # its delay would have passed
                self.assertEqual(c.read32(BAR0, DELAY), 1000000)
        self.assertEqual(select.select(fds, [], [], 0)[0], [])
        c.set_state(RUNNING)
        self.assertEqual(wait_for(fds[1]), 1)
        # What it stood still comes on top of the delay.
        self.assertGreaterEqual(time.monotonic() - began, 2.5)

    def test_timers_are_held_back_from_the_end_of_pre_copy_on(self):
        c = self.client()
        fds = c.eventfds(MSIX, 4)
        c.set_state(PRE_COPY)
        c.write32(BAR0, DELAY, 1000000)
        began = time.monotonic()
        c.set_state(STOP_COPY)
        while time.monotonic() < began + 1.3:
            self.assertEqual(c.read32(BAR0, DELAY), 1000000)
        self.assertEqual(select.select(fds, [], [], 0)[0], [])
        c.set_state(RUNNING)
        self.assertEqual(wait_for(fds[0]), 1)

    def test_timers_set_while_it_stands_still_wait_for_running(self):
        c = self.client()
        fds = c.eventfds(MSIX, 4)
        c.set_state(STOP)
        c.write32(BAR0, VECTOR, 3)
        c.write32(BAR0, DELAY, 1)
        c.write64(BAR0, TIME, 1)
        until = time.monotonic() + 0.2
        while time.monotonic() < until:
            self.assertEqual(c.read32(BAR0, DELAY), 1)
        self.assertEqual(select.select(fds, [], [], 0)[0], [])
        c.set_state(RUNNING)
        self.assertEqual(wait_for(fds[3]), 1)
        self.assertEqual(wait_for(fds[0]), 1)

    def test_pre_copy_does_not_stop_anything(self):
        c = self.client()
        fds = c.eventfds(MSIX, 4)
        c.write32(BAR0, DELAY, 1000)
        c.set_state(PRE_COPY)
        self.assertEqual(wait_for(fds[0]), 1)
        c.write64(BAR0, TIME, 1)
        self.assertEqual(wait_for(fds[0]), 1)


class Memory(MigrationTest):
    def copy(self, c, source, target, length):
        c.write64(BAR0, SOURCE, source)
        c.write64(BAR0, TARGET, target)
        c.write64(BAR0, LENGTH, 1 << 32 | length)   # and START
        return c.read32(BAR0, STATUS)

    def test_nothing_is_copied_while_the_device_stands_still(self):
        c = self.client()
        fd, memory = self.memory(0x2000)
        c.map(0x10000, 0x2000, fd=fd)
        c.bus_master()
        memory[0:4] = b"data"
        for state in STOP, STOP_COPY, RESUMING:
            c.set_state(state)
            self.refused(EBUSY, self.copy, c, 0x10000, 0x11000, 4)
            self.assertEqual(memory[0x1000:0x1004], bytes(4))
            self.assertEqual(c.read32(BAR0, STATUS), 0)
            c.call(RESET)
            c.bus_master()
        c.set_state(PRE_COPY)
        self.assertEqual(self.copy(c, 0x10000, 0x11000, 4), 1)
        self.assertEqual(memory[0x1000:0x1004], b"data")

    def report(self, c, address, length):
        request = struct.pack("<II", 8 + 24 + 8, GET | 8) + struct.pack("<QQQ", address, length,
                                                                       4096)
        reply = c.call(FEATURE, request)
        self.assertEqual(reply[:8], struct.pack("<II", 40, GET | 8))
        return struct.unpack_from("<Q", reply, 32)[0]

    def test_what_is_copied_is_dirty_and_what_is_read_is_not(self):
        c = self.client()
        fd, _ = self.memory(0x10000)
        c.map(0x100000, 0x10000, fd=fd)
        c.bus_master()
        start = struct.pack("<II", 24, SET | 6) + struct.pack("<QII", 4096, 0, 0)
        self.assertEqual(c.call(FEATURE, start), start)
        self.assertEqual(self.report(c, 0x100000, 0x10000), 0)
        self.assertEqual(self.copy(c, 0x10f000, 0x102ffe, 4), 1)
        self.assertEqual(self.copy(c, 0x101000, 0x10a000, 4096), 1)
        self.assertEqual(self.report(c, 0x100000, 0x10000), 1 << 2 | 1 << 3 | 1 << 10)
        self.assertEqual(self.report(c, 0x100000, 0x10000), 0)
        self.assertEqual(self.copy(c, 0x101000, 0x1fff00, 4096), 5)     # refused: not dirty
        self.assertEqual(self.report(c, 0x100000, 0x10000), 0)
        c.call(FEATURE, struct.pack("<II", 8, SET | 7))


def tearDownModule():
    end_servers()


if __name__ == "__main__":
    unittest.main(verbosity=2)
