# SPDX-License-Identifier: BSD-3-Clause
"""vfu dma: on the sample device, and on servers that ask by message, refuse or leave.

    test_dma.py VFU SERVER ROOT [unittest arguments]
"""

import json
import mmap
import os
import signal
import socket
import struct
import subprocess

import harness
from harness import DMA_MAP, DMA_UNMAP, FAILED, FEATURE, LOST, OK, REFUSED, USAGE
from test_irq import FdPeer

DMA_READ, DMA_WRITE = 11, 12
SOURCE, TARGET = 0x100000, 0x108000
LOG_START, LOG_STOP, LOG_REPORT = 6, 7, 8


def copying(length, source=SOURCE, target=TARGET):
    """Registers of the sample that make it copy in guest memory."""
    writes = ("config:4=6:2", "bar0:0x10=%#x:8" % source, "bar0:0x18=%#x:8" % target,
              "bar0:0x20=%d" % length, "bar0:0x24=1")
    return [word for write in writes for word in ("--write", write)]


def addresses(first, length):
    """What --fill address puts there."""
    return b"".join(struct.pack("<Q", at) for at in range(first, first + length, 8))


class Dma(harness.Case):
    def lines(self, *words, status=OK):
        return [json.loads(line) for line in
                self.vfu("dma", *words, "--json", status=status).splitlines()]

    @staticmethod
    def events(lines, event):
        return [line for line in lines if line["event"] == event]


class Sample(Dma):
    def test_what_the_device_writes_is_shown(self):
        text = self.vfu("dma", self.server(), hex(SOURCE), "64K", "--fill", "address",
                        *copying(32), "--count", "1")
        first, change, *dump, summary = text.splitlines()
        self.assertEqual(first, "window 0x100000 to 0x10ffff (64 KiB), the device may read and "
                         "write, a memfd")
        self.assertRegex(change, r"^ +\d+\.\d{6} s  changed: 0x108001 to 0x108019, 25 bytes$")
        self.assertEqual(dump[0], "108001: 00 10 00 00 00 00 00 08  00 10 00 00 00 00 00 10  "
                         "................")
        self.assertEqual(dump[1][:35], "108011: 00 10 00 00 00 00 00 18  00")
        self.assertRegex(summary, r"^1 change, 25 bytes, in \d+\.\d s$")

    def test_a_file_is_read_and_written_by_the_device(self):
        with open(self.path("memory"), "wb") as file:
            file.write(bytes(4096) + b"hello, device\n" + bytes(2 * 4096 - 14))
        lines = self.lines(self.server(), "0x2000", "8K", self.path("memory"), "--offset",
                           "4096", *copying(14, 0x2000, 0x3000), "--count", "1")
        change, = self.events(lines, "change")
        self.assertEqual((change["address"], change["size"]), (0x3000, 14))
        self.assertEqual(bytes.fromhex(change["data"]), b"hello, device\n")
        with open(self.path("memory"), "rb") as file:
            self.assertEqual(file.read()[8192:8206], b"hello, device\n")

    def test_changes_far_apart_are_several(self):
        server = self.server()
        more = copying(8, SOURCE, TARGET) + copying(8, SOURCE + 64, TARGET + 0x2000)[2:]
        lines = self.lines(server, SOURCE, "64K", "--fill", "address", *more, "--count", "2")
        changes = self.events(lines, "change")
        # A source of 0x100000 differs from what was there in one byte.
        self.assertEqual([(c["address"], c["size"], c["data"]) for c in changes],
                         [(0x108001, 1, "00"), (0x10a000, 2, "4000")])
        self.assertEqual(lines[-1]["changed_bytes"], 3)
        self.assertEqual(lines[-1]["changes"], 2)

    def test_what_the_device_may_not_write_stays(self):
        lines = self.lines(self.server(), SOURCE, "64K", "--flags", "r", *copying(32),
                           "--for", "0.2")
        self.assertEqual(self.events(lines, "change"), [])
        self.assertEqual((lines[0]["read"], lines[0]["write"], lines[0]["fd"]),
                         (True, False, True))
        text = self.vfu("dma", self.path("dev.sock"), SOURCE, "64K", "--flags", "w", "--for",
                        "0.1")
        self.assertIn("the device may write, a memfd", text)

    def test_without_descriptor_each_request_is_shown(self):
        text = self.vfu("dma", self.server(), hex(SOURCE), "64K", "--no-fd", "--fill",
                        "address", *copying(16), "--count", "2")
        first, read, write, dump, summary = text.splitlines()
        self.assertTrue(first.endswith("no descriptor"), first)
        self.assertRegex(read, r"s  device reads 0x100000 to 0x10000f, 16 bytes$")
        self.assertRegex(write, r"s  device writes 0x108000 to 0x10800f, 16 bytes$")
        self.assertEqual(dump, "108000: 00 00 10 00 00 00 00 00  08 00 10 00 00 00 00 00  "
                         "................")
        self.assertRegex(summary, r"^1 read of 16 bytes, 1 write of 16 bytes, in \d+\.\d s$")

    def test_the_window_is_saved_at_the_end(self):
        for more in ["--no-fd"], []:
            self.vfu("dma", self.server("s%d" % len(more)), SOURCE, "64K", *more, "--fill",
                     "address", *copying(4096), "--count", "1", "--save", self.path("saved"),
                     "--quiet")
            with open(self.path("saved"), "rb") as file:
                saved = file.read()
            wanted = bytearray(addresses(SOURCE, 65536))
            wanted[0x8000:0x9000] = wanted[:4096]
            self.assertEqual(saved, bytes(wanted))

    def test_an_older_file_is_replaced_as_a_whole(self):
        with open(self.path("saved"), "wb") as file:
            file.write(b"x" * 100000)
        self.vfu("dma", self.server(), 0, 4096, "--for", "0", "--fill", "7", "--save",
                 self.path("saved"))
        with open(self.path("saved"), "rb") as file:
            self.assertEqual(file.read(), b"\7" * 4096)

    def test_long_changes_are_cut_unless_all_is_asked_for(self):
        words = [SOURCE, "64K", "--no-fd", "--fill", "3", *copying(4096), "--count", "2"]
        server = self.server()
        text = self.vfu("dma", server, *words)
        self.assertIn("(3840 more bytes: --all shows them)\n", text)
        self.assertNotIn("more bytes", self.vfu("dma", server, *words, "--all"))
        write, = self.events(self.lines(server, *words), "write")
        self.assertEqual((write["size"], len(write["data"])), (4096, 512))
        write, = self.events(self.lines(server, *words, "-a"), "write")
        self.assertEqual(bytes.fromhex(write["data"]), b"\3" * 4096)

    def test_the_log_of_the_server_is_shown_and_compared(self):
        for more in [], ["--no-fd"]:
            lines = self.lines(self.server("l%d" % len(more)), SOURCE, "64K", *more, "--log",
                               "--fill", "address", *copying(0x1800), "--for", "0.3")
            self.assertEqual(lines[0]["log_page_size"], 4096)
            logged = self.events(lines, "logged")
            self.assertEqual([(run["address"], run["size"]) for run in logged],
                             [(TARGET, 0x2000)])
            self.assertEqual(lines[-1]["pages_logged"], 2)
            self.assertEqual(lines[-1]["pages_not_logged"], 0)

    def test_a_signal_ends_it_with_a_summary(self):
        for number in signal.SIGINT, signal.SIGTERM:
            process = subprocess.Popen(
                [harness.VFU, "dma", self.server("s%d" % number), "0", "4K", "--count", "1"],
                text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                stdin=subprocess.DEVNULL)
            self.addCleanup(process.kill)
            self.assertIn("window 0x0 to 0xfff", process.stdout.readline())
            process.send_signal(number)
            out, err = process.communicate(timeout=harness.DEADLINE)
            self.assertEqual((process.returncode, err), (OK, ""))
            self.assertRegex(out, r"^0 changes, 0 bytes, in ")

    def test_nothing_written_is_an_exit_code(self):
        text = self.refusal("dma", self.server(), 0, "4K", "--for", "0.2", "--count", "1",
                            status=REFUSED)
        self.assertEqual(text, "vfu dma: 0 of 1 changes came\n")

    def test_memory_that_others_write_is_seen(self):
        size = (4 << 20) + 100
        with open(self.path("memory"), "wb") as file:
            file.truncate(size)
        process = subprocess.Popen(
            [harness.VFU, "dma", self.server(), "0", str(size), self.path("memory"), "--count", "3",
             "--json", "--interval", "0.01", "--for", str(harness.DEADLINE)],
            text=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.addCleanup(process.kill)
        process.stdout.readline()
        # Across the pieces in which the window is compared, and its last byte.
        with open(self.path("memory"), "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
            memory[65530:65540] = b"x" * 10
            memory[4095:4110:14] = b"ab"
            memory[-1] = 0xff
        out, _ = process.communicate(timeout=harness.DEADLINE)
        self.assertEqual(process.returncode, OK)
        changed = bytearray(size)
        for change in self.events(map(json.loads, out.splitlines()), "change"):
            data = bytes.fromhex(change["data"])
            changed[change["address"]:change["address"] + change["size"]] = data
        with open(self.path("memory"), "rb") as file:
            self.assertEqual(file.read(), bytes(changed))

    def test_a_window_at_the_end_of_the_address_space_works(self):
        text = self.vfu("dma", self.server(), "0xfffffffffffff000", "4K", "--for", "0")
        self.assertIn("window 0xfffffffffffff000 to 0xffffffffffffffff", text)


class Careless(Dma):
    def misuse(self, words, text, status=USAGE):
        self.assertIn(text, self.refusal("dma", *words, status=status))

    def test_arguments_are_checked_before_anything_is_done(self):
        nowhere = self.path("nothing")
        self.misuse([nowhere, "0", "0"], "there is no empty window")
        self.misuse([nowhere, "0"], "something is missing")
        self.misuse([nowhere, "x", "4K"], "ADDRESS: 'x' is no number")
        self.misuse([nowhere, "0", "-4K"], "-4")
        self.misuse([nowhere, "0xffffffffffffffff", "2"], "beyond the last address")
        self.misuse([nowhere, "0", "0x8000000000000000"], "SIZE: ")
        self.misuse([nowhere, "0", "4K", "--flags", "x"], "--flags is r, w or rw, not 'x'")
        self.misuse([nowhere, "0", "4K", "--fill", "256"], "--fill")
        self.misuse([nowhere, "0", "4K", "--offset", "1"], "there is none")
        self.misuse([nowhere, "0", "4K", "--interval", "never"], "who never looks")
        self.misuse([nowhere, "0", "4K", "--count", "0"], "nothing to wait for")
        self.misuse([nowhere, "0", "4K", "--write", "bar0"], "is not REGION:OFFSET=VALUE")
        self.misuse([nowhere, "0", "4K"], "no such socket", LOST)

    def test_files_that_do_not_fit_are_refused(self):
        nowhere, memory = self.path("nothing"), self.path("memory")
        with open(memory, "wb") as file:
            file.truncate(4096)
        os.mkfifo(self.path("fifo"))
        self.misuse([nowhere, "0", "8K", memory], "has 0x1000 bytes: too few for 0x2000")
        self.misuse([nowhere, "0", "4K", memory, "--offset", "1"], "too few for 0x1000 from 0x1")
        self.misuse([nowhere, "0", "4K", memory, "--no-fd"], "there is no FILE")
        self.misuse([nowhere, "0", "4K", memory, "--fill", "0"], "--fill would overwrite")
        self.misuse([nowhere, "0", "4K", self.path("fifo")], "is no regular file")
        self.misuse([nowhere, "0", "4K", "/dev/null"], "is no regular file")
        self.misuse([nowhere, "0", "4K", self.path("absent")], "No such file", FAILED)
        self.misuse([nowhere, "0", "4K", self.folder], "directory", FAILED)

    def test_the_mapped_file_is_not_saved_over_itself(self):
        memory = self.path("memory")
        with open(memory, "wb") as file:
            file.write(b"precious" * 512)
        os.symlink(memory, self.path("link"))
        self.misuse([self.path("nothing"), "0", "4K", memory, "--save", self.path("link")],
                    "this is the file that is mapped")
        with open(memory, "rb") as file:
            self.assertEqual(file.read(), b"precious" * 512)

    def test_what_cannot_be_saved_is_said_at_once(self):
        self.misuse([self.path("nothing"), "0", "4K", "--save", self.folder], "directory",
                    FAILED)
        with open(self.path("kept"), "wb") as file:
            file.write(b"kept")
        self.misuse([self.path("nothing"), "0", "4K", "--save", self.path("kept")],
                    "no such socket", LOST)
        with open(self.path("kept"), "rb") as file:
            self.assertEqual(file.read(), b"kept")      # nothing came to replace it
        self.misuse([self.server(), "0", "4K", "--save", "/dev/full", "--for", "0"],
                    "No space left", FAILED)

    def test_windows_larger_than_memory_are_refused(self):
        self.misuse([self.path("nothing"), "0", "0x4000000000000000"], "memory", FAILED)
        self.misuse([self.path("nothing"), "0", "0x4000000000000000", "--no-fd"], "no memory",
                    FAILED)

    def test_a_refused_write_ends_it(self):
        self.misuse([self.server(), "0", "4K", "--write", "bar0:0x30=9"],
                    "writing bar0+0x30: ", REFUSED)

    def test_a_file_that_shrinks_is_noticed(self):
        with open(self.path("memory"), "wb") as file:
            file.truncate(8192)
        process = subprocess.Popen(
            [harness.VFU, "dma", self.server(), "0", "8K", self.path("memory"), "--interval",
             "0.01"], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL)
        self.addCleanup(process.kill)
        process.stdout.readline()
        os.truncate(self.path("memory"), 4096)
        _, err = process.communicate(timeout=harness.DEADLINE)
        self.assertEqual(process.returncode, FAILED)
        self.assertIn("memory has shrunk", err)


class Asking(harness.Device):
    """A device that reaches for guest memory by message. .script(peer): what it does."""

    def __init__(self, script=lambda device: None, refused=0):
        super().__init__()
        self.script = script
        self.refused = refused
        self.peer = None
        self.fd = -1

    def serve(self, peer):
        self.peer = FdPeer(peer.sock)
        super().serve(self.peer)
        for fd in self.peer.fds:
            os.close(fd)

    def answer(self, peer, msg_id, command, flags, body):
        if command not in (DMA_MAP, DMA_UNMAP):
            super().answer(peer, msg_id, command, flags, body)
            return
        error = self.refused if command == DMA_MAP else 0
        peer.reply(msg_id, command, body[:24] if command == DMA_UNMAP and not error else b"",
                   error=error)
        if command == DMA_MAP and not error:
            self.script(self)

    def ask(self, command, address, count, data=b""):
        """(errno, data) of the answer."""
        self.peer.send(harness.header(9, command, 16 + len(data), flags=0)
                       + struct.pack("<QQ", address, count) + data)
        header = self.peer.receive(16)
        msg_id, answered, size, flags, error = struct.unpack("<HHIII", header)
        body = self.peer.receive(size - 16)
        assert (msg_id, answered) == (9, command), (msg_id, answered)
        return (error if flags & 0x20 else 0), body[16:]


class Odd(Dma):
    def check(self, made, *words, status=OK):
        path = self.path("odd.sock")
        with harness.odd_server(path, made.serve):
            done = self.call("dma", path, *words)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def test_messages_are_answered_out_of_the_window(self):
        answers = []

        def script(device):
            answers.append(device.ask(DMA_READ, 0x1008, 16))
            answers.append(device.ask(DMA_READ, 0x1ff0, 16))
            answers.append(device.ask(DMA_WRITE, 0x1ff8, 8, b"ABCDEFGH"))

        # Requests are counted without a descriptor, changes with one; the last one ends it.
        for more in ["--no-fd", "--count", "3"], ["--count", "1"]:
            del answers[:]
            done = self.check(Asking(script), "0x1000", "4K", "--fill", "address", *more)
            self.assertEqual(answers, [(0, addresses(0x1008, 16)), (0, addresses(0x1ff0, 16)),
                                       (0, b"")])
            self.assertIn("41 42 43 44 45 46 47 48", done.stdout)

    def test_requests_beyond_the_window_and_its_flags_are_refused(self):
        errors = []

        def script(device):
            errors.extend((device.ask(DMA_READ, 0x1fff, 2)[0],
                           device.ask(DMA_READ, 0xfff, 1)[0],
                           device.ask(DMA_WRITE, 0x1000, 4, b"abcd")[0],
                           device.ask(DMA_READ, 0x1000, 4)[0]))

        done = self.check(Asking(script), "0x1000", "4K", "--no-fd", "--flags", "r", "--count",
                          "1")
        self.assertTrue(all(errors[:3]), errors)
        self.assertEqual(errors[3], 0)
        self.assertIn("1 read of 4 bytes, 0 writes of 0 bytes", done.stdout)

    def test_a_refused_window_is_told_in_words(self):
        done = self.check(Asking(refused=28), "0x1000", "4K", status=REFUSED)
        self.assertRegex(done.stderr, r"^vfu dma: mapping 0x1000 bytes at 0x1000: .*"
                         "No space left on device")
        self.assertEqual(done.stdout, "")

    def test_a_server_without_a_log_is_told_of(self):
        done = self.check(Asking(), "0x1000", "4K", "--log", status=REFUSED)
        self.assertIn("starting the log of written pages: ", done.stderr)

    def test_a_server_that_leaves_is_noticed_and_the_memory_is_saved(self):
        def script(device):
            device.ask(DMA_WRITE, 0x1000, 4, b"last")
            device.peer.sock.shutdown(socket.SHUT_RDWR)

        done = self.check(Asking(script), "0x1000", "4K", "--save", self.path("saved"),
                          status=LOST)
        self.assertIn("vfu dma: ", done.stderr)
        self.assertRegex(done.stdout, "1 change, 4 bytes, in ")
        with open(self.path("saved"), "rb") as file:
            self.assertEqual(file.read(), b"last" + bytes(4092))

    def test_pages_that_the_log_does_not_have_are_named(self):
        class Forgetful(Asking):
            def answer(self, peer, msg_id, command, flags, body):
                if command != FEATURE:
                    super().answer(peer, msg_id, command, flags, body)
                    return
                feature = struct.unpack_from("<I", body, 4)[0] & 0xffff
                if feature == LOG_START:
                    # Written through the descriptor, and not noted.
                    os.pwrite(peer.fds[0], b"secret", 0x1000)
                    reply = body
                elif feature == LOG_REPORT:
                    # The first of four pages only.
                    reply = body[:32] + struct.pack("<Q", 1)
                    reply = struct.pack("<I", len(reply)) + reply[4:]
                else:
                    reply = body
                peer.reply(msg_id, FEATURE, reply)

        done = self.check(Forgetful(), "0x10000", "16K", "--log", "--count", "1")
        self.assertIn("changed: 0x11000 to 0x11005, 6 bytes", done.stdout)
        self.assertIn("logged: 0x10000 to 0x10fff, 4096 bytes", done.stdout)
        self.assertIn("1 page changed that the log does not have\n", done.stdout)


if __name__ == "__main__":
    harness.main()
