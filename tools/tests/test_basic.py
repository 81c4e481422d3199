# SPDX-License-Identifier: BSD-3-Clause
"""vfu info, config, read, write, watch, reset and feature, against samples/server.

usage: test_basic.py VFU SERVER ROOT [unittest arguments]
"""

import json
import os
import pathlib
import re
import signal
import struct
import subprocess
import unittest

import harness
from harness import FAILED, LOST, OK, REFUSED, USAGE


class Served(harness.Case):
    """The sample server is at self.dev."""

    def setUp(self):
        super().setUp()
        self.dev = self.server()


class Info(Served):
    def test_tells_device_limits_regions_interrupts_and_features_in_text(self):
        text = self.vfu("info", self.dev)
        for line in ("PCI device, can be reset", "vendor 1234, device 5646, class ff0000",
                     "data in a message         1 MiB", "page sizes for DMA        4 KiB",
                     "1  bar1     2 MiB  rw      0x10000-0x7ffff, 0x100000-0x1fffff",
                     "2  bar2    64 KiB  rw      all", "6  rom      2 KiB  r-      no",
                     "2  msix             4  eventfd, maskable",
                     "migration           get       STOP_COPY, PRE_COPY",
                     "mig-device-state    get, set  RUNNING"):
            self.assertIn(line, text)
        self.assertNotIn("bar3", text)
        self.assertIsNone(re.search(r"[ \t]$", text, re.MULTILINE), text)

    def test_gives_all_of_it_as_json(self):
        info = json.loads(self.vfu("info", self.dev, "--json"))
        self.assertEqual(info["socket"], self.dev)
        self.assertEqual(info["protocol"]["max_data_xfer_size"], 1 << 20)
        self.assertEqual(info["protocol"]["pgsizes"], 4096)
        self.assertEqual(info["device"]["vendor_id"], 0x1234)
        self.assertEqual(info["device"]["class_code"], 0xff0000)
        self.assertIs(info["device"]["reset"], True)
        self.assertEqual(len(info["regions"]), info["device"]["num_regions"])
        self.assertEqual([(r["name"], r["size"]) for r in info["regions"] if r["size"]],
                         [("bar0", 4096), ("bar1", 2 << 20), ("bar2", 65536),
                          ("bar4", 4096), ("rom", 2048), ("config", 4096)])
        self.assertEqual(info["regions"][1]["areas"],
                         [{"offset": 0x10000, "size": 0x70000, "fd": True},
                          {"offset": 0x100000, "size": 0x100000, "fd": True}])
        self.assertIs(info["regions"][6]["write"], False)
        self.assertEqual([irq["vectors"] for irq in info["irqs"]], [1, 1, 4, 1, 1])
        self.assertEqual(info["features"][1], {"index": 2, "name": "mig-device-state",
                                               "get": True, "set": True})
        self.assertEqual(info["migration"]["state"], "RUNNING")


class Read(Served):
    def test_shows_a_hexdump_of_four_bytes_by_default(self):
        self.assertRegex(self.vfu("read", self.dev, "bar0", "8"),
                         r"^0008: 53 55 46 56 +SUFV\n$")

    def test_shows_one_number_alone_and_several_in_lines(self):
        self.assertEqual(self.vfu("read", self.dev, "bar0", "8", "-w", "4"), "0x56465553\n")
        self.assertEqual(self.vfu("read", self.dev, "bar0", "8", "-w", "1"), "0x53\n")
        self.assertEqual(self.vfu("read", self.dev, "bar0", "8", "-w8"),
                         "0x0000000056465553\n")
        self.assertEqual(self.vfu("read", self.dev, "0", "0x8", "20", "--width=2"),
                         "0008: 5553 5646 0000 0000 0000 0000 0000 0000\n0018: 0000 0000\n")

    def test_gives_json_with_values_or_bytes(self):
        self.assertEqual(json.loads(self.vfu("read", self.dev, "bar0", "8", "8", "-jw4")),
                         {"region": "bar0", "index": 0, "offset": 8, "length": 8,
                          "width": 4, "values": [0x56465553, 0]})
        self.assertEqual(json.loads(self.vfu("-j", "read", self.dev, "bar0", "8"))["data"],
                         "53554656")

    def test_folds_lines_that_repeat_and_shows_the_last(self):
        text = self.vfu("read", self.dev, "bar2", "0", "end")
        lines = text.splitlines()
        self.assertEqual((lines[0][:5], lines[1], lines[2][:5]), ("0000:", "*", "fff0:"))
        self.assertEqual(len(lines), 3)

    def test_writes_files_as_long_as_was_asked(self):
        out = pathlib.Path(self.path("out"))
        for more in (), ("--mmap",), ("--width", "8"):
            self.vfu("read", self.dev, "bar1", "0x10000", "448K", "-o", out, *more)
            self.assertEqual(out.read_bytes(), bytes(0x70000))
        whole = self.vfu("read", self.dev, "bar1", "0", "end", "--output", "-", text=False)
        self.assertEqual(whole, bytes(2 << 20))

    def test_leaves_a_file_alone_when_nothing_could_be_read(self):
        out = pathlib.Path(self.path("out"))
        out.write_text("precious")
        self.refusal("read", self.dev, "bar1", "0", "0x10000", "-m", "-o", out,
                     status=REFUSED)
        self.assertEqual(out.read_text(), "precious")

    def test_says_why_a_file_cannot_be_written(self):
        self.assertIn("No such file", self.refusal("read", self.dev, "bar0", "0", "-o",
                                                   self.path("no/where"), status=FAILED))
        self.assertIn("No space left", self.refusal("read", self.dev, "bar0", "0", "-o",
                                                    "/dev/full", status=FAILED))

    def test_reads_through_a_mapping(self):
        self.vfu("write", self.dev, "bar1", "0x10010", "0xcafe")
        for more in (), ("-m",):
            self.assertEqual(self.vfu("read", self.dev, "bar1", "0x10010", "-w4", *more),
                             "0x0000cafe\n")

    def test_reading_what_is_not_there_is_refused_in_words(self):
        for words, status, sentence in (
                (("bar0", "0x1000"), USAGE, "bar0 has 0x1000 bytes: 4 at 0x1000"),
                (("bar0", "0xffd"), USAGE, "are not all in it"),
                (("bar0", "0xffffffffffffffff"), USAGE, "are not all in it"),
                (("bar0", "0", "0xffffffffffffffff"), USAGE, "are not all in it"),
                (("bar3", "0"), USAGE, "the device has no bar3"),
                (("77", "0"), USAGE, "region 77"),
                (("bar9", "0"), USAGE, "'bar9' is no region"),
                (("bar0", "0x"), USAGE, "OFFSET: '0x' is no number"),
                (("bar0", "-1"), USAGE, "-1"),
                (("bar0", "0x10000000000000000"), USAGE, "too large"),
                (("bar0", "0", "0"), USAGE, "nothing"),
                (("bar0", "0", "6", "-w4"), USAGE, "no multiple"),
                (("bar0", "0", "-w", "3"), USAGE, "1, 2, 4 or 8"),
                (("bar1", "0", "4096", "-m"), REFUSED, "not mappable"),
                (("bar1", "0x10002", "-m", "-w4"), USAGE, "multiples of the width"),
                (("bar0", "0", "-j", "-o", "x"), USAGE, "exclude each other"),
                (("bar0",), USAGE, "something is missing"),
                (("bar0", "0", "1", "2"), USAGE, "'2' is one argument too many")):
            with self.subTest(words=words):
                self.assertIn(sentence, self.refusal("read", self.dev, *words,
                                                     status=status))

    def test_more_than_can_be_shown_goes_to_files_only(self):
        device = harness.Device()
        device.regions[1] = (1 << 40, 3)
        with harness.odd_server(self.path("odd"), device.serve):
            self.assertIn("--output", self.refusal("read", self.path("odd"), "bar1", "0",
                                                   "1G", status=USAGE))


class Config(Served):
    def test_shows_all_of_configuration_space(self):
        lines = self.vfu("config", self.dev).splitlines()
        self.assertTrue(lines[0].startswith("0000: 34 12 46 56 "), lines[0])
        self.assertTrue(lines[-1].startswith("0ff0: "), lines[-1])

    def test_shows_a_part_in_accesses_of_a_width(self):
        self.assertEqual(self.vfu("config", self.dev, "0", "8", "-w4"),
                         "0000: 56461234 00100000\n")
        self.assertEqual(self.vfu("config", self.dev, "0xffc", "-w", "4"), "0x00000000\n")
        self.assertEqual(json.loads(self.vfu("config", self.dev, "0", "4", "-j"))["data"],
                         "34124656")

    def test_says_that_a_device_has_none(self):
        device = harness.Device()
        device.regions.pop(harness.CONFIG)
        with harness.odd_server(self.path("odd"), device.serve):
            self.assertIn("no configuration space",
                          self.refusal("config", self.path("odd"), status=REFUSED))


class Write(Served):
    def memory(self, offset, length):
        return self.vfu("read", self.dev, "bar2", str(offset), str(length), "-o", "-",
                        text=False)

    def test_writes_values_one_behind_the_other(self):
        self.vfu("write", self.dev, "bar2", "4", "0x11223344", "1K")
        self.assertEqual(self.memory(0, 16), bytes(4) + b"\x44\x33\x22\x11\0\4\0\0" + bytes(4))
        self.vfu("write", self.dev, "bar2", "0", "-w1", "0xaa", "0xbb")
        self.assertEqual(self.memory(0, 4), b"\xaa\xbb\0\0")
        self.vfu("write", self.dev, "bar2", "8", "-w8", "0xffffffffffffffff")
        self.assertEqual(self.memory(8, 8), b"\xff" * 8)

    def test_writes_what_a_file_or_a_pipe_holds(self):
        data = os.urandom(65536)
        pathlib.Path(self.path("in")).write_bytes(data)
        for more in (), ("--check",), ("--mmap", "-c"), ("--posted",), ("-w", "4"):
            with self.subTest(more=more):
                self.vfu("write", self.dev, "bar2", "0", "-f", "0", "-l", "end")
                self.vfu("write", self.dev, "bar2", "0", "--input", self.path("in"), *more)
                self.assertEqual(self.memory(0, 65536), data)
        self.vfu("write", self.dev, "bar2", "0x10", "-i", "-", input=b"pipe", text=False)
        self.assertEqual(self.memory(0, 32), data[:16] + b"pipe" + data[20:32])

    def test_fills_with_bytes_and_with_numbers(self):
        self.vfu("write", self.dev, "bar2", "0x100", "--fill", "0x5a", "--length", "end")
        self.assertEqual(self.memory(0, 65536), bytes(0x100) + b"\x5a" * 0xff00)
        self.vfu("write", self.dev, "bar2", "0", "-f", "0x1234", "-w2", "-l", "8")
        self.assertEqual(self.memory(0, 8), b"\x34\x12" * 4)

    def test_check_tells_the_first_difference(self):
        self.vfu("write", self.dev, "bar0", "0xc", "7", "--check")
        self.assertIn("bar0+0x8 reads 0x56465553 after 0x00000001 was written",
                      self.refusal("write", self.dev, "bar0", "8", "1", "-c",
                                   status=REFUSED))

    def test_posted_writes_are_done(self):
        self.vfu("write", self.dev, "bar2", "0", "--posted", "1", "2", "3")
        self.assertEqual(self.memory(0, 12), b"\1\0\0\0\2\0\0\0\3\0\0\0")

    def test_posted_writes_ask_for_no_reply(self):
        class Noting(harness.Device):
            def __init__(self):
                super().__init__()
                self.asked = []

            def answer(self, peer, msg_id, command, flags, body):
                if command == harness.REGION_WRITE:
                    self.asked.append(flags & 0x10 == 0)
                super().answer(peer, msg_id, command, flags, body)
        device = Noting()
        with harness.odd_server(self.path("odd"), device.serve, clients=2):
            self.vfu("write", self.path("odd"), "bar0", "0", "1", "2", "-p")
            self.vfu("write", self.path("odd"), "bar0", "0", "3")
        self.assertEqual(device.asked, [False, False, True])

    def test_a_file_that_does_not_fit_is_not_begun(self):
        pathlib.Path(self.path("long")).write_bytes(b"x" * (65536 + 4))
        self.assertIn("are not all in it",
                      self.refusal("write", self.dev, "bar2", "0", "-w4", "-i",
                                   self.path("long"), status=USAGE))
        self.assertEqual(self.memory(0, 4), bytes(4))

    def test_writing_what_cannot_be_written_is_refused_in_words(self):
        pathlib.Path(self.path("in")).write_bytes(b"12345")
        pathlib.Path(self.path("empty")).write_bytes(b"")
        for words, status, sentence in (
                (("bar0", "0xffe", "1"), USAGE, "are not all in it"),
                (("bar0", "0", "0x100000000"), USAGE, "too large"),
                (("bar0", "0", "1", "x"), USAGE, "VALUE: 'x'"),
                (("bar0", "0", "256", "-w1"), USAGE, "too large"),
                (("bar0", "0"), USAGE, "what is to be written"),
                (("rom", "0", "1"), REFUSED, "not writeable"),
                (("bar3", "0", "1"), USAGE, "the device has no bar3"),
                (("bar0", "0", "1", "-f", "2"), USAGE, "exclude each other"),
                (("bar0", "0", "-f", "2"), USAGE, "--length"),
                (("bar0", "0", "-f", "256", "-l", "4"), USAGE, "too large"),
                (("bar0", "0", "-f", "2", "-w4", "-l", "6"), USAGE, "no multiple"),
                (("bar0", "0", "1", "-l", "4"), USAGE, "--length goes with --fill"),
                (("bar2", "0", "1", "-m", "-p"), USAGE, "--posted"),
                (("bar0", "0xffe", "-i", "in"), USAGE, "are not all in it"),
                (("bar2", "0", "-i", "in", "-w4"), USAGE, "no multiple"),
                (("bar2", "0", "-i", "empty"), USAGE, "empty"),
                (("bar2", "0", "-i", "nothing"), FAILED, "No such file"),
                (("bar2", "0", "-i", "."), FAILED, "Is a directory"),
                (("bar0", "0", "1", "-j"), USAGE, "no option -j")):
            with self.subTest(words=words):
                self.assertIn(sentence, self.refusal("write", self.dev, *words,
                                                     status=status))
        self.assertEqual(self.memory(0, 8), bytes(8))

    def test_too_much_from_a_pipe_says_how_much_was_written(self):
        done = self.call("write", self.dev, "bar1", "0", "-i", "-", text=False,
                         input=bytes((2 << 20) + 1))
        self.assertEqual(done.returncode, FAILED)     # not USAGE: something was done
        self.assertIn(b"2097152 bytes have been written", done.stderr)
        done = self.call("write", self.dev, "bar1", "0", "-w8", "-i", "-", text=False,
                         input=bytes((2 << 20) - 1))
        self.assertEqual(done.returncode, FAILED)
        self.assertIn(b"no multiple of the width", done.stderr)
        self.assertIn(b"bytes have been written", done.stderr)

    def test_a_refusal_by_the_server_has_its_reason_in_words(self):
        class Stubborn(harness.Device):
            def write(self, body):
                return 22
        with harness.odd_server(self.path("odd"), Stubborn().serve):
            self.assertIn("EINVAL", self.refusal("write", self.path("odd"), "bar0", "0", "1",
                                                 status=REFUSED))


class Watch(Served):
    def test_prints_changes_with_time_until_the_count_is_reached(self):
        class Counting(harness.Device):
            n = 0

            def load(self, index, offset, count):
                self.n += offset == 8
                return (self.n if offset == 8 else 5).to_bytes(count, "little")
        with harness.odd_server(self.path("odd"), Counting().serve):
            text = self.vfu("watch", self.path("odd"), "bar0", "8", "0x10:8", "-i", "0",
                            "-n", "3")
        lines = text.splitlines()
        self.assertEqual([line[14:] for line in lines[:5]],
                         ["bar0+0x8  0x00000001", "bar0+0x10  0x0000000000000005",
                          "bar0+0x8  0x00000001 -> 0x00000002",
                          "bar0+0x8  0x00000002 -> 0x00000003",
                          "bar0+0x8  0x00000003 -> 0x00000004"])
        self.assertRegex(lines[0], r"^\d\d:\d\d:\d\d\.\d\d\d  ")
        self.assertRegex(lines[5], r"^3 changes in 4 rounds, \d+\.\d s$")

    def test_gives_json_lines(self):
        class Counting(harness.Device):
            n = 0

            def load(self, index, offset, count):
                self.n += 1
                return self.n.to_bytes(count, "little")
        with harness.odd_server(self.path("odd"), Counting().serve):
            text = self.vfu("watch", self.path("odd"), "bar0", "8:2", "-i0", "-n1", "--json")
        first, second = map(json.loads, text.splitlines())
        self.assertGreater(first.pop("time"), 1e9)
        self.assertEqual(first, {"region": "bar0", "offset": 8, "width": 2, "value": 1})
        self.assertEqual((second["previous"], second["value"]), (1, 2))

    def test_answers_requests_that_came_with_the_reply(self):
        """They have been read with it, so nothing is left at the socket to wake up for."""
        answers = []

        class Asking(harness.Device):
            def answer(self, peer, msg_id, command, flags, body):
                if command != harness.REGION_READ:
                    return super().answer(peer, msg_id, command, flags, body)
                data = self.read(body)
                asked = struct.pack("<QQ", 0x1000, 4)
                peer.send(harness.header(msg_id, command, len(data)) + data
                          + harness.header(9, 11, len(asked), flags=0) + asked)
                answers.append(peer.request()[:2])
                raise ConnectionError("that was all")

        with harness.odd_server(self.path("odd"), Asking().serve):
            self.refusal("watch", self.path("odd"), "bar0", "8", "-i", "3600", status=LOST)
        self.assertEqual(answers, [(9, 11)])

    def test_writes_after_the_first_round_and_looks_again_at_once(self):
        with harness.odd_server(self.path("odd"), harness.Device().serve):
            text = self.vfu("watch", self.path("odd"), "bar0", "0x10", "0x14:2", "-i", "3600",
                            "-n", "2", "--write", "bar0:0x10=7", "-w", "bar0:0x14=0x99:2")
        self.assertEqual([line[14:] for line in text.splitlines()[:4]],
                         ["bar0+0x10  0x00000000", "bar0+0x14  0x0000",
                          "bar0+0x10  0x00000000 -> 0x00000007",
                          "bar0+0x14  0x0000 -> 0x0099"])

    def start(self, *words, **more):
        process = subprocess.Popen([harness.VFU, "watch", *words], text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_a_signal_ends_it_with_a_summary_and_0(self):
        for signal_number in signal.SIGINT, signal.SIGTERM:
            process = self.start(self.dev, "bar0", "8", "-i", "3600")
            self.assertIn("0x56465553", process.stdout.readline())
            process.send_signal(signal_number)
            out, err = process.communicate(timeout=harness.DEADLINE)
            self.assertEqual((process.returncode, err), (OK, ""))
            self.assertRegex(out, r"^0 changes in 1 round, \d+\.\d s\n$")

    def test_a_server_that_leaves_is_noticed_between_rounds(self):
        def serve(peer):
            harness.Device().serve(OneRead(peer.sock))

        class OneRead(harness.Peer):
            reads = 0

            def request(self):
                if self.reads == 1:
                    raise ConnectionError("that was all")
                request = super().request()
                self.reads += request[1] == harness.REGION_READ
                return request
        with harness.odd_server(self.path("odd"), serve):
            self.assertIn("waiting", self.refusal("watch", self.path("odd"), "bar0", "0",
                                                  "-i", "3600", status=LOST))

    def test_a_reader_that_leaves_ends_it(self):
        class Counting(harness.Device):
            n = 0

            def load(self, index, offset, count):
                self.n += 1
                return self.n.to_bytes(count, "little")
        with harness.odd_server(self.path("odd"), Counting().serve):
            process = self.start(self.path("odd"), "bar0", "0", "-i", "0")
            process.stdout.readline()
            process.stdout.close()
            self.assertEqual(process.wait(harness.DEADLINE), FAILED)
            self.assertEqual(process.stderr.read(), "")

    def test_a_reader_that_leaves_ends_it_when_there_is_nothing_to_say(self):
        process = self.start(self.dev, "bar0", "0", "-i", "3600")
        process.stdout.readline()
        process.stdout.close()
        self.assertEqual(process.wait(harness.DEADLINE), FAILED)
        self.assertEqual(process.stderr.read(), "")

    def test_wrong_places_and_times_are_refused_in_words(self):
        for words, sentence in (
                (("bar0", "0x1000"), "are not all in it"), (("bar0", "0:3"), "1, 2, 4 or 8"),
                (("bar0", "0:"), "1, 2, 4 or 8"), (("bar0", ":4"), "OFFSET"),
                (("bar0",), "missing"), (("bar0", "0", "-i", "x"), "no time"),
                (("bar0", "0", "-i", "never"), "do not change"),
                (("bar0", "0", "--write", "bar0=1"), "bar0=1"),
                (("bar0", "0", "--write", "bar0:0=256:1"), "too large"),
                (("bar0", "0", "--write", "bar0:0xffd=1"), "--write: bar0 has 0x1000 bytes"),
                (("bar0", "0", "--write", "bar3:0=1"), "--write: the device has no bar3"),
                (("bar0", "0", "--write", "9:0=1"), "there is no region 9"),
                (("bar0", "0", "-n", "0"), "nothing to wait for")):
            with self.subTest(words=words):
                self.assertIn(sentence, self.refusal("watch", self.dev, *words,
                                                     status=USAGE))


class Reset(Served):
    def test_resets_and_says_so(self):
        self.assertEqual(self.vfu("reset", self.dev),
                         "%s: the device has been reset\n" % self.dev)

    def test_does_not_ask_a_device_that_cannot(self):
        device = harness.Device()
        device.flags = 2
        with harness.odd_server(self.path("odd"), device.serve, clients=2):
            self.assertIn("does not offer a reset",
                          self.refusal("reset", self.path("odd"), status=REFUSED))
            self.assertNotIn(harness.RESET, device.commands)
            self.vfu("reset", self.path("odd"), "--force")
            self.assertIn(harness.RESET, device.commands)

    def test_a_refusal_is_told_in_words(self):
        class Stubborn(harness.Device):
            def reset(self, body):
                return 16
        with harness.odd_server(self.path("odd"), Stubborn().serve):
            self.assertRegex(self.refusal("reset", self.path("odd"), status=REFUSED),
                             "EBUSY.*busy")


class Feature(Served):
    def test_lists_what_the_server_has(self):
        text = self.vfu("feature", self.dev)
        self.assertRegex(text, r"(?m)^ +1  migration +get  ")
        self.assertRegex(text, r"(?m)^ +2  mig-device-state +get, set  ")
        listed = json.loads(self.vfu("feature", self.dev, "--json"))
        self.assertEqual([(f["index"], f["get"], f["set"]) for f in listed],
                         [(1, True, False), (2, True, True), (6, False, True),
                          (7, False, True), (8, True, False)])

    def test_a_server_without_features_has_none(self):
        with harness.odd_server(self.path("odd"), harness.Device().serve, clients=2):
            listed = json.loads(self.vfu("feature", self.path("odd"), "-j"))
            self.assertFalse(any(f["get"] or f["set"] for f in listed))
            self.assertIn("Features: none", self.vfu("info", self.path("odd")))

    def test_gets_data_and_its_meaning(self):
        self.assertEqual(json.loads(self.vfu("feature", self.dev, "mig-device-state", "-j")),
                         {"index": 2, "name": "mig-device-state",
                          "data": "0200000000000000", "meaning": "RUNNING"})
        self.assertTrue(self.vfu("feature", self.dev, "1", "get").startswith("STOP_COPY"))

    def test_sets_states_by_name_and_by_bytes(self):
        self.vfu("feature", self.dev, "mig-device-state", "set", "stop")
        self.vfu("feature", self.dev, "2", "set", "0100000000000000")

    def test_probe_tells_methods(self):
        self.assertEqual(self.vfu("feature", self.dev, "migration", "probe"), "get\n")
        self.assertIn("no feature 99", self.refusal("feature", self.dev, "99", "probe",
                                                    status=REFUSED))

    def test_refusals_and_mistakes_are_told_in_words(self):
        for words, status, sentence in (
                (("99",), REFUSED, "getting 99"),
                (("mig-device-state", "set", "RUNNING_P2P"), REFUSED, "the server refused"),
                (("migration", "set", "00"), REFUSED, "the server refused"),
                (("65536",), USAGE, "too large"),
                (("nonsense",), USAGE, "is no feature"),
                (("1", "put"), USAGE, "none of get, set and probe"),
                (("1", "get", "0"), USAGE, "two digits"),
                (("1", "get", "0g"), USAGE, "not hexadecimal"),
                (("2", "set", "STOPPED"), USAGE, "'STOPPED' is no state of migration"),
                (("2", "set", "abc"), USAGE, "two digits"),
                (("1", "probe", "00"), USAGE, "takes no data")):
            with self.subTest(words=words):
                self.assertIn(sentence, self.refusal("feature", self.dev, *words,
                                                     status=status))


if __name__ == "__main__":
    harness.main()
