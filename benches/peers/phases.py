"""One subject, once: started, put through each phase, and stopped. Gives a dictionary of figures."""

import time

import load
import processes
from upstream import free_port

PACE = 1000  # questions a second in the paced phase
HIT_NAMES = 1000
PAIRS = 50
# Between two pairs: longer than the 40 ms for which Linux may delay an acknowledgement, so that each pair finds a quiet link.
PAUSE = 0.06
IDLE = 0.5  # seconds after the first answer until the memory is read
# The most questions a second that a phase has names for.
FASTEST = 160_000
COUNTED = 1.5  # seconds of each phase in which system calls are counted
# An upstream that works longer than this on each question of the hit phase was asked: nothing was cached.
FORWARDED_US = 2.0


class Bench:
    """What all subjects share: the upstream, the folder, the length of a phase, the protocol towards the upstream."""

    def __init__(self, started, folder, upstream, upstream_port, seconds, protocol="tls"):
        self.started, self.folder, self.seconds, self.protocol = started, folder, seconds, protocol
        self.upstream, self.upstream_port = upstream, upstream_port
        self.hit_names = load.write_names(folder / "hit.names", "h", HIT_NAMES)
        self.all_names = {
            prefix: load.write_names(folder / f"{prefix}.names", prefix, int(FASTEST * length))
            for prefix, length in (("m", seconds), ("s", COUNTED))
        }

    def measure(self, subject, count_calls):
        """All figures of one subject. Raises Failed when it does not answer."""
        port = free_port()
        folder = self.folder / f"{subject.name}-{port}"
        folder.mkdir()
        values = {"port": port, "upstream": "127.0.0.1", "upstream_port": self.upstream_port, "ca": self.folder / "ca.pem", "dir": folder}
        command = subject.ready(values, self.protocol)
        begun = time.monotonic()
        process = self.started.start(subject.name, command, cwd=folder)
        try:
            run = Run(self, subject, process, port)
            run.figures["start ms"] = 1000 * load.first_answer(port, begun, process, echo=subject.echo)
            time.sleep(IDLE)
            run.figures["rss idle MiB"] = processes.rss_kib(process.pid) / 1024
            run.all(count_calls)
            if process.poll() is not None:
                raise processes.Failed("it ended; its log ends:\n" + processes.last_lines(process.log))
            return run.figures
        finally:
            self.started.stop(process)


class Run:
    """One subject while it runs."""

    def __init__(self, bench, subject, process, port):
        self.bench, self.subject, self.process, self.port = bench, subject, process, port
        self.figures = {"lost": 0, "wrong": 0}

    def all(self, count_calls):
        self.paced()
        if not self.subject.echo:
            self.pairs()
            self.miss()
            self.prime()
        self.hit("hit", tcp=False)
        if not self.subject.echo:
            self.hit("tcp hit", tcp=True)
        if count_calls and processes.tool():
            self.calls()

    def cost(self, phase, before, answered):
        self.figures[f"{phase} us"] = (processes.cpu_ns(self.process.pid) - before) / 1000 / max(answered, 1)

    def saturate(self, phase, names, **options):
        before = processes.cpu_ns(self.process.pid)
        asked = load.saturate(self.port, names, self.bench.seconds, **options)
        answered, lost, wrong, took = asked
        self.cost(phase, before, answered)
        self.figures[f"{phase} per s"] = answered / took
        self.note(phase, lost, wrong)
        return answered

    def note(self, phase, lost, wrong):
        self.figures[f"{phase} lost"], self.figures[f"{phase} wrong"] = lost, wrong
        self.figures["lost"] += lost
        self.figures["wrong"] += wrong

    def paced(self):
        before = processes.cpu_ns(self.process.pid)
        times, lost, wrong = load.paced(self.port, "p", PACE, self.bench.seconds, self.subject.echo)
        self.cost("paced", before, len(times))
        for label, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)):
            self.figures[f"{label} ms"] = times[int(len(times) * share)] / 1e6 if times else None
        self.note("paced", lost, wrong)

    def pairs(self):
        times = load.pairs(self.port, "a", PAIRS, PAUSE)
        self.figures["pair ms"] = times[len(times) // 2] / 1e6 if times else None
        self.note("pair", PAIRS - len(times), 0)

    def miss(self):
        def look():
            self.figures["rss miss MiB"] = processes.rss_kib(self.process.pid) / 1024
            if self.bench.protocol != "quic":
                self.figures["connections"] = processes.connections_to(self.bench.upstream_port)

        self.saturate("miss", self.bench.all_names["m"], meanwhile=look, once=True)

    def prime(self):
        load.saturate(self.port, self.bench.hit_names, 1, once=True)

    def hit(self, phase, tcp):
        upstream = processes.cpu_ns(self.bench.upstream.pid)
        answered = self.saturate(phase, self.bench.hit_names, tcp=tcp)
        upstream = (processes.cpu_ns(self.bench.upstream.pid) - upstream) / 1000 / max(answered, 1)
        if upstream > FORWARDED_US:
            # It was asked again: these are misses, and no figure for a hit.
            self.figures[f"{phase} us"] = self.figures[f"{phase} per s"] = None

    def calls(self):
        """System calls, in short phases of their own."""

        def count(phase, ask):
            with processes.SystemCalls(self.bench.started, self.process.pid) as counter:
                answered = ask()
            if counter.count is not None and answered:
                self.figures[f"{phase} calls"] = counter.count / answered

        names = self.bench.all_names["s"]
        if not self.subject.echo:
            count("miss", lambda: load.saturate(self.port, names, COUNTED, once=True)[0])
        if self.figures.get("hit us") is not None:
            count("hit", lambda: load.saturate(self.port, self.bench.hit_names, COUNTED)[0])
        count("paced", lambda: len(load.paced(self.port, "q", PACE, COUNTED, self.subject.echo)[0]))
