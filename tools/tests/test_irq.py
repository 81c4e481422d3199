# SPDX-License-Identifier: BSD-3-Clause
"""vfu irq: on the sample device, and on servers that mask, that ask, that leave.

    test_irq.py VFU SERVER ROOT [unittest arguments]
"""

import array
import contextlib
import json
import os
import resource
import signal
import socket
import struct
import subprocess

import harness
from harness import FAILED, LOST, OK, REFUSED, USAGE

EVENTFD, MASKABLE, AUTOMASKED = 1, 2, 4
DATA_NONE, DATA_EVENTFD = 1, 4
MASK, UNMASK, TRIGGER = 8, 0x10, 0x20
DMA_READ = 11


class FdPeer(harness.Peer):
    """One that takes descriptors; .fds are those that came and nobody took."""

    def __init__(self, sock):
        super().__init__(sock)
        self.fds = []

    def receive(self, n):
        data = b""
        while len(data) < n:
            part, ancillary, _, _ = self.sock.recvmsg(n - len(data), socket.CMSG_SPACE(4 * 253))
            if not part:
                raise ConnectionError("the client has left")
            data += part
            for _, _, rights in ancillary:
                fds = array.array("i")
                fds.frombytes(rights)
                self.fds.extend(fds)
        return data


class Signaller(harness.Device):
    """A device with interrupts. .after(peer) is called behind each SET_IRQS."""
    irq_flags = EVENTFD
    max_msg_fds = 8

    def __init__(self, vectors):
        super().__init__()
        self.vectors = vectors
        self.eventfds = {}          # (index, vector): descriptor
        self.actions = []           # (action, index, first, count)
        self.peer = None

    def serve(self, peer):
        self.peer = FdPeer(peer.sock)
        self.peer.negotiate({"max_msg_fds": self.max_msg_fds})
        try:
            with contextlib.suppress(ConnectionError):
                while True:
                    msg_id, command, flags, body = self.peer.request()
                    self.commands.append(command)
                    if command != harness.SET_IRQS:
                        self.answer(self.peer, msg_id, command, flags, body)
                        continue
                    self.peer.reply(msg_id, command, error=self.set_irqs(body))
                    self.after(self.peer)
        finally:
            for fd in list(self.eventfds.values()) + self.peer.fds:
                os.close(fd)

    def get_irq_info(self, body):
        index = struct.unpack_from("<I", body, 8)[0]
        count = self.vectors.get(index, 0)
        return struct.pack("<IIII", 16, self.irq_flags if count else 0, index, count)

    def set_irqs(self, body):
        _, flags, index, start, count = struct.unpack_from("<IIIII", body)
        self.actions.append((flags & 0x38, index, start, count))
        if flags & DATA_EVENTFD:
            assert len(self.peer.fds) == count, (len(self.peer.fds), count)
            assert count <= self.max_msg_fds
            for vector in range(start, start + count):
                self.eventfds[index, vector] = self.peer.fds.pop(0)
        elif flags & TRIGGER:
            for vector in range(start, start + count):
                self.fire(index, vector)
        return 0

    def fire(self, index, vector, count=1):
        os.write(self.eventfds[index, vector], struct.pack("=Q", count))

    def after(self, peer):
        pass


class Running:
    """vfu irq that is not waited for."""

    def __init__(self, case, *words):
        self.case = case
        self.process = subprocess.Popen([harness.VFU, "irq", *map(str, words)], text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        stdin=subprocess.DEVNULL)
        case.addCleanup(self.process.kill)

    def line(self):
        return self.process.stdout.readline()

    def end(self, status):
        out, err = self.process.communicate(timeout=harness.DEADLINE)
        self.case.no_report(err)
        self.case.assertEqual(self.process.returncode, status, out + err)
        return out, err


class Sample(harness.Case):
    def lines(self, *words, status=OK):
        return [json.loads(line) for line in
                self.vfu("irq", *words, "--json", status=status).splitlines()]

    def test_the_best_index_is_taken_and_all_vectors_fire(self):
        text = self.vfu("irq", self.server(), "--trigger", "--count", "4")
        first, *middle, summary, v0, v1, v2, v3 = text.splitlines()
        self.assertEqual(first, "msix: waiting for vectors 0 to 3 of 4")
        self.assertEqual(len(middle), 4)
        for vector, line in enumerate(middle):
            self.assertRegex(line, r"^ +\d+\.\d{6} s  msix %d  \+1  total 1$" % vector)
        self.assertRegex(summary, r"^msix: 4 interrupts in \d+\.\d s")
        self.assertEqual([v0, v1, v2, v3], ["  vector %d: 1" % i for i in range(4)])

    def test_a_register_provokes_the_device(self):
        lines = self.lines(self.server(), "msix", "2", "--write", "bar0:0x30=2", "--write",
                           "bar0:0x34=1000", "--count", "1")
        assigned, interrupt, summary = lines
        self.assertEqual((assigned["event"], assigned["irq"], assigned["index"],
                          assigned["first"], assigned["count"]), ("assigned", "msix", 2, 2, 1))
        self.assertEqual((interrupt["event"], interrupt["vector"], interrupt["count"],
                          interrupt["total"]), ("interrupt", 2, 1, 1))
        self.assertGreaterEqual(interrupt["time"], 0.001)
        self.assertEqual((summary["event"], summary["count"]), ("summary", 1))
        self.assertEqual(summary["vectors"][0]["vector"], 2)

    def test_every_index_of_the_sample_can_be_watched(self):
        server = self.server()
        for index, name in (("intx", "intx"), ("0", "intx"), ("msi", "msi"), ("MSIX", "msix"),
                            ("2", "msix")):
            self.assertIn("%s: 1 interrupt in " % name,
                          self.vfu("irq", server, index, "0", "-T", "-n", "1"))

    def test_vectors_that_were_not_asked_for_stay_silent(self):
        lines = self.lines(self.server(), "msix", "1-2", "--trigger", "--count", "2")
        self.assertEqual([line["vector"] for line in lines if line["event"] == "interrupt"],
                         [1, 2])
        self.assertEqual([v["vector"] for v in lines[-1]["vectors"]], [1, 2])

    def test_time_ends_it(self):
        lines = self.lines(self.server(), "--for", "0.2")
        self.assertEqual([line["event"] for line in lines], ["assigned", "summary"])
        self.assertGreaterEqual(lines[-1]["time"], 0.2)

    def test_too_few_interrupts_are_an_exit_code(self):
        text = self.refusal("irq", self.server(), "--for", "0.2", "--count", "5", "--trigger",
                            status=REFUSED)
        self.assertEqual(text, "vfu irq: 4 of 5 interrupts came\n")

    def test_a_signal_ends_it_with_a_summary(self):
        for number in signal.SIGINT, signal.SIGTERM:
            running = Running(self, self.server("s%d" % number), "--count", "2")
            self.assertIn("waiting for vectors", running.line())
            running.process.send_signal(number)
            out, err = running.end(OK)
            self.assertRegex(out, r"^msix: 0 interrupts in ")
            self.assertEqual(err, "")

    def test_each_interrupt_is_shown_when_it_fires(self):
        running = Running(self, self.server(), "msix", "0", "--write", "bar0:0x34=1")
        self.assertIn("waiting", running.line())
        self.assertIn("msix 0  +1  total 1", running.line())     # though it goes on
        running.process.send_signal(signal.SIGINT)
        running.end(OK)

    def test_quiet_shows_rates_only(self):
        text = self.vfu("irq", self.server(), "-q", "--interval", "0.1", "--for", "0.35",
                        "--trigger")
        lines = text.splitlines()
        self.assertRegex(lines[1], r"^ +\d+\.\d{6} s  rates: msix 0 \d+\.\d/s, msix 1 \d")
        self.assertRegex(lines[2], r"^msix: 4 interrupts in \d+\.\d s \(\d+\.\d/s\)$")
        running = Running(self, self.path("dev.sock"), "-q", "-i", "0.05", "-T", "--json")
        assigned, first, second = (json.loads(running.line()) for _ in range(3))
        running.process.send_signal(signal.SIGINT)
        running.end(OK)
        self.assertEqual([assigned["event"], first["event"], second["event"]],
                         ["assigned", "rates", "rates"])
        self.assertEqual([v["count"] for v in first["vectors"]], [1, 1, 1, 1])
        self.assertEqual(second["vectors"], [])
        self.assertGreater(first["vectors"][0]["per_second"], 0)

    def test_a_reader_that_leaves_ends_it(self):
        running = Running(self, self.server(), "msix", "0", "--write", "bar0:0x34=300000")
        running.line()
        running.process.stdout.close()
        self.assertEqual(running.process.wait(harness.DEADLINE), FAILED)
        running.process.stderr.close()

    def test_a_reader_that_leaves_ends_it_when_there_is_nothing_to_say(self):
        running = Running(self, self.server(), "msix")
        running.line()
        running.process.stdout.close()
        self.assertEqual(running.process.wait(harness.DEADLINE), FAILED)
        running.process.stderr.close()


class Careless(harness.Case):
    def misuse(self, words, text, status=USAGE):
        self.assertIn(text, self.refusal("irq", *words, status=status))

    def test_what_is_not_there_is_named(self):
        server = self.server()
        self.misuse([server, "msix", "4"], "msix has no vector 4: there are 4, from 0 on")
        self.misuse([server, "msix", "0-4"], "msix has no vector 4")
        self.misuse([server, "intx", "1"], "intx has no vector 1: there is 1, from 0 on")
        self.misuse([server, "msix", "3-1"], "the last one comes first")
        self.misuse([server, "msix", "-1"], "no option -1")
        self.misuse([server, "msix", "1-"], "LAST: '' is no number")
        self.misuse([server, "msix", "x"], "FIRST: 'x' is no number")
        self.misuse([server, "irq"], "'irq' is no interrupt")
        self.misuse([server, "77"], "77")
        self.misuse([server, "msix", "0", "1"], "one argument too many")
        self.misuse([self.path("nothing")], "no such socket", LOST)

    def test_options_are_checked_before_anything_is_done(self):
        nowhere = self.path("nothing")
        self.misuse([nowhere, "--count", "0"], "nothing to wait for")
        self.misuse([nowhere, "--interval", "0"], "in no time there is no rate")
        self.misuse([nowhere, "--for", "soon"], "no time in seconds")
        self.misuse([nowhere, "--write", "bar0:0x30"], "is not REGION:OFFSET=VALUE[:WIDTH]")
        self.misuse([nowhere, "--write", "bar0=1:4"], "is not REGION:OFFSET=VALUE[:WIDTH]")
        self.misuse([nowhere, "--write", "bar9:0=1"], "'bar9' is no region")
        self.misuse([nowhere, "--write", "bar0:0=256:1"], "at most 0xff ")
        self.misuse([nowhere, "--write", "bar0:0=0x100000000"], "at most 0xffffffff ")
        self.misuse([nowhere, "--write", "bar0:0=0xffffffffffffffff:8"], "no such socket", LOST)
        self.misuse([nowhere, "--write", "bar0:0=1:3"], "3")
        self.misuse([nowhere, "--write", "bar0:x=1"], "'x' is no number")
        self.misuse([nowhere, "--write", "bar0:0=" + 200 * "1"], "is not REGION")

    def test_a_refused_write_ends_it(self):
        self.misuse([self.server(), "--write", "bar0:0x30=9"], "writing bar0+0x30: ", REFUSED)
        self.misuse([self.path("dev.sock"), "--write", "rom:0=9"], "writing rom+0x0: ",
                    REFUSED)

    def test_a_write_beside_the_regions_is_refused_before_anything_is_done(self):
        for write, text in (("bar3:0=9", "--write: the device has no bar3"),
                            ("bar0:0xffd=9", "--write: bar0 has 0x1000 bytes: 4 at 0xffd"),
                            ("9:0=9", "--write: region 9: there is no region 9")):
            with harness.odd_server(self.path("odd"), Signaller({2: 1}).serve):
                done = self.call("irq", self.path("odd"), "--write", write)
            self.assertEqual((done.returncode, done.stdout), (USAGE, ""))
            self.assertIn(text, done.stderr)

    def test_devices_without_interrupts_are_refused(self):
        path = self.path("odd.sock")
        for vectors, words, text in (({}, [], "neither MSI-X, MSI nor INTx"),
                                     ({0: 1}, ["msix"], "the device has no msix")):
            with harness.odd_server(path, Signaller(vectors).serve):
                self.misuse([path, *words], text, REFUSED)
        made = Signaller({2: 4})
        made.irq_flags = MASKABLE
        with harness.odd_server(path, made.serve):
            self.misuse([path], "msix: the server signals no eventfds", REFUSED)


class Odd(harness.Case):
    def run_on(self, made, *words, status=OK, **more):
        path = self.path("odd.sock")
        with harness.odd_server(path, made.serve):
            return self.call("irq", path, *words, **more), status

    def check(self, made, *words, status=OK, **more):
        done, status = self.run_on(made, *words, status=status, **more)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def test_the_next_best_index_is_taken(self):
        for vectors, name in (({0: 1}, "intx"), ({0: 1, 1: 8}, "msi"), ({2: 2, 1: 1}, "msix")):
            done = self.check(Signaller(vectors), "--trigger", "--count", "1")
            self.assertTrue(done.stdout.startswith(name + ": waiting"), done.stdout)

    def test_automasked_interrupts_are_unmasked_each_time(self):
        class Masking(Signaller):
            irq_flags = EVENTFD | MASKABLE | AUTOMASKED
            left = 3

            def after(self, peer):
                # The first one when assigned, the others only after an unmask.
                if self.left > 0 and self.actions[-1][0] in (TRIGGER, UNMASK):
                    self.left -= 1
                    self.fire(0, 0)

        made = Masking({0: 1})
        done = self.check(made, "--count", "3")
        self.assertIn("intx 0  +1  total 3\n", done.stdout)
        self.assertEqual(made.actions.count((UNMASK, 0, 0, 1)), 3)

    def test_interrupts_that_come_together_are_counted(self):
        class Bursting(Signaller):
            def after(self, peer):
                self.fire(2, 1, 1000)

        done = self.check(Bursting({2: 2}), "--count", "500")
        self.assertIn("msix 1  +1000  total 1000\n", done.stdout)
        self.assertIn("  vector 1: 1000\n", done.stdout)
        self.assertNotIn("vector 0:", done.stdout)

    def test_requests_of_the_server_are_answered_meanwhile(self):
        class Asking(Signaller):
            answered = None

            def after(self, peer):
                peer.send(harness.header(77, DMA_READ, 16, flags=0)
                          + struct.pack("<QQ", 0x1000, 16))
                msg_id, command, flags, _ = peer.request()
                self.answered = msg_id, command, flags & 0x2f
                self.fire(2, 0)

        made = Asking({2: 1})
        done = self.check(made, "--count", "1")
        self.assertEqual(made.answered, (77, DMA_READ, 0x21))    # there is no such memory
        self.assertIn("msix: 1 interrupt in ", done.stdout)

    def test_a_server_that_leaves_is_noticed(self):
        class Leaving(Signaller):
            def after(self, peer):
                self.fire(2, 0, 2)
                raise ConnectionError("enough")

        done = self.check(Leaving({2: 1}), status=LOST)
        self.assertIn("vfu irq: waiting: ", done.stderr)
        self.assertIn("msix: 2 interrupts in ", done.stdout)    # those before count

    def test_many_vectors_need_more_descriptors_than_the_soft_limit(self):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and hard < 2048:
            self.skipTest("the hard limit of descriptors is %d" % hard)

        def few():
            resource.setrlimit(resource.RLIMIT_NOFILE, (256, 2048))

        made = Signaller({2: 600})
        done = self.check(made, "--trigger", "--count", "600", preexec_fn=few)
        self.assertIn("msix: 600 interrupts in ", done.stdout)

    def test_too_many_vectors_are_refused_in_words(self):
        def fewer():
            resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))

        done = self.check(Signaller({2: 600}), preexec_fn=fewer, status=FAILED)
        self.assertIn("vfu irq: assigning eventfds to msix: ", done.stderr)

    def test_a_server_that_refuses_eventfds_is_told_of(self):
        class Refusing(Signaller):
            def set_irqs(self, body):
                return 95

        done = self.check(Refusing({2: 1}), status=REFUSED)
        self.assertRegex(done.stderr, "assigning eventfds to msix: .*not supported")


if __name__ == "__main__":
    harness.main()
