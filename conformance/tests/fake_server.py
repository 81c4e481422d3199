#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A small vfio-user server that misbehaves on demand, for tests of the runner.

    fake_server.py [MODE] SOCKET

Serves one client at a time. It knows VERSION and GET_INFO; to any other command it
answers an error, except that REGION_READ is the trigger of what MODE asks for:

    ok          nothing unusual
    crash       dies of SIGSEGV                 abort    ... of SIGABRT
    exit3       exits with status 3             quit     ... with status 0
    hang        stops doing anything            silent   does not answer this command
    garbage     answers bytes that are no message
    close       closes the connection
    asan        prints a report like AddressSanitizer's and exits with 1
    ubsan       prints one like UBSan's and goes on
    flood       prints a megabyte
    marker      creates SOCKET.marker, then does nothing until it is killed
    twice       answers twice
    env         prints the sanitizers' options
    control     prints control characters

Others act at other times:

    puppet          sends the body of any other command as it is; "close": closes
    touchy touchy0  dies of SIGSEGV on GET_REGION_INFO, or exits with 0
    leave0 leave3   exit with 0 or 3 when a client has left
    accept          closes every connection at once
    busy            refuses (closes) a second client while one is served, and is slow
                    to notice that one has left
    refuse          like busy, but answers the second client's VERSION with an error, and
                    so for a while after the first has left
    never           answers every VERSION with an error
    slow            takes 20 ms for every answer
    float           says its limits as 4096.0 and 1e6
    once0           exits with 0 when its first client has left, then stays
    daemon1 daemon2 goes to the background with one fork, or two and a session of its own
    leak            prints a report like LeakSanitizer's when it is told to end
    deaf            does not end on SIGTERM
    mute            never listens        early    exits at once with 1
"""
import errno
import os
import select
import signal
import socket
import struct
import sys
import time

VERSION, GET_INFO, GET_REGION_INFO, REGION_READ = 1, 4, 5, 9


class Left(Exception):
    pass


def say(text):
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def answer(conn, mid, command, body=b"", error=0):
    flags = 0x21 if error else 1
    conn.sendall(struct.pack("<HHIII", mid, command, 16 + len(body), flags, error) + body)


def trigger(mode, conn, mid, path):
    if mode == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif mode == "abort":
        os.abort()
    elif mode == "exit3":
        os._exit(3)
    elif mode == "quit":
        os._exit(0)
    elif mode == "hang":
        while True:
            time.sleep(60)
    elif mode == "silent":
        return
    elif mode == "garbage":
        conn.sendall(b"\0" * 64)
        return
    elif mode == "close":
        raise Left
    elif mode == "asan":
        say("==7==ERROR: AddressSanitizer: heap-use-after-free on address 0x1\n    #0 0x1 in f")
        os._exit(1)
    elif mode == "ubsan":
        say("fake.c:12:3: runtime error: signed integer overflow")
    elif mode == "flood":
        for i in range(16384):
            sys.stderr.write("line %06d of the flood ......................................\n" % i)
        sys.stderr.flush()
    elif mode == "marker":
        with open(path + ".marker", "w") as f:
            f.write(str(os.getpid()))
        while True:
            time.sleep(60)
    elif mode == "twice":
        answer(conn, mid, REGION_READ, error=errno.EINVAL)
    elif mode == "env":
        say("ASAN_OPTIONS=%s" % os.environ.get("ASAN_OPTIONS"))
    elif mode == "control":
        sys.stderr.buffer.write(b"bell \x07 escape \x1b[1m zero \x00 high \xff <&>\n")
        sys.stderr.flush()
    answer(conn, mid, REGION_READ, error=errno.EINVAL)


def receive(conn, size):
    data = b""
    while len(data) < size:
        more = conn.recv(size - len(data))
        if not more:
            raise Left
        data += more
    return data


def serve(mode, conn, path):
    while True:
        mid, command, size, flags, _ = struct.unpack("<HHIII", receive(conn, 16))
        body = receive(conn, size - 16)
        if flags & 0x10:
            continue
        if mode == "slow":
            time.sleep(0.02)
        if command == VERSION and mode == "never":
            answer(conn, mid, command, error=errno.EBUSY)
        elif command == VERSION and mode == "float":
            answer(conn, mid, command, body[:4] + b'{"capabilities":{"max_msg_fds":8.0,'
                   b'"max_data_xfer_size":1e6}}\0')
        elif command == VERSION:
            answer(conn, mid, command, body[:4] + b'{"capabilities":{"max_msg_fds":8}}\0')
        elif command == GET_INFO:
            answer(conn, mid, command, struct.pack("<IIII", 16, 2, 9, 5))
        elif command == GET_REGION_INFO and mode == "touchy":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif command == GET_REGION_INFO and mode == "touchy0":
            os._exit(0)
        elif mode == "puppet":
            if body == b"close":
                raise Left
            conn.sendall(body)
        elif command == REGION_READ:
            trigger(mode, conn, mid, path)
        else:
            answer(conn, mid, command, error=errno.ENOTSUP)


class Busy:
    """A connection that turns others away while it waits, and for a while after its end."""

    def __init__(self, listener, conn, says_so):
        self.listener, self.conn, self.says_so = listener, conn, says_so

    def refuse(self, other):
        try:
            if self.says_so:
                mid, command, size, _, _ = struct.unpack("<HHIII", receive(other, 16))
                receive(other, size - 16)
                answer(other, mid, command, error=errno.EBUSY)
        except (Left, ConnectionError):
            pass
        other.close()

    def refuse_others(self, wait_for, seconds):
        deadline = seconds and time.monotonic() + seconds
        while True:
            left = deadline and max(deadline - time.monotonic(), 0)
            ready, _, _ = select.select([self.listener] + wait_for, [], [], left)
            if self.listener in ready:
                self.refuse(self.listener.accept()[0])
            if not ready or self.conn in ready:
                return

    def recv(self, size):
        self.refuse_others([self.conn], None)
        data = self.conn.recv(size)
        if not data:
            self.refuse_others([], 0.1)
        return data

    def sendall(self, data):
        self.conn.sendall(data)

    def close(self):
        self.conn.close()


def first_of_all(path):
    """Once in the life of the directory of the socket."""
    try:
        os.close(os.open(path + ".once", os.O_CREAT | os.O_EXCL))
        return True
    except FileExistsError:
        return False


def to_background(forks):
    for _ in range(forks):
        if os.fork() != 0:
            os._exit(0)
        if forks > 1:
            os.setsid()


def end(mode):
    if mode == "leak":
        say("==9==ERROR: LeakSanitizer: detected memory leaks")
    os._exit(0)


def main():
    mode = sys.argv[1] if len(sys.argv) > 2 else "ok"
    path = sys.argv[-1]
    if mode == "early":
        say("cannot do anything")
        sys.exit(1)
    if mode == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: end(mode))
    if mode == "mute":
        while True:
            time.sleep(60)
    if mode in ("daemon1", "daemon2"):
        to_background(int(mode[-1]))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(8)
    while True:
        conn, _ = listener.accept()
        if mode == "accept":
            conn.close()
            continue
        if mode in ("busy", "refuse"):
            conn = Busy(listener, conn, mode == "refuse")
        try:
            serve(mode, conn, path)
        except (Left, ConnectionError):
            pass
        conn.close()
        if mode in ("leave0", "leave3") or mode == "once0" and first_of_all(path):
            os._exit(int(mode[-1]))


main()
