# SPDX-License-Identifier: BSD-3-Clause
"""The frame of vfu: help, options, exit codes, careless users, servers that misbehave.

usage: test_frame.py VFU SERVER ROOT [unittest arguments]
"""

import json
import os
import pty
import resource
import signal
import socket
import struct
import subprocess
import time
import unittest

import harness
from harness import FAILED, LOST, OK, REFUSED, USAGE


class Help(harness.Case):
    def test_goes_to_stdout_when_asked_for(self):
        for words in ("--help",), ("-h",), ("help",), ("help", "help"), ("help", "--help"):
            text = self.vfu(*words)
            self.assertTrue(text.startswith("usage: vfu COMMAND"))
            for line in "Commands:", "  info ", "Exit status:", "  3  wrong arguments":
                self.assertIn(line, text)

    def test_of_a_command_names_arguments_options_and_manual(self):
        for words in ("help", "read"), ("read", "--help"), ("-h", "read"), ("read", "a", "-h"):
            text = self.vfu(*words)
            self.assertTrue(text.startswith("usage: vfu read SOCKET REGION OFFSET"), text)
            for part in "-w, --width 1|2|4|8", "--timeout SECONDS", "--json", "man vfu-read":
                self.assertIn(part, text)

    def test_every_command_has_some_that_fits_a_terminal(self):
        for name in commands(self):
            text = self.vfu("help", name)
            self.assertTrue(text.startswith("usage: vfu " + name), text)
            for line in text.splitlines():
                self.assertLessEqual(len(line), 90, line)

    def test_version(self):
        for words in ("--version",), ("-V",):
            self.assertRegex(self.vfu(*words), r"^vfu \d+\.\d+\.\d+\n$")

    def test_nothing_at_all_is_misuse(self):
        done = self.call()
        self.assertEqual((done.returncode, done.stdout), (USAGE, ""))
        self.assertTrue(done.stderr.startswith("usage: vfu"))

    def test_an_unknown_command_suggests_near_ones(self):
        for typed, meant in (("inof", "info"), ("raed", "read"), ("confg", "config"),
                             ("feat", "feature"), ("watc", "watch"), ("wirte", "write")):
            self.assertIn("did you mean %s?" % meant, self.refusal(typed, status=USAGE))
            self.assertIn("did you mean %s?" % meant,
                          self.refusal("help", typed, status=USAGE))
        self.assertIn("--help", self.refusal("frobnicate", status=USAGE))
        self.refusal("x" * 5000, status=USAGE)
        self.refusal("", status=USAGE)
        self.refusal("help", "info", "read", status=USAGE)


def commands(case):
    listed = case.vfu("__complete", "1", "vfu", "").split()
    return [name for name in listed if name != "help"]


class Options(harness.Case):
    def setUp(self):
        super().setUp()
        self.dev = self.server()

    def test_stand_before_between_and_behind(self):
        want = self.vfu("read", self.dev, "bar0", "8", "--width", "4")
        for words in (("--width=4", self.dev, "bar0", "8"), (self.dev, "-w4", "bar0", "8"),
                      (self.dev, "bar0", "-w", "4", "--", "8"),
                      (self.dev, "bar0", "8", "--wid", "4", "--timeout=never"),
                      ("-t", "1.5", "--color=never", self.dev, "bar0", "8", "-w4")):
            self.assertEqual(self.vfu("read", *words), want)
        self.assertEqual(self.vfu("--timeout", "2", "read", self.dev, "bar0", "8", "-w4"),
                         want)
        json.loads(self.vfu("--json", "read", self.dev, "bar0", "8"))

    def test_end_at_two_dashes(self):
        self.assertIn("'-w' is no region",
                      self.refusal("read", "--", self.dev, "-w", "4", status=USAGE))

    def test_mistakes_are_told_in_words(self):
        for words, sentence in (
                (("info", "--tiemout", "3", "x"), "no option --tiemout; --timeout perhaps?"),
                (("info", "-q", "x"), "no option -q"),
                (("info", "x", "--timeout"), "--timeout wants a value"),
                (("info", "x", "-t"), "-t wants a value"),
                (("info", "x", "--json=yes"), "--json takes no value"),
                (("info", "x", "--", "--json"), "'--json' is one argument too many"),
                (("info", "-t", "0", "x"), "no answer comes in no time"),
                (("info", "-t", "soon", "x"), "'soon' is no time"),
                (("info", "-t", "-1", "x"), "'-1' is no time"),
                (("info", "-t", "1e9", "x"), "'1e9' is no time"),
                (("info", "-t", "99999999999", "x"), "too many"),
                (("info", "--color", "sometimes", "x"), "auto, always or never"),
                (("--frob", "info", "x"), "no option --frob"),
                (("reset", "--json", "x"), "reset has no --json"),
                (("dma", "--f", "x"), "more than one option begins with --f"),
                (("info", "--frob", "x"), "there is no option --frob\n"),
                (("--json", "reset", "x"), "has no --json"),
                (("info",), "what is it about? (SOCKET)"),
                (("migrate", "x"), "missing: save SOCKET FILE, or restore SOCKET FILE, or "
                                   "SOURCE DESTINATION\n"),
                (("migrate", "save", "x"), "missing: save SOCKET FILE"),
                (("record", "x", "x", "a.pcapng"), "same socket"),
                (("record", "x", "y", "a.lua", "a.lua"), "a.lua is there twice"),
                (("bench", "x", "-n", "0"), "--count: at least 1")):
            with self.subTest(words=words):
                text = self.refusal(*words, status=USAGE)
                self.assertIn(sentence, text)

    def test_colours_are_for_terminals_only(self):
        self.assertNotIn("\033", self.vfu("info", self.dev))
        self.assertIn("\033[1m", self.vfu("info", self.dev, "--color=always"))
        for environment, colours in (({}, True), ({"NO_COLOR": "1"}, False),
                                     ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)):
            text = self.on_terminal("info", self.dev, environment=environment)
            self.assertEqual("\033[1m" in text, colours, environment)
        self.assertNotIn("\033", self.on_terminal("info", self.dev, "--color", "never"))

    def on_terminal(self, *words, environment=None):
        """Run it with a terminal for stdout and stderr; gives what appears there."""
        ours, theirs = pty.openpty()
        env = {**os.environ, "NO_COLOR": "", "TERM": "xterm", **(environment or {})}
        process = subprocess.Popen([harness.VFU, *words], stdout=theirs, stderr=theirs,
                                   stdin=subprocess.DEVNULL, env=env)
        os.close(theirs)
        text = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:     # EIO: the last one has closed the terminal
                break
            if not part:
                break
            text += part
        os.close(ours)
        self.assertEqual(process.wait(harness.DEADLINE), OK, text)
        return text.decode()

    def test_progress_is_for_terminals_only(self):
        words = ("read", self.dev, "bar1", "0", "end", "-o", self.path("out"))
        self.assertEqual(self.call(*words).stderr, "")
        text = self.on_terminal(*words)
        self.assertRegex(text, r"\rbar1: +\d+% of 2097152 bytes")
        self.assertTrue(text.endswith("\r\033[K"), text)    # it was taken away


class Careless(harness.Case):
    def test_sockets_that_are_none(self):
        for path, status, sentence in (
                (self.path("nothing"), LOST, "there is no such socket"),
                (self.path("no/where"), LOST, "there is no such socket"),
                ("/etc/passwd", LOST, "is not a socket"),
                ("/etc/passwd/x", LOST, "Not a directory"),
                (self.folder, LOST, "is not a socket"),
                ("", USAGE, "path of the socket is empty"),
                ("/tmp/" + "x" * 200, USAGE, "long")):
            with self.subTest(path=path):
                self.assertIn(sentence, self.refusal("info", path, status=status))

    def test_a_socket_without_a_server(self):
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(self.path("dead"))
        listener.close()
        self.assertIn("nobody listens there",
                      self.refusal("info", self.path("dead"), status=LOST))

    def test_a_socket_of_another_kind(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(self.path("other"))
            listener.listen()
            self.assertIn("wrong type", self.refusal("info", self.path("other"), status=LOST))

    @unittest.skipIf(os.geteuid() == 0, "root may connect anywhere")
    def test_a_socket_that_is_not_ours(self):
        os.chmod(self.server(), 0)
        self.assertIn("Permission denied",
                      self.refusal("info", self.path("dev.sock"), status=LOST))

    def test_a_server_that_is_busy_with_another_client(self):
        dev = self.server()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
            other.connect(dev)
            peer = harness.Peer(other)
            body = struct.pack("<HH", 0, 0)
            peer.send(struct.pack("<HHIII", 1, harness.VERSION, 16 + len(body), 0, 0) + body)
            peer.receive(16)
            began = time.monotonic()
            text = self.refusal("info", dev, "-t", "0.3", status=LOST)
            self.assertIn("another client", text)
            self.assertLess(time.monotonic() - began, 10)
        self.vfu("info", dev)

    def test_standard_output_that_is_closed_full_or_left(self):
        dev = self.server()
        done = subprocess.run([harness.VFU, "info", dev], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False,
                              preexec_fn=lambda: os.close(1))
        self.assertEqual(done.returncode, FAILED)
        with open("/dev/full", "w", encoding="ascii") as full:
            done = self.call("info", dev, stdout=full)
        self.assertEqual(done.returncode, FAILED)
        self.assertIn("No space left", done.stderr)
        for words in ("config", dev), ("info", dev, "--json"), ("read", dev, "bar1", "0",
                                                                "end", "-o", "-"):
            ours, theirs = os.pipe()
            os.close(ours)
            with open(theirs, "w", encoding="ascii") as left:
                done = self.call(*words, stdout=left)
            self.assertEqual(done.returncode, FAILED, words)

    def test_lost_output_is_told_whenever_it_was_lost(self):
        dev = self.server()
        for words in (("info", dev, "--json"), ("config", dev, "--json"),
                      ("read", dev, "bar1", "0", "end", "-o", "-"),
                      ("read", dev, "bar1", "0", "1M", "-w4")):
            with open("/dev/full", "w", encoding="ascii") as full:
                done = self.call(*words, stdout=full)
            self.assertEqual(done.returncode, FAILED)
            self.assertIn("vfu %s: standard output: " % words[0], done.stderr)

    def test_nothing_takes_the_place_of_a_missing_standard_descriptor(self):
        dev = self.server()

        def close_all():
            os.closerange(0, 3)
        for close, said in ((lambda: os.close(1), "standard output: "),
                            (close_all, "")):
            done = subprocess.run([harness.VFU, "irq", dev, "--trigger", "--count", "4"],
                                  stderr=subprocess.PIPE, check=False, text=True,
                                  preexec_fn=close, timeout=harness.DEADLINE)
            self.assertEqual(done.returncode, FAILED, done.stderr)
            self.assertIn(said, done.stderr)
            self.assertNotIn("broken", done.stderr)
        done = subprocess.run([harness.VFU, "write", dev, "bar1", "0", "--input", "-"],
                              stderr=subprocess.PIPE, check=False, text=True,
                              preexec_fn=lambda: os.close(0), timeout=harness.DEADLINE)
        self.assertEqual(done.returncode, FAILED)
        self.assertIn("standard input: Bad file descriptor", done.stderr)

    def test_no_descriptors_left(self):
        dev = self.server()

        def few():
            resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4))
        # With three standard ones and a socket there is room for nothing that is passed.
        done = subprocess.run([harness.VFU, "info", dev], capture_output=True, text=True,
                              preexec_fn=few, timeout=harness.DEADLINE, check=False)
        self.assertIn(done.returncode, (LOST, FAILED), done.stderr)
        self.assertRegex(done.stderr, "^vfu")


class Misbehaving(harness.Case):
    """Servers from which nothing good comes."""

    def expect(self, serve, *words, status, sentence="", clients=1):
        with harness.odd_server(self.path("odd"), serve, clients):
            text = self.refusal(words[0], self.path("odd"), *words[1:], status=status)
        self.assertIn(sentence, text)

    def test_one_that_says_nothing(self):
        began = time.monotonic()
        self.expect(lambda peer: peer.wait_for_end(), "info", "-t", "0.2", status=LOST,
                    sentence="did not answer in time")
        self.assertLess(time.monotonic() - began, 10)

    def test_one_that_falls_silent(self):
        def serve(peer):
            peer.negotiate()
            peer.wait_for_end()
        for words in (("info",), ("config",), ("reset",), ("feature",),
                      ("read", "bar0", "0"), ("write", "bar0", "0", "1"),
                      ("watch", "bar0", "0")):
            self.expect(serve, *words, "-t", "0.2", status=LOST, sentence="in time")

    def test_one_that_is_interrupted(self):
        with harness.odd_server(self.path("odd"), lambda peer: peer.wait_for_end()):
            process = subprocess.Popen([harness.VFU, "info", self.path("odd"), "-t", "never"],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.addCleanup(process.kill)
            with self.assertRaises(subprocess.TimeoutExpired):
                process.wait(0.2)
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(harness.DEADLINE), -signal.SIGINT)
            process.stdout.close()
            process.stderr.close()

    def test_one_that_hangs_up(self):
        self.expect(lambda peer: None, "info", status=LOST)

        def serve(peer):
            peer.negotiate()
            peer.request()
        self.expect(serve, "info", status=LOST)

    def test_one_that_speaks_something_else(self):
        def web(peer):
            peer.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
            peer.wait_for_end()
        self.expect(web, "info", status=LOST)

    def test_one_that_refuses_everything(self):
        def serve(peer):
            msg_id, command, _, _ = peer.request()
            peer.reply(msg_id, command, error=22)
        self.expect(serve, "info", status=REFUSED, sentence="EINVAL")

        def later(peer):
            peer.negotiate()
            msg_id, command, _, _ = peer.request()
            peer.reply(msg_id, command, error=4711)
            peer.wait_for_end()
        self.expect(later, "info", status=REFUSED, sentence="refused")

    def test_one_whose_numbers_are_absurd(self):
        class Huge(harness.Device):
            num_regions = 0xffffffff
        self.expect(Huge().serve, "info", status=LOST)

        class Wild(harness.Device):
            def read(self, body):
                return body[:16] + bytes(100)
        self.expect(Wild().serve, "read", "bar0", "0", status=LOST)

    def test_one_that_does_not_describe_a_part(self):
        class Shy(harness.Device):
            def get_region_info(self, body):
                return 13 if body[8] == 3 else super().get_region_info(body)

            def get_irq_info(self, body):
                return 22 if body[8] == 4 else super().get_irq_info(body)
        with harness.odd_server(self.path("odd"), Shy().serve, clients=2):
            done = self.call("info", self.path("odd"))
            self.assertEqual(done.returncode, REFUSED)
            self.assertRegex(done.stdout, r"(?m)^ +3  bar3 .*refused \(EACCES\)$")
            self.assertRegex(done.stdout, r"(?m)^ +4  req .*refused \(EINVAL\)$")
            self.assertRegex(done.stdout, r"(?m)^ +7  config +256 B  rw ")
            self.assertIn("refused to describe 2 of", done.stderr)
            done = self.call("info", self.path("odd"), "--json")
            self.assertEqual(done.returncode, REFUSED)
            info = json.loads(done.stdout)
            self.assertIn("EACCES", info["regions"][3]["error"])
            self.assertEqual(info["regions"][3]["index"], 3)
            self.assertIn("EINVAL", info["irqs"][4]["error"])

    def test_one_that_takes_its_memory_away(self):
        size = 1 << 20
        file = os.memfd_create("shrinking")
        os.ftruncate(file, size)

        class Shrinking(harness.Device):
            def answer(self, peer, msg_id, command, flags, body):
                if command != harness.GET_REGION_INFO or body[8] != 1:
                    super().answer(peer, msg_id, command, flags, body)
                    return
                peer.reply(msg_id, command, fds=[file],
                           body=struct.pack("<IIIIQQ", 32, 7, 1, 0, size, 0))
        # A FIFO holds it up half-way: 64 KiB of 1 MiB fit into it.
        os.mkfifo(self.path("fifo"))
        with harness.odd_server(self.path("odd"), Shrinking().serve):
            process = subprocess.Popen(
                [harness.VFU, "read", self.path("odd"), "bar1", "0", "end", "-m", "-w8",
                 "-o", self.path("fifo")], stderr=subprocess.PIPE, text=True)
            self.addCleanup(process.kill)
            with open(self.path("fifo"), "rb", buffering=0) as reader:
                reader.read(1)
                os.ftruncate(file, 0)
                while reader.read(65536):
                    pass
            _, text = process.communicate(timeout=harness.DEADLINE)
        os.close(file)
        self.assertEqual(process.returncode, LOST, text)
        self.assertIn("taken away the memory", text)
        self.no_report(text)

    def test_a_mapping_is_written_from_what_has_a_size(self):
        dev = self.server()
        self.assertIn("size is known", self.refusal("write", dev, "bar2", "0", "-m", "-i",
                                                    "-", status=USAGE, input="x"))


if __name__ == "__main__":
    harness.main()
