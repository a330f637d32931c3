"""The clients: dnsperf where a server is to be saturated, sockets of our own where each answer's time counts.

dnsperf is written in C and costs little beside the subject, but prints averages only. At a thousand questions a second
Python is quick enough, and the kernel's own time stamp on each answer (SO_TIMESTAMPNS) keeps Python's delays out of it.
"""

import random
import re
import select
import socket
import struct
import subprocess
import time

import processes

# Sockets, and questions in flight over all of them, when saturated. 100 is dnsperf's own default, and little enough for the
# receive buffer that Linux gives to a socket whose owner asks for none.
CLIENTS, WINDOW = 10, 100
PATIENCE = 2.0  # seconds for the last answers of a phase
SO_TIMESTAMPNS = 35  # of <asm-generic/socket.h>, which the socket module does not name
A, AAAA = 1, 28
EXPECTED = {A: bytes([192, 0, 2, 1]), AAAA: bytes.fromhex("20010db8000000000000000000000001")}


def write_names(path, prefix, count):
    """A file for dnsperf with `count` names that differ."""
    path.write_text("".join(f"{prefix}{n}.bench.test A\n" for n in range(count)))
    return path


def saturate(port, names, seconds, tcp=False, meanwhile=lambda: None, once=False, clients=CLIENTS):
    """Runs dnsperf; gives (answered, lost, with an error, seconds)."""
    command = ["dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", names, "-l", str(seconds), "-W"]
    command += ["-c", str(clients), "-q", str(WINDOW), "-m", "tcp" if tcp else "udp"]
    # A stretch of distinct names must not begin anew.
    command += ["-n", "1"] if once else []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as dnsperf:
        try:
            time.sleep(seconds * 0.6)
            meanwhile()
            text, _ = dnsperf.communicate(timeout=seconds + 20)
        finally:
            dnsperf.kill()
    number = lambda what: re.search(rf"{what}:\s+([\d.]+)", text)
    answered, lost, took = number("Queries completed"), number("Queries lost"), number("Run time \\(s\\)")
    if not (answered and lost and took):
        raise processes.Failed("dnsperf: " + text[-500:])
    good = re.search(r"NOERROR (\d+)", text)
    answered = int(answered[1])
    return answered, int(lost[1]), answered - int(good[1] if good else 0), float(took[1])


def query(number, name, rtype=A):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, rtype, 1)


def is_right(asked, got, echo=False):
    """Is this the upstream's answer to that question? An echo need only hold the question."""
    end, rtype = len(asked), asked[-3]
    if len(got) < end or got[2] & 0x82 != 0x80 or got[3] & 15 or got[12:end].lower() != asked[12:end].lower():
        return False
    # One record, whose name is a pointer to the question or the name once more: its data stand at the end of it.
    return echo or (got[6:8] == b"\0\1" and EXPECTED[rtype] in got[end:])


class Asker:
    """A UDP client that knows when each question left and each answer reached the kernel."""

    def __init__(self, port, echo=False):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.echo, self.waiting, self.times, self.wrong = echo, {}, [], 0
        self.refused = False  # nobody listens on the port

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ask(self, number, name, rtype=A):
        message = query(number, name, rtype)
        self.waiting[number] = message, time.clock_gettime_ns(time.CLOCK_REALTIME)
        try:
            self.socket.send(message)
        except ConnectionRefusedError:
            self.refused = True  # it stays unanswered

    def read(self, seconds):
        """Waits at most so long, and takes all answers that are there."""
        select.select([self.socket], [], [], max(0, seconds))
        while True:
            try:
                got, control, _, _ = self.socket.recvmsg(4096, 64)
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                self.refused = True
                return
            stamp = next(data for level, kind, data in control if kind == SO_TIMESTAMPNS)
            seconds_, nanos = struct.unpack("qq", stamp)
            asked, left = self.waiting.pop(int.from_bytes(got[:2], "big"), (None, 0))
            if asked is None or not is_right(asked, got, self.echo):
                self.wrong += 1
            else:
                self.right(int.from_bytes(asked[:2], "big"), seconds_ * 10**9 + nanos - left)

    def right(self, _, nanos):
        """A right answer came to the question of that number, after so long."""
        self.times.append(nanos)

    def finish(self, patience=PATIENCE):
        end = time.monotonic() + patience
        while self.waiting and time.monotonic() < end:
            self.read(end - time.monotonic())


def paced(port, prefix, rate, seconds, echo=False):
    """Questions at random moments, as from many clients that know nothing of each other, `rate` a second on average."""
    moments, arrivals = 0.0, random.Random(1)  # the same moments for every subject
    with Asker(port, echo) as asker:
        start, number = time.monotonic(), 0
        while moments < seconds:
            moments += arrivals.expovariate(rate)
            while (left := start + moments - time.monotonic()) > 0:
                asker.read(left)
            asker.ask(number % 65536, f"{prefix}{number}.bench.test")
            number += 1
        asker.finish()
        return sorted(asker.times), len(asker.waiting), asker.wrong


def pairs(port, prefix, count, pause):
    """A and AAAA of a new name asked together, as stub resolvers do: nanoseconds until both are answered, for each name."""
    times = []
    with Asker(port) as asker:
        for number in range(count):
            time.sleep(pause)
            asker.times.clear()
            for rtype in (A, AAAA):
                asker.ask(number * 2 + (rtype == AAAA), f"{prefix}{number}.bench.test", rtype)
            asker.finish()
            if len(asker.times) == 2:
                times.append(max(asker.times))
    return sorted(times)


def first_answer(port, started, process, seconds=15, echo=False):
    """Seconds from `started` to the first right answer. Asks until there is one."""
    number = 0
    with Asker(port, echo) as asker:
        while time.monotonic() < started + seconds and process.poll() is None:
            asker.refused = False
            asker.ask(number, "first.bench.test")
            number += 1
            again = time.monotonic() + 0.02
            while not asker.times and not asker.refused and (left := again - time.monotonic()) > 0:
                asker.read(left)
            if asker.times:
                return time.monotonic() - started
            if asker.refused:
                time.sleep(0.001)
    raise processes.Failed("no answer; its log ends:\n" + processes.last_lines(process.log))
