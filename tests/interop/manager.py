#!/usr/bin/env python3
"""A service manager for one service, as far as dotward speaks with systemd: it receives `sd_notify` messages, keeps the descriptors of
FDSTORE=1, and passes those of the store and of a socket unit at each start (LISTEN_FDS, LISTEN_FDNAMES, LISTEN_PID).

manager.py restarts PROGRAM LOG LOAD MODE PORT ROUNDS unit|own OPTION...
    the program is replaced under load, of a mode of load.py, with sockets of a socket unit or its own: nothing lost
manager.py signs PROGRAM LOG PORT OPTION...
    READY, STATUS, STOPPING, the watchdog, a crash, descriptors that do not suit
manager.py run PROGRAM LOG PREFIX... -- OPTION...
    it is replaced once and then runs until SIGTERM, which this passes on; for strace
manager.py serve ROOT PROGRAM LOG PREFIX... -- OPTION...
    it does what ROOT/run/manager/commands says, a line each, until SIGTERM: `start`, `stop` or `restart`; what came of it is a line of
    ROOT/run/manager/answers. ROOT is where the program sees /, which PREFIX takes it to

It prints `PASS` and `FAIL` lines, and exits with 1 if there is one of the latter.
"""

import os
import pathlib
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

# Not in Python's socket module: a size beyond net.core.rmem_max, as systemd sets it.
SO_RCVBUFFORCE = 33
STORE_MOST = 64
failed = 0


def verdict(good, what):
    global failed
    failed += not good
    print(("PASS " if good else "FAIL ") + what, flush=True)


class Manager:
    """The manager of one service. Descriptors in the store are told apart by what is behind them, as systemd does."""

    def __init__(self, program, log, unit=(), root=""):
        self.program, self.log, self.root = program, log, root
        self.unit = list(unit)  # descriptors of a socket unit
        self.store = []  # (name, descriptor)
        self.said = []  # (when, {key: value})
        self.pid = None
        self.folder = tempfile.mkdtemp(prefix="manager.", dir=root + "/run" if root else None)
        self.path = os.path.join(self.folder, "notify")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(self.path)
        if root:  # the program is of another user
            os.chmod(self.folder, 0o755)
            os.chmod(self.path, 0o666)

    def start(self, options, watchdog=None, prefix=()):
        passed = [("dotward.socket", fd) for fd in self.unit] + self.store
        names = ":".join(name for name, _ in passed)
        self.said = []
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setsid()
                high = [os.dup(log)] + [os.dup(fd) for _, fd in passed]
                base = max([3 + len(passed), *high]) + 1
                high = [fcntl_dup(fd, base) for fd in high]
                os.dup2(high[0], 1)
                os.dup2(high[0], 2)
                for number, fd in enumerate(high[1:], 3):
                    os.dup2(fd, number)
                os.closerange(3 + len(passed), 4096)
                environment = dict(os.environ, NOTIFY_SOCKET=self.path.removeprefix(self.root), FDSTORE=str(STORE_MOST))
                if passed:
                    environment |= {"LISTEN_FDS": str(len(passed)), "LISTEN_FDNAMES": names, "LISTEN_PID": str(os.getpid())}
                if watchdog:
                    environment |= {"WATCHDOG_USEC": str(watchdog), "WATCHDOG_PID": str(os.getpid())}
                command = [*prefix, self.program, *options]
                os.execvpe(command[0], command, environment)
            finally:
                os._exit(127)
        os.close(log)

    def listen(self, seconds, until=lambda said: False):
        """Takes what is said for so long, or until something was said."""
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            ready, _, _ = select.select([self.notify], [], [], max(0, left))
            if not ready:
                return False
            self.take()
            if until(self.said[-1][1]):
                return True

    def take(self):
        data, fds, _, _ = socket.recv_fds(self.notify, 65536, 253)
        said = dict(line.split("=", 1) for line in data.decode().splitlines() if "=" in line)
        self.said.append((time.monotonic(), said))
        name = said.get("FDNAME", "stored")
        if said.get("FDSTORE") == "1":
            assert ":" not in name and name.isascii() and len(name) < 256, name
            for fd in fds:
                if len(self.store) < STORE_MOST and not any(same(fd, other) for _, other in self.store):
                    self.store.append((name, fd))
                else:
                    os.close(fd)
        else:
            # The barrier, among others: whoever waits sees that its other end is closed.
            for fd in fds:
                os.close(fd)
        if said.get("FDSTOREREMOVE") == "1":
            for _, fd in [entry for entry in self.store if entry[0] == name]:
                os.close(fd)
            self.store = [entry for entry in self.store if entry[0] != name]

    def ready(self, seconds=10):
        return self.listen(seconds, lambda said: said.get("READY") == "1")

    def end(self, sign=signal.SIGTERM, seconds=10):
        """Sends a signal and waits for the end, with an ear for what is said meanwhile; gives the status."""
        if sign:
            os.kill(self.pid, sign)
        end = time.monotonic() + seconds
        status = None
        while time.monotonic() < end:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                break
            self.listen(0.002, lambda said: True)
        else:
            os.kill(self.pid, signal.SIGKILL)
            _, status = os.waitpid(self.pid, 0)
        while self.listen(0, lambda said: True):
            pass
        self.pid = None
        return os.waitstatus_to_exitcode(status)

    def heard(self, key):
        return [said[key] for _, said in self.said if key in said]

    def stored(self):
        return sorted(name for name, _ in self.store)

    def close(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self.notify.close()
        os.unlink(self.path)
        os.rmdir(self.folder)


def fcntl_dup(fd, base):
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD, base)


def same(one, other):
    a, b = os.fstat(one), os.fstat(other)
    return (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)


def sockets_of_unit(port):
    """What a socket unit binds: a UDP and a TCP socket on 127.0.0.1, with the receive buffer of `deploy/systemd/dotward.socket`."""
    unit = (pathlib.Path(__file__).parents[2] / "deploy/systemd/dotward.socket").read_text()
    buffer = int(re.search(r"^ReceiveBuffer=(\d+)M$", unit, re.M)[1]) << 20
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        udp.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, buffer)
    except PermissionError:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    udp.bind(("127.0.0.1", port))
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    tcp.bind(("127.0.0.1", port))
    tcp.listen(1024)
    return [udp.detach(), tcp.detach()]


def counters(manager, reports):
    """The queries and cache hits of all workers so far: SIGUSR1 has them logged."""
    os.kill(manager.pid, signal.SIGUSR1)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        lines = open(manager.log).read().splitlines()
        found = [re.search(r"worker \d+: (?:queries (\d+)(?:, hits (\d+))?|nothing so far)", line) for line in lines]
        found = [match for match in found if match]
        if len(found) >= reports[0] + reports[1]:
            reports[0] += reports[1]
            last = found[reports[0] - reports[1] : reports[0]]
            return [sum(int(match[part] or 0) for match in last) for part in (1, 2)]
        manager.listen(0.01)
    raise SystemExit("FAIL the counters are not logged")


def rate(before, after):
    return 100 * (after[1] - before[1]) / max(1, after[0] - before[0])


def restarts(program, log, load, mode, port, rounds, unit, *options):
    """Under load the program is replaced ROUNDS times. Its clients lose nothing, and the cache stays warm."""
    port, rounds = int(port), int(rounds)
    workers = int(options[options.index("--workers") + 1]) if "--workers" in options else 1
    manager = Manager(program, log, sockets_of_unit(port) if unit == "unit" else ())
    done = log + ".done"
    reports = [0, workers]
    worst, slowest = 100.0, 0.0
    try:
        manager.start(options)
        verdict(manager.ready(), "READY=1 at the first start")
        command = [sys.executable, load, mode, "127.0.0.1", str(port), "2000", done]
        clients = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        manager.listen(3)
        for _ in range(rounds):
            start = counters(manager, reports)
            manager.listen(1)
            before = rate(start, counters(manager, reports))
            began = time.monotonic()
            status = manager.end()
            ended = time.monotonic()
            manager.start(options)
            if status or not manager.ready():
                verdict(False, f"it ends with status {status} and starts again")
                break
            slowest = max(slowest, time.monotonic() - ended)
            manager.listen(1)
            after = rate([0, 0], counters(manager, reports))
            worst = min(worst, after - before)
            print(f"     ended in {(ended - began) * 1000:.0f} ms; hits before {before:.1f} %, in the first second {after:.1f} %")
        open(done, "w").close()
        told = clients.communicate(timeout=30)[0].strip()
        verdict(clients.returncode == 0, f"{rounds} restarts at 2,000 queries a second: {told}; from end to READY at most {slowest * 1000:.0f} ms")
        verdict(worst >= -2.0, f"the hit rate of the first second is at worst {worst:+.1f} points of that before")
        verdict(manager.end() == 0, "it ends with status 0")
    finally:
        manager.close()


def ask(port, number=7):
    """An address over UDP, and over TCP; None where there is no answer in two seconds."""
    name = b"".join(bytes([len(label)]) + label for label in (b"n%d" % number, b"numbers", b"test")) + b"\0"
    message = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + name + b"\0\1\0\1"
    answers = []
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as s:
            s.settimeout(2)
            try:
                s.connect(("127.0.0.1", port))
                s.sendall(message if kind == socket.SOCK_DGRAM else struct.pack("!H", len(message)) + message)
                got = s.recv(4096)
                answers.append(".".join(map(str, got[-4:])))
            except OSError:
                answers.append(None)
    return answers


def signs(program, log, port, *options):
    port = int(port)
    expected = ["10.0.0.7", "10.0.0.7"]
    manager = Manager(program, log)
    try:
        manager.start(options, watchdog=400_000)
        verdict(manager.ready(), "READY=1")
        status = manager.heard("STATUS")[-1:]
        verdict(status and f"serving udp+tcp on 127.0.0.1:{port}" in status[0], f"STATUS={' '.join(status)}")
        verdict(manager.stored() == [f"tcp-127.0.0.1_{port}", f"udp-127.0.0.1_{port}"], f"its sockets are in the store: {manager.stored()}")
        verdict(ask(port) == expected, "it answers at READY")

        manager.said = []
        manager.listen(2)
        times = [when for when, said in manager.said if said.get("WATCHDOG") == "1"]
        longest = max(b - a for a, b in zip(times, times[1:]))
        verdict(len(times) >= 10 and longest < 0.4, f"WATCHDOG=1 {len(times)} times in 2 s, at most {longest * 1000:.0f} ms apart")
        os.kill(manager.pid, signal.SIGSTOP)
        manager.listen(0.2)
        manager.said = []
        manager.listen(1)
        verdict(not manager.heard("WATCHDOG"), "a stopped program does not tell the watchdog")
        os.kill(manager.pid, signal.SIGCONT)
        verdict(manager.listen(2, lambda said: said.get("WATCHDOG") == "1"), "one that goes on does")

        verdict(manager.end(signal.SIGKILL) == -signal.SIGKILL, "it is killed")
        verdict(len(manager.store) == 2, "its sockets are in the store after a crash")
        # These wait for the next process.
        waiting = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        waiting.connect(("127.0.0.1", port))
        manager.start(options)
        verdict(manager.ready() and ask(port) == expected, "the next process answers at them")
        waiting.close()
        verdict(manager.end() == 0 and manager.heard("STOPPING") == ["1"], "STOPPING=1, status 0")
        verdict("cache" in manager.stored(), "the cache is in the store at the end")
        manager.start(options)
        verdict(manager.ready() and "cache" not in manager.stored(), "the next process takes it out")
        # The log is written by a thread of its own.
        taken, end = [], time.monotonic() + 5
        while not taken and time.monotonic() < end:
            taken = re.findall(r"(\d+) cached responses? of the process before (?:is|are) used", open(log).read())
            time.sleep(0.01)
        verdict(taken == ["1"], f"and uses it: {taken}")
        verdict(manager.end() == 0, "it ends with status 0")

        # Another address: the sockets of the one before are of no use, and are forgotten.
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        other.bind(("127.0.0.1", 0))
        busy = other.getsockname()[1]
        moved = [f"127.0.0.1:{busy}" if text == f"127.0.0.1:{port}" else text for text in options]
        manager.start(moved)
        verdict(not manager.ready(3) and manager.end(None) == 1, "an address that another program has: no READY=1, and status 1")
        other.close()
        manager.start(moved)
        verdict(manager.ready() and ask(busy) == expected, "another address is bound")
        kept = [name for name in manager.stored() if name != "cache"]
        verdict(kept == [f"tcp-127.0.0.1_{busy}", f"udp-127.0.0.1_{busy}"], f"the store has its sockets alone: {kept}")
        verdict(manager.end() == 0, "it ends with status 0")
    finally:
        manager.close()

    # A socket unit of another address than --listen, and one with --listen left out.
    manager = Manager(program, log, sockets_of_unit(0))
    try:
        at = socket.socket(fileno=os.dup(manager.unit[0])).getsockname()[1]
        manager.start(options)
        verdict(not manager.ready(3) and manager.end(None) == 2, "sockets of an address that is not configured: status 2")
        line = [line for line in open(log) if "service manager passed" in line][-1:]
        udp = f"a UDP socket of 127.0.0.1:{at} (dotward.socket)"
        verdict(line and udp in line[0] and f"127.0.0.1:{port}" in line[0], f"the error names both: {''.join(line).strip()}")
    finally:
        manager.close()
    listen = options.index("--listen")
    unnamed = options[:listen] + options[listen + 2 :]
    unit = sockets_of_unit(0)
    at = socket.socket(fileno=os.dup(unit[0])).getsockname()[1]
    # The other socket is of another port: both are addresses, and what is missing of each is bound.
    manager = Manager(program, log, unit)
    try:
        manager.start(unnamed)
        verdict(manager.ready() and ask(at) == expected, "without a configured address the sockets that were passed are the addresses")
        verdict(not [name for name in manager.stored() if name == f"udp-127.0.0.1_{at}"], "sockets of a unit are not stored")
        verdict(manager.end() == 0, "it ends with status 0")
    finally:
        manager.close()
    for what, pair in (("a connected stream", socket.SOCK_STREAM), ("a UNIX socket", None)):
        if pair is None:
            wrong, _other = socket.socketpair()
        else:
            server = socket.create_server(("127.0.0.1", 0))
            wrong = socket.create_connection(server.getsockname())
        manager = Manager(program, log, [wrong.detach()])
        try:
            manager.start(unnamed)
            verdict(not manager.ready(3) and manager.end(None) == 2, f"{what} is refused with status 2")
        finally:
            manager.close()


def run(program, log, *rest):
    split = rest.index("--")
    manager = Manager(program, log)
    ending = []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(True))
    try:
        for last in (False, True):
            manager.start(rest[split + 1 :], watchdog=400_000, prefix=rest[:split])
            print(manager.pid, flush=True)
            manager.ready(30)
            while last and not ending:
                manager.listen(0.1)
            status = manager.end()
        sys.exit(status)
    finally:
        manager.close()


def serve(root, program, log, *rest):
    split = rest.index("--")
    manager = Manager(program, log, root=root)
    commands, answers = f"{root}/run/manager/commands", f"{root}/run/manager/answers"
    ending = []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(True))
    for fifo in (commands, answers):
        os.mkfifo(fifo)
    # Open for writing, too, so that it never comes to its end.
    reader = os.open(commands, os.O_RDWR)
    try:
        while not ending:
            manager.listen(0.02)
            if not select.select([reader], [], [], 0.02)[0]:
                continue
            command = os.read(reader, 4096).decode().strip()
            result, pid = "ok", manager.pid
            if command in ("stop", "restart") and pid:
                status = manager.end()
                result = result if status == 0 else f"status {status}"
            if command == "stop":
                # FileDescriptorStorePreserve=restart
                for _, fd in manager.store:
                    os.close(fd)
                manager.store = []
            if command == "restart" or command == "start" and not manager.pid:
                manager.start(rest[split + 1 :], prefix=rest[:split])
                result = result if manager.ready() else "not ready"
            print(command, pid, manager.pid, result, flush=True)
            with open(answers, "w") as told:
                told.write(result + "\n")
    finally:
        manager.close()


{"restarts": restarts, "signs": signs, "run": run, "serve": serve}[sys.argv[1]](*sys.argv[2:])
sys.exit(failed > 0)
