# SPDX-License-Identifier: BSD-3-Clause
"""vfu bench: what it measures is there, in order, and nothing is judged by its speed."""

import contextlib
import json
import os
import time

import harness
import sessions
from harness import LOST, REFUSED, USAGE


class Bench(sessions.Case):
    def setUp(self):
        super().setUp()
        self.dev = self.server()

    def bench(self, *words):
        return json.loads(self.vfu("bench", "--json", "--count", 62, *words))

    def test_default_reads_and_maps(self):
        results = self.bench(self.dev)
        self.assertEqual(
            {(r["operation"], r["bytes"], r["subject"]) for r in results},
            {(name, size, who) for size in (4, 64, 256) for name, who in
             (("read", "server"), ("read", "bare socket"), ("pipelined read", "server"))}
            | {("DMA map and unmap", 0, "server")})
        for r in results:
            self.assertEqual(r["samples"], 62)
            self.assertTrue(0 < r["p50_ns"] <= r["p90_ns"] <= r["p99_ns"] <= r["max_ns"], r)
            ratios = r.get("to_echo")
            self.assertEqual(ratios is not None,
                             r["operation"] == "read" and r["subject"] == "server")
            if ratios:
                self.assertTrue(0 < ratios["lower_quartile"] <= ratios["median"]
                                <= ratios["upper_quartile"], r)

    def test_everything_can_be_asked_for(self):
        self.vfu("write", "--fill", "0x5a", "--length", 4096, self.dev, "bar1", 0)
        before = self.vfu("read", self.dev, "bar1", 0, 4096)
        results = self.bench("--region", "bar1", "--sizes", "4,4096", "--write",
                             "--pipeline", 7, "--irq", "intx", "--migration", self.dev)
        self.assertEqual({r["operation"] for r in results},
                         {"read", "pipelined read", "write", "posted write",
                          "DMA map and unmap", "interrupt", "migration read"})
        self.assertEqual(self.vfu("read", self.dev, "bar1", 0, 4096), before)
        migration = results[-1]
        self.assertGreater(migration["bytes"], 0)
        self.assertGreater(migration["seconds"], 0)
        self.assertRegex(self.vfu("info", self.dev), "RUNNING")

    def test_device_is_left_as_it_was(self):
        recorder = self.recorder(self.dev, "--once")
        self.vfu("bench", "--count", 31, "--sizes", 4, "--irq", "intx", "--migration",
                 recorder.path)
        recorder.ended()
        said = [json.loads(line) for line in self.vfu("decode", "--json",
                                                      "rec.pcapng").splitlines()]
        last = {r["message"]["name"]: r["message"]["body"] for r in said
                if r["kind"] == "message" and r["to"] == "server"
                and "body" in r["message"]}
        self.assertEqual([last["DEVICE_SET_IRQS"][name] for name in ("flags", "count")],
                         [0x21, 0])
        self.assertEqual(last["DEVICE_FEATURE"]["device_state"], 2)

    def test_two_servers_are_compared(self):
        other = self.server("other.sock")
        results = self.bench("--vs", other, "--sizes", 4, self.dev)
        seconds = [r for r in results if r["subject"] == "second"]
        self.assertEqual(len(seconds), 3)
        self.assertTrue(all("to_first" in r for r in seconds))
        self.assertFalse(any("to_first" in r for r in results if r["subject"] == "first"))

    def test_text_is_a_table(self):
        lines = self.vfu("bench", "--count", 31, "--sizes", 4, self.dev).splitlines()
        self.assertRegex(lines[0], r"^operation +bytes +of +p50 +p90 +p99 +max")
        self.assertRegex(lines[1], r"^read +4 +server +[\d.]+ +[\d.]+ .*\d \(.*-.*\)$")
        self.assertIn("microseconds", lines[-1])

    def idle_descriptors(self, pid):
        """How many the server holds once its last client's sockets are closed."""
        deadline = time.monotonic() + harness.DEADLINE
        while True:
            held = []
            for name in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(FileNotFoundError):
                    held.append(os.readlink(f"/proc/{pid}/fd/{name}"))
            if sum(link.startswith("socket:") for link in held) <= 1:   # it listens
                return len(held)
            self.assertLess(time.monotonic(), deadline, held)
            time.sleep(0.01)

    def test_nothing_is_left_in_the_server(self):
        server = harness.Server(self.folder, "counted.sock")
        self.addCleanup(server.stop)
        self.vfu("info", server.path)
        before = self.idle_descriptors(server.process.pid)
        self.bench("--irq", "msix", server.path)
        self.assertEqual(self.idle_descriptors(server.process.pid), before)

    def test_refusals_name_the_operation(self):
        said = self.refusal("bench", "--region", "rom", "--sizes", 4, "--write",
                            "--count", 31, self.dev, status=REFUSED)
        self.assertIn("write of 4 bytes", said)
        said = self.refusal("bench", "--sizes", "64K", "--count", 31, self.dev,
                            status=USAGE)
        self.assertIn("read of 65536 bytes", said)

    def test_careless_users_are_told(self):
        for words in (("--count", 0), ("--sizes", ","), ("--sizes", "0"),
                      ("--sizes", "4,4,4,4,4,4,4,4,4"), ("--pipeline", 257),
                      ("--region", "bar7"), ("--irq", "fast"), ("--sizes", "4,x")):
            self.refusal("bench", *words, self.dev, status=USAGE)
        self.refusal("bench", self.path("none.sock"), status=LOST)
        self.refusal("bench", "--vs", self.path("none.sock"), self.dev, status=LOST)


if __name__ == "__main__":
    harness.main()
