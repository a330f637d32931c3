"""Faults at random, from a seed: what happens to which server, when, and for how long."""

import signal
import time

# What a server can suffer. Each kind comes up once before any comes up again.
ONE = ("kill", "stop", "close", "reset", "abandon", "garbage")
ALL = ("all kill", "all down")
LASTING = (0.5, 5.0)  # seconds
# Between two faults: long enough that dotward is sometimes back with its first choice and sometimes not.
QUIET = (0.5, 3.0)
# At the end of a run, so that the last answers come from healthy servers.
CALM = 8.0


def begin(server, kind):
    if kind == "kill":
        server.kill()
    elif kind == "stop":
        server.process.send_signal(signal.SIGSTOP)
    else:
        server.say(kind)


def end(server, kind):
    if kind == "kill":
        server.start()
    elif kind == "stop":
        server.process.send_signal(signal.SIGCONT)
    else:
        server.say("serve")


class Weather:
    """Faults until a moment. At least one server is well, except in an outage of all, which is noted."""

    def __init__(self, random, servers):
        self.random, self.servers = random, servers
        self.outages, self.past, self.bag = [], [], []  # (begin, end) and (what, begin, end), on the wall's clock

    def rage(self, until, is_over):
        """Sends faults until a moment of the monotonic clock, or until `is_over`."""
        while time.monotonic() + LASTING[1] + CALM < until and not is_over():
            self.one_more()
            time.sleep(self.random.uniform(*QUIET))

    def draw(self):
        if not self.bag:
            self.bag = [*ONE, *ONE, *ALL]
            self.random.shuffle(self.bag)
        return self.bag.pop()

    def one_more(self):
        kind, length = self.draw(), self.random.uniform(*LASTING)
        is_all = kind.startswith("all ")
        kind = kind.removeprefix("all ")
        # Often the first choice, sometimes two at once, each with its own fault.
        count = len(self.servers) if is_all else self.random.choice((1, 1, len(self.servers) - 1))
        chosen = self.servers[:count] if self.random.random() < 0.5 else self.random.sample(self.servers, count)
        kinds = [kind if is_all else self.random.choice((kind, kind, *ONE)) for _ in chosen]
        started = time.time()
        what = ", ".join(f"{kind} {server.name}" for server, kind in zip(chosen, kinds))
        print(f"  fault {len(self.past) + 1}: {what} for {length:.1f} s", flush=True)
        for server, each in zip(chosen, kinds):
            begin(server, each)
        time.sleep(length)
        for server, each in zip(chosen, kinds):
            end(server, each)
        self.past.append((what, started, time.time()))
        if is_all:
            self.outages.append((started, time.time()))
