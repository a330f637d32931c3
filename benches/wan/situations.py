"""The situations: what is asked when, over what link, before what server; and which figures come of it."""

import random
import threading
import time

import load
from load import A, AAAA

RATE = 20  # queries a second: a household that is up
IDLE_MS = 4000  # after which the server closes a connection without queries, in the situation that is about that
LONG_MS = 60_000  # and in all others
PAUSE = 6.0  # seconds between two queries: the connection is closed, and the client still there
BETWEEN_PAGES = 2.0
NAMES = 8  # of a page, each asked for A and AAAA
OUTAGE = 3.0  # seconds
PATIENCE = 6.0  # seconds for an answer, longer than stub resolvers wait


class Clients(load.Asker):
    """Asks by a plan, and keeps for each query of it when it was due and how long its answer took."""

    def __init__(self, port):
        super().__init__(port, echo=True)
        self.took = {}

    def right(self, number, nanos):
        super().right(number, nanos)
        self.took[number] = nanos / 1e9

    def run(self, plan):
        """`plan`: (seconds from now, name, type) in order. Gives (seconds from the beginning, seconds taken or None) of each."""
        start = time.monotonic()
        for number, (at, name, rtype) in enumerate(plan):
            while (left := start + at - time.monotonic()) > 0:
                self.read(left)
            self.ask(number, name, rtype)
        self.finish(PATIENCE)
        return [(at, self.took.get(number)) for number, (at, _, _) in enumerate(plan)]


class Situation:
    """One of them: `idle_ms` of the server and the share of `loss` belong to it."""

    idle_ms = LONG_MS
    loss = False

    def plan(self, prefix, seconds):
        raise NotImplementedError

    def run(self, port, link, prefix, seconds):
        with Clients(port) as clients:
            asked = clients.run(self.plan(prefix, seconds))
        return self.figures(asked, seconds)

    def figures(self, asked, _):
        return {"asked": len(asked), "failed": sum(took is None for _, took in asked), "times": times(asked)}


def times(asked):
    return [took for _, took in asked if took is not None]


def steadily(prefix, seconds):
    """At random moments, as from clients that know nothing of each other; the same moments for every subject."""
    at, dice, plan = 0.0, random.Random(1), []
    while (at := at + dice.expovariate(RATE)) < seconds:
        plan.append((at, f"{prefix}-{len(plan)}.bench.test", A))
    return plan


class Idle(Situation):
    """A query after the server closed the connection for want of queries, while the client still asks now and then."""

    name = "idle"
    title = "A query every {pause:g} s, to a server that closes a connection after {idle:g} s without one"
    idle_ms = IDLE_MS
    columns = ("p50", "p90", "max")

    def plan(self, prefix, seconds):
        return [(PAUSE * n, f"{prefix}-{n}.bench.test", A) for n in range(1, int(seconds / PAUSE) + 1)]


class Loss(Situation):
    """Queries at a steady rate while packets get lost."""

    name = "loss"
    title = "{rate} queries a second with {loss:g} % of the packets lost"
    loss = True
    columns = ("p50", "p99", "p99.9", "max")

    def plan(self, prefix, seconds):
        return steadily(prefix, seconds)


class Page(Situation):
    """What a page asks for at once; its time is that of its last answer."""

    name = "page"
    title = "16 queries at once (8 names, A and AAAA), with {loss:g} % of the packets lost: until the last answer"
    loss = True
    columns = ("p50", "p90", "p99", "max")

    def plan(self, prefix, seconds):
        pages = range(int(seconds / BETWEEN_PAGES))
        page = [(n, rtype) for n in range(NAMES) for rtype in (A, AAAA)]
        return [(BETWEEN_PAGES * p, f"{prefix}-{p}-{n}.bench.test", rtype) for p in pages for n, rtype in page]

    def figures(self, asked, seconds):
        found = super().figures(asked, seconds)
        pages = {}
        for at, took in asked:
            pages.setdefault(at, []).append(took)
        found["times"] = [max(page) for page in pages.values() if None not in page]
        return found


class Outage(Situation):
    """Nothing passes for some seconds in the middle."""

    name = "outage"
    title = (
        "{rate} queries a second, and nothing passes for {outage:g} s: from its end until the first answer, and until a query "
        "is asked that is answered within 0.3 s"
    )
    columns = ("first", "normal")

    def plan(self, prefix, seconds):
        return steadily(prefix, seconds)

    def run(self, port, link, prefix, seconds):
        cut = threading.Timer(seconds / 2 - OUTAGE / 2, setattr, (link, "is_down", True))
        heal = threading.Timer(seconds / 2 + OUTAGE / 2, setattr, (link, "is_down", False))
        cut.start()
        heal.start()
        try:
            return super().run(port, link, prefix, seconds)
        finally:
            cut.cancel()
            heal.cancel()

    def figures(self, asked, seconds):
        found = super().figures(asked, seconds)
        healed = seconds / 2 + OUTAGE / 2
        ends = [at + took for at, took in asked if took is not None and at + took > healed]
        normal = [at for at, took in asked if took is not None and at > healed and took < 0.3]
        found["first"] = [min(ends) - healed] if ends else []
        found["normal"] = [min(normal) - healed] if normal else []
        return found


ALL = (Idle(), Loss(), Page(), Outage())
