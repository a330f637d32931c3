"""Queries at the very moment when an upstream closes an idle connection, over a relay that makes it far away.

Servers that close after 4 to 30 s are common; here all times are a tenth of that. Each server has its own relay and its own
dotward, and all are tried at once.
"""

import random
import statistics
import threading
import time

import scripted

LIMITS = (0.4, 0.8, 1.0, 3.0)  # seconds of idleness after which a server closes
PAUSES = 20
ROUND_TRIP = 0.020
# A query that leaves within this before the limit meets the closing on its way.
MEETING = (-0.030, 0.010)
# Of the limit, for every other pause.
WIDE = (0.5, 1.3)
FRESH = 5  # measurements of what a handshake takes
CLOSED = 0.1  # seconds until a closing has arrived


class Line:
    """One server with its idle limit, the relay before it, and dotward."""

    def __init__(self, started, programs, folder, limit, seed):
        self.limit, self.random = limit, random.Random(seed)
        self.server = scripted.Server(started, programs, folder, f"idle-{limit}", int(limit * 1000))
        relayed = scripted.free_port()
        ends = [f"127.0.0.1:{relayed}", f"127.0.0.1:{self.server.port}", str(ROUND_TRIP * 500)]
        started.start(f"relay-{limit}", [str(programs / "examples" / "relay"), *ends])
        self.dotward = scripted.Dotward(started, programs, folder, [relayed], name=f"dotward-idle-{limit}")
        self.number, self.took, self.errors = 0, [], 0
        self.handshake = self.round_trip = None

    def ask(self):
        self.number += 1
        return self.dotward.ask(f"idle{self.number}.soak.test", patience=5.0)

    def run(self):
        fresh, warm = [], []
        for _ in range(FRESH):
            self.server.say("close")
            time.sleep(CLOSED)
            fresh.append(self.ask())
            warm.append(self.ask())
        if None in fresh + warm:
            self.errors = 1
            return
        self.round_trip = statistics.median(warm)
        # The slowest: to learn of the closing, to connect and to ask can take the whole bound, so it must hold this machine's noise.
        self.handshake = max(fresh) - self.round_trip
        for turn in range(PAUSES):
            if turn % 2:
                pause = self.limit + self.random.uniform(*MEETING)
            else:
                pause = self.limit * self.random.uniform(*WIDE)
            time.sleep(pause)
            took = self.ask()
            if took is None:
                self.errors += 1
            else:
                self.took.append(took)


def measure(started, programs, folder, seed, found):
    lines = [Line(started, programs, folder, limit, f"{seed} {limit}") for limit in LIMITS]
    threads = [threading.Thread(target=line.run, daemon=True) for line in lines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for line in lines:
        what = f"upstream closes after {line.limit} s idle"
        found.exactly(f"{what}: queries without an answer, of {PAUSES}", line.errors, 0)
        bound = 1.5 * line.handshake + line.round_trip if line.handshake else 0.0
        slowest = max(line.took) if len(line.took) == PAUSES else None
        found.most(f"{what}: slowest answer", slowest and slowest * 1000, bound * 1000, " ms")
        line.dotward.stop()
