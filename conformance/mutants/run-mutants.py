# SPDX-License-Identifier: BSD-3-Clause
"""Prove that the suites find what they look for, and nothing else.

    run-mutants.py RUNNER MUTANT_SERVER CATALOGUE [--suite DIR] [--jobs N] [--groups]
                   [--only FAULT,...] [--manners] [--verbose]

First the mutant server without a fault: every case must pass, without a warning. Then, for each
fault of its table, the cases of the requirement that it breaks: at least one of them must fail
(a SHOULD or MAY may end as a warning) and say the words that the table names. A fault that is
not found is a survivor. --groups runs the fault's whole group, and cases of other requirements
that turn red must be named in the table's `also`; and every single case must have been turned
red by something.

--manners runs all cases against the mutant server's manners instead: ways to serve that are
unusual and all right. Cases may be skipped then; none may fail or warn.

Last, every requirement that has a case must have a fault, or a reason in UNPROVABLE.
Exit status 0: all that holds.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree

# Requirements with a case that no wrong server can fail, and why.
UNPROVABLE = {}

SKIPS_ALLOWED = ("device_profile",)

Fault = collections.namedtuple("Fault", "name id words also text")
Case = collections.namedtuple("Case", "name id verdict said")


def requirement(name):
    """HDR-18 of a case named HDR-18.2."""
    return name.split(".")[0]


class Runs:
    def __init__(self, args):
        self.args = args

    def run(self, select, *options):
        """The cases of one run of the runner, with options for the server."""
        spawn = shlex.join((self.args.server, *options))
        with tempfile.TemporaryDirectory() as folder:
            report = os.path.join(folder, "report.xml")
            command = [self.args.runner, "--spawn", spawn + " {socket}", "--timeout", "1",
                       "--strict", "--junit", report]
            if select:
                command += ["--select", select]
            if self.args.suite:
                command += ["--suite", self.args.suite]
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, errors="replace", timeout=600, check=False)
            if self.args.verbose:
                print(done.stdout)
            if not os.path.exists(report):
                sys.exit("no report from %s:\n%s" % (shlex.join(command), done.stdout))
            return [self.case(e) for e in ElementTree.parse(report).iter("testcase")]

    @staticmethod
    def case(element):
        """What the case said is its message, its notes and the server's fate; not the text of
        the requirement, which would match too easily."""
        name = element.get("name").split(" ")[0]
        said = [e.text or "" for e in element.findall("system-out")]
        verdict = "pass"
        for kind in ("failure", "error", "skipped"):
            for e in element.findall(kind):
                verdict = {"failure": e.get("type", "fail"), "error": "error",
                           "skipped": "skip"}[kind]
                said.append(e.get("message") or "")
                said += [line for line in (e.text or "").splitlines()
                         if line.startswith("server: ")]
        if verdict == "pass" and "warning: " in "".join(said):
            verdict = "warn"
        return Case(name, requirement(name), verdict, "\n".join(said))


def read_faults(server):
    listed = subprocess.run([server, "--list"], stdout=subprocess.PIPE, text=True, check=True)
    return [Fault(*line.split("\t")) for line in listed.stdout.splitlines()]


def red(case):
    return case.verdict in ("fail", "warn", "error")


def judge(fault, level, cases):
    """None, or why the fault counts as a survivor."""
    own = [c for c in cases if c.id == fault.id]
    if not own:
        return "no case"
    wrong = [c for c in own if c.verdict == "error"]
    if wrong:
        return "%s is at fault itself: %s" % (wrong[0].name, wrong[0].said)
    found = [c for c in own if c.verdict == "fail" or c.verdict == "warn" and level != "MUST"]
    if not found:
        return "survived (%s)" % ", ".join("%s %s" % (c.name, c.verdict) for c in own)
    if not any(fault.words in c.said for c in found):
        return "found, but not by the words '%s': %s" % (fault.words, found[0].said.strip())
    return None


def stray(fault, cases):
    """Cases of other requirements that turned red and are not expected to."""
    if fault.also == "*":
        return []
    expected = set(fault.also.split(",")) | {fault.id}
    return [c for c in cases if red(c) and c.id not in expected]


def check_baseline(runs):
    cases = runs.run(None)
    bad = [c for c in cases if c.verdict != "pass" and
           not (c.verdict == "skip" and c.said.startswith(SKIPS_ALLOWED))]
    for c in bad:
        print("without a fault: %s is %s: %s" % (c.name, c.verdict, c.said.strip()))
    print("without a fault: %d cases, %d not passed" % (len(cases), len(bad)))
    return cases, not bad and bool(cases)


def check_fault(runs, args, level, fault):
    """What is wrong, line by line; how long it took in seconds; which cases turned red."""
    started = time.monotonic()
    cases = runs.run(fault.id.split("-")[0] if args.groups else fault.id, "--fault", fault.name)
    problems = []
    why = judge(fault, level, cases)
    if why:
        problems.append(why)
    if args.groups:
        problems += ["%s turned %s: %s" % (c.name, c.verdict, c.said.strip().split("\n")[0])
                     for c in stray(fault, cases)]
    return problems, time.monotonic() - started, {c.name for c in cases if red(c)}


def check_manners(runs, args):
    """True when no manner turns a case red."""
    listed = subprocess.run([args.server, "--list-manners"], stdout=subprocess.PIPE, text=True,
                            check=True)
    names = [line.split("\t")[0] for line in listed.stdout.splitlines()]
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        results = list(pool.map(lambda name: runs.run(None, "--manner", name), names))
    alarms = 0
    for name, cases in zip(names, results):
        bad = [c for c in cases if red(c)]
        alarms += len(bad)
        print("%-12s %3d cases, %2d skipped, %d false alarms" %
              (name, len(cases), sum(c.verdict == "skip" for c in cases), len(bad)))
        for c in bad:
            print("    %s %s: %s" % (c.name, c.verdict, c.said.strip().split("\n")[0]))
    return not alarms and all(results)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("runner")
    parser.add_argument("server")
    parser.add_argument("catalogue")
    parser.add_argument("--suite")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--groups", action="store_true")
    parser.add_argument("--only")
    parser.add_argument("--manners", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    with open(args.catalogue, encoding="utf-8") as f:
        levels = {r["id"]: r["level"] for r in json.load(f)}
    faults = read_faults(args.server)
    if args.only:
        faults = [f for f in faults if f.name in args.only.split(",")]
    runs = Runs(args)
    if args.manners:
        return 0 if check_manners(runs, args) else 1
    cases, good = check_baseline(runs)

    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        results = list(pool.map(lambda f: check_fault(runs, args, levels[f.id], f), faults))
    survivors = 0
    for fault, (problems, seconds, _) in zip(faults, results):
        print("%-8s %-24s %5.1f s  %s" % (fault.id, fault.name, seconds,
                                          problems[0] if problems else "found"))
        for p in problems[1:]:
            print("%43s%s" % ("", p))
        survivors += bool(problems)

    unproven = set()
    if not args.only:
        unproven = {c.id for c in cases} - {f.id for f in faults} - set(UNPROVABLE)
        for i in sorted(unproven):
            print("%s has cases and no fault that would prove them" % i)
    never = []
    if args.groups and not args.only:
        never = [c.name for c in cases if not any(c.name in turned for _, _, turned in results)]
        print("%d cases that no fault turns red: %s" % (len(never), " ".join(never) or "-"))
    print("%d faults, %d not found; %d requirements with cases, %d of them unproven" %
          (len(faults), survivors, len({c.id for c in cases}), len(unproven)))
    return 0 if good and not (survivors or unproven or never) else 1


if __name__ == "__main__":
    sys.exit(main())
