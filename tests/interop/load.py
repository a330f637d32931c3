#!/usr/bin/env python3
"""Questions in numbers, each answer checked: n0 to n99999.numbers.test each have an address of their own, so that an
answer that belongs to another question is seen. Exits with 1 if anything is lost, wrong or late.

load.py flight ADDRESS PORT COUNT WINDOW    COUNT questions over UDP, WINDOW of them in flight at any time
load.py pipeline ADDRESS PORT COUNT         COUNT questions on one TCP connection, written before an answer is read
load.py steady ADDRESS PORT RATE FILE       RATE questions a second over UDP until FILE exists
load.py both ADDRESS PORT RATE TCP FILE     RATE questions a second over UDP and TCP of them over four connections, until FILE exists;
                                           a connection that ends is a failure
load.py popular ADDRESS PORT RATE FILE      RATE questions a second over UDP until FILE exists, 19 of 20 for one of 1,000 names
load.py until ADDRESS PORT RATE LOG TEXT    RATE questions a second, over UDP and TCP, until LOG has a line with TEXT

In `steady` and `until`, every other question is for slow.test, whose answers take their time.
"""

import os
import selectors
import socket
import struct
import sys
import time

PATIENCE = 8.0  # seconds from a question to its answer: longer than any limit of dotward's


def name(*labels):
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def question(number, slow=False):
    """The question section for a number, and the address that answers it."""
    zone = b"slow" if slow else b"numbers"
    section = name(b"n%d" % number, zone, b"test") + b"\0\1\0\1"
    return section, bytes([10, number >> 16, number >> 8 & 255, number & 255])


class Asker:
    """Questions in flight on some sockets: each is answered once, rightly, and in time."""

    def __init__(self):
        self.waiting = {}  # (socket, id) -> (question, address, when)
        self.sent = self.answered = self.strange = 0
        self.wrong = []
        self.slowest = 0.0
        self.next_id = 0

    def query(self, where, number, slow=False):
        section, address = question(number, slow)
        while (where, self.next_id) in self.waiting:
            self.next_id = self.next_id + 1 & 0xFFFF
        self.waiting[where, self.next_id] = section, address, time.monotonic()
        message = struct.pack("!HHHHHH", self.next_id, 0x0100, 1, 0, 0, 0) + section
        self.next_id = self.next_id + 1 & 0xFFFF
        self.sent += 1
        return message

    def answer(self, where, message):
        found = self.waiting.pop((where, int.from_bytes(message[:2], "big")), None)
        if found is None:
            self.strange += 1
            return
        section, address, when = found
        self.slowest = max(self.slowest, time.monotonic() - when)
        end = 12 + len(section)
        right = (
            message[2] & 0x82 == 0x80  # an answer, and not truncated
            and message[3] & 15 == 0
            and message[4:8] == b"\0\1\0\1"
            and message[12:end] == section
            and message[end + 12 : end + 16] == address
        )
        if right:
            self.answered += 1
        else:
            self.wrong.append(message.hex())

    def overdue(self):
        return any(time.monotonic() - when > PATIENCE for _, _, when in list(self.waiting.values())[:1])

    def close(self, what, forgiven=0):
        lost = len(self.waiting)
        print(
            f"{what}: {self.sent} sent, {self.answered} answered, {lost} lost, {len(self.wrong)} wrong, "
            f"{self.strange} unasked, slowest {self.slowest * 1000:.0f} ms"
        )
        for message in self.wrong[:3]:
            print("wrong:", message)
        sys.exit(self.sent == 0 or lost > forgiven or bool(self.wrong) or self.strange > 0)


def udp_socket(address, port):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    s.connect((address, port))
    s.setblocking(False)
    return s


def drain_udp(asker, s):
    while True:
        try:
            asker.answer(s, s.recv(4096))
        except BlockingIOError:
            return
        except ConnectionRefusedError:
            continue  # the port was closed for one question; it stays unanswered and is counted


def flight(address, port, count, window):
    """Eight sockets, so that one socket's buffer never decides."""
    asker, selector = Asker(), selectors.DefaultSelector()
    sockets = [udp_socket(address, port) for _ in range(8)]
    for s in sockets:
        selector.register(s, selectors.EVENT_READ)
    while True:
        while asker.sent < count and len(asker.waiting) < window:
            s = sockets[asker.sent % len(sockets)]
            s.send(asker.query(s, asker.sent * 7919 % 100_000))
        ready = selector.select(0.5)
        for key, _ in ready:
            drain_udp(asker, key.fileobj)
        if asker.sent == count and not asker.waiting or asker.overdue():
            asker.close(f"{window} in flight")


class Framed:
    """Answers from a TCP connection, each behind its two octets of length."""

    def __init__(self, address, port):
        self.socket = socket.create_connection((address, port), 5)
        self.socket.setblocking(False)
        self.buffer = b""

    def send(self, message):
        self.socket.setblocking(True)
        self.socket.sendall(len(message).to_bytes(2, "big") + message)
        self.socket.setblocking(False)

    def drain(self, asker):
        """False when the other side has closed."""
        while True:
            try:
                data = self.socket.recv(65536)
            except BlockingIOError:
                return True
            except ConnectionResetError:
                return False
            if not data:
                return False
            self.buffer += data
            while len(self.buffer) >= 2 and len(self.buffer) >= (end := 2 + int.from_bytes(self.buffer[:2], "big")):
                asker.answer(self, self.buffer[2:end])
                self.buffer = self.buffer[end:]


def pipeline(address, port, count):
    asker, link = Asker(), Framed(address, port)
    messages = [asker.query(link, number) for number in range(count)]
    link.socket.setblocking(True)
    link.socket.sendall(b"".join(len(m).to_bytes(2, "big") + m for m in messages))
    link.socket.setblocking(False)
    selector = selectors.DefaultSelector()
    selector.register(link.socket, selectors.EVENT_READ)
    open_ = True
    while asker.waiting and open_ and not asker.overdue():
        if selector.select(0.5):
            open_ = link.drain(asker)
    asker.close("pipelined")


def paced(address, port, rate, ended, tcp, number=lambda sent: sent % 100_000, slow=True, forgiven=1):
    """RATE questions a second until `ended()`, which is asked after each question; then the answers that are due.

    A question is counted as sent before the end when `ended()` still said no after it was sent: so the very last one
    may go unanswered.
    """
    asker, selector = Asker(), selectors.DefaultSelector()
    links = []
    for _ in range(4):
        s = udp_socket(address, port)
        links.append((s.send, s, lambda s=s: drain_udp(asker, s)))
        selector.register(s, selectors.EVENT_READ, len(links) - 1)
    if tcp:
        for _ in range(4):
            framed = Framed(address, port)
            links.append((framed.send, framed, lambda framed=framed: framed.drain(asker)))
            selector.register(framed.socket, selectors.EVENT_READ, len(links) - 1)

    def read(seconds):
        for key, _ in selector.select(seconds):
            if links[key.data][2]() is False:
                selector.unregister(key.fileobj)

    start = time.monotonic()
    while True:
        send, where, _ = links[asker.sent % len(links)]
        try:
            send(asker.query(where, number(asker.sent), slow=slow and asker.sent // len(links) % 2 == 0))
        except OSError:
            pass  # never reached a socket that anybody reads; it is counted as lost
        if ended():
            break
        while True:
            left = start + asker.sent / rate - time.monotonic()
            read(max(0, left))
            if left <= 0:
                break
    while asker.waiting and not asker.overdue() and selector.get_map():
        read(0.2)
    asker.close(f"{rate} a second for {time.monotonic() - start:.1f} s", forgiven)


def popular(sent):
    """One of 20 questions is for a name that nobody asked for before; the others are for names that somebody did."""
    return 1_000 + sent // 20 % 99_000 if sent % 20 == 0 else sent * 7919 % 1_000


def both(address, port, rate, tcp_rate, file):
    """In steps of ten milliseconds. Every socket has questions of its own, so that none decides alone."""
    asker, selector, ended = Asker(), selectors.DefaultSelector(), 0
    sockets = [udp_socket(address, port) for _ in range(8)]
    links = [Framed(address, port) for _ in range(4)]
    for s in sockets:
        selector.register(s, selectors.EVENT_READ, s)
    for link in links:
        selector.register(link.socket, selectors.EVENT_READ, link)

    def read(seconds):
        nonlocal ended
        for key, _ in selector.select(seconds):
            if key.data in links:
                if not key.data.drain(asker):
                    selector.unregister(key.fileobj)
                    ended += 1
            else:
                drain_udp(asker, key.data)

    start, udp, tcp, asked = time.monotonic(), 0, 0, 0
    while not os.path.exists(file) and not ended:
        due = time.monotonic() - start
        while udp < due * rate:
            s = sockets[udp % len(sockets)]
            s.send(asker.query(s, asked % 100_000))
            udp, asked = udp + 1, asked + 1
        while tcp < due * tcp_rate:
            link = links[tcp % len(links)]
            link.send(asker.query(link, asked % 100_000))
            tcp, asked = tcp + 1, asked + 1
        read(0.01)
    took = time.monotonic() - start
    while asker.waiting and not asker.overdue() and not ended:
        read(0.2)
    print(f"{udp / took:.0f} a second over UDP, {tcp / took:.0f} over TCP, {ended} connections ended")
    if ended:
        sys.exit(1)
    asker.close(f"for {took:.1f} s")


def main():
    mode, address, port, *rest = sys.argv[1:]
    if mode == "flight":
        flight(address, int(port), int(rest[0]), int(rest[1]))
    elif mode == "pipeline":
        pipeline(address, int(port), int(rest[0]))
    elif mode == "steady":
        paced(address, int(port), int(rest[0]), lambda: os.path.exists(rest[1]), tcp=False)
    elif mode == "both":
        both(address, int(port), int(rest[0]), int(rest[1]), rest[2])
    elif mode == "popular":
        ended = lambda: os.path.exists(rest[1])  # noqa: E731
        paced(address, int(port), int(rest[0]), ended, tcp=False, number=popular, slow=False, forgiven=0)
    elif mode == "until":
        log = open(rest[1], "rb")
        paced(address, int(port), int(rest[0]), lambda: rest[2].encode() in log.read(), tcp=True)


main()
